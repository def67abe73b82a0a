// The guard in tabs that come back without a person's going anywhere: after the browser has ended and begun again, out
// of another tab, after they were closed, after the browser took their page away, and out of a sleep of the page's own.

import assert from 'node:assert/strict';
import { ANN, ANN_ALONE, ANN_NAMED, inEveryEngine } from './site.mjs';

const TTL = 2_500;
const KEPT = { headers: { 'cache-control': 'private, max-age=600' } };
/** Ann's email has been changed since. */
const LATER = { id: ANN.id, email: 'ann@later.test' };
const LATER_NAMED = `${LATER.id} ${LATER.email}`;

inEveryEngine({ restores: true }, (check, engine) => {
  const notDiscarded = engine === 'webkit' ? 'skipped because WebKitGTK takes no page away from its tab' : false;
  const notFrozen = engine === 'chromium' ? false : 'skipped because no driver of this engine freezes a page';

  /** A page from the HTTP cache and one with `no-store`, each in a tab; then Ann's email changes. */
  async function open(scene) {
    scene.site.pages['/kept'] = KEPT;
    const kept = scene.tab;
    await scene.goto('/kept', kept);
    await scene.hears(`view: ${ANN_NAMED}`);
    await kept.evaluate('window.first = true');
    const stored = await scene.newTab();
    await scene.goto('/a', stored);
    await scene.hears(`view: ${ANN_NAMED}`);
    await stored.evaluate('window.first = true');
    scene.site.user = LATER;
    return { kept, stored, since: Date.now() };
  }

  /** Another document than the first one of its address, out of the cache. */
  async function isFromCache(scene, tab) {
    assert.equal(await tab.evaluate('window.first'), undefined, 'another document');
    assert.equal(scene.site.times('/kept'), 1, 'nobody asked the server');
  }

  check('a session that is restored: the page from the cache gives the id alone, and so does the page before it; the page with no-store is fetched anew', { ttl: TTL }, async (scene) => {
    const { stored, since } = await open(scene);
    scene.site.pages['/b'] = KEPT;
    await scene.goto('/b', stored);
    await scene.hears(`view: ${LATER_NAMED}`);
    await stored.goto(`${scene.site.url}/a`);
    await scene.hears(`view: ${LATER_NAMED}`);
    await scene.restart();
    const front = await scene.comes(scene.profile.foundTab(`${scene.site.url}/a`));
    await scene.hears(`view: ${LATER_NAMED}`);
    assert.equal(scene.site.times('/a'), 3);
    const kept = await scene.comes(scene.profile.foundTab(`${scene.site.url}/kept`, front));
    await scene.hears(`view: ${ANN_ALONE}`);
    await isFromCache(scene, kept);
    await front.back();
    await scene.hears(`view: ${ANN_ALONE}`);
    assert.equal(scene.site.times('/b'), 1, 'nobody asked the server');
    await scene.until(TTL, since);
    await scene.acts(ANN_ALONE, kept);
  });

  check('a tab that is duplicated: the page from the cache gives the id alone, the page with no-store is fetched anew', { ttl: TTL }, async (scene) => {
    const { kept, stored, since } = await open(scene);
    const secondKept = await scene.comes(scene.profile.duplicate(kept));
    await scene.hears(`view: ${ANN_ALONE}`);
    await isFromCache(scene, secondKept);
    await scene.acts(ANN_ALONE, secondKept);
    const second = await scene.comes(scene.profile.duplicate(stored));
    await scene.hears(`view: ${LATER_NAMED}`);
    assert.equal(scene.site.times('/a'), 2);
    await scene.until(TTL, since);
    for (const tab of [kept, stored]) await scene.acts(ANN_ALONE, tab);
    await scene.until(TTL, Date.now());
    await scene.acts(ANN_ALONE, second);
  });

  check('a tab that was closed and is opened again: the page from the cache gives the id alone, the page with no-store is fetched anew', { ttl: TTL }, async (scene) => {
    const { kept, stored } = await open(scene);
    const other = await scene.newTab();
    await scene.goto('/b', other);
    await scene.hears(`view: ${LATER_NAMED}`);
    const keptAgain = await scene.comes(scene.profile.reopen(kept, other));
    await scene.hears(`view: ${ANN_ALONE}`);
    await isFromCache(scene, keptAgain);
    await scene.comes(scene.profile.reopen(stored, other));
    await scene.hears(`view: ${LATER_NAMED}`);
    assert.equal(scene.site.times('/a'), 2);
  });

  check('a page with no-cache, in a tab that is duplicated, or closed and opened again: the id alone, whether the server is asked or not', {}, async (scene) => {
    const asked = [];
    const headers = { etag: '"1"', 'cache-control': 'private, no-cache' };
    scene.site.pages['/checked'] = (request, response) => {
      const isKnown = request.headers['if-none-match'] === headers.etag;
      asked.push(isKnown ? 304 : 200);
      return isKnown ? response.writeHead(304, headers).end() : scene.site.send(response, '/checked', { headers });
    };
    await scene.goto('/checked');
    await scene.hears(`view: ${ANN_NAMED}`);
    scene.site.user = LATER;
    const second = await scene.comes(scene.profile.duplicate(scene.tab));
    await scene.hears(`view: ${ANN_ALONE}`);
    const other = await scene.newTab();
    await scene.goto('/b', other);
    await scene.hears(`view: ${LATER_NAMED}`);
    await scene.comes(scene.profile.reopen(second, other));
    await scene.hears(`view: ${ANN_ALONE}`);
    assert.deepEqual(asked, engine === 'webkit' ? [200, 304, 304] : [200], 'WebKit asks');
  });

  check('a tab whose page the browser took away: the page from the cache gives the id alone, the page with no-store is fetched anew', { skip: notDiscarded, ttl: TTL }, async (scene) => {
    const { kept, stored, since } = await open(scene);
    const other = await scene.newTab();
    await scene.goto('/b', other);
    await scene.hears(`view: ${LATER_NAMED}`);
    for (const tab of [kept, stored]) await scene.profile.discard(tab, other);
    await scene.until(TTL, since);
    await scene.hears();
    const keptAgain = await scene.comes(scene.profile.foundTab(`${scene.site.url}/kept`, other));
    await scene.hears(`view: ${ANN_ALONE}`);
    await isFromCache(scene, keptAgain);
    if (engine === 'chromium') assert.equal(await keptAgain.evaluate('document.wasDiscarded'), true);
    await scene.comes(scene.profile.foundTab(`${scene.site.url}/a`, other));
    await scene.hears(`view: ${LATER_NAMED}`);
    assert.equal(scene.site.times('/a'), 2);
  });

  check('a page that was frozen behind others past its deadline: what had waited in it gives the id alone, and so does a click', { skip: notFrozen, ttl: TTL }, async (scene) => {
    await scene.goto('/a');
    const since = Date.now();
    await scene.hears(`view: ${ANN_NAMED}`);
    const other = await scene.newTab();
    await scene.goto('/b', other);
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.tab.evaluate(() => {
      setTimeout(() => window._hsq.push(['trackCustomBehavioralEvent', { name: 'x' }]), 1_000);
    });
    await scene.tab.freeze(true);
    await scene.until(TTL, since);
    await scene.hears();
    await scene.tab.freeze(false);
    await scene.hears(`behavioural: ${ANN_ALONE}`);
    await scene.acts(ANN_ALONE);
  });

  check("a page that was frozen before HubSpot's script came: its view gives the id alone", { skip: notFrozen, ttl: TTL, loader: '?loader_delay_ms=1000' }, async (scene) => {
    const going = scene.goto('/a');
    await scene.tab.waitFor(() => !!window._vc);
    await scene.tab.freeze(true);
    await scene.until(TTL + 200, Date.now());
    await scene.hears();
    await scene.tab.freeze(false);
    await going;
    await scene.hears(`view: ${ANN_ALONE}`);
  });
});
