// Commands and events as JSON over a WebSocket: WebDriver BiDi, and Chromium's own protocol, which adds sessions to it.

import WebSocket from 'ws';

/** How long a browser may take over one command. The longest are those that wait for a page. */
const ANSWER_MS = 25_000;

/** The browser is gone, or does not answer: no fault of a page. */
export class NoAnswer extends Error {}

export class Protocol {
  #socket;
  #last = 0;
  /** @type {Map<number, {resolve: Function, reject: Function, method: string}>} */
  #waiting = new Map();
  #listener;

  constructor(socket, listener) {
    this.#socket = socket;
    this.#listener = listener;
    socket.on('message', (data) => this.#receive(JSON.parse(data)));
    socket.on('error', () => {});
    socket.on('close', () => {
      for (const { reject, method, timer } of this.#waiting.values()) {
        clearTimeout(timer);
        reject(new NoAnswer(`${method}: the browser is gone`));
      }
      this.#waiting.clear();
    });
  }

  /**
   * @param {string} address
   * @param {(method: string, params: any, session?: string) => void} listener  hears events
   */
  static async connect(address, listener) {
    const socket = new WebSocket(address, { perMessageDeflate: false });
    await new Promise((resolve, reject) => {
      socket.once('open', resolve).once('error', reject);
    });
    return new Protocol(socket, listener);
  }

  /**
   * @param {string} method
   * @param {object} [params]
   * @param {string} [sessionId]  Chromium's only
   * @returns {Promise<any>}
   */
  send(method, params = {}, sessionId = undefined) {
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve, reject) => {
      if (this.#socket.readyState !== WebSocket.OPEN) {
        reject(new NoAnswer(`${method}: the browser is gone`));
        return;
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new NoAnswer(`${method}: no answer in ${ANSWER_MS} ms`));
      }, ANSWER_MS);
      this.#waiting.set(id, { resolve, reject, method, timer });
      this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    });
  }

  close() {
    this.#socket.terminate();
  }

  #receive({ id, method, params, sessionId, result, error, message }) {
    if (id === undefined || id === null) {
      this.#listener(method, params, sessionId);
      return;
    }
    const call = this.#waiting.get(id);
    this.#waiting.delete(id);
    clearTimeout(call?.timer);
    // BiDi has the text beside the error's name, Chromium within the error.
    if (error === undefined) call?.resolve(result);
    else call?.reject(new Error(`${call.method}: ${message ?? error.message ?? error}`));
  }
}
