"""A replay as a whole: counted right, conserved, repeatable, and on the tape."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backstop.config import Venue
from backstop.core.events import Cause, EffectKind, EventKind, Health, Reject
from backstop.core.state import new_state
from backstop.feeds.accounts import read_accounts
from backstop.feeds.errors import FeedError
from backstop.feeds.prices import read_prices
from backstop.journal import JournalError, open_journal
from backstop.journal.verify import verify
from backstop.markets.population import default_parameters
from backstop.markets.scenarios import scenario
from backstop.runs.cases import Case, case_of_book, case_of_population, hashed_inputs, scenario_prices
from backstop.runs.replay import ReplayResult, replay, replay_case
from backstop.runs.tally import conservation_of
from tests.feeds.samples import BTC, ETH, SECOND, START, small_venue, write

ACCOUNTS = "account,owner,market,quantity,entry_price\n"
CASH = "account,asset,amount\n"


def case_of(tmp_path: Path, accounts: str, cash: str, marks: list[tuple[int, str, str]], venue: Venue | None = None) -> Case:
    venue = venue or small_venue()
    text = "time,market,mark\n" + "\n".join(f"{START + second * SECOND},{market},{mark}" for second, market, mark in marks)
    prices = read_prices(write(tmp_path / "prices.csv", text), venue)
    book = read_accounts(write(tmp_path / "accounts.csv", ACCOUNTS + accounts), write(tmp_path / "cash.csv", CASH + cash), venue)
    return case_of_book(venue, prices, book)


def crash_of(tmp_path: Path, venue: Venue | None = None, low: str = "80000") -> Case:
    """Ten longs at 10 times leverage lose a fifth of the price in a second, against one rich
    short.
    """
    accounts = "".join(f"long{number},o{number},{BTC},1,100000\n" for number in range(10)) + f"short,rich,{BTC},-10,100000\n"
    cash = "".join(f"long{number},USDT,10000\n" for number in range(10)) + "short,USDT,5000000\n"
    marks = [(0, BTC, "100000"), (1, BTC, "99000"), (2, BTC, low), *[(second, BTC, low) for second in range(3, 120)]]
    return case_of(tmp_path, accounts, cash, marks, venue)


def of_stage(result: ReplayResult, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in result.as_json()["stages"] if row["name"] == name)
    return found


def amount(text: str) -> Decimal:
    number, asset = text.split()
    assert asset == "USDT"
    return Decimal(number)


@pytest.fixture(scope="module")
def effects_and_result(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, ReplayResult]:
    folder = tmp_path_factory.mktemp("crash")
    result = replay_case(crash_of(folder), journal_path=folder / "journal.db", command="test")
    with open_journal(folder / "journal.db") as journal:
        batches = list(journal.batches())
    return np.concatenate([batch.events for batch in batches]), np.concatenate([batch.effects for batch in batches]), result


def test_the_tally_agrees_with_a_plain_count_of_the_journal(effects_and_result: tuple[Any, Any, ReplayResult]) -> None:
    events, effects, result = effects_and_result
    defaulted, closed, paid_by_fund, plans = set(), Decimal(0), 0, 0
    for row in effects:
        kind, code = int(row["kind"]), int(row["code"])
        if kind == EffectKind.HEALTH and code >= Health.DISTRESSED > int(row["other"]):
            defaulted.add(int(row["account"]))
        if kind == EffectKind.TRADE and code == Cause.CLOSEOUT and int(row["account"]) >= 0:
            closed += abs(int(row["lots"])) * int(row["price_ticks"]) * Decimal("0.0001")
        if kind == EffectKind.POSTING and int(row["other"]) == -3 and code in (Cause.SUPPORT, Cause.DEFICIT, Cause.TEAR_UP):
            paid_by_fund += int(row["amount"])
        plans += kind == EffectKind.ADL_PLAN
    assert result.tally.defaults == len(defaulted) == 10
    assert amount(of_stage(result, "closeout")["notional"]) == closed > 0
    assert amount(of_stage(result, "fund")["paid"]) == Decimal(paid_by_fund) / 10**6 > 0
    assert (of_stage(result, "adl")["accounts"] > 0) == (plans > 0)
    assert (result.events, result.tally.effects) == (len(events), len(effects))


def test_the_opening_and_every_price_stand_on_the_tape(effects_and_result: tuple[Any, Any, ReplayResult]) -> None:
    events, _, result = effects_and_result
    kinds = events["kind"].tolist()
    assert kinds.count(EventKind.ACCOUNT) == 11
    assert kinds.count(EventKind.MARK) == 121
    assert result.tally.refused == {}
    # The books are reported before any account exists.
    assert kinds.index(EventKind.DEPTH) < kinds.index(EventKind.ACCOUNT)


def test_nothing_is_made_or_lost(effects_and_result: tuple[Any, Any, ReplayResult]) -> None:
    result = effects_and_result[2]
    values = result.as_json()
    assert result.conservation.holds
    assert values["conservation"]["assets"] == {"USDT": "0.000000 USDT"}
    assert values["conservation"]["markets"] == {symbol: {"lots": 0, "cost": "0.000000 USDT"} for symbol in (BTC, ETH)}
    paid = sum(amount(row["paid"]) for row in values["stages"])
    assert amount(values["deficit"]) == paid + amount(values["uncovered"])
    fund = values["fund"]
    got = sum(amount(values[key]) for key in ("liquidation_fees", "closing_charges", "debts_returned"))
    assert amount(fund["closing"]) == amount(fund["opening"]) - amount(of_stage(result, "fund")["paid"]) + got


def test_the_json_object_has_what_was_promised(effects_and_result: tuple[Any, Any, ReplayResult]) -> None:
    values = effects_and_result[2].as_json()
    promised = (
        "accounts",
        "markets",
        "events",
        "defaults",
        "stages",
        "deficit",
        "conservation",
        "refused",
        "digest",
        "engine_seconds",
        "journal",
    )
    assert set(promised) <= set(values)
    assert [row["name"] for row in values["stages"]] == ["restrict", "closeout", "fund", "adl", "tear_up"]
    assert all(set(row) == {"name", "accounts", "notional", "paid"} for row in values["stages"])
    assert (values["accounts"], values["markets"]) == (11, 1)


def test_a_replay_is_repeatable_and_its_journal_verifies(tmp_path: Path) -> None:
    case = crash_of(tmp_path)
    first = replay_case(case, journal_path=tmp_path / "journal.db")
    second = replay_case(case)
    assert first.digest == second.digest
    assert second.journal is None
    report = verify(tmp_path / "journal.db")
    assert (report.exit_code, report.digest, report.events) == (0, first.digest, first.events)
    with pytest.raises(JournalError, match="exists"):
        replay_case(case, journal_path=tmp_path / "journal.db")
    replaced = replay_case(case, journal_path=tmp_path / "journal.db", overwrite=True)
    assert replaced.journal is not None
    assert (replaced.journal["events"], replaced.digest) == (first.events, first.digest)


def test_names_and_inputs_are_kept_with_the_journal(tmp_path: Path) -> None:
    replay_case(crash_of(tmp_path), journal_path=tmp_path / "journal.db", command="backstop replay")
    with open_journal(tmp_path / "journal.db") as journal:
        assert list(journal.names().accounts[:2]) == ["long0", "long1"]
        assert list(journal.names().owners[-1:]) == ["rich"]
        assert journal.manifest.command == "backstop replay"


def test_an_account_that_is_sound_as_a_whole_survives_its_opening(tmp_path: Path) -> None:
    accounts = f"hedged,o,{BTC},10,200000\nhedged,o,{ETH},-1000,5000\n"
    case = case_of(tmp_path, accounts, "hedged,USDT,100000\n", [(0, BTC, "100000"), (0, ETH, "4000"), (1, BTC, "100001")])
    result = replay_case(case)
    assert result.tally.defaults == 0
    assert result.tally.refused == {}


def test_the_opening_imbalance_is_reported(tmp_path: Path) -> None:
    case = case_of(tmp_path, f"alone,o,{BTC},1.5,100000\n", "alone,USDT,50000\n", [(0, BTC, "100000")])
    assert replay_case(case).feeds["opening_imbalance"] == {BTC: "-1.5"}


def test_what_fund_and_book_do_not_bear_falls_to_adl(tmp_path: Path) -> None:
    venue = small_venue(fund="0", closeout='account_notional_max = "0"')
    result = replay_case(crash_of(tmp_path, venue))
    assert result.conservation.holds
    assert result.tally.stages()[1].notional == 0
    # Ten longs of one contract lost 20,000 each and had 10,000.
    assert result.as_json()["deficit"] == "100000.000000 USDT"
    assert of_stage(result, "adl")["paid"] == "100000.000000 USDT"


def test_a_deficit_that_nobody_pays_is_uncovered_and_halts_its_market(tmp_path: Path) -> None:
    venue = small_venue(fund="40000", closeout='account_notional_max = "0"', adl=False)
    values = replay_case(crash_of(tmp_path, venue)).as_json()
    assert [row["name"] for row in values["stages"]] == ["restrict", "closeout", "fund", "tear_up"]
    assert (values["deficit"], values["uncovered"]) == ("100000.000000 USDT", "60000.000000 USDT")
    assert values["halted"] == [BTC]
    assert values["conservation"]["holds"]


def test_refused_events_are_counted_by_code(tmp_path: Path) -> None:
    case = crash_of(tmp_path)
    again = case.opening[case.opening["kind"] == EventKind.POSITION][:1]
    result = replay_case(replace(case, opening=np.concatenate([case.opening, again])))
    assert result.tally.refused == {Reject.POSITION_EXISTS: 1}
    assert result.as_json()["refused"] == {"position_exists": 1}
    assert "1 position_exists" in result.warnings[-1]


def test_progress_is_told(tmp_path: Path) -> None:
    seen: list[tuple[int, int, int]] = []
    case = crash_of(tmp_path)
    replay_case(case, progress=lambda *facts: seen.append(facts))
    total = len(case.opening) + len(case.prices.events)
    assert seen[-1][:2] == (total, total)


def test_broken_conservation_is_seen() -> None:
    state = new_state(small_venue().rules)
    assert conservation_of(state).holds
    state.house[0] += 1
    assert conservation_of(state).asset_atoms == (1,)
    state.positions[0].lots, state.positions[2].cost = 5, -7
    broken = conservation_of(state)
    assert (broken.market_lots, broken.market_cost_atoms, broken.holds) == ((5, 0), (0, -7), False)


def test_a_population_takes_only_markets_that_have_a_price(tmp_path: Path) -> None:
    venue = small_venue()
    prices = read_prices(write(tmp_path / "p.csv", f"time,market,mark\n{START},{ETH},4000\n{START + SECOND},{ETH},3000\n"), venue)
    case = case_of_population(venue, prices, replace(default_parameters(), accounts=300), seed=3)
    positions = case.opening[case.opening["kind"] == EventKind.POSITION]
    assert set(positions["market"].tolist()) == {1}
    result = replay_case(case)
    assert (result.accounts, result.markets, result.seed) == (300, 1, 3)
    assert result.tally.defaults > 0
    assert result.conservation.holds


def test_a_scenario_runs_on_the_markets_that_the_venue_has_of_it() -> None:
    prices, schedule = scenario_prices(small_venue(), scenario("2025-10-10"), seed=1)
    assert sorted(prices.markets) == [0, 1]
    assert set(schedule["market"].tolist()) == {0, 1}
    other = replace(small_venue(), markets=tuple(replace(market, symbol=f"X{market.symbol}") for market in small_venue().markets))
    with pytest.raises(ValueError, match="the venue has no market of scenario 2025-10-10"):
        scenario_prices(other, scenario("2025-10-10"), seed=1)


def test_impact_moves_later_marks(tmp_path: Path) -> None:
    case = crash_of(tmp_path)
    assert replay_case(case, impact=True).digest != replay_case(case).digest


def test_outside_events_alone_may_be_replayed(tmp_path: Path) -> None:
    case = crash_of(tmp_path)
    result = replay(case.venue, case.prices.events, case.opening[:0])
    assert (result.accounts, result.outside_events) == (0, len(case.prices.events))


def test_the_manifest_names_the_bytes_that_were_read(tmp_path: Path) -> None:
    """A file that changes while it is read is refused; so is one that was not there before."""
    one, two = write(tmp_path / "one.csv", "a"), write(tmp_path / "two.csv", "b")
    with hashed_inputs(prices=[one, two], accounts=[None]) as details:
        one.read_bytes()
    names = {"prices_file": "one.csv", "prices_2_file": "two.csv"}
    hashes = {f"{key}_sha256": hashlib.sha256(text).hexdigest() for key, text in (("prices", b"a"), ("prices_2", b"b"))}
    assert details == names | hashes
    with pytest.raises(FeedError, match=r"two\.csv: changed while it was read"), hashed_inputs(prices=[one, two]):
        write(two, "c")
    with pytest.raises(FeedError, match=r"three\.csv: changed while it was read"), hashed_inputs(prices=[tmp_path / "three.csv"]):
        write(tmp_path / "three.csv", "c")


def test_the_error_of_a_reader_comes_before_that_of_its_hash(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="refused"), hashed_inputs(prices=[tmp_path / "nothing.csv"]):
        raise ValueError("refused")
