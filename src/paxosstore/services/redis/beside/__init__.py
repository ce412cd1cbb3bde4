"""Long reads, beside the loop: in a thread, on the entity as it was at one moment.

meter.py (above)   what a read does on the loop before it is given up as long
reads.py           one long read after the other: opens what it reads, runs it in a thread, has its outcome confirmed
view.py            what it reads there, and its bounds
"""
