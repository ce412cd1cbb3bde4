"""What the package shows at its top: every error, and every type that a public call takes or gives."""

from .app import App
from .client.asyncio import AsyncClient
from .client.blocking import Client
from .core.batch.overlay import View, WriteBatch
from .core.batch.published import Published
from .core.batch.request import Request
from .core.entity.install import Transfer
from .core.log.pace import Lag
from .core.log.reconcile import Comparison, Reconciliation
from .core.reentry.progress import Progress
from .core.turn.budget import BackgroundUse
from .core.turn.context import Handler
from .core.turn.memory import MemoryUse
from .errors import (
    BackupError,
    CallerError,
    ClusterError,
    CommitLimitReached,
    ConfigError,
    Damaged,
    DataDirectoryError,
    DirectoryInUse,
    DirectoryMismatch,
    DiskFull,
    Diverged,
    DuplicateUuid,
    Fault,
    InvalidRequest,
    LearnsOnly,
    NodeError,
    NoQuorum,
    NotCaughtUp,
    NotServing,
    OutcomeUnknown,
    Overloaded,
    PaxosStoreError,
    PortTaken,
    Refused,
    ReplyNotKept,
    RequestFailed,
    TooLarge,
    UnknownHandler,
    UuidExpired,
    UuidReused,
    WireError,
    WrongEntry,
)
from .runtime.blocking import BlockingNode
from .runtime.histogram import Histogram
from .runtime.links import LinkStatistics
from .runtime.node import Node, NodeStatistics
from .runtime.timekeeper import ClockStatus
from .runtime.watch import EntityChange, EntitySnapshot
from .settings import ClusterSettings, TuningSettings
from .storage.expiry import LogKept
from .storage.findings import DamageFound
from .storage.frozen import FrozenEntity

__all__ = [
    "App",
    "AsyncClient",
    "BackgroundUse",
    "BackupError",
    "BlockingNode",
    "CallerError",
    "Client",
    "ClockStatus",
    "ClusterError",
    "ClusterSettings",
    "CommitLimitReached",
    "Comparison",
    "ConfigError",
    "DamageFound",
    "Damaged",
    "DataDirectoryError",
    "DirectoryInUse",
    "DirectoryMismatch",
    "DiskFull",
    "Diverged",
    "DuplicateUuid",
    "EntityChange",
    "EntitySnapshot",
    "Fault",
    "FrozenEntity",
    "Handler",
    "Histogram",
    "InvalidRequest",
    "Lag",
    "LearnsOnly",
    "LinkStatistics",
    "LogKept",
    "MemoryUse",
    "NoQuorum",
    "Node",
    "NodeError",
    "NodeStatistics",
    "NotCaughtUp",
    "NotServing",
    "OutcomeUnknown",
    "Overloaded",
    "PaxosStoreError",
    "PortTaken",
    "Progress",
    "Published",
    "Reconciliation",
    "Refused",
    "ReplyNotKept",
    "Request",
    "RequestFailed",
    "TooLarge",
    "Transfer",
    "TuningSettings",
    "UnknownHandler",
    "UuidExpired",
    "UuidReused",
    "View",
    "WireError",
    "WriteBatch",
    "WrongEntry",
]
