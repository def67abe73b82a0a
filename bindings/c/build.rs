//! The shared library's name for the loader, from the one number of the ABI.

/// Goes up with every change that a program built before would not survive.
const ABI_VERSION: u32 = 1;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=VIDCACHE_ABI_VERSION={ABI_VERSION}");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libvidcache.so.{ABI_VERSION}");
        // Once loaded it stays: what is registered for forks and for the ends of threads is code of it. What is linked
        // without gcc's start files, as bin/platform does it, has nothing in it that would take these back.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
