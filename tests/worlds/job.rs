//! The gem's job, decision by decision. Each call to HubSpot is a step of its own, so that
//! anything can happen before it is sent, while its answer is on the way, and before that is recorded.

use std::collections::BTreeSet;

use vidcache::{ChangeToken, Error, Refusal, Vid};

use crate::answer::{Answer, Said};
use crate::checks::Kind;
use crate::hubspot::Mail;
use crate::world::{User, World, key};

/// How often a job is tried.
const ATTEMPTS: u32 = 10;

/// Milliseconds for which a job keeps the user's other jobs out; no call of it reaches HubSpot later.
const LEASE: i64 = 40_000;

/// Milliseconds before the same is tried again.
const LATER: i64 = 3_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// HubSpot is told of the user's email: for a change, or of somebody new.
    Tell(Option<ChangeToken>),
    /// HubSpot is asked which email it holds.
    Read,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Patch(i64),
    Create,
    Read(i64),
    /// What HubSpot refused to change is read, and that ends the change.
    ReadToEnd(i64),
    Find(Mail),
}

#[derive(Clone, Debug)]
pub(crate) enum Phase {
    Queued,
    Asking(Call),
    Answered(Call, Answer),
    Done,
}

impl PartialEq for Phase {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) user: i64,
    pub(crate) work: Work,
    pub(crate) due: i64,
    pub(crate) phase: Phase,
    /// The user's emails before the changes that the job is for, and the one that somebody new signed up with.
    pub(crate) before: Vec<Mail>,
    pub(crate) may_create: bool,
    /// Whose job it is.
    bit: u32,
    /// Whether the library knew by then that the user's contact had been erased for privacy.
    erased: bool,
    /// What was known of deeds inside HubSpot when it began.
    heard: BTreeSet<usize>,
    enqueued_email: Mail,
    enqueued_at: i64,
    email: Mail,
    to_find: Vec<Mail>,
    tries: u32,
    /// When HubSpot first said that it has no such contact.
    missing_at: Option<i64>,
    /// When HubSpot first said that it has nobody with these emails.
    nobody_at: Option<i64>,
    /// Whether it was told so in error.
    pub(crate) misled: bool,
    asked_at: i64,
    leased_until: i64,
}

impl Job {
    pub(crate) fn new(user: i64, work: Work, now: i64, due: i64, email: Mail) -> Self {
        Self {
            user,
            work,
            due,
            phase: Phase::Queued,
            before: Vec::new(),
            may_create: matches!(work, Work::Tell(Some(_))),
            bit: 0,
            erased: false,
            heard: BTreeSet::new(),
            enqueued_email: email,
            enqueued_at: now,
            email,
            to_find: Vec::new(),
            tries: 0,
            missing_at: None,
            nobody_at: None,
            misled: false,
            asked_at: 0,
            leased_until: 0,
        }
    }

    pub(crate) fn again(&mut self, due: i64) {
        (self.phase, self.due) = (Phase::Queued, due);
    }

    pub(crate) fn change(&self) -> Option<ChangeToken> {
        match self.work {
            Work::Tell(change) => change,
            Work::Read => None,
        }
    }

    pub(crate) fn under_way(&self) -> bool {
        matches!(self.phase, Phase::Asking(_) | Phase::Answered(..))
    }
}

/// Why HubSpot was not told of a change that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Another contact holds the email.
    Conflict,
    /// HubSpot has nobody with the emails that the job knew.
    NobodyFound,
}

/// What a job does next.
#[derive(Debug)]
enum Next {
    Ask(Call),
    Later(i64),
    Done,
}

impl World {
    /// The job begins, or is put off.
    pub(crate) fn start(&mut self, at: usize) -> Option<()> {
        let now = self.now;
        let job = self.jobs.get(at).filter(|job| job.phase == Phase::Queued && job.due <= now)?.clone();
        let busy = |other: &Job| other.user == job.user && other.under_way() && other.leased_until > now;
        let next = if self.ways.lease && self.jobs.iter().any(busy) { Next::Later(LATER) } else { self.plan(at, &job) };
        self.jobs[at].leased_until = now + LEASE;
        self.go_on(at, next);
        Some(())
    }

