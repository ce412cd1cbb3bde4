"""Snapshot transfer, both ends, message by message (rules 16 and 17)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from paxosstore.core.batch.overlay import DATA, UUID, WINDOW, WriteBatch
from paxosstore.core.entity.entity import Entity
from paxosstore.core.entry.ids import NOBODY, value_id
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.event import Event, PeerDown, PeerUp, Received, WritesAllowed
from paxosstore.core.interface.message import (
    CatchUpReply,
    CatchUpRequest,
    HandedBack,
    HandOver,
    Learned,
    Message,
    PaxosMessage,
    ReadAnswer,
    ReadQuestion,
    SnapshotPiece,
    SnapshotRequest,
)
from paxosstore.core.interface.ready import BeginInstall, DropInstall, EndInstall, InstallRows, Release
from paxosstore.core.log.snapshot import LEAST_GAP, LOOK_ROWS
from paxosstore.core.shard.shard import Shard
from paxosstore.core.turn.context import Identity
from paxosstore.errors import DiskFull, NotServing, OutcomeUnknown
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.memory import MemoryStore
from paxosstore.storage.turn import Turn

from .support import HANDLERS, AloneOperation, Operation, uuid

E = 7
M = TypeVar("M", bound=Message)
CODEC = MsgpackBodyCodec()


class Node:
    """Node 0 of three, driven by hand. Keeps what it says and writes."""

    def __init__(self, store: MemoryStore | None = None, **tuning: Any) -> None:
        self.store = MemoryStore() if store is None else store
        settings = {"snapshot_timeout_ms": 1_000.0, **tuning}
        identity = Identity(ClusterSettings("test"), TuningSettings(**settings), 0, 5)
        self.shard = Shard(identity, self.store, CODEC, HANDLERS)
        self.now_ms = 1_000.0
        self.said: list[tuple[int, Message]] = []
        self.changes: list[tuple[object, ...]] = []
        self._turn = Turn(self.shard, self.store, self._release)
        self._write, self.store.write = self.store.write, self._note  # type: ignore[method-assign]  # a spy

    def run(self, *events: Event | Operation) -> None:
        """Turns, until nothing is left to be done at this moment."""
        inbox: list[Any] = list(events)
        while True:
            if self._turn.begin(inbox, self.now_ms, 0):
                self.store.sync()
            inbox = self._turn.finish(self.now_ms, 0)
            if not inbox and self.shard.next_deadline_ms > self.now_ms:
                return

    def wait(self, ms: float) -> None:
        """Let time pass, timer by timer."""
        last = self.now_ms + ms
        while (due := self.shard.next_deadline_ms) <= last:
            self.now_ms = max(self.now_ms, due)
            self.run()
        self.now_ms = last

    def hear(self, peer: int, *messages: Message) -> None:
        self.run(Received(peer, messages))

    def take(self, kind: type[M]) -> list[tuple[int, M]]:
        """What it has said of this kind since this was asked last."""
        found = [(peer, message) for peer, message in self.said if type(message) is kind]
        self.said = [item for item in self.said if type(item[1]) is not kind]
        return found  # type: ignore[return-value]  # of that kind

    def asked(self) -> tuple[int, SnapshotRequest]:
        """The one piece that it has asked for."""
        (one,) = self.pieces_asked()
        return one

    def pieces_asked(self) -> list[tuple[int, SnapshotRequest]]:
        """All that it has asked for since this was asked last; what it has let go of is not among it."""
        return [(peer, request) for peer, request in self.take(SnapshotRequest) if request.limit]

    @property
    def entity(self) -> Entity:
        found = self.shard.entity(E)
        assert found is not None
        return found

    @property
    def counters(self) -> dict[str, int]:
        return self.shard.context.counters.as_dict()

    def stored(self, key: str) -> bytes | None:
        return self.store.get(E, DATA + key.encode())

    def do(self, operation: str, **options: Any) -> Operation:
        request = options.pop("kind", Operation)(E, operation.encode(), deadline_ms=self.now_ms + 3_000.0, **options)
        self.run(request)
        return request  # type: ignore[no-any-return]  # of that kind

    def behind(self, known: int = 500) -> tuple[int, SnapshotRequest]:
        """It hears that so many entries are chosen, and that nobody keeps the first ones. Returns what it asks for then."""
        self.run(PeerUp(1), PeerUp(2))
        self.hear(1, ReadQuestion(E, 9))  # whatever loads the entity
        for _ in range(2):
            self.said.clear()
            self.hear(1, CatchUpReply(E, known, []))
            for peer, _ in self.take(CatchUpRequest):
                self.hear(peer, CatchUpReply(E, known, [], gone=True))
            if found := self.pieces_asked():
                return found[0]
        self.wait(500.0)
        for peer, _ in self.take(CatchUpRequest):
            self.hear(peer, CatchUpReply(E, known, [], gone=True))
        return self.asked()

    def piece(self, asked: tuple[int, SnapshotRequest], names: str, *, committed: int = 400, more: bool = True) -> None:
        """The piece that it has asked for: keys of one letter each."""
        peer, request = asked
        rows = [(DATA + name.encode(), name.upper().encode()) for name in names]
        self.hear(peer, SnapshotPiece(E, request.number, request.after, committed, rows, more, True))

    def _release(self, release: Release) -> None:
        self.said += release.messages
        for request, reply, error in release.outcomes:
            request.settle(reply, error)

    def _note(self, records: Any, applies: Any, changes: Iterable[Any] = ()) -> None:
        self._write(records, applies, changes)  # type: ignore[arg-type]  # a sequence
        self.changes += [
            change for change in changes if isinstance(change, BeginInstall | InstallRows | EndInstall | DropInstall)
        ]


def learned(entry: int, *writes: tuple[str, str], origin: int = 1) -> Learned:
    """A chosen entry of a peer's."""
    batch = WriteBatch({DATA + key.encode(): value.encode() for key, value in writes})
    return Learned(entry, 4, value_id(origin, 3, entry), CODEC.encode(batch))


