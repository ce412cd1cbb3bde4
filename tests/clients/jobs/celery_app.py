"""The application that job_celery and its worker share."""

from __future__ import annotations

from celery import Celery
from support import SERVERS, URL

MASTER = "mymaster"
NODES = ";".join(f"sentinel://{host}:{port}/0" for host, port in SERVERS) if len(SERVERS) > 1 else URL
"""Every node is a sentinel, and each names itself."""

app = Celery("tests", broker=NODES, backend=NODES)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    broker_transport_options={
        "master_name": MASTER,
        "retry_on_timeout": True,  # or a task that was just taken is forgotten with the node
        "visibility_timeout": 15,
        "unacked_restore_interval": 1,
        "socket_timeout": 10,
        "max_retries": 100,
    },
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    result_backend_transport_options={
        "master_name": MASTER,
        "retry_policy": {"timeout": 60, "max_retries": 200, "interval_step": 0.2},
    },
    result_backend_always_retry=True,  # what a task has returned is stored when the server is there again
    redis_socket_timeout=10,
    redis_retry_on_timeout=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
)


@app.task
def add(left: int, right: int) -> int:
    return left + right


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(bind=True, max_retries=3)
def flaky(self: object) -> str:
    if self.request.retries == 0:  # type: ignore[attr-defined]  # a bound task: celery has no types
        raise self.retry(countdown=1, exc=RuntimeError("the first time fails on purpose"))  # type: ignore[attr-defined]  # as above
    return "at last"
