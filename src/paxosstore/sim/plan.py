"""What one seed decides: the cluster, its settings, what clients ask and when, and every fault. A plan is data: it can be looked
at, made smaller, and run again.

A fault is a name in `FAULTS` here, and a line in `faults.py` where it strikes and ends.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ..settings import PIECES_IN_TIME, TuningSettings
from .leases import CLOCK_ERROR_MS
from .workload import Call, Workload

HOUR_MS = 3_600_000.0
RIVALS_SEED = 0x51FE
LOSSES_SEED = 0xD15C
BUDGET_SEED = 0xB0D6
LAG_SEED = 0x1A6
READS_SEED = 0x4EAD
LEARN_SEED = 0x1EA2
DAMAGE_SEED = 0xDA3A
RESTORE_SEED = 0xBAC
OLD_DISK_SEED = 0x01DD
LEASE_SEED = 0x1EA5E
CLOCK_SEED = 0xC10C
"""So that the rest of a seed's plan is the same with and without them."""


class Fault(NamedTuple):
    """Something that goes wrong at a time, and is mended at another."""

    at_ms: float
    name: str
    node: int
    until_ms: float
    value: float = 0.0
    """How much, or whom else; what it means depends on the fault."""

    def __str__(self) -> str:
        return f"{self.at_ms:.1f} ms: {self.name} at node {self.node} until {self.until_ms:.1f} ms ({self.value:g})"


class Ask(NamedTuple):
    """A call at its time and place."""

    at_ms: float
    node: int
    call: Call
    uuid: bytes
    """Empty: none, and so it is never repeated. Sometimes that of an earlier request, by a client's mistake."""
    variant: str
    """How it is asked for: see `VARIANTS`."""


VARIANTS = ("handler",) * 16 + ("function", "function", "at_entry", "catch_up")
"""By the name of a handler, as a function that cannot be handed over, at exactly the next entry, or merely to catch up."""
RIVALS = tuple(variant for variant in VARIANTS if variant != "handler")
"""Those that every node proposes itself."""


class Rival(NamedTuple):
    """Somebody who wants to write one entity at one node all the time (competition.py)."""

    node: int
    can_be_handed_over: bool
    cost_ms: float
    """How long one evaluation of its requests takes; 0: no time."""
    gap_ms: float
    """From one request to the next."""


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before the first event."""

    seed: int
    nodes: int
    tuning: TuningSettings
    uuid_window_entries: int
    loss: float
    duplication: float
    long_delay: float
    delay_ms: tuple[float, float]
    sync_ms: tuple[float, float]
    patience_ms: float
    """After which a client gives up on an answer."""
    clients: tuple[tuple[Ask, ...], ...]
    faults: tuple[Fault, ...]
    length_ms: float
    """When everything is mended."""
    wall_offsets_ms: tuple[float, ...]
    """How wrong each node's wall clock is at first."""
    rivals: tuple[Rival, ...] = ()
    """Who competes for an entity; mostly nobody does."""
    doomed: bool = False
    """In the end a majority of the disks is lost at once: nothing goes on, and that is said."""
    clock_error_ms: float = CLOCK_ERROR_MS
    """How wrong a node is at most about a peer's clock: a way may be longer than the way back."""
    keep_entries: int | None = None
    """So many applied entries the stores keep in their logs; None: all."""

    @property
    def right_clocks(self) -> bool:
        """Whether all clocks are right, but for one that may be ahead, and known to the peers well enough."""
        if self.clock_error_ms > CLOCK_ERROR_MS:
            return False
        sets = [(node, offset_ms) for node, offset_ms in enumerate(self.wall_offsets_ms) if offset_ms]
        sets += [(fault.node, fault.value) for fault in self.faults if fault.name == "wall clock jumps"]
        stopped = any(fault.name == "clocks stop" for fault in self.faults)
        return not stopped and len({node for node, _ in sets}) <= 1 and all(offset_ms > 0.0 for _, offset_ms in sets)

    @property
    def size(self) -> int:
        return len(self.faults) + sum(map(len, self.clients))


def _some(low: float, high: float) -> Callable[[random.Random, int], float]:
    return lambda rng, nodes: rng.uniform(low, high)


def _a_node(rng: random.Random, nodes: int) -> float:
    return float(rng.randrange(nodes))


