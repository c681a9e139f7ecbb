"""One mutation of each rule: random streams must notice that the reference follows another rule.

``python -m tests.rule_mutations`` runs streams through the engine and records what they said. Then
it changes one place of the reference at a time, and runs the same streams through that until an
effect or a digest differs. A mutation that no stream notices means that no stream reaches the rule.
``--only NAME`` runs one; the exit code is 1 where one went unnoticed.
"""

from __future__ import annotations

import argparse
import gc
import importlib.abc
import importlib.machinery
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

from backstop.core.events import EffectKind
from backstop.core.instruments import VenueRules

__all__ = ["MUTATIONS", "Mutation", "mutated", "recorded", "run_all"]

REFERENCE = Path(__file__).parent.parent / "src" / "backstop" / "reference"
#: In place of a stream: none noticed the mutation.
UNNOTICED = -1
#: Digests are compared after so many events, and where the price guard holds.
DIGEST_EVERY = 16
#: Streams that a process records at a time.
_BLOCK = 100


class Recorded(NamedTuple):
    """What the engine said of one stream, in plain tuples: no class of the reference is among them,
    which each mutation loads anew.
    """

    rules: VenueRules
    events: tuple[tuple[int, ...], ...]
    #: By event. Fewer than events where the engine stopped at its limit of effects.
    effects: tuple[tuple[tuple[int, ...], ...], ...]
    #: By place of an event.
    digests: dict[int, str]


class Mutation(NamedTuple):
    """A rule, and one place of the reference where another stands in its stead."""

    name: str
    #: Module of ``backstop.reference``.
    module: str
    was: str
    becomes: str
    #: Where the rule is reached so rarely that only streams that all look into this corner notice it.
    profile: str = ""


