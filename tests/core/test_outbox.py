"""Emitters against the table of kinds: their parameters are a kind's fields, each written to its
column.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from backstop.core import outbox
from backstop.core.events import NONE, EffectKind
from backstop.core.kinds import EFFECT_VIEWS, EffectView
from backstop.core.state import new_state
from tests.core.desk import make_rules

VIEWS = list(EFFECT_VIEWS.values())


def emitter_of(kind: EffectKind) -> Callable[..., None]:
    """Return an emitter as plain Python: compiled, it is a part of its caller."""
    emitter: Any = getattr(outbox, f"emit_{kind.name.lower()}")
    plain: Callable[..., None] = getattr(emitter, "py_func", emitter)
    return plain


def test_there_is_an_emitter_for_each_kind_and_no_other() -> None:
    emitters = {name for name in outbox.__all__ if name.startswith("emit_")}
    assert emitters == {f"emit_{kind.name.lower()}" for kind in EffectKind}


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
def test_the_parameters_are_the_fields(view: type[EffectView[int]]) -> None:
    parameters = list(inspect.signature(emitter_of(view.kind)).parameters)
    assert parameters == ["state", *(field.name for field in view.fields)]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
def test_each_field_is_written_to_its_column_and_nothing_else_is(view: type[EffectView[int]]) -> None:
    state = new_state(make_rules())
    state.engine[0].last_seq = 77
    values = {field.name: 101 + place for place, field in enumerate(view.fields)}
    emitter_of(view.kind)(state, **values)
    assert state.engine[0].effects_now == 1
    row = state.effects[0]
    expected = dict.fromkeys(("code", "other", "lots", "price_ticks", "amount", "value"), 0) | {"market": NONE, "account": NONE}
    expected |= {field.column: values[field.name] for field in view.fields}
    assert {name: int(row[name]) for name in expected} == expected
    assert (int(row["seq"]), int(row["kind"])) == (77, view.kind)
    assert {field.name: field.of(row) for field in view.fields} == values
