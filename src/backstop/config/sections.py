"""The second pass for everything but markets: decimals to the engine's integers, and the checks of
each section by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel

from backstop.config.findings import Finding
from backstop.config.quantise import OffGridError, decimal_text
from backstop.config.schema import (
    AdlStage,
    BreakersSection,
    CloseoutStage,
    FundStage,
    GuardSection,
    LevelsSection,
    LimitsSection,
    SocialiseStage,
    TakeoverStage,
    duration_text,
)
from backstop.config.shape import Pieces
from backstop.config.stages import STAGES, key_of
from backstop.config.venue import Asset, ProviderSpec
from backstop.core.events import AdlPolicy, SocialisePolicy, Stage
from backstop.core.instruments import (
    NO_CAP,
    PPM,
    AdlRules,
    AssetRules,
    BreakerRules,
    CloseoutRules,
    DisposalRules,
    FundRules,
    FundsRules,
    LevelRules,
    LimitRules,
    ProviderRules,
    TakeoverRules,
)
from backstop.core.stages import misplaced, paid_first

__all__ = ["AMOUNT_ATOMS_MAX", "Parts", "amount_text", "asset_number", "atoms_or_finding", "read_sections", "solvent_first", "stage_names"]

Rules = TypeVar("Rules", bound=NamedTuple)

#: Most atoms in one amount of the file: the most that one transfer may move.
AMOUNT_ATOMS_MAX = 1 << 60


@dataclass
class Parts:
    """What the sections became; None where one could not be read."""

    #: Empty where they could not be read; their rules stand beside them.
    assets: tuple[Asset, ...] = ()
    asset_rules: tuple[AssetRules, ...] = (AssetRules(),)
    #: The file has a list of them: groups and providers name theirs.
    has_asset_list: bool = False
    levels: LevelRules | None = None
    limits: LimitRules | None = None
    stages: tuple[int, ...] = ()
    closeout: CloseoutRules = field(default_factory=CloseoutRules)
    #: Names of the market groups, the rules and the opening balances of their funds.
    groups: tuple[str, ...] = ("all",)
    #: Whether their names are sound. If not, a section that refers to one is not checked for it.
    groups_are_sound: bool = True
    funds: tuple[FundRules, ...] = (FundRules(),)
    fund_opening_atoms: tuple[int, ...] = (0,)
    fund: FundsRules = field(default_factory=FundsRules)
    takeover: TakeoverRules = field(default_factory=TakeoverRules)
    disposal: DisposalRules = field(default_factory=DisposalRules)
    breakers: BreakerRules = field(default_factory=BreakerRules)
    adl_policy: int = int(AdlPolicy.CAPPED_PRO_RATA)
    adl: AdlRules = field(default_factory=AdlRules)
    socialise_policy: int = int(SocialisePolicy.GAINS_HAIRCUT)
    providers: tuple[ProviderRules, ...] = ()
    backers: tuple[ProviderSpec, ...] = ()
    #: Last tiers whose maintenance rate is too high for the levels: key, symbol and rate.
    steep: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def asset(self) -> Asset | None:
        """The first asset."""
        return self.assets[0] if self.assets else None

    def asset_of_group(self, group: int) -> Asset:
        """The asset of a market group."""
        return self.assets[self.funds[group].asset]


def stage_names(waterfall: list[Any]) -> list[str]:
    """Return the stages' names in their order."""
    return [str(stage.stage) for stage in waterfall]


def read_sections(pieces: Pieces, findings: list[Finding]) -> Parts:
    """Turn the sections into the engine's integers; add every problem to ``findings``."""
    parts = Parts()
    _read_assets(pieces, parts, findings)
    _read_groups(pieces, parts, findings)
    if pieces.levels is not None:
        parts.levels = _levels(pieces.levels, findings)
    if pieces.limits is not None:
        parts.limits = _limits(pieces.limits)
    for number, stage in pieces.waterfall:
        _read_stage(f"waterfall[{number}]", stage, pieces, parts, findings)
    if pieces.stages is not None:
        parts.stages = tuple(int(Stage[name.upper()]) for name in pieces.stages)
        _check_order(pieces.stages, pieces, findings)
    if pieces.breakers is not None and pieces.guard is not None and parts.asset is not None:
        parts.breakers = _breakers(pieces.breakers, pieces.guard, parts.asset, findings)
        _move_amounts("breakers", pieces.breakers, ("deficit_halt",), parts, findings)
        _refuse_sums("breakers", pieces.breakers, ("flow_throttle", "flow_halt"), parts, findings)
    return parts


