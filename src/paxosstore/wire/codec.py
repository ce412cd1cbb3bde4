"""Bytes <-> messages. One frame is one msgpack array that holds one array per kind of message, in the order of `Message`.

Order is kept within a kind, not between kinds: messages are repeatable, so the receiver cannot tell (core/interface/message.py).
Types are checked by msgspec while it decodes; what types cannot say (ranges, what belongs together in a row) is checked here,
so that the core's asserts are never at the mercy of a peer's bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import compress, pairwise
from typing import Final, get_args

import msgspec

from ..core.batch.overlay import DATA, TIME, UUID, WINDOW
from ..core.batch.published import MAX_KIND
from ..core.batch.request import DIGEST_BYTES
from ..core.entry.ids import VALUE_ID_BYTES
from ..core.interface.digest import (
    BUCKETS,
    CHILDREN,
    LEVELS,
    MAX_BUCKETS,
    MAX_NODES,
    NODE_BYTES,
    PAGE,
    bucket_of,
    place_of,
)
from ..core.interface.message import (
    NO_VIEW,
    CatchUpReply,
    CatchUpRequest,
    CompareReply,
    CompareRequest,
    DigestReply,
    DigestRequest,
    Fill,
    FloorPage,
    FloorRequest,
    GiveWay,
    HandedBack,
    HandOver,
    Held,
    InventoryReply,
    InventoryRequest,
    Learned,
    LostPage,
    LostRequest,
    Message,
    PaxosMessage,
    ReadAnswer,
    ReadQuestion,
    SnapshotPiece,
    SnapshotRequest,
    Standing,
    Stopped,
    TakeOver,
    size_of,
)
from ..core.turn.standing import MAX_REPLACED, State
from ..core.verify.digest import DIGEST_BYTES as PIECE_DIGEST_BYTES
from ..errors import WireError
from .frame import MAX_FRAME_BYTES

SOFT_PAYLOAD_BYTES: Final = 4 * 1024 * 1024
MAX_MESSAGES: Final = 4_096
"""Above either the messages of a turn are split over several frames: a frame is encoded, and decoded, at one go."""

MAX_ENTRY: Final = 2**63 - 1
"""Highest entry or ballot taken, so that the next one still fits into 64 bits."""
MAX_SPANS = 1_024
"""Ranges of damaged entities that a page names: a node has 64 of its own at most, and those that its peers have named."""
UUID_BYTES: Final = 16
SPACES: Final = (DATA, UUID, WINDOW, TIME)
"""What keys of an entity's data begin with."""
STATES: Final = {state.value for state in State}

_KINDS: Final[tuple[type[Message], ...]] = get_args(Message)
_Payload = tuple[
    list[PaxosMessage],
    list[ReadQuestion],
    list[ReadAnswer],
    list[CatchUpRequest],
    list[CatchUpReply],
    list[SnapshotRequest],
    list[SnapshotPiece],
    list[HandOver],
    list[HandedBack],
    list[TakeOver],
    list[GiveWay],
    list[Stopped],
    list[DigestRequest],
    list[DigestReply],
    list[InventoryRequest],
    list[InventoryReply],
    list[Standing],
    list[FloorRequest],
    list[FloorPage],
    list[Fill],
    list[CompareRequest],
    list[CompareReply],
    list[LostRequest],
    list[LostPage],
]
_PLACES: Final = {kind: place for place, kind in enumerate(_KINDS)}
"""Where the messages of a kind are in a payload."""
_NO_GROUPS: Final[list[list[Message]]] = [[] for _ in _KINDS]
"""These lists stay empty."""
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_Payload)
_GROUP_DECODERS: Final[list[msgspec.msgpack.Decoder[list[Message]]]] = [
    msgspec.msgpack.Decoder(group) for group in get_args(_Payload)
]
_EMPTY: Final = b"\x90"
"""A list of no messages."""
_LEAD: Final = _encoder.encode(_NO_GROUPS).removesuffix(_EMPTY * len(_KINDS))
"""What every payload begins with."""


