// What the tests of the double share.

import { webcrypto } from 'node:crypto';
import vm from 'node:vm';
import { readFileSync } from 'node:fs';
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
    /** One page view, as the loader sends it. */
    view: (usertoken, identity = {}, path = '/') =>
      request('GET', `/__ptq.gif?${new URLSearchParams({ a: PORTAL, vi: usertoken, pu: `http://127.0.0.1:3000${path}`, t: 'Page', ...identity })}`),
  };
}

/** @param {string} character @returns {string} a usertoken */
export const usertoken = (character) => character.repeat(32);

/**
 * A page with an `_hsq` queue, and the loader to run in it.
 * @param {{hsq?: unknown[], cookie?: string}} [page]
 */
export function openPage({ hsq = [], cookie = '' } = {}) {
  const cookies = new Map(cookie.split('; ').filter(Boolean).map((pair) => pair.split('=')));
  /** @type {Record<string, string>[]} */
  const beacons = [];
  const window = vm.createContext({
    _hsq: hsq,
    crypto: webcrypto,
    location: { href: 'http://127.0.0.1:3000/settings?tab=1' },
    document: {
      title: 'Settings',
      get cookie() {
        return [...cookies].map((pair) => pair.join('=')).join('; ');
      },
      set cookie(text) {
        const [name, value] = text.split(';')[0].split('=');
        cookies.set(name, value);
      },
    },
    Image: class {
      set src(address) {
        const url = new URL(address);
        beacons.push({ address: url.origin + url.pathname, ...Object.fromEntries(url.searchParams) });
      }
    },
  });
  window.window = window;
  const loader = readFileSync(new URL('./loader.js', import.meta.url), 'utf8').replace('__PORTAL__', PORTAL);
  return { window, beacons, cookies, load: () => vm.runInContext(loader, window) };
}
