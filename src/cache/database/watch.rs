//! Answers in memory, for as long as they may be believed: docs/adr/0034.
//!
//! # Why it is right
//! A [`Looked`] stands beside the table: every entry has all that its snapshot sees. An answer is put in only if its
//! snapshot sees that, too; and the look moves on to an answer's snapshot only when everybody has left of whom that
//! answer says that something was written since. Whoever reads takes the look's time first and the entry after it, and
//! whoever writes takes entries out first and writes the time after it, so no entry is older than the time beside it.
//! The time is that of *before* the statement of the look was sent.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::look::Look;
use crate::database::head::{Head, Meta};
use crate::database::watch::{Looked, Place, Sight, Since};
use crate::decision::UserState;
use crate::error::Result;
use crate::event::Millis;
use crate::file::fork;
use crate::hot::Hot;
use crate::identity::UserKey;

/// What no time is.
const NEVER: Millis = i64::MIN;

/// Answers that are kept, and until when they may be.
pub(super) struct Watch {
    max_age: Duration,
    hot: Hot,
    /// When the look was begun that all of `hot` is as new as, by [`Look::since_boot`]; [`NEVER`]: nothing is believed.
    as_of: AtomicI64,
    /// For which of these times somebody is looking already.
    claimed: AtomicI64,
    kept: Mutex<Kept>,
    counts: Counts,
}

/// What the table is as new as.
#[derive(Default)]
struct Kept {
    /// Another number each time that everything was forgotten: an answer that was asked for before is not kept.
    life: u64,
    look: Option<Of>,
}

/// The look, and of which tables.
struct Of {
    looked: Looked,
    place: Place,
    meta: Meta,
}

#[derive(Default)]
struct Counts {
    hits: AtomicU64,
    looks: AtomicU64,
    forgotten: AtomicU64,
}

/// What a process has done that keeps answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchStats {
    /// Pages that were answered from memory.
    pub hits: u64,
    /// Answers by which memory was brought up to date.
    pub looks: u64,
    /// How often everything was forgotten, since it could not be shown that nothing was missed.
    pub forgotten: u64,
    /// Users in memory.
    pub entries: u64,
    /// Bytes that they and the room beside them take.
    pub bytes: u64,
}

/// What memory says of a user.
pub(super) enum Known {
    /// The user's state, as of so long ago.
    State(UserState, Duration),
    /// Nothing that may be believed, or somebody has to look, who is asked by this.
    Ask,
}

