"""Evaluating a batch: order, limits, failing requests, uuids and their window, requests for one entry (rules 14 and 15)."""

from __future__ import annotations

from asyncio import CancelledError
from collections import deque
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxosstore.core.batch.evaluate import Evaluated, Reply, evaluate, run
from paxosstore.core.batch.overlay import DATA, UUID, WINDOW, Overlay, View
from paxosstore.core.batch.request import AT_ENTRY, DIGEST_BYTES, FUNCTION, Request, digest_of
from paxosstore.errors import (
    CallerError,
    DuplicateUuid,
    InvalidRequest,
    NodeError,
    NoQuorum,
    NotServing,
    OutcomeUnknown,
    PaxosStoreError,
    ReplyNotKept,
    RequestFailed,
    TooLarge,
    WrongEntry,
)

from .support import DictReader, Operation, uuid

ENTITY = 1
WINDOW_ENTRIES = 16


class Log:
    """An entity whose every batch is chosen: evaluates and applies entry after entry."""

    def __init__(self) -> None:
        self.reader = DictReader()
        self.entry = 0

    def evaluate(
        self, requests: Sequence[Request], *, max_requests: int = 100, max_bytes: int = 10_000, max_request_bytes: int = 1_000
    ) -> tuple[Evaluated, list[Request]]:
        """The batch for the next entry, and what is left in the queue."""
        queue = deque(requests)
        overlay = Overlay(self.reader, ENTITY, 0, max_request_bytes=max_request_bytes)
        evaluated = evaluate(queue, overlay, self.entry + 1, WINDOW_ENTRIES, max_requests, max_bytes)
        return evaluated, list(queue)

    def apply(self, *requests: Request) -> Evaluated:
        """Evaluate and apply; ends the requests as the shard would."""
        evaluated, left = self.evaluate(requests)
        assert not left
        self.entry += 1
        data = self.reader.data.setdefault(ENTITY, {})
        assert not evaluated.batch.cleared
        for key, value in evaluated.batch.writes.items():
            if value is None:
                data.pop(key, None)
            else:
                data[key] = value
        for request, reply in evaluated.proposed + evaluated.decided:
            request.settle(reply.content, reply.error)
        return evaluated

    def pass_entries(self, count: int) -> None:
        for _ in range(count):
            self.apply(op("put x 1"))

    def count(self) -> bytes | None:
        return self.reader.get(ENTITY, DATA + b"c")


def op(text: str, name: str = "", *, floor: int = 0, at_entry: int = 0, more: Sequence[str] = ()) -> Operation:
    request = Operation(ENTITY, text.encode(), uuid=uuid(name) if name else b"", floor=floor)
    request.at_entry = at_entry
    request.more_uuids = tuple(uuid(one) for one in more)
    return request


def outcomes(*requests: Operation) -> list[str]:
    return [request.outcome for request in requests]


# -- order and limits


def test_each_request_sees_those_before_it() -> None:
    log = Log()
    requests = [op("incr c"), op("incr c"), op("get c"), op("del c"), op("get c")]
    evaluated = log.apply(*requests)
    assert outcomes(*requests) == ["1", "2", "2", "done", "nil"]
    assert evaluated.entry == 1
    assert evaluated.batch.writes == {DATA + b"c": None}


def test_the_batch_ends_at_max_requests() -> None:
    requests = [op("incr c") for _ in range(5)]
    evaluated, left = Log().evaluate(requests, max_requests=3)
    assert [request for request, _ in evaluated.proposed] == requests[:3]
    assert left == requests[3:]


def test_the_batch_ends_with_the_request_that_crosses_max_bytes() -> None:
    requests = [op("put k 12345678") for _ in range(5)]  # 10 bytes each
    evaluated, left = Log().evaluate(requests, max_bytes=15)
    assert len(evaluated.proposed) == 2
    assert len(left) == 3


def test_what_ended_while_it_waited_is_left_out() -> None:
    requests = [op("incr c"), op("incr c"), op("incr c")]
    requests[0].settled = requests[2].settled = True
    evaluated, left = Log().evaluate(requests)
    assert evaluated.proposed == [(requests[1], Reply(b"1"))]
    assert not left
    assert requests[0].evaluations == 0


