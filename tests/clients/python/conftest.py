"""Every program in this folder runs four times: redis-py's sync and asyncio clients, each in RESP2 and RESP3.

The server is whatever listens on HASHD_PORT (and HASHD_HOST); tests/clients/run starts one. Its data is flushed before
each test. A program is written once, as a coroutine: the sync client is wrapped so that its results can be awaited.
"""

import asyncio
import os

import pytest
import redis
import redis.asyncio

HOST = os.environ.get("HASHD_HOST", "127.0.0.1")
PORT = int(os.environ["HASHD_PORT"])
FLAVOURS = [(kind, protocol) for kind in ("sync", "asyncio") for protocol in (2, 3)]


class Awaitable:
    """The sync client with the asyncio client's shape: calls are awaited, iterators are asynchronous."""

    def __init__(self, target):
        self._target = target

    def __getattr__(self, name):
        attribute = getattr(self._target, name)
        if not callable(attribute):
            return attribute
        if name in ("hscan_iter", "scan_iter"):
            return lambda *args, **kwargs: self._iterate(attribute(*args, **kwargs))
        if name == "pipeline":
            return lambda *args, **kwargs: AwaitablePipeline(attribute(*args, **kwargs))
        if name == "pubsub":
            return lambda **kwargs: Awaitable(attribute(**kwargs))
        if name == "monitor":
            return lambda: AwaitableMonitor(attribute())

        async def call(*args, **kwargs):
            return attribute(*args, **kwargs)

        return call

    async def _iterate(self, iterator):
        for item in iterator:
            yield item

    async def aclose(self):
        self._target.close()


class AwaitablePipeline:
    """A sync pipeline: commands are buffered as they are; what is sent at once (WATCH, what follows it, `execute`) is awaited."""

    def __init__(self, target):
        self._target = target

    def __len__(self):
        return len(self._target)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self._target.reset()

    def __getattr__(self, name):
        attribute = getattr(self._target, name)
        if not callable(attribute) or name == "multi":
            return attribute

        async def done(result):
            return result

        def call(*args, **kwargs):
            result = attribute(*args, **kwargs)
            return self if result is self._target else done(result)

        return call


class AwaitableMonitor:
    """A sync monitor in the shape of the asyncio one."""

    def __init__(self, target):
        self._target = target

    async def __aenter__(self):
        self._target.__enter__()
        return self

    async def __aexit__(self, *_):
        self._target.__exit__(None, None, None)

    async def next_command(self):
        return self._target.next_command()


@pytest.fixture(autouse=True)
def clean():
    client = redis.Redis(HOST, PORT)
    client.flushall()
    client.close()


@pytest.fixture(params=FLAVOURS, ids=lambda flavour: f"{flavour[0]}-resp{flavour[1]}")
def program(request):
    """Runs a coroutine function with a function that opens clients of the flavour under test."""
    kind, protocol = request.param

    def run(body):
        async def main():
            clients = []

            def connect(**options):
                options = {"port": PORT, "decode_responses": True, "protocol": protocol} | options
                if kind == "sync":
                    client = Awaitable(redis.Redis(HOST, **options))
                else:
                    client = redis.asyncio.Redis(host=HOST, **options)
                clients.append(client)
                return client

            connect.kind = kind
            connect.protocol = protocol
            try:
                await body(connect)
            finally:
                for client in clients:
                    await client.aclose()

        asyncio.run(asyncio.wait_for(main(), 60))

    return run


def redis_version(info):
    return tuple(int(part) for part in info["redis_version"].split(".")[:2])


async def needs_himport(client):
    """A Redis older than 8.10 may stand in while these programs are written; hashd is never excused."""
    if os.environ.get("HASHD_STAND_IN") != "1" or redis_version(await client.info("server")) >= (8, 10):
        return
    try:
        await client.execute_command("HIMPORT", "DISCARDALL")
    except redis.ResponseError as error:
        if "unknown command" in str(error):
            pytest.skip("the stand-in is a Redis older than 8.10: no HIMPORT")
        raise
