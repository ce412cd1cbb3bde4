"""The feed of applied entries: whoever follows an entity is told each entry that this node has applied to it, once, in order.

It is told when the turn that has applied an entry is durable, and the write batch that it is given is the entry's own: nothing is
computed or copied for it, and for an entity that nobody follows there is nothing at all. One mechanism for all that wait for
changes: `Node.watch` (watch.py), blocked clients and notifications of the Redis service.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from ..core.batch.overlay import WriteBatch
from ..core.entity.divergence import decode
from ..core.interface.ready import Apply, Change, EndInstall, StopEntity
from ..errors import Diverged, PaxosStoreError

log = logging.getLogger(__name__)


class Follower(Protocol):
    """Follows one entity. Called on the loop, between turns: its methods are quick, and raise nothing."""

    def applied(self, entry: int, batch: WriteBatch) -> None:
        """This entry is applied. The batch is shared: it must not be changed."""
        ...

    def replaced(self, entry: int) -> None:
        """A copy of a peer's data has taken the place of what was here: it is as after this entry. Of those that were skipped
        nothing is told."""
        ...

    def ended(self, error: PaxosStoreError) -> None:
        """Nothing more is told, for the node stops or the entity is stopped: the follower is forgotten."""
        ...


class Feed:
    """Who follows which entity at this node. It outlives a stop of the node, its followers do not."""

    def __init__(self, me: int) -> None:
        self._me = me
        self._followers: dict[int, tuple[Follower, ...]] = {}

    def __bool__(self) -> bool:
        """Whether there is anybody to be told."""
        return bool(self._followers)

    def __len__(self) -> int:
        """How many follow."""
        return sum(map(len, self._followers.values()))

    def follow(self, entity: int, follower: Follower) -> None:
        """Tell it what is applied from now on: the turn that is being synced comes too."""
        self._followers[entity] = (*self._followers.get(entity, ()), follower)

    def leave(self, entity: int, follower: Follower) -> None:
        """Tell it nothing more. Safe to repeat."""
        left = tuple(other for other in self._followers.get(entity, ()) if other is not follower)
        if left:
            self._followers[entity] = left
        else:
            self._followers.pop(entity, None)

    def take(self, applies: Sequence[Apply], changes: Sequence[Change]) -> None:
        """A turn is durable that has written this: the changes first, then what is applied."""
        for change in changes:
            if type(change) is EndInstall:
                for follower in self._followers.get(change.entity, ()):
                    self._tell(follower.replaced, change.committed)
            elif type(change) is StopEntity and change.reason:
                self._end(change.entity, Diverged(decode(change.reason).describe(change.entity, self._me)))
        for entity, entry, batch in applies:
            for follower in self._followers.get(entity, ()):
                self._tell(follower.applied, entry, batch)

    def stop(self, error: PaxosStoreError) -> None:
        """The node stops: end what everybody is told."""
        for entity in list(self._followers):
            self._end(entity, error)

    def clear(self) -> None:
        """Forget all followers, without a word: their loop is closed."""
        self._followers.clear()

    def _end(self, entity: int, error: PaxosStoreError) -> None:
        for follower in self._followers.pop(entity, ()):
            self._tell(follower.ended, error)

    @staticmethod
    def _tell(tell: Callable[..., None], *what: object) -> None:
        try:
            tell(*what)
        except Exception:
            log.exception("a follower could not take what was applied")
