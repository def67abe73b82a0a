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
static NOTHING: Lazy<Value> = Lazy::new(|ruby| {
    build(ruby, None, ruby.qnil().as_value(), None, Reason::NotLinked).expect("nothing in it can fail")
});

static EMAIL: LazyId = LazyId::new("@email");
static ID: LazyId = LazyId::new("@id");
static REASON: LazyId = LazyId::new("@reason");

/// Each name is a Symbol, looked up once; where it stands in [`Reason::ALL`].
static REASONS: [LazyId; Reason::ALL.len()] = {
    let mut names = [const { LazyId::new("") }; Reason::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        // Not assigned: nothing may be dropped in a constant.
        std::mem::forget(std::mem::replace(&mut names[at], LazyId::new(Reason::ALL[at].name())));
        at += 1;
    }
    names
};

pub(crate) fn define(ruby: &Ruby) {
    Lazy::force(&CLASS, ruby);
    Lazy::force(&NOTHING, ruby);
}

/// The decision as Ruby sees it. `given` is the email that the caller passed in.
///
/// Without `Decision.new`, whose call from here costs more than all the rest, and with all of Ruby's own calls
/// behind one guard against its exceptions, where each would have one.
pub(crate) fn new(ruby: &Ruby, decision: &Decision<'_>, given: Value) -> Result<Value, Error> {
    if decision.reason() == Reason::NotLinked {
        return Ok(ruby.get_inner(&NOTHING));
    }
    let own = decision.email().filter(|email| !is_reusable(ruby, given, email));
    let given = if decision.email().is_some() { given } else { ruby.qnil().as_value() };
    build(ruby, own, given, decision.id(), decision.reason())
}

/// Whether the caller's own String is what the page names, and nobody can change it.
fn is_reusable(ruby: &Ruby, given: Value, email: &str) -> bool {
    RString::from_value(given).is_some_and(|string| {
        string.is_frozen()
            && string.enc_get() == ruby.utf8_encindex()
            // SAFETY: compared while this thread holds the GVL, and nothing of Ruby's runs.
            && unsafe { string.as_slice() } == email.as_bytes()
    })
}

/// With `own` as the email, or else `given`.
fn build(ruby: &Ruby, own: Option<&str>, given: Value, id: Option<Vid>, reason: Reason) -> Result<Value, Error> {
    let class = ruby.get_inner(&CLASS).as_raw();
    let [email_name, id_name, reason_name] =
        [&EMAIL, &ID, &REASON].map(|name| LazyId::get_inner_with(name, ruby).as_raw());
    let id = id.map(Vid::get).into_value_with(ruby).as_raw();
    let reason = symbol(ruby, reason).as_raw();
    let given = given.as_raw();
    // SAFETY: this thread has the GVL, since it has `ruby`. The class is an ordinary one, whose objects have instance
    // variables; the values are on this stack until they are in the object. An exception of Ruby's jumps over nothing
    // of Rust's that would have to be dropped.
    let object = protect(|| unsafe {
        let object = rb_sys::rb_obj_alloc(class);
        let email = match own {
            None => given,
            Some(email) => rb_sys::rb_obj_freeze(rb_sys::rb_utf8_str_new(email.as_ptr().cast(), email.len() as _)),
        };
        rb_sys::rb_ivar_set(object, email_name, email);
        rb_sys::rb_ivar_set(object, id_name, id);
        rb_sys::rb_ivar_set(object, reason_name, reason);
        rb_sys::rb_obj_freeze(object)
    })?;
    // SAFETY: just made by Ruby.
    Ok(unsafe { Value::from_raw(object) })
}

pub(crate) fn symbol(ruby: &Ruby, reason: Reason) -> Value {
    match Reason::ALL.iter().zip(&REASONS).find(|(known, _)| **known == reason) {
        Some((_, name)) => LazyId::get_inner_with(name, ruby).into_value_with(ruby),
        None => ruby.to_symbol(reason.name()).as_value(),
    }
}
