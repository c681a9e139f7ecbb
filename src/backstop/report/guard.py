"""The price guard: which prints it held back, why, and what became of each."""

from __future__ import annotations

from backstop.core.events import Guard
from backstop.report.gathering import Gathering
from backstop.report.markup import Html, Node, join, tag
from backstop.report.parts import table
from backstop.report.words import clock, count, price, quantity, span_text, symbol_short
from backstop.runs.stops import HeldMark

__all__ = ["guard"]

_ENDED = {
    Guard.CONFIRMED: "confirmed: the next mark stood near it, on volume enough",
    Guard.DROPPED: "dropped: a mark on volume, or most of its time, stood for the old level",
    Guard.RELEASED: "released: it was newest for most of its time, and became the mark",
}


def guard(gathering: Gathering) -> Html | None:
    """Return what the price guard held back; None where the venue had no guard at any time."""
    rules, tally = gathering.tally.fold.rules, gathering.tally.guard
    was_guarded = any(each.rule.key == "market.guard_jump_ppm" for each in gathering.rule_changes.all)
    if not was_guarded and not any(rules.markets[number].guard_jump_ppm for number in gathering.markets):
        return None
    title = tag("h3", "Price guard")
    hold = span_text(rules.breakers.guard_hold_ns)
    rule = (
        f"A jump without volume is held for {hold}, and once more where other prints or the index speak for another level; nothing is"
        " valued at it until a mark on volume decides or its time is over."
    )
    if not tally.episodes:
        return join(title, tag("p", rule, " In this run it held nothing back.", class_="quiet"))
    counts = tally.counts
    words = tag(
        "p",
        rule,
        " In this run ",
        count(counts[Guard.HELD]),
        " marks were held back, in ",
        count(tally.episodes),
        " cases: ",
        *_ends(gathering),
        ".",
    )
    head = ("Market", "held from", "held price", "reference mark", "move", "volume", "marks held", "what became of it")
    shown = table(head, [_case(gathering, held) for held in tally.held], numbers=(2, 3, 4, 5, 6))
    left = tally.episodes - len(tally.held)
    return join(title, words, shown, tag("p", f"{left:,} more cases are left out.", class_="quiet") if left else None)


def _ends(gathering: Gathering) -> list[Node]:
    counts = gathering.tally.guard.counts
    ended = [(code, counts[code]) for code in (Guard.CONFIRMED, Guard.DROPPED, Guard.RELEASED)]
    parts: list[Node] = [join(count(number), f" {code.name.lower()}") for code, number in ended if number]
    if open_now := gathering.tally.guard.episodes - sum(number for _, number in ended):
        parts.append(join(count(open_now), " still held at the end"))
    return [join(", " if place else "", part) for place, part in enumerate(parts)]


def _case(gathering: Gathering, held: HeldMark) -> tuple[Node, ...]:
    venue = gathering.venue
    market = venue.markets[held.market]
    furthest = join(tag("br"), tag("small", f"at most {price(held.furthest_ticks, market)}")) if held.marks > 1 else None
    lasted = span_text((gathering.time.last_ns if held.ended is None else held.ended_ns) - held.first_ns)
    end = "still held at the end" if held.ended is None else _ENDED[held.ended]
    end = f"held once more, {end}" if held.continued_ns else end
    end = f"held on when another hold ended, {end}" if held.is_renewed else end
    return (
        symbol_short(market, venue),
        clock(held.first_ns),
        join(price(held.price_ticks, market), furthest),
        price(held.mark_ticks, market),
        f"{held.move_ppm / 1e4:.2f} % (from {held.guard_jump_ppm / 1e4:g} %)",
        f"{quantity(held.volume_lots, market)} (below {quantity(held.guard_volume_lots, market)})",
        count(held.marks),
        f"{end}, after {lasted}",
    )
