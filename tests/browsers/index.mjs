// Three browser engines behind one interface, for tests of what a page does in them. Caches, service workers and
// history are as a person has them; the way out is proxy.mjs.

import { createRequire } from 'node:module';
import { setTimeout as pause } from 'node:timers/promises';
import { newCertificate } from './certificate.mjs';
import * as chromium from './chromium.mjs';
import * as firefox from './firefox.mjs';
import { find } from './processes.mjs';
import { Proxy } from './proxy.mjs';
import { WallClock } from './wall_clock.mjs';
import * as webkit from './webkit.mjs';

const engines = { chromium, firefox, webkit };

/** How long a browser may take until it is there. */
const LAUNCH_MS = 45_000;

/** What a browser is given to notice a wall clock that was moved. */
const NOTICE_MS = 100;

export const ENGINES = Object.keys(engines);

/**
 * @typedef {object} EngineOptions  what an engine's module is started with
 * @property {string} proxy  host:port
 * @property {WallClock|null} wallClock
 * @property {{fingerprint: string}} [certificate]  to be taken, of a module that exports NEEDS_HTTPS
 * @property {string[]} args
 * @property {boolean} restores
 * @property {boolean} dark
 * @property {number} timeout
 * @property {(text: string) => void} problem
 */

/**
 * @param {string} engine
 * @returns {string|null} why the engine cannot run here, as a sentence; null if it can
 */
export function missing(engine) {
  const why = engines[engine].missing();
  if (why) return why;
  try {
    createRequire(import.meta.url).resolve('ws');
  } catch {
    return 'skipped because the package ws is not installed: run `npm ci` in tests/browsers';
  }
  return find('cc') ? null : 'skipped because there is no C compiler (cc) on the PATH';
}

/**
 * @param {string} engine
 * @param {object} [options]
 * @param {string} [options.hubspot]  the double's address, where HubSpot's hosts lead
 * @param {boolean} [options.wallClock]  whether the browser's wall clock can be moved
 * @param {boolean} [options.restores]  whether it has one profile that outlives it (`restart`), and hands for tabs
 * @param {boolean} [options.dark]  whether pages are told that dark ones are liked; not in WebKit
 * @param {string[]} [options.args]  more of the browser's own arguments
 * @param {number} [options.timeout]
 * @returns {Promise<Browser>}
 */
export async function launch(engine, { hubspot, wallClock = false, restores = false, dark = false, args = [], timeout = LAUNCH_MS } = {}) {
  const why = missing(engine);
  if (why) throw new Error(why);
  const clock = wallClock ? new WallClock() : null;
  const certificate = hubspot && engines[engine].NEEDS_HTTPS ? newCertificate() : undefined;
  const browser = new Browser(engine, clock, new Proxy({ double: hubspot, now: () => browser.now(), errands: engines[engine].ERRANDS, certificate }));
  try {
    await browser.start({ args, timeout, certificate, restores, dark });
    return browser;
  } catch (error) {
    await browser.close();
    throw error;
  }
}

export class Browser {
  name;
  version = '';
  #clock;
  #proxy;
  #engine;
  #problems = new Set();

  constructor(name, clock, proxy) {
    this.name = name;
    this.#clock = clock;
    this.#proxy = proxy;
  }

  /** Of `launch` only. */
  async start(options) {
    await this.#proxy.listen();
    this.#engine = await engines[this.name].start({
      ...options,
      proxy: this.#proxy.host,
      wallClock: this.#clock,
      problem: (text) => this.#problems.add(text),
    });
    this.version = this.#engine.version;
  }

  /** @returns {Promise<Profile>} with cookies, storage and caches of its own */
  async newProfile() {
    return new Profile(await this.#engine.newProfile());
  }

  /**
   * Ends the browser as a person does, starts it again, and has its tabs come back. Profiles and tabs of before are
   * gone.
   * @param {import('./tab.mjs').Tab} tab  one that shows a page of loopback
   */
  async restart(tab) {
    this.#engine = await this.#engine.restart(tab);
  }

  /** Every tracking request in order: URLs that have `time`, `method` and `body` besides (proxy.mjs). */
  get said() {
    return this.#proxy.said;
  }

  /** Waits until `said` has so many, counted from the launch; rejects after the time. */
  heard(count, ms = 30_000) {
    return this.#proxy.heard(count, ms);
  }

  /** What was not let out, and scripts that failed where the engine tells it (Chromium and Firefox), each once. */
  problems() {
    return [...this.#proxy.refused, ...this.#problems];
  }

  /** @returns {string|null} how the browser's program ended and what it printed last, if it has ended by itself */
  get ended() {
    return this.#engine?.ended() ?? null;
  }

  /** @returns {number} milliseconds since 1970 by the browser's wall clock */
  now() {
    return Date.now() + (this.#clock?.ahead ?? 0);
  }

  /** The machine sleeps for so long: the wall clock has moved on, the monotonic clock has stood still. */
  async sleep(seconds) {
    if (!(seconds >= 0)) throw new RangeError('a machine cannot sleep backwards');
    await this.shiftWall(seconds);
  }

  /** Somebody sets the wall clock by so much; negative: back. */
  async shiftWall(seconds) {
    if (!this.#clock) throw new Error('the wall clock of this browser cannot be moved: launch it with {wallClock: true}');
    this.#clock.set(this.#clock.ahead + seconds * 1_000);
    await pause(NOTICE_MS);
  }

  /** Ends the browser and all that was started with it. */
  async close() {
    const failures = [];
    for (const part of [this.#engine, this.#proxy, this.#clock]) {
      await Promise.resolve(part?.close()).catch((error) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }
}

class Profile {
  #profile;

  constructor(profile) {
    this.#profile = profile;
  }

  /** @returns {Promise<import('./tab.mjs').Tab>} */
  newTab() {
    return this.#profile.newTab();
  }

  // Of a browser that `restores`:

  /**
   * @param {string} url
   * @param {import('./tab.mjs').Tab} [other]  a page of loopback: by it a tab is looked at that is there without its
   *   page
   * @returns {Promise<import('./tab.mjs').Tab>} the tab of this address that nobody has yet, once it is there
   */
  foundTab(url, other) {
    return this.#profile.foundTab(url, other);
  }

  /** @returns {Promise<import('./tab.mjs').Tab>} the second tab that this one is made into */
  duplicate(tab) {
    return this.#profile.duplicate(tab);
  }

  /**
   * The browser takes the page of a tab away, as it does when memory is short. Not in WebKit.
   * @param {import('./tab.mjs').Tab} tab
   * @param {import('./tab.mjs').Tab} other  a page of loopback, which is looked at
   */
  discard(tab, other) {
    return this.#profile.discard(tab, other);
  }

  /** @returns {Promise<import('./tab.mjs').Tab>} the tab again that was closed last, this one; `other` as above */
  reopen(tab, other) {
    return this.#profile.reopen(tab, other);
  }

  async close() {
    await this.#profile.close();
  }
}
