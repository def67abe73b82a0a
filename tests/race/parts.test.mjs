// The race's smaller parts: the plan, the command line, the HTML it reads, what it prints, the processes it starts.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { eventually } from '../browsers/eventually.mjs';
import { parseOptions, UsageError } from './args.mjs';
import { Gateway } from './gateway.mjs';
import { formWith, scriptsOf, titleOf } from './html.mjs';
import { Judge, loginOf, sum } from './judge.mjs';
import { elapsed, outcomeTable, Progress, scenarioTable, table } from './report.mjs';
import { CHANGES_OF, plan, turboRounds } from './scenario.mjs';
import { Servers } from './servers.mjs';
import { Tally } from './tally.mjs';
import { verdict } from './verdict.mjs';

/** An example app's folder with these programs in bin/. */
function makeApp(t, programs) {
  const app = mkdtempSync(join(tmpdir(), 'race-app-'));
  t.after(() => rmSync(app, { recursive: true }));
  mkdirSync(join(app, 'bin'));
  for (const [name, code] of Object.entries(programs)) {
    writeFileSync(join(app, 'bin', name), code);
    chmodSync(join(app, 'bin', name), 0o755);
  }
  return app;
}

const SERVE = `#!/usr/bin/env node
require('node:http').createServer((request, response) => response.end(process.env.SNIPPET)).listen(process.env.PORT, '127.0.0.1');
console.log(process.pid);
`;

test('the plan makes exactly as many changes as asked, for any number', () => {
  for (let changes = 1; changes <= 60; changes++) {
    const rounds = plan(changes);
    assert.equal(rounds.flat().reduce((sum, kind) => sum + CHANGES_OF[kind], 0), changes);
    assert.ok(rounds.length <= 4 && rounds.every((kinds) => kinds.length > 0), `for ${changes}`);
  }
});

test('the default plan has every kind of change', () => {
  assert.deepEqual([...new Set(plan(12).flat())].sort(), ['back', 'once', 'quick']);
});

test('Turbo makes about as many changes as the full loads, and some however few those are', () => {
  assert.deepEqual([1, 6, 12, 40].map(turboRounds), [1, 2, 3, 10]);
});

test('the command line', (t) => {
  const app = makeApp(t, { serve: SERVE });
  assert.deepEqual(parseOptions(['--app', app]), { changes: 12, browser: 'chromium', jobs: 'async', hosts: null, serve: false, app });
  assert.deepEqual(parseOptions(['--app', app, '--changes', '3', '--no-browser', '--serve']), { changes: 3, browser: null, jobs: 'async', hosts: null, serve: true, app });
  assert.equal(parseOptions(['--app', app, '--browser', 'webkit']).browser, 'webkit');
  for (const wrong of [['--changes', '0'], ['--changes', 'many'], ['--fast'], ['extra'], ['--browser', 'lynx'], ['--browser', 'firefox', '--no-browser'], ['--hosts', '1'], ['--hosts', 'three']]) {
    assert.throws(() => parseOptions(['--app', app, ...wrong]), UsageError, wrong.join(' '));
  }
  for (const needsWorker of [['--sidekiq'], ['--hosts', '3']]) {
    assert.throws(() => parseOptions(['--app', app, ...needsWorker]), /bin\/worker does not exist/);
  }
  const { jobs, hosts } = parseOptions(['--app', makeApp(t, { serve: SERVE, worker: '' }), '--hosts', '3']);
  assert.deepEqual([jobs, hosts], ['sidekiq', 3]);
});

test('scripts: classic ones, in order, with their nonces', () => {
  const html = `<script type="importmap">{}</script><script nonce='a"b'>one();</script>
    <SCRIPT type="text/javascript" async src="//x.test/a.js?b=1&amp;c=2"></SCRIPT><script type=module>two();</script>`;
  assert.deepEqual(scriptsOf(html), [
    { src: null, code: 'one();', nonce: 'a"b' },
    { src: '//x.test/a.js?b=1&c=2', code: '', nonce: null },
  ]);
});

