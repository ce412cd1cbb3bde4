"""Every error this package raises, in one tree.

    PaxosStoreError
    ├── CallerError                 the caller's fault: repeating the same call gives the same answer
    │   ├── ConfigError             a setting is missing, unknown or out of range
    │   ├── InvalidRequest          malformed arguments
    │   ├── RequestFailed           the request's own function raised; its writes were dropped
    │   ├── Refused                 the request's own function refuses it, for a reason of its own; its writes were dropped
    │   ├── UnknownHandler          this node has no function of that name: nothing happened
    │   ├── TooLarge                a key, value or request over a limit
    │   ├── WrongEntry              run_paxos: the entry named is not the next one
    │   ├── DuplicateUuid           run_paxos: a uuid was applied before
    │   └── UuidReused              another request was made under this uuid: this one did not happen
    ├── ClusterError                no majority answered in time
    │   ├── NoQuorum                no majority, or none answered in time: nothing happened
    │   ├── OutcomeUnknown          it was proposed or handed over, and may or may not have happened
    │   │   ├── ReplyNotKept        it has happened under this uuid before; what it replied is known no longer
    │   │   └── UuidExpired         what happened under a uuid that old may be forgotten (the caller's fault as well)
    │   ├── Diverged                this entity is stopped, as its replicas differ; others are served
    │   ├── CommitLimitReached      catch_up applied `max_commit_num` entries and there are more
    │   └── NotCaughtUp             entries this replica needs are not here yet
    ├── NodeError                   this node's fault; another node may serve the same request
    │   ├── Overloaded              a queue is full
    │   ├── DiskFull                no room to write; reads still work
    │   ├── NotServing              the node is starting, stopping or stopped
    │   ├── LearnsOnly              the node is under repair: it learns, and serves nobody (learn_only)
    │   ├── PortTaken               a listening address is in use
    │   ├── BackupError             a backup or an export is damaged, incomplete or of another format
    │   └── DataDirectoryError      the data directory cannot be used
    │       ├── DirectoryInUse      another process has it open
    │       ├── DirectoryMismatch   it belongs to another cluster, node or format
    │       └── Damaged             its content fails a checksum (like a lost disk: it comes back from its peers)
    └── WireError                   a peer sent bytes that are no valid frame or message

Each class says three things about itself: whose `fault` it is, whether to `retry` the same call, and whether the
`outcome_known` (True: nothing happened; False: it may have happened, or may still happen). `code` is stable: it travels
between nodes and prefixes Redis errors. `exit_code` is what a command ends with.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import ClassVar

MAX_REFUSAL_CHARACTERS = 4_000
"""Of an application's own refusal: it travels, and is remembered under a uuid."""


class Fault(Enum):
    """Whose fault an error is."""

    CALLER = "caller"
    CLUSTER = "cluster"
    NODE = "node"


class PaxosStoreError(Exception):
    """Root of the tree; see the module's docstring."""

    fault: ClassVar[Fault] = Fault.NODE
    retry: ClassVar[bool] = False
    outcome_known: ClassVar[bool] = True
    code: ClassVar[str] = "ERR"
    exit_code: ClassVar[int] = 1


class CallerError(PaxosStoreError):
    fault = Fault.CALLER
    exit_code = 2


class ConfigError(CallerError):
    code = "CONFIG"


class InvalidRequest(CallerError):
    code = "INVALID"


class RequestFailed(CallerError):
    code = "FAILED"


class TooLarge(CallerError):
    code = "TOOLARGE"


class Refused(CallerError):
    """Raised by a request's function: it refuses the request, for a `reason` that is the application's own word, with `data` of
    what JSON can say. Both arrive at whoever made the request, at any node. Raises TooLarge, or InvalidRequest for other data.

    Its text is how it travels: the reason and, behind a space, the data as JSON. Of such a text alone it is made as well.
    """

    code = "REFUSED"

    def __init__(self, reason: str, data: object = None) -> None:
        if not isinstance(reason, str):
            raise InvalidRequest(f"Refused({reason!r:.80}): its reason must be text")
        text = reason
        if data is not None:
            if reason.split() != [reason]:
                raise InvalidRequest(f"Refused({reason!r:.80}): a reason that comes with data must be one word")
            text = f"{reason} {_as_json(reason, data)}"
            if len(text) > MAX_REFUSAL_CHARACTERS:
                raise TooLarge(f"a refusal of {len(text)} characters is over the limit of {MAX_REFUSAL_CHARACTERS}: say less")
        else:  # it has travelled, or is to: it raises nothing, whatever the text
            reason, _, rest = text.partition(" ")
            try:
                data = json.loads(rest) if rest else None
            except (ValueError, RecursionError):
                data = rest
        super().__init__(text)
        self.reason, self.data = reason, data

    def __reduce__(self) -> tuple[type[Refused], tuple[str]]:
        return type(self), (str(self),)


