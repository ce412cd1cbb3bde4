"""Which of the hot modules run: compiled by mypyc, or as they stand in their files ("pure"). The same either way, but for speed.

setup.py compiles the modules that pyproject.toml lists (`tool.paxosstore.compiled`) into this folder, beside a stamp: what each
of them was compiled from. Where the stamp does not match the sources that lie here, nothing compiled runs: neither after an
edit, nor after a checkout, nor in the middle of a build. This is imported before any other module of the package.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from hashlib import blake2b
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parent
PACKAGE = FOLDER.parent
STAMP = "STAMP"
"""First line: how this Python's extension modules end. Then, for each module that was compiled: digest, path in the package."""
SHARED = "paxosstore__mypyc"
"""The one library that all compiled modules are in; theirs are only doors to it."""
PURE = "PAXOSSTORE_PURE"
"""The environment variable that keeps everything pure."""


def digest(source: bytes) -> str:
    return blake2b(source, digest_size=16).hexdigest()


def is_forced_pure() -> bool:
    return os.environ.get(PURE, "") not in ("", "0")


class CompiledFinder:
    """Finds modules in this folder instead of beside their sources."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files
        """By the module's full name."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        file = self._files.get(name)
        return None if file is None else spec_from_file_location(name, file)


def _read_stamp() -> tuple[dict[str, str], str]:
    """The files of the compiled modules by their names, or why they cannot run."""
    try:
        suffix, *lines = (FOLDER / STAMP).read_text().splitlines()
    except (OSError, ValueError):
        return {}, "not compiled"
    if suffix not in EXTENSION_SUFFIXES:
        return {}, f"compiled for another Python: {suffix}"
    files = {SHARED: str(FOLDER / (SHARED + suffix))}
    for line in lines:
        compiled_from, path = line.split()
        try:
            source = (PACKAGE / path).read_bytes()
        except OSError:
            source = b""
        if digest(source) != compiled_from:
            return {}, f"{path} has changed since it was compiled: make install"
        stem = path.removesuffix(".py")
        files["paxosstore." + stem.replace("/", ".")] = str(FOLDER / (stem + suffix))
    return files, ""


def _choose() -> str:
    """Have the compiled modules run if they may; empty, or why they do not."""
    if is_forced_pure():
        return f"{PURE} is set"
    files, why_not = _read_stamp()
    if not why_not:
        sys.meta_path.insert(0, CompiledFinder(files))
    return why_not


WHY_PURE = _choose()
"""Empty: the compiled modules run."""
BUILD = f"pure ({WHY_PURE})" if WHY_PURE else "compiled"
"""Which modules run, in words."""
