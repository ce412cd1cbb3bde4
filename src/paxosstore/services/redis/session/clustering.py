"""CLUSTER, and what goes with it: clients for clusters are told that every slot is at the node they ask, with the others as its
replicas. So they send it everything, and come to another one when it is gone: nobody is ever sent elsewhere (MOVED, ASK).
"""

from __future__ import annotations

from ..layout.keyspace import CLUSTER_SLOTS, hash_slot
from ..reply import OK, array, error, integer_reply, lines_of, map_of, text, verbatim
from .session import Session
from .spec import Local, always
from .topology import Member, majority

FIXED = error("the nodes are those of the configuration file, and each of them has all slots: nothing to change")
_HELP = (
    "CLUSTER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "COUNTKEYSINSLOT <slot>, GETKEYSINSLOT <slot> <count>: the keys of a slot, where there are not too many to look at.",
    "INFO, NODES, SHARDS, SLOTS, MYID: every node has every slot, the others are told as replicas of the one that answers.",
    "KEYSLOT <key>: the slot of a key.",
    "COUNT-FAILURE-REPORTS, LINKS, REPLICAS <node-id>, SAVECONFIG, HELP",
)


def members(session: Session) -> list[Member]:
    return session.host.topology.members(session.local_address)


def _found(session: Session, word: bytes) -> Member | None:
    return next((member for member in members(session) if member.id.encode() == word.lower()), None)


def _unknown(word: bytes) -> bytes:
    return error(b"Unknown node %b" % word[:128])


def slots(session: Session, args: list[bytes]) -> bytes:
    nodes = [
        array([text(member.host), integer_reply(member.port), text(member.id), array([])])
        for number, member in enumerate(members(session))
        if member.up or not number
    ]
    return array([array([integer_reply(0), integer_reply(CLUSTER_SLOTS - 1), *nodes])])


def shards(session: Session, args: list[bytes]) -> bytes:
    nodes = []
    for number, member in enumerate(members(session)):
        facts = [
            ("id", text(member.id)),
            ("port", integer_reply(member.port)),
            ("ip", text(member.host)),
            ("endpoint", text(member.host)),
            ("role", text("replica" if number else "master")),
            ("replication-offset", integer_reply(0)),
            ("health", text("online" if member.up else "failed")),
        ]
        nodes.append(map_of([(text(name), value) for name, value in facts], session.proto))
    shard = [(text("slots"), array([integer_reply(0), integer_reply(CLUSTER_SLOTS - 1)])), (text("nodes"), array(nodes))]
    return array([map_of(shard, session.proto)])


def _line(member: Member, master: Member) -> str:
    mine = member is master
    role = "myself,master" if mine else "slave" if member.up else "slave,fail"
    of, link = "-" if mine else master.id, "connected" if member.up else "disconnected"
    return f"{member.id} {member.address}@0 {role} {of} 0 0 1 {link}" + f" 0-{CLUSTER_SLOTS - 1}" * mine


def nodes(session: Session, args: list[bytes]) -> bytes:
    found = members(session)
    return verbatim("".join([_line(member, found[0]) + "\n" for member in found]), session.proto)


def replicas(session: Session, args: list[bytes]) -> bytes:
    found, asked = members(session), _found(session, args[2])
    if asked is None:
        return _unknown(args[2])
    if asked != found[0]:
        return error("The specified node is not a master")
    return array([text(_line(member, found[0])) for member in found[1:]])


def cluster_info(session: Session, args: list[bytes]) -> bytes:
    found = members(session)
    well = majority(found)
    facts = {
        "cluster_state": "ok" if well else "fail",
        "cluster_slots_assigned": CLUSTER_SLOTS,
        "cluster_slots_ok": CLUSTER_SLOTS if well else 0,
        "cluster_slots_pfail": 0,
        "cluster_slots_fail": 0 if well else CLUSTER_SLOTS,
        "cluster_known_nodes": len(found),
        "cluster_size": 1,
        "cluster_current_epoch": 1,
        "cluster_my_epoch": 1,
        "cluster_stats_messages_sent": 0,
        "cluster_stats_messages_received": 0,
        "total_cluster_links_buffer_limit_exceeded": 0,
    }
    return verbatim("".join([f"{name}:{value}\r\n" for name, value in facts.items()]), session.proto)


def myid(session: Session, args: list[bytes]) -> bytes:
    return text(members(session)[0].id)


def keyslot(session: Session, args: list[bytes]) -> bytes:
    return integer_reply(hash_slot(args[2], CLUSTER_SLOTS))


def count_failure_reports(session: Session, args: list[bytes]) -> bytes:
    asked = _found(session, args[2])
    return _unknown(args[2]) if asked is None else integer_reply(0 if asked.up else 1)


def _on_data(session: Session, args: list[bytes]) -> bytes:
    return error(b"CLUSTER %b is not possible in a transaction" % args[1].upper())


ACCEPTED = always(OK)
"""READONLY, READWRITE, ASKING: every node takes reads and writes, of every slot."""


CLUSTER: dict[bytes, tuple[int, Local]] = {
    b"count-failure-reports": (3, count_failure_reports),
    b"countkeysinslot": (3, _on_data),
    b"getkeysinslot": (4, _on_data),
    b"help": (2, always(lines_of(_HELP))),
    b"info": (2, cluster_info),
    b"keyslot": (3, keyslot),
    b"links": (2, always(array([]))),  # of Redis's bus: there is none
    b"myid": (2, myid),
    b"nodes": (2, nodes),
    b"replicas": (3, replicas),
    b"saveconfig": (2, always(OK)),
    b"shards": (2, shards),
    b"slaves": (3, replicas),
    b"slots": (2, slots),
    **dict.fromkeys(
        (
            b"addslots",
            b"addslotsrange",
            b"bumpepoch",
            b"delslots",
            b"delslotsrange",
            b"failover",
            b"flushslots",
            b"forget",
            b"meet",
            b"replicate",
            b"reset",
            b"set-config-epoch",
            b"setslot",
        ),
        (-2, always(FIXED)),
    ),
}
"""By the second word: how many words, and what runs it."""
ON_DATA = frozenset((b"countkeysinslot", b"getkeysinslot"))
"""These are requests: types/slots.py."""
