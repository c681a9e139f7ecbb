"""The price guard: cases worked by hand from R7.2."""

from __future__ import annotations

import pytest

from backstop.core.events import NEVER_NS, BreakerCause, BreakerState, EffectKind, EventKind, Guard, Health
from tests.reference.venue import PLAIN, PRICED, SHORT, Venue, guards, moves

OPEN, THROTTLED, HALTED, REOPENING = BreakerState
PRICE, FLOW, _, STALE, *_others = BreakerCause
K, F = EventKind, EffectKind

GUARDED = PLAIN._replace(guard_jump_ppm=50_000, guard_volume_lots=10)
HELD, CONFIRMED, RELEASED, DROPPED, CONTINUED, RENEWED = Guard
WAITING = SHORT._replace(guard_hold_ns=30)


def guarded(volume: int | None = 9) -> Venue:
    """A venue at mark 1,000 on little volume, with a long of 10 whose 1,400 are 400 at 900, where M
    is 900.
    """
    venue = Venue(GUARDED, breakers=WAITING)
    venue.mark(0, 1_000)
    venue.open(0, 1_400, 10, 1_000)
    if volume is not None:
        venue.at(0, K.VOLUME, market=0, lots=volume)
    return venue


def test_guard_holds_a_jump_on_little_volume() -> None:
    """950 is 5 % away: held, valued nowhere; 951 is 4.9 %: the mark."""
    venue = guarded()
    effects = venue.at(5, K.MARK, market=0, price_ticks=950)
    assert [effect.kind for effect in effects] == [F.GUARD, F.DOUBT]
    assert guards(effects) == [(HELD, 950, 1_000, 35, 50_000)]
    assert venue.reference.state.markets[0].mark == 1_000
    assert venue.row()[9:14] == (1_000, 1_000, 0, 950, 35)
    venue = guarded()
    assert guards(venue.at(5, K.MARK, market=0, price_ticks=951)) == []
    assert venue.reference.state.markets[0].mark == 951


def test_guard_needs_a_volume_that_is_reported_and_little() -> None:
    """Unknown or enough volume: the jump is the mark, and the long (E = 400, M = 900) is not what
    it was.
    """
    for volume in (None, 10):
        venue = guarded(volume)
        effects = venue.at(5, K.MARK, market=0, price_ticks=900)
        assert guards(effects) == []
        assert effects[0].kind == F.HEALTH
        assert venue.reference.state.markets[0].mark == 900


def test_guard_is_off_where_no_jump_is_named_or_no_mark_is_there() -> None:
    """The first mark has nothing to jump from."""
    venue = Venue(GUARDED, breakers=WAITING)
    venue.at(0, K.VOLUME, market=0, lots=0)
    assert guards(venue.at(0, K.MARK, market=0, price_ticks=1_000)) == []
    venue = Venue(PLAIN._replace(guard_volume_lots=10), breakers=WAITING)
    venue.at(0, K.VOLUME, market=0, lots=0)
    venue.mark(0, 1_000)
    assert guards(venue.at(0, K.MARK, market=0, price_ticks=1)) == []


def hold_of(venue: Venue) -> tuple[int, ...]:
    """Held price, until, `new`, counted up to, whether the newest print is held, whether it was continued,
    `lead`, rival, first prints of the level and of the rival: of the digest's row.
    """
    return venue.row()[12:22]


def test_second_held_mark_keeps_the_time_of_the_first() -> None:
    """940, then 930 at 20, 1.1 % from it: one level, held until 35 as before; nothing else was heard."""
    venue = guarded()
    venue.at(5, K.MARK, market=0, price_ticks=940)
    assert guards(venue.at(20, K.MARK, market=0, price_ticks=930)) == [(HELD, 930, 1_000, 35, 70_000)]
    assert hold_of(venue) == (930, 35, 15, 20, 1, 0, 15, 0, 940, 0)
    assert guards(venue.at(34)) == []
    assert guards(venue.at(35)) == [(RELEASED, 930, 1_000, 0, 70_000)]
    assert venue.reference.state.markets[0].mark == 930
    assert venue.row()[11:14] == (35, 0, 0)


