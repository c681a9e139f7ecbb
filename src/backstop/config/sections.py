"""The second pass for everything but markets: decimals to the engine's integers, and what each section says by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from backstop.config.findings import Finding
from backstop.config.quantise import OffGridError, decimal_text
from backstop.config.schema import CloseoutStage, FundStage, LevelsSection, LimitsSection
from backstop.config.shape import Pieces
from backstop.config.venue import Asset
from backstop.core.events import Stage
from backstop.core.instruments import NO_CAP, PPM, CloseoutRules, FundRules, LevelRules, LimitRules

__all__ = ["AMOUNT_ATOMS_MAX", "Parts", "atoms_or_finding", "read_sections", "stage_names"]

#: Most atoms in one amount of the file: what one transfer may move.
AMOUNT_ATOMS_MAX = 1 << 60


@dataclass
class Parts:
    """What the sections became; None where one could not be read."""

    asset: Asset | None = None
    levels: LevelRules | None = None
    limits: LimitRules | None = None
    stages: tuple[int, ...] = ()
    closeout: CloseoutRules = field(default_factory=CloseoutRules)
    fund: FundRules = field(default_factory=FundRules)
    fund_opening_atoms: int = 0


def stage_names(waterfall: list[Any]) -> list[str]:
    """Return the stages' names in their order."""
    return [str(stage.stage) for stage in waterfall]


def read_sections(pieces: Pieces, findings: list[Finding]) -> Parts:
    """Turn the sections into the engine's integers; what is wrong is added to ``findings``."""
    parts = Parts()
    if pieces.asset is not None:
        parts.asset = Asset(pieces.asset.name, pieces.asset.decimals)
    if pieces.levels is not None:
        parts.levels = _levels(pieces.levels, findings)
    if pieces.limits is not None:
        parts.limits = _limits(pieces.limits)
    if pieces.waterfall is not None:
        parts.stages = tuple(int(Stage[stage.stage.upper()]) for stage in pieces.waterfall)
        for number, stage in enumerate(pieces.waterfall):
            if isinstance(stage, CloseoutStage) and parts.asset is not None:
                parts.closeout = _closeout(f"waterfall[{number}]", stage, parts.asset, findings)
            if isinstance(stage, FundStage) and parts.asset is not None:
                key = f"waterfall[{number}]"
                parts.fund_opening_atoms = _opening(key, stage, parts.asset, findings)
                parts.fund = FundRules(_cap(f"{key}.loss_per_interval_max", stage.loss_per_interval_max, parts.asset, findings))
        _check_order(stage_names(pieces.waterfall), pieces, findings)
    return parts


def atoms_or_finding(key: str, amount: Decimal, asset: Asset, findings: list[Finding], about: str = "") -> int:
    """Return an amount in atoms; where it is negative, off the grid or too large, add a finding and return 0."""
    try:
        atoms = asset.atoms(amount)
    except OffGridError as error:
        findings.append(Finding(key, f"must be whole atoms of {asset.name}: {error}", decimal_text(amount), about))
        return 0
    if not 0 <= atoms <= AMOUNT_ATOMS_MAX:
        findings.append(
            Finding(key, f"is {atoms} atoms: must be 0 to {AMOUNT_ATOMS_MAX} (2^60) atoms of {asset.name}", decimal_text(amount), about)
        )
        return 0
    return atoms


def _cap(key: str, amount: Decimal | None, asset: Asset, findings: list[Finding]) -> int:
    return NO_CAP if amount is None else atoms_or_finding(key, amount, asset, findings)


def _opening(key: str, stage: FundStage, asset: Asset, findings: list[Finding]) -> int:
    return atoms_or_finding(f"{key}.opening_balance", stage.opening_balance, asset, findings)


def _ppm(key: str, ratio: Decimal, findings: list[Finding]) -> int | None:
    """Return a ratio in parts per million, or a finding where it is not a whole number of them."""
    parts = Fraction(ratio) * PPM
    if parts.denominator == 1:
        return parts.numerator
    below = Decimal(int(parts)).scaleb(-6)
    findings.append(
        Finding(
            key,
            f"is {decimal_text(ratio.scaleb(6))} parts per million: must be whole, as {below} or {below + Decimal(1).scaleb(-6)} are",
            decimal_text(ratio),
        )
    )
    return None


def _levels(section: LevelsSection, findings: list[Finding]) -> LevelRules | None:
    warning = _ppm("levels.warning_ratio", section.warning_ratio, findings)
    buffer = _ppm("levels.exit_buffer", section.exit_buffer, findings)
    close_out = _ppm("levels.close_out_ratio", section.close_out_ratio, findings)
    if warning is None or buffer is None or close_out is None:
        return None
    before = len(findings)
    if not 0 <= close_out <= PPM:
        findings.append(Finding("levels.close_out_ratio", "must be 0 to 1", decimal_text(section.close_out_ratio)))
    if buffer < 0:
        findings.append(Finding("levels.exit_buffer", "must not be negative", decimal_text(section.exit_buffer)))
    elif not PPM + buffer <= warning <= 10 * PPM:
        release = decimal_text(1 + section.exit_buffer)
        findings.append(Finding("levels.warning_ratio", f"must be {release} (1 + exit_buffer) to 10", decimal_text(section.warning_ratio)))
    return LevelRules(warning, buffer, close_out) if len(findings) == before else None


def _limits(section: LimitsSection) -> LimitRules:
    return LimitRules(section.accounts_max, section.positions_max, section.orders_max, section.effects_max)


def _closeout(key: str, stage: CloseoutStage, asset: Asset, findings: list[Finding]) -> CloseoutRules:
    return CloseoutRules(
        fee_ppm=stage.fee_ppm,
        depth_share_ppm=stage.depth_share_ppm,
        volume_share_ppm=stage.volume_share_ppm,
        interval_ns=stage.interval,
        deadline_ns=stage.deadline,
        order_timeout_ns=stage.order_timeout,
        minimum_notional=atoms_or_finding(f"{key}.minimum_notional", stage.minimum_notional, asset, findings),
        cap_interval_ns=stage.cap_interval,
        account_notional_max=_cap(f"{key}.account_notional_max", stage.account_notional_max, asset, findings),
        venue_notional_max=_cap(f"{key}.venue_notional_max", stage.venue_notional_max, asset, findings),
    )


def _check_order(names: list[str], pieces: Pieces, findings: list[Finding]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            findings.append(
                Finding(f"waterfall[{number}].stage", f"stands at waterfall[{names.index(name)}] already: once is right", f'"{name}"')
            )
    order = ", ".join(names)
    if "tear_up" not in names:
        findings.append(Finding("waterfall", f"the order is {order}: tear_up must be there, as the last stage"))
    elif names[-1] != "tear_up":
        findings.append(Finding(f"waterfall[{names.index('tear_up')}].stage", f"the order is {order}: tear_up must be last", '"tear_up"'))
    if "adl" not in names or "fund" not in names or names.index("adl") > names.index("fund"):
        return
    if pieces.venue is not None and not pieces.venue.solvent_pay_first:
        findings.append(
            Finding(
                f"waterfall[{names.index('adl')}].stage",
                f"the order is {order}: adl before fund lets solvent accounts pay first:"
                " put fund before adl, or set venue.solvent_pay_first = true",
                '"adl"',
            )
        )