def with_data(origin: int = 1, **tuning: Any) -> Node:
    """A node that has applied two entries; the second one's value is of `origin`."""
    node = Node(**tuning)
    node.run(PeerUp(1), PeerUp(2))
    node.hear(1, ReadQuestion(E, 1), CatchUpReply(E, 2, [learned(1, ("a", "old"), ("z", "old")), learned(2, origin=origin)]))
    assert node.entity.log.committed == 2
    node.said.clear()
    return node


# -- who is asked, and when


def test_every_peer_is_asked_for_entries_before_data_is_copied() -> None:
    node = with_data()
    node.hear(1, CatchUpReply(E, 500, []))
    ((peer, _),) = node.take(CatchUpRequest)
    node.hear(peer, CatchUpReply(E, 500, [], gone=True))
    assert not node.pieces_asked()
    ((other, request),) = node.take(CatchUpRequest)
    assert {peer, other} == {1, 2}
    node.hear(other, CatchUpReply(E, 500, [learned(3)]))  # its log reaches back further
    assert node.entity.install is None
    assert node.entity.log.committed == 3
    assert request.first == 3


def test_who_has_no_link_is_not_waited_for() -> None:
    node = with_data()
    node.run(PeerDown(2))
    node.hear(1, CatchUpReply(E, 500, [], gone=True))
    assert node.asked()[0] == 1


def test_a_peer_with_less_is_passed_over() -> None:
    """Five hundred are chosen; one peer has cut its log, the other has not heard of them: the data of the first is copied."""
    node = with_data()
    node.hear(1, CatchUpReply(E, 500, [], gone=True))
    node.hear(2, CatchUpReply(E, 2, []))
    assert node.asked()[0] == 1


def test_data_is_copied_where_that_is_cheaper() -> None:
    node = with_data()
    node.hear(1, CatchUpReply(E, 500, []))
    ((peer, request),) = node.take(CatchUpRequest)
    assert request.weighs
    node.hear(peer, CatchUpReply(E, 500, [learned(3)], cheaper=True))
    assert node.asked()[0] == peer
    assert node.counters["snapshots_cheaper"] == 1


def test_where_copying_is_cheaper_and_there_is_no_room_entries_do_as_well() -> None:
    node = with_data(max_snapshots=1)
    node.hear(1, ReadQuestion(E + 1, 1), CatchUpReply(E + 1, 500, [], gone=True))
    node.hear(2, CatchUpReply(E + 1, 500, [], gone=True))
    assert node.asked()[1].entity == E + 1
    node.hear(1, CatchUpReply(E, 500, [learned(3)], cheaper=True))
    assert node.entity.install is None
    assert node.entity.log.committed == 3


def test_only_so_many_are_copied_at_a_time_and_the_next_follows() -> None:
    node = Node(max_snapshots=1)
    node.run(PeerUp(1), PeerUp(2))
    for entity in (E, E + 1):
        node.hear(1, ReadQuestion(entity, 1))
        node.hear(1, CatchUpReply(entity, 9, [], gone=True))
        node.hear(2, CatchUpReply(entity, 9, [], gone=True))
    asked = node.asked()
    assert asked[1].entity == E
    assert node.counters["snapshots_held"] == 1
    assert [transfer.entity for transfer in node.shard.transfers] == [E]
    node.piece(asked, "a", committed=9, more=False)
    assert node.asked()[1].entity == E + 1


# -- what is written, in which order


def test_nothing_is_written_before_the_first_piece_is_here() -> None:
    node = with_data()
    node.behind()
    assert not node.changes
    assert not node.store.load(E).recovering


def test_the_mark_and_the_first_rows_are_one_write_and_the_old_data_stays() -> None:
    node = with_data()
    node.piece(node.behind(), "ab")
    assert node.changes == [BeginInstall(E), InstallRows(E, [(b"da", b"A"), (b"db", b"B")])]
    assert node.store.load(E).recovering
    assert [node.stored(key) for key in "abz"] == [b"old", None, b"old"]
    assert node.entity.log.committed == 2


