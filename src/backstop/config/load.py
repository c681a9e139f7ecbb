"""From the text of a venue file to a ``Venue``, or to every reason why not.

Three passes, each collecting: the shape (``shape``), what each section says by itself in the
engine's integers (``sections``), and what only holds between them, here. What the passes accept
goes through the engine's own ``check_rules`` too, so that nothing depends on this room being right.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

from backstop.config.contradictions import contradictions, what_levelling_ignores
from backstop.config.findings import ConfigError, Finding
from backstop.config.markets import MarketPart, check_margins, read_market
from backstop.config.providers import read_providers
from backstop.config.schema import VenueFile
from backstop.config.sections import Parts, amount_text, read_sections, solvent_first, stage_names
from backstop.config.shape import check_shape, name_of, pieces_of
from backstop.config.toml import TomlError, parse_toml, read_utf8
from backstop.config.venue import Venue
from backstop.core.events import NONE, Answer
from backstop.core.instruments import NOTIONAL_ATOMS_MAX, PPM, VenueRules, check_rules

__all__ = ["default_text", "load_venue", "parse_venue"]


def default_text() -> str:
    """Return the bundled venue file."""
    return files("backstop.config").joinpath("venue.toml").read_text(encoding="utf-8")


def load_venue(path: str | Path) -> Venue:
    """Read a venue file; raise ``ConfigError`` with every problem found, or ``OSError``."""
    place = str(path)
    try:
        text = read_utf8(path, "venue file")
    except TomlError as error:
        raise ConfigError(place, [Finding("", str(error))]) from None
    return parse_venue(text, place)


def parse_venue(text: str, place: str = "venue.toml") -> Venue:
    """Read the text of a venue file; ``place`` names it in messages. Raises ``ConfigError``."""
    try:
        raw = parse_toml(text, Decimal)
    except TomlError as error:
        raise ConfigError(place, [Finding("", str(error))]) from None
    findings, mended = check_shape(raw)
    pieces = pieces_of(mended)
    parts = read_sections(pieces, findings)
    read_providers(pieces, parts, findings)
    markets = [read_market(number, section, pieces, parts, findings) for number, section in pieces.markets]
    whole = [part for part in markets if part is not None]
    check_margins(pieces, parts, findings)
    _check_between(parts, whole, findings)
    if findings:
        raise ConfigError(place, _named(raw, findings))
    file = VenueFile.model_validate(raw)
    venue = _venue(file, parts, whole, text, place)
    warnings = _named(raw, [*_warnings(file, parts, whole), *contradictions(venue.rules), *what_levelling_ignores(file)])
    return replace(venue, warnings=tuple(str(warning) for warning in warnings))


def _named(raw: Mapping[str, Any], findings: list[Finding]) -> list[Finding]:
    """Return each finding once, with the name of the stage, market, group or provider that it is
    of: places count from 0.
    """
    return list(dict.fromkeys(replace(each, about=each.about or name_of(raw, each.key)) for each in findings))


def _check_between(parts: Parts, markets: list[MarketPart], findings: list[Finding]) -> None:
    first: dict[str, str] = {}
    for market in markets:
        if market.spec.symbol in first:
            findings.append(Finding(f"{market.key}.symbol", f"is already at {first[market.spec.symbol]}", f'"{market.spec.symbol}"'))
        first.setdefault(market.spec.symbol, market.key)
    if parts.asset is None or not markets:
        return
    for number, asset in enumerate(parts.assets):
        mine = [market for market in markets if market.rules.settlement_asset == number]
        largest = [(market.notional_max, market.spec.symbol) for market in mine if market.notional_max <= NOTIONAL_ATOMS_MAX]
        total = sum(notional for notional, _ in largest)
        if total > NOTIONAL_ATOMS_MAX:
            names = " + ".join(f"{symbol} {amount_text(notional, asset)}" for notional, symbol in sorted(largest, reverse=True)[:4])
            names += " + ..." if len(largest) > 4 else ""
            findings.append(
                Finding(
                    "market",
                    f"the largest positions add up to {names} = {amount_text(total, asset)} {asset.name}:"
                    f" must be at most {amount_text(NOTIONAL_ATOMS_MAX, asset)} {asset.name} (2^60 atoms), so that sums never"
                    " overflow; lower position_max or price_max, or raise price_min",
                )
            )


#: What the simulated providers answer, by its name in the file.
_ANSWERS = {"accept": int(Answer.ACCEPT), "refuse": int(Answer.REFUSE), "silent": NONE}


def _venue(file: VenueFile, parts: Parts, markets: list[MarketPart], text: str, place: str) -> Venue:
    assert parts.assets
    assert parts.levels is not None
    assert parts.limits is not None
    rules = VenueRules(
        markets=tuple(part.rules for part in markets),
        levels=parts.levels,
        stages=parts.stages,
        closeout=parts.closeout,
        funds=parts.funds,
        fund=parts.fund,
        providers=parts.providers,
        takeover=parts.takeover,
        disposal=parts.disposal,
        breakers=parts.breakers,
        adl_policy=parts.adl_policy,
        adl=parts.adl,
        socialise_policy=parts.socialise_policy,
        assets=parts.asset_rules,
        limits=parts.limits,
        solvent_pay_first=file.venue.solvent_pay_first,
        epoch_ns=file.venue.epoch,
    )
    try:
        check_rules(rules)
    except ValueError as error:
        raise ConfigError(place, [Finding("", str(error))]) from None
    resolved = file.model_dump(mode="json", exclude_none=True)
    return Venue(
        name=file.venue.name,
        text=text,
        hash=_hash(resolved),
        resolved=resolved,
        rules=rules,
        assets=parts.assets,
        markets=tuple(part.spec for part in markets),
        books=tuple(part.book for part in markets),
        groups=parts.groups,
        fund_opening_atoms=parts.fund_opening_atoms,
        providers=parts.backers,
        provider_latency_ns=file.providers.latency,
        provider_answer=_ANSWERS[file.providers.answer],
    )


def _hash(resolved: dict[str, Any]) -> str:
    canonical = json.dumps(resolved, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def _warnings(file: VenueFile, parts: Parts, markets: list[MarketPart]) -> list[Finding]:
    """Return warnings for settings that are allowed and probably not meant."""
    found = []
    names = stage_names(file.waterfall)
    has_closeout = "closeout" in names
    for market in markets:
        floor_rate = min(tier.maintenance_rate_ppm for tier in market.rules.tiers)
        if has_closeout and parts.closeout.fee_ppm >= floor_rate:
            found.append(
                Finding(
                    f"waterfall[{names.index('closeout')}].fee_ppm",
                    f"reaches the maintenance rate {floor_rate} of {market.spec.symbol}: a fee that eats what closing releases"
                    " makes every partial closeout there total",
                    str(parts.closeout.fee_ppm),
                )
            )
        if has_closeout and market.rules.band_offset_ppm[0] > market.rules.slippage_tolerance_ppm:
            found.append(
                Finding(
                    f"{market.key}.slippage_tolerance_ppm",
                    f"is below the first band, {market.rules.band_offset_ppm[0]}: no depth is within it,"
                    " so that nothing is ever closed on the book",
                    str(market.rules.slippage_tolerance_ppm),
                    market.spec.symbol,
                )
            )
        if market.rules.tiers[0].maintenance_rate_ppm == 0:
            found.append(
                Finding(
                    f"{market.key}.tiers[0].maintenance_rate_ppm",
                    "positions of this tier are only found in default when they are insolvent",
                    "0",
                    market.spec.symbol,
                )
            )
        if market.spec.is_inverse and market.rules.contract.value(-1, market.rules.price_ticks_max) == 0:
            found.append(
                Finding(
                    f"{market.key}.quantity_lot",
                    "a lot is worth less than an atom at price_max: values and margin are rounded by a whole one",
                    str(market.spec.quantity_lot),
                    market.spec.symbol,
                )
            )
    found += _order_warnings(file, names)
    return found


def _order_warnings(file: VenueFile, names: list[str]) -> list[Finding]:
    found = []
    pairs = solvent_first(names)
    for first, behind in pairs:
        found.append(Finding("waterfall", f"solvent_pay_first: solvent accounts pay ({first}) before {behind} does"))
    if not pairs and file.venue.solvent_pay_first:
        found.append(Finding("venue.solvent_pay_first", "allows what the waterfall does not do: no solvent account pays first", "true"))
    if file.provider and "takeover" not in names:
        found.append(Finding("provider", "the waterfall has no takeover: nobody asks them"))
    if "takeover" in names and not file.provider:
        found.append(Finding(f"waterfall[{names.index('takeover')}]", "the file has no provider: takeover has nobody to ask"))
    if "fund" not in names:
        found.append(Finding("waterfall", "has no fund: a deficit that adl and tear_up leave is booked as uncovered"))
    ratio = PPM + int(file.levels.exit_buffer * PPM)
    if int(file.levels.warning_ratio * PPM) == ratio:
        found.append(Finding("levels.warning_ratio", "equals the level at which default ends: nobody is warned on the way out"))
    return found
