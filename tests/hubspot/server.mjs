// The HubSpot double: a server of its own on loopback.
//
//   node tests/hubspot/server.mjs --portal 62515 [--port 0] [--delay-ms 300] [--former-emails free|secondary]
//
// Once it listens it prints one line of JSON, {"url":..,"portal":..}, and serves until SIGTERM:
//   HubSpot's contacts API, v1 and v3, with any bearer token     api_v1.mjs, api_v3.mjs
//   GET /PORTAL.js     the tracking code (js.hs-scripts.com)     loader.js
//     ?loader_delay_ms=…  it takes so long   ?order=older  the queue as in the older copy
//     ?beacon=http  the page's own scheme   ?held  it takes until `releaseLoaders()`, after `holdLoaders()`
//   GET /__ptq.gif, /__ptbe.gif, /__pto.gif   its requests (track.hubspot.com)   beacon.mjs, tracking.mjs
//   GET /              contacts, page views and duplicates, for people
//   POST /_double/reset, PUT /_double/config, GET /_double/state     controls for tests; no such thing at HubSpot

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ApiV1 } from './api_v1.mjs';
import { ApiV3 } from './api_v3.mjs';
import { isBeacon, readBeacon, readError } from './beacon.mjs';
import { ContactStore } from './contacts.mjs';
import { findDuplicates } from './duplicates.mjs';
import { ErrorAnswer, parseJson, rateLimited, unauthenticated } from './http.mjs';
import { renderPage } from './page.mjs';
import { contactState } from './state.mjs';
import { Tracking } from './tracking.mjs';

const LOADER = readFileSync(new URL('./loader.js', import.meta.url), 'utf8');
const PIXEL = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64');

/**
 * @typedef {object} Config  what `PUT /_double/config` sets
 * @property {number} delay_ms         how long an API call takes: half before it takes effect, half after
 * @property {number} loader_delay_ms  how long the loader script takes
 * @property {number} rate_limit_next  how many of the next API calls are answered 429
 * @property {'2019'|'2024'} v1_conflict  the form of v1's 409
 * @property {'400'|'409'} v3_conflict  how v3 says that another contact holds an email; both are on record
 * @property {string} required_property  what a new contact must have, by a rule of the account; '': nothing
 * @property {Outage[]} outages  what stands in the place of the answers of the next API calls
 *
 * @typedef {object} Outage  of HubSpot's or of whatever is before it (HUBSPOT.md §7.1 [R])
 * @property {number} status           423, 477, 502, 503, 504; or 200, of a maintenance page
 * @property {string} [body]           default: a page of HTML
 * @property {string} [retry_after]    seconds or a date
 * @property {boolean} [carried_out]   the call was carried out all the same, and its answer is lost
 */

export class HubSpotDouble {
  #portal;
  #formerEmails;
  #server;
  /** @type {Config} */
  #config;
  /** @type {ContactStore} */
  #store;
  /** @type {Tracking} */
  #tracking;
  /** Ends when the loaders that are asked for with `?held` may go out. */
  #released = Promise.resolve();
  #release = () => {};
  /** What the tracking code swallowed and told. */
  #errors;
  #apis;

  /** @param {{portal: number, delayMs?: number, formerEmails?: 'free'|'secondary'}} options */
  constructor({ portal, delayMs = 0, formerEmails = 'free' }) {
    this.#portal = portal;
    this.#formerEmails = formerEmails;
    this.#config = { delay_ms: delayMs, loader_delay_ms: 0, rate_limit_next: 0, v1_conflict: '2024', v3_conflict: '409', required_property: '', outages: [] };
    this.#reset();
  }

