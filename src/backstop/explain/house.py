"""The funds and the backstop providers at an effect: kept from before the event by what the tape says (docs/rules.md, section 6).

As ``mirror`` does for one account, it knows nothing of the engine's code: it starts from rows and follows the tape from there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from backstop.core.events import GROUPS_MAX, NONE, Cause, EffectArray, EffectKind, ProviderStatus, fund_of
from backstop.core.instruments import VenueRules, deductions_atoms
from backstop.core.state import FUND_SLOTS, OWNER_PAID, OWNER_PAID_NS, OWNER_RESERVED, TAKEOVER_OFFER, State
from backstop.explain.mirror import Mirror, ceil_div
from backstop.journal.rendering import Row

__all__ = ["Fund", "House", "Provider", "View", "initial_margin"]

_PPM = 1_000_000
_SECOND_NS = 1_000_000_000
_PAYMENTS = (Cause.SUPPORT, Cause.DEFICIT, Cause.TEAR_UP)
_ASKED = (EffectKind.OFFER, EffectKind.ADL_PLAN, EffectKind.TEAR_UP, EffectKind.RESIDUAL)


@dataclass(slots=True)
class Fund:
    """One group's fund. Atoms."""

    #: What its ledger account holds, what is reserved of it included.
    ledger_balance: int
    reserved: int
    #: In the present window, and the most that it may be.
    paid: int
    loss_max: int

    @property
    def available(self) -> int:
        """What it may still promise or pay, for whomever."""
        return max(0, min(self.ledger_balance - self.reserved, self.loss_max - self.paid - self.reserved))


@dataclass(slots=True)
class Provider:
    """One backstop provider's standing."""

    account: int
    status: ProviderStatus
    until_ns: int
    score_ppm: int
    #: Of offers that it has not answered.
    pending_initial: int
    pending_notional: int
    #: Lots (> 0) of open offers, by direction (0: it takes over longs) and market.
    offered: dict[tuple[int, int], int]
    #: Atoms used of a commitment and the time as of which, by group and direction.
    used: dict[tuple[int, int], tuple[int, int]]


class Offer(NamedTuple):
    """An offer that is open, or was when the event began."""

    provider: int
    market: int
    direction: int
    lots: int
    notional: int
    pending_initial: int
    sent_ns: int


