// A tab's own way to the app: a port that hands everything on. Cookies know no ports, so the tabs of a profile stay one
// visitor, yet each address that a page tells HubSpot names the tab it is from. What a browser cannot be asked by the
// same words in every engine is seen here too: with which status the app answered, and when the tracking code is to
// come.

import { HandingOn } from './handing_on.mjs';

const LOADER = /\/\/js[\w-]*\.hs-scripts\.com\/\d+\.js/g;

/** Headers that speak of one connection only, and what would keep the page from being read here. */
const NOT_HANDED_ON = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'accept-encoding'];

export class Gateway extends HandingOn {
  /** How late the tracking code of the pages to come is, in ms. */
  loaderDelayMs = 0;
  #app;
  /** @type {((page: {path: string, status: number}) => void)[]} */
  #waiting = [];

  /** @param {string} appUrl */
  constructor(appUrl) {
    super();
    this.#app = new URL(appUrl);
  }

  /** @returns {Promise<{path: string, status: number}>} the next page that the app answers with; a redirect is none */
  nextPage() {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  app() {
    return this.#app;
  }

  headers(headers) {
    return Object.fromEntries(Object.entries(headers).filter(([name]) => !NOT_HANDED_ON.includes(name)));
  }

  async answer(request, answer, response) {
    const headers = this.headers(answer.headers);
    const isPage = /^text\/html\b/.test(headers['content-type'] ?? '') && !headers.location;
    if (!isPage) return super.answer(request, answer, response);
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
