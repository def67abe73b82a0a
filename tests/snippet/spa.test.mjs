// The guard as a file for apps that make their pages in the browser (page/vidcache.js): the document is as old as it
// likes, what it shows comes by fetch.

import assert from 'node:assert/strict';
import { ANN, ANN_ALONE, ANN_NAMED, BOB, BOB_NAMED, inEveryEngine, NOBODY } from './site.mjs';

const TTL = 2_500;
const APP = `<script type="module">
  import { show, signedOut } from '/vidcache.js';
  Object.assign(window, { show, signedOut, ask: () => show(fetch('/me.json').then((answer) => answer.json())) });
  await window.ask();
  window.isShown = true;
</script>
<script id="hs-script-loader" async defer src="//js.hs-scripts.com/62515.js"></script>`;

/** The app's document comes out of the HTTP cache the second time. */
async function openApp(scene) {
  scene.site.pages['/app'] = { headers: { 'cache-control': 'max-age=600' }, snippet: APP };
  scene.site.pages['/me.json'] = (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'private, no-store' }).end(JSON.stringify(scene.site.data()));
  };
  scene.site.pages['/away'] = { snippet: '' };
  await scene.goto('/app');
  // The module may have the answer after HubSpot's script has sent the first view.
  await scene.tab.waitFor('window.isShown');
  await scene.goto('/away');
  await scene.tab.evaluate(() => {
    setTimeout(() => location.assign('/app'));
  });
  await scene.tab.waitFor("location.pathname === '/app' && window.isShown && window._hsq.push !== Array.prototype.push");
  assert.equal(scene.site.times('/app'), 1, 'the document came from the cache');
  await scene.settle();
}

const view = (tab) => tab.evaluate(() => {
  window._hsq.push(['setPath', location.pathname]);
  window._hsq.push(['trackPageView']);
});

inEveryEngine({}, (check) => {
  check('a page of an app out of the HTTP cache names the email that the app asked for, until the deadline', { ttl: TTL }, async (scene) => {
    await openApp(scene);
    await scene.tab.evaluate('window.ask()');
    const asked = Date.now();
    await view(scene.tab);
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.until(TTL, asked);
    await view(scene.tab);
    await scene.hears(`view: ${ANN_ALONE}`);
    await scene.acts(ANN_ALONE);
    await scene.tab.evaluate('window.ask()');
    await scene.acts(ANN_NAMED);
    assert.equal(scene.site.times('/me.json'), 4);
  });

  check('an answer that takes longer than the deadline names no email', { ttl: 1_000 }, async (scene) => {
    await openApp(scene);
    await scene.tab.evaluate(() => window.show(fetch('/me.json').then((answer) => answer.json()).then((data) => new Promise((resolve) => {
      setTimeout(resolve, 1_100, data);
    }))));
    await scene.acts(ANN_ALONE);
  });

  check('data without its promise, in a document out of the cache, gives the id alone', {}, async (scene) => {
    await openApp(scene);
    await scene.tab.evaluate(async () => {
      window.show(await (await fetch('/me.json')).json());
    });
    await scene.acts(ANN_ALONE);
  });

  check('a sign-out ends it, for the next user too; an answer that fails leaves what was', {}, async (scene) => {
    await openApp(scene);
    await scene.tab.evaluate('window.ask()');
    await scene.acts(ANN_NAMED);
    await scene.tab.evaluate(async () => {
      await window.show(Promise.reject(new Error('offline'))).catch(() => {});
    });
    await scene.acts(ANN_NAMED);
    await scene.tab.evaluate('window.signedOut()');
    await scene.acts(NOBODY);
    await view(scene.tab);
    await scene.hears(`view: ${NOBODY}`);
    scene.site.user = BOB;
    await scene.tab.evaluate('window.ask()');
    await scene.acts(BOB_NAMED);
    scene.site.user = { id: ANN.id };
    await scene.tab.evaluate('window.ask()');
    await scene.acts(ANN_ALONE);
    const tokens = new Set(scene.requests().map(({ searchParams }) => searchParams.get('vi')));
    assert.equal(tokens.size, 2, 'usertokens');
  });
});
