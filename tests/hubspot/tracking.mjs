// The tracking side of the HubSpot double: what a page view with its `identify` does (HUBSPOT.md §1.2 and §2, all [O]).
//
// - an unknown email creates a contact, a known one (primary or secondary) is joined;
// - an id alone never creates a contact; it speaks for the contact it was bound to together with an email;
// - with both, the email wins; a contact takes one id, the first; an id stays with its first contact, even after that
//   contact's email changed (staff, thread 10828);
// - what was sent with an id alone is joined once that id comes with an email;
// - a deleted contact is not restored;
// - a usertoken's anonymous page views are stitched to the contact it is identified as, and its later ones go there too.

import { isEmail, normaliseEmail } from './contacts.mjs';

/**
 * @typedef {import('./contacts.mjs').Contact} Contact
 * @typedef {{usertoken: string, url: string, path: string, title: string, email?: string, id?: string}} Beacon
 * @typedef {object} PageView
 * @property {number} at
 * @property {string} usertoken
 * @property {string} url
 * @property {string} path
 * @property {string} title
 * @property {string|null} email  as the page sent it
 * @property {string|null} id     external id, as the page sent it
 * @property {number|null} vid    the contact it was stitched to, as named then; null while anonymous
 */

export class Tracking {
  #store;
  /** @type {PageView[]} */
  #views = [];
  /** @type {Map<string, {vid: number, seq: number, at: number}[]>} whom each usertoken was stitched to, oldest first */
  #stitches = new Map();
  /** @type {Map<string, number>} external id to the vid it was bound to first */
  #externalIds = new Map();

  /** @param {import('./contacts.mjs').ContactStore} store */
  constructor(store) {
    this.#store = store;
  }

  /**
   * Takes one page view.
   * @param {Beacon} beacon
   * @returns {PageView}
   */
  receive({ usertoken, url, path, title, email, id }) {
    const view = { at: this.#store.stamp().at, usertoken, url, path, title, email: email ?? null, id: id ?? null, vid: null };
    this.#views.push(view);
    const identified = this.#identify(view);
    if (identified) {
      this.#stitch(usertoken, identified);
      for (const earlier of this.#anonymous()) {
        const joinable = earlier.usertoken === usertoken || (earlier.id !== null && this.#bound(earlier.id) === identified);
        if (joinable) earlier.vid = identified.vid;
      }
    } else {
      view.vid = this.contactOf(usertoken)?.vid ?? null;
    }
    return view;
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

  /** @returns {PageView[]} every page view, with the contact it belongs to today (merges followed) */
  pageViews() {
    return this.#views.map((view) => ({ ...view, vid: view.vid === null ? null : this.#store.canonical(view.vid).vid }));
  }

  /** @returns {Contact|null} the contact that the view's own identify names */
  #identify(view) {
    const email = normaliseEmail(view.email);
    if (isEmail(email)) {
      if (this.#store.wasDeleted(email)) return null;
      const contact = this.#store.byEmail(email) ?? this.#store.create({ email }, { kind: 'tracking', usertoken: view.usertoken });
      if (view.id !== null) this.#bind(view.id, contact);
      return contact;
    }
    return view.id === null ? null : this.#bound(view.id);
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
    return this.#views.filter((view) => view.vid === null);
  }
}
