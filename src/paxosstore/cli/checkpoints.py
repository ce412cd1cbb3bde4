"""A checkpoint of a node's store, running or stopped, for `paxosstore backup` and `export`."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DirectoryInUse, NodeError, NotServing
from ..services.http.request import CHANGE_HEADER
from ..storage.directory import open_directory
from ..storage.places import CHECKPOINT, a_place
from ..storage.rocks import RocksStore
from .config import NodeConfig, load_config

CHECKPOINT_S = 120.0
"""How long a node may take for a checkpoint: it writes out its memory, at most."""
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def checkpoint_of(config: Path) -> Iterator[Path]:
    """A checkpoint of a node's store, in a place that is gone at the end: made by the node, or of a stopped one here.

    Raises DirectoryInUse, NotServing, DiskFull, NodeError.
    """
    settings = load_config(config)
    with a_place(settings.data_dir, CHECKPOINT) as (name, place):
        try:
            _ask(str(settings.listen.http), name)
        except ConnectionRefusedError as gone:
            _of_stopped(settings, place, gone)
        yield place


def _ask(server: str, name: str) -> None:
    """Have a running node make it. Raises ConnectionRefusedError if nobody listens there, NodeError."""
    try:
        headers = {CHANGE_HEADER.decode(): "backup"}
        request = urllib.request.Request(f"http://{server}/checkpoint?name={name}", method="POST", headers=headers)
        with _NO_PROXY.open(request, timeout=CHECKPOINT_S) as answer:
            answer.read(1_000)
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(1_000).decode(errors="replace").strip()
        raise NodeError(
            f"{server}: no checkpoint: {text or error.reason}: is this the node of that configuration file?"
        ) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ConnectionRefusedError):
            raise error.reason from error
        raise NotServing(f"{server}: no checkpoint: {error.reason}: try again, or look at the node's log") from error
    except OSError as error:
        raise NotServing(f"{server}: no checkpoint: {error}: try again, or look at the node's log") from error


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
