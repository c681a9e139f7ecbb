"""Values of a venue file that are each allowed and do not fit each other, and what a provider stands."""

from __future__ import annotations

from collections.abc import Iterator

from backstop.config.findings import Finding
from backstop.config.quantise import decimal_text
from backstop.config.schema import AdlStage, VenueFile, duration_text
from backstop.core.instruments import PPM, ProviderRules, VenueRules

__all__ = ["contradictions", "fall_survived_ppm", "what_levelling_ignores"]


def contradictions(rules: VenueRules) -> Iterator[Finding]:
    """Yield pairs of durations of which one makes the other useless, or worse."""
    breakers, closeout, takeover = rules.breakers, rules.closeout, rules.takeover
    text, deadline = duration_text, closeout.deadline_ns
    for name, late_ns in (("stale", breakers.stale_ns), ("outage_gap", breakers.outage_gap_ns)):
        if late_ns > deadline and not breakers.act_age_max_ns:
            message = f"comes after the deadline of closeout, {text(deadline)}: accounts are deleveraged at a dead price before it is"
            yield Finding(f"breakers.{name}", f"{message} doubted; set act_age_max", text(late_ns))
    if breakers.act_age_max_ns and breakers.stale_ns and breakers.act_age_max_ns > breakers.stale_ns:
        message = f"is beyond stale, {text(breakers.stale_ns)}: a mark is doubted before it is too old to act on"
        yield Finding("breakers.act_age_max", message, text(breakers.act_age_max_ns))
    waits = [("guard.hold", breakers.guard_hold_ns, 2)] if any(market.guard_jump_ppm for market in rules.markets) else []
    waits += [("breakers.outage_grace_max", breakers.outage_grace_max_ns, 1)] if breakers.stale_ns or breakers.outage_gap_ns else []
    for name, wait_ns, times in waits:
        if times * wait_ns > breakers.doubt_max_ns:
            longer = "is longer" if times == 1 else "twice, as a disputed level is held, is longer"
            message = f"{longer} than doubt_max, {text(breakers.doubt_max_ns)}: accounts are closed at a price that is still doubted"
            yield Finding(name, message, text(wait_ns))
    forced_ns = deadline + max(deadline, closeout.carry_max_ns)
    if breakers.halt_wait_max_ns > forced_ns:
        message = f"is longer than anybody waits without a doubt, {text(forced_ns)}: ADL waits no longer than that"
        yield Finding("breakers.halt_wait_max", message, text(breakers.halt_wait_max_ns))
    if takeover.answer_timeout_ns > deadline and rules.providers:
        message = f"is longer than the deadline of closeout, {text(deadline)}: one silent provider uses all of it"
        yield Finding("takeover.answer_timeout", message, text(takeover.answer_timeout_ns))


def what_levelling_ignores(file: VenueFile) -> Iterator[Finding]:
    """Yield what the policy ``water_filling`` does not read, and what it lacks."""
    for number, stage in enumerate(file.waterfall):
        if not isinstance(stage, AdlStage) or stage.policy != "water_filling":
            continue
        why = "water_filling takes lots one by one, and asks as many owners as that needs, for a lot at least"
        if stage.parts_min_notional:
            yield Finding(f"waterfall[{number}].parts_min_notional", f"is ignored: {why}", decimal_text(stage.parts_min_notional))
        if stage.counterparties_max:
            yield Finding(f"waterfall[{number}].counterparties_max", f"is ignored: {why}", str(stage.counterparties_max))
        if len(file.market) > 1 and not any("factor_loading_ppm" in market.model_fields_set for market in file.market):
            message = (
                "no market has a factor_loading_ppm: all count as 1000000, so that a position in any market hedges one in any other in full"
            )
            yield Finding(f"waterfall[{number}].policy", message, '"water_filling"')


def fall_survived_ppm(provider: ProviderRules) -> int | None:
    """Return the fall at which a provider that has taken over all that it committed to take of one
    direction reaches its loss stop; None: it promised nothing.
    """
    most = max(sum(pair[direction].capacity for pair in provider.commitments) for direction in (0, 1))
    return provider.loss_stop * PPM // most if most else None
