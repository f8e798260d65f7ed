"""What the client library itself asks of a server: handshake, databases, pipelines, iterators, parsers, errors, HIMPORT."""

import os
import re
import socket

import pytest
import redis
from conftest import HOST, PORT, needs_himport


async def collect(iterator):
    return [item async for item in iterator]


def test_handshake(program):
    async def body(connect):
        r = connect(client_name="billing", db=3)
        assert await r.ping() is True
        assert await r.echo("über") == "über"
        assert await r.client_getname() == "billing"
        me = await r.client_info()
        assert me["name"] == "billing"
        assert me["db"] == 3
        assert me["resp"] == str(connect.protocol) or me["resp"] == connect.protocol
        assert me["lib-name"].startswith("redis-py")
        assert me["lib-ver"] == redis.__version__
        assert await r.client_id() == me["id"]
        assert me["id"] in [client["id"] for client in await r.client_list()] or \
            str(me["id"]) in [client["id"] for client in await r.client_list()]

    program(body)


def test_databases(program):
    async def body(connect):
        zero, five = connect(), connect(db=5)
        await zero.hset("k", "in", "zero")
        await five.hset("k", "in", "five")
        await five.hset("only", "in", "five")
        assert await zero.hgetall("k") == {"in": "zero"}
        assert await five.hgetall("k") == {"in": "five"}
        assert (await zero.dbsize(), await five.dbsize()) == (1, 2)
        assert await five.move("only", 0) in (1, True)
        assert await zero.hget("only", "in") == "five"
        assert await five.flushdb() is True
        assert (await zero.dbsize(), await five.dbsize()) == (2, 0)
        with pytest.raises(redis.ResponseError, match="^DB index is out of range$"):
            await connect(db=99).ping()

    program(body)


def test_pipeline_of_thousands(program):
    async def body(connect):
        r = connect()
        pipe = r.pipeline(transaction=False)
        for i in range(3000):
            pipe.hset(f"user:{i % 100}", mapping={"n": i, f"f{i}": "x" * (i % 50)})
        for i in range(3000):
            pipe.hget(f"user:{i % 100}", f"f{i}")
        for i in range(100):
            pipe.hincrby(f"user:{i}", "n", 1)
        replies = await pipe.execute()
        assert len(replies) == 6100
        assert replies[:3000] == [2] * 100 + [1] * 2900
        assert replies[3000:6000] == ["x" * (i % 50) for i in range(3000)]
        assert replies[6000:] == [2901 + i for i in range(100)]
        # An error in the middle is one reply; what is around it is not harmed.
        pipe = r.pipeline(transaction=False)
        pipe.hset("p", "text", "abc")
        pipe.hincrby("p", "text", 1)
        pipe.execute_command("NOSUCH", "x")
        pipe.hget("p", "text")
        replies = await pipe.execute(raise_on_error=False)
        assert replies[0] == 1 and replies[3] == "abc"
        assert isinstance(replies[1], redis.ResponseError) and "hash value is not an integer" in str(replies[1])
        assert isinstance(replies[2], redis.ResponseError) and "unknown command 'NOSUCH'" in str(replies[2])

    program(body)


def test_reconnects(program):
    async def body(connect):
        r = connect()
        await r.hset("k", "f", "v")
        first = await r.client_id()
        # QUIT closes from the server's side: the next command finds the pooled connection dead and opens another.
        assert await r.execute_command("QUIT") in (True, "OK")
        assert await r.hget("k", "f") == "v"
        assert await r.client_id() > first

    program(body)


