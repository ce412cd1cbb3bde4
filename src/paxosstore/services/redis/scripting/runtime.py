"""Lua states, and one run of a script in one of them, bounded in time and memory.

A state is used for one script after another; what a script leaves behind is garbage, and a state in which one had to be
stopped is thrown away. Nothing of Python is within a script's reach, and nothing that a script does makes this side fail
while it is inside of Lua: there an error would unwind through frames that do not know of it. So the functions that Lua
calls never raise, get plain words, and give plain words only while there is room for them.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha1
from importlib.resources import files
from time import thread_time
from typing import Any

from lupa.lua51 import LuaError, LuaRuntime

from ....errors import TooLarge
from . import bits, packing
from .calls import STOP, Answer, Caller
from .numbers import Random

_log = logging.getLogger(__name__)

HARD_BYTES = 64 * 1024 * 1024
"""What a script may take of memory: an allocation beyond it fails, inside of the script."""
SOFT_BYTES = 32 * 1024 * 1024
"""A script that holds more is stopped when it calls a command or a function of a library: there has to be room for the answer."""
MAX_DIGEST_BYTES = 4 * 1024 * 1024
"""Of what `sha1hex` is given: nothing can stop it."""
MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Of one reply to a script."""
CLEAN_FROM_BYTES = 4 * 1024 * 1024
"""A state that holds more than this after a run has its garbage collected."""
KEEP_BYTES = 16 * 1024 * 1024
"""A state that still holds more than this after that is thrown away."""
MAX_COMPILED = 1_000
MAX_COMPILED_BYTES = 2 * 1024 * 1024
"""Scripts that a state keeps compiled: so many, of so many bytes together."""
MAX_LOADED = 20
"""Libraries that a state keeps loaded."""
WORDS_AT_ONCE = 2_000
"""More words than this go to a script in several calls: Lua's stack is bounded."""
QUICK_STEPS = 4e6
"""A pattern that may take more steps than this is matched in Lua, where it can be stopped."""
DEFAULT_BUDGET_MS = 50
VERSION = "7.0.15"
VERSION_NUMBER = 0x07000F
_FILES = ("guard", "patterns", "sandbox", "redis", "json", "msgpack", "libraries", "functions")
_LEVELS = (logging.DEBUG, logging.DEBUG, logging.INFO, logging.WARNING)


Function = tuple[bytes, bytes | None, list[bytes]]
"""Of a library: name, description, flags."""


class CompileError(Exception):
    """A script that Lua does not accept; its text says why."""


MAX_LOGGED = 100
"""Lines that one run of a script may write to the node's log."""


class Stopped(Exception):
    """A script that was stopped: over its budget. Its text is the error for the client."""


def _no_attributes(owner: object, name: object, setting: bool) -> str:
    raise AttributeError("nothing of Python is to be seen in a script")


