"""The client that knows several nodes: what it says when the time is up."""

from __future__ import annotations

import asyncio

import pytest

from paxosstore.cli.resp_client import RespClient
from paxosstore.errors import NoQuorum, OutcomeUnknown


@pytest.mark.parametrize(
    ("answers", "error"),
    [(b"-NOQUORUM alone\r\n", NoQuorum), (b"-UNKNOWN late\r\n-NOQUORUM alone\r\n", OutcomeUnknown)],
    ids=["refused each time", "unknown the first time"],
)
def test_nothing_happened_is_said_only_if_no_sending_may_have_happened(answers: bytes, error: type[Exception]) -> None:
    async def story() -> None:
        waiting = answers.splitlines(keepends=True)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1_000)
            writer.write(waiting.pop(0) if len(waiting) > 1 else waiting[0])
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server, RespClient([server.sockets[0].getsockname()[:2]], timeout_s=5.0) as client:
            with pytest.raises(error):
                await client.repeat("SET", "k", "v", within_s=0.05)

    asyncio.run(story())
