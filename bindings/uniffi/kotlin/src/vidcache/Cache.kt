package vidcache

import java.lang.ref.Reference
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.file.Path
import java.time.Duration
import vidcache.uniffi.OpenOptions
import vidcache.uniffi.ImportRow as NativeRow
import vidcache.uniffi.UserToRead as NativeUserToRead
import vidcache.uniffi.Vidcache as Native

/**
 * A user → contact cache in one SQLite file, for one HubSpot portal.
 *
 * Any thread may use it, several at once. Several processes of one host may open the same file; each sees every commit
 * made before its call. The file is private to the library: no other SQLite, and no plain open and close, may touch it
 * from the same process. A JVM does not fork; the programs that it starts inherit nothing of this.
 *
 * Every failure is a [VidcacheException]. All calls may throw [Storage], [Corrupt], [Busy] and, after [close],
 * [Closed].
 *
 * Opens the file at `path`, making it with mode 0600 where there is none. The folder must exist, on a local disk.
 *
 * @param path of the default file system
 * @param portalId the HubSpot account's id: from 1 to 2^63 - 1
 * @param secret what the file's key is wrapped under: at least 16 bytes, kept outside the file. Without one the key
 *   lies open in the file, so whoever has the file can test a guessed email against it
 * @param loaderHost the host of HubSpot's loader, copied from the portal's own embed code (in HubSpot: Settings,
 *   Tracking code), whose src is `//HOST/PORTAL.js`: `js-eu1.hs-scripts.com` for portals in the EU data centre,
 *   `js-na2`, `js-ap1` and others elsewhere
 * @param memory the most bytes that the in-process table takes
 * @param busyTimeout how long a call waits for other processes' writes before [Busy]; the beginning of a change,
 *   which a visitor may be waiting for, 2 s at most. At most 1 hour
 * @param pageDeadline how long after it was rendered a page may name an email; a page that runs later gives the id
 *   alone. A worker tells HubSpot of a change when pages rendered before the change are older than this. Where
 *   processes that share a file have different ones, the longest counts. From 100 ms to 1 hour
 * @param durable whether a write that returned survives a power failure. If not, it survives a crash of the process,
 *   and a power failure may take the last writes, the beginning of a change among them: then a page may name an email
 *   that HubSpot holds no more
 * @param oldSecrets what `secret` was before, the newest first. A file that was made or last opened with one of these
 *   is opened, and its key is wrapped anew under `secret`, which is one row: afterwards the old ones are not needed
 * @throws InvalidPortal
 * @throws InvalidSecret
 * @throws InvalidOption
 * @throws CannotOpen
 * @throws UnsupportedFilesystem
 * @throws NotACache
 * @throws NewerSchema
 * @throws WrongPortal
 * @throws WrongSecret
 * @throws Corrupt this and the four before it: for what is in the file, which is left as it was
 * @throws LinkageError where the native library is missing or of another version
 */
