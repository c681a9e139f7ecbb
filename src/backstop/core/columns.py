"""The columns of ``State.columns``: numbers that are no rows, by number of their column.

owner                columns                      they mean something
engine               OWNER_FIRST                  always; by owner
waits                WAIT_*                       always
fund, orders         OWNER_PAID*, OWNER_RESERVED  always; by owner
carries              OWNER_CARRIED,               always; by owner
                     OWNER_CARRY_LAST
debts                OWNER_DEBT                   always; by owner
debts                DEBT_PART                    while one account returns its debts
shortfalls           OWNER_RESULT                 while one withdrawal is checked; by market
noted_gains          OWNER_NOTED_NEXT             always; by owner
noted_gains          OWNER_GROUP_RESULT           while the gains of one group are noted; by owner
netting, claims,     NETTED_*                     while NETTED_EVENT is the event's number; by
monitor                                           owner
breakers             DIRTY                        to the end of the event
guard, doubt         MARK_BEFORE                  while timers run; by market
monitor, run         TOUCHED                      to the beginning of the next round
run                  ROUND_*                      while a round is sorted
run, turns           TURN_*                       while a round runs
standing             PARKED                       to the end of the event
monitor              CROSSED_*                    in ``apply_mark``, and while others judge holders
changes              RELIEF_MARGIN                while a change of margin acts; by account
closeout             SLICE_*                      while the slice of one account is planned
takeover             OFFER_*                      while one position is offered
counterparties       COUNTERPARTY_*               while adl or tear_up closes in one market
adl                  ADL_CAP, ADL_WEIGHT,         while one plan is made
                     ADL_CLASS, ADL_PART,
                     CLASS_ETA_*, DEFAULTER_*
adl                  OWNER_GAP*                   while the fund's part of a plan is split
joint_turn           JOINT_ACCOUNT, JOINT_PLACE,  while a joint turn runs
                     JOINT_CURSOR,
                     JOINT_IS_JUDGED
tear_up              TEAR_UP_WEIGHT               while one market is torn up
leaving              ORDER_SINCE                  while a joint turn runs; by account
leaving              ORDER_*                      while the order of one account's positions is found
ranking              OWNER_HEDGE, OWNER_HELD,     from ``sum_owners`` to the last ``class_of``
                     OWNER_HOLDERS, OWNER_GAIN
ranking              OWNER_EQUITY*                while OWNER_EQUITY_EVENT is the event's number;
                                                  by owner
water_filling        OWNER_EXPOSURE*              while OWNER_EXPOSURE_EVENT is the event's number;
                                                  by owner
water_filling        ADL_EXPOSURE, ADL_EQUITY     while one plan is made
candidates           OWNER_PLACE, GIVER_*,        while one plan is made
                     FILL_*
adl                  LINE_*, CLASS_LINE_*         while one plan is made
naked_legs           TAKEN_OWNER                  to the end of the event
naked_legs           OWNER_TAKEN_EVENT            while it is the event's number; by owner
naked_legs           LEG_*                        while one owner is told; by market
cover                PART_*, GROUP_*              in ``cover_deficit``, ``renew_parts`` and ``book_rest``
socialise            FOUND_*, PAYER_*, RECEIVER_* while those who won in one market are cut
                     OWNER_BEARER, OWNER_WON,
                     OWNER_OPEN, OWNER_NET_VALUE,
                     PURSE_ACCOUNT, GAVE_ACCOUNT
socialise            OWNER_PURSE*, ACCOUNT_FREE,  while OWNER_PURSE_TURN is the round's number; by
                     PURSE_NEXT                   owner, by account
socialise            CUT_PAID                     while CUT_EVENT is the event's number; by account
socialise            MARKET_LACKS                 while a turn's markets are counted; by market
socialise            CLAIM*                       in ``run_recovery``
whoever calls        SPLIT_*, SORT_*              from a split or a sort to the use of its result

A room writes to its own columns only. ``apply_mark``, a slice, an offer and the closing of a
position never run inside each other, so they share memory; so do ``socialise`` and
``run_recovery``. Nothing else does.
"""

