package vidcache

import java.sql.Connection
import java.sql.SQLException
import java.time.Duration
import java.util.concurrent.atomic.AtomicLong
import java.util.function.Consumer
import javax.sql.DataSource
import vidcache.uniffi.Errand
import vidcache.uniffi.OpenOptions
import vidcache.uniffi.Outcome
import vidcache.uniffi.PageForm
import vidcache.uniffi.Statements
import vidcache.uniffi.ImportRow as NativeRow

/**
 * The same rows in the app's own PostgreSQL, for an app whose processes share no disk: its statements are sent by
 * connections of the app's own [DataSource], the server that is written to. What its methods take, return and throw is
 * what those of [Cache] do, but for these:
 *
 * - A page asks by one statement for nearly every user, or, with `maxAge`, memory. Where the database cannot be asked,
 *   or its answer may not be believed (a replica, a snapshot that is too old, another secret), the page goes out and
 *   says less: its reason is [Reason.STALE], and `onStale` hears why. The time for which a page may name an email is
 *   shortened by the age of the answer.
 * - A change belongs to the transaction that it is begun in, `within(connection).beginEmailChange(user)`: it is there
 *   if and only if that is committed.
 * - Whatever else writes has a transaction of its own, which is tried again after a deadlock; or is a part of the
 *   app's, `within(connection)`, and what fails leaves that as it was.
 * - [Storage]: the database cannot be reached, or failed. [TablesUnusable]. [Busy]: a lock was waited for as long as
 *   the connection lets it.
 *
 * Any thread may use it, several at once.
 */
public class Database private constructor(private val core: Statements, private val line: Line, private val onStale: Consumer<VidcacheException>) {
    /**
     * The same tables by the connection of a transaction that the app has begun, and ends: what is done by this belongs
     * to it. One for a transaction.
     *
     * @throws InvalidOption the connection is in no transaction: it commits each statement by itself (`autoCommit`)
     */
    public fun within(connection: Connection): Database {
        // A connection that has gone fails when something is asked by it.
        val alone = try { connection.autoCommit } catch (_: SQLException) { false }
        if (alone) throw InvalidOption("invalid option connection: it is in no transaction; set its autoCommit to false before")
        return Database(core, Line.Within(connection), onStale)
    }

    override fun toString(): String = "vidcache.Database of portal $portalId"

    /** The HubSpot account that the tables belong to. */
    public val portalId: Long get() = core.portalId()

    /** [Cache.decide]. */
    public fun decide(user: UserKey, email: String?): Decision = page(user, email, PageForm.Decision).decision.let(::decision)

    /** [Cache.decideMany], a statement for each. */
    public fun decideMany(users: Iterable<Pair<UserKey, String?>>): List<Decision> = users.map { (user, email) -> decide(user, email) }

    /** [Cache.snippet]. */
    @JvmOverloads
    public fun snippet(user: UserKey, email: String?, nonce: String? = null): String =
        page(user, email, PageForm.Snippet(Input.text(nonce, "nonce"))).text!!

    /** [Cache.pageData]. */
    public fun pageData(user: UserKey, email: String?): String = page(user, email, PageForm.Data).text!!

    /** [Cache.anonymousSnippet]; nothing is asked. */
    @JvmOverloads
    public fun anonymousSnippet(nonce: String? = null): String = said(call { core.anonymousPage(PageForm.Snippet(Input.text(nonce, "nonce"))) })

    /** [Cache.signedOutSnippet]; nothing is asked. */
    @JvmOverloads
    public fun signedOutSnippet(nonce: String? = null): String = said(call { core.signedOutPage(PageForm.Snippet(Input.text(nonce, "nonce"))) })

    /** [Cache.anonymousPageData]; nothing is asked. */
    public fun anonymousPageData(): String = said(call { core.anonymousPage(PageForm.Data) })

    /** [Cache.signedOutPageData]; nothing is asked. */
    public fun signedOutPageData(): String = said(call { core.signedOutPage(PageForm.Data) })

    private fun said(step: vidcache.uniffi.PageStep): String = (step as vidcache.uniffi.PageStep.Page).text!!

    /** [Cache.link]. */
    public fun link(user: UserKey, vid: Long) {
        done(Errand.Link(Input.user(user), vid, false))
    }

    /** [Cache.linkShared]. */
    public fun linkShared(user: UserKey, vid: Long) {
        done(Errand.Link(Input.user(user), vid, true))
    }

