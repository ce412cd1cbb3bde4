"""Streams and their consumer groups.

    extra of the key:                last id (16), highest deleted id (16), entries ever added (8), no entry is below this id (16)
    b"e" + id (16)                                   -> the entry: field, value, …, as a list in msgpack
    b"g" + group                                     -> a group: groups.py
    b"c" + size of the name (4) + group + consumer   -> a consumer
    b"p" + size of the name (4) + group + id (16)    -> what is pending: when and how often it was delivered, to whom
    b"q" + size of the name (4) + group + size of the name (4) + consumer + id (16) -> b"", the same, by consumer

An id is one number of 128 bits: milliseconds, then the sequence. The lowest ids are remembered (of the stream, of what is
pending), so that no scan walks over what was deleted before them.
"""