def test_nothing_to_do_is_an_empty_batch() -> None:
    evaluated, _ = Log().evaluate([])
    assert not evaluated.proposed
    assert not evaluated.batch


# -- requests that fail


def test_a_failing_request_leaves_nothing_but_its_refusal() -> None:
    log = Log()
    requests = [op("incr c", "a"), op("raise", "b"), op("incr c")]
    evaluated = log.apply(*requests)
    assert outcomes(*requests) == ["1", "FAILED", "2"]
    error = requests[1].error
    assert isinstance(error, RequestFailed)
    assert isinstance(error.__cause__, ValueError)
    assert DATA + b"junk" not in evaluated.batch.writes
    assert [request for request, _ in evaluated.proposed] == requests, "what it saw is true only if the batch is chosen"


class Wordless(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class WordlessRefusal(InvalidRequest):
    def __str__(self) -> str:
        raise SystemExit


@pytest.mark.parametrize("raised", [Wordless(), WordlessRefusal(), SystemExit(1), KeyboardInterrupt(), CancelledError()])
def test_whatever_a_request_raises_ends_that_request_alone(raised: BaseException) -> None:
    """It once ended the turn, with the requests of its batch gone from the queue."""

    class Odd(Operation):
        def evaluate(self, view: View) -> bytes:
            view.put(b"junk", b"junk")
            raise raised

    log = Log()
    requests = [op("incr c"), Odd(ENTITY, b"", uuid=uuid("a")), op("incr c")]
    evaluated = log.apply(*requests)
    assert [request.outcome for request in requests] == ["1", "FAILED", "2"]
    assert type(raised).__name__ in str(requests[1].error)
    assert DATA + b"junk" not in evaluated.batch.writes
    assert run(Odd(ENTITY, b""), Overlay(log.reader, ENTITY, 0, read_only=True)).error is not None


class Own(InvalidRequest):
    code = 5  # type: ignore[assignment]  # that is the point

    def __init__(self) -> None:
        super().__init__("\ud800" * 10**6)


class OwnRoot(PaxosStoreError):
    code = "UNKNOWN"
    outcome_known = False


class Text(str):
    pass


class TextError(Exception):
    def __str__(self) -> str:
        return Text("text")


class OddType(type):
    def __eq__(cls, other: object) -> bool:
        raise ValueError("not comparable")

    def __hash__(cls) -> int:
        raise ValueError("no hash")


class OddError(InvalidRequest, metaclass=OddType):
    pass


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (InvalidRequest("no"), InvalidRequest),
        (TooLarge("no"), TooLarge),
        (Own(), InvalidRequest),
        (OddError(), RequestFailed),
        (CallerError("no"), RequestFailed),
        (OwnRoot(), RequestFailed),
        (OutcomeUnknown("no"), RequestFailed),
        (NoQuorum("no"), RequestFailed),
        (NotServing("no"), RequestFailed),
        (TextError(), RequestFailed),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value.__name__,
)
def test_a_request_refuses_itself_and_says_nothing_of_the_cluster(raised: BaseException, told: type[PaxosStoreError]) -> None:
    """It was rolled back: an error of its own that calls the outcome unknown, or a node unable, would be a lie."""

    class Odd(Operation):
        def evaluate(self, view: View) -> bytes:
            raise raised

    error = run(Odd(ENTITY, b""), Overlay(DictReader(), ENTITY, 0)).error
    assert type(error) is told
    assert error.outcome_known
    assert type(error.code) is str
    assert type(str(error)) is str
    assert len(str(error)) < 5_000
    assert error.__cause__ is raised
    stored = Reply(b"", error).encode()
    again = Reply.decode(stored).error
    assert (type(again), str(again)) == (told, str(error)[: len(str(again))])


