"""Stores that are small enough to be harmed a thousand times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from paxosstore.storage import opened, rocks
from paxosstore.storage.rocks import RocksStore, create_store

SEGMENT_BYTES = 256 * 1024
NOTE_S = 0.01


@contextmanager
def small_stores() -> Iterator[None]:
    """Small segments of the journal, whose end is noted soon."""
    defaults = {**(RocksStore.__init__.__kwdefaults__ or {}), "segment_bytes": SEGMENT_BYTES}
    with (
        patch.object(RocksStore.__init__, "__kwdefaults__", defaults),
        patch.object(create_store, "__defaults__", (SEGMENT_BYTES,)),
        patch.object(opened, "NOTE_S", NOTE_S),
    ):
        assert rocks.create_store is create_store
        yield
