"""redis-om: models kept as hashes. Finding them needs RediSearch, the expiry of fields Redis 7.4: neither is here.

redis-om 1.1 asks for the expiry of fields wherever redis-py knows of it, whatever the server is; it is told not to.
"""

from __future__ import annotations

import os

from support import URL, did, harm, patiently, used

os.environ["REDIS_OM_URL"] = URL
used("redis-om", "redis")

from redis_om.model import model  # noqa: E402

model.supports_hash_field_expiration = lambda: False

from redis_om import HashModel, NotFoundError, get_redis_connection  # noqa: E402


class Customer(HashModel, index=True):
    name: str
    age: int

    class Meta:
        database = get_redis_connection(url=URL, decode_responses=True)


saved = [Customer(name=f"name-{n}", age=n).save() for n in range(30)]
harm()
for customer in saved:
    found = patiently(lambda customer=customer: Customer.get(customer.pk))
    assert (found.name, found.age) == (customer.name, customer.age), "a model was lost"
saved[0].age = 99
patiently(saved[0].save)
assert Customer.get(saved[0].pk).age == 99
saved[1].update(age=98)
assert Customer.get(saved[1].pk).age == 98
assert len(list(Customer.all_pks())) == 30
saved[2].expire(100)
with Customer.db().pipeline() as pipe:
    Customer(name="piped", age=1).save(pipeline=pipe)
    pipe.execute()
Customer.delete(saved[3].pk)
try:
    Customer.get(saved[3].pk)
except NotFoundError:
    pass
else:
    raise AssertionError("a deleted model is there")
assert len(list(Customer.all_pks())) == 30
did("31 models saved, read, changed, deleted")
