// The contacts of the HubSpot double: emails, histories, merges, deletions.
//
// Every rule here is one that HUBSPOT.md marks [O] or [R]; the few that are not say so where they stand. The rules of
// the tracking code are in tracking.mjs, the judgement on duplicates in duplicates.mjs, the wire formats in api_*.mjs.

/** Where ids start: beyond 32 bits, as seen in the wild (HUBSPOT.md §7), and far below 2^53, so v1 can send numbers. */
const FIRST_VID = 37_765_128_953;

/** RFC 5321's bound on a path; HubSpot documents none (HUBSPOT.md §7 [?]). */
const MAX_EMAIL_LENGTH = 254;

/** An email that HubSpot refuses. */
export class InvalidEmail extends Error {
  /** @param {string} email */
  constructor(email) {
    super(`Email address ${email} is invalid`);
    this.email = email;
  }
}

/**
 * An email that was blocked when a contact was deleted for privacy, or that HubSpot had not known when it was
 * (HUBSPOT.md §10.6 [O]). The words are those that HubSpot's own pages look for in a validation's result [O].
 */
export class EmailBlocked extends InvalidEmail {
  /** @param {string} email */
  constructor(email) {
    super(email);
    this.message = 'email has been GDPR blacklisted';
  }
}

/** An email that another contact holds. */
export class EmailTaken extends Error {
  /** @param {Contact} holder @param {string} email @param {number} written  the id that was written to */
  constructor(holder, email, written) {
    super(`${email} is held by ${holder.vid}`);
    this.holder = holder;
    this.email = email;
    this.written = written;
  }
}

/** A merge HubSpot refuses: an input is no live contact of its own, or both are the same. */
export class CannotMerge extends Error {}

/**
 * @typedef {{seq: number, at: number}} Stamp  order within this double, and the time in ms
 * @typedef {{email: string, from: Stamp, until: Stamp|null, byMerge: boolean}} EmailPeriod
 * @typedef {{value: string, timestamp: number, source: 'API'|'ANALYTICS'|'MERGE_OBJECTS'}} Version
 * @typedef {{kind: 'api'|'tracking', email: string|null, usertoken: string|null}} Origin
 * @typedef {object} Contact
 * @property {number} vid
 * @property {Stamp} created
 * @property {number} updatedAt             ms; grows strictly with every change of the contact
 * @property {Origin} origin                who made it, and with which email and usertoken
 * @property {string|null} email            the primary email
 * @property {string[]} secondary           emails that still resolve to it
 * @property {EmailPeriod[]} emailPeriods   every primary email it ever had
 * @property {Map<string, Version[]>} versions  property name to its values, newest first
 * @property {number[]} mergedFrom          the two contacts it was minted from
 * @property {number|null} mergedInto
 * @property {Stamp|null} merged            when it was merged away
 * @property {object[]} mergeAudits
 * @property {Stamp|null} deleted
 * @property {{email: string, holder: number, stamp: Stamp}[]} refusals  updates answered 409
 * @property {Map<string, number>} usertokens  usertoken to the time it was first stitched
 * @property {string|null} externalId       the first `id` that the tracking code bound (HUBSPOT.md §1.2)
 */

/**
 * Lower case, without outer white space and zero-width characters (HUBSPOT.md §7).
 * @param {unknown} raw
 * @returns {string}
 */
export function normaliseEmail(raw) {
  return String(raw ?? '').replace(/[\u200b-\u200d\ufeff]/g, '').trim().toLowerCase();
}

/**
 * Whether HubSpot would take it for an email address.
 * @param {string} email  normalised
 * @returns {boolean}
 */
