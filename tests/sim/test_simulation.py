"""Clusters under random load and faults; a failing seed is named, and `paxosstore sim --seed N --trace` tells its story."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import pytest

from paxosstore.core.batch.evaluate import Reply
from paxosstore.core.batch.overlay import View
from paxosstore.core.entry.machine import EntryMachine
from paxosstore.core.entry.record import Value
from paxosstore.core.reentry import membership
from paxosstore.errors import ConfigError, NoQuorum
from paxosstore.settings import TuningSettings
from paxosstore.sim.campaign import BRANCHES, Summary, campaign, load_workload, run_seeds
from paxosstore.sim.cluster import SimCluster
from paxosstore.sim.doom import _InVain, _Writes
from paxosstore.sim.history import Operation
from paxosstore.sim.models import Model
from paxosstore.sim.node import SimNode
from paxosstore.sim.plan import FAULTS, Fault, Plan, Rival, draw_plan
from paxosstore.sim.shrink import everything, failure, parse, select, shrink
from paxosstore.sim.simulation import Simulation
from paxosstore.sim.workload import STANDARD, Call, Workload

from ..pure import PURE_ONLY

SEEDS = 300


@pytest.fixture(scope="module")
def summary() -> Summary:
    return campaign(0, SEEDS, None, jobs=1 if "PYTEST_XDIST_WORKER" in os.environ else 2)  # the other workers have work


def test_seeds_hold(summary: Summary) -> None:
    assert summary.seeds == SEEDS
    assert [failure.check for failure in summary.failures] == []
    assert summary.undecided == 0
    assert summary.outcomes["done"] > summary.outcomes.total() / 2
    assert {"FAILED", "UNKNOWN", "NOQUORUM", "OVERLOADED", "DISKFULL", "WRONGENTRY", "COMMITLIMIT"} <= set(summary.outcomes)


def test_seeds_reach_every_rare_branch_and_fault(summary: Summary) -> None:
    assert summary.unreached == []
    assert set(FAULTS) < set(BRANCHES)


def test_every_fault_can_strike_alone() -> None:
    plan = draw_plan(3, STANDARD)
    rng = random.Random(3)
    for name, (_, draw_value) in FAULTS.items():
        nodes = [rng.randrange(plan.nodes) for _ in range(5)]
        faults = tuple(
            Fault(50.0 * at, name, node, 50.0 * at + 40.0, draw_value(rng, plan.nodes)) for at, node in enumerate(nodes)
        )
        assert not failure(replace(plan, faults=faults), STANDARD), name


def test_a_seed_is_a_story_that_repeats() -> None:
    story: list[str] = []
    first = Simulation(draw_plan(7, STANDARD), STANDARD, story.append).run()
    assert Simulation(draw_plan(7, STANDARD), STANDARD).run() == first
    assert Simulation(draw_plan(8, STANDARD), STANDARD).run().trace_hash != first.trace_hash
    assert len(story) > 100


def test_the_trace_hash_is_the_same_in_every_process() -> None:
    command = [sys.executable, "-m", "paxosstore.cli", "sim", "--seed", "1"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert Simulation(draw_plan(1, STANDARD), STANDARD).run().trace_hash in said


# -- what is broken on purpose is found (tests/mutants breaks much more)


def fails_within(seeds: int, words: str = "") -> str:
    """What the first seed says that fails with these words."""
    found = (failure(draw_plan(seed, STANDARD), STANDARD) for seed in range(seeds))
    return next((check for check in found if check and words in check), "")


@PURE_ONLY
def test_a_proposer_that_ignores_what_was_accepted_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(self: EntryMachine) -> Value | None:
        return None

    monkeypatch.setattr(EntryMachine, "found", property(found))
    assert "two values" in fails_within(40)


@PURE_ONLY
def test_forgotten_uuids_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paxosstore.core.batch.evaluate._uuids", lambda request: ())
    assert "not linearizable" in fails_within(200)


@PURE_ONLY
def test_refusals_remembered_as_replies_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reply, "encode", lambda self: b"+" + self.content)
    assert fails_within(200)


@PURE_ONLY
def test_a_refusal_of_what_may_be_chosen_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paxosstore.core.shard.undecided.OutcomeUnknown", NoQuorum)
    assert fails_within(40, "may yet be chosen")  # others fail by what it leads to


@PURE_ONLY
def test_a_node_that_never_gives_way_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paxosstore.core.log.giveway.RightOfWay.asked", lambda self, entity, peer, message: None)
    assert "it starves" in fails_within(40)


def unheard() -> Plan:
    """Two of three nodes learn only for a while, and the third, a rival's, does not hear that they vote again."""
    learn = [Fault(100.0, "learns only", node, 500.0) for node in (1, 2)]
    cuts = [Fault(450.0, "cut one way", node, 550.0, 0.0) for node in (1, 2)]
    return replace(
        draw_plan(8, STANDARD),  # a seed in which the links do not begin anew
        nodes=3,
        tuning=TuningSettings(no_majority_ms=20.0),
        loss=0.0,
        clients=(),
        faults=(*learn, *cuts),
        length_ms=600.0,
        wall_offsets_ms=(0.0,) * 3,
        rivals=(Rival(0, True, 20.0, 60.0),),
        doomed=False,
    )


