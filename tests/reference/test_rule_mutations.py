"""The mutations of the rules: each has its place in the reference, and a stream notices one."""

from __future__ import annotations

import pytest

from tests.rule_mutations import MUTATIONS, UNNOTICED, Mutation, mutated, recorded, run_all


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_each_mutation_has_its_place_and_compiles(mutation: Mutation) -> None:
    assert compile(mutated(mutation), mutation.module, "exec").co_code


def test_names_are_told_apart() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)


def test_a_mutation_is_noticed_and_none_is_not() -> None:
    noticed = next(mutation for mutation in MUTATIONS if mutation.name == "the-fund-pays-before-counterparties")
    nothing = noticed._replace(name="nothing", becomes=noticed.was)
    found = {mutation.name: place for mutation, place in run_all([noticed, nothing], recorded(7_000_000, 200), 1)}
    assert found["nothing"] == UNNOTICED
    assert found[noticed.name] != UNNOTICED
