//! One world: users of an app, the real library on a real file, the app's jobs and pages, and HubSpot. It is moved a
//! step at a time; `walk` chooses the steps.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use vidcache::{ChangeToken, Email, Error, Imported, Options, Reason, Synchronous, UserKey, Vid, Vidcache};

use crate::acts::Act;
use crate::answer::Answer;
use crate::checks::{Fault, Kind};
use crate::clock;
use crate::hubspot::{Hubspot, Mail, text};
use crate::job::{Job, Kept, Phase, Work};
use crate::page::Page;
use crate::rules::{Rules, Start, Ways};

/// 2026-01-01, in milliseconds.
const BEGINNING: i64 = 1_767_225_600_000;

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) key: i64,
    pub(crate) person: u32,
    pub(crate) email: Mail,
    /// All emails that the person has had.
    pub(crate) had: Vec<Mail>,
    /// The email before the last change.
    pub(crate) before: Mail,
    /// A change that has begun and whose transaction has not ended.
    pub(crate) open: Option<(ChangeToken, Mail)>,
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

pub(crate) struct World {
    pub(crate) rules: Rules,
    pub(crate) ways: Ways,
    pub(crate) cache: Vidcache,
    path: PathBuf,
    _dir: TempDir,
    files: u32,
    /// What was known when the file was copied.
    copied: Option<(BTreeSet<usize>, BTreeMap<i64, Kept>)>,
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
    /// People whose contact was erased for privacy while the library knew that it was theirs, a bit a person.
    pub(crate) erased: u32,
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
    pub(crate) next_person: u32,
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
            copied: None,
            file_since: BEGINNING,
            now: BEGINNING,
            quiet,
            hubspot: Hubspot::new(rules.nature),
            heard: BTreeSet::new(),
            users: Vec::new(),
            begun: HashMap::new(),
            jobs: Vec::new(),
            pages: Vec::new(),
            erased: 0,
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

    pub(crate) fn add_user(&mut self, mail: Mail, again: Option<i64>) -> &mut User {
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
        let time = (!self.ways.order_answers).then_some(self.now);
        let body = answer.body(time);
        let recorded = match self.ways.read_again {
            true => self.cache.record_read(key(user), &body, change, asked),
            false => self.cache.record(key(user), &body, change),
        };
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

    /// Takes a webhook in. Whoever has no contact afterwards was erased.
    pub(crate) fn hear_of(&mut self, body: &[u8]) {
        let known: Vec<_> = self.users.iter().filter(|user| self.vid(user.key).is_some()).cloned().collect();
        self.cache.apply_webhook(body).expect("a webhook");
        let gone = known.iter().filter(|user| self.vid(user.key).is_none());
        self.erased |= gone.fold(0, |people, user| people | user.bit());
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

    pub(crate) fn forget(&mut self, user: i64) {
        self.cache.forget(key(user)).expect("forgotten");
        self.kept.remove(&user);
    }

    /// The file is gone, and an empty one takes its place.
    pub(crate) fn lose_file(&mut self) {
        self.cache.close();
        self.files += 1;
        self.path.set_file_name(format!("{}.vidcache", self.files));
        self.cache = open(&self.path);
        self.file_since = self.now;
        self.heard.clear();
        self.erased = 0;
        self.kept.clear();
    }

    pub(crate) fn copy_file(&mut self) {
        self.cache.close();
        std::fs::copy(&self.path, self.path.with_extension("copy")).expect("a copy");
        self.cache = open(&self.path);
        self.copied = Some((self.heard.clone(), self.kept.clone()));
    }

    /// The file is as it was when it was copied.
    pub(crate) fn put_copy_back(&mut self) -> Option<()> {
        let (heard, kept) = self.copied.clone()?;
        let copy = self.path.with_extension("copy");
        self.cache.close();
        std::fs::copy(copy, &self.path).expect("a file");
        self.cache = open(&self.path);
        if self.ways.doubt_copies {
            self.cache.doubt_all().expect("doubted");
        }
        (self.heard, self.kept, self.erased) = (heard, kept, 0);
        Some(())
    }

    /// A change whose job was lost, and which the file does not know any more, is known to nobody.
    pub(crate) fn forget_untold(&mut self) {
        let tells = |job: &&Job| matches!(job.work, Work::Tell(Some(_))) && job.phase != Phase::Done;
        let mut known: Vec<_> = self.jobs.iter().filter(tells).map(|job| job.user).collect();
        known.extend(self.outstanding().into_iter().map(|(user, ..)| user));
        self.users.iter_mut().filter(|user| !known.contains(&user.key)).for_each(|user| user.owed = false);
    }

    /// The changes that the file has outstanding, with their users.
    pub(crate) fn outstanding(&self) -> Vec<(i64, ChangeToken, i64)> {
        let all = self.cache.stale_changes(Duration::ZERO, 1000).expect("changes");
        all.into_iter().map(|change| (change.user.parse().expect("a key"), change.token, change.begun_at)).collect()
    }

    /// Whether the email is another user's; or, where links are made by email alone, whether HubSpot has it for one.
    pub(crate) fn taken(&self, mail: Mail, by: u32) -> bool {
        let has = |user: &User| user.email == mail || user.open.is_some_and(|(_, new)| new == mail);
        let by_email = self.rules.lose_file || self.rules.start == Start::Unlinked;
        let people = self.hubspot.holder(mail).filter(|_| by_email).map_or(0, |vid| self.hubspot.contacts[&vid].people);
        let theirs = |user: &User| user.bit() != by && people & user.bit() != 0;
        self.users.iter().any(|user| user.exists && (has(user) || theirs(user)))
    }

    pub(crate) fn render(&mut self, user: i64, mail: Mail) {
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

    /// All that is under way ends well, and what has to be done now and then is done often enough.
    pub(crate) fn settle(&mut self) {
        self.pages.clear();
        for user in self.users.clone() {
            self.act(Act::Commit(user.key));
        }
        for round in 0..24 {
            self.pass(if round == 7 { 40 * 24 } else { 2 } * 3_600_000);
            while !self.hubspot.post.is_empty() {
                self.act(Act::Deliver(0));
            }
            match round {
                0..14 if self.ways.read_again => self.reconcile(round % 7 == 0),
                0..14 => self.retry(),
                // What was begun ends.
                _ => {}
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
