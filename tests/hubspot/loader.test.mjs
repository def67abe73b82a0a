// The loader treats `_hsq` as HubSpot documents it (HUBSPOT.md §1.2, §2, §9).

import assert from 'node:assert/strict';
import test from 'node:test';
import { openPage, PORTAL } from './support.mjs';

test('what was pushed before the script loads is sent with the initial page view', () => {
  const page = openPage({ hsq: [['identify', { email: 'a@x.test', id: 7 }]] });
  page.load();
  assert.equal(page.beacons.length, 1);
  const [beacon] = page.beacons;
  assert.equal(beacon.address, 'https://track.hubspot.com/__ptq.gif');
  assert.equal(beacon.a, String(PORTAL));
  assert.equal(beacon.email, 'a@x.test');
  assert.equal(beacon.id, '7');
  assert.equal(beacon.pu, 'http://127.0.0.1:3000/settings?tab=1');
  assert.equal(beacon.t, 'Settings');
});

test('a page that identifies nobody sends its page view without an identity', () => {
  const page = openPage();
  page.load();
  assert.equal(page.beacons.length, 1);
  assert.equal(page.beacons[0].email, undefined);
  assert.equal(page.beacons[0].id, undefined);
});

test('identify is only stored; the next page view sends it, once', () => {
  const page = openPage();
  page.load();
  page.window._hsq.push(['identify', { email: 'a@x.test' }]);
  assert.equal(page.beacons.length, 1);
  page.window._hsq.push(['trackPageView']);
  assert.equal(page.beacons[1].email, 'a@x.test');
  page.window._hsq.push(['trackPageView']);
  assert.equal(page.beacons[2].email, undefined);
});

test('the last identify before a page view is the one that counts', () => {
  const page = openPage({ hsq: [['identify', { email: 'a@x.test' }], ['identify', { id: '7' }]] });
  page.load();
  assert.equal(page.beacons[0].email, undefined);
  assert.equal(page.beacons[0].id, '7');
});

test('the properties are read when the command is processed, not when it was pushed', () => {
  const properties = { email: 'a@x.test', id: '7' };
  const page = openPage({ hsq: [['identify', properties]] });
  delete properties.email;
  page.load();
  assert.equal(page.beacons[0].email, undefined);
  assert.equal(page.beacons[0].id, '7');
});

test('commands are processed in order, and at once after the script has loaded', () => {
  const page = openPage();
  page.load();
  page.window._hsq.push(['setPath', '/one'], ['trackPageView'], ['setPath', '/two'], ['trackPageView']);
  assert.deepEqual(page.beacons.slice(1).map((beacon) => beacon.path), ['/one', '/two']);
});

test('a path set before loading is that of the initial page view, and stays set', () => {
  const page = openPage({ hsq: [['setPath', '/first']] });
  page.load();
  page.window._hsq.push(['trackPageView']);
  assert.deepEqual(page.beacons.map((beacon) => beacon.path), ['/first', '/first']);
});

test('trackPageView before loading counts twice, as the documentation warns', () => {
  const page = openPage({ hsq: [['trackPageView']] });
  page.load();
  assert.equal(page.beacons.length, 2);
});

test('doNotTrack silences this page and, by its cookie, the next ones', () => {
  const page = openPage({ hsq: [['doNotTrack']] });
  page.load();
  assert.equal(page.beacons.length, 0);
  const next = openPage({ cookie: '__hs_do_not_track=yes' });
  next.load();
  assert.equal(next.beacons.length, 0);
});

test('a consent listener hears that consent is given', () => {
  const heard = [];
  openPage({ hsq: [['addPrivacyConsentListener', (consent) => heard.push(consent.allowed)]] }).load();
  assert.deepEqual(heard, [true]);
});

test('functions and unknown commands are not run and do no harm', () => {
  const ran = [];
  const page = openPage({ hsq: [() => ran.push('queued'), ['constructor', 'x'], ['noSuchCommand'], null] });
  page.load();
  page.window._hsq.push(() => ran.push('pushed'));
  assert.deepEqual(ran, []);
  assert.equal(page.beacons.length, 1);
});

test('the usertoken is 32 hex digits, kept in the cookie hubspotutk', () => {
  const page = openPage();
  page.load();
  assert.match(page.beacons[0].vi, /^[0-9a-f]{32}$/);
  assert.equal(page.cookies.get('hubspotutk'), page.beacons[0].vi);
  const next = openPage({ cookie: `hubspotutk=${page.beacons[0].vi}` });
  next.load();
  assert.equal(next.beacons[0].vi, page.beacons[0].vi);
});

test('there is one instance per page, even when the script runs twice', () => {
  const page = openPage();
  page.load();
  page.load();
  assert.equal(page.beacons.length, 1);
});
