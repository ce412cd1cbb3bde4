"""One more try of a request that has ended, as another object: the store may still hold the one of the try before."""

from __future__ import annotations

from ...core.batch.overlay import View
from ...core.batch.request import Request
from ...errors import PaxosStoreError


class Again(Request):
    """Does what the request does whose try this is, and ends as it would."""

    __slots__ = ("_first", "handler")

    def __init__(self, first: Request, *, read_only: bool, handler: str, uuid: bytes = b"") -> None:
        """`handler`: empty if no peer is to run it. Of the first one's, only the digest goes with the `uuid`."""
        super().__init__(first.entity, read_only=read_only, uuid=uuid)
        self._first = first
        self.handler = handler  # type: ignore[misc]  # a class constant elsewhere, a slot here
        self.size = first.size
        if uuid:
            self.digest = first.digest

    def evaluate(self, view: View) -> object:
        self._first.read_only = self.read_only  # it may have become a write
        return self._first.evaluate(view)

    def payload(self) -> bytes:
        self._first.read_only = self.read_only
        return self._first.payload()

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self._first.read_only = self.read_only
        self._first.settle(reply, error)
