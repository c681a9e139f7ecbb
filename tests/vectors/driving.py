"""A venue on which other systems' cases are set up by events and read back from the engine's state.

``still_rules`` gives a venue that finds defaults and then does nothing more: its order caps are 0,
so that every account in default is BUSY and waits for a deadline that is far away. Equity, margins
and zero cash can then be read from an account that is long since in default. No hysteresis: release
is maintenance itself.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, gcd
from typing import NamedTuple

from backstop.core.engine import step
from backstop.core.events import NONE, BookSide, EffectKind, EventKind, Health, Transfer
from backstop.core.instruments import (
    PPM,
    PRICE_TICKS_LIMIT,
    CloseoutRules,
    LevelRules,
    LimitRules,
    MarketRules,
    TierRules,
    VenueRules,
)
from backstop.core.margin import assess, initial_margin, zero_cash
from backstop.core.state import new_state
from backstop.reference.records import Effect, Event, effects_list, events_array
from tests.vectors.tables.dydx import Venue
from tests.vectors.tables.dydx_margin import Scale

__all__ = ["Drive", "Mapping", "flat_market", "map_quantums", "still_rules"]

FAR_NS = 1 << 60
SMALL = LimitRules(accounts_max=8, positions_max=32, orders_max=16, effects_max=4096)
ONE_LEVEL = LevelRules(warning_ratio_ppm=PPM, exit_buffer_ppm=0)


def still_rules(*markets: MarketRules, levels: LevelRules = ONE_LEVEL) -> VenueRules:
    """Return a venue whose defaults wait: no order may leave, and the deadline is far."""
    closeout = CloseoutRules(fee_ppm=0, deadline_ns=FAR_NS, venue_notional_max=0)
    return VenueRules(markets=markets, levels=levels, closeout=closeout, limits=SMALL)


def flat_market(initial_ppm: int, maintenance_ppm: int, *, lots_max: int, ticks_max: int = 1, factor: int = 1) -> MarketRules:
    """Return a market with one tier, as large as a case needs."""
    return MarketRules(
        notional_factor=factor,
        price_ticks_max=ticks_max,
        position_lots_max=lots_max,
        tiers=(TierRules(0, initial_ppm, maintenance_ppm),),
        band_offset_ppm=(1_000,),
        slippage_tolerance_ppm=10_000,
    )


class Mapping(NamedTuple):
    """How a venue's quantums become this engine's integers, exactly:
    ``lots x ticks x factor x atom`` is the notional.
    """

    lot_quantums: int
    ticks: int
    factor: int
    #: Worth of one atom in quote quantums.
    atom: Fraction

    def lots(self, quantums: int) -> int:
        """Return base quantums as lots."""
        assert quantums % self.lot_quantums == 0
        return quantums // self.lot_quantums

    def truncated(self, atoms: int) -> int:
        """Return atoms as quote quantums, toward zero."""
        return int(atoms * self.atom)

    def raised(self, atoms: int) -> int:
        """Return atoms as quote quantums, up."""
        return ceil(atoms * self.atom)


def map_quantums(venue: Venue, quantums: int, scale: Scale | None = None) -> Mapping:
    """Return the mapping of a position: by hand where ``scale`` is given, otherwise one atom per
    quote quantum if possible.

    A lot is the fewest quantums, a divisor of the position, whose worth is whole in quote quantums;
    where none is, an atom is a fraction of a quote quantum. A mark too large for a tick counter
    gives its smallest prime factors to ``factor``.
    """
    value = venue.quantum_value
    if scale is not None:
        assert venue.price_raw % scale.tick_raw == 0
        atom = value / venue.price_raw * scale.lot_quantums * scale.tick_raw / scale.factor
        return Mapping(scale.lot_quantums, venue.price_raw // scale.tick_raw, scale.factor, atom)
    lot = gcd(abs(quantums), value.denominator) if quantums else 1
    ticks, atom = (value * lot).numerator, Fraction(1, (value * lot).denominator)
    factor, prime = 1, 2
    while ticks > PRICE_TICKS_LIMIT:
        while ticks % prime:
            prime += 1
        ticks, factor = ticks // prime, factor * prime
    return Mapping(lot, ticks, factor, atom)


class Drive:
    """One engine, its events numbered, every effect kept."""

    def __init__(self, rules: VenueRules) -> None:
        self.state = new_state(rules)
        self.effects: list[Effect] = []
        self._seq = 0

    def send(
        self,
        kind: EventKind,
        *,
        code: int = 0,
        market: int = NONE,
        account: int = NONE,
        other: int = 0,
        lots: int = 0,
        price_ticks: int = 0,
        amount: int = 0,
        time_ns: int = 0,
    ) -> list[Effect]:
        """Put one event through ``step``; return its effects."""
        event = Event(self._seq, time_ns, int(kind), int(code), market, account, other, lots, price_ticks, amount)
        self._seq += 1
        assert step(self.state, events_array([event]), 0) == 1
        engine = self.state.engine[0]
        found = effects_list(self.state.effects[: int(engine.effects_now)])
        engine.effects_now = 0
        self.effects += found
        return found

    def accept(self, kind: EventKind, **fields: int) -> list[Effect]:
        """Send an event that must not be refused."""
        found = self.send(kind, **fields)
        assert all(effect.kind != EffectKind.REFUSAL for effect in found), found
        return found

    def open_account(self, account: int, owner: int | None = None) -> None:
        """Open the next account, of an owner of its own if none is named."""
        self.accept(EventKind.ACCOUNT, account=account, other=account if owner is None else owner)

    def mark(self, market: int, ticks: int) -> list[Effect]:
        """Set a mark."""
        return self.accept(EventKind.MARK, market=market, price_ticks=ticks)

    def show_depth(self, market: int, lots: int = 1) -> None:
        """Let both sides of the first band show ``lots``."""
        for side in BookSide:
            self.accept(EventKind.DEPTH, market=market, code=side, other=0, lots=lots)

    def fund(self, account: int, amount: int) -> list[Effect]:
        """Post a deposit, or a negative amount as a funding payment, which is never refused for
        want of margin.
        """
        if amount == 0:
            return []
        code = Transfer.CASH if amount > 0 else Transfer.FUNDING
        return self.accept(EventKind.TRANSFER, account=account, code=code, amount=amount)

    def open_position(self, account: int, market: int, lots: int, cost: int) -> list[Effect]:
        """Give an account a position at an exact cost."""
        return self.accept(EventKind.POSITION, account=account, market=market, lots=lots, amount=cost)

    def trade(self, account: int, market: int, lots: int, ticks: int) -> list[Effect]:
        """Trade signed lots with OUTSIDE."""
        return self.accept(EventKind.FILL, account=account, market=market, other=NONE, lots=lots, price_ticks=ticks)

    def assess(self, account: int) -> tuple[int, int]:
        """Return (equity, maintenance margin)."""
        equity, maintenance = assess(self.state, account)
        return int(equity), int(maintenance)

    def initial_margin(self, account: int) -> int:
        """Return the initial margin."""
        return int(initial_margin(self.state, account))

    def health(self, account: int) -> Health:
        """Return the health that the engine holds."""
        return Health(int(self.state.accounts[account].health))

    def position_row(self, account: int, market: int) -> int:
        """Return the row of a position that the account has."""
        rows = self.state.positions
        first = 2 * len(self.state.markets)
        for row in range(first, int(self.state.engine[0].positions_now)):
            if rows[row].account == account and rows[row].market == market:
                return row
        raise LookupError(f"account {account} has no position in market {market}")

    def lots(self, account: int, market: int) -> int:
        """Return the signed lots of a position."""
        return int(self.state.positions[self.position_row(account, market)].lots)

    def zero_cash(self, account: int, market: int, lots: int) -> int:
        """Return the cash of closing ``lots`` (> 0) at the zero price."""
        equity, maintenance = self.assess(account)
        return int(zero_cash(self.state, self.position_row(account, market), lots, equity, maintenance))

    def restricted(self) -> list[int]:
        """Return the accounts that went into the lot stages, in the order in which they did."""
        return [effect.account for effect in self.effects if effect.kind == EffectKind.RESTRICT]

    def worst_equity(self, account: int) -> int:
        """Return the lowest equity at which the account's health changed: what a flat account owed
        before it was covered.
        """
        found = [effect.amount for effect in self.effects if effect.kind == EffectKind.HEALTH and effect.account == account]
        return min(found, default=self.assess(account)[0])
