"""Subscriptions, channels and patterns, sync and asyncio; keyspace events; what is left after a lost connection."""

import asyncio
import contextlib
import threading
import time

import pytest
import redis
from conftest import HOST, PORT


async def messages(pubsub, count, kinds=("message", "pmessage")):
    """The next messages, confirmations left out."""
    found = []
    give_up = time.monotonic() + 5
    while len(found) < count:
        assert time.monotonic() < give_up, f"{count} messages wanted, these came: {found}"
        message = await pubsub.get_message(timeout=0.2)
        if message and message["type"] in kinds:
            found.append(message)
    return found


@contextlib.asynccontextmanager
async def events(client, flags):
    await client.config_set("notify-keyspace-events", flags)
    try:
        yield
    finally:
        await client.config_set("notify-keyspace-events", "")


def test_channels(program):
    async def body(connect):
        r, publisher = connect(), connect()
        pubsub = r.pubsub()
        await pubsub.subscribe("news", "weather")
        confirmed = await messages(pubsub, 2, ("subscribe",))
        assert [(m["channel"], m["data"]) for m in confirmed] == [("news", 1), ("weather", 2)]
        assert await publisher.publish("news", "one") == 1
        assert await publisher.publish("nobody", "two") == 0
        assert await publisher.publish("weather", "über") == 1
        one, two = await messages(pubsub, 2)
        assert one == {"type": "message", "pattern": None, "channel": "news", "data": "one"}
        assert (two["channel"], two["data"]) == ("weather", "über")
        assert sorted(await publisher.pubsub_channels()) == ["news", "weather"]
        assert await publisher.pubsub_channels("n*") == ["news"]
        numbers = await publisher.pubsub_numsub("news", "nobody")
        assert [tuple(pair) for pair in numbers] == [("news", 1), ("nobody", 0)]
        await pubsub.unsubscribe("news")
        (left,) = await messages(pubsub, 1, ("unsubscribe",))
        assert (left["channel"], left["data"]) == ("news", 1)
        assert await publisher.publish("news", "three") == 0
        await pubsub.unsubscribe()
        await messages(pubsub, 1, ("unsubscribe",))
        assert await publisher.pubsub_channels() == []
        await pubsub.aclose()

    program(body)


def test_patterns(program):
    async def body(connect):
        r, publisher = connect(), connect()
        pubsub = r.pubsub()
        await pubsub.psubscribe("user:*", "user:[12]")
        await pubsub.subscribe("user:1")
        await messages(pubsub, 3, ("subscribe", "psubscribe"))
        assert await publisher.pubsub_numpat() == 2
        assert await publisher.publish("user:1", "in") == 3
        assert await publisher.publish("user:3", "out") == 1
        found = await messages(pubsub, 4)
        # The channel's own subscribers come first.
        assert (found[0]["type"], found[0]["channel"]) == ("message", "user:1")
        assert sorted(m["pattern"] for m in found[1:3]) == ["user:*", "user:[12]"]
        assert (found[3]["pattern"], found[3]["channel"], found[3]["data"]) == ("user:*", "user:3", "out")
        await pubsub.punsubscribe("user:*")
        await messages(pubsub, 1, ("punsubscribe",))
        assert await publisher.publish("user:3", "gone") == 0
        await pubsub.aclose()

    program(body)


def test_handlers_order_and_bytes(program):
    async def body(connect):
        r, publisher = connect(decode_responses=False), connect(decode_responses=False)
        pubsub = r.pubsub()
        seen = []
        await pubsub.subscribe(**{"stream": lambda message: seen.append(message["data"])})
        await messages(pubsub, 1, ("subscribe",))
        wanted = [str(i).encode() for i in range(500)] + [bytes(range(256))]
        pipe = publisher.pipeline(transaction=False)
        for data in wanted:
            pipe.publish("stream", data)
        assert await pipe.execute() == [1] * 501
        give_up = time.monotonic() + 5
        while len(seen) < 501 and time.monotonic() < give_up:
            await pubsub.get_message(timeout=0.2)
        assert seen == wanted
        await pubsub.aclose()

    program(body)


def test_publish_in_a_transaction(program):
    async def body(connect):
        r, publisher = connect(), connect()
        pubsub = r.pubsub()
        await pubsub.subscribe("changes")
        await messages(pubsub, 1, ("subscribe",))
        pipe = publisher.pipeline()
        pipe.hset("h", "f", 1)
        pipe.publish("changes", "h")
        pipe.hset("h", "f", 2)
        assert await pipe.execute() == [1, 1, 0]
        (message,) = await messages(pubsub, 1)
        # All of the transaction had happened before anybody could act on the message.
        assert message["data"] == "h" and await r.hget("h", "f") == "2"
        await pubsub.aclose()

    program(body)


