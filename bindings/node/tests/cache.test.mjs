// What is Node's own: ids as text, promises, bad input, processes, worker threads, the collector, the event loop.

import assert from 'node:assert/strict';
import { fork, spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker, isMainThread, workerData } from 'node:worker_threads';
import { Cache, Decision, VidcacheError, moveAside, restore, verifySignature, version } from 'vidcache';

const SECRET = 'thirty-two bytes kept out of it.';
const EMAIL = 'ann@shop.test';
const answer = (id, email = EMAIL, at = '2026-03-01T10:00:00.000Z') => ({ id, properties: { email }, updatedAt: at });
const here = fileURLToPath(import.meta.url);

// As another process, or on a worker thread: links its share to the file.
const share = isMainThread ? process.argv[2] === 'link' && process.argv.slice(3) : workerData?.share;
if (share) {
  const [path, first, count] = share;
  const cache = new Cache(path, 62515, { secret: SECRET });
  for (let user = Number(first); user < Number(first) + Number(count); user++) await cache.link(user, 1000 + user);
  cache.close();
} else {
  const folders = [];
  let folder;
  let cache;

  const open = (options) => {
    const found = new Cache(join(folder, 'cache'), 62515, { secret: SECRET, durable: false, ...options });
    return found;
  };
  const fails = (code) => (error) => error instanceof VidcacheError && error.code === code && error.message.length > 5;

  beforeEach(() => {
    cache?.close();
    folder = mkdtempSync(join(tmpdir(), 'vidcache-node-'));
    folders.push(folder);
    cache = open();
  });
  after(() => {
    cache.close();
    for (const one of folders) rmSync(one, { recursive: true });
  });

  test('the whole way of a change', async () => {
    assert.deepEqual(await cache.record(42, answer('901')), { vid: '901', canonical: true, created: null, emailObserved: true });
    assert.equal(cache.decide(42, EMAIL).agreed, true);
    assert.match(cache.snippet(42, EMAIL, { nonce: 'n0nce' }), /nonce="n0nce".*"email":"ann@shop.test"/s);
    const change = await cache.beginEmailChange(42);
    assert.match(change, /^[1-9]\d*$/);
    assert.equal(cache.decide(42, EMAIL).reason, 'change_outstanding');
    assert.equal(await cache.isChangeOutstanding(42, change), true);
    assert.equal(await cache.quietPeriodMs(), 15_000);
    const lease = await cache.lease(42, 60_000);
    assert.equal(await cache.lease(42, 60_000), null);
    assert.equal(await cache.lease(42, 60_000, { renew: lease }), lease);
    await cache.record(42, JSON.stringify(answer('901', 'ann@home.test', '2026-03-02T10:00:00.000Z')), { change });
    assert.equal(await cache.release(42, lease), true);
    assert.equal(await cache.release(42, lease), false);
    assert.equal(await cache.changeOutstandingSince(42, change), null);
    assert.equal(cache.decide(42, 'ann@home.test').email, 'ann@home.test');
  });

  test('ids of 64 bits are whole, whatever they are given as', async () => {
    const most = 2n ** 63n - 1n;
    await cache.link(most, most);
    assert.equal(cache.resolve(String(most)), '9223372036854775807');
    assert.deepEqual(cache.identity(most), { vid: String(most), externalId: String(most) });
    await cache.link(-5, '77');
    assert.equal(cache.resolve('-5'), '77');
    assert.equal(cache.portalId, '62515');
    assert.deepEqual(await cache.usersOf(77n), ['-5']);
  });

  test('no log has an email', async () => {
    await cache.record(42, answer('901'));
    const found = cache.decide(42, EMAIL);
    assert.ok(found instanceof Decision);
    assert.equal(found.email, EMAIL);
    assert.doesNotMatch(inspect(found, { showHidden: true, depth: 9 }) + JSON.stringify(found), /ann@/);
    const { sentences } = await cache.explain(42, EMAIL);
    assert.doesNotMatch(sentences.join(), /ann@/);
  });

  test('what cannot be right is an error of ours, thrown or in the promise', async () => {
    for (const user of [null, undefined, {}, [], true, 1.5, NaN, 2 ** 53, 2n ** 63n, '', 'x'.repeat(256), 'a\0b', '\ud800']) {
      assert.throws(() => cache.resolve(user), fails('invalid_user_key'), inspect(user));
      assert.throws(() => cache.resolveMany([1, user]), fails('invalid_user_key'));
      await assert.rejects(cache.link(user, 1), fails('invalid_user_key'));
    }
    for (const vid of [0, -1, 1.5, '', 'x', '1'.repeat(20), 2n ** 63n, null, undefined, {}]) await assert.rejects(cache.link(1, vid), fails('invalid_vid'), inspect(vid));
    for (const email of [1, {}, '', 'x', '\ud800@shop.test']) assert.throws(() => cache.decide(1, email), fails('invalid_email'), inspect(email));
    for (const change of [0, -1, 'x', {}, null, 2n ** 64n]) await assert.rejects(cache.isChangeOutstanding(1, change), fails('unknown_change'), inspect(change));
    for (const given of ['{', 7, null, undefined, Symbol('x'), { a: 1n }]) await assert.rejects(cache.record(1, given), fails('invalid_answer'), inspect(given));
    for (const given of ['', '{', 7, null, {}]) await assert.rejects(cache.applyWebhook(given), fails('invalid_webhook'), inspect(given));
    assert.throws(() => cache.snippet(1, null, { nonces: 'x' }), fails('invalid_option'));
    assert.throws(() => cache.snippet(1, null, 'n0nce'), fails('invalid_option'));
    assert.throws(() => cache.snippet(1, null, { nonce: 7 }), fails('invalid_option'));
    assert.throws(() => cache.decideMany([[1]]), fails('invalid_option'));
    assert.throws(() => cache.resolveMany('12'), fails('invalid_option'));
    await assert.rejects(cache.lease(1, 0), fails('invalid_option'));
    await assert.rejects(cache.staleChanges(), fails('invalid_option'));
    await assert.rejects(cache.conflicts({ limit: -1 }), fails('invalid_option'));
    await assert.rejects(cache.importUsers([null]), fails('invalid_option'));
    await assert.rejects(cache.importUsers([{ user: 1, vid: 0 }]), fails('invalid_vid'));
    await assert.rejects(cache.usersToRead({ after: { user: '1', vid: 'x', readAtMs: 0 } }), fails('invalid_vid'));
    for (const options of [{ secret: 'short' }, { oldSecrets: [null] }, { secret: 7 }]) assert.throws(() => open(options), fails('invalid_secret'), inspect(options));
    for (const options of [{ pageDeadline: 10 }, { pageDeadlineMs: 1 }, { busyTimeoutMs: -1 }, { memory: 1.5 }, { durable: 1 }, { loaderHost: 'a b' }, { oldSecrets: 'x' }]) {
      assert.throws(() => open(options), fails('invalid_option'), inspect(options));
    }
    for (const options of [null, 'secret']) assert.throws(() => new Cache(join(folder, 'b'), 1, options), fails('invalid_option'));
    for (const portal of [0, -1, 'x', null, 2n ** 63n]) assert.throws(() => new Cache(join(folder, 'b'), portal), fails('invalid_portal'), inspect(portal));
    for (const path of [null, 7, {}, new URL('https://shop.test/'), join(folder, 'no', 'folder')]) assert.throws(() => new Cache(path, 1), fails('cannot_open'), inspect(path));
  });

  test('errors carry what a program needs', async () => {
    await cache.link(1, 901);
    await assert.rejects(cache.link(2, 901), (error) => {
      assert.deepEqual([error.code, error.number, error.vid, error.retryAfterMs, error.name], ['vid_taken', 203, '901', null, 'VidcacheError']);
      return error instanceof Error && error.stack.includes('cache.test');
    });
    await assert.rejects(cache.record(1, { status: 'error', category: 'RATE_LIMITS', policyName: 'TEN_SECONDLY_ROLLING' }), fails('rate_limited'));
  });

  test('a closed cache says so, whatever is asked', async () => {
    cache.close();
    cache.close();
    assert.throws(() => cache.resolve(1), fails('closed'));
    await assert.rejects(cache.link(1, 1), fails('closed'));
  });

  test('the lists', async () => {
    assert.deepEqual(await cache.importUsers([{ user: 1, vid: 11 }, { user: 'b', vid: '12', email: EMAIL, emailAtMs: 1_700_000_000_000 }, { user: 3, vid: 11n }]), { imported: 2, vidTaken: 1 });
    const [first, ...rest] = await cache.usersToRead();
    assert.deepEqual([first, rest], [{ user: '1', vid: '11', readAtMs: 0 }, []]);
    assert.deepEqual(await cache.usersToRead({ after: first }), []);
    await assert.rejects(cache.record(1, answer('12')), fails('vid_taken'));
    const [conflict] = await cache.conflicts();
    assert.deepEqual({ ...conflict, sinceMs: 0 }, { user: '1', vid: '11', holder: '12', why: 'vid_taken', sinceMs: 0 });
    assert.ok(Math.abs(Date.now() - conflict.sinceMs) < 60_000);
    await cache.endConflict(1);
    assert.deepEqual(await cache.conflicts(), []);
    assert.equal(await cache.refusal(1), null);
    const change = await cache.beginEmailChange('b');
    const [stale] = await cache.staleChanges({ olderThanMs: 0 });
    assert.deepEqual([stale.user, stale.token], ['b', change]);
    assert.equal(JSON.parse(await cache.export('b')).user, 'b');
    assert.equal(await cache.forget('b'), true);
    assert.equal(await cache.forget('b'), false);
    assert.deepEqual(await cache.verify(), []);
    assert.equal(cache.resolve(1), '11');
    const stats = cache.stats();
    assert.ok(stats.revision > 0 && stats.misses > 0 && stats.lastError === null, inspect(stats));
  });

  test('copies are made, put back and moved aside', async () => {
    await cache.record(42, answer('901'));
    const [copy, path] = [join(folder, 'copy'), join(folder, 'cache')];
    await cache.backup(copy);
    await assert.rejects(cache.backup(copy), fails('cannot_open'));
    await assert.rejects(restore(copy, path), fails('busy'));
    cache.close();
    const old = await restore(copy, path);
    assert.ok(old.startsWith(`${path}.aside-`) && existsSync(old));
    cache = new Cache(pathToFileURL(path), 62515, { secret: Buffer.from(SECRET) });
    assert.equal(cache.decide(42, EMAIL).reason, 'email_unconfirmed');
    cache.close();
    assert.ok(existsSync(await moveAside(Buffer.from(path))));
    await assert.rejects(moveAside(path), fails('cannot_open'));
  });

  test('a request of HubSpot is known by its signature', () => {
    const [method, uri, body, nowMs] = ['POST', 'https://shop.test/hubspot', '[]', 1_700_000_000_000];
    const signature = createHmac('sha256', 'client secret').update(method + uri + body + nowMs).digest('base64');
    const headers = { 'x-hubspot-signature-v3': signature, 'x-hubspot-request-timestamp': String(nowMs) };
    for (const given of [headers, new Headers(headers), new Map(Object.entries(headers))]) verifySignature('client secret', { method, uri, body: Buffer.from(body), headers: given, nowMs });
    assert.throws(() => verifySignature('client secret', { method, uri, body: '[1]', headers, nowMs }), fails('invalid_signature'));
    assert.throws(() => verifySignature('client secret', { method, uri, body, headers }), fails('invalid_signature'));
    for (const secret of ['', null, 7]) assert.throws(() => verifySignature(secret, { method, uri, body, headers, nowMs }), fails('invalid_option'));
    assert.throws(() => verifySignature('client secret', { method, uri, body, nowMs }), fails('invalid_option'));
  });

  test('what waits for the disk does not keep the event loop', async () => {
    let ticks = 0;
    const timer = setInterval(() => { ticks += 1; }, 1);
    const durable = new Cache(join(folder, 'durable'), 62515, { secret: SECRET });
    await Promise.all(Array.from({ length: 200 }, (_, at) => durable.link(at + 1, at + 1)));
    clearInterval(timer);
    assert.ok(ticks > 3, `${ticks}`);
    assert.equal(durable.resolveMany(Array.from({ length: 200 }, (_, at) => at + 1)).filter(Boolean).length, 200);
    // A call that was begun before it is closed ends as it may; none is lost without a word.
    const last = durable.link(1000, 1000);
    durable.close();
    await last.catch((error) => assert.equal(error.code, 'closed'));
  });

  test('processes and worker threads write to one file at once', async () => {
    const path = join(folder, 'cache');
    const ended = (child, event) => new Promise((done, failed) => child.on('error', failed).on(event, (code) => (code === 0 ? done() : failed(new Error(`it ended with ${code}`)))));
    const shares = [0, 1, 2, 3].map((at) => [path, 1 + 100 * at, 100]);
    await Promise.all([
      ...shares.slice(0, 2).map((one) => ended(fork(here, ['link', ...one.map(String)]), 'exit')),
      ...shares.slice(2).map((one) => ended(new Worker(new URL(import.meta.url), { workerData: { share: one } }), 'exit')),
    ]);
    const users = Array.from({ length: 400 }, (_, at) => at + 1);
    assert.deepEqual(cache.resolveMany(users), users.map((user) => String(1000 + user)));
  });

  test('the collector closes what nobody has closed', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc');
    const path = join(folder, 'left');
    const use = async () => new Cache(path, 62515, { secret: SECRET }).link(1, 1);
    await use();
    for (let turn = 0; turn < 20; turn++) {
      collect();
      await new Promise((done) => setTimeout(done, 5));
      // Closed with the next call that may wait.
      if (await restoreable(path)) return;
    }
    assert.fail('the file is open still');
  });

  async function restoreable(path) {
    await cache.link(1, 1);
    try {
      await moveAside(path);
      return true;
    } catch (error) {
      assert.equal(error.code, 'busy');
      return false;
    }
  }

  test('CommonJS has the same', () => {
    const required = createRequire(import.meta.url)('vidcache');
    assert.equal(required.Cache, Cache);
    assert.equal(required.version, version);
  });

  test('a process that ends with a cache open, and a call on its way, ends well', () => {
    const program = `const { Cache } = require('vidcache');
      const cache = new Cache(${JSON.stringify(join(folder, 'cache'))}, 62515, { secret: '${SECRET}' });
      cache.link(1, 1); process.exit(cache.resolve(7) === null ? 0 : 1);`;
    const { status, stderr } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8', cwd: join(here, '..') });
    assert.equal(status, 0, stderr);
  });
}
