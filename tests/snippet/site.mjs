// A small site whose pages carry the snippet as src/snippet.rs renders it, and a browser of each engine that visits it.
// What counts is what HubSpot was told: the tracking requests, as lines such as `view: vid:901 ann@shop.test`.

import assert from 'node:assert/strict';
import { appendFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { ENGINES, launch, missing } from '../browsers/index.mjs';
import { NoAnswer } from '../browsers/protocol.mjs';
import { readBeacon, readError } from '../hubspot/beacon.mjs';
import { HubSpotDouble } from '../hubspot/server.mjs';

const PORTAL = 62515;
const GUARD = readFileSync(process.env.GUARD ?? new URL('../../src/snippet.min.js', import.meta.url), 'utf8').trimEnd();
const FILES = {
  '/turbo8.js': 'node_modules/@hotwired/turbo/dist/turbo.es2017-umd.js',
  '/turbo7.js': 'node_modules/turbo7/dist/turbo.es2017-umd.js',
  '/turbolinks5.js': 'node_modules/turbolinks/dist/turbolinks.js',
  '/vidcache.js': '../../page/vidcache.js',
};

/** How many times the deadline a case gets for which the machine was too slow. */
const PATIENCE = 5;

/** How long a tab is listened to for a request that should not come. */
const QUIET_MS = 100;

export const ANN = { id: 'vid:901', email: 'ann@shop.test' };
export const BOB = { id: 'vid:902', email: 'bob@shop.test' };

/** What requests say. */
export const ANN_NAMED = `${ANN.id} ${ANN.email}`;
export const ANN_ALONE = ANN.id;
export const BOB_NAMED = `${BOB.id} ${BOB.email}`;
export const NOBODY = 'nobody';

export { pause };

/**
 * Runs the cases in every engine, the engines side by side, each with one browser.
 * @param {object} options  of the browsers (tests/browsers/index.mjs)
 * @param {Function} define  is called for each engine with `check(name, settings, run)` and the engine's name;
 *   `settings`: `ttl` of the pages, or anything else of a Site; `skip`: why not in this engine
 */
export function inEveryEngine(options, define) {
  describe('the guard', { concurrency: ENGINES.length }, () => {
    for (const engine of ENGINES) {
      const why = missing(engine);
      if (why) console.log(`${engine}: ${why}`);
      describe(engine, { concurrency: 1, skip: why ?? false }, () => {
        const home = new Home(engine, options);
        before(() => home.open());
        after(() => home.close());
        define((name, { skip = false, ...settings }, run) => {
          const attempt = async (patience) => {
            const scene = await Scene.open(home, settings, patience);
            try {
              await run(scene);
              await scene.hears();
              scene.tell(engine, name);
              assert.deepEqual(scene.problems(), [], 'no script failed, and nothing went elsewhere');
            } catch (error) {
              if (scene.browser.ended) throw new Gone(scene.browser.ended, { cause: error });
              throw scene.wasSlow() ? new Slow(error.message, { cause: error }) : error;
            } finally {
              await scene.close();
            }
          };
          it(`${engine}: ${name}`, { skip, timeout: 240_000 }, async () => {
            await home.reopen();
            try {
              await attempt();
            } catch (error) {
              if (error instanceof Slow) {
                console.log(`${engine}: the machine took longer for a page than its deadline, so this is tried once more with ${PATIENCE} times that: "${name}"`);
                await home.reopen();
                return attempt(PATIENCE);
              }
              if (!(error instanceof Gone || error instanceof NoAnswer)) throw error;
              await home.renew(`in "${name}", which is tried once more: ${error.message}`, error);
              await attempt();
            }
          });
        }, engine);
      });
    }
  });
}

/** The browser has ended by itself. */
class Gone extends Error {}

/** The machine was too slow for the deadline. */
class Slow extends Error {}

/** The browser of an engine's cases, one profile of it, and a tab that is always there. */
class Home {
  #engine;
  #options;
  double;
  #hubspot;
  #anchor;
  #isSpare = true;

  constructor(engine, options) {
    this.#engine = engine;
    this.#options = options;
  }

  async open() {
    this.double = new HubSpotDouble({ portal: PORTAL });
    this.#hubspot = await this.double.listen();
    await this.#launch();
    console.log(`${this.#engine} ${this.browser.version}`);
  }

  async close() {
    await this.browser?.close();
    await this.double?.close();
  }

  /** Before each case: whether the browser is still there. */
  async reopen() {
    try {
      await this.#anchor.evaluate('1');
    } catch (error) {
      await this.renew(this.browser.ended ?? error.message, error);
    }
  }

  /** Another browser in place of one that ended or is silent, once a file; a second time that is the failure. */
  async renew(why, error) {
    if (!this.#isSpare) throw error;
    this.#isSpare = false;
    console.log(`${this.#engine}: launched anew, since the browser did not answer: ${why}`);
    await this.browser.close().catch(() => {});
    await this.#launch();
  }

  /** The browser ends as a person ends it, and comes back with its tabs. */
  async restart(tab) {
    await this.browser.restart(tab);
    await this.#begin();
  }

  async #launch() {
    this.browser = await launch(this.#engine, { ...this.#options, hubspot: this.#hubspot });
    await this.#begin();
  }

  async #begin() {
    this.profile = await this.browser.newProfile();
    // Stays open: WebKit ends with its last tab, and opens the next tab only from one that is there.
    this.#anchor = await this.profile.newTab();
  }
}

/** The site. Its fields may change at any time; they count for the pages that are rendered from then on. */
class Site {
  /** Who is signed in: `{id, email}`, each of which may be missing. */
  user = ANN;
  /** Whether the visitor has just signed out. */
  out = false;
  /** The page deadline in ms. */
  ttl = 10_000;
  /** How far the server's clock is ahead of this machine's, in ms. */
  ahead = 0;
  /** The tag as often as that. */
  tags = 1;
  /** The parameters of the loader's address. */
  loader = '';
  /** What every page has besides. */
  head = '';
  body = '';
  /** @type {Record<string, string>} */
  headers = {};
  /** By path: `{delay, chunked, headers, head, body}` of that page, or a function that answers itself. */
  pages = {};
  /** The paths that were asked for, but for scripts. */
  asked = [];
  /** When which path was rendered. */
  rendered = [];
  #server = createServer((request, response) => this.#serve(request, response));

  async listen() {
    await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
  }

  close() {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(resolve));
  }

  /** How often a path was asked for. */
  times(path) {
    return this.asked.filter((each) => each === path).length;
  }

  /** The data of a page that is rendered now. */
  data() {
    return { at: Date.now() + this.ahead, ttl: this.ttl, ...(this.out && { out: true }), ...this.user };
  }

  /** The snippet, as src/snippet.rs renders it. */
  tag(nonce = '') {
    const address = `//js.hs-scripts.com/${PORTAL}.js${this.loader}`;
    const { at, ttl, ...who } = this.data();
    const data = JSON.stringify({ at, ttl, src: address, ...who }).replace(/[^ -~]|</g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
    return `<script id="v-${at}"${nonce}>(${GUARD})(window,document,${data});</script>
<script id="hs-script-loader" async defer data-turbo-eval="false" data-turbolinks-eval="false"${nonce} src="${address}"></script>`;
  }

  /** @param {string} path @param {object} [page] */
  render(path, { head = '', body = '', snippet = Array.from({ length: this.tags }, () => this.tag()).join('\n') } = {}) {
    this.rendered.push({ path, at: Date.now() });
    return `<!doctype html><html><head><title>${path}</title><link rel="icon" href="data:,">${this.head}${head}</head>
<body><h1>${path}</h1><p><a id="a" href="/a">a</a> <a id="b" href="/b">b</a> <a id="c" href="/c">c</a> <button id="mark" type="button">mark</button></p>
${this.body}${body}
${snippet}
</body></html>`;
  }

  /** Answers with a page. */
  send(response, path, page = {}) {
    response.writeHead(page.status ?? 200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'private, no-store', ...this.headers, ...page.headers });
    response.end(this.render(path, page));
  }

  async #serve(request, response) {
    const path = new URL(request.url, 'http://127.0.0.1').pathname;
    if (FILES[path]) {
      response.writeHead(200, { 'content-type': 'text/javascript', 'cache-control': 'max-age=600' });
      return response.end(readFileSync(new URL(FILES[path], import.meta.url)));
    }
    if (path === '/favicon.ico') return response.writeHead(404).end();
    this.asked.push(path);
    const page = this.pages[path] ?? {};
    if (typeof page === 'function') return page(request, response);
    // Rendered first, sent later: as a slow line does it.
    const html = this.render(path, page);
    if (page.delay) await pause(page.delay);
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'private, no-store', ...this.headers, ...page.headers });
    return response.end(page.encode ? page.encode(html) : html);
  }
}

