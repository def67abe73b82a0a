/** What the cache does, called as an app calls it. */
package vidcache

import java.nio.file.Files
import java.time.Duration
import java.util.UUID
import java.util.concurrent.Callable
import java.util.concurrent.Executors
import kotlin.io.path.writeText
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNull
import kotlin.test.assertTrue
import org.junit.jupiter.api.Test

class CacheTest : CacheTestCase() {
    private val ann = UserKey(42)

    @Test
    fun `from the answer to the page and through a change`() {
        val recorded = cache.record(ann, ANSWER)
        assertEquals(Recorded(vid = 901, canonical = true, created = recorded.created, emailObserved = true), recorded)
        val decision = cache.decide(ann, " Ann@Shop.test ")
        assertEquals(Decision("ann@shop.test", 901, Reason.AGREED), decision)
        assertTrue(decision.agreed)
        assertContains(cache.snippet(ann, "ann@shop.test", nonce = "r4nd0m"), "ann@shop.test")
        val change = cache.beginEmailChange(ann)
        assertTrue(cache.isChangeOutstanding(ann, change))
        assertTrue(System.currentTimeMillis() - cache.changeOutstandingSince(ann, change)!! in 0..<60_000)
        assertEquals(Reason.CHANGE_OUTSTANDING, cache.decide(ann, "ann@home.test").reason)
        until("it is stale") { cache.staleChanges(Duration.ZERO).isNotEmpty() }
        assertEquals(listOf(ann to change), cache.staleChanges(Duration.ZERO).map { it.user to it.token })
        val answer = """{"id": "901", "properties": {"email": "ann@home.test"}, "updatedAt": "2026-03-01T11:00:00.000Z"}"""
        cache.record(ann, answer.toByteArray(), change)
        assertFalse(cache.isChangeOutstanding(ann, change))
        assertNull(cache.changeOutstandingSince(ann, change))
        assertEquals(
            listOf(Decision("ann@home.test", 901, Reason.AGREED), Decision(null, null, Reason.NOT_LINKED)),
            cache.decideMany(listOf(ann to "ann@home.test", UserKey(43) to null)),
        )
        assertFalse("ann" in cache.decide(ann, "ann@home.test").toString())
        assertEquals(emptyList(), cache.verify())
    }

    @Test
    fun `a page of the app's own gets the same as JSON`() {
        cache.record(ann, ANSWER)
        val data = cache.pageData(ann, "ann@shop.test")
        assertTrue(data.endsWith(""""ttl":10000,"id":"vid:901","email":"ann@shop.test"}"""), data)
        assertFalse("id" in cache.anonymousPageData())
        assertContains(cache.signedOutPageData(), """"out":true""")
        assertContains(cache.signedOutSnippet("r4nd0m"), """"out":true""")
        assertFalse("ann@" in cache.signedOutSnippet())
    }

    @Test
    fun `conflicts, refusals, and whose a contact is`() {
        val conflict = """{"status": "error", "category": "CONFLICT", "message": "Contact already exists. Existing ID: 902"}"""
        cache.record(ann, ANSWER)
        cache.link(UserKey(43), 902)
        assertFailsWith<ContactConflict> { cache.record(ann, conflict.toByteArray()) }
        val found = cache.conflicts().single()
        assertEquals(Conflict(ann, 901, 902, "email_held", found.sinceMs), found)
        assertTrue(System.currentTimeMillis() - found.sinceMs in 0..<60_000)
        assertEquals(emptyList(), cache.conflicts(after = ann) + cache.conflicts(limit = 0))
        cache.endConflict(ann)
        assertEquals(emptyList(), cache.conflicts())
        cache.linkShared(UserKey(43), 901)
        assertEquals(setOf(ann, UserKey(43)), cache.usersOf(901).toSet())
        cache.doubtAll()
        assertEquals(Reason.EMAIL_UNCONFIRMED, cache.decide(ann, "ann@shop.test").reason)
        val erased = """[{"portalId": $PORTAL, "occurredAt": 1, "subscriptionType": "contact.privacyDeletion", "objectId": 901}]"""
        cache.applyWebhook(erased.toByteArray())
        assertEquals(listOf("privacy_deletion", null), listOf(cache.refusal(ann), cache.refusal(UserKey(44))))
        assertFailsWith<InvalidVid> { cache.usersOf(0) }
    }

    @Test
    fun `the quiet period is that of the longest page deadline`() {
        assertEquals(Duration.ofSeconds(15), cache.quietPeriod())
        Cache(file(folder), PORTAL, SECRET.toByteArray(), pageDeadline = Duration.ofMillis(20_500)).use {
            assertEquals(Duration.ofMillis(25_500), it.quietPeriod())
        }
        assertEquals(Duration.ofMillis(25_500), cache.quietPeriod())
    }

