'use strict';
// multi() of ioredis and node-redis: results and errors, WATCH with retries, discard, large transactions.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { WatchError } = require('redis');
const { withIoredis, withNodeRedis } = require('./clients');

const CLIENTS = 6;
const TIMES = 15;
const thousand = Array.from({ length: 1000 }, (_, i) => i);

withIoredis((connect) => {
  test('multi', async () => {
    const redis = connect();
    const results = await redis.multi()
      .hset('order', { state: 'new', total: 12 })
      .hincrby('order', 'total', 30)
      .hgetall('order')
      .hget('nothing', 'f')
      .hmget('order', 'state', 'nothing')
      .exec();
    assert.deepEqual(results.map(([error]) => error), [null, null, null, null, null]);
    const [added, total, all, missing, some] = results.map(([, reply]) => reply);
    assert.deepEqual([added, total, missing, some], [2, 42, null, ['new', null]]);
    assert.deepEqual({ ...all }, { state: 'new', total: '42' });
    assert.deepEqual(await redis.multi([['hset', 'h', 'f', 'v'], ['hget', 'h', 'f']]).exec(), [[null, 1], [null, 'v']]);
    assert.deepEqual(await redis.multi().exec(), []);
  });

  test('multi without a pipeline', async () => {
    const redis = connect();
    assert.equal(await redis.multi({ pipeline: false }), 'OK');
    assert.equal(await redis.hset('h', 'f', 'v'), 'QUEUED');
    assert.equal(await redis.hmget('h', 'f', 'g'), 'QUEUED');
    assert.deepEqual(await redis.exec(), [[null, 1], [null, ['v', null]]]);
  });

  test('multi in a pipeline', async () => {
    const redis = connect();
    const results = await redis.pipeline().hset('h', 'n', 1).multi().hincrby('h', 'n', 1).hincrby('h', 'n', 1).exec().hget('h', 'n').exec();
    const last = results.at(-1);
    assert.deepEqual(last, [null, '3']);
    assert.deepEqual(results.map(([, reply]) => reply), [1, 'OK', 'QUEUED', 'QUEUED', [2, 3], '3']);
  });

  test('callbacks and discard', async () => {
    const redis = connect();
    const seen = [];
    await redis.multi().hset('h', 'f', 1, (error, reply) => seen.push([error, reply])).exec();
    assert.deepEqual(seen, [[null, 'QUEUED']]);
    await redis.multi({ pipeline: false });
    await redis.hset('h', 'f', 2);
    assert.equal(await redis.discard(), 'OK');
    assert.equal(await redis.hget('h', 'f'), '1');
    await assert.rejects(redis.discard(), /^ReplyError: ERR DISCARD without MULTI$/);
    await assert.rejects(redis.exec(), /^ReplyError: ERR EXEC without MULTI$/);
  });

  test('an error in EXEC', async () => {
    const redis = connect();
    await redis.hset('h', 'text', 'abc');
    const results = await redis.multi().hset('h', 'n', 1).hincrby('h', 'text', 1).hincrby('h', 'n', 1).exec();
    assert.deepEqual([results[0], results[2]], [[null, 1], [null, 2]]);
    assert.equal(results[1][0].message, 'ERR hash value is not an integer');
  });

  test('an error before EXEC', async () => {
    const redis = connect();
    const failure = await redis.multi().hset('h', 'f', 1).call('nosuch', 'a').hset('h', 'g', 2).exec().then(assert.fail, (error) => error);
    assert.equal(failure.message, 'EXECABORT Transaction discarded because of previous errors.');
    assert.match(failure.previousErrors[0].message, /^ERR unknown command 'nosuch', with args beginning with: 'a'/);
    assert.equal(await redis.exists('h'), 0);
    await assert.rejects(redis.multi().call('hget', 'h').exec(), /EXECABORT/);
    assert.equal(await redis.hset('h', 'f', 1), 1);
  });

  test('a thousand commands', async () => {
    const redis = connect();
    const multi = redis.multi();
    for (const i of thousand) multi.hset(`u:${i % 30}`, `f${i}`, 'x'.repeat(i % 100));
    for (const i of thousand) multi.hget(`u:${i % 30}`, `f${i}`);
    const results = await multi.exec();
    assert.ok(results.every(([error]) => error === null));
    assert.deepEqual(results.slice(1000).map(([, reply]) => reply), thousand.map((i) => 'x'.repeat(i % 100)));
  });

  test('watch', async () => {
    const [redis, other] = [connect(), connect()];
    await redis.hset('h', 'n', 1);
    await redis.watch('h', 'nothing');
    await other.hset('h', 'n', 2);
    assert.equal(await redis.multi().hset('h', 'n', 3).exec(), null);
    await redis.watch('h');
    await other.hset('h', 'n', 4);
    assert.equal(await redis.unwatch(), 'OK');
    assert.deepEqual(await redis.multi().hincrby('h', 'n', 1).exec(), [[null, 5]]);
  });

  test('watch until it works', async () => {
    await Promise.all(Array.from({ length: CLIENTS }, async () => {
      const redis = connect();
      for (let done = 0; done < TIMES;) {
        await redis.watch('counter');
        const seen = Number(await redis.hget('counter', 'n') ?? 0);
        if (await redis.multi().hset('counter', 'n', seen + 1).exec() !== null) done++;
      }
    }));
    assert.equal(await connect().hget('counter', 'n'), String(CLIENTS * TIMES));
  });

  test('a connection that is lost takes its transaction along', async () => {
    const redis = connect();
    await redis.hset('h', 'n', 1);
    await redis.watch('h');
    await redis.multi({ pipeline: false });
    await redis.hset('h', 'n', 2);
    const ready = new Promise((resolve) => redis.once('ready', resolve));
    redis.disconnect(true);
    await ready;
    assert.equal(await redis.hget('h', 'n'), '1');
    assert.deepEqual(await redis.multi().hincrby('h', 'n', 1).exec(), [[null, 2]]);
  });
});

