// What a person does to tabs and no protocol of a browser can do: an extension does it, the same one in Chromium and in
// Firefox. A page of loopback passes the command on, by an event that the extension's script in the page hears.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NoAnswer } from './protocol.mjs';

const LOOPBACK = 'http://127.0.0.1/*';

const BACKGROUND = `
const api = globalThis.browser ?? chrome;
const commands = {
  duplicate: ({ id }) => api.tabs.duplicate(id),
  discard: ({ id }) => api.tabs.discard(id),
  show: ({ id }) => api.tabs.update(id, { active: true }),
  // A tab that was just closed is remembered a moment later.
  async reopen(_, url) {
    for (let tries = 0; tries < 400; tries++) {
      const [last] = await api.sessions.getRecentlyClosed({ maxResults: 1 });
      if (last?.tab?.url === url) return api.sessions.restore(last.tab.sessionId);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error('the browser does not remember that the tab was closed');
  },
  quit: ({ windowId }) => api.windows.remove(windowId),
};
api.runtime.onMessage.addListener(({ command, url }, sender, answer) => {
  api.tabs.query({}).then((tabs) => commands[command](tabs.findLast((tab) => tab.url === url) ?? {}, url)).then(() => answer('done'), (error) => answer(String(error)));
  return true;
});
`;

const IN_PAGES = `
addEventListener('hands', ({ detail }) => {
  (globalThis.browser ?? chrome).runtime.sendMessage(JSON.parse(detail), (answer) => dispatchEvent(new CustomEvent('hands-done', { detail: answer })));
});
`;

/** What differs between the engines' manifests. */
const MANIFESTS = {
  chromium: { manifest_version: 3, permissions: ['tabs', 'sessions'], background: { service_worker: 'background.js' } },
  firefox: { manifest_version: 2, permissions: ['tabs', 'sessions', LOOPBACK], background: { scripts: ['background.js'] }, browser_specific_settings: { gecko: { id: 'hands@vidcache.test' } } },
};

/** @param {'chromium'|'firefox'} engine @param {string} folder  of the browser @returns {string} the extension's folder, written anew */
export function newExtension(engine, folder) {
  const home = join(folder, 'hands');
  mkdirSync(home, { recursive: true });
  const manifest = { name: 'hands', version: '1', ...MANIFESTS[engine], content_scripts: [{ matches: [LOOPBACK], js: ['in_pages.js'], run_at: 'document_start' }] };
  for (const [name, text] of Object.entries({ 'manifest.json': JSON.stringify(manifest), 'background.js': BACKGROUND, 'in_pages.js': IN_PAGES })) writeFileSync(join(home, name), text);
  return home;
}

/**
 * @param {import('./tab.mjs').Tab} tab  a page of loopback, which passes the command on
 * @param {'duplicate'|'discard'|'show'|'reopen'|'quit'} command
 * @param {string} url  of the tab that is meant: the last one of this address
 */
export async function command(tab, command, url) {
  const answer = await tab.evaluate((detail) => new Promise((resolve) => {
    addEventListener('hands-done', (event) => resolve(event.detail), { once: true });
    dispatchEvent(new CustomEvent('hands', { detail }));
  }), JSON.stringify({ command, url })).catch((error) => {
    throw /took more than/.test(error.message) ? new NoAnswer(`${command}: the extension did not answer`) : error;
  });
  if (answer !== 'done') throw new Error(`${command}: ${answer}`);
}

/**
 * @param {(url: string) => Promise<import('./tab.mjs').Tab>} findTab  the tab of this address that nobody has yet
 * @returns what a profile of Chromium or Firefox does with tabs (index.mjs)
 */
export function hands(findTab) {
  return {
    async foundTab(url, other) {
      if (other) await command(other, 'show', url);
      return findTab(url);
    },
    async duplicate(tab) {
      const url = await tab.url();
      await command(tab, 'duplicate', url);
      return findTab(url);
    },
    async discard(tab, other) {
      const url = await tab.url();
      await tab.release();
      await command(other, 'discard', url);
    },
    async reopen(tab, other) {
      const url = await tab.url();
      await tab.close();
      await command(other, 'reopen', url);
      return findTab(url);
    },
  };
}
