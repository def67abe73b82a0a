'use strict';
// What JavaScript hands over, as the library takes it. What cannot be right is an error of the library's, whatever its
// type.

const { fileURLToPath } = require('node:url');
const { VidcacheError } = require('./errors.js');

const LOWEST = -(2n ** 63n);
const HIGHEST = 2n ** 63n - 1n;
// UTF-8 cannot carry half of a pair: Node-API would put another sign in its place.
const LONE_SURROGATE = /\p{Surrogate}/u;

const isText = (value) => typeof value === 'string' && !LONE_SURROGATE.test(value);
const isBytes = (value) => value instanceof Uint8Array;
const bytes = (value) => (Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength));

function invalidOption(name, why) {
  return new VidcacheError('invalid_option', `invalid option ${name}: ${why}`);
}

/** An integer of 64 bits as text; undefined for all else. */
function integer(value) {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : undefined;
  if (typeof value === 'bigint') return value >= LOWEST && value <= HIGHEST ? String(value) : undefined;
  return typeof value === 'string' && /^-?\d{1,19}$/.test(value) ? value : undefined;
}

function user(value) {
  if (typeof value === 'string') {
    if (LONE_SURROGATE.test(value)) throw new VidcacheError('invalid_user_key', 'invalid user key: it is not UTF-8');
    return value;
  }
  const key = integer(value);
  if (key !== undefined) return key;
  const why = typeof value === 'number' || typeof value === 'bigint' ? 'it is not an integer of 64 bits, or a number above 2^53: give text or a BigInt' : 'it must be a number, a bigint or a string';
  throw new VidcacheError('invalid_user_key', `invalid user key: ${why}`);
}

function email(value) {
  if (value === null || value === undefined) return undefined;
  if (isText(value)) return value;
  throw new VidcacheError('invalid_email', 'invalid email: it must be a string of UTF-8, or null');
}

function vid(value) {
  const id = integer(value);
  if (id !== undefined) return id;
  throw new VidcacheError('invalid_vid', 'invalid vid: it must be an integer from 1 to 2^63 - 1, as text, a bigint or a number up to 2^53');
}

/** What was never given out is an unknown change, and holds no lease. */
const token = (value) => integer(value) ?? '0';

function portal(value) {
  const id = integer(value);
  if (id !== undefined) return id;
  throw new VidcacheError('invalid_portal', 'invalid portal id: it must be an integer from 1 to 2^63 - 1');
}

function text(value, name) {
  if (value === null || value === undefined) return undefined;
  if (isText(value)) return value;
  throw invalidOption(name, 'it must be a string of UTF-8');
}

function flag(value, name, otherwise) {
  if (value === undefined) return otherwise;
  if (typeof value === 'boolean') return value;
  throw invalidOption(name, 'it must be true or false');
}

/** A whole number from 0 on, of bytes, milliseconds or things; undefined where it is left out. */
function count(value, name, most = Number.MAX_SAFE_INTEGER) {
  if (value === null || value === undefined) return undefined;
  if (Number.isSafeInteger(value) && value >= 0 && value <= most) return value;
  throw invalidOption(name, `it must be a whole number from 0 to ${most}`);
}

/** Milliseconds since 1970, or undefined. */
function time(value, name) {
  if (value === null || value === undefined) return undefined;
  if (Number.isSafeInteger(value)) return value;
  throw invalidOption(name, 'it must be a whole number of milliseconds since 1970');
}

function secret(value) {
  if (value === null || value === undefined) return undefined;
  if (isBytes(value)) return bytes(value);
  if (isText(value)) return Buffer.from(value);
  throw new VidcacheError('invalid_secret', 'invalid secret: it must be bytes or a string of UTF-8');
}

function secrets(values) {
  if (values === undefined) return [];
  if (!Array.isArray(values)) throw invalidOption('oldSecrets', 'they must be an array of bytes or strings');
  return values.map((value) => {
    if (value === null || value === undefined) throw new VidcacheError('invalid_secret', 'invalid secret: it must be bytes or a string of UTF-8');
    return secret(value);
  });
}

function path(value) {
  try {
    const given = value instanceof URL ? fileURLToPath(value) : value;
    if (isBytes(given)) return bytes(given);
    if (isText(given)) return Buffer.from(given);
  } catch {
    // A URL of something else than a file.
  }
  throw new VidcacheError('cannot_open', 'cannot open the file: its path must be a string, bytes or a file: URL');
}

/** The body of an answer, or what JSON.parse made of it. */
function answer(value) {
  if (isBytes(value)) return bytes(value);
  if (isText(value)) return Buffer.from(value);
  if (typeof value === 'object' && value !== null) {
    try {
      return Buffer.from(JSON.stringify(value));
    } catch {
      // It holds itself, or a bigint.
    }
  }
  throw new VidcacheError('invalid_answer', 'invalid answer: it must be the body as bytes or a string, or what JSON.parse made of it');
}

function webhook(value) {
  if (isBytes(value)) return bytes(value);
  if (isText(value)) return Buffer.from(value);
  throw new VidcacheError('invalid_webhook', 'invalid webhook: body: it must be bytes or a string, as it came');
}

function list(values, name) {
  if (typeof values !== 'string' && typeof values?.[Symbol.iterator] === 'function') return Array.isArray(values) ? values : [...values];
  throw invalidOption(name, 'it must be an array of them, or another iterable');
}

/** Users whom an import takes in. */
function rows(values) {
  return list(values, 'rows').map((row) => {
    const given = options(row ?? null, ['user', 'vid', 'email', 'emailAtMs']);
    return { user: user(given.user), vid: vid(given.vid), email: email(given.email), emailAtMs: time(given.emailAtMs, 'emailAtMs') ?? 0 };
  });
}

/** The last argument of a call: an object, or nothing. */
function object(given) {
  if (given === undefined) return {};
  if (typeof given !== 'object' || given === null) throw invalidOption('options', 'they must be an object');
  return given;
}

/** The same with none but these names. */
function options(value, names) {
  const given = object(value);
  for (const name of Object.keys(given)) {
    if (!names.includes(name)) throw invalidOption(name, `there is none of this name; there are ${names.join(', ')}`);
  }
  return given;
}

module.exports = { answer, bytes, count, email, flag, invalidOption, isBytes, isText, list, object, options, path, portal, rows, secret, secrets, text, time, token, user, vid, webhook };
