// The tracking code treats the queue and the identity as HubSpot's script does (HUBSPOT.md §9).

import assert from 'node:assert/strict';
import test from 'node:test';
import { openPage, PORTAL } from './support.mjs';

/** A page whose tracking code has run, and whose first page view is forgotten. */
function openLoaded(options) {
  const page = openPage(options);
  page.load();
  page.requests.length = 0;
  return page;
}

test('what was pushed before the script loads is sent with the first page view', () => {
  const page = openPage({ hsq: [['identify', { email: 'a@x.test', id: 'vid:7' }]] });
  page.load();
  assert.equal(page.requests.length, 1);
  const [{ address, parameters, identity }] = page.requests;
  assert.equal(address, 'https://track.hubspot.com/__ptq.gif');
  assert.equal(parameters.k, '1');
  assert.equal(parameters.a, String(PORTAL));
  assert.equal(parameters.pu, 'http://127.0.0.1:3000/settings?tab=1');
  assert.equal(parameters.t, 'Settings');
  assert.match(parameters.u, new RegExp(`^1\\.${parameters.vi}\\.`));
  assert.ok(Math.abs(Number(parameters.cts) - Date.now()) < 5_000);
  assert.deepEqual(identity, [['email', 'a@x.test'], ['id', 'vid:7']]);
});

test('a page that identifies nobody sends its page view without an identity', () => {
  const page = openPage();
  page.load();
  assert.deepEqual(page.said(), [null]);
});

test('the script waits for the load event, unless the document is complete', () => {
  const page = openPage({ readyState: 'loading', hsq: [['identify', { email: 'a@x.test' }]] });
  page.load();
  assert.deepEqual(page.requests, []);
  page.push(['identify', { id: '7' }]);
  page.complete();
  assert.deepEqual(page.said(), [{ email: 'a@x.test', id: '7' }]);
});

test('the first object given to identify is kept itself, and read with each request', () => {
  const properties = { email: 'a@x.test', id: '7' };
  const page = openPage({ hsq: [['identify', properties]] });
  delete properties.email;
  page.load();
  properties.email = 'b@x.test';
  page.push(['trackPageView']);
  assert.deepEqual(page.said(), [{ id: '7' }, { id: '7', email: 'b@x.test' }]);
});

test('a later object is assigned into the first, key by key, and what it lacks stays', () => {
  const first = { email: 'a@x.test' };
  const page = openPage({ hsq: [['identify', first], ['identify', { id: '7' }]] });
  page.load();
  assert.deepEqual(first, { email: 'a@x.test', id: '7' });
  page.push(['identify', { id: '8' }]);
  page.push(['trackPageView']);
  assert.deepEqual(page.said(), [{ email: 'a@x.test', id: '7' }, { email: 'a@x.test', id: '8' }]);
});

test('a later object that is none leaves nothing of the first', () => {
  const page = openLoaded({ hsq: [['identify', { email: 'a@x.test' }]] });
  page.push(['identify']);
  page.push(['trackPageView']);
  page.push(['identify', { id: '7' }]);
  page.push(['trackPageView']);
  assert.deepEqual(page.said(), [{}, { id: '7' }]);
});

test('an assignment to what has only a getter is lost, without an error', () => {
  const page = openLoaded({ hsq: [['identify', { get email() { return 'a@x.test'; } }]] });
  page.push(['identify', { email: 'b@x.test', id: '7' }]);
  page.push(['trackPageView']);
  assert.deepEqual(page.said(), [{ email: 'a@x.test', id: '7' }]);
  assert.deepEqual(page.errors, []);
});

test('identify sends nothing itself', () => {
  const page = openLoaded();
  page.push(['identify', { email: 'a@x.test' }]);
  assert.deepEqual(page.requests, []);
});

