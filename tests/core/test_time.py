"""Rule 20: an entity's time is in its log, and never goes back; a read that needs an entry becomes a write, once."""

from __future__ import annotations

from collections import deque

import pytest

from paxosstore.core.batch.evaluate import evaluate, run
from paxosstore.core.batch.overlay import DATA, TIME, NeedsWrite, Overlay, View, WriteBatch
from paxosstore.errors import InvalidRequest
from paxosstore.settings import TuningSettings
from paxosstore.sim.cluster import SimCluster

from ..pure import PURE_ONLY
from .support import HANDLERS, DictReader, Operation
from .test_shard import ENTITY, cluster_of, do, end, submit

HOUR_MS = 3_600_000


def at(ms: int) -> bytes:
    return ms.to_bytes(8, "big")


def reader_at(ms: int | None) -> DictReader:
    reader = DictReader()
    if ms is not None:
        reader.data[ENTITY] = {TIME: at(ms)}
    return reader


# -- a view


@pytest.mark.parametrize(
    ("clock_ms", "stored", "unwritten", "now_ms"),
    [(100, None, None, 100), (100, 90, None, 100), (100, 110, None, 110), (100, 110, 120, 120), (130, 110, 120, 130)],
)
def test_now_is_what_the_clocks_say_or_the_entitys_time(
    clock_ms: int, stored: int | None, unwritten: int | None, now_ms: int
) -> None:
    under = None if unwritten is None else WriteBatch({TIME: at(unwritten)})
    overlay = Overlay(reader_at(stored), ENTITY, clock_ms, under)
    assert (overlay.now_ms, overlay.now_ms) == (now_ms, now_ms)
    assert overlay.batch == WriteBatch({TIME: at(now_ms)})
    reading = Overlay(reader_at(stored), ENTITY, clock_ms, under, read_only=True)
    assert reading.now_ms == now_ms
    assert not reading.batch


def test_a_batch_carries_the_time_if_a_request_has_asked_for_it() -> None:
    def batch_of(*operations: bytes) -> WriteBatch:
        queue = deque(Operation(ENTITY, operation) for operation in operations)
        return evaluate(queue, Overlay(reader_at(7), ENTITY, 100), 1, 16, 10, 1_000_000).batch  # type: ignore[arg-type]  # a deque of requests

    assert batch_of(b"put k 1") == WriteBatch({DATA + b"k": b"1"})
    assert batch_of(b"put k 1", b"time") == WriteBatch({DATA + b"k": b"1", TIME: at(100)})
    assert batch_of(b"time k", b"clear") == WriteBatch({TIME: at(100)}, cleared=True)


class Refused(Operation):
    def evaluate(self, view: View) -> bytes:
        if view.now_ms:
            raise InvalidRequest("it is too late")
        return b""


def test_a_refusal_that_looked_at_the_time_has_been_at_that_time() -> None:
    evaluated = evaluate(deque([Refused(ENTITY, b"")]), Overlay(reader_at(7), ENTITY, 100), 1, 16, 10, 1_000_000)
    assert evaluated.batch == WriteBatch({TIME: at(100)})


def test_a_view_that_is_kept_tells_no_time() -> None:
    overlay = Overlay(reader_at(7), ENTITY, 100)
    overlay.close()
    with pytest.raises(InvalidRequest):
        _ = overlay.now_ms
    assert not overlay.batch


def test_the_time_is_no_row_of_the_request() -> None:
    overlay = Overlay(reader_at(7), ENTITY, 100, max_request_rows=1)
    overlay.open()
    assert overlay.now_ms == 100
    assert overlay.get(b"k") is None
    assert overlay.size == 0


def test_a_read_that_requires_a_write_is_none_whatever_it_catches() -> None:
    class Stubborn(Operation):
        def evaluate(self, view: View) -> bytes:
            try:
                view.require_write()
            except BaseException:
                return b"a reply"
            return b"written"

    with pytest.raises(NeedsWrite):
        run(Stubborn(ENTITY, b""), Overlay(reader_at(None), ENTITY, 0, read_only=True))
    assert run(Stubborn(ENTITY, b""), Overlay(reader_at(None), ENTITY, 0)).content == b"written"


# -- a cluster


