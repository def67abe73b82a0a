// The tracking side of the HubSpot double: what a request with its identity does (HUBSPOT.md §1.2 and §2, [O] unless
// marked).
//
// - every request that carries an identity identifies: page view, event, click, form activity. What is documented is
//   that the identity goes with page views and events; that form activity identifies too is the stricter reading;
// - an unknown email creates a contact, a known one (primary or secondary) is joined. Joining by a secondary email is
//   open;
// - an id alone never creates a contact; it speaks for the contact it was bound to together with an email;
// - with both, the email wins; a contact takes one id, the first; an id stays with its first contact, even after that
//   contact's email changed (staff, thread 10828). Ids are texts: `7`, `vid:901`;
// - what was sent with an id alone is joined once that id comes with an email;
// - a deleted contact is not restored; that its email makes a new contact instead is the stricter reading;
// - a usertoken's anonymous requests are stitched to the contact it is identified as, and its later ones go there too.

import { isEmail, normaliseEmail } from './contacts.mjs';

/**
 * @typedef {import('./contacts.mjs').Contact} Contact
 * @typedef {import('./beacon.mjs').Kind} Kind
 * @typedef {object} Incoming  what `receive` takes
 * @property {string} usertoken
 * @property {string} url
 * @property {string} path
 * @property {string} title
 * @property {Kind} [kind]         a page view if none is given
 * @property {string|null} [name]  of an event
 * @property {string|null} [email]
 * @property {string|null} [id]
 * @typedef {object} TrackedRequest
 * @property {Kind} kind
 * @property {string|null} name
 * @property {number} at
 * @property {string} usertoken
 * @property {string} url
 * @property {string} path
 * @property {string} title
 * @property {string|null} email  as the page sent it
 * @property {string|null} id     external id, as the page sent it
 * @property {boolean|null} held  whether a contact held the email when the request came; null if it named none
 * @property {number|null} vid    the contact it was stitched to, as named then; null while anonymous
 */

export class Tracking {
  #store;
  /** @type {TrackedRequest[]} */
  #requests = [];
  /** @type {Map<string, {vid: number, seq: number, at: number}[]>} whom each usertoken was stitched to, oldest first */
  #stitches = new Map();
  /** @type {Map<string, number>} external id to the vid it was bound to first */
  #externalIds = new Map();

  /** @param {import('./contacts.mjs').ContactStore} store */
  constructor(store) {
    this.#store = store;
  }

  /**
   * Takes one request.
   * @param {Incoming} incoming
   * @returns {TrackedRequest}
   */
  receive({ kind = 'view', name = null, usertoken, url, path, title, email = null, id = null }) {
    const request = {
      kind, name, at: this.#store.stamp().at, usertoken, url, path, title, email, id,
      held: email === null ? null : this.#store.byEmail(email) !== null,
      vid: null,
    };
    this.#requests.push(request);
    const identified = this.#identify(request);
    if (identified) {
      this.#stitch(usertoken, identified);
      for (const earlier of this.#anonymous()) {
        const joinable = earlier.usertoken === usertoken || (earlier.id !== null && this.#bound(earlier.id) === identified);
        if (joinable) earlier.vid = identified.vid;
      }
    } else {
      request.vid = this.contactOf(usertoken)?.vid ?? null;
    }
    return request;
  }

  /** @param {string} usertoken @returns {Contact|null} whom a usertoken stands for now */
  contactOf(usertoken) {
    const last = this.stitches(usertoken).at(-1);
    return last ? this.#store.byVid(last.vid) : null;
  }

  /** @param {string} usertoken @returns {{vid: number, seq: number, at: number}[]} */
  stitches(usertoken) {
    return this.#stitches.get(usertoken) ?? [];
  }

  /** @returns {TrackedRequest[]} every request, with the contact it belongs to today (merges followed) */
  requests() {
    return this.#requests.map((request) => ({ ...request, vid: request.vid === null ? null : this.#store.canonical(request.vid).vid }));
  }

  /** @returns {Contact|null} the contact that the request's own identity names */
  #identify(request) {
    const email = normaliseEmail(request.email);
    if (isEmail(email)) {
      const contact = this.#store.byEmail(email) ?? this.#store.create({ email }, { kind: 'tracking', usertoken: request.usertoken });
      if (request.id !== null) this.#bind(request.id, contact);
      return contact;
    }
    return request.id === null ? null : this.#bound(request.id);
  }

  #bind(id, contact) {
    if (contact.externalId !== null || this.#externalIds.has(id)) return;
    contact.externalId = id;
    this.#externalIds.set(id, contact.vid);
  }

  /** @returns {Contact|null} the live contact that an external id was bound to */
  #bound(id) {
    const vid = this.#externalIds.get(id);
    return vid === undefined ? null : this.#store.byVid(vid);
  }

  #stitch(usertoken, contact) {
    const { seq, at } = this.#store.stamp();
    const stitches = this.stitches(usertoken);
    if (stitches.at(-1)?.vid !== contact.vid) this.#stitches.set(usertoken, [...stitches, { vid: contact.vid, seq, at }]);
    if (!contact.usertokens.has(usertoken)) contact.usertokens.set(usertoken, at);
  }

  #anonymous() {
    return this.#requests.filter((request) => request.vid === null);
  }
}
