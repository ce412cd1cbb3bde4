"""What a request publishes: it leaves once, when the request is decided, and never if it is refused."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest

from paxosstore.core.batch.evaluate import Evaluated, Reply, evaluate, split_remembered
from paxosstore.core.batch.overlay import Overlay, View, WriteBatch
from paxosstore.core.batch.published import Published, pack, unpack
from paxosstore.core.batch.request import DIGEST_BYTES, Request
from paxosstore.core.interface.event import Event, PeerUp, Received, Tick
from paxosstore.core.interface.message import HandedBack, HandOver, PaxosMessage
from paxosstore.core.interface.ready import Release
from paxosstore.core.shard.shard import Shard
from paxosstore.core.turn.context import Identity
from paxosstore.errors import InvalidRequest, PaxosStoreError, TooLarge
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.memory import MemoryStore
from paxosstore.storage.turn import Turn

from .support import DictReader, uuid

NEWS = Published(b"news", b"1", 3)


def publish(view: View, payload: bytes) -> bytes:
    view.put(b"k", payload)
    view.publish(*NEWS._replace(payload=payload))
    if payload == b"raise":
        raise ValueError("as asked")
    return b"done"


class Publishing(Request):
    """Publishes its payload."""

    handler = "publish"

    def __init__(self, text: bytes, run: Callable[[View, bytes], bytes] = publish, **options: object) -> None:
        super().__init__(1, **options)  # type: ignore[arg-type]  # options of several types
        self.text = text
        self.run = run
        self.outcome: tuple[bytes, PaxosStoreError | None] | None = None

    def evaluate(self, view: View) -> bytes:
        return self.run(view, self.text)

    def payload(self) -> bytes:
        return self.text

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self.outcome = reply, error


def batch_of(*requests: Request, reader: DictReader | None = None, **limits: int) -> Evaluated:
    overlay = Overlay(reader or DictReader(), 1, 0, **limits)  # type: ignore[arg-type]  # limits of several types
    return evaluate(deque(requests), overlay, 1, 100, 100, 1 << 20)


def test_each_request_has_what_it_has_published() -> None:
    one, two, quiet = Publishing(b"1"), Publishing(b"2"), Publishing(b"3", lambda view, payload: b"")
    batch_of(one, quiet, two)
    assert (one.published, quiet.published, two.published) == ([NEWS], (), [NEWS._replace(payload=b"2")])
    again = Publishing(b"1")
    batch_of(again)
    batch_of(again)
    assert again.published == [NEWS], "the last evaluation counts"


def test_what_is_refused_publishes_nothing() -> None:
    refused, next_one = Publishing(b"raise"), Publishing(b"1")
    batch_of(refused, next_one)
    assert not refused.published
    assert next_one.published == [NEWS]


@pytest.mark.parametrize("digest", [b"", bytes(DIGEST_BYTES)], ids=["drawn here", "a caller's"])
def test_whoever_is_told_that_it_was_done_before_publishes_what_it_did(digest: bytes) -> None:
    """It may have been handed over, and the answer have come too late."""
    first, twin = Publishing(b"1", uuid=uuid("a")), Publishing(b"1", uuid=uuid("a"))
    first.digest = twin.digest = digest
    evaluated = batch_of(first, twin)
    assert first.published == twin.published == [NEWS]
    reader = DictReader()
    reader.data[1] = {key: value for key, value in evaluated.batch.writes.items() if value is not None}
    back = Publishing(b"1", uuid=uuid("a"))
    back.digest = digest
    evaluated = batch_of(back, reader=reader)
    assert evaluated.decided == [(back, Reply(b"done"))]
    assert back.published == [NEWS]
    other = Publishing(b"2", uuid=uuid("a"))
    other.digest = b"x" * DIGEST_BYTES
    batch_of(other, reader=reader)
    assert bool(other.published) != bool(digest), "another request under the same uuid is not told"


def test_what_is_too_large_to_be_kept_is_not_kept() -> None:
    request = Publishing(b"1", uuid=uuid("a"))
    overlay = Overlay(DictReader(), 1, 0)
    evaluated = evaluate(deque([request]), overlay, 1, 100, 100, 1 << 20, max_kept_bytes=NEWS.size)
    assert request.published == [NEWS]
    assert Reply.decode(evaluated.batch.writes[b"u" + uuid("a")] or b"") == Reply(b"done")
    assert split_remembered(evaluated.batch.writes[b"u" + uuid("a")] or b"")[0] == b""


@pytest.mark.parametrize(
    ("channel", "payload", "kind", "error"),
    [(b"c", b"x" * 100, 0, TooLarge), ("c", b"", 0, InvalidRequest), (b"c", b"", 256, InvalidRequest)],
)
def test_what_cannot_be_published_refuses_its_request(channel: bytes, payload: bytes, kind: int, error: type) -> None:
    def run(view: View, text: bytes) -> bytes:
        view.publish(channel, payload, kind)
        return b""

    request = Publishing(b"", run)
    evaluated = batch_of(request, max_request_bytes=99)
    assert type(evaluated.proposed[0][1].error) is error
    assert not request.published


def test_a_read_publishes_nothing() -> None:
    overlay = Overlay(DictReader(), 1, 0, read_only=True)
    with pytest.raises(InvalidRequest):
        overlay.publish(b"c", b"")


class Replica:
    """Node 0 of three; whoever tests it is the others."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.codec = MsgpackBodyCodec()
        tuning = TuningSettings(request_timeout_ms=1e6, no_majority_ms=1e6)
        self.shard = Shard(Identity(ClusterSettings("test"), tuning, 0, 1), self.store, self.codec, {"publish": publish})
        self.turn = Turn(self.shard, self.store, self._release)
        self.published: list[Published] = []
        self.sent: list[tuple[int, object]] = []
        self.now = 0.0
        for peer in (1, 2):
            self.do(PeerUp(peer))

    def _release(self, release: Release) -> None:
        self.published += release.published
        self.sent += release.messages
        for request, reply, error in release.outcomes:
            request.settle(reply, error)

    def do(self, *events: Event | Request) -> None:
        """Turns, until nothing is left of it."""
        todo: list[Event | Request] = list(events)
        while todo:
            self.now += 1.0
            self.turn.begin(todo, self.now, 0)
            todo = list(self.turn.finish(self.now, 0))

    def rows(self, entry: int) -> list[PaxosMessage]:
        return [m for _, m in self.sent if isinstance(m, PaxosMessage) and m.entry == entry]

    def answer(self, entry: int) -> None:
        """Node 1 goes along with what this node says of an entry, until nothing more is said."""
        done = 0
        while len(rows := self.rows(entry)) > done:
            done = len(rows)
            mine = rows[-1]
            ballot = mine.promised
            value_id = mine.value_id
            body = next((row.body for row in rows if row.value_id == value_id and row.body is not None), None)
            accepted = ballot if value_id else 0
            row = PaxosMessage(1, entry, 0, ballot, accepted, False, value_id, body, entry - 1, False, False)
            self.do(Received(1, [row]))