def encode_messages(messages: Iterable[Message]) -> bytes:
    """One payload for these messages. Raises WireError for what cannot be written (a number over 64 bits, a type that is none of
    the plain ones)."""
    groups = _NO_GROUPS.copy()
    for message in messages:
        at = _PLACES[type(message)]
        if groups[at]:
            groups[at].append(message)
        else:
            groups[at] = [message]
    try:
        return _encoder.encode(groups)
    except (OverflowError, ValueError, TypeError, RecursionError) as error:
        raise WireError(f"messages that cannot be written: {error}") from error


def encode_payloads(messages: list[Message], soft_bytes: int = SOFT_PAYLOAD_BYTES) -> list[bytes]:
    """Like `encode_messages`, as several payloads if one would be over `soft_bytes`, or hold more than `MAX_MESSAGES`.

    A catch-up reply with many entries is split too: each of its entries can be learned alone. Any other single message may be
    larger than `soft_bytes`, up to the limit of a frame; beyond it WireError is raised.
    """
    if len(messages) > MAX_MESSAGES:
        parts = [messages[at : at + MAX_MESSAGES] for at in range(0, len(messages), MAX_MESSAGES)]
        return [payload for part in parts for payload in encode_payloads(part, soft_bytes)]
    payload = encode_messages(messages)
    if len(payload) <= soft_bytes:
        return [payload]
    if len(messages) > 1:
        return [payload for part in _split(messages, soft_bytes) for payload in encode_payloads(part, soft_bytes)]
    (message,) = messages
    if isinstance(message, CatchUpReply) and len(message.entries) > 1:
        half = len(message.entries) // 2
        halves = (message.entries[:half], message.entries[half:])
        return [p for entries in halves for p in encode_payloads([message._replace(entries=entries)], soft_bytes)]
    if len(payload) > MAX_FRAME_BYTES:
        raise WireError(f"a {type(message).__name__} of {len(payload)} bytes is over the limit of {MAX_FRAME_BYTES}")
    return [payload]


def _split(messages: list[Message], soft_bytes: int) -> list[list[Message]]:
    """In order, at least two parts, each about `soft_bytes` at most where its messages allow that."""
    parts: list[list[Message]] = [[]]
    room = soft_bytes
    for message in messages:
        size = size_of(message)
        if parts[-1] and size > room:
            parts.append([])
            room = soft_bytes
        parts[-1].append(message)
        room -= size
    if len(parts) == 1:  # `size_of` knows it only about
        half = len(messages) // 2
        return [messages[:half], messages[half:]]
    return parts


def writable(messages: list[Message]) -> list[Message]:
    """Those of them that can be written each by itself."""

    def fits(message: Message) -> bool:
        try:
            encode_payloads([message])
        except WireError:
            return False
        return True

    return [message for message in messages if fits(message)]


def decode_messages(payload: bytes) -> list[Message]:
    """The messages of one payload, kind by kind. Raises WireError for everything that is not one, and nothing else."""
    messages = _of_one_kind(payload)
    if messages is not None:
        return messages
    try:
        groups = _decoder.decode(payload)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:  # ValueError: text that is no UTF-8
        raise WireError(f"bytes that are no messages: {error}") from error
    messages = []
    for kind, group in compress(zip(_KINDS, groups, strict=True), groups):
        _CHECKS[kind](group)
        messages += group
    return messages


def _of_one_kind(payload: bytes) -> list[Message] | None:
    """The messages of a payload that holds those of one kind alone, as most do: for all other kinds no list is made. None: it may
    be any payload. Raises WireError."""
    first = at = len(_LEAD)
    if payload[:at] != _LEAD:
        return None
    while at < len(payload) and payload[at] == _EMPTY[0]:
        at += 1
    kind = at - first
    if kind >= len(_KINDS):
        return None
    end = len(payload) - (len(_KINDS) - 1 - kind)
    if end <= at or payload[end:] != _EMPTY * (len(payload) - end):
        return None
    try:
        messages = _GROUP_DECODERS[kind].decode(payload[at:end])
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None  # of several kinds, or bad: to decode it as a whole tells
    _CHECKS[_KINDS[kind]](messages)
    return messages


# -- what types cannot say. Decoded integers are below 2**64 already


