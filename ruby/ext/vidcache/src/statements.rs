//! `Vidcache::Statements`: the rows in the app's own database. Statements go out as text, and what the database said
//! to them comes in as text; the Ruby layer sends them, through the app's own connection.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use magnus::rb_sys::{AsRawValue, FromRawValue};
use magnus::{
    DataTypeFunctions, Error, IntoValue, Module, Object, RArray, RModule, RString, Ruby, Symbol, Time, TypedData,
    Value, function, method, prelude::*, typed_data::Obj,
};
use vidcache_core::in_database::{Database, Distrust, Errand, Look, Recalled, Reply};
use vidcache_core::{Error as CoreError, Options, Page, Vid};

use crate::cache::Cache;
use crate::convert::{self, Key};
use crate::decision;
use crate::errand::{Outcome, Question};
use crate::error::{self, Failure, edge};
use crate::intake;
use crate::recall;

/// Nothing of it waits, so it is never locked when another thread runs: whoever has it has the GVL.
#[derive(TypedData)]
#[magnus(class = "Vidcache::Statements", free_immediately, size, frozen_shareable)]
pub(crate) struct Statements {
    core: RwLock<Database>,
    portal: i64,
}

impl DataTypeFunctions for Statements {}

pub(crate) fn define(ruby: &Ruby, vidcache: RModule) -> Result<(), Error> {
    let class = vidcache.define_class("Statements", ruby.class_object())?;
    class.undef_default_alloc_func();
    class.define_singleton_method("open", function!(Statements::open, 3))?;
    class.define_method("portal_id", method!(|this: &Statements| this.portal, 0))?;
    class.define_method("create", method!(Statements::create, 0))?;
    class.define_method("set_up", method!(Statements::set_up, 0))?;
    class.define_method("take_key", method!(Statements::take_key, 1))?;
    class.define_method("prepared", method!(Statements::prepared, 1))?;
    class.define_method("prepared_walk", method!(Statements::prepared_walk, 0))?;
    class.define_method("parameter", method!(Statements::parameter, 1))?;
    class.define_method("ask", method!(Statements::ask, 2))?;
    class.define_method("probe", method!(|this: &Statements| this.core().probe(), 0))?;
    class.define_method("kept", method!(Statements::kept, 0))?;
    class.define_method("kept_decision", kept_decision as unsafe extern "C" fn(Value, Value, Value) -> Value)?;
    let three = kept_snippet as unsafe extern "C" fn(Value, Value, Value, Value) -> Value;
    class.define_method("kept_snippet", three)?;
    let four = append_kept as unsafe extern "C" fn(Value, Value, Value, Value, Value) -> Value;
    class.define_method("append_kept", four)?;
    class.define_method("look", method!(|this: &Statements| this.core().look().parts(), 0))?;
    class.define_method("decide", method!(Statements::decide, 4))?;
    class.define_method("snippet", method!(Statements::snippet, 5))?;
    class.define_method("page_data", method!(Statements::page_data, 4))?;
    class.define_method("anonymous_snippet", method!(Statements::anonymous_snippet, 1))?;
    class.define_method("signed_out_snippet", method!(Statements::signed_out_snippet, 1))?;
    class.define_method("anonymous_page_data", method!(|this: &Statements| this.core().anonymous_page().data(), 0))?;
    class
        .define_method("signed_out_page_data", method!(|this: &Statements| this.core().signed_out_page().data(), 0))?;
    class.define_method("begin", method!(Statements::begin, 1))?;
    class.define_method("see", method!(Statements::see, 1))?;
    class.define_method("ask_quiet_period", method!(|this: &Statements| this.core().ask_quiet_period(), 0))?;
    class.define_method("quiet_period", method!(Statements::quiet_period, 1))?;
    class.define_method("distrust", method!(Statements::distrust, 1))?;
    class.define_method("failure", method!(Statements::failure, 1))?;
    class.define_method("steps", method!(Statements::steps, 2))?;
    class.define_method("read", method!(Statements::read, 3))?;
    class.define_method("finish", method!(Statements::finish, 3))?;
    class.define_method("lease", method!(Statements::lease, 3))?;
    class.define_method("release", method!(Statements::release, 2))?;
    class.define_method("ask_stale_changes", method!(Statements::ask_stale_changes, 2))?;
    class.define_method("stale_changes", method!(Statements::stale_changes, 1))?;
    class.define_method("ask_users_to_read", method!(Statements::ask_users_to_read, 4))?;
    class.define_method("users_to_read", method!(Statements::users_to_read, 3))?;
    class.define_method("ask_conflicts", method!(Statements::ask_conflicts, 2))?;
    class.define_method("conflicts", method!(Statements::conflicts, 1))?;
    class.define_method("doubt_all", method!(Statements::doubt_all, 0))?;
    class.define_method("upkeep", method!(|this: &Statements| this.core().upkeep(), 0))?;
    class.define_method("made_at", method!(Statements::made_at, 0))?;
    class.define_method("copy", method!(Statements::copy, 1))?;
    Ok(())
}

