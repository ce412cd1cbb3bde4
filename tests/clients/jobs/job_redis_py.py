"""redis-py: pipelines, optimistic transactions, a blocking queue, streams with a group, publish and subscribe."""

from __future__ import annotations

import threading
import time

import redis
from support import client, did, harm, is_transient, patiently, until, used

used("redis")
r = client(decode_responses=True)
r.ping()

# optimistic transactions by several threads: every one that was acknowledged is in the sum
acknowledged: list[int] = []


def transfers(number: int) -> None:
    own = client(decode_responses=True)
    for _ in range(30):
        with own.pipeline() as pipe:
            while True:
                try:
                    pipe.watch("balance")
                    balance = int(pipe.get("balance") or 0)
                    pipe.multi()
                    pipe.set("balance", balance + 1)
                    pipe.rpush("ledger", f"{number}:{balance + 1}")
                    pipe.execute()
                    acknowledged.append(balance + 1)
                    break
                except redis.WatchError:
                    continue
                except Exception as error:
                    if not is_transient(error):
                        raise
                    time.sleep(0.1)


threads = [threading.Thread(target=transfers, args=[n]) for n in range(3)]
for thread in threads:
    thread.start()
time.sleep(0.3)
harm()
for thread in threads:
    thread.join()
ledger = [int(line.split(":")[1]) for line in patiently(lambda: r.lrange("ledger", 0, -1))]
assert ledger == list(range(1, len(ledger) + 1)), "a transaction was torn or lost"
assert int(r.get("balance")) == len(ledger)
assert set(acknowledged) <= set(ledger)
assert len(acknowledged) == 90

# a queue with a consumer that waits
got: list[str] = []


def consume() -> None:
    own = client(decode_responses=True)
    while len(set(got)) < 50:
        item = patiently(lambda: own.blpop(["jobs"], timeout=1))
        if item is not None:
            got.append(item[1])


consumer = threading.Thread(target=consume)
consumer.start()
for number in range(50):
    r.rpush("jobs", number)
consumer.join(60)
assert sorted(set(got), key=int) == [str(n) for n in range(50)]

# a stream and its group
r.xgroup_create("events", "workers", id="0", mkstream=True)
for number in range(20):
    r.xadd("events", {"number": number})
read = r.xreadgroup("workers", "one", {"events": ">"}, count=50)
messages = next(iter(read.values()))[0] if isinstance(read, dict) else read[0][1]
assert len(messages) == 20, read
assert r.xack("events", "workers", *[identity for identity, _ in messages]) == 20
assert r.xpending("events", "workers")["pending"] == 0

# publish and subscribe
listener = r.pubsub(ignore_subscribe_messages=True)
listener.subscribe("news")
heard: list[str] = []


def hear() -> bool:
    message = listener.get_message(timeout=0.2)
    if message is not None:
        heard.append(message["data"])
    return bool(heard)


hear()
r.publish("news", "hello")
until(hear, "a message")
r.zadd("board", {"a": 1, "b": 2})
assert r.zrevrange("board", 0, -1, withscores=True)
for number in range(100):
    r.hset("card", f"field-{number}", number)
assert len(dict(r.hscan_iter("card"))) == 100
did(f"{len(ledger)} transactions under WATCH by 3 threads, 50 waited-for items, a stream's group, a channel")
