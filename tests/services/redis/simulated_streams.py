"""Streams and consumer groups in the simulated cluster, and who waits for entries by XREAD and XREADGROUP BLOCK: the product's
own commands, feed and waiting room, under all faults, held against stream_model.py.

    python -m tests.services.redis.simulated_streams 1000 [FIRST]

What must be true: an entry is delivered to one consumer of a group, and pending for it until it is acknowledged or claimed, also
where its reader goes away or its node dies; whoever reads behind an id misses nothing, `$` is the last one when it began; and at
peace nobody waits beside what is there for him.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, NamedTuple

from paxosstore.core.batch.overlay import Overlay, View
from paxosstore.errors import PaxosStoreError
from paxosstore.services.redis.commands.handler import HANDLER, encode, handle
from paxosstore.services.redis.commands.waits import NOTHING
from paxosstore.services.redis.types.streams.stream import Stream, id_text
from paxosstore.services.redis.waiting.giveback import parse
from paxosstore.sim.history import Value
from paxosstore.sim.node import SimNode
from paxosstore.sim.simulation import Report
from paxosstore.sim.workload import Call, Workload

from .seeds import run_seeds
from .simulated_waiting import TIMEOUTS_S, Customer, Said, Waiting, Wish
from .stream_model import NO_GROUP, NONE_PENDING, READS, StreamModel

STREAM, BRIEF = "stream", "brief-stream"
"""Of the second kind streams and groups are also deleted."""
KEYS = {1: (f"{STREAM}:1", f"{STREAM}:1b", f"{BRIEF}:1"), 2: (f"{STREAM}:2",)}
GROUP = "group"
CONSUMERS = ("a", "b", "c")
DRAWN = (
    *("xadd", "xadd", "xadd", "xadd", "xadd", "xreadgroup", "xreadgroup", "xtake", "xmine", "xmine", "xack", "xack", "xack"),
    *("xclaim", "xautoclaim", "xdel", "xpending", "xrange", "xread"),
)
RECENT = 5
"""Of what is asked for by its number it is one of the last that were added."""


def id_of(number: Any) -> str:
    return f"1-{number}" if number >= 0 else "0"


def number_of(text: bytes) -> int:
    ms, _, number = text.partition(b"-")
    return int(number) if int(ms) else NONE_PENDING


WORDS: dict[str, Callable[..., list[str]]] = {
    "xadd": lambda key, token: ["XADD", key, "1-*", "token", token],
    "xdel": lambda key, number: ["XDEL", key, id_of(number)],
    "xrange": lambda key: ["XRANGE", key, "-", "+"],
    "xread": lambda key, after: ["XREAD", "STREAMS", key, id_of(after)],
    "xgroup": lambda key: ["XGROUP", "CREATE", key, GROUP, "0", "MKSTREAM"],
    "xdestroy": lambda key: ["XGROUP", "DESTROY", key, GROUP],
    "delete": lambda key: ["DEL", key],
    "xreadgroup": lambda key, who, most: ["XREADGROUP", "GROUP", GROUP, who, "COUNT", str(most), "STREAMS", key, ">"],
    "xtake": lambda key, who, most: ["XREADGROUP", "GROUP", GROUP, who, "COUNT", str(most), "NOACK", "STREAMS", key, ">"],
    "xmine": lambda key, who: ["XREADGROUP", "GROUP", GROUP, who, "STREAMS", key, "0"],
    "xpending": lambda key: ["XPENDING", key, GROUP, "-", "+", "100"],
    "xack": lambda key, number: ["XACK", key, GROUP, id_of(number)],
    "xclaim": lambda key, who, number: ["XCLAIM", key, GROUP, who, "0", id_of(number)],
    "xautoclaim": lambda key, who, most: ["XAUTOCLAIM", key, GROUP, who, "0", "0", "COUNT", str(most)],
}
"""Where they are not the command and the key."""


def entries(found: Any) -> Value:
    """Numbers and tokens; a token that is gone is None."""
    return tuple((number_of(entry), fields and fields[1].decode()) for entry, fields in found)


def value(kind: str, reply: bytes) -> Value:
    """What a reply says, in the words of the model."""
    if reply.startswith((b"-NOGROUP", b"-ERR The XGROUP subcommand requires the key to exist")):
        return 0 if kind == "xdestroy" else NO_GROUP
    if kind == "xgroup":
        return "busy" if reply.startswith(b"-BUSYGROUP") else "made"
    if reply.startswith(b"-"):
        raise AssertionError(f"{kind}: {reply!r}")
    found: Any = parse(reply)
    if kind == "xadd":
        return number_of(found)
    if kind in ("xread", "xreadgroup", "xtake", "xmine"):
        return None if found is None else entries(found[0][1])
    if kind in ("xrange", "xclaim"):
        return entries(found)
    if kind == "xautoclaim":
        return number_of(found[0]), entries(found[1]), tuple(map(number_of, found[2]))
    if kind == "xpending":
        return tuple((number_of(entry), consumer.decode(), int(times)) for entry, consumer, _, times in found)
    return int(found)


def run_command(view: View, payload: bytes) -> bytes:
    """What every node does with a call."""
    key, kind, arguments = json.loads(payload)
    make = WORDS.get(kind)
    words = [kind.upper(), key] if make is None else make(key, *arguments)
    return json.dumps(value(kind, handle(view, encode(2, [word.encode() for word in words])))).encode()


class Read(NamedTuple):
    """A wish for entries of some streams."""

    kind: str
    """xread, xreadgroup or xtake."""
    keys: tuple[str, ...]
    after: tuple[int | None, ...]
    """Of each key, for XREAD; None: `$`."""
    consumer: str
    most: int
    entity: int
    timeout_s: float

    def words(self) -> list[bytes]:
        words: list[str] = ["XREAD"]
        ids = ["$" if after is None else id_of(after) for after in self.after]
        if self.kind != "xread":
            words = ["XREADGROUP", "GROUP", GROUP, self.consumer, "COUNT", str(self.most)]
            words += ["NOACK"] if self.kind == "xtake" else []
            ids = [">"] * len(self.keys)
        words += ["BLOCK", str(int(1000 * self.timeout_s)), "STREAMS", *self.keys, *ids]
        return [word.encode() for word in words]

    def said(self, found: object) -> list[Said]:
        if isinstance(found, bytes):  # an error: one of them has no group
            return [self._of(key, NO_GROUP) for key in self.keys] if len(self.keys) == 1 else []
        assert found is None or isinstance(found, list), found
        by_key = {name.decode(): entries(own) for name, own in found or ()}
        said = []
        for key, after in zip(self.keys, self.after, strict=True):
            reply: Any = by_key.get(key)
            if after is not None or self.kind != "xread":
                said.append(self._of(key, reply))
            elif reply is not None:
                first = reply[0][0]
                said += [Said(key, "xread", (first - 1,), reply), Said(key, "xlast", (first,), True, at_first=True)]
        return said

    def asked(self) -> list[Said]:
        return [] if self.kind == "xread" else [self._of(key, None) for key in self.keys]

    def _of(self, key: str, reply: Value) -> Said:
        arguments = (self.after[self.keys.index(key)],) if self.kind == "xread" else (self.consumer, self.most)
        return Said(key, self.kind, arguments, reply)


class Streaming(Waiting):
    """Clients add, read, acknowledge and claim, and wait for entries."""

    def __init__(self, seed: int) -> None:
        tokens = map(str, count(100))
        added: Counter[str] = Counter()
        begun: set[str] = set()

        def draw(rng: random.Random) -> Call:
            entity = rng.choice((1, 1, 1, 2))
            key, kind = rng.choice(KEYS[entity]), rng.choice(DRAWN)
            if key not in begun:  # in time for the others
                begun.add(key)
                kind = "xgroup"
            elif key.startswith(BRIEF) and rng.random() < 0.05:
                kind = rng.choice(("xdestroy", "delete"))
            added[key] += kind == "xadd"
            recent = max(0, added[key] - rng.randint(1, RECENT))
            who, most = rng.choice(CONSUMERS), rng.choice((1, 2, 5))
            arguments: dict[str, tuple[Value, ...]] = {
                **{"xadd": (f"t{next(tokens)}",), "xread": (recent - 1,), "xmine": (who,), "xclaim": (who, recent)},
                **dict.fromkeys(("xreadgroup", "xtake", "xautoclaim"), (who, most)),
                **dict.fromkeys(("xdel", "xack"), (recent,)),
            }
            return Call(entity, "streams", key, kind, arguments.get(kind, ()), read_only=kind in READS)

        models = dict.fromkeys((STREAM, BRIEF), StreamModel)
        super().__init__(seed, Workload({"streams": run_command, HANDLER: handle}, draw, models))
        self._crowd = seed % 4 == 2
        """In a quarter of the seeds they wait at one node for one stream, as far as that is possible."""

    def choose(self, up: list[SimNode]) -> tuple[SimNode, Wish]:
        rng = self.chance
        node, entity = rng.choice(up), rng.choice((1, 1, 2))
        keys = tuple(rng.sample(KEYS[entity], min(rng.choice((1, 1, 2)), len(KEYS[entity]))))
        if self._crowd:
            node, entity, keys = up[0], 1, KEYS[1][:1]
        after = tuple(None if key.startswith(STREAM) and rng.random() < 0.5 else self._end_of(node, entity, key) for key in keys)
        kind = rng.choice(("xread", "xread", "xreadgroup", "xreadgroup", "xtake"))
        return node, Read(kind, keys, after, rng.choice(CONSUMERS), rng.choice((1, 2, 5)), entity, rng.choice(TIMEOUTS_S))

    @property
    def replies(self) -> Counter[str]:
        """What was asked for, and changed something or found something."""
        return Counter(one.kind for one in self.history if one.returned is not None and one.reply not in (None, 0, (), NO_GROUP))

    def read_all(self) -> Iterator[Call]:
        for entity, keys in KEYS.items():
            for key in keys:
                for kind in ("xrange", "xpending"):
                    yield Call(entity, "streams", key, kind, (), read_only=True)

    def is_there(self, customer: Customer) -> bool:
        command, wish, looked_ms = customer.command, customer.wish, customer.looked_ms
        assert isinstance(wish, Read)
        view = self._view(customer.node, wish.entity)
        if handle(view, encode(2, command.waits_with)) not in NOTHING:
            return True
        if wish.kind != "xread" or None not in wish.after or looked_ms is None:
            return False
        added = {
            (one.key, one.reply)
            for one in self.history
            if one.kind == "xadd" and one.returned is not None and one.called > looked_ms
        }
        deleted = {(one.key, one.arguments[0]) for one in self.history if one.kind == "xdel"}
        from_now = [key for key, after in zip(wish.keys, wish.after, strict=True) if after is None]
        return any(key in from_now for key, _ in added - deleted)

    def _end_of(self, node: SimNode, entity: int, key: str) -> int:
        """The last entry that is known there."""
        try:
            return number_of(id_text(Stream(self._view(node, entity), key.encode()).last_id))
        except PaxosStoreError:  # its disk is bad for now
            return NONE_PENDING

    @staticmethod
    def _view(node: SimNode, entity: int) -> View:
        """What is applied there; what is written to it is written nowhere."""
        return Overlay(node.store, entity, node.wall_ms())


def run(seed: int) -> tuple[Report, Streaming]:
    """Run a seed. Raises Violation if a promise was broken."""
    simulation = Streaming(seed)
    return simulation.run(), simulation


if __name__ == "__main__":
    run_seeds(run, lambda simulation: simulation.seen + simulation.replies)