test('the form with a field, without its buttons, entities decoded', () => {
  const html = `<form action="/out"><input type="submit" value="Sign out"></form>
    <form class="edit" action="/settings?a=1&amp;b=2" method="post"><input type=hidden name="_method" value="patch" />
    <input type="hidden" name="authenticity_token" value="x&#43;y&#x3d;&quot;"><input type="email" name="email"><button>Save</button><input type="submit" name="commit" value="Save"></form>`;
  assert.deepEqual(formWith(html, 'email'), { action: '/settings?a=1&b=2', method: 'POST', fields: { _method: 'patch', authenticity_token: 'x+y="', email: '' } });
  assert.throws(() => formWith(html, 'login'), /no form with a field "login"/);
  assert.equal(titleOf('<title>\n A &amp; B </title>'), 'A & B');
});

test('the table aligns numbers to the right', () => {
  assert.equal(table(['policy', 'pages'], [['usual', 7], ['vidcache', 1234]]), [
    'policy    pages',
    '--------  -----',
    'usual         7',
    'vidcache   1234',
  ].join('\n'));
  assert.equal(elapsed(61_999), '1:01');
});

/** What the double knows after a race of two users, whose contacts were 901 and 902. */
const stateAfter = (requests, duplicates = []) => ({
  contacts: [{ vid: 901, email: 'user1.1@shop.test' }, { vid: 902, email: 'user2@shop.test' }, { vid: 903, email: 'user1@shop.test' }],
  duplicates,
  requests: requests.map((request) => ({ at: 100, kind: 'view', usertoken: 'a', url: 'http://127.0.0.1:1/pages/1', email: null, id: null, held: null, vid: null, ...request })),
});
const CONTACTS = [{ vid: 901, email: 'user1@shop.test' }, { vid: 902, email: 'user2@shop.test' }];
const TAB = { origin: 'http://127.0.0.1:1', signIns: [{ at: 50, login: 'user1' }, { at: 200, login: 'user2' }] };

test('an email is its user\'s, whichever it is of theirs', () => {
  assert.deepEqual(['user1@shop.test', 'User12.3@shop.test', 'ann@shop.test', null].map(loginOf), ['user1', 'user12', null, null]);
});

test('the judge: who was signed in, and for whom a request spoke', () => {
  const cases = [
    ['the user, by email', { email: 'user1.1@shop.test', held: true }, null],
    ['the user, by id', { id: 'vid:901' }, null],
    ['nobody, on the user\'s own cookie', { vid: 901 }, null],
    ['nobody, on a cookie of nobody\'s', {}, null],
    ['somebody else, by email', { email: 'user2@shop.test', held: true }, 'user1'],
    ['somebody else, by id', { id: 'vid:902' }, 'user1'],
    ['nobody, on somebody else\'s cookie', { at: 250, vid: 901 }, 'user2'],
    ['a duplicate of somebody else', { at: 250, vid: 903 }, 'user2'],
    ['the second user', { at: 250, email: 'user2@shop.test', held: true }, null],
    ['the former user, where nobody is signed in', { at: 150, url: `${TAB.origin}/sign_in`, email: 'user1@shop.test', held: true }, 'user1'],
    ['nobody, where nobody is signed in', { at: 150, url: `${TAB.origin}/sign_in`, vid: 901 }, null],
  ];
  for (const [title, request, mistakenFor] of cases) {
    const findings = new Judge(CONTACTS, [TAB]).findings(stateAfter([request]));
    assert.deepEqual([...findings].filter(([, { mistaken }]) => mistaken > 0).map(([login]) => login), mistakenFor ? [mistakenFor] : [], title);
  }
});

test('the judge, without tabs: a usertoken is whose it was first', () => {
  const requests = ['user1@shop.test', 'user1.1@shop.test', 'user2@shop.test'].map((email) => ({ email, held: true, url: 'http://127.0.0.1:2/' }));
  assert.equal(sum([...new Judge(CONTACTS, []).findings(stateAfter(requests)).values()]).mistaken, 1);
});

test('the judge: an email that HubSpot does not hold, and a duplicate, are the user\'s', () => {
  const findings = new Judge(CONTACTS, [TAB]).findings(stateAfter([{ email: 'user1.2@shop.test', held: false }], [{ vid: 903, of: 901 }]));
  assert.deepEqual([...findings], [['user1', { duplicates: 1, unheld: 1, mistaken: 0 }]]);
});

