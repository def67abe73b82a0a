//! One world: users of an app, the real library on a real file, the app's jobs and pages, and HubSpot. It is moved a
//! step at a time; `walk` chooses the steps.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use vidcache::{ChangeToken, Email, Error, Imported, Options, Reason, Synchronous, UserKey, Vid, Vidcache};

use crate::checks::{Fault, Kind};
use crate::clock;
use crate::hubspot::{Answer, EMAILS, Hubspot, Mail, Nature, text};
use crate::job::{Job, Kept, Phase, Work};
use crate::page::Page;

/// 2026-01-01, in milliseconds.
const BEGINNING: i64 = 1_767_225_600_000;

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
    };
}

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) key: i64,
    pub(crate) person: u32,
    pub(crate) email: Mail,
    /// All emails that the person has had.
    pub(crate) had: Vec<Mail>,
    /// The email before the last change.
    before: Mail,
    /// A change that has begun and whose transaction has not ended.
    open: Option<(ChangeToken, Mail)>,
    pub(crate) exists: bool,
    /// The contact id in the app's own column, where it has one.
    pub(crate) column: Option<i64>,
    pub(crate) signed_up: i64,
    /// A committed change of the app's that HubSpot has to be told of, and that nobody has overruled inside HubSpot.
    pub(crate) owed: bool,
    /// A change whose job was lost, and with it the email that the person had before.
    pub(crate) untraced: bool,
}

impl User {
    pub(crate) fn bit(&self) -> u32 {
        1 << self.person
    }
}

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
}

pub(crate) struct World {
    pub(crate) rules: Rules,
    pub(crate) ways: Ways,
    pub(crate) cache: Vidcache,
    path: PathBuf,
    _dir: TempDir,
    files: u32,
    pub(crate) file_since: i64,
    pub(crate) now: i64,
    pub(crate) quiet: i64,
    pub(crate) hubspot: Hubspot,
    /// Which deeds the library has heard of.
    pub(crate) heard: BTreeSet<usize>,
    pub(crate) users: Vec<User>,
    pub(crate) begun: HashMap<ChangeToken, i64>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) pages: Vec<Page>,
    /// Users of whose change HubSpot was not told, though it has ended.
    pub(crate) kept: BTreeMap<i64, Kept>,
    /// External ids that HubSpot bound to somebody else's contact, with the deeds that it was due to.
    pub(crate) misled: BTreeMap<i64, Vec<usize>>,
    pub(crate) faults: Vec<Fault>,
    /// What was excused, by its cause: a deed inside HubSpot that nobody had told the library of.
    pub(crate) excused: u32,
    /// What jobs did, where somebody wants to read it.
    pub(crate) diary: Option<Vec<String>>,
    next_key: i64,
    next_person: u32,
}

pub(crate) fn key(user: i64) -> UserKey<'static> {
    UserKey::from(user)
}

pub(crate) fn email(mail: Mail) -> Email {
    Email::parse(&text(mail)).expect("an email")
}

fn open(path: &PathBuf) -> Vidcache {
    let options = Options {
        secret: Some(b"thirty-two bytes kept out of it."),
        synchronous: Synchronous::Normal,
        memory: 1 << 20,
        ..Options::default()
    };
    Vidcache::open(path, 1, &options).expect("the file opens")
}

/// In memory where the machine has such a place: a walk syncs some hundred times.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder")
}

