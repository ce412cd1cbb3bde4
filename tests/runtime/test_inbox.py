"""What waits for a turn: order, how much one turn takes in, when the peers are read no more."""

from __future__ import annotations

import asyncio

from paxosstore.core.batch.request import REQUEST_BYTES, Request
from paxosstore.core.interface.event import Event, Loaded, PeerUp, Received, Tick
from paxosstore.core.interface.message import ReadQuestion
from paxosstore.errors import Overloaded, PaxosStoreError
from paxosstore.runtime.links import Links
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage.inbox import FULL_BYTES, TURN_BYTES, TURN_EVENTS, TURN_MESSAGES, Inbox
from paxosstore.storage.memory import MemoryStore

from .test_links import free_addresses, run, until
from .test_loop import turns_over


class Sized(Request):
    def __init__(self, size: int) -> None:
        super().__init__(1)
        self.size = size
        self.errors: list[PaxosStoreError | None] = []

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self.errors.append(error)


def frame(size: int, messages: int = 1) -> Received:
    return Received(1, [ReadQuestion(1, 1)] * messages, size)


def drain(inbox: Inbox) -> list[list[Event | Request]]:
    turns = []
    while inbox:
        turns.append(inbox.take())
    return turns


def test_usually_a_turn_takes_in_everything() -> None:
    inbox = Inbox()
    events: list[Event | Request] = [PeerUp(1), Sized(10), frame(100), Sized(20)]
    inbox.put(events[0])
    inbox.put(events[1])
    inbox.put_frame(frame(100))
    inbox.put(events[3])
    assert (len(inbox), inbox.frame_bytes, inbox.request_bytes) == (4, 100, 30 + 2 * REQUEST_BYTES)
    assert drain(inbox) == [events]
    assert (len(inbox), inbox.frame_bytes, inbox.request_bytes) == (0, 0, 0)


def test_a_turn_takes_in_so_many_events_messages_and_bytes_in_order() -> None:
    inbox = Inbox()
    requests = [Sized(1) for _ in range(2 * TURN_EVENTS + 1)]
    for request in requests:
        inbox.put(request)
    turns = drain(inbox)
    assert [len(turn) for turn in turns] == [TURN_EVENTS, TURN_EVENTS, 1]
    assert [request for turn in turns for request in turn] == requests
    for size, messages in ((TURN_BYTES // 2, 1), (1, TURN_MESSAGES // 2)):
        for _ in range(6):
            inbox.put_frame(frame(size, messages))
        inbox.put(PeerUp(2))
        assert [len(turn) for turn in drain(inbox)] == [2, 2, 3]
        assert (inbox.frame_bytes, inbox.request_bytes) == (0, 0)


def test_a_frame_over_every_limit_is_a_turn_of_its_own() -> None:
    inbox = Inbox()
    for _ in range(2):
        inbox.put_frame(frame(2 * TURN_BYTES, 2 * TURN_MESSAGES))
    assert [len(turn) for turn in drain(inbox)] == [1, 1]


def test_peers_are_read_no_more_when_too_much_has_arrived() -> None:
    inbox = Inbox()
    told: list[bool] = []
    inbox.on_full = told.append
    for _ in range(FULL_BYTES // TURN_BYTES + 1):
        assert told == []
        inbox.put_frame(frame(TURN_BYTES))
    assert told == [True]
    while inbox.frame_bytes > FULL_BYTES // 2:
        assert told == [True]
        inbox.take()
    assert told == [True, False]


def test_requests_that_no_turn_has_taken_in_are_bounded_in_bytes() -> None:
    async def main() -> None:
        turns = turns_over(MemoryStore(), lambda reason: None, tuning=TuningSettings(max_waiting_bytes=10_000))
        requests = [Sized(4_000) for _ in range(5)]
        for request in requests:
            turns.submit(request)
        assert [len(request.errors) for request in requests] == [0, 0, 0, 1, 1]
        assert all(isinstance(request.errors[0], Overloaded) for request in requests[3:])
        assert "max_waiting_bytes" in str(requests[3].errors[0])
        await turns.close()

    asyncio.run(main())


def test_a_peer_that_is_not_read_is_not_taken_for_silent() -> None:
    async def story() -> None:
        addresses = free_addresses(3)
        got: list[object] = []
        ends = [
            Links(
                number,
                addresses,
                ClusterSettings("blue"),
                number + 1,
                bytes(16),
                on_messages=lambda peer, messages, size, disk: got.extend(messages),
                on_up=lambda hello: None,
                on_down=lambda peer, reason: None,
            )
            for number in range(2)
        ]
        for end in ends:
            await end.start()
        await until(lambda: ends[0].is_up(1) and ends[1].is_up(0))
        ends[0].hold(True)
        ends[1].send(0, [ReadQuestion(1, 7)])
        await asyncio.sleep(0.2)
        assert got == []
        ends[0].hold(False)
        await until(lambda: got == [ReadQuestion(1, 7)])
        for end in ends:
            await end.close()

    run(story)


def test_what_was_loaded_is_taken_in_first_and_at_once() -> None:
    """Else a floor could be set, and be forgotten, between the reading of an entity and its taking in (rule 19c)."""
    inbox = Inbox()
    for _ in range(TURN_EVENTS + 5):
        inbox.put(Tick())
    loaded = Loaded(7, 0, [], 0, b"")
    inbox.put_loaded(loaded)
    assert len(inbox) == TURN_EVENTS + 6
    assert next(iter(inbox)) is loaded
    assert inbox.take()[0] is loaded
    assert inbox.take() == [Tick()] * 5
