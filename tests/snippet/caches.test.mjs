// The guard in documents that did not come from the server a moment ago: out of the browser's caches, a service worker,
// the back/forward cache, or fetched ahead. What an engine cannot see is asserted as it is.

import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { eventually } from '../browsers/eventually.mjs';
import { ANN, ANN_ALONE, ANN_NAMED, inEveryEngine, pause } from './site.mjs';

const TTL = 2_500;
const KEPT = { headers: { 'cache-control': 'max-age=600' } };

/** As a link of the page leads there: an address that is typed again asks the server in some engines. */
const assign = (scene, path, tab = scene.tab) => tab.evaluate((to) => {
  setTimeout(() => location.assign(to));
}, path).then(() => tab.waitFor((to) => location.pathname === to && document.readyState === 'complete', path));

/** Registers a worker of this source and waits until pages are under its control. */
async function register(scene, source) {
  scene.site.pages['/worker.js'] = (_, response) => {
    response.writeHead(200, { 'content-type': 'text/javascript' }).end(`
      self.oninstall = () => self.skipWaiting();
      self.onactivate = (event) => event.waitUntil(self.clients.claim());
      ${source}`);
  };
  await scene.tab.evaluate(async () => {
    const controlled = new Promise((resolve) => {
      navigator.serviceWorker.oncontrollerchange = resolve;
    });
    await navigator.serviceWorker.register('/worker.js');
    await controlled;
  });
}

/** Ann's email is named, a change of it begins, the next page says less, and after the deadline she goes back. */
async function leaveAndReturn(scene) {
  await scene.goto('/a');
  const came = Date.now();
  await scene.tab.evaluate('window.first = true');
  await scene.hears(`view: ${ANN_NAMED}`);
  scene.site.user = { id: ANN.id };
  await scene.goto('/b');
  await scene.hears(`view: ${ANN_ALONE}`);
  await scene.until(TTL, came);
  await scene.tab.back();
}