def test_a_view_is_of_no_use_after_its_function_has_returned() -> None:
    kept: list[View] = []

    class Keeps(Operation):
        def evaluate(self, view: View) -> bytes:
            kept.append(view)
            return b"kept"

    log = Log()
    evaluated = log.apply(Keeps(ENTITY, b""), op("incr c"))
    with pytest.raises(InvalidRequest, match="after its request's function has returned"):
        kept[0].put(b"late", b"write")
    assert evaluated.batch.writes == {DATA + b"c": b"1"}


def test_writes_and_a_reply_that_is_remembered_have_one_limit() -> None:
    """Both travel in the entry: together they must fit into a frame."""

    class Big(Operation):
        def evaluate(self, view: View) -> bytes:
            view.put(b"k", bytes(600))
            return bytes(600)

    log = Log()
    evaluated, _ = log.evaluate([Big(ENTITY, b"", uuid=uuid("a"))])
    ((_, reply),) = evaluated.proposed
    assert isinstance(reply.error, TooLarge)
    assert "max_request_bytes" in str(reply.error)
    assert DATA + b"k" not in evaluated.batch.writes


def told_apart(request: Operation) -> Operation:
    request.digest = digest_of("operation", request.operation)
    return request


def test_another_request_under_a_uuid_is_refused_as_such() -> None:
    """It was once told the outcome of the first, and did not exist."""
    log = Log()
    first, twin, other = (told_apart(op(text, "a")) for text in ("incr c", "incr c", "put x 1"))
    evaluated = log.apply(first, twin, other)
    assert outcomes(first, twin, other) == ["1", "1", "UUIDREUSED"]
    assert [request for request, _ in evaluated.proposed] == [first, twin, other], "true only if the batch is chosen"
    again, late = told_apart(op("incr c", "a")), told_apart(op("put x 1", "a"))
    evaluated = log.apply(again, late)
    assert outcomes(again, late) == ["1", "UUIDREUSED"]
    assert [request for request, _ in evaluated.decided] == [again, late], "a known outcome is decided already"
    assert late.error is not None
    assert late.error.outcome_known
    assert "another request" in str(late.error)
    assert log.reader.get(ENTITY, DATA + b"x") is None


def test_a_refusal_is_kept_with_its_digest_too() -> None:
    log = Log()
    first, again, other = (told_apart(op(text, "a")) for text in ("raise", "raise", "incr c"))
    log.apply(first)
    log.apply(again, other)
    assert outcomes(first, again, other) == ["FAILED", "FAILED", "UUIDREUSED"]


def test_where_there_is_no_digest_there_is_nothing_to_compare() -> None:
    """A uuid that a node drew has none; nor has a row of a data directory of before."""
    log = Log()
    drawn, copy = op("incr c", "a"), told_apart(op("incr c", "a"))
    log.apply(drawn)
    log.apply(copy)
    told, late = told_apart(op("incr c", "b")), op("incr c", "b")
    log.apply(told)
    log.apply(late)
    assert outcomes(drawn, copy, told, late) == ["1", "1", "2", "2"]
    assert log.reader.data[ENTITY][UUID + uuid("a")] == b"+1"


def test_requests_are_told_apart_by_handler_and_payload() -> None:
    digests = [digest_of(*one) for one in (("ab", b"c"), ("a", b"bc"), ("", b"abc"), ("abc", b""))]
    assert len({*digests, FUNCTION, AT_ENTRY}) == 6
    assert all(len(digest) == DIGEST_BYTES for digest in digests)


def test_a_refusal_is_remembered_like_any_outcome() -> None:
    log = Log()
    first, again, twin = op("raise", "a"), op("incr c", "a"), op("incr c", "a")
    log.apply(first, twin)
    log.apply(again)
    for request in (twin, again):
        assert request.outcome == "FAILED"
        assert str(request.error) == str(first.error)
        assert request.evaluations == 0
    assert log.count() is None


