"""PAXOS.ONCE in the simulated cluster: the product's own server and connections in each life of a node, on the real core, under
all its faults, held against a model.

    python -m tests.services.redis.simulated_once 1000 [FIRST]

Clients count, append, and do both in a transaction or a script, each time under a uuid. What has no answer they repeat at
another node, as `paxosstore.redis` does; now and then they repeat what they know as well. Others read. What must be true: it
takes effect once, all its replies are the first one, and what is too old to be known is not done.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, NamedTuple, cast

from paxosstore.core.batch.overlay import View
from paxosstore.redis.once import AGAIN, multi_of
from paxosstore.services.redis.commands.handler import HANDLER, encode, handle, handler_of
from paxosstore.services.redis.commands.once import Window
from paxosstore.services.redis.connection.connection import Connection
from paxosstore.services.redis.layout.keyspace import REDIS_BASE
from paxosstore.services.redis.server import RedisServer
from paxosstore.services.redis.settings import RedisSettings
from paxosstore.services.redis.waiting.giveback import parse
from paxosstore.sim.history import Operation, Value
from paxosstore.sim.invariants import Violation
from paxosstore.sim.models import Model
from paxosstore.sim.node import SimNode, SimTimer
from paxosstore.sim.plan import draw_plan
from paxosstore.sim.simulation import Report, Simulation
from paxosstore.sim.workload import Call, Workload

from .seeds import run_seeds
from .support import pack

COUNT, ITEMS = b"count", b"items"
SCRIPT = b"return {redis.call('incr', KEYS[1]), redis.call('rpush', KEYS[2], ARGV[1])}"
NOT_DONE: Value = "not done"
"""What it watched had changed, or is not known any more."""
ONCE_SEED = 0x0CE
SKEW_MS = 40
"""The product's 10 s, as far as a simulated second is shorter than a real minute."""
WAY_MS = (0.1, 3.0)
"""Between a client and a node."""
MOST_TRIES = 10
State = tuple[int, tuple[Value, ...]]


class Ledger(Model[State]):
    """`add()` -> the count; `push(item)` -> how many there are; `both(item)` -> both, or NOT_DONE; `read()` -> count, items."""

    initial: State = (0, ())

    def apply(self, state: State, operation: Operation) -> tuple[State, object]:
        number, items = state
        if operation.kind == "read":
            return state, state
        if operation.reply == NOT_DONE:
            return state, NOT_DONE
        number += operation.kind in ("add", "both")
        items += operation.arguments
        told: dict[str, object] = {"add": number, "push": len(items), "both": (number, len(items))}
        return (number, items), told[operation.kind]

    def is_read(self, operation: Operation) -> bool:
        return operation.kind == "read" or (operation.reply == NOT_DONE and operation.returned is not None)

    def effect(self, operation: Operation) -> Hashable:
        return None if operation.kind == "read" else (operation.kind, operation.arguments)

    def hopeless(self, state: State, operation: Operation) -> bool:
        number, items, reply = *state, operation.reply
        if operation.kind == "read":
            return not isinstance(reply, tuple) or number > cast(int, reply[0]) or cast(Any, reply[1])[: len(items)] != items
        return (operation.kind == "add" and cast(int, reply) <= number) or (
            operation.kind == "push" and cast(int, reply) <= len(items)
        )


def read(view: View, payload: bytes) -> bytes:
    """What every node does with a call of one who reads."""
    number: Any = parse(handle(view, encode(2, [b"GET", COUNT])))
    items: Any = parse(handle(view, encode(2, [b"LRANGE", ITEMS, b"0", b"-1"])))
    return json.dumps([int(number or 0), [item.decode() for item in items]]).encode()


class Wish(NamedTuple):
    """What a client wants to be done once."""

    kind: str
    way: str
    """"plain", "transaction", "watching" or "script"."""
    item: str
    db: int

    @property
    def arguments(self) -> tuple[Value, ...]:
        return () if self.kind == "add" else (self.item,)

    def commands(self) -> list[list[bytes]]:
        add, push = [b"INCR", COUNT], [b"RPUSH", ITEMS, self.item.encode()]
        if self.way == "script":
            return [[b"EVAL", SCRIPT, b"2", COUNT, ITEMS, self.item.encode()]]
        return {"add": [add], "push": [push], "both": [add, push]}[self.kind]

    def value(self, replies: list[Any]) -> Value:
        """What its last reply says, in the model's words. Raises Violation for what it should not say."""
        found = replies[-1]
        if found is None and self.way in ("transaction", "watching"):
            return NOT_DONE
        numbers = tuple(found) if isinstance(found, list) else (found,)
        if not all(isinstance(number, int) for number in numbers) or len(numbers) != 1 + (self.kind == "both"):
            raise Violation(f"{self} is told {replies}")
        return numbers if self.kind == "both" else numbers[0]


