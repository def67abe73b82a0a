// The guard in Chromium, where pages really come late, out of caches, and out of Turbo's hands. A site of a few pages names a
// contact's email; then the email changes at "HubSpot", and from there on no page may name the old one.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import test from 'node:test';
import { findChromium } from '../race/browser.mjs';
import { saidBy } from '../race/client.mjs';
import { HubSpotDouble } from '../hubspot/server.mjs';

const guard = readFileSync(new URL('../../src/snippet.js', import.meta.url), 'utf8');
const turbo = readFileSync(new URL('node_modules/@hotwired/turbo/dist/turbo.es2017-umd.js', import.meta.url), 'utf8');
const OLD = 'ann@shop.test';
const PORTAL = 62515;
const skip = findChromium() ? false : 'skipped because there is no chromium on the PATH';

/** A site whose every page carries the snippet as src/snippet.rs renders it. */
async function openSite(t, { ttl = 10_000, cacheable = false, delay = 0 } = {}) {
  const site = { email: OLD, delay, requests: 0 };
  const server = createServer(async (request, response) => {
    if (request.url === '/turbo.js') {
      response.writeHead(200, { 'content-type': 'text/javascript', 'cache-control': 'max-age=600' });
      return response.end(turbo);
    }
    if (request.url === '/favicon.ico') return response.writeHead(404).end();
    site.requests += 1;
    const at = Date.now();
    const page = { at, ttl, src: `//js.hs-scripts.com/${PORTAL}.js`, id: '901', ...(site.email && { email: site.email }) };
    await new Promise((resolve) => setTimeout(resolve, site.delay));
    response.writeHead(200, { 'content-type': 'text/html', 'cache-control': cacheable ? 'max-age=600' : 'private, no-store' });
    return response.end(`<!doctype html><title>${request.url}</title>
      <meta name="turbo-prefetch" content="false">
      ${request.url.startsWith('/plain') ? '' : '<script src="/turbo.js"></script>'}
      <body><a href="/a">a</a> <a href="/b">b</a>
      <script>${guard}(window,document,${JSON.stringify(page)});</script>
      <script id="hs-script-loader" async defer data-turbo-eval="false" src="//js.hs-scripts.com/${PORTAL}.js"></script>`);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const double = new HubSpotDouble({ portal: PORTAL });
  const hubspot = new URL(await double.listen());
  t.after(() => double.close());

  const { chromium } = createRequire(new URL('../race/package.json', import.meta.url))('playwright-core');
  const browser = await chromium.launch({
    executablePath: findChromium(),
    // Interception by playwright would switch the HTTP cache off, so the loader's host leads to the double here; what a
    // page tells HubSpot is read off its requests.
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
      '--disable-sync', '--enable-features=BackForwardCache',
      `--host-resolver-rules=MAP js.hs-scripts.com 127.0.0.1:${hubspot.port}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`,
    ],
  });
  t.after(() => browser.close());
  const context = await browser.newContext({ baseURL: `http://127.0.0.1:${server.address().port}` });
  const tab = await context.newPage();
  const said = [];
  const waiting = [];
  context.on('request', (request) => {
    const url = new URL(request.url());
    if (url.hostname !== 'track.hubspot.com') return;
    said.push(saidBy(url));
    waiting.splice(0).forEach((wake) => wake());
  });
  return {
    ...site,
    tab,
    context,
    said,
    /** From here on HubSpot holds another email, and the app's pages are careful. */
    change: () => {
      site.email = null;
    },
    slow: (ms) => {
      site.delay = ms;
    },
    slowLoader: (ms) => fetch(new URL('/_double/config', hubspot), { method: 'PUT', body: JSON.stringify({ loader_delay_ms: ms }) }),
    requests: () => site.requests,
    /** Waits until Turbo has put a page it left into its cache, which it does a moment after the next one is there. */
    cached: (path) => tab.waitForFunction((left) => window.Turbo.session.view.snapshotCache.has(new URL(left, location.href)), path),
    /** Waits until so many page views were sent in all. */
    views: async (count) => {
      const late = AbortSignal.timeout(10_000);
      while (said.length < count) {
        await Promise.race([new Promise((wake) => waiting.push(wake)), new Promise((_, fail) => late.addEventListener('abort', () => fail(new Error(`${said.length} of ${count} page views`))))]);
      }
      return said;
    },
  };
}

test('a Turbo visit names the email of the page that it fetched', { skip }, async (t) => {
  const site = await openSite(t);
  await site.tab.goto('/a');
  await site.views(1);
  await site.tab.click('text=b');
  const said = await site.views(2);
  assert.deepEqual(said.map(({ email }) => email), [OLD, OLD]);
});

test('a page that Turbo restores on the way back does not name the email', { skip }, async (t) => {
  const site = await openSite(t);
  await site.tab.goto('/a');
  await site.views(1);
  site.change();
  await site.tab.click('text=b');
  await site.views(2);
  await site.cached('/a');
  const requests = site.requests();
  await site.tab.goBack();
  const said = await site.views(3);
  assert.equal(site.requests(), requests, 'Turbo restored it from its own cache');
  assert.deepEqual(said.map(({ email }) => email), [OLD, null, null]);
});

test("Turbo's preview of a page it has seen says nothing", { skip }, async (t) => {
  const site = await openSite(t);
  await site.tab.goto('/a');
  await site.views(1);
  await site.tab.click('text=b');
  await site.views(2);
  await site.cached('/a');
  site.change();
  site.slow(1_000);
  await site.tab.click('text=a');
  await site.tab.waitForFunction(() => document.documentElement.hasAttribute('data-turbo-preview'));
  const said = await site.views(3);
  assert.deepEqual(said.map(({ email }) => email), [OLD, OLD, null], 'the preview sent no view, the fresh page a careful one');
});

test('a page out of the HTTP cache does not name the email', { skip }, async (t) => {
  const site = await openSite(t, { cacheable: true });
  await site.tab.goto('/plain');
  await site.views(1);
  site.change();
  const requests = site.requests();
  const other = await site.context.newPage();
  await other.goto('/plain');
  const said = await site.views(2);
  assert.equal(site.requests(), requests, 'the browser had it');
  assert.deepEqual(said.map(({ email }) => email), [OLD, null]);
});

test('the back button does not name the email again', { skip }, async (t) => {
  const site = await openSite(t, { cacheable: true });
  await site.tab.goto('/plain');
  await site.views(1);
  site.change();
  await site.tab.goto('/plain/b');
  await site.views(2);
  await site.tab.goBack();
  await site.tab.waitForURL('**/plain');
  // Either the browser thaws the page, and no script runs again, or it loads it once more, out of its cache.
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.deepEqual(site.said.slice(1).filter(({ email }) => email), []);
});

test('a page whose loader comes after the deadline does not name the email', { skip }, async (t) => {
  const site = await openSite(t, { ttl: 1_000 });
  await site.slowLoader(1_500);
  await site.tab.goto('/plain');
  const said = await site.views(1);
  assert.deepEqual(said.map(({ email, id }) => [email, id]), [[null, '901']]);
});

test('a page that the server held back past the deadline does not name the email', { skip }, async (t) => {
  const site = await openSite(t, { ttl: 1_000, delay: 1_500 });
  await site.tab.goto('/plain');
  const said = await site.views(1);
  assert.deepEqual(said.map(({ email }) => email), [null]);
});
