/**
 * Which HubSpot contact is this user, and may this page name their email?
 *
 * Ids of 64 bits (contacts, tokens, accounts) are text, as HubSpot's API and JSON have them: JavaScript's numbers are
 * exact to 2^53. Where one is an argument, a bigint or a number up to 2^53 is taken as well.
 */

/** Bytes: a Buffer is one. */
export type Bytes = Uint8Array;

/** An integer of 64 bits. */
export type Id = string | bigint | number;

/** The app's own id of a user: an integer of 64 bits or text of 1 to 255 bytes, never an email. `'42'` and 42 are one. */
export type UserKey = string | bigint | number;

/** The path of a file: text, the bytes of its name, or a `file:` URL. */
export type Path = string | Bytes | URL;

/** The body of what HubSpot's API answered, or what `JSON.parse` made of it. */
export type Answer = Bytes | string | object;

/** How to open a cache. What is left out has its default. */
export interface OpenOptions {
  // Made by bindings/tables.
  /**
   * What the file's key is wrapped under: at least 16 bytes, kept outside the file. Without one the key lies open in
   * the file, so whoever has the file can test a guessed email against it.
   */
  secret?: Bytes | string | null;
  /**
   * The host of HubSpot's loader, copied from the portal's own embed code (in HubSpot: Settings, Tracking code), whose
   * src is `//HOST/PORTAL.js`: `js-eu1.hs-scripts.com` for portals in the EU data centre, `js-na2`, `js-ap1` and others
   * elsewhere. Default: `js.hs-scripts.com`, which is not every portal's.
   */
  loaderHost?: string;
  /**
   * The most bytes that the in-process table takes. Default: 32 MiB, about 400,000 users.
   */
  memory?: number;
  /**
   * How long a call waits for other processes' writes before `busy`; the beginning of a change, which a visitor may be
   * waiting for, 2 s at most. In milliseconds, at most 3600000. Default: 5000.
   */
  busyTimeoutMs?: number;
  /**
   * How long after it was rendered a page may name an email; a page that runs later gives the id alone. A worker tells
   * HubSpot of a change when pages rendered before the change are older than this. Where processes that share a file
   * have different ones, the longest counts. In milliseconds, from 100 to 3600000. Default: 10000.
   */
  pageDeadlineMs?: number;
  /**
   * Whether a write that returned survives a power failure. If not, it survives a crash of the process, and a power
   * failure may take the last writes, the beginning of a change among them: then a page may name an email that HubSpot
   * holds no more. Default: true.
   */
  durable?: boolean;
  /**
   * What `secret` was before, the newest first. A file that was made or last opened with one of these is opened, and
   * its key is wrapped anew under `secret`, which is one row: afterwards the old ones are not needed.
   */
  oldSecrets?: readonly (Bytes | string)[];
}

/** Why a page may say what it may; a later version may have more of them. */
export type Reason =
  // Made by bindings/tables.
  /** The app and HubSpot agree on the email, and no change of it is outstanding. */
  | 'agreed'
  /** A change of the user's email has begun and HubSpot's answer is not recorded yet. */
  | 'change_outstanding'
  /** HubSpot holds another email for this contact. */
  | 'email_differs'
  /** HubSpot has not said which email it holds for this contact. */
  | 'email_unconfirmed'
  /** The app has no email for this user. */
  | 'email_absent'
  /** The user is not linked to a contact. */
  | 'not_linked'
  /** What is known is older than a page may be, or nobody could be asked: the store in the app's database says so. */
  | 'stale';

/** The name of an error's code. */
export type ErrorCode = keyof typeof codes;

