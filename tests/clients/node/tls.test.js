'use strict';
// TLS: the certificate is made by tests/clients/run, with the openssl program.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { test } = require('node:test');
const { withIoredis } = require('./clients.js');

const { TLS_TEST_PORT, TLS_TEST_CERTIFICATE, CI } = process.env;
const missing = !TLS_TEST_PORT && CI !== 'true' && 'the openssl program is missing';
const port = Number(TLS_TEST_PORT);
const ca = () => fs.readFileSync(TLS_TEST_CERTIFICATE);

withIoredis((connect) => {
  test('hashes over TLS', { skip: missing }, async () => {
    const secure = connect({ port, tls: { ca: ca() } });
    const plain = connect();
    assert.equal(await secure.hset('user:1', { name: 'Ada', visits: 1 }), 2);
    assert.equal(await plain.hincrby('user:1', 'visits', 1), 2);
    assert.deepEqual({ ...(await secure.hgetall('user:1')) }, { name: 'Ada', visits: '2' });
    const replies = await Promise.all(Array.from({ length: 500 }, (_, i) => secure.hset('big', `f${i}`, 'v'.repeat(1000))));
    assert.equal(replies.length, 500);
    assert.equal(Object.keys(await secure.hgetall('big')).length, 500);
  });

  test('a certificate nobody vouches for is refused by the client', { skip: missing }, async () => {
    const stranger = connect({ port, tls: {}, retryStrategy: null, lazyConnect: true });
    await assert.rejects(stranger.connect());
  });
});
