"""Events with many holders: rows made when they are looked at, and losses found by their places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backstop.core.events import EFFECT, Cause, EffectKind, clearing_of
from backstop.explain import explain
from backstop.explain.audit import audit
from backstop.explain.losses import first_cuts, those_who_lack
from backstop.explain.rows import Rows
from backstop.runs.replay import replay_case
from tests.feeds.samples import BTC
from tests.runs.test_replay import case_of
from tests.runs.venues import full_venue

PAYERS = 70


def test_rows_are_those_of_the_array() -> None:
    effects = np.zeros(3_000, EFFECT)
    effects["seq"] = np.arange(3_000)
    rows = Rows(effects)
    assert len(rows) == 3_000
    assert rows[7] == dict(zip(EFFECT.names or (), effects[7].item(), strict=True))
    assert [row["seq"] for row in rows] == list(range(3_000))
    assert [row["seq"] for row in reversed(rows[:3])] == [2, 1, 0]
    with pytest.raises(IndexError):
        _ = rows[3_000]


def test_a_market_is_asked_once_and_found_by_its_first_cut() -> None:
    """Markets 0 and 1, of which somebody looked at is cut or gets something, and one who gets nothing."""
    cut, post = EffectKind.HAIRCUT, EffectKind.POSTING
    told = [
        (cut, 7, 0, 0),
        (cut, 8, 0, 0),
        (post, 1, Cause.HAIRCUT, 0),
        (post, 2, Cause.HAIRCUT, 0),
        (cut, 8, 0, 1),
        (post, 1, Cause.HAIRCUT, 1),
    ]
    effects = np.zeros(len(told) + 1, EFFECT)
    effects["kind"][:-1], effects["account"][:-1], effects["code"][:-1], effects["market"][:-1] = zip(*told, strict=True)
    effects["kind"][-1], effects["account"][-1], effects["code"][-1] = post, 3, Cause.UNCOVERED
    gets = (effects["kind"] == post) & (effects["code"] == Cause.HAIRCUT)
    effects["other"][gets] = [clearing_of(market) for market in effects["market"][gets]]
    assert [first_cuts(effects, [account]) for account in (1, 7, 9)] == [{0: 0, 1: 4}, {0: 0, 1: 4}, {}]
    assert first_cuts(effects[:0], [1]) == {}
    assert those_who_lack(effects, 0) == [1, 2, 3]


def test_a_loss_that_many_bear_is_one_posting_to_who_lacks(tmp_path: Path) -> None:
    """The defaulter gets all cuts at once; each payer sees its own."""
    accounts = f"long,o,{BTC},7,100000\n" + "".join(f"short{number},p{number},{BTC},-0.1,100000\n" for number in range(PAYERS))
    cash = "long,USDT,70000\n" + "".join(f"short{number},USDT,2000\n" for number in range(PAYERS))
    marks = [(0, BTC, "100000"), (1, BTC, "99000"), *[(second, BTC, "80000") for second in range(2, 40)]]
    venue = full_venue(fund="1000", closeout='account_notional_max = "0"', adl=False, providers=False)
    replay_case(case_of(tmp_path, accounts, cash, marks, venue), journal_path=tmp_path / "journal.db")
    assert audit(tmp_path / "journal.db").failed == ()
    found = explain(tmp_path / "journal.db", "long")
    assert found.checks_failed == []
    postings = [fact for each in found.decisions for fact in each.facts if fact.kind == "posting" and "haircut" in fact.says]
    assert len(postings) == 1
    assert any(f"{PAYERS} may be asked" in line for line in postings[0].because)
    assert found.sums["haircut"] == 69_000_000_000
    payer = explain(tmp_path / "journal.db", f"short{PAYERS - 1}")
    cuts = [fact for each in payer.decisions for fact in each.facts if fact.kind == "haircut"]
    assert len(cuts) == 1
    assert payer.checks_failed == []