/** The number of each code, for logs that all languages share; and what each means. */
export const codes: {
  // Made by bindings/tables.
  /** The user key cannot be a key: text is 1 to 255 bytes of UTF-8 without NUL. */
  readonly invalid_user_key: 101;
  /** The vid is not an integer from 1 to 2^63 - 1. */
  readonly invalid_vid: 102;
  /** The email cannot be an address. */
  readonly invalid_email: 103;
  /** The portal id is not an integer from 1 to 2^63 - 1. */
  readonly invalid_portal: 104;
  /** The secret is too short to key the fingerprints: it takes at least 16 bytes. */
  readonly invalid_secret: 105;
  /** An option, or another argument, is of the wrong type or out of its range. */
  readonly invalid_option: 106;
  /** The caller's buffer is too small for what was to be written to it. Only callers in C hand one over. */
  readonly buffer_too_small: 107;
  /** The answer is not JSON, or a field that matters has the wrong type. */
  readonly invalid_answer: 111;
  /**
   * The answer is JSON but names no contact. What was asked for may have been done all the same, so read the contact.
   */
  readonly answer_without_id: 112;
  /** The answer names a contact but not which email it holds and since when, so it cannot finish a change. */
  readonly answer_without_email: 113;
  /**
   * The webhook's body is not a batch of events, or a field that matters has the wrong type. Nothing of the batch is
   * applied but its erasures.
   */
  readonly invalid_webhook: 114;
  /** The request was not signed by HubSpot with this secret, or was signed at another time. */
  readonly invalid_signature: 115;
  /** No change with this token is known. */
  readonly unknown_change: 201;
  /** The change token belongs to another user, or to one who was forgotten. */
  readonly foreign_change: 202;
  /** The contact is linked to another user. */
  readonly vid_taken: 203;
  /** HubSpot refused: another contact holds the email (409, or a 400 that means the same). */
  readonly contact_conflict: 204;
  /** HubSpot has no such contact (404, in HubSpot's own words). It may pass: so it is right after a create. */
  readonly contact_missing: 205;
  /**
   * HubSpot asks to wait, and the call was not carried out: its rate limit was reached (429), or it is at work (423,
   * 477, 503).
   */
  readonly rate_limited: 206;
  /**
   * HubSpot will not take the email, however often it is told (400): the change has ended, and the message says what to
   * do.
   */
  readonly refused: 207;
  /**
   * HubSpot answered with an error that says nothing of a contact: no access, a failure of its own. Try again later.
   */
  readonly hubspot_error: 208;
  /** The file belongs to another HubSpot portal. */
  readonly wrong_portal: 301;
  /** The file's key is wrapped under another secret. */
  readonly wrong_secret: 302;
  /** The file is not a database of this library. */
  readonly not_a_cache: 303;
  /** The file was written by a newer version of this library. */
  readonly newer_schema: 304;
  /** The file cannot be opened or created. */
  readonly cannot_open: 305;
  /** The file system cannot carry a database that several processes share. */
  readonly unsupported_filesystem: 306;
  /**
   * vidcache's tables in the app's database cannot be used: they are missing or half migrated, were not set up, may not
   * be written, were asked on a replica or in a transaction that sees them as they were, or hold what cannot be.
   */
  readonly tables_unusable: 307;
  /** Another process held the write lock for longer than the busy timeout. */
  readonly busy: 401;
  /** The call was cancelled while it waited; nothing was written. */
  readonly cancelled: 402;
  /** SQLite or the disk failed; nothing of this call was written. */
  readonly storage: 403;
  /** The file is damaged. */
  readonly corrupt: 404;
  /** The handle was closed. */
  readonly closed: 405;
  /** A defect of this library, caught at a binding's edge. */
  readonly internal: 501;
};

/** A failed call. No email, secret or value of an answer is in it. */
export class VidcacheError extends Error {
  private constructor();
  /** What went wrong, for a program. A later version may have more codes. */
  readonly code: ErrorCode;
  /** The code's number. */
  readonly number: number;
  /** The contact that the failure is about (`vid_taken`, `contact_conflict`), where one is known. */
  readonly vid: string | null;
  /** `rate_limited`: how long the limit lasts at most, in milliseconds, where HubSpot's answer tells. */
  readonly retryAfterMs: number | null;
}

/** Which contact a user is. */
export interface Identity {
  /** The contact, as it is after merges. */
  readonly vid: string;
  /** The external id that pages give; null where another user gives it. */
  readonly externalId: string | null;
}

/** What a page may say of a user: email and id, id alone, or nothing. */
export class Decision {
  private constructor();
  /** The email to name, normalised, or null. `console.log` and `JSON.stringify` leave it out. */
  readonly email: string | null;
  /** The external id to give, or null. */
  readonly id: string | null;
  /** Why. */
  readonly reason: Reason;
  /** Whether the email may be named. */
  readonly agreed: boolean;
}

/** Why a page says what it says. */
export interface Explanation {
  readonly decision: Decision;
  /** What that rests on; no email is in it. */
  readonly sentences: string[];
}

/** What `show` of `page/vidcache.js` takes. */
export interface PageData {
  /** The time of the call: milliseconds since 1970 UTC. */
  readonly at: number;
  /** How long after that the email may be named, in milliseconds. */
  readonly ttl: number;
  /** `vid:901`. */
  readonly id?: string;
  readonly email?: string;
  /** True after a sign-out. */
  readonly out?: boolean;
}

/** What `record` learnt. */
export interface Recorded {
  /** The contact that the answer described. */
  readonly vid: string;
  /** Whether that is the id that was asked for; if not, that one was merged into it. */
  readonly canonical: boolean;
  /** Whether the call made the contact; null where the answer does not say so. */
  readonly created: boolean | null;
  /** Whether the answer said which email the contact holds, and since when. */
  readonly emailObserved: boolean;
}

