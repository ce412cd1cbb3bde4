"""Memory that was freed goes back to the system, whatever order it was freed in."""

from __future__ import annotations

import subprocess
import sys

import pytest

CHILD = """
import ctypes, sys
from pathlib import Path
from paxosstore.cli.allocator import give_memory_back

if sys.argv[1] == "fixed" and not give_memory_back():
    sys.exit("another malloc")
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
BLOCK, BLOCKS = 4 << 20, 16

def take(size):
    at = libc.malloc(size)
    ctypes.memset(at, 1, size)
    return at

def rss():
    return int(Path("/proc/self/statm").read_text().split()[1]) << 12

libc.free(take(16 << 20))  # from here on glibc takes blocks of that size for small ones
before = rss()
blocks = [take(BLOCK) for _ in range(BLOCKS)]
last = take(900 << 10)  # above them, and in use
for at in blocks:
    libc.free(at)
print(rss() - before > BLOCK * BLOCKS // 2)
"""


def keeps(how: str) -> bool:
    """Whether most of what was freed stays with the process."""
    ended = subprocess.run([sys.executable, "-c", CHILD, how], capture_output=True, text=True)
    if ended.stderr:
        pytest.skip(ended.stderr)
    return ended.stdout.strip() == "True"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_was_freed_goes_back() -> None:
    assert not keeps("fixed")
    assert keeps("as it is"), "else this does nothing"