export function isEmail(email) {
  return email.length <= MAX_EMAIL_LENGTH && /^[^\s@<>,;"]+@[^\s@<>,;"]+\.[^\s@<>,;".]+$/.test(email);
}

export class ContactStore {
  /** @type {Map<number, Contact>} every contact ever made, in order */
  #contacts = new Map();
  /** @type {Map<string, number>} primary and secondary emails of live contacts */
  #holders = new Map();
  /** @type {Set<string>} emails that no contact may have, for privacy */
  #blocked = new Set();
  #nextVid = FIRST_VID;
  #seq = 0;
  #formerEmails;
  #clock;

  /**
   * @param {object} [options]
   * @param {'free'|'secondary'} [options.formerEmails]  what becomes of an email that an API update replaced. HubSpot's
   *   pages do not say (HUBSPOT.md §3 [?]); `free` is the stricter case: a late identify of it creates a contact.
   * @param {() => number} [options.clock]  ms
   */
  constructor({ formerEmails = 'free', clock = Date.now } = {}) {
    this.#formerEmails = formerEmails;
    this.#clock = clock;
  }

  /** @returns {Stamp} the next point in time; `seq` orders what happens within one millisecond */
  stamp() {
    return { seq: ++this.#seq, at: this.#clock() };
  }

  /** @returns {Contact[]} every contact ever made, merged and deleted ones too, oldest first */
  all() {
    return [...this.#contacts.values()];
  }

  /** @returns {Contact[]} what a person sees in HubSpot's list */
  live() {
    return this.all().filter((contact) => contact.mergedInto === null && contact.deleted === null);
  }

  /**
   * The contact a vid stands for: old ids keep pointing to what they were merged into (HUBSPOT.md §4).
   * @param {number} vid
   * @returns {Contact|null} null if unknown or deleted
   */
  byVid(vid) {
    const contact = this.canonical(vid);
    return contact && contact.deleted === null ? contact : null;
  }

  /** @param {number} vid @returns {Contact|null} the same, deleted ones too */
  canonical(vid) {
    let contact = this.#contacts.get(vid) ?? null;
    while (contact && contact.mergedInto !== null) contact = this.#contacts.get(contact.mergedInto) ?? null;
    return contact;
  }

  /** @param {number} vid @returns {Contact|null} the record itself, not what it was merged into */
  record(vid) {
    return this.#contacts.get(vid) ?? null;
  }

  /**
   * The contact that holds an email, as its primary or a secondary one (HUBSPOT.md §3: both resolve).
   * @param {string} email
   * @returns {Contact|null}
   */
  byEmail(email) {
    const vid = this.#holders.get(normaliseEmail(email));
    return vid === undefined ? null : this.#contacts.get(vid) ?? null;
  }

  /**
   * The deleted contact whose email a contact was made with. HubSpot does not restore it (HUBSPOT.md §1.2); that the
   * email makes a new contact is the stricter reading.
   * @param {Contact} contact
   * @returns {Contact|null} the one that was deleted last before it
   */
  deletedBefore(contact) {
    const { email } = contact.origin;
    const gone = this.all().filter((other) => email !== null && other.email === email && other.deleted !== null && other.deleted.seq < contact.created.seq);
    return gone.sort((one, other) => one.deleted.seq - other.deleted.seq).at(-1) ?? null;
  }

  /**
   * Creates a contact.
   * @param {Record<string, unknown>} properties
   * @param {{kind: 'api'|'tracking', usertoken?: string|null}} origin
   * @returns {Contact}
   * @throws {InvalidEmail|EmailTaken}
   */
  create(properties, { kind, usertoken = null }) {
    const email = this.#checkedEmail(properties.email);
    if (email) this.#refuseIfTaken(email, null);
    const contact = this.#mint({ kind, email, usertoken });
    this.#write(contact, properties, email, kind === 'api' ? 'API' : 'ANALYTICS', contact.updatedAt);
    return contact;
  }

  /**
   * Updates a contact. An email that another contact holds is refused (409 on the wire), and the refusal is kept: it is
   * one of the signs of a duplicate.
   * @param {Contact} contact
   * @param {Record<string, unknown>} properties
   * @returns {Contact}
   * @throws {InvalidEmail|EmailTaken}
   */
  update(contact, properties) {
    const email = 'email' in properties ? this.#checkedEmail(properties.email) : contact.email;
    if (email) this.#refuseIfTaken(email, contact);
    this.#write(contact, properties, email, 'API', this.#touch(contact));
    return contact;
  }

  /**
   * Merges two contacts into a third record with an id of its own (since January 2025, HUBSPOT.md §4): values come from
   * the primary, the other's emails become secondary and still resolve.
   * @param {number} primaryVid
   * @param {number} otherVid
   * @returns {Contact} the new record
   * @throws {CannotMerge}
   */
  merge(primaryVid, otherVid) {
    const primary = this.record(primaryVid);
    const other = this.record(otherVid);
    const mergeable = (contact) => contact && contact.mergedInto === null && contact.deleted === null;
    if (!mergeable(primary) || !mergeable(other) || primary === other) {
      throw new CannotMerge('canonical vid is not a valid contact or is already in the process of being merged');
    }
    const merged = this.#mint({ kind: 'api', email: primary.email, usertoken: null });
    merged.mergedFrom = [primary.vid, other.vid];
    merged.externalId = primary.externalId ?? other.externalId;
    merged.usertokens = new Map([...other.usertokens, ...primary.usertokens]);
    merged.mergeAudits = [...primary.mergeAudits, ...other.mergeAudits, {
      'canonical-vid': primary.vid,
      'vid-to-merge': other.vid,
      timestamp: merged.created.at,
      'num-properties-moved': other.versions.size,
      merged_from_email: { value: other.email, 'source-vids': [other.vid] },
      merged_to_email: { value: primary.email },
    }];
    for (const source of [other, primary]) {
      for (const [name, versions] of source.versions) {
        merged.versions.set(name, [{ ...versions[0], source: 'MERGE_OBJECTS' }, ...(merged.versions.get(name) ?? [])]);
      }
    }
    merged.email = primary.email ?? other.email;
    const emails = [...primary.secondary, other.email, ...other.secondary];
    merged.secondary = [...new Set(emails)].filter((email) => email && email !== merged.email);
    if (merged.email) merged.emailPeriods.push({ email: merged.email, from: merged.created, until: null, byMerge: true });
    for (const email of [merged.email, ...merged.secondary]) if (email) this.#holders.set(email, merged.vid);
    for (const source of [primary, other]) {
      source.mergedInto = merged.vid;
      source.merged = merged.created;
      this.#touch(source);
    }
    return merged;
  }

  /**
   * Deletes a contact: its emails are free again.
   * @param {Contact} contact
   */
  remove(contact) {
    for (const email of [contact.email, ...contact.secondary]) if (email) this.#holders.delete(email);
    contact.deleted = this.stamp();
    this.#touch(contact);
  }

  /**
   * Deletes for privacy: the contact is gone, ids that were merged into it too, and its emails are blocked for ever.
   * @param {Contact|null} contact
   * @param {string|null} email  blocked as well, and where HubSpot knows no contact alone
   */
  erase(contact, email = null) {
    for (const other of contact ? [contact.email, ...contact.secondary, email] : [email]) {
      if (other) this.#blocked.add(normaliseEmail(other));
    }
    if (contact) this.remove(contact);
  }

  /** @param {Contact} contact @returns {number[]} every vid that was merged into it, through all generations */
  mergedVids(contact) {
    return contact.mergedFrom.flatMap((vid) => [...this.mergedVids(this.#contacts.get(vid)), vid]);
  }

  /**
   * When the person behind a contact was first known: a merged record is as old as the oldest it was made from.
   * @param {Contact} contact
   * @returns {number} a `seq`
   */
  age(contact) {
    return Math.min(contact.created.seq, ...contact.mergedFrom.map((vid) => this.age(this.#contacts.get(vid))));
  }

  /** @param {Origin} origin @returns {Contact} */
  #mint(origin) {
    const created = this.stamp();
    const contact = {
      vid: this.#nextVid, created, updatedAt: created.at, origin, email: null, secondary: [], emailPeriods: [], versions: new Map(),
      mergedFrom: [], mergedInto: null, merged: null, mergeAudits: [], deleted: null, refusals: [], usertokens: new Map(), externalId: null,
    };
    this.#skip();
    this.#contacts.set(contact.vid, contact);
    return contact;
  }

  /** Ids of one portal are not consecutive; nobody should lean on it. @returns {number} one that nobody gets */
  #skip() {
    this.#nextVid += 47;
    return this.#nextVid - 47;
  }

  /** @param {unknown} raw @returns {string|null} */
  #checkedEmail(raw) {
    const email = normaliseEmail(raw);
    if (email === '') return null;
    if (!isEmail(email)) throw new InvalidEmail(String(raw));
    if (this.#blocked.has(email)) throw new EmailBlocked(email);
    return email;
  }

  /** @param {string} email @param {Contact|null} contact */
  #refuseIfTaken(email, contact) {
    const holder = this.byEmail(email);
    if (!holder || holder === contact) return;
    contact?.refusals.push({ email, holder: holder.vid, stamp: this.stamp() });
    // Of a create a half-made contact is named, which is never seen again (HUBSPOT.md §7.1 [R]).
    throw new EmailTaken(holder, email, contact?.vid ?? this.#skip());
  }

  /** Writes checked values. */
  #write(contact, properties, email, source, now) {
    for (const [name, value] of Object.entries(properties)) {
      if (name !== 'email') this.#addVersion(contact, name, value, source, now);
    }
    if (email !== contact.email) this.#changeEmail(contact, email, source, now);
  }

  #addVersion(contact, name, value, source, timestamp) {
    const versions = contact.versions.get(name) ?? [];
    contact.versions.set(name, [{ value: value === null ? '' : String(value), timestamp, source }, ...versions]);
  }

  #changeEmail(contact, email, source, timestamp) {
    const stamp = this.stamp();
    const former = contact.email;
    contact.secondary = contact.secondary.filter((secondary) => secondary !== email);
    if (former) {
      contact.emailPeriods.at(-1).until = stamp;
      if (this.#formerEmails === 'secondary') contact.secondary.push(former);
      else this.#holders.delete(former);
    }
    contact.email = email;
    if (email) {
      this.#holders.set(email, contact.vid);
      contact.emailPeriods.push({ email, from: stamp, until: null, byMerge: false });
    }
    this.#addVersion(contact, 'email', email, source, timestamp);
  }

  /** A webhook or an answer is ordered by `updatedAt`, so two changes of a contact never share a millisecond. */
  #touch(contact) {
    contact.updatedAt = Math.max(this.#clock(), contact.updatedAt + 1);
    return contact.updatedAt;
  }
}
