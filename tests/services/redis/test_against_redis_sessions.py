"""CLIENT, CONFIG, ACL and what else concerns a connection or its node: the same replies and errors as a redis-server's."""

from __future__ import annotations

import pytest

from .oracle import compare, needs_redis, script

CLIENT = """
CLIENT / CLIENT FOO / CLIENT ID x / CLIENT INFO x / CLIENT LIST x / CLIENT LIST TYPE / CLIENT LIST TYPE normal x
CLIENT LIST ID / CLIENT LIST ID x / CLIENT LIST ID 0 / CLIENT LIST ID 99999 / CLIENT LIST ID -1 / CLIENT KILL / CLIENT KILL x
CLIENT KILL ID x / CLIENT KILL ID 0 / CLIENT KILL ID 999999 / CLIENT KILL ADDR 1.2.3.4:5 / CLIENT KILL LADDR 1.2.3.4:5
CLIENT KILL TYPE foo / CLIENT KILL TYPE master / CLIENT KILL USER nobody / CLIENT KILL USER default SKIPME no ID 999999
CLIENT KILL SKIPME maybe / CLIENT KILL ADDR / CLIENT KILL FOO bar / CLIENT KILL 1.2.3.4:5 / CLIENT KILL ID 999999 SKIPME yes
CLIENT KILL TYPE pubsub / CLIENT REPLY / CLIENT REPLY foo / CLIENT REPLY on x / CLIENT REPLY on / CLIENT SETNAME
CLIENT SETNAME a / CLIENT GETNAME / CLIENT SETNAME a%b / CLIENT GETNAME x / CLIENT PAUSE / CLIENT PAUSE x / CLIENT PAUSE -1
CLIENT PAUSE 1 foo / CLIENT PAUSE 0 / CLIENT UNPAUSE / CLIENT UNPAUSE x / CLIENT UNBLOCK / CLIENT UNBLOCK x
CLIENT UNBLOCK 99999 / CLIENT UNBLOCK 99999 foo / CLIENT UNBLOCK 99999 ERROR / CLIENT UNBLOCK 99999 TIMEOUT x
CLIENT NO-EVICT / CLIENT NO-EVICT foo / CLIENT NO-EVICT on / CLIENT NO-EVICT off / CLIENT NO-EVICT on x / CLIENT TRACKING
CLIENT TRACKING foo / CLIENT TRACKING off / CLIENT TRACKING off BCAST / CLIENT TRACKING off foo
CLIENT TRACKING off PREFIX x / CLIENT TRACKING off PREFIX / CLIENT TRACKINGINFO / CLIENT TRACKINGINFO x / CLIENT GETREDIR
CLIENT GETREDIR x / CLIENT CACHING / CLIENT CACHING yes / CLIENT CACHING no
"""
CONFIG = """
CONFIG / CONFIG FOO / CONFIG GET / CONFIG GET nosuch / CONFIG GET hz / CONFIG GET hz hz
CONFIG GET maxmemory maxmemory-policy / CONFIG GET slowlog-max-len / CONFIG GET databases / CONFIG GET hash-max-*
CONFIG GET hash-max-ziplist* / CONFIG GET zset-max-ziplist-value / CONFIG GET set-max* / CONFIG GET stream-node*
CONFIG GET list-max* / CONFIG GET notify* / CONFIG GET timeout / CONFIG GET maxclients / CONFIG GET tcp-keepalive
CONFIG GET lfu* / CONFIG GET requirepass / CONFIG GET client-query* / CONFIG GET lua-time-limit / CONFIG GET busy-reply*
CONFIG GET cluster-enabled / CONFIG GET replica-read-only / CONFIG GET slave-read-only / CONFIG GET io-threads
CONFIG GET maxmemory-samples / CONFIG GET loglevel / CONFIG GET repl-backlog-size / CONFIG GET activedefrag
CONFIG GET lazyfree* / CONFIG SET / CONFIG SET hz / CONFIG SET nosuch 1 / CONFIG SET hz foo / CONFIG SET hz 10 hz 20
CONFIG SET hz 10 nosuch 1 / CONFIG SET maxmemory 100mb / CONFIG GET maxmemory / CONFIG SET maxmemory 0
CONFIG SET maxmemory foo / CONFIG SET maxmemory -1 / CONFIG SET maxmemory-policy foo
CONFIG SET maxmemory-policy allkeys-lru / CONFIG GET maxmemory-policy / CONFIG SET maxmemory-policy noeviction
CONFIG SET slowlog-max-len 12 / CONFIG SET slowlog-max-len 128 / CONFIG SET save foo
CONFIG SET hash-max-ziplist-entries 100 / CONFIG GET hash-max-listpack-entries / CONFIG SET hash-max-listpack-entries 512
CONFIG SET latency-monitor-threshold -1 / CONFIG SET databases 5 / CONFIG SET daemonize yes
CONFIG SET notify-keyspace-events foo / CONFIG SET notify-keyspace-events KEA / CONFIG GET notify-keyspace-events
CONFIG RESETSTAT / CONFIG RESETSTAT x / CONFIG REWRITE / CONFIG REWRITE x / CONFIG SET maxmemory-samples 0
CONFIG SET lfu-log-factor -1 / CONFIG SET set-max-intset-entries 9999999999999999999
"""
OTHERS = """
INFO nosuch / MEMORY / MEMORY FOO / MEMORY USAGE / MEMORY USAGE nokey / MEMORY USAGE k SAMPLES / MEMORY USAGE k SAMPLES x
MEMORY USAGE k SAMPLES -1 / LATENCY / LATENCY FOO / OBJECT FREQ nokey / OBJECT IDLETIME nokey / OBJECT HELP x / DEBUG SLEEP x
WAIT x 0 / WAIT 0 -1 / HELLO 4 / HELLO x / HELLO 3 foo / HELLO 3 setname / HELLO 3 auth a / ECHO / PING a b / SELECT x
SELECT 99 / SWAPDB x 1 / LASTSAVE x / TIME x / COMMAND x / COMMAND COUNT x / COMMAND GETKEYS / ACL / ACL FOO / ACL WHOAMI x
ACL LOG x / ACL LOG -1 / ACL LOG 1 x / ACL LOG RESET / ACL GENPASS x / ACL GENPASS 0 / ACL DRYRUN default
ACL DRYRUN default set / ACL DRYRUN default set k v / ACL DRYRUN default client foo / ACL DRYRUN default config get
ACL DRYRUN default get a b / ACL DRYRUN default client list / ACL DRYRUN x set / ACL DRYRUN default nope / ACL CAT a b
ACL USERS / ACL WHOAMI / ACL LIST x
"""


@needs_redis
@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("text", [CLIENT, CONFIG, OTHERS], ids=["client", "config", "others"])
def test_answers_are_those_of_redis(ports: tuple[int, int], text: str, proto: int) -> None:
    try:
        compare(ports, proto, script(text), unordered=("CONFIG",))
    finally:
        compare(ports, 2, [(b"CONFIG", b"SET", b"notify-keyspace-events", b"", b"maxmemory-policy", b"noeviction")])
