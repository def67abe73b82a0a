// The rows in the app's own PostgreSQL, by the package pg. That everything else is as with a file, conformance.test.mjs
// tells.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { inspect } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { Database, VidcacheError, migration } from 'vidcache';
import { Server, missing } from './postgres.mjs';

const SECRET = 'thirty-two bytes kept out of it.';
const PORTAL = 62515;
const ANN = 'ann@shop.test';
const skip = missing();
const answer = (id, email = ANN, at = '2026-03-01T10:00:00.000Z') => ({ id, properties: { email }, updatedAt: at });
const later = (second) => `2026-03-02T10:00:${String(second).padStart(2, '0')}.000Z`;
const fails = (code) => (error) => error instanceof VidcacheError && error.code === code && error.message.length > 5 && !error.message.includes('ann@');

let server;
let pool;
let schemas = 0;
const told = [];

async function tables() {
  const schema = `shop${++schemas}`;
  await pool.query(`CREATE SCHEMA ${schema}`);
  for (const statement of migration({ schema })) await pool.query(statement);
  await pool.query(`CREATE TABLE ${schema}.users (id bigint PRIMARY KEY, email text NOT NULL)`);
  return schema;
}

/** The tables of one schema as a process of the app has them. */
function open(schema, options) {
  return Database.open(pool, PORTAL, { schema, secret: SECRET, onStale: (why) => told.push(why.code), ...options });
}

/** Another process with a user who is contact 901. */
async function agreed(options) {
  const schema = await tables();
  const database = await open(schema, options);
  await database.record(42, answer('901'));
  await pool.query(`INSERT INTO ${schema}.users VALUES (42, '${ANN}')`);
  assert.equal((await database.decide(42, ANN)).agreed, true);
  return { schema, database };
}

async function transaction(work) {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    const done = await work(client);
    await client.query('COMMIT');
    return done;
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  } finally {
    client.release();
  }
}

const reason = async (database, email = ANN) => (await database.decide(42, email)).reason;

before(async () => {
  if (skip) return console.log(`skipped because ${skip}`);
  server = await Server.start();
  pool = server.pool();
});
after(async () => {
  await pool?.end();
  await server?.stop();
});

test('a change is there if and only if the transaction that changes the email is committed', { skip }, async () => {
  const { schema, database } = await agreed({ pageDeadlineMs: 500 });
  const web = await open(schema, { pageDeadlineMs: 500 });
  const change = (email) => async (client) => {
    const token = await database.within(client).beginEmailChange(42);
    await client.query(`UPDATE ${schema}.users SET email = $1 WHERE id = 42`, [email]);
    assert.equal(await reason(database.within(client)), 'change_outstanding');
    assert.equal(await reason(web), 'agreed', 'nobody sees what is not committed');
    return token;
  };

  await assert.rejects(
    transaction(async (client) => {
      await change('gone@shop.test')(client);
      throw new Error('the app thinks better of it');
    }),
    /better/,
  );
  assert.equal(await reason(web), 'agreed');
  assert.deepEqual(await web.staleChanges({ olderThanMs: 0 }), []);

  const token = await transaction(change('new@shop.test'));
  await database.seeEmailChange(token);
  assert.equal(await reason(web, 'new@shop.test'), 'change_outstanding');
  assert.equal((await web.decide(42, 'new@shop.test')).id, '901');

  // The worker.
  const lease = await web.lease(42, 60_000);
  assert.equal(await database.lease(42, 60_000), null);
  assert.equal(await web.lease(42, 60_000, { renew: lease }), lease);
  const { turn, waitMs } = await web.turn(42, token);
  assert.equal(turn, 'wait');
  assert.ok(waitMs > 3000 && waitMs <= 5500, `${waitMs}`);
  await sleep(waitMs);
  assert.deepEqual(await web.turn(42, token), { turn: 'now', waitMs: null });
  const recorded = await web.record(42, answer('901', 'new@shop.test', later(1)), { change: token });
  assert.deepEqual(recorded, { vid: '901', canonical: true, created: null, emailObserved: true });
  assert.equal(await web.release(42, lease), true);
  assert.equal(await web.release(42, lease), false);
  assert.deepEqual(await web.turn(42, token), { turn: 'ended', waitMs: null });
  assert.equal((await database.decide(42, 'new@shop.test')).email, 'new@shop.test');
  assert.match(await database.snippet(42, 'new@shop.test', { nonce: 'n0nce' }), /nonce="n0nce".*"email":"new@shop.test"/s);
  assert.equal((await database.pageData(42, 'new@shop.test')).id, 'vid:901');
});

