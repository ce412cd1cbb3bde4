"""Settings, in two groups that must not be mixed.

`ClusterSettings` have to be the same on every node for the life of the cluster: a difference breaks safety, so they are
checked in the hello between peers and kept in the data directory. `TuningSettings` may differ by node and change while it runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TypeVar

from .boundary import MAX_TIMEOUT_MS, exact_bool, exact_int, exact_number, exact_text, shown
from .errors import ConfigError

MAX_ENTRY_BYTES = 48 * 1024 * 1024
"""What one entry may hold: it has to travel in one frame (wire/frame.py)."""


MAX_NAME_CHARACTERS = 64
MAX_SERVICES_CHARACTERS = 1_024
MAX_COUNT = 1_000_000_000
"""Of anything that is counted in a setting."""
PIECES_IN_TIME = 4
"""So many pieces of a copy, or of a comparison, have to go within snapshot_timeout_ms at the rate that is set."""


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What every node must agree on, for ever."""

    cluster: str
    """Name of the cluster; peers and data directories of another name are refused."""
    nodes: int = 3
    """Replicas of every entity: 3 or 5."""
    uuid_window_entries: int = 65_536
    """For how many entries of an entity the outcome of a request with a uuid is remembered (rule 15)."""
    services: str = ""
    """How the services map their data to entities, as text: another one would not find what is there."""

    def __post_init__(self) -> None:
        exact: dict[str, str | int] = {
            "cluster": exact_text("cluster:", self.cluster, MAX_NAME_CHARACTERS, ConfigError),
            "nodes": exact_int("nodes:", self.nodes, 1, MAX_COUNT, ConfigError),
            "uuid_window_entries": exact_int("uuid_window_entries:", self.uuid_window_entries, 16, MAX_COUNT, ConfigError),
            "services": exact_text("services:", self.services, MAX_SERVICES_CHARACTERS, ConfigError),
        }
        for name, value in exact.items():
            object.__setattr__(self, name, value)
        if not self.cluster:
            raise ConfigError(f"cluster: a name of 1 to {MAX_NAME_CHARACTERS} characters is needed")
        if self.nodes not in (3, 5):
            raise ConfigError(f"nodes: {self.nodes} is not possible; a cluster has 3 or 5 nodes")


def check_name(cluster: str) -> None:
    """Raises ConfigError for what a person should not call a cluster: it is shown, compared by eye and typed."""
    if not cluster.strip() or not cluster.isprintable() or len(cluster) > MAX_NAME_CHARACTERS:
        raise ConfigError(f"cluster: {cluster!r:.100} is no name: 1 to {MAX_NAME_CHARACTERS} printable characters are needed")