def _check_paxos(group: list[PaxosMessage]) -> None:
    for message in group:
        entity, entry, prepared, promised, accepted, chosen, value_id, body, max_chosen, _, _, chosen_id = message
        if not (
            entity >= 0
            and 1 <= entry <= MAX_ENTRY
            and 0 <= prepared <= promised <= MAX_ENTRY
            and 0 <= accepted <= promised
            and 0 <= max_chosen <= MAX_ENTRY
        ):
            raise _bad(message, "a number is out of range")
        if len(chosen_id) not in (0, VALUE_ID_BYTES):
            raise _bad(message, "the id of the last chosen value has a wrong length")
        if value_id:
            if len(value_id) != VALUE_ID_BYTES or promised == 0:
                raise _bad(message, "the value id has a wrong length, or no ballot")
        elif accepted or body is not None:
            raise _bad(message, "a value without an id")
        if chosen and not accepted:
            raise _bad(message, "chosen, but not accepted")


def _check_questions(group: list[ReadQuestion]) -> None:
    for message in group:
        if message.entity < 0 or message.number < 0:
            raise _bad(message, "a number is out of range")


def _check_answers(group: list[ReadAnswer]) -> None:
    for message in group:
        entity, number, highest, max_chosen, chosen_id = message
        if entity < 0 or number < 0 or not 0 <= highest <= MAX_ENTRY or not 0 <= max_chosen <= MAX_ENTRY:
            raise _bad(message, "a number is out of range")
        if len(chosen_id) not in (0, VALUE_ID_BYTES):
            raise _bad(message, "the id of the last chosen value has a wrong length")


def _check_catchup_requests(group: list[CatchUpRequest]) -> None:
    for message in group:
        if message.entity < 0 or not 1 <= message.first <= MAX_ENTRY or not 1 <= message.limit <= MAX_ENTRY:
            raise _bad(message, "a number is out of range")
        if len(message.chosen_id) not in (0, VALUE_ID_BYTES):
            raise _bad(message, "the id of the last chosen value has a wrong length")


def _check_catchup_replies(group: list[CatchUpReply]) -> None:
    for message in group:
        if message.entity < 0 or not 0 <= message.max_chosen <= MAX_ENTRY:
            raise _bad(message, "a number is out of range")
        for learned in message.entries:
            if not 1 <= learned.entry <= MAX_ENTRY or not 1 <= learned.ballot <= MAX_ENTRY:
                raise _bad(learned, "a number is out of range")
            if len(learned.value_id) != VALUE_ID_BYTES:
                raise _bad(learned, "the value id has a wrong length")


def _check_snapshot_requests(group: list[SnapshotRequest]) -> None:
    for message in group:
        if message.entity < 0 or message.number < 1 or not 0 <= message.limit <= MAX_ENTRY:
            raise _bad(message, "a number is out of range")


def _check_snapshot_pieces(group: list[SnapshotPiece]) -> None:
    for message in group:
        if message.entity < 0 or message.number < 1 or not 0 <= message.committed <= MAX_ENTRY:
            raise _bad(message, "a number is out of range")
        last = message.after
        for key, _ in message.rows:
            if key <= last or key[:1] not in SPACES:
                raise _bad(message, "its keys are not those of an entity's data, or not in order")
            last = key
        if message.more and not message.rows:
            raise _bad(message, "it is empty, and not the last")


def _check_handovers(group: list[HandOver]) -> None:
    for message in group:
        if message.entity < 0 or not 0 <= message.floor <= MAX_ENTRY or not 0 <= message.budget_ms <= MAX_ENTRY:
            raise _bad(message, "a number is out of range")
        if len(message.uuid) != UUID_BYTES or len(message.digest) not in (0, DIGEST_BYTES):
            raise _bad(message, "the uuid or the digest has a wrong length")


def _check_handed_back(group: list[HandedBack]) -> None:
    for message in group:
        if message.entity < 0:
            raise _bad(message, "a number is out of range")
        if len(message.uuid) != UUID_BYTES or len(message.digest) not in (0, DIGEST_BYTES):
            raise _bad(message, "the uuid or the digest has a wrong length")
        if any(not 0 <= published.kind <= MAX_KIND for published in message.published):
            raise _bad(message, "it has published something of a kind that is out of range")


def _check_take_overs(group: list[TakeOver]) -> None:
    for message in group:
        if message.entity < 0:
            raise _bad(message, "a number is out of range")


