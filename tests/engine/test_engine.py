"""``Engine`` as a caller meets it: events in, effects out, errors in words, and a journal that outlives
a kill.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import backstop
import backstop.engine
from backstop import Engine, Venue
from backstop.core.engine import step
from backstop.core.events import NONE, EventKind
from backstop.core.kinds import EFFECT_VIEWS, EVENT_VIEWS
from backstop.core.parameter_table import PARAMETERS
from backstop.core.state import new_state
from backstop.engine import (
    EVENT,
    AccountEvent,
    EngineError,
    Event,
    FillEvent,
    Health,
    HealthEffect,
    MarkEvent,
    OrderEffect,
    ParameterEvent,
    RefusalEffect,
    StoppedError,
    TransferEvent,
    UnknownAccountError,
    event,
    event_rows,
)
from backstop.engine.inputs import rows_of
from backstop.journal import JournalDamaged, JournalError
from backstop.journal.verify import verify
from tests.engine.venues import BTC, SECOND_NS, VENUE, story

VENUE_OF_IT = Venue.parse(VENUE)
#: No price.
HALF: Any = 1.5


def test_the_package_hands_it_out() -> None:
    assert backstop.Engine is Engine
    assert {"Engine", "Venue", "Run", "replay"} <= set(dir(backstop))


def test_typed_events_are_rows_and_effects_those_of_step() -> None:
    rows = rows_of(story(), VENUE_OF_IT, -1)
    assert rows.dtype == EVENT
    assert rows["seq"].tolist() == list(range(len(rows)))
    one, other, state = Engine(VENUE_OF_IT), Engine(VENUE_OF_IT), new_state(VENUE_OF_IT.rules)
    assert int(step(state, rows, 0)) == len(rows)
    effects = state.effects[: int(state.engine[0].effects_now)]
    assert one.apply(rows).tobytes() == effects.tobytes()
    assert np.concatenate([other.apply([each]) for each in story()]).tobytes() == effects.tobytes()
    assert one.digest == other.digest
    assert [type(each).__name__ for each in Engine.typed(effects)].count("OrderEffect") == 1
    assert [order.account for order in OrderEffect.each(effects)] == [0]


def test_events_of_a_full_buffer_are_applied_all() -> None:
    """Far more effects than the buffer holds come out of one call, in order."""
    engine = Engine(VENUE_OF_IT)
    rows = np.zeros(5_000, dtype=EVENT)
    rows["seq"], rows["kind"], rows["account"] = np.arange(5_000), 99, -1
    effects = engine.apply(rows)
    assert len(effects) == 5_000 > len(engine._state.effects)
    assert effects["seq"].tolist() == list(range(5_000))


def test_only_an_account_that_names_a_market_is_a_pocket() -> None:
    """One without a market, made by ``event`` or in a row of ``event_rows``, is none; one of market 0 is."""
    engine = Engine(VENUE_OF_IT)
    engine.apply([event(AccountEvent, 1, account=0, owner=0)])
    rows = event_rows(1)
    assert (rows["market"].tolist(), rows["account"].tolist()) == ([NONE], [NONE])
    rows["seq"], rows["time_ns"], rows["kind"], rows["account"], rows["other"] = engine.last_seq + 1, 2, EventKind.ACCOUNT, 1, 1
    engine.apply(rows)
    engine.apply([event(AccountEvent, 3, account=2, owner=2, market=BTC)])
    assert engine._state.pocket_markets[:3].tolist() == [NONE, NONE, 0]


def test_an_account_in_words() -> None:
    engine = Engine(VENUE_OF_IT)
    effects = engine.apply(story())
    alice = engine.account(0)
    assert (alice.owner, alice.balance_atoms, alice.equity_atoms, alice.maintenance_margin_atoms) == (0, 2_500, 700, 910)
    assert (alice.initial_margin_atoms, alice.health, alice.is_restricted) == (1_820, Health.DISTRESSED, True)
    assert alice.default_since_ns == 10 * SECOND_NS
    assert [each.health for each in HealthEffect.each(effects) if each.account == 0] == [Health.WARNED, Health.DISTRESSED]
    assert alice.release_level_atoms >= alice.maintenance_margin_atoms >= alice.close_out_margin_atoms > 0
    (held,) = engine.positions(0)
    assert (held.symbol, held.lots, held.cost_atoms, held.value_atoms) == (BTC, 20, 20_000, 18_200)
    # 2500 + 20 (t - 1000) < ceil(t): at 921 920 < 921, at 922 940 >= 922. Below 0: at 874, -20.
    assert (held.liquidation_ticks, held.bankruptcy_ticks) == (921, 874)
    assert (engine.market(BTC).mark_ticks, engine.market(0).symbol, engine.accounts) == (910, BTC, 2)
    assert engine.liquidation_ticks(1, BTC) is not None
    assert engine.rules == VENUE_OF_IT.rules


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: event(MarkEvent, 0, market=BTC, price=1), "`price` is no field of MarkEvent: it has market, price_ticks"),
        (lambda: event(MarkEvent, 0, market=BTC), "MarkEvent lacks `price_ticks`"),
        (lambda: event(MarkEvent, 0, market=BTC, price_ticks=HALF), "`price_ticks` of MarkEvent was 1.5: must be a whole number"),
        (lambda: event(MarkEvent, True, market=BTC, price_ticks=1), "`time_ns` of MarkEvent was True"),
        (lambda: event(MarkEvent, 0, market=0, price_ticks=1 << 63), "must be a whole number of 64 bits"),
        (
            lambda: event(TransferEvent, 0, account=0, amount=1, code="gift"),
            "`code` of TransferEvent was 'gift': must be one of cash, funding, trading_fee",
        ),
    ],
)
def test_an_event_that_is_none_is_refused_in_words(make: Any, words: str) -> None:
    with pytest.raises(EngineError) as caught:
        make()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([event(MarkEvent, 0, market="BTC/USDT", price_ticks=1)], "`market`: unknown market BTC/USDT"),
        ([event(MarkEvent, 0, market=7, price_ticks=1)], "`market` was 7: must be a symbol, or 0 to 0"),
        (event(MarkEvent, 0, market=BTC, price_ticks=1), "`events` was one event"),
        ([{"kind": 5}], "must be made by backstop.engine.event"),
        (np.zeros(2, dtype=np.int64), "of int64: must be one-dimensional of backstop.engine.EVENT"),
        (np.zeros((1, 1), dtype=EVENT), "rows were 2-dimensional"),
    ],
)
def test_events_that_are_none_change_nothing(events: Any, words: str) -> None:
    engine = Engine(VENUE_OF_IT)
    before = engine.digest
    with pytest.raises(EngineError) as caught:
        engine.apply(events)
    assert words in str(caught.value)
    assert (engine.digest, engine.last_seq) == (before, -1)
    engine.apply(story())


@pytest.mark.parametrize("account", [2, -1, -3, True, "alice", 0.0])
def test_an_unknown_account_is_an_error_of_every_query(account: Any) -> None:
    engine = Engine(VENUE_OF_IT)
    with pytest.raises(UnknownAccountError, match=r"`account` was .*(none is|whole number)"):
        engine.account(account)
    engine.apply(story())
    for name in ("account", "positions", "wait", "orders", "offers", "withdrawable_atoms"):
        with pytest.raises(UnknownAccountError):
            getattr(engine, name)(account)
    for name in ("liquidation_ticks", "bankruptcy_ticks"):
        with pytest.raises(UnknownAccountError):
            getattr(engine, name)(account, BTC)
        with pytest.raises(EngineError, match="unknown market ETH"):
            getattr(engine, name)(0, "ETH")


def test_rules_are_those_in_force() -> None:
    """A PARAMETER event changes what `rules` says, and not the venue."""
    engine = Engine(VENUE_OF_IT)
    engine.apply(story()[:2])
    number = next(number for number, rule in PARAMETERS.items() if rule.key.endswith("slippage_tolerance_ppm"))
    told = event(ParameterEvent, SECOND_NS, number=number, market=BTC, entry=0, part=0, value=15_000, from_ns=0)
    assert list(RefusalEffect.each(engine.apply([told]))) == []
    assert engine.rules.markets[0].slippage_tolerance_ppm == 15_000
    assert engine.venue.rules.markets[0].slippage_tolerance_ppm == 20_000


def test_a_state_is_taken_as_it_is() -> None:
    first = Engine(VENUE_OF_IT)
    first.apply(story()[:7])
    copy = first._state.copy_used()
    second = Engine(VENUE_OF_IT, state=copy)
    assert second.apply(story()[7:]).tobytes() == first.apply(story()[7:]).tobytes()
    with pytest.raises(EngineError, match="both given"):
        Engine(VENUE_OF_IT, state=copy, journal="nowhere")
    with pytest.raises(EngineError, match="room for 16 accounts"):
        Engine(Venue.parse(VENUE.replace("accounts_max = 16", "accounts_max = 17")), state=copy)
    copy.engine[0].effects_now = 1
    with pytest.raises(EngineError, match="nobody took"):
        Engine(VENUE_OF_IT, state=copy)


def test_money_beyond_64_bits_stops_it_for_good() -> None:
    engine = Engine(VENUE_OF_IT)
    engine.apply(story()[:7])
    engine._state.accounts[0].balance = (1 << 63) - 5
    gain = event(FillEvent, 3 * SECOND_NS, account=0, counterpart=1, market=BTC, lots=-20, price_ticks=2_000)
    with pytest.raises(StoppedError, match="OverflowError"):
        engine.apply([gain])
    for call in (lambda: engine.apply([]), lambda: engine.account(0), lambda: engine.what_if([]), lambda: engine.digest):
        with pytest.raises(StoppedError):
            call()


def test_an_event_that_stops_it_goes_into_quarantine_when_it_is_opened_again(tmp_path: Path) -> None:
    """The closing trade brings four effects, the venue allows three; the events around it count."""
    venue = Venue.parse(VENUE.replace("effects_max = 1024", "effects_max = 3"))
    engine = Engine(venue, journal=tmp_path)
    engine.apply(story()[:7])
    last = engine.last_seq
    before = event(TransferEvent, 3 * SECOND_NS, account=0, amount=5, code="cash")
    gain = event(FillEvent, 3 * SECOND_NS, account=0, counterpart=1, market=BTC, lots=-20, price_ticks=2_000)
    with pytest.raises(StoppedError, match="OverflowError"):
        engine.apply([before, gain, before])
    with Engine.open(tmp_path) as engine:
        assert [finding.split(":")[0] for finding in engine.findings] == [f"seq {last + 2} is in quarantine, behind batch 1"]
        assert engine.last_seq == last + 3
        effects = np.concatenate(list(engine.effects_after(last)))
        assert effects["seq"].tolist() == [last + 1, last + 3]
        engine.apply([before])
    assert verify(tmp_path / "journal.db").quarantined == (last + 2,)


# -- the journal -----------------------------------------------------------------------------------


def test_a_journal_is_taken_up_where_it_was_left(tmp_path: Path) -> None:
    """Closed and opened after every call: the effects and the digest of one that never was."""
    whole = Engine(VENUE_OF_IT)
    expected = whole.apply(story())
    Engine(VENUE_OF_IT, journal=tmp_path / "risk").close()
    for place, each in enumerate(story()):
        with Engine.open(tmp_path / "risk") as engine:
            assert engine.last_seq == place - 1
            assert engine.venue.hash == VENUE_OF_IT.hash
            engine.apply([each])
    with Engine.open(tmp_path / "risk") as engine:
        assert engine.digest == whole.digest
        assert np.concatenate(list(engine.effects_after(-1))).tobytes() == expected.tobytes()
        late = np.concatenate(list(engine.effects_after(8)))
        assert late.tobytes() == expected[expected["seq"] > 8].tobytes()
        assert engine.account(0).health == Health.DISTRESSED
    with pytest.raises(StoppedError, match="it was closed"):
        engine.apply([])
    assert engine.account(0).equity_atoms == 700
    report = verify(tmp_path / "risk" / "journal.db")
    assert (report.findings, report.is_open, report.exit_code) == ((), True, 0)


def test_folders_that_hold_no_journal_or_one_already(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"begin one with Engine\(venue, journal=folder\)"):
        Engine.open(tmp_path)
    with Engine(VENUE_OF_IT, journal=tmp_path) as engine:
        engine.apply(story())
        with pytest.raises(JournalError):
            Engine.open(tmp_path)
    with pytest.raises(JournalError, match=r"take it up with Engine\.open"):
        Engine(VENUE_OF_IT, journal=tmp_path)
    with pytest.raises(EngineError, match="has no journal"):
        Engine(VENUE_OF_IT).effects_after(0)


def test_damage_is_never_passed_over_without_a_word(tmp_path: Path) -> None:
    """Of the last call it is said that it was cut off; of one before it, the journal is not opened."""
    with Engine(VENUE_OF_IT, journal=tmp_path) as engine:
        for each in (story()[:8], story()[8:]):
            engine.apply(each)
    path, rows = tmp_path / "journal.db", rows_of(story(), VENUE_OF_IT, -1)
    sound = path.read_bytes()

    def damage(row: int) -> None:
        place = sound.index(rows[row : row + 1].tobytes())
        path.write_bytes(sound[:place] + b"\xff" + sound[place + 1 :])

    with Engine.open(tmp_path) as engine:
        assert engine.findings == ()
    damage(8)
    with Engine.open(tmp_path) as engine:
        assert engine.last_seq == 7
        assert "cut off" in " ".join(engine.findings)
    damage(0)
    with pytest.raises(JournalDamaged):
        Engine.open(tmp_path)


SERVER = """
import sys
from backstop import Engine, Venue
from tests.engine.venues import VENUE
from tests.engine.test_engine import long_story
engine = Engine(Venue.parse(VENUE), journal=sys.argv[1])
for each in long_story():
    engine.apply([each])
    print(engine.last_seq, flush=True)