def test_a_rival_takes_the_place_of_a_level_that_was_newest_for_less_time() -> None:
    """940 for 15, then 1,100, 17 % from it. At 35 each was newest for 15: 940 is held still, and held once
    more, counted anew; at 65 1,100 was for 30.
    """
    venue = guarded()
    venue.at(5, K.MARK, market=0, price_ticks=940)
    assert guards(venue.at(20, K.MARK, market=0, price_ticks=1_100)) == [(HELD, 1_100, 1_000, 35, 100_000)]
    assert hold_of(venue) == (940, 35, 15, 20, 1, 0, 15, 1_100, 940, 1_100)
    assert guards(venue.at(35)) == [(CONTINUED, 940, 1_000, 65, 60_000)]
    assert hold_of(venue) == (940, 65, 0, 35, 1, 1, 0, 1_100, 940, 1_100)
    assert guards(venue.at(50, K.MARK, market=0, price_ticks=1_110)) == [(HELD, 1_110, 1_000, 65, 110_000)]
    assert hold_of(venue) == (1_110, 65, 15, 50, 1, 1, 15, 0, 1_100, 0)
    assert guards(venue.at(65)) == [(RELEASED, 1_110, 1_000, 0, 110_000)]


def test_both_ends_of_a_hold_may_be_due_in_one_event() -> None:
    """900 from 5 on but for 10 to 15: newest for 25 of 30, then for all of 30."""
    venue = guarded()
    for time, price in ((5, 900), (10, 1_001), (15, 900)):
        venue.at(time, K.MARK, market=0, price_ticks=price)
    assert guards(venue.at(70)) == [(CONTINUED, 900, 1_000, 65, 100_000), (RELEASED, 900, 1_000, 0, 100_000)]


@pytest.mark.parametrize(("stale_ns", "code"), [(0, RELEASED), (29, CONTINUED), (30, RELEASED)])
def test_a_dead_index_says_nothing(stale_ns: int, code: int) -> None:
    """An index of 890 came at 5: at 35 it is 30 old. 900 was newest for 25 of 30, 1,001 for 5."""
    venue = Venue(GUARDED, breakers=WAITING._replace(stale_ns=stale_ns, outage_grace_ppm=0))
    venue.mark(0, 1_000)
    venue.at(0, K.VOLUME, market=0, lots=9)
    venue.at(5, K.INDEX, market=0, price_ticks=890)
    for time, price in ((5, 900), (10, 1_001), (15, 900)):
        venue.at(time, K.MARK, market=0, price_ticks=price)
    assert guards(venue.at(35))[0][0] == code


def test_guard_confirms_a_mark_near_the_held_one_on_enough_volume() -> None:
    """Held 900; 10 lots traded; 920 is 2.2 % from it: CONFIRMED, and 920 is the mark."""
    venue = guarded()
    venue.at(5, K.MARK, market=0, price_ticks=900)
    venue.at(6, K.VOLUME, market=0, lots=10)
    effects = venue.at(7, K.MARK, market=0, price_ticks=920)
    assert guards(effects) == [(CONFIRMED, 900, 1_000, 0, 100_000)]
    assert [effect.kind for effect in effects][:2] == [F.GUARD, F.HEALTH]
    assert venue.reference.state.markets[0].mark == 920
    assert venue.row()[12:14] == (0, 0)
    assert guards(venue.at(35)) == []


@pytest.mark.parametrize(("volume", "price"), [(10, 1_001), (10, 945)])
def test_guard_drops_a_mark_that_nothing_confirms(volume: int, price: int) -> None:
    """Held 900; on enough volume back at 1,001, or 945, 5 % from 900: DROPPED, and the new price is
    the mark.
    """
    venue = guarded()
    venue.at(5, K.MARK, market=0, price_ticks=900)
    venue.at(6, K.VOLUME, market=0, lots=volume)
    assert guards(venue.at(7, K.MARK, market=0, price_ticks=price)) == [(DROPPED, 900, 1_000, 0, 100_000)]
    assert venue.reference.state.markets[0].mark == price


def test_guard_decides_nothing_on_little_volume() -> None:
    """Held 950 at 5; 951 at 6 is near it, but is the mark only since it is 4.9 % from the old one. At 35 it
    was newest for most of the hold: DROPPED.
    """
    venue = guarded()
    venue.at(5, K.MARK, market=0, price_ticks=950)
    assert guards(venue.at(6, K.MARK, market=0, price_ticks=951)) == []
    assert venue.reference.state.markets[0].mark == 951
    assert guards(venue.at(35)) == [(DROPPED, 950, 1_000, 0, 50_000)]


