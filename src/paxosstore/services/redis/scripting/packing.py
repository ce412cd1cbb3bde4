"""The library `struct`, and numbers as cmsgpack writes them. Never raises: an error is (None, its text)."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

Word = bytes | float
Failed = tuple[None, bytes]

MAX_FORMAT_BYTES = 8_000
MAX_RESULTS = 200
_MAX_INTEGER_BYTES = 32
_SIZES = {"B": 1, "b": 1, "H": 2, "h": 2, "L": 8, "l": 8, "T": 8, "f": 4, "d": 8, "x": 1}
_INTEGERS = frozenset("bBhHlLTiI")


class _Bad(Exception):
    """What is wrong with the arguments."""


class _Option:
    __slots__ = ("big", "letter", "padding", "size")

    def __init__(self, letter: str, size: int, padding: int, big: bool) -> None:
        self.letter, self.size, self.padding, self.big = letter, size, padding, big


class _Format:
    """The options of a format, one after the other; tell it how much each took."""

    def __init__(self, text: bytes, function: str) -> None:
        if len(text) > MAX_FORMAT_BYTES:
            raise _Bad(f"a format of more than {MAX_FORMAT_BYTES} bytes")
        self._text = text.split(b"\0", 1)[0].decode("latin-1")
        self._function = function
        self._at = 0
        self.done = 0
        """Bytes so far."""

    def _number(self, default: int) -> int:
        start = self._at
        while self._at < len(self._text) and self._text[self._at] in "0123456789":
            self._at += 1
        if self._at == start:
            return default
        number = int(self._text[start : self._at][:12])
        if number > 2**31 - 1:
            raise _Bad("integral size overflow")
        return number

    def _size(self, letter: str) -> int:
        if letter == "c":
            return self._number(1)
        if letter in "iI":
            size = self._number(4)
            if size > _MAX_INTEGER_BYTES:
                raise _Bad(f"integral size {size} is larger than limit of {_MAX_INTEGER_BYTES}")
            return size
        return _SIZES.get(letter, 0)

    def __iter__(self) -> Iterator[_Option]:
        big, align = False, 1
        while self._at < len(self._text):
            letter = self._text[self._at]
            self._at += 1
            size = self._size(letter)
            padding = 0
            if size and letter != "c":
                step = min(size, align)
                padding = (step - (self.done & (step - 1))) & (step - 1)
            if letter in _SIZES or letter in "iIcs":
                self.done += padding
                yield _Option(letter, size, padding, big)
            elif letter in "<>":
                big = letter == ">"
            elif letter == "!":
                align = self._number(8)
                if align <= 0 or align & (align - 1):
                    raise _Bad(f"alignment {align} is not a power of 2")
            elif letter != " ":
                raise _Bad(f"bad argument #1 to '{self._function}' (invalid format option '{letter}')")


def _bad_type(at: int, wanted: str, given: str) -> _Bad:
    return _Bad(f"bad argument #{at} to 'pack' ({wanted} expected, got {given})")


def _number(words: tuple[Word, ...], at: int) -> float:
    if at > len(words) + 1:
        raise _bad_type(at, "number", "no value")
    word = words[at - 2]
    if not isinstance(word, bytes):
        return word
    try:
        return float(word)
    except ValueError:
        raise _bad_type(at, "number", "string") from None


def _string(words: tuple[Word, ...], at: int) -> bytes:
    if at > len(words) + 1:
        raise _bad_type(at, "string", "no value")
    word = words[at - 2]
    return word if isinstance(word, bytes) else b"%.14g" % word


def _integer_bytes(number: float, size: int, big: bool) -> bytes:
    whole = int(number) & (2**64 - 1) if math.isfinite(number) else 1 << 63
    data = whole.to_bytes(8, "little")[:size].ljust(size, b"\0")
    return data[::-1] if big else data


def _pack(text: bytes, words: tuple[Word, ...]) -> bytes:
    out = bytearray()
    options, at = _Format(text, "pack"), 2
    for option in options:
        out += bytes(option.padding)
        letter = option.letter
        if letter in _INTEGERS:
            out += _integer_bytes(_number(words, at), option.size, option.big)
        elif letter == "x":
            out.append(0)
        elif letter in "fd":
            out += _float_bytes(_number(words, at), letter, option.big)
        else:
            value = _string(words, at)
            size = option.size or len(value)
            if len(value) < size:
                raise _Bad(f"bad argument #{at + 1} to 'pack' (string too short)")
            out += value[:size] + (b"\0" if letter == "s" else b"")
        at += letter != "x"
        options.done = len(out)
    return bytes(out)


def _float_bytes(number: float, letter: str, big: bool) -> bytes:
    try:
        return struct.pack((">" if big else "<") + letter, number)
    except OverflowError:
        return struct.pack((">" if big else "<") + letter, math.copysign(math.inf, number))


def _unpack(text: bytes, data: bytes, start: int) -> list[Word]:
    if start <= 0:
        raise _Bad("bad argument #3 to 'unpack' (offset must be 1 or greater)")
    results: list[Word] = []
    options = _Format(text, "unpack")
    options.done = start - 1
    for option in options:
        letter, size, at = option.letter, option.size, options.done
        if letter == "c" and not size:
            if not results or isinstance(results[-1], bytes):
                raise _Bad("format 'c0' needs a previous size")
            size = int(results.pop())
        if size < 0 or at > len(data) - size:
            raise _Bad("bad argument #2 to 'unpack' (data string too short)")
        piece = data[at : at + size]
        if letter in _INTEGERS:
            results.append(_integer(piece, option.big, letter.islower()))
        elif letter in "fd":
            results.append(struct.unpack((">" if option.big else "<") + letter, piece)[0])
        elif letter == "c":
            results.append(piece)
        elif letter == "s":
            end = data.find(b"\0", at)
            if end < 0:
                raise _Bad("unfinished string in data")
            results.append(data[at:end])
            size = end - at + 1
        options.done += size
        if len(results) > MAX_RESULTS:
            raise _Bad("too many results")
    results.append(options.done + 1)
    return results


def _integer(piece: bytes, big: bool, signed: bool) -> float:
    number = int.from_bytes(piece, "big" if big else "little") & (2**64 - 1)
    if signed and len(piece) < 8 and piece and number >> (8 * len(piece) - 1):
        number -= 1 << (8 * len(piece))
    elif signed and len(piece) >= 8 and number >> 63:
        number -= 1 << 64
    return float(number)


def pack(text: bytes, *words: Word) -> bytes | Failed:
    """Values as bytes, by a format."""
    try:
        return _pack(text, words)
    except _Bad as error:
        return None, str(error).encode()


def unpack(text: bytes, data: bytes, start: float = 1) -> tuple[Word | None, ...]:
    """True, the values and where to go on."""
    try:
        return (True, *_unpack(text, data, int(start)))
    except _Bad as error:
        return None, str(error).encode()


def size(text: bytes) -> int | Failed:
    """How many bytes a format stands for."""
    try:
        options = _Format(text, "size")
        for option in options:
            if option.letter == "s" or (option.letter == "c" and not option.size):
                name = "s" if option.letter == "s" else "c0"
                raise _Bad(f"bad argument #1 to 'size' (option '{name}' has no fixed size)")
            options.done += option.size
        return options.done
    except _Bad as error:
        return None, str(error).encode()


def double(number: float) -> bytes:
    """A number of MessagePack: 4 bytes where that is exact, else 8, behind its mark."""
    short = _float_bytes(number, "f", True)
    if struct.unpack(">f", short)[0] == number:
        return b"\xca" + short
    return b"\xcb" + struct.pack(">d", number)


def undouble(data: bytes) -> float:
    """The number that 4 or 8 bytes stand for."""
    value: float = struct.unpack(">f" if len(data) == 4 else ">d", data)[0]
    return value
