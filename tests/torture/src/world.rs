//! A small world that every fault can break: what was done, what must be found of it.
//!
//! The model is the documentation of the facade, in a few lines: who is linked to whom, which email was confirmed,
//! which changes are outstanding. It says nothing of rows or files.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use vidcache::{ChangeToken, Email, Error, Imported, Options, Reason, Synchronous, UserKey, Vid, Vidcache};

use crate::random::Random;

pub(crate) const PORTAL: i64 = 62515;
const USERS: u64 = 12;

pub(crate) fn options(synchronous: Synchronous) -> Options<'static> {
    Options { secret: Some(b"thirty-two bytes kept out of it."), synchronous, ..Options::default() }
}

pub(crate) fn open(path: &Path) -> Result<Vidcache, Error> {
    Vidcache::open(path, PORTAL, &options(Synchronous::Full))
}

/// With a table small enough that a process can have many, and no patience.
pub(crate) fn open_impatient(path: &Path) -> Result<Vidcache, Error> {
    let options = Options { busy_timeout: Duration::from_millis(20), memory: 64 << 10, ..options(Synchronous::Full) };
    Vidcache::open(path, PORTAL, &options)
}

pub(crate) fn vid(number: i64) -> Vid {
    Vid::try_from(number).expect("a vid is positive")
}

pub(crate) fn email(number: i64) -> Email {
    Email::parse(&format!("u{number}@shop.test")).expect("an email")
}

/// What HubSpot would say: this contact has held that email since `at`, in milliseconds.
pub(crate) fn answer(vid: i64, email: i64, at: i64) -> Vec<u8> {
    let (second, milli) = (at / 1000, at % 1000);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let (day, hour) = (hour / 24 + 1, hour % 24);
    format!(
        r#"{{"id":"{vid}","properties":{{"email":"u{email}@shop.test"}},"updatedAt":"2026-01-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"}}"#
    )
    .into()
}

/// What one call does.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Link { user: i64, vid: i64 },
    Record { user: i64, vid: i64, email: i64, at: i64 },
    Begin { user: i64 },
    Finish { user: i64, token: ChangeToken, vid: i64, email: i64, at: i64 },
    Abandon { user: i64, token: ChangeToken },
    Import { users: Vec<i64> },
}

impl Op {
    /// Does it. A begun change answers its token.
    pub(crate) fn perform(&self, cache: &Vidcache) -> Result<Option<ChangeToken>, Error> {
        match self {
            Self::Link { user, vid: number } => cache.link(UserKey::from(*user), vid(*number)).map(|()| None),
            Self::Record { user, vid, email, at } => {
                cache.record(UserKey::from(*user), &answer(*vid, *email, *at), None).map(|_| None)
            }
            Self::Begin { user } => cache.begin_email_change(UserKey::from(*user)).map(Some),
            Self::Finish { user, token, vid, email, at } => {
                cache.record(UserKey::from(*user), &answer(*vid, *email, *at), Some(*token)).map(|_| None)
            }
            Self::Abandon { user, token } => cache.abandon_email_change(UserKey::from(*user), *token).map(|()| None),
            Self::Import { users } => {
                let rows = users.iter().map(|&user| {
                    Ok(Imported { user: UserKey::from(user), vid: vid(user), email: Some((email(user), 1)) })
                });
                cache.import(rows).map(|_| None)
            }
        }
    }
}

#[derive(Clone, Default, Debug, PartialEq)]
struct User {
    /// Contact and external id.
    link: Option<(i64, i64)>,
    outstanding: Vec<ChangeToken>,
    /// Changes whose beginning was not acknowledged but may have happened.
    unknown: u32,
}

/// All that was acknowledged.
#[derive(Clone, Default, Debug, PartialEq)]
pub(crate) struct Model {
    users: BTreeMap<i64, User>,
    /// The email that each contact held last.
    emails: BTreeMap<i64, i64>,
    /// Counts operations: HubSpot's clock.
    now: i64,
}

