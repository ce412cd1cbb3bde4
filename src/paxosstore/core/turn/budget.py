"""One budget for everything that goes on behind the requests: bytes and processor time per second, shared by all such jobs.

    job ─► may it go on? (`wait_ms`) ─► a piece of work ─► what it took is booked (`pay`) ─► its debt is paid off by time

A job's debt shrinks at the pace of the whole budget, divided among those that are in debt now: so each gets its share, one that
rests takes nothing, and nobody waits for anybody else (there is no queue that a large job could stand at the head of). While
requests keep the node busy the pace falls, to a floor: no job ever stands still. What safety waits for is urgent: it takes a
larger share, and requests do not slow it down.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from mypy_extensions import mypyc_attr

FLOOR = 0.125
"""What is left of the pace when requests keep the node busy."""
QUIET_LOAD = 0.1
"""Of the time. Up to so much nothing is slowed down."""
BUSY_LOAD = 0.6
"""From here on the pace is at its floor."""
URGENT_WEIGHT = 8.0
BURST_MS = 20.0
"""A job goes on while its debt is this small, so that small pieces need no timer each. All times of debts are at full pace."""
MAX_DEBT_MS = 10_000.0
"""Larger pieces are forgiven the rest: a mistake of one job does not stop it for minutes."""
LONGEST_WAIT_MS = 2_000.0
"""So long after its last piece a job may do another one, whatever it owes: peers that wait for it take it for dead otherwise."""
SHORTEST_WAIT_MS = 0.1
WINDOW_MS = 100.0
"""The load is that of the last few of these."""
LATELY_MS = 10_000.0
"""What is called lately, in figures for people."""
BACKWARDS_MS = 1_000.0
"""A clock that goes back by more begins anew; by less it is another thread's, read a little earlier."""


class Job(Enum):
    """What goes on in the background. The values are names in metrics."""

    __hash__ = object.__hash__  # that of Enum takes longer than all else that is done to an account

    LOG_EXPIRY = "log_expiry"
    KEY_EXPIRY = "key_expiry"
    SCRUB = "scrub"
    VERIFY = "verify"
    BACKUP = "backup"
    CATCH_UP = "catch_up"
    SNAPSHOTS = "snapshots"


class Usage(NamedTuple):
    """What a job has taken."""

    bytes: int
    ms: float
    """Of a processor."""
    bytes_per_second: float
    """Lately, as the next."""
    ms_per_second: float
    waits_ms: float
    """Until it may go on, if nothing changes; 0: it may."""
    urgent: bool


class BackgroundUse(NamedTuple):
    """What there is of a budget, and who has taken it."""

    bytes_per_second: int
    """For all jobs together, on a node that has nothing else to do; as the next."""
    ms_per_second: float
    load: float
    """Which part of its time the node spends on requests and peers."""
    pace: float
    """What is left of the budget because of that: 1.0 is all."""
    jobs: Mapping[str, Usage]


class _Account:
    __slots__ = ("bytes", "debt_ms", "lately_bytes", "lately_ms", "ms", "paid_at_ms")

    def __init__(self) -> None:
        self.paid_at_ms = 0.0
        self.bytes = 0
        self.ms = self.debt_ms = self.lately_bytes = self.lately_ms = 0.0