def test_piece_after_piece_and_then_the_pointers_jump() -> None:
    node = with_data()
    asked = node.behind()
    node.piece(asked, "ab")
    assert node.stored("a") == b"old"
    second = node.asked()
    assert second[1]._replace(after=b"") == asked[1]
    assert second[1].after == b"db"
    node.piece(second, "c")
    node.piece(node.asked(), "d", more=False)
    assert node.changes[-2:] == [InstallRows(E, [(b"dd", b"D")]), EndInstall(E, 400)]
    log = node.entity.log
    assert log.pointers == (400, 400, 500, 400)
    assert (log.no_preauth_through, log.last_origin) == (401, NOBODY)
    assert node.entity.install is None
    assert node.store.committed_entry(E) == 400
    assert not node.store.load(E).recovering
    ((_, request),) = node.take(CatchUpRequest)  # what has come since the view was opened
    assert request.first == 401
    assert node.counters["snapshots_installed"] == 1


def test_the_next_piece_is_asked_for_when_the_last_is_durable() -> None:
    node = with_data()
    asked = node.behind()
    asked_before_durable: list[object] = []
    sync = node.store.sync

    def note_and_sync() -> None:
        asked_before_durable.extend(node.pieces_asked())
        sync()

    node.store.sync = note_and_sync  # type: ignore[method-assign]  # a look at what has left by then
    node.piece(asked, "a")
    assert asked_before_durable == []
    assert len(node.pieces_asked()) == 1


def test_the_disk_is_left_to_others_for_as_long_as_a_piece_took() -> None:
    node = with_data()
    asked = node.behind()

    def takes_long() -> None:
        node.now_ms += 40.0

    node.store.sync = takes_long  # type: ignore[method-assign]  # a slow disk
    node.piece(asked, "a")
    assert not node.pieces_asked()
    node.wait(39.0)
    assert not node.pieces_asked()
    node.wait(2.0)
    assert len(node.pieces_asked()) == 1


def test_an_empty_entity_is_copied_in_one_piece() -> None:
    node = with_data()
    node.piece(node.behind(), "", more=False)
    assert node.entity.log.committed == 400
    assert (node.stored("a"), node.stored("z")) == (None, None)


def test_pieces_that_were_not_asked_for_are_not_taken() -> None:
    node = with_data()
    asked = peer, request = node.behind()
    other = 3 - peer
    node.piece(asked, "ab")
    second = node.asked()
    node.piece(asked, "ab")  # the first one again
    node.piece((other, second[1]), "c")
    node.piece((peer, second[1]._replace(number=request.number + 1)), "c")
    node.piece((peer, second[1]._replace(after=b"dc")), "d")
    assert node.counters["snapshot_pieces_late"] == 4
    assert node.counters["snapshot_pieces"] == 1
    assert node.stored("c") is None


def test_a_piece_of_another_moment_begins_everything_again() -> None:
    node = with_data()
    asked = node.behind()
    node.piece(asked, "ab")
    node.piece(node.asked(), "c", committed=401)
    peer, request = node.asked()
    assert (peer, request.after) == (3 - asked[0], b"")
    assert node.stored("c") is None


# -- newer, or not


def test_what_is_not_newer_is_not_installed() -> None:
    node = with_data()
    node.piece(node.behind(), "a", committed=2, more=False)
    assert not node.changes
    assert node.entity.install is None
    assert node.stored("a") == b"old"
    assert node.counters["snapshots_outdated"] == 1


def test_what_was_learned_meanwhile_is_not_overwritten_by_an_older_view() -> None:
    node = with_data()
    asked = node.behind(10)
    node.hear(2, CatchUpReply(E, 10, [learned(entry) for entry in range(3, 6)]))
    assert node.entity.log.committed == 5
    node.piece(asked, "a", committed=4, more=False)
    assert not node.changes
    assert node.counters["snapshots_outdated"] == 1


def test_who_has_learned_all_meanwhile_copies_nothing() -> None:
    node = with_data()
    node.behind(4)
    node.hear(2, CatchUpReply(E, 4, [learned(3), learned(4)]))
    assert node.entity.install is None
    assert node.counters["snapshots_not_needed"] == 1


def test_a_view_is_not_installed_over_what_the_same_turn_applies() -> None:
    """The turn is open while the disk is silent: it applies an entry, then the first piece comes."""
    node = with_data()
    asked = node.behind(10)
    node.run(Received(2, [CatchUpReply(E, 10, [learned(3)])]), Received(asked[0], [_piece(asked, 9)]))
    assert node.entity.log.committed in (3, 9)
    node.wait(500.0)
    for request in node.pieces_asked():
        node.piece(request, "a", committed=9, more=False)
    assert node.entity.log.committed == 9


def _piece(asked: tuple[int, SnapshotRequest], committed: int) -> SnapshotPiece:
    _, request = asked
    return SnapshotPiece(E, request.number, request.after, committed, [(b"da", b"A")], False, True)


# -- votes


