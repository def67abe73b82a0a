'use strict';

const { failure } = require('./errors.js');
const input = require('./input.js');
const { native } = require('./library.js');
const { opened } = require('./options.js');

const MOST = 2 ** 32 - 1;

/** Waits for what the library does on a thread of Node's pool. */
async function later(promise) {
  try {
    return await promise;
  } catch (error) {
    throw failure(error);
  }
}

/** What a page may say of a user. The email is in no log: neither `console.log` nor `JSON.stringify` shows it. */
class Decision {
  #email;

  constructor({ email, id, reason }) {
    this.#email = email ?? null;
    this.id = id ?? null;
    this.reason = reason;
    Object.freeze(this);
  }

  get email() {
    return this.#email;
  }

  get agreed() {
    return this.reason === 'agreed';
  }
}

class Cache {
  #native;

  constructor(path, portalId, opening) {
    try {
      this.#native = new native.Native(input.path(path), input.portal(portalId), opened(opening));
    } catch (error) {
      throw failure(error);
    }
  }

  get portalId() {
    return this.#native.portal();
  }

  close() {
    return this.#now(() => this.#native.close());
  }

  resolve(user) {
    // What every page may ask does without a function of its own.
    try {
      return this.#native.resolve(input.user(user));
    } catch (error) {
      throw failure(error);
    }
  }

  identity(user) {
    const found = this.#now(() => this.#native.identity(input.user(user)));
    return found && { vid: found.vid, externalId: found.externalId ?? null };
  }

  resolveMany(users) {
    return this.#now(() => this.#native.resolveMany(input.list(users, 'users').map(input.user)));
  }

  decide(user, email) {
    return this.#now(() => new Decision(this.#native.decide(input.user(user), input.email(email))));
  }

  decideMany(pairs) {
    const given = input.list(pairs, 'pairs');
    if (!given.every((pair) => Array.isArray(pair) && pair.length === 2)) throw input.invalidOption('pairs', 'each must be an array of user and email');
    const users = given.map(([user]) => input.user(user));
    const emails = given.map(([, email]) => input.email(email));
    return this.#now(() => this.#native.decideMany(users, emails).map((one) => new Decision(one)));
  }

  snippet(user, email, options) {
    const { nonce } = input.options(options, ['nonce']);
    return this.#now(() => this.#native.snippet(input.user(user), input.email(email), input.text(nonce, 'nonce')));
  }

  anonymousSnippet(options) {
    const { nonce } = input.options(options, ['nonce']);
    return this.#now(() => this.#native.anonymousSnippet(input.text(nonce, 'nonce')));
  }

  signedOutSnippet(options) {
    const { nonce } = input.options(options, ['nonce']);
    return this.#now(() => this.#native.signedOutSnippet(input.text(nonce, 'nonce')));
  }

  pageData(user, email) {
    return this.#now(() => JSON.parse(this.#native.pageData(input.user(user), input.email(email))));
  }

  anonymousPageData() {
    return this.#now(() => JSON.parse(this.#native.anonymousPageData()));
  }

  signedOutPageData() {
    return this.#now(() => JSON.parse(this.#native.signedOutPageData()));
  }

