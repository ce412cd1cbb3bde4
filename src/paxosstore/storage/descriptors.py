"""File descriptors: how many this process may have open, and what the store needs of them.

Without one, a flush fails, the journal gets no further segment and the node ends: so clients are refused before that.
"""

from __future__ import annotations

from contextlib import suppress

try:
    import resource
except ImportError:  # no such limits here
    resource = None  # type: ignore[assignment]  # looked at before it is used

UNLIMITED = 1 << 20
MAX_TABLE_FILES = 512
"""RocksDB's: tables and files of large values; those used least are closed."""
OTHER_FILES = 32
"""The journal's segments, manifests, logs, the lock, and what is open for a moment only."""
LEAST = 256
"""With fewer a node does not get far."""


def limit() -> int:
    """How many descriptors this process may have open."""
    if resource is None:
        return UNLIMITED
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return UNLIMITED if soft == resource.RLIM_INFINITY else min(soft, UNLIMITED)


def raise_limit(wanted: int) -> int:
    """Ask for so many, and return how many there are: the hard limit may be lower."""
    if resource is not None and limit() < wanted:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):  # a system may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return limit()


def table_files(of: int) -> int:
    """How many RocksDB may have open, of so many in all."""
    return min(MAX_TABLE_FILES, of // 4)