def test_iterators(program):
    async def body(connect):
        r = connect()
        big = {f"field:{i:05}": str(i) for i in range(5000)}
        await r.hset("big", mapping=big)
        assert dict(await collect(r.hscan_iter("big", count=100))) == big
        wanted = {name: value for name, value in big.items() if name.endswith("77")}
        assert dict(await collect(r.hscan_iter("big", match="*77"))) == wanted
        assert set(await collect(r.hscan_iter("big", no_values=True, count=500))) == set(big)
        small = {"one": "1", "two": "2"}
        await r.hset("small", mapping=small)
        assert await r.hscan("small") == (0, small)
        assert await r.hscan("missing") == (0, {})
        pipe = r.pipeline(transaction=False)
        for i in range(2500):
            pipe.hset(f"{'user' if i % 5 else 'cart'}:{i}", "n", i)
        await pipe.execute()
        every = await collect(r.scan_iter())
        assert len(set(every)) == 2502 == await r.dbsize()
        carts = await collect(r.scan_iter(match="cart:*", count=200))
        assert set(carts) == {f"cart:{i}" for i in range(0, 2500, 5)}
        assert set(await collect(r.scan_iter(match="user:1?", _type="HASH"))) == {f"user:{i}" for i in range(11, 20) if i % 5}
        assert await collect(r.scan_iter(_type="string")) == []
        assert set(await r.keys("user:12")) == {"user:12"}
        assert (await r.randomkey()) in every

    program(body)


def test_random_fields(program):
    async def body(connect):
        r = connect()
        data = {f"f{i}": str(i) for i in range(20)}
        await r.hset("h", mapping=data)
        assert await r.hrandfield("h") in data
        assert await r.hrandfield("missing") is None
        assert await r.hrandfield("missing", 3) == []
        assert set(await r.hrandfield("h", 50)) == set(data)
        assert len(await r.hrandfield("h", -50)) == 50
        pairs = await r.hrandfield("h", 20, withvalues=True)
        flat = [part for pair in pairs for part in pair] if isinstance(pairs[0], list) else pairs
        assert dict(zip(flat[::2], flat[1::2])) == data

    program(body)


def test_binary(program):
    async def body(connect):
        r = connect(decode_responses=False)
        key = b"k\x00\r\n\xff"
        values = {bytes([i]): bytes(reversed(range(i + 1))) for i in range(256)}
        values[b""] = b""
        values[b"\r\n$5\r\n"] = b"*1\r\n" * 100
        values[b"large"] = os.urandom(300_000)
        await r.hset(key, mapping=values)
        assert await r.hgetall(key) == values
        assert await r.hstrlen(key, b"large") == 300_000
        assert await r.hget(key, b"") == b""
        await r.hpexpire(key, 100_000, b"\x00", b"\r\n$5\r\n")
        assert await r.hgetall(key) == values
        assert dict(await collect(r.hscan_iter(key))) == values
        assert await r.keys(b"k*") == [key]

    program(body)


def test_unicode(program):
    async def body(connect):
        r = connect()
        data = {"имя": "Алёна", "名前": "花子", "emoji": "👩‍💻🚀", "é": "e\u0301", "rtl": "שלום"}
        await r.hset("профиль:①", mapping=data)
        assert await r.hgetall("профиль:①") == data
        assert await r.hstrlen("профиль:①", "имя") == len("Алёна".encode())
        assert await collect(r.scan_iter(match="профиль:*")) == ["профиль:①"]

    program(body)


def test_errors(program):
    async def body(connect):
        r = connect()
        cases = [
            (("FOO", "a", "b"), "unknown command 'FOO', with args beginning with: 'a' 'b' "),
            (("HGET", "k"), "wrong number of arguments for 'hget' command"),
            (("HSET", "k", "f"), "wrong number of arguments for 'hset' command"),
            (("hset", "k", "f", "v", "g"), "wrong number of arguments for 'hset' command"),
            (("CLIENT SETNAME",), "wrong number of arguments for 'client|setname' command"),
            (("CLIENT NOSUCH",), "unknown subcommand 'NOSUCH'. Try CLIENT HELP."),
            (("HINCRBY", "k", "f", "x"), "value is not an integer or out of range"),
            (("HINCRBYFLOAT", "k", "f", "x"), "value is not a valid float"),
            (("HSCAN", "k", "x"), "invalid cursor"),
            (("SCAN", "0", "COUNT", "0"), "syntax error"),
            (("EXPIRE", "k", "x"), "value is not an integer or out of range"),
            (("SELECT", "x"), "value is not an integer or out of range"),
            (("READONLY",), "This instance has cluster support disabled"),
        ]
        for command, text in cases:
            with pytest.raises(redis.ResponseError) as caught:
                await r.execute_command(*command)
            assert str(caught.value) == text, command
        if connect.protocol == 2:
            with pytest.raises(redis.AuthenticationError, match="without any password configured"):
                await connect(password="wrong").ping()
        else:
            # HELLO 3 AUTH default anything: the default user has no password and takes any.
            assert await connect(password="any").ping() is True
        assert await r.ping() is True
        assert await r.exists("k") == 0

    program(body)


