"""PAXOS.CALL and PAXOS.READ: an application's functions, from any client, once under a uuid."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID

import pytest

from paxosstore import App, InvalidRequest, Refused, View
from paxosstore.core.batch.overlay import DATA, Overlay
from paxosstore.core.batch.request import Request
from paxosstore.errors import UnknownHandler
from paxosstore.services.card.rules import CARD_BASE
from paxosstore.services.redis.commands import calls
from paxosstore.services.redis.commands.once import Window
from paxosstore.services.redis.connection.calls import Call
from paxosstore.services.redis.layout.keyspace import REDIS_BASE
from paxosstore.services.redis.server import RedisServer
from paxosstore.services.redis.settings import RedisSettings

from ...core.support import DictReader
from .logstore import LogStore
from .support import NOW_MS, Client, Harness, MemoryStore, in_loop, pack, serving
from .test_once import uuid7

A, B = (str(UUID(bytes=uuid7(NOW_MS, number))) for number in (1, 2))
app = App()


@app.handler
def add(view: View, amount: int) -> int:
    total = int(view.get(b"total") or b"0") + amount
    view.put(b"total", b"%d" % total)
    if total > 100:
        raise Refused("TOO_MUCH", {"total": total, "most": 100})
    return total


@app.handler
def total(view: View) -> int:
    return int(view.get(b"total") or b"0")


@app.handler
def rows(view: View) -> list[str]:
    return [key.decode("latin-1") for key, _ in view.scan()]


@app.handler
def clear(view: View) -> None:
    view.clear()


class Wordy(Refused):
    def __str__(self) -> str:
        return "WORDY " + "[" * 10_000


@app.handler
def fail(view: View, what: str) -> Any:
    view.put(b"total", b"7")
    if what == "exit":
        raise SystemExit(3)
    if what == "wordy":
        raise Wordy("x")
    if what == "odd":
        return object()
    return 1 // 0 if what == "zero" else bytearray(10**15)


def _text(view: View, payload: bytes) -> Any:
    return "a text"


FUNCTIONS: Mapping[str, calls.Function] = {**app, "text": _text, "none": cast("calls.Function", lambda view, payload: None)}


@asynccontextmanager
async def nodes(store: LogStore, *functions: Mapping[str, calls.Function] | None) -> AsyncIterator[list[Harness]]:
    """Two servers on one log, with the functions of the application or those that are given."""
    harnesses = []
    for own in functions or (FUNCTIONS, FUNCTIONS):
        server = RedisServer(
            store.submit,
            RedisSettings(port=0),
            uuid_window_entries=store.window,
            now_ms=lambda: store.now_ms,
            app=own,
        )
        await server.start()
        harnesses.append(Harness(server, MemoryStore()))
    try:
        yield harnesses
    finally:
        for harness in harnesses:
            for client in harness.clients:
                client.writer.close()
            await harness.server.stop()


async def refused(client: Client, line: str, text: str) -> None:
    await client.exchange(line, f"-{text}\r\n".encode())


@in_loop
async def test_a_call_takes_effect_once_at_any_node_and_gets_the_first_reply() -> None:
    async with nodes(LogStore()) as (one, other):
        here, there = await one.connect(), await other.connect()
        await here.exchange(f"PAXOS.CALL add 7 {A} 5", b"$1\r\n5\r\n")
        await there.exchange(f"paxos.call add 7 {B} 1", b"$1\r\n6\r\n")
        await there.exchange(f"PAXOS.CALL add 7 {A.upper()} 5", b"$1\r\n5\r\n")
        here.writer.write(pack(b"PAXOS.CALL", b"add", b"7", UUID(A).bytes, b"5"))
        await here.expect(b"$1\r\n5\r\n")
        here.writer.write(pack(b"PAXOS.READ", b"total", b"7", b""))
        await here.expect(b"$1\r\n6\r\n")
        here.writer.write(pack(b"PAXOS.READ", b"total", b"8", b""))
        await here.expect(b"$1\r\n0\r\n")
        await refused(
            here,
            f"PAXOS.CALL add 7 {A} 6",
            f"UUIDREUSED another request was made under the uuid {UUID(A).hex}: this one did not happen, draw a new uuid for it",
        )


@in_loop
async def test_a_refusal_arrives_with_reason_and_data_again_and_again_and_nothing_happened() -> None:
    async with nodes(LogStore()) as (one, other):
        here, there = await one.connect(), await other.connect()
        for client in (here, there):
            await refused(client, f"PAXOS.CALL add 7 {A} 101", 'REFUSED TOO_MUCH {"total":101,"most":100}')
        await here.exchange(f"PAXOS.CALL add 7 {B} 100", b"$3\r\n100\r\n")
        await refused(there, f"PAXOS.CALL add 7 {A} 101", 'REFUSED TOO_MUCH {"total":101,"most":100}')
        there.writer.write(pack(b"PAXOS.READ", b"total", b"7", b""))
        await there.expect(b"$3\r\n100\r\n")


BAD = [
    (
        f"PAXOS.CALL add -1 {A} 5",
        "INVALID PAXOS.CALL: '-1' is no entity of an application: those are 0 to 2305843009213693951, the",
    ),
    (f"PAXOS.CALL add {CARD_BASE} {A} 5", "INVALID PAXOS.CALL: '2305843009213693952' is no entity of an application"),
    (f"PAXOS.CALL add {REDIS_BASE} {A} 5", "INVALID PAXOS.CALL: '4611686018427387904' is no entity of an application"),
    (f"PAXOS.CALL add 1.0 {A} 5", "INVALID PAXOS.CALL: '1.0' is no entity"),
    (f"PAXOS.READ add {2**70} 5", "INVALID PAXOS.READ: '1180591620717411303424' is no entity"),
    ("PAXOS.CALL add 7 x 5", "INVALID PAXOS.CALL: 'x' is no uuid: it has 16 bytes, or is text, as RFC 9562 has it"),
    (f"PAXOS.CALL add 7 {A[:-1]}g 5", "INVALID PAXOS.CALL: '"),
    ("PAXOS.CALL add 7 00000000-0000-0000-0000-000000000000 5", "INVALID PAXOS.CALL: '00000000-"),
    (f"PAXOS.CALL sub 7 {A} 5", "NOHANDLER this node has no handler 'sub': it has add, total, rows, clear, fail, text, none"),
    ("PAXOS.READ redis 7 5", "NOHANDLER this node has no handler 'redis'"),
    (f"PAXOS.CALL app:add 7 {A} 5", "NOHANDLER this node has no handler 'app:add'"),
    (f"PAXOS.CALL add 7 {A}", "ERR wrong number of arguments for 'paxos.call' command"),
    (f"PAXOS.CALL add 7 {A} 5 6", "ERR wrong number of arguments for 'paxos.call' command"),
    ("PAXOS.READ total 7", "ERR wrong number of arguments for 'paxos.read' command"),
    (f"PAXOS.CALL add 7 {A} five", "INVALID add: its payload is not as it has to be: "),
    (f'PAXOS.CALL fail 7 {A} "\\"zero\\""', "FAILED the request raised ZeroDivisionError: integer division or modulo by zero"),
    (f'PAXOS.CALL fail 7 {A} "\\"memory\\""', "FAILED the request raised MemoryError: "),
    (f'PAXOS.CALL fail 7 {A} "\\"exit\\""', "FAILED the request raised SystemExit: 3"),
    (f'PAXOS.CALL fail 7 {A} "\\"odd\\""', "FAILED fail: it returned a value of type object, which cannot be written as JSON"),
    (f'PAXOS.CALL fail 7 {A} "\\"wordy\\""', "REFUSED WORDY [["),
    (f"PAXOS.CALL text 7 {A} 5", "INVALID what handler text returns must be bytes, not str"),
    (f"PAXOS.ONCE {A} PAXOS.CALL add 7 {A} 5", "ERR PAXOS.ONCE is for commands on data, and for MULTI: PAXOS.CALL is none"),
]


@pytest.mark.parametrize(("line", "text"), BAD)
@in_loop
async def test_bad_input_is_told_by_its_code_and_does_nothing(line: str, text: str) -> None:
    async with nodes(LogStore()) as (one, _):
        client = await one.connect()
        client.send(line)
        got = (await client.reader.readline()).decode()
        assert got.startswith(f"-{text}"), got
        client.writer.write(pack(b"PAXOS.READ", b"total", b"7", b""))
        await client.expect(b"$1\r\n0\r\n")


@in_loop
async def test_what_returns_nothing_replies_nothing_and_transactions_have_none_of_it() -> None:
    async with nodes(LogStore()) as (one, _):
        client = await one.connect()
        await client.exchange(f"PAXOS.CALL none 7 {A} x", b"$0\r\n\r\n")
        await client.exchange("MULTI", b"+OK\r\n")
        await refused(client, f"PAXOS.CALL add 7 {B} 5", "ERR Command not allowed inside a transaction")
        await client.exchange("EXEC", b"-EXECABORT Transaction discarded because of previous errors.\r\n")
        await client.exchange("EVAL \"return redis.call('paxos.read', 'total', '7', '')\" 0", b"-")


@in_loop
async def test_a_node_without_an_application_says_so() -> None:
    async with nodes(LogStore(), None) as (one,):
        client = await one.connect()
        text = "NOHANDLER this node has no handler 'add': it has no application: set app.module in its file"
        await refused(client, f"PAXOS.CALL add 7 {A} 5", text)


@in_loop
async def test_a_read_cannot_write() -> None:
    async with serving() as one:
        one.server.calls = calls.handlers(FUNCTIONS, Window())
        client = await one.connect()
        await refused(client, "PAXOS.READ add 7 5", "INVALID a read-only request cannot write")


@in_loop
async def test_calls_keep_their_order_with_each_other_and_with_commands() -> None:
    async with nodes(LogStore()) as (one, _):
        client = await one.connect()
        client.send(f"PAXOS.CALL add 7 {A} 1", "INCR k", f"PAXOS.CALL add 7 {B} 2")
        client.writer.write(pack(b"PAXOS.READ", b"total", b"7", b"") + pack(b"GET", b"k"))
        await client.expect(b"$1\r\n1\r\n:1\r\n$1\r\n3\r\n$1\r\n3\r\n$1\r\n1\r\n")
        client.send("HELLO 3")
        await client.reader.readuntil(b"modules\r\n*0\r\n")
        await client.exchange(f"PAXOS.CALL add 7 {A} 1", b"$1\r\n1\r\n")


# -- what is forgotten


@in_loop
async def test_a_uuid_that_may_be_forgotten_is_refused_instead_of_run_again() -> None:
    store = LogStore(window=16)
    async with nodes(store) as (one, _):
        client = await one.connect()
        await client.exchange(f"PAXOS.CALL add 7 {A} 1", b"$1\r\n1\r\n")
        for number in range(2, 20):
            store.now_ms += 60_000
            await client.exchange(
                f"PAXOS.CALL add 7 {UUID(bytes=uuid7(store.now_ms, number))} 1", b"$%d\r\n%d\r\n" % (len(str(number)), number)
            )
        client.send(f"PAXOS.CALL add 7 {A} 1")
        got = await client.reader.readline()
        assert got.startswith(b"-UUIDEXPIRED outcome unknown: by its time the uuid was made 1080000 ms ago"), got
        client.writer.write(pack(b"PAXOS.READ", b"total", b"7", b""))
        await client.expect(b"$2\r\n19\r\n")
        ahead = UUID(bytes=uuid7(store.now_ms + 60_000, 99))
        client.send(f"PAXOS.CALL add 7 {ahead} 1")
        got = await client.reader.readline()
        assert got.startswith(b"-INVALID by its time the uuid was made 60000 ms from now: nothing happened"), got


@in_loop
async def test_a_function_that_clears_its_entity_does_not_clear_what_is_remembered() -> None:
    store = LogStore(window=16)
    async with nodes(store) as (one, _):
        client = await one.connect()
        await client.exchange(f"PAXOS.CALL add 7 {A} 1", b"$1\r\n1\r\n")
        for number in range(2, 20):
            store.now_ms += 60_000
            client.writer.write(pack(b"PAXOS.CALL", b"clear", b"7", uuid7(store.now_ms, number), b""))
            await client.expect(b"$0\r\n\r\n")
        client.writer.write(pack(b"PAXOS.READ", b"rows", b"7", b""))
        await client.expect(b"$2\r\n[]\r\n")
        client.send(f"PAXOS.CALL add 7 {A} 1")
        got = await client.reader.readline()
        assert got.startswith(b"-UUIDEXPIRED "), got


def test_a_function_sees_all_of_its_entity_but_the_stores_own_key() -> None:
    reader = DictReader()
    keys = [b"a", b"\xff", b"\xff\xfe", calls.ROW, calls.ROW + b"\x00", calls.ROW + b"x", b"\xff\xff\xff"]
    reader.data[7] = {DATA + key: b"v" for key in keys}
    overlay = Overlay(reader, 7, NOW_MS, entry=3)
    overlay.open()
    view = calls.Own(cast(View, overlay))
    seen = [key for key in keys if key != calls.ROW]
    assert [key for key, _ in view.scan()] == seen
    assert [key for key, _ in view.scan(reverse=True)] == seen[::-1]
    assert [key for key, _ in view.scan(b"\xff", b"\xff\xff\xff")] == seen[1:-1]
    assert [key for key, _ in view.scan(b"\xff", b"\xff\xff\xff", reverse=True)] == seen[1:-1][::-1]
    assert [key for key, _ in view.scan(calls.ROW)] == seen[3:]
    assert [key for key, _ in view.scan(calls.ROW + b"\x00")] == seen[3:]
    assert [key for key, _ in view.scan(b"b", calls.ROW)] == seen[1:3]
    assert [key for key, _ in view.scan(end=b"b")] == seen[:1]
    assert (view.entity, view.entry, view.request, view.now_ms) == (7, 3, 0, NOW_MS)
    for wrong in ("text", 5):
        with pytest.raises(InvalidRequest, match="start must be bytes"):
            view.scan(wrong)
    scan = view.scan()
    view.put(b"b", b"later")
    assert [key for key, _ in scan] == seen, "a scan shows what was there when it began"
    view.clear()
    assert list(view.scan()) == []
    assert overlay.get(calls.ROW) == b"v"


@in_loop
async def test_what_was_imported_from_another_log_says_nothing_of_this_one() -> None:
    store = LogStore(window=16)
    mark = (1_000_000).to_bytes(8, "big") + NOW_MS.to_bytes(8, "big")
    store.reader.data[7] = {DATA + calls.ROW: mark}
    async with nodes(store) as (one, _):
        client = await one.connect()
        await client.exchange(f"PAXOS.CALL add 7 {A} 1", b"$1\r\n1\r\n")
        for number in range(2, 20):
            store.now_ms += 60_000
            client.writer.write(pack(b"PAXOS.CALL", b"clear", b"7", uuid7(store.now_ms, number), b""))
            await client.expect(b"$0\r\n\r\n")
        client.send(f"PAXOS.CALL add 7 {A} 1")
        got = await client.reader.readline()
        assert got.startswith(b"-UUIDEXPIRED "), got


# -- nodes with other functions


@in_loop
async def test_a_call_whose_peer_lacks_the_function_is_proposed_from_here() -> None:
    store = LogStore()
    handed: list[str] = []
    read: list[bool] = []

    def submit(request: Request) -> None:
        handed.append(request.handler)
        read.append(request.read_only)
        if request.handler:
            text = f"node 1 has no handler {request.handler!r}: run the same services on all nodes"
            request.settled = True
            request.settle(b"", UnknownHandler(text))
        else:
            store.submit(request)

    async with nodes(store) as (one, _):
        one.server.submit = submit
        client = await one.connect()
        await client.exchange(f"PAXOS.CALL add 7 {A} 5", b"$1\r\n5\r\n")
        assert handed == ["app:add", ""]
        one.server.submit = store.submit
        await client.exchange(f"PAXOS.CALL add 7 {A} 5", b"$1\r\n5\r\n")
        await client.exchange(f"PAXOS.CALL add 7 {B} 5", b"$2\r\n10\r\n")
        read.clear()
        one.server.submit = submit
        await client.exchange('PAXOS.READ total 7 ""', b"$2\r\n10\r\n")
        assert read == [True, True], "a read goes on to be one"


@in_loop
async def test_a_read_that_is_handed_over_leaves_no_mark() -> None:
    """Found by chaos: the uuid by which a peer's answer to it is known was taken for one of a call's."""
    store = LogStore()
    known = calls.handlers(FUNCTIONS, Window())

    def hand_over(request: Request) -> None:
        request.uuid = UUID(A).bytes
        overlay = Overlay(store.reader, request.entity, NOW_MS, read_only=True)
        request.settled = True
        request.settle(known[request.handler](overlay, request.payload()), None)

    async with nodes(store) as (one, _):
        await (await one.connect()).exchange(f"PAXOS.CALL add 7 {B} 5", b"$1\r\n5\r\n")
        one.server.submit = hand_over
        client = await one.connect()
        await client.exchange('PAXOS.READ total 7 ""', b"$1\r\n5\r\n")
        await client.exchange('PAXOS.READ total 8 ""', b"$1\r\n0\r\n")


def test_an_application_has_no_entity_of_a_services() -> None:
    assert calls.ENTITIES == CARD_BASE < REDIS_BASE
    assert issubclass(Call, Request)
