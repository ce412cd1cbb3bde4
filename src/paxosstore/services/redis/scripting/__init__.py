"""Scripts and functions in Lua 5.1, as Redis runs them.

    commands.py      EVAL and its kind, SCRIPT
    functions.py     FUNCTION, FCALL
    store.py         where scripts and libraries lie among an entity's rows
    runtime.py       Lua states: made, used again, thrown away; one run with its bounds
    calls.py         what `redis.call` does: the command table, on the view of the request
    bits.py, packing.py, numbers.py     what the libraries of Lua need of Python
    lua/             what runs inside a state: guard.lua (bounds), sandbox.lua (globals), redis.lua, and the libraries

A script runs once, in the evaluation of the request that it came with, on that request's view: what it wrote is replicated,
never the script. It is bounded from outside of what a script can catch (guard.lua); if it fails or is stopped, nothing of
what it wrote stays.
"""
