"""What the tests of the core share: a reader over a dict, and requests that a person can read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from paxosstore.core.batch.overlay import DATA, View
from paxosstore.core.batch.request import Request
from paxosstore.errors import PaxosStoreError


class DictReader:
    """`DataReader` over one dict per entity; keys carry their space byte."""

    def __init__(self) -> None:
        self.data: dict[int, dict[bytes, bytes]] = {}
        self.entries: dict[int, int] = {}

    def get(self, entity: int, key: bytes) -> bytes | None:
        return self.data.get(entity, {}).get(key)

    def scan(self, entity: int, start: bytes, end: bytes, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        pairs = ((k, v) for k, v in self.data.get(entity, {}).items() if start <= k < end)
        return iter(sorted(pairs, reverse=reverse))

    def committed_entry(self, entity: int) -> int:
        return self.entries.get(entity, 0)

    def put(self, entity: int, key: bytes, value: bytes) -> None:
        """A key of the requests' own space."""
        self.data.setdefault(entity, {})[DATA + key] = value


def uuid(name: str) -> bytes:
    """16 bytes from a short name."""
    return name.encode().rjust(16, b".")


def run_operation(view: View, payload: bytes) -> bytes:
    """The handler all test requests share: `put KEY VALUE`, `del KEY`, `incr KEY`, `get KEY`, `clear`, `raise`, `entry [KEY]`,
    `time [KEY]`, `take KEY`."""
    verb, *words = payload.split(b" ")
    if verb == b"put":
        view.put(words[0], words[1])
        return b"done"
    if verb == b"del":
        view.delete(words[0])
        return b"done"
    if verb == b"clear":
        view.clear()
        return b"done"
    if verb == b"incr":
        count = int(view.get(words[0]) or b"0") + 1
        view.put(words[0], b"%d" % count)
        for mark in words[1:]:  # a key of its own for each increment, to see which ones happened
            view.put(mark, b"%d" % count)
        return b"%d" % count
    if verb == b"entry":
        for key in words:
            view.put(key, b"")
        return b"%d" % view.entry
    if verb == b"time":  # of the view; with a key it is kept there too
        for key in words:
            view.put(key, b"%d" % view.now_ms)
        return b"%d" % view.now_ms
    if verb == b"take":  # what is there goes with whoever sees it
        if (found := view.get(words[0])) is not None:
            view.require_write()
            view.delete(words[0])
        return found or b"nil"
    if verb == b"get":
        return view.get(words[0]) or b"nil"
    if verb == b"raise":
        view.put(b"junk", b"junk")
        raise ValueError("as asked")
    raise AssertionError(payload)


class Operation(Request):
    """A request that runs one operation and remembers how it ended."""

    handler = "operation"

    def __init__(
        self,
        entity: int,
        operation: bytes,
        *,
        read_only: bool = False,
        uuid: bytes = b"",
        floor: int = 0,
        deadline_ms: float = 0.0,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        super().__init__(entity, read_only=read_only, uuid=uuid, floor=floor, deadline_ms=deadline_ms)
        self.operation = operation
        self.reply: bytes | None = None
        self.error: PaxosStoreError | None = None
        self.ended = False
        self.evaluations = 0
        self.on_evaluate: Callable[[], None] = lambda: None
        self._clock = clock
        self.began_ms = clock()
        self.ended_ms = 0.0

    def evaluate(self, view: View) -> bytes:
        self.evaluations += 1
        self.on_evaluate()
        return run_operation(view, self.operation)

    def payload(self) -> bytes:
        return self.operation

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        assert not self.ended, "a request ends once"
        self.ended = True
        self.ended_ms = self._clock()
        self.error = error
        self.reply = None if error is not None else reply

    @property
    def outcome(self) -> str:
        """The reply, or the code of the error, or `pending`."""
        if not self.ended:
            return "pending"
        if self.error is not None:
            return self.error.code
        assert self.reply is not None
        return self.reply.decode()


class AloneOperation(Operation):
    """One that only this node can run."""

    handler = ""


HANDLERS = {Operation.handler: run_operation}
