//! The core's errors as Ruby exceptions, and the edge that no panic crosses.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use magnus::value::Lazy;
use magnus::{Class, Error, ExceptionClass, Module, RModule, Ruby, Value, prelude::*};
use vidcache_core::ErrorCode;

static MODULE: Lazy<RModule> = Lazy::new(|ruby| ruby.define_module("Vidcache").expect("defined at load"));

/// Why a call did not come back with a value: the core refused, or Ruby raised on the way.
pub(crate) enum Failure {
    Core(vidcache_core::Error),
    Ruby(Error),
}

impl From<vidcache_core::Error> for Failure {
    fn from(error: vidcache_core::Error) -> Self {
        Self::Core(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ruby(error)
    }
}

/// One class for every code of the core, so that the two can not differ.
pub(crate) fn define(ruby: &Ruby, vidcache: RModule) -> Result<(), Error> {
    Lazy::force(&MODULE, ruby);
    let base = vidcache.define_error("Error", ruby.exception_standard_error())?;
    for code in ErrorCode::ALL {
        let class = vidcache.define_error(class_name(*code), base)?;
        class.const_set("CODE", ruby.to_symbol(code.name()))?;
        class.const_set("CODE_NUMBER", code.number())?;
    }
    // The default hook prints the panic's message, and Rust quotes the text that was being cut or
    // parsed in some of those. This hook is the extension's own: another one has its own copy of std.
    std::panic::set_hook(Box::new(|info| {
        PANICKED_AT.set(info.location().map(ToString::to_string));
    }));
    Ok(())
}

/// Runs the body of a method: whatever goes wrong in it is a Ruby exception that can be rescued.
pub(crate) fn edge<T>(ruby: &Ruby, body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Error> {
    catch(body).map_err(|failure| match failure {
        Failure::Ruby(error) => error,
        Failure::Core(error) => exception(ruby, &error),
    })
}

thread_local! {
    static PANICKED_AT: Cell<Option<String>> = const { Cell::new(None) };
}

/// Turns a panic into [`vidcache_core::Error::Internal`] with the place where it was, never its message.
pub(crate) fn catch<T, E: From<vidcache_core::Error>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let place = PANICKED_AT.take().unwrap_or_else(|| "an unknown place".into());
        Err(vidcache_core::Error::Internal(format!("a panic at {place}; please report it")).into())
    })
}

fn exception(ruby: &Ruby, error: &vidcache_core::Error) -> Error {
    made(ruby, error).unwrap_or_else(|failed| failed)
}

/// The exception as an object, to be raised later.
pub(crate) fn object(ruby: &Ruby, error: &vidcache_core::Error) -> Result<Value, Error> {
    made(ruby, error)?.value().ok_or_else(|| Error::new(ruby.exception_runtime_error(), "no exception"))
}

fn made(ruby: &Ruby, error: &vidcache_core::Error) -> Result<Error, Error> {
    let class = ruby.get_inner(&MODULE).const_get::<_, ExceptionClass>(class_name(error.code()))?;
    let exception = class.new_instance((error.to_string(),))?;
    // What the Ruby layer has readers for. Where an error has none the variable is never asked for.
    if let Some(vid) = error.vid() {
        exception.funcall::<_, _, Value>("instance_variable_set", ("@vid", vid.get()))?;
    }
    if let Some(time) = error.retry_after() {
        exception.funcall::<_, _, Value>("instance_variable_set", ("@retry_after", time.as_secs_f64()))?;
    }
    Ok(exception.into())
}

/// `invalid_user_key` is `InvalidUserKey`.
fn class_name(code: ErrorCode) -> String {
    let words = code.name().split('_');
    words.map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}
