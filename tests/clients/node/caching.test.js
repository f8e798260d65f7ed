'use strict';
// Client-side caching and MONITOR: node-redis's cache in RESP3 with invalidation by other clients, ioredis's monitor.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { BasicClientSideCache, BasicPooledClientSideCache, createClientPool } = require('redis');
const { withIoredis, withNodeRedis, until } = require('./clients');

withNodeRedis((connect) => {
  const cached = async (options = {}) => {
    const cache = new BasicClientSideCache({ maxEntries: 100, evictPolicy: 'LRU', ...options });
    return [await connect({ clientSideCache: cache }), cache];
  };

  test('a cached read is made once', async () => {
    const [[client, cache], other] = [await cached(), await connect()];
    await other.hSet('h', { f: 1, g: 2 });
    for (let i = 0; i < 5; i++) {
      assert.equal(await client.hGet('h', 'f'), '1');
      assert.deepEqual({ ...(await client.hGetAll('h')) }, { f: '1', g: '2' });
    }
    assert.equal(cache.stats().missCount, 2);
    assert.equal(cache.stats().hitCount, 8);
    assert.equal(cache.size(), 2);
  });

  test('writes of others invalidate', async () => {
    const [[client, cache], other] = [await cached(), await connect()];
    await other.hSet('h', { f: 0 });
    const invalidated = [];
    cache.on('invalidate', (key) => invalidated.push(key === null ? null : String(key)));
    const writes = [
      () => other.hSet('h', 'f', 1), () => other.hIncrBy('h', 'f', 1), () => other.hDel('h', 'f'),
      () => other.hSet('h', 'f', 'again'), () => other.expire('h', 1000), () => other.del('h'),
      () => other.multi().hSet('h', 'f', 'a').hSet('h', 'f', 'b').exec(), () => other.rename('h', 'i'),
    ];
    for (const [round, write] of writes.entries()) {
      const before = await client.hGet('h', 'f');
      assert.equal(await client.hGet('h', 'f'), before);
      await write();
      await until('the message', () => invalidated.length > round);
      assert.equal(await client.hGet('h', 'f'), await other.hGet('h', 'f'));
    }
    assert.deepEqual(new Set(invalidated), new Set(['h']));
    await other.flushAll();
    await until('the flush', () => invalidated.includes(null));
    assert.equal(cache.size(), 0);
  });

  test('expiry invalidates', async () => {
    const [[client], other] = [await cached(), await connect()];
    await other.hSet('h', { f: 1, g: 2 });
    assert.equal(await client.hGet('h', 'f'), '1');
    await other.hpExpire('h', 'f', 20);
    await until('the field is gone', async () => await client.hGet('h', 'f') === null);
    assert.equal(await client.hGet('h', 'g'), '2');
    await other.pExpire('h', 20);
    await until('the key is gone', async () => await client.hGet('h', 'g') === null);
  });

  test('a lost connection empties the cache', async () => {
    const [[client, cache], other] = [await cached(), await connect()];
    await other.hSet('h', 'f', 1);
    assert.equal(await client.hGet('h', 'f'), '1');
    assert.equal(cache.size(), 1);
    const ready = new Promise((resolve) => client.once('ready', resolve));
    const id = await client.clientId();
    await other.sendCommand(['CLIENT', 'KILL', 'ID', String(id)]);
    await ready;
    assert.equal(cache.size(), 0);
    assert.equal(await client.hGet('h', 'f'), '1');
    await other.hSet('h', 'f', 2);
    await until('it is tracked again', async () => await client.hGet('h', 'f') === '2');
  });

  test('a pool shares one cache', async () => {
    const other = await connect();
    await other.hSet('h', 'f', 1);
    const { host, port } = other.options.socket;
    const cache = new BasicPooledClientSideCache({ maxEntries: 100 });
    const pool = createClientPool({ socket: { host, port }, RESP: 3 }, { clientSideCache: cache, minimum: 3 });
    pool.on('error', () => {});
    await pool.connect();
    try {
      const replies = await Promise.all(Array.from({ length: 20 }, () => pool.hGet('h', 'f')));
      assert.ok(replies.every((reply) => reply === '1'));
      await other.hSet('h', 'f', 2);
      await until('the new value', async () => await pool.hGet('h', 'f') === '2');
    } finally {
      pool.destroy();
    }
  });
}, [3]);

withIoredis((connect) => {
  test('monitor', async () => {
    const redis = connect({ db: 3 });
    await redis.ping();
    const monitor = await redis.monitor();
    const seen = [];
    monitor.on('monitor', (time, words, source, database) => seen.push({ time, words, source, database }));
    try {
      await redis.hset('h', 'f "quoted"', 'v');
      await redis.multi().hget('h', 'f').exec();
      await until('all commands', () => seen.some(({ words }) => words[0].toLowerCase() === 'exec'));
      const commands = seen.map(({ words }) => [words[0].toLowerCase(), ...words.slice(1)]);
      assert.deepEqual(commands.slice(-4), [['hset', 'h', 'f "quoted"', 'v'], ['multi'], ['hget', 'h', 'f'], ['exec']]);
      for (const { time, source, database } of seen.slice(-4)) {
        assert.match(time, /^\d+\.\d{6}$/);
        assert.match(source, /^[\d.]+:\d+$/);
        assert.equal(database, '3');
      }
    } finally {
      monitor.disconnect();
    }
  });
});
