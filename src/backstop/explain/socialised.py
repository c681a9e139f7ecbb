"""What all others could bear, done again in plain integers: a socialised loss, and ADL that found nobody (docs/rules.md, section 6).

Everybody with a position is kept from before the event up to the first cut, by what the tape says of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from backstop.core.events import (
    HOUSE_FIRST_MARKET,
    NONE,
    Cause,
    EffectArray,
    EffectKind,
    Health,
    SocialisePolicy,
    error_inventory_of,
    outside_of,
)
from backstop.core.instruments import VenueRules
from backstop.core.state import State
from backstop.explain.mirror import Assessment, Mirror
from backstop.journal.rendering import Row

__all__ = ["Crowd", "Cut", "Loss", "OtherSide", "allocated", "first_of_loss"]

#: What stands between the cuts of one loss.
_WITHIN = (EffectKind.HAIRCUT, EffectKind.POSTING, EffectKind.CLAIM)
#: Effects after which a position of their account counts as closed in its default.
_CLOSES = (EffectKind.TAKEOVER, EffectKind.ADL_PLAN, EffectKind.TEAR_UP)


class Cut(NamedTuple):
    """What one position bears: a HAIRCUT row. Atoms."""

    payer: int
    market: int
    amount: int
    #: Of the payer, over all markets of the default.
    weight: int
    cap: int


class Loss(NamedTuple):
    """One deficit that others bore."""

    policy: SocialisePolicy
    markets: tuple[int, ...]
    #: What the fund had not paid.
    deficit: int
    payers: int
    weight_sum: int
    cap_sum: int
    cuts: tuple[Cut, ...]


class OtherSide(NamedTuple):
    """Who could have given lots for a position before it was torn up."""

    holders: int
    #: Of them in default themselves: ADL asks none of those.
    in_default: int
    #: What the others together would have had to pay beyond mark. Atoms.
    beyond_mark: int
    #: What they, and the house, could have given.
    lots: int


def allocated(budget: int, caps: list[int], weights: list[int]) -> list[int]:
    """Return ``min(cap, eta x weight)`` of each, summing to ``budget`` exactly, or all caps where they do not exceed it.

    Pass by pass whoever's share reaches the cap is full; then floors, and one atom each by largest remainder, ties to the earlier.
    """
    if sum(caps) <= budget:
        return list(caps)
    parts: dict[int, int] = {}
    left, weight_left = budget, sum(weights)
    while True:
        full = [place for place, cap in enumerate(caps) if place not in parts and cap * weight_left <= left * weights[place]]
        if not full:
            break
        parts |= {place: caps[place] for place in full}
        left -= sum(caps[place] for place in full)
        weight_left -= sum(weights[place] for place in full)
    others = [place for place in range(len(caps)) if place not in parts]
    parts |= {place: left * weights[place] // weight_left for place in others}
    rest = left - sum(parts[place] for place in others)
    by_remainder = sorted(others, key=lambda place: (-(left * weights[place] % weight_left), place))
    for place in by_remainder[:rest]:
        parts[place] += 1
    return [parts[place] for place in range(len(caps))]


def first_of_loss(rows: list[Row], place: int) -> int:
    """Return the place of the first HAIRCUT of the loss that the row at ``place`` belongs to."""
    defaulter = next(row["other"] for row in reversed(rows[: place + 1]) if row["kind"] == EffectKind.HAIRCUT)
    first = place
    for earlier in range(place, -1, -1):
        row = rows[earlier]
        if row["kind"] not in _WITHIN or (row["kind"] == EffectKind.HAIRCUT and row["other"] != defaulter):
            break
        if row["kind"] == EffectKind.HAIRCUT:
            first = earlier
    return first


class Crowd:
    """Everybody who may have to pay in an event, as they stand at the effect that was reached."""

    def __init__(self, rules: VenueRules, state: State, recorded: EffectArray) -> None:
        """Read everybody's rows before the event whose effects are ``recorded``."""
        self._rules = rules
        #: By place: of the first HAIRCUT of a loss, and of a TEAR_UP, there by market that its account holds.
        self.losses: dict[int, Loss] = {}
        self.sides: dict[int, dict[int, OtherSide]] = {}
        self._marks: list[int] = []
        self._people: dict[int, Mirror] = {}
        self._closed: dict[int, set[int]] = {}
        #: Reduced by the event's own fill: closed as well, where the account is in default after it.
        self._filled: dict[int, set[int]] = {}
        heads, opened = state.accounts, int(state.engine[0].accounts_now)
        rows = state.positions[: int(state.engine[0].positions_now)]
        named = recorded["account"][np.isin(recorded["kind"], (EffectKind.TRADE, EffectKind.POSTING, EffectKind.HEALTH))].tolist()
        for account in {*rows["account"].tolist(), *named}:
            if 0 <= account < opened:
                head = heads[account]
                self._people[account] = Mirror(rules, int(head.balance), {}, self._marks, int(head.health))
        for row in rows[rows["account"] >= 0]:
            account, market = int(row["account"]), int(row["market"])
            self._people[account].positions[market] = (int(row["lots"]), int(row["cost"]))
            if row["closed_in_default"]:
                self._closed.setdefault(account, set()).add(market)
        house = rows[rows["account"] <= HOUSE_FIRST_MARKET]
        self._house = dict(zip(house["account"].tolist(), house["lots"].tolist(), strict=True))

    def follow(self, rows: list[Row], marks: list[int]) -> None:
        """Follow the effects of the event; fill ``losses`` and ``sides``."""
        self._marks[:] = marks
        for place, row in enumerate(rows):
            if row["kind"] == EffectKind.HAIRCUT and first_of_loss(rows, place) == place:
                self.losses[place] = self._loss(rows, place)
            elif row["kind"] == EffectKind.TEAR_UP:
                held = [market for market, (lots, _) in self._people[row["account"]].positions.items() if lots]
                self.sides[place] = {market: self._other_side(row["account"], market) for market in held}
            self._follow(row)

    def _follow(self, row: Row) -> None:
        kind, account = row["kind"], row["account"]
        person = self._people.get(account)
        if kind == EffectKind.POSTING:
            if person is not None:
                person.balance += row["amount"]
            if (payer := self._people.get(row["other"])) is not None:
                payer.balance -= row["amount"]
        if kind == EffectKind.TRADE and account in self._house:
            self._house[account] += row["lots"]
        elif kind == EffectKind.TRADE and row["code"] == Cause.OPENING:
            self._house[row["other"]] -= row["lots"]  # the other side of an opening has no row of its own
        if person is None:
            return
        if kind == EffectKind.TRADE and row["code"] == Cause.OPENING:
            person.positions[row["market"]] = (row["lots"], -row["amount"])
        elif kind == EffectKind.TRADE:
            if row["code"] == Cause.FILL and person.held(row["market"])[0] * row["lots"] < 0:
                self._filled.setdefault(account, set()).add(row["market"])
            person.trade(row["market"], row["lots"], row["amount"])
        elif kind == EffectKind.HAIRCUT:
            person.cut(row["market"], row["amount"])
        elif kind == EffectKind.HEALTH:
            if (row["code"] >= Health.DISTRESSED) != (row["other"] >= Health.DISTRESSED):
                self._closed.pop(account, None)
                if row["code"] < Health.DISTRESSED:
                    self._filled.pop(account, None)
            person.health = row["code"]
        if kind in _CLOSES or (kind == EffectKind.TRADE and row["code"] == Cause.CLOSEOUT):
            self._closed.setdefault(account, set()).add(row["market"])

    def _other_side(self, account: int, market: int) -> OtherSide:
        """Return what ADL could have closed of a position: less and less, until the caps suffice for it."""
        person = self._people[account]
        held, unit = person.held(market)[0], person.unit(market)
        others = [other for number, other in self._people.items() if number != account and other.held(market)[0] * held < 0]
        able = [other for other in others if other.health < Health.DISTRESSED]
        house = sum(abs(self._house[number]) for number in house_of(market) if self._house[number] * held < 0)
        found = person.assess()
        assessed = [(other, other.assess()) for other in able] if found.equity < 0 else []

        def beyond(lots: int) -> int:
            return person.zero_cash(market, lots, found.equity, found.maintenance) - (lots if held > 0 else -lots) * unit

        lots, first = abs(held), beyond(abs(held)) if found.equity < 0 else 0
        while lots > 0:
            if found.equity >= 0:
                most = house + sum(abs(other.held(market)[0]) for other in able)
            else:
                extra = beyond(lots)
                most = house + sum(_cap(other, stands, market, extra, lots) for other, stands in assessed)
            if most >= lots:
                break
            lots = most
        return OtherSide(len(others), len(others) - len(able), first, lots)

    def _loss(self, rows: list[Row], place: int) -> Loss:
        policy, defaulter = SocialisePolicy(rows[place]["code"]), rows[place]["other"]
        markets = tuple(sorted(self._closed.get(defaulter, set()) | self._filled.get(defaulter, set())))
        deficit = self._deficit(rows, place, defaulter)
        payers, caps, weights = [], [], []
        for account in sorted(self._people):
            person = self._people[account]
            if account == defaulter or person.health >= Health.DISTRESSED:
                continue
            weight = sum(_weight(person, market, policy) for market in markets)
            if weight == 0:
                continue
            found = person.assess()
            cap = max(0, found.equity - found.maintenance)
            cap = min(cap, weight) if policy == SocialisePolicy.GAINS_HAIRCUT else cap
            if cap:
                payers.append(account)
                caps.append(cap)
                weights.append(weight)
        shares = allocated(min(deficit, sum(caps)), caps, weights)
        cuts: list[Cut] = []
        for account, weight, cap, share in zip(payers, weights, caps, shares, strict=True):
            cuts += [Cut(account, market, part, weight, cap) for market, part in self._parts(account, markets, share, policy)]
        return Loss(policy, markets, deficit, len(payers), sum(weights), sum(caps), tuple(cuts))

    def _parts(self, account: int, markets: tuple[int, ...], share: int, policy: SocialisePolicy) -> list[tuple[int, int]]:
        """Return (market, atoms) of the positions that bear a share, in order of market."""
        parts, left = [], share
        for market in markets:
            if self._people[account].held(market)[0] and left:
                weight = _weight(self._people[account], market, policy)
                part = min(left, weight) if policy == SocialisePolicy.GAINS_HAIRCUT else left
                if part:
                    parts.append((market, part))
                left -= part
        return parts

    def _deficit(self, rows: list[Row], place: int, defaulter: int) -> int:
        """Return what the fund left: of the gap of a tear-up that the cuts follow, or of the equity that is below 0."""
        paid = 0
        for row in reversed(rows[:place]):
            if row["kind"] == EffectKind.TEAR_UP and row["account"] == defaulter:
                return row["value"] - paid
            if row["kind"] != EffectKind.POSTING or row["account"] != defaulter or row["code"] != Cause.TEAR_UP:
                break
            paid += row["amount"]
        return -self._people[defaulter].assess().equity


def house_of(market: int) -> tuple[int, int]:
    """Return the house's holders of positions in a market."""
    return outside_of(market), error_inventory_of(market)


def _cap(person: Mirror, found: Assessment, market: int, extra: int, total: int) -> int:
    """Return the most lots that a counterparty can give for its part of ``extra`` and keep its maintenance margin."""
    whole, unit = abs(person.held(market)[0]), person.unit(market)
    if extra == 0:
        return whole
    spare = found.equity - found.maintenance + person.margin(market, whole * unit)

    def fits(lots: int) -> bool:
        return lots * extra <= (spare - person.margin(market, (whole - lots) * unit) - 2) * total

    if not fits(0) or fits(whole):
        return whole if fits(0) else 0
    low, high = 0, whole
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _weight(person: Mirror, market: int, policy: SocialisePolicy) -> int:
    lots, cost = person.held(market)
    if market == NONE or not lots:
        return 0
    value = lots * person.unit(market)
    return max(0, value - cost) if policy == SocialisePolicy.GAINS_HAIRCUT else abs(value)
