"""Client-side caching (redis-py's own cache, RESP3) with invalidation by others, and MONITOR."""

import time

import pytest
import redis
from conftest import HOST, PORT
from redis.cache import CacheConfig


@pytest.fixture
def clients():
    """A client with a cache, and one without."""
    cached = redis.Redis(HOST, PORT, protocol=3, decode_responses=True, cache_config=CacheConfig(max_size=100))
    other = redis.Redis(HOST, PORT, protocol=3, decode_responses=True)
    yield cached, other
    cached.close()
    other.close()


def until(what, done):
    give_up = time.monotonic() + 5
    while not done():
        assert time.monotonic() < give_up, what
        time.sleep(0.005)


def reads(other):
    """How many HGET the server has run."""
    return other.info("commandstats").get("cmdstat_hget", {"calls": 0})["calls"]


def test_a_read_is_made_once(clients):
    cached, other = clients
    other.hset("h", mapping={"f": 1, "g": 2})
    before = reads(other)
    assert [cached.hget("h", "f") for _ in range(10)] == ["1"] * 10
    assert cached.hgetall("h") == cached.hgetall("h") == {"f": "1", "g": "2"}
    assert cached.hmget("h", "f", "g") == cached.hmget("h", "f", "g") == ["1", "2"]
    assert reads(other) == before + 1
    assert cached.get_cache().size == 3


@pytest.mark.parametrize(
    "write",
    [
        lambda other: other.hset("h", "f", "new"), lambda other: other.hincrby("h", "f", 1),
        lambda other: other.hdel("h", "f"), lambda other: other.delete("h"), lambda other: other.rename("h", "i"),
        lambda other: other.rename("g", "h"), lambda other: other.copy("g", "h", replace=True),
        lambda other: other.move("h", 3), lambda other: other.flushdb(), lambda other: other.flushall(),
        lambda other: other.pexpire("h", 5), lambda other: other.hpexpire("h", 5, "f"),
        lambda other: other.pipeline().hset("h", "f", 5).hincrby("h", "f", 1).execute(),
        lambda other: other.hgetdel("h", "f"), lambda other: other.hsetex("h", mapping={"f": "new"}, ex=100),
    ],
)
def test_writes_of_others_invalidate(clients, write):
    cached, other = clients
    other.hset("h", mapping={"f": 1, "stays": 2})
    other.hset("g", mapping={"f": 7})
    assert cached.hget("h", "f") == "1"
    write(other)
    # By then the message is there, or the next read takes it from the socket first.
    until("the cache still holds the old value", lambda: cached.hget("h", "f") == other.hget("h", "f") != "1")


def test_own_writes_invalidate(clients):
    cached, _ = clients
    cached.hset("h", "f", 1)
    assert cached.hget("h", "f") == "1"
    cached.hset("h", "f", 2)
    until("its own write", lambda: cached.hget("h", "f") == "2")
    pipe = cached.pipeline()
    pipe.hset("h", "f", 3)
    pipe.hget("h", "f")
    assert pipe.execute() == [0, "3"]
    until("its own transaction", lambda: cached.hget("h", "f") == "3")


def test_other_keys_stay(clients):
    cached, other = clients
    for n in range(20):
        other.hset(f"h{n}", "f", n)
    assert [cached.hget(f"h{n}", "f") for n in range(20)] == [str(n) for n in range(20)]
    before = reads(other)
    other.hset("h7", "f", "new")
    until("h7", lambda: cached.hget("h7", "f") == "new")
    assert [cached.hget(f"h{n}", "f") for n in range(20) if n != 7] == [str(n) for n in range(20) if n != 7]
    assert reads(other) <= before + 2


def test_a_lost_connection(clients):
    cached, other = clients
    other.hset("h", "f", 1)
    assert cached.hget("h", "f") == "1"
    other.client_kill_filter(skipme=True, _type="normal")
    other.hset("h", "f", 2)
    until("what it missed while it was away", lambda: cached.hget("h", "f") == "2")


def test_tracking_state(clients):
    cached, other = clients
    cached.ping()
    assert [c["flags"] for c in other.client_list()].count("t") == 1
    assert int(other.info("clients")["tracking_clients"]) == 1


def test_monitor(program):
    async def body(connect):
        watcher, r = connect(), connect(db=3)
        await r.ping()
        async with watcher.monitor() as monitor:
            await r.hset("h", 'f "quoted"', "v")
            pipe = r.pipeline()
            pipe.hget("h", "f")
            await pipe.execute()
            seen = []
            while not seen or seen[-1]["command"] != "EXEC":
                seen.append(await monitor.next_command())
        assert [entry["command"] for entry in seen] == ['HSET h f "quoted" v', "MULTI", "HGET h f", "EXEC"]
        for entry in seen:
            assert entry["db"] == 3 and entry["client_type"] == "tcp"
            assert entry["client_address"] and int(entry["client_port"]) > 0
            assert abs(entry["time"] - time.time()) < 60

    program(body)


def test_monitor_hides_secrets(program):
    """AUTH is not shown to whoever monitors; commands of an admin are not either."""

    async def body(connect):
        watcher, r = connect(), connect()
        async with watcher.monitor() as monitor:
            with pytest.raises(redis.AuthenticationError):
                await r.execute_command("AUTH", "secret")
            await r.config_get("maxmemory")
            await r.echo("end")
            seen = []
            while not seen or "ECHO" not in seen[-1]:
                seen.append((await monitor.next_command())["command"])
        assert not any("secret" in line or line.startswith("CONFIG") for line in seen), seen

    program(body)