/// What `this` wraps.
///
/// # Safety
/// Ruby calls a method of this class, and of no other, with `this`, which outlives what is returned.
unsafe fn wrapped<'a>(this: Value) -> &'a Statements {
    // SAFETY: `this` is a `Vidcache::Statements`: Ruby binds the methods of that class to none but its instances, and
    // those are made by `obj_wrap` only (`allocate` is undefined). What it wraps lives as long as `this`.
    unsafe { &*rb_sys::macros::RTYPEDDATA_GET_DATA(this.as_raw()).cast::<Statements>() }
}

/// The decision from memory, or nil: the general way is to be gone, as it is where an argument is wrong.
///
/// # Safety
/// Ruby calls it, as a method of this class and of no other.
unsafe extern "C" fn kept_decision(this: Value, user: Value, email: Value) -> Value {
    // SAFETY: as the caller's; `this` is on the caller's stack, and Ruby calls methods with the GVL.
    unsafe { recall::decide(&*wrapped(this).core(), user, email).unwrap_or_else(nil) }
}

/// The page from memory, or nil, as [`kept_decision`].
///
/// # Safety
/// Ruby calls it, as a method of this class and of no other.
unsafe extern "C" fn kept_snippet(this: Value, user: Value, email: Value, nonce: Value) -> Value {
    // SAFETY: as the caller's; `this` is on the caller's stack, and Ruby calls methods with the GVL.
    unsafe { recall::snippet(&*wrapped(this).core(), user, email, nonce).unwrap_or_else(nil) }
}

/// Appends the page from memory, and returns its reason; or nil, as [`kept_decision`].
///
/// # Safety
/// Ruby calls it, as a method of this class and of no other.
unsafe extern "C" fn append_kept(this: Value, buffer: Value, user: Value, email: Value, nonce: Value) -> Value {
    // SAFETY: as the caller's; `this` is on the caller's stack, and Ruby calls methods with the GVL.
    unsafe { recall::append_snippet(&*wrapped(this).core(), buffer, user, email, nonce).unwrap_or_else(nil) }
}

fn nil() -> Value {
    // SAFETY: nil, as Ruby tags it.
    unsafe { Value::from_raw(rb_sys::Qnil as rb_sys::VALUE) }
}

impl Statements {
    /// `given`: the secret, the old ones, the page's deadline, the loader's host; where answers are kept, for how long
    /// they are believed and the most bytes that they take, else nil and nil.
    fn open(ruby: &Ruby, schema: Value, portal: Value, given: RArray) -> Result<Obj<Self>, Error> {
        edge(ruby, || {
            let schema = convert::text_option(ruby, schema, "schema")?;
            let portal = convert::portal(ruby, portal)?;
            let secret = convert::secret(given.entry(0)?)?;
            let old_secrets = convert::secrets(given.entry(1)?)?;
            let old_secrets: Vec<&[u8]> = old_secrets.iter().map(Vec::as_slice).collect();
            let loader_host = convert::text_option(ruby, given.entry(3)?, "loader_host")?;
            let options = Options {
                secret: secret.as_deref(),
                old_secrets: &old_secrets,
                page_deadline: convert::seconds(ruby, given.entry(2)?, "page_deadline")?,
                loader_host: &loader_host,
                ..Options::default()
            };
            let mut core = Database::new(&schema, portal, &options)?;
            let max_age: Value = given.entry(4)?;
            if !max_age.is_nil() {
                let max_age = convert::seconds(ruby, max_age, "max_age")?;
                core = core.watching(max_age, convert::count(given.entry(5)?, "memory")?)?;
            }
            let core = RwLock::new(core);
            let this = ruby.obj_wrap(Self { core, portal });
            this.freeze();
            Ok(this)
        })
    }