test('a change that nobody has seen is seen by the worker', { skip }, async () => {
  const { database } = await agreed();
  const token = await transaction((client) => database.within(client).beginEmailChange(42));
  assert.deepEqual(await database.turn(42, token), { turn: 'seen', waitMs: 15_000 });
  assert.equal((await database.turn(42, token)).turn, 'wait');
  await assert.rejects(database.turn(7, token), fails('foreign_change'));
  await assert.rejects(database.turn(42, 5), fails('unknown_change'));
});

test('a page is one statement that stays prepared, and of a shared contact two', { skip }, async () => {
  const { schema, database } = await agreed();
  const one = server.pool({ max: 1 });
  const prepared = async () => (await one.query('SELECT name FROM pg_prepared_statements')).rows.map(({ name }) => name.slice(0, 9));
  const web = await Database.open(one, PORTAL, { schema, secret: SECRET });
  for (let page = 0; page < 3; page++) assert.equal(await reason(web), 'agreed');
  assert.deepEqual(await prepared(), ['vidcache_']);
  await database.linkShared(43, '901');
  assert.equal((await web.decide(43, ANN)).agreed, true);
  assert.equal((await prepared()).length, 2);
  // What the server has no more is not asked for by name again.
  await one.query('DISCARD ALL');
  assert.deepEqual([await reason(web), await reason(web)], ['stale', 'agreed']);
  // Behind a pooler nothing is kept.
  await one.query('DISCARD ALL');
  const pooled = await Database.open(one, PORTAL, { schema, secret: SECRET, prepared: false });
  assert.equal(await reason(pooled), 'agreed');
  assert.deepEqual(await prepared(), []);
  await one.end();
});

test('answers that are kept are asked for once, and others’ changes are heard of', { skip }, async () => {
  const { schema } = await agreed();
  const one = server.pool({ max: 1 });
  const web = await Database.open(one, PORTAL, { schema, secret: SECRET, maxAgeMs: 1000 });
  for (let page = 0; page < 5; page++) assert.equal(await reason(web), 'agreed');
  assert.deepEqual([web.stats().hits, web.stats().entries], [4, 1]);
  const database = await open(schema);
  assert.equal(database.stats(), null);
  await transaction((client) => database.within(client).beginEmailChange(42));
  await sleep(1100);
  assert.equal(await reason(web), 'change_outstanding');
  await one.end();
});

test('what cannot be asked makes a page that says less, and is told', { skip }, async () => {
  const { schema, database } = await agreed();
  told.length = 0;
  await pool.query(`ALTER TABLE ${schema}.vidcache_links RENAME TO gone`);
  assert.equal(await reason(database), 'stale');
  assert.match(await database.snippet(42, ANN), /^(?!.*ann@).*hs-script-loader/s);
  await transaction(async (client) => {
    await client.query(`UPDATE ${schema}.users SET email = 'kept@shop.test'`);
    assert.equal(await reason(database.within(client)), 'stale');
  });
  assert.deepEqual((await pool.query(`SELECT email FROM ${schema}.users`)).rows, [{ email: 'kept@shop.test' }]);
  await assert.rejects(database.resolve(42), fails('tables_unusable'));
  await pool.query(`ALTER TABLE ${schema}.gone RENAME TO vidcache_links`);
  assert.equal(await reason(database), 'agreed');
  assert.deepEqual(told, ['tables_unusable', 'tables_unusable', 'tables_unusable']);

  const nowhere = server.pool({ host: '/nonexistent', connectionTimeoutMillis: 500 });
  await assert.rejects(Database.open(nowhere, PORTAL, { secret: SECRET, schema }), fails('storage'));
  const cut = server.pool({ max: 1 });
  const web = await Database.open(cut, PORTAL, { schema, secret: SECRET, onStale: (why) => told.push(why.code) });
  const { pid } = (await cut.query('SELECT pg_backend_pid() AS pid')).rows[0];
  await pool.query(`SELECT pg_terminate_backend(${pid})`);
  const pages = [await reason(web), await reason(web)];
  assert.equal(pages[1], 'agreed', 'by another connection');
  await cut.end();
});

test('a page that says less warns once an hour, where the app has no place for it', { skip }, async () => {
  const { schema } = await agreed();
  const quiet = await Database.open(pool, PORTAL, { schema, secret: SECRET });
  const warnings = [];
  const hear = (warning) => warnings.push(warning);
  process.on('warning', hear);
  await pool.query(`ALTER TABLE ${schema}.vidcache_links RENAME TO gone`);
  assert.deepEqual([await reason(quiet), await reason(quiet)], ['stale', 'stale']);
  await sleep(10);
  process.off('warning', hear);
  assert.deepEqual(warnings.map(({ code }) => code), ['tables_unusable']);
  assert.doesNotMatch(inspect(warnings), /ann@/);
});

