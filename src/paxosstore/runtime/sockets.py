"""What the sockets of all services share: addresses as text, keepalive, and what a stranger's first bytes look like."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

KEEPALIVE_IDLE_S = 60
"""A connection that is silent for so long is asked whether its other end is there …"""
KEEPALIVE_PROBES = 3
"""… so often, each time after a third of that, before it is given up."""
TELLING_BYTES = 16
"""So many bytes from the start of a connection tell what it is."""

_REDIS_TYPES = b"*$+-:"
_METHODS = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"TRACE ")
_REDIS_WORDS = (b"PING", b"AUTH", b"INFO", b"HELLO", b"COMMAND", b"SELECT", b"CLIENT")


def where(host: str, port: int) -> str:
    """An address as people and URLs write it: host:port, or [v6]:port."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listening(host: str, port: int) -> dict[str, Any]:
    """Where to listen, for the loop's create_server. `::` is every address of the machine, of IPv4 too, as for gRPC.

    Raises OSError.
    """
    if host == "::" and socket.has_dualstack_ipv6():
        return {"sock": socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=True)}
    return {"host": host, "port": port}


def remote(transport: asyncio.BaseTransport) -> str:
    """Who is at the other end of a connection."""
    name = transport.get_extra_info("peername")
    return where(name[0], name[1]) if isinstance(name, tuple) and len(name) >= 2 else "an unknown address"


def said(error: OSError) -> str:
    """What the system says of an error, in its own words: "connection refused"."""
    number = error.errno or 0
    unresolved = isinstance(error, socket.gaierror)  # its numbers are its own
    text = os.strerror(number) if number > 0 and not unresolved else error.strerror or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]


def keep_alive(transport: asyncio.BaseTransport, idle_s: int = KEEPALIVE_IDLE_S) -> None:
    """Have the system find out that the other end is gone without a word: a pulled cable, a firewall that forgot."""
    found: Any = transport.get_extra_info("socket")
    if found is None:
        return
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", idle_s),
            ("TCP_KEEPINTVL", max(1, idle_s // 3)),
            ("TCP_KEEPCNT", KEEPALIVE_PROBES),
        ):
            if hasattr(socket, name):  # not everywhere
                found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    except OSError:
        pass  # it is gone already


def looks_like(data: bytes) -> str:
    """What the first bytes of a connection look like, for a log line: "HTTP", say. What they say is not ours to tell."""
    start = bytes(data[:TELLING_BYTES])
    if start.startswith((b"\x16\x03", b"\x80\x2e")):
        return "TLS"
    if start.startswith(b"PRI * HTTP/2"):
        return "HTTP/2 (gRPC)"
    if start.startswith(_METHODS):
        return "HTTP"
    if start[8:15] == b"PXSTORE":
        return "a PaxosStore peer"
    if start.startswith(b"SSH-"):
        return "SSH"
    if start[:1] and start[0] in _REDIS_TYPES and start[1:2].isdigit():
        return "the Redis protocol"
    if start.upper().startswith(_REDIS_WORDS):
        return "the Redis protocol"
    return "no protocol that is known here"
