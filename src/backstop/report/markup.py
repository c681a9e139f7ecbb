"""HTML without a template engine: a tag is a function call, and every text is escaped on its way
in.

Letters that do not print are shown as their escapes, as on a terminal: one that turns the direction
of writing around would let a name pass for another.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from backstop.printing import printable

__all__ = ["Html", "Node", "join", "tag"]

_VOID = {"meta", "br", "col", "path", "rect", "line", "polygon"}


class Html(str):
    """Text that is markup already, and is not escaped again."""

    __slots__ = ()


#: What may stand inside of a tag: markup, text to escape, a number, or several of them.
Node = Html | str | int | Iterable["Node"] | None


def join(*nodes: Node) -> Html:
    """Return nodes one after the other; None is nothing."""
    parts: list[str] = []
    for node in nodes:
        if node is None:
            continue
        if isinstance(node, Html):
            parts.append(node)
        elif isinstance(node, (str, int)):
            parts.append(escape(printable(str(node)), quote=False))
        else:
            parts.append(join(*node))
    return Html("".join(parts))


def tag(name: str, *nodes: Node, **attributes: str | int | float | bool | None) -> Html:
    """Return one element.

    A trailing underscore of an attribute's name is dropped (``class_``), other underscores become
    hyphens; an attribute of None or False is left out, one of True stands without a value.
    """
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        words.append(key if value is True else f'{key}="{escape(printable(str(value)))}"')
    opening = f"<{' '.join(words)}>"
    if name in _VOID and not nodes:
        return Html(opening if name in ("meta", "br", "col") else opening[:-1] + "/>")
    return Html(f"{opening}{join(*nodes)}</{name}>")
