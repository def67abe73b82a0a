//! The way out: who a user is, and what a page may say of them.

use vidcache::in_database::Decided;
use vidcache::{Email, Error, UserKey, Vid};

use crate::cache::Vidcache;
use crate::edge::edge;
use crate::error::VidcacheError;

/// Which contact a user is.
#[derive(Debug, PartialEq, Eq, uniffi::Record)]
pub struct Identity {
    /// The contact, as it is after merges.
    pub vid: i64,
    /// The external id that pages give; none where another user gives it.
    pub external_id: Option<i64>,
}

impl From<vidcache::Identity> for Identity {
    fn from(one: vidcache::Identity) -> Self {
        Self { vid: one.vid.get(), external_id: one.external_id.map(Vid::get) }
    }
}

/// What a page may say of a user.
#[derive(Debug, PartialEq, Eq, uniffi::Record)]
pub struct Decision {
    /// The email to name, normalised, or none.
    pub email: Option<String>,
    /// The external id to give, or none.
    pub id: Option<i64>,
    /// Why: `agreed`, `change_outstanding`, …
    pub reason: String,
}

impl From<Decided> for Decision {
    fn from(decided: Decided) -> Self {
        Self { email: decided.email, id: decided.id.map(Vid::get), reason: decided.reason.name().into() }
    }
}

impl From<vidcache::Decision<'_>> for Decision {
    fn from(decision: vidcache::Decision<'_>) -> Self {
        Self {
            email: decision.email().map(str::to_owned),
            id: decision.id().map(Vid::get),
            reason: decision.reason().name().into(),
        }
    }
}

/// A user of whom `decide_many` is asked.
#[derive(uniffi::Record)]
pub struct DecisionRequest {
    /// The user.
    pub user: String,
    /// Their email as the app has it, or none.
    pub email: Option<String>,
}

pub(crate) fn email(text: Option<&str>) -> Result<Option<Email>, Error> {
    text.map(Email::parse).transpose()
}

/// The contacts of many users, 8 bytes each as this machine has them; 0 for none.
fn vids(cache: &vidcache::Vidcache, users: &[UserKey<'_>]) -> Result<Vec<u8>, Error> {
    let found = cache.resolve_many(users)?;
    Ok(found.iter().flat_map(|one| one.map_or(0, |identity| identity.vid.get()).to_ne_bytes()).collect())
}

#[uniffi::export]
impl Vidcache {
    /// Which contact the user is, or none.
    ///
    /// # Errors
    /// `invalid_user_key`, `storage`, `corrupt`, `busy`, `closed`.
    pub fn resolve(&self, user: &str) -> Result<Option<Identity>, VidcacheError> {
        edge(|| {
            let found = self.0.resolve(UserKey::text(user)?)?;
            Ok(found.map(Identity::from))
        })
    }

    /// The contacts of many users. `ids`: 8 bytes each, as this machine has them; the answer in the same form and
    /// order, 0 for none. Packed, because UniFFI takes a microsecond for each element of a list.
    ///
    /// # Errors
    /// As `resolve`, and `invalid_user_key` when the bytes are no whole ids.
    pub fn resolve_many_ids(&self, ids: Vec<u8>) -> Result<Vec<u8>, VidcacheError> {
        edge(|| {
            let (ids, rest) = ids.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(Error::InvalidUserKey("the ids are not 8 bytes each"));
            }
            let users: Vec<_> = ids.iter().map(|id| UserKey::from(i64::from_ne_bytes(*id))).collect();
            vids(&self.0, &users)
        })
    }

    /// The contacts of many users whose keys are texts, each ended by a NUL, which no key holds: 8 bytes of the
    /// machine's order for each, 0 for none.
    ///
    /// # Errors
    /// As `resolve`.
    pub fn resolve_many_texts(&self, users: &str) -> Result<Vec<u8>, VidcacheError> {
        edge(|| {
            let users = users.split_terminator('\0').map(UserKey::text).collect::<Result<Vec<_>, _>>()?;
            vids(&self.0, &users)
        })
    }

    /// What a page may say of the user, whose email the app believes to be `email`.
    ///
    /// # Errors
    /// As `resolve`, and `invalid_email`.
    pub fn decide(&self, user: &str, email: Option<String>) -> Result<Decision, VidcacheError> {
        edge(|| {
            let email = self::email(email.as_deref())?;
            Ok(self.0.decide(UserKey::text(user)?, email.as_ref())?.into())
        })
    }

    /// `decide` for many users, in their order.
    ///
    /// # Errors
    /// As `decide`, of the first that fails.
    pub fn decide_many(&self, users: Vec<DecisionRequest>) -> Result<Vec<Decision>, VidcacheError> {
        edge(|| {
            let users = users
                .iter()
                .map(|one| Ok((UserKey::text(&one.user)?, self::email(one.email.as_deref())?)))
                .collect::<Result<Vec<_>, Error>>()?;
            Ok(self.0.decide_many(&users)?.into_iter().map(Decision::from).collect())
        })
    }

    /// The HTML that puts the decision, and HubSpot's loader, on a page.
    ///
    /// # Errors
    /// As `decide`.
    #[uniffi::method(default(nonce = None))]
    pub fn snippet(&self, user: &str, email: Option<String>, nonce: Option<String>) -> Result<String, VidcacheError> {
        edge(|| {
            let email = self::email(email.as_deref())?;
            self.0.snippet(UserKey::text(user)?, email.as_ref(), nonce.as_deref())
        })
    }

    /// The HTML for a page whose visitor the app does not know.
    ///
    /// # Errors
    /// `internal`.
    #[uniffi::method(default(nonce = None))]
    pub fn anonymous_snippet(&self, nonce: Option<String>) -> Result<String, VidcacheError> {
        edge(|| Ok(self.0.anonymous_page().render(nonce.as_deref())))
    }

    /// The HTML for the page after a sign-out: no identity, and HubSpot's tracker gives the browser a new usertoken.
    ///
    /// # Errors
    /// `internal`.
    #[uniffi::method(default(nonce = None))]
    pub fn signed_out_snippet(&self, nonce: Option<String>) -> Result<String, VidcacheError> {
        edge(|| Ok(self.0.signed_out_page().render(nonce.as_deref())))
    }

    /// What `snippet` puts on a page, as JSON for a page that the app makes itself: `at`, the time of this call (ms
    /// since 1970 UTC), `ttl`, how long after that the email may be named (ms), and, where the decision has them, `id`
    /// (`"vid:901"`) and `email`. It is for `show` of `page/vidcache.js`; a response with it must not be cached
    /// (`Cache-Control: private, no-store`).
    ///
    /// # Errors
    /// As `decide`.
    pub fn page_data(&self, user: &str, email: Option<String>) -> Result<String, VidcacheError> {
        edge(|| {
            let email = self::email(email.as_deref())?;
            Ok(self.0.page(UserKey::text(user)?, email.as_ref())?.data())
        })
    }

    /// The JSON for a visitor whom the app does not know.
    ///
    /// # Errors
    /// `internal`.
    pub fn anonymous_page_data(&self) -> Result<String, VidcacheError> {
        edge(|| Ok(self.0.anonymous_page().data()))
    }

    /// The JSON for a visitor who has just signed out: `at`, `ttl`, and `out`, which is true.
    ///
    /// # Errors
    /// `internal`.
    pub fn signed_out_page_data(&self) -> Result<String, VidcacheError> {
        edge(|| Ok(self.0.signed_out_page().data()))
    }
}
