"""SLOWLOG and LATENCY: what times.py knows."""

from __future__ import annotations

import time

from ..reply import OK, array, bulk, error, integer_reply, lines_of, map_of, text, verbatim
from ..resp import integer
from .session import Session
from .times import Took

BAD_COUNT = error("count should be greater than or equal to -1")
_ALL = 10
_BAR = 40
HELP = lines_of(
    ["LATENCY <subcommand>: DOCTOR, GRAPH event, HISTOGRAM [command ...], HISTORY event, LATEST, RESET [event ...], HELP"]
)


def slowlog_get(session: Session, args: list[bytes]) -> bytes:
    count: int | None = _ALL
    if len(args) > 3:
        return error(b"unknown subcommand or wrong number of arguments for '%b'. Try SLOWLOG HELP." % args[1][:128])
    if len(args) == 3:
        count = integer(args[2])
        if count is None or count < -1:
            return BAD_COUNT
    slow = session.host.times.slow
    chosen = list(slow)[: len(slow) if count == -1 else count]
    return array(
        [
            array(
                [
                    integer_reply(one.number),
                    integer_reply(one.at_s),
                    integer_reply(one.took_us),
                    array([bulk(word) for word in one.words]),
                    text(one.address),
                    bulk(one.name),
                ]
            )
            for one in chosen
        ]
    )


def slowlog_len(session: Session, args: list[bytes]) -> bytes:
    return integer_reply(len(session.host.times.slow))


def slowlog_reset(session: Session, args: list[bytes]) -> bytes:
    session.host.times.slow.clear()
    return OK


def latency_latest(session: Session, args: list[bytes]) -> bytes:
    times = session.host.times
    found = [
        array([text(event), *(integer_reply(number) for number in (*samples[-1], times.worst[event]))])
        for event, samples in times.events.items()
    ]
    return array(found)


def latency_history(session: Session, args: list[bytes]) -> bytes:
    samples = session.host.times.events.get(args[2].decode("latin-1"), ())
    return array([array([integer_reply(at_s), integer_reply(ms)]) for at_s, ms in samples])


def latency_reset(session: Session, args: list[bytes]) -> bytes:
    return integer_reply(session.host.times.forget_events([word.decode("latin-1") for word in args[2:]]))


def latency_doctor(session: Session, args: list[bytes]) -> bytes:
    said = "No command was slow: see CONFIG SET latency-monitor-threshold <milliseconds>.\n"
    lines = [f"{event}: {ms} ms at worst.\n" for event, ms in session.host.times.worst.items()]
    return verbatim("".join(lines) or said, session.proto)


def latency_histogram(session: Session, args: list[bytes]) -> bytes:
    """How many calls took up to how long, of commands and their subcommands."""
    commands = session.host.times.commands
    names = list(commands)
    if len(args) > 2:
        asked = [word.decode("latin-1").lower() for word in args[2:]]
        names = [name for word in asked for name in commands if name == word or name.startswith(word + "|")]
    return map_of([(text(name), _histogram(commands[name], session.proto)) for name in names], session.proto)


def _histogram(took: Took, proto: int) -> bytes:
    so_far, steps = 0, []
    for power, calls in enumerate(took.buckets):
        if calls:
            so_far += calls
            steps.append((integer_reply(1 << power), integer_reply(so_far)))
    return map_of([(text("calls"), integer_reply(took.calls)), (text("histogram_usec"), map_of(steps, proto))], proto)


def latency_graph(session: Session, args: list[bytes]) -> bytes:
    """A line for each second that had one: how long ago, how many milliseconds, and a bar."""
    event = args[2].decode("latin-1")
    samples = session.host.times.events.get(event)
    if not samples:
        return error(b"No samples available for event '%b'" % args[2][:128])
    worst, now_s = max(ms for _, ms in samples), int(time.time())
    lines = [f"{event}: {worst} ms at worst"]
    lines += [f"{now_s - at_s:8d} s ago {ms:8d} ms {'#' * max(1, ms * _BAR // max(1, worst))}" for at_s, ms in samples]
    return verbatim("\n".join(lines) + "\n", session.proto)
