"""Records with names: JSON objects as their schemas say, and pages that are those of the code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backstop.core.events import EFFECT, EVENT, AdlClass, EffectKind, EventKind
from backstop.core.kinds import EFFECT_VIEWS, EVENT_VIEWS
from backstop.journal.records import page_text, record_of, schema_text
from tests.journal.runs import crash

ROOT = Path(__file__).parents[2]


def faults(record: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """Return what a record has wrong by the words of JSON Schema that ours use."""
    properties = schema["properties"]
    missing = [f"{name} is missing" for name in schema["required"] if name not in record]
    unknown = [f"{name} is unknown" for name in record if name not in properties]
    return missing + unknown + [f"{name} is {value!r}" for name, value in record.items() if not allows(properties.get(name, {}), value)]


def allows(schema: dict[str, Any], value: object) -> bool:
    if "anyOf" in schema:
        return any(allows(each, value) for each in schema["anyOf"])
    if "const" in schema:
        return bool(value == schema["const"])
    return value in schema["enum"] if "enum" in schema else type(value) is int


def test_committed_schemas_and_page_are_the_generated_ones() -> None:
    assert (ROOT / "schemas" / "event.schema.json").read_text(encoding="utf-8") == schema_text(is_event=True), "run make generate"
    assert (ROOT / "schemas" / "effect.schema.json").read_text(encoding="utf-8") == schema_text(is_event=False), "run make generate"
    page = ROOT / "docs" / "reference" / "events-and-effects.md"
    assert page.read_text(encoding="utf-8") == page_text(), "run make generate"


@pytest.mark.parametrize("is_event", [True, False])
def test_every_row_of_a_run_is_a_record_of_its_schema(*, is_event: bool) -> None:
    schemas = json.loads(schema_text(is_event=is_event))["$defs"]
    seen = set()
    for chunk in crash():
        rows = chunk.events if is_event else chunk.effects
        for row in rows:
            record = record_of(row, is_event=is_event)
            seen.add(record["kind"])
            assert faults(record, schemas[record["kind"]]) == []
            assert json.loads(json.dumps(record)) == record
    assert len(seen) >= 6


def test_a_record_that_lacks_a_field_or_has_another_is_none_of_the_schema() -> None:
    schema = json.loads(schema_text(is_event=False))["$defs"]["claim"]
    sound = {"kind": "claim", "seq": 1, "account": 2, "group": 0, "change": 3, "claim": 4}
    assert faults(sound, schema) == []
    assert faults({**sound, "amount": 3}, schema) == ["amount is unknown"]
    assert faults({name: value for name, value in sound.items() if name != "claim"}, schema) == ["claim is missing"]
    assert faults({**sound, "claim": "4"}, schema) == ["claim is '4'"]


def test_an_adl_fill_has_names() -> None:
    row = dict(zip(EFFECT.names or (), (9, 11, AdlClass.REST, 0, 3, 4, -5, 6, 7, 8), strict=True))
    assert record_of(row, is_event=False) == {
        "kind": "adl_fill",
        "seq": 9,
        "account": 3,
        "defaulter": 4,
        "market": 0,
        "lots": -5,
        "adl_class": "rest",
        "cash": 7,
        "cap_lots": 6,
        "weight": 8,
    }


def test_a_code_that_nobody_knows_stays_a_number_and_an_unknown_kind_is_no_record() -> None:
    row = dict.fromkeys(EVENT.names or (), 9) | {"kind": int(EventKind.ANSWER)}
    assert record_of(row, is_event=True) == {"kind": "answer", "seq": 9, "time_ns": 9, "offer_id": 9, "answer": 9}
    with pytest.raises(ValueError, match="99"):
        record_of(row | {"kind": 99}, is_event=True)


def test_the_page_names_every_kind_and_field() -> None:
    page = page_text()
    for view in (*EVENT_VIEWS.values(), *EFFECT_VIEWS.values()):
        assert f"### {view.kind.name} ({view.kind.value})" in page
        for field in view.fields:
            assert f"| `{field.name}` | `{field.column}` |" in page
    assert all(f"| {kind.value} | {kind.name} |" in page for kind in AdlClass)
    assert len(EffectKind) + len(EventKind) == page.count("Class `")


def test_line_breaks_of_the_source_stand_in_no_description() -> None:
    """Every description of the schemas is one line."""
    for is_event in (True, False):
        for said in json.loads(schema_text(is_event=is_event))["$defs"].values():
            assert "\n" not in said["description"]
            assert "  " not in said["description"]
