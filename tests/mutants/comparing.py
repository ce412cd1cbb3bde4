"""Mistakes in comparing replicas: a difference that is none, one that is not seen."""

from __future__ import annotations

from .mutant import mutant

VIEWS = "core/verify/views.py"
COMPARER = "core/verify/comparer.py"
DIGEST = "core/verify/digest.py"

COMPARING = (
    mutant(
        "compared at any entry",
        16,
        "a view counts for the entry that was asked for, whatever it shows",
        (VIEWS, "        if applied > entry:\n", "        if False:\n"),
        (VIEWS, "        elif applied == entry:\n", "        elif applied >= entry:\n"),
        (VIEWS, "        elif event.committed != view.asked.entry:\n", "        elif False:\n"),
        (VIEWS, "number, entry = piece.entity, piece.number, piece.committed", "number, entry = *piece[1:3], view.asked.entry"),
    ),
    mutant(
        "halves compared",
        16,
        "a piece that reaches further than another's is compared to its own end",
        (DIGEST, "            if not through or row.key <= through:\n", "            if True:\n"),
        shown_by="tests/core/test_comparing.py",
    ),
    mutant(
        "keys digested alone",
        16,
        "what values are is not looked at",
        (DIGEST, "len(value), key, value))\n", 'len(value), key, b""))\n'),
    ),
    mutant(
        "last piece not compared",
        16,
        "a comparison ends before its last piece",
        (
            COMPARER,
            "            self._advance(run, reply.last, more=reply.more)\n        elif",
            "            self._end(run)\n        elif",
        ),
    ),
    mutant(
        "pieces not compared",
        16,
        "whatever is shown is taken for equal",
        (
            COMPARER,
            "        if len({(reply.digest, reply.last, reply.more) for reply in replies.values()}) == 1:\n",
            "        if True:\n",
        ),
    ),
)
