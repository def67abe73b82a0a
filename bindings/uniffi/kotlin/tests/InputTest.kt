/** Bad input of Kotlin's types: an error of the library's, and nothing is lost by it. */
package vidcache

import java.lang.reflect.InvocationTargetException
import java.nio.file.FileSystems
import java.nio.file.Path
import java.time.Duration
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertIs
import kotlin.test.assertNull
import org.junit.jupiter.api.Test

private val USERS = listOf("", "x".repeat(256), "é".repeat(128), "a\u0000b", "\ud800", "\udc00\ud800").map { UserKey(it) }
private val EMAILS = listOf("", "ann", "@", "a\nb@c", "a\ud800@b", "a".repeat(300) + "@b")

class InputTest : CacheTestCase() {
    private val one = UserKey(1)

    @Test
    fun users() {
        cache.link(one, 11)
        for (user in USERS) {
            val calls: List<() -> Any?> = listOf(
                { cache.resolve(user) },
                { cache.identity(user) },
                { cache.resolveMany(listOf(user)) },
                { cache.resolveMany(listOf(one, user)) },
                { cache.resolveMany(listOf(UserKey("x"), user)) },
                { cache.decide(user, null) },
                { cache.decideMany(listOf(one to null, user to null)) },
                { cache.snippet(user, null) },
                { cache.pageData(user, null) },
                { cache.link(user, 1) },
                { cache.linkShared(user, 1) },
                { cache.record(user, ANSWER) },
                { cache.importUsers(listOf(ImportRow(UserKey(2), 2), ImportRow(user, 3))) },
                { cache.beginEmailChange(user) },
                { cache.abandonEmailChange(user, 1) },
                { cache.isChangeOutstanding(user, 1) },
                { cache.changeOutstandingSince(user, 1) },
                { cache.explain(user, null) },
                { cache.forget(user) },
                { cache.export(user) },
            )
            calls.forEachIndexed { number, call -> assertFailsWith<InvalidUserKey>("call $number of '$user'") { call() } }
        }
        assertEquals(listOf(11L, null), cache.resolveMany(users(1, 2)))
        assertEquals(emptyList(), cache.verify())
    }

    @Test
    fun emails() {
        for (email in EMAILS) {
            val calls: List<() -> Any?> = listOf(
                { cache.decide(one, email) },
                { cache.decideMany(listOf(one to email)) },
                { cache.snippet(one, email) },
                { cache.pageData(one, email) },
                { cache.explain(one, email) },
                { cache.importUsers(listOf(ImportRow(one, 1, email))) },
            )
            for (call in calls) {
                val failure = assertFailsWith<InvalidEmail> { call() }
                if (email.length >= 4) assertFalse(email in failure.stackTraceToString())
            }
        }
    }

    @Test
    fun vids() {
        for (vid in listOf(0, -1, Long.MIN_VALUE)) {
            assertFailsWith<InvalidVid> { cache.link(one, vid) }
            assertFailsWith<InvalidVid> { cache.linkShared(one, vid) }
            assertFailsWith<InvalidVid> { cache.importUsers(listOf(ImportRow(one, vid))) }
        }
        assertNull(cache.resolve(one))
    }

    @Test
    fun changes() {
        for (change in listOf(0, -1, Long.MIN_VALUE, 12345)) {
            assertFailsWith<UnknownChange> { cache.record(one, ANSWER, change) }
            assertFailsWith<UnknownChange> { cache.abandonEmailChange(one, change) }
            assertFailsWith<UnknownChange> { cache.isChangeOutstanding(one, change) }
            assertFailsWith<UnknownChange> { cache.changeOutstandingSince(one, change) }
        }
        assertNull(cache.resolve(one))
    }

    @Test
    fun answers() {
        for (answer in listOf(byteArrayOf(-1), "{".toByteArray(), "[".repeat(10_000).toByteArray(), ByteArray(1 shl 20))) {
            assertFailsWith<InvalidAnswer> { cache.record(one, answer) }
            assertFailsWith<InvalidAnswer> { cache.observe(answer) }
            assertFailsWith<InvalidWebhook> { cache.applyWebhook(answer) }
        }
        assertFailsWith<InvalidAnswer> { cache.record(one, "\ud800") }
        assertFailsWith<InvalidAnswer> { cache.observe("\ud800") }
    }

    @Test
    fun opening() {
        val path = folder.resolve("other")
        val secret = SECRET.toByteArray()
        for (portal in listOf(0, -1, Long.MIN_VALUE)) assertFailsWith<InvalidPortal> { Cache(path, portal, secret) }
        for (short in listOf("", "short")) assertFailsWith<InvalidSecret> { Cache(path, PORTAL, short.toByteArray()) }
        val elsewhere = FileSystems.newFileSystem(folder.resolve("a.zip"), mapOf("create" to "true"))
        for (wrong in listOf(Path.of(""), Path.of("/nowhere/at/all"), folder, elsewhere.getPath("/a"))) {
            assertFailsWith<CannotOpen>("$wrong") { Cache(wrong, PORTAL, secret) }
        }
        val year = Duration.ofDays(365)
        val wrong: List<() -> Cache> = listOf(
            { Cache(path, PORTAL, secret, busyTimeout = Duration.ofMillis(-1)) },
            { Cache(path, PORTAL, secret, busyTimeout = Duration.ofSeconds(3601)) },
            { Cache(path, PORTAL, secret, busyTimeout = Duration.ofSeconds(Long.MAX_VALUE)) },
            { Cache(path, PORTAL, secret, pageDeadline = Duration.ZERO) },
            { Cache(path, PORTAL, secret, pageDeadline = year) },
            { Cache(path, PORTAL, secret, memory = -1) },
            { Cache(path, PORTAL, secret, loaderHost = "a b") },
            { Cache(path, PORTAL, secret, loaderHost = "\ud800") },
        )
        for (open in wrong) assertFailsWith<InvalidOption> { open() }
    }

    @Test
    fun `other arguments`() {
        val wrong: List<() -> Any> = listOf(
            { cache.snippet(one, null, "\ud800") },
            { cache.signedOutSnippet("\ud800") },
            { cache.anonymousSnippet("\ud800") },
            { cache.staleChanges(Duration.ofSeconds(-1)) },
            { cache.staleChanges(Duration.ofSeconds(Long.MAX_VALUE)) },
            { cache.staleChanges(Duration.ZERO, -1) },
        )
        for (call in wrong) assertFailsWith<InvalidOption> { call() }
        assertFailsWith<InvalidAnswer> { cache.importUsers(listOf(ImportRow(one, 1, "ann@shop.test", Long.MAX_VALUE))) }
    }

    @Test
    fun `null from Java is its usual exception`() {
        for ((name, types) in mapOf("resolve" to 1, "decide" to 2, "link" to 2)) {
            val method = Cache::class.java.methods.single { it.name == name && it.parameterCount == types }
            val given = method.parameterTypes.map { if (it == Long::class.java) 1L else null }.toTypedArray()
            val thrown = assertFailsWith<InvocationTargetException> { method.invoke(cache, *given) }
            assertIs<NullPointerException>(thrown.cause)
        }
    }
}
