"""redis-py's Lock: a counter that is read and written under it, by four threads, loses no increment."""

from __future__ import annotations

import threading

from redis.exceptions import LockError
from support import client, did, harm, used

used("redis")
TIMES, THREADS = 15, 4
half = threading.Event()


def work() -> None:
    own = client(decode_responses=True)
    for time_ in range(TIMES):
        lock = own.lock("lock:counter", timeout=8, sleep=0.02, blocking_timeout=60)
        assert lock.acquire()
        own.set("counter", int(own.get("counter") or 0) + 1)
        if time_ == TIMES // 3:
            lock.extend(8)
            half.set()
        try:
            lock.release()
        except LockError:  # the release was repeated: the first one had been done
            assert own.get("lock:counter") != lock.local.token


threads = [threading.Thread(target=work) for _ in range(THREADS)]
for thread in threads:
    thread.start()
half.wait(60)
harm()
for thread in threads:
    thread.join()
r = client(decode_responses=True)
assert int(r.get("counter")) == TIMES * THREADS, r.get("counter")
assert r.lock("lock:counter", timeout=5).acquire(blocking_timeout=10)
did(f"{TIMES * THREADS} increments under one lock by {THREADS} threads")
