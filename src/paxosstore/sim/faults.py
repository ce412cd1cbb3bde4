"""What can go wrong with processes, the network, disks and clocks: where each fault of a plan strikes, and how it is mended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from ..errors import DiskFull
from .cluster import SimCluster
from .losses import Losses
from .node import SimNode
from .plan import Fault, Plan

Strike = Callable[[Fault, SimNode], bool | None]
"""False: it cannot strike now."""


class Faults:
    """The faults of one plan, in its cluster."""

    def __init__(self, cluster: SimCluster, plan: Plan) -> None:
        self._cluster = cluster
        self._plan = plan
        self._peace = False
        self._under_way: set[Fault] = set()
        """Those that have struck and are to be mended."""
        self.struck: Counter[str] = Counter()
        """How often each fault struck."""
        self.losses = losses = Losses(cluster)
        self._table: dict[str, tuple[Strike, Callable[[Fault, SimNode], object]]] = {
            "power cut": (self._cut_power, self._restart),
            "power cut inside a turn": (self._cut_power_inside, self._restart),
            "process killed": (self._kill, self._restart),
            "suspended": (self._suspend, self._go_on),
            "cut one way": (self._cut, self._join),
            "isolated": (self._isolate, self._rejoin),
            "connection lost": (self._lose_connection, self._connect),
            "storm": (self._storm, self._calm),
            "write fails": (self._fail_write, self._make_room),
            "changed vote fails": (self._fail_change, self._make_room),
            "disk full": (self._fill, self._make_room),
            "disk almost full": (self._almost_fill, self._make_room),
            "read fails": (self._fail_read, self._restart),
            "disk slow": (self._slow_down, self._speed_up),
            "disk hangs": (self._hang_up, self._answer),
            "wall clock jumps": (self._jump, self._set_clock_right),
            "clocks stop": (self._stop_clocks, self._start_clocks),
            "everything loses power": (self._cut_all_power, self._restart_all),
            "learns only": (self._learn_only, self._vote_again),
            "away": (self._kill, self._restart),
            "power cut in an installation": (losses.cut_power_in_installation, self._restart),
            "disk lost while one is away": (losses.lose_while_one_is_away, self._restart_both),
            "disk lost while one hears nothing": (losses.lose_while_one_hears_nothing, losses.let_hear),
            "disk lost": (losses.lose, self._restart),
            "disk lost half-way": (losses.lose_half_way, self._restart),
            "power cut in re-entry": (losses.cut_power_in_reentry, self._restart),
            "stale copy": (losses.copy, losses.put_copy_back),
            "disk back after a peer's loss": (losses.lose_then_a_peer, lambda fault, node: None),
            "entity damaged": (losses.damage_entity, lambda fault, node: None),
            "entity damaged, then a start": (losses.damage_entity_and_start, lambda fault, node: None),
            "disk damaged": (losses.damage_disk, lambda fault, node: None),
            "restored from a backup": (losses.back_up, losses.restore),
        }

    def begin(self) -> None:
        """Let each strike and end at its times."""
        for fault in self._plan.faults:
            self._cluster.after(fault.at_ms, partial(self._strike, fault))
            self._cluster.after(fault.until_ms, partial(self._mend, fault))

    def end(self) -> None:
        """Mend everything, for good."""
        cluster = self._cluster
        self._peace = self.losses.peace = True
        for fault in self._plan.faults:
            self._table[fault.name][1](fault, cluster.nodes[fault.node])
        weather = cluster.weather
        weather.loss = weather.duplication = weather.long_delay = 0.0
        weather.delay_ms, weather.sync_ms = (0.1, 1.0), (0.1, 0.5)
        weather.cuts.clear()
        for node in cluster.nodes:
            node.clocks.wall_offset_ms = 0.0
            self.losses.scrub(node)
        for fault in self._plan.faults:
            if fault.name == "disk almost full" and fault.until_ms > self._plan.length_ms:  # that may last: it votes and learns
                self._almost_fill(fault, cluster.nodes[fault.node])

    def stay_full(self) -> set[int]:
        """Let disks that are to be full for longer be full in peace, at a minority of the nodes; those nodes."""
        if not all(map(self.losses.whole, self._cluster.nodes)):
            return set()  # all that are left may be needed to mend the others
        if any(not node.store.is_members for node in self._cluster.nodes):
            return set()  # a new cluster begins when all have noted that
        faults, length_ms = self._plan.faults, self._plan.length_ms
        lasting = [fault.node for fault in faults if fault.name == "disk full" and fault.until_ms > length_ms]
        full = set(lasting[: self._cluster.spare])
        for number in full:
            self._cluster.nodes[number].store.full = True
        return full

    def _strike(self, fault: Fault) -> None:
        if not self._peace:
            self._cluster.note("fault:", fault)
            if self._table[fault.name][0](fault, self._cluster.nodes[fault.node]) is False:
                self._cluster.note("that cannot be now")
            else:
                self.struck[fault.name] += 1
                self._under_way.add(fault)

    def _mend(self, fault: Fault) -> None:
        if not self._peace and fault in self._under_way:  # else it would mend what another one has done
            self._under_way.discard(fault)
            self._cluster.note("mended:", fault.name, "at", fault.node)
            self._table[fault.name][1](fault, self._cluster.nodes[fault.node])

    def _cut_power(self, fault: Fault, node: SimNode) -> bool:
        if node.up:
            self._cluster.kill(node.number, self._cluster.survivors(node.number))
            return True
        return False

    def _cut_power_inside(self, fault: Fault, node: SimNode) -> bool:
        node.crash_in_steps = int(fault.value) if node.up else 0
        return node.up

    def _kill(self, fault: Fault, node: SimNode) -> bool:
        if node.up:
            self._cluster.kill(node.number, node.store.unsynced)  # the machine lives, and with it what was written
            return True
        return False

    def _restart(self, fault: Fault, node: SimNode) -> None:
        node.crash_in_steps = 0
        node.loses_disk = None
        node.store.read_fails = False
        if not node.up:
            self._cluster.start(node.number)

    def _restart_both(self, fault: Fault, node: SimNode) -> None:
        self._restart(fault, node)
        self._restart(fault, self._cluster.nodes[int(fault.value)])

    def _cut_all_power(self, fault: Fault, node: SimNode) -> None:
        for each in self._cluster.nodes:
            self._cut_power(fault, each)

    def _restart_all(self, fault: Fault, node: SimNode) -> None:
        for each in self._cluster.nodes:
            self._restart(fault, each)

    def _suspend(self, fault: Fault, node: SimNode) -> bool:
        node.suspended = node.up
        return node.up

    def _go_on(self, fault: Fault, node: SimNode) -> None:
        node.go_on()

    def _cut(self, fault: Fault, node: SimNode) -> bool:
        self._cluster.weather.cuts.add((node.number, int(fault.value)))
        return node.number != int(fault.value)

    def _join(self, fault: Fault, node: SimNode) -> None:
        self._cluster.weather.cuts.discard((node.number, int(fault.value)))

    def _isolate(self, fault: Fault, node: SimNode) -> None:
        self._cluster.weather.cuts |= self._pairs(node)

    def _rejoin(self, fault: Fault, node: SimNode) -> None:
        self._cluster.weather.cuts -= self._pairs(node)

    def _pairs(self, node: SimNode) -> set[tuple[int, int]]:
        others = [other.number for other in self._cluster.nodes if other is not node]
        return {(node.number, other) for other in others} | {(other, node.number) for other in others}

    def _lose_connection(self, fault: Fault, node: SimNode) -> bool:
        if node.number == int(fault.value):
            return False
        self._cluster.lose_connection(node.number, int(fault.value))
        return True

    def _connect(self, fault: Fault, node: SimNode) -> None:
        self._cluster.connect(node.number, int(fault.value))

    def _storm(self, fault: Fault, node: SimNode) -> None:
        weather = self._cluster.weather
        weather.loss, weather.duplication, weather.long_delay = fault.value, 0.5, 0.2

    def _calm(self, fault: Fault, node: SimNode) -> None:
        self.calm_weather()

    def calm_weather(self) -> None:
        plan, weather = self._plan, self._cluster.weather
        weather.loss, weather.duplication, weather.long_delay = plan.loss, plan.duplication, plan.long_delay
        weather.delay_ms, weather.sync_ms = plan.delay_ms, plan.sync_ms

    def _fail_write(self, fault: Fault, node: SimNode) -> None:
        node.store.fail_next_write = DiskFull("no room for this write")

    def _fail_change(self, fault: Fault, node: SimNode) -> None:
        node.store.change_fails = True

    def _learn_only(self, fault: Fault, node: SimNode) -> None:
        node.learn_only(True)

    def _vote_again(self, fault: Fault, node: SimNode) -> None:
        if node.learns_only:
            node.learn_only(False)

    def _fill(self, fault: Fault, node: SimNode) -> None:
        node.store.full = True

    def _almost_fill(self, fault: Fault, node: SimNode) -> bool:
        if node.up:
            self._cluster.allow_writes(node.number, "the disk is almost full")
        return node.up

    def _make_room(self, fault: Fault, node: SimNode) -> None:
        node.store.full = node.store.change_fails = False
        node.store.fail_next_write = None
        if node.up:
            self._cluster.allow_writes(node.number, "")

    def _fail_read(self, fault: Fault, node: SimNode) -> None:
        node.store.read_fails = True

    def _slow_down(self, fault: Fault, node: SimNode) -> None:
        node.slowness = fault.value

    def _speed_up(self, fault: Fault, node: SimNode) -> None:
        node.slowness = 1.0

    def _hang_up(self, fault: Fault, node: SimNode) -> None:
        node.hang_up(bool(fault.value))

    def _answer(self, fault: Fault, node: SimNode) -> None:
        node.hangs = node.fails_after_gulps = False
        if fault.value and self._peace:
            self._make_room(fault, node)
        elif fault.value:  # after the write that fails
            self._cluster.after(10.0, partial(self._make_room, fault, node))

    def _jump(self, fault: Fault, node: SimNode) -> None:
        node.clocks.wall_offset_ms = fault.value

    def _set_clock_right(self, fault: Fault, node: SimNode) -> None:
        node.clocks.wall_offset_ms = 0.0

    def _stop_clocks(self, fault: Fault, node: SimNode) -> None:
        node.clocks.stop(self._cluster.now_ms)

    def _start_clocks(self, fault: Fault, node: SimNode) -> None:
        node.clocks.go_on(self._cluster.now_ms)
