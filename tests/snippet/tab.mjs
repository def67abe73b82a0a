// A browser tab whose clocks the test moves, for the page's guard: what the guard pushes, and what may be read of the
// identity when. The guard runs as it is shipped (src/snippet.min.js), or as GUARD names another build of it.

import { readFileSync } from 'node:fs';
import vm from 'node:vm';

const source = readFileSync(process.env.GUARD ?? new URL('../../src/snippet.min.js', import.meta.url), 'utf8');

/** The server's clock when the tab's navigation began, in ms. */
export const SERVER = 1_800_000_000_000;

/**
 * @param {object} [options]
 * @param {number} [options.skew]        how far the browser's wall clock is ahead of the server's, in ms
 * @param {number} [options.ppm]         how much faster than the server's both clocks of the browser run
 * @param {object} [options.navigation]  what differs in the document's navigation entry
 * @param {string} [options.readyState]  of the document
 * @param {object} [options.window]      what differs in the window
 */
export function openTab({ skew = 0, ppm = 0, navigation = {}, readyState = 'complete', window: extra = {} } = {}) {
  const clock = { elapsed: 0, asleep: 0, set: 0 };
  const local = () => clock.elapsed * (1 + ppm / 1e6);
  const attributes = new Set();
  const appended = [];
  const window = {
    performance: {
      now: () => local() - clock.asleep,
      timing: { navigationStart: SERVER + skew },
      getEntriesByType: () => [{ type: 'navigate', deliveryType: '', transferSize: 3300, encodedBodySize: 3000, workerStart: 0, ...navigation }],
    },
    location: { pathname: '/page', search: '?q=1' },
    ...extra,
  };
  const document = {
    readyState,
    documentElement: { hasAttribute: (name) => attributes.has(name) },
    currentScript: { nonce: 'n0nce' },
    createElement: () => ({}),
    head: { appendChild: (element) => appended.push(element) },
  };
  const FakeDate = { now: () => SERVER + skew + clock.set + local() };
  const tasks = [];
  window.setTimeout = (task) => tasks.push(task);
  const guard = vm.runInNewContext(source, { Date: FakeDate });
  const tab = {
    window,
    document,
    appended,
    attributes,
    clock,
    /** Time passes, awake or asleep; what runs after it is another task. */
    pass(ms, { sleeping = false } = {}) {
      if (ms > 0) tasks.splice(0).forEach((task) => task());
      clock.elapsed += ms;
      if (sleeping) clock.asleep += ms;
    },
    /** Runs the snippet of a page rendered at `SERVER + at`, by default 20 ms ago. @returns what it pushed */
    show({ at = clock.elapsed - 20, id = 'vid:901', email = 'ann@shop.test', late, ...more } = {}) {
      const page = { at: SERVER + at, ttl: 10_000, src: '//js.hs-scripts.com/1.js', ...more };
      if (id) page.id = id;
      if (email) page.email = email;
      const before = window._hsq?.length ?? 0;
      guard(window, document, page, late);
      const queue = window._hsq ?? [];
      tab.who ??= Array.from(queue).find((command) => command[0] === 'identify')?.[1];
      // Not a copy of it all: with a page a minute for a week that took more than a minute.
      return Array.prototype.slice.call(queue, before);
    },
    /** The identity that the guard gave. */
    who: undefined,
    /** What a script that lists the identity's keys sees. */
    get said() {
      const all = {};
      for (const key in tab.who) all[key] = tab.who[key];
      return all;
    },
    /** Loads a tracker that keeps identities as HubSpot's own does (HUBSPOT.md §9, recorded). */
    load(tracker = makeTracker()) {
      const run = (command) => {
        if (typeof command === 'function') command(tracker);
        else tracker[command[0]]?.(...command.slice(1));
      };
      const queue = Array.isArray(window._hsq) ? window._hsq : (window._hsq = []);
      const waiting = queue.splice(0);
      queue.push = run;
      const early = (command) => ['identify', 'setPath'].includes(command[0]);
      waiting.filter(early).forEach(run);
      tracker.trackPageView();
      waiting.filter((command) => !early(command)).forEach(run);
      tab.tracker = tracker;
      return tracker;
    },
  };
  return tab;
}

/** What a tracker keeps, and what each of its requests says. */
export function makeTracker() {
  const tracker = {
    identity: null,
    requests: [],
    resets: 0,
    identify(given) {
      if (tracker.identity) return tracker.identity.merge(given);
      const kept = given;
      for (const key in given) if (key === 'visitor') tracker.visitor = given[key]; // a listing while nothing is kept yet
      tracker.identity = {
        get: () => kept,
        merge(more) {
          for (const key in more) kept[key] = more[key];
        },
      };
      return undefined;
    },
    request(kind) {
      const said = {};
      for (const key in tracker.identity?.get()) said[key] = `${tracker.identity.get()[key]}`;
      tracker.requests.push({ kind, ...said });
      return said;
    },
    trackPageView: () => tracker.request('view'),
    setPath: () => {},
    resetVisitorIdentity() {
      tracker.resets += 1;
      tracker.identity = null;
    },
  };
  return tracker;
}
