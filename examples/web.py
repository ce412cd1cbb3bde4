"""The cards over HTTP, by FastAPI: any number of these processes, in front of any of the nodes.

Whoever sends a uuid of its own as `Idempotency-Key` may repeat a request, to any process: it is done once.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import FastAPI, Header, Path, Request, Response
from pydantic import BaseModel, Field

from cards import Card, Change, entity_of
from paxosstore import AsyncClient, CallerError, OutcomeUnknown, PaxosStoreError, Refused

SERVERS = os.environ.get("SERVERS", "127.0.0.1:7401,127.0.0.1:7411,127.0.0.1:7421")
Number = Annotated[int, Path(ge=0, lt=2**63)]
Key = Annotated[UUID | None, Header(alias="Idempotency-Key")]


class NewCard(BaseModel):
    balance: Annotated[int, Field(ge=0, lt=2**63)] = 0


class Delta(BaseModel):
    delta: Annotated[int, Field(gt=-(2**63), lt=2**63)]


@asynccontextmanager
async def lifespan(web: FastAPI) -> AsyncIterator[None]:
    async with AsyncClient(SERVERS.split(",")) as web.state.store:
        yield


web = FastAPI(title="Cards", lifespan=lifespan)


@web.put("/cards/{card}")
async def insert(request: Request, card: Number, new: NewCard, key: Key = None) -> Response:
    return json(await store(request).call("insert", entity_of(card), Card(card, new.balance), uuid=key or b""))


@web.post("/cards/{card}")
async def update(request: Request, card: Number, change: Delta, key: Key = None) -> Response:
    return json(await store(request).call("update", entity_of(card), Change(card, change.delta), uuid=key or b""))


@web.delete("/cards/{card}")
async def delete(request: Request, card: Number, key: Key = None) -> Response:
    return json(await store(request).call("delete", entity_of(card), card, uuid=key or b""))


@web.get("/cards/{card}")
async def select(request: Request, card: Number) -> Response:
    return json(await store(request).read("select", entity_of(card), card))


@web.exception_handler(PaxosStoreError)
async def failed(request: Request, error: PaxosStoreError) -> Response:
    """What the application says no to is 409, with its reason; nothing else may be taken for that."""
    if isinstance(error, Refused):
        return json(msgspec.json.encode({"reason": error.reason, "data": error.data}), 409)
    status = 504 if isinstance(error, OutcomeUnknown) else 400 if isinstance(error, CallerError) else 503
    return json(msgspec.json.encode({"reason": error.code, "data": str(error)}), status)


def store(request: Request) -> AsyncClient:
    found: AsyncClient = request.app.state.store
    return found


def json(content: bytes, status: int = 200) -> Response:
    """What a handler returns is JSON already."""
    return Response(content, status, media_type="application/json")
