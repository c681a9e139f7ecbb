"""The highest caps that a venue has had: what was paid, promised or used under a cap stands when a
change lowers it.
"""

from __future__ import annotations

from backstop.core.instruments import CommitmentRules, VenueRules

__all__ = ["highest_caps"]


def highest_caps(before: VenueRules, now: VenueRules) -> VenueRules:
    """Return the rules of now, each cap on payments and commitments as high as it was before.

    Both are rules of one venue: as many markets, market groups and providers.
    """
    pairs = zip(before.markets, now.markets, strict=True)
    markets = (new._replace(loss_per_window_max=max(old.loss_per_window_max, new.loss_per_window_max)) for old, new in pairs)
    funds = (
        new._replace(loss_per_window_max=max(old.loss_per_window_max, new.loss_per_window_max))
        for old, new in zip(before.funds, now.funds, strict=True)
    )
    providers = (
        new._replace(
            commitments=tuple(
                (_higher(longs_before, longs), _higher(shorts_before, shorts))
                for (longs_before, shorts_before), (longs, shorts) in zip(old.commitments, new.commitments, strict=True)
            )
        )
        for old, new in zip(before.providers, now.providers, strict=True)
    )
    assets = (
        new._replace(owner_loss_max=max(old.owner_loss_max, new.owner_loss_max)) for old, new in zip(before.assets, now.assets, strict=True)
    )
    return now._replace(markets=tuple(markets), funds=tuple(funds), providers=tuple(providers), assets=tuple(assets))


def _higher(before: CommitmentRules, now: CommitmentRules) -> CommitmentRules:
    return now._replace(capacity=max(before.capacity, now.capacity))
