"""The order of one client's commands: no transport, no loop, no server."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from paxosstore.core.batch.request import Request
from paxosstore.errors import NoQuorum
from paxosstore.services.redis.connection.order import MAX_UNDER_WAY_BYTES, QUEUED_READS, Order
from paxosstore.services.redis.connection.requests import PARTS_AT_ONCE, Command, Spread, Whole, merge_sum
from paxosstore.services.redis.reply import integer_reply
from paxosstore.services.redis.room import Room, Share
from paxosstore.services.redis.settings import RedisSettings

from .support import DictView


class Bench:
    """An order, what it has submitted, and what it said to its connection."""

    def __init__(self, **options: int) -> None:
        self.submitted: list[Command] = []
        self.told = 0
        self.starved = 0
        self.room = Room(1 << 30)
        self.order = Order(self._submit, Share(self.room), RedisSettings(**options), self)  # type: ignore[arg-type]  # options of several types
        self.order.open()
        self.log: list[bytes] = []
        """Names of commands, in the order in which they took effect."""

    def _submit(self, request: Request) -> None:
        assert isinstance(request, Command)
        self.submitted.append(request)

    def look_soon(self) -> None:
        self.told += 1

    def starve(self) -> None:
        self.starved += 1

    def command(self, name: bytes, entity: int, *, writes: bool, size: int = 0) -> Command:
        def run(view: object, args: list[bytes], proto: int) -> bytes:
            self.log.append(args[0])
            return b"+" + args[0]

        return Command(self.order, run, [name, bytes(size)], 2, entity, not writes)

    def write(self, name: bytes, entity: int = 1, *, alone: bool = False, size: int = 0) -> Command:
        assert not self.order.blocked()
        assert not self.order.reads
        command = self.command(name, entity, writes=True, size=size)
        self.order.start(command, alone=alone)
        return command

    def read(self, name: bytes, entity: int = 1) -> Command:
        assert not self.order.blocked()
        assert self.order.may_read(entity)
        command = self.command(name, entity, writes=False)
        self.order.start(command)
        return command

    def end(self, command: Command) -> None:
        self.submitted.remove(command)
        command.settle(command.evaluate(DictView()) or b"", None)

    def replies(self) -> list[bytes]:
        return self.order.take_replies()


def test_replies_leave_in_the_order_of_the_commands() -> None:
    bench = Bench()
    first, second = bench.write(b"a", 1), bench.write(b"b", 2)
    bench.order.answer(b"+PONG")
    bench.end(second)
    assert bench.replies() == []
    bench.end(first)
    assert bench.replies() == [b"+a", b"+b", b"+PONG"]
    assert bench.order.settled_all
    assert bench.order.held == 0


def test_its_connection_is_told_once_until_it_looks() -> None:
    bench = Bench()
    first, second = bench.write(b"a", 1), bench.write(b"b", 2)
    bench.end(first)
    bench.end(second)
    bench.order.answer(b"+PONG")
    assert bench.told == 1
    bench.replies()
    bench.order.answer(b"+PONG")
    assert bench.told == 2


def test_a_write_waits_for_reads_and_a_read_is_queued_behind_a_write() -> None:
    bench = Bench()
    read = bench.read(b"r")
    assert bench.order.reads == 1, "a write has to wait"
    bench.end(read)
    assert bench.order.reads == 0
    bench.write(b"w")
    behind, beside = bench.read(b"behind"), bench.read(b"beside", 2)
    assert (behind.read_only, behind.queued_read) == (False, True)
    assert (beside.read_only, beside.queued_read) == (True, False)
    while bench.order.may_read(1):
        bench.read(b"more")
    assert sum([command.queued_read for command in bench.submitted]) == QUEUED_READS
    assert bench.order.may_read(2)


def test_a_read_that_the_store_makes_a_write_of_was_a_read() -> None:
    bench = Bench()
    read = bench.read(b"r")
    read.read_only = False  # the core does so: core/log/serve.py
    bench.end(read)
    assert bench.order.reads == 0
    bench.write(b"w")
    assert bench.read(b"behind").queued_read


def test_nothing_is_started_beside_a_command_that_is_alone() -> None:
    for outcome in ("done", "failed"):
        bench = Bench()
        before = bench.write(b"before")
        alone = bench.write(b"alone", alone=True)
        assert bench.order.blocked()
        bench.end(before)
        bench.replies()
        bench.order.go_on()
        assert bench.order.blocked()
        if outcome == "done":
            bench.end(alone)
        else:
            bench.submitted.remove(alone)
            alone.settle(b"", NoQuorum("no majority"))
        assert not bench.order.blocked()
        bench.write(b"after")


def test_who_has_gone_is_owed_nothing_and_what_was_alone_holds_up_nobody() -> None:
    bench = Bench()
    alone = bench.write(b"alone", alone=True, size=1_000)
    assert bench.order.under_way == 1_005
    bench.order.end()
    bench.end(alone)
    assert bench.replies() == []
    assert (bench.order.held, bench.order.under_way) == (0, 0)


def test_so_much_may_be_under_way() -> None:
    bench = Bench(max_pipelined=3)
    commands = [bench.write(b"w") for _ in range(3)]
    assert bench.order.blocked()
    assert bench.order.full
    bench.end(commands[0])
    assert bench.order.blocked(), "its reply has not left"
    bench.replies()
    assert not bench.order.blocked()
    large = bench.write(b"large", size=MAX_UNDER_WAY_BYTES)
    bench.end(commands[1])
    bench.replies()
    assert bench.order.blocked()
    bench.end(commands[2])
    bench.end(large)
    assert not bench.order.full


def test_a_large_command_on_many_entities_is_counted_for_each_and_comes_to_nothing() -> None:
    bench = Bench()
    whole = Whole(bench.order, 1_000, merge_sum)
    words = [b"DBSIZE", bytes(1_000)]
    bench.order.spread(Spread(whole, lambda view, args, proto: integer_reply(1), words, 2, range(1_000), writes=False))
    assert len(bench.submitted) == PARTS_AT_ONCE
    assert bench.order.under_way == 1_006 * PARTS_AT_ONCE
    assert bench.order.blocked()
    while bench.submitted:
        bench.end(bench.submitted[0])
        bench.order.go_on()
    assert bench.replies() == [b":1000\r\n"]
    assert bench.order.under_way == 0
    assert not bench.order.blocked()


PROGRAM = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["read", "read", "write", "alone", "ping"])), max_size=40)


@given(PROGRAM, st.integers(0, 2**32), st.integers(1, 8))
@settings(max_examples=200, deadline=None)
def test_a_client_cannot_tell_it_from_one_by_one(program: list[tuple[int, str]], seed: int, most: int) -> None:
    """Each command answers how many writes its entity has seen: the writes before it in the program, and no other."""
    chance = random.Random(seed)
    bench = Bench(max_pipelined=most)
    order, seen, expected = bench.order, dict.fromkeys((1, 2, 3), 0), list[bytes]()
    for entity, kind in program:
        seen[entity] += kind in ("write", "alone")
        expected.append(b"+PONG" if kind == "ping" else b"+%d" % seen[entity])
    seen = dict.fromkeys(seen, 0)

    def counting(entity: int, *, writes: bool) -> Command:
        def run(view: object, args: list[bytes], proto: int) -> bytes:
            seen[entity] += writes
            return b"+%d" % seen[entity]

        return Command(order, run, [b"count"], 2, entity, not writes)

    def start(entity: int, kind: str) -> bool:
        writes = kind in ("write", "alone")
        if order.blocked() or (writes and order.reads) or (kind == "read" and not order.may_read(entity)):
            return False
        if kind == "ping":
            order.answer(b"+PONG")
        else:
            order.start(counting(entity, writes=writes), alone=kind == "alone")
        return True

    at, got = 0, list[bytes]()
    while at < len(program) or bench.submitted:
        if at < len(program) and (not bench.submitted or chance.random() < 0.6) and start(*program[at]):
            at += 1
        elif bench.submitted:
            one = chance.choice(bench.submitted)  # a node takes an entity's writes in order, and reads whenever it likes
            bench.end(next(c for c in bench.submitted if c is one or (not one.read_only and c.entity == one.entity)))
        if chance.random() < 0.5 or not bench.submitted:
            got += bench.replies()
    assert got + bench.replies() == expected
