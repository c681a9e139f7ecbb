"""Pockets: what an account of one market pays, who pays for it, and what its owner moves and withdraws
meanwhile. Worked cases, on engine and reference together, with every invariant.
"""

from __future__ import annotations

import pytest

from backstop.core.events import FUND, NONE, AdlClass, Cause, EffectKind, EventKind, Health, Reject, Stage, fund_of
from backstop.core.instruments import FundRules, FundsRules, VenueRules
from backstop.reference.records import Effect
from tests.attacks.scene import FIRST_MARK, SECOND, SIDES, Scene, of, provider, venue

F, C = EffectKind, Cause
DAY = 86_400 * SECOND
LAST = (Stage.FUND, Stage.TEAR_UP)


def rules_of(*, netted: bool = False, contribution_ppm: int = 0, **rules: object) -> VenueRules:
    """Return a venue of two markets whose fund pays, then contracts are torn up."""
    made = venue(**({"stages": LAST, "markets": 2, "fund": FundsRules(pockets_are_netted=netted)} | rules))  # type: ignore[arg-type]
    return made._replace(funds=(FundRules(contribution_ppm=contribution_ppm),))


def scene_of(side: int, fund: int = 100_000, **rules: object) -> Scene:
    """Return a scene with a fund."""
    scene = Scene(rules_of(**rules), side)  # type: ignore[arg-type]
    if fund:
        scene.cash(FUND, fund)
    return scene


def refusal(effects: list[Effect]) -> Reject | None:
    """Return why an event was refused, if it was."""
    return Reject(effects[0].code) if effects and effects[0].kind == F.REFUSAL else None


def postings(effects: list[Effect], *causes: Cause) -> list[tuple[int, int, int]]:
    """Return (receiver, payer, amount) of the postings with some causes."""
    return [(row.account, row.other, row.amount) for row in of(effects, F.POSTING) if row.code in causes]


def family(scene: Scene, pocket_deposit: int = 11_000) -> tuple[int, int]:
    """Open an owner's account with 50,000 and a pocket of market 0 that is long 100."""
    main = scene.open(50_000)
    pocket = scene.open(pocket_deposit, owner=main, pocket=0)
    scene.trade(pocket, 100, FIRST_MARK)
    return main, pocket


# -- who pays --------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_a_pocket_that_lacks_takes_nothing_from_its_owner(side: int) -> None:
    scene = scene_of(side)
    main, pocket = family(scene)
    effects = scene.mark(FIRST_MARK - 130)
    assert postings(effects, C.NETTING) == []
    assert postings(effects, C.TEAR_UP, C.DEFICIT)[0] == (pocket, FUND, 2_000)
    assert scene.mirror.ledger[main] == 50_000
    assert scene.mirror.owner_debt(main) == 2_000


@pytest.mark.parametrize("side", SIDES)
def test_a_pocket_gives_nothing_for_its_owner(side: int) -> None:
    scene = scene_of(side)
    main, pocket = family(scene, 20_000)
    effects = scene.charge(main, 51_000)
    assert postings(effects, C.NETTING) == []
    assert postings(effects, C.DEFICIT) == [(main, FUND, 1_000)]
    assert scene.mirror.ledger[pocket] == 20_000


@pytest.mark.parametrize("side", SIDES)
def test_where_the_venue_nets_pockets_they_are_accounts_like_others(side: int) -> None:
    scene = scene_of(side, netted=True)
    main, pocket = family(scene)
    assert postings(scene.mark(FIRST_MARK - 130), C.NETTING) == [(pocket, main, 2_000)]
    scene = scene_of(side, netted=True)
    main, pocket = family(scene, 20_000)
    assert postings(scene.charge(main, 51_000), C.NETTING) == [(main, pocket, 1_000)]


@pytest.mark.parametrize("side", SIDES)
def test_other_accounts_of_the_owner_are_netted_past_his_pockets(side: int) -> None:
    """The pocket stands between the two: the walk goes past it."""
    scene = scene_of(side)
    first = scene.open(10_000)
    pocket, second = scene.open(40_000, owner=first, pocket=1), scene.open(5_000, owner=first)
    assert postings(scene.charge(second, 8_000), C.NETTING) == [(second, first, 3_000)]
    assert postings(scene.charge(first, 20_000), C.NETTING, C.DEFICIT) == [(first, FUND, 13_000)]
    assert scene.mirror.ledger[pocket] == 40_000