def test_info(program):
    async def body(connect):
        r = connect()
        await r.hset("a", "f", "v")
        await r.hset("b", "f", "v")
        await r.expire("b", 1000)
        info = await r.info()
        assert re.fullmatch(r"\d+\.\d+\.\d+", info["redis_version"])
        assert (info["redis_mode"], info["role"], info["loading"]) == ("standalone", "master", 0)
        assert re.fullmatch(r"[0-9a-f]{40}", info["run_id"])
        assert info["tcp_port"] == PORT
        assert info["connected_clients"] >= 1
        assert info["used_memory"] > 0
        assert info["db0"]["keys"] == 2 and info["db0"]["expires"] == 1
        assert info["uptime_in_seconds"] >= 0
        assert info["total_commands_processed"] > 0
        assert set(await r.info("keyspace")) == {"db0"}
        assert await r.info("nosuchsection") == {}
        both = await r.info("server", "clients")
        assert "run_id" in both and "connected_clients" in both and "db0" not in both

    program(body)


def lines_of_info():
    """The lines of INFO everything that hold something, as they come."""
    with socket.create_connection((HOST, PORT), timeout=20) as connection, connection.makefile("rb") as replies:
        connection.sendall(b"INFO everything\r\n")
        text = replies.read(int(replies.readline().removeprefix(b"$"))).decode()
    assert text.count("\n") == text.count("\r\n")
    return [line for line in text.split("\r\n") if line]


# What is no number and no list of numbers.
TEXTS = {
    "redis_version", "hashd_version", "redis_mode", "os", "multiplexing_api", "run_id", "process_supervised", "executable",
    "config_file", "maxmemory_policy", "mem_allocator", "role", "master_failover_state", "master_replid",
}


def is_text(name):
    # Of the shares only this one has no % behind it.
    return name in TEXTS or name.endswith(("_human", "_perc", "_status")) and name != "current_fork_perc"


def test_every_line_of_info(program):
    async def body(connect):
        r = connect()
        await r.hset("a", "f", "v")
        await r.hset("b", "f", "v")
        await r.hget("a", "f")
        with pytest.raises(redis.ResponseError):
            await r.execute_command("HGET", "a")
        info = await r.info("everything")
        assert "__raw__" not in info
        for name, value in info.items():
            if name.startswith("listener"):
                assert value["name"] in ("tcp", "tls", "unix", "http"), (name, value)
            elif isinstance(value, dict):
                numbers = [number for number in value.values() if isinstance(number, (int, float))]
                assert value and len(numbers) == len(value), (name, value)
            else:
                assert isinstance(value, str if is_text(name) else (int, float)), (name, value)
        assert info["cmdstat_hset"]["calls"] >= 2 and info["cmdstat_hset"]["usec_per_call"] > 0
        assert info["cmdstat_hget"]["rejected_calls"] >= 1
        assert info["latency_percentiles_usec_hset"]["p50"] > 0
        assert info["errorstat_ERR"]["count"] >= 1
        assert info["db0"]["keys"] == 2
        lines = lines_of_info()
        names = [line.split(":", 1)[0] for line in lines if not line.startswith("# ")]
        assert len(set(names)) == len(names) and set(info) <= set(names)
        for section in (line[2:].lower() for line in lines if line.startswith("# ")):
            assert set(await r.info(section)) <= set(names), section

    program(body)


