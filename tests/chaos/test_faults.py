"""Faults strike and are mended, in this order; what nodes do by themselves is complained of."""

from __future__ import annotations

import signal
import time
from typing import Any, cast

import pytest

from chaos.errors import CannotRun
from chaos.faults import Faults
from chaos.nodes import MEMBER, Network, Nodes
from chaos.proxy import Line
from chaos.schedule import Fault, Kind
from paxosstore.errors import Damaged, NotServing

NODES = 3
LOST_1 = [("kill", 1), ("lose", 1)]
CUT, MUTE, WELL = Line(cut=True), Line(mute=True), Line()


class Recorder:
    """Nodes and network in one: writes down what is done to it."""

    nodes = NODES

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.exit_codes: dict[int, int] = {}
        self.fails_to_start = False
        self.standings = [MEMBER] * NODES
        self.ids = [f"first of {node}" for node in range(NODES)]
        self.deaf: set[int] = set()
        self.copied: set[int] = set()
        self.clocks = [_Part(self, f"clock {node}") for node in range(NODES)]
        self.disks = [_Part(self, f"disk {node}") for node in range(NODES)]

    def exit_code(self, node: int) -> int | None:
        return self.exit_codes.get(node)

    def standing(self, node: int) -> str:
        return self.standings[node]

    def disks_heard(self, node: int) -> dict[int, str]:
        return {peer: "" if peer in self.deaf else self.ids[node] for peer in range(NODES) if peer != node}

    def disk_id(self, node: int) -> str:
        return self.ids[node]

    def lose_disk(self, node: int) -> None:
        self.ids[node] = f"disk {len(self.done)}"
        self.done.append(("lose", node))

    def copy_disk(self, node: int) -> None:
        self.copied.add(node)
        self.done.append(("copy", node))

    def restore_copy(self, node: int) -> None:
        self.done.append(("restore", node))

    def launch(self, node: int) -> None:
        self.done.append(("launch", node))

    def is_running(self, node: int) -> bool:
        return node not in self.exit_codes

    def last_words(self, node: int) -> str:
        return "goodbye"

    def between(self, some: list[int]) -> list[tuple[int, int]]:
        return [pair for node in some for pair in ((node, 9), (9, node))]

    def start(self, *nodes: int) -> None:
        if self.fails_to_start:
            raise NotServing("it does not start")
        for node in nodes:
            self.exit_codes.pop(node, None)
        self.done.append(("start", *nodes))

    def stop(self, node: int) -> int:
        self.done.append(("stop", node))
        return 0

    def kill(self, node: int) -> None:
        self.done.append(("kill", node))

    def signal(self, node: int, number: signal.Signals) -> None:
        self.done.append((number.name, node))

    def set(self, line: Line, pairs: list[tuple[int, int]] | None = None) -> None:
        self.done.append(("set", line, pairs))

    def tune(self, node: int, name: str, value: str) -> None:
        self.done.append(("tune", node, name, value))

    def reset(self, nodes: tuple[int, ...]) -> None:
        self.done.append(("reset", *nodes))


class _Part:
    def __init__(self, recorder: Recorder, name: str) -> None:
        self._done = recorder.done
        self._name = name

    def set(self, offset_s: float) -> None:
        self._done.append((self._name, offset_s))

    def fill(self, leave_bytes: int) -> None:
        self._done.append((self._name, "full", leave_bytes))

    def free(self) -> None:
        self._done.append((self._name, "free"))


def strike(recorder: Recorder, *faults: Fault, unable: dict[Kind, str] | None = None) -> Faults:
    """Let them strike, and wait until they are mended."""
    faulty = Faults(cast(Nodes, recorder), cast(Network, recorder), unable or {}, time.monotonic(), lambda text: None)
    faulty.begin(faults)
    faulty.join()
    return faulty


