"""Small disks that can be made full: a tmpfs for each node, whose size is changed while it is in use."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

DISK_BYTES = 1024 * 1024 * 1024
PAGE_BYTES = 4096
FILL_ATTEMPTS = 10


def why_not(directory: Path) -> str:
    """Why no small disk can be mounted here; empty: it can."""
    if os.geteuid() != 0:
        return "only root may mount a tmpfs"
    trial = SmallDisk(directory / "trial")
    try:
        trial.mount()
    except OSError as error:
        return str(error)
    trial.unmount()
    trial.path.rmdir()
    return ""


class SmallDisk:
    """A tmpfs at `path`. It takes memory only for what is on it, full or not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mounted = False

    def mount(self) -> None:
        """Raises OSError."""
        self.path.mkdir(parents=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(self.path))
        self._mounted = True

    def fill(self, leave_bytes: int) -> None:
        """Leave this much room, or a little more if it is written to meanwhile. Raises OSError."""
        for attempt in range(FILL_ATTEMPTS):
            room = os.statvfs(self.path)
            used = (room.f_blocks - room.f_bfree) * room.f_frsize
            margin = (2**attempt - 1) * PAGE_BYTES
            try:
                return self._resize(max(PAGE_BYTES, (used + leave_bytes + margin) // PAGE_BYTES * PAGE_BYTES))
            except OSError:
                if attempt == FILL_ATTEMPTS - 1:
                    raise

    def free(self) -> None:
        """Give all room back. Raises OSError."""
        self._resize(DISK_BYTES)

    def unmount(self) -> None:
        """With all that is on it; a second call does nothing."""
        if self._mounted:
            self._mounted = False
            release(self.path)

    def _resize(self, size: int) -> None:
        _run("mount", "-o", f"remount,size={size}", str(self.path))


def release(path: Path) -> None:
    """Unmount what is mounted here, by whomever; nothing is no error. Raises OSError."""
    if os.path.ismount(path):
        _run("umount", "-l", str(path))


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise OSError(f"{command[0]} was not found") from error
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
