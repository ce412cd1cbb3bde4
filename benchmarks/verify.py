"""What comparing the replicas of a large entity costs while clients write to it: time, memory, what they notice.

Three nodes on this machine; one Redis database of many values. Clients at every node send SETs and GETs, one after the other,
to that database and to another one, before, during and after `paxosstore verify`: the machine itself may have changed meanwhile.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from paxosstore.cli.cluster import HOST, LocalCluster
from servers import BenchError
from snapshot import BASELINE_S, MIB, Latencies, Load, Process, fill, print_latencies

ALL = [0, 1, 2]


def run(mib: int, value_bytes: int, directory: Path) -> None:
    keys = mib * MIB // value_bytes
    with LocalCluster(directory) as cluster:
        cluster.init()
        cluster.start()
        begun = time.monotonic()
        fill(cluster.redis_port(0), keys, value_bytes, 1)
        print(f"{keys} values of {value_bytes} B written in {time.monotonic() - begun:.0f} s")
        processes = {node: Process(cluster._processes[node].pid) for node in ALL}
        before = _load(cluster, keys, lambda: time.sleep(BASELINE_S))
        for process in processes.values():
            process.forget_peak()
        rss = {node: process.mb("VmRSS") for node, process in processes.items()}
        during = _load(cluster, keys, lambda: _verify(cluster))
        for node, process in processes.items():
            print(f"node {node}: {rss[node]:.0f} MB before, peak {process.mb('VmHWM'):.0f} MB")
        print_latencies(before, during, _load(cluster, keys, lambda: time.sleep(BASELINE_S)))
        counters = cluster.status(0)["counters"]
        print({name: counters[name] for name in ("compare_attempts", "compared_bytes", "entities_differing")})


def _load(cluster: LocalCluster, keys: int, work: Callable[[], None]) -> list[Latencies]:
    with Load(cluster, ALL, keys) as load:
        work()
    return load.found


def _verify(cluster: LocalCluster) -> None:
    server = f"{HOST}:{cluster.http_port(0)}"
    command = [sys.executable, "-m", "paxosstore", "verify", "--database", "0", "--server", server]
    begun = time.monotonic()
    ended = subprocess.run(command, capture_output=True, text=True)
    print(f"verify ended with {ended.returncode} in {time.monotonic() - begun:.1f} s: {ended.stdout}{ended.stderr}", end="")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--value-bytes", type=int, default=1_000)
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="paxosstore-verify-", ignore_cleanup_errors=True) as directory:
            run(arguments.mib, arguments.value_bytes, Path(directory))
    except BenchError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
