/**
 * What bin/bench measures on the JVM: the jar beside a HashMap, and beside SQLite through JDBC.
 *
 * `bench/run FOLDER FACTS [--quick]`: FOLDER holds the files that the Rust part has filled. One line of JSON for each
 * figure goes to FACTS.
 */
package bench

import com.google.gson.Gson
import java.nio.file.Files
import java.nio.file.Path
import java.sql.Connection
import java.sql.DriverManager
import java.sql.SQLException
import kotlin.io.path.bufferedWriter
import kotlin.io.path.readLines
import vidcache.Cache
import vidcache.UserKey

private const val PORTAL = 62515L
private const val SECRET = "thirty-two bytes kept out of it."

/** Calls before anything is measured, so that the JVM has compiled what it will. */
private const val WARM = 200_000

/**
 * `loop` looks up the keys from one place to another, and returns what depends on every answer, so that the JVM leaves
 * out none: a loop for each subject, since one that served all would be compiled for none.
 */
private class Subject(val name: String, val count: Int, val baseline: String?, val loop: (Int, Int) -> Long)

/** Medians of rounds: in each every subject has its turn, and a ratio is one of neighbours in time. */
private class Rounds(private val rounds: Int, private val keys: Int) {
    private val subjects = mutableListOf<Subject>()
    private val facts = mutableListOf<Map<String, Any>>()
    private var sink = 0L

    fun add(name: String, count: Int = keys, baseline: String? = null, loop: (Int, Int) -> Long) {
        subjects += Subject(name, count, baseline, loop)
    }

    fun fact(id: String, vararg values: Pair<String, Any>) {
        facts += mapOf("id" to id, *values)
    }

    private fun nanoseconds(subject: Subject, turn: Int): Double {
        // Slow subjects take a part of the keys, another one in each round.
        val from = turn * subject.count % (keys - subject.count + 1)
        // Once unmeasured where that is cheap: so that the keys are where they would be in a busy process.
        if (subject.count >= 10_000) sink += subject.loop(from, from + subject.count)
        val start = System.nanoTime()
        sink += subject.loop(from, from + subject.count)
        return (System.nanoTime() - start).toDouble() / subject.count
    }

    fun run() {
        for (subject in subjects) repeat(maxOf(1, WARM / subject.count)) { nanoseconds(subject, it) }
        val times = subjects.associate { it.name to DoubleArray(rounds) }
        for (turn in 0..<rounds) {
            System.gc()
            val first = turn % subjects.size
            for (subject in subjects.drop(first) + subjects.take(first)) times.getValue(subject.name)[turn] = nanoseconds(subject, turn)
        }
        for (subject in subjects) {
            val own = times.getValue(subject.name)
            val base = times[subject.baseline]
            val beside = if (base == null) emptyArray() else {
                arrayOf<Pair<String, Any>>("baseline" to median(base), "ratio" to median(DoubleArray(rounds) { own[it] / base[it] }))
            }
            fact(subject.name, "median_ns" to median(own), *beside)
        }
        check(sink != 0L)
    }

    private fun median(values: DoubleArray): Double {
        val sorted = values.sorted()
        return (sorted[(sorted.size - 1) / 2] + sorted[sorted.size / 2]) / 2
    }

    fun write(path: Path) = path.bufferedWriter().use { file -> for (fact in facts) file.appendLine(Gson().toJson(fact)) }
}

