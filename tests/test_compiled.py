"""Compiled or pure: the same seed runs the same way; nothing compiled runs where it must not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import import_module
from importlib.machinery import ExtensionFileLoader
from pathlib import Path

import pytest

import paxosstore
from paxosstore.compiled import BUILD, FOLDER, PACKAGE, STAMP, WHY_PURE

COMPILED_ONLY = pytest.mark.skipif(bool(WHY_PURE), reason=f"nothing is compiled here: {WHY_PURE}")
HASHES = """
from paxosstore.compiled import BUILD
from paxosstore.sim.plan import draw_plan
from paxosstore.sim.simulation import Simulation
from paxosstore.sim.workload import STANDARD
print(BUILD)
for seed in range(8):
    print(seed, Simulation(draw_plan(seed, STANDARD), STANDARD).run().trace_hash)
"""


def run(*arguments: str, pure: str = "", path: Path = PACKAGE.parent) -> list[str]:
    """What Python prints, line by line, over the package that lies there."""
    environment = {**os.environ, "PAXOSSTORE_PURE": pure, "PYTHONPATH": str(path), "PYTHONHASHSEED": "0"}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.splitlines()


def version(pure: str = "", path: Path = PACKAGE.parent) -> str:
    return run("-m", "paxosstore", "--version", pure=pure, path=path)[0].removeprefix(f"paxosstore {paxosstore.__version__}, ")


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The package, as a copy that may be changed."""
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / PACKAGE.name


@COMPILED_ONLY
def test_a_seed_runs_the_same_way_compiled_and_pure() -> None:
    first, *compiled = run("-c", HASHES)
    assert first == "compiled"
    first, *pure = run("-c", HASHES, pure="1")
    assert first == "pure (PAXOSSTORE_PURE is set)"
    assert pure == compiled
    assert len(pure) == 8


@COMPILED_ONLY
def test_what_the_stamp_lists_is_what_runs() -> None:
    listed = [line.split()[1] for line in (FOLDER / STAMP).read_text().splitlines()[1:]]
    assert "core/entry/machine.py" in listed
    for path in listed:
        name = f"paxosstore.{path.removesuffix('.py').replace('/', '.')}"
        assert isinstance(import_module(name).__loader__, ExtensionFileLoader), name


def test_it_can_be_kept_pure() -> None:
    assert version(pure="1") == "pure (PAXOSSTORE_PURE is set)"
    assert version(pure="0") == version()
    if not WHY_PURE:
        assert version() == BUILD


@COMPILED_ONLY
def test_what_was_changed_since_it_was_compiled_does_not_run_as_it_was(copied: Path) -> None:
    assert version(path=copied.parent) == "compiled"
    with (copied / "core/log/log.py").open("a") as file:
        file.write("# another one\n")
    assert version(path=copied.parent) == "pure (core/log/log.py has changed since it was compiled: make install)"
    (copied / "core/log/log.py").write_bytes((PACKAGE / "core/log/log.py").read_bytes())
    assert version(path=copied.parent) == "compiled", "it goes by what stands there, not by when it was written"


@COMPILED_ONLY
def test_what_is_half_built_does_not_run(copied: Path) -> None:
    stamp = copied / "compiled" / STAMP
    lines = stamp.read_text().splitlines()
    stamp.unlink()
    assert version(path=copied.parent) == "pure (not compiled)"
    stamp.write_text("\n".join([".cpython-27-pdp11.so", *lines[1:]]))
    assert version(path=copied.parent) == "pure (compiled for another Python: .cpython-27-pdp11.so)"
