"""Rows of positions leave every list and are used again (R1.2.5)."""

from __future__ import annotations

import numpy as np
import numpy.lib.recfunctions as rfn
import pytest

from backstop.core.columns import OWNER_NOTED_NEXT
from backstop.core.digest import state_digest
from backstop.core.engine import step
from backstop.core.events import NONE, BookSide, EffectKind, EventKind, Health, InitialMargin, Reject, error_inventory_of
from backstop.core.instruments import LimitRules
from backstop.core.places import HOUSE_ROWS
from backstop.core.position_rows import has_left, has_rows, row_is_free_at
from backstop.core.rows import BEFORE_IN_MARKET, FLAT_AFTER, FLAT_BEFORE, FLAT_EPOCH, FREE_AFTER
from backstop.core.state import State, new_state
from backstop.journal.migration import column_numbers, migrated
from backstop.reference.engine import ReferenceEngine
from backstop.reference.records import Event, events_array
from tests.core.desk import Desk, make_rules
from tests.streams.random_streams import make_stream

SECOND = 1_000_000_000
#: Fields of the engine that belong to lists.
NEW_IN_ENGINE = ("flat_first", "flat_last", "free_first", "free_now", "noted_first")
#: By row of ``positions``: blank where the row is free.
BLANK = ("results", "gaps", "carries", "left_parts", "relieved", "torn_lots", "taken_lots", "event_gains")


def listed_rows(state: State) -> tuple[set[int], set[int]]:
    """Return the rows in the lists of accounts and of markets; each stands in one place."""
    by_account, by_market = list[int](), list[int]()
    for number in range(int(state.engine[0].accounts_now)):
        place, market = int(state.accounts[number].first_position), -1
        while place != NONE:
            row = state.positions[place]
            assert (int(row.account), int(row.market) > market) == (number, True)
            by_account.append(place)
            place, market = int(row.next_of_account), int(row.market)
    for number, row in enumerate(state.markets):
        place, before = int(row.first_position), 0
        while place != NONE:
            assert (int(state.positions[place].market), int(state.links[place, BEFORE_IN_MARKET])) == (number, before)
            by_market.append(place)
            place, before = int(state.positions[place].next_of_market), place
        assert int(row.last_position) == (before or NONE)
    assert len(set(by_account)) == len(by_account)
    assert len(set(by_market)) == len(by_market)
    return set(by_account), set(by_market)


def flat_rows(state: State) -> list[int]:
    """Return the list of flat rows, the longest flat first."""
    found, place, before = list[int](), int(state.engine[0].flat_first), 0
    while place != 0:
        assert int(state.links[place, FLAT_BEFORE]) == before
        found.append(place)
        before, place = place, int(state.links[place, FLAT_AFTER])
    assert int(state.engine[0].flat_last) == before
    epochs = state.links[found, FLAT_EPOCH]
    assert (epochs > 0).all()
    assert (np.diff(epochs) >= 0).all()
    return found


def free_rows(state: State) -> set[int]:
    """Return the rows that are free again; nothing is left of what they were."""
    found, place = list[int](), int(state.engine[0].free_first)
    while place != 0:
        found.append(place)
        place = int(state.links[place, FREE_AFTER])
    assert len(found) == len(set(found)) == int(state.engine[0].free_now)
    rows = state.positions[found]
    assert (rows["account"] == NONE).all()
    assert (rows["order_slot"] == NONE).all()
    assert not any(rows[name].any() for name in ("lots", "cost", "closed_in_default", "trigger_ticks"))
    for name in BLANK:
        held = getattr(state, name)[found]
        assert not held.view(np.int64).any() if held.dtype.names is None else not any(held[each].any() for each in held.dtype.names)
    return set(found)


