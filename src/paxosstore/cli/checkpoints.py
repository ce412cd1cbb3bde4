"""A checkpoint of a node's store, running or stopped, for `paxosstore backup` and `export`."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DirectoryInUse, NodeError, NotServing
from ..storage.directory import open_directory
from ..storage.places import CHECKPOINT, a_place
from ..storage.rocks import RocksStore
from .asking import ask
from .config import Address, NodeConfig, load_config

CHECKPOINT_S = 120.0
"""How long a node may take for a checkpoint: it writes out its memory, at most."""


@contextmanager
def checkpoint_of(config: Path) -> Iterator[Path]:
    """A checkpoint of a node's store, in a place that is gone at the end: made by the node, or of a stopped one here.

    Raises DirectoryInUse, NotServing, DiskFull, NodeError.
    """
    settings = load_config(config)
    with a_place(settings.data_dir, CHECKPOINT) as (name, place):
        try:
            _ask(settings.listen.http, name)
        except ConnectionRefusedError as gone:
            _of_stopped(settings, place, gone)
        yield place


def _ask(server: Address, name: str) -> None:
    """Have a running node make it. Raises ConnectionRefusedError if nobody listens there, NodeError."""
    try:
        answer = ask(server, f"/checkpoint?name={name}", program="backup", silent_s=CHECKPOINT_S, within_s=CHECKPOINT_S)
    except ConnectionRefusedError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise NotServing(f"{server}: no checkpoint: {error}: try again, or look at the node's log") from error
    if not answer.is_good:
        raise NodeError(f"{server}: no checkpoint: {answer.text}: is this the node of that configuration file?")


def _of_stopped(settings: NodeConfig, place: Path, gone: Exception) -> None:
    try:
        with open_directory(settings.data_dir, settings.cluster, settings.node, create=False) as directory:
            store = RocksStore(directory.store_path)
            try:
                store.checkpoint(place)
            finally:
                store.close()
    except DirectoryInUse as error:
        raise NotServing(f"the node runs, but does not answer ({gone}): try again, or look at its log") from error
