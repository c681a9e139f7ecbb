"""A small venue with every stage, two groups, two providers and a vault, for the tests of what a
run is counted by.
"""

from __future__ import annotations

from backstop.config import Venue, parse_venue
from tests.feeds.samples import venue_text

TAKEOVER = """
[[waterfall]]
stage = "takeover"
answer_timeout = "5s"
disposal_interval = "10s"
disposal_share_ppm = 200_000
"""

SOCIALISE = """
[[waterfall]]
stage = "socialise"
policy = "{policy}"
"""

PROVIDERS = """
[[provider]]
name = "provider:first"
capital = "600000"
leverage = 5

[[provider.commitment]]
group = "majors"
capacity = "300000"
edge_ppm = 5_000

[[provider]]
name = "provider:second"
capital = "200000"
leverage = 4

[[provider.commitment]]
group = "majors"
capacity = "200000"
edge_ppm = 10_000

[[provider]]
name = "provider:vault"
vault = true
capital = "100000"
leverage = 3

[[provider.commitment]]
group = "majors"
capacity = "100000"
edge_ppm = 20_000
"""

GROUPS = """
[[group]]
name = "majors"
opening_balance = "{fund}"

[[group]]
name = "others"
opening_balance = "7000"
"""


def full_text(
    *,
    fund: str = "100000",
    closeout: str = "",
    adl: bool = True,
    providers: bool = True,
    guard_volume: str = "",
    policy: str = "gains_haircut",
    more: str = "",
) -> str:
    """Return the text of the small venue, grown; ``more`` are sections of their own."""
    text = venue_text(fund, closeout, adl).replace('opening_balance = "' + fund + '"\n', "")
    if providers:
        text = text.replace('[[waterfall]]\nstage = "fund"', TAKEOVER.lstrip() + '\n[[waterfall]]\nstage = "fund"')
    text = text.replace('[[waterfall]]\nstage = "tear_up"', SOCIALISE.format(policy=policy).lstrip() + '\n[[waterfall]]\nstage = "tear_up"')
    for symbol, group in (("BTC", "majors"), ("ETH", "others")):
        text = text.replace(f'symbol = "{symbol}/USDT:USDT"\n', f'symbol = "{symbol}/USDT:USDT"\ngroup = "{group}"\n')
    if guard_volume:
        text = text.replace("depth = [5, 10, 20]\n", f'depth = [5, 10, 20]\n[market.breaker]\nguard_volume = "{guard_volume}"\n')
    return text + GROUPS.format(fund=fund) + (PROVIDERS if providers else "") + more


def full_venue(**parts: object) -> Venue:
    """Return ``full_text`` read as a venue."""
    return parse_venue(full_text(**parts), "venue.toml")  # type: ignore[arg-type]