class State:
    """One Lua state. One run at a time."""

    def __init__(self, budget_ms: float, quick_steps: float = QUICK_STEPS) -> None:
        self._quick_steps = quick_steps
        self.budget_ms = budget_ms
        """Time on the processor that a run may take."""
        self._lua = LuaRuntime(
            encoding=None,
            unpack_returned_tuples=True,
            register_eval=False,
            register_builtins=False,
            attribute_filter=_no_attributes,
            max_memory=HARD_BYTES,
        )
        self._compiled: OrderedDict[bytes, int] = OrderedDict()
        self._compiled_bytes = 0
        self._libraries: OrderedDict[bytes, None] = OrderedDict()
        self._busy = False
        self._caller: Caller | None = None
        self._failure: BaseException | None = None
        self._logged = 0
        """Lines of this run in the node's log."""
        """What ends the request, whatever the script makes of it."""
        self._deadline_s: float | None = None
        self._over = False
        self._random = Random()
        self.spent = False
        """It is not to be used any more."""
        self._entry = self._load()
        self._script: Callable[..., tuple[bool, bytes]] = self._entry[b"script"]
        self._function: Callable[..., tuple[bool, bytes]] = self._entry[b"fcall"]

    def _load(self) -> Any:
        """Set up what scripts see; returns the functions by which they are run."""
        lua = self._lua
        host = {
            b"call": self._call,
            b"is_command": self._is_command,
            b"log": self._write_log,
            b"random": self._draw,
            b"seed": self._random.seed,
            b"setresp": self._set_resp,
            b"sha1hex": self._guarded(_sha1hex),
            b"plain_find": _plain_find,
            b"pack": self._guarded(packing.pack),
            b"unpack": self._guarded(packing.unpack),
            b"size": self._guarded(packing.size),
            b"double": self._guarded(packing.double),
            b"undouble": packing.undouble,
            b"version": VERSION.encode(),
            b"version_number": VERSION_NUMBER,
        }
        host |= {b"bit_" + name.encode(): self._guarded(operation) for name, operation in bits.OPERATIONS.items()}
        chunks = {name: lua.compile(_source(name), name=b"=scripting") for name in _FILES}
        return lua.execute(
            _source("kernel"),
            lua.table_from(host),
            self._left,
            lua.table_from(list(chunks.values())),
            self._quick_steps,
            name=b"=scripting",
        )

    # -- running

    def compile(self, sha: bytes, body: bytes) -> None:
        """See that a script is compiled. Raises CompileError."""
        compiled = self._compiled
        if sha in compiled:
            compiled.move_to_end(sha)
            return
        try:
            why = self._inside(None, lambda: self._entry[b"compile"](sha, body))
        except Stopped as stopped:
            raise CompileError(str(stopped)) from stopped
        if why is not None:
            raise CompileError(why.decode("utf-8", "replace"))
        compiled[sha] = len(body)
        self._compiled_bytes += len(body)
        while len(compiled) > 1 and (len(compiled) > MAX_COMPILED or self._compiled_bytes > MAX_COMPILED_BYTES):
            oldest, size = compiled.popitem(last=False)
            self._compiled_bytes -= size
            self._entry[b"forget"](oldest)

    def run(self, caller: Caller, sha: bytes, proto: int, keys: int, words: list[bytes]) -> tuple[bool, bytes]:
        """Run a script that was compiled; returns whether it went well, and its reply.

        Raises Stopped, and what ended the request that it is part of.
        """
        return self._enter(caller, self._script, sha, proto, keys, words)

    def has_library(self, sha: bytes) -> bool:
        """Whether a library of functions is loaded."""
        return sha in self._libraries

    def load(self, sha: bytes, code: bytes) -> list[Function]:
        """Load a library: run its code, which says what functions it has.

        Raises CompileError, Stopped, and what ended the request that it is part of.
        """
        loaded, *told = self._inside(None, lambda: self._entry[b"load"](sha, code))
        if not loaded:
            raise CompileError(told[0].decode("utf-8", "replace"))
        libraries = self._libraries
        libraries[sha] = None
        if len(libraries) > MAX_LOADED:
            oldest, _ = libraries.popitem(last=False)
            self._entry[b"drop"](oldest)
        names, descriptions, flags = told[::3], told[1::3], told[2::3]
        return [(name, text or None, words.split()) for name, text, words in zip(names, descriptions, flags, strict=True)]

    def call_function(
        self, caller: Caller, sha: bytes, name: bytes, proto: int, keys: int, words: list[bytes]
    ) -> tuple[bool, bytes]:
        """Call a function of a library that is loaded; like `run`."""
        self._libraries.move_to_end(sha)
        return self._enter(caller, self._function, sha + name, proto, keys, words)

    def _enter(
        self, caller: Caller, run: Callable[..., tuple[bool, bytes]], name: bytes, proto: int, keys: int, words: list[bytes]
    ) -> tuple[bool, bytes]:
        def work() -> tuple[bool, bytes]:
            if len(words) <= WORDS_AT_ONCE:
                return run(name, proto, keys, *words)
            for at in range(0, len(words), WORDS_AT_ONCE):
                self._entry[b"more"](*words[at : at + WORDS_AT_ONCE])
            return run(name, proto, keys)

        ok, reply = self._inside(caller, work)
        return ok, reply

    def _inside(self, caller: Caller | None, work: Callable[[], Any]) -> Any:
        """What happens inside of Lua, within its bounds."""
        assert not self._busy, "a script runs another one"
        self._busy = True
        self._caller = caller
        self._failure = None
        self._logged = 0
        self._deadline_s = None
        self._over = False
        self._random.reset()
        result = None
        try:
            result = work()
        except (LuaError, MemoryError) as error:
            self.spent = True
            if self._failure is None and not self._over:
                if isinstance(error, MemoryError):
                    raise Stopped(f"not enough memory: a script may take {HARD_BYTES} bytes") from error
                raise Stopped(f"the script ended with an error of Lua's own: {_text(error)}") from error
        finally:
            self._busy = False
            self._caller = None
        if self._failure is not None:
            self.spent = True
            raise self._failure
        if self._over:
            self.spent = True
            raise Stopped(f"the script took more than {self.budget_ms:g} ms: nothing of it was done, see redis.script_budget_ms")
        self._clean()
        return result

    def _clean(self) -> None:
        lua = self._lua
        if lua.get_memory_used() > CLEAN_FROM_BYTES:
            lua.gccollect()
            self.spent = self.spent or lua.get_memory_used() > KEEP_BYTES

    # -- what Lua calls: never raises

    def _left(self) -> float:
        """Seconds that are left of the budget."""
        now_s = thread_time()
        if self._deadline_s is None:
            self._deadline_s = now_s + self.budget_ms / 1000
        left = self._deadline_s - now_s
        if left <= 0:
            self._over = True
        return left

    def _call(self, *words: bytes) -> Answer:
        try:
            if self._left() <= 0:
                return STOP
            if not self._has_room():
                return STOP
            assert self._caller is not None, "a script is running"
            answer = self._caller.call(list(words))
            if not isinstance(answer, int) and isinstance(answer[1], bytes) and len(answer[1]) > MAX_ANSWER_BYTES:
                raise TooLarge(f"a reply of {len(answer[1])} bytes: a script can take {MAX_ANSWER_BYTES}")
            return answer
        except BaseException as error:
            self._failure = error
            return STOP

    def _has_room(self) -> bool:
        """Whether a script may be given something: Lua must not run out of memory while it is handed over."""
        if self._lua.get_memory_used() <= SOFT_BYTES:
            return True
        self._failure = TooLarge(f"a script that holds more than {SOFT_BYTES} bytes can only end")
        return False

    def _guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that a script calls: False, after which it is stopped, where there is no room for an answer."""

        def call(*words: Any) -> Any:
            try:
                return function(*words) if self._has_room() else False
            except BaseException as error:
                self._failure = error
                return False

        return call

    def _is_command(self, name: bytes) -> int | None:
        return 1 if self._caller is not None and self._caller.knows(name) else None

    def _set_resp(self, version: int) -> None:
        if self._caller is not None:
            self._caller.proto = version

    def _draw(self) -> float:
        return self._random.draw()

    def _write_log(self, level: int, text: bytes) -> None:
        self._logged += 1
        if self._logged > MAX_LOGGED:
            return
        if self._logged == MAX_LOGGED:
            text += b" (this run's further words are left out)"
        try:
            _log.log(_LEVELS[level], "a script says: %s", text.decode("utf-8", "backslashreplace"))
        except Exception:
            _log.debug("a script's words could not be logged", exc_info=True)


class Runtime:
    """The states of this process: as many as there are threads that run scripts, as a thread runs one at a time."""

    def __init__(self) -> None:
        self.budget_ms: float = DEFAULT_BUDGET_MS
        """Of every run from now on."""
        self._states: list[State] = []

    def take(self) -> State:
        """A state that nobody else uses; give it back."""
        state = self._states.pop() if self._states else State(self.budget_ms)
        state.budget_ms = self.budget_ms
        return state

    def give(self, state: State) -> None:
        if not state.spent:
            self._states.append(state)


RUNTIME = Runtime()
"""A handler has nothing but a view: what runs scripts is the process's."""


def _source(name: str) -> bytes:
    return files(__package__).joinpath("lua", name + ".lua").read_bytes()


def _sha1hex(text: bytes) -> bytes:
    if len(text) > MAX_DIGEST_BYTES:
        raise TooLarge(f"sha1hex of {len(text)} bytes: {MAX_DIGEST_BYTES} are possible, it holds the node up")
    return sha1(text).hexdigest().encode()


def _plain_find(text: bytes, what: bytes, init: float) -> int:
    at = text.find(what, int(init) - 1)
    return at + 1


def _text(error: BaseException) -> str:
    return str(error)[:200]
