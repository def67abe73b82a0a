//! What HubSpot says, from bytes to facts. No look at the store: parsing knows nothing of rows.

#[cfg(test)]
mod bad_input;
pub(crate) mod fact;
mod json;
mod problem;
mod property;
mod refusal;
pub(crate) mod response;
pub mod signature;
pub(crate) mod webhook;