    fn core(&self) -> RwLockReadGuard<'_, Database> {
        self.core.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn create(&self) -> Vec<String> {
        self.core().create()
    }

    fn set_up(ruby: &Ruby, this: &Self) -> Result<RArray, Error> {
        edge(ruby, || Ok(ruby.ary_from_iter(this.core().set_up()?)))
    }

    fn take_key(ruby: &Ruby, this: &Self, text: Value) -> Result<Option<String>, Error> {
        edge(ruby, || {
            let text = convert::text_option(ruby, text, "key")?;
            Ok(this.core.write().unwrap_or_else(PoisonError::into_inner).take_key(&text)?)
        })
    }

    /// The statement of a page that is asked with that: "" where answers are not kept.
    fn prepared(ruby: &Ruby, this: &Self, since: Value) -> Result<RString, Error> {
        edge(ruby, || Ok(frozen(ruby, this.core().prepared_for(&convert::text_option(ruby, since, "since")?))))
    }

    fn prepared_walk(ruby: &Ruby, this: &Self) -> RString {
        frozen(ruby, this.core().prepared_walk())
    }

    fn parameter(ruby: &Ruby, this: &Self, user: Value) -> Result<String, Error> {
        edge(ruby, || Ok(this.core().parameter(Key::new(ruby, user)?.get()?)))
    }

    fn ask(ruby: &Ruby, this: &Self, user: Value, since: String) -> Result<String, Error> {
        edge(ruby, || Ok(this.core().ask_since(Key::new(ruby, user)?.get()?, &since)))
    }

    /// What was answered from memory, where answers are kept: counts of pages, of looks, of how often everything was
    /// forgotten; users and bytes.
    fn kept(&self) -> Option<(u64, u64, u64, u64, u64)> {
        let stats = self.core().watch_stats()?;
        Some((stats.hits, stats.looks, stats.forgotten, stats.entries, stats.bytes))
    }

    /// The error of an answer that is not believed, to be told.
    fn error(&self, ruby: &Ruby, why: Option<Distrust>) -> Result<Option<Value>, Error> {
        why.map(|why| error::object(ruby, &why.error(self.portal))).transpose()
    }

    /// The error of a statement that failed, by its SQLSTATE: an empty one where no server answered.
    fn failure(ruby: &Ruby, this: &Self, state: Value) -> Result<Value, Error> {
        edge(ruby, || Ok(error::object(ruby, &this.core().failure(&convert::text_option(ruby, state, "state")?))?))
    }

