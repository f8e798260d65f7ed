'use strict';
// The page in Chromium: what it shows of a server with data and load, what it does not let happen, who sees what.
// HASHD_PORT and HASHD_HTTP_PORT say where the server is, CHROMIUM where the browser; SCREENSHOTS names a folder for pictures.

const assert = require('node:assert/strict');
const { mkdtempSync, rmSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { test, before, after, beforeEach } = require('node:test');
const { chromium } = require('playwright-core');
const { createClient } = require('redis');

const address = `http://127.0.0.1:${process.env.HASHD_HTTP_PORT}`;
const profile = mkdtempSync(join(tmpdir(), 'hashd-browser-'));
let browser;
let redis;

before(async () => {
  redis = await createClient({ socket: { host: '127.0.0.1', port: Number(process.env.HASHD_PORT) } }).connect();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', `--disk-cache-dir=${profile}`],
  });
});

after(async () => {
  await browser?.close();
  redis?.destroy();
  rmSync(profile, { recursive: true, force: true });
});

const evil = '<img src=x onerror=window.broken=1>';

beforeEach(async () => {
  await redis.flushAll();
  for (let index = 0; index < 200; index += 1) {
    await redis.hSet(`user:${index}`, { name: `user number ${index}`, email: `user${index}@example.com`, visits: index });
  }
  await redis.hSet('cart:1', { 'product:1': 2, 'product:7': 1 });
  await redis.expire('cart:1', 3600);
  await redis.hSet('page:home', { '<script>window.broken=1</script>': evil, note: 'two\nlines', right: '\u202egnp.exe', plain: 'Grüße' });
  await redis.sendCommand(['HPEXPIRE', 'page:home', '900000', 'FIELDS', '1', 'plain']);
  await redis.sendCommand(['HSET', Buffer.from([0x6f, 0xff, 0x00]), Buffer.from([0xfe]), Buffer.from([0x01, 0x41])]);
  const fields = {};
  for (let index = 0; index < 450; index += 1) fields[`field:${index}`] = 'v'.repeat(index === 7 ? 5000 : 3);
  await redis.hSet('big', fields);
});

// Opens a page that must not complain; `body` gets it.
async function visit(path, body, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('dialog', (dialog) => { complaints.push(`dialog ${dialog.message()}`); dialog.dismiss(); });
  page.on('console', (message) => {
    // A refused question is said to the user too.
    if (message.type() === 'error' && !/status of 40[13]|ERR_INTERNET_DISCONNECTED/.test(message.text())) complaints.push(message.text());
  });
  page.on('request', (request) => { if (!request.url().startsWith(`${address}/`)) complaints.push(`asked for ${request.url()}`); });
  try {
    await page.goto(`${address}/${path}`);
    await body(page);
    assert.equal(await page.evaluate('window.broken'), undefined);
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
  }
}

const text = (page, selector) => page.locator(selector).innerText();
const has = (page, selector, wanted) => page.locator(selector, { hasText: wanted }).first().waitFor({ timeout: 15000 });

