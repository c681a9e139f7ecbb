"""Every record that flows into the engine (events) and out of it (effects).

Both are fixed rows of 64 bytes, so that the same bytes are the hot path's input, the journal's blob
and the digest's material. What the columns of a row mean depends on its kind: ``core/kinds.py``
declares it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "EFFECT",
    "EVENT",
    "FEES",
    "FUND",
    "FUNDING_PARTS",
    "GROUPS_MAX",
    "HOUSE_FIRST_MARKET",
    "HOUSE_PER_MARKET",
    "NEVER_NS",
    "NONE",
    "REMAINDER",
    "UNCOVERED",
    "UNCOVERED_FIRST_GROUP",
    "WORLD",
    "ADL_IN_ORDER",
    "AdlClass",
    "AdlPolicy",
    "Answer",
    "BookSide",
    "BreakerCause",
    "BreakerState",
    "Cause",
    "Change",
    "Doubt",
    "EffectKind",
    "EffectRow",
    "EventKind",
    "EventRow",
    "Guard",
    "Health",
    "Operator",
    "ProviderStatus",
    "Reject",
    "Settlement",
    "SocialisePolicy",
    "Stage",
    "SupportLimit",
    "Transfer",
    "clearing_of",
    "error_inventory_of",
    "house_of_market",
    "is_clearing",
    "fund_of",
    "funding_of",
    "outside_of",
    "uncovered_of",
]

#: No account, no market, no counterpart.
NONE = -1
#: Later than every time.
NEVER_NS = (1 << 63) - 1

# Ledger accounts of the house have negative ids; -1 is NONE.
#: The other side of deposits and withdrawals.
WORLD = -2
#: The insurance fund of market group 0; those of the other groups: ``fund_of``.
FUND = -3
#: Units that rounding left over.
REMAINDER = -4
#: Deficit that nobody paid: its balance is minus what is missing.
UNCOVERED = -5
#: Trading fees that the venue earned.
FEES = -6
#: Most market groups, each with a fund.
GROUPS_MAX = 8
#: UNCOVERED of group ``n`` (above 0) is ``n`` below this; no market's ledger accounts reach it.
UNCOVERED_FIRST_GROUP = -65_536
#: From here down, four ledger accounts per market: clearing, OUTSIDE, error_inventory, funding.
HOUSE_FIRST_MARKET = -16
HOUSE_PER_MARKET = 4
#: A market's funding index counts parts of an atom a lot: so many make an atom.
FUNDING_PARTS = 1_000_000


def fund_of(group: int) -> int:
    """Return the ledger id of the insurance fund of a market group."""
    return FUND if group == 0 else FEES - 1 - group


def uncovered_of(group: int) -> int:
    """Return the ledger id of UNCOVERED of a market group: minus what nobody paid of its losses."""
    return UNCOVERED if group == 0 else UNCOVERED_FIRST_GROUP - group


def clearing_of(market: int) -> int:
    """Return the ledger id of ``clearing:<market>``."""
    return HOUSE_FIRST_MARKET - HOUSE_PER_MARKET * market


def outside_of(market: int) -> int:
    """Return the ledger id of OUTSIDE of a market: traders whom the engine does not know."""
    return clearing_of(market) - 1


def error_inventory_of(market: int) -> int:
    """Return the ledger id of ``error_inventory:<market>``: late fills that no position could
    take.
    """
    return clearing_of(market) - 2


def funding_of(market: int) -> int:
    """Return the ledger id of ``funding:<market>``: through it goes what longs and shorts pay each
    other by the funding index, until both sides have settled.
    """
    # Written out: kernels compile this function, and it must not call one that they do not.
    return HOUSE_FIRST_MARKET - HOUSE_PER_MARKET * market - 3


def house_of_market(ledger_id: int) -> tuple[int, int] | None:
    """Return the market of one of its ledger accounts, and which it is: 0 clearing, 1 OUTSIDE, 2
    error_inventory, 3 funding.

    None for a ledger id that belongs to no market.
    """
    if not UNCOVERED_FIRST_GROUP < ledger_id <= HOUSE_FIRST_MARKET:
        return None
    return divmod(HOUSE_FIRST_MARKET - ledger_id, HOUSE_PER_MARKET)


def is_clearing(ledger_id: int) -> bool:
    """Return whether this is a market's clearing account: what a trade realises comes from it."""
    found = house_of_market(ledger_id)
    return found is not None and clearing_of(found[0]) == ledger_id


