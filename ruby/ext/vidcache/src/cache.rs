//! `Vidcache::Cache`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use magnus::rb_sys::AsRawValue;
use magnus::value::Lazy;
use magnus::{
    Class, DataTypeFunctions, Error, Module, Object, RArray, RClass, RHash, RModule, RString, Ruby, Time, TypedData,
    Value, function, method, prelude::*, typed_data::Obj,
};
use vidcache_core::{Error as CoreError, LeaseToken, Options, Recorded, StaleChange, Vidcache};

use crate::convert::{self, Key, value_class};
use crate::decision;
use crate::error::{Failure, edge};
use crate::gvl;
use crate::recall;

/// The object is frozen and its parts are `Sync`, so Ractors may share it.
#[derive(TypedData)]
#[magnus(class = "Vidcache::Cache", free_immediately, size, frozen_shareable)]
pub(crate) struct Cache {
    core: Vidcache,
    busy_timeout: Duration,
    closed: AtomicBool,
}

/// Whether the program ends, so that there is no next call to leave anything to.
static ENDING: AtomicBool = AtomicBool::new(false);

impl DataTypeFunctions for Cache {
    /// The collector has stopped every thread: it must wait neither for a transaction nor for the disk. At the
    /// program's end it may, and should, so that the log is in the file.
    fn free(self: Box<Self>) {
        if !ENDING.load(Ordering::Relaxed) {
            self.core.close_later();
        }
    }
}

unsafe extern "C" fn end(_: rb_sys::VALUE) {
    ENDING.store(true, Ordering::Relaxed);
}

static RECORDED: Lazy<RClass> = value_class!("Recorded");
static STALE_CHANGE: Lazy<RClass> = value_class!("StaleChange");

pub(crate) fn define(ruby: &Ruby, vidcache: RModule) -> Result<RClass, Error> {
    for class in [&RECORDED, &STALE_CHANGE] {
        Lazy::force(class, ruby);
    }
    decision::define(ruby);
    // SAFETY: `end` does not unwind, and Ruby calls it with the value that is given here.
    unsafe { rb_sys::rb_set_end_proc(Some(end), ruby.qnil().as_raw()) };
    let class = vidcache.define_class("Cache", ruby.class_object())?;
    class.undef_default_alloc_func();

    // Private methods take by position what the public ones of the Ruby layer take by keyword:
    // a keyword is free from Ruby to Ruby, and a Hash from Ruby to here.
    class.singleton_class()?.define_private_method("native_open", function!(Cache::open, 3))?;
    class.define_method("resolve", resolve as unsafe extern "C" fn(Value, Value) -> Value)?;
    class.define_method("decide", decide as unsafe extern "C" fn(Value, Value, Value) -> Value)?;
    let three = snippet as unsafe extern "C" fn(Value, Value, Value, Value) -> Value;
    class.define_private_method("native_snippet", three)?;
    let four = append_snippet as unsafe extern "C" fn(Value, Value, Value, Value, Value) -> Value;
    class.define_private_method("native_append_snippet", four)?;
    class.define_private_method("native_anonymous_snippet", method!(Cache::anonymous_snippet, 1))?;
    class.define_private_method("native_signed_out_snippet", method!(Cache::signed_out_snippet, 1))?;
    class.define_private_method("native_page_data", method!(Cache::page_data, 2))?;
    class.define_private_method("native_anonymous_page_data", method!(Cache::anonymous_page_data, 0))?;
    class.define_private_method("native_signed_out_page_data", method!(Cache::signed_out_page_data, 0))?;
    class.define_private_method("native_record", method!(Cache::record, 4))?;
    class.define_method("link", method!(Cache::link, 2))?;
    class.define_method("begin_email_change", method!(Cache::begin_email_change, 1))?;
    class.define_method("abandon_email_change", method!(Cache::abandon_email_change, 2))?;
    class.define_method("change_outstanding?", method!(Cache::is_change_outstanding, 2))?;
    class.define_method("change_outstanding_since", method!(Cache::change_outstanding_since, 2))?;
    class.define_method("quiet_period", method!(Cache::quiet_period, 0))?;
    class.define_private_method("native_lease", method!(Cache::lease, 3))?;
    class.define_method("release", method!(Cache::release, 2))?;
    class.define_private_method("native_stale_changes", method!(Cache::stale_changes, 2))?;
    class.define_method("stats", method!(Cache::stats, 0))?;
    class.define_method("verify", method!(Cache::verify, 0))?;
    class.define_method("backup", method!(Cache::backup, 1))?;
    class.define_method("close", method!(Cache::close, 0))?;
    class.define_method("closed?", method!(Cache::is_closed, 0))?;
    class.define_method("portal_id", method!(Cache::portal_id, 0))?;
    Ok(class)
}

