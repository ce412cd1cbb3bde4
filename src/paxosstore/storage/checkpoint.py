"""A checkpoint of a table that is written to meanwhile: its files as hard links, and its manifest as it was at one moment.

RocksDB's files are never changed once its manifest names them; they are deleted when it does not any more. So: what the manifest
says is read, all files are linked, and what the manifest says is read again. If it is the same, no file was named or forgotten in
between: every file that it names was there all the time, and is linked. What it does not name may be linked too, half-written;
`settle` has RocksDB itself delete that. (RocksDB's own checkpoint does the same, but rocksdict 0.3.29 holds the whole interpreter
for as long as it takes: a slow disk would stop the node.)

"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from ..errors import NodeError
from .journal import create_journal
from .rocks_table import RocksTable

TABLE = "rocksdb"
DATA_FILES = (".sst", ".blob")
"""What never changes; the rest is small."""
TRIES = 100
PAUSE_S = 0.05
_TINY = 4_096


def link_table(table: Path, to: Path) -> None:
    """Make `to`, a checkpoint of the table's files as they are on the disk. Raises NodeError, OSError."""
    to.mkdir()
    for _ in range(TRIES):
        before = _manifest(table)
        _link_data(table, to)
        if before is not None and before == _manifest(table):
            name, size = before
            content = (table / name).read_bytes()[:size]
            (to / name).write_bytes(content)
            (to / "CURRENT").write_text(f"{name}\n", encoding="ascii")
            with suppress(FileNotFoundError):
                shutil.copyfile(table / "rocksdict-config.json", to / "rocksdict-config.json")
            return
        time.sleep(PAUSE_S)
    raise NodeError(f"{table}: its files do not stand still long enough for a checkpoint: try again when less is written")


def settle(table: Path) -> None:
    """Have RocksDB delete what the manifest of a checkpoint does not name, and find out whether all is there that it does.

    Raises Damaged, NodeError.
    """
    RocksTable(table, compacts=False).release()


def add_journal(store: Path) -> None:
    """Beside a table, so that both are a store: an empty one. Raises OSError."""
    create_journal(store / "journal", _TINY)


def _manifest(table: Path) -> tuple[str, int] | None:
    """Its name and size; None: it is being replaced."""
    try:
        name = (table / "CURRENT").read_text(encoding="ascii").strip()
        return name, (table / name).stat().st_size
    except FileNotFoundError:
        return None


def _link_data(table: Path, to: Path) -> None:
    for file in table.iterdir():
        if file.suffix in DATA_FILES:
            linked = to / file.name
            with suppress(FileNotFoundError):  # deleted meanwhile
                if linked.exists() and linked.stat().st_size == file.stat().st_size:
                    continue
                linked.unlink(missing_ok=True)  # where there are no links, of what was still being written
                link_or_copy(file, linked)


def link_or_copy(file: Path, to: Path) -> bool:
    """Whether it is a link: not every file system has them. Raises OSError."""
    try:
        os.link(file, to)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(file, to)
        return False
    return True
