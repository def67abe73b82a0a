// WebDriver BiDi: commands and events as JSON over a WebSocket.

import WebSocket from 'ws';

export class BiDi {
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
      for (const { reject, method } of this.#waiting.values()) reject(new Error(`${method}: the browser is gone`));
      this.#waiting.clear();
    });
  }

  /**
   * @param {string} address
   * @param {(method: string, params: any) => void} listener  hears events
   */
  static async connect(address, listener) {
    const socket = new WebSocket(address, { perMessageDeflate: false });
    await new Promise((resolve, reject) => {
      socket.once('open', resolve).once('error', reject);
    });
    return new BiDi(socket, listener);
  }

  /** @returns {Promise<any>} */
  send(method, params = {}) {
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve, reject) => {
      if (this.#socket.readyState !== WebSocket.OPEN) {
        reject(new Error(`${method}: the browser is gone`));
        return;
      }
      this.#waiting.set(id, { resolve, reject, method });
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  close() {
    this.#socket.terminate();
  }

  #receive(message) {
    if (message.type === 'event') {
      this.#listener(message.method, message.params);
      return;
    }
    const call = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.type === 'success') call?.resolve(message.result);
    else call?.reject(new Error(`${call.method}: ${message.message || message.error}`));
  }
}
