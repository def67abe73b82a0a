//! The file: filling it, its size, opening it, and look-ups that memory cannot answer.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::Connection;
use serde_json::json;
use vidcache::{Imported, Options, UserKey, Vidcache};

use crate::child::{self, start};
use crate::fact::Fact;
use crate::keys::{HOT, PORTAL, SECRET, email, some_of, uuid, vid};
use crate::measure::{interleave, median, per_key};
use crate::{Result, Run, open};

const MIB: f64 = 1024.0 * 1024.0;

/// Which keys a file has.
#[derive(Clone, Copy)]
pub(crate) enum Keys {
    /// In order, as a database hands them out.
    Int,
    /// Random, as text.
    Uuid,
}

impl Keys {
    fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Uuid => "uuid",
        }
    }
}

/// A new file of that many users, made by a process that does nothing else.
pub(crate) fn fill(run: &Run, keys: Keys, users: usize) -> Result<PathBuf> {
    let path = run.folder.join(format!("{}-{users}.vidcache", keys.name()));
    let mut filling = start("child-fill", &path, &[keys.name().into(), users.to_string()])?;
    filling.go()?;
    let found = filling.result()?;
    // Closed: the log is in the file now.
    let bytes = std::fs::metadata(&path)?.len() as f64 / users as f64;
    if users == run.large() {
        let rate = found["rows_per_s"].as_f64().unwrap_or(0.0);
        run.fact(
            Fact::new(&format!("bulk_{}", keys.name()))
                .with("median_ns", 1e9 / rate)
                .with("rows_per_s", rate)
                .with("grown_mib", found["grown_mib"].clone())
                .with("rows", users),
        );
        run.fact(Fact::new(&format!("bytes_{}", keys.name())).with("bytes", bytes).with("rows", users));
    }
    Ok(path)
}

pub(crate) fn child_fill(path: &Path, arguments: &[String]) -> Result<()> {
    let users: i64 = arguments[1].parse()?;
    let cache = open(path)?;
    child::ready()?;
    let (start, mut early, mut most) = (Instant::now(), 0.0, 0.0_f64);
    const CHUNK: i64 = 100_000;
    for first in (1..=users).step_by(CHUNK as usize) {
        let chunk = first..=users.min(first + CHUNK - 1);
        // Made here and not beforehand: a source of rows reads them from somewhere too.
        let texts: Vec<String> = if arguments[0] == "uuid" { chunk.clone().map(uuid).collect() } else { Vec::new() };
        let rows = chunk.clone().map(|n| {
            let user = match texts.get((n - first) as usize) {
                Some(text) => UserKey::text(text)?,
                None => UserKey::from(n),
            };
            Ok(Imported { user, vid: vid(n), email: Some((email(n), 1_767_225_600_000 + n)) })
        });
        let report = cache.import(rows)?;
        assert_eq!(report.vid_taken, 0, "each has a contact of their own");
        let now = memory("RssAnon:");
        // What is bounded is full by then.
        if *chunk.end() <= users / 2 {
            early = now;
        }
        most = most.max(now);
    }
    let time = start.elapsed().as_secs_f64();
    cache.close();
    child::say(&json!({"rows_per_s": users as f64 / time, "grown_mib": (most - early) / MIB}))
}

/// Users from 1 on, each with a contact and an email.
pub(crate) fn put(cache: &Vidcache, users: usize) -> Result<()> {
    let rows = (1..=users as i64)
        .map(|n| Ok(Imported { user: UserKey::from(n), vid: vid(n), email: Some((email(n), 1_767_225_600_000 + n)) }));
    cache.import(rows)?;
    Ok(())
}

