// The page's guard under a clock that the test moves: what it pushes, and what may be read of the identity when.

import assert from 'node:assert/strict';
import test from 'node:test';
import { makeTracker, openTab, SERVER } from './tab.mjs';

const ANN = { id: 'vid:901', email: 'ann@shop.test' };
const names = (commands) => commands.map(([name]) => name);

test('a fresh page names the email and the id, and nothing else', () => {
  const tab = openTab();
  tab.clock.elapsed = 300;
  assert.deepEqual(names(tab.show({ at: 200 })), ['identify']);
  assert.deepEqual(tab.said, ANN);
  assert.equal(tab.who.email, 'ann@shop.test');
  assert.deepEqual(JSON.parse(JSON.stringify(tab.who)), ANN);
  assert.deepEqual({ ...tab.who }, ANN);
});

test('a page without an email or an id says only what it has', () => {
  const tab = openTab();
  tab.show({ at: 0, email: null });
  assert.deepEqual(tab.said, { id: 'vid:901' });
  const other = openTab();
  other.show({ at: 0, id: null, email: null });
  assert.deepEqual(other.said, {});
});

test('a user whose contact gives the id of another one has an email alone, and leaves nothing behind', () => {
  const tab = openTab();
  tab.show({ at: 0, id: null });
  const tracker = tab.load();
  assert.deepEqual(tracker.requests[0], { kind: 'view', email: 'ann@shop.test' });
  tab.pass(1_000);
  tab.show({ at: 900, id: null, email: 'bob@shop.test' });
  assert.deepEqual(tracker.requests.at(-1), { kind: 'view', email: 'bob@shop.test' });
  tab.pass(1_000);
  tab.show({ at: 1_900, id: null, email: null });
  assert.deepEqual(tracker.requests.at(-1), { kind: 'view' });
});

test('a page that runs after its deadline gives the id alone', () => {
  const tab = openTab();
  tab.clock.elapsed = 10_001;
  tab.show({ at: 0 });
  assert.deepEqual(tab.said, { id: 'vid:901' });
});

test('the email is listed until just before the deadline, readable until the deadline, and then neither', () => {
  const tab = openTab();
  tab.show({ at: 0 });
  tab.pass(9_900);
  assert.deepEqual(tab.said, ANN);
  tab.pass(50);
  assert.deepEqual(Object.keys(tab.who), ['id']);
  assert.equal(tab.who.email, 'ann@shop.test', 'a script that listed it a moment ago finds a value');
  tab.pass(51);
  assert.equal(tab.who.email, undefined);
  assert.equal(Object.getOwnPropertyDescriptor(tab.who, 'email'), undefined);
});

test('after the machine slept the id is left for an hour, and then nothing', () => {
  const tab = openTab();
  tab.show({ at: 0 });
  tab.pass(3_800_000, { sleeping: true });
  assert.deepEqual(tab.said, { id: 'vid:901' });
  tab.pass(200_000, { sleeping: true });
  assert.deepEqual(tab.said, {});
});

test('a page that is shown anew after a sleep names the email', () => {
  const tab = openTab();
  tab.show({ at: 0 });
  tab.pass(8 * 3_600_000, { sleeping: true });
  tab.show();
  assert.deepEqual(tab.said, ANN);
});

test('a machine that slept while the page was loading names no email', () => {
  const tab = openTab();
  tab.pass(60_000, { sleeping: true });
  tab.show({ at: 100 });
  assert.deepEqual(tab.said, { id: 'vid:901' });
});

test('a wall clock that is up to an hour off changes nothing', () => {
  for (const skew of [-3_600_000, -240_000, 240_000, 3_600_000]) {
    const tab = openTab({ skew });
    tab.clock.elapsed = 300;
    tab.show({ at: 200 });
    assert.deepEqual(tab.said, ANN, `${skew} ms`);
    tab.pass(10_000);
    assert.deepEqual(tab.said, { id: 'vid:901' }, `${skew} ms`);
  }
});

test('a wall clock that is set back or forward while the page is open never prolongs the deadline', () => {
  for (const set of [-3_600_000, 3_600_000]) {
    const tab = openTab();
    tab.show({ at: 0 });
    tab.clock.set = set;
    tab.pass(10_001);
    assert.equal(tab.said.email, undefined, `${set} ms`);
  }
});

test('a wall clock of the year 1970 lets the id alone through', () => {
  const tab = openTab({ skew: -SERVER });
  tab.show({ at: 0 });
  assert.deepEqual(tab.said, { id: 'vid:901' });
});

