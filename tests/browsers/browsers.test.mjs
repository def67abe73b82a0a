// The drivers themselves: what the other suites take for granted is so in every engine.

import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { HubSpotDouble } from '../hubspot/server.mjs';
import { eventually } from './eventually.mjs';
import { ENGINES, launch, missing } from './index.mjs';
import { Program } from './processes.mjs';
import { Proxy } from './proxy.mjs';

const PORTAL = 62515;
const EIGHT_HOURS = 8 * 60 * 60;

/** What a busy machine may take between two looks at a clock, in ms: far less than the clocks are moved. */
const BUSY_MS = 60_000;

/** A site whose pages carry the loader; it keeps the paths it was asked for. */
async function openSite(t) {
  const asked = [];
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://127.0.0.1');
    if (pathname === '/favicon.ico') return response.writeHead(404).end();
    asked.push(pathname);
    if (pathname === '/worker.js') {
      response.writeHead(200, { 'content-type': 'text/javascript' });
      return response.end("self.onfetch = (event) => event.respondWith(new Response('<!doctype html><title>worker</title>', { headers: { 'content-type': 'text/html' } }));");
    }
    const headers = { 'content-type': 'text/html', 'cache-control': pathname.startsWith('/kept') ? 'max-age=600' : 'no-store' };
    if (pathname.startsWith('/strict')) headers['content-security-policy'] = "default-src 'none'; require-trusted-types-for 'script'";
    response.writeHead(200, headers);
    const loader = pathname.startsWith('/tracked') ? `<script async src="//js.hs-scripts.com/${PORTAL}.js"></script>` : '';
    return response.end(`<!doctype html><title>${pathname}</title><body><a href="/kept/link">link</a>
      <form action="/sent"><input name="name" value="old"></form>${loader}`);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { asked, url: `http://127.0.0.1:${server.address().port}`, times: (path) => asked.filter((each) => each === path).length };
}

async function open(t, engine, options) {
  const site = await openSite(t);
  const double = new HubSpotDouble({ portal: PORTAL });
  const hubspot = await double.listen();
  t.after(() => double.close());
  const browser = await launch(engine, { hubspot, ...options });
  t.after(() => browser.close());
  const profile = await browser.newProfile();
  return { site, double, browser, profile, tab: await profile.newTab() };
}

