//! vidcache for Python, Kotlin and Swift through UniFFI: conversion of types over the facade, and nothing else.
//!
//! A user crosses as text, an integer in decimal: that is the same key. The layer that each language has over the
//! generated code checks its own types and makes its own exceptions.

mod account;
mod cache;
mod changes;
mod conflicts;
mod edge;
mod errand;
mod error;
mod exchange;
mod hot;
mod intake;
mod lists;
mod lookup;
mod page;
mod signature;
mod statements;
mod time;

pub use account::{Explanation, Stats};
pub use cache::{OpenOptions, Vidcache, move_aside, restore};
pub use changes::StaleChange;
pub use conflicts::Conflict;
pub use errand::{Errand, Outcome};
pub use error::{Failure, VidcacheError};
pub use exchange::{Exchange, ExchangeStep};
pub use hot::{
    TriedDecision, reasons, vidcache_try_decide, vidcache_try_resolve_id, vidcache_try_resolve_text,
    vidcache_try_snippet,
};
pub use intake::{ImportReport, ImportRow, Observed, Recorded, WebhookReport};
pub use lists::{UserToRead, UsersToReadPart};
pub use lookup::{Decision, DecisionRequest, Identity};
pub use page::{PageForm, PageStep};
pub use signature::{SignedRequest, verify_signature};
pub use statements::{ConflictsPart, Finished, Kept, Look, Statements, Steps, Tokened, migration};

uniffi::setup_scaffolding!();

/// The library's version: a language's own layer refuses to work with another than its own.
#[uniffi::export]
pub fn library_version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

#[cfg(test)]
mod tests;
