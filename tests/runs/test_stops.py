"""Breakers and price guard as a run is counted by them, and the marks that a count follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backstop.core.events import EFFECT, EVENT, NONE, BreakerCause, BreakerState, EffectKind, EventKind, Guard, Reject
from backstop.feeds.accounts import read_accounts
from backstop.feeds.prices import read_prices
from backstop.runs.cases import Case, case_of_book
from backstop.runs.fold import Fold
from backstop.runs.replay import ReplayResult, replay_case
from backstop.runs.stops import Machine
from tests.feeds.samples import BTC, SECOND, START, write
from tests.runs.venues import full_venue

STOPS = """
[breakers]
hold_max = "60s"
reopen = "10s"
price_window = "30s"
price_throttle_ppm = 30_000
price_halt_ppm = 80_000
price_exit_ppm = 20_000
"""
GUARD = '[guard]\njump_ppm = 100_000\nhold = "30s"\n'
OPEN, THROTTLED, HALTED, REOPENING = BreakerState


def ordered_events(*rows: tuple[int, EventKind, int, int]) -> Any:
    """Events of (seq, kind, market, ticks or lots), a second each."""
    events = np.zeros(len(rows), dtype=EVENT)
    for event, (seq, kind, market, value) in zip(events, rows, strict=True):
        event["seq"], event["kind"], event["market"], event["time_ns"] = seq, kind, market, seq * SECOND
        event["lots" if kind == EventKind.VOLUME else "price_ticks"] = value
    return events


def guard_effects(*rows: tuple[int, EffectKind, int, int, int]) -> Any:
    effects = np.zeros(len(rows), dtype=EFFECT)
    for effect, (seq, kind, code, market, ticks) in zip(effects, rows, strict=True):
        effect["seq"], effect["kind"], effect["code"], effect["market"], effect["price_ticks"] = seq, kind, code, market, ticks
    return effects


def at(fold: Fold, seqs: list[int], market: int) -> list[int]:
    return [int(value) for value in fold.mark.at(np.array(seqs), np.full(len(seqs), market))]


def test_the_mark_followed_is_the_one_that_was_taken() -> None:
    fold = Fold(full_venue())
    events = ordered_events(
        (1, EventKind.MARK, 0, 100),
        (2, EventKind.MARK, 1, 70),
        (3, EventKind.MARK, 0, 50),
        (4, EventKind.MARK, 0, 999),
        (5, EventKind.MARK, 0, 60),
        (5, EventKind.MARK, 0, 61),
    )
    effects = guard_effects(
        (3, EffectKind.GUARD, Guard.HELD, 0, 50),
        (4, EffectKind.REFUSAL, Reject.PRICE_OUT_OF_RANGE, 0, 0),
        (5, EffectKind.REFUSAL, Reject.SEQ_NOT_AFTER, 0, 0),
    )
    fold.take(events, effects)
    assert at(fold, [0, 1, 2, 3, 4, 5, 9], 0) == [0, 100, 100, 100, 100, 60, 60]
    assert at(fold, [1, 2], 1) == [0, 70]
    assert fold.time_ns(np.array([3, 5])).tolist() == [3 * SECOND, 5 * SECOND]
    # A batch later: what was held is released by a timer, before the mark of the same event.
    fold.take(
        ordered_events((6, EventKind.CLOCK, NONE, 0), (7, EventKind.MARK, 0, 40)),
        guard_effects((6, EffectKind.GUARD, Guard.RELEASED, 0, 50)),
    )
    assert at(fold, [5, 6, 7], 0) == [60, 50, 40]
    fold.take(ordered_events((8, EventKind.MARK, 0, 30)), guard_effects((8, EffectKind.GUARD, Guard.RELEASED, 0, 20)))
    assert at(fold, [7, 8], 0) == [40, 30]
    fold.take(ordered_events(), guard_effects())
    assert at(fold, [9], 0) == [30]


def test_the_volume_followed_is_the_last_reported() -> None:
    fold = Fold(full_venue())
    fold.take(ordered_events((1, EventKind.VOLUME, 0, 5), (2, EventKind.MARK, 0, 10), (3, EventKind.VOLUME, 0, 0)), guard_effects())
    assert [int(value) for value in fold.volume.at(np.array([0, 1, 2, 3]), np.zeros(4, dtype=np.int64))] == [-1, 5, 5, 0]


def test_a_machine_adds_up_the_time_in_each_state() -> None:
    machine = Machine()
    for state, cause, second in (
        (THROTTLED, BreakerCause.PRICE, 10),
        (HALTED, BreakerCause.FLOW, 15),
        (REOPENING, BreakerCause.FLOW, 45),
        (HALTED, BreakerCause.PRICE, 50),
        (REOPENING, BreakerCause.PRICE, 60),
        (OPEN, BreakerCause.PRICE, 70),
        (THROTTLED, BreakerCause.DRAWDOWN, 100),
    ):
        machine.turn(state, cause, second * SECOND)
    assert machine.transitions == 7
    assert machine.stops == {
        (BreakerCause.PRICE, THROTTLED): 1,
        (BreakerCause.FLOW, HALTED): 1,
        (BreakerCause.PRICE, HALTED): 1,
        (BreakerCause.DRAWDOWN, THROTTLED): 1,
    }
    assert machine.spent_until(103 * SECOND) == {THROTTLED: 8 * SECOND, HALTED: 40 * SECOND, REOPENING: 15 * SECOND}


def walked(tmp_path: Path, rows: list[tuple[int, str, str]], more: str) -> ReplayResult:
    return replay_case(walked_case(tmp_path, rows, more))


def walked_case(tmp_path: Path, rows: list[tuple[int, str, str]], more: str) -> Case:
    """Return marks and volumes of one market, (second, mark, volume), against accounts that nothing
    happens to.
    """
    venue = full_venue(more=more, guard_volume="10")
    lines = [f"{START + second * SECOND},{BTC},{mark},{volume}" for second, mark, volume in rows]
    prices = read_prices(write(tmp_path / "prices.csv", "\n".join(["time,market,mark,volume", *lines])), venue)
    accounts = f"account,owner,market,quantity,entry_price\ncalm,o,{BTC},1,100000\nother,p,{BTC},-1,100000\n"
    cash = "account,asset,amount\ncalm,USDT,900000\nother,USDT,900000\n"
    book = read_accounts(write(tmp_path / "accounts.csv", accounts), write(tmp_path / "cash.csv", cash), venue)
    return case_of_book(venue, prices, book)


def test_breakers_are_shown_with_cause_and_time(tmp_path: Path) -> None:
    steady = [(second, "91000", "") for second in range(12, 150)]
    result = walked(tmp_path, [(0, "100000", ""), (1, "100000", ""), (5, "96000", ""), (10, "91000", ""), *steady], STOPS)
    breakers = result.as_json()["breakers"]
    (machine,) = breakers["machines"]
    # Throttled at -4 %, halted at -9 %, until two windows have forgotten what was before, then
    # reopening.
    assert machine["name"] == BTC
    assert machine["causes"] == {"price": {"throttled": 1, "halted": 1}}
    assert (machine["state"], machine["transitions"]) == ("open", 4)
    assert machine["throttled_seconds"] == 5.0
    assert 0 < machine["halted_seconds"] <= 60
    assert machine["reopening_seconds"] == 10.0
    assert (breakers["transitions"], breakers["not_open"]) == (4, [])
    assert result.as_json()["halted"] == [BTC]


def test_what_is_not_open_at_the_end_is_named(tmp_path: Path) -> None:
    result = walked(tmp_path, [(0, "100000", ""), (1, "100000", ""), (2, "90000", "")], STOPS + 'stale = "20s"\n')
    breakers = result.as_json()["breakers"]
    assert (breakers["not_open"], breakers["machines"][0]["state"]) == ([BTC], "halted")
    # The recording ends, and with it the run, before its last mark would count as stale.
    assert breakers["machines"][0]["causes"] == {"price": {"halted": 1}}
    assert breakers["machines"][0]["halted_seconds"] < 20


def test_no_breaker_no_row(tmp_path: Path) -> None:
    values = walked(tmp_path, [(0, "100000", ""), (1, "100001", "")], STOPS).as_json()
    assert values["breakers"] == {"machines": [], "transitions": 0, "not_open": []}
    assert values["guard"] == {
        "held": 0,
        "confirmed": 0,
        "released": 0,
        "dropped": 0,
        "continued": 0,
        "renewed": 0,
        "cases": 0,
        "listed": [],
    }


THIN = [(1, "80000", "2"), (2, "79000", "3")]


@pytest.mark.parametrize(
    ("after", "ended", "why"),
    [
        ([(3, "99000", "50")], "dropped", "dropped: marks on volume, or most of its time, stood for the old level"),
        ([(3, "80500", "50")], "confirmed", "confirmed: the mark that followed stood near it, on volume enough"),
        ([], "released", "released: newest for most of its time"),
    ],
    ids=["dropped", "confirmed", "released"],
)
def test_a_held_print_is_told_with_its_reason_and_its_end(tmp_path: Path, after: list[tuple[int, str, str]], ended: str, why: str) -> None:
    result = walked(tmp_path, [(0, "100000", "500"), *THIN, *after], GUARD)
    guard = result.as_json()["guard"]
    assert (guard["held"], guard[ended], guard["cases"]) == (2, 1, 1)
    (case,) = guard["listed"]
    assert (case["market"], case["price"], case["mark"], case["volume"]) == (BTC, "80000", "100000", "2")
    assert (case["move_ppm"], case["furthest_price"], case["marks"], case["ended"]) == (200_000, "79000", 2, ended)
    assert (
        "80000 (2025-10-10T21:00:01Z) is 20.00 % from the mark 100000 on a volume of 2: held, as 10 % or more on less than 10 is"
        in case["why"]
    )
    assert "and 1 after it, the furthest at 79000" in case["why"]
    assert why in case["why"]


def test_a_print_that_is_held_when_the_run_ends_is_told(tmp_path: Path) -> None:
    result = walked(tmp_path, [(0, "100000", "500"), (1, "80000", "2")], GUARD + '[breakers]\nstale = "20s"\n')
    (case,) = result.as_json()["guard"]["listed"]
    assert case["ended"] is None
    assert case["why"].endswith("still held at the end")


def test_on_volume_enough_nothing_is_held(tmp_path: Path) -> None:
    assert walked(tmp_path, [(0, "100000", "500"), (1, "80000", "10")], GUARD).as_json()["guard"]["held"] == 0
