"""The memory store's own part: what it forgets, and writes that fail."""

from __future__ import annotations

import pytest

from paxosstore.core.batch.overlay import DATA
from paxosstore.errors import DiskFull
from paxosstore.storage.memory import MemoryStore

from .support import assert_prefix, write_numbered


@pytest.mark.parametrize("synced", range(5))
def test_a_crash_at_every_write_boundary(synced: int) -> None:
    store = MemoryStore()
    for number in range(1, synced + 1):
        write_numbered(store, number)
    store.sync()
    for number in range(synced + 1, 9):
        write_numbered(store, number)
    assert store.unsynced == 8 - synced
    for keep in range(store.unsynced + 1):
        found = store.crash(keep)
        assert_prefix(found, synced + keep)
        assert found.unsynced == 0
        write_numbered(found, synced + keep + 1)
        assert_prefix(found.crash(), synced + keep)
    assert_prefix(store, 8)


def test_the_survivor_shares_nothing_with_the_crashed_store() -> None:
    store = MemoryStore()
    write_numbered(store, 1)
    store.sync()
    found = store.crash()
    write_numbered(store, 2)
    store.sync()
    assert_prefix(found, 1)


def test_a_failed_write_changes_nothing_and_fails_once() -> None:
    store = MemoryStore()
    write_numbered(store, 1)
    store.fail_next_write = DiskFull("full")
    with pytest.raises(DiskFull):
        write_numbered(store, 2)
    assert_prefix(store, 1)
    assert store.get(7, DATA + b"last") == b"1"
    write_numbered(store, 2)
    store.sync()
    assert_prefix(store.crash(), 2)
