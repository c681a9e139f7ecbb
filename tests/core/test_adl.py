"""ADL's caps, tried lot by lot: every number of lots up to a cap leaves the counterparty its
maintenance.
"""

from __future__ import annotations

from random import Random

import pytest

from backstop.core.contract_terms import LinearContract
from backstop.core.events import NONE, AdlClass, EffectKind, EventKind, Health, Stage, SupportLimit, Transfer
from backstop.core.instruments import LimitRules, TierRules
from backstop.core.waterfall.certificate import check_certificate
from backstop.reference.arithmetic import ceil_div
from backstop.reference.records import Effect, Event
from tests.core.desk import SECOND, Desk, make_rules
from tests.properties.mirror import Mirror

F = EffectKind
TIERS = (TierRules(0, 100_000, 50_000), TierRules(1_000, 200_000, 100_000), TierRules(5_000, 400_000, 300_000))
STAGES = (Stage.ADL, Stage.TEAR_UP)


def spare(mirror: Mirror, account: int, lots: int, beyond: int, total: int) -> int:
    """Return equity less maintenance once an account has given so many lots of market 0, its cash
    rounded up.
    """
    maintenance = mirror.maintenance(account) - mirror.holding(account, 0).released(lots)
    return mirror.equity(account) - ceil_div(lots * beyond, total) - maintenance


def wave(seed: int) -> tuple[Mirror, list[Effect]]:
    """Return one wave of a random book, and the books just before it."""
    rng = Random(seed)
    rules = make_rules(STAGES, TIERS, markets=2, limits=LimitRules(accounts_max=8, positions_max=16, orders_max=4, effects_max=512))
    desk, mirror, seq = Desk(rules, mark=0), Mirror(rules), 0

    def send(kind: EventKind, **fields: int) -> list[Effect]:
        nonlocal seq
        seq += 1
        event = Event(seq, seq * SECOND, int(kind), **fields)
        effects = desk.put(event)
        if not any(effect.kind in (F.REFUSAL, F.ADL_PLAN) for effect in effects):
            mirror.take_event(event, effects)
            for effect in effects:
                mirror.take_effect(effect)
        return effects

    def charge(account: int, amount: int) -> list[Effect]:
        return send(EventKind.TRANSFER, account=account, code=int(Transfer.FUNDING), amount=-amount) if amount else []

    for market in range(2):
        send(EventKind.MARK, market=market, price_ticks=100)
    side = rng.choice((-1, 1))
    for account in range(7):
        send(EventKind.ACCOUNT, account=account, other=account)
        send(EventKind.TRANSFER, account=account, amount=20_000)
        lots = rng.randint(1, 90) * (side if account == 0 else -side)
        send(EventKind.FILL, market=0, account=account, other=NONE, lots=lots, price_ticks=rng.randint(90, 110))
        if rng.random() < 0.5:
            send(EventKind.FILL, market=1, account=account, other=NONE, lots=rng.randint(-40, 40) or 1, price_ticks=100)
    for account in range(1, 7):
        leave = mirror.maintenance(account) + rng.choice((0, 1, 2, 3, rng.randint(0, 60), rng.randint(0, 3_000)))
        charge(account, mirror.equity(account) - leave)
    deficit = rng.choice((1, rng.randint(1, 40), rng.randint(1, 2_000)))
    return mirror, charge(0, mirror.equity(0) + deficit)


@pytest.mark.parametrize("block", range(4))
def test_every_number_up_to_the_cap_keeps_maintenance(block: int) -> None:
    """And the cap is no lower than two roundings up make it."""
    partial = 0
    for seed in range(block * 60, block * 60 + 60):
        mirror, effects = wave(seed)
        for plan in (row for row in effects if row.kind == F.ADL_PLAN and row.account == 0 and row.market == 0):
            lots = abs(plan.lots)
            beyond = plan.amount - mirror.holding(0, 0).value_of(lots)
            for fill in (row for row in effects if row.kind == F.ADL_FILL and row.market == 0 and row.account >= 0):
                held, cap = abs(mirror.held_lots(fill.account, 0)), fill.price_ticks
                assert all(spare(mirror, fill.account, given, beyond, lots) >= 0 for given in range(cap + 1)), f"seed {seed}: {fill}"
                if cap < held:
                    partial += 1
                    assert spare(mirror, fill.account, cap + 1, beyond, lots) < 2, f"seed {seed}: {fill}"
    assert partial > 5


def test_three_counterparties_worked_by_hand() -> None:
    """Long 10 at mark 85 with E = -50: zero cash 850 + 50, 5 a lot beyond mark.

    Shorts of 10, 6, 4 sold at 100 have P&L 150, 90, 60. The first has E = 46 and M = 43: giving 2
    lots leaves 46 - 34 - 10 = 2, giving 3 leaves 46 - 30 - 15 = 1, so its cap is 2. It is full (2 x
    300 <= 10 x 150); the other 8 go 90 : 60 as 4.8 and 3.2.
    """
    desk = Desk(make_rules(STAGES))
    desk.open(300, 100, 1_000, 1_000)
    for account, lots in enumerate((10, -10, -6, -4)):
        desk.trade(account, lots, 100)
    desk.mark(85)
    desk.charge(1, 204)
    effects = desk.charge(0, 200)
    first = next(place for place, row in enumerate(effects) if row.kind == F.ADL_PLAN)
    assert (effects[first].lots, effects[first].amount, effects[first].value) == (-10, 900, -50)
    told, head = effects[first + 1 : first + 3]
    assert (told.kind, told.code, told.amount, told.value) == (F.SUPPORT, SupportLimit.STAGE, 0, 50)
    assert (head.code, head.other, head.lots, head.price_ticks, head.amount, head.value) == (AdlClass.PROFITABLE, 3, 10, 1, 8, 150)
    fills = [(row.account, row.lots, row.price_ticks, row.amount, row.value) for row in effects if row.kind == F.ADL_FILL]
    assert fills == [(1, 2, 2, -180, 150), (2, 5, 6, -450, 90), (3, 3, 4, -270, 60)]
    assert check_certificate(desk.rows, first, LinearContract(1)) == []
    assert int(desk.state.accounts[0].health) == Health.HEALTHY
