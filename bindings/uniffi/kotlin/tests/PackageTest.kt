/** The jar: what is in it, and that it works with its own library only. */
package vidcache

import java.io.File
import java.nio.file.FileSystem
import java.nio.file.FileSystems
import java.nio.file.Files
import java.nio.file.Path
import java.util.jar.JarFile
import java.util.jar.Manifest
import kotlin.io.path.copyTo
import kotlin.io.path.deleteExisting
import kotlin.io.path.inputStream
import kotlin.io.path.outputStream
import kotlin.io.path.readBytes
import kotlin.io.path.readText
import kotlin.io.path.writeBytes
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

private val TOP = Path.of(System.getProperty("vidcache.top"))
private val CLASS_PATH = System.getProperty("java.class.path").split(File.pathSeparator)
private val JAR = Path.of(CLASS_PATH.single { it.endsWith("vidcache.jar") })
private const val MANIFEST = "META-INF/MANIFEST.MF"
private const val VERSION = "Implementation-Version"

class PackageTest {
    @TempDir
    lateinit var folder: Path

    private val library = com.sun.jna.Platform.RESOURCE_PREFIX + "/" + System.mapLibraryName("vidcache_uniffi")

    @Test
    fun `the jar has the package and the library, and fits Java 17`() {
        JarFile(JAR.toFile()).use { jar ->
            val names = jar.stream().map { it.name }.filter { !it.endsWith("/") }.toList()
            val (classes, others) = names.partition { it.endsWith(".class") }
            val notices = "META-INF/THIRD-PARTY.txt"
            val licences = listOf("META-INF/LICENSE-APACHE", "META-INF/LICENSE-MIT", "META-INF/SBOM.cdx.json", notices)
            // Somebody may have put those of other platforms into prebuilt/.
            val own = others.filterNot { it.startsWith("linux-") && it != library }
            assertEquals(setOf(MANIFEST, "META-INF/vidcache.kotlin_module", library) + licences, own.toSet())
            assertContains(jar.getInputStream(jar.getEntry(notices)).use { it.readBytes().decodeToString() }, "\nlibsqlite3-sys ")
            assertTrue(classes.all { it.startsWith("vidcache/") } && "vidcache/Cache.class" in classes)
            assertEquals(jar.manifest.mainAttributes.getValue(VERSION), version)
            for (name in classes) {
                // The major version of class files of Java 17.
                assertEquals(61, jar.getInputStream(jar.getEntry(name)).use { it.readNBytes(8) }[7].toInt(), name)
            }
        }
        assertContains(TOP.resolve("Cargo.toml").readText(), "\nversion = \"$version\"\n")
    }

    /** What opening twice says with a copy of the jar in which something was changed. */
    private fun changed(vararg mapped: Path, change: (FileSystem) -> Unit): List<String> {
        val copy = JAR.copyTo(folder.resolve("vidcache.jar"), overwrite = true)
        FileSystems.newFileSystem(copy).use(change)
        val path = CLASS_PATH.joinToString(File.pathSeparator) { if (it == JAR.toString()) copy.toString() else it }
        val other = jvm("other.Opens", folder.resolve("cache").toString(), *mapped.map(Path::toString).toTypedArray(), classPath = path)
        val said = other.inputReader().use { it.readLines() }
        assertEquals(0, other.waitFor())
        return said
    }

    private fun assertClear(said: List<String>, what: String) {
        assertEquals(2, said.size, "$said")
        for (line in said) {
            assertTrue(line.startsWith("java.lang.LinkageError: vidcache: "), line)
            assertContains(line, what)
            assertContains(line, "put one vidcache jar on the class path")
        }
    }

    @Test
    fun `a copy works`() = assertEquals(listOf("opened", "opened"), changed {})

    @Test
    fun `no library is a clear error, again and again`() =
        assertClear(changed { it.getPath(library).deleteExisting() }, "this jar has no library for ${com.sun.jna.Platform.RESOURCE_PREFIX};")

    /** A JVM by musl cannot be had here; what tells one is musl's loader among the files that it has mapped. */
    @Test
    fun `a JVM by musl takes the library for musl, which has another name in the same folder`() {
        val loader = folder.resolve("ld-musl-x86_64.so.1").also { it.writeBytes(ByteArray(4096)) }
        assertClear(changed(loader) {}, "this jar has no library for ${com.sun.jna.Platform.RESOURCE_PREFIX} with musl;")
        val moved = changed(loader) { jar -> Files.move(jar.getPath(library), jar.getPath(library.replace(".so", "_musl.so"))) }
        assertEquals(listOf("opened", "opened"), moved)
    }

