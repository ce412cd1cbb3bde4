"""Messages of no log: to every node once, in each publisher's order, and to nobody twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from paxosstore.core.batch.overlay import View
from paxosstore.core.batch.published import Published
from paxosstore.errors import InvalidRequest, NotServing, RequestFailed, TooLarge
from paxosstore.runtime import links as links_module
from paxosstore.runtime.node import Node
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.wire.published import encode_published

from .test_links import End, FakePeer, free_addresses, run, until

CLUSTER = ClusterSettings("test")


def handler(view: View, payload: bytes) -> bytes:
    view.put(b"k", payload)
    view.publish(b"from a request", payload)
    if payload == b"raise":
        raise ValueError("as asked")
    return b"done"


def test_each_message_reaches_every_node_once_in_its_publishers_order(tmp_path: Path) -> None:
    async def story() -> None:
        addresses = free_addresses(3)
        nodes = [
            Node(CLUSTER, me, addresses, tmp_path / str(me), handlers={"h": handler}, min_free_bytes=1, fatal=pytest.fail)
            for me in range(3)
        ]
        got: list[list[Published]] = [[], [], []]
        for node, heard in zip(nodes, got, strict=True):
            node.on_published.append(heard.extend)
        with pytest.raises(NotServing):
            nodes[0].publish(b"c", b"")
        await asyncio.gather(*(node.start() for node in nodes))
        await asyncio.gather(*(node.ready(timeout_ms=20_000) for node in nodes))
        await until(lambda: all(node.is_up(peer) for node in nodes for peer in range(3)))
        sent: list[list[Published]] = [[], [], []]
        for number in range(200):
            for me, node in enumerate(nodes):
                message = Published(b"c%d" % me, b"%d" % number, number % 3)
                node.publish(message.channel, message.payload, kind=message.kind)
                assert got[me][-1] == message, "its own listeners at once"
                sent[me].append(message)
            if number % 7 == 0:
                await asyncio.sleep(0)
        await until(lambda: all(len(heard) == 600 for heard in got))
        for heard in got:
            for me in range(3):
                assert [message for message in heard if message.channel == b"c%d" % me] == sent[me]

        for heard in got:
            heard.clear()
        await nodes[1].execute(5, lambda view: view.put(b"k", b"mine"))  # from now on others hand over to it
        for number in range(20):
            for me, node in enumerate(nodes):
                node.publish(b"before", b"%d" % me)
                await node.call(5, "h", b"%d %d" % (me, number))
                with pytest.raises(RequestFailed):
                    await node.call(5, "h", b"raise")
        await until(lambda: all(len(heard) == 120 for heard in got))
        assert sum(node.statistics().counters["handed_over"] for node in nodes) > 0
        for heard in got:
            for me in range(3):
                mine = [m for m in heard if m.payload.split(b" ")[0] == b"%d" % me]
                assert [m.channel for m in mine] == [b"before", b"from a request"] * 20
                assert [m.payload for m in mine[1::2]] == [b"%d %d" % (me, number) for number in range(20)]
        await asyncio.gather(*(node.stop() for node in nodes))

    run(story)


@pytest.mark.parametrize(
    ("channel", "payload", "kind", "error"),
    [("c", b"", 0, InvalidRequest), (b"c", b"", 256, InvalidRequest), (b"c", bytes(70_000), 0, TooLarge)],
)
def test_what_cannot_be_published_is_refused(
    tmp_path: Path, channel: bytes, payload: bytes, kind: int, error: type[Exception]
) -> None:
    async def story() -> None:
        tuning = TuningSettings(max_request_bytes=65_536)
        async with Node(CLUSTER, 0, free_addresses(3), tmp_path, tuning, min_free_bytes=1, fatal=pytest.fail) as node:
            with pytest.raises(error):
                node.publish(channel, payload, kind=kind)

    run(story)


def test_a_listener_that_fails_fails_alone(tmp_path: Path) -> None:
    def broken(messages: Sequence[Published]) -> None:
        raise RuntimeError("mine")

    async def story() -> None:
        heard: list[Published] = []
        async with Node(CLUSTER, 0, free_addresses(3), tmp_path, min_free_bytes=1, fatal=pytest.fail) as node:
            node.on_published += [broken, heard.extend]
            node.publish(b"c", b"p")
        assert heard == [Published(b"c", b"p")]

    run(story)


def test_a_peer_that_does_not_read_loses_messages_and_keeps_its_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_module, "MAX_PUBLISHED_BYTES", 100_000)

    async def story() -> None:
        addresses = free_addresses(2)
        peer = FakePeer(reads=False)
        await peer.serve(addresses[1])
        end = End(0, addresses)
        await end.links.start()
        await until(lambda: end.up(1))
        frames = encode_published([Published(b"c", bytes(20_000))])
        for _ in range(1_000):
            end.links.broadcast(frames, 1)
        statistics = end.links.statistics()[1]
        assert statistics.up
        assert statistics.queued_bytes < 200_000
        assert 0 < statistics.published_lost < 1_000
        await end.links.close()
        await peer.close()

    run(story)
