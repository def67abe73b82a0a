/** The direct way beside UniFFI: it answers, and says the same. ConformanceTest.kt replays its cases by both. */
package vidcache

import java.util.UUID
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import kotlin.concurrent.thread
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Test

private val ID = UUID.fromString("6f1c3ad4-5b7e-4a21-9d0e-2f6b8c1a7e55")
private val USERS = listOf(
    UserKey(42), UserKey("42"), UserKey(0), UserKey(-7), UserKey(Long.MAX_VALUE), UserKey(Long.MIN_VALUE), UserKey("Zoë"),
    UserKey(ID), UserKey(ID.toString()), UserKey("x".repeat(255)), UserKey("\uD83D\uDC3B"), UserKey("nobody"),
)
private val LONG = "a".repeat(252) + "@b"
private val EMAILS = listOf(null, "ann@shop.test", " Ann@Shop.TEST ", "zoë@shop.test", "</script>'&@x.test", "ann@home.test", LONG)
private val NONCES = listOf(null, "", "r4nd0m", "\"><script>", "é".repeat(40))

class DirectTest : CacheTestCase() {
    @BeforeEach
    fun fill() {
        cache.record(UserKey(42), ANSWER)
        cache.importUsers(
            listOf(
                ImportRow(UserKey("Zoë"), 7, "zoë@shop.test", 1),
                ImportRow(UserKey(ID), 8, "</script>'&@x.test", 1),
                ImportRow(UserKey("x".repeat(255)), Long.MAX_VALUE, LONG, 1),
            ),
        )
        cache.linkShared(UserKey(-7), 901)
    }

    @Test
    fun `both ways say the same`() {
        val reasons = mutableSetOf<Reason>()
        for (user in USERS) {
            assertEquals(cache.identity(user)?.vid, cache.resolve(user))
            for (email in EMAILS) {
                val decision = cache.decide(user, email)
                assertEquals(cache.decideByUniffi(user, email), decision)
                reasons += decision.reason
                for (nonce in NONCES) {
                    assertEquals(timeless(cache.snippetByUniffi(user, email, nonce)), timeless(cache.snippet(user, email, nonce)))
                }
            }
        }
        for (nonce in NONCES) {
            assertEquals(timeless(cache.snippetByUniffi(null, null, nonce)), timeless(cache.anonymousSnippet(nonce)))
        }
        assertTrue(reasons.containsAll(listOf(Reason.AGREED, Reason.EMAIL_DIFFERS, Reason.EMAIL_ABSENT, Reason.NOT_LINKED)))
    }

    @Test
    fun `what is in memory is answered`() {
        for (user in USERS) {
            cache.resolve(user)
            assertEquals(cache.resolve(user) ?: 0, Direct.resolve(cache.at, user))
            for (email in EMAILS) {
                assertNotNull(Direct.decide(cache.at, user, email))
                for (nonce in NONCES) assertNotNull(Direct.snippet(cache.at, user, email, nonce))
            }
        }
        for (nonce in NONCES) assertNotNull(Direct.snippet(cache.at, null, null, nonce))
    }

    @Test
    fun `what it cannot say is left to the other`() {
        for (user in listOf(UserKey(""), UserKey("x".repeat(256)), UserKey("a\u0000b"), UserKey("\ud800"))) {
            assertEquals(Direct.ASK, Direct.resolve(cache.at, user))
            assertNull(Direct.decide(cache.at, user, null))
            assertNull(Direct.snippet(cache.at, user, null, null))
        }
        for (email in listOf("", "ann", "a\ud800@b", "a".repeat(300) + "@b")) {
            assertNull(Direct.decide(cache.at, UserKey(42), email))
            assertNull(Direct.snippet(cache.at, UserKey(42), email, null))
        }
        val nonce = "x".repeat(4096)
        assertNull(Direct.snippet(cache.at, UserKey(42), null, nonce))
        assertTrue(cache.snippet(UserKey(42), null, nonce).length > 2 * 4096)
        cache.close()
        assertEquals(Direct.ASK, Direct.resolve(cache.at, UserKey(42)))
        assertNull(Direct.decide(cache.at, UserKey(42), null))
        assertNull(Direct.snippet(cache.at, UserKey(42), null, null))
    }

    @Test
    fun `it knows of a change at once`() {
        val user = UserKey(42)
        assertTrue(cache.decide(user, "ann@shop.test").agreed)
        open(file(folder)).use { other ->
            val change = other.beginEmailChange(user)
            assertEquals(Reason.CHANGE_OUTSTANDING, Direct.decide(cache.at, user, "ann@shop.test")?.reason)
            assertFalse("ann@" in Direct.snippet(cache.at, user, "ann@shop.test", null)!!)
            other.abandonEmailChange(user, change)
        }
        assertTrue(cache.decide(user, "ann@shop.test").agreed)
    }

    @Test
    fun `a close in the middle is an answer or closed`() {
        val user = UserKey(42)
        for (turn in 1..20) {
            val one = open(folder.resolve("$turn"))
            one.record(user, ANSWER)
            val begun = CountDownLatch(3)
            val ended = arrayOfNulls<Throwable>(3)
            val threads = List(3) { number ->
                thread {
                    try {
                        var first = true
                        while (true) {
                            check(one.resolve(user) == 901L)
                            check(one.decide(user, "ann@shop.test").agreed)
                            check("ann@shop.test" in one.snippet(user, "ann@shop.test"))
                            if (first) begun.countDown()
                            first = false
                        }
                    } catch (error: Throwable) {
                        ended[number] = error
                    }
                }
            }
            assertTrue(begun.await(30, TimeUnit.SECONDS))
            one.close()
            threads.forEach(Thread::join)
            assertTrue(ended.all { it is Closed }, "${ended.toList()}")
        }
    }
}
