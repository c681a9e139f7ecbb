"""The asset of an account and of a market group, and the rules of an asset.

An account is in one asset, and so is everything that it may touch: its owner, its markets, their
groups. So a row of the asset's rules is found by whatever is at hand. Rules: R13.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.columns import OWNER_FIRST
from backstop.core.events import NONE
from backstop.core.rows import AssetRow
from backstop.core.state import State

__all__ = ["asset_of", "asset_of_group", "first_group", "has_one_asset", "is_new_or_of_asset", "rules_of_market"]


@inlined
def asset_of(state: State, account: int) -> int:
    """Return the number of the asset of an account."""
    return state.account_assets[account]


@inlined
def asset_of_group(state: State, group: int) -> int:
    """Return the number of the asset of a market group, its fund and what stands uncovered there."""
    return state.funds[group].asset


@inlined
def rules_of_market(state: State, market: int) -> AssetRow:
    """Return the rules of the asset in which a market settles."""
    return state.assets[state.markets[market].settlement_asset]


@inlined
def first_group(state: State, account: int) -> int:
    """Return the first market group of an account's asset."""
    return state.assets[state.account_assets[account]].first_group


@inlined
def has_one_asset(state: State) -> bool:
    """Return whether notionals of all markets add up."""
    return state.rules[0].assets == 1


@kernel
def is_new_or_of_asset(state: State, owner: int, asset: int) -> bool:
    """Return whether an owner has no account in another asset."""
    account = state.columns[OWNER_FIRST, owner]
    return account == NONE or state.account_assets[account] == asset
