//! Answers in memory, for as long as they may be believed: docs/adr/0034.
//!
//! # Why it is right
//! A [`Looked`] stands beside the table: every entry has all that its snapshot sees. An answer is put in only if its
//! snapshot sees that, too; and the look moves on to an answer's snapshot only when everybody has left whose answer is
//! made of facts at a user or contact of whom that one says that something was written since: of a user themselves and
//! the contact that they are, the table knows, of more the [`Components`] ([`Named`]). Whoever reads takes the look's
//! time first and the entry after it, and whoever writes takes entries out first and writes the time after it, so no
//! entry is older than the time beside it. The time is that of *before* the statement of the look was sent.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::components::Components;
use super::look::Look;
use crate::database::head::{Head, Meta};
use crate::database::named::Named;
use crate::database::watch::{Looked, Place, Sight, Since};
use crate::decision::UserState;
use crate::error::Result;
use crate::event::Millis;
use crate::file::fork;
use crate::hot::Hot;
use crate::identity::UserKey;

/// Of so many bytes of the table one is added for names.
const NAMES: usize = 4;

/// What no time is.
const NEVER: Millis = i64::MIN;

/// Answers that are kept, and until when they may be.
pub(super) struct Watch {
    max_age: Duration,
    hot: Hot,
    /// The most bytes of names.
    names: usize,
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
    /// Whose answers the table alone does not tell by a name.
    components: Components,
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

impl Counts {
    /// Threads count beside each other without a lock, so it may miss a few.
    fn hit(&self) {
        self.hits.store(self.hits.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

/// What a process has done that keeps answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchStats {
    /// Pages that were answered from memory. Of several threads' this may miss a few.
    pub hits: u64,
    /// Answers by which memory was brought up to date.
    pub looks: u64,
    /// How often everything was forgotten, since it could not be shown that nothing was missed.
    pub forgotten: u64,
    /// Users in memory.
    pub entries: u64,
    /// Bytes that they and the room beside them take, and names of users and contacts that hang together.
    pub bytes: u64,
}

/// What an answer tells of its user.
pub(super) struct Told<'a> {
    pub(super) user: UserKey<'a>,
    pub(super) state: &'a UserState,
    /// All that the facts of the answer are at.
    pub(super) named: Named,
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
            names: memory / NAMES,
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
        let found = self.age(as_of, now).and_then(|age| Some((self.hot.state(&user)?, age)));
        let Some((state, age)) = found else { return Known::Ask };
        if self.is_due(age) && self.claimed.swap(as_of, Ordering::Relaxed) != as_of {
            return Known::Ask;
        }
        self.counts.hit();
        Known::State(state, age)
    }

    /// [`Watch::recall`] as long as nobody has to look, and how old it is.
    pub(super) fn recall_new(&self, user: UserKey<'_>, now: Look) -> Option<(UserState, Duration)> {
        let as_of = self.as_of.load(Ordering::Acquire);
        let age = self.age(as_of, now).filter(|age| !self.is_due(*age))?;
        let state = self.hot.state(&user)?;
        self.counts.hit();
        Some((state, age))
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

    /// What a statement about the user is asked with, whose look was taken before: names are asked for where memory has
    /// the user, and was not brought up to date for so long that one is to look. A user whom it has not is asked for.
    pub(super) fn since(&self, user: UserKey<'_>, look: Look) -> Since {
        let age = self.age(self.as_of.load(Ordering::Acquire), look);
        let looks = age.is_none_or(|age| self.is_due(age)) && self.hot.state(&user).is_some();
        let _gate = fork::enter_anyway();
        let kept = self.lock();
        Since { life: kept.life, look: kept.look.as_ref().filter(|_| looks).map(|of| of.looked.clone()) }
    }

    /// Keeps a believed answer: the names that it tells, and of an answer about a user, if it is whole, their state.
    /// `look`: from before its statement was sent. Whether the table is as new as this answer now.
    pub(super) fn keep(&self, head: &Head, sight: &Sight, told: Option<Told<'_>>, look: Look) -> bool {
        let Some(meta) = head.meta.as_ref().filter(|_| head.is_read_committed() && !sight.wrote) else { return false };
        // A fork finds the table whole.
        let _gate = fork::enter_anyway();
        let mut kept = self.lock();
        // Before what was forgotten numbers meant something else.
        if sight.since.life != kept.life {
            return false;
        }
        let follows = sight.since.look.as_ref().is_none_or(|since| sight.follows(since));
        if !kept.look.as_ref().is_some_and(|of| of.place == sight.place && of.meta == *meta && follows) {
            self.forget_all(&mut kept);
            // It needs nothing that was before it.
            kept.look = Some(Of { looked: sight.looked(), place: sight.place.clone(), meta: meta.clone() });
            self.put(&mut kept, told);
            self.looked_at(look);
            return true;
        }
        let Kept { look: Some(of), components, .. } = &mut *kept else { return false };
        if !sight.snapshot.covers(&of.looked.snapshot) {
            return false;
        }
        // The same answer twice is a cache's, and no look.
        let looks = sight.since.look.is_some() && sight.clock > of.looked.clock;
        if looks {
            match &sight.touched {
                Some(named) => self.remove(components, named),
                None => self.clear(components),
            }
            of.looked = sight.looked();
        }
        self.put(&mut kept, told);
        if looks {
            self.looked_at(look);
        }
        looks
    }

    /// Forgets everything: for an answer of tables that are not believed.
    pub(super) fn forget(&self) {
        let _gate = fork::enter_anyway();
        self.forget_all(&mut self.lock());
    }

    pub(super) fn stats(&self) -> WatchStats {
        let (entries, bytes, _) = self.hot.size();
        let bytes = bytes + {
            let _gate = fork::enter_anyway();
            self.lock().components.bytes()
        };
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
        self.clear(&mut kept.components);
        kept.life += 1;
        if kept.look.take().is_some() {
            self.counts.forgotten.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn clear(&self, components: &mut Components) {
        self.hot.clear();
        *components = Components::default();
    }

    /// Takes out whose answers are made of facts at whom something was written of.
    fn remove(&self, components: &mut Components, named: &Named) {
        for user in named.users.iter().chain(&components.take(named)) {
            self.hot.remove(user.user());
        }
        self.hot.remove_contacts(&named.contacts);
    }

    fn put(&self, kept: &mut Kept, told: Option<Told<'_>>) {
        let Some(Told { user, state, named }) = told else { return };
        let known = [state.identity.map(|identity| identity.vid.get())];
        if named.users.len() > 1 || named.contacts.iter().any(|vid| known != [Some(*vid)]) {
            kept.components.put(&named);
            if kept.components.bytes() > self.names {
                for user in kept.components.take_all() {
                    self.hot.remove(user.user());
                }
                // Who was just asked for may have been put in before.
                return self.hot.remove(user);
            }
        }
        self.hot.put(user, state);
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
