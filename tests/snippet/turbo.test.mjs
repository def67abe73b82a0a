// The guard in documents that live on: Turbo 8, Turbo 7 and Turbolinks 5 put one page after another into the same
// document, to which HubSpot's script came once.

import assert from 'node:assert/strict';
import { eventually } from '../browsers/eventually.mjs';
import { ANN, ANN_ALONE, ANN_NAMED, BOB, BOB_NAMED, inEveryEngine, NOBODY, pause } from './site.mjs';

const TTL = 2_000;
const HOME = { id: ANN.id, email: 'ann@home.test' };
const HOME_NAMED = `${HOME.id} ${HOME.email}`;

const LIBRARIES = {
  'Turbo 8': { file: '/turbo8.js', has: (path) => window.Turbo.session.view.snapshotCache.has(new URL(path, location.href)) },
  'Turbo 7': { file: '/turbo7.js', has: (path) => window.Turbo.session.view.snapshotCache.has(new URL(path, location.href)) },
  'Turbolinks 5': { file: '/turbolinks5.js', start: '<script>Turbolinks.start()</script>', has: (path) => window.Turbolinks.controller.cache.has(new URL(path, location.href).href) },
};

const TURBO_8 = '<meta name="turbo-prefetch" content="false"><script src="/turbo8.js"></script>';

