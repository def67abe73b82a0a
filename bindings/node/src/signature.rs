//! Whether a request comes from HubSpot.

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;
use vidcache::signature;

use crate::edge::{edge, keep_panics_quiet};

/// What an endpoint for HubSpot's webhooks received. A header that did not come is none.
#[napi(object)]
pub struct SignedRequest {
    pub method: String,
    pub uri: String,
    pub body: Buffer,
    pub signature_v3: Option<String>,
    pub timestamp: Option<String>,
    pub signature: Option<String>,
    pub version: Option<String>,
    pub take_v1: bool,
    pub take_v2: bool,
}

#[napi]
pub fn verify_signature(secret: Buffer, request: SignedRequest, now_ms: i64) -> napi::Result<()> {
    keep_panics_quiet();
    edge(|| {
        let request = signature::SignedRequest {
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
        signature::verify(&secret, &request, now_ms)
    })
}
