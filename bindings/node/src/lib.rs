//! vidcache for Node through Node-API: conversion of types over the facade, and nothing else.
//!
//! Users, contacts and tokens cross as text: JavaScript's numbers hold 53 bits. The layer over this (`lib/`) checks
//! what JavaScript hands over and makes its errors. What a page asks is answered at once; all else runs on a thread of
//! Node's pool, and JavaScript gets a promise.

// Nothing links this library: the macros tell Node of what is public here, and their names are nobody's interface.
#![allow(missing_docs, unreachable_pub, clippy::missing_errors_doc, clippy::new_without_default)]

pub mod account;
pub mod cache;
pub mod changes;
pub mod edge;
pub mod exchange;
pub mod intake;
pub mod lists;
pub mod lookup;
pub mod signature;
pub mod tables;

/// The library's version: the layer over it refuses to work with another than its own.
#[napi_derive::napi]
pub fn library_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