def check_rows(state: State) -> int:
    """See that each row stands where it must; return how many are free again."""
    by_account, by_market = listed_rows(state)
    free, flat = free_rows(state), flat_rows(state)
    used = set(range(HOUSE_ROWS * len(state.markets), int(state.engine[0].positions_now)))
    assert by_account == by_market == used - free
    for place in by_account:
        row = state.positions[place]
        in_default = int(state.accounts[int(row.account)].health) >= Health.DISTRESSED
        is_held = row.lots != 0 or row.order_slot != NONE or in_default
        # A row that has left may still hang on an account that came into default since.
        assert (place in flat) == (not is_held) or (bool(has_left(state, place)) and in_default), place
    owned = state.positions[sorted(by_account)]
    owners = state.accounts["owner"][owned["account"]]
    by_owner = {int(key): int(lots) for key, lots in state.owner_lots if key}
    assert all(by_owner.values())
    for market, row in enumerate(state.markets):
        if row.initial_margin != InitialMargin.OWNER:
            continue
        for owner in {int(each) for each in owners[owned["market"] == market]}:
            lots = int(np.abs(owned["lots"][(owners == owner) & (owned["market"] == market)]).sum())
            assert by_owner.get(owner * len(state.markets) + market + 1, 0) == lots
    return len(free)


@pytest.mark.parametrize("block", range(3))
def test_every_row_stands_in_its_lists_or_is_blank(block: int) -> None:
    most = 0
    for seed in range(90_000 + block * 12, 90_000 + block * 12 + 12):
        rules, events = make_stream(seed, "few_rows")
        state, rows = new_state(rules), events_array(events)
        for place in range(len(events)):
            step(state, rows[: place + 1], place)
            state.engine[0].effects_now = 0
            most = max(most, check_rows(state))
    assert most > 2


def venue(rows: int, *, accounts: int = 16, epoch_ns: int = 10 * SECOND) -> Desk:
    """Return a desk with few rows; its mark came in the second before."""
    limits = LimitRules(accounts_max=accounts, positions_max=rows, orders_max=4, effects_max=4_096)
    return Desk(make_rules(limits=limits)._replace(epoch_ns=epoch_ns))


def refusals(desk: Desk) -> list[int]:
    return [int(row.code) for row in desk.rows if row.kind == EffectKind.REFUSAL]


def test_a_flat_position_counts_until_its_epoch_is_over() -> None:
    desk = venue(2)
    desk.open(1_000, 1_000, 1_000)
    desk.trade(0, 5, 100)
    desk.trade(1, 5, 100)
    desk.trade(0, -5, 100)
    epoch = int(desk.state.engine[0].now_ns) // (10 * SECOND)
    desk.trade(2, 5, 100)
    assert refusals(desk) == [Reject.POSITION_LIMIT]
    while int(desk.state.engine[0].now_ns) // (10 * SECOND) == epoch:
        assert not has_rows(desk.state, 1)
        desk.send(EventKind.CLOCK)
    assert has_rows(desk.state, 1)
    assert not has_rows(desk.state, 2)
    desk.trade(2, 5, 100)
    assert refusals(desk) == []
    assert desk.row(2) == (5, 500)
    assert check_rows(desk.state) == 0


def test_whoever_comes_back_in_the_epoch_has_his_row_still() -> None:
    desk = venue(1)
    desk.open(1_000)
    for lots in (5, -5, 4, -4):
        desk.trade(0, lots, 100)
        assert refusals(desk) == []
    assert int(desk.state.engine[0].positions_now) == HOUSE_ROWS + 1


def test_a_late_fill_does_not_touch_the_row_of_another() -> None:
    """The order is done, its account out of default and flat, and its row another's when the venue tells
    of one more fill.
    """
    desk = venue(1)
    desk.open(120, 1_000)
    desk.trade(0, 10, 100)
    desk.send(EventKind.DEPTH, market=0, code=int(BookSide.BID), other=0, lots=100)
    effects = desk.mark(92)
    (order,) = [each for each in effects if each.kind == EffectKind.ORDER]
    desk.send(EventKind.ORDER_FILL, market=0, other=order.other, lots=order.lots, price_ticks=92)
    desk.send(EventKind.ORDER_DONE, other=order.other)
    if desk.row(0)[0]:
        desk.trade(0, -desk.row(0)[0], 92)
    assert int(desk.state.accounts[0].health) == Health.HEALTHY
    desk.seq += 20
    desk.send(EventKind.CLOCK)
    desk.trade(1, 10, 92)
    assert refusals(desk) == []
    assert desk.row(1) == (10, 920)
    desk.send(EventKind.ORDER_FILL, market=0, other=order.other, lots=-3, price_ticks=92)
    assert desk.row(1) == (10, 920)
    assert desk.row(error_inventory_of(0))[0] == -3
    assert check_rows(desk.state) == 0


