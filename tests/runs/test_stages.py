"""Every stage beyond closeout and ADL, as a run is counted by it: against a plain count of the
journal.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backstop.config import Venue
from backstop.core.events import Cause, EffectKind, EventKind, ProviderStatus, fund_of
from backstop.journal import open_journal
from backstop.markets.population import PopulationError, default_parameters
from backstop.runs.cases import case_of_population
from backstop.runs.replay import ReplayResult, replay_case
from tests.feeds.samples import BTC, ETH
from tests.runs.test_replay import amount, case_of, crash_of, of_stage
from tests.runs.venues import full_venue

ATOM = Decimal(10) ** -6


def run(case: Any, folder: Path) -> tuple[Any, Any, ReplayResult]:
    """Return the journal's events and effects, and the result."""
    result = replay_case(case, journal_path=folder / "journal.db", overwrite=True)
    with open_journal(folder / "journal.db") as journal:
        batches = list(journal.batches())
    return np.concatenate([batch.events for batch in batches]), np.concatenate([batch.effects for batch in batches]), result


@pytest.fixture(scope="module")
def backed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, ReplayResult]:
    """The crash of ten longs, with providers to take over and little of a book."""
    folder = tmp_path_factory.mktemp("backed")
    return run(crash_of(folder, full_venue(closeout='account_notional_max = "1000"')), folder)


def test_takeovers_are_counted_at_the_mark_of_their_moment(backed: tuple[Any, Any, ReplayResult]) -> None:
    events, effects, result = backed
    factor = [market.notional_factor for market in result.venue.markets]
    mark, notional, edge, support, taken = 0, 0, 0, 0, set()
    by_seq: dict[int, list[Any]] = {}
    for effect in effects:
        by_seq.setdefault(int(effect["seq"]), []).append(effect)
    for event in events:
        if event["kind"] == EventKind.MARK:
            mark = int(event["price_ticks"])
        for effect in by_seq.get(int(event["seq"]), []):
            if effect["kind"] == EffectKind.TAKEOVER:
                at_mark = -int(effect["lots"]) * mark * factor[0]
                notional += abs(at_mark)
                edge += at_mark - int(effect["amount"])
                support += int(effect["value"])
                taken.add(int(effect["account"]))
    values = result.as_json()
    assert notional > 0
    assert edge > 0
    assert support > 0
    assert of_stage(result, "takeover")["accounts"] == len(taken) > 0
    assert amount(of_stage(result, "takeover")["notional"]) == notional * ATOM
    assert amount(values["takeover"]["below_mark"]) == edge * ATOM
    assert amount(values["takeover"]["support"]) == support * ATOM
    assert values["takeover"]["takeovers"] == int((effects["kind"] == EffectKind.TAKEOVER).sum())
    assert values["takeover"]["offers"] == int((effects["kind"] == EffectKind.OFFER).sum())


def test_providers_are_shown_by_name_with_what_they_took_and_gained(backed: tuple[Any, Any, ReplayResult]) -> None:
    _, effects, result = backed
    rows = result.as_json()["providers"]
    assert [row["name"] for row in rows] == ["provider:first", "provider:second", "provider:vault"]
    assert [row["account"] for row in rows] == [11, 12, 13]
    assert [row["vault"] for row in rows] == [False, False, True]
    takeovers = effects[effects["kind"] == EffectKind.TAKEOVER]
    assert [row["takeovers"] for row in rows] == [int((takeovers["price_ticks"] == number).sum()) for number in range(3)]
    assert sum(amount(row["notional"]) for row in rows) == amount(of_stage(result, "takeover")["notional"])
    assert sum(amount(row["below_mark"]) for row in rows) == amount(result.as_json()["takeover"]["below_mark"])
    # The mark does not move any more: a provider gained what it got the positions for below it, the
    # vault less what selling cost.
    for row in rows[:2]:
        assert amount(row["profit"]) == amount(row["below_mark"]) > 0
        assert row["status"] == "on"
    assert amount(rows[0]["equity"]) == 600_000 + amount(rows[0]["profit"])
    assert amount(rows[0]["open_notional"]) == amount(rows[0]["notional"])


