// What both versions of the API share on the wire: answers, error envelopes, JSON bodies.

import { randomUUID } from 'node:crypto';

/**
 * @typedef {{status: number, json?: unknown, text?: string, type?: string, headers?: Record<string, string>}} Answer  json or
 *   text; neither is an empty body
 * @typedef {{method: string, path: string, query: URLSearchParams, body: any}} ApiRequest
 * @typedef {(request: ApiRequest, params: string[]) => Answer} Handler
 * @typedef {[method: string, pattern: RegExp, handler: Handler]} Route  the pattern's groups become `params`
 */

/** An answer that ends the handling of a request. */
export class ErrorAnswer extends Error {
  /** @param {number} status @param {object} body  goes out with HubSpot's envelope around it */
  constructor(status, body) {
    super(body.message);
    this.answer = { status, json: { status: 'error', ...body, correlationId: randomUUID() } };
  }
}

/**
 * For a request without a bearer token. HUBSPOT.md has no 401; this is the text that clients' logs show [R].
 * @returns {ErrorAnswer}
 */
export function unauthenticated() {
  return new ErrorAnswer(401, {
    message: 'Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview',
    category: 'INVALID_AUTHENTICATION',
  });
}

/** @returns {ErrorAnswer} HUBSPOT.md §5, [S]: no official 429 body was found; nor is a `Retry-After` promised (§7) */
export function rateLimited() {
  return new ErrorAnswer(429, {
    message: 'You have reached your ten_secondly_rolling limit.',
    errorType: 'RATE_LIMIT',
    policyName: 'TEN_SECONDLY_ROLLING',
  });
}

/**
 * @param {string} text
 * @returns {any} an object; an empty body is an empty one
 * @throws {ErrorAnswer} 400 in the parser's form that clients' logs show [R]: a place, a reason, no category
 */
export function parseJson(text) {
  if (text.trim() === '') return {};
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ErrorAnswer(400, { message: 'Invalid input JSON on line 1, column 1: Unexpected character' });
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new ErrorAnswer(400, { message: 'Invalid input JSON on line 1, column 1: Cannot deserialize value' });
  }
  return value;
}

/**
 * Finds the route and runs it.
 * @param {Route[]} routes
 * @param {ApiRequest} request
 * @returns {Answer|null} null if there is no such path
 */
export function dispatch(routes, request) {
  for (const [method, pattern, handler] of routes) {
    const match = request.method === method && pattern.exec(request.path);
    if (match) return handler(request, match.slice(1).map(decodeURIComponent));
  }
  return null;
}
