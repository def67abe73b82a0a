package vidcache

import java.util.UUID

/**
 * Who a user is to the app: an integer, a UUID, or a text of 1 to 255 bytes of UTF-8 without NUL, never an email.
 * `UserKey("42")` and `UserKey(42)` are one user. What cannot be a key is found by the call that is given it, which
 * throws [InvalidUserKey].
 */
public class UserKey private constructor(internal val id: Long, private val text: String?) {
    /** An integer, as databases hand them out. */
    public constructor(id: Long) : this(id, null)

    /** Any other text. */
    public constructor(text: String) : this(0, text)

    /** A UUID: the same user as its text in lower case. */
    public constructor(id: UUID) : this(0, id.toString())

    internal val isId: Boolean get() = text == null

    override fun toString(): String = text ?: id.toString()

    override fun equals(other: Any?): Boolean = other is UserKey && toString() == other.toString()

    override fun hashCode(): Int = toString().hashCode()
}

/** Which contact a user is. */
public data class Identity(
    /** The contact, as it is after merges: from 1 to 2^63 - 1. */
    val vid: Long,
    /** The external id that pages give; null where another user gives it. */
    val externalId: Long?,
)

/** Why a page may say what it may. */
public enum class Reason(
    /** The stable name, the same in every language: `agreed`. */
    public val code: String,
) {
    // From here to the companion: made by bindings/tables.
    /** The app and HubSpot agree on the email, and no change of it is outstanding. */
    AGREED("agreed"),

    /** A change of the user's email has begun and HubSpot's answer is not recorded yet. */
    CHANGE_OUTSTANDING("change_outstanding"),

    /** HubSpot holds another email for this contact. */
    EMAIL_DIFFERS("email_differs"),

    /** HubSpot has not said which email it holds for this contact. */
    EMAIL_UNCONFIRMED("email_unconfirmed"),

    /** The app has no email for this user. */
    EMAIL_ABSENT("email_absent"),

    /** The user is not linked to a contact. */
    NOT_LINKED("not_linked"),

    /** What is known is older than a page may be, or nobody could be asked: the store in the app's database says so. */
    STALE("stale"),
    ;

    internal companion object {
        private val byCode = entries.associateBy(Reason::code)

        /** The library is of this version, so there is no other. */
        fun of(code: String): Reason = byCode.getValue(code)
    }
}

/** What a page may say of a user: email and id, id alone, or nothing. */
public data class Decision(
    /** The email to name, normalised, or null. */
    val email: String?,
    /** The external id to give, or null. */
    val id: Long?,
    /** Why. */
    val reason: Reason,
) {
    /** Whether the email may be named. */
    val agreed: Boolean get() = reason == Reason.AGREED

    /** Without the email, so that no log has it. */
    override fun toString(): String = "Decision(id=$id, reason=$reason)"
}

/** Why a page says what it says. As text it has a sentence to a line, and no email. */
public data class Explanation(
    /** What the page may say. */
    val decision: Decision,
    /** What that rests on. */
    val sentences: List<String>,
) {
    override fun toString(): String = sentences.joinToString("\n")
}

/** What [Cache.record] learnt. */
public data class Recorded(
    /** The contact that the answer described. */
    val vid: Long,
    /** Whether that is the id that was asked for; if not, that one was merged into it. */
    val canonical: Boolean,
    /** Whether the call made the contact, if the answer says so. */
    val created: Boolean?,
    /** Whether the answer said which email the contact holds, and since when. */
    val emailObserved: Boolean,
)

/** What [Cache.observe] learnt. */
public data class Observed(
    /** The contacts that the answer described. */
    val contacts: List<Long>,
    /** The ids for which HubSpot says it has no contact. */
    val missing: List<Long>,
)

/** What [Cache.applyWebhook] did with the events of a body. */
public data class WebhookReport(
    /** Events that told something new. */
    val applied: Long,
    /** Events that came before, or were overtaken by something newer. */
    val repeated: Long,
    /** Events of other types, objects, properties or portals. */
    val ignored: Long,
)

/** A user whom [Cache.importUsers] takes in. */
public data class ImportRow @JvmOverloads constructor(
    val user: UserKey,
    /** Their contact: from 1 to 2^63 - 1. */
    val vid: Long,
    /** The email that HubSpot held for the contact, if known. */
    val email: String? = null,
    /** Since when, HubSpot's updatedAt: milliseconds since 1970 UTC. */
    val emailAtMs: Long = 0,
) {
    /** Without the email, so that no log has it. */
    override fun toString(): String = "ImportRow(user=$user, vid=$vid, emailAtMs=$emailAtMs)"
}

/** What [Cache.importUsers] did. */
public data class ImportReport(
    /** Users taken in, or known already. */
    val imported: Long,
    /** Users left out because another user has their contact. */
    val vidTaken: Long,
)

/** A user whose contact is in question. */
public data class Conflict(
    val user: UserKey,
    /** The user's contact, after merges; null where they are linked to none. */
    val vid: Long?,
    /** The contact that holds their email, or that another user has; null where HubSpot did not name it. */
    val holder: Long?,
    /** `email_held`: HubSpot holds the email for `holder`; `vid_taken`: its answer named another user's contact. */
    val why: String,
    /** Since when this conflict stands: milliseconds since 1970 UTC, by the app's clock. */
    val sinceMs: Long,
)

/** A change that was begun and is outstanding. */
public data class StaleChange(
    val user: UserKey,
    /** What a fresh answer must be recorded with: from 1 to 2^63 - 1. */
    val token: Long,
    /** When it was begun: milliseconds since 1970 UTC, by the app's clock. */
    val begunAtMs: Long,
)

/** A linked user whose contact is to be read. */
public data class UserToRead(
    /** Of several who share the contact, one. */
    val user: UserKey,
    /** The contact. */
    val vid: Long,
    /** When it was last read, or else when HubSpot last confirmed its email: milliseconds since 1970 UTC. 0: never. */
    val readAtMs: Long,
)

/** What a [Cache] has done since it was opened, in this process. */
public data class Stats(
    // From here on: made by bindings/tables.
    /** Look-ups answered from memory. Threads count beside each other without a lock, so this may miss a few. */
    val hits: Long,
    /** Look-ups that read the file. */
    val misses: Long,
    /** How often the table was brought up to date after commits. */
    val syncs: Long,
    /** Users put out of the table to make room. */
    val evictions: Long,
    /** Users in the table. */
    val entries: Long,
    /** Bytes that the table takes. */
    val bytes: Long,
    /** The newest revision that the table has seen. */
    val revision: Long,
    /** How often the file, its log or its WAL index was replaced or deleted under us, and opened again. */
    val reopened: Long,
    /** Bytes of the log beside the file, which grows behind a reader that stays, such as a backup. */
    val logBytes: Long,
    /** Why the file will not last where it is, if it will not: it is on a container's own layer, or in memory. */
    val passing: String?,
    /** Why every look-up reads the file, if it does. */
    val fallback: String?,
    /** The code of the last failure, such as `busy`. */
    val lastError: String?,
)