"""


def long_story() -> list[Event]:
    """Return the story, and deposits and withdrawals after it."""
    cash = [
        event(TransferEvent, (20 + step) * SECOND_NS, account=1, amount=(-1) ** step * (step + 1), code="cash") for step in range(2_000)
    ]
    return [*story(), *cash, event(AccountEvent, 3_000 * SECOND_NS, account=2, owner=2)]


@pytest.mark.parametrize("seed", range(3))
def test_nothing_acknowledged_is_lost_when_it_is_killed(tmp_path: Path, seed: int) -> None:
    """Killed at any moment of its work, it comes back with every event that it acknowledged, and ends as
    one that was never killed.
    """
    enough = random.Random(seed).randrange(1, 600)
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [*sys.path, os.getcwd()]))}
    with subprocess.Popen([sys.executable, "-c", SERVER, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=paths) as server:
        assert server.stdout is not None
        said = [int(server.stdout.readline()) for _ in range(enough)]
        server.send_signal(signal.SIGKILL)
        said += [int(line) for line in server.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    assert server.returncode == -signal.SIGKILL
    whole = Engine(VENUE_OF_IT)
    expected = whole.apply(long_story())
    with Engine.open(tmp_path) as engine:
        assert said[-1] <= engine.last_seq < len(long_story()) - 1
        engine.apply(long_story()[engine.last_seq + 1 :])
        assert engine.digest == whole.digest
        assert np.concatenate(list(engine.effects_after(-1))).tobytes() == expected.tobytes()


def test_every_kind_of_event_and_effect_is_handed_out() -> None:
    views = {view.__name__ for view in (*EVENT_VIEWS.values(), *EFFECT_VIEWS.values())}
    assert views <= set(backstop.engine.__all__)