def test_a_snapshot_replaces_data_and_never_votes() -> None:
    node = with_data()
    asked = node.behind(4)
    promise = PaxosMessage(E, 6, 8, 8, 0, False, b"", None, 5, True, False)
    node.hear(1, promise)
    below = PaxosMessage(E, 4, 8, 8, 0, False, b"", None, 3, True, False)
    node.hear(1, below)
    node.piece(asked, "a", committed=5, more=False)
    log = node.entity.log
    assert sorted(log.opened) == [6]
    assert log.opened[6].machine.mine.promised == 8
    found = dict(node.store.load(E).records)
    assert found[6].promised == 8


def test_no_row_is_written_below_a_copys_end_while_that_is_not_durable() -> None:
    """Seed 3000467: the pointers jump later, and the row would stay for ever."""
    node = with_data()
    peer, request = node.behind(4)
    end = SnapshotPiece(E, request.number, b"", 5, [(b"da", b"A")], False, True)
    before = node.store.read_log(E, 3, 5)
    below = PaxosMessage(E, 4, 8, 8, 0, False, b"", None, 3, True, False)
    node.hear(peer, end, below, CatchUpReply(E, 5, [learned(3)]))
    assert node.entity.log.committed == 5
    assert node.store.read_log(E, 3, 5) == before


def unheard_of() -> Node:
    """A node that has no row of the entity, and asks for a copy."""
    node = Node()
    node.run(PeerUp(1), PeerUp(2))
    node.hear(1, ReadQuestion(E, 1), CatchUpReply(E, 4, [], gone=True))
    for peer, _ in node.take(CatchUpRequest):
        node.hear(peer, CatchUpReply(E, 4, [], gone=True))
    assert not node.store.entities(-1, 10)
    return node


def test_an_entity_that_is_copied_does_not_begin_with_nothing_once_more() -> None:
    """Its first row came with the last piece: the committed entry that the copy had written was set back to 0 (seed 990980)."""
    node = unheard_of()
    peer, request = node.asked()
    promise = PaxosMessage(E, 6, 8, 8, 0, False, b"", None, 5, True, False)
    piece = SnapshotPiece(E, request.number, request.after, 5, [(DATA + b"a", b"A")], False, True)
    node.hear(peer, piece, promise)
    assert node.store.committed_entry(E) == node.entity.log.committed == 5
    assert node.store.entities(-1, 10) == [(E, 5, 6)]


def test_an_entity_is_listed_from_the_beginning_of_its_copy() -> None:
    """A vote that is cast meanwhile is found by who asks what there is (rule 19c)."""
    node = unheard_of()
    node.piece(node.asked(), "a", committed=5)
    node.hear(1, PaxosMessage(E, 6, 8, 8, 0, False, b"", None, 5, True, False))
    assert node.store.load(E).recovering
    assert node.store.entities(-1, 10) == [(E, 0, 6)]


# -- peers that have nothing, or say nothing


def test_a_peer_without_a_view_is_passed_over() -> None:
    node = with_data()
    peer, request = node.behind()
    node.hear(peer, SnapshotPiece(E, request.number, b"", 0, [], False, False))
    other, again = node.asked()
    assert other == 3 - peer
    assert again.number != request.number
    node.hear(other, SnapshotPiece(E, again.number, b"", 0, [], False, False))
    assert not node.pieces_asked()  # all have been asked: a little later again
    node.wait(1_000.0)
    assert node.pieces_asked()
    assert node.counters["snapshots_refused"] == 2


def test_a_view_that_is_lost_in_the_middle_leaves_no_row_behind() -> None:
    node = with_data()
    node.piece(node.behind(), "ab")
    peer, request = node.asked()
    node.hear(peer, SnapshotPiece(E, request.number, request.after, 0, [], False, False))
    node.piece(node.asked(), "bc", committed=450, more=False)
    assert [node.stored(key) for key in "abc"] == [None, b"B", b"C"]
    assert node.entity.log.committed == 450


def test_a_silent_peer_is_asked_again_and_then_another() -> None:
    node = with_data()
    peer, request = node.behind()
    node.wait(900.0)
    assert set(node.pieces_asked()) == {(peer, request)}
    node.wait(400.0)
    assert {other for other, _ in node.pieces_asked()} == {3 - peer}
    assert node.counters["snapshots_timed_out"] == 1


def test_a_peer_is_not_late_before_it_is_asked() -> None:
    """Seed 3000280: the time-out was below the pause between two rounds; one peer was never asked."""
    node = with_data(snapshot_timeout_ms=150.0, retry_ms=100.0)
    peer, request = node.behind()
    others = set()
    for _ in range(3):
        node.hear(peer, SnapshotPiece(E, request.number, request.after, 0, [], False, False))
        found = node.pieces_asked()
        while not found:
            node.wait(50.0)
            found = node.pieces_asked()
        peer, request = found[0]
        others.add(peer)
    assert others == {1, 2}


def test_a_peer_without_a_link_is_not_waited_for_before_its_first_piece() -> None:
    node = with_data()
    peer, _ = node.behind()
    node.run(PeerDown(peer))
    node.wait(250.0)  # the next question
    assert node.pieces_asked()[-1][0] == 3 - peer


