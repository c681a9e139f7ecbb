"""A venue as the program holds it: names and decimals beside the engine's plain integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, NamedTuple

from backstop.config.findings import did_you_mean
from backstop.config.quantise import Rounding, decimal_text, steps_of, value_of
from backstop.core.contract_terms import Contract, ContractKind, contract_of
from backstop.core.instruments import VenueRules

__all__ = ["Asset", "BookRules", "MarketSpec", "ProviderSpec", "SeveralAssetsError", "Venue"]


class BookRules(NamedTuple):
    """The simulated book of one market."""

    #: Lots that the undisturbed book shows in each band, on either side.
    depth_lots: tuple[int, ...]
    #: Share of the undisturbed depth that comes back in a second.
    recovery_ppm_per_second: int
    #: Share of the impact of a closing order that stays in the mark.
    permanent_impact_ppm: int
    #: From the engine's order to the book, and from the book's answer on.
    latency_ns: int


@dataclass(frozen=True, slots=True)
class Asset:
    """An asset and the size of its atom."""

    name: str
    decimals: int

    @property
    def atom(self) -> Decimal:
        """The smallest amount."""
        return Decimal(1).scaleb(-self.decimals)

    def atoms(self, amount: Decimal) -> int:
        """Return an amount in atoms; raise ``OffGridError`` where it is not whole."""
        return steps_of(amount, self.atom)

    def text(self, atoms: int) -> str:
        """Return atoms as a decimal text with all the asset's decimals, as in ``-12.500000``."""
        if self.decimals == 0:
            return str(atoms)
        whole, rest = divmod(abs(atoms), 10**self.decimals)
        return f"{'-' if atoms < 0 else ''}{whole}.{rest:0{self.decimals}d}"

    def money(self, atoms: int) -> str:
        """Return atoms as a decimal text with the asset's name, as in ``-12.500000 USDT``."""
        return f"{self.text(atoms)} {self.name}"


class SeveralAssetsError(ValueError):
    """Money of a venue of several assets was asked for in one."""

    def __init__(self, what: str, venue: str, names: list[str]) -> None:
        """Name what was asked for, the venue and its assets."""
        super().__init__(
            f"{what} is of money in one asset, and venue {venue} has {len(names)}, {', '.join(names)}: `backstop replay` shows each by"
            " itself, with `--json`, too, and so do `journal show`, `explain` and `fund statement`"
        )


class ProviderSpec(NamedTuple):
    """What the engine need not know of a backstop provider."""

    name: str
    #: What a new engine's account of it is given at its start.
    capital_atoms: int


@dataclass(frozen=True, slots=True)
class MarketSpec:
    """One market's name and steps: the way between decimals and the engine's integers."""

    #: ccxt unified symbol, ``base/quote:settle``.
    symbol: str
    price_tick: Decimal
    quantity_lot: Decimal
    contract_size: Decimal
    #: Atoms per tick per lot; of an inverse contract atoms x ticks of a lot.
    notional_factor: int
    price_ticks_max: int
    position_lots_max: int
    kind: ContractKind = ContractKind.LINEAR
    price_ticks_min: int = 1

    @property
    def contract(self) -> Contract:
        """The formulas of its value."""
        return contract_of(self.kind, self.notional_factor)

    @property
    def base(self) -> str:
        """The asset whose price it is."""
        return self.symbol.partition("/")[0]

    @property
    def is_inverse(self) -> bool:
        """Whether it settles in the asset whose price it is."""
        return self.kind == ContractKind.INVERSE

    @property
    def notional_max(self) -> int:
        """Return the largest notional of a position at any price, in atoms."""
        return self.contract.bound(self.position_lots_max, self.price_ticks_min, self.price_ticks_max)

    def ticks(self, price: Decimal, rounding: Rounding = Rounding.EXACT) -> int:
        """Return a price in ticks; raise ``OffGridError`` where rounding is EXACT and it is off the
        grid.
        """
        return steps_of(price, self.price_tick, rounding)

    def lots(self, quantity: Decimal, rounding: Rounding = Rounding.EXACT) -> int:
        """Return a signed quantity in lots; raise ``OffGridError`` where rounding is EXACT and it
        is off-lot.
        """
        return steps_of(quantity, self.quantity_lot, rounding)

    def price_text(self, ticks: int) -> str:
        """Return ticks as a decimal price."""
        return decimal_text(value_of(ticks, self.price_tick))

    def quantity_text(self, lots: int) -> str:
        """Return signed lots as a decimal quantity."""
        return decimal_text(value_of(lots, self.quantity_lot))