impl World {
    pub(crate) fn new(rules: Rules, ways: Ways) -> Self {
        clock::set(BEGINNING);
        let dir = folder();
        let path = dir.path().join("0.vidcache");
        let cache = open(&path);
        let quiet = cache.quiet_period().expect("a quiet period").as_millis() as i64;
        let mut world = Self {
            rules,
            ways,
            cache,
            path,
            _dir: dir,
            files: 0,
            file_since: BEGINNING,
            now: BEGINNING,
            quiet,
            hubspot: Hubspot::new(rules.nature),
            heard: BTreeSet::new(),
            users: Vec::new(),
            begun: HashMap::new(),
            jobs: Vec::new(),
            pages: Vec::new(),
            kept: BTreeMap::new(),
            misled: BTreeMap::new(),
            faults: Vec::new(),
            excused: 0,
            diary: None,
            next_key: 1,
            next_person: 0,
        };
        for mail in 0..rules.users as Mail {
            let user = world.add_user(mail, None);
            // They were users before there was a file.
            (user.signed_up, user.owed) = (0, false);
            let user = user.clone();
            let answer = world.hubspot.create(world.now, mail, user.bit());
            let vid = world.hubspot.holder(mail).expect("a contact");
            match rules.start {
                Start::Recorded => {
                    world.cache.record(key(user.key), &answer.body(None), None).expect("an answer");
                }
                Start::Column => {
                    let vid_in_app = Vid::try_from(vid).expect("a vid");
                    let row = Imported { user: key(user.key), vid: vid_in_app, email: None };
                    world.cache.import([Ok(row)]).expect("an import");
                    world.users.last_mut().expect("a user").column = Some(vid);
                }
                Start::Unlinked => {}
            }
            world.pass(1000);
        }
        world.hubspot.post.clear();
        world
    }

    fn add_user(&mut self, mail: Mail, again: Option<i64>) -> &mut User {
        let key = again.unwrap_or(self.next_key);
        self.next_key = self.next_key.max(key + 1);
        self.users.retain(|user| user.key != key);
        self.users.push(User {
            key,
            person: self.next_person,
            email: mail,
            had: vec![mail],
            before: mail,
            open: None,
            exists: true,
            column: None,
            signed_up: self.now,
            owed: true,
            untraced: false,
        });
        self.next_person += 1;
        self.users.last_mut().expect("the user")
    }

    pub(crate) fn pass(&mut self, time: i64) {
        self.now += time;
        clock::set(self.now);
    }

    pub(crate) fn user(&self, key: i64) -> Option<&User> {
        self.users.iter().find(|user| user.key == key && user.exists)
    }