def test_a_peer_that_comes_back_goes_on_with_its_view() -> None:
    node = with_data()
    asked = node.behind()
    node.piece(asked, "ab")
    node.pieces_asked()
    node.run(PeerDown(asked[0]))
    node.wait(500.0)
    node.run(PeerUp(asked[0]))
    again = node.pieces_asked()[-1]
    assert (again[0], again[1].number, again[1].after) == (asked[0], asked[1].number, b"db")
    node.piece(again, "c", more=False)
    assert node.entity.log.committed == 400


# -- crashes and failing disks


def restarted(node: Node) -> Node:
    """After a crash; it has its links again, and has heard of the entity."""
    node = Node(node.store.crash())
    node.run(PeerUp(1), PeerUp(2))
    node.hear(1, ReadQuestion(E, 1))
    return node


def test_a_crash_in_the_middle_leaves_the_old_data_and_what_there_is_of_the_copy_goes() -> None:
    node = with_data()
    node.piece(node.behind(), "ab")
    node = restarted(node)
    assert node.changes == [DropInstall(E)]
    assert not node.store.load(E).recovering
    assert [node.stored(key) for key in "abz"] == [b"old", None, b"old"]
    assert node.entity.serves
    assert node.counters["snapshots_recovered"] == 1


def test_after_a_crash_in_the_middle_entries_will_do() -> None:
    node = with_data()
    node.piece(node.behind(4), "ab")
    node = restarted(node)
    node.hear(1, CatchUpReply(E, 4, [learned(3, ("k", "3")), learned(4)]))
    assert node.entity.log.committed == 4
    assert [node.stored(key) for key in "ak"] == [b"old", b"3"]


def test_after_a_crash_in_the_middle_another_copy_begins_with_nothing() -> None:
    node = with_data()
    node.piece(node.behind(), "ab")
    node = restarted(node)
    node.piece(node.behind(), "bc", committed=450, more=False)
    assert [node.stored(key) for key in "abcz"] == [None, b"B", b"C", None]


def test_a_crash_before_the_last_piece_is_durable_leaves_the_old_data() -> None:
    node = with_data()
    node.piece(node.behind(), "ab")
    asked = node.asked()
    node.store.sync = lambda: None  # type: ignore[method-assign]  # it has not synced yet
    node.piece(asked, "c", more=False)
    found = node.store.crash()
    assert (found.committed_entry(E), found.get(E, b"da"), found.get(E, b"dc")) == (2, b"old", None)
    assert found.load(E).recovering
    whole = node.store.crash(node.store.unsynced)
    assert (whole.committed_entry(E), whole.get(E, b"da"), whole.get(E, b"dc")) == (400, b"A", b"C")
    assert not whole.load(E).recovering


def test_a_half_copy_found_while_the_disk_takes_no_writes_goes_when_it_does() -> None:
    node = with_data()
    node.piece(node.behind(), "ab")
    node = Node(node.store.crash())
    node.store.fail_next_write = DiskFull("no room")
    node.hear(1, PaxosMessage(E + 1, 1, 5, 5, 0, False, b"", None, 0, True, False))  # whatever writes
    assert node.shard.context.cannot_write
    node.hear(1, ReadQuestion(E, 1))
    assert node.store.load(E).recovering
    assert node.entity.serves, "from the old data"
    node.run(WritesAllowed(""))
    assert node.changes == [DropInstall(E)]
    assert not node.store.load(E).recovering


# -- when it does not come to an end


def test_the_peer_is_lost_and_the_other_has_less_so_the_old_data_goes_on() -> None:
    """The log is asked again, and the entry that is missing is decided anew if nobody knows it."""
    node = with_data()
    asked = node.behind()
    node.piece(asked, "ab")
    assert node.pieces_asked()
    node.run(PeerDown(asked[0]))
    node.wait(1_000.0)
    other = node.pieces_asked()[-1]
    assert other[0] == 3 - asked[0]
    node.piece(other, "c", committed=1, more=False)
    assert node.changes[-1] == DropInstall(E)
    assert node.entity.install is None
    assert [node.stored(key) for key in "abz"] == [b"old", None, b"old"]
    assert not node.store.load(E).recovering
    assert node.counters["snapshots_outdated"] == 1
    node.take(PaxosMessage)
    node.wait(2_000.0)
    assert {request.first for _, request in node.take(CatchUpRequest)} == {3}
    assert (3 - asked[0], 3) in [(peer, message.entry) for peer, message in node.take(PaxosMessage)]


def test_while_it_copies_it_gives_what_it_has() -> None:
    """A peer may have even less."""
    node = with_data()
    node.piece(node.behind(), "bc")
    piece = ask(node, peer=1)
    assert (piece.committed, piece.rows, piece.more) == (2, [(b"da", b"old"), (b"dz", b"old")], False)
    node.store._now.log[E].delete(1)
    node.hear(1, CatchUpRequest(E, 1, 64))
    ((_, reply),) = node.take(CatchUpReply)
    assert (reply.entries, reply.gone) == ([], True)


