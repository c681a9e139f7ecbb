"""Every rule of the venue is declared once, with a number of its own; rows and bounds follow."""

from __future__ import annotations

from typing import get_type_hints

import pytest

from backstop.core import instruments
from backstop.core.instruments import CloseoutRules, CommitmentRules, LimitRules, MarketRules, ProviderRules, TierRules, VenueRules
from backstop.core.parameter_table import PARAMETERS, Scope, changed, listed, value_at, venue_values
from backstop.core.parameters import NO_CAP, PPM, Moves, Unit, check_values, parameters_of
from backstop.core.rows import ASSET, MARKET, RULES, TIER

GROUPS = [
    group
    for group in vars(instruments).values()
    if isinstance(group, type) and issubclass(group, tuple) and group.__module__ == instruments.__name__
]


def test_every_number_of_every_group_is_declared() -> None:
    for group in GROUPS:
        numbers = {name for name, hint in get_type_hints(group).items() if hint in (int, bool)}
        assert numbers == {parameter.name for parameter in parameters_of(group)}, group


def test_no_number_stands_for_two_rules() -> None:
    numbers = [parameter.number for group in GROUPS for parameter in parameters_of(group)]
    assert len(numbers) == len(set(numbers)) > 90


def test_every_default_is_within_its_bounds() -> None:
    for group in GROUPS:
        for parameter in parameters_of(group):
            assert parameter.low < parameter.high
            assert parameter.default is None or parameter.low <= parameter.default <= parameter.high


def test_a_name_tells_the_unit_and_a_unit_the_bounds() -> None:
    fee, _, _, interval, *_ = parameters_of(CloseoutRules)
    assert (fee.name, fee.unit, fee.low, fee.high, fee.default) == ("fee_ppm", Unit.PPM, 0, PPM, 5_000)
    assert (interval.name, interval.unit, interval.low, interval.high) == ("interval_ns", Unit.NS, 1, 1 << 60)
    caps = {parameter.name: parameter for parameter in parameters_of(MarketRules)}
    assert (caps["loss_per_window_max"].unit, caps["loss_per_window_max"].high) == (Unit.ATOMS, NO_CAP)
    assert caps["group"].is_fixed


def test_margin_rates_move_triggers_and_fees_do_not() -> None:
    moves = {parameter.name: parameter.moves for group in GROUPS for parameter in parameters_of(group)}
    assert moves["maintenance_rate_ppm"] == moves["floor_atoms"] == Moves.MARGIN
    assert moves["warning_ratio_ppm"] == moves["exit_buffer_ppm"] == moves["close_out_ratio_ppm"] == Moves.LEVELS
    assert moves["fee_ppm"] == moves["initial_rate_ppm"] == moves["volatility_ppm"] == Moves.NOTHING


def test_rows_have_a_field_for_each_rule_that_kernels_read() -> None:
    for scope, row in ((Scope.VENUE, RULES), (Scope.ASSET, ASSET), (Scope.MARKET, MARKET), (Scope.TIER, TIER)):
        assert [each.field for each in listed(scope)] == list(row.names[: len(listed(scope))])
    assert list(venue_values(VenueRules(markets=()))) == [each.field for each in listed(Scope.VENUE)]


def test_the_table_has_every_declared_rule_once() -> None:
    declared = {parameter.number for group in GROUPS for parameter in parameters_of(group)}
    assert set(PARAMETERS) == declared
    assert list(PARAMETERS) == sorted(declared)


@pytest.mark.parametrize(("rows", "place", "words"), [(0, "limits", "limits.orders_max = 0"), (-5, "", "orders_max = -5")])
def test_what_is_out_of_bounds_is_named(rows: int, place: str, words: str) -> None:
    check_values(LimitRules(), place)
    with pytest.raises(ValueError, match=rf"^{words}: must be 1 to {1 << 28}$".replace("[", r"\[")):
        check_values(LimitRules(orders_max=rows), place)


def test_every_rule_is_read_and_changed_at_its_place() -> None:
    provider = ProviderRules(commitments=((CommitmentRules(), CommitmentRules()),))
    rules = VenueRules(markets=(MarketRules(1, 100, 100, (TierRules(0, 2, 1),), (0,), 0),), providers=(provider,))
    for number, rule in PARAMETERS.items():
        value = rule.parameter.high if value_at(rules, number) != rule.parameter.high else rule.parameter.low
        assert value_at(changed(rules, number, value=value), number) == value, rule.key
