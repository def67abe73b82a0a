//! `Vidcache::Decision`, made here for each page.

use magnus::rb_sys::{AsRawId, AsRawValue, FromRawValue, protect};
use magnus::value::{Lazy, LazyId};
use magnus::{Error, IntoValue, RClass, RString, Ruby, Value, prelude::*};
use vidcache_core::{Decision, Reason, Vid};

/// The class of the Ruby layer, which is loaded before the extension.
static CLASS: Lazy<RClass> = Lazy::new(|ruby| {
    let vidcache = ruby.define_module("Vidcache").expect("it is a module");
    vidcache.const_get("Decision").expect("loaded before the extension")
});

/// Users whom HubSpot does not know all get the same answer.
static NOTHING: Lazy<Value> =
    Lazy::new(|ruby| build(ruby, ruby.qnil().as_value(), None, Reason::NotLinked).expect("nothing in it can fail"));

static EMAIL: LazyId = LazyId::new("@email");
static ID: LazyId = LazyId::new("@id");
static REASON: LazyId = LazyId::new("@reason");

/// Each name is a Symbol, looked up once.
static REASONS: [(Reason, LazyId); 6] = [
    (Reason::Agreed, LazyId::new(Reason::Agreed.name())),
    (Reason::ChangeOutstanding, LazyId::new(Reason::ChangeOutstanding.name())),
    (Reason::EmailDiffers, LazyId::new(Reason::EmailDiffers.name())),
    (Reason::EmailUnconfirmed, LazyId::new(Reason::EmailUnconfirmed.name())),
    (Reason::EmailAbsent, LazyId::new(Reason::EmailAbsent.name())),
    (Reason::NotLinked, LazyId::new(Reason::NotLinked.name())),
];

pub(crate) fn define(ruby: &Ruby) {
    Lazy::force(&CLASS, ruby);
    Lazy::force(&NOTHING, ruby);
}

/// The decision as Ruby sees it. `given` is the email that the caller passed in.
pub(crate) fn new(ruby: &Ruby, decision: &Decision<'_>, given: Value) -> Result<Value, Error> {
    if decision.id.is_none() {
        return Ok(ruby.get_inner(&NOTHING));
    }
    let email = match decision.email {
        None => ruby.qnil().as_value(),
        Some(email) => reused(ruby, given, email).unwrap_or_else(|| {
            let email = ruby.str_new(email);
            email.freeze();
            email.as_value()
        }),
    };
    build(ruby, email, decision.id, decision.reason)
}

/// The caller's own String, where it is what the page names and nobody can change it.
fn reused(ruby: &Ruby, given: Value, email: &str) -> Option<Value> {
    let string = RString::from_value(given).filter(|string| string.is_frozen())?;
    let same = string.enc_get() == ruby.utf8_encindex()
        // SAFETY: compared while this thread holds the GVL, and nothing of Ruby's runs.
        && unsafe { string.as_slice() } == email.as_bytes();
    same.then_some(given)
}

/// Without `Decision.new`, whose call from here costs more than all the rest, and with all of Ruby's own calls
/// behind one guard against its exceptions, where each would have one.
fn build(ruby: &Ruby, email: Value, id: Option<Vid>, reason: Reason) -> Result<Value, Error> {
    let class = ruby.get_inner(&CLASS);
    let id = id.map(Vid::get).into_value_with(ruby);
    let reason = symbol(ruby, reason);
    let values = [(&EMAIL, email), (&ID, id), (&REASON, reason)]
        .map(|(name, value)| (LazyId::get_inner_with(name, ruby).as_raw(), value.as_raw()));
    // SAFETY: this thread has the GVL, since it has `ruby`. The class is an ordinary one, whose objects have instance
    // variables; the values are on this stack until they are in the object. An exception of Ruby's jumps over nothing
    // of Rust's that would have to be dropped.
    let object = protect(|| unsafe {
        let object = rb_sys::rb_obj_alloc(class.as_raw());
        for (name, value) in values {
            rb_sys::rb_ivar_set(object, name, value);
        }
        rb_sys::rb_obj_freeze(object)
    })?;
    // SAFETY: just made by Ruby.
    Ok(unsafe { Value::from_raw(object) })
}

fn symbol(ruby: &Ruby, reason: Reason) -> Value {
    match REASONS.iter().find(|(known, _)| *known == reason) {
        Some((_, name)) => LazyId::get_inner_with(name, ruby).into_value_with(ruby),
        None => ruby.to_symbol(reason.name()).as_value(),
    }
}
