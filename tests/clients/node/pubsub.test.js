'use strict';
// Subscriptions of ioredis and node-redis: channels, patterns, binary messages, after a lost connection; keyspace events.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { withIoredis, withNodeRedis, until } = require('./clients');

// The server's events are switched on for one program and off again, whatever comes of it.
async function withEvents(flags, set, program) {
  await set('notify-keyspace-events', flags);
  try {
    await program();
  } finally {
    await set('notify-keyspace-events', '');
  }
}

// Messages are sent until one arrives: the first may still be counted as heard by the connection that is lost.
const heardAgain = (publisher, channel, seen) => until(`${channel} is heard again`, async () => {
  await publisher.publish(channel, `of ${channel}`);
  return seen.includes(`of ${channel}`);
});

const numbers = Array.from({ length: 1000 }, (_, i) => String(i));

// Publishes the numbers, then every byte there is, and checks what a subscriber of `stream` has seen of them.
async function checkStream(publisher, seen) {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  await Promise.all([...numbers, bytes].map((message) => publisher.publish('stream', message)));
  await until('all messages', () => seen.length === 1001);
  assert.deepEqual(seen.slice(0, 1000).map(String), numbers);
  assert.deepEqual(seen[1000], bytes);
}

withIoredis((connect) => {
  test('channels', async () => {
    const [subscriber, publisher] = [connect(), connect()];
    const seen = [];
    subscriber.on('message', (channel, message) => seen.push([channel, message]));
    assert.equal(await subscriber.subscribe('news', 'weather'), 2);
    assert.equal(await publisher.publish('news', 'one'), 1);
    assert.equal(await publisher.publish('nobody', 'two'), 0);
    assert.equal(await publisher.publish('weather', 'über'), 1);
    await until('two messages', () => seen.length === 2);
    assert.deepEqual(seen, [['news', 'one'], ['weather', 'über']]);
    assert.equal(await subscriber.unsubscribe('news'), 1);
    assert.equal(await publisher.publish('news', 'three'), 0);
    assert.deepEqual(await publisher.pubsub('CHANNELS'), ['weather']);
    assert.deepEqual(await publisher.pubsub('NUMSUB', 'news', 'weather'), ['news', 0, 'weather', 1]);
    assert.equal(await subscriber.unsubscribe(), 0);
    assert.equal(await subscriber.hset('h', 'f', 'v'), 1);
  });

  test('patterns', async () => {
    const [subscriber, publisher] = [connect(), connect()];
    const seen = [];
    subscriber.on('pmessage', (pattern, channel, message) => seen.push([pattern, channel, message]));
    assert.equal(await subscriber.psubscribe('user:*', 'user:[12]'), 2);
    assert.equal(await publisher.publish('user:1', 'in'), 2);
    assert.equal(await publisher.publish('user:3', 'out'), 1);
    await until('three messages', () => seen.length === 3);
    assert.deepEqual(seen.slice(0, 2).sort(), [['user:*', 'user:1', 'in'], ['user:[12]', 'user:1', 'in']]);
    assert.deepEqual(seen[2], ['user:*', 'user:3', 'out']);
    assert.equal(await publisher.pubsub('NUMPAT'), 2);
    assert.equal(await subscriber.punsubscribe('user:*'), 1);
    assert.equal(await publisher.publish('user:3', 'gone'), 0);
  });

  test('order and binary messages', async () => {
    const [subscriber, publisher] = [connect(), connect()];
    const seen = [];
    subscriber.on('messageBuffer', (channel, message) => seen.push(message));
    await subscriber.subscribe('stream');
    await checkStream(publisher, seen);
  });

  test('subscribes again after a lost connection', async () => {
    const [subscriber, publisher] = [connect(), connect()];
    const seen = [];
    subscriber.on('message', (channel, message) => seen.push(message));
    subscriber.on('pmessage', (pattern, channel, message) => seen.push(message));
    await subscriber.subscribe('news');
    await subscriber.psubscribe('wea*');
    subscriber.disconnect(true);
    await heardAgain(publisher, 'news', seen);
    await heardAgain(publisher, 'weather', seen);
  });

  test('keyspace events', async () => {
    const [subscriber, redis] = [connect(), connect({ db: 2 })];
    const seen = [];
    subscriber.on('pmessage', (pattern, channel, message) => seen.push(`${channel} ${message}`));
    await subscriber.psubscribe('__key*@2__:*');
    await withEvents('KEA', (...words) => redis.config('SET', ...words), async () => {
      await redis.hset('h', 'f', 1, 'g', 2);
      await redis.hincrby('h', 'f', 1);
      await redis.hpexpire('h', 10, 'FIELDS', 1, 'g');
      await until('hexpired', () => seen.includes('__keyspace@2__:h hexpired'));
      await redis.pexpire('h', 10);
      await until('expired', () => seen.includes('__keyevent@2__:expired h'));
      const events = seen.filter((line) => line.startsWith('__keyspace')).map((line) => line.split(' ')[1]);
      assert.deepEqual(events, ['hset', 'hincrby', 'hexpire', 'hexpired', 'expire', 'expired']);
      assert.equal(seen.length, 12);
    });
  });
});

