// Firefox by WebDriver BiDi. A profile here is a user context of one Firefox: cookies, caches, storage and service
// workers are kept apart by it, as they are for a person's containers.

import { mkdirSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { command, hands, newExtension } from './hands.mjs';
import { find, newFolder, Program, remove, within } from './processes.mjs';
import { Protocol } from './protocol.mjs';
import { Tab } from './tab.mjs';

/** What is asked for whatever the preferences are. */
export const ERRANDS = /(?:^|\.)(?:mozilla\.(?:com|org|net)|firefox\.com)$/;

const KEYS = { Enter: '\uE007', Tab: '\uE004', Escape: '\uE00C' };

export function missing() {
  return find('firefox-esr') ? null : 'skipped because there is no firefox-esr on the PATH';
}

/** What keeps Firefox from asking its maker for anything, and leads it to the proxy. */
function preferences(proxy, restores, dark) {
  const [host, port] = proxy.split(':');
  return {
    'network.proxy.type': 1, 'network.proxy.http': host, 'network.proxy.http_port': Number(port),
    'network.proxy.ssl': host, 'network.proxy.ssl_port': Number(port), 'network.proxy.allow_hijacking_localhost': false,
    'network.proxy.failover_direct': false, 'network.proxy.allow_bypass': false, 'network.trr.mode': 5,
    'network.captive-portal-service.enabled': false, 'network.connectivity-service.enabled': false,
    'app.update.enabled': false, 'app.update.disabledForTesting': true, 'app.normandy.enabled': false, 'app.normandy.api_url': '',
    'toolkit.telemetry.enabled': false, 'toolkit.telemetry.unified': false, 'toolkit.telemetry.server': '', 'datareporting.policy.dataSubmissionEnabled': false,
    'datareporting.healthreport.uploadEnabled': false, 'browser.ping-centre.telemetry': false,
    'browser.safebrowsing.malware.enabled': false, 'browser.safebrowsing.phishing.enabled': false, 'browser.safebrowsing.downloads.enabled': false,
    'browser.safebrowsing.blockedURIs.enabled': false, 'browser.safebrowsing.update.enabled': false, 'browser.safebrowsing.provider.mozilla.updateURL': '',
    'browser.safebrowsing.provider.google4.updateURL': '', 'browser.safebrowsing.provider.google5.updateURL': '',
    'privacy.trackingprotection.enabled': false, 'privacy.trackingprotection.pbmode.enabled': false,
    'services.settings.server': 'data:,#remote-settings-dummy/v1', 'extensions.update.enabled': false, 'extensions.getAddons.cache.enabled': false,
    'extensions.systemAddon.update.enabled': false, 'extensions.systemAddon.update.url': '', 'media.gmp-manager.updateEnabled': false, 'media.gmp-manager.url': '',
    'browser.region.network.url': '', 'browser.region.update.enabled': false, 'browser.search.update': false, 'browser.newtabpage.enabled': false,
    'browser.startup.page': restores ? 3 : 0, 'browser.startup.homepage_override.mstone': 'ignore', 'browser.aboutwelcome.enabled': false,
    'browser.shell.checkDefaultBrowser': false, 'browser.topsites.contile.enabled': false, 'browser.discovery.enabled': false,
    'dom.push.connection.enabled': false, 'dom.push.serverURL': '', 'identity.fxaccounts.enabled': false, 'signon.rustMirror.enabled': false,
    // The built-in list of hosts that are asked by https only, track.hubspot.com among them.
    'network.stricttransportsecurity.preloadlist': false,
    'dom.security.https_first': false, 'dom.security.https_first_schemeless': false, 'dom.serviceWorkers.testing.enabled': false,
    'network.http.speculative-parallel-limit': 0, 'security.OCSP.enabled': 0, 'security.remote_settings.crlite_filters.enabled': false,
    'layout.css.prefers-color-scheme.content-override': dark ? 0 : 1, 'browser.ml.enable': false, 'browser.translations.enable': false, 'geo.enabled': false,
  };
}

/**
 * @param {import('./index.mjs').EngineOptions} options
 * @param {string} [former]  the folder of a browser that has ended, whose tabs come back
 */
export async function start(options, former) {
  const { proxy, wallClock, args, timeout, problem, restores, dark } = options;
  const folder = former ?? newFolder('firefox');
  const profile = join(folder, 'profile');
  mkdirSync(profile, { recursive: true });
  writeFileSync(join(profile, 'user.js'), Object.entries(preferences(proxy, restores, dark)).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`).join(''));
  const env = { ...process.env, ...wallClock?.env, HOME: folder, MOZ_CRASHREPORTER_DISABLE: '1', MOZ_HEADLESS_WIDTH: '1280', MOZ_HEADLESS_HEIGHT: '900' };
  const program = new Program(find('firefox-esr'), ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port', '0', ...args], { env });
  /** The tabs that a test has. */
  const given = new Set();
  let bidi;
  const close = async () => {
    // Firefox writes its profile when it ends by itself; nobody reads it again.
    bidi?.close();
    program.kill();
    await program.close();
    remove(folder);
  };
  try {
    const [, address] = await program.says(/WebDriver BiDi listening on (ws:\/\/\S+)/, timeout);
    bidi = await within(Protocol.connect(`${address}/session`, hear), timeout, 'connecting to Firefox');
    const session = await within(bidi.send('session.new', { capabilities: { alwaysMatch: { unhandledPromptBehavior: { default: 'dismiss' } } } }), timeout, 'a session with Firefox');
    await bidi.send('session.subscribe', { events: ['log.entryAdded'] });
    if (restores) await bidi.send('webExtension.install', { extensionData: { type: 'path', path: newExtension('firefox', folder) } });
    return { version: session.capabilities.browserVersion, newProfile, restart, ended: () => program.ended(), close };
  } catch (error) {
    await close();
    throw error;
  }

  function hear(method, params) {
    if (method === 'log.entryAdded' && params.type === 'javascript' && params.level === 'error') problem(`a script failed: ${params.text}`);
  }

  /**
   * Firefox ends as a person ends it, with its window, and comes back with its tabs: `browser.close` closes the tabs
   * first.
   */
  async function restart(tab) {
    // The page is gone before the answer.
    command(tab, 'quit', await tab.url()).catch(() => {});
    await program.ends(timeout);
    bidi.close();
    return start(options, folder);
  }

  async function newProfile() {
    // Only the context that Firefox begins with outlives Firefox.
    const { userContext } = restores ? { userContext: 'default' } : await bidi.send('browser.createUserContext');
    return {
      async newTab() {
        const { context } = await bidi.send('browsingContext.create', { type: 'tab', userContext });
        return attach(context);
      },
      ...hands(findTab),
      close: () => (restores ? undefined : bidi.send('browser.removeUserContext', { userContext })),
    };
  }

  async function findTab(url) {
    for (const until = Date.now() + timeout; Date.now() < until; await pause(20)) {
      const { contexts } = await bidi.send('browsingContext.getTree', { maxDepth: 0 });
      const found = contexts.find((context) => context.url === url && !given.has(context.context));
      if (!found) continue;
      await bidi.send('browsingContext.activate', { context: found.context });
      return attach(found.context);
    }
    throw new Error(`no tab of ${url} came`);
  }

  function attach(context) {
    given.add(context);
    // The tab keeps its name when its page is taken away.
    return new FirefoxTab(bidi, context, () => given.delete(context));
  }
}

class FirefoxTab extends Tab {
  #bidi;
  #context;

  constructor(bidi, context, release) {
    super();
    this.#bidi = bidi;
    this.#context = context;
    this.release = release;
  }

  async run(expression) {
    const answer = await this.#bidi.send('script.evaluate', { expression, target: { context: this.#context }, awaitPromise: true });
    if (answer.type === 'exception') throw new Error(answer.exceptionDetails.text);
    return answer.result.value;
  }

  async navigate(url, until) {
    await this.#bidi.send('browsingContext.navigate', { context: this.#context, url, wait: until === 'load' ? 'complete' : 'none' });
  }

  async reloadPage() {
    await this.#bidi.send('browsingContext.reload', { context: this.#context, wait: 'none' });
  }

  async traverse(delta) {
    await this.#bidi.send('browsingContext.traverseHistory', { context: this.#context, delta }).catch((error) => {
      if (!/history/i.test(error.message)) throw error;
    });
  }

  async click(css) {
    const { x, y } = await this.place(css);
    await this.#perform({ type: 'pointer', id: 'mouse', actions: [{ type: 'pointerMove', x, y }, { type: 'pointerDown', button: 0 }, { type: 'pointerUp', button: 0 }] });
  }

  async type(_, text, key) {
    const values = text === undefined ? [KEYS[key]] : text === '' ? ['\uE003'] : [...text];
    await this.#perform({ type: 'key', id: 'keyboard', actions: values.flatMap((value) => [{ type: 'keyDown', value }, { type: 'keyUp', value }]) });
  }

  #perform(source) {
    return this.#bidi.send('input.performActions', { context: this.#context, actions: [source] });
  }

  async size(width, height) {
    await this.#bidi.send('browsingContext.setViewport', { context: this.#context, viewport: { width, height } });
  }

  async screenshot(file) {
    const { data } = await this.#bidi.send('browsingContext.captureScreenshot', { context: this.#context });
    await writeFile(file, Buffer.from(data, 'base64'));
  }

  async close() {
    await within(this.#bidi.send('browsingContext.close', { context: this.#context }), 5_000, 'closing a tab');
  }
}
