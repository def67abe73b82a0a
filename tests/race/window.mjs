// A window small enough to run a page's snippet and the tracking code in `node:vm`: the race without a browser executes
// the scripts that a browser would execute, not a re-telling of them.

import { webcrypto } from 'node:crypto';
import { performance as clock } from 'node:perf_hooks';
import vm from 'node:vm';

/**
 * @typedef {object} PageWindow
 * @property {(code: string, nonce: string|null) => void} run  runs a classic script
 * @property {(state: 'interactive'|'complete') => void} reach  moves `document.readyState` on and fires its events
 * @property {() => void} close  ends the page's timers, as leaving the page does
 */

/**
 * @param {object} page
 * @param {string} page.url
 * @param {string} page.title
 * @param {{get: () => string, set: (text: string) => void}} page.cookies  `document.cookie`
 * @param {number} page.startedAt      `performance.now()` at the start of the navigation
 * @param {number} page.respondedAt    the same, when the response began
 * @param {(address: string) => void} page.onImage  an image that a script loads
 * @returns {PageWindow}
 */
export function openWindow({ url, title, cookies, startedAt, respondedAt, onImage }) {
  const timers = new Set();
  const timer = (set) => (callback, delay, ...rest) => {
    const handle = set(callback, delay, ...rest).unref();
    timers.add(handle);
    return handle;
  };
  const documentEvents = new EventTarget();
  const windowEvents = new EventTarget();
  const location = new URL(url);
  const now = () => clock.now() - startedAt;
  const navigation = { type: 'navigate', startTime: 0, responseStart: respondedAt - startedAt, transferSize: 1 };

  const document = {
    title,
    readyState: 'loading',
    visibilityState: 'visible',
    hidden: false,
    referrer: '',
    currentScript: null,
    documentElement: element(),
    head: element(),
    body: element(),
    get cookie() {
      return cookies.get();
    },
    set cookie(text) {
      cookies.set(text);
    },
    location,
    createElement: element,
    getElementById: () => null,
    querySelector: () => null,
    querySelectorAll: () => [],
    addEventListener: documentEvents.addEventListener.bind(documentEvents),
    removeEventListener: documentEvents.removeEventListener.bind(documentEvents),
  };

  const window = {
    document,
    location,
    navigator: { userAgent: 'vidcache race, without a browser', cookieEnabled: true, doNotTrack: null, language: 'en' },
    performance: {
      now,
      timeOrigin: clock.timeOrigin + startedAt,
      timing: { navigationStart: clock.timeOrigin + startedAt, responseStart: clock.timeOrigin + respondedAt },
      getEntriesByType: (type) => (type === 'navigation' ? [navigation] : []),
    },
    crypto: webcrypto,
    console,
    URL,
    URLSearchParams,
    queueMicrotask,
    setTimeout: timer(setTimeout),
    setInterval: timer(setInterval),
    clearTimeout,
    clearInterval,
    addEventListener: windowEvents.addEventListener.bind(windowEvents),
    removeEventListener: windowEvents.removeEventListener.bind(windowEvents),
    Image: class {
      set src(address) {
        onImage(new URL(address, url).href);
      }
    },
  };
  vm.createContext(window);
  window.window = window.self = window.top = vm.runInContext('this', window);

  return {
    run(code, nonce) {
      document.currentScript = { ...element(), nonce: nonce ?? '' };
      try {
        vm.runInContext(code, window, { filename: url });
      } finally {
        document.currentScript = null;
      }
    },
    reach(state) {
      document.readyState = state;
      if (state === 'interactive') documentEvents.dispatchEvent(new Event('DOMContentLoaded'));
      else for (const type of ['load', 'pageshow']) windowEvents.dispatchEvent(Object.assign(new Event(type), { persisted: false }));
    },
    close() {
      for (const handle of timers) clearTimeout(handle);
    },
  };
}

/** An element that holds nothing. */
function element() {
  const attributes = new Map();
  return {
    dataset: {},
    hasAttribute: (name) => attributes.has(name),
    getAttribute: (name) => attributes.get(name) ?? null,
    setAttribute: (name, value) => attributes.set(name, String(value)),
    removeAttribute: (name) => attributes.delete(name),
    appendChild: (child) => child,
    addEventListener() {},
    removeEventListener() {},
  };
}
