"""Collections whose members lie in the order of their hashes: hashes and sets.

The hash (crc32c, 4 bytes) stands before the member, so that a random member is found by a seek, and a scan of any node
continues at any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from random import Random
from typing import Final, TypeVar

from crc32c import crc32c

from ....core.batch.overlay import MAX_KEY_BYTES
from ....errors import TooLarge
from .collection import Collection
from .keys import PAGE_BYTES

MAX_MEMBER_BYTES = MAX_KEY_BYTES - 16
"""Longest member: it is part of a row's key."""
CHANCE: Final = Random()
"""What is random is decided at the node that evaluates; what is replicated are the writes. Tests seed it."""
FEW = 128
"""Of so many members all are looked at to choose one."""
_SLOTS = 24
"""Of a bucket: far more than it has members, 4 to 8 on average."""
HASHES = 1 << 32
T = TypeVar("T")


class HashedCollection(Collection):
    """Members by their names. `members` is the order in which they lie."""

    __slots__ = ()

    def get(self, member: bytes) -> bytes | None:
        return super().get(_place(member)) if len(member) <= MAX_MEMBER_BYTES else None

    def put(self, member: bytes, value: bytes) -> None:
        """Write a member; `size` is the caller's to keep. Raises TooLarge."""
        if len(member) > MAX_MEMBER_BYTES:
            raise TooLarge(f"a member of {len(member)} bytes is over the limit of {MAX_MEMBER_BYTES}")
        super().put(_place(member), value)

    def delete(self, member: bytes) -> None:
        super().delete(_place(member))

    def members(self, first_hash: int = 0, after_hash: int = HASHES) -> Iterator[tuple[bytes, bytes]]:
        """Those with first_hash <= hash < after_hash, and their values."""
        end = None if after_hash >= HASHES else after_hash.to_bytes(4, "big")
        for where, value in self.scan(first_hash.to_bytes(4, "big"), end):
            yield where[4:], value

    def page(self, first_hash: int, count: int, max_name_bytes: int = PAGE_BYTES) -> tuple[list[tuple[bytes, bytes]], int]:
        """At least `count` members, fewer if they are large, and the hash to go on from; 0: there are no more."""
        page: list[tuple[bytes, bytes]] = []
        previous = b""
        name_bytes = value_bytes = 0
        for where, value in self.scan(first_hash.to_bytes(4, "big")):
            at = where[:4]
            if at != previous and (len(page) >= count or name_bytes >= max_name_bytes or value_bytes >= PAGE_BYTES):
                return page, int.from_bytes(at, "big")
            previous = at
            name_bytes += len(where)
            value_bytes += len(value)
            page.append((where[4:], value))
        return page, 0

    def sample(self, count: int) -> list[tuple[bytes, bytes]]:
        """So many different members, each as likely as any other, in no order. `count` is at most `size`."""
        if self.size <= FEW or count * 3 > self.size:
            return CHANCE.sample(list(self.members()), count)
        found: dict[bytes, bytes] = {}
        for member, value in random_places(self.members, self.size, count):
            found[member] = value
            if len(found) == count:
                return list(found.items())
        while len(found) < count:  # somebody has chosen members whose hashes leave the buckets empty
            first = CHANCE.randrange(HASHES)
            found.update(islice((pair for at in (first, 0) for pair in self.members(at) if pair[0] not in found), 1))
        return list(found.items())

    def draw(self, count: int) -> list[tuple[bytes, bytes]]:
        """So many members, each chosen among all; it costs some rows for each, or as many as there are."""
        if self.size <= max(FEW, 2 * count):
            return CHANCE.choices(list(self.members()), k=count)
        drawn = list(islice(random_places(self.members, self.size, count), count))
        drawn += [self.sample(1)[0] for _ in range(count - len(drawn))]
        CHANCE.shuffle(drawn)
        return drawn


def random_places(between: Callable[[int, int], Iterator[T]], size: int, count: int) -> Iterator[T]:
    """Some of what lies in the order of hashes, each as likely as any other; one may come again. As many tries as finding
    `count` of them takes, and many more.

    `between` yields what lies between two hashes; `size` is how many there are.
    """
    width = HASHES >> (max(1, size >> 2).bit_length() - 1)
    slots = 1 if count <= FEW else _SLOTS // 2
    for _ in range(count * _SLOTS + 4 * FEW):
        # each slot of each bucket is chosen as often, and most have no member: so all members are chosen as often
        first = CHANCE.randrange(0, HASHES, width)
        bucket = list(islice(between(first, first + width), _SLOTS))
        for slot in CHANCE.sample(range(_SLOTS), slots):
            if slot < len(bucket):
                yield bucket[slot]


def _place(member: bytes) -> bytes:
    return crc32c(member).to_bytes(4, "big") + member
