"""The pointers of one entity's log: what a load makes of them, and their order."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from paxosstore.core.entity.entity import Entity
from paxosstore.core.entry.ids import NOBODY, value_id
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.event import Loaded

V = Value(value_id(2, 99, 1), b"")
CHOSEN = Record(4, 4, 4, V, True)
ACCEPTED = Record(4, 4, 4, V)
PROMISED = Record(0, 4)


def loaded(committed: int, rows: Sequence[tuple[int, Record]], max_plog: int, last: bytes = b"") -> Entity:
    entity = Entity(7)
    entity.load(Loaded(7, committed, rows, max_plog, last), 3, 0)
    return entity


@pytest.mark.parametrize(
    ("committed", "rows", "max_plog", "pointers", "highest"),
    [
        (0, [], 0, (0, 0, 0, 0), 0),
        (0, [(1, PROMISED)], 1, (0, 0, 0, 1), 0),
        (0, [(1, ACCEPTED)], 1, (0, 0, 0, 1), 1),
        (5, [], 5, (5, 5, 5, 5), 5),
        (5, [], 0, (5, 5, 5, 5), 5),  # its rows are gone, its data is not
        (5, [(6, PROMISED)], 6, (5, 5, 5, 6), 5),
        (5, [(6, ACCEPTED)], 6, (5, 5, 5, 6), 6),
        (5, [(6, CHOSEN)], 6, (5, 5, 6, 6), 6),
        (5, [(6, ACCEPTED), (7, PROMISED)], 7, (5, 5, 6, 7), 6),  # rule 11: 7 was opened, so 6 is chosen
        (5, [(9, CHOSEN)], 9, (5, 5, 9, 9), 9),
    ],
)
def test_what_a_load_says(
    committed: int, rows: list[tuple[int, Record]], max_plog: int, pointers: tuple[int, int, int, int], highest: int
) -> None:
    entity = loaded(committed, rows, max_plog)
    assert entity.log.pointers == pointers
    assert entity.log.highest == highest, "a vote counts though it has not won, a mere promise is no vote: rule 12 rests on it"
    assert entity.log.no_preauth_through == pointers[3] + 1, "rule 6"
    assert {entry: opened.machine.mine for entry, opened in entity.log.opened.items()} == dict(rows)


def test_an_accepted_row_is_not_chosen_by_what_comes_after_it() -> None:
    """Rule 3: the flag is never inferred from the pointers."""
    entity = loaded(5, [(6, ACCEPTED), (7, CHOSEN)], 7)
    assert not entity.log.opened[6].machine.mine.chosen
    assert entity.log.contiguous_chosen == 5


def test_preauth_is_the_origins_not_the_ballots() -> None:
    """Rule 5a: the value came from 2, whoever's ballot got it chosen."""
    assert loaded(5, [], 5, V.id).log.last_origin == 2
    assert loaded(5, [], 5).log.last_origin == NOBODY


@pytest.mark.parametrize("pointers", [(6, 5, 5, 5), (5, 6, 5, 5), (5, 5, 5, 7)])
def test_pointers_out_of_order_are_noticed(pointers: tuple[int, int, int, int]) -> None:
    entity = loaded(5, [], 5)
    entity.log.committed, entity.log.contiguous_chosen, entity.log.max_chosen, entity.log.max_plog = pointers
    with pytest.raises(AssertionError):
        entity.log.validate()
