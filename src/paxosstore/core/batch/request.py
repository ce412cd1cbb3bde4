"""What a client wants done to one entity, and how it ends."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import ClassVar

from mypy_extensions import mypyc_attr

from ...errors import PaxosStoreError
from .overlay import View
from .published import Published

REQUEST_BYTES = 512
"""What a waiting request takes of memory, besides what it carries."""
DIGEST_BYTES = 16


def digest_of(handler: str, payload: bytes) -> bytes:
    """What tells a request from another under the same uuid, the same on every node."""
    name = handler.encode()
    return blake2b(b"%d %b%b" % (len(name), name, payload), digest_size=DIGEST_BYTES).digest()


FUNCTION = digest_of("", b"function")
"""A function of this process: nothing tells it from another one."""
AT_ENTRY = digest_of("", b"at entry")
"""Writes for exactly one entry (run_paxos)."""
WAS_READ = digest_of("", b"was read")
"""A read that was handed over, and then became a write here: what a peer answers to it as a read is no outcome of the write."""


@mypyc_attr(allow_interpreted_subclasses=True)  # by each service
class Request:
    """One request. Subclasses say what it does (`evaluate`) and where its outcome goes (`settle`).

    Every request ends in exactly one call of `settle`: done (a reply), refused (an error whose outcome is known: nothing
    happened) or unknown (`OutcomeUnknown`).
    """

    __slots__ = (
        "arrived_ms",
        "at_entry",
        "commit_limit",
        "deadline_ms",
        "digest",
        "entity",
        "exposed",
        "floor",
        "hand_over",
        "more_uuids",
        "published",
        "read_only",
        "settled",
        "size",
        "taken_back",
        "uuid",
        "was_read",
    )

    handler: ClassVar[str] = ""
    """Name under which every node knows how to run `payload()`. Empty: this request cannot be handed over."""

    def __init__(
        self, entity: int, *, read_only: bool = False, uuid: bytes = b"", floor: int = 0, deadline_ms: float = 0.0
    ) -> None:
        self.entity = entity
        self.read_only = read_only
        self.was_read = False
        """It came as a read, and has met what only a write may see (`View.require_write`)."""
        self.uuid = uuid
        """16 bytes under which a repetition is recognised (rule 15); empty: none was given."""
        self.digest = b""
        """`digest_of` it, so that another one under its uuid is refused; empty: a node drew the uuid, and nobody else has it."""
        self.more_uuids: tuple[bytes, ...] = ()
        """Further uuids that must not have been applied and are applied with it; for `at_entry` only."""
        self.floor = floor
        """Highest entry known to be chosen when the request was first seen; 0: unknown."""
        self.deadline_ms = deadline_ms
        """On the monotonic clock of the node; 0: the default timeout from now."""
        self.arrived_ms = 0.0
        """When the shard first saw it; 0: not yet."""
        self.at_entry = 0
        """Propose at exactly this entry or not at all; 0: wherever it fits."""
        self.commit_limit = 0
        """For a read-only request, not 0: end with CommitLimitReached once so many entries had to be applied first."""
        self.exposed = False
        """Whether it has left this node in a way that may make it happen without us."""
        self.taken_back = False
        """Whether it was handed over and taken back, or not taken: a copy of it may still be on its way to be run."""
        self.hand_over = 0
        """Which hand-over of this node it was last, counted from 1."""
        self.published: Sequence[Published] = ()
        """By its last evaluation, here or at a peer: it leaves when that is decided (`View.publish`)."""
        self.settled = False
        self.size = 0
        """Bytes of what it carries, as far as they count: they are in memory until it ends."""

    def evaluate(self, view: View) -> object:
        """Read and write the entity's keys and return the reply, as bytes (None: an empty one): what it really is, is checked.

        May run several times; one takes effect.
        """
        raise AssertionError("a request must say what it does")

    def payload(self) -> bytes:
        """The request as bytes for another node's `handler`."""
        raise AssertionError("a request with a handler must say its payload")

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        """Take the outcome: a reply if error is None."""
        raise AssertionError("a request must take its outcome")
