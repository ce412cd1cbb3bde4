"""EVAL and its kind, and SCRIPT: commands as all others, (view, arguments, protocol) -> reply."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha1
from typing import NamedTuple

from ....core.batch.overlay import View
from ..commands.spec import Spec
from ..reply import NOT_AN_INTEGER, OK, ReplyError, array, bulk, error, integer_reply, wrong_arity
from ..resp import integer, split_arguments
from ..run import Run
from . import store
from .calls import Caller
from .runtime import RUNTIME, CompileError, Stopped

Command = Callable[[View, list[bytes], int], bytes]
RunCommand = Callable[[Run, View, list[bytes], int], bytes]

NO_SCRIPT = error("No matching script. Please use EVAL.", "NOSCRIPT")
NOT_BUSY = error("No scripts in execution right now.", "NOTBUSY")
_NEGATIVE_KEYS = error("Number of keys can't be negative")
_TOO_MANY_KEYS = error("Number of keys can't be greater than number of args")
NOT_READ_ONLY = error("Can not execute a script with write flag using *_ro command.")
_HEX = re.compile(rb"[0-9a-f]{40}")
_FLAGS = frozenset((b"no-writes", b"allow-oom", b"allow-stale", b"no-cluster", b"allow-cross-slot-keys"))


class _Known:
    """What scripts may call."""

    def __init__(self) -> None:
        self.table: Mapping[bytes, Spec] = {}
        self.run: RunCommand | None = None

    def find(self, name: bytes) -> Spec | None:
        """The command of a name, in whatever case."""
        return self.table.get(name) or self.table.get(name.lower())


_known = _Known()


def use(table: Mapping[bytes, Spec], run: RunCommand) -> None:
    """The commands, and what runs one: said by who knows both, as the table knows the commands of this file."""
    _known.table, _known.run = table, run


def caller(view: View, read_only: bool) -> Caller:
    """What a script may call."""
    assert _known.run is not None, "whoever runs commands has said so"
    return Caller(_known.find, _known.run, view, read_only)


class Header(NamedTuple):
    """What the first line of a script says of it."""

    writes: bool
    declared: bool
    """There is such a line: flags count."""
    code: bytes
    """The script without it; its lines keep their numbers."""


def read_header(body: bytes) -> Header:
    """Raises ReplyError for a first line that makes no sense."""
    if not body.startswith(b"#!"):
        return Header(True, False, body)
    line, newline, rest = body.partition(b"\n")
    if not newline:
        raise ReplyError(error("Invalid script shebang"))
    words = split_arguments(line)
    if words is None:
        raise ReplyError(error("Invalid engine in script shebang"))
    engine, *options = words
    if engine != b"#!lua":
        raise ReplyError(error(b"Unexpected engine in script shebang: " + engine))
    flags: set[bytes] = set()
    for option in options:
        name, equals, value = option.partition(b"=")
        if name != b"flags" or not equals:
            raise ReplyError(error(b"Unknown lua shebang option: " + option))
        flags.update(value.split(b",") if value else ())
    for flag in flags:
        if flag not in _FLAGS:
            raise ReplyError(error(b"Unexpected flag in script shebang: " + flag))
    return Header(b"no-writes" not in flags, True, b"\n" + rest)


def number_of_keys(args: list[bytes], otherwise: bytes = NOT_AN_INTEGER) -> int:
    """How many of the words from the fourth on are keys. Raises ReplyError, `otherwise` where that is no number."""
    number = integer(args[2])
    if number is None:
        raise ReplyError(otherwise)
    if number > len(args) - 3:
        raise ReplyError(_TOO_MANY_KEYS)
    if number < 0:
        raise ReplyError(_NEGATIVE_KEYS)
    return number


def keys_of(args: list[bytes]) -> list[bytes]:
    """The keys of EVAL, FCALL and their kind; none where their number makes no sense."""
    try:
        return args[3 : 3 + number_of_keys(args)]
    except ReplyError:
        return []


def eval_command(read_only: bool) -> Command:
    """EVAL and EVAL_RO. The script is kept for EVALSHA, unless this is a read."""

    def evaluate(view: View, args: list[bytes], proto: int) -> bytes:
        keys = number_of_keys(args)
        body = args[1]
        sha = sha1(body).hexdigest().encode()
        return _run(view, sha, body, keys, args, proto, read_only, keep=not read_only)

    return evaluate


def evalsha_command(read_only: bool) -> Command:
    """EVALSHA and EVALSHA_RO."""

    def evaluate(view: View, args: list[bytes], proto: int) -> bytes:
        keys = number_of_keys(args)
        sha = args[1].lower()
        body = store.get(view, sha) if _HEX.fullmatch(sha) else None
        if body is None:
            return NO_SCRIPT
        return _run(view, sha, body, keys, args, proto, read_only, keep=False)

    return evaluate


EVAL, EVAL_RO = eval_command(False), eval_command(True)
EVALSHA, EVALSHA_RO = evalsha_command(False), evalsha_command(True)


def _run(view: View, sha: bytes, body: bytes, keys: int, args: list[bytes], proto: int, read_only: bool, keep: bool) -> bytes:
    store.check_size(body)
    header = read_header(body) if body.startswith(b"#!") else Header(True, False, body)
    if read_only and header.declared and header.writes:
        return NOT_READ_ONLY
    state = RUNTIME.take()
    try:
        try:
            state.compile(sha, header.code)
        except CompileError as why:
            return _compile_error(why)
        if keep:
            store.put(view, sha, body, store.EVALUATED)
        begun = view.savepoint()
        try:
            done, reply = state.run(caller(view, read_only or not header.writes), sha, proto, keys, args[3:])
        except Stopped as why:
            done, reply = False, error(str(why))
        if not done:
            view.undo(begun)
        return reply
    finally:
        RUNTIME.give(state)


def _compile_error(why: CompileError) -> bytes:
    return error(f"Error compiling script (new function): {why}")


def script(view: View, args: list[bytes], proto: int) -> bytes:
    """SCRIPT LOAD, EXISTS, FLUSH, KILL."""
    sub = args[1].lower()
    words = len(args)
    if sub == b"load":
        return _load(view, args[2]) if words == 3 else wrong_arity("script|load")
    if sub == b"exists":
        if words < 3:
            return wrong_arity("script|exists")
        return array([integer_reply(store.is_known(view, sha.lower())) for sha in args[2:]])
    if sub == b"flush":
        if words > 3 or (words == 3 and args[2].lower() not in (b"sync", b"async")):
            return error("SCRIPT FLUSH only support SYNC|ASYNC option")
        store.flush(view)
        return OK
    if sub == b"kill":
        return NOT_BUSY if words == 2 else wrong_arity("script|kill")
    if sub == b"debug":
        return error("there is no debugger for scripts here")
    if sub == b"help":
        return array([b"+%b\r\n" % line for line in _HELP])
    return error(b"unknown subcommand '%b'. Try SCRIPT HELP." % args[1][:128])


def gather(replies: Sequence[bytes]) -> bytes:
    """One reply of those of several entities: an error if there is one; a script exists where it does in all of them."""
    first = next((reply for reply in replies if reply.startswith(b"-")), replies[0])
    if not first.startswith(b"*") or not all(reply.startswith(b"*") for reply in replies):
        return first
    lines = zip(*[reply.split(b"\r\n") for reply in replies], strict=True)
    return b"\r\n".join(map(min, lines))


_HELP = (
    b"SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    b"EXISTS <sha1> [<sha1> ...]",
    b"    Return information about the existence of the scripts in the script cache.",
    b"FLUSH [ASYNC|SYNC]",
    b"    Flush the Lua scripts cache. Very dangerous on replicas.",
    b"KILL",
    b"    Kill the currently executing Lua script.",
    b"LOAD <script>",
    b"    Load a script into the scripts cache without executing it.",
    b"HELP",
    b"    Prints this help.",
)


def _load(view: View, body: bytes) -> bytes:
    store.check_size(body)
    header = read_header(body)
    sha = sha1(body).hexdigest().encode()
    state = RUNTIME.take()
    try:
        state.compile(sha, header.code)
    except CompileError as why:
        return _compile_error(why)
    finally:
        RUNTIME.give(state)
    store.put(view, sha, body, store.LOADED)
    return bulk(sha)
