"""A long that sells and buys back: its cost begins anew, its result does not."""

from rules_desk import K, RulesDesk, money

desk = RulesDesk()
alice, bob = desk.open("alice", 500_00, m0=10), desk.open("bob", 500_00, m0=-10)


def show(what: str) -> None:
    """Print alice's position."""
    row, result = desk.rules_state.position(alice, 0), desk.rules_state.results(alice)[0]
    print(f"{what:<22} lots {row.lots:>3}, cost {money(row.cost):>8}, base {money(row.base):>8}, result {money(result):>8}")


show("10 long at 100.0")
desk.send(K.MARK, market=0, price_ticks=900)
show("mark 90.0")
desk.tell("alice sells 10 to bob", desk.send(K.FILL, market=0, account=alice, other=bob, lots=-10, price_ticks=900))
show("flat")
desk.send(K.FILL, market=0, account=alice, other=bob, lots=10, price_ticks=900)
show("10 bought back")
