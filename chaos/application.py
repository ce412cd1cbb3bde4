"""The application of the nodes: accounts that never go below zero, one on each entity, for PAXOS.CALL and PAXOS.READ."""

from __future__ import annotations

from paxosstore import App, Refused, View

NAME = "chaos.application:app"
NOT_ENOUGH = "NOT_ENOUGH"
_BALANCE = b"balance"

app = App()


@app.handler
def balance(view: View) -> int:
    return int(view.get(_BALANCE) or b"0")


@app.handler
def change(view: View, amount: int) -> int:
    """Returns what there is then."""
    after = balance(view) + amount
    if after < 0:
        raise Refused(NOT_ENOUGH, {"balance": after - amount})
    view.put(_BALANCE, b"%d" % after)
    return after
