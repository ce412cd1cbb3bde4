"""Wall clocks that can be set: a node under the shim sees the time of day plus what its file says."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .errors import CannotRun

SOURCE = Path(__file__).with_name("clock_shim.c")
_OFFSET = struct.Struct("=q")


def build_shim(directory: Path) -> Path:
    """Compile the shim into `directory`. Raises CannotRun."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise CannotRun("a C compiler is needed for the clocks: install gcc")
    shim = directory / "clock_shim.so"
    command = [compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(shim), str(SOURCE), "-ldl"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        raise CannotRun(f"{SOURCE.name} cannot be compiled: {built.stderr.strip()}")
    return shim


class Clock:
    """One process's wall clock."""

    def __init__(self, shim: Path, path: Path) -> None:
        self._shim = shim
        self._path = path
        path.write_bytes(_OFFSET.pack(0))

    @property
    def environment(self) -> Mapping[str, str]:
        """What the process has to be started with."""
        return {"LD_PRELOAD": str(self._shim), "CHAOS_CLOCK": str(self._path)}

    def set(self, offset_s: float) -> None:
        """Let it jump, at once, to so many seconds after the true time."""
        with self._path.open("r+b", buffering=0) as file:  # in place: the process has mapped it
            file.write(_OFFSET.pack(round(offset_s * 1e9)))
