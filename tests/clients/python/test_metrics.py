"""The metrics over HTTP, read by Prometheus's own parser, beside INFO."""

import os
import urllib.request

import pytest
import redis
from conftest import HOST, PORT
from prometheus_client.parser import text_string_to_metric_families

HTTP_PORT = os.environ.get("HASHD_HTTP_PORT")

pytestmark = pytest.mark.skipif(HTTP_PORT is None, reason="the stand-in serves no HTTP")


def scrape():
    with urllib.request.urlopen(f"http://{HOST}:{HTTP_PORT}/metrics", timeout=10) as answer:
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        return {family.name: family for family in text_string_to_metric_families(answer.read().decode())}


def value(families, name, **labels):
    (found,) = [sample for sample in families[name].samples if sample.labels == labels]
    return found.value


def test_prometheus_reads_them_and_they_agree_with_info():
    r = redis.Redis(HOST, PORT, decode_responses=True)
    r.hset("user:1", mapping={"name": "Alice", "visits": 1})
    r.expire("user:1", 1000)
    for _ in range(10):
        r.hget("user:1", "name")
    families, info = scrape(), r.info("all")
    for family in families.values():
        assert family.documentation and family.type != "unknown", family
        assert family.name.startswith(("redis_", "hashd_")), family
    assert value(families, "redis_up") == 1
    (instance,) = families["redis_instance_info"].samples
    for label in ("redis_version", "redis_mode", "os", "maxmemory_policy", "run_id", "role"):
        assert instance.labels[label] == info[label], label
    assert instance.labels["tcp_port"] == str(PORT)
    assert value(families, "redis_connected_clients") == info["connected_clients"]
    assert value(families, "redis_keyspace_hits") == info["keyspace_hits"]
    assert value(families, "redis_keyspace_misses") == info["keyspace_misses"]
    assert value(families, "redis_db_keys", db="db0") == info["db0"]["keys"] == 1
    assert value(families, "redis_db_keys_expiring", db="db0") == info["db0"]["expires"] == 1
    assert value(families, "redis_commands", cmd="hget") == info["cmdstat_hget"]["calls"] >= 10
    assert value(families, "redis_commands_duration_seconds", cmd="hget") > 0
    latency = [sample for sample in families["redis_latency_percentiles_usec"].samples if sample.labels["cmd"] == "hget"]
    assert {sample.labels.get("quantile") for sample in latency} == {"50", "99", "99.9", None}
    buckets = [
        (float(sample.labels["le"]), sample.value)
        for sample in families["redis_latency_usec"].samples
        if sample.name.endswith("_bucket") and sample.labels["cmd"] == "hget"
    ]
    assert buckets == sorted(buckets) and buckets[-1] == (float("inf"), info["cmdstat_hget"]["calls"])
    assert value(families, "redis_net_input_bytes") <= info["total_net_input_bytes"]
    assert abs(value(families, "redis_uptime_in_seconds") - info["uptime_in_seconds"]) <= 1
    before = value(families, "redis_commands_processed")
    r.ping()
    assert value(scrape(), "redis_commands_processed") > before
    r.close()