#: One for each rule, in the order of docs/rules.md.
MUTATIONS: tuple[Mutation, ...] = (
    Mutation("result-is-not-reset-by-a-trade", "margin", "base = self.base - cash", "base = self.base - cash // 2"),
    Mutation("a-position-bears-at-most-its-loss", "margin", "min(gap, sum(losses.values())), losses)", "gap, losses)"),
    Mutation("the-rest-goes-by-maintenance", "margin", "each.margin if self.maintenance else", "each.notional if self.maintenance else"),
    Mutation("relief-is-for-who-would-sink", "parameters", "kept and sinks)", "kept)"),
    Mutation(
        "relief-keeps-the-margin-of-before", "parameters", "kept * PPM // holding.full_margin", "kept * PPM // (holding.full_margin + 1)"
    ),
    Mutation("relief-ends-by-more-risk", "state", "abs(lots) > abs(lots_before) or lots", "lots"),
    Mutation(
        "relief-ends-when-it-is-flat",
        "state",
        "        if not lots:\n            self.end_relief(holder, [market])",
        "        if not lots:\n            pass",
    ),
    Mutation("who-lives-by-relief-is-warned", "margin", "max(self.warning, self.sound)", "self.warning"),
    Mutation(
        "relief-ends-where-he-is-sound",
        "state",
        "if new == Health.HEALTHY:\n            self.end",
        "if new == Health.HEALTHY and False:\n            self.end",
    ),
    Mutation(
        "relief-shrinks-with-the-lots",
        "margin",
        "self.side * closed)) * self.kept_ppm, PPM)",
        "self.side * closed)) * PPM, PPM)",
    ),
    Mutation("a-notice-ends-relief", "parameters", "if ends_ns <= state.now", "if ends_ns < state.now"),
    Mutation(
        "levels-judge-everybody",
        "parameters",
        "judge_accounts(state, [number for number in range(len(state.accounts)) if state.held_markets(number)])",
        "pass",
    ),
    Mutation("the-last-word-counts", "parameters", "if other.place != change.place]\n    if change", "]\n    if change"),
    Mutation("a-change-that-contradicts-is-dropped", "parameters", "state.now) and _holds(_with(state.rules, change)):", "state.now):"),
    Mutation("a-fixed-rule-of-a-closed-market-changes", "parameters", "is_fixed and not (is_of_market and", "is_fixed and not (False and"),
    Mutation("a-settled-market-waits-an-epoch", "listing", ">= state.rules.epoch_ns", ">= 0"),
    Mutation("a-listed-market-has-no-mark", "listing", "state.markets[market] = state.new_market(market)", "pass"),
    Mutation("a-listed-market-has-a-new-machine", "listing", "[market] = Breaker()", "[market].settlement = TRADED"),
    Mutation("what-the-fund-paid-for-a-market-stays", "listing", "state.markets[market].paid = paid", "pass"),
    Mutation("a-settled-market-is-not-listed", "listing", "market, is_listed=0)", "market, is_listed=1)"),
    Mutation(
        "what-is-listed-fits-together",
        "listing",
        "if each.is_listed or number == event.market]",
        "if number == event.market]",
        profile="listings",
    ),
    Mutation("the-venue-settles-at-its-price", "settlement", "VENUE, event.price_ticks)", "VENUE, state.markets[event.market].mark or 1)"),
    Mutation("a-change-of-flow-is-settled", "parameters", "if rule.parameter.name in _OF_FLOW:", "if False:"),
    Mutation("initial-margin-at-the-tier-of-the-whole", "margin", "!= InitialMargin.MARGINAL)", "== InitialMargin.MARGINAL)"),
    Mutation("initial-margin-by-owner", "margin", "self.notional_of(lots + others_lots)", "self.notional_of(lots)"),
    Mutation("initial-margin-by-open-interest", "margin", "max(0, self.interest - lower) * PPM", "max(0, self.interest - upper) * PPM"),
    Mutation("a-fund-promises-what-is-not-reserved", "funds", "self.balance - self.reserved -", "self.balance -"),
    Mutation("a-cap-by-market", "funds", "self.market_loss_max - self.market_paid", "self.market_loss_max"),
    Mutation("arrears-count-for-the-owner", "funds", " - self.arrears_of_all,", ","),
    Mutation("adl-waits-for-what-is-reserved", "adl", "fund.available >= min(whole, fund.free) or", ""),
    Mutation(
        "they-wait-for-what-all-of-them-lack",
        "adl",
        "            if waits_for_reservation(state, account, market, whole):",
        "            if waits_for_reservation(state, account, market, gap):",
    ),
    Mutation(
        "the-fund-pays-before-counterparties",
        "wave",
        "each.beyond for each in supports)\n        if",
        "each.gap for each in supports)\n        if",
    ),
    Mutation("what-comes-later-may-come-first", "wave", "if place_in_order(better, cost) < place:", "if False:"),
    Mutation("support-is-split-by-gap", "wave", "{each: gaps[each] for each in able}, able)", "{each: 1 for each in able}, able)"),
    Mutation(
        "lots-are-split-by-what-is-wanted",
        "wave",
        "shares = split(lots, self.wanted)",
        "shares = split(lots, dict.fromkeys(self.wanted, 1))",
    ),
    Mutation("owners-are-netted-before-a-fund-pays", "paying", "    net_linked_owners(state, account)\n    paid =", "    paid ="),
    Mutation("what-a-fund-pays-is-a-debt", "paying", "debt = paid - set_off(", "debt = 0 * set_off("),
    Mutation("claims-are-set-off", "paying", "if part:\n            change_claim", "if part > 1_000:\n            change_claim"),
    Mutation(
        "each-group-pays-its-own-losses",
        "deficit",
        "net[group_of(market)] = net.get(group_of(market), 0) - result",
        "net[0] = net.get(0, 0) - result",
    ),
    Mutation(
        "arrears-within-the-least-cap",
        "arrears",
        "min(state.uncovered(group), state.unreserved(group), left)",
        "min(state.uncovered(group), state.unreserved(group))",
    ),
    Mutation("what-was-won-is-asked-when-it-is-realised", "loss", "max(0, sum(each.holding.result for each in stakes), ", "max(0, "),
    Mutation("what-tear-up-realised-counts", "loss", "return self.realised + (", "return ("),
    Mutation("the-losing-side-is-not-asked", "loss", "(min(0, profit) if self.holding.is_of_losing_side else profit)", "profit"),
    Mutation("open-interest-counts-what-tear-up-took", "loss", "each.holding.lots + each.torn)", "each.holding.lots)"),
    Mutation(
        "free-equity-is-the-owners", "loss", "sum(purse.free for purse in purses)", "max((purse.free for purse in purses), default=0)"
    ),
    Mutation(
        "the-largest-free-equity-pays-first", "loss", "key=lambda each: (-each.before, each.account)", "key=lambda each: each.account"
    ),
    Mutation(
        "who-won-bears-what-another-account-pays",
        "loss",
        "return Bearer(payer if payer in ahead else ahead[0], True)",
        "return Bearer(payer, True) if payer in ahead else Bearer(mine[0].account, False)",
    ),
    Mutation("losses-of-the-losing-side-count", "loss", "(min(0, profit) if", "(0 if"),
    Mutation("markets-share-the-room", "socialise", "// (16 * markets)", "// 16"),
    Mutation("a-cut-is-split-by-what-each-lacks", "loss", "split(self.paid, self.parts)", "split(self.paid, dict.fromkeys(self.parts, 1))"),
    Mutation("lots-end-at-zero-as-the-fund-pays", "tear_up", "abs(torn.lots) * torn.support.amount // gap if gap else", ""),
    Mutation("deficit-counts-what-no-fund-will-pay", "arrears", "if not will_be_paid(state, group):", "if True:"),
    Mutation("an-unknown-book-is-tried", "closing", "return self.awaits_depth and self.probes", "return False"),
    Mutation(
        "a-part-of-a-book-is-tried",
        "closing",
        "self.slice.is_unknown and self.slice.visible < self.least",
        "self.slice.is_unknown and self.slice.visible == 0",
    ),
    Mutation("probes-end-at-the-deadline", "closeout", "not behind and state.now < state.deadline(account)", "not behind"),
    Mutation("a-slice-below-the-minimum-sends-it", "closing", "if 0 < left < self.least <=", "if left < 0 and self.least <="),
    Mutation("what-nobody-holds-does-not-come-back", "closing", "if self.slice.pending else OrderStop.BELOW_MINIMUM", ""),
    Mutation("a-cap-leaves-no-less-than-the-minimum", "closing", "if self.cap() < self.least else", "if self.cap() <= 0 else"),
    Mutation("the-book-goes-first", "book_first", "self.takeover is not None and self.book < self.takeover", "False"),
    Mutation("the-book-goes-first-where-it-costs-less", "book_first", "and self.book < self.takeover", ""),
    Mutation("the-book-against-the-least-edge", "book_first", "min(edges_ppm, default=None)", "max(edges_ppm, default=None)"),
    Mutation(
        "the-book-shows-all-that-is-needed", "closing", "0 < lots <= shown and lots == needed", "0 < lots == needed", profile="book_first"
    ),
    Mutation("one-order-is-all-that-is-needed", "closing", "0 < lots <= shown and lots == needed", "0 < lots <= shown"),
    Mutation("the-book-goes-first-before-the-deadline", "book_first", "or state.now >= state.deadline(account) or", "or"),
    Mutation("the-closing-charge", "charge", "if equity < 0:", "if equity >= 0:"),
    Mutation("the-charge-less-what-takeover-takes", "charge", "- max(0, taken)), max(0, equity - taken))", "), max(0, equity - taken))"),
    Mutation(
        "held-gains-are-the-owners",
        "shortfalls",
        "for account in state.accounts_of(owner):",
        "for account in state.accounts_of(owner)[:1]:",
    ),
    Mutation(
        "a-fund-pays-what-stands-uncovered-first",
        "shortfalls",
        "state.net_of_fund(group)",
        "state.unreserved(group)",
    ),
    Mutation("gains-leave-at-one-rate", "leaving", "state.hole(group), fund.owed_sum)", "state.hole(group), 2 * fund.owed_sum)"),
    Mutation("the-fund-shrinks-the-hole", "state", "return max(0, -self.net_of_fund(group))", "return self.uncovered(group)"),
    Mutation("what-a-fund-owes-is-not-there", "funds", "self.balance - self.reserved - self.uncovered,", "self.balance - self.reserved,"),
    Mutation("an-old-hole-keeps-its-owners", "leaving", "of_old = PARTS * old // hole if hole else PARTS", "of_old = 0"),
    Mutation("what-is-owed-for-a-lost-gain-is-nobodys", "leaving", "fund.owed.get(owner, 0) * kept // noted", "fund.owed.get(owner, 0)"),
    Mutation("what-leaves-takes-its-part", "leaving", "fund.owed_sum -= owed * amount // noted", "fund.owed_sum -= 0 * amount"),
    Mutation("what-leaves-owes-no-more", "leaving", "= owed * (noted - amount) // noted", "= owed"),
    Mutation(
        "who-is-carried-makes-no-hole",
        "state",
        "return self.unreserved(group) + self.carried_in(group) -",
        "return self.unreserved(group) -",
    ),
    Mutation(
        "nobody-waits-for-who-is-carried",
        "fund",
        "return state.funds[group].reserved - state.carried_in(group)",
        "return state.funds[group].reserved",
    ),
    Mutation(
        "losses-in-default-count",
        "socialise",
        "if market in state.positions[number]]",
        "if market in state.positions[number] and not state.accounts[number].in_default]",
    ),
    Mutation("own-money-leaves-first", "leaving", "max(0, still_there(state, owner) - rest)", "still_there(state, owner)"),
    Mutation("new-money-is-no-gain", "leaving", "state.own[owner] += amount", "state.own[owner] += 0 * amount"),
    Mutation("a-loss-takes-gains-first", "leaving", "wealth(state, owner) - state.own.get(owner, 0)))", "wealth(state, owner)))"),
    Mutation("own-money-is-used-up", "leaving", "max(0, min(state.own.get(owner, 0), left))", "state.own.get(owner, 0)"),
    Mutation("what-is-lost-is-noted-no-more", "leaving", "kept = min(noted, left)", "kept = noted"),
    Mutation("what-left-is-not-noted-again", "leaving", "result - fund.gone.get(owner, 0)", "result"),
    Mutation("what-was-noted-stays", "leaving", "max(fund.noted.get(owner, 0), result", "max(0, result"),
    Mutation("nothing-is-noted-once-nothing-is-uncovered", "state", "if self.uncovered(group) == 0:", "if False:"),
    Mutation("carry-needs-what-a-move-would-cost", "carry", ") - portfolio.equity)\n", "))\n"),
    Mutation("carry-ends", "carry", "if now >= until or not fits(", "if not fits("),
    Mutation("carry-gives-way", "carry", ".available < least:", ".available < least and False:"),
    Mutation(
        "carry-gives-way-to-the-owner",
        "carry",
        "view.owner_reserved - state.carried_for(state.accounts[account].owner)",
        "view.owner_reserved",
    ),
    Mutation("the-last-carry-gives-way-first", "carry", "if is_of_owner else of_group)[-1]", "if is_of_owner else of_group)[0]"),
    Mutation("an-owners-cap-frees-his-own-carry", "carry", "(of_owner if is_of_owner", "(of_owner if is_of_owner and not of_group"),
    Mutation("a-lot-counts-by-half", "water_filling", "- (2 * number - 1) * self.lot", "- 2 * number * self.lot"),
    Mutation(
        "exposure-is-that-of-all-markets",
        "adl",
        "for market in state.held_markets(account)]\n    return",
        "for market in state.held_markets(account)[:1]]\n    return",
    ),
    Mutation("hedged-lots-come-after-net-ones", "wave", "exposure - contract.notional_of(before)", "exposure"),
    Mutation("what-was-given-counts-in-the-event", "state", "+= loading * self", "+= 0 * loading * self"),
    Mutation(
        "nobody-is-asked-below-the-minimum",
        "allocation",
        "if 0 < part < min(caps[holder], least)}",
        "if 1 < part < min(caps[holder], least)}",
    ),
    Mutation("a-plan-asks-so-many-owners", "wave", "ceil_div(lots, rules.counterparties_max) if", "0 if"),
    Mutation("who-gives-below-the-least-is-drawn", "allocation", "range(first, self.length, DRAW)", "range(0, self.length, DRAW)"),
    Mutation(
        "plans-of-an-event-draw-apart",
        "adl",
        "scramble(scramble(seq, market, adl_class), market, first)",
        "scramble(seq, market, adl_class)",
    ),
    Mutation("a-larger-exposure-is-told", "naked_legs", "if abs(after) <= abs(before):", "if abs(after) < abs(before):"),
    Mutation(
        "what-was-taken-counts",
        "naked_legs",
        "[leg.lots + leg.taken for leg in legs.values()]",
        "[leg.lots + 2 * leg.taken for leg in legs.values()]",
    ),
    Mutation("exposure-is-rounded-toward-zero", "naked_legs", "sign(parts) * (abs(parts) // PPM)", "parts // PPM"),
    Mutation("the-largest-leg-is-named", "naked_legs", "leg.exposure_of(leg.lots) * sign(after) for", "leg.exposure_of(leg.lots) for"),
    Mutation("the-hedge-is-named", "naked_legs", "leg.exposure_of(leg.taken) * -sign(after)", "leg.exposure_of(leg.taken) * sign(after)"),
    Mutation("accounts-in-default-have-no-exposure", "naked_legs", "each.owner == owner and not each.in_default]", "each.owner == owner]"),
    Mutation("tear-up-leaves-naked-legs", "tear_up", "state.note_taken(holder, market, -part)", "pass"),
    Mutation("opposite-defaulters-are-crossed", "adl", "        cross_defaulters(state, accounts, market)", "        pass"),
    Mutation(
        "those-who-lack-most-have-room",
        "engine",
        "!= turn}\n    in_order = by_lack if is_filling(state) or not has_room(state, accounts)",
        "!= turn}\n    in_order = by_lack if is_filling(state)",
    ),
    Mutation("the-level-that-was-newest-wins", "breakers", "if 2 * breaker.held_for < length or", "if 2 * breaker.held_for > length or"),
    Mutation(
        "a-disputed-level-is-held-once-more", "breakers", "or breaker.is_continued else Guard.CONTINUED", "or True else Guard.CONTINUED"
    ),
    Mutation("the-index-may-confirm-a-held-level", "breakers", "Guard.RELEASED if near or", "Guard.RELEASED if"),
    Mutation(
        "a-living-index-may-dispute-it", "breakers", "breaker.lead == length and index_is_dead(state, market)", "breaker.lead == length"
    ),
    Mutation("a-rival-takes-the-place-of-a-held-level", "breakers", "    if breaker.lead < 0:", "    if False:"),
    Mutation("a-second-hold-is-counted-anew", "breakers", "= until, 0, 0, True", "= until, breaker.held_for, breaker.lead, True"),
    Mutation(
        "a-level-is-near-its-first-print",
        "breakers",
        "elif is_near(state, market, price_ticks, breaker.held_first):",
        "elif is_near(state, market, price_ticks, breaker.held):",
    ),
    Mutation("a-rival-is-near-its-first-print", "breakers", "price_ticks, breaker.rival_first)", "price_ticks, breaker.rival)"),
    Mutation("jumps-are-measured-from-the-reference", "breakers", "price_ticks, breaker.reference):", "price_ticks, row.mark):"),
    Mutation("a-reference-gives-way-when-it-is-old", "breakers", "or not is_thin or is_old", "or not is_thin"),
    Mutation("what-is-left-of-a-hold-is-held-on", "breakers", "    if left:", "    if False:"),
    Mutation("a-rival-of-what-is-released-is-held-on", "breakers", "left = 0 if is_near(state, market, left, held) else left", "left = 0"),
    Mutation("a-jump-from-the-index-is-not-near-it", "breakers", "return is_near(state, market, breaker.held, row.index)", "return True"),
    Mutation("rivals-count-at-the-door", "refusals", "(breaker.held, breaker.rival) if", "(breaker.held,) if", profile="thin_prints"),
    Mutation("doubt-of-a-guard-that-holds", "doubt", "    if breaker.is_held_newest:", "    if False:"),
    Mutation("old-marks-force-nobody", "doubt", "return age > 0 and since", "return False and since"),
    Mutation("orders-are-cancelled-when-doubt-begins", "doubt", "        if order.is_open:", "        if False:"),
    Mutation("the-guard-alone-cancels-nothing", "doubt", "reason not in (None, Doubt.GUARD) and", "reason is not None and"),
    Mutation("another-reason-that-joins-cancels", "doubt", "and not breaker.has_cancelled", "and not breaker.undoubted"),
    Mutation("a-cancelled-slice-counts-as-not-sent", "doubt", "state.accounts[order.account].next_slice = 0", "pass"),
    Mutation("waits-for-doubt-add-up", "doubt", "waited = account.doubt_ns + state.now", "waited = state.now"),
    Mutation("the-better-of-two-marks", "doubt", "max(holding, other, key", "min(holding, other, key"),
    Mutation("halts-let-the-insolvent-wait", "doubt", "== BreakerState.HALTED and state.now <", "== BreakerState.HALTED and state.now <="),
    Mutation("a-fill-far-from-the-mark-is-owed", "fills", "abs(gain) - allowed)", "abs(gain) - 2 * allowed)"),
    Mutation("winners-pay-down-to-maintenance", "fills", "standing.equity - standing.maintenance)", "standing.equity)"),
    Mutation("a-pocket-apart-is-not-netted", "state", "!= NONE and not self.rules.fund.pockets_are_netted", "!= NONE and False"),
    Mutation("a-venue-may-net-pockets", "state", "!= NONE and not self.rules.fund.pockets_are_netted", "!= NONE"),
    Mutation(
        "claims-of-linked-accounts-are-set-off",
        "paying",
        "reversed(state.linked_with(account)):\n        part",
        "reversed(state.accounts_of(state.accounts[account].owner)):\n        part",
    ),
    Mutation(
        "a-fill-between-pocket-and-owner-is-owed", "fills", "state.are_linked(account, other)", "state.owner(account) is state.owner(other)"
    ),
    Mutation("what-a-pocket-lacks-stays", "refusals", "left + spare - gaps - ", "left + spare - "),
    Mutation(
        "linked-accounts-that-lack-hold-all",
        "refusals",
        "for number in others if state.are_linked(account, number))\n    needs",
        "for number in others)\n    needs",
    ),
    Mutation("debts-stay-out-of-the-next-pocket", "refusals", "state.is_apart(other) and rest < 0", "False"),
    Mutation("who-receives-does-not-count", "refusals", "if number not in (account, receiver)]", "if number != account]"),
    Mutation("a-gain-that-is-held-is-not-moved", "refusals", "left < held_gains_of(state, account)", "False", profile="pockets"),
    Mutation("a-pocket-is-of-one-market", "refusals", "pocket not in (NONE, event.market)", "False"),
    Mutation("money-is-moved-within-an-owner", "refusals", "!= state.accounts[event.other].owner, Reject", "== NONE, Reject"),
    Mutation("a-contribution-for-what-is-opened", "engine", "- contract.initial_of(kept, ", "- contract.initial_of(0, "),
    Mutation("a-contribution-leaves-maintenance", "engine", "standing.equity - standing.maintenance)", "standing.equity)"),
    Mutation("no-contribution-in-a-default", "engine", "0 if state.accounts[account].in_default else min(due", "min(due"),
    Mutation("another-side-is-opened-whole", "engine", "if lots_before * holding.lots > 0 else 0", "if True else 0"),
    Mutation("funding-by-index", "margin", "// FUNDING_PARTS", "// (2 * FUNDING_PARTS)"),
    Mutation("returns-raise-the-exit-buffer", "margin", "returns * levels.return_buffer_ppm", "levels.return_buffer_ppm"),
    Mutation("returns-are-forgotten", "margin", "return returns + 1 if", "return returns + 2 if"),
    Mutation("offers-live-shorter-in-a-fast-market", "offering", "min(4 * PPM, range_ppm", "min(2 * PPM, range_ppm"),
    Mutation("stopped-providers-sell", "takeover", "is_vault and provider.status != ProviderStatus.STOPPED:", "is_vault:"),
    Mutation(
        "one-refusal-is-one-failure",
        "takeover",
        "    fail_joint(state, offers[0].joint)",
        "    [fail_joint(state, offers[0].joint) for _ in range(2)]",
    ),
    Mutation(
        "an-inverse-value-is-rounded-down",
        "margin",
        "return -lots * self.rules.notional_factor // self.mark_ticks if",
        "return -(lots * self.rules.notional_factor // self.mark_ticks) if",
    ),
    Mutation(
        "the-taker-bears-the-rounding-of-cash",
        "margin",
        "return lots * self.rules.notional_factor // price_ticks",
        "return ceil_div(lots * self.rules.notional_factor, price_ticks)",
    ),
    Mutation(
        "closing-at-mark-leaves-equity",
        "margin",
        "return self.value - self.contract.value_of(self.lots - self.side * lots)",
        "return self.contract.value_of(self.side * lots)",
    ),
    Mutation("an-offset-costs-what-its-price-does", "margin", "at_offset = (PPM - offset_ppm if is_sell", "at_offset = (PPM if is_sell"),
    Mutation(
        "inverse-caps-keep-their-roundings",
        "wave",
        "CAP_SLACK_ATOMS, CAP_SLACK_INVERSE_ATOMS = 2, 4",
        "CAP_SLACK_ATOMS, CAP_SLACK_INVERSE_ATOMS = 2, 2",
        profile="inverse",
    ),
    Mutation("a-plan-at-mark-has-caps-too", "wave", "return len(self.defaulters) + PLAN_SLACK_ATOMS if", "return 0 if"),
    Mutation("the-house-takes-what-rounding-leaves", "wave", "at_mark[max(at_mark)] -= left", "at_mark[max(at_mark)] -= 0"),
    Mutation(
        "the-last-short-takes-what-rounding-leaves", "tear_up", "if holding.side < 0)] -= sum(cash.values())", "if holding.side < 0)] -= 0"
    ),
    Mutation(
        "a-gap-moves-with-all-lots-together",
        "shortfalls",
        "noted - state.contract(market).value_of(lots))",
        "sum(gap_of_position(state, number, market) for number in insolvent))",
        profile="inverse",
    ),
    Mutation("an-inverse-lot-of-a-notional", "margin", "self.lots_within(notional - 1) + 1", "self.lots_within(notional) + 1"),
)