def test_it_leaves_when_the_batch_is_chosen_and_once() -> None:
    replica, request = Replica(), Publishing(b"1")
    replica.do(request)
    assert replica.rows(1)
    assert request.published or not replica.published
    assert replica.published == []
    replica.answer(1)
    assert request.outcome == (b"done", None)
    assert replica.published == [NEWS]


def test_a_batch_that_loses_publishes_what_it_publishes_in_the_end() -> None:
    """Another value is chosen at its entry; the request is evaluated anew, and sees that."""

    def as_seen(view: View, payload: bytes) -> bytes:
        view.publish(b"news", view.get(b"theirs") or b"nobody")
        view.put(b"mine", b"")
        return b""

    replica, request = Replica(), Publishing(b"", as_seen)
    replica.do(request)
    theirs = PaxosMessage(
        1, 1, 5, 5, 5, True, bytes(15) + b"\1", replica.codec.encode(WriteBatch({b"dtheirs": b"x"})), 1, False, False
    )
    replica.do(Received(1, [theirs]))
    assert replica.published == []
    replica.now += 1_000.0  # it gives way to whoever was there
    replica.do(Tick())
    replica.answer(2)
    assert request.outcome == (b"", None)
    assert replica.published == [Published(b"news", b"x")]


def test_what_was_handed_over_publishes_where_it_came_from() -> None:
    helper = Replica()
    over = HandOver(1, uuid("a"), "publish", b"1", 0, 1_000_000, b"")
    helper.do(Received(1, [over]))
    helper.answer(1)
    (back,) = [message for _, message in helper.sent if isinstance(message, HandedBack)]
    assert (back.code, back.reply, list(back.published)) == ("", b"done", [NEWS])
    assert helper.published == []


def test_what_is_packed_is_unpacked() -> None:
    messages = [NEWS, Published(b"", b"", 0), Published(b"\0" * 300, b"\xff" * 70_000, 255)]
    assert unpack(pack(messages)) == messages
    assert unpack(pack([])) == []
