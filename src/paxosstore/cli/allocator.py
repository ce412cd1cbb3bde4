"""How glibc's malloc gives memory back, and how much it keeps for the next batch.

As long as its thresholds are left to themselves it raises them to the largest block that was ever freed, and keeps what lies
below. RocksDB frees whole buffers of megabytes in threads of its own: a node that holds 60 MB came to 180 MB after a million
writes, and went on. But a batch of large values is copied some ten times on its way, a megabyte each: where all of that goes back
with every batch, a third of the time goes to the pages that come again. So some of it is kept.
"""

from __future__ import annotations

try:
    import ctypes
except ImportError:  # a Python that was built without it
    ctypes = None  # type: ignore[assignment]  # looked at before it is used

M_TRIM_THRESHOLD = -1
M_TOP_PAD = -2
M_MMAP_THRESHOLD = -3
MAPPED_BYTES = 4 * 1024 * 1024
"""Larger blocks are mapped, so each goes back by itself."""
MOST_KEPT_BYTES = 16 * 1024 * 1024
"""More than that at the end of a heap goes back …"""
KEPT_BYTES = 8 * 1024 * 1024
"""… but for so much."""


def bound_what_is_kept() -> bool:
    """Fix the thresholds, for this process; whether its malloc knows them: another one than glibc's does as it likes."""
    if ctypes is None:
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((M_MMAP_THRESHOLD, MAPPED_BYTES), (M_TRIM_THRESHOLD, MOST_KEPT_BYTES), (M_TOP_PAD, KEPT_BYTES))
    done = [mallopt(name, size) for name, size in settings]
    return all(done)