/** Two outcomes as they should be, but for what is given. */
function outcomes({ usual = {}, vidcache = {}, tally = {} }) {
  const outcome = (policy, found) => ({
    policy, contactsBefore: 4, contactsAfter: policy === 'usual' ? 9 : 4, total: sum([found]), anonymous: 0,
    scenarios: [['full loads', found], ['Turbo visits', found]].map(([name, own]) => ({ name, found: own, tally: Object.assign(new Tally(), { checked: 2, confirmed: 2, ...tally }) })),
  });
  return [outcome('usual', { duplicates: 5, unheld: 6, mistaken: 7, ...usual }), outcome('vidcache', { duplicates: 0, unheld: 0, mistaken: 0, ...vidcache })];
}

test('the verdict', () => {
  assert.deepEqual(verdict(outcomes({})), []);
  assert.match(verdict(outcomes({ usual: { duplicates: 0 } })).join(), /made no duplicate/);
  assert.match(verdict(outcomes({ usual: { duplicates: 0, unheld: 0 } })).join(), /did no harm in Turbo visits/);
  assert.match(verdict(outcomes({ usual: { mistaken: 0 } })).join(), /spoke for nobody else/);
  assert.match(verdict(outcomes({ vidcache: { duplicates: 1 } })).join(), /^vidcache made 1 of them/);
  assert.match(verdict(outcomes({ vidcache: { unheld: 2 } })).join(), /^with vidcache, 2 requests named an email/);
  assert.match(verdict(outcomes({ vidcache: { mistaken: 3 } })).join(), /^with vidcache, 3 requests spoke for somebody else/);
  assert.match(verdict(outcomes({ tally: { confirmed: 1 } })).join(), /^with vidcache, 1 of 2 pages of full loads did not name/);
  const [usual, vidcache] = outcomes({});
  assert.match(verdict([usual, { ...vidcache, contactsAfter: 5 }]).join(), /^with vidcache there are 1 contacts more/);
});

test('the tables: a line for each policy, and one for each scenario', () => {
  const both = outcomes({});
  assert.match(outcomeTable(both), /\nusual +0 +0 +0 +4 +9 +5 +6 +7 +0\nvidcache +0 +0 +0 +4 +4 +0 +0 +0 +0$/);
  assert.match(scenarioTable(both), /\nfull loads +5 \/ 6 \/ 7 +0 \/ 0 \/ 0\nTurbo visits +5 \/ 6 \/ 7 +0 \/ 0 \/ 0$/);
});

test('a page that does not name the confirmed email is looked at some more times', async () => {
  const tally = new Tally();
  let loads = 0;
  await tally.expectNamed('user1@shop.test', async () => ({ said: { email: ++loads < 8 ? null : 'User1@shop.test', id: null } }));
  await tally.expectNamed('user1@shop.test', async () => ({ said: null }));
  assert.deepEqual([loads, tally.checked, tally.confirmed], [8, 2, 1]);
});

test('a gateway hands the app on: redirects and headers as they are, the tracking code as late as it is to be', async (t) => {
  const app = createServer((request, response) => {
    if (request.url === '/redirect') return response.writeHead(303, { location: `http://${request.headers.host}/page`, 'set-cookie': ['a=1', 'b=2'] }).end();
    return response.writeHead(request.url === '/page' ? 200 : 404, { 'content-type': 'text/html; charset=utf-8' }).end('<script src="//js.hs-scripts.com/62515.js"></script>é');
  }).listen(0, '127.0.0.1');
  await once(app, 'listening');
  t.after(() => app.close());
  const gateway = new Gateway(`http://127.0.0.1:${app.address().port}`);
  const origin = await gateway.listen();
  t.after(() => gateway.close());
  const page = gateway.nextPage();
  const redirect = await fetch(`${origin}/redirect`, { redirect: 'manual' });
  assert.equal(redirect.headers.get('location'), `${origin}/page`);
  assert.match(redirect.headers.get('set-cookie'), /a=1.*b=2/);
  assert.equal(await (await fetch(`${origin}/page`)).text(), '<script src="//js.hs-scripts.com/62515.js"></script>é');
  assert.deepEqual(await page, { path: '/page', status: 200 }, 'the redirect was no page');
  gateway.loaderDelayMs = 700;
  assert.equal(await (await fetch(`${origin}/page`)).text(), '<script src="//js.hs-scripts.com/62515.js?loader_delay_ms=700"></script>é');
  assert.equal((await fetch(`${origin}/missing`)).status, 404);
});

test('progress rewrites one line on a terminal, and writes lines to a log', () => {
  for (const [isTTY, expected] of [[true, '\r\x1b[Khalf\n'], [undefined, 'half\n']]) {
    let written = '';
    new Progress(() => 'half', { isTTY, columns: 80, write: (text) => (written += text) }).end();
    assert.equal(written, expected);
  }
});

