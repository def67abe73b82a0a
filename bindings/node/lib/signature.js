'use strict';

const { failure, VidcacheError } = require('./errors.js');
const input = require('./input.js');
const { native } = require('./library.js');

const NAMES = ['method', 'uri', 'body', 'headers', 'nowMs', 'takeV1', 'takeV2'];

/** The headers by their names in small letters: of Node's own requests, of fetch's, or of any mapping. */
function byName(headers) {
  if (typeof headers !== 'object' || headers === null) throw input.invalidOption('headers', "they must be a request's headers");
  const pairs = typeof headers[Symbol.iterator] === 'function' ? headers : Object.entries(headers);
  return new Map([...pairs].map(([name, value]) => [String(name).toLowerCase(), value]));
}

function verifySignature(secret, request) {
  const { method, uri, body, headers, nowMs, takeV1, takeV2 } = input.options(request ?? null, NAMES);
  const found = byName(headers);
  const header = (name) => input.text(found.get(name), 'headers');
  if (!input.isText(method) || !input.isText(uri)) throw input.invalidOption('method, uri', 'they must be strings');
  if (!input.isBytes(body) && !input.isText(body)) throw input.invalidOption('body', 'it must be bytes or a string, as it came');
  let key;
  try {
    key = input.secret(secret);
  } catch (error) {
    if (!(error instanceof VidcacheError)) throw error;
  }
  if (key === undefined) throw input.invalidOption('secret', 'it must be bytes or a string');
  const signed = {
    method,
    uri,
    body: input.answer(body),
    signatureV3: header('x-hubspot-signature-v3'),
    timestamp: header('x-hubspot-request-timestamp'),
    signature: header('x-hubspot-signature'),
    version: header('x-hubspot-signature-version'),
    takeV1: input.flag(takeV1, 'takeV1', false),
    takeV2: input.flag(takeV2, 'takeV2', false),
  };
  try {
    native.verifySignature(key, signed, input.time(nowMs, 'nowMs') ?? Date.now());
  } catch (error) {
    throw failure(error);
  }
}

module.exports = { verifySignature };
