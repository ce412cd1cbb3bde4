"""A round in words: a table in the terminal, and a page with the picture."""

from __future__ import annotations

import base64
import html
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from paxosstore.sim.collections import BLOCKING, EXPIRE

from .checks import SHOWN, Check, gaps, longest_gap
from .clients import NOT_THAT_MUCH
from .journal import Operation, Outcome
from .run import Record

PICTURE = "timeline.png"
PAGE = "index.html"
FAULTS_HEAD = ("at", "fault", "lasted", "longest gap in writes")
KINDS_HEAD = ("kind of keys", "besides", "keys", *(outcome.value for outcome in Outcome))
CHECKS_HEAD = ("check", "on", "took", "violations")


@dataclass(frozen=True, slots=True)
class Findings:
    """A round and what its checks found."""

    directory: Path
    record: Record
    operations: Sequence[Operation]
    checks: Sequence[Check]

    @property
    def violations(self) -> list[str]:
        return [violation for check in self.checks for violation in check.violations]

    @property
    def again(self) -> str:
        """The line that checks the history again."""
        return f"python -m chaos --check {self.directory}"

    @property
    def repeat(self) -> str:
        """The line that makes the same faults strike again."""
        record = self.record
        return f"python -m chaos --seconds {record.seconds:g} --nodes {record.nodes} --seed {record.seed}"

    def title(self) -> str:
        record = self.record
        clients = sum(1 for operation in self.operations if operation.client < record.first_reader)
        seconds = record.ended_s - record.started_s
        return f"{record.title}: {clients:,} operations in {seconds:.0f} s"

    def outcomes(self) -> str:
        counted = Counter(o.outcome for o in self.operations if o.client < self.record.first_reader)
        counts = {
            "": {outcome.value: counted[outcome] for outcome in Outcome},
            "; frames: ": self.record.proxy,
            "; nodes since their last start: ": {what.replace("_", " "): count for what, count in self.record.told.items()},
        }
        return "".join(head + ", ".join(f"{count:,} {what}" for what, count in ones.items()) for head, ones in counts.items())

    def fault_lines(self) -> Sequence[Sequence[str]]:
        record, all_gaps = self.record, gaps(self.operations)
        lines = []
        for struck in record.struck:
            lasted = "skipped" if struck.skipped else f"{struck.ended_s - struck.began_s:.2f} s"
            if struck.returned_s:
                lasted += f", a member again after {struck.way_back_s:.2f} s"
            gap = struck.skipped or f"{longest_gap(all_gaps, struck):.2f} s"
            lines.append((f"{struck.began_s - record.started_s:.1f} s", struck.text, lasted, gap))
        return lines

    def kind_lines(self) -> Sequence[Sequence[str]]:
        """What was asked of each kind of keys, and how that ended."""
        by_kind: dict[str, list[Operation]] = defaultdict(list)
        for operation in self.operations:
            if operation.client < self.record.first_reader:
                by_kind[operation.kind].append(operation)
        lines = []
        for kind, ones in sorted(by_kind.items()):
            counted = Counter(one.outcome for one in ones)
            keys = len({one.key for one in ones})
            lines.append((kind, _besides(ones), f"{keys:,}", *(f"{counted[outcome]:,}" for outcome in Outcome)))
        return lines

    def check_lines(self) -> Sequence[Sequence[str]]:
        return [(c.name, c.detail, f"{c.seconds:.2f} s", str(len(c.violations) or "none")) for c in self.checks]


def _besides(operations: Sequence[Operation]) -> str:
    done = [one for one in operations if one.outcome is Outcome.DONE]
    ends = sum(one.name == EXPIRE and one.reply == 1 for one in done)
    waits = [one for one in operations if one.name in BLOCKING]
    waited = [one for one in waits if one.outcome is Outcome.DONE]
    served = sum(one.reply is not None for one in waited)
    words = [f"{ends:,} ends set"] if ends else []
    uuids = [one.uuid for one in operations if one.uuid]
    if uuids:
        words.append(f"{len(uuids) - len(set(uuids)):,} repetitions under their uuid")
    refused = sum(one.reply == NOT_THAT_MUCH for one in done)
    if refused:
        words.append(f"{refused:,} refused by the application")
    if waits:
        unknown = sum(one.outcome is Outcome.UNKNOWN for one in waits)
        words.append(f"{served:,} waited and were served, {len(waited) - served:,} in vain, {unknown:,} unknown")
    return "; ".join(words)


def show(findings: Findings, console: Console) -> None:
    for title, head, lines in (
        (findings.title(), FAULTS_HEAD, findings.fault_lines()),
        ("", KINDS_HEAD, findings.kind_lines()),
        (findings.outcomes(), CHECKS_HEAD, findings.check_lines()),
    ):
        table = Table(title=title or None, title_justify="left", title_style="bold")
        for at, name in enumerate(head):
            table.add_column(name, justify="right" if at > 1 else "left")
        for line in lines:
            table.add_row(*line)
        console.print(table)
    for check in findings.checks:
        for violation in check.violations[:SHOWN]:
            console.print(f"VIOLATION ({check.name}): {violation}", style="bold red", markup=False, highlight=False)
        if len(check.violations) > SHOWN:
            console.print(f"… and {len(check.violations) - SHOWN} more of this check: see {findings.directory / PAGE}")
    if findings.violations:
        console.print(f"check it again: {findings.again}\nstrike again:   {findings.repeat}", markup=False, highlight=False)


def save_page(findings: Findings) -> None:
    """index.html, which holds everything, the picture included."""
    picture = base64.b64encode((findings.directory / PICTURE).read_bytes()).decode()
    violations = "".join(f"<pre class=bad>{html.escape(violation)}</pre>" for violation in findings.violations)
    verdict = f"{len(findings.violations)} violations" if findings.violations else "every check held"
    page = f"""\
<!doctype html><html lang="en"><meta charset="utf-8"><title>Chaos: {html.escape(findings.title())}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1500px; padding: 0 1em; color: #222 }}
img {{ width: 100% }}
table {{ border-collapse: collapse; margin: 1em 0 }}
td, th {{ border-bottom: 1px solid #ddd; padding: .2em 1em .2em 0; text-align: left }}
.bad {{ background: #fdecea; padding: .6em; overflow-x: auto }}
</style>
<h1>{html.escape(findings.title())}: {verdict}</h1>
<p>{html.escape(findings.outcomes())}</p>
<img src="data:image/png;base64,{picture}" alt="operations, faults and gaps over time">
{_table(CHECKS_HEAD, findings.check_lines())}
{violations}
{_table(KINDS_HEAD, findings.kind_lines())}
{_table(FAULTS_HEAD, findings.fault_lines())}
<p>Check the history again: <code>{html.escape(findings.again)}</code><br>
Let the same faults strike again: <code>{html.escape(findings.repeat)}</code></p>
</html>
"""
    (findings.directory / PAGE).write_text(page, encoding="utf-8")


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [("th", head), *(("td", line) for line in lines)]
    body = "".join("<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>" for tag, cells in rows)
    return f"<table>{body}</table>"
