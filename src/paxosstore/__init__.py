"""PaxosStore: a replicated, strongly consistent store that never elects a leader.

`Node` runs a replica inside an asyncio program, `BlockingNode` inside a script. See README.md and docs/.
"""

from .core.overlay import View, WriteBatch
from .errors import (
    CallerError,
    ClusterError,
    CommitLimitReached,
    NodeError,
    NoQuorum,
    OutcomeUnknown,
    PaxosStoreError,
    RequestFailed,
)
from .runtime.blocking import BlockingNode
from .runtime.node import Node, NodeStatistics
from .settings import ClusterSettings, TuningSettings

__all__ = [
    "BlockingNode",
    "CallerError",
    "ClusterError",
    "ClusterSettings",
    "CommitLimitReached",
    "NoQuorum",
    "Node",
    "NodeError",
    "NodeStatistics",
    "OutcomeUnknown",
    "PaxosStoreError",
    "RequestFailed",
    "TuningSettings",
    "View",
    "WriteBatch",
]
