"""Adds up the digests of what a table holds already (digests.py), in a thread of its own."""

from __future__ import annotations

import time
from threading import Thread

from ..core.turn.budget import Job
from .background import Background
from .digests import Digests
from .keys import META, META_COMMITTED, entity_of, marks_end
from .marks import decode_committed
from .rocks_table import RocksTable, TableSnapshot


def build_digests(digests: Digests, table: RocksTable, background: Background) -> None:
    """Add up what is there, before anything is written; in a thread of its own, which ends when the table is released.

    It takes what the background budget leaves: peers wait for nothing but to catch up from here.
    """
    what = digests, table, table.snapshot(), background
    Thread(target=_build, args=what, name="paxosstore-digests", daemon=True).start()


def _build(digests: Digests, table: RocksTable, now: TableSnapshot, background: Background) -> None:
    seen_s = time.thread_time()

    def rest() -> bool:
        nonlocal seen_s
        before, seen_s = seen_s, time.thread_time()
        background.book(Job.CATCH_UP, 0, 1_000.0 * (seen_s - before))
        return background.rest(Job.CATCH_UP)

    with now:
        rows = now.range(META + META_COMMITTED, META + marks_end(META_COMMITTED))
        pairs = ((entity_of(key[1:]), value) for key, value in rows)
        committed = ((entity, decode_committed(entity, value, table.path)) for entity, value in pairs)
        digests.build(committed, rest)
