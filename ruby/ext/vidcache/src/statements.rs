//! `Vidcache::Statements`: the rows in the app's own database. Statements go out as text, and what the database said
//! to them comes in as text; the Ruby layer sends them, through the app's own connection.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use magnus::{
    DataTypeFunctions, Error, IntoValue, Module, Object, RArray, RModule, RString, Ruby, Symbol, TypedData, Value,
    function, method, prelude::*, typed_data::Obj,
};
use vidcache_core::Error as CoreError;
use vidcache_core::in_database::{Database, Reply};

use crate::cache::Cache;
use crate::convert::{self, Key};
use crate::decision;
use crate::error::{self, Failure, edge};
use crate::errand::{self, Question};

/// Nothing of it waits, so it is never locked when another thread runs: whoever has it has the GVL.
#[derive(TypedData)]
#[magnus(class = "Vidcache::Statements", free_immediately, size, frozen_shareable)]
pub(crate) struct Statements {
    core: RwLock<Database>,
    portal: i64,
}

impl DataTypeFunctions for Statements {}

pub(crate) fn define(ruby: &Ruby, vidcache: RModule) -> Result<(), Error> {
    errand::define(ruby);
    let class = vidcache.define_class("Statements", ruby.class_object())?;
    class.undef_default_alloc_func();
    class.define_singleton_method("open", function!(Statements::open, 3))?;
    class.define_method("portal_id", method!(|this: &Statements| this.portal, 0))?;
    class.define_method("create", method!(Statements::create, 0))?;
    class.define_method("set_up", method!(Statements::set_up, 0))?;
    class.define_method("take_key", method!(Statements::take_key, 1))?;
    class.define_method("prepared", method!(Statements::prepared, 0))?;
    class.define_method("parameter", method!(Statements::parameter, 1))?;
    class.define_method("ask", method!(Statements::ask, 1))?;
    class.define_method("decide", method!(Statements::decide, 4))?;
    class.define_method("begin", method!(Statements::begin, 1))?;
    class.define_method("steps", method!(Statements::steps, 2))?;
    class.define_method("read", method!(Statements::read, 3))?;
    class.define_method("finish", method!(Statements::finish, 3))?;
    class.define_method("lease", method!(Statements::lease, 3))?;
    class.define_method("release", method!(Statements::release, 2))?;
    class.define_method("ask_stale_changes", method!(Statements::ask_stale_changes, 2))?;
    class.define_method("stale_changes", method!(Statements::stale_changes, 1))?;
    class.define_method("doubt_all", method!(Statements::doubt_all, 0))?;
    class.define_method("prune", method!(Statements::prune, 0))?;
    class.define_method("copy", method!(Statements::copy, 1))?;
    Ok(())
}

impl Statements {
    /// `options`: the secret, the old ones, the page's deadline, the loader's host.
    fn open(ruby: &Ruby, schema: Value, portal: Value, options: RArray) -> Result<Obj<Self>, Error> {
        edge(ruby, || {
            let schema = convert::text_option(ruby, schema, "schema")?;
            let portal = convert::portal(ruby, portal)?;
            let mut secrets = vec![convert::secret(options.entry(0)?)?.ok_or(CoreError::InvalidSecret)?];
            secrets.extend(convert::secrets(options.entry(1)?)?);
            let deadline = convert::seconds(ruby, options.entry(2)?, "page_deadline")?;
            let secrets: Vec<&[u8]> = secrets.iter().map(Vec::as_slice).collect();
            let core = RwLock::new(Database::new(&schema, portal, &secrets, deadline)?);
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

    fn prepared(ruby: &Ruby, this: &Self) -> RString {
        let sql = ruby.str_new(this.core().prepared());
        sql.freeze();
        sql
    }

    fn parameter(ruby: &Ruby, this: &Self, user: Value) -> Result<String, Error> {
        edge(ruby, || Ok(this.core().parameter(Key::new(ruby, user)?.get()?)))
    }

    fn ask(ruby: &Ruby, this: &Self, user: Value) -> Result<String, Error> {
        edge(ruby, || Ok(this.core().ask(Key::new(ruby, user)?.get()?)))
    }

    /// A statement, or a decision and why the answer was not believed.
    fn decide(
        ruby: &Ruby,
        this: &Self,
        user: Value,
        email: Value,
        answer: RString,
        waited: Value,
    ) -> Result<Value, Error> {
        edge(ruby, || {
            let user = Key::new(ruby, user)?;
            let parsed = convert::email(ruby, email)?;
            let answer = text(answer)?;
            let waited = convert::seconds(ruby, waited, "waited")?;
            match this.core().reply(user.get()?, parsed.as_ref(), &answer, waited) {
                Reply::More(sql) => Ok(sql.into_value_with(ruby)),
                Reply::Page(said, _, why) => {
                    let said = decision::new(ruby, &said, email)?;
                    Ok((said, why.map(|why| why.to_string())).into_value_with(ruby))
                }
            }
        })
    }

    /// The token, and the statement.
    fn begin(ruby: &Ruby, this: &Self, user: Value) -> Result<(i64, String), Error> {
        edge(ruby, || {
            let (token, sql) = this.core().begin(Key::new(ruby, user)?.get()?)?;
            Ok((token.get(), sql))
        })
    }

    /// The lock and the question of an errand.
    fn steps(ruby: &Ruby, this: &Self, kind: Symbol, about: RArray) -> Result<(String, String), Error> {
        edge(ruby, || {
            let question = Question::new(ruby, kind, about)?;
            let core = this.core();
            let errand = question.errand(&core)?;
            Ok((errand.lock(), errand.ask()))
        })
    }

    /// What came of an errand that writes nothing.
    fn read(ruby: &Ruby, this: &Self, kind: Symbol, about: RArray, answer: RString) -> Result<Value, Error> {
        edge(ruby, || {
            let question = Question::new(ruby, kind, about)?;
            let core = this.core();
            let (said, refused) = question.errand(&core)?.read(&text(answer)?)?.told(ruby)?;
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
        edge(ruby, || {
            let question = Question::new(ruby, kind, about)?;
            let core = this.core();
            let (outcome, statements) = question.errand(&core)?.finish(&text(answer)?)?;
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

    fn doubt_all(&self) -> String {
        self.core().doubt_all()
    }

    fn prune(&self) -> String {
        self.core().prune()
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
