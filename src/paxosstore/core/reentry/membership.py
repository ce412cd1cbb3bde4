"""Which disks this node and its peers are on, and what follows when one of them is another one (rules 19a and 19b).

A word (`Standing`) tells what the sender is and by which disks it knows all nodes. It leaves when that is durable, so whoever is
told has been noted: from then on nothing that comes over a link of an older disk counts.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..entity.logstate import INFINITE, NEVER
from ..interface.event import PeerUp
from ..interface.message import FloorPage, Standing
from ..interface.ready import SetStanding
from ..log.write import Proposer
from ..turn.admission import Admission
from ..turn.agenda import Part
from ..turn.context import Context
from ..turn.entities import Entities
from ..turn.standing import END, Disk, Sight, State

AGAIN_MS = 1_000.0
"""Whoever was told to learn only, or to stop that, says it so often, and whoever re-enters is asked so often whether it still
does: the word may be lost, and peers count votes by it."""
MAX_DOUBLINGS = 1
"""Of the pause between words: requests wait for them."""


class Membership(Part):
    """Acts on the standing (core/turn/standing.py)."""

    def __init__(self, context: Context, entities: Entities, proposer: Proposer, admission: Admission) -> None:
        self._context = context
        self._entities = entities
        self._proposer = proposer
        self._admission = admission
        self._standing = context.standing
        self._safe = self._standing.row
        """As the turns before the one that was written last have left it."""
        self._latest = self._safe
        """As the turn that was written last has."""
        self._seen: dict[int, tuple[Disk, list[int]]] = {}
        """What each peer comes with now, as it says itself."""
        self._to_tell: dict[int, bool] = {}
        """Peers that are told in this turn, and whether they are asked too."""
        self._again_at_ms = 0.0
        """When to say again whether this node learns only, and to ask again who re-enters."""
        self._ask_at_ms = 0.0 if self._standing.active else NEVER
        self._asked = 0

    # -- what comes in

    def admits(self, peer: int, disk: int) -> bool:
        """Rule 19b: whether what came over a link of this disk counts."""
        if self._standing.admits(peer, disk):
            return True
        self._context.counters.messages_fenced += 1
        return False

    def turned_away(self, peer: int) -> None:
        """Something of a peer did not count. If it is there now, and only taken for replaced, it has to hear that."""
        self._say(peer, asks=False)

    def peer_up(self, event: PeerUp) -> None:
        """A link stands, and its hello said who is there."""
        if event.disk and self._standing.active:
            seen = Disk(event.disk, event.starts, event.incarnation)
            known, history = self._seen.get(event.peer, (seen, []))
            self._sight(event.peer, seen, history if known == seen else [])
            self._say(event.peer, asks=True)

    def heard(self, peer: int, disk: int, word: Standing) -> None:
        """A peer's word about itself and all others."""
        context, standing = self._context, self._standing
        if not standing.active or len(word.disks) != context.n:
            return
        seen = Disk(*word.disks[peer])
        if not seen.id or (disk and disk != seen.id):
            return  # it has become another since, and will say so
        if disk and peer in self._seen and self._seen[peer][0].id != disk:
            self.turned_away(peer)
            return  # over a link before the one that stands, of a disk that this one may never have met
        sight = self._sight(peer, seen, word.history)
        if word.asks or sight is Sight.REPLACED:
            self._say(peer, asks=False)
        if standing.row.disks[peer].id != seen.id:
            return
        if context.cannot_write and standing.row.state is State.NEW:
            return  # what it becomes could not be kept
        if standing.knows_better(word):
            if not context.cannot_write:
                self._renew()
            return
        before, confirmed = standing.row.state, standing.confirmed
        known = standing.words.get(peer)
        if known is not None and seen.id == known.disks[peer][0] and seen.incarnation in known.history[:-1]:
            return  # it was said before a later start, which has spoken already (seed 86022118)
        if known is not None and known.disks[peer] == word.disks[peer]:
            word = word._replace(learning=max(known.learning, word.learning))  # what was said earlier may come later
        changed = standing.heard(peer, word) or (not context.cannot_write and standing.begins_anew())
        if standing.row.state is not State.NEW:
            context.reach.says(peer, seen.id, votes=word.state == State.MEMBER.value, now_ms=context.now_ms)
            self._rests(peer, word.learns_only)
        if changed:
            self._became(before)
        if changed or (standing.confirmed and not confirmed):
            self._tell_all()
        if known is None or known.state != word.state or known.learns_only != word.learns_only or changed:
            self._proposer.ask_again(everywhere=True)  # it may vote now, or this node may

    def _rests(self, peer: int, learns_only: bool) -> None:
        """Whether a peer votes for nothing because it was told so: then it is asked last, and counts as not there."""
        context = self._context
        context.reach.rests(peer, learns_only=learns_only, now_ms=context.now_ms)
        if learns_only:
            context.ask_last(peer)
        elif not context.reach.is_down(peer):
            context.ask_as_any(peer)

    def switched(self) -> None:
        """This node has been told to learn only, or to stop that: the peers hear it with the next turn."""
        self._standing.learning += 1
        self._context.agenda.add(self)
        self._again_at_ms = 0.0
        self.tick()

    def _sight(self, peer: int, seen: Disk, history: list[int]) -> Sight:
        """Note which disk a peer is on, durably before it is told so."""
        context, standing = self._context, self._standing
        context.agenda.add_all()  # what a peer says of itself, all of re-entry may have waited for
        self._seen[peer] = seen, history
        if context.cannot_write:
            return Sight.KNOWN
        sight = standing.sight(peer, seen, history)
        if sight is Sight.FENCED:
            context.counters.peers_fenced += 1
            self._purge(peer)
        if sight in (Sight.NOTED, Sight.FENCED):
            self._write()
            if standing.row.state is State.NEW:
                self._tell_all()  # all of them have to know all disks
        return sight

    def _purge(self, peer: int) -> None:
        """Rule 19b: forget what this peer has shown on its old disk."""
        for entity in self._entities:
            if entity.mailbox is not None:
                kept = []
                for item in entity.mailbox:
                    if isinstance(item, tuple) and item[0] == peer:
                        self._admission.let_go(item[1])
                    else:
                        kept.append(item)
                entity.mailbox[:] = kept
            for opened in entity.log.opened.values():
                opened.forget(peer)
        self._proposer.ask_again(everywhere=True)

    def forget_absent(self) -> None:
        """Forced: what those have shown who are not there, or not as members, counts no more. No other disk of theirs is known
        that would fence them; that nothing of them is under way any more is up to time."""
        context, words = self._context, self._standing.words
        for peer in context.peers:
            word = words.get(peer)
            if context.reach.is_down(peer) or word is None or word.state != State.MEMBER.value:
                self._purge(peer)

    # -- what becomes of this node

    def _became(self, before: State) -> None:
        context, state = self._context, self._standing.row.state
        assert before is State.NEW or state is State.NEW
        self._write()
        if state is State.NEW:
            context.counters.new_again += 1
        elif state is State.MEMBER:
            context.counters.founded += 1
            for entity in self._entities:
                if entity.mailbox is None:
                    floor = self._standing.floor_of(entity.id, 0, entity.log.committed)  # of what is damaged none is known yet
                    entity.log.set_floor(floor, stored=False)
                    self._entities.touch(entity)
        else:
            context.counters.reentries += 1

    def _renew(self) -> None:
        """Rule 19a: a peer knows that this disk was replaced, or has been further: re-enter as another one."""
        context = self._context
        context.counters.copies_found_out += 1
        disk = context.new_disk()
        self._standing.renew(disk)
        self._standing.words.clear()
        context.ready.renewed = disk
        self._write()
        for entity in self._entities:
            if entity.mailbox is None:
                entity.log.set_floor(INFINITE, stored=False)

    # -- what leaves

    def _say(self, peer: int, *, asks: bool) -> None:
        """Tell a peer, when this turn is durable."""
        self._to_tell[peer] = asks or self._to_tell.get(peer, False)

    def speak(self) -> None:
        """What is told shows the row as this turn writes it."""
        if self._to_tell:
            for peer, asks in self._to_tell.items():
                self._context.ready.late.messages.append((peer, self._standing.said(peer, asks=asks)))
            self._to_tell.clear()

    def _tell_all(self) -> None:
        for peer in self._context.peers:
            self._say(peer, asks=False)

    def _write(self) -> None:
        """Have the row written in this turn."""
        ready = self._context.ready
        assert not self._context.cannot_write
        ready.changes = [change for change in ready.changes if not isinstance(change, SetStanding)]
        ready.changes.append(SetStanding(self._standing.row.encode()))
        ready.needs_sync = True
        self._context.agenda.add_all()  # what this node is decides what there is to do

    def learn_disks(self, pages: Iterable[FloorPage]) -> set[int]:
        """Note what those that are asked know of all disks, in the turn that sets the first floors. Returns the peers that are
        here by a disk that has been replaced."""
        gone = self._standing.learn_disks(pages)
        for peer in gone:
            self._purge(peer)
        self._write()
        return gone

    def walked(self) -> None:
        """The walk has set floors up to its cursor: the row says so in the batch that sets them."""
        self._write()
        if self._standing.row.cursor == END:
            self._tell_all()

    def lost(self) -> None:
        """What the standing says of damaged entities is another: the row is written with what goes with that."""
        self._write()

    def note_passed(self, passed: int) -> None:
        """Keep a number for people, without haste."""
        if not self._context.cannot_write and self._standing.row.passed != passed:
            self._standing.note_passed(passed)
            self._write()

    # -- the disk

    def turn_written(self) -> None:
        """The turn leaves the shard to be written."""
        self._safe, self._latest = self._latest, self._standing.row

    def write_failed(self) -> None:
        """What the failed turn was to note is not there: whoever was noted in vain was not told so."""
        self._standing.revert(self._safe)
        self._latest = self._safe
        for entity in self._entities:
            if entity.mailbox is None:
                floor = self._standing.floor_of(entity.id, entity.log.floor, entity.log.committed)
                if floor == INFINITE:
                    entity.log.set_floor(INFINITE, stored=False)

    def writes_allowed(self) -> None:
        """Note what could not be noted."""
        context, standing = self._context, self._standing
        if context.cannot_write or not standing.active:
            return
        if not standing.disk.starts:
            standing.count(context.identity.starts)
            self._write()
            self._tell_all()
        for peer, (seen, history) in self._seen.items():
            if self._sight(peer, seen, history) in (Sight.NOTED, Sight.FENCED):
                self._say(peer, asks=True)

    # -- time

    @property
    def at_work(self) -> bool:
        return self._repeats or not self._settled

    def tick(self) -> None:
        """Ask the peers again while it is not clear what this node is."""
        context = self._context
        if self._repeats and context.now_ms >= self._again_at_ms:
            self._again_at_ms = context.now_ms + AGAIN_MS
            if self._standing.learning:
                self._tell_all()
            for peer in self._standing.reentering_peers:
                if not context.reach.is_down(peer):
                    self._say(peer, asks=True)
        if self._settled or context.now_ms < self._ask_at_ms:
            return
        self._ask_at_ms = context.now_ms + context.tuning.retry_ms * (1 << min(self._asked, MAX_DOUBLINGS))
        self._asked += 1
        for peer in context.peers:
            if not context.reach.is_down(peer):
                self._say(peer, asks=True)

    @property
    def next_ms(self) -> float:
        again_at_ms = self._again_at_ms if self._repeats else NEVER
        return again_at_ms if self._settled else min(again_at_ms, self._ask_at_ms)

    @property
    def _repeats(self) -> bool:
        """Whether there is something to say again, whether or not it is clear what this node is."""
        standing = self._standing
        return standing.active and bool(standing.learning or standing.reentering_peers)

    @property
    def _settled(self) -> bool:
        standing = self._standing
        if (standing.row.damaged or standing.row.default) and len(standing.intact()) < len(self._context.peers):
            return False  # they are to be asked for floors
        if not standing.active:
            return True
        # who was new when last heard of has become a member as this node has, and its word was lost
        return standing.row.state is State.MEMBER and standing.confirmed and not standing.new_peers