test('a page that an app cached whole makes nobody the first visitor after an hour', () => {
  const tab = openTab();
  tab.show({ at: -3_950_000 });
  assert.deepEqual(tab.said, {});
});

test('a document out of a cache, a prefetch or history gives the id alone, and so do the Turbo visits in it', () => {
    const seen = [
    { transferSize: 0 }, { transferSize: 0, encodedBodySize: 0 }, { transferSize: 300 }, { transferSize: 300, encodedBodySize: 0 },
    { deliveryType: 'cache' }, { deliveryType: 'cache-storage' }, { deliveryType: 'navigational-prefetch' },
  ];
  for (const navigation of seen) {
    const tab = openTab({ navigation });
    tab.show({ at: 0 });
    assert.deepEqual(tab.said, { id: 'vid:901' }, JSON.stringify(navigation));
    tab.pass(1_000);
    tab.show({ at: 1_000 });
    assert.deepEqual(tab.said, { id: 'vid:901' }, JSON.stringify(navigation));
  }
});

test('a page that the back button fetched anew names the email', () => {
  const tab = openTab({ navigation: { type: 'back_forward' } });
  tab.show({ at: 0 });
  assert.deepEqual(tab.said, ANN);
});

test('after a landing page out of a shared cache a page that Turbo fetched gives the id alone', () => {
  const tab = openTab();
  tab.clock.elapsed = 100;
  tab.show({ at: -180_000, id: null, email: null });
  tab.pass(65_000);
  tab.show({ at: 65_000 });
  assert.deepEqual(tab.said, { id: 'vid:901' });
});

for (const [ppm, days] of [[-100, 7], [-50, 7], [-20, 7], [0, 7], [20, 5], [50, 2], [100, 1]]) {
  test(`a tab whose clocks run ${ppm} ppm fast, for ${days} days of a visit a minute, names the email and keeps the deadline`, () => {
    const tab = openTab({ ppm });
    tab.clock.elapsed = 150;
    tab.show();
    for (let minute = 0; minute < days * 24 * 60; minute++) {
      tab.pass(60_000);
      tab.show();
      if (tab.said.email !== 'ann@shop.test') assert.fail(`silent after ${minute} minutes`);
    }
    tab.pass(10_500);
    assert.equal(tab.said.email, undefined, 'half a second after the deadline');
  });
}

test('an email that a long sleep has ended does not come back when the wall clock is set back as far', () => {
  const tab = openTab();
  tab.show({ at: 0 });
  tab.pass(7_200_000, { sleeping: true });
  assert.deepEqual(tab.said, {}, 'longer than anybody is named');
  tab.clock.set = -7_200_000;
  assert.deepEqual(tab.said, { id: 'vid:901' });
});

test('after a sleep and a wall clock that is set back, newer pages keep their deadline', () => {
  const tab = openTab();
  tab.show({ at: 0 });
  tab.pass(3_000_000, { sleeping: true });
  assert.deepEqual(tab.said, { id: 'vid:901' });
  tab.clock.set = -300_000;
  tab.pass(1_000);
  tab.show();
  assert.deepEqual(tab.said, ANN);
  tab.pass(10_500);
  assert.equal(tab.said.email, undefined);
});

test('pages that take three seconds to the browser keep the deadline, however many of them there are', () => {
  const tab = openTab();
  tab.clock.elapsed = 100;
  tab.show({ at: 50 });
  for (let visit = 0; visit < 300; visit++) {
    tab.pass(60_000);
    tab.show({ at: tab.clock.elapsed - 3_000 });
  }
  tab.pass(7_500);
  assert.equal(tab.said.email, undefined, 'ten and a half seconds after it was rendered');
});

test('an email that was gone does not come back when the wall clock is set back after a sleep', () => {
  const tab = openTab();
  tab.show({ at: 0 });
  tab.pass(60_000, { sleeping: true });
  assert.deepEqual(tab.said, { id: 'vid:901' });
  tab.clock.set = -60_000;
  assert.deepEqual(tab.said, { id: 'vid:901' });
});

test('a Turbo visit identifies, sets the path and counts a page view, in that order', () => {
  const tab = openTab();
  tab.show({ at: 0 });
  tab.pass(60_000);
  const commands = tab.show({ email: 'ann@home.test' });
  assert.deepEqual(names(commands), ['identify', 'setPath', 'trackPageView']);
  assert.equal(commands[0][1], tab.who, 'the one object of the document');
  assert.equal(commands[1][1], '/page?q=1');
  assert.equal(tab.said.email, 'ann@home.test');
});

