"""Jobs that compare many entities, and the rounds over all of them, without a node."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from paxosstore.core.interface.comparison import Compared, DifferingKey, RowDigest
from paxosstore.core.interface.event import Compare, Renew
from paxosstore.errors import InvalidRequest, NotServing, Overloaded
from paxosstore.runtime import verify
from paxosstore.runtime.rounds import DAY_S, FILE, Place, Rounds, decode
from paxosstore.runtime.verify import MAX_JOBS, MAX_NAMED, PAGE, Verifier, VerifyJob


def result(entity: int, *, differs: bool = False, missing: bool = False) -> Compared:
    values = {0: RowDigest(b"dk", 3, b"x" * 16), 1: None}
    keys = (DifferingKey(b"dk", 7, values),) if differs else ()
    return Compared(entity, 7, (0, 1), {2: "is down"} if missing else {}, 2, 10, len(keys), keys)


class Replicas:
    """Stands for a node: entities, some of which differ."""

    def __init__(self, entities: Iterable[int], differing: Iterable[int] = (), missing: Iterable[int] = ()) -> None:
        self.entities = sorted(entities)
        self.differing = set(differing)
        self.missing = set(missing)
        self.compared: list[int] = []
        self.answers = True
        self.most = self.under_way = 0
        self.verifier = Verifier(self.step, self.committed, lambda: 5.0)

    def committed(self, after: int) -> Iterable[tuple[int, int]]:
        return ((entity, 1) for entity in self.entities if entity > after)

    def result(self, entity: int) -> Compared:
        self.compared.append(entity)
        return result(entity, differs=entity in self.differing, missing=entity in self.missing)

    async def compare(self, entity: int) -> Compared:
        await asyncio.sleep(0)
        return self.result(entity)

    def step(self, event: Compare | Renew) -> None:
        assert isinstance(event, Compare)
        comparison = event.comparison
        assert comparison.bytes_per_second == 5.0
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        if self.answers:
            asyncio.get_running_loop().call_soon(self._settle, event)

    def _settle(self, event: Compare) -> None:
        self.under_way -= 1
        event.comparison.result = self.result(event.comparison.entity)
        event.comparison.settle()


def test_what_no_node_has_is_counted_apart() -> None:
    async def story() -> None:
        replicas = Replicas([3])
        nobodys = Compared(9, 0, (0, 1, 2), {}, 0, 0, 0, ())
        real = replicas.result
        replicas.result = lambda entity: nobodys if entity == 9 else real(entity)  # type: ignore[method-assign]  # a stub
        found = await done(replicas.verifier, replicas.verifier.start([(3, 3), (9, 9)]))
        assert (found["entities"], found["unknown"], found["partial"]) == (2, 1, 0)

    asyncio.run(story())


async def done(verifier: Verifier, job: VerifyJob) -> Any:
    await asyncio.wait([job._task])
    found = verifier.look(job.number)
    assert found["done"]
    return found


def test_a_job_compares_what_was_named_and_what_of_ranges_is_there() -> None:
    async def story() -> None:
        replicas = Replicas([*range(2 * PAGE), 5_000], differing=[7], missing=[9])
        job = replicas.verifier.start([(3, 3), (6_000, 6_000), (7, 9), (400, 9_000)])
        found = await done(replicas.verifier, job)
        assert sorted(replicas.compared) == [3, 7, 8, 9, *range(400, 2 * PAGE), 5_000, 6_000]
        assert (found["entities"], found["differing"], found["partial"]) == (len(replicas.compared), 1, 1)
        assert replicas.most == verify.AT_ONCE
        (differing,) = found["differing_entities"]
        assert differing["keys"] == [
            {"key": "'k'", "entry": 7, "values": {"0": f"3 bytes, digest {'78' * 16}", "1": "not there"}}
        ]
        assert [one["entity"] for one in found["partial_entities"]] == [9]

    asyncio.run(story())


def test_what_a_job_names_is_bounded() -> None:
    async def story() -> None:
        replicas = Replicas(range(300), differing=range(300))
        found = await done(replicas.verifier, replicas.verifier.start([(0, 300)]))
        assert (found["differing"], len(found["differing_entities"])) == (300, MAX_NAMED)

    asyncio.run(story())


def test_jobs_are_bounded_and_cancelled_ones_make_room_and_stop() -> None:
    async def story() -> None:
        replicas = Replicas(range(100))
        replicas.answers = False
        jobs = [replicas.verifier.start([(0, 100)]).number for _ in range(MAX_JOBS)]
        with pytest.raises(Overloaded):
            replicas.verifier.start([(0, 100)])
        await asyncio.sleep(0)
        replicas.verifier.cancel(jobs[0])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(InvalidRequest, match="no job"):
            replicas.verifier.look(jobs[0])
        replicas.verifier.start([(0, 100)])
        replicas.verifier.stop()
        await asyncio.sleep(0)

    asyncio.run(story())


def test_a_job_that_nobody_looks_at_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        monkeypatch.setattr(verify, "PATIENCE_S", -1.0)
        replicas = Replicas(range(1_000))
        replicas.verifier.start([(0, 1_000)])
        await asyncio.sleep(0.05)
        assert len(replicas.compared) <= 2 * verify.AT_ONCE
        for _ in range(2 * MAX_JOBS):
            replicas.verifier.start([(0, 1_000)])  # those before it are forgotten

    asyncio.run(story())


def test_whoever_waits_is_told_when_the_node_stops() -> None:
    async def story() -> None:
        replicas = Replicas([1])
        replicas.answers = False
        waiting = asyncio.ensure_future(replicas.verifier.compare(1))
        await asyncio.sleep(0)
        replicas.verifier.stop()
        with pytest.raises(NotServing):
            await waiting

    asyncio.run(story())


def test_a_comparison_that_nobody_waits_for_is_cancelled() -> None:
    async def story() -> None:
        seen: list[Compare | Renew] = []
        verifier = Verifier(seen.append, lambda after: (), lambda: 1.0)
        waiting = asyncio.ensure_future(verifier.compare(1))
        await asyncio.sleep(0)
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        assert isinstance(seen[0], Compare)
        assert seen[0].comparison.cancelled

    asyncio.run(story())


class Days:
    """Rounds over some replicas, under a clock of their own."""

    def __init__(self, path: Path, replicas: Replicas) -> None:
        self.now_s = 1e9
        self.mine = True
        self.replicas = replicas
        self.found: set[int] = set()
        """What the node remembers of comparisons that somebody else has asked for."""
        self.rounds = Rounds(
            path,
            replicas.compare,
            replicas.committed,
            lambda: self.mine,
            lambda: self.found,
            lambda: 7.0,
            lambda: self.now_s,
        )

    async def run(self, until: int) -> None:
        """Until so many entities were compared, or for a moment."""
        task = asyncio.ensure_future(self.rounds.run())
        for _ in range(100):
            await asyncio.sleep(0.005)
            if len(self.replicas.compared) >= until:
                break
        await asyncio.sleep(0.02)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paxosstore.runtime.rounds.LOOK_S", 0.001)


def test_a_round_is_made_once_in_its_time(tmp_path: Path) -> None:
    replicas = Replicas([3, 1, 2])
    days = Days(tmp_path, replicas)
    asyncio.run(days.run(until=3))
    assert replicas.compared == [1, 2, 3]
    days.now_s += 6.9 * DAY_S
    asyncio.run(days.run(until=4))
    assert replicas.compared == [1, 2, 3]
    days.now_s += 0.2 * DAY_S
    asyncio.run(days.run(until=6))
    assert replicas.compared == [1, 2, 3] * 2


def test_a_round_rests_between_two_entities_and_is_over_in_half_of_its_time() -> None:
    """A million small entities used a tenth of a processor, all day."""
    assert Place().pause_s(0.01, days=7.0) == pytest.approx(0.49)
    assert Place().pause_s(60.0, days=7.0) == 10.0
    assert Place(last=6_048_000).pause_s(0.01, days=7.0) == pytest.approx(0.05)
    assert Place(compared=6_048_000, last=10).pause_s(0.01, days=7.0) == pytest.approx(0.05)
    assert Place().pause_s(0.01, days=0.01) == pytest.approx(0.0432)


def test_how_many_entities_a_round_has_is_known_in_the_next(tmp_path: Path) -> None:
    asyncio.run(Days(tmp_path, Replicas([1, 2, 3])).run(until=3))
    assert decode((tmp_path / FILE).read_bytes()).last == 3


def test_a_clock_that_was_ahead_does_not_keep_the_next_round_from_coming(tmp_path: Path) -> None:
    replicas = Replicas([1])
    days = Days(tmp_path, replicas)
    asyncio.run(days.run(until=1))
    days.now_s -= 400 * DAY_S
    asyncio.run(days.run(until=2))
    assert replicas.compared == [1, 1]


def test_nothing_is_compared_where_another_node_does_it(tmp_path: Path) -> None:
    replicas = Replicas([1, 2])
    days = Days(tmp_path, replicas)
    days.mine = False
    asyncio.run(days.run(until=1))
    assert replicas.compared == []


def test_after_a_restart_what_differed_comes_first_and_then_the_round_goes_on(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(Place(after=5, began_s=1e9, differing=[3]).encode())
    replicas = Replicas(range(1, 9))
    asyncio.run(Days(tmp_path, replicas).run(until=4))
    assert replicas.compared == [3, 6, 7, 8]
    kept = decode((tmp_path / FILE).read_bytes())
    assert (kept.after, kept.began_s, kept.differing) == (-1, 1e9, set())


def test_what_a_node_has_found_to_differ_it_compares_again_whoever_makes_the_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paxosstore.runtime.rounds.AGAIN_S", 0.02)
    replicas = Replicas([1, 2, 3])
    days = Days(tmp_path, replicas)
    days.mine, days.found = False, {2}
    asyncio.run(days.run(until=3))
    assert set(replicas.compared) == {2}
    assert len(replicas.compared) >= 3


def test_what_differs_is_kept(tmp_path: Path) -> None:
    asyncio.run(Days(tmp_path, Replicas([1, 2], differing=[2])).run(until=2))
    assert decode((tmp_path / FILE).read_bytes()).differing == {2}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"after": true, "began_s": 1, "differing": []}',
        b'{"after": 1, "began_s": 1, "differing": 3}',
    ],
)
def test_a_place_that_cannot_be_read_is_the_start(content: bytes) -> None:
    assert decode(content).after == -1


def test_a_disk_that_takes_no_file_keeps_nobody_from_comparing(tmp_path: Path) -> None:
    replicas = Replicas([1, 2])
    asyncio.run(Days(tmp_path / "gone", replicas).run(until=2))
    assert replicas.compared[:2] == [1, 2]
