"""Users: passwords, permissions, redis-py's ACL methods, and what happens to clients whose rules change."""

import contextlib

import pytest
import redis
import redis.asyncio.retry
import redis.retry
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError


@contextlib.asynccontextmanager
async def users(admin, *names):
    """Deletes the users at the end: other programs share the server."""
    try:
        yield
    finally:
        await admin.acl_deluser(*names)


def once(connect):
    """What makes a client try once: left to itself it takes seconds to believe that its password is wrong."""
    retry = redis.retry.Retry if connect.kind == "sync" else redis.asyncio.retry.Retry
    return retry(NoBackoff(), 0)


def test_a_user_may_do_what_its_rules_say(program):
    async def body(connect):
        admin = connect()
        async with users(admin, "carts"):
            created = await admin.acl_setuser(
                "carts", enabled=True, passwords=["+s3cret"], keys=["cart:*"], categories=["+@hash"], commands=["+ping", "-hdel"]
            )
            assert created is True
            r = connect(username="carts", password="s3cret")
            assert await r.hset("cart:1", mapping={"apple": 2}) == 1
            assert await r.hgetall("cart:1") == {"apple": "2"}
            with pytest.raises(NoPermissionError, match="No permissions to access a key"):
                await r.hget("user:1", "name")
            with pytest.raises(NoPermissionError, match="User carts has no permissions to run the 'hdel' command"):
                await r.hdel("cart:1", "apple")
            pipe = r.pipeline(transaction=False)
            pipe.hget("cart:1", "apple")
            pipe.hget("user:1", "name")
            value, refused = await pipe.execute(raise_on_error=False)
            assert value == "2" and isinstance(refused, NoPermissionError)
            for wrong in ({"password": "wrong"}, {"password": ""}, {"username": "nobody"}):
                with pytest.raises(redis.AuthenticationError):
                    await connect(**{"username": "carts", "password": "s3cret", "retry": once(connect), **wrong}).ping()

    program(body)


def test_methods(program):
    async def body(connect):
        r = connect()
        async with users(r, "u"):
            assert await r.acl_whoami() == "default"
            assert {"hash", "string", "dangerous"} <= set(await r.acl_cat())
            assert {"hget", "hset"} <= set(await r.acl_cat("hash"))
            assert len(await r.acl_genpass()) == 64
            await r.acl_setuser("u", enabled=True, nopass=True, keys=["a:*"], channels=["news:*"], commands=["+hget", "+config|get"])
            user = await r.acl_getuser("u")
            assert set(user["flags"]) >= {"on", "nopass"}
            assert "+hget" in user["commands"] and "+config|get" in user["commands"]
            assert user["keys"] in ("~a:*", ["~a:*"]) and user["channels"] in ("&news:*", ["&news:*"])
            assert await r.acl_getuser("nobody") is None
            assert "u" in await r.acl_users()
            assert any(line.startswith("user u on nopass ") for line in await r.acl_list())
            assert await r.acl_dryrun("u", "hget", "a:1", "f") == "OK"
            assert "no permissions to access the 'b' key" in await r.acl_dryrun("u", "hget", "b", "f")
            await r.acl_log_reset()
            with pytest.raises(NoPermissionError):
                await connect(username="u", password="any").hget("b", "f")
            entry = (await r.acl_log())[0]
            assert (entry["reason"], entry["object"], entry["username"]) == ("key", "b", "u")
            info = entry["client-info"]
            assert "user=u " in info if isinstance(info, str) else info["user"] == "u"
            assert float(entry["age-seconds"]) < 5
            assert await r.acl_deluser("u", "nobody") == 1

    program(body)


def test_rights_that_are_taken(program):
    async def body(connect):
        admin = connect()
        async with users(admin, "u"):
            await admin.acl_setuser("u", enabled=True, passwords=["+one"], keys=["*"], channels=["*"], categories=["+@all"])
            r = connect(username="u", password="one")
            listener = r.pubsub()
            await listener.subscribe("news")
            assert (await listener.get_message(timeout=5))["type"] == "subscribe"
            await r.hset("h", "f", "v")
            await admin.execute_command("ACL", "SETUSER", "u", "-hset", "resetchannels")
            with pytest.raises(NoPermissionError):
                await r.hset("h", "f", "w")
            assert await r.hget("h", "f") == "v"
            # The subscription is over.
            assert await admin.pubsub_numsub("news") == [("news", 0)]
            await admin.acl_deluser("u")
            assert "u" not in {client["user"] for client in await admin.client_list()}
            with pytest.raises(redis.AuthenticationError):
                await connect(username="u", password="one", retry=once(connect)).ping()

    program(body)
