"""Signals: which ones end a node, and what of its requests under way."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from contextlib import suppress

import pytest

from paxosstore.cli.cluster import HOST, LocalCluster
from paxosstore.cli.resp_client import RespClient
from paxosstore.cli.serve import GRACE_S
from paxosstore.errors import PaxosStoreError
from paxosstore.services.card.client import CardClient


def test_what_a_terminal_or_a_tool_may_send_ends_no_node(shared: LocalCluster) -> None:
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE):
        shared.signal(0, number)
    deadline = time.monotonic() + 10.0
    while "SIGUSR2 is ignored" not in shared.log(0) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert shared.is_healthy(0)
    for name in ("SIGUSR1", "SIGUSR2"):
        assert f"{name} is ignored" in shared.log(0)


def test_a_stop_under_load_leaves_no_outcome_unknown(cluster: LocalCluster) -> None:
    """Each caller of the node that stops hears how its request ended."""
    refused: list[PaxosStoreError] = []

    async def write(card: int) -> int:
        done = 0
        async with CardClient([cluster.card_servers[0]], timeout_s=10.0) as client:
            await client.insert(card)
            try:
                while True:
                    await client.update(card, 1)
                    done += 1
            except PaxosStoreError as error:
                refused.append(error)
        return done

    async def story() -> None:
        writers = [asyncio.create_task(write(card)) for card in range(20)]
        await asyncio.sleep(0.5)
        code = await asyncio.to_thread(cluster.stop, 0)
        done = await asyncio.gather(*writers)
        assert code == 0
        async with CardClient(cluster.card_servers[1:], timeout_s=10.0) as client:
            found = [(await client.select(card)).card_info.balance for card in range(20)]
        assert found == done

    asyncio.run(story())
    assert len(refused) == 20
    assert all(error.outcome_known for error in refused), [str(error) for error in refused if not error.outcome_known]


def test_redis_clients_hear_how_their_commands_ended(cluster: LocalCluster) -> None:
    replies: list[bytes] = []

    def write() -> None:
        client = socket.create_connection((HOST, cluster.redis_port(0)), timeout=10.0)
        with client, client.makefile("rb") as lines, suppress(OSError):
            while True:
                client.sendall(b"*2\r\n$4\r\nINCR\r\n$7\r\ncounter\r\n")
                line = lines.readline()
                if not line:
                    return
                replies.append(line)

    writers = [threading.Thread(target=write) for _ in range(20)]
    for writer in writers:
        writer.start()
    time.sleep(0.5)
    assert cluster.stop(0) == 0
    for writer in writers:
        writer.join(20.0)

    async def counted() -> object:
        async with RespClient(cluster.redis_servers[1:2], timeout_s=10.0) as client:
            return await client.call("GET", "counter")

    done = sum(reply.startswith(b":") for reply in replies)
    assert done > 0
    assert asyncio.run(counted()) == b"%d" % done, "what was not answered was not done"
    assert not any(reply.startswith(b"-UNKNOWN") for reply in replies)


@pytest.mark.parametrize("hurry", [False, True])
def test_a_second_signal_ends_the_patience(cluster: LocalCluster, hurry: bool) -> None:
    """A request that cannot be decided, since the others are suspended, is waited for, and no longer than it may."""
    for node in (1, 2):
        cluster.signal(node, signal.SIGSTOP)

    async def ask() -> None:
        async with CardClient([cluster.card_servers[0]], timeout_s=20.0) as client:
            with suppress(PaxosStoreError):
                await client.insert(1)

    async def story() -> float:
        asking = asyncio.create_task(ask())
        await asyncio.sleep(0.05)
        started = time.monotonic()
        cluster.signal(0, signal.SIGTERM)
        if hurry:
            await asyncio.sleep(0.1)
            cluster.signal(0, signal.SIGTERM)
        await asyncio.to_thread(cluster._processes[0].wait, GRACE_S + 10.0)
        took = time.monotonic() - started
        await asking
        return took

    took = asyncio.run(story())
    print(f"stopped within {took:.2f} s")
    assert "stopped" in cluster.log(0)
    assert "Traceback" not in cluster.log(0)
