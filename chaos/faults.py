"""Faults as they strike the nodes of a run, and how they are mended."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from paxosstore.errors import Damaged, PaxosStoreError

from .errors import CannotRun
from .nodes import Network, Nodes
from .proxy import Line
from .schedule import Fault, Kind, Track

RESET_EVERY_S = 0.2


class Struck(msgspec.Struct):
    """A fault that has struck. Times by the monotonic clock."""

    kind: Kind
    text: str
    nodes: list[int]
    began_s: float
    ended_s: float = 0.0
    spans: list[tuple[int, float, float]] = []
    """(node, from, until), where a node was not hit all the time."""
    skipped: str = ""
    """Why it did not strike after all."""

    def node_spans(self) -> list[tuple[int, float, float]]:
        return self.spans or [(node, self.began_s, self.ended_s) for node in self.nodes]


class Faults:
    """Strikes as the schedule says, one thread for each track. What nodes do that they must not is in `complaints`."""

    def __init__(
        self, nodes: Nodes, network: Network, unable: Mapping[Kind, str], started_s: float, say: Callable[[str], None]
    ) -> None:
        self.struck: list[Struck] = []
        self.complaints: list[str] = []
        self._nodes = nodes
        self._network = network
        self._unable = unable
        self._started_s = started_s
        self._say = say
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        self._broken: CannotRun | None = None
        self._how: dict[Kind, Callable[[Fault, Struck], None]] = {
            Kind.KILL: self._kill,
            Kind.KILL_ALL: self._kill,
            Kind.STOP: self._stop,
            Kind.DISK_FULL: self._fill_disks,
            Kind.ROLLING_RESTART: self._restart,
            Kind.CLOCK_JUMP: self._set_clocks,
            Kind.ISOLATE: self._isolate,
            Kind.SHATTER: self._shatter,
            Kind.ONE_WAY: self._line(lambda fault: Line(cut=True)),
            Kind.MUTE: self._line(lambda fault: Line(mute=True)),
            Kind.LOSS: self._weather(lambda fault: Line(loss=fault.value)),
            Kind.SLOW: self._weather(lambda fault: Line(delay_ms=fault.value)),
            Kind.RESET: self._reset,
        }

    def begin(self, schedule: Iterable[Fault]) -> None:
        faults = list(schedule)
        for track in Track:
            mine = [fault for fault in faults if fault.kind.track is track]
            self._threads.append(threading.Thread(target=self._run, args=(mine,), name=f"chaos-{track.value}"))
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Until the last fault is mended. Raises CannotRun."""
        for thread in self._threads:
            thread.join()
        if self._broken is not None:
            raise self._broken

    def end(self) -> None:
        """Strike no more, and mend what is broken by and by."""
        self._ending.set()

    def heal(self) -> None:
        """Mend whatever may still be broken. Raises CannotRun."""
        nodes = self._nodes
        self._network.set(Line())
        for clock in nodes.clocks:
            clock.set(0.0)
        for disk in nodes.disks:
            disk.free()
        for node in range(nodes.nodes):
            if nodes.is_running(node):
                nodes.signal(node, signal.SIGCONT)
        self._revive("at the end")

    # -- one track

    def _run(self, faults: list[Fault]) -> None:
        try:
            for fault in faults:
                if self._ending.wait(max(0.0, self._started_s + fault.at_s - time.monotonic())):
                    return
                self._strike(fault)
        except PaxosStoreError as error:
            self.complaints.append(f"a node does not come back: {error}")
        except CannotRun as error:
            self._broken = error
        except OSError as error:
            self._broken = CannotRun(f"a fault could not be made: {error}")

    def _strike(self, fault: Fault) -> None:
        struck = Struck(fault.kind, str(fault), list(fault.nodes), time.monotonic(), skipped=self._unable.get(fault.kind, ""))
        self._say(f"{struck.text}{struck.skipped and f': skipped, {struck.skipped}'}")
        if not struck.skipped:
            if fault.kind.track is Track.PROCESS:
                self._revive(f"before {fault}")
            self._how[fault.kind](fault, struck)
        struck.ended_s = time.monotonic()
        self.struck.append(struck)

    def _last(self, fault: Fault) -> None:
        self._ending.wait(fault.lasts_s)

    def _revive(self, when: str, *, may_have_ended: bool = False) -> None:
        """Start the nodes that have ended by themselves. With a full disk they may: a failed sync is fatal (rule 8)."""
        nodes = self._nodes
        for node in range(nodes.nodes):
            code = nodes.exit_code(node)
            if code is not None:
                if not (may_have_ended and code == Damaged.exit_code):
                    self.complaints.append(f"node {node} had ended by itself with code {code} {when}: {nodes.last_words(node)}")
                nodes.start(node)

    # -- processes

    def _kill(self, fault: Fault, struck: Struck) -> None:
        for node in fault.nodes:
            self._nodes.kill(node)
        self._last(fault)
        self._nodes.start(*fault.nodes)

    def _stop(self, fault: Fault, struck: Struck) -> None:
        for node in fault.nodes:
            self._nodes.signal(node, signal.SIGSTOP)
        self._last(fault)
        for node in fault.nodes:
            self._nodes.signal(node, signal.SIGCONT)

    def _fill_disks(self, fault: Fault, struck: Struck) -> None:
        disks = [self._nodes.disks[node] for node in fault.nodes]
        for disk in disks:
            disk.fill(int(fault.value))
        self._last(fault)
        for disk in disks:
            disk.free()
        self._revive(f"during {fault}", may_have_ended=True)

    def _restart(self, fault: Fault, struck: Struck) -> None:
        for node in fault.nodes:
            began_s = time.monotonic()
            code = self._nodes.stop(node)
            if code:
                words = self._nodes.last_words(node)
                self.complaints.append(f"node {node} was told to stop and ended with code {code}: {words}")
            self._nodes.start(node)
            struck.spans.append((node, began_s, time.monotonic()))

    def _set_clocks(self, fault: Fault, struck: Struck) -> None:
        for node in fault.nodes:
            self._nodes.clocks[node].set(fault.value)
        self._last(fault)
        for node in fault.nodes:
            self._nodes.clocks[node].set(0.0)

    # -- the network

    def _isolate(self, fault: Fault, struck: Struck) -> None:
        self._on_lines(Line(cut=True), self._network.between(fault.nodes), fault)

    def _shatter(self, fault: Fault, struck: Struck) -> None:
        self._on_lines(Line(cut=True), None, fault)

    def _line(self, line: Callable[[Fault], Line]) -> Callable[[Fault, Struck], None]:
        return lambda fault, struck: self._on_lines(line(fault), [(fault.nodes[0], fault.nodes[1])], fault)

    def _weather(self, line: Callable[[Fault], Line]) -> Callable[[Fault, Struck], None]:
        return lambda fault, struck: self._on_lines(line(fault), None, fault)

    def _on_lines(self, line: Line, pairs: list[tuple[int, int]] | None, fault: Fault) -> None:
        self._network.set(line, pairs)
        self._last(fault)
        self._network.set(Line(), pairs)

    def _reset(self, fault: Fault, struck: Struck) -> None:
        until_s = time.monotonic() + fault.lasts_s
        while time.monotonic() < until_s:
            self._network.reset(fault.nodes)
            if self._ending.wait(RESET_EVERY_S):
                return
