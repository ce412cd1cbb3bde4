"""Whom a node waits for before it votes, and why (rule 19): for people."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import LearnsOnly
from ..entity.entity import Entity
from ..interface.message import Standing
from .context import Context
from .standing import OwnStanding, State


def floors_needed(context: Context) -> int:
    """Rule 19c: how many intact peers have to be asked: so many meet every majority, this node left out."""
    return context.n - context.quorum + 1


def describe_floor(context: Context, entity: Entity) -> str:
    """Why this node may not vote at the next entry of an entity; empty: it may."""
    if context.may_vote(entity, entity.log.committed + 1):
        return ""
    waiting = describe_waiting(context)
    if waiting:
        return f"node {context.me} {waiting}"
    return f"node {context.me} lost its disk and has not learned all of entity {entity.id} again"


def learns_only(context: Context) -> LearnsOnly:
    """Why this node serves nobody, and who does."""
    reach = context.reach
    missing = reach.learners | reach.resting | {peer for peer in context.peers if reach.is_down(peer)}
    others = [peer for peer in context.peers if peer not in missing] or context.peers
    where = " or ".join(f"node {peer} ({context.elsewhere.get(peer, 'its address is not known here')})" for peer in others)
    return LearnsOnly(f"node {context.me} learns only (learn_only): ask {where}")


def describe_waiting(context: Context) -> str:
    """What keeps this node from voting; empty: nothing does, but for entities below their floor."""
    standing = context.standing
    state = standing.row.state
    if not standing.active:
        return ""
    if state is State.NEW:
        return _new_waits(context, standing)
    if state is State.REENTERING:
        missing = [peer for peer in context.peers if _why_not_asked(context, peer)]
        if len(context.peers) - len(missing) >= floors_needed(context):
            return ""
        reasons = ", ".join(f"node {peer} ({_why_not_asked(context, peer)})" for peer in missing)
        return f"lost its disk: waits for {reasons}{_if_none_began(context, standing)}"
    if not standing.confirmed:
        silent = [peer for peer in context.peers if peer not in standing.confirmed_by]
        return f"has just started: waits for {nodes(silent)} to say that its disk is still the one they know"
    return ""


def _new_waits(context: Context, standing: OwnStanding) -> str:
    if standing.doubts:
        return (
            f"is new, and {nodes(standing.doubts)} are on other disks than when it first met them: a cluster that began with "
            "those has lost a majority. Waits for one of them to come back; forced, a new cluster begins without what they held"
        )
    lost = [peer for peer, word in standing.words.items() if word.state == State.REENTERING.value]
    if lost:
        which = ", ".join(f"node {peer} has lost its disk" for peer in sorted(lost))
        return f"is new, but {which}, and no member is there: see what is said there"
    silent = [peer for peer in context.peers if peer not in standing.words]
    if silent:
        down = [peer for peer in silent if context.reach.is_down(peer)]
        if down:
            reasons = ", ".join(f"node {peer} ({context.reach.reason(peer)})" for peer in down)
            return f"waits for {reasons}: a new cluster begins when all of its nodes have started once"
        return f"has just started: waits for {nodes(silent)} to say what they know of it"
    return f"waits until {nodes(context.peers)} know the disks of all: a new cluster begins with all of its nodes"


def _if_none_began(context: Context, standing: OwnStanding) -> str:
    """What to do where no cluster may have begun at all: where nobody has heard of one (rule 19f)."""
    members = any(word.state == State.MEMBER.value for word in standing.words.values())
    if members or standing.row.founding or len(standing.words) < len(context.peers):
        return ""
    return (
        f". If this cluster has never begun, stop node {context.me}, move its data directory away, and start it on an empty one: "
        "if it has, what the others held is on none of these disks"
    )


def _why_not_asked(context: Context, peer: int) -> str:
    """Why this peer cannot say which entities there are; empty: it can."""
    reason = context.reach.reason(peer)
    if reason:
        return reason
    word: Standing | None = context.standing.words.get(peer)
    if word is None:
        return "it has not said yet what it is"
    if word.state != State.MEMBER.value:
        return "it has lost its disk as well" if word.state == State.REENTERING.value else "it is new"
    return "" if peer in context.standing.intact() else "it has not noted the new disk yet"


def nodes(peers: Iterable[int]) -> str:
    """Which nodes, as a person reads it."""
    numbers = list(peers)
    return ("node " if len(numbers) == 1 else "nodes ") + ", ".join(map(str, numbers))
