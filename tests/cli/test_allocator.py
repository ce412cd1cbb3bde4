"""Memory that was freed goes back to the system, whatever order it was freed in, but for what the next batch needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

FIX = """
import ctypes, resource, sys
from pathlib import Path
from paxosstore.cli.allocator import bound_what_is_kept

if sys.argv[1] == "fixed" and not bound_what_is_kept():
    sys.exit("another malloc")
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def take(size):
    at = libc.malloc(size)
    ctypes.memset(at, 1, size)
    return at
"""
BUFFERS = """
BLOCK, BLOCKS = 4 << 20, 16

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
BATCHES = """
def batch():
    for at in [take(1 << 20) for _ in range(8)]:
        libc.free(at)

for _ in range(3):
    batch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    batch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before > 10_000)  # pages of 4 KiB: twice as many are written
"""


def is_so(how: str, what: str) -> bool:
    """What a process prints whose malloc is fixed, or is as it is."""
    ended = subprocess.run([sys.executable, "-c", FIX + what, how], capture_output=True, text=True)
    if ended.stderr:
        pytest.skip(ended.stderr)
    return ended.stdout.strip() == "True"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_was_freed_goes_back() -> None:
    assert not is_so("fixed", BUFFERS)
    assert is_so("as it is", BUFFERS), "else this does nothing"


@pytest.mark.skipif(sys.platform != "linux", reason="counts pages")
def test_a_batch_finds_the_pages_of_the_one_before() -> None:
    assert not is_so("fixed", BATCHES)
    assert is_so("as it is", BATCHES), "else this does nothing"
