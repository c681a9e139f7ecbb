"""Closing lots against other holders: who gives how many, and what cash goes with them (R6.6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from backstop.core.events import ADL_IN_ORDER, AdlClass, AdlPolicy
from backstop.core.instruments import PPM, AdlRules, AssetRules
from backstop.reference.allocation import Line, capped_pro_rata, in_order
from backstop.reference.arithmetic import ceil_div, largest_that, sign, split
from backstop.reference.charge import Exit, place_in_order
from backstop.reference.funds import FundView, Support
from backstop.reference.margin import Contract, Holding, Portfolio
from backstop.reference.water_filling import Standing, exposure_in, standing_of

__all__ = [
    "Asked",
    "Candidate",
    "Counterparty",
    "Defaulter",
    "Fill",
    "Placed",
    "Wave",
    "candidates_of",
    "cash_parts",
    "gap_to_zero",
    "laid",
    "least_asked",
    "line_in_class",
    "lots_to_close",
    "place_in_class",
    "rank_score",
    "ratio",
    "scramble",
    "support_parts",
]

#: Slack in a counterparty's cap, one for each of the two roundings up; of an inverse contract two more,
#: since its values are rounded.
CAP_SLACK_ATOMS, CAP_SLACK_INVERSE_ATOMS = 2, 4
#: What the cash of a plan of an inverse contract, beside an atom for each defaulter, may be off by rounding.
PLAN_SLACK_ATOMS = 3
#: A ratio in ppm that is larger than this is this: a million times.
RATIO_MAX = 10**12
WORD = (1 << 64) - 1


def lots_to_close(portfolio: Portfolio, market: int, way_out: Exit, later: Mapping[int, Exit]) -> int:
    """All lots of an insolvent account; of a solvent one the least that at the mark, less the
    closing charge, restore the release level, or all.

    ``later``: the markets in which its lots may leave at the same turn, but later. Those of them that
    stand before this one in the order of positions are counted as closed: 0 where they suffice.
    """
    holding, standing = portfolio.holding(market), portfolio.standing
    everything = abs(holding.lots)
    if not standing.is_solvent:
        return everything
    place = place_in_order(holding, way_out.cost(everything))
    for other, way in later.items():
        better = portfolio.holding(other)
        cost = way.cost(abs(better.lots))
        if place_in_order(better, cost) < place:
            standing = standing.after(cost.whole, better.released(abs(better.lots)))
    if standing.is_restored:
        return 0
    return way_out.least_to_leave(everything, lambda cost, lots: standing.after(cost, holding.released(lots))) or everything


def gap_to_zero(portfolio: Portfolio, market: int, lots: int) -> int:
    """What an insolvent account lacks to its zero cash when so many lots are closed at the mark.
    Atoms.
    """
    return max(0, portfolio.zero_cash(market, lots).beyond_mark) if portfolio.equity < 0 else 0


class Counterparty(NamedTuple):
    """Who holds lots of the opposite side."""

    holder: int
    holding: Holding
    #: None: of the house, which is not margined.
    portfolio: Portfolio | None

    @property
    def lots(self) -> int:
        """Lots that it holds, unsigned."""
        return abs(self.holding.lots)

    @property
    def leverage(self) -> int:
        """The position's notional over the equity of its account, in ppm; of the house 0."""
        return ratio(self.holding.notional, max(0, self.portfolio.equity)) if self.portfolio else 0

    def cap(self, lots: int, beyond_mark: int) -> int:
        """Return the most lots that it may give so that it never stands below its maintenance
        margin on the way.

        All that give together ``lots`` pay ``beyond_mark`` atoms for it.
        """
        if beyond_mark == 0 or self.portfolio is None:
            return self.lots
        spare = self.portfolio.equity - (self.portfolio.maintenance - self.holding.margin)
        slack = CAP_SLACK_INVERSE_ATOMS if self.holding.contract.is_inverse else CAP_SLACK_ATOMS

        def is_sound(given: int) -> bool:
            return spare - self.holding.margin_after(given) - ceil_div(given * beyond_mark, lots) >= slack

        if not is_sound(0):
            return 0
        return self.lots if is_sound(self.lots) else largest_that(is_sound, 0, self.lots)


