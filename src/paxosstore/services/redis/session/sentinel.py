"""SENTINEL: clients that know Redis's sentinels are told that the node they ask is the master, and that the others are its
replicas and the sentinels beside it. When it is gone they ask the next one of their list, which names itself.
"""

from __future__ import annotations

from ..reply import OK, array, error, integer_reply, lines_of, map_of, nil, nil_array, simple, text
from .clustering import members
from .session import Session
from .spec import Local, always
from .topology import Member, majority

NO_MASTER = error("No such master with that name")
FIXED = error("the nodes are those of the configuration file, and each of them is a master: nothing to change")
Facts = list[tuple[str, str]]
_HELP = (
    "SENTINEL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CKQUORUM <master-name>: whether there are links to a majority of the nodes.",
    "GET-MASTER-ADDR-BY-NAME <master-name>, MASTER <master-name>, MASTERS: this node.",
    "REPLICAS <master-name>, SENTINELS <master-name>: the other nodes.",
    "FLUSHCONFIG, INFO-CACHE, IS-MASTER-DOWN-BY-ADDR, MYID, PENDING-SCRIPTS, HELP",
)


def _is_ours(session: Session, word: bytes) -> bool:
    return word == session.host.settings.master_name.encode()


def _down(member: Member) -> str:
    return "" if member.up else "s_down,"


def _basis(name: str, member: Member, flags: str) -> Facts:
    return [
        ("name", name),
        ("ip", member.host),
        ("port", str(member.port)),
        ("runid", member.id),
        ("flags", flags if member.up else flags + ",disconnected"),
        ("link-pending-commands", "0"),
        ("link-refcount", "1"),
        ("last-ping-sent", "0"),
        ("last-ok-ping-reply", "0"),
        ("last-ping-reply", "0"),
    ]


def _master(session: Session) -> bytes:
    found = members(session)
    others = str(len(found) - 1)
    facts = [
        *_basis(session.host.settings.master_name, found[0], "master"),
        ("down-after-milliseconds", "1000"),
        ("info-refresh", "0"),
        ("role-reported", "master"),
        ("role-reported-time", "0"),
        ("config-epoch", "0"),
        ("num-slaves", others),
        ("num-other-sentinels", others),
        ("quorum", str(len(found) // 2 + 1)),
        ("failover-timeout", "1000"),
        ("parallel-syncs", "1"),
    ]
    return _told(session, facts)


def _told(session: Session, facts: Facts) -> bytes:
    return map_of([(text(name), text(value)) for name, value in facts], session.proto)


def masters(session: Session, args: list[bytes]) -> bytes:
    return array([_master(session)])


def master(session: Session, args: list[bytes]) -> bytes:
    return _master(session) if _is_ours(session, args[2]) else NO_MASTER


def get_master_addr(session: Session, args: list[bytes]) -> bytes:
    if not _is_ours(session, args[2]):
        return nil_array(session.proto)
    me = members(session)[0]
    return array([text(me.host), text(str(me.port))])


def replicas(session: Session, args: list[bytes]) -> bytes:
    if not _is_ours(session, args[2]):
        return NO_MASTER
    me, *others = members(session)
    told = []
    for member in others:
        facts = [
            *_basis(member.address, member, _down(member) + "slave"),
            ("info-refresh", "0"),
            ("role-reported", "slave"),
            ("role-reported-time", "0"),
            ("master-link-down-time", "0"),
            ("master-link-status", "ok" if member.up else "err"),
            ("master-host", me.host),
            ("master-port", str(me.port)),
            ("slave-priority", "100"),
            ("slave-repl-offset", "0"),
            ("replica-announced", "1"),
        ]
        told.append(_told(session, facts))
    return array(told)


def sentinels(session: Session, args: list[bytes]) -> bytes:
    if not _is_ours(session, args[2]):
        return NO_MASTER
    told = []
    for member in members(session)[1:]:
        facts = [
            *_basis(member.id, member, _down(member) + "sentinel"),
            ("last-hello-message", "0"),
            ("voted-leader", "?"),
            ("voted-leader-epoch", "0"),
        ]
        told.append(_told(session, facts))
    return array(told)


def ckquorum(session: Session, args: list[bytes]) -> bytes:
    if not _is_ours(session, args[2]):
        return NO_MASTER
    found = members(session)
    usable = sum([member.up for member in found])
    if majority(found):
        return simple(f"OK {usable} usable Sentinels. Quorum and failover authorization can be reached")
    return error(f"{usable} usable Sentinels. Not enough available Sentinels to reach the majority", "NOQUORUM")


def myid(session: Session, args: list[bytes]) -> bytes:
    return text(members(session)[0].id)


def info_cache(session: Session, args: list[bytes]) -> bytes:
    """Nobody's INFO is kept: ask for it."""
    return nil(session.proto)


SENTINEL: dict[bytes, tuple[int, Local]] = {
    b"ckquorum": (3, ckquorum),
    b"flushconfig": (2, always(OK)),
    b"get-master-addr-by-name": (3, get_master_addr),
    b"help": (2, always(lines_of(_HELP))),
    b"info-cache": (-3, info_cache),
    b"is-master-down-by-addr": (6, always(array([integer_reply(0), text("*"), integer_reply(0)]))),  # no: it answers
    b"master": (3, master),
    b"masters": (2, masters),
    b"myid": (2, myid),
    b"pending-scripts": (2, always(array([]))),
    b"replicas": (3, replicas),
    b"sentinels": (3, sentinels),
    b"slaves": (3, replicas),
    **dict.fromkeys((b"config", b"debug", b"failover", b"monitor", b"remove", b"reset", b"set"), (-2, always(FIXED))),
}
"""By the second word: how many words, and what runs it."""
