// WebKit: WebKitGTK in the window of webkit_window.py, by WebKitWebDriver, on a display without a screen. A driver has
// one session, so a profile is a driver with a window of its own.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { find, freePort, newFolder, Program, remove, within } from './processes.mjs';
import { Tab } from './tab.mjs';
import { WebDriver } from './webdriver.mjs';

/** WebKitGTK asks for nothing on its own. */
export const ERRANDS = /^$/;

const WINDOW = fileURLToPath(new URL('webkit_window.py', import.meta.url));

const KEYS = { Enter: '\uE007', Tab: '\uE004', Escape: '\uE00C' };

/** After how long a page is in the cache on disk, even if WebKit ends then: it writes a second late. */
const CACHE_MS = 1_500;

/** @type {boolean|undefined} */
let hasBinding;

export function missing() {
  if (!find('WebKitWebDriver')) return 'skipped because there is no WebKitWebDriver on the PATH';
  if (!find('Xvfb')) return 'skipped because there is no Xvfb on the PATH';
  hasBinding ??= spawnSync('/usr/bin/python3', ['-c', "import gi; gi.require_version('Gtk', '3.0'); gi.require_version('WebKit2', '4.1')"]).status === 0;
  return hasBinding ? null : 'skipped because /usr/bin/python3 has no binding of WebKitGTK (WebKit2 4.1)';
}

/** @param {import('./index.mjs').EngineOptions} options */
export async function start({ proxy, wallClock, args, timeout, restores }) {
  const folder = newFolder('webkit');
  const display = new Program(find('Xvfb'), ['-displayfd', '3', '-screen', '0', '1280x1000x24', '-nolisten', 'tcp', '-noreset'], { stdio: ['ignore', 'ignore', 'pipe', 'pipe'] });
  const drivers = new Set();
  let profiles = 0;
  const close = async () => {
    await Promise.all([...drivers].map((driver) => driver.close()));
    await display.close();
    remove(folder);
  };
  let env;
  let browser;
  try {
    const [, number] = await display.says(/^(\d+)\s/m, timeout);
    env = {
      ...process.env, ...wallClock?.env, DISPLAY: `:${number}`, GDK_BACKEND: 'x11', HOME: folder, XDG_CONFIG_HOME: folder, XDG_CACHE_HOME: folder, XDG_DATA_HOME: folder,
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1', LIBGL_ALWAYS_SOFTWARE: '1', GSETTINGS_BACKEND: 'memory', NO_AT_BRIDGE: '1',
      DBUS_SESSION_BUS_ADDRESS: 'disabled:', GIO_USE_PROXY_RESOLVER: 'dummy',
    };
    // The version is the session's to tell.
    let first = await newProfile();
    const next = () => {
      const profile = first ?? newProfile();
      first = undefined;
      return profile;
    };
    browser = { version: first.version, newProfile: next, restart, ended: () => [...drivers].map((driver) => driver.ended()).find(Boolean) ?? display.ended(), close };
    return browser;
  } catch (error) {
    await close();
    throw error;
  }

  /** Its tabs come back one by one, as they are asked for. */
  async function restart() {
    const pid = Number(readFileSync(join(folder, `profile-${profiles}`, 'pid'), 'utf8'));
    await pause(CACHE_MS);
    process.kill(pid, 'SIGTERM');
    await within(gone(pid), timeout, 'the end of the window');
    await Promise.all([...drivers].map((driver) => driver.close()));
    drivers.clear();
    return browser;
  }

  async function newProfile() {
    const port = await freePort();
    if (!restores) profiles += 1;
    const home = join(folder, `profile-${profiles}`);
    const program = new Program(find('WebKitWebDriver'), ['--host=127.0.0.1', `--port=${port}`], { env });
    drivers.add(program);
    const driver = new WebDriver(`http://127.0.0.1:${port}`);
    const end = async () => {
      await within(driver.command('DELETE', ''), 3_000, 'ending a session').catch(() => {});
      await program.close();
      drivers.delete(program);
    };
    try {
      await answering(driver, timeout);
      const capabilities = await within(driver.open({
        'webkitgtk:browserOptions': { binary: WINDOW, args: [home, `http://${proxy}`, ...args] },
        unhandledPromptBehavior: 'dismiss',
      }), timeout, 'a session with WebKit');
      let first = await driver.command('GET', '/window');
      const newTab = async () => {
        const handle = first ?? (await driver.command('POST', '/window/new', { type: 'tab' })).handle;
        first = undefined;
        return new WebKitTab(driver, handle);
      };
      /** The window's program restores the next tab. */
      const foundTab = (url) => {
        writeFileSync(join(home, 'open'), url);
        return newTab();
      };
      return {
        version: capabilities.browserVersion,
        newTab,
        foundTab,
        duplicate: async (tab) => foundTab(await tab.url()),
        async reopen(tab, other) {
          const url = await tab.url();
          await tab.close();
          await other.url(); // a window is opened from one that is there
          return foundTab(url);
        },
        close: end,
      };
    } catch (error) {
      await end();
      throw error;
    }
  }
}

