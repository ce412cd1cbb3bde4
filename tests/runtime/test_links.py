"""Links on loopback: what arrives, what is refused, and what happens when a peer dies, freezes or lies."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from paxosstore.core.interface.message import Fill, Message, PaxosMessage, ReadQuestion
from paxosstore.errors import ConfigError, PortTaken
from paxosstore.runtime.connection import Incoming, LinkOptions
from paxosstore.runtime.links import NOT_YET, Links
from paxosstore.settings import ClusterSettings
from paxosstore.wire.codec import encode_messages
from paxosstore.wire.frame import FrameReader, encode_frame
from paxosstore.wire.hello import Hello, encode_hello, fingerprint

BLUE = ClusterSettings("blue")
FAST = LinkOptions(
    ping_interval_ms=20.0, silence_ms=200.0, hello_timeout_ms=300.0, max_backoff_ms=50.0, max_queue_bytes=300_000, max_unknown=3
)
PATIENCE_S = 20.0


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(2 * PATIENCE_S):
            await test()

    asyncio.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  # what is watched has no event to wait for
            await asyncio.sleep(0.005)


def free_addresses(count: int) -> list[tuple[str, int]]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [("127.0.0.1", one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return addresses


class End:
    """One node's links and what they have told."""

    def __init__(
        self, me: int, addresses: list[tuple[str, int]], settings: ClusterSettings = BLUE, options: LinkOptions = FAST
    ) -> None:
        self.got: list[tuple[int, Message]] = []
        self.told: list[tuple[str, int]] = []
        self.reasons: list[tuple[int, str]] = []
        """(peer, why it is down), as told."""
        self.clocks: list[tuple[int, float, float, float]] = []
        """As told: peer, its clock, when it was asked for, and came."""
        self.links = Links(
            me,
            addresses,
            settings,
            1000 + me,
            b"disk",
            on_messages=lambda peer, messages, size, disk: self.got.extend((peer, m) for m in messages),
            on_up=lambda hello: self.told.append(("up", hello.node)),
            on_down=self._on_down,
            options=options,
            on_clock=lambda *told: self.clocks.append(told),
        )

    def _on_down(self, peer: int, reason: str) -> None:
        self.reasons.append((peer, reason))
        if ("up", peer) in self.told and [what for what, number in self.told if number == peer][-1] == "up":
            self.told.append(("down", peer))

    def why(self, peer: int) -> str:
        link = self.links.statistics()[peer]
        assert link.up == (link.down_reason == "")
        assert link.up == (link.down_s == 0.0)
        return link.down_reason

    def up(self, peer: int) -> bool:
        return self.links.statistics()[peer].up


class FakePeer:
    """Node 1 as a plain server that answers the hello and then does as it is told."""

    def __init__(self, *, reads: bool = True) -> None:
        self.hellos = 0
        self.answers = True
        self._reads = reads
        self._talks: set[asyncio.Task[None]] = set()

    async def serve(self, address: tuple[str, int]) -> None:
        self._server = await asyncio.start_server(self._accept, *address, limit=1024)

    async def close(self) -> None:
        self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._talks.add(asyncio.get_running_loop().create_task(self._talk(reader, writer)))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if not FrameReader().feed(await reader.read(1024)):
                return
            self.hellos += 1
            if self.answers:
                writer.write(encode_frame(encode_hello(hello_of_node_1())))
            if not self._reads:
                await asyncio.Event().wait()
            while await reader.read(65536):
                pass
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


def hello_of_node_1(cluster: str = "blue") -> Hello:
    return Hello(cluster, fingerprint(BLUE), 1, 0, 1001, b"disk")


