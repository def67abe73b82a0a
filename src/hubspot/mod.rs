//! What HubSpot says, from bytes to facts. No look at the store: parsing knows nothing of rows.

pub(crate) mod response;