  /**
   * Listens on 127.0.0.1.
   * @param {number} [port]  0: a free one
   * @returns {Promise<string>} its url
   */
  async listen(port = 0) {
    this.#server = createServer((request, response) => this.#serve(request, response));
    await new Promise((resolve, reject) => {
      this.#server.once('error', reject).listen(port, '127.0.0.1', resolve);
    });
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** Stops at once, open connections included. */
  async close() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  /** From now on a loader that is asked for with `?held` waits for `releaseLoaders()`, not for a time. */
  holdLoaders() {
    this.#released = new Promise((release) => {
      this.#release = release;
    });
  }

  releaseLoaders() {
    this.#release();
  }

  /** What `GET /_double/state` answers. */
  state() {
    const requests = this.#tracking.requests();
    const pageViews = requests.filter(({ kind }) => kind === 'view');
    return {
      portal: this.#portal,
      contacts: this.#store.live().map((contact) => contactState(this.#store, contact, pageViews)),
      page_views: pageViews,
      anonymous_page_views: pageViews.filter((view) => view.vid === null),
      duplicates: findDuplicates(this.#store, (usertoken) => this.#tracking.stitches(usertoken)),
      // Every request of the tracking code, of whatever kind; a request names an email or it does not, and HubSpot held
      // it or not.
      requests,
      unheld: requests.filter(({ held }) => held === false),
      // The text that HubSpot's script makes of a property without a value.
      faults: requests.filter(({ email, id }) => email === 'undefined' || id === 'undefined'),
      errors: this.#errors,
    };
  }

  #reset() {
    this.#store = new ContactStore({ formerEmails: this.#formerEmails });
    this.#tracking = new Tracking(this.#store);
    this.#errors = [];
    this.#apis = [new ApiV1(this.#store, this.#tracking, this.#portal, this.#config), new ApiV3(this.#store, this.#config)];
  }

  async #serve(request, response) {
    let answer;
    try {
      answer = await this.#answer(request);
    } catch (error) {
      if (!(error instanceof ErrorAnswer)) console.error(error);
      answer = error instanceof ErrorAnswer ? error.answer : { status: 500, json: { status: 'error', message: 'internal error' } };
    }
    const { status, json, text, type, headers: more } = answer;
    const body = json === undefined ? text ?? '' : JSON.stringify(json);
    const headers = { 'cache-control': 'no-store', ...more };
    if (status !== 204) headers['content-type'] = type ?? (json === undefined ? 'text/plain; charset=utf-8' : 'application/json;charset=utf-8');
    response.writeHead(status, headers).end(status === 204 ? undefined : body);
  }

  async #answer(request) {
    const url = new URL(request.url, 'http://127.0.0.1');
    const path = url.pathname;
    const text = await readBody(request);
    if (path.startsWith('/contacts/v1/') || path.startsWith('/crm/')) return this.#api(request, url, text);
    if (request.method === 'GET') {
      if (path === '/') return { status: 200, type: 'text/html; charset=utf-8', text: renderPage(this.state()) };
      if (path === `/${this.#portal}.js`) return this.#loader(url);
      if (isBeacon(path)) return this.#beacon(url);
      if (path === '/_double/state') return { status: 200, json: this.state() };
    }
    if (request.method === 'POST' && path === '/_double/reset') {
      this.#reset();
      return { status: 204 };
    }
    if (request.method === 'PUT' && path === '/_double/config') return this.#configure(parseJson(text));
    return { status: 404, json: { status: 'error', message: 'resource not found' } };
  }

  async #api(request, url, text) {
    if (!/^Bearer \S/i.test(request.headers.authorization ?? '')) throw unauthenticated();
    if (this.#config.rate_limit_next > 0) {
      this.#config.rate_limit_next -= 1;
      throw rateLimited();
    }
    const outage = this.#config.outages.shift();
    if (outage && !outage.carried_out) return lost(outage);
    const call = { method: request.method, path: url.pathname, query: url.searchParams, body: parseJson(text) };
    // Both halves are races of their own: "sent, not yet applied" and "applied, not yet known to the worker" (DESIGN.md
    // §2).
    const half = this.#config.delay_ms / 2;
    await sleep(half);
    try {
      const answer = this.#apis[0].handle(call) ?? this.#apis[1].handle(call);
      if (!answer) throw new ErrorAnswer(404, { message: 'resource not found' });
      return outage ? lost(outage) : answer;
    } finally {
      await sleep(half);
    }
  }

  async #loader(url) {
    if (url.searchParams.has('held')) await this.#released;
    await sleep(Number(url.searchParams.get('loader_delay_ms') ?? this.#config.loader_delay_ms));
    const values = {
      __PORTAL__: String(this.#portal),
      __BEACON__: url.searchParams.get('beacon') === 'http' ? '' : 'https:',
      __ORDER__: url.searchParams.get('order') === 'older' ? 'older' : 'newer',
    };
    const script = LOADER.replace(/__(PORTAL|BEACON|ORDER)__/g, (name) => values[name]);
    return { status: 200, type: 'application/javascript; charset=utf-8', text: script };
  }

  #beacon(url) {
    const beacon = readBeacon(url);
    if (beacon.kind === 'error') this.#errors.push({ at: Date.now(), ...readError(url) });
    else if (/^[0-9a-f]{32}$/.test(beacon.usertoken) && beacon.portal === String(this.#portal)) this.#tracking.receive(beacon);
    return { status: 200, type: 'image/gif', text: PIXEL };
  }

  #configure(changes) {
    for (const [name, value] of Object.entries(changes)) {
      if (!(name in this.#config)) throw new ErrorAnswer(400, { message: `no such setting: ${name}` });
      if (typeof value !== typeof this.#config[name]) throw new ErrorAnswer(400, { message: `${name} must be a ${typeof this.#config[name]}` });
      this.#config[name] = value;
    }
    return { status: 200, json: this.#config };
  }
}

/** @param {Outage} outage @returns {import('./http.mjs').Answer} */
function lost({ status, body = '<!DOCTYPE html><html><body>We will be back soon.</body></html>', retry_after: wait }) {
  return { status, text: body, type: 'text/html; charset=utf-8', headers: wait === undefined ? {} : { 'retry-after': wait } };
}

async function readBody(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

async function main() {
  const { values } = parseArgs({
    options: {
      portal: { type: 'string' },
      port: { type: 'string', default: '0' },
      'delay-ms': { type: 'string', default: '300' },
      'former-emails': { type: 'string', default: 'free' },
    },
  });
  const portal = Number(values.portal);
  if (!Number.isSafeInteger(portal) || portal <= 0) throw new Error('--portal must be a HubSpot account number');
  if (!['free', 'secondary'].includes(values['former-emails'])) throw new Error('--former-emails must be free or secondary');
  const delayMs = Number(values['delay-ms']);
  if (!(delayMs >= 0)) throw new Error('--delay-ms must be a number of milliseconds');
  const double = new HubSpotDouble({ portal, delayMs, formerEmails: values['former-emails'] });
  console.log(JSON.stringify({ url: await double.listen(Number(values.port)), portal }));
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => double.close().then(() => process.exit(0)));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    console.error(`hubspot double: ${error.message}`);
    process.exit(2);
  });
}