    @Test
    fun `a user is an integer, its text or a UUID`() {
        val id = UUID.randomUUID()
        cache.link(ann, 1)
        cache.link(UserKey(id), 2)
        cache.link(UserKey("Zoë"), 3)
        val users = listOf(ann, UserKey("42"), UserKey(id), UserKey(id.toString()), UserKey("Zoë"), UserKey(43), UserKey("x"))
        val vids = listOf(1L, 1L, 2L, 2L, 3L, null, null)
        assertEquals(vids, users.map(cache::resolve))
        assertEquals(vids, cache.resolveMany(users))
        assertEquals(vids, cache.resolveMany(users.asSequence().asIterable()))
        assertEquals(listOf(1L, null), cache.resolveMany(users(42, 43)))
        assertEquals(emptyList(), cache.resolveMany(emptyList()))
        assertEquals(Identity(1, 1), cache.identity(ann))
        assertEquals(setOf(ann), setOf(UserKey("42"), UserKey(42)))
    }

    @Test
    fun `memory answers, and hears of what others write`() {
        cache.link(ann, 1)
        cache.resolve(ann)
        val before = cache.stats()
        repeat(100) { cache.resolve(ann) }
        assertTrue(cache.stats().hits >= before.hits + 100)
        assertEquals(before.misses, cache.stats().misses)
        open(file(folder)).use { other ->
            other.link(ann, 2)
            assertEquals(2, cache.resolve(ann))
        }
    }

    @Test
    fun `all that is said of contacts`() {
        cache.record(ann, ANSWER)
        assertEquals(Observed(listOf(901), emptyList()), cache.observe("""{"results": [$ANSWER]}"""))
        val body = """[{"eventId": 1, "portalId": $PORTAL, "subscriptionType": "contact.propertyChange", "objectId": 901,
            "propertyName": "email", "propertyValue": "ann@home.test", "occurredAt": 1793000000000}]""".toByteArray()
        assertEquals(WebhookReport(applied = 1, repeated = 0, ignored = 0), cache.applyWebhook(body))
        assertEquals(1, cache.applyWebhook(body).repeated)
        assertFailsWith<InvalidWebhook> { cache.applyWebhook("{}".toByteArray()) }
        assertTrue(cache.decide(ann, "ann@home.test").agreed)
        assertEquals(901, assertFailsWith<VidTaken> { cache.link(UserKey(43), 901) }.vid)
        cache.linkShared(UserKey(43), 901)
        assertTrue(cache.explain(ann, "ann@home.test").sentences.isNotEmpty())
        assertTrue(cache.export(ann).startsWith("{"))
        assertTrue(cache.forget(ann))
        assertFalse(cache.forget(ann))
        val refused = """{"status": "error", "category": "CONFLICT", "message": "Contact already exists. Existing ID: 7"}"""
        assertEquals(7, assertFailsWith<ContactConflict> { cache.record(ann, refused) }.vid)
        val limited = """{"status": "error", "errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING"}"""
        assertEquals(Duration.ofSeconds(10), assertFailsWith<RateLimited> { cache.record(ann, limited) }.retryAfter)
    }

    @Test
    fun `signatures`() {
        val secret = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy".toByteArray()
        val body = "{'example_field':'example_value'}".toByteArray()
        val headers = mapOf(
            "x-hubspot-SIGNATURE-v3" to "RnbPH7+UMKVkbV32P8bz450N4M56aPmcru1+D3kSDtw=",
            "X-HubSpot-Request-Timestamp" to "1700000300000",
        )
        fun check(body: ByteArray, headers: Map<String, String>, now: Long, secret: ByteArray) =
            verifySignature(secret, "POST", "https://www.example.com/webhook_uri", body, headers, now)
        check(body, headers, 1700000300000, secret)
        assertFailsWith<InvalidSignature> { check(body, headers, 1700000900000, secret) }
        assertFailsWith<InvalidSignature> { check(ByteArray(0), headers, 1700000300000, secret) }
        assertFailsWith<InvalidSignature> { check(body, emptyMap(), 1700000300000, secret) }
        assertFailsWith<InvalidOption> { check(body, headers, 1700000300000, ByteArray(0)) }
        assertFailsWith<InvalidOption> { verifySignature(secret, "\ud800", "https://x.test/", body, headers) }
    }

    @Test
    fun `an older signature counts only where it is listed and for a day`() {
        val secret = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy".toByteArray()
        val then = 1564113600000
        val body = "[{\"portalId\":62515,\"occurredAt\":$then,\"subscriptionType\":\"contact.creation\"}]".toByteArray()
        val hash = java.security.MessageDigest.getInstance("SHA-256").digest(secret + body)
        val signature = hash.joinToString("") { "%02x".format(it) }
        val headers = mapOf("X-HubSpot-Signature" to signature, "X-HubSpot-Signature-Version" to "v1")
        fun check(now: Long, takeV1: Boolean, takeV2: Boolean = false) =
            verifySignature(secret, "POST", "https://x.test/", body, headers, now, takeV1, takeV2)
        assertFailsWith<InvalidSignature> { check(then, takeV1 = false) }
        assertFailsWith<InvalidSignature> { check(then, takeV1 = false, takeV2 = true) }
        check(then + 86_400_000, takeV1 = true)
        assertFailsWith<InvalidSignature> { check(then + 2 * 86_400_000, takeV1 = true) }
    }

