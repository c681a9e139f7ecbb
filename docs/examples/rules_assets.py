"""A dollar market and a coin market in one venue: what is refused, and who pays in which asset."""

from rules_desk import MARKET, VENUE, K, RulesDesk, money

from backstop.core.events import FEES, WORLD, Stage, Transfer, fund_of
from backstop.core.instruments import AssetRules, CloseoutRules, FundRules, FundsRules, LimitRules
from backstop.reference.engine import ReferenceEngine

NAMES = ("dollars", "coins")
rules = VENUE._replace(
    markets=(MARKET, MARKET._replace(group=1, settlement_asset=1)),
    stages=(Stage.FUND, Stage.TEAR_UP),
    closeout=CloseoutRules(fee_ppm=0),
    funds=(FundRules(), FundRules(asset=1)),
    fund=FundsRules(trading_fee_share_ppm=500_000),
    assets=(AssetRules(owner_loss_max=15_00), AssetRules(owner_loss_max=5_00)),
    limits=LimitRules(accounts_max=16, positions_max=64, orders_max=64, effects_max=1024),
)


class TwoAssets(RulesDesk):
    """A desk whose second market, group and accounts are in coins."""

    def __init__(self) -> None:
        """Set both marks to 100.0, and pay 100.00 into either fund."""
        self.engine, self.seq, self.now_ns, self.names = ReferenceEngine(rules), 0, 0, list[str]()
        for number in (0, 1):
            self.send(K.MARK, market=number, price_ticks=1_000)
            self.send(K.TRANSFER, account=fund_of(number), amount=100_00)

    def join(self, name: str, asset: int, deposit: int, lots: int) -> int:
        """Open an account in an asset, with a position at the mark."""
        account = len(self.names)
        self.names.append(name)
        self.send(K.ACCOUNT, account=account, other=account, code=asset)
        self.send(K.TRANSFER, account=account, amount=deposit)
        self.send(K.POSITION, account=account, market=asset, lots=lots, amount=lots * 1_000 * 10)
        return account


desk = TwoAssets()
ann, cora = desk.join("ann", 0, 200_00, 10), desk.join("cora", 1, 200_00, 10)
desk.join("bob", 0, 500_00, -10), desk.join("dan", 1, 500_00, -10)
desk.tell("ann buys a coin contract", desk.send(K.FILL, account=ann, other=-1, market=1, lots=1, price_ticks=1_000))
desk.tell("cora moves 1.00 to ann", desk.send(K.TRANSFER, account=cora, other=ann, code=int(Transfer.MOVE), amount=1_00))
desk.names.append("ann's coins")
desk.tell("ann opens an account in coins", desk.send(K.ACCOUNT, account=4, other=ann, code=1))
desk.tell("a fee of 2.00 coins", desk.send(K.TRANSFER, account=cora, code=int(Transfer.TRADING_FEE), amount=2_00))
for market, name in enumerate(NAMES):
    desk.tell(f"{name}: mark 78.0", desk.send(K.MARK, market=market, price_ticks=780))
state = desk.rules_state
for asset, name in enumerate(NAMES):
    world, fees = (money(state.balance(ledger_id, asset)) for ledger_id in (WORLD, FEES))
    fund, uncovered = money(state.ledger[fund_of(asset)]), money(state.uncovered(asset))
    print(f"{name}: world {world}, fees {fees}, fund {fund}, uncovered {uncovered}")
