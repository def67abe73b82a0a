// The race's driver in a browser: Chromium, Firefox or WebKit, by tests/browsers. HubSpot's two hosts are answered by
// the double, the app is on loopback, and nothing else is let out.

import { setTimeout as sleep } from 'node:timers/promises';
import { launch } from '../browsers/index.mjs';
import { readBeacon } from '../hubspot/beacon.mjs';
import { saidBy } from './client.mjs';
import { Gateway } from './gateway.mjs';

/** How long a page may take to come: as long as a browser's driver waits, since a busy machine may need it. */
const PAGE_MS = 30_000;

/** How long a page may take to say what is waited for, after its tracking code is there. */
const PATIENCE_MS = 5_000;

/** After so long without a request a tab has said what it had to say. */
const SETTLED_MS = 200;

/** @param {import('../hubspot/beacon.mjs').Beacon} beacon @returns {string} the origin of the page that it speaks of */
const originOf = ({ url }) => /^https?:\/\/[^/]+/.exec(url)?.[0] ?? '';

/**
 * @param {'chromium'|'firefox'|'webkit'} engine
 * @param {{appUrl: string, doubleUrl: string}} options
 * @returns {Promise<EngineDriver>}
 */
export async function openEngine(engine, { appUrl, doubleUrl }) {
  return new EngineDriver(await launch(engine, { hubspot: doubleUrl }), appUrl);
}

/** @implements {import('./client.mjs').Driver} */
class EngineDriver {
  /** @type {EngineTab[]} */
  tabs = [];
  #browser;
  #appUrl;

  constructor(browser, appUrl) {
    this.#browser = browser;
    this.#appUrl = appUrl;
  }

  async newProfile() {
    const profile = await this.#browser.newProfile();
    return {
      newTab: async () => {
        const gateway = new Gateway(this.#appUrl);
        const origin = await gateway.listen();
        const tab = new EngineTab(await profile.newTab(), gateway, origin, this.#browser.said);
        this.tabs.push(tab);
        return tab;
      },
    };
  }

  problems() {
    return [...new Set(this.#browser.problems())];
  }

  /** Keeps a picture of what a tab shows of an address. */
  async screenshot(url, file) {
    const tab = await (await this.#browser.newProfile()).newTab();
    await tab.goto(url);
    await tab.screenshot(file);
    await tab.close();
  }

  async close() {
    await this.#browser.close();
    await Promise.all(this.tabs.map((tab) => tab.gateway.close()));
  }
}

/** @implements {import('./client.mjs').Tab} */
export class EngineTab {
  /** Who has signed in here, and since when. @type {{at: number, login: string}[]} */
  signIns = [];
  #tab;
  #said;

  /**
   * @param {import('../browsers/tab.mjs').Tab} tab
   * @param {Gateway} gateway
   * @param {string} origin  where this tab finds the app
   * @param {URL[]} said     every tracking request of the browser, as it comes
   */
  constructor(tab, gateway, origin, said) {
    this.#tab = tab;
    this.gateway = gateway;
    this.origin = origin;
    this.#said = said;
  }

  async goto(path, { loaderDelayMs = 0 } = {}) {
    this.gateway.loaderDelayMs = loaderDelayMs;
    return this.load(() => this.#tab.goto(this.origin + path, { until: 'commit' }), loaderDelayMs);
  }

  async submit(field, value) {
    this.gateway.loaderDelayMs = 0;
    // By the browser, even where Turbo would send it.
    return this.load(() => this.evaluate((name, text) => {
      const input = document.querySelector(`form input[name="${name}"]`);
      input.form.dataset.turbo = 'false';
      input.value = text;
      setTimeout(() => input.form.requestSubmit()); // not now: it would take this very call along
    }, field, value));
  }

  /**
   * Does what leads to a page, and waits for the page and for its view.
   * @param {() => Promise<unknown>} action
   * @param {number} [loaderDelayMs]
   * @returns {Promise<import('./client.mjs').PageLoad>}
   */
  async load(action, loaderDelayMs = 0) {
    const coming = this.gateway.nextPage();
    const heard = this.#said.length;
    await action();
    const late = sleep(loaderDelayMs + PAGE_MS, null, { ref: false });
    const page = await Promise.race([coming, late]);
    if (!page) throw new Error(`no page came in ${(loaderDelayMs + PAGE_MS) / 1000} s`);
    return { ...page, said: page.status < 400 ? await this.nextView(loaderDelayMs + PATIENCE_MS, heard) : null };
  }

  /**
   * @param {number} [ms]
   * @param {number} [heard]  how many requests the browser had sent when the waiting began
   * @returns {Promise<import('./client.mjs').PageLoad['said']>} what the next page view of this tab says; null if none
   *   comes in time
   */
  async nextView(ms = PATIENCE_MS, heard = this.#said.length) {
    const url = await this.#next(['view'], ms, heard);
    return url && saidBy(url);
  }

  /**
   * Clicks a button that HubSpot is told of, by the app or by HubSpot's code, which watches for the mouse going down.
   * @param {string} id
   * @returns {Promise<boolean>} whether HubSpot was told
   */
  async press(id) {
    const telling = this.#next(['event', 'behavioural'], PATIENCE_MS);
    await this.evaluate((button) => {
      const element = document.getElementById(button);
      element.dispatchEvent(new MouseEvent('mousedown', { bubbles: true }));
      element.click();
    }, id);
    return (await telling) !== null;
  }

  /**
   * @param {import('../hubspot/beacon.mjs').Kind[]|null} kinds  null: any
   * @param {number} ms
   * @param {number} [seen]  how many requests of the browser came before
   * @returns {Promise<URL|null>} the first such request of this tab from then on; null if none comes in time
   */
  async #next(kinds, ms, seen = this.#said.length) {
    for (const until = Date.now() + ms; Date.now() < until; await sleep(10)) {
      for (; seen < this.#said.length; seen++) {
        const url = this.#said[seen];
        const beacon = readBeacon(url);
        if (originOf(beacon) === this.origin && (!kinds || kinds.includes(beacon.kind))) return url;
      }
    }
    return null;
  }

  /** Waits until the tab has said what it had to say. */
  async settled() {
    while (await this.#next(null, SETTLED_MS));
  }

  /** @returns {Promise<any>} */
  evaluate(source, ...args) {
    return this.#tab.evaluate(source, ...args);
  }

  /** @returns {Promise<any>} */
  waitFor(source, ...args) {
    return this.#tab.waitFor(source, ...args);
  }
}
