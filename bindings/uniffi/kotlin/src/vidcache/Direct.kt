package vidcache

import com.sun.jna.Native
import java.nio.ByteBuffer
import java.nio.ByteOrder
import vidcache.uniffi.reasons

/**
 * What a page asks, past UniFFI: C functions beside it in the same library, through JNA's direct mapping. They never
 * wait for another thread or process.
 *
 * `at` is where the cache is, kept by the caller for the call. Whatever is not answered here, an error above all, is
 * null or [ASK], and then to be asked through UniFFI. Pointers and sizes cross as Long: this is for 64 bits.
 */
@Suppress("FunctionName")
internal object Direct {
    const val ASK: Long = -1

    /** The id, an email of 254 bytes, the NUL that ends it, and what makes it whole words. */
    private const val DECISION = 8 + 255 + 1

    /** A page's HTML takes some 2,000 bytes, with an email and a nonce as they are. */
    private const val ROOM = 4096

    private val NONE = ByteArray(0)

    init {
        // The very one that UniFFI has: two copies of a library share nothing.
        Native.register(Direct::class.java, Library.name)
    }

    private val byNumber: Array<Reason> = reasons().map(Reason::of).toTypedArray()

    /** Loads it. */
    fun ready(): Unit = Unit

    @JvmStatic
    private external fun vidcache_try_resolve_id(at: Long, id: Long): Long

    @JvmStatic
    private external fun vidcache_try_resolve_text(at: Long, user: ByteArray, userLen: Long): Long

    @JvmStatic
    private external fun vidcache_try_decide(
        at: Long, user: ByteArray, userLen: Long, email: ByteArray?, emailLen: Long, out: ByteArray,
    ): Long

    @JvmStatic
    private external fun vidcache_try_snippet(
        at: Long, user: ByteArray?, userLen: Long, email: ByteArray?, emailLen: Long, nonce: ByteArray?, nonceLen: Long,
        html: ByteArray, room: Long,
    ): Long

    /** The contact, 0 for none, or [ASK]. */
    fun resolve(at: Long, user: UserKey): Long {
        if (user.isId) return vidcache_try_resolve_id(at, user.id)
        val key = bytes(user.toString()) ?: return ASK
        return vidcache_try_resolve_text(at, key, key.size.toLong())
    }

    fun decide(at: Long, user: UserKey, email: String?): Decision? {
        val key = bytes(user.toString()) ?: return null
        val named = bytes(email)
        if (named == null && email != null) return null
        val out = ByteArray(DECISION)
        val reason = vidcache_try_decide(at, key, key.size.toLong(), named, size(named), out)
        if (reason == ASK) return null
        val id = ByteBuffer.wrap(out).order(ByteOrder.nativeOrder()).getLong(0)
        val ends = (8..<DECISION).first { out[it] == 0.toByte() }
        return Decision(String(out, 8, ends - 8).ifEmpty { null }, id.takeIf { it != 0L }, byNumber[reason.toInt()])
    }

    /** Of a visitor whom the app does not know where `user` is null. */
    fun snippet(at: Long, user: UserKey?, email: String?, nonce: String?): String? {
        val key = user?.let { bytes(it.toString()) ?: return null }
        val named = email?.let { bytes(it) ?: return null }
        val once = nonce?.let { bytes(it) ?: return null }
        val html = ByteArray(ROOM)
        val length = vidcache_try_snippet(at, key, size(key), named, size(named), once, size(once), html, ROOM.toLong())
        return if (length == ASK) null else String(html, 0, length.toInt())
    }

    private fun bytes(text: String?): ByteArray? = if (text != null && Input.isText(text)) text.toByteArray() else null

    private fun size(bytes: ByteArray?): Long = (bytes ?: NONE).size.toLong()
}
