"""Who paid: the deficit stage by stage, the fund, ADL, and the defaulters that cost most."""

from __future__ import annotations

from decimal import Decimal

from backstop.config.policies import POLICIES, Weight, is_levelled, weight_kind
from backstop.config.stages import STAGES, key_of
from backstop.core.events import AdlClass, AdlPolicy
from backstop.report.adl import AdlRecord, Plan, PlanClass
from backstop.report.charts import Panel, figure, value_axis
from backstop.report.defaulters import Defaulter
from backstop.report.facts import RunFacts
from backstop.report.gathering import Gathering
from backstop.report.markup import Html, Node, join, tag
from backstop.report.parts import bar_rows, lane, section, table
from backstop.report.summary import covered_words, run_axis, step_points
from backstop.report.words import account_name, clock, count, money, percent, price, quantity, symbol_short
from backstop.runs.stops import times

__all__ = ["adl", "defaulters", "fund", "waterfall"]

_CLASSES = {
    AdlClass.LINKED: "same owner as the defaulter",
    AdlClass.PROFITABLE: "in profit",
    AdlClass.REST: "the rest of that side",
    AdlClass.HEDGE: "hedging another account of the same owner",
    AdlClass.HOUSE: "traders whom the engine does not know",
    AdlClass.CROSSED: "defaulters of the other side, at mark",
}
_CAUSES = {
    "cash": "Deposits and withdrawals",
    "liquidation_fee": "Liquidation fees",
    "closing_charge": "Closing charges",
    "debt_return": "Debts returned",
    "support": "Support of orders, takeovers and ADL",
    "deficit": "Deficits of accounts without positions",
    "tear_up": "Gaps left by tear-ups",
    "arrears": "Uncovered losses of before, once its caps allowed",
    "trading_fee": "Share of trading fees",
    "recovery": "Claims paid back",
}
#: Columns of what a default cost others, with their words.
_COSTS = (("fund_paid", "fund"), ("adl_paid", "ADL"), ("socialised", "haircuts"), ("uncovered", "uncovered"))
_MOST = 20


def waterfall(gathering: Gathering) -> Html:
    """Return the deficit and who bore it, in the venue's order of stages."""
    tally, asset = gathering.tally, gathering.venue.asset
    deficit = tally.deficit_atoms
    rows: list[tuple[Node, float, float, str, Node, Node]] = []
    rows.append(
        (
            tag("b", "Deficit"),
            0.0,
            1.0 if deficit else 0.0,
            "total",
            tag("b", money(deficit, asset)),
            f"{asset.name} beyond what defaulters had",
        )
    )
    borne = 0
    for row in tally.stages():
        name = key_of(row.stage)
        left, borne = borne, borne + row.paid
        notes: list[Node] = [STAGES[row.stage].title, tag("br"), count(row.accounts), f" {STAGES[row.stage].accounts}"]
        if row.notional:
            notes += [", ", money(row.notional, asset), f" {asset.name} of notional"]
        value: Node = (
            join(money(row.paid, asset), tag("small", f" {percent(row.paid, deficit)}"))
            if row.paid
            else tag("span", "\N{EN DASH}", class_="none")
        )
        shares = (left / deficit, borne / deficit) if deficit else (0.0, 0.0)
        rows.append((tag("code", name), *shares, f"fill {name}", value, join(notes)))
    left, uncovered = borne, tally.uncovered_atoms
    shares = (left / deficit, 1.0) if deficit and uncovered else (0.0, 0.0)
    rows.append(
        (
            tag("b", "Uncovered"),
            *shares,
            "fill uncovered",
            tag("b", money(uncovered, asset)),
            join(count(tally.count("uncovered")), " accounts, paid by nobody") if uncovered else covered_words(gathering),
        )
    )
    caption = (
        "Each bar begins where the one above it ends. A stage that only closes positions pays nothing;"
        " what a position is worth at mark is no payment."
    )
    drawn = figure(bar_rows(rows, "waterfall"), caption=caption, name="Waterfall of the deficit")
    return section("waterfall", "Who paid for the deficit", drawn, _before_and_after(gathering))


