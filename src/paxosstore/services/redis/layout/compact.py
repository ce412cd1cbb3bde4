"""Up to which size Redis keeps a value in a compact form. Nothing is kept differently here, but it can be seen: by OBJECT
ENCODING, and by the order in which members of small collections come.

These are settings of the node that evaluates (CONFIG SET), until it ends. What has outgrown its compact form does not return.
"""

from __future__ import annotations

DEFAULTS = {
    "hash-max-listpack-entries": 512,
    "hash-max-listpack-value": 64,
    "hll-sparse-max-bytes": 3_000,
    "set-max-intset-entries": 512,
    "stream-node-max-entries": 100,
    "zset-max-listpack-entries": 128,
    "zset-max-listpack-value": 64,
}
limits = dict(DEFAULTS)
"""As they are now: members, or bytes of a member."""
ALIASES = {name.replace("listpack", "ziplist"): name for name in DEFAULTS if "listpack" in name}
"""What these were called before Redis 7.0."""
