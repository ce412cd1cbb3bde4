"""`paxosstore import`: an export is written into a cluster that serves, by ordinary requests, through a node on this machine.

A request's uuid follows from the export and the line that it begins with: what was done already is not done again, whether it was
sent twice, broken off or begun anew (as long as the store remembers uuids: uuid_window_entries). What was written meanwhile is
therefore not undone by a repetition. Each run says who it is, so that what an earlier one has done is not counted as done by it;
one that is to do all of it again has uuids of its own.
"""

from __future__ import annotations

import http.client
import os
import secrets
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..backup.files import errors_of
from ..backup.lines import KINDS, Row, check_lines, read_rows
from ..core.batch.overlay import DATA
from ..errors import BackupError, InvalidRequest, NotServing, PaxosStoreError
from ..services import importing
from ..services.importing import RUN_BYTES
from ..services.redis.commands import handler as redis_commands
from ..services.redis.portable.importing import String, import_payload
from ..services.redis.portable.pieces import Piece
from ..storage.places import IMPORT, a_place
from .asking import ask
from .config import Address, NodeConfig
from .intake import DONE, DONE_EARLIER, Batch

FIRST_LINE = 2
"""The first one behind the header."""
BATCH_ROWS = 500
BATCH_BYTES = 256 * 1024
"""A request has no more of either, or one row; each member of a Redis key counts as one row. Changed, lines have other uuids."""
AT_ONCE = 4
ANSWER_S = 20.0
PATIENCE_S = 60.0
"""How long a request is repeated that the cluster cannot do now."""
PAUSE_S = 0.5
SAY_EVERY_S = 10.0


class Imported(NamedTuple):
    rows: int
    earlier: int
    """That had been written by an earlier run."""
    skipped: int
    """Of the store's own."""


class _Work(NamedTuple):
    """One request, and the lines that it begins and ends with."""

    line: int
    last: int
    rows: int
    batch: Batch
    goes_on: bool
    """It begins with more of a key whose first members are in the request before: that has to be done."""


def check(file: Path) -> str:
    """What there is in an export that is whole. Raises BackupError that names the line."""
    with errors_of(file):
        header, counts = check_lines(file)
    return f"{counts.rows} rows of {counts.entities} entities of cluster {header.cluster!r}, as of {header.taken}"


