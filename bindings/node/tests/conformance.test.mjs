// The cases of tests/conformance, which every language replays: over a file, and over the tables in a PostgreSQL.

import assert from 'node:assert/strict';
import { mkdtempSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync, writeSync, closeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Cache, Database, codes, migration } from 'vidcache';
import { Server, missing } from './postgres.mjs';

const FOLDER = 'tests/conformance';
const SECRET = 'thirty-two bytes kept out of it.';
const read = (name) => JSON.parse(readFileSync(join(FOLDER, name), 'utf8'));
const files = readdirSync(FOLDER).filter((name) => name.endsWith('.json') && name !== 'codes.json');
const cases = files.flatMap((name) => read(name).cases.map((one) => ({ ...one, name: `${name}: ${one.name}` })));

test('every code has its number', () => {
  const numbers = Object.fromEntries(Object.entries(read('codes.json')).map(([name, about]) => [name, about.number]));
  assert.deepEqual({ ...codes }, numbers);
});

test('all cases are here', () => assert.ok(cases.length > 40, `${cases.length}`));

// What a file alone has: a path, a state that is open or closed, bytes of its own.
const skip = missing();
const ofAFile = ({ name, steps }) => name.startsWith('files.json') || steps.some(({ call }) => call === 'close');
const ofTables = cases.filter((one) => !ofAFile(one));
let server;
before(async () => {
  if (skip) console.log(`skipped because ${skip}`);
  else server = await Server.start();
});
after(() => server?.stop());

test('most cases are of tables, too', () => assert.ok(ofTables.length > cases.length - 8, `${ofTables.length} of ${cases.length}`));

for (const { name, steps } of cases) {
  test(name, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vidcache-node-'));
    const runner = new Runner(folder);
    try {
      await runner.replayAll(steps);
    } finally {
      runner.cache?.close();
      rmSync(folder, { recursive: true });
    }
  });
}

for (const [at, { name, steps }] of ofTables.entries()) {
  test(`in tables: ${name}`, { skip }, async () => {
    const pool = server.pool({ max: 1 });
    try {
      await new Runner(undefined, pool, `case${at}`).replayAll(steps);
    } finally {
      await pool.end();
    }
  });
}

class Runner {
  #changes = {};

  constructor(folder, pool, schema) {
    Object.assign(this, { folder, pool, schema });
  }

  async replayAll(steps) {
    await this.#open({});
    for (const [at, step] of steps.entries()) await this.replay(step, `step ${at + 1}`);
  }

  async replay(step, place) {
    let found;
    try {
      found = await this.#call(step);
    } catch (error) {
      assert.equal(error.code, step.fails, `${place}: ${error.stack}`);
      return;
    }
    assert.ok(!('fails' in step), `${place}: ${JSON.stringify(found)}, and not ${step.fails}`);
    if (!('gives' in step)) return;
    const wanted = step.gives;
    if (typeof found === 'string' && typeof wanted === 'object') {
      for (const text of wanted.has ?? []) assert.ok(found.includes(text), `${place}: lacks ${text}`);
      for (const text of wanted.lacks ?? []) assert.ok(!found.includes(text), `${place}: has ${text}`);
    } else if (wanted !== null && typeof wanted === 'object' && !Array.isArray(wanted)) {
      assert.ok(found, place);
      for (const [field, value] of Object.entries(wanted)) assert.deepEqual(numbers(found[camel(field)]), numbers(value), `${place}: ${field}`);
    } else assert.deepEqual(numbers(found), numbers(wanted), place);
  }

