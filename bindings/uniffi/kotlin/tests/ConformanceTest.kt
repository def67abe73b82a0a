/**
 * The cases of tests/conformance, which every language replays: what a page asks here by both ways into the library.
 */
package vidcache

import com.google.gson.JsonElement
import com.google.gson.JsonNull
import com.google.gson.JsonObject
import com.google.gson.JsonParser
import java.io.RandomAccessFile
import java.nio.file.Files
import java.nio.file.Path
import java.time.Duration
import java.util.HexFormat
import kotlin.io.path.listDirectoryEntries
import kotlin.io.path.name
import kotlin.io.path.nameWithoutExtension
import kotlin.io.path.readText
import kotlin.io.path.writeText
import kotlin.test.assertEquals
import kotlin.test.assertNotNull
import kotlin.test.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.io.TempDir

private val FOLDER = Path.of(System.getProperty("vidcache.top"), "tests", "conformance")

private fun json(path: Path): JsonObject = JsonParser.parseString(path.readText()).asJsonObject

class ConformanceTest {
    @Test
    fun `every code has its class with its number`() {
        val codes = json(FOLDER.resolve("codes.json")).entrySet().associate { (name, code) -> name to code.asJsonObject["number"].asInt }
        val made = codes.keys.map { exception(it, "", null, null) }
        assertEquals(codes, made.associate { it.code to it.number })
        assertEquals(VidcacheException::class.java.permittedSubclasses.toSet(), made.map { it.javaClass as Class<*> }.toSet())
    }

    @TestFactory
    fun cases(@TempDir folder: Path): List<DynamicTest> {
        val files = FOLDER.listDirectoryEntries("*.json").filter { it.name != "codes.json" }.sorted()
        val cases = files.flatMap { file -> json(file)["cases"].asJsonArray.map { file.nameWithoutExtension to it.asJsonObject } }
        assertTrue(cases.size > 20, "${cases.size} cases were found")
        return cases.mapIndexed { number, (file, case) ->
            DynamicTest.dynamicTest("$file: ${case["name"].asString}") {
                val runner = Runner(Files.createDirectory(folder.resolve("$number")))
                try {
                    case["steps"].asJsonArray.forEachIndexed { at, step -> runner.replay(step.asJsonObject, "step ${at + 1}") }
                } finally {
                    runner.cache.close()
                }
            }
        }
    }
}

private class Runner(private val folder: Path) {
    private val changes = mutableMapOf<String, Long>()
    lateinit var cache: Cache

    init {
        open(JsonObject())
    }

    fun replay(step: JsonObject, place: String) {
        val found = try {
            call(step)
        } catch (error: VidcacheException) {
            assertEquals(step["fails"]?.asString, error.code, "$place: ${error.message}")
            return
        }
        assertTrue(!step.has("fails"), "$place: $found, and not ${step["fails"]}")
        val expected = step["gives"] ?: return
        if (expected.isJsonObject && found is String) {
            for (text in expected.asJsonObject["has"].orEmpty()) assertTrue(text in found, "$place: $text is missing")
            for (text in expected.asJsonObject["lacks"].orEmpty()) assertTrue(text !in found, "$place: $text is there")
        } else if (expected.isJsonObject) {
            val fields = assertNotNull(found as Map<*, *>?, place)
            val named = expected.asJsonObject.keySet()
            assertTrue(fields.keys.containsAll(named), "$place: ${fields.keys}")
            assertEquals(plain(expected), fields.filterKeys { it in named }, place)
        } else {
            assertEquals(plain(expected), found, place)
        }
    }

