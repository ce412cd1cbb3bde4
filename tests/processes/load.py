"""Clients that write while nodes die, and keep the accounts of what they were told."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from types import TracebackType

from paxosstore.cli.cluster import LocalCluster
from paxosstore.cli.resp_client import RespClient
from paxosstore.errors import Fault, PaxosStoreError
from paxosstore.services.card.client import CardClient

CARD = 7
MGET_KEYS = 1_000


class Load:
    """Three kinds of writers until the block ends: keys, counters, and a card whose changes carry uuids."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []
        self.keys: dict[str, bytes] = {}
        self.counted: list[int] = []
        self.counts_unknown = 0
        self.card_changes = 0

    async def __aenter__(self) -> Load:
        nodes = range(self._cluster.nodes)
        writers: list[Callable[[int], Awaitable[None]]] = [self._set, self._count]
        self._tasks = [asyncio.create_task(self._run(write, node)) for write in writers for node in nodes]
        self._tasks.append(asyncio.create_task(self._run(self._change_card, 0)))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopped = True
        if error is not None:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        else:
            await asyncio.gather(*self._tasks)

    async def more(self, writes: int = 100) -> None:
        """Until so many more keys have been written."""
        target = len(self.keys) + writes
        async with asyncio.timeout(30):
            while len(self.keys) < target:
                for task in self._tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.01)

    async def verify(self, node: int) -> None:
        """Assert through one node that nothing acknowledged is lost and nothing was done twice."""
        async with RespClient([self._cluster.redis_servers[node]], timeout_s=10.0) as client:
            names = list(self.keys)
            found: list[object] = []
            for first in range(0, len(names), MGET_KEYS):
                part = await client.call("MGET", *names[first : first + MGET_KEYS])
                assert isinstance(part, list)
                found += part
            lost = [name for name, value in zip(names, found, strict=True) if value != self.keys[name]]
            assert not lost, f"node {node} lost {len(lost)} of {len(names)} keys"
            final = await client.call("GET", "counter")
        assert isinstance(final, bytes)
        assert len(set(self.counted)) == len(self.counted), "two INCR got the same reply"
        assert max(self.counted) <= int(final)
        assert len(self.counted) <= int(final) <= len(self.counted) + self.counts_unknown
        async with CardClient([self._cluster.card_servers[node]]) as cards:
            card = await cards.select(CARD)
        assert card.card_info.balance == self.card_changes, "a change with a uuid was lost or done twice"

    async def _run(self, write: Callable[[int], Awaitable[None]], node: int) -> None:
        await write(node)

    async def _set(self, node: int) -> None:
        number = 0
        async with RespClient(self._cluster.redis_servers, node) as client:
            while not self._stopped:
                name, value = f"key:{node}:{number}", secrets.token_bytes(20)
                await client.repeat("SET", name, value)
                self.keys[name] = value
                number += 1

    async def _count(self, node: int) -> None:
        async with RespClient(self._cluster.redis_servers, node) as client:
            while not self._stopped:
                try:
                    reply = await client.call("INCR", "counter")
                except PaxosStoreError as error:
                    if error.fault is Fault.CALLER:
                        raise
                    self.counts_unknown += not error.outcome_known
                    await asyncio.sleep(0.01)
                else:
                    assert isinstance(reply, int)
                    self.counted.append(reply)

    async def _change_card(self, node: int) -> None:
        """Each change is repeated under its uuid until its outcome is known: so the balance is exact."""
        async with CardClient(self._cluster.card_servers, timeout_s=3.0) as cards:
            await self._until_known(lambda uuid: cards.insert(CARD, user_name="Ada", balance=0, uuid=uuid))
            while not self._stopped:
                await self._until_known(lambda uuid: cards.update(CARD, 1, uuid=uuid))
                self.card_changes += 1

    async def _until_known(self, change: Callable[[bytes], Awaitable[object]]) -> None:
        uuid = secrets.token_bytes(16)
        async with asyncio.timeout(30):
            while True:
                try:
                    response = await change(uuid)
                except PaxosStoreError as error:
                    if error.fault is Fault.CALLER:
                        raise
                else:
                    assert getattr(response, "code", None) == 0, response
                    return
