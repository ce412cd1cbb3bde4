"""After a fork, what is open belongs to the parent: the child holds no lock on it, writes nothing, and is told so."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

from ..errors import NodeError


class Forked(Protocol):
    def forked(self) -> None:
        """Called in the child: give up what is shared with the parent, and undo nothing there."""
        ...


_open: WeakSet[Forked] = WeakSet()


def give_up_in_child(thing: Forked) -> None:
    """Have its `forked` called in every child that this process forks from now on."""
    _open.add(thing)


def keep_for_ever(thing: object) -> None:
    """Never destroy it, not even when the interpreter ends."""
    with suppress(ImportError):
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def used_in_child(path: Path) -> NodeError:
    return NodeError(
        f"{path}: this process was forked from the one that has it open: use it there, or start processes afresh "
        "(multiprocessing: the start method 'spawn')"
    )


def _in_child() -> None:
    for thing in list(_open):
        thing.forked()
    if _open:
        with suppress(ImportError, AttributeError):  # glibc has it; on_exit: before RocksDB waits for threads that are not here
            import ctypes

            libc = ctypes.CDLL(None)
            libc.on_exit(libc._exit, None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
