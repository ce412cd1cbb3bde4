"""One replica with two entries under exploration: its state as plain tuples, and what production code makes of it.

The log is at entry 1, chosen and known to all; entries 2 and 3 are explored. Whose value fills entry 1 says who may use
pre-auth at entry 2 (rule 5).

Every turn restores a real `Entity` by `Entity.load` and what it had in memory, hands it to the real `Log` and `Proposer` in
the order of `Shard`, and reads back the rows, what was persisted and what leaves early and late (rule 7). What a mutant
changes in production it changes here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from paxosstore.core.batch.overlay import WriteBatch
from paxosstore.core.batch.request import Request
from paxosstore.core.entity.entity import Entity
from paxosstore.core.entity.logstate import INFINITE
from paxosstore.core.entry.ids import NOBODY, preauth_ballot, value_id
from paxosstore.core.entry.record import EMPTY, Record, Value
from paxosstore.core.interface.event import Loaded
from paxosstore.core.interface.message import Message, PaxosMessage
from paxosstore.core.interface.ready import Ready
from paxosstore.core.log.giveway import RightOfWay
from paxosstore.core.log.log import Log
from paxosstore.core.log.write import Proposer
from paxosstore.core.turn.context import Context, Identity
from paxosstore.core.turn.entities import Entities
from paxosstore.settings import ClusterSettings, TuningSettings

from ..core.support import DictReader

N = 3
ENTITY = 7
BEFORE, FIRST, SECOND = ENTRIES = 1, 2, 3
EXPLORED = (FIRST, SECOND)
DURABLE_TURN, TURN = 1, 2


class Part(NamedTuple):
    """One entry at one node: all that matters from here on, what it has ever shown included."""

    rows: tuple[Record, ...] = (EMPTY,) * N
    """As this node knows them; a chosen own row stands alone, for production then forgets the others."""
    proposal: Value | None = None
    driving: bool = False
    durable: Record = EMPTY
    """What a crash leaves of the own row."""
    late: tuple[Record, ...] = ()
    """Shown as soon as the own row is durable."""
    shown: tuple[Record, ...] = ()
    """May reach anybody, at any time, any number of times, or never."""
    rounds: int = 0
    """Rounds begun here. It survives crashes and names values: rule 4, ids are unique, is taken for granted."""


class Node(NamedTuple):
    """One node."""

    me: int
    parts: tuple[Part, Part]
    """FIRST and SECOND."""
    before: int
    """Where the value at BEFORE originated."""
    last_origin: int = NOBODY
    no_preauth_through: int = 0
    syncing: bool = False
    """A turn is under way: something of it has left, and it is not durable."""
    settled: bool = False
    """FIRST is behind us: what it was is forgotten, see `Explorer`."""
    life: int = 0
    """Which disk of the node that may lose its own is known here; of that node itself, the one it has (rule 19b)."""
    past: tuple[tuple[tuple[int, Record], ...], ...] = ()
    """(entry, row) of all that it has shown on each disk that is lost."""
    floor: int = 0
    """Rule 19c; INFINITE: not known yet."""
    asked: int = 0
    """The highest entry at which those have anything that have answered about re-entry."""
    answered: int = 0
    """A bit for each of them."""
    copied: bool = False
    """FIRST is applied, and no row here says what was chosen: a peer's data was copied, or the row has expired (rules 16, 17)."""

    def mine(self, entry: int) -> Record:
        return self.parts[entry - FIRST].rows[self.me]

    @property
    def lives(self) -> tuple[tuple[tuple[int, Record], ...], ...]:
        """What it has shown, by the disk that it had then."""
        now = tuple([(entry, row) for entry, part in zip(EXPLORED, self.parts, strict=True) for row in part.shown])
        return (*self.past, now)

    @property
    def committed(self) -> int:
        if not (self.copied or self.mine(FIRST).chosen):
            return BEFORE
        return SECOND if self.mine(SECOND).chosen else FIRST


class Write(Request):
    """What a client wants; its content does not matter."""

    def evaluate(self, view: object) -> bytes:
        return b""


class _NoBodies:
    """`BodyCodec`: a value is its id."""

    def encode(self, batch: WriteBatch) -> bytes:
        return b""

    def decode(self, body: bytes) -> WriteBatch:
        return WriteBatch()


