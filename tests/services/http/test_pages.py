"""What the pages of a node show, without a node."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from paxosstore.core.entity.install import Transfer
from paxosstore.core.log.pace import Lag
from paxosstore.core.log.reconcile import Comparison, Reconciliation
from paxosstore.core.reentry.progress import Progress
from paxosstore.core.turn.budget import Budget, Job
from paxosstore.core.turn.context import Counters
from paxosstore.core.turn.memory import MemoryUse
from paxosstore.errors import InvalidRequest, NotServing
from paxosstore.runtime.histogram import COUNTS, MILLISECONDS, Histogram
from paxosstore.runtime.links import LinkStatistics
from paxosstore.runtime.node import NodeStatistics
from paxosstore.runtime.timekeeper import ClockStatus
from paxosstore.services.http.metrics import HELP, NodeMetrics, counters, gauges
from paxosstore.services.http.pages import DEFAULT_ROWS, MAX_COMMITTED, MAX_ROWS, ContentHash, describe, node_pages, parse_range
from paxosstore.services.http.server import Page, Response, SlowPage, text
from paxosstore.storage.expiry import LogKept


def link(up: bool) -> LinkStatistics:
    return LinkStatistics(
        up=up,
        queued_frames=3,
        queued_bytes=700,
        dropped=2,
        reconnects=1,
        rtt_ms=0.5,
        incarnation=9,
        disk_id=b"\x01\xff",
        down_s=0.0 if up else 12.3,
        down_reason="" if up else "connection refused",
    )


MEMBER = Progress("member", "", 4, 4, False, 0, 0, 0.0, ())
COMING_BACK = Progress("member", "", 4, 10, False, 3, 6_000, 3.0, ())


BACKGROUND = Budget(50_000_000, 250.0)
BACKGROUND.pay(Job.KEY_EXPIRY, 4_000_000, 12.0, 1_000.0)


def statistics(first: bool = True, refused: str = "", reentry: Progress = MEMBER) -> NodeStatistics:
    turn, sync, events = Histogram(MILLISECONDS), Histogram(MILLISECONDS), Histogram(COUNTS)
    for value in (0.3, 0.4, 30.0):
        turn.observe(value)
    return NodeStatistics(
        node=1,
        serving=True,
        writes_refused_because=refused,
        disk_silent_ms=0.0,
        counters=Counters(writes=12, rounds_preauth=5).as_dict(),
        memory=MemoryUse(4, 6, 19_000),
        waiting_requests=2,
        waiting_events=1,
        waiting_bytes=3_000,
        in_flight_bytes=400,
        lag=Lag(2, 30, 4_000, 7, 20),
        stopped={7: "entity 7 is stopped"},
        differing={9: "entity 9: node 2 differs"},
        differing_entities=1,
        reentry=reentry,
        log_kept=LogKept(500, 3, 20, "no room"),
        transfers=(Transfer(5, 2, True, 9, 40, 8_000, 2.0), Transfer(6, 0, False, 0, 0, 0, 0.0)),
        reconciliation=Reconciliation((Comparison(0, True, 0.25, 40, 1.5), Comparison(2, False, 1.0, 0, 0.2)), 30, 10),
        peers={0: link(first), 2: link(False)},
        turn_ms=turn,
        sync_ms=sync,
        events_per_turn=events,
        background=BACKGROUND.usage(1_000.0),
    )


class Inspected:
    """Records what it is asked; its log ends at `last`."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.asked: tuple[int, int, int] | None = None

    def __call__(self, entity: int, first: int, last: int) -> Mapping[str, Any]:
        self.asked = (entity, first, last)
        return {"pointers": {"committed": self.last - 1, "max_chosen": None, "max_plog": self.last}, "rows": []}


class Site:
    """The pages of one node, asked one by one."""

    def __init__(self, pages: Mapping[str, Page | SlowPage]) -> None:
        self._pages = pages

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Response:
        return asyncio.run(self.answer(path, query))

    async def answer(self, path: str, query: Mapping[str, str] | None = None) -> Response:
        answer = self._pages[path](query or {})
        return answer if isinstance(answer, Response) else await answer