class Wire:
    """A connection's transport: what it writes is on its way to the client, unless the node dies."""

    def __init__(self, run: Repeating, receive: Callable[[bytes], None]) -> None:
        self._run = run
        self._receive = receive
        self._last_ms = 0.0
        """When what was written last arrives: what is written now does so behind it."""
        self.closed = False

    def write(self, data: bytes) -> None:
        cluster = self._run.cluster
        self._last_ms = max(self._last_ms + 0.001, cluster.now_ms + self._run.chance.uniform(*WAY_MS))
        cluster.after(self._last_ms - cluster.now_ms, partial(self._receive, bytes(data)))

    def abort(self) -> None:
        self.closed = True

    close = abort

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    resume_reading = pause_reading


class Loop:
    """A node's loop, for its server."""

    def __init__(self, node: SimNode) -> None:
        self._node = node
        self.call_soon = node.call_soon

    def call_later(self, seconds: float, call: Callable[[], None]) -> SimTimer:
        return self._node.call_later(seconds * 1_000.0, call)

    def time(self) -> float:
        return self._node.monotonic_ms() / 1_000.0


class Customer:
    """A client that wants one thing, and says so until it is told how it ended."""

    def __init__(self, run: Repeating, wish: Wish, node: SimNode) -> None:
        self._run = run
        self._wish = wish
        self._name = f"customer {wish.item}"
        made_ms = max(0, node.wall_ms() + run.chance.choice((0, 0, -SKEW_MS, SKEW_MS // 2)))
        self._uuid = made_ms.to_bytes(6, "big") + b"\x70\x00\x80\x00" + int(wish.item[1:]).to_bytes(6, "big")
        self._tries = 0
        self._repeated = False
        """It has said EXEC before, and what it watched is not watched any more."""
        self._hasty = run.chance.random() < 0.5
        """It does not wait for the reply to its WATCH."""
        self._asks_first = False
        """What it has said is its WATCH alone."""
        self._uncertain = run.chance.choice((0, 0, 0, 1, 2, 5))
        """So many answers it does not believe, and repeats itself later."""
        self.node = node
        self._life = 0
        self._began_ms = 0.0
        self._received, self._expected = b"", 0
        self._waits = False
        self._connection: Connection | None = None

    def begin(self) -> None:
        """Say it at a node."""
        run, cluster = self._run, self._run.cluster
        up = [node for node in cluster.nodes if node.up]
        if not up or run.peace or self._tries >= MOST_TRIES:
            return
        self.node = self.node if not self._tries and self.node.up else run.chance.choice(up)
        self._tries += 1
        self._life, self._began_ms, self._waits = self.node.life, cluster.now_ms, True
        cluster.note(self._name, "says", self._wish.kind, "at", self.node.number)
        self._connection = run.desk(self.node).accept()
        self._connection.connection_made(cast(Any, Wire(run, partial(self._receive, self._tries))))
        select = [b"SELECT", b"%d" % self._wish.db]
        watches = self._wish.way == "watching" and not self._repeated
        self._asks_first = watches and not self._hasty
        if self._asks_first:
            self._say(select, [b"WATCH", COUNT])
        else:
            self._say(select, *([[b"WATCH", COUNT]] if watches else []), *self._words())
        cluster.after(run.plan.patience_ms, partial(self._leave, self._tries))

    def node_died(self, node: SimNode) -> None:
        if self._waits and self.node is node:
            self._unknown("the connection was lost")

    def _say(self, *commands: list[bytes]) -> None:
        connection = self._connection
        assert connection is not None
        self._received, self._expected = b"", len(commands)
        data = b"".join([pack(*words) for words in commands])
        self.node.call_later(self._run.chance.uniform(*WAY_MS), partial(connection.data_received, data))

    def _words(self) -> list[list[bytes]]:
        """What is under its uuid."""
        wish = self._wish
        if wish.way in ("plain", "script"):
            return [[b"PAXOS.ONCE", self._uuid, *wish.commands()[0]]]
        multi = multi_of(self._uuid, repeated=wish.way == "watching" and self._repeated)
        self._repeated = True
        return [[word if isinstance(word, bytes) else word.encode() for word in multi], *wish.commands(), [b"EXEC"]]

    def _receive(self, number: int, data: bytes) -> None:
        if number != self._tries or not self._waits:
            return
        self._received += data
        replies = replies_of(self._received)
        if len(replies) < self._expected:
            return
        errors = [reply for reply in replies if isinstance(reply, bytes) and reply.startswith(b"-")]
        if errors and (self._asks_first or replies[-1] in errors):
            self._failed(errors[-1].decode())
        elif errors and replies[-1] is not None:
            raise Violation(f"{self._wish}: EXEC is done behind a WATCH that failed: {replies}")
        elif self._asks_first:
            self._asks_first = False
            self._say(*self._words())
        else:
            self._done(self._wish.value(replies))

    def _done(self, value: Value) -> None:
        run = self._run
        run.seen["not done" if value == NOT_DONE else "told again" if self._tries > 1 else "told"] += 1
        self._end(self._operation.done(run.cluster.now_ms, value))
        if self._uncertain:
            self._uncertain -= 1
            run.cluster.after(run.chance.choice((1.0, 30.0, 300.0, 1_000.0)), self.begin)

    def _failed(self, text: str) -> None:
        run, word = self._run, text[1:].split(" ", 1)[0]
        if self._asks_first:  # its WATCH was refused, or is a write whose outcome is unknown: nothing else was said
            self._end(self._operation.refuse())
            run.cluster.after(5.0, self.begin)
        elif word in ("UNKNOWN", "UUIDEXPIRED"):
            run.seen[word] += 1
            self._unknown(text, again=word == "UNKNOWN")
        elif word in AGAIN:
            run.seen["nothing happened"] += 1
            self._end(self._operation.refuse())
            run.cluster.after(5.0, self.begin)
        elif "nothing happened, set the client's clock" in text:
            run.seen["from ahead"] += 1
            self._end(self._operation.refuse())
        else:
            raise Violation(f"{self._wish} is told {text}")

    def _leave(self, number: int) -> None:
        if number == self._tries and self._waits:
            self._unknown("it has waited long enough")

    def _unknown(self, why: str, *, again: bool = True) -> None:
        self._run.cluster.note(self._name, "does not know:", why)
        self._end(self._operation)
        if again:
            self._run.cluster.after(5.0, self.begin)

    def _end(self, operation: Operation) -> None:
        self._waits = False
        self._run.history.append(operation)
        connection, self._connection = self._connection, None
        if connection is not None and self.node.life == self._life and self.node.up:
            self.node.call_later(self._run.chance.uniform(*WAY_MS), partial(connection.connection_lost, None))

    @property
    def _operation(self) -> Operation:
        wish = self._wish
        key = f"ledger:{wish.db}"
        return Operation(self._name, key, wish.kind, wish.arguments, self._began_ms, uuid=self._uuid.hex())


def replies_of(received: bytes) -> list[Any]:
    """The whole replies among these bytes: numbers, lists of them, None; other lines as they are."""
    replies: list[Any] = []
    lines = received.split(b"\r\n")[:-1]
    while lines:
        line = lines.pop(0)
        if line[:1] == b"*" and line != b"*-1":
            size = int(line[1:])
            if len(lines) < size:
                break
            inner, lines = lines[:size], lines[size:]
            replies.append([int(one[1:]) if one[:1] == b":" else one for one in inner])
        else:
            replies.append(int(line[1:]) if line[:1] == b":" else None if line == b"*-1" else line)
    return replies


class Repeating(Simulation):
    """A simulation with clients that want things done once."""

    chance: random.Random
    """What clients want, and when."""

    def __init__(self, seed: int) -> None:
        def draw(rng: random.Random) -> Call:
            db = rng.choice((0, 0, 1))
            return Call(REDIS_BASE + db, "read", f"ledger:{db}", "read", (), read_only=True)

        def run_command(view: View, payload: bytes) -> bytes:
            return handler(view, payload)

        workload = Workload({"read": read, HANDLER: run_command}, draw, {"ledger": Ledger})
        plan = draw_plan(seed, workload)
        if not plan.rivals and seed % 2:  # else there are seldom more entries than outcomes are remembered for
            plan = replace(plan, uuid_window_entries=16)
        self._window = Window(plan.uuid_window_entries, SKEW_MS)
        handler = handler_of(self._window)
        super().__init__(plan, workload)
        self.chance = random.Random(seed ^ ONCE_SEED)
        self.seen: Counter[str] = Counter()
        self._customers: list[Customer] = []
        self._desks: dict[int, tuple[int, RedisServer]] = {}

    def run(self) -> Report:
        cluster, rng = self.cluster, self.chance
        cluster.on_kill.append(self._died)
        items = count()
        for _ in range(rng.choice((5, 20, 60))):
            cluster.after(rng.uniform(0.0, self.plan.length_ms), partial(self._come, f"t{next(items)}"))
        return super().run()

    def desk(self, node: SimNode) -> RedisServer:
        """The service of this life of a node."""
        life, server = self._desks.get(node.number, (0, None))
        if server is None or life != node.life:
            settings = RedisSettings(port=0, tcp_keepalive_s=0)
            server = RedisServer(node.step, settings, now_ms=node.wall_ms)
            server.once_window = self._window
            server._loop = cast(Any, Loop(node))
            self._desks[node.number] = node.life, server
        return server

    def _come(self, item: str) -> None:
        rng = self.chance
        up = [node for node in self.cluster.nodes if node.up]
        if not up or self.peace:
            return
        kind, way = rng.choice(
            (
                *(("add", "plain"), ("push", "plain"), ("add", "transaction"), ("both", "transaction")),
                *(("both", "transaction"), ("both", "watching"), ("both", "script")),
            )
        )
        customer = Customer(self, Wish(kind, way, item, rng.choice((0, 0, 1))), rng.choice(up))
        self._customers.append(customer)
        customer.begin()

    def _died(self, node: SimNode) -> None:
        for customer in self._customers:
            customer.node_died(node)


def run(seed: int) -> tuple[Report, Repeating]:
    """Run a seed. Raises Violation if a promise was broken."""
    simulation = Repeating(seed)
    return simulation.run(), simulation


if __name__ == "__main__":
    run_seeds(run, lambda simulation: simulation.seen)