def test_a_request_that_writes_too_much_is_refused_alone() -> None:
    requests = [op("put a 123456789"), op("put b 1")]
    evaluated, _ = Log().evaluate(requests, max_request_bytes=10)
    assert [type(reply.error) for _, reply in evaluated.proposed] == [TooLarge, type(None)]
    assert evaluated.batch.writes == {DATA + b"b": b"1"}


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b""),
        Reply(b"+"),
        Reply(b"-x y"),
        Reply(b"\xff\x00"),
        Reply(b"", TooLarge("a key of 3 bytes")),
        Reply(b"", RequestFailed("")),
    ],
)
def test_outcomes_as_bytes_and_back(reply: Reply) -> None:
    found = Reply.decode(reply.encode())
    assert found.content == reply.content
    assert type(found.error) is type(reply.error)
    assert str(found.error) == str(reply.error)


def test_an_error_text_that_is_no_utf8_is_kept_readable() -> None:
    assert str(Reply.decode(Reply(b"", RequestFailed("bad \udcff text")).encode()).error) == "bad \\udcff text"


# -- uuids


def test_a_known_uuid_gets_the_first_outcome() -> None:
    log = Log()
    log.apply(op("incr c", "a"))
    log.apply(op("incr c"))
    again = op("incr c", "a")
    evaluated = log.apply(again)
    assert again.outcome == "1"
    assert again.evaluations == 0
    assert not evaluated.proposed
    assert not evaluated.batch
    assert log.count() == b"2"


def test_twins_in_one_batch_run_once_and_end_together() -> None:
    log = Log()
    one, other = op("incr c", "a"), op("incr c", "a")
    evaluated = log.apply(one, other)
    assert outcomes(one, other) == ["1", "1"]
    assert [request for request, _ in evaluated.proposed] == [one, other], "the twin is done only if the batch is chosen"
    assert other.evaluations == 0
    assert log.count() == b"1"


def test_an_empty_reply_is_an_outcome_too() -> None:
    log = Log()
    log.apply(op("get e", "a"))
    log.reader.data[ENTITY][UUID + uuid("a")] = Reply(b"").encode()
    again = op("incr c", "a")
    log.apply(again)
    assert again.reply == b""
    assert again.evaluations == 0


def test_a_uuid_is_remembered_for_the_window_and_then_forgotten() -> None:
    log = Log()
    log.apply(op("incr c", "a", more=["b"]))  # entry 1
    data = log.reader.data[ENTITY]
    assert data[WINDOW + (1).to_bytes(8, "big")] == uuid("a") + uuid("b")
    log.pass_entries(WINDOW_ENTRIES - 1)  # the next entry is 17: 1 is still within
    again = op("incr c", "a")
    evaluated, _ = log.evaluate([again])
    assert evaluated.decided == [(again, Reply(b"1"))]
    log.pass_entries(1)  # entry 17 forgets entry 1
    assert not [key for key in data if key[:1] in (UUID, WINDOW)], "nothing is left of it"
    log.apply(again)
    assert again.outcome == "2", "after the window it is a new request"


def test_a_request_first_seen_before_the_window_is_not_run() -> None:
    log = Log()
    log.pass_entries(30)
    known, old, young = op("incr c", "a", floor=14), op("incr c", "b", floor=14), op("incr c", "d", floor=15)
    log.reader.data[ENTITY][UUID + uuid("a")] = Reply(b"1").encode()
    log.apply(known, old, young)
    assert outcomes(known, old, young) == ["1", "UNKNOWN", "1"]
    assert isinstance(old.error, OutcomeUnknown)
    assert old.evaluations == 0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.integers(0, 25), max_size=4), min_size=1, max_size=60))
def test_within_the_window_nothing_runs_twice(entries: list[list[int]]) -> None:
    """Any sequence of repeated requests, against a plain account of what was applied when."""
    log = Log()
    applied: dict[int, tuple[int, str]] = {}
    count = 0
    for names in entries:
        entry = log.entry + 1
        requests = [op("incr c", f"r{name}") for name in names] + [op("put x 1")]
        log.apply(*requests)
        for name, request in zip(names, requests, strict=False):
            first = applied.get(name)
            if first is None or entry - first[0] > WINDOW_ENTRIES:
                count += 1
                applied[name] = entry, str(count)
            assert request.outcome == applied[name][1]
    assert log.count() == (b"%d" % count if count else None)
    kept = {key for key in log.reader.data[ENTITY] if key[:1] == UUID}
    assert kept == {UUID + uuid(f"r{name}") for name, (entry, _) in applied.items() if log.entry - entry < WINDOW_ENTRIES}