/** What `observe` learnt. */
export interface Observed {
  /** The contacts that the answer described. */
  readonly contacts: string[];
  /** The ids for which HubSpot says it has no contact. */
  readonly missing: string[];
}

/** What `applyWebhook` did with the events of a body. */
export interface WebhookReport {
  /** Events that told something new. */
  readonly applied: number;
  /** Events that came before, or were overtaken by something newer. */
  readonly repeated: number;
  /** Events of other types, objects, properties or portals. */
  readonly ignored: number;
}

/** A user whom `importUsers` takes in. */
export interface ImportRow {
  readonly user: UserKey;
  readonly vid: Id;
  /** The email that HubSpot held for the contact, if known. */
  readonly email?: string | null;
  /** Since when, HubSpot's updatedAt: milliseconds since 1970 UTC. */
  readonly emailAtMs?: number;
}

/** What `importUsers` did. */
export interface ImportReport {
  /** Users taken in, or known already. */
  readonly imported: number;
  /** Users left out because another user has their contact. */
  readonly vidTaken: number;
}

/** A user whose contact is in question. */
export interface Conflict {
  /** The user as text, an integer in decimal. */
  readonly user: string;
  /** Their contact, after merges; null where they are linked to none. */
  readonly vid: string | null;
  /** The contact that holds their email, or that another user has; null where HubSpot did not name it. */
  readonly holder: string | null;
  /** `email_held`: HubSpot holds the email for `holder`; `vid_taken`: its answer named another user's contact. */
  readonly why: 'email_held' | 'vid_taken';
  /** Since when this conflict stands: milliseconds since 1970 UTC, by the app's clock. */
  readonly sinceMs: number;
}

/** A change that was begun and is outstanding. */
export interface StaleChange {
  /** The user as text, an integer in decimal. */
  readonly user: string;
  /** What a fresh answer must be recorded with. */
  readonly token: string;
  /** When it was begun: milliseconds since 1970 UTC, by the app's clock. */
  readonly begunAtMs: number;
}

/** A linked user whose contact is to be read. */
export interface UserToRead {
  /** The user as text, an integer in decimal; of several who share the contact, one. */
  readonly user: string;
  /** The contact. */
  readonly vid: string;
  /** When it was last read, or else when HubSpot last confirmed its email: milliseconds since 1970 UTC. 0: never. */
  readonly readAtMs: number;
}

/** What a `Cache` has done since it was opened, in this process. */
export interface Stats {
  // Made by bindings/tables.
  /** Look-ups answered from memory. Threads count beside each other without a lock, so this may miss a few. */
  readonly hits: number;
  /** Look-ups that read the file. */
  readonly misses: number;
  /** How often the table was brought up to date after commits. */
  readonly syncs: number;
  /** Users put out of the table to make room. */
  readonly evictions: number;
  /** Users in the table. */
  readonly entries: number;
  /** Bytes that the table takes. */
  readonly bytes: number;
  /** The newest revision that the table has seen. */
  readonly revision: number;
  /** How often the file, its log or its WAL index was replaced or deleted under us, and opened again. */
  readonly reopened: number;
  /** Bytes of the log beside the file, which grows behind a reader that stays, such as a backup. */
  readonly logBytes: number;
  /** Why the file will not last where it is, if it will not: it is on a container's own layer, or in memory. */
  readonly passing: string | null;
  /** Why every look-up reads the file, if it does. */
  readonly fallback: string | null;
  /** The code of the last failure, such as `busy`. */
  readonly lastError: string | null;
}

/** For a page's snippet. */
export interface SnippetOptions {
  /** The page's Content-Security-Policy nonce. */
  nonce?: string | null;
}

/**
 * A user → contact cache in one SQLite file, for one HubSpot portal.
 *
 * What a page asks (the calls that return no promise) takes microseconds, on JavaScript's own thread; a user who is not
 * in memory costs a read of the file. All else runs on a thread of Node's pool (`UV_THREADPOOL_SIZE`), since it may
 * wait for the disk or for another process. Several processes of one host, and several worker threads, may each open
 * the same file; each sees every commit made before its call. The file is private to the library: no other SQLite, and
 * no plain open and close, may touch it from the same process. Node does not fork: what `cluster` and `child_process`
 * start open it themselves.
 *
 * Every failure is a `VidcacheError`, thrown or in the promise. All calls may fail with `storage`, `corrupt`, `busy`
 * and, after `close`, `closed`.
 */