/// What `this` wraps.
///
/// # Safety
/// Ruby calls a method of this class, and of no other, with `this`, which outlives what is returned.
unsafe fn wrapped<'a>(this: Value) -> &'a Vidcache {
    // SAFETY: `this` is a `Vidcache::Cache`: Ruby binds the methods of that class to none but its instances, and those
    // are made by `obj_wrap` only (`allocate` is undefined). So it wraps a `Cache`, which lives as long as `this`.
    unsafe { &(*rb_sys::macros::RTYPEDDATA_GET_DATA(this.as_raw()).cast::<Cache>()).core }
}

/// A method that answers at once if it can, else as the other methods go.
macro_rules! at_once {
    ($name:ident($($argument:ident),+) else $general:expr) => {
        /// # Safety
        /// Ruby calls it, as a method of this class and of no other.
        unsafe extern "C" fn $name(this: Value, $($argument: Value),+) -> Value {
            // SAFETY: as the caller's; `this` is on the caller's stack, and Ruby calls methods with the GVL.
            if let Some(found) = unsafe { recall::$name(wrapped(this), $($argument),+) } {
                return found;
            }
            #[cold]
            #[inline(never)]
            fn generally(this: Value, $($argument: Value),+) -> Value {
                let general = $general;
                // SAFETY: as Ruby would call it.
                unsafe { general(this, $($argument),+) }
            }
            generally(this, $($argument),+)
        }
    };
}
at_once!(resolve(user) else method!(Cache::resolve, 1));
at_once!(decide(user, email) else method!(Cache::decide, 2));
at_once!(snippet(user, email, nonce) else method!(Cache::snippet, 3));
at_once!(append_snippet(buffer, user, email, nonce) else method!(Cache::append_snippet, 4));

pub(crate) fn recorded(ruby: &Ruby, recorded: Recorded) -> Result<Value, Error> {
    let fields = (recorded.vid.get(), recorded.canonical, recorded.created, recorded.email_observed);
    ruby.get_inner(&RECORDED).new_instance(fields)
}

/// The changes as Ruby sees them.
pub(crate) fn stale_changes(ruby: &Ruby, changes: Vec<StaleChange>) -> Result<RArray, Error> {
    let array = ruby.ary_new_capa(changes.len());
    for change in changes {
        let arguments = (change.user, change.token.get(), convert::time(ruby, change.begun_at)?);
        array.push::<Value>(ruby.get_inner(&STALE_CHANGE).new_instance(arguments)?)?;
    }
    Ok(array)
}

impl Cache {
    pub(crate) const fn core(&self) -> &Vidcache {
        &self.core
    }

    fn open(ruby: &Ruby, path: Value, portal: Value, options: RArray) -> Result<Obj<Self>, Error> {
        edge(ruby, || {
            let path = convert::path(path)?;
            let portal = convert::portal(ruby, portal)?;
            // The options: made by bindings/tables.
            let secret = convert::secret(options.entry(0)?)?;
            let loader_host = convert::text_option(ruby, options.entry(1)?, "loader_host")?;
            let old_secrets = convert::secrets(options.entry(6)?)?;
            let old_secrets: Vec<&[u8]> = old_secrets.iter().map(Vec::as_slice).collect();
            let options = Options {
                secret: secret.as_deref(),
                loader_host: &loader_host,
                memory: convert::count(options.entry(2)?, "memory")?,
                busy_timeout: convert::seconds(ruby, options.entry(3)?, "busy_timeout")?,
                page_deadline: convert::seconds(ruby, options.entry(4)?, "page_deadline")?,
                synchronous: convert::synchronous(options.entry(5)?)?,
                old_secrets: &old_secrets,
            };
            let busy_timeout = options.busy_timeout;
            let core = gvl::without(ruby, busy_timeout, || Vidcache::open(&path, portal, &options))?;
            let cache = ruby.obj_wrap(Self { core, busy_timeout, closed: AtomicBool::new(false) });
            cache.freeze();
            Ok(cache)
        })
    }

    fn resolve(ruby: &Ruby, this: &Self, user: Value) -> Result<Option<i64>, Error> {
        edge(ruby, || {
            let user = Key::new(ruby, user)?;
            let identity = this.read(ruby, |core| core.resolve(user.get()?))?;
            Ok(identity.map(|identity| identity.vid.get()))
        })
    }

    fn decide(ruby: &Ruby, this: &Self, user: Value, email: Value) -> Result<Value, Error> {
        edge(ruby, || {
            let user = Key::new(ruby, user)?;
            let parsed = convert::email(ruby, email)?;
            let decision = this.read(ruby, |core| core.decide(user.get()?, parsed.as_ref()))?;
            Ok(decision::new(ruby, &decision, email)?)
        })
    }

