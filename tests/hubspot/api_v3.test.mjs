// v3 on the wire (HUBSPOT.md §0.4, §3, §4, §5).

import assert from 'node:assert/strict';
import test from 'node:test';
import { startDouble } from './support.mjs';

const CONTACTS = '/crm/v3/objects/contacts';
const ISO_MS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

test('create, get by id and by email, update: ids are strings, times have milliseconds', async (t) => {
  const { request } = await startDouble(t);
  const created = await request('POST', CONTACTS, { properties: { email: 'A@X.test', firstname: 'Ada' } });
  assert.equal(created.status, 201);
  const { id } = created.json;
  assert.equal(typeof id, 'string');
  assert.equal(created.json.properties.email, 'a@x.test');
  assert.equal(created.json.properties.hs_object_id, id);
  assert.equal(created.json.properties.firstname, 'Ada');
  assert.equal(created.json.archived, false);
  assert.match(created.json.createdAt, ISO_MS);
  assert.match(created.json.updatedAt, ISO_MS);
  const byId = await request('GET', `${CONTACTS}/${id}?properties=firstname,nothing`);
  assert.equal(byId.status, 200);
  assert.equal(byId.json.properties.firstname, 'Ada');
  assert.equal(byId.json.properties.nothing, null);
  assert.equal((await request('GET', `${CONTACTS}/A%40x.test?idProperty=email`)).json.id, id);
  const updated = await request('PATCH', `${CONTACTS}/${id}`, { properties: { email: 'b@x.test' } });
  assert.equal(updated.status, 200);
  assert.equal(updated.json.properties.email, 'b@x.test');
  assert.equal((await request('GET', `${CONTACTS}/a@x.test?idProperty=email`)).status, 404);
});

test('the dated paths answer the same', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('a@x.test');
  for (const date of ['2026-03', '2026-09']) {
    assert.equal((await double.request('GET', `/crm/objects/${date}/contacts/${vid}`)).json.id, String(vid));
  }
});

test('updatedAt grows strictly, however fast the updates follow', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('a@x.test');
  const times = [];
  for (let i = 0; i < 20; i++) times.push((await double.update(vid, `a${i % 2}@x.test`)).json.updatedAt);
  assert.deepEqual([...new Set(times)].sort(), times);
});

test('a held email is a 409 that names the holder; nothing changes', async (t) => {
  const double = await startDouble(t);
  const holder = await double.create('a@x.test');
  const other = await double.create('b@x.test');
  for (const answer of [await double.update(other, 'a@x.test'), await double.request('POST', CONTACTS, { properties: { email: 'A@x.test' } })]) {
    assert.equal(answer.status, 409);
    assert.equal(answer.json.message, `Contact already exists. Existing ID: ${holder}`);
    assert.equal(answer.json.category, 'CONFLICT');
    assert.ok(answer.json.correlationId);
  }
  assert.deepEqual(double.state().contacts.map(({ email }) => email), ['a@x.test', 'b@x.test']);
});

test('since September 2026 a held email may be a 400 that names the holder second', async (t) => {
  const double = await startDouble(t);
  await double.configure({ v3_conflict: '400' });
  const holder = await double.create('a@x.test');
  const other = await double.create('b@x.test');
  const refused = await double.update(other, 'a@x.test');
  assert.equal(refused.status, 400);
  assert.equal(refused.json.category, 'VALIDATION_ERROR');
  assert.match(refused.json.message, new RegExp(`propertyName=email, value=a@x\\.test\\} on ${other}\\. ${holder} already has that value\\.$`));
  const created = await double.request('POST', CONTACTS, { properties: { email: 'A@x.test' } });
  const [, half] = created.json.message.match(/ on (\d+)\. \d+ already/);
  assert.equal((await double.request('GET', `${CONTACTS}/${half}`)).status, 404, 'half made, and gone');
  assert.equal(double.state().contacts.length, 2);
});

test('an email of a contact that was deleted for privacy is refused for ever, and one that nobody had', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('a@x.test');
  const erase = (objectId, idProperty) => double.request('POST', `${CONTACTS}/gdpr-delete`, { objectId, ...(idProperty && { idProperty }) });
  assert.equal((await erase(String(vid))).status, 204);
  assert.equal((await erase('never@x.test', 'email')).status, 204);
  assert.equal((await erase('5')).status, 404);
  for (const email of ['A@x.test', 'never@x.test']) {
    const { status, json } = await double.request('POST', CONTACTS, { properties: { email } });
    assert.equal(status, 400);
    assert.match(json.message, /email has been GDPR blacklisted/);
  }
  assert.equal(double.state().contacts.length, 0);
});

