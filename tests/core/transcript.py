"""Runs a scenario: a transcript that a person can read, on the simulated cluster.

    cluster nodes=3 lease_ms=10        first line; any tuning setting may be given
    node 0: write 7 x=1 -> done        a request, run until it ends; also `incr 7 c`, `del 7 x`, `read 7 x`
    node 0: write 7 x=1 as A           the same in the background; `timeout 50ms`, `uuid NAME`, `alone` (it cannot be handed over)
                                       and `taking 40ms` (to evaluate, where it was asked for) may precede `as` or `->`
    expect A -> done                   wait for its end (or `expect A pending`, at this moment; or `expect A -> done within 9ms`)
    cut 0 -> 2 · cut 0 <-> 2 · isolate 0 · heal
    unlink 0 <-> 2 · link 0 <-> 2      the connection is gone, and both notice; it is there again
    hold 0 -> 2 · release 0 -> 2       frames of this life stay under way, and go on: whatever has become of their sender
    kill 1 keep 0 · start 1            keep so many of the writes that were not synced
    lose disk of 1                     it is down, and starts on an empty one
    until member 1 · expect waiting 1  it has passed all floors; it waits for others before it votes (rule 19)
    disk 1 full · disk 1 has room      it takes no new requests to write, but votes
    disk 1 fails · fail next write of 1    each write to it fails; the next one does
    disk 1 hangs · disk 1 answers      no sync returns, until it does
    log of 1 keeps 2                   of each entity, entries behind that many applied ones expire (rule 17)
    wait 50ms
    until node 2 accepted 7/3          let time pass until its row there is (empty, promised, preparing, accepted, chosen)
    until committed 7 = 3 on 0,1,2
    until counters way_given>=2        since the mark, over all nodes
    mark                               count from here
    expect counters rounds_full=0 values_adopted>=1     since the mark, over all nodes
    expect committed 7 = 3 on 0,1,2
    expect preferred 7 = 0 on 1,2
    expect stored 7 x = 1 on 0,1       in that node's own DB, read without asking anybody
    until recovering 7 on 2            the mark of an installation is on its disk (rule 16); also `expect`
    expect equal hashes

A reply stands for itself; an error is shown by its code. `#` starts a comment.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from paxosstore.core.batch.overlay import DATA
from paxosstore.core.interface.event import Received
from paxosstore.core.interface.message import Message
from paxosstore.errors import DiskFull
from paxosstore.settings import TuningSettings
from paxosstore.sim.cluster import SimCluster
from paxosstore.sim.node import SimNode

from .support import HANDLERS, AloneOperation, Operation, uuid

PATIENCE_MS = 60_000.0
STEP_MS = 0.01


class _Holding(SimCluster):
    """Can keep frames under way."""

    def __init__(self, *arguments: Any) -> None:
        self._held: dict[tuple[int, int, int], list[Received]] = {}
        """By sender, its disk and receiver."""
        super().__init__(*arguments)

    def hold(self, sender: int, receiver: int) -> None:
        """Keep what it sends until it is released, or on another disk."""
        self._held[sender, self.nodes[sender].disk.id, receiver] = []

    def release(self, sender: int, receiver: int) -> None:
        """Let it arrive, in its order."""
        for place in [place for place in self._held if place[0] == sender and place[2] == receiver]:
            for frame in self._held.pop(place):
                self.nodes[receiver].step(frame)

    def send(self, sender: int, receiver: int, messages: list[Message]) -> None:
        disk = self.nodes[sender].disk.id
        held = self._held.get((sender, disk, receiver))
        if held is None:
            super().send(sender, receiver, messages)
        else:
            held.append(Received(sender, messages, 0, disk))


class Transcript:
    """One scenario and the cluster it runs on."""

    def __init__(self, name: str, text: str, seed: int = 1) -> None:
        self._name = name
        self._lines = text.splitlines()
        self._seed = seed
        self._cluster: _Holding | None = None
        self._background: dict[str, Operation] = {}
        self._marked: dict[str, int] = {}
        self._commands: list[tuple[re.Pattern[str], Callable[..., None]]] = [
            (re.compile(pattern), action)
            for pattern, action in (
                (r"cluster (.*)", self._do_cluster),
                (
                    r"node (\d): (\w+) (\d+) (\S+)((?: timeout \d+ms| uuid \w+| alone| taking \d+ms)*)(?: as (\w+)| -> (\S+))",
                    self._do_request,
                ),
                (r"cut (\d) (->|<->) (\d)", self._do_cut),
                (r"(link|unlink) (\d) <-> (\d)", self._do_link),
                (r"(hold|release) (\d) -> (\d)", self._do_hold),
                (r"lose disk of (\d)", self._do_lose_disk),
                (r"learn only (\d) (on|off)", self._do_learn_only),
                (r"until member (\d)", self._do_until_member),
                (r"expect waiting (\d)", self._do_expect_waiting),
                (r"isolate (\d)", self._do_isolate),
                (r"heal", self._do_heal),
                (r"kill (\d) keep (\d+)", self._do_kill),
                (r"start (\d)", self._do_start),
                (r"disk (\d) (full|fails|has room|hangs|answers)", self._do_disk),
                (r"fail next write of (\d)", self._do_fail_write),
                (r"log of ([\d,]+) keeps (\d+)", self._do_keep_log),
                (r"(until|expect) recovering (\d+) on (\d)", self._do_recovering),
                (r"wait (\d+)ms", self._do_wait),
                (r"mark", self._do_mark),
                (r"until node (\d) (\w+) (\d+)/(\d+)", self._do_until_row),
                (r"until committed (\d+) = (\d+) on ([\d,]+)", self._do_until_committed),
                (r"until counters (.+)", self._do_until_counters),
                (r"expect counters (.+)", self._do_expect_counters),
                (r"expect committed (\d+) = (\d+) on ([\d,]+)", self._do_expect_committed),
                (r"expect preferred (\d+) = (\d+) on ([\d,]+)", self._do_expect_preferred),
                (r"expect stored (\d+) (\S+) = (\S+) on ([\d,]+)", self._do_expect_stored),
                (r"expect equal hashes", self._do_expect_hashes),
                (r"expect (\w+) (?:-> (\S+)(?: within (\d+)ms)?|pending)", self._do_expect_outcome),
            )
        ]

    def run(self) -> int:
        """Run it to its end; how many expectations held. Raises AssertionError that names the line."""
        held = 0
        for number, line in enumerate(self._lines, 1):
            command = line.partition("#")[0].strip()
            if not command:
                continue
            tried = ((pattern.fullmatch(command), action) for pattern, action in self._commands)
            match, action = next(((match, action) for match, action in tried if match is not None), (None, None))
            if match is None or action is None:
                raise AssertionError(f"{self._name}:{number}: not understood: {command}")
            try:
                action(*match.groups())
            except AssertionError as error:
                raise AssertionError(f"{self._name}:{number}: {command}\n    {error}") from error
            held += "->" in command or command.startswith("expect")
        return held

    # -- what is there

    @property
    def cluster(self) -> _Holding:
        assert self._cluster is not None, "a scenario begins with `cluster`"
        return self._cluster

    def _node(self, number: str) -> SimNode:
        return self.cluster.nodes[int(number)]

    def _nodes(self, numbers: str) -> list[SimNode]:
        return [self._node(number) for number in numbers.split(",")]

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        cluster = self.cluster
        last = cluster.now_ms + PATIENCE_MS
        while not condition():
            assert cluster.now_ms < last, f"{what} has not happened"
            cluster.run_until(cluster.now_ms + STEP_MS)

    # -- commands

    def _do_cluster(self, words: str) -> None:
        given = dict(word.split("=") for word in words.split())
        nodes = int(given.pop("nodes"))
        kinds = {field.name: field.type for field in fields(TuningSettings)}
        parse: dict[object, Callable[[str], object]] = {"bool": lambda text: text == "on", "int": int, "float": float}
        tuning = {name: parse[kinds[name]](text) for name, text in given.items()}
        self._cluster = _Holding(self._seed, nodes, TuningSettings(**tuning), HANDLERS)  # type: ignore[arg-type]  # parsed by the field's type
        self._cluster.start_all()
        self._cluster.found()
        self._do_mark()

    def _do_request(self, node: str, verb: str, entity: str, words: str, options: str, name: str | None, outcome: str) -> None:
        cluster = self.cluster
        timeout = re.search(r"timeout (\d+)ms", options)
        taking = re.search(r"taking (\d+)ms", options)
        given_uuid = re.search(r"uuid (\w+)", options)
        operation = {"write": "put", "read": "get"}.get(verb, verb) + " " + words.replace("=", " ")
        kind = AloneOperation if " alone" in options else Operation
        request = kind(
            int(entity),
            operation.encode(),
            read_only=verb == "read",
            uuid=uuid(given_uuid[1]) if given_uuid else b"",
            deadline_ms=cluster.now_ms + float(timeout[1]) if timeout else 0.0,
            clock=lambda: cluster.now_ms,
        )
        if taking is not None:
            request.on_evaluate = lambda: self._node(node).take(float(taking[1]))
        self._node(node).step(request)
        if name is not None:
            self._background[name] = request
        else:
            self._ends(request, outcome)

    def _ends(self, request: Operation, outcome: str) -> None:
        self._until(lambda: request.ended, "the request's end")
        assert request.outcome == outcome, f"it ended in {request.outcome} {request.error or ''}"

    def _do_cut(self, one: str, arrow: str, other: str) -> None:
        self.cluster.weather.cuts.add((int(one), int(other)))
        if arrow == "<->":
            self.cluster.weather.cuts.add((int(other), int(one)))

    def _do_isolate(self, one: str) -> None:
        for node in self.cluster.nodes:
            if node.number != int(one):
                self._do_cut(one, "<->", str(node.number))

    def _do_heal(self) -> None:
        self.cluster.weather.cuts.clear()

    def _do_link(self, what: str, one: str, other: str) -> None:
        act = self.cluster.connect if what == "link" else self.cluster.lose_connection
        act(int(one), int(other))

    def _do_hold(self, what: str, one: str, other: str) -> None:
        act = self.cluster.hold if what == "hold" else self.cluster.release
        act(int(one), int(other))

    def _do_lose_disk(self, node: str) -> None:
        self.cluster.change_disk(int(node), self.cluster.new_disk())

    def _do_learn_only(self, node: str, wanted: str) -> None:
        self._node(node).learn_only(wanted == "on")

    def _do_until_member(self, node: str) -> None:
        self._until(lambda: self._node(node).shard.progress.done, "its re-entry")

    def _do_expect_waiting(self, node: str) -> None:
        assert self._node(node).shard.waits_for, "it waits for nobody"

    def _do_kill(self, node: str, keep: str) -> None:
        self.cluster.kill(int(node), int(keep))

    def _do_start(self, node: str) -> None:
        self.cluster.start(int(node))

    def _do_disk(self, node: str, state: str) -> None:
        if state in ("hangs", "answers"):
            self._node(node).hangs = state == "hangs"
            return
        self._node(node).store.full = state == "fails"
        if state != "fails":
            self.cluster.allow_writes(int(node), "the disk is full" if state == "full" else "")

    def _do_fail_write(self, node: str) -> None:
        self._node(node).store.fail_next_write = DiskFull("no room for this write")

    def _do_keep_log(self, nodes: str, entries: str) -> None:
        for node in self._nodes(nodes):
            node.store.keep_entries = int(entries)
            node.store.expire()

    def _do_recovering(self, when: str, entity: str, node: str) -> None:
        def is_recovering() -> bool:
            return int(entity) in self._node(node).store._durable.copies

        if when == "until":
            self._until(is_recovering, "the mark")
        assert is_recovering(), "it is not"

    def _do_wait(self, time_ms: str) -> None:
        self.cluster.run_until(self.cluster.now_ms + float(time_ms))

    def _do_mark(self) -> None:
        self._marked = self.cluster.counters()

    def _do_until_row(self, node: str, state: str, entity: str, entry: str) -> None:
        def reached() -> bool:
            found = self._node(node).shard.entity(int(entity))
            opened = None if found is None else found.log.opened.get(int(entry))
            return opened is not None and opened.machine.state.value == state

        self._until(reached, "this state")

    def _do_until_committed(self, entity: str, entry: str, nodes: str) -> None:
        self._until(
            lambda: all(node.store.committed_entry(int(entity)) == int(entry) for node in self._nodes(nodes)), "this entry"
        )

    # -- expectations

    def _do_expect_outcome(self, name: str, outcome: str | None, within_ms: str | None) -> None:
        request = self._background[name]
        if within_ms is not None:
            self.cluster.run_until(self.cluster.now_ms + float(within_ms))
            assert request.ended, "it has not ended"
        if outcome is None:
            assert not request.ended, f"it ended in {request.outcome}"
        else:
            self._ends(request, outcome)

    def _do_expect_counters(self, words: str) -> None:
        wrong = self._wrong_counters(words)
        assert not wrong, wrong

    def _do_until_counters(self, words: str) -> None:
        self._until(lambda: not self._wrong_counters(words), words)

    def _wrong_counters(self, words: str) -> str:
        now = self.cluster.counters()
        for name, relation, number in re.findall(r"(\w+)(=|>=)(\d+)", words):
            counted = now[name] - self._marked.get(name, 0)
            if counted != int(number) if relation == "=" else counted < int(number):
                return f"{name} is {counted}"
        return ""

    def _do_expect_committed(self, entity: str, entry: str, nodes: str) -> None:
        found = {node.number: node.store.committed_entry(int(entity)) for node in self._nodes(nodes)}
        assert set(found.values()) == {int(entry)}, f"committed: {found}"

    def _do_expect_preferred(self, entity: str, preferred: str, nodes: str) -> None:
        for node in self._nodes(nodes):
            found = node.shard.entity(int(entity))
            assert found is not None, f"node {node.number} does not have entity {entity} in memory"
            assert found.log.last_origin == int(preferred), f"node {node.number} prefers {found.log.last_origin}"

    def _do_expect_stored(self, entity: str, key: str, value: str, nodes: str) -> None:
        for node in self._nodes(nodes):
            stored = node.store.get(int(entity), DATA + key.encode())
            assert (stored or b"nil").decode() == value, f"node {node.number} has {stored!r}"

    def _do_expect_hashes(self) -> None:
        hashes = {node.number: node.store.content_hash() for node in self.cluster.nodes}
        assert len(set(hashes.values())) == 1, f"they differ: {hashes}"
