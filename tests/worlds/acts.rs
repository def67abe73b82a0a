//! The steps that a world can take.

use vidcache::Vid;

use crate::hubspot::{EMAILS, Mail};
use crate::job::{Job, Phase, Work};
use crate::world::{User, World, key};

/// One step. Numbers are places in the world's lists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Act {
    Wait,
    /// An hour, in which no transaction is open.
    Hour,
    Begin(i64, Mail),
    Commit(i64),
    RollBack(i64),
    Die(i64),
    Render(i64),
    RenderStale(i64),
    RenderInside(i64),
    Run(usize),
    Click(usize),
    Start(usize),
    Send(usize),
    SayMissing(usize),
    Record(usize),
    Crash(usize),
    Again(usize),
    /// The queue hands the job to a second worker while the first is at it.
    Double(usize),
    LoseJob(usize),
    Reconcile,
    Deliver(usize),
    DeliverAndKeep(usize),
    LoseLetter(usize),
    ReadAll,
    Edit(usize, Mail),
    Form(Mail),
    Merge(usize, usize),
    Delete(usize),
    Restore(usize),
    Erase(usize),
    Annotate(usize),
    Leave(i64),
    SignUp(Mail),
    Share(i64, i64),
    LoseFile,
    /// Somebody copies the file, and puts the copy back later.
    CopyFile,
    PutCopyBack,
}

impl World {
    /// What may happen next. What is wanted more often is in it more often.
    pub(crate) fn choices(&self) -> Vec<Act> {
        let rules = &self.rules;
        let waiting = self.jobs.iter().any(|job| job.phase == Phase::Queued && job.due > self.now);
        let mut acts = vec![Act::Wait; if waiting { 5 } else { 1 }];
        acts.push(Act::Hour);
        for user in self.users.iter().filter(|user| user.exists) {
            let key = user.key;
            match user.open {
                None => acts.extend(
                    (0..EMAILS).filter(|mail| !self.taken(*mail, user.bit())).map(|mail| Act::Begin(key, mail)),
                ),
                Some(_) => {
                    acts.extend([Act::Commit(key), Act::Commit(key), Act::RollBack(key), Act::RenderInside(key)])
                }
            }
            acts.extend([Act::Render(key); 3]);
            if rules.stale_pages && user.before != user.email {
                acts.push(Act::RenderStale(key));
            }
            if rules.crashes && user.open.is_some() {
                acts.push(Act::Die(key));
            }
            if rules.accounts && user.open.is_none() {
                acts.push(Act::Leave(key));
            }
            if rules.shares {
                let others = self.users.iter().filter(|other| other.exists && other.key != key);
                acts.extend(others.map(|other| Act::Share(key, other.key)));
            }
        }
        let exist = self.users.iter().filter(|user| user.exists).count();
        if rules.accounts && exist < 3 && self.next_person < 31 {
            acts.extend((0..EMAILS).filter(|mail| !self.taken(*mail, 0)).map(Act::SignUp));
        }
        for page in 0..self.pages.len() {
            acts.extend([Act::Run(page), Act::Click(page)]);
        }
        for (at, job) in self.jobs.iter().enumerate() {
            if rules.twice && job.under_way() && self.jobs.len() < 12 {
                acts.push(Act::Double(at));
            }
            match &job.phase {
                Phase::Queued if job.due <= self.now => {
                    acts.extend([Act::Start(at); 3]);
                    if rules.crashes {
                        acts.push(Act::LoseJob(at));
                    }
                }
                Phase::Queued => {}
                Phase::Asking(_) => {
                    acts.extend([Act::Send(at); 4]);
                    if rules.false_missing && !job.misled {
                        acts.push(Act::SayMissing(at));
                    }
                }
                Phase::Answered(..) => {
                    acts.extend([Act::Record(at); 4]);
                    if rules.crashes {
                        acts.push(Act::Crash(at));
                    }
                }
                Phase::Done if rules.twice => acts.push(Act::Again(at)),
                Phase::Done => {}
            }
        }
        for letter in 0..self.hubspot.post.len() {
            acts.extend([Act::Deliver(letter); 2]);
            if rules.twice {
                acts.push(Act::DeliverAndKeep(letter));
            }
            if rules.lose_webhooks {
                acts.push(Act::LoseLetter(letter));
            }
        }
        acts.push(Act::Reconcile);
        if rules.batch_reads {
            acts.push(Act::ReadAll);
        }
        if rules.lose_file {
            acts.push(Act::LoseFile);
        }
        if rules.old_copies {
            acts.extend([Act::CopyFile, Act::PutCopyBack]);
        }
        let live = self.hubspot.live().len();
        for contact in 0..live {
            if rules.edits {
                acts.extend((0..EMAILS).map(|mail| Act::Edit(contact, mail)));
            }
            if rules.deletions {
                acts.push(Act::Delete(contact));
            }
            if rules.erasures {
                acts.push(Act::Erase(contact));
            }
            if rules.merges {
                acts.extend((0..live).filter(|other| *other != contact).map(|other| Act::Merge(contact, other)));
            }
            if rules.edits || rules.merges || rules.deletions {
                acts.push(Act::Annotate(contact));
            }
        }
        if rules.forms {
            acts.extend((0..EMAILS).filter(|mail| self.hubspot.holder(*mail).is_none()).map(Act::Form));
        }
        acts.extend((0..self.hubspot.deleted().len()).map(Act::Restore));
        acts
    }

