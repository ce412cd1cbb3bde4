"""The client for asyncio: `from paxosstore.redis.asyncio import Redis`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

import redis.asyncio
from redis.asyncio.client import Pipeline as BasePipeline
from redis.asyncio.connection import Connection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, ResponseError, TimeoutError, WatchError

from .once import (
    ONCE,
    PATIENCE_S,
    RETRIED,
    Answers,
    Begun,
    Clock,
    Nodes,
    Waiting,
    check_again,
    limit,
    multi_of,
    nodes_of,
    patience,
    pool_over,
    reply_timeout_s,
    told,
    under_uuid,
)

T = TypeVar("T")


class Patience(Retry):
    """Tries for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(NoBackoff(), -1, RETRIED)
        self.seconds = seconds

    async def call_with_retry(
        self,
        do: Callable[[], Awaitable[T]],
        fail: Callable[..., Awaitable[Any]],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> T:
        with limit(self.seconds):
            for failures, pause_s in enumerate(patience(), 1):
                try:
                    return await do()
                except RETRIED as error:
                    if is_retryable and not is_retryable(error):
                        raise
                    await (fail(error, failures) if with_failure_count else fail(error))
                await asyncio.sleep(pause_s)
            return await do()


class NodeConnection(Connection):
    """A connection to the node that is used now, each time it is made."""

    def __init__(self, *args: Any, nodes: Nodes, **options: Any) -> None:
        self.nodes = nodes
        super().__init__(*args, **options)

    def _leave(self) -> None:
        self.nodes.leave(self.host, self.port)

    async def _connect(self) -> None:
        self.host, self.port = self.nodes.current
        try:
            await super()._connect()
        except OSError:
            self._leave()
            raise

    async def connect_check_health(self, *args: Any, **options: Any) -> None:
        try:
            await super().connect_check_health(*args, **options)
        except RETRIED:
            self._leave()
            raise

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except ResponseError as error:
            again = told(error)
            if again is None:
                raise
            self._leave()
            raise again from error
        except (ConnectionError, TimeoutError):
            if "timeout" not in options:  # else nothing has come for so long, which nobody had to send
                self._leave()
            raise


class Redis(redis.asyncio.Redis):
    """redis-py's client for all nodes of a cluster; see the package."""

    def __init__(
        self, nodes: Sequence[str | tuple[str, int]] = (), *, db: int = 0, patience_s: float = PATIENCE_S, **options: Any
    ) -> None:
        """As that of the client that blocks."""
        if "connection_pool" not in options:
            pool = pool_over(ConnectionPool, NodeConnection, Patience(patience_s), nodes, {"db": db, **options})
            super().__init__(connection_pool=pool)
            self.auto_close_connection_pool = True
        else:
            super().__init__(**options)
        self.clock = Clock()
        self._patience_s = patience_s
        self.set_response_callback(ONCE, self._told)

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Redis:  # type: ignore[override]  # redis-py gives each of its options a place
        """Of "redis://node-a:6379,node-b:6379/0"."""
        nodes, db = nodes_of(url)
        return cls(nodes, db=db, **options)

    async def uuid(self) -> bytes:
        """A new one, by the store's time."""
        if self.clock.due:
            self.clock.learn(*await super().execute_command("TIME"))
        return self.clock.uuid()

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        words = under_uuid(args)
        if words is not None:
            return await self.do_once(await self.uuid(), words, once_of=args[0], **options)
        waiting = Waiting.of(args, self._patience_s)
        if waiting is None:
            return await super().execute_command(*args, **options)
        while True:
            try:
                with waiting.trying() as left:
                    return await super().execute_command(*left, **options)
            except RETRIED as error:
                pause_s = waiting.pause(error)
            await asyncio.sleep(pause_s)

    async def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        # not by the reading's own `timeout`: what comes after that would be read as the next command's reply
        usual_s = connection.socket_timeout
        connection.socket_timeout = reply_timeout_s(usual_s)
        try:
            return await super().parse_response(connection, command_name, **options)
        finally:
            connection.socket_timeout = usual_s

    async def do_once(self, uuid: bytes, words: Sequence[Any], **options: Any) -> Any:
        """A command, under a uuid under which it may have been sent before."""
        return await super().execute_command(ONCE, uuid, *words, **options)

    def _told(self, response: Any, once_of: Any = "", **options: Any) -> Any:
        """A command has answered under its uuid."""
        callback = self.response_callbacks.get(once_of)
        return callback(response, **options) if callback is not None else response

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        pipeline = Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipeline.owner, pipeline._atomic, pipeline._answers = self, transaction, Answers()
        return pipeline


class Pipeline(BasePipeline):
    """Commands in one go: a transaction, which is executed once, or each of them under a uuid of its own."""

    owner: Redis
    _answers: Answers
    _atomic = True
    _uuid = b""
    _repeated = False
    """EXEC may have been done, and what was watched for it is not any more."""

    _unwatched = False
    """What was watched may have changed: the connection that would have told so was lost."""

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        words = under_uuid(args)
        if words is None:
            self._unwatched &= args[0] != "UNWATCH"
            return await super().immediate_execute_command(*args, **options)
        uuid, options = await self.owner.uuid(), {**options, "once_of": args[0]}
        try:
            return await super().immediate_execute_command(ONCE, uuid, *words, **options)
        except WatchError:  # it may have been done; what it has to tell is told, and that the watch is lost by EXEC
            found = await self.owner.do_once(uuid, words, **options)
            self.watching = self._unwatched = True
            return found

    async def reset(self) -> Any:
        self._unwatched = False
        await super().reset()

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        if self._unwatched:
            await self.reset()
            raise WatchError("the connection was lost while one or more keys were watched")
        self._repeated, self._answers = False, Answers()
        if self._atomic or self.explicit_transaction:
            self._uuid = await self.owner.uuid()
        else:
            self.command_stack = [await self._marked(args, options) for args, options in self.command_stack]
        found: list[Any] = await super().execute(raise_on_error)
        return found

    async def _marked(self, args: Any, options: Any) -> tuple[Any, Any]:
        words = under_uuid(args)
        return (args, options) if words is None else ((ONCE, await self.owner.uuid(), *words), {**options, "once_of": args[0]})

    async def _execute_transaction(self, connection: Any, commands: Any, raise_on_error: bool) -> Any:
        multi = multi_of(self._uuid, repeated=self._repeated)
        return await super()._execute_transaction(cast(Any, Begun(connection, multi)), commands, raise_on_error)

    async def _execute_pipeline(self, connection: Any, commands: Any, raise_on_error: bool) -> Any:
        known = self._answers.begin()
        responses = [*known, *await super()._execute_pipeline(connection, commands[len(known) :], False)]
        check_again(responses)
        if raise_on_error:
            self.raise_first_error(commands, responses)
        return responses

    async def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        try:
            reply = await super().parse_response(connection, command_name, **options)
        except ResponseError as error:
            self._answers.note(error)
            raise
        self._answers.note(reply)
        return reply

    async def _disconnect_raise_on_watching(self, *args: Any, **options: Any) -> None:
        """A repetition under the uuid tells whether it was done; if it was not, it is not done: WatchError."""
        self._repeated, self.watching = self._repeated or self.watching, False
        await super()._disconnect_raise_on_watching(*args, **options)
