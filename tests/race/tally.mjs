// What the users of a race did, and what their pages said meanwhile: counted the same in every scenario.

/** @typedef {import('./client.mjs').PageLoad} PageLoad */

/**
 * Loads in which a page must name the confirmed email again; more than one, since a busy machine may exceed the
 * deadline, and Firefox makes each timer of a tab in the background, Turbo's too, wait for up to a second.
 */
const TRIES_AFTER = 8;

export class Tally {
  changes = 0;
  pages = 0;
  /** Custom events and clicks that pages told of. */
  events = 0;
  /** Pages that named an email. */
  namedEmail = 0;
  /** Pages that named the id alone. */
  namedId = 0;
  namedNobody = 0;
  /** Pages, events and clicks of which HubSpot was told nothing. */
  silent = 0;
  /** Pages looked at after the worker had finished. */
  checked = 0;
  /** Those of them that named the confirmed email. */
  confirmed = 0;

  /** @param {Promise<PageLoad>} loading @returns {Promise<PageLoad>} */
  async page(loading) {
    this.pages += 1;
    const load = await loading;
    if (load.status >= 400) throw new Error(`${load.path} answered ${load.status}`);
    if (load.said === null) this.silent += 1;
    else if (load.said.email) this.namedEmail += 1;
    else if (load.said.id) this.namedId += 1;
    else this.namedNobody += 1;
    return load;
  }

  /** @param {Promise<boolean>} telling  whether HubSpot was told */
  async event(telling) {
    this.events += 1;
    if (!(await telling)) this.silent += 1;
  }

  /**
   * The worker is done: from here on pages have to name the email that HubSpot confirmed.
   * @param {string} email
   * @param {() => Promise<PageLoad>} load  one page
   */
  async expectNamed(email, load) {
    this.checked += 1;
    for (let attempt = 1; attempt <= TRIES_AFTER; attempt++) {
      const { said } = await load();
      if (said?.email?.toLowerCase() === email) {
        this.confirmed += 1;
        return;
      }
    }
  }
}

/** A user of the shop, as the race knows them. */
export class Customer {
  #changes = 0;

  /** @param {string} login */
  constructor(login) {
    this.login = login;
    this.email = `${login}@shop.test`;
  }

  /** @returns {string} an email that nobody has had */
  freshEmail() {
    this.#changes += 1;
    return `${this.login}.${this.#changes}@shop.test`;
  }
}
