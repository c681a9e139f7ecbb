"""The first blocks of the digest of a venue with one account and one position."""

from rules_desk import RulesDesk

from backstop.reference.engine import digest_blocks

desk = RulesDesk(fund=100_00)
alice = desk.open("alice", 200_00, m0=10)
names = ("head", "markets", "ledger", "accounts", "positions")
for name, rows in zip(names, digest_blocks(desk.rules_state), strict=False):
    for row in rows:
        print(f"{name:<10} {' '.join(str(number) for number in row)}")
print(f"digest     {desk.engine.digest()}")
