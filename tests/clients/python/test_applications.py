"""What applications keep in hashes: profiles, stock, leaderboards, sessions, settings, carts, caches, rate limits."""

import asyncio
import json
import secrets
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
import redis.asyncio
from conftest import HOST, PORT


def test_user_profile(program):
    async def body(connect):
        r = connect()
        profile = {"name": "Ada Lovelace", "email": "ada@example.com", "age": "36", "city": "London"}
        assert await r.hset("user:1000", mapping=profile) == 4
        assert await r.hgetall("user:1000") == profile
        assert await r.hget("user:1000", "email") == "ada@example.com"
        assert await r.hget("user:1000", "phone") is None
        assert await r.hget("user:404", "name") is None
        assert await r.hgetall("user:404") == {}
        assert await r.hexists("user:1000", "age") is True
        assert await r.hexists("user:1000", "phone") is False
        # An update of one old and one new field counts the new one only.
        assert await r.hset("user:1000", mapping={"age": 37, "phone": "555"}) == 1
        assert await r.hmget("user:1000", ["age", "nothing", "phone"]) == ["37", None, "555"]
        assert await r.hlen("user:1000") == 5
        # A small hash keeps the order of insertion.
        assert await r.hkeys("user:1000") == ["name", "email", "age", "city", "phone"]
        assert await r.hvals("user:1000") == ["Ada Lovelace", "ada@example.com", "37", "London", "555"]
        assert await r.hstrlen("user:1000", "name") == 12
        assert await r.hsetnx("user:1000", "name", "Eve") in (0, False)
        assert await r.hsetnx("user:1000", "role", "admin") in (1, True)
        assert await r.hdel("user:1000", "role", "phone", "nothing") == 2
        assert await r.type("user:1000") == "hash"
        assert await r.exists("user:1000", "user:404") == 1
        assert await r.delete("user:1000", "user:404") == 1
        assert await r.type("user:1000") == "none"

    program(body)


def test_many_fields(program):
    async def body(connect):
        r = connect()
        wide = {f"field:{i}": f"value:{i}" * (i % 9) for i in range(3000)}
        assert await r.hset("wide", mapping=wide) == 3000
        assert await r.hlen("wide") == 3000
        assert await r.hgetall("wide") == wide
        names = list(wide)[::7]
        assert await r.hmget("wide", names) == [wide[name] for name in names]
        assert await r.hdel("wide", *list(wide)) == 3000
        assert await r.exists("wide") == 0

    program(body)


def test_inventory(program):
    async def body(connect):
        r = connect()
        await r.hset("product:42", mapping={"name": "Lamp", "price": "1299.99", "stock": 10, "sold": 0})
        assert await r.hincrby("product:42", "stock", -1) == 9
        assert await r.hincrby("product:42", "sold", 1) == 1
        assert await r.hincrby("product:42", "views", 5) == 5
        assert await r.hincrbyfloat("product:42", "price", -99.99) == 1200.0
        assert await r.hget("product:42", "price") == "1200"
        assert await r.hincrbyfloat("product:42", "price", 0.1) == 1200.1
        # Redis adds in 80-bit floats and prints 17 decimals; a float parsed from it is the one that was meant.
        assert await r.hget("product:42", "price") == "1200.09999999999999998"
        with pytest.raises(redis.ResponseError, match="^hash value is not an integer$"):
            await r.hincrby("product:42", "name", 1)
        with pytest.raises(redis.ResponseError, match="^hash value is not a float$"):
            await r.hincrbyfloat("product:42", "name", 1.5)
        await r.hset("product:42", "big", 2**63 - 1)
        with pytest.raises(redis.ResponseError, match="^increment or decrement would overflow$"):
            await r.hincrby("product:42", "big", 1)
        assert await r.hget("product:42", "big") == str(2**63 - 1)

    program(body)


STOCK, BUYERS = 150, 400


def check_sale(outcomes, stock):
    assert outcomes.count(True) == STOCK
    assert outcomes.count(False) == BUYERS - STOCK
    assert stock == {"stock": "0", "sold": str(STOCK)}


@pytest.mark.parametrize("protocol", [2, 3])
def test_concurrent_buyers_threads(protocol):
    r = redis.Redis(HOST, PORT, protocol=protocol, decode_responses=True)
    r.hset("product:7", mapping={"stock": STOCK, "sold": 0})

    def buy(_):
        if r.hincrby("product:7", "stock", -1) < 0:
            r.hincrby("product:7", "stock", 1)
            return False
        r.hincrby("product:7", "sold", 1)
        return True

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(buy, range(BUYERS)))
    check_sale(outcomes, r.hgetall("product:7"))
    r.close()