def _nothing(rng: random.Random, nodes: int) -> float:
    return 0.0


FAULTS: dict[str, tuple[int, Callable[[random.Random, int], float]]] = {
    "power cut": (6, _nothing),
    "power cut inside a turn": (8, lambda rng, nodes: float(rng.randrange(1, 30))),
    "process killed": (3, _nothing),
    "suspended": (3, _nothing),
    "cut one way": (5, _a_node),
    "isolated": (4, _nothing),
    "connection lost": (4, _a_node),
    "storm": (2, _some(0.1, 0.3)),
    "write fails": (3, _nothing),
    "changed vote fails": (3, _nothing),
    "disk full": (2, _nothing),
    "disk almost full": (1, _nothing),
    "read fails": (1, _nothing),
    "disk slow": (2, _some(10.0, 100.0)),
    "disk hangs": (4, lambda rng, nodes: rng.choice((0.0, 0.0, 1.0))),
    "wall clock jumps": (3, lambda rng, nodes: rng.choice((-HOUR_MS, HOUR_MS))),
    "clocks stop": (2, _nothing),
    "everything loses power": (1, _nothing),
}
"""Name -> (how often, relative to the others; what its value is drawn from)."""

LOSSES: dict[str, tuple[int, Callable[[random.Random, int], float]]] = {
    "away": (4, _nothing),
    "power cut in an installation": (3, lambda rng, nodes: float(rng.randrange(1, 12))),
    "disk lost": (5, _nothing),
    "disk lost half-way": (3, lambda rng, nodes: float(rng.randrange(1, 60))),
    "power cut in re-entry": (4, lambda rng, nodes: float(rng.randrange(1, 12))),
    "disk lost while one is away": (3, _a_node),
    "disk lost while one hears nothing": (4, _a_node),
    "stale copy": (4, lambda rng, nodes: rng.choice((0.0, 1.0))),
}
"""The same of faults from which only peers help: drawn beside the others, in some seeds."""
DAMAGES: dict[str, tuple[int, Callable[[random.Random, int], float]]] = {
    "entity damaged": (4, _some(0.0, 1.0)),
    "entity damaged, then a start": (4, _some(0.0, 1.0)),
    "disk damaged": (2, _nothing),
}
"""The same of what is found to be damaged where it is read; drawn beside the others, in some seeds."""
LONG = ("away", "power cut in an installation", "disk lost while one is away", "disk lost while one hears nothing")
"""Those in which somebody is down for longer."""


def draw_plan(seed: int, workload: Workload) -> Plan:
    """The plan of a seed."""
    rng = random.Random(seed)
    nodes = rng.choice((3, 3, 3, 5))
    length_ms = rng.choice((200.0, 600.0, 600.0, 2_000.0))
    calm = rng.random() < 0.3
    rivals = _draw_rivals(random.Random(seed ^ RIVALS_SEED), nodes)
    tuning = _draw_tuning(rng)
    losses = random.Random(seed ^ LOSSES_SEED)
    tuning = _draw_small(losses, tuning)
    tuning = _draw_budget(random.Random(seed ^ BUDGET_SEED), tuning)
    tuning = _draw_lag(random.Random(seed ^ LAG_SEED), tuning)
    tuning = replace(tuning, many_reads=random.Random(seed ^ READS_SEED).choice((1, 1, 4)))
    keep_entries = losses.choice((None, 500) if rivals else (None, None, 1, 2, 5, 20))
    plan = Plan(
        seed=seed,
        nodes=nodes,
        tuning=_roomy(tuning) if rivals else tuning,
        uuid_window_entries=rng.choice((16, 64, 1_000)) if not rivals else 100_000,
        loss=0.0 if calm else rng.choice((0.0, rng.uniform(0.0, 0.3))),
        duplication=0.0 if calm else rng.choice((0.0, rng.uniform(0.0, 0.5))),
        long_delay=0.0 if calm else rng.choice((0.0, 0.1)),
        delay_ms=rng.choice(((0.1, 1.0), (0.1, 5.0), (2.0, 2.5))),
        sync_ms=rng.choice(((0.1, 0.5), (0.1, 0.5), (0.1, 20.0))),
        patience_ms=rng.choice((150.0, 3_000.0)),
        clients=_draw_clients(rng, nodes, length_ms, workload)
        + _draw_lessees(random.Random(seed ^ LEASE_SEED), nodes, length_ms, workload),
        faults=tuple(
            sorted(
                _draw_faults(rng, nodes, length_ms)
                + _draw_losses(losses, nodes, length_ms)
                + _draw_learning(random.Random(seed ^ LEARN_SEED), nodes, length_ms)
                + _draw_damages(seed, nodes, length_ms)
                + _draw_restores(random.Random(seed ^ RESTORE_SEED), nodes, length_ms)
                + _draw_old_disks(random.Random(seed ^ OLD_DISK_SEED), nodes, length_ms)
            )
        ),
        length_ms=length_ms,
        wall_offsets_ms=tuple(rng.choice((0.0, -HOUR_MS, HOUR_MS)) for _ in range(nodes)),
        rivals=rivals,
        doomed=losses.random() < 0.05,
        keep_entries=keep_entries,
    )
    return _set_clocks_right(random.Random(seed ^ CLOCK_SEED), plan)


