//! Ruby's values as the core's. What is not of the right type is the core's own error for that
//! argument, so that one `rescue` fits, and no error repeats the value.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use magnus::{Error as RubyError, Integer, RArray, RString, Ruby, Symbol, Time, TryConvert, Value, prelude::*};
use vidcache_core::{ChangeToken, Email, Error, LeaseToken, Synchronous, UserKey, Vid};

use crate::error::Failure;

type Result<T> = std::result::Result<T, Failure>;

/// A user key that owns its text: Ruby may change the String while the GVL is released.
pub(crate) enum Key {
    Int(i64),
    Text(String),
}

impl Key {
    pub(crate) fn new(ruby: &Ruby, value: Value) -> Result<Self> {
        if let Some(integer) = Integer::from_value(value) {
            return integer
                .to_i64()
                .map(Self::Int)
                .map_err(|_| Error::InvalidUserKey("it does not fit 64 bits").into());
        }
        let Some(string) = RString::from_value(value) else {
            return Err(Error::InvalidUserKey("it is neither an Integer nor a String").into());
        };
        let text = with_text(ruby, string, |text| UserKey::text(text).map(|_| text.to_owned()))?;
        Ok(Self::Text(text.ok_or(Error::InvalidUserKey("it is not UTF-8"))??))
    }

    pub(crate) fn get(&self) -> vidcache_core::Result<UserKey<'_>> {
        match self {
            Self::Int(id) => Ok(UserKey::from(*id)),
            Self::Text(text) => UserKey::text(text),
        }
    }
}

pub(crate) fn email(ruby: &Ruby, value: Value) -> Result<Option<Email>> {
    if value.is_nil() {
        return Ok(None);
    }
    let Some(string) = RString::from_value(value) else {
        return Err(Error::InvalidEmail("it is neither a String nor nil").into());
    };
    let email = with_text(ruby, string, Email::parse)?;
    Ok(Some(email.ok_or(Error::InvalidEmail("it is not UTF-8"))??))
}

/// An Integer, or decimal text, as HubSpot's v3 API has it.
pub(crate) fn vid(ruby: &Ruby, value: Value) -> Result<Vid> {
    if let Some(integer) = Integer::from_value(value) {
        let id = integer.to_i64().map_err(|_| Error::InvalidVid("it does not fit 64 bits"))?;
        return Ok(Vid::try_from(id)?);
    }
    let Some(string) = RString::from_value(value) else {
        return Err(Error::InvalidVid("it is neither an Integer nor a String").into());
    };
    let vid = with_text(ruby, string, |text| text.parse::<Vid>())?;
    Ok(vid.ok_or(Error::InvalidVid("it is not a decimal number"))??)
}

/// An Integer, or decimal text, as an environment variable has it.
pub(crate) fn portal(ruby: &Ruby, value: Value) -> Result<i64> {
    match vid(ruby, value) {
        Err(Failure::Core(_)) => Err(Error::InvalidPortal.into()),
        vid => Ok(vid?.get()),
    }
}

pub(crate) fn token(value: Value) -> vidcache_core::Result<ChangeToken> {
    let number = Integer::from_value(value).and_then(|integer| integer.to_i64().ok());
    number.ok_or(Error::UnknownChange).and_then(ChangeToken::try_from)
}

pub(crate) fn token_or_none(value: Value) -> vidcache_core::Result<Option<ChangeToken>> {
    if value.is_nil() { Ok(None) } else { token(value).map(Some) }
}

/// What is no number that the core gives out holds nothing, as 0 does.
pub(crate) fn lease(value: Value) -> LeaseToken {
    Integer::from_value(value).and_then(|integer| integer.to_i64().ok()).unwrap_or(0).into()
}

pub(crate) fn secret(value: Value) -> Result<Option<Vec<u8>>> {
    if value.is_nil() {
        return Ok(None);
    }
    Ok(Some(bytes(RString::from_value(value).ok_or(Error::InvalidSecret)?)))
}

/// Of an Array.
pub(crate) fn secrets(value: Value) -> Result<Vec<Vec<u8>>> {
    let list = RArray::from_value(value);
    let list = list.ok_or(Error::InvalidOption { name: "old_secrets", why: "they must be an Array of Strings" })?;
    list.into_iter().map(|value| secret(value)?.ok_or(Error::InvalidSecret.into())).collect()
}

pub(crate) fn nonce(ruby: &Ruby, value: Value) -> Result<Option<String>> {
    if value.is_nil() { Ok(None) } else { text_option(ruby, value, "nonce").map(Some) }
}

pub(crate) fn buffer(value: Value) -> Result<RString> {
    let wrong = Error::InvalidOption { name: "buffer", why: "it must be a String" };
    Ok(RString::from_value(value).ok_or(wrong)?)
}