    @Test
    fun `a library that was cut off, or asks for a newer glibc, is a clear error with the loader's reason`() {
        assertClear(changed { it.getPath(library).writeBytes(it.getPath(library).readBytes().copyOf(40)) }, "cannot be loaded (")
        val newer = changed { jar ->
            val text = jar.getPath(library).readBytes().toString(Charsets.ISO_8859_1)
            val wanted = Regex("\u0000GLIBC_2\\.\\d\\d\u0000").findAll(text).maxOf { it.value }
            jar.getPath(library).writeBytes(text.replace(wanted, "\u0000GLIBC_9.99\u0000").toByteArray(Charsets.ISO_8859_1))
        }
        assertClear(newer, "GLIBC_9.99' not found")
    }

    @Test
    fun `another version is a clear error`() {
        val said = changed { jar ->
            val path = jar.getPath(MANIFEST)
            val manifest = path.inputStream().use(::Manifest)
            manifest.mainAttributes.putValue(VERSION, "0.0.1")
            path.outputStream().use(manifest::write)
        }
        assertClear(said, "this is version 0.0.1, and its native library $version")
    }

    @Test
    fun `another contract, or another function, is a clear error`() {
        assertClear(changed { stub(contract = 1).copyTo(it.getPath(library), overwrite = true) }, "contract version mismatch")
        val own = Class.forName("vidcache.uniffi.IntegrityCheckingUniffiLib").let { checks ->
            checks.getMethod("ffi_vidcache_uniffi_uniffi_contract_version").invoke(checks.getField("INSTANCE").get(null)) as Int
        }
        assertClear(changed { stub(contract = own).copyTo(it.getPath(library), overwrite = true) }, "checksum mismatch")
    }

    /** What opening twice says where the folder of temporary files allows no programs, as /tmp on a careful host. */
    private fun withoutPrograms(home: Path, vararg options: String): List<String> {
        val temporary = Files.createDirectories(folder.resolve("temporary"))
        val mount = "mount -t tmpfs -o noexec tmpfs \"$1\" && shift && exec \"$@\""
        val java = Path.of(System.getProperty("java.home"), "bin", "java").toString()
        val command = listOf("unshare", "--mount", "sh", "-c", mount, "sh", "$temporary", java, "-Djava.io.tmpdir=$temporary", "-Duser.home=$home", *options)
        val other = ProcessBuilder(command + listOf("-cp", CLASS_PATH.joinToString(File.pathSeparator), "other.Opens", folder.resolve("cache").toString()))
            .redirectErrorStream(true).apply { environment().remove("XDG_CACHE_HOME") }.start()
        val said = other.inputReader().use { it.readLines() }
        assertEquals(0, other.waitFor(), "$said")
        return said
    }

    @Test
    fun `where the folder of temporary files allows no programs it works of the home's cache, or says what to do`() {
        val tried = ProcessBuilder("unshare", "--mount", "true").redirectErrorStream(true).start()
        if (tried.waitFor() != 0) return println("noexec: skipped because only root may mount")
        val nowhere = Path.of("/proc/no-home")
        assertEquals(listOf("opened", "opened"), withoutPrograms(Files.createDirectories(folder.resolve("home"))))
        val said = withoutPrograms(nowhere)
        assertEquals(2, said.size, "$said")
        for (line in said) {
            assertTrue(line.startsWith("java.lang.LinkageError: vidcache: "), line)
            assertContains(line, "allows no programs (noexec); name a folder of another one: java -Djna.tmpdir=FOLDER")
        }
        val other = Files.createDirectories(folder.resolve("other"))
        assertEquals(listOf("opened", "opened"), withoutPrograms(nowhere, "-Djna.tmpdir=$other"))
    }

    /** A library that has the functions by which UniFFI checks one, and that is not ours. */
    private fun stub(contract: Int): Path {
        val checks = Class.forName("vidcache.uniffi.IntegrityCheckingUniffiLib").declaredMethods.map { it.name }
        val source = checks.filter { it.startsWith("uniffi_") }.joinToString("") { "short $it(void) { return 1; }\n" } +
            "int ffi_vidcache_uniffi_uniffi_contract_version(void) { return $contract; }\n"
        val (code, built) = folder.resolve("stub.c") to folder.resolve("stub.so")
        Files.writeString(code, source)
        val compiler = ProcessBuilder("cc", "-shared", "-fPIC", "-o", "$built", "$code").inheritIO().start()
        assertEquals(0, compiler.waitFor())
        return built
    }
}
