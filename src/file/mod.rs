//! Who may touch the file: where it may be, what it must be, and the locks, turns and forks around it. Knows no rows.

mod agreement;
mod aside;
mod copy;
pub(crate) mod envelope;
pub(crate) mod fork;
pub(crate) mod group;
pub(crate) mod guard;
mod index_locks;
mod location;
mod lock;
pub(crate) mod names;
pub(crate) mod open;
pub(crate) mod schema;
mod settings;
pub(crate) mod turn;
mod turnstile;
mod unlinked;

pub(crate) use aside::move_aside;
pub(crate) use copy::{backup, restore};
pub(crate) use location::{exposed, passing, with_setting};
pub use settings::Synchronous;
pub(crate) use settings::{Place, Settings};