@pytest.mark.parametrize("protocol", [2, 3])
def test_concurrent_buyers_asyncio(protocol):
    async def main():
        pool = redis.asyncio.BlockingConnectionPool(
            host=HOST, port=PORT, protocol=protocol, decode_responses=True, max_connections=50
        )
        r = redis.asyncio.Redis(connection_pool=pool)
        await r.hset("product:7", mapping={"stock": STOCK, "sold": 0})

        async def buy():
            if await r.hincrby("product:7", "stock", -1) < 0:
                await r.hincrby("product:7", "stock", 1)
                return False
            await r.hincrby("product:7", "sold", 1)
            return True

        outcomes = await asyncio.gather(*(buy() for _ in range(BUYERS)))
        check_sale(outcomes, await r.hgetall("product:7"))
        await r.aclose()
        await pool.disconnect()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_leaderboard_entry(program):
    async def body(connect):
        r = connect()
        await r.hset("player:9", mapping={"score": 0, "wins": 0, "losses": 0})
        for won, points in [(True, 25), (False, -10), (True, 30), (True, 5)]:
            await r.hincrby("player:9", "wins" if won else "losses", 1)
            score = await r.hincrby("player:9", "score", points)
        assert score == 50
        assert await r.hgetall("player:9") == {"score": "50", "wins": "3", "losses": "1"}

    program(body)


def test_session_store(program):
    async def body(connect):
        r = connect()
        key = f"session:{secrets.token_hex(16)}"
        await r.hset(key, mapping={"user_id": 42, "csrf": secrets.token_urlsafe(), "last_seen": 1})
        assert await r.ttl(key) == -1
        assert await r.expire(key, 86400) is True
        assert 86399 <= await r.ttl(key) <= 86400
        # Use refreshes: a write keeps the expiry, EXPIRE sets it anew.
        assert await r.expire(key, 100) is True
        await r.hset(key, "last_seen", 2)
        assert 99 <= await r.ttl(key) <= 100
        assert await r.expire(key, 50, gt=True) is False
        assert await r.expire(key, 86400, gt=True) is True
        assert 86_399_000 <= await r.pttl(key) <= 86_400_000
        assert await r.hmget(key, "user_id", "last_seen") == ["42", "2"]
        assert await r.exists(key) == 1
        assert await r.persist(key) is True
        assert await r.ttl(key) == -1
        assert await r.delete(key) == 1
        assert await r.exists(key) == 0
        assert await r.hgetall(key) == {}
        assert await r.ttl(key) == -2
        assert await r.expire(key, 86400) is False
        # A session that is not refreshed goes by itself.
        await r.hset(key, "user_id", 42)
        assert await r.pexpire(key, 30) is True
        await asyncio.sleep(0.06)
        assert await r.exists(key) == 0

    program(body)


def test_configuration(program):
    async def body(connect):
        r = connect()
        defaults = {"theme": "dark", "lang": "en", "page_size": "50", "beta": "0"}
        for name, value in defaults.items():
            assert await r.hsetnx("config:app", name, value) in (1, True)
        assert await r.hsetnx("config:app", "theme", "light") in (0, False)
        assert await r.hset("config:app", "lang", "de") == 0
        assert await r.hgetall("config:app") == defaults | {"lang": "de"}
        assert int(await r.hget("config:app", "page_size")) == 50
        assert await r.rename("config:app", "config:old") is True
        assert await r.hlen("config:app") == 0
        assert await r.hlen("config:old") == 4
        with pytest.raises(redis.ResponseError, match="^no such key$"):
            await r.rename("config:app", "config:other")

    program(body)


def test_shopping_cart(program):
    async def body(connect):
        r = connect()
        cart = "cart:user:7"

        async def add(product, quantity):
            left = await r.hincrby(cart, product, quantity)
            if left <= 0:
                await r.hdel(cart, product)
            await r.expire(cart, 7 * 86400)
            return left

        assert await add("sku:1", 2) == 2
        assert await add("sku:2", 1) == 1
        assert await add("sku:1", 3) == 5
        assert await add("sku:2", -1) == 0
        assert await r.hgetall(cart) == {"sku:1": "5"}
        assert 604_799 <= await r.ttl(cart) <= 604_800
        # The last product takes the cart and its expiry along.
        assert await r.hincrby(cart, "sku:1", -5) == 0
        assert await r.hdel(cart, "sku:1") == 1
        assert await r.exists(cart) == 0
        await r.hset(cart, "sku:3", 1)
        assert await r.ttl(cart) == -1

    program(body)