test('the tag twice in one page counts one view, whether the page was loaded or Turbo brought it', () => {
  const tab = openTab({ readyState: 'loading' });
  tab.show({ at: 0 });
  tab.pass(900);
  assert.deepEqual(names(tab.show({ at: 895 })), ['identify']);
  tab.document.readyState = 'complete';
  tab.pass(500);
  assert.deepEqual(names(tab.show()), ['identify', 'setPath', 'trackPageView']);
  assert.deepEqual(names(tab.show()), ['identify'], 'in the same task');
  tab.pass(5);
  assert.deepEqual(names(tab.show()), ['identify', 'setPath', 'trackPageView'], 'the next visit');
});

test('an older page that Turbo restores says what the newest page says', () => {
  const tab = openTab();
  tab.show({ at: 0 });
  tab.pass(1_000);
  tab.show({ at: 900, email: null });
  tab.pass(500);
  assert.deepEqual(names(tab.show({ at: 0 })), ['identify', 'setPath', 'trackPageView']);
  assert.deepEqual(tab.said, { id: 'vid:901' }, 'a change has begun since the older page');
});

test('an older page of somebody else says nothing, and the next page of either does', () => {
  const tab = openTab();
  tab.show({ at: 0 });
  tab.pass(1_000);
  tab.show({ at: 900, id: null, email: null });
  tab.pass(500);
  tab.show({ at: 0 });
  assert.deepEqual(tab.said, {}, 'signed out since');
  tab.pass(500);
  tab.show({ at: 1_900, id: 'vid:902', email: 'bob@shop.test' });
  assert.deepEqual(tab.said, { id: 'vid:902', email: 'bob@shop.test' });
});

test('a page that Turbo prefetched too long ago gives the id alone', () => {
  const tab = openTab();
  tab.show({ at: 0 });
  tab.pass(30_000);
  tab.show({ at: 15_000 });
  assert.deepEqual(tab.said, { id: 'vid:901' });
});

test("where another embed's tracker is there before the tag, a page that is still loading is not counted again, a visit is", () => {
  for (const [readyState, views] of [['loading', 0], ['interactive', 1], ['complete', 1]]) {
    const tab = openTab({ readyState });
    const tracker = tab.load();
    tab.pass(5_000);
    const before = tracker.requests.length;
    tab.show();
    assert.equal(tracker.requests.length - before, views, readyState);
    assert.deepEqual(tab.appended, [], 'no second loader');
    assert.deepEqual({ ...tracker.identity.get() }, { id: 'vid:901', email: 'ann@shop.test' });
  }
});

test('a Turbo preview says nothing at all', () => {
  for (const attribute of ['data-turbo-preview', 'data-turbolinks-preview']) {
    const tab = openTab();
    tab.attributes.add(attribute);
    assert.deepEqual(tab.show({ at: 0 }), []);
    assert.equal(tab.window._hsq, undefined);
  }
});

test('a document that Turbo brought here without the loader gets it, with the nonce, under Trusted Types too', () => {
  const policies = [];
  const trustedTypes = {
    createPolicy: (name, rules) => (policies.push(name), { createScriptURL: (url) => ({ trusted: rules.createScriptURL(url) }) }),
  };
  for (const [window, src] of [[{}, '//js.hs-scripts.com/1.js'], [{ trustedTypes }, { trusted: '//js.hs-scripts.com/1.js' }]]) {
    const tab = openTab({ window });
    tab.show({ at: 0 });
    tab.show({ at: 100 });
    assert.equal(tab.appended.length, 1);
    assert.deepEqual({ ...tab.appended[0] }, { nonce: 'n0nce', src });
  }
  assert.deepEqual(policies, ['vidcache']);
  const loaded = openTab({ readyState: 'loading' });
  loaded.show({ at: 0 });
  assert.equal(loaded.appended.length, 0, 'the loader is in the page');
});

test('every request of the document says what may be said at its time', () => {
  const tab = openTab();
  tab.show({ at: 0 });
  const tracker = tab.load();
  assert.deepEqual(tracker.requests[0], { kind: 'view', ...ANN });
  tab.pass(10_001);
  assert.deepEqual(tracker.request('click'), { id: 'vid:901' });
  tab.pass(2_000);
  tab.show();
  assert.deepEqual(tracker.requests.at(-1), { kind: 'view', ...ANN });
  tab.pass(60_000);
  assert.deepEqual(tracker.request('event'), { id: 'vid:901' });
  tab.show({ email: null });
  assert.deepEqual(tracker.requests.at(-1), { kind: 'view', id: 'vid:901' });
  tab.pass(60_000);
  tab.show({ id: null, email: null });
  assert.deepEqual(tracker.requests.at(-1), { kind: 'view' });
});

