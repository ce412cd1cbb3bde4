"""Damage that was found while a node ran is looked at once more before the whole store is given up for it.

A block that RocksDB could not read may be sound on the disk: a cable, a volume over the network or a bit in memory gave something
else for once. Its file is read again, all of it, past what the system remembers: if it is sound, the node goes on with its store.
A block that is really damaged is so at any look.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import Damaged, DirectoryInUse, NodeError
from .durable import forget_cached
from .rocks_table import RocksTable

MAX_SPARED = 3
"""So often a node keeps its store, in one process: who needs it more often has memory, or a disk, that is not fit for any."""
ROWS, ROWS_BYTES = 4_096, 1 << 22
_FILE = re.compile(r"(\d{6,})\.sst\b")


def is_sound_after_all(table: Path, found: Damaged) -> bool:
    """Whether the file that the damage was found in, if it names one, can be read from end to end now. Nobody has the table open.

    Raises DirectoryInUse if somebody has.
    """
    named = _FILE.search(found.what or str(found))
    if named is None:
        return False
    try:
        with (table / named[0]).open("rb") as file:
            forget_cached(file.fileno())
        opened = RocksTable(table, compacts=False)
    except DirectoryInUse:
        raise
    except (NodeError, OSError):
        return False
    try:
        spans = [(start, end) for name, start, end in opened.files() if name.lstrip("/") == named[0]]
        for start, end in spans:
            while rows := opened.read_range(start, end + b"\0", ROWS, ROWS_BYTES):
                start = rows[-1][0] + b"\0"
        return bool(spans)
    except NodeError:
        return False
    finally:
        opened.release()
