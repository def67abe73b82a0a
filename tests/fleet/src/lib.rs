//! A real PostgreSQL of a test's own, a host that asks it, and a fleet of them in time that goes by faster.

mod double;
mod host;
mod proxy;
pub mod rig;
mod scaled;
mod server;
pub mod told;

pub use host::{Host, PORTAL, Page, SECRET};
pub use server::Server;
