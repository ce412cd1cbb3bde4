"""The digests of what a store holds (core/interface/digest.py), in memory: added to with each write, built anew at each opening.

The build runs in a thread, over what the table held when it was opened, while writes add to the same sums: their order does not
matter. Until it is over nothing is told.
"""

from __future__ import annotations

import sys
import threading
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from mmap import mmap
from typing import Final

from ..core.interface.digest import BUCKETS, CHILDREN, LEVELS, MASK, NODE_BYTES, bucket_of, place_of, weight
from ..errors import NotServing, PaxosStoreError
from .epochs import Span

_UPPER: Final = 3
"""The other level that is kept; what lies between is added up when it is asked for."""
_PER_UPPER: Final = CHILDREN ** (LEVELS - _UPPER)
_PIECE: Final = 128
"""So many entities are added at a time: whoever writes meanwhile waits for no more."""


def _zeros(count: int) -> memoryview:
    """So many numbers of 64 bits. The operating system provides the memory when it is first written to."""
    return memoryview(mmap(-1, count * NODE_BYTES)).cast("Q")


class Digests:
    """Some 8 MB at the most. All but `build` belongs to the thread that writes."""

    def __init__(self) -> None:
        self.ready = False
        """Whether all that the store holds is in it."""
        self.trouble = ""
        """Why it never will be; empty: it is, or will be soon."""
        self._buckets = _zeros(BUCKETS)
        self._upper = _zeros(CHILDREN**_UPPER)
        self._adding = threading.Lock()
        self._below_root: bytes | None = None
        """What was told last at the root, where each comparison begins; None: something was added since."""

    def applied(self, spans: Mapping[int, Span]) -> None:
        """These entries of these entities were applied."""
        with self._adding:
            for entity, (first, last) in spans.items():
                self._add(entity, last + 1 - first)

    def build(self, committed: Iterable[tuple[int, int]], rest: Callable[[], bool] = lambda: True) -> None:
        """Add what the table holds already; for a thread of its own. Raises nothing.

        `rest` is called after each piece, and says whether to go on.
        """
        pairs = iter(committed)
        try:
            while piece := list(islice(pairs, _PIECE)):
                with self._adding:
                    for entity, entry in piece:
                        self._add(entity, entry)
                if not rest():
                    return
        except NotServing:
            return  # the store was closed
        except PaxosStoreError as error:
            self.trouble = str(error)
            return
        self.ready = True

    @property
    def lacking(self) -> str:
        """Why they are not known; empty: they are."""
        return "" if self.ready else self.trouble or "they are being added up"

    def of_children(self, level: int, nodes: Sequence[int]) -> bytes | None:
        """The digests of all children of these nodes of a level, one after the other. None: they are not ready yet."""
        if not self.ready:
            return None
        if level == 0 and self._below_root is not None:
            return self._below_root * len(nodes)
        kept = {_UPPER: self._upper, LEVELS: self._buckets}.get(level + 1)
        if kept is not None:
            found = array("Q", b"".join(kept[node * CHILDREN : (node + 1) * CHILDREN] for node in nodes))
        else:
            digest = self._summed(level + 1)
            children = (child for node in nodes for child in range(node * CHILDREN, (node + 1) * CHILDREN))
            found = array("Q", map(digest, children))
        if sys.byteorder == "big":
            found.byteswap()
        told = found.tobytes()
        if level == 0 and len(nodes) == 1:
            self._below_root = told
        return told

    def _add(self, entity: int, entries: int) -> None:
        place = place_of(entity)
        bucket = bucket_of(place)
        added = weight(place) * entries
        self._buckets[bucket] = self._buckets[bucket] + added & MASK
        above = bucket // _PER_UPPER
        self._upper[above] = self._upper[above] + added & MASK
        self._below_root = None

    def _summed(self, level: int) -> Callable[[int], int]:
        """Gives the digest of a node of an inner level."""
        kept, at = (self._upper, _UPPER) if level <= _UPPER else (self._buckets, LEVELS)
        width = CHILDREN ** (at - level)
        return lambda node: sum(kept[node * width : (node + 1) * width]) & MASK
