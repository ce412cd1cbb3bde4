"""The proxy between nodes: what arrives, what does not, and when."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from chaos.proxy import HOST, Line, Proxy, obey
from paxosstore.cli.cluster import free_base_port
from paxosstore.wire.frame import FrameReader, encode_frame

HELLO = b"PXSTORE\x00"
PING = b"P12345678"
MESSAGES = b"\x91message"
SOON_S = 0.1


class End:
    """One end of a connection, as a node would have it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._frames = FrameReader()

    def send(self, *payloads: bytes) -> None:
        self.writer.write(b"".join(map(encode_frame, payloads)))

    async def receive(self, within_s: float = SOON_S) -> list[bytes] | None:
        """What arrives in this time; None: nothing, and the connection has ended."""
        arrived: list[bytes] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while data := await self._reader.read(65_536):
                    arrived += self._frames.feed(data)
                return arrived or None
        return arrived


Story = Callable[[Proxy, End, End], Awaitable[None]]


def tell(story: Story) -> None:
    """Node 0 has dialled node 1 through the proxy; the story is told with the proxy and both ends."""

    async def told() -> None:
        base = free_base_port(1)
        accepted: asyncio.Queue[End] = asyncio.Queue()
        acceptor = await asyncio.start_server(lambda r, w: accepted.put_nowait(End(r, w)), HOST, base + 1)
        proxy = Proxy([base, base + 1], {(0, 1): base + 2, (1, 0): base + 3}, random.Random(1))
        await proxy.start()
        dialler = End(*await asyncio.open_connection(HOST, base + 2))
        dialled = await accepted.get()
        await story(proxy, dialler, dialled)
        for end in (dialler, dialled):
            end.writer.close()
        proxy.close()
        acceptor.close()
        await asyncio.sleep(0.01)

    asyncio.run(told())


def test_frames_pass_both_ways() -> None:
    async def story(proxy: Proxy, dialler: End, acceptor: End) -> None:
        dialler.send(HELLO, MESSAGES)
        assert await acceptor.receive() == [HELLO, MESSAGES]
        acceptor.send(HELLO)
        assert await dialler.receive() == [HELLO]
        assert proxy.counts.passed == 3

    tell(story)


def test_a_frame_in_pieces_passes_as_one() -> None:
    async def story(proxy: Proxy, dialler: End, acceptor: End) -> None:
        frame = encode_frame(MESSAGES)
        dialler.writer.write(frame[:5])
        assert await acceptor.receive() == []
        dialler.writer.write(frame[5:])
        assert await acceptor.receive() == [MESSAGES]

    tell(story)


def test_a_cut_is_one_way_and_whole_frames_follow_it() -> None:
    async def story(proxy: Proxy, dialler: End, acceptor: End) -> None:
        proxy.set_line(0, 1, Line(cut=True))
        dialler.send(HELLO, MESSAGES)
        acceptor.send(PING)
        assert await acceptor.receive() == []
        assert await dialler.receive() == [PING]
        proxy.set_line(0, 1, Line())
        dialler.send(MESSAGES)
        assert await acceptor.receive() == [MESSAGES]
        assert proxy.counts.lost == 2

    tell(story)


def test_mute_keeps_signs_of_life() -> None:
    async def story(proxy: Proxy, dialler: End, acceptor: End) -> None:
        proxy.set_line(0, 1, Line(mute=True))
        dialler.send(HELLO, PING, MESSAGES, PING)
        assert await acceptor.receive() == [HELLO, PING, PING]

    tell(story)


def test_some_frames_are_lost() -> None:
    async def story(proxy: Proxy, dialler: End, acceptor: End) -> None:
        proxy.set_line(0, 1, Line(loss=0.3))
        dialler.send(*[b"\x91%d" % number for number in range(1_000)])
        arrived = await acceptor.receive()
        assert arrived is not None
        assert 600 < len(arrived) < 800
        numbers = [int(payload[1:]) for payload in arrived]
        assert numbers == sorted(numbers)

    tell(story)


def test_frames_are_late_and_in_order() -> None:
    async def story(proxy: Proxy, dialler: End, acceptor: End) -> None:
        proxy.set_line(0, 1, Line(delay_ms=100.0))
        started = time.monotonic()
        dialler.send(*[b"\x91%d" % number for number in range(20)])
        assert await acceptor.receive(within_s=0.08) == []
        arrived: list[bytes] = []
        while len(arrived) < 20:
            assert time.monotonic() - started < 1.0
            arrived += await acceptor.receive(within_s=0.02) or []
        assert time.monotonic() - started > 0.1
        assert arrived == [b"\x91%d" % number for number in range(20)]

    tell(story)


def test_what_is_on_its_way_arrives_before_the_end() -> None:
    async def story(proxy: Proxy, dialler: End, acceptor: End) -> None:
        proxy.set_line(0, 1, Line(delay_ms=50.0))
        dialler.send(MESSAGES)
        dialler.writer.close()
        assert await acceptor.receive(within_s=1.0) == [MESSAGES]
        assert await acceptor.receive(within_s=1.0) is None

    tell(story)


def test_a_reset_ends_both_sides() -> None:
    async def story(proxy: Proxy, dialler: End, acceptor: End) -> None:
        proxy.reset(1, 0)
        dialler.send(MESSAGES)
        assert await acceptor.receive() == [MESSAGES]
        proxy.reset(0, 1)
        for end in (dialler, acceptor):
            with pytest.raises(ConnectionResetError):
                await end.receive(within_s=1.0)

    tell(story)


def test_a_damaged_stream_is_ended() -> None:
    async def story(proxy: Proxy, dialler: End, acceptor: End) -> None:
        dialler.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await dialler.receive(within_s=1.0)

    tell(story)


def test_nobody_listens_behind_the_door() -> None:
    async def story(proxy: Proxy, dialler: End, acceptor: End) -> None:
        reader, writer = await asyncio.open_connection(HOST, proxy.doors[1, 0])
        with pytest.raises(ConnectionResetError):
            await End(reader, writer).receive(within_s=1.0)
        writer.close()

    tell(story)


def test_orders() -> None:
    proxy = Proxy([1, 2], {(0, 1): 3, (1, 0): 4}, random.Random(1))
    obey(proxy, {"set": [[1, 0]], "line": {"delay_ms": 5.0, "loss": 0.1, "cut": False, "mute": False}})
    assert proxy.lines == {(0, 1): Line(), (1, 0): Line(delay_ms=5.0, loss=0.1)}
    obey(proxy, {"reset": [[0, 1]]})
    assert proxy.counts.reset == 0