/// A String that is an option.
pub(crate) fn text_option(ruby: &Ruby, value: Value, name: &'static str) -> Result<String> {
    let string = RString::from_value(value).ok_or(Error::InvalidOption { name, why: "it must be a String" })?;
    let text = with_text(ruby, string, str::to_owned)?;
    Ok(text.ok_or(Error::InvalidOption { name, why: "it must be UTF-8" })?)
}

/// A String, or what says of itself that it is a path.
pub(crate) fn path(value: Value) -> Result<PathBuf> {
    let value = if value.respond_to("to_path", false)? { value.funcall("to_path", ())? } else { value };
    let wrong = Error::InvalidOption { name: "path", why: "it must be a String or a Pathname" };
    let path = RString::from_value(value).ok_or(wrong)?;
    Ok(OsString::from_vec(bytes(path)).into())
}

pub(crate) fn synchronous(value: Value) -> Result<Synchronous> {
    let symbol = Symbol::from_value(value).map(Symbol::name).transpose()?;
    match symbol.as_deref() {
        Some("full") => Ok(Synchronous::Full),
        Some("normal") => Ok(Synchronous::Normal),
        _ => Err(Error::InvalidOption { name: "synchronous", why: "it must be :full or :normal" }.into()),
    }
}

/// Seconds, as any Numeric (or an `ActiveSupport::Duration`, which says that it is one).
pub(crate) fn seconds(ruby: &Ruby, value: Value, name: &'static str) -> Result<Duration> {
    let wrong = || Error::InvalidOption { name, why: "it must be a number of seconds, not negative" };
    let numeric: Value = ruby.class_object().const_get("Numeric")?;
    if !value.funcall::<_, _, bool>("is_a?", (numeric,))? {
        return Err(wrong().into());
    }
    let seconds: f64 = match value.funcall("to_f", ()) {
        Err(error) if error.is_kind_of(ruby.exception_standard_error()) => return Err(wrong().into()),
        seconds => seconds?,
    };
    Ok(Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?)
}

/// Milliseconds since 1970, or nil. Those that do not fit are of no year that the core takes.
pub(crate) fn milliseconds(value: Value) -> Result<Option<i64>> {
    let integer = Option::<Integer>::try_convert(value)?;
    Ok(integer.map(|integer| integer.to_i64().unwrap_or(i64::MAX)))
}

/// Milliseconds since 1970 as a Time.
pub(crate) fn time(ruby: &Ruby, milliseconds: i64) -> std::result::Result<Time, RubyError> {
    ruby.time_nano_new(milliseconds.div_euclid(1000), milliseconds.rem_euclid(1000) * 1_000_000)
}

/// Bytes.
pub(crate) fn count(value: Value, name: &'static str) -> Result<usize> {
    let number = Integer::from_value(value).and_then(|integer| integer.to_usize().ok());
    Ok(number.ok_or(Error::InvalidOption { name, why: "it must be an Integer of bytes, not negative" })?)
}

pub(crate) fn limit(value: Value) -> Result<u32> {
    let number = Integer::from_value(value).and_then(|integer| integer.to_u32().ok());
    Ok(number.ok_or(Error::InvalidOption { name: "limit", why: "it must be an Integer from 0 to 2^32 - 1" })?)
}

pub(crate) fn bytes(string: RString) -> Vec<u8> {
    // SAFETY: copied before anything of Ruby's runs.
    unsafe { string.as_slice() }.to_vec()
}

/// Gives `work` the String's text as UTF-8, or is None where it has none. BINARY counts as UTF-8: that is what
/// a request's raw bytes are. `work` must not call Ruby.
fn with_text<T>(
    ruby: &Ruby,
    string: RString,
    work: impl FnOnce(&str) -> T,
) -> std::result::Result<Option<T>, RubyError> {
    let encoding = string.enc_get();
    let string = if encoding == ruby.utf8_encindex()
        || encoding == ruby.usascii_encindex()
        || encoding == ruby.ascii8bit_encindex()
    {
        string
    } else {
        match string.funcall("encode", (ruby.utf8_encoding(),)) {
            Ok(utf8) => utf8,
            Err(error) if error.is_kind_of(ruby.exception_encoding_error()) => return Ok(None),
            Err(error) => return Err(error),
        }
    };
    // SAFETY: `work` has the bytes while this thread holds the GVL and runs nothing of Ruby's, so nobody
    // changes or frees them; `string` is on the stack, where the collector sees it.
    let text = std::str::from_utf8(unsafe { string.as_slice() });
    Ok(text.ok().map(work))
}

/// A value class of the Ruby layer, which is loaded before the extension.
macro_rules! value_class {
    ($name:literal) => {
        Lazy::new(|ruby| {
            let vidcache = ruby.define_module("Vidcache").expect("it is a module");
            vidcache.const_get($name).expect("loaded before the extension")
        })
    };
}
pub(crate) use value_class;
