package shop

import com.google.gson.Gson
import java.net.URI
import java.net.http.HttpClient
import java.net.http.HttpRequest
import java.net.http.HttpResponse
import java.time.Duration

private const val CONTACTS = "/crm/v3/objects/contacts"

/** HubSpot refused. */
class Refused(val status: Int) : Exception("HubSpot answered $status")

/**
 * HubSpot's contacts API, v3: as much of it as a shop needs. Each returns the body of the answer, which goes to the
 * cache as it is.
 */
class Hubspot(private val url: String, private val token: String) {
    private val client = HttpClient.newHttpClient()

    /** Tells HubSpot of a user's email: their contact's, or a new one's. */
    fun tell(vid: Long?, email: String): ByteArray {
        if (vid == null) return create(email)
        return try {
            call("PATCH", "/$vid", email)
        } catch (refused: Refused) {
            when (refused.status) {
                404 -> create(email)
                // Another contact has this email. What this one has is recorded, which ends the change; pages give the
                // id alone.
                409 -> call("GET", "/$vid?properties=email")
                else -> throw refused
            }
        }
    }

    private fun create(email: String): ByteArray =
        try {
            call("POST", "", email)
        } catch (refused: Refused) {
            if (refused.status != 409) throw refused
            find(email)
        }

    /** By a batch of one: an address with an email in it ends up in logs. */
    private fun find(email: String): ByteArray {
        val batch = mapOf("idProperty" to "email", "inputs" to listOf(mapOf("id" to email)), "properties" to listOf("email"))
        return send("POST", "/batch/read", batch)
    }

    private fun call(method: String, path: String, email: String? = null): ByteArray =
        send(method, path, email?.let { mapOf("properties" to mapOf("email" to it)) })

    private fun send(method: String, path: String, content: Map<String, Any>?): ByteArray {
        val body = if (content == null) "" else Gson().toJson(content)
        val request = HttpRequest.newBuilder(URI(url + CONTACTS + path))
            .method(method, HttpRequest.BodyPublishers.ofString(body))
            .header("authorization", "Bearer $token")
            .header("content-type", "application/json")
            .timeout(Duration.ofSeconds(10))
            .build()
        val answer = client.send(request, HttpResponse.BodyHandlers.ofByteArray())
        if (answer.statusCode() !in 200..299) throw Refused(answer.statusCode())
        return answer.body()
    }
}