    /// What `made` makes of the page, and the error that the answer was not believed; or a statement and `:more`. Of no
    /// answer, nil, a page that nobody answered; of a Symbol one from memory, or what is to be asked with and `:ask`.
    fn page(
        ruby: &Ruby,
        this: &Self,
        asked: (Value, Value, Value, (i64, i64)),
        made: impl FnOnce(&Page<'_>) -> Result<Value, Failure>,
    ) -> Result<(Value, Value), Failure> {
        let (user, email, answer, look) = asked;
        let user = Key::new(ruby, user)?;
        let email = convert::email(ruby, email)?;
        let core = this.core();
        let nothing = ruby.qnil().as_value();
        let look = Look::of_parts(look);
        if Symbol::from_value(answer).is_some() {
            return match core.recall(user.get()?, email.as_ref(), look) {
                Recalled::Page(page) => Ok((made(&page)?, nothing)),
                Recalled::Ask(since) => Ok((since.into_value_with(ruby), ruby.to_symbol("ask").as_value())),
            };
        }
        let Some(answer) = RString::from_value(answer) else {
            return Ok((made(&core.unanswered(user.get()?, email.as_ref()))?, nothing));
        };
        match core.reply(user.get()?, email.as_ref(), &text(answer)?, look) {
            Reply::More(sql) => Ok((sql.into_value_with(ruby), ruby.to_symbol("more").as_value())),
            Reply::Page(page, why) => Ok((made(&page)?, this.error(ruby, why)?.into_value_with(ruby))),
        }
    }

    fn decide(
        ruby: &Ruby,
        this: &Self,
        user: Value,
        email: Value,
        answer: Value,
        look: (i64, i64),
    ) -> Result<(Value, Value), Error> {
        edge(ruby, || {
            Self::page(ruby, this, (user, email, answer, look), |page| {
                Ok(decision::new(ruby, &page.decision(), email)?)
            })
        })
    }

    /// The HTML and the reason.
    fn snippet(
        ruby: &Ruby,
        this: &Self,
        user: Value,
        email: Value,
        nonce: Value,
        answer: Value,
        look: (i64, i64),
    ) -> Result<(Value, Value), Error> {
        edge(ruby, || {
            let nonce = convert::nonce(ruby, nonce)?;
            Self::page(ruby, this, (user, email, answer, look), |page| {
                let reason = decision::symbol(ruby, page.decision().reason());
                Ok((ruby.str_new(&page.render(nonce.as_deref())), reason).into_value_with(ruby))
            })
        })
    }

    fn page_data(
        ruby: &Ruby,
        this: &Self,
        user: Value,
        email: Value,
        answer: Value,
        look: (i64, i64),
    ) -> Result<(Value, Value), Error> {
        edge(ruby, || Self::page(ruby, this, (user, email, answer, look), |page| Ok(page.data().into_value_with(ruby))))
    }

    fn anonymous_snippet(ruby: &Ruby, this: &Self, nonce: Value) -> Result<String, Error> {
        edge(ruby, || Ok(this.core().anonymous_page().render(convert::nonce(ruby, nonce)?.as_deref())))
    }

    fn signed_out_snippet(ruby: &Ruby, this: &Self, nonce: Value) -> Result<String, Error> {
        edge(ruby, || Ok(this.core().signed_out_page().render(convert::nonce(ruby, nonce)?.as_deref())))
    }

    /// The token, and the statement.
    fn begin(ruby: &Ruby, this: &Self, user: Value) -> Result<(i64, String), Error> {
        edge(ruby, || {
            let (token, sql) = this.core().begin(Key::new(ruby, user)?.get()?)?;
            Ok((token.get(), sql))
        })
    }

    /// Says that the change was seen to be committed.
    fn see(ruby: &Ruby, this: &Self, token: Value) -> Result<String, Error> {
        edge(ruby, || Ok(this.core().see(convert::token(token)?)))
    }

    fn quiet_period(ruby: &Ruby, this: &Self, answer: RString) -> Result<f64, Error> {
        edge(ruby, || Ok(this.core().quiet_period(&text(answer)?)?.as_secs_f64()))
    }

    /// The error that an answer is not believed, if it is not.
    fn distrust(ruby: &Ruby, this: &Self, answer: RString) -> Result<Option<Value>, Error> {
        edge(ruby, || Ok(this.error(ruby, this.core().distrust(&text(answer)?))?))
    }

    /// When the tables were set up.
    fn made_at(ruby: &Ruby, this: &Self) -> Result<Option<Time>, Error> {
        this.core().made_at().map(|at| convert::time(ruby, at)).transpose()
    }

    /// Does `step` with the errand of that kind.
    fn errand<T>(
        &self,
        ruby: &Ruby,
        kind: Symbol,
        about: RArray,
        step: impl FnOnce(Errand<'_, Outcome>) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        edge(ruby, || {
            let question = Question::new(ruby, kind, about)?;
            let keys = question.keys()?;
            let core = self.core();
            step(question.errand(&keys, &core)?)
        })
    }

    /// The lock and the question of an errand.
    fn steps(ruby: &Ruby, this: &Self, kind: Symbol, about: RArray) -> Result<(String, String), Error> {
        this.errand(ruby, kind, about, |errand| Ok((errand.lock(), errand.ask())))
    }

    /// What came of an errand that writes nothing.
    fn read(ruby: &Ruby, this: &Self, kind: Symbol, about: RArray, answer: RString) -> Result<Value, Error> {
        this.errand(ruby, kind, about, |errand| {
            let (said, refused) = errand.read(&text(answer)?)?.told(ruby)?;
            refused.map_or(Ok(said), |error| Err(error.into()))
        })
    }

    /// What came of an errand, the error to be raised once it is committed, and the statements that write it.
    fn finish(
        ruby: &Ruby,
        this: &Self,
        kind: Symbol,
        about: RArray,
        answer: RString,
    ) -> Result<(Value, Option<Value>, RArray), Error> {
        this.errand(ruby, kind, about, |errand| {
            let (outcome, statements) = errand.finish(&text(answer)?)?;
            let (said, refused) = outcome.told(ruby)?;
            let refused = refused.map(|refused| error::object(ruby, &refused)).transpose()?;
            Ok((said, refused, ruby.ary_from_iter(statements)))
        })
    }

