// The race's driver without a browser: fetch with a cookie jar, and the page's scripts in window.mjs.
// It has the same shape as the Chromium driver in browser.mjs.

import { performance } from 'node:perf_hooks';
import { isBeacon, readBeacon } from '../hubspot/beacon.mjs';
import { formWith, scriptsOf, titleOf } from './html.mjs';
import { openWindow } from './window.mjs';

const MAX_REDIRECTS = 5;

/**
 * What a page load came to. `said` is what the page's view told HubSpot; null if the page sent no view.
 * @typedef {{path: string, status: number, said: {email: string|null, id: string|null}|null}} PageLoad
 * @typedef {{loaderDelayMs?: number}} LoadOptions  how late the tracking code comes
 *
 * @typedef {object} Tab
 * @property {(path: string, options?: LoadOptions) => Promise<PageLoad>} goto
 * @property {(field: string, value: string) => Promise<PageLoad>} submit  fills the field of the form on the page at
 *   hand, submits, and follows the redirect; the result is the load of the page it leads to
 *
 * @typedef {object} Profile  cookies of its own
 * @property {() => Promise<Tab>} newTab
 *
 * @typedef {object} Driver
 * @property {() => Promise<Profile>} newProfile
 * @property {() => string[]} problems  what went wrong on pages, each once
 * @property {() => Promise<void>} close
 */

/**
 * @param {{appUrl: string, doubleUrl: string}} options
 * @returns {Driver}
 */
export function openClient({ appUrl, doubleUrl }) {
  const problems = new Set();
  const tabs = [];
  return {
    async newProfile() {
      const jar = new CookieJar();
      return {
        async newTab() {
          const tab = new ClientTab({ appUrl, doubleUrl, jar, problems });
          tabs.push(tab);
          return tab;
        },
      };
    },
    problems: () => [...problems],
    async close() {
      for (const tab of tabs) tab.leave();
    },
  };
}

/**
 * A server may close a kept connection at the moment at which the next request is sent on it (gunicorn does after two
 * seconds). A browser asks again on a new connection, and so does this.
 */