from __future__ import annotations

__all__ = [
    "JOINT_ACCOUNT",
    "ACCOUNT_FREE",
    "ADL_ACCOUNT_OF",
    "ADL_CAP",
    "ADL_CLASS",
    "JOINT_CURSOR",
    "ADL_EQUITY",
    "ADL_EXPOSURE",
    "ADL_FIRST",
    "ADL_GIVEN",
    "ADL_LOTS",
    "ADL_OWNER",
    "ADL_PART",
    "JOINT_IS_JUDGED",
    "JOINT_PLACE",
    "ADL_WEIGHT",
    "CLAIM",
    "CLAIMANT",
    "CLAIM_PART",
    "CLASS_ETA_LOTS",
    "CLASS_ETA_WEIGHT",
    "CLASS_LINE_LEAST",
    "CLASS_LINE_LENGTH",
    "CLASS_LINE_LOTS",
    "CLASS_LINE_MEMBERS",
    "CLASS_LINE_POINT",
    "COLUMNS",
    "COUNTERPARTY_CASH",
    "COUNTERPARTY_LOTS",
    "COUNTERPARTY_POSITION",
    "CROSSED_ACCOUNT",
    "CROSSED_MERGE",
    "CROSSED_ORDER",
    "CUT_EVENT",
    "CUT_PAID",
    "DEBT_PART",
    "DEFAULTER_CASH",
    "DEFAULTER_CHARGE",
    "DEFAULTER_EQUITY",
    "DEFAULTER_GAP",
    "DEFAULTER_LOTS",
    "DEFAULTER_MAINTENANCE",
    "DEFAULTER_OWNER_LEFT",
    "DEFAULTER_POSITION",
    "DEFAULTER_SUPPORT",
    "DEFAULTER_SUPPORT_CAP",
    "DEFAULTER_WANTED",
    "DIRTY",
    "FILL_CANDIDATE",
    "FILL_CAP",
    "FILL_POSITION",
    "FOUND_ACCOUNT",
    "FOUND_POSITION",
    "GAVE_ACCOUNT",
    "GIVER_CANDIDATE",
    "GIVER_CAP",
    "LEG_IS_LISTED",
    "LEG_LOTS",
    "LEG_MARKET",
    "LEG_TAKEN",
    "GIVER_LEVERAGE",
    "GIVER_NEXT",
    "GROUP_LEFT",
    "GROUP_SHARE",
    "GROUP_WEIGHT",
    "LINE_BEGINS",
    "LINE_CANDIDATE",
    "MARKET_LACKS",
    "NETTED_CLAIM",
    "NETTED_EVENT",
    "NETTED_REST",
    "NETTED_SPARE",
    "OFFER_CAP",
    "OFFER_LOTS",
    "OFFER_PROVIDER",
    "OFFER_WEIGHT",
    "ORDER_COST",
    "ORDER_COST_BEFORE",
    "ORDER_MERGE",
    "ORDER_PLACE",
    "ORDER_POSITION",
    "ORDER_RANK",
    "ORDER_RELEASE",
    "ORDER_RELEASE_BEFORE",
    "ORDER_SINCE",
    "OWNER_BEARER",
    "OWNER_CARRIED",
    "OWNER_CARRY_LAST",
    "OWNER_DEBT",
    "OWNER_EQUITY",
    "OWNER_EQUITY_EVENT",
    "OWNER_EXPOSURE",
    "OWNER_EXPOSURE_EVENT",
    "OWNER_EXPOSURE_REST",
    "OWNER_FIRST",
    "OWNER_GAIN",
    "OWNER_GAP",
    "OWNER_GAP_BEFORE",
    "OWNER_GROUP_RESULT",
    "OWNER_HEDGE",
    "OWNER_HELD",
    "OWNER_HOLDERS",
    "OWNER_NET_VALUE",
    "OWNER_NOTED_NEXT",
    "OWNER_OPEN",
    "OWNER_PAID",
    "OWNER_PAID_NS",
    "OWNER_PLACE",
    "OWNER_PURSE",
    "OWNER_PURSES",
    "OWNER_PURSE_FREE",
    "OWNER_PURSE_TURN",
    "OWNER_RESERVED",
    "OWNER_RESULT",
    "OWNER_TAKEN_EVENT",
    "OWNER_WON",
    "PARKED",
    "PART_ATOMS",
    "PART_GROUP",
    "PART_MARKET",
    "PART_POSITION",
    "PART_SHARE",
    "PART_WEIGHT",
    "PAYER_CAP",
    "PAYER_CUT",
    "PAYER_OWNER",
    "PAYER_WEIGHT",
    "PURSE_ACCOUNT",
    "PURSE_NEXT",
    "RECEIVER_PART",
    "RECEIVER_POSITION",
    "RECEIVER_SHARE",
    "ROUND_ACCOUNT",
    "ROUND_EQUITY",
    "ROUND_MAINTENANCE",
    "ROUND_MERGE",
    "ROUND_ORDER",
    "SCRATCH_FIRST",
    "SLICE_CAP",
    "SLICE_COST",
    "SLICE_POSITION",
    "SLICE_RELEASE",
    "SORT_KEY",
    "SORT_MERGE",
    "SORT_ORDER",
    "SPLIT_HEAP",
    "SPLIT_REMAINDER",
    "TAKEN_OWNER",
    "TEAR_UP_WEIGHT",
    "TOUCHED",
    "TURN_ACCOUNT",
    "TURN_OUTCOME",
    "WAIT_ACCOUNT",
    "WAIT_TIME",
    "RELIEF_MARGIN",
]

