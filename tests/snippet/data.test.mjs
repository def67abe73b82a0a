// The guard as a file, where the app and its server do not get along: answers that come late, out of order, or as
// garbage.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../browsers/eventually.mjs';
import { ANN, ANN_ALONE, ANN_NAMED, BOB, BOB_NAMED, inEveryEngine, NOBODY } from './site.mjs';

const TTL = 2_500;
const LOADER = '<script async src="//js.hs-scripts.com/62515.js"></script>';
const CLASSIC = readFileSync(new URL('../../page/vidcache.classic.js', import.meta.url));

/**
 * The app's document, which says nothing by itself; and /me.json: by its query, how long the server takes before it
 * makes the data, and how long the data is then under way.
 */
async function open(scene, delays = {}) {
  const { site } = scene;
  site.pages['/app'] = { snippet: `<script src="/classic.js"></script>${LOADER}` };
  site.pages['/classic.js'] = (_, response) => response.writeHead(200, { 'content-type': 'text/javascript' }).end(CLASSIC);
  site.pages['/me.json'] = async (request, response) => {
    const { before = 0, after = 0 } = delays[new URL(request.url, site.url).search] ?? {};
    if (before) await pause(before);
    const data = JSON.stringify(site.data());
    if (after) await pause(after);
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(data);
  };
  await scene.goto('/app');
  await scene.tab.evaluate(() => {
    window.ask = (query = '') => window.vidcache.show(fetch(`/me.json${query}`).then((response) => response.json()));
  });
  await scene.hears(`view: ${NOBODY}`);
}

/** The app asks, its visitor signs out before the answer is there, and the answer of before comes. */
const signOutWhileAsking = (scene) => scene.tab.evaluate(async () => {
  const late = window.ask('?late');
  await new Promise((resolve) => {
    setTimeout(resolve, 300);
  });
  window.vidcache.signedOut();
  await late;
});

inEveryEngine({}, (check) => {
  check('the classic script names who is signed in; a sign-out ends it', {}, async (scene) => {
    await open(scene);
    await scene.tab.evaluate('ask()');
    await scene.acts(ANN_NAMED);
    await scene.tab.evaluate('vidcache.signedOut()');
    await scene.acts(NOBODY);
  });

  check('an answer that comes late tells of a user who has signed out since: nobody', {}, async (scene) => {
    await open(scene, { '?late': { after: 600 } });
    await signOutWhileAsking(scene);
    await scene.acts(NOBODY);
  });

  check('the same where the user was shown before', {}, async (scene) => {
    await open(scene, { '?late': { after: 600 } });
    await scene.tab.evaluate('ask()');
    await scene.acts(ANN_NAMED);
    await signOutWhileAsking(scene);
    await scene.acts(NOBODY);
  });

  check('whoever signs in right after a sign-out is named, however slow the former answer was', {}, async (scene) => {
    await open(scene, { '?slow': { before: 1_000 } });
    await scene.tab.evaluate('ask("?slow")');
    await scene.acts(ANN_NAMED);
    scene.site.user = BOB;
    await scene.tab.evaluate(async () => {
      window.vidcache.signedOut();
      await window.ask();
    });
    await scene.acts(BOB_NAMED);
  });

  check('of two answers the one counts whose data is newer, in whatever order they come', {}, async (scene) => {
    await open(scene, { '?late': { after: 600 } });
    const both = async (former, newer) => {
      scene.site.user = former;
      const asked = scene.site.times('/me.json');
      await scene.tab.evaluate(() => {
        window.late = window.ask('?late');
      });
      await eventually(() => scene.site.times('/me.json') > asked);
      scene.site.user = newer;
      await scene.tab.evaluate(async () => {
        await window.ask();
        await window.late;
      });
    };
    await both(ANN, { id: ANN.id });
    await scene.acts(ANN_ALONE);
    await both(ANN, BOB);
    await scene.acts(BOB_NAMED);
  });

  check('data that is handed over as such, or by a promise that was kept long ago, is as old as the document may be, however busy the page is', { ttl: TTL }, async (scene) => {
    await open(scene);
    await scene.until(TTL, Date.now());
    await scene.tab.evaluate((data) => window.vidcache.show(data), scene.site.data());
    await scene.acts(ANN_ALONE);
    for (const busy of [0, 20]) {
      await scene.tab.evaluate(async (data, ms) => {
        const shown = window.vidcache.show(Promise.resolve(data));
        for (const since = performance.now(); performance.now() - since < ms;);
        await shown;
      }, { ...scene.site.data(), at: Date.now() - 60_000 }, busy);
      await scene.acts(ANN_ALONE);
    }
    await scene.tab.evaluate('ask()');
    await scene.acts(ANN_NAMED);
  });

  check('garbage throws nothing and names nobody new, a promise fails as the given one did, and the next data is taken', {}, async (scene) => {
    await open(scene);
    const outcomes = await scene.tab.evaluate(async () => {
      const garbage = [
        null, undefined, 0, 'text', [], {}, { at: 'now', ttl: {}, id: 'vid:1', email: 'x@x.test' }, { at: NaN, ttl: 1e9, email: 'x@x.test' },
        { at: null, ttl: Infinity, email: 'x@x.test' }, { ttl: 1e9, email: 'x@x.test', id: 'vid:1' },
      ];
      const said = [];
      for (const each of garbage) {
        for (const given of [each, Promise.resolve(each), { then: (done) => done(each) }]) {
          try {
            await window.vidcache.show(given);
            said.push('taken');
          } catch (error) {
            said.push(String(error));
          }
        }
      }
      await window.vidcache.show(Promise.reject(new Error('offline'))).catch((error) => said.push(error.message));
      return said;
    });
    assert.deepEqual([...new Set(outcomes)], ['taken', 'offline']);
    await scene.tab.evaluate(() => {
      window._hsq.push(['trackPageView']);
    });
    await scene.hears(`view: ${NOBODY}`);
    await scene.tab.evaluate('ask()');
    await scene.acts(ANN_NAMED);
    await scene.tab.evaluate('vidcache.signedOut()');
    await scene.acts(NOBODY);
  });

  check('a sign-out where the queue is no queue any more: nobody, and no error', {}, async (scene) => {
    await open(scene);
    await scene.tab.evaluate('ask()');
    await scene.acts(ANN_NAMED);
    const error = await scene.tab.evaluate(() => {
      const queue = window._hsq;
      let failure;
      window._hsq = Object.freeze({});
      try {
        window.vidcache.signedOut();
      } catch (thrown) {
        failure = String(thrown);
      }
      queue.push(['trackPageView']);
      return failure;
    });
    await scene.hears(`view: ${NOBODY}`);
    assert.equal(error, undefined);
  });
});
