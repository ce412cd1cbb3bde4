"""aiocache: values, several at once, counters, expiry, its lock."""

from __future__ import annotations

import asyncio

from aiocache import Cache
from aiocache.lock import RedLock
from aiocache.serializers import JsonSerializer
from support import HOST, PORT, did, harm, patient, used

used("aiocache", "redis")


def make() -> Cache:
    try:
        return Cache(Cache.REDIS, endpoint=HOST, port=PORT, namespace="tests", serializer=JsonSerializer())
    except (TypeError, AttributeError):  # 1.0: the client is ours
        import redis.asyncio as redis
        from aiocache import RedisCache

        return RedisCache(client=redis.Redis(host=HOST, port=PORT), namespace="tests", serializer=JsonSerializer())


async def main() -> None:
    cache = make()
    for n in range(50):
        await cache.set(f"key-{n}", {"number": n}, ttl=300)
    await asyncio.to_thread(harm)
    for n in range(50):
        assert await patient(lambda n=n: cache.get(f"key-{n}")) == {"number": n}, "a value was lost"
    await cache.multi_set([(f"many-{n}", n) for n in range(20)], ttl=60)
    assert await cache.multi_get([f"many-{n}" for n in range(20)]) == list(range(20))
    await cache.increment("count", 3)
    assert await cache.exists("key-1")
    assert await cache.expire("key-1", 10)
    try:
        await cache.add("key-1", 1)
    except ValueError:
        pass
    else:
        raise AssertionError("add of a key that is there")
    inside = 0

    async def alone() -> None:
        nonlocal inside
        async with RedLock(cache, "resource", lease=5):
            inside += 1

    await asyncio.gather(*[alone() for _ in range(5)])
    assert inside == 5
    assert await cache.delete("key-1")
    await cache.clear(namespace="tests")
    assert await cache.get("key-2") is None
    await cache.close()
    did("70 values, a counter, expiry, a lock for 5")


asyncio.run(main())
