"""What calls an application's functions at the nodes of a cluster, from outside: `Client`, and `AsyncClient` for asyncio.

nodes.py     which node is asked             effort.py    one call on its way: the only policy of repeating there is
clock.py     the store's time, and uuids     calls.py     a call's words, and what its reply is read as
blocking.py, asyncio.py                      connections, and the loop around an effort
"""