def test_accounts_that_come_and_go_need_no_more_rows_than_are_held_at_once() -> None:
    """300 accounts in rows for eight: the lists of the market stay as short as they are."""
    desk = venue(8, accounts=300)
    for account in range(300):
        desk.open(1_000)
        desk.trade(account, 5, 100)
        assert refusals(desk) == []
        desk.trade(account, -5, 100)
        assert len(listed_rows(desk.state)[1]) <= 8
    assert int(desk.state.engine[0].positions_now) <= HOUSE_ROWS + 8


def test_an_epoch_that_lets_many_rows_go_is_paid_by_the_events_after_it() -> None:
    """No event takes more than a few rows out of the lists; all of them are free at once."""
    desk = venue(64, accounts=64, epoch_ns=1_000 * SECOND)
    desk.open(*([1_000] * 64))
    for account in range(64):
        desk.trade(account, 5, 100)
        desk.trade(account, -5, 100)
    desk.seq += 1_000
    before = listed_rows(desk.state)[1]
    assert row_is_free_at(desk.state, desk.seq * SECOND)
    assert not row_is_free_at(desk.state, int(desk.state.engine[0].now_ns))
    desk.send(EventKind.CLOCK)
    assert len(before) == 64
    assert has_rows(desk.state, 64)
    left = [len(listed_rows(desk.state)[1])]
    while left[-1]:
        desk.send(EventKind.CLOCK)
        left.append(len(listed_rows(desk.state)[1]))
    assert max(earlier - later for earlier, later in zip([64, *left], left, strict=False)) == 4
    assert check_rows(desk.state) == 64


def test_rows_are_the_reference_s_where_they_are_counted() -> None:
    """With every limit of rows, both refuse the same openings."""
    for most in range(1, 5):
        desk = venue(most)
        reference = ReferenceEngine(desk.rules)
        reference.apply(Event(1, SECOND, int(EventKind.MARK), market=0, price_ticks=100))
        for seq, event in enumerate(opening_and_closing(), start=2):
            now = event._replace(seq=seq, time_ns=seq * SECOND)
            assert desk.put(now) == reference.apply(now), (most, seq)


def opening_and_closing() -> list[Event]:
    """Return four accounts that trade in turn, each closing what it opened two turns before."""
    events = list[Event]()
    for account in range(4):
        events.append(Event(0, 0, int(EventKind.ACCOUNT), account=account, other=account))
        events.append(Event(0, 0, int(EventKind.TRANSFER), account=account, amount=1_000))
    for turn in range(40):
        for account, lots in ((turn % 4, 2), ((turn + 2) % 4, -2)):
            events.append(Event(0, 0, int(EventKind.FILL), market=0, account=account, other=NONE, lots=lots, price_ticks=100))
    return events


@pytest.mark.parametrize("profile", ["leaving", "linked", "groups"])
def test_the_lists_are_made_anew_for_a_state_that_had_none(profile: str) -> None:
    """As a snapshot of code before them: no row had ever been freed, and no owner taken out of the table."""
    compared = 0
    for seed in range(95_000, 95_012):
        rules, listed = make_stream(seed, profile)
        events, half = events_array(listed), len(listed) // 2
        state = new_state(rules._replace(epoch_ns=1 << 60))
        for place in range(half):
            step(state, events[: place + 1], place)
            state.engine[0].effects_now = 0
        arrays = {name: getattr(state, name).copy() for name in State.FIELDS if name not in ("effects", "links")}
        kept = [name for name in arrays["engine"].dtype.names if name not in NEW_IN_ENGINE]
        arrays["engine"] = rfn.repack_fields(arrays["engine"][kept])
        arrays["columns"][OWNER_NOTED_NEXT] = 0
        restored = migrated(arrays, column_numbers(), new_state(rules._replace(epoch_ns=1 << 60)))
        check_rows(restored)
        assert state_digest(restored) == state_digest(state)
        for place in range(half, len(events)):
            for each in (state, restored):
                step(each, events[: place + 1], place)
            told, again = (each.effects[: int(each.engine[0].effects_now)].tobytes() for each in (state, restored))
            assert told == again, (seed, place)
            state.engine[0].effects_now = restored.engine[0].effects_now = 0
        check_rows(restored)
        assert state_digest(restored) == state_digest(state)
        compared += int(state.engine[0].flat_first) != 0
    assert compared > 3
