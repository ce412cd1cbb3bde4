"""FUNCTION DUMP and RESTORE: libraries in the format of Redis's RDB files, so that they go both ways between it and this store.

A payload is, for each library, 0xF5 and its code as a string; then what stands behind every payload (types/rdb/sealing.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from time import thread_time

from ....core.batch.overlay import View
from ....errors import TooLarge
from ..reply import OK, ReplyError, bulk, error
from ..types.rdb import lzf
from ..types.rdb.reading import BadData, Budget, Reader
from ..types.rdb.saving import packed_string, string
from ..types.rdb.sealing import WRONG_PAYLOAD, sealed, unsealed
from .libraries import Library, add, check_room, drop, functions_of, libraries, name_of
from .runtime import Function

_CODE = b"\xf5"
_POLICIES = (b"APPEND", b"FLUSH", b"REPLACE")
_WRONG_POLICY = error("Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.")
_NO_FUNCTION = error("given type is not a function")
_BROKEN = error("Failed loading library payload")
MAX_PACKED_BYTES = lzf.MAX_BYTES
"""Of the code that is compressed for one payload: the first libraries that fit."""
MAX_RESTORE_S = 0.1
"""Of time on the processor: libraries are run to be restored, and the node serves nobody meanwhile."""

Loaded = dict[bytes, tuple[bytes, list[Function]]]
"""Code and functions of each library."""


def dump(view: View) -> bytes:
    out, left = list[bytes](), MAX_PACKED_BYTES
    for _, library in libraries(view):
        code = library.code
        fits = len(code) <= left
        out += (_CODE, packed_string(code) if fits else string(code))
        left -= len(code) if fits else 0
    return bulk(sealed(b"".join(out)))


def restore(view: View, payload: bytes, policy: bytes = b"APPEND") -> bytes:
    """All libraries of a payload, or none of them. Raises ReplyError, TooLarge."""
    policy = policy.upper()
    if policy not in _POLICIES:
        return _WRONG_POLICY
    content = unsealed(payload)
    if content is None:
        return WRONG_PAYLOAD
    loaded = _load(content)
    known = dict(libraries(view))
    going = dict(known) if policy == b"FLUSH" else {name: library for name, library in known.items() if name in loaded}
    if going and policy == b"APPEND":
        return error(b"Library %b already exists" % min(going))
    staying = {name: library for name, library in known.items() if name not in going}
    _check_names(loaded, staying)
    sizes = [len(library.code) for library in staying.values()] + [len(code) for code, _ in loaded.values()]
    check_room(len(sizes), sum(sizes))
    for name, library in going.items():
        drop(view, name, library)
    for name, (code, functions) in loaded.items():
        add(view, name, code, functions)
    return OK


def _check_names(loaded: Loaded, staying: dict[bytes, Library]) -> None:
    """Raises ReplyError for a function that there is already."""
    taken = {name.lower() for library in staying.values() for name, _, _ in library.functions}
    for _, functions in loaded.values():
        for name, _, _ in functions:
            if name.lower() in taken:
                raise ReplyError(error(b"Function %b already exists" % name))


def _load(content: bytes) -> Loaded:
    """Raises ReplyError, TooLarge."""
    loaded, names, size = Loaded(), set[bytes](), 0
    until_s = thread_time() + MAX_RESTORE_S
    for code in _codes(content):
        size += len(code)
        check_room(len(loaded) + 1, size)
        if thread_time() > until_s:
            raise TooLarge(f"to restore libraries may take {MAX_RESTORE_S * 1000:g} ms: put fewer into one payload")
        library = name_of(code)
        if library in loaded:
            raise ReplyError(error(b"Library '%b' already exists" % library))
        functions = functions_of(code)
        for name, _, _ in functions:
            if name.lower() in names:
                raise ReplyError(error(b"Function %b already exists" % name))
            names.add(name.lower())
        loaded[library] = code, functions
    return loaded


def _codes(content: bytes) -> Iterator[bytes]:
    reader = Reader(content, Budget())
    while reader.left:
        if reader.take(1) != _CODE:
            raise ReplyError(_NO_FUNCTION)
        try:
            code = reader.string()
        except BadData:
            raise ReplyError(_BROKEN) from None
        yield code
