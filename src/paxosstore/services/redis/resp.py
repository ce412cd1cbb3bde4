"""Requests of the Redis protocol out of a stream of bytes: no I/O, and the same result however the stream is cut.

A request is an array of bulk strings, or a line of text ("inline"). Both ways to read one are here:

- `_split` cuts a whole piece at its line ends, in C, and believes a request only if every length in it is the canonical
  spelling of what stands there. It costs about as much per request as a parser in C that is checked to the same degree.
- `_one` reads anything, keeps its place across pieces, and knows what is wrong with the rest.

Texts of errors are Redis's own, so that clients and people recognise them. A request that is too large is refused when
its header says so: the rest of it is passed over and never kept, and the connection goes on.

A web page can make a browser send bytes to any port of its user's machine, and what it chooses stands behind lines of
HTTP. So the first such line ends the connection, as do bytes with which no request begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .reply import error
from .room import Room

Request = list[bytes]
"""A command's name and its arguments; never empty."""


class Refused:
    """Takes a request's place: it is answered with this, and was not kept."""

    __slots__ = ("reply",)

    def __init__(self, reply: bytes) -> None:
        self.reply = reply


MAX_LINE_BYTES: Final = 65_536
"""Longest inline request, and longest line that holds a count."""
MAX_ARGUMENTS: Final = 1_048_576

_SHORT_BYTES: Final = 2_048
_BULK_LINES: Final = [b"$%d" % length for length in range(_SHORT_BYTES)]
"""How the line before a short bulk string has to read, by its length."""
_MOST_SPLIT: Final = 63
_PARTS: Final = {b"*%d" % count: 2 * count + 1 for count in range(1, _MOST_SPLIT + 1)}
"""How many lines a request of so many arguments has, by its first line."""
_LARGEST_SPLIT: Final = _MOST_SPLIT * _SHORT_BYTES
"""No request that `_split` takes is larger, so it need not look."""
LARGE_BYTES: Final = 65_536
"""A request of this size is not begun while there is no room."""
ARGUMENT_BYTES: Final = 64
"""What an argument takes beside its bytes, roughly."""

_SPLITS_PER_PIECE: Final = 8
"""How often the fast way is tried again after the complete one: each try looks at the whole rest of the piece."""

_INLINE_STARTS: Final = frozenset((*b"\t\n\v\f\r", *range(0x20, 0x7F)))
_FOREIGN: Final = re.compile(rb" HTTP/[0-9.]+\s*\Z|\ASSH-")
"""A line that begins a request of HTTP, whatever its method, or a connection of SSH."""
FOREIGN_BYTES: Final = 16