def test_messages_arrive_in_order_both_ways() -> None:
    async def story() -> None:
        ends = [End(me, addresses) for addresses in [free_addresses(3)] for me in range(3)]
        for end in ends:
            await end.links.start()
        await until(lambda: all(len(end.told) == 2 for end in ends))
        for number in range(200):
            same: list[Message] = [ReadQuestion(1, number)]
            ends[0].links.send_many({1: same, 2: list(same)})
            ends[1].links.send(0, [ReadQuestion(2, number)])
        big = PaxosMessage(1, 1, 1, 1, 1, False, bytes(16), bytes(5_000_000), 0, False, False)
        ends[0].links.send(1, [big])
        await until(lambda: len(ends[1].got) == 201 and len(ends[0].got) == 200 and len(ends[2].got) == 200)
        assert ends[1].got == [*((0, ReadQuestion(1, n)) for n in range(200)), (0, big)]
        assert ends[0].got == [(1, ReadQuestion(2, n)) for n in range(200)]
        assert ends[2].got == [(0, ReadQuestion(1, n)) for n in range(200)]
        await until(lambda: ends[0].links.statistics()[1].rtt_ms > 0.0)
        told = [list(end.told) for end in ends]
        for end in ends:
            await end.links.close()
            assert not end.links.connections
        assert told[0] == ends[0].told  # closing calls nobody back

    run(story)


def test_a_peers_clock_is_known_when_it_is_up_and_with_each_pong() -> None:
    async def story() -> None:
        ends = [End(me, addresses) for addresses in [free_addresses(2)] for me in range(2)]
        known_when_up: list[int] = []
        for end in ends:
            end.links._on_up = lambda hello, end=end: known_when_up.append(len(end.clocks))  # type: ignore[misc]  # a default binds the loop's name
            await end.links.start()
        await until(lambda: all(len(end.clocks) >= 4 for end in ends))
        assert all(known_when_up)
        for end in ends:
            ahead_ms = [clock_ms - received_ms for _, clock_ms, _, received_ms in end.clocks]
            assert {peer for peer, *_ in end.clocks} == {1 - end.links.me}
            assert all(sent_ms <= received_ms for _, _, sent_ms, received_ms in end.clocks)
            trips_ms = [received_ms - sent_ms for _, _, sent_ms, received_ms in end.clocks]
            here_ms = (time.time() - time.monotonic()) * 1_000.0
            assert all(-trip_ms - 20.0 <= ahead - here_ms <= 20.0 for ahead, trip_ms in zip(ahead_ms, trips_ms, strict=True))
            await end.links.close()

    run(story)


def test_equal_tuples_of_two_kinds_are_not_mixed_up() -> None:
    async def story() -> None:
        ends = [End(me, addresses) for addresses in [free_addresses(3)] for me in range(3)]
        for end in ends:
            await end.links.start()
        await until(lambda: all(len(end.told) == 2 for end in ends))
        ends[0].links.send_many({1: [ReadQuestion(5, 7)], 2: [Fill(5, 7)]})
        await until(lambda: bool(ends[1].got and ends[2].got))
        assert type(ends[1].got[0][1]) is ReadQuestion
        assert type(ends[2].got[0][1]) is Fill
        for end in ends:
            await end.links.close()

    run(story)


def test_a_message_that_cannot_be_written_is_a_loss_to_itself_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        ends = [End(me, addresses) for addresses in [free_addresses(3)] for me in range(3)]
        for end in ends:
            await end.links.start()
        await until(lambda: all(len(end.told) == 2 for end in ends))
        good, huge, odd = ReadQuestion(1, 1), ReadQuestion(2**64, 1), ReadQuestion(1.5j, 1)  # type: ignore[arg-type]  # that is the point
        ends[0].links.send_many({1: [good, huge, good, odd], 2: [odd]})
        ends[0].links.send_many({1: [good], 2: [good]})
        await until(lambda: len(ends[1].got) == 3 and len(ends[2].got) == 1)
        assert all(link.up and not link.reconnects for end in ends for link in end.links.statistics().values())
        assert "dropped 2 messages to node 1" in caplog.text
        for end in ends:
            await end.links.close()

    run(story)


