"""What the journal says of a write: a value's bytes once, and all of it again when it is replayed."""

from __future__ import annotations

import errno
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paxosstore.core.batch.overlay import DATA, WriteBatch
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.ready import Apply, BeginInstall, Change, EndInstall, InstallRows, NewEntity
from paxosstore.errors import Damaged, DiskFull
from paxosstore.storage import payload
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.keys import PLOG, plog_key
from paxosstore.storage.memory import MemoryStore
from paxosstore.storage.payload import replayed
from paxosstore.storage.record_codec import encode_row
from paxosstore.storage.rocks import RocksStore
from paxosstore.storage.rocks_table import RocksTable

from ..crash_images.turns import Turns, fingerprint
from .support import END, SEGMENT_BYTES, journal_of, killed, new_rocks, puts, row

CODEC = MsgpackBodyCodec()
MARKER = b"these bytes are told from all others"


def value(batch: WriteBatch, number: int = 1) -> Value:
    return Value(number.to_bytes(16, "big"), CODEC.encode(batch))


def accepted(value: Value) -> Record:
    return Record(4, 4, 4, value, False)


def chosen(value: Value) -> Record:
    return Record(4, 4, 4, value, True)


def reopened(store: RocksStore, to: Path) -> RocksStore:
    """As after a kill."""
    return RocksStore(killed(store, to), segment_bytes=SEGMENT_BYTES)


def in_journal(store: RocksStore, tmp_path: Path) -> int:
    """How often the marker stands in the journal."""
    return journal_of(killed(store, tmp_path / "look")).read_bytes().count(MARKER)


def test_a_value_is_in_the_journal_once(tmp_path: Path) -> None:
    store = new_rocks(tmp_path / "store")
    batch = puts(a=MARKER)
    store.write({(1, 1): accepted(value(batch))}, [], [NewEntity(1)])
    store.write({(1, 1): Record(4, 9, 4, value(batch))}, [])
    store.write({(1, 1): Record(4, 9, 4, value(batch), True)}, [Apply(1, 1, batch)])
    assert in_journal(store, tmp_path) == 1
    found = reopened(store, tmp_path / "copy")
    assert found.read_log(1, 1, 1) == [(1, Record(4, 9, 4, value(batch), True))]
    assert dict(found.scan(1, b"", END)) == batch.writes
    assert found.committed_entry(1) == 1
    found.close()
    store.close()


def test_what_is_learned_and_applied_at_once_is_there_once(tmp_path: Path) -> None:
    store = new_rocks(tmp_path / "store")
    batches = [puts(a=MARKER), WriteBatch({DATA + b"b": b"2"}, cleared=True), puts(c=b"3")]
    rows = {(1, entry): chosen(value(batch, entry)) for entry, batch in enumerate(batches, 1)}
    store.write(rows, [Apply(1, entry, batch) for entry, batch in enumerate(batches, 1)])
    assert in_journal(store, tmp_path) == 1
    found = reopened(store, tmp_path / "copy")
    assert dict(found.scan(1, b"", END)) == {DATA + b"b": b"2", DATA + b"c": b"3"}
    found.close()
    store.close()


def test_another_value_at_the_same_entry_is_written(tmp_path: Path) -> None:
    store = new_rocks(tmp_path / "store")
    lost, won = value(puts(a=b"lost"), 1), value(puts(a=b"won"), 2)
    store.write({(1, 1): accepted(lost)}, [])
    store.write({(1, 1): Record(4, 7, 7, won)}, [])
    store.write({(1, 1): Record(4, 7, 7, won, True)}, [Apply(1, 1, puts(a=b"won"))])
    found = reopened(store, tmp_path / "copy")
    assert found.read_log(1, 1, 1)[0][1].value == won
    assert found.get(1, DATA + b"a") == b"won"
    found.close()
    store.close()


@pytest.mark.parametrize("body", [b"something else", None])
def test_what_no_row_says_is_written(tmp_path: Path, body: bytes | None) -> None:
    """The core never asks for that; the journal says what was done all the same."""
    store = new_rocks(tmp_path / "store")
    store.write({(1, 1): row(1, body)} if body else {}, [Apply(1, 1, puts(a=b"1", b=None))])
    found = reopened(store, tmp_path / "copy")
    assert dict(found.scan(1, b"", END)) == {DATA + b"a": b"1"}
    assert found.committed_entry(1) == 1
    found.close()
    store.close()


