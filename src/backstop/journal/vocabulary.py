"""Names for the numbers of one venue's run (accounts, owners, the house, markets, groups), and
decimals for atoms, ticks and lots.
"""

from __future__ import annotations

from copy import copy
from typing import Self

import numpy as np
from numpy.typing import NDArray

from backstop.config import Asset, Venue
from backstop.core.events import (
    FEES,
    GROUPS_MAX,
    NONE,
    REMAINDER,
    WORLD,
    AdlPolicy,
    EffectArray,
    EffectKind,
    EventArray,
    EventKind,
    fund_of,
    house_of_market,
    uncovered_of,
)
from backstop.journal.manifest import Names
from backstop.printing import shown_name

__all__ = ["Vocabulary", "said_in"]

_HOUSE = {WORLD: "outside world", REMAINDER: "remainder", FEES: "trading fees"}
#: Market groups by the ledger account of their fund.
_FUNDS = {fund_of(group): group for group in range(GROUPS_MAX)}
#: Market groups by the ledger account of what nobody paid of their losses.
_UNCOVERED = {uncovered_of(group): group for group in range(GROUPS_MAX)}
_HOUSE_OF_MARKET = ("clearing", "outside traders", "error inventory", "funding")


def said_in(atoms: int, asset: Asset | None) -> str:
    """Return atoms with all decimals of their asset; where that is not known, as atoms."""
    return f"{atoms:,} atoms" if asset is None else f"{asset.text(atoms)} {asset.name}"


class Vocabulary:
    """Knows the names and the decimals of one venue's run. Names are escaped: they are printed."""

    def __init__(self, venue: Venue, names: Names) -> None:
        self.venue = venue
        self.names = names
        #: The asset in which money is said that no row names; None: it is said in atoms.
        self.asset: Asset | None = venue.assets[0] if len(venue.assets) == 1 else None
        #: Number of the asset of each account that is known to be open.
        self._assets: dict[int, int] = {}
        #: By which ADL shares: that of the file, unless ``under`` says another.
        self.adl_policy = AdlPolicy(venue.rules.adl_policy)

    def under(self, adl_policy: int) -> Self:
        """Return one that says shares of ADL by another policy: that of their plan."""
        if adl_policy == self.adl_policy:
            return self
        other = copy(self)
        other.adl_policy = AdlPolicy(adl_policy)
        return other

    def holder(self, number: int) -> str:
        """Return the name of an account, or of a ledger account of the house."""
        if number >= 0:
            accounts = self.names.accounts
            return shown_name(accounts[number]) if number < len(accounts) else f"account {number}"
        if number in _HOUSE:
            return _HOUSE[number]
        if number in _FUNDS:
            return self.fund(_FUNDS[number])
        if number in _UNCOVERED:
            group = _UNCOVERED[number]
            return "uncovered" if len(self.venue.groups) == 1 and group == 0 else f"uncovered of {self.group(group)}"
        found = house_of_market(number)
        return "nobody" if found is None else f"{_HOUSE_OF_MARKET[found[1]]} of {self.market(found[0])}"

    def owner(self, number: int) -> str:
        """Return the name of an owner."""
        owners = self.names.owners
        return shown_name(owners[number]) if 0 <= number < len(owners) else f"owner {number}"

    def market(self, number: int) -> str:
        """Return the symbol of a market."""
        if number in self.names.markets:
            return shown_name(self.names.markets[number])
        markets = self.venue.markets
        return shown_name(markets[number].symbol) if 0 <= number < len(markets) else f"market {number}"

    def group(self, number: int) -> str:
        """Return the name of a market group."""
        groups = self.venue.groups
        return shown_name(groups[number]) if 0 <= number < len(groups) else f"group {number}"

    def fund(self, group: int) -> str:
        """Return what the fund of a market group is called; a venue with one group has one fund."""
        return "fund" if len(self.venue.groups) == 1 and group == 0 else f"fund of {self.group(group)}"

    def provider(self, number: int) -> str:
        """Return the name of a backstop provider."""
        if number in self.names.providers:
            return shown_name(self.names.providers[number])
        providers = self.venue.providers
        return shown_name(providers[number].name) if 0 <= number < len(providers) else f"provider {number}"

    def asset_name(self, number: int) -> str:
        """Return the name of an asset."""
        assets = self.venue.assets
        return assets[number].name if 0 <= number < len(assets) else f"asset {number}"

    def lots(self, market: int, lots: int) -> str:
        """Return lots as a quantity of contracts."""
        markets = self.venue.markets
        return markets[market].quantity_text(lots) if 0 <= market < len(markets) else f"{lots} lots"

    def price(self, market: int, ticks: int) -> str:
        """Return ticks as a price."""
        markets = self.venue.markets
        return markets[market].price_text(ticks) if 0 <= market < len(markets) else f"{ticks} ticks"

    def text(self, atoms: int) -> str:
        """Return atoms with all decimals of the asset, without its name."""
        return str(atoms) if self.asset is None else self.asset.text(atoms)

    def cash(self, atoms: int) -> str:
        """Return atoms with all decimals of the asset; where it is not known, as atoms."""
        return said_in(atoms, self.asset)

    def learn(self, events: EventArray, effects: EffectArray) -> None:
        """Note the assets of the accounts that events open."""
        if len(self.venue.assets) > 1:
            refused = effects["seq"][effects["kind"] == EffectKind.REFUSAL]
            opened = events[(events["kind"] == EventKind.ACCOUNT) & ~np.isin(events["seq"], refused)]
            self._assets.update(zip(opened["account"].tolist(), opened["code"].tolist(), strict=True))

    def learn_assets(self, assets: NDArray[np.int64]) -> None:
        """Note the assets of all accounts that are open, by number."""
        if len(self._assets) < len(assets) and len(self.venue.assets) > 1:
            self._assets.update(enumerate(assets.tolist()))

    def in_asset_of(self, account: int) -> Self:
        """Return the same, for money of an account."""
        other = copy(self)
        other.asset = self.asset_of(account) or self.asset
        return other

    def asset_of(self, holder: int, market: int = NONE) -> Asset | None:
        """Return the asset of an account, a fund, or whoever has to do with a market; None where that is
        not known.
        """
        assets, number = self.venue.assets, self._assets.get(holder)
        if len(assets) == 1:
            return assets[0]
        if number is not None and number < len(assets):
            return assets[number]
        group = _FUNDS.get(holder, _UNCOVERED.get(holder))
        if group is not None and group < len(self.venue.groups):
            return self.venue.asset_of_group(group)
        return self.venue.asset_of_market(market) if 0 <= market < len(self.venue.markets) else None

    def account_number(self, text: str) -> int:
        """Return the number of the account that has this name or, where none has, this number.

        Raises ``KeyError`` with a message.
        """
        try:
            return list(self.names.accounts).index(text)
        except ValueError:
            pass
        if text.isdecimal() and (not self.names.accounts or int(text) < len(self.names.accounts)):
            return int(text)
        raise KeyError(f"no account is called {text!r}")
