"""What the workers of rq run: a worker imports its functions by name."""

from __future__ import annotations


def square(number: int) -> int:
    return number * number


def flaky() -> str:
    """Fails the first time."""
    from rq import get_current_job

    job = get_current_job()
    if job.retries_left == 2:
        raise RuntimeError("the first time fails on purpose")
    return "at last"
