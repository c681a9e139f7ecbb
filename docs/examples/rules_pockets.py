"""A pocket that lacks: what its owner's other account pays, may withdraw and may move."""

from rules_desk import VENUE, K, RulesDesk, money

from backstop.core.events import Stage, Transfer
from backstop.core.instruments import FundsRules

for is_netted in (False, True):
    print(f"pockets are {'netted' if is_netted else 'apart'}")
    venue = VENUE._replace(stages=(Stage.FUND, Stage.TEAR_UP), fund=FundsRules(pockets_are_netted=is_netted))
    desk = RulesDesk(fund=100_00, venue=venue)
    alice, bob = desk.open("alice", 500_00), desk.open("bob", 500_00, m0=-10)
    pocket, next_pocket = (desk.open(name, deposit, owner=alice, pocket=0) for name, deposit in (("pocket", 120_00), ("next", 0)))
    desk.send(K.POSITION, account=pocket, market=0, lots=10, amount=10 * 1_000 * 10)
    desk.tell("mark 86.0", desk.send(K.MARK, market=0, price_ticks=860))
    print(f"debt of the pocket: {money(desk.rules_state.owner_debt(alice))}")
    if not is_netted:
        for amount in (480_01, 480_00):
            move = {"account": alice, "other": next_pocket, "code": int(Transfer.MOVE), "amount": amount}
            desk.tell(f"alice moves {money(amount)} to the next pocket", desk.send(K.TRANSFER, **move))
