"""An application's handlers, typed: what `[app] module` of a node's file names, and what `Node` takes as `handlers`.

    app = App()

    @app.handler
    def deposit(view: View, order: Deposit) -> Account: ...

The payload comes as JSON of the second parameter's type, and what is returned goes as JSON; bytes go as they are, None as
nothing. So a client of any language calls it, and `paxosstore.Client` with the very types.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, get_type_hints, overload

import msgspec

from .boundary import MAX_SHOWN, exact_function, kind
from .core.batch.overlay import View
from .errors import InvalidRequest, RequestFailed

F = TypeVar("F", bound=Callable[..., Any])
MAX_NAME = 200
"""Characters of a handler's name."""
Typed = Callable[[View, bytes], bytes]


class App(Mapping[str, Typed]):
    """Handlers by name, each a pure function on a view, which may run several times and at any node, and takes effect once.

    They refuse a request by `Refused`, with a reason and data of their own; nothing of it has happened then.
    """

    def __init__(self) -> None:
        self._handlers: dict[str, Typed] = {}

    @overload
    def handler(self, function: F) -> F: ...

    @overload
    def handler(self, *, name: str) -> Callable[[F], F]: ...

    def handler(self, function: F | None = None, *, name: str = "") -> F | Callable[[F], F]:
        """Take in a function of a view, or of a view and a payload, by its own name or another one. Raises InvalidRequest."""

        def take(taken: F) -> F:
            self._add(name or getattr(taken, "__name__", ""), taken)
            return taken

        return take if function is None else take(function)

    def __getitem__(self, name: str) -> Typed:
        return self._handlers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._handlers)

    def __len__(self) -> int:
        return len(self._handlers)

    def _add(self, name: str, function: Callable[..., Any]) -> None:
        if not name or len(name) > MAX_NAME or not name.isprintable() or " " in name:
            raise InvalidRequest(f"handler {name!r:.{MAX_SHOWN}}: a name is a word of 1 to {MAX_NAME} characters")
        if name in self._handlers:
            raise InvalidRequest(f"handler {name}: there are two of this name: give one of them another (name=)")
        self._handlers[name] = _typed(name, exact_function(f"handler {name}:", function))


def encoded(value: object) -> bytes:
    """A payload or a reply on its way: bytes as they are, None as nothing, all else as JSON. Raises TypeError, ValueError."""
    if value is None:
        return b""
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else msgspec.json.encode(value)


def _typed(name: str, function: Callable[..., Any]) -> Typed:
    """The function as the store calls it."""
    decode = _decoder(name, function)

    def run(view: View, payload: bytes) -> bytes:
        if decode is None:
            if payload:
                raise InvalidRequest(f"{name}: takes no payload, not one of {len(payload)} bytes")
            found = function(view)
        else:
            found = function(view, decode(payload))
        try:
            return encoded(found)
        except Exception as error:
            raise RequestFailed(f"{name}: it returned {_kind(found)}, which cannot be written as JSON: {error}") from None

    return run


def _kind(value: object) -> str:
    return f"a value of type {kind(value)}"


def _decoder(name: str, function: Callable[..., Any]) -> Callable[[bytes], Any] | None:
    """What reads its payload; None: it takes none. Raises InvalidRequest."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
        hints = get_type_hints(function)
    except Exception as error:
        raise InvalidRequest(f"handler {name}: its parameters cannot be read: {error}") from None
    needed = [one for one in parameters if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    placed = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    if not placed or len(needed) > 2 or any(one.kind is one.KEYWORD_ONLY for one in needed):
        raise InvalidRequest(f"handler {name}: takes a view, and a payload if it has one, not {inspect.signature(function)}")
    if len(placed) == 1:
        return None
    wanted = hints.get(placed[1].name, bytes)
    if wanted is bytes:
        return bytes
    try:
        decode = msgspec.json.Decoder(wanted).decode
    except Exception as error:
        raise InvalidRequest(f"handler {name}: a payload of type {wanted!r:.{MAX_SHOWN}} cannot be read: {error}") from None

    def read(payload: bytes) -> Any:
        try:
            return decode(payload)
        except msgspec.DecodeError as error:  # ValidationError is one
            raise InvalidRequest(f"{name}: its payload is not as it has to be: {error}") from None
        except UnicodeDecodeError:
            raise InvalidRequest(f"{name}: its payload is no JSON: it is not UTF-8") from None
        except RecursionError:
            raise InvalidRequest(f"{name}: its payload is nested too deeply") from None

    return read