    fn snippet(ruby: &Ruby, this: &Self, user: Value, email: Value, nonce: Value) -> Result<RString, Error> {
        edge(ruby, || {
            let user = Key::new(ruby, user)?;
            let email = convert::email(ruby, email)?;
            let nonce = convert::nonce(ruby, nonce)?;
            let html = this.read(ruby, |core| core.snippet(user.get()?, email.as_ref(), nonce.as_deref()))?;
            Ok(ruby.str_new(&html))
        })
    }

    fn append_snippet(
        ruby: &Ruby,
        this: &Self,
        buffer: Value,
        user: Value,
        email: Value,
        nonce: Value,
    ) -> Result<Value, Error> {
        edge(ruby, || {
            let buffer = convert::buffer(buffer)?;
            let user = Key::new(ruby, user)?;
            let email = convert::email(ruby, email)?;
            let nonce = convert::nonce(ruby, nonce)?;
            let (html, reason) = this.read(ruby, |core| {
                let page = core.page(user.get()?, email.as_ref())?;
                Ok((page.render(nonce.as_deref()), page.decision().reason()))
            })?;
            buffer.buf_append(ruby.str_new(&html))?;
            Ok(decision::symbol(ruby, reason))
        })
    }

    fn anonymous_snippet(ruby: &Ruby, this: &Self, nonce: Value) -> Result<RString, Error> {
        edge(ruby, || {
            let nonce = convert::nonce(ruby, nonce)?;
            Ok(ruby.str_new(&this.core.anonymous_page().render(nonce.as_deref())))
        })
    }

    fn signed_out_snippet(ruby: &Ruby, this: &Self, nonce: Value) -> Result<RString, Error> {
        edge(ruby, || {
            let nonce = convert::nonce(ruby, nonce)?;
            Ok(ruby.str_new(&this.core.signed_out_page().render(nonce.as_deref())))
        })
    }

    /// The JSON of which the Ruby layer makes a Hash: what that costs is many look-ups, so it has no shorter way.
    fn page_data(ruby: &Ruby, this: &Self, user: Value, email: Value) -> Result<RString, Error> {
        edge(ruby, || {
            let user = Key::new(ruby, user)?;
            let email = convert::email(ruby, email)?;
            let json = this.read(ruby, |core| Ok(core.page(user.get()?, email.as_ref())?.data()))?;
            Ok(ruby.str_new(&json))
        })
    }

    fn anonymous_page_data(ruby: &Ruby, this: &Self) -> Result<RString, Error> {
        edge(ruby, || Ok(ruby.str_new(&this.core.anonymous_page().data())))
    }

    fn signed_out_page_data(ruby: &Ruby, this: &Self) -> Result<RString, Error> {
        edge(ruby, || Ok(ruby.str_new(&this.core.signed_out_page().data())))
    }

    /// `asked_at`: when the call was begun, in milliseconds, or nil.
    fn record(
        ruby: &Ruby,
        this: &Self,
        user: Value,
        answer: RString,
        change: Value,
        asked_at: Value,
    ) -> Result<Value, Error> {
        edge(ruby, || {
            let asked_at = convert::milliseconds(asked_at)?;
            let user = Key::new(ruby, user)?;
            let answer = convert::bytes(answer);
            let change = convert::token_or_none(change)?;
            let recorded = this.write(ruby, |core| match asked_at {
                Some(asked_at) => core.record_read(user.get()?, &answer, change, asked_at),
                None => core.record(user.get()?, &answer, change),
            })?;
            Ok(self::recorded(ruby, recorded)?)
        })
    }

    fn link(ruby: &Ruby, this: &Self, user: Value, vid: Value) -> Result<(), Error> {
        edge(ruby, || {
            let user = Key::new(ruby, user)?;
            let vid = convert::vid(ruby, vid)?;
            this.write(ruby, |core| core.link(user.get()?, vid))
        })
    }

    fn begin_email_change(ruby: &Ruby, this: &Self, user: Value) -> Result<i64, Error> {
        edge(ruby, || {
            let user = Key::new(ruby, user)?;
            Ok(this.write(ruby, |core| core.begin_email_change(user.get()?))?.get())
        })
    }

    fn abandon_email_change(ruby: &Ruby, this: &Self, user: Value, token: Value) -> Result<(), Error> {
        edge(ruby, || {
            let user = Key::new(ruby, user)?;
            let token = convert::token(token)?;
            this.write(ruby, |core| core.abandon_email_change(user.get()?, token))
        })
    }

