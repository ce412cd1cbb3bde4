"""The application of test_calls.py."""

from __future__ import annotations

from paxosstore import App, Refused, View

app = App()
newer = App()
"""The same in a later version."""


@app.handler
@newer.handler
def add(view: View, amount: int) -> int:
    total = int(view.get(b"total") or b"0") + amount
    if amount < 0:
        raise Refused("NEGATIVE", {"amount": amount})
    view.put(b"total", b"%d" % total)
    return total


@app.handler
@newer.handler
def total(view: View) -> int:
    return int(view.get(b"total") or b"0")


@newer.handler
def double(view: View) -> int:
    doubled = 2 * int(view.get(b"total") or b"0")
    view.put(b"total", b"%d" % doubled)
    return doubled


@newer.handler
def twice(view: View) -> int:
    return 2 * int(view.get(b"total") or b"0")