impl Model {
    /// Something that a busy app might do next.
    pub(crate) fn next(&mut self, random: &mut Random) -> Op {
        self.now += 1;
        let at = self.now * 10;
        let user = random.below(USERS) as i64 + 1;
        let known = self.users.get(&user);
        let vid = match known.and_then(|known| known.link) {
            Some((vid, _)) if random.chance(80) => vid,
            _ => user * 100 + random.below(5) as i64,
        };
        let outstanding = known.map_or(&[][..], |known| &known.outstanding);
        match random.below(20) {
            0..4 => Op::Link { user, vid },
            4..9 => Op::Record { user, vid, email: self.now, at },
            9..12 => Op::Begin { user },
            12..18 if !outstanding.is_empty() => {
                Op::Finish { user, token: *random.pick(outstanding), vid, email: self.now, at }
            }
            18 if !outstanding.is_empty() => Op::Abandon { user, token: *random.pick(outstanding) },
            19 => Op::Import { users: (0..20).map(|n| 10_000 + (self.now % 50) * 20 + n).collect() },
            _ => Op::Record { user, vid, email: self.now, at },
        }
    }

    /// The world after `op`, whose begun change has `token` if it was acknowledged.
    pub(crate) fn after(&self, op: &Op, token: Option<ChangeToken>) -> Self {
        let mut next = self.clone();
        let link = |users: &mut BTreeMap<i64, User>, user: i64, vid: i64| {
            let known = users.entry(user).or_default();
            known.link = Some((vid, known.link.map_or(vid, |(_, first)| first)));
        };
        match *op {
            Op::Link { user, vid } => link(&mut next.users, user, vid),
            Op::Record { user, vid, email, .. } => {
                link(&mut next.users, user, vid);
                next.emails.insert(vid, email);
            }
            Op::Begin { user } => {
                let known = next.users.entry(user).or_default();
                match token {
                    Some(token) => known.outstanding.push(token),
                    None => known.unknown += 1,
                }
            }
            Op::Finish { user, token, vid, email, .. } => {
                link(&mut next.users, user, vid);
                next.emails.insert(vid, email);
                next.users.entry(user).or_default().outstanding.retain(|known| *known != token);
            }
            Op::Abandon { user, token } => {
                next.users.entry(user).or_default().outstanding.retain(|known| *known != token);
            }
            Op::Import { ref users } => {
                for &user in users {
                    link(&mut next.users, user, user);
                    next.emails.insert(user, user);
                }
            }
        }
        next
    }

    /// Compares every user's decision, and every token, with what is acknowledged.
    pub(crate) fn check(&self, cache: &Vidcache) -> Result<(), String> {
        for (&number, known) in &self.users {
            self.check_user(cache, number, known).map_err(|wrong| format!("user {number}: {wrong}"))?;
        }
        Ok(())
    }

    /// The same for the small users only, whom the faults come back to all the time.
    pub(crate) fn check_some(&self, cache: &Vidcache, random: &mut Random) -> Result<(), String> {
        let number = random.below(USERS) as i64 + 1;
        let nobody = User::default();
        let known = self.users.get(&number).unwrap_or(&nobody);
        self.check_user(cache, number, known).map_err(|wrong| format!("user {number}: {wrong}"))
    }

    fn check_user(&self, cache: &Vidcache, number: i64, known: &User) -> Result<(), String> {
        let key = UserKey::from(number);
        let confirmed = known.link.and_then(|(vid, _)| self.emails.get(&vid)).copied();
        let asked = email(confirmed.unwrap_or(1));
        let decision = cache.decide(key, Some(&asked)).map_err(|e| format!("decide: {e}"))?;
        let changing = !known.outstanding.is_empty() || known.unknown > 0;
        let reason = match known.link {
            None => Reason::NotLinked,
            Some(_) if changing => Reason::ChangeOutstanding,
            Some(_) if confirmed.is_none() => Reason::EmailUnconfirmed,
            Some(_) => Reason::Agreed,
        };
        if decision.reason() != reason {
            return Err(format!("{} where {} was acknowledged", decision.reason().name(), reason.name()));
        }
        if decision.id().map(Vid::get) != known.link.map(|(_, external)| external) {
            return Err(format!("{:?} where {:?} was acknowledged", decision.id(), known.link));
        }
        let found = cache.resolve(key).map_err(|e| format!("resolve: {e}"))?.map(|found| found.vid.get());
        if found != known.link.map(|(vid, _)| vid) {
            return Err(format!("contact {found:?} where {:?} was acknowledged", known.link));
        }
        for token in &known.outstanding {
            match cache.is_change_outstanding(key, *token) {
                Ok(true) => {}
                other => return Err(format!("a change is outstanding, and the file says {other:?}")),
            }
        }
        Ok(())
    }
}

/// Nothing is wrong with the file.
pub(crate) fn verify(cache: &Vidcache) -> Result<(), String> {
    let found = cache.verify().map_err(|e| format!("verify: {e}"))?;
    if found.is_empty() { Ok(()) } else { Err(format!("verify found {found:?}")) }
}