def test_json_cache(program):
    async def body(connect):
        r = connect()
        documents = {
            str(i): {"id": i, "title": f"Überschrift №{i} \"q\" \\ \n", "tags": ["a", None, 1.5], "on": True}
            for i in range(200)
        }
        await r.hset("cache:articles", mapping={key: json.dumps(doc) for key, doc in documents.items()})
        assert json.loads(await r.hget("cache:articles", "17")) == documents["17"]
        everything = await r.hgetall("cache:articles")
        assert {key: json.loads(text) for key, text in everything.items()} == documents
        assert await r.hdel("cache:articles", "17") == 1
        assert await r.hget("cache:articles", "17") is None

    program(body)


def test_rate_limits(program):
    async def body(connect):
        r = connect()
        key = "limits:user:7"

        async def allowed(endpoint, limit, window_ms):
            count = await r.hincrby(key, endpoint, 1)
            if count == 1:
                assert await r.hpexpire(key, window_ms, endpoint) == [1]
            return count <= limit

        assert [await allowed("/search", 3, 60_000) for _ in range(5)] == [True, True, True, False, False]
        assert await allowed("/login", 1, 40) is True
        assert await allowed("/login", 1, 40) is False
        # HINCRBY keeps the field's expiry: the window closes by itself, the other endpoint's stays.
        await asyncio.sleep(0.08)
        assert await r.hget(key, "/login") is None
        assert await allowed("/login", 1, 60_000) is True
        ttls = await r.httl(key, "/search", "/login", "/nothing")
        assert ttls[0] in (59, 60) and ttls[1] in (59, 60) and ttls[2] == -2

    program(body)


def test_field_expiry(program):
    async def body(connect):
        r = connect()
        await r.hset("h", mapping={"a": 1, "b": 2, "c": 3})
        assert await r.hexpire("h", 100, "a", "nothing") == [1, -2]
        assert await r.hexpire("h", 50, "a", gt=True) == [0]
        assert await r.hexpire("h", 200, "a", gt=True) == [1]
        assert await r.hexpire("h", 100, "a", "b", nx=True) == [0, 1]
        assert (await r.httl("h", "a"))[0] in (199, 200)
        assert 199_000 < (await r.hpttl("h", "a"))[0] <= 200_000
        at = int(time.time()) + 1000
        assert await r.hexpireat("h", at, "b") == [1]
        assert await r.hexpiretime("h", "b", "c", "d") == [at, -1, -2]
        assert await r.hpexpiretime("h", "b") == [at * 1000]
        assert await r.hpersist("h", "b", "c", "d") == [1, -1, -2]
        # HSET takes the expiry off; a time in the past deletes.
        await r.hset("h", "a", 9)
        assert await r.httl("h", "a") == [-1]
        assert await r.hexpire("h", 0, "c") == [2]
        assert await r.hgetall("h") == {"a": "9", "b": "2"}
        assert await r.hexpire("missing", 10, "f") == [-2]
        assert await r.httl("missing", "f", "g") == [-2, -2]
        assert await r.hpexpire("h", 20, "a", "b") == [1, 1]
        await asyncio.sleep(0.06)
        assert await r.hgetall("h") == {}
        # Redis drops the key itself in its expire cycle, a little later.
        for _ in range(100):
            if await r.exists("h") == 0:
                break
            await asyncio.sleep(0.05)
        assert await r.exists("h") == 0

    program(body)


def test_get_set_and_delete_with_expiry(program):
    async def body(connect):
        r = connect()
        assert await r.hsetex("h", mapping={"token": "t1", "nonce": "n1"}, ex=100) == 1
        assert [ttl in (99, 100) for ttl in await r.httl("h", "token", "nonce")] == [True, True]
        assert await r.hsetex("h", "token", "t2", data_persist_option=redis.commands.core.HashDataPersistOptions.FNX) == 0
        assert await r.hget("h", "token") == "t1"
        assert await r.hsetex("h", "token", "t2", keepttl=True) == 1
        assert (await r.httl("h", "token"))[0] in (99, 100)
        assert await r.hgetex("h", "token", "nothing", ex=500) == ["t2", None]
        assert (await r.httl("h", "token"))[0] in (499, 500)
        assert await r.hgetex("h", "token", persist=True) == ["t2"]
        assert await r.httl("h", "token", "nonce") == [-1, (await r.httl("h", "nonce"))[0]]
        assert await r.hgetdel("h", "token", "nothing") == ["t2", None]
        assert await r.hexists("h", "token") is False
        assert await r.hgetdel("h", "nonce") == ["n1"]
        assert await r.exists("h") == 0
        assert await r.hgetdel("missing", "a", "b") == [None, None]
        assert await r.hgetex("missing", "a", "b", px=5) == [None, None]

    program(body)
