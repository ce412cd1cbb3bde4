"""Commands on the bits of a string. Bit 0 is the highest one of the first byte."""

from __future__ import annotations

from dataclasses import dataclass

from ....core.batch.overlay import View
from ..layout.keys import Key, get_value
from ..meter import charge
from ..reply import NOT_AN_INTEGER, SYNTAX_ERROR, ZERO, ReplyError, array, error, integer_reply, nil
from ..resp import integer
from .strings import MAX_REDIS_BYTES, check_length

_PIECE = 65_536
"""Numbers of so many bytes stay in the cache."""
_BYTES_SHIFT = 13
"""8 KiB are as much work as a row."""
_INVERTED = bytes(range(255, -1, -1))
_BAD_OFFSET = error("bit offset is not an integer or out of range")
_BAD_BIT = error("bit is not an integer or out of range")
_BAD_TYPE = error("Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.")
_BAD_OVERFLOW = error("Invalid OVERFLOW type specified")
_READ_ONLY = error("BITFIELD_RO only supports the GET subcommand")
_ZERO_OR_ONE = error("The bit argument must be 1 or 0.")
_ONE_SOURCE = error("BITOP NOT must be called with a single source key.")


def _offset(word: bytes, bits: int = 0) -> int:
    """A place in bits; with `bits`, #n is the n-th field of so many. Raises ReplyError."""
    scale = 1
    if bits and word.startswith(b"#"):
        word, scale = word[1:], bits
    number = integer(word)
    if number is None or number < 0 or number * scale >= MAX_REDIS_BYTES * 8:
        raise ReplyError(_BAD_OFFSET)
    return number * scale


def _need(word: bytes) -> int:
    number = integer(word)
    if number is None:
        raise ReplyError(NOT_AN_INTEGER)
    return number


def setbit(view: View, args: list[bytes], proto: int) -> bytes:
    offset = _offset(args[2])
    if args[3] not in (b"0", b"1"):
        return _BAD_BIT
    key = Key(view, args[1])
    bits = _Bits(key.value or b"")
    bits.reach(offset + 1)
    old = bits.get(offset, 1)
    bits.set(offset, 1, int(args[3]))
    _keep(key, bits)
    return integer_reply(old)


def _keep(key: Key, bits: _Bits) -> None:
    """Nothing is written where nothing has changed, as in Redis."""
    if not key.exists or key.body != bits.value:
        key.set(bits.value, key.expires_ms)


def getbit(view: View, args: list[bytes], proto: int) -> bytes:
    offset = _offset(args[2])
    return integer_reply(_Bits(get_value(view, args[1]) or b"").get(offset, 1))


def bitop(view: View, args: list[bytes], proto: int) -> bytes:
    name = args[1].upper()
    if name not in (b"AND", b"OR", b"XOR", b"NOT"):
        return SYNTAX_ERROR
    if name == b"NOT" and len(args) != 4:
        return _ONE_SOURCE
    values = [get_value(view, source) or b"" for source in args[3:]]
    length = max(map(len, values))
    target = Key(view, args[2])
    if not length:
        target.delete()
        return ZERO
    if name == b"NOT":
        target.set(values[0].translate(_INVERTED))
        return integer_reply(length)
    pieces = [
        _combine(name, [value[at : at + _PIECE] for value in values], min(_PIECE, length - at)) for at in range(0, length, _PIECE)
    ]
    target.set(b"".join(pieces))
    return integer_reply(length)


def _combine(name: bytes, values: list[bytes], length: int) -> bytes:
    """Missing bytes are zeros."""
    result, *others = [int.from_bytes(value.ljust(length, b"\0"), "little") for value in values]
    for other in others:
        if name == b"AND":
            result &= other
        elif name == b"OR":
            result |= other
        else:
            result ^= other
    return result.to_bytes(length, "little")


# -- counting and finding


@dataclass(frozen=True, slots=True)
class _Range:
    """What is looked at: bits first <= bit < end. Empty if first >= end."""

    first: int
    end: int


