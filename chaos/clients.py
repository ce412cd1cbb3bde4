"""The clients' processes: each makes one call after the other, at random nodes, and writes all of it down.

    python -m chaos.clients PLAN        a Plan, as JSON

Keys belong to a generation and are left when it is over, so that no key's history gets long. The end of standard input
ends the process after the call at hand.
"""

from __future__ import annotations

import asyncio
import random
import select
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from paxosstore import Client
from paxosstore.errors import BY_CODE, Fault, PaxosStoreError, Refused, from_code
from paxosstore.services.card.card_pb2 import BALANCE_NOT_ENOUGH, CARD_DOES_NOT_EXIST, CARD_EXISTS, OK, CardResponse
from paxosstore.services.card.client import CardClient

from . import kinds
from .application import NOT_ENOUGH
from .journal import ALL_NODES, Journal, Outcome, Reply, Word

PATIENCE_S = 2.5
"""How long a Redis client waits for an answer."""
CARD_PATIENCE_S = CALL_PATIENCE_S = 3.0
ABANDON = 0.01
"""Part of the commands whose answer nobody waits for."""
LEAVE = 0.05
"""Part of the blocking commands whose client goes away a moment later."""
LEAVE_WITHIN_S = 0.2
ABANDONED = "abandoned by the client"
REPEAT_FOR_S = 10.0
"""How long a change to a card is repeated under its uuid until its outcome is known."""
ADD_WATCHED = "add watched"
"""An addition in a transaction."""
CHANGED = "the key has changed"
"""What a transaction is told that lost against another one: as it should be."""
TOKEN_LENGTH = 10
LEASES_MS = (20, 100, 500)
"""For how long a key is set that expires."""
KEYS = 2
"""Keys of each kind in one generation; one of each of kinds.py."""
CALL = "call"
"""The kind of what is asked of the application; its accounts are entities."""
NOT_THAT_MUCH = "not enough"
READS = kinds.READS | {"get", "select", "balance"}
_CODES = {OK: "ok", BALANCE_NOT_ENOUGH: "not enough", CARD_DOES_NOT_EXIST: "missing", CARD_EXISTS: "exists"}

End = tuple[Outcome, Reply, str]
"""Outcome, reply, error."""


class Plan(msgspec.Struct):
    """What one client is to do."""

    service: str
    """One of RUN."""
    client: int
    seed: int
    servers: list[str]
    """host:port, by node."""
    journal: str
    started_s: float
    """When generation 0 began, by the monotonic clock."""
    generation_s: float = 2.0
    pace_s: float = 0.01
    """Mean pause between two calls."""

    @property
    def generation(self) -> int:
        return int((time.monotonic() - self.started_s) / self.generation_s)


class RedisCaller:
    """redis-py, held to one try: what it repeats by itself, the history would not know of."""

    def __init__(self, servers: list[str]) -> None:
        self._servers = [server.rsplit(":", 1) for server in servers]
        self._connection: redis.Redis | None = None
        self._node = 0

    def call(self, node: int, *words: Word, leave_after_s: float | None = None) -> End:
        """One command at one node; an error ends the connection, and so does leaving without the answer."""
        try:
            connection = self._connected(node)
        except redis.RedisError as error:
            return Outcome.REFUSED, None, f"no connection: {error}"
        try:
            if leave_after_s is not None:
                assert connection.connection is not None
                connection.connection.send_command(*words)  # type: ignore[no-untyped-call]  # redis-py does not say
                time.sleep(leave_after_s)
                self.close()
                return Outcome.UNKNOWN, None, ABANDONED
            reply = connection.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py does not say
        except redis.RedisError as error:
            self.close()
            return _outcome(error), None, str(error)
        return Outcome.DONE, _plain(reply), ""

    def add_watched(self, node: int, key: str, amount: int) -> End:
        """Add to a counter by WATCH, GET, MULTI, SET, EXEC. Refused, too, if the key has changed meanwhile: nothing happened."""
        try:
            connection = self._connected(node)
            run: Callable[..., Any] = connection.execute_command
            run("WATCH", key)
            count = int(run("GET", key) or 0) + amount
            run("MULTI")
            run("SET", key, count)
        except redis.RedisError as error:
            self.close()
            return Outcome.WRONG if _outcome(error) is Outcome.WRONG else Outcome.REFUSED, None, f"before EXEC: {error}"
        try:
            done = run("EXEC") is not None
        except redis.RedisError as error:
            self.close()
            return _outcome(error), None, str(error)
        return (Outcome.DONE, count, "") if done else (Outcome.REFUSED, None, CHANGED)

    def _connected(self, node: int) -> redis.Redis:
        """The connection to a node, made now if need be: until then nothing can have happened. Raises RedisError."""
        if self._connection is None or node != self._node:
            self.close()
            host, port = self._servers[node]
            self._connection = redis.Redis(
                host,
                int(port),
                protocol=2,
                single_connection_client=True,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=PATIENCE_S,
                socket_connect_timeout=PATIENCE_S,
            )
            self._connection.response_callbacks.clear()
            self._node = node
        return self._connection

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _plain(reply: Any) -> Any:
    if isinstance(reply, list):
        return tuple(map(_plain, reply))
    return reply.decode() if isinstance(reply, bytes) else reply