class EventKind(IntEnum):
    """What happened."""

    ACCOUNT = 1
    TRANSFER = 2
    POSITION = 3
    FILL = 4
    MARK = 5
    INDEX = 6
    VOLUME = 7
    DEPTH = 8
    ORDER_FILL = 9
    ORDER_DONE = 10
    CLOCK = 11
    PROVIDER = 12
    ANSWER = 13
    OPERATOR = 14
    HEARTBEAT = 15
    FUNDING = 16
    PARAMETER = 17
    SETTLEMENT = 18
    LISTING = 19


class EffectKind(IntEnum):
    """What the outside must now do or know."""

    REFUSAL = 1
    HEALTH = 2
    RESTRICT = 3
    ORDER = 4
    CANCEL = 5
    TRADE = 6
    POSTING = 7
    RESERVE = 8
    ADL_PLAN = 9
    ADL_CLASS = 10
    ADL_FILL = 11
    TEAR_UP = 12
    RESIDUAL = 13
    BREAKER = 14
    OFFER = 15
    TAKEOVER = 16
    PROVIDER = 17
    HAIRCUT = 18
    CLAIM = 19
    GUARD = 20
    SUPPORT = 21
    FUNDING = 22
    CARRY = 23
    ADL_SCALE = 24
    DOUBT = 25
    FILL_DEBT = 26
    SETTLEMENT = 27
    ADL_OWNER = 28
    ADL_LINE = 29
    ADL_PICK = 30
    PARAMETER = 31
    RELIEF = 32
    NAKED_LEG = 33
    LISTING = 34


class Health(IntEnum):
    """State of an account; worse is larger."""

    HEALTHY = 0
    WARNED = 1
    DISTRESSED = 2
    CLOSE_OUT = 3
    INSOLVENT = 4


class Transfer(IntEnum):
    """Kind of a TRANSFER event."""

    #: Deposit or withdrawal; a withdrawal is refused beyond what initial margin leaves free.
    CASH = 0
    #: A funding payment: a fact, never refused for want of margin.
    FUNDING = 1
    #: A trading fee that the venue charged: never more than what equity there is.
    TRADING_FEE = 2
    #: From one account of an owner to another: money that stays with him.
    MOVE = 3


class Answer(IntEnum):
    """What a provider answers to an offer."""

    REFUSE = 0
    ACCEPT = 1


class Operator(IntEnum):
    """What an operator orders. Every stop ends by itself."""

    HALT = 1
    THROTTLE = 2
    REOPEN = 3
    PROVIDER_OFF = 4
    PROVIDER_ON = 5
    #: The price at which a market settles, should its doubt last.
    SETTLE_PRICE = 6
    #: The relief in a market ends, after a notice.
    END_RELIEF = 7


class BookSide(IntEnum):
    """Side of the visible book. A sell order takes BID depth, a buy order ASK depth."""

    BID = 0
    ASK = 1


class Cause(IntEnum):
    """Why a unit or a lot moved."""

    CASH = 1
    FUNDING = 2
    OPENING = 3
    FILL = 4
    CLOSEOUT = 5
    LIQUIDATION_FEE = 6
    SUPPORT = 7
    ADL = 8
    TEAR_UP = 9
    DEFICIT = 10
    UNCOVERED = 11
    ERROR_FILL = 12
    TAKEOVER = 13
    NETTING = 14
    HAIRCUT = 15
    RECOVERY = 16
    TRADING_FEE = 17
    DISPOSAL = 18
    #: A fund pays what a cap kept back from a loss of its group.
    ARREARS = 19
    #: What funds paid for an account goes back.
    DEBT_RETURN = 20
    #: What leaving beside the book costs a solvent account.
    CLOSING_CHARGE = 21
    #: Who gained by a fill pays what it made lacking, or cost beyond the band.
    FILL_DEBT = 22
    #: The market is settled: every position ends at one price.
    SETTLEMENT = 23
    #: Who takes gains out lends their share of what is uncovered in their group.
    GAIN_SHARE = 24
    #: An owner moves money from one account to another.
    MOVE = 25
    #: A part of the initial margin of new lots goes to the fund.
    CONTRIBUTION = 26


