//! Whom a reading job is to read.

use std::time::Duration;

use vidcache::Vid;

use crate::cache::Vidcache;
use crate::edge::edge;
use crate::error::VidcacheError;

/// A linked user whose contact is to be read.
#[derive(Debug, uniffi::Record)]
pub struct UserToRead {
    /// The user as text, an integer in decimal; of several who share the contact, one.
    pub user: String,
    /// The contact.
    pub vid: i64,
    /// When it was last read, or else when HubSpot last confirmed its email: milliseconds since 1970 UTC. 0: never.
    pub read_at_ms: i64,
}

impl From<vidcache::UserToRead> for UserToRead {
    fn from(one: vidcache::UserToRead) -> Self {
        Self { user: one.user, vid: one.vid.get(), read_at_ms: one.read_at }
    }
}

#[uniffi::export]
impl Vidcache {
    /// Linked users whose contacts a job is to read from HubSpot, the longest unread first, that come after `after`,
    /// the last of a list before. `confirmed` false: HubSpot has not said which email it holds for the contact now, but
    /// for those read within `older_than_ms` milliseconds who have not become doubtful since. True: last read or
    /// confirmed longer ago than that.
    ///
    /// # Errors
    /// As `resolve`.
    pub fn users_to_read(
        &self,
        confirmed: bool,
        older_than_ms: u64,
        after: Option<UserToRead>,
        limit: u32,
    ) -> Result<Vec<UserToRead>, VidcacheError> {
        edge(|| {
            let after = match after {
                Some(last) => Some(vidcache::UserToRead {
                    user: last.user,
                    vid: Vid::try_from(last.vid)?,
                    read_at: last.read_at_ms,
                }),
                None => None,
            };
            let age = Duration::from_millis(older_than_ms);
            let found = self.0.users_to_read(confirmed, age, after.as_ref(), limit)?;
            Ok(found.into_iter().map(UserToRead::from).collect())
        })
    }
}

/// Some of a list, and from where it goes on.
#[derive(Debug, uniffi::Record)]
pub struct UsersToReadPart {
    /// The users.
    pub users: Vec<UserToRead>,
    /// The `after` of the next part; none: that was the last. Fewer users than were asked for are not the end.
    pub next: Option<i64>,
}