def _outcome(error: redis.RedisError) -> Outcome:
    """What an error says of the outcome."""
    if isinstance(error, redis.TimeoutError | redis.ConnectionError):
        return Outcome.UNKNOWN
    if isinstance(error, redis.exceptions.TryAgainError):
        return Outcome.REFUSED
    known = BY_CODE.get(str(error).split(" ", 1)[0])
    if known is None or known.fault is Fault.CALLER:
        return Outcome.WRONG
    return Outcome.REFUSED if known.outcome_known else Outcome.UNKNOWN


class AppCaller:
    """The application's functions: by PAXOS.CALL and PAXOS.READ once at one node, or by the client that asks all nodes."""

    def __init__(self, servers: list[str]) -> None:
        self.nodes = [ALL_NODES, *range(len(servers))]
        """Whom it can ask."""
        self._plain = RedisCaller(servers)
        self._client = Client(servers, timeout_s=CALL_PATIENCE_S)

    def call(self, node: int, entity: int, name: str, amount: int, uuid: UUID | None) -> End:
        """`uuid`: None for a read."""
        if node == ALL_NODES:
            return self._by_client(entity, name, amount, uuid)
        asked: list[Any] = ["PAXOS.READ", name, entity, ""] if uuid is None else ["PAXOS.CALL", name, entity, uuid.bytes, amount]
        outcome, reply, error = self._plain.call(node, *asked)
        code, _, text = error.partition(" ")
        if outcome is Outcome.WRONG and code == Refused.code:
            return _refused(from_code(code, text))
        return outcome, int(str(reply)) if outcome is Outcome.DONE else None, error

    def _by_client(self, entity: int, name: str, amount: int, uuid: UUID | None) -> End:
        client = self._client
        try:
            if uuid is None:
                return Outcome.DONE, client.read(name, entity, into=int), ""
            return Outcome.DONE, client.call(name, entity, amount, into=int, uuid=uuid), ""
        except Refused as error:
            return _refused(error)
        except PaxosStoreError as error:
            if error.fault is Fault.CALLER:
                return Outcome.WRONG, None, str(error)
            return Outcome.REFUSED if error.outcome_known else Outcome.UNKNOWN, None, str(error)

    def close(self) -> None:
        self._plain.close()
        self._client.close()


def _refused(error: PaxosStoreError) -> End:
    """The application's own refusal is an answer like any."""
    assert isinstance(error, Refused)
    if error.reason == NOT_ENOUGH and isinstance(error.data, dict) and error.data.keys() == {"balance"}:
        return Outcome.DONE, NOT_THAT_MUCH, ""
    return Outcome.WRONG, None, str(error)


class CardCaller:
    """The card service by its own client: through one node, or through all of them, one after the other."""

    def __init__(self, servers: list[str]) -> None:
        self._by_node = {node: CardClient([server], CARD_PATIENCE_S) for node, server in enumerate(servers)}
        self._by_node[ALL_NODES] = CardClient(servers, CARD_PATIENCE_S)

    @property
    def nodes(self) -> list[int]:
        """Whom it can ask."""
        return list(self._by_node)

    async def call(self, node: int, card: int, name: str, argument: int, uuid: bytes) -> End:
        cards = self._by_node[node]
        calls: dict[str, Callable[[], Awaitable[CardResponse]]] = {
            "insert": lambda: cards.insert(card, balance=argument, uuid=uuid),
            "update": lambda: cards.update(card, argument, uuid=uuid),
            "delete": lambda: cards.delete(card, uuid=uuid),
            "select": lambda: cards.select(card),
        }
        try:
            return Outcome.DONE, _card_reply(name, await calls[name]()), ""
        except PaxosStoreError as error:
            if error.fault is Fault.CALLER:
                return Outcome.WRONG, None, str(error)
            return Outcome.REFUSED if error.outcome_known else Outcome.UNKNOWN, None, str(error)

    async def close(self) -> None:
        for cards in self._by_node.values():
            await cards.close()


