"""The rules of the cards, without any node."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxosstore.core.batch.overlay import DATA, Overlay
from paxosstore.errors import InvalidRequest
from paxosstore.services.card import rules
from paxosstore.services.card.card_pb2 import (
    BALANCE_NOT_ENOUGH,
    CARD_DOES_NOT_EXIST,
    CARD_EXISTS,
    OK,
    CardInfo,
    CardRequest,
    CardResponse,
)
from paxosstore.services.card.rules import CARD_BASE, CARD_ENTITIES, MAX_BALANCE, Operation, encode, entity_of, handle

from .support import NOW_MS, Data

REDIS_BASE = 1 << 62
CARD_IDS = st.integers(0, 2**64 - 1)


@pytest.fixture
def view() -> Overlay:
    return Data().view(1)


def insert(view: Overlay, card_id: int, balance: int) -> CardResponse:
    return rules.insert(view, CardRequest(card_id=card_id, card_info=CardInfo(user_name="ann", user_id=7, balance=balance)))


def update(view: Overlay, card_id: int, delta: int) -> CardResponse:
    return rules.update(view, CardRequest(card_id=card_id, delta=delta))


def balance_of(view: Overlay, card_id: int) -> int:
    response = rules.select(view, CardRequest(card_id=card_id))
    assert response.code == OK
    return response.card_info.balance


def test_the_codes_are_the_ones_that_clients_know() -> None:
    assert (OK, BALANCE_NOT_ENOUGH, CARD_DOES_NOT_EXIST, CARD_EXISTS) == (0, 8000, 8001, 8002)
    assert rules.explain(BALANCE_NOT_ENOUGH) == "balance not enough"


def test_a_card_from_its_first_day_to_its_last(view: Overlay) -> None:
    made = insert(view, 42, 100)
    assert made.code == OK
    expected = CardInfo(user_name="ann", user_id=7, balance=100, last_modified_time=NOW_MS // 1000)
    assert made.card_info == expected
    assert update(view, 42, -30).card_info.balance == 70
    assert update(view, 42, 5).card_info.balance == 75
    assert rules.select(view, CardRequest(card_id=42)).card_info.user_name == "ann"
    assert rules.delete(view, CardRequest(card_id=42)).card_info.balance == 75
    assert rules.select(view, CardRequest(card_id=42)).code == CARD_DOES_NOT_EXIST
    assert insert(view, 42, 1).code == OK


def test_a_card_is_inserted_once(view: Overlay) -> None:
    insert(view, 42, 100)
    assert insert(view, 42, 5).code == CARD_EXISTS
    assert balance_of(view, 42) == 100


def test_what_is_not_there_cannot_be_changed(view: Overlay) -> None:
    for rule in (rules.update, rules.delete, rules.select):
        assert rule(view, CardRequest(card_id=42, delta=1)).code == CARD_DOES_NOT_EXIST
    assert not view.batch


def test_a_refused_update_changes_nothing_and_shows_the_card(view: Overlay) -> None:
    insert(view, 42, 10)
    before = dict(view.batch.writes)
    refused = update(view, 42, -11)
    assert refused.code == BALANCE_NOT_ENOUGH
    assert refused.card_info.balance == 10
    assert view.batch.writes == before


def test_no_card_begins_below_zero(view: Overlay) -> None:
    assert insert(view, 42, -1).code == BALANCE_NOT_ENOUGH
    assert not view.batch


def test_a_balance_cannot_run_over(view: Overlay) -> None:
    insert(view, 42, MAX_BALANCE)
    with pytest.raises(InvalidRequest, match="42"):
        update(view, 42, 1)
    assert balance_of(view, 42) == MAX_BALANCE


def test_the_handler_does_what_each_operation_says() -> None:
    data = Data()
    card = CardInfo(user_name="ann", balance=10)
    script = [
        (Operation.INSERT, CardRequest(card_id=1, card_info=card), OK, 10),
        (Operation.INSERT, CardRequest(card_id=1, card_info=card), CARD_EXISTS, 0),
        (Operation.UPDATE, CardRequest(card_id=1, delta=-4), OK, 6),
        (Operation.SELECT, CardRequest(card_id=1), OK, 6),
        (Operation.DELETE, CardRequest(card_id=1), OK, 6),
        (Operation.SELECT, CardRequest(card_id=1), CARD_DOES_NOT_EXIST, 0),
    ]
    for operation, request, code, balance in script:
        view = data.view(entity_of(1), read_only=operation is Operation.SELECT)
        response = CardResponse.FromString(handle(view, encode(operation, request)))
        assert (response.code, response.card_info.balance) == (code, balance)
        data.apply(view)
    assert not [key for _, key in data.rows if key.startswith(DATA)]


@given(CARD_IDS)
def test_cards_have_entities_of_their_own(card_id: int) -> None:
    assert CARD_BASE <= entity_of(card_id) < CARD_BASE + CARD_ENTITIES <= REDIS_BASE


def test_neighbouring_cards_spread_over_the_entities() -> None:
    counts: dict[int, int] = {}
    for card_id in range(8 * CARD_ENTITIES):
        counts[entity_of(card_id)] = counts.get(entity_of(card_id), 0) + 1
    assert len(counts) == CARD_ENTITIES
    assert max(counts.values()) <= 16


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-20, 20) | st.none()), max_size=40))
def test_no_sequence_brings_a_balance_below_zero_or_loses_money(steps: list[tuple[int, int | None]]) -> None:
    """Against a dictionary. None stands for delete; an unknown card is inserted with 10."""
    view = Data().view(1)
    model: dict[int, int] = {}
    for card_id, delta in steps:
        if delta is None:
            gone = rules.delete(view, CardRequest(card_id=card_id))
            assert gone.code == (OK if card_id in model else CARD_DOES_NOT_EXIST)
            model.pop(card_id, None)
        elif card_id not in model:
            assert update(view, card_id, delta).code == CARD_DOES_NOT_EXIST
            assert insert(view, card_id, 10).code == OK
            model[card_id] = 10
        else:
            enough = model[card_id] + delta >= 0
            assert update(view, card_id, delta).code == (OK if enough else BALANCE_NOT_ENOUGH)
            model[card_id] += delta if enough else 0
        for known, balance in model.items():
            assert balance_of(view, known) == balance >= 0
