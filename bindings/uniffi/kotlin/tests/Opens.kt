/**
 * A program that uses the jar. In a package of its own: the version of `vidcache` is that of the jar it is loaded from
 * first.
 */
package other

import java.nio.channels.FileChannel
import java.nio.channels.FileChannel.MapMode.READ_ONLY
import java.nio.file.Path
import vidcache.Cache

/** Opens a file twice, and says what stood against it; with another file, which stays mapped, if one is named. */
object Opens {
    @JvmStatic
    fun main(arguments: Array<String>) {
        val mapped = arguments.drop(1).map { name -> FileChannel.open(Path.of(name)).use { it.map(READ_ONLY, 0, it.size()) } }
        repeat(2) {
            try {
                Cache(Path.of(arguments[0]), 1).close()
                println("opened")
            } catch (error: Throwable) {
                println("${error.javaClass.name}: ${error.message}")
            }
        }
        java.lang.ref.Reference.reachabilityFence(mapped)
    }
}