fun main(arguments: Array<String>) {
    val folder = Path.of(arguments[0])
    val lines = folder.resolve("hot-users").readLines().map { it.split(" ") }
    val ids = LongArray(lines.size) { lines[it][0].toLong() }
    val texts = Array(lines.size) { lines[it][1] }
    val vids = lines.map { it[2].toLong() }
    val emails = Array(lines.size) { lines[it][3] }
    val rounds = Rounds(if ("--quick" in arguments) 11 else 41, lines.size)
    rounds.fact("versions", "kotlin" to KotlinVersion.CURRENT.toString(), "java" to Runtime.version().feature().toString())

    val byInt = Cache(folder.resolve("int.vidcache"), PORTAL, SECRET.toByteArray())
    val byText = Cache(folder.resolve("uuid.vidcache"), PORTAL, SECRET.toByteArray())
    // Every user once, so that what is measured comes from memory.
    check(ids.map { byInt.resolve(UserKey(it)) } == vids && texts.map { byText.resolve(UserKey(it)) } == vids)
    check(byInt.decide(UserKey(ids[0]), emails[0]).agreed && emails[0] in byInt.snippet(UserKey(ids[0]), emails[0]))

    // Filled in the order of the ids: looked up in the order it was filled, it would come out of memory one after the
    // other.
    val order = ids.indices.sortedBy { ids[it] }
    val known = HashMap<Long, Long>()
    for (at in order) known[ids[at]] = vids[at]
    // With keys of its own: nobody looks up the very object that a map has.
    val knownTexts = HashMap<String, Long>()
    for (at in order) knownTexts[String(texts[at].toCharArray())] = vids[at]

    rounds.add("baseline_hashmap_int") { from, to -> sum(from, to) { known[ids[it]]!! } }
    rounds.add("baseline_hashmap_str") { from, to -> sum(from, to) { knownTexts[texts[it]]!! } }
    rounds.add("kotlin_resolve_int", baseline = "baseline_hashmap_int") { from, to -> sum(from, to) { byInt.resolve(UserKey(ids[it]))!! } }
    rounds.add("kotlin_resolve_str", baseline = "baseline_hashmap_str") { from, to -> sum(from, to) { byText.resolve(UserKey(texts[it]))!! } }
    // As many as a page lists: more than 256 are read from the file, as of one commit.
    rounds.add("kotlin_resolve_many", baseline = "baseline_hashmap_int") { from, to ->
        (from..<to step 100).sumOf { at ->
            byInt.resolveMany((at..<minOf(at + 100, to)).map { UserKey(ids[it]) }).sumOf { it!! }
        }
    }
    rounds.add("kotlin_decide", count = 10_000) { from, to -> sum(from, to) { byInt.decide(UserKey(ids[it]), emails[it]).id!! } }
    rounds.add("kotlin_snippet", count = 10_000) { from, to ->
        sum(from, to) { byInt.snippet(UserKey(ids[it]), emails[it], "r4nd0m").length.toLong() }
    }
    val peer = Files.createTempFile(folder, "peer", ".sqlite3")
    val table = sqlite(peer, known)
    if (table == null) {
        rounds.fact("peer_sqlite_jdbc", "skipped" to "there is no JDBC driver for SQLite")
    } else {
        val query = table.prepareStatement("SELECT vid FROM users WHERE id = ?")
        rounds.add("peer_sqlite_jdbc", count = 2_000, baseline = "baseline_hashmap_int") { from, to ->
            sum(from, to) {
                query.setLong(1, ids[it])
                query.executeQuery().use { row ->
                    row.next()
                    row.getLong(1)
                }
            }
        }
    }
    rounds.run()
    rounds.write(Path.of(arguments[1]))
    table?.close()
    byInt.close()
    byText.close()
}

private inline fun sum(from: Int, to: Int, look: (Int) -> Long): Long {
    var sum = 0L
    for (at in from..<to) sum += look(at)
    return sum
}

private fun sqlite(path: Path, known: Map<Long, Long>): Connection? {
    val table = try { DriverManager.getConnection("jdbc:sqlite:$path") } catch (_: SQLException) { return null }
    table.createStatement().use {
        it.execute("PRAGMA journal_mode = WAL")
        it.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, vid INTEGER NOT NULL)")
    }
    table.autoCommit = false
    table.prepareStatement("INSERT INTO users VALUES (?, ?)").use { insert ->
        for ((id, vid) in known) {
            insert.setLong(1, id)
            insert.setLong(2, vid)
            insert.addBatch()
        }
        insert.executeBatch()
    }
    table.commit()
    // Each look-up its own transaction: as of the last commit, as ours is.
    table.autoCommit = true
    return table
}
