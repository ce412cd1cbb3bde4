"""Systems that lack what Linux has."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from paxosstore.storage import durable

WITHOUT = """
import os, pkgutil, signal, socket, sys
from pathlib import Path

for name in (
    "fdatasync", "posix_fallocate", "posix_fadvise", "O_DIRECTORY", "O_DIRECT", "O_CLOEXEC", "register_at_fork", "pidfd_open",
    "fork", "sched_getaffinity", "sched_setaffinity", "eventfd", "splice", "sendfile", "copy_file_range", "memfd_create",
):
    if hasattr(os, name):
        delattr(os, name)
for module, beginnings in ((socket, ("SO_REUSEPORT", "SO_INCOMING_CPU", "TCP_", "MSG_ZEROCOPY", "MSG_NOSIGNAL", "AF_VSOCK")),
                           (signal, ("SIGRT", "SIGHUP", "SIGSTOP", "SIGCONT", "SIGUSR", "SIGPWR", "pthread_", "sigtimedwait"))):
    for name in list(vars(module)):
        if name.startswith(beginnings) and name != "TCP_NODELAY":
            delattr(module, name)
for name in ("fcntl", "resource", "termios", "pwd", "grp", "_ctypes"):
    sys.modules[name] = None

import paxosstore
for module in pkgutil.walk_packages(paxosstore.__path__, "paxosstore."):
    if not module.name.endswith(".__main__") and not module.name.startswith("paxosstore.compiled."):  # those are found by it
        __import__(module.name)

from paxosstore.core.batch.overlay import WriteBatch
from paxosstore.core.interface.ready import Apply
from paxosstore.settings import ClusterSettings
from paxosstore.storage.directory import open_directory
from paxosstore.storage.rocks import RocksStore

for entry in range(1, 4):
    with open_directory(Path(sys.argv[1]), ClusterSettings("blue"), 0) as directory:
        store = RocksStore(directory.store_path)
        assert store.committed_entry(7) == entry - 1
        store.write({}, [Apply(7, entry, WriteBatch({b"dk": b"%d" % entry}))])
        store.sync()
        assert store.get(7, b"dk") == b"%d" % entry
        store.close()
"""


def test_the_package_needs_nothing_that_only_linux_has(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path / "node-0")], capture_output=True, text=True, check=False, timeout=60.0
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("answer", "synced"), [(0, ["full"]), (errno.ENOTSUP, ["full", "fsync"]), (errno.ENOTTY, ["full", "fsync"])]
)
def test_where_fsync_is_not_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: int, synced: list[str]) -> None:
    """macOS."""
    called: list[str] = []

    def full(descriptor: int, command: int) -> None:
        assert command == 51
        called.append("full")
        if answer:
            raise OSError(answer, "")

    monkeypatch.setattr(durable, "fcntl", SimpleNamespace(F_FULLFSYNC=51, fcntl=full))
    monkeypatch.delattr(os, "fdatasync", raising=False)
    monkeypatch.setattr(os, "fsync", lambda descriptor: called.append("fsync"))
    with (tmp_path / "file").open("wb") as file:
        durable.sync_data(file.fileno())
        durable.sync_file(file.fileno())
    assert called == synced * 2


def test_a_full_sync_that_fails_is_not_taken_for_one_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(descriptor: int, command: int) -> None:
        raise OSError(errno.EIO, "")

    monkeypatch.setattr(durable, "fcntl", SimpleNamespace(F_FULLFSYNC=51, fcntl=fails))
    with pytest.raises(OSError, match="5"):
        durable.sync_file(0)
