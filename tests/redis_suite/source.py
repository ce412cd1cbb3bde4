"""The suite itself: Debian's source package of Redis, fetched by apt into a folder of its own, and patched there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

APT = Path("/etc/apt")
APT_S = 300


class SuiteError(Exception):
    """The suite cannot be run; the message says why, and what to do."""


PATCHES = (
    (
        "the harness says at once what it does",
        "tests/test_helper.tcl",
        "package require Tcl 8.5\n",
        "package require Tcl 8.5\nfconfigure stdout -buffering line\n",
    ),
    (
        "the harness names each block as it begins, so that one that hangs is known",
        "tests/test_helper.tcl",
        'set ::active_clients_task($fd) "(IN PROGRESS) $data"\n',
        'set ::active_clients_task($fd) "(IN PROGRESS) $data"\n        puts "\\[testing\\]: $data"\n',
    ),
    (
        "after a block that failed all its connections are ended: they may be amid a transaction, or wait for what never comes",
        "tests/support/test.tcl",
        "            set msg [string range $error 10 end]\n            lappend details $msg\n            if {!$assertion} {\n",
        "            catch {reconnect}\n"
        "            foreach {id later} [array get ::redis::deferred] {if {$later} {catch {::redis::redisHandle$id close}}}\n"
        "            set msg [string range $error 10 end]\n            lappend details $msg\n            if {!$assertion} {\n",
    ),
    (
        "a server without FUNCTION is tested as well",
        "tests/support/server.tcl",
        "    r function flush\n\n    # store",
        "    catch {r function flush}\n\n    # store",
    ),
)
"""What is changed in the copy, and why: (reason, file, text, its replacement)."""


def suite(folder: Path) -> Path:
    """The suite, unpacked and patched under `folder`; fetched if it is not there. Raises SuiteError."""
    root = folder / "redis"
    _need_tcl()
    if not (root / "patched").exists():
        shutil.rmtree(root, ignore_errors=True)
        _unpack(_fetch(folder / "package"), root)
        for _, name, old, new in PATCHES:
            path = root / name
            text = path.read_text("latin-1")
            if text.count(old) != 1:
                raise SuiteError(f"{name} of this version of Redis is not as expected: the patch does not fit")
            path.write_text(text.replace(old, new), "latin-1")
        (root / "patched").touch()
    return root


def _need_tcl() -> None:
    if shutil.which("tclsh"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SuiteError("tclsh is not on this machine: install the package tcl")
    _apt(["update", "-qq"])
    _apt(["install", "-y", "-qq", "--no-install-recommends", "tcl"])


def _fetch(folder: Path) -> Path:
    """The archive of Redis's sources, by the servers that this machine has its packages from."""
    if not shutil.which("apt-get"):
        raise SuiteError("there is no apt-get on this machine: the suite comes from Debian's source package of Redis")
    parts = folder / "sources"
    for path in (parts, folder / "lists" / "partial"):
        path.mkdir(parents=True, exist_ok=True)
    for path in [APT / "sources.list", *sorted((APT / "sources.list.d").glob("*"))]:
        if path.is_file() and path.suffix in (".list", ".sources"):
            (parts / path.name).write_text(source_entries(path.read_text(), path.suffix))
    options = [
        f"Dir::Etc::sourcelist={os.devnull}",
        f"Dir::Etc::sourceparts={parts.resolve()}",
        f"Dir::State::lists={(folder / 'lists').resolve()}",
        "APT::Sandbox::User=root",
    ]
    flags = [word for option in options for word in ("-o", option)]
    _apt([*flags, "update", "-qq"])
    _apt([*flags, "source", "--download-only", "redis"], folder)
    found = sorted(folder.glob("redis_*.orig.tar.gz"))
    if not found:
        raise SuiteError(f"apt-get source redis left no archive in {folder}")
    return found[-1]


def source_entries(text: str, suffix: str) -> str:
    """A file of apt's sources, for the sources of its packages."""
    if suffix == ".list":
        return re.sub(r"^deb\b(?!-)", "deb-src", text, flags=re.MULTILINE)
    return re.sub(r"^Types:.*$", "Types: deb-src", text, flags=re.MULTILINE)


def _apt(words: list[str], folder: Path | None = None) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(["apt-get", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=APT_S)
    if done.returncode != 0:
        raise SuiteError(f"apt-get {words[-1]} failed: {(done.stderr or done.stdout).strip()[-500:]}")


def _unpack(archive: Path, root: Path) -> None:
    """The folder `tests` of the archive."""
    with tarfile.open(archive) as tar:
        for member in tar:
            _, _, name = member.name.partition("/")
            if name.startswith("tests/"):
                member.name = name
                tar.extract(member, root, filter="data")