def pages(
    health: str = "",
    inspect: Callable[[int, int, int], Mapping[str, Any]] | None = None,
    now: Callable[[], NodeStatistics] = statistics,
    content_hash: ContentHash = lambda wanted: "abc",
) -> Site:
    return Site(
        node_pages(
            health=lambda: health,
            statistics=now,
            status=lambda: {"node": 1},
            inspect=inspect or Inspected(0),
            content_hash=content_hash,
            metrics=lambda: b"a 1\n",
        )
    )


def test_health() -> None:
    assert pages().get("/healthz").status is HTTPStatus.OK
    sick = pages("the node is not running").get("/healthz")
    assert (sick.status, sick.body) == (HTTPStatus.SERVICE_UNAVAILABLE, b"the node is not running\n")


def test_readiness() -> None:
    assert pages().get("/readyz") == text(HTTPStatus.OK, "ok")
    full = pages(now=lambda: statistics(refused="the disk is full")).get("/readyz")
    assert full == text(HTTPStatus.OK, "ok, but it refuses writes: the disk is full")
    lonely = pages(now=lambda: statistics(first=False, refused="the disk is full"))
    why = "no quorum: node 0 down for 12 s (connection refused), node 2 down for 12 s (connection refused)"
    assert lonely.get("/readyz") == text(HTTPStatus.SERVICE_UNAVAILABLE, why)
    assert lonely.get("/healthz").status is HTTPStatus.OK, "a restart would not bring the others back"


def test_a_node_that_comes_back_is_ready_when_it_is_a_member_and_says_so() -> None:
    asking = COMING_BACK._replace(state="reentering", counting=True)
    answer = pages(now=lambda: statistics(reentry=asking)).get("/readyz")
    assert answer.status is HTTPStatus.SERVICE_UNAVAILABLE
    assert b"asks which entities there are" in answer.body
    answer = pages(now=lambda: statistics(reentry=COMING_BACK)).get("/readyz")
    assert answer.status is HTTPStatus.OK
    assert b"ok, but comes back on a disk that is not the one it had: 4 of 10 entities are back" in answer.body
    both = pages(now=lambda: statistics(refused="the disk is full", reentry=COMING_BACK)).get("/readyz")
    assert both.body.startswith(b"ok, but it refuses writes: the disk is full; comes back")


def test_a_node_of_a_cluster_that_has_not_begun_is_not_ready() -> None:
    new = MEMBER._replace(state="new", waits_for="a new cluster: waits for node 2 to start for the first time")
    answer = pages(now=lambda: statistics(reentry=new)).get("/readyz")
    assert (answer.status, answer.body.decode().strip()) == (HTTPStatus.SERVICE_UNAVAILABLE, new.waits_for)


def test_one_hash_at_a_time_and_beside_the_loop() -> None:
    begun, may_end, left = threading.Event(), threading.Event(), threading.Event()

    def slowly(wanted: Callable[[], bool]) -> str:
        begun.set()
        assert may_end.wait(20)
        if not wanted():
            left.set()
            raise NotServing("nobody waits")
        return "abc"

    async def program() -> None:
        site = pages(content_hash=slowly)
        first = asyncio.create_task(site.answer("/hash"))
        assert await asyncio.to_thread(begun.wait, 20)
        assert (await site.answer("/healthz")).status is HTTPStatus.OK
        second = await site.answer("/hash")
        assert (second.status, second.retry_after_s) == (HTTPStatus.SERVICE_UNAVAILABLE, 1)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert (await site.answer("/hash")).status is HTTPStatus.SERVICE_UNAVAILABLE, "the thread is still at it"
        may_end.set()
        third = await site.answer("/hash")
        while third.status is not HTTPStatus.OK:
            third = await site.answer("/hash")
            await asyncio.sleep(0)
        assert json.loads(third.body) == {"content_hash": "abc"}
        assert left.is_set(), "the thread has seen that its asker is gone"

    asyncio.run(program())


@pytest.mark.parametrize(("shown", "last", "said"), [(3, 9, "entries 4-9"), (9, 9, ""), (0, 9, "")])
def test_an_inspection_says_when_it_is_cut_off(shown: int, last: int, said: str) -> None:
    def inspect(entity: int, first: int, to: int) -> Mapping[str, Any]:
        return {"pointers": {"max_plog": last}, "rows": [{"entry": entry} for entry in range(1, shown + 1)]}

    cut_off = json.loads(pages(inspect=inspect).get("/inspect", {"entity": "7", "entries": "1-20"}).body)["cut_off"]
    assert said in cut_off
    assert bool(said) == bool(cut_off)


