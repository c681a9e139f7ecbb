"""Text on its way to a terminal or a page: what a file holds must not steer it.

A name may hold any letter. A terminal obeys some of them: colours, titles, a cursor that writes
over what stands there. A page obeys those that turn the direction of writing around.
"""

from __future__ import annotations

__all__ = ["NAME_MAX", "counted", "one_line", "printable", "shown_name"]

#: Most letters of a name that is read, and that is printed.
NAME_MAX = 256


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 market``, ``1,200 markets``.

    ``plural``: where it is not the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def printable(text: str) -> str:
    """Return a text with every letter that does not print as its escape; line breaks stay."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text)


def one_line(text: str) -> str:
    """Return a text with every letter that does not print as its escape, line breaks too."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def shown_name(name: str) -> str:
    """Return a name as it is printed: in one line, escaped, and no more than ``NAME_MAX`` letters
    of it.
    """
    return one_line(name if len(name) <= NAME_MAX else name[:NAME_MAX] + "…")
