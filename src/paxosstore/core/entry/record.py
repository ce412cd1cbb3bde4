"""One acceptor's row for one entry, and the value in it."""

from __future__ import annotations

from typing import NamedTuple


class Value(NamedTuple):
    """What is agreed on: an id (rule 4) and an encoded write batch (the uuids of its requests are among the writes)."""

    id: bytes
    body: bytes


class Record(NamedTuple):
    """An acceptor's row. Ballots are 0 where there is none.

    Invariants: prepared <= promised, accepted <= promised; accepted implies a value; chosen implies accepted.
    A value with accepted == 0 is a peer's pre-auth proposal whose own row is not durable yet (rule 6).
    """

    prepared: int = 0
    """Highest ballot that this acceptor itself prepared or proposed with."""
    promised: int = 0
    """Nothing below this ballot will be accepted."""
    accepted: int = 0
    """Ballot under which `value` was accepted."""
    value: Value | None = None
    chosen: bool = False

    @property
    def is_empty(self) -> bool:
        return self.promised == 0 and not self.chosen


EMPTY = Record()


def validate(record: Record) -> None:
    """Assert the invariants of a row that is stored or about to be."""
    assert 0 <= record.prepared <= record.promised, record
    assert 0 <= record.accepted <= record.promised, record
    assert record.accepted == 0 or record.value is not None, record
    assert not record.chosen or record.accepted > 0, record


def is_newer(one: Record, other: Record) -> bool:
    """Whether `one` shows a later state of the same acceptor's row than `other`.

    An acceptor's row only moves forward, so any part that is ahead makes the whole newer.
    """
    return (
        one.promised > other.promised
        or one.accepted > other.accepted
        or one.prepared > other.prepared
        or (one.chosen and not other.chosen)
        or (one.accepted == 0 and other.value is None and one.value is not None)
    )


def needs_sync(old: Record, new: Record) -> bool:
    """Whether going from `old` to `new` must be durable before it shows (rule 7): all but the chosen mark."""
    return (
        old.promised != new.promised
        or old.accepted != new.accepted
        or old.prepared != new.prepared
        or (old.value is None) != (new.value is None)
    )
