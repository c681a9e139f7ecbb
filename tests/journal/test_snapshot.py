"""A snapshot is the whole engine: what comes out of it does bit for bit what the one that went in
does.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from backstop.core.digest import state_digest
from backstop.core.state import State, new_state
from backstop.journal.snapshot import Snapshot, SnapshotError, header_is_foreign, restore_snapshot, shapes_of, take_snapshot
from tests.journal.feeding import fed
from tests.journal.runs import crash, venue

#: Handed on before a snapshot, or never read again.
_NOT_KEPT = {"effects"}


def _again(state: State) -> State:
    taken = take_snapshot(state, state_digest(state))
    return restore_snapshot([bytes(part) for part in taken.parts]).state


@pytest.mark.parametrize("batches", range(len(crash()) + 1))
def test_a_restored_engine_gives_the_same_effects_digests_and_bytes(batches: int) -> None:
    whole = new_state(venue().rules)
    fed(whole, 0, batches)
    restored = _again(whole)
    assert state_digest(restored) == state_digest(whole)
    assert fed(restored, batches, len(crash())) == fed(whole, batches, len(crash()))
    for name in State.FIELDS:
        if name not in _NOT_KEPT:
            assert getattr(restored, name).tobytes() == getattr(whole, name).tobytes(), name


def test_what_is_in_no_digest_is_kept_too() -> None:
    """Closed orders that a late fill may still find, and marks of positions that are empty."""
    state = new_state(venue().rules)
    fed(state, 0, 5)
    closed = state.orders[(state.orders["is_open"] == 0) & (state.orders["id"] > 0)]
    assert len(closed)
    empty = state.positions["lots"] == 0
    state.positions["closed_in_default"][np.flatnonzero(empty)[-1]] = 1
    restored = _again(state)
    assert restored.orders.tobytes() == state.orders.tobytes()
    assert restored.positions["closed_in_default"].tolist() == state.positions["closed_in_default"].tolist()


def test_effects_that_nobody_took_yet_are_left_out() -> None:
    state = new_state(venue().rules)
    fed(state, 0, 3)
    state.engine[0].effects_now = 17
    assert int(_again(state).engine[0].effects_now) == 0
    assert int(state.engine[0].effects_now) == 17


def test_rows_that_were_never_used_cost_nothing() -> None:
    limits = venue().rules.limits._replace(accounts_max=1 << 20, positions_max=1 << 21, orders_max=1 << 18)
    state = new_state(venue().rules._replace(limits=limits))
    fed(state, 0, 3)
    held = sum(getattr(state, name).nbytes for name in State.FIELDS if name not in _NOT_KEPT)
    assert take_snapshot(state, state_digest(state)).size_bytes < held // 200


def test_a_callers_arrays_come_back() -> None:
    state = new_state(venue().rules)
    kept = {
        "world.rows": np.array([(1, 2), (-3, 4)], dtype=np.dtype((np.record, [("a", "<i8"), ("b", "<i4", (1,))]))),
        "world.table": np.arange(6_000, dtype=np.int64).reshape(2, 3, 1_000),
        "world.empty": np.zeros((0, 2), dtype=np.int32),
        "world.ones": np.full(9_000, -1, dtype=np.int16),
    }
    taken = take_snapshot(state, state_digest(state), kept)
    restored = restore_snapshot([bytes(part) for part in taken.parts])
    assert restored.extra.keys() == kept.keys()
    for name, array in kept.items():
        assert restored.extra[name].dtype == array.dtype
        assert np.array_equal(restored.extra[name], array), name
    assert restored.digest == state_digest(state)


def test_parts_of_any_size_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backstop.journal.snapshot.PART_BYTES", 5_000)
    state = new_state(venue().rules)
    fed(state, 0, 3)
    taken = take_snapshot(state, state_digest(state))
    arrays = json.loads(bytes(taken.parts[0]))["arrays"]
    assert max(array["parts"] for array in arrays) > 10
    assert state_digest(restore_snapshot([bytes(part) for part in taken.parts]).state) == state_digest(state)


def _parts() -> list[bytes]:
    return [bytes(part) for part in crash()[2].snapshot.parts]


@pytest.mark.parametrize("key", ["layout", "source_hash"])
def test_a_snapshot_of_other_code_is_refused_and_known_as_such(key: str) -> None:
    parts = _parts()
    parts[0] = json.dumps({**json.loads(parts[0]), key: "0" * 64}).encode()
    with pytest.raises(SnapshotError, match="taken by other code"):
        restore_snapshot(parts)
    assert header_is_foreign(parts[0])


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\xff", b'{"layout": 1}', b'{"layout":"","source_hash":"","digest":"","arrays":[]}']
)
def test_a_first_part_that_says_nothing_is_refused(content: bytes) -> None:
    with pytest.raises(SnapshotError, match="does not say what it holds"):
        restore_snapshot([content])
    assert not header_is_foreign(content)


def test_parts_that_do_not_fit_their_header_are_refused() -> None:
    parts = _parts()
    for wrong in (parts[:-1], [*parts, b""], [parts[0], parts[1][:-1], *parts[2:]], [parts[0], parts[1] + b"x", *parts[2:]]):
        with pytest.raises(SnapshotError):
            restore_snapshot(wrong)
    header = json.loads(parts[0])
    header["arrays"] = [entry for entry in header["arrays"] if entry["name"] != "state.house"]
    with pytest.raises(SnapshotError):
        restore_snapshot([json.dumps(header).encode(), *parts[1:]])


def test_the_hash_covers_every_part() -> None:
    taken: Snapshot = crash()[2].snapshot
    assert taken.hash != crash()[3].snapshot.hash
    assert len(taken.hash) == 32


def test_a_snapshot_that_grows_is_refused_by_its_header() -> None:
    """A block that is not stored costs a byte, and 4096 in memory: what an array may hold is said
    by the rules, not by the snapshot.
    """
    state = new_state(venue().rules)
    shapes = shapes_of(state, {"world.control": np.zeros(4)})
    taken = take_snapshot(state, state_digest(state), {"world.control": np.zeros(4)})
    parts = [bytes(part) for part in taken.parts]
    assert restore_snapshot(parts, shapes).digest == state_digest(state)
    header = json.loads(parts[0])
    for name, shape, words in (
        ("state.accounts", [1 << 30], r"`state.accounts` has the shape \(1073741824,\), in a run of these rules"),
        ("world.control", [1 << 30], r"`world.control` has the shape"),
        ("world.other", [1 << 40], "`world.other` grows beyond all measure"),
    ):
        changed = json.loads(parts[0])
        entry = next(entry for entry in changed["arrays"] if entry["name"] in (name, "world.control"))
        entry["name"], entry["shape"] = name, shape
        with pytest.raises(SnapshotError, match=words):
            restore_snapshot([json.dumps(changed).encode(), *parts[1:]], shapes)
    header["arrays"] += [header["arrays"][0]] * 20_000
    with pytest.raises(SnapshotError, match="its first part is too long"):
        restore_snapshot([json.dumps(header).encode(), *parts[1:]], shapes)
