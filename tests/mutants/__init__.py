"""Production code with one mistake at a time, and the simulator's verdict on each."""
