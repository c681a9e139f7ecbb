"""A fund that falls by a quarter of its peak throttles the markets of its group; cash moves the peak."""

from rules_desk import SECOND_NS, VENUE, K, RulesDesk, money

from backstop.core.events import FUND, Transfer
from backstop.core.instruments import FundsRules
from backstop.reference.breakers import peak_digest

fund = FundsRules(drawdown_enter_ppm=250_000, drawdown_exit_ppm=100_000, drawdown_window_ns=160 * SECOND_NS)
desk = RulesDesk(venue=VENUE._replace(fund=fund), fund=100_00)
alice, bob = desk.open("alice", 1_00), desk.open("bob", 1_00)
for who, amount in ((alice, 21_00), (bob, 6_00)):
    effects = desk.send(K.TRANSFER, account=who, code=Transfer.FUNDING, amount=-amount)
    level, peak = peak_digest(desk.rules_state, 0)
    balance = desk.rules_state.ledger[FUND]
    print(f"{desk.names[who]} pays {money(amount)}: the fund has {money(balance)} of a peak of {money(peak)}, level {level}")
desk.tell("breakers in that event", effects[-1:])
desk.send(K.TRANSFER, account=FUND, amount=-5_00)
print(f"5.00 are taken out: the peak is {money(peak_digest(desk.rules_state, 0)[1])}")