def _read_assets(pieces: Pieces, parts: Parts, findings: list[Finding]) -> None:
    """Read the assets; of a list of them their rules, too, which otherwise stand in the stages."""
    if not pieces.assets:
        return
    parts.has_asset_list = pieces.has_asset_list
    parts.assets = tuple(Asset(section.name, section.decimals) for section in pieces.assets)
    names, rules = [section.name for section in pieces.assets], list[AssetRules]()
    for number, section in enumerate(pieces.assets):
        key = f"asset[{number}]" if parts.has_asset_list else "asset"
        if section.name in names[:number]:
            findings.append(Finding(f"{key}.name", f"is already at asset[{names.index(section.name)}]", f'"{section.name}"'))
        given = {name: value for name in AssetRules._fields if (value := getattr(section, name)) is not None}
        if given and not parts.has_asset_list:
            right = "is for a file with [[asset]]: of one asset it stands with its stage, or in [breakers]"
            findings += [Finding(f"{key}.{name}", right, decimal_text(value)) for name, value in given.items()]
            given = {}
        asset = parts.assets[number]
        rules.append(AssetRules(**{name: atoms_or_finding(f"{key}.{name}", value, asset, findings) for name, value in given.items()}))
    parts.asset_rules = tuple(rules)


def _move_amounts(key: str, section: BaseModel, names: tuple[str, ...], parts: Parts, findings: list[Finding]) -> None:
    """Read amounts that are the asset's where the file has one; where it has a list, they stand there."""
    if not parts.assets:
        return
    values = {}
    for name in names:
        value = getattr(section, name)
        if parts.has_asset_list:
            # A resolved file has the defaults in it.
            if value != type(section).model_fields[name].default:
                right = "an amount is of one asset: write it in [[asset]]"
                findings.append(Finding(f"{key}.{name}", right, decimal_text(value)))
        elif value is not None:
            values[name] = atoms_or_finding(f"{key}.{name}", value, parts.assets[0], findings)
    if values:
        parts.asset_rules = (parts.asset_rules[0]._replace(**values),)


def _refuse_sums(key: str, section: BaseModel, names: tuple[str, ...], parts: Parts, findings: list[Finding]) -> None:
    """Refuse limits of a sum over all markets where they are of several assets."""
    for name in names if len(parts.assets) > 1 else ():
        if value := getattr(section, name):
            right = "must be left out: notionals of several assets do not add up; each market and account has a limit of its own"
            findings.append(Finding(f"{key}.{name}", right, decimal_text(value)))


def asset_number(key: str, name: str | None, parts: Parts, findings: list[Finding], about: str = "") -> int:
    """Return the number of the asset that a group or provider names; the first, and a finding, where it
    names none.
    """
    names = [asset.name for asset in parts.assets]
    if name in names:
        return names.index(name)
    if name is None and not parts.has_asset_list:
        return 0
    value = "" if name is None else f'"{name}"'
    findings.append(Finding(f"{key}.asset", f"must name an asset: the file has {', '.join(names)}", value, about))
    return 0


def _read_stage(key: str, stage: Any, pieces: Pieces, parts: Parts, findings: list[Finding]) -> None:
    if isinstance(stage, AdlStage):
        parts.adl_policy = int(AdlPolicy[stage.policy.upper()])
        parts.adl = _rules(AdlRules, key, stage, parts.asset, findings)
        _move_amounts(key, stage, ("parts_min_notional",), parts, findings)
    elif isinstance(stage, SocialiseStage):
        parts.socialise_policy = int(SocialisePolicy[stage.policy.upper()])
    elif isinstance(stage, TakeoverStage):
        parts.takeover = _rules(TakeoverRules, key, stage, parts.asset, findings)
        parts.disposal = _rules(DisposalRules, key, stage, parts.asset, findings, "disposal_")
    elif isinstance(stage, CloseoutStage) and parts.asset is not None:
        parts.closeout = _rules(CloseoutRules, key, stage, parts.asset, findings)
        _move_amounts(key, stage, ("minimum_notional", "account_notional_max"), parts, findings)
        _refuse_sums(key, stage, ("venue_notional_max",), parts, findings)
    elif isinstance(stage, FundStage) and parts.asset is not None:
        parts.fund = _fund(key, stage, parts.asset, findings)
        _move_amounts(key, stage, ("owner_loss_max",), parts, findings)
        if not pieces.groups and not parts.has_asset_list:
            _read_funds([(key, stage)], [0], parts, findings)


