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
    pub signature: Option<String>,
    /// `X-HubSpot-Signature-Version`.
    pub version: Option<String>,
}

/// Checks that a request was signed by HubSpot with the app's client secret; by v3, also that it was within five
/// minutes of `now_ms`.
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
        };
        vidcache::signature::verify(&secret, &request, now_ms)
    })
}
