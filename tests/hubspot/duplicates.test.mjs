// Which contacts count as duplicates, of whom, and why.

import assert from 'node:assert/strict';
import test from 'node:test';
import { startDouble, usertoken } from './support.mjs';

const [A, B, C] = [usertoken('a'), usertoken('b'), usertoken('c')];

/** The duplicates, without their reasons. */
const verdicts = (double) => double.state().duplicates.map(({ vid, of, repaired }) => ({ vid, of, repaired }));

test('a page that names the new email too early: the update is refused', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('old@x.test');
  await double.view(A, { email: 'new@x.test' });
  assert.deepEqual(verdicts(double), [], 'so far it could be a new visitor');
  assert.equal((await double.update(vid, 'new@x.test')).status, 409);
  const duplicate = double.state().contacts[1].vid;
  assert.deepEqual(verdicts(double), [{ vid: duplicate, of: vid, repaired: false }]);
  assert.match(double.state().duplicates[0].why, new RegExp(`^HubSpot refused to give ${vid} the email new@x\\.test at [\\d:.]+ \\(409\\)`));
});

test('a page that names the old email too late', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('old@x.test');
  await double.update(vid, 'new@x.test');
  await double.view(A, { email: 'old@x.test' });
  assert.deepEqual(verdicts(double), [{ vid: double.state().contacts[1].vid, of: vid, repaired: false }]);
  assert.match(double.state().duplicates[0].why, new RegExp(`^old@x\\.test was the email of ${vid} until`));
});

test('a browser that had been known as somebody else', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('old@x.test');
  await double.view(A, { email: 'old@x.test' });
  await double.view(A, { email: 'new@x.test' });
  assert.deepEqual(verdicts(double), [{ vid: double.state().contacts[1].vid, of: vid, repaired: false }]);
  assert.match(double.state().duplicates[0].why, new RegExp(`usertoken aaaaaaaa….*known as ${vid}`));
});

test('an email that the original was given later, the duplicate having been deleted', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('old@x.test');
  await double.view(A, { email: 'new@x.test' });
  const duplicate = double.state().contacts[1].vid;
  await double.request('DELETE', `/contacts/v1/contact/vid/${duplicate}`);
  assert.equal((await double.update(vid, 'new@x.test')).status, 200);
  assert.deepEqual(verdicts(double), [{ vid: duplicate, of: vid, repaired: false }]);
  assert.match(double.state().duplicates[0].why, /was given the email new@x\.test/);
});

test('a merge repairs a duplicate but does not unmake it', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('old@x.test');
  await double.view(A, { email: 'new@x.test' });
  const duplicate = double.state().contacts[1].vid;
  const merged = Number((await double.merge(vid, duplicate)).json.id);
  assert.deepEqual(verdicts(double), [{ vid: duplicate, of: merged, repaired: true }]);
  assert.match(double.state().duplicates[0].why, new RegExp(`^it was merged with ${vid} at`));
});

test('one contact with several signs is one duplicate with several reasons', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('old@x.test');
  await double.view(A, { email: 'old@x.test' });
  await double.view(A, { email: 'new@x.test' });
  await double.update(vid, 'new@x.test');
  await double.update(vid, 'new@x.test');
  assert.equal(double.state().duplicates.length, 1);
  assert.equal(double.state().duplicates[0].why.split('; ').length, 2);
});

test('a duplicate of a duplicate is the original\'s', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('one@x.test');
  await double.view(A, { email: 'one@x.test' });
  await double.view(A, { email: 'two@x.test' });
  await double.view(B, { email: 'two@x.test' });
  await double.view(B, { email: 'three@x.test' });
  assert.deepEqual(verdicts(double).map(({ of }) => of), [vid, vid]);
});

test('a new visitor is no duplicate', async (t) => {
  const double = await startDouble(t);
  await double.create('a@x.test');
  await double.view(A, { email: 'a@x.test' });
  await double.view(B);
  await double.view(B, { email: 'b@x.test', id: '2' });
  await double.view(C, { email: 'b@x.test' });
  assert.equal(double.state().contacts.length, 2);
  assert.deepEqual(verdicts(double), []);
});

test('a lead whom the tracking code met before the app knew them is no duplicate', async (t) => {
  const double = await startDouble(t);
  await double.view(A, { email: 'work@x.test' });
  const user = await double.create('home@x.test');
  assert.equal((await double.update(user, 'work@x.test')).status, 409);
  const lead = double.state().contacts[0].vid;
  assert.deepEqual(verdicts(double), []);
  await double.merge(lead, user);
  assert.deepEqual(verdicts(double), []);
});

test('a contact that the API created is no duplicate made by the tracking code', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('old@x.test');
  await double.update(vid, 'new@x.test');
  await double.create('old@x.test');
  await double.view(A, { email: 'old@x.test' });
  assert.deepEqual(verdicts(double), []);
});

test('a contact made for the email of a deleted one is no duplicate of it, and the state names the deleted one', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('a@x.test');
  await double.view(A, { email: 'a@x.test' });
  await double.request('DELETE', `/contacts/v1/contact/vid/${vid}`);
  await double.view(A, { email: 'a@x.test' });
  const { contacts: [made], unheld } = double.state();
  assert.notEqual(made.vid, vid);
  assert.equal(made.made_anew_of, vid);
  assert.deepEqual(verdicts(double), []);
  assert.deepEqual(unheld.map(({ email }) => email), ['a@x.test'], 'S1 has it all the same');
  assert.match((await double.request('GET', '/')).text, new RegExp(`made anew: contact ${vid}`));
});

test('nor of one whose email it was before, if that one had been deleted', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('old@x.test');
  await double.update(vid, 'new@x.test');
  await double.request('DELETE', `/contacts/v1/contact/vid/${vid}`);
  await double.view(A, { email: 'old@x.test' });
  assert.equal(double.state().contacts.length, 1);
  assert.deepEqual(verdicts(double), []);
});

test('a deleted contact excuses no duplicate of another one', async (t) => {
  const double = await startDouble(t);
  const gone = await double.create('a@x.test');
  await double.request('DELETE', `/contacts/v1/contact/vid/${gone}`);
  const vid = await double.create('a@x.test');
  await double.update(vid, 'b@x.test');
  await double.view(A, { email: 'a@x.test' });
  assert.deepEqual(verdicts(double).map(({ of }) => of), [vid]);
});

test('a click, an event or a form makes a duplicate as a page view does', async (t) => {
  for (const [parameters, file] of [[{ k: 3, n: 'Bought' }], [{ n: 'pe1_x' }, '__ptbe.gif'], [{ k: 18, fi: 'f' }]]) {
    const double = await startDouble(t);
    const vid = await double.create('old@x.test');
    await double.update(vid, 'new@x.test');
    await double.track(A, { email: 'old@x.test' }, parameters, file);
    assert.deepEqual(verdicts(double).map(({ of }) => of), [vid]);
  }
});

test('a change there and back, told in time, makes none', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('one@x.test');
  for (const email of ['two@x.test', 'one@x.test', 'two@x.test']) {
    await double.update(vid, email);
    await double.view(A, { email, id: String(vid) });
  }
  assert.equal(double.state().contacts.length, 1);
  assert.deepEqual(verdicts(double), []);
});

test('after a merge, the former emails of what was merged still tell', async (t) => {
  const double = await startDouble(t);
  const first = await double.create('one@x.test');
  await double.update(first, 'two@x.test');
  const merged = Number((await double.merge(first, await double.create('other@x.test'))).json.id);
  await double.view(A, { email: 'one@x.test' });
  assert.deepEqual(verdicts(double).map(({ of }) => of), [merged]);
});