    fn plan(&mut self, at: usize, job: &Job) -> Next {
        let Some(user) = self.user(job.user).cloned() else { return Next::Done };
        if self.ways.own_row && user.signed_up > job.enqueued_at {
            // The row that the job is about is gone, and another one has its key.
            return Next::Done;
        }
        if let Some(change) = job.change() {
            let since = self.cache.change_outstanding_since(key(job.user), change);
            let begun = |since| if self.ways.wait_for_sharers { since } else { self.begun[&change] };
            match since.map(|since| since.map(begun)) {
                Ok(Some(since)) if self.ways.wait && since + self.quiet > self.now => {
                    return Next::Later(since + self.quiet - self.now);
                }
                Ok(Some(_)) => {}
                // Where only the newest change counts, an older one's job goes on.
                Ok(None) if !self.ways.count_all => self.jobs[at].work = Work::Tell(None),
                Ok(None) => return Next::Done,
                Err(Error::UnknownChange) => return self.begin_anew(at),
                // The user was forgotten, or shared the contact with somebody whose change it is now.
                Err(Error::ForeignChange) => return Next::Done,
                Err(error) => panic!("{error}"),
            }
        }
        self.jobs[at].tries += 1;
        self.jobs[at].bit = user.bit();
        self.jobs[at].erased = self.erased & user.bit() != 0;
        self.jobs[at].heard = self.heard.clone();
        self.jobs[at].email = if self.rules.enqueued_email { job.enqueued_email } else { user.email };
        if self.vid(job.user).is_none()
            && let Some(vid) = user.column
        {
            match self.cache.link(key(job.user), Vid::try_from(vid).expect("a vid")) {
                Ok(()) | Err(Error::VidTaken { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let refusal = self.cache.refusal(key(job.user)).expect("an answer");
        if self.ways.heed_erasures && self.vid(job.user).is_none() && refusal == Some(Refusal::PrivacyDeletion) {
            if let Some(change) = self.jobs[at].change() {
                self.abandon(job.user, change);
            }
            return Next::Done;
        }
        match (self.vid(job.user), job.work) {
            (Some(_), Work::Tell(None)) if self.ways.count_all => Next::Done,
            (Some(vid), Work::Tell(_)) => Next::Ask(Call::Patch(vid)),
            (Some(vid), Work::Read) => Next::Ask(Call::Read(vid)),
            (None, _) if self.ways.look_before_create => self.look(at),
            (None, _) if job.may_create => Next::Ask(Call::Create),
            (None, _) => self.look(at),
        }
    }

    /// The change of the job is not in the file, which is another than it was.
    fn begin_anew(&mut self, at: usize) -> Next {
        if !self.ways.begin_anew {
            return Next::Done;
        }
        self.jobs[at].work = Work::Tell(Some(self.begin(self.jobs[at].user)));
        // What other changes of the person were on their way is not known any more, nor under which email HubSpot has
        // them.
        self.jobs[at].may_create &= !self.ways.create_for_known;
        Next::Later(self.quiet)
    }

    /// Looks the person up: by the emails that they had, and by the one that they have.
    fn look(&mut self, at: usize) -> Next {
        let job = &mut self.jobs[at];
        job.to_find = vec![job.email];
        if self.ways.look_before_create {
            job.to_find.extend(job.before.iter().copied().filter(|before| *before != job.email));
        }
        self.look_on(at)
    }

    fn look_on(&mut self, at: usize) -> Next {
        let job = &mut self.jobs[at];
        if let Some(email) = job.to_find.pop() {
            return Next::Ask(Call::Find(email));
        }
        if self.ways.doubt_missing && job.nobody_at.is_none_or(|since| since + LATER > self.now) {
            job.nobody_at = job.nobody_at.or(Some(self.now));
            return Next::Later(LATER);
        }
        let (user, change) = (job.user, job.change());
        let mut others = self.outstanding();
        others.retain(|(other, token, _)| *other == user && Some(*token) != change);
        // After the file was lost a sign-up's job makes a contact only with the email that they signed up with: it may
        // have made one before, and not have heard of it.
        let job = &self.jobs[at];
        let is_theirs = change.is_some()
            || job.email == job.enqueued_email
            || self.user(user).is_some_and(|user| self.is_new(user));
        let may_create = job.may_create && is_theirs && self.kept.get(&user) != Some(&Kept::NobodyFound);
        match (may_create, change) {
            (true, _) if others.is_empty() || !self.ways.look_before_create => return Next::Ask(Call::Create),
            (true, Some(change)) if self.ways.last_creates => {
                // Somebody whose other change is on its way may be known by an email that only that change's job has.
                // It is left to the last of them.
                self.abandon(user, change);
            }
            (true, Some(change)) => {
                let eldest = others.iter().all(|(_, _, begun)| *begun > self.begun[&change]);
                return if eldest { Next::Ask(Call::Create) } else { self.later(at) };
            }
            (false, Some(change)) => {
                // HubSpot has nobody to be told of, or has them under an email that nobody knows. That is kept: nobody
                // is made for them, and once they are linked HubSpot is told.
                self.kept.insert(user, Kept::NobodyFound);
                self.abandon(user, change);
            }
            _ => {}
        }
        Next::Done
    }

    fn later(&self, at: usize) -> Next {
        let tries = self.jobs[at].tries;
        if tries < ATTEMPTS { Next::Later((i64::from(tries).pow(4) + 2) * 1000) } else { Next::Done }
    }

    fn go_on(&mut self, at: usize, next: Next) {
        let now = self.now;
        let job = &mut self.jobs[at];
        match next {
            Next::Ask(call) => (job.phase, job.asked_at) = (Phase::Asking(call), now),
            Next::Later(time) => job.again(now + time),
            Next::Done => job.phase = Phase::Done,
        }
    }

    /// The job's call reaches HubSpot; or something on the way says that there is no such contact.
    pub(crate) fn send(&mut self, at: usize, missing: bool) -> Option<()> {
        let now = self.now;
        let job = self.jobs.get(at)?.clone();
        let Phase::Asking(call) = job.phase else { return None };
        if self.ways.lease && job.leased_until <= now {
            // Its deadline has passed: it was given up before.
            self.jobs[at].again(now + LATER);
            return Some(());
        }
        let bit = job.bit;
        let answer = match call {
            _ if missing => Answer::missing(),
            Call::Patch(vid) => {
                let answer = self.hubspot.patch(now, vid, job.email, &job.heard);
                if let Said::Contact { vid, .. } = answer.said
                    && self.hubspot.contacts[&vid].people & bit == 0
                {
                    self.fault(Kind::S3, "the job changed a stranger's contact");
                }
                answer
            }
            Call::Create => {
                let theirs = |vid: &i64| self.hubspot.contacts[vid].people & bit != 0;
                let other = self.hubspot.live().into_iter().find(theirs);
                let answer = self.hubspot.create(now, job.email, bit);
                if job.erased && matches!(answer.said, Said::Contact { .. }) {
                    self.fault(Kind::D, "the job made a contact for somebody whose contact had been erased");
                }
                if let (Some(other), Said::Contact { .. }) = (other, &answer.said) {
                    // Who is known by nothing but an email cannot be found where the contact was given another by
                    // hand, or was merged with another person's.
                    let other_contact = &self.hubspot.contacts[&other];
                    if other_contact.edited || other_contact.people.count_ones() > 1 {
                        self.excused += 1;
                    } else {
                        let deeds = self.hubspot.contacts[&other].deeds.clone();
                        let heard = self.heard.clone();
                        self.blame(Kind::D, "the job made a second contact", &deeds, &heard);
                    }
                }
                answer
            }
            Call::Read(vid) | Call::ReadToEnd(vid) => self.hubspot.get(vid),
            Call::Find(email) => self.hubspot.find(email),
        };
        self.note(|| format!("    user {} {:?} {call:?} e{}: {:?}", job.user, job.work, job.email, answer.said));
        self.jobs[at].misled |= missing;
        self.jobs[at].phase = Phase::Answered(call, answer);
        Some(())
    }

    /// The job takes HubSpot's answer in.
    pub(crate) fn hear(&mut self, at: usize) -> Option<()> {
        let Phase::Answered(call, answer) = self.jobs.get(at)?.phase.clone() else { return None };
        // The row may have gone while HubSpot was asked, and another one may have its key.
        let theirs = |row: &User| !self.ways.own_row || row.signed_up <= self.jobs[at].enqueued_at;
        let there = self.user(self.jobs[at].user).is_some_and(theirs) || !self.ways.own_row;
        let next = if there { self.answered(at, call, &answer) } else { Next::Done };
        let user = self.jobs[at].user;
        self.note(|| format!("    user {user} heard {call:?}, then {next:?}"));
        self.go_on(at, next);
        Some(())
    }

    fn answered(&mut self, at: usize, call: Call, answer: &Answer) -> Next {
        let job = self.jobs[at].clone();
        if let Said::Conflict(holder) = answer.said {
            // The library reads it out of what HubSpot says.
            let heard = self.record(job.user, answer, job.asked_at, job.change());
            let holds = |vid: Option<Vid>| vid.map(Vid::get) == Some(holder);
            assert!(matches!(heard, Err(Error::ContactConflict { vid }) if holds(vid)), "{heard:?}");
        }
        match (call, &answer.said) {
            (Call::Patch(_) | Call::Create, Said::Contact { vid, email, .. }) => {
                self.told(job.user, *email);
                match (self.close(at, &job, answer), call) {
                    // Another user has the id that lives. If the two contacts were merged, a read of the user's own
                    // tells.
                    (Err(_), Call::Patch(asked)) if asked != *vid => Next::Ask(Call::ReadToEnd(asked)),
                    (Err(_), _) => Next::Done,
                    (Ok(next), _) => next,
                }
            }
            (Call::ReadToEnd(_), Said::Contact { .. }) => {
                if self.ways.keep_conflicts {
                    self.kept.insert(job.user, Kept::Conflict);
                }
                self.close(at, &job, answer).unwrap_or(Next::Done)
            }
            (Call::Read(_), Said::Contact { vid, .. }) => {
                match (self.record(job.user, answer, job.asked_at, None), job.work) {
                    (Ok(_), Work::Tell(_)) => Next::Ask(Call::Patch(*vid)),
                    (Ok(_) | Err(Error::VidTaken { .. }), _) => Next::Done,
                    (Err(error), _) => panic!("{error}"),
                }
            }
            (Call::Find(_), Said::Contact { .. }) => self.found(at, &job, call, answer),
            (Call::Find(_), _) => self.look_on(at),
            (Call::Patch(vid) | Call::Read(vid), Said::Missing) => self.missing(at, &job, call, answer, vid),
            (Call::Patch(vid), Said::Conflict(_)) => {
                let again = self.ways.keep_conflicts && job.tries < ATTEMPTS;
                if again { self.later(at) } else { Next::Ask(Call::ReadToEnd(vid)) }
            }
            (Call::Create, Said::Conflict(_)) => Next::Ask(Call::Find(job.email)),
            (_, Said::Blocked) => self.refused(at, &job, answer),
            _ => self.later(at),
        }
    }

    /// Records an answer that ends the change, unless another user has the contact.
    fn close(&mut self, at: usize, job: &Job, answer: &Answer) -> Result<Next, Error> {
        match self.record(job.user, answer, job.asked_at, job.change()) {
            Ok(_) | Err(Error::ForeignChange) => Ok(Next::Done),
            Err(Error::UnknownChange) => Ok(self.begin_anew(at)),
            Err(taken @ Error::VidTaken { .. }) => Err(taken),
            Err(error) => panic!("{error}"),
        }
    }

    /// HubSpot has the email; nobody has to tell it any more.
    fn told(&mut self, user: i64, email: Option<Mail>) {
        if let Some(user) = self.user_mut(user)
            && Some(user.email) == email
        {
            user.owed = false;
            let key = user.key;
            self.kept.remove(&key);
        }
    }

    fn found(&mut self, at: usize, job: &Job, call: Call, answer: &Answer) -> Next {
        let Said::Contact { vid, email, .. } = answer.said else { return Next::Done };
        match self.record(job.user, answer, job.asked_at, None) {
            Ok(_) => {}
            // Another user is that contact, by the present email. HubSpot may have to be told of that one's change
            // first.
            Err(Error::VidTaken { .. }) if call == Call::Find(job.email) => {
                // With the last try that ends the change.
                if let Some(change) = job.change().filter(|_| job.tries >= ATTEMPTS) {
                    self.abandon(job.user, change);
                }
                return self.later(at);
            }
            Err(Error::VidTaken { .. }) => return self.look_on(at),
            Err(error) => panic!("{error}"),
        }
        // Whoever has had the email is the person.
        if let (Call::Find(email), Some(row)) = (call, self.user(job.user))
            && row.had.contains(&email)
        {
            let bit = row.bit();
            self.hubspot.belongs(vid, bit);
        }
        self.told(job.user, email);
        match job.work {
            Work::Tell(_) if email != Some(job.email) => Next::Ask(Call::Patch(vid)),
            Work::Tell(_) => self.close(at, job, answer).unwrap_or(Next::Done),
            Work::Read => Next::Done,
        }
    }

    /// HubSpot says that it has no such contact. From then on pages are careful.
    fn missing(&mut self, at: usize, job: &Job, call: Call, answer: &Answer, vid: i64) -> Next {
        match self.record(job.user, answer, job.asked_at, None) {
            Ok(_) | Err(Error::ContactMissing) => {}
            Err(error) => panic!("{error}"),
        }
        if !self.ways.doubt_missing {
            return if matches!(call, Call::Patch(_)) { Next::Ask(Call::Create) } else { Next::Done };
        }
        match job.missing_at {
            Some(since) if self.now - since >= LATER => match call {
                Call::Patch(_) => Next::Ask(Call::Read(vid)),
                _ => self.look(at),
            },
            Some(_) => Next::Later(LATER),
            None => {
                self.jobs[at].missing_at = Some(self.now);
                Next::Later(LATER)
            }
        }
    }

    /// HubSpot will never take the email, which ends the change.
    fn refused(&mut self, at: usize, job: &Job, answer: &Answer) -> Next {
        if let Some(user) = self.user_mut(job.user) {
            user.owed = false;
        }
        match self.record(job.user, answer, job.asked_at, job.change()) {
            Err(Error::Refused { .. }) => Next::Done,
            Err(Error::UnknownChange) => self.begin_anew(at),
            Err(Error::ForeignChange) => Next::Done,
            other => panic!("{other:?}"),
        }
    }
}
