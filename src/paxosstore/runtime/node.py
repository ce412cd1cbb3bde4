"""A node: one data directory, one shard, its links to the peers. The public face of the library below the services."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.context import Handler, Identity
from ..core.entity import NOBODY
from ..core.event import PeerDown, PeerUp, Received, WritesAllowed
from ..core.ids import FIRST_ENTRY, MAX_ENTITY, is_uuid, majority
from ..core.message import Message
from ..core.overlay import DATA, View, WriteBatch
from ..core.reach import describe
from ..core.record import Record
from ..core.request import Request
from ..core.shard import Shard
from ..errors import InvalidRequest, NotCaughtUp, NotServing, PaxosStoreError
from ..settings import ClusterSettings, TuningSettings
from ..storage.body import MsgpackBodyCodec
from ..storage.directory import Directory, open_directory
from ..storage.rocks import RocksStore
from .histogram import Histogram
from .links import Links, LinkStatistics
from .loop import TurnLoop, end_process, now_ms

log = logging.getLogger(__name__)

DISK_CHECK_S = 0.5


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    """What a node can tell of itself at one moment."""

    node: int
    serving: bool
    writes_refused_because: str
    counters: Mapping[str, int]
    entities_in_memory: int
    waiting_requests: int
    waiting_events: int
    peers: Mapping[int, LinkStatistics]
    turn_ms: Histogram
    sync_ms: Histogram
    events_per_turn: Histogram

    @property
    def no_quorum_because(self) -> str:
        """Which nodes are missing for a majority, for how long and why; empty if enough are there."""
        down = [(peer, link.down_s, link.down_reason) for peer, link in self.peers.items() if not link.up]
        nodes = len(self.peers) + 1
        return f"no quorum: {describe(down)}" if len(down) > nodes - majority(nodes) else ""


class FunctionRequest(Request):
    """A request whose function runs in this process; it cannot be handed over."""

    __slots__ = ("_done", "_function")

    def __init__(self, entity: int, function: Callable[[View], bytes | None], **options: Any) -> None:
        super().__init__(entity, **options)
        self._function = function
        self._done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def evaluate(self, view: View) -> bytes:
        reply = self._function(view)
        if reply is None:
            return b""
        if not isinstance(reply, bytes):
            raise InvalidRequest(f"a request's function must return bytes or None, not {type(reply).__name__}")
        return reply

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        if self._done.done():
            return  # the caller was cancelled
        if error is None:
            self._done.set_result(reply)
        else:
            self._done.set_exception(error)

    def __await__(self) -> Any:
        return self._done.__await__()


class CallRequest(FunctionRequest):
    """A request by the name of its handler: it can be handed over to the preferred proposer."""

    __slots__ = ("_payload", "handler")

    def __init__(self, entity: int, name: str, handler: Handler, payload: bytes, **options: Any) -> None:
        super().__init__(entity, lambda view: handler(view, payload), **options)
        self.handler = name  # type: ignore[misc]  # a class constant elsewhere, a slot here
        self._payload = payload

    def payload(self) -> bytes:
        return self._payload


class Node:
    """One replica of the store, inside a running asyncio loop.

    `peers` are the addresses of all nodes, this one's included, by node number. `handlers` are the functions that
    requests name when they may run on another node; every node needs the same ones.
    """

    def __init__(
        self,
        cluster: ClusterSettings,
        node_id: int,
        peers: Sequence[tuple[str, int]],
        data_dir: Path | str,
        tuning: TuningSettings | None = None,
        handlers: Mapping[str, Handler] | None = None,
        *,
        min_free_bytes: int = 64 * 1024 * 1024,
        fatal: Callable[[str], None] = end_process,
    ) -> None:
        if not 0 <= node_id < cluster.nodes:
            raise InvalidRequest(f"node {node_id} does not exist: nodes are 0 to {cluster.nodes - 1}")
        if len(peers) != cluster.nodes:
            raise InvalidRequest(f"{len(peers)} addresses for {cluster.nodes} nodes")
        self.cluster = cluster
        self.node_id = node_id
        self.tuning = tuning or TuningSettings()
        self.on_told: list[Callable[[], None]] = []
        """Called when requests have been settled, and before the turn goes on: for services that join their replies."""
        self.on_applied: list[Callable[[Iterable[int]], None]] = []
        """Called with the entities of which a turn has written entries to the DB, for services that follow them; quick ones."""
        self._peers = list(peers)
        self._data_dir = Path(data_dir)
        self._handlers = dict(handlers or {})
        self._min_free_bytes = min_free_bytes
        self._fatal = fatal
        self._codec = MsgpackBodyCodec()
        self._directory: Directory | None = None
        self._store: RocksStore | None = None
        self._shard: Shard | None = None
        self._turns: TurnLoop | None = None
        self._links: Links | None = None
        self._disk_timer: asyncio.TimerHandle | None = None

    # -- life

    async def start(self) -> None:
        """Open the data directory, listen, and begin to dial the peers. Raises NodeError for what stands in the way."""
        try:
            self._directory = open_directory(self._data_dir, self.cluster, self.node_id)
            self._store = RocksStore(self._directory.store_path)
            incarnation = secrets.randbits(64) | 1
            identity = Identity(self.cluster, self.tuning, self.node_id, incarnation)
            self._shard = Shard(identity, self._store, self._codec, self._handlers)
            self._turns = TurnLoop(self._shard, self._store, self._send, self._fatal)
            self._turns.on_told = self.on_told
            self._turns.on_applied = self.on_applied
            self._links = Links(
                self.node_id,
                self._peers,
                self.cluster,
                incarnation,
                self._directory.disk_id.to_bytes(16, "big"),
                on_messages=self._on_messages,
                on_up=lambda peer: self._step(PeerUp(peer)),
                on_down=lambda peer, reason: self._step(PeerDown(peer, reason)),
            )
            await self._links.start()
        except BaseException:
            await self.stop()
            raise
        self._check_disk()
        log.info("node %d of cluster %s serves from %s", self.node_id, self.cluster.cluster, self._data_dir)

    async def stop(self) -> None:
        """Stop serving. Requests that wait are ended: NotServing if they did nothing, OutcomeUnknown if that is not certain."""
        if self._disk_timer is not None:
            self._disk_timer.cancel()
        turns, self._turns = self._turns, None
        if turns is not None:
            await turns.close()
        links, self._links = self._links, None
        if links is not None:
            await links.close()
        store, self._store = self._store, None
        if store is not None:
            store.close()
        directory, self._directory = self._directory, None
        if directory is not None:
            directory.close()

    async def __aenter__(self) -> Node:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    # -- requests

    def submit(self, request: Request) -> None:
        """Take a request; its `settle` will be called once. The way in for services: no task, no future."""
        if self._turns is None:
            request.settled = True
            request.settle(b"", NotServing("the node is not running"))
            return
        self._turns.step(request)

    async def execute(
        self,
        entity: int,
        function: Callable[[View], bytes | None],
        *,
        read_only: bool = False,
        uuid: bytes = b"",
        timeout_ms: float | None = None,
    ) -> bytes:
        """Run a function on an entity's keys, atomically and replicated; returns its reply.

        The function may run several times, but takes effect once. With a `uuid` (16 bytes) a repetition gets the first
        outcome. A read-only function may run at any replica and writes nothing. Raises the tree of `errors`: a refusal
        (nothing happened) or OutcomeUnknown.
        """
        options = self._options(entity, read_only=read_only, uuid=uuid, timeout_ms=timeout_ms)
        return await self._run(FunctionRequest(entity, function, **options))

    async def call(
        self,
        entity: int,
        handler: str,
        payload: bytes,
        *,
        read_only: bool = False,
        uuid: bytes = b"",
        timeout_ms: float | None = None,
    ) -> bytes:
        """Like `execute`, by the name of a handler: the request can be handed over to the preferred proposer."""
        function = self._handlers.get(handler)
        if function is None:
            raise InvalidRequest(f"there is no handler {handler!r} on this node")
        if not isinstance(payload, bytes):
            raise InvalidRequest(f"a payload is bytes, not {type(payload).__name__}")
        options = self._options(entity, read_only=read_only, uuid=uuid, timeout_ms=timeout_ms)
        return await self._run(CallRequest(entity, handler, function, payload, **options))

    # -- the lower level of the article

    async def catch_up(self, entity: int, *, timeout_ms: float | None = None) -> int:
        """EntityCatchUp: bring committed up to everything that is chosen; returns the committed entry.

        Raises CommitLimitReached after `max_commit_num` entries if there are more: call again.
        """
        options = self._options(entity, read_only=True, uuid=b"", timeout_ms=timeout_ms)
        request = FunctionRequest(entity, lambda view: None, **options)
        request.commit_limit = 1
        await self._run(request)
        return self._open_store().committed_entry(entity)

    async def run_paxos(
        self,
        entity: int,
        entry: int,
        value: WriteBatch | Mapping[bytes, bytes | None],
        uuids: Sequence[bytes] = (),
        *,
        timeout_ms: float | None = None,
    ) -> None:
        """RunPaxos: propose writes (None deletes) at exactly this entry, which must be committed + 1.

        Raises WrongEntry if that entry is not the next one or went to another value, DuplicateUuid if one of the uuids
        was applied before, OutcomeUnknown if it was not decided in time.
        """
        if entry < FIRST_ENTRY:
            raise InvalidRequest("entries count from 1")
        if not all(map(is_uuid, uuids)):
            raise InvalidRequest("a uuid has 16 bytes")
        writes, cleared = _user_writes(value)
        request = FunctionRequest(
            entity,
            lambda view: _replay(view, writes, cleared),
            **self._options(entity, read_only=False, uuid=b"", timeout_ms=timeout_ms),
        )
        request.at_entry = entry
        request.more_uuids = tuple(uuids)
        await self._run(request)

    def get_write_batch(self, entity: int, entry: int) -> WriteBatch:
        """GetWriteBatch: what was chosen at an entry. Raises NotCaughtUp if this replica does not know it (yet)."""
        shard = self._shard
        state = None if shard is None else shard.entity(entity)
        being_written = shard is not None and state is not None and state.row_turn > shard.context.durable_turn
        if being_written and state is not None and entry >= state.committed:  # its own vote may be what makes it chosen (rule 7)
            raise NotCaughtUp(f"entry {entry} of entity {entity} is being written on node {self.node_id}")
        for _, record in self._open_store().read_log(entity, entry, entry):
            if record.chosen:
                assert record.value is not None
                return self._codec.decode(record.value.body)
        raise NotCaughtUp(f"entry {entry} of entity {entity} is not known to be chosen on node {self.node_id}")

    # -- looking in

    def statistics(self) -> NodeStatistics:
        """An immutable picture of this node. Raises NotServing before the start."""
        shard, turns, links = self._shard, self._turns, self._links
        if shard is None or turns is None or links is None:
            raise NotServing("the node is not running")
        return NodeStatistics(
            node=self.node_id,
            serving=True,
            writes_refused_because=shard.writes_refused_because,
            counters=shard.context.counters.as_dict(),
            entities_in_memory=shard.entities_in_memory,
            waiting_requests=shard.waiting_requests,
            waiting_events=turns.waiting,
            peers=links.statistics(),
            turn_ms=turns.turn_ms,
            sync_ms=turns.sync_ms,
            events_per_turn=turns.events_per_turn,
        )

    def committed(self, after: int = -1) -> Iterable[tuple[int, int]]:
        """(entity, committed entry) of every entity above `after` that this node has."""
        return self._open_store().committed(after)

    def peek(self, entity: int, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """An entity's keys as applied here, start <= key < end: nobody is asked whether that is the latest."""
        return ((key[1:], value) for key, value in self._open_store().scan(entity, DATA + start, DATA + end))

    def preferred_proposer(self, entity: int) -> int:
        """The node that proposes for this entity while it answers; negative: not known here now."""
        state = None if self._shard is None else self._shard.entity(entity)
        return NOBODY if state is None else state.last_origin

    def is_up(self, node: int) -> bool:
        """Whether there is a link to that node, or it is this one."""
        return node == self.node_id or (self._links is not None and self._links.is_up(node))

    def content_hash(self) -> str:
        """SHA-256 over all applied data: equal on nodes that have applied the same entries."""
        return self._open_store().content_hash()

    def inspect(self, entity: int, first: int, last: int) -> dict[str, Any]:
        """Pointers and rows of one entity, as plain data."""
        store = self._open_store()
        state = self._shard.entity(entity) if self._shard is not None else None
        if state is not None and state.mailbox is None:
            committed, contiguous, max_chosen, max_plog = state.pointers
            pointers: dict[str, int | None] = {
                "committed": committed,
                "contiguous_chosen": contiguous,
                "max_chosen": max_chosen,
                "max_plog": max_plog,
            }
        else:
            pointers = stored_pointers(store, entity)
        rows = [describe_row(entry, record) for entry, record in store.read_log(entity, first, last)]
        return {"entity": entity, "node": self.node_id, "in_memory": state is not None, "pointers": pointers, "rows": rows}

    # -- inside

    def _options(self, entity: int, *, read_only: bool, uuid: bytes, timeout_ms: float | None) -> dict[str, Any]:
        if not 0 <= entity <= MAX_ENTITY:
            raise InvalidRequest(f"an entity id is 0 to {MAX_ENTITY}, not {entity}")
        if uuid and not is_uuid(uuid):
            raise InvalidRequest(f"a uuid is 16 bytes, not {uuid!r:.80}")
        timeout = self.tuning.request_timeout_ms if timeout_ms is None else timeout_ms
        if timeout <= 0:
            raise InvalidRequest("timeout_ms must be greater than 0")
        return {"read_only": read_only, "uuid": uuid, "deadline_ms": now_ms() + timeout}

    async def _run(self, request: FunctionRequest) -> bytes:
        self.submit(request)
        reply: bytes = await request
        return reply

    def _open_store(self) -> RocksStore:
        if self._store is None:
            raise NotServing("the node is not running")
        return self._store

    def _step(self, event: PeerUp | PeerDown | Received | WritesAllowed) -> None:
        if self._turns is not None:
            self._turns.step(event)

    def _on_messages(self, peer: int, messages: list[Message]) -> None:
        self._step(Received(peer, messages))

    def _send(self, by_peer: dict[int, list[Message]]) -> None:
        if self._links is not None:
            self._links.send_many(by_peer)

    def _check_disk(self) -> None:
        """Refuse writes while the disk is almost full, before the store itself fails; take them again when there is room."""
        assert self._shard is not None
        if self._turns is None:
            return
        stat = os.statvfs(self._data_dir)
        free = stat.f_bavail * stat.f_frsize
        refused = bool(self._shard.writes_refused_because)
        if free < self._min_free_bytes and not refused:
            reason = f"{self._data_dir}: {free} bytes free, {self._min_free_bytes} are needed: make room"
            log.error("refusing writes: %s", reason)
            self._step(WritesAllowed(reason))
        elif refused and free >= self._min_free_bytes:
            log.info("taking writes again: %d bytes free", free)
            self._step(WritesAllowed(""))
        self._disk_timer = asyncio.get_running_loop().call_later(DISK_CHECK_S, self._check_disk)