@dataclass(frozen=True, slots=True)
class TuningSettings:
    """What tunes one node. Times are in milliseconds, sizes in bytes."""

    learn_only: bool = False
    """For a node under repair: it learns all that is chosen, votes for nothing, serves nobody. For its peers it is not there."""
    pre_auth: bool = True
    """Skip the prepare phase where rule 5 allows it."""
    lease_ms: float = 10.0
    """How long an active proposer is left alone before this node competes with it (a hint, rule 13)."""
    request_timeout_ms: float = 3_000.0
    """Default deadline of a request. Below the usual socket timeout of clients (5 s), many of which repeat then by themselves."""
    no_majority_ms: float = 500.0
    """How long a request that was shown to nobody waits while there are links to too few peers for a majority."""
    handover_margin_ms: float = 5.0
    """Added to the usual round trip before a handed-over request is proposed locally instead."""
    widen_margin_ms: float = 1.0
    """Added to the usual time of a vote before the peers that were not asked at first are asked too."""
    many_reads: int = 4
    """So many reads that wait together ask as few peers as make a majority; fewer ask all, and the quicker answer wins."""
    takeover_requests: int = 64
    """After so many writes of one peer and nobody else to an entity, that peer is told to be its preferred proposer."""
    suspect_ms: float = 1_000.0
    """How long a peer that missed a hand-over gets no further ones, unless it answers."""
    retry_ms: float = 100.0
    """First interval after which an unanswered proposal, question or catch-up is repeated; doubles up to 16 times."""
    backoff_ms: float = 2.0
    """First back-off after losing a race for an entry; doubles up to 64 times, randomised by half."""
    give_way_ms: float = 1_000.0
    """How long at most a peer that has lost races for an entry is let go first (a hint)."""
    notice_ms: float = 4.0
    """How long the news that an entry is chosen may wait, to travel with the next proposal or with more of its kind."""
    drive_after_ms: float = 10.0
    """How long a read waits for somebody else's undecided entry before it drives that entry itself."""
    max_commit_num: int = 512
    """Entries that one catch-up applies at most."""
    max_open_entries: int = 64
    """Undecided or unapplied entries kept in memory per entity: further ones are learned when some of these are applied."""
    max_unapplied_bytes: int = 67_108_864
    """What entities that lag, with more than one such entry, may hold of memory, a quarter of it each. Beyond it they take in
    none but the next one to be applied."""
    max_turn_applies: int = 2_000
    """After so much work of applying entries of entities that lag, the rest of theirs waits for the next turn. Units as those of
    max_turn_work; one entry at least."""
    max_queue_requests: int = 20_000
    """Waiting requests per entity; one more is refused as Overloaded."""
    max_batch_requests: int = 4_096
    """Requests proposed as one entry."""
    max_batch_bytes: int = 1_048_576
    """Soft limit of one entry's size: the batch ends with the request that crosses it."""
    max_unwritten_bytes: int = 67_108_864
    """What a node whose disk takes no writes keeps in memory of what is chosen meanwhile, so that it can be read there."""
    max_request_bytes: int = 8_388_608
    """Hard limit of what one request may carry, and of what it may write."""
    max_request_rows: int = 20_000
    """How many rows one request may visit and write: a row counts once each time it is read, written, deleted or met by a scan,
    and once more for every 4 KiB of its value. With the default a request takes some 30 ms of the node's loop."""
    max_reply_bytes: int = 16_777_216
    """Hard limit of a reply."""
    max_kept_reply_bytes: int = 65_536
    """Of a reply that is kept for repetitions of a request with a uuid. A larger one is given once; after that the outcome is
    reported as unknown."""
    max_waiting_bytes: int = 268_435_456
    """What the requests waiting on this node may hold of memory, those of its peers included; more are refused as Overloaded."""
    max_in_flight_bytes: int = 134_217_728
    """Above so much under proposal by this node, what waits is not proposed yet."""
    catch_up_entities_per_second: int = 2_000
    """How many entities that nobody asks for here, and that are further at a peer, this node begins to catch up."""
    catch_up_bytes_per_second: int = 16_777_216
    """What this node tells peers of missing entries at most, of entities that nobody waits for there."""
    max_catch_ups: int = 32
    """Entities that ask peers for missing entries at one time: an answer holds a megabyte, or a single larger entry."""
    plog_keep_entries: int = 100_000
    """How many applied entries of an entity stay in the log, for peers that catch up by entries. A row goes as soon as one of
    the three limits is exceeded; an entity's last applied one stays. With the defaults, a node that was away for a coffee
    break catches up by entries."""
    plog_keep_bytes: int = 67_108_864
    """How much of the log of all entities stays. A node that missed more copies data instead, which is less then, or quicker."""
    plog_keep_seconds: float = 900.0
    """For how long rows stay in the log, counted while the node is up."""
    max_snapshots: int = 2
    """Entities whose data is copied to this node at one time, and as many of which copies are read from it."""
    snapshot_bytes_per_second: int = 16_777_216
    """What this node sends of such copies at most, all together."""
    background_bytes_per_second: int = 67_108_864
    """What all work behind the requests (copies, catch-up, expiry, scrub, verify, backup) reads, writes and sends together.
    The more requests there are, the less of it: down to an eighth."""
    background_ms_per_second: float = 500.0
    """The same in milliseconds of a processor."""
    scrub_days: float = 14.0
    """In so many days all that lies on the disk is read once, behind the requests: damage is found while peers can mend it."""
    verify_days: float = 7.0
    """In so many days the replicas of all entities are compared once, behind the requests; one node does it."""
    verify_bytes_per_second: int = 4_194_304
    """What is read of an entity at most when it is compared, also by `paxosstore verify`, which compares eight at a time."""
    snapshot_piece_bytes: int = 131_072
    """How much of a copy is read, sent and written at one go: the larger, the quicker, and the longer others wait for it."""
    snapshot_timeout_ms: float = 5_000.0
    """After so long without a piece another peer is asked; after so long without a question a view is closed."""
    max_turn_work: int = 30_000
    """After so much work the rest waits for the next turn, so that no turn holds the loop for long. Units of about a
    microsecond: a row read or written, a KiB."""
    clock_warn_ms: float = 500.0
    """A clock that is so far from what the nodes' clocks say together is told of: in the log, status and metrics."""
    clock_limit_ms: float = 10_000.0
    """A node whose own clock is so far off begins no expiry: what is due is deleted by others, or by requests that meet it."""
    slow_sync_ms: float = 100.0
    """How long a sync may take before the node goes on without it with what needs no disk."""
    max_silent_bytes: int = 67_108_864
    """While the disk does not answer, messages of peers are kept in memory up to this; more are dropped."""
    max_mem_entities: int = 100_000
    """Entities kept in memory, some 2.3 kB each; the ones that were not used for longest leave it. One that is in use stays."""
    max_mem_entries: int = 200_000
    """Open entries kept in memory with them: not decided, or not applied yet."""
    max_mem_bytes: int = 268_435_456
    """What both take together, values of open entries included."""
    max_loads: int = 128
    """Entities that are loaded from the disk at one time; the others wait for these."""
    max_load_wait_ms: float = 2_000.0
    """A request whose entity is still not loaded after so long is refused as Overloaded."""
    max_mailbox: int = 4_096
    """Events kept for an entity that is being loaded; more are dropped (messages) or refused (requests)."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            exact: bool | int | float
            if field.type == "bool":
                exact = exact_bool(f"{field.name}:", value, ConfigError)
            elif field.type == "int":
                exact = exact_int(f"{field.name}:", value, 1, MAX_COUNT, ConfigError)
            else:
                exact = exact_number(f"{field.name}:", value, MAX_TIMEOUT_MS, ConfigError)
            object.__setattr__(self, field.name, exact)
        if self.max_reply_bytes > MAX_ENTRY_BYTES:
            raise ConfigError(f"max_reply_bytes: must be at most {MAX_ENTRY_BYTES}, not {self.max_reply_bytes}")
        if self.max_batch_bytes + self.max_request_bytes > MAX_ENTRY_BYTES:
            raise ConfigError(
                f"max_batch_bytes + max_request_bytes: an entry has to fit into one frame, so together they must be at "
                f"most {MAX_ENTRY_BYTES}, not {self.max_batch_bytes + self.max_request_bytes}"
            )
        self._check_rate("snapshot_bytes_per_second", self.snapshot_bytes_per_second, self.max_snapshots)
        self._check_rate("verify_bytes_per_second", self.verify_bytes_per_second, 1)

    def _check_rate(self, name: str, per_second: int, at_a_time: int) -> None:
        """A rate has to bring a piece well before whoever asks for it gives up, or all begins anew for ever."""
        least = math.ceil(PIECES_IN_TIME * 1_000.0 * at_a_time * self.snapshot_piece_bytes / max(self.snapshot_timeout_ms, 1e-3))
        if per_second < least:
            shared = f", of {at_a_time} at a time (max_snapshots)" if at_a_time > 1 else ""
            raise ConfigError(
                f"{name}: must be at least {least}, not {per_second}: {PIECES_IN_TIME} pieces of snapshot_piece_bytes "
                f"({self.snapshot_piece_bytes}){shared} have to go within snapshot_timeout_ms ({self.snapshot_timeout_ms:g}): a "
                "lower rate needs smaller pieces or a longer time"
            )


S = TypeVar("S", ClusterSettings, TuningSettings)


def exact_settings(cls: type[S], settings: object) -> S:
    """Settings of exactly this class, checked: of a subclass or a changed one, a copy. Raises ConfigError."""
    if not issubclass(type(settings), cls):
        raise ConfigError(f"{cls.__name__} are needed, not {shown(settings)}")
    try:
        values = {field.name: getattr(settings, field.name) for field in fields(cls)}
    except Exception:
        raise ConfigError(f"{cls.__name__} cannot be read") from None
    return cls(**values)