def _set_clocks_right(rng: random.Random, plan: Plan) -> Plan:
    """In some seeds all clocks are right, but for one that is an hour ahead, always or now and then."""
    if rng.random() < 0.5:
        return replace(plan, clock_error_ms=rng.choice((CLOCK_ERROR_MS, 60.0)))
    wrong = rng.randrange(plan.nodes)
    offset_ms = rng.choice((0.0, HOUR_MS))
    faults = [
        fault._replace(node=wrong, value=HOUR_MS) if fault.name == "wall clock jumps" else fault
        for fault in plan.faults
        if fault.name != "clocks stop"
    ]
    offsets = tuple(offset_ms if node == wrong else 0.0 for node in range(plan.nodes))
    return replace(plan, faults=tuple(faults), wall_offsets_ms=offsets)


def _roomy(tuning: TuningSettings) -> TuningSettings:
    """Who competes is to be held up by others, not by limits that are too small for so many requests. (A mailbox of two drops
    the word to give way, each time: seed 1200176. A hint may be lost; here it must not be for ever.)"""
    roomy = replace(tuning, max_queue_requests=20_000, max_batch_requests=100, max_waiting_bytes=1 << 28, max_mailbox=4_096)
    roomy = replace(roomy, max_turn_work=30_000, max_in_flight_bytes=1 << 27)
    roomy = replace(roomy, background_bytes_per_second=1 << 26, background_ms_per_second=500.0)
    return replace(roomy, snapshot_piece_bytes=262_144, snapshot_bytes_per_second=1 << 26, snapshot_timeout_ms=5_000.0)


def _draw_rivals(rng: random.Random, nodes: int) -> tuple[Rival, ...]:
    """In some seeds: quick requests at some nodes, and one or more that take long at any."""
    if rng.random() < 0.9:
        return ()
    gap_ms = rng.choice((4.0, 12.0))
    handed_over = rng.random() < 0.5
    quick = [Rival(node, handed_over, 0.0, gap_ms) for node in rng.sample(range(nodes), rng.randrange(1, nodes + 1))]
    cost_ms = rng.choice((20.0, 100.0, 300.0))
    at = rng.sample(range(nodes), rng.choice((1, 1, 2, 3)))
    costly = [Rival(node, rng.random() < 0.5, cost_ms, 3.0 * cost_ms * len(at)) for node in at]
    return (*quick, *costly)


