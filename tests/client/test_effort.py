"""One call on its way, against nodes that lose, refuse and delay it: never two effects, and what is said of it is true."""

from __future__ import annotations

from typing import Any

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxosstore.client.effort import Effort
from paxosstore.client.nodes import Nodes, address_of
from paxosstore.errors import (
    InvalidRequest,
    NoQuorum,
    OutcomeUnknown,
    PaxosStoreError,
    Refused,
    ReplyNotKept,
    RequestFailed,
    UnknownHandler,
    UuidExpired,
    UuidReused,
)

ADDRESSES = [("a", 1), ("b", 2), ("c", 3)]
A, B, C = ADDRESSES


def effort(*, nodes: Nodes | None = None, writes: bool = True, timeout_s: float = 10.0) -> Effort:
    return Effort(nodes or Nodes(ADDRESSES), "add on entity 7", 0.0, timeout_s, 2.0, writes=writes, jitter=lambda: 1.0)


def error(text: str) -> Any:
    return hiredis.ReplyError(text)


# -- whom it asks, and when


def test_every_node_is_asked_in_turn_for_longer_in_each_round_with_growing_pauses_in_between() -> None:
    trying, asked, pauses, now_s = effort(timeout_s=100.0), [], [], 0.0
    for _ in range(9):
        pauses.append(trying.pause_s(now_s))
        asked.append(trying.next(now_s))
        trying.failed(asked[-1][0], "no answer", sent=True)
    assert [node for node, _ in asked] == ADDRESSES * 3
    assert [wait_s for _, wait_s in asked] == [2.0] * 3 + [4.0] * 3 + [8.0] * 3
    assert pauses == [0, 0, 0, 0.05, 0, 0, 0.1, 0, 0]


def test_pauses_differ_by_chance_and_end_with_the_time() -> None:
    trying = Effort(Nodes(ADDRESSES[:1]), "it", 0.0, 10.0, 2.0, writes=True, jitter=lambda: 0.0)
    for at in range(20):
        expected_s = 0.0 if not at else min(0.05 * 2 ** (at - 1), 1.0) / 2
        assert trying.pause_s(0.0) == pytest.approx(expected_s)
        trying.next(0.0)
    assert trying.pause_s(9.9) == pytest.approx(0.1)
    node, wait_s = trying.next(9.9)
    assert node == A
    assert wait_s == pytest.approx(0.1)
    assert trying.pause_s(11.0) == 0.0


def test_a_node_that_failed_is_not_the_first_of_the_next_call() -> None:
    nodes = Nodes(ADDRESSES)
    one = effort(nodes=nodes)
    assert one.next(0.0)[0] == A
    one.failed(A, "no answer", sent=True)
    assert effort(nodes=nodes).next(0.0)[0] == B
    one.failed(A, "again, as somebody else was told too", sent=True)
    assert effort(nodes=nodes).next(0.0)[0] == B
    assert one.next(0.0)[0] == B
    assert one.answered(B, b"5") == b"5"


# -- what it says


@pytest.mark.parametrize(("sent", "kind"), [(False, NoQuorum), (True, OutcomeUnknown)])
def test_when_the_time_is_over_it_says_what_is_known(sent: bool, kind: type[PaxosStoreError]) -> None:
    trying = effort()
    node, _ = trying.next(0.0)
    trying.failed(node, "no answer: timed out", sent=sent)
    with pytest.raises(kind, match=r"^add on entity 7: .* \(a:1: no answer: timed out\)$"):
        trying.next(10.0)
    reading = effort(writes=False)
    node, _ = reading.next(0.0)
    reading.failed(node, "no answer", sent=sent)
    with pytest.raises(NoQuorum):
        reading.next(10.0)


@pytest.mark.parametrize(
    "text",
    ["NOQUORUM x", "OVERLOADED x", "NOTSERVING x", "LEARNSONLY x", "DISKFULL x", "ERR max number of clients", "NOTCAUGHTUP x"],
)
def test_what_another_node_may_do_goes_on_there_and_nothing_happened(text: str) -> None:
    trying = effort()
    assert trying.answered(trying.next(0.0)[0], error(text)) is None
    with pytest.raises(NoQuorum, match="nothing happened"):
        trying.next(10.0)


FINAL = [
    ('REFUSED NOT_ENOUGH {"balance":3}', Refused),
    ("FAILED the request raised KeyError: 'x'", RequestFailed),
    ("UUIDREUSED x", UuidReused),
    ("NOTKEPT x", ReplyNotKept),
    ("UUIDEXPIRED x", UuidExpired),
]


@pytest.mark.parametrize(("text", "kind"), FINAL)
@pytest.mark.parametrize("earlier", [False, True])
def test_what_is_decided_of_the_uuid_is_told_whatever_an_earlier_attempt_did(
    text: str, kind: type[PaxosStoreError], earlier: bool
) -> None:
    trying = effort()
    if earlier:
        trying.failed(trying.next(0.0)[0], "no answer", sent=True)
    with pytest.raises(kind) as raised:
        trying.answered(trying.next(0.0)[0], error(text))
    assert type(raised.value) is kind
    assert str(raised.value) == text.partition(" ")[2]