def test_a_disk_that_is_almost_full_is_not_filled_with_a_copy() -> None:
    node = with_data()
    node.piece(node.behind(), "ab")
    asked = node.asked()
    node.run(WritesAllowed("little room"))
    node.wait(500.0)
    assert node.changes[-1] == DropInstall(E)
    assert not node.store.load(E).recovering
    node.piece(asked, "c")
    assert node.stored("a") == b"old"
    assert node.counters["snapshots_without_room"] == 1
    node.run(WritesAllowed(""))
    assert not node.pieces_asked(), "not at once"
    node.wait(5_100.0)
    node.piece(node.pieces_asked()[-1], "c", more=False)
    assert [node.stored(key) for key in "ac"] == [None, b"C"]


def test_a_copy_that_fills_the_disk_each_time_is_begun_ever_more_seldom() -> None:
    """Yet a disk that was full once for a moment keeps nobody out for a minute (found by chaos)."""
    node = with_data()
    asked = node.behind()
    pauses = []
    for _ in range(7):
        node.piece(asked, "ab")
        node.run(WritesAllowed("little room"))
        given_up_ms = node.now_ms
        node.wait(500.0)
        node.run(WritesAllowed(""))
        node.pieces_asked()
        while not (found := node.pieces_asked()):
            node.wait(100.0)
        asked = found[0]
        pauses.append((node.now_ms - given_up_ms) // 1_000.0)
    assert pauses == [5, 10, 20, 40, 60, 60, 60]


def test_a_crash_before_the_first_piece_is_durable_leaves_the_old_data() -> None:
    node = with_data()
    asked = node.behind()
    node.store.sync = lambda: None  # type: ignore[method-assign]  # it has not synced yet
    node.piece(asked, "ab")
    found = node.store.crash()
    assert not found.load(E).recovering
    assert found.get(E, b"da") == b"old"


def test_a_piece_that_cannot_be_written_is_no_loss() -> None:
    node = with_data()
    node.piece(node.behind(), "ab")
    asked = node.asked()
    node.store.fail_next_write = DiskFull("no room")
    node.piece(asked, "c")
    assert node.shard.context.cannot_write
    node.hear(1, ReadQuestion(E, 2))
    assert node.entity.serves
    assert node.stored("a") == b"old"
    assert not node.pieces_asked()
    node.run(WritesAllowed(""))
    assert node.changes[-1] == DropInstall(E)
    node.piece(node.behind(), "c", committed=450, more=False)
    assert [node.stored(key) for key in "abc"] == [None, None, b"C"]


# -- requests meanwhile


def test_requests_go_on_at_a_peer() -> None:
    node = with_data()
    node.behind()
    write, read = node.do("put k 1"), node.do("get k", read_only=True)
    handed = node.take(HandOver)
    assert [message.read_only for _, message in handed] == [False, True]
    for (peer, message), reply in zip(handed, (b"done", b"1"), strict=True):
        node.hear(peer, HandedBack(E, message.uuid, "", reply, message.digest))
    assert (write.reply, read.reply) == (b"done", b"1")
    assert (write.evaluations, read.evaluations) == (0, 0)


def test_what_waited_when_the_copy_began_is_handed_over_too() -> None:
    node = with_data(origin=0)
    node.hear(1, CatchUpReply(E, 500, []))
    read, write = node.do("get k", read_only=True), node.do("put k 1")
    assert not node.take(HandOver)
    node.behind()
    assert sorted(message.read_only for _, message in node.take(HandOver)) == [False, True]
    assert not read.ended
    assert not write.ended


def test_a_read_that_a_peer_refuses_goes_to_another() -> None:
    node = with_data()
    node.behind()
    read = node.do("get k", read_only=True)
    ((peer, message),) = node.take(HandOver)
    node.hear(peer, HandedBack(E, message.uuid, NotServing.code, b"", message.digest))
    ((other, message),) = node.take(HandOver)
    assert other == 3 - peer
    node.hear(other, HandedBack(E, message.uuid, "", b"x", message.digest))
    assert read.reply == b"x"


def test_what_no_peer_can_run_waits_for_the_copys_end() -> None:
    node = with_data()
    asked = node.behind()
    write, read = node.do("put k 1", kind=AloneOperation), node.do("get a", kind=AloneOperation, read_only=True)
    assert not node.take(HandOver)
    node.piece(asked, "a", more=False, committed=500)
    for _, question in node.take(ReadQuestion)[:1]:
        node.hear(1, ReadAnswer(E, question.number, 500, 500))
    assert read.reply == b"A"
    assert not write.ended
    assert node.entity.writes.in_flight is not None


def test_it_is_said_what_is_waited_for() -> None:
    node = with_data()
    asked = node.behind()
    node.piece(asked, "a")
    read = node.do("get a", kind=AloneOperation, read_only=True)
    node.wait(4_000.0)
    assert isinstance(read.error, NotServing)
    assert "its data is copied to this node" in str(read.error)


def test_who_copies_takes_nothing_over_from_others() -> None:
    node = with_data()
    node.behind()
    node.hear(1, HandOver(E, uuid("a"), "operation", b"put k 1", 1, 1_000, b"", False))
    ((_, back),) = node.take(HandedBack)
    assert back.code == NotServing.code


def test_what_was_proposed_here_is_settled_by_its_uuid() -> None:
    node = with_data(origin=0)
    known, lost = (AloneOperation(E, b"put k 1", uuid=uuid(name), deadline_ms=9_000.0) for name in ("known", "lost"))
    node.run(known, lost)
    assert node.entity.writes.proposed == [known, lost]
    peer, asked = node.behind()
    assert node.entity.writes.in_flight is None
    rows = [(UUID + uuid("known"), b"+first"), (WINDOW + (3).to_bytes(8, "big"), uuid("known"))]
    node.hear(peer, SnapshotPiece(E, asked.number, b"", 500, rows, False, True))
    assert node.entity.log.committed == 500
    assert known.reply == b"first"
    assert node.entity.writes.proposed == [lost]
    assert (known.evaluations, lost.evaluations) == (1, 2)


def test_until_it_is_settled_it_is_not_called_refused() -> None:
    node = with_data(origin=0)
    write = node.do("put k 1", kind=AloneOperation, uuid=uuid("a"))
    assert node.entity.writes.proposed == [write]
    node.behind()
    node.wait(4_000.0)
    assert isinstance(write.error, OutcomeUnknown)


def test_what_was_proposed_without_a_uuid_is_unknown() -> None:
    node = with_data(origin=0)
    write = node.do("put k 1")
    assert node.entity.writes.in_flight is not None
    node.behind()
    assert isinstance(write.error, OutcomeUnknown)
    assert node.shard.context.in_flight_bytes == 0


# -- the other end


def has_data(rows: int = 6, **tuning: Any) -> Node:
    """A node whose data is `rows` keys, written by as many entries."""
    node = Node(**tuning)
    node.run(PeerUp(1), PeerUp(2))
    node.hear(1, ReadQuestion(E, 1))
    for entry in range(1, rows + 1):
        node.hear(1, CatchUpReply(E, entry, [learned(entry, (f"k{entry:04}", "v" * 100))]))
    assert node.entity.log.committed == rows
    node.said.clear()
    return node


def ask(node: Node, number: int = 5, after: bytes = b"", *, peer: int = 1, limit: int = 250) -> SnapshotPiece:
    node.hear(peer, SnapshotRequest(E, number, after, limit))
    node.wait(1.0)  # as the rate has it
    ((to, piece),) = node.take(SnapshotPiece)
    assert to == peer
    assert (piece.number, piece.after) == (number, after)
    return piece


def test_all_pieces_are_of_one_moment() -> None:
    node = has_data()
    first = ask(node)
    assert (first.found, first.more, first.committed) == (True, True, 6)
    node.hear(1, CatchUpReply(E, 8, [learned(7, ("k0006", "new"), ("k9", "new")), learned(8)]))
    assert node.stored("k9") == b"new"
    found, piece = list(first.rows), first
    while piece.more:
        piece = ask(node, after=found[-1][0])
        assert piece.committed == 6
        found += piece.rows
    assert found == [(b"dk%04d" % number, b"v" * 100) for number in range(1, 7)]
    assert node.shard.transfers == ()


def test_a_piece_that_was_lost_is_sent_again() -> None:
    node = has_data()
    first = ask(node)
    assert ask(node, after=first.rows[-1][0]) == ask(node, after=first.rows[-1][0])


def test_a_view_that_is_not_open_is_not_gone_on_with() -> None:
    node = has_data()
    assert not ask(node, after=b"dk").found
    assert node.counters["snapshots_not_given"] == 1


def test_only_so_many_views_are_open_and_a_silent_one_ends() -> None:
    node = has_data(max_snapshots=1)
    assert ask(node).found
    assert not ask(node, peer=2).found
    assert [(transfer.peer, transfer.sends) for transfer in node.shard.transfers] == [(1, True)]
    node.wait(1_100.0)
    assert node.counters["snapshots_abandoned"] == 1
    assert not ask(node, after=b"dk0002").found
    assert ask(node, peer=2).found


def test_a_view_that_nobody_reads_any_more_is_closed_at_once() -> None:
    """The question for its only piece came twice: it was opened again, and nobody would have read on."""
    node = has_data(max_snapshots=1)
    ask(node)
    node.hear(1, SnapshotRequest(E, 4, b"", 0))  # another one's end
    assert node.shard.transfers
    node.hear(1, SnapshotRequest(E, 5, b"", 0))
    assert node.shard.transfers == ()
    assert ask(node, peer=2).found


def test_who_reads_no_more_says_so() -> None:
    node = with_data()
    first = node.behind()
    node.hear(first[0], SnapshotPiece(E, first[1].number, b"", 0, [], False, False))
    assert (first[0], first[1]._replace(limit=0)) in node.said
    second = node.asked()
    node.said.clear()
    node.piece(second, "a", more=False)
    assert node.take(SnapshotRequest) == [(second[0], second[1]._replace(limit=0))]


def test_who_begins_anew_gives_up_what_it_has_read_before() -> None:
    node = has_data(max_snapshots=1)
    assert ask(node).found
    assert ask(node, number=6).found
    assert not ask(node, number=5, after=b"dk0002").found


def test_entries_that_are_gone_are_called_so() -> None:
    node = has_data()
    for entry in (1, 2, 3):
        node.store._now.log[E].delete(entry)
    for first, gone in ((1, True), (3, True), (4, False)):
        node.hear(1, CatchUpRequest(E, first, 64))
        ((_, reply),) = node.take(CatchUpReply)
        assert (reply.gone, bool(reply.entries)) == (gone, not gone)
    assert node.counters["entries_gone"] == 2


def test_a_vote_that_was_never_known_to_be_chosen_is_no_entry_to_tell() -> None:
    """It lay above the snapshot's entry when it was written, and below when the snapshot came (rules 3 and 17)."""
    node = has_data()
    record = Record(0, 4, 4, Value(value_id(2, 3, 3), b"lost"))
    node.store.write({(E, 3): record}, [])
    node.hear(1, CatchUpRequest(E, 3, 64))
    ((_, reply),) = node.take(CatchUpReply)
    assert (reply.entries, reply.gone) == ([], True)


def test_the_rate_is_kept() -> None:
    node = has_data(20, snapshot_bytes_per_second=1_000, snapshot_piece_bytes=250, snapshot_timeout_ms=2_000.0)
    piece = ask(node, limit=250)
    began, sent = node.now_ms, sum(len(key) + len(value) for key, value in piece.rows)
    while piece.more:
        node.hear(1, SnapshotRequest(E, 5, piece.rows[-1][0], 250))
        node.wait(5_000.0)
        ((_, piece),) = node.take(SnapshotPiece)
    assert sent < 400
    while not (found := node.take(SnapshotPiece)) and node.now_ms < began:
        assert not found
    assert node.now_ms - began >= 1_000.0


def test_a_row_that_is_larger_than_a_piece_does_not_hold_up_the_next_one_for_too_long() -> None:
    """Else the copy would begin anew for ever."""
    node = has_data(20, snapshot_bytes_per_second=1_000, snapshot_piece_bytes=10, snapshot_timeout_ms=100.0)
    piece = ask(node, limit=10)
    for _ in range(5):
        node.hear(1, SnapshotRequest(E, 5, piece.rows[-1][0], 10))
        node.wait(50.0)
        ((_, piece),) = node.take(SnapshotPiece)
        assert piece.found


def test_a_piece_comes_before_whoever_asks_gives_up_however_small_the_budget() -> None:
    """Else every copy would begin anew for ever, where two nodes need one (seed 9200142 with a majority lost)."""
    node = has_data(20, background_bytes_per_second=10, snapshot_timeout_ms=1_000.0)
    piece, waited = ask(node), 0
    while piece.more:
        for _ in range(2):  # asked again, it is not put off
            node.hear(1, SnapshotRequest(E, 5, piece.rows[-1][0], 250))
            node.wait(150.0)
            waited += not any(isinstance(message, SnapshotPiece) for _, message in node.said)
        ((_, piece),) = node.take(SnapshotPiece)
    assert waited > 2


def test_whether_copying_is_cheaper_is_seen_by_a_short_look() -> None:
    def cheaper(node: Node, gap: int, *, weighs: bool = True) -> bool:
        node.entity.raise_max_chosen(gap, 1)
        node.entity.log.contiguous_chosen = gap
        node.hear(1, CatchUpRequest(E, 1, 64, b"", weighs))
        ((_, reply),) = node.take(CatchUpReply)
        return reply.cheaper

    assert cheaper(has_data(), 1_000)
    assert not cheaper(has_data(), 1_000, weighs=False)
    assert not cheaper(has_data(), LEAST_GAP - 1)
    assert not cheaper(has_data(200), 200)
    assert LOOK_ROWS > 200
    node = has_data(max_snapshots=1)
    ask(node)
    assert not cheaper(node, 1_000)


def test_what_a_peer_says_of_a_read_is_no_outcome_of_the_write_that_it_became() -> None:
    """Found by the simulation of waiting clients, seed 9229: who was told so asked anew, and what the write took was lost."""
    node = with_data()
    asked = node.behind()
    read = node.do("take a", read_only=True)
    ((peer, copy),) = node.take(HandOver)
    assert copy.read_only
    node.piece(asked, "a", committed=500, more=False)
    assert node.entity.log.committed == 500
    node.hear(peer, CatchUpReply(E, 501, [learned(501, origin=peer)]))
    node.run(PeerDown(peer, "gone"))
    node.run(PeerUp(peer))
    (_, question), *_ = node.take(ReadQuestion)
    node.hear(3 - peer, ReadAnswer(E, question.number, 501, 501, value_id(peer, 3, 501)))
    ((to, again),) = node.take(HandOver)
    assert (to, again.read_only, again.uuid) == (peer, False, copy.uuid)
    node.hear(peer, HandedBack(E, copy.uuid, "", b"nil", copy.digest))
    assert not read.ended
    node.hear(peer, HandedBack(E, copy.uuid, "", b"A", again.digest))
    assert read.reply == b"A"