#: By owner: its last account, or NONE.
OWNER_FIRST = 2
#: Heap of waits: time and account; an entry counts while it equals the account's own wait.
WAIT_TIME, WAIT_ACCOUNT = 3, 4
#: By owner: what funds paid for it, when last, what they reserve for it.
OWNER_PAID, OWNER_PAID_NS, OWNER_RESERVED = 5, 6, 7
#: By owner: what funds reserve to carry its accounts, and the latest position of that, or NONE.
OWNER_CARRIED, OWNER_CARRY_LAST = 0, 1

#: From here on, nothing outlives an event.
SCRATCH_FIRST = 8
#: Breakers to settle at the end of the event, in the order in which they became dirty.
DIRTY = 8
#: Accounts of the round that gathers; then the running round, with two columns for its order.
TOUCHED, ROUND_ACCOUNT, ROUND_EQUITY, ROUND_MAINTENANCE, ROUND_ORDER, ROUND_MERGE = 9, 10, 11, 12, 13, 14
#: By place of the running round: its accounts, the most urgent first, and what their stage answers.
TURN_ACCOUNT, TURN_OUTCOME = 15, 16
#: Accounts that stand at a joint turn (see ``waterfall.standing``).
PARKED = 17

#: Accounts whose trigger a mark crossed, and the order of their ids.
CROSSED_ACCOUNT, CROSSED_ORDER, CROSSED_MERGE = 19, 20, 21
#: Positions of an account that the book can take: row, most lots, margin released, cost.
SLICE_POSITION, SLICE_CAP, SLICE_RELEASE, SLICE_COST = 19, 20, 21, 22
#: Providers that can carry some of a position: number, most lots, weight, lots offered.
OFFER_PROVIDER, OFFER_CAP, OFFER_WEIGHT, OFFER_LOTS = 19, 20, 21, 22
#: Counterparties of a position: row, lots closed, the size of the cash for them.
COUNTERPARTY_POSITION, COUNTERPARTY_LOTS, COUNTERPARTY_CASH = 19, 20, 21
#: Candidates of ADL, an owner in a class each: most lots, weight, class, lots given.
ADL_CAP, ADL_WEIGHT, ADL_CLASS, ADL_PART = 22, 23, 24, 25
#: The same counterparties in tear-up: weight.
TEAR_UP_WEIGHT = 22

