// v1 on the wire (HUBSPOT.md §4, §5).

import assert from 'node:assert/strict';
import test from 'node:test';
import { PORTAL, startDouble, usertoken } from './support.mjs';

const v1 = (email) => ({ properties: [{ property: 'email', value: email }] });

test('createOrUpdate creates, then finds; the answer is vid and isNew', async (t) => {
  const { request } = await startDouble(t);
  const first = await request('POST', '/contacts/v1/contact/createOrUpdate/email/A%40X.test/', {});
  assert.equal(first.status, 200);
  assert.deepEqual(Object.keys(first.json), ['vid', 'isNew']);
  assert.equal(first.json.isNew, true);
  assert.ok(first.json.vid > 2 ** 32 && first.json.vid < 2 ** 53);
  const again = await request('POST', '/contacts/v1/contact/createOrUpdate/email/a@x.test', {});
  assert.deepEqual(again.json, { vid: first.json.vid, isNew: false });
});

test('createOrUpdate with another email in the body rewrites the primary email', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('a@x.test');
  await double.request('POST', '/contacts/v1/contact/createOrUpdate/email/a@x.test', v1('b@x.test'));
  assert.deepEqual(double.state().contacts.map(({ vid: v, email }) => [v, email]), [[vid, 'b@x.test']]);
});

test('a profile, by vid, email and usertoken', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('a@x.test');
  await double.update(vid, 'b@x.test');
  await double.view(usertoken('a'), { email: 'b@x.test' });
  const byVid = await double.request('GET', `/contacts/v1/contact/vid/${vid}/profile`);
  assert.equal(byVid.status, 200);
  assert.equal(byVid.json.vid, vid);
  assert.equal(byVid.json['canonical-vid'], vid);
  assert.deepEqual(byVid.json['merged-vids'], []);
  assert.equal(byVid.json['portal-id'], PORTAL);
  assert.equal(byVid.json['is-contact'], true);
  assert.equal(byVid.json.properties.email.value, 'b@x.test');
  const versions = byVid.json.properties.email.versions;
  assert.deepEqual(versions.map(({ value }) => value), ['b@x.test', 'a@x.test']);
  assert.ok(versions[0].timestamp > versions[1].timestamp);
  assert.equal(byVid.json['identity-profiles'][0].identities[0]['is-primary'], true);
  assert.deepEqual((await double.request('GET', '/contacts/v1/contact/email/B%40x.test/profile')).json, byVid.json);
  assert.deepEqual((await double.request('GET', `/contacts/v1/contact/utk/${usertoken('a')}/profile`)).json, byVid.json);
});

test('an update answers 204 without a body', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('a@x.test');
  const answer = await double.request('POST', `/contacts/v1/contact/vid/${vid}/profile`, v1('b@x.test'));
  assert.equal(answer.status, 204);
  assert.equal(answer.text, '');
  assert.equal(double.state().contacts[0].email, 'b@x.test');
});

test('after a merge, a GET by a dead vid echoes it and names the live one', async (t) => {
  const double = await startDouble(t);
  const [primary, secondary] = [await double.create('a@x.test'), await double.create('b@x.test')];
  const merge = await double.request('POST', `/contacts/v1/contact/merge-vids/${primary}/`, { vidToMerge: secondary });
  assert.equal(merge.status, 200);
  assert.equal(merge.text, 'SUCCESS');
  const live = double.state().contacts[0].vid;
  assert.ok(![primary, secondary].includes(live), 'a merge makes a third id');
  for (const asked of [primary, secondary, live]) {
    const { status, json } = await double.request('GET', `/contacts/v1/contact/vid/${asked}/profile`);
    assert.equal(status, 200);
    assert.equal(json.vid, asked);
    assert.equal(json['canonical-vid'], live);
    assert.deepEqual(json['merged-vids'], [primary, secondary, live]);
    const [profile, ...mergedProfiles] = json['identity-profiles'];
    assert.deepEqual(profile.identities.map(({ type, value }) => (type === 'EMAIL' ? value : type)), ['a@x.test', 'b@x.test', 'LEAD_GUID']);
    assert.equal(profile.identities[1]['is-secondary'], true);
    assert.deepEqual(mergedProfiles.map(({ identities }) => identities.map(({ type }) => type)), [['LEAD_GUID'], ['LEAD_GUID']]);
    assert.equal(json['merge-audits'][0]['vid-to-merge'], secondary);
  }
  const byEmail = await double.request('GET', '/contacts/v1/contact/email/b@x.test/profile');
  assert.equal(byEmail.json.vid, live);
});

test('merging what was merged already is refused', async (t) => {
  const double = await startDouble(t);
  const [a, b] = [await double.create('a@x.test'), await double.create('b@x.test')];
  await double.request('POST', `/contacts/v1/contact/merge-vids/${a}/`, { vidToMerge: b });
  const again = await double.request('POST', `/contacts/v1/contact/merge-vids/${a}/`, { vidToMerge: b });
  assert.equal(again.status, 400);
  assert.match(again.json.message, /canonical vid is not a valid contact or is already in the process of being merged/);
});

test('a delete answers vid and deleted, then 404; the email is free again', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('a@x.test');
  assert.deepEqual((await double.request('DELETE', `/contacts/v1/contact/vid/${vid}`)).json, { vid, deleted: true });
  const gone = await double.request('GET', `/contacts/v1/contact/vid/${vid}/profile`);
  assert.equal(gone.status, 404);
  assert.equal(gone.json.message, 'contact does not exist');
  assert.equal((await double.request('POST', '/contacts/v1/contact', v1('a@x.test'))).status, 200);
});

test('an invalid email is a 400 INVALID_EMAIL', async (t) => {
  const { request } = await startDouble(t);
  const { status, json } = await request('POST', '/contacts/v1/contact', v1('not_an_email'));
  assert.equal(status, 400);
  assert.equal(json.message, 'Property values were not valid');
  assert.deepEqual(json.validationResults, [{ isValid: false, message: 'Email address not_an_email is invalid', error: 'INVALID_EMAIL', name: 'email' }]);
});

test('a held email is a 409 CONTACT_EXISTS, in the forms of 2024 and 2019', async (t) => {
  const double = await startDouble(t);
  const holder = await double.create('a@x.test');
  const other = await double.create('b@x.test');
  for (const [form, message] of [['2024', `Contact already exists. Existing ID: ${holder}`], ['2019', 'Contact already exists']]) {
    await double.configure({ v1_conflict: form });
    for (const path of ['/contacts/v1/contact', `/contacts/v1/contact/vid/${other}/profile`]) {
      const { status, json } = await double.request('POST', path, v1('A@x.test'));
      assert.equal(status, 409);
      assert.equal(json.message, message);
      assert.equal(json.error, 'CONTACT_EXISTS');
      assert.equal(json.identityProfile.vid, holder);
      assert.equal(json.identityProfile.identity[0].value, 'a@x.test');
      assert.equal(json.identityProfile.identity[0].isPrimary, true);
    }
  }
  assert.equal(double.state().contacts.find(({ vid }) => vid === other).email, 'b@x.test');
});