/** One case: a site of its own, a tab of its own, and what is heard of the site's pages. */
export class Scene {
  tabs = [];
  #heard = 0;
  /** The site's requests among the browser's first so many. */
  #requests = [];
  #looked = 0;
  #problems;
  #home;
  #patience;

  static async open(home, settings, patience = 1) {
    const scene = new Scene();
    scene.#home = home;
    scene.#patience = patience;
    scene.site = Object.assign(new Site(), settings);
    scene.site.ttl *= patience;
    const { browser } = scene;
    scene.#problems = browser.problems().length;
    scene.tab = await scene.newTab();
    await scene.site.listen();
    return scene;
  }

  async close() {
    for (const tab of this.tabs) await tab.close().catch(() => {});
    await this.site.close();
  }

  get browser() {
    return this.#home.browser;
  }

  /** HubSpot's double. */
  get double() {
    return this.#home.double;
  }

  get profile() {
    return this.#home.profile;
  }

  async newTab() {
    this.tabs.push(await this.profile.newTab());
    return this.tabs.at(-1);
  }

  /**
   * A tab that came by itself, once its page is complete.
   * @param {Promise<import('../browsers/tab.mjs').Tab>} coming
   */
  async comes(coming) {
    const tab = await coming;
    this.tabs.push(tab);
    await tab.waitFor("document.readyState === 'complete' && location.protocol === 'http:'");
    return tab;
  }