@dataclass(frozen=True, slots=True)
class Venue:
    """A venue file, read, proved and resolved."""

    name: str
    #: The file as written.
    text: str
    #: SHA-256 (hex) of ``resolved`` as canonical JSON: the same for every spelling of the same
    #: venue.
    hash: str
    #: Every key with its value, defaults filled in, in the file's own structure.
    resolved: dict[str, Any]
    rules: VenueRules
    #: One or more, by number.
    assets: tuple[Asset, ...]
    markets: tuple[MarketSpec, ...]
    #: One a market, in the same order.
    books: tuple[BookRules, ...]
    #: Names of the market groups, and the balance of each fund at its start.
    groups: tuple[str, ...]
    fund_opening_atoms: tuple[int, ...]
    #: One a provider, in the order of ``rules.providers``.
    providers: tuple[ProviderSpec, ...]
    provider_latency_ns: int
    #: What simulated providers answer: an ``Answer``, or ``NONE`` where they are silent.
    provider_answer: int
    #: What is allowed and probably not meant.
    warnings: tuple[str, ...] = field(default=())

    @property
    def asset(self) -> Asset:
        """The asset of a venue that has one; raises ``SeveralAssetsError`` where it has several."""
        self.need_one_asset("this")
        return self.assets[0]

    def need_one_asset(self, what: str) -> None:
        """Raise ``SeveralAssetsError``, which names ``what``, where the venue has several assets."""
        if len(self.assets) > 1:
            raise SeveralAssetsError(what, self.name, [asset.name for asset in self.assets])

    def asset_of_market(self, market: int) -> Asset:
        """Return the asset in which a market settles."""
        return self.assets[self.rules.markets[market].settlement_asset]

    def asset_of_group(self, group: int) -> Asset:
        """Return the asset of a market group and its fund."""
        return self.assets[self.rules.funds[group].asset]

    def asset_of_provider(self, provider: int) -> Asset:
        """Return the asset of a provider."""
        return self.assets[self.rules.providers[provider].asset]

    def asset_number(self, name: str) -> int:
        """Return the number of an asset; raise ``KeyError`` with the names that there are."""
        names = [asset.name for asset in self.assets]
        if name not in names:
            raise KeyError(f"unknown asset {name}: the venue has {', '.join(names)}")
        return names.index(name)

    def market(self, symbol: str) -> int:
        """Return the number of a market; raise ``KeyError`` with the nearest symbols."""
        for number, market in enumerate(self.markets):
            if market.symbol == symbol:
                return number
        symbols = [market.symbol for market in self.markets]
        hint = did_you_mean(symbol, symbols) or f"the venue has {', '.join(symbols)}"
        raise KeyError(f"unknown market {symbol}: {hint}")

    def renamed(self, markets: Mapping[int, str], providers: Mapping[int, str]) -> Venue:
        """Return the venue with some markets and providers, by number, called otherwise; ``text``,
        ``hash`` and ``resolved`` stay those of its file.
        """
        return replace(
            self,
            markets=tuple(replace(each, symbol=markets.get(number, each.symbol)) for number, each in enumerate(self.markets)),
            providers=tuple(each._replace(name=providers.get(number, each.name)) for number, each in enumerate(self.providers)),
        )
