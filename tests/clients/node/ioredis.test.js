'use strict';
// Every program runs with ioredis 6 (RESP3 by default) and ioredis 5 (RESP2), against the server on HASHD_PORT.

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { test } = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');
const { withIoredis } = require('./clients.js');

const within = (value, low, high) => assert.ok(value >= low && value <= high, `${value} is not in ${low}..${high}`);

async function collect(stream) {
  const items = [];
  for await (const batch of stream) items.push(...batch);
  return items;
}

function pairs(flat) {
  const object = {};
  for (let i = 0; i < flat.length; i += 2) object[flat[i]] = flat[i + 1];
  return object;
}

withIoredis((connect, name) => {
  test('user profile', async () => {
    const redis = connect();
    const profile = { name: 'Ada', email: 'ada@example.com', age: '36' };
    assert.equal(await redis.hset('user:1', profile), 3);
    assert.deepEqual({ ...(await redis.hgetall('user:1')) }, profile);
    assert.equal(await redis.hget('user:1', 'email'), 'ada@example.com');
    assert.equal(await redis.hget('user:1', 'phone'), null);
    assert.deepEqual({ ...(await redis.hgetall('user:404')) }, {});
    assert.equal(await redis.hexists('user:1', 'age'), 1);
    assert.equal(await redis.hset('user:1', 'age', 37, 'phone', 555), 1);
    assert.deepEqual(await redis.hmget('user:1', 'age', 'nothing'), ['37', null]);
    assert.deepEqual(await redis.hkeys('user:1'), ['name', 'email', 'age', 'phone']);
    assert.deepEqual(await redis.hvals('user:1'), ['Ada', 'ada@example.com', '37', '555']);
    assert.equal(await redis.hmset('user:1', new Map([['role', 'admin']])), 'OK');
    assert.equal(await redis.hlen('user:1'), 5);
    assert.equal(await redis.hstrlen('user:1', 'role'), 5);
    assert.equal(await redis.hdel('user:1', 'role', 'nothing'), 1);
    assert.equal(await redis.del('user:1'), 1);
  });

  test('inventory with concurrent buyers', async () => {
    const redis = connect();
    await redis.hset('product', { stock: 60, sold: 0, price: '1299.99' });
    assert.equal(await redis.hincrbyfloat('product', 'price', -99.99), '1200');
    const buyers = Array.from({ length: 8 }, () => connect());
    const sales = await Promise.all(Array.from({ length: 200 }, async (_, i) => {
      const buyer = buyers[i % buyers.length];
      if (await buyer.hincrby('product', 'stock', -1) < 0) {
        await buyer.hincrby('product', 'stock', 1);
        return false;
      }
      await buyer.hincrby('product', 'sold', 1);
      return true;
    }));
    assert.equal(sales.filter(Boolean).length, 60);
    assert.deepEqual({ ...(await redis.hgetall('product')) }, { stock: '0', sold: '60', price: '1200' });
  });

  test('leaderboard entry and settings', async () => {
    const redis = connect();
    assert.equal(await redis.hincrby('player', 'score', 25), 25);
    assert.equal(await redis.hincrby('player', 'score', -10), 15);
    assert.equal(await redis.hincrby('player', 'wins', 1), 1);
    assert.deepEqual({ ...(await redis.hgetall('player')) }, { score: '15', wins: '1' });
    assert.equal(await redis.hsetnx('config', 'theme', 'dark'), 1);
    assert.equal(await redis.hsetnx('config', 'theme', 'light'), 0);
    assert.equal(await redis.hget('config', 'theme'), 'dark');
  });

  test('session store', async () => {
    const redis = connect();
    const key = `session:${crypto.randomUUID()}`;
    await redis.hset(key, { user: 42, csrf: crypto.randomBytes(16).toString('hex') });
    assert.equal(await redis.ttl(key), -1);
    assert.equal(await redis.expire(key, 86400), 1);
    within(await redis.ttl(key), 86399, 86400);
    assert.equal(await redis.expire(key, 100, 'GT'), 0);
    assert.equal(await redis.hget(key, 'user'), '42');
    assert.equal(await redis.del(key), 1);
    assert.equal(await redis.exists(key), 0);
    assert.equal(await redis.ttl(key), -2);
    await redis.hset(key, 'user', 42);
    await redis.pexpire(key, 30);
    await sleep(80);
    assert.equal(await redis.exists(key), 0);
  });

  test('shopping cart', async () => {
    const redis = connect();
    await redis.hincrby('cart', 'sku:1', 2);
    await redis.hincrby('cart', 'sku:2', 1);
    await redis.expire('cart', 7 * 86400);
    if (await redis.hincrby('cart', 'sku:2', -1) === 0) await redis.hdel('cart', 'sku:2');
    assert.deepEqual({ ...(await redis.hgetall('cart')) }, { 'sku:1': '2' });
    within(await redis.ttl('cart'), 604799, 604800);
    await redis.hdel('cart', 'sku:1');
    assert.equal(await redis.exists('cart'), 0);
  });

  test('JSON cache, binary and unicode', async () => {
    const redis = connect();
    const document = { id: 7, title: 'Überschrift "№" \n', tags: [null, 1.5, true] };
    await redis.hset('cache', '7', JSON.stringify(document));
    assert.deepEqual(JSON.parse(await redis.hget('cache', '7')), document);
    const bytes = Buffer.concat([Buffer.from(Array.from({ length: 256 }, (_, i) => i)), crypto.randomBytes(200_000)]);
    const field = Buffer.from([0, 13, 10, 255]);
    assert.equal(await redis.hset(Buffer.from('bin\0\xff', 'latin1'), field, bytes), 1);
    assert.deepEqual(await redis.hgetBuffer(Buffer.from('bin\0\xff', 'latin1'), field), bytes);
    await redis.hset('ключ', { 名前: '花子', '👩‍💻': '🚀' });
    assert.deepEqual({ ...(await redis.hgetall('ключ')) }, { 名前: '花子', '👩‍💻': '🚀' });
  });

  test('rate limits and field expiry', async () => {
    const redis = connect();
    assert.equal(await redis.hincrby('limits', '/search', 1), 1);
    assert.deepEqual(await redis.hexpire('limits', 60, 'FIELDS', 2, '/search', '/no'), [1, -2]);
    assert.equal(await redis.hincrby('limits', '/search', 1), 2);
    within((await redis.httl('limits', 'FIELDS', 1, '/search'))[0], 59, 60);
    assert.deepEqual(await redis.call('HPEXPIRE', 'limits', '30', 'NX', 'FIELDS', '1', '/search'), [0]);
    await redis.hset('limits', '/login', 1);
    assert.deepEqual(await redis.hpexpire('limits', 30, 'FIELDS', 1, '/login'), [1]);
    await sleep(80);
    assert.equal(await redis.hget('limits', '/login'), null);
    assert.deepEqual(await redis.hpersist('limits', 'FIELDS', 1, '/search'), [1]);
    assert.equal(await redis.call('HSETEX', 'limits', 'EX', '100', 'FIELDS', '1', 'token', 't'), 1);
    assert.deepEqual(await redis.call('HGETEX', 'limits', 'EX', '500', 'FIELDS', '2', 'token', 'no'), ['t', null]);
    within((await redis.httl('limits', 'FIELDS', 1, 'token'))[0], 499, 500);
    assert.deepEqual(await redis.call('HGETDEL', 'limits', 'FIELDS', '2', 'token', 'no'), ['t', null]);
    assert.equal(await redis.hexists('limits', 'token'), 0);
  });

  test('databases', async () => {
    const zero = connect();
    const five = connect({ db: 5 });
    await zero.hset('k', 'in', 'zero');
    await five.hset('k', 'in', 'five');
    assert.equal(await zero.hget('k', 'in'), 'zero');
    assert.equal(await five.hget('k', 'in'), 'five');
    assert.equal(await zero.select(5), 'OK');
    assert.equal(await zero.hget('k', 'in'), 'five');
    assert.equal(await zero.dbsize(), 1);
  });

  test('lazy connection, name and quit', async () => {
    const redis = connect({ lazyConnect: true, connectionName: 'billing' });
    assert.equal(redis.status, 'wait');
    await redis.connect();
    assert.equal(redis.status, 'ready');
    assert.equal(await redis.client('GETNAME'), 'billing');
    assert.match(String(await redis.client('INFO')), / lib-name=ioredis/);
    assert.equal(await redis.ping(), 'PONG');
    assert.equal(await redis.ping('hello'), 'hello');
    assert.equal(await redis.echo('über'), 'über');
    assert.equal(await redis.quit(), 'OK');
    await assert.rejects(redis.ping(), /Connection is closed/);
  });

  test('pipeline and automatic pipelining', async () => {
    const redis = connect();
    const pipeline = redis.pipeline();
    for (let i = 0; i < 3000; i++) pipeline.hset(`u:${i % 50}`, `f${i}`, i);
    pipeline.hincrby('u:0', 'text', 'x').hget('u:0', 'f0');
    const replies = await pipeline.exec();
    assert.equal(replies.length, 3002);
    assert.ok(replies.slice(0, 3000).every(([error, reply]) => error === null && reply === 1));
    assert.equal(replies[3000][0].message, 'ERR value is not an integer or out of range');
    assert.deepEqual(replies[3001], [null, '0']);
    const auto = connect({ enableAutoPipelining: true });
    const sums = await Promise.all(Array.from({ length: 2000 }, () => auto.hincrby('auto', 'n', 1)));
    assert.deepEqual(sums.sort((a, b) => a - b), Array.from({ length: 2000 }, (_, i) => i + 1));
  });

  test('scan streams', async () => {
    const redis = connect();
    const big = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`field:${i}`, String(i)]));
    await redis.hset('big', big);
    assert.deepEqual(pairs(await collect(redis.hscanStream('big', { count: 100 }))), big);
    const some = pairs(await collect(redis.hscanStream('big', { match: '*:77' })));
    assert.deepEqual(some, { 'field:77': '77' });
    assert.deepEqual(await collect(redis.hscanStream('missing')), []);
    const pipeline = redis.pipeline();
    for (let i = 0; i < 2000; i++) pipeline.hset(`${i % 4 ? 'user' : 'cart'}:${i}`, 'n', i);
    await pipeline.exec();
    assert.equal(new Set(await collect(redis.scanStream({ count: 100 }))).size, 2001);
    assert.equal(new Set(await collect(redis.scanStream({ match: 'cart:*', type: 'hash' }))).size, 500);
  });

  test('reconnects when the server closes', async () => {
    const redis = connect({ db: 2, connectionName: 'worker' });
    await redis.hset('k', 'f', 'v');
    const id = await redis.client('ID');
    const ended = new Promise((resolve) => redis.once('reconnecting', resolve));
    // Behind the client's back, so that it does not know the close is meant: the PING gets QUIT's reply.
    redis.stream.write('QUIT\r\n');
    assert.equal(await redis.ping(), 'OK');
    await ended;
    assert.equal(await redis.hget('k', 'f'), 'v');
    assert.ok(await redis.client('ID') > id);
    assert.equal(await redis.client('GETNAME'), 'worker');
    // A socket that breaks while commands are queued: they are sent again.
    redis.stream.destroy();
    assert.equal(await redis.hget('k', 'f'), 'v');
  });

  test('errors', async () => {
    const redis = connect();
    const fails = (command, message) => assert.rejects(redis.call(...command), { name: 'ReplyError', message });
    await fails(['FOO', 'a', 'b'], "ERR unknown command 'FOO', with args beginning with: 'a' 'b' ");
    await fails(['hget', 'k'], "ERR wrong number of arguments for 'hget' command");
    await fails(['client', 'NOSUCH'], "ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.");
    await fails(['rename', 'a', 'b'], 'ERR no such key');
    await redis.hset('k', 'f', 'text');
    await fails(['hincrby', 'k', 'f', '1'], 'ERR hash value is not an integer');
    await fails(['hincrbyfloat', 'k', 'f', '1'], 'ERR hash value is not a float');
    assert.equal(await redis.ping(), 'PONG');
  });

  test('INFO, COMMAND and CONFIG', async () => {
    const redis = connect();
    await redis.hset('k', 'f', 'v');
    assert.match(await redis.info(), /\r\nredis_version:\d+\.\d+\.\d+\r\n/);
    assert.match(await redis.info('keyspace'), /^# Keyspace\r\ndb0:keys=1,expires=0/);
    const [hset] = await redis.command('INFO', 'hset');
    assert.deepEqual(hset.slice(0, 2), ['hset', -4]);
    const config = await redis.config('GET', 'databases');
    assert.deepEqual(Array.isArray(config) ? config : Object.entries(config).flat(), ['databases', '16']);
  });

  test('every line of INFO', async () => {
    const redis = connect();
    await redis.hset('k', 'f', 'v');
    await redis.hget('k', 'f');
    const text = await redis.info('everything');
    assert.ok(text.endsWith('\r\n'));
    const info = new Map();
    const sections = [];
    for (const line of text.split('\r\n').filter(Boolean)) {
      if (line.startsWith('# ')) {
        sections.push(line.slice(2));
        continue;
      }
      const [, field, value] = /^([^\s:]+):([^\r\n]*)$/.exec(line) ?? assert.fail(`no field: ${line}`);
      assert.ok(!info.has(field), `${field} is there twice`);
      info.set(field, value);
    }
    for (const section of ['Server', 'Clients', 'Memory', 'Persistence', 'Stats', 'Replication', 'CPU', 'Modules',
      'Commandstats', 'Errorstats', 'Latencystats', 'Cluster', 'Keyspace', 'Keysizes']) {
      assert.equal(sections.filter((other) => other === section).length, 1, section);
    }
    for (const [field, value] of info) {
      if (/^(cmdstat_|errorstat_|latency_percentiles_|db\d|io_thread_)/.test(field)) {
        for (const part of value.split(',')) assert.match(part, /^[^=]+=[\d.]+$/, `${field}:${value}`);
      } else if (/_(bytes|rss|peak|received|processed|clients|seconds|ratio|kbps|hits|misses|keys)$/.test(field)) {
        assert.ok(value !== '' && Number.isFinite(Number(value)), `${field}:${value}`);
      }
    }
    assert.match(info.get('db0'), /^keys=1,expires=0,avg_ttl=0/);
    assert.match(info.get('cmdstat_hget'), /^calls=[1-9]\d*,usec=\d+,usec_per_call=[\d.]+,rejected_calls=\d+,failed_calls=\d+$/);
    assert.ok(Number(info.get('used_memory')) > 0);
  });

  test('HIMPORT', { skip: name === 'ioredis 5' && 'ioredis 5 has no HIMPORT' }, async (t) => {
    const redis = connect({ himportFieldsets: [{ name: 'account', fields: ['name', 'email', 'age'] }] });
    redis.on('error', () => {});
    if (process.env.HASHD_STAND_IN === '1' && await olderThan810(redis)) {
      return t.skip('the stand-in is a Redis older than 8.10');
    }
    assert.equal(await redis.himport('SET', 'a:1', 'account', 'Ada', 'a@example.com', '36'), 'OK');
    assert.deepEqual({ ...(await redis.hgetall('a:1')) }, { name: 'Ada', email: 'a@example.com', age: '36' });
    await redis.expire('a:1', 100);
    assert.equal(await redis.himport('SET', 'a:1', 'account', 'B', 'b', '1'), 'OK');
    assert.equal(await redis.ttl('a:1'), -1);
    redis.stream.destroy();
    assert.equal(await redis.himport('SET', 'a:2', 'account', 'C', 'c', '2'), 'OK');
    const pipeline = redis.pipeline();
    for (let i = 0; i < 200; i++) pipeline.himport('SET', `bulk:${i}`, 'account', 'n', 'e', String(i));
    assert.ok((await pipeline.exec()).every(([error, reply]) => error === null && reply === 'OK'));
    assert.equal(await redis.hget('bulk:199', 'age'), '199');
    // By hand, with a fieldset that ioredis does not manage.
    assert.equal(await redis.himport('PREPARE', 'mine', 'x', 'y'), 'OK');
    assert.equal(await redis.himport('SET', 'p', 'mine', '1', '2'), 'OK');
    assert.deepEqual({ ...(await redis.hgetall('p')) }, { x: '1', y: '2' });
    await assert.rejects(redis.himport('SET', 'p', 'mine', '1'), /value count does not match fieldset field count/);
    await assert.rejects(redis.himport('PREPARE', 'mine', 'x', 'x'), /duplicate field name in fieldset/);
    assert.equal(await redis.himport('DISCARD', 'mine'), 1);
    await assert.rejects(redis.himport('SET', 'p', 'mine', '1', '2'), /no such fieldset/);
    assert.equal(await redis.himport('DISCARD', 'mine'), 0);
  });
});

async function olderThan810(redis) {
  const [major, minor] = /redis_version:(\d+)\.(\d+)/.exec(await redis.info('server')).slice(1).map(Number);
  return major < 8 || (major === 8 && minor < 10);
}
