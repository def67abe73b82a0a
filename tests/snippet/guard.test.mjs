// The page's guard, src/snippet.js, under a clock that the test moves: what it pushes, and when the email can be read.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import vm from 'node:vm';

const source = readFileSync(new URL('../../src/snippet.js', import.meta.url), 'utf8');
const SERVER = 1_800_000_000_000;

/** A browser tab whose navigation began at server time `SERVER`, with a wall clock `skew` ms ahead of the server's. */
function openTab({ skew = 0, navigation = {}, readyState = 'loading' } = {}) {
  const clock = { elapsed: 0, asleep: 0 };
  const attributes = new Set();
  const appended = [];
  const timers = [];
  const window = {
    performance: {
      now: () => clock.elapsed - clock.asleep,
      timeOrigin: SERVER + skew,
      getEntriesByType: () => [{ type: 'navigate', ...navigation }],
    },
    location: { pathname: '/page', search: '?q=1' },
    setTimeout: (run, delay) => timers.push({ run, at: clock.elapsed + delay }),
  };
  const document = {
    readyState,
    documentElement: { hasAttribute: (name) => attributes.has(name) },
    currentScript: { nonce: 'n0nce' },
    createElement: () => ({}),
    head: { appendChild: (element) => appended.push(element) },
  };
  const FakeDate = { now: () => SERVER + skew + clock.elapsed };
  const guard = vm.runInNewContext(source, { Date: FakeDate, Math, Object });
  return {
    window,
    document,
    appended,
    attributes,
    clock,
    /** Time passes; timers fire unless the machine slept through it. */
    pass(ms, { sleeping = false } = {}) {
      clock.elapsed += ms;
      if (sleeping) clock.asleep += ms;
      else timers.filter((timer) => timer.at <= clock.elapsed).forEach((timer) => timer.run());
    },
    /** Runs the snippet of a page rendered at `SERVER + at`. */
    show({ at, id = '901', email = 'ann@shop.test' }) {
      const page = { at: SERVER + at, ttl: 10_000, src: '//js.hs-scripts.com/1.js' };
      if (id) page.id = id;
      if (email) page.email = email;
      const before = window._hsq?.length ?? 0;
      guard(window, document, page);
      return Array.from(window._hsq ?? []).slice(before);
    },
  };
}

const identity = (commands) => commands.find(([name]) => name === 'identify')?.[1];
const names = (commands) => commands.map(([name]) => name);

test('a fresh page names the email and the id, and nothing else', () => {
  const tab = openTab();
  tab.clock.elapsed = 300;
  const commands = tab.show({ at: 200 });
  assert.deepEqual(names(commands), ['identify']);
  assert.deepEqual({ ...identity(commands) }, { id: '901', email: 'ann@shop.test' });
  assert.equal(tab.appended.length, 0, 'the loader is in the page');
});

test('a page without an email or an id says only what it has', () => {
  assert.deepEqual({ ...identity(openTab().show({ at: 0, email: null })) }, { id: '901' });
  assert.deepEqual(openTab().show({ at: 0, id: null, email: null }), []);
});

test('a page that runs after its deadline gives the id alone', () => {
  const tab = openTab();
  tab.clock.elapsed = 10_001;
  assert.deepEqual({ ...identity(tab.show({ at: 0 })) }, { id: '901' });
});

test('a loader that reads the identity late finds the id alone', () => {
  const tab = openTab();
  const who = identity(tab.show({ at: 0 }));
  tab.pass(9_999);
  assert.equal(who.email, 'ann@shop.test');
  tab.pass(2);
  assert.deepEqual(Object.keys(who), ['id']);
});

test('a loader that reads it after the machine slept finds the id alone, though no timer fired', () => {
  const tab = openTab();
  const who = identity(tab.show({ at: 0 }));
  tab.pass(3_600_000, { sleeping: true });
  assert.equal(who.email, undefined);
});

