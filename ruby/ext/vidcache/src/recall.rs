//! `Cache#resolve` when memory has the answer, which is nearly always: without what the general way pays for.
//!
//! Magnus looks at the receiver under `rb_protect`, which saves all registers (as much as the whole look-up); a copy of a
//! String key, checked twice, costs another. Here neither is needed: nothing below allocates, raises, waits or
//! panics. Whatever is not the plain case goes the general way, which knows all the errors.

use magnus::rb_sys::{AsRawValue, FromRawValue};
use magnus::{RString, Ruby, Value, prelude::*};
use rb_sys::VALUE;
use vidcache_core::{Identity, UserKey, Vidcache};

/// The answer as a Ruby value, if memory has it.
///
/// # Safety
/// `cache` is what `key` will be looked up in, alive over the call; the caller holds the GVL.
#[inline]
pub(crate) unsafe fn resolve(cache: &Vidcache, key: Value) -> Option<Value> {
    let raw = key.as_raw();
    if rb_sys::FIXNUM_P(raw) {
        vid(cache.recall(&UserKey::from((raw as i64) >> 1))?)
    } else {
        // SAFETY: the caller holds the GVL.
        unsafe { resolve_text(cache, key) }
    }
}

/// Out of line: an integer should not pay for the room that a text takes on the stack.
#[inline(never)]
unsafe fn resolve_text(cache: &Vidcache, key: Value) -> Option<Value> {
    let string = RString::from_value(key)?;
    // SAFETY: the caller holds the GVL.
    let ruby = unsafe { Ruby::get_unchecked() };
    let encoding = string.enc_get();
    if encoding != ruby.utf8_encindex() && encoding != ruby.usascii_encindex() && encoding != ruby.ascii8bit_encindex()
    {
        return None;
    }
    // SAFETY: nothing of Ruby's runs before the bytes have been looked up.
    vid(cache.recall(&UserKey::bytes(unsafe { string.as_slice() }).ok()?)?)
}

#[inline]
fn vid(found: Option<Identity>) -> Option<Value> {
    let raw = match found {
        None => rb_sys::Qnil as VALUE,
        Some(identity) => {
            let vid = identity.vid.get();
            // Beyond 62 bits it is an object: the general way.
            if vid > i64::MAX >> 1 {
                return None;
            }
            (vid << 1 | 1) as VALUE
        }
    };
    // SAFETY: nil, or a small integer as Ruby tags it.
    Some(unsafe { Value::from_raw(raw) })
}
