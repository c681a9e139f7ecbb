"""INV-01 to INV-04: money, lots, closing orders and health, against the engine's own rows."""

from __future__ import annotations

from collections import Counter

import numpy as np

from backstop.core.events import FUNDING_PARTS, NONE, Cause, EffectKind, Guard, clearing_of, funding_of
from backstop.core.instruments import PPM
from backstop.core.places import house_slot, other_slot
from backstop.core.results import result_bases
from backstop.reference.margin import Contract, Holding, Portfolio
from backstop.reference.state import TAKEOVER_OFFER, Position
from tests.properties.moment import Findings, Moment

__all__ = [
    "closing_reduces",
    "funding_is_settled",
    "funding_scan",
    "health_is_told",
    "health_scan",
    "ledger_scan",
    "orders_scan",
    "positions_scan",
    "posting_moves_money",
    "results_scan",
]

F, C = EffectKind, Cause


# -- INV-01, INV-02: nothing moves without an effect, everything sums to zero ----------------------


def posting_moves_money(moment: Moment) -> Findings:
    """INV-01: a posting has two sides, an amount, and the asset in which both sides are."""
    effect = moment.effect
    if effect.kind != F.POSTING:
        return
    if effect.amount <= 0 or effect.account == effect.other or effect.code not in set(Cause):
        yield f"posting {effect}"
    assets = {moment.mirror.asset_of(effect.account), moment.mirror.asset_of(effect.other)} - {None}
    if assets != {effect.value}:
        yield f"posting {effect} between accounts in assets {assets}"


def ledger_scan(moment: Moment) -> Findings:
    """INV-01: the engine's own balances sum to zero in each asset and are those that the postings give."""
    state, mirror = moment.state, moment.mirror
    balances = {holder: int(state.house[int(house_slot(holder))]) for holder in mirror.ledger if holder < 0}
    accounts = state.accounts[: int(state.engine[0].accounts_now)]
    balances |= {number: int(balance) for number, balance in enumerate(accounts["balance"])}
    further = {(asset, holder): int(state.other_balances[asset - 1, other_slot(holder)]) for asset, holder in mirror.further}
    sums = Counter[int]()
    for holder, balance in balances.items():
        sums[mirror.asset_of(holder) or 0] += balance
    for (asset, _), balance in further.items():
        sums[asset] += balance
    yield from (f"ledger of asset {asset} sums to {total}" for asset, total in sums.items() if total)
    if int(state.house.sum()) + int(accounts["balance"].sum()) != sum(balances.values()):
        yield "a balance stands in a row that is no ledger account's"
    if further != mirror.further:
        yield f"balances of the house differ from postings: {set(further.items()) ^ set(mirror.further.items())}"
    if balances != mirror.ledger:
        yield f"balances differ from postings: {set(balances.items()) ^ set(mirror.ledger.items())}"


def positions_scan(moment: Moment) -> Findings:
    """INV-02: per market lots sum to zero, clearing and costs cancel, and positions are those that
    the trades give.
    """
    state, mirror = moment.state, moment.mirror
    rows = state.positions[: int(state.engine[0].positions_now)]
    held = {(int(row.account), int(row.market)): (int(row.lots), int(row.cost)) for row in rows}
    for market in range(len(mirror.marks)):
        lots = sum(row[0] for (_, where), row in held.items() if where == market)
        cost = sum(row[1] for (_, where), row in held.items() if where == market)
        if lots:
            yield f"lots of market {market} sum to {lots}"
        if cost + mirror.ledger[clearing_of(market)]:
            yield f"market {market}: costs {cost} and clearing {mirror.ledger[clearing_of(market)]} do not cancel"
        most = mirror.rules.markets[market].position_lots_max
        yield from (f"{key} holds {row[0]} lots" for key, row in held.items() if key[0] >= 0 and key[1] == market and abs(row[0]) > most)
    rows_told = {(holder, market): row for holder, of in mirror.positions.items() for market, row in of.items()}
    told = {key: (row.lots, row.cost) for key, row in rows_told.items() if row.lots or row.cost}
    kept = {key: row for key, row in held.items() if row != (0, 0)}
    pockets = {number: int(market) for number, market in enumerate(state.pocket_markets.tolist()) if market >= 0}
    yield from (f"the pocket {key[0]} of {pockets[key[0]]} holds {row}" for key, row in kept.items() if key[1] != pockets.get(*key))
    if told != kept:
        yield f"positions differ from trades: {set(told.items()) ^ set(kept.items())}"


