//! The edge that neither an error of the core's nor a panic crosses as it is: both become a text that `lib/errors.js`
//! reads. Rust quotes in some panics the text that was being cut or parsed, so their words are left out.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use napi::bindgen_prelude::{AsyncTask, ToNapiValue, TypeName};
use napi::{Env, Status, Task};
use vidcache::{Error, Vid};

thread_local! {
    static PANICKED_AT: Cell<Option<String>> = const { Cell::new(None) };
}

/// Runs the body of a function of the interface.
pub(crate) fn edge<T>(body: impl FnOnce() -> Result<T, Error>) -> napi::Result<T> {
    let done = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        let place = PANICKED_AT.try_with(Cell::take).ok().flatten().unwrap_or_else(|| "an unknown place".into());
        Err(Error::Internal(format!("a panic at {place}; please report it")))
    });
    done.map_err(|error| napi::Error::new(Status::GenericFailure, text_of(&error)))
}

/// A line each for the code, its number, the contact and the milliseconds to wait, where the error has them; then what
/// a person reads.
pub(crate) fn text_of(error: &Error) -> String {
    let vid = error.vid().map(Vid::get).map_or_else(String::new, |vid| vid.to_string());
    let wait = error.retry_after().map_or_else(String::new, |time| time.as_millis().to_string());
    format!("{}\n{}\n{vid}\n{wait}\n{error}", error.code().name(), error.code().number())
}

type Body<T> = Box<dyn FnOnce() -> Result<T, Error> + Send>;

/// What a thread of Node's pool is to do.
pub struct Job<T>(Option<Body<T>>);

/// A promise of what the body returns.
pub(crate) fn later<T>(body: impl FnOnce() -> Result<T, Error> + Send + 'static) -> AsyncTask<Job<T>>
where
    T: ToNapiValue + TypeName + Send + 'static,
{
    AsyncTask::new(Job(Some(Box::new(body))))
}

impl<T: ToNapiValue + TypeName + Send + 'static> Task for Job<T> {
    type Output = T;
    type JsValue = T;

    fn compute(&mut self) -> napi::Result<T> {
        let body = self.0.take();
        edge(|| body.ok_or_else(|| Error::Internal("a call that was made already".into()))?())
    }

    fn resolve(&mut self, _: Env, output: T) -> napi::Result<T> {
        Ok(output)
    }
}

/// Keeps a panic's message off stderr. The hook is the library's own: it has its own copy of Rust's library.
pub(crate) fn keep_panics_quiet() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let _ = PANICKED_AT.try_with(|place| place.set(info.location().map(ToString::to_string)));
        }));
    });
}
