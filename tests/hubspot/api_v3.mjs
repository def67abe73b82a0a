// The contacts API, v3 and its dated forms: paths, answers and errors of HUBSPOT.md §5, §4 and §7.1 ([O/R] unless
// marked).

import { CannotMerge, EmailTaken, InvalidEmail, normaliseEmail } from './contacts.mjs';
import { dispatch, ErrorAnswer } from './http.mjs';

/**
 * @typedef {import('./contacts.mjs').Contact} Contact
 * @typedef {import('./http.mjs').ApiRequest} ApiRequest
 */

/** Inputs in one batch (HUBSPOT.md §5 and §7). */
const MAX_BATCH = 100;

export class ApiV3 {
  #store;
  #config;
  #routes;

  /**
   * @param {import('./contacts.mjs').ContactStore} store
   * @param {{v3_conflict: '400'|'409', required_property: string}} config  how a conflict is answered, and what a new
   *   contact must have by a rule of the account ('': nothing)
   */
  constructor(store, config) {
    this.#store = store;
    this.#config = config;
    const contacts = '^/crm/(?:v3/objects|objects/2026-0[39])/contacts';
    this.#routes = [
      ['POST', new RegExp(`${contacts}/?$`), (request) => this.#create(request)],
      ['POST', new RegExp(`${contacts}/search$`), (request) => this.#search(request)],
      ['POST', new RegExp(`${contacts}/merge$`), (request) => this.#merge(request)],
      ['POST', new RegExp(`${contacts}/gdpr-delete$`), (request) => this.#erase(request)],
      // The base name of another kind of object is none that HubSpot knows [R].
      ...['GET', 'POST', 'PATCH'].map((method) => [method, /^\/crm\/(?:v3\/objects|objects\/2026-0[39])\/(?!contacts(?:\/|$))([^/]+)/, (request, [kind]) => {
        throw new ErrorAnswer(400, { message: `Unable to infer object type from: ${kind}` });
      }]),
      ['POST', new RegExp(`${contacts}/batch/upsert$`), (request) => this.#batchUpsert(request)],
      ['POST', new RegExp(`${contacts}/batch/update$`), (request) => this.#batchUpdate(request)],
      ['POST', new RegExp(`${contacts}/batch/read$`), (request) => this.#batchRead(request)],
      ['GET', new RegExp(`${contacts}/([^/]+)$`), (request, [key]) => this.#read(request, key)],
      ['PATCH', new RegExp(`${contacts}/([^/]+)$`), (request, [key]) => this.#update(request, key)],
    ];
  }

  /**
   * @param {ApiRequest} request
   * @returns {import('./http.mjs').Answer|null} null if the path is not v3's
   */
  handle(request) {
    try {
      return dispatch(this.#routes, request);
    } catch (error) {
      if (error instanceof InvalidEmail) throw invalidEmail(error);
      if (error instanceof EmailTaken && this.#config.v3_conflict === '400') throw alreadyHeld(error);
      if (error instanceof EmailTaken) {
        throw new ErrorAnswer(409, { message: `Contact already exists. Existing ID: ${error.holder.vid}`, category: 'CONFLICT' });
      }
      // The v1 text (recorded); v3's own is not known [?].
      if (error instanceof CannotMerge) throw new ErrorAnswer(400, { message: error.message, category: 'VALIDATION_ERROR' });
      throw error;
    }
  }

  #create({ body }) {
    const required = this.#config.required_property;
    if (required && !body.properties?.[required]) {
      // The words are those of other objects' refusals [R]; a rule of an account's own may have others [?].
      throw new ErrorAnswer(400, { message: 'Error creating CONTACT. Some required properties were not set.', context: { properties: [required] }, category: 'VALIDATION_ERROR' });
    }
    const contact = this.#store.create(body.properties ?? {}, { kind: 'api' });
    return { status: 201, json: this.#object(contact, Object.keys(body.properties ?? {})) };
  }

  // A merged-away id answers the record that it was merged into: compare the id of the answer with the asked one.
  #read({ query }, key) {
    return { status: 200, json: this.#object(this.#find(key, query.get('idProperty')), wanted(query.get('properties'))) };
  }

  // Whether an update by a merged-away id is followed as a GET is, or refused, is open (HUBSPOT.md §7.1 [?]).
  // Stricter: 404.
  #update({ query, body }, key) {
    const found = this.#find(key, query.get('idProperty'));
    if (query.get('idProperty') !== 'email' && found.vid !== Number(key)) throw notFound();
    const contact = this.#store.update(found, body.properties ?? {});
    return { status: 200, json: this.#object(contact, Object.keys(body.properties ?? {})) };
  }

  #merge({ body }) {
    const contact = this.#store.merge(Number(body.primaryObjectId), Number(body.objectIdToMerge));
    return { status: 200, json: this.#object(contact) };
  }

  // 204, and the email alone where HubSpot knows no contact of it (HUBSPOT.md §10.6 [O]).
  #erase({ body }) {
    const { objectId, idProperty } = body;
    const contact = this.#lookUp(String(objectId), idProperty);
    if (!contact && idProperty !== 'email') throw notFound();
    this.#store.erase(contact, idProperty === 'email' ? String(objectId) : null);
    return { status: 204 };
  }

  // Equality only: that is what look-ups of a contact use. Groups are alternatives, filters in a group all hold.
  // `email` does not match secondary emails; `hs_additional_emails` does (HUBSPOT.md §3, nodejs issue 24).
  #search({ body }) {
    const matches = (contact, { propertyName, operator, value }) => {
      const properties = this.#properties(contact);
      if (propertyName === 'hs_additional_emails') return contact.secondary.includes(normaliseEmail(value));
      if (operator !== 'EQ') throw new ErrorAnswer(400, { message: `The double's search knows EQ, not ${operator}`, category: 'VALIDATION_ERROR' });
      return properties[propertyName] === (propertyName === 'email' ? normaliseEmail(value) : String(value));
    };
    const groups = body.filterGroups ?? [];
    const found = this.#store.live().filter((contact) =>
      groups.length === 0 || groups.some(({ filters }) => filters.every((filter) => matches(contact, filter))));
    const start = Number(body.after ?? 0);
    const end = start + Number(body.limit ?? 10);
    return {
      status: 200,
      json: {
        total: found.length,
        results: found.slice(start, end).map((contact) => this.#object(contact, body.properties ?? [])),
        ...(end < found.length && { paging: { next: { after: String(end) } } }),
      },
    };
  }

  // Results are not in the order of the inputs (here: backwards), emails come back in lower case (HUBSPOT.md §5 [S]),
  // and an id that was merged away is left out without a word, as batch/update does (§0.4, rudder-transformer's data
  // [R]).
  #batchUpsert({ body }) {
    const results = inputs(body).flatMap(({ id, idProperty, properties }) => {
      if (idProperty !== 'email') return this.#updated(id, properties).map((object) => ({ ...object, new: false }));
      const known = this.#store.byEmail(id);
      const contact = known
        ? this.#store.update(known, properties ?? {})
        : this.#store.create({ email: id, ...properties }, { kind: 'api' });
      return [{ ...this.#object(contact, Object.keys(properties ?? {})), new: known === null }];
    });
    return { status: 200, json: complete(results.reverse()) };
  }

  #batchUpdate({ body }) {
    return { status: 200, json: complete(inputs(body).flatMap(({ id, properties }) => this.#updated(id, properties)).reverse()) };
  }

  /** @returns {object[]} one updated object, or none if the id no longer is a contact of its own */
  #updated(id, properties) {
    const contact = this.#store.record(Number(id));
    if (!contact || contact.mergedInto !== null || contact.deleted !== null) return [];
    return [this.#object(this.#store.update(contact, properties ?? {}), Object.keys(properties ?? {}))];
  }

  // Whether an id that was merged away is followed here, as a GET follows it, is open [?]. Stricter: it is left out
  // without a word, as batch/update does.
  #batchRead({ body }) {
    const away = (key) => body.idProperty !== 'email' && (this.#store.record(Number(key))?.mergedInto ?? null) !== null;
    const keys = inputs(body).map(({ id }) => String(id)).filter((key) => !away(key));
    const found = keys.map((key) => [key, this.#lookUp(key, body.idProperty)]);
    const missing = found.filter(([, contact]) => !contact).map(([key]) => key);
    const results = found.flatMap(([, contact]) => (contact ? [this.#object(contact, body.properties ?? [])] : []));
    if (missing.length === 0) return { status: 200, json: complete(results.reverse()) };
    const error = {
      status: 'error',
      category: 'OBJECT_NOT_FOUND',
      message: 'Could not get some CONTACT objects, they may be deleted or not exist. Check that ids are valid.',
      context: { ids: missing },
    };
    return { status: 207, json: { ...complete(results.reverse()), numErrors: 1, errors: [error] } };
  }

  /** @returns {Contact} */
  #find(key, idProperty) {
    const contact = this.#lookUp(key, idProperty);
    if (!contact) throw notFound();
    return contact;
  }

  /** @returns {Contact|null} */
  #lookUp(key, idProperty) {
    return idProperty === 'email' ? this.#store.byEmail(key) : this.#store.byVid(Number(key));
  }

  /** Ids are strings, properties strings or null (HUBSPOT.md §5). */
  #object(contact, names = []) {
    const all = this.#properties(contact);
    const shown = ['email', 'hs_object_id', 'createdate', 'lastmodifieddate', ...names];
    return {
      id: String(contact.vid),
      properties: Object.fromEntries(shown.map((name) => [name, all[name] ?? null])),
      createdAt: iso(contact.created.at),
      updatedAt: iso(contact.updatedAt),
      archived: false,
    };
  }

  #properties(contact) {
    const mergedVids = this.#store.mergedVids(contact);
    const written = [...contact.versions].map(([name, versions]) => [name, versions[0].value]);
    return {
      ...Object.fromEntries(written),
      email: contact.email,
      hs_object_id: String(contact.vid),
      createdate: iso(contact.created.at),
      lastmodifieddate: iso(contact.updatedAt),
      hs_additional_emails: contact.secondary.join(';') || null,
      // [S]: the form is from users of the API; both must be asked for by name (HUBSPOT.md §4).
      hs_merged_object_ids: mergedVids.join(';') || null,
      hs_calculated_merged_vids: mergedVids.map((vid) => `${vid}:${this.#store.record(vid).merged.at}`).join(';') || null,
    };
  }
}

/** @returns {{id: string, idProperty?: string, properties?: object}[]} */
function inputs(body) {
  const list = Array.isArray(body.inputs) ? body.inputs : [];
  if (list.length > MAX_BATCH) throw new ErrorAnswer(400, { message: `The maximum number of inputs supported in a batch request for contacts is ${MAX_BATCH}`, category: 'VALIDATION_ERROR' });
  return list;
}

/** [S]: no official 404 body was found. */
function notFound() {
  return new ErrorAnswer(404, { message: 'resource not found', category: 'OBJECT_NOT_FOUND' });
}

function complete(results) {
  const now = iso(Date.now());
  return { status: 'COMPLETE', results, startedAt: now, completedAt: now };
}

/** The v1 validation results inside the message, as clients' logs show it [R]. */
function invalidEmail(error) {
  const results = [{ isValid: false, message: error.message, error: 'INVALID_EMAIL', name: 'email' }];
  return new ErrorAnswer(400, { message: `Property values were not valid: ${JSON.stringify(results)}`, category: 'VALIDATION_ERROR' });
}

/** A conflict as HubSpot has answered it since September 2026 (HUBSPOT.md §7.1 [R]). */
function alreadyHeld({ email, holder, written }) {
  const coordinates = `portalId=62515, objectTypeId=ObjectTypeId{legacyObjectType=CONTACT}, propertyName=email, value=${email}`;
  return new ErrorAnswer(400, { message: `Cannot set PropertyValueCoordinates{${coordinates}} on ${written}. ${holder.vid} already has that value.`, category: 'VALIDATION_ERROR' });
}

function wanted(list) {
  return (list ?? '').split(',').map((name) => name.trim()).filter(Boolean);
}

/** @param {number} ms @returns {string} ISO 8601 with milliseconds */
function iso(ms) {
  return new Date(ms).toISOString();
}
