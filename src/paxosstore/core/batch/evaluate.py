"""Evaluating a batch: the waiting requests of one entity become one value (rules 14 and 15). Deciding only."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from ...boundary import exact_bytes, kind
from ...errors import (
    BY_CODE,
    CallerError,
    DuplicateUuid,
    OutcomeUnknown,
    PaxosStoreError,
    ReplyNotKept,
    RequestFailed,
    TooLarge,
    UuidReused,
    WrongEntry,
    from_code,
)
from .overlay import UUID, WINDOW, NeedsWrite, Overlay, WriteBatch
from .published import Published, pack, unpack
from .request import DIGEST_BYTES, Request

_LENGTH_BYTES = 4
MAX_ERROR_CHARACTERS = 4_096
"""Of the text of what a request raised: it is remembered under a uuid, and travels in the entry."""

REFUSALS = frozenset(cls for cls in BY_CODE.values() if issubclass(cls, CallerError))
"""What a request may raise to refuse itself. Nothing else is its to say: whether a node or the cluster has failed is ours."""


class Reply:
    """How a request's evaluation ended: `content`, or an error."""

    __slots__ = ("content", "error")

    def __init__(self, content: bytes, error: PaxosStoreError | None = None) -> None:
        self.content = content
        self.error = error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reply) and self.content == other.content and self.error == other.error

    def __hash__(self) -> int:
        return hash(self.content)

    def encode(self, digest: bytes = b"", published: Sequence[Published] = ()) -> bytes:
        """As it is remembered under the request's uuid: a refusal as well, so that a late copy is refused too."""
        mark = b"=" + digest if digest else b""
        if published:
            packed = pack(published)
            mark += b"!" + len(packed).to_bytes(_LENGTH_BYTES, "big") + packed
        if self.error is None:
            return mark + b"+" + self.content
        text = str(self.error)[:MAX_ERROR_CHARACTERS]
        return mark + b"-" + self.error.code.encode() + b" " + text.encode("utf-8", "backslashreplace")

    @classmethod
    def decode(cls, stored: bytes) -> Reply:
        _, stored = split_remembered(stored)
        if stored[:1] == b"+":
            return cls(stored[1:])
        code, _, text = stored[1:].decode().partition(" ")
        return cls(b"", from_code(code, text))


def split_remembered(stored: bytes) -> tuple[bytes, bytes]:
    """What a request has published, packed, and how it ended."""
    at = 1 + DIGEST_BYTES if stored[:1] == b"=" else 0
    if stored[at : at + 1] != b"!":
        return b"", stored[at:]
    first = at + 1 + _LENGTH_BYTES
    end = first + int.from_bytes(stored[at + 1 : first], "big")
    return stored[first:end], stored[end:]


def uuid_reused(uuid: bytes) -> UuidReused:
    """What a request is refused with under whose uuid another one is remembered."""
    return UuidReused(f"another request was made under the uuid {uuid.hex()}: this one did not happen, draw a new uuid for it")


def recall(stored: bytes, request: Request) -> Reply:
    """How a request ended, by what is remembered under its uuid: refused, if that is of another one. Whoever is told so has
    published what it did: a copy of it may have taken effect, and the answer have come too late.

    Where either has no digest there is nothing to compare: a uuid that was drawn here, or a row of before digests were kept.
    """
    if stored[:1] == b"=" and request.digest and stored[1 : 1 + DIGEST_BYTES] != request.digest:
        return Reply(b"", uuid_reused(request.uuid))
    request.published = unpack(split_remembered(stored)[0])
    return Reply.decode(stored)


class Evaluated(NamedTuple):
    """A batch evaluated on the DB exactly at entry - 1."""

    entry: int
    batch: WriteBatch
    proposed: list[tuple[Request, Reply]]
    """Requests that end like this if and only if the batch is chosen at `entry`. A refusal is among them: it was decided on
    this DB, after the requests before it, so it is true only if the DB was the latest and they took effect."""
    decided: list[tuple[Request, Reply]]
    """Requests that end without the batch: already applied under their uuid, or never to be proposed."""