def test_plain_pages() -> None:
    assert json.loads(pages().get("/status").body) == {"node": 1}
    assert json.loads(pages().get("/hash").body) == {"content_hash": "abc"}
    assert pages().get("/metrics").body == b"a 1\n"
    assert "version=0.0.4" in pages().get("/metrics").content_type


@pytest.mark.parametrize(
    ("last", "query", "asked"),
    [
        (0, {"entity": "7"}, (7, 1, 1)),
        (5, {"entity": "7"}, (7, 1, 5)),
        (100, {"entity": "7"}, (7, 100 - DEFAULT_ROWS + 1, 100)),
        (100, {"entity": "7", "entries": "3-9"}, (7, 3, 9)),
        (100, {"entity": "7", "entries": "3"}, (7, 3, 3)),
        (100, {"entity": str(2**64 - 1), "entries": "1-1"}, (2**64 - 1, 1, 1)),
    ],
)
def test_inspect_asks_for_the_right_rows(last: int, query: dict[str, str], asked: tuple[int, int, int]) -> None:
    inspect = Inspected(last)
    assert pages(inspect=inspect).get("/inspect", query).status is HTTPStatus.OK
    assert inspect.asked == asked


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"entity": ""},
        {"entity": "x"},
        {"entity": "-1"},
        {"entity": "²"},
        {"entity": str(2**64)},
        {"entity": "9" * 5000},
        {"entity": "1", "entries": "0-3"},
        {"entity": "1", "entries": "3-1"},
        {"entity": "1", "entries": "-"},
        {"entity": "1", "entries": "1-"},
        {"entity": "1", "entries": "1-2-3"},
        {"entity": "1", "entries": f"1-{2**64}"},
        {"entity": "1", "entries": f"1-{MAX_ROWS + 1}"},
    ],
)
def test_inspect_refuses(query: dict[str, str]) -> None:
    inspect = Inspected(5)
    with pytest.raises(InvalidRequest):
        pages(inspect=inspect).get("/inspect", query)
    assert inspect.asked is None


def test_the_largest_range() -> None:
    assert parse_range(f"1-{MAX_ROWS}") == (1, MAX_ROWS)


def test_the_status_is_plain_data() -> None:
    status = describe(statistics(), "test", [(5, 3), (9, 1)])
    assert json.loads(json.dumps(status)) == status
    assert status["committed"] == {"5": 3, "9": 1}
    assert status["committed_complete"]
    assert status["peers"]["2"]["up"] is False
    assert status["peers"]["2"]["down_reason"] == "connection refused"
    assert status["no_quorum_because"] == ""
    assert status["peers"]["0"]["disk_id"] == "01ff"
    assert status["counters"]["writes"] == 12
    assert status["background"]["ms_per_second"] == 250.0
    assert status["background"]["jobs"]["key_expiry"]["bytes"] == 4_000_000
    assert status["stopped"] == {"7": "entity 7 is stopped"}
    assert status["reentry"]["done"]
    assert status["reentry"]["described"] == status["not_ready_because"] == ""
    assert status["log_kept"] == {"bytes": 500, "epochs": 3, "expired_entries": 20, "trouble": "no room"}
    assert (status["entities_in_memory"], status["entries_in_memory"], status["entities_bytes"]) == (4, 6, 19_000)
    assert status["transfers"][0]["bytes_per_second"] == 4_000
    assert status["reconciliation"]["comparisons"]["0"]["share"] == 0.25
    assert status["reconciliation"]["waiting"] == 30
    assert "compares itself with node 0: 25 % in 1.5 s, 40 entities behind" in status["doing"]
    assert "catches up with its peers: 10 entities are being learned, 30 wait" in status["doing"]
    assert status["doing"][0] == "entity 5 is copied to node 2 as of entry 9: 8.0 kB in 2.0 s, 4.0 kB a second"


def test_the_status_lists_no_more_than_it_may() -> None:
    drawn = 0

    def endless() -> Iterator[tuple[int, int]]:
        nonlocal drawn
        while True:
            drawn += 1
            yield drawn, 1

    status = describe(statistics(), "test", endless())
    assert len(status["committed"]) == MAX_COMMITTED
    assert not status["committed_complete"]
    assert drawn == MAX_COMMITTED + 1