def _card_reply(name: str, response: CardResponse) -> Word:
    """The new balance, or the code in a word."""
    if response.code == OK and name in ("update", "select"):
        return int(response.card_info.balance)
    return _CODES[response.code]


def draw_redis_call(rng: random.Random, generation: int, token: str) -> tuple[str, str, list[Word]]:
    """(key, name, arguments) of a client's next call. Tokens are unique and of one length."""
    kind = rng.choice(("register", "counter", "once", "list", "lease", *kinds.in_use(generation)))
    if kind in kinds.MODELS:
        key = f"{kind}:{generation}:0"
        return key, *_listed(kinds.draw(rng, key, token))
    key = f"{kind}:{generation}:{rng.randrange(KEYS)}"
    if rng.random() < 0.3:
        return key, "get", []
    if kind == "register":
        return key, rng.choice(("set", "set", "swap")), [token]
    if kind == "counter":
        return key, rng.choice(("add", "add", ADD_WATCHED)), [rng.choice((1, 1, 1, 7, -3))]
    if kind == "once":
        return (key, "set if missing", [token]) if rng.random() < 0.6 else (key, "take", [])
    if kind == "lease":
        return (key, "lease", [token, rng.choice(LEASES_MS)]) if rng.random() < 0.7 else (key, "take", [])
    return key, "append", [token]


def draw_wait(rng: random.Random, generation: int, token: str) -> tuple[str, str, list[Word]]:
    """The same of a client that waits for what others push."""
    key = f"{rng.choice([*kinds.WAITED_FOR])}:{generation}:0"
    return key, *_listed(kinds.draw_wait(rng, key))


def _listed(drawn: kinds.Drawn) -> tuple[str, list[Word]]:
    name, arguments = drawn
    return name, list(arguments)  # type: ignore[arg-type]  # words, all of them


_REDIS_WORDS: dict[str, Callable[[str, list[Word]], list[Word]]] = {
    "get": lambda key, arguments: ["GET", key],
    "set": lambda key, arguments: ["SET", key, *arguments],
    "swap": lambda key, arguments: ["SET", key, *arguments, "GET"],
    "set if missing": lambda key, arguments: ["SET", key, *arguments, "NX"],
    "lease": lambda key, arguments: ["SET", key, arguments[0], "PX", arguments[1], "NX"],
    "take": lambda key, arguments: ["GETDEL", key],
    "add": lambda key, arguments: ["INCRBY", key, *arguments],
    "append": lambda key, arguments: ["APPEND", key, *arguments],
}
"""Operation -> the command, where kinds.py does not know it."""


def redis_words(key: str, name: str, arguments: list[Word]) -> list[Word]:
    """The command of an operation."""
    if name in _REDIS_WORDS:
        return _REDIS_WORDS[name](key, arguments)
    return kinds.words(name, key, tuple(arguments))  # type: ignore[return-value]  # words, all of them


def said(key: str, name: str, end: End) -> End:
    """The end of an operation, its reply as the model of the key has it."""
    outcome, reply, _ = end
    if outcome is not Outcome.DONE or key.partition(":")[0] not in kinds.MODELS:
        return end
    try:
        return Outcome.DONE, kinds.value(name, reply), ""  # type: ignore[return-value]  # what JSON has
    except (ValueError, TypeError, IndexError):
        return Outcome.WRONG, None, f"no reply to {name}: {reply!r}"


def draw_card_call(rng: random.Random, generation: int) -> tuple[int, str, int]:
    """(card, name, argument) of a client's next call."""
    card = generation * KEYS + rng.randrange(KEYS)
    name = rng.choices(("insert", "update", "select", "delete"), (0.15, 0.5, 0.3, 0.05))[0]
    argument = rng.randint(0, 20) if name == "insert" else rng.randint(-10, 12) if name == "update" else 0
    return card, name, argument


def draw_app_call(rng: random.Random, generation: int) -> tuple[int, str, int]:
    """(entity, name, amount) of a client's next call."""
    entity = generation * KEYS + rng.randrange(KEYS)
    return (entity, "balance", 0) if rng.random() < 0.3 else (entity, "change", rng.randint(-10, 12))


def app_key(entity: int) -> str:
    return f"{CALL}:{entity // KEYS}:{entity % KEYS}"


