// Other code that tells HubSpot who the visitor is (a form, a chat, a tag manager, HubSpot's own links), and pages in
// which HubSpot's queue, or the browser itself, is not what it should be.

import assert from 'node:assert/strict';
import { ANN, ANN_ALONE, ANN_NAMED, inEveryEngine, NOBODY } from './site.mjs';

const TTL = 2_500;
const CHAT = 'chat@x.test';
const TURBO = '<meta name="turbo-prefetch" content="false"><script src="/turbo8.js"></script>';
const queued = (...commands) => `<script>window._hsq = window._hsq || []; ${commands.map((command) => `_hsq.push(${command});`).join(' ')}</script>`;

/** Who identifies before the guard does, and how. */
const FIRST = {
  'a command on the queue': { head: queued(`['identify', { email: '${CHAT}' }]`) },
  'a function on the queue': { head: queued(`function (tracker) { tracker.identify({ email: '${CHAT}' }); }`) },
  "HubSpot's own parameter of the address": { query: `?__hs_email=${encodeURIComponent(CHAT)}` },
  'that parameter in the hash': { query: `#__hs_email=${encodeURIComponent(CHAT)}` },
};

/** What is wrong with the page, and what it says nevertheless. `bare`: HubSpot's script itself would fail there. */
const HOSTILE = {
  'a frozen queue': { code: 'window._hsq = Object.freeze([]);', bare: true },
  'a queue whose methods fail': { code: 'window._hsq = []; _hsq.push = _hsq.unshift = function () { throw new Error("no"); };', bare: true },
  'a queue that cannot be read': { code: 'Object.defineProperty(window, "_hsq", { get: function () { throw new Error("no"); } });', bare: true },
  'a queue that cannot be set': { code: 'Object.defineProperty(window, "_hsq", { value: undefined });', bare: true },
  'an object for a queue': { code: 'window._hsq = {};', says: NOBODY },
  'a text for a queue': { code: 'window._hsq = "no";', says: NOBODY },
  'a queue replaced by a new one': { code: 'window._hsq = [];', after: 'window._hsq = [];', says: NOBODY },
  'no performance': { code: 'Object.defineProperty(window, "performance", { value: undefined });', says: NOBODY },
  'a performance that tells nothing of the navigation': { code: 'performance.getEntriesByType = function () { return []; };', says: ANN_ALONE },
  'no performance.timing': { code: 'Object.defineProperty(performance, "timing", { value: undefined });', says: ANN_NAMED },
  'no Proxy': { code: 'window.Proxy = undefined;', says: NOBODY },
  'a clock of the year 1970': { code: 'Date.now = function () { return 0; };', says: ANN_ALONE },
  'a clock that tells no number': { code: 'Date.now = function () { return NaN; };', says: NOBODY },
  'the state already taken': { code: 'window._vc = {};', says: NOBODY },
};