def _range(start: int, end: int, length: int, in_bits: bool) -> _Range:
    """From Redis's two ends, both included, negative ones counted from the last; `length` is in bytes."""
    unit = 1 if in_bits else 8
    total = length * 8 // unit
    first = max(start + total if start < 0 else start, 0)
    last = min(max(end + total if end < 0 else end, 0), total - 1)
    return _Range(first * unit, (last + 1) * unit)


def _unit(word: bytes) -> bool:
    """Whether a range is in bits. Raises ReplyError."""
    if word.upper() not in (b"BIT", b"BYTE"):
        raise ReplyError(SYNTAX_ERROR)
    return word.upper() == b"BIT"


def bitcount(view: View, args: list[bytes], proto: int) -> bytes:
    value = get_value(view, args[1])
    if value is None:
        return ZERO
    charge(view, len(value) >> _BYTES_SHIFT)
    if len(args) == 2:
        return integer_reply(_Bits(value).count(_Range(0, len(value) * 8)) if value else 0)
    if len(args) not in (4, 5):
        return SYNTAX_ERROR
    start, end = _need(args[2]), _need(args[3])
    if 0 > start > end:
        return ZERO
    asked = _range(start, end, len(value), len(args) == 5 and _unit(args[4]))
    if asked.first >= asked.end:
        return ZERO
    return integer_reply(_Bits(value).count(asked))


def bitpos(view: View, args: list[bytes], proto: int) -> bytes:
    bit = _need(args[2])
    if bit not in (0, 1):
        return _ZERO_OR_ONE
    value = get_value(view, args[1])
    if value is None:
        return integer_reply(-1 if bit else 0)
    charge(view, len(value) >> _BYTES_SHIFT)
    if len(args) > 6:
        return SYNTAX_ERROR
    start = _need(args[3]) if len(args) > 3 else 0
    in_bits = len(args) == 6 and _unit(args[5])
    end = _need(args[4]) if len(args) > 4 else -1
    asked = _range(start, end, len(value), in_bits)
    if asked.first >= asked.end:
        return integer_reply(-1)
    found = _Bits(value).find(bit, asked)
    if found is not None:
        return integer_reply(found)
    # behind the end of the string all bits are clear, unless an end was named
    return integer_reply(-1 if bit or len(args) > 4 else asked.end)


# -- fields


class _Bits:
    """A string whose bits are read, and written once `reach` has made them."""

    def __init__(self, value: bytes) -> None:
        self._bytes: bytes | bytearray = value

    @property
    def value(self) -> bytes:
        return bytes(self._bytes)

    def reach(self, bits: int) -> None:
        """Make room for so many, all clear. Raises TooLarge."""
        length = (bits + 7) // 8
        check_length(length)
        self._bytes = bytearray(self._bytes)
        self._bytes.extend(bytes(max(0, length - len(self._bytes))))

    def count(self, asked: _Range) -> int:
        """How many bits are set. The range is not empty."""
        first, end = asked.first // 8, (asked.end + 7) // 8
        pieces = [self._bytes[at : min(at + _PIECE, end)] for at in range(first, end, _PIECE)]
        before = self._bytes[first] >> 8 - asked.first % 8
        behind = self._bytes[end - 1] & (1 << -asked.end % 8) - 1
        return sum([int.from_bytes(piece, "big").bit_count() for piece in pieces]) - before.bit_count() - behind.bit_count()

    def find(self, bit: int, asked: _Range) -> int | None:
        """The first bit that is so. The range is not empty."""
        first, end = asked.first // 8, (asked.end + 7) // 8
        piece = bytearray(self._bytes[first:end])
        before, behind = 0xFF00 >> asked.first % 8 & 0xFF, (1 << -asked.end % 8) - 1  # outside nothing is found
        piece[0] = piece[0] & ~before if bit else piece[0] | before
        piece[-1] = piece[-1] & ~behind if bit else piece[-1] | behind
        rest = piece.lstrip(b"\0" if bit else b"\xff")
        if not rest:
            return None
        byte = rest[0] if bit else rest[0] ^ 0xFF
        return (end - len(rest)) * 8 + 8 - byte.bit_length()

    def get(self, offset: int, bits: int) -> int:
        """Up to 64 bits; those behind the end are clear."""
        first = offset // 8
        window = int.from_bytes(self._bytes[first : first + 9].ljust(9, b"\0"), "big")
        return window >> (72 - offset % 8 - bits) & (1 << bits) - 1

    def set(self, offset: int, bits: int, number: int) -> None:
        assert isinstance(self._bytes, bytearray), "reach comes before"
        first, last = offset // 8, (offset + bits - 1) // 8 + 1
        shift = last * 8 - offset - bits
        window = int.from_bytes(self._bytes[first:last], "big") & ~((1 << bits) - 1 << shift)
        self._bytes[first:last] = (window | number << shift).to_bytes(last - first, "big")


