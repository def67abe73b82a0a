// The race: users change their email while their other tabs and a second browser load pages. It is the same for both
// drivers and for both policies; only the app under it differs.
//
// Each round, every user
//   1. loads pages in all tabs, and leaves one loading whose tracking code comes only after the worker's call;
//   2. submits the settings form in the first tab, once or twice, while the others load pages, some of them with tracking
//      code slower than the page's deadline, until the app's worker is done;
//   3. loads pages again. Now HubSpot holds the email, so a page that still says nothing has lost something.

import { setTimeout as sleep } from 'node:timers/promises';
import { CHANGES_OF } from './scenario.mjs';

/** @typedef {import('./client.mjs').Driver} Driver @typedef {import('./client.mjs').PageLoad} PageLoad */

/** Rest between two page loads of a tab: people do not hammer, and two cores have sixteen tabs to serve. */
const PAUSE_MS = 600;

/** Between one user's change and the next one's: at once, their browsers would mostly wait for each other. */
const STAGGER_MS = 600;

/** Between a change and the change back, or on: while the first one is on its way. */
const SECOND_CHANGE_AFTER_MS = { back: 600, quick: 0 };

/** How much longer than the page's deadline a slow page's tracking code takes. */
const BEYOND_DEADLINE_MS = 700;

/** Slow, but within any deadline worth setting. */
const SLUGGISH_MS = 900;

/** How long the app's worker may take for one round's changes. */
const WORKER_TIMEOUT_MS = 60_000;

/** Loads in which a page must name the confirmed email again; more than one, since a busy machine may exceed the deadline. */
const TRIES_AFTER = 3;

/** Pages that the app has: /pages/1 to /pages/9. */
const PAGES = 9;

/**
 * @typedef {object} RaceOptions
 * @property {Driver} driver
 * @property {string} appUrl
 * @property {import('./scenario.mjs').Kind[][]} plan
 * @property {number} deadlineMs  PAGE_DEADLINE
 * @property {number} workerMs    how long the worker's call comes after a change, at most: QUIET_PERIOD and the double's delay
 *
 * @typedef {object} Tally
 * @property {number} changes
 * @property {number} pages
 * @property {number} namedEmail  pages that named an email
 * @property {number} namedId     pages that named the id alone
 * @property {number} namedNobody
 * @property {number} silent      pages whose tracking code sent no page view
 * @property {number} checked     pages looked at after the worker had finished
 * @property {number} confirmed   those of them that named the confirmed email
 */

export class Race {
  #options;
  #users = [];
  /** @type {Tally} */
  #tally = { changes: 0, pages: 0, namedEmail: 0, namedId: 0, namedNobody: 0, silent: 0, checked: 0, confirmed: 0 };
  #round = 0;

