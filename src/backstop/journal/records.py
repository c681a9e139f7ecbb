"""Events and effects as records with names, for programs: JSON objects, their JSON Schemas, and the
page of every kind.

All of it is made from ``core/kinds.py``. ``python -m backstop.journal.records --write ROOT`` writes
``schemas/event.schema.json``, ``schemas/effect.schema.json`` and
``docs/reference/events-and-effects.md`` under ROOT; a test compares.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np

from backstop.core.events import EFFECT, EVENT, EffectKind, EventKind
from backstop.core.kinds import EFFECT_VIEWS, EVENT_VIEWS, AnyField, EffectView, EventView

__all__ = ["page_text", "record_of", "schema_text", "write"]

AnyView = type[EventView[Any]] | type[EffectView[Any]]

_HEAD = """# Events and effects

Written from the code by `make generate`; do not edit. The declarations stand in
[`core/kinds.py`](../../src/backstop/core/kinds.py), the enums in
[`core/events.py`](../../src/backstop/core/events.py).

An event says what happened; an effect says what the outside must now do or know. Both are rows of
64 bytes. Every row has the same columns; what a column holds depends on the kind of the row. The
tables below name the fields of each kind and the column that holds each.

- A column that a kind does not list is 0. `market` and `account` are then NONE (-1).
- Amounts are integers: atoms of the settlement asset, lots and ticks of the market.
- A time is in nanoseconds since 1970. NEVER_NS (2^63 - 1) is later than every time.
- An account id is 0 or above. A ledger account of the house has a negative id.
- As JSON, a record has the fields by name, and the names of codes in lower case. JSON Schemas:
  [event](../../schemas/event.schema.json), [effect](../../schemas/effect.schema.json).

Python reads a row through the class of its kind, by the names below:

```python
from backstop.core.kinds import AdlFillEffect, Columns

fill = AdlFillEffect(row)  # one row
fill.cap_lots  # an int

many = AdlFillEffect[Columns]
many(effects).cap_lots  # an array: all rows of the kind
```
"""


def record_of(row: Mapping[str, int], *, is_event: bool) -> dict[str, Any]:
    """Return a row as a JSON object: its kind and its fields by name, as the JSON Schema says.

    Raises ``ValueError`` for a kind that nobody declared. A code without a name stays a number.
    """
    view: AnyView = EVENT_VIEWS[EventKind(row["kind"])] if is_event else EFFECT_VIEWS[EffectKind(row["kind"])]
    common = {field.name: field.of(row) for field in view.common}
    return {"kind": view.kind.name.lower(), **common, **{field.name: _said(field, field.of(row)) for field in view.fields}}


def _said(field: AnyField, number: int) -> int | str:
    return number if field.codes is None or number not in list(field.codes) else field.codes(number).name.lower()


def schema_text(*, is_event: bool) -> str:
    """Return the JSON Schema of events, or of effects: one object per kind."""
    views: list[AnyView] = list(EVENT_VIEWS.values()) if is_event else list(EFFECT_VIEWS.values())
    names = [view.kind.name.lower() for view in views]
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"backstop {'event' if is_event else 'effect'}",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in names],
        "$defs": {name: _object_schema(view) for name, view in zip(names, views, strict=True)},
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _object_schema(view: AnyView) -> dict[str, Any]:
    fields = (*view.common, *view.fields)
    return {
        "type": "object",
        "description": " ".join(view.sentence().split()),
        "properties": {"kind": {"const": view.kind.name.lower()}, **{field.name: _field_schema(view, field) for field in fields}},
        "required": ["kind", *(field.name for field in fields)],
        "additionalProperties": False,
    }


def _field_schema(view: AnyView, field: AnyField) -> dict[str, Any]:
    if field.codes is not None:
        names = {"enum": [code.name.lower() for code in field.codes]}
        # An event that was refused may have had a code that nobody knows.
        said = {"anyOf": [names, {"type": "integer"}]} if issubclass(view, EventView) else names
        return {**said, "description": field.meaning}
    return {"type": "integer", "description": field.meaning, "unit": field.unit.value}


def page_text() -> str:
    """Return the page of every kind of event and effect, with the enums that their codes are of."""
    parts = [_HEAD, *_row_part("event", EVENT), *_row_part("effect", EFFECT)]
    for title, views in (("Events", EVENT_VIEWS.values()), ("Effects", EFFECT_VIEWS.values())):
        parts.append(f"## {title}\n")
        for view in views:
            parts += _view_part(view)
    parts.append("## Codes\n")
    for codes in _enums():
        parts += _enum_part(codes)
    return "\n".join(parts)


def _row_part(name: str, dtype: np.dtype[Any]) -> Iterator[str]:
    yield f"## The row of an {name}\n"
    columns = [(column, dtype.fields[column]) for column in dtype.names or ()] if dtype.fields is not None else []
    rows = [f"| `{column}` | {place[1]} | int{8 * place[0].itemsize} |" for column, place in columns]
    yield "| column | byte | type |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _view_part(view: AnyView) -> Iterator[str]:
    yield f"### {view.kind.name} ({view.kind.value})\n"
    yield f"{' '.join(view.sentence().split())}\n"
    yield f"Class `{view.__name__}`.\n"
    if view.fields:
        yield "| field | column | unit | meaning |\n|---|---|---|---|\n" + "\n".join(map(_field_line, view.fields)) + "\n"


def _field_line(field: AnyField) -> str:
    unit = field.unit.value if field.codes is None else f"[{field.codes.__name__}](#{field.codes.__name__.lower()})"
    return f"| `{field.name}` | `{field.column}` | {unit} | {field.meaning} |"


def _enums() -> list[type[IntEnum]]:
    views: list[AnyView] = [*EVENT_VIEWS.values(), *EFFECT_VIEWS.values()]
    enums = {field.codes for view in views for field in view.fields if field.codes is not None}
    return sorted(enums, key=lambda codes: codes.__name__)


def _enum_part(codes: type[IntEnum]) -> Iterator[str]:
    yield f"### {codes.__name__}\n"
    yield f"{' '.join((codes.__doc__ or '').split())}\n"
    yield "| number | name |\n|---|---|\n" + "\n".join(f"| {code.value} | {code.name} |" for code in codes) + "\n"


def write(root: Path) -> list[Path]:
    """Write both schemas and the page under the repository's root; return their paths."""
    texts = {
        root / "schemas" / "event.schema.json": schema_text(is_event=True),
        root / "schemas" / "effect.schema.json": schema_text(is_event=False),
        root / "docs" / "reference" / "events-and-effects.md": page_text(),
    }
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--write":
        for written in write(Path(sys.argv[2])):
            sys.stderr.write(f"wrote {written}\n")
    else:
        sys.stdout.write(page_text())
