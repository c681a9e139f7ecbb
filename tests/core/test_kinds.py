"""The table of kinds: it covers every kind, and views read each field from the column that it
declares.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from backstop.core.events import EFFECT, EVENT, AdlClass, EffectKind, EventKind
from backstop.core.kinds import (
    EFFECT_VIEWS,
    EVENT_VIEWS,
    AdlClassEffect,
    AdlFillEffect,
    AdlPlanEffect,
    CodeField,
    Columns,
    EffectView,
    EventView,
    Field,
    Unit,
    effect_view,
    event_view,
)
from backstop.core.waterfall import certificate

VIEWS = [*EVENT_VIEWS.values(), *EFFECT_VIEWS.values()]
View = type[EventView[int]] | type[EffectView[int]]
COLUMNS = ("code", "market", "account", "other", "lots", "price_ticks", "amount", "value")


def named(view: View) -> str:
    return view.__name__


def distinct_row(view: View) -> NDArray[np.void]:
    """Return one row of a kind with another value in every column; where a field is a code, a
    member of its enum.
    """
    dtype = EVENT if issubclass(view, EventView) else EFFECT
    rows = np.zeros(1, dtype=dtype)
    for place, column in enumerate(dtype.names or ()):
        rows[column] = 101 + place
    for place, field in enumerate(view.fields):
        if field.codes is not None:
            rows[field.column] = list(field.codes)[place % len(field.codes)]
    rows["kind"] = view.kind
    return rows


def test_every_kind_is_declared() -> None:
    assert list(EVENT_VIEWS) == list(EventKind)
    assert list(EFFECT_VIEWS) == list(EffectKind)


@pytest.mark.parametrize("view", VIEWS, ids=named)
def test_a_class_is_named_by_its_kind(view: View) -> None:
    suffix = "Event" if issubclass(view, EventView) else "Effect"
    assert view.__name__ == view.kind.name.title().replace("_", "") + suffix


@pytest.mark.parametrize("view", VIEWS, ids=named)
def test_fields_stand_in_columns_of_the_row_and_no_two_in_one(view: View) -> None:
    columns = [field.column for field in view.fields]
    assert len(set(columns)) == len(columns)
    assert set(columns) <= set(COLUMNS[:-1] if issubclass(view, EventView) else COLUMNS)
    assert all(field.meaning.endswith(".") for field in view.fields)
    assert view.sentence().endswith(".")
    assert "\n" not in view.sentence()


@pytest.mark.parametrize("view", VIEWS, ids=named)
def test_a_unit_is_that_of_the_column_where_the_column_has_one(view: View) -> None:
    units = {"code": {Unit.CODE, Unit.RULE, Unit.ASSET}, "market": {Unit.MARKET}, "account": {Unit.ACCOUNT, Unit.HOLDER, Unit.VARIES}}
    for field in view.fields:
        assert field.unit in units.get(field.column, set(Unit))
        assert (field.unit == Unit.CODE) == (field.codes is not None) == isinstance(field, CodeField)


@pytest.mark.parametrize("view", VIEWS, ids=named)
def test_a_view_of_one_row_reads_each_field_from_its_column(view: View) -> None:
    rows = distinct_row(view)
    read = view(rows[0]).named()
    assert list(read) == [field.name for field in view.fields]
    assert read == {field.name: int(rows[field.column][0]) for field in view.fields}
    assert len(set(read.values())) == len(read)
    for field in view.fields:
        assert type(read[field.name]) is (int if field.codes is None else field.codes)


@pytest.mark.parametrize("view", VIEWS, ids=named)
def test_a_view_of_a_mapping_reads_the_same(view: View) -> None:
    row = distinct_row(view)[0]
    assert view({name: int(row[name]) for name in row.dtype.names}).named() == view(row).named()


@pytest.mark.parametrize("view", VIEWS, ids=named)
def test_columns_are_those_of_the_rows_of_the_kind(view: View) -> None:
    row = distinct_row(view)
    other = row.copy()
    other["kind"] += 1
    several = view(np.concatenate([row, other, row]))
    assert len(several) == 2
    for name, column in several.named().items():
        expected = [int(view(row[0]).named()[name])] * 2
        assert isinstance(column, np.ndarray)
        assert column.dtype == np.int64
        assert column.tolist() == expected


@pytest.mark.parametrize("view", VIEWS, ids=named)
def test_each_row_of_the_kind_is_viewed_in_turn(view: View) -> None:
    row = distinct_row(view)
    other = row.copy()
    other["kind"] += 1
    later = row.copy()
    later["seq"] += 1
    assert [one.seq for one in view.each(np.concatenate([row, other, later]))] == [101, 102]


@pytest.mark.parametrize("view", VIEWS, ids=named)
def test_the_view_of_a_row_is_that_of_its_kind(view: View) -> None:
    row = distinct_row(view)[0]
    found = event_view(row) if issubclass(view, EventView) else effect_view(row)
    assert type(found) is view
    assert found == view(row)
    assert found.seq == 101


def test_a_row_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind was 10, must be 11 for AdlFillEffect"):
        AdlFillEffect({"kind": EffectKind.ADL_CLASS})


def test_a_kind_that_nobody_declared_is_refused() -> None:
    with pytest.raises(ValueError, match="99"):
        effect_view({"kind": 99})


def test_views_differ_where_a_declared_column_does() -> None:
    rows = np.repeat(distinct_row(AdlFillEffect), 2)
    assert AdlFillEffect(rows[0]) == AdlFillEffect(rows[1])
    rows["price_ticks"][1] += 1
    assert AdlFillEffect(rows[0]) != AdlFillEffect(rows[1])


def test_an_adl_fill_says_its_cap_and_weight() -> None:
    row = {"seq": 1, "kind": 11, "code": 1, "market": 2, "account": 3, "other": 4, "lots": 5, "price_ticks": 6, "amount": 7, "value": 8}
    fill = AdlFillEffect(row)
    assert (fill.account, fill.defaulter, fill.market, fill.lots, fill.cash) == (3, 4, 2, 5, 7)
    assert (fill.adl_class, fill.cap_lots, fill.weight) == (AdlClass.PROFITABLE, 6, 8)


def test_a_field_of_the_class_says_where_it_stands() -> None:
    cap: Field = AdlFillEffect.cap_lots
    assert (cap.name, cap.column, cap.unit) == ("cap_lots", "price_ticks", Unit.LOTS)
    assert AdlFillEffect.field_of("price_ticks") is cap
    assert AdlFillEffect[Columns](np.zeros(3, dtype=EFFECT)).cap_lots.tolist() == []


def test_which_events_need_a_market() -> None:
    assert {kind for kind, view in EVENT_VIEWS.items() if view.needs_market()} == {
        EventKind.POSITION,
        EventKind.FILL,
        EventKind.MARK,
        EventKind.INDEX,
        EventKind.VOLUME,
        EventKind.DEPTH,
        EventKind.ORDER_FILL,
        EventKind.HEARTBEAT,
        EventKind.FUNDING,
        EventKind.SETTLEMENT,
        EventKind.LISTING,
    }


@pytest.mark.parametrize(
    ("named_tuple", "view"),
    [(certificate._Plan, AdlPlanEffect), (certificate._Head, AdlClassEffect), (certificate._Fill, AdlFillEffect)],
    ids=lambda each: each.__name__,
)
def test_the_certificate_reads_rows_by_the_names_of_the_table(named_tuple: type[NamedTuple], view: type[EffectView[int]]) -> None:
    assert named_tuple._fields == ("seq", *(field.name for field in view.fields))
