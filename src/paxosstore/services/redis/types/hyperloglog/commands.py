"""Commands on HyperLogLogs."""

from __future__ import annotations

from .....core.batch.overlay import View
from .....errors import TooLarge
from ...layout.keys import Key, get_value
from ...reply import OK, ONE, ZERO, ReplyError, array, error, integer_reply, simple, text
from .hashing import place
from .registers import REGISTERS, Corrupted, Sketch, estimate, highest

MAX_SKETCHES = 64
"""That are joined by one command: each takes some tenths of a ms."""
_NOT_ONE = error("Key is not a valid HyperLogLog string value.", "WRONGTYPE")
_CORRUPTED = error("Corrupted HLL object detected", "INVALIDOBJ")


def _sketch(value: bytes) -> Sketch:
    """Raises ReplyError."""
    try:
        return Sketch(value)
    except ValueError as none:
        raise ReplyError(_NOT_ONE) from none


def pfadd(view: View, args: list[bytes], proto: int) -> bytes:
    key = Key(view, args[1])
    before = key.value
    sketch = Sketch() if before is None else _sketch(before)
    changed = before is None
    try:
        for element in args[2:]:
            changed |= sketch.set(*place(element))
    except Corrupted:
        return _CORRUPTED
    if not changed:
        return ZERO
    sketch.cardinality = None
    key.set(sketch.value, key.expires_ms)
    return ONE


def pfcount(view: View, args: list[bytes], proto: int) -> bytes:
    """What is counted of one key is kept in it, as in Redis: so this read writes where something has changed."""
    if len(args) > 2:
        return integer_reply(estimate(_union(view, args[1:])[0]))
    key = Key(view, args[1])
    value = key.value
    if value is None:
        return ZERO
    sketch = _sketch(value)
    counted = sketch.cardinality
    if counted is None:
        view.require_write()
        try:
            counted = estimate(sketch.registers())
        except Corrupted:
            return _CORRUPTED
        sketch.cardinality = counted
        key.set(sketch.value, key.expires_ms)
    return integer_reply(counted)


def pfmerge(view: View, args: list[bytes], proto: int) -> bytes:
    registers, dense = _union(view, args[1:])
    key = Key(view, args[1])
    sketch = Sketch(key.value)
    try:
        if dense:
            sketch.make_dense()
        sketch.raise_to(registers)
    except Corrupted:
        return _CORRUPTED
    sketch.cardinality = None
    key.set(sketch.value, key.expires_ms)
    return OK


def pfdebug(view: View, args: list[bytes], proto: int) -> bytes:
    """What Redis's own tests ask; TODENSE and GETREG make it dense, as there."""
    sub, key = args[1].upper(), Key(view, args[2])
    value = key.value
    if value is None:
        return error("The specified key does not exist")
    sketch = _sketch(value)
    if sub == b"ENCODING":
        return simple("dense" if sketch.is_dense else "sparse")
    if sub == b"DECODE":
        return error("HLL encoding is not sparse") if sketch.is_dense else text(sketch.described())
    if sub not in (b"TODENSE", b"GETREG"):
        return error(b"Unknown PFDEBUG subcommand '%b'" % args[1][:128])
    was_sparse = not sketch.is_dense
    if was_sparse:
        try:
            sketch.make_dense()
        except Corrupted:
            return _CORRUPTED
        key.set(sketch.value, key.expires_ms)
    if sub == b"TODENSE":
        return ONE if was_sparse else ZERO
    return array([integer_reply(count) for count in sketch.registers()])


def _union(view: View, names: list[bytes]) -> tuple[bytes, bool]:
    """The highest of each register, and whether any of the keys is dense. Raises ReplyError, TooLarge."""
    if len(names) > MAX_SKETCHES:
        raise TooLarge(f"{len(names)} HyperLogLogs in one command are over the limit of {MAX_SKETCHES}")
    registers, dense = bytes(REGISTERS), False
    for name in names:
        value = get_value(view, name)
        if value is None:
            continue
        sketch = _sketch(value)
        dense |= sketch.is_dense
        try:
            registers = highest(registers, sketch.registers())
        except Corrupted as corrupted:
            raise ReplyError(_CORRUPTED) from corrupted
    return registers, dense