/// Look-ups of users who are not in memory, each user once, beside a bare SELECT of other such users.
pub(crate) fn miss(run: &Run, id: &str, path: &Path, users: usize) -> Result<()> {
    let rounds = run.rounds(21);
    let each = if run.quick { 4_000 } else { 10_000 };
    let cold = some_of(users, users);
    let mut parts = cold.chunks(each).cycle();
    let mut next = || parts.next().unwrap_or_default();

    let cache = open(path)?;
    let db = Connection::open(path)?;
    let mut of_vid = db.prepare("SELECT vid FROM user WHERE key = ?1")?;
    // All that a decision depends on, which is what a miss fetches.
    let mut of_state = db.prepare(
        "SELECT vid, coalesce(first_vid, vid), (SELECT email FROM contact c WHERE c.vid = u.vid), changes
         FROM user u WHERE key = ?1",
    )?;
    let [all, bare, ours] = {
        let next = std::cell::RefCell::new(&mut next);
        let part = || (next.borrow_mut())();
        interleave(
            rounds,
            [
                &mut || {
                    once(part(), |user| {
                        of_state
                            .query_row([user], |row| {
                                row.get::<_, Option<[u8; 16]>>(2)?;
                                row.get::<_, i64>(3)?;
                                row.get::<_, i64>(0)
                            })
                            .expect("a row")
                    })
                },
                &mut || once(part(), |user| of_vid.query_row([user], |row| row.get(0)).expect("a row")),
                &mut || {
                    once(part(), |user| {
                        let identity = cache.resolve(UserKey::from(user)).expect("an answer");
                        identity.map_or(0, |identity| identity.vid.get())
                    })
                },
            ],
        )
    };
    let stats = cache.stats();
    assert!(stats.hits * 50 < stats.misses, "memory answered: {stats:?}");
    run.fact(Fact::beside(id, &ours, &all).with("rows", users).with("of_vid_ns", median(&bare)));
    if users == run.users {
        run.fact(Fact::new("peer_sqlite").with("median_ns", median(&bare)));
    }
    Ok(())
}

/// Nanoseconds per look-up, each user looked up once.
fn once(users: &[i64], mut look_up: impl FnMut(i64) -> i64) -> f64 {
    let start = Instant::now();
    for &user in users {
        assert_eq!(look_up(user), vid(user).get(), "a wrong answer");
    }
    start.elapsed().as_nanos() as f64 / users.len() as f64
}

/// Opening the file and answering once, in a process that did nothing before.
pub(crate) fn open_first(run: &Run, path: &Path, users: usize) -> Result<()> {
    let (mut times, mut memory) = (Vec::new(), Vec::new());
    for round in 0..run.rounds(15) {
        let mut opening = start("child-open", path, &[(round + 1).to_string()])?;
        opening.go()?;
        let found = opening.result()?;
        times.push(found["ns"].as_f64().unwrap_or(f64::NAN));
        memory.push(found["mib"].as_f64().unwrap_or(f64::NAN));
    }
    run.fact(
        Fact::new("open_first")
            .with("median_ns", median(&times))
            .with("ms", median(&times) / 1e6)
            .with("mib", median(&memory))
            .with("rows", users),
    );
    Ok(())
}

pub(crate) fn child_open(path: &Path, arguments: &[String]) -> Result<()> {
    let user: i64 = arguments[0].parse()?;
    child::ready()?;
    let before = memory("VmRSS:");
    let start = Instant::now();
    let cache = Vidcache::open(path, PORTAL, &Options { secret: Some(SECRET), ..Options::default() })?;
    let found = cache.resolve(UserKey::from(user))?;
    let time = start.elapsed();
    assert_eq!(found.map(|identity| identity.vid), Some(vid(user)), "a wrong answer");
    let table = cache.stats().bytes as f64;
    // All that became resident, SQLite's code included.
    let mib = (memory("VmRSS:") - before - table).max(0.0) / MIB;
    child::say(&json!({"ns": time.as_nanos() as u64, "mib": mib}))
}

/// A field of `/proc/self/status` that is in KiB, in bytes.
fn memory(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(f64::NAN) * 1024.0
}

/// The hot users are in memory after this.
pub(crate) fn warm(cache: &Vidcache, users: &[i64]) {
    per_key(&users[..HOT.min(users.len())], 1, |user| {
        let identity = cache.resolve(UserKey::from(user)).expect("an answer");
        identity.map_or(0, |identity| identity.vid.get())
    });
}
