"""INV-08: breakers hold nothing back that reduces risk, and every stop ends; the price guard holds
marks, and never for long.
"""

from __future__ import annotations

from backstop.core.engine import step
from backstop.core.events import NEVER_NS, NONE, BreakerCause, BreakerState, EffectKind, EventKind, Guard, Health, Reject
from backstop.core.instruments import VenueRules
from backstop.core.state import State
from backstop.reference.breakers import move_ppm
from backstop.reference.machine import end_of
from backstop.reference.records import Effect, Event, effects_list, events_array
from tests.properties.holds import Hold
from tests.properties.mirror import Mirror
from tests.properties.moment import Findings, Moment

__all__ = ["breaker_takes_a_step", "breakers_scan", "guard_tells_the_move", "no_risk_is_added", "never_ending"]

F = EffectKind
OPEN, THROTTLED, HALTED, REOPENING = BreakerState
#: States that each state may be left for.
LEADS_TO = {
    OPEN: (THROTTLED, HALTED),
    THROTTLED: (OPEN, HALTED, THROTTLED),
    HALTED: (REOPENING, HALTED),
    REOPENING: (OPEN, THROTTLED, HALTED),
}


def refused_for_a_halt(mirror: Mirror, event: Event, effects: list[Effect]) -> Findings:
    """INV-08: what a halt refuses is a fill that makes a position larger or flips it, in a market
    that is not open for that.
    """
    if not effects or (effects[0].kind, effects[0].code) != (F.REFUSAL, Reject.MARKET_HALTED):
        return
    if event.kind != EventKind.FILL or mirror.effective(event.market) not in (HALTED, REOPENING):
        yield f"{event} refused in state {mirror.effective(event.market) if event.kind == EventKind.FILL else NONE}"
    elif not _adds_risk(mirror, event):
        yield f"{event} reduces, and was refused"


def _adds_risk(mirror: Mirror, event: Event) -> bool:
    changes = [(event.account, event.lots), (event.other, -event.lots)]
    for account, change in changes:
        held = mirror.held_lots(account, event.market) if account >= 0 else -change
        if abs(held + change) > abs(held) or (held + change) * held < 0:
            return True
    return False


def no_risk_is_added(moment: Moment) -> Findings:
    """INV-08: in a market that was halted or reopening no fill was accepted that adds risk."""
    event, mirror = moment.event, moment.mirror
    if event.kind == EventKind.FILL and mirror.effective(event.market) in (HALTED, REOPENING) and _adds_risk(mirror, event):
        yield f"{event} was accepted in state {mirror.effective(event.market)}"


def breaker_takes_a_step(moment: Moment) -> Findings:
    """INV-08: a transition is one that the machine knows, and says when the new state ends: never
    later than its longest hold.
    """
    effect, mirror = moment.effect, moment.mirror
    if effect.kind != F.BREAKER:
        return
    rules, (state, until) = mirror.rules.breakers, (mirror.breakers[effect.market].state, mirror.breakers[effect.market].until)
    ends = end_of(BreakerState(effect.code), mirror.now, rules.hold_max_ns, rules.reopen_ns)
    if effect.other != state or effect.code not in LEADS_TO[BreakerState(effect.other)]:
        yield f"{effect} from state {state}"
    if effect.other == effect.code and until > mirror.now:
        yield f"{effect}: a new hold before the old one is over, at {until}"
    if effect.amount != ends:
        yield f"{effect}: ends at {ends} at the latest"
    if effect.lots not in set(BreakerCause):
        yield f"{effect} without a cause"


def breakers_scan(moment: Moment) -> Findings:
    """INV-08: after every event each machine is what its effects say, and no state but OPEN has
    outlasted its time.
    """
    marks = [int(row.mark_ticks) for row in moment.state.markets]
    if marks != moment.mirror.marks:
        yield f"marks {marks}, by events and guard {moment.mirror.marks}"
    for number, row in enumerate(moment.state.breakers):
        breaker = moment.mirror.breakers[number]
        told, kept = (breaker.state, breaker.until), (int(row.state), int(row.until_ns))
        if told != kept:
            yield f"breaker {number} is {kept}, told {told}"
        if (kept[0] == OPEN) != (kept[1] == NEVER_NS) or kept[1] <= moment.mirror.now:
            yield f"breaker {number} is {kept} at {moment.mirror.now}"
        held, until = breaker.held, breaker.held_until if breaker.held else NEVER_NS
        if int(row.held_ticks) != held or (held and int(row.held_until_ns) != until) or until <= moment.mirror.now:
            yield f"market {number} holds {row.held_ticks} until {row.held_until_ns}, told {held} until {until}"


