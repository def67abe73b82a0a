// Stands before several hosts of one app, as a load balancer does: each request goes to the next host, so the page
// after a form is mostly another host's than the one that took the form.

import { HandingOn } from './handing_on.mjs';

export class Balancer extends HandingOn {
  /** How many requests each host has been given. @type {number[]} */
  given;
  #hosts;
  #next = 0;

  /** @param {string[]} urls  of the hosts */
  constructor(urls) {
    super();
    this.#hosts = urls.map((url) => new URL(url));
    this.given = urls.map(() => 0);
  }

  app() {
    const at = this.#next;
    this.#next = (at + 1) % this.#hosts.length;
    this.given[at] += 1;
    return this.#hosts[at];
  }
}
