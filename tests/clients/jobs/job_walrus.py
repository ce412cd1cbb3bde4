"""walrus: containers, models with indexes, a cache, a rate limit, a lock, a stream, autocompletion."""

from __future__ import annotations

from support import HOST, PORT, did, harm, patiently, used
from walrus import Database, IntegerField, Model, TextField

used("walrus", "redis")
db = Database(host=HOST, port=PORT)


class Note(Model):
    __database__ = db
    __namespace__ = "notes"
    title = TextField(primary_key=True)
    stars = IntegerField(index=True)


hash_, list_, set_, sorted_ = db.Hash("h"), db.List("l"), db.Set("s"), db.ZSet("z")
for n in range(20):
    hash_[f"f{n}"] = str(n)
    list_.append(str(n))
    set_.add(str(n))
    sorted_[f"m{n}"] = n
    Note.create(title=f"note-{n}", stars=n % 5)
harm()
assert patiently(lambda: len(hash_)) == len(list_) == len(set_) == len(sorted_) == 20, "something was lost"
assert list_[3] == b"3"
assert hash_["f7"] == b"7"
assert b"9" in set_
assert [name for name, _ in sorted_.range(0, 2, with_scores=True)] == [b"m0", b"m1", b"m2"]
assert sorted(note.title for note in Note.query(Note.stars == 2)) == ["note-12", "note-17", "note-2", "note-7"]
assert len(list(Note.query(Note.stars > 2))) == 8
Note.load("note-2").delete()
assert len(list(Note.query(Note.stars == 2))) == 3
cache = db.cache()
cache.set("k", {"v": 1}, 60)
assert cache.get("k") == {"v": 1}
limit = db.rate_limit("limit", limit=3, per=60)
assert [limit.limit("user") for _ in range(4)] == [False, False, False, True]
with db.lock("walrus-lock", ttl=5_000):
    pass
stream = db.Stream("events")
ids = [stream.add({"n": str(n)}) for n in range(5)]
assert len(stream) == 5
assert [identity for identity, _ in stream.range()] == ids
complete = db.autocomplete()
complete.store("1", "paxos store")
complete.store("2", "paxos made simple")
assert len(list(complete.search("paxos"))) == 2
db.Array("array").extend(["a", "b", "c"])
assert db.Array("array")[1] == b"b"
did("20 each in a hash, a list, a set, a sorted set and models; cache, limit, lock, stream, autocompletion, array")