class _Mutating(importlib.machinery.SourceFileLoader):
    """Loads a module with one place of its source changed."""

    mutation: Mutation

    def get_code(self, fullname: str) -> CodeType:
        """Compile the changed source; no cache holds it."""
        return compile(mutated(self.mutation), self.path, "exec")


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutation: Mutation) -> None:
        self.mutation = mutation

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != f"backstop.reference.{self.mutation.module}":
            return None
        loader = _Mutating(fullname, str(REFERENCE / f"{self.mutation.module}.py"))
        loader.mutation = self.mutation
        return importlib.machinery.ModuleSpec(fullname, loader, origin=loader.path)


def mutated(mutation: Mutation) -> str:
    """Return a module's source with the mutation; raise ``ValueError`` where its place is not there
    exactly once.
    """
    source = (REFERENCE / f"{mutation.module}.py").read_text(encoding="utf-8")
    found = source.count(mutation.was)
    if found != 1:
        raise ValueError(f"{mutation.name}: {mutation.was!r} stands {found} times in reference/{mutation.module}.py, expected once")
    return source.replace(mutation.was, mutation.becomes)


def recorded(first: int, streams: int, profile: str = "") -> list[Recorded]:
    """Run streams through the engine, each of its seed's own profile or all of one; return what they
    said.
    """
    from backstop.core.digest import state_digest
    from backstop.core.engine import step
    from backstop.core.state import new_state
    from backstop.reference.records import events_array
    from tests.campaign import take_effects
    from tests.streams.random_streams import make_stream

    found = list[Recorded]()
    for seed in range(first, first + streams):
        rules, events = make_stream(seed, profile)
        state, rows = new_state(rules), events_array(events)
        said, digests, stopped = list[tuple[tuple[int, ...], ...]](), dict[int, str](), False
        for place in range(len(events)):
            try:
                step(state, rows[: place + 1], place)
            except OverflowError:
                stopped = True
                break
            effects = take_effects(state)
            said.append(tuple(tuple(effect) for effect in effects))
            if place % DIGEST_EVERY == DIGEST_EVERY - 1 or any(effect.kind == EffectKind.GUARD for effect in effects):
                digests[place] = state_digest(state)
        if not stopped:
            digests[len(events) - 1] = state_digest(state)
        found.append(Recorded(rules, tuple(tuple(event) for event in events), tuple(said), digests))
    return found