export class Cache {
  /**
   * Opens the file at `path` for a portal (the HubSpot account's id), making it with mode 0600 where there is none; waits
   * for that. The folder must exist, on a local disk. One for a process, or a worker thread, is enough.
   *
   * Fails with `invalid_portal`, `invalid_secret`, `invalid_option` for the arguments; `cannot_open`,
   * `unsupported_filesystem` for the place; `not_a_cache`, `newer_schema`, `wrong_portal`, `wrong_secret`, `corrupt` for
   * what is in the file, which is left as it was.
   */
  constructor(path: Path, portalId: Id, options?: OpenOptions);

  /** The HubSpot account that the file belongs to. */
  readonly portalId: string;

  /** Closes the file. Every later call fails with `closed`; closing again does nothing. */
  close(): void;

  /** The user's contact, as it is after merges, or null. Fails with `invalid_user_key`. */
  resolve(user: UserKey): string | null;

  /** The user's contact and the external id that pages give, or null. Fails with `invalid_user_key`. */
  identity(user: UserKey): Identity | null;

  /** `resolve` for many users, in their order, in one call. Fails with `invalid_user_key`. */
  resolveMany(users: Iterable<UserKey>): (string | null)[];

  /**
   * What a page may say of the user, whose email the app believes to be `email` (null: it has none). Fails with
   * `invalid_user_key`, `invalid_email`.
   */
  decide(user: UserKey, email: string | null): Decision;

  /** `decide` for many pairs of user and email, in their order. Fails as `decide`, of the first that fails. */
  decideMany(pairs: Iterable<readonly [UserKey, string | null]>): Decision[];

  /**
   * The HTML that puts the decision, and HubSpot's loader, on a page: two script elements, safe as they are. Fails with
   * `invalid_user_key`, `invalid_email`, `invalid_option`.
   */
  snippet(user: UserKey, email: string | null, options?: SnippetOptions): string;

  /** The HTML for a page whose visitor the app does not know: the loader, and no identity. */
  anonymousSnippet(options?: SnippetOptions): string;

  /**
   * The HTML for the page after a sign-out: that of `anonymousSnippet`, and HubSpot's tracker gives the browser a new
   * usertoken, so that nothing it sends from here on belongs to the former user's contact.
   */
  signedOutSnippet(options?: SnippetOptions): string;

  /**
   * What `snippet` puts on a page, for a page that the app makes itself, to be sent as JSON. It is for `show` of
   * `page/vidcache.js`, which keeps the email from being named late; a response with it must not be cached
   * (`Cache-Control: private, no-store`). Fails with `invalid_user_key`, `invalid_email`.
   */
  pageData(user: UserKey, email: string | null): PageData;

  /** `pageData` of a visitor whom the app does not know. */
  anonymousPageData(): PageData;

  /** `pageData` of a visitor who has just signed out: `out` is true. */
  signedOutPageData(): PageData;

  /** What this handle has done in this process. */
  stats(): Stats;

  /**
   * Says that the user is this contact, without saying which email HubSpot holds for it. Durable once it is done. Fails
   * with `invalid_user_key`, `invalid_vid`, `vid_taken`; nothing is written then.
   */
  link(user: UserKey, vid: Id): Promise<void>;

  /** `link` to a contact that may be another user's too: the explicit choice that they share it. */
  linkShared(user: UserKey, vid: Id): Promise<void>;

  /**
   * Records what a HubSpot API call about the user answered. Recording an answer again, or an older one late, changes
   * nothing. Durable once it is done.
   *
   * `change` is the token of the change that this finishes: that takes an answer that says which email the contact holds
   * and since when, read after HubSpot was told. `askedAtMs` is when the call was begun, in milliseconds since 1970 UTC:
   * after a merge, a deletion, a restoration, a 404 or `forget` what HubSpot said before does not count, and HubSpot's
   * own time of the contact may not move for years; an answer to a call that was begun 5 s after that was heard, or
   * later, is believed all the same.
   *
   * Fails with `invalid_answer`, `answer_without_id`, `answer_without_email`, `contact_conflict`, `contact_missing`,
   * `rate_limited`, `refused`, `hubspot_error`, `unknown_change`, `foreign_change`, `vid_taken`, `invalid_user_key`;
   * nothing about the user is written then, but `refused` has ended the change. After that and `contact_missing` no page
   * names the email of the user's contact until a newer answer is recorded.
   */
  record(user: UserKey, answer: Answer, options?: { change?: Id | null; askedAtMs?: number | null }): Promise<Recorded>;