    /** [Cache.record]. */
    @JvmOverloads
    public fun record(user: UserKey, answer: ByteArray, change: Long? = null, askedAtMs: Long? = null): Recorded =
        done(Errand.Record(Input.user(user), answer, change, askedAtMs)).let { it as Outcome.Recorded }.recorded
            .let { Recorded(it.vid, it.canonical, it.created, it.emailObserved) }

    /** [record] of a body that was read as text. */
    @JvmOverloads
    public fun record(user: UserKey, answer: String, change: Long? = null, askedAtMs: Long? = null): Recorded =
        record(user, Input.answer(answer), change, askedAtMs)

    /** [Cache.observe]. */
    @JvmOverloads
    public fun observe(answer: ByteArray, askedAtMs: Long? = null): Observed =
        done(Errand.Observe(answer, askedAtMs)).let { it as Outcome.Observed }.observed.let { Observed(it.contacts, it.missing) }

    /** [observe] of a body that was read as text. */
    @JvmOverloads
    public fun observe(answer: String, askedAtMs: Long? = null): Observed = observe(Input.answer(answer), askedAtMs)

    /** [Cache.applyWebhook]. */
    public fun applyWebhook(body: ByteArray): WebhookReport =
        done(Errand.ApplyWebhook(body)).let { it as Outcome.WebhookApplied }.report
            .let { WebhookReport(it.applied.toLong(), it.repeated.toLong(), it.ignored.toLong()) }

    /** [Cache.importUsers], in a transaction for each 500. */
    public fun importUsers(rows: Iterable<ImportRow>): ImportReport {
        val converted = rows.map { NativeRow(Input.user(it.user), it.vid, Input.email(it.email), it.emailAtMs) }
        val reports = converted.chunked(MANY) { part -> (done(Errand.ImportUsers(part.toList())) as Outcome.Imported).report }
        return ImportReport(reports.sumOf { it.imported.toLong() }, reports.sumOf { it.vidTaken.toLong() })
    }

    /**
     * Begins a change, [within] the transaction that changes the email: where that is rolled back, there never was one.
     * After its commit call [seeEmailChange], and give a job the token. If it fails, roll back. Outside of a
     * transaction it is begun at once, as by [Cache.beginEmailChange].
     */
    public fun beginEmailChange(user: UserKey): Long = token(done(Errand.Begin(Input.user(user))))!!

    /** Says that the change is committed, so that its quiet period begins. [within] a transaction it does nothing. */
    public fun seeEmailChange(change: Long) {
        done(Errand.See(change))
    }

    /** [Cache.abandonEmailChange]; after a rollback there is nothing to abandon. */
    public fun abandonEmailChange(user: UserKey, change: Long) {
        done(Errand.Abandon(Input.user(user), change))
    }

    /** [Cache.isChangeOutstanding]. */
    public fun isChangeOutstanding(user: UserKey, change: Long): Boolean = flag(Errand.IsOutstanding(Input.user(user), change))

    /**
     * Whether the worker, who has the user's lease, may tell HubSpot of the change now: a quiet period, or `atLeast`,
     * after it was seen to be committed, by PostgreSQL's clock. A change that nobody has seen is seen by this.
     *
     * @throws UnknownChange also of one that is not committed yet, or was rolled back
     * @throws ForeignChange
     */
    @JvmOverloads
    public fun turn(user: UserKey, change: Long, atLeast: Duration = Duration.ZERO): Turn {
        val said = done(Errand.Turn(Input.user(user), change, Input.milliseconds(atLeast, "at_least"))) as Outcome.Turn
        return when (said.turn) {
            "now" -> Turn.Now
            "ended" -> Turn.Ended
            "wait" -> Turn.Wait(Duration.ofMillis(said.waitMs!!.toLong()))
            else -> Turn.Wait(maxOf(quietPeriod(), atLeast))
        }
    }

    /**
     * How long a worker waits after a change was seen: the longest page deadline that any process has written down
     * within 30 days, and 5 s.
     */
    public fun quietPeriod(): Duration = Duration.ofMillis((done(Errand.QuietPeriod) as Outcome.Time).ms.toLong())

    /** [Cache.lease]; not within a transaction: others would wait for its end. */
    @JvmOverloads
    public fun lease(user: UserKey, duration: Duration, renew: Long? = null): Long? =
        token(done(Errand.Lease(Input.user(user), Input.milliseconds(duration, "lease"), renew)))