@pytest.mark.parametrize("text", ["INVALID x", "TOOLARGE x", "DIVERGED x"])
def test_what_is_said_of_one_attempt_does_not_say_that_an_earlier_one_did_nothing(text: str) -> None:
    trying = effort()
    with pytest.raises(PaxosStoreError) as raised:
        trying.answered(trying.next(0.0)[0], error(text))
    assert raised.value.code == text.partition(" ")[0]
    trying = effort()
    trying.failed(trying.next(0.0)[0], "no answer", sent=True)
    with pytest.raises(OutcomeUnknown, match="may or may not have happened"):
        trying.answered(trying.next(0.0)[0], error(text))
    reading = effort(writes=False)
    reading.failed(reading.next(0.0)[0], "no answer", sent=True)
    with pytest.raises(PaxosStoreError) as raised:
        reading.answered(reading.next(0.0)[0], error(text))
    assert not isinstance(raised.value, OutcomeUnknown)


@pytest.mark.parametrize("text", ["NOHANDLER this node has no handler 'add'", "ERR unknown command 'PAXOS.CALL', with args"])
def test_a_node_that_lacks_the_handler_is_passed_by_until_all_do(text: str) -> None:
    nodes = Nodes(ADDRESSES)
    trying = effort(nodes=nodes)
    assert trying.answered(trying.next(0.0)[0], error(text)) is None
    assert nodes.current == A, "it may do other things as well as any"
    assert trying.answered(trying.next(0.0)[0], b"5") == b"5"
    trying = effort()
    for _ in range(2):
        assert trying.answered(trying.next(0.0)[0], error(text)) is None
    with pytest.raises(UnknownHandler):
        trying.answered(trying.next(0.0)[0], error(text))


def test_addresses() -> None:
    assert [address_of(text) for text in ("a", "a:5", "[::1]:7")] == [("a", 6379), ("a", 5), ("::1", 7)]
    for text in ("", ":5", "a:x"):
        with pytest.raises(ValueError, match=r"."):
            address_of(text)


# -- any way it goes


STEPS = st.sampled_from(
    [
        *("done", "lost", "dropped", "late", "unreachable", "refused", "unknown, done", "unknown, late", "invalid", "lacking"),
        *("NOQUORUM x", "OVERLOADED x", "NOTSERVING x", "ERR max number of clients"),
    ]
)


TEXTS = {"unknown, done": "UNKNOWN x", "unknown, late": "UNKNOWN x", "invalid": "INVALID x", "lacking": "NOHANDLER x"}


@given(st.lists(STEPS, max_size=12), st.booleans())
def test_never_two_effects_and_what_is_said_is_true(steps: list[str], refuses: bool) -> None:
    """A store that does a call once under its uuid, then or when nobody looks any more, or refuses it once for all."""
    trying, effects, first, late = effort(), 0, "", False

    def do() -> object:
        nonlocal effects, first
        if not first:
            first = "REFUSED NO" if refuses else "done"
            effects += not refuses
        return error(first) if first.startswith("REFUSED") else b"done"

    outcome: object = None
    try:
        for step in [*steps, "over"]:
            node, _ = trying.next(0.0 if step != "over" else 10.0)
            if step == "unreachable":
                trying.failed(node, step, sent=False)
            elif step in ("lost", "dropped", "late"):
                late = late or step == "late"
                _ = do() if step == "lost" else None
                trying.failed(node, step, sent=True)
            else:
                late = late or step == "unknown, late"
                said = do() if step in ("done", "unknown, done", "refused") else None
                texts = {
                    "unknown, done": "UNKNOWN x",
                    "unknown, late": "UNKNOWN x",
                    "invalid": "INVALID x",
                    "lacking": "NOHANDLER x",
                }
                reply = said if step in ("done", "refused") else error(texts.get(step, step))
                outcome = trying.answered(node, reply)
                if outcome is not None:
                    break
    except PaxosStoreError as raised:
        outcome = raised
    if late:
        do()  # it may still happen when the client has given up
    assert effects <= 1
    if outcome == b"done":
        assert effects == 1
    else:
        assert isinstance(outcome, PaxosStoreError)
        if outcome.outcome_known:
            assert effects == 0, f"{outcome!r} was said, and it happened"
        if isinstance(outcome, Refused):
            assert refuses
        if isinstance(outcome, InvalidRequest):
            assert "invalid" in steps


def test_where_every_node_that_answers_lacks_the_function_it_says_so() -> None:
    trying = effort(timeout_s=1.0)
    for node, said in ((A, "NOHANDLER no such one"), (B, ""), (C, "NOHANDLER no such one")):
        if said:
            assert trying.answered(node, error(said)) is None
        else:
            trying.failed(node, "cannot be reached", sent=False)
    with pytest.raises(UnknownHandler, match="no node that answers has it"):
        trying.next(2.0)
    trying = effort(timeout_s=1.0)
    trying.answered(A, error("NOHANDLER no such one"))
    trying.answered(B, error("OVERLOADED too much"))
    with pytest.raises(NoQuorum):
        trying.next(2.0)
