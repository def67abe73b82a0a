//! The same rows in the app's own PostgreSQL, for processes that share no disk: docs/adr/0021.
//!
//! Nothing here connects to anything. A statement goes out as text, its answer comes back as text, and the app's own
//! client carries both, so that a change begins in the transaction that changes the email. What is known of one user
//! and of all that their decision can depend on, their component, is put into rows in memory, where today's code works
//! on it; what is new then is joined to the tables.
//!
//! ```text
//! ask ──▶ (the app's client) ──▶ answer ──▶ head: may it be believed?
//!                                   └─▶ component: facts → rows in memory → decide, record, tell, forget …
//!                                                             └─▶ write: facts that are new ──▶ (the app's client)
//! ```

pub(crate) mod answer;
pub(crate) mod ask;
pub(crate) mod component;
pub(crate) mod failure;
pub(crate) mod head;
pub(crate) mod lists;
pub(crate) mod named;
pub(crate) mod quiet;
pub(crate) mod schema;
pub(crate) mod statements;
#[cfg(test)]
mod tests;
pub(crate) mod watch;
pub(crate) mod whose;
pub(crate) mod write;
