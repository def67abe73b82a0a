//! The way out: who a user is, and what a page may say of them. All of it is answered at once.

use napi_derive::napi;
use vidcache::{Email, Error, UserKey, Vid};

use crate::cache::Native;

/// Which contact a user is.
#[napi(object)]
pub struct Identity {
    pub vid: String,
    pub external_id: Option<String>,
}

/// What a page may say of a user.
#[napi(object)]
pub struct Decision {
    pub email: Option<String>,
    pub id: Option<String>,
    pub reason: String,
}

impl From<vidcache::Identity> for Identity {
    fn from(identity: vidcache::Identity) -> Self {
        Self { vid: text(identity.vid), external_id: identity.external_id.map(text) }
    }
}

impl From<vidcache::Decision<'_>> for Decision {
    fn from(decision: vidcache::Decision<'_>) -> Self {
        Self {
            email: decision.email().map(str::to_owned),
            id: decision.id().map(text),
            reason: decision.reason().name().into(),
        }
    }
}

pub(crate) fn text(vid: Vid) -> String {
    vid.get().to_string()
}

pub(crate) fn email(text: Option<&str>) -> Result<Option<Email>, Error> {
    text.map(Email::parse).transpose()
}

#[napi]
impl Native {
    #[napi]
    pub fn resolve(&self, user: String) -> napi::Result<Option<String>> {
        self.now(|cache| Ok(cache.resolve(UserKey::text(&user)?)?.map(|one| text(one.vid))))
    }

    #[napi]
    pub fn identity(&self, user: String) -> napi::Result<Option<Identity>> {
        self.now(|cache| Ok(cache.resolve(UserKey::text(&user)?)?.map(Identity::from)))
    }

    #[napi]
    pub fn resolve_many(&self, users: Vec<String>) -> napi::Result<Vec<Option<String>>> {
        self.now(|cache| {
            let users = users.iter().map(|user| UserKey::text(user)).collect::<Result<Vec<_>, _>>()?;
            Ok(cache.resolve_many(&users)?.into_iter().map(|one| one.map(|identity| text(identity.vid))).collect())
        })
    }

    #[napi]
    pub fn decide(&self, user: String, email: Option<String>) -> napi::Result<Decision> {
        self.now(|cache| {
            let email = self::email(email.as_deref())?;
            Ok(cache.decide(UserKey::text(&user)?, email.as_ref())?.into())
        })
    }

    /// The users and their emails, in two lists of one length.
    #[napi]
    pub fn decide_many(&self, users: Vec<String>, emails: Vec<Option<String>>) -> napi::Result<Vec<Decision>> {
        self.now(|cache| {
            let pairs = users.iter().zip(&emails);
            let pairs = pairs.map(|(user, email)| Ok((UserKey::text(user)?, self::email(email.as_deref())?)));
            let pairs = pairs.collect::<Result<Vec<_>, Error>>()?;
            Ok(cache.decide_many(&pairs)?.into_iter().map(Decision::from).collect())
        })
    }

    #[napi]
    pub fn snippet(&self, user: String, email: Option<String>, nonce: Option<String>) -> napi::Result<String> {
        self.now(|cache| {
            let email = self::email(email.as_deref())?;
            cache.snippet(UserKey::text(&user)?, email.as_ref(), nonce.as_deref())
        })
    }

    #[napi]
    pub fn anonymous_snippet(&self, nonce: Option<String>) -> napi::Result<String> {
        self.now(|cache| Ok(cache.anonymous_page().render(nonce.as_deref())))
    }

    #[napi]
    pub fn signed_out_snippet(&self, nonce: Option<String>) -> napi::Result<String> {
        self.now(|cache| Ok(cache.signed_out_page().render(nonce.as_deref())))
    }

    #[napi]
    pub fn page_data(&self, user: String, email: Option<String>) -> napi::Result<String> {
        self.now(|cache| {
            let email = self::email(email.as_deref())?;
            Ok(cache.page(UserKey::text(&user)?, email.as_ref())?.data())
        })
    }

    #[napi]
    pub fn anonymous_page_data(&self) -> napi::Result<String> {
        self.now(|cache| Ok(cache.anonymous_page().data()))
    }

    #[napi]
    pub fn signed_out_page_data(&self) -> napi::Result<String> {
        self.now(|cache| Ok(cache.signed_out_page().data()))
    }
}
