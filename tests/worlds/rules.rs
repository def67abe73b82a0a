//! What can happen in a world, and how the app goes about it.

use crate::hubspot::Nature;

/// How the users of a world came to be linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Their jobs recorded what HubSpot answered.
    Recorded,
    /// The app had a column of contact ids.
    Column,
    /// HubSpot knows them, and the app has no ids: the backfill asks.
    Unlinked,
}

/// What can happen in a world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) users: usize,
    pub(crate) start: Start,
    pub(crate) nature: Nature,
    /// Jobs die between HubSpot's answer and its record, or are lost; the app dies between a beginning and its commit.
    pub(crate) crashes: bool,
    /// Jobs and webhooks come twice.
    pub(crate) twice: bool,
    /// A job tells the email that it was enqueued with, and not the one that the user has when it runs.
    pub(crate) enqueued_email: bool,
    /// A page has its email from a replica that is behind.
    pub(crate) stale_pages: bool,
    pub(crate) batch_reads: bool,
    pub(crate) accounts: bool,
    /// A new row may have a key that another row had.
    pub(crate) keys_again: bool,
    pub(crate) shares: bool,
    /// HubSpot says 404 where it has the contact.
    pub(crate) false_missing: bool,
    pub(crate) lose_file: bool,
    /// An old copy of the file is put back.
    pub(crate) old_copies: bool,
    pub(crate) lose_webhooks: bool,
    // By hand, inside HubSpot:
    pub(crate) edits: bool,
    pub(crate) merges: bool,
    pub(crate) deletions: bool,
    pub(crate) erasures: bool,
    pub(crate) forms: bool,
}

/// How the app goes about it: all true is what the gem does. Each false is a weaker variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ways {
    /// A person is looked up by the email before the change, and by the present one, before a contact is made.
    pub(crate) look_before_create: bool,
    /// A 404 is believed once it was said again later, and then the id is read and the person looked up.
    pub(crate) doubt_missing: bool,
    /// A row that is new, or gone, is forgotten.
    pub(crate) forget: bool,
    /// Of the jobs of several changes of a person whom HubSpot does not have, the last makes the contact; otherwise
    /// that of the first change.
    pub(crate) last_creates: bool,
    /// A contact is made only by a job that knows which email the person had before, in the file where the change
    /// began.
    pub(crate) create_for_known: bool,
    /// A job does nothing, and records nothing, if the user's row is gone or younger than the job: it was about
    /// another who had the key.
    pub(crate) own_row: bool,
    /// A job whose change is not in the file begins one of its own.
    pub(crate) begin_anew: bool,
    /// A conflict is tried again, and kept.
    pub(crate) keep_conflicts: bool,
    /// Somebody reads again.
    pub(crate) read_again: bool,
    /// Answers are ordered by HubSpot's time.
    pub(crate) order_answers: bool,
    /// Every change counts, not only the newest.
    pub(crate) count_all: bool,
    /// HubSpot is told a quiet period after the change began.
    pub(crate) wait: bool,
    /// And a quiet period after somebody else came to the contact.
    pub(crate) wait_for_sharers: bool,
    /// One job of a user at a time.
    pub(crate) lease: bool,
    /// Nobody is made whose contact was erased for privacy.
    pub(crate) heed_erasures: bool,
    /// Whoever puts an old copy of the file back has everything in it doubted before a page is rendered.
    pub(crate) doubt_copies: bool,
}

impl Ways {
    pub(crate) const OURS: Self = Self {
        look_before_create: true,
        doubt_missing: true,
        forget: true,
        last_creates: true,
        create_for_known: true,
        own_row: true,
        begin_anew: true,
        keep_conflicts: true,
        read_again: true,
        order_answers: true,
        count_all: true,
        wait: true,
        wait_for_sharers: true,
        lease: true,
        heed_erasures: true,
        doubt_copies: true,
    };
}
