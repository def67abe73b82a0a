// The only way out of a browser under test: an HTTP proxy on loopback, the same for every engine. HubSpot's hosts lead
// to the double, loopback passes unchanged, all else is refused and kept as a problem. The browser's caches do not know
// of it. A browser that insists on https for HubSpot's hosts is answered with a certificate that it was told to take.

import { createServer, request as forward } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { setTimeout as pause } from 'node:timers/promises';

const LOADER_HOST = /^js[\w-]*\.hs-scripts\.com$/;
const TRACKING_HOST = 'track.hubspot.com';
const LOOPBACK = /^(?:127\.0\.0\.1|localhost|\[::1\])$/;

export class Proxy {
  /**
   * Every request for the tracking host, in order: its address, and on the same object `time` (by the browser's wall
   * clock), `method` and `body`.
   * @type {(URL & {time: number, method: string, body: string})[]}
   */
  said = [];
  /** @type {Set<string>} */
  refused = new Set();
  #double;
  #now;
  #errands;
  #server = createServer((request, response) => this.#serve(request, response, request.url));
  /** Speaks TLS on connections that the other one got. */
  #secureServer;
  /** @type {Set<import('node:net').Socket>} */
  #tunnels = new Set();

  /**
   * @param {object} options
   * @param {string} [options.double]  the double's address
   * @param {() => number} options.now
   * @param {RegExp} options.errands  hosts that the browser asks for on its own: refused as others, and no problem of a
   *   page
   * @param {{key: string, cert: string}} [options.certificate]
   */
  constructor({ double, now, errands, certificate }) {
    this.#double = double && new URL(double);
    this.#now = now;
    this.#errands = errands;
    if (certificate) {
      this.#secureServer = createSecureServer(certificate, (request, response) => this.#serve(request, response, `https://${request.headers.host}${request.url}`));
      this.#secureServer.on('tlsClientError', (_, socket) => socket.destroy());
    }
    this.#server.on('connect', (request, socket) => this.#connect(request, socket));
    this.#server.on('clientError', (_, socket) => socket.destroy());
  }

  /** Listens on a free port of 127.0.0.1. */
  async listen() {
    await new Promise((resolve, reject) => {
      this.#server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    /** @type {string} */
    this.host = `127.0.0.1:${this.#server.address().port}`;
  }

  async close() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    for (const socket of this.#tunnels) socket.destroy();
    await closed;
  }

  /**
   * Waits until so many tracking requests were seen, since the browser was launched.
   * @param {number} count
   * @param {number} ms
   */
  async heard(count, ms) {
    for (const until = Date.now() + ms; this.said.length < count; await pause(10)) {
      if (Date.now() > until) throw new Error(`${this.said.length} of ${count} tracking requests were seen within ${ms} ms`);
    }
    return this.said;
  }

  #connect(request, socket) {
    socket.on('error', () => {}).once('close', () => this.#tunnels.delete(socket));
    this.#tunnels.add(socket);
    const host = request.url.replace(/:\d+$/, '');
    if (this.#secureServer && this.#double && isHubSpot(host)) {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      this.#secureServer.emit('connection', socket);
      return;
    }
    this.#refuse(host, `${request.url} by https`);
    socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
  }

  async #serve(request, response, address) {
    try {
      const body = await readBody(request);
      const target = this.#target(request, address, body);
      if (!target) return response.writeHead(403, { 'content-length': 0 }).end();
      await relay(request, body, target, response);
    } catch {
      // The page left before the answer was there, or the server beyond is gone: the browser sees a broken connection.
      response.destroy();
    }
    return undefined;
  }

  /** @returns {URL|null} where the request is to go; null if it may not */
  #target(request, address, body) {
    if (!/^https?:\/\//.test(address)) return null;
    const url = new URL(address);
    if (LOOPBACK.test(url.hostname)) return url;
    if (url.hostname === TRACKING_HOST) this.said.push(Object.assign(new URL(url), { time: this.#now(), method: request.method, body: body.toString('utf8') }));
    if (!this.#double || !isHubSpot(url.hostname)) {
      this.#refuse(url.hostname, url.origin);
      return null;
    }
    const isLoader = LOADER_HOST.test(url.hostname);
    url.protocol = this.#double.protocol;
    url.host = this.#double.host;
    // Loopback has no certificate: the double's beacons are to go by the page's own protocol.
    if (isLoader) url.searchParams.set('beacon', 'http');
    return url;
  }

  #refuse(host, what) {
    if (!this.#errands.test(host)) this.refused.add(`asked for ${what}, which was not let out`);
  }
}

function isHubSpot(host) {
  return host === TRACKING_HOST || LOADER_HOST.test(host);
}

/** @param {import('node:http').IncomingMessage} request */
async function readBody(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Bytes and headers pass as they are, except those that speak of this connection only. */
function relay(request, body, target, response) {
  return new Promise((resolve, reject) => {
    const headers = { ...request.headers, host: target.host };
    for (const name of ['proxy-connection', 'proxy-authorization', 'connection', 'transfer-encoding', 'keep-alive']) delete headers[name];
    const onward = forward(target, { method: request.method, headers, agent: false }, (answer) => {
      const { connection, 'keep-alive': _, 'transfer-encoding': __, ...rest } = answer.headers;
      response.writeHead(answer.statusCode, answer.statusMessage, rest);
      answer.on('error', reject).pipe(response).on('error', reject).on('close', resolve);
    });
    response.on('close', () => onward.destroy());
    onward.on('error', reject).end(body);
  });
}
