"""What must always hold, by id: each check says what is wrong in words, so that one event shows all
faults.

``START`` looks at an accepted event before its effects, ``BEFORE`` at an effect in the state just
before it, ``AFTER`` just after it, ``SCAN`` at the whole engine once the event is through.
"""

from __future__ import annotations

from tests.properties import (
    books,
    carries,
    charges,
    commitments,
    debts,
    doubts,
    gains,
    naked_legs,
    order_of_payers,
    payments,
    rules_in_force,
    settlements,
    stops,
)
from tests.properties.moment import Check

__all__ = ["AFTER", "BEFORE", "IDS", "SCAN", "START"]

START: dict[str, list[Check]] = {
    "INV-05": [debts.withdrawals_leave_debts],
    "INV-07": [payments.fill_starts],
    "INV-08": [stops.no_risk_is_added],
    "promises": [commitments.standing_is_told],
}
BEFORE: dict[str, list[Check]] = {
    "INV-01": [books.posting_moves_money],
    "INV-02": [books.funding_is_settled],
    "INV-03": [books.closing_reduces],
    "INV-04": [books.health_is_told],
    "INV-05": [
        payments.orders_are_priced,
        payments.takeovers_are_priced,
        payments.fund_pays_the_insolvent,
        payments.fees_were_charged,
        payments.contributions_are_due,
        debts.funds_pay_what_lacks,
        debts.promises_are_freed,
        debts.debts_are_returned,
        debts.fill_debts_are_due,
        charges.charges_are_due,
    ],
    "INV-06": [order_of_payers.adl_is_as_planned, order_of_payers.trades_were_planned],
    "INV-07": [payments.gap_is_paid_in_order, payments.cuts_within_limits, gains.gains_are_lent],
    "INV-08": [
        doubts.nothing_is_forced,
        doubts.doubt_is_told,
        stops.breaker_takes_a_step,
        stops.guard_tells_the_move,
        settlements.settlement_is_told,
        settlements.settled_at_the_price,
    ],
    "INV-10": [rules_in_force.change_is_told, rules_in_force.listing_is_told, rules_in_force.nobody_sinks],
    "INV-11": [
        order_of_payers.closeout_came_first,
        carries.carry_came_first,
        carries.carry_is_due,
        carries.insolvent_come_before_carries,
        order_of_payers.fund_pays_before_others,
        order_of_payers.restricted_first,
        order_of_payers.takeover_came_first,
        order_of_payers.owners_pay_before_others,
        order_of_payers.only_owners_pay_for_each_other,
    ],
    "promises": [commitments.asked_within_reason, commitments.standing_follows, commitments.sold_behind_defaulters],
}
AFTER: dict[str, list[Check]] = {
    "INV-05": [payments.reservations_are_covered, debts.default_ends_without_spare],
    "INV-06": [order_of_payers.counterparties_keep_maintenance],
    "INV-07": [payments.cuts_leave_maintenance, gains.rates_do_not_rise],
    "INV-10": [rules_in_force.relief_is_told],
    "promises": [commitments.promises_hold],
}
SCAN: dict[str, list[Check]] = {
    "INV-01": [books.ledger_scan],
    "INV-02": [books.positions_scan, books.results_scan, books.funding_scan],
    "INV-03": [books.orders_scan],
    "INV-04": [books.health_scan],
    "INV-05": [payments.fund_scan, debts.debts_scan, debts.fill_debts_scan, charges.charges_scan, carries.carries_scan],
    "INV-06": [naked_legs.naked_legs_are_told],
    "INV-07": [payments.fill_is_supported, payments.claims_scan, gains.gains_scan, gains.shares_scan, payments.flat_accounts_owe_nothing],
    "INV-08": [stops.breakers_scan, doubts.doubts_scan, settlements.settlements_scan],
    "INV-10": [
        rules_in_force.change_is_answered,
        rules_in_force.listing_is_answered,
        rules_in_force.rules_scan,
        rules_in_force.relief_scan,
    ],
    "promises": [commitments.providers_scan, commitments.answers_are_joint],
}
IDS = ("INV-01", "INV-02", "INV-03", "INV-04", "INV-05", "INV-06", "INV-07", "INV-08", "INV-10", "INV-11", "promises")