def _notices(stream: Recorded, reference: Any, event_of: Any) -> bool:
    """Say whether a reference says anything else than the engine did."""
    for place, event in enumerate(stream.events):
        effects = reference.apply(event_of(*event))
        if place == len(stream.effects):
            # Here the engine stopped: the event brings more than the venue's limit allows.
            return len(effects) <= stream.rules.limits.effects_max
        if tuple(effects) != stream.effects[place]:
            return True
        if place in stream.digests and reference.digest() != stream.digests[place]:
            return True
    return False


def first_noticed(mutation: Mutation, streams: Sequence[Recorded]) -> int:
    """Run recorded streams against the mutated reference; return the place of the first that
    differs, or UNNOTICED. The process must end afterwards: its reference is mutated.

    A mutated reference that raises is noticed, too.
    """
    for name in [name for name in sys.modules if name.startswith("backstop.reference")]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Finder(mutation))
    from backstop.reference.engine import Event, ReferenceEngine

    for place, stream in enumerate(streams):
        try:
            if _notices(stream, ReferenceEngine(stream.rules), Event):
                return place
        except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError):
            return place
    return UNNOTICED


#: What the workers find when they begin: they are forks of the process that gathered it.
_streams: list[Recorded] = []


def _first_noticed_of_all(mutation: Mutation) -> tuple[Mutation, int]:
    return mutation, first_noticed(mutation, _streams)


