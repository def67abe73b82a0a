package vidcache

import java.time.Duration

/**
 * A failed call: a class for each of the library's stable codes. No message holds an email, a secret or a value of an
 * answer.
 */
public sealed class VidcacheException(
    /** The stable name, the same in every language: `busy`. */
    public val code: String,
    /** The stable number. */
    public val number: Int,
    message: String,
) : RuntimeException(message)

// From here on: made by bindings/tables.

/** The user key cannot be a key: text is 1 to 255 bytes of UTF-8 without NUL. */
public class InvalidUserKey internal constructor(message: String) : VidcacheException("invalid_user_key", 101, message)

/** The vid is not an integer from 1 to 2^63 - 1. */
public class InvalidVid internal constructor(message: String) : VidcacheException("invalid_vid", 102, message)

/** The email cannot be an address. */
public class InvalidEmail internal constructor(message: String) : VidcacheException("invalid_email", 103, message)

/** The portal id is not an integer from 1 to 2^63 - 1. */
public class InvalidPortal internal constructor(message: String) : VidcacheException("invalid_portal", 104, message)

/** The secret is too short to key the fingerprints: it takes at least 16 bytes. */
public class InvalidSecret internal constructor(message: String) : VidcacheException("invalid_secret", 105, message)

/** An option, or another argument, is of the wrong type or out of its range. */
public class InvalidOption internal constructor(message: String) : VidcacheException("invalid_option", 106, message)

/** The caller's buffer is too small for what was to be written to it. Only callers in C hand one over. */
public class BufferTooSmall internal constructor(message: String) : VidcacheException("buffer_too_small", 107, message)

/** The answer is not JSON, or a field that matters has the wrong type. */
public class InvalidAnswer internal constructor(message: String) : VidcacheException("invalid_answer", 111, message)

/** The answer is JSON but names no contact. What was asked for may have been done all the same, so read the contact. */
public class AnswerWithoutId internal constructor(message: String) :
    VidcacheException("answer_without_id", 112, message)

/** The answer names a contact but not which email it holds and since when, so it cannot finish a change. */
public class AnswerWithoutEmail internal constructor(message: String) :
    VidcacheException("answer_without_email", 113, message)

/**
 * The webhook's body is not a batch of events, or a field that matters has the wrong type. Nothing of the batch is
 * applied but its erasures.
 */
public class InvalidWebhook internal constructor(message: String) : VidcacheException("invalid_webhook", 114, message)

/** The request was not signed by HubSpot with this secret, or was signed at another time. */
public class InvalidSignature internal constructor(message: String) :
    VidcacheException("invalid_signature", 115, message)

/** No change with this token is known. */
public class UnknownChange internal constructor(message: String) : VidcacheException("unknown_change", 201, message)

/** The change token belongs to another user, or to one who was forgotten. */
public class ForeignChange internal constructor(message: String) : VidcacheException("foreign_change", 202, message)

/** The contact is linked to another user. */
public class VidTaken internal constructor(
    message: String,
    /** The contact that the failure is about, where one is known. */
    public val vid: Long?,
) : VidcacheException("vid_taken", 203, message)

/** HubSpot refused: another contact holds the email (409, or a 400 that means the same). */
public class ContactConflict internal constructor(
    message: String,
    /** The contact that the failure is about, where one is known. */
    public val vid: Long?,
) : VidcacheException("contact_conflict", 204, message)

/** HubSpot has no such contact (404, in HubSpot's own words). It may pass: so it is right after a create. */
public class ContactMissing internal constructor(message: String) : VidcacheException("contact_missing", 205, message)

/**
 * HubSpot asks to wait, and the call was not carried out: its rate limit was reached (429), or it is at work (423, 477,
 * 503).
 */
public class RateLimited internal constructor(
    message: String,
    /** How long the limit lasts at most, where HubSpot's answer tells. */
    public val retryAfter: Duration?,
) : VidcacheException("rate_limited", 206, message)

/**
 * HubSpot will not take the email, however often it is told (400): the change has ended, and the message says what to
 * do.
 */
