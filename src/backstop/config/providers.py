"""Backstop providers of a venue file: from decimals to the engine's integers."""

from __future__ import annotations

from decimal import Decimal

from backstop.config.findings import Finding, did_you_mean
from backstop.config.quantise import decimal_text
from backstop.config.schema import CommitmentSection, ProviderSection
from backstop.config.sections import Parts, asset_number, atoms_or_finding
from backstop.config.shape import Pieces
from backstop.config.venue import Asset, ProviderSpec
from backstop.core.instruments import NO_CAP, PPM, CommitmentRules, ProviderRules

__all__ = ["read_providers"]

_DIRECTIONS = {"long": (0,), "short": (1,), "both": (0, 1)}


def read_providers(pieces: Pieces, parts: Parts, findings: list[Finding]) -> None:
    """Add the providers to ``parts``; add every problem to ``findings``."""
    if not pieces.providers or parts.asset is None:
        return
    names = [provider.name for provider in pieces.providers]
    for number, provider in enumerate(pieces.providers):
        key = f"provider[{number}]"
        if provider.name in names[:number]:
            findings.append(Finding(f"{key}.name", f"is already at provider[{names.index(provider.name)}]", f'"{provider.name}"'))
        if provider.vault and any(other.vault for other in pieces.providers[:number]):
            findings.append(Finding(f"{key}.vault", "there is a vault already: at most one provider may be it", "true", provider.name))
        asset = asset_number(key, provider.asset, parts, findings, provider.name)
        parts.providers += (_provider(key, provider, parts, asset, findings),)
        capital = atoms_or_finding(f"{key}.capital", provider.capital, parts.assets[asset], findings, provider.name)
        parts.backers += (ProviderSpec(provider.name, capital),)


def _provider(key: str, section: ProviderSection, parts: Parts, number: int, findings: list[Finding]) -> ProviderRules:
    asset = parts.assets[number]
    rows = [[CommitmentRules(), CommitmentRules()] for _ in parts.groups]
    for place, commitment in enumerate(section.commitment):
        here = f"{key}.commitment[{place}]"
        group = _group(here, commitment, parts, section.name, findings)
        if parts.funds[group].asset != number:
            right = f"must be a group of {asset.name}, the provider's asset: this one is of {parts.asset_of_group(group).name}"
            findings.append(Finding(f"{here}.group", right, f'"{parts.groups[group]}"', section.name))
        rules = _commitment(here, commitment, asset, section.name, findings)
        for direction in _DIRECTIONS[commitment.direction]:
            if rows[group][direction] != CommitmentRules() and parts.groups_are_sound:
                findings.append(Finding(here, "group and direction are committed already", commitment.direction, section.name))
            rows[group][direction] = rules
    leverage = section.leverage * PPM
    if leverage != int(leverage) or not 1 <= leverage <= 1000 * PPM:
        findings.append(
            Finding(
                f"{key}.leverage", "must be above 0, at most 1000, in whole parts per million", decimal_text(section.leverage), section.name
            )
        )
        leverage = Decimal(PPM)
    return ProviderRules(
        commitments=tuple((pair[0], pair[1]) for pair in rows),
        leverage_ppm=int(leverage),
        loss_stop=_limit(f"{key}.loss_stop", section.loss_stop, asset, section.name, findings) or 1,
        is_vault=section.vault,
        asset=number,
    )


def _limit(key: str, amount: Decimal | None, asset: Asset, about: str, findings: list[Finding]) -> int:
    return NO_CAP if amount is None else atoms_or_finding(key, amount, asset, findings, about)


def _group(key: str, section: CommitmentSection, parts: Parts, about: str, findings: list[Finding]) -> int:
    if section.group is None and len(parts.groups) == 1:
        return 0
    if section.group in parts.groups:
        return parts.groups.index(section.group)
    if not parts.groups_are_sound:
        return 0
    hint = did_you_mean(str(section.group), list(parts.groups)) or f"the groups are {', '.join(parts.groups)}"
    value = "" if section.group is None else f'"{section.group}"'
    findings.append(Finding(f"{key}.group", f"must name a market group: {hint}", value, about))
    return 0


def _commitment(key: str, section: CommitmentSection, asset: Asset, about: str, findings: list[Finding]) -> CommitmentRules:
    per_hour = atoms_or_finding(f"{key}.refill_per_hour", section.refill_per_hour, asset, findings, about)
    return CommitmentRules(
        capacity=atoms_or_finding(f"{key}.capacity", section.capacity, asset, findings, about),
        # Rounded down, to the atom per second: a provider never takes over more than it promised.
        refill_per_s=per_hour // 3600,
        position_notional_max=_limit(f"{key}.position_notional_max", section.position_notional_max, asset, about, findings),
        edge_ppm=section.edge_ppm,
    )
