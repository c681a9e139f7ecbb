"""The state digest, byte by byte from R12; and rows that read the same
compiled and as plain Python.
"""

from __future__ import annotations

import hashlib
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backstop.core import columns, events, places, rows
from backstop.core.events import FUND, NEVER_NS, NONE, EffectKind, EventKind
from backstop.core.instruments import NO_CAP, LimitRules
from backstop.core.parameter_table import venue_digest_values
from backstop.reference.engine import ReferenceEngine
from backstop.reference.records import Event
from tests.core.desk import SECOND, Desk, make_rules

ROWS = {name: getattr(rows, name) for name in ("ACCOUNT", "ENGINE", "MARKET", "ORDER", "POSITION", "RULES", "TIER")}
ROWS |= {name: getattr(rows, name) for name in ("BREAKER", "COMMITMENT", "FUND_ROW", "PROVIDER")}
ROWS |= {"EVENT": events.EVENT, "EFFECT": events.EFFECT}


@pytest.mark.parametrize("name", ROWS)
def test_no_field_hides_behind_an_attribute_of_its_row(name: str) -> None:
    """As plain Python, ``row.round`` would be a method: such a name would work compiled only."""
    assert [field for field in ROWS[name].names if hasattr(np.record, field)] == []


def test_hot_rows_fill_a_cache_line() -> None:
    assert {name: ROWS[name].itemsize for name in ("ACCOUNT", "POSITION", "EVENT", "EFFECT")} == dict.fromkeys(
        ("ACCOUNT", "POSITION", "EVENT", "EFFECT"), 64
    )


@pytest.mark.parametrize("name", ROWS)
def test_rows_are_little_endian_integers(name: str) -> None:
    """The digest and the journal hold these bytes on every machine."""
    kinds: list[Any] = [ROWS[name].fields[field][0].base for field in ROWS[name].names]
    assert all(kind.kind == "i" and kind.newbyteorder("<") == kind for kind in kinds)


#: Rooms that are never at work at once, by the prefix of their columns: they may share memory.
APART = [{"CROSSED", "SLICE", "OFFER", "COUNTERPARTY"}, {"CROSSED", "SLICE", "OFFER", "ADL", "TEAR"}, {"PAYER", "CLAIM"}]


def test_only_rooms_that_are_never_at_work_at_once_share_a_column() -> None:
    names = re.findall(r"state\.columns\[([A-Z_]+)", "".join(path.read_text() for path in Path(columns.__file__).parent.rglob("*.py")))
    owners: dict[int, set[str]] = {}
    for name in set(names):
        owners.setdefault(getattr(columns, name), set()).add("CLAIM" if name.startswith("CLAIM") else name)
    assert max(owners) < columns.COLUMNS
    for sharing in owners.values():
        prefixes = {name.split("_")[0] for name in sharing}
        assert len(sharing) == 1 or (len(prefixes) == len(sharing) and any(prefixes <= apart for apart in APART)), sharing


def integers(*numbers: int) -> bytes:
    """Return numbers as the digest holds them."""
    return struct.pack(f"<{len(numbers)}q", *numbers)


def make_story() -> tuple[Desk, ReferenceEngine]:
    """Long 10 bought at 100 with 200: at 84 an order of 2 lots leaves, limit 83, zero cash 161
    (tests/reference works it).
    """
    rules = make_rules(limits=LimitRules(accounts_max=4, positions_max=4, orders_max=4, effects_max=64), cap_interval_ns=60 * SECOND)
    desk, reference = Desk(rules, mark=0), ReferenceEngine(rules)
    story = [
        Event(1, 1 * SECOND, EventKind.MARK, market=0, price_ticks=100),
        Event(2, 2 * SECOND, EventKind.TRANSFER, account=FUND, amount=500),
        Event(3, 3 * SECOND, EventKind.ACCOUNT, account=0, other=3),
        Event(4, 4 * SECOND, EventKind.TRANSFER, account=0, amount=200),
        Event(5, 5 * SECOND, EventKind.FILL, market=0, account=0, other=-1, lots=10, price_ticks=100),
        Event(6, 6 * SECOND, EventKind.DEPTH, market=0, code=0, lots=50),
        Event(7, 7 * SECOND, EventKind.INDEX, market=0, price_ticks=85),
        Event(8, 8 * SECOND, EventKind.VOLUME, market=0, lots=40),
        Event(9, 9 * SECOND, EventKind.MARK, market=0, price_ticks=84),
    ]
    for event in story:
        assert desk.put(event) == reference.apply(event)
    return desk, reference


