//! Whether a request comes from HubSpot.

use std::ffi::c_char;
use std::ptr;

use vidcache::Error;
use vidcache::signature::{self, SignedRequest};

use crate::edge::edge;
use crate::error::vidcache_result;
use crate::grows::{self, grows};
use crate::input::{self, given};

/// What an endpoint for HubSpot's webhooks received. All zeros is an empty request; a header that did not come is NULL
/// with a length of 0. Each text has at most 64 KiB, the body at most 1 GiB.
#[repr(C)]
pub struct vidcache_signed_request {
    /// sizeof(vidcache_signed_request), set by the caller.
    pub size: usize,
    /// The request's method in capitals: POST.
    pub method: *const c_char,
    /// The bytes of `method`.
    pub method_len: usize,
    /// The whole address that HubSpot called, `https://…`, with its query: the public one, not what a proxy made of it.
    pub uri: *const c_char,
    /// The bytes of `uri`.
    pub uri_len: usize,
    /// The body's bytes as they came, before anything parsed them.
    pub body: *const c_char,
    /// The bytes of `body`.
    pub body_len: usize,
    /// X-HubSpot-Signature-v3. Where there is one it alone counts.
    pub signature_v3: *const c_char,
    /// The bytes of `signature_v3`.
    pub signature_v3_len: usize,
    /// X-HubSpot-Request-Timestamp.
    pub timestamp: *const c_char,
    /// The bytes of `timestamp`.
    pub timestamp_len: usize,
    /// X-HubSpot-Signature, of version 1 or 2.
    pub signature: *const c_char,
    /// The bytes of `signature`.
    pub signature_len: usize,
    /// X-HubSpot-Signature-Version: v1 or v2.
    pub version: *const c_char,
    /// The bytes of `version`.
    pub version_len: usize,
    /// Not 0: a webhook that has no v3 may be signed by v1, which names no time and no address, so whoever has seen a
    /// delivery, with whatever headers, can send it again, to another endpoint too, for a day.
    pub take_v1: u32,
    /// Not 0: the same for v2, which names no time.
    pub take_v2: u32,
}

grows!(vidcache_signed_request: take_v2);

impl vidcache_signed_request {
    const EMPTY: Self = Self {
        size: size_of::<Self>(),
        method: ptr::null(),
        method_len: 0,
        uri: ptr::null(),
        uri_len: 0,
        body: ptr::null(),
        body_len: 0,
        signature_v3: ptr::null(),
        signature_v3_len: 0,
        timestamp: ptr::null(),
        timestamp_len: 0,
        signature: ptr::null(),
        signature_len: 0,
        version: ptr::null(),
        version_len: 0,
        take_v1: 0,
        take_v2: 0,
    };
}

/// Checks that a request was signed by HubSpot with the app's client secret (at most 4096 bytes) within five minutes of
/// `now_ms`, this host's clock in milliseconds since 1970. v1 and v2 name no time, so where they are taken the newest
/// event of the body may be 25 hours old, after which HubSpot does not try a delivery again. Takes the same time
/// whatever the signature is. Any thread may call it, and it needs no handle.
///
/// Fails with VIDCACHE_INVALID_SIGNATURE; VIDCACHE_INVALID_OPTION for the arguments, an empty secret among them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_verify_signature(
    secret: *const c_char,
    secret_len: usize,
    request: *const vidcache_signed_request,
    now_ms: i64,
) -> vidcache_result {
    edge(|| {
        let wrong = |name| move |why| Error::InvalidOption { name, why };
        // SAFETY: the caller's contract.
        let (secret, request) = unsafe {
            (
                given(secret, secret_len).bytes(input::MAX_OPTION, wrong("secret"))?,
                grows::theirs(request)?.ok_or(input::null("request"))?.read(vidcache_signed_request::EMPTY)?,
            )
        };
        // SAFETY: the caller's contract, for each of them.
        let given = |bytes, len| unsafe { given(bytes, len) };
        let text = |text, len, name| given(text, len).text(MAX_HEADER, name);
        let body = given(request.body, request.body_len).optional(input::MAX_ANSWER, wrong("body"))?;
        let request = SignedRequest {
            method: text(request.method, request.method_len, "method")?.unwrap_or_default(),
            uri: text(request.uri, request.uri_len, "uri")?.unwrap_or_default(),
            body: body.unwrap_or_default(),
            signature_v3: text(request.signature_v3, request.signature_v3_len, "signature_v3")?,
            timestamp: text(request.timestamp, request.timestamp_len, "timestamp")?,
            signature: text(request.signature, request.signature_len, "signature")?,
            version: text(request.version, request.version_len, "version")?,
            take_v1: request.take_v1 != 0,
            take_v2: request.take_v2 != 0,
        };
        signature::verify(secret, &request, now_ms)
    })
}

/// Above what any server takes as a header or an address.
const MAX_HEADER: usize = 64 << 10;
