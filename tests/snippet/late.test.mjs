// HubSpot's own script comes when several pages of the document have come and gone, or it never comes.

import assert from 'node:assert/strict';
import { eventually } from '../browsers/eventually.mjs';
import { readBeacon } from '../hubspot/beacon.mjs';
import { ANN, ANN_ALONE, ANN_NAMED, BOB, inEveryEngine, pause } from './site.mjs';

const TURBO = '<meta name="turbo-prefetch" content="false"><script src="/turbo8.js"></script>';

/**
 * The first page visits the others by itself, since the driver of WebKit touches no page that still waits for a script.
 * HubSpot's script goes out when the last of them is shown, however slow the machine is.
 */
async function visitAll(scene, ...paths) {
  const { site, double } = scene;
  double.holdLoaders();
  site.pages['/a'] = { head: `<script>
    const paths = ${JSON.stringify(paths)};
    document.addEventListener('turbo:load', () => setTimeout(() => paths.length > 0 ? Turbo.visit(paths.shift()) : fetch('/shown'), 50));
  </script>` };
  site.pages['/shown'] = (_, response) => {
    double.releaseLoaders();
    response.writeHead(204).end();
  };
  await scene.goto('/a');
  await shown(scene, paths.at(-1));
}

/** The page is there, body and all: Turbo sets the title before it. */
const shown = (scene, path) => scene.tab.waitFor((to) => document.querySelector('h1')?.textContent === to && document.readyState === 'complete', path);

/**
 * Whom the page has named by the time that HubSpot's script has been there for a moment. Several views that waited for
 * the script are sent within a millisecond, from one address: a browser sends some of them once.
 */
async function saidAtLast(scene) {
  await scene.tab.waitFor(() => window._hsq.propertyIsEnumerable('push'));
  await scene.tab.evaluate(() => {
    window._hsq.push(['trackCustomBehavioralEvent', { name: 'x' }]);
  });
  const all = () => scene.requests().map((url) => readBeacon(url));
  await eventually(() => all().some(({ kind }) => kind === 'behavioural'));
  await pause(150);
  const said = all();
  scene.forget();
  assert.deepEqual([...new Set(said.map(({ kind }) => kind))].sort(), ['behavioural', 'view']);
  return [...new Set(said.map(({ id, email }) => `${id} ${email}`))];
}

inEveryEngine({}, (check) => {
  check('the newer copy comes after two visits with Turbo: of three pages only the one that is shown counts', { head: TURBO, loader: '?held' }, async (scene) => {
    const { site } = scene;
    const as = (user) => (_, response) => {
      site.user = user;
      site.send(response, user === BOB ? '/c' : '/b');
    };
    Object.assign(site.pages, { '/b': as({ id: ANN.id, email: 'ann@former.test' }), '/c': as(BOB) });
    await visitAll(scene, '/b', '/c');
    assert.deepEqual(await saidAtLast(scene), [`${BOB.id} ${BOB.email}`]);
  });

  check('the older copy comes after a sign-out with Turbo: nobody', { head: TURBO, loader: '?order=older&held' }, async (scene) => {
    const { site } = scene;
    site.pages['/b'] = (_, response) => {
      Object.assign(site, { user: null, out: true });
      site.send(response, '/b');
    };
    await visitAll(scene, '/b');
    assert.deepEqual(await saidAtLast(scene), ['null null']);
  });

  check('the older copy comes after the deadline: the id alone, and the next page is named', { ttl: 600, loader: '?order=older&loader_delay_ms=1000' }, async (scene) => {
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_ALONE}`);
    await scene.acts(ANN_ALONE);
    Object.assign(scene.site, { ttl: 10_000, loader: '?order=older' });
    await scene.goto('/b');
    await scene.hears(`view: ${ANN_NAMED}`);
  });

  check('it is blocked: the page works, with Turbo too, and nothing is said', { head: TURBO }, async (scene) => {
    const blocked = () => ({ snippet: scene.site.tag().replaceAll('//js.hs-scripts.com/', '/blocked/') });
    scene.site.pages['/blocked/62515.js'] = (_, response) => response.destroy();
    scene.site.pages['/a'] = blocked();
    await scene.goto('/a');
    scene.site.pages['/b'] = blocked();
    await scene.tab.evaluate(() => {
      window.Turbo.visit('/b');
    });
    await shown(scene, '/b');
    await scene.hears();
    scene.site.pages = {};
    await scene.goto('/a');
    await scene.hears(`view: ${ANN_NAMED}`);
  });
});