def test_digest_is_the_documented_bytes() -> None:
    desk, reference = make_story()
    written = b"".join(
        (
            # now, last seq, accounts, next order id, interval, ordered by the venue, claims,
            # recovery, sign of life, next fill debt
            integers(1, 9 * SECOND, 9, 1, 2, 0, 168, 0, NEVER_NS, 9 * SECOND, 1),
            # mark, index, volume, ordered, bid, ask, OUTSIDE lots and cost, error_inventory lots
            # and cost, paid, epoch mark, funding index, up to where both have settled
            integers(1, 84, 85, 40, 168, 50, 0, -10, -1_000, 0, 0, 0, 100, 0, 0, 0),
            # WORLD, FUND, REMAINDER, UNCOVERED, FEES, clearing, OUTSIDE, error_inventory, funding
            integers(9, -700, 500, 0, 0, 0, 0, 0, 0, 0),
            # owner, balance, health, since, wait, next slice, restricted, ordered, claim,
            # market of a charge, time waited for doubt, since when, market of a pocket
            integers(1, 3, 200, 2, 9 * SECOND, 19 * SECOND, 10 * SECOND, 1, 168, 0, NONE, 0, NONE, NONE),
            # account, market, lots, cost, closed in default, up to where its funding is settled
            integers(1, 0, 0, 10, 1_000, 0, 0),
            # id, account, market, lots, remaining, limit, zero cash, reserved, kind, provider, cash,
            # joint offer, end of its life
            integers(1, 1, 0, 0, -2, 2, 83, 161, 0, 0, NONE, 0, 0, 0),
            # reserved, paid, drawdown, peak, arrears: what was paid in is no gain, so that the
            # fund's peak is what it has
            integers(1, 0, 0, 0, 500, 0),
            # owners that were paid for: none
            integers(0),
            # state, cause, until, levels, spent, operator, grace, flow twice, low, high, time of
            # the mark, of a held mark ten, the reference and its time, answered, uncovered twice, undoubted
            # mark, whether orders were cancelled for it, whether awaited, doubted for how long, and as of
            # when, time of the index, price given, settlement, whose turn, when it was done
            integers(2, 0, 0, NEVER_NS, 0, 0, NEVER_NS, NEVER_NS, 0, 0, 84, 100, 9 * SECOND, *[0] * 20, 7 * SECOND, 0, 0, 0, 0),
            integers(0, 0, NEVER_NS, 0, 0, NEVER_NS, NEVER_NS, 0, 0, 0, 0, NONE, *[0] * 20, NONE, 0, 0, 0, 0),
            # providers, commitments: none
            integers(0, 0),
            # claims: none
            integers(0),
            # account, market, what its result is measured from, what an insolvent account bears by
            integers(1, 0, 0, 1_000, 0, 0),
            # debts: none
            integers(0),
            # noted gaps: none
            integers(0),
            # accounts that are carried, what is reserved for that: none
            integers(0, 0),
            # fill debts, owners who owe, accounts that came back into default: none
            integers(0, 0, 0),
            # groups with noted gains, gains that are noted or left, own money: none
            integers(0, 0, 0),
            # the venue's rules in order of number, without limits of rows
            integers(1, *venue_digest_values(desk.rules)),
            # the market's: atoms a tick a lot, prices, position, tolerance, volatility, cap, group, price
            # breaker, flow, guard, the fund's cap, initial margin, interest, band, loading, depth, listed; a band
            integers(1, 1, 10_000, 1_000, 20_000, 10_000, NO_CAP, 0, *[0] * 7, NO_CAP, 1, 0, 0, 0, 1_000_000, 0, 1, 1_000),
            # market, floor, initial and maintenance rate of its tier
            integers(1, 0, 0, 100_000, 50_000),
            # the fund's cap, target and share of initial margin; providers, commitments: none
            integers(1, NO_CAP, NO_CAP, 0, 0, 0),
            # changes that wait, positions with relief, markets whose relief ends: none
            integers(0, 0, 0),
        )
    )
    assert desk.digest() == reference.digest() == hashlib.sha256(written).hexdigest()