class SupportLimit(IntEnum):
    """What kept back the part of a gap that a fund did not pay."""

    #: Nothing: it paid the whole gap.
    COVERED = 0
    #: The venue's waterfall does not ask the fund in this stage.
    STAGE = 1
    #: Money that is reserved for orders and offers: more would be there without.
    RESERVED = 2
    #: What the fund has.
    BALANCE = 3
    #: The fund's limit per window.
    WINDOW = 4
    #: The limit of what the funds pay for one owner.
    OWNER = 5
    #: The limit per window of what is paid in one market.
    MARKET = 6


class Stage(IntEnum):
    """Stages of the waterfall."""

    RESTRICT = 1
    CLOSEOUT = 2
    FUND = 3
    TAKEOVER = 4
    ADL = 5
    SOCIALISE = 6
    TEAR_UP = 7


class InitialMargin(IntEnum):
    """How the initial margin of a position follows from the tiers of its market."""

    #: Each part of the notional at the rate of its own bracket.
    MARGINAL = 1
    #: The rate of the tier over the whole notional.
    TIER = 2
    #: The same, the tier by what all accounts of the owner hold in the market.
    OWNER = 3


class AdlPolicy(IntEnum):
    """How ADL chooses its weights."""

    #: Profitable counterparties by profit, the rest by lots.
    CAPPED_PRO_RATA = 1
    #: Whole caps, by rank: profit ratio x effective leverage, as most venues do.
    QUEUE = 2
    #: By lots.
    PRO_RATA = 3
    #: By lots x effective leverage.
    RISK_AWARE = 4
    #: Whole caps, in an order drawn from ``seq``.
    RANDOM = 5
    #: Leverage levelled from the top: each lot from whoever then has the most per equity.
    WATER_FILLING = 6


#: Policies that take whole caps one by one, in order of weight. The others share in proportion.
ADL_IN_ORDER = (AdlPolicy.QUEUE, AdlPolicy.RANDOM)


class SocialisePolicy(IntEnum):
    """Who bears what the fund could not pay."""

    #: Open gains in the markets of the default, in proportion.
    GAINS_HAIRCUT = 1
    #: Everyone with open interest there, by notional.
    OPEN_INTEREST = 2


class ProviderStatus(IntEnum):
    """Whether a backstop provider is asked."""

    UNBOUND = 0
    ON = 1
    #: Failed lately; asked again after a while.
    COOLING = 2
    #: Failed too often in a row, or switched off by an operator.
    OFF = 3
    #: Lost more than its loss stop.
    STOPPED = 4


class BreakerState(IntEnum):
    """State of a circuit breaker."""

    OPEN = 0
    THROTTLED = 1
    HALTED = 2
    REOPENING = 3


class BreakerCause(IntEnum):
    """Why a breaker stops; the order is the precedence."""

    PRICE = 1
    FLOW = 2
    DRAWDOWN = 3
    STALE = 4
    OPERATOR = 5
    OUTAGE = 6
    DEFICIT = 7
    INDEX = 8


class Guard(IntEnum):
    """What the price guard did with a mark."""

    HELD = 1
    CONFIRMED = 2
    RELEASED = 3
    DROPPED = 4
    #: Held once more for as long: other prints, or the index, spoke for another level.
    CONTINUED = 5
    #: A hold ended by time while the newest print was a held one: that print is held on.
    RENEWED = 6


class Doubt(IntEnum):
    """Why the venue doubts a mark; the order is the precedence."""

    #: It does not, any more.
    ENDED = 0
    #: The feed is silent, or came back a moment ago.
    STALE = 1
    #: The mark stands far from the index.
    INDEX = 2
    #: All markets were silent.
    OUTAGE = 3
    #: The price guard holds a mark.
    GUARD = 4


