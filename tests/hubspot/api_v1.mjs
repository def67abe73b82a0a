// The contacts API, v1: paths, answers and errors of HUBSPOT.md §5 and §4 (recorded traffic, [R], unless marked).

import { CannotMerge, EmailTaken, InvalidEmail } from './contacts.mjs';
import { dispatch, ErrorAnswer } from './http.mjs';

/**
 * @typedef {import('./contacts.mjs').Contact} Contact
 * @typedef {import('./http.mjs').ApiRequest} ApiRequest
 */

export class ApiV1 {
  #store;
  #tracking;
  #portal;
  #config;
  #routes;

  /**
   * @param {import('./contacts.mjs').ContactStore} store
   * @param {import('./tracking.mjs').Tracking} tracking
   * @param {number} portal
   * @param {{v1_conflict: '2019'|'2024'}} config  which of the recorded forms of a 409 to answer
   */
  constructor(store, tracking, portal, config) {
    this.#store = store;
    this.#tracking = tracking;
    this.#portal = portal;
    this.#config = config;
    const contact = '/contacts/v1/contact';
    this.#routes = [
      ['POST', new RegExp(`^${contact}/?$`), (request) => this.#create(request)],
      ['POST', new RegExp(`^${contact}/createOrUpdate/email/([^/]+)/?$`), (request, [email]) => this.#createOrUpdate(request, email)],
      ['POST', new RegExp(`^${contact}/vid/(\\d+)/profile$`), (request, [vid]) => this.#update(request, vid)],
      ['POST', new RegExp(`^${contact}/merge-vids/(\\d+)/?$`), (request, [vid]) => this.#merge(request, vid)],
      ['GET', new RegExp(`^${contact}/vid/(\\d+)/profile$`), (request, [vid]) => this.#profile(this.#store.byVid(Number(vid)), Number(vid))],
      ['GET', new RegExp(`^${contact}/email/([^/]+)/profile$`), (request, [email]) => this.#profile(this.#store.byEmail(email))],
      ['GET', new RegExp(`^${contact}/utk/([^/]+)/profile$`), (request, [usertoken]) => this.#profile(this.#tracking.contactOf(usertoken))],
      ['DELETE', new RegExp(`^${contact}/vid/(\\d+)$`), (request, [vid]) => this.#delete(vid)],
    ];
  }

  /**
   * @param {ApiRequest} request
   * @returns {import('./http.mjs').Answer|null} null if the path is not v1's
   */
  handle(request) {
    try {
      return dispatch(this.#routes, request);
    } catch (error) {
      if (error instanceof InvalidEmail) throw invalidEmail(error);
      if (error instanceof EmailTaken) throw this.#conflict(error);
      if (error instanceof CannotMerge) throw new ErrorAnswer(400, { message: error.message });
      throw error;
    }
  }

  #create({ body }) {
    const contact = this.#store.create(properties(body), { kind: 'api' });
    return this.#profile(contact);
  }

  // An email in the body rewrites the primary email of the contact in the path (HUBSPOT.md §3, hubspot-ruby 108 and
  // 111).
  #createOrUpdate({ body }, email) {
    const known = this.#store.byEmail(email);
    const contact = known
      ? this.#store.update(known, properties(body))
      : this.#store.create({ email, ...properties(body) }, { kind: 'api' });
    return { status: 200, json: { vid: contact.vid, isNew: known === null } };
  }

  // Answers 204 with no body, so no vid either: whoever updates must remember it.
  #update({ body }, vid) {
    this.#store.update(this.#live(Number(vid)), properties(body));
    return { status: 204 };
  }

  // Answers a bare text, without the id of the record that the merge made.
  #merge({ body }, vid) {
    this.#store.merge(Number(vid), Number(body.vidToMerge));
    return { status: 200, text: 'SUCCESS' };
  }

  #delete(vid) {
    this.#store.remove(this.#live(Number(vid)));
    return { status: 200, json: { vid: Number(vid), deleted: true } };
  }

  /** @param {number} vid @returns {Contact} */
  #live(vid) {
    const contact = this.#store.byVid(vid);
    if (!contact) throw new ErrorAnswer(404, { message: 'contact does not exist' });
    return contact;
  }

  /**
   * A GET by a merged-away vid answers 200 and echoes that dead vid in `vid`; the live one is in `canonical-vid`, and
   * `merged-vids` includes the live one too (HUBSPOT.md §0.5).
   */
  #profile(contact, askedVid = contact?.vid) {
    if (!contact) throw new ErrorAnswer(404, { message: 'contact does not exist' });
    const mergedVids = this.#store.mergedVids(contact);
    return {
      status: 200,
      json: {
        vid: askedVid,
        'canonical-vid': contact.vid,
        'merged-vids': mergedVids.length > 0 ? [...mergedVids, contact.vid] : [],
        'portal-id': this.#portal,
        'is-contact': true,
        properties: this.#properties(contact),
        'identity-profiles': [contact, ...mergedVids.map((vid) => this.#store.record(vid))].map(identityProfile),
        'merge-audits': contact.mergeAudits,
      },
    };
  }

  #properties(contact) {
    const result = {};
    for (const [name, versions] of contact.versions) {
      result[name] = {
        value: versions[0].value,
        versions: versions.map(({ value, timestamp, source }) => ({ value, 'source-type': source, timestamp })),
      };
    }
    const computed = { hs_object_id: contact.vid, createdate: contact.created.at, lastmodifieddate: contact.updatedAt };
    for (const [name, value] of Object.entries(computed)) result[name] = { value: String(value), versions: [] };
    return result;
  }

  #conflict({ holder }) {
    const existing = this.#config.v1_conflict === '2019' ? '' : `. Existing ID: ${holder.vid}`;
    return new ErrorAnswer(409, {
      message: `Contact already exists${existing}`,
      identityProfile: {
        vid: holder.vid,
        identity: emailIdentities(holder).map(({ value, timestamp, primary }) => ({ value, type: 'EMAIL', timestamp, ...(primary && { isPrimary: true }) })),
        linkedVid: [],
        isContact: true,
      },
      error: 'CONTACT_EXISTS',
    });
  }
}

/** v1 writes are lists of name and value; `null` and a missing list are an empty one. */
function properties(body) {
  const list = Array.isArray(body.properties) ? body.properties : [];
  return Object.fromEntries(list.map(({ property, value }) => [property, value]));
}

function invalidEmail(error) {
  return new ErrorAnswer(400, {
    message: 'Property values were not valid',
    validationResults: [{ isValid: false, message: error.message, error: 'INVALID_EMAIL', name: 'email' }],
  });
}

function emailIdentities(contact) {
  const since = (email) => contact.emailPeriods.find((period) => period.email === email)?.from.at ?? contact.created.at;
  const primary = contact.email ? [{ value: contact.email, timestamp: since(contact.email), primary: true }] : [];
  return [...primary, ...contact.secondary.map((value) => ({ value, timestamp: since(value), primary: false }))];
}

/** A merged-away record keeps only its LEAD_GUID; its emails are the live one's. */
function identityProfile(contact) {
  const emails = contact.mergedInto !== null ? [] : emailIdentities(contact);
  return {
    vid: contact.vid,
    identities: [
      ...emails.map(({ value, timestamp, primary }) => ({ type: 'EMAIL', value, timestamp, [primary ? 'is-primary' : 'is-secondary']: true })),
      { type: 'LEAD_GUID', value: leadGuid(contact.vid), timestamp: contact.created.at },
    ],
  };
}

/** Any UUID will do, as long as it is the contact's own. */
function leadGuid(vid) {
  return `00000000-0000-4000-8000-${vid.toString(16).padStart(12, '0')}`;
}