    private fun call(step: JsonObject): Any? {
        val user by lazy { key(step["user"]) }
        val email = text(step["email"])
        val nonce = text(step["nonce"])
        return when (val name = step["call"].asString) {
            "open" -> open(step)
            "close" -> cache.close()
            "write" -> file(step).writeText(step["text"].asString)
            "patch" -> RandomAccessFile(file(step).toFile(), "rw").use {
                it.seek(step["at"].asLong)
                it.write(HexFormat.of().parseHex(step["hex"].asString))
            }
            "resolve" -> {
                val found = cache.identity(user)
                assertEquals(found?.vid, cache.resolve(user))
                assertEquals(listOf(found?.vid), cache.resolveMany(listOf(user)))
                found?.let { mapOf("vid" to it.vid, "external_id" to it.externalId) }
            }
            "decide" -> {
                val found = cache.decide(user, email)
                assertEquals(found, cache.decideByUniffi(user, email))
                assertEquals(listOf(found), cache.decideMany(listOf(user to email)))
                mapOf("email" to found.email, "id" to found.id, "reason" to found.reason.code)
            }
            "snippet" -> {
                val known = if (step.has("user")) user else null
                val found = if (known == null) cache.anonymousSnippet(nonce) else cache.snippet(known, email, nonce)
                assertEquals(timeless(found), timeless(cache.snippetByUniffi(known, email, nonce)))
                found
            }
            "signed_out_snippet" -> cache.signedOutSnippet(nonce)
            "page_data" -> pageData(if (step.has("user")) cache.pageData(user, email) else cache.anonymousPageData())
            "signed_out_page_data" -> pageData(cache.signedOutPageData())
            "quiet_period" -> cache.quietPeriod().toMillis()
            "link" -> cache.link(user, step["vid"].asLong)
            "link_shared" -> cache.linkShared(user, step["vid"].asLong)
            "resolve_many" -> cache.resolveMany(step["users"].asJsonArray.map(::key))
            "decide_many" -> {
                val emails = step["emails"].asJsonArray.map(::text)
                cache.decideMany(step["users"].asJsonArray.map(::key).zip(emails)).map { it.reason.code }
            }
            "explain" -> cache.explain(user, email).toString()
            "export" -> cache.export(user)
            "forget" -> cache.forget(user)
            "record" -> {
                val found = cache.record(user, body(step), change(step))
                mapOf(
                    "vid" to found.vid, "canonical" to found.canonical,
                    "created" to found.created, "email_observed" to found.emailObserved,
                )
            }
            "observe" -> cache.observe(body(step)).let { mapOf("contacts" to it.contacts, "missing" to it.missing) }
            "apply_webhook" -> cache.applyWebhook(body(step).toByteArray())
                .let { mapOf("applied" to it.applied, "repeated" to it.repeated, "ignored" to it.ignored) }
            "begin_email_change" -> {
                changes[step["as"].asString] = cache.beginEmailChange(user)
                null
            }
            "abandon_email_change" -> cache.abandonEmailChange(user, change(step)!!)
            "is_change_outstanding" -> cache.isChangeOutstanding(user, change(step)!!)
            "change_outstanding_since" -> {
                val since = cache.changeOutstandingSince(user, change(step)!!)
                if (since != null) assertTrue(System.currentTimeMillis() - since in 0..<60_000, "$since")
                since != null
            }
            "stale_changes" -> {
                val began = System.currentTimeMillis()
                until("the clock moves") { System.currentTimeMillis() > began }
                cache.staleChanges(Duration.ZERO).map { it.user.toString() }
            }
            "import" -> {
                val rows = step["rows"].asJsonArray.map(JsonElement::getAsJsonObject).map {
                    val at = it["at"] ?: JsonNull.INSTANCE
                    ImportRow(key(it["user"]), it["vid"].asLong, text(it["email"]), if (at.isJsonNull) 0 else at.asLong)
                }
                cache.importUsers(rows).let { mapOf("imported" to it.imported, "vid_taken" to it.vidTaken) }
            }
            "verify" -> cache.verify().size.toLong()
            else -> error("no such call: $name")
        }
    }

    /** A page's data, which is of this moment; null for what it has not. */
    private fun pageData(text: String): Map<*, *> {
        val data = plain(JsonParser.parseString(text)) as Map<*, *>
        assertTrue(System.currentTimeMillis() - data["at"] as Long in 0..<60_000, text)
        assertTrue(data["ttl"] as Long > 0, text)
        return mapOf("id" to null, "email" to null, "out" to null) + data
    }

    private fun open(step: JsonObject) {
        if (::cache.isInitialized) cache.close()
        val secret = if (step.has("secret")) text(step["secret"]) else SECRET
        val deadline = step["page_deadline_ms"]?.asLong ?: 10_000
        val portal = step["portal"]?.asLong ?: PORTAL
        cache = Cache(file(step), portal, secret?.toByteArray(), pageDeadline = Duration.ofMillis(deadline))
    }

    private fun file(step: JsonObject): Path = folder.resolve(step["file"]?.asString ?: "cache")

    private fun change(step: JsonObject): Long? {
        val given = step["change"] ?: return null
        return if (given.asJsonPrimitive.isString) changes.getValue(given.asString) else given.asLong
    }

    private fun body(step: JsonObject): String = step["answer"]?.toString() ?: text(step["body"])!!
}

private fun JsonElement?.orEmpty(): List<String> = this?.asJsonArray?.map(JsonElement::getAsString) ?: emptyList()

private fun key(value: JsonElement): UserKey =
    if (value.isJsonPrimitive && value.asJsonPrimitive.isNumber) UserKey(value.asLong) else UserKey(text(value)!!)

private fun text(value: JsonElement?): String? = when {
    value == null || value.isJsonNull -> null
    value.isJsonPrimitive -> value.asString
    value.asJsonObject.has("hex") -> {
        val bytes = HexFormat.of().parseHex(value.asJsonObject["hex"].asString)
        // What is not UTF-8 comes into a String as surrogates without their other half.
        val text = String(bytes)
        if ('\ufffd' in text) String(CharArray(bytes.size) { Char(0xdc00 + bytes[it].toUByte().toInt()) }) else text
    }
    else -> value.asJsonObject["text"].asString.repeat(value.asJsonObject["times"].asInt)
}

/** JSON as the values that the calls return are. */
private fun plain(value: JsonElement): Any? = when {
    value.isJsonNull -> null
    value.isJsonObject -> value.asJsonObject.entrySet().associate { (name, field) -> name to plain(field) }
    value.isJsonArray -> value.asJsonArray.map(::plain)
    value.asJsonPrimitive.isBoolean -> value.asBoolean
    value.asJsonPrimitive.isNumber -> value.asLong
    else -> value.asString
}