@mypyc_attr(allow_interpreted_subclasses=True)  # by storage/background.py
class Budget:
    """Keeps the accounts. Deciding only; `now_ms` is monotonic time, and one that stands still or goes back harms nothing."""

    def __init__(self, bytes_per_second: int, ms_per_second: float) -> None:
        self.urgent: set[Job] = set()
        """What safety waits for. Each job's owner puts it here and takes it away."""
        self.busy_ms = 0.0
        """How long the turns have taken in all, apart from what they did for jobs. One thread counts."""
        self.disk_silent = False
        """The disk does not answer: that counts as load."""
        self.load = 0.0
        """Which part of the last time requests and peers have kept the node busy."""
        self._accounts = {job: _Account() for job in Job}
        self._settled_ms = 0.0
        self._window_began_ms = 0.0
        self._busy_before_ms = 0.0
        self.tune(bytes_per_second, ms_per_second)

    def tune(self, bytes_per_second: int, ms_per_second: float) -> None:
        """Set what all jobs may take together, on a node that has nothing else to do; from now on."""
        self._bytes_per_second, self._ms_per_second = bytes_per_second, ms_per_second

    @property
    def pace(self) -> float:
        """What is left of the budget at the present load: 1.0 to FLOOR."""
        load = 1.0 if self.disk_silent else self.load
        over = min(1.0, max(0.0, (load - QUIET_LOAD) / (BUSY_LOAD - QUIET_LOAD)))
        return 1.0 - over * (1.0 - FLOOR)

    def burst_bytes(self, job: Job) -> float:
        """How much the job may have under way, unpaid: it is there before it is known how much it is."""
        return self._bytes_per_second * BURST_MS / 1_000.0 * (1.0 if job in self.urgent else self.pace)

    def pay(self, job: Job, size: int, ms: float, now_ms: float) -> None:
        """Book a piece of work: bytes read, written or sent, and milliseconds of a processor."""
        self._settle(now_ms)
        account = self._accounts[job]
        account.paid_at_ms = now_ms
        account.bytes += size
        account.ms += ms
        account.lately_bytes += size
        account.lately_ms += ms
        cost_s = max(size / self._bytes_per_second, ms / self._ms_per_second)
        account.debt_ms = min(MAX_DEBT_MS, account.debt_ms + 1_000.0 * cost_s)

    def wait_ms(self, job: Job, now_ms: float) -> float:
        """How long the job has to wait for its next piece, if nothing else changes; 0.0: it may go on."""
        self._settle(now_ms)
        account = self._accounts[job]
        wait_ms = min((account.debt_ms - BURST_MS) / self._speed(job), account.paid_at_ms + LONGEST_WAIT_MS - now_ms)
        return wait_ms if wait_ms > SHORTEST_WAIT_MS else 0.0

    def usage(self, now_ms: float) -> BackgroundUse:
        """What each job has taken since the start, and lately."""
        jobs: dict[str, Usage] = {}
        per_second = 1_000.0 / LATELY_MS
        for job, account in self._accounts.items():
            wait_ms = self.wait_ms(job, now_ms)
            rates = account.lately_bytes * per_second, account.lately_ms * per_second
            jobs[job.value] = Usage(account.bytes, account.ms, *rates, wait_ms, job in self.urgent)
        return BackgroundUse(self._bytes_per_second, self._ms_per_second, self.load, self.pace, jobs)

    def _weight(self, job: Job) -> float:
        return URGENT_WEIGHT if job in self.urgent else 1.0

    def _speed(self, job: Job) -> float:
        """How much of its debt a job in debt pays off in a millisecond."""
        in_debt = [other for other, account in self._accounts.items() if account.debt_ms > 0.0 or other is job]
        all_weights = sum(map(self._weight, in_debt))
        pace = 1.0 if job in self.urgent else self.pace
        return pace * self._weight(job) / all_weights

    def _settle(self, now_ms: float) -> None:
        """Let the time since the last look count."""
        passed = now_ms - self._settled_ms
        if passed < -BACKWARDS_MS:
            self._settled_ms = self._window_began_ms = now_ms
            for account in self._accounts.values():
                account.paid_at_ms = min(account.paid_at_ms, now_ms)
        if passed <= 0.0:
            return
        self._settled_ms = now_ms
        self._look_at_load(now_ms)
        speeds = {job: self._speed(job) for job, account in self._accounts.items() if account.debt_ms > 0.0}
        for job, speed in speeds.items():
            account = self._accounts[job]
            account.debt_ms = max(0.0, account.debt_ms - passed * speed)
        kept = 1.0 / (1.0 + passed / LATELY_MS)  # of an average that forgets: nearly e^-x for the short times that are usual
        for account in self._accounts.values():
            account.lately_bytes *= kept
            account.lately_ms *= kept

    def _look_at_load(self, now_ms: float) -> None:
        passed = now_ms - self._window_began_ms
        if passed < WINDOW_MS:
            return
        load = min(1.0, max(0.0, (self.busy_ms - self._busy_before_ms) / passed))
        self.load = (self.load + load) / 2.0 if passed < 4 * WINDOW_MS else load
        self._window_began_ms = now_ms
        self._busy_before_ms = self.busy_ms