@pytest.mark.parametrize(
    ("kind", "nodes", "value", "done"),
    [
        (Kind.KILL, (1,), 0.0, [("kill", 1), ("copy", 1), ("start", 1)]),
        (Kind.LEARN_ONLY, (1,), 0.0, [("tune", 1, "learn_only", "true"), ("tune", 1, "learn_only", "false")]),
        (Kind.LONG_ABSENCE, (1,), 0.0, [("kill", 1), ("copy", 1), ("start", 1)]),
        (Kind.DISK_LOST, (2,), 0.0, [("kill", 2), ("lose", 2), ("start", 2)]),
        (Kind.DISK_LOST, (2, 0), 0.0, [("kill", 2), ("lose", 2), ("kill", 0), ("start", 2), ("start", 0)]),
        (Kind.DISK_LOST_AGAIN, (1,), 0.0, [*LOST_1, ("launch", 1), *LOST_1, ("start", 1)]),
        (Kind.OLD_COPY, (1,), 0.0, [("kill", 1), ("copy", 1), ("start", 1), *LOST_1, ("restore", 1), ("start", 1)]),
        (Kind.STOP, (2,), 0.0, [("SIGSTOP", 2), ("SIGCONT", 2)]),
        (Kind.DISK_FULL, (0,), 5.0, [("disk 0", "full", 5), ("disk 0", "free")]),
        (Kind.ROLLING_RESTART, (0, 1), 0.0, [("stop", 0), ("start", 0), ("stop", 1), ("start", 1)]),
        (Kind.CLOCK_JUMP, (1,), -60.0, [("clock 1", -60.0), ("clock 1", 0.0)]),
        (Kind.ISOLATE, (1,), 0.0, [("set", CUT, [(1, 9), (9, 1)]), ("set", WELL, [(1, 9), (9, 1)])]),
        (Kind.SHATTER, (0, 1, 2), 0.0, [("set", CUT, None), ("set", WELL, None)]),
        (Kind.ONE_WAY, (2, 0), 0.0, [("set", CUT, [(2, 0)]), ("set", WELL, [(2, 0)])]),
        (Kind.MUTE, (2, 0), 0.0, [("set", MUTE, [(2, 0)]), ("set", WELL, [(2, 0)])]),
        (Kind.LOSS, (0, 1, 2), 0.2, [("set", Line(loss=0.2), None), ("set", WELL, None)]),
        (Kind.SLOW, (0, 1, 2), 20.0, [("set", Line(delay_ms=20.0), None), ("set", WELL, None)]),
        (Kind.RESET, (0, 1, 2), 0.0, [("reset", 0, 1, 2)]),
    ],
)
def test_each_kind(kind: Kind, nodes: tuple[int, ...], value: float, done: list[tuple[Any, ...]]) -> None:
    recorder = Recorder()
    faults = strike(recorder, Fault(0.0, 0.05, kind, nodes, value))
    assert recorder.done == done
    assert faults.complaints == []
    (struck,) = faults.struck
    assert {node for node, _, _ in struck.node_spans()} == set(nodes)
    assert struck.began_s < struck.ended_s


def test_all_are_killed() -> None:
    recorder = Recorder()
    strike(recorder, Fault(0.0, 0.05, Kind.KILL_ALL, (0, 1, 2)))
    assert recorder.done[:3] == [("kill", 0), ("kill", 1), ("kill", 2)]
    assert recorder.done[-1] == ("start", 0, 1, 2)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RETURN_S", "SEEN_S"):
        monkeypatch.setattr(f"chaos.losses.{name}", 0.1)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind.loses_disk])
def test_no_second_disk_is_lost_before_the_first_has_come_back(kind: Kind) -> None:
    recorder = Recorder()
    recorder.standings[0] = "it comes back"
    faults = strike(recorder, Fault(0.0, 0.01, kind, (1,)))
    assert recorder.done == []
    assert [struck.skipped for struck in faults.struck] == ["node 0 is no member: it comes back"]


@pytest.mark.usefixtures("impatient")
def test_a_copy_is_not_used_where_its_age_would_go_unseen() -> None:
    recorder = Recorder()
    recorder.copied.add(1)
    recorder.deaf = {0}
    faults = strike(recorder, Fault(0.0, 0.01, Kind.OLD_COPY, (1,)))
    assert recorder.done == []
    assert [struck.skipped for struck in faults.struck] == ["node 0 may not know of its last start"]


def test_who_goes_by_a_disk_that_was_lost_has_not_come_back() -> None:
    recorder = Recorder()
    recorder.copied.add(1)
    keep, recorder.lose_disk = recorder.ids, lambda node: None  # type: ignore[method-assign]  # nobody finds the old copy out
    faults = strike(recorder, Fault(0.0, 0.01, Kind.OLD_COPY, (1,)))
    assert faults.losses.not_members() == "node 1 goes by a disk that was lost"
    assert faults.struck[0].returned_s == 0.0
    keep[1] = "another"
    wait_returned(faults)
    assert faults.losses.not_members() == ""


def wait_returned(faults: Faults) -> None:
    deadline = time.monotonic() + 5.0
    while not faults.struck[0].returned_s:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert faults.struck[0].started_s < faults.struck[0].returned_s


