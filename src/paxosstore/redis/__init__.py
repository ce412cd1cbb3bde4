"""A redis-py client over all nodes of a cluster: it goes on at another node by itself, and every write takes effect once.

    from paxosstore.redis import Redis

    client = Redis(["node-a:6379", "node-b:6379", "node-c:6379"])
    client.incr("visits")        # once, whatever node dies meanwhile

The same for asyncio: `from paxosstore.redis.asyncio import Redis`. It needs redis-py: `pip install paxosstore[redis]`. What it
does and what it cannot do: docs/CLIENTS.md.
"""

try:
    import redis as _redis_py  # noqa: F401
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError("paxosstore.redis needs redis-py: pip install 'paxosstore[redis]'") from missing

from .blocking import Pipeline as Pipeline
from .blocking import Redis as Redis
from .once import Again as Again

__all__ = ["Again", "Pipeline", "Redis"]
