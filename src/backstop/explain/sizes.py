"""The size of a takeover, done again in plain integers: the need, what each can carry, what the fund can support (docs/rules.md, 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from backstop.core.events import NONE, EffectKind, Health, ProviderStatus
from backstop.explain.fact import Fact, percent
from backstop.explain.house import View, initial_margin
from backstop.explain.mirror import Assessment
from backstop.explain.passed import support_of
from backstop.explain.scene import Scene
from backstop.explain.socialised import allocated

__all__ = ["add_offer_size", "add_vault_size"]

_PPM = 1_000_000


class _Room(NamedTuple):
    """What one provider can carry of a position."""

    provider: int
    lots: int
    #: What one lot more would exceed; empty: nothing, it can carry all.
    bound: str
    score_ppm: int
    edge_ppm: int

    @property
    def weight(self) -> int:
        """What it is offered lots in proportion to."""
        return max(1, self.lots * self.score_ppm // _PPM)


class _Size(NamedTuple):
    """What is taken over of one position, and by what it is bounded. Lots."""

    held: int
    #: The least that restores the account; 0: no number does, or it is insolvent.
    least: int
    rooms: tuple[_Room, ...]
    lots: int
    #: Atoms that the fund may have to pay for those lots, with the terms of what it could; empty: it pays nothing.
    support: str

    @property
    def wanted(self) -> int:
        """Lots that are to go."""
        return self.least or abs(self.held)


def add_offer_size(scene: Scene, fact: Fact) -> None:
    """Say how the lots of the OFFER that is looked at come about, and check them."""
    row, words = scene.row, scene.speaker
    first, earlier = _plan_of(scene)
    found, view = scene.mirror.assess(), scene.known.views[first]
    equity, maintenance = found.equity, found.maintenance
    for market, lots in earlier.items():
        equity -= _share_of(scene, found, market, lots) if found.equity >= 0 else 0
        maintenance -= scene.mirror.released(market, lots)
    asked = [
        number for number, provider in enumerate(scene.rules.providers) if not provider.is_vault and _may_be_asked(scene, view, number)
    ]
    size = _size(scene, view, asked, (equity, maintenance))
    parts = allocated(size.lots, [room.lots for room in size.rooms], [room.weight for room in size.rooms])
    mine = next((part for room, part in zip(size.rooms, parts, strict=True) if room.provider == row["price_ticks"]), 0)
    is_first = _is_first(scene)
    fact.because += _lines(scene, size, (equity, maintenance)) if is_first else []
    if len(size.rooms) > 1:
        part, together = words.lots(row["market"], mine), words.lots(row["market"], size.lots)
        says = f"its part of the {together} is {part}: by weight, at most what it can carry; lots left by largest remainder"
        fact.because.append(f"  {says}" if is_first else f"size: {says}")
    fact.check("lots", abs(row["lots"]), mine)
    fact.values |= _values(scene, size)


def add_vault_size(scene: Scene, fact: Fact) -> None:
    """Say how the lots of the TAKEOVER by the vault that is looked at come about, and check them."""
    row, found = scene.row, scene.mirror.assess()
    size = _size(scene, scene.known.views[scene.place], [row["price_ticks"]], (found.equity, found.maintenance))
    fact.because += _lines(scene, size, (found.equity, found.maintenance))
    fact.check("lots", abs(row["lots"]), size.lots)
    fact.values |= _values(scene, size)


def _plan_of(scene: Scene) -> tuple[int, dict[int, int]]:
    """Return where the offers of this position begin, and the lots offered right before of the account's other positions."""
    rows, account, market = scene.rows, scene.account, scene.row["market"]
    first, earlier = scene.place, dict[int, int]()
    for place in range(scene.place, -1, -1):
        row = rows[place]
        if row["kind"] == EffectKind.PROVIDER:
            continue
        if row["kind"] not in (EffectKind.OFFER, EffectKind.RESERVE) or row["account"] != account:
            break
        if row["kind"] == EffectKind.OFFER and row["market"] != market:
            earlier[row["market"]] = earlier.get(row["market"], 0) + abs(row["lots"])
        elif row["market"] == market and (row["kind"] == EffectKind.OFFER or row["other"] == rows[first]["other"]):
            first = place
    return first, earlier


def _is_first(scene: Scene) -> bool:
    """Return whether the offer that is looked at is the first of its position."""
    first, _ = _plan_of(scene)
    return scene.rows[first]["other"] == scene.row["other"]


def _may_be_asked(scene: Scene, view: View, number: int) -> bool:
    """Return whether a provider may take over from the account, whatever it can carry."""
    provider = view.providers[number]
    if provider.account == NONE or provider.status != ProviderStatus.ON:
        return False
    owners = scene.state.accounts["owner"]
    return view.mirrors[provider.account].health < Health.DISTRESSED and owners[provider.account] != owners[scene.account]


