package vidcache

import com.sun.jna.Platform
import java.io.File
import java.io.IOException
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

    /** JNA has one folder for a processor's libraries, whatever C library they are for, so these have two names. */
    private const val OF_GLIBC = "vidcache_uniffi"
    private const val OF_MUSL = "vidcache_uniffi_musl"

    /** What names the library to UniFFI. */
    private const val NAMED = "uniffi.component.vidcache_uniffi.libraryOverride"

    /** The library's name, of which JNA makes a file's, or its path: the very one that UniFFI has. */
    val name: String
        get() = System.getProperty(NAMED) ?: OF_GLIBC

    /** Why it cannot be used. */
    private val trouble: String? = load()

    private fun load(): String? {
        if (System.getProperty(NAMED) == null && hasMusl()) System.setProperty(NAMED, OF_MUSL)
        try {
            // JNA finds it; UniFFI compares the contract and a checksum of every function.
            uniffiEnsureInitialized()
            Direct.ready()
            version = libraryVersion()
        } catch (error: LinkageError) {
            val causes = generateSequence<Throwable>(error) { it.cause }.toList()
            val said = causes.flatMap { it.message.orEmpty().lines() }.filter { it.isNotBlank() }
            return when {
                said.any { NO_PROGRAMS in it } ->
                    "the filesystem that JNA unpacks its native library into allows no programs (noexec); " +
                        "name a folder of another one: java -Djna.tmpdir=FOLDER"
                said.any { NO_LIBRARY in it } && !isHere() ->
                    "this jar has no library for ${Platform.RESOURCE_PREFIX}${if (name == OF_MUSL) " with musl" else ""}; take the jar of this platform, or build it here, and $ADVICE"
                causes.any { it is UnsatisfiedLinkError } && said.none { NO_FUNCTION in it } ->
                    "its native library cannot be loaded (${said.joinToString(" ")}): it is of another system, older or newer, or was cut off; $ADVICE"
                else -> "its native library is of another version (${(error.cause ?: error).message?.lineSequence()?.first()}); $ADVICE"
            }
        }
        // The jar's manifest. Classes that are in no jar have none.
        val own = Library::class.java.`package`.implementationVersion ?: version
        return if (own == version) null else "this is version $own, and its native library $version; $ADVICE"
    }

    /** Whether this platform's library is in the jar, where JNA looks for it. */
    private fun isHere(): Boolean =
        Library::class.java.getResource("/${Platform.RESOURCE_PREFIX}/${System.mapLibraryName(name)}") != null

    /** Whether this JVM runs by musl, as on Alpine: musl's loader, which is its C library too, is mapped into it. */
    private fun hasMusl(): Boolean =
        try {
            File("/proc/self/maps").useLines { lines -> lines.any { "/ld-musl-" in it } }
        } catch (_: IOException) {
            // Not Linux.
            false
        }

    /**
     * Every way in passes here. Not an initialiser that fails: that would say why the first time only, and a
     * NoClassDefFoundError ever after.
     */
    fun ready() {
        if (trouble != null) throw LinkageError("vidcache: $trouble")
    }

    private const val ADVICE = "put one vidcache jar on the class path, and JNA 5.12 or newer"

    /** JNA's words where it finds no library at all, and where one has no such function. */
    private const val NO_LIBRARY = "Unable to load library"
    private const val NO_FUNCTION = "Error looking up function"

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
