"""Cards with a balance that never goes below zero: functions that run where the data is, once for each call.

Several cards share an entity, under their numbers as keys, so that changes to different cards travel in one entry of the log.
"""

from typing import Annotated

import msgspec

from paxosstore import App, Refused, View

ENTITIES = 1024
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

app = App()


class Card(msgspec.Struct):
    card: Number
    balance: Number = 0
    user_name: str = ""


class Change(msgspec.Struct):
    card: Number
    delta: int


def entity_of(card: int) -> int:
    """Where a card is. Multiplicative hashing spreads neighbouring numbers."""
    return (card * 0x9E3779B97F4A7C15 % 2**64) * ENTITIES // 2**64


@app.handler
def insert(view: View, card: Card) -> Card:
    if view.get(_key(card.card)) is not None:
        raise Refused("CARD_EXISTS")
    return _write(view, card)


@app.handler
def update(view: View, change: Change) -> Card:
    card = _read(view, change.card)
    if not 0 <= card.balance + change.delta < 2**63:
        raise Refused("BALANCE_NOT_ENOUGH", {"balance": card.balance})
    card.balance += change.delta
    return _write(view, card)


@app.handler
def delete(view: View, number: Number) -> Card:
    card = _read(view, number)
    view.delete(_key(number))
    return card


@app.handler
def select(view: View, number: Number) -> Card:
    return _read(view, number)


def _key(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _read(view: View, number: int) -> Card:
    stored = view.get(_key(number))
    if stored is None:
        raise Refused("CARD_DOES_NOT_EXIST")
    return msgspec.json.decode(stored, type=Card)


def _write(view: View, card: Card) -> Card:
    view.put(_key(card.card), msgspec.json.encode(card))
    return card
