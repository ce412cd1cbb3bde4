"""Some seeds of simulated.py: transactions are linearizable, whatever happens to the nodes. The last two kill the mutant of
tests/mutants/redis.py that knows no key which is gone."""

from __future__ import annotations

from .simulated import run


def test_transactions_are_linearizable_with_the_watches_before_them() -> None:
    done = changed = 0
    for seed in range(10):
        _, more_done, more_changed = run(seed)
        done, changed = done + more_done, changed + more_changed
    assert done > 5
    assert changed > 5
