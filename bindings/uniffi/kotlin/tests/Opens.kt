/**
 * A program that uses the jar. In a package of its own: the version of `vidcache` is that of the jar it is loaded from
 * first.
 */
package other

import java.nio.file.Path
import vidcache.Cache

/** Opens a file twice, and says what stood against it. */
object Opens {
    @JvmStatic
    fun main(arguments: Array<String>) {
        repeat(2) {
            try {
                Cache(Path.of(arguments[0]), 1).close()
                println("opened")
            } catch (error: Throwable) {
                println("${error.javaClass.name}: ${error.message}")
            }
        }
    }
}
