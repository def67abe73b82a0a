// What page views do to contacts (HUBSPOT.md §1.2, §2, §3, §4).

import assert from 'node:assert/strict';
import test from 'node:test';
import { PORTAL, startDouble, usertoken } from './support.mjs';

const [A, B] = [usertoken('a'), usertoken('b')];

test('an unknown email creates a contact, in lower case', async (t) => {
  const double = await startDouble(t);
  await double.view(A, { email: ' New@X.test ' });
  const [contact] = double.state().contacts;
  assert.equal(contact.email, 'new@x.test');
  assert.equal(contact.origin, 'tracking');
  assert.deepEqual(contact.usertokens, [A]);
});

test('a known email is joined, whatever its case', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('a@x.test');
  await double.view(A, { email: 'A@X.TEST' });
  assert.equal(double.state().contacts.length, 1);
  assert.equal(double.state().page_views[0].vid, vid);
});

test('a secondary email is joined too', async (t) => {
  const double = await startDouble(t);
  const merged = Number((await double.merge(await double.create('a@x.test'), await double.create('b@x.test'))).json.id);
  await double.view(A, { email: 'b@x.test' });
  assert.equal(double.state().contacts.length, 1);
  assert.equal(double.state().page_views[0].vid, merged);
});

test('an invalid email identifies nobody', async (t) => {
  const double = await startDouble(t);
  await double.view(A, { email: 'not_an_email' });
  assert.deepEqual(double.state().contacts, []);
  assert.equal(double.state().anonymous_page_views.length, 1);
});

test('an id alone never creates a contact; its views stay anonymous', async (t) => {
  const double = await startDouble(t);
  await double.view(A, { id: '7' });
  assert.deepEqual(double.state().contacts, []);
  assert.equal(double.state().anonymous_page_views.length, 1);
});

test('an id that was bound together with an email speaks for that contact, in another browser too', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('a@x.test');
  await double.view(A, { email: 'a@x.test', id: '7' });
  await double.view(B, { id: '7' });
  assert.deepEqual(double.state().page_views.map((view) => view.vid), [vid, vid]);
});

test('it still does after the email changed', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('a@x.test');
  await double.view(A, { email: 'a@x.test', id: '7' });
  await double.update(vid, 'b@x.test');
  await double.view(B, { id: '7' });
  assert.equal(double.state().page_views[1].vid, vid);
});

test('what was sent with an id alone is joined once the id comes with an email', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('a@x.test');
  await double.view(A, { id: '7' });
  await double.view(B, { email: 'a@x.test', id: '7' });
  assert.deepEqual(double.state().page_views.map((view) => view.vid), [vid, vid]);
  assert.deepEqual(double.state().anonymous_page_views, []);
});

test('the email wins over the id, and the id stays with its contact', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('a@x.test');
  await double.view(A, { email: 'a@x.test', id: '7' });
  await double.view(A, { email: 'new@x.test', id: '7' });
  await double.view(B, { id: '7' });
  const state = double.state();
  assert.equal(state.contacts.length, 2);
  assert.deepEqual(state.page_views.map((view) => view.vid), [vid, state.contacts[1].vid, vid]);
  assert.equal(state.contacts[1].external_id, null);
});

test('only the first id binds to a contact', async (t) => {
  const double = await startDouble(t);
  await double.create('a@x.test');
  await double.view(A, { email: 'a@x.test', id: '7' });
  await double.view(A, { email: 'a@x.test', id: '8' });
  await double.view(B, { id: '8' });
  const state = double.state();
  assert.equal(state.contacts[0].external_id, '7');
  assert.equal(state.page_views[2].vid, null);
});

test('a browser\'s anonymous page views are stitched once it is identified, and later ones follow', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('a@x.test');
  await double.view(A);
  await double.view(B);
  await double.view(A, { email: 'a@x.test' });
  await double.view(A);
  assert.deepEqual(double.state().page_views.map((view) => view.vid), [vid, null, vid, vid]);
  assert.equal(double.state().anonymous_page_views.length, 1);
});

test('ids and browsers of merged contacts belong to the record that the merge made', async (t) => {
  const double = await startDouble(t);
  const [first, second] = [await double.create('a@x.test'), await double.create('b@x.test')];
  await double.view(A, { email: 'a@x.test', id: '7' });
  const merged = Number((await double.merge(second, first)).json.id);
  await double.view(A);
  await double.view(B, { id: '7' });
  assert.deepEqual(double.state().page_views.map((view) => view.vid), [merged, merged, merged]);
});

test('a deleted contact is not restored; stricter: its email makes a new one', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('a@x.test');
  await double.request('DELETE', `/contacts/v1/contact/vid/${vid}`);
  await double.view(A, { email: 'a@x.test' });
  const { contacts } = double.state();
  assert.deepEqual(contacts.map(({ email, origin }) => [email, origin]), [['a@x.test', 'tracking']]);
  assert.notEqual(contacts[0].vid, vid);
});

