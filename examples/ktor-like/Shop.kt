package shop

import com.google.gson.Gson
import java.io.FileOutputStream
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.StandardCopyOption.ATOMIC_MOVE
import java.time.Duration
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.Executors
import java.util.concurrent.ScheduledExecutorService
import java.util.concurrent.TimeUnit.MILLISECONDS
import java.util.concurrent.atomic.AtomicInteger
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock
import vidcache.Cache
import vidcache.UserKey
import vidcache.VidcacheException

private const val RETRY_MS = 5_000L

class User(val id: Long, val login: String, @Volatile var email: String) {
    val key: UserKey get() = UserKey(id)
}

/**
 * The shop's customers, in a file of JSON where a real one would have a database, and the worker that tells HubSpot of
 * their emails.
 */
class Shop(
    private val file: Path,
    private val cache: Cache,
    private val hubspot: Hubspot,
    private val usual: Boolean,
    /** null: what the library says. */
    private val quiet: Duration?,
) {
    private val users: MutableList<User> =
        if (Files.exists(file)) Gson().fromJson(Files.readString(file), Array<User>::class.java).toMutableList() else mutableListOf()
    private val lock = ReentrantLock()
    private val jobs: ScheduledExecutorService = Executors.newScheduledThreadPool(8)
    private val outstanding = AtomicInteger()

    /** One job of a user at a time: two of them at once could tell HubSpot of the older email last. */
    private val turns = ConcurrentHashMap<Long, ReentrantLock>()

    /** Jobs that are not done. */
    val pending: Int get() = outstanding.get()

    /**
     * Makes the customers that are not there yet, and their contacts; takes up the changes that a crash left behind.
     */
    fun prepare(count: Int) {
        for (number in users.size + 1..count) users += User(number.toLong(), "user$number", "user$number@shop.test")
        save()
        for (user in users) {
            if (cache.resolve(user.key) == null) cache.record(user.key, hubspot.tell(null, user.email))
        }
        for (change in cache.staleChanges(Duration.ZERO)) {
            enqueue(users.first { it.key == change.user }, change.token)
        }
    }

    fun byLogin(login: String): User? = users.find { it.login == login }

    /** The order is the rule's: begin, then the app's own commit, then the job. */
    fun changeEmail(user: User, email: String) {
        val change = if (usual) null else cache.beginEmailChange(user.key)
        lock.withLock {
            val former = user.email
            user.email = email
            try {
                save()
            } catch (error: Throwable) {
                user.email = former
                if (change != null) cache.abandonEmailChange(user.key, change)
                throw error
            }
        }
        enqueue(user, change)
    }

    private fun save() {
        val next = file.resolveSibling("${file.fileName}.new")
        FileOutputStream(next.toFile()).use {
            it.write(Gson().toJson(users).toByteArray())
            it.fd.sync()
        }
        Files.move(next, file, ATOMIC_MOVE)
    }

    private fun enqueue(user: User, change: Long?) {
        outstanding.incrementAndGet()
        schedule(user, change)
    }

    /** Asked each time: a process with a longer page deadline may have come meanwhile. */
    private fun schedule(user: User, change: Long?) {
        try {
            val wait = if (usual) Duration.ZERO else quiet ?: cache.quietPeriod()
            jobs.schedule({ perform(user, change) }, wait.toMillis(), MILLISECONDS)
        } catch (error: VidcacheException) {
            System.err.println("user ${user.id}: ${error.code}; trying again")
            jobs.schedule({ schedule(user, change) }, RETRY_MS, MILLISECONDS)
        }
    }

    /** Until it succeeds the change stays outstanding, and the user's pages give the id alone. */
    private fun perform(user: User, change: Long?) {
        try {
            turns.computeIfAbsent(user.id) { ReentrantLock() }.withLock {
                // Asked now: HubSpot must not be told of a change that another job has finished.
                if (change == null || cache.isChangeOutstanding(user.key, change)) {
                    // The email as it is now: of two jobs, the later one tells of the later email.
                    cache.record(user.key, hubspot.tell(cache.resolve(user.key), user.email), change)
                }
            }
            outstanding.decrementAndGet()
        } catch (error: Exception) {
            System.err.println("user ${user.id}: ${error.javaClass.simpleName}; trying again")
            jobs.schedule({ perform(user, change) }, RETRY_MS, MILLISECONDS)
        }
    }
}
