//! vidcache for C: conversion of types over the facade, and nothing else.
//!
//! `include/vidcache.h` is made of this crate's functions and their comments (tests/header.rs); the conventions that
//! all of them obey are in `docs/c-api.md`. Names are C's, so that a name found in one is found in the other.

#![allow(non_camel_case_types)]
// What a caller owes is the same everywhere and stands once, at the head of the header: a pointer is NULL, or what
// its type says, for as long as the call takes. The `SAFETY` lines here call it the caller's contract.
#![allow(clippy::missing_safety_doc)]

pub mod account;
pub mod changes;
pub mod conflicts;
pub mod database;
mod edge;
pub mod error;
pub mod exchange;
mod grows;
pub mod handle;
mod input;
pub mod lists;
pub mod lookup;
pub mod maintenance;
pub mod many;
pub mod observe;
pub mod page;
pub mod record;
pub mod signature;
pub mod text;
pub mod types;
pub mod version;
pub mod work;

#[cfg(test)]
mod tests;
