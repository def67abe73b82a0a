/** The rows in the app's own PostgreSQL, over JDBC. */
package vidcache

import java.sql.Connection
import java.sql.SQLTransientConnectionException
import java.time.Duration
import java.util.Collections
import java.util.concurrent.Callable
import java.util.concurrent.Executors
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertIs
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue
import javax.sql.DataSource
import org.junit.jupiter.api.AfterAll
import org.junit.jupiter.api.Assumptions.assumeTrue
import org.junit.jupiter.api.BeforeAll
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestInstance

private const val ANN = "ann@shop.test"
private val OPEN_SECRET = "thirty-two bytes kept out of it.".toByteArray()
private val USER = UserKey(42)

private fun answer(vid: Long, email: String = ANN, second: Int = 0) =
    """{"id":"$vid","properties":{"email":"$email"},"updatedAt":"2026-03-01T10:00:%02d.000Z"}""".format(second)

@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class DatabaseTest {
    private var server: Postgres? = null
    private lateinit var schema: String
    private lateinit var database: Database
    private var schemas = 0
    private val told: MutableList<String> = Collections.synchronizedList(mutableListOf())
    private val source get() = server!!.source()

    @BeforeAll
    fun start() {
        Postgres.missing()?.let { why -> println("skipped because $why") } ?: run { server = Postgres.start() }
    }

    @AfterAll
    fun stop() {
        server?.close()
    }

    /** Of each test tables of its own, in which a user is contact 901. */
    @BeforeEach
    fun agreed() {
        assumeTrue(server != null, "there is no PostgreSQL")
        schema = "shop${++schemas}"
        source.connection.use { connection ->
            connection.run("CREATE SCHEMA $schema; ${Database.migration(schema).joinToString(";")}")
            connection.run("CREATE TABLE $schema.users (id bigint PRIMARY KEY, email text); INSERT INTO $schema.users VALUES (42, '$ANN')")
        }
        database = open()
        database.record(USER, answer(901))
        told.clear()
        assertTrue(database.decide(USER, ANN).agreed)
    }

    private fun open(source: DataSource = this.source, maxAge: Duration = Duration.ZERO, secret: ByteArray = OPEN_SECRET) =
        Database.open(source, 62515, secret, schema, maxAge, Duration.ofMillis(500), onStale = { told += it.code })

    private fun Connection.run(sql: String) {
        createStatement().use { it.execute(sql) }
    }

    private fun <T> transaction(commit: Boolean = true, work: (Connection) -> T): T = source.connection.use { connection ->
        connection.autoCommit = false
        work(connection).also { if (commit) connection.commit() else connection.rollback() }
    }

    private fun Database.reason(email: String = ANN) = decide(USER, email).reason

    private fun emails() = source.connection.use { connection ->
        connection.createStatement().executeQuery("SELECT email FROM $schema.users").run { next(); getString(1) }
    }

    @Test
    fun `a change is there if and only if the transaction that changes the email is committed`() {
        val web = open()
        fun change(email: String) = { connection: Connection ->
            val token = database.within(connection).beginEmailChange(USER)
            connection.run("UPDATE $schema.users SET email = '$email'")
            assertEquals(Reason.CHANGE_OUTSTANDING, database.within(connection).reason())
            assertEquals(Reason.AGREED, web.reason(), "nobody sees what is not committed")
            token
        }
        transaction(commit = false, change("gone@shop.test"))
        assertEquals(Reason.AGREED, web.reason())
        assertTrue(web.staleChanges(Duration.ZERO).isEmpty())

        val token = transaction(work = change("new@shop.test"))
        database.seeEmailChange(token)
        assertEquals(Reason.CHANGE_OUTSTANDING, web.reason("new@shop.test"))
        assertEquals(901, web.decide(USER, "new@shop.test").id)

        val lease = assertNotNull(web.lease(USER, Duration.ofMinutes(1)))
        assertNull(database.lease(USER, Duration.ofMinutes(1)))
        assertEquals(lease, web.lease(USER, Duration.ofMinutes(1), lease))
        val wait = assertIs<Turn.Wait>(web.turn(USER, token)).duration
        assertTrue(wait > Duration.ofSeconds(3) && wait <= Duration.ofMillis(5500), "$wait")
        Thread.sleep(wait.toMillis())
        assertIs<Turn.Now>(web.turn(USER, token))
        assertEquals(Recorded(901, true, null, true), web.record(USER, answer(901, "new@shop.test", 5), token))
        assertTrue(web.release(USER, lease) && !web.release(USER, lease))
        assertIs<Turn.Ended>(web.turn(USER, token))
        assertEquals("new@shop.test", database.decide(USER, "new@shop.test").email)
        assertContains(database.snippet(USER, "new@shop.test", "n0nce"), "\"email\":\"new@shop.test\"")
        assertContains(database.pageData(USER, "new@shop.test"), "\"id\":\"vid:901\"")
    }

    @Test
    fun `a change that nobody has seen is seen by the worker`() {
        val token = transaction { database.within(it).beginEmailChange(USER) }
        assertEquals(Duration.ofMillis(5500), assertIs<Turn.Wait>(database.turn(USER, token)).duration)
        assertFailsWith<ForeignChange> { database.turn(UserKey(7), token) }
        assertFailsWith<UnknownChange> { database.turn(USER, 5) }
    }

    @Test
    fun `answers that are kept are asked for once, and others' changes are heard of`() {
        val web = Database.open(server!!.pool(), 62515, OPEN_SECRET, schema, Duration.ofSeconds(1))
        repeat(5) { assertEquals(Reason.AGREED, web.reason()) }
        assertEquals(4, web.stats()?.hits)
        assertNull(database.stats())
        transaction { database.within(it).beginEmailChange(USER) }
        Thread.sleep(1100)
        assertEquals(Reason.CHANGE_OUTSTANDING, web.reason())
    }

    @Test
    fun `what cannot be asked makes a page that says less, and leaves the app's transaction as it was`() {
        database.link(UserKey(7), 907)
        transaction { connection ->
            connection.run("UPDATE $schema.users SET email = 'kept@shop.test'; ALTER TABLE $schema.vidcache_links RENAME TO gone")
            assertEquals(Reason.STALE, database.within(connection).reason())
            assertFalse("ann@" in database.within(connection).snippet(USER, ANN))
            connection.run("ALTER TABLE $schema.gone RENAME TO vidcache_links")
            assertEquals(907, assertFailsWith<VidTaken> { database.within(connection).link(USER, 907) }.vid)
            database.within(connection).link(UserKey(8), 908)
        }
        assertEquals("kept@shop.test", emails())
        assertEquals(listOf("tables_unusable", "tables_unusable"), told)
        assertEquals(listOf(908L, null), database.resolveMany(listOf(UserKey(8), UserKey(9))))
        // A pool may hand out connections that have a transaction from their first statement on.
        val other = server!!.pool().also { it.connection.autoCommit = false }
        assertEquals(Reason.AGREED, open(other).reason())
        open(other).link(UserKey(9), 909)
        assertFalse(other.connection.autoCommit)
        assertEquals(909, database.resolve(UserKey(9)))
        val nowhere = org.postgresql.ds.PGSimpleDataSource().apply { serverNames = arrayOf("127.0.0.1"); portNumbers = intArrayOf(1) }
        assertFailsWith<Storage> { open(nowhere) }
    }

    /** Opened over the server; its pool is then in `state`. */
    private fun failing(state: () -> Connection): Database {
        var ready = false
        return open(pool { if (ready) state() else source.connection }).also { ready = true }
    }

    @Test
    fun `whatever a pool or a driver throws, a page goes out and the rest fails by name`() {
        val reasons = listOf<() -> Connection>(
            { throw SQLTransientConnectionException("ann@shop.test waited for a connection, and the pool is exhausted") },
            { throw IllegalStateException("the pool is closed, ann@shop.test") },
            { source.connection.also { it.close() } },
        )
        for (reason in reasons) {
            val web = failing(reason)
            told.clear()
            assertEquals(Reason.STALE, web.reason())
            assertFalse("ann@" in web.snippet(USER, ANN))
            assertEquals(listOf("storage", "storage"), told)
            val failed = assertFailsWith<Storage> { web.link(UserKey(7), 907) }
            assertFalse("ann@" in "$failed ${failed.cause}", "$failed")
        }
        val loud = Database.open(source, 62515, OPEN_SECRET, schema, onStale = { throw IllegalArgumentException("nobody hears it") })
        source.connection.use { it.run("ALTER TABLE $schema.vidcache_links RENAME TO gone") }
        assertEquals(Reason.STALE, loud.reason())
    }

    @Test
    fun `a connection that fails in the middle is given to nobody with its transaction open`() {
        lateinit var real: Connection
        var statements = 0
        val web = failing {
            real = source.connection
            statements = 0
            lent(real) { if (it == "createStatement" && ++statements == 3) throw IllegalStateException("a driver's mistake") }
        }
        assertFailsWith<Storage> { web.link(UserKey(7), 907) }
        assertTrue(statements >= 3, "it was within the transaction: $statements")
        assertTrue(real.isClosed)
        assertNull(database.resolve(UserKey(7)))
    }

    @Test
    fun `what the server ends is begun anew by the next call`() {
        val one = server!!.pool()
        var through: Connection = one.connection
        val web = open(pool { through })
        source.connection.use { it.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'app'") }
        assertEquals(Reason.STALE, web.reason())
        through = source.connection
        assertEquals(Reason.AGREED, web.reason())
    }

    @Test
    fun `what is refused by name`() {
        source.connection.use { connection ->
            val failed = assertFailsWith<InvalidOption> { database.within(connection) }
            assertContains(failed.message!!, "autoCommit")
        }
        for (age in listOf(Duration.ofNanos(1), Duration.ofMillis(999), Duration.ofSeconds(60), Duration.ofSeconds(-1))) {
            assertFailsWith<InvalidOption>("$age") { open(maxAge = age) }
        }
        val failed = assertFailsWith<TablesUnusable> { Database.open(source, 62515, OPEN_SECRET, "elsewhere") }
        assertContains(failed.message!!, "migration")
        assertFailsWith<InvalidOption> { Database.migration("a\u0000b") }
    }

    @Test
    fun `threads record over each other's contacts, and all get through`() {
        val threads = Executors.newFixedThreadPool(8)
        try {
            val all = List(40) { at ->
                Callable { database.record(UserKey(100L + at % 3), answer(950L + at % 3, "u${at % 3}@shop.test", at)) }
            }
            threads.invokeAll(all).forEach { it.get() }
        } finally {
            threads.shutdown()
        }
        assertEquals(listOf<Long?>(950, 951, 952), database.resolveMany(listOf(100L, 101L, 102L).map { UserKey(it) }))
    }

    @Test
    fun `what a standing job and a person ask`() {
        val rows = List(700) { ImportRow(UserKey(1000L + it), 10_000L + it) }
        assertEquals(ImportReport(700, 0), database.importUsers(rows))
        assertEquals(700, database.usersToRead(false).map { it.vid }.toSet().size)
        assertEquals(listOf(UserKey(1000)), database.usersOf(10_000))
        assertEquals(Identity(901, 901), database.identity(USER))
        assertTrue(database.isKnown(USER) && !database.isKnown(UserKey("nobody")))
        val clash = """{"status":"error","category":"CONFLICT","message":"Contact already exists. Existing ID: 901"}"""
        assertFailsWith<ContactConflict> { database.record(UserKey(1000), clash) }
        assertEquals(listOf(UserKey(1000) to 901L), database.conflicts().map { it.user to it.holder })
        database.endConflict(UserKey(1000))
        assertTrue(database.conflicts().isEmpty() && database.verify().isEmpty())
        assertFalse("ann@" in "${database.explain(USER, ANN)}" + database.export(USER))
        assertTrue(database.forget(USER) && !database.forget(USER))
        assertNull(database.refusal(USER))
        database.doubtAll()
        assertFailsWith<WrongSecret> { open(secret = "another secret of thirty-two b.".toByteArray()) }
        assertFailsWith<InvalidOption> { open(maxAge = Duration.ofMillis(1)) }
        assertFailsWith<InvalidUserKey> { database.beginEmailChange(UserKey("")) }
        assertContains(database.signedOutPageData(), "\"out\":true")
        assertContains(database.anonymousSnippet(), "hs-script-loader")
    }
}
