"""How Redis keys lie among an entity's keys: the one place that knows the encodings.

    b"k" + crc32c(name) (4) + name  -> head + body      every key: keys.py
               head: kind (1), expires at (8: ms since 1970, 0: never), stamp (12: entry and request that changed it last)
               body: a string's value; of any other kind: version (8), size (8), flags (1), what the kind keeps
    b"m" + version (8) + ...        -> ...              the members of one collection, each a row: collection.py
          + crc32c(member) (4) + member               of a hash (rank (6) + value) or a set (b""): hashed.py
          + index (8)               -> element          of a list: items.py
          + three kinds of rows                       of a sorted set: scored.py, pages.py
    b"g" + version (8)              -> where to go on   collections that are gone, whose members are not yet: garbage.py
    b"n"                            -> how many keys (8), next version (8), stamp of the last flush, or of many deleted (8)
    b"o"                            -> entries, times   when uuids were last used: commands/once.py
    b"s" + ...                      -> ...              scripts and functions: scripting/store.py
    b"t" + 2 bytes of the crc32c    -> stamp            when a key of that hash was last deleted, so that WATCH sees it
    b"x" + expires at (8) + name    -> b""              for every key that expires: what is due comes first

A key that is deleted, or becomes another one, leaves its members behind under a version that nobody uses any more: that takes
the same time for a million of them. A version is never used twice.

The order by hash lets a scan of any node continue at any other: where it stands is a hash, not a cursor kept somewhere.
Numbers are big-endian.
"""
