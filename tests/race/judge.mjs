// What HubSpot heard of the race, held against what the race knows: who was signed in where, and whose each email and
// contact is.

/**
 * As `GET /_double/state` has it.
 * @typedef {object} TrackingRequest
 * @property {number} at
 * @property {string} kind        view, event, click and so on
 * @property {string} usertoken
 * @property {string} url         of the page
 * @property {string|null} email
 * @property {string|null} id
 * @property {boolean|null} held  whether HubSpot held the email when the request came; null if it named none
 * @property {number|null} vid    the contact it was put on
 *
 * @typedef {object} Finding
 * @property {number} duplicates
 * @property {number} unheld      requests that named an email which HubSpot did not hold
 * @property {number} mistaken    requests that spoke for somebody else than the user who was signed in
 */

/** Where nobody is signed in. */
const SIGN_IN_PATH = '/sign_in';

/** @param {string|null} email @returns {string|null} the race's emails are `user7@…` and `user7.2@…` */
export function loginOf(email) {
  return /^([a-z]+\d+)[.@]/i.exec(email ?? '')?.[1].toLowerCase() ?? null;
}

export class Judge {
  #logins;
  #tabs;

  /**
   * @param {{vid: number, email: string}[]} contacts  as HubSpot had them before the race: one for each user
   * @param {{origin: string, signIns: {at: number, login: string}[]}[]} tabs  of a browser, by the addresses that they
   *   have
   */
  constructor(contacts, tabs) {
    this.#logins = new Map(contacts.map(({ vid, email }) => [vid, loginOf(email)]));
    this.#tabs = new Map(tabs.map((tab) => [tab.origin, tab]));
  }

  /**
   * @param {object} state  of the double, after the race
   * @returns {Map<string, Finding>} for each login; what cannot be put on one is under ''
   */
  findings(state) {
    const findings = new Map();
    const of = (login) => {
      if (!findings.has(login ?? '')) findings.set(login ?? '', { duplicates: 0, unheld: 0, mistaken: 0 });
      return findings.get(login ?? '');
    };
    const owners = new Map(state.contacts.map(({ vid, email }) => [vid, this.#logins.get(vid) ?? loginOf(email)]));
    for (const { of: original } of state.duplicates) of(owners.get(original)).duplicates += 1;
    const firstNamed = new Map();
    for (const request of state.requests) {
      const named = this.#named(request, owners);
      if (request.held === false) of(named).unheld += 1;
      const tab = this.#tabs.get(new URL(request.url).origin);
      // Without a browser there is no such tab; there each usertoken is one user's.
      if (!tab && named && !firstNamed.has(request.usertoken)) firstNamed.set(request.usertoken, named);
      const present = tab ? presentAt(request, tab) : firstNamed.get(request.usertoken) ?? named;
      // Nobody has told HubSpot who is there, so HubSpot goes by its cookie: where a user is signed in, that has to be
      // theirs.
      const spokenFor = named ?? (present && request.vid !== null ? owners.get(request.vid) : null);
      if (spokenFor && spokenFor !== present) of(present ?? spokenFor).mistaken += 1;
    }
    return findings;
  }

  /** @returns {string|null} whom the request itself names */
  #named({ email, id }, owners) {
    if (email !== null) return loginOf(email);
    const vid = /(\d+)$/.exec(id ?? '')?.[1];
    return vid ? owners.get(Number(vid)) ?? null : null;
  }
}

/** @returns {string|null} who was signed in on the page that made the request */
function presentAt({ at, url }, { signIns }) {
  if (new URL(url).pathname === SIGN_IN_PATH) return null;
  return signIns.filter((signIn) => signIn.at <= at).at(-1)?.login ?? null;
}

/** @param {Finding[]} findings @returns {Finding} */
export function sum(findings) {
  const total = { duplicates: 0, unheld: 0, mistaken: 0 };
  for (const finding of findings) for (const name of Object.keys(total)) total[name] += finding[name];
  return total;
}
