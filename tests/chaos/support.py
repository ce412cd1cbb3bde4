"""A small round by hand, for the checks to look at."""

from __future__ import annotations

from chaos.journal import Operation, Outcome, Word
from chaos.nodes import MEMBER
from chaos.run import REDIS_CLIENTS, Record

NODES = 3
CARD = REDIS_CLIENTS
"""A client of the card service."""
HASH = "5eed"


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
        reply: Word = None,
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

    def look(self, finals: dict[str, Word]) -> None:
        """Every node is asked for every key."""
        for node in range(NODES):
            for key, reply in finals.items():
                name = "select" if key.startswith("card:") else "get"
                self.add(key, name, *([0] if name == "select" else []), reply=reply, client=self.record.first_reader + node)
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
        }
    )
    return history
