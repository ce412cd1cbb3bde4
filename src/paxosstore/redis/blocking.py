"""The client for programs that block."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool
from redis.exceptions import ConnectionError, ResponseError, TimeoutError, WatchError
from redis.retry import Retry

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

    def call_with_retry(
        self,
        do: Callable[[], T],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> T:
        with limit(self.seconds):
            for failures, pause_s in enumerate(patience(), 1):
                try:
                    return do()
                except RETRIED as error:
                    if is_retryable and not is_retryable(error):
                        raise
                    fail(error, failures) if with_failure_count else fail(error)
                time.sleep(pause_s)
            return do()


class NodeConnection(Connection):
    """A connection to the node that is used now, each time it is made."""

    reading: Mapping[str, Any] = {}
    """Options of reading the reply to a command that waits."""

    def __init__(self, *args: Any, nodes: Nodes, **options: Any) -> None:
        self.nodes = nodes
        super().__init__(*args, **options)

    def _leave(self) -> None:
        self.nodes.leave(self.host, self.port)

    def _connect(self) -> Any:
        self.host, self.port = self.nodes.current
        try:
            return super()._connect()
        except OSError:
            self._leave()
            raise

    def connect_check_health(self, *args: Any, **options: Any) -> None:
        try:
            super().connect_check_health(*args, **options)
        except RETRIED:
            self._leave()
            raise

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **{**options, **self.reading})
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


class Redis(redis.Redis):
    """redis-py's client for all nodes of a cluster; see the package."""

    def __init__(
        self, nodes: Sequence[str | tuple[str, int]] = (), *, db: int = 0, patience_s: float = PATIENCE_S, **options: Any
    ) -> None:
        """`nodes`: "host:port", the first one is used until it fails. `patience_s`: for how long a command looks for a node that
        does it, before it raises what the last one said. Other options are those of redis-py's connections."""
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
    def from_url(cls, url: str, **options: Any) -> Redis:
        """Of "redis://node-a:6379,node-b:6379/0"."""
        nodes, db = nodes_of(url)
        return cls(nodes, db=db, **options)

    def uuid(self) -> bytes:
        """A new one, by the store's time."""
        if self.clock.due:
            self.clock.learn(*super().execute_command("TIME"))
        return self.clock.uuid()

    def execute_command(self, *args: Any, **options: Any) -> Any:
        words = under_uuid(args)
        if words is not None:
            return self.do_once(self.uuid(), words, once_of=args[0], **options)
        waiting = Waiting.of(args, self._patience_s)
        if waiting is None:
            return super().execute_command(*args, **options)
        while True:
            try:
                with waiting.trying() as left:
                    return super().execute_command(*left, **options)
            except RETRIED as error:
                pause_s = waiting.pause(error)
            time.sleep(pause_s)

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        usual_s = connection.socket_timeout
        timeout_s = reply_timeout_s(usual_s)
        if timeout_s == usual_s:
            return super().parse_response(connection, command_name, **options)
        connection.reading = {"timeout": timeout_s}
        try:
            return super().parse_response(connection, command_name, **options)
        finally:
            connection.reading = {}

    def do_once(self, uuid: bytes, words: Sequence[Any], **options: Any) -> Any:
        """A command, under a uuid under which it may have been sent before."""
        return super().execute_command(ONCE, uuid, *words, **options)

    def _told(self, response: Any, once_of: Any = "", **options: Any) -> Any:
        """A command has answered under its uuid."""
        callback = self.response_callbacks.get(once_of)
        return callback(response, **options) if callback is not None else response

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:
        pipeline = Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipeline.owner, pipeline._atomic, pipeline._answers = self, transaction, Answers()
        return pipeline


class Pipeline(redis.client.Pipeline):
    """Commands in one go: a transaction, which is executed once, or each of them under a uuid of its own."""

    owner: Redis
    _answers: Answers
    _atomic = True
    _uuid = b""
    _repeated = False
    """EXEC may have been done, and what was watched for it is not any more."""

    _unwatched = False
    """What was watched may have changed: the connection that would have told so was lost."""

    def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        words = under_uuid(args)
        if words is None:
            self._unwatched &= args[0] != "UNWATCH"
            return super().immediate_execute_command(*args, **options)
        uuid, options = self.owner.uuid(), {**options, "once_of": args[0]}
        try:
            return super().immediate_execute_command(ONCE, uuid, *words, **options)
        except WatchError:  # it may have been done; what it has to tell is told, and that the watch is lost by EXEC
            found = self.owner.do_once(uuid, words, **options)
            self.watching = self._unwatched = True
            return found

    def reset(self) -> Any:
        self._unwatched = False
        super().reset()

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        if self._unwatched:
            self.reset()
            raise WatchError("the connection was lost while one or more keys were watched")
        self._repeated, self._answers = False, Answers()
        if self._atomic or self.explicit_transaction:
            self._uuid = self.owner.uuid()
        else:
            self.command_stack = [self._marked(args, options) for args, options in self.command_stack]
        found: list[Any] = super().execute(raise_on_error)
        return found

    def _marked(self, args: Any, options: Any) -> tuple[Any, Any]:
        words = under_uuid(args)
        return (args, options) if words is None else ((ONCE, self.owner.uuid(), *words), {**options, "once_of": args[0]})

    def _execute_transaction(self, connection: Any, commands: Any, raise_on_error: bool) -> Any:
        multi = multi_of(self._uuid, repeated=self._repeated)
        return super()._execute_transaction(cast(Any, Begun(connection, multi)), commands, raise_on_error)

    def _execute_pipeline(self, connection: Any, commands: Any, raise_on_error: bool) -> Any:
        known = self._answers.begin()
        responses = [*known, *super()._execute_pipeline(connection, commands[len(known) :], False)]
        check_again(responses)
        if raise_on_error:
            self.raise_first_error(commands, responses)
        return responses

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        try:
            reply = super().parse_response(connection, command_name, **options)
        except ResponseError as error:
            self._answers.note(error)
            raise
        self._answers.note(reply)
        return reply

    def _disconnect_raise_on_watching(self, *args: Any, **options: Any) -> None:
        """A repetition under the uuid tells whether it was done; if it was not, it is not done: WatchError."""
        self._repeated, self.watching = self._repeated or self.watching, False
        super()._disconnect_raise_on_watching(*args, **options)
