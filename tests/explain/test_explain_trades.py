"""The cash of trades explained to the atom, also where a price does not fit: a tape and an engine that
are off alike by one atom are found out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backstop.core.contract_terms import ContractKind
from backstop.core.events import NONE, Cause, EffectKind
from backstop.core.state import State, new_state
from backstop.explain.walk import decides, whom
from backstop.reference.records import events_array
from backstop.runs.history import apply_events
from tests.explain import test_explain_stages as stages
from tests.streams.random_streams import make_stream


def rounded(cause: Cause, seeds: range, profile: str, *, is_taker: bool) -> tuple[int, int, int]:
    """Return seed, seq and place within its event of the first trade of an inverse market of this cause that
    no price fits, and that is explained: something was decided about its account. ``is_taker``: of the
    account of the event, or of a defaulter, not of the other side.
    """
    for seed in seeds:
        rules, stream = make_stream(seed, profile)
        events = events_array(stream)
        effects = apply_events(new_state(rules), events)
        mine = (effects["kind"] == EffectKind.TRADE) & (effects["code"] == cause) & (effects["account"] >= 0)
        judged = decides(effects)
        decided = set(zip(effects["seq"][judged].tolist(), whom(effects)[judged].tolist(), strict=True))
        for place in np.flatnonzero(mine).tolist():
            row = effects[place]
            market = rules.markets[row["market"]]
            fits = int(row["lots"]) * market.notional_factor % int(row["price_ticks"] or 1) == 0
            is_told = (int(row["seq"]), int(row["account"])) in decided
            if market.contract_kind != ContractKind.INVERSE or fits or not is_told:
                continue
            event = events[int(np.argmax(events["seq"] == row["seq"]))]
            takes = event["account"] == row["account"] if cause == Cause.FILL else row["other"] == NONE
            if takes == is_taker:
                return seed, int(row["seq"]), place - int(np.argmax(effects["seq"] == row["seq"]))
    raise AssertionError(f"no such trade of cause {cause.name}")


@pytest.mark.parametrize(
    ("cause", "is_taker"), [(Cause.FILL, True), (Cause.FILL, False), (Cause.ADL, False), (Cause.TEAR_UP, True), (Cause.TEAR_UP, False)]
)
@pytest.mark.parametrize("off", [-1, 1])
def test_an_atom_too_much_or_too_little_is_found(cause: Cause, is_taker: bool, off: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seed, seq, place = rounded(cause, range(200), "inverse", is_taker=is_taker)
    assert stages.explained(seed, "inverse").checks_failed == []

    def forged(state: State, events: Any) -> Any:
        effects = apply_events(state, events)
        rows = np.flatnonzero(effects["seq"] == seq)
        if len(rows):
            effects["amount"][rows[place]] += off
        return effects

    monkeypatch.setattr(stages, "apply_events", forged)
    monkeypatch.setattr("backstop.explain.walk.apply_events", forged)
    failed = stages.explained(seed, "inverse").checks_failed
    assert any(each.startswith(f"seq {seq}, trade: cash: ") for each in failed), failed
