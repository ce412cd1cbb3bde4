"""Runs the workload under strace and reads what it did to its disk, system call by system call."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .workload import Sizes

CHANGES = (
    *("open", "openat", "openat2", "creat", "close", "write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "splice"),
    *("copy_file_range", "truncate", "ftruncate", "fallocate", "rename", "renameat", "renameat2", "link", "linkat", "symlink"),
    *("symlinkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "fsync", "fdatasync", "sync", "syncfs", "msync", "mmap"),
    *("dup", "dup2", "dup3", "lseek", "io_uring_setup", "io_submit"),
)
"""Every call that changes a disk, makes a change durable, or says where the next one goes. What is not modelled is refused."""
LONGEST_STRING = 1 << 24

_LINE = re.compile(r"(\d+) +(<\.\.\. \w+ resumed>)?(.*)")
_CALL = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+)")
_UNFINISHED = "<unfinished ...>"
_FILE = re.compile(r"(\d+)<((?:\\x[0-9a-f]{2})+)>")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_NUMBER = re.compile(r"\d+|0x[0-9a-f]+")


class Call(NamedTuple):
    """A system call that succeeded."""

    name: str
    arguments: str
    result: int
    begin: int
    """When it was entered: calls begin and end at moments counted from 0, no two at the same."""
    end: int
    """When it returned."""

    @property
    def strings(self) -> list[bytes]:
        """The strings among its arguments: paths, data."""
        return [_bytes(text) for text, _ in _STRING.findall(self.arguments)]

    @property
    def paths(self) -> list[str]:
        return [string.decode() for string in self.strings]

    @property
    def file(self) -> tuple[int, str]:
        """The descriptor it was called with and the path behind it."""
        found = _FILE.match(self.arguments)
        assert found, self.arguments[:200]
        return int(found[1]), _bytes(found[2]).decode()

    @property
    def numbers(self) -> list[int]:
        """The plain numbers among its last arguments."""
        last = self.arguments.replace("]", '"').rpartition('"')[2] or self.arguments
        return [int(part, 0) for part in last.split(", ") if _NUMBER.fullmatch(part.strip())]


class Claim(NamedTuple):
    """A line of workload.py's claims."""

    words: list[str]
    at: int


class Recording(NamedTuple):
    calls: list[Call]
    """Those that concern the disk."""
    claims: list[Claim]


def why_not() -> str:
    """Why recording is impossible here; empty if it is possible."""
    if shutil.which("strace") is None:
        return "there is no strace"
    tried = subprocess.run(
        ["strace", "--seccomp-bpf", "-f", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False
    )
    return tried.stderr.strip() if tried.returncode else ""


def record(scratch: Path, seed: int, turns: int, sizes: Sizes, *more: str) -> Recording:
    """Run the workload on the disk that is (or will be) `scratch/disk`."""
    disk, claims, trace = scratch / "disk", scratch / "claims", scratch / "trace"
    names = ",".join(f"?{name}" for name in CHANGES)
    strace = ["strace", "--seccomp-bpf", "-f", "-y", "-xx", "-s", str(LONGEST_STRING), "-o", str(trace), "-e", f"trace={names}"]
    options = {"--seed": seed, "--disk": disk, "--claims": claims, "--turns": turns}
    options |= {"--segment-bytes": sizes.segment_bytes, "--buffer-bytes": sizes.buffer_bytes}
    workload = [sys.executable, "-m", f"{__package__}.workload", *(str(word) for pair in options.items() for word in pair), *more]
    root = Path(__file__).parents[2]
    done = subprocess.run([*strace, *workload], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with trace.open() as lines:
        return _sort_out(list(_calls(lines, _hex(f"{scratch}/"))), disk, claims)


def _sort_out(calls: list[Call], disk: Path, claims: Path) -> Recording:
    recording = Recording([], [])
    for call in calls:
        if call.name == "write" and call.file[1] == str(claims):
            (line,) = call.strings
            recording.claims.append(Claim(line.decode().split(), call.begin))
        elif _hex(str(disk)) in call.arguments:
            recording.calls.append(call)
    return recording


def _calls(lines: Iterator[str], scratch: str) -> Iterator[Call]:
    """The successful calls that name something below `scratch`, in order of their return."""
    under_way: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(lines):
        match = _LINE.match(line)
        assert match, line[:200]
        thread, resumed, text = match.groups()
        begin = 2 * number
        if resumed:
            start, begin = under_way.pop(thread)
            text = start + text
        if text.endswith(_UNFINISHED):
            under_way[thread] = text.removesuffix(_UNFINISHED), begin
        elif scratch in text and (call := _CALL.match(text)) and not call[3].startswith("-"):
            assert '"...' not in call[2], f"a string was cut off: {text[:200]}"
            yield Call(call[1], call[2], int(call[3]), begin, 2 * number + 1)


def _hex(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