  async #open({ file = 'cache', portal = 62515, secret = SECRET, page_deadline_ms: pageDeadlineMs }) {
    const options = { secret, ...(pageDeadlineMs !== undefined && { pageDeadlineMs }) };
    if (this.pool) {
      // Another file is another schema.
      const schema = `${this.schema}_${file}`;
      if ((await this.pool.query('SELECT FROM pg_namespace WHERE nspname = $1', [schema])).rowCount === 0) {
        await this.pool.query(`CREATE SCHEMA ${schema}`);
        for (const statement of migration({ schema })) await this.pool.query(statement);
      }
      this.cache = await Database.open(this.pool, portal, { schema, ...options });
    } else {
      this.cache?.close();
      this.cache = new Cache(join(this.folder, file), portal, options);
    }
  }

  #change(step) {
    return typeof step.change === 'string' ? this.#changes[step.change] : step.change;
  }

  async #call(step) {
    const { cache } = this;
    const user = text(step.user);
    const email = text(step.email) ?? null;
    switch (step.call) {
      case 'open': return this.#open(step);
      case 'close': return cache.close();
      case 'write': return writeFileSync(join(this.folder, step.file), step.text);
      case 'patch': {
        const file = openSync(join(this.folder, step.file), 'r+');
        writeSync(file, Buffer.from(step.hex, 'hex'), 0, step.hex.length / 2, step.at);
        return closeSync(file);
      }
      case 'resolve': {
        const found = await cache.identity(user);
        assert.equal(await cache.resolve(user), found && found.vid);
        assert.deepEqual(await cache.resolveMany([user]), [found && found.vid]);
        return found;
      }
      case 'decide': {
        const found = await cache.decide(user, email);
        const [same] = await cache.decideMany([[user, email]]);
        assert.deepEqual([same.email, same.id, same.reason], [found.email, found.id, found.reason]);
        return found;
      }
      case 'snippet': return 'user' in step ? cache.snippet(user, email, { nonce: step.nonce }) : cache.anonymousSnippet({ nonce: step.nonce });
      case 'signed_out_snippet': return cache.signedOutSnippet({ nonce: step.nonce });
      case 'page_data': return pageData('user' in step ? await cache.pageData(user, email) : cache.anonymousPageData());
      case 'signed_out_page_data': return pageData(cache.signedOutPageData());
      case 'quiet_period': return cache.quietPeriodMs();
      case 'link': return cache.link(user, step.vid);
      case 'link_shared': return cache.linkShared(user, step.vid);
      case 'resolve_many': return cache.resolveMany(step.users);
      case 'decide_many': return (await cache.decideMany(step.users.map((one, at) => [one, step.emails[at]]))).map((found) => found.reason);
      case 'explain': return (await cache.explain(user, email)).sentences.join('\n');
      case 'export': return cache.export(user);
      case 'forget': return cache.forget(user);
      case 'record': return cache.record(user, body(step), { change: this.#change(step) });
      case 'observe': return cache.observe(body(step));
      case 'apply_webhook': return cache.applyWebhook('answer' in step ? JSON.stringify(step.answer) : body(step));
      case 'begin_email_change': {
        this.#changes[step.as] = await cache.beginEmailChange(user);
        return undefined;
      }
      case 'abandon_email_change': return cache.abandonEmailChange(user, this.#change(step));
      case 'is_change_outstanding': return cache.isChangeOutstanding(user, this.#change(step));
      case 'change_outstanding_since': {
        if (this.pool) return (await cache.turn(user, this.#change(step))).turn !== 'ended';
        const since = await cache.changeOutstandingSince(user, this.#change(step));
        assert.ok(since === null || (Date.now() - since >= 0 && Date.now() - since < 60_000));
        return since !== null;
      }
      case 'stale_changes': {
        const began = Date.now();
        while (Date.now() <= began);
        return (await cache.staleChanges({ olderThanMs: 0 })).map((change) => change.user);
      }
      case 'import':
        return cache.importUsers(step.rows.map((row) => ({ user: row.user, vid: row.vid, email: row.email, emailAtMs: row.at ?? 0 })));
      case 'verify': return (await cache.verify()).length;
      default: throw new Error(`no such call: ${step.call}`);
    }
  }
}

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

/** Ids are text here, and numbers in the cases: one is compared as the other. */
function numbers(value) {
  if (Array.isArray(value)) return value.map(numbers);
  return typeof value === 'string' && /^[1-9]\d{0,15}$/.test(value) && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** Of this moment, and with null for what it has not. */
function pageData(found) {
  assert.ok(Number.isInteger(found.at) && Date.now() - found.at >= 0 && Date.now() - found.at < 60_000);
  assert.ok(Number.isInteger(found.ttl));
  for (const name of Object.keys(found)) assert.ok(['at', 'ttl', 'id', 'email', 'out'].includes(name), name);
  return { id: null, email: null, out: null, ...found };
}

function body(step) {
  return 'answer' in step ? step.answer : text(step.body);
}

/** What is not UTF-8 comes into a string as half of a pair. */
function text(value) {
  if (value === null || typeof value !== 'object') return value;
  return 'hex' in value ? '\udcff' : value.text.repeat(value.times);
}
