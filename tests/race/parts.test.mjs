// The race's smaller parts: the plan, the command line, the HTML it reads, what it prints, the processes it starts.

import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { parseOptions, UsageError } from './args.mjs';
import { formWith, scriptsOf, titleOf } from './html.mjs';
import { elapsed, Progress, table } from './report.mjs';
import { CHANGES_OF, plan } from './scenario.mjs';
import { Servers } from './servers.mjs';

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

test('the command line', (t) => {
  const app = makeApp(t, { serve: SERVE });
  assert.deepEqual(parseOptions(['--app', app]), { changes: 12, browser: true, jobs: 'async', serve: false, app });
  assert.deepEqual(parseOptions(['--app', app, '--changes', '3', '--no-browser', '--serve']), { changes: 3, browser: false, jobs: 'async', serve: true, app });
  for (const wrong of [['--changes', '0'], ['--changes', 'many'], ['--fast'], ['extra']]) {
    assert.throws(() => parseOptions(['--app', app, ...wrong]), UsageError, wrong.join(' '));
  }
  assert.throws(() => parseOptions(['--app', app, '--sidekiq']), /bin\/worker does not exist/);
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

test('progress rewrites one line on a terminal, and writes lines to a log', () => {
  for (const [isTTY, expected] of [[true, '\r\x1b[Khalf\n'], [undefined, 'half\n']]) {
    let written = '';
    new Progress(() => 'half', { isTTY, columns: 80, write: (text) => (written += text) }).end();
    assert.equal(written, expected);
  }
});

test('an app is started by the contract, and ended with its children', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'race-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const servers = new Servers(folder);
  const app = makeApp(t, { serve: SERVE, worker: '#!/bin/sh\nsleep 600 & wait\n' });
  const url = await servers.startApp({ name: 'usual', app, jobs: 'async', env: { SNIPPET: 'usual' } });
  assert.equal(await (await fetch(url)).text(), 'usual');
  assert.ok(existsSync(join(folder, 'usual-data')));
  assert.deepEqual(servers.casualties(), []);
  await servers.stop();
  await assert.rejects(fetch(url));
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
  const url = await servers.startApp({ name: 'usual', app, jobs: 'async', env: { SNIPPET: 'usual' } });
  await assert.rejects(fetch(`${url}/crash`));
  for (let i = 0; i < 100 && servers.casualties().length === 0; i++) await new Promise((resolve) => setTimeout(resolve, 20));
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