test("another user's page, in the same document, says that user's at once", () => {
  const tab = openTab();
  tab.show({ at: 0 });
  const tracker = tab.load();
  tab.pass(3_000);
  tab.show({ id: 'vid:902', email: 'bob@shop.test' });
  assert.deepEqual(tracker.requests.at(-1), { kind: 'view', id: 'vid:902', email: 'bob@shop.test' });
});

test('who identified before the tracker came is not kept in place of the page', () => {
  const tab = openTab({ window: { _hsq: [['identify', { email: 'typed@form.test', id: '7', firstname: 'Ann' }]] } });
  tab.show({ at: 0 });
  const tracker = tab.load();
  assert.deepEqual(tracker.requests[0], { kind: 'view', firstname: 'Ann', ...ANN });
  tab.pass(11_000);
  assert.deepEqual(tracker.request('click'), { firstname: 'Ann', id: 'vid:901' });
});

test('who identified first at the tracker is replaced, and what else they said is kept', () => {
  const tab = openTab();
  const tracker = makeTracker();
  tracker.identify({ email: 'sent@link.test', visitor: 'abc' }); // as HubSpot's own `__hs_email` in the address does
  tab.show({ at: 0 });
  tab.load(tracker);
  assert.deepEqual(tracker.request('click'), { visitor: 'abc', ...ANN });
  tab.pass(11_000);
  assert.deepEqual(tracker.request('click'), { visitor: 'abc', id: 'vid:901' });
});

test('who identifies later is assigned into the page’s identity, and changes neither its email nor its id', () => {
  const tab = openTab();
  tab.show({ at: 0 });
  const tracker = tab.load();
  tracker.identify({ email: 'other@shop.test', id: '7', plan: 'pro', empty: '' });
  assert.deepEqual(tracker.request('click'), { plan: 'pro', ...ANN });
  tab.who.email = 'other@shop.test';
  tab.who.id = '7';
  assert.deepEqual(tracker.request('click'), { plan: 'pro', ...ANN });
});

test('on a page without a user other code may identify, until a user is there', () => {
  const tab = openTab();
  tab.show({ at: 0, id: null, email: null });
  const tracker = tab.load();
  tracker.identify({ email: 'typed@form.test' });
  assert.deepEqual(tracker.request('form'), { email: 'typed@form.test' });
  tab.pass(1_000);
  tab.show();
  assert.deepEqual(tracker.requests.at(-1), { kind: 'view', ...ANN });
  tab.pass(1_000);
  tab.show({ id: null, email: null });
  assert.deepEqual(tracker.requests.at(-1), { kind: 'view' }, 'what was said before the sign-in does not come back');
});

test('the page after a sign-out forgets what other code said of the former user', () => {
  const tab = openTab();
  tab.show({ at: 0, id: null, email: null });
  const tracker = tab.load();
  tracker.identify({ email: 'typed@form.test', firstname: 'Ann' });
  tab.pass(1_000);
  tab.show({ at: 900, id: null, email: null, out: true });
  assert.deepEqual(tracker.request('click'), {});
});

test('an identity that was replaced is given nothing of ours, so that its owner may use it again', () => {
  const theirs = { plan: 'free' };
  const tab = openTab();
  const tracker = makeTracker();
  tracker.identify(theirs);
  tab.load(tracker);
  tab.show({ at: 0 });
  assert.deepEqual(theirs, { plan: 'free' });
  assert.deepEqual(tracker.request('click'), { plan: 'free', ...ANN });
  tab.pass(1_000);
  tab.show({ at: 900, id: null, email: null });
  tracker.identify(theirs);
  assert.deepEqual(tracker.request('click'), { plan: 'free' });
});

test('a tracker behind code that lets lists alone through is told nothing', () => {
  const tab = openTab();
  tab.show({ at: 0 });
  const tracker = makeTracker();
  tracker.identify({ email: 'sent@link.test' });
  tab.load(tracker);
  const { push } = tab.window._hsq;
  tab.window._hsq.push = (command) => Array.isArray(command) && push(command);
  tracker.resetVisitorIdentity();
  tracker.identify({ plan: 'free' });
  tab.pass(1_000);
  tab.show();
  assert.deepEqual(tracker.request('click'), { plan: 'free' });
});