class Defaulter(NamedTuple):
    """An account in default whose lots of a market are to leave."""

    account: int
    owner: int
    portfolio: Portfolio
    #: That of the market's group, as the account sees it.
    fund: FundView
    #: By the book.
    way_out: Exit
    #: The same of its positions in later markets that may leave at the same turn.
    later: Mapping[int, Exit] = MappingProxyType({})

    def lots_to_close(self, market: int) -> int:
        """Return the lots that are to leave."""
        return lots_to_close(self.portfolio, market, self.way_out, self.later)


class Placed(NamedTuple):
    """What one defaulter closes in a wave."""

    lots: int
    support: Support

    @property
    def is_any(self) -> bool:
        """Say whether it closes any lots."""
        return self.lots > 0


class Wave(NamedTuple):
    """Positions of one side of a market that counterparties are to take over, all in one plan; none
    of those is in default.
    """

    market: int
    #: By id.
    defaulters: tuple[Defaulter, ...]
    counterparties: tuple[Counterparty, ...]

    @property
    def accounts(self) -> tuple[Counterparty, ...]:
        """Those that are margined; they bear what is beyond mark."""
        return tuple(each for each in self.counterparties if each.portfolio is not None)

    @property
    def slack(self) -> int:
        """What rounding may add to what the accounts pay."""
        is_inverse = any(each.portfolio.holding(self.market).contract.is_inverse for each in self.defaulters)
        return len(self.defaulters) + PLAN_SLACK_ATOMS if is_inverse else 0

    @property
    def house_lots(self) -> int:
        """Lots that the house can take, at mark."""
        return sum(each.lots for each in self.counterparties if each.portfolio is None)

    @property
    def wanted(self) -> dict[int, int]:
        """Lots of each defaulter that are to leave."""
        return {each.account: each.lots_to_close(self.market) for each in self.defaulters}

    def placed(self, lots: int) -> dict[int, Placed]:
        """Return what each defaulter closes, and what the fund adds to it, of so many lots in all."""
        shares = split(lots, self.wanted)
        gaps = {each.account: gap_to_zero(each.portfolio, self.market, shares[each.account]) for each in self.defaulters}
        supports = support_parts(self.defaulters, gaps, is_asked=any(each.fund.supports for each in self.defaulters))
        return {account: Placed(share, supports[account]) for account, share in shares.items()}

    def from_accounts(self, lots: int) -> int:
        """Lots that the accounts give of so many; the rest is for the house."""
        return min(lots, sum(each.lots for each in self.accounts))

    def caps(self, lots: int, beyond: int) -> dict[int, int]:
        """Return the most lots that each counterparty may give of so many, for so much beyond mark."""
        given = self.from_accounts(lots)
        return {each.holder: each.cap(given, beyond) for each in self.counterparties}

    def fits(self, lots: int) -> bool:
        """Say whether the counterparties can take so many lots, nobody beyond the average zero
        price, the house at the mark.
        """
        given = self.from_accounts(lots)
        if lots - given > self.house_lots:
            return False
        supports = [each.support for each in self.placed(lots).values()]
        gap, beyond = sum(each.gap for each in supports), sum(each.beyond for each in supports)
        if beyond + self.slack == 0:
            return True
        caps = self.caps(lots, beyond + self.slack)
        return beyond * lots <= gap * given and sum(caps[each.holder] for each in self.accounts) >= given

    def lots(self) -> int:
        """Return as many lots as were found to fit."""
        most = sum(self.wanted.values())
        return most if most == 0 or self.fits(most) else largest_that(self.fits, 0, most)


def support_parts(defaulters: Sequence[Defaulter], gaps: Mapping[int, int], *, is_asked: bool) -> dict[int, Support]:
    """Return what the fund adds to each gap, by account: split by gap, nobody's owner beyond his
    cap; nothing where the waterfall does not ask it.
    """
    views = {each.account: each.fund for each in defaulters}
    if not is_asked:
        return {account: view.support(gaps[account], is_asked=False) for account, view in views.items()}
    caps, before = dict[int, int](), Counter[int]()
    of_owner = Counter[int]()
    for each in defaulters:
        of_owner[each.owner] += gaps[each.account]
    for each in defaulters:
        gap, whole = gaps[each.account], of_owner[each.owner]
        most = min(whole, each.fund.available_to_owner)
        upto = before[each.owner] + gap
        caps[each.account] = most * upto // whole - most * before[each.owner] // whole if whole else 0
        before[each.owner] = upto
    view = next(iter(views.values()))
    able = {account: cap for account, cap in caps.items() if cap}
    parts, _ = capped_pro_rata(min(view.available_to_all, view.available_to_market), {each: gaps[each] for each in able}, able)
    return {account: view.share(gaps[account], parts.get(account, 0)) for account, view in views.items()}


