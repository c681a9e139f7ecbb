"""What an engine answers, against brute force and against its own door, on random accounts.

The accounts are those of the campaign's streams: cross margin over several markets, in default and
not, with relief, held gains, debts and halts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest

from backstop.core.events import NEVER_NS, EffectKind, Health
from backstop.core.margin import assess
from backstop.engine import ClockEvent, Engine, OrderKind, TransferEvent, WaitsFor, event
from tests.engine.venues import engine_in
from tests.streams.settings import PROFILES

FIRST = 80_000 * len(PROFILES)


@pytest.fixture(scope="module")
def engines() -> list[Engine]:
    return [engine for engine in map(engine_in, range(FIRST, FIRST + len(PROFILES))) if engine is not None]


def ticks_around(levels: list[int | None], most: int, rng: Random) -> list[int]:
    """Return prices to try: all of a small market; else both ends, those around the levels, some."""
    if most <= 600:
        return list(range(1, most + 1))
    near = [level + shift for level in levels if level is not None for shift in range(-30, 31)]
    tried = {1, most, *near, *(rng.randint(1, most) for _ in range(60))}
    return sorted(each for each in tried if 1 <= each <= most)


def test_liquidation_and_bankruptcy_prices_are_those_of_brute_force(engines: list[Engine]) -> None:
    """At every price tried, the account is in default just where the liquidation price says, to the tick;
    likewise insolvent. The mark is set in a copy, and the account judged as any other.
    """
    rng, seen = Random(1), Counter[str]()
    for engine in engines:
        state = engine._state.copy_used()
        for account in range(engine.accounts):
            held = engine.positions(account)
            for position in held:
                levels = [position.liquidation_ticks, position.bankruptcy_ticks]
                row = state.markets[position.market]
                mark, is_long = int(row.mark_ticks), position.lots > 0
                for ticks in ticks_around(levels, int(row.price_ticks_max), rng):
                    row.mark_ticks = ticks
                    equity, maintenance = assess(state, account)
                    for level, is_below in zip(levels, (equity < maintenance, equity < 0), strict=True):
                        said = level is not None and (ticks <= level if is_long else ticks >= level)
                        assert said == is_below, (position, ticks, equity, maintenance)
                row.mark_ticks = mark
                seen["cross" if len(held) > 1 else "single"] += 1
                seen["long" if is_long else "short"] += 1
                seen["no liquidation price"] += levels[0] is None
                seen["liquidation is not bankruptcy"] += levels[0] != levels[1]
                assert levels == [f(account, position.market) for f in (engine.liquidation_ticks, engine.bankruptcy_ticks)]
    assert min(seen[name] for name in ("cross", "single", "long", "short", "no liquidation price", "liquidation is not bankruptcy")) > 5


def refusals(engine: Engine, account: int, amount: int) -> list[int]:
    """Return the reasons for which a withdrawal is refused, now."""
    effects, _ = engine.what_if([event(TransferEvent, engine.now_ns, account=account, amount=-amount, code="cash")])
    mine = effects["seq"] == engine.last_seq + 1
    return [int(row["code"]) for row in effects[mine] if row["kind"] == EffectKind.REFUSAL]


def cases() -> Iterator[Engine]:
    """An engine of each profile."""
    for seed in range(FIRST, FIRST + len(PROFILES)):
        engine = engine_in(seed)
        if engine is not None:
            yield engine


def test_what_may_be_withdrawn_is_accepted_and_an_atom_more_refused() -> None:
    seen, reasons = Counter[str](), set()
    for engine in cases():
        for account in range(engine.accounts):
            most = engine.withdrawable_atoms(account)
            if most:
                assert refusals(engine, account, most) == []
            refused = refusals(engine, account, most + 1)
            assert refused, (account, most)
            reasons.update(refused)
            health = engine.account(account).health
            assert most == 0 or health < Health.DISTRESSED
            seen["some" if most else "none"] += 1
    assert min(seen["some"], seen["none"]) > 50
    assert len(reasons) >= 4


def test_waits_say_what_they_are_for(engines: list[Engine]) -> None:
    """Until when is the engine's own time; a wait for orders or offers has them; none is in the past."""
    seen = Counter[str]()
    for engine in engines:
        for account in range(engine.accounts):
            until = int(engine._state.accounts[account].wait_until_ns)
            wait, orders = engine.wait(account), engine.orders(account)
            assert (wait is None) == (until == NEVER_NS)
            assert all(order.account == account for order in orders)
            if wait is None:
                continue
            assert wait.until_ns == until
            kinds = {order.kind for order in orders}
            assert (wait.waits_for == WaitsFor.OFFERS) == (OrderKind.OFFER in kinds and engine.account(account).health >= Health.DISTRESSED)
            assert wait.waits_for != WaitsFor.ORDERS or OrderKind.CLOSING in kinds
            assert (wait.waits_for == WaitsFor.DISPOSAL) == (engine.account(account).health < Health.DISTRESSED)
            assert engine.due_ns is not None
            assert engine.due_ns <= until
            seen[wait.waits_for] += 1
        assert len(engine.orders()) == sum(len(engine.orders(account)) for account in range(engine.accounts))
        assert engine.offers() == [order for order in engine.orders() if order.kind == OrderKind.OFFER]
    assert len(seen) >= 4, seen


def test_what_if_leaves_the_engine_alone(engines: list[Engine]) -> None:
    """It answers what the engine does when it is told in earnest."""
    acted = 0
    for engine in engines:
        before, told = engine.digest, [event(ClockEvent, (engine.due_ns or engine.now_ns) + 1)]
        effects, other = engine.what_if(told)
        assert (engine.digest, engine.last_seq) == (before, other.last_seq - 1)
        digest = other.digest
        again, _ = other.what_if(told)
        assert other.digest == digest
        assert engine.apply(told).tobytes() == effects.tobytes()
        assert engine.digest == digest
        acted += len(effects) > 0
        assert again.dtype == effects.dtype
    assert acted > 10


def test_funds_hold_what_orders_and_carries_reserve(engines: list[Engine]) -> None:
    for engine in engines:
        reserved = sum(order.reserved_atoms for order in engine.orders())
        assert reserved + sum(fund.carried_atoms for fund in engine.funds()) == sum(fund.reserved_atoms for fund in engine.funds())
        assert sum(fund.uncovered_atoms for fund in engine.funds()) == int(engine._state.engine[0].uncovered)