def _read_groups(pieces: Pieces, parts: Parts, findings: list[Finding]) -> None:
    """Read the market groups, if the file has any: their names, and their funds in place of the one
    of the stage.
    """
    parts.groups_are_sound = pieces.groups is not None and len({group.name for group in pieces.groups}) == len(pieces.groups)
    if parts.has_asset_list and pieces.groups == []:
        findings.append(Finding("group", "missing: with [[asset]] each market group names its asset: write a [[group]] for each"))
    if not pieces.groups or parts.asset is None:
        return
    parts.groups = tuple(group.name for group in pieces.groups)
    for number, name in enumerate(parts.groups):
        if name in parts.groups[:number]:
            findings.append(Finding(f"group[{number}].name", f"is already at group[{parts.groups.index(name)}]", f'"{name}"'))
    sections = [(f"group[{number}]", group) for number, group in enumerate(pieces.groups)]
    assets = [asset_number(key, group.asset, parts, findings, group.name) for key, group in sections]
    _read_funds(sections, assets, parts, findings)
    for number, asset in enumerate(parts.assets if all(group.asset for group in pieces.groups) else ()):
        if number not in assets:
            right = f'no market group is of it: write a [[group]] with asset = "{asset.name}", or remove it'
            findings.append(Finding(f"asset[{number}].name", right, f'"{asset.name}"'))
    for number, stage in pieces.waterfall:
        if isinstance(stage, FundStage):
            for name in ("opening_balance", "loss_per_window_max", "target", "contribution_ppm"):
                # A resolved file has the defaults in it.
                if getattr(stage, name) != FundStage.model_fields[name].default:
                    findings.append(
                        Finding(f"waterfall[{number}].{name}", "the file has groups, each with its own fund: write it in [[group]]")
                    )


def _read_funds(sections: list[tuple[str, Any]], assets: list[int], parts: Parts, findings: list[Finding]) -> None:
    """Read the funds of groups, each in its asset."""
    balances, funds = list[int](), list[FundRules]()
    for (key, section), number in zip(sections, assets, strict=True):
        asset = parts.assets[number]
        balances.append(atoms_or_finding(f"{key}.opening_balance", section.opening_balance, asset, findings))
        funds.append(
            FundRules(
                loss_per_window_max=_cap(f"{key}.loss_per_window_max", section.loss_per_window_max, asset, findings),
                target=_cap(f"{key}.target", section.target, asset, findings),
                contribution_ppm=section.contribution_ppm,
                asset=number,
            )
        )
    parts.fund_opening_atoms, parts.funds = tuple(balances), tuple(funds)


def _fund(key: str, stage: FundStage, asset: Asset, findings: list[Finding]) -> FundsRules:
    enter, leave = stage.drawdown_enter_ppm, stage.drawdown_exit_ppm
    if (leave > enter or (enter > 0 and leave == 0)) and "drawdown_exit_ppm" in stage.model_fields_set:
        right = f"must be 1 to drawdown_enter_ppm, {enter}" if enter else "must be 0 or left out: drawdown_enter_ppm is 0, which is off"
        findings.append(Finding(f"{key}.drawdown_exit_ppm", right, str(leave)))
    elif leave > enter or (enter > 0 and leave == 0):
        right = f"needs drawdown_exit_ppm beside it, 1 to {enter}: left out, it is {leave}"
        findings.append(Finding(f"{key}.drawdown_enter_ppm", right, str(enter)))
    for name in ("window", "recovery_interval", "drawdown_window"):
        if (duration_ns := getattr(stage, name)) < 16:
            right = "must be at least 16ns: it is cut into 16 slots"
            findings.append(Finding(f"{key}.{name}", right, duration_text(duration_ns)))
    return _rules(FundsRules, key, stage, asset, findings)


def _breakers(section: BreakersSection, guard: GuardSection, asset: Asset, findings: list[Finding]) -> BreakerRules:
    given = _rules(BreakerRules, "breakers", section, asset, findings, guard_hold_ns=guard.hold, doubt_settles=int(section.doubt_settles))
    if given.flow_throttle and given.flow_halt and given.flow_throttle > given.flow_halt:
        findings.append(
            Finding(
                "breakers.flow_throttle",
                f"must be at most flow_halt, {decimal_text(section.flow_halt)}",
                decimal_text(section.flow_throttle),
            )
        )
    return given


def amount_text(atoms: int, asset: Asset) -> str:
    """Return atoms as people write an amount of the file: no zeros at the end."""
    return decimal_text(Decimal(asset.text(atoms)))


def atoms_or_finding(key: str, amount: Decimal, asset: Asset, findings: list[Finding], about: str = "") -> int:
    """Return an amount in atoms; where it is negative, off the grid or too large, add a finding and
    return 0.
    """
    try:
        atoms = asset.atoms(amount)
    except OffGridError as error:
        findings.append(Finding(key, f"must be whole atoms of {asset.name}: {error}", decimal_text(amount), about))
        return 0
    if not 0 <= atoms <= AMOUNT_ATOMS_MAX:
        right = f"must be 0 to {amount_text(AMOUNT_ATOMS_MAX, asset)} {asset.name} (2^60 atoms, so that sums fit 64 bits)"
        findings.append(Finding(key, right, decimal_text(amount), about))
        return 0
    return atoms