def run(file: Path, config: NodeConfig, from_line: int = FIRST_LINE, *, again: bool = False) -> Imported:
    """Write all rows from a line on; `again`: also those that an earlier run has written.

    Raises BackupError that names the line, InvalidRequest, NotServing, DirectoryInUse.
    """
    if again and from_line > FIRST_LINE:  # members that were added behind that line would be added twice
        raise InvalidRequest("import: --again begins at the beginning: leave out --from-line")
    with errors_of(file):
        header, counts = check_lines(file)  # all of it, before anything is written
    if from_line > counts.lines:
        raise InvalidRequest(f"{file}: has {counts.lines} lines, so it cannot go on with line {from_line}: look at --from-line")
    services = config.cluster.services
    if header.services != services:
        raise InvalidRequest(
            f"{file}: is of a cluster with {header.services!r}, this one has {services!r}: its Redis keys lie elsewhere. Export "
            "with --redis, and use redis-cli --pipe"
        )
    written = earlier = skipped = seen = 0
    under_way: deque[tuple[_Work, Future[bool]]] = deque()
    run_id = secrets.token_hex(RUN_BYTES // 2).encode()
    export = f"{header.id} {run_id.decode()}" if again else header.id

    def end() -> None:
        nonlocal written, earlier
        work, sent = under_way.popleft()
        if _is_new(file, work, sent, again=again):
            written += work.rows
        else:
            earlier += work.rows

    with a_place(config.data_dir, IMPORT) as (name, place), ThreadPoolExecutor(AT_ONCE) as pool, errors_of(file):
        sender = _Sender(config.listen.http, name, place)
        try:
            for work in _works(file, export, run_id):
                seen += 1 if work is None else work.rows
                if work is None or work.last < from_line:
                    skipped += work is None
                    continue
                while len(under_way) == AT_ONCE or (work.goes_on and under_way):
                    end()
                under_way.append((work, pool.submit(sender.send, work)))
            while under_way:
                end()
        finally:
            sender.stop()
    if seen != counts.rows:
        raise BackupError(f"{file}: was changed meanwhile: {seen} rows were there instead of {counts.rows}: import it anew")
    return Imported(written, earlier, skipped)


def _is_new(file: Path, work: _Work, sent: Future[bool], *, again: bool) -> bool:
    """Whether it was done in this run. Raises what has come of it, with the line."""
    try:
        return sent.result()
    except PaxosStoreError as error:
        rest = "import --again from the beginning" if again else f"go on with --from-line {work.line}"
        raise type(error)(f"{file}, line {work.line}: {error}; what came before it is done, {rest}") from error


def _works(file: Path, export: str, run_id: bytes) -> Iterator[_Work | None]:
    """The requests of an export; None for a row that is not to be written."""
    rows: list[Row] = []
    size = count = 0
    for row in read_rows(file):  # all: where requests begin does not hang on where this import begins
        if row.space != DATA:
            yield None
            continue
        more = max(1, len(row.members))
        fits = count + more <= BATCH_ROWS and size + row.size <= BATCH_BYTES
        if rows and not (fits and (row.entity, row.is_redis) == (rows[0].entity, rows[0].is_redis)):
            yield _work(rows, export, run_id)
            rows, size, count = [], 0, 0
        rows.append(row)
        size += row.size
        count += more
    if rows:
        yield _work(rows, export, run_id)


def _work(rows: list[Row], export: str, run_id: bytes) -> _Work:
    first = rows[0]
    uuid = blake2b(f"{export} {first.line}".encode(), digest_size=16).digest()
    if first.is_redis:
        handler, payload = redis_commands.HANDLER, import_payload(map(_key, rows))
    else:
        handler, payload = importing.HANDLER, importing.encode([(row.key, row.value) for row in rows])
    batch = Batch(first.entity, handler, payload, uuid, run_id)
    return _Work(first.line, rows[-1].line, len(rows), batch, first.part > 0)


def _key(row: Row) -> String | Piece:
    if row.kind in KINDS:
        return Piece(row.key, row.kind, row.part, row.is_large, row.expires_ms, row.members)
    return row.key, row.value, row.expires_ms


class _Sender:
    """Has the node do requests."""

    def __init__(self, server: Address, name: str, place: Path) -> None:
        self._path = f"/import?name={name}&number="
        self._server = server
        self._place = place
        self._owner = place.stat()
        self._stopped = False
        self._says_again_s = 0.0

    def stop(self) -> None:
        """Repeat nothing any more."""
        self._stopped = True

    def send(self, work: _Work) -> bool:
        """Whether it was done in this run, and not by an earlier one.

        Raises BackupError if the row cannot be written, NotServing if it was not in time, OSError.
        """
        path = self._place / str(work.line)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.msgpack.encode(work.batch))
            if os.geteuid() == 0:
                os.chown(path, self._owner.st_uid, self._owner.st_gid)
        deadline = time.monotonic() + PATIENCE_S
        while (answer := self._ask(work.line)) not in (DONE, DONE_EARLIER):
            if self._stopped or time.monotonic() > deadline:
                raise NotServing(answer)
            self._say(f"line {work.line} waits, for {PATIENCE_S:.0f} s at most: {answer}")
            time.sleep(PAUSE_S)
        path.unlink()
        return answer == DONE

    def _say(self, text: str) -> None:
        """On standard error, now and then: several requests wait for the same."""
        if time.monotonic() >= self._says_again_s:
            self._says_again_s = time.monotonic() + SAY_EVERY_S
            print(f"paxosstore: {text}", file=sys.stderr, flush=True)

    def _ask(self, number: int) -> str:
        """DONE, DONE_EARLIER, or why it has to be repeated. Raises BackupError if that is of no use."""
        try:
            answer = ask(self._server, f"{self._path}{number}", program=IMPORT, silent_s=ANSWER_S, within_s=ANSWER_S)
        except (OSError, http.client.HTTPException) as error:
            return f"{self._server}: {error}: is the node running?"
        if answer.is_good:
            return DONE_EARLIER if answer.text == DONE_EARLIER else DONE
        if answer.status != 503:
            raise BackupError(answer.text)
        return answer.text