def stored_pointers(store: RocksStore, entity: int) -> dict[str, int | None]:
    """What the disk alone says of an entity; what only memory knows is None."""
    loaded = store.load(entity)
    return {"committed": loaded.committed, "contiguous_chosen": None, "max_chosen": None, "max_plog": loaded.max_plog}


def describe_row(entry: int, record: Record) -> dict[str, Any]:
    """A PLog row as plain data."""
    value = record.value
    return {
        "entry": entry,
        "prepared": record.prepared,
        "promised": record.promised,
        "accepted": record.accepted,
        "chosen": record.chosen,
        "value_id": None if value is None else value.id.hex(),
        "value_bytes": None if value is None else len(value.body),
    }


def _user_writes(value: WriteBatch | Mapping[bytes, bytes | None]) -> tuple[dict[bytes, bytes | None], bool]:
    """A caller's writes by their own keys; a WriteBatch (as from get_write_batch) without the protocol's own spaces."""
    if isinstance(value, WriteBatch):
        return {key[1:]: data for key, data in value.writes.items() if key.startswith(DATA)}, value.cleared
    return dict(value), False


def _replay(view: View, writes: Mapping[bytes, bytes | None], cleared: bool) -> None:
    if cleared:
        view.clear()
    for key, data in writes.items():
        if data is None:
            view.delete(key)
        else:
            view.put(key, data)
