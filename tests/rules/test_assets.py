"""R13: two assets in one venue; the engine, the reference and every invariant at each event.

Market 0 and group 0 are of asset 0, market 1 and group 1 of asset 1.
"""

from __future__ import annotations

import pytest

from backstop.core.events import FEES, NONE, WORLD, Cause, EffectKind, EventKind, Reject, Stage, Transfer, fund_of
from backstop.core.instruments import NO_CAP, AssetRules, CommitmentRules, FundRules, ProviderRules, VenueRules, check_rules
from backstop.core.parameter_table import PARAMETERS
from backstop.reference.engine import by_lack, by_urgency
from backstop.reference.records import Effect
from tests.attacks.scene import FIRST_MARK, SIDES, Scene, of, venue

K = EventKind
STAGES = (Stage.FUND, Stage.TEAR_UP)
NUMBERS = {rule.key: number for number, rule in PARAMETERS.items()}


def two_assets(stages: tuple[int, ...] = STAGES, caps: tuple[int, int] = (NO_CAP, NO_CAP), provider: int | None = None) -> VenueRules:
    """Return a venue of two assets, each with a market, a group and an owner's cap; ``provider``: one is
    of this asset.
    """
    made = venue(stages, markets=2)
    first, second = made.markets
    promise, nothing = CommitmentRules(NO_CAP), CommitmentRules()
    pairs = tuple((promise, promise) if group == provider else (nothing, nothing) for group in (0, 1))
    return made._replace(
        markets=(first, second._replace(group=1, settlement_asset=1)),
        funds=(FundRules(), FundRules(asset=1)),
        providers=() if provider is None else (ProviderRules(pairs, asset=provider),),
        assets=tuple(AssetRules(owner_loss_max=cap) for cap in caps),
    )


def open_in(scene: Scene, asset: int, deposit: int, owner: int = NONE) -> int:
    """Open an account in an asset, with money of it."""
    account = len(scene.mirror.accounts)
    scene.send(K.ACCOUNT, account=account, other=account if owner == NONE else owner, code=asset)
    scene.cash(account, deposit)
    return account


def refusal(effects: list[Effect]) -> Reject | None:
    """Return why an event was refused, if it was."""
    return Reject(effects[0].code) if effects and effects[0].kind == EffectKind.REFUSAL else None


def test_an_account_and_its_owner_are_in_one_asset() -> None:
    scene = Scene(two_assets(), 1)
    ann = open_in(scene, 1, 1_000)
    for code in (-1, 2, 32_767):
        assert refusal(scene.send(K.ACCOUNT, account=1, other=1, code=code)) == Reject.UNKNOWN_CODE
    assert refusal(scene.send(K.ACCOUNT, account=1, other=ann, code=0)) == Reject.WRONG_ASSET
    assert refusal(scene.send(K.ACCOUNT, account=1, other=1, market=1, code=0)) == Reject.WRONG_ASSET, (
        "a pocket of the other asset's market"
    )
    assert refusal(scene.send(K.ACCOUNT, account=1, other=ann, market=1, code=1)) is None
    assert refusal(scene.send(K.ACCOUNT, account=2, other=2, code=0)) is None
    assert refusal(scene.move_money(ann, 2, 5)) == Reject.OTHER_OWNER, "accounts in two assets have two owners"


def test_an_account_trades_and_pays_in_markets_of_its_asset_alone() -> None:
    scene = Scene(two_assets(), 1)
    ann, bob = open_in(scene, 0, 1_000), open_in(scene, 1, 1_000)
    for account, market in ((ann, 1), (bob, 0)):
        assert refusal(scene.trade(account, 1, 1_000, market=market)) == Reject.WRONG_ASSET
        assert refusal(scene.send(K.POSITION, market=market, account=account, lots=1, amount=1_000)) == Reject.WRONG_ASSET
        for code in (Transfer.TRADING_FEE, Transfer.FUNDING):
            assert refusal(scene.send(K.TRANSFER, account=account, market=market, code=int(code), amount=1)) == Reject.WRONG_ASSET
            assert refusal(scene.send(K.TRANSFER, account=account, market=1 - market, code=int(code), amount=1)) is None
    assert refusal(scene.trade(ann, 1, 1_000, other=bob)) == Reject.WRONG_ASSET
    assert refusal(scene.trade(bob, 1, 1_000, other=ann, market=1)) == Reject.WRONG_ASSET


