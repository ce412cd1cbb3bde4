"""limits: fixed, moving and sliding windows."""

from __future__ import annotations

from limits import RateLimitItemPerMinute, parse
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter
from support import URL, did, harm, patiently, used

used("limits", "redis")
storage = RedisStorage(URL)
limit = RateLimitItemPerMinute(10)
kinds = (FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter)
limiters = [kind(storage) for kind in kinds]
passed = [sum(limiter.hit(limit, "user", limiter.__class__.__name__) for _ in range(5)) for limiter in limiters]
assert passed == [5, 5, 5], passed
harm()
for limiter in limiters:
    name = limiter.__class__.__name__
    more = sum(patiently(lambda limiter=limiter, name=name: limiter.hit(limit, "user", name)) for _ in range(10))
    assert 4 <= more <= 5, f"{name}: {more} more passed: hits were lost"  # one may have been counted twice
    assert limiter.get_window_stats(limit, "user", name).remaining == 0
    limiter.clear(limit, "user", name)
    assert limiter.test(limit, "user", name) or name == "MovingWindowRateLimiter"
assert storage.check()
assert parse("5/second")
storage.reset()
did("45 hits in three kinds of window")
