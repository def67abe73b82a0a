/** A small shop on the JDK's own HTTP server: customers sign in, look at pages, and change their email. */
package shop

import com.google.gson.Gson
import com.sun.net.httpserver.HttpExchange
import com.sun.net.httpserver.HttpServer
import java.net.InetSocketAddress
import java.net.URLDecoder
import java.nio.file.Files
import java.nio.file.Path
import java.security.SecureRandom
import java.time.Duration
import java.util.HexFormat
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.Executors
import vidcache.Cache
import vidcache.VidcacheException

private fun env(name: String, otherwise: String): String = System.getenv(name) ?: otherwise

private fun seconds(name: String, otherwise: String): Duration =
    Duration.ofMillis((env(name, otherwise).toDouble() * 1000).toLong())

private val PORTAL = env("HUBSPOT_PORTAL", "62515").toLong()
private val USUAL = env("SNIPPET", "vidcache") == "usual"
private val EMAIL = Regex("[^@\\s]+@[^@\\s]+")
private const val SIGN_IN = """<form action="/sign_in" method="post"><input name="login"><button>Sign in</button></form>"""

fun main() {
    val data = Path.of(env("DATA_DIR", "storage"))
    Files.createDirectories(data)
    val secret = env("VIDCACHE_SECRET", "a secret that a real shop keeps elsewhere").toByteArray()
    val cache = Cache(data.resolve("hubspot.vidcache"), PORTAL, secret, pageDeadline = seconds("PAGE_DEADLINE", "10"))
    val hubspot = Hubspot(env("HUBSPOT_API", "https://api.hubapi.com"), env("HUBSPOT_TOKEN", ""))
    val quiet = if (System.getenv("QUIET_PERIOD") == null) null else seconds("QUIET_PERIOD", "")
    val shop = Shop(data.resolve("users.json"), cache, hubspot, USUAL, quiet)
    shop.prepare(env("USERS", "5").toInt())

    val pages = Pages(cache, shop)
    val server = HttpServer.create(InetSocketAddress("127.0.0.1", env("PORT", "3000").toInt()), 0)
    server.executor = Executors.newCachedThreadPool()
    server.createContext("/") { exchange ->
        try {
            pages.answer(exchange)
        } catch (error: Exception) {
            System.err.println("${exchange.requestURI.path}: ${error.javaClass.simpleName}")
            exchange.sendResponseHeaders(500, -1)
        } finally {
            exchange.close()
        }
    }
    server.start()
}

private class Pages(private val cache: Cache, private val shop: Shop) {
    private val sessions = ConcurrentHashMap<String, User>()
    private val random = SecureRandom()

    fun answer(exchange: HttpExchange) {
        val path = exchange.requestURI.path
        val user = cookie(exchange)?.let(sessions::get)
        when ("${exchange.requestMethod} $path") {
            "GET /up" -> send(exchange, "text/plain", "")
            "GET /jobs" -> send(exchange, "application/json", Gson().toJson(mapOf("pending" to shop.pending)))
            "GET /sign_in" -> page(exchange, null, "Sign in", SIGN_IN)
            "POST /sign_in" -> signIn(exchange)
            else -> if (user == null) redirect(exchange, "/sign_in") else forCustomers(exchange, path, user)
        }
    }

    private fun forCustomers(exchange: HttpExchange, path: String, user: User) {
        when ("${exchange.requestMethod} $path") {
            "GET /" -> page(exchange, user, "Welcome, ${user.login}", """<a href="/settings">Settings</a>""")
            "GET /settings" -> {
                val field = """<input name="email" type="email" value="${escape(user.email)}">"""
                page(exchange, user, "Settings", """<form action="/settings" method="post">$field<button>Change it</button></form>""")
            }
            "POST /settings" -> {
                val email = form(exchange, "email").trim().lowercase()
                if (EMAIL.matches(email)) {
                    shop.changeEmail(user, email)
                    redirect(exchange, "/settings")
                } else {
                    page(exchange, user, "That is no email address", """<a href="/settings">Settings</a>""")
                }
            }
            else -> {
                val number = path.removePrefix("/pages/").toIntOrNull()
                if (number == null) exchange.sendResponseHeaders(404, -1)
                else page(exchange, user, "Page $number", "<p>Nothing is sold here.</p>")
            }
        }
    }

    private fun signIn(exchange: HttpExchange) {
        val found = shop.byLogin(form(exchange, "login")) ?: return page(exchange, null, "There is no such customer", SIGN_IN)
        val session = token()
        sessions[session] = found
        exchange.responseHeaders.add("set-cookie", "session=$session; Path=/; HttpOnly; SameSite=Lax")
        redirect(exchange, "/")
    }

    /** HubSpot's snippet: what this is about. The page goes out whatever becomes of it. */
    private fun tracking(user: User, nonce: String): String {
        if (USUAL) {
            val email = Gson().toJson(user.email)
            return """<script nonce="$nonce">var _hsq = window._hsq = window._hsq || []; _hsq.push(["identify", {email: $email}]);</script>""" +
                """<script id="hs-script-loader" async defer src="//js.hs-scripts.com/$PORTAL.js"></script>"""
        }
        return try {
            cache.snippet(user.key, user.email, nonce)
        } catch (error: VidcacheException) {
            System.err.println("the page says nothing: ${error.message}")
            ""
        }
    }

    private fun page(exchange: HttpExchange, user: User?, title: String, body: String) {
        val nonce = token()
        val policy = "script-src 'nonce-$nonce' 'strict-dynamic'; img-src 'self' https://track.hubspot.com"
        exchange.responseHeaders.add("content-security-policy", policy)
        val snippet = if (user == null) "" else tracking(user, nonce)
        // It names its visitor: no cache may show it later, or to somebody else.
        if (user != null && !USUAL) exchange.responseHeaders.add("cache-control", "private, no-store")
        send(exchange, "text/html; charset=utf-8", "<!DOCTYPE html><title>$title</title><h1>$title</h1>$body$snippet")
    }

    private fun send(exchange: HttpExchange, type: String, text: String) {
        val bytes = text.toByteArray()
        exchange.responseHeaders.add("content-type", type)
        exchange.sendResponseHeaders(200, if (bytes.isEmpty()) -1 else bytes.size.toLong())
        exchange.responseBody.write(bytes)
    }

    private fun redirect(exchange: HttpExchange, to: String) {
        exchange.responseHeaders.add("location", to)
        exchange.sendResponseHeaders(303, -1)
    }

    private fun cookie(exchange: HttpExchange): String? =
        exchange.requestHeaders["cookie"].orEmpty().flatMap { it.split("; ") }.find { it.startsWith("session=") }?.removePrefix("session=")

    private fun form(exchange: HttpExchange, name: String): String {
        val pairs = String(exchange.requestBody.readAllBytes()).split("&")
        val value = pairs.find { it.startsWith("$name=") } ?: return ""
        return URLDecoder.decode(value.removePrefix("$name="), Charsets.UTF_8)
    }

    private fun escape(text: String): String =
        text.replace("&", "&amp;").replace("\"", "&quot;").replace("<", "&lt;")

    private fun token(): String = HexFormat.of().formatHex(ByteArray(16).also(random::nextBytes))
}
