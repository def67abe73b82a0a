// The race's driver in headless Chromium. HubSpot's two hosts are answered by the double, the app is on loopback, and
// nothing else is let out.

import { find } from '../browsers/processes.mjs';
import { saidBy } from './client.mjs';

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
  // Requests of the browser's own do not pass through the interception below.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
];

/** How long a loaded page may take to send its page view. */
const VIEW_TIMEOUT_MS = 15_000;

/** The width of the double's page in screenshots. */
const SCREENSHOT_WIDTH = 1280;

/** @returns {string|null} Debian's `chromium`, wherever PATH has it */
export const findChromium = () => find('chromium');

/** @returns {Promise<import('playwright-core').Browser>} */
export async function launchChromium() {
  const executablePath = findChromium();
  if (!executablePath) throw new Error('there is no `chromium` on PATH');
  let playwright;
  try {
    playwright = await import('playwright-core');
  } catch {
    throw new Error('playwright-core is not installed: run `npm ci` in tests/race');
  }
  return playwright.chromium.launch({ executablePath, args: FLAGS, handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false });
}

/**
 * @param {import('playwright-core').Browser} browser
 * @param {{appUrl: string, doubleUrl: string}} options
 * @returns {import('./client.mjs').Driver}
 */
export function openDriver(browser, { appUrl, doubleUrl }) {
  const problems = new Set();
  /** @type {WeakMap<import('playwright-core').Page, BrowserTab>} */
  const tabs = new WeakMap();
  const contexts = [];

  /** @param {import('playwright-core').Route} route */
  const answer = async (route) => {
    const request = route.request();
    const url = new URL(request.url());
    if (url.hostname === '127.0.0.1' || url.protocol === 'data:') return route.continue();
    const tab = tabs.get(request.frame().page());
    if (url.hostname === 'js.hs-scripts.com') {
      return forward(route, `${doubleUrl}${url.pathname}?loader_delay_ms=${tab.loaderDelayMs}`);
    }
    if (url.hostname === 'track.hubspot.com') {
      await forward(route, doubleUrl + url.pathname + url.search);
      const { kind, email, id } = saidBy(url);
      if (kind === 'view') tab.heard({ email, id });
      return undefined;
    }
    problems.add(`a page asked for ${url.origin}, which was not let out`);
    return route.abort();
  };

  return {
    async newProfile() {
      const context = await browser.newContext({ baseURL: appUrl });
      contexts.push(context);
      // A tab may leave its page while an answer is on its way: nobody waits for that answer any more.
      await context.route('**/*', (route) => answer(route).catch(() => {}));
      return {
        async newTab() {
          const page = await context.newPage();
          page.on('pageerror', (error) => problems.add(`a script of ${new URL(page.url()).pathname} failed: ${error.message}`));
          page.on('console', (message) => {
            if (/Content Security Policy/i.test(message.text())) problems.add(message.text());
          });
          const tab = new BrowserTab(page);
          tabs.set(page, tab);
          return tab;
        },
      };
    },
    problems: () => [...problems],
    async close() {
      await Promise.all(contexts.map((context) => context.close()));
    },
  };
}

async function forward(route, address) {
  const response = await fetch(address);
  const body = Buffer.from(await response.arrayBuffer());
  await route.fulfill({ status: response.status, contentType: response.headers.get('content-type'), body });
}

/** @implements {import('./client.mjs').Tab} */
class BrowserTab {
  loaderDelayMs = 0;
  #page;
  #resolveView = () => {};

  /** @param {import('playwright-core').Page} page */
  constructor(page) {
    this.#page = page;
  }

  /** @param {{email: string|null, id: string|null}} said */
  heard(said) {
    this.#resolveView(said);
  }

  async goto(path, { loaderDelayMs = 0 } = {}) {
    this.loaderDelayMs = loaderDelayMs;
    const view = this.#nextView();
    const response = await this.#page.goto(path, { waitUntil: 'load' });
    return { path: new URL(this.#page.url()).pathname, status: response.status(), said: response.ok() ? await view() : null };
  }

  async submit(field, value) {
    this.loaderDelayMs = 0;
    const view = this.#nextView();
    const input = this.#page.locator(`form input[name="${field}"]`);
    await input.fill(value);
    // Whether the browser or Turbo sends the form: a redirect followed by GET ends it, or an answer that is no
    // redirect.
    const isAnswer = (response) => {
      const request = response.request();
      return request.method() === 'GET' ? request.redirectedFrom() !== null : response.status() < 300 || response.status() >= 400;
    };
    const [response] = await Promise.all([this.#page.waitForResponse(isAnswer), input.press('Enter')]);
    await this.#page.waitForLoadState('load');
    return { path: new URL(response.url()).pathname, status: response.status(), said: response.ok() ? await view() : null };
  }

  /**
   * @returns {() => Promise<{email: string|null, id: string|null}|null>} the first page view from now on; null if none
   * comes in time
   */
  #nextView() {
    const view = new Promise((resolve) => {
      this.#resolveView = resolve;
    });
    return () => {
      let timer;
      const late = new Promise((resolve) => {
        timer = setTimeout(resolve, VIEW_TIMEOUT_MS, null);
      });
      return Promise.race([view, late]).finally(() => clearTimeout(timer));
    };
  }
}

/**
 * Keeps a picture of a whole page.
 * @param {import('playwright-core').Browser} browser
 * @param {string} url
 * @param {string} file
 */
export async function screenshot(browser, url, file) {
  const page = await browser.newPage({ viewport: { width: SCREENSHOT_WIDTH, height: 800 } });
  await page.goto(url);
  await page.screenshot({ path: file, fullPage: true });
  await page.close();
}