    /// Takes a step. False: there was nothing to do it with.
    pub(crate) fn act(&mut self, act: Act) -> bool {
        let done = self.take(act).is_some();
        if done {
            self.note(|| format!("{act:?}"));
            self.pass(1);
        }
        done
    }

    fn take(&mut self, act: Act) -> Option<()> {
        let live = self.hubspot.live();
        let now = self.now;
        match act {
            Act::Wait => self.pass(5000),
            Act::Hour if self.users.iter().any(|user| user.exists && user.open.is_some()) => return None,
            Act::Hour => self.pass(3_600_000),
            Act::Begin(user, mail) => {
                let row = self.user(user)?;
                if row.open.is_some() || self.taken(mail, row.bit()) {
                    return None;
                }
                let token = self.begin(user);
                self.user_mut(user)?.open = Some((token, mail));
                if !self.ways.count_all {
                    for (_, old, _) in
                        self.outstanding().into_iter().filter(|(key, old, _)| *key == user && *old != token)
                    {
                        self.abandon(user, old);
                    }
                }
            }
            Act::Commit(user) => {
                let (token, mail) = self.user_mut(user)?.open.take()?;
                let known = self.vid(user).is_some() || self.is_new(self.user(user)?);
                let row = self.user_mut(user)?;
                (row.before, row.email, row.owed) = (row.email, mail, true);
                row.had.push(mail);
                let before = row.before;
                let wait = if self.ways.wait { self.begun[&token] + self.quiet } else { now };
                let mut job = Job::new(user, Work::Tell(Some(token)), now, now.max(wait), mail);
                job.before.push(before);
                // After a file was lost, whom it knew is found or is not there.
                job.may_create = !self.ways.create_for_known || known;
                self.jobs.push(job);
            }
            Act::RollBack(user) => {
                let (token, _) = self.user_mut(user)?.open.take()?;
                self.abandon(user, token);
            }
            Act::Die(user) => {
                let row = self.user_mut(user)?;
                row.open.take()?;
                row.untraced = true;
            }
            Act::Render(user) => {
                let mail = self.user(user)?.email;
                self.render(user, mail);
            }
            Act::RenderStale(user) => {
                let mail = self.user(user)?.before;
                self.render(user, mail);
            }
            Act::RenderInside(user) => {
                let (_, mail) = self.user(user)?.open?;
                self.render(user, mail);
            }
            Act::Run(page) => {
                self.pages.get(page)?;
                let page = self.pages.remove(page);
                self.request(&page);
            }
            Act::Click(page) => {
                let page = self.pages.get(page)?.clone();
                self.request(&page);
            }
            Act::Start(job) => return self.start(job),
            Act::Send(job) => return self.send(job, false),
            Act::SayMissing(job) => return self.send(job, true),
            Act::Record(job) => return self.hear(job),
            Act::Crash(job) => {
                let job = self.jobs.get_mut(job).filter(|job| matches!(job.phase, Phase::Answered(..)))?;
                job.again(now + 3000);
            }
            Act::Again(job) => {
                let job = self.jobs.get_mut(job).filter(|job| job.phase == Phase::Done)?;
                job.again(now);
            }
            Act::Double(job) => {
                let mut second = self.jobs.get(job).filter(|job| job.under_way())?.clone();
                second.again(now);
                self.jobs.push(second);
            }
            Act::LoseJob(job) => {
                let job = self.jobs.get_mut(job).filter(|job| job.phase == Phase::Queued)?;
                job.phase = Phase::Done;
                let (user, work) = (job.user, job.work);
                if let Work::Tell(Some(change)) = work {
                    let kept = self.outstanding().iter().any(|(_, token, _)| *token == change);
                    let row = self.user_mut(user)?;
                    row.untraced = true;
                    // Nobody else knows of the change.
                    row.owed &= kept;
                }
            }
            Act::Reconcile => self.reconcile(false),
            Act::Deliver(letter) | Act::DeliverAndKeep(letter) => {
                let given = self.hubspot.post.get(letter)?.clone();
                if act == Act::Deliver(letter) {
                    self.hubspot.post.remove(letter);
                }
                if given.webhook {
                    self.hear_of(&given.body);
                } else {
                    self.cache.observe(&given.body).expect("a batch");
                }
                self.heard.extend(&given.deeds);
                if given.doubt && self.ways.read_again {
                    self.read_doubtful();
                }
            }
            Act::LoseLetter(letter) => {
                self.hubspot.post.get(letter)?;
                self.hubspot.post.remove(letter);
            }
            Act::ReadAll if live.is_empty() => return None,
            Act::ReadAll => self.hubspot.read_all(),
            Act::Edit(contact, mail) => {
                let vid = *live.get(contact)?;
                self.overrule(vid);
                return self.hubspot.edit(now, vid, mail).then_some(());
            }
            Act::Form(mail) => {
                let theirs = |user: &&User| user.exists && user.email == mail;
                let people = self.users.iter().filter(theirs).map(User::bit).sum();
                return self.hubspot.fill_form(now, mail, people).then_some(());
            }
            Act::Merge(primary, other) => {
                let (primary, other) = (*live.get(primary)?, *live.get(other)?);
                if primary == other {
                    return None;
                }
                self.overrule(primary);
                self.overrule(other);
                self.hubspot.merge(now, primary, other);
            }
            Act::Delete(contact) => self.hubspot.delete(now, *live.get(contact)?),
            Act::Restore(contact) => {
                let vid = *self.hubspot.deleted().get(contact)?;
                self.hubspot.restore(now, vid);
            }
            Act::Erase(contact) => self.hubspot.erase(now, *live.get(contact)?),
            Act::Annotate(contact) => self.hubspot.annotate(now, *live.get(contact)?),
            Act::Leave(user) => {
                let row = self.user_mut(user).filter(|row| row.open.is_none())?;
                row.exists = false;
                // Whoever deletes the account is signed out.
                let person = row.person;
                self.pages.retain(|page| page.person != person);
                if self.ways.forget {
                    self.forget(user);
                }
            }
            Act::SignUp(mail) => {
                if self.taken(mail, 0) {
                    return None;
                }
                let gone = self.users.iter().find(|user| !user.exists && self.rules.keys_again);
                let user = gone.map(|user| user.key);
                if let Some(user) = user
                    && self.ways.forget
                {
                    self.forget(user);
                }
                let user = self.add_user(mail, user).key;
                let mut job = Job::new(user, Work::Tell(None), now, now, mail);
                job.may_create = true;
                self.jobs.push(job);
            }
            Act::Share(user, other) => {
                let vid = self.vid(other)?;
                if self.vid(user) == Some(vid) {
                    return None;
                }
                self.cache.link_shared(key(user), Vid::try_from(vid).ok()?).expect("shared");
                let row = self.user_mut(user)?;
                row.owed = false;
                let bit = row.bit();
                self.erased &= !bit;
                self.hubspot.belongs(vid, bit);
            }
            Act::CopyFile => self.copy_file(),
            Act::PutCopyBack => {
                self.put_copy_back()?;
                self.forget_untold();
            }
            Act::LoseFile => {
                self.lose_file();
                self.forget_untold();
            }
        }
        Some(())
    }

    /// Somebody inside HubSpot decides what the contact of these people holds.
    fn overrule(&mut self, vid: i64) {
        let people = self.hubspot.contacts[&vid].people;
        self.users.iter_mut().filter(|user| people & user.bit() != 0).for_each(|user| user.owed = false);
    }
}
