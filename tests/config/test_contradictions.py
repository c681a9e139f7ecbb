"""Values that do not fit each other are named, and what a provider survives is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from backstop.cli import app
from backstop.config import default_text, load_venue, parse_venue

PAIRS = {
    "breakers.stale": ('act_age_max = "10s"\n', ""),
    "breakers.outage_gap": ('act_age_max = "10s"\n', ""),
    "breakers.act_age_max": ('act_age_max = "10s"', 'act_age_max = "6m"'),
    "guard.hold": ('doubt_max = "1h"', 'doubt_max = "1m"'),
    "breakers.outage_grace_max": ('doubt_max = "1h"', 'doubt_max = "1m"'),
    "breakers.halt_wait_max": ('halt_wait_max = "60s"', 'halt_wait_max = "2h"'),
}


def test_the_bundled_file_contradicts_itself_nowhere() -> None:
    assert parse_venue(default_text(), "venue.toml").warnings == ()


@pytest.mark.parametrize("key", PAIRS)
def test_each_pair_is_named(key: str) -> None:
    old, new = PAIRS[key]
    text = default_text()
    assert text.count(old) == 1
    assert any(warning.startswith(key) for warning in parse_venue(text.replace(old, new), "venue.toml").warnings)


def test_what_levelling_ignores_is_named() -> None:
    """Under `water_filling` no part has a least and no plan a number of owners; without a loading every
    market hedges every other.
    """
    text = default_text().replace('policy = "capped_pro_rata"', 'policy = "water_filling"')
    least, most, loadings = parse_venue(text, "venue.toml").warnings
    assert "parts_min_notional (adl) = 100: is ignored" in least
    assert "counterparties_max (adl) = 200: is ignored" in most
    assert "no market has a factor_loading_ppm" in loadings
    text = text.replace('parts_min_notional = "100"', 'parts_min_notional = "0"').replace(
        "counterparties_max = 200", "counterparties_max = 0"
    )
    assert parse_venue(text, "venue.toml").warnings == (loadings,)
    one = text.replace("[[market]]", "[[market]]\nfactor_loading_ppm = 1_000_000", 1)
    assert parse_venue(one, "venue.toml").warnings == ()


def test_check_prints_the_longest_default_and_hold_and_what_each_provider_survives(tmp_path: Path) -> None:
    path = tmp_path / "venue.toml"
    path.write_text(default_text(), encoding="utf-8")
    told = CliRunner().invoke(app, ["config", "check", str(path)]).stdout.splitlines()
    assert "nobody is in default with positions longer than" in told[1]
    assert told[2].endswith("a jump on little volume is held for 2m, 4m where it is disputed")
    providers = load_venue(path).providers
    assert [line.partition("provider ")[2].partition(",")[0] for line in told[3:]] == [each.name for each in providers]