def test_an_entitys_time_never_goes_back_however_the_clocks_differ() -> None:
    cluster = cluster_of()
    for node, offset in zip(cluster.nodes, (0, HOUR_MS, -HOUR_MS), strict=True):
        node.clocks.wall_offset_ms = offset
    seen = [int(do(cluster, node, text, read_only=text == "time")) for node in (1, 0, 2, 1, 2, 0) for text in ("time k", "time")]
    assert seen == sorted(seen)
    for node in cluster.nodes:
        node.kill(0)
        node.clocks.wall_offset_ms = -2 * HOUR_MS
    cluster.start_all()
    last = seen[-2]  # a write's: what a read was told is kept nowhere
    assert last <= int(do(cluster, 0, "time", read_only=True)) <= int(do(cluster, 2, "time"))


def test_a_read_that_requires_a_write_is_done_once() -> None:
    cluster = cluster_of()
    assert do(cluster, 0, "put k v") == "done"
    assert [do(cluster, node, "take none", read_only=True) for node in range(3)] == ["nil"] * 3
    before = [node.store.committed_entry(ENTITY) for node in cluster.nodes]
    assert before == [1] * 3, "nothing was to be written"
    takers = [submit(cluster, node, "take k", read_only=True) for node in range(3) for _ in range(3)]
    assert sorted(end(cluster, *takers)) == ["nil"] * 8 + ["v"]
    assert [do(cluster, node, "get k", read_only=True) for node in range(3)] == ["nil"] * 3
    assert cluster.counters()["reads_made_writes"] >= 1
    assert len({node.store.content_hash() for node in cluster.nodes}) == 1


@PURE_ONLY
def test_one_that_a_peer_reads_for_a_node_which_does_not_serve() -> None:
    cluster = cluster_of()
    assert do(cluster, 0, "put k v") == "done"
    away = cluster.nodes[2]
    away.shard._handovers.reads_here = lambda entity: False  # type: ignore[method-assign]  # it is to know of none
    assert do(cluster, 2, "take k", read_only=True) == "v"
    assert cluster.counters()["reads_handed_over"] == 1
    assert [do(cluster, node, "get k", read_only=True) for node in range(2)] == ["nil"] * 2


def test_its_deadline_and_the_bounds_stay() -> None:
    cluster = cluster_of(tuning=TuningSettings(max_queue_requests=1, request_timeout_ms=200.0, no_majority_ms=10_000.0))
    assert do(cluster, 0, "put k v") == "done"
    before = cluster.now_ms
    takers = [submit(cluster, 0, "take k", read_only=True) for _ in range(3)]
    assert sorted(end(cluster, *takers))[:1] == ["OVERLOADED"]
    assert cluster.now_ms - before < 1_000.0
    assert do(cluster, 0, "put k w") == "done"
    for node in (1, 2):
        cluster.nodes[node].hang_up(False)
    began = cluster.now_ms
    waiting = submit(cluster, 0, "take k", read_only=True)
    assert end(cluster, waiting) == ["UNKNOWN"]
    assert 200.0 <= cluster.now_ms - began < 500.0
    assert cluster.nodes[0].shard.context.waiting_bytes == 0


def test_it_goes_on_while_disks_are_almost_full() -> None:
    cluster = cluster_of()
    assert do(cluster, 0, "put k v") == "done"
    for node in cluster.nodes:
        node.shard.context.no_new_writes = "the disk is almost full"
    assert do(cluster, 0, "put k w") == "DISKFULL"
    assert do(cluster, 1, "take k", read_only=True) == "v", "at a node that others propose for"
    assert do(cluster, 2, "get k", read_only=True) == "nil"


def test_what_is_due_at_one_clock_is_gone_at_all_of_them() -> None:
    """As services write it: whoever sees that it is due deletes it, and until then all see it."""

    def due(view: View, payload: bytes) -> bytes:
        found = view.get(b"k")
        if payload and found is None:
            view.put(b"k", at(view.now_ms + int(payload)))
        if found is None or int.from_bytes(found, "big") > view.now_ms:
            return b"gone" if found is None else b"there"
        view.require_write()
        view.delete(b"k")
        return b"gone"

    cluster = SimCluster(1, 3, None, {**HANDLERS, "operation": due})
    cluster.start_all()
    cluster.found()

    class Ask(Operation):
        def evaluate(self, view: View) -> bytes:
            return due(view, self.operation)

    def ask(node: int, payload: bytes = b"") -> str:
        request = Ask(ENTITY, payload, read_only=not payload)
        cluster.nodes[node].step(request)
        return end(cluster, request)[0]

    ask(0, b"%d" % HOUR_MS)
    assert [ask(node) for node in range(3)] == ["there"] * 3
    cluster.nodes[1].clocks.wall_offset_ms = 2 * HOUR_MS
    told = [ask(node) for node in (0, 1, 2, 0, 1)]
    assert told == sorted(told, reverse=True), "once it is gone, it is gone"