# -- requests for one entry


def test_a_request_for_the_next_entry_goes_alone() -> None:
    log = Log()
    log.pass_entries(3)
    request, later = op("incr c", at_entry=4, more=["a", "b"]), op("incr c")
    evaluated, left = log.evaluate([request, later])
    assert evaluated.proposed == [(request, Reply(b"1"))]
    assert left == [later]
    assert {UUID + uuid("a"), UUID + uuid("b")} <= set(evaluated.batch.writes)


def test_nothing_comes_before_a_request_for_one_entry() -> None:
    log = Log()
    first, request = op("incr c"), op("incr c", at_entry=1)
    evaluated, left = log.evaluate([first, request])
    assert [one for one, _ in evaluated.proposed] == [first]
    assert left == [request]
    log.apply(first)
    log.apply(request)
    assert isinstance(request.error, WrongEntry)


@pytest.mark.parametrize("entry", [1, 3, 5, 100])
def test_another_entry_is_refused(entry: int) -> None:
    log = Log()
    log.pass_entries(3)
    request = op("incr c", at_entry=entry)
    log.apply(request)
    assert isinstance(request.error, WrongEntry)
    assert request.evaluations == 0


def test_a_uuid_applied_before_refuses_a_request_for_one_entry() -> None:
    log = Log()
    log.apply(op("incr c", "a"))
    request = op("incr c", at_entry=2, more=["z", "a"])
    log.apply(request)
    assert isinstance(request.error, DuplicateUuid)
    assert log.count() == b"1"


def test_a_uuid_applied_before_is_told_before_the_wrong_entry() -> None:
    """Whoever repeats run_paxos for an entry that was filled learns that it was by itself."""
    log = Log()
    log.apply(op("incr c", at_entry=1, more=["a"]))
    request = op("incr c", at_entry=1, more=["a"])
    log.apply(request)
    assert isinstance(request.error, DuplicateUuid)