@pytest.mark.parametrize("asset", [0, 1])
def test_a_provider_is_of_its_asset(asset: int) -> None:
    scene = Scene(two_assets((Stage.TAKEOVER, *STAGES), provider=asset), 1)
    other, mine = open_in(scene, 1 - asset, 1_000), open_in(scene, asset, 1_000)
    assert refusal(scene.bind(0, other)) == Reject.WRONG_ASSET
    assert refusal(scene.bind(0, mine)) is None


def test_world_and_fees_have_a_balance_in_each_asset() -> None:
    """A trading fee without a market goes to the first fund of the account's asset."""
    rules = two_assets()
    scene = Scene(rules._replace(fund=rules.fund._replace(trading_fee_share_ppm=500_000)), 1)
    ann, bob = open_in(scene, 0, 1_000), open_in(scene, 1, 30)
    scene.fee(ann, 100)
    (fee, share) = of(scene.fee(bob, 10), EffectKind.POSTING)
    assert (fee.account, fee.other, fee.amount, fee.value) == (FEES, bob, 10, 1)
    assert (share.account, share.other, share.amount, share.value) == (fund_of(1), FEES, 5, 1)
    state = scene.watch.reference.state
    assert [[state.balance(who, asset) for who in (WORLD, FEES)] for asset in (0, 1)] == [[-1_000, 50], [-30, 5]]
    assert [state.balance(fund_of(group), group) for group in (0, 1)] == [50, 5]


@pytest.mark.parametrize("side", SIDES)
def test_who_has_an_owner_in_each_asset_has_a_cap_in_each(side: int) -> None:
    """The same person loses in both. Each fund pays within the cap of its own asset; what the other paid
    does not count, and neither pays for the other.
    """
    scene = Scene(two_assets(caps=(30, 7)), side)
    for group in (0, 1):
        scene.send(K.TRANSFER, account=fund_of(group), amount=1_000)
    paid = []
    for asset in (0, 1):
        loser, winner = open_in(scene, asset, 100), open_in(scene, asset, 10_000)
        scene.trade(loser, 1, FIRST_MARK, other=winner, market=asset)
        effects = scene.mark(800, asset)
        paid.append(sum(row.amount for row in of(effects, EffectKind.POSTING) if row.other == fund_of(asset)))
        assert not [row for row in of(effects, EffectKind.POSTING) if fund_of(1 - asset) in (row.account, row.other)]
    assert paid == [30, 7]


def test_arrears_of_another_asset_leave_an_owner_his_cap() -> None:
    """Group 0 pays late. In group 1 an owner still has all that his asset's cap allows."""
    scene = Scene(two_assets(caps=(50, 50)), 1)
    ann = open_in(scene, 0, 10)
    scene.charge(ann, 100)
    scene.send(K.TRANSFER, account=fund_of(0), amount=1_000)
    scene.clock(30)
    scene.clock(30)
    assert any(row.code == Cause.ARREARS for effects in scene.watch.effects for row in of(effects, EffectKind.POSTING))
    scene.send(K.TRANSFER, account=fund_of(1), amount=1_000)
    bob = open_in(scene, 1, 10)
    (paid,) = [row for row in of(scene.charge(bob, 60), EffectKind.POSTING) if row.code == Cause.DEFICIT]
    assert (paid.other, paid.amount, paid.value) == (fund_of(1), 50, 1)


