"""Mistakes in rules 16 and 17: data that goes before its copy is whole, a DB of two moments, votes that a copy replaces, entries
that are gone and not called so."""

from __future__ import annotations

from .mutant import mutant

INSTALL = "core/log/install.py"
STATE = "core/entity/install.py"
LOG = "core/log/log.py"
LEARN = "core/log/learn.py"
SHARD = "core/shard/shard.py"
MEMORY = "storage/memory.py"
OPERATIONS = "storage/operations.py"
PAYLOAD = "storage/payload.py"

SNAPSHOT = (
    # -- rule 16: the copy grows beside the data, under a mark
    mutant(
        "switch before the end",
        16,
        "the copy takes the place of the data before its last piece is there",
        (INSTALL, "        if not message.more:\n            changes", "        if not install.rows:\n            changes"),
    ),
    mutant(
        "old data deleted first",
        16,
        "the old data goes with the first piece of the copy",
        (
            MEMORY,
            "                self.copies[entity] = SortedMap()\n",
            "                self.copies[entity] = SortedMap()\n                self.data[entity] = SortedMap()\n",
        ),
        shown_by="tests/core/test_install.py",
    ),
    mutant(
        "old data deleted first, on the disk",
        16,
        "the same in the real store",
        (
            OPERATIONS,
            "        case BeginInstall(entity):\n",
            "        case BeginInstall(entity):\n            operations.append(all_data(generations.of(entity), entity))\n",
        ),
        shown_by="tests/storage/test_conformance.py",
    ),
    mutant(
        "mark forgotten",
        16,
        "nothing says that there is some of a copy",
        (
            OPERATIONS,
            '            operations.append((META + key, encode_mark(key, b"")))\n            if',
            "            if",
        ),
        shown_by="tests/storage/test_conformance.py",
    ),
    mutant(
        "mark not minded",
        16,
        "what a crash has left of a copy stays",
        (SHARD, "        if event.recovering:\n", "        if False:\n"),
        shown_by="tests/core/test_install.py",
    ),
    mutant(
        "half a copy left behind",
        16,
        "a copy that does not go on is not deleted",
        (INSTALL, "        if install.begun and not install.ended:\n", "        if False:\n"),
        shown_by="tests/core/test_install.py",
    ),
    mutant(
        "begun anew on what is there",
        16,
        "the next copy is written over what there is of the last one",
        (OPERATIONS, "            if generations.begin(entity):\n", "            if False:\n"),
        shown_by="tests/storage/test_conformance.py",
    ),
    mutant(
        "old data stays",
        16,
        "the old data is not deleted when the copy has taken its place",
        (
            OPERATIONS,
            "            operations.append(all_data(other(generation), entity))\n",
            "",
        ),
        shown_by="tests/storage/test_conformance.py",
    ),
    mutant(
        "the place of the data remembered too long",
        16,
        "after a copy the store goes on reading where the old data was",
        ("storage/opened.py", "                self.generations.changed(change.entity)\n", "                pass\n"),
        shown_by="tests/storage/test_conformance.py",
    ),
    mutant(
        "rows kept beyond a copy",
        16,
        "rows that were read before a copy ended are told after it",
        (
            "storage/opened.py",
            "                self.recent.forget()\n        for change in changes:",
            "        for change in changes:",
        ),
        shown_by="tests/storage/test_recent.py",
    ),
    mutant(
        "replayed into the wrong generation",
        10,
        "after a crash entries are applied to where the data was at first",
        (
            PAYLOAD,
            "        return generation_of(entity, lambda key: turned[key] if key in turned else get(key), place)\n",
            '        return b"d"\n',
        ),
        shown_by="tests/storage/test_payload.py",
    ),
    mutant(
        "replayed before the switch",
        10,
        "after a crash entries are applied to the data that the same write has put out of force",
        (PAYLOAD, "lambda key: turned[key] if key in turned else get(key), place", "get, place"),
        shown_by="tests/storage/test_payload.py",
    ),
    # -- one view, newer than what is here
    mutant(
        "older view installed",
        16,
        "what a peer has replaces what is here, though it is older",
        (
            INSTALL,
            "        if message.committed < log.committed + (not install.renews):",
            "        if False:",
        ),
        (INSTALL, "assert install.committed >= entity.log.committed", "assert install.committed >= 0"),
        ("storage/loading.py", "assert change.committed >= before", "assert change.committed >= 0"),
        shown_by="tests/core/test_install.py",
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
        shown_by="tests/core/test_install.py::test_until_it_is_settled_it_is_not_called_refused",
    ),
    mutant(
        "overtaken batch runs again",
        15,
        "what was proposed without a uuid, at an entry of which only a snapshot tells, is proposed again",
        ("core/log/write.py", "            if request.uuid and not request.at_entry:\n", "            if True:\n"),
    ),
    # -- rule 17
    mutant(
        "nothing kept for who copies",
        17,
        "the entries behind a view expire while it is read",
        (
            "storage/pins.py",
            "            self._pins.setdefault(reader[1], {})[reader] = _Pin(committed, self._clock())\n",
            "            pass\n",
        ),
        shown_by="tests/core/test_scenarios.py tests/storage/test_pins.py",
    ),
    mutant(
        "kept for ever",
        17,
        "what was kept for a copy is not let go when that has ended",
        (
            "storage/expiry.py",
            "        carried = self._epochs.carry(spared) if spared else []\n",
            "        carried: list[Operation] = []\n",
        ),
        shown_by="tests/storage/test_expiry.py",
    ),
    mutant(
        "gone entries not called so",
        17,
        "a node says that it has nothing where it has applied an entry and keeps it no longer",
        (LEARN, "        gone = not entries and asked <= entity.log.committed\n", "        gone = False\n"),
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
