/**
 * @file vidcache.h
 * vidcache: may this page's HubSpot snippet name the user's email?
 *
 * An embedded identity cache in one SQLite file. Made of the library's source by cbindgen; do not edit.
 *
 * What holds for every function, with the reasons: docs/c-api.md.
 *
 * - It returns a vidcache_result: VIDCACHE_OK (0), or a code from 101 on that keeps its number for ever. What the
 *   failed call had to say: vidcache_last_error.
 * - Outputs come last and are written on success only. They must not be NULL.
 * - Texts are a pointer and a length in bytes, and need no NUL. An optional one is left out by NULL and 0.
 * - Every pointer is NULL (a code, if it may not be) or what its type says for as long as the call takes; the library
 *   keeps none. A pointer to const is not written through.
 * - Handles are freed by their _free, which takes the pointer's address and makes it NULL. Freeing NULL does nothing.
 * - Threads: any function may be called by any thread at any time, also on one handle, but for _free. Failures are kept
 *   by thread.
 * - Fork: a handle opened before a fork works in parent and child, each with connections of its own, made anew at its
 *   next call. Either may free its own without the other noticing. What a fork must not interrupt it waits for, so a
 *   fork may take as long as one write. Not in a signal handler.
 * - No function panics, throws or exits. An allocation of SQLite's that fails is a code; one of the library's own, of
 *   which none is larger than a small multiple of what the call was given, ends the process, as Rust's do.
 * - The file is the library's alone: no other SQLite may write to it. On Linux other code of the process may open, read
 *   and close it; elsewhere that drops SQLite's locks.
 */

#ifndef VIDCACHE_H
#define VIDCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The version of the library that this header came with. */
#define VIDCACHE_VERSION "0.1.0"
#define VIDCACHE_VERSION_MAJOR 0
#define VIDCACHE_VERSION_MINOR 1
#define VIDCACHE_VERSION_PATCH 0
/** What vidcache_abi_version() must return for a program that was built with this header. */
#define VIDCACHE_ABI_VERSION 1

/** What went wrong. A number keeps its meaning for ever and is never used twice: 1xx the caller's input, 2xx what the rows, or HubSpot, say
 * against it, 3xx the file at opening, 4xx while working, 5xx a defect of this library. */
enum vidcache_code
{
  /** Nothing went wrong. */
  VIDCACHE_OK = 0,
  /** The user key cannot be a key: text is 1 to 255 bytes of UTF-8 without NUL. */
  VIDCACHE_INVALID_USER_KEY = 101,
  /** The vid is not an integer from 1 to 2^63 - 1. */
  VIDCACHE_INVALID_VID = 102,
  /** The email cannot be an address. */
  VIDCACHE_INVALID_EMAIL = 103,
  /** The portal id is not an integer from 1 to 2^63 - 1. */
  VIDCACHE_INVALID_PORTAL = 104,
  /** The secret is too short to key the fingerprints: it takes at least 16 bytes. */
  VIDCACHE_INVALID_SECRET = 105,
  /** An option, or another argument, is of the wrong type or out of its range. */
  VIDCACHE_INVALID_OPTION = 106,
  /** The caller's buffer is too small for what was to be written to it. Only callers in C hand one over. */
  VIDCACHE_BUFFER_TOO_SMALL = 107,
  /** The answer is not JSON, or a field that matters has the wrong type. */
  VIDCACHE_INVALID_ANSWER = 111,
  /** The answer is JSON but names no contact. What was asked for may have been done all the same, so read the contact. */
  VIDCACHE_ANSWER_WITHOUT_ID = 112,
  /** The answer names a contact but not which email it holds and since when, so it cannot finish a change. */
  VIDCACHE_ANSWER_WITHOUT_EMAIL = 113,
  /** The webhook's body is not a batch of events, or a field that matters has the wrong type. Nothing of the batch is applied but its erasures. */
  VIDCACHE_INVALID_WEBHOOK = 114,
  /** The request was not signed by HubSpot with this secret, or was signed at another time. */
  VIDCACHE_INVALID_SIGNATURE = 115,
  /** No change with this token is known. */
  VIDCACHE_UNKNOWN_CHANGE = 201,
  /** The change token belongs to another user, or to one who was forgotten. */
  VIDCACHE_FOREIGN_CHANGE = 202,
  /** The contact is linked to another user. */
  VIDCACHE_VID_TAKEN = 203,
  /** HubSpot refused: another contact holds the email (409, or a 400 that means the same). */
  VIDCACHE_CONTACT_CONFLICT = 204,
  /** HubSpot has no such contact (404, in HubSpot's own words). It may pass: so it is right after a create. */
  VIDCACHE_CONTACT_MISSING = 205,
  /** HubSpot asks to wait, and the call was not carried out: its rate limit was reached (429), or it is at work (423, 477, 503). */
  VIDCACHE_RATE_LIMITED = 206,
  /** HubSpot will not take the email, however often it is told (400): the change has ended, and the message says what to do. */
  VIDCACHE_REFUSED = 207,
  /** HubSpot answered with an error that says nothing of a contact: no access, a failure of its own. Try again later. */
  VIDCACHE_HUBSPOT_ERROR = 208,
  /** The file belongs to another HubSpot portal. */
  VIDCACHE_WRONG_PORTAL = 301,
  /** The file's key is wrapped under another secret. */
  VIDCACHE_WRONG_SECRET = 302,
  /** The file is not a database of this library. */
  VIDCACHE_NOT_A_CACHE = 303,
  /** The file was written by a newer version of this library. */
  VIDCACHE_NEWER_SCHEMA = 304,
  /** The file cannot be opened or created. */
  VIDCACHE_CANNOT_OPEN = 305,
  /** The file system cannot carry a database that several processes share. */
  VIDCACHE_UNSUPPORTED_FILESYSTEM = 306,
  /** vidcache's tables in the app's database cannot be used: they are missing or half migrated, were not set up, may not be written, were asked on a replica or in a transaction that sees them as they were, or hold what cannot be. */
  VIDCACHE_TABLES_UNUSABLE = 307,
  /** Another process held the write lock for longer than the busy timeout. */
  VIDCACHE_BUSY = 401,
  /** The call was cancelled while it waited; nothing was written. */
  VIDCACHE_CANCELLED = 402,
  /** SQLite or the disk failed; nothing of this call was written. */
  VIDCACHE_STORAGE = 403,
  /** The file is damaged. */
  VIDCACHE_CORRUPT = 404,
  /** The handle was closed. */
  VIDCACHE_CLOSED = 405,
  /** A defect of this library, caught at a binding's edge. */
  VIDCACHE_INTERNAL = 501
};

/** The app and HubSpot agree on the email, and no change of it is outstanding. */
#define VIDCACHE_REASON_AGREED 1

/** A change of the user's email has begun and HubSpot's answer is not recorded yet. */
#define VIDCACHE_REASON_CHANGE_OUTSTANDING 2

/** HubSpot holds another email for this contact. */
#define VIDCACHE_REASON_EMAIL_DIFFERS 3

/** HubSpot has not said which email it holds for this contact. */
#define VIDCACHE_REASON_EMAIL_UNCONFIRMED 4

/** The app has no email for this user. */
#define VIDCACHE_REASON_EMAIL_ABSENT 5

/** The user is not linked to a contact. */
#define VIDCACHE_REASON_NOT_LINKED 6

/** What is known is older than a page may be, or nobody could be asked: the store in the app's database says so. */
#define VIDCACHE_REASON_STALE 7


/**
 * The user is `id`.
 */
#define VIDCACHE_USER_ID 1

/**
 * The user is `text`.
 */
#define VIDCACHE_USER_TEXT 2

/**
 * A write that returned survives a power failure. The default, and the only one with which the rule holds through one.
 */
#define VIDCACHE_SYNCHRONOUS_FULL 1

/**
 * A write that returned survives a crash of the process; a power failure can take the last ones.
 */
#define VIDCACHE_SYNCHRONOUS_NORMAL 2

/**
 * Room for any email and its NUL.
 */
#define VIDCACHE_EMAIL_SIZE 255

/**
 * Room for any user key as text and its NUL.
 */
#define VIDCACHE_USER_SIZE 256

/**
 * HubSpot holds the user's email for another contact than the user's.
 */
#define VIDCACHE_CONFLICT_EMAIL_HELD 1

/**
 * HubSpot's answer about the user named a contact that is another user's.
 */