  stats() {
    return this.#now(() => {
      const found = this.#native.stats();
      return { ...found, passing: found.passing ?? null, fallback: found.fallback ?? null, lastError: found.lastError ?? null };
    });
  }

  #now(work) {
    try {
      return work();
    } catch (error) {
      throw failure(error);
    }
  }

  // From here on: on a thread of Node's pool.

  async link(user, vid) {
    await later(this.#native.link(input.user(user), input.vid(vid)));
  }

  async linkShared(user, vid) {
    await later(this.#native.linkShared(input.user(user), input.vid(vid)));
  }

  async record(user, answer, options) {
    const { change, askedAtMs } = input.options(options, ['change', 'askedAtMs']);
    const token = change === null || change === undefined ? undefined : input.token(change);
    const done = await later(this.#native.record(input.user(user), input.answer(answer), token, input.time(askedAtMs, 'askedAtMs')));
    return { ...done, created: done.created ?? null };
  }

  async observe(answer, options) {
    const { askedAtMs } = input.options(options, ['askedAtMs']);
    return later(this.#native.observe(input.answer(answer), input.time(askedAtMs, 'askedAtMs')));
  }

  async applyWebhook(body) {
    return later(this.#native.applyWebhook(input.webhook(body)));
  }

  async importUsers(rows) {
    return later(this.#native.importUsers(input.rows(rows)));
  }

  async beginEmailChange(user) {
    return later(this.#native.beginEmailChange(input.user(user)));
  }

  async abandonEmailChange(user, change) {
    await later(this.#native.abandonEmailChange(input.user(user), input.token(change)));
  }

  async isChangeOutstanding(user, change) {
    return later(this.#native.isChangeOutstanding(input.user(user), input.token(change)));
  }

  async changeOutstandingSince(user, change) {
    return later(this.#native.changeOutstandingSince(input.user(user), input.token(change)));
  }

  async quietPeriodMs() {
    return later(this.#native.quietPeriodMs());
  }

  async lease(user, durationMs, options) {
    const { renew } = input.options(options, ['renew']);
    const duration = input.count(durationMs, 'durationMs') ?? 0;
    const held = renew === null || renew === undefined ? undefined : input.token(renew);
    return later(this.#native.lease(input.user(user), duration, held));
  }

  async release(user, lease) {
    return later(this.#native.release(input.user(user), input.token(lease)));
  }

  async staleChanges(options) {
    const { olderThanMs, limit } = input.options(options, ['olderThanMs', 'limit']);
    const age = input.count(olderThanMs, 'olderThanMs');
    if (age === undefined) throw input.invalidOption('olderThanMs', 'it must be given');
    return later(this.#native.staleChanges(age, input.count(limit, 'limit', MOST) ?? 1000));
  }

  async usersToRead(options) {
    const { confirmed, olderThanMs, after, limit } = input.options(options, ['confirmed', 'olderThanMs', 'after', 'limit']);
    let last;
    if (after !== null && after !== undefined) {
      const { user, vid, readAtMs } = input.options(after, ['user', 'vid', 'readAtMs']);
      last = { user: input.user(user), vid: input.vid(vid), readAtMs: input.time(readAtMs, 'readAtMs') ?? 0 };
    }
    return later(this.#native.usersToRead(input.flag(confirmed, 'confirmed', false), input.count(olderThanMs, 'olderThanMs') ?? 0, last, input.count(limit, 'limit', MOST) ?? 100));
  }

  async conflicts(options) {
    const { after, limit } = input.options(options, ['after', 'limit']);
    const last = after === null || after === undefined ? undefined : input.user(after);
    const found = await later(this.#native.conflicts(last, input.count(limit, 'limit', MOST) ?? 100));
    return found.map((one) => ({ ...one, vid: one.vid ?? null, holder: one.holder ?? null }));
  }

  async endConflict(user) {
    await later(this.#native.endConflict(input.user(user)));
  }

  async refusal(user) {
    return later(this.#native.refusal(input.user(user)));
  }

  async usersOf(vid) {
    return later(this.#native.usersOf(input.vid(vid)));
  }

  async doubtAll() {
    await later(this.#native.doubtAll());
  }

  async explain(user, email) {
    const found = await later(this.#native.explain(input.user(user), input.email(email)));
    return { decision: new Decision(found.decision), sentences: found.sentences };
  }

  async forget(user) {
    return later(this.#native.forget(input.user(user)));
  }

  async export(user) {
    return later(this.#native.export(input.user(user)));
  }

  async verify() {
    return later(this.#native.verify());
  }

  async backup(path) {
    await later(this.#native.backup(input.path(path)));
  }
}

async function moveAside(path) {
  return String(await later(native.moveAside(input.path(path))));
}

async function restore(backup, path) {
  const old = await later(native.restore(input.path(backup), input.path(path)));
  return old ? String(old) : null;
}

module.exports = { Cache, Decision, moveAside, restore };
