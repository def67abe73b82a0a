// The race: users change their email while their other tabs and a second browser go on. What they do is a scenario's;
// here the scenarios run together, in rounds, against one app. The race is the same for every driver and for both
// policies.
//
// Each round, every scenario
//   1. prepares: pages from before the change;
//   2. changes emails, while its other tabs keep busy until the app's worker is done;
//   3. checks: now HubSpot holds the email, so a page that still says nothing has lost something.

import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from './client.mjs';

/** How long the app's worker may take for one round's changes. */
const WORKER_TIMEOUT_MS = 60_000;

/** Between the start of the traffic and the first change. */
const HEAD_START_MS = 100;

/**
 * @typedef {object} Scenario
 * @property {string} name
 * @property {string[]} logins  its users
 * @property {number} rounds
 * @property {import('./tally.mjs').Tally} tally
 * @property {boolean} [inFront]  whether its tab must not be slowed down as one in the background
 * @property {() => Promise<void>} open  signs its users in
 * @property {(round: number) => Promise<void>} prepare
 * @property {(round: number, isDone: () => boolean) => Promise<void>} traffic
 * @property {(round: number) => Promise<void>} change
 * @property {(round: number) => Promise<void>} check
 */

export class Race {
  #appUrl;
  #scenarios;
  #round = 0;

  /** @param {{appUrl: string, scenarios: Scenario[]}} options */
  constructor({ appUrl, scenarios }) {
    this.#appUrl = appUrl;
    this.#scenarios = scenarios;
  }

  /** @returns {{round: number, rounds: number}} how far it is */
  progress() {
    return { round: this.#round, rounds: this.#rounds };
  }

  /** Signs every user in. The tab that is opened last is in front, where a browser has all of them in one window. */
  async open() {
    const [front, others] = [true, false].map((inFront) => this.#scenarios.filter((scenario) => Boolean(scenario.inFront) === inFront));
    await Promise.all(others.map((scenario) => scenario.open()));
    await Promise.all(front.map((scenario) => scenario.open()));
  }

  async run() {
    for (let round = 1; round <= this.#rounds; round++) {
      this.#round = round;
      await this.#runRound(round, this.#scenarios.filter(({ rounds }) => round <= rounds));
    }
  }

  get #rounds() {
    return Math.max(...this.#scenarios.map(({ rounds }) => rounds));
  }

  async #runRound(round, scenarios) {
    const all = (action) => Promise.all(scenarios.map(action));
    await all((scenario) => scenario.prepare(round));
    let done = false;
    const traffic = all((scenario) => scenario.traffic(round, () => done));
    const ended = traffic.catch(() => {}); // a failure is raised below, after one of the changes
    try {
      await sleep(HEAD_START_MS);
      await all((scenario) => scenario.change(round));
      await this.#workerDone();
    } finally {
      done = true;
      await ended;
    }
    await traffic;
    await all((scenario) => scenario.check(round));
  }

  async #workerDone() {
    const deadline = Date.now() + WORKER_TIMEOUT_MS;
    while (Date.now() < deadline) {
      const response = await ask(`${this.#appUrl}/jobs`);
      if (!response.ok) throw new Error(`GET /jobs answered ${response.status}`);
      const { pending } = await response.json();
      if (pending === 0) return;
      await sleep(100);
    }
    throw new Error(`the app's worker was not done in ${WORKER_TIMEOUT_MS / 1000} s`);
  }
}