def test_entries_go_on_behind_a_snapshot_of_the_same_write(tmp_path: Path) -> None:
    store = new_rocks(tmp_path / "store")
    batch = puts(b=b"2")
    store.write({(1, 6): chosen(value(batch))}, [Apply(1, 6, batch)], [InstallRows(1, [(DATA + b"a", b"1")]), EndInstall(1, 5)])
    found = reopened(store, tmp_path / "copy")
    assert dict(found.scan(1, b"", END)) == {DATA + b"a": b"1", DATA + b"b": b"2"}
    assert found.committed_entry(1) == 6
    found.close()
    store.close()


@pytest.mark.parametrize("flushed", [False, True])
def test_entries_go_to_the_data_that_was_in_force_by_then(tmp_path: Path, flushed: bool) -> None:
    """Before, while and after a copy is written, twice. The replay begins in the middle, or at the beginning."""
    store, twin = new_rocks(tmp_path / "store"), MemoryStore()
    entry = 0

    def write(*changes: Change) -> None:
        """Three entries, of which the journal says but the values."""
        nonlocal entry
        for change in changes:
            if isinstance(change, EndInstall):
                entry = change.committed
        batches = {(1, entry + more): puts(**{f"k{entry + more}": b"v"}) for more in (1, 2, 3)}
        rows = {place: value(batch, place[1]) for place, batch in batches.items()}
        for one in (store, twin):
            one.write({place: accepted(row) for place, row in rows.items()}, [])
            applies = [Apply(*place, batch) for place, batch in batches.items()]
            one.write({place: chosen(row) for place, row in rows.items()}, applies, changes)
        entry += 3

    for committed in (100, 200):
        write()
        write(BeginInstall(1), InstallRows(1, [(DATA + b"copied%d" % committed, b"1")]))
        write()
        if flushed:
            store._use().table.flush()
        write(InstallRows(1, [(DATA + b"more", b"2")]), EndInstall(1, committed))
    write()
    found = reopened(store, tmp_path / "copy")
    assert found.content_hash() == store.content_hash() == twin.content_hash()
    assert list(found.scan(1, b"", END)) == list(twin.scan(1, b"", END))
    assert found.load(1) == twin.load(1)
    found.close()
    store.close()


def test_when_too_much_is_known_it_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "MAX_KNOWN", 1)
    store = new_rocks(tmp_path / "store")
    batch = puts(a=MARKER)
    store.write({(1, 1): accepted(value(batch, 1)), (1, 2): accepted(value(puts(), 2))}, [])
    store.write({(1, 1): chosen(value(batch, 1))}, [Apply(1, 1, batch)])
    assert in_journal(store, tmp_path) == 2
    found = reopened(store, tmp_path / "copy")
    assert found.get(1, DATA + b"a") == MARKER
    found.close()
    store.close()


def test_a_failed_write_is_not_named_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_rocks(tmp_path / "store")
    batch = puts(a=b"1")
    with monkeypatch.context() as patched:
        patched.setattr(RocksTable, "write", full)
        with pytest.raises(DiskFull):
            store.write({(1, 1): accepted(value(batch))}, [])
    store.write({(1, 1): chosen(value(batch))}, [Apply(1, 1, batch)])
    found = reopened(store, tmp_path / "copy")
    assert found.get(1, DATA + b"a") == b"1"
    found.close()
    store.close()


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "no room")


def test_a_journal_of_before_is_replayed() -> None:
    operations = [(b"key", b"value"), (b"gone", None), (b"from", (b"to",))]
    assert replayed(msgspec.msgpack.encode(operations), dict[bytes, bytes]().get, Path("journal")) == operations


def test_what_is_named_and_not_there_is_damage() -> None:
    names = b"\x01" + msgspec.msgpack.encode(([], [], [(3, 8, None)]))
    with pytest.raises(Damaged, match="journal: names the value of entity 3, entry 8, which is not there"):
        replayed(names, dict[bytes, bytes]().get, Path("journal"))
    key = plog_key(3, 8)
    promised = {PLOG + key: encode_row(key, Record(promised=4))}
    with pytest.raises(Damaged, match="which is not there"):
        replayed(names, promised.get, Path("journal"))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), turns=st.integers(1, 60), reopen_at=st.integers(0, 60))
@pytest.mark.parametrize("read_only", [False, True])
def test_a_replay_gives_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, read_only: bool, seed: int, turns: int, reopen_at: int
) -> None:
    path = tmp_path_factory.mktemp("replay")
    store, reference, drawn = new_rocks(path / "store"), MemoryStore(), Turns(seed)
    for number in range(turns):
        turn = drawn.next()
        store.write(*turn)
        reference.write(*turn)
        if number == reopen_at:
            store.close()
            store = RocksStore(path / "store", segment_bytes=SEGMENT_BYTES)
    found = RocksStore(killed(store, path / "copy"), segment_bytes=SEGMENT_BYTES, read_only=read_only)
    assert fingerprint(found) == fingerprint(reference)
    found.close()
    store.close()