    @Test
    fun `after close every call says so`() {
        val x = UserKey("x")
        cache.link(ann, 1)
        cache.link(x, 2)
        assertEquals(listOf<Long?>(1, 2), cache.resolveMany(listOf(ann, x)))
        cache.close()
        cache.close()
        val calls: List<() -> Any?> = listOf(
            { cache.resolve(ann) },
            { cache.resolve(x) },
            { cache.identity(ann) },
            { cache.resolveMany(listOf(ann)) },
            { cache.resolveMany(listOf(x)) },
            { cache.decide(ann, null) },
            { cache.decideMany(listOf(ann to null)) },
            { cache.snippet(ann, null) },
            { cache.pageData(ann, null) },
            { cache.quietPeriod() },
            { cache.changeOutstandingSince(ann, 1) },
            { cache.link(ann, 1) },
            { cache.linkShared(ann, 1) },
            { cache.record(ann, ANSWER) },
            { cache.observe(ANSWER) },
            { cache.applyWebhook("""[{"eventId": 1, "portalId": $PORTAL, "subscriptionType": "contact.deletion", "objectId": 1, "occurredAt": 1}]""".toByteArray()) },
            { cache.importUsers(listOf(ImportRow(UserKey(1), 1))) },
            { cache.beginEmailChange(ann) },
            { cache.abandonEmailChange(ann, 1) },
            { cache.isChangeOutstanding(ann, 1) },
            { cache.lease(ann, Duration.ofSeconds(60)) },
            { cache.release(ann, 1) },
            { cache.staleChanges(Duration.ZERO) },
            { cache.explain(ann, null) },
            { cache.forget(ann) },
            { cache.export(ann) },
            { cache.verify() },
        )
        for (call in calls) assertFailsWith<Closed> { call() }
        assertEquals(PORTAL, cache.portalId)
        assertTrue(cache.anonymousSnippet().isNotEmpty() && cache.signedOutSnippet().isNotEmpty())
        assertTrue(cache.anonymousPageData().isNotEmpty() && cache.signedOutPageData().isNotEmpty())
        assertContains(cache.toString(), "$PORTAL")
    }

    @Test
    fun `a file is moved aside`() {
        val path = folder.resolve("letter")
        path.writeText("something else".repeat(100))
        assertFailsWith<NotACache> { open(path) }
        assertTrue(Files.exists(moveAside(path)) && !Files.exists(path))
        open(path).close()
        assertFailsWith<CannotOpen> { moveAside(folder.resolve("nothing")) }
    }

    @Test
    fun `what README says works`() {
        val path = folder.resolve("of the page")
        readme(path, SECRET.toByteArray(), ANSWER)
        open(path).use {
            assertTrue(it.decide(ann, "ann@shop.test").agreed)
            assertEquals(emptyList(), it.staleChanges(Duration.ZERO))
        }
    }

    @Test
    fun `Java uses it too`() {
        val decision = FromJava.throughAChange(folder.resolve("of Java"), SECRET.toByteArray(), ANSWER)
        assertEquals(Decision("ann@shop.test", 901, Reason.AGREED), decision)
    }

    @Test
    fun `threads share one`() {
        cache.link(ann, 1)
        val write = Callable {
            for (number in 0L..<300) {
                check(cache.resolve(ann) == 1L)
                if (number != 42L) cache.link(UserKey(number), number + 1000)
            }
        }
        val read = Callable { repeat(10_000) { check(cache.resolve(ann) == 1L && cache.decide(ann, null).id == 1L) } }
        val pool = Executors.newFixedThreadPool(4)
        try {
            for (done in pool.invokeAll(listOf(write, read, read, read))) done.get()
        } finally {
            pool.shutdown()
        }
    }

    @Test
    fun `processes share the file, and hear of each other at once`() {
        cache.link(UserKey(1), 11)
        assertNull(cache.resolve(UserKey(2)))
        val other = jvm("vidcache.SideBySide", file(folder).toString())
        other.inputReader().use { said ->
            assertEquals("linked", said.readLine())
            assertEquals(22, cache.resolve(UserKey(2)))
            cache.link(UserKey(3), 33)
            other.outputWriter().use { it.write("go\n") }
            assertEquals("heard", said.readLine())
        }
        assertEquals(0, other.waitFor())
    }

    @Test
    fun `one that is let go closes its file`() {
        val path = folder.resolve("other")
        fun openAndLetGo() {
            val let = open(path)
            assertFailsWith<Busy> { moveAside(path) }
            assertEquals(PORTAL, let.portalId)
        }
        openAndLetGo()
        until("the collector takes it") {
            System.gc()
            try {
                Files.exists(moveAside(path))
            } catch (_: Busy) {
                false
            }
        }
    }
}