@dataclass(frozen=True, slots=True)
class _Operation:
    name: bytes
    signed: bool
    bits: int
    offset: int
    number: int
    overflow: bytes

    def run(self, field: _Bits) -> int | None:
        """What it replies; None: it would overflow, and must not."""
        raw = field.get(self.offset, self.bits)
        old = raw - (1 << self.bits) if self.signed and raw >> self.bits - 1 else raw
        if self.name == b"GET":
            return old
        if self.name == b"SET":
            new = self.number if self.signed else self.number & 2**64 - 1
        else:
            new = old + self.number
        fitting = self._fit(new)
        if fitting is None:
            return None
        field.set(self.offset, self.bits, fitting & (1 << self.bits) - 1)
        return old if self.name == b"SET" else fitting

    def _fit(self, number: int) -> int | None:
        most = (1 << self.bits - self.signed) - 1
        least = -most - 1 if self.signed else 0
        if least <= number <= most:
            return number
        if self.overflow == b"FAIL":
            return None
        if self.overflow == b"SAT":
            return most if number > most else least
        number &= (1 << self.bits) - 1
        return number - (1 << self.bits) if number > most else number


def _operations(words: list[bytes]) -> list[_Operation]:
    """Raises ReplyError."""
    operations = []
    overflow = b"WRAP"
    at = 0
    while at < len(words):
        name, left = words[at].upper(), len(words) - at - 1
        if name == b"OVERFLOW" and left >= 1:
            overflow = words[at + 1].upper()
            if overflow not in (b"WRAP", b"SAT", b"FAIL"):
                raise ReplyError(_BAD_OVERFLOW)
            at += 2
            continue
        if not ((name == b"GET" and left >= 2) or (name in (b"SET", b"INCRBY") and left >= 3)):
            raise ReplyError(SYNTAX_ERROR)
        signed, bits = _field_type(words[at + 1])
        offset = _offset(words[at + 2], bits)
        number = 0 if name == b"GET" else _need(words[at + 3])
        operations.append(_Operation(name, signed, bits, offset, number, overflow))
        at += 3 if name == b"GET" else 4
    return operations


def _field_type(word: bytes) -> tuple[bool, int]:
    """Whether it has a sign, and its width. Raises ReplyError."""
    signed, bits = word[:1] == b"i", integer(word[1:])
    if word[:1] not in (b"i", b"u") or bits is None or not 1 <= bits <= 63 + signed:
        raise ReplyError(_BAD_TYPE)
    return signed, bits


def bitfield(view: View, args: list[bytes], proto: int) -> bytes:
    operations = _operations(args[2:])
    writes = [operation for operation in operations if operation.name != b"GET"]
    if not writes:
        return _reply(operations, _Bits(get_value(view, args[1]) or b""), proto)
    key = Key(view, args[1])
    field = _Bits(key.value or b"")
    field.reach(max([operation.offset + operation.bits for operation in writes]))
    reply = _reply(operations, field, proto)
    _keep(key, field)
    return reply


def bitfield_ro(view: View, args: list[bytes], proto: int) -> bytes:
    operations = _operations(args[2:])
    if any(operation.name != b"GET" for operation in operations):
        return _READ_ONLY
    return _reply(operations, _Bits(get_value(view, args[1]) or b""), proto)


def _reply(operations: list[_Operation], field: _Bits, proto: int) -> bytes:
    numbers = [operation.run(field) for operation in operations]
    return array([nil(proto) if number is None else integer_reply(number) for number in numbers])
