// The scenario of full loads: no page outlives a click.
//
// Each round, every user
//   1. loads pages in all tabs, and leaves one loading whose tracking code comes only after the worker's call;
//   2. submits the settings form in the first tab, once or twice, while the others load pages, some of them with
//      tracking code slower than the page's deadline, until the app's worker is done;
//   3. loads pages again, which have to name the new email.

import { setTimeout as sleep } from 'node:timers/promises';
import { CHANGES_OF } from './scenario.mjs';
import { Customer, Tally } from './tally.mjs';

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

/** How long after the worker's call the tracking code of a page from before the change comes. */
const AFTER_WORKER_MS = 1_000;

/** Pages that the app has: /pages/1 to /pages/9. */
const PAGES = 9;

/** @implements {import('./race.mjs').Scenario} */
export class FullLoads {
  name = 'full loads';
  tally = new Tally();
  #driver;
  #plan;
  #deadlineMs;
  #workerMs;
  #users = [];
  #stragglers = Promise.resolve();

  /**
   * @param {object} options
   * @param {import('./client.mjs').Driver} options.driver
   * @param {string[]} options.logins
   * @param {import('./scenario.mjs').Kind[][]} options.plan  for each login
   * @param {number} options.deadlineMs  PAGE_DEADLINE
   * @param {number} options.workerMs    how long the worker's call comes after a change, at most: QUIET_PERIOD and the
   *   double's delay
   */
  constructor({ driver, logins, plan, deadlineMs, workerMs }) {
    this.#driver = driver;
    this.logins = logins;
    this.#plan = plan;
    this.#deadlineMs = deadlineMs;
    this.#workerMs = workerMs;
    this.rounds = Math.max(...plan.map((kinds) => kinds.length));
  }

  async open() {
    this.#users = await Promise.all(this.logins.map((login, index) => this.#openUser(login, this.#plan[index])));
  }

  async #openUser(login, kinds) {
    const [profile, secondProfile] = [await this.#driver.newProfile(), await this.#driver.newProfile()];
    const user = {
      customer: new Customer(login),
      kinds,
      form: await profile.newTab(),
      reader: await profile.newTab(),
      straggler: await profile.newTab(),
      elsewhere: await secondProfile.newTab(),
    };
    for (const tab of [user.form, user.reader, user.straggler, user.elsewhere]) tab.signIns?.push({ at: Date.now(), login });
    for (const tab of [user.form, user.elsewhere]) {
      await this.tally.page(tab.goto('/sign_in'));
      await this.tally.page(tab.submit('login', login));
    }
    return user;
  }

  async prepare(round) {
    await this.#forEach(round, (user) => Promise.all([user.reader, user.elsewhere].map((tab) => this.#load(tab))));
    // Rendered before the change, run after the worker's call: only the page's own guard can stop it.
    this.#stragglers = this.#forEach(round, (user) => this.#load(user.straggler, this.#workerMs + AFTER_WORKER_MS));
    this.#stragglers.catch(() => {}); // raised by the traffic
  }

  async traffic(round, isDone) {
    const stragglers = this.#stragglers;
    const beyond = this.#deadlineMs + BEYOND_DEADLINE_MS;
    const busy = this.#forEach(round, async (user, index) => {
      await sleep(index * STAGGER_MS);
      await Promise.all([
        this.#keepLoading(user.reader, isDone, () => 0),
        // The first is rendered just before the change and runs within its deadline: the guard lets it, and only the
        // quiet period keeps the worker's call after it.
        this.#keepLoading(user.elsewhere, isDone, (load) => [SLUGGISH_MS, 0, beyond, 0][load % 4]),
        stragglers.then(() => this.#keepLoading(user.straggler, isDone, (load) => [SLUGGISH_MS, beyond][load % 2])),
      ]);
    });
    await Promise.all([stragglers, busy]);
  }

  async change(round) {
    await this.#forEach(round, async (user, index) => {
      await sleep(index * STAGGER_MS);
      await this.#changeEmail(user, user.kinds[round - 1]);
    });
  }

  async check(round) {
    await this.#forEach(round, (user) => Promise.all([user.form, user.elsewhere].map((tab) => this.tally.expectNamed(user.customer.email, () => this.#load(tab)))));
  }

  /** @param {import('./scenario.mjs').Kind} kind */
  async #changeEmail(user, kind) {
    const former = user.customer.email;
    await this.#submit(user, user.customer.freshEmail());
    if (CHANGES_OF[kind] === 1) return;
    await sleep(SECOND_CHANGE_AFTER_MS[kind]);
    await this.#submit(user, kind === 'back' ? former : user.customer.freshEmail());
  }

  async #submit(user, email) {
    await this.tally.page(user.form.goto('/settings'));
    user.customer.email = email;
    this.tally.changes += 1;
    await this.tally.page(user.form.submit('email', email));
  }

  async #keepLoading(tab, isDone, delayOf) {
    for (let load = 0; !isDone(); load++) {
      await this.#load(tab, delayOf(load));
      await sleep(PAUSE_MS);
    }
  }

  #load(tab, loaderDelayMs = 0) {
    const page = 1 + (this.tally.pages % PAGES);
    return this.tally.page(tab.goto(`/pages/${page}`, { loaderDelayMs }));
  }

  #forEach(round, action) {
    return Promise.all(this.#users.filter((user) => user.kinds.length >= round).map(action));
  }
}
