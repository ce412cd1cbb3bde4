"""A disk becomes full while it is in use, keeps what it has, and gets room again."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chaos.disk import SmallDisk, release, why_not


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    if reason := why_not(tmp_path):
        pytest.skip(reason)
    disk = SmallDisk(tmp_path / "disk")
    disk.mount()
    yield disk
    disk.unmount()


def test_it_becomes_full_and_is_freed(disk: SmallDisk) -> None:
    kept = disk.path / "kept"
    kept.write_bytes(b"1" * 100_000)
    disk.fill(leave_bytes=0)
    with pytest.raises(OSError, match="No space") as caught:
        (disk.path / "more").write_bytes(b"2" * 1_000_000)
    assert caught.value.errno == errno.ENOSPC
    assert kept.read_bytes() == b"1" * 100_000
    disk.free()
    (disk.path / "more").write_bytes(b"2" * 1_000_000)


def test_it_becomes_almost_full(disk: SmallDisk) -> None:
    disk.fill(leave_bytes=16_000_000)
    assert 15_000_000 < os.statvfs(disk.path).f_bavail * os.statvfs(disk.path).f_frsize <= 16_000_000
    (disk.path / "some").write_bytes(b"1" * 10_000_000)


def test_it_becomes_full_while_it_is_written_to(disk: SmallDisk) -> None:
    """The size asked for may be too small by the time that it is asked for."""
    ended = threading.Event()

    def write() -> None:
        with (disk.path / "growing").open("wb", buffering=0) as file:
            while not ended.wait(0.0005):
                with suppress(OSError):
                    file.write(b"1" * 16_384)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            disk.fill(leave_bytes=0)
            disk.free()
    finally:
        ended.set()
        writer.join()


def test_what_an_earlier_run_has_left_is_released(disk: SmallDisk) -> None:
    release(disk.path)
    assert not os.path.ismount(disk.path)
    release(disk.path)


def test_without_root_there_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    assert "root" in why_not(tmp_path)
