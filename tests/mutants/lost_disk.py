"""Rule 19: what a node that lost its disk may do, and what its peers may believe (docs/PROTOCOL.md)."""

from __future__ import annotations

from .mutant import Mutant, mutant

CONTEXT = "core/turn/context.py"
FLOORS = "storage/floors.py"
MACHINE = "core/entry/machine.py"
LOGSTATE = "core/entity/logstate.py"
LOST = "core/reentry/lost.py"
MEMBERSHIP = "core/reentry/membership.py"
RESTORED = "core/turn/restored.py"
RESTORING = "storage/restoring.py"
SETTLE = "core/reentry/settle.py"
SHARD = "core/shard/shard.py"
STANDING = "core/turn/standing.py"
WAITING = "core/turn/waiting.py"
WALK = "core/reentry/walk.py"

TESTS = (
    "tests/core/test_reentry_rules.py tests/core/test_scenarios.py tests/core/test_force.py "
    "tests/core/test_settle.py tests/backup/test_restore.py"
)
"""They show each of these: a transition or a story is where such a mistake is seen first."""

_DAMAGE: tuple[Mutant, ...] = (
    mutant(
        "a damaged entity votes on",
        19,
        "e. what is forgotten of an entity is taken for never promised",
        (LOST, "        self._standing.lose(entity.id, entity.id)\n", ""),
    ),
    mutant(
        "a floor is forgotten for a damaged entity",
        19,
        "e. the entity is free as soon as the peers have answered",
        (LOST, "context.ready.changes += [SetFloor(entity, floor) for entity, floor in floors.items()]", "floors = {}"),
    ),
    mutant(
        "a damaged entity votes one above what the peers have",
        19,
        "e. the floor is G+1, though nobody is fenced",
        (LOST, "ABOVE = 2", "ABOVE = 1"),
    ),
    mutant(
        "who lost an entity too is asked of it",
        19,
        "e. a peer's word on an entity counts though it has forgotten votes itself",
        (LOST, "for begin, end in self._standing.row.damaged if end >= first", "for begin, end in ()"),
    ),
    mutant(
        "who lost an entity hides that from one that lost its disk",
        19,
        "e. a page of floors says that there is nothing of an entity whose votes are forgotten",
        (WALK, "[] if event.forced else [span for span in self._standing.row.damaged if span[1] > event.after]", "[]"),
    ),
    mutant(
        "answers from an earlier damage count",
        19,
        "e. an entity is damaged again, and a late answer of the first time sets its floor",
        (LOST, "message.number == self._numbers.get(message.first)", "message.first in self._numbers"),
    ),
    mutant(
        "a damaged entity is asked of one peer",
        19,
        "e. the answers do not meet every majority",
        (LOST, "needed = floors_needed(context)", "needed = 1"),
    ),
)
"""Shown by tests/core/test_lost_entities.py, which names each of these in a story."""
DAMAGE_TESTS = "tests/core/test_lost_entities.py"

