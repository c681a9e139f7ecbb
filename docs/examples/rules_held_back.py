"""A jump that the guard holds raises doubt: an order that is out stays, and none leaves until it ends."""

from rules_desk import MARKET, K, RulesDesk

desk = RulesDesk(market=MARKET._replace(guard_jump_ppm=150_000, guard_volume_lots=50))
alice, bob = desk.open("alice", 200_00, m0=10), desk.open("bob", 900_00, m0=-10)
desk.depth(40)
desk.tell_when("mark 84.2", desk.send(K.MARK, market=0, price_ticks=842))
desk.send(K.VOLUME, market=0, lots=10)
desk.tell_when("mark 68.0 on 10 lots", desk.send(K.MARK, market=0, price_ticks=680))
desk.tell_when("the order is filled", desk.send(K.ORDER_FILL, market=0, other=1, lots=-1, price_ticks=830))
desk.send(K.ORDER_DONE, other=1)
desk.send(K.CLOCK)
desk.tell_when("mark 84.1", desk.send(K.MARK, market=0, price_ticks=841))