def _check_give_ways(group: list[GiveWay]) -> None:
    for message in group:
        if message.entity < 0 or not 1 <= message.since <= MAX_ENTRY or not 0 <= message.for_ms <= MAX_ENTRY:
            raise _bad(message, "a number is out of range")


def _check_stopped(group: list[Stopped]) -> None:
    for message in group:
        if message.entity < 0 or not 1 <= message.entry <= MAX_ENTRY:
            raise _bad(message, "a number is out of range")
        if len(message.value_id) != VALUE_ID_BYTES:
            raise _bad(message, "the value id has a wrong length")


def _check_digests(group: list[DigestRequest] | list[DigestReply]) -> None:
    for message in group:
        if not 0 <= message.level < LEVELS:
            raise _bad(message, "a number is out of range")
        _check_nodes(message, message.nodes, MAX_NODES, CHILDREN**message.level)
        if isinstance(message, DigestReply) and len(message.digests) != len(message.nodes) * CHILDREN * NODE_BYTES:
            raise _bad(message, "its digests are not those of so many nodes")


def _check_inventories(group: list[InventoryRequest] | list[InventoryReply]) -> None:
    for message in group:
        if message.after < -1:
            raise _bad(message, "a number is out of range")
        _check_nodes(message, message.buckets, MAX_BUCKETS, BUCKETS)
        if isinstance(message, InventoryReply):
            _check_listed(message)


def _check_listed(message: InventoryReply) -> None:
    """Each page leads on, or whoever asks for the next one would never come to an end."""
    if len(message.entities) > PAGE or (message.more and not message.entities):
        raise _bad(message, "it holds too much, or there is more, and nothing here")
    last = place_of(message.after) if message.after >= 0 else -1
    buckets = set(message.buckets)
    for entity, committed in message.entities:
        place = place_of(entity)
        if entity < 0 or not 0 <= committed <= MAX_ENTRY or place <= last or bucket_of(place) not in buckets:
            raise _bad(message, "an entity is out of place, or a number out of range")
        last = place


def _check_nodes(message: Message, nodes: list[int], most: int, end: int) -> None:
    """Some nodes of a tree, in order."""
    in_order = all(one < other for one, other in pairwise(nodes))
    if not 1 <= len(nodes) <= most or nodes[0] < 0 or nodes[-1] >= end or not in_order:
        raise _bad(message, "its nodes are too many, or not those of the tree in their order")


def _check_standings(group: list[Standing]) -> None:
    for message in group:
        state, disks, founding, replaced, _, history, learning = message
        numbers = [*(number for disk in disks for number in disk), *founding, *replaced, *history, learning]
        if state not in STATES or len(founding) not in (0, len(disks)) or any(number < 0 for number in numbers):
            raise _bad(message, "no such state, or no such disk")


def _check_floor_requests(group: list[FloorRequest]) -> None:
    for message in group:
        if message.disk < 0 or message.after < -1 or not 1 <= message.limit <= MAX_ENTRY:
            raise _bad(message, "a number is out of range")


def _check_floor_pages(group: list[FloorPage]) -> None:
    for message in group:
        last = message.after
        if message.disk < 0 or last < -1 or not 0 <= message.default < MAX_ENTRY - 1:  # floors are above it
            raise _bad(message, "a number is out of range")
        for entity, highest in message.entities:
            if entity <= last or not 0 <= highest < MAX_ENTRY - 1:
                raise _bad(message, "its entities do not ascend, or an entry is out of range")
            last = entity
        listed = {entity for entity, _ in message.entities} if message.held else ()
        for held in message.held:
            _check_held(held)
            if held.entity not in listed:
                raise _bad(message, "it shows a row of an entity that it does not list")
        if len(message.damaged) > MAX_SPANS or any(not 0 <= first <= last for first, last in message.damaged):
            raise _bad(message, "its damaged entities are no ranges, or too many of them")
        if message.more and not message.entities:
            raise _bad(message, "there is more, and nothing here")
        known = [
            *(number for disk in message.disks for number in disk),
            *(number for pair in message.replaced for number in pair),
        ]
        if len(message.replaced) > MAX_REPLACED or any(number < 0 for number in known):
            raise _bad(message, "it names disks that cannot be, or too many of them")


