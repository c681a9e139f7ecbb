"""One account's ledger in plain integers: equity, margin and zero price as docs/rules.md, sections 1 to 3, has them.

It knows nothing of the engine's code. It starts from an account's rows and follows the tape from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from backstop.core.events import NONE, Health
from backstop.core.instruments import MarketRules, VenueRules, deductions_atoms
from backstop.core.state import State

__all__ = ["Assessment", "Mirror", "PositionTerm", "ceil_div", "trunc_div"]

_PPM = 1_000_000


def ceil_div(number: int, divisor: int) -> int:
    """Return the quotient rounded toward plus infinity."""
    return -(-number // divisor)


def trunc_div(number: int, divisor: int) -> int:
    """Return the quotient rounded toward zero; ``divisor > 0``."""
    return number // divisor if number >= 0 else -(-number // divisor)


class PositionTerm(NamedTuple):
    """What one position adds to equity and to maintenance margin, in atoms."""

    market: int
    lots: int
    mark_ticks: int
    cost: int
    #: lots x mark x notional factor.
    value: int
    #: value - cost.
    pnl: int
    rate_ppm: int
    deduction: int
    #: ceil(|value| x rate) - deduction.
    margin: int


class Assessment(NamedTuple):
    """Equity and maintenance margin, term by term, and the levels they are held against."""

    balance: int
    positions: tuple[PositionTerm, ...]
    equity: int
    maintenance: int
    warning: int
    close_out: int
    release: int
    #: Before the exit buffer is taken into account.
    raw_health: Health


@dataclass(slots=True)
class Mirror:
    """Balance and positions of one account, and the marks that value them."""

    rules: VenueRules
    balance: int
    #: (lots, cost) by market.
    positions: dict[int, tuple[int, int]]
    marks: list[int]
    health: int

    @classmethod
    def of(cls, rules: VenueRules, state: State, account: int) -> Mirror:
        """Read an account's rows."""
        head = state.accounts[account]
        positions: dict[int, tuple[int, int]] = {}
        place = int(head.first_position)
        while place != NONE:
            row = state.positions[place]
            positions[int(row.market)] = (int(row.lots), int(row.cost))
            place = int(row.next_of_account)
        return cls(rules, int(head.balance), positions, state.markets["mark_ticks"].tolist(), int(head.health))

    def held(self, market: int) -> tuple[int, int]:
        """Return (lots, cost) of a market."""
        return self.positions.get(market, (0, 0))

    def unit(self, market: int) -> int:
        """Return the notional of one lot at mark."""
        return self.marks[market] * self.rules.markets[market].notional_factor

    def trade(self, market: int, lots: int, received: int) -> int:
        """Change a position for cash; return what that realises. The balance follows by its posting."""
        held, cost = self.held(market)
        if held == 0 or (held > 0) == (lots > 0):
            self.positions[market] = (held + lots, cost - received)
            return 0
        closed = min(abs(lots), abs(held))
        closing = received if abs(lots) <= closed else trunc_div(received * closed, abs(lots))
        share = trunc_div(cost * closed, abs(held))
        self.positions[market] = (held + lots, cost - share - (received - closing))
        return closing - share

    def cut(self, market: int, amount: int) -> None:
        """Raise the cost of a position by a haircut, so that no gain is cut twice."""
        lots, cost = self.held(market)
        self.positions[market] = (lots, cost + amount)

    def assess(self) -> Assessment:
        """Return equity and maintenance margin at the marks, term by term."""
        terms = tuple(self._term(market) for market in sorted(self.positions) if self.positions[market][0])
        equity = self.balance + sum(term.pnl for term in terms)
        maintenance = sum(term.margin for term in terms)
        levels = self.rules.levels
        warning = ceil_div(maintenance * levels.warning_ratio_ppm, _PPM)
        close_out = maintenance * levels.close_out_ratio_ppm // _PPM
        release = ceil_div(maintenance * (_PPM + levels.exit_buffer_ppm), _PPM)
        if equity < 0:
            health = Health.INSOLVENT
        elif equity < close_out:
            health = Health.CLOSE_OUT
        elif equity < maintenance:
            health = Health.DISTRESSED
        else:
            health = Health.WARNED if equity < warning else Health.HEALTHY
        return Assessment(self.balance, terms, equity, maintenance, warning, close_out, release, health)

    def health_of(self, assessment: Assessment) -> Health:
        """Return the health that follows, the present one being what it is: out of default only above the exit buffer."""
        raw = assessment.raw_health
        if self.health >= Health.DISTRESSED and raw < Health.DISTRESSED and assessment.equity < assessment.release:
            return Health.DISTRESSED
        return raw

    def _term(self, market: int) -> PositionTerm:
        lots, cost = self.positions[market]
        value = lots * self.unit(market)
        rate, deduction = self.tier(market, abs(value))
        margin = ceil_div(abs(value) * rate, _PPM) - deduction
        return PositionTerm(market, lots, self.marks[market], cost, value, value - cost, rate, deduction, margin)

    def tier(self, market: int, notional: int) -> tuple[int, int]:
        """Return (maintenance rate in ppm, deduction in atoms) of the tier that holds a notional."""
        tiers = self.rules.markets[market].tiers
        deductions = _deductions(self.rules.markets[market])
        place = max(number for number, tier in enumerate(tiers) if tier.floor_atoms <= notional)
        return tiers[place].maintenance_rate_ppm, deductions[place]

    def margin(self, market: int, notional: int) -> int:
        """Return the maintenance margin of a position of a notional."""
        rate, deduction = self.tier(market, notional)
        return ceil_div(notional * rate, _PPM) - deduction

    def released(self, market: int, lots: int) -> int:
        """Return the maintenance margin that closing ``lots`` (> 0) releases."""
        unit = self.unit(market)
        notional = abs(self.held(market)[0]) * unit
        return self.margin(market, notional) - self.margin(market, notional - lots * unit)

    def zero_cash(self, market: int, lots: int, equity: int, maintenance: int) -> int:
        """Return the cash that leaves equity over maintenance as it is when ``lots`` (> 0) are closed for it."""
        held, gross = self.held(market)[0], lots * self.unit(market)
        if maintenance > 0:
            share = equity * self.released(market, lots) // maintenance
        else:
            share = equity * gross // sum(abs(other[0]) * self.unit(number) for number, other in self.positions.items())
        return (gross if held > 0 else -gross) - share

    def release_of(self, maintenance: int) -> int:
        """Return the equity at which a maintenance margin lets an account out of default."""
        return ceil_div(maintenance * (_PPM + self.rules.levels.exit_buffer_ppm), _PPM)


def _deductions(market: MarketRules) -> tuple[int, ...]:
    floors = tuple(tier.floor_atoms for tier in market.tiers)
    return deductions_atoms(floors, tuple(tier.maintenance_rate_ppm for tier in market.tiers))