@dataclass(slots=True)
class View:
    """Funds, providers and what the funds did for one owner, as they stand at an effect."""

    now_ns: int
    funds: list[Fund]
    owner_paid: int
    owner_reserved: int
    providers: list[Provider]
    #: Accounts of the providers.
    mirrors: dict[int, Mirror]

    def available_to_owner(self, rules: VenueRules) -> int:
        """Return what all funds together may still promise or pay for the owner."""
        return max(0, rules.fund.owner_loss_max - self.owner_paid - self.owner_reserved)

    def available(self, rules: VenueRules, group: int) -> int:
        """Return what a fund may still promise or pay for the owner."""
        return min(self.funds[group].available, self.available_to_owner(rules))

    def free(self, rules: VenueRules, provider: int, group: int, direction: int) -> int:
        """Return what is free of a commitment."""
        commitment = rules.providers[provider].commitments[group][direction]
        return max(0, commitment.capacity - self.used(rules, provider, group, direction))

    def used(self, rules: VenueRules, provider: int, group: int, direction: int) -> int:
        """Return what is used of a commitment, less what time gave back."""
        used, as_of_ns = self.providers[provider].used[group, direction]
        refill = rules.providers[provider].commitments[group][direction].refill_per_s
        return max(0, used - refill * (self.now_ns - as_of_ns) // _SECOND_NS)

    def promised(self, provider: int, market: int, direction: int) -> int:
        """Return the signed lots that a provider would hold if it took all that it was offered in a market and direction."""
        place = self.providers[provider]
        offered = place.offered.get((direction, market), 0)
        return self.mirrors[place.account].held(market)[0] + (offered if direction == 0 else -offered)


def initial_margin(rules: VenueRules, market: int, notional: int) -> int:
    """Return the initial margin of a position of a notional. Atoms."""
    tiers = rules.markets[market].tiers
    deductions = deductions_atoms(tuple(tier.floor_atoms for tier in tiers), tuple(tier.initial_rate_ppm for tier in tiers))
    place = max(number for number, tier in enumerate(tiers) if tier.floor_atoms <= notional)
    return ceil_div(notional * tiers[place].initial_rate_ppm, _PPM) - deductions[place]


class House:
    """Follows funds and providers through the effects of one event."""

    def __init__(self, rules: VenueRules, state: State, recorded: EffectArray, now_ns: int, looked_at: list[int]) -> None:
        """Read the rows before the event at ``now_ns`` whose effects are ``recorded``; ``looked_at``: accounts to be asked for."""
        self._rules = rules
        self._now_ns = now_ns
        self._marks: list[int] = []
        self._owners: dict[int, int] = {}
        self._paid: dict[int, int] = {}
        self._reserved: dict[int, int] = {}
        self._funds = [_fund(rules, state, group, now_ns) for group in range(len(rules.funds))]
        self._providers = [_provider(rules, state, number) for number in range(len(rules.providers))]
        bound = recorded[recorded["kind"] == EffectKind.PROVIDER]["account"].tolist()
        accounts = {*bound, *(provider.account for provider in self._providers)} - {NONE}
        self._mirrors = {account: replace(Mirror.of(rules, state, account), marks=self._marks) for account in accounts}
        self._offers = _offers_named(state, recorded)
        paid = recorded["account"][np.isin(recorded["kind"], (EffectKind.POSTING, EffectKind.RESERVE))].tolist()
        for account in {*paid, *looked_at}:
            if account >= 0:
                self._read_owner(state, account)

    def _read_owner(self, state: State, account: int) -> None:
        owner = int(state.accounts[account].owner)
        columns = state.columns
        is_over = self._now_ns - int(columns[OWNER_PAID_NS, owner]) > self._rules.fund.window_ns
        self._owners[account] = owner
        self._paid[owner] = 0 if is_over else int(columns[OWNER_PAID, owner])
        self._reserved[owner] = int(columns[OWNER_RESERVED, owner])

    def views(self, rows: list[Row], marks: list[int], accounts: list[int]) -> dict[int, View]:
        """Follow the effects; return the views at each ADL, takeover, tear-up and residual of ``accounts``, by place.

        What the fund reserves for an offer stands before it: its view is that of before.
        """
        self._marks[:] = marks
        found = {}
        for place, row in enumerate(rows):
            if row["account"] in accounts and _is_asked(rows, place):
                found[place] = self.view(row["account"])
            self._follow(row)
        return found

    def view(self, account: int) -> View:
        """Return how everything stands now for an account that is looked at."""
        owner = self._owners[account]
        return View(
            self._now_ns,
            [replace(fund) for fund in self._funds],
            self._paid[owner],
            self._reserved[owner],
            [replace(each, offered=dict(each.offered), used=dict(each.used)) for each in self._providers],
            {number: replace(mirror, positions=dict(mirror.positions)) for number, mirror in self._mirrors.items()},
        )

    def differences(self, state: State) -> list[str]:
        """Say in what the engine's rows, after the event, differ from what was followed."""
        rules, now = self._rules, self._now_ns
        mine = View(now, self._funds, 0, 0, self._providers, {})
        funds = [_fund(rules, state, group, now) for group in range(len(rules.funds))]
        after = View(now, funds, 0, 0, [_provider(rules, state, number) for number in range(len(rules.providers))], {})
        found = [f"fund {group}: {fund}, followed {mine.funds[group]}" for group, fund in enumerate(funds) if fund != mine.funds[group]]
        for number, provider in enumerate(after.providers):
            followed = mine.providers[number]
            if replace(provider, used={}) != replace(followed, used={}):
                found.append(f"provider {number}: {provider}, followed {followed}")
            used = [key for key in provider.used if after.used(rules, number, *key) != mine.used(rules, number, *key)]
            found += [f"commitment {key} of provider {number}" for key in used]
        return found

    def _follow(self, row: Row) -> None:
        kind = row["kind"]
        if kind == EffectKind.POSTING:
            self._follow_posting(row)
        elif kind == EffectKind.RESERVE:
            self._funds[self._group(row["market"])].reserved += row["amount"]
            self._reserved[self._owners[row["account"]]] += row["amount"]
        elif kind == EffectKind.PROVIDER:
            provider = self._providers[row["other"]]
            provider.account, provider.status, provider.until_ns = row["account"], ProviderStatus(row["code"]), row["value"]
            provider.score_ppm = row["amount"]
        elif kind == EffectKind.OFFER:
            self._open(row)
        elif kind == EffectKind.TAKEOVER and row["other"] == 0:
            self._use(row["price_ticks"], row["market"], 0 if row["lots"] < 0 else 1, abs(row["lots"]) * self._unit(row["market"]))
        elif kind in (EffectKind.CANCEL, EffectKind.TAKEOVER):
            self._close(row["other"], is_cancelled=kind == EffectKind.CANCEL)
            if kind == EffectKind.TAKEOVER:
                taker = self._providers[row["price_ticks"]]
                taker.score_ppm += (_PPM - taker.score_ppm) // 8
        mirror = self._mirrors.get(row["account"])
        if mirror is not None:
            _follow_account(mirror, row)

    def _follow_posting(self, row: Row) -> None:
        amount = row["amount"]
        for group, fund in enumerate(self._funds):
            if row["account"] == fund_of(group):
                fund.ledger_balance += amount
            elif row["other"] == fund_of(group):
                fund.ledger_balance -= amount
                if row["code"] in _PAYMENTS:
                    fund.paid += amount
                    self._paid[self._owners[row["account"]]] += amount
        for holder, change in ((row["account"], amount), (row["other"], -amount)):
            if holder in self._mirrors:
                self._mirrors[holder].balance += change

    def _group(self, market: int) -> int:
        return self._rules.markets[market].group

    def _unit(self, market: int) -> int:
        return self._marks[market] * self._rules.markets[market].notional_factor

    def _use(self, provider: int, market: int, direction: int, notional: int) -> None:
        """Count what a provider was given against its commitment, brought up to date first."""
        place, key = self._providers[provider], (self._group(market), direction)
        used, as_of_ns = place.used[key]
        refill = self._rules.providers[provider].commitments[key[0]][direction].refill_per_s
        left = max(0, used - refill * (self._now_ns - as_of_ns) // _SECOND_NS)
        place.used[key] = (left + notional, self._now_ns)

    def _open(self, row: Row) -> None:
        provider, market, lots = row["price_ticks"], row["market"], abs(row["lots"])
        direction, unit = 0 if row["lots"] < 0 else 1, self._unit(row["market"])
        place = self._providers[provider]
        held = self._mirrors[place.account].held(market)[0]
        offered = place.offered.get((direction, market), 0)
        sign = 1 if direction == 0 else -1
        before, after = abs(held + sign * offered) * unit, abs(held + sign * (offered + lots)) * unit
        increase = max(0, initial_margin(self._rules, market, after) - initial_margin(self._rules, market, before))
        self._use(provider, market, direction, lots * unit)
        place.pending_initial += increase
        place.pending_notional += lots * unit
        place.offered[direction, market] = offered + lots
        self._offers[row["other"]] = Offer(provider, market, direction, lots, lots * unit, increase, self._now_ns)

    def _close(self, order: int, *, is_cancelled: bool) -> None:
        offer = self._offers.pop(order, None)
        if offer is None:
            return  # an order on the book
        place, key = self._providers[offer.provider], (self._group(offer.market), offer.direction)
        place.pending_initial -= offer.pending_initial
        place.pending_notional -= offer.notional
        place.offered[offer.direction, offer.market] -= offer.lots
        if is_cancelled:
            refill = self._rules.providers[offer.provider].commitments[key[0]][offer.direction].refill_per_s
            used, as_of_ns = place.used[key]
            back = max(0, offer.notional - refill * (self._now_ns - offer.sent_ns) // _SECOND_NS)
            place.used[key] = (max(0, used - back), as_of_ns)


def _is_asked(rows: list[Row], place: int) -> bool:
    """Return whether funds and providers are asked for at an effect: where a stage acts, or an offer is worked out."""
    row = rows[place]
    if row["kind"] == EffectKind.POSTING:
        return row["code"] == Cause.DEFICIT
    if row["kind"] == EffectKind.RESERVE and place + 1 < len(rows):
        following = rows[place + 1]
        return following["kind"] == EffectKind.OFFER and following["other"] == row["other"]
    return row["kind"] in _ASKED or (row["kind"] == EffectKind.TAKEOVER and row["other"] == 0)


def _follow_account(mirror: Mirror, row: Row) -> None:
    kind = row["kind"]
    if kind == EffectKind.TRADE and row["code"] == Cause.OPENING:
        mirror.positions[row["market"]] = (row["lots"], -row["amount"])
    elif kind == EffectKind.TRADE:
        mirror.trade(row["market"], row["lots"], row["amount"])
    elif kind == EffectKind.HAIRCUT:
        mirror.cut(row["market"], row["amount"])
    elif kind == EffectKind.HEALTH:
        mirror.health = row["code"]


def _fund(rules: VenueRules, state: State, group: int, now_ns: int) -> Fund:
    row = state.funds[group]
    oldest = now_ns // ceil_div(rules.fund.window_ns, FUND_SLOTS - 1) - FUND_SLOTS + 1
    newest = int(row.paid_slot)
    numbers = range(newest - FUND_SLOTS + 1, newest + 1)
    paid = sum(int(row.paid[number % FUND_SLOTS]) for number in numbers if number >= oldest)
    return Fund(int(state.house[-2 - fund_of(group)]), int(row.reserved), paid, rules.funds[group].loss_per_window_max)


def _provider(rules: VenueRules, state: State, number: int) -> Provider:
    row = state.providers[number]
    used = {}
    for group in range(len(rules.funds)):
        for direction in range(2):
            commitment = state.commitments[(number * GROUPS_MAX + group) * 2 + direction]
            used[group, direction] = (int(commitment.used), int(commitment.used_ns))
    offered = {
        (direction, market): int(state.offered[2 * number + direction, market])
        for direction in range(2)
        for market in range(len(rules.markets))
    }
    status = ProviderStatus(int(row.status))
    terms = (int(row.until_ns), int(row.score_ppm), int(row.pending_initial), int(row.pending_notional))
    return Provider(int(row.account), status, *terms, offered, used)


def _offers_named(state: State, recorded: EffectArray) -> dict[int, Offer]:
    """Return the open offers that an event's effects name, by id."""
    named = recorded[np.isin(recorded["kind"], (EffectKind.CANCEL, EffectKind.TAKEOVER))]["other"].tolist()
    found: dict[int, Offer] = {}
    for order in named:
        row: Any = state.orders[order % len(state.orders)]
        if order > 0 and int(row.id) == order and int(row.is_open) and int(row.kind) == TAKEOVER_OFFER:
            direction = 0 if int(row.lots) < 0 else 1
            terms = (int(row.notional), int(row.pending_initial), int(row.sent_ns))
            found[order] = Offer(int(row.provider), int(row.market), direction, abs(int(row.lots)), *terms)
    return found
