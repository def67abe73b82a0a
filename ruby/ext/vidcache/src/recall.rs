//! What `Vidcache::Cache` answers without waiting, which is nearly always, and `Vidcache::Statements` from memory:
//! without what the general way pays for. A contact alone, the quickest of all, is only looked for in memory.
//!
//! Magnus looks at the receiver under `rb_protect`, which saves all registers (as much as a whole look-up); a copy of a
//! String key, checked twice, costs another. Here nothing waits, and Ruby is called at most once where it could raise.
//! Whatever is not the plain case goes the general way, which knows all the errors.

use magnus::rb_sys::{AsRawValue, FromRawValue, protect};
use magnus::{RString, Ruby, Value, prelude::*};
use rb_sys::VALUE;
use rb_sys::macros::{RSTRING_LEN, RSTRING_PTR};
use vidcache_core::in_database::Database;
use vidcache_core::{Decision, Email, Identity, Page, Reason, UserKey, Vidcache, without_waiting};

use crate::decision;
use crate::error::catch;

/// Bytes that nearly every page has room in: a script of 2,100, a nonce twice, an email with its escapes.
const ROOM: usize = 3071;

/// What has answers, and gives those that it need not wait for.
pub(crate) trait Answers {
    fn decision<'a>(&'a self, user: UserKey<'_>, email: Option<&'a Email>) -> Option<Decision<'a>>;
    fn page<'a>(&'a self, user: UserKey<'_>, email: Option<&'a Email>) -> Option<Page<'a>>;
}

impl Answers for Vidcache {
    #[inline]
    fn decision<'a>(&'a self, user: UserKey<'_>, email: Option<&'a Email>) -> Option<Decision<'a>> {
        without_waiting(|| self.decide(user, email)).ok()
    }

    #[inline]
    fn page<'a>(&'a self, user: UserKey<'_>, email: Option<&'a Email>) -> Option<Page<'a>> {
        without_waiting(|| self.page(user, email)).ok()
    }
}

impl Answers for Database {
    #[inline]
    fn decision<'a>(&'a self, user: UserKey<'_>, email: Option<&'a Email>) -> Option<Decision<'a>> {
        self.recall_decision(user, email)
    }

    #[inline]
    fn page<'a>(&'a self, user: UserKey<'_>, email: Option<&'a Email>) -> Option<Page<'a>> {
        self.recall_new(user, email)
    }
}

/// `Cache#resolve`. Nothing in it allocates, raises or panics.
///
/// # Safety
/// The caller holds the GVL.
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
    // SAFETY: the caller holds the GVL; nothing of Ruby's runs before the bytes have been looked up.
    vid(cache.recall(&unsafe { user(&Ruby::get_unchecked(), key) }?)?)
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

/// `Cache#decide`, `Statements#kept_decision`.
///
/// # Safety
/// The caller holds the GVL.
pub(crate) unsafe fn decide(cache: &impl Answers, key: Value, given: Value) -> Option<Value> {
    // SAFETY: the caller holds the GVL.
    let ruby = unsafe { Ruby::get_unchecked() };
    or_generally(|| {
        // SAFETY: nothing of Ruby's runs before the user has been looked up; an `Email` is a copy.
        let (user, email) = unsafe { (user(&ruby, key)?, email(&ruby, given)?) };
        let decision = cache.decision(user, email.as_ref())?;
        decision::new(&ruby, &decision, given).ok()
    })
}

/// `Cache#snippet`, `Statements#kept_snippet`.
///
/// # Safety
/// The caller holds the GVL.
pub(crate) unsafe fn snippet(cache: &impl Answers, key: Value, given: Value, nonce: Value) -> Option<Value> {
    or_generally(|| {
        let mut room = [0; ROOM];
        // SAFETY: the caller holds the GVL.
        let (length, _) = unsafe { write(cache, &mut room, key, given, nonce)? };
        // SAFETY: so many bytes, which Ruby copies.
        let html = protect(|| unsafe { rb_sys::rb_utf8_str_new(room.as_ptr().cast(), length as _) }).ok()?;
        // SAFETY: just made by Ruby.
        Some(unsafe { Value::from_raw(html) })
    })
}

