"""How commands ask a node: servers that are slow, silent or end, and what is said of it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import pytest

from paxosstore.cli import change, verify, watch
from paxosstore.cli.asking import Unanswered, ask, query_of
from paxosstore.cli.config import Address
from paxosstore.cli.main import main
from paxosstore.errors import InvalidRequest, NotServing

HOST = "127.0.0.1"
Serve = Callable[[socket.socket], None]


@contextmanager
def served_by(*serve: Serve) -> Iterator[Address]:
    """A server whose connections are served by these, one after the other; by the last one from then on."""
    with socket.create_server((HOST, 0)) as server:

        def run() -> None:
            left = list(serve)
            with suppress(OSError):
                while True:
                    connection = server.accept()[0]
                    with connection, suppress(OSError):
                        connection.recv(4_096)
                        (left.pop(0) if len(left) > 1 else left[0])(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield Address(HOST, server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def drip(content: bytes) -> Serve:
    def serve(connection: socket.socket) -> None:
        for at in range(len(content)):
            connection.sendall(content[at : at + 1])
            time.sleep(0.05)

    return serve


def says(content: Mapping[str, object]) -> Serve:
    body = json.dumps(content).encode()
    return lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def hangs(connection: socket.socket) -> None:
    connection.recv(1)


def ends(connection: socket.socket) -> None:
    """Without a word."""


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "content",
    [HEAD + b"X: " + b"x" * 200, HEAD + b"Content-Length: 200\r\n\r\n" + b"x" * 200, HEAD + b"\r\n" + b"x" * 200],
    ids=["head", "body", "body without an end"],
)
def test_who_answers_a_byte_now_and_then_is_not_waited_for(content: bytes) -> None:
    with served_by(drip(content)) as server:
        began_s = time.monotonic()
        with pytest.raises(Unanswered, match="no whole answer within 0 s"):
            ask(server, "/", silent_s=5.0, within_s=0.3)
        assert time.monotonic() - began_s < 3


def test_who_says_nothing_is_not_waited_for() -> None:
    with served_by(hangs) as server, pytest.raises(Unanswered, match="timed out"):
        ask(server, "/", silent_s=0.1, within_s=5.0)


def test_what_was_not_sent_is_told_from_what_was_not_answered() -> None:
    with served_by(ends) as server, pytest.raises(Unanswered, match="closed without an answer"):
        ask(server, "/", silent_s=5.0, within_s=5.0)
    with pytest.raises(ConnectionRefusedError):
        ask(server, "/", silent_s=5.0, within_s=5.0)
    with served_by(drip(b"+PONG\r\n")) as server, pytest.raises(http.client.HTTPException):
        ask(server, "/", silent_s=5.0, within_s=5.0)


def test_an_answer() -> None:
    with served_by(says({"a": 1})) as server:
        assert ask(server, "/", silent_s=5.0, within_s=5.0).body == b'{"a": 1}'
        assert watch.get(server, "/") == {"a": 1}


def test_a_setting_that_may_hold_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "TIMEOUT_S", 0.1)
    with served_by(hangs) as server:
        with pytest.raises(NotServing, match=rf"timed out; it may take effect yet: look with `paxosstore get --server {server}`"):
            change.change(str(server), "lease_ms", "5")
        with pytest.raises(NotServing, match=r"timed out$"):
            list(change.shown(str(server), None))
    with pytest.raises(NotServing, match=r"Connection refused$"):
        change.change(str(server), "lease_ms", "5")


def test_a_setting_without_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["set", "lease_ms", ""]) == 2
    assert "leave it out and use --reset" in capsys.readouterr().err


def test_what_is_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = os.fsdecode(b"\xff")
    with pytest.raises(InvalidRequest, match=r"^value: '\\udcff' is no text"):
        query_of({"name": "é", "value": wrong})
    assert main(["set", "lease_ms", wrong]) == 2
    assert main(["set", wrong, "5"]) == 2
    assert main(["get", "--server", wrong]) == 2
    assert capsys.readouterr().err.count("paxosstore: ") == 3


FOUND = {
    "done": True,
    "error": "",
    "seconds": 0,
    "entities": 0,
    "bytes": 0,
    "unknown": 0,
    "differing": 0,
    "partial": 0,
    "differing_entities": [],
    "partial_entities": [],
}


@pytest.mark.parametrize(
    ("found", "status", "said"),
    [
        ({}, {"not_ready_because": "this node is new"}, "nothing was compared: {}: this node is new"),
        ({}, {"peers": {"1": {"up": False}, "2": {"up": True}}}, "{} has none of these entities, and is not connected to 1\n"),
        ({}, {}, "{} has none of these entities: nothing was ever written to them"),
        ({"entities": 2, "unknown": 2}, {}, "no node has anything of 2 entities that were named"),
    ],
)
def test_where_nothing_was_compared_nothing_is_equal(
    found: dict[str, object], status: dict[str, object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with served_by(says({"job": 1}), says(FOUND | found), says({}), says(status)) as server:
        assert verify.verify([str(server)], "5,6") == 3
        assert said.format(server) in capsys.readouterr().out
    with served_by(says({"job": 1}), says(FOUND | {"entities": 2, "unknown": 1}), says({})) as server:
        assert verify.verify([str(server)], "5,6") == 0


def test_an_entity_is_compared_once() -> None:
    assert verify.wanted("5,6-7,5, 5,redis:0,redis:0", None, everything=False).count(",") == 2


def test_a_node_that_ends_before_it_repairs(capsys: pytest.CaptureFixture[str]) -> None:
    differing = {"entity": 5, "nodes": [0, 1, 2], "odd": [2], "described": "differs", "keys": [], "differing": 1}
    found = FOUND | {"entities": 1, "differing": 1, "differing_entities": [differing]}
    with served_by(says({"node": 2}), says({"job": 1}), says(found), says({}), ends) as server:
        assert main(["verify", "--repair", "2/5", "--server", str(server)]) == 4
    assert "it may copy the entity yet: look with `paxosstore verify`" in capsys.readouterr().err
