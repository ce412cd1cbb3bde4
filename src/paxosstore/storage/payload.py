"""What the journal says of a write: a value's bytes once, with the row that first holds it; whatever comes after names that row.

    0x01 │ msgpack [operations, marks, applies]

    operations   what is written as it stands here: changes, and rows whose value the journal does not have yet
    marks        [entity, entry, prepared, promised, accepted, chosen]: the row has the value that it had before
    applies      [entity, entry, nil]: the writes are in the row's value; or [entity, entry, operations]

They happen in this order. A payload that begins otherwise is one of before, a list of operations. Replay finds the row that is
named in the same batch, or in the table: a row is only deleted from there once all that names it is in the table, durably
(expiry.py). The writes go to the data that is in force by then: as the same batch says, or the table (generations.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ..core.batch.overlay import WriteBatch
from ..core.entry.record import Record, Value
from ..core.interface.ready import Apply, Change, ResetEntity
from ..errors import InvalidRequest
from .body import MsgpackBodyCodec
from .damage import damaged
from .generations import Generations, generation_of
from .keys import META, PLOG, plog_key
from .marks import GENERATION
from .operations import Operation, add_change, apply_operations, committed_operation
from .record_codec import decode_row, encode_row

_VERSION: Final = b"\x01"
"""No list of msgpack begins with this byte."""
MAX_KNOWN = 65_536
MAX_KNOWN_BYTES: Final = 16 * 1024 * 1024
"""Values that are known to be in the journal, until they are applied. With more, all are forgotten, and written once more."""

Place = tuple[int, int]
"""(entity, entry)"""
_Marks = list[tuple[int, int, int, int, int, bool]]
_Applies = list[tuple[int, int, list[Operation] | None]]

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[list[Operation], _Marks, _Applies]).decode
_body: Final = MsgpackBodyCodec()
_decode_before: Final = msgspec.msgpack.Decoder(list[Operation]).decode


class Payloads:
    """Makes the payloads of one journal, one after the other; knows which values it holds."""

    def __init__(self, generations: Generations) -> None:
        self._generations = generations
        self._known: dict[Place, Value] = {}
        self._bytes = 0

    def of(
        self, records: Mapping[Place, Record], applies: Sequence[Apply], changes: Sequence[Change]
    ) -> tuple[list[Operation], bytes, int]:
        """What a write does to the table, what the journal says of it, and the bytes of its chosen rows.

        In the order of `Store.write`.
        """
        for change in changes:
            if isinstance(change, ResetEntity):  # what they are named by is not in the table any more
                for place in [place for place in self._known if place[0] == change.entity]:
                    self._forget(place)
        chosen_bytes = 0
        operations: list[Operation] = []
        generations = self._generations.ahead()
        for change in changes:
            add_change(operations, change, generations)
        said = operations.copy()
        marks: _Marks = []
        known = self._known
        for place, record in records.items():
            key = plog_key(*place)
            row = PLOG + key, encode_row(key, record)
            operations.append(row)
            if record.chosen:
                chosen_bytes += len(row[1])
            value = known.get(place)
            if value is not None and record.value is not None and record.value.id == value.id:
                marks.append((*place, record.prepared, record.promised, record.accepted, record.chosen))
            else:
                said.append(row)
        named: _Applies = []
        committed: dict[int, Operation] = {}
        for entity, entry, batch in applies:
            place = entity, entry
            writes = apply_operations(entity, batch, generations.of(entity))
            operations += writes
            value = records[place].value if place in records else known.get(place)
            named.append((entity, entry, None if value is not None and self._is(batch, value) else writes))
            committed[entity] = committed_operation(entity, entry)
        operations += committed.values()
        return operations, _VERSION + _encode((said, marks, named)), chosen_bytes

    def written(self, records: Mapping[Place, Record], applies: Sequence[Apply]) -> None:
        """A payload is in the journal: what it holds can be named from now on."""
        known = self._known
        for place, record in records.items():
            value = record.value
            if place in known:
                if value is not None and known[place].id == value.id:
                    continue
                self._forget(place)
            if value is not None:
                known[place] = value
                self._bytes += len(value.body)
        for entity, entry, _ in applies:
            self._forget((entity, entry))
        if len(known) > MAX_KNOWN or self._bytes > MAX_KNOWN_BYTES:
            known.clear()
            self._bytes = 0

    def _is(self, batch: WriteBatch, value: Value) -> bool:
        """Whether a value says exactly this."""
        try:
            return _body.encode(batch) == value.body
        except InvalidRequest:
            return False

    def _forget(self, place: Place) -> None:
        value = self._known.pop(place, None)
        if value is not None:
            self._bytes -= len(value.body)


def replayed(payload: bytes, get: Callable[[bytes], bytes | None], place: Path) -> list[Operation]:
    """What a write did, from what the journal says of it, over what `get` finds in the table. Raises Damaged.

    `place` is the journal, for errors.
    """
    if not payload.startswith(_VERSION):
        return _decode_before(payload)
    operations, marks, applies = _decode(memoryview(payload)[len(_VERSION) :])
    rows = {key: value for key, value in operations if isinstance(value, bytes) and key.startswith(PLOG)}
    turned = {key: value for key, value in operations if not isinstance(value, tuple) and key.startswith(META + GENERATION)}

    def in_force(entity: int) -> bytes:
        """Where the data of an entity is after the changes, which come first."""
        return generation_of(entity, lambda key: turned[key] if key in turned else get(key), place)

    def named(entity: int, entry: int) -> Value:
        key = PLOG + plog_key(entity, entry)
        row = rows.get(key) or get(key)
        value = None if row is None else decode_row(entity, entry, row, place).value
        if value is None:
            raise damaged(place, f"names the value of entity {entity}, entry {entry}, which is not there")
        return value

    for entity, entry, prepared, promised, accepted, chosen in marks:
        key = plog_key(entity, entry)
        row = encode_row(key, Record(prepared, promised, accepted, named(entity, entry), chosen))
        rows[PLOG + key] = row
        operations.append((PLOG + key, row))
    for entity, entry, writes in applies:
        if writes is None:
            writes = apply_operations(entity, _body.decode(named(entity, entry).body), in_force(entity))
        operations += writes
        operations.append(committed_operation(entity, entry))
    return operations
