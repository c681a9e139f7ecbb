"""A seeded population of accounts: their positions and leverage before the first move.

Parameters come from a TOML file (``population.toml`` beside this one is the default; the reference
is docs/reference/population.md). Floating point draws the people; what they hold is integer: lots,
ticks and atoms, rounded once. Every account starts above its initial margin, at every step of its
opening.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from reprlib import repr as shown
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.config.findings import did_you_mean
from backstop.config.toml import TomlError, parse_toml, read_utf8
from backstop.core.events import EVENT, NONE, EventKind, Transfer
from backstop.core.instruments import BALANCE_ATOMS_MAX, PPM, MarketRules, VenueRules, initial_deductions

__all__ = [
    "Population",
    "PopulationError",
    "PopulationParameters",
    "default_parameters",
    "load_parameters",
    "parse_parameters",
    "population_events",
]

_DEFAULT = Path(__file__).with_name("population.toml")
#: Largest amount of one TRANSFER event.
_TRANSFER_ATOMS_MAX = 1 << 60


class PopulationError(ValueError):
    """Population parameters that cannot be used: names the key, its value and the right form."""


@dataclass(frozen=True, slots=True)
class LeverageParameters:
    """Lognormal leverage: notional of all positions over equity, before initial margin caps it."""

    mean_of_log: float
    deviation_of_log: float


@dataclass(frozen=True, slots=True)
class SizeParameters:
    """Notional of the first position, in the settlement asset: a lognormal body and a Pareto
    tail.
    """

    median_notional: float
    deviation_of_log: float
    tail_share: float
    tail_minimum_notional: float
    tail_index: float


@dataclass(frozen=True, slots=True)
class PopulationParameters:
    """Everything that a population is drawn from. Shares are of 1."""

    accounts: int
    long_share: float
    hedged_share: float
    hedge_ratio: float
    second_share: float
    linked_share: float
    entry_deviation: float
    margin_headroom: float
    default_share: float
    leverage: LeverageParameters
    size: SizeParameters
    #: Weight of each market by symbol.
    shares: dict[str, float]


class Population(NamedTuple):
    """The opening of a population."""

    #: ACCOUNT, TRANSFER, POSITION (one or two) of each account in turn; ``seq`` is 0.
    events: NDArray[np.void]
    #: Name of each account, by id.
    account_names: list[str]
    #: Owner id of each account.
    owners: NDArray[np.int64]
    #: Name of each owner, by id.
    owner_names: list[str]


#: Bounds of each number: lowest and highest value allowed.
_BOUNDS: dict[str, tuple[float, float]] = {
    "accounts": (1, 1 << 28),
    "long_share": (0, 1),
    "hedged_share": (0, 1),
    "hedge_ratio": (0.01, 10),
    "second_share": (0, 1),
    "linked_share": (0, 1),
    "entry_deviation": (0, 1),
    "margin_headroom": (0, 10),
    "default_share": (0, 1e6),
    "leverage.mean_of_log": (-5, 5),
    "leverage.deviation_of_log": (0, 5),
    "size.median_notional": (1e-9, 1e15),
    "size.deviation_of_log": (0, 5),
    "size.tail_share": (0, 1),
    "size.tail_minimum_notional": (1e-9, 1e15),
    "size.tail_index": (0.1, 100),
}


def _number(key: str, value: object, bounds: tuple[float, float], whole: bool = False) -> float:
    good = isinstance(value, int) if whole else isinstance(value, int | float)
    if not good or isinstance(value, bool) or not isinstance(value, int | float) or not bounds[0] <= value <= bounds[1]:
        kind = "a whole number" if whole else "a number"
        raise PopulationError(f"{key} = {shown(value)}: must be {kind} from {bounds[0]:g} to {bounds[1]:g}")
    return value


def _table(key: str, table: object, names: list[str]) -> dict[str, Any]:
    where = f"{key}." if key else ""
    if not isinstance(table, dict):
        raise PopulationError(f"{key} = {shown(table)}: must be a table")
    for name in table:
        if name not in names:
            right = did_you_mean(name, names) or f"must be one of {', '.join(names)}"
            raise PopulationError(f"{where}{shown(name)[1:-1]}: unknown key: {right}")
    for name in names:
        if name not in table:
            raise PopulationError(f"{where}{name}: missing")
    return table


def parse_parameters(text: str, place: str = "population.toml") -> PopulationParameters:
    """Return the parameters of a file's text; raise ``PopulationError`` naming the key, its value
    and the right form.
    """
    try:
        table = parse_toml(text)
    except TomlError as error:
        raise PopulationError(f"{place}: {error}") from None
    try:
        values = _table("", table, [field.name for field in fields(PopulationParameters)])
        groups = {}
        for group, kind in (("leverage", LeverageParameters), ("size", SizeParameters)):
            section = _table(group, values[group], [field.name for field in fields(kind)])
            groups[group] = {name: float(_number(f"{group}.{name}", value, _BOUNDS[f"{group}.{name}"])) for name, value in section.items()}
        if not isinstance(values["shares"], dict):
            raise PopulationError(f"shares = {shown(values['shares'])}: must be a table")
        shares = {symbol: float(_number(f'shares."{symbol}"', value, (0, 1e6))) for symbol, value in values["shares"].items()}
        plain = {key: float(_number(key, values[key], _BOUNDS[key])) for key in _BOUNDS if "." not in key and key != "accounts"}
        if plain["hedged_share"] + plain["second_share"] > 1:
            raise PopulationError(f"hedged_share + second_share = {plain['hedged_share'] + plain['second_share']:g}: must be at most 1")
        return PopulationParameters(
            accounts=int(_number("accounts", values["accounts"], _BOUNDS["accounts"], whole=True)),
            leverage=LeverageParameters(**groups["leverage"]),
            size=SizeParameters(**groups["size"]),
            shares=shares,
            **plain,
        )
    except PopulationError as error:
        raise PopulationError(f"{place}: {error}") from None


def load_parameters(path: str | Path) -> PopulationParameters:
    """Return the parameters of a TOML file; raise ``PopulationError`` as ``parse_parameters``
    does.
    """
    try:
        text = read_utf8(path, "population file")
    except TomlError as error:
        raise PopulationError(f"{path}: {error}") from None
    return parse_parameters(text, str(path))


def default_parameters() -> PopulationParameters:
    """Return the parameters of the bundled ``population.toml``."""
    return load_parameters(_DEFAULT)


def _initial_margin_atoms(market: MarketRules, notional: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the exact initial margin of each notional (R2.2), in parts that
    cannot overflow.
    """
    floors = tuple(tier.floor_atoms for tier in market.tiers)
    rates = tuple(tier.initial_rate_ppm for tier in market.tiers)
    deductions = np.array(initial_deductions(market), dtype=np.int64)
    tier = np.searchsorted(np.array(floors, dtype=np.int64), notional, side="right") - 1
    rate = np.array(rates, dtype=np.int64)[tier]
    whole, rest = notional // PPM, notional % PPM
    return np.asarray(whole * rate + -((-rest * rate) // PPM) - deductions[tier], dtype=np.int64)


class _Legs(NamedTuple):
    """One position of each account of a group: columns of the same length."""

    market: NDArray[np.int64]
    lots: NDArray[np.int64]
    cost: NDArray[np.int64]
    notional: NDArray[np.int64]
    pnl: NDArray[np.int64]
    margin: NDArray[np.int64]


def _legs(
    rules: VenueRules,
    market: NDArray[np.int64],
    side: NDArray[np.int64],
    wanted_notional: NDArray[np.float64],
    entry_log: NDArray[np.float64],
    mark_ticks: NDArray[np.int64],
) -> _Legs:
    contracts = rules.contracts
    lots_max = np.array([row.position_lots_max for row in rules.markets], dtype=np.int64)[market]
    price_max = np.array([row.price_ticks_max for row in rules.markets], dtype=np.int64)[market]
    price_min = np.array([row.price_ticks_min for row in rules.markets], dtype=np.int64)[market]
    mark = mark_ticks[market]
    wanted = np.minimum(contracts.lots_worth(market, wanted_notional, mark), lots_max.astype(np.float64))
    size = np.clip(np.rint(wanted).astype(np.int64), 1, lots_max)
    entry = np.clip(np.rint(mark * np.exp(entry_log)).astype(np.int64), price_min, price_max)
    lots = side * size
    worth = np.abs(contracts.values(market, size, mark))
    margin = np.zeros(len(market), dtype=np.int64)
    for number, row in enumerate(rules.markets):
        here = market == number
        margin[here] = _initial_margin_atoms(row, worth[here])
    cost = contracts.values(market, lots, entry)
    return _Legs(market, lots, cost, worth, contracts.values(market, lots, mark) - cost, margin)


def _weights(parameters: PopulationParameters, symbols: Sequence[str]) -> NDArray[np.float64]:
    weights = np.array([parameters.shares.get(symbol, parameters.default_share) for symbol in symbols], dtype=np.float64)
    if weights.sum() <= 0:
        raise PopulationError(f"shares: no market of {', '.join(symbols)} has a weight above 0")
    return np.asarray(weights / weights.sum())


def _other_market(first: NDArray[np.int64], weights: NDArray[np.float64], uniform: NDArray[np.float64]) -> NDArray[np.int64]:
    """Draw a market other than the first, by weight; the first again where no other has any."""
    second = first.copy()
    for number in range(len(weights)):
        left = weights.copy()
        left[number] = 0
        if left.sum() > 0:
            here = first == number
            drawn = np.searchsorted(np.cumsum(left / left.sum()), uniform[here], side="right")
            second[here] = np.minimum(drawn, np.flatnonzero(left)[-1])
    return second


def _fits(rules: VenueRules, symbols: Sequence[str], first_mark_ticks: Sequence[int], accounts: int, positions: int) -> None:
    if not len(symbols) == len(first_mark_ticks) == len(rules.markets):
        raise ValueError(f"{len(symbols)} symbols, {len(first_mark_ticks)} marks: must be one per market, {len(rules.markets)}")
    for symbol, mark, market in zip(symbols, first_mark_ticks, rules.markets, strict=True):
        low, high = market.price_ticks_min, market.price_ticks_max
        if not low <= mark <= high:
            raise ValueError(f"first mark of {symbol} = {mark} ticks: must be {low} to {high}")
    if accounts > rules.limits.accounts_max:
        raise PopulationError(f"accounts = {accounts}: must be at most limits.accounts_max, {rules.limits.accounts_max}")
    if positions > rules.limits.positions_max:
        most = rules.limits.positions_max
        raise PopulationError(f"accounts = {accounts} hold {positions} positions: must be at most limits.positions_max, {most}")


def population_events(
    rules: VenueRules,
    symbols: Sequence[str],
    atoms_per_unit: int,
    parameters: PopulationParameters,
    first_mark_ticks: Sequence[int],
    seed: int,
    time_ns: int,
    first_account: int = 0,
) -> Population:
    """Return the opening events of a population: for each account ACCOUNT, TRANSFER of collateral,
    its POSITIONs.

    ``symbols``, ``first_mark_ticks`` are by market; ``atoms_per_unit`` is 10 to the asset's
    decimals. The marks must have been applied before (POSITION needs one).
    ``cost = lots x entry ticks x k``, exact. Equity is the larger of notional over leverage and
    initial margin with its headroom, so that nobody is in default at the start, nor between an
    account's own events. Raises ``PopulationError`` where the venue's limits have no room.
    """
    count = parameters.accounts
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, first_account])))
    weights = _weights(parameters, symbols)
    marks = np.array(first_mark_ticks, dtype=np.int64)
    # All draws have the same number for every parameter, so that one parameter moves one thing.
    uniform = generator.random((7, count))
    normal = generator.standard_normal((4, count))
    first = np.searchsorted(np.cumsum(weights), uniform[0], side="right").clip(0, np.flatnonzero(weights)[-1])
    side = np.where(uniform[1] < parameters.long_share, 1, -1).astype(np.int64)
    size = parameters.size
    body = size.median_notional * np.exp(size.deviation_of_log * normal[0])
    tail = size.tail_minimum_notional * (1 - uniform[3]) ** (-1 / size.tail_index)
    notional = np.where(uniform[2] < size.tail_share, tail, body) * atoms_per_unit
    second = _other_market(first, weights, uniform[5])
    is_hedged = (uniform[4] < parameters.hedged_share) & (second != first)
    is_double = (uniform[4] >= parameters.hedged_share) & (second != first)
    is_double &= uniform[4] < parameters.hedged_share + parameters.second_share
    has_second = is_hedged | is_double
    _fits(rules, symbols, first_mark_ticks, count, count + int(has_second.sum()))

    one = _legs(rules, first, side, notional, parameters.entry_deviation * normal[2], marks)
    ratio = np.where(is_hedged, parameters.hedge_ratio, 0.5)
    two = _legs(
        rules,
        second,
        np.where(is_hedged, -side, side),
        (one.notional * ratio).astype(np.float64),
        parameters.entry_deviation * normal[3],
        marks,
    )
    gross = one.notional + np.where(has_second, two.notional, 0)
    margin = one.margin + np.where(has_second, two.margin, 0)
    pnl = one.pnl + np.where(has_second, two.pnl, 0)
    leverage = np.exp(parameters.leverage.mean_of_log + parameters.leverage.deviation_of_log * normal[1])
    equity = np.maximum(np.ceil(gross / leverage).astype(np.int64), _with_headroom(margin, parameters.margin_headroom))
    # After the first position alone, and after both.
    collateral = np.maximum(equity - pnl, _with_headroom(one.margin, parameters.margin_headroom) - one.pnl)
    collateral = np.maximum(collateral, 1)
    if int(collateral.max()) > _TRANSFER_ATOMS_MAX or float(collateral.sum(dtype=np.float64)) > BALANCE_ATOMS_MAX:
        raise PopulationError("size: the population's collateral exceeds the limit of the ledger: draw smaller notionals or fewer accounts")
    owners = np.cumsum(uniform[6] >= parameters.linked_share) - (1 if uniform[6][0] >= parameters.linked_share else 0)
    events = _opening(one, two, has_second, collateral, owners.astype(np.int64) + first_account, time_ns, first_account)
    return Population(
        events,
        [f"account-{first_account + number:06d}" for number in range(count)],
        owners.astype(np.int64) + first_account,
        [f"owner-{number:06d}" for number in range(first_account + int(owners[-1]) + 1)],
    )


