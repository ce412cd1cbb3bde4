"""A node: one data directory, one shard, its links to the peers. The public face of the library below the services."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from ..boundary import (
    MAX_TIMEOUT_MS,
    exact_bool,
    exact_bytes,
    exact_callable,
    exact_entity,
    exact_function,
    exact_int,
    exact_list,
    exact_number,
    exact_text,
    exact_uuid,
)
from ..core.batch.overlay import DATA, View, WriteBatch
from ..core.batch.published import Published, exact_published
from ..core.batch.request import AT_ENTRY, DIGEST_BYTES, Request
from ..core.entry.ids import FIRST_ENTRY, MAX_ENTITY, NOBODY
from ..core.interface.event import Compare, Renew
from ..core.turn.context import Handler
from ..errors import Diverged, InvalidRequest, NotCaughtUp, NotServing, UnknownHandler
from ..settings import ClusterSettings, TuningSettings, exact_settings
from ..storage.background import Background
from ..storage.descriptors import LEAST, limit
from ..storage.epochs import Keep
from ..storage.frozen import FrozenEntity
from ..storage.places import CHECKPOINT, place_of
from ..storage.rocks import RocksStore
from .arguments import (
    MAX_ENTRY,
    MAX_HANDLER_NAME,
    MAX_UUIDS,
    exact_handlers,
    exact_path,
    exact_peers,
    exact_writes,
)
from .calls import CallRequest, FunctionRequest, replay
from .disk import beside
from .feed import Feed
from .home import Home
from .inspection import NodeStatistics as NodeStatistics
from .inspection import describe_entity, statistics_of
from .life import Given, Life
from .loop import end_process, now_ms
from .readiness import wait_until_ready
from .verify import Verifier
from .watch import EntityChange, EntitySnapshot, Watch

log = logging.getLogger(__name__)

MAX_FREE_BYTES = 2**63 - 1


class Node:
    """One replica of the store, inside a running asyncio loop: all calls belong into the loop that has started it.

    `peers` are the addresses of all nodes, this one's included, by node number. `handlers` are the functions that
    requests name when they may run on another node; every node needs the same ones. Writes are refused while fewer than
    `min_free_bytes` are free. A node that lost its disk together with others, so that too few intact ones are left, goes on with
    those that there are if `force_reentry` says so: what only the lost ones had accepted is given up. `fatal` is called with the
    reason when the node cannot go on, and by default ends the process.

    Whatever it is given is taken as exactly what its type says, or refused: InvalidRequest, ConfigError for settings.
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
        force_reentry: bool = False,
        fatal: Callable[[str], None] = end_process,
    ) -> None:
        self.cluster = exact_settings(ClusterSettings, cluster)
        self.node_id = exact_int("node_id", node_id, 0, self.cluster.nodes - 1)
        self.tuning = TuningSettings() if tuning is None else exact_settings(TuningSettings, tuning)
        self.on_told: list[Callable[[], None]] = []
        """Called when requests have been settled, and before the turn goes on: for services that join their replies."""
        self.on_applied: list[Callable[[Iterable[int]], None]] = []
        """Called with the entities of which a turn has written entries to the DB, for services that follow them; quick ones."""
        self.on_published: list[Callable[[Sequence[Published]], None]] = []
        """Called with what is published, here and at other nodes, in each one's order; quick ones."""
        self.feed = Feed(self.node_id)
        """Tells whoever follows an entity each entry that is applied to it: for services, beside their own queues."""
        self._given = Given(
            self.cluster,
            self.node_id,
            exact_peers(peers, self.cluster.nodes),
            exact_path("data_dir", data_dir),
            exact_handlers(handlers),
            exact_int("min_free_bytes", min_free_bytes, 0, MAX_FREE_BYTES),
            exact_bool("force_reentry", force_reentry),
            exact_callable("fatal", fatal),
        )
        self._life = Life(self._given, self)
        self.submit: Callable[[Request], None] = self._life.gate.submit
        """Take a request; its `settle` will be called once. The way in for services: no task, no future.

        Raises InvalidRequest for what is no exact request: `entity` an int, `uuid` bytes, `deadline_ms` a time.
        """
        self.background = Background()
        """What goes on behind the requests shares this: bytes and processor time per second. Another one after each start."""
        self.elsewhere: dict[int, str] = {}
        """Where the services of the other nodes are reached, by number: told to those whom this node does not serve."""
        self.verifier = Verifier(self._verify, self.committed, lambda: self.tuning.verify_bytes_per_second)
        """Compares replicas for whoever asks."""

    # -- life

    async def start(self) -> None:
        """Open the data directory, listen, and begin to dial the peers; after `stop`, again.

        Raises NodeError for what stands in the way, InvalidRequest if it is running, starting or stopping.
        """
        home = self._life.home
        if home is not None and (home.forked or home.loop.is_closed()):
            self._life.abandon(home)
        elif home is not None:
            raise InvalidRequest("the node has been started already: stop it first")
        home = self._life.home = Home()
        self._life.met = asyncio.Event()  # the last one may be of a loop that is closed
        async with home.life:
            try:
                await self._life.open()
            except BaseException:
                await self._life.close()
                raise
        if (files := limit()) < LEAST:
            log.warning("only %d files may be open in this process, a node needs %d: raise the limit (ulimit -n)", files, LEAST)
        log.info("node %d of cluster %s serves from %s", self.node_id, self.cluster.cluster, self._given.data_dir)

    async def stop(self) -> None:
        """Stop serving. Requests that wait are ended: NotServing if they did nothing, OutcomeUnknown if that is not certain.

        A disk that does not answer is waited for for some seconds, and then left: what it has not taken was not acknowledged.
        Safe to repeat. Raises InvalidRequest in another loop than the node's, unless that one is closed.
        """
        home = self._life.home
        if home is None:
            return
        if home.forked or home.loop.is_closed():
            self._life.abandon(home)
            return
        home.check_loop()
        async with home.life:
            if self._life.home is home:
                await self._life.close()

    async def ready(self, *, timeout_ms: float | None = None) -> None:
        """Wait until this node is a member of its cluster and there are links to enough peers for a majority.

        A new cluster begins when all its nodes have started once; a node that lost its disk is a member again when it has learned
        from its peers which entities there are (rule 19). Whom it waits for, and why, is in the log as a warning.

        Raises NoQuorum that says the same after `timeout_ms` (None: it waits for ever), NotServing if the node stops meanwhile.
        """
        limit_ms = None if timeout_ms is None else exact_number("timeout_ms", timeout_ms, MAX_TIMEOUT_MS)
        self._check_home()
        await wait_until_ready(self.node_id, self._not_ready_because, self._life.met, limit_ms)

    async def __aenter__(self) -> Node:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    def tune(self, tuning: TuningSettings) -> None:
        """Have these settings hold from now on, and at the next start. Raises ConfigError, and changes nothing then."""
        tuning = exact_settings(TuningSettings, tuning)
        if self._life.home is not None:
            self._life.home.check_loop()
        if tuning.learn_only != self.tuning.learn_only:
            said = "learns only from now on" if tuning.learn_only else "votes and serves again"
            alone = self.statistics().no_majority_because if tuning.learn_only and self._life.links is not None else ""
            log.warning("node %d %s%s", self.node_id, said, f", and {alone}" if alone else "")
        self.tuning = tuning
        if self._life.store is not None:
            self._life.store.keep(Keep.of(tuning))
        if self._life.shard is not None and self._life.turns is not None:
            self._life.shard.tune(tuning)
            self._life.turns.look()

    # -- requests

    async def execute(
        self,
        entity: int,
        function: Callable[[View], bytes | None],
        *,
        read_only: bool = False,
        uuid: bytes | UUID = b"",
        timeout_ms: float | None = None,
    ) -> bytes:
        """Run a function on an entity's keys, atomically and replicated; returns its reply.

        The function may run several times, but takes effect once. With a `uuid` (16 bytes) a repetition gets the first
        outcome; nothing tells one function from another, so repeat the same. A read-only function may run at any replica and
        writes nothing, or says `view.require_write()` and is run anew as a write's. Raises the tree of `errors`: a refusal
        (nothing happened) or OutcomeUnknown.

        What the function raises refuses the request: an error of ours that says so (InvalidRequest, TooLarge ..., or of a
        subclass) as that, anything else as RequestFailed.
        """
        options = self._options(entity, read_only=read_only, uuid=uuid, timeout_ms=timeout_ms)
        return await self._run(FunctionRequest(options.pop("entity"), exact_function("function", function), **options))

    async def call(
        self,
        entity: int,
        handler: str,
        payload: bytes,
        *,
        read_only: bool = False,
        uuid: bytes | UUID = b"",
        timeout_ms: float | None = None,
        digest: bytes = b"",
    ) -> bytes:
        """Like `execute`, by the name of a handler: the request can be handed over to the preferred proposer.

        Raises UuidReused if another handler or payload was called under this uuid, UnknownHandler if this node has no such one.
        A peer that has none, as it runs another version, hands it back, and it is proposed from here. With a `digest` (16 bytes)
        it is that which must be the same under the uuid, whatever else there is in the payload.
        """
        options = self._options(entity, read_only=read_only, uuid=uuid, timeout_ms=timeout_ms)
        name = exact_text("handler", handler, MAX_HANDLER_NAME)
        function = self._given.handlers.get(name)
        if function is None:
            raise UnknownHandler(f"there is no handler {name!r} on this node")
        exact = exact_bytes("a payload", payload, self.tuning.max_request_bytes)
        request = CallRequest(options.pop("entity"), name, function, exact, **options)
        request.digest = exact_bytes("digest", digest, DIGEST_BYTES)
        if len(request.digest) not in (0, DIGEST_BYTES):
            raise InvalidRequest(f"a digest has {DIGEST_BYTES} bytes")
        try:
            return await self._run(request)
        except UnknownHandler:  # of a peer
            pass
        return await self._run(request.kept_here(options["deadline_ms"]))

    # -- the lower level of the article

    async def catch_up(self, entity: int, *, timeout_ms: float | None = None) -> int:
        """EntityCatchUp: bring committed up to everything that is chosen; returns the committed entry.

        Raises CommitLimitReached after `max_commit_num` entries if there are more: call again.
        """
        options = self._options(entity, read_only=True, uuid=b"", timeout_ms=timeout_ms)
        request = FunctionRequest(options.pop("entity"), lambda view: None, **options)
        request.commit_limit = 1
        await self._run(request)
        if self._life.shard is None:
            raise NotServing("the node is not running")
        state = self._life.shard.entity(request.entity)
        if state is None or state.mailbox is not None:
            return self._open_store().committed_entry(request.entity)  # it has left memory, and the DB has all of it
        return state.log.committed  # the DB may not have all of it yet

    async def run_paxos(
        self,
        entity: int,
        entry: int,
        value: WriteBatch | Mapping[bytes, bytes | None],
        uuids: Sequence[bytes | UUID] = (),
        *,
        timeout_ms: float | None = None,
    ) -> None:
        """RunPaxos: propose writes (None deletes) at exactly this entry, which must be committed + 1.

        Raises WrongEntry if that entry is not the next one or went to another value, DuplicateUuid if one of the uuids
        was applied before, OutcomeUnknown if it was not decided in time.
        """
        options = self._options(entity, read_only=False, uuid=b"", timeout_ms=timeout_ms)
        at_entry = exact_int("entry", entry, FIRST_ENTRY, MAX_ENTRY)
        more_uuids = tuple(map(exact_uuid, exact_list("uuids", uuids, MAX_UUIDS)))
        if not all(more_uuids):
            raise InvalidRequest("a uuid has 16 bytes")
        writes, cleared = exact_writes(value, self.tuning.max_request_bytes)
        request = FunctionRequest(options.pop("entity"), lambda view: replay(view, writes, cleared), **options)
        request.at_entry = at_entry
        request.digest = AT_ENTRY
        request.more_uuids = more_uuids
        await self._run(request)

    def get_write_batch(self, entity: int, entry: int) -> WriteBatch:
        """GetWriteBatch: what was chosen at an entry. Raises NotCaughtUp if this replica does not know it (yet)."""
        store = self._open_store()
        entity, entry = exact_entity(entity), exact_int("entry", entry, FIRST_ENTRY, MAX_ENTRY)
        shard = self._life.shard
        state = None if shard is None else shard.entity(entity)
        being_written = shard is not None and state is not None and state.log.row_turn > shard.context.durable_turn
        if being_written and state is not None and entry >= state.log.committed:  # it may be chosen by its own vote (rule 7)
            raise NotCaughtUp(f"entry {entry} of entity {entity} is being written on node {self.node_id}")
        for _, record in store.read_log(entity, entry, entry):
            if record.chosen:
                assert record.value is not None
                return self._life.codec.decode(record.value.body)
        raise NotCaughtUp(f"entry {entry} of entity {entity} is not known to be chosen on node {self.node_id}")

    def watch(self, entity: int, *, after: int | None = None) -> AsyncGenerator[EntityChange | EntitySnapshot]:
        """Every entry behind `after` that this node applies to the entity, once and in order; None: what comes from now on.

        Shows no vote: an entry is given when it is chosen, applied here and durable. It is given from memory, or from the log if
        it was applied before, or the reader was too slow. Where an entry of the log is not kept any more, or the node has got
        the entity as a copy of a peer's data, the data comes instead, in pieces (EntitySnapshot), and the entries behind it.
        An entry above what is applied here is waited for. Reading on at another node is possible: entries are the same on all.

        Raises, while it is read: NotServing when the node stops, Diverged when the entity is stopped, Overloaded if there are too
        many; all that was applied before is given first. Close it (`aclose`) to be told nothing more.
        """
        self._check_home()
        entity = exact_entity(entity)
        first = None if after is None else exact_int("after", after, 0, MAX_ENTRY)
        assert self._life.watches is not None
        assert self._life.shard is not None
        stopped = self._life.shard.context.stopped.get(entity)
        if stopped is not None:
            raise Diverged(stopped.describe(entity, self.node_id))
        return Watch(self._life.watches, entity, first).entries()

    def publish(self, channel: bytes, payload: bytes, *, kind: int = 0) -> None:
        """Tell `on_published` at every node: those of this one before this returns, peers over the links, each once and in order.

        A message of no log: a peer gets it now or never (a link that is down or breaks, a peer that reads too slowly). What is to
        be told only if a request takes effect is published by that (`View.publish`). Raises NotServing, InvalidRequest, TooLarge.
        """
        message = exact_published(channel, payload, kind, self.tuning.max_request_bytes)
        self._check_home()
        assert self._life.broadcast is not None
        self._life.broadcast.publish([message])

    # -- looking in

    def statistics(self) -> NodeStatistics:
        """An immutable picture of this node. Raises NotServing before the start."""
        shard, turns, links = self._life.shard, self._life.turns, self._life.links
        if shard is None or turns is None or links is None or self._life.home is None:
            raise NotServing("the node is not running")
        self._life.home.check_thread()
        store = self._open_store()
        damage = self._life.findings.now(*store.scrubbed())
        return statistics_of(self.node_id, shard, turns, links.statistics(), store, damage, self._life.time.status())

    def committed(self, after: int = -1) -> Iterable[tuple[int, int]]:
        """(entity, committed entry) of every entity above `after` that this node has."""
        return self._open_store().committed(exact_int("after", after, -1, MAX_ENTITY))

    def peek(self, entity: int, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """An entity's keys as applied here, start <= key < end: nobody is asked whether that is the latest."""
        store, entity = self._open_store(), exact_entity(entity)
        first, last = DATA + exact_bytes("start", start), DATA + exact_bytes("end", end)
        return ((key[1:], value) for key, value in store.scan(entity, first, last))

    def frozen(self, entity: int) -> FrozenEntity:
        """An entity as applied here, at this moment, durable or not: for one other thread to read. Close it soon: the store keeps
        what was deleted since."""
        return self._open_store().frozen(exact_entity(entity))

    def preferred_proposer(self, entity: int) -> int:
        """The node that proposes for this entity while it answers; negative: not known here now."""
        state = None if self._life.shard is None else self._life.shard.entity(exact_entity(entity))
        return NOBODY if state is None else state.log.last_origin

    def is_up(self, node: int) -> bool:
        """Whether there is a link to that node, or it is this one."""
        node = exact_int("node", node, 0, self.cluster.nodes - 1)
        return node == self.node_id or (self._life.links is not None and self._life.links.is_up(node))

    def now_ms(self) -> int:
        """What the clocks of the nodes say together, in ms since 1970 (rule 20)."""
        return self._life.time.now_ms()

    @property
    def expires(self) -> bool:
        """Whether this node is to delete what is due by itself: not while its own clock is far off (clock_limit_ms)."""
        return self._life.time.expires

    def content_hash(self, wanted: Callable[[], bool] | None = None) -> str:
        """SHA-256 over all applied data: equal on nodes that have applied the same entries.

        Reads everything, as it was when it was called: run it in a thread (asyncio.to_thread). Raises NotServing if the node
        stops meanwhile, or if `wanted`, which is asked now and then in that thread, says no.
        """
        store, home = self._life.store, self._life.home
        if store is None or home is None:
            raise NotServing("the node is not running")
        if home.forked:
            home.refuse()
        return store.content_hash(None if wanted is None else exact_callable("wanted", wanted))

    async def checkpoint(self, name: str) -> None:
        """Put a checkpoint of the store into the place of this name in the data directory (storage/places.py).

        Raises InvalidRequest if nobody has made that place, NotServing, DiskFull, NodeError.
        """
        store = self._open_store()
        place = place_of(self._given.data_dir, CHECKPOINT, exact_text("name", name, MAX_HANDLER_NAME))
        await beside(lambda: store.checkpoint(place))

    def inspect(self, entity: int, first: int, last: int) -> dict[str, Any]:
        """Pointers and rows of one entity, as plain data."""
        store = self._open_store()
        entity = exact_entity(entity)
        first, last = (exact_int(name, entry, 0, MAX_ENTRY) for name, entry in (("first", first), ("last", last)))
        state = self._life.shard.entity(entity) if self._life.shard is not None else None
        return describe_entity(self.node_id, store, state, entity, first, last)

    # -- inside

    def _options(self, entity: int, *, read_only: bool, uuid: bytes | UUID, timeout_ms: float | None) -> dict[str, Any]:
        """The arguments that every request has, made exact; also whether this is the place to ask."""
        self._check_home()
        timeout = self.tuning.request_timeout_ms
        if timeout_ms is not None:
            timeout = exact_number("timeout_ms", timeout_ms, MAX_TIMEOUT_MS)
        options = {"read_only": exact_bool("read_only", read_only), "uuid": exact_uuid(uuid)}
        return {"entity": exact_entity(entity), "deadline_ms": now_ms() + timeout, **options}

    async def _run(self, request: FunctionRequest) -> bytes:
        self.submit(request)
        reply: bytes = await request
        return reply

    def _not_ready_because(self) -> str:
        if self._life.turns is None and self._life.coming_back is not None and not self._life.coming_back.done():
            return "its store was damaged, and is being replaced"
        return self.statistics().not_ready_because

    def _check_home(self) -> None:
        """Raises NotServing if the node is not running, InvalidRequest if it runs in another loop."""
        if self._life.home is None or self._life.turns is None:
            raise NotServing("the node is not running")
        self._life.home.check_loop()

    def _open_store(self) -> RocksStore:
        if self._life.store is None:
            raise NotServing("the node is not running")
        if self._life.home is not None:
            self._life.home.check_thread()
        return self._life.store

    def _verify(self, event: Compare | Renew) -> None:
        self._check_home()
        if isinstance(event, Renew) and (event.peer == self.node_id or not 0 <= event.peer < self.cluster.nodes):
            raise InvalidRequest(f"node {event.peer} is no peer of node {self.node_id}")
        self._life.step(event)