#define VIDCACHE_CONFLICT_VID_TAKEN 2

/**
 * HubSpot blocked the email when it deleted a contact for privacy; or it deleted the user's own contact so.
 */
#define VIDCACHE_REFUSAL_PRIVACY_DELETION 1

/**
 * HubSpot takes the email for none.
 */
#define VIDCACHE_REFUSAL_INVALID_EMAIL 2

/**
 * The account requires a property that the contact does not have.
 */
#define VIDCACHE_REFUSAL_REQUIRED_PROPERTY 3

/**
 * Sets the tables up, unless somebody has, and takes the key that they have: once in each process, before all else.
 */
#define VIDCACHE_WORK_SET_UP 1

/**
 * What a page may say of `user` (NULL: a visitor whom the app does not know), whose email the app believes to be
 * `bytes`, in the form `form`, with `nonce` in a snippet. It never fails for the database. Gives `decision`, `text`
 * and `why`.
 */
#define VIDCACHE_WORK_PAGE 2

/**
 * The page after a sign-out, with `form` and `nonce`. Gives `decision` and `text`.
 */
#define VIDCACHE_WORK_SIGNED_OUT 3

/**
 * Begins a change of `user`, on the connection whose transaction changes the email: it is begun if and only if that is
 * committed. Gives `token`.
 */
#define VIDCACHE_WORK_BEGIN 4

/**
 * Says that the change `token` is committed, so that its quiet period begins. In a transaction it does nothing.
 */
#define VIDCACHE_WORK_SEE 5

/**
 * vidcache_abandon_email_change of `user` and `token`.
 */
#define VIDCACHE_WORK_ABANDON 6

/**
 * vidcache_is_change_outstanding of `user` and `token`. Gives `flag`.
 */
#define VIDCACHE_WORK_IS_OUTSTANDING 7

/**
 * Whether the worker, who has the lease of `user`, may tell HubSpot of the change `token`: a quiet period, or
 * `milliseconds` if that is longer, after it was seen to be committed. A change that nobody has seen is seen by this.
 * Gives `turn` and `milliseconds`.
 */
#define VIDCACHE_WORK_TURN 8

/**
 * How long a worker waits after a change was seen. Gives `milliseconds`.
 */
#define VIDCACHE_WORK_QUIET_PERIOD 9

/**
 * vidcache_lease of `user` for `milliseconds`, with `token` for the one that is held. Gives `token`. Not in a
 * transaction.
 */
#define VIDCACHE_WORK_LEASE 10

/**
 * vidcache_release of `user` and `token`. Gives `flag`.
 */
#define VIDCACHE_WORK_RELEASE 11

/**
 * vidcache_link of `user` and `vid`; with `flag`, vidcache_link_shared.
 */
#define VIDCACHE_WORK_LINK 12

/**
 * vidcache_record of `user` and the answer in `bytes`, with the change `token`; with `asked_at`, vidcache_record_read.
 * Gives `recorded`.
 */
#define VIDCACHE_WORK_RECORD 13

/**
 * vidcache_observe of the answer in `bytes`; with `asked_at`, vidcache_observe_read. Gives `contacts` and `missing`.
 */
#define VIDCACHE_WORK_OBSERVE 14

/**
 * vidcache_apply_webhook of the body in `bytes`. Gives `webhook`.
 */
#define VIDCACHE_WORK_APPLY_WEBHOOK 15

/**
 * vidcache_import of `rows`, some hundred at a time. Gives `imported`.
 */
#define VIDCACHE_WORK_IMPORT 16

/**
 * vidcache_end_conflict of `user`.
 */
#define VIDCACHE_WORK_END_CONFLICT 17

/**
 * vidcache_forget of `user`. Gives `flag`.
 */
#define VIDCACHE_WORK_FORGET 18

/**
 * vidcache_doubt_all, by one row.
 */
#define VIDCACHE_WORK_DOUBT_ALL 19

/**
 * vidcache_resolve of `user`. Gives `identity`.
 */
#define VIDCACHE_WORK_RESOLVE 20

/**
 * Whether anything is known of `user` that a page or a worker depends on. Gives `flag`.
 */
#define VIDCACHE_WORK_KNOWS 21

/**
 * vidcache_refusal of `user`. Gives `refusal`.
 */
#define VIDCACHE_WORK_REFUSAL 22

/**
 * vidcache_explain of `user`, whose email is `bytes`, but without the last events. Gives `decision` and `text`.
 */
#define VIDCACHE_WORK_EXPLAIN 23

/**
 * vidcache_export of `user`. Gives `text`.
 */
#define VIDCACHE_WORK_EXPORT 24

/**
 * vidcache_users_of `vid`. Gives `users`.
 */
#define VIDCACHE_WORK_USERS_OF 25

/**
 * vidcache_stale_changes older than `milliseconds`, `limit` at most. Gives `stale_changes`.
 */
#define VIDCACHE_WORK_STALE_CHANGES 26

/**
 * vidcache_users_to_read older than `milliseconds`, of those that `flag` says, about `limit` of them, in the order of
 * the contacts that they were linked to, those after `vid`. Gives `users_to_read`, and in `token` the `vid` of the
 * next part, 0 after the last.
 */
#define VIDCACHE_WORK_USERS_TO_READ 27

/**
 * vidcache_conflicts after `user`, `limit` at most. Gives `conflicts`.
 */
#define VIDCACHE_WORK_CONFLICTS 28

/**
 * Whether the tables can be asked, written and believed. Gives `text`: what is wrong, a line each; empty: nothing.
 */
#define VIDCACHE_WORK_VERIFY 29

/**
 * A page's decision alone.
 */
#define VIDCACHE_FORM_DECISION 0

/**
 * HTML, as vidcache_snippet.
 */
#define VIDCACHE_FORM_SNIPPET 1

/**
 * JSON, as vidcache_page_data.
 */
#define VIDCACHE_FORM_DATA 2

/**
 * There is nothing to tell: the change has ended.
 */
#define VIDCACHE_TURN_ENDED 1

/**
 * The change was seen now: come again a quiet period later.
 */
#define VIDCACHE_TURN_SEEN 2

/**
 * Come again in `milliseconds`.
 */
#define VIDCACHE_TURN_WAIT 3

/**
 * Tell HubSpot.
 */
#define VIDCACHE_TURN_NOW 4

/**
 * The tables of one portal in the app's own PostgreSQL, for an app whose processes share no disk. Opaque; made by
 * `vidcache_database_open`, freed by `vidcache_database_free`. It connects to nothing: the app sends the statements,
 * by the client that it has. Any thread may use it, also several at once, and it stays right on both sides of a fork.
 */
typedef struct vidcache_database vidcache_database;

/**
 * One thing that is being asked, learnt or done. Opaque; made by `vidcache_database_begin`, freed by
 * `vidcache_exchange_free`. One thread at a time uses it, in the process that began it; others may have their own.
 */
typedef struct vidcache_exchange vidcache_exchange;

/**
 * An open cache. Opaque; made by `vidcache_open`, freed by `vidcache_free`. Any thread may use it, also several at
 * once, and it stays right on both sides of a fork.
 */
typedef struct vidcache_handle vidcache_handle;

/**
 * What vidcache_observe learnt. Opaque; freed by `vidcache_observed_free`.
 */
typedef struct vidcache_observed vidcache_observed;

/**
 * A text that the library made. Opaque; freed by `vidcache_text_free`.
 */
typedef struct vidcache_text vidcache_text;

/**
 * What a function returns: VIDCACHE_OK, or the number of what went wrong.
 */
typedef int32_t vidcache_result;

/**
 * What a failed call had to say.
 */
typedef struct vidcache_error {
  /**
   * sizeof(vidcache_error), set by the caller.
   */
  size_t size;
  /**
   * The call's code; VIDCACHE_OK when no call of this thread has failed yet.
   */
  vidcache_result code;
  /**
   * The contact that the failure is about (VIDCACHE_VID_TAKEN, VIDCACHE_CONTACT_CONFLICT), else 0.
   */
  int64_t vid;
  /**
   * VIDCACHE_RATE_LIMITED: how long the limit lasts at most, in milliseconds, where HubSpot's answer tells; else 0.
   */
  uint64_t retry_after_ms;
  /**
   * Words for a person, NUL-terminated UTF-8, never NULL. No email, secret or value of an answer is in it. It is the
   * library's, and stays until the thread's next failed call.
   */
  const char *message;
  /**
   * The bytes of `message`, without its NUL.
   */
  size_t message_len;
} vidcache_error;