for (const engine of ENGINES) {
  const skip = missing(engine) ?? false;
  if (skip) console.log(`${engine}: ${skip}`);

  test(`${engine}: a page's view reaches the double, and the driver hears it`, { skip, timeout: 90_000 }, async (t) => {
    const { site, double, browser, tab } = await open(t, engine);
    await tab.goto(`${site.url}/tracked`);
    const [view] = await browser.heard(1);
    assert.equal(view.hostname, 'track.hubspot.com');
    assert.ok(Math.abs(view.time - browser.now()) < BUSY_MS);
    await tab.waitFor('document.cookie.includes("hubspotutk")');
    // The proxy hears the view, and then passes it on.
    await eventually(() => double.state().page_views.length > 0);
    assert.equal(double.state().page_views.length, 1);
    assert.match(browser.version, /^\d+\.\d/);
    assert.deepEqual(browser.problems(), []);
  });

  test(`${engine}: two profiles have cookies of their own, two tabs share them`, { skip, timeout: 90_000 }, async (t) => {
    const { site, browser, profile, tab } = await open(t, engine);
    await tab.goto(`${site.url}/a`);
    await tab.evaluate(() => {
      document.cookie = 'who=ann; path=/';
    });
    const second = await profile.newTab();
    await second.goto(`${site.url}/b`);
    assert.equal(await second.evaluate('document.cookie'), 'who=ann');
    const other = await browser.newProfile();
    const foreign = await other.newTab();
    await foreign.goto(`${site.url}/a`);
    assert.equal(await foreign.evaluate('document.cookie'), '');
    assert.equal(await tab.evaluate('document.title'), '/a', 'every tab has kept its own page');
    await second.close();
    await other.close();
    assert.equal(await tab.evaluate('document.title'), '/a');
  });

  test(`${engine}: the HTTP cache, the back/forward cache and service workers are on`, { skip, timeout: 90_000 }, async (t) => {
    const { site, tab } = await open(t, engine);
    await tab.goto(`${site.url}/kept`);
    await tab.goto(`${site.url}/other`);
    await tab.evaluate(() => {
      location.assign('/kept');
    });
    await tab.waitFor("location.pathname === '/kept' && document.readyState === 'complete'");
    assert.equal(site.times('/kept'), 1, 'the second visit came out of the cache');
    await tab.reload();
    assert.equal(site.times('/kept'), 2, 'a reload asks the server');

    await tab.evaluate('window.mark = 1');
    await tab.goto(`${site.url}/other`);
    await tab.back();
    assert.equal(await tab.url(), `${site.url}/kept`);
    assert.equal(await tab.evaluate('window.mark'), 1, 'the same document came back');
    await tab.forward();
    assert.equal(await tab.url(), `${site.url}/other`);

    await tab.evaluate(async () => {
      await navigator.serviceWorker.register('/worker.js');
      await navigator.serviceWorker.ready;
    });
    await tab.goto(`${site.url}/from-the-worker`);
    assert.equal(await tab.evaluate('document.title'), 'worker');
    assert.equal(site.times('/from-the-worker'), 0);
  });

  test(`${engine}: a person's hands: a click, a field, a key; a page that forbids scripts can still be looked into`, { skip, timeout: 90_000 }, async (t) => {
    const { site, profile, tab } = await open(t, engine);
    await tab.goto(`${site.url}/a`);
    await profile.newTab(); // in front of it
    await tab.fill('input', 'ann & bob');
    await tab.press('input', 'Enter');
    await tab.waitFor("location.pathname === '/sent' && document.readyState === 'complete'");
    assert.equal(await tab.evaluate('location.search'), '?name=ann+%26+bob');
    await tab.click('a');
    await tab.waitFor("location.pathname === '/kept/link'");
    await tab.goto(`${site.url}/strict`);
    assert.deepEqual(await tab.evaluate(async (a, b) => [document.title, a + b, null], 1, 2), ['/strict', 3, null]);
    await assert.rejects(tab.evaluate(() => nothingOfThisName), /nothingOfThisName/);
    await assert.rejects(tab.waitFor('false', { timeout: 100 }), /in vain/);
    const folder = mkdtempSync(join(tmpdir(), 'picture-'));
    t.after(() => rmSync(folder, { recursive: true }));
    await tab.screenshot(join(folder, 'page.png'));
    assert.equal(readFileSync(join(folder, 'page.png')).toString('latin1', 1, 4), 'PNG');
  });

  test(`${engine}: the machine sleeps, and the clock is set, on open pages and on new ones`, { skip, timeout: 90_000 }, async (t) => {
    const { site, browser, profile, tab } = await open(t, engine, { wallClock: true });
    const look = (where) => where.evaluate(() => ({ wall: Date.now(), age: performance.now(), since: Date.now() - performance.timing.navigationStart }));
    await tab.goto(`${site.url}/a`);
    const before = await look(tab);
    assert.ok(Math.abs(before.wall - Date.now()) < BUSY_MS);
    await browser.sleep(EIGHT_HOURS);
    const after = await look(tab);
    assert.ok(Math.abs(after.wall - before.wall - EIGHT_HOURS * 1_000) < BUSY_MS, 'the wall clock went on');
    assert.ok(after.age - before.age < BUSY_MS, 'the monotonic clock stood still');
    assert.ok(after.since > EIGHT_HOURS * 1_000, 'the navigation is as old as the wall clock says');
    await tab.goto(`${site.url}/b`);
    assert.ok((await look(tab)).since < BUSY_MS, 'a new page is new');
    await browser.shiftWall(-2 * EIGHT_HOURS);
    const second = await profile.newTab();
    await second.goto(`${site.url}/c`);
    for (const where of [tab, second]) assert.ok(Math.abs((await look(where)).wall - browser.now()) < BUSY_MS);
    assert.ok(Math.abs(browser.now() + EIGHT_HOURS * 1_000 - Date.now()) < 1_000);
  });

  test(`${engine}: what goes elsewhere is refused and told, and what fails in a page where the engine tells it`, { skip, timeout: 90_000 }, async (t) => {
    const { site, browser, tab } = await open(t, engine);
    await tab.goto(`${site.url}/a`);
    await tab.evaluate(async () => {
      const lost = (address) => fetch(address, { mode: 'no-cors' }).catch(() => {});
      await Promise.all([lost('http://elsewhere.test/x'), lost('https://secure.test/x')]);
      setTimeout(() => {
        throw new Error('a mistake of the page');
      });
    });
    if (engine !== 'webkit') await eventually(() => browser.problems().some((problem) => problem.includes('a mistake')));
    const problems = browser.problems().join('\n');
    assert.match(problems, /http:\/\/elsewhere\.test, which was not let out/);
    assert.match(problems, /secure\.test:443 by https, which was not let out/);
    if (engine !== 'webkit') assert.match(problems, /a script failed: .*a mistake of the page/);
    await assert.rejects(tab.goto('http://127.0.0.1:1/nobody', { timeout: 5_000 }));
    assert.deepEqual(browser.said, []);
    await assert.rejects(browser.heard(1, 50), /0 of 1/);
    await assert.rejects(browser.sleep(1), /wallClock/);
  });

  test(`${engine}: nothing is left when it is closed, nor when it could not be launched in time`, { skip, timeout: 90_000 }, async () => {
    const before = ours();
    const browser = await launch(engine, { wallClock: true });
    const tab = await (await browser.newProfile()).newTab();
    await tab.evaluate('1');
    assert.ok(ours().length > before.length);
    await browser.close();
    await assert.rejects(launch(engine, { timeout: 1 }));
    assert.deepEqual(await settled(before), before);
  });
}