inEveryEngine({}, (check, engine) => {
  const isFirefox = engine === 'firefox';
  const onlyChromium = engine === 'chromium' ? false : 'skipped because this engine has no speculation rules';

  check('a page out of the HTTP cache gives the id alone, in its tab and in another; a reload names the email', {}, async (scene) => {
    scene.site.pages['/kept'] = KEPT;
    await scene.goto('/kept');
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    await assign(scene, '/kept');
    await scene.hears(`view: ${ANN_ALONE}`);
    await scene.acts(ANN_ALONE);
    const second = await scene.newTab();
    await scene.goto('/b', second);
    await scene.hears(`view: ${ANN_NAMED}`);
    await assign(scene, '/kept', second);
    await scene.hears(`view: ${ANN_ALONE}`);
    assert.equal(scene.site.times('/kept'), 1, 'the browser had it');
    await second.reload();
    await scene.hears(`view: ${ANN_NAMED}`);
    assert.equal(scene.site.times('/kept'), 2);
  });

  check(`a page that the server says is still good (304) ${isFirefox ? 'cannot be told from a fresh one' : 'gives the id alone'}`, {}, async (scene) => {
    let asked = 0;
    scene.site.pages['/kept'] = (request, response) => {
      if (request.headers['if-none-match'] === '"1"') {
        asked += 1;
        return response.writeHead(304, { etag: '"1"', 'cache-control': 'no-cache' }).end();
      }
      return scene.site.send(response, '/kept', { headers: { etag: '"1"', 'cache-control': 'no-cache' } });
    };
    await scene.goto('/kept');
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    await assign(scene, '/kept');
    await scene.hears(`view: ${isFirefox ? ANN_NAMED : ANN_ALONE}`);
    assert.equal(asked, 1);
  });

  check('the way back to a page with no-store: the same document, or one that is fetched anew', { ttl: TTL }, async (scene) => {
    await leaveAndReturn(scene);
    // Firefox keeps no such page, and Chromium none once a cookie changed, as HubSpot's script does it on each page.
    const isFetched = engine !== 'webkit';
    await scene.hears(...(isFetched ? [`view: ${ANN_ALONE}`] : []));
    assert.equal(await scene.tab.evaluate('window.first === true'), !isFetched);
    await scene.acts(ANN_ALONE);
  });

  check('the back/forward cache: the same document, whose clicks know of the deadline', { ttl: TTL, headers: { 'cache-control': 'private, no-cache' } }, async (scene) => {
    await leaveAndReturn(scene);
    assert.equal(await scene.tab.evaluate('window.first'), true, 'the same document');
    await scene.acts(ANN_ALONE);
  });

  check('the way back where a listener for `unload` keeps the back/forward cache away, from the HTTP cache', { ttl: TTL, headers: { 'cache-control': 'private, max-age=600' } }, async (scene) => {
    scene.site.pages['/a'] = { head: '<script>addEventListener("unload", () => {})</script>' };
    await scene.goto('/a');
    const came = Date.now();
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.goto('/b');
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.tab.back();
    // WebKit keeps the document nevertheless.
    await scene.hears(...(engine === 'webkit' ? [] : [`view: ${ANN_ALONE}`]));
    assert.equal(scene.site.times('/a'), 1, 'nobody asked the server');
    await scene.until(TTL, came);
    await scene.acts(ANN_ALONE);
  });

  check('a page that <link rel=prefetch> fetched ahead gives the id alone where there is such a thing', {}, async (scene) => {
    scene.site.pages['/a'] = { head: '<link rel="prefetch" href="/b">' };
    scene.site.pages['/b'] = { headers: { 'cache-control': 'private, max-age=600' } };
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    const isThere = engine !== 'webkit';
    if (isThere) await eventually(() => scene.site.times('/b') > 0);
    await pause(200);
    await scene.tab.click('#b');
    await scene.hears(`view: ${isThere ? ANN_ALONE : ANN_NAMED}`);
    assert.equal(scene.site.times('/b'), 1, 'it was fetched once');
  });

  check('a service worker that answers from its cache', {}, async (scene) => {
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    await register(scene, `
      self.oninstall = (event) => { self.skipWaiting(); event.waitUntil(caches.open('pages').then((cache) => cache.add('/kept'))); };
      self.onfetch = (event) => { if (event.request.mode === 'navigate') event.respondWith(caches.match(event.request).then((found) => found || fetch(event.request))); };`);
    await scene.goto('/kept');
    await scene.hears(`view: ${ANN_ALONE}`);
    await scene.acts(ANN_ALONE);
    assert.equal(scene.site.times('/kept'), 1, 'the worker had it');
  });

  check('a service worker that answers from its memory', {}, async (scene) => {
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    await register(scene, `
      const page = fetch('/kept').then((answer) => answer.text());
      self.oninstall = (event) => { self.skipWaiting(); event.waitUntil(page); };
      self.onfetch = (event) => { if (event.request.mode === 'navigate') event.respondWith(page.then((text) => new Response(text, { headers: { 'content-type': 'text/html' } }))); };`);
    await scene.goto('/kept');
    await scene.hears(`view: ${ANN_ALONE}`);
    assert.equal(scene.site.times('/kept'), 1, 'the worker had it');
  });

  check(`a service worker that passes the request on: ${isFirefox ? 'the id alone, since the sizes are not told' : 'the email'}`, {}, async (scene) => {
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    await register(scene, 'self.onfetch = (event) => { event.respondWith(fetch(event.request)); };');
    await scene.goto('/b');
    await scene.hears(`view: ${isFirefox ? ANN_ALONE : ANN_NAMED}`);
    assert.equal(scene.site.times('/b'), 1);
  });

  check('a service worker that leaves the request alone', {}, async (scene) => {
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    await register(scene, 'self.onfetch = () => {};');
    await scene.goto('/b');
    await scene.hears(`view: ${ANN_NAMED}`);
  });

  check('a page that was fetched ahead by speculation rules', { skip: onlyChromium }, async (scene) => {
    scene.site.pages['/a'] = { head: '<script type="speculationrules">{"prefetch":[{"urls":["/b"],"eagerness":"immediate"}]}</script>' };
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    await eventually(() => scene.site.times('/b') > 0);
    await pause(300);
    await scene.tab.click('#b');
    await scene.hears(`view: ${ANN_ALONE}`);
    assert.equal(scene.site.times('/b'), 1, 'it was fetched once');
  });

  check('a page that was rendered ahead by speculation rules', { skip: onlyChromium }, async (scene) => {
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.tab.evaluate(() => {
      const rules = document.createElement('script');
      rules.type = 'speculationrules';
      rules.text = '{"prerender":[{"urls":["/b"],"eagerness":"immediate"}]}';
      document.head.append(rules);
    });
    // The double counts a view of a page that nobody sees yet; what counts is that no email is in it.
    await scene.hears(`view: ${ANN_ALONE}`);
    await scene.tab.click('#b');
    await scene.tab.waitFor("location.pathname === '/b'");
    assert.ok(await scene.tab.evaluate("performance.getEntriesByType('navigation')[0].activationStart > 0"), 'it was rendered ahead');
    await scene.acts(ANN_ALONE);
  });

  check('a page by way of a redirect names the email', {}, async (scene) => {
    scene.site.pages['/old'] = (_, response) => response.writeHead(302, { location: '/a', 'cache-control': 'no-store' }).end();
    await scene.goto('/old');
    await scene.hears(`view: ${ANN_NAMED}`);
  });

  check('a page that was compressed names the email', {}, async (scene) => {
    scene.site.pages['/a'] = { headers: { 'content-encoding': 'gzip' }, encode: gzipSync };
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
  });

  check('a page that comes in parts names the email', {}, async (scene) => {
    scene.site.pages['/a'] = async (_, response) => {
      response.writeHead(200, { 'content-type': 'text/html', 'cache-control': 'no-store' });
      for (const part of scene.site.render('/a').split(/(?<=<\/h1>|<\/script>)/)) {
        response.write(part);
        await pause(80);
      }
      response.end();
    };
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
  });

  check('a page that was held back past its deadline gives the id alone', { ttl: 1_000 }, async (scene) => {
    scene.site.pages['/a'] = { delay: 1_200 };
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_ALONE}`);
  });
});
