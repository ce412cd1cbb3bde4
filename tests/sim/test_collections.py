"""The models of lists, sets, hashes and sorted sets: by hand, and on histories of objects that keep their promise, and nearly."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count

import pytest

from chaos import kinds
from paxosstore.sim.collections import COLLECTIONS, EXPIRE, Kept, with_unseen
from paxosstore.sim.history import Operation, Value
from paxosstore.sim.linearizability import check

from .histories import told, unknown

TOLERANCE_MS = 10.0
Steps = list[Operation]


def one_by_one(*calls: tuple[str, tuple[Value, ...], Value]) -> Steps:
    """One after the other, 10 ms apart."""
    return [told(10 * at, 10 * at + 1, kind, *arguments, reply=reply) for at, (kind, arguments, reply) in enumerate(calls)]


A, B = ("rpush", ("a",), 1), ("rpush", ("b",), 2)
GOOD: dict[str, tuple[str, Steps]] = {
    "both ends": ("deque", one_by_one(A, B, ("lpush", ("c",), 3), ("rpop", (), "b"), ("lpop", (), "c"), ("llen", (), 1))),
    "moved to the other end": ("deque", one_by_one(A, B, ("lmove", (), "a"), ("lrange", (), ("b", "a")))),
    "waits in vain beside what is there": ("deque", one_by_one(A, ("blpop", (), None), ("blpop", (), "a"))),
    "a pop of unknown outcome": ("deque", [unknown(0, "lpop"), *one_by_one(A, ("lpop", (), None))]),
    "a push of unknown outcome": ("deque", [*one_by_one(A), unknown(2, "lpush", "z"), told(5, 6, "llen", reply=2)]),
    "given back": (
        "deque",
        [*one_by_one(A, B), unknown(12, "blpop"), *one_by_one(*[("llen", (), 2)] * 2, ("lpop", (), "b"), A)[2:]],
    ),
    "given back behind others": (
        "deque",
        [*one_by_one(A, B), unknown(12, "blpop"), told(20, 21, "lpop", reply="b"), told(30, 31, "lpop", reply="a")],
    ),
    "gone with its last member": (
        "set",
        one_by_one(("sadd", ("a",), 1), ("srem", ("a",), 1), (EXPIRE, (3,), 0), ("delete", (), 0)),
    ),
    "over after its time": ("hash", one_by_one(("hset", ("a", "x"), 1), (EXPIRE, (5,), 1), *[("hgetall", (), ())] * 2)),
    "over, and made anew": (
        "hash",
        one_by_one(("hincrby", ("n", 7), 7), (EXPIRE, (5,), 1), ("hincrby", ("n", 1), 1), ("hget", ("n",), "1")),
    ),
    "made anew by somebody unknown": (
        "hash",
        [
            *one_by_one(("hset", ("a", "x"), 1), (EXPIRE, (5,), 1)),
            unknown(30, "hset", "b", "y"),
            told(40, 41, "hgetall", reply=(("b", "y"),)),
        ],
    ),
    "an end of unknown outcome": (
        "zset",
        [*one_by_one(("zadd", ("a", 3), 1)), unknown(2, EXPIRE, 5), told(90, 91, "zrange", reply=())],
    ),
    "by score": (
        "zset",
        one_by_one(("zadd", ("a", 3), 1), ("zadd", ("b", 1), 1), ("zincrby", ("b", 5), 6), ("zpopmin", (), ("a", 3))),
    ),
}
BAD: dict[str, tuple[str, Steps]] = {
    "popped twice": ("deque", one_by_one(A, ("lpop", (), "a"), ("lpop", (), "a"))),
    "popped by two who waited": ("deque", one_by_one(A, ("blpop", (), "a"), ("brpop", (), "a"))),
    "at the wrong end": ("deque", one_by_one(A, B, ("lpop", (), "b"))),
    "lost": ("deque", one_by_one(A, ("lpop", (), None))),
    "given back twice": (
        "deque",
        [*one_by_one(A), unknown(2, "blpop"), told(20, 21, "lpop", reply="a"), told(30, 31, "lpop", reply="a")],
    ),
    "miscounted": ("set", one_by_one(("sadd", ("a",), 1), ("sadd", ("b",), 1), ("scard", (), 1))),
    "over, and there again": (
        "hash",
        one_by_one(("hset", ("a", "x"), 1), (EXPIRE, (5,), 1), ("hgetall", (), ()), ("hget", ("a",), "x")),
    ),
    "half of it over": ("hash", one_by_one(("hset", ("a", "x"), 1), ("hset", ("b", "y"), 1), (EXPIRE, (5,), 1), ("hlen", (), 1))),
    "over without an end": ("hash", one_by_one(("hset", ("a", "x"), 1), ("hgetall", (), ()))),
    "the end of what is gone": (
        "set",
        one_by_one(("sadd", ("a",), 1), (EXPIRE, (5,), 1), ("delete", (), 1), ("sadd", ("a",), 1), ("scard", (), 0)),
    ),
    "not the lowest": ("zset", one_by_one(("zadd", ("a", 3), 1), ("zadd", ("b", 1), 1), ("zpopmin", (), ("a", 3)))),
    "an old score": ("zset", one_by_one(("zadd", ("a", 3), 1), ("zadd", ("a", 4), 0), ("zscore", ("a",), 3))),
}


@pytest.mark.parametrize("name", GOOD)
def test_good(name: str) -> None:
    kind, history = GOOD[name]
    assert check(with_unseen(history), COLLECTIONS[kind]).good


@pytest.mark.parametrize("name", BAD)
def test_bad(name: str) -> None:
    kind, history = BAD[name]
    assert not check(with_unseen(history), COLLECTIONS[kind]).good


def test_where_clocks_are_right_no_end_comes_early() -> None:
    history = one_by_one(("sadd", ("a",), 1), (EXPIRE, (100,), 1))
    early, late = told(50, 51, "scard", reply=0), told(120, 121, "scard", reply=0)
    assert check(with_unseen([*history, early]), COLLECTIONS["set"]).good
    assert not check(with_unseen([*history, early], TOLERANCE_MS), COLLECTIONS["set"]).good
    assert check(with_unseen([*history, late], TOLERANCE_MS), COLLECTIONS["set"]).good


def atomic(kind: str, rng: random.Random, size: int) -> Iterator[Operation]:
    """A history of one object: each call takes effect at one moment, some are not answered, ends come when they like."""
    model = type("All", (COLLECTIONS[kind],), {"fresh": {}})([])  # nothing is hidden because nobody was told of it
    state, free_at = Kept(), [0.0] * 5
    for number in count():
        client = min(range(5), key=free_at.__getitem__)
        called = free_at[client]
        if number == size:
            return
        command, arguments = kinds.draw(rng, kinds.BRIEF + kind, f"t{number}")
        one = Operation(client, "k", command, arguments, called, called, reply="?")
        if state.ends is not None and rng.random() < 0.1:
            state = Kept()
        state, reply = model.apply(state, one)
        free_at[client] = called + rng.uniform(0.0, 8.0)
        yield one.unknown() if rng.random() < 0.05 else one.done(max(called, free_at[client] - 0.5), reply)


@pytest.mark.parametrize("kind", COLLECTIONS)
def test_histories_of_what_keeps_its_promise_are_good_and_soon_judged(kind: str) -> None:
    rng = random.Random(kind)
    for _ in range(10):
        assert check(with_unseen(atomic(kind, rng, 150)), COLLECTIONS[kind], budget=100_000).good


@pytest.mark.parametrize("kind", COLLECTIONS)
def test_a_reply_that_was_forged_is_noticed(kind: str) -> None:
    """Most of them: some could have been given as well."""
    rng = random.Random(kind)
    noticed = 0
    for _ in range(20):
        history = list(atomic(kind, rng, 60))
        at = rng.choice([at for at, one in enumerate(history) if one.returned is not None and one.reply])
        forged = history[at].reply
        history[at] = history[at].done(history[at].returned or 0.0, 99 if isinstance(forged, int) else None)
        noticed += not check(with_unseen(history), COLLECTIONS[kind]).good
    assert noticed >= 15