def test_the_vault_disposes_of_what_it_took(backed: tuple[Any, Any, ReplayResult]) -> None:
    _, effects, result = backed
    fills = effects[(effects["kind"] == EffectKind.TRADE) & (effects["code"] == Cause.DISPOSAL) & (effects["account"] >= 0)]
    assert set(fills["account"].tolist()) == {13}
    worth = sum(abs(int(row["lots"])) * int(row["price_ticks"]) for row in fills) * result.venue.markets[0].notional_factor
    assert result.as_json()["disposal"] == {"fills": len(fills), "notional": f"{worth * ATOM:.6f} USDT"}
    assert len(fills) > 0


def test_providers_that_never_answer_fail(tmp_path: Path) -> None:
    venue = full_venue(closeout='account_notional_max = "0"', more='[providers]\nanswer = "silent"\n')
    _, effects, result = run(crash_of(tmp_path, venue), tmp_path)
    rows = result.as_json()["providers"]
    failures = [row["failures"] for row in rows]
    # Every change of a provider that came of a failure has a lower score than the one before.
    for number, count in enumerate(failures):
        scores = effects[(effects["kind"] == EffectKind.PROVIDER) & (effects["other"] == number)]["amount"]
        assert count == int((np.diff(scores) < 0).sum())
    assert failures[0] > 0
    assert failures[2] == 0
    assert rows[0]["takeovers"] == 0
    assert result.as_json()["takeover"]["failures"] == sum(failures)


def test_failures_are_counted_by_their_scores(tmp_path: Path) -> None:
    from backstop.core.events import EFFECT, EVENT
    from backstop.runs.backers import BackerTally
    from backstop.runs.fold import Fold

    rows = np.zeros(6, dtype=EFFECT)
    scores = [1_000_000, 750_000, 750_000, 0, 585_938, 585_938]
    for row, score_ppm in zip(rows, scores, strict=True):
        row["kind"], row["amount"] = EffectKind.PROVIDER, score_ppm
        if score_ppm == 0:
            row["kind"], row["other"] = EffectKind.TAKEOVER, 77
    fold = Fold(full_venue())
    tally = fold.join(BackerTally(fold.venue))
    fold.take(np.zeros(0, dtype=EVENT), rows)
    # Bound; a failure, and a status that ended; a takeover raises 750,000 by an eighth of what is
    # missing; a failure; a status.
    assert (tally.rows[0].failures, tally.rows[0].takeovers) == (2, 1)


def test_what_is_paid_for_a_provider_in_default_is_kept_apart() -> None:
    """Account 4 is a provider's, account 5 nobody's: both fall into default, and the fund pays 7 and
    9 for them; 2 of the provider's deficit nobody pays.
    """
    from backstop.core.events import EFFECT, EVENT, FUND, Health, Stage
    from backstop.runs.backers import BackerTally
    from backstop.runs.fold import Fold

    rows = np.zeros(6, dtype=EFFECT)
    told = [
        (EffectKind.PROVIDER, 1, 4, 1, 1_000_000),
        (EffectKind.HEALTH, int(Health.INSOLVENT), 4, int(Health.HEALTHY), -9),
        (EffectKind.HEALTH, int(Health.INSOLVENT), 5, int(Health.HEALTHY), -9),
        (EffectKind.POSTING, int(Cause.DEFICIT), 4, FUND, 7),
        (EffectKind.POSTING, int(Cause.DEFICIT), 5, FUND, 9),
        (EffectKind.RESIDUAL, 0, 4, 0, 2),
    ]
    for row, (kind, code, account, other, atoms) in zip(rows, told, strict=True):
        row["kind"], row["code"], row["account"], row["other"], row["amount"] = kind, code, account, other, atoms
    fold = Fold(full_venue())
    tally = fold.join(BackerTally(fold.venue))
    fold.take(np.zeros(0, dtype=EVENT), rows)
    assert [row.defaults for row in tally.rows] == [0, 1, 0]
    assert tally.rows[1].paid_for == {Stage.FUND: 7, None: 2}
    assert tally.paid_for == {Stage.FUND: 7, None: 2}


