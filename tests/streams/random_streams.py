"""A seeded stream of events: rules and events that any engine of the same rules must answer alike.

Closing orders have to be answered, and what is worth asking depends on who is in default, so the
stream is written while a reference reads it. The stream itself is then only data: the same seed
gives the same events.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from backstop.core.events import NONE, Answer, BookSide, EffectKind, EventKind, Operator, Transfer, fund_of
from backstop.core.instruments import VenueRules
from backstop.core.parameter_table import PARAMETERS, ListedRule, Scope, value_at
from backstop.reference.arithmetic import sign
from backstop.reference.engine import Effect, Event, ReferenceEngine
from backstop.reference.refusals import after_withdrawal, held_loss, held_margin
from backstop.reference.shortfalls import held_gains_of
from tests.streams.refused import held_withdrawal, indebted_withdrawal, leaving_withdrawal, owing_withdrawal, refused_event
from tests.streams.settings import FLOOR_STEP_ATOMS, PROFILES, RATE_STEP_PPM, Setting, make_rules, make_setting

__all__ = ["make_stream", "profile_of"]

PPM = 1_000_000
NUMBERS = {rule.key: number for number, rule in PARAMETERS.items()}
FLOW_KEYS = [key for key in NUMBERS if key.endswith((".flow_throttle", ".flow_halt"))]


def profile_of(seed: int) -> str:
    """Name the corner that the seed looks into: a round of seeds as long as the list visits all."""
    return list(PROFILES)[seed % len(PROFILES)]


def make_stream(seed: int, profile: str = "") -> tuple[VenueRules, list[Event]]:
    """Return the rules of a small venue and 40 to 120 events; of the seed's own profile, or of one
    that is named, so that a new profile changes nothing.
    """
    rng = Random(seed)
    writer = Writer(make_setting(rng, profile or profile_of(seed)))
    writer.open_book()
    length = min(120, max(40, len(writer.events) + rng.randint(30, 75)))
    while len(writer.events) < length:
        writer.step()
    return writer.rules, writer.events


class Writer:
    """Writes one stream and lets a reference read along."""

    def __init__(self, setting: Setting) -> None:
        """Draw the rules."""
        self.setting, self.rng = setting, setting.rng
        self.rules = make_rules(setting)
        self.reference = ReferenceEngine(self.rules)
        self.state = self.reference.state
        self.events: list[Event] = []
        self.seq, self.time_ns = 0, 0
        #: Answers of the venue: the number of events after which each may leave, and what it says.
        self.answers: list[tuple[int, dict[str, int]]] = []
        self.issued: list[Effect] = []

    def send(self, kind: EventKind, **fields: int) -> None:
        """Send the next event of the stream."""
        self.seq += self.rng.choice((1, 1, 1, 5))
        self.put(Event(self.seq, self.time_ns, int(kind), **fields))

    def put(self, event: Event) -> None:
        """Let the reference read an event, refused or not, and note the orders that leave."""
        self.events.append(event)
        for effect in self.reference.apply(event):
            if effect.kind == EffectKind.ORDER:
                self.issued.append(effect)
                self.plan_answer(effect)
            elif effect.kind == EffectKind.OFFER:
                self.plan_reply(effect)
        self.seq = max(self.seq, event.seq)

    # -- the opening book --------------------------------------------------------------------------

    def open_book(self) -> None:
        """Marks, depth, fund, accounts, their deposits and their positions."""
        rng, setting = self.rng, self.setting
        late_market = setting.markets - 1 if setting.markets > 1 and rng.random() < 0.15 else NONE
        for market in range(setting.markets):
            if market != late_market:
                self.send(EventKind.MARK, market=market, price_ticks=setting.price_ticks)
            if setting.depth_share:
                for side in BookSide:
                    self.depth(market, side)
        if setting.fund_ppm:
            for group in range(setting.groups):
                self.send(EventKind.TRANSFER, account=fund_of(group), amount=max(1, setting.notional * setting.fund_ppm // PPM))
        for account in range(setting.accounts):
            owner = (account if rng.random() < 0.9 else rng.randrange(setting.accounts)) % min(setting.owners, setting.accounts)
            is_pocket = setting.pocket_share > 0 and rng.random() < setting.pocket_share
            asset = owner % setting.assets
            market = self.of_asset(asset, self.market()) if is_pocket else NONE
            self.send(EventKind.ACCOUNT, account=account, other=owner, market=market, code=asset)
        by_trades = rng.random() < 0.5
        alike_ppm = rng.randint(*setting.deposit_ppm)
        for account in range(setting.accounts):
            share_ppm = alike_ppm if setting.alike else rng.randint(*setting.deposit_ppm)
            self.send(EventKind.TRANSFER, account=account, amount=max(1, setting.notional * share_ppm // PPM))
            self.open_position(account, self.own_market(account, rng.randrange(setting.markets)), by_trades=by_trades)
        for provider in range(setting.providers):
            self.open_provider(provider)

    def open_provider(self, provider: int) -> None:
        """Open a provider's account, with its money; now and then it belongs to a trader, or brings
        its money late.
        """
        rng, setting, account = self.rng, self.setting, len(self.state.accounts)
        owner = rng.randrange(setting.owners) if rng.random() < setting.provider_is_trader else account
        self.send(EventKind.ACCOUNT, account=account, other=owner, code=provider % setting.assets)
        deposit = max(1, int(setting.notional * setting.provider_size * rng.choice((0.3, 1, 3))))
        early = rng.random() < 0.8
        if early:
            self.send(EventKind.TRANSFER, account=account, amount=deposit)
        self.send(EventKind.PROVIDER, account=account, other=provider)
        if not early:
            self.send(EventKind.TRANSFER, account=account, amount=deposit)

    def open_position(self, account: int, market: int, *, by_trades: bool) -> None:
        """Give an account its first position, by a fill or from the opening book."""
        rng, setting = self.rng, self.setting
        lots = setting.lots if setting.alike or rng.random() < 0.3 else rng.randint(1, 2 * setting.lots)
        lots = lots if account % 2 else -lots
        if by_trades:
            other = account - 1 if account and rng.random() < 0.7 else NONE
            if self.is_divided and other != NONE and self.own_market(other, market) != market:
                other = NONE
            price = self.near(market, 0 if setting.alike else 5_000)
            self.send(EventKind.FILL, market=market, account=account, other=other, lots=lots, price_ticks=price)
        else:
            price = self.near(market, 0 if setting.alike else 100_000)
            self.send(
                EventKind.POSITION, market=market, account=account, lots=lots, amount=self.rules.markets[market].contract.value(lots, price)
            )

    def near(self, market: int, within_ppm: int) -> int:
        """Return a price near the mark."""
        mark = self.state.markets[market].mark or self.setting.price_ticks
        return self.price(mark * (PPM + self.rng.randint(-within_ppm, within_ppm)) // PPM)

    def price(self, ticks: int) -> int:
        """Clamp to the prices that the venue knows."""
        lowest = max(market.price_ticks_min for market in self.rules.markets)
        return max(lowest, min(ticks, self.rules.markets[0].price_ticks_max))

    # -- one step ----------------------------------------------------------------------------------

    def step(self) -> None:
        """Let time pass, then answer an order, do something, or send what must be refused."""
        rng, setting = self.rng, self.setting
        self.pass_time()
        due = next((answer for answer in self.answers if answer[0] <= len(self.events)), None)
        if rng.random() < setting.refusal_share:
            event = refused_event(rng, self.rules, self.state, self.seq, self.time_ns)
            if event is not None:
                self.put(event)
        elif due is not None and rng.random() < 0.75:
            self.answers.remove(due)
            self.send(EventKind(due[1]["kind"]), **{name: value for name, value in due[1].items() if name != "kind"})
        elif rng.random() < 0.3 and (insolvent := [each for each in range(len(self.state.accounts)) if self.state.is_insolvent(each)]):
            held = held_withdrawal(rng, self.rules, self.state) if rng.random() < 0.3 else None
            if setting.pocket_share and rng.random() < 0.5:
                _move(self)
            elif held is not None:
                self.send(EventKind(held.pop("kind")), **held)
            else:
                self.trade_insolvent(rng.choice(insolvent))
        else:
            (name,) = rng.choices(list(setting.actions), list(setting.actions.values()))
            ACTIONS[name](self)

    def pass_time(self) -> None:
        """Move time by nothing, a little, or by what ends a wait, a slice, a deadline or a cap
        interval.
        """
        rng, rules = self.rng, self.rules.closeout
        if rng.random() < self.setting.silence_share:
            jumps = [rules.interval_ns, rules.interval_ns + 1, rules.order_timeout_ns, rules.deadline_ns, rules.cap_interval_ns]
            if self.setting.providers:
                takeover = self.rules.takeover
                jumps += [takeover.answer_timeout_ns, takeover.retry_ns, takeover.off_ns, self.rules.disposal.interval_ns]
            if self.setting.breakers:
                breakers = self.rules.breakers
                jumps += [breakers.hold_max_ns, breakers.hold_max_ns - 1, breakers.reopen_ns, breakers.guard_hold_ns]
                jumps += [max(1, breakers.stale_ns), max(1, breakers.outage_gap_ns), breakers.price_window_ns]
            if self.setting.spares:
                jumps += [self.rules.epoch_ns] * 8
            if self.setting.settles:
                jumps += [self.rules.breakers.doubt_max_ns, max(1, self.rules.breakers.doubt_max_ns // 2), 1, 1]
            jumps += [self.rules.fund.window_ns, self.rules.fund.window_ns // 16 + 1, self.rules.fund.recovery_interval_ns]
            self.time_ns += rng.choice(jumps)
        elif rng.random() < 0.7:
            self.time_ns += rng.choice((0, 1, rules.interval_ns // 4, rules.interval_ns // 2))

    def market(self) -> int:
        """Return any market."""
        return self.rng.randrange(self.setting.markets)

    def own_market(self, account: int, market: int) -> int:
        """Return a pocket's market; of other accounts the one that is given."""
        pocket = self.state.accounts[account].pocket
        return self.in_asset(account, market) if pocket == NONE else pocket

    @property
    def is_divided(self) -> bool:
        """Whether some accounts may not trade in some markets."""
        return self.setting.pocket_share > 0 or self.setting.assets > 1

    def of_asset(self, asset: int, market: int) -> int:
        """Return a market of an asset: the one that is given where that is of it."""
        markets = [number for number, rules in enumerate(self.rules.markets) if rules.settlement_asset == asset]
        return market if market in markets else markets[market % len(markets)]

    def in_asset(self, account: int, market: int) -> int:
        """Return a market of an account's asset, as ``of_asset`` does."""
        return self.of_asset(self.state.accounts[account].asset, market)

    def account(self) -> int:
        """Return any account that is open."""
        return self.rng.randrange(len(self.state.accounts))

    def depth(self, market: int, side: int) -> None:
        """Show lots in one band, most often in the first."""
        bands = len(self.rules.markets[market].band_offset_ppm)
        most = max(1, int(self.setting.lots * self.setting.depth_share))
        band = self.rng.choice((0, self.rng.randrange(bands)))
        self.send(EventKind.DEPTH, market=market, code=int(side), other=band, lots=self.rng.randint(0, most))

    def mark_moves(self) -> None:
        """Move a mark: a step, or a crash that takes many at once; or send a held one again or another
        beside it, on volume that may be enough.
        """
        rng, setting, market = self.rng, self.setting, self.market()
        held = self.state.breakers[market].held
        if held and rng.random() < 0.5:
            self.send(EventKind.VOLUME, market=market, lots=self.rules.markets[market].guard_volume_lots - rng.randint(0, 1))
            rival = self.near(market, 700_000)
            self.send(EventKind.MARK, market=market, price_ticks=rival if rng.random() < 0.4 else held)
            return
        within_ppm = rng.choice((300_000, 700_000)) if rng.random() < setting.crash_share else setting.move_ppm
        price = self.near(market, within_ppm)
        if rng.random() < 0.1:
            price = setting.price_ticks
        self.send(EventKind.MARK, market=market, price_ticks=price)

    def thin_print(self) -> None:
        """Print about a jump from the mark, the reference, the level held, its first print or a rival, on the
        volume that there is.
        """
        rng, market = self.rng, self.market()
        breaker, jump_ppm = self.state.breakers[market], self.rules.markets[market].guard_jump_ppm or 50_000
        known = [self.state.markets[market].mark, breaker.reference, breaker.held, breaker.held_first, breaker.rival]
        anchor = rng.choice([ticks for ticks in known if ticks] or [self.setting.price_ticks])
        if breaker.rival and rng.random() < 0.3:
            # It drifts away from its first print, each step within a jump.
            away = sign(breaker.rival - breaker.rival_first) or rng.choice((-1, 1))
            for _ in range(2):
                ticks = breaker.rival + away * breaker.rival * jump_ppm * 4 // (5 * PPM)
                self.send(EventKind.MARK, market=market, price_ticks=self.price(ticks))
            return
        move_ppm = rng.choice((0, 0, rng.randint(-jump_ppm, jump_ppm), rng.choice((-1, 1)) * rng.randint(jump_ppm, 3 * jump_ppm)))
        self.send(EventKind.MARK, market=market, price_ticks=self.price(anchor + anchor * move_ppm // PPM))

    def fill(self) -> None:
        """Trade between two accounts or with OUTSIDE; in a halted market often one that makes both
        smaller.
        """
        rng, market = self.rng, self.market()
        account = self.account()
        other = rng.choice((NONE, self.account()))
        if other == account:
            other = NONE
        if self.is_divided:
            market = self.own_market(account, market)
            other = other if other == NONE or self.own_market(other, market) == market else NONE
        largest = max(1, self.setting.lots // rng.choice((1, 4)))
        lots = rng.choice((-1, 1)) * rng.randint(1, largest)
        held = self.state.held_lots(account, market)
        if held and rng.random() < 0.4:
            lots = -held
        self.send(EventKind.FILL, market=market, account=account, other=other, lots=lots, price_ticks=self.near(market, 20_000))

    def far_fill(self) -> None:
        """Trade between two accounts far from the mark; an account that is in default, or that owes for
        such a fill, more often than others.
        """
        rng, market = self.rng, self.market()
        chosen = [number for number, account in enumerate(self.state.accounts) if account.in_default]
        account = rng.choice(chosen) if chosen and rng.random() < 0.4 else self.account()
        other = self.account()
        if other == account:
            return self.send(EventKind.CLOCK)
        if self.is_divided:
            market = self.own_market(other, self.own_market(account, market))
        lots = rng.choice((-1, 1)) * rng.randint(1, max(1, self.setting.lots))
        price = rng.choice((1, self.near(market, 100_000), self.near(market, 100_000), self.near(market, 900_000)))
        return self.send(EventKind.FILL, market=market, account=account, other=other, lots=lots, price_ticks=price)

    def sell_out(self) -> None:
        """An account that holds lots in some markets leaves all of them, most often at bad prices: it
        is flat and has lost in each, or gained in one what it lost in another.
        """
        rng, account = self.rng, self.account()
        for market in range(self.setting.markets):
            is_own = self.in_asset(account, market) == market
            if is_own and not self.state.held_lots(account, market) and rng.random() < 0.6:
                lots = rng.choice((-1, 1)) * rng.randint(1, max(1, self.setting.lots // 4))
                self.send(EventKind.FILL, market=market, account=account, other=NONE, lots=lots, price_ticks=self.near(market, 0))
        for market in self.state.held_markets(account):
            held, mark = self.state.held_lots(account, market), self.state.markets[market].mark
            worse_ppm = rng.choice((-100_000, 0, 300_000, 700_000)) * (1 if held > 0 else -1)
            price = self.price(mark * (PPM - worse_ppm) // PPM)
            self.send(EventKind.FILL, market=market, account=account, other=NONE, lots=-held, price_ticks=price)

    def trade_insolvent(self, account: int) -> None:
        """Let an insolvent account close some of a position itself, or all, or trade more of it,
        often at mark.
        """
        rng, markets = self.rng, [market for market, row in self.state.positions[account].items() if row.lots or row.base]
        if not markets:
            return
        market = rng.choice(markets)
        held = self.state.held_lots(account, market) or rng.choice((-1, 1))
        lots = rng.choice((-held, -held, held, -rng.randint(1, abs(held)) if held > 0 else rng.randint(1, abs(held))))
        price = self.near(market, rng.choice((0, 20_000)))
        self.send(EventKind.FILL, market=market, account=account, other=NONE, lots=lots, price_ticks=price)

    def cash(self, sign: int, code: Transfer) -> None:
        """Move money of an account; one in four takes exactly what initial margin leaves free, at a
        mark or at one that is held.
        """
        rng, account = self.rng, self.account()
        doubted = [market for market, breaker in enumerate(self.state.breakers[:-1]) if breaker.held]
        recipes = (indebted_withdrawal, held_withdrawal, leaving_withdrawal, owing_withdrawal)
        for recipe in recipes if sign < 0 and code == Transfer.CASH else ():
            limited = recipe(rng, self.rules, self.state)
            if limited is not None and rng.random() < 0.5:
                self.send(EventKind(limited.pop("kind")), **limited)
                return
        if sign < 0 and doubted:
            self._leave(rng.choice(doubted), rng.choice((0, 0, 1)))
        amount = rng.randint(1, max(1, self.setting.notional // rng.choice((5, 50))))
        free = self.state.equity(account) - self.state.portfolio(account).initial
        if sign < 0 and free > 0 and rng.random() < 0.5:
            amount = free
        self.send(EventKind.TRANSFER, account=account, code=int(code), amount=sign * amount)

    def _leave(self, market: int, more: int) -> None:
        """Withdraw, as a holder in a market whose mark is held, all that it and its twins can spare
        there, or an atom more.
        """
        holders = [number for number in range(len(self.state.accounts)) if self.state.held_lots(number, market)]
        if not holders:
            return
        account = self.rng.choice(holders)
        worse = held_loss(self.state, account) + held_margin(self.state, account)
        owner = self.state.accounts[account].owner
        for number, other in enumerate(self.state.accounts):
            if other.owner == owner and number != account:
                worse += max(0, held_loss(self.state, number) - self.state.equity(number))
        free = self.state.equity(account) - self.state.portfolio(account).initial - worse
        if free > 0:
            self.send(EventKind.TRANSFER, account=account, code=int(Transfer.CASH), amount=-(free + more))

    def funding(self) -> None:
        """Pay funding, sometimes more than an account has; a flat account, one that is owed a cut
        above all, then owes what nobody secured.
        """
        flat = [number for number in range(len(self.state.accounts)) if not self.state.held_markets(number)]
        if flat and self.rng.random() < 0.5:
            claimants = [number for number in flat if self.state.accounts[number].claim]
            account = self.rng.choice(claimants or flat)
            amount = max(0, self.state.ledger[account]) + self.rng.randint(1, max(1, self.setting.notional // 5))
            market = self.rng.choice((NONE, self.in_asset(account, self.market())))
            self.send(EventKind.TRANSFER, account=account, code=int(Transfer.FUNDING), market=market, amount=-amount)
        else:
            self.cash(self.rng.choice((-1, -1, 1)), Transfer.FUNDING)

    def funding_index(self) -> None:
        """Move a market's funding index: by a little, or by what takes the margin of some."""
        market, unit = self.market(), self.setting.price_ticks * self.setting.factor * PPM // self.setting.divisor
        most = self.rng.choice((1, unit // 1_000, unit // 50, unit // 50, unit // 5))
        self.send(EventKind.FUNDING, market=market, amount=self.rng.choice((-1, 1)) * self.rng.randint(1, max(1, most)))

    def small_hole(self) -> None:
        """An account that is about to be flat is charged a little more than it has: a part of what
        others won in a market.
        """
        rng, state, account = self.rng, self.state, self.account()
        for market in state.held_markets(account):
            lots = state.held_lots(account, market)
            self.send(EventKind.FILL, market=market, account=account, other=NONE, lots=-lots, price_ticks=self.near(market, 0))
        market = self.in_asset(account, self.market())
        others = [number for number in range(len(state.accounts)) if number != account]
        won = sum(max(0, state.results(number).get(market, 0)) for number in others)
        more = won * rng.randint(1, 40) // 100 + rng.randint(0, 1)
        self.send(
            EventKind.TRANSFER,
            account=account,
            market=market,
            code=int(Transfer.FUNDING),
            amount=-max(1, state.equity(account) + more + sum(map(state.unreserved, range(len(state.funds))))),
        )

    def charge_beside(self) -> None:
        """While a fund reserves money, let an account with lots and without an order owe more than
        what is free in it, and no more than what it has; above all one whose owner is carried.
        """
        rng, state = self.rng, self.state
        promised = [group for group, fund in enumerate(state.funds) if fund.reserved]
        idle = [
            number
            for number, account in enumerate(state.accounts)
            if not account.in_default and any(state.group(market) in promised for market in state.held_markets(number))
        ]
        if not idle:
            self.send(EventKind.CLOCK)
            return
        carried = [number for number in idle if state.carried_for(state.accounts[number].owner)]
        account = rng.choice(carried or idle)
        market = next(market for market in state.held_markets(account) if state.group(market) in promised)
        fund = state.fund_view(state.group(market), account, market)
        has = sum(max(0, state.equity(number)) for number in state.accounts_of(state.accounts[account].owner))
        amount = has + fund.available + rng.randint(1, max(1, fund.reserved))
        self.send(EventKind.TRANSFER, account=account, code=int(Transfer.FUNDING), market=market, amount=-amount)

    def fund_transfer(self) -> None:
        """Move money of a fund, which may only give what it has not promised and its group does not
        owe; now and then an atom more is asked for.
        """
        group = self.rng.randrange(self.setting.groups)
        free = self.state.unreserved(group) - self.state.claims_on(group) - self.state.uncovered(group) + self.rng.choice((0, 0, 1))
        amount = -free if free > 0 and self.rng.random() < 0.4 else self.rng.randint(1, max(1, self.setting.notional // 20))
        if self.setting.fund_ppm:
            self.send(EventKind.TRANSFER, account=fund_of(group), amount=amount)

    def trading_fee(self) -> None:
        """Charge a trading fee, now and then more than the account has."""
        rng, amount = self.rng, max(1, self.setting.notional // self.rng.choice((1, 10, 1_000)))
        market = rng.choice((NONE, self.market()))
        account = self.account()
        market = market if market == NONE else self.in_asset(account, market)
        self.send(EventKind.TRANSFER, account=account, market=market, code=int(Transfer.TRADING_FEE), amount=amount)

    def operator(self) -> None:
        """Stop or reopen a market or the venue, or switch a provider."""
        rng, breakers = self.rng, self.rules.breakers
        bound = [number for number, provider in enumerate(self.state.providers) if provider.account != NONE]
        if bound and rng.random() < 0.4:
            code = rng.choice((Operator.PROVIDER_OFF, Operator.PROVIDER_ON, Operator.PROVIDER_ON))
            self.send(EventKind.OPERATOR, code=int(code), other=rng.choice(bound))
            return
        code = rng.choice((Operator.HALT, Operator.THROTTLE, Operator.REOPEN))
        amount = 0 if code == Operator.REOPEN else rng.randint(1, breakers.operator_hold_max_ns)
        self.send(EventKind.OPERATOR, code=int(code), market=rng.choice((NONE, self.market())), amount=amount)

    def settle_price(self) -> None:
        """Say at what price a market settles; most often one that is doubted."""
        doubted = [market for market, breaker in enumerate(self.state.breakers[:-1]) if breaker.undoubted]
        market = self.rng.choice(doubted) if doubted and self.rng.random() < 0.8 else self.market()
        price = self.near(market, self.rng.choice((0, 100_000, 500_000)))
        self.send(EventKind.OPERATOR, code=int(Operator.SETTLE_PRICE), market=market, price_ticks=price)

    def end_market(self) -> None:
        """Let the venue end a market, seldom, mostly at a price near its mark."""
        market = self.market()
        price = self.near(market, self.rng.choice((0, 50_000, 300_000)))
        self.send(EventKind.SETTLEMENT, market=market, price_ticks=price if self.rng.random() < 0.9 else self.rng.choice((0, 1 << 40)))

    def listing(self) -> None:
        """List a market; most often one that is not listed."""
        spare = [number for number, market in enumerate(self.state.rules.markets) if not market.is_listed]
        market = self.rng.choice(spare) if spare and self.rng.random() < 0.9 else self.market()
        self.send(EventKind.LISTING, market=market)

    def spare_rule(self) -> None:
        """Change a rule of a market or tier that is not listed to what it is in another venue of the kind, or
        to a bound; fixed ones, too.
        """
        rng, donor = self.rng, make_rules(self.setting)
        spare = [number for number, market in enumerate(self.state.rules.markets) if not market.is_listed]
        market = rng.choice(spare) if spare and rng.random() < 0.9 else self.market()
        rule = rng.choice([each for each in PARAMETERS.values() if each.scope in (Scope.MARKET, Scope.TIER)])
        entry = rng.randint(0, 2)
        value = _donated(rule, donor, rng.randrange(len(donor.markets)), entry, 0)
        if value is None or rng.random() < 0.2:
            value = rng.choice((rule.parameter.low, rule.parameter.high))
        self.send(EventKind.PARAMETER, code=rule.number, market=market, other=entry, amount=value)

    def load_position(self) -> None:
        """Load a position of the book into an account that may or may not be able to take it."""
        account = self.account()
        self.open_position(account, self.own_market(account, self.market()), by_trades=False)

    def late_fill(self) -> None:
        """Fill an order of long ago, open or not, remembered or not."""
        if not self.issued:
            return
        order = self.rng.choice(self.issued)
        lots = order.lots if self.rng.random() < 0.5 else (1 if order.lots > 0 else -1)
        self.send(EventKind.ORDER_FILL, market=order.market, other=order.other, lots=lots, price_ticks=self.near(order.market, 50_000))

    # -- the venue's answers -----------------------------------------------------------------------

    def plan_answer(self, order: Effect) -> None:
        """Decide how the venue will answer an order, and when."""
        (style,) = self.rng.choices(list(self.setting.answers), list(self.setting.answers.values()))
        after = len(self.events) + self.rng.randint(0, 4) + (25 if style == "late" else 0)
        whole, sign = abs(order.lots), 1 if order.lots > 0 else -1
        fills = {
            "parts": self.cut(whole),
            "half": [max(1, whole // 2)],
            "none": [],
            "over": [whole + self.rng.randint(1, whole + 3)],
            "silent": [],
        }.get(style, [whole])
        answers = [self.fill_answer(order, sign * lots, beyond=style == "bad_price") for lots in fills]
        if style == "wrong":
            wrong = self.fill_answer(order, -order.lots, beyond=False)
            elsewhere = answers[0] | {"market": (order.market + 1) % self.setting.markets}
            answers = [wrong, elsewhere, *answers]
        done = {"kind": int(EventKind.ORDER_DONE), "other": order.other}
        if style == "after_done":
            answers = [done, *answers, done]
        elif style not in ("silent", "no_done"):
            answers.append(done)
        self.answers += [(after, answer) for answer in answers]

    def plan_reply(self, offer: Effect) -> None:
        """Decide how a provider answers an offer, and when; a poor one takes its money away before
        it accepts.
        """
        (style,) = self.rng.choices(list(self.setting.replies), list(self.setting.replies.values()))
        after = len(self.events) + self.rng.randint(0, 4) + (25 if style == "late" else 0)
        code = Answer.REFUSE if style == "refuse" else Answer.ACCEPT
        reply = {"kind": int(EventKind.ANSWER), "other": offer.other, "code": int(code)}
        if style == "poor":
            account = self.state.providers[offer.price_ticks].account
            free = self.state.equity(account) - self.state.portfolio(account).initial
            if free > 0:
                self.answers.append((after, {"kind": int(EventKind.TRANSFER), "account": account, "amount": -free}))
        if style != "silent":
            self.answers += [(after, reply)] * (2 if style == "twice" else 1)

    def cut(self, lots: int) -> list[int]:
        """Cut an order into up to three fills, which may leave some of it."""
        parts: list[int] = []
        while lots and len(parts) < 3:
            parts.append(self.rng.randint(1, lots))
            lots -= parts[-1]
        return parts

    def fill_answer(self, order: Effect, lots: int, *, beyond: bool) -> dict[str, int]:
        """Fill at the limit, better, or, by a venue that errs, worse."""
        rng, limit = self.rng, order.price_ticks
        better = rng.randint(0, max(1, limit // 20)) * rng.choice((0, 1))
        worse = rng.randint(1, max(1, limit // 4)) if beyond else 0
        price = self.price(limit + (worse - better if order.lots > 0 else better - worse))
        most = self.rules.markets[order.market].position_lots_max
        lots = max(-most, min(lots, most))
        return {"kind": int(EventKind.ORDER_FILL), "market": order.market, "other": order.other, "lots": lots, "price_ticks": price}


def _move(writer: Writer) -> None:
    """Move money between two accounts of an owner: a part, all that may leave, or an atom more; now and
    then nothing, to nobody, to itself, of a fund, or to another owner.
    """
    rng, state = writer.rng, writer.state
    account, other = writer.account(), writer.account()
    able = [number for number in range(len(state.accounts)) if after_withdrawal(state, number, 0)[0] > 0]
    held = [number for number in able if held_gains_of(state, number)]
    indebted = held or [number for number in able if state.owner_debt(state.accounts[number].owner)]
    if able and rng.random() < 0.9:
        account = rng.choice(indebted or able)
    mine = [number for number in state.accounts_of(state.accounts[account].owner) if number != account]
    if mine and rng.random() < 0.93:
        other = rng.choice([number for number in mine if state.is_apart(number)] or mine) if rng.random() < 0.6 else rng.choice(mine)
    left, rest = after_withdrawal(state, account, 0, receiver=other)
    most = min(left, rest) if state.is_apart(other) else left
    gains = held_gains_of(state, account)
    most = most - gains if gains and rng.random() < 0.7 else most
    amount = rng.choice((most, most + 1, most, left, rng.randint(1, max(1, most)), rng.randint(1, max(1, writer.setting.notional // 20))))
    if rng.random() < 0.06:
        amount = rng.choice((0, -1, (1 << 60) + 1))
    if rng.random() < 0.04:
        other = rng.choice((-1, len(state.accounts), account))
    if rng.random() < 0.02:
        account = fund_of(0)
    writer.send(EventKind.TRANSFER, account=account, other=other, code=int(Transfer.MOVE), amount=amount)


def _leave_pocket(writer: Writer) -> None:
    """Withdraw, of an owner with a pocket that owes or lacks, all that may leave, or an atom more."""
    rng, state = writer.rng, writer.state
    lacking = [number for number in range(len(state.accounts)) if state.equity(number) < 0 or sum(state.debts(number).values()) > 0]
    owners = {state.accounts[number].owner for number in lacking}
    able = [number for number, account in enumerate(state.accounts) if account.owner in owners and not account.in_default]
    able = [number for number in able if min(after_withdrawal(state, number, 0)) > 0]
    if not able:
        return _move(writer)
    account = rng.choice(able)
    amount = min(after_withdrawal(state, account, 0)) + rng.choice((0, 0, 1))
    return writer.send(EventKind.TRANSFER, account=account, code=int(Transfer.CASH), amount=-amount)


def _wrong_pocket(writer: Writer) -> None:
    """Ask of a pocket what it may not: lots of another market, or to be a provider's; or open one of a
    market that nobody knows.
    """
    rng, state, markets = writer.rng, writer.state, writer.setting.markets
    pockets = [number for number, account in enumerate(state.accounts) if account.pocket != NONE]
    style = rng.choice(("fill", "other", "position", "provider", "open"))
    if style == "open" or not pockets:
        writer.send(EventKind.ACCOUNT, account=len(state.accounts), other=0, market=rng.choice((-2, markets, markets - 1)))
        return
    pocket = rng.choice(pockets)
    market = (state.accounts[pocket].pocket + rng.choice((0, 1, 1))) % markets
    price, one = writer.near(market, 0), (pocket + 1) % len(state.accounts)
    if style == "provider":
        writer.send(EventKind.PROVIDER, account=pocket, other=rng.randint(0, max(0, writer.setting.providers)))
    elif style == "position":
        writer.send(EventKind.POSITION, market=market, account=pocket, lots=1, amount=price * writer.setting.factor)
    else:
        account, other = (one, pocket) if style == "other" else (pocket, rng.choice((NONE, one)))
        writer.send(EventKind.FILL, market=market, account=account, other=other, lots=rng.choice((-1, 1)), price_ticks=price)


def _wrong_asset(writer: Writer) -> None:
    """Let two assets meet: an account and a market, a fee and its market, two accounts, an owner and a new
    account, a pocket and its market, an account and a provider; or name an asset that nobody knows.
    """
    rng, state, count = writer.rng, writer.state, writer.setting.assets
    account, market = writer.account(), writer.market()
    others = [number for number, rules in enumerate(writer.rules.markets) if rules.settlement_asset != state.accounts[account].asset]
    market = rng.choice(others) if others and rng.random() < 0.8 else market
    price, one = writer.near(market, 0), writer.account()
    style = rng.choice(("fill", "fill", "position", "fee", "funding", "move", "open", "pocket", "provider", "unknown"))
    if style == "fill":
        other = rng.choice((NONE, one)) if one != account else NONE
        writer.send(EventKind.FILL, market=market, account=account, other=other, lots=rng.choice((-1, 1)), price_ticks=price)
    elif style == "position":
        amount = writer.rules.markets[market].contract.value(1, price)
        writer.send(EventKind.POSITION, market=market, account=account, lots=1, amount=amount)
    elif style in ("fee", "funding"):
        code = Transfer.TRADING_FEE if style == "fee" else Transfer.FUNDING
        writer.send(EventKind.TRANSFER, market=market, account=account, code=int(code), amount=rng.choice((1, -1, 5)))
    elif style == "move":
        writer.send(EventKind.TRANSFER, account=account, other=one, code=int(Transfer.MOVE), amount=1)
    elif style == "provider":
        writer.send(EventKind.PROVIDER, account=account, other=rng.randint(0, max(0, writer.setting.providers)))
    else:
        owner = state.accounts[account].owner
        asset = rng.choice((-1, count, 32_767)) if style == "unknown" else (state.accounts[account].asset + rng.randint(0, 1)) % count
        pocket = market if style == "pocket" else NONE
        writer.send(EventKind.ACCOUNT, account=len(state.accounts), other=owner, market=pocket, code=asset)


def _depth(writer: Writer) -> None:
    if writer.setting.depth_share:
        writer.depth(writer.market(), writer.rng.choice(list(BookSide)))


def _volume(writer: Writer) -> None:
    lots = writer.rng.choice((0, writer.rng.randint(1, max(1, writer.setting.lots))))
    writer.send(EventKind.VOLUME, market=writer.market(), lots=lots)


def _index(writer: Writer) -> None:
    market = writer.market()
    writer.send(EventKind.INDEX, market=market, price_ticks=writer.near(market, 10_000))


def _parameter(writer: Writer) -> None:
    """Change a rule to what it is in another venue of the kind, or to a bound; now and then a rule that
    nobody knows, or a place that there is not.
    """
    rng = writer.rng
    changeable = [each for each in PARAMETERS.values() if not each.parameter.is_fixed]
    rule = rng.choice(changeable if rng.random() < 0.9 else list(PARAMETERS.values()))
    # What is dirty then is seen only where breakers count flow at all.
    if "flow" in writer.setting.breakers and rng.random() < 0.3:
        rule = PARAMETERS[NUMBERS[rng.choice(FLOW_KEYS)]]
    donor = make_rules(writer.setting)
    market, group, provider = (rng.randrange(max(1, count)) for count in (len(donor.markets), len(donor.funds), len(donor.providers)))
    part = 2 * group + rng.randint(0, 1)
    entry = {Scope.TIER: rng.randint(0, 2), Scope.GROUP: group, Scope.ASSET: group % len(donor.assets)}.get(rule.scope, provider)
    value = _donated(rule, donor, market, entry, part)
    if value is None or rng.random() < 0.15:
        value = rng.choice((rule.parameter.low, rule.parameter.high, rule.parameter.low - 1, rule.parameter.high + 1))
    later = rng.choice((0, 0, 0, rng.randint(1, 3), rng.randint(1, 20 * writer.setting.interval_ns)))
    number = rule.number if rng.random() < 0.97 else rng.choice((0, -1, 99, 32_767))
    if rng.random() < 0.05:
        market, entry, part = (rng.choice((-1, 4_096)) for _ in range(3))
    from_ns = writer.time_ns + later if later else rng.choice((0, writer.time_ns))
    places = {"market": market, "other": entry, "lots": part}
    writer.send(EventKind.PARAMETER, code=number, amount=max(-(1 << 63), min(value, (1 << 63) - 1)), price_ticks=from_ns, **places)


def _margin(writer: Writer) -> None:
    """Change a maintenance rate or a floor by a step; now and then make room for it below initial margin."""
    rng, market = writer.rng, writer.market()
    tiers = writer.state.rules.markets[market].tiers
    entry = rng.randrange(len(tiers))
    tier = tiers[entry]
    if rng.random() < 0.25:
        entry = len(tiers) - 1 if rng.random() < 0.6 else entry
        key, value = "tier.initial_rate_ppm", tiers[entry].initial_rate_ppm + RATE_STEP_PPM * rng.randint(0, 8)
    elif entry and rng.random() < 0.3:
        floor = tier.floor_atoms * rng.choice((1, 2, 3)) // rng.choice((1, 2, 3))
        key, value = "tier.floor_atoms", floor // FLOOR_STEP_ATOMS * FLOOR_STEP_ATOMS
    else:
        key, value = "tier.maintenance_rate_ppm", tier.maintenance_rate_ppm + RATE_STEP_PPM * rng.randint(-2, 3)
    later = rng.choice((0, 0, 0, rng.randint(1, 5 * writer.setting.interval_ns)))
    from_ns = writer.time_ns + later if later else 0
    writer.send(EventKind.PARAMETER, code=NUMBERS[key], market=market, other=entry, amount=value, price_ticks=from_ns)


def _end_relief(writer: Writer) -> None:
    """Give notice that the relief in a market ends, now and then too short."""
    least = writer.state.rules.levels.relief_notice_ns
    notice_ns = least + writer.rng.choice((0, 0, 1, writer.setting.interval_ns, -1))
    writer.send(EventKind.OPERATOR, code=int(Operator.END_RELIEF), market=writer.market(), amount=notice_ns)


def _donated(rule: ListedRule, donor: VenueRules, market: int, entry: int, part: int) -> int | None:
    """Return what a rule is in another venue, where it has the place."""
    try:
        return value_at(donor, rule.number, market=market, entry=entry, part=part)
    except IndexError:
        return None


ACTIONS: dict[str, Callable[[Writer], None]] = {
    "mark": Writer.mark_moves,
    "fill": Writer.fill,
    "thin_print": Writer.thin_print,
    "deposit": lambda writer: writer.cash(1, Transfer.CASH),
    "withdraw": lambda writer: writer.cash(-1, Transfer.CASH),
    "funding": Writer.funding,
    "depth": _depth,
    "volume": _volume,
    "index": _index,
    "clock": lambda writer: writer.send(EventKind.CLOCK),
    "heartbeat": lambda writer: writer.send(EventKind.HEARTBEAT, market=writer.market()),
    "position": Writer.load_position,
    "fund": Writer.fund_transfer,
    "late_fill": Writer.late_fill,
    "trading_fee": Writer.trading_fee,
    "operator": Writer.operator,
    "sell_out": Writer.sell_out,
    "small_hole": Writer.small_hole,
    "charge_beside": Writer.charge_beside,
    "funding_index": Writer.funding_index,
    "far_fill": Writer.far_fill,
    "settle_price": Writer.settle_price,
    "end_market": Writer.end_market,
    "listing": Writer.listing,
    "spare_rule": Writer.spare_rule,
    "parameter": _parameter,
    "margin": _margin,
    "end_relief": _end_relief,
    "move": _move,
    "leave_pocket": _leave_pocket,
    "wrong_pocket": _wrong_pocket,
    "wrong_asset": _wrong_asset,
}
