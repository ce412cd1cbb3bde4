"""Faults strike and are mended, in this order; what nodes do by themselves is complained of."""

from __future__ import annotations

import signal
import time
from typing import Any, cast

import pytest

from chaos.errors import CannotRun
from chaos.faults import Faults
from chaos.nodes import Network, Nodes
from chaos.proxy import Line
from chaos.schedule import Fault, Kind
from paxosstore.errors import Damaged, NotServing

NODES = 3
CUT, MUTE, WELL = Line(cut=True), Line(mute=True), Line()


class Recorder:
    """Nodes and network in one: writes down what is done to it."""

    nodes = NODES

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.exit_codes: dict[int, int] = {}
        self.fails_to_start = False
        self.clocks = [_Part(self, f"clock {node}") for node in range(NODES)]
        self.disks = [_Part(self, f"disk {node}") for node in range(NODES)]

    def exit_code(self, node: int) -> int | None:
        return self.exit_codes.get(node)

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
        (Kind.KILL, (1,), 0.0, [("kill", 1), ("start", 1)]),
        (Kind.KILL_ALL, (0, 1, 2), 0.0, [("kill", 0), ("kill", 1), ("kill", 2), ("start", 0, 1, 2)]),
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
    assert recorder.done == [("kill", 0), ("start", 0)]
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
