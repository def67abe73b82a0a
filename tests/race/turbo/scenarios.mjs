// What people do in an app that Turbo drives: three scenarios, each with users of its own.

import { setTimeout as sleep } from 'node:timers/promises';
import { Customer, Tally } from '../tally.mjs';
import { TurboTab } from './tab.mjs';

/** Rest between two things that one tab does. */
const PAUSE_MS = 400;

/** What the scenarios below share: who takes part, and where they sign in. */
class TurboScenario {
  tally = new Tally();
  #driver;

  /** @param {{driver: import('../client.mjs').Driver, logins: string[], rounds: number}} options */
  constructor({ driver, logins, rounds }) {
    this.#driver = driver;
    this.logins = logins;
    this.rounds = rounds;
    this.customers = logins.map((login) => new Customer(login));
  }

  /**
   * @returns {Promise<TurboTab[]>} that many tabs of one new profile, in which the user is signed in; the first by
   * Turbo's own form
   */
  async profileOf(login, count) {
    const profile = await this.#driver.newProfile();
    const tabs = [];
    while (tabs.length < count) {
      const tab = await profile.newTab();
      const turbo = new TurboTab(tab, this.tally);
      tabs.push(turbo);
      if (tabs.length === 1) {
        await turbo.open('/sign_in');
        await turbo.signIn(login);
      } else {
        tab.signIns.push({ at: Date.now(), login });
      }
    }
    return tabs;
  }

  /** By the settings form; Turbo sends it and shows the page that the app redirects to. */
  async changeEmail(tab, customer) {
    await tab.visit('/settings');
    customer.email = customer.freshEmail();
    this.tally.changes += 1;
    await tab.send('email', customer.email, '/settings');
  }

  /** Busy until done. */
  async keep(isDone, action) {
    for (let step = 0; !isDone(); step++) {
      await action(step);
      await sleep(PAUSE_MS);
    }
  }
}

/**
 * One user clicks through pages in one document, here and in a second browser, with events and clicks on each page, and
 * back now and then to a page that Turbo has kept; another tab changes the email.
 * @implements {import('../race.mjs').Scenario}
 */
export class Visits extends TurboScenario {
  name = 'Turbo visits';

  async open() {
    const [login] = this.logins;
    [[this.form, this.reader], [this.elsewhere]] = await Promise.all([this.profileOf(login, 2), this.profileOf(login, 1)]);
    await this.reader.open('/pages/1');
  }

  async prepare() {
    await Promise.all([this.reader, this.elsewhere].map((tab) => this.#read(tab, 1)));
  }

  async traffic(_, isDone) {
    await Promise.all([this.reader, this.elsewhere].map((tab) => this.keep(isDone, (step) => this.#read(tab, step))));
  }

  async change() {
    await this.changeEmail(this.form, this.customers[0]);
    await this.form.press();
  }

  async check() {
    const tabs = [this.form, this.reader, this.elsewhere];
    await Promise.all(tabs.map((tab) => this.tally.expectNamed(this.customers[0].email, () => tab.visit('/pages/7'))));
    await Promise.all(tabs.map((tab) => tab.press()));
  }

  async #read(tab, step) {
    if (step % 4 === 3) {
      await tab.back();
      // Turbo keeps a page without its listeners, but with the mark by which HubSpot's code knows that it has one
      // there.
      return tab.press(['like']);
    }
    await tab.visit(`/pages/${1 + (step % 5)}`);
    return tab.press();
  }
}

/**
 * Tabs that stay on the page they were opened with, across the change, and go on sending events and clicks.
 * @implements {import('../race.mjs').Scenario}
 */
export class OpenTabs extends TurboScenario {
  name = 'tabs that stay open';

  async open() {
    const [login] = this.logins;
    [[this.form, this.here], [this.elsewhere]] = await Promise.all([this.profileOf(login, 2), this.profileOf(login, 1)]);
    await this.here.open('/pages/8');
  }

  async prepare() {
    await this.elsewhere.visit('/pages/9');
  }

  async traffic(_, isDone) {
    await Promise.all([this.here, this.elsewhere].map((tab) => this.keep(isDone, () => tab.press())));
  }

  async change() {
    await this.changeEmail(this.form, this.customers[0]);
  }

  async check() {
    // HubSpot has been told, and these pages are from before: whatever they name now, it must hold.
    await Promise.all([this.here, this.elsewhere].map((tab) => tab.press()));
    await this.tally.expectNamed(this.customers[0].email, () => this.form.visit('/pages/7'));
  }
}

/**
 * Two users of one browser, one after the other in the same document: sign-out and sign-in are Turbo's too. The first
 * changes the email and leaves before the worker has told HubSpot.
 * @implements {import('../race.mjs').Scenario}
 */
export class SecondUser extends TurboScenario {
  name = 'a second user in the tab';
  /** All that it shows is shown in one tab, and the redirect after the change has to come before the worker's call. */
  inFront = true;

  async open() {
    [this.tab] = await this.profileOf(this.logins[0], 1);
  }

  async prepare() {
    await this.tab.visit('/pages/1');
    await this.tab.press();
  }

  async traffic(_, isDone) {
    await new Promise((resolve) => {
      this.handOver = resolve;
    });
    await this.keep(isDone, async (step) => {
      await this.tab.visit(`/pages/${2 + (step % 4)}`);
      await this.tab.press();
    });
  }

  async change() {
    try {
      const [first, second] = this.customers;
      await this.changeEmail(this.tab, first);
      await this.tab.signOut();
      await this.tab.press(); // by nobody
      await this.tab.signIn(second.login);
      await this.tab.press();
      await this.changeEmail(this.tab, second);
    } finally {
      this.handOver();
    }
  }

  async check() {
    const [first, second] = this.customers;
    await this.tally.expectNamed(second.email, () => this.tab.visit('/pages/7'));
    await this.tab.press();
    await this.tab.signOut();
    await this.tab.press();
    await this.tab.signIn(first.login);
    await this.tally.expectNamed(first.email, () => this.tab.visit('/pages/7'));
    await this.tab.press();
  }
}
