"""dramatiq: actors with results, a retry and a delay."""

from __future__ import annotations

import logging

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from dramatiq.results.errors import ResultMissing
from support import client, did, harm, patiently, until, used

used("dramatiq", "redis")
logging.disable(logging.CRITICAL)
broker = RedisBroker(client=client(), heartbeat_timeout=5_000, requeue_deadline=1_000)
broker.add_middleware(Results(backend=RedisBackend(client=client())))
dramatiq.set_broker(broker)
failed: list[int] = []


@dramatiq.actor(store_results=True, min_backoff=100, max_backoff=1_000, max_retries=20)
def square(number: int) -> int:
    return number * number


@dramatiq.actor(store_results=True, min_backoff=100, max_backoff=1_000)
def flaky() -> str:
    if not failed:
        failed.append(1)
        raise RuntimeError("the first time fails on purpose")
    return "at last"


worker = dramatiq.Worker(broker, worker_threads=2, worker_timeout=200)
worker.start()
messages = [patiently(lambda n=n: square.send(n)) for n in range(20)]
harm()
messages += [patiently(lambda n=n: square.send(n)) for n in range(20, 40)]
messages.append(patiently(flaky.send))
messages.append(patiently(lambda: square.send_with_options(args=(9,), delay=1_000)))
values: dict[int, object] = {}


def all_there() -> bool:
    for number, message in enumerate(messages):
        if number not in values:
            try:
                values[number] = message.get_result(block=False)
            except ResultMissing:
                continue
    return len(values) == len(messages)


until(all_there, "all results")
worker.stop(timeout=2_000)
assert [values[n] for n in range(42)] == [*[n * n for n in range(40)], "at last", 81]
did("42 messages with their results, a retry, a delay")
