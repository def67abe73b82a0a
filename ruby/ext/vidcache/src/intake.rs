//! What of `Vidcache::Cache` takes in more than one user's fact, and what tells of one user for people to read.

use magnus::value::Lazy;
use magnus::{Error, RArray, RClass, RHash, RModule, RString, Ruby, Symbol, Value, function, method, prelude::*};
use vidcache_core::signature::{self, SignedRequest};
use vidcache_core::{
    Conflict, Email, Error as CoreError, ImportReport, Imported, Observed, UserKey, UserToRead, Vid, Vidcache,
    WebhookReport,
};

use crate::cache::Cache;
use crate::convert::{self, Key, value_class};
use crate::decision;
use crate::error::{Failure, edge};
use crate::gvl;

static OBSERVED: Lazy<RClass> = value_class!("Observed");
static WEBHOOK_REPORT: Lazy<RClass> = value_class!("WebhookReport");
static IMPORT_REPORT: Lazy<RClass> = value_class!("ImportReport");
static CONFLICT: Lazy<RClass> = value_class!("Conflict");
static USER_TO_READ: Lazy<RClass> = value_class!("UserToRead");

pub(crate) fn define(ruby: &Ruby, vidcache: RModule, class: RClass) -> Result<(), Error> {
    for class in [&OBSERVED, &WEBHOOK_REPORT, &IMPORT_REPORT, &USER_TO_READ, &CONFLICT] {
        Lazy::force(class, ruby);
    }
    let module = vidcache.singleton_class()?;
    module.define_private_method("native_verify_signature", function!(verify_signature, 3))?;
    module.define_private_method("native_move_aside", function!(move_aside, 1))?;
    module.define_private_method("native_restore", function!(restore, 2))?;
    class.define_private_method("native_observe", method!(observe, 2))?;
    class.define_private_method("native_conflicts", method!(conflicts, 2))?;
    class.define_method("end_conflict", method!(end_conflict, 1))?;
    class.define_private_method("native_users_to_read", method!(users_to_read, 5))?;
    class.define_method("users_of", method!(users_of, 1))?;
    class.define_method("doubt_all", method!(doubt_all, 0))?;
    class.define_private_method("native_import", method!(import, 1))?;
    class.define_private_method("native_decide_many", method!(decide_many, 1))?;
    class.define_method("resolve_many", method!(resolve_many, 1))?;
    class.define_method("apply_webhook", method!(apply_webhook, 1))?;
    class.define_method("link_shared", method!(link_shared, 2))?;
    class.define_method("explain", method!(explain, 2))?;
    class.define_method("export", method!(export, 1))?;
    class.define_method("refusal", method!(refusal, 1))?;
    class.define_method("forget", method!(forget, 1))?;
    Ok(())
}

fn resolve_many(ruby: &Ruby, this: &Cache, users: RArray) -> Result<RArray, Error> {
    edge(ruby, || {
        let users = keys(ruby, users)?;
        // Without the GVL: of a long list each may have to be read from the file.
        let found = this.write(ruby, |core| {
            let users = users.iter().map(Key::get).collect::<Result<Vec<_>, _>>()?;
            core.resolve_many(&users)
        })?;
        Ok(ruby.ary_from_iter(found.into_iter().map(|identity| identity.map(|identity| identity.vid.get()))))
    })
}

/// Of pairs of a user and an email.
fn decide_many(ruby: &Ruby, this: &Cache, pairs: RArray) -> Result<RArray, Error> {
    edge(ruby, || {
        let mut users = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let pair =
                RArray::from_value(pair).ok_or(CoreError::InvalidUserKey("it is not in a pair with its email"))?;
            let email = convert::email(ruby, pair.entry(1)?)?;
            users.push((Key::new(ruby, pair.entry(0)?)?, email));
        }
        // As look-ups go, one by one: each is current, and none has to wait for the others.
        let decisions = ruby.ary_new_capa(users.len());
        for (key, email) in &users {
            let decision = this.read(ruby, |core| core.decide(key.get()?, email.as_ref()))?;
            decisions.push(decision::new(ruby, &decision, ruby.qnil().as_value())?)?;
        }
        Ok(decisions)
    })
}

/// `asked_at`: when the call was begun, in milliseconds, or nil.
fn observe(ruby: &Ruby, this: &Cache, answer: RString, asked_at: Value) -> Result<Value, Error> {
    edge(ruby, || {
        let asked_at = convert::milliseconds(asked_at)?;
        let answer = convert::bytes(answer);
        let observed = this.write(ruby, |core| match asked_at {
            Some(asked_at) => core.observe_read(&answer, asked_at),
            None => core.observe(&answer),
        })?;
        Ok(self::observed(ruby, observed)?)
    })
}