_INTEGER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_AT_ARRAY: Final = -1


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may send."""

    max_bulk_bytes: int = 64 * 1024 * 1024
    """Of one argument."""
    max_request_bytes: int = 8 * 1024 * 1024
    """Of all arguments of one request."""
    max_keys: int = 8_000
    """Of one request: it has no more than two arguments for each of them, and a few."""

    @property
    def max_arguments(self) -> int:
        return 2 * self.max_keys + 8


class RequestError(Exception):
    """The stream cannot be understood any further: answer the text, then close the connection.

    `before` holds the requests of the same piece that came before the fault; they are as good as any. `foreign` is how
    another protocol begins, if it is one.
    """

    def __init__(self, text: str, before: list[Request | Refused], foreign: bytes = b"") -> None:
        super().__init__(f"Protocol error: {text}")
        self.before = before
        self.foreign = foreign


class _Fault(Exception):
    """What is wrong, on its way from where it was found to `feed`."""

    def __init__(self, text: str, foreign: bytes = b"") -> None:
        super().__init__(text)
        self.foreign = foreign


class RequestParser:
    """The requests of one connection."""

    __slots__ = (
        "_arguments",
        "_buffer",
        "_bulk_lines",
        "_bulk_size",
        "_fault",
        "_limits",
        "_missing",
        "_parts",
        "_refusal",
        "_room",
        "_size",
        "_skip",
        "held",
    )

    def __init__(self, limits: Limits | None = None, room: Room | None = None) -> None:
        self._room = room
        self.tune(limits or Limits())
        self._buffer = bytearray()
        """Bytes of the request under way, from the first that `_one` has not used."""
        self._arguments: Request = []
        self._missing = 0
        """Arguments of the array under way that are still to come; 0: none is under way."""
        self._bulk_size = _AT_ARRAY
        """Length of the bulk string under way; negative: its line is still to come."""
        self._size = 0
        """Announced length of all arguments so far."""
        self._refusal = b""
        """The answer to the request under way, if nothing more of it is kept."""
        self._skip = 0
        """Bytes to come that are passed over."""
        self._fault: _Fault | None = None
        self.held = 0
        """Bytes kept of a request that is not complete."""

    def tune(self, limits: Limits) -> None:
        """These hold from now on, for the request under way as well."""
        self._limits = limits
        self._bulk_lines = _BULK_LINES[: limits.max_bulk_bytes + 1]
        fits = limits.max_request_bytes >= _LARGEST_SPLIT and limits.max_arguments >= _MOST_SPLIT
        self._parts = _PARTS if fits else {}

    @property
    def wanted(self) -> int:
        """Bytes that are missing of the bulk string under way: a piece of up to so many costs no more than its copy."""
        return self._skip or max(0, self._bulk_size + 2 - len(self._buffer) if self._bulk_size > 0 else 0)

    def feed(self, data: bytes) -> list[Request | Refused]:
        """Take a piece of the stream; returns the requests that it completes, in order. Raises RequestError."""
        if self._fault is not None:
            raise RequestError(str(self._fault), [], self._fault.foreign)
        requests: list[Request | Refused] = []
        if self._skip:
            passed = min(self._skip, len(data))
            self._skip -= passed
            data = data[passed:]
            if self._skip:
                return requests
        if self._buffer or self._missing or self._refusal:
            self._buffer += data
        else:
            data = self._split(data, requests)
            if not data:
                return requests
            self._buffer += data
        try:
            tries = _SPLITS_PER_PIECE
            while self._one(requests):
                if tries:
                    tries -= 1
                    self._buffer[:] = self._split(bytes(self._buffer), requests)
        except _Fault as fault:
            self._fault = fault
            self._buffer.clear()
            self.held = 0
            raise RequestError(str(fault), requests, fault.foreign) from None
        self.held = len(self._buffer)
        if self._arguments:
            self.held += self._size - max(0, self._bulk_size) + ARGUMENT_BYTES * len(self._arguments)
        return requests

    def _split(self, data: bytes, requests: list[Request | Refused]) -> bytes:
        """Take the plain requests off the front of `data`, which begins at a request; returns what it leaves."""
        parts = data.split(b"\r\n")
        last = len(parts) - 1
        lines, longest, counts = self._bulk_lines, len(self._bulk_lines), self._parts
        at = 0
        while at < last:
            count = counts.get(parts[at])
            if count is None or (end := at + count) > last:
                break
            arguments: Request = []
            for line in range(at + 1, end, 2):
                argument = parts[line + 1]
                size = len(argument)
                if size >= longest or lines[size] != parts[line]:
                    return b"\r\n".join(parts[at:])
                arguments.append(argument)
            requests.append(arguments)
            at = end
        return parts[last] if at == last else b"\r\n".join(parts[at:])

    # -- the complete parser

    def _one(self, requests: list[Request | Refused]) -> bool:
        """Read on in the buffer until a request is complete; False: more bytes are needed first."""
        buffer = self._buffer
        if not self._missing and not self._refusal:
            if not buffer:
                return False
            if buffer[0] != 0x2A:
                return self._inline(requests)
            line = self._line("too big mbulk count string")
            if line is None:
                return False
            count = _integer(line[1:])
            if count is None or count > MAX_ARGUMENTS:
                raise _Fault("invalid multibulk length")
            if count <= 0:
                return True
            self._missing = count
            if count > self._limits.max_arguments:
                self._refuse(self._too_many(count))
        while self._missing:
            if not self._bulk():
                return False
        requests.append(Refused(self._refusal) if self._refusal else self._arguments)
        self._arguments = []
        self._size = 0
        self._refusal = b""
        return True

    def _bulk(self) -> bool:
        """Read one argument of an array; False: more bytes are needed first."""
        if self._bulk_size < 0:
            line = self._line("too big bulk count string")
            if line is None:
                return False
            if line[:1] != b"$":
                raise _Fault(f"expected '$', got '{line[:1].decode('latin-1')}'")
            size = _integer(line[1:])
            if size is None or not 0 <= size <= self._limits.max_bulk_bytes:
                raise _Fault("invalid bulk length")
            self._bulk_size = size
            self._size += size
            if not self._refusal:
                self._check_size()
        end = self._bulk_size
        buffer = self._buffer
        if self._refusal:
            self._skip = max(0, end + 2 - len(buffer))
            del buffer[: end + 2]
        elif len(buffer) < end + 2:
            return False
        else:
            with memoryview(buffer) as view:
                self._arguments.append(bytes(view[:end]))
            del buffer[: end + 2]  # like Redis, whatever the two bytes after it are
        self._bulk_size = _AT_ARRAY
        self._missing -= 1
        return not self._skip

    def _check_size(self) -> None:
        """Refuse the request under way if it is, or will be, too large."""
        limit = self._limits.max_request_bytes
        if self._size > limit:
            text = f"a request of {self._size} bytes or more is over the limit of {limit}: see redis.max_request_bytes"
            self._refuse(error(text, "TOOLARGE"))
        elif self._room is not None and self._size >= LARGE_BYTES and self._room.full:
            text = f"the clients of this node hold {self._room.held} bytes: send it later, or raise redis.max_clients_bytes"
            self._refuse(error(text, "OVERLOADED"))

    def _refuse(self, reply: bytes) -> None:
        self._refusal = reply
        self._arguments.clear()

    def _too_many(self, words: int) -> bytes:
        text = f"a request of {words} arguments: at most {self._limits.max_keys} keys are possible: see redis.max_keys"
        return error(text, "TOOLARGE")

    def _inline(self, requests: list[Request | Refused]) -> bool:
        buffer = self._buffer
        if buffer[0] not in _INLINE_STARTS:
            raise _Fault(f"no request begins with byte 0x{buffer[0]:02x}", bytes(buffer[:FOREIGN_BYTES]))
        end = buffer.find(b"\n", 0, MAX_LINE_BYTES + 1)
        if end < 0:
            if len(buffer) > MAX_LINE_BYTES:
                raise _Fault("too big inline request")
            return False
        line = bytes(buffer[:end]).removesuffix(b"\r")
        if _FOREIGN.search(line):
            raise _Fault("this port speaks the Redis protocol", line[:FOREIGN_BYTES])
        del buffer[: end + 1]
        arguments = split_arguments(line)
        if arguments is None:
            raise _Fault("unbalanced quotes in request")
        self._size = sum(map(len, arguments))
        self._check_size()
        if len(arguments) > self._limits.max_arguments:
            self._refuse(self._too_many(len(arguments)))
        if arguments:
            requests.append(Refused(self._refusal) if self._refusal else arguments)
        self._size = 0
        self._refusal = b""
        return True

    def _line(self, fault: str) -> bytes | None:
        """Take a line off the buffer; None: it is not complete."""
        buffer = self._buffer
        end = buffer.find(b"\r", 0, MAX_LINE_BYTES + 1)
        if end < 0:
            if len(buffer) > MAX_LINE_BYTES:
                raise _Fault(fault)
            return None
        if len(buffer) < end + 2:
            return None
        line = bytes(buffer[:end])
        del buffer[: end + 2]
        return line


def integer(text: bytes) -> int | None:
    """A signed 64-bit number in its one canonical spelling; None: it is not one."""
    number = _integer(text)
    return number if number is not None and -(2**63) <= number < 2**63 else None


def _integer(text: bytes) -> int | None:
    return int(text) if _INTEGER.fullmatch(text) else None


_NOT_PLAIN: Final = re.compile(rb"[\"'\0\v\f]")
_PLAIN: Final = re.compile(rb"[^ \n\r\t\"']+")
_DOUBLE: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"(?=\s|\Z)', re.DOTALL)
_SINGLE: Final = re.compile(rb"'((?:[^'\\]|\\'|\\(?!'))*)'(?=\s|\Z)")
_ESCAPE: Final = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPES: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}


def split_arguments(line: bytes) -> list[bytes] | None:
    """The words of an inline request, with Redis's quoting; None: a quote is not closed, or closed inside a word.

    "..." knows \\n \\r \\t \\b \\a and \\xHH, '...' only \\'. A zero byte ends the line, as it does there.
    """
    if not _NOT_PLAIN.search(line):
        return line.split()
    line = line.partition(b"\0")[0]
    words: list[bytes] = []
    at = 0
    while True:
        while line[at : at + 1].isspace():
            at += 1
        if at == len(line):
            return words
        word = b""
        while at < len(line):
            quote = line[at : at + 1]
            if quote in b" \n\r\t":
                break
            pattern = _DOUBLE if quote == b'"' else _SINGLE if quote == b"'" else _PLAIN
            found = pattern.match(line, at)
            if found is None:
                return None
            at = found.end()
            if pattern is _PLAIN:
                word += found[0]
                continue
            word += _ESCAPE.sub(_unescape, found[1]) if pattern is _DOUBLE else found[1].replace(b"\\'", b"'")
            break  # a closing quote ends the word
        words.append(word)


def _unescape(found: re.Match[bytes]) -> bytes:
    escaped = found[1]
    return bytes.fromhex(escaped[1:].decode()) if len(escaped) == 3 else _ESCAPES.get(escaped, escaped)
