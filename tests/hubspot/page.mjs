// The double's page for people: its contacts, each followed by the duplicates that the tracking code made of it.
// Self-contained (no script, no outside font or style), since it is opened, and screenshotted, without a network.

import { STYLE } from './page_style.mjs';

/** How many requests a table lists; the counts are of all. */
const LISTED_VIEWS = 60;

/** How a request is called here. */
const KINDS = { view: 'page view', event: 'event or click', behavioural: 'custom event', form: 'form', other: 'other' };

/**
 * @typedef {import('./state.mjs').ContactState} ContactState
 * @typedef {import('./duplicates.mjs').Duplicate} Duplicate
 * @typedef {import('./tracking.mjs').TrackedRequest} TrackedRequest
 */

/**
 * @param {{portal: number, contacts: ContactState[], page_views: TrackedRequest[], anonymous_page_views: TrackedRequest[],
 *   duplicates: Duplicate[], requests: TrackedRequest[], unheld: TrackedRequest[],
 *   errors: {at: number, message: string}[]}} state
 * @returns {string} HTML
 */
export function renderPage(state) {
  const { portal, contacts, page_views: views, anonymous_page_views: anonymous, duplicates, requests, unheld, errors } = state;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>HubSpot double, portal ${escape(portal)}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
  <h1>Contacts</h1>
  <p>A stand-in for HubSpot, for tests: portal ${escape(portal)}. Nothing here reaches HubSpot.</p>
</header>
<main>
<ul class="counts">
  ${count(contacts.length, 'contacts')}
  ${count(duplicates.length, duplicates.length === 1 ? 'duplicate' : 'duplicates', duplicates.length > 0 ? 'bad' : 'good')}
  ${count(views.length, 'page views')}
  ${count(anonymous.length, 'page views left anonymous')}
  ${count(requests.length - views.length, 'clicks, events and forms')}
  ${count(unheld.length, 'requests that named an email HubSpot did not hold', unheld.length > 0 ? 'bad' : 'good')}
</ul>
${contactTable(contacts, duplicates)}
${repairedList(duplicates.filter((duplicate) => duplicate.repaired))}
${unheld.length > 0 ? viewTable('Requests that named an email HubSpot did not hold', unheld, 'anonymous') : ''}
${errors.length > 0 ? errorList(errors) : ''}
${anonymous.length > 0 ? viewTable('Page views left anonymous', anonymous, '') : ''}
${requests.length > 0 ? `<details><summary>Requests, newest first</summary>${viewTable('', requests, 'anonymous')}</details>` : ''}
</main>
</body>
</html>
`;
}

/**
 * @param {unknown} value
 * @returns {string} safe between tags and in quoted attributes
 */
export function escape(value) {
  const entities = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return String(value ?? '').replace(/[&<>"']/g, (character) => entities[character]);
}

function count(number, label, mood = '') {
  return `<li class="${mood}"><strong>${escape(number)}</strong> ${escape(label)}</li>`;
}

function contactTable(contacts, duplicates) {
  if (contacts.length === 0) return '<p class="empty">No contacts yet.</p>';
  const verdicts = new Map(duplicates.map((duplicate) => [duplicate.vid, duplicate]));
  const listed = new Set(contacts.map((contact) => contact.vid));
  // A duplicate stands under its original; if that was deleted, it stands on its own.
  const isBelow = (contact) => verdicts.has(contact.vid) && listed.has(verdicts.get(contact.vid).of);
  const rows = contacts.filter((contact) => !isBelow(contact)).flatMap((contact) => [
    contactRow(contact, verdicts.get(contact.vid)),
    ...contacts.filter((other) => isBelow(other) && verdicts.get(other.vid).of === contact.vid).map((other) => contactRow(other, verdicts.get(other.vid))),
  ]);
  return `<table class="contacts">
<thead><tr><th>Contact</th><th>Email</th><th>Created by</th><th class="number">Views</th><th>Browsers</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table>`;
}

function contactRow(contact, verdict) {
  const emails = [
    contact.email ? `<span class="email">${escape(contact.email)}</span>` : '<span class="note">no email</span>',
    ...contact.secondary_emails.map((email) => `<span class="note">${escape(email)} <i>secondary</i></span>`),
    ...(contact.former_emails.length > 0 ? [`<span class="note">formerly ${contact.former_emails.map(escape).join(', ')}</span>`] : []),
  ];
  const tag = verdict ? `<span class="tag bad">duplicate</span> <span class="note">of ${escape(verdict.of)}</span>` : '';
  const merged = contact.merged_vids.length > 0 ? `<span class="note">merged from ${contact.merged_vids.map(escape).join(', ')}</span>` : '';
  // Not a duplicate: HubSpot had nobody with that email when it was made.
  const anew = contact.made_anew_of ? `<span class="note">made anew: contact ${escape(contact.made_anew_of)}, which had this email, was deleted before, so this one is no duplicate of it</span>` : '';
  const why = verdict ? `<ul class="why">${verdict.why.split('; ').map((reason) => `<li>${escape(reason)}</li>`).join('')}</ul>` : '';
  const refused = contact.refusals.length > 0
    ? `<span class="note warn">${escape(contact.refusals.length)} ${contact.refusals.length === 1 ? 'update' : 'updates'} refused (409): ${[...new Set(contact.refusals.map(({ email }) => email))].map(escape).join(', ')}</span>`
    : '';
  return `<tr class="${verdict ? 'duplicate' : 'original'}">
<td><span class="vid">${escape(contact.vid)}</span>${tag}${merged}</td>
<td>${emails.join('')}${anew}${refused}${why}</td>
<td>${contact.origin === 'api' ? '<span class="tag">the app, API</span>' : '<span class="tag tracking">tracking code</span>'}<span class="note">${time(contact.created_at)}</span></td>
<td class="number">${escape(contact.page_views)}</td>
<td>${contact.usertokens.map((usertoken) => `<code title="${escape(usertoken)}">${escape(usertoken.slice(0, 8))}</code>`).join(' ')}</td>
</tr>`;
}

function repairedList(repaired) {
  if (repaired.length === 0) return '';
  return `<h2>Duplicates merged away since</h2><ul class="repaired">${repaired.map(({ vid, of, why }) =>
    `<li><span class="vid">${escape(vid)}</span> <span class="tag bad">duplicate</span> now part of ${escape(of)}: ${escape(why)}</li>`).join('')}</ul>`;
}

function errorList(errors) {
  return `<h2>Errors that the tracking code swallowed</h2><ul class="repaired">${errors.map(({ at, message }) => `<li>${time(at)} ${escape(message)}</li>`).join('')}</ul>`;
}

function viewTable(title, views, nobody) {
  const rows = [...views].reverse().slice(0, LISTED_VIEWS).map((view) => `<tr>
<td>${time(view.at)}</td>
<td>${escape(KINDS[view.kind])}${view.name ? ` <span class="note">${escape(view.name)}</span>` : ''}</td>
<td>${escape(view.path)}</td>
<td><code>${escape(view.usertoken.slice(0, 8))}</code></td>
<td>${[view.email, view.id && `id ${view.id}`].filter(Boolean).map(escape).join(', ') || '<span class="note">nothing</span>'}</td>
<td>${view.vid === null ? escape(nobody) : `<span class="vid">${escape(view.vid)}</span>`}</td>
</tr>`);
  const more = views.length > LISTED_VIEWS ? `<p class="note">and ${escape(views.length - LISTED_VIEWS)} older ones</p>` : '';
  return `${title ? `<h2>${escape(title)}</h2>` : ''}<table class="views">
<thead><tr><th>Time</th><th>Request</th><th>Page</th><th>Browser</th><th>Identified as</th><th>Contact</th></tr></thead>
<tbody>${rows.join('\n')}</tbody>
</table>${more}`;
}

/** @param {string|number} moment @returns {string} time of day, UTC */
function time(moment) {
  return escape(new Date(moment).toISOString().slice(11, 23));
}