test('a rule of the account may require a property of a new contact', async (t) => {
  const double = await startDouble(t);
  await double.configure({ required_property: 'lastname' });
  const { status, json } = await double.request('POST', CONTACTS, { properties: { email: 'a@x.test' } });
  assert.equal(status, 400);
  assert.match(json.message, /^Error creating CONTACT\. Some required properties were not set\./);
  assert.equal((await double.request('POST', CONTACTS, { properties: { email: 'a@x.test', lastname: 'A' } })).status, 201);
});

test('another object is a 400, and no missing contact', async (t) => {
  const { request } = await startDouble(t);
  for (const path of ['/crm/v3/objects/contactz', '/crm/v3/objects/contactz/5', '/crm/objects/2026-09/deals/5']) {
    const { status, json } = await request('GET', path);
    assert.equal(status, 400);
    assert.match(json.message, /^Unable to infer object type from: (?:contactz|deals)$/);
  }
});

test('a contact may be given the email it has', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('a@x.test');
  assert.equal((await double.update(vid, 'A@x.test')).status, 200);
});

test('an invalid email is a 400 INVALID_EMAIL', async (t) => {
  const { request } = await startDouble(t);
  const { status, json } = await request('POST', CONTACTS, { properties: { email: 'not_an_email' } });
  assert.equal(status, 400);
  assert.equal(json.category, 'VALIDATION_ERROR');
  assert.match(json.message, /"error":"INVALID_EMAIL"/);
});

test('a merge makes a third record; both old ids answer it, and both emails', async (t) => {
  const double = await startDouble(t);
  const [primary, other] = [await double.create('a@x.test'), await double.create('b@x.test')];
  const merge = await double.merge(primary, other);
  assert.equal(merge.status, 200);
  const { id } = merge.json;
  assert.ok(![String(primary), String(other)].includes(id));
  assert.equal(merge.json.properties.email, 'a@x.test');
  for (const key of [primary, other, id, 'a@x.test?idProperty=email', 'b@x.test?idProperty=email']) {
    assert.equal((await double.request('GET', `${CONTACTS}/${key}`)).json.id, id);
  }
  const named = await double.request('GET', `${CONTACTS}/${id}?properties=hs_merged_object_ids,hs_additional_emails`);
  assert.equal(named.json.properties.hs_merged_object_ids, `${primary};${other}`);
  assert.equal(named.json.properties.hs_additional_emails, 'b@x.test');
  assert.equal((await double.merge(primary, other)).status, 400);
  assert.equal((await double.request('POST', CONTACTS, { properties: { email: 'b@x.test' } })).status, 409);
});

test('stricter: an update by a merged-away id is a 404, though a GET by it is followed', async (t) => {
  const double = await startDouble(t);
  const [primary, other] = [await double.create('a@x.test'), await double.create('b@x.test')];
  const { id } = (await double.merge(primary, other)).json;
  for (const gone of [primary, other]) {
    const answer = await double.update(gone, 'c@x.test');
    assert.equal(answer.status, 404);
    assert.equal(answer.json.category, 'OBJECT_NOT_FOUND');
    assert.equal((await double.request('GET', `${CONTACTS}/${gone}`)).json.id, id);
  }
  assert.equal((await double.update(id, 'c@x.test')).status, 200);
  assert.equal((await double.request('PATCH', `${CONTACTS}/b@x.test?idProperty=email`, { properties: { email: 'd@x.test' } })).status, 200);
});

test('merges chain', async (t) => {
  const double = await startDouble(t);
  const [a, b, c] = [await double.create('a@x.test'), await double.create('b@x.test'), await double.create('c@x.test')];
  const first = Number((await double.merge(a, b)).json.id);
  const second = (await double.merge(c, first)).json.id;
  for (const vid of [a, b, c, first]) assert.equal((await double.request('GET', `${CONTACTS}/${vid}`)).json.id, second);
  assert.deepEqual(double.state().contacts.map(({ merged_vids: merged }) => merged), [[c, a, b, first]]);
});

