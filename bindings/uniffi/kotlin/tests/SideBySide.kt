/** The other process of a test. */
package vidcache

import java.nio.file.Path

/** Reads what the test has written, writes itself, and hears of what the test writes then. */
object SideBySide {
    @JvmStatic
    fun main(arguments: Array<String>) {
        open(Path.of(arguments[0])).use { cache ->
            check(cache.resolve(UserKey(1)) == 11L) { "what was there" }
            check(cache.resolve(UserKey(3)) == null) { "what was not" }
            cache.link(UserKey(2), 22)
            println("linked")
            checkNotNull(readlnOrNull()) { "the test has gone" }
            check(cache.resolve(UserKey(3)) == 33L) { "what came meanwhile" }
            println("heard")
        }
    }
}