def card_key(card: int) -> str:
    return f"card:{card // KEYS}:{card % KEYS}"


def number_of(key: str) -> int:
    """Of a card, or an entity of the application."""
    _, generation, number = key.split(":")
    return int(generation) * KEYS + int(number)


def token(client: int, number: int) -> str:
    """A value that nobody else writes, TOKEN_LENGTH long."""
    return f"{client:02d}.{number:06d};"


def told_to_end(within_s: float) -> bool:
    """Whether standard input ends within this time."""
    return bool(select.select([sys.stdin], [], [], within_s)[0])


def run_redis(plan: Plan) -> None:
    _ask(plan, draw_redis_call, lambda rng: 0.0 if rng.random() < ABANDON else None)


def run_waiter(plan: Plan) -> None:
    """It waits at one node for what others push at others, and now and then goes away."""
    _ask(plan, draw_wait, lambda rng: rng.uniform(0.0, LEAVE_WITHIN_S) if rng.random() < LEAVE else None)


def _ask(
    plan: Plan,
    draw: Callable[[random.Random, int, str], tuple[str, str, list[Word]]],
    leave_after_s: Callable[[random.Random], float | None],
) -> None:
    rng = random.Random(f"client {plan.seed} {plan.client}")
    caller = RedisCaller(plan.servers)
    node = rng.randrange(len(plan.servers))
    number = 0
    with Journal(Path(plan.journal), plan.client) as journal:
        while not told_to_end(rng.expovariate(1.0 / plan.pace_s)):
            key, name, arguments = draw(rng, plan.generation, token(plan.client, number))
            journal.call(node, key, name, arguments)
            if name == ADD_WATCHED:
                end = caller.add_watched(node, key, int(arguments[0] or 0))
            else:
                end = caller.call(node, *redis_words(key, name, arguments), leave_after_s=leave_after_s(rng))
            journal.end(*(end := said(key, name, end)))
            number += 1
            if end[0] is not Outcome.DONE or rng.random() < 0.03:
                node = rng.randrange(len(plan.servers))
    caller.close()


async def run_cards(plan: Plan) -> None:
    """A change whose outcome is unknown is repeated under its uuid, and now and then one whose outcome is known."""
    rng = random.Random(f"client {plan.seed} {plan.client}")
    caller = CardCaller(plan.servers)
    with Journal(Path(plan.journal), plan.client) as journal:
        while not told_to_end(0.0):
            card, name, argument = draw_card_call(rng, plan.generation)
            uuid = b"" if name == "select" else rng.randbytes(16)
            deadline = time.monotonic() + REPEAT_FOR_S
            again = True
            while again and time.monotonic() < deadline:
                node = rng.choice(caller.nodes)
                journal.call(node, card_key(card), name, [argument], uuid.hex())
                end = await caller.call(node, card, name, argument, uuid)
                journal.end(*end)
                again = bool(uuid) and (end[0] is Outcome.UNKNOWN or rng.random() < 0.05)
                await asyncio.sleep(rng.expovariate(1.0 / plan.pace_s))
    await caller.close()


def run_app(plan: Plan) -> None:
    """The same of calls of the application."""
    rng = random.Random(f"client {plan.seed} {plan.client}")
    caller = AppCaller(plan.servers)
    with Journal(Path(plan.journal), plan.client) as journal:
        while not told_to_end(0.0):
            entity, name, amount = draw_app_call(rng, plan.generation)
            uuid = None if name in READS else UUID(bytes=rng.randbytes(16), version=4)
            deadline = time.monotonic() + REPEAT_FOR_S
            again = True
            while again and time.monotonic() < deadline:
                node = rng.choice(caller.nodes)
                journal.call(node, app_key(entity), name, [amount], "" if uuid is None else uuid.hex)
                end = caller.call(node, entity, name, amount, uuid)
                journal.end(*end)
                again = uuid is not None and (end[0] is Outcome.UNKNOWN or rng.random() < 0.05)
                time.sleep(rng.expovariate(1.0 / plan.pace_s))
    caller.close()


RUN: dict[str, Callable[[Plan], None]] = {
    "redis": run_redis,
    "waiter": run_waiter,
    "card": lambda plan: asyncio.run(run_cards(plan)),
    "app": run_app,
}
"""By the kind of client."""


def main() -> None:
    plan = msgspec.json.decode(sys.argv[1], type=Plan)
    RUN[plan.service](plan)


if __name__ == "__main__":
    main()
