//! The standing work: jobs that were lost get another one, and whoever has to be read is read.

use std::time::Duration;

use vidcache::Reason;

use crate::checks::Kind;
use crate::job::{Job, Phase, Work};
use crate::world::{User, World};

/// Milliseconds after which a change counts as one whose job was lost: no transaction of the app's lasts so long.
const HOUR: i64 = 3_600_000;

impl World {
    /// Runs a job to its end, or until it waits for long.
    pub(crate) fn finish(&mut self, at: usize) {
        for _ in 0..200 {
            match self.jobs[at].phase {
                Phase::Queued => {
                    let wait = (self.jobs[at].due - self.now).max(0);
                    if wait > HOUR / 10 {
                        return;
                    }
                    self.pass(wait + 1);
                    self.start(at);
                }
                Phase::Asking(_) => drop(self.send(at, false)),
                Phase::Answered(..) => drop(self.hear(at)),
                Phase::Done => return,
            }
        }
        self.fault(Kind::L, "a job never ends");
    }

    /// Whether the file has been there for as long as the user.
    pub(crate) fn is_new(&self, user: &User) -> bool {
        user.signed_up >= self.file_since
    }

    fn idle(&self, user: i64) -> bool {
        !self.jobs.iter().any(|job| job.user == user && job.phase != Phase::Done)
    }

    fn enqueue_read(&mut self, user: i64, may_create: bool) {
        let Some(email) = self.user(user).map(|user| user.email) else { return };
        let mut job = Job::new(user, Work::Read, self.now, self.now, email);
        job.may_create = may_create;
        self.jobs.push(job);
    }

    /// A job for every change whose own one was lost.
    pub(crate) fn retry(&mut self) {
        for (user, token, begun) in self.outstanding() {
            let Some(email) = self.user(user).map(|user| user.email) else { continue };
            let known = |job: &Job| job.change() == Some(token) && job.phase != Phase::Done;
            if begun + HOUR <= self.now && !self.jobs.iter().any(known) {
                let mut job = Job::new(user, Work::Tell(Some(token)), self.now, self.now, email);
                // Which email the person had before, nobody knows any more.
                job.may_create = !self.ways.create_for_known;
                self.jobs.push(job);
            }
        }
    }

    /// What a webhook cast doubt on is read.
    pub(crate) fn read_doubtful(&mut self) {
        for user in self.users.clone().iter().filter(|user| user.exists) {
            if self.idle(user.key) && self.reason(user) == Reason::EmailUnconfirmed {
                self.enqueue_read(user.key, false);
            }
        }
    }

    /// The standing work: reads whatever is unconfirmed, unlinked, in conflict or, now and then, old.
    pub(crate) fn reconcile(&mut self, old_too: bool) {
        self.retry();
        if !self.ways.read_again {
            return;
        }
        let outstanding: Vec<_> = self.outstanding().into_iter().map(|(user, ..)| user).collect();
        for user in self.users.clone().iter().filter(|user| user.exists && self.idle(user.key)).collect::<Vec<_>>() {
            let changing = outstanding.contains(&user.key);
            match self.reason(user) {
                // The change's own job looks for them.
                Reason::NotLinked if changing => {}
                Reason::NotLinked => {
                    let new = self.is_new(user) || !self.ways.create_for_known;
                    self.enqueue_read(user.key, new);
                }
                Reason::EmailDiffers if self.kept.contains_key(&user.key) && !changing => {
                    self.kept.remove(&user.key);
                    let token = self.begin(user.key);
                    let due = self.now + self.quiet;
                    self.jobs.push(Job::new(user.key, Work::Tell(Some(token)), self.now, due, user.email));
                }
                _ => {}
            }
        }
        // Whom the library lists.
        let mut listed = self.cache.users_to_read(false, Duration::ZERO, None, 1000).expect("a list");
        if old_too {
            let week = Duration::from_secs(7 * 24 * 3600);
            listed.extend(self.cache.users_to_read(true, week, None, 1000).expect("a list"));
        }
        // Who shares a contact has to be looked up by an email of their own, should it be gone.
        let is_listed = |user: &&User| listed.iter().any(|listed| Some(listed.vid.get()) == self.vid(user.key));
        let keys: Vec<_> =
            self.users.iter().filter(|user| user.exists).filter(is_listed).map(|user| user.key).collect();
        for user in keys {
            if self.idle(user) {
                self.enqueue_read(user, false);
            }
        }
    }
}