def test_commands_and_config(program):
    async def body(connect):
        r = connect()
        commands = await r.command()
        assert len(commands) == await r.command_count()
        # redis-py keys COMMAND's reply by name, in either case of its own parsers.
        table = {name.lower(): spec for name, spec in commands.items()}
        assert table["hset"]["arity"] == -4
        assert table["hget"]["arity"] == 3
        assert {"readonly", "fast"} <= set(table["hget"]["flags"])
        assert {"write", "denyoom", "fast"} <= set(table["hset"]["flags"])
        assert (table["hget"]["first_key_pos"], table["hget"]["last_key_pos"], table["hget"]["step_count"]) == (1, 1, 1)
        assert "hgetall" in await r.command_list()
        assert await r.command_getkeys("HSET", "key", "f", "v") == ["key"]
        assert await r.config_get("databases") == {"databases": "16"}
        listpack = await r.config_get("hash-max-listpack-*")
        assert listpack == {"hash-max-listpack-entries": "512", "hash-max-listpack-value": "64"}
        assert await r.config_get("nosuchparameter") == {}
        assert await r.config_set("hash-max-listpack-entries", 100) is True
        try:
            assert await r.config_get("hash-max-listpack-entries") == {"hash-max-listpack-entries": "100"}
        finally:
            await r.config_set("hash-max-listpack-entries", 512)
        with pytest.raises(redis.ResponseError):
            await r.config_set("nosuchparameter", "1")
        assert await r.config_resetstat() is True
        seconds, microseconds = await r.time()
        assert seconds > 1_700_000_000 and 0 <= microseconds < 1_000_000

    program(body)


def test_objects(program):
    async def body(connect):
        r = connect()
        await r.hset("small", mapping={"a": 1})
        await r.hset("large", mapping={f"f{i}": i for i in range(600)})
        assert await r.object("encoding", "small") == "listpack"
        assert await r.object("encoding", "large") == "hashtable"
        assert 0 < await r.memory_usage("small") < await r.memory_usage("large")
        assert await r.memory_usage("missing") is None
        assert await r.touch("small", "large", "missing") == 2
        assert await r.copy("small", "copy") is True
        assert await r.hgetall("copy") == {"a": "1"}
        assert await r.unlink("small", "large") == 2

    program(body)


def test_himport(program):
    async def body(connect):
        r = connect()
        await needs_himport(r)
        assert await r.himport_prepare("account", ["name", "email", "age"]) in (True, "OK")
        for i in range(50):
            assert await r.himport_set(f"account:{i}", "account", [f"n{i}", f"{i}@example.com", i]) in (True, "OK")
        assert await r.hgetall("account:7") == {"name": "n7", "email": "7@example.com", "age": "7"}
        # It replaces the whole hash and its expiry.
        await r.hset("account:7", "extra", "x")
        await r.expire("account:7", 100)
        await r.himport_set("account:7", "account", ["new", "e", 1])
        assert await r.hgetall("account:7") == {"name": "new", "email": "e", "age": "1"}
        assert await r.ttl("account:7") == -1
        # RESET or a new connection forgets the fieldset; the client prepares it again by itself.
        assert await r.execute_command("QUIT") in (True, "OK")
        await r.himport_set("account:8", "account", ["again", "e", 2])
        assert await r.hget("account:8", "name") == "again"
        with pytest.raises(redis.ResponseError, match="value count does not match fieldset field count"):
            await r.himport_set("account:9", "account", ["only one"])
        pipe = r.pipeline(transaction=False)
        for i in range(100):
            pipe.himport_set(f"bulk:{i}", "account", ["b", "e", i])
        assert all(reply in (True, "OK") for reply in await pipe.execute())
        assert await r.hget("bulk:99", "age") == "99"
        assert await r.himport_discard("account") == 1
        with pytest.raises(redis.ResponseError, match="no such fieldset"):
            await r.himport_set("account:1", "account", ["a", "b", "c"])
        assert await r.himport_discard_all() == 0

    program(body)