  /**
   * Takes in what an answer says of contacts, without saying whose they are: of a search, a batch, or any call that
   * `record` understands. All of it or nothing. `askedAtMs` as for `record`; not for a search, which finds contacts as
   * they were a while ago. Fails as `record`, of those that are not about a user.
   */
  observe(answer: Answer, options?: { askedAtMs?: number | null }): Promise<Observed>;

  /**
   * Takes in the body of a webhook, all of it or what of it erases a contact, however often it comes. Check it with
   * `verifySignature` first. Fails with `invalid_webhook`: the same body will fail again. After any other error answer
   * HubSpot with a 5xx, so that it sends the body again.
   */
  applyWebhook(body: Bytes | string): Promise<WebhookReport>;

  /**
   * Takes in what the app has long known, for a first fill; give it some 100,000 rows at a time. What was linked
   * otherwise stands against it, and so does a later email. Importing again changes nothing.
   *
   * Fails with `invalid_user_key`, `invalid_vid`, `invalid_email` of the first row that cannot be right; none is written
   * then. `invalid_answer` for a time that is not from 1970 to 9999: whole 100,000s of rows before it stay.
   */
  importUsers(rows: Iterable<ImportRow>): Promise<ImportReport>;

  /**
   * Begins a change of the user's email; gives its token, which goes through JSON and queues as it is. Until it is
   * finished by `record` or abandoned, no page names an email of theirs. Wait for it *before* the app's own commit. The
   * worker tells HubSpot `quietPeriodMs` later, and only while `isChangeOutstanding`. Fails with `invalid_user_key`;
   * after any error no change was begun, and the app must not change the email.
   */
  beginEmailChange(user: UserKey): Promise<string>;

  /**
   * Ends a change that did not happen: the app rolled back, and HubSpot was not told. Again: does nothing. Fails with
   * `unknown_change`, `foreign_change`, `invalid_user_key`.
   */
  abandonEmailChange(user: UserKey, change: Id): Promise<void>;

  /**
   * Whether the user's change is outstanding. A worker asks this before it tells HubSpot, with the user's lease. Fails
   * with `unknown_change`, `foreign_change`, `invalid_user_key`.
   */
  isChangeOutstanding(user: UserKey, change: Id): Promise<boolean>;

  /**
   * Since when the user's change has counted for every page that could name the email of their contact: when it was
   * begun, or when the contact became another user's too, if that was heard later. Milliseconds since 1970 UTC, by the
   * app's clock; null once it has ended. A worker asks when it runs, and waits until it is `quietPeriodMs` ago. Fails as
   * `isChangeOutstanding`.
   */
  changeOutstandingSince(user: UserKey, change: Id): Promise<number | null>;

  /**
   * How many milliseconds the worker must wait after the beginning of a change before it tells HubSpot: the longest page
   * deadline of any process that used the file within the last day, and 5 s more, which a page view may take to reach
   * HubSpot.
   */
  quietPeriodMs(): Promise<number>;

  /**
   * Takes the user's lease for so long, from 1 ms to 1 hour: the right to tell HubSpot of the user, which one job has at
   * a time, over all processes that use the file. With `renew`, the token of a lease, that one goes on for so long from
   * now. Gives the token; null: another job has it, or the one to be renewed had ended. A worker takes it before it
   * reads the user's email from the app's database, and renews it before each call that writes to HubSpot, for longer
   * than the call can take. A process that dies with it leaves it to run out. Fails with `invalid_option`,
   * `invalid_user_key`.
   */
  lease(user: UserKey, durationMs: number, options?: { renew?: Id | null }): Promise<string | null>;

  /** Ends the user's lease, so that the next job need not wait for its deadline. False: it had ended already. */
  release(user: UserKey, lease: Id): Promise<boolean>;

  /**
   * The changes begun `olderThanMs` milliseconds ago or longer and still outstanding, oldest first, at most `limit`
   * (1000). Their users' pages give the id alone until an answer that is read now is recorded with the token.
   */
  staleChanges(options: { olderThanMs: number; limit?: number }): Promise<StaleChange[]>;

  /**
   * Linked users whose contacts a job is to read from HubSpot, the longest unread first, that come after `after`, the
   * last of a list before, at most `limit` (100). `confirmed` false: those whose pages give the id alone since HubSpot
   * has not said which email it holds for the contact now, but for those read within `olderThanMs` who have not become
   * doubtful since. True: those last read, or last confirmed, longer ago than that.
   */
  usersToRead(options?: {
    confirmed?: boolean;
    olderThanMs?: number;
    after?: UserToRead | null;
    limit?: number;
  }): Promise<UserToRead[]>;