def evaluate(
    queue: deque[Request],
    overlay: Overlay,
    entry: int,
    uuid_window_entries: int,
    max_requests: int,
    max_bytes: int,
    *,
    max_work: int = 2**63,
    max_kept_bytes: int = 2**63,
) -> Evaluated:
    """Take requests off the queue, in order, until a limit is reached, and run them on the overlay one after another.

    The batch ends with the request that crosses `max_bytes` of writes and replies, or `max_work` as the overlay counts it.
    """
    proposed: list[tuple[Request, Reply]] = []
    decided: list[tuple[Request, Reply]] = []
    uuids: list[bytes] = []
    while queue and len(proposed) < max_requests and overlay.size < max_bytes:
        if overlay.work >= max_work and (proposed or decided):
            break
        request = queue[0]
        if request.settled:
            queue.popleft()
            continue
        if request.at_entry and proposed:
            break  # it was computed on the DB as it stands, so nothing may come before it
        queue.popleft()
        twin = overlay.kept.get(UUID + request.uuid) if request.uuid else None
        if twin is not None and not request.at_entry:
            proposed.append((request, recall(twin, request)))  # the same request twice in one batch: it ends as its twin does
            continue
        try:
            outcome = _known_outcome(request, overlay, entry, uuid_window_entries)
            if outcome is not None:
                decided.append((request, outcome))
                continue
            overlay.begin()
            reply = run(request, overlay)
        except PaxosStoreError:  # the store cannot be read: none of them has been decided
            queue.extendleft([request, *(taken for taken, _ in (*reversed(proposed), *reversed(decided)))])
            raise
        remembered = b""
        if request.uuid or request.more_uuids:
            published = overlay.published if len(reply.content) + overlay.published_bytes <= max_kept_bytes else ()
            remembered = _to_remember(reply, max_kept_bytes).encode(request.digest, published if reply.error is None else ())
            size = overlay.request_size + len(remembered)
            if reply.error is None and size > overlay.limit:
                text = f"{size} bytes of writes and reply: a request may have {overlay.limit} at most (max_request_bytes)"
                reply = Reply(b"", TooLarge(text))
                remembered = reply.encode(request.digest)
        overlay.size += len(reply.content)
        if reply.error is not None:
            overlay.rollback()
        for uuid in _uuids(request):
            overlay.put_raw(UUID + uuid, remembered)
            uuids.append(uuid)
        request.published = overlay.published or ()
        proposed.append((request, reply))
        if request.at_entry:
            break
    if uuids:
        overlay.put_raw(WINDOW + entry.to_bytes(8, "big"), b"".join(uuids))
    if proposed:
        forget_uuids(overlay, entry - uuid_window_entries)
    return Evaluated(entry, overlay.batch, proposed, decided)


def _to_remember(reply: Reply, max_bytes: int) -> Reply:
    """What a repetition of the request is told: its reply, unless that is too large to be kept for a whole window."""
    if len(reply.content) <= max_bytes:
        return reply
    text = f"it was done under this uuid before, but its reply of {len(reply.content)} bytes was not kept (max_kept_reply_bytes)"
    return Reply(b"", ReplyNotKept(text))


def run(request: Request, overlay: Overlay) -> Reply:
    """Evaluate one request; whatever it raises becomes a refusal.

    Raises what the store raised if it could not be read, and NeedsWrite if a read has met what only a write may see.
    """
    overlay.open()
    try:
        content = request.evaluate(overlay)
        if type(content) is not bytes:
            content = b"" if content is None else exact_bytes("what a request's function returns", content)
        if len(content) > overlay.max_reply_bytes:
            raise TooLarge(f"a reply of {len(content)} bytes: {overlay.max_reply_bytes} are possible (max_reply_bytes)")
        reply = Reply(content)
    except BaseException as error:  # the caller's function, not ours: even its SystemExit ends nothing but the request
        reply = Reply(b"", _refusal(error))
    finally:
        overlay.close()
    if overlay.broken is not None:
        raise overlay.broken  # the request may have caught it
    if overlay.needs_write:
        raise NeedsWrite
    return reply


def _refusal(error: BaseException) -> PaxosStoreError:
    """What a request's function raised, as an error of ours: the nearest refusal that it is of, else RequestFailed.

    A new one in any case: a caller's own may have a text or a code of any kind, or say that the outcome is unknown, while
    it was refused and rolled back.
    """
    cls: type[CallerError] = RequestFailed
    try:
        text = str.__str__(str(error))
        cls = next((base for base in type(error).__mro__ if base in REFUSALS), RequestFailed)
    except BaseException as fault:
        text = f"its text raised {kind(fault)}"
    if cls is RequestFailed and type(error) is not RequestFailed:
        text = f"the request raised {kind(error)}: {text[:MAX_ERROR_CHARACTERS]}"
    text = text[:MAX_ERROR_CHARACTERS].encode("utf-8", "backslashreplace").decode()  # it may be six times as long now
    refusal = cls(text[:MAX_ERROR_CHARACTERS])
    refusal.__cause__ = error
    return refusal


def _uuids(request: Request) -> tuple[bytes, ...]:
    return (request.uuid, *request.more_uuids) if request.uuid else request.more_uuids


def _known_outcome(request: Request, overlay: Overlay, entry: int, uuid_window_entries: int) -> Reply | None:
    for uuid in _uuids(request):
        first = overlay.get_raw(UUID + uuid)
        if first is not None:
            if request.at_entry:
                return Reply(b"", DuplicateUuid(f"the uuid {uuid.hex()} was applied before"))
            return recall(first, request)
        if request.floor and entry - request.floor > uuid_window_entries:
            text = "the request is older than the window in which its uuid would be remembered"
            return Reply(b"", OutcomeUnknown(text))
    if request.at_entry and request.at_entry != entry:
        return Reply(b"", WrongEntry(f"entry {request.at_entry} is not the next one, {entry} is"))
    return None


def forget_uuids(overlay: Overlay, expired: int) -> None:
    """Drop the uuids that entry `expired` carried. The pruning is part of the batch, so every replica does the same."""
    if expired < 1:
        return
    key = WINDOW + expired.to_bytes(8, "big")
    uuids = overlay.get_raw(key)
    if uuids is None:
        return
    for at in range(0, len(uuids), 16):
        overlay.put_raw(UUID + uuids[at : at + 16], None)
    overlay.put_raw(key, None)