test('a queue that refuses functions has the page say nothing', () => {
  const queue = [];
  queue.push = function push(command) {
    if (typeof command === 'function') throw new TypeError('a command has a name');
    JSON.stringify(command);
    return Array.prototype.push.call(this, command);
  };
  const tab = openTab({ window: { _hsq: queue } });
  tab.show({ at: 0 });
  assert.deepEqual(tab.said, {});
});

test('a page after a sign-out gives the browser a new usertoken, once', () => {
  const tab = openTab();
  tab.show({ at: 0 });
  const tracker = tab.load();
  tab.pass(1_000);
  tab.show({ at: 900, id: null, email: null, out: true });
  assert.equal(tracker.resets, 1);
  assert.deepEqual(tracker.requests.at(-1), { kind: 'view' });
  tab.pass(1_000);
  tab.show({ at: 1_900, id: null, email: null });
  tab.show({ at: 900, id: null, email: null, out: true });
  assert.equal(tracker.resets, 1, 'Turbo restored the page of the sign-out');
  tab.pass(1_000);
  tab.show({ id: 'vid:902', email: 'bob@shop.test' });
  assert.deepEqual(tracker.request('click'), { id: 'vid:902', email: 'bob@shop.test' }, 'the identity is claimed again');
});

test('a tracker that keeps copies of identities is told nothing', () => {
  const tab = openTab();
  const copying = makeTracker();
  copying.identify = (given) => {
    copying.identity = { ...(copying.identity ?? {}), ...given };
  };
  copying.request = () => ({ ...copying.identity });
  tab.show({ at: 0 });
  tab.load(copying);
  assert.deepEqual(copying.request(), {});
  tab.pass(1_000);
  tab.show({ id: 'vid:902', email: 'bob@shop.test' });
  assert.deepEqual(copying.request(), {});
});

test('a tracker that lists the keys more than once while it takes the identity is no endless loop', () => {
  const tab = openTab();
  const tracker = makeTracker();
  const { identify } = tracker;
  let depth = 0;
  tracker.identify = (given) => {
    assert.ok(++depth < 10);
    Object.keys(given);
    Object.keys(given);
    identify(given);
    Object.keys(given);
    depth -= 1;
  };
  tab.show({ at: 0 });
  tab.load(tracker);
  assert.deepEqual(tracker.request('click'), ANN);
});

test('no exception leaves the script, whatever the page has become', () => {
  const hostile = [
    { _hsq: Object.freeze([]) }, { _hsq: {} }, { _hsq: 7 }, { _hsq: { push: 'x' } }, { performance: undefined }, { performance: {} },
    { location: null, _vc: 'clobbered' }, { trustedTypes: { createPolicy() { throw new TypeError('not allowed'); } } },
  ];
  for (const window of hostile) {
    const tab = openTab();
    for (const key of Reflect.ownKeys(window)) Object.defineProperty(tab.window, key, Object.getOwnPropertyDescriptor(window, key));
    tab.show({ at: 0 });
    tab.pass(1_000);
    tab.show();
  }
  const tab = openTab();
  tab.show({ at: 0 });
  tab.window.performance.now = () => NaN;
  assert.equal(tab.said.email, undefined, 'a clock that is no clock');
  tab.window.performance.getEntriesByType = () => [];
  tab.window.performance.now = () => 5;
  assert.doesNotThrow(() => tab.said);
});

test('data that the app fetched counts from its request, and counts no page view', () => {
  const tab = openTab({ navigation: { transferSize: 0 } }); // the app's page itself comes out of a cache
  tab.pass(30_000);
  assert.deepEqual(names(tab.show({ at: 29_900, late: 200 })), ['identify']);
  assert.deepEqual(tab.said, ANN);
  tab.pass(9_701);
  assert.deepEqual(tab.said, { id: 'vid:901' }, 'ten seconds after the request');
  tab.pass(60_000);
  assert.deepEqual(names(tab.show({ late: 100 })), ['identify']);
  assert.deepEqual(tab.said, ANN);
});

test('data of which the app does not say when it asked is as old as the document', () => {
  const tab = openTab();
  tab.pass(30_000);
  tab.show({ at: 29_900, late: Infinity });
  assert.deepEqual(tab.said, { id: 'vid:901' });
});
