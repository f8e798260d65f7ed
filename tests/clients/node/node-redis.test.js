'use strict';
// Every program runs with node-redis 6 in RESP2 and RESP3, against the server on HASHD_PORT.

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { test } = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');
const { RESP_TYPES } = require('redis');
const { withNodeRedis } = require('./clients.js');

const within = (value, low, high) => assert.ok(value >= low && value <= high, `${value} is not in ${low}..${high}`);

withNodeRedis((connect, RESP) => {
  test('user profile', async () => {
    const client = await connect();
    assert.equal(await client.hSet('user:1', { name: 'Ada', email: 'ada@example.com', age: 36 }), 3);
    assert.deepEqual({ ...(await client.hGetAll('user:1')) }, { name: 'Ada', email: 'ada@example.com', age: '36' });
    assert.deepEqual({ ...(await client.hGetAll('user:404')) }, {});
    assert.equal(await client.hGet('user:1', 'phone'), null);
    assert.equal(await client.hExists('user:1', 'age'), 1);
    assert.equal(await client.hSet('user:1', ['age', '37', 'phone', '555']), 1);
    assert.deepEqual(await client.hmGet('user:1', ['age', 'nothing']), ['37', null]);
    assert.deepEqual(await client.hKeys('user:1'), ['name', 'email', 'age', 'phone']);
    assert.deepEqual(await client.hVals('user:1'), ['Ada', 'ada@example.com', '37', '555']);
    assert.equal(await client.hStrLen('user:1', 'name'), 3);
    assert.equal(await client.hSetNX('user:1', 'name', 'Eve'), 0);
    assert.equal(await client.hDel('user:1', ['phone', 'nothing']), 1);
    assert.equal(await client.hLen('user:1'), 3);
    assert.equal(await client.del('user:1'), 1);
  });

  test('inventory with concurrent buyers', async () => {
    const client = await connect();
    await client.hSet('product', { stock: 60, sold: 0, price: '1299.99' });
    assert.equal(await client.hIncrByFloat('product', 'price', -99.99), '1200');
    const buyers = await Promise.all(Array.from({ length: 8 }, () => connect()));
    const sales = await Promise.all(Array.from({ length: 200 }, async (_, i) => {
      const buyer = buyers[i % buyers.length];
      if (await buyer.hIncrBy('product', 'stock', -1) < 0) {
        await buyer.hIncrBy('product', 'stock', 1);
        return false;
      }
      await buyer.hIncrBy('product', 'sold', 1);
      return true;
    }));
    assert.equal(sales.filter(Boolean).length, 60);
    assert.deepEqual({ ...(await client.hGetAll('product')) }, { stock: '0', sold: '60', price: '1200' });
  });

  test('leaderboard, settings, session and cart', async () => {
    const client = await connect();
    assert.equal(await client.hIncrBy('player', 'score', 25), 25);
    assert.equal(await client.hIncrBy('player', 'score', -10), 15);
    assert.equal(await client.hSetNX('config', 'theme', 'dark'), 1);
    assert.equal(await client.hSetNX('config', 'theme', 'light'), 0);
    const key = `session:${crypto.randomUUID()}`;
    await client.hSet(key, { user: 42 });
    assert.equal(await client.expire(key, 86400), 1);
    within(await client.ttl(key), 86399, 86400);
    assert.equal(await client.expire(key, 10, 'GT'), 0);
    assert.equal(await client.persist(key), 1);
    assert.equal(await client.ttl(key), -1);
    assert.equal(await client.del(key), 1);
    assert.equal(await client.ttl(key), -2);
    await client.hIncrBy('cart', 'sku:1', 2);
    await client.expire('cart', 7 * 86400);
    if (await client.hIncrBy('cart', 'sku:1', -2) === 0) await client.hDel('cart', 'sku:1');
    assert.equal(await client.exists('cart'), 0);
  });

  test('JSON cache, binary and unicode', async () => {
    const client = await connect();
    const document = { id: 7, title: 'Überschrift "№" \n', tags: [null, 1.5, true] };
    await client.hSet('cache', '7', JSON.stringify(document));
    assert.deepEqual(JSON.parse(await client.hGet('cache', '7')), document);
    const buffers = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    const bytes = Buffer.concat([Buffer.from(Array.from({ length: 256 }, (_, i) => i)), crypto.randomBytes(200_000)]);
    const field = Buffer.from([0, 13, 10, 255]);
    await client.hSet('bin', field, bytes);
    assert.deepEqual(await buffers.hGet('bin', field), bytes);
    await client.hSet('ключ', { 名前: '花子', '👩‍💻': '🚀' });
    assert.deepEqual({ ...(await client.hGetAll('ключ')) }, { 名前: '花子', '👩‍💻': '🚀' });
  });

  test('rate limits and field expiry', async () => {
    const client = await connect();
    assert.equal(await client.hIncrBy('limits', '/search', 1), 1);
    assert.deepEqual(await client.hExpire('limits', ['/search', '/no'], 60), [1, -2]);
    assert.deepEqual(await client.hExpire('limits', '/search', 10, 'GT'), [0]);
    within((await client.hTTL('limits', '/search'))[0], 59, 60);
    within((await client.hpTTL('limits', '/search'))[0], 59_000, 60_000);
    await client.hSet('limits', '/login', 1);
    assert.deepEqual(await client.hpExpire('limits', '/login', 30), [1]);
    await sleep(80);
    assert.equal(await client.hGet('limits', '/login'), null);
    assert.deepEqual(await client.hPersist('limits', '/search'), [1]);
    assert.equal(await client.hSetEx('limits', { token: 't' }, { expiration: { type: 'EX', value: 100 }, mode: 'FNX' }), 1);
    assert.equal(await client.hSetEx('limits', { token: 'u' }, { mode: 'FNX' }), 0);
    assert.deepEqual(await client.hGetEx('limits', ['token', 'no'], { expiration: { type: 'EX', value: 500 } }), ['t', null]);
    within((await client.hTTL('limits', 'token'))[0], 499, 500);
    assert.deepEqual(await client.hGetDel('limits', ['token', 'no']), ['t', null]);
    assert.equal(await client.hExists('limits', 'token'), 0);
    assert.deepEqual(await client.hTTL('missing', ['a', 'b']), [-2, -2]);
  });

  test('databases and handshake', async () => {
    const client = await connect({ database: 5, name: 'billing' });
    assert.equal(await client.clientGetName(), 'billing');
    const info = await client.clientInfo();
    assert.equal(info.db, 5);
    assert.equal(info.libName, 'node-redis');
    assert.equal(info.resp, RESP);
    await client.hSet('k', 'in', 'five');
    await client.select(0);
    assert.equal(await client.exists('k'), 0);
    assert.equal(await client.ping(), 'PONG');
    assert.equal(await client.echo('über'), 'über');
  });

  test('thousands of commands at once', async () => {
    const client = await connect();
    const replies = await Promise.all(Array.from({ length: 5000 }, (_, i) => client.hSet(`u:${i % 50}`, `f${i}`, i)));
    assert.ok(replies.every((reply) => reply === 1));
    const pipeline = client.multi();
    for (let i = 0; i < 1000; i++) pipeline.hGet(`u:${i % 50}`, `f${i}`);
    assert.deepEqual(await pipeline.execAsPipeline(), Array.from({ length: 1000 }, (_, i) => String(i)));
  });

  test('iterators and random fields', async () => {
    const client = await connect();
    const big = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`field:${i}`, String(i)]));
    await client.hSet('big', big);
    const seen = {};
    for await (const entries of client.hScanIterator('big', { COUNT: 100 })) {
      for (const { field, value } of entries) seen[field] = value;
    }
    assert.deepEqual(seen, big);
    const fields = new Set();
    for await (const batch of client.hScanNoValuesIterator('big')) for (const field of batch) fields.add(field);
    assert.equal(fields.size, 3000);
    assert.deepEqual({ ...(await client.hScan('missing', '0')) }, { cursor: '0', entries: [] });
    await Promise.all(Array.from({ length: 2000 }, (_, i) => client.hSet(`${i % 4 ? 'user' : 'cart'}:${i}`, 'n', i)));
    const keys = new Set();
    for await (const batch of client.scanIterator({ MATCH: 'cart:*', TYPE: 'hash', COUNT: 100 })) {
      for (const key of batch) keys.add(key);
    }
    assert.equal(keys.size, 500);
    assert.ok((await client.hRandField('big')) in big);
    assert.equal(await client.hRandField('missing'), null);
    const random = await client.hRandFieldCountWithValues('big', 10);
    assert.equal(random.length, 10);
    for (const { field, value } of random) assert.equal(value, big[field]);
    assert.equal((await client.hRandFieldCount('big', -20)).length, 20);
  });

  test('reconnects when the server closes', async () => {
    const client = await connect({ database: 2, name: 'worker' });
    await client.hSet('k', 'f', 'v');
    const id = await client.clientId();
    const ready = new Promise((resolve) => client.once('ready', resolve));
    await client.sendCommand(['QUIT']);
    await ready;
    assert.equal(await client.hGet('k', 'f'), 'v');
    assert.equal(await client.clientGetName(), 'worker');
    assert.ok(await client.clientId() > id);
    await client.close();
  });

  test('errors', async () => {
    const client = await connect();
    const fails = (command, message) => assert.rejects(client.sendCommand(command), { message });
    await fails(['FOO', 'a', 'b'], "ERR unknown command 'FOO', with args beginning with: 'a' 'b' ");
    await fails(['hget', 'k'], "ERR wrong number of arguments for 'hget' command");
    await fails(['HELLO', '4'], 'NOPROTO unsupported protocol version');
    await client.hSet('k', 'f', 'text');
    await assert.rejects(client.hIncrBy('k', 'f', 1), { message: 'ERR hash value is not an integer' });
    await assert.rejects(client.rename('a', 'b'), { message: 'ERR no such key' });
    assert.equal(await client.ping(), 'PONG');
  });

  test('INFO, COMMAND and CONFIG', async () => {
    const client = await connect();
    assert.match(await client.info('server'), /^# Server\r\nredis_version:\d+\.\d+\.\d+\r\n/);
    const [hset, nothing] = await client.commandInfo(['hset', 'nosuch']);
    assert.equal(hset.name, 'hset');
    assert.equal(hset.arity, -4);
    assert.equal(nothing, null);
    assert.deepEqual({ ...(await client.configGet('databases')) }, { databases: '16' });
    assert.equal(await client.type('missing'), 'none');
    assert.equal(await client.dbSize(), 0);
  });

  test('HIMPORT', async (t) => {
    const client = await connect();
    const [major, minor] = /redis_version:(\d+)\.(\d+)/.exec(await client.info('server')).slice(1).map(Number);
    if (process.env.HASHD_STAND_IN === '1' && (major < 8 || (major === 8 && minor < 10))) {
      return t.skip('the stand-in is a Redis older than 8.10');
    }
    assert.equal(await client.hImportPrepare('account', ['name', 'age']), 'OK');
    assert.equal(await client.hImportSet('a:1', 'account', ['Ada', '36']), 'OK');
    assert.deepEqual({ ...(await client.hGetAll('a:1')) }, { name: 'Ada', age: '36' });
    const ready = new Promise((resolve) => client.once('ready', resolve));
    await client.sendCommand(['QUIT']);
    await ready;
    // The new connection has no fieldset: the client prepares it again.
    assert.equal(await client.hImportSet('a:2', 'account', ['B', '1']), 'OK');
    assert.equal(await client.sendCommand(['RESET']), 'RESET');
    if (RESP === 3) await client.sendCommand(['HELLO', '3']);
    // It finds out by the error and tries once more.
    assert.equal(await client.hImportSet('a:3', 'account', ['C', '2']), 'OK');
    assert.equal(await client.hGet('a:3', 'age'), '2');
    await assert.rejects(client.hImportSet('a:4', 'account', ['one']), /value count does not match fieldset field count/);
    assert.equal(await client.hImportDiscard('account'), 1);
    await assert.rejects(client.hImportSet('a:5', 'account', ['D', '3']), /no such fieldset/);
    assert.equal(await client.hImportDiscardAll(), 0);
  });
});