    /** [Cache.release]. */
    public fun release(user: UserKey, lease: Long): Boolean = flag(Errand.Release(Input.user(user), lease))

    /** [Cache.endConflict]. */
    public fun endConflict(user: UserKey) {
        done(Errand.EndConflict(Input.user(user)))
    }

    /** [Cache.forget], with the user's jobs locked out ([lease]). */
    public fun forget(user: UserKey): Boolean = flag(Errand.Forget(Input.user(user)))

    /** [Cache.doubtAll], by one row: for a database that was put back, before anything asks it. */
    public fun doubtAll() {
        done(Errand.DoubtAll)
    }

    /** [Cache.resolve]. */
    public fun resolve(user: UserKey): Long? = identity(user)?.vid

    /** [Cache.identity]. */
    public fun identity(user: UserKey): Identity? = identities(listOf(user)).single()

    /** [Cache.resolveMany], by a statement for each 500. */
    public fun resolveMany(users: Iterable<UserKey>): List<Long?> = users.chunked(MANY).flatMap { part -> identities(part).map { it?.vid } }

    private fun identities(users: List<UserKey>): List<Identity?> =
        (done(Errand.Resolve(users.map(Input::user))) as Outcome.Identities).identities.map { it?.let { one -> Identity(one.vid, one.externalId) } }

    /** Whether anything is known of the user that a page or a worker depends on. */
    public fun isKnown(user: UserKey): Boolean = flag(Errand.Knows(Input.user(user)))

    /** [Cache.refusal]. */
    public fun refusal(user: UserKey): String? = (done(Errand.Refusal(Input.user(user))) as Outcome.Text).text

    /** [Cache.explain], without the last events, which a file alone keeps. */
    public fun explain(user: UserKey, email: String?): Explanation {
        val found = (done(Errand.Explain(Input.user(user), Input.email(email))) as Outcome.Explained).explanation
        return Explanation(decision(found.decision), found.sentences)
    }

    /** [Cache.export]. */
    public fun export(user: UserKey): String = (done(Errand.Export(Input.user(user))) as Outcome.Text).text!!

    /** [Cache.usersOf]. */
    public fun usersOf(vid: Long): List<UserKey> = (done(Errand.UsersOf(vid)) as Outcome.Texts).texts.map { UserKey(it) }

    /** [Cache.staleChanges], by PostgreSQL's clock. */
    @JvmOverloads
    public fun staleChanges(olderThan: Duration, limit: Int = 1000): List<StaleChange> =
        (done(Errand.StaleChanges(Input.milliseconds(olderThan, "older_than"), most(limit))) as Outcome.StaleChanges).changes
            .map { StaleChange(UserKey(it.user), it.token, it.begunAtMs) }

    /**
     * [Cache.usersToRead], all of them, in the order of the ids that they were linked to: they are asked for as they
     * are taken.
     */
    @JvmOverloads
    public fun usersToRead(confirmed: Boolean, olderThan: Duration = Duration.ZERO): Iterable<UserToRead> {
        val age = Input.milliseconds(olderThan, "older_than")
        return Iterable {
            iterator {
                var after: Long? = null
                do {
                    val part = (done(Errand.UsersToRead(confirmed, age, after, MANY.toUInt())) as Outcome.UsersToRead).part
                    yieldAll(part.users.map { UserToRead(UserKey(it.user), it.vid, it.readAtMs) })
                    after = part.next
                } while (after != null)
            }
        }
    }

    /** [Cache.conflicts], in another order. */
    @JvmOverloads
    public fun conflicts(after: UserKey? = null, limit: Int = 100): List<Conflict> =
        (done(Errand.Conflicts(after?.let(Input::user), most(limit))) as Outcome.Conflicts).conflicts
            .map { Conflict(UserKey(it.user), it.vid, it.holder, it.why, it.sinceMs) }

    /** Whether the tables can be asked, written and believed: what is wrong; empty: nothing. */
    public fun verify(): List<String> = (done(Errand.Verify) as Outcome.Texts).texts

    /** What was answered from memory; null where no answers are kept. */
    public fun stats(): Kept? = core.kept()?.run { Kept(hits.toLong(), looks.toLong(), forgotten.toLong(), entries.toLong(), bytes.toLong()) }

    private fun page(user: UserKey, email: String?, form: PageForm): Outcome.Page {
        val said = done(Errand.Page(Input.user(user), Input.email(email), form)) as Outcome.Page
        said.why?.let { why ->
            try {
                onStale.accept(exception(why.code, why.text, why.vid, null))
            } catch (_: RuntimeException) {
                // A page must not break.
            }
        }
        return said
    }

