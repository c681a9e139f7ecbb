"""``Engine``: the engine beside a venue's own matching. Events go in, effects come out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from backstop.config import Venue
from backstop.core.admission import refusal_of
from backstop.core.breakers import effective_state
from backstop.core.contracts import worth_at_mark
from backstop.core.digest import state_digest
from backstop.core.engine import step
from backstop.core.events import (
    EFFECT,
    NEVER_NS,
    NONE,
    BreakerState,
    EffectArray,
    EventArray,
    EventKind,
    Health,
    Transfer,
    fund_of,
    uncovered_of,
)
from backstop.core.instruments import PPM, VenueRules
from backstop.core.kinds import EffectView, effect_view
from backstop.core.ledger import balance_of
from backstop.core.margin import assess, initial_margin, position_margin, release_level
from backstop.core.position_rows import position_of
from backstop.core.price_levels import level_ticks
from backstop.core.rows import CLOSING_ORDER, DISPOSAL_ORDER, TAKEOVER_OFFER
from backstop.core.rules_in_force import rules_in_force
from backstop.core.state import State, new_state
from backstop.core.timers import next_wait_ns
from backstop.engine.answers import Account, Fund, Market, OpenOrder, OrderKind, Position, Wait, WaitsFor
from backstop.engine.errors import EngineError, StoppedError, UnknownAccountError
from backstop.engine.inputs import Event, event_rows, market_number, rows_of
from backstop.engine.tape import Tape
from backstop.journal import JournalError, Name, Names, checked_names

__all__ = ["Engine"]

#: More than any event may move.
_AMOUNT_MAX = 1 << 60
_KINDS = {CLOSING_ORDER: OrderKind.CLOSING, TAKEOVER_OFFER: OrderKind.OFFER, DISPOSAL_ORDER: OrderKind.DISPOSAL}


class Engine:
    """One venue's default-management engine, alone or with a journal.

    Amounts are integers: atoms of an asset, lots and ticks of a market, nanoseconds since 1970.
    ``venue.assets`` and ``venue.markets`` turn them into decimals and back. A market is
    named by its number or its symbol. One thread at a time may use an engine.

    A new engine is empty: what the funds hold comes as events, like everything else.
    """

    def __init__(self, venue: Venue, *, state: State | None = None, journal: str | Path | None = None) -> None:
        """Begin with no account, or go on with ``state``, which is then the engine's own.

        ``journal`` is a folder that has no journal yet: whatever ``apply`` returned is then on the
        disk, and ``Engine.open`` takes it up after a kill.

        Raises ``EngineError`` where the state is not of this venue, or a journal should begin with
        one, and ``JournalError`` where the folder has a journal or cannot be written.
        """
        if state is not None and journal is not None:
            raise EngineError("`journal` and `state` were both given: a journal begins with an empty engine")
        if state is not None and (len(state.markets), len(state.accounts)) != (len(venue.markets), venue.rules.limits.accounts_max):
            raise EngineError(
                f"`state` has {len(state.markets)} markets and room for {len(state.accounts)} accounts:"
                f" venue {venue.name} has {len(venue.markets)} and {venue.rules.limits.accounts_max}"
            )
        if state is not None and state.engine[0].effects_now:
            raise EngineError("`state` holds effects that nobody took: take them, and set `effects_now` to 0")
        self._venue = venue
        self._held = new_state(venue.rules) if state is None else state
        self._tape = None if journal is None else Tape.create(Path(journal), venue)
        #: What ``open`` cut off or passed over, in words: a last call that was not whole on the disk, a
        #: snapshot. Nothing, as a rule.
        self.findings: tuple[str, ...] = ()
        #: Why it takes no events; whether its state is within one, or ahead of its journal.
        self._stopped_by, self._is_torn = "", False
        #: Names that come with the next batch.
        self._names: tuple[Name, ...] = ()

    @classmethod
    def open(cls, folder: str | Path) -> Engine:
        """Bring back an engine from its folder as it stood after the last call that is on the disk.

        The newest snapshot is loaded, what follows it is replayed, and each effect is compared with
        the recorded one. ``last_seq`` says from where the venue goes on; ``effects_after`` returns
        effects that it may not have got.

        Raises ``FileNotFoundError`` where the folder has no journal, ``JournalDamaged`` where it
        cannot be trusted, and ``JournalError`` where another process writes to it.
        """
        venue, state, tape, findings = Tape.recover(Path(folder))
        engine = cls(venue, state=state)
        engine._tape, engine.findings = tape, findings
        return engine

    def __enter__(self) -> Engine:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the journal, if there is one; ``Engine.open`` takes it up again. The engine may still
        be asked, but takes no events.
        """
        if self._tape is not None:
            self._tape.abandon()
            self._stopped_by = self._stopped_by or "it was closed"

    # -- events in, effects out --------------------------------------------------------------------

    def apply(self, events: EventArray | Iterable[Event]) -> EffectArray:
        """Apply events in order; return all their effects, one row of ``EFFECT`` each.

        ``events``: rows of ``EVENT``, shape (n,), begun with ``event_rows``, or events made by
        ``event``; ``seq`` rises from event to event. A refused event changes nothing and leaves one REFUSAL. The idempotency key
        of an effect is its ``seq`` and its place among the effects of that ``seq``.

        With a journal, events and effects are on the disk when this returns. Many events in one
        call share one write.

        Raises ``EngineError``, and nothing was applied, where the events are none; ``JournalError``
        where they cannot be written, and ``StoppedError`` where money would not fit in 64 bits. The
        engine then takes nothing more and answers nothing more: ``open`` its journal again. The
        event that raised goes into quarantine there, the others of the call are applied.
        """
        if self._stopped_by:
            raise StoppedError(f"the engine takes no events: {self._stopped_by}")
        rows = rows_of(events, self._venue, self.last_seq)
        if self._tape is not None:
            rows = self._tape.without_quarantined(rows)
        parts = [np.empty(0, dtype=EFFECT)]
        first = 0
        try:
            while first < len(rows):
                last = int(step(self._state, rows, first))
                parts.append(self._take_effects())
                if self._tape is not None:
                    self._tape.append(rows[first:last], parts[-1], self._state, self._names)
                    self._names = ()
                first = last
        except BaseException as error:
            self._note_stop(rows[first:], error)
            self._stop(f"{type(error).__name__} at or after seq {int(rows['seq'][first])}: {error}")
            if isinstance(error, OverflowError | ZeroDivisionError):
                raise StoppedError(f"the engine has stopped: {self._stopped_by}") from error
            raise
        return np.concatenate(parts)

    def name(
        self,
        *,
        accounts: Mapping[int, str] | None = None,
        owners: Mapping[int, str] | None = None,
        markets: Mapping[int, str] | None = None,
        providers: Mapping[int, str] | None = None,
    ) -> None:
        """Say what people call accounts, owners, markets and providers, by number: reports, ``explain``
        and ``backstop journal show`` then do. Nothing that the engine does depends on it.

        The names come with the next events: they are on the disk when ``apply`` returns, as a part of
        its first batch, under its hash. A later name of the same thing replaces the earlier one. Where
        that ``apply`` raises, give them again to the engine that ``open`` returns.

        Raises ``EngineError`` where the engine has no journal, or something is no name of at most 256
        letters.
        """
        if self._tape is None:
            raise EngineError("the engine has no journal: names stand on the journal, and nowhere else")
        given = {"account": accounts, "owner": owners, "market": markets, "provider": providers}
        coming = {each[:2]: each for each in self._names}
        for kind, names in given.items():
            coming |= {(kind, number): Name(kind, number, name) for number, name in (names or {}).items()}
        try:
            self._names = checked_names(coming.values(), len(self._state.accounts))
        except ValueError as error:
            raise EngineError(str(error)) from error

    @property
    def names(self) -> Names:
        """What people call the accounts and owners, as it stands on the journal: of those that were
        never named there is nothing, or ``account 7``.

        Raises ``EngineError`` where the engine has no journal.
        """
        if self._tape is None:
            raise EngineError("the engine has no journal: names stand on the journal, and nowhere else")
        return self._tape.names()

    def what_if(self, events: EventArray | Iterable[Event]) -> tuple[EffectArray, Engine]:
        """Return what ``apply`` would return, and an engine in which it was done; this one and its
        journal stay as they are.

        The other engine has no journal. It costs a copy of the rows in use. Raises as ``apply``
        does.
        """
        other = Engine(self._venue, state=self._state.copy_used())
        return other.apply(events), other

    def effects_after(self, seq: int) -> Iterator[EffectArray]:
        """Yield the effects on the journal of events after ``seq``, in order, as ``apply`` returned
        them.

        Raises ``EngineError`` where there is no journal.
        """
        if self._tape is None:
            raise EngineError("the engine has no journal: it was made without `journal`")
        return self._tape.effects_after(seq)

    @staticmethod
    def typed(effects: EffectArray) -> Iterator[EffectView[int]]:
        """Yield each effect as what its kind says: ``OrderEffect``, ``PostingEffect`` and so on, fields
        by name.
        """
        return (effect_view(row) for row in effects)

    def _take_effects(self) -> EffectArray:
        engine = self._state.engine[0]
        taken = self._state.effects[: int(engine.effects_now)].copy()
        engine.effects_now = 0
        return taken

    @property
    def _state(self) -> State:
        if self._is_torn:
            raise StoppedError(f"the engine has stopped: {self._stopped_by}")
        return self._held

    def _note_stop(self, rows: EventArray, error: BaseException) -> None:
        """Keep what the engine was given when it raised; where the journal failed it cannot be
        kept.
        """
        if self._tape is not None and isinstance(error, OverflowError | ZeroDivisionError):
            with suppress(JournalError):
                self._tape.note_stop(rows, error)

    def _stop(self, reason: str) -> None:
        self._stopped_by, self._is_torn = reason, True
        if self._tape is not None:
            self._tape.abandon()

    # -- the engine as a whole ---------------------------------------------------------------------

    @property
    def venue(self) -> Venue:
        """The venue with which it began; ``rules`` are those in force."""
        return self._venue

    @property
    def rules(self) -> VenueRules:
        """The rules in force: those of the venue file, as PARAMETER events have changed them."""
        return rules_in_force(self._venue.rules, self._state)

    @property
    def last_seq(self) -> int:
        """The highest ``seq`` that it has seen; -1: none."""
        return int(self._state.engine[0].last_seq)

    @property
    def now_ns(self) -> int:
        """The time of the last accepted event."""
        return int(self._state.engine[0].now_ns)

    @property
    def due_ns(self) -> int | None:
        """When the engine has something to do by itself: send a CLOCK, or any event, by then. None:
        never.
        """
        due = int(next_wait_ns(self._state))
        return None if due == NEVER_NS else due

    @property
    def accounts(self) -> int:
        """How many accounts are open: their ids are 0 to ``accounts - 1``."""
        return int(self._state.engine[0].accounts_now)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the economic state: two engines that saw the same events share it."""
        return state_digest(self._state)

    def market(self, market: int | str) -> Market:
        """Return prices and breaker of a market."""
        number = market_number(self._venue, market)
        row = self._state.markets[number]
        breaker = BreakerState(int(effective_state(self._state, number)))
        return Market(number, self._venue.markets[number].symbol, int(row.mark_ticks), int(row.index_ticks), breaker)

    def funds(self) -> list[Fund]:
        """Return the insurance fund of each market group, in the order of the venue file."""
        found = []
        for group, (name, row) in enumerate(zip(self._venue.groups, self._state.funds, strict=True)):
            balance, uncovered = (int(balance_of(self._state, ledger_id)) for ledger_id in (fund_of(group), uncovered_of(group)))
            found.append(Fund(name, balance, int(row.reserved), int(row.carried), -uncovered, int(row.asset)))
        return found

    def orders(self, account: int | None = None) -> list[OpenOrder]:
        """Return the open orders and offers with what is reserved for each, of an account or of all, by
        id.
        """
        if account is not None:
            self._checked(account)
        rows = self._state.orders[: int(self._state.engine[0].next_order_id)]
        chosen = rows[(rows["is_open"] != 0) & ((rows["account"] == account) | (account is None))]
        return [_order(row) for row in chosen[np.argsort(chosen["id"])]]

    def offers(self, account: int | None = None) -> list[OpenOrder]:
        """Return the open offers to backstop providers."""
        return [order for order in self.orders(account) if order.kind == OrderKind.OFFER]

    # -- one account -------------------------------------------------------------------------------

    def account(self, account: int) -> Account:
        """Return equity, margins and health of an account.

        Raises ``UnknownAccountError``, as every query of an account does.
        """
        head = self._checked(account)
        equity, maintenance = assess(self._state, account)
        close_out = int(maintenance) * int(self._state.rules[0].close_out_ratio_ppm) // PPM
        since = int(head.default_since_ns)
        return Account(
            account=account,
            owner=int(head.owner),
            balance_atoms=int(head.balance),
            equity_atoms=int(equity),
            initial_margin_atoms=int(initial_margin(self._state, account)),
            maintenance_margin_atoms=int(maintenance),
            close_out_margin_atoms=close_out,
            release_level_atoms=int(release_level(self._state, account, maintenance)),
            health=Health(int(head.health)),
            is_restricted=bool(head.restricted),
            default_since_ns=None if since == NEVER_NS else since,
            claims_atoms=int(head.claim),
            asset=int(self._state.account_assets[account]),
        )

    def positions(self, account: int) -> list[Position]:
        """Return an account's positions with lots, by market, with liquidation and bankruptcy prices."""
        found, place = [], int(self._checked(account).first_position)
        while place != NONE:
            row = self._state.positions[place]
            if row.lots != 0:
                found.append(self._position(place))
            place = int(row.next_of_account)
        return found

    def liquidation_ticks(self, account: int, market: int | str) -> int | None:
        """Return the price of a market, nearest to safety, at which the account is in default, all
        other prices unchanged: for a long position the highest, for a short one the lowest.

        None where the account has no lots there, or no price of the market does it. ``Position``
        has the bankruptcy price, too.
        """
        return self._level(account, market, has_margin=True)

    def bankruptcy_ticks(self, account: int, market: int | str) -> int | None:
        """Return likewise the price at which the account's equity is below 0."""
        return self._level(account, market, has_margin=False)

    def wait(self, account: int) -> Wait | None:
        """Return what an account waits for and until when; None: it waits for nothing."""
        head = self._checked(account)
        until = int(head.wait_until_ns)
        return None if until == NEVER_NS else Wait(self._waits_for(account, head), until)

    def withdrawable_atoms(self, account: int) -> int:
        """Return the most that the account may withdraw now, exactly: a withdrawal of so many atoms is
        accepted, of one more refused, if no other event comes between.

        0 in default. What stays is initial margin, what linked accounts lack, debts, and gains that
        are held; the search asks the engine's own door.
        """
        self._checked(account)
        rows = event_rows(1)
        row = rows[0]
        row.seq, row.time_ns, row.kind, row.code = self.last_seq + 1, self.now_ns, EventKind.TRANSFER, Transfer.CASH
        row.account = account
        accepted, refused = 0, _AMOUNT_MAX + 1
        while refused - accepted > 1:
            middle = (accepted + refused) // 2
            row.amount = -middle
            if refusal_of(self._state, rows, 0) == 0:
                accepted = middle
            else:
                refused = middle
        return accepted

    def _checked(self, account: int) -> Any:
        """Return the row of an account."""
        if isinstance(account, bool) or not isinstance(account, int | np.integer):
            raise UnknownAccountError(f"`account` was {account!r}: must be the id of an account, a whole number")
        if not 0 <= account < self.accounts:
            opened = f"0 to {self.accounts - 1} are" if self.accounts else "none is"
            raise UnknownAccountError(f"`account` was {account}, which is not open: {opened}")
        return self._state.accounts[account]

    def _position(self, place: int) -> Position:
        state = self._state
        row = state.positions[place]
        value, notional = worth_at_mark(state, row.market, row.lots)
        return Position(
            market=int(row.market),
            symbol=self._venue.markets[int(row.market)].symbol,
            lots=int(row.lots),
            cost_atoms=int(row.cost),
            value_atoms=int(value),
            maintenance_margin_atoms=int(position_margin(state, place, notional)),
            liquidation_ticks=_some(level_ticks(state, place, True)),
            bankruptcy_ticks=_some(level_ticks(state, place, False)),
        )

    def _level(self, account: int, market: int | str, *, has_margin: bool) -> int | None:
        self._checked(account)
        place = int(position_of(self._state, account, market_number(self._venue, market)))
        return None if place == NONE else _some(level_ticks(self._state, place, has_margin))

    def _waits_for(self, account: int, head: Any) -> WaitsFor:
        if head.health < Health.DISTRESSED:
            return WaitsFor.DISPOSAL
        if head.orders_open:
            return WaitsFor.OFFERS if self.offers(account) else WaitsFor.ORDERS
        if self._state.defaults[account].doubt_since_ns != NONE:
            return WaitsFor.DOUBT
        is_halted = any(self.market(each.market).breaker == BreakerState.HALTED for each in self.positions(account))
        return WaitsFor.HALT if is_halted else WaitsFor.INTERVAL


def _some(ticks: Any) -> int | None:
    return None if ticks == NONE else int(ticks)


def _order(row: Any) -> OpenOrder:
    is_offer = row.kind == TAKEOVER_OFFER
    return OpenOrder(
        order_id=int(row.id),
        kind=_KINDS[int(row.kind)],
        account=int(row.account),
        market=int(row.market),
        lots=int(row.lots),
        filled_lots=int(row.filled),
        limit_ticks=int(row.limit_ticks),
        reserved_atoms=int(row.reserved),
        sent_ns=int(row.sent_ns),
        provider=int(row.provider) if is_offer else None,
        expires_ns=int(row.expires_ns) if is_offer else None,
    )
