"""The rows of ``State``: layouts, and what stands in a field that is not a plain number.

Rows that the hot path touches are 64 bytes, one cache line.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from backstop.core.events import BreakerCause
from backstop.core.instruments import BANDS_MAX
from backstop.core.parameter_table import Scope, listed

__all__ = [
    "ACCOUNT",
    "ALL_SETTLED",
    "BEFORE_IN_MARKET",
    "BREAKER",
    "CLOSING_ORDER",
    "COMMITMENT",
    "DISPOSAL_ORDER",
    "DOWN",
    "ENGINE",
    "FILL_DEBT_COLUMNS",
    "FILL_GAUGE_COLUMNS",
    "FLAT_AFTER",
    "FLAT_BEFORE",
    "FLAT_EPOCH",
    "FREE_AFTER",
    "FUND_ROW",
    "FUND_SLOTS",
    "GONE",
    "GONE_EPOCH",
    "LINK_COLUMNS",
    "MARKET",
    "NOTED",
    "ORDER",
    "OWED",
    "POSITION",
    "PROVIDER",
    "RESULT",
    "RULES",
    "SETTLES_INSOLVENT",
    "SETTLES_REST",
    "STAGE",
    "TAKEOVER_OFFER",
    "TIER",
    "TRADED",
    "UNKNOWN_DEPTH",
    "UP",
    "AccountRow",
]

#: Slots of a fund's gauges: any span of 16 of them is covered by 17.
FUND_SLOTS = 17

#: Columns of ``State.fill_debts`` and of ``State.fill_gauges`` (see ``fill_debts``).
FILL_DEBT_COLUMNS, FILL_GAUGE_COLUMNS = 6, 4

#: Kinds of ORDER rows.
CLOSING_ORDER, TAKEOVER_OFFER, DISPOSAL_ORDER = 0, 1, 2

#: How far the settlement of a market is (``BREAKER.settlement``).
TRADED, SETTLES_INSOLVENT, SETTLES_REST, ALL_SETTLED = 0, 1, 2, 3

#: Visible depth of a band that proved wrong and has not been told anew.
UNKNOWN_DEPTH = -1

#: Index of a position's two triggers.
DOWN, UP = 0, 1


def _row(*fields: tuple[str, str] | tuple[str, str, tuple[int, ...]]) -> Any:
    return np.dtype((np.record, list(fields)))


def _rules_of(scope: Scope) -> list[tuple[str, str]]:
    """Return a field for each rule of a scope."""
    return [(each.field, "<i8") for each in listed(scope)]


#: One account, 64 bytes. ``balance`` is the ledger's own storage of it.
ACCOUNT = _row(
    ("balance", "<i8"),
    ("default_since_ns", "<i8"),
    ("wait_until_ns", "<i8"),
    ("next_slice_ns", "<i8"),
    ("claim", "<i8"),  # recovery claims on all groups
    ("round_stamp", "<i8"),  # the last round that holds this account
    ("owner", "<i4"),
    ("first_position", "<i4"),
    ("next_of_owner", "<i4"),
    ("health", "<i1"),
    ("restricted", "<i1"),
    ("orders_open", "<i2"),
)

#: What an account needs in default and healthy ones do not, 64 bytes: one line of memory for all of it.
DEFAULT = _row(
    ("returns", "<i8"),  # how often it came back to default
    ("ended_ns", "<i8"),  # when its last default ended with lots, or NONE
    ("carry_until_ns", "<i8"),  # until when it may be carried in this default; 0: it was not carried yet
    ("doubt_ns", "<i8"),  # for how long it waited for doubt in this default (see ``doubt``)
    ("doubt_since_ns", "<i8"),  # since when it does now, or NONE
    ("ordered_notional", "<i8"),
    ("ordered_interval", "<i8"),  # number of the tumbling interval of the gauge above
    ("parked_turn", "<i8"),  # zero outside of an event (see ``waterfall.standing``)
)

#: One position of an account (or of OUTSIDE, error_inventory: ``account`` is then their ledger id),
#: 64 bytes. A row stays for some time when its lots are gone (``position_rows``), of a free one the
#: account is NONE; an account's rows hang together in order of market.
#: The two triggers stand below (DOWN) and above (UP) the mark, each in the list of its price
#: bucket; a trigger of 0 is in no list.
POSITION = _row(
    ("lots", "<i8"),
    ("cost", "<i8"),
    ("account", "<i4"),
    ("market", "<i4"),
    ("next_of_account", "<i4"),
    ("next_of_market", "<i4"),
    ("order_slot", "<i4"),  # place of its first open order (the rest hang on it), or NONE
    ("closed_in_default", "<i4"),
    ("trigger_ticks", "<i4", (2,)),
    ("trigger_next", "<i4", (2,)),
    ("trigger_prev", "<i4", (2,)),
)

#: The result of the position in the same row of ``positions``: what it is measured from, and the
#: epoch of that number (see ``results``). Then, of an insolvent account, the part of the loss that
#: lots closed at zero cash took with them, and most lots of which the rest is the loss. Then how far
#: its funding is settled.
RESULT = _row(
    ("base_atoms", "<i8"),
    ("epoch", "<i8"),
    ("settled_loss", "<i8"),
    ("bearing_lots", "<i8"),
    ("settled_index", "<i8"),  # the market's funding index up to which the position has paid
)

#: Columns of ``State.links``: the row before it in its market; its neighbours among the flat rows, and
#: the epoch in which it was held last, plus 1 (0: it is held, or free); the next free row.
BEFORE_IN_MARKET, FLAT_BEFORE, FLAT_AFTER, FLAT_EPOCH, FREE_AFTER = 0, 1, 2, 3, 4
LINK_COLUMNS = 5
#: Rows of ``State.noted``, four a group: noted gain, gains that left, the epoch in which they did, and
#: what of the hole is owed, in parts of the fund's ``owed_sum``.
NOTED, GONE, GONE_EPOCH, OWED = 0, 1, 2, 3

#: One market: its rules, its prices, its gauges.
MARKET = _row(
    *_rules_of(Scope.MARKET),
    ("mark_ticks", "<i8"),
    ("index_ticks", "<i8"),
    ("epoch", "<i8"),  # number of the epoch of ``epoch_mark_ticks``, or NONE
    ("epoch_mark_ticks", "<i8"),  # the mark when that epoch began
    ("volume_lots", "<i8"),  # NONE until reported
    ("ordered_notional", "<i8"),
    ("ordered_interval", "<i8"),
    ("open_lots", "<i8"),  # lots of all holders that are long
    ("reserved", "<i8"),  # by its fund, for its orders and to carry accounts
    ("carried", "<i8"),  # of that, to carry accounts
    ("gap_atoms", "<i8"),  # noted gaps of insolvent accounts: sums of the columns of ``State.gaps``
    ("gap_lots", "<i8"),
    ("has_funding", "<i8"),  # a FUNDING event ever came
    ("funding_index", "<i8"),  # what a long lot has paid, in parts of an atom
    ("funding_index_max", "<i8"),
    ("funding_per_tick", "<i8"),  # so many parts of an atom a lot use up no more buffer than a tick does
    ("shift_ticks", "<i8", (2,)),  # funding as moves of the mark, for triggers: DOWN, UP
    ("bucket_first", "<i8"),
    ("price_ticks_most", "<i8"),  # no rule makes ``price_ticks_max`` higher
    ("relief_ends_ns", "<i8"),  # when the relief of its positions ends, or NEVER
    ("orders_open", "<i8"),  # orders and offers of all accounts
    ("pending_lots", "<i8", (2,)),  # lots open in closing orders that take BID, ASK
    ("disposed_lots", "<i8", (2,)),  # likewise in orders of disposal
    ("first_position", "<i4"),
    ("last_position", "<i4"),
    ("tier_first", "<i4"),
    ("tier_count", "<i4"),
    ("band_count", "<i8"),
    ("band_offset_ppm", "<i8", (BANDS_MAX,)),
    ("depth_lots", "<i8", (2, BANDS_MAX)),  # visible lots by book side and band
)

#: One asset: its rules.
ASSET = _row(
    *_rules_of(Scope.ASSET),
    ("first_group", "<i8"),  # the first of its market groups
)

#: One margin tier, its deductions worked out.
TIER = _row(
    *_rules_of(Scope.TIER),
    ("initial_deduction", "<i8"),
    ("maintenance_deduction", "<i8"),
)

#: One market group's insurance fund: its rules, and its peaks by slot of time (slot ``n`` stands at
#: ``n % FUND_SLOTS``). What it paid stands in ``State.gauges``.
FUND_ROW = _row(
    *_rules_of(Scope.GROUP),
    ("reserved", "<i8"),
    ("carried", "<i8"),  # of that, to carry accounts
    ("carry_last", "<i8"),  # the latest position that it carries, or NONE (see ``carries``)
    ("least_cap", "<i8"),  # the smallest of the caps on its payments
    ("claims", "<i8"),  # recovery claims on the group, of all accounts
    ("noted_gains", "<i8"),  # sum of the gains that are noted (see ``noted_gains``)
    ("owed_sum", "<i8"),  # of the hole, in parts: what all owe together, and what nobody does
    ("is_grown", "<i8"),  # this event left something uncovered
    ("hole_before", "<i8"),  # if so: the hole before
    ("peak_slot", "<i8"),
    ("balance_before", "<i8"),  # as of the end of the last event
    ("is_shifted", "<i8"),  # this event had CASH or RECOVERY of the fund
    ("shifted", "<i8"),  # the sum of both
    ("drawdown_level", "<i8"),
    ("peak", "<i8", (FUND_SLOTS,)),
)

#: One circuit breaker: a market's, or the venue's (the last row).
BREAKER = _row(
    ("state", "<i8"),
    ("cause", "<i8"),
    ("until_ns", "<i8"),
    ("levels", "<i8", (max(BreakerCause) + 1,)),  # by BreakerCause
    ("spent", "<i8"),  # sum of 2^(cause - 1)
    ("answered", "<i8"),  # likewise: whom the present stop is for
    ("is_dirty", "<i8"),
    ("operator_until_ns", "<i8"),
    ("grace_until_ns", "<i8"),  # when the grace after an outage ends; of a market, that after a stale feed
    ("flow_throttle", "<i8"),
    ("flow_halt", "<i8"),
    ("flow_window", "<i8"),  # number of the window of ``flow[0]``
    ("flow", "<i8", (2,)),  # notional liquidated in the present and the last window
    ("deficit_window", "<i8"),  # number of the window of ``deficit[0]``
    ("deficit", "<i8", (2,)),  # losses that nobody paid, in the present and the last window
    ("price_window", "<i8"),
    ("low_ticks", "<i8", (2,)),  # of the present and the last window
    ("high_ticks", "<i8", (2,)),
    ("price_signal_ppm", "<i8"),
    ("index_signal_ppm", "<i8"),
    ("mark_time_ns", "<i8"),  # of the last accepted mark, or NONE
    ("held_ticks", "<i8"),  # a mark that the price guard holds, or 0
    ("held_until_ns", "<i8"),
    ("held_for_ns", "<i8"),  # for how long the newest print was a held one, up to ``held_at_ns``
    ("held_lead_ns", "<i8"),  # of that, for how much longer it was of the level held than a rival
    ("held_at_ns", "<i8"),  # up to when both are counted
    ("is_held_newest", "<i8"),
    ("rival_ticks", "<i8"),  # the newest print where it is held and of another level, or 0
    ("is_continued", "<i8"),  # it is the second hold of a level
    ("held_first_ticks", "<i8"),  # the first print of the level held
    ("rival_first_ticks", "<i8"),  # likewise of the rival
    ("reference_ticks", "<i8"),  # the mark that jumps are measured from; 0 where the guard is off
    ("reference_at_ns", "<i8"),  # since when it is that
    ("undoubted_ticks", "<i8"),  # the mark before doubt about it began; 0: it is not doubted
    ("has_cancelled", "<i8"),  # the doubt is or was by more than the guard, and cancelled what was out
    ("is_awaited", "<i8"),  # an account waits for the end of a doubt, or for a mark
    ("doubted_ns", "<i8"),  # for how long it was doubted, less for how long it was not, at ``doubt_at_ns``
    ("doubt_at_ns", "<i8"),
    ("index_time_ns", "<i8"),  # of the last index, or NONE
    ("given_ticks", "<i8"),  # the price that an operator gave for a settlement, or 0
    ("settlement", "<i8"),  # TRADED and so on
    ("settle_next", "<i8"),  # the account that a settlement comes to next
    ("settled_ns", "<i8"),  # when it was done, or 0
)

#: One backstop provider: its rules and its standing.
PROVIDER = _row(
    ("account", "<i8"),
    ("status", "<i8"),
    ("until_ns", "<i8"),  # when the status ends
    ("failures", "<i8"),
    ("score_ppm", "<i8"),
    ("baseline", "<i8"),  # equity without which there is neither gain nor loss
    ("pending_initial", "<i8"),  # initial margin of offers that it has not answered
    ("pending_notional", "<i8"),
    *_rules_of(Scope.PROVIDER),
    ("is_due", "<i8"),  # its time to sell came in the present event
)

#: What a provider takes over of one group and direction: row
#: ``(provider x GROUPS_MAX + group) x 2 + direction``.
COMMITMENT = _row(
    *_rules_of(Scope.COMMITMENT),
    ("used", "<i8"),
    ("used_ns", "<i8"),
)

#: One closing order, offer or order of disposal (``kind``). A closed one stays until its place is
#: needed: a late fill still finds it.
ORDER = _row(
    ("id", "<i8"),
    ("lots", "<i8"),  # signed change of the position
    ("filled", "<i8"),  # lots > 0
    ("limit_ticks", "<i8"),
    ("zero_cash", "<i8"),
    ("reserved", "<i8"),
    ("account", "<i4"),
    ("position", "<i4"),  # while it is open; its row may be another's later
    ("market", "<i4"),
    ("is_open", "<i4"),
    ("kind", "<i4"),
    ("provider", "<i4"),
    ("next_of_position", "<i4"),
    ("commitment", "<i4"),
    ("cash", "<i8"),  # of an offer: what the account gets
    ("pending_initial", "<i8"),
    ("notional", "<i8"),
    ("sent_ns", "<i8"),
    ("joint", "<i8"),  # of an offer: the first of the joint offer that it is a part of; else 0
    ("expires_ns", "<i8"),  # of an offer: when it counts as not answered
    ("sent_event", "<i8"),  # the number of its event (``engine.accepted``)
    ("members", "<i4"),  # of the first of a joint offer: how many of it are open
    ("next_of_joint", "<i4"),  # the next one that was open when this was closed, or is
    ("prev_of_joint", "<i4"),
)

#: The engine's own scalars, one row.
ENGINE = _row(
    ("now_ns", "<i8"),
    ("last_seq", "<i8"),
    ("accepted", "<i8"),  # events that were not refused
    ("netted_event", "<i8"),  # the last one in which an owner was netted, or NONE
    ("debts", "<i8"),  # sum of all debts to funds, forgotten ones too
    ("life_ns", "<i8"),  # of the last sign of life of a market, or NONE
    ("accounts_now", "<i8"),
    ("positions_now", "<i8"),  # rows that were ever used, the house's included
    ("flat_first", "<i8"),  # rows that are not held, the longest flat first; 0: none (see ``position_rows``)
    ("flat_last", "<i8"),
    ("free_first", "<i8"),  # of the rows below ``positions_now`` that are free again; 0: none
    ("free_now", "<i8"),
    ("next_order_id", "<i8"),
    ("next_fill_debt", "<i8"),
    ("next_carry", "<i8"),  # number of the next position for which a fund begins to carry an account
    ("ordered_notional", "<i8"),
    ("interval", "<i8"),  # number of the tumbling interval of the gauge above
    ("claims", "<i8"),  # sum of all recovery claims
    ("recovery_ns", "<i8"),  # when claims are paid back next
    ("uncovered", "<i8"),  # what nobody paid of all groups' losses
    ("is_grown", "<i8"),  # this event left something uncovered in a group
    ("arrears_slot", "<i8"),  # slot of the funds at the last event, while something is uncovered
    ("timer_ns", "<i8"),  # no timer of a breaker, a guard or recovery is due before this
    ("settle_ns", "<i8"),  # no settlement begins or goes on before this
    ("dirty_now", "<i8"),  # breakers to settle at the end of the event
    ("round_number", "<i8"),
    ("waits_now", "<i8"),
    ("effects_now", "<i8"),
    ("effects_first", "<i8"),  # where those of the present event begin
    ("touched_now", "<i8"),
    ("parked_now", "<i8"),
    ("disposals_now", "<i8"),  # providers whose time to sell came in the present event
    ("taken_now", "<i8"),  # owners of whom others' defaults took lots in the present event
    ("refused", "<i8"),
    ("judged", "<i8"),
    ("crossed", "<i8"),
    ("noted_first", "<i8"),  # the first owner with noted gains, plus 1; 0: none
    ("insolvent_now", "<i8"),  # accounts that are INSOLVENT
    ("changes_now", "<i8"),  # changes of rules that wait
    ("reliefs_now", "<i8"),  # positions with relief from a change of margin
    ("rules_changed", "<i8"),  # changes of rules that took effect
)

#: The venue's rules that are not a market's, one row: those of the venue file, then what follows
#: from them.
RULES = _row(
    *_rules_of(Scope.VENUE),
    ("fund_turn", "<i8"),  # row of ``fund`` in ``State.stages``, or NONE
    ("socialise_turn", "<i8"),  # row of ``socialise``, or NONE
    ("forced_ns", "<i8"),  # after a default began, doubt apart: from then on nothing is waited for
    ("has_restrict", "<i8"),  # ``restrict`` stands among the stages
    ("fund_supports", "<i8"),  # it stands before ADL: it supports the closing of insolvent accounts
    ("groups", "<i8"),
    ("providers", "<i8"),
    ("vault", "<i8"),  # number of the venue vault, or NONE
    ("joint_most", "<i8"),  # most open offers of a joint offer
    ("markets", "<i8"),
    ("assets", "<i8"),
)

#: One turn of the waterfall, in the venue's order. A stage may have more than one.
STAGE = _row(
    ("kind", "<i8"),
    ("policy", "<i8"),  # of ADL and of socialise: which of their policies
    ("is_joint", "<i8"),  # the stage takes all accounts of the event at once
    ("is_last_resort", "<i8"),  # a solvent account is carried instead where a fund stands for it
    ("from_health", "<i8"),  # the turn is for accounts between these two levels of health
    ("until_health", "<i8"),
    ("deadline_ns", "<i8"),  # after a default began: from then on nobody waits in this turn
    ("interval_ns", "<i8"),  # between two attempts
    ("answer_timeout_ns", "<i8"),  # how long its orders or offers stand
)


class AssetRow(Protocol):
    """Fields of an ``ASSET`` row."""

    minimum_notional: int
    account_notional_max: int
    owner_loss_max: int
    deficit_halt: int
    parts_min_notional: int
    first_group: int


class AccountRow(Protocol):
    """Fields of an ``ACCOUNT`` row."""

    balance: int
    default_since_ns: int
    wait_until_ns: int
    next_slice_ns: int
    claim: int
    round_stamp: int
    owner: int
    first_position: int
    next_of_owner: int
    health: int
    restricted: int
    orders_open: int