def test_subscribes_again(program):
    """A subscriber whose connection is lost comes back with its channels and patterns."""

    async def body(connect):
        r, other = connect(client_name="listener"), connect()
        pubsub = r.pubsub()
        await pubsub.subscribe("news")
        await pubsub.psubscribe("wea*")
        await messages(pubsub, 2, ("subscribe", "psubscribe"))
        assert await other.client_kill_filter(_type="pubsub") == 1
        await messages(pubsub, 2, ("subscribe", "psubscribe"))
        assert await other.publish("news", "back") == 1
        assert await other.publish("weather", "sun") == 1
        assert [m["data"] for m in await messages(pubsub, 2)] == ["back", "sun"]
        await pubsub.aclose()

    program(body)


def test_keyspace_events(program):
    async def body(connect):
        r, listener = connect(db=2), connect()
        pubsub = listener.pubsub()
        await pubsub.psubscribe("__key*@2__:*")
        await messages(pubsub, 1, ("psubscribe",))
        async with events(r, "KEA"):
            await r.hset("h", mapping={"f": 1, "g": 2})
            await r.hpexpire("h", 10, "g")
            found = await messages(pubsub, 6)
            await r.pexpire("h", 10)
            found += await messages(pubsub, 4)
            await r.hset("k", "f", 1)
            await r.delete("k")
            found += await messages(pubsub, 4)
        lines = [f'{m["channel"].removeprefix("__key")} {m["data"]}' for m in found]
        wanted = [("h", "hset"), ("h", "hexpire"), ("h", "hexpired"), ("h", "expire"), ("h", "expired"),
                  ("k", "hset"), ("k", "del")]
        assert lines == [line for key, event in wanted for line in (f"space@2__:{key} {event}", f"event@2__:{event} {key}")]
        await pubsub.aclose()

    program(body)


def test_only_the_events_asked_for(program):
    async def body(connect):
        r, listener = connect(), connect()
        pubsub = listener.pubsub()
        await pubsub.subscribe("__keyevent@0__:expired", "__keyevent@0__:hset", "__keyevent@0__:hdel", "end")
        await messages(pubsub, 4, ("subscribe",))
        async with events(r, "Ex"):
            assert (await r.config_get("notify-keyspace-events"))["notify-keyspace-events"] == "xE"
            await r.hset("h", "f", 1)
            await r.pexpire("h", 10)
            (message,) = await messages(pubsub, 1)
            assert (message["channel"], message["data"]) == ("__keyevent@0__:expired", "h")
        await r.hset("h", "f", 1)
        await r.publish("end", "of it")
        assert [m["channel"] for m in await messages(pubsub, 1)] == ["end"]
        with pytest.raises(redis.ResponseError):
            await r.config_set("notify-keyspace-events", "Q?")
        await pubsub.aclose()

    program(body)


def test_blocking_listener_in_a_thread():
    """`run_in_thread`, while other threads publish."""
    r = redis.Redis(HOST, PORT, decode_responses=True)
    seen, complete = [], threading.Event()

    def heard(message):
        seen.append(message["data"])
        if len(seen) == 400:
            complete.set()

    pubsub = r.pubsub()
    pubsub.subscribe(**{"work": heard})
    listener = pubsub.run_in_thread(sleep_time=0.05)

    def publish(worker):
        for i in range(100):
            r.publish("work", f"{worker}:{i}")

    give_up = time.monotonic() + 5
    while dict(r.pubsub_numsub("work"))["work"] == 0:
        assert time.monotonic() < give_up
    workers = [threading.Thread(target=publish, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    assert complete.wait(5)
    listener.stop()
    listener.join(5)
    # The messages of one publisher stay in order.
    for n in range(4):
        assert [text for text in seen if text.startswith(f"{n}:")] == [f"{n}:{i}" for i in range(100)]
    r.close()


def test_many_subscribers(program):
    async def body(connect):
        publisher = connect()
        subscribers = [connect().pubsub() for _ in range(20)]
        for number, pubsub in enumerate(subscribers):
            await pubsub.subscribe("all", f"only:{number}")
            await messages(pubsub, 2, ("subscribe",))
        assert await publisher.publish("all", "everybody") == 20
        assert await publisher.publish("only:7", "you") == 1
        for number, pubsub in enumerate(subscribers):
            found = [m["data"] for m in await messages(pubsub, 2 if number == 7 else 1)]
            assert found == (["everybody", "you"] if number == 7 else ["everybody"])
            await pubsub.aclose()
        give_up = time.monotonic() + 5
        while await publisher.pubsub_channels():
            assert time.monotonic() < give_up, "subscriptions are left over"
            await asyncio.sleep(0.01)

    program(body)
