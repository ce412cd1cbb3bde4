"""Mistakes in rules 1-6: ballots, the entry machine, value ids, pre-auth."""

from __future__ import annotations

from .mutant import mutant

ENTRY = "core/entry/machine.py"
IDS = "core/entry/ids.py"
LOG = "core/log/log.py"
WRITE = "core/log/write.py"

PAXOS = (
    # -- rule 1: ballots
    mutant(
        "ballots shared",
        1,
        "the next ballot is the next number, whoever prepares",
        (IDS, "    ballot = acceptor + 1 + rounds * n\n", "    ballot = floor + 1\n"),
        (IDS, "    assert owner(ballot, n) == acceptor\n", ""),
        (LOG, "if message.prepared and owner(message.prepared, self._context.n) != peer:", "if False:"),
    ),
    mutant(
        "pre-auth ballot used again",
        1,
        "a prepare phase may use ballots 1..n",
        (IDS, "    floor = max(above, n)\n", "    floor = above\n"),
    ),
    mutant(
        "ballot not above the promise",
        1,
        "the next ballot is above the own last one, whatever was promised to others",
        (ENTRY, "known = max(row.promised for row in self.rows)", "known = mine.prepared"),
    ),
    # -- rule 2: the order of updates
    mutant(
        "accepts below its promise",
        2,
        "a row accepts whatever is above what it accepted",
        (ENTRY, "if offered >= promised and offered > mine.accepted:", "if offered > mine.accepted:"),
    ),
    mutant(
        "own value first",
        2,
        "proposes its own value though another was accepted",
        (ENTRY, "value = self.found or self.proposal", "value = self.proposal or self.found"),
    ),
    mutant(
        "lowest accepted ballot",
        2,
        "proposes the value of the lowest accepted ballot",
        (
            ENTRY,
            "best = max(self.rows, key=lambda row: row.accepted)",
            "best = min(self.rows, key=lambda row: row.accepted or 1 << 60)",
        ),
    ),
    mutant(
        "own promise is enough",
        2,
        "proposes without the promises of a majority",
        (ENTRY, "sum(row.promised == ballot for row in self.rows) >= majority(len(self.rows))", "ballot > 0"),
    ),
    mutant(
        "promises to anybody count",
        2,
        "a majority that promised anything counts as one that promised this ballot",
        (ENTRY, "sum(row.promised == ballot for row in self.rows)", "sum(row.promised > 0 for row in self.rows)"),
    ),
    mutant(
        "less than a majority",
        2,
        "one of three and two of five are called a majority",
        (IDS, "return n // 2 + 1", "return n // 2"),
    ),
    # -- rule 3: chosen
    mutant(
        "accepted under any ballots",
        3,
        "a majority that accepted anything is called chosen",
        (
            ENTRY,
            "if ballot and accepted.count(ballot) >= quorum:",
            "if ballot and sum(other > 0 for other in accepted) >= quorum:",
        ),
    ),
    mutant(
        "leftovers chosen on load",
        3,
        "rows below the last one are taken for chosen when they are loaded",
        (
            "core/entity/logstate.py",
            "            self.opened[entry] = OpenEntry(EntryMachine(n, me, record))\n",
            """\
            if record.accepted and entry < self.max_plog:
                record = record._replace(chosen=True)
            self.opened[entry] = OpenEntry(EntryMachine(n, me, record))
""",
        ),
        shown_by="tests/core/test_entity.py",
    ),
    mutant(
        "leftovers applied",
        3,
        "an accepted row is applied once its entry is known to be chosen",
        (
            LOG,
            "is not None and opened.machine.mine.chosen:\n",
            """\
is not None and (
            opened.machine.mine.chosen or (opened.machine.mine.accepted and log.contiguous_chosen < log.max_chosen)
        ):
""",
        ),
    ),
    mutant(
        "leftovers taught",
        3,
        "a catch-up reply holds accepted rows",
        ("core/entity/catchup.py", "or not record.chosen:", "or not record.accepted:"),
        ("core/log/learn.py", "last = min(entity.log.contiguous_chosen, first", "last = min(entity.log.highest, first"),
    ),
    # -- rule 4: value ids
    mutant(
        "ids start again",
        4,
        "after a restart the ids of values and requests repeat",
        (
            "core/turn/context.py",
            "return value_id(self.me, self.identity.incarnation, self._ids)",
            "return value_id(self.me, 0, self._ids)",
        ),
    ),
    mutant(
        "id by place",
        4,
        "a value's id is its proposer and its entry, as with ids that are ballots",
        (
            WRITE,
            "return evaluated, self._new_value(evaluated.batch)\n",
            """\
value = self._new_value(evaluated.batch)
                return evaluated, value._replace(id=bytes((context.me,)) + entry.to_bytes(15, "big"))
""",
        ),
    ),
    mutant(
        "unknown value taken for nothing",
        4,
        "an id that cannot be resolved is accepted with an empty value",
        (
            LOG,
            "                value = machine.resolve(message.value_id)\n",
            """\
                value = machine.resolve(message.value_id)
                if value is None:
                    value = Value(message.value_id, context.codec.encode(WriteBatch()))
""",
        ),
    ),
    # -- rule 5: pre-auth
    mutant(
        "pre-auth by ballot",
        5,
        "whose ballot got the last value chosen holds pre-auth, not its origin",
        (
            LOG,
            "log.last_origin = origin(value.id)",
            "log.last_origin = owner(log.opened[entry].machine.mine.accepted, context.n)",
        ),
    ),
    mutant(
        "pre-auth for everybody at entry 1",
        5,
        "nobody has proposed yet, so everybody holds pre-auth",
        (
            WRITE,
            """\
            and entity.log.last_origin == self._context.me
            and entity.log.committed >= 1
            and entity.log.committed + 1 > entity.log.no_preauth_through
""",
            """\
            and (entity.log.last_origin == self._context.me or entity.log.committed == 0)
            and (entity.log.committed + 1 > entity.log.no_preauth_through or entity.log.committed == 0)
""",
        ),
    ),
    mutant(
        "pre-auth over a promise",
        5,
        "pre-auth is used though the own row is not empty",
        (WRITE, "            and (opened is None or opened.machine.mine.is_empty)\n", ""),
        (ENTRY, '        assert self.mine.is_empty, "pre-auth needs an empty own row (rule 5b)"\n', ""),
    ),
    mutant(
        "pre-auth before the row before is durable",
        5,
        "the proposal for the next entry leaves before the own vote for the last one is kept",
        (WRITE, "if preauth and entity.log.row_turn > context.durable_turn:", "if False:"),
    ),
    # -- rule 6: pre-auth proposals leave early
    mutant(
        "pre-auth after a load",
        6,
        "a restart does not end pre-auth",
        ("core/entity/logstate.py", "self.no_preauth_through = self.max_plog + 1", "self.no_preauth_through = 0"),
    ),
    mutant(
        "early proposal shown as accepted",
        6,
        "a pre-auth proposal shows a row that is accepted, before it is durable",
        (
            LOG,
            """\
            mine.promised,
            NO_BALLOT,
""",
            """\
            mine.promised,
            mine.accepted,
""",
        ),
    ),
    mutant(
        "early proposal counted",
        6,
        "who receives a pre-auth proposal counts the proposer's row as accepted",
        (
            ENTRY,
            "        if is_newer(theirs, self.rows[peer]):\n",
            """\
        if _is_preauth_proposal(theirs):
            theirs = theirs._replace(accepted=theirs.promised)
        if is_newer(theirs, self.rows[peer]):
""",
        ),
    ),
)