def test_reconnects_after_the_peer_restarts() -> None:
    async def story() -> None:
        addresses = free_addresses(3)
        zero, one = End(0, addresses), End(1, addresses)
        await zero.links.start()
        zero.links.send(1, [ReadQuestion(1, 1)])
        assert zero.links.statistics()[1].dropped == 1  # down: dropped, not queued
        await one.links.start()
        await until(lambda: zero.up(1) and one.up(0))
        await one.links.close()
        await until(lambda: zero.told == [("up", 1), ("down", 1)])
        again = End(1, addresses)
        await again.links.start()
        await until(lambda: zero.up(1))
        zero.links.send(1, [ReadQuestion(1, 2)])
        await until(lambda: again.got == [(0, ReadQuestion(1, 2))])
        assert zero.links.statistics()[1].reconnects == 1
        assert not one.got
        told = [reason for peer, reason in zero.reasons if peer == 1]
        assert told[0] == NOT_YET
        assert "connection refused" in told
        await zero.links.close()
        await again.links.close()

    run(story)


def test_another_cluster_is_refused_by_both(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        addresses = free_addresses(3)
        zero, one = End(0, addresses), End(1, addresses, ClusterSettings("red"))
        with caplog.at_level(logging.WARNING):
            await zero.links.start()
            await one.links.start()
            await until(lambda: len(caplog.messages) >= 4)
            await asyncio.sleep(0.2)  # several more attempts
        assert len([m for m in caplog.messages if m.startswith("refused node 1") and "'red'" in m and "'blue'" in m]) == 1
        assert len([m for m in caplog.messages if m.startswith("refused node 0") and "'red'" in m and "'blue'" in m]) == 1
        assert len(caplog.messages) == 4  # each as dialler and as acceptor, once
        assert zero.told == one.told == []
        assert zero.why(1) == "refused: another cluster: the peer is of 'red', this node of 'blue'"
        assert zero.reasons.count((1, zero.why(1))) == 1, "what is no news is not told"
        await zero.links.close()
        await one.links.close()

    run(story)


def test_a_peer_under_another_number_or_with_other_settings_is_down_for_that_reason() -> None:
    async def story() -> None:
        addresses = free_addresses(3)
        zero = End(0, addresses)
        swapped = End(2, [addresses[0], addresses[2], addresses[1]])  # it calls itself 2 and listens where 1 is looked for
        other = End(1, [addresses[0], addresses[2], addresses[1]], ClusterSettings("blue", services="more"))
        for end in (zero, swapped, other):
            await end.links.start()
        await until(lambda: zero.why(1).startswith("refused") and zero.why(2).startswith("refused"))
        assert "wants to talk" in zero.why(1) or "says it is node 2" in zero.why(1)
        assert "other cluster settings" in zero.why(2)
        for end in (zero, swapped, other):
            await end.links.close()

    run(story)


async def say_hello(address: tuple[str, int], hello: Hello) -> None:
    """Dial, say it, and stay until something is answered."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(encode_frame(encode_hello(hello)))
    assert await reader.read(1)
    writer.close()


def test_a_stranger_of_another_cluster_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        zero = End(0, addresses := free_addresses(3))
        await zero.links.start()
        with caplog.at_level(logging.WARNING):
            await say_hello(addresses[0], hello_of_node_1("[red]\n" + 100 * "x")._replace(disk_id=b"\xab\xcd"))
        [line] = caplog.messages
        assert "127.0.0.1:" in line
        assert "node 1 of cluster '[red]\\nxxx" in line, "no line break of a stranger's gets into the log"
        assert "disk abcd" in line
        assert len(line) < 1_000
        await zero.links.close()

    run(story)


def test_two_processes_under_one_number_are_named(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        zero = End(0, addresses := free_addresses(3))
        await zero.links.start()
        one, other = hello_of_node_1()._replace(disk_id=b"\xaa"), hello_of_node_1()._replace(incarnation=9, disk_id=b"\xbb")
        with caplog.at_level(logging.WARNING):
            for hello in (one, one, one._replace(incarnation=2), one._replace(incarnation=3)):
                await say_hello(addresses[0], hello)  # a node that is started again
            assert not caplog.messages
            await say_hello(addresses[0], other)
            assert "node 1 of cluster 'blue' at 127.0.0.1:" in caplog.messages[0]
            assert "another data directory (disk bb, before aa)" in caplog.messages[0]
            for _ in range(3):
                for hello in (one, other):
                    await say_hello(addresses[0], hello)
        [line] = caplog.messages[1:]
        assert "two processes run as node 1 of cluster 'blue' at 127.0.0.1:" in line
        await zero.links.close()

    run(story)


@pytest.mark.parametrize(
    ("garbage", "named"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "it looks like HTTP"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "it looks like HTTP/2"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "it looks like TLS"),
        (b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "it looks like the Redis protocol"),
        (b"PING\r\n", "something that looks like the Redis protocol"),
        (encode_frame(b"hi"), "no PaxosStore peer"),
        (encode_frame(encode_messages([])), "no PaxosStore peer"),
    ],
)
def test_garbage_ends_one_connection_and_nothing_else(garbage: bytes, named: str, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        addresses = free_addresses(3)
        zero, one = End(0, addresses), End(1, addresses)
        await zero.links.start()
        await one.links.start()
        await until(lambda: zero.up(1) and one.up(0))
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                reader, writer = await asyncio.open_connection(*addresses[0])
                writer.write(garbage)
                await reader.read()  # closed by the node
                writer.close()
        assert len(caplog.messages) == 1
        assert "peer port" in caplog.text
        assert named in caplog.text
        one.links.send(0, [ReadQuestion(1, 1)])
        await until(lambda: zero.got == [(1, ReadQuestion(1, 1))])
        await zero.links.close()
        await one.links.close()

    run(story)


def test_garbage_after_a_good_hello_and_a_newer_connection() -> None:
    async def story() -> None:
        zero = End(0, addresses := free_addresses(3))
        await zero.links.start()
        connections = []
        for _ in range(2):
            reader, writer = await asyncio.open_connection(*addresses[0])
            writer.write(encode_frame(encode_hello(hello_of_node_1())))
            assert await reader.read(1)
            connections.append((reader, writer))
        (old_reader, old_writer), (reader, writer) = connections
        with suppress(ConnectionResetError):
            await old_reader.read()  # ends: the newer one has replaced it
        old_writer.close()
        good = encode_frame(encode_messages([ReadQuestion(1, 1)]))
        writer.write(good + encode_frame(b"\x99 nonsense") + good)
        await until(lambda: zero.got == 2 * [(1, ReadQuestion(1, 1))])  # the frame is whole, so what follows it can be read
        assert any(c.hello for c in zero.links.connections)
        writer.write(b"\0\0\0\x01 no checksum")
        await until(lambda: not any(c.hello for c in zero.links.connections))
        writer.close()
        await zero.links.close()

    run(story)


def test_connections_without_a_hello_are_limited_and_timed_out(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        zero = End(0, addresses := free_addresses(3))
        await zero.links.start()
        with caplog.at_level(logging.WARNING):
            silent = [await asyncio.open_connection(*addresses[0]) for _ in range(6)]
            for reader, writer in silent:
                with suppress(ConnectionResetError):
                    assert await reader.read() == b""
                writer.close()
        assert "too many connections" in caplog.text
        assert "said no hello" in caplog.text
        await zero.links.close()

    run(story)


def test_a_peer_that_stops_reading_fills_a_bounded_queue_and_its_link_ends() -> None:
    """As a whole: what was handed over in a later frame must not arrive without what came before it."""

    async def story() -> None:
        addresses = free_addresses(3)
        patient = LinkOptions(ping_interval_ms=50.0, silence_ms=500.0, max_queue_bytes=300_000, max_queue_frames=4)
        fake = FakePeer(reads=False)
        await fake.serve(addresses[1])
        zero = End(0, addresses, options=patient)
        await zero.links.start()
        await until(lambda: zero.up(1))
        row = PaxosMessage(1, 1, 1, 1, 1, False, bytes(16), bytes(100_000), 0, False, False)
        for _ in range(400):  # more than kernel buffers hold
            zero.links.send(1, [row])
        seen = zero.links.statistics()[1]
        assert seen.queued_frames <= 4  # three frames of 100 kB are the bytes' bound
        assert seen.queued_bytes <= 400_000 + 1_300_000
        assert seen.dropped >= 200
        await until(lambda: zero.told[:2] == [("up", 1), ("down", 1)])
        assert any("reads too slowly" in reason for _, reason in zero.reasons)
        await zero.links.close()
        await fake.close()

    run(story)


def test_a_peer_that_answers_no_ping_is_down() -> None:
    async def story() -> None:
        addresses = free_addresses(3)
        fake = FakePeer()
        await fake.serve(addresses[1])
        zero = End(0, addresses)
        await zero.links.start()
        await until(lambda: zero.told[:3] == [("up", 1), ("down", 1), ("up", 1)])
        fake.answers = False  # now not even the hello is answered: it is dialled again and again
        seen = fake.hellos
        await until(lambda: fake.hellos >= seen + 2 and not zero.up(1))
        assert (1, "nothing heard for 0.2 s") in zero.reasons
        await until(lambda: zero.why(1) == "no answer")
        await zero.links.close()
        await fake.close()

    run(story)


def test_live_links_stay_up_and_dead_incoming_ones_are_closed() -> None:
    async def story() -> None:
        addresses = free_addresses(3)
        zero, one = End(0, addresses), End(1, addresses)
        await zero.links.start()
        await one.links.start()
        await until(lambda: zero.up(1) and one.up(0))
        _, writer = await asyncio.open_connection(*addresses[0])
        writer.write(encode_frame(encode_hello(hello_of_node_1()._replace(node=2))))  # node 2 says hello, then nothing
        await until(lambda: any(c.hello is not None and c.hello.node == 2 for c in zero.links.connections))
        await until(lambda: all(c.hello is None or c.hello.node != 2 for c in zero.links.connections))
        writer.close()
        assert zero.told == [("up", 1)]
        assert one.told == [("up", 0)]
        await zero.links.close()
        await one.links.close()

    run(story)


def test_a_listening_address_that_cannot_be_had() -> None:
    async def story() -> None:
        addresses = free_addresses(3)
        zero = End(0, addresses)
        await zero.links.start()
        with pytest.raises(PortTaken, match=f"node 0 .*127.0.0.1:{addresses[0][1]}.*give this node another"):
            await End(0, addresses).links.start()
        with pytest.raises(ConfigError, match=r"192\.0\.2\.1"):
            await End(0, [("192.0.2.1", addresses[1][1]), *addresses[1:]]).links.start()
        await zero.links.close()

    run(story)


def test_who_is_taken_in_when_the_links_are_closed_already_is_sent_away() -> None:
    """The system has accepted it before, and the loop comes to it late."""

    async def story() -> None:
        zero = End(0, free_addresses(3), options=LinkOptions(hello_timeout_ms=1e6))
        await zero.links.start()
        await zero.links.close()
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(lambda: Incoming(zero.links), ours)
            async with asyncio.timeout(PATIENCE_S / 4):
                assert await asyncio.get_running_loop().sock_recv(theirs, 1) == b""
        assert not zero.links.connections

    run(story)


def test_a_peer_that_dials_in_the_moment_of_the_close_does_not_keep_it_from_ending() -> None:
    async def story() -> None:
        zero = End(0, free_addresses(3), options=LinkOptions(backoff_ms=1e6, max_backoff_ms=1e6))
        await zero.links.start()
        await asyncio.sleep(0.1)  # both peers are dialled, refused, and left alone for long
        for peer in zero.links._peers.values():
            peer.wake.set()
        await asyncio.sleep(0)  # the waits are over, and whoever waited does not know yet
        async with asyncio.timeout(PATIENCE_S / 4):
            await zero.links.close()

    run(story)
