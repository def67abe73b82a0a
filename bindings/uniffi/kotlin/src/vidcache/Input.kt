package vidcache

import java.nio.charset.Charset
import java.nio.file.InvalidPathException
import java.nio.file.Path
import java.time.Duration

/** What the app hands over, as the library takes it. What cannot be right is an error of the library's. */
internal object Input {
    /** How this JVM turns names of files into text. */
    private val names = Charset.forName(System.getProperty("sun.jnu.encoding") ?: "UTF-8")

    /** A thousand million seconds, which is as good as for ever. */
    private val LONGEST = Duration.ofSeconds(1_000_000_000_000)

    /** Whether UTF-8 can carry it: a surrogate without its other half cannot be. */
    fun isText(value: String): Boolean {
        var at = 0
        while (at < value.length) {
            val one = value[at++]
            if (one.isSurrogate() && !(one.isHighSurrogate() && at < value.length && value[at++].isLowSurrogate())) return false
        }
        return true
    }

    fun user(value: UserKey): String {
        val text = value.toString()
        if (!isText(text)) throw InvalidUserKey("invalid user key: it is not UTF-8")
        return text
    }

    fun email(value: String?): String? {
        if (value != null && !isText(value)) throw InvalidEmail("invalid email: it is not UTF-8")
        return value
    }

    fun text(value: String?, name: String): String? {
        if (value != null && !isText(value)) throw InvalidOption("invalid option $name: it is not UTF-8")
        return value
    }

    fun answer(value: String): ByteArray {
        if (!isText(value)) throw InvalidAnswer("invalid answer: it is not UTF-8")
        return value.toByteArray()
    }

    fun milliseconds(value: Duration, name: String): ULong {
        if (value.isNegative || value > LONGEST) throw InvalidOption("invalid option $name: it is out of range")
        return value.toMillis().toULong()
    }

    fun count(value: Long, name: String, most: Long): Long {
        if (value !in 0..most) throw InvalidOption("invalid option $name: it must be from 0 to $most")
        return value
    }

    fun path(value: Path): ByteArray {
        val text = value.toString()
        // A name that is no text in this JVM's encoding would be the name of another file.
        val same = try { Path.of(text) == value } catch (_: InvalidPathException) { false }
        if (!same) throw CannotOpen("cannot open the file: its path is no text in this JVM's encoding, or of another file system")
        return text.toByteArray(names)
    }

    fun path(bytes: ByteArray): Path = Path.of(String(bytes, names))
}