    private fun flag(errand: Errand): Boolean = (done(errand) as Outcome.Flag).value

    private fun token(outcome: Outcome): Long? = (outcome as Outcome.Token).token

    private fun most(limit: Int) = Input.count(limit.toLong(), "limit", Int.MAX_VALUE.toLong()).toUInt()

    private fun done(errand: Errand): Outcome = line.carry { inside -> call { core.exchange(errand, inside) } }

    public companion object {
        /** Users of one statement. */
        private const val MANY = 500

        /** The statements of the app's migration, which make the tables in `schema`. */
        @JvmStatic
        @JvmOverloads
        public fun migration(schema: String = "public"): List<String> {
            Library.ready()
            return call { vidcache.uniffi.migration(Input.text(schema, "schema")!!) }
        }

        /**
         * The tables in the database of `source`, which are set up unless somebody has. They are made before, by a
         * migration of the app's with the statements of [migration].
         *
         * @param source a pool, whose connections are in no transaction when they are handed out. It may not be one
         *   that gives the connection of a transaction that is open, as Spring's TransactionAwareDataSourceProxy does:
         *   for such a transaction there is [within]
         * @param portalId the HubSpot account's id
         * @param secret at least 16 bytes, the same for every process
         * @param schema in which the tables are
         * @param maxAge for how long answers are kept: zero, not at all; from 1 s to half of `pageDeadline`
         * @param onStale hears why a page says less than it could. If it is left out, a warning is logged once an hour
         *   (System.Logger, `vidcache`)
         * @throws InvalidPortal
         * @throws InvalidSecret
         * @throws InvalidOption
         * @throws TablesUnusable
         * @throws WrongPortal
         * @throws WrongSecret
         * @throws NewerSchema this and the three before it: for the tables
         */
        @JvmStatic
        @JvmOverloads
        public fun open(
            source: DataSource,
            portalId: Long,
            secret: ByteArray,
            schema: String = "public",
            maxAge: Duration = Duration.ZERO,
            pageDeadline: Duration = Duration.ofSeconds(10),
            loaderHost: String = "js.hs-scripts.com",
            oldSecrets: List<ByteArray> = emptyList(),
            memory: Long = 32L shl 20,
            onStale: Consumer<VidcacheException> = WarnSeldom(),
        ): Database {
            Library.ready()
            val options = OpenOptions(
                secret = secret,
                loaderHost = Input.text(loaderHost, "loader_host"),
                memory = Input.count(memory, "memory", Long.MAX_VALUE).toULong(),
                pageDeadlineMs = Input.milliseconds(pageDeadline, "page_deadline"),
                oldSecrets = oldSecrets,
            )
            val kept = if (maxAge.isZero) null else Input.milliseconds(maxAge, "max_age")
            val core = call { Statements.open(Input.text(schema, "schema")!!, portalId, options, kept) }
            return Database(core, Line.Pool(source), onStale).also { it.done(Errand.SetUp) }
        }
    }
}

/**
 * What a [Database] has answered from memory in this process.
 *
 * @property hits how many pages
 * @property looks how often it was asked whom something was written of
 * @property forgotten how often everything was forgotten, since it could not be shown that nothing had been missed
 * @property entries users in memory
 * @property bytes what memory takes
 */
public class Kept internal constructor(
    public val hits: Long,
    public val looks: Long,
    public val forgotten: Long,
    public val entries: Long,
    public val bytes: Long,
) {
    override fun toString(): String = "Kept(hits=$hits, looks=$looks, forgotten=$forgotten, entries=$entries, bytes=$bytes)"
}

/** Whether a worker may tell HubSpot of a change. */
public sealed class Turn {
    /** Tell it. */
    public object Now : Turn()

    /** There is nothing to tell. */
    public object Ended : Turn()

    /** Ask again after that. */
    public class Wait internal constructor(public val duration: Duration) : Turn()
}

private class WarnSeldom : Consumer<VidcacheException> {
    private val next = AtomicLong(System.nanoTime())

    override fun accept(why: VidcacheException) {
        val (now, due) = System.nanoTime() to next.get()
        if (now - due < 0 || !next.compareAndSet(due, now + Duration.ofHours(1).toNanos())) return
        System.getLogger("vidcache").log(System.Logger.Level.WARNING, "pages say less than they could of who their visitors are: ${why.message}")
    }
}