test('a wall clock that is some minutes off changes nothing', () => {
  for (const skew of [-240_000, 240_000]) {
    const tab = openTab({ skew });
    tab.clock.elapsed = 300;
    const who = identity(tab.show({ at: 200 }));
    assert.equal(who.email, 'ann@shop.test', `${skew} ms`);
    tab.pass(10_000);
    assert.equal(who.email, undefined, `${skew} ms`);
  }
});

test('a document out of a cache gives the id alone, and so do the Turbo visits in it', () => {
  for (const navigation of [{ type: 'back_forward' }, { deliveryType: 'cache' }]) {
    const tab = openTab({ navigation });
    assert.deepEqual({ ...identity(tab.show({ at: 0 })) }, { id: '901' });
    tab.pass(1_000);
    assert.deepEqual({ ...identity(tab.show({ at: 1_000 })) }, { id: '901' });
  }
  const old = openTab();
  assert.deepEqual({ ...identity(old.show({ at: -3_600_000 })) }, { id: '901' }, 'rendered an hour ago, by any clock');
});

test('a document out of the prefetch buffer or a service worker gives the id alone', () => {
  for (const navigation of [{ deliveryType: 'navigational-prefetch' }, { deliveryType: 'cache-storage' }, { workerStart: 3 }]) {
    const tab = openTab({ navigation });
    tab.clock.elapsed = 100;
    assert.deepEqual({ ...identity(tab.show({ at: -240_000 })) }, { id: '901' }, 'rendered four minutes before the navigation');
  }
});

test('a service worker that let the request through changes nothing', () => {
  const tab = openTab({ navigation: { workerStart: 3, deliveryType: '' } });
  tab.clock.elapsed = 300;
  assert.equal(identity(tab.show({ at: 200 })).email, 'ann@shop.test');
});

test('after a landing page out of a shared cache, a page that Turbo fetched gives the id alone', () => {
  const tab = openTab();
  tab.clock.elapsed = 100;
  tab.show({ at: -180_000, id: null, email: null });
  tab.pass(65_000, { sleeping: true });
  assert.deepEqual({ ...identity(tab.show({ at: 5_000 })) }, { id: '901' });
});

test('a Turbo visit identifies, sets the path and counts a page view, in that order', () => {
  const tab = openTab();
  tab.show({ at: 0 });
  tab.pass(60_000);
  const commands = tab.show({ at: 59_800, email: 'ann@home.test' });
  assert.deepEqual(names(commands), ['identify', 'setPath', 'trackPageView']);
  assert.equal(identity(commands).email, 'ann@home.test');
  assert.equal(commands[1][1], '/page?q=1');
});

test('a page that Turbo restores from its cache is not identified a second time', () => {
  const tab = openTab();
  tab.show({ at: 0 });
  tab.pass(1_000);
  tab.show({ at: 900 });
  tab.pass(500);
  assert.deepEqual(names(tab.show({ at: 0 })), ['setPath', 'trackPageView']);
});

test('a page that Turbo prefetched too long ago gives the id alone', () => {
  const tab = openTab();
  tab.show({ at: 0 });
  tab.pass(30_000);
  assert.deepEqual({ ...identity(tab.show({ at: 15_000 })) }, { id: '901' });
});

test('a Turbo preview says nothing at all', () => {
  for (const attribute of ['data-turbo-preview', 'data-turbolinks-preview']) {
    const tab = openTab();
    tab.attributes.add(attribute);
    assert.deepEqual(tab.show({ at: 0 }), []);
    assert.equal(tab.window._hsq, undefined);
  }
});

test('a document that Turbo brought here without the loader gets it, with the nonce', () => {
  const tab = openTab({ readyState: 'complete' });
  tab.show({ at: 0 });
  tab.show({ at: 100 });
  assert.equal(tab.appended.length, 1);
  assert.deepEqual({ ...tab.appended[0] }, { src: '//js.hs-scripts.com/1.js', nonce: 'n0nce' });
});