withNodeRedis((connect) => {
  test('channels and patterns', async () => {
    const [subscriber, publisher] = [await connect(), await connect()];
    const seen = [];
    const listener = (message, channel) => seen.push([channel, message]);
    await subscriber.subscribe(['news', 'weather'], listener);
    await subscriber.pSubscribe('n?ws', listener);
    assert.equal(await publisher.publish('news', 'one'), 2);
    assert.equal(await publisher.publish('weather', 'über'), 1);
    assert.equal(await publisher.publish('nobody', 'two'), 0);
    await until('three messages', () => seen.length === 3);
    assert.deepEqual(seen, [['news', 'one'], ['news', 'one'], ['weather', 'über']]);
    assert.deepEqual((await publisher.pubSubChannels()).sort(), ['news', 'weather']);
    assert.equal(await publisher.pubSubNumPat(), 1);
    assert.deepEqual({ ...(await publisher.pubSubNumSub(['news', 'nobody'])) }, { news: 1, nobody: 0 });
    await subscriber.unsubscribe('news');
    await subscriber.pUnsubscribe('n?ws');
    assert.equal(await publisher.publish('news', 'three'), 0);
    await subscriber.unsubscribe();
    assert.equal(String(await subscriber.ping()), 'PONG');
    assert.equal(await subscriber.hSet('h', 'f', 'v'), 1);
  });

  test('order and binary messages', async () => {
    const [subscriber, publisher] = [await connect(), await connect()];
    const seen = [];
    await subscriber.subscribe('stream', (message) => seen.push(message), true);
    await checkStream(publisher, seen);
  });

  test('subscribes again after a lost connection', async () => {
    const [subscriber, publisher] = [await connect(), await connect()];
    const seen = [];
    const id = await subscriber.clientId();
    await subscriber.subscribe('news', (message) => seen.push(message));
    await subscriber.pSubscribe('wea*', (message) => seen.push(message));
    assert.equal(await publisher.sendCommand(['CLIENT', 'KILL', 'ID', String(id)]), 1);
    await heardAgain(publisher, 'news', seen);
    await heardAgain(publisher, 'weather', seen);
  });

  test('what a subscriber may do', async () => {
    const client = await connect();
    await client.subscribe('news', () => {});
    if (client.options.RESP === 3) {
      // In RESP3 messages come beside replies, so that every command is allowed.
      assert.equal(await client.hSet('h', 'f', 'v'), 1);
      assert.deepEqual({ ...(await client.hGetAll('h')) }, { f: 'v' });
    } else {
      await assert.rejects(client.hSet('h', 'f', 'v'), /ERR Can't execute 'hset': only \(P\|S\)SUBSCRIBE/);
    }
    assert.ok(['PONG', 'pong'].includes(String(await client.ping()).split(',')[0]));
  });

  test('keyspace events', async () => {
    const [subscriber, client] = [await connect(), await connect({ database: 2 })];
    const seen = [];
    await subscriber.pSubscribe('__key*@2__:*', (message, channel) => seen.push(`${channel} ${message}`));
    await withEvents('KEA', (name, value) => client.configSet(name, value), async () => {
      await client.hSet('h', { f: 1, g: 2 });
      await client.hDel('h', 'f');
      await client.hpExpire('h', 'g', 10);
      // The last field takes the key along.
      await until('del', () => seen.includes('__keyevent@2__:del h'));
      await client.hSet('k', 'f', 1);
      await client.rename('k', 'l');
      await client.move('l', 0);
      await until('move_from', () => seen.includes('__keyspace@2__:l move_from'));
      const events = seen.filter((line) => line.startsWith('__keyspace')).map((line) => line.slice('__keyspace@2__:'.length));
      assert.deepEqual(events, [
        'h hset', 'h hdel', 'h hexpire', 'h hexpired', 'h del', 'k hset', 'k rename_from', 'l rename_to', 'l move_from',
      ]);
    });
  });
});
