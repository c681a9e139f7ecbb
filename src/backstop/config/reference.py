"""The reference of the venue file, written from its classes: a JSON Schema and a page of every key.

``python -m backstop.config.reference --write ROOT`` writes ``schemas/venue.schema.json``,
``docs/reference/venue.md`` and ``docs/reference/parameters.md`` under ROOT; a test compares.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from backstop.config.quantise import decimal_text
from backstop.config.schema import (
    AssetSection,
    BookSection,
    BreakersSection,
    CommitmentSection,
    GroupSection,
    GuardSection,
    LevelsSection,
    LimitsSection,
    MarketBreakerSection,
    MarketSection,
    ProviderSection,
    ProvidersSection,
    TierRow,
    VenueFile,
    VenueSection,
    WaterfallStage,
    duration_text,
)
from backstop.core.parameter_table import PARAMETERS

__all__ = ["page_text", "parameters_text", "schema_text", "write"]

#: Width of the page's prose.
_COLUMNS = 100

_HEAD = """# The venue file

`make generate` writes this page from the code; do not edit it. The JSON Schema is
[`schemas/venue.schema.json`](../../schemas/venue.schema.json). `backstop config init` writes a
commented file to start from. `backstop config check FILE` names every problem of a file.
`backstop config show FILE` prints the resolved whole with its hash.

- Unknown keys are refused. A key without a default is required.
- **decimal**: a text (`"0.001"`) or a number (`0.001`), read exactly, never as a float. Unit
  `asset` means the settlement asset, in whole atoms; `price` in whole ticks; `quantity` in whole
  lots.
- **duration**: a text of a whole number and one of `h`, `m`, `s`, `ms`, `us`, `ns`, as in `"30s"`.
- **ppm**: parts per million; 10000 ppm is 1 %.
- `hash` is the SHA-256 of the resolved file as JSON with sorted keys and no spaces: all spellings
  of one venue have the same hash.

## Conditions between keys

- `price_tick x quantity_lot x contract_size` is a whole number of atoms; of an inverse contract
  `quantity_lot x contract_size / price_tick` is.
- `price_max` is at most 2147483646 ticks.
- `position_max x price_max`, of an inverse contract `position_max x contract_size / price_min`, in
  atoms and summed over the markets, is at most 2^60. `position_max` in lots times `accounts_max` is
  below 2^62.
- Tiers begin at 0 and ascend without gap. Rates never fall, and maintenance is at most initial.
  Each deduction `floor x (rate - rate before) / 1e6 + deduction before` is a whole number of atoms.
  The highest maintenance rate times `warning_ratio` is below 1.
- `band_offset_ppm` ascends, and `book.depth` has as many entries.
- `warning_ratio` is from 1 + `exit_buffer` to 10; `close_out_ratio` is from 0 to 1.
- Each stage stands once and acts where it stands. `tear_up` is the last. `adl` before `closeout`,
  `takeover` or `fund` needs `solvent_pay_first = true`. `fund` comes after `restrict`, `closeout`
  and `takeover`, and `socialise` after all stages except `tear_up`.
- If the file has `group`, each group has its own fund, and the stage `fund` has no balance, cap or
  target.
- A `provider` commits at most once per group and direction. At most one provider is the vault.
- A breaker's throttle is at most its halt. Its exit is above 0 and at most the first of them.
  `window`, `recovery_interval` and `drawdown_window` are at least 16 ns.