/// `Cache#append_snippet`, `Statements#append_kept`.
///
/// # Safety
/// The caller holds the GVL.
pub(crate) unsafe fn append_snippet(
    cache: &impl Answers,
    buffer: Value,
    key: Value,
    given: Value,
    nonce: Value,
) -> Option<Value> {
    // SAFETY: the caller holds the GVL.
    let ruby = unsafe { Ruby::get_unchecked() };
    or_generally(|| {
        let html = RString::from_value(buffer).filter(|html| html.enc_get() == ruby.utf8_encindex())?.as_raw();
        let mut room = [0; ROOM];
        // SAFETY: the caller holds the GVL.
        let (length, reason) = unsafe { write(cache, &mut room, key, given, nonce)? };
        // By as much as it takes: Ruby would make room for half as much again, of new memory for each page.
        // SAFETY: a String. It raises where that is frozen or locked.
        protect(|| unsafe {
            rb_sys::rb_str_modify_expand(html, length as _);
            html
        })
        .ok()?;
        // SAFETY: the String's own now, with room for so much more behind its end, and not frozen, so `rb_str_set_len`
        // does not raise.
        unsafe {
            let start = RSTRING_LEN(html) as usize;
            let end = RSTRING_PTR(html).cast_mut().cast::<u8>().add(start);
            std::ptr::copy_nonoverlapping(room.as_ptr(), end, length);
            rb_sys::rb_str_set_len(html, (start + length) as _);
        }
        Some(decision::symbol(&ruby, reason))
    })
}

/// Writes the page, and returns how many bytes it came to, and the reason of what it says. `room` is on the stack,
/// which costs a copy: a String that is made before its length is known is half as long again, and what a long String
/// costs is its memory.
///
/// # Safety
/// The caller holds the GVL.
#[inline]
unsafe fn write(
    cache: &impl Answers,
    room: &mut [u8; ROOM],
    key: Value,
    given: Value,
    nonce: Value,
) -> Option<(usize, Reason)> {
    // SAFETY: as the caller's. Nothing of Ruby's runs up to the end of this function.
    unsafe {
        let ruby = Ruby::get_unchecked();
        let (user, email) = (user(&ruby, key)?, email(&ruby, given)?);
        let nonce = if nonce.is_nil() { None } else { Some(std::str::from_utf8(text(&ruby, nonce)?).ok()?) };
        let page = cache.page(user, email.as_ref())?;
        let length = page.render_into(nonce, room).ok()?;
        Some((length, page.decision().reason()))
    }
}

/// A panic here returns `None`, so the caller takes the general way. If that one panics too, `edge` makes it a
/// `Vidcache::Internal`.
fn or_generally(work: impl FnOnce() -> Option<Value>) -> Option<Value> {
    catch(|| Ok::<_, vidcache_core::Error>(work())).ok().flatten()
}

/// # Safety
/// The caller holds the GVL, and nothing of Ruby's runs while the key is in use.
#[inline]
unsafe fn user<'a>(ruby: &Ruby, key: Value) -> Option<UserKey<'a>> {
    let raw = key.as_raw();
    if rb_sys::FIXNUM_P(raw) {
        return Some(UserKey::from((raw as i64) >> 1));
    }
    // SAFETY: as the caller's.
    UserKey::bytes(unsafe { text(ruby, key)? }).ok()
}

/// None: not the plain case. An email or none, as given, else.
///
/// # Safety
/// The caller holds the GVL.
#[inline]
unsafe fn email(ruby: &Ruby, given: Value) -> Option<Option<Email>> {
    if given.is_nil() {
        return Some(None);
    }
    // SAFETY: as the caller's; `parse` copies.
    let text = std::str::from_utf8(unsafe { text(ruby, given)? }).ok()?;
    Some(Some(Email::parse(text).ok()?))
}

/// The String's bytes, where the core reads them as they are: of UTF-8, ASCII and BINARY.
///
/// # Safety
/// The caller holds the GVL, and nothing of Ruby's runs while the bytes are in use.
#[inline]
unsafe fn text<'a>(ruby: &Ruby, value: Value) -> Option<&'a [u8]> {
    let string = RString::from_value(value)?;
    let encoding = string.enc_get();
    if encoding != ruby.utf8_encindex() && encoding != ruby.usascii_encindex() && encoding != ruby.ascii8bit_encindex()
    {
        return None;
    }
    let raw = string.as_raw();
    // SAFETY: a String, whose bytes nobody changes, moves or frees before something of Ruby's runs.
    unsafe { Some(std::slice::from_raw_parts(RSTRING_PTR(raw).cast::<u8>(), RSTRING_LEN(raw) as usize)) }
}
