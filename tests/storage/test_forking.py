"""A fork of a process that has a data directory open. In processes of their own: a child ends as a child of a user's would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = """
import os, sys
from pathlib import Path
from paxosstore.core.batch.overlay import WriteBatch
from paxosstore.core.interface.ready import Apply
from paxosstore.errors import NodeError
from paxosstore.settings import ClusterSettings
from paxosstore.storage.directory import open_directory
from paxosstore.storage.rocks import RocksStore

path = Path(sys.argv[1])
directory = open_directory(path, ClusterSettings("blue"), 0)
store = RocksStore(directory.store_path, segment_bytes=65_536)

def write(entry):
    store.write({}, [Apply(7, entry, WriteBatch({b"dk%d" % entry: b"v" * 10_000}))])
    store.sync()

for entry in range(1, 31):  # over several segments: RocksDB's threads have been at work
    write(entry)
"""

CALLS = """
child = os.fork()
if child == 0:
    for call in (
        lambda: store.get(7, b"dk1"), lambda: store.load(7), lambda: store.read_log(7, 1, 9),
        lambda: list(store.scan(7, b"", b"z")), lambda: list(store.committed()), lambda: write(31),
        store.sync, store.content_hash, store.reopen,
    ):
        try:
            call()
        except NodeError as error:
            assert "was forked" in str(error) and "spawn" in str(error), error
        else:
            raise AssertionError("it went on")
    store.close()
    directory.close()
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
for entry in range(31, 61):
    write(entry)
store.close()
directory.close()
with open_directory(path, ClusterSettings("blue"), 0) as directory:
    store = RocksStore(directory.store_path)
    assert store.committed_entry(7) == 60
    assert len(list(store.scan(7, b"", b"z"))) == 60
    store.close()
"""

LOCK = """
from paxosstore.errors import DirectoryInUse
import subprocess
out, into = os.pipe()
child = os.fork()
if child == 0:
    os.read(out, 1)
    os._exit(0)
opened = [sys.executable, "-c", sys.argv[2], str(path)]
assert subprocess.run(opened, capture_output=True, text=True).stdout == "in use"
store.close()
directory.close()
assert subprocess.run(opened, capture_output=True, text=True).stdout == "opened"
os.write(into, b"x")
os.waitpid(child, 0)
"""

OPENED = """
import sys
from paxosstore.errors import DirectoryInUse
from paxosstore.settings import ClusterSettings
from paxosstore.storage.directory import open_directory
from paxosstore.storage.rocks import RocksStore
try:
    with open_directory(sys.argv[1], ClusterSettings("blue"), 0) as directory:
        RocksStore(directory.store_path).close()
    print("opened", end="")
except DirectoryInUse:
    print("in use", end="")
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def run(tmp_path: Path, story: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + story, str(tmp_path / "node-0"), OPENED],
        capture_output=True,
        text=True,
        check=False,
        timeout=60.0,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_child_is_told_and_harms_nothing(tmp_path: Path) -> None:
    run(tmp_path, CALLS)


def test_the_lock_stays_with_the_parent_and_goes_with_it(tmp_path: Path) -> None:
    run(tmp_path, LOCK)