"""


def _stage_sections() -> list[tuple[str, type[BaseModel]]]:
    """Return the sections of the stages, in the order of their union."""
    models = get_args(get_args(WaterfallStage)[0])
    return [(f'[[waterfall]] stage = "{get_args(model.model_fields["stage"].annotation)[0]}"', model) for model in models]


_SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("[venue]", VenueSection),
    ("[asset]", AssetSection),
    ("[levels]", LevelsSection),
    ("[limits]", LimitsSection),
    ("[breakers]", BreakersSection),
    ("[guard]", GuardSection),
    ("[providers]", ProvidersSection),
    *_stage_sections(),
    ("[[group]]", GroupSection),
    ("[[provider]]", ProviderSection),
    ("[[provider.commitment]]", CommitmentSection),
    ("[[market]]", MarketSection),
    ("tiers = [{ ... }] of a market", TierRow),
    ("[market.breaker]", MarketBreakerSection),
    ("[market.book]", BookSection),
)


def _one_line(text: str | None) -> str:
    """Return a docstring without the line breaks and indents that the source gives it."""
    return " ".join((text or "").split())


def schema_text() -> str:
    """Return the JSON Schema of a venue file."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **VenueFile.model_json_schema()}
    schema["title"] = "backstop venue file"
    for part in (schema, *schema["$defs"].values()):
        if "description" in part:
            part["description"] = _one_line(part["description"])
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def page_text() -> str:
    """Return the reference page of a venue file."""
    parts = [_HEAD]
    for title, model in _SECTIONS:
        parts.append(f"## `{title}`\n\n{textwrap.fill(_one_line(model.__doc__), _COLUMNS)}\n")
        rows = list(_rows(model))
        if rows:
            parts.append("| key | type | unit | default | meaning |\n|---|---|---|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


_PARAMETERS_HEAD = """# Parameters

`make generate` writes this page from the code; do not edit it. It lists every rule that is a
number, in the engine's units. [R10](../rules/10-parameters.md) says how a PARAMETER event changes
one that is not fixed. [The venue file](venue.md) has the keys that people write.

| number | rule | unit | least | most | default | fixed | meaning |
|---|---|---|---|---|---|---|---|
"""


def _bound_text(value: int | None) -> str:
    if value is None:
        return "required"
    is_power = value >= 1 << 28 and value & (value - 1) == 0
    return f"2^{value.bit_length() - 1}" if is_power else str(value)


def parameters_text() -> str:
    """Return the page of all rules that are numbers."""
    rows = []
    for number, rule in PARAMETERS.items():
        parameter = rule.parameter
        bounds = " | ".join(map(_bound_text, (parameter.low, parameter.high, parameter.default)))
        fixed = "yes" if parameter.is_fixed else ""
        rows.append(f"| {number} | `{rule.key}` | {parameter.unit.name.lower()} | {bounds} | {fixed} | {parameter.words} |")
    return _PARAMETERS_HEAD + "\n".join(rows) + "\n"


def write(root: Path) -> list[Path]:
    """Write the schema and the pages under the repository's root; return their paths."""
    texts = {
        root / "schemas" / "venue.schema.json": schema_text(),
        root / "docs" / "reference" / "venue.md": page_text(),
        root / "docs" / "reference" / "parameters.md": parameters_text(),
    }
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


def _rows(model: type[BaseModel]) -> Iterator[str]:
    for name, info in model.model_fields.items():
        if name == "stage":
            continue
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        kind = _kind(info)
        yield f"| `{name}` | {kind} | {extra.get('unit', '')} | {_default(name, info, kind)} | {info.description or ''} |"


def _kind(info: FieldInfo) -> str:
    annotation: Any = info.annotation
    return _kind_of_schema(info.metadata) or _kind_of(annotation)


def _kind_of_schema(metadata: Iterable[Any]) -> str:
    """Return the kind of a type that is written in a form of its own; empty for others."""
    schema = next((item.json_schema for item in metadata if hasattr(item, "json_schema")), None)
    return "" if schema is None else "duration" if schema.get("type") == "string" else "decimal"


def _kind_of(annotation: Any) -> str:
    if written := _kind_of_schema(getattr(annotation, "__metadata__", ())):
        return written
    inner = [item for item in get_args(annotation) if item is not type(None)]
    if get_origin(annotation) in (Union, UnionType):
        return _kind_of(inner[0])
    if get_origin(annotation) is list:
        return f"list of {_kind_of(inner[0])}"
    if get_origin(annotation) is Literal:
        return " or ".join(f'`"{item}"`' for item in inner)
    if inner:  # Annotated
        return _kind_of(inner[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    return {"str": "text", "int": "integer", "bool": "true or false", "Decimal": "decimal"}[annotation.__name__]


def _default(name: str, info: FieldInfo, kind: str) -> str:
    if info.is_required():
        return "required"
    if info.default_factory is not None:
        return "each key's own"
    if info.default is None:
        return "no cap" if name.endswith("_max") and kind != "duration" else "none"
    if isinstance(info.default, bool):
        return f"`{str(info.default).lower()}`"
    if kind == "duration":
        return f'`"{duration_text(info.default)}"`'
    if kind == "decimal":
        return f"`{decimal_text(info.default)}`"
    return f'`"{info.default}"`' if isinstance(info.default, str) else f"`{info.default}`"


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--write":
        for written in write(Path(sys.argv[2])):
            sys.stderr.write(f"wrote {written}\n")
    else:
        sys.stdout.write(page_text())
