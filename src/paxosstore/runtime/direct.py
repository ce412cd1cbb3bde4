"""Writing to a socket at once.

uvloop keeps what is written until the end of the loop's pass. Where the pass still has a write to the disk before it, that is
time the peer or the client could have used: a tenth of a lone write's latency.
"""

from __future__ import annotations

import asyncio
import os


def descriptor(transport: asyncio.BaseTransport) -> int:
    """The transport's file descriptor, for `write_now`; -1 if it has none."""
    socket = transport.get_extra_info("socket")
    return -1 if socket is None else int(socket.fileno())


def write_now(transport: asyncio.Transport, fd: int, data: bytes) -> bool:
    """Write what the socket takes now; the transport gets the rest, and whatever error there is. Whether all has left."""
    if transport.is_closing():
        return True  # nobody reads it, and the descriptor may already be somebody else's
    if fd >= 0 and not transport.get_write_buffer_size():
        try:
            sent = os.write(fd, data)
        except OSError:  # full, or broken: the transport knows what to do
            sent = 0
        if sent == len(data):
            return True
        data = data[sent:]
    transport.write(data)
    return False