_CLAUSES: tuple[Mutant, ...] = (
    mutant(
        "who comes back believes any disk",
        19,
        "a. a disk that was replaced before votes again, if a peer that lost its own since is the first to meet it",
        (WALK, "if before == NOWHERE and (gone := self._membership.learn_disks(pages.values())):", "if gone := set[int]():"),
        shown_by="tests/core/test_reentry.py::test_a_disk_that_was_replaced_before_a_node_came_back_is_not_believed_by_it",
    ),
    mutant(
        "who comes back is told of no later start",
        19,
        "a. an older copy of a peer's disk is believed by who came back after the peer's last start",
        (STANDING, "is_later = not known.id or (known.id == seen.id and known.starts < seen.starts)", "is_later = not known.id"),
        shown_by="tests/core/test_standing.py::test_who_comes_back_knows_what_those_knew_that_it_asked",
    ),
    mutant(
        "who is here by an old disk goes on to count",
        19,
        "b. a peer that is on a disk that was replaced is heard, though those that were asked have said so",
        (STANDING, "            disks[node] = Disk()\n", ""),
        shown_by="tests/core/test_standing.py::test_a_peer_that_is_here_by_a_disk_that_was_replaced_counts_no_more",
    ),
    mutant(
        "what has passed counts twice",
        19,
        "c. a node says that all of it is back while entities are below their floors, and the next disk is lost on its word",
        (WALK, "self._unseen.note(written)", "self._unseen.note(floors)"),
        shown_by="tests/core/test_reentry.py::test_what_was_learned_before_its_floor_was_set_counts_once",
    ),
    # -- a. know it
    mutant(
        "empty disk is a member",
        19,
        "a. a node votes at once on a disk that holds nothing",
        (STANDING, "else StandingRow(State.NEW, disks)", "else StandingRow(State.MEMBER, disks, cursor=END)"),
    ),
    mutant(
        "founded by some",
        19,
        "a. a new cluster begins without the word of one of its nodes",
        (
            STANDING,
            "not all(word is not None and says_new(word, table) for word in others)",
            "sum(word is not None and says_new(word, table) for word in others) < len(others) - 1",
        ),
    ),
    mutant(
        "founded by different tables",
        19,
        "a. that all are new is enough, whatever disks they see",
        (
            STANDING,
            "return word.state == State.NEW.value and _sees(word, table)",
            "return word.state == State.NEW.value",
        ),
    ),
    mutant(
        "begins without a majority of the first disks",
        19,
        "a. what is left of a cluster that lost a majority begins a new one",
        (STANDING, "len(replaced) >= self._quorum", "False"),
    ),
    mutant(
        "member by its number",
        19,
        "a. who is new joins a cluster that knew another disk of it",
        (
            STANDING,
            "if word.founding and word.founding[self.me] == self.disk.id:",
            "if word.founding:",
        ),
    ),
    mutant(
        "copies are not found out",
        19,
        "a. a directory that is an older copy goes on as if nothing had been",
        (STANDING, "return mine.id in word.replaced or copied", "return mine.id in word.replaced"),
    ),
    mutant(
        "copies are known by a number",
        19,
        "a. a copy that has started more often than the original passes for it",
        (STANDING, "history[-1 - back] == known.incarnation", "(back > 0 or history[-1] == known.incarnation)"),
    ),
    mutant(
        "replaced disks may vote",
        19,
        "a. who is told that another disk has taken its place does not care",
        (STANDING, "return mine.id in word.replaced or copied", "return copied"),
    ),
    mutant(
        "votes before it is confirmed",
        19,
        "a. a start votes before anybody has said that its disk is still the one that is known",
        (
            STANDING,
            "return not self.active or (self.disk.starts > 0 and self._was_confirmed)",
            "return True",
        ),
    ),
    mutant(
        "a copy keeps its floor",
        19,
        "a. a copy that was found out goes on voting where it has no floor",
        (
            MEMBERSHIP,
            "                entity.log.set_floor(INFINITE, stored=False)\n\n    # -- what leaves",
            "                pass\n\n    # -- what leaves",
        ),
    ),
    # -- b. fence
    mutant(
        "no fence",
        19,
        "b. what comes over a link of an older disk counts",
        (STANDING, "return not self.active or not disk or disk == self.row.disks[peer].id", "return True"),
    ),
    mutant(
        "old disks are taken back",
        19,
        "b. a disk that another has taken the place of takes its place again",
        (STANDING, "if (peer, seen.id) in row.replaced:", "if False:"),
    ),
    mutant(
        "the fence is not durable",
        19,
        "b. which disk a peer has is not noted",
        (
            MEMBERSHIP,
            "        if sight in (Sight.NOTED, Sight.FENCED):\n            self._write()\n",
            "        if sight in (Sight.NOTED, Sight.FENCED):\n",
        ),
    ),
    mutant(
        "answered before the fence",
        19,
        "b. whoever asks for floors is answered, whatever disk is known",
        (WALK, "        if standing.row.disks[peer].id == message.disk:\n", "        if True:\n"),
    ),
    mutant(
        "waiting messages pass the fence",
        19,
        "b. what an old disk has sent to an entity that is being loaded counts",
        (MEMBERSHIP, "if isinstance(item, tuple) and item[0] == peer:", "if False:"),
    ),
    mutant(
        "old rows are remembered",
        19,
        "b. what a peer has shown on an old disk counts as its row",
        (MEMBERSHIP, "                opened.forget(peer)\n", "                pass\n"),
    ),
    # -- c. floor
    mutant(
        "floor at the highest entry",
        19,
        "c. the floor is the highest entry at which a peer has anything, not the one above",
        (WALK, "floors = {entity: entry + above for", "floors = {entity: entry + above - 1 for"),
    ),
    mutant(
        "floor as if all had answered",
        19,
        "c. the floor is one above G, although a peer is away",
        (WALK, "above = 1 if self._forced or len(pages) == context.n - 1 else 2", "above = 1"),
    ),
    mutant(
        "no default floor",
        19,
        "c. an entity that nobody knows is free, although a peer is away",
        (WALK, "default = default if default > 1 else 0", "default = 0"),
    ),
    mutant(
        "one peer less is asked",
        19,
        "c. floors rest on the answers of too few peers",
        (WAITING, "return context.n - context.quorum + 1", "return context.n - context.quorum"),
    ),
    mutant(
        "who comes back is asked",
        19,
        "c. a node that comes back itself is asked for floors, and answers",
        (
            STANDING,
            "if word.state == _MEMBER and word.disks[self.me][0] == self.disk.id",
            "if word.disks[self.me][0] == self.disk.id",
        ),
        (WALK, "standing.row.state is not State.MEMBER or not standing.confirmed", "standing.row.state is State.NEW"),
    ),
    mutant(
        "own floor does not count",
        19,
        "c. who has been away itself answers as if it had never had what it has lost",
        (FLOORS, "highest[entity] = max(highest.get(entity, 0), floor - 1)", "highest.setdefault(entity, 0)"),
    ),
    mutant(
        "page ends too late",
        19,
        "c. of several pages the furthest one counts: what the others have not listed yet passes for unknown",
        (WALK, "reach = min((page.entities", "reach = max((page.entities"),
    ),
    mutant(
        "loaded meanwhile",
        19,
        "c. an entity that was being loaded when its floor was set has none",
        (SHARD, "            stored = missed\n", ""),
    ),
    mutant(
        "free before the walk",
        19,
        "c. what the walk has not come to has no floor",
        (STANDING, "or (row.state is State.REENTERING and entity > row.cursor)", ""),
    ),
    mutant(
        "votes below the floor",
        19,
        "c. it votes and proposes below the floor",
        (CONTEXT, "return entry >= entity.log.floor and self.standing.votes", "return self.standing.votes"),
    ),
    mutant(
        "answers below the floor",
        19,
        "c. it answers read questions, though it may have forgotten what it accepted",
        (CONTEXT, "return self.standing.votes and not entity.log.learns_only", "return self.standing.votes"),
    ),
    mutant(
        "rounds go on below the floor",
        19,
        "c. a round that had begun goes on when the node has turned out to be a copy",
        (
            "core/log/write.py",
            "machine.mine.chosen or not context.may_vote(entity, entry):",
            "machine.mine.chosen:",
        ),
    ),
    mutant(
        "default floor falls by some",
        19,
        "c. the default floor falls without the word of those that were away",
        (
            SETTLE,
            "        return self._passing.is_done and len(there) == len(context.peers)\n",
            "        return self._passing.is_done\n",
        ),
        (SETTLE, "        if len(self._pages) == len(context.peers):", "        if len(self._pages) >= 3:"),
    ),
    mutant(
        "default floor falls for all",
        19,
        "c. the default floor falls for what a peer lists, too",
        (SETTLE, "            for entity in sorted(listed)\n", "            for entity in sorted(listed)[:0]\n"),
    ),
    # -- forced
    mutant(
        "forced without what is left",
        19,
        "forced, a node votes for anything above what the intact ones have applied, whatever they have accepted there",
        (
            MACHINE,
            "        if theirs.accepted > mine.accepted:\n            self._set",
            "        if False:\n            self._set",
        ),
    ),
    mutant(
        "forced with the first row",
        19,
        "forced, of two rows of intact nodes the first counts, not the one of the highest ballot",
        (
            MACHINE,
            "        if theirs.accepted > mine.accepted:\n            self._set",
            "        if theirs.accepted > mine.accepted == 0:\n            self._set",
        ),
    ),
    mutant(
        "forced beside the lost",
        19,
        "forced, what absent nodes have shown on disks that may be lost counts on",
        (MEMBERSHIP, "if context.reach.is_down(peer) or word is None or", "if False and"),
    ),
    mutant(
        "forced for applied entries only",
        19,
        "forced, rows above what is applied are not asked for",
        (FLOORS, "        if highest <= committed:\n", "        if True:\n"),
    ),
    # -- a disk made from a backup
    mutant(
        "restored disk is a member",
        19,
        "a. a disk that was made from a backup votes at once",
        (
            RESTORED,
            "return StandingRow(State.REENTERING, disks, founding)",
            "return StandingRow(State.MEMBER, disks, founding, (), END)",
        ),
        (RESTORED, "from .standing import Disk,", "from .standing import END, Disk,"),
    ),
    mutant(
        "restored votes",
        19,
        "a new cluster begins with the votes of one node as those of all",
        (RESTORING, "        if record.chosen and entry <= last + 1:\n", "        if True:\n"),
    ),
    mutant(
        "restored from different backups",
        19,
        "disks of a new cluster that come from different backups know each other",
        (RESTORED, 'f"{backup} {node} {cluster}"', 'f"{node} {cluster}"'),
    ),
    # -- d. pre-auth
    mutant(
        "pre-auth behind what is left",
        19,
        "d. forced, pre-auth comes back right above the rows that were taken over",
        (
            WALK,
            "            entity.log.no_preauth_through = max(entity.log.no_preauth_through, one.entry + 1)\n",
            "",
        ),
    ),
    mutant(
        "who re-enters is asked once",
        19,
        "c. its word that it votes again is lost, and is never asked for",
        (
            MEMBERSHIP,
            "                    self._say(peer, asks=True)\n        if self._settled",
            "                    pass\n        if self._settled",
        ),
        shown_by="tests/core/test_reentry.py",
    ),
    mutant(
        "pre-auth by learning",
        19,
        "d. pre-auth comes back with what was learned",
        (
            LOGSTATE,
            "        if floor < INFINITE:\n            self.no_preauth_through = max(self.no_preauth_through, floor)\n",
            "",
        ),
    ),
)

SEEN = (
    "empty disk is a member",
    "member by its number",
    "no fence",
    "old disks are taken back",
    "one peer less is asked",
    "who comes back is asked",
    "free before the walk",
    "votes below the floor",
    "answers below the floor",
)
"""The simulator finds these within twenty seeds."""
LOST_DISK = (
    *[one if one.name in SEEN or one.shown_by else one._replace(shown_by=TESTS) for one in _CLAUSES],
    *[one._replace(shown_by=DAMAGE_TESTS) for one in _DAMAGE],
)
