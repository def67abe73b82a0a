//! A real PostgreSQL of a test's own, and a host that asks it.

mod host;
mod server;

pub use host::{Host, PORTAL, Page, SECRET};
pub use server::Server;