test('every request of the document carries the whole identity: views, events, clicks, forms', () => {
  const page = openLoaded({ hsq: [['identify', { email: 'a@x.test', plan: 'pro' }], ['trackClick', '#buy', 'Bought']] });
  const old = page.place('#buy');
  page.push(['setPath', '/next']); // looks for the selectors again
  old.press();
  page.push(['trackPageView']);
  page.push(['trackEvent', { id: 'Signed up', value: 3 }]);
  page.push(['trackConversion', 'Paid']);
  page.push(['trackCustomBehavioralEvent', { name: `pe${PORTAL}_seen`, properties: { colour: 'red' } }]);
  for (const name of ['View', 'Install', 'Visible', 'Interaction', 'Completion']) page.push([`trackForm${name}`, 'form-1']);
  assert.deepEqual(page.requests.map(({ kind, name }) => [kind, name]), [
    ['event', 'Bought'], ['view', null], ['event', 'Signed up'], ['event', 'Paid'], ['behavioural', `pe${PORTAL}_seen`],
    ...Array(5).fill(['form', null]),
  ]);
  for (const said of page.said()) assert.deepEqual(said, { email: 'a@x.test', plan: 'pro' });
  const at = (n, name) => page.requests[n].parameters[name];
  assert.equal(at(2, 'm'), '3');
  assert.equal(page.requests[4].address, 'https://track.hubspot.com/__ptbe.gif');
  assert.equal(at(4, '_colour'), 'red');
  assert.deepEqual(page.requests.slice(5).map(({ parameters }) => parameters.k), ['15', '16', '17', '18', '19']);
  assert.equal(at(1, 'po'), '/next');
});

test('a click whose event is a custom behavioural one is sent as such, and an element is listened to once', () => {
  const page = openLoaded();
  const button = page.place('#buy');
  page.push(['trackClick', '#buy', `pe${PORTAL}_bought`]);
  page.push(['setPath', '/a']);
  button.press();
  assert.deepEqual(page.requests.map(({ kind, name }) => [kind, name]), [['behavioural', `pe${PORTAL}_bought`]]);
});

test('keys: enumerable ones and inherited ones; undefined is text, a list repeats, a function is called', () => {
  const page = openLoaded();
  const given = Object.create({ inherited: 'yes' });
  Object.assign(given, { email: undefined, list: ['a', 'b'], late: () => 'now', space: 'a b+c' });
  Object.defineProperty(given, 'hidden', { value: 'x', enumerable: false });
  page.push(['identify', given]);
  page.push(['trackPageView']);
  assert.deepEqual(page.requests[0].identity, [
    ['email', 'undefined'], ['list', 'a'], ['list', 'b'], ['late', 'now'], ['space', 'a b+c'], ['inherited', 'yes'],
  ]);
});

test('a proxy that hides a key hides it from the requests', () => {
  const page = openLoaded();
  let named = true;
  page.push(['identify', new Proxy({}, {
    ownKeys: () => ['email'],
    getOwnPropertyDescriptor: () => ({ value: 'a@x.test', enumerable: named, configurable: true }),
    get: () => 'a@x.test',
    set: () => false,
  })]);
  page.push(['trackPageView']);
  named = false;
  page.push(['identify', { email: 'b@x.test' }]);
  page.push(['trackPageView']);
  assert.deepEqual(page.said(), [{ email: 'a@x.test' }, {}]);
  assert.deepEqual(page.errors, []);
});

test('__hs_email in the address identifies first, once a document', () => {
  const own = { email: 'a@x.test', id: '7' };
  const page = openPage({ search: '?__hs_email=link%40x.test', hsq: [['identify', own]] });
  page.load();
  assert.deepEqual(page.said(), [{ email: 'a@x.test', id: '7' }]);
  own.email = 'b@x.test'; // the object that is kept is the address's, not the page's
  page.push(['trackPageView']);
  assert.deepEqual(page.said()[1], { email: 'a@x.test', id: '7' });
  page.push(['resetVisitorIdentity']);
  page.push(['trackPageView']);
  assert.equal(page.said()[2], null);
});

test('__hs_email alone is said with the first page view', () => {
  const page = openPage({ search: '?__hs_email=link%40x.test' });
  page.load();
  assert.deepEqual(page.said(), [{ email: 'link@x.test' }]);
});

test('a reset ends the identity and makes a new usertoken, which the cookie keeps', () => {
  const page = openPage({ hsq: [['identify', { email: 'a@x.test' }]] });
  page.load();
  page.push(['resetVisitorIdentity']);
  page.push(['trackPageView']);
  const [before, after] = page.requests;
  assert.equal(after.identity, null);
  assert.equal(after.parameters.rv, '1');
  assert.equal(before.parameters.rv, undefined);
  assert.match(after.usertoken, /^[0-9a-f]{32}$/);
  assert.notEqual(after.usertoken, before.usertoken);
  assert.equal(page.cookies.get('hubspotutk'), after.usertoken);
});