def guard_tells_the_move(moment: Moment) -> Findings:
    """INV-08: a held mark is a jump on little volume, and says until when."""
    effect, mirror = moment.effect, moment.mirror
    if effect.kind != F.GUARD:
        return
    rules = mirror.rules.markets[effect.market]
    move = move_ppm(effect.price_ticks, effect.other)
    hold, hold_ns = mirror.holds.get(effect.market), mirror.rules.breakers.guard_hold_ns
    untils = {
        Guard.HELD: hold.until_ns if hold else mirror.now + hold_ns,
        Guard.CONTINUED: hold.until_ns + hold_ns if hold else 0,
        Guard.RENEWED: _ended_at(moment) + hold_ns,
    }
    until = untils.get(Guard(effect.code), 0)
    if (effect.value, effect.amount) != (move, until):
        yield f"{effect}: the move is {move}, held until {until} at the latest"
    if effect.code == Guard.RENEWED:
        yield from _renews(moment)
    elif effect.code != Guard.HELD:
        yield from _ends_as_counted(moment, hold)
    else:
        volume = int(moment.state.markets[effect.market].volume_lots)
        if (
            move < rules.guard_jump_ppm
            or not 0 <= volume < rules.guard_volume_lots
            or effect.other != mirror.breakers[effect.market].reference
        ):
            yield f"{effect}: reference {mirror.breakers[effect.market].reference}, volume {volume}"


def _ended_at(moment: Moment) -> int:
    """Return when the hold ended whose newest print is held on, as its end says."""
    return moment.mirror.ended_at.get(moment.effect.market, (0, 0))[0]


def _renews(moment: Moment) -> Findings:
    """A print is held on that was the newest when its hold ended."""
    effect, mirror = moment.effect, moment.mirror
    newest = mirror.ended_at.get(effect.market, (0, 0))[1]
    if effect.market in mirror.holds or effect.price_ticks != newest:
        yield f"{effect}: {newest} was the newest print, held before it: {mirror.holds.get(effect.market)}"


def _ends_as_counted(moment: Moment, hold: Hold | None) -> Findings:
    """A hold ends with the level that its prints tell, and by time with what they count."""
    effect, now = moment.effect, moment.mirror.now
    if hold is None:
        yield f"{effect}: nothing is held"
        return
    level, _, lead = hold.levels(min(now, hold.until_ns))
    if effect.price_ticks not in (level, hold.levels()[0]):
        yield f"{effect}: {level} is held"
    if hold.until_ns > now or any(row.kind == F.SETTLEMENT for row in moment.effects):
        return
    length = moment.mirror.rules.breakers.guard_hold_ns
    has_index, twice = int(moment.state.markets[effect.market].index_ticks) != 0, 2 * hold.new_ns()
    may = {
        Guard.RELEASED: twice >= length and (hold.is_continued or has_index or lead == length),
        Guard.CONTINUED: twice > length and not hold.is_continued and (has_index or lead < length),
        Guard.DROPPED: twice <= length,
    }
    if not may.get(Guard(effect.code), False):
        yield f"{effect}: newest for {twice / 2} of {length}, lead {lead}"


def never_ending(rules: VenueRules, state: State) -> Findings:
    """INV-08: with nothing but time, whatever was reached ends: every machine is OPEN, every mark
    released.

    Signals of time itself come on the way: feeds grow stale, windows pass, orders and offers time
    out, the vault sells on. An operator's hold may have been ordered; a throttle and a halt for
    each cause must do. ``state`` is used up.
    """
    breakers, engine = rules.breakers, state.engine[0]
    signals_ns = max(breakers.stale_ns, breakers.operator_hold_max_ns, breakers.outage_grace_max_ns, 2 * breakers.guard_hold_ns)
    signals_ns += 2 * max(breakers.flow_window_ns, breakers.price_window_ns) + rules.fund.drawdown_window_ns
    holds_ns = 2 * len(BreakerCause) * (breakers.hold_max_ns + breakers.reopen_ns)
    end_ns = int(engine.now_ns) + signals_ns + holds_ns
    seq = int(engine.last_seq)
    while int(engine.now_ns) < end_ns:
        if all(int(row.state) == OPEN and not row.held_ticks for row in state.breakers) and int(engine.timer_ns) > end_ns:
            return
        seq += 1
        time_ns = min(end_ns, _next_ns(state))
        engine.effects_now = 0
        step(state, events_array([Event(seq, time_ns, EventKind.CLOCK)]), 0)
        effects = effects_list(state.effects[: int(engine.effects_now)])
        if any(effect.kind == F.REFUSAL for effect in effects):
            yield f"a CLOCK at {time_ns} was refused"
            return
    for number, row in enumerate(state.breakers):
        if int(row.state) != OPEN or row.held_ticks:
            yield f"breaker {number} is still {BreakerState(int(row.state)).name} until {row.until_ns}, holds {row.held_ticks}, at {end_ns}"


def _next_ns(state: State) -> int:
    """Time of the next timer or wait."""
    engine = state.engine[0]
    now, accounts = int(engine.now_ns), state.accounts[: int(engine.accounts_now)]
    waits = [int(row.wait_until_ns) for row in accounts if row.health >= Health.DISTRESSED]
    following = min([int(engine.timer_ns), *waits])
    return max(now + 1, following)
