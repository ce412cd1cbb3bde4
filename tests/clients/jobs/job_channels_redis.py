"""channels_redis: its layer with groups, and its layer over publish and subscribe."""

from __future__ import annotations

import asyncio

from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer
from support import PATIENCE_S, URL, did, harm, patient, used

used("channels-redis", "redis")


async def queue() -> None:
    layer = RedisChannelLayer(hosts=[URL], capacity=200)
    name = await layer.new_channel()
    other = await layer.new_channel()
    for n in range(20):
        await layer.send("plain", {"type": "test", "n": n})
    await layer.group_add("group", name)
    await layer.group_add("group", other)
    await layer.group_send("group", {"type": "hello", "n": 1})
    await asyncio.to_thread(harm)
    numbers = [(await patient(lambda: layer.receive("plain")))["n"] for _ in range(20)]
    assert numbers == list(range(20)), f"messages were lost: {numbers}"
    for channel in (name, other):
        assert (await patient(lambda channel=channel: layer.receive(channel)))["n"] == 1
    await layer.group_discard("group", other)
    await layer.group_send("group", {"type": "hello", "n": 2})
    assert (await layer.receive(name))["n"] == 2
    waiting = asyncio.ensure_future(layer.receive("waited"))
    await asyncio.sleep(0.3)
    await layer.send("waited", {"type": "test", "n": 3})
    assert (await waiting)["n"] == 3
    await layer.flush()
    await layer.close_pools()


async def channel() -> None:
    layer = RedisPubSubChannelLayer(hosts=[URL])
    name = await layer.new_channel()
    await layer.group_add("group", name)
    await layer.send(name, {"type": "test", "n": 1})
    assert (await layer.receive(name))["n"] == 1
    await layer.group_send("group", {"type": "test", "n": 2})
    assert (await layer.receive(name))["n"] == 2
    await layer.flush()


async def main() -> None:
    async with asyncio.timeout(2 * PATIENCE_S):
        await queue()
        await channel()
    did("20 messages, two groups, a waiting receiver; the layer over channels")


asyncio.run(main())
