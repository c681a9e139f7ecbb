"""The tables of words have a row for each stage, policy and cause: no reader lacks one."""

from __future__ import annotations

import re
from typing import get_args

from backstop.config.policies import POLICIES, Weight, weight_kind
from backstop.config.schema import WaterfallStage
from backstop.config.stages import CLOSING, PAYING, STAGES, key_of
from backstop.core.events import ADL_IN_ORDER, AdlClass, AdlPolicy, BreakerCause, Stage
from backstop.report.kinds import BREAKER_CAUSES
from backstop.report.page import stage_style

COLOUR = re.compile(r"#[0-9a-f]{6}", re.IGNORECASE)


def test_every_stage_has_its_words_in_the_order_of_the_venue_file() -> None:
    assert set(STAGES) == set(Stage)
    sections = get_args(get_args(WaterfallStage)[0])
    assert [get_args(section.model_fields["stage"].annotation) for section in sections] == [(key_of(stage),) for stage in STAGES]
    for words in STAGES.values():
        assert words.did
        assert words.title[0].isupper()
        assert COLOUR.fullmatch(words.colour)
        assert COLOUR.fullmatch(words.colour_on_dark)


def test_a_stage_that_closes_or_pays_has_a_place_in_the_style_of_the_page() -> None:
    style = stage_style()
    for name in CLOSING:
        assert f"\n.{name} {{ fill: var(--{name});" in style
        assert f"\n.line.fillmark.{name} {{" in style
    for name in set(PAYING) - set(CLOSING):
        assert f"\n.fill.{name} {{ fill: var(--{name});" in style
    assert all(style.count(f"--{key_of(stage)}: ") == 2 for stage in Stage)  # light and dark


def test_closing_colours_go_from_light_to_dark() -> None:
    shares = [(0.2126, 0.7152, 0.0722)] * len(CLOSING)
    parts = [[int(words.colour[place : place + 2], 16) for place in (1, 3, 5)] for words in CLOSING.values()]
    brightness = [sum(map(float.__mul__, share, map(float, part))) for share, part in zip(shares, parts, strict=True)]
    assert brightness == sorted(brightness, reverse=True)


def test_every_policy_has_its_words() -> None:
    assert set(POLICIES) == set(AdlPolicy)
    assert {policy for policy, words in POLICIES.items() if words.order} == set(ADL_IN_ORDER)
    assert len({words.colour for words in POLICIES.values()}) == len(POLICIES)
    assert all((words.score != "{}") == (words.weight == Weight.SCORE) for words in POLICIES.values())
    assert all(weight_kind(policy, AdlClass.HOUSE) == Weight.LOTS for policy in AdlPolicy)
    assert weight_kind(AdlPolicy.CAPPED_PRO_RATA, AdlClass.REST) == Weight.LOTS
    assert weight_kind(AdlPolicy.CAPPED_PRO_RATA, AdlClass.PROFITABLE) == Weight.PROFIT


def test_every_cause_of_a_breaker_has_its_words() -> None:
    assert set(BREAKER_CAUSES) == set(BreakerCause)
