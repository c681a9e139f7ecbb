"""The second pass for one market: its grid, its largest position, its tiers and its book, in the
engine's integers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from backstop.config.findings import Finding, did_you_mean
from backstop.config.quantise import OffGridError, decimal_text, steps_of
from backstop.config.schema import BreakersSection, MarketSection
from backstop.config.sections import Parts, amount_text, atoms_or_finding
from backstop.config.shape import Pieces
from backstop.config.venue import Asset, BookRules, MarketSpec
from backstop.core.contract_terms import ContractKind, contract_of
from backstop.core.events import InitialMargin
from backstop.core.instruments import (
    DEPTH_LOTS_MAX,
    NO_CAP,
    NOTIONAL_ATOMS_MAX,
    PPM,
    PRICE_TICKS_LIMIT,
    MarketRules,
    TierRules,
    deductions_atoms,
)

__all__ = ["MarketPart", "check_margins", "read_market"]

_SYMBOL = re.compile(r"([^/:\s-]+)/([^/:\s-]+):([^/:\s-]+)(-.+)?")
#: Lots of one account times accounts: the sum of a market's longs stays below.
_SIDE_LOTS_MAX = 1 << 62
#: Maintenance rate times warning ratio, in ppm x ppm: a thousandth of the notional is left.
_MARGIN_MAX = 999 * PPM * PPM // 1000


@dataclass(frozen=True)
class MarketPart:
    """One market, read."""

    key: str
    spec: MarketSpec
    rules: MarketRules
    book: BookRules
    #: Notional of the largest position at any price, in atoms.
    notional_max: int


class _Reader:
    """Collects findings of one market."""

    def __init__(self, number: int, section: MarketSection, asset: Asset, findings: list[Finding]) -> None:
        self.key = f"market[{number}]"
        self.section = section
        self.asset = asset
        self.findings = findings

    def wrong(self, key: str, message: str, value: object = "") -> None:
        shown = decimal_text(value) if isinstance(value, Decimal) else str(value)
        self.findings.append(Finding(f"{self.key}.{key}", message, shown, self.section.symbol if key != "symbol" else ""))

    def atoms(self, key: str, amount: Decimal) -> int:
        return atoms_or_finding(f"{self.key}.{key}", amount, self.asset, self.findings, self.section.symbol)

    def steps(self, key: str, value: Decimal, step: Decimal, name: str) -> int | None:
        """Return how many steps a value has; add a finding where it is not positive or off the
        grid.
        """
        if value <= 0:
            self.wrong(key, "must be above 0", value)
            return None
        try:
            return steps_of(value, step)
        except OffGridError as error:
            self.wrong(key, f"must be a whole number of {name}: {error}", value)
            return None


def read_market(number: int, section: MarketSection, pieces: Pieces, parts: Parts, findings: list[Finding]) -> MarketPart | None:
    """Turn one market into the engine's integers; None, and findings, where that fails."""
    if parts.asset is None:
        return None
    before = len(findings)
    of_group = parts.funds[parts.groups.index(section.group)] if section.group in parts.groups else parts.funds[0]
    read = _Reader(number, section, parts.assets[of_group.asset], findings)
    _check_symbol(read)
    grid = _grid(read, parts)
    tiers = _tiers(read, parts)
    _check_bands(read)
    depth = _depth(read) if section.quantity_lot > 0 else ()
    group = _group(read, parts)
    stops = _stops(read, pieces) if section.quantity_lot > 0 else {}
    cap = NO_CAP if section.ordered_notional_max is None else read.atoms("ordered_notional_max", section.ordered_notional_max)
    loss_cap = NO_CAP if section.loss_per_window_max is None else read.atoms("loss_per_window_max", section.loss_per_window_max)
    lower, upper = (read.atoms(key, getattr(section, key)) for key in ("interest_lower", "interest_upper"))
    if not 0 <= lower < upper and (lower, upper) != (0, 0):
        right = f"must be below interest_upper, {decimal_text(section.interest_upper)}"
        read.wrong("interest_lower", "must not be negative" if lower < 0 else right, section.interest_lower)
    if section.factor_loading_ppm == 0:
        read.wrong("factor_loading_ppm", "must not be 0", 0)
    if len(findings) > before or grid is None:
        return None
    steps = section.price_tick, section.quantity_lot, section.contract_size
    spec = MarketSpec(section.symbol, *steps, grid.factor, grid.ticks_max, grid.lots_max, grid.kind, grid.ticks_min)
    rules = MarketRules(
        notional_factor=grid.factor,
        price_ticks_max=grid.ticks_max,
        position_lots_max=grid.lots_max,
        contract_kind=int(grid.kind),
        price_ticks_min=grid.ticks_min,
        tiers=tiers,
        band_offset_ppm=tuple(section.band_offset_ppm),
        slippage_tolerance_ppm=section.slippage_tolerance_ppm,
        volatility_ppm=section.volatility_ppm,
        factor_loading_ppm=section.factor_loading_ppm,
        ordered_notional_max=cap,
        loss_per_window_max=loss_cap,
        initial_margin=int(InitialMargin[section.initial_margin.upper()]),
        interest_lower=lower,
        interest_upper=upper,
        fill_band_ppm=section.fill_band_ppm,
        reports_depth=int(section.depth == "reported"),
        group=group,
        settlement_asset=of_group.asset,
        is_listed=int(section.listed),
        **stops,
    )
    book = BookRules(depth, section.book.recovery_ppm_per_second, section.book.permanent_impact_ppm, section.book.latency)
    return MarketPart(read.key, spec, rules, book, spec.notional_max)


