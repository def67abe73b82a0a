//! What a linker is told of the library that Node loads.

fn main() {
    napi_build::setup();
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // Once loaded it stays, also where its worker thread is gone: what is registered for forks and for the ends of
        // threads is code of it.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
