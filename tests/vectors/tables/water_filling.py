"""The worked example of optimal deleveraging in one factor (arXiv 2603.15963): four accounts that are
short in two markets, and what each closes of the first as more of it is to be closed.

Numbers are facts of the paper, in the project's own order. Quantities are short where above 0.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LOADINGS", "MARKS", "OWNERS", "WAVES", "Owner", "Wave"]


class Owner(NamedTuple):
    """One account before the wave."""

    quantities: tuple[str, str]
    margin: int
    entries: tuple[int, int]
    #: As published: equity, factor leverage.
    equity: str
    leverage: str


class Wave(NamedTuple):
    """How much is to be closed, what each closes, the level, and the expected shortfall of all."""

    close: str
    closed: tuple[str, str, str, str]
    level: str
    shortfall: str


#: BTC, ETH.
MARKS = (67_000, 1_900)
#: The factor's move of each price, in dollars.
LOADINGS = ("6653.95029", "200.55736")
OWNERS = (
    Owner(("8", "323"), 137_500, (72_000, 2_100), "242100", ".48745"),
    Owner(("10", "-38.7"), 85_300, (73_544, 2_100), "143000", ".41103"),
    Owner(("8", "326.2"), 75_400, (80_000, 1_904), "180704.8", ".65661"),
    Owner(("7", "-190"), 43_900, (80_143, 2_000), "116901", ".07247"),
)
WAVES = (
    Wave("0.5", ("0", "0", ".5", "0"), ".638204", "3913.411"),
    Wave("2", ("0", "0", "2", "0"), ".582970", "2872.281"),
    Wave("5", (".2324", "0", "4.7676", "0"), ".481062", "1539.697"),
    Wave("10", ("3.0158", ".1391", "6.8451", "0"), ".404563", "500.463"),
    Wave("15", ("5.4331", "1.5669", "8", "0"), ".338125", "114.281"),
    Wave("20", ("8", "4", "8", "0"), ".224910", "57.969"),
    Wave("25", ("8", "8.2246", "8", ".7754"), ".028334", "57.940"),
)
