"""What clients ask of lists, sets, hashes and sorted sets: what they draw, Redis's words for it, and what its replies say.

Of what the models call a command the words may be longer: `lrange` is all of a list. The simulated cluster and chaos draw them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from paxosstore.sim.collections import COLLECTIONS, EXPIRE, Collection
from paxosstore.sim.history import Value

DEQUE, SET, HASH, ZSET = "deque", "set", "hash", "zset"
QUEUE, PILE = "queue", "pile"
"""A list and a sorted set of tokens that some clients push and others wait for; nobody deletes them."""
BRIEF = "brief-"
"""In front of a kind: such a key is also given an end."""
PLAIN = (DEQUE, SET, HASH, ZSET)
MODELS: dict[str, type[Collection]] = {
    **{prefix + kind: COLLECTIONS[kind] for kind in PLAIN for prefix in ("", BRIEF)},
    QUEUE: COLLECTIONS[DEQUE],
    PILE: COLLECTIONS[ZSET],
}
"""By the kind of a key, as its name says it."""
AT_ONCE = 3
"""So many kinds are in use in one generation, besides those that are waited for: each key gets a history worth checking."""
TIMEOUTS_S = ("0.05", "0.3", "1")
ENDS_MS = (3, 30, 200)
MEMBERS = ("a", "b", "c")
COUNTS = ("m", "n")
"""Fields that are counted up; the others hold tokens."""

Drawn = tuple[str, tuple[Value, ...]]
"""A command and its arguments."""

_ALL = {DEQUE: "lrange", SET: "smembers", HASH: "hgetall", ZSET: "zrange", QUEUE: "lrange", PILE: "zrange"}
_DRAWN = {
    DEQUE: ("lpush", "lpush", "rpush", "rpush", "lpop", "lpop", "rpop", "lmove", "llen", "lrange"),
    SET: ("sadd", "sadd", "sadd", "srem", "sismember", "scard", "smembers"),
    HASH: ("hset", "hset", "hincrby", "hdel", "hget", "hlen", "hgetall"),
    ZSET: ("zadd", "zadd", "zincrby", "zrem", "zscore", "zcard", "zrange", "zpopmin"),
    QUEUE: ("rpush", "rpush", "rpush", "rpush", "lpush", "lpop", "llen", "lrange"),
    PILE: ("zadd", "zadd", "zadd", "zadd", "zpopmin", "zcard", "zrange"),
}
WAITED_FOR = {QUEUE: ("blpop", "blpop", "brpop"), PILE: ("bzpopmin",)}
READS = frozenset(("llen", "lrange", "sismember", "scard", "smembers", "hget", "hlen", "hgetall", "zscore", "zcard", "zrange"))
_NUMBERS = READS - {*_ALL.values(), "hget"} | {
    *("lpush", "rpush", "sadd", "srem", "hset", "hincrby", "hdel", "zadd", "zrem", "zincrby", "delete", EXPIRE)
}
"""Commands that reply a number, or nothing."""
_WORDS: dict[str, Callable[[str, tuple[Value, ...]], list[Value]]] = {
    "lrange": lambda key, _: ["LRANGE", key, 0, -1],
    "lmove": lambda key, _: ["LMOVE", key, key, "LEFT", "RIGHT"],
    "zadd": lambda key, pair: ["ZADD", key, pair[1], pair[0]],
    "zincrby": lambda key, pair: ["ZINCRBY", key, pair[1], pair[0]],
    "zrange": lambda key, _: ["ZRANGE", key, 0, -1, "WITHSCORES"],
    "delete": lambda key, _: ["DEL", key],
    EXPIRE: lambda key, milliseconds: ["PEXPIRE", key, *milliseconds],
}
"""Where they are not the command, the key and the arguments."""


def kind_of(key: str) -> str:
    """What a key is used as, whether it is given an end or not."""
    return key.removeprefix(BRIEF).partition(":")[0]


def draw(rng: random.Random, key: str, token: str) -> Drawn:
    """What a client asks of a key next. Tokens are unique."""
    kind = kind_of(key)
    if key.startswith(BRIEF) and rng.random() < 0.2:
        return EXPIRE, (rng.choice(ENDS_MS),)
    if kind not in WAITED_FOR and rng.random() < 0.04:
        return "delete", ()
    command = rng.choice(_DRAWN[kind])
    member: Value = rng.choice(MEMBERS)
    arguments: dict[str, tuple[Value, ...]] = {
        "lpush": (token,),
        "rpush": (token,),
        "hset": (member, token),
        "hincrby": (rng.choice(COUNTS), rng.choice((1, 1, 7, -3))),
        "hdel": (rng.choice(MEMBERS + COUNTS),),
        "hget": (rng.choice(MEMBERS + COUNTS),),
        "zadd": (token if kind == PILE else member, rng.randrange(20)),
        "zincrby": (member, rng.choice((1, 5, -3))),
        **dict.fromkeys(("sadd", "srem", "sismember", "zrem", "zscore"), (member,)),
    }
    return command, arguments.get(command, ())


def in_use(generation: int) -> list[str]:
    """The kinds that clients use in a generation."""
    every = [*MODELS][: -len(WAITED_FOR)]
    return [every[(AT_ONCE * generation + at) % len(every)] for at in range(AT_ONCE)] + [*WAITED_FOR]


def draw_wait(rng: random.Random, key: str) -> Drawn:
    """What a client asks that waits at a key; the argument is its timeout in seconds."""
    return rng.choice(WAITED_FOR[kind_of(key)]), (rng.choice(TIMEOUTS_S),)


def read_all(key: str) -> str:
    """The command that shows all of a key."""
    return _ALL[kind_of(key)]


def words(command: str, key: str, arguments: tuple[Value, ...]) -> list[Value]:
    """Redis's words."""
    make = _WORDS.get(command)
    return [command.upper(), key, *arguments] if make is None else make(key, arguments)


def value(command: str, reply: Any) -> Value:
    """What a reply says, in the model's words: bytes, numbers, None and lists of them go in."""
    if command in _NUMBERS:
        return None if reply is None else int(reply)
    found = _text(reply)
    if command == "smembers":
        return tuple(sorted(found))
    if command in ("hgetall", "zrange"):
        pairs = list(zip(found[::2], found[1::2], strict=True))
        return tuple(sorted(pairs)) if command == "hgetall" else tuple((member, int(score)) for member, score in pairs)
    if command == "zpopmin":
        return (found[0], int(found[1])) if found else None
    if command in ("blpop", "brpop"):
        return None if found is None else found[1]
    if command == "bzpopmin":
        return None if found is None else (found[1], int(found[2]))
    return found  # type: ignore[no-any-return]  # text or None


def _text(reply: Any) -> Any:
    if isinstance(reply, list):
        return tuple(map(_text, reply))
    return reply.decode() if isinstance(reply, bytes) else reply
