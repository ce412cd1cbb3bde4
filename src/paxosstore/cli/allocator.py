"""How glibc's malloc gives memory back.

As long as its thresholds are left to themselves it raises them to the largest block that was ever freed, and keeps what lies
below. RocksDB frees whole buffers of megabytes in threads of its own: a node that holds 60 MB came to 180 MB after a million
writes, and went on.
"""

from __future__ import annotations

try:
    import ctypes
except ImportError:  # a Python that was built without it
    ctypes = None  # type: ignore[assignment]  # looked at before it is used

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
THRESHOLD_BYTES = 1024 * 1024
"""Larger blocks are mapped, so each goes back by itself; more than that at the end of the heap goes back as well."""


def give_memory_back() -> bool:
    """Fix the thresholds, for this process; whether its malloc knows them: another one than glibc's does as it likes."""
    if ctypes is None:
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    done = [mallopt(name, THRESHOLD_BYTES) for name in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD)]
    return all(done)
