//! Properties of facts and components, over events that are made up: what makes it right that hosts share tables of
//! facts and not a log of events, and that one user is decided on by their component alone.
//!
//! `Table` stands for PostgreSQL's tables here. That its statements do the same is what `tests/fleet` holds against a
//! real server.

mod joins;
mod model;
mod names;
mod part;
mod table;
