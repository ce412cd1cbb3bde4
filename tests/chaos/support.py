"""A small round by hand, for the checks to look at."""

from __future__ import annotations

from chaos import kinds
from chaos.journal import Operation, Outcome, Reply, Word
from chaos.nodes import MEMBER
from chaos.run import CLIENTS, REDIS_CLIENTS, Record

NODES = 3
CARD = REDIS_CLIENTS
"""A client of the card service."""
CALLER = len(CLIENTS) - 1
"""One of the application's functions."""
HASH = "5eed"


_READ_BY = {"card": "select", "call": "balance"}


class History:
    """Operations, one after the other; each takes a second of its own unless it is said when."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.record = Record(
            1, NODES, 60.0, "db", {"plog_keep_entries": 20}, started_s=0.0, hashes=[HASH] * NODES, standings=[MEMBER] * NODES
        )
        self._now_s = 0.0

    def add(
        self,
        key: str,
        name: str,
        *arguments: Word,
        reply: Reply = None,
        outcome: Outcome = Outcome.DONE,
        client: int = 0,
        uuid: str = "",
        times_s: tuple[float, float] | None = None,
    ) -> Operation:
        called_s, returned_s = times_s or (self._now_s, self._now_s + 0.9)
        self._now_s = max(self._now_s + 1.0, returned_s)
        error = "" if outcome is Outcome.DONE else "no majority"
        operation = Operation(client, 0, key, name, list(arguments), uuid, called_s, returned_s, outcome, reply, error)
        self.operations.append(operation)
        return operation

    def heal(self) -> None:
        """From now on nothing may fail."""
        self.record.healed_s = self.record.settled_s = self.record.calm_s = self._now_s

    def look(self, finals: dict[str, Reply]) -> None:
        """Every node is asked for every key."""
        for node in range(NODES):
            for key, reply in finals.items():
                kind = key.partition(":")[0]
                name = kinds.read_all(key) if kind in kinds.MODELS else _READ_BY.get(kind, "get")
                self.add(key, name, *([0] if kind in _READ_BY else []), reply=reply, client=self.record.first_reader + node)
        self.record.ended_s = self._now_s


def good() -> History:
    """One of everything, with an unknown outcome or a refusal of each kind of change."""
    history = History()
    add = history.add
    add("register:0:0", "set", "00.000000;", reply="OK")
    add("register:0:0", "swap", "00.000001;", reply="00.000000;")
    add("register:0:0", "set", "00.000002;", outcome=Outcome.UNKNOWN)
    add("register:0:0", "set", "00.000003;", outcome=Outcome.REFUSED)
    add("register:0:0", "get", reply="00.000001;")
    add("counter:0:0", "add", 7, reply=7)
    add("counter:0:0", "add", 1, outcome=Outcome.UNKNOWN)
    add("counter:0:0", "add", -3, outcome=Outcome.REFUSED)
    add("counter:0:0", "get", reply="8")
    add("once:0:0", "set if missing", "00.000009;", reply="OK")
    add("once:0:0", "set if missing", "00.000010;", reply=None)
    add("once:0:0", "take", reply="00.000009;")
    add("once:0:0", "take", reply=None)
    add("once:0:0", "set if missing", "00.000013;", outcome=Outcome.UNKNOWN)
    add("lease:0:0", "lease", "00.000018;", 500, reply="OK")
    add("lease:0:0", "lease", "00.000019;", 500, reply=None)
    add("lease:0:0", "get", reply="00.000018;")
    add("lease:0:0", "lease", "00.000020;", 500, outcome=Outcome.UNKNOWN)
    add("lease:0:0", "take", reply=None)
    add("lease:0:0", "lease", "00.000021;", 20, reply="OK")
    add("list:0:0", "append", "00.000014;", reply=10)
    add("list:0:0", "append", "00.000015;", outcome=Outcome.UNKNOWN)
    add("list:0:0", "append", "00.000016;", outcome=Outcome.REFUSED)
    add("list:0:0", "append", "00.000017;", reply=20)
    add("card:0:0", "update", 5, reply="missing", client=CARD, uuid="00")
    add("card:0:0", "insert", 10, reply="ok", client=CARD, uuid="01")
    add("card:0:0", "insert", 20, reply="exists", client=CARD, uuid="02")
    add("card:0:0", "update", -11, reply="not enough", client=CARD, uuid="03")
    add("card:0:0", "update", 4, outcome=Outcome.UNKNOWN, client=CARD, uuid="04")
    add("card:0:0", "update", 4, reply=14, client=CARD, uuid="04")
    add("card:0:0", "update", 4, reply=14, client=CARD, uuid="04")
    add("card:0:0", "select", 0, reply=14, client=CARD)
    add("call:0:0", "change", 10, reply=10, client=CALLER, uuid="10")
    add("call:0:0", "change", -11, reply="not enough", client=CALLER, uuid="11")
    add("call:0:0", "change", 4, outcome=Outcome.UNKNOWN, client=CALLER, uuid="12")
    add("call:0:0", "change", 4, reply=14, client=CALLER, uuid="12")
    add("call:0:0", "change", 4, reply=14, client=CALLER, uuid="12")
    add("call:0:0", "change", 5, outcome=Outcome.REFUSED, client=CALLER, uuid="13")
    add("call:0:0", "change", 3, outcome=Outcome.UNKNOWN, client=CALLER, uuid="14")
    add("call:0:0", "balance", 0, reply=17, client=CALLER)
    _collect(history)
    history.heal()
    add("counter:0:0", "add", 1, reply=9)
    history.look(
        {
            "register:0:0": "00.000002;",
            "counter:0:0": "9",
            "once:0:0": None,
            "lease:0:0": None,
            "list:0:0": "00.000014;00.000017;",
            "card:0:0": 14,
            "call:0:0": 17,
            "deque:0:0": ("t1", "t0"),
            "queue:0:0": ("t15", "t16"),
            "pile:0:0": (("t31", 5),),
            "set:0:0": ("b",),
            "hash:0:0": (("a", "t43"), ("m", "8")),
            "zset:0:0": (("a", 6),),
            "brief-set:0:0": (),
        }
    )
    return history


def _collect(history: History) -> None:
    """The same of lists, sets, hashes and sorted sets. Of the queue t12 goes to a client whose connection died, t13 goes back."""
    add = history.add
    add("deque:0:0", "rpush", "t0", reply=1)
    add("deque:0:0", "lpush", "t1", reply=2)
    add("deque:0:0", "rpush", "t2", outcome=Outcome.UNKNOWN)
    add("deque:0:0", "rpush", "t3", outcome=Outcome.REFUSED)
    add("deque:0:0", "lmove", reply="t1")
    add("deque:0:0", "lrange", reply=("t0", "t1"))
    add("deque:0:0", "lmove", reply="t0")
    add("queue:0:0", "rpush", "t10", reply=1)
    add("queue:0:0", "rpush", "t11", reply=2)
    add("queue:0:0", "blpop", "1", reply="t10", client=7)
    add("queue:0:0", "brpop", "1", reply="t11", client=7)
    add("queue:0:0", "blpop", "1", reply=None, client=7)
    add("queue:0:0", "rpush", "t12", reply=1)
    add("queue:0:0", "blpop", "1", outcome=Outcome.UNKNOWN, client=7)
    add("queue:0:0", "lrange", reply=())
    add("queue:0:0", "rpush", "t13", reply=1)
    add("queue:0:0", "rpush", "t14", reply=2)
    add("queue:0:0", "blpop", "1", outcome=Outcome.UNKNOWN, client=8)
    add("queue:0:0", "lrange", reply=("t14",))
    add("queue:0:0", "lrange", reply=("t13", "t14"))
    add("queue:0:0", "blpop", "1", reply="t13", client=7)
    add("queue:0:0", "blpop", "1", reply="t14", client=8)
    add("queue:0:0", "rpush", "t15", reply=1)
    add("queue:0:0", "rpush", "t16", reply=2)
    add("pile:0:0", "zadd", "t30", 3, reply=1)
    add("pile:0:0", "zadd", "t31", 5, reply=1)
    add("pile:0:0", "bzpopmin", "1", reply=("t30", 3), client=8)
    add("set:0:0", "sadd", "a", reply=1)
    add("set:0:0", "sadd", "b", reply=1)
    add("set:0:0", "sadd", "b", reply=0)
    add("set:0:0", "srem", "a", outcome=Outcome.UNKNOWN)
    add("hash:0:0", "hset", "a", "t42", reply=1)
    add("hash:0:0", "hset", "a", "t43", reply=0)
    add("hash:0:0", "hincrby", "m", 7, reply=7)
    add("hash:0:0", "hincrby", "m", 1, outcome=Outcome.UNKNOWN)
    add("zset:0:0", "zadd", "a", 1, reply=1)
    add("zset:0:0", "zincrby", "a", 5, reply=6)
    add("zset:0:0", "zadd", "b", 5, reply=1)
    add("zset:0:0", "zrem", "b", reply=1)
    add("brief-set:0:0", "sadd", "a", reply=1)
    add("brief-set:0:0", "expire", 30, reply=1)
    add("brief-set:0:0", "smembers", reply=("a",))
    add("brief-set:0:0", "scard", reply=0)
    add("brief-set:0:0", "sadd", "b", reply=1)
    add("brief-set:0:0", "expire", 30, outcome=Outcome.UNKNOWN)