    pub(crate) fn user_mut(&mut self, key: i64) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.key == key && user.exists)
    }

    /// The contact that the library has for the user.
    pub(crate) fn vid(&self, user: i64) -> Option<i64> {
        self.cache.resolve(key(user)).expect("an answer").map(|identity| identity.vid.get())
    }

    pub(crate) fn reason(&self, user: &User) -> Reason {
        self.cache.decide(key(user.key), Some(&email(user.email))).expect("a decision").reason()
    }

    pub(crate) fn fault(&mut self, kind: Kind, what: impl Into<String>) {
        self.faults.push(Fault { kind, what: what.into() });
    }

    /// A fault, unless it is due to one of these deeds and the library had not heard of it.
    pub(crate) fn blame(&mut self, kind: Kind, what: &str, deeds: &[usize], heard: &BTreeSet<usize>) {
        if deeds.iter().any(|deed| !heard.contains(deed)) {
            self.excused += 1;
        } else {
            self.fault(kind, what);
        }
    }

    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(diary) = &mut self.diary {
            diary.push(what());
        }
    }

    /// Records an answer about a user. What it says of deeds is heard then.
    pub(crate) fn record(
        &mut self,
        user: i64,
        answer: &Answer,
        asked: i64,
        change: Option<ChangeToken>,
    ) -> Result<i64, Error> {
        let _ = asked;
        let time = (!self.ways.order_answers).then_some(self.now);
        let recorded = self.cache.record(key(user), &answer.body(time), change);
        if matches!(recorded, Ok(_) | Err(Error::VidTaken { .. } | Error::ContactMissing | Error::Refused { .. })) {
            self.heard.extend(&answer.deeds);
        }
        if let Ok(recorded) = &recorded
            && let Some(row) = self.users.iter_mut().find(|row| row.key == user && row.exists)
            && row.column.is_some()
        {
            row.column = Some(recorded.vid.get());
        }
        recorded.map(|recorded| recorded.vid.get())
    }

    pub(crate) fn begin(&mut self, user: i64) -> ChangeToken {
        let token = self.cache.begin_email_change(key(user)).expect("a change begins");
        self.begun.insert(token, self.now);
        token
    }

    pub(crate) fn abandon(&self, user: i64, token: ChangeToken) {
        match self.cache.abandon_email_change(key(user), token) {
            Ok(()) | Err(Error::UnknownChange | Error::ForeignChange) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn forget(&mut self, user: i64) {
        self.cache.forget(key(user)).expect("forgotten");
        self.kept.remove(&user);
    }

    /// The changes that the file has outstanding, with their users.
    pub(crate) fn outstanding(&self) -> Vec<(i64, ChangeToken, i64)> {
        let all = self.cache.stale_changes(Duration::ZERO, 1000).expect("changes");
        all.into_iter().map(|change| (change.user.parse().expect("a key"), change.token, change.begun_at)).collect()
    }

    /// Whether the email is another user's; or, where links are made by email alone, whether HubSpot has it for one.
    fn taken(&self, mail: Mail, by: u32) -> bool {
        let has = |user: &User| user.email == mail || user.open.is_some_and(|(_, new)| new == mail);
        let by_email = self.rules.lose_file || self.rules.start == Start::Unlinked;
        let people = self.hubspot.holder(mail).filter(|_| by_email).map_or(0, |vid| self.hubspot.contacts[&vid].people);
        let theirs = |user: &User| user.bit() != by && people & user.bit() != 0;
        self.users.iter().any(|user| user.exists && (has(user) || theirs(user)))
    }

    fn render(&mut self, user: i64, mail: Mail) {
        let named = email(mail);
        let decision = self.cache.decide(key(user), Some(&named)).expect("a decision");
        let person = self.user(user).map_or(0, |user| user.person);
        let page = Page {
            person,
            email: decision.email().map(|_| mail),
            vid: self.vid(user),
            id: decision.id().map(Vid::get),
            at: self.now,
            heard: self.heard.clone(),
        };
        self.pages.push(page);
    }

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
                    self.cache.apply_webhook(&given.body).expect("a webhook");
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
                self.hubspot.belongs(vid, bit);
            }
            Act::LoseFile => {
                self.cache.close();
                self.files += 1;
                self.path.set_file_name(format!("{}.vidcache", self.files));
                self.cache = open(&self.path);
                self.file_since = now;
                self.heard.clear();
                self.kept.clear();
                // A change whose job was lost too is known to nobody.
                let waiting: Vec<_> =
                    self.jobs.iter().filter(|job| job.phase != Phase::Done).map(|job| job.user).collect();
                self.users.iter_mut().filter(|user| !waiting.contains(&user.key)).for_each(|user| user.owed = false);
            }
        }
        Some(())
    }

    /// Somebody inside HubSpot decides what the contact of these people holds.
    fn overrule(&mut self, vid: i64) {
        let people = self.hubspot.contacts[&vid].people;
        self.users.iter_mut().filter(|user| people & user.bit() != 0).for_each(|user| user.owed = false);
    }

    /// All that is under way ends well, and what has to be done now and then is done often enough.
    pub(crate) fn settle(&mut self) {
        self.pages.clear();
        for user in self.users.clone() {
            self.act(Act::Commit(user.key));
        }
        for round in 0..14 {
            self.pass(if round == 7 { 40 * 24 } else { 2 } * 3_600_000);
            while !self.hubspot.post.is_empty() {
                self.act(Act::Deliver(0));
            }
            if self.ways.read_again {
                self.reconcile(round % 7 == 0);
            } else {
                self.retry();
            }
            let mut job = 0;
            while job < self.jobs.len() {
                self.finish(job);
                job += 1;
            }
            self.jobs.retain(|job| job.phase != Phase::Done);
        }
    }
}