test('a function is called with the tracker, before and after loading', () => {
  const trackers = [];
  const page = openPage({ hsq: [(tracker, second) => trackers.push([tracker, typeof second])] });
  page.load();
  page.push((tracker, second) => trackers.push([tracker, typeof second]));
  const [[tracker, second], again] = trackers;
  assert.equal(second, 'object');
  assert.deepEqual(again, [tracker, second]);
  assert.equal(typeof tracker.identify, 'function');
});

test('a function can find the kept object, and put its own in its place', () => {
  const [first, second] = [{ email: 'a@x.test' }, { id: '7' }];
  const page = openLoaded({ hsq: [['identify', first]] });
  const seen = [];
  page.push((tracker) => {
    seen.push(tracker.identity.get());
    tracker.identity = null;
    tracker.identify(second);
    seen.push(tracker.identity.get());
  });
  assert.equal(seen[0], first);
  assert.equal(seen[1], second);
  page.push(['trackPageView']);
  assert.deepEqual(page.said(), [{ id: '7' }]);
});

test('what a command throws is sent as an error and does not reach the page', () => {
  const page = openLoaded();
  page.push(() => { throw new TypeError('no such thing'); });
  page.push(['identity']); // no method
  page.push(['identify', { get email() { throw new Error('from a getter'); } }]);
  page.push(['trackPageView']);
  assert.deepEqual(page.errors.map(({ message }) => message.replace(/: .*function.*/, '')), ['TypeError: no such thing', 'Error: from a getter']);
  assert.deepEqual(page.requests, [], 'the request that failed is not sent');
});

test('what is no command does nothing', () => {
  const page = openLoaded({ hsq: [null, 7, 'identify', ['noSuchCommand'], []] });
  for (const command of [null, 7, 'identify', ['noSuchCommand'], []]) page.push(command);
  assert.deepEqual([page.requests, page.errors], [[], []]);
});

test('push takes one command and runs it at once; the queue is left empty', () => {
  const page = openPage({ hsq: [['identify', { id: '7' }], () => {}, ['noSuchCommand']] });
  page.load();
  assert.equal(page.window._hsq.length, 0);
  assert.ok(Object.hasOwn(page.window._hsq, 'push'));
  page.window._hsq.push(['trackPageView'], ['trackPageView']);
  assert.equal(page.requests.length, 2);
});

test('a queue that is no list is replaced, and what it held is lost', () => {
  for (const hsq of [{ 0: ['identify', { id: '7' }], length: 1, push() {} }, 'text', 1]) {
    const page = openPage({ hsq });
    page.load();
    assert.ok(Array.isArray(page.window._hsq));
    assert.deepEqual(page.said(), [null]);
  }
});

test('a queue that the page replaces before the load event takes the first page view with it', () => {
  const page = openPage({ readyState: 'loading', search: '?__hs_email=link%40x.test' });
  page.load();
  page.window._hsq = [['resetVisitorIdentity'], ['doNotTrack', { track: true }]];
  page.complete();
  assert.deepEqual(page.requests, []);
  page.push(['trackPageView']);
  assert.deepEqual(page.said(), [null], 'after a reset the address identifies nobody');
});

/** Names what ran, in order: page views by their path, functions by their name. */
function order(which, commands) {
  const ran = [];
  const name = (command) => (typeof command === 'string' ? () => ran.push(command) : command);
  const page = openPage({ order: which, hsq: commands.map(name) });
  const { push } = page.requests;
  page.requests.push = (request) => {
    ran.push(`view ${request.parameters.po} ${request.email}`);
    return push.call(page.requests, request);
  };
  page.load();
  return ran;
}

test('the newer copy: set-up and identity, then the page views, then the rest', () => {
  const commands = ['first', ['trackPageView'], ['identify', { email: 'a@x.test' }], 'second', ['setPath', '/p']];
  assert.deepEqual(order('newer', commands), ['view /p a@x.test', 'view /p a@x.test', 'first', 'second']);
});

test('the older copy: set-up and identity, then the rest in the order of the queue', () => {
  const commands = ['first', ['trackPageView'], ['identify', { email: 'a@x.test' }], 'second', ['setPath', '/p']];
  assert.deepEqual(order('older', commands), ['first', 'view /p a@x.test', 'second', 'view /p a@x.test']);
});

