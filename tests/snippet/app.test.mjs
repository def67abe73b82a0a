// The file for pages of an app's own, page/vidcache.classic.js, under a moved clock: promises that were kept, come
// late, or come in another order, and a queue that takes nothing.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import vm from 'node:vm';
import { openTab, SERVER } from './tab.mjs';

const source = readFileSync(new URL('../../page/vidcache.classic.js', import.meta.url), 'utf8');
const ANN = { id: 'vid:901', email: 'ann@shop.test' };
const BOB = { id: 'vid:902', email: 'bob@shop.test' };

/** A tab with the file in it. */
function openApp() {
  const tab = openTab();
  const Clock = { now: () => SERVER + tab.clock.elapsed };
  const context = vm.createContext({ window: tab.window, document: tab.document, performance: tab.window.performance, Date: Clock, setTimeout, MessageChannel });
  vm.runInContext(source, context);
  const said = () => {
    tab.who ??= tab.window._hsq?.find(([name]) => name === 'identify')?.[1];
    return { ...tab.who };
  };
  return { tab, said, ...vm.runInContext('vidcache', context) };
}

/** An answer that comes when the test says so. */
function answer() {
  let resolve;
  const promise = new Promise((keep) => {
    resolve = keep;
  });
  return { promise, comes: (at, whom) => (resolve({ at: SERVER + at, ttl: 10_000, ...whom }), turn()) };
}

// Longer than a message takes on a busy machine.
const turn = () => new Promise((done) => setTimeout(done, 40));

test('an answer counts from its request', async () => {
  const { tab, said, show } = openApp();
  tab.pass(30_000);
  const { promise, comes } = answer();
  show(promise);
  await turn();
  tab.pass(200);
  await comes(30_100, ANN);
  assert.deepEqual(said(), ANN);
  tab.pass(9_801);
  assert.deepEqual(said(), { id: 'vid:901' });
});

test('a promise that was kept for minutes names no email, whatever the page does in the same task', async () => {
  for (const busy of [0, 50]) {
    const { tab, said, show } = openApp();
    const kept = Promise.resolve({ at: SERVER + 200, ttl: 10_000, ...ANN });
    tab.pass(300_000);
    show(kept.then((data) => data));
    tab.pass(busy);
    await turn();
    assert.deepEqual(said(), { id: 'vid:901' });
  }
});

test('what was asked for before a sign-out, or before what is shown, comes too late', async () => {
  const { tab, said, show, signedOut } = openApp();
  tab.pass(100);
  const [first, second, third] = [answer(), answer(), answer()];
  show(first.promise);
  show(second.promise);
  await turn();
  tab.pass(300);
  await second.comes(200, BOB);
  assert.deepEqual(said(), BOB);
  await first.comes(300, ANN);
  assert.deepEqual(said(), BOB, 'of a host whose clock is ahead');
  show(third.promise);
  await turn();
  signedOut();
  await third.comes(390, ANN);
  assert.deepEqual(said(), {});
  tab.load();
  tab.pass(1_000);
  const next = answer();
  show(next.promise);
  await turn();
  tab.pass(100);
  await next.comes(1_450, BOB);
  assert.deepEqual(said(), BOB, 'the next user');
});

test('signing out throws nothing and ends the identity, whatever has become of the queue', async () => {
  for (const spoil of [(window) => Object.freeze(window._hsq), (window) => { window._hsq = {}; }, (window) => { window._hsq = 7; }]) {
    const { tab, said, show, signedOut } = openApp();
    const { promise, comes } = answer();
    show(promise);
    await turn();
    tab.pass(100);
    await comes(50, ANN);
    assert.deepEqual(said(), ANN);
    spoil(tab.window);
    signedOut();
    assert.deepEqual(said(), {});
  }
});

test('an answer that fails leaves what was shown, and fails for the caller', async () => {
  const { tab, said, show } = openApp();
  const { promise, comes } = answer();
  show(promise);
  await turn();
  tab.pass(100);
  await comes(50, ANN);
  await assert.rejects(show(Promise.reject(new Error('offline'))), /offline/);
  assert.deepEqual(said(), ANN);
  show(undefined);
  assert.deepEqual(said(), {}, 'nothing is nobody');
});
