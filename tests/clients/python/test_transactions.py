"""MULTI as redis-py's pipelines send it: atomic by default, WATCH with retries, errors before and in EXEC, DISCARD."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
import redis.asyncio
from conftest import HOST, PORT


def test_pipeline_is_a_transaction(program):
    async def body(connect):
        r = connect()
        pipe = r.pipeline()
        pipe.hset("order:1", mapping={"state": "new", "total": 12})
        pipe.hincrby("order:1", "total", 30)
        pipe.hgetall("order:1")
        pipe.hget("order:404", "state")
        pipe.expire("order:1", 100)
        pipe.exists("order:1", "order:404")
        assert len(pipe) == 6
        assert await pipe.execute() == [2, 42, {"state": "new", "total": "42"}, None, True, 1]
        # The pipeline is empty again and can be used anew.
        assert len(pipe) == 0
        assert await pipe.execute() == []
        pipe.hmget("order:1", "state", "nothing")
        pipe.hkeys("order:1")
        assert await pipe.execute() == [["new", None], ["state", "total"]]

    program(body)


def test_nested_replies(program):
    async def body(connect):
        r = connect()
        await r.hset("h", mapping={f"f{i}": i for i in range(5)})
        pipe = r.pipeline(transaction=True)
        pipe.hscan("h")
        pipe.scan(match="h")
        pipe.hexpire("h", 100, "f1", "f9")
        pipe.hrandfield("h", 2, withvalues=True)
        pipe.type("h")
        pipe.ping()
        pipe.hincrbyfloat("h", "f1", 0.5)
        scan, keys, expire, random, kind, pong, number = await pipe.execute()
        assert scan == (0, {f"f{i}": str(i) for i in range(5)})
        assert keys == (0, ["h"])
        assert expire == [1, -2]
        assert len(random) in (2, 4)
        assert (kind, pong, number) == ("hash", True, 1.5)

    program(body)


def test_a_thousand_commands(program):
    async def body(connect):
        r = connect()
        pipe = r.pipeline()
        for i in range(1000):
            pipe.hset(f"user:{i % 40}", f"f{i}", "x" * (i % 200))
        for i in range(1000):
            pipe.hget(f"user:{i % 40}", f"f{i}")
        replies = await pipe.execute()
        assert replies[:1000] == [1] * 1000
        assert replies[1000:] == ["x" * (i % 200) for i in range(1000)]
        assert await r.dbsize() == 40

    program(body)


def test_an_error_in_exec(program):
    """The commands around one that fails while it runs are not undone."""

    async def body(connect):
        r = connect()
        await r.hset("h", mapping={"text": "abc", "n": 1})
        pipe = r.pipeline()
        pipe.hincrby("h", "n", 1)
        pipe.hincrby("h", "text", 1)
        pipe.hincrby("h", "n", 1)
        replies = await pipe.execute(raise_on_error=False)
        assert replies[0] == 2 and replies[2] == 3
        assert isinstance(replies[1], redis.ResponseError)
        assert "hash value is not an integer" in str(replies[1])
        pipe.hincrby("h", "n", 1)
        pipe.rename("nothing", "h")
        with pytest.raises(redis.ResponseError, match=r"Command # 2 \(RENAME nothing h\) of pipeline.*no such key"):
            await pipe.execute()
        assert await r.hget("h", "n") == "4"

    program(body)


def test_an_error_before_exec(program):
    """A command that cannot even be queued: nothing runs, and the connection is as good as before."""

    async def body(connect):
        r = connect()
        pipe = r.pipeline()
        pipe.hset("h", "f", "v")
        pipe.execute_command("NOSUCH", "a")
        pipe.hset("h", "g", "w")
        with pytest.raises(redis.ResponseError, match=r"Command # 2 \(NOSUCH a\) of pipeline.*unknown command 'NOSUCH'"):
            await pipe.execute()
        assert await r.exists("h") == 0
        pipe.execute_command("HGET", "h")
        with pytest.raises(redis.ResponseError, match="wrong number of arguments for 'hget' command"):
            await pipe.execute()
        pipe.hset("h", "f", "v")
        assert await pipe.execute() == [1]

    program(body)


def test_raw_shapes(program):
    """The replies themselves, on one connection."""

    async def body(connect):
        r = connect(single_connection_client=True)
        await r.ping()
        send = r.execute_command
        assert await send("MULTI") in (True, "OK")
        with pytest.raises(redis.ResponseError, match="^MULTI calls can not be nested$"):
            await send("MULTI")
        assert await send("DISCARD") in (True, "OK")
        for command in ("EXEC", "DISCARD"):
            with pytest.raises(redis.ResponseError, match=f"^{command} without MULTI$"):
                await send(command)
        await send("MULTI")
        with pytest.raises(redis.ResponseError, match="^unknown command"):
            await send("NOSUCH")
        with pytest.raises(redis.exceptions.ExecAbortError, match="^Transaction discarded because of previous errors.$"):
            await send("EXEC")
        assert await send("WATCH", "k") in (True, "OK")
        await send("MULTI")
        with pytest.raises(redis.ResponseError, match="^WATCH inside MULTI is not allowed$"):
            await send("WATCH", "k")
        await send("DISCARD")
        assert await send("MULTI") in (True, "OK")
        assert await send("EXEC") == []
        assert await send("UNWATCH") in (True, "OK")

    program(body)


def test_watch(program):
    async def body(connect):
        r, other = connect(), connect()
        await r.hset("stock", "n", 5)
        async with r.pipeline() as pipe:
            await pipe.watch("stock", "nothing")
            seen = int(await pipe.hget("stock", "n"))
            assert seen == 5
            await other.hset("stock", "n", 4)
            pipe.multi()
            pipe.hset("stock", "n", seen - 1)
            with pytest.raises(redis.WatchError):
                await pipe.execute()
        assert await r.hget("stock", "n") == "4"
        async with r.pipeline() as pipe:
            # A missing key that comes to be breaks it as well; UNWATCH takes everything back.
            await pipe.watch("nothing")
            await other.hset("nothing", "f", "v")
            pipe.multi()
            pipe.hset("stock", "n", 0)
            with pytest.raises(redis.WatchError):
                await pipe.execute()
            await pipe.watch("stock")
            await other.hset("stock", "n", 3)
            await pipe.unwatch()
            pipe.multi()
            pipe.hincrby("stock", "n", 10)
            assert await pipe.execute() == [13]
        async with r.pipeline() as pipe:
            # Leaving the block without EXEC forgets the watch and what was buffered.
            await pipe.watch("stock")
            pipe.multi()
            pipe.hset("stock", "n", 0)
        assert await r.hget("stock", "n") == "13"

    program(body)


def test_what_breaks_a_watch(program):
    async def body(connect):
        r, other = connect(), connect()
        changes = [
            ("hdel", "h", "f"), ("hincrby", "h", "n", 1), ("delete", "h"), ("rename", "h", "g"), ("rename", "g", "h"),
            ("copy", "g", "h", None, True), ("move", "h", 5), ("expire", "h", 100), ("persist", "h"), ("flushdb",),
            ("flushall",), ("swapdb", 0, 5), ("hexpire", "h", 100, "f"), ("hpersist", "h", "f"), ("unlink", "h"),
        ]
        for name, *args in changes:
            await r.flushall()
            await r.hset("h", mapping={"f": 1, "n": 2})
            await r.hset("g", mapping={"f": 2})
            if name == "persist":
                await r.expire("h", 1000)
            if name == "hpersist":
                await r.hexpire("h", 1000, "f")
            async with r.pipeline() as pipe:
                await pipe.watch("h")
                await getattr(other, name)(*args)
                pipe.multi()
                pipe.hset("h", "written", 1)
                with pytest.raises(redis.WatchError):
                    await pipe.execute()
            assert await r.hexists("h", "written") is False, name

    program(body)


CLIENTS, TIMES = 6, 20


@pytest.mark.parametrize("protocol", [2, 3])
def test_transaction_helper_threads(protocol):
    """`transaction()` runs its function again for as long as the watched key changes: no increment is lost."""
    r = redis.Redis(HOST, PORT, protocol=protocol, decode_responses=True)

    def increment(pipe):
        seen = int(pipe.hget("counter", "n") or 0)
        pipe.multi()
        pipe.hset("counter", "n", seen + 1)
        return seen

    def work(_):
        return [r.transaction(increment, "counter", value_from_callable=True) for _ in range(TIMES)]

    with ThreadPoolExecutor(CLIENTS) as pool:
        seen = [value for values in pool.map(work, range(CLIENTS)) for value in values]
    assert r.hget("counter", "n") == str(CLIENTS * TIMES)
    # Each value was the basis of exactly one increment.
    assert sorted(seen) == list(range(CLIENTS * TIMES))
    assert r.transaction(lambda pipe: (pipe.multi(), pipe.hget("counter", "n")), "counter") == [str(CLIENTS * TIMES)]
    r.close()


@pytest.mark.parametrize("protocol", [2, 3])
def test_transaction_helper_asyncio(protocol):
    async def main():
        r = redis.asyncio.Redis(host=HOST, port=PORT, protocol=protocol, decode_responses=True)

        async def increment(pipe):
            seen = int(await pipe.hget("counter", "n") or 0)
            pipe.multi()
            pipe.hset("counter", "n", seen + 1)
            return seen

        async def work():
            return [await r.transaction(increment, "counter", value_from_callable=True) for _ in range(TIMES)]

        seen = [value for values in await asyncio.gather(*(work() for _ in range(CLIENTS))) for value in values]
        assert await r.hget("counter", "n") == str(CLIENTS * TIMES)
        assert sorted(seen) == list(range(CLIENTS * TIMES))
        await r.aclose()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_transfers_keep_the_total(program):
    """Money moves by MULTI between hashes; whoever reads all of them in one transaction finds all of it."""

    async def body(connect):
        r = connect()
        for n in range(6):
            await r.hset(f"account:{n}", "balance", 100)

        async def audit():
            pipe = r.pipeline()
            for n in range(6):
                pipe.hget(f"account:{n}", "balance")
            assert sum(map(int, await pipe.execute())) == 600

        async def pay(n):
            pipe = r.pipeline()
            pipe.hincrby(f"account:{n % 6}", "balance", -n)
            pipe.hincrby(f"account:{(n + 1 + n % 4) % 6}", "balance", n)
            await pipe.execute()

        await asyncio.gather(*(pay(n) if n % 3 else audit() for n in range(60)))
        await audit()

    program(body)