  /** The browser ends and comes back; the tabs that the case had are found by the profile's `foundTab`. */
  async restart() {
    await this.#home.restart(this.tab);
    this.tabs = [];
  }

  problems() {
    return this.browser.problems().slice(this.#problems);
  }

  goto(path, tab = this.tab) {
    return tab.goto(this.site.url + path);
  }

  /** Every tracking request of the site's pages. */
  requests() {
    const { said } = this.browser;
    for (; this.#looked < said.length; this.#looked++) {
      const url = said[this.#looked];
      if (url.searchParams.get('pu')?.startsWith(`${this.site.url}/`) ?? url.pathname === '/__pto.gif') this.#requests.push(url);
    }
    return [...this.#requests];
  }

  /**
   * Waits for the next requests, and for a moment longer, and compares: these and no others.
   * @param {...string} lines
   */
  async hears(...lines) {
    await this.#arrived(lines.length);
    await pause(QUIET_MS);
    const said = this.requests().slice(this.#heard);
    this.#heard += said.length;
    assert.deepEqual(said.map(line), lines);
  }

  /** Waits until nothing has come for a moment, and leaves what came to the case itself. */
  async settle() {
    for (let before = -1; before < this.requests().length; await pause(2 * QUIET_MS)) before = this.requests().length;
    this.#heard = this.requests().length;
  }

  /** Leaves what was said so far, and what failed, to the case itself. */
  forget() {
    this.#heard = this.requests().length;
    this.#problems = this.browser.problems().length;
  }

  /** Writes into the file SAID what the case heard, for table.mjs. */
  tell(engine, name) {
    if (!process.env.SAID) return;
    const said = this.requests().map((url) => readBeacon(url)).map(({ email, id }) => (email && 'email') || (id && 'id') || NOBODY);
    appendFileSync(process.env.SAID, `${JSON.stringify({ engine, version: this.browser.version, name, said })}\n`);
  }

  async #arrived(count) {
    for (const until = Date.now() + 30_000; this.requests().length < this.#heard + count && Date.now() < until; await pause(10));
  }

  /** An event of the app's, and a click that HubSpot counts; both are to say the same. */
  async acts(says, tab = this.tab) {
    await tab.evaluate(() => {
      window._hsq.push(['trackCustomBehavioralEvent', { name: 'x' }]);
      window._hsq.push(['trackClick', '#mark', 'marked']);
    });
    await this.#arrived(1);
    await tab.click('#mark');
    await this.hears(`behavioural: ${says}`, `event: ${says}`);
  }

  /** Lets so many milliseconds of a deadline go by, counted from a moment. */
  async until(ms, since = 0) {
    await pause(Math.max(0, since + ms * this.#patience - Date.now()));
  }

  /** Whether the view of a page came when its deadline had nearly passed, or later. */
  wasSlow() {
    const { ttl, loader, rendered } = this.site;
    if (ttl < 2_000 || loader.includes('delay')) return false; // The case itself lets pages be late.
    return this.requests().some((url) => {
      const { pathname } = new URL(url.searchParams.get('pu') ?? this.site.url);
      const at = rendered.filter((page) => page.path === pathname && page.at <= url.time).at(-1)?.at;
      return readBeacon(url).kind === 'view' && url.time - at > 0.8 * ttl;
    });
  }
}

/** @param {URL} url  of a tracking request */
function line(url) {
  const { kind, id, email } = readBeacon(url);
  if (kind === 'error') return `error: ${readError(url).message}`;
  return `${kind}: ${[id, email].filter(Boolean).join(' ') || NOBODY}`;
}
