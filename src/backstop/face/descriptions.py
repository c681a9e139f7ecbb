"""What each column of a run's tables says; stands in the Arrow schema as ``description`` of the
field.
"""

from __future__ import annotations

__all__ = ["DESCRIPTIONS"]

_ACCOUNT = {"account": "id of the account", "name": "its name in the files or the population; null: it has none"}
_LADDER = {
    "account": "id of the account",
    "market": "symbol",
    "lots": "its position, signed, in lots of the market",
    "notional": "of the position, at the mark",
    "liquidation_price": "mark of this market at which the account would be in default, all else fixed; null: none would",
    "in_default": "whether it is in default now",
}

#: Table, column: what it says. Money is in the settlement asset.
DESCRIPTIONS: dict[str, dict[str, str]] = {
    "stages": {
        "stage": "stage of the waterfall",
        "accounts": "accounts in default that it acted on; of socialise: those that were charged",
        "notional": "notional that it closed: at fill prices on the book, at mark elsewhere",
        "paid": "what it paid for accounts in default: the funds, ADL counterparties, or those that were charged",
    },
    "defaulters": {
        **_ACCOUNT,
        "first_default": "time at which it first came into default (UTC)",
        "entries": "times that it came into default",
        "equity": "its equity when it first did",
        "maintenance": "its maintenance margin when it first did",
        "equity_least": "lowest equity that a change of its health showed while in default; between two changes it may have been lower",
        "closed": "notional of it that was closed: at fill prices on the book, at mark elsewhere",
        "fund_paid": "what insurance funds paid for it, support of takeovers included",
        "adl_paid": "what ADL counterparties gave up for it",
        "socialised": "what others were charged for it",
        "uncovered": "what nobody paid",
        "deficit": "fund_paid + adl_paid + socialised + uncovered",
    },
    "counterparties": {
        **_ACCOUNT,
        "paid": "what it gave up to ADL: closed at prices worse for it than the mark by so much",
        "closed": "notional of it that ADL closed, at mark",
        "fills": "times that it was deleveraged",
    },
    "markets": {
        "market": "symbol",
        "mark_first": "first mark",
        "mark_low": "lowest mark",
        "mark_high": "highest mark",
        "mark_last": "last mark",
        "closed": "notional of accounts in default that was closed in it",
    },
    "refused": {"code": "why the engine refused", "event": "kind of event", "events": "how many"},
    "ladder_before": _LADDER,
    "ladder_after": _LADDER,
}
