package vidcache

import java.sql.Connection
import java.sql.ResultSet
import java.sql.SQLException
import java.util.concurrent.ConcurrentHashMap
import javax.sql.DataSource
import vidcache.uniffi.Exchange
import vidcache.uniffi.ExchangeStep
import vidcache.uniffi.Outcome

/** Who sends the statements of an exchange. */
internal sealed class Line {
    /** Does what `begin` begins; it is told whether a transaction of the app's is open. */
    abstract fun carry(begin: (Boolean) -> Exchange): Outcome

    /** The connection of a transaction of the app's. */
    class Within(private val connection: Connection) : Line() {
        override fun carry(begin: (Boolean) -> Exchange): Outcome = carry(begin(true)) { send(connection, it) }
    }

    /** A connection of the app's for each exchange, taken when there is something to send. */
    class Pool(private val source: DataSource) : Line() {
        override fun carry(begin: (Boolean) -> Exchange): Outcome {
            val exchange = begin(false)
            var taken: Connection? = null
            var manual = false
            try {
                return carry(exchange, { taken?.let(::abort) }) { step ->
                    val connection = taken ?: source.connection.also { taken = it }
                    // What begins and ends a transaction is among the statements.
                    if (!connection.autoCommit) {
                        manual = true
                        connection.autoCommit = true
                    }
                    send(connection, step)
                }
            } catch (error: Throwable) {
                // An exchange that fails has come to its end. One that was cut short may have a transaction open.
                if (error !is VidcacheException) taken?.let(::abort)
                throw error
            } finally {
                taken?.let { giveBack(it, manual) }
            }
        }

        /** So that the pool gives it to nobody, with a transaction in it that nobody will end. */
        private fun abort(connection: Connection) {
            try {
                connection.abort(Runnable::run)
            } catch (_: Exception) {
                // It has gone already.
            }
        }

        private fun giveBack(connection: Connection, manual: Boolean) {
            try {
                connection.use { if (manual && !it.isClosed) it.autoCommit = false }
            } catch (_: Exception) {
                // It has gone, and the pool will see that.
            }
        }
    }

    /**
     * Sends what the exchange wants sent, until it is done. Whatever a pool or a driver throws is an answer, too, by
     * which a page says less and everything else fails as [Storage]. `lost` is called where the connection is of no use
     * after that.
     */
    protected fun carry(exchange: Exchange, lost: () -> Unit = {}, send: (ExchangeStep.Send) -> String?): Outcome {
        exchange.use {
            var gone = false
            var step = call { exchange.answered(null) }
            while (step is ExchangeStep.Send) {
                val next = step
                if (next.waitMs > 0uL) Thread.sleep(next.waitMs.toLong())
                var answer: String? = null
                // Whatever is sent behind a connection that has gone would wait for another one.
                val refused = if (gone) "" else {
                    try {
                        answer = send(next)
                        null
                    } catch (error: SQLException) {
                        error.sqlState.orEmpty()
                    } catch (_: RuntimeException) {
                        ""
                    }
                }
                if (!gone && refused != null && (refused.isEmpty() || refused.startsWith("08") || refused.startsWith("57P"))) {
                    gone = true
                    lost()
                }
                step = call { if (refused == null) exchange.answered(answer) else exchange.refused(refused) }
            }
            return (step as ExchangeStep.Done).outcome
        }
    }

    protected fun send(connection: Connection, step: ExchangeStep.Send): String? {
        if (step.parameters.isNotEmpty()) {
            val (text, places) = QUESTIONS.computeIfAbsent(step.text, ::Question)
            // The driver keeps prepared what is asked again and again.
            connection.prepareStatement(text).use { statement ->
                places.forEachIndexed { at, place -> statement.setString(at + 1, step.parameters[place]) }
                return statement.executeQuery().use(::text)
            }
        }
        connection.createStatement().use { statement ->
            statement.setEscapeProcessing(false)
            if (step.asks) return statement.executeQuery(step.text).use(::text)
            statement.execute(step.text)
            return null
        }
    }

    private fun text(rows: ResultSet): String? = if (rows.next()) rows.getString(1) else null

    /** A statement as JDBC takes it, whose parameters have no numbers, and the number of each, from 0. */
    private data class Question(val text: String, val places: List<Int>) {
        constructor(numbered: String) :
            this(PLACE.replace(numbered, "?"), PLACE.findAll(numbered).map { it.groupValues[1].toInt() - 1 }.toList())
    }

    private companion object {
        val PLACE = Regex("""\$([12])""")

        /** By their text: those of pages, of which a process has three for each schema. */
        val QUESTIONS = ConcurrentHashMap<String, Question>()
    }
}
