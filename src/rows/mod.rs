//! What is known: users, contacts, merges and email changes, as rows.
//!
//! Everything here is a function of a `&Connection` whose tables are those of `schema/`. Nothing here knows a path, a
//! process or a clock: who may touch the file is `file`'s business, and how an answer is as new as the last commit is
//! `store`'s. A test in this folder's `tests` holds the module to that.

mod account;
mod apply;
mod base;
mod conflict;
mod contact;
mod deadline;
#[cfg(any(test, feature = "database"))]
pub(crate) mod facts;
mod forget;
mod history;
mod import;
pub(crate) mod learn;
pub(crate) mod lease;
mod link;
mod lists;
mod lookup;
#[cfg(test)]
pub(crate) mod tests;
mod verify;

pub(crate) use account::account;
pub(crate) use apply::apply;
#[cfg(any(test, feature = "database"))]
pub(crate) use base::filled;
pub use conflict::Conflict;
pub(crate) use conflict::conflicts;
#[cfg(any(test, feature = "database"))]
pub(crate) use contact::grave;
#[cfg(any(test, feature = "database"))]
pub(crate) use deadline::TRANSIT;
pub(crate) use deadline::{RENEWED, announce, is_due, quiet_period};
pub(crate) use forget::was_erased;
pub(crate) use history::{Changes, changes_since};
pub(crate) use import::{Import, Known};
pub use lists::UserToRead;
pub(crate) use lists::{Which, linked_users, users_of_contact, users_to_read};
pub use lookup::StaleChange;
#[cfg(any(test, feature = "database"))]
pub(crate) use lookup::canonical;
pub(crate) use lookup::{identities, is_outstanding, outstanding_since, refusal, stale_changes, user_state};
pub(crate) use verify::verify;

/// The schemas, oldest first. `PRAGMA user_version` counts how many a file has had.
pub(crate) const SCHEMAS: &[&str] = &[include_str!("schema/1.sql")];