withNodeRedis((connect) => {
  test('multi', async () => {
    const client = await connect();
    const [added, total, all, missing, some] = await client.multi()
      .hSet('order', { state: 'new', total: 12 })
      .hIncrBy('order', 'total', 30)
      .hGetAll('order')
      .hGet('nothing', 'f')
      .hmGet('order', ['state', 'nothing'])
      .exec();
    assert.deepEqual([added, total, missing, some], [2, 42, null, ['new', null]]);
    assert.deepEqual({ ...all }, { state: 'new', total: '42' });
    assert.deepEqual(await client.multi().exec(), []);
    assert.deepEqual(await client.multi().hSet('h', 'f', 'v').addCommand(['HGET', 'h', 'f']).execTyped(), [1, 'v']);
  });

  test('multi in another database', async () => {
    const client = await connect();
    assert.deepEqual(await client.multi().select(3).hSet('h', 'f', 'v').dbSize().select(0).dbSize().exec(), ['OK', 1, 1, 'OK', 0]);
  });

  test('an error in EXEC', async () => {
    const client = await connect();
    await client.hSet('h', 'text', 'abc');
    const failure = await client.multi().hSet('h', 'n', 1).hIncrBy('h', 'text', 1).hIncrBy('h', 'n', 1).exec()
      .then(assert.fail, (error) => error);
    assert.equal(failure.constructor.name, 'MultiErrorReply');
    assert.deepEqual(failure.errorIndexes, [1]);
    assert.equal(failure.replies[1].message, 'ERR hash value is not an integer');
    assert.deepEqual([failure.replies[0], failure.replies[2]], [1, 2]);
    assert.equal(await client.hGet('h', 'n'), '2');
  });

  test('an error before EXEC', async () => {
    const client = await connect();
    const multi = client.multi().hSet('h', 'f', 1).addCommand(['NOSUCH', 'a']).hSet('h', 'g', 2);
    await assert.rejects(multi.exec(), /EXECABORT Transaction discarded because of previous errors\.|unknown command 'NOSUCH'/);
    assert.equal(await client.exists('h'), 0);
    assert.equal(await client.hSet('h', 'f', 1), 1);
  });

  test('by hand: discard, and what is not allowed', async () => {
    const client = await connect();
    const send = (...words) => client.sendCommand(words);
    assert.equal(await send('MULTI'), 'OK');
    assert.equal(await send('HSET', 'h', 'f', 'v'), 'QUEUED');
    await assert.rejects(send('MULTI'), { message: 'ERR MULTI calls can not be nested' });
    await assert.rejects(send('WATCH', 'h'), { message: 'ERR WATCH inside MULTI is not allowed' });
    assert.equal(await send('DISCARD'), 'OK');
    await assert.rejects(send('EXEC'), { message: 'ERR EXEC without MULTI' });
    assert.equal(await client.exists('h'), 0);
  });

  test('a thousand commands', async () => {
    const client = await connect();
    const multi = client.multi();
    for (const i of thousand) multi.hSet(`u:${i % 30}`, `f${i}`, 'x'.repeat(i % 100));
    for (const i of thousand) multi.hGet(`u:${i % 30}`, `f${i}`);
    const replies = await multi.exec();
    assert.deepEqual(replies.slice(1000), thousand.map((i) => 'x'.repeat(i % 100)));
  });

  test('watch', async () => {
    const [client, other] = [await connect(), await connect()];
    await client.hSet('h', 'n', 1);
    await client.watch(['h', 'nothing']);
    await other.hSet('h', 'n', 2);
    await assert.rejects(client.multi().hSet('h', 'n', 3).exec(), WatchError);
    await client.watch('h');
    await other.hSet('h', 'n', 4);
    assert.equal(await client.unwatch(), 'OK');
    assert.deepEqual(await client.multi().hIncrBy('h', 'n', 1).exec(), [5]);
  });

  test('watch until it works', async () => {
    await Promise.all(Array.from({ length: CLIENTS }, async () => {
      const client = await connect();
      for (let done = 0; done < TIMES;) {
        await client.watch('counter');
        const seen = Number(await client.hGet('counter', 'n') ?? 0);
        try {
          await client.multi().hSet('counter', 'n', seen + 1).exec();
          done++;
        } catch (error) {
          assert.ok(error instanceof WatchError, error);
        }
      }
    }));
    assert.equal(await (await connect()).hGet('counter', 'n'), String(CLIENTS * TIMES));
  });
});
