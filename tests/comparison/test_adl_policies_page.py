"""The table of ADL policies: its page is the one of its figures, and a reader counts what it says."""

from __future__ import annotations

import json

import pytest

from backstop.config import default_text, parse_venue
from backstop.core.events import AdlPolicy
from benchmarks.adl_policies import KINDS, PAGE, RESULTS, case_of, with_policy
from benchmarks.adl_policies_page import page


def test_the_page_is_that_of_the_figures() -> None:
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == page(rows)
    assert {(row["kind"], row["policy"]) for row in rows} == {(kind, policy.name.lower()) for kind in KINDS for policy in AdlPolicy}
    assert all(row["conserved"] for row in rows)


@pytest.mark.parametrize("policy", list(AdlPolicy))
def test_only_the_policy_differs(policy: AdlPolicy) -> None:
    bundled = parse_venue(default_text(), "bundled venue")
    assert with_policy(bundled, policy, is_bare=False).rules == bundled.rules._replace(adl_policy=int(policy))


def test_a_bare_venue_leaves_all_to_adl() -> None:
    case = case_of("bundled, bare", AdlPolicy.QUEUE)
    assert [stage["stage"] for stage in case.venue.resolved["waterfall"]] == ["restrict", "closeout", "adl", "socialise", "tear_up"]
    assert case.venue.providers == ()
