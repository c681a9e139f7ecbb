"""The statement of the insurance funds: from the postings alone, and equal to what the state
holds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backstop.core.events import Cause, uncovered_of
from backstop.journal import Names
from backstop.runs.replay import ReplayResult, replay_case
from backstop.runs.statement import _MOVE, By, Statement, statements_of
from tests.feeds.samples import BTC
from tests.runs.test_replay import crash_of
from tests.runs.venues import full_venue

USDT = 10**6


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ReplayResult]:
    folder = tmp_path_factory.mktemp("statement")
    case = crash_of(folder, full_venue(closeout='account_notional_max = "30000"'))
    return folder / "journal.db", replay_case(case, journal_path=folder / "journal.db")


def test_balances_agree_with_the_state(kept: tuple[Path, ReplayResult]) -> None:
    path, result = kept
    statements = statements_of(path)
    assert [(each.group, each.opening, each.closing) for each in statements] == [
        (fund.group, fund.opening_atoms, fund.closing_atoms) for fund in result.funds
    ]
    assert statements[0].closing < statements[0].opening == 100_000 * USDT
    assert (statements[1].group, statements[1].lines(), statements[1].closing) == ("others", [], 7_000 * USDT)


def test_every_movement_stands_in_one_line(kept: tuple[Path, ReplayResult]) -> None:
    path, result = kept
    whole = statements_of(path)[0]
    for by in By:
        lines = whole.lines(by)
        assert sum(line.received - line.paid for line in lines) == whole.closing - whole.opening
        assert sum(line.movements for line in lines) == len(whole.moves)
    causes = {line.cause: line for line in whole.lines()}
    assert set(causes) <= {Cause.LIQUIDATION_FEE, Cause.SUPPORT, Cause.DEFICIT, Cause.TEAR_UP}
    paid = sum(line.paid for line in causes.values())
    assert f"{whole.venue.asset.text(paid)} USDT" == next(row["paid"] for row in result.as_json()["stages"] if row["name"] == "fund")
    markets = {line.about for line in whole.lines(By.MARKET)}
    assert BTC in markets
    assert markets <= {BTC, "no market"}
    assert {line.about for line in whole.lines(By.ACCOUNT)} <= {f"long{number}" for number in range(10)}


def statement_of(opening: int, *moves: tuple[int, Cause]) -> Statement:
    """A fund with a movement a second, in whole units."""
    rows = np.zeros(len(moves), dtype=_MOVE)
    for second, (row, (amount, cause)) in enumerate(zip(rows, moves, strict=True), start=1):
        row["time_ns"], row["amount"], row["cause"], row["market"], row["other"] = second * 10**9, amount, cause, -1, -2
    return Statement(full_venue(), Names(), "majors", 0, 99 * 10**9, opening, rows)


def test_peak_low_and_drawdown_by_hand() -> None:
    fund = statement_of(100, (20, Cause.LIQUIDATION_FEE), (-30, Cause.SUPPORT), (-60, Cause.DEFICIT), (90, Cause.LIQUIDATION_FEE))
    assert fund.balances.tolist() == [100, 120, 90, 30, 120]
    assert (fund.peak.atoms, fund.peak.time_ns) == (120, 10**9)
    assert (fund.low.atoms, fund.low.time_ns) == (30, 3 * 10**9)
    assert fund.drawdowns_ppm().tolist() == [0, 0, 250_000, 750_000, 0]
    values = fund.as_json(By.CAUSE)
    assert (values["drawdown_ppm"], values["drawdown_largest"]) == (0, {"ppm": 750_000, "time": "1970-01-01T00:00:03Z"})


def test_money_put_in_or_taken_out_is_no_gain_and_no_loss() -> None:
    fund = statement_of(100, (-50, Cause.CASH), (-10, Cause.SUPPORT), (160, Cause.CASH), (-20, Cause.SUPPORT))
    # The peak goes with the money: 100, 50, 50, 210, 210.
    assert fund.drawdowns_ppm().tolist() == [0, 0, 200_000, 10 * 10**6 // 210, 30 * 10**6 // 210]


def test_an_empty_fund_has_no_drawdown() -> None:
    fund = statement_of(0, (5, Cause.LIQUIDATION_FEE), (-5, Cause.SUPPORT))
    assert fund.drawdowns_ppm().tolist() == [0, 0, 1_000_000]
    assert statement_of(0).drawdowns_ppm().tolist() == [0]
    assert statement_of(7).closing == 7


def test_arrears_are_told_with_the_group_that_they_are_of() -> None:
    fund = statement_of(9, (-5, Cause.ARREARS))
    fund.moves["other"] = uncovered_of(1)
    assert [(line.cause, line.about, line.paid) for line in fund.lines(By.ACCOUNT)] == [(Cause.ARREARS, "uncovered of others", 5)]


def test_who_moved_it_is_told_in_words() -> None:
    fund = statement_of(0, (5, Cause.CASH))
    (line,) = fund.lines(By.ACCOUNT)
    assert (line.about, line.received, line.paid, line.movements) == ("deposits and withdrawals", 5, 0, 1)
    assert fund.lines(By.MARKET)[0].about == "no market"
