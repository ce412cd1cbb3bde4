"""What the clients of one node take together: memory, and the network."""

from __future__ import annotations


class Room:
    """Bytes held for clients: what they have sent and is not done, and replies that they have not read.

    From half of the limit on, what is large waits or is refused before it is taken in; above the limit, the clients that
    hold most are closed. So honest load stays below it, whatever one client does.
    """

    __slots__ = ("_full_at", "full", "held", "limit")

    def __init__(self, limit: int) -> None:
        self.held = 0
        self.full = False
        """Nothing large is begun any more."""
        self.tune(limit)

    def tune(self, limit: int) -> None:
        """This is the limit from now on."""
        self.limit = limit
        self._full_at = limit // 2
        self.add(0)

    @property
    def over(self) -> bool:
        """There is more than there may be: somebody has to go."""
        return self.held > self.limit

    def add(self, size: int) -> None:
        """So many bytes more are held, or fewer."""
        self.held += size
        self.full = self.held >= self._full_at


class Share:
    """What of it one client holds, as far as the room knows."""

    __slots__ = ("held", "room")

    def __init__(self, room: Room) -> None:
        self.room = room
        self.held = 0

    def add(self, size: int) -> None:
        """It holds so many bytes more, or fewer."""
        self.held += size
        self.room.add(size)

    def settle(self, held: int) -> None:
        """This is what it holds."""
        if held != self.held:
            self.room.add(held - self.held)
            self.held = held


class Traffic:
    """What has come from clients and gone to them: counted once for each read of a socket and each write to one."""

    __slots__ = ("bytes_in", "bytes_out", "reads", "writes")

    def __init__(self) -> None:
        self.bytes_in = self.bytes_out = self.reads = self.writes = 0