def test_released_mark_is_a_mark() -> None:
    """Nothing else came: at 35 the held 900 judges the long (E = 400, M = 900), is a price signal
    and ends the silence.
    """
    venue = Venue(PRICED._replace(guard_jump_ppm=50_000, guard_volume_lots=10), breakers=WAITING._replace(stale_ns=33, outage_grace_ppm=0))
    venue.mark(0, 1_000)
    venue.open(0, 1_400, 10, 1_000)
    venue.at(0, K.VOLUME, market=0, lots=0)
    venue.at(5, K.MARK, market=0, price_ticks=900)
    assert venue.reference.next_time_ns() == 33
    assert moves(venue.at(33)) == [(0, OPEN, HALTED, STALE, 83, 0)]
    assert venue.reference.next_time_ns() == 35
    effects = venue.at(36)
    assert [effect.kind for effect in effects][:3] == [F.GUARD, F.HEALTH, F.BREAKER]
    assert guards(effects) == [(RELEASED, 900, 1_000, 0, 100_000)]
    assert moves(effects)[0] == (0, HALTED, REOPENING, PRICE, 46, 100_000)
    assert venue.reference.state.accounts[0].health < Health.DISTRESSED, "ADL has restored it"
    assert venue.row()[11:14] == (36, 0, 0)


def test_held_mark_is_no_sign_of_life_of_the_feed() -> None:
    """STALE counts from the newest accepted mark."""
    venue = Venue(GUARDED, breakers=SHORT._replace(stale_ns=20, guard_hold_ns=1_000))
    venue.mark(0, 1_000)
    venue.at(0, K.VOLUME, market=0, lots=0)
    venue.at(15, K.MARK, market=0, price_ticks=900)
    assert moves(venue.at(20)) == [(0, OPEN, HALTED, STALE, 70, 0)]


def test_a_held_mark_settles_nothing() -> None:
    """The flow that throttled the market at 90 is gone at 290; only an accepted mark finds that."""
    venue = Venue(GUARDED._replace(flow_throttle=1_000), breakers=WAITING._replace(hold_max_ns=900))
    venue.mark(0, 100)
    venue.default(90, 10)
    venue.at(290, K.VOLUME, market=0, lots=0)
    assert moves(venue.at(291, K.MARK, market=0, price_ticks=50)) == []
    assert venue.mark(292, 100) == [(0, THROTTLED, OPEN, FLOW, NEVER_NS, 0)]


def reference_of(venue: Venue) -> tuple[int, ...]:
    """What jumps are measured from, and since when: of the digest's row."""
    return venue.row()[22:24]


def test_what_is_left_of_a_dropped_hold_is_held_on() -> None:
    """900 at 5, 1,001 from 6 on, 900 again at 30: newest for 6 of 30, dropped at 35, and held on to 65."""
    venue = guarded()
    for time, price in ((5, 900), (6, 1_001), (30, 900)):
        venue.at(time, K.MARK, market=0, price_ticks=price)
    assert guards(venue.at(35)) == [(DROPPED, 900, 1_000, 0, 100_000), (RENEWED, 900, 1_000, 65, 100_000)]
    assert hold_of(venue) == (900, 65, 0, 35, 1, 0, 0, 0, 900, 0)
    assert guards(venue.at(64)) == []
    assert guards(venue.at(65)) == [(RELEASED, 900, 1_000, 0, 100_000)]


def test_jumps_are_measured_from_a_mark_on_volume_or_one_that_a_hold_is_old() -> None:
    """On little volume 951 and 952 leave the reference at 1,000; at 30 that is a hold old, and 955 takes
    its place. On volume 960 does at once.
    """
    venue = guarded()
    assert reference_of(venue) == (1_000, 0)
    for time, price, reference in ((5, 951, (1_000, 0)), (29, 952, (1_000, 0)), (30, 955, (955, 30)), (31, 990, (955, 30))):
        venue.at(time, K.MARK, market=0, price_ticks=price)
        assert reference_of(venue) == reference
    venue.at(32, K.VOLUME, market=0, lots=10)
    venue.at(33, K.MARK, market=0, price_ticks=960)
    assert reference_of(venue) == (960, 33)
