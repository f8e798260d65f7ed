"""TLS: the same programs with `ssl=True`; tests/clients/run has made the certificate, with the openssl program."""

import os

import pytest
import redis


@pytest.fixture
def tls():
    port = os.environ.get("TLS_TEST_PORT")
    if port is None:
        assert os.environ.get("CI") != "true", "the openssl program is missing"
        pytest.skip("the openssl program is missing")
    return {"port": int(port), "ssl": True, "ssl_ca_certs": os.environ["TLS_TEST_CERTIFICATE"]}


def test_programs_over_tls(program, tls):
    async def body(connect):
        secure, plain = connect(**tls), connect()
        assert await secure.ping() is True
        assert await secure.hset("user:1", mapping={"name": "Ada", "visits": 1}) == 2
        assert await plain.hincrby("user:1", "visits", 1) == 2
        assert await secure.hgetall("user:1") == {"name": "Ada", "visits": "2"}
        pipe = secure.pipeline(transaction=False)
        for i in range(1000):
            pipe.hset("big", f"f{i}", "v" * 1000)
        assert sum(await pipe.execute()) == 1000
        assert len(await secure.hgetall("big")) == 1000

    program(body)


def test_certificates_are_checked(program, tls):
    async def body(connect):
        stranger = connect(port=tls["port"], ssl=True)
        with pytest.raises((redis.ConnectionError, OSError)):
            await stranger.ping()
        # Plain text is not served there.
        plain = connect(port=tls["port"], socket_timeout=5)
        with pytest.raises((redis.ConnectionError, redis.TimeoutError, redis.RedisError)):
            await plain.ping()
        assert await connect(**tls).ping() is True

    program(body)
