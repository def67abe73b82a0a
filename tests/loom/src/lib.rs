//! The lock-free parts under loom, which runs every interleaving, and every value that C11's memory model lets a load
//! see: what x86-64 never shows and aarch64 does.
//!
//! The sequence lock is the library's own source (see build.rs). What uses it reads memory that SQLite or the kernel
//! maps, which loom cannot make, so bucket, growth, stamp, gate and hand-over are models here, step by step as in
//! `src/hot.rs`, `src/store/stamp.rs`, `src/store/coherent.rs` and `src/file/fork.rs`; each with weaker variants where
//! loom finds the fault. Of the gate, std's `RwLock`, which loom replaces by its own, the model has the order of locks.
#![cfg(test)]
#![allow(clippy::unwrap_used, missing_docs)] // In a test a panic is the report.

include!(concat!(env!("OUT_DIR"), "/sequence.rs"));

mod bucket;
mod gate;
mod growth;
mod handover;
mod stamp;

/// Every interleaving with at most so many preemptions: loom's own advice is 2 or 3, which finds most faults.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// Whether loom finds a run in which the model panics.
fn fails(preemptions: usize, model: impl Fn() + Sync + Send + 'static) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| explore(preemptions, model))).is_err()
}