async function answering(driver, ms) {
  for (const until = Date.now() + ms; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
    try {
      return await driver.send('GET', '/status');
    } catch (error) {
      if (Date.now() > until) throw error;
    }
  }
}

async function gone(pid) {
  while (existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) await pause(20);
}

/** Commands go to the session's current window, so every tab takes its turn. */
const turns = new WeakMap();

class WebKitTab extends Tab {
  #driver;
  #handle;

  constructor(driver, handle) {
    super();
    this.#driver = driver;
    this.#handle = handle;
  }

  /** @template T @param {() => Promise<T>} action @returns {Promise<T>} */
  #here(action) {
    const turn = (turns.get(this.#driver)?.last ?? Promise.resolve()).then(async () => {
      const state = turns.get(this.#driver);
      if (state.handle !== this.#handle) {
        await this.#driver.command('POST', '/window', { handle: this.#handle });
        state.handle = this.#handle;
      }
      return action();
    });
    const state = turns.get(this.#driver) ?? { handle: null };
    state.last = turn.catch(() => {});
    turns.set(this.#driver, state);
    return turn;
  }

  run(expression) {
    // The promise's value goes to the callback: a function that returns a promise is not waited for by every version.
    const script = `const done = arguments[0]; Promise.resolve().then(() => ${expression}).then((value) => done({ value }), (error) => done({ error: String(error && error.stack ? error + '\\n' + error.stack : error) }));`;
    return this.#here(async () => {
      const { value, error } = await this.#driver.command('POST', '/execute/async', { script, args: [] });
      if (error) throw new Error(error);
      return value;
    });
  }

  async navigate(url, until) {
    if (until === 'commit') {
      await this.evaluate((address) => {
        setTimeout(() => {
          location.href = address;
        });
      }, url);
      return;
    }
    await this.#here(() => this.#driver.command('POST', '/url', { url }));
    // The driver is content with the page that says what went wrong.
    const [address, text] = await this.evaluate('[location.href, document.body && document.body.innerText]');
    if (address === 'about:blank' && url !== address) throw new Error(`${url}: ${text || 'there is no such page'}`);
  }

  reloadPage() {
    return this.#here(() => this.#driver.command('POST', '/refresh'));
  }

  traverse(delta) {
    return this.#here(() => this.#driver.command('POST', delta < 0 ? '/back' : '/forward'));
  }

  click(css) {
    return this.#here(async () => this.#driver.command('POST', `/element/${await this.#driver.element(css)}/click`));
  }

  type(css, text, key) {
    return this.#here(async () => {
      const element = `/element/${await this.#driver.element(css)}`;
      if (text !== undefined) await this.#driver.command('POST', `${element}/clear`);
      if (text !== '') await this.#driver.command('POST', `${element}/value`, { text: text ?? KEYS[key] });
    });
  }

  async screenshot(file) {
    const data = await this.#here(() => this.#driver.command('GET', '/screenshot'));
    await writeFile(file, Buffer.from(data, 'base64'));
  }

  async close() {
    await this.#here(async () => {
      await this.#driver.command('DELETE', '/window');
      turns.get(this.#driver).handle = null;
    });
  }
}