def _before_and_after(gathering: Gathering) -> Node:
    """Say what accounts of one owner gave each other before anybody else paid, and which claims
    stand; nothing where neither is.
    """
    tally, asset = gathering.tally, gathering.venue.asset
    words: list[Node] = []
    if tally.netted_atoms:
        number = tally.count("netted")
        words += ["Before anybody else paid, ", count(number), " insolvent account" if number == 1 else " insolvent accounts", " got "]
        words += [money(tally.netted_atoms, asset), f" {asset.name} from other accounts of the same owner. "]
    if tally.arrears_atoms:
        words += ["Of what stood uncovered at first, the funds paid ", money(tally.arrears_atoms, asset)]
        words += [f" {asset.name} late, as their caps allowed. "]
    uncovered = [(name, atoms) for name, atoms in zip(gathering.venue.groups, tally.uncovered_by_group, strict=True) if atoms]
    if len(gathering.venue.groups) > 1 and uncovered:
        words += ["Each market group bears its own losses; uncovered are "]
        for place, (name, atoms) in enumerate(uncovered):
            words += [", " if place else "", money(atoms, asset), f" {asset.name} in {name}"]
        words += [". "]
    if tally.claims_issued_atoms:
        words += ["Those who were charged got claims of ", money(tally.claims_issued_atoms, asset), f" {asset.name}, of which "]
        words += [money(tally.claims_recovered_atoms, asset), " were paid back by the end."]
    return tag("p", words) if words else None


def fund(gathering: Gathering) -> Html:
    """Return the fund over time and its statement by cause."""
    asset = gathering.venue.asset
    if gathering.fund.opening is None:
        return section(
            "fund",
            "Insurance fund",
            tag("p", "This venue\N{RIGHT SINGLE QUOTATION MARK}s fund is empty, and nothing moved in it.", class_="quiet"),
        )
    scale, x = 10.0**-asset.decimals, run_axis(gathering)
    points = step_points(gathering.fund.balance, scale, gathering.time.last_ns)
    values = [value for _, value in points]
    low, high = min(values), max(values)
    y = value_axis(0 if low < 0.5 * high or low == high else low, high, ticks=4)
    panel = Panel(x, y, height=200)
    panel.line(points, "strong fund")
    ends = join(money(gathering.fund.opening, asset), " at the opening, ", money(gathering.fund.now, asset), " at the end")
    drawn = figure(
        lane(f"Balance of the fund [{asset.name}]", ends, panel),
        caption=None if y.low == 0 else "The scale does not begin at 0.",
        name="Balance of the fund over time",
    )
    return section("fund", "Insurance fund", drawn, _statement(gathering))


def _statement(gathering: Gathering) -> Html:
    asset, opening = gathering.venue.asset, gathering.fund.opening or 0
    rows: list[tuple[Node, ...]] = [("Opening balance", money(opening, asset, 2))]
    moved = dict(gathering.fund.statement)
    # The deposit that opened the fund is its opening balance, not a movement of the run.
    moved["cash", True] = moved.get(("cash", True), 0) - opening
    for (cause, _), atoms in sorted(moved.items(), key=lambda item: (-item[1], item[0])):
        if atoms:
            rows.append((_CAUSES.get(cause, cause.replace("_", " ").capitalize()), money(atoms, asset, 2)))
    low = gathering.fund.low
    drawn = (
        tag("p", "Lowest: ", money(low[0], asset), f" {asset.name} at {clock(low[1])}, {percent(low[0], opening)} of the opening.")
        if low
        else None
    )
    foot = ("Closing balance", money(gathering.fund.now, asset, 2))
    statement = table(("Statement by cause", asset.name), rows, numbers=(1,), foot=foot)
    return join(tag("div", statement, _groups(gathering), class_="two"), drawn)


def _groups(gathering: Gathering) -> Html | None:
    """Return what the fund of each market group had at the opening and has at the end; None where
    there is one only.
    """
    venue, asset = gathering.venue, gathering.venue.asset
    ids = gathering.tally.fold.funds
    if len(ids) == 1:
        return None
    rows = []
    for name, opening, fund in zip(venue.groups, venue.fund_opening_atoms, ids, strict=True):
        closing = gathering.books.balance_of(fund)
        rows.append((name, money(opening, asset, 2), money(closing, asset, 2), money(closing - opening, asset, 2)))
    return table(("Fund of", "opening", "closing", f"change [{asset.name}]"), rows, numbers=(1, 2, 3))


