'use strict';
// Opens the clients under test against the server on HASHD_PORT (and HASHD_HOST): ioredis 6 in both protocols, ioredis 5,
// and node-redis 6 in both. What a test has opened is closed after it, and the data is flushed before it.

const assert = require('node:assert/strict');
const { describe, beforeEach, afterEach } = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');
const { createClient } = require('redis');

const host = process.env.HASHD_HOST ?? '127.0.0.1';
const port = Number(process.env.HASHD_PORT);
assert.ok(port > 0, 'HASHD_PORT is not set');

const ioredisFlavours = [
  ['ioredis 6', require('ioredis').Redis, {}],
  ['ioredis 6 in RESP2', require('ioredis').Redis, { protocol: 2 }],
  ['ioredis 5', require('ioredis5').Redis, {}],
];

// Calls `programs(connect, name)` once a flavour; `connect(options)` gives a client.
function withIoredis(programs) {
  for (const [name, Redis, defaults] of ioredisFlavours) {
    describe(name, () => {
      let opened = [];
      const connect = (options = {}) => {
        const redis = new Redis({ host, port, ...defaults, ...options });
        redis.on('error', () => {});
        opened.push(redis);
        return redis;
      };
      beforeEach(async () => { await connect().flushall(); });
      afterEach(() => {
        for (const redis of opened) redis.disconnect();
        opened = [];
      });
      programs(connect, name);
    });
  }
}

// Calls `programs(connect, RESP)` once a protocol; `await connect(options)` gives a client.
function withNodeRedis(programs, protocols = [2, 3]) {
  for (const RESP of protocols) {
    describe(`node-redis 6 in RESP${RESP}`, () => {
      let opened = [];
      const connect = async (options = {}) => {
        const client = createClient({ socket: { host, port }, RESP, ...options });
        client.on('error', () => {});
        opened.push(client);
        await client.connect();
        return client;
      };
      beforeEach(async () => { await (await connect()).flushAll(); });
      afterEach(() => {
        for (const client of opened) if (client.isOpen) client.destroy();
        opened = [];
      });
      programs(connect, RESP);
    });
  }
}

// Waits for what comes by itself: until `done` says so, five seconds at most.
async function until(what, done) {
  const giveUp = Date.now() + 5000;
  while (!await done()) {
    assert.ok(Date.now() < giveUp, `still not: ${what}`);
    await sleep(5);
  }
}

module.exports = { withIoredis, withNodeRedis, until };
