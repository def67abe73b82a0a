//! What a person or a standing job has to look at: conflicts, refusals, whose a contact is.

use vidcache::{Refusal, UserKey, Vid};

use crate::cache::Vidcache;
use crate::edge::edge;
use crate::error::VidcacheError;

/// A user whose contact is in question.
#[derive(Debug, uniffi::Record)]
pub struct Conflict {
    /// The user as text, an integer in decimal.
    pub user: String,
    /// Their contact, after merges; none where they are linked to none.
    pub vid: Option<i64>,
    /// The contact that holds their email, or that another user has, after merges; none where HubSpot did not name it.
    pub holder: Option<i64>,
    /// `email_held`: HubSpot holds the user's email for another contact; `vid_taken`: its answer named another user's.
    pub why: String,
    /// Since when this conflict stands: milliseconds since 1970 UTC, by the app's clock.
    pub since_ms: i64,
}

impl From<vidcache::Conflict> for Conflict {
    fn from(one: vidcache::Conflict) -> Self {
        let (vid, holder) = (one.vid.map(Vid::get), one.holder.map(Vid::get));
        Self { user: one.user, vid, holder, why: one.why.name().into(), since_ms: one.since }
    }
}

#[uniffi::export]
impl Vidcache {
    /// Users whose email another contact holds, or whose contact is another user's, in the order of their keys, those
    /// after the user `after`, at most `limit`.
    ///
    /// # Errors
    /// As `resolve`.
    pub fn conflicts(&self, after: Option<String>, limit: u32) -> Result<Vec<Conflict>, VidcacheError> {
        edge(|| {
            let after = after.as_deref().map(UserKey::text).transpose()?;
            Ok(self.0.conflicts(after, limit)?.into_iter().map(Conflict::from).collect())
        })
    }

    /// Says that the user's conflict is over.
    ///
    /// # Errors
    /// As `begin_email_change`.
    pub fn end_conflict(&self, user: &str) -> Result<(), VidcacheError> {
        edge(|| self.0.end_conflict(UserKey::text(user)?))
    }

    /// Why HubSpot refused the email of a user for good who has no contact, or that their contact was erased for
    /// privacy (`privacy_deletion`, `invalid_email`, `required_property`); none: no worker is kept from telling it.
    ///
    /// # Errors
    /// As `resolve`.
    pub fn refusal(&self, user: &str) -> Result<Option<String>, VidcacheError> {
        edge(|| Ok(self.0.refusal(UserKey::text(user)?)?.map(Refusal::name).map(str::to_owned)))
    }

    /// All users of a contact as text, by any of the ids that were merged into it.
    ///
    /// # Errors
    /// `invalid_vid`, and as `resolve`.
    pub fn users_of(&self, vid: i64) -> Result<Vec<String>, VidcacheError> {
        edge(|| self.0.users_of(Vid::try_from(vid)?))
    }

    /// Doubts all that HubSpot has said of every contact, after an old copy of the file was put back.
    ///
    /// # Errors
    /// As `begin_email_change`.
    pub fn doubt_all(&self) -> Result<(), VidcacheError> {
        edge(|| self.0.doubt_all())
    }
}
