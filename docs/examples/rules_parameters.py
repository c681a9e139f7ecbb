"""Rules that change: at once, from a time on, and not at all; and a market that is listed."""

from rules_desk import SECOND_NS, K, RulesDesk

from backstop.core.parameter_table import PARAMETERS

NUMBERS = {rule.key: number for number, rule in PARAMETERS.items()}

desk = RulesDesk(markets=2, spares=1)
alice, bob = desk.open("alice", 120_00, m0=10), desk.open("bob", 900_00, m0=-10)
FEE, WARNING, EXIT, GRID = (
    NUMBERS[key] for key in ("closeout.fee_ppm", "levels.warning_ratio_ppm", "levels.exit_buffer_ppm", "market.price_ticks_max")
)
desk.tell_when("the fee becomes 1 %", desk.send(K.PARAMETER, code=FEE, amount=10_000))
desk.tell_when("accounts are warned below 250 % of maintenance", desk.send(K.PARAMETER, code=WARNING, amount=2_500_000))
later = desk.now_ns + 10 * SECOND_NS
desk.tell_when("the exit buffer becomes 10 %, later", desk.send(K.PARAMETER, code=EXIT, amount=100_000, price_ticks=later))
desk.tell_when("the highest price", desk.send(K.PARAMETER, code=GRID, market=0, amount=5_000))
desk.tell_when("an exit buffer above the warning level", desk.send(K.PARAMETER, code=EXIT, amount=2_000_000))
desk.tell_when("the clock", desk.clock())
desk.tell_when("a mark of the spare market", desk.send(K.MARK, market=1, price_ticks=50))
FACTOR = NUMBERS["market.notional_factor"]
desk.tell_when("its lots become twice as large", desk.send(K.PARAMETER, code=FACTOR, market=1, amount=20))
desk.tell_when("it is listed", desk.send(K.LISTING, market=1))
desk.tell_when("their size again", desk.send(K.PARAMETER, code=FACTOR, market=1, amount=10))
desk.tell_when("its mark", desk.send(K.MARK, market=1, price_ticks=50))
desk.tell_when("the venue ends it", desk.send(K.SETTLEMENT, market=1, price_ticks=50))
desk.tell_when("the clock", desk.clock())