test('the former email after an API update: free by default, so a late identify creates a contact', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('old@x.test');
  await double.update(vid, 'new@x.test');
  await double.view(A, { email: 'old@x.test' });
  assert.equal(double.state().contacts.length, 2);
});

test('with former emails kept as secondary, a late identify finds the contact', async (t) => {
  const double = await startDouble(t, { formerEmails: 'secondary' });
  const vid = await double.create('old@x.test');
  await double.update(vid, 'new@x.test');
  await double.view(A, { email: 'old@x.test' });
  assert.equal(double.state().page_views[0].vid, vid);
  await double.update(vid, 'old@x.test');
  const [contact] = double.state().contacts;
  assert.equal(contact.email, 'old@x.test');
  assert.deepEqual(contact.secondary_emails, ['new@x.test']);
});

test('a beacon without a usertoken, or for another portal, is nobody\'s', async (t) => {
  const double = await startDouble(t);
  await double.view('', { email: 'a@x.test' });
  await double.track(A, { email: 'a@x.test' }, { a: 1 });
  assert.deepEqual(double.state().requests, []);
});

/** The requests of every kind that the tracking code sends. */
const KINDS = [
  ['view', { k: 1 }], ['event', { k: 3, n: 'Bought' }], ['form', { k: 15 }], ['form', { k: 16 }], ['form', { k: 17 }], ['form', { k: 18 }], ['form', { k: 19 }],
  ['other', { k: 12 }], ['behavioural', { n: 'pe1_x' }, '__ptbe.gif'],
];

test('a request of whatever kind identifies, and only page views are page views', async (t) => {
  for (const [kind, parameters, file] of KINDS) {
    const double = await startDouble(t);
    const vid = await double.create('a@x.test');
    await double.track(A, { email: 'A@x.test', id: 'vid:7' }, parameters, file);
    await double.track(B, { id: 'vid:7' }, parameters, file);
    const { requests, page_views: views, contacts } = double.state();
    assert.deepEqual(requests.map((request) => [request.kind, request.email, request.id, request.vid]), [[kind, 'A@x.test', 'vid:7', vid], [kind, null, 'vid:7', vid]]);
    assert.equal(views.length, kind === 'view' ? 2 : 0);
    assert.equal(contacts[0].external_id, 'vid:7');
    assert.equal(contacts[0].page_views, views.length);
  }
});

test('a request tells whether HubSpot held the email that it named, at that moment', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('old@x.test');
  const merged = Number((await double.merge(vid, await double.create('second@x.test'))).json.id);
  for (const email of ['old@x.test', 'second@x.test']) await double.view(A, { email });
  await double.view(A, { id: '7' });
  await double.view(A);
  await double.update(merged, 'new@x.test');
  await double.track(A, { email: 'old@x.test' }, { k: 3, n: 'Bought' });
  await double.view(A, { email: 'old@x.test' });
  const { requests, unheld } = double.state();
  assert.deepEqual(requests.map(({ held }) => held), [true, true, null, null, false, true], 'the event has made the contact');
  assert.deepEqual(unheld, [requests[4]]);
  assert.equal(unheld[0].usertoken, A);
});

test('a blank email is none; the text of a property without a value is a fault', async (t) => {
  const double = await startDouble(t);
  for (const email of ['', '  ']) await double.view(A, { email });
  assert.deepEqual(double.state().unheld, []);
  await double.view(A, { email: 'undefined' });
  await double.view(A, { id: 'undefined' });
  const { faults, contacts, requests } = double.state();
  assert.deepEqual(faults, requests.slice(2));
  assert.deepEqual(contacts, []);
});

test('a convenience: a page view that a test writes by hand may name email and id without `i`; an event\'s own id is none', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('a@x.test');
  const send = (parameters) => double.request('GET', `/__ptq.gif?${new URLSearchParams({ a: PORTAL, vi: A, ...parameters })}`);
  await send({ email: 'a@x.test', id: '7' });
  await send({ k: 3, id: '8', email: 'b@x.test' });
  assert.deepEqual(double.state().requests.map(({ email, id }) => [email, id]), [['a@x.test', '7'], [null, null]]);
  assert.deepEqual(double.state().contacts.map((contact) => contact.vid), [vid]);
});

test('what the tracking code swallowed is recorded, and is no request', async (t) => {
  const double = await startDouble(t);
  await double.request('GET', `/__pto.gif?${new URLSearchParams({ m: 'TypeError: no <such> thing', n: 'TypeError' })}`);
  const { errors, requests } = double.state();
  assert.deepEqual(errors.map(({ name, message }) => [name, message]), [['TypeError', 'TypeError: no <such> thing']]);
  assert.deepEqual(requests, []);
  assert.match((await double.request('GET', '/')).text, /no &lt;such&gt; thing/);
});
