"""The handlers that an import goes by."""

from __future__ import annotations

import pytest

from paxosstore.errors import InvalidRequest
from paxosstore.services.importing import encode, encode_of_a_run, handle, of_a_run
from paxosstore.services.redis.commands import handler as commands
from paxosstore.services.redis.layout.keys import Key, number_of_keys
from paxosstore.services.redis.portable.importing import import_payload

from .redis.support import DictView


def test_rows_are_written_as_they_are() -> None:
    view = DictView()
    view.put(b"kept", b"1")
    assert handle(view, encode([(b"a", b"b"), (b"\xff", b"")])) == b"2"
    assert list(view.scan()) == [(b"a", b"b"), (b"kept", b"1"), (b"\xff", b"")]
    with pytest.raises(InvalidRequest):
        handle(view, b"\xc1")


def test_a_request_of_a_run_replies_with_it() -> None:
    view, run = DictView(), b"0123456789abcdef"
    of_run = of_a_run({"import": handle, "redis": commands.handle})
    assert of_run(view, encode_of_a_run(run, "import", encode([(b"a", b"b")]))) == run + b"1"
    assert of_run(view, encode_of_a_run(run, "redis", import_payload([(b"k", b"v", 0)]))) == run + b"+OK\r\n"
    assert view.get(b"a") == b"b"
    assert Key(view, b"k").value == b"v"
    for wrong in (b"\xc1", encode_of_a_run(run, "card", b""), encode_of_a_run(b"short", "import", encode([]))):
        with pytest.raises(InvalidRequest):
            of_run(view, wrong)


def test_redis_keys_are_set_like_any_other() -> None:
    """Over what is there, so that the count and the index of what expires stay right; of what has expired nothing is left."""
    view = DictView()
    Key(view, b"a").set(b"old", view.now_ms + 5)
    Key(view, b"late").set(b"old", 0)
    keys = [(b"a", b"new", 0), (b"b", b"x", view.now_ms + 9), (b"late", b"x", view.now_ms - 1)]
    for _ in range(2):
        assert commands.handle(view, import_payload(keys)) == b"+OK\r\n"
    assert number_of_keys(view) == 2
    assert Key(view, b"a").value == b"new"
    assert Key(view, b"a").expires_ms == 0
    assert Key(view, b"b").expires_ms == view.now_ms + 9
    assert not Key(view, b"late").exists