def results_scan(moment: Moment) -> Findings:
    """INV-02: what one holder wins in an epoch another loses, haircuts apart, and results are
    measured from what the trades give.
    """
    state, mirror = moment.state, moment.mirror
    rows = state.positions[: int(state.engine[0].positions_now)]
    bases = result_bases(state, np.arange(len(rows)), mirror.now)
    # Of a free row the account is NONE.
    held = np.flatnonzero(rows["account"] != NONE).tolist()
    kept = {(int(rows[place].account), int(rows[place].market)): int(bases[place]) for place in held}
    for market in range(len(mirror.marks)):
        total = sum(base for (_, where), base in kept.items() if where == market)
        # Values that are rounded down sum to less by at most an atom a holder (R11.3.5).
        holders = sum(where == market for _, where in kept) if mirror.contract(market).is_inverse else 0
        if abs(total - mirror.cuts[market]) > holders:
            yield f"market {market}: results are measured from {total} in all, haircuts of the epoch are {mirror.cuts[market]}"
    for place, ((holder, market), base) in zip(held, kept.items(), strict=True):
        row, result = mirror.positions[holder].get(market, Position()), state.results[place]
        if row.base != base:
            yield f"the result of {holder} in market {market} is measured from {base}, trades give {row.base}"
        bears = (int(result.settled_loss), int(result.bearing_lots))
        if mirror.is_insolvent(holder) and bears != (row.settled, row.most_lots):
            yield f"{holder} bears in market {market} by {bears}, trades give {(row.settled, row.most_lots)}"


def funding_is_settled(moment: Moment) -> Findings:
    """INV-02: funding that is paid is what the position had not, to the atom."""
    effect, mirror = moment.effect, moment.mirror
    if effect.kind == F.FUNDING:
        index = mirror.markets[effect.market].funding_index
        if (effect.market, effect.amount, effect.value) != (moment.event.market, moment.event.amount, index + moment.event.amount):
            yield f"{effect}: the index is {index}"
    if effect.kind != F.POSTING or effect.code != C.FUNDING:
        return
    if effect.market == NONE:
        return  # the transfer says whose it is
    pays = effect.account == funding_of(effect.market)
    holder = effect.other if pays else effect.account
    unpaid = mirror.holding(holder, effect.market).funding
    right = unpaid if funding_of(effect.market) in (effect.account, effect.other) else 0
    if (-effect.amount if pays else effect.amount) != right:
        yield f"{effect}: unpaid is {unpaid}"


def funding_scan(moment: Moment) -> Findings:
    """INV-02: the funding account of a market has what payers settled and payees did not, and of
    rounding less than an atom a settling; what is settled up to where, the effects give.
    """
    state, mirror = moment.state, moment.mirror
    for market, row in enumerate(mirror.markets):
        told = {holder: held[market] for holder, held in mirror.positions.items() if market in held}
        owed = -sum(each.lots * (row.funding_index - each.settled_index) for each in told.values())
        left = mirror.ledger[funding_of(market)] * FUNDING_PARTS - owed
        if not 0 <= left <= FUNDING_PARTS * mirror.settlings[market]:
            yield f"funding of market {market}: {left} parts left after {mirror.settlings[market]} settlings"
        if int(state.markets[market].funding_index) != row.funding_index:
            yield f"funding index of market {market}: {state.markets[market].funding_index}, told {row.funding_index}"
        for place in range(int(state.engine[0].positions_now)):
            kept = state.positions[place]
            index = int(state.results[place].settled_index)
            if int(kept.market) == market and kept.lots and index != told[int(kept.account)].settled_index:
                yield f"{kept.account} is settled up to {index} in market {market}, told {told[int(kept.account)].settled_index}"


# -- INV-03: a closing action never increases or flips ---------------------------------------------


