"""A run from Python: ``replay`` makes a case and runs it, ``Run`` is what came of it, on its
tape.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backstop import config
from backstop.core.events import EffectKind
from backstop.feeds.columns import duration_ns_of, time_ns_of
from backstop.feeds.prices import read_prices
from backstop.journal import Names, open_journal
from backstop.printing import one_line
from backstop.report import Gathering, facts_of_result, write_report
from backstop.runs.cases import Case, case_of_book, case_of_population, hashed_inputs, scenario_prices, title_of
from backstop.runs.replay import Progress, ReplayResult, replay_case
from backstop.runs.warmup import warm

if TYPE_CHECKING:
    import pyarrow
    from matplotlib.axes import Axes

    from backstop.journal import Batch

__all__ = ["Run", "replay"]

PathLike = str | Path


class Run:
    """What a replay came to.

    Its effects stay on its journal; tables are made when they are asked for.

    A journal that was not asked for lies in a temporary folder, and goes with this object.
    """

    def __init__(self, result: ReplayResult, gathering: Gathering, journal: Path, names: Names, title: str, command: str) -> None:
        #: The counts: ``tally``, ``conservation``, ``events``, ``seconds`` and so on.
        self.result = result
        #: Series, ladders, defaulters: what the report is drawn from.
        self.gathering = gathering
        #: Path of the journal.
        self.journal = journal
        self.title = title
        self.command = command
        self._names = names
        self._is_kept = True

    @property
    def venue(self) -> config.Venue:
        """The venue that it ran on."""
        return self.result.venue

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the final state: two honest runs of the same input share it."""
        return self.result.digest

    def as_json(self) -> dict[str, Any]:
        """Return the object that ``backstop replay --json`` prints; money is a decimal text with
        its asset.
        """
        return self.result.as_json()

    def batches(self) -> Iterator[Batch]:
        """Yield the journal's batches: ``events`` and ``effects`` as NumPy rows, in order (fields:
        ``core.events``).
        """
        with open_journal(self.journal) as journal:
            journal.check_head()
            yield from journal.batches()

    def table(self, name: str = "stages") -> pyarrow.Table:
        """Return one of the run's tables as Arrow; money as decimals of the settlement asset.

        ``stages``, ``defaulters``, ``counterparties`` (of ADL), ``markets``, ``refused``,
        ``ladder_before``, ``ladder_after``. What a column says is the ``description`` in the
        metadata of its field: ``print(table.schema)`` shows all.

        Raises ``KeyError`` for another name, ``ImportError`` where pyarrow is not installed.
        """
        from backstop.face.tables import table_of

        return table_of(self.gathering, self._names, name)

    @property
    def effects(self) -> pyarrow.Table:
        """Every effect of the run, as Arrow, with the time of its event; integers stay integers
        (atoms, lots, ticks).

        About 100 bytes of memory per effect; ``effects_reader`` gives them batch by batch. Raises
        ``ImportError`` where pyarrow is not installed.
        """
        return self.effects_reader().read_all()

    def effects_of(self, kind: str) -> pyarrow.Table:
        """Return the effects of one kind (``"adl_fill"``) as Arrow, with the fields of that kind as
        columns.

        ``unit`` and ``description`` of each column are in the metadata of its field.

        Raises ``KeyError`` for another name, ``ImportError`` where pyarrow is not installed.
        """
        return self.effects_reader(kind).read_all()

    def effects_reader(self, kind: str | None = None) -> pyarrow.RecordBatchReader:
        """Return a reader of the effects, or of those of one kind, that holds one batch at a
        time.
        """
        from backstop.face.effects import effects_reader, effects_reader_of

        if kind is None:
            return effects_reader(self.venue, self.batches())
        kinds = {member.name.lower(): member for member in EffectKind}
        if kind not in kinds:
            raise KeyError(f"unknown kind {kind!r}: must be one of {', '.join(kinds)}")
        return effects_reader_of(self.venue, self.batches(), kinds[kind])

    def report(self, path: PathLike) -> Path:
        """Write the report (one HTML page) and return its path.

        A report that is there is replaced; a link is followed.

        Raises ``FileExistsError`` for any other file that is there, a device or a pipe, and other
        ``OSError``.
        """
        facts = facts_of_result(self.result, self.title, self.command, self._names.accounts)
        write_report(path, self.gathering, facts if self._is_kept else replace(facts, journal=None))
        return Path(path)

    def plot_prices(self, market: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw the mark of one market (by symbol), or the change of all since the opening, in
        percent.

        This and the other plots need matplotlib (extra ``plot``) and return their axes. Raises
        ``KeyError`` for a market that had no price.
        """
        from backstop.face import plots

        return plots.prices(self.gathering, market, ax)

    def plot_closings(self, market: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw the notional closed over time, stacked by method, of one market or of all."""
        from backstop.face import plots

        return plots.closings(self.gathering, market, ax)

    def plot_fund(self, ax: Axes | None = None) -> Axes:
        """Draw the insurance fund's balance over time."""
        from backstop.face import plots

        return plots.fund(self.gathering, ax)

    def plot_waterfall(self, ax: Axes | None = None) -> Axes:
        """Draw who paid for the deficit, stage by stage."""
        from backstop.face import plots

        return plots.waterfall(self.gathering, ax)

    def plot_ladder(self, market: str, ax: Axes | None = None) -> Axes:
        """Draw a market's liquidation ladder before and after the run: notional in default, by
        price.
        """
        from backstop.face import plots

        return plots.ladder(self.gathering, market, ax)

    def __repr__(self) -> str:
        tally, asset = self.result.tally, self.venue.asset
        deficit = f"{asset.text(tally.deficit_atoms)} {asset.name}"
        return f"<Run {one_line(self.title)}: {tally.defaults:,} defaults, deficit {deficit}, digest {self.digest[:12]}>"

    def __str__(self) -> str:
        """Return the stages as a text table."""
        asset = self.venue.asset
        tally = self.result.tally
        rows = [("stage", "accounts", f"notional [{asset.name}]", f"paid [{asset.name}]")]
        rows += [(row.stage.name.lower(), f"{row.accounts:,}", asset.text(row.notional), asset.text(row.paid)) for row in tally.stages()]
        rows.append(("uncovered", f"{tally.count('uncovered'):,}", "", asset.text(tally.uncovered_atoms)))
        rows.append(("deficit", "", "", asset.text(tally.deficit_atoms)))
        widths = [max(len(row[place]) for row in rows) for place in range(4)]
        lines = (f"{row[0]:<{widths[0]}}  " + "  ".join(f"{row[place]:>{widths[place]}}" for place in (1, 2, 3)) for row in rows)
        return "\n".join((one_line(self.title), *lines))


def replay(
    venue: config.Venue | PathLike | None = None,
    *,
    scenario: str | None = None,
    prices: PathLike | Sequence[PathLike] | None = None,
    accounts: PathLike | None = None,
    collateral: PathLike | None = None,
    population: PathLike | None = None,
    start: str | None = None,
    end: str | None = None,
    steps: int = 30,
    timeframe: str | None = None,
    seed: int = 1,
    impact: bool = False,
    journal: PathLike | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Run a bundled crash (``scenario``) or recorded prices through the engine.

    The arguments are those of ``backstop demo`` and ``backstop replay``, with the same defaults,
    and give the same digest. ``venue`` is a ``Venue``, a path, or None for the bundled one. With
    ``prices`` come either ``accounts`` and ``collateral``, or a ``population`` file; a scenario has
    the bundled population unless another is named. Kernels are compiled first if that has not been
    done (under a minute, once; progress on standard error). ``progress`` is called with (outside
    events done, of how many, time in ns).

    Raises ``ValueError`` (``ConfigError``, ``FeedError``, ``PopulationError``, ``ScenarioError``)
    where a file or a combination is refused, ``JournalError`` where the journal cannot be written,
    ``OverflowError`` where money would not fit in 64 bits.
    """
    given = {
        name: value for name, value in locals().items() if name not in ("venue", "progress", "journal", "overwrite") and value is not None
    }
    command = f">>> replay(venue, {', '.join(f'{name}={_shown(value)}' for name, value in given.items())})"
    resolved = venue if isinstance(venue, config.Venue) else _venue(venue)
    if (scenario is None) == (prices is None):
        raise ValueError("give either scenario or prices")
    if scenario is not None:
        if accounts is not None or collateral is not None or start or end or timeframe:
            raise ValueError("accounts, collateral, start, end and timeframe go with prices, not with a scenario")
        case, title = _case_of_scenario(resolved, scenario, population, seed)
    else:
        assert prices is not None
        files = [Path(prices)] if isinstance(prices, (str, Path)) else [Path(path) for path in prices]
        span_ns = _parsed("timeframe", timeframe, duration_ns_of)
        start_ns, end_ns = _parsed("start", start, time_ns_of), _parsed("end", end, time_ns_of)
        inputs = [None if path is None else Path(path) for path in (accounts, collateral, population)]
        with hashed_inputs(prices=files, accounts=inputs[:1], collateral=inputs[1:2], population=inputs[2:]) as details:
            read = read_prices(files, resolved, steps=steps, timeframe_ns=span_ns, start_ns=start_ns, end_ns=end_ns)
            case = _case_of_prices(resolved, read, accounts, collateral, population, seed)
        case.details.update(details)
        title = title_of(resolved, {**case.details, "impact": "on" if impact else "off"})
    return _run(case, title, command, impact, journal, overwrite, progress)


def _parsed(name: str, text: str | None, read: Callable[[str], int]) -> int | None:
    if text is None:
        return None
    try:
        return read(text)
    except ValueError as error:
        raise ValueError(f"{name} = {text!r}: {error}") from None


def _shown(value: object) -> str:
    if isinstance(value, Path):
        return repr(str(value))
    return f"[{', '.join(map(_shown, value))}]" if isinstance(value, (list, tuple)) else repr(value)


def _run(case: Case, title: str, command: str, impact: bool, journal: PathLike | None, overwrite: bool, progress: Progress | None) -> Run:
    folder = None if journal is not None else Path(tempfile.mkdtemp(prefix="backstop-"))
    path = Path(journal) if journal is not None else Path(str(folder)) / "journal.db"
    gathering = Gathering(case.venue)
    warm()
    try:
        result = replay_case(
            case, impact=impact, journal_path=path, overwrite=overwrite, command=command, progress=progress, tally=gathering.tally
        )
    except BaseException:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    run = Run(result, gathering, path, case.names, title, command)
    if folder is not None:
        run._is_kept = False
        weakref.finalize(run, shutil.rmtree, folder, ignore_errors=True)
    return run


def _venue(path: PathLike | None) -> config.Venue:
    return config.parse_venue(config.default_text(), "bundled venue") if path is None else config.load_venue(path)


def _case_of_scenario(venue: config.Venue, name: str, population: PathLike | None, seed: int) -> tuple[Case, str]:
    from backstop.markets.population import default_parameters, load_parameters
    from backstop.markets.scenarios import scenario, scenario_names

    if name not in scenario_names():
        raise ValueError(f"scenario {name!r}: must be one of {', '.join(scenario_names())}")
    crash = scenario(name)
    file = None if population is None else Path(population)
    with hashed_inputs(population=[file]) as details:
        parameters = default_parameters() if file is None else load_parameters(file)
    read, schedule = scenario_prices(venue, crash, seed)
    case = case_of_population(venue, read, parameters, seed, schedule)
    case.details.update(details, scenario=name)
    return case, crash.title


def _case_of_prices(
    venue: config.Venue, read: Any, accounts: PathLike | None, collateral: PathLike | None, population: PathLike | None, seed: int
) -> Case:
    from backstop.feeds.accounts import read_accounts
    from backstop.markets.population import load_parameters

    if (accounts is None) != (collateral is None) or (accounts is None) == (population is None):
        raise ValueError("give either accounts and collateral, or population")
    if accounts is not None and collateral is not None:
        return case_of_book(venue, read, read_accounts(Path(accounts), Path(collateral), venue))
    assert population is not None
    return case_of_population(venue, read, load_parameters(Path(population)), seed)