  /** @param {RaceOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** @returns {Tally & {round: number, rounds: number}} how far it is */
  progress() {
    return { ...this.#tally, round: this.#round, rounds: this.#rounds };
  }

  /** Signs every user in, in both profiles. */
  async signIn() {
    this.#users = await Promise.all(this.#options.plan.map((kinds, index) => this.#openUser(`user${index + 1}`, kinds)));
  }

  /** @returns {Promise<Tally>} */
  async run() {
    for (this.#round = 1; this.#round <= this.#rounds; this.#round++) {
      const racing = this.#users.filter((user) => user.kinds.length >= this.#round);
      await this.#runRound(racing);
    }
    this.#round = this.#rounds;
    return this.#tally;
  }

  get #rounds() {
    return Math.max(...this.#options.plan.map((kinds) => kinds.length));
  }

  async #openUser(login, kinds) {
    const [profile, secondProfile] = [await this.#options.driver.newProfile(), await this.#options.driver.newProfile()];
    const user = {
      login,
      kinds,
      email: `${login}@shop.test`,
      changes: 0,
      form: await profile.newTab(),
      reader: await profile.newTab(),
      straggler: await profile.newTab(),
      elsewhere: await secondProfile.newTab(),
    };
    for (const tab of [user.form, user.elsewhere]) {
      await this.#count(tab.goto('/sign_in'));
      await this.#count(tab.submit('login', login));
    }
    return user;
  }

  async #runRound(users) {
    const { deadlineMs, workerMs } = this.#options;
    await this.#forEach(users, async (user) => {
      await Promise.all([user.reader, user.elsewhere].map((tab) => this.#load(tab)));
    });
    // Rendered before the change, run after the worker's call: only the page's own guard can stop it.
    const stragglers = this.#forEach(users, (user) => this.#load(user.straggler, workerMs + 1_000));
    await sleep(100);
    let done = false;
    const traffic = this.#forEach(users, async (user, index) => {
      const slow = [SLUGGISH_MS, deadlineMs + BEYOND_DEADLINE_MS];
      await sleep(index * STAGGER_MS);
      await Promise.all([
        this.#keepLoading(user.reader, () => done, () => 0),
        // The first is rendered just before the change and runs within its deadline: the guard lets it, and only the
        // quiet period keeps the worker's call after it.
        this.#keepLoading(user.elsewhere, () => done, (load) => [SLUGGISH_MS, 0, deadlineMs + BEYOND_DEADLINE_MS, 0][load % 4]),
        stragglers.then(() => this.#keepLoading(user.straggler, () => done, (load) => slow[load % 2])),
      ]);
    });
    const loading = Promise.all([stragglers, traffic]);
    const loaded = loading.catch(() => {}); // a failure is raised below, after one of the changes
    try {
      await this.#forEach(users, async (user, index) => {
        await sleep(index * STAGGER_MS);
        await this.#changeEmail(user, user.kinds[this.#round - 1]);
      });
      await this.#workerDone();
    } finally {
      done = true;
      await loaded;
    }
    await loading;
    await this.#forEach(users, (user) => Promise.all([user.form, user.elsewhere].map((tab) => this.#expectNamed(tab, user.email))));
  }

  /** @param {import('./scenario.mjs').Kind} kind */
  async #changeEmail(user, kind) {
    const former = user.email;
    await this.#submit(user, this.#freshEmail(user));
    if (CHANGES_OF[kind] === 1) return;
    await sleep(SECOND_CHANGE_AFTER_MS[kind]);
    await this.#submit(user, kind === 'back' ? former : this.#freshEmail(user));
  }

  #freshEmail(user) {
    user.changes += 1;
    return `${user.login}.${user.changes}@shop.test`;
  }

  async #submit(user, email) {
    await this.#count(user.form.goto('/settings'));
    user.email = email;
    this.#tally.changes += 1;
    await this.#count(user.form.submit('email', email));
  }

  async #keepLoading(tab, isDone, delayOf) {
    for (let load = 0; !isDone(); load++) {
      await this.#load(tab, delayOf(load));
      await sleep(PAUSE_MS);
    }
  }

  /** The worker is done: from here on the page has to name the email that HubSpot confirmed. */
  async #expectNamed(tab, email) {
    this.#tally.checked += 1;
    for (let attempt = 1; attempt <= TRIES_AFTER; attempt++) {
      const { said } = await this.#load(tab);
      if (said?.email?.toLowerCase() === email) {
        this.#tally.confirmed += 1;
        return;
      }
    }
  }

  async #load(tab, loaderDelayMs = 0) {
    const page = 1 + (this.#tally.pages % PAGES);
    return this.#count(tab.goto(`/pages/${page}`, { loaderDelayMs }));
  }

  /** @param {Promise<PageLoad>} loading @returns {Promise<PageLoad>} */
  async #count(loading) {
    this.#tally.pages += 1;
    const load = await loading;
    if (load.status >= 400) throw new Error(`${load.path} answered ${load.status}`);
    if (load.said === null) this.#tally.silent += 1;
    else if (load.said.email) this.#tally.namedEmail += 1;
    else if (load.said.id) this.#tally.namedId += 1;
    else this.#tally.namedNobody += 1;
    return load;
  }

  async #workerDone() {
    const deadline = Date.now() + WORKER_TIMEOUT_MS;
    while (Date.now() < deadline) {
      const response = await fetch(`${this.#options.appUrl}/jobs`);
      if (!response.ok) throw new Error(`GET /jobs answered ${response.status}`);
      const { pending } = await response.json();
      if (pending === 0) return;
      await sleep(100);
    }
    throw new Error(`the app's worker was not done in ${WORKER_TIMEOUT_MS / 1000} s`);
  }

  async #forEach(users, action) {
    await Promise.all(users.map(action));
  }
}
