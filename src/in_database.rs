//! The rows in the app's own PostgreSQL, for processes that share no disk.

pub use crate::cache::database::*;
pub use crate::cache::tables::*;