def test_who_has_not_heard_yet_that_others_vote_again_is_waited_for() -> None:
    """Until that is said again, within a second, `NoQuorum` is the right answer (seed 86006113, a false alarm)."""
    assert failure(unheard(), STANDARD) == ""


@PURE_ONLY
def test_who_never_says_again_that_it_votes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "AGAIN_MS", 1e9)
    found = failure(unheard(), STANDARD)
    assert "not all nodes have come back" in found
    assert "node 1 learns only" in found


def test_a_majority_of_the_disks_lost_is_said_and_can_be_forced() -> None:
    for seed in (1, 2, 11):
        plan = replace(draw_plan(seed, STANDARD), rivals=(), faults=(), doomed=True)
        Simulation(plan, STANDARD).run()


def test_a_power_cut_may_come_late_when_a_majority_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """One in an installation, say: what was asked of that node has no answer (seed 9100269), or the node is down already."""
    begin, ask_everybody = _Writes.begin, _InVain.ask_everybody
    dead = []

    def one_dies(cluster: SimCluster) -> None:
        node = cluster.nodes[0]
        cluster.kill(node.number, node.store.unsynced)
        dead.append(node)

    def before(self: _Writes) -> list[SimNode]:
        lost = begin(self)
        one_dies(simulation.cluster)
        return lost

    def meanwhile(self: _InVain, calls: list[Call]) -> None:
        simulation.cluster.after(1.0, lambda: one_dies(simulation.cluster))
        ask_everybody(self, calls)

    monkeypatch.setattr(_Writes, "begin", before)
    monkeypatch.setattr(_InVain, "ask_everybody", meanwhile)
    for seed in (1, 2, 11):
        simulation = Simulation(replace(draw_plan(seed, STANDARD), rivals=(), faults=(), doomed=True), STANDARD)
        simulation.run()
    assert len(dead) > 3


# -- shrinking


@PURE_ONLY
def test_a_failing_plan_is_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paxosstore.core.batch.evaluate._uuids", lambda request: ())
    seed = next(seed for seed in range(200) if failure(draw_plan(seed, STANDARD), STANDARD))
    plan = draw_plan(seed, STANDARD)
    least = shrink(plan, STANDARD)
    smaller = select(plan, parse(str(least), plan))
    assert failure(smaller, STANDARD)
    assert smaller.size < plan.size / 2
    assert parse(str(least), plan) == least


@pytest.mark.parametrize("text", ["faults=x", "asks=1", "asks=99.1", "faults=999", "loud"])
def test_a_selection_that_makes_no_sense(text: str) -> None:
    with pytest.raises(ConfigError, match="--only"):
        parse(text, draw_plan(7, STANDARD))


def test_all_is_the_whole_plan() -> None:
    plan = draw_plan(7, STANDARD)
    assert select(plan, everything(plan)) == plan


# -- requests of one's own


def take(view: View, payload: bytes) -> bytes:
    """Takes from a stock that must never fall below zero."""
    _, kind, arguments = json.loads(payload)
    stock = int(view.get(b"stock") or b"10")
    if kind == "look":
        return json.dumps(stock).encode()
    if kind == "refill":
        view.put(b"stock", b"10")
        return b"10"
    if stock < arguments[0]:
        return b"false"
    view.put(b"stock", b"%d" % (stock - arguments[0]))
    return b"true"


class Stock(Model[int]):
    initial = 10

    def __init__(self, operations: Sequence[Operation]) -> None: ...

    def apply(self, state: int, operation: Operation) -> tuple[int, object]:
        if operation.kind == "look":
            return state, state
        if operation.kind == "refill":
            return 10, 10
        wanted = operation.arguments[0]
        assert isinstance(wanted, int)
        return (state - wanted, True) if state >= wanted else (state, False)


def draw(rng: random.Random) -> Call:
    kind = rng.choice(("take", "take", "look", "refill"))
    arguments = (rng.randrange(1, 6),) if kind == "take" else ()
    return Call(1, "take", "stock:1", kind, arguments, read_only=kind == "look")


MINE = Workload({"take": take}, draw, {"stock": Stock})


def test_requests_of_ones_own() -> None:
    summary = run_seeds(range(20), "tests.sim.test_simulation:MINE")
    assert summary.failures == []
    assert summary.operations > 500


def test_a_broken_request_of_ones_own_is_found() -> None:
    memory: list[int] = []

    def impure(view: View, payload: bytes) -> bytes:
        memory.append(0)  # a request may run several times: it must not count itself
        view.put(b"stock", b"%d" % len(memory))
        return take(view, payload)

    assert any(failure(draw_plan(seed, MINE), replace(MINE, handlers={"take": impure})) for seed in range(20))


@pytest.mark.parametrize("name", ["nowhere:WORKLOAD", "json:dumps", "json", "json:nothing"])
def test_a_workload_that_is_none(name: str) -> None:
    with pytest.raises(ConfigError, match="--workload"):
        load_workload(name)
