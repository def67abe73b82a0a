//! A real PostgreSQL of a test's own, a host that asks it, and a fleet of them in time that goes by faster.

mod bouncer;
pub mod clocks;
mod double;
mod host;
pub mod kept;
mod portal;
mod proxy;
pub mod rig;
mod scaled;
mod server;
pub mod told;
pub mod watcher;

pub use bouncer::Bouncer;
pub use host::{Host, PORTAL, Page, SECRET};
pub use server::Server;
