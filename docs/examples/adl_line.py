"""Six counterparties whose shares are below the least that anyone is asked for: two give for all."""

import numpy as np
from rules_desk import VENUE, K, RulesDesk

from backstop.core.events import AdlPolicy, EffectKind
from backstop.core.instruments import AssetRules
from backstop.core.waterfall.certificate import PLAN_HEADS

rules = VENUE._replace(adl_policy=AdlPolicy.PRO_RATA, assets=(AssetRules(parts_min_notional=350_00),))
desk = RulesDesk(fund=100_00, venue=rules)
desk.open("alice", 200_00, m0=10)
for name in ("bob", "carol", "dave", "erin", "finn", "gwen"):
    desk.open(name, 500_00, m0=-6)
effects = desk.send(K.MARK, market=0, price_ticks=780)
plan = [kind for kind in PLAN_HEADS if kind != EffectKind.SUPPORT]
desk.tell("mark 78.0", effects[np.isin(effects["kind"], plan)])
