//! Whom a reading job is to read: nobody stays unnamed because nobody asked.

use std::time::Duration;

use super::{Vidcache, now};
use crate::error::Result;
use crate::event::{Event, Millis};
use crate::identity::UserKey;
use crate::rows::{self, Conflict, UserToRead, Which};

impl Vidcache {
    /// Linked users whose contacts a job is to read from HubSpot, the longest unread first, at most `limit`; those that
    /// come after `after`, the last of a list before. A user whose contact is shared stands for the others.
    ///
    /// With `confirmed` false, those whose pages give the id alone since HubSpot has not said which email it holds for
    /// the contact now: after an import without emails, a merge, a deletion, a restoration, a 404. Left out is who was read
    /// within `older_than`, so that what HubSpot has no email for is not asked for without end; whoever has become
    /// doubtful since is in it at once. With true, those whose contact was last read, or its email last confirmed, more
    /// than `older_than` ago: somebody may have changed it at HubSpot, and its webhook may have been lost.
    ///
    /// Read them by [`Vidcache::observe_read`]: a read tells HubSpot nothing, so it needs no quiet period. Finding nobody
    /// takes microseconds, however many users there are.
    ///
    /// # Errors
    /// As [`Vidcache::resolve`].
    pub fn users_to_read(
        &self,
        confirmed: bool,
        older_than: Duration,
        after: Option<&UserToRead>,
        limit: u32,
    ) -> Result<Vec<UserToRead>> {
        let age = Millis::try_from(older_than.as_millis()).unwrap_or(Millis::MAX);
        let before = now().saturating_sub(age);
        let which = if confirmed { Which::Confirmed } else { Which::Unconfirmed };
        let after = after.map(|user| (user.read_at, user.vid));
        self.store.read(|rows| rows::users_to_read(rows, which, before, after, limit))
    }

    /// Users whose email another contact holds, or whose contact is another user's, as [`Vidcache::record`] was told by
    /// [`Error::ContactConflict`] and [`Error::VidTaken`], in the order of their keys, those after `after`, at most `limit`.
    /// One is out of the list once HubSpot has merged the two, the user was forgotten, or [`Vidcache::end_conflict`].
    ///
    /// # Errors
    /// As [`Vidcache::resolve`].
    ///
    /// [`Error::ContactConflict`]: crate::Error::ContactConflict
    /// [`Error::VidTaken`]: crate::Error::VidTaken
    pub fn conflicts(&self, after: Option<UserKey<'_>>, limit: u32) -> Result<Vec<Conflict>> {
        self.store.read_at_once(|rows| rows::conflicts(rows, after, limit))
    }

    /// Says that the user's conflict is over: they are agreed, or somebody has decided.
    ///
    /// # Errors
    /// As [`Vidcache::begin_email_change`].
    pub fn end_conflict(&self, user: UserKey<'_>) -> Result<()> {
        self.store.write(|tx| rows::apply(tx, &Event::ConflictEnded { user, at: now() })).map(drop)
    }
}
