package vidcache

import java.time.Duration
import vidcache.uniffi.InternalException
import vidcache.uniffi.libraryVersion
import vidcache.uniffi.uniffiEnsureInitialized
import vidcache.uniffi.VidcacheException as Failure

/** The native library, checked to be this jar's own. */
internal object Library {
    /** The library's version; of no meaning while there is [trouble]. */
    var version: String = "unknown"
        private set

    /** Why it cannot be used. */
    private val trouble: String? = load()

    private fun load(): String? {
        try {
            // JNA finds it; UniFFI compares the contract and a checksum of every function.
            uniffiEnsureInitialized()
            Direct.ready()
            version = libraryVersion()
        } catch (error: LinkageError) {
            if (generateSequence<Throwable>(error) { it.cause }.any { NO_PROGRAMS in it.message.orEmpty() }) {
                return "the filesystem that JNA unpacks its native library into allows no programs (noexec); " +
                    "name a folder of another one: java -Djna.tmpdir=FOLDER"
            }
            val said = (error.cause ?: error).message?.lineSequence()?.first()
            return "its native library is missing or of another version ($said); $ADVICE"
        }
        // The jar's manifest. Classes that are in no jar have none.
        val own = Library::class.java.`package`.implementationVersion ?: version
        return if (own == version) null else "this is version $own, and its native library $version; $ADVICE"
    }

    /**
     * Every way in passes here. Not an initialiser that fails: that would say why the first time only, and a
     * NoClassDefFoundError ever after.
     */
    fun ready() {
        if (trouble != null) throw LinkageError("vidcache: $trouble")
    }

    private const val ADVICE = "put one vidcache jar on the class path, and JNA 5.12 or newer"

    /** The loader's words where a file's pages may not be executed. */
    private const val NO_PROGRAMS = "failed to map segment"
}

/** Calls the library; what it fails with becomes one of [VidcacheException]. */
internal inline fun <T> call(function: () -> T): T =
    try {
        function()
    } catch (error: Failure.Failed) {
        throw exception(error.code, error.text, error.vid, error.retryAfterMs?.let { Duration.ofMillis(it.toLong()) })
    } catch (_: InternalException) {
        // Its words could quote an argument.
        throw Internal("internal error: the library did not take an argument; please report it")
    }
