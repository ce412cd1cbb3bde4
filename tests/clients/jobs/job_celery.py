"""celery, broker and result backend: tasks, a group, chords, a retry and a task for later."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from subprocess import Popen

import support
from celery import chord, group
from celery_app import add, app, flaky, total
from kombu.exceptions import OperationalError
from support import PATIENCE_S, client, did, harm, is_transient, kept_running, patiently, until, used

used("celery", "kombu", "redis")
support.TRANSIENT = (*support.TRANSIENT, OperationalError)


def start() -> Popen[bytes]:
    words = [
        "-A",
        "celery_app",
        "worker",
        "--pool=threads",
        "-c",
        "2",
        "--loglevel=ERROR",
        "--without-mingle",
        "--without-gossip",
    ]
    return Popen([sys.executable, "-m", "celery", *words], cwd=Path(__file__).parent, stdin=-3, stdout=-3)


def value(identity: str) -> object:
    """A task's result by asking for it: what waits for a message may have lost it with its node."""
    until(lambda: app.AsyncResult(identity).state == "SUCCESS", f"task {identity}")
    return patiently(lambda: app.AsyncResult(identity).result)


def main() -> None:
    r = client()
    with kept_running(start) as look:
        until(lambda: bool(app.control.ping(timeout=2)) or look(), "a worker that answers")
        first = patiently(lambda: group(add.s(n, n) for n in range(15)).apply_async())
        assert first.get(timeout=PATIENCE_S) == [2 * n for n in range(15)]
        header = [add.s(n, 1) for n in range(10)]
        assert chord(header)(total.s()).get(timeout=PATIENCE_S) == sum(range(1, 11))
        sent = [patiently(lambda n=n: add.delay(n, 100)).id for n in range(15)]
        harm()
        sent += [patiently(lambda n=n: add.delay(n, 100)).id for n in range(15, 30)]
        again = patiently(flaky.delay).id
        later = patiently(lambda: add.apply_async((3, 4), countdown=2)).id
        deadline = time.monotonic() + PATIENCE_S
        values: dict[str, object] = {}
        while len(values) < 30 and time.monotonic() < deadline:
            look()
            for identity in sent:
                try:
                    result = app.AsyncResult(identity)
                    if identity not in values and result.state == "SUCCESS":
                        values[identity] = result.result
                except Exception as error:
                    if not is_transient(error):
                        raise
            time.sleep(0.2)
        missing = [n for n, identity in enumerate(sent) if identity not in values]
        assert not missing, f"tasks without a result: {missing}, queued {r.llen('celery')}, not acknowledged {r.hlen('unacked')}"
        assert [values[identity] for identity in sent] == [n + 100 for n in range(30)]
        assert value(again) == "at last"
        assert value(later) == 7
        tail = patiently(lambda: chord(header)(total.s())).id
        assert value(tail) == sum(range(1, 11))
    did("45 tasks, a group of 15, two chords of 10, a retry, a countdown")


if __name__ == "__main__":
    main()
