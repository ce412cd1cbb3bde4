"""Libraries of functions, which lie among an entity's rows, and what their code says.

b"sf" + library  -> sha of its code, code, functions (name, description or nil, flags)
b"sn" + function -> library, sha, flags, name
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import sha1

import msgspec

from ....core.batch.overlay import View
from ....errors import TooLarge
from ..reply import ReplyError, error
from ..resp import split_arguments
from . import store
from .runtime import RUNTIME, CompileError, Function, State, Stopped

_LIBRARY, _FUNCTION = b"sf", b"sn"
_AFTER_LIBRARIES = b"sg"
MAX_LIBRARIES = 100
MAX_BYTES = 2 * 1024 * 1024
"""Of all libraries of a database, in number and in bytes."""
_NAME = re.compile(rb"[A-Za-z0-9_]+")


class Library(msgspec.Struct, array_like=True):
    sha: bytes
    code: bytes
    functions: list[Function]


class Place(msgspec.Struct, array_like=True):
    """Where a function is."""

    library: bytes
    sha: bytes
    flags: list[bytes]
    name: bytes
    """As it was given: it is found in whatever case."""


_encode = msgspec.msgpack.Encoder().encode
_library = msgspec.msgpack.Decoder(Library).decode
_place = msgspec.msgpack.Decoder(Place).decode


def find(view: View, name: bytes) -> Library | None:
    row = view.get(_LIBRARY + name) if len(name) <= store.MAX_NAME_BYTES else None
    return None if row is None else _library(row)


def find_function(view: View, name: bytes) -> Place | None:
    """Where a function is, in whatever case it is called."""
    row = view.get(_FUNCTION + name.lower()) if len(name) < store.MAX_NAME_BYTES else None
    return None if row is None else _place(row)


def libraries(view: View) -> Iterator[tuple[bytes, Library]]:
    """All, by name, as they are now."""
    for where, row in list(view.scan(_LIBRARY, _AFTER_LIBRARIES)):
        yield where[len(_LIBRARY) :], _library(row)


def add(view: View, name: bytes, code: bytes, functions: Sequence[Function]) -> None:
    """Write a library; there is none of this name, and its functions have names of their own. Raises TooLarge."""
    others = [library for _, library in libraries(view)]
    check_room(len(others) + 1, sum([len(library.code) for library in others]) + len(code))
    sha = sha_of(code)
    view.put(_LIBRARY + name, _encode(Library(sha, code, list(functions))))
    for called, _, flags in functions:
        view.put(_FUNCTION + called.lower(), _encode(Place(name, sha, flags, called)))


def check_room(number: int, size: int) -> None:
    """Raises TooLarge if a database may not have so many libraries of so many bytes together."""
    if number > MAX_LIBRARIES or size > MAX_BYTES:
        raise TooLarge(f"a database has up to {MAX_LIBRARIES} libraries of {MAX_BYTES} bytes together")


def drop(view: View, name: bytes, library: Library) -> None:
    view.delete(_LIBRARY + name)
    for called, _, _ in library.functions:
        view.delete(_FUNCTION + called.lower())


def functions_of(code: bytes) -> list[Function]:
    """What a library has in it: its code is run. Raises ReplyError, and what ends the request."""
    state = RUNTIME.take()
    try:
        return load_into(state, code)
    finally:
        RUNTIME.give(state)


def load_into(state: State, code: bytes) -> list[Function]:
    """See that a state knows a library. Raises ReplyError, and what ends the request."""
    _, _, body = code.partition(b"\n")
    try:
        return state.load(sha_of(code), b"\n" + body)
    except CompileError as why:
        raise ReplyError(error(str(why))) from why
    except Stopped as why:
        raise ReplyError(error(f"FUNCTION LOAD timeout: {why}")) from why


def sha_of(code: bytes) -> bytes:
    return sha1(code).hexdigest().encode()


def name_of(code: bytes) -> bytes:
    """What the first line of a library says. Raises ReplyError, TooLarge."""
    store.check_size(code)
    line, newline, _ = code.partition(b"\n")
    if not line.startswith(b"#!"):
        raise ReplyError(error("Missing library metadata"))
    if not newline:
        raise ReplyError(error("Invalid library metadata"))
    words = split_arguments(line)
    if words is None:
        raise ReplyError(error("Invalid library metadata"))
    engine, *options = words
    name: bytes | None = None
    for option in options:
        key, equals, value = option.partition(b"=")
        if key.lower() != b"name" or not equals:
            raise ReplyError(error(b"Invalid metadata value given: " + option))
        if name is not None:
            raise ReplyError(error("Invalid metadata value, name argument was given multiple times"))
        name = value
    if name is None:
        raise ReplyError(error("Library name was not given"))
    if not _NAME.fullmatch(name) or len(name) > store.MAX_NAME_BYTES:
        text = "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"
        raise ReplyError(error(text))
    if engine[2:].lower() != b"lua":
        raise ReplyError(error(b"Engine '%b' not found" % engine[2:]))
    return name
