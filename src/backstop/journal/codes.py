"""What the numbers in a journal's rows stand for, written beside them: kinds, causes, ledger
accounts.

A later version may number them otherwise. It then reads an older journal's rows and chain, and says
that it cannot put their numbers into words, or compare them with its own.
"""

from __future__ import annotations

import json
from enum import IntEnum
from functools import cache

from backstop.core import events

__all__ = ["codes_agree", "present_codes"]

#: Ledger accounts of the house.
_LEDGER = ("NONE", "WORLD", "FUND", "REMAINDER", "UNCOVERED", "FEES", "HOUSE_FIRST_MARKET", "HOUSE_PER_MARKET", "UNCOVERED_FIRST_GROUP")


@cache
def present_codes() -> str:
    """Return every code that a row may hold, by the name of its kind, as JSON."""
    tables = {
        name: {code.name: int(code) for code in kind}
        for name, kind in vars(events).items()
        if isinstance(kind, type) and issubclass(kind, IntEnum) and kind is not IntEnum
    }
    tables["ledger"] = {name: int(getattr(events, name)) for name in _LEDGER if hasattr(events, name)}
    return json.dumps(tables, sort_keys=True, separators=(",", ":"))


def codes_agree(written: str) -> bool:
    """Return whether every code that a journal knows means the same today; today there may be
    more.
    """
    try:
        tables, present = json.loads(written), json.loads(present_codes())
        return bool(tables) and all(present[table].get(name) == code for table, codes in tables.items() for name, code in codes.items())
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return False