    /// The lease's token, and the statement that gives a row if it is the holder's then.
    fn lease(ruby: &Ruby, this: &Self, user: Value, seconds: Value, held: Value) -> Result<(i64, String), Error> {
        edge(ruby, || {
            let user = Key::new(ruby, user)?;
            let duration = convert::seconds(ruby, seconds, "lease")?;
            let held = if held.is_nil() { None } else { Some(convert::lease(held)) };
            let (token, sql) = this.core().lease(user.get()?, duration, held)?;
            Ok((token.get(), sql))
        })
    }

    fn release(ruby: &Ruby, this: &Self, user: Value, held: Value) -> Result<String, Error> {
        edge(ruby, || Ok(this.core().release(Key::new(ruby, user)?.get()?, convert::lease(held))))
    }

    fn ask_stale_changes(ruby: &Ruby, this: &Self, older_than: Value, limit: Value) -> Result<String, Error> {
        edge(ruby, || {
            let older_than = convert::seconds(ruby, older_than, "older_than")?;
            Ok(this.core().ask_stale_changes(older_than, convert::limit(limit)?))
        })
    }

    fn stale_changes(ruby: &Ruby, this: &Self, answer: RString) -> Result<RArray, Error> {
        edge(ruby, || {
            let changes = this.core().stale_changes(&text(answer)?)?;
            Ok(crate::cache::stale_changes(ruby, changes)?)
        })
    }

    fn ask_users_to_read(
        ruby: &Ruby,
        this: &Self,
        confirmed: bool,
        older_than: Value,
        after: Value,
        limit: Value,
    ) -> Result<String, Error> {
        edge(ruby, || {
            let older_than = convert::seconds(ruby, older_than, "older_than")?;
            let after = if after.is_nil() { None } else { Some(convert::vid(ruby, after)?) };
            Ok(this.core().ask_users_to_read(confirmed, older_than, after, convert::limit(limit)?))
        })
    }

    /// A part of the list, and the `after` of the next, nil at its end.
    fn users_to_read(
        ruby: &Ruby,
        this: &Self,
        confirmed: bool,
        older_than: Value,
        answer: RString,
    ) -> Result<(RArray, Option<i64>), Error> {
        edge(ruby, || {
            let older_than = convert::seconds(ruby, older_than, "older_than")?;
            let part = this.core().users_to_read(confirmed, older_than, &text(answer)?)?;
            Ok((intake::to_read(ruby, part.items)?, part.next.map(Vid::get)))
        })
    }

    fn ask_conflicts(ruby: &Ruby, this: &Self, after: Value, limit: Value) -> Result<String, Error> {
        edge(ruby, || {
            let after = if after.is_nil() { None } else { Some(Key::new(ruby, after)?) };
            let after = after.as_ref().map(Key::get).transpose()?;
            Ok(this.core().ask_conflicts(after, convert::limit(limit)?))
        })
    }

    /// A part of the list, and the `after` of the next, nil at its end.
    fn conflicts(ruby: &Ruby, this: &Self, answer: RString) -> Result<(RArray, Option<String>), Error> {
        edge(ruby, || {
            let part = this.core().conflicts(&text(answer)?)?;
            Ok((intake::told_conflicts(ruby, part.items)?, part.next))
        })
    }

    fn doubt_all(&self) -> String {
        self.core().doubt_all()
    }

    /// The statements that join what a file knows.
    fn copy(ruby: &Ruby, this: &Self, file: Obj<Cache>) -> Result<RArray, Error> {
        edge(ruby, || {
            let statements = this.core().copy(file.core())?;
            Ok(ruby.ary_from_iter(statements))
        })
    }
}

/// An answer is JSON, and so UTF-8, whatever its String says.
fn text(answer: RString) -> Result<String, Failure> {
    let text = String::from_utf8(convert::bytes(answer));
    Ok(text.map_err(|_| CoreError::Storage("the database's answer is not UTF-8".into()))?)
}

fn frozen(ruby: &Ruby, sql: &str) -> RString {
    let sql = ruby.str_new(sql);
    sql.freeze();
    sql
}
