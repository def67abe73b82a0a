/** What the tests share. */
package vidcache

import java.nio.file.Path
import java.util.concurrent.TimeUnit
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.io.TempDir

const val PORTAL = 62515L
const val SECRET = "thirty-two bytes kept out of it."
const val ANSWER = """{"id":"901","properties":{"email":"ann@shop.test"},"updatedAt":"2026-03-01T10:00:00.000Z"}"""

fun file(folder: Path): Path = folder.resolve("hubspot.vidcache")

fun open(path: Path): Cache = Cache(path, PORTAL, SECRET.toByteArray())

/** Each test has a cache in a folder of its own. */
abstract class CacheTestCase {
    @TempDir
    lateinit var folder: Path
    protected lateinit var cache: Cache

    @BeforeEach
    fun open() {
        cache = open(file(folder))
    }

    @AfterEach
    fun close() = cache.close()
}

/** Users by their ids. */
fun users(vararg ids: Long): List<UserKey> = ids.map { UserKey(it) }

fun Cache.decideByUniffi(user: UserKey, email: String?): Decision =
    call { core.decide(user.toString(), email) }.let { Decision(it.email, it.id, Reason.of(it.reason)) }

fun Cache.snippetByUniffi(user: UserKey?, email: String?, nonce: String?): String =
    call { if (user == null) core.anonymousSnippet(nonce) else core.snippet(user.toString(), email, nonce) }

/** A page says when it was rendered. */
fun timeless(html: String): String = html.replace(Regex("\"at\":\\d+|id=\"v-\\d+\""), "")

/** Until it holds, for at most 30 seconds. */
fun until(what: String, holds: () -> Boolean) {
    val end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30)
    while (!holds()) {
        check(System.nanoTime() < end) { "in 30 s: $what" }
        Thread.sleep(20)
    }
}

/** Another JVM, with this one's class path or another. */
fun jvm(main: String, vararg arguments: String, classPath: String = System.getProperty("java.class.path")): Process {
    val java = Path.of(System.getProperty("java.home"), "bin", "java").toString()
    return ProcessBuilder(java, "-cp", classPath, main, *arguments).redirectErrorStream(true).start()
}