def test_gauges_of_an_interval_that_is_over_count_as_zero() -> None:
    """After 60 s the cap interval is the next one, and nothing was ordered in it, whether or not
    the engine has looked.
    """
    desk, reference = make_story()
    for event in (Event(10, 19 * SECOND, EventKind.ORDER_DONE, other=1), Event(11, 61 * SECOND, EventKind.INDEX, market=0, price_ticks=86)):
        assert desk.put(event) == reference.apply(event)
        assert desk.digest() == reference.digest()


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (EventKind.INDEX, {"market": 0, "price_ticks": 86}),
        (EventKind.VOLUME, {"market": 0, "lots": 41}),
        (EventKind.DEPTH, {"market": 0, "code": 1, "lots": 1}),
        (EventKind.TRANSFER, {"account": FUND, "amount": 1}),
        (EventKind.ACCOUNT, {"account": 1, "other": 0}),
        (EventKind.CLOCK, {}),
    ],
)
def test_digest_sees_every_change(kind: EventKind, fields: dict[str, int]) -> None:
    desk, _ = make_story()
    before = desk.digest()
    desk.put(Event(10, 9 * SECOND, int(kind), **fields))
    assert desk.digest() != before


def test_digest_sees_no_cache() -> None:
    """Triggers, buckets, scratch and counters are the process's own."""
    desk, _ = make_story()
    before = desk.digest()
    desk.state.columns[columns.SCRATCH_FIRST :] = 12_345
    desk.state.engine[0].judged += 5
    desk.state.engine[0].round_number += 5
    desk.state.accounts[0].round_stamp = 99
    desk.state.effects[:] = 0
    assert desk.digest() == before


def test_the_house_of_a_market_has_one_numbering() -> None:
    desk = Desk(make_rules(markets=3))
    for market in range(3):
        ids = [events.clearing_of(market), events.outside_of(market), events.error_inventory_of(market), events.funding_of(market)]
        assert [events.house_of_market(ledger_id) for ledger_id in ids] == [(market, place) for place in range(4)]
        assert [events.is_clearing(ledger_id) for ledger_id in ids] == [True, False, False, False]
        assert (places.clearing_id(market), places.funding_id(market)) == (ids[0], ids[3])
        house = [int(places.outside_row(market)), int(places.error_inventory_row(market))]
        assert [(int(row.account), int(row.market)) for row in desk.state.positions[house]] == [(ids[1], market), (ids[2], market)]
    for ledger_id in (0, NONE, FUND, *(events.fund_of(group) for group in range(events.GROUPS_MAX))):
        assert events.house_of_market(ledger_id) is None
        assert not events.is_clearing(ledger_id)


def test_new_state_knows_nobody() -> None:
    desk = Desk(make_rules(), mark=0)
    engine = desk.state.engine[0]
    assert (int(engine.last_seq), int(engine.accounts_now), int(engine.next_order_id)) == (-1, 0, 1)
    assert desk.put(Event(0, 0, EventKind.ACCOUNT, account=0, other=0)) == []
    assert int(desk.state.accounts[0].wait_until_ns) == NEVER_NS
    assert [effect.kind for effect in desk.put(Event(1, 0, EventKind.TRANSFER, account=0, amount=5))] == [EffectKind.POSTING]
