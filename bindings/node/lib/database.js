'use strict';

const { Decision } = require('./cache.js');
const { failure } = require('./errors.js');
const { exchange } = require('./exchange.js');
const input = require('./input.js');
const { native } = require('./library.js');
const { opened } = require('./options.js');

const MOST = 2 ** 32 - 1;
/** Users of one statement. */
const MANY = 500;
const HOUR = 3_600_000;

const optional = (value) => (value === null || value === undefined ? undefined : input.token(value));
const nulled = (given, ...fields) => ({ ...given, ...Object.fromEntries(fields.map((field) => [field, given[field] ?? null])) });
const identity = (found) => (found ? { vid: found.vid, externalId: found.externalId ?? null } : null);

/** Once an hour, for an app that has no place of its own for it. */
function warnSeldom() {
  let at = -Infinity;
  return (error) => {
    if (performance.now() - at < HOUR) return;
    at = performance.now();
    process.emitWarning(`pages say less than they could of who their visitors are: ${error.message}`, { type: 'vidcache', code: error.code });
  };
}

function* parts(list) {
  for (let at = 0; at < list.length; at += MANY) yield list.slice(at, at + MANY);
}

class Database {
  #tables;
  #way;
  #onStale;

  /** Only `open` and `within` make one. */
  constructor(tables, way, onStale) {
    if (!(tables instanceof native.Tables)) throw input.invalidOption('pool', 'await Database.open(pool, portalId, options)');
    this.#tables = tables;
    this.#way = way;
    this.#onStale = onStale;
  }

  static async open(pool, portalId, opening) {
    if (typeof pool?.connect !== 'function') throw input.invalidOption('pool', 'it must be a Pool of the package pg, or like it');
    const given = opened(opening, { without: ['busyTimeoutMs', 'durable'], besides: ['schema', 'maxAgeMs', 'prepared', 'onStale'] });
    const { schema, maxAgeMs, prepared, onStale } = input.object(opening);
    if (onStale !== undefined && typeof onStale !== 'function') throw input.invalidOption('onStale', 'it must be a function');
    const way = { pool, prepares: input.flag(prepared, 'prepared', true) };
    let tables;
    try {
      tables = new native.Tables(input.text(schema, 'schema') ?? 'public', input.portal(portalId), given, input.count(maxAgeMs, 'maxAgeMs') ?? 0);
    } catch (error) {
      throw failure(error);
    }
    const database = new Database(tables, way, onStale ?? warnSeldom());
    await database.#do((inside) => tables.setUp(inside));
    return database;
  }