/**
 * A secret that was before.
 */
typedef struct vidcache_secret {
  /**
   * At least 16 bytes.
   */
  const char *bytes;
  /**
   * How many, at most 4096.
   */
  size_t len;
} vidcache_secret;

/**
 * How to open a cache. Set `size` and let `vidcache_options_init` fill in the rest.
 */
typedef struct vidcache_options {
  /**
   * sizeof(vidcache_options), set by the caller.
   */
  size_t size;
  /**
   * What the file's key is wrapped under: at least 16 bytes, kept outside the file. Without one the key lies open in
   * the file, so whoever has the file can test a guessed email against it.
   */
  const char *secret;
  /**
   * The bytes of secret, at most 4096.
   */
  size_t secret_len;
  /**
   * The host of HubSpot's loader, copied from the portal's own embed code (in HubSpot: Settings, Tracking code),
   * whose src is //HOST/PORTAL.js: js-eu1.hs-scripts.com for portals in the EU data centre, js-na2, js-ap1 and
   * others elsewhere. Default: js.hs-scripts.com, which is not every portal's.
   */
  const char *loader_host;
  /**
   * The bytes of loader_host, at most 4096.
   */
  size_t loader_host_len;
  /**
   * The most bytes that the in-process table takes. Default: 32 MiB, about 400,000 users.
   */
  uint64_t memory;
  /**
   * How long a call waits for other processes' writes before VIDCACHE_BUSY; the beginning of a change, which a
   * visitor may be waiting for, 2 s at most. In milliseconds, at most 3600000. Default: 5000.
   */
  uint32_t busy_timeout_ms;
  /**
   * How long after it was rendered a page may name an email; a page that runs later gives the id alone. A worker
   * tells HubSpot of a change when pages rendered before the change are older than this. Where processes that share
   * a file have different ones, the longest counts. In milliseconds, from 100 to 3600000. Default: 10000.
   */
  uint32_t page_deadline_ms;
  /**
   * Whether a write that returned survives a power failure. VIDCACHE_SYNCHRONOUS_FULL (the default): it does.
   * VIDCACHE_SYNCHRONOUS_NORMAL: it survives a crash of the process, and a power failure may take the last writes,
   * the beginning of a change among them: then a page may name an email that HubSpot holds no more.
   */
  uint32_t synchronous;
  /**
   * How many old_secrets there are, at most 16. Default: 0.
   */
  uint32_t old_secrets_len;
  /**
   * What secret was before, the newest first. A file that was made or last opened with one of these is opened, and
   * its key is wrapped anew under secret, which is one row: afterwards the old ones are not needed.
   */
  const struct vidcache_secret *old_secrets;
} vidcache_options;

/**
 * The app's own id of a user: an integer, or text of 1 to 255 bytes of UTF-8 without a NUL (a UUID, say). Never an
 * email. The integer 42 and the text "42" are one user. Made by `vidcache_user_id` or `vidcache_user_text`; all zeros
 * is no user.
 */
typedef struct vidcache_user {
  /**
   * VIDCACHE_USER_ID or VIDCACHE_USER_TEXT.
   */
  uint32_t kind;
  /**
   * The integer.
   */
  int64_t id;
  /**
   * The text, which need not be NUL-terminated.
   */
  const char *text;
  /**
   * The bytes of `text`.
   */
  size_t text_len;
} vidcache_user;

/**
 * Which contact a user is. The vid is 0 where they are linked to none.
 */
typedef struct vidcache_identity {
  /**
   * The contact that the user is linked to now.
   */
  int64_t vid;
  /**
   * What a page gives as HubSpot's external id: the vid as it was first linked; 0 where another user gives that one.
   */
  int64_t external_id;
} vidcache_identity;

/**
 * What a page may say of a user: email and id, id alone, or nothing.
 */
typedef struct vidcache_decision {
  /**
   * The external id to give; 0: none.
   */
  int64_t id;
  /**
   * Why: one of VIDCACHE_REASON_….
   */
  int32_t reason;
  /**
   * The bytes of `email` without its NUL; 0: no email may be named. Only ever more than 0 with an id, and when the
   * reason is VIDCACHE_REASON_AGREED.
   */
  uint32_t email_len;
  /**
   * The email to name, normalised, NUL-terminated. What comes after the NUL is undefined.
   */
  char email[VIDCACHE_EMAIL_SIZE];
} vidcache_decision;

/**
 * A user, and the email that the app believes to be theirs.
 */
typedef struct vidcache_question {
  /**
   * The user.
   */
  struct vidcache_user user;
  /**
   * The email; NULL with a length of 0 where the app has none.
   */
  const char *email;
  /**
   * The bytes of `email`.
   */
  size_t email_len;
} vidcache_question;

/**
 * What a recorded answer said.
 */
typedef struct vidcache_recorded {
  /**
   * The contact that the answer described.
   */
  int64_t vid;
  /**
   * Whether the call made the contact: 1 yes, 0 no, -1 the answer does not say.
   */
  int32_t created;
  /**
   * Whether `vid` is the id that was asked for. If not, the id that was asked for was merged into it.
   */
  bool canonical;
  /**
   * Whether the answer said which email the contact holds, and since when.
   */
  bool email_observed;
} vidcache_recorded;

/**
 * A user whom vidcache_import takes in.
 */
typedef struct vidcache_import_row {
  /**
   * The user.
   */
  struct vidcache_user user;
  /**
   * Their contact.
   */
  int64_t vid;
  /**
   * The email that HubSpot held for it; NULL with a length of 0 where that is not known.
   */
  const char *email;
  /**
   * The bytes of `email`.
   */
  size_t email_len;
  /**
   * Since when, HubSpot's updatedAt: milliseconds since 1970 UTC.
   */
  int64_t email_at;
} vidcache_import_row;

/**
 * What vidcache_import did.
 */
typedef struct vidcache_import_report {
  /**
   * Users taken in, or known already.
   */
  uint64_t imported;
  /**
   * Users left out because another user has their contact.
   */
  uint64_t vid_taken;
} vidcache_import_report;

/**
 * What vidcache_apply_webhook did with the events of a body.
 */
typedef struct vidcache_webhook_report {
  /**
   * Events that told something new.
   */
  uint64_t applied;
  /**
   * Events that came before, or were overtaken by something newer.
   */
  uint64_t repeated;
  /**
   * Events of other types, objects, properties or portals.
   */
  uint64_t ignored;
} vidcache_webhook_report;

/**
 * A change that was begun and is outstanding.
 */
typedef struct vidcache_stale_change {
  /**
   * The token that a fresh answer must be recorded with.
   */
  int64_t token;
  /**
   * When it was begun: milliseconds since 1970 UTC, by the app's clock.
   */
  int64_t begun_at;
  /**
   * The bytes of `user` without its NUL.
   */
  uint32_t user_len;
  /**
   * The user as text (an integer in decimal), NUL-terminated. What comes after the NUL is undefined.
   */
  char user[VIDCACHE_USER_SIZE];
} vidcache_stale_change;

/**
 * A linked user whose contact is to be read.
 */
typedef struct vidcache_user_to_read {
  /**
   * The contact.
   */
  int64_t vid;
  /**
   * When it was last read, or else when HubSpot last confirmed its email: milliseconds since 1970 UTC. 0: never.
   */
  int64_t read_at;
  /**
   * The bytes of `user` without its NUL.
   */
  uint32_t user_len;
  /**
   * The user as text (an integer in decimal), NUL-terminated; of several who share the contact, one. What comes
   * after the NUL is undefined.
   */
  char user[VIDCACHE_USER_SIZE];
} vidcache_user_to_read;

/**
 * A user whose contact is in question.
 */
typedef struct vidcache_conflict {
  /**
   * The user's contact, after merges; 0 where they are linked to none.
   */
  int64_t vid;
  /**
   * The contact that holds the user's email, or that another user has, after merges; 0 where HubSpot did not name
   * it.
   */
  int64_t holder;
  /**
   * Since when this conflict stands: milliseconds since 1970 UTC, by the app's clock.
   */
  int64_t since;
  /**
   * What it is about: one of VIDCACHE_CONFLICT_….
   */
  int32_t why;
  /**
   * The bytes of `user` without its NUL.
   */
  uint32_t user_len;
  /**
   * The user as text (an integer in decimal), NUL-terminated. What comes after the NUL is undefined.
   */
  char user[VIDCACHE_USER_SIZE];
} vidcache_conflict;

