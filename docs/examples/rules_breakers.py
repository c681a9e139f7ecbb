"""A fall throttles, then halts; each hold spends its cause, and the market opens again."""

from rules_desk import MARKET, K, RulesDesk

market = MARKET._replace(price_throttle_ppm=100_000, price_halt_ppm=200_000, price_exit_ppm=50_000)
desk = RulesDesk(market=market)
desk.tell_when("mark 90.0", desk.send(K.MARK, market=0, price_ticks=900))
desk.tell_when("mark 79.0", desk.send(K.MARK, market=0, price_ticks=790))
for _ in range(2):
    desk.tell_when("the clock", desk.clock())
