//! Which library this is.

use std::ffi::c_char;

/// The number of the ABI that the library has: VIDCACHE_ABI_VERSION of the header it came with. A program built with a
/// header of the same number may use it.
#[unsafe(no_mangle)]
pub extern "C" fn vidcache_abi_version() -> u32 {
    const NUMBER: u32 = match u32::from_str_radix(env!("VIDCACHE_ABI_VERSION"), 10) {
        Ok(number) => number,
        Err(_) => panic!("build.rs writes a number"),
    };
    NUMBER
}

/// The library's version, a static NUL-terminated text: "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn vidcache_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
