package vidcache

import java.lang.reflect.InvocationTargetException
import java.lang.reflect.Proxy
import java.net.InetAddress
import java.net.ServerSocket
import java.nio.file.Files
import java.nio.file.Path
import java.sql.Connection
import java.sql.SQLException
import javax.sql.DataSource
import kotlin.io.path.isExecutable
import org.postgresql.ds.PGSimpleDataSource

/** A pool that gives what `connection` makes. */
internal fun pool(connection: () -> Connection): DataSource =
    Proxy.newProxyInstance(Postgres::class.java.classLoader, arrayOf(DataSource::class.java)) { _, _, _ -> connection() } as DataSource

/** As a pool gives it: it stays when it is closed. `before` hears of each other call. */
internal fun lent(connection: Connection, before: (String) -> Unit = {}): Connection =
    Proxy.newProxyInstance(Postgres::class.java.classLoader, arrayOf(Connection::class.java)) { _, method, arguments ->
        if (method.name == "close") return@newProxyInstance null
        before(method.name)
        try {
            method.invoke(connection, *arguments.orEmpty())
        } catch (error: InvocationTargetException) {
            throw error.targetException
        }
    } as Connection

/** A PostgreSQL of the tests' own, on a free port of this machine. */
internal class Postgres private constructor(private val folder: Path, private val process: Process, private val port: Int) : AutoCloseable {
    /** A new connection for each that is asked for. */
    fun source(): DataSource = PGSimpleDataSource().apply {
        serverNames = arrayOf("127.0.0.1")
        portNumbers = intArrayOf(port)
        user = "app"
        databaseName = "postgres"
    }

    /** One connection, which stays when it is closed: a pool of one. */
    fun pool(): DataSource = lent(source().connection).let { pool { it } }

    override fun close() {
        process.destroy()
        process.waitFor()
        folder.toFile().deleteRecursively()
    }

    companion object {
        /** Debian's folder of the newest, or one of PATH. */
        private fun programs(): Path? {
            val debian = Path.of("/usr/lib/postgresql").toFile().listFiles().orEmpty().sortedByDescending { it.name.toIntOrNull() ?: 0 }
            val path = System.getenv("PATH").orEmpty().split(':').filter(String::isNotEmpty).map { Path.of(it) }
            return (debian.map { it.toPath().resolve("bin") } + path).find { it.resolve("postgres").isExecutable() }
        }

        /** Why there can be none, or null. */
        fun missing(): String? = if (programs() == null) "PostgreSQL's server is not installed" else null

        fun start(): Postgres {
            val folder = Files.createTempDirectory(Path.of("/tmp"), "vidcache-pg-")
            // It does not run as root.
            val unprivileged = if (System.getProperty("user.name") == "root") listOf("runuser", "-u", "postgres", "--") else emptyList()
            if (unprivileged.isNotEmpty()) ProcessBuilder("chown", "postgres", "$folder").start().waitFor()
            fun command(name: String, vararg arguments: String) =
                ProcessBuilder(unprivileged + "${programs()!!.resolve(name)}" + arguments).directory(folder.toFile())
                    .redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD).start()
            val data = "$folder/data"
            check(command("initdb", "--no-sync", "--auth=trust", "--username=app", "--encoding=UTF8", "--locale=C", "-D", data).waitFor() == 0)
            val port = ServerSocket(0, 1, InetAddress.getLoopbackAddress()).use { it.localPort }
            val settings = listOf("listen_addresses=127.0.0.1", "port=$port", "unix_socket_directories=", "fsync=off", "jit=off")
            val process = command("postgres", "-D", data, *settings.flatMap { listOf("-c", it) }.toTypedArray())
            val server = Postgres(folder, process, port)
            repeat(300) {
                try {
                    server.source().connection.close()
                    return server
                } catch (_: SQLException) {
                    Thread.sleep(100)
                }
            }
            error("it does not start")
        }
    }
}