def adl(gathering: Gathering, facts: RunFacts) -> Html:
    """Return who gave lots in ADL, what it cost them, and whether the certificates are sound."""
    record, asset = gathering.adl, gathering.venue.asset
    title = "Auto-deleveraging: who paid"
    if not record.plans:
        return section("adl", title, tag("p", "ADL was not used: no counterparty gave anything.", class_="quiet"), _naked(gathering, facts))
    words = tag(
        "p",
        count(record.plans),
        " positions of defaulters, worth ",
        money(record.notional, asset),
        f" {asset.name} at mark, were closed against ",
        count(record.counterparties),
        " accounts on the other side in ",
        count(record.fills),
        " fills. They paid ",
        money(record.beyond, asset),
        f" {asset.name} beyond mark. {_spread(record)}",
    )
    most = max((part.paid for part in record.classes.values()), default=0)
    rows: list[tuple[Node, float, float, str, Node, Node]] = []
    for code, part in sorted(record.classes.items()):
        note = join(
            _CLASSES.get(code, ""), tag("br"), count(part.fills), " fills, ", money(part.lots_notional, asset), f" {asset.name} of notional"
        )
        rows.append((tag("code", code.name.lower()), 0.0, part.paid / most if most > 0 else 0.0, "fill adl", money(part.paid, asset), note))
    classes = figure(bar_rows(rows), title=f"Paid beyond mark, by class [{asset.name}]", name="ADL by class")
    payers = [
        (account_name(account, facts.account_names), money(paid, asset, 2), money(given, asset), count(times))
        for account, paid, given, times in record.payers(10)
    ]
    head = ("Counterparty", f"paid [{asset.name}]", f"closed [{asset.name}]", "fills")
    largest = join(tag("h3", "Those who paid most"), table(head, payers, numbers=(1, 2, 3)))
    two = tag("div", classes, tag("div", largest), class_="two")
    return section("adl", title, words, _naked(gathering, facts), two, _certificate(gathering, facts))


def _naked(gathering: Gathering, facts: RunFacts) -> Html | None:
    """Say how often what was taken was a hedge, and where that left most exposure; None where it never was."""
    record, venue = gathering.adl, gathering.venue
    told = record.most_naked
    if told is None:
        return None
    market = venue.markets[told.naked_market]
    return tag(
        "p",
        count(record.naked),
        " times an owner was left with more exposure, because what ADL or tear-up took was his hedge. At most: ",
        account_name(told.account, facts.account_names),
        f" (seq {told.seq:,}), with a {'long' if told.lots > 0 else 'short'} of {quantity(abs(told.lots), market)}",
        f" {symbol_short(market, venue)} and an exposure of ",
        money(abs(told.after), venue.asset),
        " instead of ",
        money(abs(told.before), venue.asset),
        f" {venue.asset.name}.",
    )


