//! What HubSpot says, from bytes to facts. No look at the store: parsing knows nothing of rows.

mod json;
mod property;
mod refusal;
pub(crate) mod response;
pub mod signature;
#[allow(dead_code)] // until the facade applies webhooks
pub(crate) mod webhook;
