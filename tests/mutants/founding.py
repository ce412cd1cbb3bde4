"""Rule 19f: when a store that was damaged before the beginning is new again; and over which link a peer's word counts (19b)."""

from __future__ import annotations

from .mutant import Mutant, mutant

MEMBERSHIP = "core/reentry/membership.py"
STANDING = "core/turn/standing.py"

TESTS = "tests/core/test_new_again.py tests/core/test_reentry.py"
"""They show each of these. The first of the words the model of rule 19 finds too, as its clause `live`. What 19f asks for
does not keep values apart, an empty disk is new without it: it keeps a cluster that was lost from beginning without a word."""

_ANEW: tuple[Mutant, ...] = (
    mutant(
        "new again and again",
        19,
        "f. who is new, or a member, takes itself for new again",
        (STANDING, "if row.state is not State.REENTERING or row.cursor", "if row.cursor"),
    ),
    mutant(
        "new again in spite of a founding",
        19,
        "f. who has heard of a cluster is new again, whoever was in it",
        (STANDING, "            if len(there) < self._quorum:\n", "            if False:\n"),
    ),
    mutant(
        "new again on its way",
        19,
        "f. whose walk has begun, so that it votes for some, is new again",
        (STANDING, "REENTERING or row.cursor != NOWHERE or len(", "REENTERING or len("),
    ),
    mutant(
        "new again before all have spoken",
        19,
        "f. it does not wait for the word of each other node",
        (STANDING, " or len(self.words) < len(row.disks) - 1:", ":"),
    ),
    mutant(
        "new again beside a member",
        19,
        "f. that one of the others is new is enough",
        (
            STANDING,
            "new < self._quorum or new + lost < len(self.words)",
            "new < 1",
        ),
    ),
    mutant(
        "new again by different tables",
        19,
        "f. that all others are new is enough, whatever disks they see",
        (
            STANDING,
            "new = sum(says_new(word, table) for word in self.words.values())",
            "new = sum(word.state == State.NEW.value for word in self.words.values())",
        ),
    ),
    mutant(
        "new again among strangers",
        19,
        "f. nobody needs to have known the disk that was damaged: all that there was may be lost, and nobody hears of it",
        (STANDING, "if known < self._quorum or new <", "if new <"),
    ),
    mutant(
        "new again for one who knew it",
        19,
        "f. that one peer has known the damaged disk is enough",
        (STANDING, "if known < self._quorum or new <", "if known < 1 or new <"),
    ),
    mutant(
        "new again alone",
        19,
        "f. where two stores were damaged each waits for the other to be new",
        (STANDING, "new + lost < len(self.words)", "new < len(self.words)"),
    ),
    mutant(
        "new again with as many lost",
        19,
        "f. it is new again where a majority has lost its disks",
        (STANDING, "new < self._quorum or new + lost", "new + lost"),
    ),
    mutant(
        "new again beside one lost that sees others",
        19,
        "f. that the others are new, or like this one, is enough, whatever disks those see",
        (STANDING, "word.state == State.REENTERING.value and _sees(word, table)", "word.state == State.REENTERING.value"),
    ),
    mutant(
        "new again though not empty",
        19,
        "f. who was told that it is a copy is new again, with its rows, if it came empty earlier",
        (STANDING, ", replaced=others)\n", ")\n"),
    ),
    mutant(
        "new again only where a store was damaged",
        19,
        "f. where some have begun a cluster and lost their disks, they wait for each other for ever",
        (STANDING, "(*before, *row.replaced)[-MAX_REPLACED:]", "row.replaced"),
    ),
    mutant(
        "a member by hearsay",
        19,
        "a. what one that re-enters tells of a cluster counts: that may have been given up, and another one begun",
        (STANDING, "        if word.state != State.MEMBER.value:\n", "        if not word.founding:\n"),
    ),
    mutant(
        "new again for a peer's disk",
        19,
        "f. that peers have known any disk which was replaced counts as if it were the own one",
        (STANDING, "{disk for node, disk in row.replaced if node == self.me}", "{disk for _, disk in row.replaced}"),
    ),
    mutant(
        "new again without a disk",
        19,
        "f. it is new again while that cannot be written",
        (MEMBERSHIP, "(not context.cannot_write and standing.begins_anew())", "standing.begins_anew()"),
    ),
)

_WORDS: tuple[Mutant, ...] = (
    mutant(
        "words of a link before",
        19,
        "b. a word counts over a link whose disk is not that of the peer's last hello: it brings back a disk that was replaced",
        (MEMBERSHIP, "if disk and peer in self._seen and self._seen[peer][0].id != disk:", "if False:"),
    ),
    mutant(
        "words of another disk than the link's",
        19,
        "b. a word counts in which the peer names another disk than its link's: it has become another one since",
        (MEMBERSHIP, "if not seen.id or (disk and disk != seen.id):", "if not seen.id:"),
    ),
)

FOUNDING = tuple(one._replace(shown_by=one.shown_by or TESTS) for one in _ANEW + _WORDS)