/// `after`: nil, or the vid of the last of a list before; `at`: its time in milliseconds, 0 for none.
fn users_to_read(
    ruby: &Ruby,
    this: &Cache,
    confirmed: bool,
    older_than: Value,
    after: Value,
    at: Value,
    limit: Value,
) -> Result<RArray, Error> {
    edge(ruby, || {
        let older_than = convert::seconds(ruby, older_than, "older_than")?;
        let limit = convert::limit(limit)?;
        let after = match after.is_nil() {
            true => None,
            false => Some(UserToRead {
                user: String::new(),
                vid: convert::vid(ruby, after)?,
                read_at: convert::milliseconds(at)?.unwrap_or(0),
            }),
        };
        // Not a look-up: it may read many rows.
        let users = this.write(ruby, |core| core.users_to_read(confirmed, older_than, after.as_ref(), limit))?;
        Ok(to_read(ruby, users)?)
    })
}

pub(crate) fn to_read(ruby: &Ruby, users: Vec<UserToRead>) -> Result<RArray, Error> {
    let array = ruby.ary_new_capa(users.len());
    for user in users {
        let read_at = (user.read_at != 0).then(|| convert::time(ruby, user.read_at)).transpose()?;
        let arguments = (user.user, user.vid.get(), read_at);
        array.push::<Value>(ruby.get_inner(&USER_TO_READ).new_instance(arguments)?)?;
    }
    Ok(array)
}

pub(crate) fn told_conflicts(ruby: &Ruby, conflicts: Vec<Conflict>) -> Result<RArray, Error> {
    let array = ruby.ary_new_capa(conflicts.len());
    for one in conflicts {
        let (vid, holder) = (one.vid.map(Vid::get), one.holder.map(Vid::get));
        let why = ruby.to_symbol(one.why.name());
        let arguments = (one.user, vid, holder, why, convert::time(ruby, one.since)?);
        array.push::<Value>(ruby.get_inner(&CONFLICT).new_instance(arguments)?)?;
    }
    Ok(array)
}

fn users_of(ruby: &Ruby, this: &Cache, vid: Value) -> Result<Vec<String>, Error> {
    edge(ruby, || {
        let vid = convert::vid(ruby, vid)?;
        this.write(ruby, |core| core.users_of(vid))
    })
}

fn doubt_all(ruby: &Ruby, this: &Cache) -> Result<(), Error> {
    edge(ruby, || this.write(ruby, Vidcache::doubt_all))
}

fn conflicts(ruby: &Ruby, this: &Cache, after: Value, limit: Value) -> Result<RArray, Error> {
    edge(ruby, || {
        let after = if after.is_nil() { None } else { Some(Key::new(ruby, after)?) };
        let limit = convert::limit(limit)?;
        // Not a look-up: it may read many rows.
        let found = this.write(ruby, |core| core.conflicts(after.as_ref().map(Key::get).transpose()?, limit))?;
        Ok(told_conflicts(ruby, found)?)
    })
}

fn end_conflict(ruby: &Ruby, this: &Cache, user: Value) -> Result<(), Error> {
    edge(ruby, || about(ruby, this, user, Vidcache::end_conflict))
}

fn apply_webhook(ruby: &Ruby, this: &Cache, body: Value) -> Result<Value, Error> {
    edge(ruby, || {
        let body = webhook_body(body)?;
        let report = this.write(ruby, |core| core.apply_webhook(&body))?;
        Ok(webhook_report(ruby, report)?)
    })
}

pub(crate) fn webhook_body(body: Value) -> Result<Vec<u8>, CoreError> {
    let why = "it is not a String";
    RString::from_value(body).map(convert::bytes).ok_or(CoreError::InvalidWebhook { event: None, field: "body", why })
}

pub(crate) fn webhook_report(ruby: &Ruby, report: WebhookReport) -> Result<Value, Error> {
    ruby.get_inner(&WEBHOOK_REPORT).new_instance((report.applied, report.repeated, report.ignored))
}

/// The email, and when HubSpot held it.
pub(crate) type Row = (Key, Vid, Option<(Email, i64)>);

/// Of rows of a user, a vid, and an email with HubSpot's time in milliseconds or two nils.
fn import(ruby: &Ruby, this: &Cache, rows: RArray) -> Result<Value, Error> {
    edge(ruby, || {
        let users = self::rows(ruby, rows)?;
        let report = this.write(ruby, |core| {
            core.import(
                users.iter().map(|(key, vid, email)| Ok(Imported { user: key.get()?, vid: *vid, email: *email })),
            )
        })?;
        Ok(import_report(ruby, report)?)
    })
}

/// Rows of a user, a contact, an email and its time, as Ruby gives them.
pub(crate) fn rows(ruby: &Ruby, rows: RArray) -> Result<Vec<Row>, Failure> {
    let mut users = Vec::with_capacity(rows.len());
    for row in rows {
        let row = RArray::from_value(row).ok_or(CoreError::InvalidUserKey("it is not in a row with its contact"))?;
        let email = match (convert::email(ruby, row.entry(2)?)?, convert::milliseconds(row.entry(3)?)?) {
            (Some(email), Some(at)) => Some((email, at)),
            _ => None,
        };
        users.push((Key::new(ruby, row.entry(0)?)?, convert::vid(ruby, row.entry(1)?)?, email));
    }
    Ok(users)
}

