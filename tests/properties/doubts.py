"""INV-08: nothing is forced on anybody at a mark that is doubted or old, and doubt is told as it is."""

from __future__ import annotations

from backstop.core.events import BreakerCause, Doubt, EffectKind, EventKind, Guard
from backstop.core.rows import TRADED
from backstop.core.state import State
from backstop.reference.closing import longest_default_ns
from backstop.reference.doubt import is_book_shut, is_used_up, may_close, may_force, waits_for_halt
from backstop.reference.machine import HALT
from tests.properties.mirror import Mirror
from tests.properties.moment import Findings, Moment

__all__ = ["doubt_is_told", "doubts_scan", "note_waits", "nothing_is_forced"]

F = EffectKind


def note_waits(mirror: Mirror, state: State, now: int) -> None:
    """Take what the engine's rows say before an event of time that accounts waited for doubt: no effect
    says so.
    """
    for account, (waited, since) in zip(mirror.accounts, state.defaults[["doubt_ns", "doubt_since_ns"]].tolist(), strict=False):
        account.doubt_ns = min(mirror.rules.breakers.doubt_max_ns, waited + (now - since if since >= 0 else 0))


def reasons(state: State, market: int) -> list[Doubt]:
    """Return what the engine's rows say after the event of the reasons to doubt a mark."""
    breaker, venue = state.breakers[market], state.breakers[-1]
    found = [(Doubt.STALE, breaker.levels[BreakerCause.STALE]), (Doubt.INDEX, breaker.levels[BreakerCause.INDEX])]
    found.append((Doubt.OUTAGE, venue.levels[BreakerCause.OUTAGE]))
    held = [Doubt.GUARD] if breaker.is_held_newest else []
    return [reason for reason, level in found if level == HALT] + held


def doubt_is_told(moment: Moment) -> Findings:
    """INV-08: doubt begins with a reason and the mark of before, and ends with the mark; the last word
    of an event on a market is what then holds.
    """
    effect, mirror = moment.effect, moment.mirror
    if effect.kind != F.DOUBT:
        return
    begins, breaker = effect.code != Doubt.ENDED, mirror.breakers[effect.market]
    marks = {mirror.markets[effect.market].mark, mirror.marks_before[effect.market]}
    marks |= {row.price_ticks for row in moment.effects if (row.kind, row.code, row.market) == (F.GUARD, Guard.RELEASED, effect.market)}
    # Another reason joins a doubt by the guard alone: it cancels what that left out.
    joins = begins and effect.code != Doubt.GUARD and breaker.undoubted == effect.price_ticks and not breaker.has_cancelled
    if begins == (breaker.undoubted != 0) and not joins:
        yield f"{effect}: before it {breaker.undoubted}"
    if effect.other not in marks or (effect.price_ticks not in (marks if begins else {effect.other}) and not joins):
        yield f"{effect}: the mark is and was {marks}"
    rest = moment.effects[moment.place + 1 :]
    is_last = not any((row.kind, row.market) == (F.DOUBT, effect.market) for row in rest)
    found = reasons(moment.state, effect.market) or [Doubt.ENDED]
    # The time of a mark makes the feed stale before the mark itself brings another reason.
    was_stale = effect.code == Doubt.STALE and moment.event.kind == EventKind.MARK and found != [Doubt.ENDED]
    if is_last and not (effect.code in found or was_stale):
        yield f"{effect}: holds {found}"


def nothing_is_forced(moment: Moment) -> Findings:
    """INV-08: no order at a doubted mark or into a book that is shut; no takeover, ADL or tear-up at a
    doubted or an old mark, no ADL or tear-up in a halt that was not waited for.
    """
    effect, mirror = moment.effect, moment.mirror
    market, account = effect.market, effect.account
    if effect.kind == F.ORDER:
        is_sold = account == mirror.vault and not mirror.accounts[account].in_default
        if not may_close(mirror, account, market) or is_book_shut(mirror, market):
            yield f"{effect} at a doubted mark, or into a book that is shut"
        if is_sold and mirror.breakers[market].undoubted:
            yield f"{effect}: the vault sells at a doubted mark"
        if effect.value and not may_force(mirror, account, market):
            yield f"{effect}: support at an old mark"
    is_forced = effect.kind in (F.OFFER, F.ADL_PLAN, F.TEAR_UP) or (effect.kind == F.TAKEOVER and effect.other == 0)
    if is_forced and not may_force(mirror, account, market):
        yield f"{effect} at a doubted or an old mark"
    if effect.kind in (F.ADL_PLAN, F.TEAR_UP) and waits_for_halt(mirror, account, market):
        yield f"{effect} in a halt"


def doubts_scan(moment: Moment) -> Findings:
    """INV-08: after every event a market is doubted where its rows give a reason, and as it was told;
    where more than the guard doubts it, no order is out there, but those of who waited as long as
    anybody may.
    """
    mirror = moment.mirror
    yield from _bounded(moment)
    for market, row in enumerate(moment.state.breakers[:-1]):
        told, kept = mirror.breakers[market].undoubted, int(row.undoubted_ticks)
        if row.settlement != TRADED:
            continue
        if told != kept or (kept != 0) != bool(mirror.markets[market].mark and reasons(moment.state, market)):
            yield f"market {market}: undoubted mark {kept}, told {told}, reasons {reasons(moment.state, market)}"
        open_there = [order for order in mirror.open_orders.values() if order.market == market]
        cancels = mirror.breakers[market].has_cancelled
        # A market without a mark is not doubted, whatever the reasons.
        must_cancel = mirror.markets[market].mark and reasons(moment.state, market) not in ([], [Doubt.GUARD])
        if cancels != bool(row.has_cancelled) or (must_cancel and not cancels):
            yield f"market {market}: cancelled {cancels}, by the engine {row.has_cancelled}, reasons {reasons(moment.state, market)}"
        if cancels and any(not is_used_up(mirror, order.account) for order in open_there) and moment.event.kind != EventKind.ORDER_FILL:
            yield f"market {market}: doubted, with {open_there}"


def _bounded(moment: Moment) -> Findings:
    """No account in default with lots waits beyond the one bound for all waiting, but for room in an
    event that was crowded.
    """
    mirror, rules = moment.mirror, moment.mirror.rules
    most = longest_default_ns(rules.closeout, rules.breakers.doubt_max_ns, rules.takeover.answer_timeout_ns)
    for number, account in enumerate(mirror.accounts):
        until, since = int(moment.state.accounts[number].wait_until_ns), account.default_since
        late = _late_ns(mirror, number, until) if account.in_default else 0
        if account.in_default and mirror.held_markets(number) and until > max(since + most + late, mirror.now, mirror.crowded_until):
            yield f"account {number} in default since {since} waits until {until}, at most {most}, and {late} that events came late"


def _late_ns(mirror: Mirror, number: int, until: int) -> int:
    """Return by how much the events of an account's waits came later than the engine asked for them:
    the bound does not count it, and it may then begin to wait for a doubt.
    """
    since = mirror.accounts[number].default_since
    before, asked, late = mirror.waits.get(number, (since, mirror.now, 0))
    late = late + max(0, mirror.now - asked) if before == since else 0
    mirror.waits[number] = (since, until, late)
    return late