public class Refused internal constructor(message: String) : VidcacheException("refused", 207, message)

/** HubSpot answered with an error that says nothing of a contact: no access, a failure of its own. Try again later. */
public class HubspotError internal constructor(message: String) : VidcacheException("hubspot_error", 208, message)

/** The file belongs to another HubSpot portal. */
public class WrongPortal internal constructor(message: String) : VidcacheException("wrong_portal", 301, message)

/** The file's key is wrapped under another secret. */
public class WrongSecret internal constructor(message: String) : VidcacheException("wrong_secret", 302, message)

/** The file is not a database of this library. */
public class NotACache internal constructor(message: String) : VidcacheException("not_a_cache", 303, message)

/** The file was written by a newer version of this library. */
public class NewerSchema internal constructor(message: String) : VidcacheException("newer_schema", 304, message)

/** The file cannot be opened or created. */
public class CannotOpen internal constructor(message: String) : VidcacheException("cannot_open", 305, message)

/** The file system cannot carry a database that several processes share. */
public class UnsupportedFilesystem internal constructor(message: String) :
    VidcacheException("unsupported_filesystem", 306, message)

/**
 * vidcache's tables in the app's database cannot be used: they are missing or half migrated, were not set up, may not
 * be written, were asked on a replica or in a transaction that sees them as they were, or hold what cannot be.
 */
public class TablesUnusable internal constructor(message: String) : VidcacheException("tables_unusable", 307, message)

/** Another process held the write lock for longer than the busy timeout. */
public class Busy internal constructor(message: String) : VidcacheException("busy", 401, message)

/** The call was cancelled while it waited; nothing was written. */
public class Cancelled internal constructor(message: String) : VidcacheException("cancelled", 402, message)

/** SQLite or the disk failed; nothing of this call was written. */
public class Storage internal constructor(message: String) : VidcacheException("storage", 403, message)

/** The file is damaged. */
public class Corrupt internal constructor(message: String) : VidcacheException("corrupt", 404, message)

/** The handle was closed. */
public class Closed internal constructor(message: String) : VidcacheException("closed", 405, message)

/** A defect of this library, caught at a binding's edge. */
public class Internal internal constructor(message: String) : VidcacheException("internal", 501, message)

internal fun exception(code: String, message: String, vid: Long?, retryAfter: Duration?): VidcacheException =
    when (code) {
        "invalid_user_key" -> InvalidUserKey(message)
        "invalid_vid" -> InvalidVid(message)
        "invalid_email" -> InvalidEmail(message)
        "invalid_portal" -> InvalidPortal(message)
        "invalid_secret" -> InvalidSecret(message)
        "invalid_option" -> InvalidOption(message)
        "buffer_too_small" -> BufferTooSmall(message)
        "invalid_answer" -> InvalidAnswer(message)
        "answer_without_id" -> AnswerWithoutId(message)
        "answer_without_email" -> AnswerWithoutEmail(message)
        "invalid_webhook" -> InvalidWebhook(message)
        "invalid_signature" -> InvalidSignature(message)
        "unknown_change" -> UnknownChange(message)
        "foreign_change" -> ForeignChange(message)
        "vid_taken" -> VidTaken(message, vid)
        "contact_conflict" -> ContactConflict(message, vid)
        "contact_missing" -> ContactMissing(message)
        "rate_limited" -> RateLimited(message, retryAfter)
        "refused" -> Refused(message)
        "hubspot_error" -> HubspotError(message)
        "wrong_portal" -> WrongPortal(message)
        "wrong_secret" -> WrongSecret(message)
        "not_a_cache" -> NotACache(message)
        "newer_schema" -> NewerSchema(message)
        "cannot_open" -> CannotOpen(message)
        "unsupported_filesystem" -> UnsupportedFilesystem(message)
        "tables_unusable" -> TablesUnusable(message)
        "busy" -> Busy(message)
        "cancelled" -> Cancelled(message)
        "storage" -> Storage(message)
        "corrupt" -> Corrupt(message)
        "closed" -> Closed(message)
        else -> Internal(message)
    }