  within(client) {
    if (typeof client?.query !== 'function') throw input.invalidOption('client', 'it must be the client of a transaction, of the package pg or like it');
    return new Database(this.#tables, { ...this.#way, client }, this.#onStale);
  }

  get portalId() {
    return this.#tables.portal();
  }

  // Pages. What cannot be asked makes one that says less.

  async decide(user, email) {
    return new Decision((await this.#page('decide', user, email)).decision);
  }

  async decideMany(pairs) {
    const given = input.list(pairs, 'pairs');
    if (!given.every((pair) => Array.isArray(pair) && pair.length === 2)) throw input.invalidOption('pairs', 'each must be an array of user and email');
    const decided = [];
    for (const [user, email] of given) decided.push(await this.decide(user, email));
    return decided;
  }

  async snippet(user, email, options) {
    const { nonce } = input.options(options, ['nonce']);
    return (await this.#page('snippet', user, email, input.text(nonce, 'nonce'))).text;
  }

  async pageData(user, email) {
    return JSON.parse((await this.#page('pageData', user, email)).text);
  }

  anonymousSnippet(options) {
    const { nonce } = input.options(options, ['nonce']);
    return this.#tables.anonymousSnippet(input.text(nonce, 'nonce'));
  }

  signedOutSnippet(options) {
    const { nonce } = input.options(options, ['nonce']);
    return this.#tables.signedOutSnippet(input.text(nonce, 'nonce'));
  }

  anonymousPageData() {
    return JSON.parse(this.#tables.anonymousPageData());
  }

  signedOutPageData() {
    return JSON.parse(this.#tables.signedOutPageData());
  }

  stats() {
    return this.#tables.kept() ?? null;
  }

  // What the app and HubSpot say.

  async link(user, vid) {
    await this.#do((inside) => this.#tables.link(inside, input.user(user), input.vid(vid), false));
  }

  async linkShared(user, vid) {
    await this.#do((inside) => this.#tables.link(inside, input.user(user), input.vid(vid), true));
  }

  async record(user, answer, options) {
    const { change, askedAtMs } = input.options(options, ['change', 'askedAtMs']);
    const given = [input.user(user), input.answer(answer), optional(change), input.time(askedAtMs, 'askedAtMs')];
    return nulled((await this.#do((inside) => this.#tables.record(inside, ...given))).recorded, 'created');
  }

  async observe(answer, options) {
    const { askedAtMs } = input.options(options, ['askedAtMs']);
    const given = [input.answer(answer), input.time(askedAtMs, 'askedAtMs')];
    return (await this.#do((inside) => this.#tables.observe(inside, ...given))).observed;
  }

  async applyWebhook(body) {
    const given = input.webhook(body);
    return (await this.#do((inside) => this.#tables.applyWebhook(inside, given))).webhook;
  }

  async importUsers(rows) {
    const report = { imported: 0, vidTaken: 0 };
    for (const part of parts(input.rows(rows))) {
      const { imported, vidTaken } = (await this.#do((inside) => this.#tables.importUsers(inside, part))).imported;
      report.imported += imported;
      report.vidTaken += vidTaken;
    }
    return report;
  }

  async beginEmailChange(user) {
    return (await this.#do((inside) => this.#tables.begin(inside, input.user(user)))).token;
  }

  async seeEmailChange(change) {
    await this.#do((inside) => this.#tables.see(inside, input.token(change)));
  }

  async abandonEmailChange(user, change) {
    await this.#do((inside) => this.#tables.abandon(inside, input.user(user), input.token(change)));
  }

  async isChangeOutstanding(user, change) {
    return (await this.#do((inside) => this.#tables.isOutstanding(inside, input.user(user), input.token(change)))).flag;
  }

  async turn(user, change, options) {
    const { atLeastMs } = input.options(options, ['atLeastMs']);
    const given = [input.user(user), input.token(change), input.count(atLeastMs, 'atLeastMs') ?? 0];
    const { turn, milliseconds } = await this.#do((inside) => this.#tables.turn(inside, ...given));
    return { turn, waitMs: milliseconds ?? (turn === 'seen' ? await this.quietPeriodMs() : null) };
  }

  async quietPeriodMs() {
    return (await this.#do((inside) => this.#tables.quietPeriod(inside))).milliseconds;
  }

  async lease(user, durationMs, options) {
    const { renew } = input.options(options, ['renew']);
    const given = [input.user(user), input.count(durationMs, 'durationMs') ?? 0, optional(renew)];
    return (await this.#do((inside) => this.#tables.lease(inside, ...given))).token ?? null;
  }

  async release(user, lease) {
    return (await this.#do((inside) => this.#tables.release(inside, input.user(user), input.token(lease)))).flag;
  }

  async endConflict(user) {
    await this.#do((inside) => this.#tables.endConflict(inside, input.user(user)));
  }

  async forget(user) {
    return (await this.#do((inside) => this.#tables.forget(inside, input.user(user)))).flag;
  }

  async doubtAll() {
    await this.#do((inside) => this.#tables.doubtAll(inside));
  }

  // What is known.

  async resolve(user) {
    return (await this.identity(user))?.vid ?? null;
  }

  async identity(user) {
    const [found] = (await this.#do((inside) => this.#tables.resolveMany(inside, [input.user(user)]))).identities;
    return identity(found);
  }

  async resolveMany(users) {
    const vids = [];
    for (const part of parts(input.list(users, 'users').map(input.user))) {
      const { identities } = await this.#do((inside) => this.#tables.resolveMany(inside, part));
      vids.push(...identities.map((found) => found?.vid ?? null));
    }
    return vids;
  }

  async isKnown(user) {
    return (await this.#do((inside) => this.#tables.isKnown(inside, input.user(user)))).flag;
  }

  async refusal(user) {
    return (await this.#do((inside) => this.#tables.refusal(inside, input.user(user)))).text ?? null;
  }

  async explain(user, email) {
    const { explanation } = await this.#do((inside) => this.#tables.explain(inside, input.user(user), input.email(email)));
    return { decision: new Decision(explanation.decision), sentences: explanation.sentences };
  }

  async export(user) {
    return (await this.#do((inside) => this.#tables.export(inside, input.user(user)))).text;
  }

  async usersOf(vid) {
    return (await this.#do((inside) => this.#tables.usersOf(inside, input.vid(vid)))).texts;
  }

  async staleChanges(options) {
    const { olderThanMs, limit } = input.options(options, ['olderThanMs', 'limit']);
    const age = input.count(olderThanMs, 'olderThanMs');
    if (age === undefined) throw input.invalidOption('olderThanMs', 'it must be given');
    const most = input.count(limit, 'limit', MOST) ?? 1000;
    return (await this.#do((inside) => this.#tables.staleChanges(inside, age, most))).staleChanges;
  }

  async *usersToRead(options) {
    const { confirmed, olderThanMs } = input.options(options, ['confirmed', 'olderThanMs']);
    const given = [input.flag(confirmed, 'confirmed', false), input.count(olderThanMs, 'olderThanMs') ?? 0];
    let after;
    do {
      const { usersToRead, token } = await this.#do((inside) => this.#tables.usersToRead(inside, ...given, after, MANY));
      yield* usersToRead;
      after = token;
    } while (after !== undefined && after !== null);
  }

  async conflicts(options) {
    const { after, limit } = input.options(options, ['after', 'limit']);
    const last = after === null || after === undefined ? undefined : input.user(after);
    const most = input.count(limit, 'limit', MOST) ?? 100;
    const { conflicts } = await this.#do((inside) => this.#tables.conflicts(inside, last, most));
    return conflicts.map((one) => nulled(one, 'vid', 'holder'));
  }

  async verify() {
    return (await this.#do((inside) => this.#tables.verify(inside))).texts;
  }

  async #page(form, user, email, ...more) {
    const given = [input.user(user), input.email(email), ...more];
    const outcome = await this.#do((inside) => this.#tables[form](inside, ...given));
    if (outcome.why) {
      const why = failure(new Error(outcome.why));
      try {
        this.#onStale(why);
      } catch {
        // A page must not break.
      }
    }
    return outcome;
  }

  #do(make) {
    return exchange(make, this.#way);
  }
}

function migration(options) {
  const { schema } = input.options(options, ['schema']);
  try {
    return native.migration(input.text(schema, 'schema') ?? 'public');
  } catch (error) {
    throw failure(error);
  }
}

module.exports = { Database, migration };