async function picture(page, name) {
  if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`) });
}

test('the overview is live', () => visit('', async (page) => {
  await has(page, '#live', 'live');
  await has(page, '#tiles', '204');
  const busy = setInterval(() => { for (let index = 0; index < 50; index += 1) redis.hGet(`user:${index}`, 'name').catch(() => {}); }, 20);
  try {
    await has(page, '#commands tbody', 'hget');
    await page.locator('#throughput path.line').waitFor({ state: 'attached', timeout: 15000 });
    const rate = page.locator('#tiles .tile', { hasText: 'Commands a second' }).locator('.number');
    await page.waitForFunction((node) => node.textContent !== '0', await rate.elementHandle());
  } finally {
    clearInterval(busy);
  }
  await has(page, '#memory', 'names in a template');
  await has(page, '#templates .chip', 'email');
  await has(page, '#databases', '204');
  await picture(page, 'overview');
}));

test('keys and fields', () => visit('#hashes', async (page) => {
  await has(page, '#keys', 'user:');
  await page.fill('#pattern', 'page:*');
  await page.press('#pattern', 'Enter');
  await has(page, '#keys-note', '1 found');
  await page.click('#keys button.link');
  await has(page, '#hash-title', 'page:home');
  const shown = await text(page, '#fields');
  // Markup is text, what cannot be seen is an escape.
  for (const part of ['<script>window.broken=1</script>', evil, 'two\\nlines', '\\u{202e}gnp.exe', 'Grüße', '14 min']) {
    assert.ok(shown.includes(part), `${part} in ${shown}`);
  }
  assert.equal(await page.locator('#fields img, #fields script').count(), 0);
  await picture(page, 'fields');
  await page.reload();
  await has(page, '#hash-title', 'page:home');
  await page.goBack();
  await page.fill('#pattern', 'o*');
  await page.press('#pattern', 'Enter');
  await has(page, '#keys', 'o\\xff\\x00');
  await page.click('#keys button.link');
  await has(page, '#fields', '\\xfe');
  assert.match(await text(page, '#fields'), /\\x01A/);
}));

test('a big hash comes in pages', () => visit('#hashes?db=0&match=big&key=big', async (page) => {
  await has(page, '#hash-facts', '450');
  const rows = page.locator('#fields tbody tr');
  const first = await rows.count();
  assert.ok(first >= 50 && first < 400, `${first} rows at first`);
  for (let clicks = 0; clicks < 40 && await page.locator('#more-fields').isVisible(); clicks += 1) {
    const before = await rows.count();
    await page.click('#more-fields');
    await page.waitForFunction((count) => document.querySelectorAll('#fields tbody tr').length > count, before);
  }
  assert.equal(await rows.count(), 450);
  await page.getByRole('button', { name: 'Show more' }).click();
  await page.waitForFunction(() => document.getElementById('fields').textContent.includes('v'.repeat(5000)));
}));

test('clients', () => visit('#clients', async (page) => {
  await has(page, '#clients', '127.0.0.1:');
  await has(page, '#clients', 'node-redis');
}));

test('the slow log and hot keys', async () => {
  await redis.sendCommand(['CONFIG', 'SET', 'slowlog-log-slower-than', '0']);
  await redis.sendCommand(['SLOWLOG', 'RESET']);
  await redis.sendCommand(['HOTKEYS', 'START', 'METRICS', '2', 'CPU', 'NET']);
  try {
    for (let index = 0; index < 100; index += 1) await redis.hSet('page:home', evil, index);
    await visit('#slowlog', async (page) => {
      await has(page, '#slowlog', 'page:home');
      await has(page, '#slowlog', evil);
      await page.click('nav a[href="#hotkeys"]');
      await has(page, '#hotkeys', 'page:home');
      assert.equal(await page.locator('#hotkeys article').count(), 2);
      await page.click('nav a[href="#overview"]');
      await page.waitForFunction(() => /µs/.test(document.getElementById('commands').textContent));
    });
  } finally {
    await redis.sendCommand(['HOTKEYS', 'STOP']);
    await redis.sendCommand(['HOTKEYS', 'RESET']);
    await redis.sendCommand(['CONFIG', 'SET', 'slowlog-log-slower-than', '10000']);
  }
});

test('a user sees what it may', async () => {
  await redis.sendCommand(['ACL', 'SETUSER', 'shop', 'reset', 'on', '>s3cret', '~cart:*', '+scan', '+hscan']);
  const options = { httpCredentials: { username: 'shop', password: 's3cret' } };
  try {
    await visit('', async (page) => {
      await has(page, '#overview-notice', "no permissions to run the 'info' command");
      await page.click('nav a[href="#hashes"]');
      await has(page, '#keys', 'cart:1');
      assert.doesNotMatch(await text(page, '#keys'), /user:|big|page:/);
      await page.click('#keys button.link');
      await has(page, '#fields', 'product:7');
      await page.evaluate(() => { location.hash = '#hashes?db=0&key=user:1'; });
      await has(page, '#hash-problem', 'No permissions to access a key');
      assert.doesNotMatch(await text(page, '#hash'), /example.com/);
    }, { ...options, extraHTTPHeaders: { Authorization: `Basic ${Buffer.from('shop:s3cret').toString('base64')}` } });
  } finally {
    await redis.sendCommand(['ACL', 'DELUSER', 'shop']);
  }
});

test('a password is asked for', async () => {
  await redis.sendCommand(['CONFIG', 'SET', 'requirepass', 'secret']);
  try {
    for (const [password, status] of [[null, 401], ['wrong', 401], ['secret', 200]]) {
      const context = await browser.newContext(password === null ? {} : { httpCredentials: { username: 'default', password } });
      try {
        const page = await context.newPage();
        const answer = await page.goto(address).catch((error) => {
          // Without a password to try, Chromium calls it an error of the page.
          assert.match(String(error), /ERR_INVALID_AUTH_CREDENTIALS/);
          return null;
        });
        assert.equal(answer?.status() ?? 401, status, `password ${password}`);
        if (status === 200) await has(page, '#live', 'live');
      } finally {
        await context.close();
      }
    }
  } finally {
    await redis.sendCommand(['CONFIG', 'SET', 'requirepass', '']);
  }
});

test('a server that does not answer, and comes back', () => visit('', async (page) => {
  await has(page, '#live', 'live');
  await page.context().setOffline(true);
  await has(page, '#live', 'no answer');
  await page.context().setOffline(false);
  await has(page, '#live', 'live');
}));

test('keyboard, narrow screens, light and dark', () => visit('', async (page) => {
  await has(page, '#live', 'live');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await has(page, 'nav a[aria-current="page"]', 'Hashes');
  assert.equal(await page.locator('main section:visible').count(), 1);
  const grounds = new Set();
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    grounds.add(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
    for (const [width, height] of [[1360, 900], [820, 1100], [360, 740]]) {
      await page.setViewportSize({ width, height });
      for (const view of ['overview', 'hashes?db=0&key=page:home', 'clients', 'slowlog', 'hotkeys']) {
        await page.evaluate((hash) => { location.hash = hash; }, view);
        const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(over <= 0, `${view} is ${over} pixels wider than ${width}`);
      }
    }
  }
  assert.equal(grounds.size, 2);
}));
