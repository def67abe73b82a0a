// The server itself: tokens, limits, delays, controls, the loader's address, the page for people, the command line.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { PORTAL, startDouble, usertoken } from './support.mjs';

test('the API wants a bearer token, any', async (t) => {
  const { request } = await startDouble(t);
  for (const path of ['/crm/v3/objects/contacts/51', '/contacts/v1/contact/vid/51/profile']) {
    const { status, json } = await request('GET', path, undefined, {});
    assert.equal(status, 401);
    assert.equal(json.category, 'INVALID_AUTHENTICATION');
    assert.equal((await request('GET', path)).status, 404);
  }
});

test('malformed JSON is a 400', async (t) => {
  const { request } = await startDouble(t);
  for (const body of ['{"properties":', '[]', 'null']) {
    const { status, json } = await request('POST', '/crm/v3/objects/contacts', body);
    assert.equal(status, 400);
    assert.match(json.message, /^Invalid input JSON on line 1, column 1: /);
  }
});

test('so many of the next calls are answered 429', async (t) => {
  const double = await startDouble(t);
  await double.configure({ rate_limit_next: 2 });
  const statuses = [];
  for (let i = 0; i < 3; i++) statuses.push((await double.request('POST', '/crm/v3/objects/contacts', { properties: { email: 'a@x.test' } })).status);
  assert.deepEqual(statuses, [429, 429, 201]);
});

test('what stands before HubSpot answers in its place, whether the call was carried out or not', async (t) => {
  const double = await startDouble(t);
  await double.configure({ outages: [{ status: 503, retry_after: '60' }, { status: 200, carried_out: true }, { status: 477, body: '{}' }] });
  const create = () => fetch(`${double.url}/crm/v3/objects/contacts`, { method: 'POST', headers: { authorization: 'Bearer any' }, body: '{"properties":{"email":"a@x.test"}}' });
  const busy = await create();
  assert.deepEqual([busy.status, busy.headers.get('retry-after'), double.state().contacts.length], [503, '60', 0]);
  assert.match(await busy.text(), /^<!DOCTYPE html>/);
  const lost = await create();
  assert.deepEqual([lost.status, double.state().contacts.length], [200, 1]);
  assert.equal((await create()).status, 477);
  assert.equal((await create()).status, 409);
});

test('an API call takes effect halfway through its delay', async (t) => {
  const double = await startDouble(t, { delayMs: 400 });
  const started = performance.now();
  const call = double.request('POST', '/crm/v3/objects/contacts', { properties: { email: 'a@x.test' } });
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(double.state().contacts.length, 0);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(double.state().contacts.length, 1);
  await call;
  assert.ok(performance.now() - started >= 390);
});

test('the loader comes as late as asked, and addresses HubSpot\'s tracking host', async (t) => {
  const double = await startDouble(t);
  const script = await double.request('GET', `/${PORTAL}.js`);
  assert.ok(script.text.includes("BEACON = 'https:'"));
  assert.ok(script.text.includes("'//' + (host || 'track.hubspot.com')"));
  assert.ok(script.text.includes(`PORTAL = '${PORTAL}'`));
  assert.ok(script.text.includes("'newer' === 'older'"));
  const other = await double.request('GET', `/${PORTAL}.js?beacon=http&order=older`);
  assert.ok(other.text.includes("BEACON = ''"));
  assert.ok(other.text.includes("'older' === 'older'"));
  await double.configure({ loader_delay_ms: 150 });
  for (const path of [`/${PORTAL}.js`, `/${PORTAL}.js?loader_delay_ms=150`]) {
    const started = performance.now();
    await double.request('GET', path);
    assert.ok(performance.now() - started >= 140, path);
  }
  assert.equal((await double.request('GET', '/1.js')).status, 404);
});

test('reset forgets everything; an unknown or wrong setting is refused', async (t) => {
  const double = await startDouble(t);
  await double.create('a@x.test');
  await double.view(usertoken('a'));
  await double.request('POST', '/_double/reset');
  assert.deepEqual((await double.request('GET', '/_double/state')).json, { portal: PORTAL, contacts: [], page_views: [], anonymous_page_views: [], duplicates: [], requests: [], unheld: [], faults: [], errors: [] });
  assert.equal((await double.configure({ no_such: 1 })).status, 400);
  assert.equal((await double.configure({ delay_ms: 'long' })).status, 400);
});

test('the page marks duplicates, tells why, and escapes everything', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('old@x.test');
  await double.view(usertoken('a'), { email: 'old@x.test', id: '<i>7</i>' }, '/<script>alert(1)</script>');
  await double.view(usertoken('a'), { email: 'new@x.test' });
  await double.update(vid, 'new@x.test');
  await double.view(usertoken('b'), { id: '"><script>' });
  const { text } = await double.request('GET', '/');
  assert.ok(text.includes('<span class="tag bad">duplicate</span>'));
  assert.ok(text.includes(`of ${vid}`));
  assert.ok(text.includes('1 update refused (409): new@x.test'));
  assert.ok(text.includes('Page views left anonymous'));
  assert.ok(!text.includes('<script'));
  assert.ok(!text.includes('<i>7'));
});

test('an empty double has a page too', async (t) => {
  const double = await startDouble(t);
  assert.ok((await double.request('GET', '/')).text.includes('No contacts yet.'));
});

test('the command prints where it listens and ends on SIGTERM', async () => {
  const server = spawn(process.execPath, [fileURLToPath(new URL('./server.mjs', import.meta.url)), '--portal', '62515', '--delay-ms', '0']);
  const [line] = await once(server.stdout, 'data');
  const { url, portal } = JSON.parse(line);
  assert.equal(portal, 62515);
  assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/);
  assert.equal((await fetch(`${url}/_double/state`)).status, 200);
  server.kill('SIGTERM');
  assert.deepEqual(await once(server, 'exit'), [0, null]);
});

test('a wrong command line is refused', async () => {
  for (const args of [[], ['--portal', 'x'], ['--portal', '1', '--former-emails', 'lost'], ['--portal', '1', '--delay-ms', 'long'], ['--no-such']]) {
    const server = spawn(process.execPath, [fileURLToPath(new URL('./server.mjs', import.meta.url)), ...args]);
    assert.deepEqual(await once(server, 'exit'), [2, null]);
  }
});
