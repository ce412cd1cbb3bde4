"""Real chaos: real nodes, a proxy between them, clients in processes of their own, faults on a seeded schedule.

python -m chaos ─┬─ nodes      `paxosstore serve`, which dial each other through the proxy       nodes.py
                 ├─ proxy      delay, loss, cuts, resets, for each direction of each pair        proxy.py
                 ├─ clients    redis-py and gRPC; each writes down its calls and their ends      clients.py, journal.py
                 ├─ faults     strike when the schedule says so, and are mended                  schedule.py, faults.py
                 └─ checks     linearizability and accounts, on what was written down            checks.py, timeline.py
"""
