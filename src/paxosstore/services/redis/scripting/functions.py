"""FUNCTION and FCALL: commands on libraries of functions."""

from __future__ import annotations

from collections.abc import Sequence

from ....core.batch.overlay import View
from ..glob import compile_glob
from ..reply import OK, array, bulk, error, integer_reply, lines_of, map_of, nil, set_of, simple, text, wrong_arity
from ..run import Run
from . import payloads
from .commands import NOT_BUSY, NOT_READ_ONLY, caller, number_of_keys
from .libraries import Library, add, drop, find, find_function, functions_of, libraries, load_into, name_of
from .runtime import RUNTIME, Stopped

_RESTORE_WORDS = 4
_MAX_QUOTED_BYTES = 128
_BAD_NUMBER = error("Bad number of keys provided")
_HELP = (
    "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LOAD [REPLACE] <FUNCTION CODE>, DELETE <LIBRARY NAME>, FLUSH [ASYNC|SYNC]: change the libraries, of all nodes.",
    "LIST [LIBRARYNAME PATTERN] [WITHCODE]: the libraries and their functions.",
    "DUMP, RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]: all libraries as one payload, and back.",
    "STATS, KILL: no function is ever running when they are answered.",
    "HELP",
)


def fcall_command(read_only: bool) -> Run:
    """FCALL and FCALL_RO."""

    def fcall(view: View, args: list[bytes], proto: int) -> bytes:
        place = find_function(view, args[1])
        if place is None:
            return error("Function not found")
        keys = number_of_keys(args, _BAD_NUMBER)
        writes = b"no-writes" not in place.flags
        if read_only and writes:
            return NOT_READ_ONLY
        state = RUNTIME.take()
        try:
            if not state.has_library(place.sha):
                library = find(view, place.library)
                assert library is not None, "a function and its library are written together"
                load_into(state, library.code)
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


def function(view: View, args: list[bytes], proto: int) -> bytes:
    """FUNCTION LOAD, DELETE, FLUSH, LIST, DUMP, RESTORE, STATS, KILL."""
    sub = args[1].lower()
    words = args[2:]
    if sub == b"load":
        return load(view, words) if words else wrong_arity("function|load")
    if sub == b"delete":
        return delete(view, words[0]) if len(words) == 1 else wrong_arity("function|delete")
    if sub == b"flush":
        if len(words) > 1:
            return _wrong_words(args)
        if words and words[0].lower() not in (b"sync", b"async"):
            return error("FUNCTION FLUSH only supports SYNC|ASYNC option")
        for name, library in libraries(view):
            drop(view, name, library)
        return OK
    if sub == b"list":
        return list_(view, words, proto)
    if sub == b"stats":
        return stats(view, proto) if not words else wrong_arity("function|stats")
    if sub == b"kill":
        return NOT_BUSY if not words else wrong_arity("function|kill")
    if sub == b"dump":
        return payloads.dump(view) if not words else wrong_arity("function|dump")
    if sub == b"restore":
        return restore(view, args) if words else wrong_arity("function|restore")
    if sub == b"help":
        return lines_of(_HELP) if not words else wrong_arity("function|help")
    return error(b"unknown subcommand '%b'. Try FUNCTION HELP." % args[1][:_MAX_QUOTED_BYTES])


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
    name = name_of(code)
    there = find(view, name)
    if there is not None and not replace:
        return error(b"Library '%b' already exists" % name)
    functions = functions_of(code)
    for function in functions:
        taken = find_function(view, function[0])
        if taken is not None and taken.library != name:
            return error(b"Function %b already exists" % function[0])
    if there is not None:
        drop(view, name, there)
    add(view, name, code, functions)
    return bulk(name)


def delete(view: View, name: bytes) -> bytes:
    library = find(view, name)
    if library is None:
        return error("Library not found")
    drop(view, name, library)
    return OK


def restore(view: View, args: list[bytes]) -> bytes:
    return _wrong_words(args) if len(args) > _RESTORE_WORDS else payloads.restore(view, *args[2:])


def _wrong_words(args: list[bytes]) -> bytes:
    text = b"unknown subcommand or wrong number of arguments for '%b'. Try FUNCTION HELP."
    return error(text % args[1][:_MAX_QUOTED_BYTES])


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
        for name, library in libraries(view)
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
    found = [library for _, library in libraries(view)]
    functions = sum([len(library.functions) for library in found])
    counts = map_of(
        [(text("libraries_count"), integer_reply(len(found))), (text("functions_count"), integer_reply(functions))], proto
    )
    return map_of([(text("running_script"), nil(proto)), (text("engines"), map_of([(text("LUA"), counts)], proto))], proto)


FCALL, FCALL_RO = fcall_command(False), fcall_command(True)
