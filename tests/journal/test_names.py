"""Names that come after the journal has begun: rows of the batch that they came with, under its hash."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path

import pytest

from backstop.core.state import new_state
from backstop.engine import AccountEvent, Engine, EngineError, MarkEvent, event
from backstop.journal import FindingCode, Journal, JournalDamaged, JournalError, Name, Names, checked_names, open_journal
from backstop.journal.backup import back_up
from backstop.journal.format import SCHEMA_VERSION, SCHEMAS
from backstop.journal.naming import sealed_beside
from backstop.journal.pruning import prune
from backstop.journal.recorder import Recorder
from backstop.journal.recovery import recover
from backstop.journal.showing import Choice, chosen, speaker_of
from backstop.journal.upgrading import seal
from backstop.journal.verify import verify
from backstop.runs.history import replay_before, venue_of
from tests.journal.runs import ACCOUNTS, change, crash, manifest, venue
from tests.journal.test_golden import GOLDEN

BTC, ETH = 0, 1
#: With which batch each name comes.
COMING = {
    2: [Name("account", 3, "carol"), Name("owner", 3, "Carol Ltd")],
    4: [Name("account", 7, "dave"), Name("market", ETH, "ETH/USDT:USDT-260327")],
    5: [Name("account", 3, "carol & co")],
    6: [Name("market", ETH, "ETH/USDT:USDT-260626"), Name("provider", 0, "backstop")],
}
BEGUN = Names(["alice", "bob"], ["Alice Ltd"])


def written(path: Path, *, close: bool = True, upto: int = 7, **changes: int) -> Path:
    """Write the crash, whose accounts get names on the way."""
    with Journal.create(path, manifest(**{"snapshot_every": 2, **changes}), BEGUN) as journal:
        for number, chunk in enumerate(crash()[:upto], start=1):
            snapshot = chunk.snapshot if journal.is_snapshot_due(number) else None
            digest = chunk.digest if journal.digest_due else None
            journal.append(chunk.events, chunk.effects, digest, snapshot, COMING.get(number, ()))
        if close:
            journal.close(crash()[upto - 1].digest)
    return path


def names_of(path: Path) -> Names:
    with open_journal(path) as journal:
        return journal.names()


def found(path: Path) -> list[tuple[FindingCode, str]]:
    return [(each.code, each.place) for each in verify(path).findings]


def check_all_names(names: Names) -> None:
    """See that these are the names of the whole crash."""
    assert names.accounts == ["alice", "bob", "account 2", "carol & co", "account 4", "account 5", "account 6", "dave"]
    assert names.owners == ["Alice Ltd", "owner 1", "owner 2", "Carol Ltd"]
    assert (names.markets, names.providers) == ({ETH: "ETH/USDT:USDT-260626"}, {0: "backstop"})


def test_names_that_come_later_are_read_with_those_of_the_beginning(tmp_path: Path) -> None:
    path = written(tmp_path / "journal.db")
    report = verify(path)
    assert (report.findings, report.exit_code, report.schema) == ((), 0, SCHEMA_VERSION)
    check_all_names(names_of(path))


def test_a_market_and_an_account_are_shown_by_their_later_names(tmp_path: Path) -> None:
    path = written(tmp_path / "journal.db")
    with open_journal(path) as journal:
        assert [market.symbol for market in venue_of(journal).markets] == ["BTC/USDT:USDT", "ETH/USDT:USDT-260626"]
        speaker = speaker_of(journal)
        told = " ".join(speaker.event(line.row) for line in chosen(journal, Choice()) if line.place is None)
    assert "carol & co" in told
    assert "ETH/USDT:USDT-260626" in told
    past = replay_before(path, None)
    assert past.names.accounts[7] == "dave"


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("UPDATE names SET name = 'mallory' WHERE batch = 2 AND kind = 'account'", "names of batch 2"),
        ("UPDATE names SET id = 9 WHERE batch = 2 AND kind = 'account'", "names of batch 2"),
        ("UPDATE names SET batch = 3 WHERE batch = 2", "names of batch 3"),
        ("DELETE FROM names WHERE batch = 4 AND kind = 'market'", "names of batch 4"),
        ("DELETE FROM names WHERE batch = 5", "names of batch 5"),
        ("INSERT INTO names VALUES (7, 'owner', 1, 'mallory')", "names of batch 7"),
        ("INSERT INTO names VALUES (99, 'owner', 1, 'mallory')", "names of batch 99"),
        ("INSERT INTO names VALUES (0, 'owner', 1, 'mallory')", "names"),
        ("UPDATE names SET name = 'mallory' WHERE batch = 0 AND id = 1", "names"),
    ],
)
def test_a_name_that_was_changed_is_found(tmp_path: Path, words: str, place: str) -> None:
    path = written(tmp_path / "journal.db")
    change(path, (words, ()))
    assert found(path) == [(FindingCode.NAMES, place)]


@pytest.mark.parametrize("value", ["NULL", "zeroblob(32)", "'text'"])
def test_the_hash_of_names_is_in_the_chain(tmp_path: Path, value: str) -> None:
    path = written(tmp_path / "journal.db")
    change(path, (f"UPDATE batches SET names = {value} WHERE number = 4", ()), ("DELETE FROM names WHERE batch = 4", ()))
    assert (FindingCode.CHAIN, "batch 4") in found(path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("INSERT INTO names VALUES (7, 'account', 5000000000, 'far')", "no name"),
        ("INSERT INTO names VALUES (7, 'market', -1, 'below')", "no name"),
        ("INSERT INTO names VALUES (7, 'cousin', 1, 'other')", "no name"),
        ("DELETE FROM names WHERE batch = 0 AND kind = 'account' AND id = 0", "gap"),
        ("UPDATE names SET name = printf('%300s', 'x') WHERE batch = 2 AND kind = 'account'", "more than"),
    ],
)
def test_names_that_cannot_be_read_are_damage(tmp_path: Path, words: str, said: str) -> None:
    path = written(tmp_path / "journal.db")
    change(path, (words, ()))
    with pytest.raises(JournalDamaged, match=said):
        names_of(path)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([Name("cousin", 1, "x")], "`kind` must be one of account, market, owner, provider"),
        ([Name("account", -1, "x")], "`id` must be a whole number from 0"),
        ([Name("account", 16, "x")], "`id` must be a whole number from 0 to 15"),
        ([Name("owner", 16, "x")], "`id` must be a whole number from 0 to 15"),
        ([Name("account", "1", "x"), Name("account", 1, "y")], "account '1': `id` must be a whole number"),  # type: ignore[arg-type]
        ([Name("account", 1, "a\ud800")], "must be text of 1 to 256 letters, in UTF-8"),
        ([Name("account", 1, "")], "must be text of 1 to 256 letters"),
        ([Name("account", 1, "x" * 257)], "must be text of 1 to 256 letters"),
        ([Name("account", 1, "x"), Name("account", 1, "y")], "account 1 has two names in one batch"),
    ],
)
def test_what_is_no_name_is_refused(names: Iterable[Name], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked_names(names, 16)


def test_each_segment_has_all_names_and_stands_for_itself(tmp_path: Path) -> None:
    path = written(tmp_path / "journal.db", segment_events=1)
    assert len(sealed_beside(path)) == 3
    assert verify(path).exit_code == 0
    check_all_names(names_of(path))
    for sealed in sealed_beside(path).values():
        report = verify(sealed, alone=True)
        assert report.findings == ()
    first = names_of(sealed_beside(path)[1])
    assert first.accounts == ["alice", "bob", "account 2", "carol"]
    assert first.markets == {}
    change(sealed_beside(path)[2], ("UPDATE names SET name = 'mallory' WHERE batch = 4 AND kind = 'account'", ()))
    assert [each.place for each in verify(path).findings] == ["journal.db.000002, names of batch 4"]


def test_names_outlive_the_segments_that_they_came_in(tmp_path: Path) -> None:
    path = written(tmp_path / "journal.db", segment_events=1, close=False)
    prune(path, 0)
    assert list(sealed_beside(path)) == []
    check_all_names(names_of(path))
    assert {code for code, _ in found(path)} == {FindingCode.END_MISSING}


def test_a_backup_has_the_names(tmp_path: Path) -> None:
    path = written(tmp_path / "journal.db", segment_events=1)
    (tmp_path / "copy").mkdir()
    back_up(path, tmp_path / "copy" / "journal.db")
    assert verify(tmp_path / "copy" / "journal.db").exit_code == 0
    check_all_names(names_of(tmp_path / "copy" / "journal.db"))


def test_a_journal_that_is_taken_up_takes_names(tmp_path: Path) -> None:
    path = written(tmp_path / "journal.db", close=False, upto=5)
    recovered = recover(path)
    with recovered.journal as journal:
        for number, chunk in enumerate(crash()[5:], start=6):
            snapshot = chunk.snapshot if journal.is_snapshot_due(number) else None
            journal.append(chunk.events, chunk.effects, chunk.digest if journal.digest_due else None, snapshot, COMING.get(number, ()))
        journal.close(crash()[-1].digest)
    assert verify(path).exit_code == 0
    check_all_names(names_of(path))


def test_names_of_a_batch_that_is_cut_off_go_with_it(tmp_path: Path) -> None:
    path = written(tmp_path / "journal.db", close=False, upto=5)
    change(path, ("UPDATE batches SET effects = zeroblob(64 * effects_count) WHERE number = 5", ()))
    recovered = recover(path)
    assert len(recovered.findings) == 1
    recovered.journal.abandon()
    assert names_of(path).accounts[3] == "carol"
    assert {code for code, _ in found(path)} == {FindingCode.END_MISSING}


def test_a_recorder_lets_names_come_with_the_next_batch(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "journal.db", manifest(snapshot_every=2, segment_events=1), BEGUN)
    recorder = Recorder(journal, new_state(venue().rules), batch_events=1)
    for number, chunk in enumerate(crash(), start=1):
        recorder.name(COMING.get(number, ()))
        recorder.apply(chunk.events)
        recorder.flush()
    recorder.close()
    assert verify(tmp_path / "journal.db").exit_code == 0
    check_all_names(names_of(tmp_path / "journal.db"))


def test_names_of_an_older_schema_are_read(tmp_path: Path) -> None:
    path = tmp_path / "schema-3.db"
    path.write_bytes(gzip.decompress((GOLDEN / "schema-3.db.gz").read_bytes()))
    with open_journal(path) as journal:
        assert (journal.schema, len(journal.names().accounts), journal.renamed()) == (3, ACCOUNTS, ({}, {}))
    assert FindingCode.NAMES not in {code for code, _ in found(path)}
    change(path, ("UPDATE names SET name = 'mallory' WHERE kind = 'account' AND id = 1", ()))
    assert (FindingCode.NAMES, "names") in found(path)


def test_an_older_schema_takes_names_from_its_next_segment_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    with monkeypatch.context() as before:
        before.setattr("backstop.journal.manifest.SCHEMA_VERSION", 3)
        Journal.create(path, manifest(snapshot_every=2)).abandon()
    older = [words for name in ("names", "batches") for words in (f"DROP TABLE {name}", SCHEMAS[3][name])]
    change(path, *((words, ()) for words in (*older, "PRAGMA user_version = 3")))
    first, second, third = crash()[:3]
    with recover(path).journal as journal:
        with pytest.raises(JournalError, match="has schema 3, which takes no names later: seal its segment first"):
            journal.append(first.events, first.effects, names=[Name("account", 0, "alice")])
        journal.append(first.events, first.effects)
        journal.append(second.events, second.effects, second.digest, second.snapshot)
    with seal(path).journal as journal:
        journal.append(third.events, third.effects, names=[Name("account", 0, "alice")])
    with open_journal(path) as journal:
        assert (journal.schema, journal.names().accounts) == (SCHEMA_VERSION, ["alice"])
    assert {code for code, _ in found(path)} == {FindingCode.END_MISSING}


# -- the engine as a library -----------------------------------------------------------------------


def opened(engine: Engine, seq: int, account: int) -> None:
    engine.apply([event(AccountEvent, seq=seq, time_ns=seq, account=account, owner=account)])


def test_an_engine_names_what_comes(tmp_path: Path) -> None:
    with Engine(venue(), journal=tmp_path / "tape") as engine:
        engine.apply([event(MarkEvent, seq=0, time_ns=0, market=BTC, price_ticks=1_000_000)])
        for account in range(3):
            if account != 1:
                engine.name(accounts={account: f"trader {account}"}, owners={account: f"firm {account}"})
            opened(engine, account + 1, account)
        assert list(engine.names.accounts) == ["trader 0", "account 1", "trader 2"]
        digest = engine.digest
    with Engine.open(tmp_path / "tape") as again:
        assert (again.digest, again.findings) == (digest, ())
        assert list(again.names.owners) == ["firm 0", "owner 1", "firm 2"]
        again.name(accounts={1: "late"})
        again.name(accounts={1: "later"}, markets={ETH: "ETH-27JUN"})
        assert again.names.accounts[1] == "account 1"
        opened(again, 9, 3)
        assert again.names.accounts[1] == "later"
    assert found(tmp_path / "tape" / "journal.db") == []
    with Engine.open(tmp_path / "tape") as third:
        assert third.market("ETH-27JUN").market == ETH


def test_names_without_a_journal_or_that_are_none_are_refused(tmp_path: Path) -> None:
    engine = Engine(venue())
    with pytest.raises(EngineError, match="no journal"):
        engine.name(accounts={0: "alice"})
    with pytest.raises(EngineError, match="no journal"):
        _ = engine.names
    with Engine(venue(), journal=tmp_path / "tape") as kept:
        with pytest.raises(EngineError, match="`id` must be a whole number"):
            kept.name(accounts={-1: "alice"})
        with pytest.raises(EngineError, match="must be text"):
            kept.name(owners={0: ""})
        opened(kept, 1, 0)
        assert list(kept.names.accounts) == []
