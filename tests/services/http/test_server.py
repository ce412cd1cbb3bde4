"""The HTTP server over real sockets: what it answers, and what it survives."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paxosstore.errors import InvalidRequest, NodeError, NotServing, PortTaken
from paxosstore.services.http.server import (
    MAX_CONNECTIONS,
    MAX_HEAD_BYTES,
    HttpServer,
    Page,
    Response,
    SlowPage,
    as_json,
    text,
)

HOST = "127.0.0.1"
READ_TIMEOUT_S = 20.0


def raising(error: Exception) -> Page:
    def page(query: Mapping[str, str]) -> Response:
        raise error

    return page


PAGES: dict[str, Page | SlowPage] = {
    "/echo": as_json,
    "/refused": raising(InvalidRequest("that is wrong")),
    "/away": raising(NotServing("the node is not running")),
    "/broken": raising(ZeroDivisionError("a secret")),
    "/longer": lambda query: text(HTTPStatus.OK, "x" * 8_000_000),
    "/long": lambda query: text(HTTPStatus.OK, "x" * 3_000_000),
}


def run(program: Callable[[HttpServer], Coroutine[Any, Any, None]], read_timeout_s: float = READ_TIMEOUT_S) -> None:
    async def limited() -> None:
        server = HttpServer(HOST, 0, PAGES, actions={"/change": as_json}, hosts=["Node-1.example"], read_timeout_s=read_timeout_s)
        async with asyncio.timeout(30):
            await server.start()
            try:
                await program(server)
            finally:
                await server.stop()

    asyncio.run(limited())


async def exchange(server: HttpServer, sent: bytes) -> bytes:
    """Everything that comes back until the server closes."""
    reader, writer = await asyncio.open_connection(HOST, server.port)
    writer.write(sent)
    try:
        await writer.drain()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def get(server: HttpServer, target: str, method: str = "GET") -> tuple[int, bytes]:
    answer = await exchange(server, f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    if method != "HEAD":
        assert f"Content-Length: {len(body)}".encode() in head
    return int(head.split()[1]), body


def test_pages() -> None:
    async def program(server: HttpServer) -> None:
        assert await get(server, "/echo?a=1&b=x%20y&a=2") == (200, b'{"a": "2", "b": "x y"}\n')
        status, body = await get(server, "/long")
        assert (status, len(body)) == (200, 3_000_001)
        assert await get(server, "/echo", "HEAD") == (200, b"")
        assert (await get(server, "/nothing"))[0] == 404
        assert b"/echo" in (await get(server, "/nothing"))[1]

    run(program)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("", 200),
        ("Host: 127.0.0.1:7403", 200),
        ("Host: [::1]:7403", 200),
        ("Host: 192.0.2.7", 200),
        ("host:LOCALHOST.:7403", 200),
        ("Host: node-1.example:7403", 200),
        ("Host: NODE-1.example", 200),
        ("Host: evil.example", 403),
        ("Host: evil.example:7403", 403),
        ("Host: localhost.evil.example", 403),
        ("Host: 127.0.0.1.evil.example", 403),
        ("Host: 127.0.0.1@evil.example", 403),
        ("Host: [::1", 200),
        ("Host: localhost\r\nHost: evil.example", 400),
        ("Host: 127.0.0.1:7403\r\nOrigin: http://127.0.0.1:7403", 200),
        ("Host: 127.0.0.1:7403\r\nOrigin: http://127.0.0.1:8080", 403),
        ("Host: 127.0.0.1:7403\r\nOrigin: https://evil.example", 403),
        ("Host: 127.0.0.1:7403\r\nOrigin: null", 403),
        ("Host: 127.0.0.1:7403\r\nORIGIN: http://evil.example", 403),
        ("Host: localhost\r\nSec-Fetch-Site: none", 200),
        ("Host: localhost\r\nSec-Fetch-Site: same-origin", 200),
        ("Host: localhost\r\nSec-Fetch-Site: same-site", 403),
        ("Host: localhost\r\nSec-Fetch-Site: cross-site", 403),
    ],
)
def test_a_web_page_of_another_origin_gets_nothing(headers: str, status: int) -> None:
    async def program(server: HttpServer) -> None:
        lines = "".join(f"{line}\r\n" for line in headers.split("\r\n") if line)
        answer = await exchange(server, f"GET /echo?a=secret HTTP/1.1\r\n{lines}\r\n".encode())
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert (b"secret" in answer) == (status == 200)
        assert b"\r\nAccess-Control" not in answer
        assert b"\r\nX-Content-Type-Options: nosniff\r\n" in answer

    run(program)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("X-PaxosStore: 1", 200),
        ("x-paxosstore:", 200),
        ("X-PaxosStore: 1\r\nContent-Length: 0", 200),
        ("X-PaxosStore: 1\r\nHost: localhost\r\nOrigin: http://localhost", 200),
        ("", 403),
        ("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0", 403),
        ("X-PaxosStore: 1\r\nHost: localhost\r\nOrigin: https://evil.example", 403),
        ("X-PaxosStore: 1\r\nHost: evil.example", 403),
        ("X-PaxosStore: 1\r\nSec-Fetch-Site: cross-site", 403),
        ("X-PaxosStore: 1\r\nContent-Length: 5", 413),
        ("X-PaxosStore: 1\r\nTransfer-Encoding: chunked", 413),
        ("X-PaxosStore: 1\r\nContent-Length: 0\r\nContent-Length: 5", 400),
    ],
)
def test_what_changes_something_needs_what_no_web_page_can_send(headers: str, status: int) -> None:
    async def program(server: HttpServer) -> None:
        lines = "".join(f"{line}\r\n" for line in headers.split("\r\n") if line)
        answer = await exchange(server, f"POST /change?name=value HTTP/1.1\r\n{lines}\r\n".encode())
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert (b'{"name": "value"}' in answer) == (status == 200)

    run(program)


def test_names_may_change_while_it_listens() -> None:
    async def program(server: HttpServer) -> None:
        asked = b"GET /echo HTTP/1.1\r\nHost: store.example\r\n\r\n"
        assert (await exchange(server, asked)).startswith(b"HTTP/1.1 403 ")
        server.answer_to(["Store.Example"])
        assert (await exchange(server, asked)).startswith(b"HTTP/1.1 200 ")

    run(program)


def test_errors_of_pages(caplog: pytest.LogCaptureFixture) -> None:
    async def program(server: HttpServer) -> None:
        assert await get(server, "/refused") == (400, b"that is wrong\n")
        assert await get(server, "/away") == (503, b"the node is not running\n")
        with caplog.at_level(logging.ERROR):
            status, body = await get(server, "/broken")
        assert status == 500
        assert b"secret" not in body
        assert "/broken" in caplog.text

    run(program)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /echo\r\n\r\n", 400),
        (b"GET  /echo HTTP/1.1\r\n\r\n", 400),
        (b"GET /echo HTTP/2\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 400),
        (b"GET //[ HTTP/1.1\r\n\r\n", 400),
        (b"GET /echo?" + b"&".join(b"%d=1" % at for at in range(17)) + b" HTTP/1.1\r\n\r\n", 400),
    ],
)
def test_what_is_no_request(sent: bytes, status: int) -> None:
    async def program(server: HttpServer) -> None:
        answer = await exchange(server, sent)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert b"Allow:" not in answer
        assert (await get(server, "/echo"))[0] == 200

    run(program)


def test_a_head_that_does_not_end_is_cut_off() -> None:
    async def program(server: HttpServer) -> None:
        await exchange(server, b"GET /echo HTTP/1.1\r\nX: " + b"x" * (20 * MAX_HEAD_BYTES))
        answer = await exchange(server, b"GET /echo HTTP/1.1\r\nX: " + b"x" * MAX_HEAD_BYTES)
        assert answer.startswith(b"HTTP/1.1 431 ") or answer == b""  # a reset may overtake the answer
        assert (await get(server, "/echo"))[0] == 200

    run(program)


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "it looks like TLS"),
        (b"*1\r\n$4\r\nPING\r\n", "it looks like the Redis protocol"),
        (b"\x00\x00\x00\x40\x00\x00\x00\x00PXSTORE\x00", "it looks like a PaxosStore peer"),
        (b"\x00\xff", "it looks like no protocol"),
    ],
)
def test_another_protocol_is_told_and_named_at_once(sent: bytes, named: str, caplog: pytest.LogCaptureFixture) -> None:
    async def program(server: HttpServer) -> None:
        for _ in range(3):  # the request never ends, and the answer does not wait for that
            assert (await exchange(server, sent)).startswith(b"HTTP/1.1 400 ")
        [line] = caplog.messages
        assert named in line
        assert "HTTP port" in line

    run(program, read_timeout_s=1_000.0)


def test_a_client_that_never_finishes_is_told_so() -> None:
    async def program(server: HttpServer) -> None:
        assert (await exchange(server, b"GET /echo HT")).startswith(b"HTTP/1.1 408 ")

    run(program, read_timeout_s=0.05)


def test_a_client_that_goes_away_is_forgotten() -> None:
    async def program(server: HttpServer) -> None:
        for sent in (b"", b"GET /ec", b"GET /long HTTP/1.1\r\n\r\n"):
            _, writer = await asyncio.open_connection(HOST, server.port)
            writer.write(sent)
            await writer.drain()
            writer.transport.abort()
        assert (await get(server, "/echo"))[0] == 200

    run(program)


def test_silent_clients_do_not_pile_up() -> None:
    async def program(server: HttpServer) -> None:
        silent = [await asyncio.open_connection(HOST, server.port) for _ in range(MAX_CONNECTIONS)]
        assert (await exchange(server, b"")).startswith(b"HTTP/1.1 503 ")
        for _, writer in silent:
            writer.close()
        for reader, _ in silent:
            await reader.read()
        assert (await get(server, "/echo"))[0] == 200

    run(program)


def test_a_slow_page_ends_when_its_client_hangs_up() -> None:
    ended = asyncio.Event()

    async def slow(query: Mapping[str, str]) -> Response:
        try:
            await asyncio.sleep(0.01 if "quick" in query else 1_000)
        finally:
            ended.set()
        return as_json(query)

    async def program() -> None:
        server = HttpServer(HOST, 0, {"/slow": slow})
        await server.start()
        assert await get(server, "/slow?quick=1") == (200, b'{"quick": "1"}\n')
        ended.clear()
        _, writer = await asyncio.open_connection(HOST, server.port)
        writer.write(b"GET /slow HTTP/1.1\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        assert not ended.is_set()
        writer.transport.abort()
        async with asyncio.timeout(20):
            await ended.wait()
        ended.clear()
        _, writer = await asyncio.open_connection(HOST, server.port)
        writer.write(b"GET /slow HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.05)
        await server.stop()
        assert ended.is_set()
        writer.close()

    asyncio.run(program())


def test_stopping_with_a_grace_lets_answers_leave() -> None:
    begun = asyncio.Event()
    go_on = asyncio.Event()

    async def slow(query: Mapping[str, str]) -> Response:
        begun.set()
        await go_on.wait()
        return text(HTTPStatus.OK, "done")

    async def program() -> None:
        server = HttpServer(HOST, 0, {"/slow": slow})
        await server.start()
        silent, other = await asyncio.open_connection(HOST, server.port)
        answer = asyncio.create_task(get(server, "/slow"))
        await begun.wait()
        stopping = asyncio.create_task(server.stop(grace_s=20.0))
        assert await silent.read() == b"", "who has not asked is not waited for"
        go_on.set()
        assert await answer == (200, b"done\n")
        await stopping
        other.close()

    asyncio.run(program())


async def until_answered(server: HttpServer, status: int) -> None:
    async with asyncio.timeout(20):
        while True:
            if (await get(server, "/echo"))[0] == status:
                return
            await asyncio.sleep(0.01)


def test_slow_readers_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paxosstore.services.http.server.MAX_UNREAD_BYTES", 10_000_000)

    async def program(server: HttpServer) -> None:
        lazy = []
        for _ in range(4):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connection, (HOST, server.port))
            await asyncio.get_running_loop().sock_sendall(connection, b"GET /longer HTTP/1.1\r\n\r\n")
            lazy.append(connection)
        await until_answered(server, 503)
        for connection in lazy:
            connection.close()
        await until_answered(server, 200)

    run(program)


def test_stopping_ends_open_connections() -> None:
    async def program(server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection(HOST, server.port)
        writer.write(b"GET /echo")
        await writer.drain()
        await get(server, "/echo")
        await server.stop()
        assert await reader.read() == b""
        writer.close()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(HOST, server.port)

    run(program)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_every_address(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def program() -> None:
        server = HttpServer("::", 0, PAGES)
        await server.start()
        for host in ("127.0.0.1", "::1"):
            reader, writer = await asyncio.open_connection(host, server.port)
            writer.write(b"GET /echo HTTP/1.1\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
            writer.close()
        with pytest.raises(PortTaken, match=rf"\[::\]:{server.port}.*listen\.http"):
            await HttpServer("::", server.port, {}).start()
        await server.stop()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(program())


def test_addresses_that_cannot_be_used() -> None:
    async def program() -> None:
        with socket.create_server((HOST, 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(PortTaken, match=str(port)):
                await HttpServer(HOST, port, {}).start()
        with pytest.raises(NodeError, match=r"192\.0\.2\.1"):
            await HttpServer("192.0.2.1", 0, {}).start()

    asyncio.run(program())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=20))
def test_garbage_gets_an_answer_or_a_closed_door(pieces: list[bytes]) -> None:
    async def program(server: HttpServer) -> None:
        for piece in pieces:
            answer = await exchange(server, b"GET /echo?" + piece + b"\r\n\r\n")
            assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 400 "))
            assert (await exchange(server, piece + b"\r\n\r\n")).startswith(b"HTTP/1.1 4")
        assert json.loads((await get(server, "/echo?still=here"))[1]) == {"still": "here"}

    run(program)


@pytest.mark.parametrize(
    ("sent", "allowed"),
    [
        (b"PUT /echo HTTP/1.1\r\n\r\n", b"GET, HEAD, POST"),
        (b"POST /echo HTTP/1.1\r\nX-PaxosStore: 1\r\n\r\n", b"GET, HEAD"),
        (b"GET /change HTTP/1.1\r\n\r\n", b"POST"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(sent: bytes, allowed: bytes) -> None:
    async def program(server: HttpServer) -> None:
        answer = await exchange(server, sent)
        assert answer.startswith(b"HTTP/1.1 405 ")
        assert b"\r\nAllow: " + allowed + b"\r\n" in answer
        assert (await get(server, "/echo"))[0] == 200

    run(program)
