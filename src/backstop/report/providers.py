"""Backstop providers: what they took over, what they hold over time, and what they are worth, on
the fund's axis of time.
"""

from __future__ import annotations

from collections.abc import Sequence

from backstop.core.events import ProviderStatus, Stage
from backstop.core.instruments import NO_CAP, ProviderRules
from backstop.report.backers import ProviderRecord
from backstop.report.charts import Axis, Panel, figure, value_axis
from backstop.report.facts import RunFacts
from backstop.report.gathering import Gathering
from backstop.report.markup import Html, Node, join, tag
from backstop.report.parts import lane, legend, section, table
from backstop.report.rules import change_words
from backstop.report.series import Envelope
from backstop.report.summary import run_axis, step_points
from backstop.report.words import account_name, clock, count, money
from backstop.runs.backers import Backer

__all__ = ["providers"]

#: Lines with a colour of their own.
_COLOURS = 4
#: Pauses of a provider that are told one by one.
_PAUSES_MAX = 6
#: Changes of its rules that are told one by one.
_CHANGES_MAX = 6
_PAUSED = {ProviderStatus.STOPPED: "stopped by its loss", ProviderStatus.OFF: "off"}


def providers(gathering: Gathering, facts: RunFacts) -> Html | None:
    """Return what each backstop provider took over and holds; None where the run had none."""
    if not gathering.providers:
        return None
    asset = gathering.venue.asset
    words = tag(
        "p",
        "Providers take over positions of defaulters at a price between mark and zero price. Notional is at the mark of the takeover; "
        "below mark is what they got the positions for less than that.",
    )
    head = ("Provider", "offers", "failures", "takeovers", "notional", "below mark", "support", "defaults", "holds at the end", "equity")
    rows = [_cells(gathering, facts, number, record) for number, record in sorted(gathering.providers.items())]
    unit = tag(
        "p",
        f"In {asset.name}. Support: what the fund added for insolvent accounts. Defaults: how often the provider itself was in"
        " default, and what fund and winners paid for it. Equity is at the end; below it, since it began.",
        class_="quiet",
    )
    shown = table(head, rows, numbers=tuple(range(1, len(head))))
    return section("providers", "Backstop providers", words, _figure(gathering), shown, unit, _terms(gathering))


def _name(gathering: Gathering, number: int) -> str:
    specs = gathering.venue.providers
    return specs[number].name.removeprefix("provider:") if number < len(specs) else str(number)


def _cells(gathering: Gathering, facts: RunFacts, number: int, record: ProviderRecord) -> tuple[Node, ...]:
    asset, backer = gathering.venue.asset, gathering.tally.backers.rows[number]
    gained = record.equity_now - record.equity_first
    return (
        account_name(record.account, facts.account_names),
        count(backer.offers),
        count(backer.failures),
        count(backer.takeovers),
        money(backer.notional, asset),
        money(backer.edge, asset),
        money(backer.support, asset),
        join(count(backer.defaults), *_paid_for(gathering, backer)),
        money(record.inventory_now, asset),
        join(money(record.equity_now, asset), tag("br"), tag("small", "+" if gained > 0 else "", money(gained, asset))),
    )


def _paid_for(gathering: Gathering, backer: Backer) -> list[Node]:
    """Return what others paid for a provider in default, and what nobody did."""
    asset, lines = gathering.venue.asset, list[Node]()
    for stage, who in ((Stage.FUND, "fund"), (Stage.ADL, "ADL"), (Stage.SOCIALISE, "cuts"), (None, "uncovered")):
        if backer.paid_for.get(stage):
            lines += [tag("br"), tag("small", f"{who} ", money(backer.paid_for[stage], asset))]
    return lines


