// The scenario of a single-page app: the page makes itself in the browser, asks the server who the visitor is with each
// view, after the change and every few seconds, and tells HubSpot of its views by itself.

import { setTimeout as sleep } from 'node:timers/promises';
import { Customer, Tally } from './tally.mjs';

const PAUSE_MS = 400;
const VIEWS = 6;

/** Users who take part. */
export const SPA_USERS = 1;

/** @param {string} appUrl @returns {Promise<boolean>} whether the app has such a page */
export async function hasSpa(appUrl) {
  return (await fetch(`${appUrl}/vidcache.js`)).ok;
}

/** @implements {import('./race.mjs').Scenario} */
export class SinglePage {
  name = 'a single-page app';
  tally = new Tally();
  #driver;
  #customer;
  #view = 0;

  /** @param {{driver: import('./client.mjs').Driver, logins: string[], rounds: number}} options */
  constructor({ driver, logins, rounds }) {
    this.#driver = driver;
    this.logins = logins;
    this.rounds = rounds;
    this.#customer = new Customer(logins[0]);
  }

  async open() {
    const profile = await this.#driver.newProfile();
    this.tabs = [await profile.newTab(), await profile.newTab(), await profile.newTab()];
    for (const tab of this.tabs) tab.signIns.push({ at: Date.now(), login: this.#customer.login });
    await this.tally.page(this.tabs[0].goto('/sign_in'));
    await this.tally.page(this.tabs[0].submit('login', this.#customer.login));
    await Promise.all(this.tabs.map(async (tab) => {
      await this.tally.page(tab.goto('/app'));
      await tab.waitFor(() => document.documentElement.dataset.ready === 'true');
    }));
  }

  async prepare() {
    await Promise.all(this.tabs.map((tab) => this.#show(tab)));
  }

  /** One tab goes from view to view, another stays where it is, both with events and clicks. */
  async traffic(_, isDone) {
    const [, walker, sitter] = this.tabs;
    await Promise.all([walker, sitter].map(async (tab) => {
      while (!isDone()) {
        if (tab === walker) await this.#show(tab);
        await this.#press(tab);
        await sleep(PAUSE_MS);
      }
    }));
  }

  async change() {
    const [tab] = this.tabs;
    this.#customer.email = this.#customer.freshEmail();
    this.tally.changes += 1;
    await this.#shown(tab, (email) => {
      document.getElementById('email').value = email;
      document.getElementById('settings').requestSubmit();
    }, this.#customer.email);
    await this.#press(tab);
  }

  async check() {
    await Promise.all(this.tabs.map((tab) => this.#press(tab)));
    await Promise.all(this.tabs.map((tab) => this.tally.expectNamed(this.#customer.email, () => this.#show(tab))));
  }

  #show(tab) {
    const view = 1 + (this.#view++ % VIEWS);
    return this.#shown(tab, (path) => document.querySelector(`a[href="${path}"]`).click(), `/app/${view}`);
  }

  /** @returns {Promise<import('./client.mjs').PageLoad>} the view that an action leads to */
  #shown(tab, action, ...args) {
    const view = tab.nextView();
    return this.tally.page(tab.evaluate(action, ...args).then(async () => ({ path: '/app', status: 200, said: await view })));
  }

  async #press(tab) {
    for (const button of ['like', 'ask']) await this.tally.event(tab.press(button));
  }
}
