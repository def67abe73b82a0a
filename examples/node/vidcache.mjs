// vidcache.h through koffi: as much of it as a shop needs. Look-ups take microseconds and are called directly; what
// writes waits for the disk, so it runs on a thread of koffi's and the event loop goes on.

import koffi from 'koffi';

const lib = koffi.load(process.env.VIDCACHE_LIBRARY ?? 'libvidcache.so.1');

koffi.opaque('vidcache_handle');
const Options = koffi.struct('vidcache_options', {
  size: 'size_t',
  secret: 'const char *',
  secret_len: 'size_t',
  loader_host: 'const char *',
  loader_host_len: 'size_t',
  memory: 'uint64_t',
  busy_timeout_ms: 'uint32_t',
  page_deadline_ms: 'uint32_t',
  synchronous: 'uint32_t',
  old_secrets_len: 'uint32_t',
  old_secrets: 'const void *',
});
koffi.struct('vidcache_user', { kind: 'uint32_t', id: 'int64_t', text: 'const char *', text_len: 'size_t' });
koffi.struct('vidcache_identity', { vid: 'int64_t', external_id: 'int64_t' });
koffi.struct('vidcache_recorded', { vid: 'int64_t', created: 'int32_t', canonical: 'bool', email_observed: 'bool' });
const StaleChange = koffi.struct('vidcache_stale_change', {
  token: 'int64_t',
  begun_at: 'int64_t',
  user_len: 'uint32_t',
  user: koffi.array('char', 256, 'String'),
});

const c = {
  abi: lib.func('uint32_t vidcache_abi_version()'),
  errorName: lib.func('const char *vidcache_error_name(int32_t code)'),
  initOptions: lib.func('int32_t vidcache_options_init(_Inout_ vidcache_options *options)'),
  open: lib.func('int32_t vidcache_open(const char *path, size_t path_len, int64_t portal, const vidcache_options *options, _Out_ vidcache_handle **handle)'),
  free: lib.func('void vidcache_free(_Inout_ vidcache_handle **handle)'),
  resolve: lib.func('int32_t vidcache_resolve(const vidcache_handle *handle, const vidcache_user *user, _Out_ vidcache_identity *identity)'),
  snippet: lib.func('int32_t vidcache_snippet(const vidcache_handle *handle, const vidcache_user *user, const char *email, size_t email_len, const char *nonce, size_t nonce_len, char *buffer, size_t capacity, _Out_ size_t *length)'),
  record: lib.func('int32_t vidcache_record(const vidcache_handle *handle, const vidcache_user *user, const char *answer, size_t answer_len, int64_t change, _Out_ vidcache_recorded *recorded)'),
  begin: lib.func('int32_t vidcache_begin_email_change(const vidcache_handle *handle, const vidcache_user *user, _Out_ int64_t *token)'),
  abandon: lib.func('int32_t vidcache_abandon_email_change(const vidcache_handle *handle, const vidcache_user *user, int64_t token)'),
  isOutstanding: lib.func('int32_t vidcache_is_change_outstanding(const vidcache_handle *handle, const vidcache_user *user, int64_t token, _Out_ bool *outstanding)'),
  quietPeriod: lib.func('int32_t vidcache_quiet_period(const vidcache_handle *handle, _Out_ uint64_t *milliseconds)'),
  stale: lib.func('int32_t vidcache_stale_changes(const vidcache_handle *handle, uint64_t older_than_ms, _Out_ void *changes, size_t capacity, _Out_ size_t *count)'),
};
const ABI_VERSION = 1;
if (c.abi() !== ABI_VERSION) throw new Error(`libvidcache has ABI ${c.abi()}, and this is written for ${ABI_VERSION}`);

/** A failed call. Its words stay in the library: they are kept per thread, and koffi's threads are its own. */
export class VidcacheError extends Error {
  /** @type {string} `busy`, `vid_taken`, … */
  code;

  constructor(result) {
    const code = c.errorName(result);
    super(`vidcache: ${code}`);
    this.code = code;
  }
}

function check(result) {
  if (result !== 0) throw new VidcacheError(result);
}

/** Calls on a thread of koffi's. */
function later(f, ...args) {
  return new Promise((resolve, reject) => {
    f.async(...args, (error, result) => {
      if (error) reject(error);
      else if (result !== 0) reject(new VidcacheError(result));
      else resolve();
    });
  });
}

const user = (id) => ({ kind: 1, id, text: null, text_len: 0 });
const length = (text) => (text == null ? 0 : Buffer.byteLength(text));

export class Cache {
  #handle;
  // A page is a few kilobytes; one buffer for all of them, since nothing waits between filling and reading it.
  #buffer = Buffer.alloc(16384);

  /** @param {string} path @param {number} portal @param {{secret: string, pageDeadlineMs?: number}} options */
  constructor(path, portal, { secret, pageDeadlineMs }) {
    const options = { size: koffi.sizeof(Options), secret: null, secret_len: 0, loader_host: null, loader_host_len: 0, memory: 0, busy_timeout_ms: 0, page_deadline_ms: 0, synchronous: 0, old_secrets_len: 0, old_secrets: null };
    check(c.initOptions(options));
    Object.assign(options, { secret, secret_len: length(secret) });
    if (pageDeadlineMs) options.page_deadline_ms = pageDeadlineMs;
    const handle = [null];
    check(c.open(path, length(path), portal, options, handle));
    this.#handle = handle[0];
  }

  /** @returns {number|bigint|null} the contact; a BigInt above 2^53 */
  resolve(id) {
    const identity = {};
    check(c.resolve(this.#handle, user(id), identity));
    return identity.vid || null;
  }

  /** @returns {string} */
  snippet(id, email, nonce = null) {
    const written = [0];
    check(c.snippet(this.#handle, user(id), email, length(email), nonce, length(nonce), this.#buffer, this.#buffer.length, written));
    return this.#buffer.toString('utf8', 0, Number(written[0]));
  }

  /** @param {bigint|number} change  the token of the change that this finishes; 0: none */
  async record(id, answer, change = 0) {
    const recorded = {};
    await later(c.record, this.#handle, user(id), answer, length(answer), change, recorded);
    return recorded;
  }

  /** @returns {Promise<bigint>} the token */
  async beginEmailChange(id) {
    const token = [0];
    await later(c.begin, this.#handle, user(id), token);
    return BigInt(token[0]);
  }

  abandonEmailChange(id, token) {
    return later(c.abandon, this.#handle, user(id), token);
  }

  isChangeOutstanding(id, token) {
    const outstanding = [false];
    check(c.isOutstanding(this.#handle, user(id), token, outstanding));
    return outstanding[0];
  }

  /** @returns {number} how many milliseconds after the beginning of a change HubSpot may be told of it */
  quietPeriodMs() {
    const milliseconds = [0];
    check(c.quietPeriod(this.#handle, milliseconds));
    return Number(milliseconds[0]);
  }

  /** @returns {{user: string, token: bigint}[]} what was begun and is outstanding */
  staleChanges(olderThanMs, limit = 1000) {
    const size = koffi.sizeof(StaleChange);
    const rows = Buffer.alloc(size * limit);
    const count = [0];
    check(c.stale(this.#handle, olderThanMs, rows, limit, count));
    return Array.from({ length: Number(count[0]) }, (_, at) => {
      const row = koffi.decode(rows, at * size, StaleChange);
      return { user: row.user, token: BigInt(row.token) };
    });
  }

  /** Freeing again does nothing. */
  close() {
    const handle = [this.#handle];
    c.free(handle);
    this.#handle = null;
  }
}
