'use strict';

/** The number of each code, for logs that all languages share. */
const codes = Object.freeze({
  // Made by bindings/tables.
  invalid_user_key: 101,
  invalid_vid: 102,
  invalid_email: 103,
  invalid_portal: 104,
  invalid_secret: 105,
  invalid_option: 106,
  buffer_too_small: 107,
  invalid_answer: 111,
  answer_without_id: 112,
  answer_without_email: 113,
  invalid_webhook: 114,
  invalid_signature: 115,
  unknown_change: 201,
  foreign_change: 202,
  vid_taken: 203,
  contact_conflict: 204,
  contact_missing: 205,
  rate_limited: 206,
  refused: 207,
  hubspot_error: 208,
  wrong_portal: 301,
  wrong_secret: 302,
  not_a_cache: 303,
  newer_schema: 304,
  cannot_open: 305,
  unsupported_filesystem: 306,
  tables_unusable: 307,
  busy: 401,
  cancelled: 402,
  storage: 403,
  corrupt: 404,
  closed: 405,
  internal: 501,
});

/** A failed call. No email, secret or value of an answer is in it. */
class VidcacheError extends Error {
  constructor(code, message, vid = null, retryAfterMs = null) {
    super(message);
    this.code = code;
    this.number = codes[code] ?? codes.internal;
    this.vid = vid;
    this.retryAfterMs = retryAfterMs;
  }
}
Object.defineProperty(VidcacheError.prototype, 'name', { value: 'VidcacheError', configurable: true, writable: true });

/** What the library threw, which bindings/node/src/edge.rs writes as a text, as an error of ours. */
function failure(error) {
  const said = /^([a-z_]+)\n\d+\n(\d*)\n(\d*)\n([^]*)$/.exec(error?.message);
  if (!said) return error;
  const [, code, vid, wait, message] = said;
  return new VidcacheError(code, message, vid || null, wait ? Number(wait) : null);
}

module.exports = { VidcacheError, codes, failure };