test('search by email does not match secondary emails; hs_additional_emails does', async (t) => {
  const double = await startDouble(t);
  const id = (await double.merge(await double.create('a@x.test'), await double.create('b@x.test'))).json.id;
  const search = async (...groups) => (await double.request('POST', `${CONTACTS}/search`, {
    filterGroups: groups.map(([propertyName, operator, value]) => ({ filters: [{ propertyName, operator, value }] })),
  })).json;
  assert.deepEqual((await search(['email', 'EQ', 'A@x.test'])).results.map((result) => result.id), [id]);
  assert.equal((await search(['email', 'EQ', 'b@x.test'])).total, 0);
  const both = await search(['email', 'EQ', 'b@x.test'], ['hs_additional_emails', 'CONTAINS_TOKEN', 'b@x.test']);
  assert.deepEqual(both.results.map((result) => result.id), [id]);
});

test('search pages', async (t) => {
  const double = await startDouble(t);
  for (const name of ['a', 'b', 'c']) await double.create(`${name}@x.test`);
  const first = (await double.request('POST', `${CONTACTS}/search`, { limit: 2 })).json;
  assert.equal(first.total, 3);
  assert.equal(first.results.length, 2);
  const rest = (await double.request('POST', `${CONTACTS}/search`, { limit: 2, after: first.paging.next.after })).json;
  assert.equal(rest.results.length, 1);
  assert.equal(rest.paging, undefined);
});

test('batch upsert: not in the order asked, lower case, new or not, merged-away ids left out', async (t) => {
  const double = await startDouble(t);
  const known = await double.create('known@x.test');
  const [dead, other] = [await double.create('dead@x.test'), await double.create('other@x.test')];
  await double.merge(dead, other);
  const { status, json } = await double.request('POST', `${CONTACTS}/batch/upsert`, {
    inputs: [
      { id: 'KNOWN@x.test', idProperty: 'email', properties: { firstname: 'K' } },
      { id: String(dead), properties: { firstname: 'D' } },
      { id: 'New@x.test', idProperty: 'email', properties: { email: 'New@x.test' } },
    ],
  });
  assert.equal(status, 200);
  assert.equal(json.status, 'COMPLETE');
  assert.deepEqual(json.results.map(({ properties, new: isNew }) => [properties.email, isNew]), [['new@x.test', true], ['known@x.test', false]]);
  assert.equal(json.results[1].id, String(known));
});

test('batch update leaves merged-away ids out, with 200', async (t) => {
  const double = await startDouble(t);
  const [dead, other, live] = [await double.create('a@x.test'), await double.create('b@x.test'), await double.create('c@x.test')];
  await double.merge(dead, other);
  const { status, json } = await double.request('POST', `${CONTACTS}/batch/update`, {
    inputs: [dead, live].map((vid) => ({ id: String(vid), properties: { firstname: 'x' } })),
  });
  assert.equal(status, 200);
  assert.deepEqual(json.results.map(({ id }) => id), [String(live)]);
});

test('batch read with a missing key is a 207 that names it', async (t) => {
  const double = await startDouble(t);
  const vid = await double.create('a@x.test');
  const { status, json } = await double.request('POST', `${CONTACTS}/batch/read`, {
    idProperty: 'email', inputs: [{ id: 'a@x.test' }, { id: 'gone@x.test' }],
  });
  assert.equal(status, 207);
  assert.deepEqual(json.results.map(({ id }) => id), [String(vid)]);
  assert.equal(json.numErrors, 1);
  assert.equal(json.errors[0].category, 'OBJECT_NOT_FOUND');
  assert.deepEqual(json.errors[0].context.ids, ['gone@x.test']);
});

test('a batch takes a hundred inputs', async (t) => {
  const { request } = await startDouble(t);
  const inputs = Array.from({ length: 101 }, (_, i) => ({ id: `u${i}@x.test`, idProperty: 'email' }));
  assert.equal((await request('POST', `${CONTACTS}/batch/upsert`, { inputs })).status, 400);
  assert.equal((await request('POST', `${CONTACTS}/batch/upsert`, { inputs: inputs.slice(1) })).json.results.length, 100);
});

test('an unknown id is a 404', async (t) => {
  const { request } = await startDouble(t);
  const { status, json } = await request('GET', `${CONTACTS}/51`);
  assert.equal(status, 404);
  assert.equal(json.status, 'error');
  assert.equal(json.category, 'OBJECT_NOT_FOUND');
});
