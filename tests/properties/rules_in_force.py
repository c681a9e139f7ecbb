"""INV-10: changes of rules are told as they were asked for, rules in force are those that were told,
and relief is what the effects say.
"""

from __future__ import annotations

from backstop.core.events import NONE, Change, EffectKind, EventKind
from backstop.core.instruments import PPM
from backstop.core.rules_in_force import rules_in_force
from backstop.reference.listing import is_closed
from backstop.reference.parameters import place_of
from backstop.reference.state import WaitingChange
from tests.properties.moment import Findings, Moment

__all__ = [
    "change_is_answered",
    "change_is_told",
    "listing_is_answered",
    "listing_is_told",
    "nobody_sinks",
    "relief_is_told",
    "relief_scan",
    "rules_scan",
]


def change_is_told(moment: Moment) -> Findings:
    """A change that is told was asked for by the event, or waited; one that waits is not due."""
    effect, event, mirror = moment.effect, moment.event, moment.mirror
    if effect.kind != EffectKind.PARAMETER:
        return
    told = WaitingChange(effect.code, effect.market, effect.other, effect.lots, effect.amount, effect.value)
    asked = event.kind == EventKind.PARAMETER and told == WaitingChange(*place_of(event), event.amount, event.price_ticks)
    waits, status = told in mirror.changes, Change(effect.price_ticks)
    is_due = told.from_ns <= mirror.now
    if (status == Change.WAITING) == is_due or not (asked if status == Change.WAITING else waits or asked):
        yield f"{effect}: {status.name}, asked for {asked}, waits {waits}"
    if status == Change.DROPPED and not waits:
        yield f"{effect}: it did not wait"


def change_is_answered(moment: Moment) -> Findings:
    """An accepted change is told."""
    event, effects = moment.event, moment.effects
    if event.kind != EventKind.PARAMETER or (effects and effects[0].kind == EffectKind.REFUSAL):
        return
    asked = (event.code, event.amount, event.price_ticks)
    if all((effect.code, effect.amount, effect.value) != asked for effect in effects if effect.kind == EffectKind.PARAMETER):
        yield f"{event} is not told"


def relief_is_told(moment: Moment) -> Findings:
    """A relief tells the margin of the position with it, and without."""
    effect, mirror = moment.effect, moment.mirror
    if effect.kind == EffectKind.RELIEF:
        holding = mirror.holding(effect.account, effect.market)
        if (effect.lots, effect.amount, effect.value) != (holding.kept_ppm, holding.margin, holding.full_margin):
            yield f"{effect}: margin {holding.margin} of {holding.full_margin}"


def listing_is_told(moment: Moment) -> Findings:
    """A market is listed that was closed, by the rules that it has."""
    effect, event, mirror = moment.effect, moment.event, moment.mirror
    if effect.kind != EffectKind.LISTING:
        return
    rules = mirror.rules.markets[effect.market]
    told = (effect.other, effect.lots, effect.price_ticks, effect.amount)
    if told != (rules.group, rules.position_lots_max, rules.price_ticks_max, rules.notional_factor):
        yield f"{effect}: its rules are {rules}"
    asked = event.kind == EventKind.LISTING and event.market == effect.market
    if not asked or not is_closed(mirror, effect.market, mirror.now):
        yield f"{effect}: asked for {asked}, listed {rules.is_listed}"
    held = {holder: rows[effect.market] for holder, rows in mirror.positions.items() if effect.market in rows}
    if any(row.lots or row.cost for row in held.values()):
        yield f"{effect}: {held} there"


def listing_is_answered(moment: Moment) -> Findings:
    """An accepted listing is told."""
    event, effects = moment.event, moment.effects
    is_accepted = event.kind == EventKind.LISTING and not (effects and effects[0].kind == EffectKind.REFUSAL)
    if is_accepted and all((effect.kind, effect.market) != (EffectKind.LISTING, event.market) for effect in effects):
        yield f"{event} is not told"


def nobody_sinks(moment: Moment) -> Findings:
    """After a change of margin, and what relief follows it, who was out of default is out of it."""
    effect, mirror = moment.effect, moment.mirror
    if moment.event.kind != EventKind.PARAMETER or effect.kind != EffectKind.HEALTH:
        return
    standing = mirror.standing(effect.account)
    if not mirror.accounts[effect.account].in_default and standing.equity < standing.maintenance:
        yield f"{effect}: a change put it in default"


def rules_scan(moment: Moment) -> Findings:
    """The engine's rules, and the changes that wait, are those that the effects gave."""
    state, mirror = moment.state, moment.mirror
    if rules_in_force(mirror.rules, state) != mirror.rules:
        yield "the rules in force differ from those that were told"
    waiting = [tuple(row) for row in state.changes[: int(state.engine[0].changes_now)].tolist()]
    if waiting != [tuple(change) for change in mirror.changes]:
        yield f"changes wait {waiting}, told {mirror.changes}"


def relief_scan(moment: Moment) -> Findings:
    """The engine's relief is that which the effects gave."""
    state, mirror = moment.state, moment.mirror
    rows = state.positions[: int(state.engine[0].positions_now)]
    for place, row in enumerate(rows):
        account, market = int(row.account), int(row.market)
        kept_ppm = PPM - int(state.relieved[place])
        if account != NONE and kept_ppm != (mirror.kept_ppm(account, market) if account >= 0 else PPM):
            yield f"{account} keeps {kept_ppm} ppm in market {market}, told otherwise"