  /**
   * Users whose email another contact holds, or whose contact is another user's, as `record` was told by
   * `contact_conflict` and `vid_taken`: in the order of their keys, those after the user `after`, at most `limit` (100).
   * One is out of the list once HubSpot has merged the two, the user was forgotten, or `endConflict`.
   */
  conflicts(options?: { after?: UserKey | null; limit?: number }): Promise<Conflict[]>;

  /** Says that the user's conflict is over: they are agreed, or somebody has decided. */
  endConflict(user: UserKey): Promise<void>;

  /**
   * Why a worker must make no contact for a user who has none, where HubSpot refused their email for good and no change is
   * outstanding; `privacy_deletion` too, with or without a change, where the user's own contact was erased for privacy,
   * until the app links or forgets them. Null: there is no reason.
   */
  refusal(user: UserKey): Promise<'privacy_deletion' | 'invalid_email' | 'required_property' | null>;

  /** All users of a contact as text, an integer in decimal, by any of the ids that were merged into it. */
  usersOf(vid: Id): Promise<string[]>;

  /**
   * Doubts all that HubSpot has said of every contact: for an old copy of the file that was put back, before anything
   * renders pages. Once it is done no page names an email until HubSpot says something newer of the contact or a read
   * says it that is begun 5 s later (`usersToRead` lists them). Some 20 s for a million contacts; after an error, call
   * it again.
   */
  doubtAll(): Promise<void>;

  /** Why a page says of the user what it says, in sentences. Reads the file: not for a page itself. */
  explain(user: UserKey, email: string | null): Promise<Explanation>;

  /** Takes out all that is held on the user. False: nothing was held. After `busy`, call again. */
  forget(user: UserKey): Promise<boolean>;

  /** All that the file holds on the user, as a JSON object. Of emails there are keyed fingerprints only. */
  export(user: UserKey): Promise<string>;

  /** What is wrong with the file; empty: nothing. Reads all of it, minutes at millions of users. */
  verify(): Promise<string[]>;

  /**
   * Copies the file, as of one commit, to a new file of mode 0600; nobody waits for it. Its key stays wrapped under the
   * secret. Fails with `cannot_open` where the new file is there already or cannot be made.
   */
  backup(path: Path): Promise<void>;
}

/** A client of PostgreSQL: one of the package `pg`, or like it. */
export interface PgClient {
  // The declarations of pg are an overload for each use: this is what is used of them.
  query(statement: any): Promise<{ rows: any[] }>;
}

/** A pool of them: `Pool` of the package `pg`, or like it. */
export interface PgPool {
  connect(): Promise<PgClient & { release(broken?: any): void }>;
}

/** How to open a `Database`. What is left out has its default. */
export interface DatabaseOptions extends Omit<OpenOptions, 'busyTimeoutMs' | 'durable'> {
  /** At least 16 bytes, the same for every process. */
  secret: Bytes | string;
  /** In which schema of the database the tables are. Default: `public`. */
  schema?: string;
  /**
   * For how many milliseconds answers are kept: 0, not at all, so that each page asks; from 1000 to half of
   * `pageDeadlineMs`. Default: 0.
   */
  maxAgeMs?: number;
  /**
   * Whether a page's statements are kept prepared on their connections. False behind a pooler in transaction mode that
   * does not know of them. Default: true.
   */
  prepared?: boolean;
  /**
   * Called when a page says less than it could, since nobody answered or the answer is not believed. Default:
   * `process.emitWarning`, once an hour.
   */
  onStale?: (why: VidcacheError) => void;
}

/** Whether a worker may tell HubSpot of a change. */
export interface Turn {
  /** `now`: tell it. `wait`, `seen`: ask again in `waitMs`. `ended`: there is nothing to tell. */
  readonly turn: 'now' | 'wait' | 'seen' | 'ended';
  /** Null where there is nothing to wait for. */
  readonly waitMs: number | null;
}

/** What a `Database` that keeps answers has done, in this process. */
export interface Kept {
  /** Pages that memory answered. */
  readonly hits: number;
  /** Answers that brought memory up to date. */
  readonly looks: number;
  /** How often everything was forgotten, since it could not be shown that nothing was missed. */
  readonly forgotten: number;
  /** Users in memory. */
  readonly entries: number;
  /** Bytes that they take. */
  readonly bytes: number;
}