test('what fails within a transaction leaves it as it was, and is a part of it', { skip }, async () => {
  const { schema, database } = await agreed();
  await database.link(7, '907');
  await transaction(async (client) => {
    await client.query(`UPDATE ${schema}.users SET email = 'kept@shop.test'`);
    await assert.rejects(database.within(client).link(42, '907'), fails('vid_taken'));
    await database.within(client).link(8, '908');
  });
  assert.equal((await pool.query(`SELECT email FROM ${schema}.users`)).rows[0].email, 'kept@shop.test');
  assert.equal(await database.resolve(8), '908');
  await assert.rejects(
    transaction(async (client) => {
      await database.within(client).link(9, '909');
      throw new Error('no');
    }),
  );
  assert.equal(await database.resolve(9), null);
});

test('many at once, over each other’s contacts, all get through', { skip }, async () => {
  const { database } = await agreed();
  const all = Array.from({ length: 60 }, (_, at) => database.record(100 + (at % 3), answer(String(950 + (at % 3)), `u${at % 3}@shop.test`, later(at % 50))));
  await Promise.all(all);
  assert.deepEqual(await database.resolveMany([100, 101, 102, 103]), ['950', '951', '952', null]);
  assert.equal((await database.decide(101, 'u1@shop.test')).agreed, true);
});

test('what a standing job and a person ask', { skip }, async () => {
  const { database } = await agreed();
  const rows = Array.from({ length: 1200 }, (_, at) => ({ user: 1000 + at, vid: 10_000 + at }));
  assert.deepEqual(await database.importUsers(rows), { imported: 1200, vidTaken: 0 });
  const unread = [];
  for await (const one of database.usersToRead()) unread.push(one.vid);
  assert.equal(new Set(unread).size, 1200);
  assert.deepEqual(await database.usersOf(10_000), ['1000']);
  assert.deepEqual([await database.isKnown(1000), await database.isKnown('nobody')], [true, false]);
  assert.deepEqual(await database.identity(42), { vid: '901', externalId: '901' });
  await assert.rejects(database.record(1000, { status: 'error', category: 'CONFLICT', message: 'Contact already exists. Existing ID: 901' }), fails('contact_conflict'));
  const [conflict] = await database.conflicts();
  assert.deepEqual([conflict.user, conflict.vid, conflict.holder, conflict.why], ['1000', '10000', '901', 'email_held']);
  await database.endConflict(1000);
  assert.deepEqual(await database.conflicts(), []);
  const { decision, sentences } = await database.explain(42, ANN);
  assert.equal(decision.agreed, true);
  assert.doesNotMatch(inspect({ decision, sentences }), /ann@/);
  assert.equal(JSON.parse(await database.export(42)).user, '42');
  assert.deepEqual(await database.verify(), []);
  assert.equal(await database.forget(42), true);
  assert.equal(await database.forget(42), false);
  await database.doubtAll();
  assert.equal(database.portalId, String(PORTAL));
});

test('whose tables they are, and what cannot be right, is an error of ours', { skip }, async () => {
  const { schema, database } = await agreed();
  await assert.rejects(Database.open(pool, 1, { schema, secret: SECRET }), fails('wrong_portal'));
  await assert.rejects(open(schema, { secret: 'another secret of thirty-two b.' }), fails('wrong_secret'));
  const rotated = await open(schema, { secret: 'a newer secret of thirty-two b.', oldSecrets: [SECRET] });
  assert.equal(await reason(rotated), 'agreed');
  await assert.rejects(open(schema), fails('wrong_secret'));
  await assert.rejects(open('nowhere'), fails('tables_unusable'));
  for (const options of [{ maxAgeMs: 1 }, { maxAgeMs: 'x' }, { prepared: 1 }, { onStale: 1 }, { durable: true }, { busyTimeoutMs: 1 }, { pageDeadline: 1 }, { schema: 7 }]) {
    await assert.rejects(open(schema, options), fails('invalid_option'), inspect(options));
  }
  await assert.rejects(open(schema, { secret: null }), fails('invalid_secret'));
  await assert.rejects(Database.open(null, PORTAL, { secret: SECRET }), fails('invalid_option'));
  assert.throws(() => new Database(), fails('invalid_option'));
  assert.throws(() => database.within({}), fails('invalid_option'));
  assert.throws(() => migration({ schema: '' }), fails('invalid_option'));
  await assert.rejects(database.decide(null, ANN), fails('invalid_user_key'));
  await assert.rejects(database.decide('', ANN), fails('invalid_user_key'));
  await assert.rejects(database.decide(42, 'x'), fails('invalid_email'));
  await assert.rejects(database.beginEmailChange(''), fails('invalid_user_key'));
  await assert.rejects(database.link(1, 0), fails('invalid_vid'));
  await assert.rejects(database.lease(1, 0), fails('invalid_option'));
});
