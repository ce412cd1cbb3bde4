"""Power cuts under a real store: what a node does to its disk is recorded, and disks are made as a cut may leave them.

workload.py   the node: turns of a seed (turns.py), syncs, kills and restarts; says what it holds to be durable
recorder.py   its system calls, by strace
disk.py       what is certain to be on the disk at each moment, and what only may be
fate.py       what becomes of the rest in a power cut
judge.py      the production path opens what is left, and is asked for everything that was claimed
campaign.py   all of it, many times; a node goes on where a power cut has left another one
"""
