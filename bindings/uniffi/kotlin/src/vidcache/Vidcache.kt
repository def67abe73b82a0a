@file:JvmName("Vidcache")

package vidcache

import java.nio.file.Path
import vidcache.uniffi.SignedRequest
import vidcache.uniffi.moveAside as moveAsideNative
import vidcache.uniffi.restore as restoreNative
import vidcache.uniffi.verifySignature as verifySignatureNative

/** The version of this jar and of its native library: `0.1.0`. */
public val version: String
    get() {
        Library.ready()
        return Library.version
    }

/**
 * Moves a file that will not open out of the way, with its log and index, so that [Cache] can make a new one.
 *
 * @return where it is now: `NAME.aside-MILLISECONDS` in the same folder
 * @throws Busy while any process has it open
 * @throws CannotOpen
 * @throws UnsupportedFilesystem after any of these nothing was moved
 */
public fun moveAside(path: Path): Path {
    Library.ready()
    return Input.path(call { moveAsideNative(Input.path(path)) })
}

/**
 * Puts a copy of a backup in the place of the file at [path], while nobody has that open. All that HubSpot said of
 * every contact is doubted in it first: no page names an email until the contact was read again.
 *
 * @return where what was at [path] is now; null where there was nothing
 * @throws Busy while any process has the file open
 * @throws NotACache
 * @throws NewerSchema
 * @throws Corrupt
 * @throws CannotOpen
 * @throws UnsupportedFilesystem after any of these the file is as it was, or moved aside
 */
public fun restore(backup: Path, path: Path): Path? {
    Library.ready()
    return call { restoreNative(Input.path(backup), Input.path(path)) }?.let { Input.path(it) }
}

/**
 * Checks that HubSpot signed a request with the app's client secret within five minutes of now. Any thread may call
 * it.
 *
 * @param uri the whole address that HubSpot called, `https://…`, the public one: of the app's settings, and not of the
 *   request, whose `Host` and `X-Forwarded-Host` are the sender's
 * @param body the bytes as they came
 * @param headers names in any case; only the signature's are looked at
 * @param nowMs milliseconds since 1970 UTC
 * @param takeV1 whether a webhook without v3 may be signed by v1, which names no time and no address: whoever has seen
 *   a delivery, with whatever headers, can send it again, to another endpoint too, until its newest event is 25 hours
 *   old
 * @param takeV2 the same for v2, which names no time
 * @throws InvalidSignature
 * @throws InvalidOption for the arguments, an empty secret among them
 */
@JvmOverloads
public fun verifySignature(
    secret: ByteArray,
    method: String,
    uri: String,
    body: ByteArray,
    headers: Map<String, String>,
    nowMs: Long = System.currentTimeMillis(),
    takeV1: Boolean = false,
    takeV2: Boolean = false,
) {
    Library.ready()
    Input.text(method, "method")
    Input.text(uri, "uri")
    val byName = headers.entries.associate { (name, value) -> name.lowercase() to value }
    fun header(name: String): String? = Input.text(byName[name], "headers")
    val request = SignedRequest(
        method = method,
        uri = uri,
        body = body,
        signatureV3 = header("x-hubspot-signature-v3"),
        timestamp = header("x-hubspot-request-timestamp"),
        signature = header("x-hubspot-signature"),
        version = header("x-hubspot-signature-version"),
        takeV1 = takeV1,
        takeV2 = takeV2,
    )
    call { verifySignatureNative(secret, request, nowMs) }
}