def test_no_request_is_decided_on_a_store_that_cannot_be_read() -> None:
    class Unreadable(DictReader):
        def get(self, entity: int, key: bytes) -> bytes | None:
            raise NodeError("input/output error")

        def scan(self, entity: int, start: bytes, end: bytes, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
            raise NodeError("input/output error")
            yield b"", b""

    class Careless(Operation):
        def evaluate(self, view: View) -> bytes:
            try:
                list(view.scan()) if self.operation == b"scan" else view.get(b"x")
            except PaxosStoreError:
                return b"nothing there"
            return b""

    for request in (Operation(7, b"incr c"), Careless(7, b"get"), Careless(7, b"scan")):
        with pytest.raises(NodeError, match="input/output"):
            run(request, Overlay(Unreadable(), 7, 0))


class Bytes(bytes):
    pass


@pytest.mark.parametrize(("returned", "reply"), [(None, b""), (b"x", b"x"), (Bytes(b"x"), b"x"), (bytearray(b"x"), b"x")])
def test_what_a_function_may_return(returned: object, reply: bytes) -> None:
    class Odd(Operation):
        def evaluate(self, view: View) -> bytes:
            return returned  # type: ignore[return-value]  # that is the point

    found = run(Odd(7, b""), Overlay(DictReader(), 7, 0))
    assert found == Reply(reply)
    assert type(found.content) is bytes


def test_what_is_no_bytes_is_the_callers_fault() -> None:
    class Odd(Operation):
        def evaluate(self, view: View) -> bytes:
            return "text"  # type: ignore[return-value]  # that is the point

    assert isinstance(run(Odd(7, b""), Overlay(DictReader(), 7, 0)).error, InvalidRequest)


def test_a_reply_that_fits_no_frame_is_refused() -> None:
    """It would travel in the entry under its uuid: such an entry could never be chosen."""
    log = Log()
    request = Huge(ENTITY, b"", uuid=uuid("a"))
    evaluated = evaluate(deque([request]), Overlay(log.reader, ENTITY, 0, max_request_bytes=1_000), 1, 16, 10, 1_000_000)
    ((_, reply),) = evaluated.proposed
    assert isinstance(reply.error, TooLarge)
    assert len(reply.encode()) < 1_000
    assert len(Reply(b"", RequestFailed("x" * 1_000_000)).encode()) < 10_000


class Huge(Operation):
    def evaluate(self, view: View) -> bytes:
        return bytes(1_001)


class Answers(Operation):
    """Replies with so many bytes, and writes one key."""

    def evaluate(self, view: View) -> bytes:
        self.evaluations += 1
        view.put(b"k", b"1")
        return bytes(int(self.operation))


def evaluate_some(requests: Sequence[Operation], reader: DictReader, **limits: int) -> Evaluated:
    overlay = Overlay(reader, ENTITY, 0, max_reply_bytes=limits.pop("max_reply_bytes", 2**63))
    return evaluate(deque(requests), overlay, 1, WINDOW_ENTRIES, 1_000, 10_000, **limits)


def test_replies_count_against_the_batchs_bytes() -> None:
    """They are all in memory until the batch is chosen."""
    evaluated = evaluate_some([Answers(ENTITY, b"3000") for _ in range(50)], DictReader())
    assert len(evaluated.proposed) == 4


def test_a_batch_ends_with_the_request_that_crosses_the_turns_work() -> None:
    class Reads(Operation):
        def evaluate(self, view: View) -> bytes:
            for at in range(10):
                view.get(b"%d" % at)
            return b""

    requests: list[Operation] = [Reads(ENTITY, b"") for _ in range(20)]
    assert len(evaluate_some(requests, DictReader(), max_work=35).proposed) == 4
    assert len(evaluate_some(requests, DictReader(), max_work=0).proposed) == 1, "one gets its turn in any case"


def test_looking_up_known_outcomes_is_work_too() -> None:
    reader = DictReader()
    reader.data[ENTITY] = {UUID + uuid(f"u{at}"): b"+done" for at in range(100)}
    requests = [op("incr c", f"u{at}") for at in range(100)]
    evaluated = evaluate_some(requests, reader, max_work=30)
    assert (len(evaluated.proposed), len(evaluated.decided)) == (0, 30)


def test_a_reply_over_its_limit_is_refused_and_names_the_setting() -> None:
    evaluated = evaluate_some([Answers(ENTITY, b"100"), Answers(ENTITY, b"101")], DictReader(), max_reply_bytes=100)
    assert [type(reply.error) for _, reply in evaluated.proposed] == [type(None), TooLarge]
    assert "max_reply_bytes" in str(evaluated.proposed[1][1].error)


def test_a_large_reply_is_given_once_and_not_kept_for_a_repetition() -> None:
    """Else the replies of a whole window of entries would lie on the disk."""
    reader = DictReader()
    small, large = Answers(ENTITY, b"100", uuid=uuid("a")), Answers(ENTITY, b"101", uuid=uuid("b"))
    evaluated = evaluate_some([small, large], reader, max_kept_bytes=100)
    assert [len(reply.content) for _, reply in evaluated.proposed] == [100, 101]
    reader.data[ENTITY] = {key: value for key, value in evaluated.batch.writes.items() if value is not None}
    again = [Answers(ENTITY, b"100", uuid=uuid("a")), Answers(ENTITY, b"101", uuid=uuid("b"))]
    decided = evaluate_some(again, reader, max_kept_bytes=100).decided
    assert [len(reply.content) for _, reply in decided] == [100, 0]
    assert isinstance(decided[1][1].error, ReplyNotKept)
    assert "max_kept_reply_bytes" in str(decided[1][1].error)
    assert [request.evaluations for request in again] == [0, 0]
    assert sum(map(len, reader.data[ENTITY].values())) < 1_000