test('races that run at once share the line, and each ends on a line of its own', async () => {
  let written = '';
  const out = { isTTY: true, columns: 24, write: (text) => (written += text) };
  const [usual, vidcache] = ['usual is here', 'vidcache is there'].map((status) => new Progress(() => status, out));
  const shared = '\r\x1b[Kusual is h | vidcache i';
  await eventually(() => written.endsWith(shared));
  assert.ok(written.endsWith(shared), JSON.stringify(written));
  written = '';
  usual.end();
  vidcache.end();
  assert.equal(written, '\r\x1b[Kusual is here\n\r\x1b[Kvidcache is there\n');
});

test('an app is started by the contract, and ended with its children', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'race-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const servers = new Servers(folder);
  const app = makeApp(t, { serve: SERVE, worker: '#!/bin/sh\nsleep 600 & wait\n' });
  const { url } = await servers.startApp({ name: 'usual', app, jobs: 'async', env: { SNIPPET: 'usual' } });
  assert.equal(await (await fetch(url)).text(), 'usual');
  assert.ok(existsSync(join(folder, 'usual-data')));
  assert.deepEqual(servers.casualties(), []);
  await servers.stop();
  await assert.rejects(fetch(url));
});

test('several hosts share a database and no folder, and take turns behind one address', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'race-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const servers = new Servers(folder);
  t.after(() => servers.stop());
  const tell = 'process.env.DATA_DIR, process.env.DATABASE_URL, process.env.SECRET_KEY_BASE';
  const serve = SERVE.replace('process.env.SNIPPET', `JSON.stringify([${tell}])`);
  const app = makeApp(t, { serve, worker: `#!/usr/bin/env node\nconsole.log(JSON.stringify([${tell}]))\n` });
  let started;
  try {
    started = await servers.startApp({ name: 'usual', app, jobs: 'sidekiq', hosts: 3, env: {} });
  } catch (error) {
    if (!/not installed|does not run as root|redis-server ENOENT/.test(error.message)) throw error;
    t.skip(error.message);
    return;
  }
  const told = [];
  for (let asked = 0; asked < 6; asked++) told.push(await (await fetch(started.url)).json());
  const log = join(folder, 'usual-worker.log');
  await eventually(() => readFileSync(log, 'utf8').includes('\n'));
  const [worker] = JSON.parse(readFileSync(log, 'utf8').split('\n')[0]);
  assert.deepEqual([...told.map(([data]) => data), worker], ['web1', 'web2', 'web3', 'web1', 'web2', 'web3', 'worker'].map((host) => join(folder, `usual-${host}-data`)));
  assert.equal(new Set(told.map(([, ...shared]) => shared.join())).size, 1);
  assert.match(told[0][1], /^postgresql:\/\/.*\/usual$/);
  assert.deepEqual(started.given(), [2, 2, 2]);
});

test('an app that does not start is told with the end of its log', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'race-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const servers = new Servers(folder);
  const app = makeApp(t, { serve: '#!/bin/sh\necho no database >&2\nexit 3\n' });
  await assert.rejects(servers.startApp({ name: 'usual', app, jobs: 'async', env: {} }), /usual-app did not start:\n {2}\| no database/);
  assert.deepEqual(servers.casualties(), [], 'it is told once');
});

test('a server that ends by itself is a casualty', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'race-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const servers = new Servers(folder);
  const app = makeApp(t, { serve: SERVE.replace('response.end(', 'request.url === "/crash" ? process.exit(3) : response.end(') });
  const { url } = await servers.startApp({ name: 'usual', app, jobs: 'async', env: { SNIPPET: 'usual' } });
  await assert.rejects(fetch(`${url}/crash`));
  await eventually(() => servers.casualties().length > 0);
  assert.match(servers.casualties()[0], /^usual-app has ended \(3\):\n {2}\| \d+/);
  await servers.stop();
});

test('the double is started and stopped like the rest', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'race-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const servers = new Servers(folder);
  const url = await servers.startDouble({ name: 'usual-double', portal: 1, delayMs: 0 });
  assert.equal((await (await fetch(`${url}/_double/state`)).json()).portal, 1);
  await servers.stop();
  await assert.rejects(fetch(url));
});
