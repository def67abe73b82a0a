// Chromium by its own protocol. Of its target types `tab` is driven, not `page`: where a debugger holds a page itself,
// Chromium prerenders nothing, and a page's debugger does not follow the tab into a prerendered page.

import { writeFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { hands, newExtension } from './hands.mjs';
import { find, newFolder, Program, remove, within } from './processes.mjs';
import { Protocol } from './protocol.mjs';
import { Tab } from './tab.mjs';

// A GPU process that dies six times ends all of Chromium, unless there is no such limit: on a busy machine it may.
const FLAGS = [
  '--headless=new', '--remote-debugging-port=0', '--no-sandbox', '--disable-gpu', '--disable-gpu-process-crash-limit', '--disable-quic', '--disable-dev-shm-usage', '--mute-audio',
  '--no-first-run', '--no-default-browser-check', '--disable-search-engine-choice-screen', '--disable-field-trial-config', '--disable-breakpad',
  '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-default-apps',
  '--disable-client-side-phishing-detection', '--metrics-recording-only', '--password-store=basic', '--use-mock-keychain', '--no-service-autorun',
  '--disable-features=DisableLoadExtensionCommandLineSwitch,Translate,OptimizationHints,MediaRouter,HttpsUpgrades', '--enable-features=BackForwardCache',
  '--window-size=1280,1000',
];

/** Its built-in list of hosts that are asked by https only has track.hubspot.com. */
export const NEEDS_HTTPS = true;

/** Updates, the time, the accounts: some of it is asked for whatever the flags are. */
export const ERRANDS = /(?:^|\.)(?:google|googleapis|gvt1|gstatic)\.com$/;

const KEYS = {
  Enter: { key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 13, text: '\r' },
  Tab: { key: 'Tab', code: 'Tab', windowsVirtualKeyCode: 9 },
  Escape: { key: 'Escape', code: 'Escape', windowsVirtualKeyCode: 27 },
};

export function missing() {
  for (const name of ['chromium', 'openssl']) if (!find(name)) return `skipped because there is no ${name} on the PATH`;
  return null;
}

/**
 * @param {import('./index.mjs').EngineOptions} options
 * @param {string} [former]  the folder of a browser that has ended, whose tabs come back
 */
export async function start(options, former) {
  const { proxy, wallClock, certificate, args, timeout, problem, restores, dark } = options;
  const folder = former ?? newFolder('chromium');
  // Chromium's processes come from one that was started before them, unless there is no zygote.
  const flags = [...FLAGS, `--user-data-dir=${folder}`, `--proxy-server=http://${proxy}`, ...(wallClock ? ['--no-zygote'] : []), ...args];
  flags.push(restores ? `--load-extension=${newExtension('chromium', folder)}` : '--disable-extensions', former ? '--restore-last-session' : 'about:blank');
  if (dark) flags.push('--blink-settings=preferredColorScheme=0');
  if (certificate) flags.push(`--ignore-certificate-errors-spki-list=${certificate.fingerprint}`);
  const program = new Program(find('chromium'), flags, { env: { ...process.env, ...wallClock?.env, TMPDIR: folder } });
  /** @type {Map<string, ChromiumTab>} by the session of the tab, and of each of its pages */
  const sessions = new Map();
  /** The tabs that a test has. */
  const given = new Set();
  let protocol;
  const close = async () => {
    // Chromium would write its profile first; nobody reads it again.
    protocol?.close();
    program.kill();
    await program.close();
    remove(folder);
  };
  try {
    const [, address] = await program.says(/DevTools listening on (ws:\/\/\S+)/, timeout);
    protocol = await within(Protocol.connect(address, hear), timeout, 'connecting to Chromium');
    const { product } = await within(protocol.send('Browser.getVersion'), timeout, 'speaking with Chromium');
    return { version: product.split('/').at(-1), newProfile, restart, ended: () => program.ended(), close };
  } catch (error) {
    await close();
    throw error;
  }

  function hear(method, params, session) {
    const tab = sessions.get(session);
    if (method === 'Target.attachedToTarget') {
      sessions.set(params.sessionId, tab);
      tab?.attached(params.sessionId, params.targetInfo);
    } else if (method === 'Target.detachedFromTarget') {
      sessions.delete(params.sessionId);
      tab?.detached(params.sessionId);
    } else if (method === 'Target.targetInfoChanged') {
      for (const each of new Set(sessions.values())) each?.changed(params.targetInfo);
    } else if (method === 'Page.frameNavigated' && !params.frame.parentId) {
      tab?.left();
    } else if (method === 'Runtime.exceptionThrown') {
      const { exception, text } = params.exceptionDetails;
      problem(`a script failed: ${(exception?.description ?? text).split('\n')[0]}`);
    } else if (method === 'Page.javascriptDialogOpening') {
      protocol.send('Page.handleJavaScriptDialog', { accept: false }, session).catch(() => {});
    }
  }

  /** Chromium ends as a person ends it, and comes back with its tabs. */
  async function restart() {
    // The connection may be gone before the answer.
    await protocol.send('Browser.close').catch(() => {});
    await program.ends(timeout);
    return start(options, folder);
  }

  async function newProfile() {
    // Only the profile that Chromium begins with outlives Chromium.
    const { browserContextId } = restores ? {} : await protocol.send('Target.createBrowserContext');
    return {
      async newTab() {
        const { targetId } = await protocol.send('Target.createTarget', { url: 'about:blank', browserContextId, forTab: true });
        return attach(targetId);
      },
      ...hands(findTab),
      close: () => within(browserContextId ? protocol.send('Target.disposeBrowserContext', { browserContextId }) : Promise.resolve(), 5_000, 'closing a profile'),
    };
  }

  async function findTab(url) {
    for (const until = Date.now() + timeout; Date.now() < until; await pause(20)) {
      const { targetInfos } = await protocol.send('Target.getTargets', { filter: [{ type: 'tab' }] });
      const found = targetInfos.find((target) => target.url === url && !given.has(target.targetId));
      if (!found) continue;
      // A tab that was restored behind others loads its page when it is looked at.
      await protocol.send('Target.activateTarget', { targetId: found.targetId });
      return attach(found.targetId);
    }
    throw new Error(`no tab of ${url} came`);
  }

  async function attach(targetId) {
    const { sessionId } = await protocol.send('Target.attachToTarget', { targetId, flatten: true });
    const tab = new ChromiumTab(protocol, targetId, async () => {
      given.delete(targetId);
      await protocol.send('Target.detachFromTarget', { sessionId });
    });
    given.add(targetId);
    sessions.set(sessionId, tab);
    await protocol.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: true }, sessionId);
    await within(tab.ready, timeout, 'a tab of Chromium');
    return tab;
  }
}

