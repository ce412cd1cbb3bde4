"""The reads of one entity: one question for all that gathered, its own number, what they wait for (rule 12)."""

from __future__ import annotations

from itertools import product

import pytest

from paxosstore.core.batch.request import Request
from paxosstore.core.entity.read import Reads

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


def unanswered(reads: Reads, n: int) -> list[int]:
    assert reads.asked is not None
    return reads.asked.unanswered(n, 0)


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
    assert unanswered(reads, 5) == [2, 3, 4]
    assert reads.answer(3, 7, 0, 3, 101.0)


@pytest.mark.parametrize("number", [0, 6, 8])
def test_answers_to_another_question_do_not_count(number: int) -> None:
    reads = asked(read())
    assert not reads.answer(1, number, 9, 2, 101.0)
    assert unanswered(reads, 3) == [1, 2]


def test_late_answers_to_an_older_question_do_not_count() -> None:
    reads = asked(read())
    assert reads.answer(1, 7, 0, 2, 101.0)
    reads.gathering.append(read())
    reads.ask(8, 0, 102.0)
    assert not reads.answer(2, 7, 0, 2, 103.0)
    assert unanswered(reads, 3) == [1, 2]


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


@pytest.mark.parametrize(
    ("own", "answers", "needed"),
    [
        (4, [4, 4], 4),
        (5, [4], 5),  # ours is accepted, the third replica may have accepted it too
        (5, [4, 4], 4),  # it has not, so nothing was chosen at 5 when we asked
        (4, [5, 4], 4),
        (4, [5, 5], 5),
        (5, [5, 4], 5),
        (5, [4, 4, 5, 4], 4),
        (5, [4, 5, 5, 4], 5),
        (5, [4, 5, 4], 5),  # of five: the fifth may be the third to have accepted it
        (5, [5, 4, 4, 4], 4),
        (7, [5, 4, 4], 5),
    ],
)
def test_later_answers_show_that_what_some_replica_has_accepted_was_not_chosen(own: int, answers: list[int], needed: int) -> None:
    n = 3 if len(answers) < 3 else 5
    request = read()
    reads = asked(request, own_highest=own)
    for peer, highest in enumerate(answers, 1):
        reads.answer(peer, 7, highest, n // 2 + 1, 101.0)
    assert reads.needs_entry == needed
    assert served(reads, needed - 1) == []
    assert served(reads, needed) == [request]


def test_each_answer_of_a_peer_holds_so_the_lowest_counts_once() -> None:
    reads = asked(read(), own_highest=5)
    for highest in (4, 5, 4):
        reads.answer(1, 7, highest, 2, 101.0)
    assert reads.needs_entry == 5, "one peer's denial is one"
    reads.answer(2, 7, 4, 2, 101.0)
    reads.answer(2, 7, 5, 2, 101.0)
    assert reads.needs_entry == 4


@pytest.mark.parametrize("n", [3, 5])
def test_nothing_that_was_chosen_when_the_question_was_asked_is_missed(n: int) -> None:
    """Every way in which the replicas may stand at entry 5, before the question and when they answer, and who answers first."""
    quorum = n // 2 + 1
    before, meanwhile, never = "accepted before", "accepted meanwhile", "not accepted"
    for states in product((before, meanwhile, never), repeat=n):
        chosen = states.count(before) >= quorum
        heights = [4 if state == never else 5 for state in states]
        reads = asked(read(), own_highest=5 if states[0] == before else 4)  # its own answer is of the very moment
        for peer in range(1, n):
            reads.answer(peer, 7, heights[peer], quorum, 101.0)
            assert not (chosen and reads.blocked and reads.needs_entry < 5), states
        assert (reads.needs_entry == 4) == (heights[1:].count(4) + (states[0] != before) >= quorum)


def test_while_an_entry_is_stuck_two_questions_wait_for_it() -> None:
    """However many are asked: the first keeps its answers, the latest takes along what the others asked."""
    requests = [read() for _ in range(10)]
    reads = Reads()
    for number, request in enumerate(requests, 1):
        reads.gathering.append(request)
        reads.ask(number, 5, float(number))
        reads.answer(1, number, 4, 2, float(number))
    assert [question.number for question in reads.blocked] == [1, 10]
    assert [question.requests for question in reads.blocked] == [requests[:1], requests[1:]]
    assert [question.since_ms for question in reads.blocked] == [1.0, 2.0]
    reads.answer(2, 1, 4, 2, 11.0)
    assert served(reads, 4) == requests[:1]
    reads.answer(2, 10, 4, 2, 11.0)
    assert served(reads, 4) == requests[1:]


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
    assert reads.asked is None, "a question nobody waits for ends"
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
    assert unanswered(reads, 3) == [1, 2]
    assert fresh in reads.all()