@pytest.mark.parametrize("side", SIDES)
def test_the_owner_is_asked_first_where_he_holds_the_other_side(side: int) -> None:
    scene = scene_of(side, fund=0, stages=(Stage.ADL, Stage.TEAR_UP))
    main, _pocket = family(scene)
    scene.trade(main, -40, FIRST_MARK)
    stranger = scene.open(50_000)
    scene.trade(stranger, -100, FIRST_MARK)
    given = [(row.account, row.code, row.lots) for row in of(scene.mark(FIRST_MARK - 130), F.ADL_FILL)]
    assert next(each[:2] for each in given) == (main, AdlClass.LINKED)
    assert [abs(lots) for account, _, lots in given if account == main] == [40]


@pytest.mark.parametrize("side", SIDES)
def test_what_a_fund_pays_for_a_pocket_is_set_off_against_its_own_claims_only(side: int) -> None:
    scene = scene_of(side, fund=0, stages=(Stage.FUND, Stage.SOCIALISE, Stage.TEAR_UP))
    main = scene.open(50_000)
    pocket = scene.open(50_000, owner=main, pocket=0)
    loser = scene.open(11_000)
    for winner in (main, pocket):
        scene.trade(winner, -50, FIRST_MARK)
    scene.trade(loser, 100, FIRST_MARK)
    scene.mark(FIRST_MARK - 60)
    scene.charge(loser, 9_000)
    claims = {each: scene.mirror.accounts[each].claims.get(0, 0) for each in (main, pocket)}
    assert min(claims.values()) == 0 < max(claims.values())  # one of the owner's accounts bore it
    (claimant,) = [each for each, claim in claims.items() if claim]
    other = pocket if claimant == main else main
    scene.cash(FUND, 100_000)
    effects = scene.charge(other, scene.mirror.equity(other) + 10)
    assert postings(effects, C.DEFICIT) == [(other, FUND, 10)]
    assert [row for row in of(effects, F.CLAIM) if row.amount < 0] == []
    effects = scene.charge(claimant, scene.mirror.equity(claimant) + 10)
    assert [(row.account, row.amount) for row in of(effects, F.CLAIM)] == [(claimant, -10)]


# -- a fill between the two is one between owners --------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_a_pocket_is_not_emptied_by_a_trade_with_its_owner(side: int) -> None:
    """It buys from its owner far above the mark: what it then lacks its owner owes it, and pays first."""
    scene = scene_of(side)
    main, pocket = family(scene)
    effects = scene.trade(pocket, 20, FIRST_MARK + 900, other=main)
    assert [(row.account, row.other, row.amount) for row in of(effects, F.FILL_DEBT)] == [(pocket, main, 7_000)]
    assert postings(effects, C.FILL_DEBT) == [(pocket, main, 7_000)]
    assert scene.fund == 100_000


def test_linked_accounts_owe_each_other_nothing_for_fills() -> None:
    scene = scene_of(1, netted=True)
    main, pocket = family(scene)
    assert of(scene.trade(pocket, 20, FIRST_MARK + 900, other=main), F.FILL_DEBT) == []


