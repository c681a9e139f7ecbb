"""Problems of a file: the place, the value, and the right form. Findings are collected, not raised
one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

__all__ = ["ConfigError", "Finding", "did_you_mean"]


_WORD_MAX, _SENTENCE_MAX = 300, 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of a file."""

    #: Path of the key, as in ``market[2].tiers[1].floor``; empty for the file as a whole.
    key: str
    #: The problem and the right form.
    message: str
    #: The value as written; empty where there is none.
    value: str = ""
    #: What the key belongs to, where a number alone would not say it (a market's symbol).
    about: str = ""

    def __str__(self) -> str:
        """Return the finding as one line."""
        about = f" ({_cut(self.about, _WORD_MAX)})" if self.about else ""
        head = _cut(self.key, _WORD_MAX) + about + (f" = {_cut(self.value, _WORD_MAX)}" if self.value else "")
        message = _cut(self.message, _SENTENCE_MAX)
        return f"{head}: {message}" if head else message


def _cut(text: str, most: int) -> str:
    """Return a text on one line, cut to a length that people read: it quotes a file, whose texts
    have any length.
    """
    text = " ".join(text.splitlines())
    return text if len(text) <= most else text[:most] + "..."


class ConfigError(ValueError):
    """A file that was refused, with every problem that was found in it."""

    def __init__(self, place: str, findings: Iterable[Finding]) -> None:
        self.place = place
        self.findings = tuple(findings)
        super().__init__("\n".join(f"{place}: {finding}" for finding in self.findings))


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return `` did you mean `x`?`` for the known word nearest to a misspelt one, or the empty
    text.
    """
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else ""
