// What tabs of every engine have in common. An engine's tab does a few things by its own protocol (the abstract methods
// at the end); all that can be done by looking at the page is done here, the same way for all.

import { setTimeout as pause } from 'node:timers/promises';
import { within } from './processes.mjs';

const NAVIGATION_MS = 30_000;
const EVALUATION_MS = 30_000;
/**
 * How long one look at the page may take while something is waited for: a page that leaves meanwhile may never answer.
 */
const LOOK_MS = 1_000;
/** How long history may do nothing before nothing is what it does. */
const HISTORY_MS = 3_000;

/** What tells one shown page from the next: another document, or another address in the same one. */
const SHOWN = '[window.performance && performance.timeOrigin, location.href, document.readyState]';

/** @abstract */
export class Tab {
  /**
   * Leads the tab to an address and waits for the page's `load`.
   * @param {string} url
   * @param {{timeout?: number, until?: 'load'|'commit'}} [options]  `commit`: does not wait for what is loaded later
   */
  async goto(url, { timeout = NAVIGATION_MS, until = 'load' } = {}) {
    await within(this.navigate(url, until), timeout, `going to ${url}`);
    if (until === 'load') await this.#complete(timeout);
  }

  /**
   * Runs a function in the page, or looks at an expression.
   * @param {Function|string} source  of nothing but the page and its arguments
   * @param {...unknown} args  as JSON
   * @returns {Promise<any>} its value by way of JSON; a promise's value once it is there
   */
  evaluate(source, ...args) {
    return this.#evaluate(EVALUATION_MS, source, args);
  }

  async #evaluate(ms, source, args = []) {
    const call = typeof source === 'function' ? `(${source})(${args.map((value) => JSON.stringify(value) ?? 'undefined').join(', ')})` : source;
    const json = await within(this.run(`(async () => JSON.stringify(await (${call})))()`), ms, 'a script in the page');
    return json === undefined || json === null ? undefined : JSON.parse(json);
  }

  /**
   * Waits until a function in the page gives something that is not false.
   * @param {Function|string} source
   * @param {...unknown} args  the last may be {timeout: milliseconds}; a single look may not take longer than a second
   */
  async waitFor(source, ...args) {
    const last = args.at(-1);
    const isOptions = last !== null && typeof last === 'object' && Object.keys(last).join() === 'timeout';
    const { timeout } = isOptions ? args.pop() : { timeout: 30_000 };
    const until = Date.now() + timeout;
    for (let failure; ; await pause(20)) {
      try {
        const value = await this.#evaluate(LOOK_MS, source, args);
        if (value) return value;
        failure = undefined;
      } catch (error) {
        failure = error; // a page on its way out; or a mistake, and then it is the reason below
      }
      if (Date.now() > until) throw new Error(`waited ${timeout} ms in vain for ${source}`, { cause: failure });
    }
  }

  /** Back to the page before, out of the browser's back/forward cache where the browser has it there. */
  back(options) {
    return this.#traverse(-1, options);
  }

  /** @param {{timeout?: number}} [options] */
  forward(options) {
    return this.#traverse(1, options);
  }

  /** @param {{timeout?: number}} [options] */
  async reload({ timeout = NAVIGATION_MS } = {}) {
    const before = await this.#shown();
    await within(this.reloadPage(), timeout, 'reloading');
    await this.#change(before, timeout);
    await this.#complete(timeout);
  }

  /** @returns {Promise<string>} */
  url() {
    return this.evaluate('location.href');
  }

  /** Fills a field as a person would: focus, replace, `input` events. */
  async fill(css, text) {
    await this.evaluate((selector) => {
      const field = document.querySelector(selector);
      if (!field) throw new Error(`there is no ${selector}`);
      field.focus();
      field.select();
    }, css);
    await this.type(css, text);
  }

  async press(css, key) {
    await this.evaluate((selector) => document.querySelector(selector).focus(), css);
    await this.type(css, undefined, key);
  }

  /** @returns {Promise<{x: number, y: number}>} where an element can be clicked, scrolled into view */
  place(css) {
    return this.evaluate((selector) => {
      const element = document.querySelector(selector);
      if (!element) throw new Error(`there is no ${selector}`);
      element.scrollIntoView({ block: 'center' });
      const box = element.getClientRects()[0] ?? element.getBoundingClientRect();
      return { x: Math.floor(box.left + box.width / 2), y: Math.floor(box.top + box.height / 2) };
    }, css);
  }

  async #traverse(delta, { timeout = NAVIGATION_MS } = {}) {
    const before = await this.#shown();
    await within(this.traverse(delta), timeout, 'going through history');
    const changed = await this.#change(before, HISTORY_MS).catch(() => false);
    if (changed) await this.#complete(timeout);
  }

  async #shown() {
    const [origin, href] = await this.#evaluate(LOOK_MS, SHOWN);
    return `${origin} ${href}`;
  }

  async #change(before, ms) {
    for (const until = Date.now() + ms; Date.now() < until; await pause(10)) {
      const now = await this.#shown().catch(() => before);
      if (now !== before) return true;
    }
    throw new Error(`the page did not change within ${ms} ms`);
  }

  async #complete(ms) {
    await this.waitFor("document.readyState === 'complete'", { timeout: ms });
  }

  /* eslint-disable no-unused-vars */
  /**
   * @abstract
   * @param {string} script  an expression whose value is a promise of a text
   * @returns {Promise<string|undefined>}
   */
  run(script) {}
  /**
   * @abstract
   * @param {string} url
   * @param {'load'|'commit'} until  ends when the new document is there, rejects if it cannot be
   */
  navigate(url, until) {}
  /** @abstract */
  reloadPage() {}
  /** @abstract @param {1|-1} delta */
  traverse(delta) {}
  /** @abstract @param {string} css */
  click(css) {}
  /** @abstract @param {string} css  the focused element @param {string} [text] @param {string} [key] such as 'Enter' */
  type(css, text, key) {}
  /** @abstract @param {string} file  a PNG of what is in view */
  screenshot(file) {}
  /** @abstract @param {number} width  of the page, in its own pixels; not in WebKit @param {number} height */
  size(width, height) {}
  /** Before the browser takes the page away. */
  release() {}
  /** @abstract @param {boolean} isFrozen  as a page behind others is, whose timers stand still; Chromium only */
  freeze(isFrozen) {}
  /** @abstract */
  close() {}
}