def test_funds_of_all_groups_are_counted(backed: tuple[Any, Any, ReplayResult]) -> None:
    events, effects, result = backed
    deposits = events[(events["kind"] == EventKind.TRANSFER) & (events["account"] < 0)]
    assert [(int(row["account"]), int(row["amount"])) for row in deposits] == [(fund_of(0), 10**11), (fund_of(1), 7 * 10**9)]
    fund = result.as_json()["fund"]
    assert [row["group"] for row in fund["groups"]] == ["majors", "others"]
    assert amount(fund["opening"]) == 107_000
    assert sum(amount(row["closing"]) for row in fund["groups"]) == amount(fund["closing"])
    assert fund["groups"][1]["closing"] == "7000.000000 USDT"
    paid = effects[(effects["kind"] == EffectKind.POSTING) & (effects["other"] == fund_of(0))]["amount"].sum()
    assert amount(of_stage(result, "fund")["paid"]) == int(paid) * ATOM > 0


def test_a_payment_of_another_groups_fund_is_a_payment_of_the_fund(tmp_path: Path) -> None:
    accounts = f"long,o,{ETH},100,4000\nshort,rich,{ETH},-100,4000\n"
    marks = [(0, ETH, "4000"), (1, ETH, "3900"), (2, ETH, "3590"), *[(second, ETH, "3590") for second in range(3, 60)]]
    venue = full_venue(providers=False, closeout='account_notional_max = "0"', adl=False)
    _, effects, result = run(case_of(tmp_path, accounts, "long,USDT,40000\nshort,USDT,900000\n", marks, venue), tmp_path)
    paid = effects[(effects["kind"] == EffectKind.POSTING) & (effects["other"] == fund_of(1))]["amount"].sum()
    assert amount(of_stage(result, "fund")["paid"]) == int(paid) * ATOM == 1_000
    assert result.funds[1].closing_atoms == 6_000 * 10**6


def socialised(tmp_path: Path) -> tuple[Any, Any, ReplayResult]:
    return run(crash_of(tmp_path, full_venue(providers=False, fund="40000", closeout='account_notional_max = "0"', adl=False)), tmp_path)


def test_what_the_fund_cannot_pay_is_charged_against_claims(tmp_path: Path) -> None:
    _, effects, result = socialised(tmp_path)
    values = result.as_json()
    haircuts = effects[effects["kind"] == EffectKind.HAIRCUT]
    charged = int(haircuts["amount"].sum()) * ATOM
    assert charged > 0
    assert values["socialise"] == {"accounts": 1, "charged": f"{charged:.6f} USDT"}
    assert of_stage(result, "socialise") == {"name": "socialise", "accounts": 1, "notional": "0.000000 USDT", "paid": f"{charged:.6f} USDT"}
    # Ten longs lost 10,000 each beyond what they had; the fund had 40,000; gains that were torn up
    # bear nothing.
    assert values["deficit"] == "100000.000000 USDT"
    assert amount(of_stage(result, "fund")["paid"]) == 40_000
    assert amount(values["uncovered"]) == 60_000 - charged
    issued = values["socialise"]["charged"]
    assert values["claims"] == {"issued": issued, "recovered": "0.000000 USDT", "outstanding": issued}


