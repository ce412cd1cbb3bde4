"""arq: jobs with results, a retry, a job for later; the worker runs in the same loop."""

from __future__ import annotations

import asyncio
import logging

from arq import Retry, create_pool
from arq.connections import RedisSettings
from arq.worker import Worker
from support import HOST, PATIENCE_S, PORT, did, harm, is_transient, patient, used

used("arq", "redis")
logging.disable(logging.CRITICAL)
SETTINGS = RedisSettings(host=HOST, port=PORT, conn_retries=100, conn_retry_delay=0.2, retry_on_timeout=True)


async def square(ctx: dict, number: int) -> int:
    return number * number


async def flaky(ctx: dict) -> str:
    if ctx["job_try"] == 1:
        raise Retry(defer=0.5)
    return "at last"


async def work() -> None:
    """As a supervisor would: a worker that ends is started again."""
    while True:
        try:
            worker = Worker(
                functions=[square, flaky],
                redis_settings=SETTINGS,
                poll_delay=0.1,
                handle_signals=False,
                job_timeout=5,
                max_tries=20,
            )
            await worker.async_run()
        except Exception as error:
            if not is_transient(error):
                raise
            await asyncio.sleep(0.2)


async def main() -> None:
    pool = await create_pool(SETTINGS)
    working = asyncio.ensure_future(work())
    jobs = []
    for number in range(40):
        if number == 20:
            await asyncio.to_thread(harm)
        jobs.append(await patient(lambda number=number: pool.enqueue_job("square", number), PATIENCE_S))
    jobs.append(await patient(lambda: pool.enqueue_job("flaky"), PATIENCE_S))
    jobs.append(await patient(lambda: pool.enqueue_job("square", 12, _defer_by=1), PATIENCE_S))
    async with asyncio.timeout(PATIENCE_S):
        values = [await patient(lambda job=job: job.result(timeout=PATIENCE_S, poll_delay=0.2), PATIENCE_S) for job in jobs]
    assert values == [*[n * n for n in range(40)], "at last", 144]
    working.cancel()
    did("42 jobs with their results, a retry, a deferred job")


asyncio.run(main())