/**
 * The same rows in the app's own PostgreSQL, for an app whose processes share no disk; its statements are sent by the
 * app's own pool. What its methods take and give is what those of `Cache` do, but for these:
 *
 * - All that asks is a promise. A page asks by one statement for nearly every user, or, with `maxAgeMs`, memory. Where
 *   the database cannot be asked, or its answer may not be believed (a replica, a snapshot that is too old, another
 *   secret), the page goes out and says less: its reason is `stale`, and `onStale` is called. The time for which a page
 *   may name an email is shortened by the age of the answer.
 * - A change belongs to the transaction that it is begun in: `within(client).beginEmailChange(user)`. It is there if
 *   and only if that is committed.
 * - Whatever else writes has a transaction of its own, which is tried again after a deadlock; or is a part of the
 *   app's, `within(client)`, and what fails leaves that as it was.
 *
 * Failures are `VidcacheError`s with these codes besides: `storage`, the database cannot be reached, or failed;
 * `tables_unusable`; `busy`, a lock was waited for as long as the connection lets it. No text of the server's is in
 * them. The pool should be of the server that is written to, with `connectionTimeoutMillis` and a `lock_timeout`, which
 * say how long a page waits at most.
 */
export class Database {
  private constructor();

  /**
   * The tables in the database of `pool`, for a portal (the HubSpot account's id), which are set up unless somebody
   * has. They are made before, by a migration of the app's with the statements of `migration()`.
   *
   * Fails with `invalid_portal`, `invalid_secret`, `invalid_option` for the arguments; `tables_unusable`,
   * `wrong_portal`, `wrong_secret`, `newer_schema` for the tables; `storage`, `busy`.
   */
  static open(pool: PgPool, portalId: Id, options: DatabaseOptions): Promise<Database>;

  /**
   * The same tables by the client of a transaction that the app has begun, and ends: what is done by this belongs to
   * it. One for a transaction.
   */
  within(client: PgClient): Database;

  /** The HubSpot account that the tables belong to. */
  readonly portalId: string;

  /** `Cache.decide`. */
  decide(user: UserKey, email: string | null): Promise<Decision>;

  /** `Cache.decideMany`, a statement for each. */
  decideMany(pairs: Iterable<readonly [UserKey, string | null]>): Promise<Decision[]>;

  /** `Cache.snippet`. */
  snippet(user: UserKey, email: string | null, options?: SnippetOptions): Promise<string>;

  /** `Cache.pageData`. */
  pageData(user: UserKey, email: string | null): Promise<PageData>;

  /** `Cache.anonymousSnippet`; nothing is asked. */
  anonymousSnippet(options?: SnippetOptions): string;

  /** `Cache.signedOutSnippet`; nothing is asked. */
  signedOutSnippet(options?: SnippetOptions): string;

  /** `Cache.anonymousPageData`; nothing is asked. */
  anonymousPageData(): PageData;

  /** `Cache.signedOutPageData`; nothing is asked. */
  signedOutPageData(): PageData;

  /** What was answered from memory; null where no answers are kept. */
  stats(): Kept | null;

  /** `Cache.link`. */
  link(user: UserKey, vid: Id): Promise<void>;

  /** `Cache.linkShared`. */
  linkShared(user: UserKey, vid: Id): Promise<void>;

  /** `Cache.record`. */
  record(user: UserKey, answer: Answer, options?: { change?: Id | null; askedAtMs?: number | null }): Promise<Recorded>;

  /** `Cache.observe`. */
  observe(answer: Answer, options?: { askedAtMs?: number | null }): Promise<Observed>;

  /** `Cache.applyWebhook`. */
  applyWebhook(body: Bytes | string): Promise<WebhookReport>;

  /** `Cache.importUsers`, in a transaction for each 500. */
  importUsers(rows: Iterable<ImportRow>): Promise<ImportReport>;

  /**
   * Begins a change, `within` the transaction that changes the email: where that is rolled back, there never was one.
   * After its commit call `seeEmailChange`, and give a job the token. If it fails, roll back. Outside of a transaction
   * it is begun at once, as by `Cache.beginEmailChange`.
   */
  beginEmailChange(user: UserKey): Promise<string>;

  /** Says that the change is committed, so that its quiet period begins. `within` a transaction it does nothing. */
  seeEmailChange(change: Id): Promise<void>;

  /** `Cache.abandonEmailChange`; after a rollback there is nothing to abandon. */
  abandonEmailChange(user: UserKey, change: Id): Promise<void>;

  /** `Cache.isChangeOutstanding`. */
  isChangeOutstanding(user: UserKey, change: Id): Promise<boolean>;

  /**
   * Whether the worker, who has the user's lease, may tell HubSpot of the change now: a quiet period, or `atLeastMs`,
   * after it was seen to be committed, by PostgreSQL's clock. A change that nobody has seen is seen by this. Fails with
   * `unknown_change`, also of one that is not committed yet or was rolled back, and `foreign_change`.
   */
  turn(user: UserKey, change: Id, options?: { atLeastMs?: number }): Promise<Turn>;

