"""The clients: each call is made once, and what is known of its outcome is what is written down."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest

from chaos import application
from chaos.clients import (
    ABANDONED,
    ADD_WATCHED,
    CALL,
    KEYS,
    TOKEN_LENGTH,
    AppCaller,
    CardCaller,
    RedisCaller,
    app_key,
    card_key,
    draw_app_call,
    draw_card_call,
    draw_redis_call,
    draw_wait,
    number_of,
    redis_words,
    said,
    token,
)
from chaos.journal import Outcome
from chaos.models import MODELS
from paxosstore.cli.cluster import HOST, free_base_port
from paxosstore.errors import BY_CODE, Fault, Refused
from paxosstore.services.redis.reply import store_error

from ..services.redis.support import DictView

Answer = Callable[[bytes], bytes]
"""What was sent -> what to answer; nothing: the connection is closed."""


class Server:
    """Answers commands by `answer`, one client after the other, and counts those that are no part of a greeting."""

    def __init__(self, answer: Answer) -> None:
        self.commands: list[bytes] = []
        self._answer = answer
        self._listening = socket.create_server((HOST, 0))
        self.address = f"{HOST}:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        while data := connection.recv(65_536):
            if b"SETINFO" in data:
                connection.sendall(b"+OK\r\n" * data.count(b"SETINFO"))
                continue
            self.commands.append(data)
            answer = self._answer(data)
            if not answer:
                return
            connection.sendall(answer)


@contextmanager
def caller_of(answer: Answer) -> Iterator[tuple[RedisCaller, Server]]:
    server = Server(answer)
    caller = RedisCaller([server.address])
    try:
        yield caller, server
    finally:
        caller.close()
        server.close()


@pytest.mark.parametrize(
    ("answer", "reply"),
    [(b"+OK\r\n", "OK"), (b":-3\r\n", -3), (b"$-1\r\n", None), (b"$2\r\nab\r\n", "ab"), (b"*2\r\n$1\r\na\r\n:1\r\n", ("a", 1))],
)
def test_replies(answer: bytes, reply: object) -> None:
    with caller_of(lambda data: answer) as (caller, server):
        assert caller.call(0, "GET", "key") == (Outcome.DONE, reply, "")
        assert len(server.commands) == 1


def test_a_lost_answer_is_unknown_and_nothing_is_sent_again() -> None:
    with caller_of(lambda data: b"") as (caller, server):
        outcome, _, error = caller.call(0, "INCRBY", "key", 1)
        assert outcome is Outcome.UNKNOWN
        assert error
        assert len(server.commands) == 1


def test_no_answer_in_time_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaos.clients.PATIENCE_S", 0.1)
    given_up = threading.Event()

    def answer(data: bytes) -> bytes:
        given_up.wait(5.0)
        return b""

    with caller_of(answer) as (caller, server):
        assert caller.call(0, "INCRBY", "key", 1)[0] is Outcome.UNKNOWN
        assert len(server.commands) == 1
        given_up.set()


def test_an_abandoned_call_is_sent_and_unknown() -> None:
    answered = threading.Event()

    def answer(data: bytes) -> bytes:
        answered.set()
        return b""

    with caller_of(answer) as (caller, _):
        assert caller.call(0, "INCRBY", "key", 1, leave_after_s=0.0) == (Outcome.UNKNOWN, None, ABANDONED)
        assert answered.wait(5.0)


def test_nobody_listens_so_nothing_happened() -> None:
    caller = RedisCaller([f"{HOST}:{free_base_port(1)}"])
    assert caller.call(0, "INCRBY", "key", 1)[0] is Outcome.REFUSED


@pytest.mark.parametrize(
    ("exec_", "expected"),
    [
        (b"*1\r\n+OK\r\n", (Outcome.DONE, 12, "")),
        (b"*-1\r\n", (Outcome.REFUSED, None, "the key has changed")),
        (b"-UNKNOWN outcome unknown: late\r\n", (Outcome.UNKNOWN, None, "UNKNOWN outcome unknown: late")),
        (b"-NOQUORUM alone\r\n", (Outcome.REFUSED, None, "NOQUORUM alone")),
    ],
)
def test_an_addition_in_a_transaction_ends_as_exec_does(exec_: bytes, expected: object) -> None:
    answers = {b"WATCH": b"+OK\r\n", b"MULTI": b"+OK\r\n", b"SET": b"+QUEUED\r\n", b"GET": b"$1\r\n5\r\n", b"EXEC": exec_}
    with caller_of(lambda data: answers[data.split(b"\r\n")[2]]) as (caller, server):
        assert caller.add_watched(0, "key", 7) == expected
        assert b"12" in server.commands[3]


def test_an_addition_that_ends_before_exec_did_not_happen() -> None:
    answers = {b"WATCH": b"+OK\r\n", b"GET": b""}
    with caller_of(lambda data: answers[data.split(b"\r\n")[2]]) as (caller, _):
        outcome, _, error = caller.add_watched(0, "key", 7)
        assert outcome is Outcome.REFUSED
        assert error.startswith("before EXEC: ")


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_every_error_of_the_store(code: str) -> None:
    error = BY_CODE[code]
    said = store_error(error("because"))
    if said.startswith(b"-ERR") or error.fault is Fault.CALLER:
        expected = Outcome.WRONG
    else:
        expected = Outcome.REFUSED if error.outcome_known else Outcome.UNKNOWN
    with caller_of(lambda data: said) as (caller, _):
        assert caller.call(0, "GET", "key")[0] is expected


def test_a_card_call_at_nobody_is_refused() -> None:
    async def story() -> None:
        caller = CardCaller([f"{HOST}:{free_base_port(1)}"])
        outcome, _, error = await caller.call(0, 1, "update", 1, bytes(16))
        await caller.close()
        assert outcome is Outcome.REFUSED
        assert error

    asyncio.run(story())


def test_calls_are_drawn_from_the_seed_and_fit_the_models() -> None:
    def drawn(seed: int) -> list[object]:
        rng = random.Random(seed)
        return [draw_redis_call(rng, 3, token(1, number)) for number in range(200)]

    assert drawn(1) == drawn(1) != drawn(2)
    rng = random.Random(1)
    seen = set()
    for number in range(2_000):
        key, name, arguments = draw_redis_call(rng, number // 100, token(1, number))
        kind, generation, at = key.split(":")
        seen.add(kind)
        assert (int(generation), int(at) < KEYS) == (number // 100, True)
        assert name == ADD_WATCHED or redis_words(key, name, arguments)[1] == key
        card, name, argument = draw_card_call(rng, 3)
        assert number_of(card_key(card)) == card
        entity, function, amount = draw_app_call(rng, 3)
        assert number_of(app_key(entity)) == entity
        assert function == "change" or (function, amount) == ("balance", 0)
        assert name in ("insert", "update", "select", "delete")
        assert argument >= 0 or name == "update"
    assert {*seen, "card", CALL} == set(MODELS)


def test_waits_are_drawn_for_what_is_pushed() -> None:
    rng = random.Random(1)
    drawn = [draw_wait(rng, 3, token(1, number)) for number in range(100)]
    assert {key for key, _, _ in drawn} == {"queue:3:0", "pile:3:0"}
    assert {name for _, name, _ in drawn} == {"blpop", "brpop", "bzpopmin"}
    assert redis_words("queue:3:0", "blpop", ["0.3"]) == ["BLPOP", "queue:3:0", "0.3"]


def test_what_no_reply_says_is_wrong() -> None:
    assert said("hash:0:0", "hgetall", (Outcome.DONE, ("a", "t1"), "")) == (Outcome.DONE, (("a", "t1"),), "")
    assert said("queue:0:0", "blpop", (Outcome.DONE, ("queue:0:0", "t1"), "")) == (Outcome.DONE, "t1", "")
    assert said("hash:0:0", "hgetall", (Outcome.DONE, ("a",), ""))[0] is Outcome.WRONG
    assert said("set:0:0", "sadd", (Outcome.DONE, "OK", ""))[0] is Outcome.WRONG
    assert said("set:0:0", "smembers", (Outcome.DONE, None, ""))[0] is Outcome.WRONG
    assert said("set:0:0", "sadd", (Outcome.UNKNOWN, None, "late")) == (Outcome.UNKNOWN, None, "late")


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (b"$2\r\n17\r\n", (Outcome.DONE, 17, "")),
        (b'-REFUSED NOT_ENOUGH {"balance":3}\r\n', (Outcome.DONE, "not enough", "")),
        (b"-REFUSED NOT_ENOUGH\r\n", (Outcome.WRONG, None, "NOT_ENOUGH")),
        (b"-REFUSED OTHER\r\n", (Outcome.WRONG, None, "OTHER")),
        (b"-FAILED x\r\n", (Outcome.WRONG, None, "FAILED x")),
        (b"-UNKNOWN x\r\n", (Outcome.UNKNOWN, None, "UNKNOWN x")),
        (b"-NOQUORUM x\r\n", (Outcome.REFUSED, None, "NOQUORUM x")),
        (b"-UUIDREUSED x\r\n", (Outcome.WRONG, None, "UUIDREUSED x")),
    ],
)
def test_a_call_of_the_application_and_how_it_ends(answer: bytes, end: object) -> None:
    server, uuid = Server(lambda sent: answer), UUID(int=1, version=4)
    caller = AppCaller([server.address])
    try:
        assert caller.call(0, 7, "change", -4, uuid) == end
        assert server.commands[0].split(b"\r\n")[2::2] == [b"PAXOS.CALL", b"change", b"7", uuid.bytes, b"-4"]
        assert caller.call(0, 7, "balance", 0, None) == end
        assert server.commands[-1].split(b"\r\n")[2::2] == [b"PAXOS.READ", b"balance", b"7", b""]
    finally:
        caller.close()
        server.close()


def test_the_application_keeps_accounts_that_never_go_below_zero() -> None:
    view = DictView()
    assert [application.change(view, 5), application.change(view, -5), application.balance(view)] == [5, 0, 0]
    with pytest.raises(Refused) as raised:
        application.change(view, -1)
    assert (raised.value.reason, raised.value.data) == ("NOT_ENOUGH", {"balance": 0})


def test_tokens_are_of_one_length() -> None:
    assert {len(token(client, number)) for client in (0, 99) for number in (0, 999_999)} == {TOKEN_LENGTH}