def test_metrics_are_what_prometheus_reads() -> None:
    def families() -> Iterator[Metric]:
        yield from gauges("redis", {"connections": 3})
        yield from counters("redis", {"commands": 8})

    page = NodeMetrics(statistics, families).render().decode()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    assert samples["paxosstore_writes_total",] == 12
    assert samples["paxosstore_rounds_preauth_total",] == 5
    assert samples["paxosstore_background_bytes_total", "key_expiry"] == 4_000_000
    assert samples["paxosstore_background_pace",] == 1.0
    assert samples["paxosstore_background_waits_milliseconds", "scrub"] == 0.0
    assert samples["paxosstore_serving",] == 1
    assert samples["paxosstore_writes_allowed",] == 1
    assert samples["paxosstore_quorum",] == 1
    assert samples["paxosstore_peer_down_seconds", "0"] == 0
    assert samples["paxosstore_peer_down_seconds", "2"] == 12.3
    assert samples["paxosstore_waiting_requests",] == 2
    assert samples["paxosstore_waiting_bytes",] == 3_000
    assert samples["paxosstore_in_flight_bytes",] == 400
    assert samples["paxosstore_lag_most_entries",] == 20
    assert samples["paxosstore_entities_stopped",] == 1
    assert samples["paxosstore_reentry_done",] == samples["paxosstore_ready",] == 1
    assert samples["paxosstore_reentry_entities_passed",] == 4
    assert samples["paxosstore_log_kept_bytes",] == 500
    assert samples["paxosstore_log_expired_entries_total",] == 20
    assert samples["paxosstore_snapshots_active", "to_peer"] == 1
    assert samples["paxosstore_comparison_behind", "0"] == 40
    assert samples["paxosstore_comparison_share", "2"] == 1.0
    assert samples["paxosstore_catch_up_waiting",] == 30
    assert samples["paxosstore_snapshots_bytes", "to_peer"] == 8_000
    assert samples["paxosstore_snapshots_bytes_per_second", "to_peer"] == 4_000
    assert samples["paxosstore_snapshots_bytes", "from_peer"] == 0
    assert samples["paxosstore_peer_up", "0"] == 1
    assert samples["paxosstore_peer_up", "2"] == 0
    assert samples["paxosstore_peer_queued_bytes", "2"] == 700
    assert samples["paxosstore_peer_dropped_frames_total", "2"] == 2
    assert samples["paxosstore_turn_milliseconds_bucket", "0.5"] == 2
    assert samples["paxosstore_turn_milliseconds_bucket", "+Inf"] == 3
    assert samples["paxosstore_turn_milliseconds_count",] == 3
    assert samples["paxosstore_redis_connections",] == 3
    assert samples["paxosstore_redis_commands_total",] == 8
    assert {f"paxosstore_{name}_total" for name in Counters().as_dict()} <= {name for name, *_ in samples}


def test_how_far_the_clocks_are_from_each_other_is_told() -> None:
    trouble = "THE CLOCKS DIFFER: by the median of 3 clocks, node 2 is 2 h ahead"
    now = replace(statistics(), clock=ClockStatus(0.04, {0: -3.0, 2: 7_200_000.04}, False, trouble, "2"))
    told = describe(now, "blue", [])["clock"]
    assert told == {"offset_ms": 0.0, "peers": {"0": -3.0, "2": 7_200_000.0}, "expires": False, "trouble": trouble}
    page = NodeMetrics(lambda: now).render().decode()
    assert 'paxosstore_clock_offset_milliseconds{node="2"} 7.20000004e+06' in page
    assert f'paxosstore_clock_offset_milliseconds{{node="{now.node}"}} 0.04' in page
    assert "paxosstore_clock_expires 0.0" in page
    assert "paxosstore_clock_trouble 1.0" in page


def test_help_is_about_counters_that_exist() -> None:
    assert set(HELP) <= set(Counters().as_dict())


def test_a_node_that_is_not_running_has_no_metrics() -> None:
    def gone() -> NodeStatistics:
        raise NotServing("the node is not running")

    with pytest.raises(NotServing):
        NodeMetrics(gone).render()