def closing_reduces(moment: Moment) -> Findings:
    """INV-03: trades of every closing stage reduce the position; an order or an offer asks for no
    more than the position has.
    """
    effect, mirror = moment.effect, moment.mirror
    closing = effect.kind == F.TRADE and effect.code in (C.CLOSEOUT, C.ADL, C.TEAR_UP, C.DISPOSAL)
    if effect.code in (C.CLOSEOUT, C.DISPOSAL) and effect.account < 0:
        closing = False  # OUTSIDE is the book that takes the lots, it closes nothing
    sends = effect.kind in (F.ORDER, F.OFFER)
    if closing or sends or effect.kind == F.TAKEOVER:
        held = mirror.held_lots(effect.account, effect.market)
        others = [order for order in mirror.orders_of(effect.account) if order.market == effect.market] if sends else []
        asked = abs(effect.lots) + sum(order.remaining for order in others)
        if held * effect.lots >= 0 or asked > abs(held):
            yield f"{effect} against a position of {held}, {len(others)} orders open"
        if others and (effect.kind == F.ORDER or any(order.kind != TAKEOVER_OFFER for order in others)):
            yield f"{effect}: the position has an open order already"


def orders_scan(moment: Moment) -> Findings:
    """INV-03: what open orders may still fill reduces, and the engine's orders are those that it
    told.
    """
    mirror, state = moment.mirror, moment.state
    still_open: dict[tuple[int, int], int] = {}
    for number, order in mirror.orders.items():
        held = mirror.held_lots(order.account, order.market)
        if order.is_open and order.remaining:
            place = (order.account, order.market)
            still_open[place] = still_open.get(place, 0) + order.remaining
            if held * order.lots >= 0 or still_open[place] > abs(held):
                yield f"order {number} would still trade {order.remaining} of {order.lots} against {held}, with others {still_open[place]}"
    is_open = {number: order for number, order in mirror.orders.items() if order.is_open}
    told = {number: (order.account, order.market, order.remaining, order.kind, order.provider) for number, order in is_open.items()}
    rows = [
        [int(row[name]) for name in ("id", "account", "market", "lots", "filled", "kind", "provider")]
        for row in state.orders
        if row.is_open
    ]
    kept = {row[0]: (row[1], row[2], abs(row[3]) - row[4], row[5], row[6]) for row in rows}
    if told != kept:
        yield f"open orders differ from effects: {told} told, {kept} kept"


# -- INV-04: nobody below maintenance is unflagged -------------------------------------------------


def health_is_told(moment: Moment) -> Findings:
    """INV-04: a change of health names the old one, and equity and maintenance as they are."""
    effect, mirror = moment.effect, moment.mirror
    released = any((row.kind, row.code) == (F.GUARD, Guard.RELEASED) for row in moment.effects)
    # A released mark is judged before the mark of the event itself is set.
    if effect.kind == F.HEALTH and not released:
        right = (mirror.health[effect.account], mirror.equity(effect.account), mirror.maintenance(effect.account))
        if (effect.other, effect.amount, effect.value) != right:
            yield f"{effect}: health, equity and maintenance are {right}"


def health_scan(moment: Moment) -> Findings:
    """INV-04: stored health is what equity and maintenance of the engine's own rows say, for every
    account; it asks for no result.
    """
    state, mirror = moment.state, moment.mirror
    holdings: list[list[Holding]] = [[] for _ in mirror.accounts]
    for place in range(2 * len(state.markets), int(state.engine[0].positions_now)):
        row = state.positions[place]
        if row.account == NONE:
            continue
        number = int(row.market)
        market = state.markets[number]
        contract = Contract(mirror.rules.markets[number], int(market.mark_ticks), funding_index=int(market.funding_index))
        settled = int(state.results[place].settled_index)
        kept_ppm = PPM - int(state.relieved[place])
        holding = Holding(number, contract, int(row.lots), int(row.cost), 0, settled_index=settled, kept_ppm=kept_ppm)
        holdings[int(row.account)].append(holding)
    for account, held in enumerate(holdings):
        standing = Portfolio(int(state.accounts[account].balance), tuple(held), mirror.levels_of(account)).standing
        health = int(state.accounts[account].health)
        right = standing.health_from(health)
        if bool(state.accounts[account].restricted) != mirror.accounts[account].restricted:
            yield f"account {account}: restricted {state.accounts[account].restricted}, told otherwise"
        if health != right or health != mirror.health[account]:
            yield f"account {account}: health {health}, told {mirror.health[account]}, right {right}; {standing}"