public class Cache @JvmOverloads constructor(
    path: Path,
    portalId: Long,
    // From here on: made by bindings/tables.
    secret: ByteArray? = null,
    loaderHost: String = "js.hs-scripts.com",
    memory: Long = 32L shl 20,
    busyTimeout: Duration = Duration.ofSeconds(5),
    pageDeadline: Duration = Duration.ofSeconds(10),
    durable: Boolean = true,
    oldSecrets: List<ByteArray> = emptyList(),
) : AutoCloseable {
    internal val core: Native

    /** Where it is for [Direct]: good as long as [core] is reachable, which [direct] sees to. */
    internal val at: Long

    init {
        Library.ready()
        val options = OpenOptions(
            // The options: made by bindings/tables.
            secret = secret,
            loaderHost = Input.text(loaderHost, "loader_host"),
            memory = Input.count(memory, "memory", Long.MAX_VALUE).toULong(),
            busyTimeoutMs = Input.milliseconds(busyTimeout, "busy_timeout"),
            pageDeadlineMs = Input.milliseconds(pageDeadline, "page_deadline"),
            full = durable,
            oldSecrets = oldSecrets,
        )
        core = call { Native.open(Input.path(path), portalId, options) }
        at = core.address().toLong()
    }

    /**
     * Past UniFFI. The collector may take an object while the last call on it runs, and with it what [at] points to.
     */
    private inline fun <T> direct(function: (Long) -> T): T =
        try {
            function(at)
        } finally {
            Reference.reachabilityFence(this)
        }

    override fun toString(): String = "vidcache.Cache of portal $portalId"

    /** The HubSpot account that the file belongs to. */
    public val portalId: Long get() = core.portalId()

    /**
     * Closes the file. Every later call throws [Closed]; closing again does nothing. One that is let go is closed too.
     */
    override fun close(): Unit = call { core.closeFile() }

    /**
     * The user's contact, as it is after merges, or null. Less than a microsecond when memory has the user.
     *
     * @throws InvalidUserKey
     */
    public fun resolve(user: UserKey): Long? {
        val vid = direct { Direct.resolve(it, user) }
        if (vid != Direct.ASK) return vid.takeIf { it != 0L }
        return call { core.resolve(Input.user(user)) }?.vid
    }

    /**
     * The user's contact and the external id that pages give, or null.
     *
     * @throws InvalidUserKey
     */
    public fun identity(user: UserKey): Identity? =
        call { core.resolve(Input.user(user)) }?.let { Identity(it.vid, it.externalId) }

    /**
     * [resolve] for many users, in their order, in one call.
     *
     * @throws InvalidUserKey
     */
    public fun resolveMany(users: Iterable<UserKey>): List<Long?> {
        val given = users as? Collection<UserKey> ?: users.toList()
        val vids = if (given.all(UserKey::isId)) resolveIds(given) else resolveTexts(given)
        val found = ByteBuffer.wrap(vids).order(ByteOrder.nativeOrder()).asLongBuffer()
        return List(given.size) { found.get(it).takeIf { vid -> vid != 0L } }
    }

    private fun resolveIds(users: Collection<UserKey>): ByteArray {
        val packed = ByteBuffer.allocate(8 * users.size).order(ByteOrder.nativeOrder())
        for (user in users) packed.putLong(user.id)
        return call { core.resolveManyIds(packed.array()) }
    }

    private fun resolveTexts(users: Collection<UserKey>): ByteArray {
        val joined = StringBuilder()
        for (user in users) {
            val key = Input.user(user)
            // Joined it would be another key, or two. Asked alone it is refused, in the library's words.
            if (key.isEmpty() || '\u0000' in key) call { core.resolve(key) }
            joined.append(key).append('\u0000')
        }
        return call { core.resolveManyTexts(joined.toString()) }
    }

    /**
     * What a page may say of the user, whose email the app believes to be `email` (null: it has none).
     *
     * @throws InvalidUserKey
     * @throws InvalidEmail
     */
    public fun decide(user: UserKey, email: String?): Decision =
        direct { Direct.decide(it, user, email) }
            ?: call { core.decide(Input.user(user), Input.email(email)) }.let(::decision)

    /**
     * [decide] for many pairs of user and email, in their order.
     *
     * @throws InvalidUserKey
     * @throws InvalidEmail of the first that fails
     */
    public fun decideMany(users: Iterable<Pair<UserKey, String?>>): List<Decision> =
        users.map { (user, email) -> decide(user, email) }

    /**
     * The HTML that puts the decision, and HubSpot's loader, on a page: two script elements, safe as they are.
     *
     * @param nonce the page's Content-Security-Policy nonce
     * @throws InvalidUserKey
     * @throws InvalidEmail
     * @throws InvalidOption
     */
    @JvmOverloads
    public fun snippet(user: UserKey, email: String?, nonce: String? = null): String =
        direct { Direct.snippet(it, user, email, nonce) }
            ?: call { core.snippet(Input.user(user), Input.email(email), Input.text(nonce, "nonce")) }

    /** The HTML for a page whose visitor the app does not know: the loader, and no identity. */
    @JvmOverloads
    public fun anonymousSnippet(nonce: String? = null): String =
        direct { Direct.snippet(it, null, null, nonce) } ?: call { core.anonymousSnippet(Input.text(nonce, "nonce")) }

    /**
     * The HTML for the page after a sign-out: that of [anonymousSnippet], and HubSpot's tracker gives the browser a new
     * usertoken, so that nothing it sends from here on belongs to the former user's contact.
     *
     * @throws InvalidOption
     */
    @JvmOverloads
    public fun signedOutSnippet(nonce: String? = null): String = call { core.signedOutSnippet(Input.text(nonce, "nonce")) }

    /**
     * What [snippet] puts on a page, as a JSON object for a page that the app makes itself: `at`, the time of this call
     * (milliseconds since 1970 UTC), `ttl`, how long after that the email may be named (milliseconds), and, where the
     * decision has them, `id` (`"vid:901"`) and `email`. It is for `show` of `page/vidcache.js`, which keeps the email
     * from being named late; a response with it must not be cached (`Cache-Control: private, no-store`).
     *
     * @throws InvalidUserKey
     * @throws InvalidEmail
     */
    public fun pageData(user: UserKey, email: String?): String = call { core.pageData(Input.user(user), Input.email(email)) }

    /** [pageData] of a visitor whom the app does not know. */
    public fun anonymousPageData(): String = call { core.anonymousPageData() }

    /**
     * [pageData] of a visitor who has just signed out: `at`, `ttl` and `out`, which is true; as [signedOutSnippet] for
     * a page.
     */
    public fun signedOutPageData(): String = call { core.signedOutPageData() }

    /**
     * Says that the user is this contact, without saying which email HubSpot holds for it. Durable on return.
     *
     * @param vid from 1 to 2^63 - 1
     * @throws InvalidUserKey
     * @throws InvalidVid
     * @throws VidTaken nothing is written then
     */
    public fun link(user: UserKey, vid: Long): Unit = call { core.link(Input.user(user), vid) }

    /** [link] to a contact that may be another user's too: the explicit choice that they share it. */
    public fun linkShared(user: UserKey, vid: Long): Unit = call { core.linkShared(Input.user(user), vid) }

    /**
     * Records what a HubSpot API call about the user answered: the body, as it came. Recording an answer again, or an
     * older one late, changes nothing. Durable on return.
     *
     * @param change the token of the change that this finishes: that takes an answer that says which email the contact
     *   holds and since when, read after HubSpot was told
     * @param askedAtMs when the call was begun, in milliseconds since 1970 UTC. After a merge, a deletion, a
     *   restoration, a 404 or [forget] what HubSpot said before does not count, and HubSpot's own time of the contact
     *   may not move for years: an answer to a call that was begun 5 s after that was heard, or later, is believed all
     *   the same
     * @throws InvalidAnswer
     * @throws AnswerWithoutId
     * @throws AnswerWithoutEmail
     * @throws ContactConflict
     * @throws ContactMissing then no page names the email of the user's contact until a newer answer is recorded
     * @throws RateLimited
     * @throws Refused then the change has ended, and no page names the email of the user's contact until a newer answer
     *   is recorded
     * @throws HubspotError
     * @throws UnknownChange
     * @throws ForeignChange
     * @throws VidTaken
     * @throws InvalidUserKey after any of these nothing about the user is written
     */
    @JvmOverloads
    public fun record(user: UserKey, answer: ByteArray, change: Long? = null, askedAtMs: Long? = null): Recorded {
        val done = call { core.record(Input.user(user), answer, change, askedAtMs) }
        return Recorded(done.vid, done.canonical, done.created, done.emailObserved)
    }

    /** [record] of a body that was read as text. */
    @JvmOverloads
    public fun record(user: UserKey, answer: String, change: Long? = null, askedAtMs: Long? = null): Recorded =
        record(user, Input.answer(answer), change, askedAtMs)

    /**
     * Takes in what an answer says of contacts, without saying whose they are: of a search, a batch, or any call that
     * [record] understands. All of it or nothing. Throws as [record], of those that are not about a user.
     *
     * @param askedAtMs as for [record]; not for a search, which finds contacts as they were a while ago
     */
    @JvmOverloads
    public fun observe(answer: ByteArray, askedAtMs: Long? = null): Observed =
        call { core.observe(answer, askedAtMs) }.let { Observed(it.contacts, it.missing) }

    /** [observe] of a body that was read as text. */
    @JvmOverloads
    public fun observe(answer: String, askedAtMs: Long? = null): Observed = observe(Input.answer(answer), askedAtMs)

    /**
     * Takes in the body of a webhook, all of it or what of it erases a contact, however often it comes. Check it with
     * [verifySignature] first.
     *
     * @throws InvalidWebhook the same body will fail again; after any other error answer HubSpot with a 5xx, so that it
     *   sends the body again
     */
    public fun applyWebhook(body: ByteArray): WebhookReport {
        val done = call { core.applyWebhook(body) }
        return WebhookReport(done.applied.toLong(), done.repeated.toLong(), done.ignored.toLong())
    }

    /**
     * Takes in what the app has long known, for a first fill; give it some 100,000 rows at a time. What was linked
     * otherwise stands against it, and so does a later email. Importing again changes nothing.
     *
     * @throws InvalidUserKey
     * @throws InvalidVid
     * @throws InvalidEmail this and the two before it: of the first row that cannot be right; none is written then
     * @throws InvalidAnswer for a time that is not from 1970 to 9999: whole 100,000s of rows before it stay
     */
    public fun importUsers(rows: Iterable<ImportRow>): ImportReport {
        val converted = rows.map { NativeRow(Input.user(it.user), it.vid, Input.email(it.email), it.emailAtMs) }
        return call { core.importUsers(converted) }.let { ImportReport(it.imported.toLong(), it.vidTaken.toLong()) }
    }

    /**
     * Begins a change of the user's email and returns its token, from 1 to 2^63 - 1: until it is finished by [record]
     * or abandoned, no page names an email of theirs. Call it *before* the app's own commit. The worker tells HubSpot a
     * [quietPeriod] later, and only while [isChangeOutstanding].
     *
     * @throws InvalidUserKey after any error no change was begun, and the app must not change the email
     */
    public fun beginEmailChange(user: UserKey): Long = call { core.beginEmailChange(Input.user(user)) }

    /**
     * Ends a change that did not happen: the app rolled back, and HubSpot was not told. Again: does nothing.
     *
     * @throws UnknownChange
     * @throws ForeignChange
     * @throws InvalidUserKey
     */
    public fun abandonEmailChange(user: UserKey, change: Long): Unit = call { core.abandonEmailChange(Input.user(user), change) }

    /**
     * Whether the user's change is outstanding. A worker asks this before it tells HubSpot, with the user's other jobs
     * locked out.
     *
     * @throws UnknownChange
     * @throws ForeignChange
     * @throws InvalidUserKey
     */
    public fun isChangeOutstanding(user: UserKey, change: Long): Boolean =
        call { core.isChangeOutstanding(Input.user(user), change) }

    /**
     * Since when the user's change has counted for every page that could name the email of their contact: when it was
     * begun, or when the contact became another user's too, if that was heard later. Milliseconds since 1970 UTC, by
     * the app's clock; null once it has ended. A worker asks when it runs, and waits until it is a [quietPeriod] ago.
     *
     * @throws UnknownChange
     * @throws ForeignChange
     * @throws InvalidUserKey
     */
    public fun changeOutstandingSince(user: UserKey, change: Long): Long? =
        call { core.changeOutstandingSince(Input.user(user), change) }

    /**
     * How long the worker must wait after the beginning of a change before it tells HubSpot: the longest page deadline
     * of any process that used the file within the last day, and 5 s more, which a page view may take to reach HubSpot.
     */
    public fun quietPeriod(): Duration = Duration.ofMillis(call { core.quietPeriod() }.toLong())

    /**
     * Takes the user's lease for `duration`, from 1 ms to 1 hour: the right to tell HubSpot of the user, which one job
     * has at a time, over all processes that use the file. With `renew`, the token of a lease, that one goes on for so
     * long from now. A worker takes it before it reads the user's email from the app's database, and renews it before
     * each call that writes to HubSpot, for longer than the call can take. A process that dies with it leaves it to run
     * out.
     *
     * @return the token; null: another job has it, or the one to be renewed had ended
     * @throws InvalidOption
     * @throws InvalidUserKey
     */
    @JvmOverloads
    public fun lease(user: UserKey, duration: Duration, renew: Long? = null): Long? =
        call { core.lease(Input.user(user), Input.milliseconds(duration, "lease"), renew) }

    /**
     * Ends the user's lease, so that the next job need not wait for its deadline. False: it had ended already.
     *
     * @throws InvalidUserKey
     */
    public fun release(user: UserKey, lease: Long): Boolean = call { core.release(Input.user(user), lease) }

    /**
     * The changes begun longer ago than `olderThan` and still outstanding, oldest first. Their users' pages give the id
     * alone until an answer that is read now is recorded with the token.
     *
     * @param limit the most that are returned: from 0
     * @throws InvalidOption
     */
    @JvmOverloads
    public fun staleChanges(olderThan: Duration, limit: Int = 1000): List<StaleChange> {
        val most = Input.count(limit.toLong(), "limit", Int.MAX_VALUE.toLong()).toUInt()
        val found = call { core.staleChanges(Input.milliseconds(olderThan, "older_than"), most) }
        return found.map { StaleChange(UserKey(it.user), it.token, it.begunAtMs) }
    }

    /**
     * Linked users whose contacts a job is to read from HubSpot, the longest unread first, that come after `after`, the
     * last of a list before. `confirmed` false: those whose pages give the id alone since HubSpot has not said which
     * email it holds for the contact now, but for those read within `olderThan` who have not become doubtful since.
     * True: those last read, or last confirmed, longer ago than that. Finding nobody takes microseconds.
     *
     * @param limit the most that are returned: from 0
     * @throws InvalidOption
     */
    @JvmOverloads
    public fun usersToRead(confirmed: Boolean, olderThan: Duration, after: UserToRead? = null, limit: Int = 100): List<UserToRead> {
        val most = Input.count(limit.toLong(), "limit", Int.MAX_VALUE.toLong()).toUInt()
        val last = after?.let { NativeUserToRead(it.user.toString(), it.vid, it.readAtMs) }
        val found = call { core.usersToRead(confirmed, Input.milliseconds(olderThan, "older_than"), last, most) }
        return found.map { UserToRead(UserKey(it.user), it.vid, it.readAtMs) }
    }

    /**
     * Users whose email another contact holds, or whose contact is another user's, as [record] was told by
     * [ContactConflict] and [VidTaken]: in the order of their keys, those after the user `after`. One is out of the
     * list once HubSpot has merged the two, the user was forgotten, or [endConflict].
     *
     * @param limit the most that are returned: from 0
     * @throws InvalidUserKey
     * @throws InvalidOption
     */
    @JvmOverloads
    public fun conflicts(after: UserKey? = null, limit: Int = 100): List<Conflict> {
        val most = Input.count(limit.toLong(), "limit", Int.MAX_VALUE.toLong()).toUInt()
        val found = call { core.conflicts(after?.let { Input.user(it) }, most) }
        return found.map { Conflict(UserKey(it.user), it.vid, it.holder, it.why, it.sinceMs) }
    }

    /**
     * Says that the user's conflict is over: they are agreed, or somebody has decided.
     *
     * @throws InvalidUserKey
     */
    public fun endConflict(user: UserKey): Unit = call { core.endConflict(Input.user(user)) }

    /**
     * Why a worker must make no contact for a user who has none: `privacy_deletion`, `invalid_email` or
     * `required_property`, where HubSpot refused their email for good and no change is outstanding; `privacy_deletion`
     * too, with or without a change, where the user's own contact was erased for privacy, until the app links or
     * forgets them. Null: there is no reason.
     *
     * @throws InvalidUserKey
     */
    public fun refusal(user: UserKey): String? = call { core.refusal(Input.user(user)) }

    /**
     * All users of a contact, by any of the ids that were merged into it.
     *
     * @param vid from 1 to 2^63 - 1
     * @throws InvalidVid
     */
    public fun usersOf(vid: Long): List<UserKey> = call { core.usersOf(vid) }.map { UserKey(it) }

    /**
     * Doubts all that HubSpot has said of every contact: for an old copy of the file that was put back, before anything
     * renders pages. On return no page names an email until HubSpot says something newer of the contact or a read says
     * it that is begun 5 s later ([usersToRead] lists them). Some 20 s for a million contacts, with others' writes in
     * between; after an error, call it again.
     */
    public fun doubtAll(): Unit = call { core.doubtAll() }

    /**
     * Why a page says of the user what it says, in sentences. Reads the file: not for a page itself. Throws as
     * [decide].
     */
    public fun explain(user: UserKey, email: String?): Explanation {
        val found = call { core.explain(Input.user(user), Input.email(email)) }
        return Explanation(decision(found.decision), found.sentences)
    }

    /**
     * Takes out all that is held on the user. False: nothing was held. On return nothing of it is left in the file.
     * After [Busy], call again.
     *
     * @throws InvalidUserKey
     */
    public fun forget(user: UserKey): Boolean = call { core.forget(Input.user(user)) }

    /**
     * All that the file holds on the user, as a JSON object. Of emails there are keyed fingerprints only.
     *
     * @throws InvalidUserKey
     */
    public fun export(user: UserKey): String = call { core.export(Input.user(user)) }

    /** What is wrong with the file; empty: nothing. Reads all of it, minutes at millions of users. */
    public fun verify(): List<String> = call { core.verify() }

    /**
     * Copies the file, as of one commit, to a new file of mode 0600; nobody waits for it. Its key stays wrapped under
     * the secret.
     *
     * @throws CannotOpen where the new file is there already or cannot be made
     */
    public fun backup(path: Path): Unit = call { core.backup(Input.path(path)) }

    /** What this cache has done in this process. */
    public fun stats(): Stats {
        val found = call { core.stats() }
        return Stats(
            // Made by bindings/tables.
            hits = found.hits.toLong(),
            misses = found.misses.toLong(),
            syncs = found.syncs.toLong(),
            evictions = found.evictions.toLong(),
            entries = found.entries.toLong(),
            bytes = found.bytes.toLong(),
            revision = found.revision,
            reopened = found.reopened.toLong(),
            logBytes = found.logBytes.toLong(),
            passing = found.passing,
            fallback = found.fallback,
            lastError = found.lastError,
        )
    }
}

internal fun decision(found: vidcache.uniffi.Decision) = Decision(found.email, found.id, Reason.of(found.reason))
