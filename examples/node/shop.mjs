// The shop's customers, in a file of JSON where a real one would have a database, and the worker that tells HubSpot of
// their emails.

import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const RETRY_MS = 5_000;

export class Shop {
  #file;
  #cache;
  #hubspot;
  #usual;
  #quietMs;
  /** One job of a user at a time: two of them at once could tell HubSpot of the older email last. */
  #lastJob = new Map();
  pending = 0;

  constructor({ file, cache, hubspot, usual, quietMs }) {
    [this.#file, this.#cache, this.#hubspot, this.#usual, this.#quietMs] = [file, cache, hubspot, usual, quietMs];
    this.users = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [];
  }

  /** Makes the customers that are not there yet, and their contacts; takes up the changes that a crash left behind. */
  async prepare(count) {
    for (let id = this.users.length + 1; id <= count; id++) this.users.push({ id, login: `user${id}`, email: `user${id}@shop.test` });
    this.#save();
    for (const user of this.users) {
      if (!this.#cache.resolve(user.id)) await this.#cache.record(user.id, await this.#hubspot.tell(null, user.email));
    }
    for (const { user, token } of await this.#cache.staleChanges({ olderThanMs: 0 })) this.#enqueue(this.find(Number(user)), token);
  }

  find(id) {
    return this.users.find((user) => user.id === id);
  }

  byLogin(login) {
    return this.users.find((user) => user.login === login);
  }

  /** The order is the rule's: begin, then the app's own commit, then the job. */
  async changeEmail(user, email) {
    if (this.#usual) {
      user.email = email;
      this.#save();
      this.#enqueue(user, null);
      return;
    }
    const change = await this.#cache.beginEmailChange(user.id);
    const former = user.email;
    try {
      user.email = email;
      this.#save();
    } catch (error) {
      user.email = former;
      await this.#cache.abandonEmailChange(user.id, change);
      throw error;
    }
    this.#enqueue(user, change);
  }

  #save() {
    writeFileSync(`${this.#file}.new`, JSON.stringify(this.users), { mode: 0o600, flush: true });
    renameSync(`${this.#file}.new`, this.#file);
  }

  #enqueue(user, change) {
    this.pending += 1;
    const job = Promise.all([this.#quiet(), this.#lastJob.get(user.id)]).then(() => this.#perform(user, change));
    this.#lastJob.set(user.id, job);
  }

  /** Asked each time: a process with a longer page deadline may have come meanwhile. */
  async #quiet() {
    while (!this.#usual) {
      try {
        return await sleep(this.#quietMs ?? (await this.#cache.quietPeriodMs()));
      } catch (error) {
        console.error(`${error.message}; trying again`);
        await sleep(RETRY_MS);
      }
    }
  }

  /** Until it succeeds the change stays outstanding, and the user's pages give the id alone. */
  async #perform(user, change) {
    for (;;) {
      try {
        // Asked again: HubSpot must not be told of a change that another job has finished.
        if (change === null || (await this.#cache.isChangeOutstanding(user.id, change))) {
          // The email as it is now: of two jobs, the later one tells of the later email.
          const answer = await this.#hubspot.tell(this.#cache.resolve(user.id), user.email);
          await this.#cache.record(user.id, answer, { change });
        }
        this.pending -= 1;
        return;
      } catch (error) {
        console.error(`user ${user.id}: ${error.message}; trying again`);
        await sleep(RETRY_MS);
      }
    }
  }
}
