//! What a linker is told of the extension.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        // It refuses symbols that nobody defines yet; Ruby's are there once Ruby loads the extension.
        Ok("macos") => println!("cargo::rustc-cdylib-link-arg=-Wl,-undefined,dynamic_lookup"),
        // Once loaded it stays: what is registered for forks and for the ends of threads is code of it.
        Ok("linux") => println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete"),
        _ => {}
    }
}