def _size(scene: Scene, view: View, asked: list[int], left: tuple[int, int]) -> _Size:
    """Return what those who are asked take over of the position; ``left``: equity and maintenance margin as expected so far."""
    market, found = scene.row["market"], scene.mirror.assess()
    held = scene.mirror.held(market)[0]
    least = _least_lots(scene, found, left) if found.equity >= 0 else 0
    all_rooms = [_room(scene, view, number, least or abs(held)) for number in asked]
    rooms = tuple(room for room in all_rooms if room.lots)
    lots, support = min(least or abs(held), sum(room.lots for room in rooms)), ""
    if found.equity < 0 and lots:
        edge = max(room.edge_ppm for room in rooms)
        lots, support = _supported(scene, view, found, lots, (edge, len(rooms)))
    return _Size(held, least, rooms, lots, support)


# -- the need ----------------------------------------------------------------------------------------------


def _share_of(scene: Scene, found: Assessment, market: int, lots: int) -> int:
    """Return what a solvent account pays beyond mark for lots: the providers' share of the way to zero cash."""
    mirror = scene.mirror
    gross = lots * mirror.unit(market) if mirror.held(market)[0] > 0 else -lots * mirror.unit(market)
    distance = gross - mirror.zero_cash(market, lots, found.equity, found.maintenance)
    return distance * scene.rules.takeover.provider_share_ppm // _PPM


def _least_lots(scene: Scene, found: Assessment, left: tuple[int, int]) -> int:
    """Return the least lots whose takeover restores a solvent account; 0: not even all do."""
    market, mirror = scene.row["market"], scene.mirror

    def restores(lots: int) -> bool:
        release = mirror.release_of(left[1] - mirror.released(market, lots))
        return left[0] - _share_of(scene, found, market, lots) >= release

    low, high = 0, abs(mirror.held(market)[0])
    if not restores(high):
        return 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if restores(middle) else (middle, high)
    return high


# -- what each can carry ---------------------------------------------------------------------------------------


def _room(scene: Scene, view: View, number: int, most: int) -> _Room:
    """Return what a provider can carry of the position, up to ``most`` lots, within commitment, position, margin and leverage."""
    market, rules = scene.row["market"], scene.rules
    direction = 0 if scene.mirror.held(market)[0] > 0 else 1
    commitment = rules.providers[number].commitments[rules.markets[market].group][direction]
    terms = _terms(scene, view, number)
    mirror = view.mirrors[view.providers[number].account]
    has_row = market in mirror.positions or int(scene.state.engine[0].positions_now) < len(scene.state.positions)
    lots = _most(lambda lots: all(fits(lots) for fits, _ in terms), most) if has_row else 0
    bound = next((says(lots) for fits, says in terms if not fits(lots + 1)), "") if 0 < lots < most else ""
    return _Room(number, lots, bound, view.providers[number].score_ppm, commitment.edge_ppm)


def _terms(scene: Scene, view: View, number: int) -> list[tuple[Callable[[int], bool], Callable[[int], str]]]:
    """Return what bounds a provider, each as whether so many lots more fit, and in words what holds where so many and no more do."""
    market, rules, cash = scene.row["market"], scene.rules, scene.speaker.cash
    provider, settings, market_rules = view.providers[number], scene.rules.providers[number], scene.rules.markets[market]
    direction, unit = (0 if scene.mirror.held(market)[0] > 0 else 1), scene.mirror.unit(market)
    commitment = settings.commitments[market_rules.group][direction]
    free = view.free(rules, number, market_rules.group, direction)
    used = view.used(rules, number, market_rules.group, direction)
    promised = view.promised(number, market, direction)
    found = view.mirrors[provider.account].assess()
    before = abs(promised) * unit
    margin = sum(initial_margin(rules, term.market, abs(term.value)) for term in found.positions) + provider.pending_initial
    gross = sum(abs(term.value) for term in found.positions) + provider.pending_notional

    def after(lots: int) -> int:
        return abs(promised + (lots if direction == 0 else -lots))

    def margin_after(lots: int) -> int:
        return margin - initial_margin(rules, market, before) + initial_margin(rules, market, after(lots) * unit)

    holds = f"it holds {scene.speaker.lots(market, promised)} there, open offers included"
    times = f"{settings.leverage_ppm / _PPM:g}"
    return [
        (
            lambda lots: lots * unit <= free,
            lambda _: f"commitment {cash(commitment.capacity)} less {cash(used)} used is {cash(free)}, one lot {cash(unit)}",
        ),
        (
            lambda lots: after(lots) * unit <= commitment.position_notional_max,
            lambda _: f"a position there may have {cash(commitment.position_notional_max)}; {holds}, one lot {cash(unit)}",
        ),
        (
            lambda lots: after(lots) <= market_rules.position_lots_max,
            lambda _: f"the market's largest position is {scene.speaker.lots(market, market_rules.position_lots_max)}; {holds}",
        ),
        (
            lambda lots: found.equity >= margin_after(lots),
            lambda lots: (
                f"equity {cash(found.equity)}; one lot more needs, open offers included, initial margin {cash(margin_after(lots + 1))}"
            ),
        ),
        (
            lambda lots: (gross - before + after(lots) * unit) * _PPM <= found.equity * settings.leverage_ppm,
            lambda _: (
                f"at most {times} x equity {cash(found.equity)}; it carries {cash(gross)}, open offers included, one lot {cash(unit)}"
            ),
        ),
    ]


