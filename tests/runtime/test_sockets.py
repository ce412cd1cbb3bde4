"""What a connection's first bytes look like, and how an address reads."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket

import pytest

from paxosstore.runtime.quiet_log import QuietLog
from paxosstore.runtime.sockets import keep_alive, looks_like, said, where


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"GET /status HTTP/1.1\r\n", "HTTP"),
        (b"POST / HTTP/1.1\r\n", "HTTP"),
        (b"PRI * HTTP/2.0\r\n\r\n", "HTTP/2 (gRPC)"),
        (b"\x16\x03\x01\x02\x00\x01", "TLS"),
        (b"*1\r\n$4\r\nPING\r\n", "the Redis protocol"),
        (b"ping\r\n", "the Redis protocol"),
        (b"\0\0\0\x40\x12\x34\x56\x78PXSTORE\0\0\1", "a PaxosStore peer"),
        (b"SSH-2.0-OpenSSH", "SSH"),
        (b"", "no protocol that is known here"),
        (b"\0" * 64, "no protocol that is known here"),
        (b"*hello", "no protocol that is known here"),
    ],
)
def test_what_the_first_bytes_look_like(data: bytes, named: str) -> None:
    assert looks_like(data) == named


def test_addresses_as_text() -> None:
    assert where("10.0.0.1", 7400) == "10.0.0.1:7400"
    assert where("fd77::1", 7400) == "[fd77::1]:7400"


def test_the_systems_own_words() -> None:
    assert said(ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('::1', 1)")) == "connection refused"
    assert said(socket.gaierror(socket.EAI_NONAME, "Name or service not known")) == "name or service not known"
    assert said(OSError("odd")) == "odd"
    assert said(TimeoutError()) == "timeoutError"


def test_keepalive() -> None:
    async def program() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        with socket.create_server(("127.0.0.1", 0)) as listener, theirs:
            transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, *listener.getsockname())
            keep_alive(transport)
            assert transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            transport.abort()
            other, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
            keep_alive(other)  # no TCP: nothing happens
            other.abort()

    asyncio.run(program())


def test_a_warning_is_not_repeated_for_each_cause(caplog: pytest.LogCaptureFixture) -> None:
    quiet = QuietLog(logging.getLogger("paxosstore.test"))
    for _ in range(5):
        quiet.warning("one", "the first kind")
        quiet.warning("other", "the second kind")
    assert caplog.messages == ["the first kind", "the second kind"]