class ChromiumTab extends Tab {
  #protocol;
  #target;
  /**
   * Pages of the tab by session: the shown one, prerendered ones.
   * @type {Map<string, {targetId: string, subtype?: string}>}
   */
  #pages = new Map();
  #isReady;
  /**
   * Scripts under way: a page that went into the back/forward cache does not answer from there.
   * @type {Set<Function>}
   */
  #running = new Set();

  /** @param {() => Promise<void>} release  lets go of the tab: what holds a page keeps it from being discarded */
  constructor(protocol, target, release) {
    super();
    this.#protocol = protocol;
    this.#target = target;
    this.release = release;
    this.ready = new Promise((resolve) => {
      this.#isReady = resolve;
    });
  }

  attached(session, info) {
    if (info.type !== 'page') return;
    this.#pages.set(session, info);
    const enabled = [this.#send('Runtime.enable', {}, session), this.#send('Page.enable', {}, session)];
    // A page that is gone meanwhile cannot be listened to.
    Promise.all(enabled).then(this.#isReady, () => {});
  }

  detached(session) {
    this.#pages.delete(session);
    this.left();
  }

  /** The tab shows another page now. */
  left() {
    for (const reject of this.#running) reject(new Error('the page left while its script ran'));
  }

  changed(info) {
    for (const [session, page] of this.#pages) if (page.targetId === info.targetId) this.#pages.set(session, info);
  }

  /** To the page that is shown: the newest of those that are not waiting to be. */
  #send(method, params, session = [...this.#pages].filter(([, { subtype }]) => subtype !== 'prerender').at(-1)?.[0]) {
    if (!session) throw new Error(`${method}: the tab has no page`);
    return this.#protocol.send(method, params, session);
  }

  async run(expression) {
    let reject;
    const gone = new Promise((_, no) => {
      reject = no;
    });
    this.#running.add(reject);
    const answer = this.#send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    const { result, exceptionDetails } = await Promise.race([answer, gone]).finally(() => this.#running.delete(reject));
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  async navigate(url) {
    const { errorText } = await this.#send('Page.navigate', { url, transitionType: 'typed' });
    if (errorText) throw new Error(`${url}: ${errorText}`);
  }

  async reloadPage() {
    await this.#send('Page.reload', {});
  }

  async traverse(delta) {
    const { currentIndex, entries } = await this.#send('Page.getNavigationHistory', {});
    const entry = entries[currentIndex + delta];
    if (entry) await this.#send('Page.navigateToHistoryEntry', { entryId: entry.id });
  }

  async click(css) {
    await this.#send('Page.bringToFront', {});
    const place = { ...(await this.place(css)), button: 'left', clickCount: 1 };
    await this.#send('Input.dispatchMouseEvent', { type: 'mouseMoved', ...place, button: 'none' });
    await this.#send('Input.dispatchMouseEvent', { type: 'mousePressed', ...place });
    // The page may leave under the mouse before it answers.
    await this.#send('Input.dispatchMouseEvent', { type: 'mouseReleased', ...place }).catch(() => {});
  }

  async type(_, text, key) {
    await this.#send('Page.bringToFront', {});
    if (text !== undefined) await this.#send('Input.insertText', { text });
    if (key === undefined) return;
    await this.#send('Input.dispatchKeyEvent', { type: 'keyDown', ...KEYS[key] });
    await this.#send('Input.dispatchKeyEvent', { type: 'keyUp', ...KEYS[key], text: undefined }).catch(() => {});
  }

  async freeze(isFrozen) {
    await this.#send('Page.setWebLifecycleState', { state: isFrozen ? 'frozen' : 'active' });
  }

  async size(width, height) {
    await this.#send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
  }

  async screenshot(file) {
    await this.#send('Page.bringToFront', {});
    const { data } = await this.#send('Page.captureScreenshot', { format: 'png' });
    await writeFile(file, Buffer.from(data, 'base64'));
  }

  async close() {
    await within(this.#protocol.send('Target.closeTarget', { targetId: this.#target }), 5_000, 'closing a tab');
  }
}