def _group(read: _Reader, parts: Parts) -> int:
    name = read.section.group
    if name is None:
        return 0
    if name in parts.groups:
        return parts.groups.index(name)
    if not parts.groups_are_sound:
        return 0
    hint = did_you_mean(name, list(parts.groups)) or f"the groups are {', '.join(parts.groups)}"
    read.wrong("group", f"must name a market group: {hint}", f'"{name}"')
    return 0


def _stops(read: _Reader, pieces: Pieces) -> dict[str, int]:
    """Return the thresholds of a market's breakers and price guard: its own, or those of the whole
    file.
    """
    own, shared, guard = read.section.breaker, pieces.breakers, pieces.guard
    if shared is None or guard is None:
        return {}
    stops = _price_stops(read, shared)
    stops["flow_throttle"] = read.atoms("breaker.flow_throttle", own.flow_throttle)
    stops["flow_halt"] = read.atoms("breaker.flow_halt", own.flow_halt)
    if stops["flow_throttle"] and stops["flow_halt"] and stops["flow_throttle"] > stops["flow_halt"]:
        read.wrong("breaker.flow_throttle", f"must be at most flow_halt, {decimal_text(own.flow_halt)}", own.flow_throttle)
    stops["guard_jump_ppm"] = guard.jump_ppm if own.guard_jump_ppm is None else own.guard_jump_ppm
    volume = 0 if own.guard_volume == 0 else read.steps("breaker.guard_volume", own.guard_volume, read.section.quantity_lot, "lots")
    stops["guard_volume_lots"] = volume or 0
    return stops


def _price_stops(read: _Reader, shared: BreakersSection) -> dict[str, int]:
    """Return a market's thresholds of the price; a fault is of the key that the file has, and of
    [breakers] only once.
    """
    own = read.section.breaker
    names = ("price_throttle_ppm", "price_halt_ppm", "price_exit_ppm")
    stops = {name: getattr(shared, name) if getattr(own, name) is None else getattr(own, name) for name in names}
    throttle, halt, leave = (stops[name] for name in names)
    if throttle and halt and throttle > halt:
        _breaker_fault(read, shared, "price_throttle_ppm", f"must be at most price_halt_ppm, {halt}")
    if (throttle or halt) and not 0 < leave <= (throttle or halt):
        begins = "price_throttle_ppm" if throttle else "price_halt_ppm"
        _breaker_fault(read, shared, "price_exit_ppm", f"must be 1 to {begins}, {stops[begins]}, where the breaker begins")
    return stops


def _breaker_fault(read: _Reader, shared: BreakersSection, name: str, right: str) -> None:
    """Add a fault of a threshold where it is written; where none of the three is the market's own,
    it is that of every market.
    """
    own = read.section.breaker
    written = getattr(own, name)
    if written is not None:
        read.wrong(f"breaker.{name}", right, written)
        return
    value = getattr(shared, name)
    left_out = "" if name in shared.model_fields_set else ", where it is left out"
    mine = [key for key in ("price_throttle_ppm", "price_halt_ppm", "price_exit_ppm") if getattr(own, key) is not None]
    if mine:
        with_own = f"{name} is {value} in [breakers]{left_out}, and {right}: the market needs a {name} of its own"
        read.wrong(f"breaker.{mine[0]}", with_own, getattr(own, mine[0]))
        return
    read.findings.append(Finding(f"breakers.{name}", f"missing: it {right}" if left_out else right, "" if left_out else str(value)))