# -- what leaves -----------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_what_was_paid_for_a_pocket_stays_at_the_venue_and_is_not_taken(side: int) -> None:
    scene = scene_of(side, fund=100_000)
    main, _ = family(scene)
    scene.mark(FIRST_MARK - 130)
    assert refusal(scene.cash(main, -48_001)) == Reject.DEBT_TO_FUND
    assert refusal(scene.cash(main, -48_000)) is None
    scene.clock(DAY // SECOND + 1)
    assert refusal(scene.cash(main, -2_000)) is None


@pytest.mark.parametrize("side", SIDES)
def test_what_a_pocket_lacks_stays_while_it_waits(side: int) -> None:
    """A pocket in default that lacks nothing holds nothing; the lack of another account holds the pocket's."""
    scene = scene_of(side, stages=(Stage.CLOSEOUT, *LAST))
    main, pocket = family(scene)
    scene.depth(10_000)
    scene.mark(FIRST_MARK - 80)
    assert scene.mirror.health[pocket] >= Health.DISTRESSED
    assert refusal(scene.cash(main, -1)) is None
    scene.mark(FIRST_MARK - 130)
    assert scene.mirror.equity(pocket) < 0
    lacks = -scene.mirror.equity(pocket)
    assert refusal(scene.cash(main, -(49_999 - lacks) - 1)) == Reject.DEBT_TO_FUND
    assert refusal(scene.cash(main, -(49_999 - lacks))) is None


# -- moves -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_a_move_leaves_initial_margin(side: int) -> None:
    scene = scene_of(side)
    main, pocket = family(scene)
    assert refusal(scene.move_money(pocket, main, 1_001)) == Reject.INSUFFICIENT_MARGIN
    effects = scene.move_money(pocket, main, 1_000)
    assert [(row.account, row.other, row.amount, row.market) for row in of(effects, F.POSTING)] == [(main, pocket, 1_000, NONE)]
    assert of(effects, F.POSTING)[0].code == C.MOVE
    assert (scene.mirror.ledger[main], scene.mirror.ledger[pocket]) == (51_000, 10_000)


@pytest.mark.parametrize("side", SIDES)
def test_a_move_mends_a_pocket_in_default_and_none_leaves_it(side: int) -> None:
    scene = scene_of(side, stages=(Stage.CLOSEOUT, Stage.TEAR_UP))
    main, pocket = family(scene)
    scene.depth(1)
    scene.mark(FIRST_MARK - 80)
    assert refusal(scene.move_money(pocket, main, 1)) == Reject.ACCOUNT_IN_DEFAULT
    scene.move_money(main, pocket, 20_000)
    assert scene.mirror.health[pocket] < Health.DISTRESSED


@pytest.mark.parametrize("side", SIDES)
def test_who_was_paid_for_does_not_fill_the_next_pocket_with_it(side: int) -> None:
    scene = scene_of(side)
    main, pocket = family(scene)
    following, plain = scene.open(0, owner=main, pocket=1), scene.open(0, owner=main)
    scene.mark(FIRST_MARK - 130)
    assert refusal(scene.move_money(main, following, 48_001)) == Reject.DEBT_TO_FUND
    # Money in the next pocket itself does not count, whatever it has.
    scene.cash(following, 5_000)
    assert refusal(scene.move_money(main, following, 48_001)) == Reject.DEBT_TO_FUND
    assert refusal(scene.move_money(main, plain, 50_000)) is None
    assert refusal(scene.move_money(plain, following, 48_000)) is None
    assert refusal(scene.move_money(following, main, 48_000)) is None
    # A flat pocket returns what was paid for it out of what it gets.
    assert postings(scene.move_money(main, pocket, 3_000), C.DEBT_RETURN) == [(FUND, pocket, 2_000)]


@pytest.mark.parametrize("side", SIDES)
def test_a_move_does_not_take_what_would_net_a_linked_account(side: int) -> None:
    scene = scene_of(side, stages=(Stage.CLOSEOUT, Stage.TEAR_UP))
    main = scene.open(20_000)
    twin, pocket = scene.open(11_000, owner=main), scene.open(0, owner=main, pocket=1)
    scene.trade(twin, 100, FIRST_MARK)
    scene.depth(1)
    scene.mark(FIRST_MARK - 80)
    lack = scene.mirror.standing(twin).release - scene.mirror.equity(twin)
    assert refusal(scene.move_money(main, pocket, 20_000 - lack + 1)) == Reject.INSUFFICIENT_MARGIN
    assert refusal(scene.move_money(main, pocket, 20_000 - lack)) is None
    assert refusal(scene.move_money(main, twin, lack)) is None


@pytest.mark.parametrize("side", SIDES)
def test_a_gain_that_is_held_stays_where_adl_finds_it(side: int) -> None:
    """The winner's account keeps its gain up to what the loser lacks; its owner's other money is free."""
    scene = scene_of(side, stages=(Stage.CLOSEOUT, *LAST), fund=1_000)
    loser, main = scene.open(11_000), scene.open(50_000)
    winner = scene.open(11_000, owner=main, pocket=0)
    scene.trade(loser, 100, FIRST_MARK, other=winner)
    scene.depth(1)
    scene.mark(FIRST_MARK - 130)
    lacks = -scene.mirror.equity(loser) - scene.mirror.unreserved(0)
    free = scene.mirror.equity(winner) - scene.mirror.portfolio(winner).initial
    assert lacks > 0
    assert refusal(scene.move_money(winner, main, free - lacks + 1)) == Reject.GAIN_HELD
    assert refusal(scene.move_money(winner, main, free - lacks)) is None
    assert refusal(scene.move_money(main, winner, 50_000)) is None


def test_money_is_not_moved_between_owners() -> None:
    scene = scene_of(1)
    assert refusal(scene.move_money(scene.open(10), scene.open(10), 5)) == Reject.OTHER_OWNER


def test_a_move_of_a_provider_is_no_gain_or_loss_of_his() -> None:
    scene = Scene(rules_of(providers=(provider(),)), 1)
    account = scene.open(10_000)
    other = scene.open(10_000, owner=account)
    scene.bind(0, account)
    scene.move_money(account, other, 4_000)
    assert int(scene.watch.state.providers[0].baseline) == 6_000
    scene.move_money(other, account, 1_000)
    assert int(scene.watch.state.providers[0].baseline) == 7_000


# -- lots ------------------------------------------------------------------------------------------


def test_a_pocket_has_lots_in_its_market_only() -> None:
    scene = Scene(rules_of(providers=(provider(),)), 1)
    main = scene.open(50_000)
    pocket = scene.open(50_000, owner=main, pocket=1)
    assert refusal(scene.trade(pocket, 1, FIRST_MARK)) == Reject.ACCOUNT_ISOLATED
    assert refusal(scene.trade(main, 1, FIRST_MARK, other=pocket)) == Reject.ACCOUNT_ISOLATED
    opening = {"market": 0, "account": pocket, "lots": 1, "amount": FIRST_MARK}
    assert refusal(scene.send(EventKind.POSITION, **opening)) == Reject.ACCOUNT_ISOLATED
    assert refusal(scene.bind(0, pocket)) == Reject.ACCOUNT_ISOLATED
    assert refusal(scene.trade(main, 1, FIRST_MARK, other=pocket, market=1)) is None
    assert refusal(scene.send(EventKind.POSITION, **opening | {"market": 1, "account": main})) == Reject.POSITION_EXISTS


@pytest.mark.parametrize("market", [-2, 2])
def test_a_pocket_is_of_a_market_that_there_is(market: int) -> None:
    scene = scene_of(1)
    assert refusal(scene.send(EventKind.ACCOUNT, account=0, other=0, market=market)) == Reject.UNKNOWN_MARKET


# -- contributions ---------------------------------------------------------------------------------


def contributed(effects: list[Effect]) -> list[tuple[int, int]]:
    """Return (account, amount) of the contributions."""
    rows = [row for row in of(effects, F.POSTING) if row.code == C.CONTRIBUTION]
    assert all(row.account == fund_of(0) and row.market == 0 for row in rows)
    return [(row.other, row.amount) for row in rows]


@pytest.mark.parametrize("side", SIDES)
def test_a_fill_contributes_for_the_lots_that_it_opens(side: int) -> None:
    """10 % initial margin, of that 1 %: a lot at 1,000 contributes 1."""
    scene = scene_of(side, contribution_ppm=10_000)
    one, two = scene.open(100_000), scene.open(100_000)
    assert contributed(scene.trade(one, 100, FIRST_MARK, other=two)) == [(one, 100), (two, 100)]
    assert contributed(scene.trade(one, -40, FIRST_MARK)) == []
    assert contributed(scene.trade(one, 50, FIRST_MARK, other=two)) == [(one, 50), (two, 50)]
    # To the other side: what was held before counts for nothing.
    assert contributed(scene.trade(one, -140, FIRST_MARK)) == [(one, 30)]
    assert contributed(scene.trade(one, 30, FIRST_MARK)) == []
    assert scene.fund == 100_000 + 330


@pytest.mark.parametrize("side", SIDES)
def test_a_contribution_leaves_maintenance_margin(side: int) -> None:
    scene = scene_of(side, contribution_ppm=1_000_000)
    account = scene.open(11_000)
    assert contributed(scene.trade(account, 100, FIRST_MARK)) == [(account, 6_000)]
    assert scene.mirror.equity(account) == scene.mirror.portfolio(account).maintenance == 5_000
    assert scene.mirror.health[account] == Health.WARNED
    poor = scene.open(4_000)
    assert contributed(scene.trade(poor, 100, FIRST_MARK)) == []


def test_nothing_is_contributed_in_a_default() -> None:
    scene = scene_of(1, contribution_ppm=1_000_000, stages=(Stage.CLOSEOUT, Stage.TEAR_UP))
    account = scene.open(15_000)
    scene.trade(account, 100, FIRST_MARK)
    scene.cash(account, 5_500)
    scene.depth(1)
    scene.mark(FIRST_MARK - 60)
    scene.cash(account, 300)
    assert scene.mirror.health[account] >= Health.DISTRESSED
    assert scene.mirror.equity(account) > scene.mirror.portfolio(account).maintenance
    assert contributed(scene.trade(account, 1, FIRST_MARK - 60, other=scene.open(1_000_000)))[0][0] != account