/**
 * A user key as text.
 */
typedef struct vidcache_key {
  /**
   * The bytes of `user` without its NUL.
   */
  uint32_t user_len;
  /**
   * The user as text (an integer in decimal), NUL-terminated. What comes after the NUL is undefined.
   */
  char user[VIDCACHE_USER_SIZE];
} vidcache_key;

/**
 * What an endpoint for HubSpot's webhooks received. All zeros is an empty request; a header that did not come is NULL
 * with a length of 0. Each text has at most 64 KiB, the body at most 1 GiB.
 */
typedef struct vidcache_signed_request {
  /**
   * sizeof(vidcache_signed_request), set by the caller.
   */
  size_t size;
  /**
   * The request's method in capitals: POST.
   */
  const char *method;
  /**
   * The bytes of `method`.
   */
  size_t method_len;
  /**
   * The whole address that HubSpot called, `https://…`, with its query: the public one, not what a proxy made of it.
   */
  const char *uri;
  /**
   * The bytes of `uri`.
   */
  size_t uri_len;
  /**
   * The body's bytes as they came, before anything parsed them.
   */
  const char *body;
  /**
   * The bytes of `body`.
   */
  size_t body_len;
  /**
   * X-HubSpot-Signature-v3. Where there is one it alone counts.
   */
  const char *signature_v3;
  /**
   * The bytes of `signature_v3`.
   */
  size_t signature_v3_len;
  /**
   * X-HubSpot-Request-Timestamp.
   */
  const char *timestamp;
  /**
   * The bytes of `timestamp`.
   */
  size_t timestamp_len;
  /**
   * X-HubSpot-Signature, of version 1 or 2.
   */
  const char *signature;
  /**
   * The bytes of `signature`.
   */
  size_t signature_len;
  /**
   * X-HubSpot-Signature-Version: v1 or v2.
   */
  const char *version;
  /**
   * The bytes of `version`.
   */
  size_t version_len;
  /**
   * Not 0: a webhook that has no v3 may be signed by v1, which names no time and no address, so whoever has seen a
   * delivery, with whatever headers, can send it again, to another endpoint too, for a day.
   */
  uint32_t take_v1;
  /**
   * Not 0: the same for v2, which names no time.
   */
  uint32_t take_v2;
} vidcache_signed_request;

/**
 * What a handle has done since it was opened, in this process.
 */
typedef struct vidcache_stats {
  /**
   * sizeof(vidcache_stats), set by the caller.
   */
  size_t size;
  /**
   * Look-ups answered from memory.
   */
  uint64_t hits;
  /**
   * Look-ups that read the file.
   */
  uint64_t misses;
  /**
   * How often the table was brought up to date after commits.
   */
  uint64_t syncs;
  /**
   * Users put out of the table to make room.
   */
  uint64_t evictions;
  /**
   * Users in the table.
   */
  uint64_t entries;
  /**
   * Bytes that the table takes.
   */
  uint64_t bytes;
  /**
   * The newest revision that the table has seen.
   */
  int64_t revision;
  /**
   * How often the file, or its WAL index, was replaced under us and opened again.
   */
  uint64_t reopened;
  /**
   * The code of the handle's last failure, VIDCACHE_OK when there was none.
   */
  vidcache_result last_error;
  /**
   * Why every look-up reads the file: a static text, not NUL-terminated; NULL when none does.
   */
  const char *fallback;
  /**
   * The bytes of `fallback`.
   */
  size_t fallback_len;
  /**
   * Bytes of the log beside the file, which grows behind a reader that stays, such as a backup.
   */
  uint64_t log_bytes;
  /**
   * Why the file will not last where it is: a static text, not NUL-terminated; NULL when it will.
   */
  const char *passing;
  /**
   * The bytes of `passing`.
   */
  size_t passing_len;
} vidcache_stats;

/**
 * One thing to be asked, learnt or done. All but `size` and `kind` may be zero; what a kind does not name is not
 * looked at.
 */
typedef struct vidcache_work {
  /**
   * sizeof(vidcache_work), set by the caller.
   */
  size_t size;
  /**
   * One of VIDCACHE_WORK_….
   */
  uint32_t kind;
  /**
   * 1: a transaction of the app's is open on the connection. What is done is a part of it, and what fails leaves it
   * as it was; but VIDCACHE_WORK_BEGIN, with which it must be rolled back. 0: there is none.
   */
  uint32_t in_transaction;
  /**
   * The user.
   */
  const struct vidcache_user *user;
  /**
   * A contact.
   */
  int64_t vid;
  /**
   * A change's token, or a lease's; 0: none.
   */
  int64_t token;
  /**
   * A time.
   */
  uint64_t milliseconds;
  /**
   * When a read was begun, in milliseconds since 1970 UTC; 0: not known.
   */
  int64_t asked_at;
  /**
   * An email, an answer or a body.
   */
  const char *bytes;
  /**
   * How many.
   */
  size_t bytes_len;
  /**
   * The nonce of the page's Content-Security-Policy, or NULL.
   */
  const char *nonce;
  /**
   * The bytes of it.
   */
  size_t nonce_len;
  /**
   * Users to be taken in.
   */
  const struct vidcache_import_row *rows;
  /**
   * How many.
   */
  size_t rows_len;
  /**
   * One of VIDCACHE_FORM_….
   */
  uint32_t form;
  /**
   * 1 or 0, as the kind says.
   */
  uint32_t flag;
  /**
   * How many, at most.
   */
  uint64_t limit;
} vidcache_work;

/**
 * What is next: a statement to be sent, all of one exchange by one connection; or, where that is NULL, the end. What
 * it points to is the library's, and stays until the exchange's next call.
 */
typedef struct vidcache_step {
  /**
   * sizeof(vidcache_step), set by the caller.
   */
  size_t size;
  /**
   * NUL-terminated; NULL: that was all, and vidcache_exchange_outcome says what came of it.
   */
  const char *statement;
  /**
   * The bytes of it, without its NUL.
   */
  size_t statement_len;
  /**
   * What stands for $1 and $2, each of PostgreSQL's type text, NUL-terminated: hexadecimal digits and `/:,` alone,
   * which may be put into the statement between apostrophes. NULL: it has none. A statement that has some is the
   * same for all users, and worth being kept prepared: to plan it takes ten times as long as to run it.
   */
  const char *parameters[2];
  /**
   * 1: it is one statement, and gives the text of its first row's first column. 0: it gives nothing, and may be
   * several statements with `;` between them.
   */
  uint32_t asks;
  /**
   * How many milliseconds to wait before it is sent.
   */
  uint32_t wait_ms;
} vidcache_step;

/**
 * What came of an exchange. What its kind does not give is NULL or 0. What it points to is the library's, and stays
 * until the exchange is freed.
 */
typedef struct vidcache_outcome {
  /**
   * sizeof(vidcache_outcome), set by the caller.
   */
  size_t size;
  /**
   * What a page may say.
   */
  const struct vidcache_decision *decision;
  /**
   * What an answer about a user said.
   */
  const struct vidcache_recorded *recorded;
  /**
   * What was done with a webhook.
   */
  const struct vidcache_webhook_report *webhook;
  /**
   * What was taken in.
   */
  const struct vidcache_import_report *imported;
  /**
   * Which contact the user is.
   */
  const struct vidcache_identity *identity;
  /**
   * `count` of them.
   */
  const struct vidcache_stale_change *stale_changes;
  /**
   * `count` of them.
   */
  const struct vidcache_user_to_read *users_to_read;
  /**
   * `count` of them.
   */
  const struct vidcache_conflict *conflicts;
  /**
   * `count` of them.
   */
  const struct vidcache_key *users;
  /**
   * `count` of them, as vidcache_observed_contacts.
   */
  const int64_t *contacts;
  /**
   * `missing_count` of them, as vidcache_observed_missing.
   */
  const int64_t *missing;
  /**
   * Of the one list that is not NULL.
   */
  size_t count;
  /**
   * Of `missing`.
   */
  size_t missing_count;
  /**
   * NUL-terminated UTF-8.
   */
  const char *text;
  /**
   * The bytes of it, without its NUL.
   */
  size_t text_len;
  /**
   * A change, a lease (0: another one has it), or where a list goes on.
   */
  int64_t token;
  /**
   * A time.
   */
  uint64_t milliseconds;
  /**
   * Of a page: why it says less than it could, whose words vidcache_last_error has then, to be reported;
   * VIDCACHE_OK: it does not.
   */
  vidcache_result why;
  /**
   * One of VIDCACHE_TURN_….
   */
  int32_t turn;
  /**
   * One of VIDCACHE_REFUSAL_…, or 0.
   */
  int32_t refusal;
  /**
   * 1: yes.
   */
  int32_t flag;
} vidcache_outcome;

