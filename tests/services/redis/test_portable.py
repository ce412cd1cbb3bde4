"""Keys of every kind go out in pieces, and come in again as they were."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

import pytest

from paxosstore.core.batch.overlay import DATA
from paxosstore.errors import InvalidRequest
from paxosstore.services.redis.commands import handler
from paxosstore.services.redis.layout.keys import Found, Key, key_in, number_of_keys
from paxosstore.services.redis.portable.commands import commands_of
from paxosstore.services.redis.portable.frozen import FrozenView
from paxosstore.services.redis.portable.importing import import_payload
from paxosstore.services.redis.portable.pieces import PIECE_MEMBERS, Piece, pieces

from .support import NOW_MS, DictView

MANY = 1_000
IMPORTED = b"+OK\r\n"


class SortedView(DictView):
    """One that scans quickly."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[bytes] = []

    def put(self, key: bytes, value: bytes) -> None:
        if key not in self.rows:
            insort(self.keys, key)
        super().put(key, value)

    def delete(self, key: bytes) -> None:
        if key in self.rows:
            del self.keys[bisect_left(self.keys, key)]
        super().delete(key)

    def scan(self, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        keys = self.keys[bisect_left(self.keys, start) : None if end is None else bisect_left(self.keys, end)]
        for key in reversed(keys) if reverse else keys:
            yield key, self.rows[key]


def run(view: DictView, *words: bytes | str | int | float) -> bytes:
    args = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    view.entry += 1
    return handler.handle(view, handler.encode(2, args))


def fill(view: DictView) -> None:
    run(view, "SET", "string", b"\xff\x00", "PX", 50_000)
    run(view, "HSET", "hash", "z", "1", "a", b"\xff", "", "")
    run(view, "HSET", "long", *[word for number in range(MANY) for word in (f"f{number}", number)])
    run(view, "PEXPIREAT", "long", NOW_MS + 9_000)
    run(view, "HSET", "shrunk", "field", "v" * 100)
    run(view, "HSET", "shrunk", "field", "v")
    for number in range(MANY):
        run(view, "RPUSH" if number % 3 else "LPUSH", "list", number)
    run(view, "SADD", "numbers", 3, -1, 2)
    run(view, "SADD", "names", *[f"m{number}" for number in range(MANY)])
    run(view, "ZADD", "scores", "inf", "a", "-inf", "b", 0.1, "c", 1e300, b"\xfe")
    run(view, "ZADD", "large", *[word for number in range(MANY) for word in (number - 500, f"{number:04}")])
    run(view, "ZADD", "large", "-0.0", "minus")
    run(view, "PFADD", "counted", "a", "b")
    for number in range(1, MANY):
        run(view, "XADD", "stream", f"{number}-1", "f", number, b"\xff", "")
    run(view, "XGROUP", "CREATE", "stream", "group", 0)
    run(view, "XGROUP", "CREATE", "stream", b"\xff", "500-1")
    run(view, "XGROUP", "CREATECONSUMER", "stream", "group", "idle")
    run(view, "XREADGROUP", "GROUP", "group", "Ada", "COUNT", MANY // 2, "STREAMS", "stream", ">")
    run(view, "XCLAIM", "stream", "group", "Bob", 0, "3-1", "7-1", "TIME", NOW_MS - 77, "RETRYCOUNT", 9)
    run(view, "XDEL", "stream", "7-1", "900-1")
    run(view, "XTRIM", "stream", "MAXLEN", MANY - 10)
    run(view, "XGROUP", "CREATE", "empty", "group", "$", "MKSTREAM")


def found_in(view: DictView) -> list[Found]:
    return [found for where, row in view.scan() if (found := key_in(where, row)) is not None]


def frozen(view: DictView) -> FrozenView:
    def scan(entity: int, start: bytes, end: bytes, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
        assert start[:1] == DATA
        for key, value in view.scan(start[1:], end[1:] if end[:1] == DATA else None, reverse=reverse):
            yield DATA + key, value

    return FrozenView(view.entity, lambda entity, key: view.rows.get(key[1:]), scan)


def exported(view: DictView) -> list[tuple[bytes, bytes, int] | Piece]:
    keys: list[tuple[bytes, bytes, int] | Piece] = []
    for found in found_in(view):
        if found.kind == 2:
            keys.append((found.name, found.body, found.expires_ms))
        else:
            keys.extend(pieces(frozen(view), found))
    return keys


def test_every_kind_of_key_comes_back_as_it_was() -> None:
    view, copy = SortedView(), SortedView()
    fill(view)
    keys = exported(view)
    run(copy, "LPUSH", "hash", "another kind")
    run(copy, "XADD", "stream", "5000-1", "gone", "")
    for _ in range(2):
        for key in keys:
            assert handler.handle(copy, import_payload([key])) == IMPORTED
        assert sorted(map(repr, exported(copy))) == sorted(map(repr, keys))
        assert number_of_keys(copy) == len(found_in(view))
    for words in (
        ["HGETALL", "hash"],
        ["LRANGE", "list", 0, -1],
        ["SMEMBERS", "numbers"],
        ["ZRANGE", "large", 0, -1, "WITHSCORES"],
        ["ZRANK", "large", "0777"],
        ["OBJECT", "ENCODING", "shrunk"],
        ["PFCOUNT", "counted"],
        ["XRANGE", "stream", "-", "+"],
        ["XINFO", "STREAM", "stream", "FULL", "COUNT", 0],
        ["XINFO", "STREAM", "empty", "FULL"],
        ["XPENDING", "stream", "group"],
        ["XPENDING", "stream", "group", "-", "+", MANY],
        ["PEXPIRETIME", "long"],
    ):
        reply = run(view, *words)
        assert run(copy, *words) == reply, words
        assert reply[:1] != b"-"


def test_pieces_are_small() -> None:
    view = SortedView()
    fill(view)
    run(view, "RPUSH", "heavy", *["x" * 30_000] * 20)
    parts = [key for key in exported(view) if isinstance(key, Piece)]
    assert max(len(part.members) for part in parts) == PIECE_MEMBERS
    assert len([part for part in parts if part.name == b"heavy"]) == 10
    run(view, "RPUSH", "one", "x" * 60_000, "y" * 1_000_000, "z")  # what is as large as a request may be goes alone
    parts = [key for key in exported(view) if isinstance(key, Piece) and key.name == b"one"]
    assert [[len(value) for (value,) in part.members] for part in parts] == [[60_000], [1_000_000], [1]]


def test_commands_make_the_same_keys() -> None:
    view, copy = SortedView(), SortedView()
    fill(view)
    run(view, "XACK", "stream", "group", "7-1", *[f"{number}-1" for number in range(1, 20)])  # what is pending and gone
    run(view, "ZREM", "large", "minus")
    count = 0
    for found in found_in(view):
        for words in commands_of(frozen(view), found):
            assert run(copy, *words)[:1] != b"-", words
            count += 1
    assert count > len(found_in(view))

    def comparable(one: DictView) -> list[str]:
        return sorted(
            repr(key._replace(is_large=False, members=[words for words in key.members if words[0] != b"consumer"]))
            if isinstance(key, Piece)
            else repr(key)
            for key in exported(one)
            if not (isinstance(key, Piece) and key.kind == "set")
        )

    assert comparable(copy) == comparable(view)
    for name in ("numbers", "names"):
        assert run(copy, "SMEMBERS", name) == run(view, "SMEMBERS", name)
    assert b"idle" in run(copy, "XINFO", "CONSUMERS", "stream", "group")


def test_what_has_expired_is_left_out_even_between_two_pieces() -> None:
    view = DictView()
    first = Piece(b"set", "set", 0, False, NOW_MS + 5, [[b"a"]])
    assert handler.handle(view, import_payload([first])) == IMPORTED
    assert Key(view, b"set").expires_ms == NOW_MS + 5
    view.now_ms += 6
    assert handler.handle(view, import_payload([first._replace(part=1)])) == IMPORTED
    assert not Key(view, b"set").exists
    assert not number_of_keys(view)


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        ("hash", [[b"field"]]),
        ("list", [[]]),
        ("set", [[b"a", b"b"]]),
        ("zset", [[b"a", b"nan"]]),
        ("zset", [[b"a", b"high"]]),
        ("zset", [[b"a"]]),
        ("stream", [[]]),
        ("stream", [[b"entry", b"1-1"]]),
        ("stream", [[b"entry", b"0-0", b"a", b"b"]]),
        ("stream", [[b"entry", b"x", b"a", b"b"]]),
        ("stream", [[b"ids", b"1-1", b"0-0"]]),
        ("stream", [[b"ids", b"1-1", b"0-0", b"-1"]]),
        ("stream", [[b"group", b"g", b"0-0"]]),
        ("stream", [[b"consumer", b"g", b"Ada", b"1"]]),
        ("stream", [[b"group", b"g", b"0-0", b""], [b"pending", b"g", b"Ada", b"1-1", b"1", b"1"]]),
        ("stream", [[b"group", b"g", b"0-0", b""], [b"what", b"g", b"Ada"]]),
        ("string", [[b"a"]]),
        ("tree", [[b"a"]]),
    ],
)
def test_members_that_are_none_are_refused(kind: str, members: list[list[bytes]]) -> None:
    with pytest.raises(InvalidRequest, match="'key'"):
        handler.handle(DictView(), import_payload([Piece(b"key", kind, 0, False, 0, members)]))


def test_more_of_a_key_that_has_become_another_is_refused() -> None:
    view = DictView()
    run(view, "SET", "key", "x")
    with pytest.raises(InvalidRequest, match="WRONGTYPE"):
        handler.handle(view, import_payload([Piece(b"key", "hash", 1, False, 0, [[b"a", b"b"]])]))
