"""What is known of a command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ....core.batch.overlay import View
from ..resp import integer
from ..run import Run
from ..types.across import Way

MAX_OPTION_BYTES = 16
_OTHER_THAN_DATA = frozenset(("cluster", "scripting", "server"))
_READ_AND_CHANGE = frozenset(("getdel", "getex", "getset", "xack", "xautoclaim", "xclaim", "xreadgroup"))
MANY_WORDS = 256
"""What is fast costs by its words: with more than so many it may be a long read."""


def keys_after_timeout(args: list[bytes]) -> list[bytes]:
    """`find_keys` where that number stands behind a time-out."""
    return keys_after_number(args[1:])


def keys_after_target(args: list[bytes]) -> list[bytes]:
    """`find_keys` where that number stands behind the key that is written."""
    return [args[1], *keys_after_number(args[1:])]


def keys_stored(first: int, *options: bytes) -> Callable[[list[bytes]], list[bytes]]:
    """`find_keys` where from the word `first` on each of these options may be followed by a key that is written."""

    def find(args: list[bytes]) -> list[bytes]:
        keys = [args[1]]
        for option in options:
            keys += [args[at + 1] for at in range(first, len(args) - 1) if args[at].upper() == option][:1]
        return keys

    return find


def reads_without(*options: bytes) -> Callable[[list[bytes]], bool]:
    """`only_reads` where it writes with one of these options alone."""
    wanted = frozenset(options)

    def only_reads(args: list[bytes]) -> bool:
        return wanted.isdisjoint([word.upper() for word in args[2:] if len(word) < MAX_OPTION_BYTES])

    return only_reads


class Prepare(NamedTuple):
    """What is done of a command before it is proposed, in a thread."""

    from_bytes: int
    """If its words are more than so many."""
    read: Callable[[list[bytes]], Run]
    """What is left to do, by its words. Raises nothing: errors come when that is run."""


@dataclass(frozen=True, slots=True, eq=False)
class Spec:
    """What is known of a command."""

    name: str
    arity: int
    """Number of words, the name included; negative: at least so many."""
    group: str
    summary: str
    flags: tuple[str, ...]
    run: Run | None = None
    """What it does to an entity; None: it concerns the connection alone."""
    keys: tuple[int, int, int] = (0, 0, 0)
    """First and last word that is a key (-1: the last word), and the step between them; 0: none is."""
    find_keys: Callable[[list[bytes]], list[bytes]] | None = None
    """Finds the keys where they do not stand in one row, as after a number of keys."""
    timeout_at: int = 0
    """The word that says for how many seconds to wait if there is nothing (-1: the last one); 0: it never waits."""
    resumed: Callable[[View, list[bytes]], list[bytes]] | None = None
    """The words with which it waits, when it has found nothing: `$` is the end of a stream as it is now."""
    only_reads: Callable[[list[bytes]], bool] | None = None
    """Whether it writes nothing with these words, though it is a command that writes."""
    prepare: Prepare | None = None
    """What of it needs no view and takes long."""
    everywhere: bool = False
    """It concerns every entity of the database, not that of its keys."""
    way_of: Callable[[list[bytes], int], Way | None] | None = None
    """Where it leads, sent to the database of this number, if it concerns another one too (types/across.py)."""
    gather: Callable[[Sequence[bytes]], bytes] | None = None
    """Makes one reply of those of several entities; None: they are numbers to be added up, or all say OK."""
    writes: bool = field(init=False)
    reads: bool = field(init=False)
    """It looks its keys up for what they are, whatever it does to them then: it is told whether they were there (INFO)."""
    waits: bool = field(init=False)
    """It may wait for something to come (waits.py)."""
    may_be_long: bool = field(init=False)
    """It reads, and how much depends on what is there: it is not what Redis calls fast, which costs by its words."""

    def __post_init__(self) -> None:
        reads = "readonly" in self.flags and not self.everywhere and self.group not in _OTHER_THAN_DATA
        object.__setattr__(self, "reads", reads or self.name in _READ_AND_CHANGE)
        object.__setattr__(self, "waits", "blocking" in self.flags)
        long = ("readonly" in self.flags or self.only_reads is not None) and not {"fast", "noscript"} & {*self.flags}
        object.__setattr__(self, "may_be_long", long)
        object.__setattr__(self, "writes", "write" in self.flags or (self.run is not None and self.group == "pubsub"))

    def key_names(self, args: list[bytes]) -> list[bytes]:
        """The words that are keys."""
        if self.find_keys is not None:
            return self.find_keys(args)
        first, last, step = self.keys
        return args[first : (last if last > 0 else len(args) + last) + 1 : step] if first else []

    def writes_with(self, args: list[bytes]) -> bool:
        """Whether it may write with these words."""
        return self.writes and (self.only_reads is None or not self.only_reads(args))

    def may_be_long_with(self, args: list[bytes]) -> bool:
        """Whether it may be a long read with these words."""
        return self.may_be_long or (len(args) > MANY_WORDS and "fast" in self.flags)

    def full_name(self, args: list[bytes]) -> bytes:
        """As errors call it; empty: there is no such subcommand."""
        return self.name.encode()

    def fits(self, words: int) -> bool:
        """Whether a command of so many words has all its arguments, and none too many."""
        return words == self.arity if self.arity > 0 else words >= -self.arity


def keys_after_number(args: list[bytes]) -> list[bytes]:
    """`find_keys` where the first word is how many keys follow."""
    number = integer(args[1])
    return args[2 : 2 + number] if number is not None and number > 0 else []


def index(specs: Iterable[Spec]) -> dict[bytes, Spec]:
    """Specs by name, in lower and in upper case: the two ways in which clients send them."""
    table: dict[bytes, Spec] = {}
    for spec in specs:
        table[spec.name.encode()] = table[spec.name.upper().encode()] = spec
    return table
