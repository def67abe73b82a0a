// What the tests of the double share.

import { webcrypto } from 'node:crypto';
import vm from 'node:vm';
import { readFileSync } from 'node:fs';
import { readBeacon, readError } from './beacon.mjs';
import { HubSpotDouble } from './server.mjs';

export const PORTAL = 62515;

/**
 * A double of the test's own, closed when the test ends.
 * @param {import('node:test').TestContext} t
 * @param {object} [options]  of HubSpotDouble
 */
export async function startDouble(t, options = {}) {
  const double = new HubSpotDouble({ portal: PORTAL, ...options });
  const url = await double.listen();
  t.after(() => double.close());

  /** @returns {Promise<{status: number, json: any, text: string}>} */
  const request = async (method, path, body, headers = { authorization: 'Bearer any' }) => {
    const response = await fetch(url + path, { method, headers, body: typeof body === 'object' ? JSON.stringify(body) : body });
    const text = await response.text();
    return { status: response.status, text, json: response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : undefined };
  };
  return {
    url,
    request,
    state: () => double.state(),
    configure: (settings) => request('PUT', '/_double/config', settings),
    /** Creates a contact over the API. @returns {Promise<number>} its vid */
    create: async (email) => Number((await request('POST', '/crm/v3/objects/contacts', { properties: { email } })).json.id),
    update: (vid, email) => request('PATCH', `/crm/v3/objects/contacts/${vid}`, { properties: { email } }),
    merge: (primaryObjectId, objectIdToMerge) => request('POST', '/crm/v3/objects/contacts/merge', { primaryObjectId: String(primaryObjectId), objectIdToMerge: String(objectIdToMerge) }),
    /** One page view, as the tracking code sends it. */
    view: (usertoken, identity = {}, path = '/') => request('GET', beacon(usertoken, identity, { pu: `http://127.0.0.1:3000${path}` })),
    /** Any request of the tracking code. @param {Record<string, string|number>} parameters  `k` and the like */
    track: (usertoken, identity, parameters, file) => request('GET', beacon(usertoken, identity, parameters, file)),
  };
}

function beacon(usertoken, identity, parameters, file = '__ptq.gif') {
  const i = Object.keys(identity).length > 0 ? { i: String(new URLSearchParams(identity)) } : {};
  return `/${file}?${new URLSearchParams({ k: 1, a: PORTAL, vi: usertoken, pu: 'http://127.0.0.1:3000/', t: 'Page', ...i, ...parameters })}`;
}

/** @param {string} character @returns {string} a usertoken */
export const usertoken = (character) => character.repeat(32);

/** The tracking code as the double serves it. */
function loader(order) {
  const values = { __PORTAL__: PORTAL, __BEACON__: 'https:', __ORDER__: order };
  return readFileSync(new URL('./loader.js', import.meta.url), 'utf8').replace(/__(PORTAL|BEACON|ORDER)__/g, (name) => values[name]);
}

/**
 * A page with an `_hsq` queue, and the tracking code to run in it.
 * @param {object} [page]
 * @param {unknown} [page.hsq]     the queue that the page has made
 * @param {string} [page.cookie]
 * @param {string} [page.search]   of the address
 * @param {'newer'|'older'} [page.order]  which copy's order the tracking code follows
 * @param {'loading'|'complete'} [page.readyState]
 */
export function openPage({ hsq = [], cookie = '', search = '?tab=1', order = 'newer', readyState = 'complete' } = {}) {
  const cookies = new Map(cookie.split('; ').filter(Boolean).map((pair) => pair.split('=')));
  /** @type {(import('./beacon.mjs').Beacon & {address: string, parameters: Record<string, string>, identity: [string, string][]|null})[]} */
  const requests = [];
  /** @type {{name: string|null, message: string}[]} */
  const errors = [];
  const onLoad = [];
  const elements = new Map();
  const window = vm.createContext({
    _hsq: hsq,
    crypto: webcrypto,
    location: { href: `http://127.0.0.1:3000/settings${search}`, search, hash: '' },
    addEventListener: (type, listener) => type === 'load' && onLoad.push(listener),
    document: {
      title: 'Settings',
      readyState,
      querySelectorAll: (selector) => elements.get(selector) ?? [],
      get cookie() {
        return [...cookies].map((pair) => pair.join('=')).join('; ');
      },
      set cookie(text) {
        const [pair, ...attributes] = text.split(';');
        const [name, value] = pair.split('=');
        const until = attributes.find((attribute) => attribute.trim().startsWith('expires='));
        if (until && Date.parse(until.split('=')[1]) < Date.now()) cookies.delete(name);
        else cookies.set(name, value);
      },
    },
    Image: class {
      set src(address) {
        const url = new URL(address);
        if (url.pathname === '/__pto.gif') return errors.push(readError(url));
        const parameters = Object.fromEntries(url.searchParams);
        const identity = 'i' in parameters ? [...new URLSearchParams(parameters.i)] : null;
        return requests.push({ ...readBeacon(url), address: url.origin + url.pathname, parameters, identity });
      }
    },
  });
  window.window = window;
  return {
    window,
    requests,
    errors,
    cookies,
    /** Runs the tracking code. */
    load: () => vm.runInContext(loader(order), window),
    /** The document is complete. */
    complete: () => {
      window.document.readyState = 'complete';
      for (const listener of onLoad.splice(0)) listener();
    },
    push: (command) => window._hsq.push(command),
    /** An element that a selector finds. @returns {{press: () => void}} */
    place: (selector) => {
      const attributes = new Map();
      const listeners = [];
      const element = {
        getAttribute: (name) => attributes.get(name) ?? null,
        setAttribute: (name, value) => attributes.set(name, value),
        addEventListener: (type, listener) => type === 'mousedown' && listeners.push(listener),
        press: () => listeners.forEach((listener) => listener()),
      };
      elements.set(selector, [...(elements.get(selector) ?? []), element]);
      return element;
    },
    /** What the requests named: the identity of each, as an object. */
    said: () => requests.map(({ identity }) => (identity === null ? null : Object.fromEntries(identity))),
  };
}
