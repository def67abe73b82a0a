// What page views do to contacts (HUBSPOT.md §1.2, §2, §3, §4).

import assert from 'node:assert/strict';
import test from 'node:test';
import { startDouble, usertoken } from './support.mjs';

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

test('a deleted contact is not restored', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('a@x.test');
  await double.request('DELETE', `/contacts/v1/contact/vid/${vid}`);
  await double.view(A, { email: 'a@x.test' });
  assert.deepEqual(double.state().contacts, []);
  assert.equal(double.state().anonymous_page_views.length, 1);
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
  await double.view(A, { email: 'a@x.test', a: '1' });
  assert.deepEqual(double.state().page_views, []);
});