def _check_symbol(read: _Reader) -> None:
    symbol, asset = read.section.symbol, read.asset.name
    right = f"must be BASE/{asset}:{asset}"
    match = _SYMBOL.fullmatch(symbol)
    if match is None:
        read.wrong("symbol", f"{right}, a ccxt unified symbol", f'"{symbol}"')
    elif match[4]:
        read.wrong("symbol", f"{right}: dated futures and options are not supported yet", f'"{symbol}"')
    elif match[3] == match[1] != match[2]:
        if match[1] != asset:
            read.wrong("symbol", f"{right}: an inverse contract settles in its base, and the venue's asset is {asset}", f'"{symbol}"')
    elif match[2] != asset or match[3] != asset:
        read.wrong("symbol", f"{right}: quoted and settled in the settlement asset {asset}", f'"{symbol}"')


def _kind(symbol: str) -> ContractKind:
    """Return the kind of contract that a symbol names: what settles in its base is inverse."""
    match = _SYMBOL.fullmatch(symbol)
    return ContractKind.INVERSE if match is not None and match[3] == match[1] != match[2] else ContractKind.LINEAR


class _Grid(NamedTuple):
    """What the numbers of a market count, and how far they go."""

    kind: ContractKind
    factor: int
    ticks_min: int
    ticks_max: int
    lots_max: int


def _ticks_min(read: _Reader, kind: ContractKind, ticks_max: int | None) -> int | None:
    """Return the lowest price; a finding where an inverse market has none, or a linear one has one."""
    lowest = read.section.price_min
    if kind == ContractKind.LINEAR:
        if lowest is not None:
            read.wrong("price_min", "must be left out of a linear contract: its lowest price is a tick", lowest)
        return 1
    if lowest is None:
        read.wrong("price_min", "missing: an inverse contract needs a lowest price, since its notional is largest there")
        return None
    ticks = read.steps("price_min", lowest, read.section.price_tick, "ticks")
    if ticks is not None and ticks_max is not None and ticks > ticks_max:
        read.wrong("price_min", f"must be at most price_max, {decimal_text(read.section.price_max)}", lowest)
    return ticks


def _grid(read: _Reader, parts: Parts) -> _Grid | None:
    """Return the grid of a market; None, and findings, where it has none."""
    section = read.section
    steps = [("price_tick", section.price_tick), ("quantity_lot", section.quantity_lot), ("contract_size", section.contract_size)]
    for key, value in steps:
        if value <= 0:
            read.wrong(key, "must be above 0", value)
    if min(value for _, value in steps) <= 0:
        return None
    kind = _kind(section.symbol)
    factor = _factor(read, kind)
    ticks_max = read.steps("price_max", section.price_max, section.price_tick, "ticks")
    if ticks_max is not None and ticks_max > PRICE_TICKS_LIMIT:
        read.wrong(
            "price_max",
            f"is {ticks_max} ticks of {decimal_text(section.price_tick)}: must be at most {PRICE_TICKS_LIMIT} ticks, that is"
            f" {decimal_text(PRICE_TICKS_LIMIT * section.price_tick)} (trigger prices have 32 bits); lower it or make price_tick larger",
            section.price_max,
        )
        ticks_max = None
    lots_max = read.steps("position_max", section.position_max, section.quantity_lot, "lots")
    ticks_min = _ticks_min(read, kind, ticks_max)
    if factor is None or ticks_max is None or lots_max is None or ticks_min is None:
        return None
    grid = _Grid(kind, factor, ticks_min, ticks_max, lots_max)
    _check_overflow(read, parts, grid)
    return grid


