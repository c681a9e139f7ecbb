"""What a batch says of defaults: who came into default, what was closed of theirs, and who paid for
it.

A fold works each of these out once per batch: ``fold.once(closings)``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.events import AdlClass, Cause, Health, Stage
from backstop.core.kinds import (
    AdlFillEffect,
    AdlPlanEffect,
    Columns,
    HealthEffect,
    PostingEffect,
    ResidualEffect,
    TakeoverEffect,
    TearUpEffect,
    TradeEffect,
)
from backstop.runs.fold import Fold, Ints

__all__ = ["Closing", "Payment", "closings", "entries", "from_funds", "payments"]

#: Causes of what a fund pays for an account in default.
_FUND_PAYS = (Cause.SUPPORT, Cause.DEFICIT, Cause.TEAR_UP)


class Closing(NamedTuple):
    """Positions of accounts in default that one stage closed."""

    stage: Stage
    seq: Ints
    account: Ints
    market: Ints
    #: The price: of the fill on the book, of the cash of a takeover, elsewhere the mark.
    ticks: Ints
    #: Worth [atoms]: at fill prices on the book, at mark elsewhere.
    notional: Ints


class Payment(NamedTuple):
    """What others paid for accounts in default, by the stage that made them pay; None: what nobody
    paid. Money in atoms.
    """

    stage: Stage | None
    defaulter: Ints
    amount: Ints


def entries(fold: Fold) -> HealthEffect[Columns]:
    """Return the changes of health by which accounts came into default."""
    rows = fold.rows(HealthEffect[Columns])
    return rows.where((rows.health >= Health.DISTRESSED) & (rows.old_health < Health.DISTRESSED))


def from_funds(fold: Fold) -> PostingEffect[Columns]:
    """Return the postings by which a fund paid for an account in default."""
    rows = fold.rows(PostingEffect[Columns])
    return rows.where(np.isin(rows.payer, fold.funds) & np.isin(rows.cause, _FUND_PAYS))


def closings(fold: Fold) -> list[Closing]:
    """Return what was closed, by stage, in the order of the waterfall."""
    trades = fold.rows(TradeEffect[Columns])
    fills = trades.where((trades.cause == Cause.CLOSEOUT) & (trades.account >= 0))
    plans, torn = fold.rows(AdlPlanEffect[Columns]), fold.rows(TearUpEffect[Columns])
    return [
        _closing(fold, Stage.CLOSEOUT, fills, fills.price_ticks, fills.price_ticks),
        _taken_over(fold),
        _closing(fold, Stage.ADL, plans, plans.mark_ticks, plans.mark_ticks),
        _crossed(fold),
        _closing(fold, Stage.TEAR_UP, torn, torn.mark_ticks, torn.mark_ticks),
    ]


def _crossed(fold: Fold) -> Closing:
    """Return what ADL closed of defaulters whose lots others in default took: they have no plan of
    their own.
    """
    fills = fold.rows(AdlFillEffect[Columns])
    crossed = fills.where(fills.adl_class == AdlClass.CROSSED)
    ticks = fold.mark.at(crossed.seq, crossed.market)
    return _closing(fold, Stage.ADL, crossed, ticks, ticks)


def _taken_over(fold: Fold) -> Closing:
    rows = fold.rows(TakeoverEffect[Columns])
    ticks = fold.contracts.ticks_of(rows.market, rows.lots, rows.cash)
    return _closing(fold, Stage.TAKEOVER, rows, ticks, fold.mark.at(rows.seq, rows.market))


Rows = TradeEffect[Columns] | AdlFillEffect[Columns] | TakeoverEffect[Columns] | AdlPlanEffect[Columns] | TearUpEffect[Columns]


def _closing(fold: Fold, stage: Stage, rows: Rows, ticks: Ints, worth_ticks: Ints) -> Closing:
    return Closing(stage, rows.seq, rows.account, rows.market, ticks, fold.notional(rows.market, rows.lots, worth_ticks))


def payments(fold: Fold) -> list[Payment]:
    """Return who paid for defaults, and at last what nobody paid."""
    paid, plans = fold.once(from_funds), fold.rows(AdlPlanEffect[Columns])
    postings, residuals = fold.rows(PostingEffect[Columns]), fold.rows(ResidualEffect[Columns])
    # Of those who are cut some pay from their money: that goes to clearing, or to another account of
    # the owner, and comes from no clearing.
    borne = postings.where((postings.cause == Cause.HAIRCUT) & (postings.receiver >= 0) & (postings.payer < 0))
    # The defaulter's lots change by ``lots``: at mark that gives it minus their worth.
    beyond: NDArray[np.int64] = fold.contracts.beyond_mark(plans.market, plans.lots, plans.mark_ticks, plans.cash)
    return [
        Payment(Stage.FUND, paid.receiver, paid.amount),
        Payment(Stage.ADL, plans.account, beyond),
        Payment(Stage.SOCIALISE, borne.receiver, borne.amount),
        Payment(None, residuals.account, residuals.amount),
    ]