test('chromium: a GPU process that dies six times does not end the browser; a browser that ends says how', { skip: missing('chromium') ?? false, timeout: 90_000 }, async () => {
  const browser = await launch('chromium');
  try {
    const tab = await (await browser.newProfile()).newTab();
    for (let died = 0, last; died < 6; await new Promise((resolve) => setTimeout(resolve, 20))) {
      const pid = ours().find((each) => each !== last && argumentsOf(each).includes('--type=gpu-process'));
      if (!pid) continue;
      process.kill(pid, 'SIGKILL');
      last = pid;
      died += 1;
    }
    assert.equal(await tab.evaluate('1 + 1'), 2);
    assert.equal(browser.ended, null);
    process.kill(ours().find((each) => argumentsOf(each).includes('--headless=new') && !argumentsOf(each).includes('--type=')), 'SIGKILL');
    await assert.rejects(tab.evaluate('1'), /gone/);
    await eventually(() => browser.ended);
    assert.match(browser.ended, /chromium ended \(SIGKILL\)/);
  } finally {
    await browser.close();
  }
});

function argumentsOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** The programs of this test's process, and theirs. */
function ours() {
  const parents = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat=,comm='], { encoding: 'utf8' }).trim().split('\n')
    .map((line) => line.trim().split(/\s+/)).filter(([, , state, name]) => !state.startsWith('Z') && name !== 'ps');
  const found = [process.pid];
  for (const parent of found) found.push(...parents.filter(([, ppid]) => Number(ppid) === parent).map(([pid]) => Number(pid)));
  return found;
}

/** Ends of processes take a moment to be seen. */
async function settled(expected) {
  await eventually(() => ours().length <= expected.length);
  return ours();
}

test('a program ends with all that it started', async () => {
  const program = new Program('/bin/sh', ['-c', 'trap "" TERM; sleep 60 & echo up $!; wait; sleep 60']);
  const [, child] = await program.says(/up (\d+)/, 5_000);
  await program.close();
  await eventually(() => !isRunning(Number(child)));
  assert.equal(isRunning(Number(child)), false);
  await assert.rejects(new Program('/bin/sh', ['-c', 'echo no luck; exit 3']).says(/up/, 5_000), /status 3.*no luck/s);
});

function isRunning(pid) {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

test('the proxy: loopback passes unchanged, the loader is told that beacons go by http, a browser\'s own errands are no problem', async (t) => {
  const seen = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    response.writeHead(203, { 'x-kept': 'yes' }).end('answer');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const url = `http://127.0.0.1:${server.address().port}`;
  const proxy = new Proxy({ double: url, now: () => 7, errands: /^updates\.test$/ });
  await proxy.listen();
  t.after(() => proxy.close());
  const [host, port] = proxy.host.split(':');
  const ask = (path, { method = 'GET', body } = {}) => new Promise((resolve, reject) => {
    request({ host, port, path, method, agent: false }, (answer) => {
      answer.setEncoding('utf8');
      let text = '';
      answer.on('data', (part) => { text += part; }).on('end', () => resolve({ status: answer.statusCode, kept: answer.headers['x-kept'], text }));
    }).on('error', reject).end(body);
  });

  assert.deepEqual(await ask(`${url}/page?a=1`), { status: 203, kept: 'yes', text: 'answer' });
  await ask(`http://js.hs-scripts.com/${PORTAL}.js`);
  await ask(`http://js-eu1.hs-scripts.com/${PORTAL}.js?x=1`);
  await ask('http://track.hubspot.com/__ptq.gif?a=1', { method: 'POST', body: 'b' });
  assert.deepEqual(seen, ['GET /page?a=1', `GET /${PORTAL}.js?beacon=http`, `GET /${PORTAL}.js?x=1&beacon=http`, 'POST /__ptq.gif?a=1']);
  const [{ searchParams, time, method, body }] = proxy.said;
  assert.deepEqual([searchParams.get('a'), time, method, body], ['1', 7, 'POST', 'b']);

  assert.equal((await ask('http://updates.test/')).status, 403);
  assert.deepEqual([...proxy.refused], []);
  for (const address of ['http://evil-hs-scripts.com/', 'http://js.hs-scripts.com.evil.test/', 'http://127.0.0.1.evil.test/']) assert.equal((await ask(address)).status, 403);
  assert.equal(proxy.refused.size, 3);
  assert.equal(seen.length, 4);
});
