"""An owner's second account pays first, then the fund; what the fund paid is returned."""

from rules_desk import K, RulesDesk, money

from backstop.core.events import Transfer

desk = RulesDesk(fund=100_00)
first = desk.open("first", 10_00)
second = desk.open("second", 30_00, owner=first)
desk.tell("first pays 60.00 of funding", desk.send(K.TRANSFER, account=first, code=Transfer.FUNDING, amount=-60_00))
print(f"debt of first: {money(desk.rules_state.owner_debt(first))}")
desk.tell("first pays 50.00 in", desk.send(K.TRANSFER, account=first, amount=50_00))
print(f"debt of first: {money(desk.rules_state.owner_debt(first))}")