inEveryEngine({}, (check) => {
  for (const [library, { file, start = '', has }] of Object.entries(LIBRARIES)) {
    const head = `<meta name="turbo-prefetch" content="false"><script src="${file}"></script>${start}`;
    const isTurbo = library !== 'Turbolinks 5';

    /** Opens a page; from then on the document must be the same one. */
    const enter = async (scene, path = '/a') => {
      await scene.goto(path);
      await scene.tab.evaluate('window.first = true');
    };
    const stayed = async (scene) => assert.equal(await scene.tab.evaluate('window.first'), true, 'the same document');
    /**
     * By a link; waits until the page left is in the library's cache, which is a moment after the next page is there.
     */
    const follow = async (scene, path) => {
      const left = new URL(await scene.tab.url()).pathname;
      await scene.tab.click(`#${path.slice(1)}`);
      await scene.tab.waitFor((to) => location.pathname === to && document.title === to && !document.documentElement.matches('[data-turbo-preview], [data-turbolinks-preview]'), path);
      await scene.tab.waitFor(has, left);
    };

    check(`${library}: every visit names the email of the page that it fetched, and the deadline ends it`, { ttl: TTL, head }, async (scene) => {
      await enter(scene);
      await scene.hears(`view: ${ANN_NAMED}`);
      scene.site.user = HOME;
      await follow(scene, '/b');
      const rendered = Date.now();
      await scene.hears(`view: ${HOME_NAMED}`);
      await scene.until(TTL, rendered);
      await scene.acts(ANN_ALONE);
      scene.site.user = { id: ANN.id };
      await follow(scene, '/c');
      await scene.hears(`view: ${ANN_ALONE}`);
      await scene.acts(ANN_ALONE);
      scene.site.user = ANN;
      await follow(scene, '/a');
      await scene.hears(`view: ${ANN_NAMED}`);
      await stayed(scene);
    });

    check(`${library}: a page that is restored on the way back says what the newest page says`, { head }, async (scene) => {
      await enter(scene);
      await scene.hears(`view: ${ANN_NAMED}`);
      scene.site.user = { id: ANN.id };
      await follow(scene, '/b');
      await scene.hears(`view: ${ANN_ALONE}`);
      const asked = scene.site.asked.length;
      await scene.tab.back();
      await scene.hears(`view: ${ANN_ALONE}`);
      await scene.acts(ANN_ALONE);
      assert.equal(scene.site.asked.length, asked, 'it was restored, and not fetched');
      await stayed(scene);
    });

    check(`${library}: the preview of a page says nothing, and the page that follows what it says`, { head }, async (scene) => {
      await enter(scene);
      await scene.hears(`view: ${ANN_NAMED}`);
      await follow(scene, '/b');
      await scene.hears(`view: ${ANN_NAMED}`);
      scene.site.user = { id: ANN.id };
      let release;
      const released = new Promise((resolve) => {
        release = resolve;
      });
      scene.site.pages['/a'] = async (_, response) => {
        await released;
        response.writeHead(200, { 'content-type': 'text/html', 'cache-control': 'no-store' }).end(scene.site.render('/a'));
      };
      await scene.tab.click('#a');
      await scene.tab.waitFor(() => document.documentElement.matches('[data-turbo-preview], [data-turbolinks-preview]') && document.title === '/a');
      await pause(300);
      await scene.hears();
      release();
      await scene.hears(`view: ${ANN_ALONE}`);
      await stayed(scene);
    });

    check(`${library}: a form and the page that it leads to`, { head }, async (scene) => {
      scene.site.body = '<form method="post" action="/sent"><button id="send">send</button></form>';
      scene.site.pages['/sent'] = (_, response) => {
        scene.site.user = { id: ANN.id };
        response.writeHead(303, { location: '/done' }).end();
      };
      await enter(scene);
      await scene.hears(`view: ${ANN_NAMED}`);
      await scene.tab.click('#send');
      await scene.hears(`view: ${ANN_ALONE}`);
      await scene.acts(ANN_ALONE);
      assert.equal(new URL(await scene.tab.url()).pathname, '/done');
      // Turbolinks leaves forms to the browser.
      if (isTurbo) await stayed(scene);
    });

    for (const out of library === 'Turbo 8' ? [false, true] : [true]) {
      check(`${library}: after a sign-out (${out ? 'told as one' : 'a page without an id'}) and for the next user nothing of the former`, { head }, async (scene) => {
        await enter(scene);
        await scene.hears(`view: ${ANN_NAMED}`);
        Object.assign(scene.site, { user: null, out });
        await follow(scene, '/b');
        await scene.hears(`view: ${NOBODY}`);
        await scene.acts(NOBODY);
        await scene.tab.back(); // the page of the former user, out of the library's cache
        await scene.hears(`view: ${NOBODY}`);
        await scene.acts(NOBODY);
        Object.assign(scene.site, { user: BOB, out: false });
        await follow(scene, '/c');
        await scene.hears(`view: ${BOB_NAMED}`);
        await scene.acts(BOB_NAMED);
        const tokens = new Set(scene.requests().map(({ searchParams }) => searchParams.get('vi')));
        assert.equal(tokens.size, out ? 2 : 1, 'usertokens');
        await stayed(scene);
      });
    }

    check(`${library}: a visit from a page without the tag brings HubSpot's script along; the tag twice counts one view`, { head, tags: 2 }, async (scene) => {
      scene.site.pages['/a'] = { snippet: '' };
      await enter(scene);
      await follow(scene, '/b');
      await scene.hears(`view: ${ANN_NAMED}`);
      await follow(scene, '/c');
      await scene.hears(`view: ${ANN_NAMED}`);
      await stayed(scene);
    });
  }

  const head = '<meta name="turbo-refresh-method" content="morph"><script src="/turbo8.js"></script>';

  check('Turbo 8: a refresh that morphs the page is seen at once: another email, a sign-out', { head }, async (scene) => {
    const refresh = () => scene.tab.evaluate(() => {
      document.addEventListener('turbo:render', (event) => { window.renderedBy = event.detail.renderMethod; });
      window.Turbo.visit(location.href, { action: 'replace' });
    });
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    scene.site.user = HOME;
    await refresh();
    await scene.hears(`view: ${HOME_NAMED}`);
    assert.equal(await scene.tab.evaluate('window.renderedBy'), 'morph');
    Object.assign(scene.site, { user: null, out: true });
    await refresh();
    await scene.hears(`view: ${NOBODY}`);
    await scene.acts(NOBODY);
  });

  check('Turbo 8: a page that it fetched ahead is as old as that', { ttl: TTL, head: '<script src="/turbo8.js"></script>' }, async (scene) => {
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.tab.evaluate(() => {
      document.querySelector('#b').dispatchEvent(new MouseEvent('mouseenter'));
    });
    await eventually(() => scene.site.times('/b') > 0);
    await scene.until(TTL, Date.now());
    await scene.tab.evaluate(() => {
      document.querySelector('#b').click();
    });
    await scene.hears(`view: ${ANN_ALONE}`);
    assert.equal(scene.site.times('/b'), 1, 'it was fetched once');
  });

  check('Turbo 8: a frame changes nothing, whether its page has the tag or not', { head: TURBO_8 }, async (scene) => {
    const frame = '<turbo-frame id="frame"><p id="inside">inside</p></turbo-frame>';
    scene.site.pages['/a'] = { body: '<turbo-frame id="frame" src="/bare"></turbo-frame>' };
    scene.site.pages['/bare'] = { snippet: '', body: frame };
    scene.site.pages['/tagged'] = (_, response) => {
      scene.site.user = BOB;
      scene.site.send(response, '/tagged', { body: frame.replace('inside</p>', 'tagged</p>') });
    };
    await scene.goto('/a');
    await scene.tab.waitFor("document.querySelector('#inside')?.textContent === 'inside'");
    await scene.hears(`view: ${ANN_NAMED}`);
    await scene.tab.evaluate(() => {
      document.querySelector('#frame').src = '/tagged';
    });
    await scene.tab.waitFor("document.querySelector('#inside')?.textContent === 'tagged'");
    await scene.acts(ANN_NAMED);
  });

  check('Turbo 8: visits with View Transitions', { head: `<meta name="view-transition" content="same-origin">${TURBO_8}` }, async (scene) => {
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
    for (const [path, user, says] of [['/b', HOME, HOME_NAMED], ['/c', null, NOBODY], ['/a', BOB, BOB_NAMED]]) {
      scene.site.user = user;
      await scene.tab.click(`#${path.slice(1)}`);
      await scene.hears(`view: ${says}`);
      // While the pictures of a transition move, no click reaches the page.
      await scene.tab.waitFor(() => document.getAnimations().length === 0);
      await scene.acts(says);
    }
  });
});
