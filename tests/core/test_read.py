"""The reads of one entity: one question for all that gathered, its own number, what they wait for (rule 12)."""

from __future__ import annotations

import pytest

from paxosstore.core.read import Reads
from paxosstore.core.request import Request

from .support import Operation


def read() -> Operation:
    return Operation(1, b"get x", read_only=True)


def asked(*requests: Operation, own_highest: int = 0, number: int = 7) -> Reads:
    reads = Reads()
    reads.gathering.extend(requests)
    reads.ask(number, own_highest, 100.0)
    return reads


def served(reads: Reads, committed: int) -> list[Request]:
    """What may be answered once the DB is applied so far."""
    reads.applied(committed)
    found = list(reads.answerable)
    reads.answerable.clear()
    return found


def test_nothing_to_ask() -> None:
    reads = Reads()
    assert not reads
    assert not reads.may_ask
    with pytest.raises(AssertionError):
        reads.ask(7, 0, 0.0)


def test_one_question_for_all_that_gathered() -> None:
    one, two, late = read(), read(), read()
    reads = asked(one, two)
    reads.gathering.append(late)
    assert not reads.may_ask, "one question at a time"
    assert reads.answer(1, 7, 0, 2, 101.0)
    assert served(reads, 0) == [one, two]
    assert reads.may_ask, "what came later was not covered by it"
    assert list(reads.all()) == [late]


def test_a_majority_counts_the_asker_and_nobody_twice() -> None:
    reads = asked(read())
    assert not reads.answer(1, 7, 0, 3, 101.0)
    assert not reads.answer(1, 7, 0, 3, 101.0)
    assert served(reads, 100) == []
    assert reads.unanswered(5, 0) == [2, 3, 4]
    assert reads.answer(3, 7, 0, 3, 101.0)


@pytest.mark.parametrize("number", [0, 6, 8])
def test_answers_to_another_question_do_not_count(number: int) -> None:
    reads = asked(read())
    assert not reads.answer(1, number, 9, 2, 101.0)
    assert reads.highest == 0
    assert reads.unanswered(3, 0) == [1, 2]


def test_late_answers_to_an_older_question_do_not_count() -> None:
    reads = asked(read())
    assert reads.answer(1, 7, 0, 2, 101.0)
    reads.gathering.append(read())
    reads.ask(8, 0, 102.0)
    assert not reads.answer(2, 7, 0, 2, 103.0)
    assert reads.number == 8


@pytest.mark.parametrize(("own", "answers", "needed"), [(3, [1], 3), (3, [5], 5), (0, [2, 9], 9), (0, [0, 0], 0)])
def test_it_waits_for_the_highest_entry_anybody_showed(own: int, answers: list[int], needed: int) -> None:
    request = read()
    reads = asked(request, own_highest=own)
    for peer, highest in enumerate(answers, 1):
        reads.answer(peer, 7, highest, len(answers) + 1, 101.0)
    assert reads.needs_entry == needed
    assert needed == 0 or served(reads, needed - 1) == []
    assert served(reads, needed) == [request]
    assert not reads


def test_questions_may_overtake_each_other_while_blocked() -> None:
    first, second = read(), read()
    reads = asked(first)
    reads.answer(1, 7, 5, 2, 101.0)
    reads.gathering.append(second)
    reads.ask(8, 3, 102.0)
    reads.answer(1, 8, 3, 2, 103.0)
    assert reads.needs_entry == 5
    assert served(reads, 3) == [second]
    assert served(reads, 5) == [first]


def test_reads_that_ended_are_forgotten() -> None:
    gathering, under_way, blocked, answerable = read(), read(), read(), read()
    reads = asked(blocked)
    reads.answer(1, 7, 5, 2, 101.0)
    reads.answerable.append(answerable)
    reads.gathering.append(under_way)
    reads.ask(8, 0, 102.0)
    reads.gathering.append(gathering)
    waiting = {gathering, under_way, blocked, answerable}
    assert set(reads.all()) == waiting
    for request in waiting:
        request.settled = True
    reads.drop_settled()
    assert not reads
    assert reads.number == 0, "a question nobody waits for ends"
    assert list(reads.all()) == []


def test_a_question_that_ended_is_not_answered_into_the_next() -> None:
    gone = read()
    reads = asked(gone)
    gone.settled = True
    reads.drop_settled()
    assert not reads.answer(1, 7, 4, 2, 101.0)
    fresh = read()
    reads.gathering.append(fresh)
    reads.ask(9, 0, 103.0)
    assert reads.unanswered(3, 0) == [1, 2]
    assert reads.highest == 0