def _terms(gathering: Gathering) -> Html:
    """Return what each provider had committed, when it was not asked, and how it stood at the
    end.
    """
    asset, words = gathering.venue.asset, "What they had committed"
    rows = []
    for number, record in sorted(gathering.providers.items()):
        rules = gathering.venue.rules.providers[number]
        stop: Node = money(rules.loss_stop, asset) if rules.loss_stop < NO_CAP else "none"
        committed = [*_commitments(gathering, rules), *_changes(gathering, number)]
        rows.append((_name(gathering, number), _lines(committed), stop, _lines(_pauses(record))))
    has_changes = any(map(gathering.rule_changes.of_provider, gathering.providers))
    head = ("Provider", f"commitments [{asset.name}]", f"loss stop [{asset.name}]", "stopped or off")
    note = tag(
        "p",
        "A commitment is the notional of a group that a provider takes over; what is used of it comes back over time."
        " One that lost as much as its loss stop gets no offers, and sells what it holds, until half of that is won back."
        " It may lose more than its stop: it sells a share at a time, and what it still holds moves with the mark.",
        " Commitments and loss stops are those at the beginning; each change stands below them." if has_changes else None,
        class_="quiet",
    )
    return join(tag("h3", words), table(head, rows, numbers=(2,)), note)


def _commitments(gathering: Gathering, rules: ProviderRules) -> list[Node]:
    """Say each commitment; one line for both directions where they are alike."""
    asset, lines = gathering.venue.asset, list[Node]()
    for group, pair in zip(gathering.venue.groups, rules.commitments, strict=True):
        alike = pair[0] == pair[1]
        for commitment, of in ((pair[0], ""),) if alike else ((pair[0], ", longs"), (pair[1], ", shorts")):
            if commitment.capacity:
                back = join("; ", money(commitment.refill_per_s * 3600, asset), " an hour back") if commitment.refill_per_s else None
                lines.append(join(f"{group}{of}: ", money(commitment.capacity, asset), back))
    return lines


def _changes(gathering: Gathering, number: int) -> list[Node]:
    """Say what changed of a provider's own rules: each of the first, and how many more."""
    changes = gathering.rule_changes.of_provider(number)
    said = change_words(gathering, changes[:_CHANGES_MAX])
    lines: list[Node] = [tag("small", each) for each in said]
    if len(changes) > _CHANGES_MAX:
        lines.append(tag("small", f"and {len(changes) - _CHANGES_MAX:,} more changes"))
    return lines


def _pauses(record: ProviderRecord) -> list[Node]:
    lines: list[Node] = []
    for pause in record.pauses[:_PAUSES_MAX]:
        end = "to the end" if pause.end_ns is None else f"to {clock(pause.end_ns)}"
        lines.append(f"{_PAUSED[pause.status]} {clock(pause.start_ns)} {end}")
    if len(record.pauses) > _PAUSES_MAX:
        lines.append(f"and {len(record.pauses) - _PAUSES_MAX:,} more times")
    return lines or ["at no time"]


def _lines(texts: Sequence[Node]) -> Html:
    return join(*(join(tag("br") if place else None, text) for place, text in enumerate(texts)))


def _figure(gathering: Gathering) -> Html:
    """Draw inventory and equity of all providers over time."""
    asset, x = gathering.venue.asset, run_axis(gathering)
    rows = sorted(gathering.providers.items())
    keys = legend([(f"s{place}" if place < _COLOURS else "rest", _name(gathering, number)) for place, (number, _) in enumerate(rows)])
    held = _panel(gathering, x, [record.inventory for _, record in rows])
    held.shows_x = False
    most, at, number = max((*record.inventory_most, number) for number, record in rows)
    largest = join("; at most ", money(most, asset), f", by {_name(gathering, number)} at {clock(at)}") if most else None
    worth = _panel(gathering, x, [record.equity for _, record in rows])
    return figure(
        keys,
        lane(f"Positions held [{asset.name}]", join("at mark, without sign", largest), held),
        lane(f"Equity [{asset.name}]", "" if worth.y.low <= 0 else "the scale does not begin at 0", worth),
        name="Positions and equity of the providers over time",
    )


def _panel(gathering: Gathering, x: Axis, series: list[Envelope]) -> Panel:
    scale = 10.0**-gathering.venue.asset.decimals
    lines = [step_points(envelope, scale, gathering.time.last_ns) for envelope in series]
    values = [value for points in lines for _, value in points] or [0.0]
    low, high = min(values), max(values)
    panel = Panel(x, value_axis(min(0.0, low) if low < 0.5 * high else low, high, ticks=4), height=150)
    for place, points in reversed(list(enumerate(lines))):
        panel.line(points, f"series s{place}" if place < _COLOURS else "series rest")
    return panel