def _most(fits: Callable[[int], bool], most: int) -> int:
    """Return the most lots up to ``most`` that fit, by bisection; 0 where not even none does."""
    if not fits(0):
        return 0
    low, high = 0, most
    if fits(most):
        return most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


# -- what the fund can support -----------------------------------------------------------------------------


def _supported(scene: Scene, view: View, found: Assessment, most: int, edge_and_parts: tuple[int, int]) -> tuple[int, str]:
    """Return the most lots of an insolvent account that the fund can support at the largest edge, and its terms."""
    market, cash = scene.row["market"], scene.speaker.cash
    sign, unit = (1 if scene.mirror.held(market)[0] > 0 else -1), scene.mirror.unit(market)
    edge_ppm, parts = edge_and_parts

    def worst(lots: int) -> int:
        receives = sign * lots * unit - lots * unit * edge_ppm // _PPM
        gap = scene.mirror.zero_cash(market, lots, found.equity, found.maintenance) - receives
        return gap + parts if gap > 0 else 0

    available, says = support_of(scene, view, scene.rules.markets[market].group)
    lots = most if worst(most) <= available else _most(lambda lots: lots == 0 or worst(lots) <= available, most)
    rounding = f"{parts:,} {'atom' if parts == 1 else 'atoms'} for rounding"
    part = f"{scene.speaker.lots(market, lots)} at edge {percent(edge_ppm)}"
    support = f"the fund may have to pay {cash(worst(lots))} for {part}: what that is short of zero cash, and {rounding}; {says}"
    return lots, support


# -- in words ------------------------------------------------------------------------------------------------


def _lines(scene: Scene, size: _Size, left: tuple[int, int]) -> list[str]:
    words, market = scene.speaker, scene.row["market"]
    holds = f"size: it holds {words.lots(market, size.held)}"
    if size.least:
        lines = [f"{holds}, {words.lots(market, size.least)} restore it:", _restored(scene, size.least, left)]
    else:
        is_solvent = scene.mirror.assess().equity >= 0
        lines = [f"{holds}, {'and no part of it would restore it' if is_solvent else 'insolvent: all of it is to go'}"]
    for room in size.rooms:
        carries = f"  {words.provider(room.provider)} can carry {words.lots(market, room.lots)} of it"
        weight = f"; weight {words.lots(market, room.weight)}, that by its score {percent(room.score_ppm)}" if len(size.rooms) > 1 else ""
        lines.append(f"{carries}: {room.bound}{weight}" if room.bound else f"{carries}, all that is to go{weight}")
    lines += [f"  {size.support}"] if size.support else []
    return [*lines, f"  bounded by: {_bounded_by(size)}"]


def _restored(scene: Scene, lots: int, left: tuple[int, int]) -> str:
    """Show that the takeover of so many lots brings the account to its release level."""
    market, mirror, cash = scene.row["market"], scene.mirror, scene.speaker.venue.asset.text
    share = _share_of(scene, mirror.assess(), market, lots)
    margin = left[1] - mirror.released(market, lots)
    ratio = percent(_PPM + scene.rules.levels.exit_buffer_ppm)
    return (
        f"    equity {cash(left[0])} less the providers' share of the way to zero, {cash(share)}, is {cash(left[0] - share)};"
        f" release level {ratio} of the {cash(margin)} maintenance margin left is {cash(mirror.release_of(margin))}"
    )


def _bounded_by(size: _Size) -> str:
    if size.lots < min(size.wanted, sum(room.lots for room in size.rooms)):
        return "what the fund can support"
    if size.lots < size.wanted:
        return "what can be carried"
    return "the least that restores the account" if size.least else "nothing: it is the whole position"


def _values(scene: Scene, size: _Size) -> dict[str, object]:
    words, market = scene.speaker, scene.row["market"]
    return {
        "restoring": words.lots(market, size.least) if size.least else None,
        "offered_together_lots": size.lots,
        "bounded_by": _bounded_by(size),
        "providers": [
            {
                "provider": words.provider(room.provider),
                "can_carry_lots": room.lots,
                "bound": room.bound,
                "score_ppm": room.score_ppm,
                "weight_lots": room.weight,
            }
            for room in size.rooms
        ],
    }
