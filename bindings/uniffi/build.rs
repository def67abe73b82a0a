//! What a linker is told of the shared library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // Once loaded it stays, also where its class loader is gone: what is registered for forks and for the ends of
        // threads is code of it.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
