// Which contacts are duplicates of whom, and how one can tell.
//
// A duplicate is a contact that the *tracking code* created for somebody whom HubSpot already had. Five signs, each of
// them something that happened, none a guess from similar spelling:
//   former    its email was an older contact's email before, and the change freed it
//   refused   an API update was to give an older contact this email and got 409, because this contact holds it
//   later     an older contact was given this email afterwards (once this contact had been deleted out of the way)
//   browser   the usertoken it was created on had been stitched to an older contact before
//   merged    somebody has merged it with an older contact since
//
// A new visitor shows none of them: own usertoken, an email nobody had. Nor does a lead whom the tracking code met
// *before* the app created a contact for them: that contact is the younger one. Nor does a contact made for the email
// of a contact that had been deleted: HubSpot had nobody with that email any more, so there are not two of one person.
// `made_anew_of` in the state names the deleted one, and S1 (`unheld`) has the request that made it; a sign from a
// contact that was deleted before is none. A duplicate that was merged away still counts, as `repaired`: it was made,
// and a merge is a repair, not a fix. All this judges what happened, not what people meant: two people who share a
// browser look like one, to HubSpot as well as here (HUBSPOT.md §8.1 has the complaint).

/**
 * @typedef {import('./contacts.mjs').Contact} Contact
 * @typedef {import('./contacts.mjs').ContactStore} ContactStore
 * @typedef {{vid: number, of: number, why: string, repaired: boolean}} Duplicate
 * @typedef {{vid: number, seq: number, at: number}} Stitch
 * @typedef {{original: Contact, why: string}} Sign
 */

/**
 * Every duplicate made so far, oldest first; one contact is listed once, with all its signs.
 * @param {ContactStore} store
 * @param {(usertoken: string) => Stitch[]} stitches  whom a usertoken was stitched to, oldest first
 * @returns {Duplicate[]}
 */
export function findDuplicates(store, stitches) {
  /** @type {Map<number, number>} duplicate to original: a duplicate of a duplicate is the original's */
  const originals = new Map();
  /** @type {Duplicate[]} */
  const found = [];
  for (const contact of store.all()) {
    if (contact.origin.kind !== 'tracking') continue;
    const older = store.all().filter((other) => other !== contact && store.age(other) < contact.created.seq && !wasGone(store, other, contact));
    const signs = [former(contact, older), refused(store, contact, older), later(store, contact, older),
      browser(store, contact, stitches), merged(store, contact, older)].filter(Boolean);
    if (signs.length === 0) continue;
    // Originals are older than their duplicates, so this ends.
    let original = signs[0].original.vid;
    while (originals.has(original)) original = originals.get(original);
    originals.set(contact.vid, original);
    found.push({
      vid: contact.vid,
      of: store.canonical(original).vid,
      why: signs.map((sign) => sign.why).join('; '),
      repaired: contact.mergedInto !== null,
    });
  }
  return found;
}

/** @returns {boolean} whether a contact, or what it was merged into, had been deleted when another one was created */
function wasGone(store, contact, created) {
  const { deleted } = store.canonical(contact.vid);
  return deleted !== null && deleted.seq < created.created.seq;
}

/**
 * The first of the older contacts for which something is found.
 * @template T
 * @param {Contact[]} older
 * @param {(other: Contact) => T|undefined} find
 * @param {(other: Contact, evidence: T) => string} tell
 * @returns {Sign|null}
 */
function firstSign(older, find, tell) {
  for (const original of older) {
    const evidence = find(original);
    if (evidence) return { original, why: tell(original, evidence) };
  }
  return null;
}

function former(contact, older) {
  const { email } = contact.origin;
  return firstSign(older,
    (other) => other.emailPeriods.find((period) => period.email === email && period.until && period.until.seq < contact.created.seq),
    (other, period) => `${email} was the email of ${other.vid} until ${timeOfDay(period.until.at)}`);
}

function refused(store, contact, older) {
  const { email } = contact.origin;
  return firstSign(older,
    (other) => other.refusals.find((refusal) => refusal.email === email && store.canonical(refusal.holder) === store.canonical(contact.vid)),
    (other, refusal) => `HubSpot refused to give ${other.vid} the email ${email} at ${timeOfDay(refusal.stamp.at)} (409), because this contact holds it`);
}

function later(store, contact, older) {
  const { email } = contact.origin;
  // The record that a merge with this very contact made holds the email by that merge; "merged" tells that.
  const strangers = older.filter((other) => !store.mergedVids(other).includes(contact.vid));
  return firstSign(strangers,
    (other) => other.emailPeriods.find((period) => period.email === email && !period.byMerge && period.from.seq > contact.created.seq),
    (other, period) => `${other.vid} was given the email ${email} at ${timeOfDay(period.from.at)}`);
}

function browser(store, contact, stitches) {
  const { usertoken } = contact.origin;
  const before = stitches(usertoken).find((stitch) => stitch.seq < contact.created.seq && !wasGone(store, store.record(stitch.vid), contact));
  if (!before) return null;
  return {
    original: store.record(before.vid),
    why: `the browser that made it (usertoken ${usertoken.slice(0, 8)}…) had been known as ${before.vid} since ${timeOfDay(before.at)}`,
  };
}

function merged(store, contact, older) {
  if (contact.mergedInto === null) return null;
  const partner = store.record(contact.mergedInto).mergedFrom.find((vid) => vid !== contact.vid);
  return firstSign(older,
    (other) => other.vid === partner,
    (other) => `it was merged with ${other.vid} at ${timeOfDay(contact.merged.at)}`);
}

/** @param {number} ms @returns {string} UTC, to the millisecond */
function timeOfDay(ms) {
  return new Date(ms).toISOString().slice(11, 23);
}