def _inverse_factor(read: _Reader) -> int | None:
    """Return what a lot is worth at a price of one tick, in atoms of the base."""
    section, asset = read.section, read.asset
    face = section.quantity_lot * section.contract_size
    atoms = Fraction(face) / Fraction(section.price_tick) * 10**asset.decimals
    if atoms.denominator == 1 and atoms <= NO_CAP:
        return int(atoms)
    wrong = "must be a whole number of atoms" if atoms.denominator > 1 else f"must be at most {NO_CAP} atoms"
    read.wrong(
        "quantity_lot",
        f"quantity_lot {decimal_text(section.quantity_lot)} x contract_size {decimal_text(section.contract_size)} / price_tick"
        f" {decimal_text(section.price_tick)}, what a lot of an inverse contract is worth at a price of one tick, {wrong} of {asset.name}",
        section.quantity_lot,
    )
    return None


def _factor(read: _Reader, kind: ContractKind) -> int | None:
    if kind == ContractKind.INVERSE:
        return _inverse_factor(read)
    section, asset = read.section, read.asset
    product = Fraction(section.price_tick) * Fraction(section.quantity_lot) * Fraction(section.contract_size)
    atoms = product * 10**asset.decimals
    if atoms.denominator == 1:
        return int(atoms)
    value = section.price_tick * section.quantity_lot * section.contract_size
    read.wrong(
        "quantity_lot",
        f"price_tick {decimal_text(section.price_tick)} x quantity_lot {decimal_text(section.quantity_lot)} x contract_size"
        f" {decimal_text(section.contract_size)} = {decimal_text(value)} {asset.name} = {decimal_text(value.scaleb(asset.decimals))} atoms:"
        f" must be a whole number of atoms; a quantity_lot of {decimal_text(section.quantity_lot * atoms.denominator)} would be",
        section.quantity_lot,
    )
    return None


def _check_overflow(read: _Reader, parts: Parts, grid: _Grid) -> None:
    section, lots_max = read.section, grid.lots_max
    contract, is_linear = contract_of(grid.kind, grid.factor), grid.kind == ContractKind.LINEAR
    notional = contract.bound(lots_max, grid.ticks_min, grid.ticks_max)
    if notional > NOTIONAL_ATOMS_MAX:
        most = contract.lots_within(NOTIONAL_ATOMS_MAX, grid.ticks_max if is_linear else grid.ticks_min)
        where = (
            f"price_max {decimal_text(section.price_max)}" if is_linear else f"price_min {decimal_text(section.price_min or Decimal(0))}"
        )
        read.wrong(
            "position_max",
            f"is {amount_text(notional, read.asset)} {read.asset.name} at {where}: must be at most"
            f" {decimal_text(most * section.quantity_lot)}, that is {amount_text(NOTIONAL_ATOMS_MAX, read.asset)} {read.asset.name}"
            " (2^60 atoms), so that sums fit 64 bits",
            section.position_max,
        )
    accounts = parts.limits.accounts_max if parts.limits is not None else 1
    if lots_max * accounts >= _SIDE_LOTS_MAX:
        read.wrong(
            "position_max",
            f"is {lots_max} lots, in limits.accounts_max = {accounts} accounts {lots_max * accounts}: must stay below 2^62 lots, so that"
            f" sums fit 64 bits; at most {decimal_text((_SIDE_LOTS_MAX - 1) // accounts * section.quantity_lot)} here",
            section.position_max,
        )


def _tiers(read: _Reader, parts: Parts) -> tuple[TierRules, ...]:
    """Return the tiers; findings where they leave gaps, fall, or have a deduction that is not
    whole.
    """
    before = len(read.findings)
    rows = read.section.tiers
    tiers = []
    for number, row in enumerate(rows):
        floor = read.atoms(f"tiers[{number}].floor", row.floor)
        tiers.append(TierRules(floor, row.initial_rate_ppm, row.maintenance_rate_ppm))
        if row.maintenance_rate_ppm > row.initial_rate_ppm:
            read.wrong(
                f"tiers[{number}].maintenance_rate_ppm",
                f"must be at most the initial rate, {row.initial_rate_ppm}",
                row.maintenance_rate_ppm,
            )
    if rows[0].floor != 0:
        read.wrong("tiers[0].floor", f"must be 0: notional from 0 to {decimal_text(rows[0].floor)} has no rate", rows[0].floor)
    _check_caps(read)
    for number in range(1, len(rows)):
        row, last = rows[number], rows[number - 1]
        if row.floor <= last.floor:
            read.wrong(f"tiers[{number}].floor", f"must be above the floor before it, {decimal_text(last.floor)}", row.floor)
        for name in ("initial_rate_ppm", "maintenance_rate_ppm"):
            if getattr(row, name) < getattr(last, name):
                read.wrong(f"tiers[{number}].{name}", f"must not fall from tier to tier: {getattr(last, name)} before", getattr(row, name))
    if len(read.findings) == before:
        _check_rates(read, parts, tiers)
    return tuple(tiers)


