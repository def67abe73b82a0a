// The guard and HubSpot's script: when it comes, how often, and under which policy.
// Other code that identifies: others.test.mjs; frames and character sets: page.test.mjs.

import assert from 'node:assert/strict';
import { ANN, ANN_ALONE, ANN_NAMED, BOB, BOB_NAMED, inEveryEngine, NOBODY } from './site.mjs';

const TTL = 2_000;
const LOADER = '//js.hs-scripts.com/62515.js';

inEveryEngine({}, (check) => {
  check("HubSpot's script comes after the deadline: the id alone", { ttl: TTL, loader: `?loader_delay_ms=${TTL + 100}` }, async (scene) => {
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_ALONE}`);
    await scene.acts(ANN_ALONE);
  });

  check("HubSpot's script comes within the deadline, and the deadline passes", { ttl: TTL }, async (scene) => {
    await scene.goto('/a');
    const came = Date.now();
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.until(TTL, came);
    await scene.acts(ANN_ALONE);
  });

  check("the tag twice, and HubSpot's script once more, count one view", { tags: 2, body: `<script async src="${LOADER}?again"></script>` }, async (scene) => {
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.acts(ANN_NAMED);
  });

  check('a policy with a nonce and strict-dynamic, and Trusted Types: the page, and a visit that brings the script along', {}, async (scene) => {
    const page = (path, withTag) => (_, response) => scene.site.send(response, path, {
      headers: { 'content-security-policy': "script-src 'nonce-bm9uY2U=' 'strict-dynamic'; object-src 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types vidcache turbo" },
      snippet: withTag ? scene.site.tag(' nonce="bm9uY2U="') : '',
    });
    Object.assign(scene.site.pages, { '/a': page('/a', true), '/bare': page('/bare', false) });
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.goto('/bare');
    // As Turbo does it: the inline script is made anew, with the nonce of the first page; the loader is left out.
    const [, code] = /<script[^>]*>(.*?)<\/script>/s.exec(scene.site.tag());
    await scene.tab.evaluate((text) => {
      const policy = window.trustedTypes?.createPolicy('turbo', { createScript: (given) => given });
      const script = document.createElement('script');
      script.nonce = 'bm9uY2U=';
      script.textContent = policy ? policy.createScript(text) : text;
      document.body.append(script);
    }, code);
    await scene.hears(`view: ${ANN_NAMED}`);
  });

  check("a sign-out and the next user before HubSpot's script comes: no view of the former browser names the next user", {
    head: '<script src="/turbo8.js"></script>', loader: '?held',
  }, async (scene) => {
    const visit = async (path, commands) => {
      await scene.tab.evaluate((to) => window.Turbo.visit(to), path);
      await scene.tab.waitFor((to, count) => document.title === to && window._hsq?.length >= count, path, commands);
    };
    // From a page without the tag, so that no `load` waits for the script.
    scene.site.pages['/start'] = { snippet: '' };
    scene.double.holdLoaders();
    await scene.goto('/start');
    await visit('/a', 1);
    Object.assign(scene.site, { user: null, out: true });
    await visit('/b', 5);
    Object.assign(scene.site, { user: BOB, out: false });
    await visit('/c', 8);
    scene.double.releaseLoaders();
    // Views of one millisecond are one request: a browser asks for a picture once.
    await scene.tab.waitFor(() => window._hsq.length === 0);
    await scene.settle();
    const views = scene.requests();
    assert.ok(views.length > 0 && views.every((url) => !/vid|shop/.test(url.search)), String(views));
    const tokens = new Set(views.map(({ searchParams }) => searchParams.get('vi')));
    assert.equal(tokens.size, 1, 'the former usertoken');
    await scene.acts(BOB_NAMED);
    assert.ok(!tokens.has(scene.requests().at(-1).searchParams.get('vi')), 'a new usertoken');
  });

  check('a page of nobody, and one of somebody without an email', { user: null }, async (scene) => {
    await scene.goto('/a');
    await scene.hears(`view: ${NOBODY}`);
    scene.site.user = { id: ANN.id };
    await scene.goto('/b');
    await scene.hears(`view: ${ANN_ALONE}`);
  });
});
