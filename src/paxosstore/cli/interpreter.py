"""How the threads of a node's process share Python's interpreter."""

from __future__ import annotations

import sys

SWITCH_INTERVAL_S = 0.0005


def let_the_loop_go_soon() -> None:
    """A thread that computes (a scrub, a comparison, an expiry) lets another one go on after half a millisecond.

    Python's own interval is five: the loop lets go of the interpreter at each system call, so that one request, at three nodes,
    could wait for it a dozen times. It holds for the whole process: whoever embeds a node decides for himself.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
