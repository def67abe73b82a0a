// Chromium by playwright-core, which starts it and keeps the profiles apart. Tabs are driven by Chromium's own protocol:
// playwright's pages do not follow a tab into the back/forward cache and out again, and its evaluation obeys the page's
// Content Security Policy.

import { writeFile } from 'node:fs/promises';
import { find, within } from './processes.mjs';
import { Tab } from './tab.mjs';

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--enable-features=BackForwardCache', '--window-size=1280,900',
];
/** Switched off by playwright, on for people. */
const PEOPLE_HAVE = ['--disable-back-forward-cache'];
/** Updates, the time, the accounts: some of it is asked for whatever the flags are. */
export const ERRANDS = /(?:^|\.)(?:google|googleapis|gvt1|gstatic)\.com$/;

const KEYS = { Enter: { key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 13, text: '\r' }, Tab: { key: 'Tab', code: 'Tab', windowsVirtualKeyCode: 9 }, Escape: { key: 'Escape', code: 'Escape', windowsVirtualKeyCode: 27 } };

export function missing() {
  return find('chromium') ? null : 'skipped because there is no chromium on the PATH';
}

/** @param {import('./index.mjs').EngineOptions} options */
export async function start({ proxy, wallClock, args, timeout, problem }) {
  const { chromium } = await import('playwright-core');
  const browser = await chromium.launch({
    executablePath: find('chromium'),
    ignoreDefaultArgs: PEOPLE_HAVE,
    // Chromium's processes come from one that was started before them, unless there is no zygote.
    args: [...FLAGS, `--proxy-server=http://${proxy}`, ...(wallClock ? ['--no-zygote'] : []), ...args],
    env: { ...process.env, ...wallClock?.env },
    timeout,
    handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false,
  });
  return {
    version: browser.version(),
    async newProfile() {
      const context = await browser.newContext({ viewport: null });
      return {
        async newTab() {
          const page = await context.newPage();
          page.on('pageerror', (error) => problem(`a script failed: ${error.message}`));
          page.on('dialog', (dialog) => dialog.dismiss().catch(() => {}));
          const session = await context.newCDPSession(page);
          return new ChromiumTab(page, session);
        },
        close: () => context.close(),
      };
    },
    close: () => browser.close(),
  };
}

class ChromiumTab extends Tab {
  #page;
  #session;

  constructor(page, session) {
    super();
    this.#page = page;
    this.#session = session;
  }

  async run(expression) {
    const { result, exceptionDetails } = await this.#session.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true, userGesture: false });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  async navigate(url) {
    const { errorText } = await this.#session.send('Page.navigate', { url, transitionType: 'typed' });
    if (errorText) throw new Error(`${url}: ${errorText}`);
  }

  async reloadPage() {
    await this.#session.send('Page.reload');
  }

  async traverse(delta) {
    const { currentIndex, entries } = await this.#session.send('Page.getNavigationHistory');
    const entry = entries[currentIndex + delta];
    if (entry) await this.#session.send('Page.navigateToHistoryEntry', { entryId: entry.id });
  }

  async click(css) {
    const place = { ...(await this.place(css)), button: 'left', clickCount: 1 };
    await this.#session.send('Input.dispatchMouseEvent', { type: 'mouseMoved', ...place, button: 'none' });
    await this.#session.send('Input.dispatchMouseEvent', { type: 'mousePressed', ...place });
    await this.#session.send('Input.dispatchMouseEvent', { type: 'mouseReleased', ...place });
  }

  async type(_, text, key) {
    if (text !== undefined) await this.#session.send('Input.insertText', { text });
    if (key === undefined) return;
    await this.#session.send('Input.dispatchKeyEvent', { type: 'keyDown', ...KEYS[key] });
    await this.#session.send('Input.dispatchKeyEvent', { type: 'keyUp', ...KEYS[key], text: undefined });
  }

  async screenshot(file) {
    const { data } = await this.#session.send('Page.captureScreenshot', { format: 'png' });
    await writeFile(file, Buffer.from(data, 'base64'));
  }

  async close() {
    await within(this.#page.close(), 5_000, 'closing a tab');
  }
}
