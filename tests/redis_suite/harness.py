"""Runs units of the suite against a server that is there already."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from paxosstore.cli.cluster import free_base_port

from .blocks import Block, State, begun, blocks_of

MOST_HANGS = 8
"""A unit with more blocks than this that hang is given up."""
PORTS_BELOW = 32
"""The suite's own processes talk to each other by a port so far below the one it is told."""
SKIPPED = {"unit/type/set": ("SRANDMEMBER with a dict containing long chain",)}
"""Blocks that cannot pass from outside, and leave a redis-server behind that answers no more."""


@dataclass(frozen=True, slots=True)
class Limits:
    block_s: float
    """A block that takes longer is killed, and its unit begins again without it."""
    unit_s: float


def run_unit(root: Path, unit: str, port: int, limits: Limits, log: Path) -> list[Block]:
    """The blocks of a unit that have ended or hung."""
    deadline = time.monotonic() + limits.unit_s
    hung: list[Block] = []
    seen: list[Block] = []
    while len(hung) <= MOST_HANGS:
        lines, stuck = _run_once(
            root, unit, port, [*SKIPPED.get(unit, ()), *(block.name for block in hung)], limits.block_s, deadline
        )
        with log.open("a", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines)
        blocks = blocks_of(unit, lines)
        seen = blocks if len(blocks) >= len(seen) else seen
        if stuck is None:
            break
        late = time.monotonic() >= deadline
        why = f"the unit's {limits.unit_s:g} s were over" if late else f"did not end within {limits.block_s:g} s"
        hung.append(Block(unit, stuck, State.HUNG, why))
        if late:
            break
    return [*seen, *hung]


def _run_once(
    root: Path, unit: str, port: int, skipped: list[str], block_s: float, deadline: float
) -> tuple[list[str], str | None]:
    """What the suite wrote, and the block that hung (None: it came to its end)."""
    base_port = free_base_port(5) + PORTS_BELOW
    options = ["--host", "127.0.0.1", "--port", str(port), "--single", unit, "--durable", "--baseport", str(base_port)]
    options += [word for name in skipped for word in ("--skiptest", name)]
    process = subprocess.Popen(
        ["tclsh", "tests/test_helper.tcl", *options],
        cwd=root,
        env={**os.environ, "TERM": "dumb"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    received, lines, block, said_s = b"", list[str](), "", time.monotonic()
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                wait_s = min(said_s + block_s, deadline) - time.monotonic()
                if wait_s <= 0:
                    return lines, block or "(before the first block)"
                if not selector.select(wait_s):
                    continue
                piece = process.stdout.read()
                if not piece:
                    return lines, None
                received += piece
                said_s = time.monotonic()
                *whole, received = received.split(b"\n")
                for line in whole:
                    lines.append(line.decode("utf-8", "replace"))
                    block = begun(lines[-1]) or block
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