def run_all(mutations: Sequence[Mutation], streams: Sequence[Recorded], workers: int) -> Iterator[tuple[Mutation, int]]:
    """Run each mutation in a process of its own, ``workers`` at once; yield it, as it is done, with
    the place of the first stream that noticed it, or UNNOTICED.
    """
    _streams[:] = streams
    gc.freeze()  # no page is copied for a walk of the collector
    with multiprocessing.get_context("fork").Pool(workers, maxtasksperchild=1) as pool:
        yield from pool.imap_unordered(_first_noticed_of_all, mutations, chunksize=1)
    gc.unfreeze()


def _record_all(first: int, streams: int, profile: str, workers: int) -> list[Recorded]:
    """Return what streams said, recorded in processes that end: this one loads no compiler."""
    blocks = [(begin, min(_BLOCK, first + streams - begin), profile) for begin in range(first, first + streams, _BLOCK)]
    found = list[Recorded]()
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for block in pool.starmap(recorded, blocks, chunksize=1):
            found += block
    return found


def main() -> int:
    """Run the mutations; exit code 1 where one went unnoticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=3000, help="streams that each mutation gets, of all profiles or of its own")
    parser.add_argument("--first", type=int, default=7_000_000)
    parser.add_argument("--only", choices=[mutation.name for mutation in MUTATIONS], action="append")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    by_name = {mutation.name: mutation for mutation in MUTATIONS}
    chosen = [by_name[name] for name in options.only] if options.only else list(MUTATIONS)
    started, noticed = time.monotonic(), dict[str, int | None]()
    for profile in sorted({mutation.profile for mutation in chosen}):
        print(f"recording {options.streams} streams of {profile or 'all profiles'}", file=sys.stderr)
        streams = _record_all(options.first, options.streams, profile, options.workers)
        for mutation, place in run_all([each for each in chosen if each.profile == profile], streams, options.workers):
            noticed[mutation.name] = None if place == UNNOTICED else place + 1
            outcome = "NOT NOTICED" if place == UNNOTICED else f"stream {place + 1}"
            print(f"{len(noticed)} of {len(chosen)} after {time.monotonic() - started:.0f} s: {mutation.name}, {outcome}", file=sys.stderr)
    noticed = {mutation.name: noticed[mutation.name] for mutation in chosen}
    unnoticed = [name for name, count in noticed.items() if count is None]
    if options.json:
        print(json.dumps({"streams": options.streams, "first": options.first, "noticed_at_stream": noticed}, indent=2))
    else:
        for name, count in noticed.items():
            print(f"{name:<45} {'NOT NOTICED' if count is None else f'noticed at stream {count}'}")
        print(f"{len(chosen)} mutations of the rules, {len(unnoticed)} not noticed within {options.streams} streams")
    return int(bool(unnoticed))


if __name__ == "__main__":
    sys.exit(main())