class _NamingContext(Context):
    """Gives values names that say who proposed them, where and in which of its rounds."""

    name = b""

    def new_id(self) -> bytes:
        return self.name


class Replica:
    """What one node does. Without state: a node goes in, and the nodes it may become come out."""

    def __init__(self, me: int, *, hasty: bool = False) -> None:
        self.me = me
        self._hasty = hasty
        """Whether it takes in events before the last ones are durable, so that a crash loses them together."""
        identity = Identity(ClusterSettings("model", N), TuningSettings(), me, 1)
        self._context = _NamingContext(identity, DictReader(), _NoBodies(), {})
        self._context.durable_turn = DURABLE_TURN
        self._log = Log(self._context)
        entities = Entities(self._context)
        self._proposer = Proposer(self._context, entities, self._log, RightOfWay(self._context, entities))

    # -- what may happen

    def first(self, before: int) -> Node:
        """At BEFORE, which was learned, not loaded: its origin holds pre-auth at FIRST."""
        self._context.ready = Ready(TURN)
        entity = self._loaded(0, b"", [], 0)
        self._log.learn(entity, 1 - self.me if self.me < 2 else 0, BEFORE, preauth_ballot(before), _HISTORY[before])
        self._log.advance(entity)
        return Node(self.me, (Part(), Part()), before, entity.log.last_origin, entity.log.no_preauth_through)

    def hear(self, node: Node, peer: int, entry: int, row: Record) -> Node:
        """A row that a peer has shown comes in, as `Shard` deals with it."""
        if node.syncing and not self._hasty:
            return node  # the next turn begins when this one is durable
        value = row.value
        message = PaxosMessage(
            ENTITY,
            entry,
            row.prepared,
            row.promised,
            row.accepted,
            row.chosen,
            b"" if value is None else value.id,
            None if value is None else value.body,
            entry - 1,
            True,
            False,
        )

        def receive(entity: Entity) -> None:
            opened = self._log.receive(entity, peer, message)
            if opened is not None:
                self._proposer.answered(entity, entry, opened)

        return self._turn(node, entry, receive)

    def proposals(self, node: Node) -> Iterator[Node]:
        """Begin a round at the next entry: for a request that waits, or to finish what others began."""
        entry = node.committed + 1
        if entry > SECOND or (node.syncing and not self._hasty):
            return
        parts = list(node.parts)
        part = parts[entry - FIRST]
        parts[entry - FIRST] = part._replace(rounds=part.rounds + 1)
        begun = node._replace(parts=(parts[0], parts[1]))

        def start(entity: Entity) -> None:
            entity.writes.queue.append(Write(ENTITY))
            self._proposer.start(entity, self._context.release(entity))

        started = self._turn(begun, entry, start)
        if started != begun:
            yield started
        if started == begun or started.mine(entry).prepared == preauth_ballot(self.me):
            # a full round of `start` with a value of its own covers that of `drive` without one: values do not matter
            driven = self._turn(begun, entry, lambda entity: self._proposer.drive(entity, entry))
            if driven != begun:
                yield driven

    def synced(self, node: Node) -> Node:
        """The turn's write is durable, and what waited for it leaves."""
        first, second = (self._told(part)._replace(durable=part.rows[self.me]) for part in node.parts)
        return node._replace(parts=(first, second), syncing=False)

    def crashes(self, node: Node) -> Iterator[Node]:
        """Memory is lost; of each row that is not durable, all or nothing."""
        first, second = node.parts
        for one in dict.fromkeys((first.durable, first.rows[self.me])):
            for two in dict.fromkeys((second.durable, second.rows[self.me])):
                parts = self._restarted(first, one), self._restarted(second, two)
                after = node._replace(parts=parts, last_origin=NOBODY, no_preauth_through=0, syncing=False)
                entity = self._restore(after)
                yield after._replace(last_origin=entity.log.last_origin, no_preauth_through=entity.log.no_preauth_through)

    # -- a lost disk (rule 19)

    def loses_disk(self, node: Node) -> Node:
        """It starts on an empty one, and learns BEFORE again: from what is chosen there it concludes what anybody does."""
        first, second = (Part(rounds=part.rounds) for part in node.parts)
        self._context.ready = Ready(TURN)
        entity = self._loaded(0, b"", [], 0)
        entity.log.set_floor(INFINITE, stored=False)
        self._log.learn(entity, node.before, BEFORE, preauth_ballot(node.before), _HISTORY[node.before])
        self._log.advance(entity)
        log, past = entity.log, node.lives
        return Node(
            self.me,
            (first, second),
            node.before,
            log.last_origin,
            log.no_preauth_through,
            False,
            False,
            node.life + 1,
            past,
            INFINITE,
        )

    def answers(self, node: Node, asking: Node) -> tuple[Node, Node] | None:
        """It notes the disk of the one that comes back, forgets what the one before has shown, and says what it has."""
        if node.syncing or asking.floor != INFINITE or asking.answered >> node.me & 1:
            return None  # read when the turn that notes the disk is durable, and so are those before
        highest = max([node.committed, *(entry for entry in EXPLORED if node.mine(entry) != EMPTY)])
        asking = asking._replace(asked=max(asking.asked, highest), answered=asking.answered | 1 << node.me)
        entity = self._restore(node)
        for opened in entity.log.opened.values():
            opened.forget(asking.me)
        parts = tuple(
            part if opened is None else part._replace(rows=tuple(opened.machine.rows))
            for part, opened in zip(node.parts, map(entity.log.opened.get, EXPLORED), strict=True)
        )
        return node._replace(parts=(parts[0], parts[1]), life=asking.life), asking

    def has_floor(self, node: Node) -> Node:
        """Both peers have answered: what the old disk has sent and nobody has seen will never be seen."""
        entity = self._restore(node)
        entity.log.set_floor(node.asked + 1, stored=True)
        preauth_off = entity.log.no_preauth_through
        return node._replace(floor=node.asked + 1, asked=0, answered=0, no_preauth_through=preauth_off)

    # -- copied data, expired rows (rules 16 and 17)

    def copies(self, node: Node) -> Node | None:
        """Its data is replaced by a peer's that is at FIRST. Its own rows stay."""
        if node.syncing or node.committed != BEFORE:
            return None
        entity = self._restore(node)
        self._log.jump(entity, FIRST)
        above = entity.log.opened.get(SECOND)
        assert (EMPTY if above is None else above.machine.mine) == node.mine(SECOND), "a snapshot replaces data, never votes"
        first = node.parts[0]._replace(rows=self._alone(node.mine(FIRST)), proposal=None, driving=False)
        log = entity.log
        copied = node._replace(parts=(first, node.parts[1]), copied=True)
        return copied._replace(last_origin=log.last_origin, no_preauth_through=log.no_preauth_through)

    def expires(self, node: Node) -> Node | None:
        """Its row at FIRST, which is applied, is deleted."""
        if node.syncing or node.committed == BEFORE or node.mine(FIRST) == EMPTY:
            return None
        first = node.parts[0]
        return node._replace(parts=(Part(shown=first.shown, rounds=first.rounds), node.parts[1]), copied=True)

    # -- what is behind us

    def settle(self, node: Node) -> Node:
        """FIRST is chosen here: keep what production concludes from it for SECOND, and its origin. See `Explorer`."""
        value = node.mine(FIRST).value
        assert value is not None
        assert node.committed == FIRST
        ballot = preauth_ballot(0)
        row = Record(0, ballot, ballot, Value(value_id(value.id[0], 0, 0), b""), True)
        return node._replace(
            parts=(Part(self._alone(row), durable=row), node.parts[1]),
            before=NOBODY,
            no_preauth_through=max(node.no_preauth_through, FIRST),
            settled=True,
        )

    # -- one turn of production

    def _turn(self, node: Node, entry: int, act: Callable[[Entity], None]) -> Node:
        context = self._context
        context.ready = Ready(TURN)
        context.name = value_id(self.me, entry, node.parts[entry - FIRST].rounds)
        entity = self._restore(node)
        if node.syncing:
            entity.log.row_turn = TURN
        act(entity)
        assert entity.stopped is None, "a replica sees that the replicas differ"
        self._log.advance(entity)
        entity.log.validate()
        return self._after(node, entity, context.ready)

    def _restore(self, node: Node) -> Entity:
        """The entity as it is in memory: loaded, then told what it knew besides."""
        committed = node.committed
        value = _HISTORY[node.before] if committed == BEFORE else node.mine(committed).value
        gone = node.copied and committed == FIRST
        assert gone or value is not None
        last_value_id = b"" if gone or value is None else value.id
        rows = [(entry, row) for entry in EXPLORED if (row := node.mine(entry)) != EMPTY]
        max_plog = rows[-1][0] if rows else committed
        entity = self._loaded(committed, last_value_id, [(entry, row) for entry, row in rows if entry > committed], max_plog)
        if node.last_origin != NOBODY:
            entity.log.last_origin = node.last_origin
            entity.log.no_preauth_through = node.no_preauth_through
        for entry, opened in entity.log.opened.items():
            part = node.parts[entry - FIRST]
            opened.machine.rows = list(part.rows)
            opened.machine.proposal = part.proposal
            opened.driving = part.driving
            opened.retry_at_ms = 0.0
        if node.floor:
            entity.log.set_floor(node.floor, stored=True)
        return entity

    def _loaded(self, committed: int, last_value_id: bytes, rows: list[tuple[int, Record]], max_plog: int) -> Entity:
        entity = Entity(ENTITY)
        entity.load(Loaded(ENTITY, committed, rows, max_plog, last_value_id), N, self.me)
        entity.mailbox = None
        return entity

    def _after(self, node: Node, entity: Entity, ready: Ready) -> Node:
        """What has become of the node; if nothing unsynced has left, the turn is over."""
        first, second = (self._part(part, entry, entity, ready) for entry, part in zip(EXPLORED, node.parts, strict=True))
        syncing = node.syncing or ready.needs_sync
        after = node._replace(
            parts=(first, second),
            last_origin=entity.log.last_origin,
            no_preauth_through=entity.log.no_preauth_through,
            syncing=syncing,
        )
        if not syncing:
            return after._replace(parts=(self._told(first), self._told(second)))
        left = first.shown != node.parts[0].shown or second.shown != node.parts[1].shown
        return after if left or self._hasty else self.synced(after)

    def _part(self, part: Part, entry: int, entity: Entity, ready: Ready) -> Part:
        before = part.rows[self.me]
        mine = ready.records.get((ENTITY, entry), before)
        opened = entity.log.opened.get(entry)
        assert opened is None or opened.machine.mine == mine, "a row changed and was not persisted"
        early, late = _rows(ready.early.messages, entry), _rows(ready.late.messages, entry)
        if opened is None and mine is before and not early and not late:
            return part
        rows, proposal, driving = self._alone(mine), None, False
        if opened is not None and not mine.chosen:
            machine = opened.machine
            rows, proposal, driving = tuple(machine.rows), machine.proposal, opened.driving
        return Part(rows, proposal, driving, part.durable, _with(part.late, late), _with(part.shown, early), part.rounds)

    def _alone(self, mine: Record) -> tuple[Record, ...]:
        return tuple([mine if at == self.me else EMPTY for at in range(N)])

    def _told(self, part: Part) -> Part:
        shown = _with(part.shown, (*part.late, part.rows[self.me]))
        return part if shown is part.shown and not part.late else part._replace(late=(), shown=shown)

    def _restarted(self, part: Part, row: Record) -> Part:
        return Part(self._alone(row), durable=row, shown=_with(part.shown, (row,)), rounds=part.rounds)


_HISTORY = [Value(value_id(origin, BEFORE, 0), b"") for origin in range(N)]
"""What may stand at BEFORE."""


def _rows(messages: Iterable[tuple[int, Message]], entry: int) -> list[Record]:
    """The sender's row in each message about an entry."""
    rows = []
    for _, message in messages:
        if isinstance(message, PaxosMessage) and message.entry == entry:
            value = Value(message.value_id, b"") if message.value_id else None
            rows.append(Record(message.prepared, message.promised, message.accepted, value, message.chosen))
    return rows


def _with(shown: tuple[Record, ...], rows: Iterable[Record]) -> tuple[Record, ...]:
    for row in rows:
        if row not in shown and row != EMPTY:
            shown = (*shown, row)
    return shown