def _spread(record: AdlRecord) -> str:
    """Say how the payment is spread over those who paid."""
    paid = record.paid_sorted
    total = sum(paid.tolist())
    if total <= 0:
        return "Nobody paid more than mark."
    tenth = max(1, len(paid) // 10)
    return f"The tenth that paid most bore {percent(sum(paid[:tenth].tolist()), total)} of that."


def _certificate(gathering: Gathering, facts: RunFacts) -> Html:
    record = gathering.adl
    if record.faults_count:
        verdict: Node = tag("b", f"{record.faults_count:,} faults were found.", class_="bad")
    else:
        verdict = "No fault was found."
    words = tag(
        "p",
        "Each of these closings left a certificate: who could give, how much, and by which share. Of all ",
        count(record.plans),
        " the lots, cash and caps were added up; ",
        "all" if record.checked == record.plans else join("the first ", count(record.checked)),
        " were also checked row by row against the rules, by a checker that does not trust the planner:"
        " classes, shares, rounding, trades. ",
        verdict,
    )
    faults = tag("ul", [tag("li", fault) for fault in record.faults]) if record.faults else None
    return join(tag("h3", "Certificate"), words, faults, _largest_plan(gathering, record.largest, facts) if record.largest else None)


def _largest_plan(gathering: Gathering, plan: Plan, facts: RunFacts) -> Html:
    venue = gathering.venue
    market = venue.markets[plan.market]
    words = tag(
        "p",
        "The costliest, at ",
        clock(plan.time_ns),
        f" (seq {plan.seq:,}): ",
        "a long" if plan.lots < 0 else "a short",
        f" of {quantity(abs(plan.lots), market)} {symbol_short(market, venue)} held by ",
        account_name(plan.account, facts.account_names),
        f" and {plan.defaulters - 1:,} more in default" if plan.defaulters > 1 else "",
        f" at a mark of {price(plan.mark_ticks, market)}, ",
        money(plan.beyond, venue.asset, 2),
        f" {venue.asset.name} beyond mark, from ",
        count(plan.fills),
        " counterparty." if plan.fills == 1 else " counterparties.",
    )
    rows = []
    for part in plan.classes:
        name = AdlClass(part.code)
        words_of_class = join(tag("code", name.name.lower()), " ", _CLASSES.get(name, ""))
        share = _share_words(name, part, plan, gathering)
        rows.append((words_of_class, count(part.candidates), count(part.full), quantity(part.lots, market), share))
    head = ("Class, in their order", "candidates", "at their cap", f"gave [{symbol_short(market, venue)}]", "share of each")
    return join(words, table(head, rows, numbers=(1, 2, 3)))


def _share_words(name: AdlClass, part: PlanClass, plan: Plan, gathering: Gathering) -> str:
    """Say what each candidate gives: eta of its class in the units of its weight, or its
    turn in an order.
    """
    order = "" if name in (AdlClass.HOUSE, AdlClass.CROSSED) else POLICIES[AdlPolicy(plan.policy)].order
    if order and part.full < part.candidates:
        return f"its whole cap, one by one in order of {order}, until done"
    if part.eta_weight == 0:
        return "its whole cap"
    if is_levelled(plan.policy, name):
        return f"lots above a leverage of {part.eta_lots / part.eta_weight:,.6f}, up to its cap"
    weight = weight_kind(plan.policy, name)
    if weight == Weight.SCORE:
        return f"{part.eta_lots:,} / {part.eta_weight:,} of its lots x leverage, up to its cap"
    if weight == Weight.LOTS:
        return f"{percent(part.eta_lots, part.eta_weight, 2)} of its position, up to its cap"
    venue = gathering.venue
    market = venue.markets[plan.market]
    contracts = Decimal(part.eta_lots) * market.quantity_lot / Decimal(part.eta_weight).scaleb(-venue.asset.decimals)
    each = next((number for number in (1, 10**3, 10**6, 10**9) if contracts * number >= Decimal("0.001")), 10**12)
    profit = venue.asset.name if each == 1 else f"{each:,} {venue.asset.name}"
    return f"{float(contracts * each):,.4g} {symbol_short(market, venue)} for each {profit} of its profit, up to its cap"


def defaulters(gathering: Gathering, facts: RunFacts) -> Html:
    """Return the defaulters that cost others most."""
    asset, rows = gathering.venue.asset, gathering.defaulters.largest(_MOST)
    title = "Largest defaulters"
    if not rows:
        return section("defaulters", title, tag("p", "No account came into default.", class_="quiet"))
    costs = gathering.defaulters.deficits
    total = sum(costs.tolist())
    words: Node = "Nobody else paid for any of them."
    if total:
        words = join(
            count(len(costs)),
            " accounts left a deficit; the ",
            count(min(_MOST, len(costs))),
            f" largest left {percent(sum(costs[:_MOST].tolist()), total)} of it.",
        )
    shown = [(name, title) for name, title in _COSTS if name != "socialised" or any(row.socialised for row in rows)]
    lines = [_defaulter_cells(gathering, facts, row, [name for name, _ in shown]) for row in rows]
    head = ("Account", "in default", "equity then", "closed", *(title for _, title in shown), "deficit")
    caption = tag(
        "p",
        f"In {asset.name}. Equity then is what the account still had, its positions at mark, when it first came into default. The deficit"
        " also holds what it lost from there on, while prices went on against it and its positions were closed: so it may be far larger,"
        " also where that equity was above zero. It is the sum of the columns before it, from the fund on."
        " Point at an amount for all its digits.",
        class_="quiet",
    )
    return section("defaulters", title, tag("p", words), table(head, lines, numbers=tuple(range(2, len(head)))), caption)


def _defaulter_cells(gathering: Gathering, facts: RunFacts, row: Defaulter, costs: list[str]) -> tuple[Node, ...]:
    asset = gathering.venue.asset
    again = f", {times(row.entries)}" if row.entries > 1 else ""
    amounts = (row.equity, row.closed, *(int(getattr(row, name)) for name in costs))
    cells = [money(atoms, asset) for atoms in amounts]
    return account_name(row.account, facts.account_names), f"{clock(row.first_ns)}{again}", *cells, tag("b", money(row.deficit, asset))
