"""A jump on little volume is held; a mark on volume confirms it, or the end of two holds. What is the
newest when a hold is dropped is held on.
"""

from rules_desk import MARKET, K, RulesDesk

desk = RulesDesk(market=MARKET._replace(guard_jump_ppm=150_000, guard_volume_lots=50))
desk.send(K.VOLUME, market=0, lots=10)
desk.tell("mark 80.0 on 10 lots", desk.send(K.MARK, market=0, price_ticks=800))
desk.tell("mark 100.5", desk.send(K.MARK, market=0, price_ticks=1_005))
desk.tell("mark 80.0 on 10 lots", desk.send(K.MARK, market=0, price_ticks=800))
desk.send(K.VOLUME, market=0, lots=60)
desk.tell("mark 81.0 on 60 lots", desk.send(K.MARK, market=0, price_ticks=810))
desk.send(K.VOLUME, market=0, lots=10)
desk.tell("mark 60.0 on 10 lots", desk.send(K.MARK, market=0, price_ticks=600))
desk.tell("mark 81.5", desk.send(K.MARK, market=0, price_ticks=815))
desk.tell("mark 60.0", desk.send(K.MARK, market=0, price_ticks=600))
desk.tell("the end of the hold", desk.clock())
desk.tell("the end of the second hold", desk.clock())
desk.tell("mark 40.0", desk.send(K.MARK, market=0, price_ticks=400))
desk.tell("mark 60.5", desk.send(K.MARK, market=0, price_ticks=605))
desk.now_ns += 90 * 10**9
desk.tell("90 s later, mark 50.0", desk.send(K.MARK, market=0, price_ticks=500))
desk.tell("the end of the hold", desk.clock())
