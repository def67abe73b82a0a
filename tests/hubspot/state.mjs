// A contact as `GET /_double/state` and the page for people show it.

/**
 * @typedef {object} ContactState
 * @property {number} vid
 * @property {string|null} email
 * @property {string[]} former_emails     once its email, now anybody's
 * @property {string[]} secondary_emails  still resolve to it
 * @property {'api'|'tracking'} origin    who created it
 * @property {string} created_at
 * @property {string} updated_at
 * @property {number[]} merged_vids
 * @property {string|null} external_id
 * @property {string[]} usertokens
 * @property {number} page_views
 * @property {{email: string, holder: number, at: string}[]} refusals  updates that were answered 409
 * @property {number|null} made_anew_of   the deleted contact whose email the tracking code made it with
 */

/**
 * @param {import('./contacts.mjs').ContactStore} store
 * @param {import('./contacts.mjs').Contact} contact
 * @param {import('./tracking.mjs').TrackedRequest[]} pageViews
 * @returns {ContactState}
 */
export function contactState(store, contact, pageViews) {
  const mergedVids = store.mergedVids(contact);
  const records = [contact, ...mergedVids.map((vid) => store.record(vid))];
  const everHeld = new Set(records.flatMap((record) => record.emailPeriods).map((period) => period.email));
  const heldNow = [contact.email, ...contact.secondary];
  return {
    vid: contact.vid,
    email: contact.email,
    former_emails: [...everHeld].filter((email) => !heldNow.includes(email)),
    secondary_emails: contact.secondary,
    origin: contact.origin.kind,
    created_at: new Date(contact.created.at).toISOString(),
    updated_at: new Date(contact.updatedAt).toISOString(),
    merged_vids: mergedVids,
    external_id: contact.externalId,
    usertokens: [...contact.usertokens.keys()],
    page_views: pageViews.filter((view) => view.vid === contact.vid).length,
    refusals: records.flatMap((record) => record.refusals).map(({ email, holder, stamp }) => ({ email, holder, at: new Date(stamp.at).toISOString() })),
    made_anew_of: contact.origin.kind === 'tracking' ? store.deletedBefore(contact)?.vid ?? null : null,
  };
}
