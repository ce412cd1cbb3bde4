"""huey, with its queue as a list and by priority: tasks, results, a retry, a task for later, a lock."""

from __future__ import annotations

import logging
import time

from huey import PriorityRedisHuey, RedisHuey
from huey.exceptions import TaskException
from support import client, did, harm, patiently, until, used

used("huey", "redis")
logging.disable(logging.CRITICAL)


def run(kind: type, name: str, break_it: bool) -> None:
    huey = kind(name, connection_pool=client().connection_pool, blocking=True, read_timeout=1)
    failed: list[int] = []

    @huey.task()
    def square(number: int) -> int:
        return number * number

    @huey.task(retries=2, retry_delay=1)
    def flaky() -> str:
        if not failed:
            failed.append(1)
            raise RuntimeError("the first time fails on purpose")
        return "at last"

    @huey.task()
    @huey.lock_task("one at a time")
    def alone() -> str:
        return "alone"

    consumer = huey.create_consumer(workers=2, periodic=False, initial_delay=0.05, max_delay=0.2, backoff=1.1)
    consumer.start()
    results = [patiently(lambda n=n: square(n)) for n in range(15)]
    if break_it:
        harm()
    results += [patiently(lambda n=n: square(n)) for n in range(15, 30)]
    again, locked, later = patiently(flaky), patiently(alone), patiently(lambda: square.schedule((9,), delay=1))
    values: dict[int, object] = {}

    def all_there() -> bool:
        for number, result in enumerate([*results, again, locked, later]):
            if number not in values:
                try:
                    value = result.get(preserve=True)
                except TaskException:  # of the first try
                    result.reset()
                    continue
                if value is not None:
                    values[number] = value
        return len(values) == 33

    try:
        until(all_there, f"results of huey: {33 - len(values)} missing")
    finally:
        consumer.stop()
    assert [values[n] for n in range(30)] == [n * n for n in range(30)]
    assert (values[30], values[31], values[32]) == ("at last", "alone", 81)
    time.sleep(0.1)


run(RedisHuey, "plain", True)
run(PriorityRedisHuey, "priority", False)
did("2 x 33 tasks with their results, retries, delays, a lock; a list and a sorted set as the queue")
