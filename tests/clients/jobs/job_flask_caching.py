"""Flask-Caching: values, memoized functions, several at once."""

from __future__ import annotations

from flask import Flask
from flask_caching import Cache
from support import HOST, PORT, did, harm, patiently, used

used("flask-caching", "redis")
app = Flask("tests")
cache = Cache(
    app, config={"CACHE_TYPE": "RedisCache", "CACHE_REDIS_HOST": HOST, "CACHE_REDIS_PORT": PORT, "CACHE_DEFAULT_TIMEOUT": 300}
)
calls: list[int] = []


@cache.memoize(timeout=60)
def slow(number: int) -> int:
    calls.append(number)
    return number * number


with app.app_context():
    for n in range(50):
        assert cache.set(f"key-{n}", {"number": n})
    assert [slow(3), slow(3)] == [9, 9]
    assert calls == [3]
    harm()
    for n in range(50):
        assert patiently(lambda n=n: cache.get(f"key-{n}")) == {"number": n}, "a value was lost"
    patiently(lambda: cache.delete_memoized(slow))
    assert patiently(lambda: slow(3)) == 9
    assert calls == [3, 3]
    assert cache.set_many({f"many-{n}": n for n in range(20)})
    assert cache.get_many(*[f"many-{n}" for n in range(20)]) == list(range(20))
    assert cache.add("key-1", 1) is False
    assert cache.has("key-1")
    assert cache.delete_many("many-1", "many-2")
    assert cache.get("many-1") is None
    cache.clear()
    assert cache.get("key-1") is None
did("70 values, a memoized function, deletions")
