"""Names for the numbers of one venue's run (accounts, owners, the house, markets, groups), and
decimals for atoms, ticks and lots.
"""

from __future__ import annotations

from copy import copy
from typing import Self

from backstop.config import Venue
from backstop.core.events import FEES, GROUPS_MAX, REMAINDER, WORLD, AdlPolicy, fund_of, house_of_market, uncovered_of
from backstop.journal.manifest import Names
from backstop.printing import shown_name

__all__ = ["Vocabulary"]

_HOUSE = {WORLD: "outside world", REMAINDER: "remainder", FEES: "trading fees"}
#: Market groups by the ledger account of their fund.
_FUNDS = {fund_of(group): group for group in range(GROUPS_MAX)}
#: Market groups by the ledger account of what nobody paid of their losses.
_UNCOVERED = {uncovered_of(group): group for group in range(GROUPS_MAX)}
_HOUSE_OF_MARKET = ("clearing", "outside traders", "error inventory", "funding")


class Vocabulary:
    """Knows the names and the decimals of one venue's run. Names are escaped: they are printed."""

    def __init__(self, venue: Venue, names: Names) -> None:
        self.venue = venue
        self.names = names
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

    def lots(self, market: int, lots: int) -> str:
        """Return lots as a quantity of contracts."""
        markets = self.venue.markets
        return markets[market].quantity_text(lots) if 0 <= market < len(markets) else f"{lots} lots"

    def price(self, market: int, ticks: int) -> str:
        """Return ticks as a price."""
        markets = self.venue.markets
        return markets[market].price_text(ticks) if 0 <= market < len(markets) else f"{ticks} ticks"

    def cash(self, atoms: int) -> str:
        """Return atoms with all decimals of the asset."""
        return f"{self.venue.asset.text(atoms)} {self.venue.asset.name}"

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
