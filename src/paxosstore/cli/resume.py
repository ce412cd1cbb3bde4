"""`paxosstore resume`: an entity whose replicas differed is served again on a node whose data the operator has found right."""

from __future__ import annotations

from ..core.entity.divergence import decode
from ..core.interface.ready import StopEntity
from ..errors import InvalidRequest
from ..storage.directory import open_directory
from ..storage.rocks import RocksStore
from .config import NodeConfig


def resume_entity(config: NodeConfig, entity: int) -> str:
    """Take the mark from the disk of a stopped node; returns why the entity was stopped.

    Raises InvalidRequest if it is not, DirectoryInUse if the node runs.
    """
    with open_directory(config.data_dir, config.cluster, config.node, create=False) as directory:
        store = RocksStore(directory.store_path)
        try:
            kept = dict(store.stopped())
            if entity not in kept:
                others = ", ".join(map(str, kept)) or "none"
                raise InvalidRequest(f"entity {entity} is not stopped on node {config.node}: name one that is ({others})")
            store.write({}, [], [StopEntity(entity, "")])
            store.sync()
            return decode(kept[entity]).describe(entity, config.node)
        finally:
            store.close()