def _check_caps(read: _Reader) -> None:
    rows = read.section.tiers
    for number, (row, following) in enumerate(zip(rows, [*rows[1:], None], strict=True)):
        if row.cap is None:
            continue
        if following is None:
            read.wrong(
                f"tiers[{number}].cap",
                "the last tier has no end: remove the cap, limit the position with position_max, or add a tier",
                row.cap,
            )
        elif row.cap != following.floor:
            kind = "gap" if row.cap < following.floor else "overlap"
            low, high = sorted((row.cap, following.floor))
            read.wrong(
                f"tiers[{number}].cap",
                f"{kind} from {decimal_text(low)} to {decimal_text(high)}:"
                f" must be {decimal_text(following.floor)}, the floor of the next tier",
                row.cap,
            )


def _check_rates(read: _Reader, parts: Parts, tiers: list[TierRules]) -> None:
    floors = tuple(tier.floor_atoms for tier in tiers)
    for name in ("initial_rate_ppm", "maintenance_rate_ppm"):
        if name == "initial_rate_ppm" and read.section.initial_margin != InitialMargin.MARGINAL.name.lower():
            continue
        try:
            deductions_atoms(floors, tuple(getattr(tier, name) for tier in tiers))
        except ValueError as error:
            read.wrong("tiers", f"{name}: {error}")
    if parts.levels is None:
        return
    top = tiers[-1].maintenance_rate_ppm
    if top * parts.levels.warning_ratio_ppm > _MARGIN_MAX:
        parts.steep.append((f"{read.key}.tiers[{len(tiers) - 1}].maintenance_rate_ppm", read.section.symbol, top))


def check_margins(pieces: Pieces, parts: Parts, findings: list[Finding]) -> None:
    """Tell of maintenance rates that are too high for the warning ratio: of one market its rate, of
    several the ratio, once.
    """
    if not parts.steep or parts.levels is None or pieces.levels is None:
        return
    ratio = parts.levels.warning_ratio_ppm
    leaves = "leaves less than a thousandth of the notional: must be at most"
    if len(parts.steep) == 1 or "warning_ratio" not in pieces.levels.model_fields_set:
        for key, symbol, top in parts.steep:
            findings.append(Finding(key, f"x warning_ratio {_ratio_text(ratio)} {leaves} {_MARGIN_MAX // ratio}", str(top), symbol))
        return
    top = max(rate for _, _, rate in parts.steep)
    names = ", ".join(f"{rate} of {symbol}" for _, symbol, rate in parts.steep[:4]) + (", ..." if len(parts.steep) > 4 else "")
    right = f"x the maintenance_rate_ppm of the last tier ({names}) {leaves} {_ratio_text(_MARGIN_MAX // top)}, or those rates lower"
    findings.append(Finding("levels.warning_ratio", right, _ratio_text(ratio)))


def _ratio_text(ratio_ppm: int) -> str:
    return decimal_text(Decimal(ratio_ppm).scaleb(-6))


def _check_bands(read: _Reader) -> None:
    bands = read.section.band_offset_ppm
    if any(low >= high for low, high in pairwise(bands)):
        read.wrong("band_offset_ppm", f"must ascend, as {sorted(set(bands))} does", bands)
    if len(read.section.book.depth) != len(bands):
        read.wrong(
            "book.depth",
            f"has {len(read.section.book.depth)} bands: must have one for each of the {len(bands)} of band_offset_ppm",
        )


def _depth(read: _Reader) -> tuple[int, ...]:
    lots = []
    for number, quantity in enumerate(read.section.book.depth):
        key = f"book.depth[{number}]"
        count = 0 if quantity == 0 else read.steps(key, quantity, read.section.quantity_lot, "lots")
        if count is not None and count > DEPTH_LOTS_MAX:
            read.wrong(
                key, f"is {count} lots: must be at most {decimal_text(DEPTH_LOTS_MAX * read.section.quantity_lot)} (2^40 lots)", quantity
            )
        lots.append(count or 0)
    return tuple(lots)