def test_every_kind_is_known() -> None:
    recorder = Recorder()
    faults = strike(recorder, *(Fault(0.0, 0.01, kind, (0, 1)) for kind in Kind))
    assert {struck.kind for struck in faults.struck} == set(Kind)


def test_a_fault_that_cannot_be_made_is_skipped_with_the_reason() -> None:
    recorder = Recorder()
    faults = strike(recorder, Fault(0.0, 5.0, Kind.DISK_FULL, (0,)), unable={Kind.DISK_FULL: "only root may"})
    assert recorder.done == []
    assert [struck.skipped for struck in faults.struck] == ["only root may"]


@pytest.mark.parametrize("code", [0, 1, Damaged.exit_code, -signal.SIGSEGV])
def test_a_node_that_ended_by_itself_is_complained_of_and_started(code: int) -> None:
    recorder = Recorder()
    recorder.exit_codes[2] = code
    faults = strike(recorder, Fault(0.0, 0.01, Kind.STOP, (0,)))
    assert len(faults.complaints) == 1
    assert recorder.done[0] == ("start", 2)


@pytest.mark.parametrize(("code", "complaints"), [(Damaged.exit_code, 0), (1, 1)])
def test_with_a_full_disk_a_node_may_end_in_one_way(code: int, complaints: int) -> None:
    recorder = Recorder()
    fill = recorder.disks[0].fill

    def fill_and_end(leave_bytes: int) -> None:
        fill(leave_bytes)
        recorder.exit_codes[0] = code

    recorder.disks[0].fill = fill_and_end  # type: ignore[method-assign]  # the store's answer to a full disk
    faults = strike(recorder, Fault(0.0, 0.01, Kind.DISK_FULL, (0,)))
    assert len(faults.complaints) == complaints
    assert recorder.done == [("disk 0", "full", 0), ("disk 0", "free"), ("start", 0)]


def test_a_node_that_does_not_come_back_is_complained_of() -> None:
    recorder = Recorder()
    recorder.fails_to_start = True
    faults = strike(recorder, Fault(0.0, 0.01, Kind.KILL, (0,)), Fault(0.1, 0.01, Kind.KILL, (1,)))
    assert len(faults.complaints) == 1


def test_a_proxy_that_has_ended_is_no_fault_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(line: Line, pairs: object = None) -> None:
        raise CannotRun("the proxy has ended")

    recorder = Recorder()
    monkeypatch.setattr(recorder, "set", gone)
    with pytest.raises(CannotRun):
        strike(recorder, Fault(0.0, 0.01, Kind.SHATTER, (0, 1, 2)))


def test_it_can_be_ended_early() -> None:
    recorder = Recorder()
    faults = Faults(cast(Nodes, recorder), cast(Network, recorder), {}, time.monotonic(), lambda text: None)
    faults.begin([Fault(0.0, 60.0, Kind.KILL, (0,)), Fault(70.0, 1.0, Kind.KILL, (1,))])
    started = time.monotonic()
    while not recorder.done and time.monotonic() < started + 5.0:
        time.sleep(0.01)
    faults.end()
    faults.join()
    assert recorder.done == [("kill", 0), ("copy", 0), ("start", 0)]
    assert time.monotonic() - started < 5.0


def test_healing_mends_everything() -> None:
    recorder = Recorder()
    recorder.exit_codes[1] = 1
    faults = strike(recorder)
    faults.heal()
    assert ("set", WELL, None) in recorder.done
    assert all((f"clock {node}", 0.0) in recorder.done and (f"disk {node}", "free") in recorder.done for node in range(NODES))
    assert [done for done in recorder.done if done[0] == "SIGCONT"] == [("SIGCONT", 0), ("SIGCONT", 2)]
    assert ("start", 1) in recorder.done
    assert len(faults.complaints) == 1


def test_who_is_a_member_again_when_all_ends_has_been_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaos.losses.POLL_S", 60.0)  # it is looked at too seldom to be seen by then
    recorder = Recorder()
    faults = Faults(cast(Nodes, recorder), cast(Network, recorder), {}, time.monotonic(), lambda text: None)
    returned: list[float] = []
    recorder.standings[1] = "comes back"
    faults.losses.watch(1, returned.append)
    recorder.standings[1] = MEMBER
    faults.end()
    assert len(returned) == 1
    recorder.standings[1] = "comes back"
    faults.losses.watch(1, returned.append)
    faults.end()
    assert len(returned) == 1
