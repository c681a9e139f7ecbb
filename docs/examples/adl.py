"""ADL of an insolvent account against three counterparties, one of which can give less than its
share.
"""

from desk import FACTOR, Desk, K

from backstop.core.contract_terms import LinearContract
from backstop.core.events import EffectKind, Transfer
from backstop.core.waterfall.certificate import check_certificate

desk = Desk()
alice = desk.open("alice", 300_00, m0=10)
bob = desk.open("bob", 100_00, m0=-10)
carol = desk.open("carol", 1_000_00, m0=-6)
dave = desk.open("dave", 1_000_00, m0=-4)
desk.send(K.MARK, market=0, price_ticks=850)
desk.send(K.TRANSFER, account=bob, code=Transfer.FUNDING, amount=-204_00)
effects = desk.send(K.TRANSFER, account=alice, code=Transfer.FUNDING, amount=-200_00)
desk.tell("alice pays 200.00 of funding", effects)
plan = effects["kind"].tolist().index(EffectKind.ADL_PLAN)
print(f"the certificate is checked: {len(check_certificate(effects, plan, LinearContract(FACTOR)))} findings")