  /**
   * How long a worker waits after a change was seen: the longest page deadline that any process has written down within
   * 30 days, and 5 s.
   */
  quietPeriodMs(): Promise<number>;

  /** `Cache.lease`; not within a transaction: others would wait for its end. */
  lease(user: UserKey, durationMs: number, options?: { renew?: Id | null }): Promise<string | null>;

  /** `Cache.release`. */
  release(user: UserKey, lease: Id): Promise<boolean>;

  /** `Cache.endConflict`. */
  endConflict(user: UserKey): Promise<void>;

  /** `Cache.forget`, with the user's jobs locked out (`lease`). */
  forget(user: UserKey): Promise<boolean>;

  /** `Cache.doubtAll`, by one row: for a database that was put back, before anything asks it. */
  doubtAll(): Promise<void>;

  /** `Cache.resolve`. */
  resolve(user: UserKey): Promise<string | null>;

  /** `Cache.identity`. */
  identity(user: UserKey): Promise<Identity | null>;

  /** `Cache.resolveMany`, by a statement for each 500. */
  resolveMany(users: Iterable<UserKey>): Promise<(string | null)[]>;

  /** Whether anything is known of the user that a page or a worker depends on. */
  isKnown(user: UserKey): Promise<boolean>;

  /** `Cache.refusal`. */
  refusal(user: UserKey): Promise<'privacy_deletion' | 'invalid_email' | 'required_property' | null>;

  /** `Cache.explain`, without the last events, which a file alone keeps. */
  explain(user: UserKey, email: string | null): Promise<Explanation>;

  /** `Cache.export`. */
  export(user: UserKey): Promise<string>;

  /** `Cache.usersOf`. */
  usersOf(vid: Id): Promise<string[]>;

  /** `Cache.staleChanges`, by PostgreSQL's clock. */
  staleChanges(options: { olderThanMs: number; limit?: number }): Promise<StaleChange[]>;

  /**
   * `Cache.usersToRead`, all of them, in the order of the ids that they were linked to: they are asked for as they are
   * taken.
   */
  usersToRead(options?: { confirmed?: boolean; olderThanMs?: number }): AsyncGenerator<UserToRead, void, void>;

  /** `Cache.conflicts`, in another order. */
  conflicts(options?: { after?: UserKey | null; limit?: number }): Promise<Conflict[]>;

  /** Whether the tables can be asked, written and believed: what is wrong; empty: nothing. */
  verify(): Promise<string[]>;
}

/** The statements of the app's migration, which make the tables in `schema`, `public` if it is left out. */
export function migration(options?: { schema?: string }): string[];

/**
 * Moves a file that will not open out of the way, with its log and index, so that `Cache` can make a new one. Gives where
 * it is now: `NAME.aside-MILLISECONDS` in the same folder. Fails with `busy` while any process has it open,
 * `cannot_open`, `unsupported_filesystem`; then nothing was moved.
 */
export function moveAside(path: Path): Promise<string>;

/**
 * Puts a copy of a backup in the place of the file at `path`, while nobody has that open. All that HubSpot said of every
 * contact is doubted in it first: no page names an email until the contact was read again. What was at `path` is moved
 * aside; gives where it is now, or null where there was nothing. Fails with `busy` while any process has the file open,
 * `not_a_cache`, `newer_schema`, `corrupt` for what is in the backup, `cannot_open`, `unsupported_filesystem`; then the
 * file is as it was, or moved aside.
 */
export function restore(backup: Path, path: Path): Promise<string | null>;

/** A request that may come from HubSpot. */
export interface SignedRequest {
  method: string;
  /**
   * The whole address that HubSpot called, `https://…`, the public one: of the app's settings, and not of the request,
   * whose `Host` and `X-Forwarded-Host` are the sender's.
   */
  uri: string;
  /** As it came. */
  body: Bytes | string;
  /** Of Node's request, of `fetch`'s, or any mapping; names in any case, only the signature's are looked at. */
  headers: Iterable<readonly [string, string]> | Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Milliseconds since 1970 UTC; the clock's, if it is left out. */
  nowMs?: number;
  /**
   * Whether a webhook without v3 may be signed by v1, which names no time and no address: whoever has seen a delivery,
   * with whatever headers, can send it again, to another endpoint too, until its newest event is 25 hours old.
   */
  takeV1?: boolean;
  /** The same for v2, which names no time. */
  takeV2?: boolean;
}

/**
 * Checks that HubSpot signed a request with the app's client secret within five minutes of now. Fails with
 * `invalid_signature`; `invalid_option` for the arguments, an empty secret among them.
 */
export function verifySignature(secret: Bytes | string, request: SignedRequest): void;

/** The version of this package and of its native library. */
export const version: string;
