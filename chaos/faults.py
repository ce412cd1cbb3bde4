"""Faults as they strike the nodes of a run, and how they are mended."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from paxosstore.errors import Damaged, PaxosStoreError

from .errors import CannotRun
from .losses import Losses
from .nodes import Network, Nodes
from .proxy import Line
from .schedule import Fault, Kind, Track

RESET_EVERY_S = 0.2
WITHOUT_S = 1.0
"""How long a node that lost its disk has to do without the peer that is down."""


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
    started_s: float = 0.0
    """When the node that lost its disk served again; 0: none did."""
    returned_s: float = 0.0
    """When it was a member again; 0: nobody has seen it."""

    @property
    def way_back_s(self) -> float:
        """How long it took to be a member again."""
        return max(0.0, self.returned_s - self.started_s) if self.returned_s else 0.0

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
        self.losses = Losses(nodes, self._ending)
        self._threads: list[threading.Thread] = []
        self._broken: CannotRun | None = None
        self._how: dict[Kind, Callable[[Fault, Struck], None]] = {
            Kind.KILL: self._kill,
            Kind.KILL_ALL: self._kill,
            Kind.STOP: self._stop,
            Kind.DISK_FULL: self._fill_disks,
            Kind.ROLLING_RESTART: self._restart,
            Kind.CLOCK_JUMP: self._set_clocks,
            Kind.DISK_LOST: self._lose_disk,
            Kind.DISK_LOST_AGAIN: self._lose_disk_twice,
            Kind.LEARN_ONLY: self._learn_only,
            Kind.LONG_ABSENCE: self._kill,
            Kind.OLD_COPY: self._restore_copy,
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
        """Strike no more, mend what is broken by and by, and watch for nobody any more, after a last look."""
        self._ending.set()
        self.losses.join()

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
        if fault.kind.track is Track.PROCESS:
            self._revive(f"before {fault}")
        struck = Struck(fault.kind, str(fault), list(fault.nodes), time.monotonic(), skipped=self._why_not(fault.kind))
        self._say(f"{struck.text}{struck.skipped and f': skipped, {struck.skipped}'}")
        if not struck.skipped:
            self._how[fault.kind](fault, struck)
        struck.ended_s = time.monotonic()
        self.struck.append(struck)

    def _why_not(self, kind: Kind) -> str:
        if kind in self._unable:
            return self._unable[kind]
        return self.losses.why_not() if kind.loses_disk else ""

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
        for node in fault.nodes:
            self._nodes.copy_disk(node)
        self._nodes.start(*fault.nodes)

    def _stop(self, fault: Fault, struck: Struck) -> None:
        for node in fault.nodes:
            self._nodes.signal(node, signal.SIGSTOP)
        self._last(fault)
        for node in fault.nodes:
            self._nodes.signal(node, signal.SIGCONT)

    def _learn_only(self, fault: Fault, struck: Struck) -> None:
        for node in fault.nodes:
            self._nodes.tune(node, "learn_only", "true")
        self._last(fault)
        for node in fault.nodes:
            self._nodes.tune(node, "learn_only", "false")

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

    def _lose_disk(self, fault: Fault, struck: Struck) -> None:
        lost, *without = fault.nodes
        self.losses.empty(lost)
        for node in without:
            self._nodes.kill(node)
        self._last(fault)
        self._start_again(lost, struck)
        if without:
            self._ending.wait(WITHOUT_S)
            self._nodes.start(*without)
        struck.spans = [(lost, struck.began_s, struck.started_s), *((node, struck.began_s, time.monotonic()) for node in without)]

    def _lose_disk_twice(self, fault: Fault, struck: Struck) -> None:
        node = fault.nodes[0]
        self.losses.empty(node)
        self._last(fault)
        self._nodes.launch(node)
        self.losses.wait_on_its_way(node)
        self.losses.empty(node)
        self._start_again(node, struck)

    def _restore_copy(self, fault: Fault, struck: Struck) -> None:
        node = fault.nodes[0]
        if node not in self._nodes.copied:
            self._nodes.kill(node)
            self._nodes.copy_disk(node)
            self._nodes.start(node)
            struck.spans.append((node, struck.began_s, time.monotonic()))
        self._last(fault)
        killed_s = time.monotonic()
        struck.skipped = self.losses.age(node)
        if struck.skipped:
            return self._say(f"{fault}: skipped after all, {struck.skipped}")
        self._start_again(node, struck)
        struck.spans.append((node, killed_s, struck.started_s))

    def _start_again(self, node: int, struck: Struck) -> None:
        """A node without its disk."""

        def returned(at_s: float) -> None:
            struck.returned_s = at_s

        self._nodes.start(node)
        struck.started_s = time.monotonic()
        self.losses.watch(node, returned)

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