class Asked(NamedTuple):
    """An owner of counterparties: what his accounts not in default have, in the market and in all."""

    owner: int
    #: Those of his accounts that hold the side at hand, by id.
    counterparties: tuple[Counterparty, ...]
    #: Lots of his that are on the other side.
    other_lots: int
    #: Sum of the results of his accounts in the market.
    result: int
    equity: int
    #: How many of his accounts hold lots there, on either side.
    holders: int
    #: Sum of loading x signed notional of all positions of his accounts.
    exposure: int

    @property
    def first(self) -> int:
        """Return the lowest id of his accounts that may be asked."""
        return self.counterparties[0].holder

    @property
    def side_lots(self) -> int:
        """Lots on the side at hand."""
        return sum(each.lots for each in self.counterparties)

    @property
    def hedged_lots(self) -> int:
        """Lots that his lots on the other side excuse."""
        return min(self.side_lots, self.other_lots)

    def lots_in(self, *, is_linked: bool) -> dict[AdlClass, int]:
        """Return his lots by class; ``is_linked``: he is the owner of all defaulters."""
        if is_linked:
            return {AdlClass.LINKED: self.side_lots}
        by_class = {AdlClass.PROFITABLE if self.result > 0 else AdlClass.REST: self.side_lots - self.hedged_lots}
        return {kind: lots for kind, lots in (by_class | {AdlClass.HEDGE: self.hedged_lots}).items() if lots}

    def in_order(self) -> list[Counterparty]:
        """Return his accounts in the order in which his part is laid on them: highest leverage first."""
        return sorted(self.counterparties, key=lambda each: -each.leverage)

    def standing(self, lots: int, before: int) -> Standing:
        """Return how he stands with so many lots in a class, when ``before`` others are given."""
        holding = self.counterparties[0].holding
        contract = holding.contract
        exposure = exposure_in(self.exposure, contract.rules.factor_loading_ppm, holding.side)
        return standing_of(exposure - contract.notional_of(before), self.equity, contract.notional_of(lots), contract.notional_of(1))

    def weight(self, policy: int, adl_class: AdlClass, lots: int, seq: int) -> int:
        """Return his weight in a class in which he has so many lots, by the venue's policy; ``seq`` is
        that of the event.
        """
        market, contract = self.counterparties[0].holding.market, self.counterparties[0].holding.contract
        if policy == AdlPolicy.PRO_RATA:
            return lots
        if policy == AdlPolicy.CAPPED_PRO_RATA:
            return self.result if adl_class == AdlClass.PROFITABLE else lots
        if policy == AdlPolicy.RANDOM:
            return scramble(seq, market, self.owner)
        side = self.counterparties[0].holding.side
        leverage = ratio(contract.notional_of(lots), max(0, self.equity))
        if policy == AdlPolicy.RISK_AWARE:
            return max(1, lots * leverage // PPM)
        return rank_score(self.result, contract.value_of(side * lots) - self.result, leverage)


class Candidate(NamedTuple):
    """An owner in one class of a plan, or a row of the house."""

    #: The lowest id of the accounts, or that of the house.
    first: int
    adl_class: AdlClass
    lots: int
    weight: int
    cap: int
    #: None: the house.
    asked: Asked | None
    #: Where leverage is levelled.
    standing: Standing | None = None

    @property
    def is_spread(self) -> bool:
        """Say whether several accounts of the owner hold lots in the market."""
        return self.asked is not None and self.asked.holders > 1


class Fill(NamedTuple):
    """What one holder gives of a plan, in one class."""

    holder: int
    candidate: Candidate
    lots: int
    #: Most lots that it could give here.
    cap: int


def candidates_of(
    asked: Sequence[Asked], house: Sequence[Counterparty], caps: Mapping[int, int], policy: int, seq: int, linked: int | None
) -> list[Candidate]:
    """Return all that may be asked, with the most that each can give: net lots before hedged ones.

    ``linked``: the owner of all defaulters.
    """
    found = []
    for each in asked:
        room, before = sum(caps[account.holder] for account in each.counterparties), 0
        for adl_class, lots in each.lots_in(is_linked=each.owner == linked).items():
            cap = min(lots, room)
            room -= cap
            if policy == AdlPolicy.WATER_FILLING:
                # Leverage decides, not profit; hedged lots come when all others are given.
                kind = AdlClass.REST if adl_class == AdlClass.PROFITABLE else adl_class
                standing = each.standing(lots, before)
                found.append(Candidate(each.first, kind, lots, standing.leverage_ppm, cap, each, standing))
            else:
                found.append(Candidate(each.first, adl_class, lots, each.weight(policy, adl_class, lots, seq), cap, each))
            before += cap
    rows = [Candidate(each.holder, AdlClass.HOUSE, each.lots, each.lots, each.lots, None) for each in house]
    return [each for each in (*found, *rows) if each.cap]


def laid(given: Sequence[tuple[Candidate, int]], caps: Mapping[int, int]) -> list[Fill]:
    """Lay what candidates give on their accounts, highest leverage first, each within its cap."""
    left, fills = dict(caps), []
    for candidate, lots in given:
        holders = [candidate.first] if candidate.asked is None else [each.holder for each in candidate.asked.in_order()]
        for holder in holders:
            part = min(lots, left[holder])
            if part:
                fills.append(Fill(holder, candidate, part, left[holder]))
            lots -= part
            left[holder] -= part
    return fills


def ratio(dividend: int, divisor: int) -> int:
    """Quotient in ppm, at most a million times; a divisor of nothing counts as the most."""
    return RATIO_MAX if dividend // PPM >= divisor else dividend * PPM // divisor


def scramble(seq: int, market: int, account: int) -> int:
    """A number of 62 bits that looks drawn: the splitmix64 finaliser of the three, which anyone can
    work out again.
    """
    word = (seq * 0x9E3779B97F4A7C15 + (market + 1) * 0xBF58476D1CE4E5B9 + (account + 1) * 0x94D049BB133111EB) & WORD
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & WORD
    return (word ^ (word >> 31)) >> 2


def rank_score(profit: int, cost: int, leverage: int) -> int:
    """Profit over cost, times effective leverage for who gains, over it for who loses; in ppm."""
    share = ratio(abs(profit), abs(cost))
    return share * leverage // PPM if profit > 0 else -(share * PPM // max(1, leverage))


def place_in_class(
    policy: int, adl_class: AdlClass, lots: int, weights: dict[int, int], caps: dict[int, int]
) -> tuple[dict[int, int], tuple[int, int]]:
    """Place lots in one class, by holder; return the lots of each, and eta as a fraction."""
    rule = in_order if policy in ADL_IN_ORDER and adl_class != AdlClass.HOUSE else capped_pro_rata
    return rule(lots, weights, caps)


def least_asked(rules: AdlRules, asset: AssetRules, contract: Contract, lots: int) -> int:
    """Return the fewest lots that a plan of so many asks an owner for; 0: any."""
    by_notional = contract.lots_reaching(asset.parts_min_notional)
    return max(by_notional, ceil_div(lots, rules.counterparties_max) if rules.counterparties_max else 0)


def line_in_class(policy: int, adl_class: AdlClass, least: int, parts: dict[int, int], caps: dict[int, int]) -> Line | None:
    """Return the line of a class, whose parts are drawn anew; None where nobody stands on it."""
    if policy in ADL_IN_ORDER or policy == AdlPolicy.WATER_FILLING or adl_class == AdlClass.HOUSE:
        return None
    line = Line.of(parts, caps, least)
    return line if line.parts else None


def cash_parts(cash: int, gives: Sequence[tuple[int, int]], contract: Contract, side: int) -> list[int]:
    """Split the defaulters' cash over the fills (holder, lots) by lots: what each receives, negative
    when it pays.

    The defaulters are on a side. The house trades at mark; without accounts the last of it takes what
    rounding leaves.
    """
    at_mark = {place: -contract.cash_of(-side * lots, contract.mark_ticks) for place, (holder, lots) in enumerate(gives) if holder < 0}
    of_accounts = {place: lots for place, (holder, lots) in enumerate(gives) if holder >= 0}
    left = cash + sum(at_mark.values())
    shares = split(abs(left), of_accounts) if of_accounts else {}
    if at_mark and not of_accounts:
        at_mark[max(at_mark)] -= left
    return [at_mark[place] if place in at_mark else -sign(left) * shares[place] for place in range(len(gives))]
