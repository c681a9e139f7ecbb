"""The door: why a withdrawal is refused, and that a refused event changes nothing."""

from rules_desk import K, RulesDesk

desk = RulesDesk()
alice = desk.open("alice", 200_00, m0=10)
twin = desk.open("alice's second", 300_00, owner=alice)


def withdraw(who: int, amount: int) -> None:
    """Ask for money and tell what comes."""
    digest, name = desk.engine.digest(), desk.names[who]
    effects = desk.send(K.TRANSFER, account=who, amount=-amount)
    same = ", the state is as it was" if desk.engine.digest() == digest else ""
    desk.tell(f"{name} withdraws {amount / 100:.2f}{same}", effects)


withdraw(alice, 100_01)
withdraw(alice, 100_00)
desk.tell("mark 94.0", desk.send(K.MARK, market=0, price_ticks=940))
withdraw(alice, 1)
withdraw(twin, 290_66)
withdraw(twin, 290_65)
