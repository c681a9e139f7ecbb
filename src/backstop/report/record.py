"""The end of the page: what was refused, that nothing was lost, and how to run it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

from backstop.core.events import EffectKind, EventKind, Guard, Reject
from backstop.printing import counted
from backstop.report.facts import RunFacts
from backstop.report.gathering import Gathering
from backstop.report.markup import Html, Node, join, tag
from backstop.report.parts import facts as fact_list
from backstop.report.parts import section, table
from backstop.report.words import account_name, clock, count, exact_money, grouped, price, quantity

__all__ = ["conservation", "refusals", "repeat"]

_REASONS = {
    Reject.SEQ_NOT_AFTER: "its number does not come after those before",
    Reject.UNKNOWN_KIND: "a kind that the engine does not know",
    Reject.TIME_OUT_OF_RANGE: "its time lies before the last event\N{RIGHT SINGLE QUOTATION MARK}s",
    Reject.UNKNOWN_MARKET: "a market that the venue does not have",
    Reject.UNKNOWN_ACCOUNT: "an account that is not open",
    Reject.UNKNOWN_ORDER: "an order that was never sent",
    Reject.UNKNOWN_OWNER: "an owner out of range",
    Reject.UNKNOWN_PROVIDER: "a provider that the venue does not have, or one that is bound already",
    Reject.UNKNOWN_CODE: "a code that this kind of event does not have",
    Reject.ACCOUNT_NOT_NEXT: "accounts are opened in order of their numbers",
    Reject.ACCOUNT_LIMIT: "the engine has no room for another account",
    Reject.SAME_ACCOUNT: "both sides of a trade are one account",
    Reject.LOTS_OUT_OF_RANGE: "a size that the market does not allow",
    Reject.PRICE_OUT_OF_RANGE: "a price that the market does not allow",
    Reject.AMOUNT_OUT_OF_RANGE: "an amount out of range",
    Reject.NO_MARK: "the market has no price yet",
    Reject.POSITION_EXISTS: "the account has a position there already",
    Reject.POSITION_LIMIT: "a position would be larger than the market allows, or the engine has no room for it",
    Reject.MARKET_HALTED: "the market is halted: no position may grow",
    Reject.BALANCE_LIMIT: "a balance would leave its bounds",
    Reject.ACCOUNT_IN_DEFAULT: "an account in default may not withdraw",
    Reject.INSUFFICIENT_MARGIN: "a withdrawal beyond what initial margin leaves free",
    Reject.DEBT_TO_FUND: "a withdrawal that would not leave what the funds paid for the owner",
    Reject.FILL_HELD: "a withdrawal of what is owed for a fill far from the mark",
    Reject.GAIN_HELD: "a withdrawal of gains that an insolvent account holds, or beyond the rate at which they leave",
}


def refusals(gathering: Gathering, facts: RunFacts) -> Html:
    """Return what the engine refused and why, and what the files had that did not fit."""
    title = "Refused events"
    parts: list[Node] = []
    if gathering.counts.refusals:
        total = sum(gathering.counts.refusals.values())
        rows = [
            (tag("code", code.name), kind.replace("_", " "), _REASONS.get(code, ""), count(number))
            for (code, kind), number in sorted(gathering.counts.refusals.items(), key=lambda item: (-item[1], item[0]))
        ]
        parts.append(
            tag(
                "p",
                "The engine refused ",
                count(total),
                " of ",
                count(sum(gathering.counts.events.values())),
                " events. A refused event changes nothing.",
            )
        )
        parts.append(table(("Code", "event", "why", "events"), rows, numbers=(3,)))
        parts += [tag("h3", "The first of them"), _examples(gathering, facts)]
    else:
        parts.append(tag("p", "The engine took every one of ", count(sum(gathering.counts.events.values())), " events.", class_="quiet"))
    held = gathering.tally.guard.counts[Guard.HELD]
    if held:
        number = "1 mark was" if held == 1 else f"{held:,} marks were"
        parts.append(tag("p", f"{number} not refused, but held back by the price guard: see ", tag("a", "Markets", href="#markets"), "."))
    return section("refused", title, parts, _feeds(facts.feeds))


def _examples(gathering: Gathering, facts: RunFacts) -> Html:
    venue, rows = gathering.venue, []
    for row in gathering.counts.refusal_examples:
        market = venue.markets[row.market] if 0 <= row.market < len(venue.markets) else None
        said = [
            quantity(row.lots, market) if row.lots and market else "",
            f"at {price(row.price_ticks, market)}" if row.price_ticks and market else "",
            f"{exact_money(row.amount, venue.asset)} {venue.asset.name}" if row.amount else "",
        ]
        account: Node = account_name(row.account, facts.account_names) if row.account >= 0 else ""
        cells = (
            f"{row.seq:,}",
            clock(row.time_ns),
            tag("code", row.code.name),
            row.kind,
            market.symbol if market else "",
            account,
            " ".join(filter(None, said)),
        )
        rows.append(cells)
    return table(("seq", "time", "code", "event", "market", "account", "what"), rows, numbers=(0,))


def _feeds(feeds: Mapping[str, Any]) -> Node:
    """Return what the readers of files rounded, widened, cut or ignored; nothing where all
    fitted.
    """
    prices, accounts = feeds.get("prices", {}), feeds.get("accounts", {})
    lines: list[str] = []
    if prices.get("rows_cut"):
        lines.append(f"{counted(prices['rows_cut'], 'row')} of prices outside of the chosen time")
    if prices.get("columns_ignored"):
        lines.append(f"columns of prices that are not used: {', '.join(prices['columns_ignored'])}")
    for market in prices.get("markets", ()):
        words = (
            (market["bars_widened"], "bar", "widened to hold open and close"),
            (market["bars_missing"], "bar", "missing"),
            (market["prices_rounded"], "price", f"off the tick, moved by at most {market['price_error_max']}"),
            (market["volumes_rounded"], "volume", "rounded down to lots"),
        )
        said = [f"{counted(number, noun)} {text}" for number, noun, text in words if number]
        if said:
            lines.append(f"{market['market']}: {'; '.join(said)}")
    for name, nouns, text in (
        ("accounts_without_collateral", ("account",), "without collateral"),
        ("costs_rounded", ("cost",), "rounded to the atom"),
        ("collateral_rounded", ("amount of collateral", "amounts of collateral"), "rounded to the atom"),
    ):
        if accounts.get(name):
            lines.append(f"{counted(accounts[name], *nouns)} {text}")
    return join(tag("h3", "What did not fit in what was read"), tag("ul", [tag("li", line) for line in lines])) if lines else None


def conservation(gathering: Gathering, facts: RunFacts) -> Html:
    """Return the sums that must be zero, recomputed from the effects alone."""
    venue, books = gathering.venue, gathering.books
    total = books.sum_atoms()
    rows: list[Sequence[Node]] = [(f"All ledger accounts [{venue.asset.name}]", _zero(total, exact_money(total, venue.asset)), "")]
    for number in sorted(gathering.markets):
        market = venue.markets[number]
        lots, cost = books.market_sums(number)
        rows.append((market.symbol, _zero(lots, quantity(lots, market)), _zero(cost, exact_money(cost, venue.asset))))
    verdict = join("Nothing was made or lost. ") if gathering.conserves else tag("b", "Something was made or lost. ", class_="bad")
    words = tag(
        "p",
        verdict,
        "These sums were taken by this report from the run\N{RIGHT SINGLE QUOTATION MARK}s ",
        count(gathering.counts.effects[EffectKind.POSTING]),
        " postings and ",
        count(gathering.counts.effects[EffectKind.TRADE]),
        " trades, independently of the engine. Each must be exactly 0.",
    )
    head = ("", "sum of positions, or of money", f"clearing and cost of positions [{venue.asset.name}]")
    return section("conservation", "Conservation", words, table(head, rows, numbers=(1, 2)), _outside(facts.feeds))


def _outside(feeds: Mapping[str, Any]) -> Html | None:
    """Say who holds the other side where opening positions do not net; nothing where they do."""
    held = feeds.get("opening_imbalance", {})
    if not held:
        return None
    words = tag(
        "p",
        "The accounts of this run are not all who trade: their opening positions do not add up to zero in every market."
        " Somebody outside of that book holds the other side; the engine keeps it as one position, and it is in the sums above."
        " At the opening it was:",
    )
    return join(words, tag("ul", [tag("li", f"{symbol}: {grouped(str(lots))}") for symbol, lots in held.items()]))


def _zero(value: int, text: str) -> Html:
    return tag("data", "0" if value == 0 else text, value=value, class_="good" if value == 0 else "bad")


def repeat(gathering: Gathering, facts: RunFacts) -> Html:
    """Return the command and what must come out of it."""
    journal, counted = facts.journal, gathering.counts
    pairs: list[tuple[Node, Node]] = [
        ("Digest of the final state", tag("code", facts.digest, class_="hash")),
        ("Venue file, resolved", tag("code", gathering.venue.hash, class_="hash")),
        ("Version", f"backstop {facts.code_version}"),
        ("Seed", "none" if facts.seed is None else str(facts.seed)),
    ]
    if facts.impact is not None:
        pairs.append(("Impact of closing orders on later marks", "on" if facts.impact else "off"))
    if journal is not None:
        pairs += [("Journal", tag("code", str(journal["path"]))), ("Chain of the journal", tag("code", journal["chain"], class_="hash"))]
    pairs.append(("Events, effects", join(count(counted.events.total()), ", ", count(counted.effects.total()))))
    commands = [facts.command] if facts.command else []
    if journal is not None:
        commands.append(shlex.join(["backstop", "journal", "verify", str(journal["path"])]))
    counts = [(EventKind, counted.events, "Events"), (EffectKind, counted.effects, "Effects")]
    kinds = [
        table((noun, "number"), [(_kind_name(names, kind), count(number)) for kind, number in sorted(counter.items())], numbers=(1,))
        for names, counter, noun in counts
    ]
    return section(
        "repeat",
        "How to repeat it",
        tag(
            "p",
            "The same input gives the same digest on the same version. The journal can be checked by itself:"
            " every effect is computed again and compared.",
        ),
        tag("pre", join(*(f"{'' if command.startswith('>>>') else '$ '}{command}\n" for command in commands))) if commands else None,
        fact_list(pairs),
        [tag("p", tag("b", "Warning: "), warning) for warning in facts.warnings],
        tag("details", tag("summary", "Events and effects by kind"), tag("div", kinds, class_="two")),
    )


def _kind_name(names: type[IntEnum], kind: int) -> str:
    known: dict[int, str] = {member.value: member.name for member in names}
    return known.get(kind, f"kind {kind}")
