//! Whether a request comes from HubSpot.

use crate::edge::{edge, keep_panics_quiet};
use crate::error::VidcacheError;

/// What an endpoint for HubSpot's webhooks received. A header that did not come is none.
#[derive(uniffi::Record)]
pub struct SignedRequest {
    /// The request's method in capitals.
    pub method: String,
    /// The whole address that HubSpot called.
    pub uri: String,
    /// The body's bytes as they came.
    pub body: Vec<u8>,
    /// `X-HubSpot-Signature-v3`.
    pub signature_v3: Option<String>,
    /// `X-HubSpot-Request-Timestamp`.
    pub timestamp: Option<String>,
    /// `X-HubSpot-Signature`, of version 1 or 2.
    #[uniffi(default = None)]
    pub signature: Option<String>,
    /// `X-HubSpot-Signature-Version`.
    #[uniffi(default = None)]
    pub version: Option<String>,
    /// Whether a webhook that has no v3 may be signed by v1, which names no time and no address: whoever has seen a
    /// delivery, with whatever headers, can send it again, to another endpoint too, for a day.
    #[uniffi(default = false)]
    pub take_v1: bool,
    /// Whether by v2, which names no time.
    #[uniffi(default = false)]
    pub take_v2: bool,
}

/// Checks that a request was signed by HubSpot with the app's client secret within five minutes of `now_ms`; by v1 and
/// v2, where they are taken, that the newest event of the body is at most 25 hours old.
///
/// # Errors
/// `invalid_signature`; `invalid_option` for an empty secret.
#[uniffi::export]
pub fn verify_signature(secret: Vec<u8>, request: SignedRequest, now_ms: i64) -> Result<(), VidcacheError> {
    keep_panics_quiet();
    edge(|| {
        let request = vidcache::signature::SignedRequest {
            method: &request.method,
            uri: &request.uri,
            body: &request.body,
            signature_v3: request.signature_v3.as_deref(),
            timestamp: request.timestamp.as_deref(),
            signature: request.signature.as_deref(),
            version: request.version.as_deref(),
            take_v1: request.take_v1,
            take_v2: request.take_v2,
        };
        vidcache::signature::verify(&secret, &request, now_ms)
    })
}
