"""dYdX's notionals, margins and net collateral are this engine's, to the quantum.

``map_quantums`` finds lots, ticks and atoms that carry each case exactly; what the engine computes
is read back in quote quantums, notionals toward zero and margins up, as the venue rounds. The venue
rounds maintenance up twice (initial margin first), the engine once: no case of the table tells them
apart.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest

from backstop.core.contracts import value_at_mark
from backstop.core.events import EffectKind, EventKind, Reject
from backstop.core.instruments import check_rules
from tests.vectors.driving import Drive, Mapping, flat_market, map_quantums, still_rules
from tests.vectors.tables.dydx import Venue
from tests.vectors.tables.dydx_margin import (
    ACCOUNTS,
    INITIAL_RATES,
    INITIAL_REQUIREMENTS,
    MAINTENANCE_RATES,
    NOT_EXPRESSIBLE,
    NOTIONALS,
    REQUIREMENTS,
    SIZES,
    Account,
    InitialRate,
    InitialRequirement,
    MaintenanceRate,
    Notional,
    Requirement,
    Size,
)
from tests.vectors.venues.dydx import scaled_initial_rate_ppm


def _initial_ppm(venue: Venue) -> int:
    open_notional = int(venue.open_quantums * venue.quantum_value)
    return scaled_initial_rate_ppm(venue.initial_ppm, open_notional, venue.lower_cap, venue.upper_cap)


def _hold(venue: Venue, quantums: int, mapping: Mapping) -> Drive:
    """Return an engine in which account 0 holds the position at cost 0, so that equity is the
    signed notional.
    """
    lots = mapping.lots(quantums)
    market = flat_market(
        _initial_ppm(venue), int(venue.maintenance_ppm), lots_max=max(abs(lots), 1), ticks_max=mapping.ticks, factor=mapping.factor
    )
    drive = Drive(still_rules(market))
    drive.open_account(0)
    drive.mark(0, mapping.ticks)
    drive.show_depth(0)
    if lots:
        drive.open_position(0, 0, lots, 0)
    return drive


@pytest.mark.parametrize("case", [case for case in REQUIREMENTS if case.line not in NOT_EXPRESSIBLE], ids=lambda case: f"L{case.line}")
def test_margins_of_a_position(case: Requirement) -> None:
    assert case.market.maintenance_ppm.denominator == 1
    mapping = map_quantums(case.market, case.quantums, case.scale)
    drive = _hold(case.market, case.quantums, mapping)
    _, maintenance = drive.assess(0)
    assert (mapping.raised(drive.initial_margin(0)), mapping.raised(maintenance)) == (case.initial, case.maintenance)


@pytest.mark.parametrize("case", NOTIONALS, ids=lambda case: f"L{case.line}")
def test_notional_of_a_position(case: Notional) -> None:
    mapping = map_quantums(case.market, case.quantums, case.scale)
    equity, _ = _hold(case.market, case.quantums, mapping).assess(0)
    assert mapping.truncated(equity) == case.notional


@pytest.mark.parametrize("case", SIZES, ids=lambda case: f"L{case.line}")
def test_position_of_a_notional(case: Size) -> None:
    mapping = map_quantums(case.market, case.quantums)
    drive = _hold(case.market, case.quantums, mapping)
    lots, rest = divmod(int(case.notional / mapping.atom), int(value_at_mark(drive.state, 0, 1)))
    assert (lots * mapping.lot_quantums, rest) == (case.quantums, 0)
    assert drive.lots(0, 0) == lots


def _margins_of(notional: int, initial_ppm: int, maintenance_ppm: int) -> tuple[int, int]:
    """Return both margins of a notional, one atom a lot."""
    drive = Drive(still_rules(flat_market(initial_ppm, maintenance_ppm, lots_max=notional)))
    drive.open_account(0)
    drive.mark(0, 1)
    drive.show_depth(0)
    drive.open_position(0, 0, notional, 0)
    return drive.initial_margin(0), drive.assess(0)[1]


@pytest.mark.parametrize("case", INITIAL_REQUIREMENTS, ids=lambda case: f"L{case.line}")
def test_initial_margin_scaled_by_open_interest(case: InitialRequirement) -> None:
    rate = scaled_initial_rate_ppm(case.initial_ppm, case.open_notional, case.lower_cap, case.upper_cap)
    assert _margins_of(case.notional, rate, 0)[0] == case.initial


@pytest.mark.parametrize("case", INITIAL_RATES, ids=lambda case: f"L{case.line}")
def test_initial_rate_scaled_by_open_interest(case: InitialRate) -> None:
    rate = scaled_initial_rate_ppm(case.initial_ppm, case.open_notional, case.lower_cap, case.upper_cap)
    # The margin of a million atoms is the rate in ppm.
    assert _margins_of(1_000_000, rate, 0)[0] == case.rate_ppm


@pytest.mark.parametrize("case", MAINTENANCE_RATES, ids=lambda case: f"L{case.line}")
def test_maintenance_rate(case: MaintenanceRate) -> None:
    rate = Venue(0, 0, 0, case.initial_ppm, case.share_ppm).maintenance_ppm
    assert _margins_of(1_000_000, case.initial_ppm, int(rate)) == (case.initial_ppm, case.rate_ppm)


@pytest.mark.parametrize("case", ACCOUNTS, ids=lambda case: f"L{case.line}")
def test_collateral_and_margins_of_an_account(case: Account) -> None:
    venues = case.markets or (Venue(1, 0, -6),)
    markets = [flat_market(_initial_ppm(v), int(v.maintenance_ppm), lots_max=1_000_000_000, ticks_max=1_000) for v in venues]
    drive = Drive(still_rules(*markets))
    drive.open_account(0)
    ticks = [map_quantums(venue, 1).ticks for venue in venues]
    for market, price in enumerate(ticks):
        drive.mark(market, price)
        drive.show_depth(market)
    for position in case.positions:
        drive.open_position(0, position.market, position.quantums, 0)
    # Receipts before payments: here a flat account that owes is covered at once.
    for amount in sorted((case.quote, *case.quote_updates), reverse=True):
        drive.fund(0, amount)
    for position in case.updates:
        # The venue's position update moves no quote; a trade here pays or receives it, so it is
        # given back.
        drive.trade(0, position.market, position.quantums, ticks[position.market])
        drive.fund(0, position.quantums * ticks[position.market])
    drive.fund(0, case.settlement)
    equity, maintenance = drive.assess(0)
    if not case.positions and not case.updates:
        equity = min(equity, drive.worst_equity(0))
    assert equity == case.collateral
    if case.initial is not None:
        assert (drive.initial_margin(0), maintenance) == (case.initial, case.maintenance)


def test_what_cannot_be_expressed_is_refused_with_its_reason() -> None:
    full, free = (case for case in REQUIREMENTS if case.line in NOT_EXPRESSIBLE)
    with pytest.raises(ValueError, match=r"maintenance rate 1000000 ppm .* must be at most 0.999 of the notional"):
        _hold(full.market, full.quantums, map_quantums(full.market, full.quantums))
    drive = Drive(still_rules(flat_market(100, 100, lots_max=7_000)))
    found = drive.send(EventKind.MARK, market=0, price_ticks=free.market.price_raw)
    assert [(effect.kind, effect.code) for effect in found] == [(EffectKind.REFUSAL, Reject.PRICE_OUT_OF_RANGE)]


def test_amounts_beyond_63_bits_are_refused_at_an_atom_a_quote_quantum() -> None:
    wide = [case for case in (*REQUIREMENTS, *NOTIONALS) if case.scale is not None]
    assert len(wide) == 3
    for case in wide:
        mapping = map_quantums(case.market, case.quantums)
        lots = abs(mapping.lots(case.quantums))
        market = flat_market(0, 0, lots_max=lots, ticks_max=mapping.ticks, factor=mapping.factor)
        with pytest.raises(ValueError, match=r"must stay below 2\^62|must be at most|must be 1 to 4611686018427387904"):
            check_rules(still_rules(market))


def test_two_roundings_up_may_differ_by_one_quantum() -> None:
    # Notional 11, 10 % initial, 60 % of it maintenance: ceil(ceil(1.1) x 0.6) = 2 at the venue,
    # ceil(0.66) = 1 here.
    initial = ceil(Fraction(11 * 100_000, 1_000_000))
    twice = ceil(Fraction(initial * 600_000, 1_000_000))
    assert (twice, _margins_of(11, 100_000, 60_000)[1]) == (2, 1)
