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
 * @param {number} page.bytes          of the document
 * @param {(address: string) => void} page.onImage  an image that a script loads
 * @param {(error: Error) => void} page.onError  what a listener or a timer threw
 * @returns {PageWindow}
 */
export function openWindow({ url, title, cookies, startedAt, respondedAt, bytes, onImage, onError }) {
  const timers = new Set();
  const guarded = (callback) => function (...args) {
    try {
      return callback.apply(this, args);
    } catch (error) {
      return onError(error);
    }
  };
  const timer = (set) => (callback, delay, ...rest) => {
    const handle = set(guarded(callback), delay, ...rest).unref();
    timers.add(handle);
    return handle;
  };
  const documentEvents = events(guarded);
  const windowEvents = events(guarded);
  const location = new URL(url);
  const now = () => clock.now() - startedAt;
  // As a browser has it of a document that came from the network: headers and body were transferred, nothing delivered
  // it.
  const navigation = {
    name: url, entryType: 'navigation', type: 'navigate', startTime: 0, responseStart: respondedAt - startedAt, workerStart: 0,
    deliveryType: '', transferSize: bytes + 300, encodedBodySize: bytes, decodedBodySize: bytes,
  };

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
    addEventListener: documentEvents.add,
    removeEventListener: documentEvents.remove,
  };

  const window = {
    document,
    location,
    navigator: { userAgent: 'vidcache race, without a browser', cookieEnabled: true, doNotTrack: null, language: 'en' },
    performance: {
      now,
      timeOrigin: clock.timeOrigin + startedAt,
      timing: { navigationStart: Math.round(clock.timeOrigin + startedAt), responseStart: Math.round(clock.timeOrigin + respondedAt) },
      navigation: { type: 0, redirectCount: 0 },
      getEntriesByType: (type) => (type === 'navigation' ? [navigation] : []),
      getEntries: () => [navigation],
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
    addEventListener: windowEvents.add,
    removeEventListener: windowEvents.remove,
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
      documentEvents.send('readystatechange');
      if (state === 'interactive') documentEvents.send('DOMContentLoaded');
      else for (const type of ['load', 'pageshow']) windowEvents.send(type, { persisted: false });
    },
    close() {
      for (const handle of timers) clearTimeout(handle);
    },
  };
}

/**
 * The events of one target. What a listener throws ends that listener only, as in a browser: an EventTarget of Node's
 * would end the process.
 */
function events(guarded) {
  const target = new EventTarget();
  const wrapped = new Map();
  return {
    add(type, listener, options) {
      if (typeof listener !== 'function') return;
      if (!wrapped.has(listener)) wrapped.set(listener, guarded(listener));
      target.addEventListener(type, wrapped.get(listener), options);
    },
    remove: (type, listener, options) => target.removeEventListener(type, wrapped.get(listener) ?? null, options),
    send: (type, more = {}) => target.dispatchEvent(Object.assign(new Event(type), more)),
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
