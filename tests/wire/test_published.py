"""Frames of published messages."""

from __future__ import annotations

import msgspec
import pytest

from paxosstore.core.batch.published import Published
from paxosstore.core.interface.message import HandedBack
from paxosstore.errors import WireError
from paxosstore.wire import published
from paxosstore.wire.codec import decode_messages, encode_messages
from paxosstore.wire.published import decode_published, encode_published

MESSAGES = [Published(b"", b""), Published(b"c", b"x" * 1000, 255), Published(b"\xff", b"\0", 1)]


def test_what_is_encoded_is_decoded() -> None:
    (payload,) = encode_published(MESSAGES)
    assert decode_published(payload) == MESSAGES
    assert encode_published([]) == []


def test_it_is_told_from_messages_of_the_protocol_by_its_first_byte() -> None:
    assert encode_published(MESSAGES)[0][0] != encode_messages([])[0]


def test_much_is_split_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "SOFT_BYTES", 1_100)
    payloads = encode_published(MESSAGES * 3)
    assert len(payloads) > 3
    assert [message for payload in payloads for message in decode_published(payload)] == MESSAGES * 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        msgspec.msgpack.encode([(b"c", b"p", 256)]),
        msgspec.msgpack.encode([(b"c", b"p", -1)]),
        msgspec.msgpack.encode([(b"c", "text", 1)]),
        msgspec.msgpack.encode([(b"c",)]),
        msgspec.msgpack.encode({}),
    ],
)
def test_what_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        decode_published(b"M" + body)


def test_what_a_handed_over_request_has_published_comes_back_with_its_outcome() -> None:
    back = HandedBack(1, bytes(16), "", b"reply", b"", tuple(MESSAGES))
    assert decode_messages(encode_messages([back])) == [back]
    with pytest.raises(WireError, match="kind"):
        decode_messages(encode_messages([back._replace(published=(Published(b"c", b"p", 256),))]))