#ifdef __cplusplus
extern "C" {
#endif

/** The user whose key is an integer. */
static inline vidcache_user vidcache_user_id(int64_t id)
{
  vidcache_user user = {VIDCACHE_USER_ID, 0, NULL, 0};
  user.id = id;
  return user;
}

/** The user whose key is text of `len` bytes. It is not copied. */
static inline vidcache_user vidcache_user_text(const char *text, size_t len)
{
  vidcache_user user = {VIDCACHE_USER_TEXT, 0, NULL, 0};
  user.text = text;
  user.text_len = len;
  return user;
}

/**
 * The static text of a code, NUL-terminated, in snake case: "invalid_user_key". Every language has this name.
 * VIDCACHE_OK is "ok", and a number that is no code is "unknown".
 */
const char *vidcache_error_name(vidcache_result code);

/**
 * What the last call of this thread that failed had to say. Other threads' failures, and calls that succeed, leave it
 * as it is; so does this function.
 *
 * Fails with VIDCACHE_INVALID_OPTION when `error` is NULL or its `size` is not one that this library knows.
 */
vidcache_result vidcache_last_error(struct vidcache_error *error);

/**
 * The number of the ABI that the library has: VIDCACHE_ABI_VERSION of the header it came with. A program built with a
 * header of the same number may use it.
 */
uint32_t vidcache_abi_version(void);

/**
 * The library's version, a static NUL-terminated text: "0.1.0".
 */
const char *vidcache_version(void);

/**
 * The bytes of a text: UTF-8, not NUL-terminated. They stay until the text is freed.
 */
vidcache_result vidcache_text_get(const struct vidcache_text *text, const char **bytes, size_t *len);

/**
 * Frees a text and makes `*text` NULL. NULL, and a text that is NULL, are allowed.
 */
void vidcache_text_free(struct vidcache_text **text);

/**
 * Fills in the defaults. `options->size` must be set before.
 *
 * Fails with VIDCACHE_INVALID_OPTION when `options` is NULL or its `size` is not one that this library knows.
 */
vidcache_result vidcache_options_init(struct vidcache_options *options);

/**
 * Opens the file at `path` (bytes of a file name, at most 4096) for a portal, the HubSpot account's id, creating it
 * with mode 0600 where there is none. The folder must exist, on a local disk. `options` may be NULL for the defaults.
 * What is in an existing file that is refused stays as it was.
 *
 * Fails with VIDCACHE_INVALID_PORTAL, VIDCACHE_INVALID_SECRET, VIDCACHE_INVALID_OPTION for the arguments;
 * VIDCACHE_CANNOT_OPEN, VIDCACHE_UNSUPPORTED_FILESYSTEM for the place; VIDCACHE_NOT_A_CACHE, VIDCACHE_NEWER_SCHEMA,
 * VIDCACHE_WRONG_PORTAL, VIDCACHE_WRONG_SECRET, VIDCACHE_CORRUPT for what is in the file; VIDCACHE_BUSY,
 * VIDCACHE_STORAGE.
 */
vidcache_result vidcache_open(const char *path,
                              size_t path_len,
                              int64_t portal,
                              const struct vidcache_options *options,
                              struct vidcache_handle **handle);

/**
 * Moves a file that will not open out of the way, with its log and index, so that vidcache_open can make a new one.
 * The library never does this by itself. The new file knows nothing of changes begun in the old one: their jobs get
 * VIDCACHE_UNKNOWN_CHANGE, and no page names an email until an answer is recorded again. `*moved_to`, where it is now,
 * is to be freed by vidcache_text_free.
 *
 * Fails with VIDCACHE_BUSY while any process, this one included, has it open; VIDCACHE_CANNOT_OPEN when there is
 * nothing at `path` or it may not be moved; VIDCACHE_UNSUPPORTED_FILESYSTEM. Then nothing was moved.
 */
vidcache_result vidcache_move_aside(const char *path, size_t path_len, struct vidcache_text **moved_to);

/**
 * Copies the file, as of one commit, to a new file of mode 0600 at `path`, without companions; its key stays wrapped
 * under the secret. Nobody waits for it; the log grows meanwhile. A fork in this process begins it anew.
 *
 * Fails with VIDCACHE_CANNOT_OPEN where `path` is there already or cannot be made, and as vidcache_resolve. Then there
 * is no new file.
 */
vidcache_result vidcache_backup(const struct vidcache_handle *handle, const char *path, size_t path_len);

/**
 * Puts a copy of the backup `from` in the place of the file at `path`, while nobody has that open. All that HubSpot
 * said of every contact is doubted in it first: no page names an email until the contact was read again. What was at
 * `path` is moved aside, and `*moved_to`, where it is now, is to be freed by vidcache_text_free; it is empty where
 * there was nothing. The portal and the secret are looked at when the file is opened.
 *
 * Fails with VIDCACHE_BUSY while any process, this one included, has the file at `path` open; VIDCACHE_NOT_A_CACHE,
 * VIDCACHE_NEWER_SCHEMA and VIDCACHE_CORRUPT for what is in `from`; VIDCACHE_CANNOT_OPEN,
 * VIDCACHE_UNSUPPORTED_FILESYSTEM. Then the file is as it was, or moved aside.
 */
vidcache_result vidcache_restore(const char *from,
                                 size_t from_len,
                                 const char *path,
                                 size_t path_len,
                                 struct vidcache_text **moved_to);

/**
 * Closes the file, for this process, and leaves the handle: every later call with it fails with VIDCACHE_CLOSED. Other
 * threads may be using it; their calls end first or fail. Closing again does nothing.
 */
vidcache_result vidcache_close(const struct vidcache_handle *handle);

/**
 * Closes and frees a handle, and makes `*handle` NULL, so that freeing it again does nothing. NULL, and a handle that
 * is NULL, are allowed. No other thread may be using the handle, nor use a copy of the pointer afterwards:
 * `vidcache_close` it first, where they might.
 */
void vidcache_free(struct vidcache_handle **handle);

/**
 * The portal of the file. It is known after closing, too.
 */
vidcache_result vidcache_portal(const struct vidcache_handle *handle, int64_t *portal);

/**
 * The static text of a reason, NUL-terminated, in snake case: "change_outstanding"; "unknown" for a number that is
 * none.
 */
const char *vidcache_reason_name(int32_t reason);

/**
 * Which contact the user is. Nanoseconds, and no allocation, when memory has the answer.
 *
 * Fails with VIDCACHE_INVALID_USER_KEY, VIDCACHE_BUSY, VIDCACHE_STORAGE, VIDCACHE_CORRUPT, VIDCACHE_CLOSED.
 */
vidcache_result vidcache_resolve(const struct vidcache_handle *handle,
                                 const struct vidcache_user *user,
                                 struct vidcache_identity *identity);

/**
 * The user's contact, as vidcache_resolve gives it, from memory alone: `*known` says whether memory has it. This call
 * never waits and never reads the file: it is for a thread that must not, such as that of an event loop.
 *
 * Fails with VIDCACHE_INVALID_USER_KEY.
 */
vidcache_result vidcache_recall(const struct vidcache_handle *handle,
                                const struct vidcache_user *user,
                                struct vidcache_identity *identity,
                                bool *known);

/**
 * What a page may say of the user, whose email the app believes to be `email`: UTF-8, NULL with a length of 0 where
 * the app has none.
 *
 * Fails with VIDCACHE_INVALID_EMAIL, and as vidcache_resolve.
 */
vidcache_result vidcache_decide(const struct vidcache_handle *handle,
                                const struct vidcache_user *user,
                                const char *email,
                                size_t email_len,
                                struct vidcache_decision *decision);

/**
 * The HTML that puts the decision, and HubSpot's loader, on a page: two `<script>` elements, once per page. It is
 * written to the caller's `buffer` of `capacity` bytes, UTF-8, not NUL-terminated, and `*length` is how many bytes it
 * has: about 2000. `nonce` is the page's Content-Security-Policy nonce, at most 4096 bytes of UTF-8; NULL with a
 * length of 0: none. No allocation when memory has the user.
 *
 * Fails with VIDCACHE_BUFFER_TOO_SMALL: then the buffer is all zeros and `*length` is how many bytes it takes, a few
 * more or less for the next call, as the decision is taken anew (`capacity` may be 0, with a `buffer` of NULL, to ask
 * that). Else as vidcache_decide.
 */
vidcache_result vidcache_snippet(const struct vidcache_handle *handle,
                                 const struct vidcache_user *user,
                                 const char *email,
                                 size_t email_len,
                                 const char *nonce,
                                 size_t nonce_len,
                                 char *buffer,
                                 size_t capacity,
                                 size_t *length);

/**
 * The HTML for a page whose visitor the app does not know: the loader, and no identity. Otherwise as vidcache_snippet.
 *
 * Fails with VIDCACHE_BUFFER_TOO_SMALL.
 */
vidcache_result vidcache_anonymous_snippet(const struct vidcache_handle *handle,
                                           const char *nonce,
                                           size_t nonce_len,
                                           char *buffer,
                                           size_t capacity,
                                           size_t *length);

/**
 * The HTML for the page after a sign-out: that of vidcache_anonymous_snippet, and HubSpot's tracker gives the browser
 * a new usertoken, so that nothing it sends from here on belongs to the former user's contact. Otherwise as
 * vidcache_snippet.
 *
 * Fails with VIDCACHE_BUFFER_TOO_SMALL.
 */
vidcache_result vidcache_signed_out_snippet(const struct vidcache_handle *handle,
                                            const char *nonce,
                                            size_t nonce_len,
                                            char *buffer,
                                            size_t capacity,
                                            size_t *length);

/**
 * What vidcache_snippet puts on a page, as a JSON object for a page that the app makes itself: `at`, the time of this
 * call in milliseconds since 1970 UTC; `ttl`, for how many milliseconds after that the email may be named; and, where
 * the decision has them, `id` ("vid:901", a text) and `email`. All of it is ASCII, about 100 bytes. It is for `show`
 * of page/vidcache.js, which keeps the email from being named late; a response with it must not be cached
 * (Cache-Control: private, no-store). `user` may be NULL: a visitor whom the app does not know; `email` is not named
 * then. `buffer`, `capacity` and `*length` as for vidcache_snippet.
 *
 * Fails with VIDCACHE_BUFFER_TOO_SMALL, and as vidcache_decide.
 */
vidcache_result vidcache_page_data(const struct vidcache_handle *handle,
                                   const struct vidcache_user *user,
                                   const char *email,
                                   size_t email_len,
                                   char *buffer,
                                   size_t capacity,
                                   size_t *length);

/**
 * The JSON for a visitor who has just signed out: `at`, `ttl`, and `out`, which is true, as
 * vidcache_signed_out_snippet for a page. Otherwise as vidcache_page_data.
 *
 * Fails with VIDCACHE_BUFFER_TOO_SMALL.
 */
vidcache_result vidcache_signed_out_page_data(const struct vidcache_handle *handle,
                                              char *buffer,
                                              size_t capacity,
                                              size_t *length);

/**
 * vidcache_resolve for `count` users, into as many identities in the same order.
 *
 * Fails as vidcache_resolve, and then no identity is written.
 */
vidcache_result vidcache_resolve_many(const struct vidcache_handle *handle,
                                      const struct vidcache_user *users,
                                      size_t count,
                                      struct vidcache_identity *identities);

/**
 * vidcache_decide for `count` users, into as many decisions in the same order. Each is current as of this call; they
 * need not be of one commit, since none depends on another user.
 *
 * Fails as vidcache_decide, and then no decision is written.
 */
vidcache_result vidcache_decide_many(const struct vidcache_handle *handle,
                                     const struct vidcache_question *questions,
                                     size_t count,
                                     struct vidcache_decision *decisions);

/**
 * Says that the user is the contact `vid`, without saying which email HubSpot holds for it. It is durable when this
 * returns.
 *
 * Fails with VIDCACHE_INVALID_USER_KEY, VIDCACHE_INVALID_VID, VIDCACHE_VID_TAKEN, VIDCACHE_BUSY, VIDCACHE_STORAGE,
 * VIDCACHE_CORRUPT, VIDCACHE_CLOSED; nothing is written then.
 */
vidcache_result vidcache_link(const struct vidcache_handle *handle, const struct vidcache_user *user, int64_t vid);

/**
 * Links the user to a contact that may be another user's too: the explicit choice that they share it. A change of
 * one's email then keeps all of them from naming theirs.
 *
 * Fails as vidcache_link, but for VIDCACHE_VID_TAKEN.
 */
vidcache_result vidcache_link_shared(const struct vidcache_handle *handle,
                                     const struct vidcache_user *user,
                                     int64_t vid);

/**
 * Records what a HubSpot API call about the user answered: the JSON body of a v1 createOrUpdate or profile answer, or
 * of a v3 contact, told apart by shape; at most 16 MiB. It is durable when this returns. Recording an answer again, or
 * an older one late, changes nothing. `change` is the token of the change that this finishes, 0 for none: that takes
 * an answer that says which email the contact holds and since when, read after HubSpot was told.
 *
 * Fails with VIDCACHE_INVALID_ANSWER, VIDCACHE_ANSWER_WITHOUT_ID, VIDCACHE_ANSWER_WITHOUT_EMAIL,
 * VIDCACHE_CONTACT_CONFLICT, VIDCACHE_CONTACT_MISSING, VIDCACHE_RATE_LIMITED, VIDCACHE_REFUSED,
 * VIDCACHE_HUBSPOT_ERROR, VIDCACHE_UNKNOWN_CHANGE, VIDCACHE_FOREIGN_CHANGE, VIDCACHE_VID_TAKEN, and as vidcache_link;
 * nothing about the user is written then. After VIDCACHE_VID_TAKEN what the answer said of the contact is kept; after
 * VIDCACHE_REFUSED the change has ended; after that and VIDCACHE_CONTACT_MISSING no page names the email of the user's
 * contact until a newer answer is recorded.
 */
vidcache_result vidcache_record(const struct vidcache_handle *handle,
                                const struct vidcache_user *user,
                                const char *answer,
                                size_t answer_len,
                                int64_t change,
                                struct vidcache_recorded *recorded);

/**
 * vidcache_record of an answer to a call that was begun at `asked_at`, in milliseconds since 1970 UTC by the app's
 * clock. After a merge, a deletion, a restoration, a 404 or vidcache_forget what HubSpot said before does not count,
 * and HubSpot's own time of the contact may not move for years: an answer to a call that was begun 5 s after that was
 * heard, or later, is believed all the same. A time more than 5 s in the future says nothing.
 *
 * Fails as vidcache_record.
 */
vidcache_result vidcache_record_read(const struct vidcache_handle *handle,
                                     const struct vidcache_user *user,
                                     const char *answer,
                                     size_t answer_len,
                                     int64_t change,
                                     int64_t asked_at,
                                     struct vidcache_recorded *recorded);

/**
 * Takes in what the app has long known: users and their contacts, for a first fill. 100,000 rows to a transaction,
 * others' writes in between. A link that was made otherwise stands against an imported one, and so does a later email.
 * Importing again changes nothing.
 *
 * Fails with the code of the first row that cannot be right, and as vidcache_link. Whole transactions before it stay.
 */
vidcache_result vidcache_import(const struct vidcache_handle *handle,
                                const struct vidcache_import_row *rows,
                                size_t count,
                                struct vidcache_import_report *report);

/**
 * Takes in what an answer says of contacts, without saying whose they are: the JSON body of a search, a batch read or
 * upsert, or of any call that vidcache_record understands. All of it or nothing.
 *
 * Fails as vidcache_record, of its codes those that are not about a user or a change.
 */
vidcache_result vidcache_observe(const struct vidcache_handle *handle,
                                 const char *answer,
                                 size_t answer_len,
                                 struct vidcache_observed **observed);

/**
 * vidcache_observe of an answer to a call that was begun at `asked_at`: see vidcache_record_read. Not for a search,
 * which finds contacts as they were a while ago.
 *
 * Fails as vidcache_observe.
 */
vidcache_result vidcache_observe_read(const struct vidcache_handle *handle,
                                      const char *answer,
                                      size_t answer_len,
                                      int64_t asked_at,
                                      struct vidcache_observed **observed);

/**
 * The contacts that the answer described, by the ids that live. They stay until `observed` is freed.
 */
vidcache_result vidcache_observed_contacts(const struct vidcache_observed *observed,
                                           const int64_t **vids,
                                           size_t *count);

/**
 * The ids for which HubSpot says it has no contact. An id that is neither here nor among the contacts although it was
 * asked for was merged into another: HubSpot leaves it out without a word. Read it by itself and observe that.
 */
vidcache_result vidcache_observed_missing(const struct vidcache_observed *observed,
                                          const int64_t **vids,
                                          size_t *count);

/**
 * Frees what was observed and makes `*observed` NULL. NULL, and what is NULL, are allowed.
 */
void vidcache_observed_free(struct vidcache_observed **observed);

/**
 * Takes in the body of a webhook: up to some hundred events, in any order, however often they come. All of it, or,
 * where an event that matters cannot be read, what of it erases a contact.
 * Check the signature first: vidcache_verify_signature. When an event says that a contact was erased for privacy,
 * nothing of it is left on return, nor of users who were linked to it alone.
 *
 * Fails with VIDCACHE_INVALID_WEBHOOK: nothing was written, and the same body will fail again. Else as vidcache_link:
 * answer HubSpot with a 5xx, so that it sends the body again.
 */
vidcache_result vidcache_apply_webhook(const struct vidcache_handle *handle,
                                       const char *body,
                                       size_t body_len,
                                       struct vidcache_webhook_report *report);

/**
 * Begins a change of the user's email: until it is finished or abandoned, no page names one. Call it before the app's
 * own commit. The worker tells HubSpot vidcache_quiet_period later, only while the change is outstanding
 * (vidcache_is_change_outstanding), and then finishes the change by vidcache_record. `*token` is from 1 to 2^63 - 1.
 *
 * Fails as vidcache_link. Then no change was begun, and the app must not change the email.
 */
vidcache_result vidcache_begin_email_change(const struct vidcache_handle *handle,
                                            const struct vidcache_user *user,
                                            int64_t *token);

/**
 * Ends a change that did not happen: the app rolled back, and HubSpot was not told. Ending an ended change again does
 * nothing.
 *
 * Fails with VIDCACHE_UNKNOWN_CHANGE, VIDCACHE_FOREIGN_CHANGE, and as vidcache_link.
 */
vidcache_result vidcache_abandon_email_change(const struct vidcache_handle *handle,
                                              const struct vidcache_user *user,
                                              int64_t token);

/**
 * Whether the user's change is outstanding. A worker asks this before it tells HubSpot, with the user's other jobs
 * locked out.
 *
 * Fails with VIDCACHE_UNKNOWN_CHANGE, VIDCACHE_FOREIGN_CHANGE, and as vidcache_resolve.
 */
vidcache_result vidcache_is_change_outstanding(const struct vidcache_handle *handle,
                                               const struct vidcache_user *user,
                                               int64_t token,
                                               bool *outstanding);

/**
 * Since when the user's change has counted for every page that could name the email of their contact, by the app's
 * clock: `*begun_at` in milliseconds since 1970 UTC, and `*outstanding` is true; once it has ended, 0 and false. That
 * is when it was begun, or, where the contact has become another user's too meanwhile, when that was heard. A worker
 * asks when it runs, and waits until it is a vidcache_quiet_period ago.
 *
 * Fails as vidcache_is_change_outstanding.
 */
vidcache_result vidcache_change_outstanding_since(const struct vidcache_handle *handle,
                                                  const struct vidcache_user *user,
                                                  int64_t token,
                                                  int64_t *begun_at,
                                                  bool *outstanding);

/**
 * How long the worker must wait after the beginning of a change before it tells HubSpot, in milliseconds: the longest
 * page deadline of any process that used the file within the last day, and 5000 more, which a page view may take to
 * reach HubSpot. From 5100 to 3605000.
 *
 * Fails with VIDCACHE_BUSY, VIDCACHE_STORAGE, VIDCACHE_CORRUPT, VIDCACHE_CLOSED.
 */
vidcache_result vidcache_quiet_period(const struct vidcache_handle *handle, uint64_t *milliseconds);

/**
 * Takes the user's lease for so many milliseconds, from 1 to 3600000: the right to tell HubSpot of the user, which one
 * job has at a time, over all processes that use the file. `*token` is from 1 to 2^63 - 1; 0: another job has it.
 * With `held`, the token of a lease, that one goes on for so long from now, and `*token` is the same; 0: its holder
 * was slower than its deadline, and must not tell HubSpot. `held` is 0 to take it.
 *
 * A worker takes it before it reads the user's email from the app's database, and renews it before each call that
 * writes to HubSpot, for longer than the call can take. A process that dies with it leaves it to run out.
 *
 * Fails with VIDCACHE_INVALID_OPTION for the time, and as vidcache_link.
 */
vidcache_result vidcache_lease(const struct vidcache_handle *handle,
                               const struct vidcache_user *user,
                               uint64_t milliseconds,
                               int64_t held,
                               int64_t *token);

/**
 * Ends the user's lease, so that the next job need not wait for its deadline. `*released` is false where the holder
 * had none any more.
 *
 * Fails as vidcache_link.
 */
vidcache_result vidcache_release(const struct vidcache_handle *handle,
                                 const struct vidcache_user *user,
                                 int64_t held,
                                 bool *released);

/**
 * The changes begun `older_than_ms` milliseconds ago or longer and still outstanding, oldest first, at most `capacity`
 * of them, into the caller's array; `*count` is how many. Their users' pages give the id alone until an answer that is
 * read now is recorded with the token.
 *
 * Fails as vidcache_resolve.
 */
vidcache_result vidcache_stale_changes(const struct vidcache_handle *handle,
                                       uint64_t older_than_ms,
                                       struct vidcache_stale_change *changes,
                                       size_t capacity,
                                       size_t *count);

/**
 * Linked users whose contacts a job is to read from HubSpot, the longest unread first, at most `capacity` of them,
 * into the caller's array; `*count` is how many. `after` is the last of a list before, or NULL: those that come after
 * it.
 *
 * With `confirmed` false, those whose pages give the id alone since HubSpot has not said which email it holds for the
 * contact now; left out is who was read within `older_than_ms` milliseconds and has not become doubtful since. With
 * true, those whose contact was last read, or its email last confirmed, longer ago than that. Read them by
 * vidcache_observe_read. Finding nobody takes microseconds, however many users there are.
 *
 * Fails as vidcache_resolve.
 */
vidcache_result vidcache_users_to_read(const struct vidcache_handle *handle,
                                       bool confirmed,
                                       uint64_t older_than_ms,
                                       const struct vidcache_user_to_read *after,
                                       struct vidcache_user_to_read *users,
                                       size_t capacity,
                                       size_t *count);

/**
 * Users whose email another contact holds, or whose contact is another user's, as vidcache_record was told by
 * VIDCACHE_CONTACT_CONFLICT and VIDCACHE_VID_TAKEN: at most `capacity` of them, in the order of their keys, into the
 * caller's array; `*count` is how many. `after` is the user of the last of a list before, or NULL. One is out of the
 * list once HubSpot has merged the two contacts, the user was forgotten, or vidcache_end_conflict.
 *
 * Any thread may call it, on either side of a fork. Fails as vidcache_resolve.
 */
vidcache_result vidcache_conflicts(const struct vidcache_handle *handle,
                                   const struct vidcache_user *after,
                                   struct vidcache_conflict *conflicts,
                                   size_t capacity,
                                   size_t *count);

/**
 * Says that the user's conflict is over: they are agreed, or somebody has decided. Without one it does nothing.
 *
 * Any thread may call it, on either side of a fork. Fails as vidcache_link.
 */
vidcache_result vidcache_end_conflict(const struct vidcache_handle *handle, const struct vidcache_user *user);

/**
 * Why HubSpot refused the email of a user for good whom the cache knows no contact of: `*why` is one of
 * VIDCACHE_REFUSAL_…, or 0: it did not. A worker that makes contacts of such users need not try. 0 for a user with a
 * contact, and with a change outstanding, which is the way to tell HubSpot of the user's next email; but
 * VIDCACHE_REFUSAL_PRIVACY_DELETION, with or without one, for a user whose contact was erased for privacy and who has
 * none now: no worker may make them one until the app has called vidcache_link or vidcache_forget for them.
 *
 * Any thread may call it, on either side of a fork. Fails as vidcache_resolve.
 */
vidcache_result vidcache_refusal(const struct vidcache_handle *handle, const struct vidcache_user *user, int32_t *why);

/**
 * All users of a contact, by any of the ids that were merged into it, the first `capacity` of them into the caller's
 * array; `*count` is how many there are, which may be more.
 *
 * Any thread may call it, on either side of a fork. Fails with VIDCACHE_INVALID_VID, and as vidcache_resolve.
 */
vidcache_result vidcache_users_of(const struct vidcache_handle *handle,
                                  int64_t vid,
                                  struct vidcache_key *users,
                                  size_t capacity,
                                  size_t *count);

/**
 * Doubts all that HubSpot has said of every contact: for an old copy of the file that was put back, before anything
 * renders pages. On return no page names an email until HubSpot says something newer of the contact or it is read
 * again by a call that is begun 5 s later (vidcache_users_to_read lists them). Who has which contact stays. Some 20 s
 * for a million contacts, with others' writes in between; after an error, call it again.
 *
 * Any thread may call it, on either side of a fork. Fails as vidcache_link.
 */
vidcache_result vidcache_doubt_all(const struct vidcache_handle *handle);

/**
 * Checks that a request was signed by HubSpot with the app's client secret (at most 4096 bytes) within five minutes of
 * `now_ms`, this host's clock in milliseconds since 1970. v1 and v2 name no time, so where they are taken the newest
 * event of the body may be 25 hours old, after which HubSpot does not try a delivery again. Takes the same time
 * whatever the signature is. Any thread may call it, and it needs no handle.
 *
 * Fails with VIDCACHE_INVALID_SIGNATURE; VIDCACHE_INVALID_OPTION for the arguments, an empty secret among them.
 */
vidcache_result vidcache_verify_signature(const char *secret,
                                          size_t secret_len,
                                          const struct vidcache_signed_request *request,
                                          int64_t now_ms);

/**
 * Why a page says of the user what it says: the decision, and a sentence to a line of what it rests on and of the
 * user's last events, oldest first. The sentences name contacts and times, no email and no user; they are to be freed
 * by vidcache_text_free. Reads the file, so it is not for a page itself.
 *
 * Fails as vidcache_decide.
 */
vidcache_result vidcache_explain(const struct vidcache_handle *handle,
                                 const struct vidcache_user *user,
                                 const char *email,
                                 size_t email_len,
                                 struct vidcache_decision *decision,
                                 struct vidcache_text **sentences);

/**
 * All that the file holds on the user, as a JSON object: links, what HubSpot said of the contact, changes, and the
 * last events. Of emails the file holds keyed fingerprints only. To be freed by vidcache_text_free.
 *
 * Fails as vidcache_resolve.
 */
vidcache_result vidcache_export(const struct vidcache_handle *handle,
                                const struct vidcache_user *user,
                                struct vidcache_text **json);

/**
 * Takes out all that is held on the user, and what HubSpot said of their contact unless it is another user's too.
 * `*known` says whether anything was. When this returns, nothing of it is left in the file, its free pages or its log.
 *
 * A change that is outstanding goes with it, and a job that asks for it is told VIDCACHE_UNKNOWN_CHANGE: it must not
 * tell HubSpot. Where the contact is shared the change becomes another user's, and stays outstanding.
 *
 * Fails as vidcache_link. After VIDCACHE_BUSY the rows may be gone and the log not emptied yet: call again.
 */
vidcache_result vidcache_forget(const struct vidcache_handle *handle, const struct vidcache_user *user, bool *known);

/**
 * What the handle has done in this process. Cheap. `stats->size` must be set before.
 *
 * Fails with VIDCACHE_INVALID_OPTION when that is not a size that this library knows.
 */
vidcache_result vidcache_get_stats(const struct vidcache_handle *handle, struct vidcache_stats *stats);

/**
 * Runs SQLite's own check of the file and the library's of its rows. `*count` is how many things are wrong and
 * `*problems` says which, one a line; it is to be freed by vidcache_text_free also when nothing is. Reads the whole
 * file, minutes at millions of users; nobody waits for it meanwhile.
 *
 * Fails as vidcache_resolve.
 */
vidcache_result vidcache_verify(const struct vidcache_handle *handle, struct vidcache_text **problems, size_t *count);

/**
 * The tables in `schema` of the database ("public"), for a portal, the HubSpot account's id. Of the options a secret
 * is needed, the same for every process; `busy_timeout_ms` and `synchronous` say nothing, and `memory` only with
 * `max_age_ms`: for how long answers are kept, 0, or from 1000 to half of the page deadline. Nothing is asked yet:
 * begin with VIDCACHE_WORK_SET_UP.
 *
 * Fails with VIDCACHE_INVALID_PORTAL, VIDCACHE_INVALID_SECRET, VIDCACHE_INVALID_OPTION, VIDCACHE_STORAGE.
 */
vidcache_result vidcache_database_open(const char *schema,
                                       size_t schema_len,
                                       int64_t portal,
                                       const struct vidcache_options *options,
                                       uint64_t max_age_ms,
                                       struct vidcache_database **database);

/**
 * Frees the tables and makes `*database` NULL. NULL, and what is NULL, are allowed. Exchanges that were begun go on.
 */
void vidcache_database_free(struct vidcache_database **database);

/**
 * The statements of the app's migration, with `;` between them, which make the tables in `schema` (NULL: "public").
 * `*statements` is to be freed by vidcache_text_free.
 *
 * Fails with VIDCACHE_INVALID_OPTION.
 */
vidcache_result vidcache_database_migration(const char *schema, size_t schema_len, struct vidcache_text **statements);

/**
 * Begins one thing to be asked, learnt or done. Nothing of what `work` points to is kept. `*exchange` is to be freed
 * by vidcache_exchange_free; its first step is that of vidcache_exchange_answered with NULL.
 *
 * Fails with VIDCACHE_INVALID_USER_KEY, VIDCACHE_INVALID_VID, VIDCACHE_INVALID_EMAIL, VIDCACHE_INVALID_ANSWER,
 * VIDCACHE_INVALID_WEBHOOK, VIDCACHE_INVALID_OPTION, VIDCACHE_UNKNOWN_CHANGE for what it is about.
 */
vidcache_result vidcache_database_begin(const struct vidcache_database *database,
                                        const struct vidcache_work *work,
                                        struct vidcache_exchange **exchange);

/**
 * What is next after what the last statement gave, `answer`: NULL with a length of 0 where it gave no row, or gives
 * nothing, and for the first step.
 *
 * Fails, when there is nothing more to send, with what the work fails with: VIDCACHE_STORAGE, VIDCACHE_BUSY or
 * VIDCACHE_TABLES_UNUSABLE for what the database refused, VIDCACHE_WRONG_PORTAL, VIDCACHE_WRONG_SECRET or
 * VIDCACHE_NEWER_SCHEMA for whose tables they are, and as the function that the kind names. Then nothing of it was
 * written, but what that function says. VIDCACHE_INVALID_OPTION: the exchange has ended before.
 */
vidcache_result vidcache_exchange_answered(struct vidcache_exchange *exchange,
                                           const char *answer,
                                           size_t answer_len,
                                           struct vidcache_step *step);

/**
 * What is next after the last statement was refused. `sqlstate`: the five letters of the server's code; NULL with a
 * length of 0: no server answered.
 *
 * Fails as vidcache_exchange_answered.
 */
vidcache_result vidcache_exchange_refused(struct vidcache_exchange *exchange,
                                          const char *sqlstate,
                                          size_t sqlstate_len,
                                          struct vidcache_step *step);

/**
 * What came of it, once a step has no statement.
 *
 * Fails with VIDCACHE_INVALID_OPTION: it has not ended.
 */
vidcache_result vidcache_exchange_outcome(const struct vidcache_exchange *exchange, struct vidcache_outcome *outcome);

/**
 * Frees an exchange and makes `*exchange` NULL. NULL, and what is NULL, are allowed. One that has not ended leaves the
 * connection as it is: roll back.
 */
void vidcache_exchange_free(struct vidcache_exchange **exchange);

#ifdef __cplusplus
}
#endif

#endif  /* VIDCACHE_H */