def _check_held(held: Held) -> None:
    entity, entry, promised, accepted, chosen, value_id, _ = held
    if entity < 0 or not 1 <= entry <= MAX_ENTRY or not 0 <= accepted <= promised <= MAX_ENTRY:
        raise _bad(held, "a number is out of range")
    if len(value_id) != (VALUE_ID_BYTES if accepted else 0) or (chosen and not accepted):
        raise _bad(held, "it is accepted without a value, or a value without being accepted")


def _check_fills(group: list[Fill]) -> None:
    for message in group:
        if message.entity < 0 or not 1 <= message.through <= MAX_ENTRY:
            raise _bad(message, "a number is out of range")


def _check_compare_requests(group: list[CompareRequest]) -> None:
    for message in group:
        entity, number, entry, after, limit, known, _ = message
        if entity < 0 or number < 1 or not 0 <= entry <= MAX_ENTRY or not 0 <= limit <= MAX_ENTRY or not 0 <= known <= MAX_ENTRY:
            raise _bad(message, "a number is out of range")
        if after and after[:1] not in SPACES:
            raise _bad(message, "this is no key of an entity's data")


def _check_compare_replies(group: list[CompareReply]) -> None:
    for message in group:
        entity, number, entry, _, why_not, digest, size, count, last, more, rows = message
        if entity < 0 or number < 1 or not 0 <= entry <= MAX_ENTRY or size < 0 or count < 0:
            raise _bad(message, "a number is out of range")
        if why_not:
            if why_not not in NO_VIEW or more or rows:
                raise _bad(message, "there is no view, and no such reason")
            continue
        if len(digest) != PIECE_DIGEST_BYTES or (last and last <= message.after) or (more and not last):
            raise _bad(message, "the digest has a wrong length, or the piece does not go on behind the key that was asked for")
        before = message.after
        for key, length, row_digest in rows or ():
            if not before < key <= last or length < 0 or len(row_digest) != PIECE_DIGEST_BYTES:
                raise _bad(message, "its rows are not in order, or a digest has a wrong length")
            before = key


def _check_lost_requests(group: list[LostRequest]) -> None:
    for message in group:
        if message.disk < 0 or message.number < 0 or not 0 <= message.first <= message.last:
            raise _bad(message, "a number is out of range")


def _check_lost_pages(group: list[LostPage]) -> None:
    for message in group:
        last = message.first - 1
        if (
            min(message.disk, message.number) < 0
            or not 0 <= message.first <= message.upto
            or not 0 <= message.default <= MAX_ENTRY
        ):
            raise _bad(message, "a number is out of range")
        for entity, highest in message.entities:
            if not last < entity <= message.upto or not 0 <= highest < MAX_ENTRY - 1:
                raise _bad(message, "its entities do not ascend, or an entry is out of range")
            last = entity


def _bad(message: Message | Learned | Held, reason: str) -> WireError:
    return WireError(f"{type(message).__name__}: {reason}")


_CHECKS: Final[dict[type[Message], Callable[..., None]]] = {
    PaxosMessage: _check_paxos,
    ReadQuestion: _check_questions,
    ReadAnswer: _check_answers,
    CatchUpRequest: _check_catchup_requests,
    CatchUpReply: _check_catchup_replies,
    SnapshotRequest: _check_snapshot_requests,
    SnapshotPiece: _check_snapshot_pieces,
    HandOver: _check_handovers,
    HandedBack: _check_handed_back,
    TakeOver: _check_take_overs,
    GiveWay: _check_give_ways,
    Stopped: _check_stopped,
    DigestRequest: _check_digests,
    DigestReply: _check_digests,
    InventoryRequest: _check_inventories,
    InventoryReply: _check_inventories,
    Standing: _check_standings,
    FloorRequest: _check_floor_requests,
    FloorPage: _check_floor_pages,
    Fill: _check_fills,
    CompareRequest: _check_compare_requests,
    CompareReply: _check_compare_replies,
    LostRequest: _check_lost_requests,
    LostPage: _check_lost_pages,
}
assert set(_CHECKS) == set(_KINDS)
assert tuple(get_args(group)[0] for group in get_args(_Payload)) == _KINDS
