"""What lots are worth, and how an account stands: contract, holding, portfolio (R1 to R3).

Everything here is a value in plain integers: it knows no ledger and no event.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from backstop.core.contract_terms import ContractKind
from backstop.core.events import FUNDING_PARTS, NONE, Health, InitialMargin
from backstop.core.instruments import NO_CAP, PPM, LevelRules, MarketRules
from backstop.reference.arithmetic import ceil_div, sign, split, trunc_div

__all__ = ["Borne", "Contract", "Holding", "Portfolio", "Standing", "Tier", "ZeroCash", "levels_after", "returns_at"]


class Tier(NamedTuple):
    """The margin tier that a notional falls into."""

    rate_ppm: int
    deduction: int

    def margin_of(self, notional: int) -> int:
        """Margin of a position of this notional. Atoms."""
        return ceil_div(notional * self.rate_ppm, PPM) - self.deduction


class Contract(NamedTuple):
    """A market's contract at a mark price."""

    rules: MarketRules
    mark_ticks: int
    #: Value of the open interest at the accepted mark.
    interest: int = 0
    #: What a long lot has paid since the market began, in parts of an atom (``FUNDING_PARTS``).
    funding_index: int = 0
    #: The mark when the present epoch began; 0: not read.
    epoch_mark: int = 0

    @property
    def is_inverse(self) -> bool:
        """Lots are worth minus what of the base they buy of the quote, rounded."""
        return self.rules.contract_kind == ContractKind.INVERSE

    def value_of(self, lots: int) -> int:
        """Value of signed lots at the mark, rounded down. Atoms."""
        if self.is_inverse:
            return -lots * self.rules.notional_factor // self.mark_ticks if self.mark_ticks else 0
        return lots * self.mark_ticks * self.rules.notional_factor

    def cash_of(self, lots: int, price_ticks: int) -> int:
        """Cash that a trade of signed lots brings at a price, negative when it is paid; rounded down.
        Atoms.
        """
        if self.is_inverse:
            return lots * self.rules.notional_factor // price_ticks
        return -lots * price_ticks * self.rules.notional_factor

    def notional_of(self, lots: int) -> int:
        """Magnitude of the value of lots of either sign at the mark, rounded up. Atoms."""
        if self.is_inverse:
            return ceil_div(abs(lots) * self.rules.notional_factor, self.mark_ticks) if self.mark_ticks else 0
        return abs(self.value_of(lots))

    def exposure_of(self, lots: int) -> int:
        """Notional with the sign of the lots."""
        return sign(lots) * self.notional_of(lots)

    def lots_within(self, notional: int) -> int:
        """Most lots whose notional is at most so much."""
        if self.is_inverse:
            return min(NO_CAP, notional * self.mark_ticks // self.rules.notional_factor)
        return notional // self.value_of(1)

    def lots_reaching(self, notional: int) -> int:
        """Least lots whose notional is at least so much."""
        if self.is_inverse:
            return min(NO_CAP, self.lots_within(notional - 1) + 1) if notional > 0 else 0
        return ceil_div(notional, self.value_of(1))

    def offset_cost(self, notional: int, offset_ppm: int, *, is_sell: bool) -> int:
        """What trading a notional costs at a price that is so much worse than the mark."""
        at_offset = (PPM - offset_ppm if is_sell else PPM + offset_ppm) if self.is_inverse else PPM
        return ceil_div(notional * offset_ppm, at_offset)

    def ticks_for(self, lots: int, cash: int) -> int:
        """Worst price at which a trade of signed lots still brings the cash."""
        if self.is_inverse:
            if lots > 0:
                return self.within(lots * self.rules.notional_factor // cash if cash > 0 else self.rules.price_ticks_max)
            return self.within(ceil_div(-lots * self.rules.notional_factor, -cash) if cash < 0 else self.rules.price_ticks_max)
        divisor = abs(lots) * self.rules.notional_factor
        return self.within(ceil_div(cash, divisor) if lots < 0 else -cash // divisor)

    def tolerated_ticks(self, tolerance_ppm: int, *, is_sell: bool) -> int:
        """Worst price within a tolerance from the mark."""
        if is_sell:
            return self.within(ceil_div(self.mark_ticks * (PPM - tolerance_ppm), PPM))
        return self.within(self.mark_ticks * (PPM + tolerance_ppm) // PPM)

    def offset_ticks(self, offset_ppm: int, *, is_sell: bool) -> int:
        """Price of the book at an offset from the mark, on the side that takes the order."""
        if is_sell:
            return self.mark_ticks * (PPM - offset_ppm) // PPM
        return ceil_div(self.mark_ticks * (PPM + offset_ppm), PPM)

    def within(self, price_ticks: int) -> int:
        """Nearest price that the market knows."""
        return max(self.rules.price_ticks_min, min(price_ticks, self.rules.price_ticks_max))

    def tier_of(self, notional: int, *, initial: bool = False) -> Tier:
        """Tier of a notional, for maintenance or initial margin."""
        deduction, rate_below, rate = 0, 0, 0
        for number, tier in enumerate(self.rules.tiers):
            if tier.floor_atoms > notional:
                break
            rate = tier.initial_rate_ppm if initial else tier.maintenance_rate_ppm
            if number and not (initial and self.rules.initial_margin != InitialMargin.MARGINAL):
                deduction += tier.floor_atoms * (rate - rate_below) // PPM
            rate_below = rate
        return Tier(rate, deduction)

    def margin_of(self, notional: int, *, initial: bool = False) -> int:
        """Margin of one position: the rate of its tier, rounded up, less the tier's deduction.
        Atoms.
        """
        return self.tier_of(notional, initial=initial).margin_of(notional)

    def initial_of(self, lots: int, others_lots: int = 0) -> int:
        """Initial margin of so many lots, at the tier of them and ``others_lots``, and scaled by the
        open interest. Atoms.
        """
        notional = self.notional_of(lots)
        margin = self.tier_of(self.notional_of(lots + others_lots), initial=True).margin_of(notional)
        return margin + ceil_div((notional - margin) * self.initial_scale_ppm, PPM)

    @property
    def initial_scale_ppm(self) -> int:
        """Share of the notional beyond initial margin that the open interest adds to it."""
        lower, upper = self.rules.interest_lower, self.rules.interest_upper
        return min(PPM, max(0, self.interest - lower) * PPM // (upper - lower)) if upper else 0


class Holding(NamedTuple):
    """Signed lots of one contract, what they cost, and what their result is measured from."""

    market: int
    contract: Contract
    lots: int
    cost: int
    base: int
    #: Of an insolvent account: the loss that lots closed at zero cash took with them, and the lots
    #: of which the rest is the loss, where they are more than there are.
    settled: int = 0
    most_lots: int = 0
    #: The funding index up to which it has paid, or was paid.
    settled_index: int = 0
    #: Lots of the owner's other accounts in the market, where its tiers are by owner.
    others_lots: int = 0
    #: The part of its maintenance margin that it needs; below 1e6 it has relief.
    kept_ppm: int = PPM

    @property
    def side(self) -> int:
        """1 for long, -1 for short, 0 for no lots."""
        return sign(self.lots)

    @property
    def value(self) -> int:
        """Signed value at the mark."""
        return self.contract.value_of(self.lots)

    @property
    def notional(self) -> int:
        """Absolute value at the mark, rounded up."""
        return self.contract.notional_of(self.lots)

    @property
    def profit(self) -> int:
        """Unrealised P&L."""
        return self.value - self.cost

    @property
    def funding(self) -> int:
        """Funding that it is still owed (owes: below 0), rounded down."""
        return -self.lots * (self.contract.funding_index - self.settled_index) // FUNDING_PARTS

    @property
    def result(self) -> int:
        """What it won (lost: below 0) since the present epoch began, realised or not."""
        return self.value - self.base

    @property
    def is_of_losing_side(self) -> bool:
        """Whether the mark moved against its lots since the present epoch began."""
        return self.lots * (self.contract.mark_ticks - self.contract.epoch_mark) < 0

    @property
    def bearing_lots(self) -> int:
        """The lots that ``loss`` belongs to: its own, and those that an insolvent account closed
        without their part of its gap.
        """
        return max(self.most_lots, abs(self.lots))

    @property
    def loss(self) -> int:
        """The loss by which it bears of its account's gap."""
        return max(0, -self.result - self.settled) if self.bearing_lots else 0

    @property
    def tier(self) -> Tier:
        """Tier of its maintenance margin."""
        return self.contract.tier_of(self.notional)

    @property
    def full_margin(self) -> int:
        """Maintenance margin without relief."""
        return self.tier.margin_of(self.notional)

    @property
    def margin(self) -> int:
        """Maintenance margin."""
        return ceil_div(self.full_margin * self.kept_ppm, PPM)

    @property
    def initial(self) -> int:
        """Initial margin."""
        return self.contract.initial_of(abs(self.lots), self.others_lots)

    def value_of(self, lots: int) -> int:
        """Signed value of so many of its lots (not below 0): the cash of closing them at the
        mark, which leaves equity as it is.
        """
        return self.value - self.contract.value_of(self.lots - self.side * lots)

    def margin_after(self, closed: int) -> int:
        """Maintenance margin once so many lots are closed."""
        return ceil_div(self.contract.margin_of(self.contract.notional_of(self.lots - self.side * closed)) * self.kept_ppm, PPM)

    def released(self, lots: int) -> int:
        """``dM``: maintenance margin that closing so many lots releases."""
        return self.margin - self.margin_after(lots)

    def part_closed(self, lots: int) -> tuple[int, int]:
        """Return the part that so many of its lots are, as dividend and divisor: by the maintenance
        margin that they release, or by lots.
        """
        return (self.released(lots), self.margin) if self.margin else (lots, abs(self.lots))

    def after_closing(self, lots: int, cash: int, at_zero: int) -> tuple[Holding, int]:
        """Trade as ``after_trade``, of an insolvent account; ``at_zero`` of the lots bring zero
        cash, and take their part of the loss with them.
        """
        after, realised = self.after_trade(lots, cash)
        if not at_zero:
            return after, realised
        closed, whole = self.part_closed(at_zero)
        left = self.loss - ceil_div(ceil_div(self.loss * closed, whole) * abs(self.lots), self.bearing_lots)
        settled = -after.result - left if left > 0 else max(self.settled, -after.result)
        return after._replace(settled=settled, most_lots=self.bearing_lots - at_zero), realised

    def after_trade(self, lots: int, cash: int) -> tuple[Holding, int]:
        """Trade signed lots for cash; return the new holding and the P&L that it realises (R1.3)."""
        closed = min(abs(lots), abs(self.lots)) if self.lots * lots < 0 else 0
        base = self.base - cash
        if not closed:
            return self._replace(lots=self.lots + lots, cost=self.cost - cash, base=base)._with_most(self), 0
        closing_cash = trunc_div(cash * closed, abs(lots))
        share = trunc_div(self.cost * closed, abs(self.lots))
        cost = self.cost - share - (cash - closing_cash)
        return self._replace(lots=self.lots + lots, cost=cost, base=base)._with_most(self), closing_cash - share

    def _with_most(self, before: Holding) -> Holding:
        """Note the most lots that its loss belongs to."""
        return self._replace(most_lots=max(before.bearing_lots, abs(self.lots)))


def levels_after(levels: LevelRules, returns: int) -> LevelRules:
    """Return the levels of an account that came back to default so often: each time its exit buffer is
    larger, up to a highest.
    """
    buffer = levels.exit_buffer_ppm + returns * levels.return_buffer_ppm
    return levels._replace(exit_buffer_ppm=min(buffer, max(levels.exit_buffer_ppm, levels.return_buffer_max_ppm)))


def returns_at(returns: int, ended_ns: int, now_ns: int, levels: LevelRules) -> int:
    """Return how often an account came back whose default begins now; ``ended_ns``: when its last one
    ended, with lots, or NONE.
    """
    return returns + 1 if ended_ns != NONE and now_ns - ended_ns <= levels.return_memory_ns else 0


class Standing(NamedTuple):
    """Equity against maintenance margin, and the levels that decide about health. Atoms."""

    equity: int
    maintenance: int
    rules: LevelRules
    #: Of maintenance margin, what the account need not have.
    relieved: int = 0

    @property
    def sound(self) -> int:
        """From it on an account with relief needs none."""
        return ceil_div((self.maintenance + self.relieved) * self.rules.warning_ratio_ppm, PPM)

    @property
    def warning(self) -> int:
        """Below it an account is WARNED."""
        return ceil_div(self.maintenance * self.rules.warning_ratio_ppm, PPM)

    @property
    def close_out(self) -> int:
        """Below it an account is in CLOSE_OUT."""
        return self.maintenance * self.rules.close_out_ratio_ppm // PPM

    @property
    def release(self) -> int:
        """From it on an account in default comes out of it."""
        return ceil_div(self.maintenance * (PPM + self.rules.exit_buffer_ppm), PPM)

    @property
    def is_solvent(self) -> bool:
        """Equity is not below 0."""
        return self.equity >= 0

    @property
    def is_restored(self) -> bool:
        """Equity is at the release level, or above it."""
        return self.equity >= self.release

    @property
    def raw_health(self) -> Health:
        """Health of an account that was not in default."""
        if self.equity < 0:
            return Health.INSOLVENT
        if self.equity < self.close_out:
            return Health.CLOSE_OUT
        if self.equity < self.maintenance:
            return Health.DISTRESSED
        return Health.WARNED if self.equity < max(self.warning, self.sound) else Health.HEALTHY

    def health_from(self, old: int) -> Health:
        """Health of an account whose health was ``old``: one in default stays DISTRESSED up to its
        release level.
        """
        raw = self.raw_health
        return Health.DISTRESSED if raw < Health.DISTRESSED <= old and not self.is_restored else raw

    def after(self, cost: int, released: int) -> Standing:
        """Standing once lots are closed at a cost, and their margin is released."""
        return self._replace(equity=self.equity - cost, maintenance=self.maintenance - released)


class Borne(NamedTuple):
    """What a position bears of the gap of its insolvent account. Atoms."""

    gap: int
    #: As one that lost.
    by_loss: int
    #: Of what no loss bears, by maintenance margin or notional.
    rest: int

    @property
    def whole(self) -> int:
        """Both together."""
        return self.by_loss + self.rest


class ZeroCash(NamedTuple):
    """Cash of closing lots at the zero price, with its terms (R3). Atoms.

    Of a solvent account it leaves equity over maintenance margin as it is; of an insolvent one it
    brings what the lots bear of the gap.
    """

    at_mark: int
    #: The account's; of an insolvent one minus what the position bears.
    equity: int
    #: Maintenance margin released, and in all; without margin what is closed, and in all. An
    #: insolvent account's are those of the position.
    part: int
    whole: int
    is_by_margin: bool
    #: Of an insolvent account.
    borne: Borne | None = None

    @property
    def cash(self) -> int:
        """Value at the mark less the part of equity that goes with the lots."""
        return self.at_mark - self.equity * self.part // self.whole

    @property
    def beyond_mark(self) -> int:
        """What the other side pays beyond the mark so that the account gets its zero cash;
        negative: what it saves.
        """
        return self.cash - self.at_mark


@dataclass(frozen=True)
class Portfolio:
    """Balance and holdings of an account, and the levels that it is judged by. Holdings without
    lots count for nothing.
    """

    balance: int
    #: In order of market.
    holdings: tuple[Holding, ...]
    levels: LevelRules

    def holding(self, market: int) -> Holding:
        """Its holding in a market; raise ``KeyError`` where it has none."""
        for holding in self.holdings:
            if holding.market == market:
                return holding
        raise KeyError(market)

    @property
    def held(self) -> tuple[Holding, ...]:
        """Holdings with lots."""
        return tuple(holding for holding in self.holdings if holding.lots)

    @cached_property
    def equity(self) -> int:
        """Balance, unrealised P&L and unpaid funding."""
        return self.balance + sum(holding.profit + holding.funding for holding in self.holdings)

    @cached_property
    def maintenance(self) -> int:
        """Maintenance margin of all holdings."""
        return sum(holding.margin for holding in self.holdings)

    @property
    def relieved(self) -> int:
        """Maintenance margin that it need not have."""
        return sum(holding.full_margin - holding.margin for holding in self.holdings)

    @property
    def initial(self) -> int:
        """Initial margin of all holdings."""
        return sum(holding.initial for holding in self.holdings)

    @property
    def notional(self) -> int:
        """Absolute value of all holdings together."""
        return sum(holding.notional for holding in self.holdings)

    @property
    def standing(self) -> Standing:
        """Equity, maintenance margin and levels."""
        return Standing(self.equity, self.maintenance, self.levels, self.relieved)

    @property
    def spare(self) -> int:
        """Equity beyond maintenance margin, not below 0."""
        return max(0, self.equity - self.maintenance)

    @cached_property
    def _borne(self) -> dict[int, Borne]:
        """What each position bears of the gap, by market."""
        gap = -self.equity
        losses = {holding.market: holding.loss for holding in self.holdings if holding.loss}
        by_loss = split(min(gap, sum(losses.values())), losses) if losses else {}
        weights = {each.market: each.margin if self.maintenance else each.notional for each in self.held}
        rest = split(gap - sum(by_loss.values()), weights)
        whole = {each.market: by_loss.get(each.market, 0) * abs(each.lots) // each.bearing_lots for each in self.held}
        return {market: Borne(gap, part, rest[market]) for market, part in whole.items()}

    def borne(self, market: int) -> Borne:
        """Return what a position of the insolvent account bears of its gap.

        Those that lost bear it, each at most its own loss; the rest goes by maintenance margin, or
        by notional where there is none.
        """
        return self._borne[market]

    def zero_cash(self, market: int, lots: int) -> ZeroCash:
        """Zero cash of closing so many lots of a holding."""
        holding, equity, maintenance = self.holding(market), self.equity, self.maintenance
        at_mark = holding.value_of(lots)
        if equity < 0:
            borne = self.borne(market)
            return ZeroCash(at_mark, -borne.whole, *holding.part_closed(lots), bool(holding.margin), borne)
        if maintenance:
            return ZeroCash(at_mark, equity, holding.released(lots), maintenance, is_by_margin=True)
        return ZeroCash(at_mark, equity, holding.contract.notional_of(lots), self.notional, is_by_margin=False)