def test_what_is_owed_without_a_market_is_of_the_first_group_of_its_asset() -> None:
    scene = Scene(two_assets(), 1)
    bob = open_in(scene, 1, 10)
    (residual,) = of(scene.charge(bob, 30), EffectKind.RESIDUAL)
    assert (residual.other, residual.amount) == (1, 20)


def test_nothing_is_counted_for_the_venue_as_a_whole() -> None:
    scene = Scene(two_assets(), 1)
    for asset in (0, 1):
        loser, winner = open_in(scene, asset, 100), open_in(scene, asset, 10_000)
        scene.trade(loser, 1, FIRST_MARK, other=winner, market=asset)
        scene.mark(940, asset)
    state = scene.watch.reference.state
    assert [sum(breaker.flow) for breaker in state.breakers] == [940, 940, 0]
    rules = two_assets()
    for number in (NUMBERS["breakers.flow_throttle"], NUMBERS["breakers.flow_halt"], NUMBERS["closeout.venue_notional_max"]):
        assert refusal(scene.send(K.PARAMETER, code=number, amount=5)) == Reject.RULES_CONTRADICT
    with pytest.raises(ValueError, match=r"breakers.flow_halt = 5: must be 0 \(off\) of a venue of several assets"):
        check_rules(rules._replace(breakers=rules.breakers._replace(flow_halt=5)))


def test_a_rule_of_an_asset_changes_for_it_alone() -> None:
    scene = Scene(two_assets(caps=(30, 30)), 1)
    number = NUMBERS["asset.owner_loss_max"]
    assert refusal(scene.send(K.PARAMETER, code=number, other=2, amount=5)) == Reject.UNKNOWN_CODE
    assert refusal(scene.send(K.PARAMETER, code=number, other=1, amount=5)) is None
    assert [asset.owner_loss_max for asset in scene.watch.reference.state.rules.assets] == [30, 5]


def test_no_market_group_or_provider_changes_its_asset() -> None:
    """Not even a market that is not listed: its ledger accounts stay in the asset in which they began."""
    rules = two_assets(provider=0)
    spare = rules.markets[1]._replace(is_listed=0)
    scene = Scene(rules._replace(markets=(rules.markets[0], spare)), 1)
    changes = (
        ("market.settlement_asset", 0, Reject.RULES_CONTRADICT),
        ("market.group", 0, Reject.RULES_CONTRADICT),
        ("group.asset", 0, Reject.RULE_IS_FIXED),
        ("provider.asset", 1, Reject.RULE_IS_FIXED),
    )
    for key, value, reason in changes:
        entry = 1 if key.startswith("group") else 0
        assert refusal(scene.send(K.PARAMETER, code=NUMBERS[key], market=1, other=entry, amount=value)) == reason, key
    capacity = NUMBERS["commitment.capacity"]
    assert refusal(scene.send(K.PARAMETER, code=capacity, other=0, lots=2, amount=5)) == Reject.RULES_CONTRADICT
    assert refusal(scene.send(K.PARAMETER, code=capacity, other=0, lots=0, amount=5)) is None


def test_one_of_each_asset_comes_in_turn_where_an_event_fills_up() -> None:
    """Three of asset 0 lack more atoms than anyone of asset 1: they do not come before its first."""
    scene = Scene(two_assets((Stage.TEAR_UP,)), 1)
    for asset, lack in ((0, 50), (0, 70), (1, 3), (0, 60), (1, 5)):
        account = open_in(scene, asset, 100)
        scene.trade(account, 1, FIRST_MARK, market=asset)
        scene.watch.reference.state.ledger[account] = -lack
    state = scene.watch.reference.state
    assert by_lack(state, [0, 1, 2, 3, 4]) == [1, 4, 3, 2, 0]
    assert by_urgency(state, [0, 1, 2, 3, 4]) == [1, 3, 0, 4, 2]
