"""The closing table of a run: the result stage by stage, the payers, the stops, and the proof of
conservation.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from backstop.cli.running import STANDARD_OUTPUT
from backstop.files import named_errors
from backstop.printing import counted, one_line

if TYPE_CHECKING:
    from rich.table import Table

    from backstop.config import Asset
    from backstop.core.events import Stage
    from backstop.runs.replay import ReplayResult
    from backstop.runs.stops import Machine

__all__ = ["grouped", "print_result"]

#: Held marks whose reasons are printed; the JSON lists more.
_HELD_SHOWN = 5
#: Of fewer events the time is that of loading the kernels: their rate is not told.
_RATE_EVENTS_MIN = 100_000


@named_errors(STANDARD_OUTPUT)
def print_result(result: ReplayResult, title: str) -> None:
    """Print the result, stage by stage, the payers, and the proof of conservation."""
    from rich.console import Console

    # Without a terminal nothing is cut to its width.
    console = Console() if sys.stdout.isatty() else Console(width=120)
    console.print(one_line(title), style="bold", highlight=False, markup=False)
    for number in range(len(result.venue.assets)):
        console.print(_table(result, number))
        for line in _money_facts(result, number):
            console.print(one_line(line), highlight=False, markup=False, soft_wrap=True)
    for line in _facts(result):
        console.print(one_line(line), highlight=False, markup=False, soft_wrap=True)


def _table(result: ReplayResult, number: int) -> Table:
    """Return what the stages did and who paid, in one asset."""
    from rich.table import Table

    from backstop.config.stages import STAGES, key_of

    tally, asset = result.tally.by_asset[number], result.venue.assets[number]
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("stage")
    table.add_column("")
    table.add_column("accounts", justify="right")
    table.add_column(f"notional [{asset.name}]".replace("[", r"\["), justify="right")
    table.add_column(f"paid [{asset.name}]".replace("[", r"\["), justify="right")
    table.add_row("", "defaults", f"{tally.defaults:,}", "", "")
    for row in tally.stages():
        words = STAGES[row.stage]
        notional = grouped(asset, row.notional) if words.closed else ""
        paid = grouped(asset, row.paid) if words.payer else ""
        table.add_row(key_of(row.stage), words.did, f"{row.accounts:,}", notional, paid)
    table.add_row("", "uncovered", f"{tally.count('uncovered'):,}", "", grouped(asset, tally.uncovered_atoms))
    table.add_row("", "deficit", "", "", grouped(asset, tally.deficit_atoms), style="bold")
    return table


def grouped(asset: Asset, atoms: int) -> str:
    """Return atoms as a decimal with all its digits and its thousands apart."""
    text = asset.text(abs(atoms))
    whole, point, part = text.partition(".")
    return f"{'-' if atoms < 0 else ''}{int(whole):,}{point}{part}"


def _money_facts(result: ReplayResult, number: int) -> Iterator[str]:
    """Yield what was paid beside the table, in one asset."""
    tally, asset = result.tally.by_asset[number], result.venue.assets[number]
    yield from _fund(result, number)
    yield from _providers(result, number)
    if tally.netted_atoms:
        given = f"{grouped(asset, tally.netted_atoms)} {asset.name}"
        yield f"netting    {counted(tally.count('netted'), 'account')} got {given} from other accounts of their owners"
    if tally.fills_paid_atoms:
        yield f"fills      {grouped(asset, tally.fills_paid_atoms)} {asset.name} paid by who won from an insolvent account by a fill"
    if tally.count("adl_counterparty"):
        givers = counted(tally.count("adl_counterparty"), "counterparty", "counterparties")
        yield f"adl        {givers} gave {counted(tally.adl_fills, 'fill')}"
    if tally.arrears_atoms:
        yield f"arrears    the funds paid {grouped(asset, tally.arrears_atoms)} {asset.name} late, as their caps allowed"
    if tally.lent_atoms:
        yield f"gains      {grouped(asset, tally.lent_atoms)} {asset.name} lent for gains that left while something stood uncovered"
    lasting = result.lasting[number]
    if lasting.accounts:
        lacks = f"{grouped(asset, lasting.lacks_atoms)} {asset.name}"
        they = "it lacks" if lasting.accounts == 1 else "they lack"
        count = f"{counted(lasting.accounts, 'account')} at the end, {lasting.insolvent:,} insolvent"
        yield f"in default {count}: {they} {lacks}, which is in no row above"
    funds = result.funds_in(asset)
    uncovered = [fund for fund in funds if fund.uncovered_atoms]
    if len(funds) > 1 and uncovered:
        parts = (f"{grouped(asset, fund.uncovered_atoms)} in {fund.group}" for fund in uncovered)
        yield f"uncovered  {', '.join(parts)}"
    if tally.claims_issued_atoms:
        issued, recovered = grouped(asset, tally.claims_issued_atoms), grouped(asset, tally.claims_recovered_atoms)
        outstanding = grouped(asset, result.claims_atoms[number])
        yield f"claims     {issued} {asset.name} issued, {recovered} recovered, {outstanding} outstanding"


def _facts(result: ReplayResult) -> Iterator[str]:
    """Yield what is of no asset: stops, refusals, conservation, the run itself."""
    tally = result.tally
    yield from _stops(result)
    if tally.refused:
        yield f"refused    {', '.join(f'{count:,} {code.name.lower()}' for code, count in sorted(tally.refused.items()))}"
    yield from _conserved(result)
    size = f"of {counted(result.accounts, 'account')} in {counted(result.markets, 'market')}"
    yield f"events     {result.events:,} in, {counted(tally.effects, 'effect')} out, {size}"
    if result.journal is not None:
        yield f"journal    {result.journal['path']}, {counted(result.journal['batches'], 'batch', 'batches')}"
        yield from (f"           {found}" for found in result.journal.get("found", ()))
    yield f"digest     {result.digest}"
    is_told = result.events >= _RATE_EVENTS_MIN and result.engine_seconds > 0
    rate = f", {result.events / result.engine_seconds:,.0f} events/s" if is_told else ""
    yield f"engine     {result.engine_seconds:.2f} s{rate}; with journal and counting {result.seconds:.2f} s"


def _fund(result: ReplayResult, number: int) -> Iterator[str]:
    from backstop.core.events import Stage

    tally, asset = result.tally.by_asset[number], result.venue.assets[number]
    funds, name = result.funds_in(asset), asset.name
    before = grouped(asset, sum(fund.opening_atoms for fund in funds))
    after = grouped(asset, sum(fund.closing_atoms for fund in funds))
    yield f"fund       {before} {name} before, {after} {name} after"
    fees, paid = grouped(asset, tally.fees_atoms), grouped(asset, tally.paid.get(Stage.FUND, 0))
    charges, returned = grouped(asset, tally.charges_atoms), grouped(asset, tally.returned_atoms)
    yield f"           got {fees} {name} of liquidation fees, {charges} of closing charges, {returned} of debts returned"
    yield f"           paid {paid} {name} for defaulters (the row fund)"
    if len(funds) > 1:
        for fund in funds:
            yield f"           {fund.group}: {grouped(asset, fund.opening_atoms)} before, {grouped(asset, fund.closing_atoms)} after"


def _paid_for(asset: Asset, paid_for: dict[Stage | None, int]) -> str:
    """Say what was paid for a provider in default: it stands in the rows of the table, too."""
    from backstop.core.events import Stage

    words = {Stage.FUND: "by the fund", Stage.ADL: "in ADL", Stage.SOCIALISE: "by cuts", None: "by nobody"}
    told = [f"{grouped(asset, paid_for[stage])} {says}" for stage, says in words.items() if paid_for.get(stage)]
    return f"{', '.join(told)} was paid for it" if told else "nothing was paid for it"


def _providers(result: ReplayResult, number: int) -> Iterator[str]:
    from backstop.runs.stops import times

    venue, tally, asset = result.venue, result.tally.by_asset[number], result.venue.assets[number]
    name = asset.name
    mine = [place for place in range(len(venue.providers)) if venue.asset_of_provider(place) == asset]
    rows = [tally.backers.rows[place] for place in mine]
    if not rows:
        return
    below, support = grouped(asset, sum(row.edge for row in rows)), grouped(asset, sum(row.support for row in rows))
    count = sum(row.takeovers for row in rows)
    yield f"takeover   {counted(count, 'transfer')}, {below} {name} below mark; {support} {name} of the row fund were paid for them"
    for place, row in zip(mine, rows, strict=True):
        spec, standing = venue.providers[place], result.standings[place]
        failed = f", {counted(row.failures, 'failure')}" if row.failures else ""
        taken = f"{counted(row.takeovers, 'transfer')} of {grouped(asset, row.notional)}"
        held = grouped(asset, standing.open_notional)
        profit = grouped(asset, standing.profit)
        yield f"           {spec.name}: {standing.status.name.lower()}, {taken}, profit {profit}, holds {held}{failed}"
        stop = venue.rules.providers[place].loss_stop
        if standing.profit < -stop:
            yield f"           {spec.name} lost more than its stop of {grouped(asset, stop)}: it sells a share at a time, behind defaulters"
        if row.defaults:
            yield f"           {spec.name} was in default {times(row.defaults)}; {_paid_for(asset, row.paid_for)}"
    if tally.disposal_fills:
        yield f"disposal   {counted(tally.disposal_fills, 'fill')} of {grouped(asset, tally.disposed_atoms)} {name}"


def _stops(result: ReplayResult) -> Iterator[str]:
    from backstop.runs.stops import name_of, times

    breakers, guard = result.tally.breakers, result.tally.guard
    word = "breakers   "
    for number in sorted(breakers.machines):
        yield f"{word}{name_of(result.venue, number)}: {_machine(breakers.machines[number], result.last_ns)}"
        word = " " * 11
    if breakers.machines:
        left = ", ".join(name_of(result.venue, number) for number in breakers.not_open)
        yield f"{word}{f'not open at the end: {left}' if left else 'all open at the end'}"
    if guard.episodes:
        yield f"guard      prints held back {times(guard.episodes)}"
        for held in guard.held[:_HELD_SHOWN]:
            yield f"           {result.venue.markets[held.market].symbol}: {held.why(result.venue)}"
        if guard.episodes > _HELD_SHOWN:
            yield f"           and {guard.episodes - _HELD_SHOWN:,} more"


def _machine(machine: Machine, now_ns: int) -> str:
    from backstop.runs.stops import times

    stops = [f"{state.name.lower()} {times(count)} by {cause.name.lower()}" for (cause, state), count in sorted(machine.stops.items())]
    spent = [f"{ns / 1e9:,.0f} s {state.name.lower()}" for state, ns in sorted(machine.spent_until(now_ns).items())]
    return f"{', '.join(stops)}; {', '.join(spent)}"


def _conserved(result: ReplayResult) -> Iterator[str]:
    held, venue = result.conservation, result.venue
    for asset, atoms in zip(venue.assets, held.asset_atoms, strict=True):
        word = "conserved: sum = 0" if atoms == 0 else f"NOT CONSERVED (INV-01): sum = {asset.text(atoms)}"
        yield f"{word}  {asset.name}, all ledger accounts"
    for number, (market, lots, cost) in enumerate(zip(venue.markets, held.market_lots, held.market_cost_atoms, strict=True)):
        asset = venue.asset_of_market(number)
        broken = f"NOT CONSERVED (INV-02): {market.quantity_text(lots)} contracts, {asset.text(cost)} {asset.name} of cost"
        yield f"{'conserved: sum = 0' if lots == cost == 0 else broken}  {market.symbol}, positions and their cost"
