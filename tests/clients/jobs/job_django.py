"""Django's cache, by its own Redis backend and by django-redis."""

from __future__ import annotations

from django.conf import settings
from support import URL, did, harm, patiently, used

used("django", "django-redis", "redis")
settings.configure(
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": URL},
        "other": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": URL, "KEY_PREFIX": "other"},
    }
)

from django.core.cache import caches  # noqa: E402


def use(name: str, part: int) -> int:
    cache = caches[name]
    names = [f"key-{part}-{n}" for n in range(50)]
    for number, key in enumerate(names):
        patiently(lambda key=key, number=number: cache.set(key, {"number": number}, timeout=300))
    assert patiently(lambda: cache.get_many(names)) == {key: {"number": n} for n, key in enumerate(names)}
    patiently(lambda: cache.set_many({f"many-{part}-{n}": n for n in range(20)}, timeout=60))
    assert patiently(lambda: cache.get(f"many-{part}-7")) == 7
    assert patiently(lambda: cache.add(names[0], 1)) is False
    patiently(lambda: cache.set("count", 1, timeout=None))
    assert cache.incr("count", 4) == 5
    assert cache.touch(names[1], 100)
    assert cache.get_or_set(f"made-{part}", lambda: "made", 60) == "made"
    assert cache.has_key(names[1])
    cache.delete_many(names[:5])
    assert cache.get(names[0]) is None
    assert cache.get(names[5]) == {"number": 5}
    return len(names)


for cache_name in ("default", "other"):
    use(cache_name, 0)
harm()
for cache_name in ("default", "other"):
    assert patiently(lambda cache_name=cache_name: caches[cache_name].get("key-0-9")) == {"number": 9}, "a value was lost"
    use(cache_name, 1)
extra = caches["other"]
assert 0 < extra.ttl("key-1-9") <= 300
assert len(list(extra.iter_keys("key-1-*"))) == 45
with extra.lock("a lock", timeout=10):
    assert extra.delete_pattern("key-1-*") == 45
caches["default"].clear()
did("2 x 2 x 100 values, counters, expiry, patterns, a lock")
