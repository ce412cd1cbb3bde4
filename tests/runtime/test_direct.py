"""Writing at once: nothing is reordered, nothing is lost, and a closed descriptor is left alone."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import uvloop

from paxosstore.runtime.direct import descriptor, write_now

MORE_THAN_A_SOCKET_TAKES = 20_000_000


def test_a_small_piece_is_there_before_the_loop_goes_on() -> None:
    async def main() -> None:
        transport, there = await _pair()
        write_now(transport, descriptor(transport), b"now")
        assert there.recv(10) == b"now"
        transport.close()
        there.close()

    uvloop.run(main())


def test_what_the_socket_does_not_take_follows_in_order() -> None:
    async def main() -> None:
        transport, there = await _pair()
        fd = descriptor(transport)
        large = bytes(range(250)) * (MORE_THAN_A_SOCKET_TAKES // 250)
        write_now(transport, fd, large)
        assert transport.get_write_buffer_size() > 0
        write_now(transport, fd, b"the end")
        transport.close()
        there.setblocking(False)
        received = bytearray()
        while piece := await asyncio.get_running_loop().sock_recv(there, 1 << 20):
            received += piece
        assert received == large + b"the end"
        there.close()

    uvloop.run(main())


def test_a_closing_transport_writes_nothing_to_what_has_its_number_now() -> None:
    async def main() -> None:
        transport, there = await _pair()
        fd = descriptor(transport)
        transport.abort()
        for _ in range(3):
            await asyncio.sleep(0)
        ends = [end for _ in range(4) for end in socket.socketpair()]  # one of them is likely to have its number
        write_now(transport, fd, b"not for you")
        for end in ends:
            end.setblocking(False)
            with suppress(BlockingIOError):
                assert end.recv(1) == b""
        for end in (*ends, there):
            end.close()

    uvloop.run(main())


async def _pair() -> tuple[asyncio.Transport, socket.socket]:
    here, there = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=here)
    return transport, there
