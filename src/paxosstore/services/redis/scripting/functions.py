"""FUNCTION and FCALL: libraries of functions, which lie among an entity's rows.

b"sf" + library  -> sha of its code, code, functions (name, description or nil, flags)
b"sn" + function -> library, sha, flags
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import sha1

import msgspec

from ....core.batch.overlay import View
from ....errors import TooLarge
from ..glob import compile_glob
from ..reply import OK, ReplyError, array, bulk, error, integer_reply, map_of, nil, set_of, simple, text, wrong_arity
from ..run import Run
from . import store
from .commands import NOT_BUSY, NOT_READ_ONLY, caller, number_of_keys
from .runtime import RUNTIME, CompileError, Function, State, Stopped

_LIBRARY, _FUNCTION = b"sf", b"sn"
_AFTER_LIBRARIES = b"sg"
MAX_LIBRARIES = 100
MAX_BYTES = 2 * 1024 * 1024
"""Of all libraries of a database, in number and in bytes."""
_BAD_NUMBER = error("Bad number of keys provided")
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


def fcall_command(read_only: bool) -> Run:
    """FCALL and FCALL_RO."""

    def fcall(view: View, args: list[bytes], proto: int) -> bytes:
        row = view.get(_FUNCTION + args[1].lower()) if len(args[1]) < store.MAX_NAME_BYTES else None
        if row is None:
            return error("Function not found")
        place = _place(row)
        keys = number_of_keys(args, _BAD_NUMBER)
        writes = b"no-writes" not in place.flags
        if read_only and writes:
            return NOT_READ_ONLY
        state = RUNTIME.take()
        try:
            if not state.has_library(place.sha):
                found = view.get(_LIBRARY + place.library)
                assert found is not None, "a function and its library are written together"
                _load(state, _library(found).code)
            begun = view.savepoint()
            try:
                done, reply = state.call_function(
                    caller(view, read_only or not writes), place.sha, place.name, proto, keys, args[3:]
                )
            except Stopped as why:
                done, reply = False, error(str(why))
            if not done:
                view.undo(begun)
            return reply
        finally:
            RUNTIME.give(state)

    return fcall


def _load(state: State, code: bytes) -> list[Function]:
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


def function(view: View, args: list[bytes], proto: int) -> bytes:
    """FUNCTION LOAD, DELETE, FLUSH, LIST, STATS, KILL."""
    sub = args[1].lower()
    words = args[2:]
    if sub == b"load":
        return load(view, words) if words else wrong_arity("function|load")
    if sub == b"delete":
        return delete(view, words[0]) if len(words) == 1 else wrong_arity("function|delete")
    if sub == b"flush":
        if len(words) > 1 or (words and words[0].lower() not in (b"sync", b"async")):
            return error("FUNCTION FLUSH only supports SYNC|ASYNC option")
        for name, library in _libraries(view):
            _drop(view, name, library)
        return OK
    if sub == b"list":
        return list_(view, words, proto)
    if sub == b"stats":
        return stats(view, proto) if not words else wrong_arity("function|stats")
    if sub == b"kill":
        return NOT_BUSY if not words else wrong_arity("function|kill")
    if sub in (b"dump", b"restore"):
        return error("FUNCTION DUMP and RESTORE are not possible here: keep the code of the libraries, and load it")
    return error(b"unknown subcommand '%b'. Try FUNCTION HELP." % args[1][:128])


def gather(replies: Sequence[bytes]) -> bytes:
    """One reply of those of several entities, which are the same or an error."""
    return next((reply for reply in replies if reply.startswith(b"-")), replies[0])


def load(view: View, words: list[bytes]) -> bytes:
    replace = False
    *options, code = words
    for option in options:
        if option.lower() != b"replace":
            return error(b"Unknown option given: " + option)
        replace = True
    store.check_size(code)
    name = library_name(code)
    row = view.get(_LIBRARY + name)
    if row is not None and not replace:
        return error(b"Library '%b' already exists" % name)
    state = RUNTIME.take()
    try:
        functions = _load(state, code)
    finally:
        RUNTIME.give(state)
    for called, _, _ in functions:
        taken = view.get(_FUNCTION + called.lower())
        if taken is not None and _place(taken).library != name:
            return error(b"Function %b already exists" % called)
    others = [library for other, library in _libraries(view) if other != name]
    if len(others) >= MAX_LIBRARIES or sum([len(library.code) for library in others]) + len(code) > MAX_BYTES:
        raise TooLarge(f"a database has up to {MAX_LIBRARIES} libraries of {MAX_BYTES} bytes together")
    if row is not None:
        _drop(view, name, _library(row))
    sha = sha_of(code)
    view.put(_LIBRARY + name, _encode(Library(sha, code, functions)))
    for called, _, flags in functions:
        view.put(_FUNCTION + called.lower(), _encode(Place(name, sha, flags, called)))
    return bulk(name)


def library_name(code: bytes) -> bytes:
    """What the first line of a library says. Raises ReplyError."""
    line, newline, _ = code.partition(b"\n")
    if not line.startswith(b"#!"):
        raise ReplyError(error("Missing library metadata"))
    if not newline:
        raise ReplyError(error("Invalid library metadata"))
    engine, *options = line[2:].split() or [b""]
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
    if engine.lower() != b"lua":
        raise ReplyError(error(b"Engine '%b' not found" % engine))
    return name


def delete(view: View, name: bytes) -> bytes:
    row = view.get(_LIBRARY + name) if len(name) <= store.MAX_NAME_BYTES else None
    if row is None:
        return error("Library not found")
    _drop(view, name, _library(row))
    return OK


def _drop(view: View, name: bytes, library: Library) -> None:
    view.delete(_LIBRARY + name)
    for called, _, _ in library.functions:
        view.delete(_FUNCTION + called.lower())


def _libraries(view: View) -> Iterator[tuple[bytes, Library]]:
    for where, row in list(view.scan(_LIBRARY, _AFTER_LIBRARIES)):
        yield where[len(_LIBRARY) :], _library(row)


def list_(view: View, words: list[bytes], proto: int) -> bytes:
    with_code, pattern = False, None
    left = iter(words)
    for word in left:
        option = word.lower()
        if option == b"withcode" and not with_code:
            with_code = True
        elif option == b"libraryname" and pattern is None:
            argument = next(left, None)
            if argument is None:
                return error("library name argument was not given")
            pattern = compile_glob(argument)
        else:
            return error(b"Unknown argument " + word)
    found = [
        _described(name, library, with_code, proto)
        for name, library in _libraries(view)
        if pattern is None or pattern.fullmatch(name)
    ]
    return array(found)


def _described(name: bytes, library: Library, with_code: bool, proto: int) -> bytes:
    functions = [
        map_of(
            [
                (text("name"), bulk(called)),
                (text("description"), nil(proto) if description is None else bulk(description)),
                (text("flags"), set_of([simple(flag.decode()) for flag in flags], proto)),
            ],
            proto,
        )
        for called, description, flags in library.functions
    ]
    facts = [
        (text("library_name"), bulk(name)),
        (text("engine"), text("LUA")),
        (text("functions"), array(functions)),
    ]
    if with_code:
        facts.append((text("library_code"), bulk(library.code)))
    return map_of(facts, proto)


def stats(view: View, proto: int) -> bytes:
    libraries = [library for _, library in _libraries(view)]
    functions = sum([len(library.functions) for library in libraries])
    counts = map_of(
        [(text("libraries_count"), integer_reply(len(libraries))), (text("functions_count"), integer_reply(functions))], proto
    )
    return map_of([(text("running_script"), nil(proto)), (text("engines"), map_of([(text("LUA"), counts)], proto))], proto)


FCALL, FCALL_RO = fcall_command(False), fcall_command(True)