test('a reset that waits on the queue comes after the first page view in the newer copy, before it in the older', () => {
  const token = 'c'.repeat(32);
  for (const [which, old] of [['newer', true], ['older', false]]) {
    const page = openPage({ order: which, cookie: `hubspotutk=${token}`, hsq: [['resetVisitorIdentity']] });
    page.load();
    assert.equal(page.requests[0].usertoken === token, old, which);
  }
});

test('commands run in order after loading', () => {
  const page = openLoaded();
  for (const path of ['/one', '/two', '']) {
    page.push(['setPath', path]);
    page.push(['trackPageView']);
  }
  assert.deepEqual(page.requests.map(({ path }) => path), ['/one', '/two', '/']);
});

test('a path set before loading is that of the first page view, and stays set', () => {
  const page = openPage({ hsq: [['setPath', '/first']] });
  page.load();
  page.push(['trackPageView']);
  assert.deepEqual(page.requests.map(({ path }) => path), ['/first', '/first']);
});

test('trackPageView before loading counts twice, as the documentation warns', () => {
  const page = openPage({ hsq: [['trackPageView']] });
  page.load();
  assert.equal(page.requests.length, 2);
});

test('doNotTrack silences this page and, by its cookie, the next ones, until it is taken back', () => {
  const page = openPage({ order: 'older', hsq: [['doNotTrack']] });
  page.load();
  page.push(['trackCustomBehavioralEvent', { name: 'x' }]);
  assert.deepEqual(page.requests, []);
  const next = openPage({ cookie: '__hs_do_not_track=yes' });
  next.load();
  assert.deepEqual(next.requests, []);
  next.push(['doNotTrack', { track: true }]);
  next.push(['trackPageView']);
  assert.equal(next.requests.length, 1);
});

test('stricter: doNotTrack on the queue comes too late for the first page view, in the newer copy', () => {
  const page = openPage({ hsq: [['doNotTrack']] });
  page.load();
  page.push(['trackPageView']);
  assert.equal(page.requests.length, 1);
});

test('tracking can be switched off, and sent to another host', () => {
  const page = openLoaded();
  page.push(['setTrackingEnabled', false]);
  page.push(['trackPageView']);
  page.push(['setTrackingEnabled', true]);
  page.push(['setTrackingDomain', 'track.x.test']);
  page.push(['trackPageView']);
  assert.deepEqual(page.requests.map(({ address }) => address), ['https://track.x.test/__ptq.gif']);
});

test('a consent listener hears that consent is given, and that it is withdrawn', () => {
  const heard = [];
  const page = openLoaded({ hsq: [['addPrivacyConsentListener', (consent) => heard.push(consent.allowed)]] });
  page.push(['revokeCookieConsent']);
  assert.deepEqual(heard, [true, false]);
});

test('a withdrawn consent removes the cookies and ends the identity', () => {
  const page = openPage({ hsq: [['identify', { email: 'a@x.test' }]] });
  page.load();
  page.window._hsp.push(['revokeCookieConsent']);
  assert.deepEqual([...page.cookies.keys()], []);
  page.push(['trackPageView']);
  const [before, after] = page.requests;
  assert.notEqual(after.usertoken, before.usertoken);
  assert.equal(after.identity, null);
  assert.equal(after.parameters.ce, 'false');
  assert.equal(before.parameters.ce, undefined);
  assert.deepEqual([...page.cookies.keys()], [], 'no cookie is written without consent');
});

test('the usertoken is 32 hex digits, kept in a cookie, and for the life of the document', () => {
  const page = openPage();
  page.load();
  const [{ usertoken }] = page.requests;
  assert.match(usertoken, /^[0-9a-f]{32}$/);
  assert.equal(page.cookies.get('hubspotutk'), usertoken);
  for (const [name, value] of [['__hstc', `1.${'d'.repeat(32)}.1.1.1.1`], ['hubspotutk', 'd'.repeat(32)]]) page.cookies.set(name, value); // a reset in another tab
  page.push(['trackPageView']);
  assert.equal(page.requests[1].usertoken, usertoken);
  for (const cookie of [`hubspotutk=${usertoken}`, `__hstc=1.${usertoken}.1.1.1.1`]) {
    const next = openPage({ cookie });
    next.load();
    assert.equal(next.requests[0].usertoken, usertoken);
  }
});

test('there is one instance a document, even when the script comes twice', () => {
  const page = openPage({ readyState: 'loading' });
  page.load();
  page.load();
  page.complete();
  page.load();
  assert.equal(page.requests.length, 1);
});
