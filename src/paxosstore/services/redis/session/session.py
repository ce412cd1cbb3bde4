"""What a client's session is set to. Its connection has one; the commands of this folder read and change it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from ..commands.once import Window
from ..commands.spec import Spec
from ..pubsub.hub import Hub, Subscriptions
from ..room import Share
from ..settings import RedisSettings
from .parameters import Parameters
from .times import Times
from .topology import Topology
from .transaction import Transaction

REDIS_VERSION = "7.0.0"
"""The version whose behaviour and texts are followed."""


class Monitors(Protocol):
    """Who listens to all commands (monitor.py)."""

    @property
    def sessions(self) -> set[Session]: ...

    def __contains__(self, session: Session) -> bool: ...

    def add(self, session: Session) -> None: ...

    def forget(self, session: Session) -> None: ...

    def tell(self, session: Session, spec: Spec, args: list[bytes]) -> None: ...


class Pause(Protocol):
    """Whether commands are held back (pausing.py)."""

    active: bool

    def begin(self, seconds: float, *, everything: bool) -> None: ...

    def end(self) -> None: ...

    def holds(self, spec: Spec, writes: bool) -> bool: ...


class Host(Protocol):
    """What the server tells the sessions."""

    @property
    def settings(self) -> RedisSettings: ...

    @property
    def specs(self) -> Mapping[bytes, Spec]:
        """Every command there is, by its name in lower case."""
        ...

    def sessions(self) -> Iterable[Session]: ...

    def seconds(self) -> float:
        """Monotonic time."""
        ...

    def now_ms(self) -> int:
        """Wall-clock time, ms since 1970."""
        ...

    @property
    def replicas(self) -> int:
        """Nodes beside this one that have every write that was answered, at least."""
        ...

    @property
    def once_window(self) -> Window:
        """For how long the cluster remembers what was done under a uuid."""
        ...

    @property
    def topology(self) -> Topology:
        """Where clients find the nodes."""
        ...

    @property
    def hub(self) -> Hub:
        """Who has subscribed to what."""
        ...

    @property
    def monitors(self) -> Monitors:
        """Who listens to all commands."""
        ...

    @property
    def pause(self) -> Pause:
        """Whether commands of this node's clients are held back."""
        ...

    @property
    def times(self) -> Times:
        """How long this node's commands take."""
        ...

    @property
    def parameters(self) -> Parameters:
        """What clients have set at this node."""
        ...

    def info(self) -> Mapping[str, Mapping[str, object]]:
        """Sections of INFO."""
        ...

    def forget_counts(self) -> None:
        """What INFO counts begins anew."""
        ...


class Sizes(NamedTuple):
    """What a connection holds for its client, in bytes."""

    descriptor: int = -1
    unstarted: int = 0
    """Of commands that have come and are not under way."""
    under_way: int = 0
    """Of commands, as far as they are not small."""
    unread: int = 0
    """Of replies and messages, as far as they are not small."""
    waits: bool = False
    """One of its commands waits for something to come."""


class Session:
    """One client's settings, and what is known of it."""

    __slots__ = (
        "active_s",
        "address",
        "confirm",
        "db",
        "drop",
        "ending",
        "host",
        "id",
        "last",
        "library",
        "local_address",
        "name",
        "proto",
        "push",
        "share",
        "silence",
        "since_s",
        "sizes",
        "subscriptions",
        "transaction",
        "unblock",
    )

    def __init__(self, host: Host, number: int, share: Share) -> None:
        self.host = host
        self.id = number
        self.share = share
        """The memory that its connection takes."""
        self.proto = 2
        self.db = 0
        self.name = b""
        self.library = {b"LIB-NAME": b"", b"LIB-VER": b""}
        self.address = ""
        self.local_address = ""
        self.last = ""
        """Name of the command under way."""
        self.ending = False
        """The connection is closed behind the reply to the command under way."""
        self.transaction = Transaction()
        self.subscriptions = Subscriptions()
        self.push: Callable[[bytes], None] = lambda message: None
        """Sends what answers no command."""
        self.drop: Callable[[], None] = lambda: None
        """Ends its connection."""
        self.unblock: Callable[[bool], bool] = lambda as_error: False
        """Ends the wait of its command that waits, as if its time were over or with an error; whether there is one."""
        self.silence: Callable[[int], None] = lambda commands: None
        """Sends no reply to so many commands to come, the one under way included."""
        self.confirm: Callable[[], None] = lambda: None
        """Called when the answer under way tells the client to expect such messages."""
        self.sizes: Callable[[], Sizes] = Sizes
        """What its connection holds for it."""
        self.since_s = self.active_s = host.seconds()

    def reset(self) -> None:
        """Back to what it was at first."""
        self.proto = 2
        self.db = 0
        self.name = b""
        self.silence(0)
        self.host.monitors.forget(self)
        self.transaction.clear()
        self.host.hub.forget(self)

    @property
    def listens(self) -> bool:
        """Whether it may do nothing but (un)subscribe: the replies to other commands could not be told from messages."""
        return self.proto == 2 and bool(self.subscriptions)

    def describe(self) -> str:
        """One line of CLIENT LIST."""
        now_s, transaction = self.host.seconds(), self.transaction
        sizes = self.sizes()
        flags = "O" * (self in self.host.monitors) + "P" * bool(self.subscriptions) + "x" * transaction.open
        flags = (flags + "b" * sizes.waits) or "N"
        return (
            f"id={self.id} addr={self.address} laddr={self.local_address}"
            f" fd={sizes.descriptor} name={self.name.decode('latin-1')}"
            f" age={int(now_s - self.since_s)} idle={int(now_s - self.active_s)} flags={flags} db={self.db}"
            f" sub={len(self.subscriptions.channels)} psub={len(self.subscriptions.patterns)}"
            f" ssub={len(self.subscriptions.shard_channels)}"
            f" multi={len(transaction.steps) if transaction.open else -1}"
            f" qbuf={sizes.unstarted} qbuf-free=0 argv-mem={sizes.under_way}"
            f" multi-mem={transaction.held if transaction.open else 0} rbs=0 rbp=0 obl={sizes.unread} oll=0 omem={sizes.unread}"
            f" tot-mem={self.share.held} events=r cmd={self.last} user=default redir=-1 resp={self.proto}"
            f" lib-name={self.library[b'LIB-NAME'].decode('latin-1')}"
            f" lib-ver={self.library[b'LIB-VER'].decode('latin-1')}\n"
        )
