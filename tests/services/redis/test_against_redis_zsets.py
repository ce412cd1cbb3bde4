"""Sorted sets: the same bytes to a real redis-server and to this service, the same bytes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .oracle import Words, compare, needs_redis, script, sequences, words

pytestmark = needs_redis

SCRIPT = """
SET s v / RPUSH l a / ZADD z 1 a / ZADD z 2 b 3 c / ZADD z 1 a 2.5 b / ZADD z CH 1 a 9 b / ZADD z NX 5 a 6 d / ZADD z XX 7 a 8 e
ZADD z XX CH 7.5 a 8 e / ZADD z GT 1 a / ZADD z GT CH 10 a 1 b / ZADD z LT CH 3 a 99 b / ZADD z NX XX 1 a / ZADD z GT LT 1 a
ZADD z GT NX 1 a / ZADD z LT NX 1 a / ZADD z INCR 5 a / ZADD z INCR 5 a 6 b / ZADD z NX INCR 5 a / ZADD z XX INCR 5 nope
ZADD z GT INCR -5 a / ZADD z LT INCR -5 a / ZADD z nx incr 5 f / ZADD z XX GT INCR 1 a / ZADD z x a / ZADD z 1 / ZADD z 1 a 2
ZADD z NX / ZADD z / ZADD z NX 1 a 2 / ZADD s 1 a / ZADD z nan a / ZADD z inf i / ZADD z -inf j / ZADD z +inf k
ZADD z Infinity l / ZADD z INCR -inf i / ZINCRBY z -inf i / ZADD z 1e400 a / ZADD z 0x10 h / ZSCORE z h / ZADD z 1e-400 a
ZADD z 1_0 a / ZADD z 1. a / ZADD z .5 a / ZADD z . a / ZADD z 1e a / ZADD z " a / ZADD z -0 n / ZSCORE z n / ZADD z INCR -0 o
ZADD z INCR 0 o / ZINCRBY z -0 n / ZADD no XX 1 a / EXISTS no / ZADD no XX INCR 1 a / ZADD s NX XX 1 a / ZADD s x a / ZSCORE z a
ZSCORE z nope / ZSCORE no a / ZSCORE s a / ZSCORE z / ZMSCORE z a nope b / ZMSCORE no a b / ZMSCORE s a / ZMSCORE z / ZCARD z
ZCARD no / ZCARD s / TYPE z / ZINCRBY z 1.5 a / ZINCRBY z x a / ZINCRBY z 3 new / ZINCRBY s 1 a / ZINCRBY z 0.1 new
ZINCRBY z 0.2 new / ZINCRBY z 1
ZADD f 3.14159265358979 a 1e20 b 1e21 c 1e-5 d 123456789012345678 e 0.1 f -1e-7 g 1e17 h 1e16 i 17976931348623157e292 j 5e-324 k
ZRANGE f 0 -1 WITHSCORES / ZREM f a nope b / ZREM f / ZREM no a / ZREM s a / ZREM f c d e f g h i j k / EXISTS f / DEL z
ZADD z 1 a 2 b 3 c 4 d 5 e 5 ee 5 eee -1 m / ZRANK z a / ZRANK z nope / ZRANK no a / ZRANK s a / ZREVRANK z a / ZREVRANK z nope
ZREVRANK s a / ZRANK z a WITHSCORE / ZRANGE z 0 -1 / ZRANGE z 0 -1 WITHSCORES / ZRANGE z 1 2 / ZRANGE z -2 -1 / ZRANGE z 5 1
ZRANGE z 0 100 / ZRANGE z -100 100 REV / ZRANGE z 0 1 REV WITHSCORES / ZRANGE z x 1 / ZRANGE z 1 x / ZRANGE no 0 1
ZRANGE s 0 1 / ZRANGE s x 1 / ZRANGE z 0 1 LIMIT 0 1 / ZRANGE z 0 1 LIMIT 0 -1 / ZRANGE z 0 1 LIMIT 1 / ZRANGE z 0 1 BOGUS
ZRANGE z 0 1 BYSCORE / ZRANGE z 1 3 BYSCORE / ZRANGE z 3 1 BYSCORE REV / ZRANGE z (1 3 BYSCORE
ZRANGE z 1 (3 BYSCORE WITHSCORES / ZRANGE z -inf +inf BYSCORE LIMIT 1 2 / ZRANGE z -inf +inf BYSCORE LIMIT 1 -1
ZRANGE z -inf +inf BYSCORE LIMIT -1 2 / ZRANGE z -inf +inf BYSCORE LIMIT 0 0 / ZRANGE z -inf +inf BYSCORE LIMIT 100 2
ZRANGE z -inf +inf BYSCORE LIMIT x 2 / ZRANGE z +inf -inf BYSCORE REV LIMIT 1 2 / ZRANGE z x 1 BYSCORE / ZRANGE z 1 nan BYSCORE
ZRANGE z ( 1 BYSCORE / ZRANGE z 1 2 BYLEX / ZRANGE z - + BYLEX WITHSCORES / ZRANGE z 1 2 BYSCORE BYLEX / ZRANGE z 0 -1 REV REV
ZRANGE z 0 / ZRANGE z -inf +inf BYSCORE LIMIT 0 9223372036854775807 / ZRANGE z -inf +inf BYSCORE LIMIT 9223372036854775807 1
ZRANGE z 9223372036854775807 9223372036854775807 / ZRANGE z -9223372036854775808 9223372036854775807 / ZREVRANGE z 0 -1
ZREVRANGE z 0 1 WITHSCORES / ZREVRANGE z 0 1 REV / ZREVRANGE z 0 1 BYSCORE / ZREVRANGE z 0 1 LIMIT 0 1 / ZREVRANGE s 0 1
ZRANGEBYSCORE z 1 3 / ZRANGEBYSCORE z (1 (3 / ZRANGEBYSCORE z -inf +inf / ZRANGEBYSCORE z 5 5 WITHSCORES / ZRANGEBYSCORE z 9 1
ZRANGEBYSCORE z 1 5 LIMIT 1 2 WITHSCORES / ZRANGEBYSCORE z 1 5 WITHSCORES LIMIT 1 2 / ZRANGEBYSCORE z 1 5 LIMIT 1
ZRANGEBYSCORE z x 5 / ZRANGEBYSCORE s 1 5 / ZRANGEBYSCORE no 1 5 / ZRANGEBYSCORE z 1 5 REV / ZREVRANGEBYSCORE z 5 1
ZREVRANGEBYSCORE z (5 (1 WITHSCORES / ZREVRANGEBYSCORE z 1 5 / ZREVRANGEBYSCORE z 5 1 LIMIT 2 2 / ZRANGEBYSCORE z 1e1000 1
ZCOUNT z 1 3 / ZCOUNT z (1 3 / ZCOUNT z -inf +inf / ZCOUNT z 3 1 / ZCOUNT z (5 (5 / ZCOUNT z x 1 / ZCOUNT no 1 2 / ZCOUNT s 1 2
ZCOUNT z 5 5 / ZCOUNT z (5 +inf / ZCOUNT z 1 / DEL x / ZADD x 0 a 0 b 0 c 0 d 0 dd 0 e 0 \x00 / ZRANGEBYLEX x - +
ZRANGEBYLEX x [b [d / ZRANGEBYLEX x (b (d / ZRANGEBYLEX x [b + / ZRANGEBYLEX x - (c / ZRANGEBYLEX x + - / ZRANGEBYLEX x b d
ZRANGEBYLEX x [ [d / ZRANGEBYLEX x - + LIMIT 1 2 / ZRANGEBYLEX x - + WITHSCORES / ZRANGEBYLEX s - + / ZRANGEBYLEX no - +
ZRANGEBYLEX x ++ - / ZRANGEBYLEX x [d [b / ZREVRANGEBYLEX x + - / ZREVRANGEBYLEX x (d [a / ZREVRANGEBYLEX x [d - LIMIT 1 1
ZLEXCOUNT x - + / ZLEXCOUNT x [b (d / ZLEXCOUNT x (d [b / ZLEXCOUNT x + - / ZLEXCOUNT x b d / ZLEXCOUNT no - + / ZLEXCOUNT s - +
ZRANGE x [b [d BYLEX / ZRANGE x [d [b BYLEX REV / ZRANGE x + - BYLEX REV LIMIT 0 2 / ZRANGE x - + BYLEX LIMIT 1 2
ZRANGESTORE d z 0 -1 / ZRANGE d 0 -1 / ZRANGESTORE d z 1 3 BYSCORE / ZRANGE d 0 -1 WITHSCORES
ZRANGESTORE d z 3 1 BYSCORE REV LIMIT 0 1 / ZRANGE d 0 -1 / ZRANGESTORE d z 9 1 / EXISTS d / ZRANGESTORE d z 0 1 WITHSCORES
ZRANGESTORE d z 0 1 LIMIT 0 1 / ZRANGESTORE d s 0 1 / ZRANGESTORE d no 0 1 / ZRANGESTORE s2 z 0 -1 REV / ZRANGE s2 0 -1
ZRANGESTORE z z 0 6 / ZCARD z / ZRANGESTORE d x [b + BYLEX / ZRANGESTORE d z x 1 / ZRANGESTORE d z / ZRANGE d 0 -1 / SET over v
ZRANGESTORE over z 0 1 / TYPE over / ZREMRANGEBYRANK z 0 0 / ZREMRANGEBYRANK z -1 -1 / ZREMRANGEBYRANK z 5 1
ZREMRANGEBYRANK z x 1 / ZREMRANGEBYRANK no 0 1 / ZREMRANGEBYRANK s 0 1 / ZREMRANGEBYSCORE z 1 (2 / ZREMRANGEBYSCORE z x 1
ZREMRANGEBYSCORE no 1 2 / ZREMRANGEBYSCORE s 1 2 / ZRANGE z 0 -1 / ZREMRANGEBYSCORE z -inf +inf / EXISTS z
ZREMRANGEBYLEX x [b (d / ZREMRANGEBYLEX x b d / ZREMRANGEBYLEX no - + / ZREMRANGEBYLEX s - + / ZRANGE x 0 -1
ZREMRANGEBYLEX x - + / EXISTS x
"""
POPS = """
SET s v / ZADD z 1 a 2 b 3 c 4 d 5 e 6 f / ZPOPMIN z / ZPOPMAX z / ZPOPMIN z 2 / ZPOPMAX z 0 / ZPOPMIN z -1 / ZPOPMIN z x
ZPOPMIN z 1 2 / ZPOPMIN no / ZPOPMIN no 1 / ZPOPMIN s / ZPOPMIN no x / ZPOPMAX z 10 / EXISTS z / ZPOPMIN z 1
ZADD z 1 a 2 b 3 c 4 d 5 e 6 f 7 g 7 h / BZPOPMIN no z 1 / BZPOPMAX z 0.1 / BZPOPMIN s 1 / BZPOPMIN z x / BZPOPMIN z -1
BZPOPMIN z s 1 / BZPOPMIN z / BZPOPMIN s x / ZMPOP 1 z MIN / ZMPOP 2 no z MAX COUNT 2 / ZMPOP 1 no MIN / ZMPOP 0 z MIN
ZMPOP x z MIN / ZMPOP 1 z up / ZMPOP 2 z MIN / ZMPOP 1 z MIN COUNT 0 / ZMPOP 1 z MIN COUNT x / ZMPOP 1 z MIN COUNT
ZMPOP 1 s MIN / ZMPOP 1 z MIN COUNT 1 COUNT 1 / ZMPOP 1 z MIN BOGUS 1 / BZMPOP 1 1 z MIN
BZMPOP 1 2 no z max COUNT 9223372036854775807 / ZADD z 1 a 2 b / BZMPOP x 1 z MIN / BZMPOP 1 0 z MIN / BZMPOP x 0 z MIN
BZMPOP -1 1 z MIN / BZMPOP 1 1 s MIN / BZMPOP 1 1 z MIN BOGUS / ZRANGE z 0 -1 / DEL z / ZADD z 0 a -0 b / ZPOPMIN z / ZPOPMAX z
COMMAND GETKEYS zmpop 2 a b MIN / COMMAND GETKEYS bzmpop 1 2 a b MIN / COMMAND GETKEYS bzpopmin a b 1
COMMAND GETKEYS zunion 2 a b / COMMAND GETKEYS zunionstore d 2 a b / COMMAND GETKEYS zdiffstore d 1 a
COMMAND GETKEYS zintercard 2 a b LIMIT 1 / ZRANDMEMBER no / ZRANDMEMBER no 1 / ZRANDMEMBER s / ZRANDMEMBER s 1 / ZADD one 1 a
ZRANDMEMBER one / ZRANDMEMBER one 1 / ZRANDMEMBER one -3 / ZRANDMEMBER one 0 / ZRANDMEMBER one 5 WITHSCORES
ZRANDMEMBER one -2 WITHSCORES / ZRANDMEMBER one x / ZRANDMEMBER one 1 BOGUS / ZRANDMEMBER one 1 WITHSCORES 1
ZRANDMEMBER one -9223372036854775808 / ZRANDMEMBER one 9223372036854775807 WITHSCORES
ZRANDMEMBER one -9223372036854775807 WITHSCORES / ZRANDMEMBER one 4611686018427387904 WITHSCORES
ZRANDMEMBER one 9223372036854775807 / ZSCAN one 0 / ZSCAN no 0 / ZSCAN s 0 / ZSCAN one x / ZSCAN one / ZSCAN one 0 COUNT 0
ZSCAN one 0 BOGUS 1 / ZSCAN one 0 COUNT 10 MATCH b* / ZADD two 1 a 0.1 b inf c / ZSCAN two 0 / ZSCAN two 0 MATCH [ab]
ZSCAN two 5 / ZSCAN two 0 COUNT x / ZSCAN two 0 TYPE x / MULTI / BZPOPMIN no 1 / BZPOPMAX no s 1 / BZMPOP 1 1 no MIN
BZMPOP 1 2 no s MIN / EXEC
"""
COMBINED = """
SET s v / ZADD a 1 x 2 y 3 z / ZADD b 10 y 20 z 30 w / SADD t x y q / ZADD i inf x -inf y 0 z / ZUNION 2 a b
ZUNION 2 a b WITHSCORES / ZUNION 1 a / ZUNION 2 a t WITHSCORES / ZUNION 3 a b t WEIGHTS 1 2 3 WITHSCORES
ZUNION 2 a b AGGREGATE MAX WITHSCORES / ZUNION 2 a b aggregate min withscores / ZUNION 2 a b AGGREGATE bogus
ZUNION 2 a b WEIGHTS 1 / ZUNION 2 a b WEIGHTS 1 x / ZUNION 2 a b WEIGHTS 1 nan / ZUNION 2 a b BOGUS / ZUNION 0 a / ZUNION x a
ZUNION 3 a b / ZUNION -1 a / ZUNION 2 a s / ZUNION 2 s a BOGUS / ZUNION 2 no a / ZUNION 2 no nope / ZUNION 2 a a WITHSCORES
ZUNION 2 i i WITHSCORES / ZUNION 2 i a WEIGHTS 0 1 WITHSCORES / ZUNION 2 i i WEIGHTS 1 -1 WITHSCORES
ZUNION 2 a b WEIGHTS 1 2 AGGREGATE MAX AGGREGATE MIN WITHSCORES / ZUNION 1 a WEIGHTS inf WITHSCORES / ZINTER 2 a b
ZINTER 2 a b WITHSCORES / ZINTER 3 a b t WITHSCORES / ZINTER 2 a no / ZINTER 2 a b WEIGHTS 2 3 WITHSCORES
ZINTER 2 a b AGGREGATE MIN WITHSCORES / ZINTER 2 a s / ZINTER 0 a / ZINTER 2 a b LIMIT 1 / ZINTER 2 a a WEIGHTS 2 5 WITHSCORES
ZINTER 2 i i WEIGHTS 1 -1 WITHSCORES / ZINTER 1 t WITHSCORES / ZDIFF 2 a b / ZDIFF 2 a b WITHSCORES / ZDIFF 1 a WITHSCORES
ZDIFF 2 a no / ZDIFF 2 no a / ZDIFF 2 a a / ZDIFF 2 a t WITHSCORES / ZDIFF 2 t a WITHSCORES / ZDIFF 2 a b WEIGHTS 1 1
ZDIFF 2 a b AGGREGATE MAX / ZDIFF 0 a / ZDIFF 2 a s / ZDIFF x a / ZDIFF 3 b a t WITHSCORES / ZUNIONSTORE d 2 a b
ZRANGE d 0 -1 WITHSCORES / ZINTERSTORE d 2 a b / ZRANGE d 0 -1 WITHSCORES / ZDIFFSTORE d 2 a b / ZRANGE d 0 -1 WITHSCORES
ZINTERSTORE d 2 a no / EXISTS d / ZUNIONSTORE s2 1 t / ZRANGE s2 0 -1 WITHSCORES / SET over v / ZUNIONSTORE over 1 a / TYPE over
ZUNIONSTORE d 2 a b WITHSCORES / ZUNIONSTORE d 0 a / ZUNIONSTORE d x a / ZINTERSTORE d 0 a / ZDIFFSTORE d 0 a
ZUNIONSTORE d 3 a b / ZUNIONSTORE d 2 a s / ZUNIONSTORE a 2 a b WEIGHTS 1 1 / ZRANGE a 0 -1 WITHSCORES / ZDIFFSTORE a 1 a
ZINTERSTORE a 2 a a AGGREGATE MAX / ZRANGE a 0 -1 WITHSCORES / ZUNIONSTORE d 1 / ZINTERCARD 2 a b / ZINTERCARD 2 a b LIMIT 1
ZINTERCARD 2 a b LIMIT 0 / ZINTERCARD 2 a b LIMIT -1 / ZINTERCARD 2 a b LIMIT x / ZINTERCARD 2 a no / ZINTERCARD 1 a
ZINTERCARD 1 t / ZINTERCARD 0 a / ZINTERCARD x a / ZINTERCARD 3 a b / ZINTERCARD 2 a s / ZINTERCARD 2 a b WITHSCORES
ZINTERCARD 2 a b LIMIT / ZINTERCARD 2 a b WEIGHTS 1 1 / ZADD n 0 m / ZUNION 1 n WEIGHTS -1 WITHSCORES
ZUNIONSTORE d 1 n WEIGHTS -1 / ZRANGE d 0 -1 WITHSCORES / EXPIRE d 100 / ZUNIONSTORE d 1 n / TTL d / ZRANGESTORE d n 0 -1
TTL d
"""
SCRIPT_LARGE = " / ".join(
    [f"ZADD z {number % 7}.5 m{number} {number * 37 % 101} n{number}" for number in range(400)]
    + ["ZADD z -0 zero", "ZSCORE z zero", "ZADD z INCR -0 zeros", "ZRANGEBYSCORE z 0 0 WITHSCORES", "ZCARD z"]
    + [f"ZRANK z m{number}" for number in range(0, 400, 23)]
    + [f"ZREVRANK z n{number}" for number in range(0, 400, 23)]
    + [f"ZRANGE z {start} {start + 5}{how}" for start in range(0, 801, 97) for how in ("", " REV WITHSCORES")]
    + [f"ZRANGEBYSCORE z 1 (90 LIMIT {start} 3" for start in (0, 200, 300, 500, 700)]
    + [f"ZREVRANGEBYSCORE z 90 (1 WITHSCORES LIMIT {start} 3" for start in (0, 200, 300, 500, 700)]
    + [f"ZCOUNT z {low} {low + 20}" for low in range(0, 100, 9)]
    + ["ZREMRANGEBYSCORE z 3 20", "ZCARD z", "ZRANGE z 300 310", "ZREMRANGEBYRANK z 100 500", "ZRANGE z 90 110 WITHSCORES"]
    + ["ZPOPMIN z 50", "ZPOPMAX z 20", "ZCARD z", "ZRANGE z 0 -1 WITHSCORES", "ZUNIONSTORE y 2 z z", "ZRANGE y 0 -1 WITHSCORES"]
    + [f"ZADD u 0 {'long' * 20}{number}" for number in range(9)]
    + ["ZADD u -0 -", "ZRANGE u 0 -1 WITHSCORES", "ZUNIONSTORE y 1 u", "ZRANGE y 0 -1 WITHSCORES", "ZRANGE z 0 -1"]
)


@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("text", [SCRIPT, POPS, COMBINED, SCRIPT_LARGE], ids=["ranges", "pops", "combined", "large"])
def test_every_command_and_its_errors(ports: tuple[int, int], proto: int, text: str) -> None:
    compare(ports, proto, script(text))


KEY = st.sampled_from([b"a", b"b", b"s", b"t"])
MEMBER = st.sampled_from([b"", b"x", b"y", b"z", b"yy", b"\x00\xff"])
SCORE = st.sampled_from([b"0", b"1", b"-1", b"2.5", b"inf", b"-inf", b"-0", b"1e17", b"0.1", b"x"])
INDEX = st.sampled_from([b"0", b"1", b"2", b"-1", b"-2", b"5", b"-9223372036854775808", b"x"])
COUNT = st.sampled_from([b"0", b"1", b"2", b"9", b"-1"])
BOUND = st.sampled_from([b"0", b"(0", b"1", b"(1", b"-inf", b"+inf", b"(inf", b"2.5", b"-1", b"nan"])
OPTIONS = st.lists(st.sampled_from([b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"]), max_size=2)
PAIRS = st.lists(st.tuples(SCORE, MEMBER), min_size=1, max_size=4)
ENDING = st.sampled_from([(), (b"WITHSCORES",), (b"LIMIT", b"1", b"2"), (b"LIMIT", b"0", b"-1", b"WITHSCORES")])
WEIGHT = st.sampled_from([b"1", b"-1", b"0", b"2", b"inf", b"0.5"])
AGGREGATE = st.sampled_from([b"SUM", b"MIN", b"MAX"])

COMMAND = st.one_of(
    st.builds(lambda k, o, p: (b"ZADD", k, *o, *[word for pair in p for word in pair]), KEY, OPTIONS, PAIRS),
    st.builds(lambda k, o, p: (b"ZADD", k, *o, *[word for pair in p for word in pair]), KEY, st.just([]), PAIRS),
    words("ZINCRBY", KEY, SCORE, MEMBER),
    words("ZREM", KEY, MEMBER, MEMBER),
    words("ZSCORE", KEY, MEMBER),
    words("ZRANK", KEY, MEMBER),
    words("ZREVRANK", KEY, MEMBER),
    words("ZRANGE", KEY, INDEX, INDEX, "WITHSCORES"),
    words("ZREVRANGE", KEY, INDEX, INDEX, "WITHSCORES"),
    st.builds(
        lambda n, k, a, b, e: (n, k, a, b, *e),
        st.sampled_from([b"ZRANGEBYSCORE", b"ZREVRANGEBYSCORE"]),
        KEY,
        BOUND,
        BOUND,
        ENDING,
    ),
    words("ZRANGESTORE", KEY, KEY, BOUND, BOUND, "BYSCORE", "LIMIT", COUNT, COUNT),
    words("ZCOUNT", KEY, BOUND, BOUND),
    words("ZREMRANGEBYSCORE", KEY, BOUND, BOUND),
    words("ZREMRANGEBYRANK", KEY, INDEX, INDEX),
    words("ZPOPMIN", KEY),
    words("ZPOPMAX", KEY, COUNT),
    words("ZMPOP", "2", KEY, KEY, st.sampled_from([b"MIN", b"MAX"]), "COUNT", COUNT),
    words("ZUNION", "2", KEY, KEY, "WEIGHTS", WEIGHT, WEIGHT, "AGGREGATE", AGGREGATE, "WITHSCORES"),
    words("ZINTER", "2", KEY, KEY, "WEIGHTS", WEIGHT, WEIGHT, "AGGREGATE", AGGREGATE, "WITHSCORES"),
    words("ZDIFF", "2", KEY, KEY, "WITHSCORES"),
    words("ZUNIONSTORE", KEY, "2", KEY, KEY, "WEIGHTS", WEIGHT, WEIGHT),
    words("ZINTERSTORE", KEY, "2", KEY, KEY, "AGGREGATE", AGGREGATE),
    words("ZDIFFSTORE", KEY, "2", KEY, KEY),
    words("ZINTERCARD", "2", KEY, KEY, "LIMIT", COUNT),
    words("SADD", "t", MEMBER),
    words("SET", "s", "v"),
    words("DEL", KEY),
    words("ZRANGE", KEY, "0", "-1"),
)
NAMES = st.one_of(
    words("ZADD", "a", "0", MEMBER),
    *[
        words(name, "a", end, end)
        for end in [
            st.builds(lambda e, m: e + m if e else m or b"-", st.sampled_from([b"[", b"("]), MEMBER)
            | st.sampled_from([b"-", b"+", b""])
        ]
        for name in ("ZRANGEBYLEX", "ZREVRANGEBYLEX", "ZLEXCOUNT", "ZREMRANGEBYLEX")
    ],
)
ALL = [(b"ZRANGE", key, b"0", b"-1", b"WITHSCORES") for key in (b"a", b"b")]


@given(st.lists(COMMAND, max_size=40), st.sampled_from([2, 3]))
@sequences
def test_any_sequence(ports: tuple[int, int], commands: list[Words], proto: int) -> None:
    compare(ports, proto, [*commands, *ALL])


@given(st.lists(NAMES, max_size=30))
@sequences
def test_any_sequence_on_names(ports: tuple[int, int], commands: list[Words]) -> None:
    compare(ports, 2, [*commands, *ALL])