impl Watch {
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage): there is no memory, or no random numbers.
    pub(super) fn new(max_age: Duration, memory: usize) -> Result<Self> {
        Ok(Self {
            max_age,
            hot: Hot::new(memory)?,
            as_of: AtomicI64::new(NEVER),
            claimed: AtomicI64::new(NEVER),
            kept: Mutex::default(),
            counts: Counts::default(),
        })
    }

    /// What memory knows of the user, if that is new enough. In the second half of the time in which it is, one caller
    /// is to look, while others go on.
    pub(super) fn recall(&self, user: UserKey<'_>, now: Look) -> Known {
        // Before the entry is read: what is read is as new as this.
        let as_of = self.as_of.load(Ordering::Acquire);
        let Some(age) = self.age(as_of, now) else { return Known::Ask };
        if self.is_due(age) && self.claimed.swap(as_of, Ordering::Relaxed) != as_of {
            return Known::Ask;
        }
        self.hit(user).map_or(Known::Ask, |state| Known::State(state, age))
    }

    /// [`Watch::recall`] as long as nobody has to look, and how old it is.
    pub(super) fn recall_new(&self, user: UserKey<'_>, now: Look) -> Option<(UserState, Duration)> {
        let as_of = self.as_of.load(Ordering::Acquire);
        let age = self.age(as_of, now).filter(|age| !self.is_due(*age))?;
        Some((self.hit(user)?, age))
    }

    /// What memory has of the user, to be told.
    fn hit(&self, user: UserKey<'_>) -> Option<UserState> {
        let state = self.hot.state(&user)?;
        self.counts.hits.fetch_add(1, Ordering::Relaxed);
        Some(state)
    }

    /// What memory knows of the user, whoever is to look, though it be older than it may be, and how old it is.
    pub(super) fn remember(&self, user: UserKey<'_>, now: Look) -> Option<(UserState, Duration)> {
        let age = now.since(self.as_of.load(Ordering::Acquire))?;
        Some((self.hot.state(&user)?, age))
    }

    /// For how long it has been so, if that is not for too long.
    fn age(&self, as_of: Millis, now: Look) -> Option<Duration> {
        now.since(as_of).filter(|age| *age <= self.max_age)
    }

    /// Whether an age is one at which somebody is to look.
    fn is_due(&self, age: Duration) -> bool {
        age * 2 >= self.max_age
    }

    /// Whether an age is one at which memory is believed.
    pub(super) fn is_believed(&self, age: Duration) -> bool {
        age <= self.max_age
    }

    /// What a statement is asked with, whose look was taken before.
    pub(super) fn since(&self, look: Look) -> Since {
        let age = self.age(self.as_of.load(Ordering::Acquire), look);
        let is_due = age.is_none_or(|age| self.is_due(age));
        let _gate = fork::enter_anyway();
        let kept = self.lock();
        Since { life: kept.life, look: kept.look.as_ref().filter(|_| is_due).map(|of| of.looked.clone()) }
    }

    /// Keeps a believed answer: the names that it tells, and the user's state, if it is whole. `look`: from before its
    /// statement was sent.
    pub(super) fn keep(&self, head: &Head, sight: &Sight, user: UserKey<'_>, state: Option<&UserState>, look: Look) {
        let Some(meta) = head.meta.as_ref().filter(|_| head.is_read_committed() && !sight.wrote) else { return };
        // A fork finds the table whole.
        let _gate = fork::enter_anyway();
        let mut kept = self.lock();
        // Before what was forgotten numbers meant something else.
        if sight.since.life != kept.life {
            return;
        }
        let follows = sight.since.look.as_ref().is_none_or(|since| sight.follows(since));
        let Some(of) = kept.look.as_mut().filter(|of| of.place == sight.place && of.meta == *meta && follows) else {
            self.forget_all(&mut kept);
            // It needs nothing that was before it.
            kept.look = Some(Of { looked: sight.looked(), place: sight.place.clone(), meta: meta.clone() });
            self.put(user, state);
            return self.looked_at(look);
        };
        if !sight.snapshot.covers(&of.looked.snapshot) {
            return;
        }
        // The same answer twice is a cache's, and no look.
        let looks = sight.since.look.is_some() && sight.clock > of.looked.clock;
        if looks {
            match &sight.touched {
                Some(users) => users.iter().for_each(|user| self.hot.remove(user.user())),
                None => self.hot.clear(),
            }
            of.looked = sight.looked();
        }
        self.put(user, state);
        if looks {
            self.looked_at(look);
        }
    }

    /// Forgets everything: for an answer of tables that are not believed.
    pub(super) fn forget(&self) {
        let _gate = fork::enter_anyway();
        self.forget_all(&mut self.lock());
    }

    pub(super) fn stats(&self) -> WatchStats {
        let (entries, bytes, _) = self.hot.size();
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let Counts { hits, looks, forgotten } = &self.counts;
        WatchStats {
            hits: count(hits),
            looks: count(looks),
            forgotten: count(forgotten),
            entries: entries as u64,
            bytes: bytes as u64,
        }
    }

    fn forget_all(&self, kept: &mut Kept) {
        self.as_of.store(NEVER, Ordering::Release);
        self.hot.clear();
        kept.life += 1;
        if kept.look.take().is_some() {
            self.counts.forgotten.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn put(&self, user: UserKey<'_>, state: Option<&UserState>) {
        if let Some(state) = state {
            self.hot.put(user, state);
        }
    }

    /// The last step of a look: from now on the table is as new as it.
    fn looked_at(&self, look: Look) {
        self.as_of.store(look.parts().1, Ordering::Release);
        self.counts.looks.fetch_add(1, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
