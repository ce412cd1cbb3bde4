"""Nodes with other handlers: while a new version of an application is brought to one of them after the other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from paxosstore.core.batch.overlay import View
from paxosstore.errors import Fault, InvalidRequest, UnknownHandler, UuidReused
from paxosstore.runtime.node import Node
from paxosstore.settings import ClusterSettings

from .test_links import free_addresses, run


def add(view: View, payload: bytes) -> bytes:
    total = int(view.get(b"k") or b"0") + int(payload or b"0")
    view.put(b"k", b"%d" % total)
    return b"%d" % total


def total(view: View, payload: bytes) -> bytes:
    return view.get(b"k") or b"0"


def test_what_a_peer_lacks_is_done_by_the_node_that_was_asked(tmp_path: Path) -> None:
    async def story() -> None:
        addresses, handlers = free_addresses(3), [{"add": add, "total": total}, {"total": total}, {"add": add, "total": total}]
        nodes = [
            Node(
                ClusterSettings("test"),
                me,
                addresses,
                tmp_path / str(me),
                handlers=handlers[me],
                min_free_bytes=1,
                fatal=pytest.fail,
            )
            for me in range(3)
        ]
        await asyncio.gather(*(node.start() for node in nodes))
        await asyncio.gather(*(node.ready(timeout_ms=20_000) for node in nodes))
        await nodes[1].execute(5, lambda view: view.put(b"k", b"100"))  # from now on others hand over to it
        expected = 100
        for number in range(10):
            for node in (nodes[0], nodes[2]):
                expected += number
                uuid = bytes((number, node.node_id)) * 8
                for _ in range(2):  # under its uuid it is done once
                    assert await node.call(5, "add", b"%d" % number, uuid=uuid) == b"%d" % expected
                assert await node.call(5, "total", b"", read_only=True) == b"%d" % expected
                with pytest.raises(InvalidRequest):
                    await node.call(5, "add", b"1", read_only=True)
            await nodes[1].execute(5, lambda view: None)  # so that they go on to hand over
        assert sum(node.statistics().counters["handed_over"] for node in nodes) > 0
        for node in (nodes[0], nodes[2]):  # a digest is what is the same under a uuid, whatever the payload
            assert await node.call(5, "add", b"%d" % (7 + node.node_id), uuid=b"u" * 16, digest=b"d" * 16) == b"%d" % (
                expected + 7
            )
        with pytest.raises(UuidReused):
            await nodes[0].call(5, "add", b"7", uuid=b"u" * 16, digest=b"e" * 16)
        with pytest.raises(UuidReused):
            await nodes[0].call(5, "add", b"7", uuid=b"u" * 16)
        with pytest.raises(InvalidRequest, match="a digest has 16 bytes"):
            await nodes[0].call(5, "add", b"7", uuid=b"u" * 16, digest=b"short")
        expected += 7
        for read_only in (False, True):
            with pytest.raises(UnknownHandler, match="there is no handler 'add' on this node") as raised:
                await nodes[1].call(5, "add", b"1", read_only=read_only)
            assert (raised.value.fault, raised.value.retry, raised.value.outcome_known) == (Fault.CALLER, False, True)
        assert await nodes[1].call(5, "total", b"", read_only=True) == b"%d" % expected
        await asyncio.gather(*(node.stop() for node in nodes))

    run(story)