    fn quiet_period(ruby: &Ruby, this: &Self) -> Result<f64, Error> {
        edge(ruby, || Ok(this.read(ruby, Vidcache::quiet_period)?.as_secs_f64()))
    }

    fn lease(ruby: &Ruby, this: &Self, user: Value, seconds: Value, held: Value) -> Result<Option<i64>, Error> {
        edge(ruby, || {
            let user = Key::new(ruby, user)?;
            let duration = convert::seconds(ruby, seconds, "lease")?;
            let held = if held.is_nil() { None } else { Some(convert::lease(held)) };
            Ok(this.write(ruby, |core| core.lease(user.get()?, duration, held))?.map(LeaseToken::get))
        })
    }

    fn release(ruby: &Ruby, this: &Self, user: Value, held: Value) -> Result<bool, Error> {
        edge(ruby, || {
            let user = Key::new(ruby, user)?;
            let held = convert::lease(held);
            this.write(ruby, |core| core.release(user.get()?, held))
        })
    }

    fn stale_changes(ruby: &Ruby, this: &Self, older_than: Value, limit: Value) -> Result<RArray, Error> {
        edge(ruby, || {
            let older_than = convert::seconds(ruby, older_than, "older_than")?;
            let limit = convert::limit(limit)?;
            // Not a look-up: it may read many rows.
            let changes = this.write(ruby, |core| core.stale_changes(older_than, limit))?;
            Ok(stale_changes(ruby, changes)?)
        })
    }

    fn is_change_outstanding(ruby: &Ruby, this: &Self, user: Value, token: Value) -> Result<bool, Error> {
        edge(ruby, || {
            let user = Key::new(ruby, user)?;
            let token = convert::token(token)?;
            this.read(ruby, |core| core.is_change_outstanding(user.get()?, token))
        })
    }

    fn change_outstanding_since(ruby: &Ruby, this: &Self, user: Value, token: Value) -> Result<Option<Time>, Error> {
        edge(ruby, || {
            let user = Key::new(ruby, user)?;
            let token = convert::token(token)?;
            let since = this.read(ruby, |core| core.change_outstanding_since(user.get()?, token))?;
            Ok(since.map(|since| convert::time(ruby, since)).transpose()?)
        })
    }

    fn stats(ruby: &Ruby, this: &Self) -> Result<RHash, Error> {
        edge(ruby, || {
            let stats = this.core.stats();
            let hash = ruby.hash_new();
            // Made by bindings/tables.
            hash.aset(ruby.to_symbol("hits"), stats.hits)?;
            hash.aset(ruby.to_symbol("misses"), stats.misses)?;
            hash.aset(ruby.to_symbol("syncs"), stats.syncs)?;
            hash.aset(ruby.to_symbol("evictions"), stats.evictions)?;
            hash.aset(ruby.to_symbol("entries"), stats.entries)?;
            hash.aset(ruby.to_symbol("bytes"), stats.bytes)?;
            hash.aset(ruby.to_symbol("revision"), stats.revision)?;
            hash.aset(ruby.to_symbol("reopened"), stats.reopened)?;
            hash.aset(ruby.to_symbol("log_bytes"), stats.log_bytes)?;
            hash.aset(ruby.to_symbol("passing"), stats.passing)?;
            hash.aset(ruby.to_symbol("fallback"), stats.fallback)?;
            hash.aset(ruby.to_symbol("last_error"), stats.last_error.map(|code| code.name()))?;
            hash.freeze();
            Ok(hash)
        })
    }

    fn verify(ruby: &Ruby, this: &Self) -> Result<Vec<String>, Error> {
        // Reads the whole file.
        edge(ruby, || gvl::at_length(ruby, this.busy_timeout, || this.core.verify()))
    }

    fn backup(ruby: &Ruby, this: &Self, path: Value) -> Result<(), Error> {
        edge(ruby, || {
            let path = convert::path(path)?;
            this.write(ruby, |core| core.backup(&path))
        })
    }

    fn close(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        edge(ruby, || {
            this.closed.store(true, Ordering::Relaxed);
            this.write(ruby, |core| {
                core.close();
                Ok(())
            })
        })
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn portal_id(&self) -> i64 {
        self.core.portal()
    }

    pub(crate) fn read<T>(
        &self,
        ruby: &Ruby,
        work: impl Fn(&Vidcache) -> Result<T, CoreError> + Sync,
    ) -> Result<T, Failure> {
        gvl::read(ruby, self.busy_timeout, || work(&self.core))
    }

    pub(crate) fn write<T>(
        &self,
        ruby: &Ruby,
        work: impl Fn(&Vidcache) -> Result<T, CoreError> + Sync,
    ) -> Result<T, Failure> {
        gvl::without(ruby, self.busy_timeout, || work(&self.core))
    }
}
