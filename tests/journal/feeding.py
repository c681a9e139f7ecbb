"""The crash of ``tests.journal.runs`` fed to an engine, batch by batch."""

from __future__ import annotations

from backstop.core.engine import step
from backstop.core.state import State
from tests.journal.runs import crash


def fed(state: State, first: int, last: int) -> list[bytes]:
    """Apply the crash's batches from ``first`` up to ``last``; return the effects of each."""
    effects = []
    for chunk in crash()[first:last]:
        assert step(state, chunk.events, 0) == len(chunk.events)
        engine = state.engine[0]
        effects.append(state.effects[: int(engine.effects_now)].tobytes())
        engine.effects_now = engine.effects_first = 0
    return effects
