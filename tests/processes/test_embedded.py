"""The README's snippet, as programs of their own: alone it waits and says for whom, with the others it works, Ctrl-C ends it."""

from __future__ import annotations

import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest

from paxosstore.cli.cluster import HOST, free_base_port

SCRIPT = """
import asyncio
import sys
from contextlib import suppress

from paxosstore import ClusterSettings, Node

peers = {peers}


def visit(view):  # reads and writes one entity's keys, atomically and replicated
    count = int(view.get(b"visits") or b"0") + 1
    view.put(b"visits", b"%d" % count)
    return b"%d" % count


async def main(number):
    async with Node(ClusterSettings("mine"), number, peers, f"data-{{number}}", min_free_bytes=1) as node:
        await node.ready()  # a majority is there; until then it says for whom it waits
        print(await node.execute(42, visit), flush=True)
        await asyncio.Event().wait()  # it is part of the cluster for as long as it runs


with suppress(KeyboardInterrupt):
    asyncio.run(main(int(sys.argv[1])))
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    base = free_base_port(3)
    path = tmp_path / "visits.py"
    path.write_text(SCRIPT.format(peers=[(HOST, base + node) for node in range(3)]))
    return path


def start(script: Path, number: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(script), str(number)]
    return subprocess.Popen(command, cwd=script.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def line_of(stream: IO[str] | None, seconds: float = 30.0) -> str:
    """The next line that comes; fails if none does."""
    assert stream is not None
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if select.select([stream], [], [], 1.0)[0]:
            return stream.readline()
    raise AssertionError("not a word")


def end(program: subprocess.Popen[str]) -> None:
    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=60)
    assert "Traceback" not in said, said
    assert program.returncode == 0


def test_alone_it_says_for_whom_it_waits_and_ends_at_ctrl_c(script: Path) -> None:
    alone = start(script, 0)
    try:
        said = line_of(alone.stderr)
        assert re.search(r"node 0 waits for its peers: waits for node 1 .*, node 2 .*: a new cluster begins", said), said
        assert alone.poll() is None
        end(alone)
    finally:
        alone.kill()
        alone.communicate()


def test_with_the_others_it_works(script: Path) -> None:
    programs = [start(script, number) for number in range(3)]
    try:
        assert sorted(line_of(program.stdout) for program in programs) == ["b'1'\n", "b'2'\n", "b'3'\n"]
        for program in programs:
            end(program)
    finally:
        for program in programs:
            program.kill()
            program.communicate()
