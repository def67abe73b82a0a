//! The Ruby extension: it turns Ruby's values into the core's and back, and nothing else.
//!
//! What keeps a Ruby process well, and where: no panic crosses into Ruby (`error`), no thread holds the
//! GVL while it waits (`gvl`), and no Ruby value lives in Rust (all), so that the garbage collector
//! may move what it likes. Magnus keeps the few classes that are named here, pinned.

#![allow(missing_docs)] // It has no Rust API; Ruby's is documented in ruby/lib.

mod cache;
mod command;
mod convert;
mod decision;
mod errand;
mod error;
mod gvl;
mod intake;
mod recall;
mod statements;

use magnus::{Error, Module, RModule, Ruby};

#[magnus::init(name = "vidcache")]
fn init(ruby: &Ruby) -> Result<(), Error> {
    // SAFETY: all that this concerns is the methods that are about to be defined. They share nothing
    // between Ractors but caches, which are `Sync`, and the classes in `cache`'s and `error`'s `Lazy`s,
    // which are filled in below, before there can be a second Ractor that uses them.
    unsafe { rb_sys::rb_ext_ractor_safe(true) };
    let vidcache = ruby.define_module("Vidcache")?;
    same_version(ruby, vidcache)?;
    error::define(ruby, vidcache)?;
    error::edge(ruby, || {
        let class = cache::define(ruby, vidcache)?;
        intake::define(ruby, vidcache, class)?;
        command::define(vidcache)?;
        Ok(statements::define(ruby, vidcache)?)
    })
}

/// Ruby's part says its own in a file that is loaded before this library, which may be what another version left there.
fn same_version(ruby: &Ruby, vidcache: RModule) -> Result<(), Error> {
    let own = env!("CARGO_PKG_VERSION");
    let said: String = vidcache.const_get("VERSION")?;
    if said == own {
        return Ok(());
    }
    let text = format!("vidcache: this is version {said}, and its native library {own}; install vidcache again");
    Err(Error::new(ruby.exception_load_error(), text))
}
