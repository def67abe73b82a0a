// A port that hands every request on to an app.

import { createServer, request as forward } from 'node:http';

export class HandingOn {
  #server = createServer((request, response) => this.#serve(request, response));

  /** @returns {Promise<string>} its origin */
  async listen() {
    await new Promise((resolve, reject) => {
      this.#server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  async close() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  /**
   * @protected
   * @returns {URL} of the app that is to answer the next request
   */
  app() {
    throw new Error('to be overridden');
  }

  /**
   * @protected
   * @param {import('node:http').IncomingHttpHeaders} headers  of a request or of an answer
   * @returns {import('node:http').IncomingHttpHeaders} those that are handed on
   */
  headers(headers) {
    return headers;
  }

  /**
   * Gives the app's answer.
   * @protected
   * @param {import('node:http').IncomingMessage} _request
   * @param {import('node:http').IncomingMessage} answer
   * @param {import('node:http').ServerResponse} response
   */
  async answer(_request, answer, response) {
    response.writeHead(answer.statusCode, this.headers(answer.headers));
    answer.pipe(response);
  }

  #serve(request, response) {
    const { hostname, port } = this.app();
    const target = { host: hostname, port, method: request.method, path: request.url, headers: this.headers(request.headers), agent: false };
    const onward = forward(target, (answer) => this.answer(request, answer, response).catch(() => response.destroy()));
    // The page left before the answer was there, or the app is gone: the browser sees a broken connection.
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  }
}
