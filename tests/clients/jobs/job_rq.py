"""rq: jobs, their results, a retry, a job for later, with a worker and its scheduler in a process of their own."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import Popen

from rq import Queue, Retry, SimpleWorker
from rq.registry import StartedJobRegistry
from support import PATIENCE_S, client, did, harm, kept_running, patiently, until, used

WORKER = (
    "import redis, logging, support; from rq import SimpleWorker, Queue; r = support.client();"
    "SimpleWorker([Queue('default', connection=r)], connection=r).work(with_scheduler=True, logging_level='WARNING')"
)


def start() -> Popen[bytes]:
    return Popen([sys.executable, "-c", WORKER], cwd=Path(__file__).parent, stdin=-3)


def main() -> None:
    used("rq", "redis")
    r = client()
    queue = Queue(connection=r)
    caretaker = SimpleWorker([queue], connection=r)
    jobs = []
    with kept_running(start) as look:
        for number in range(40):
            if number == 20:
                harm()
            jobs.append(patiently(lambda number=number: queue.enqueue("tasks.square", number, retry=Retry(max=3))))
        again = patiently(lambda: queue.enqueue("tasks.flaky", retry=Retry(max=2)))
        later = patiently(lambda: queue.enqueue_in(timedelta(seconds=2), "tasks.square", 12, retry=Retry(max=3)))

        def done() -> bool:
            look()
            # what a worker held when it ended, or was given when its connection broke: rq's workers look for it every ten minutes
            queue.intermediate_queue.cleanup(caretaker, queue)
            StartedJobRegistry(queue=queue).cleanup(int((datetime.now(UTC) - timedelta(seconds=20)).timestamp()))
            return all(job.return_value(refresh=True) is not None for job in [*jobs, again, later])

        until(done, "all jobs done", 2 * PATIENCE_S)
    assert [job.return_value() for job in jobs] == [n * n for n in range(40)]
    assert again.return_value() == "at last"
    assert later.return_value() == 144
    did("42 jobs with their results, a retry, a scheduled job")


if __name__ == "__main__":
    main()
