"""HyperLogLogs: the steps on many registers at once against steps on one, and what a count does to a key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paxosstore.services.redis.commands.handler import encode, handle
from paxosstore.services.redis.layout.keys import get_value
from paxosstore.services.redis.types.hyperloglog.registers import DENSE_BYTES, HEADER_BYTES, REGISTERS, Sketch, highest

from .support import DictView


def run(view: DictView, line: str) -> bytes:
    return handle(view, encode(2, line.encode().split()))


GOLDEN = "48594c4c01000000000000000000008060f38050b1844bfb80425a"
"""What redis-server 7.0.15 has behind PFADD p a b c."""
SOME = st.dictionaries(st.integers(0, REGISTERS - 1), st.integers(1, 63), max_size=50)


def array(some: dict[int, int]) -> bytes:
    registers = bytearray(REGISTERS)
    for index, count in some.items():
        registers[index] = count
    return bytes(registers)


@given(SOME, SOME)
def test_the_higher_register_of_each_pair(one: dict[int, int], other: dict[int, int]) -> None:
    joined = {index: max(one.get(index, 0), other.get(index, 0)) for index in {*one, *other}}
    assert highest(array(one), array(other)) == array(joined)


@given(SOME)
def test_dense_registers_lie_in_six_bits_each(some: dict[int, int]) -> None:
    sketch = Sketch()
    sketch.make_dense()
    for index, count in some.items():
        sketch.set(index, count)
    assert len(sketch.value) == DENSE_BYTES
    number = int.from_bytes(sketch.value[HEADER_BYTES:], "little")
    assert number == sum([count << 6 * index for index, count in some.items()])
    assert Sketch(sketch.value).registers() == array(some)


@given(SOME)
def test_sparse_registers_are_those_that_were_set(some: dict[int, int]) -> None:
    sketch = Sketch()
    for index, count in some.items():
        assert sketch.set(index, count)
        assert not sketch.set(index, count)
    assert Sketch(sketch.value).registers() == array(some)


def test_the_bytes_are_those_of_redis() -> None:
    view = DictView()
    run(view, "PFADD p a b c")
    assert get_value(view, b"p") == bytes.fromhex(GOLDEN)


def test_what_is_counted_is_kept_until_something_changes() -> None:
    view = DictView()
    run(view, "PFADD p a b c")
    assert run(view, "PFCOUNT p") == b":3\r\n"
    view.read_only = True
    assert run(view, "PFCOUNT p") == b":3\r\n"
    view.read_only = False
    run(view, "PFADD p a")
    view.read_only = True
    assert run(view, "PFCOUNT p") == b":3\r\n"
