"""Netting of an owner with many accounts: each of them is looked at once per event, not once per
payment.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

#: Run without compiling, so that looks can be counted. Half of the accounts are insolvent at once.
_SCRIPT = """
import sys
from backstop.core.events import FUND, EventKind, Stage
from backstop.core.instruments import LimitRules
from backstop.core.waterfall import netting
from tests.core.desk import Desk, make_rules

count, spare = int(sys.argv[1]), int(sys.argv[2])
looks = 0
inner = netting.assess

def counted(state, account):
    global looks
    looks += 1
    return inner(state, account)

rules = make_rules((Stage.FUND, Stage.TEAR_UP), markets=1, limits=LimitRules(accounts_max=2 * count, positions_max=2 * count))
desk = Desk(rules)
desk.send(EventKind.TRANSFER, account=FUND, amount=1_000_000)
for account in range(2 * count):
    desk.send(EventKind.ACCOUNT, account=account, other=0)
    is_loser = account % 2 == 0
    desk.send(EventKind.TRANSFER, account=account, amount=20 if is_loser else spare)
    if is_loser:
        desk.trade(account, 1, 100)
netting.assess = counted
desk.mark(60)
print(looks, int(desk.state.house[1]))
"""


@pytest.mark.parametrize("spare", [1, 11, 100])
def test_looks_grow_with_the_accounts_not_with_their_square(spare: int) -> None:
    found = {}
    for count in (40, 160):
        command = [sys.executable, "-W", "ignore", "-c", _SCRIPT, str(count), str(spare)]
        done = subprocess.run(command, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=True)
        looks, _ = map(int, done.stdout.split())
        assert looks >= count
        found[count] = looks / count
    assert found[160] <= 1.5 * found[40]
    assert found[160] <= 12