class Settlement(IntEnum):
    """Whose price a market is settled at; up to UNDOUBTED the order is the precedence."""

    #: All is settled: nobody has a position there any more.
    DONE = 0
    #: An operator gave it.
    OPERATOR = 1
    #: The index.
    INDEX = 2
    #: The last mark that was not doubted.
    UNDOUBTED = 3
    #: The venue gave it: a SETTLEMENT event.
    VENUE = 4


class Change(IntEnum):
    """What became of a change of a rule."""

    #: It waits for its time.
    WAITING = 0
    #: The rule has its new value.
    APPLIED = 1
    #: Its time came, and it would have contradicted another rule.
    DROPPED = 2


class AdlClass(IntEnum):
    """Classes of counterparties, asked in this order. CROSSED stands alone: defaulters of the other
    side.
    """

    LINKED = 0
    PROFITABLE = 1
    REST = 2
    HEDGE = 3
    HOUSE = 4
    CROSSED = 5


class Reject(IntEnum):
    """Why an event was refused. The order is the precedence: the first that holds is given."""

    SEQ_NOT_AFTER = 1
    UNKNOWN_KIND = 2
    TIME_OUT_OF_RANGE = 3
    UNKNOWN_MARKET = 4
    UNKNOWN_ACCOUNT = 5
    UNKNOWN_ORDER = 6
    UNKNOWN_OWNER = 7
    UNKNOWN_PROVIDER = 8
    UNKNOWN_CODE = 9
    ACCOUNT_NOT_NEXT = 10
    ACCOUNT_LIMIT = 11
    SAME_ACCOUNT = 12
    LOTS_OUT_OF_RANGE = 13
    PRICE_OUT_OF_RANGE = 14
    AMOUNT_OUT_OF_RANGE = 15
    NO_MARK = 16
    POSITION_EXISTS = 17
    POSITION_LIMIT = 18
    MARKET_HALTED = 19
    BALANCE_LIMIT = 20
    ACCOUNT_IN_DEFAULT = 21
    INSUFFICIENT_MARGIN = 22
    DEBT_TO_FUND = 23
    GAIN_HELD = 24
    FILL_HELD = 25
    MARKET_SETTLED = 26
    NOT_DOUBTED = 27
    #: The rule stays as it was when the engine began.
    RULE_IS_FIXED = 28
    #: Two rules would not fit each other.
    RULES_CONTRADICT = 29
    #: Too many changes wait for their time.
    CHANGE_LIMIT = 30
    #: A pocket has lots in its own market only, and a provider's account is no pocket.
    ACCOUNT_ISOLATED = 31
    #: Money is moved only between accounts of one owner.
    OTHER_OWNER = 32
    #: Nothing happens in a market that is not listed.
    MARKET_NOT_LISTED = 33
    #: It is listed already, or was settled a moment ago.
    MARKET_LISTED = 34
    #: Money of two assets would meet in one account, or in one owner.
    WRONG_ASSET = 35


_ROW = [("seq", "<i8"), ("time_ns", "<i8"), ("kind", "<i2"), ("code", "<i2"), ("market", "<i4")]
_ROW += [(name, "<i8") for name in ("account", "other", "lots", "price_ticks", "amount")]

#: One event, 64 bytes.
EVENT = np.dtype((np.record, _ROW))

_OUT = [("seq", "<i8"), ("kind", "<i2"), ("code", "<i2"), ("market", "<i4")]
_OUT += [(name, "<i8") for name in ("account", "other", "lots", "price_ticks", "amount", "value")]

#: One effect, 64 bytes. (seq of its event, place among that event's effects) is its idempotency
#: key.
EFFECT = np.dtype((np.record, _OUT))


class EventRow(Protocol):
    """Fields of an ``EVENT`` row."""

    seq: int
    time_ns: int
    kind: int
    code: int
    market: int
    account: int
    other: int
    lots: int
    price_ticks: int
    amount: int


class EffectRow(Protocol):
    """Fields of an ``EFFECT`` row."""

    seq: int
    kind: int
    code: int
    market: int
    account: int
    other: int
    lots: int
    price_ticks: int
    amount: int
    value: int


EventArray = NDArray[np.void]
EffectArray = NDArray[np.void]