inEveryEngine({}, (check) => {
  /** Each way in a tab of its own, since most of the time is the deadline's. */
  const openAll = async (scene) => {
    const tabs = [];
    for (const [n, { head = '', query = '' }] of Object.values(FIRST).entries()) {
      scene.site.pages[`/${n}`] = { head };
      tabs.push({ tab: n === 0 ? scene.tab : await scene.newTab(), path: `/${n}${query}` });
    }
    await Promise.all(tabs.map(({ tab, path }) => scene.goto(path, tab)));
    return tabs.map(({ tab }) => tab);
  };
  const ways = Object.keys(FIRST).join('; ');

  check(`who identified first (${ways}): the page's own user is named, and nobody else, until the deadline`, { ttl: TTL }, async (scene) => {
    const tabs = await openAll(scene);
    const since = Date.now();
    await scene.hears(...tabs.map(() => `view: ${ANN_NAMED}`));
    await scene.until(TTL, since);
    for (const tab of tabs) await scene.acts(ANN_ALONE, tab);
  });

  check(`the same, and HubSpot's script, the older copy, is late: the id alone`, { ttl: 600, loader: '?order=older&loader_delay_ms=1000' }, async (scene) => {
    const tabs = await openAll(scene);
    await scene.hears(...tabs.map(() => `view: ${ANN_ALONE}`));
    for (const tab of tabs) await scene.acts(ANN_ALONE, tab);
  });

  check('other code identifies later: the page keeps to its own user', { ttl: TTL }, async (scene) => {
    await scene.goto('/a');
    const since = Date.now();
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.tab.evaluate((email) => {
      window._hsq.push(['identify', { email, id: '5' }]);
    }, CHAT);
    await scene.acts(ANN_NAMED);
    await scene.until(TTL, since);
    await scene.acts(ANN_ALONE);
    await scene.goto('/b');
    await scene.hears(`view: ${ANN_NAMED}`);
  });

  check('on a page without a user the identity of other code counts, and ends with the next user', { user: null, head: TURBO }, async (scene) => {
    await scene.goto('/a');
    await scene.hears(`view: ${NOBODY}`);
    await scene.tab.evaluate((email) => {
      window._hsq.push(['identify', { email }]);
    }, CHAT);
    await scene.acts(CHAT);
    scene.site.user = ANN;
    await scene.tab.evaluate(() => window.Turbo.visit('/b'));
    await scene.hears(`view: ${ANN_NAMED}`);
    Object.assign(scene.site, { user: null, out: true });
    await scene.tab.evaluate(() => window.Turbo.visit('/c'));
    await scene.hears(`view: ${NOBODY}`);
    await scene.acts(NOBODY);
  });

  check('a tag manager loads HubSpot\'s script and identifies on a page without the tag; then Turbo brings the tag', { ttl: TTL, head: TURBO }, async (scene) => {
    scene.site.pages['/a'] = { snippet: `${queued(`['identify', { email: '${CHAT}', id: '5' }]`)}<script src="//js.hs-scripts.com/62515.js"></script>` };
    await scene.goto('/a');
    await scene.hears(`view: 5 ${CHAT}`);
    await scene.tab.evaluate(() => window.Turbo.visit('/b'));
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.acts(ANN_NAMED);
    await scene.until(TTL, Date.now());
    await scene.acts(ANN_ALONE);
  });

  check('other code resets the identity and identifies: the next page of the document takes it back', { head: TURBO }, async (scene) => {
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.tab.evaluate((email) => {
      window._hsq.push(['resetVisitorIdentity']);
      window._hsq.push(['identify', { email }]);
    }, CHAT);
    await scene.acts(CHAT);
    await scene.tab.evaluate(() => window.Turbo.visit('/b'));
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.acts(ANN_NAMED);
  });

  for (const [what, { code, after = '', bare, says }] of Object.entries(HOSTILE)) {
    check(`${what}: no error leaves the guard, and the page says ${bare ? 'nothing' : says}`, {}, async (scene) => {
      scene.site.pages['/a'] = (_, response) => {
        const tag = bare ? scene.site.tag().split('\n')[0] : scene.site.tag().replace('\n', `<script>${after}</script>\n`);
        scene.site.send(response, '/a', { head: `<script>${code}</script>`, snippet: `${tag}<script>window.lived = true</script>` });
      };
      await scene.goto('/a');
      await scene.hears(...(bare ? [] : [`view: ${says}`]));
      assert.equal(await scene.tab.evaluate('window.lived'), true);
    });
  }

  check('the queue is replaced after the load: the identity that HubSpot\'s script keeps still ends at its deadline', { ttl: TTL, head: TURBO }, async (scene) => {
    await scene.goto('/a');
    const since = Date.now();
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.tab.evaluate(() => {
      window.real = window._hsq;
      window._hsq = Object.freeze({});
    });
    await scene.until(TTL, since);
    await scene.tab.evaluate(() => {
      window.real.push(['trackPageView']);
    });
    await scene.hears(`view: ${ANN_ALONE}`);
    Object.assign(scene.site, { user: null, out: true });
    await scene.tab.evaluate(() => window.Turbo.visit('/b'));
    await scene.tab.waitFor(() => document.title === '/b');
    await scene.tab.evaluate(() => {
      window.real.push(['trackPageView']);
    });
    await scene.hears(`view: ${NOBODY}`);
  });
});
