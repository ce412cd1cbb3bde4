"""Mistakes in rules 16 and 17: a DB of two moments, votes that a copy replaces, entries that are gone and not called so."""

from __future__ import annotations

from .mutant import mutant

INSTALL = "core/log/install.py"
STATE = "core/entity/install.py"
ENTITY = "core/entity/entity.py"
LOG = "core/log/log.py"
LEARN = "core/log/learn.py"
SHARD = "core/shard/shard.py"

SNAPSHOT = (
    # -- rule 16: the mark
    mutant(
        "mark not minded",
        16,
        "after a restart an entity whose installation did not end is served as it is",
        (SHARD, "        if event.recovering:\n", "        if False:\n"),
    ),
    mutant(
        "mark ended early",
        16,
        "the mark is gone before the last piece is there",
        (INSTALL, "        if not message.more:\n            changes", "        if not install.rows:\n            changes"),
    ),
    mutant(
        "served while mixed",
        16,
        "requests are evaluated on the data of two moments",
        (ENTITY, "        return self.install is None\n\n    def describe", "        return True\n\n    def describe"),
    ),
    mutant(
        "applied while mixed",
        16,
        "entries are applied to an entity whose installation goes on",
        (SHARD, "not (context.cannot_write or entity.is_mixed)", "not context.cannot_write"),
    ),
    # -- one view, newer than what is here
    mutant(
        "older view installed",
        16,
        "what a peer has replaces what is here, though it is older",
        (
            INSTALL,
            "        if message.committed < log.committed or (message.committed == log.committed and not install.begun):",
            "        if False:",
        ),
        ("storage/loading.py", "assert change.committed >= before", "assert change.committed >= 0"),
    ),
    mutant(
        "views mixed",
        16,
        "a second view is installed over the rows of the first",
        (
            INSTALL,
            "        context.ready.changes.append(BeginInstall(entity.id))\n",
            "        if not install.rows_ever:\n            context.ready.changes.append(BeginInstall(entity.id))\n",
        ),
        (
            STATE,
            "        self.rows += len(rows)\n",
            "        self.rows += len(rows)\n        self.rows_ever = True\n",
        ),
        (STATE, '        "rows",\n', '        "rows",\n        "rows_ever",\n'),
        (
            STATE,
            "        self.rows = 0\n        self.size = 0\n",
            "        self.rows = self.size = 0\n        self.rows_ever = False\n",
        ),
    ),
    mutant(
        "pieces not told apart",
        16,
        "a piece is taken whichever view it is of, and as often as it comes",
        (
            STATE,
            "        return not self.turn and number != 0 and (peer, number, after) == (self.peer, self.number, self.after)",
            "        return not self.ended",
        ),
        (INSTALL, " or (install.committed and message.committed != install.committed)", ""),
    ),
    mutant(
        "mixed data passed on",
        16,
        "a peer is sent the data of an entity whose installation goes on here",
        ("core/log/snapshot.py", "message.after or not entity.serves or", "message.after or"),
        ("storage/memory.py", "        if entity in self._now.recovering:\n            return None\n", ""),
    ),
    mutant(
        "uuids not copied",
        16,
        "the outcomes under uuids stay behind",
        (
            INSTALL,
            "changes.append(InstallRows(entity.id, message.rows))",
            "changes.append(InstallRows(entity.id, [row for row in message.rows if row[0][:1] == b'd']))",
        ),
    ),
    mutant(
        "jump before it is written",
        16,
        "the pointers jump in the turn that writes the last piece",
        (
            INSTALL,
            "        context.counters.snapshot_pieces += 1\n",
            "        context.counters.snapshot_pieces += 1\n        if install.ended:\n            self._end(entity, install)\n",
        ),
    ),
    # -- a snapshot replaces data, never votes
    mutant(
        "votes replaced",
        16,
        "a copy drops what was promised and accepted above its entry",
        (LOG, "log.opened.items() if number > entry}", "log.opened.items() if number < 0}"),
    ),
    mutant(
        "pre-auth after a copy",
        5,
        "who held pre-auth before a copy holds it after it",
        (LOG, "        log.no_preauth_through = max(log.no_preauth_through, entry + 1)\n        log.last_origin = NOBODY\n", ""),
    ),
    mutant(
        "max chosen not raised by a copy",
        16,
        "the entry of a view is not known to be chosen",
        (
            LOG,
            "        log.max_chosen = max(log.max_chosen, entry)\n        log.max_plog = max(log.max_plog, entry)  # below",
            "        log.max_plog = max(log.max_plog, entry)  # below",
        ),
        (INSTALL, "        entity.raise_max_chosen(message.committed, peer)\n", ""),
    ),
    # -- what was proposed here
    mutant(
        "overtaken batch called refused",
        15,
        "what was proposed at an entry of which only a snapshot tells is told that nothing happened",
        ("core/log/write.py", "                request.exposed = True\n", ""),
    ),
    mutant(
        "overtaken batch runs again",
        15,
        "what was proposed without a uuid, at an entry of which only a snapshot tells, is proposed again",
        ("core/log/write.py", "            if request.uuid and not request.at_entry:\n", "            if True:\n"),
    ),
    # -- rule 17
    mutant(
        "gone entries not called so",
        17,
        "a node says that it has nothing where it has applied an entry and keeps it no longer",
        (LEARN, "        gone = not entries and asked <= entity.log.committed and entity.serves\n", "        gone = False\n"),
    ),
    mutant(
        "told what begins later",
        17,
        "who asks for an entry that is gone is told of later ones",
        ("core/entity/catchup.py", "        if entry != due or not record.chosen:\n", "        if not record.chosen:\n"),
    ),
    mutant(
        "only the log is asked",
        17,
        "a node that hears that entries are gone goes on asking for them",
        (LEARN, "        if offer == NOBODY or not self._nobody_else_has_it(entity.catchup):\n", "        if True:\n"),
    ),
)