def _draw_small(rng: random.Random, tuning: TuningSettings) -> TuningSettings:
    """What bounds memory and copies, in some seeds so small that it is reached."""
    drawn: dict[str, Any] = {
        "max_mem_entities": rng.choice((1, 2, 100_000, 100_000)),
        "max_mem_entries": rng.choice((1, 200_000, 200_000)),
        "max_mem_bytes": rng.choice((1_000, 268_435_456, 268_435_456)),
        "max_loads": rng.choice((1, 128)),
        "max_snapshots": rng.choice((1, 2)),
        "snapshot_piece_bytes": rng.choice((20, 200, 262_144)),
        "snapshot_timeout_ms": rng.choice((20.0, 200.0, 5_000.0)),
        "snapshot_bytes_per_second": rng.choice((20_000, 67_108_864, 67_108_864)),
    }
    slowest = min(drawn["snapshot_bytes_per_second"] // drawn["max_snapshots"], tuning.verify_bytes_per_second)
    in_time = int(slowest * drawn["snapshot_timeout_ms"] / (PIECES_IN_TIME * 1_000.0))
    drawn["snapshot_piece_bytes"] = min(drawn["snapshot_piece_bytes"], in_time)
    return replace(tuning, **drawn)


def _draw_budget(rng: random.Random, tuning: TuningSettings) -> TuningSettings:
    """In some seeds so small a budget for what goes on behind the requests that it is waited for."""
    size, ms = rng.choice(((20_000, 500.0), (67_108_864, 20.0), *[(67_108_864, 500.0)] * 2))
    return replace(tuning, background_bytes_per_second=size, background_ms_per_second=ms)


def _draw_lag(rng: random.Random, tuning: TuningSettings) -> TuningSettings:
    """How much is applied in a turn, and how far that may lag: in some seeds an entry at a time, and no further than one."""
    return replace(
        tuning,
        max_turn_applies=rng.choice((1, 20, 2_000)),
        max_unapplied_bytes=rng.choice((1, 16_000, 67_108_864)),
    )


def _draw_tuning(rng: random.Random) -> TuningSettings:
    return TuningSettings(
        pre_auth=rng.random() < 0.85,
        lease_ms=rng.choice((1.0, 10.0, 30.0)),
        request_timeout_ms=rng.choice((100.0, 1_000.0, 5_000.0)),
        no_majority_ms=rng.choice((20.0, 500.0)),
        takeover_requests=rng.choice((2, 8, 64)),
        max_queue_requests=rng.choice((2, 1_000, 1_000)),
        max_batch_requests=rng.choice((1, 3, 100)),
        max_commit_num=rng.choice((1, 3, 512)),
        max_open_entries=rng.choice((4, 64)),
        max_mailbox=rng.choice((2, 4_096, 4_096)),
        retry_ms=rng.choice((20.0, 100.0)),
        max_waiting_bytes=rng.choice((3_000, *[268_435_456] * 4)),
        max_in_flight_bytes=rng.choice((60, 134_217_728)),
        max_catch_ups=rng.choice((1, 32)),
        max_turn_work=rng.choice((1, 30, 30_000)),
        slow_sync_ms=rng.choice((1.0, 10.0, 100.0)),
        max_silent_bytes=rng.choice((2_000, 67_108_864, 67_108_864)),
    )


def _draw_clients(rng: random.Random, nodes: int, length_ms: float, workload: Workload) -> tuple[tuple[Ask, ...], ...]:
    """Some clients. Sometimes nothing they ask for can be handed over: then the nodes are rivals all the time."""
    variants = VARIANTS if rng.random() < 0.75 else RIVALS
    return tuple(_draw_client(rng, nodes, length_ms, workload.draw, variants) for _ in range(rng.choice((2, 4, 8))))


def _draw_lessees(rng: random.Random, nodes: int, length_ms: float, workload: Workload) -> tuple[tuple[Ask, ...], ...]:
    """In some seeds: clients that want leases, and know the time."""
    if workload.draw_leases is None or rng.random() < 0.5:
        return ()
    draw = workload.draw_leases
    return tuple(_draw_client(rng, nodes, length_ms, draw, VARIANTS) for _ in range(rng.choice((2, 4))))


def _draw_client(
    rng: random.Random, nodes: int, length_ms: float, draw: Callable[[random.Random], Call], variants: Sequence[str]
) -> tuple[Ask, ...]:
    """A client asks for one thing after the other, mostly at one node."""
    home = rng.randrange(nodes)
    gap_ms = rng.choice((1.0, 5.0, 20.0))
    asks: list[Ask] = []
    at_ms = 0.0
    for _ in range(rng.choice((5, 15, 30))):
        at_ms += rng.expovariate(1.0 / gap_ms)
        if at_ms > length_ms:
            break
        node = home if rng.random() < 0.7 else rng.randrange(nodes)
        call = draw(rng)
        uuid = rng.randbytes(16) if rng.random() < 0.5 and not call.read_only else b""
        variant = "handler" if call.read_only else rng.choice(variants)
        if uuid and variant == "handler" and rng.random() < 0.1:
            uuid = rng.choice([uuid, *_taken(asks, call)])
        asks.append(Ask(at_ms, node, call, uuid if variant != "at_entry" else b"", variant))
    return tuple(asks)


def _taken(asks: Sequence[Ask], call: Call) -> list[bytes]:
    """uuids that stand for something else on the same entity."""
    same = {ask.uuid for ask in asks if ask.call.payload == call.payload}
    return [ask.uuid for ask in asks if ask.uuid and ask.call.entity == call.entity and ask.uuid not in same]


def _draw_faults(rng: random.Random, nodes: int, length_ms: float) -> tuple[Fault, ...]:
    names = list(FAULTS)
    weights = [weight for weight, _ in FAULTS.values()]
    some = rng.sample(names, rng.randrange(1, len(names)))  # a seed does not have every kind: each gets its chance to be alone
    weights = [weight if name in some else 0 for name, weight in zip(names, weights, strict=True)]
    faults = []
    for _ in range(rng.choice((0, 2, 6, 15))):
        at_ms = rng.uniform(0.0, length_ms)
        (name,) = rng.choices(names, weights)
        until_ms = at_ms + rng.choice((rng.uniform(1.0, 30.0), rng.uniform(10.0, 500.0)))
        faults.append(Fault(at_ms, name, rng.randrange(nodes), until_ms, FAULTS[name][1](rng, nodes)))
    return tuple(faults)


def _draw_restores(rng: random.Random, nodes: int, length_ms: float) -> tuple[Fault, ...]:
    """In some seeds: a backup is made of a node, and later the disk of one is lost and made anew from it."""
    if rng.random() < 0.85:
        return ()
    at_ms = rng.uniform(0.0, length_ms)
    lasts_ms = rng.choice((1.0, rng.uniform(1.0, 600.0)))
    return (Fault(at_ms, "restored from a backup", rng.randrange(nodes), at_ms + lasts_ms, float(rng.randrange(nodes))),)


def _draw_learning(rng: random.Random, nodes: int, length_ms: float) -> tuple[Fault, ...]:
    """In some seeds somebody is told to learn only, for a moment or for long; sometimes several are, again and again."""
    if rng.random() < 0.7:
        return ()
    faults = []
    for _ in range(rng.choice((1, 1, 2, 5))):
        at_ms = rng.uniform(0.0, length_ms)
        lasts_ms = rng.choice((rng.uniform(1.0, 20.0), rng.uniform(20.0, 1_500.0)))
        faults.append(Fault(at_ms, "learns only", rng.randrange(nodes), at_ms + lasts_ms))
    return tuple(faults)


def _draw_damages(seed: int, nodes: int, length_ms: float) -> tuple[Fault, ...]:
    rng = random.Random(seed ^ DAMAGE_SEED)
    if rng.random() < 0.7:
        return ()
    names, weights = list(DAMAGES), [weight for weight, _ in DAMAGES.values()]
    faults = []
    for name in rng.choices(names, weights, k=rng.choice((1, 2, 4))):
        at_ms = rng.uniform(0.0, length_ms)
        faults.append(Fault(at_ms, name, rng.randrange(nodes), at_ms + 1.0, DAMAGES[name][1](rng, nodes)))
    return tuple(faults)


def _draw_old_disks(rng: random.Random, nodes: int, length_ms: float) -> tuple[Fault, ...]:
    if nodes != 3 or rng.random() < 0.9:
        return ()
    at_ms = rng.uniform(0.0, length_ms / 2.0)
    return (Fault(at_ms, "disk back after a peer's loss", rng.randrange(nodes), at_ms + 1.0, _a_node(rng, nodes)),)


def _draw_losses(rng: random.Random, nodes: int, length_ms: float) -> tuple[Fault, ...]:
    if rng.random() < 0.5:
        return ()
    faults = []
    for name in rng.choices(list(LOSSES), [weight for weight, _ in LOSSES.values()], k=rng.choice((1, 2, 3))):
        at_ms = rng.uniform(0.0, length_ms)
        lasts_ms = rng.choice((1.0, rng.uniform(1.0, 300.0)))
        if name in LONG:
            lasts_ms = rng.uniform(100.0, 1_800.0)
        elif name == "stale copy":
            lasts_ms += 30.0
        faults.append(Fault(at_ms, name, rng.randrange(nodes), at_ms + lasts_ms, LOSSES[name][1](rng, nodes)))
    return tuple(faults)
