"""What has arrived and no turn has taken in yet, in order, with what it weighs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final

from ..core.batch.request import REQUEST_BYTES, Request
from ..core.interface.event import Event, Received

TURN_EVENTS: Final = 10_000
TURN_MESSAGES: Final = 10_000
TURN_BYTES: Final = 8 * 1024 * 1024
"""One turn takes in so much of frames, and ends with the event that crosses a limit: the loop is not held for longer."""
FULL_BYTES: Final = 64 * 1024 * 1024
"""Of frames: when more has arrived, nothing is read from the peers until half of it is taken in."""


class Inbox:
    """Holds events while a turn is under way."""

    __slots__ = ("_events", "_full", "_loaded", "_messages", "frame_bytes", "on_full", "request_bytes")

    def __init__(self) -> None:
        self._events: list[Event | Request] = []
        self._loaded: list[Event | Request] = []
        self._messages = 0
        self._full = False
        self.frame_bytes = 0
        """Of frames that wait here."""
        self.request_bytes = 0
        """What requests that wait here hold of memory."""
        self.on_full: Callable[[bool], None] = lambda full: None
        """Called when peers should be read no more, and when they may be again."""

    def __len__(self) -> int:
        return len(self._loaded) + len(self._events)

    def __iter__(self) -> Iterator[Event | Request]:
        return chain(self._loaded, self._events)

    def put(self, event: Event | Request) -> None:
        self._events.append(event)
        if isinstance(event, Request):
            self.request_bytes += event.size + REQUEST_BYTES

    def put_frame(self, frame: Received) -> None:
        self._events.append(frame)
        self._messages += len(frame.messages)
        self.frame_bytes += frame.size
        if self.frame_bytes > FULL_BYTES and not self._full:
            self._full = True
            self.on_full(True)

    def put_all(self, events: Sequence[Event]) -> None:
        """What the disk has loaded."""
        self._events += events

    def put_loaded(self, event: Event) -> None:
        """An entity was loaded: the next turn takes that in first, before anything changes on which it rests (a floor)."""
        self._loaded.append(event)

    def take(self) -> list[Event | Request]:
        """As much as one turn may take in, the oldest first."""
        loaded, self._loaded = self._loaded, []
        return loaded + self._take()

    def _take(self) -> list[Event | Request]:
        events = self._events
        if len(events) <= TURN_EVENTS and self._messages <= TURN_MESSAGES and self.frame_bytes <= TURN_BYTES:
            self._events = []
            self._messages = self.frame_bytes = self.request_bytes = 0
        else:
            events = self._take_some()
        if self._full and self.frame_bytes <= FULL_BYTES // 2:
            self._full = False
            self.on_full(False)
        return events

    def _take_some(self) -> list[Event | Request]:
        messages = size = number = 0
        for number, event in enumerate(self._events, 1):
            if isinstance(event, Received):
                messages += len(event.messages)
                size += event.size
            elif isinstance(event, Request):
                self.request_bytes -= event.size + REQUEST_BYTES
            if number >= TURN_EVENTS or messages >= TURN_MESSAGES or size >= TURN_BYTES:
                break
        self._messages -= messages
        self.frame_bytes -= size
        taken, self._events = self._events[:number], self._events[number:]
        return taken