export async function ask(url, options) {
  // The next connection that is taken may be a kept one too: there are no more of them than these.
  for (let kept = 8; ; kept -= 1) {
    try {
      return await fetch(url, options);
    } catch (error) {
      if (kept === 0 || !['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes(error.cause?.code)) throw error;
    }
  }
}

/**
 * The cookies that an answer sets. Debian 12's Node is built with a fetch that has no `getSetCookie` yet and joins them
 * by commas, which dates have too; a cookie begins where a name and an equals sign follow.
 * @param {Headers} headers
 * @returns {string[]}
 */
function setCookies(headers) {
  return headers.getSetCookie?.() ?? headers.get('set-cookie')?.split(/,\s*(?=[^;,=\s]+=)/) ?? [];
}

/** One host's cookies; paths, domains and expiry do not matter to the race, deletion does. */
class CookieJar {
  #cookies = new Map();

  /** @param {string} text  as in Set-Cookie and document.cookie */
  set(text) {
    const [pair, ...attributes] = text.split(';');
    const [name, ...value] = pair.trim().split('=');
    const expired = attributes.some((attribute) => /^\s*(max-age=(0|-\d+)|expires=.*\b1970\b.*)\s*$/i.test(attribute));
    if (expired) this.#cookies.delete(name);
    else this.#cookies.set(name, { value: value.join('='), httpOnly: attributes.some((attribute) => /^\s*httponly\s*$/i.test(attribute)) });
  }

  header() {
    return [...this.#cookies].map(([name, { value }]) => `${name}=${value}`).join('; ');
  }

  visibleToScripts() {
    return [...this.#cookies].filter(([, { httpOnly }]) => !httpOnly).map(([name, { value }]) => `${name}=${value}`).join('; ');
  }
}

/** @implements {Tab} */
class ClientTab {
  #context;
  /** @type {import('./window.mjs').PageWindow|null} */
  #window = null;
  /** @type {{url: URL, html: string}|null} */
  #page = null;

  constructor(context) {
    this.#context = context;
  }

  async goto(path, { loaderDelayMs = 0 } = {}) {
    return this.#open(new URL(path, this.#context.appUrl), {}, loaderDelayMs);
  }

  async submit(field, value) {
    const { action, method, fields } = formWith(this.#page.html, field);
    const body = new URLSearchParams({ ...fields, [field]: value });
    return this.#open(new URL(action, this.#page.url), { method, body }, 0);
  }

  /** Leaves the page: its timers end, and scripts still on their way are not run. */
  leave() {
    this.#window?.close();
    this.#window = null;
  }

  async #open(url, request, loaderDelayMs) {
    this.leave();
    const startedAt = performance.now();
    const { html, status, url: finalUrl, headers, respondedAt } = await this.#fetch(url, request);
    this.#page = { url: finalUrl, html };
    const { jar, problems } = this.#context;
    const requests = [];
    const window = openWindow({
      url: finalUrl.href,
      title: titleOf(html),
      cookies: { get: () => jar.visibleToScripts(), set: (text) => jar.set(text) },
      startedAt,
      respondedAt,
      bytes: Buffer.byteLength(html),
      onImage: (address) => requests.push(this.#beacon(address)),
      onError: (error) => problems.add(`a script of ${finalUrl.pathname} failed: ${error.message}`),
    });
    this.#window = window;
    // A content security policy with a nonce runs only the scripts that carry it.
    const nonce = /script-src[^;]*'nonce-([^']+)'/.exec(headers.get('content-security-policy') ?? '')?.[1];
    const allowed = scriptsOf(html).filter((script) => nonce === undefined || script.nonce === nonce || script.src !== null);
    const run = (code, script) => {
      try {
        window.run(code, script.nonce);
      } catch (error) {
        problems.add(`a script of ${finalUrl.pathname} failed: ${error.message}`);
      }
    };
    for (const script of allowed) if (script.src === null) run(script.code, script);
    window.reach('interactive');
    for (const script of allowed) {
      const address = script.src === null ? null : new URL(script.src, finalUrl);
      if (address?.hostname !== 'js.hs-scripts.com') continue; // the app's own scripts are for browsers
      const code = await this.#loader(address, loaderDelayMs);
      if (this.#window === window) run(code, script);
    }
    if (this.#window === window) window.reach('complete');
    // The tracking code runs at the document's load event, and sends the page view there and then.
    const view = (await Promise.all(requests)).find((said) => said?.kind === 'view');
    return { path: finalUrl.pathname, status, said: view ? { email: view.email, id: view.id } : null };
  }

  async #fetch(url, { method = 'GET', body }) {
    const { jar } = this.#context;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const response = await ask(url, { method, body, redirect: 'manual', headers: { accept: 'text/html', cookie: jar.header() } });
      const respondedAt = performance.now();
      for (const cookie of setCookies(response.headers)) jar.set(cookie);
      const location = response.headers.get('location');
      const html = await response.text();
      if (!location) return { html, status: response.status, url, headers: response.headers, respondedAt };
      url = new URL(location, url);
      [method, body] = ['GET', undefined];
    }
    throw new Error(`${url} redirects without end`);
  }

  async #loader(address, loaderDelayMs) {
    const response = await fetch(`${this.#context.doubleUrl}${address.pathname}?loader_delay_ms=${loaderDelayMs}`);
    return response.text();
  }

  /** @returns {Promise<Said|undefined>} what a request of the tracking code said, once the double has it */
  async #beacon(address) {
    const url = new URL(address);
    if (url.hostname !== 'track.hubspot.com' || !isBeacon(url.pathname)) return undefined;
    await fetch(this.#context.doubleUrl + url.pathname + url.search);
    return saidBy(url);
  }
}

/**
 * What a request of the tracking code says about the visitor.
 * @typedef {import('../hubspot/beacon.mjs').Said} Said
 * @param {URL} url
 * @returns {Said}
 */
export function saidBy(url) {
  const { email, id, kind } = readBeacon(url);
  return { email, id, kind };
}
