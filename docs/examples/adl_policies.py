"""The same wave of ADL under every policy: who gives how many lots, and where each account stood in
the queue before.
"""

from desk import FACTOR, Desk, K, money

from backstop.core.contract_terms import LinearContract
from backstop.core.events import AdlPolicy, EffectKind, Transfer
from backstop.core.waterfall.certificate import check_certificate
from backstop.runs.ranking import rank_market

SHORTS = ("bob", "carol", "dave", "erin", "frank")


def book(policy: AdlPolicy) -> Desk:
    """Alice is long 10. Bob, Carol and Dave were short from 100.0, Erin from 90.0, Frank from the
    mark of 85.0.

    Funding payments have left Bob with 46.00 of equity.
    """
    desk = Desk(policy=policy)
    desk.open("alice", 300_00, m0=10)
    desk.open("bob", 100_00, m0=-10)
    desk.open("carol", 1_000_00, m0=-6)
    desk.open("dave", 60_00, m0=-4)
    desk.send(K.MARK, market=0, price_ticks=900)
    desk.open("erin", 150_00, m0=-8)
    desk.send(K.MARK, market=0, price_ticks=850)
    desk.open("frank", 500_00, m0=-5)
    desk.send(K.TRANSFER, account=1, code=Transfer.FUNDING, amount=-204_00)
    return desk


desk = book(AdlPolicy.QUEUE)
_, shorts = rank_market(desk.state, 0)
print("the queue of shorts at 85.0")
for account in shorts.accounts.tolist():
    place = shorts.of(account)
    assert place is not None
    lights = "*" * place.lights + "." * (5 - place.lights)
    held = f"{desk.names[account]:<6}{-place.lots:>3} lots"
    print(f"  {place.rank} {lights}  {held}  {place.adl_class.name:<11}score {place.score_ppm / 1e6:9.6f}")

print("alice pays 200.00 of funding and has -50.00: her 10 lots go at zero cash, 5.00 a lot beyond mark")
print(f"  {'policy':<16}" + "".join(f"{name:>6}" for name in SHORTS) + "   beyond mark  certificate   eta")
for policy in AdlPolicy:
    desk = book(policy)
    effects = desk.send(K.TRANSFER, account=0, code=Transfer.FUNDING, amount=-200_00)
    fills = effects[effects["kind"] == EffectKind.ADL_FILL]
    gives = {desk.names[row["account"]]: row["lots"] for row in fills}
    head = effects[effects["kind"] == EffectKind.ADL_CLASS][-1]
    beyond = sum(int(-row["lots"] * 850 * FACTOR - row["amount"]) for row in fills)
    findings = check_certificate(effects, effects["kind"].tolist().index(EffectKind.ADL_PLAN), LinearContract(FACTOR))
    eta = f"{head['amount']} / {head['value']}"
    print(f"  {policy.name.lower():<16}" + "".join(f"{gives.get(name, 0):>6}" for name in SHORTS), end="")
    print(f"   {money(beyond):<13}{len(findings)} findings    {eta}")
