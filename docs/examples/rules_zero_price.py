"""Zero cash of a solvent account, and who bears the gap of an insolvent one."""

import numpy as np
from rules_desk import K, RulesDesk, money

from backstop.core.events import EFFECT, EffectKind

desk = RulesDesk(markets=2, fund=1_000_00)
state = desk.rules_state
alice = desk.open("alice", 300_00, m0=10, m1=10)
desk.open("other side", 10_000_00, m0=-10, m1=-10)


def show(what: str) -> None:
    """Print what closing each of alice's positions brings at mark and at the zero price."""
    portfolio = state.portfolio(alice)
    print(f"{what}: equity {money(portfolio.equity)}, maintenance {money(portfolio.maintenance)}")
    for market in (0, 1):
        zero, holding = portfolio.zero_cash(market, 10), portfolio.holding(market)
        print(f"  market {market}: result {money(holding.result):>8}, 10 lots at mark {money(holding.value)}", end="")
        print(f", zero cash {money(zero.cash)}, {money(zero.cash // 10)} a lot")


show("marks 100.0 and 100.0")
desk.send(K.MARK, market=1, price_ticks=1_100)
effects = desk.send(K.MARK, market=0, price_ticks=550)
print("mark 110.0 in market 1, then mark 55.0 in market 0")
for effect in effects:
    if effect.kind in (EffectKind.HEALTH, EffectKind.ADL_PLAN, EffectKind.SUPPORT):
        desk.tell(f"market {effect.market}" if effect.kind != EffectKind.HEALTH else "health", np.array([effect], dtype=EFFECT))
