"""Blocking commands in the simulated cluster: the product's own feed and waiting room in each life of a node, its own commands on
the real core, under all its faults, held against the models of sim/collections.py.

    python -m tests.services.redis.simulated_waiting 1000 [FIRST]

Clients wait at any node, for long or for a moment, and some go away; others push, pop and look, at any node. A node that dies
loses those who wait at it. What must be true: an element is gone only if somebody was told of it who was there, or if the
outcome of a try is unknown; it is told to one; who came first at a node tries first; and at peace nobody waits beside
something that is there for him.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import NamedTuple, Protocol

from chaos import kinds
from paxosstore.core.batch.overlay import View
from paxosstore.core.batch.request import Request
from paxosstore.core.interface.ready import Apply, Change
from paxosstore.errors import PaxosStoreError
from paxosstore.runtime.feed import Feed
from paxosstore.services.redis.commands.handler import HANDLER, handle
from paxosstore.services.redis.commands.table import TABLE
from paxosstore.services.redis.commands.waits import THERE, found_nothing
from paxosstore.services.redis.connection.requests import Command, Leaving
from paxosstore.services.redis.layout.keys import key_in
from paxosstore.services.redis.room import Room
from paxosstore.services.redis.waiting.command import WaitingCommand, until
from paxosstore.services.redis.waiting.giveback import TAKING, GiveBack, parse, undo
from paxosstore.services.redis.waiting.in_doubt import InDoubt, Note
from paxosstore.services.redis.waiting.room import Place, WaitingRoom
from paxosstore.services.redis.waiting.takings import NodeTakings
from paxosstore.sim.collections import COLLECTIONS
from paxosstore.sim.history import Operation, Value
from paxosstore.sim.invariants import Violation
from paxosstore.sim.node import SimNode, SimTimer
from paxosstore.sim.plan import draw_plan
from paxosstore.sim.simulation import CONVERGE_MS, Report, Simulation
from paxosstore.sim.workload import Call, Workload

from .seeds import run_seeds
from .simulated_collections import run_command

BLOCKING = {kinds.DEQUE: ("blpop", "brpop"), kinds.ZSET: ("bzpopmin",)}
OF_SEVERAL = {"blpop": (b"BLMPOP", b"LEFT"), "brpop": (b"BLMPOP", b"RIGHT"), "bzpopmin": (b"BZMPOP", b"MIN")}
"""The same, of one, by the commands that pop several and whose words have another order."""
KEYS = {entity: [f"{kind}:{entity}{other}" for kind in BLOCKING for other in ("", "b")] for entity in (1, 2)}
GIVEN_BACK_BY = {"blpop": "lpush", "brpop": "rpush", "bzpopmin": "zadd"}
WAIT_SEED = 0x3A17
PROBE_EVERY_MS = 250.0
TIMEOUTS_S = (0.0, 0.0, 0.02, 0.2, 1.0)
"""0: for ever."""


class Desk(NamedTuple):
    """What one life of a node has of the service."""

    life: int
    feed: Feed
    room: WaitingRoom
    takings: SimTakings


class Said(NamedTuple):
    """What a reply says of one key: what was done there, in the words of its model."""

    key: str
    kind: str
    arguments: tuple[Value, ...] = ()
    reply: Value = None
    at_first: bool = False
    """It was so when it was first told that there is nothing; else when its last try was run."""


class Wish(Protocol):
    """What a client wants to wait for."""

    @property
    def entity(self) -> int: ...

    @property
    def timeout_s(self) -> float: ...

    def words(self) -> list[bytes]: ...

    def said(self, found: object) -> list[Said]:
        """By a reply, None if it is that there was nothing."""
        ...

    def asked(self) -> list[Said]:
        """What may have been done, where there is no reply."""
        ...


class Pop(NamedTuple):
    """A wish for one element."""

    command: str
    keys: tuple[str, ...]
    entity: int
    timeout_s: float
    of_several: bool
    """It is asked for by OF_SEVERAL."""

    def words(self) -> list[bytes]:
        keys, timeout = [key.encode() for key in self.keys], b"%g" % self.timeout_s
        if self.command == "blmove":
            return [b"BLMOVE", *keys, *keys, b"LEFT", b"RIGHT", timeout]
        if self.of_several:
            name, where = OF_SEVERAL[self.command]
            return [name, timeout, b"%d" % len(keys), *keys, where]
        return [self.command.upper().encode(), *keys, timeout]

    def said(self, found: object) -> list[Said]:
        if found is None:
            return []
        if self.command == "blmove":
            assert isinstance(found, bytes), found
            return [Said(self.keys[0], "lmove", (), found.decode())]  # nobody gives back what was moved
        assert isinstance(found, list), found
        if self.of_several:
            key, (item,) = found
            found = [key, *(item if isinstance(item, list) else [item])]
        return [Said(found[0].decode(), self.command, (), kinds.value(self.command, found))]

    def asked(self) -> list[Said]:
        return [Said(key, "lmove" if self.command == "blmove" else self.command) for key in self.keys]


class Waiter(WaitingCommand):
    """The product's command; it says when it tries, and how it ends."""

    __slots__ = ("customer", "settling")

    customer: Customer

    def evaluate(self, view: View) -> bytes:
        saw = self.customer.node.saw
        if self.read_only:
            saw[self] = view.entry
        else:
            saw.pop(self, None)
        return super().evaluate(view)

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self.settling = True
        if error is None and found_nothing(reply) is not None:
            self.customer.looked()
        super().settle(reply, error)
        self.settling = False

    def retry(self) -> None:
        if not self.settling:
            self.customer.check_turn()
        super().retry()

    def finish(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self.customer.told(reply, error)
        super().finish(reply, error)

    @property
    def where(self) -> Place:
        return self._place

    @property
    def waits_with(self) -> list[bytes]:
        """Its words as they are by now."""
        return self._args


class Customer:
    """A client of its own connection, which has sent one command; the `Owner` of it."""

    def __init__(self, run: Waiting, node: SimNode, wish: Wish) -> None:
        self.room = Room(1 << 30)
        self.crowded = self.gone = self.over = False
        self.node = node
        self.name = f"waiter {len(run.customers)}"
        self.began_ms = 0.0
        """When its last try began."""
        self._came_ms = run.cluster.now_ms
        self.looked_ms: float | None = None
        """When it was first told that there is nothing."""
        self._run = run
        self.wish = wish
        self._hasty = run.chance.random() < 0.3
        self._room = run.desk(node).room
        words = wish.words()
        self.command = Waiter(
            self,
            TABLE[words[0]],
            words,
            2,
            wish.entity,
            room=self._room,
            until_s=until(wish.timeout_s, node.monotonic_ms() / 1_000.0),
            submit=self._submit,
            drop=self.leave,
            takings=Hands(self, run.desk(node).takings),
        )
        self.command.customer = self
        self.command.settling = False

    @property
    def lost(self) -> bool:
        return self.gone

    def leave(self) -> None:
        """It hangs up, or is sent away."""
        if not self.gone and not self.over:
            self.gone = True
            self.command.abandon()

    def node_died(self) -> None:
        if not self.over:
            self.over = True
            if self.command.where.trying:
                self._unknown()

    def check_turn(self) -> None:
        """It tries because something has come: whoever came before it does too, or just has."""
        place, now_ms = self.command.where, self._run.cluster.now_ms
        for other in self._room.places:
            before = other.number < place.number and other.kind == place.kind and other.entity == place.entity
            if before and place.woken & set(other.keys) and not other.trying:
                assert isinstance(other.waiter, Waiter)
                if other.waiter.customer.began_ms < now_ms:
                    raise Violation(f"{place.number} tries, {other.number} came before it to node {self.node.number} and waits")

    def told(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self.over = True
        if error is not None:
            if error.outcome_known:
                self._run.seen["refused" if not self.gone else "nothing taken: gone"] += 1
            else:
                self._unknown()
        elif not self.gone:
            found = parse(reply)
            self._run.seen["timed out" if found is None else "served"] += 1
            self.took(found)
        elif self.command.spec.name not in TAKING and reply != THERE:  # else nobody has seen it: what was taken goes back
            self.took(parse(reply))

    def took(self, found: object) -> None:
        """That was done for it."""
        now_ms = self._run.cluster.now_ms
        if found is not None:
            self._run.seen[self.command.spec.name] += 1
        for said in self.wish.said(found):
            if not said.at_first:
                self._run.history.append(self._operation(said).done(now_ms, said.reply))
            elif self.looked_ms is not None:
                looked = Operation(self.name, said.key, said.kind, said.arguments, self._came_ms)
                self._run.history.append(looked.done(self.looked_ms, said.reply))

    def looked(self) -> None:
        if self.looked_ms is None:
            self.looked_ms = self._run.cluster.now_ms

    def _unknown(self) -> None:
        self._run.seen["unknown"] += 1
        self._run.history += map(self._operation, self.wish.asked())

    def _operation(self, said: Said) -> Operation:
        return Operation(self.name, said.key, said.kind, said.arguments, self.began_ms)

    def _submit(self, command: Request) -> None:
        self.began_ms = self._run.cluster.now_ms
        if self._hasty and not command.read_only:  # it goes while its try is on its way
            self._run.cluster.after(self._run.chance.uniform(0.0, 3.0), self.leave)
        self.node.step(command)

    # -- the rest of an owner

    def settled(self, command: Command) -> None: ...

    def deferred(self, command: Command) -> None:
        raise AssertionError("its reply is small")

    def is_next(self, command: Command) -> bool:
        return True

    def built(self, size: int) -> None: ...

    def answered(self, reply: bytes) -> None: ...

    def check_unread(self) -> None: ...

    def leaves_with(self, command: Command, leaving: Leaving) -> None:
        if self.gone:
            leaving.is_lost()
        else:
            leaving.leaves()


class Hands:
    """The takings of the node, for one customer."""

    def __init__(self, customer: Customer, takings: SimTakings) -> None:
        self._customer = customer
        self._takings = takings
        self.settle, self.find_out = takings.settle, takings.find_out

    def begin(self, entity: int, proto: int, words: list[bytes], floor: int, uuid: bytes) -> bytes:
        uuid = self._takings.begin(entity, proto, words, floor, uuid)
        self._takings.wishes[uuid] = self._customer.wish
        return uuid

    def give_back(self, entity: int, words: list[bytes], reply: bytes, uuid: bytes) -> None:
        """That it was taken is one operation, that it goes back one more."""
        self._customer.took(parse(reply))
        self._takings.give_back(entity, words, reply, uuid)


class Memory(InDoubt):
    """What a node notes, its next life remembers."""

    def __init__(self, kept: dict[bytes, Note]) -> None:
        super().__init__(None)
        self.notes = kept

    def note(self, note: Note) -> bool:
        self.notes[note.uuid] = note
        return True

    def cross_out(self, uuid: bytes) -> None:
        self.notes.pop(uuid, None)


class SimTakings(NodeTakings):
    """The product's, of one life of a node; what goes back is in the history."""

    tries = 4

    def __init__(self, run: Waiting, node: SimNode) -> None:
        super().__init__(node.step, partial(_call_later, node))
        self._in_doubt = Memory(run.notes.setdefault(node.number, {}))
        self._run, self._node = run, node
        self.wishes = run.wishes
        self._reply = b""
        self._of = b""

    def draw(self) -> bytes:
        return self._run.chance.randbytes(16)

    def give_back(self, entity: int, words: list[bytes], reply: bytes, uuid: bytes) -> None:
        self._reply, self._of = reply, uuid
        assert undo(words, reply) is not None, words
        super().give_back(entity, words, reply, uuid)

    def _return(self, entity: int, words: list[bytes], uuid: bytes, done: Callable[[bool], None]) -> None:
        run, node = self._run, self._node

        def ended(given: bool) -> None:
            _, operation = run.returning.pop(request)
            answer, error = request.ended
            run.seen["given back" if given else "not known to be given back"] += 1
            assert error is not None or not answer.startswith(b"-"), answer
            if given:
                run.history.append(operation.done(run.cluster.now_ms, int(answer[1:])))
            else:
                run.unreturned[uuid] = operation
            done(given)

        request = Returned(entity, words, uuid, node.step, partial(_call_later, node), ended)
        (said,) = self.wishes[self._of].said(parse(self._reply))
        arguments = said.reply if isinstance(said.reply, tuple) else (said.reply,)
        now_ms = run.cluster.now_ms
        operation = run.unreturned.pop(uuid, None) or Operation("nobody", said.key, GIVEN_BACK_BY[said.kind], arguments, now_ms)
        run.returning[request] = node, operation
        node.step(request)

    def _found_out(self, note: Note, reply: bytes | None) -> None:
        self._run.seen["not found out" if reply is None else "found out"] += 1
        super()._found_out(note, reply)


class Returned(GiveBack):
    """The product's request; it says how it ends."""

    __slots__ = ("ended",)

    ended: tuple[bytes, PaxosStoreError | None]

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self.ended = reply, error
        super().settle(reply, error)


class LoudFeed(Feed):
    """What a follower raises is a finding."""

    @staticmethod
    def _tell(tell: Callable[..., None], *what: object) -> None:
        tell(*what)


class Waiting(Simulation, ABC):
    """A simulation with clients that wait. What for, a subclass says."""

    def __init__(self, seed: int, workload: Workload) -> None:
        super().__init__(replace(draw_plan(seed, workload), doomed=False), workload)
        self.seen: Counter[str] = Counter()
        self.customers: list[Customer] = []
        self._desks: dict[int, Desk] = {}
        self.notes: dict[int, dict[bytes, Note]] = {}
        """What each node has noted, whatever becomes of it."""
        self.wishes: dict[bytes, Wish] = {}
        self.returning: dict[Returned, tuple[SimNode, Operation]] = {}
        self.unreturned: dict[bytes, Operation] = {}
        """Uuid -> what goes back some other time, or has."""
        self.chance = random.Random(seed ^ WAIT_SEED)
        """Who waits, and for how long."""

    @abstractmethod
    def choose(self, up: list[SimNode]) -> tuple[SimNode, Wish]:
        """At which node the next one waits, and for what."""

    @abstractmethod
    def read_all(self) -> Iterator[Call]:
        """What shows all that is left."""

    @abstractmethod
    def is_there(self, customer: Customer) -> bool:
        """Whether there is something for it at its node."""

    def run(self) -> Report:
        cluster, rng = self.cluster, self.chance
        cluster.on_applied = self._applied
        cluster.on_kill.append(self._died)
        for _ in range(rng.choice((3, 10, 30))):
            cluster.after(rng.uniform(0.0, self.plan.length_ms), self._come)
        cluster.after(PROBE_EVERY_MS, self._probe)
        return super().run()

    # -- what a node has of the service

    def desk(self, node: SimNode) -> Desk:
        found = self._desks.get(node.number)
        if found is None or found.life != node.life:
            feed = LoudFeed(node.number)
            room = WaitingRoom(feed, lambda: node.monotonic_ms() / 1_000.0, partial(_call_later, node))
            found = self._desks[node.number] = Desk(node.life, feed, room, SimTakings(self, node))
            found.takings.go_on()
        return found

    def _applied(self, node: SimNode, applies: Sequence[Apply], changes: Sequence[Change]) -> None:
        self.desk(node).feed.take(applies, changes)

    def _died(self, node: SimNode) -> None:
        for customer in self.customers:
            if customer.node is node:
                customer.node_died()
        for request, (where, operation) in list(self.returning.items()):
            if where is node:
                del self.returning[request]
                self.unreturned[request.uuid] = operation

    def _probe(self) -> None:
        for node in self.cluster.nodes:
            if node.up and not node.suspended:
                self.desk(node).room.probe()
        self.cluster.after(PROBE_EVERY_MS, self._probe)

    # -- who waits

    def _come(self) -> None:
        rng = self.chance
        up = [node for node in self.cluster.nodes if node.up]
        if not up or self.peace:
            return
        node, wish = self.choose(up)
        customer = Customer(self, node, wish)
        self.customers.append(customer)
        self.cluster.note("waiter", len(self.customers) - 1, "waits for", *wish.words(), "at", customer.node.number)
        customer.command.begin()
        if rng.random() < 0.3:
            self.cluster.after(rng.choice((rng.uniform(0.0, 5.0), rng.uniform(0.0, 200.0))), customer.leave)

    # -- in the end

    def _converge(self) -> None:
        super()._converge()
        cluster = self.cluster
        if not self._comes_true(lambda: not self._goes_back() and not self._in_vain(), cluster.now_ms + CONVERGE_MS):
            raise Violation(f"what is there is not taken, or given back: {self._in_vain()} {self.returning}")
        self.history += self.unreturned.values()
        for call in self.read_all():
            self._awaited.add((0, call))
            self._ask_for(cluster.nodes[0], call)
        if not self._comes_true(lambda: not self._awaited, cluster.now_ms + CONVERGE_MS):
            raise Violation(f"what is left is not told: {self._awaited}")

    def _goes_back(self) -> bool:
        return bool(self.returning) or any(self.desk(node).takings.asking for node in self.cluster.nodes)

    def _in_vain(self) -> list[str]:
        """Who tries, or waits beside something."""
        found = []
        for customer in self.customers:
            place = customer.command.where
            if not customer.over and (self.is_there(customer) or (place.trying and not place.probing)):
                found.append(f"{place.number} at {customer.node.number}: {customer.command.waits_with}")
        return found


class Popping(Waiting):
    """Clients wait for elements of lists and members of sorted sets."""

    def __init__(self, seed: int) -> None:
        tokens = map(str, count(100))

        def draw(rng: random.Random) -> Call:
            entity = rng.choice((1, 1, 2))
            key = rng.choice(KEYS[entity])
            token = f"t{next(tokens)}"
            kind, arguments = kinds.draw(rng, key, token)
            if kinds.kind_of(key) == kinds.DEQUE and rng.random() < 0.3:  # or there is seldom anything to wait for
                kind, arguments = "rpush", (token,)
            return Call(entity, "collections", key, kind, arguments, read_only=kind in kinds.READS)

        super().__init__(seed, Workload({"collections": run_command, HANDLER: handle}, draw, COLLECTIONS))
        self._crowd = seed % 4 == 2
        """In a quarter of the seeds they wait at one node for one list, as far as that is possible."""

    def choose(self, up: list[SimNode]) -> tuple[SimNode, Wish]:
        rng = self.chance
        entity = rng.choice((1, 1, 2))
        kind = rng.choice((kinds.DEQUE, kinds.DEQUE, kinds.ZSET))
        names = [key for key in KEYS[entity] if kinds.kind_of(key) == kind]
        keys = tuple(rng.sample(names, rng.choice((1, 1, 2))))
        node = rng.choice(up)
        if self._crowd:
            kind, entity, keys, node = kinds.DEQUE, 1, (KEYS[1][0],), up[0]
        command = rng.choice(BLOCKING[kind])
        if kind == kinds.DEQUE and len(self.customers) % 5 == 4:
            command, keys = "blmove", keys[:1]
        return node, Pop(command, keys, entity, rng.choice(TIMEOUTS_S), command in OF_SEVERAL and len(self.customers) % 3 == 2)

    def read_all(self) -> Iterator[Call]:
        for entity, keys in KEYS.items():
            for key in keys:
                yield Call(entity, "collections", key, kinds.read_all(key), (), read_only=True)

    def is_there(self, customer: Customer) -> bool:
        place, store = customer.command.where, customer.node.store
        rows = [(key, store.get(place.entity, key)) for key in place.keys]
        return any(row is not None and key_in(key[1:], row) for key, row in rows)


def _call_later(node: SimNode, pause_s: float, call: Callable[[], None]) -> SimTimer:
    return node.call_later(pause_s * 1_000.0, call)


def run(seed: int) -> tuple[Report, Waiting]:
    """Run a seed. Raises Violation if a promise was broken."""
    simulation = Popping(seed)
    return simulation.run(), simulation


if __name__ == "__main__":
    run_seeds(run, lambda simulation: simulation.seen)
