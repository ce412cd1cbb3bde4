"""Places: the same bytes to a real redis-server and to this service, the same bytes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .oracle import Words, compare, needs_redis, script, sequences, words

pytestmark = needs_redis

SCRIPT = """
SET s v / GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania / GEOADD g NX 1 1 Palermo
GEOADD g XX CH 13.5 38 Palermo / GEOADD g CH 13.361389 38.115556 Palermo 2 2 x / GEOADD g NX XX 1 1 a / GEOADD g 1 1
GEOADD g 1 1 a 2 / GEOADD g x 1 a / GEOADD g 1 x a / GEOADD g 181 1 a / GEOADD g 1 86 a / GEOADD g -180 -85.05112878 corner
GEOADD g 180 85.05112878 top / GEOADD s 1 1 a / GEOADD g NX CH NX / GEOADD g inf 1 a / GEOADD g 0 0 zero -0.0 -0 zero2
GEOADD g nan 1 a / GEOADD g 1e1 1e1 ten / GEOPOS g Palermo Catania none corner top zero / GEOPOS no a / GEOPOS s a / GEOPOS g
GEODIST g Palermo Catania / GEODIST g Palermo Catania km / GEODIST g Palermo Catania MI / GEODIST g Palermo Catania ft
GEODIST g Palermo none / GEODIST no a b / GEODIST s a b / GEODIST g Palermo Catania miles / GEODIST g Palermo Catania m x
GEODIST g Palermo Palermo / GEODIST g corner top / GEODIST no a b miles / GEOHASH g Palermo Catania none corner top zero
GEOHASH no a / GEOHASH s a / GEOHASH g / ZRANGE g 0 -1 WITHSCORES / ZADD w 1.5 a -5 b 1e300 c 18446744073709551615 d inf e
GEOPOS w a / GEOHASH w a / GEODIST w a a / GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC
GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km DESC WITHDIST WITHCOORD WITHHASH
GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km ASC WITHDIST / GEOSEARCH g FROMMEMBER Palermo BYRADIUS 500 KM ASC COUNT 1
GEOSEARCH g FROMMEMBER Palermo BYRADIUS 500 km COUNT 1 ANY / GEOSEARCH g FROMMEMBER Palermo BYRADIUS 500 km ANY
GEOSEARCH g FROMMEMBER none BYRADIUS 500 km / GEOSEARCH no FROMMEMBER none BYRADIUS 500 km
GEOSEARCH s FROMMEMBER none BYRADIUS 500 km / GEOSEARCH g BYRADIUS 500 km ASC COUNT 1
GEOSEARCH g FROMLONLAT 15 37 ASC COUNT 1 ANY / GEOSEARCH g FROMLONLAT 15 37 FROMMEMBER Palermo BYRADIUS 1 km
GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km BYBOX 1 1 km / GEOSEARCH g FROMLONLAT 15 37 BYRADIUS -1 km
GEOSEARCH g FROMLONLAT 15 37 BYRADIUS x km / GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 miles
GEOSEARCH g FROMLONLAT 15 37 BYBOX -1 1 km / GEOSEARCH g FROMLONLAT 15 37 BYBOX x 1 km
GEOSEARCH g FROMLONLAT 15 37 BYBOX 1 x km / GEOSEARCH g FROMLONLAT 15 37 BYBOX 1 1 miles
GEOSEARCH g FROMLONLAT 200 37 BYRADIUS 1 km / GEOSEARCH g FROMLONLAT x 37 BYRADIUS 1 km
GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km COUNT 0 / GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km COUNT x
GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km COUNT -1 / GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km BOGUS
GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km STORE x / GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km STOREDIST
geosearch g ASC DESC WITHDIST COUNT 1 / GEOSEARCH no FROMLONLAT 15 37 BYRADIUS 1 km WITHDIST
GEOSEARCH g FROMLONLAT 0 0 BYRADIUS 30000 km / GEOSEARCH g FROMLONLAT 0 0 BYRADIUS 30000 km COUNT 3
GEOSEARCH g FROMLONLAT 0 0 BYBOX 50000 50000 km ASC / GEOSEARCH g FROMLONLAT 0 0 BYRADIUS 0 m WITHDIST
GEOSEARCH g FROMMEMBER top BYRADIUS 100 km WITHDIST / GEOSEARCH g FROMMEMBER corner BYRADIUS 100 km WITHDIST
GEOSEARCH g FROMLONLAT 0 0 BYRADIUS inf km / GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km / ZRANGE d 0 -1 WITHSCORES
GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST / ZRANGE d 0 -1 WITHSCORES
GEOSEARCHSTORE d g FROMLONLAT 15 37 BYBOX 400 400 km ASC COUNT 1 STOREDIST / ZRANGE d 0 -1 WITHSCORES
GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km WITHDIST / GEOSEARCHSTORE d no FROMLONLAT 15 37 BYRADIUS 200 km / EXISTS d
GEOSEARCHSTORE s2 g FROMLONLAT 15 37 BYRADIUS 1 m / EXISTS s2 / SET over v
GEOSEARCHSTORE over g FROMMEMBER Palermo BYRADIUS 1 m / TYPE over / GEOSEARCHSTORE d s FROMLONLAT 15 37 BYRADIUS 1 km
GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km STORE x / GEORADIUS g 15 37 200 km ASC
GEORADIUS g 15 37 200 km WITHDIST WITHCOORD WITHHASH DESC / GEORADIUS g 15 37 200 km COUNT 1 / GEORADIUS g 15 37 200 miles
GEORADIUS g 15 37 x km / GEORADIUS g 15 37 -1 km / GEORADIUS g x 37 1 km / GEORADIUS g 15 95 1 km / GEORADIUS no 15 37 1 km
GEORADIUS s 15 37 1 km / GEORADIUS no x 37 1 km / GEORADIUS g 15 37 200 km STORE d / ZRANGE d 0 -1 WITHSCORES
GEORADIUS g 15 37 200 km STOREDIST d / ZRANGE d 0 -1 WITHSCORES / GEORADIUS g 15 37 200 km STORE d WITHDIST
GEORADIUS g 15 37 200 km STORE / GEORADIUS no 15 37 200 km STORE d / EXISTS d / GEORADIUS g 15 37 200 km STOREDIST a STORE b
EXISTS a / EXISTS b / GEORADIUS g 15 37 200 km FROMMEMBER a / GEORADIUS_RO g 15 37 200 km ASC
GEORADIUS_RO g 15 37 200 km STORE d / GEORADIUS g 15 37 200 km ANY / GEORADIUSBYMEMBER g Palermo 200 km ASC
GEORADIUSBYMEMBER g none 200 km / GEORADIUSBYMEMBER no none 200 km / GEORADIUSBYMEMBER no none x km
GEORADIUSBYMEMBER s none x km / GEORADIUSBYMEMBER g Palermo x km / GEORADIUSBYMEMBER g Palermo 200 km STORE d
ZRANGE d 0 -1 WITHSCORES / GEORADIUSBYMEMBER g Palermo 200 km WITHDIST STORE d / GEORADIUSBYMEMBER_RO g Palermo 200 km ASC
GEORADIUSBYMEMBER_RO g Palermo 200 km STORE d / COMMAND GETKEYS georadius g 1 1 1 km STORE d
COMMAND GETKEYS georadius g 1 1 1 km / COMMAND GETKEYS georadiusbymember g m 1 km STOREDIST d STORE e
COMMAND GETKEYS geosearchstore d g FROMLONLAT 15 37 BYRADIUS 200 km
"""


@pytest.mark.parametrize("proto", [2, 3])
def test_every_command_and_its_errors(ports: tuple[int, int], proto: int) -> None:
    compare(ports, proto, script(SCRIPT))


LONGITUDE = st.one_of(st.floats(-180, 180), st.sampled_from([-180.0, 180.0, 0.0, 179.99, -179.99])).map(lambda n: b"%.12g" % n)
LATITUDE = st.one_of(st.floats(-85, 85), st.sampled_from([-85.05, 85.05, 0.0, 66.1, 80.1, -66.1])).map(lambda n: b"%.12g" % n)
LENGTH = st.one_of(st.floats(0, 25_000), st.floats(0, 200), st.sampled_from([0.0, 1.0])).map(lambda n: b"%.6g" % n)
NUMBER = st.integers(0, 99).map(lambda n: b"m%d" % n)
PLACES = st.lists(st.tuples(LONGITUDE, LATITUDE), min_size=1, max_size=60)
SORT = st.sampled_from([(), (b"ASC",), (b"DESC",)])
MORE = st.sampled_from([(), (b"WITHDIST",), (b"WITHCOORD", b"WITHHASH"), (b"COUNT", b"3", b"ANY"), (b"COUNT", b"2")])
UNIT = st.sampled_from([b"km", b"mi", b"m", b"ft"])
SEARCH = st.one_of(
    st.builds(
        lambda x, y, r, u, s, m: (b"GEOSEARCH", b"g", b"FROMLONLAT", x, y, b"BYRADIUS", r, u, *s, *m),
        LONGITUDE,
        LATITUDE,
        LENGTH,
        UNIT,
        SORT,
        MORE,
    ),
    st.builds(
        lambda x, y, w, h, s, m: (b"GEOSEARCH", b"g", b"FROMLONLAT", x, y, b"BYBOX", w, h, b"km", *s, *m),
        LONGITUDE,
        LATITUDE,
        LENGTH,
        LENGTH,
        SORT,
        MORE,
    ),
    words("GEORADIUSBYMEMBER", "g", "m0", LENGTH, "km", "WITHDIST"),
    words("GEODIST", "g", "m0", NUMBER),
    words("GEOHASH", "g", NUMBER),
    words("GEOPOS", "g", NUMBER),
    words("GEOSEARCHSTORE", "d", "g", "FROMMEMBER", "m0", "BYRADIUS", LENGTH, "km", "STOREDIST"),
    words("ZRANGE", "d", "0", "-1", "WITHSCORES"),
)


@given(PLACES, st.lists(SEARCH, max_size=20), st.sampled_from([2, 3]))
@sequences
def test_any_search(ports: tuple[int, int], places: list[tuple[bytes, bytes]], commands: list[Words], proto: int) -> None:
    added = [word for number, place in enumerate(places) for word in (*place, b"m%d" % number)]
    compare(ports, proto, [(b"GEOADD", b"g", *added), *commands])
