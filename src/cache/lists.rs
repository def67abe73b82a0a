//! Whom a reading job is to read: nobody stays unnamed because nobody asked; and everybody, where nothing is to be
//! believed.

use std::time::Duration;

use super::words::CLOCKS_APART;
use super::{Vidcache, now};
use crate::error::Result;
use crate::event::{Event, Millis};
use crate::identity::{UserKey, Vid};
use crate::rows::learn::{self, Clock};
use crate::rows::{self, Conflict, StaleChange, UserToRead, Which};

/// How many contacts are doubted in one transaction, so that others need not wait: some 20 ms.
pub(super) const DOUBTED_AT_ONCE: u32 = 1000;

impl Vidcache {
    /// Linked users whose contacts a job is to read from HubSpot, the longest unread first, at most `limit`; those that
    /// come after `after`, the last of a list before. A user whose contact is shared stands for the others.
    ///
    /// With `confirmed` false, those whose pages give the id alone since HubSpot has not said which email it holds for
    /// the contact now: after an import without emails, a merge, a deletion, a restoration, a 404. Left out is who was
    /// read within `older_than`, so that what HubSpot has no email for is not asked for without end; whoever has become
    /// doubtful since is in it at once. With true, those whose contact was last read, or its email last confirmed, more
    /// than `older_than` ago: somebody may have changed it at HubSpot, and its webhook may have been lost.
    ///
    /// Read them by [`Vidcache::observe_read`]: a read tells HubSpot nothing, so it needs no quiet period. Finding
    /// nobody takes microseconds, however many users there are.
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

    /// The changes begun `older_than` ago or longer and still outstanding, oldest first, at most `limit`; after them
    /// those begun in the future, by a clock that has gone back since.
    /// Their users' pages give the id alone until an answer read now is recorded with the token.
    ///
    /// # Errors
    /// As [`Vidcache::resolve`].
    pub fn stale_changes(&self, older_than: Duration, limit: u32) -> Result<Vec<StaleChange>> {
        let age = Millis::try_from(older_than.as_millis()).unwrap_or(Millis::MAX);
        let at = now();
        self.store.read(|rows| rows::stale_changes(rows, at.saturating_sub(age), at + CLOCKS_APART, limit))
    }

    /// All users of a contact, by any of the ids that were merged into it, as text (an integer key in decimal).
    ///
    /// # Errors
    /// As [`Vidcache::resolve`].
    pub fn users_of(&self, vid: Vid) -> Result<Vec<String>> {
        self.store.read_at_once(|rows| rows::users_of_contact(rows, vid))
    }

    /// The users who are linked to a contact, as text (an integer key in decimal), with that contact, after merges: in
    /// the order of their keys, those after `after`, at most `limit`. Each list is as of one commit.
    ///
    /// # Errors
    /// As [`Vidcache::resolve`].
    pub fn linked_users(&self, after: Option<UserKey<'_>>, limit: u32) -> Result<Vec<(String, Vid)>> {
        self.store.read_at_once(|rows| rows::linked_users(rows, after, limit))
    }

    /// Doubts all that HubSpot has said of every contact. Once this has returned no page names an email, until HubSpot
    /// says something newer of the contact or it is read again ([`Vidcache::users_to_read`] lists all of them; a read
    /// counts that is begun 5 s later). Who has which contact stays. For an old copy of the file that was put back,
    /// which knows nothing of what has happened since: call it before anything renders pages. Some 20 s for a million
    /// contacts, in transactions of 1,000, with others' writes in between; after an error, call it again.
    ///
    /// # Errors
    /// As [`Vidcache::begin_email_change`].
    pub fn doubt_all(&self) -> Result<()> {
        let (heard, mut last) = (now(), 0);
        let clock = Clock::new(heard, None);
        while let Some(vid) =
            self.store.write_much(|tx| learn::doubt_some(tx, last, DOUBTED_AT_ONCE, clock, heard + CLOCKS_APART))?
        {
            last = vid;
        }
        Ok(())
    }

    /// Users whose email another contact holds, or whose contact is another user's, as [`Vidcache::record`] was told by
    /// [`Error::ContactConflict`] and [`Error::VidTaken`], in the order of their keys, those after `after`, at most
    /// `limit`. One is out of the list once HubSpot has merged the two, the user was forgotten, or
    /// [`Vidcache::end_conflict`].
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
