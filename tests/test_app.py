"""App: handlers that take and return typed values, and refuse in words of their own."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxosstore import App, InvalidRequest, Refused, RequestFailed, TooLarge, View
from paxosstore.errors import BY_CODE, Fault, UuidExpired, from_code

VIEW = cast(View, None)


class Deposit(msgspec.Struct):
    amount: int


class Account(msgspec.Struct):
    balance: int


def test_a_payload_comes_and_a_reply_goes_as_the_types_say() -> None:
    app = App()

    @app.handler
    def deposit(view: View, order: Deposit) -> Account:
        return Account(order.amount + 1)

    @app.handler(name="echo.bytes")
    def echo(view: View, payload: bytes) -> bytes:
        return payload + b"!"

    @app.handler
    def bare(view, payload):  # type: ignore[no-untyped-def]  # as somebody writes it
        return payload

    @app.handler
    def nothing(view: View) -> None:
        return None

    assert list(app) == ["deposit", "echo.bytes", "bare", "nothing"]
    assert len(app) == 4
    assert app["deposit"](VIEW, b'{"amount": 4}') == b'{"balance":5}'
    assert app["echo.bytes"](VIEW, b"x") == b"x!"
    assert app["bare"](VIEW, b"raw") == b"raw"
    assert app["nothing"](VIEW, b"") == b""
    assert deposit(VIEW, Deposit(1)) == Account(2), "the function itself is as it was"
    assert echo(VIEW, b"") == b"!"
    assert nothing(VIEW) is None
    assert callable(bare)


@pytest.mark.parametrize("payload", [b"", b"{", b'{"amount": "1"}', b"[]", b"\xff", b"\x00", b"{" * 100_000, b"[" * 100_000])
def test_another_payload_is_refused(payload: bytes) -> None:
    app = App()

    @app.handler
    def deposit(view: View, order: Deposit) -> None:
        raise AssertionError("it does not run")

    @app.handler
    def nothing(view: View) -> None:
        raise AssertionError("it does not run")

    with pytest.raises(InvalidRequest, match=r"^deposit: its payload"):
        app["deposit"](VIEW, payload)
    if payload:
        with pytest.raises(InvalidRequest, match=r"^nothing: takes no payload"):
            app["nothing"](VIEW, payload)


@pytest.mark.parametrize("value", [object(), {1: object()}, lambda: 1, {"k": {object()}}])
def test_a_reply_that_cannot_be_written_is_the_applications_fault(value: object) -> None:
    app = App()
    app.handler(name="odd")(lambda view: value)
    with pytest.raises(RequestFailed, match=r"^odd: it returned a value of type .*, which cannot be written as JSON"):
        app["odd"](VIEW, b"")


async def _async(view: View) -> None: ...


def _generator(view: View) -> Iterator[None]:
    yield


def _three(view: View, a: bytes, b: bytes) -> None: ...


def _none() -> None: ...


def _named(view: View, *, payload: bytes) -> None: ...


def _unreadable(view: View, payload: list[int] | list[str]) -> None: ...


def _unknown(view: View, payload: Nothing) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("function", [_async, _generator, _three, _none, _named, _unreadable, _unknown, 7, "text"])
def test_what_is_no_handler_is_refused_when_it_is_given(function: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^handler x: "):
        App().handler(name="x")(function)


@pytest.mark.parametrize("name", ["", "two words", "line\n", "x" * 201])
def test_a_name_is_a_word(name: str) -> None:
    with pytest.raises(InvalidRequest, match="a name is a word"):
        App().handler(name=name)(lambda view: None) if name else App()._add("", lambda view: None)


def test_two_of_one_name() -> None:
    app = App()
    app.handler(name="x")(lambda view: None)
    with pytest.raises(InvalidRequest, match="there are two of this name"):
        app.handler(name="x")(lambda view: None)


# -- refusals


@pytest.mark.parametrize("data", [None, 5, "five", [1, None], {"balance": 3, "name": "Zo\u00eb\n"}])
def test_a_refusal_comes_back_from_its_text(data: object) -> None:
    refused = Refused("NOT_ENOUGH", data)
    assert "\n" not in str(refused)
    for found in (from_code("REFUSED", str(refused)), Refused(str(refused)), pickle.loads(pickle.dumps(refused))):
        assert isinstance(found, Refused)
        assert (found.reason, found.data, str(found)) == ("NOT_ENOUGH", data, str(refused))


def test_what_a_refusal_cannot_say() -> None:
    with pytest.raises(InvalidRequest, match=r"Refused\('X'\): its data is none that JSON can say"):
        Refused("X", object())
    with pytest.raises(InvalidRequest, match="none that JSON can say"):
        Refused("X", float("nan"))
    with pytest.raises(TooLarge, match="a refusal of 5005 characters"):
        Refused("X", "y" * 5_001)
    for reason in ("X Y", "", " X", "X\n"):
        with pytest.raises(InvalidRequest, match="one word"):
            Refused(reason, {"a": 1})
    with pytest.raises(InvalidRequest, match="text"):
        Refused(cast(str, 5))
    assert Refused("X " + "y" * 5_001).data == "y" * 5_001, "what comes as a text raises nothing: it may have travelled"
    assert Refused("X " + "[" * 5_000).data == "[" * 5_000
    assert Refused("X " + "1" * 5_000).data == "1" * 5_000
    cut = Refused('X {"balance": ')
    assert (cut.reason, cut.data) == ("X", '{"balance": ')


@given(st.sampled_from(sorted(BY_CODE)), st.text() | st.builds(lambda word, rest: f"{word} {rest}", st.text(), st.text('[{1"}]')))
def test_every_error_can_be_made_of_any_text_that_has_travelled(code: str, text: str) -> None:
    """Where one cannot, whoever reads what was decided can go no further."""
    for whole in (text, text * 500):
        found = from_code(code, whole)
        assert type(found) is BY_CODE[code]
        assert str(found) == whole


def test_what_new_errors_say() -> None:
    assert BY_CODE["UUIDEXPIRED"] is UuidExpired
    assert (UuidExpired.fault, UuidExpired.retry, UuidExpired.outcome_known) == (Fault.CALLER, False, False)
    assert (Refused.fault, Refused.retry, Refused.outcome_known) == (Fault.CALLER, False, True)
    assert asyncio.iscoroutinefunction(_async)
