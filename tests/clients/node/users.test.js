'use strict';
// Users with ioredis and node-redis: names and passwords, refusals, rules that change, users that are deleted.

const assert = require('node:assert/strict');
const { test, beforeEach } = require('node:test');
const { withIoredis, withNodeRedis, until } = require('./clients');

withIoredis((connect) => {
  beforeEach(async () => { await connect().acl('DELUSER', 'shop'); });

  test('a user with a password', async () => {
    const admin = connect();
    assert.equal(await admin.acl('SETUSER', 'shop', 'on', '>s3cret', '~cart:*', '+@hash', '-hdel', '+info', '+client'), 'OK');
    const redis = connect({ username: 'shop', password: 's3cret' });
    assert.equal(await redis.hset('cart:1', 'apple', 2), 1);
    assert.deepEqual({ ...await redis.hgetall('cart:1') }, { apple: '2' });
    await assert.rejects(redis.hget('user:1', 'name'), /NOPERM No permissions to access a key/);
    await assert.rejects(redis.hdel('cart:1', 'apple'), /NOPERM User shop has no permissions to run the 'hdel' command/);
    const results = await redis.pipeline().hget('cart:1', 'apple').hget('user:1', 'name').exec();
    assert.equal(results[0][1], '2');
    assert.match(String(results[1][0]), /NOPERM/);
    await admin.acl('SETUSER', 'shop', '-hget');
    await assert.rejects(redis.hget('cart:1', 'apple'), /NOPERM/);
    const users = await admin.acl('USERS');
    assert.deepEqual([...users].sort(), ['default', 'shop']);
  });

  test('a wrong password', async () => {
    await connect().acl('SETUSER', 'shop', 'on', '>s3cret', 'allkeys', '+@all');
    const redis = connect({ username: 'shop', password: 'wrong', maxRetriesPerRequest: 0, retryStrategy: () => null });
    await assert.rejects(redis.hget('h', 'f'));
  });

  test('a deleted user', async () => {
    const admin = connect();
    await admin.acl('SETUSER', 'shop', 'on', '>s3cret', 'allkeys', '+@all');
    const redis = connect({ username: 'shop', password: 's3cret', retryStrategy: () => null });
    assert.equal(await redis.hset('h', 'f', 1), 1);
    assert.equal(await admin.acl('DELUSER', 'shop'), 1);
    await until('disconnected', () => redis.status === 'end');
  });
});

withNodeRedis((connect) => {
  beforeEach(async () => { await (await connect()).aclDelUser('shop'); });

  test('a user with a password', async () => {
    const admin = await connect();
    assert.equal(await admin.aclSetUser('shop', ['on', '>s3cret', '~cart:*', '&news', '+@hash', '-hdel', '+client']), 'OK');
    const client = await connect({ username: 'shop', password: 's3cret' });
    assert.equal(await client.hSet('cart:1', 'apple', 2), 1);
    await assert.rejects(client.hGet('user:1', 'name'), /NOPERM No permissions to access a key/);
    await assert.rejects(client.hDel('cart:1', 'apple'), /NOPERM User shop has no permissions to run the 'hdel' command/);
    const user = await admin.aclGetUser('shop');
    assert.deepEqual([user.keys, user.channels, user.commands], ['~cart:*', '&news', '-@all +@hash -hdel +client']);
    assert.equal(await admin.aclDryRun('shop', ['hget', 'cart:1', 'f']), 'OK');
    const [entry] = await admin.aclLog(1);
    assert.deepEqual([entry.reason, entry.object, entry.username], ['command', 'hdel', 'shop']);
    assert.ok((await admin.aclCat('hash')).includes('hget'));
    assert.equal(await admin.aclWhoAmI(), 'default');
    // Left to itself it would try again for ever.
    const socket = { host: process.env.HASHD_HOST ?? '127.0.0.1', port: Number(process.env.HASHD_PORT), reconnectStrategy: false };
    await assert.rejects(connect({ socket, username: 'shop', password: 'wrong' }), /WRONGPASS/);
  });
});