def _cap(key: str, amount: Decimal | None, asset: Asset, findings: list[Finding]) -> int:
    return NO_CAP if amount is None else atoms_or_finding(key, amount, asset, findings)


def _rules(
    kind: type[Rules],
    key: str,
    section: BaseModel,
    asset: Asset | None,
    findings: list[Finding],
    prefix: str = "",
    **given: int,
) -> Rules:
    """Return a group of rules read from the section that has a key for each, without the ``_ns``.

    Amounts become atoms. What is left out is off (a duration) or no cap (an amount).
    """
    values: dict[str, int] = dict(given)
    for name in [name for name in kind._fields if name not in given]:
        known = prefix + name if prefix + name in type(section).model_fields else prefix + name.removesuffix("_ns")
        value = getattr(section, known)
        if value is None:
            value = 0 if name.endswith("_ns") else NO_CAP
        elif isinstance(value, Decimal):
            assert asset is not None
            value = atoms_or_finding(f"{key}.{known}", value, asset, findings)
        values[name] = value
    make: Any = kind
    rules: Rules = make(**values)
    return rules


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
    returns = _ppm("levels.return_buffer", section.return_buffer, findings)
    most = _ppm("levels.return_buffer_max", section.return_buffer_max, findings)
    if warning is None or buffer is None or close_out is None or returns is None or most is None:
        return None
    before = len(findings)
    if not 0 <= close_out <= PPM:
        findings.append(Finding("levels.close_out_ratio", "must be 0 to 1", decimal_text(section.close_out_ratio)))
    if buffer < 0:
        findings.append(Finding("levels.exit_buffer", "must not be negative", decimal_text(section.exit_buffer)))
    elif not PPM + buffer <= warning <= 10 * PPM:
        findings.append(_warning_finding(section))
    for key, value in (("return_buffer", returns), ("return_buffer_max", most)):
        if not 0 <= value <= 9 * PPM:
            findings.append(Finding(f"levels.{key}", "must be 0 to 9", decimal_text(getattr(section, key))))
    if len(findings) > before:
        return None
    return LevelRules(warning, buffer, close_out, returns, most, section.return_memory, section.relief_notice)


def _warning_finding(section: LevelsSection) -> Finding:
    """Name the key that the file has: of the two, one may be left out."""
    release, ratio = decimal_text(1 + section.exit_buffer), decimal_text(section.warning_ratio)
    if "warning_ratio" in section.model_fields_set or "exit_buffer" not in section.model_fields_set:
        return Finding("levels.warning_ratio", f"must be {release} (1 + exit_buffer) to 10", ratio)
    most = decimal_text(section.warning_ratio - 1)
    right = f"must be at most {most}, so that 1 + exit_buffer is at most warning_ratio, which is left out and is {ratio}"
    return Finding("levels.exit_buffer", right, decimal_text(section.exit_buffer))


def _limits(section: LimitsSection) -> LimitRules:
    return LimitRules(section.accounts_max, section.positions_max, section.orders_max, section.effects_max)


def _check_order(names: list[str], pieces: Pieces, findings: list[Finding]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            findings.append(
                Finding(f"waterfall[{number}].stage", f"is already at waterfall[{names.index(name)}]: list it once", f'"{name}"')
            )
    order = ", ".join(names)
    if "tear_up" not in names:
        findings.append(Finding("waterfall", f"the order is {order}: tear_up must be there, as the last stage"))
    elif names[-1] != "tear_up":
        findings.append(Finding(f"waterfall[{names.index('tear_up')}].stage", f"the order is {order}: tear_up must be last", '"tear_up"'))
    for stage, others in misplaced([Stage[name.upper()] for name in names]):
        name = key_of(stage)
        wanted = " and ".join(map(key_of, others))
        findings.append(
            Finding(
                f"waterfall[{names.index(name)}].stage",
                f"the order is {order}: {name} must stand behind {wanted}: {STAGES[stage].acts}",
                f'"{name}"',
            )
        )
    if pieces.venue is None or pieces.venue.solvent_pay_first:
        return
    for first, behind in solvent_first(names):
        findings.append(
            Finding(
                f"waterfall[{names.index(first)}].stage",
                f"the order is {order}: {first} before {behind} lets solvent accounts pay first:"
                f" put {behind} before {first}, or set venue.solvent_pay_first = true",
                f'"{first}"',
            )
        )


def solvent_first(names: list[str]) -> list[tuple[str, str]]:
    """Return the pairs of stages in which solvent accounts pay before others do."""
    return [("adl", key_of(behind)) for behind in paid_first([Stage[name.upper()] for name in names])]
