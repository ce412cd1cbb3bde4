"""`paxosstore card`: one call of the card service, in one line."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from ..errors import InvalidRequest

if TYPE_CHECKING:
    from ..services.card.card_pb2 import CardResponse
    from ..services.card.client import CardClient

MAX_CARD = 2**64 - 1


class CardRefused(Exception):
    """The service answered that a rule does not hold; nothing was changed."""


def call(servers: Sequence[str], timeout_s: float, card_id: int, ask: Callable[[CardClient], Awaitable[CardResponse]]) -> str:
    """Ask the service for one thing and say how it went. Raises CardRefused for its codes, and the error tree."""
    import asyncio

    from ..services.card.card_pb2 import OK
    from ..services.card.client import CardClient
    from ..services.card.rules import entity_of, explain
    from .config import parse_address

    if not 0 <= card_id <= MAX_CARD:
        raise InvalidRequest(f"card {card_id}: a card id is 0 to {MAX_CARD}")
    addresses = [str(parse_address(server, "--server")) for server in servers]

    async def once() -> CardResponse:
        async with CardClient(addresses, timeout_s) as client:
            return await ask(client)

    response = asyncio.run(once())
    if response.code != OK:
        raise CardRefused(f"card {card_id}: {explain(response.code)} ({int(response.code)})")
    card = response.card_info
    changed = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(card.last_modified_time))
    return (
        f"card {card_id}: balance {card.balance}, user {card.user_name!r} ({card.user_id}), "
        f"changed {changed}, entity {entity_of(card_id)}"
    )