def _as_json(reason: str, data: object) -> str:
    try:
        return json.dumps(data, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"Refused({reason!r:.80}): its data is none that JSON can say: {error}") from None


class UnknownHandler(CallerError):
    """The caller's fault, who has misspelled it, or that of the node, which runs another version of the application: another node
    may have it. Nothing happened. To repeat it at the same node is in vain until that has the version of the others."""

    code = "NOHANDLER"


class WrongEntry(CallerError):
    code = "WRONGENTRY"


class DuplicateUuid(CallerError):
    code = "DUPLICATE"


class UuidReused(CallerError):
    """A uuid stands for one request: draw another for another."""

    code = "UUIDREUSED"


class ClusterError(PaxosStoreError):
    fault = Fault.CLUSTER
    retry = True
    exit_code = 3


class NoQuorum(ClusterError):
    code = "NOQUORUM"


class OutcomeUnknown(ClusterError):
    """Repeat it only under the same uuid, or after reading what is there."""

    retry = False
    outcome_known = False
    code = "UNKNOWN"


class ReplyNotKept(OutcomeUnknown):
    """It was done once; its reply was too large to be kept. No repetition says more."""

    code = "NOTKEPT"


class UuidExpired(OutcomeUnknown, CallerError):
    """By its own time the uuid is older than what is remembered: this attempt did nothing, of an earlier one nothing is known."""

    fault = Fault.CALLER
    code = "UUIDEXPIRED"
    exit_code = 2


class Diverged(ClusterError):
    """The entity is stopped: two values were seen chosen at one entry, or one that this version of the program cannot read. No
    repetition helps, somebody has to look at it (docs/OPERATING.md)."""

    retry = False
    code = "DIVERGED"


class CommitLimitReached(ClusterError):
    code = "COMMITLIMIT"


class NotCaughtUp(ClusterError):
    code = "NOTCAUGHTUP"


class NodeError(PaxosStoreError):
    fault = Fault.NODE
    exit_code = 4


class Overloaded(NodeError):
    retry = True
    code = "OVERLOADED"


class DiskFull(NodeError):
    retry = True
    code = "DISKFULL"
    exit_code = 74


class NotServing(NodeError):
    retry = True
    code = "NOTSERVING"


class LearnsOnly(NodeError):
    retry = True
    code = "LEARNSONLY"


class PortTaken(NodeError):
    code = "PORTTAKEN"


class BackupError(NodeError):
    code = "BACKUP"


class DataDirectoryError(NodeError):
    code = "DATADIR"


class DirectoryInUse(DataDirectoryError):
    code = "DATADIRINUSE"


class DirectoryMismatch(DataDirectoryError):
    code = "DATADIRMISMATCH"


class Damaged(DataDirectoryError):
    code = "DAMAGED"
    exit_code = 74
    what: str = ""
    """What was found where, without what is to be done about it; empty: the whole text says it."""
    entity: int | None = None
    """The only one it is about; None: that is not known."""


class WireError(PaxosStoreError):
    code = "WIRE"


def all_errors() -> dict[str, type[PaxosStoreError]]:
    """Every class of the tree by its `code` (the leaves win over their bases)."""
    found: dict[str, type[PaxosStoreError]] = {}
    todo: list[type[PaxosStoreError]] = [PaxosStoreError]
    while todo:
        cls = todo.pop(0)
        if "code" in cls.__dict__:
            found[cls.code] = cls
        todo.extend(cls.__subclasses__())
    return found


BY_CODE = all_errors()


def from_code(code: str, text: str) -> PaxosStoreError:
    """The error that a peer reported by its code; an unknown code is kept as the root class."""
    return BY_CODE.get(code, PaxosStoreError)(text)
