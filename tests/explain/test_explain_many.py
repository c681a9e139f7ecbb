"""Events with many holders: rows made when they are looked at, losses found by their places, and
postings that are told together.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backstop.core.events import EFFECT, EffectKind
from backstop.explain import explain
from backstop.explain.audit import audit
from backstop.explain.losses import loss_places, told_of_losses
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


def test_a_loss_is_found_by_any_of_its_effects() -> None:
    """Two losses of one defaulter with a trade between, a third in another market group, then one of
    another defaulter.
    """
    cut, post, trade = EffectKind.HAIRCUT, EffectKind.POSTING, EffectKind.TRADE
    told = [(cut, 1), (post, 0), (cut, 1), (post, 0), (trade, 0), (cut, 1), (post, 0), (cut, 1), (post, 0), (cut, 2), (post, 0)]
    effects = np.zeros(len(told), EFFECT)
    effects["kind"], effects["other"] = zip(*told, strict=True)
    effects["market"][7] = 1
    places = loss_places(effects, [0, 1])
    assert [places.first(place) for place in (0, 1, 2, 3, 5, 6, 7, 8, 9, 10)] == [0, 0, 0, 0, 5, 5, 7, 7, 9, 9]
    assert places.of(0).tolist() == [0, 2]
    assert told_of_losses(effects, places).all()
    assert loss_places(effects[:0], [0, 1]).haircuts.tolist() == []


def test_a_loss_that_many_bear_is_told_by_its_first_postings(tmp_path: Path) -> None:
    """The defaulter sees the sum of all cuts, and 20 of the postings; each payer sees its own."""
    accounts = f"long,o,{BTC},7,100000\n" + "".join(f"short{number},p{number},{BTC},-0.1,100000\n" for number in range(PAYERS))
    cash = "long,USDT,70000\n" + "".join(f"short{number},USDT,2000\n" for number in range(PAYERS))
    marks = [(0, BTC, "100000"), (1, BTC, "99000"), *[(second, BTC, "80000") for second in range(2, 40)]]
    venue = full_venue(fund="1000", closeout='account_notional_max = "0"', adl=False, providers=False)
    replay_case(case_of(tmp_path, accounts, cash, marks, venue), journal_path=tmp_path / "journal.db")
    assert audit(tmp_path / "journal.db").failed == ()
    found = explain(tmp_path / "journal.db", "long")
    assert found.checks_failed == []
    postings = [fact for each in found.decisions for fact in each.facts if fact.kind == "posting" and "haircut" in fact.says]
    assert len(postings) == 20
    assert f"  {PAYERS} postings bring it; the first 20 are told" in postings[0].because
    assert found.sums["haircut"] == 69_000_000_000
    payer = explain(tmp_path / "journal.db", f"short{PAYERS - 1}")
    cuts = [fact for each in payer.decisions for fact in each.facts if fact.kind == "haircut"]
    assert len(cuts) == 1
    assert payer.checks_failed == []