pub(crate) fn observed(ruby: &Ruby, observed: Observed) -> Result<Value, Error> {
    let ids = |vids: Vec<Vid>| {
        let array = ruby.ary_from_iter(vids.into_iter().map(Vid::get));
        array.freeze();
        array
    };
    ruby.get_inner(&OBSERVED).new_instance((ids(observed.contacts), ids(observed.missing)))
}

pub(crate) fn import_report(ruby: &Ruby, report: ImportReport) -> Result<Value, Error> {
    ruby.get_inner(&IMPORT_REPORT).new_instance((report.imported, report.vid_taken))
}

fn link_shared(ruby: &Ruby, this: &Cache, user: Value, vid: Value) -> Result<(), Error> {
    edge(ruby, || {
        let user = Key::new(ruby, user)?;
        let vid = convert::vid(ruby, vid)?;
        this.write(ruby, |core| core.link_shared(user.get()?, vid))
    })
}

fn explain(ruby: &Ruby, this: &Cache, user: Value, email: Value) -> Result<Vec<String>, Error> {
    edge(ruby, || {
        let email = convert::email(ruby, email)?;
        about(ruby, this, user, |core, user| Ok(core.explain(user, email.as_ref())?.sentences))
    })
}

fn export(ruby: &Ruby, this: &Cache, user: Value) -> Result<String, Error> {
    edge(ruby, || about(ruby, this, user, Vidcache::export))
}

fn refusal(ruby: &Ruby, this: &Cache, user: Value) -> Result<Option<Symbol>, Error> {
    edge(ruby, || {
        let why = about(ruby, this, user, Vidcache::refusal)?;
        Ok(why.map(|why| ruby.to_symbol(why.name())))
    })
}

fn forget(ruby: &Ruby, this: &Cache, user: Value) -> Result<bool, Error> {
    edge(ruby, || about(ruby, this, user, Vidcache::forget))
}

/// Not as look-ups go: it reads many rows, or writes.
fn about<T>(
    ruby: &Ruby,
    this: &Cache,
    user: Value,
    work: impl Fn(&Vidcache, UserKey<'_>) -> Result<T, CoreError> + Sync,
) -> Result<T, Failure> {
    let user = Key::new(ruby, user)?;
    this.write(ruby, |core| work(core, user.get()?))
}

fn keys(ruby: &Ruby, users: RArray) -> Result<Vec<Key>, Failure> {
    users.into_iter().map(|user| Key::new(ruby, user)).collect()
}

fn move_aside(ruby: &Ruby, path: Value) -> Result<RString, Error> {
    edge(ruby, || {
        let path = convert::path(path)?;
        let aside = gvl::without(ruby, std::time::Duration::from_secs(60), || Vidcache::move_aside(&path))?;
        Ok(ruby.str_new(&aside.to_string_lossy()))
    })
}

fn restore(ruby: &Ruby, from: Value, path: Value) -> Result<Option<RString>, Error> {
    edge(ruby, || {
        let (from, path) = (convert::path(from)?, convert::path(path)?);
        let old = gvl::without(ruby, std::time::Duration::from_secs(60), || Vidcache::restore(&from, &path))?;
        Ok(old.map(|old| ruby.str_new(&old.to_string_lossy())))
    })
}

/// `request` has a String or nil for each Symbol, and true or false for what is taken.
fn verify_signature(ruby: &Ruby, secret: Value, request: RHash, now: i64) -> Result<(), Error> {
    edge(ruby, || {
        let refused = |why| Failure::Core(CoreError::InvalidSignature(why));
        let bytes = |name: &str| -> Result<Option<Vec<u8>>, Failure> {
            let value: Option<Value> = request.lookup::<Symbol, _>(ruby.to_symbol(name))?;
            match value {
                None => Ok(None),
                Some(value) => Ok(Some(convert::bytes(
                    RString::from_value(value).ok_or_else(|| refused("a part of it is no String"))?,
                ))),
            }
        };
        let text = |name: &str| -> Result<Option<String>, Failure> {
            let found = bytes(name)?.map(String::from_utf8).transpose();
            found.map_err(|_| refused("a part of it is not UTF-8"))
        };
        let flag = |name: &str| -> Result<bool, Failure> {
            Ok(request.lookup::<Symbol, Option<Value>>(ruby.to_symbol(name))?.is_some_and(|value| value.to_bool()))
        };
        let secret = convert::secret(secret)?.unwrap_or_default();
        let (method, uri) = (text("method")?.unwrap_or_default(), text("uri")?.unwrap_or_default());
        let body = bytes("body")?.unwrap_or_default();
        let [v3, timestamp] = [text("signature_v3")?, text("timestamp")?];
        let [other, version] = [text("signature")?, text("version")?];
        let request = SignedRequest {
            method: &method,
            uri: &uri,
            body: &body,
            signature_v3: v3.as_deref(),
            timestamp: timestamp.as_deref(),
            signature: other.as_deref(),
            version: version.as_deref(),
            take_v1: flag("take_v1")?,
            take_v2: flag("take_v2")?,
        };
        Ok(signature::verify(&secret, &request, now)?)
    })
}