def _with_headroom(margin: NDArray[np.int64], headroom: float) -> NDArray[np.int64]:
    """Return initial margin times 1 plus the headroom (whole ppm), and one atom, so that it is
    above.
    """
    ppm = round(headroom * PPM)
    return np.asarray(margin + margin // PPM * ppm + margin % PPM * ppm // PPM + 1, dtype=np.int64)


def _opening(
    one: _Legs,
    two: _Legs,
    has_second: NDArray[np.bool_],
    collateral: NDArray[np.int64],
    owners: NDArray[np.int64],
    time_ns: int,
    first_account: int,
) -> NDArray[np.void]:
    count = len(collateral)
    width = 3 + has_second.astype(np.int64)
    place = np.concatenate(([0], np.cumsum(width)[:-1]))
    events = np.zeros(int(width.sum()), dtype=EVENT)
    events["time_ns"], events["market"] = time_ns, NONE
    events["account"] = np.repeat(np.arange(count, dtype=np.int64) + first_account, width)
    events["kind"][place], events["other"][place] = EventKind.ACCOUNT, owners
    events["kind"][place + 1], events["code"][place + 1] = EventKind.TRANSFER, Transfer.CASH
    events["amount"][place + 1] = collateral
    for legs, rows, there in ((one, np.full(count, True), place + 2), (two, has_second, place + 3)):
        here = there[rows]
        events["kind"][here] = EventKind.POSITION
        events["market"][here], events["lots"][here], events["amount"][here] = legs.market[rows], legs.lots[rows], legs.cost[rows]
    return events