def test_claims_are_recovered_from_a_later_surplus(tmp_path: Path) -> None:
    case = crash_of(tmp_path, full_venue(providers=False, fund="40000", closeout='account_notional_max = "0"', adl=False))
    gift, clock = (np.zeros(1, dtype=case.opening.dtype) for _ in range(2))
    last_ns = int(case.prices.events["time_ns"][-1])
    gift["kind"], gift["account"], gift["market"], gift["amount"] = EventKind.TRANSFER, fund_of(0), -1, 10_000 * 10**6
    clock["kind"], clock["account"], clock["market"] = EventKind.CLOCK, -1, -1
    gift["time_ns"], clock["time_ns"] = last_ns, last_ns + 2 * 3_600 * 10**9
    prices = replace(case.prices, events=np.concatenate([case.prices.events, gift, clock]))
    rules = case.venue.rules
    # A target of nothing: all that the fund holds is surplus.
    venue = replace(case.venue, rules=rules._replace(funds=tuple(fund._replace(target=0) for fund in rules.funds)))
    result = replay_case(replace(case, prices=prices, venue=venue))
    values = result.as_json()
    claims = values["claims"]
    # All longs end together, so that gains bore the whole 60,000: nothing stood uncovered, and the
    # 10,000 that came later go to those who were charged. The other group's fund has a surplus, and
    # pays nothing.
    assert values["arrears"] == "0.000000 USDT"
    assert values["uncovered"] == "0.000000 USDT"
    assert claims["issued"] == "60000.000000 USDT"
    assert claims["recovered"] == "10000.000000 USDT"
    assert claims["outstanding"] == "50000.000000 USDT"
    assert [fund["closing"] for fund in values["fund"]["groups"]] == ["0.000000 USDT", "7000.000000 USDT"]
    assert result.conservation.holds


def test_linked_accounts_are_netted_before_anyone_pays(tmp_path: Path) -> None:
    accounts = f"long,both,{BTC},1,100000\nrest,both,,,\nshort,rich,{BTC},-1,100000\n"
    marks = [(0, BTC, "100000"), (1, BTC, "99000"), *[(second, BTC, "80000") for second in range(2, 60)]]
    venue = full_venue(providers=False, closeout='account_notional_max = "0"')
    result = replay_case(case_of(tmp_path, accounts, "long,USDT,10000\nrest,USDT,12000\nshort,USDT,900000\n", marks, venue))
    assert result.as_json()["netting"] == {"accounts": 1, "givers": 1, "amount": "10000.000000 USDT"}
    assert result.as_json()["deficit"] == "0.000000 USDT"


def test_a_venue_without_providers_has_none_to_show(tmp_path: Path) -> None:
    values = socialised(tmp_path)[2].as_json()
    assert values["providers"] == []
    assert values["takeover"]["takeovers"] == 0
    assert "takeover" not in [row["name"] for row in values["stages"]]


def test_standings_of_a_provider_that_was_never_bound() -> None:
    from backstop.core.state import new_state
    from backstop.runs.backers import standings_of

    standings = standings_of(new_state(full_venue().rules))
    assert [(standing.account, standing.status, standing.equity) for standing in standings] == [(-1, ProviderStatus.UNBOUND, 0)] * 3


def small(venue: Venue, accounts_max: int) -> Venue:
    return replace(venue, rules=venue.rules._replace(limits=venue.rules.limits._replace(accounts_max=accounts_max)))


def test_a_population_leaves_room_for_the_providers(tmp_path: Path) -> None:
    venue, prices = full_venue(), crash_of(tmp_path, full_venue()).prices
    parameters = replace(default_parameters(), accounts=50)
    case = case_of_population(small(venue, 53), prices, parameters, seed=1)
    assert list(case.names.accounts[-3:]) == list(case.names.owners[-3:]) == ["provider:first", "provider:second", "provider:vault"]
    assert len(case.names.accounts) == 53
    opened = case.opening[case.opening["kind"] == EventKind.ACCOUNT]
    assert opened["account"].tolist() == list(range(53))
    # Each has its own owner, who has no other account.
    assert opened["other"][-3:].tolist() == [len(case.names.owners) - 3 + number for number in range(3)]
    assert int(opened["other"][:-3].max()) == len(case.names.owners) - 4
    with pytest.raises(
        PopulationError, match=r"accounts = 50: must be at most 49, so that 3 providers find room within limits\.accounts_max, 52"
    ):
        case_of_population(small(venue, 52), prices, parameters, seed=1)
