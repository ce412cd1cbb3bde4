"""What a SORT may cost, where no row limits it."""

from __future__ import annotations

import pytest

from paxosstore.errors import TooLarge
from paxosstore.services.redis.commands.handler import encode, handle
from paxosstore.services.redis.layout.keyspace import SLOT_BASE
from paxosstore.services.redis.types.sorting import MAX_VALUES

from .support import DictView


def run(view: DictView, *words: bytes) -> bytes:
    return handle(view, encode(2, list(words)))


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_an_element_is_not_repeated_without_end(size: int) -> None:
    view = DictView()
    run(view, b"RPUSH", b"l", b"1".ljust(size, b" "))
    patterns = [b"GET", b"#"] * (MAX_VALUES + 1 if size == 1 else 17)
    with pytest.raises(TooLarge):
        run(view, b"SORT", b"l", b"ALPHA", *patterns)
    assert run(view, b"SORT", b"l", b"ALPHA", *patterns[:4]).startswith(b"*2\r\n")


def test_in_a_keyspace_of_slots_no_other_keys_are_looked_up() -> None:
    view = DictView(SLOT_BASE + 3)
    run(view, b"RPUSH", b"l", b"2", b"1")
    assert run(view, b"SORT", b"l", b"BY", b"w_*") == b"-ERR BY option of SORT denied in cluster mode.\r\n"
    assert run(view, b"SORT", b"l", b"GET", b"w_*") == b"-ERR GET option of SORT denied in cluster mode.\r\n"
    assert run(view, b"SORT", b"l", b"BY", b"nosort") == b"*2\r\n$1\r\n2\r\n$1\r\n1\r\n"