#: By owner: lots on the other side of the market at hand, of accounts not in default.
OWNER_HEDGE = 26
#: By ADL class: eta of the allocation, as lots over weight (0 / 0: everyone gave the whole cap).
CLASS_ETA_LOTS, CLASS_ETA_WEIGHT = 27, 28
#: Holders of a market with a loss, as they hang together: row of the position, account.
FOUND_POSITION, FOUND_ACCOUNT = 29, 30
#: Payers of a market's loss, by id: owner, most atoms, weight, atoms cut.
PAYER_OWNER, PAYER_CAP, PAYER_WEIGHT, PAYER_CUT = 31, 32, 33, 34
#: Accounts with claims, by id: account, claim, atoms paid back.
CLAIMANT, CLAIM, CLAIM_PART = 31, 32, 33

#: Scratch of ``allocate`` and ``split_by_largest_remainder``.
SPLIT_REMAINDER, SPLIT_HEAP = 35, 36
#: Keys, result and scratch of ``sort_places``.
SORT_KEY, SORT_ORDER, SORT_MERGE = 37, 38, 39
#: Parts of a deficit, in order of group and market, and their split in one group.
PART_GROUP, PART_MARKET, PART_ATOMS, PART_WEIGHT, PART_SHARE = 40, 41, 42, 43, 44
#: By group: its weight in the split of a deficit, its share, what is left of it.
GROUP_WEIGHT, GROUP_SHARE, GROUP_LEFT = 45, 46, 47
#: By owner: the sum of the debts of its accounts.
OWNER_DEBT = 48
#: By group: atoms that an account returns.
DEBT_PART = 49
#: By owner: the event in which it was last netted (``engine.accepted``), and where each walk over
#: its accounts goes on: those opened later have nothing above their release level (SPARE), no
#: equity above zero (REST), no claim (CLAIM).
NETTED_EVENT, NETTED_SPARE, NETTED_REST, NETTED_CLAIM = 50, 51, 52, 53
#: By market: the result of one owner.
OWNER_RESULT = 54
#: Defaulters of a joint plan, by id: row of the position, equity and maintenance of the account, lots
#: that should leave, that leave, the gap of these, the cap of the fund's part, the part, cash.
DEFAULTER_POSITION, DEFAULTER_EQUITY, DEFAULTER_MAINTENANCE = 55, 56, 57
DEFAULTER_WANTED, DEFAULTER_LOTS, DEFAULTER_GAP = 58, 59, 60
DEFAULTER_OWNER_LEFT, DEFAULTER_SUPPORT_CAP, DEFAULTER_SUPPORT, DEFAULTER_CHARGE = 61, 62, 63, 64
#: By owner: gaps of its accounts in the plan at hand, and of those before the one at hand.
OWNER_GAP, OWNER_GAP_BEFORE = 65, 66
#: Accounts that a joint turn takes, by id, with their places in it, and where each is in its
#: positions.
JOINT_ACCOUNT, JOINT_PLACE, JOINT_CURSOR = 67, 68, 69
#: By owner, of accounts not in default: lots on the side at hand, how many accounts hold lots, the
#: sum of their results; the owner's first candidate in the plan.
OWNER_HELD, OWNER_HOLDERS, OWNER_GAIN, OWNER_PLACE = 70, 71, 72, 73
#: By owner: equity of his accounts not in default, and the event of it (``engine.accepted`` + 1).
OWNER_EQUITY, OWNER_EQUITY_EVENT = 74, 75
#: The same candidates: owner (NONE: the house), lots, the first of its counterparties that gives.
ADL_OWNER, ADL_LOTS, ADL_FIRST = 76, 77, 78
#: The same counterparties as COUNTERPARTY_*: most lots, the owner's next one, the account's leverage.
GIVER_CAP, GIVER_NEXT, GIVER_LEVERAGE, GIVER_CANDIDATE = 79, 80, 81, 82
#: What is told of a plan, in that order: candidate, row, most lots. Of candidates: lots
#: given, the lowest id of the owner's accounts.
FILL_CANDIDATE, FILL_POSITION, FILL_CAP, ADL_GIVEN, ADL_ACCOUNT_OF = 83, 84, 85, 86, 87
#: The same parts as PART_*: row of the position, or NONE.
PART_POSITION = 88
#: Those who lack in a market, by id: row of the position, what they lack, what they get of it.
RECEIVER_POSITION, RECEIVER_PART, RECEIVER_SHARE = 89, 90, 91
#: Those on the line of a class, in its order: candidate, where it begins. By ADL class: how many they
#: are (0: there is no line), their shares, its length, the first point, the least that is asked for.
LINE_CANDIDATE, LINE_BEGINS = 92, 93
CLASS_LINE_MEMBERS, CLASS_LINE_LOTS, CLASS_LINE_LENGTH, CLASS_LINE_POINT, CLASS_LINE_LEAST = 94, 95, 96, 97, 98
#: The same candidates under ``water_filling``: exposure to the factor, equity. By owner: his exposure
#: to the factor in whole atoms and the rest in millionths, and the event of it (likewise).
ADL_EXPOSURE, ADL_EQUITY = 99, 100
OWNER_EXPOSURE, OWNER_EXPOSURE_REST, OWNER_EXPOSURE_EVENT = 101, 102, 103
#: By market: the mark before the timers of the event, where they changed it, else 0.
MARK_BEFORE = 104
#: By owner, of his positions in a market with a loss, accounts not in default: the first that bears a
#: cut, the sum of the results, what is open, the signed
#: notional of the net lots.
OWNER_BEARER, OWNER_WON, OWNER_OPEN, OWNER_NET_VALUE = 105, 106, 107, 108
#: By owner: the round in which his accounts were last looked at (``engine.round_number``), the first
#: that pays, how many there are, what they have above maintenance together.
OWNER_PURSE_TURN, OWNER_PURSE, OWNER_PURSES, OWNER_PURSE_FREE = 109, 110, 111, 112
#: By account: what it has above maintenance, the owner's next one that pays, what it paid of cuts in
#: an event, and the event of it.
ACCOUNT_FREE, PURSE_NEXT, CUT_PAID, CUT_EVENT = 113, 114, 115, 116
#: Accounts that may pay, as they are found; those that paid, in order.
PURSE_ACCOUNT, GAVE_ACCOUNT = 117, 118
#: By market: 1 where those taken lack something.
MARKET_LACKS = 119
#: By account: since when it was in default as the order of its positions was found, plus 1; 0: it is not.
ORDER_SINCE = 122
#: Positions of an account that may leave at a joint turn, in order of market: row, margin that it
#: releases, expected cost, rank; their places by rank, and scratch of the sort.
ORDER_POSITION, ORDER_RELEASE, ORDER_COST, ORDER_RANK, ORDER_PLACE, ORDER_MERGE = 123, 124, 125, 126, 127, 128
#: By rank: sums of cost and released margin, as a binary indexed tree.
ORDER_COST_BEFORE, ORDER_RELEASE_BEFORE = 129, 130
#: By place of a joint turn: 1 where the account was judged in it, and nothing of it moved since.
JOINT_IS_JUDGED = 131
#: By owner: the sum of his results in the markets of a group.
OWNER_GROUP_RESULT = 132
#: The margin of a position before its market's tiers changed; by account.
RELIEF_MARGIN = 133
#: Owners of whom others' defaults took lots, as they come; by owner: the event of it (``engine.accepted``).
TAKEN_OWNER, OWNER_TAKEN_EVENT = 134, 135
#: By market, of one owner's accounts not in default: net lots, those that an event took, whether it is
#: listed; the markets listed.
LEG_LOTS, LEG_TAKEN, LEG_IS_LISTED, LEG_MARKET = 136, 137, 138, 139
#: The defaulters of a tear-up (DEFAULTER_*): what each receives.
DEFAULTER_CASH = 18
#: By owner with noted gains: the next one plus 2, 1 behind the last; 0: nothing is noted.
OWNER_NOTED_NEXT = 140
COLUMNS = 141
