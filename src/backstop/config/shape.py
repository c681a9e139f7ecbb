"""The first pass: is every key known, present and of the right type? Says so in the file's own
words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from backstop.config.findings import Finding, did_you_mean
from backstop.config.schema import (
    AssetSection,
    BreakersSection,
    GroupSection,
    GuardSection,
    LevelsSection,
    LimitsSection,
    MarketSection,
    ProviderSection,
    ProvidersSection,
    VenueFile,
    VenueSection,
    WaterfallStage,
)
from backstop.config.stages import STAGES, key_of

__all__ = ["Pieces", "check_shape", "name_of", "pieces_of"]

Section = TypeVar("Section", bound=BaseModel)

_STAGES = tuple(map(key_of, STAGES))
_STAGE: TypeAdapter[Any] = TypeAdapter(WaterfallStage)
#: Lists of the file, and the key by which people know an entry.
_NAMED_BY = {"asset": "name", "waterfall": "stage", "group": "name", "provider": "name", "market": "symbol"}
_ENTRY = re.compile(r"(\w+)\[(\d+)\]\.(.+)")


@dataclass
class Pieces:
    """The sections that have the right shape, independent of the others."""

    venue: VenueSection | None = None
    #: None where one of them is malformed.
    assets: list[AssetSection] | None = None
    #: The file has a list of them, be it of one.
    has_asset_list: bool = False
    levels: LevelsSection | None = None
    limits: LimitsSection | None = None
    #: Number and section of each stage that is well formed.
    waterfall: list[tuple[int, Any]] = field(default_factory=list)
    #: The stages in their order; None where one has no name that is known, so that the order cannot
    #: be judged.
    stages: list[str] | None = None
    markets: list[tuple[int, MarketSection]] = field(default_factory=list)
    breakers: BreakersSection | None = None
    guard: GuardSection | None = None
    answers: ProvidersSection | None = None
    #: None where one of them is malformed.
    groups: list[GroupSection] | None = None
    providers: list[ProviderSection] | None = None


def pieces_of(raw: Mapping[str, Any]) -> Pieces:
    """Return the sections of a file that have the right shape."""
    pieces = Pieces(
        venue=_try(VenueSection, raw.get("venue")),
        assets=_try_all(AssetSection, raw["asset"] if isinstance(raw.get("asset"), list) else [raw.get("asset")]),
        has_asset_list=isinstance(raw.get("asset"), list),
        levels=_try(LevelsSection, raw.get("levels", {})),
        limits=_try(LimitsSection, raw.get("limits", {})),
        breakers=_try(BreakersSection, raw.get("breakers", {})),
        guard=_try(GuardSection, raw.get("guard", {})),
        answers=_try(ProvidersSection, raw.get("providers", {})),
        groups=_try_all(GroupSection, raw.get("group", [])),
        providers=_try_all(ProviderSection, raw.get("provider", [])),
    )
    _add_stages(pieces, raw.get("waterfall"))
    markets = raw.get("market")
    for number, market in enumerate(markets if isinstance(markets, list) else []):
        section = _try(MarketSection, market)
        if section is not None:
            pieces.markets.append((number, section))
    return pieces


def _add_stages(pieces: Pieces, stages: object) -> None:
    if not isinstance(stages, list) or not stages:
        return
    for number, stage in enumerate(stages):
        try:
            pieces.waterfall.append((number, _STAGE.validate_python(stage)))
        except ValidationError:
            continue
    names = [stage["stage"] for stage in stages if isinstance(stage, dict) and stage.get("stage") in _STAGES]
    if len(names) == len(stages):
        pieces.stages = names


def _try(model: type[Section], raw: object) -> Section | None:
    try:
        return model.model_validate(raw)
    except ValidationError:
        return None


def _try_all(model: type[Section], raw: object) -> list[Section] | None:
    sections = [_try(model, entry) for entry in raw] if isinstance(raw, list) else [None]
    whole = [section for section in sections if section is not None]
    return whole if len(whole) == len(sections) else None


def check_shape(raw: Mapping[str, Any]) -> tuple[list[Finding], Mapping[str, Any]]:
    """Return every key that is unknown, missing or of the wrong type; and the file without the
    unknown ones.

    A key that was misspelt has its right name there, so that it does not hide what else is wrong
    with its section.
    """
    try:
        VenueFile.model_validate(raw)
    except ValidationError as error:
        return _findings(raw, error.errors(include_url=False))
    return [], raw


def name_of(raw: Mapping[str, Any], key: str) -> str:
    """Return the name that people use for the list entry of a key: a market's symbol, a stage, a
    name; empty without one.
    """
    match = _ENTRY.fullmatch(key)
    if match is None or match[1] not in _NAMED_BY or match[3] == _NAMED_BY[match[1]]:
        return ""
    name = _at(raw, [match[1], int(match[2]), _NAMED_BY[match[1]]])
    return name if isinstance(name, str) else ""


def _findings(raw: Mapping[str, Any], errors: list[ErrorDetails]) -> tuple[list[Finding], Mapping[str, Any]]:
    findings = []
    meant: set[str] = set()
    mended: Any = raw
    for error in errors:
        if error["type"] == "extra_forbidden":
            path = _path(raw, error["loc"])
            finding, near = _unknown(raw, path)
            if near:
                meant.add(_key([*path[:-1], near]))
            mended = _mended(mended, path, near)
            findings.append(finding)
    for error in errors:
        path = _path(raw, error["loc"])
        if error["type"] == "extra_forbidden" or (error["type"] == "missing" and _key(path) in meant):
            continue
        findings.append(_wrong(raw, path, error))
    return findings, mended


def _mended(node: Any, path: list[int | str], near: str) -> Any:
    """Return a table without an unknown key; under the name that was meant, where there is one and
    it is free.
    """
    copy = node.copy()
    if len(path) > 1:
        copy[path[0]] = _mended(node[path[0]], path[1:], near)
        return copy
    value = copy.pop(path[0])
    if near:
        copy.setdefault(near, value)
    return copy


def _path(raw: Any, loc: tuple[int | str, ...]) -> list[int | str]:
    """Return the place of an error in the file, without the tags that a union adds to it."""
    path: list[int | str] = []
    for step in loc:
        if len(path) == 2 and path[0] == "waterfall" and step in _STAGES:
            continue
        if path == ["asset"] and step in ("one", "several"):
            continue
        path.append(step)
    return path


def _key(path: list[int | str]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _at(raw: Any, path: list[int | str]) -> Any:
    for step in path:
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return ""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _unknown(raw: Mapping[str, Any], path: list[int | str]) -> tuple[Finding, str]:
    """Return the finding, and the known key that was probably meant."""
    word = str(path[-1])
    if path[0] == "collateral" or word == "collateral":
        return Finding(_key(path), "collateral other than the settlement asset is not supported yet: remove it"), ""
    known = _known(raw, path[:-1])
    hint = did_you_mean(word, known)
    right = hint or f"known here: {', '.join(known)}"
    return Finding(_key(path), f"unknown key: {right}", _shown(_at(raw, path))), hint.split("`")[1] if hint else ""


def _known(raw: Mapping[str, Any], path: list[int | str]) -> list[str]:
    """Return the keys that are known in a section of the file."""
    model: Any = VenueFile
    for depth, step in enumerate(path):
        if isinstance(step, int):
            continue
        model = _model_in(model.model_fields[step].annotation, _at(raw, path[: depth + 2]))
        if model is None:
            return []
    return list(model.model_fields)


def _model_in(annotation: Any, raw: Any) -> Any:
    """Return the section's class inside an annotation; of several, the one of the stage at hand."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = [_model_in(inner, raw) for inner in get_args(annotation) if inner is not None]
    found = [model for model in found if model is not None]
    if get_origin(annotation) in (Union, UnionType, Annotated, list) and found:
        stage = raw.get("stage") if isinstance(raw, dict) else None
        for model in found:
            tag = model.model_fields.get("stage")
            if tag is not None and get_args(tag.annotation) == (stage,):
                return model
        return found[0]
    return None


def _wrong(raw: Mapping[str, Any], path: list[int | str], error: ErrorDetails) -> Finding:
    key, value = _key(path), _at(raw, path)
    match error["type"]:
        case "missing":
            return Finding(key, "missing: it has no default")
        case "union_tag_not_found":
            return Finding(key, f"stage is missing: must be one of {', '.join(_STAGES)}")
        case "union_tag_invalid":
            stage = _at(raw, [*path, "stage"])
            hint = did_you_mean(str(stage), _STAGES)
            return Finding(f"{key}.stage", f"must be one of {', '.join(_STAGES)}" + (f"; {hint}" if hint else ""), _shown(stage))
        case "value_error":
            return Finding(key, error["msg"].removeprefix("Value error, "), _shown(value))
    message = error["msg"].replace("Input should be", "must be").replace("List should", "must").replace("String should", "must")
    return Finding(key, message, _shown(value))
