"""A venue file becomes the engine's integers, exactly, or every reason why not."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backstop.config import ConfigError, OffGridError, Rounding, default_text, load_venue, parse_venue, steps_of, value_of
from backstop.config.reference import page_text, schema_text
from backstop.config.render import venue_toml
from backstop.core.events import Stage
from backstop.core.instruments import NO_CAP, NOTIONAL_ATOMS_MAX, VenueRules, check_rules, deductions_atoms

ROOT = Path(__file__).parents[2]

SMALL = """
[venue]
name = "small"

[asset]
name = "USDT"
decimals = 6

[[waterfall]]
stage = "restrict"

[[waterfall]]
stage = "closeout"
fee_ppm = 1000

[[waterfall]]
stage = "fund"
opening_balance = "1000.5"

[[waterfall]]
stage = "adl"

[[waterfall]]
stage = "tear_up"

[[market]]
symbol = "BTC/USDT:USDT"
price_tick = "0.1"
quantity_lot = "0.001"
price_max = "1000000"
position_max = "10000"
slippage_tolerance_ppm = 50_000
band_offset_ppm = [1_000, 5_000]
tiers = [
    { floor = 0, cap = 1000, initial_rate_ppm = 10_000, maintenance_rate_ppm = 5_000 },
    { floor = 1000, initial_rate_ppm = 20_000, maintenance_rate_ppm = 10_000 },
]
[market.book]
depth = [10, "20.5"]
"""


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_venue(text, "x.toml")
    return [str(finding) for finding in caught.value.findings]


def changed(old: str, new: str, text: str = SMALL) -> str:
    assert old in text
    return text.replace(old, new, 1)


def test_small_venue_becomes_integers() -> None:
    venue = parse_venue(SMALL)
    market = venue.markets[0]
    assert (market.notional_factor, market.price_ticks_max, market.position_lots_max) == (100, 10_000_000, 10_000_000)
    assert venue.rules.markets[0].tiers[1] == (1_000_000_000, 20_000, 10_000)
    assert venue.rules.markets[0].ordered_notional_max == NO_CAP
    assert venue.rules.stages == (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
    assert venue.rules.closeout.deadline_ns == 30_000_000_000
    assert venue.books[0].depth_lots == (10_000, 20_500)
    assert venue.fund_opening_atoms == (1_000_500_000,)
    assert venue.warnings == ()
    assert venue.text == SMALL


def test_bundled_venue_is_good_and_warns_of_nothing() -> None:
    venue = parse_venue(default_text())
    check_rules(venue.rules)
    assert len(venue.markets) >= 8
    assert venue.warnings == ()


@pytest.mark.parametrize(("symbol", "deductions"), [("BTC/USDT:USDT", (0, 300, 1_500, 12_000, 132_000, 482_000, 2_982_000, 14_482_000))])
def test_bundled_deductions_are_those_published(symbol: str, deductions: tuple[int, ...]) -> None:
    # Binance, maintenance amounts of its leverage brackets, 2026-05.
    venue = parse_venue(default_text())
    tiers = venue.rules.markets[venue.market(symbol)].tiers
    found = deductions_atoms(tuple(tier.floor_atoms for tier in tiers), tuple(tier.maintenance_rate_ppm for tier in tiers))
    assert found == tuple(amount * 10**6 for amount in deductions)


@pytest.mark.parametrize("text", [SMALL, default_text()], ids=["small", "bundled"])
def test_resolved_venue_reads_back_with_its_hash(text: str) -> None:
    venue = parse_venue(text)
    again = parse_venue(venue_toml(venue.resolved))
    assert (again.hash, again.rules, again.books, again.resolved) == (venue.hash, venue.rules, venue.books, venue.resolved)


def test_hash_knows_the_venue_and_not_its_spelling() -> None:
    venue = parse_venue(SMALL)
    spelt = changed('price_tick = "0.1"', "price_tick = 0.10", changed("depth = [10,", 'latency = "50_000us"\ndepth = ["10.0",'))
    spelt = "# a comment\n" + spelt.replace("50_000us", "50000us")
    assert parse_venue(spelt).hash == venue.hash
    assert parse_venue(changed("fee_ppm = 1000", "fee_ppm = 1001")).hash != venue.hash


BAD: list[tuple[str, str, str, str]] = [
    # what, old, new, the whole finding
    (
        "misspelt key of a market",
        "slippage_tolerance_ppm = 50_000",
        "slipage_tolerance_ppm = 50_000",
        "market[0].slipage_tolerance_ppm (BTC/USDT:USDT) = 50000: unknown key: did you mean `slippage_tolerance_ppm`?",
    ),
    ("misspelt key of a stage", "fee_ppm", "fee_pm", "waterfall[1].fee_pm (closeout) = 1000: unknown key: did you mean `fee_ppm`?"),
    ("misspelt key of a tier", "{ floor = 1000,", "{ flor = 1000,", "market[0].tiers[1].flor (BTC/USDT:USDT) = 1000: unknown key:"),
    ("misspelt section", "[market.book]", "[market.boook]", "market[0].boook (BTC/USDT:USDT): unknown key: did you mean `book`?"),
    ("misspelt section at the top", "[asset]", "[assets]", "assets: unknown key: did you mean `asset`?"),
    (
        "misspelt stage",
        '"closeout"\nfee_ppm = 1000',
        '"close_out"',
        'waterfall[1].stage = "close_out": must be one of restrict, closeout, takeover, fund, adl, socialise, tear_up;'
        " did you mean `closeout`?",
    ),
    ("stage without a name", '[[waterfall]]\nstage = "restrict"', "[[waterfall]]", "waterfall[0]: stage is missing"),
    (
        "key of another stage",
        'stage = "adl"',
        'stage = "adl"\nfee_ppm = 1',
        "waterfall[3].fee_ppm (adl) = 1: unknown key: known here: stage, policy",
    ),
    ("missing key", 'price_max = "1000000"\n', "", "market[0].price_max (BTC/USDT:USDT): missing: it has no default"),
    ("wrong type", "fee_ppm = 1000", 'fee_ppm = "1000"', 'waterfall[1].fee_ppm (closeout) = "1000": must be a valid integer'),
    ("a number that is no number", '"0.1"', '"a tenth"', 'market[0].price_tick (BTC/USDT:USDT) = "a tenth": must be a decimal number'),
    ("not a number", '"0.1"', "nan", "market[0].price_tick (BTC/USDT:USDT) = NaN: must be a finite number"),
    ("an exponent that fills memory", '"0.1"', "1e-999999999", "market[0].price_tick (BTC/USDT:USDT) = 1E-999999999: must lie within"),
    ("a true price", '"0.1"', "true", "market[0].price_tick (BTC/USDT:USDT) = true: must be a decimal number"),
    (
        "a duration without unit",
        "fee_ppm = 1000",
        "deadline = 30",
        "waterfall[1].deadline (closeout) = 30: must be a text of a whole number and one of",
    ),
    ("no duration at all", "fee_ppm = 1000", 'deadline = "0s"', 'waterfall[1].deadline (closeout) = "0s": must be at least 1ns'),
    (
        "rate above one",
        "fee_ppm = 1000",
        "fee_ppm = 1000001",
        "waterfall[1].fee_ppm (closeout) = 1000001: must be less than or equal to 1000000",
    ),
    (
        "gap between tiers",
        "cap = 1000",
        "cap = 900",
        "market[0].tiers[0].cap (BTC/USDT:USDT) = 900: gap from 900 to 1000: must be 1000, the floor of the next tier",
    ),
    (
        "overlap of tiers",
        "cap = 1000",
        "cap = 1100",
        "market[0].tiers[0].cap (BTC/USDT:USDT) = 1100: overlap from 1000 to 1100: must be 1000",
    ),
    ("end of the last tier", "floor = 1000,", "floor = 1000, cap = 9999,", "market[0].tiers[1].cap (BTC/USDT:USDT) = 9999: the last tier"),
    ("first tier above 0", "floor = 0,", "floor = 10,", "market[0].tiers[0].floor (BTC/USDT:USDT) = 10: must be 0: notional from 0 to 10"),
    ("tiers out of order", "floor = 1000,", "floor = 0,", "market[0].tiers[1].floor (BTC/USDT:USDT) = 0: must be above the floor before"),
    (
        "rates that fall",
        "initial_rate_ppm = 20_000, maintenance_rate_ppm = 10_000",
        "initial_rate_ppm = 20_000, maintenance_rate_ppm = 4_000",
        "market[0].tiers[1].maintenance_rate_ppm (BTC/USDT:USDT) = 4000: must not fall from tier to tier: 5000 before",
    ),
    (
        "maintenance above initial",
        "maintenance_rate_ppm = 10_000",
        "maintenance_rate_ppm = 30_000",
        "market[0].tiers[1].maintenance_rate_ppm (BTC/USDT:USDT) = 30000: must be at most the initial rate, 20000",
    ),
    (
        "margin of the whole notional",
        "initial_rate_ppm = 20_000, maintenance_rate_ppm = 10_000",
        "initial_rate_ppm = 900_000, maintenance_rate_ppm = 700_000",
        "market[0].tiers[1].maintenance_rate_ppm (BTC/USDT:USDT) = 700000: x warning_ratio 1.5 leaves less than a "
        "thousandth of the notional:"
        " must be at most 666000",
    ),
    (
        "a floor between atoms",
        "floor = 1000,",
        "floor = 1000.0000001,",
        "market[0].tiers[1].floor (BTC/USDT:USDT) = 1000.0000001: must be whole",
    ),
    (
        "a tick that is no whole number of atoms",
        "decimals = 6",
        "decimals = 3",
        "market[0].quantity_lot (BTC/USDT:USDT) = 0.001: price_tick 0.1 x quantity_lot 0.001 x contract_size 1 = 0.0001 USDT = 0.1 atoms:"
        " must be a whole number of atoms; a quantity_lot of 0.01 would be",
    ),
    ("negative tick", '"0.1"', '"-0.1"', "market[0].price_tick (BTC/USDT:USDT) = -0.1: must be above 0"),
    ("zero lot", '"0.001"', "0", "market[0].quantity_lot (BTC/USDT:USDT) = 0: must be above 0"),
    (
        "highest price off the grid",
        '"1000000"',
        '"1000000.05"',
        "market[0].price_max (BTC/USDT:USDT) = 1000000.05: must be a whole number of ticks: 1000000.05 is not a whole number",
    ),
    (
        "largest position off-lot",
        '"10000"',
        '"10000.0005"',
        "market[0].position_max (BTC/USDT:USDT) = 10000.0005: must be a whole number of lots",
    ),
    (
        "too many ticks",
        '"1000000"',
        '"300000000"',
        "market[0].price_max (BTC/USDT:USDT) = 300000000: is 3000000000 ticks of 0.1: must be at most 2147483646"
        " ticks, that is 214748364.6",
    ),
    (
        "largest position overflows",
        '"10000"',
        '"10000000"',
        "market[0].position_max (BTC/USDT:USDT) = 10000000: is 10000000000000 USDT at price_max 1000000: must be at most 1152921.504,"
        " that is 1152921504606.846976 USDT (2^60 atoms), so that sums fit 64 bits",
    ),
    ("depth off-lot", '"20.5"', '"20.5005"', "market[0].book.depth[1] (BTC/USDT:USDT) = 20.5005: must be a whole number of lots"),
    (
        "depth beyond 40 bits",
        '"20.5"',
        '"2e12"',
        "market[0].book.depth[1] (BTC/USDT:USDT) = 2000000000000: is 2000000000000000 lots: must be at most 1099511627.776 (2^40",
    ),
    ("negative depth", '"20.5"', "-1", "market[0].book.depth[1] (BTC/USDT:USDT) = -1: must"),
    (
        "depth of another number of bands",
        ', "20.5"]',
        "]",
        "market[0].book.depth (BTC/USDT:USDT): has 1 bands: must have one for each of the 2",
    ),
    (
        "bands that do not ascend",
        "[1_000, 5_000]",
        "[5_000, 1_000]",
        "market[0].band_offset_ppm (BTC/USDT:USDT) = [5000, 1000]: must ascend",
    ),
    (
        "inverse contract",
        "BTC/USDT:USDT",
        "BTC/USD:BTC",
        'market[0].symbol = "BTC/USD:BTC": must be BASE/USDT:USDT: an inverse contract settles in its base',
    ),
    ("dated future", "BTC/USDT:USDT", "BTC/USDT:USDT-251226", 'market[0].symbol = "BTC/USDT:USDT-251226": must be BASE/USDT:USDT: dated'),
    ("other settlement asset", "BTC/USDT:USDT", "BTC/USDC:USDC", 'market[0].symbol = "BTC/USDC:USDC": must be BASE/USDT:USDT: quoted and'),
    ("a venue's own symbol", "BTC/USDT:USDT", "BTCUSDT", 'market[0].symbol = "BTCUSDT": must be BASE/USDT:USDT, a ccxt unified symbol'),
    (
        "two assets",
        "[asset]",
        "[[asset]]\nname = 'USDC'\ndecimals = 6\n[[asset]]",
        "group: missing: with [[asset]] each market group names its asset",
    ),
    ("other collateral", "[asset]", "[collateral]\nname = 'BTC'\n[asset]", "collateral: collateral other than the settlement asset"),
    (
        "negative money",
        '"1000.5"',
        '"-1"',
        "waterfall[2].opening_balance (fund) = -1: must be 0 to 1152921504606.846976 USDT (2^60 atoms, so that sums fit 64 bits)",
    ),
    ("money between atoms", '"1000.5"', '"0.0000005"', "waterfall[2].opening_balance (fund) = 0.0000005: must be whole atoms of USDT"),
    (
        "more money than fits",
        '"1000.5"',
        '"9e12"',
        "waterfall[2].opening_balance (fund) = 9000000000000: must be 0 to 1152921504606.846976 USDT",
    ),
    (
        "tear_up not last",
        '[[waterfall]]\nstage = "adl"\n\n[[waterfall]]\nstage = "tear_up"',
        '[[waterfall]]\nstage = "tear_up"\n\n[[waterfall]]\nstage = "adl"',
        'waterfall[3].stage = "tear_up": the order is restrict, closeout, fund, tear_up, adl: tear_up must be last',
    ),
    ("no tear_up", '[[waterfall]]\nstage = "tear_up"', "", "waterfall: the order is restrict, closeout, fund, adl: tear_up must be there"),
    (
        "a ratio between parts per million",
        "[asset]",
        "[levels]\nclose_out_ratio = 0.6666667\n[asset]",
        "levels.close_out_ratio = 0.6666667",
    ),
    (
        "warning below release",
        "[asset]",
        "[levels]\nwarning_ratio = 1.04\n[asset]",
        "levels.warning_ratio = 1.04: must be 1.05 (1 + exit_buffer)",
    ),
    ("close-out above one", "[asset]", "[levels]\nclose_out_ratio = 1.1\n[asset]", "levels.close_out_ratio = 1.1: must be 0 to 1"),
    ("no accounts", "[asset]", "[limits]\naccounts_max = 0\n[asset]", "limits.accounts_max = 0: must be greater than or equal to 1"),
    ("not TOML", "[asset]", "[asset", "not TOML: "),
]


@pytest.mark.parametrize(("old", "new", "finding"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_input_names_key_value_and_what_would_be_right(old: str, new: str, finding: str) -> None:
    found = problems(changed(old, new))
    assert any(text.startswith(finding) for text in found), found


@pytest.mark.parametrize("number", [number for number, row in enumerate(BAD) if row[0].startswith("misspelt key")])
def test_misspelt_required_key_is_one_problem_not_two(number: int) -> None:
    _, old, new, _ = BAD[number]
    assert len(problems(changed(old, new))) == 1


def test_all_problems_are_named_at_once() -> None:
    text = changed("fee_ppm", "fee_pm", changed("cap = 1000", "cap = 900", changed('"1000.5"', '"-1"', changed('"10000"', '"10000000"'))))
    keys = [text.split(" ")[0] for text in problems(text)]
    assert keys == ["waterfall[1].fee_pm", "waterfall[2].opening_balance", "market[0].position_max", "market[0].tiers[0].cap"]


def test_a_misspelt_key_or_a_malformed_stage_hides_nothing_else() -> None:
    # Malformed: the stage cannot be read.
    text = changed('"closeout"\nfee_ppm = 1000', '"closeout"\nfee_ppm = "a"')
    text = changed('stage = "fund"', 'stage = "fund"\nwindow = "1ns"', text)
    text = changed('[[waterfall]]\nstage = "tear_up"', "", text)
    text = changed("slippage_tolerance_ppm", "slipage_tolerance_ppm", changed("cap = 1000", "cap = 900", text))
    assert [found.split(" ")[0].rstrip(":") for found in problems(text)] == [
        "market[0].slipage_tolerance_ppm",
        "waterfall[1].fee_ppm",
        "waterfall[2].window",
        "waterfall",
        "market[0].tiers[0].cap",
    ]


THREE = SMALL + "".join(SMALL[SMALL.index("[[market]]") :].replace("BTC/USDT:USDT", f"{base}/USDT:USDT") for base in ("ETH", "SOL"))
BETWEEN_KEYS = [
    (
        "shared by all markets, as written",
        "[breakers]\nprice_throttle_ppm = 90_000\nprice_halt_ppm = 80_000\nprice_exit_ppm = 1\n",
        "",
        "breakers.price_throttle_ppm = 90000: must be at most price_halt_ppm, 80000",
    ),
    (
        "shared by all markets, left out",
        "[breakers]\nprice_halt_ppm = 80_000\n",
        "",
        "breakers.price_exit_ppm: missing: it must be 1 to price_halt_ppm, 80000, where the breaker begins",
    ),
    (
        "a market's own, beside the shared",
        "[breakers]\nprice_halt_ppm = 80_000\nprice_exit_ppm = 40_000\n",
        "[market.breaker]\nprice_halt_ppm = 30_000\n",
        "market[2].breaker.price_halt_ppm (SOL/USDT:USDT) = 30000: price_exit_ppm is 40000 in [breakers],"
        " and must be 1 to price_halt_ppm, 30000, where the breaker begins: the market needs a price_exit_ppm of its own",
    ),
    (
        "a market's own",
        "",
        "[market.breaker]\nprice_halt_ppm = 30_000\nprice_exit_ppm = 50_000\n",
        "market[2].breaker.price_exit_ppm (SOL/USDT:USDT) = 50000: must be 1 to price_halt_ppm, 30000, where the breaker begins",
    ),
    (
        "the written one of a pair",
        "[levels]\nexit_buffer = 0.6\n",
        "",
        "levels.exit_buffer = 0.6: must be at most 0.5, so that 1 + exit_buffer is at most warning_ratio, which is left out and is 1.5",
    ),
]


@pytest.mark.parametrize(("before", "behind", "finding"), [row[1:] for row in BETWEEN_KEYS], ids=[row[0] for row in BETWEEN_KEYS])
def test_a_fault_between_keys_is_told_once_where_it_is_written(before: str, behind: str, finding: str) -> None:
    assert problems(before + THREE + behind) == [finding]


def test_one_fault_does_not_bring_others_with_it() -> None:
    ratio = THREE.replace("[asset]", "[levels]\nwarning_ratio = 9\n[asset]").replace("20_000, maintenance", "200_000, maintenance")
    steep = ratio.replace("maintenance_rate_ppm = 10_000", "maintenance_rate_ppm = 120_000")
    assert problems(steep) == [
        "levels.warning_ratio = 9: x the maintenance_rate_ppm of the last tier (120000 of BTC/USDT:USDT, 120000 of ETH/USDT:USDT,"
        " 120000 of SOL/USDT:USDT) leaves less than a thousandth of the notional: must be at most 8.325, or those rates lower"
    ]
    groups = default_text().replace('name = "alts"', 'name = "majors"')
    assert problems(groups) == ['group[1].name = "majors": is already at group[0]']
    malformed = default_text().replace('opening_balance = "8000000"', "opening_balance = true")
    assert [found.partition(":")[0] for found in problems(malformed)] == ["group[1].opening_balance (alts) = true"]


def test_a_drawdown_without_its_exit_names_the_key_that_is_there() -> None:
    text = changed('stage = "fund"', 'stage = "fund"\ndrawdown_enter_ppm = 300_000')
    assert problems(text) == [
        "waterfall[2].drawdown_enter_ppm (fund) = 300000: needs drawdown_exit_ppm beside it, 1 to 300000: left out, it is 0"
    ]


ODD = ("0", "-1", "1e40", "1e-40", "9223372036854775808", "inf", "nan", "true", '""', '"x"', '"1h"', "[]", "[[]]", "{}", "1979-05-27")


@pytest.mark.parametrize("line", [line for line in dict.fromkeys(SMALL.splitlines()) if " = " in line])
def test_no_odd_value_does_worse_than_a_finding(line: str) -> None:
    key = line[: line.rindex(" = ") + 3]
    texts = [changed(line, key + odd) for odd in ODD] if "{" not in line else [changed("floor = 1000", f"floor = {odd}") for odd in ODD]
    for text in [*texts, changed(line, ""), changed(line, f"{line}\n{line}")]:
        with suppress(ConfigError):
            check_rules(parse_venue(text).rules)


ADL_FIRST = changed(
    '[[waterfall]]\nstage = "fund"\nopening_balance = "1000.5"\n\n[[waterfall]]\nstage = "adl"\n',
    '[[waterfall]]\nstage = "adl"\n\n[[waterfall]]\nstage = "fund"\nopening_balance = "1000.5"\n',
)


def test_adl_before_fund_needs_the_venue_to_say_so() -> None:
    assert problems(ADL_FIRST) == [
        'waterfall[2].stage = "adl": the order is restrict, closeout, adl, fund, tear_up: adl before fund lets solvent accounts pay first:'
        " put fund before adl, or set venue.solvent_pay_first = true"
    ]
    venue = parse_venue(changed('name = "small"', 'name = "small"\nsolvent_pay_first = true', ADL_FIRST))
    assert venue.rules.solvent_pay_first
    assert venue.warnings == ("waterfall: solvent_pay_first: solvent accounts pay (adl) before fund does",)


FUND, SOCIALISE = '[[waterfall]]\nstage = "fund"\nopening_balance = "1000.5"\n\n', '[[waterfall]]\nstage = "socialise"\n\n'


@pytest.mark.parametrize(
    ("before", "stage", "finding"),
    [
        (
            "closeout",
            FUND,
            'waterfall[1].stage = "fund": the order is restrict, fund, closeout, adl, tear_up: fund must stand behind closeout:'
            " it supports what they close, and pays for accounts that they leave without positions",
        ),
        (
            "restrict",
            FUND,
            'waterfall[0].stage = "fund": the order is fund, restrict, closeout, adl, tear_up: fund must stand behind restrict and'
            " closeout: it supports what they close, and pays for accounts that they leave without positions",
        ),
        (
            "fund",
            SOCIALISE,
            'waterfall[2].stage = "socialise": the order is restrict, closeout, socialise, fund, adl, tear_up: socialise must stand behind'
            " fund and adl: it bears what the fund left of accounts without positions, those torn up included",
        ),
        (
            "adl",
            SOCIALISE,
            'waterfall[3].stage = "socialise": the order is restrict, closeout, fund, socialise, adl, tear_up: socialise must stand behind'
            " adl: it bears what the fund left of accounts without positions, those torn up included",
        ),
    ],
)
def test_a_stage_has_no_place_where_it_does_not_act(before: str, stage: str, finding: str) -> None:
    place = f'[[waterfall]]\nstage = "{before}"'
    text = changed(place, stage + place, SMALL.replace(stage, ""))
    assert problems(text) == [finding]
    assert problems(changed('name = "small"', 'name = "small"\nsolvent_pay_first = true', text)) == [finding]


def test_the_usual_order_of_all_stages_is_read_without_a_warning_of_it() -> None:
    text = changed('[[waterfall]]\nstage = "tear_up"', SOCIALISE + '[[waterfall]]\nstage = "tear_up"')
    assert parse_venue(text).rules.stages[-2:] == (Stage.SOCIALISE, Stage.TEAR_UP)
    assert not any("pay" in warning for warning in parse_venue(text).warnings)


def test_what_a_file_leaves_out_is_what_the_engine_takes_for_it() -> None:
    """Defaults stand in the classes of the file and in the rules of the engine: they are the
    same.
    """
    lines = [line for line in SMALL.splitlines() if not line.startswith(("fee_ppm", "interval", "opening_balance"))]
    text = changed('stage = "fund"', 'stage = "takeover"\n\n[[waterfall]]\nstage = "fund"', "\n".join(lines))
    rules, default = parse_venue(text).rules, VenueRules(markets=())
    for name in ("closeout", "fund", "funds", "takeover", "disposal", "breakers", "levels", "limits"):
        assert getattr(rules, name) == getattr(default, name), name
    assert (rules.adl_policy, rules.socialise_policy) == (default.adl_policy, default.socialise_policy)


def test_a_stage_stands_once() -> None:
    twice = changed('[[waterfall]]\nstage = "adl"', '[[waterfall]]\nstage = "fund"\n\n[[waterfall]]\nstage = "adl"')
    assert problems(twice) == ['waterfall[3].stage = "fund": is already at waterfall[2]: list it once']


def _second_market(text: str, symbol: str) -> str:
    return text + text[text.index("[[market]]") :].replace("BTC/USDT:USDT", symbol)


def test_a_symbol_stands_once() -> None:
    assert problems(_second_market(SMALL, "BTC/USDT:USDT")) == ['market[1].symbol = "BTC/USDT:USDT": is already at market[0]']


def test_sum_of_largest_positions_must_not_overflow() -> None:
    half = changed('"10000"', '"1000000"')
    assert parse_venue(half).markets[0].position_lots_max * 10_000_000 * 100 < NOTIONAL_ATOMS_MAX
    (found,) = problems(_second_market(half, "ETH/USDT:USDT"))
    assert found.startswith(
        "market: the largest positions add up to ETH/USDT:USDT 1000000000000 + BTC/USDT:USDT 1000000000000 = 2000000000000"
    )
    assert " USDT: must be at most 1152921504606.846976 USDT (2^60 atoms)" in found


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (
            lambda text: changed("fee_ppm = 1000", "fee_ppm = 5000", text),
            "waterfall[1].fee_ppm (closeout) = 5000: reaches the maintenance rate 5000",
        ),
        (
            lambda text: changed("[1_000, 5_000]", "[60_000, 70_000]", text),
            "market[0].slippage_tolerance_ppm (BTC/USDT:USDT) = 50000: is below",
        ),
        (lambda text: changed("maintenance_rate_ppm = 5_000", "maintenance_rate_ppm = 0", text), "waterfall[1].fee_ppm"),
        (lambda text: changed('[[waterfall]]\nstage = "fund"\nopening_balance = "1000.5"\n', "", text), "waterfall: has no fund"),
        (lambda text: changed('"small"', '"small"\nsolvent_pay_first = true', text), "venue.solvent_pay_first = true: allows what"),
    ],
)
def test_what_is_probably_not_meant_is_a_warning(change: Callable[[str], str], warning: str) -> None:
    assert any(text.startswith(warning) for text in parse_venue(change(SMALL)).warnings)


def test_bytes_that_are_no_text_are_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "venue.toml"
    path.write_bytes(b'[venue]\nname = "\xff"\n')
    with pytest.raises(ConfigError, match=r"venue\.toml: must be UTF-8 text: byte 16 is not"):
        load_venue(path)


def test_market_by_symbol() -> None:
    venue = parse_venue(default_text())
    assert venue.markets[venue.market("SOL/USDT:USDT")].base == "SOL"
    with pytest.raises(KeyError, match="unknown market SOL/USDT: did you mean `SOL/USDT:USDT`"):
        venue.market("SOL/USDT")


@pytest.mark.parametrize(
    ("value", "step", "rounding", "steps"),
    [
        ("1.25", "0.5", Rounding.FLOOR, 2),
        ("1.25", "0.5", Rounding.CEIL, 3),
        ("1.25", "0.5", Rounding.HALF_EVEN, 2),
        ("1.75", "0.5", Rounding.HALF_EVEN, 4),
        ("-1.25", "0.5", Rounding.FLOOR, -3),
        ("-1.25", "0.5", Rounding.CEIL, -2),
        ("1.5", "0.5", Rounding.EXACT, 3),
        ("12345678901234567890.123456789", "0.000000001", Rounding.EXACT, 12345678901234567890123456789),
    ],
)
def test_steps_by_named_rounding(value: str, step: str, rounding: Rounding, steps: int) -> None:
    assert steps_of(Decimal(value), Decimal(step), rounding) == steps


@pytest.mark.parametrize("value", ["1.25", "NaN", "Infinity", "1e-99"])
def test_exact_steps_refuse_what_is_off_the_grid(value: str) -> None:
    with pytest.raises(OffGridError):
        steps_of(Decimal(value), Decimal("0.5"))


@pytest.mark.parametrize(("value", "name"), [("12.5", "str"), (12.5, "float"), (12, "int")])
def test_what_is_no_decimal_is_named(value: Any, name: str) -> None:
    with pytest.raises(TypeError) as raised:
        parse_venue(SMALL).asset.atoms(value)
    assert str(raised.value) == f'{value!r} is a {name}: must be a Decimal, as in Decimal("0.1")'


@pytest.mark.parametrize("steps", [0, 1, -1, 10**30, -(10**30) - 7])
def test_steps_and_values_are_inverse(steps: int) -> None:
    assert steps_of(value_of(steps, Decimal("0.005")), Decimal("0.005")) == steps


def test_amounts_in_text() -> None:
    asset = parse_venue(SMALL).asset
    assert [asset.text(atoms) for atoms in (0, -1, 12_500_000, -(10**13))] == ["0.000000", "-0.000001", "12.500000", "-10000000.000000"]
    assert asset.atoms(Decimal("12.5")) == 12_500_000
    market = parse_venue(SMALL).markets[0]
    assert (market.price_text(1_234_567), market.quantity_text(-1_500)) == ("123456.7", "-1.5")


def test_committed_schema_and_page_are_the_generated_ones() -> None:
    assert (ROOT / "schemas" / "venue.schema.json").read_text(encoding="utf-8") == schema_text(), "run make generate"
    assert (ROOT / "docs" / "reference" / "venue.md").read_text(encoding="utf-8") == page_text(), "run make generate"


def test_the_page_shows_types_and_defaults_as_a_person_writes_them() -> None:
    text = page_text()
    assert "Undefined" not in text
    rows = {(section, key): cells for section, key, cells in _rows_of(text)}
    assert rows["[breakers]", "stale"][:3] == ["duration", "", "none"]
    assert rows["[breakers]", "outage_gap"][:3] == ["duration", "", "none"]
    assert rows["[[market]]", "breaker"][:3] == ["table", "", "each key's own"]
    for (section, key), (kind, _, default, _) in rows.items():
        kinds = r"text|integer|decimal|duration|table|true or false|list of \w+|`.*"
        assert re.fullmatch(kinds, kind), (section, key, kind)
        shown = r"required|none|no cap|each key's own|`.+`"
        assert re.fullmatch(shown, default), (section, key, default)
        if kind == "duration" and default not in ("required", "none"):
            assert re.fullmatch(r'`"\d+(h|m|s|ms|us|ns)"`', default), (section, key, default)


def _rows_of(text: str) -> Iterator[tuple[str, str, list[str]]]:
    section = ""
    for line in text.splitlines():
        if line.startswith("## `"):
            section = line[4:].rstrip("`")
        elif line.startswith("| `"):
            key, *cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            yield section, key.strip("` "), cells


def test_page_and_schema_name_every_key_of_the_bundled_file() -> None:
    words = set(re.findall(r"^([a-z_]+) = ", default_text(), re.MULTILINE))
    for word in words - {"stage"}:
        assert f"`{word}`" in page_text(), word
        assert f'"{word}"' in schema_text(), word
    assert set(tomllib.loads(default_text())) == {
        *("venue", "asset", "levels", "limits", "breakers", "guard", "waterfall", "group", "provider", "market")
    }


# -- inverse contracts -----------------------------------------------------------------------------

INVERSE = (
    SMALL.replace('name = "USDT"\ndecimals = 6', 'name = "BTC"\ndecimals = 8')
    .replace("BTC/USDT:USDT", "BTC/USD:BTC")
    .replace('price_tick = "0.1"\nquantity_lot = "0.001"', 'price_tick = "0.5"\nquantity_lot = 1\ncontract_size = 1')
    .replace('price_max = "1000000"\nposition_max = "10000"', 'price_max = "1000000"\nprice_min = "100"\nposition_max = "100000000"')
    .replace('depth = [10, "20.5"]', "depth = [1000000, 2000000]")
)


def test_an_inverse_market_is_named_by_its_symbol() -> None:
    venue = parse_venue(INVERSE)
    (spec,), (rules,) = venue.markets, venue.rules.markets
    assert spec.is_inverse
    assert (rules.contract_kind, rules.notional_factor, rules.price_ticks_min, rules.price_ticks_max) == (1, 200_000_000, 200, 2_000_000)
    # A dollar at 60,000 is 1,666.67 hundred-millionths of a bitcoin.
    assert rules.contract.notional(1, 120_000) == spec.contract.notional(1, 120_000) == 1_667
    assert spec.notional_max == rules.notional_max == 10**8 * 2 * 10**8 // 200
    assert "price_min" in venue.resolved["market"][0]


def test_a_linear_market_may_settle_in_the_same_asset() -> None:
    ether = INVERSE[INVERSE.index("[[market]]") :].replace("BTC/USD:BTC", "ETH/BTC:BTC").replace('price_min = "100"\n', "")
    ether = ether.replace('price_tick = "0.5"\nquantity_lot = 1', 'price_tick = "0.00001"\nquantity_lot = "0.001"')
    ether = ether.replace('price_max = "1000000"', 'price_max = "10"').replace('"100000000"', '"100000"')
    venue = parse_venue(INVERSE + ether)
    assert [market.is_inverse for market in venue.markets] == [True, False]
    assert "price_min" not in venue.resolved["market"][1]


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ('price_min = "100"\n', "", "market[0].price_min (BTC/USD:BTC): missing: an inverse contract needs a lowest price"),
        ('price_min = "100"', 'price_min = "100.3"', "market[0].price_min (BTC/USD:BTC) = 100.3: must be a whole number of ticks"),
        ('price_min = "100"', "price_min = 2000000", "market[0].price_min (BTC/USD:BTC) = 2000000: must be at most price_max, 1000000"),
        ('price_min = "100"', "price_min = 0", "market[0].price_min (BTC/USD:BTC) = 0: must be above 0"),
        (
            'price_tick = "0.5"',
            'price_tick = "0.3"',
            "market[0].quantity_lot (BTC/USD:BTC) = 1: quantity_lot 1 x contract_size 1 / price_tick 0.3",
        ),
        (
            'position_max = "100000000"',
            'position_max = "2000000000000"',
            "market[0].position_max (BTC/USD:BTC) = 2000000000000: is 20000000000 BTC at price_min 100: must be at most 1152921504606",
        ),
    ],
)
def test_what_is_wrong_with_an_inverse_market_is_said(old: str, new: str, finding: str) -> None:
    found = problems(changed(old, new, INVERSE))
    assert any(text.startswith(finding) for text in found), found


def test_lots_of_less_than_an_atom_are_warned_of() -> None:
    assert not any("less than an atom" in warning for warning in parse_venue(INVERSE).warnings)
    tiny = changed("quantity_lot = 1\n", 'quantity_lot = "0.001"\n', INVERSE)
    tiny = changed('position_max = "100000000"', 'position_max = "1000"', tiny)
    (warning,) = [warning for warning in parse_venue(tiny).warnings if "less than an atom" in warning]
    assert warning.startswith("market[0].quantity_lot (BTC/USD:BTC) = 0.001: a lot is worth less than an atom at price_max")
