// A tab's own way to the app: a port that hands everything on. Cookies know no ports, so the tabs of a profile stay one
// visitor, yet each address that a page tells HubSpot names the tab it is from. What a browser cannot be asked by the
// same words in every engine is seen here too: with which status the app answered, and when the tracking code is to
// come.

import { createServer, request as forward } from 'node:http';

const LOADER = /\/\/js[\w-]*\.hs-scripts\.com\/\d+\.js/g;

/** Headers that speak of one connection only, and what would keep the page from being read here. */
const NOT_HANDED_ON = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'accept-encoding'];

export class Gateway {
  /** How late the tracking code of the pages to come is, in ms. */
  loaderDelayMs = 0;
  #app;
  #server = createServer((request, response) => this.#serve(request, response));
  /** @type {((page: {path: string, status: number}) => void)[]} */
  #waiting = [];

  /** @param {string} appUrl */
  constructor(appUrl) {
    this.#app = new URL(appUrl);
  }

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

  /** @returns {Promise<{path: string, status: number}>} the next page that the app answers with; a redirect is none */
  nextPage() {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #serve(request, response) {
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !NOT_HANDED_ON.includes(name)));
    const target = { host: this.#app.hostname, port: this.#app.port, method: request.method, path: request.url, headers, agent: false };
    const onward = forward(target, (answer) => this.#answer(request, answer, response).catch(() => response.destroy()));
    // The page left before the answer was there, or the app is gone: the browser sees a broken connection.
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  }

  async #answer(request, answer, response) {
    const headers = Object.fromEntries(Object.entries(answer.headers).filter(([name]) => !NOT_HANDED_ON.includes(name)));
    const isPage = /^text\/html\b/.test(headers['content-type'] ?? '') && !headers.location;
    if (!isPage) {
      response.writeHead(answer.statusCode, headers);
      return answer.pipe(response);
    }
    const chunks = [];
    for await (const chunk of answer) chunks.push(chunk);
    let html = Buffer.concat(chunks).toString('utf8');
    if (this.loaderDelayMs > 0) html = html.replace(LOADER, `$&?loader_delay_ms=${this.loaderDelayMs}`);
    delete headers['content-length'];
    response.writeHead(answer.statusCode, headers).end(html);
    const page = { path: new URL(request.url, this.#app).pathname, status: answer.statusCode };
    for (const resolve of this.#waiting.splice(0)) resolve(page);
    return undefined;
  }
}
