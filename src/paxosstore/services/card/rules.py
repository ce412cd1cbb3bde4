"""What the card service does to its cards: pure functions on a view, run on whichever node proposes.

A card lives in one of `CARD_ENTITIES` entities, under its own id as the key. Several cards share an entity, so that
changes to different cards travel in one batch; a change never touches another card.

The rules: a card is inserted once, and its balance never goes below zero. A rule that does not hold is an answer
(`CardResponse.code`), not an error: it is as replicated and as final as any other answer.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from ...core.batch.overlay import View
from ...errors import InvalidRequest
from .card_pb2 import (
    BALANCE_NOT_ENOUGH,
    CARD_DOES_NOT_EXIST,
    CARD_EXISTS,
    OK,
    CardInfo,
    CardRequest,
    CardResponse,
    Code,
)

HANDLER = "card"
"""The name under which every node knows `handle`."""

CARD_BASE = 1 << 61
"""Cards have the entities from here on; the Redis databases begin at 1 << 62."""
CARD_ENTITIES = 1024
"""How many entities the cards are spread over. Changing it loses the cards that are there."""

MAX_BALANCE = 2**63 - 1


class Operation(Enum):
    """What can be asked for; the value is the first byte of a payload."""

    INSERT = b"I"
    UPDATE = b"U"
    DELETE = b"D"
    SELECT = b"S"


def entity_of(card_id: int) -> int:
    """The entity in which a card lives. Multiplicative hashing spreads neighbouring ids."""
    return CARD_BASE + (card_id * 0x9E3779B97F4A7C15 % 2**64) * CARD_ENTITIES // 2**64


def encode(operation: Operation, request: CardRequest) -> bytes:
    """A request as the payload of `handle`."""
    return operation.value + bytes(request.SerializeToString())


def handle(view: View, payload: bytes) -> bytes:
    """The handler: a payload in, a serialized CardResponse out. Raises InvalidRequest; nothing is written then."""
    request = CardRequest.FromString(payload[1:])
    response: CardResponse = _RULES[Operation(payload[:1])](view, request)
    return bytes(response.SerializeToString())


def insert(view: View, request: CardRequest) -> CardResponse:
    if _read(view, request.card_id) is not None:
        return CardResponse(code=CARD_EXISTS)
    if request.card_info.balance < 0:
        return CardResponse(code=BALANCE_NOT_ENOUGH)
    return _write(view, request.card_id, request.card_info)


def update(view: View, request: CardRequest) -> CardResponse:
    card = _read(view, request.card_id)
    if card is None:
        return CardResponse(code=CARD_DOES_NOT_EXIST)
    balance = card.balance + request.delta
    if balance < 0:
        return CardResponse(code=BALANCE_NOT_ENOUGH, card_info=card)
    if balance > MAX_BALANCE:
        raise InvalidRequest(f"card {request.card_id}: a balance cannot be more than {MAX_BALANCE}")
    card.balance = balance
    return _write(view, request.card_id, card)


def delete(view: View, request: CardRequest) -> CardResponse:
    card = _read(view, request.card_id)
    if card is None:
        return CardResponse(code=CARD_DOES_NOT_EXIST)
    view.delete(_key(request.card_id))
    return CardResponse(code=OK, card_info=card)


def select(view: View, request: CardRequest) -> CardResponse:
    card = _read(view, request.card_id)
    if card is None:
        return CardResponse(code=CARD_DOES_NOT_EXIST)
    return CardResponse(code=OK, card_info=card)


def explain(code: Code) -> str:
    """A code in words."""
    return str(Code.Name(code)).lower().replace("_", " ")


_RULES: dict[Operation, Callable[[View, CardRequest], CardResponse]] = {
    Operation.INSERT: insert,
    Operation.UPDATE: update,
    Operation.DELETE: delete,
    Operation.SELECT: select,
}


def _key(card_id: int) -> bytes:
    return card_id.to_bytes(8, "big")


def _read(view: View, card_id: int) -> CardInfo | None:
    stored = view.get(_key(card_id))
    return None if stored is None else CardInfo.FromString(stored)


def _write(view: View, card_id: int, card: CardInfo) -> CardResponse:
    changed = CardInfo()
    changed.CopyFrom(card)
    changed.last_modified_time = view.now_ms // 1000
    view.put(_key(card_id), bytes(changed.SerializeToString(deterministic=True)))
    return CardResponse(code=OK, card_info=changed)
