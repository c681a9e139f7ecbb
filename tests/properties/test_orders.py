"""Every order of stages keeps the invariants, or is refused in words."""

from __future__ import annotations

from itertools import permutations
from random import Random

import pytest

from backstop.config import ConfigError, default_text, parse_venue
from backstop.core.events import EffectKind, Stage
from backstop.core.instruments import VenueRules, check_rules
from backstop.core.stages import BEHIND, misplaced, paid_first
from tests.core.test_rules import GOOD
from tests.properties.watch import Watch
from tests.streams.random_streams import Writer
from tests.streams.settings import ORDERS, make_setting

BLOCKS = 4


def all_orders() -> list[tuple[Stage, ...]]:
    """Return every list in which a stage stands at most once."""
    return [order for count in range(len(Stage) + 1) for order in permutations(Stage, count)]


def words_of(rules: VenueRules) -> str:
    """Return why the engine refuses rules; nothing where it does not."""
    try:
        check_rules(rules)
    except ValueError as error:
        return str(error)
    return ""


def test_an_order_is_accepted_or_its_refusal_names_what_would_be_right() -> None:
    """Of 13,700 lists 292 are orders of a venue; each other one is refused for a stage that it
    names.
    """
    accepted, refused = set[tuple[int, ...]](), 0
    for order in all_orders():
        words = words_of(GOOD._replace(stages=order, solvent_pay_first=True))
        if not words:
            accepted.add(order)
            continue
        refused += 1
        if not order or order[-1] != Stage.TEAR_UP:
            assert "tear_up must be last" in words
            continue
        (stage, others), *_ = misplaced(order)
        assert words.startswith(f"waterfall: {stage.name.lower()} must stand behind {others[0].name.lower()}")
        assert set(others) <= set(BEHIND[stage])
    assert accepted == set(ORDERS)
    assert (len(accepted), refused) == (292, 13_408)


@pytest.mark.parametrize("order", ORDERS)
def test_solvent_accounts_pay_first_only_where_the_venue_says_so(order: tuple[Stage, ...]) -> None:
    earlier = paid_first(order)
    words = words_of(GOOD._replace(stages=order, solvent_pay_first=False))
    assert bool(words) == bool(earlier)
    assert all(order.index(stage) > order.index(Stage.ADL) for stage in earlier)
    if words:
        assert f"adl stands before {earlier[0].name.lower()}, so that solvent accounts pay first" in words


def sections() -> dict[str, str]:
    """Return the bundled venue file cut into its stages, and what stands before and behind them."""
    head, *parts = default_text().split("[[waterfall]]\n")
    last, rest = parts[-1].split("\n\n", 1)
    found = {part.split('"')[1]: f"[[waterfall]]\n{part}" for part in (*parts[:-1], last + "\n\n")}
    return found | {"head": head, "rest": rest}


#: With a fund, since the bundled file has groups.
FOUR = [order for order in permutations(Stage, 4) if Stage.FUND in order]


@pytest.mark.parametrize("order", FOUR[::13])
def test_a_venue_file_and_the_engine_refuse_the_same_orders(order: tuple[Stage, ...]) -> None:
    parts = sections()
    listed = "".join(parts[stage.name.lower()] for stage in order)
    rules = GOOD._replace(stages=order)
    text = parts["head"] + listed + parts["rest"]
    if not words_of(rules):
        assert parse_venue(text).rules.stages == order
        return
    with pytest.raises(ConfigError, match=r"the order is"):
        parse_venue(text)


def stream_of(seed: int, order: tuple[int, ...]) -> Writer:
    """Return a stream of about 70 events of a venue with this order of stages."""
    setting = make_setting(Random(seed), "any_order")
    setting.stages = order
    writer = Writer(setting)
    writer.open_book()
    length = len(writer.events) + 40
    while len(writer.events) < length:
        writer.step()
    return writer


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_accepted_order_keeps_the_invariants(block: int) -> None:
    """A stream of each order, with full scans after every event and the reference beside it."""
    acted = set[int]()
    for number, order in enumerate(ORDERS[block::BLOCKS]):
        writer = stream_of(9_000 + number, order)
        watch = Watch(writer.rules)
        for event in writer.events:
            acted |= {effect.kind for effect in watch.send(event)}
            assert watch.wrong == [], f"order {[Stage(stage).name for stage in order]}"
    wanted = {EffectKind.ORDER, EffectKind.OFFER, EffectKind.ADL_PLAN, EffectKind.TEAR_UP, EffectKind.HAIRCUT, EffectKind.SUPPORT}
    assert wanted <= acted
