//! Writes that are acknowledged, and look-ups while another process writes.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;
use vidcache::{Options, Synchronous, UserKey, Vid, Vidcache};

use crate::child::{self, start};
use crate::fact::Fact;
use crate::files::warm;
use crate::keys::{HOT, PORTAL, Random, SECRET, email_text, some_of};
use crate::measure::{interleave, median, per_call, quantile, ratio};
use crate::{Result, Run, open};

/// Vids that nobody has yet: each writer has a range of its own.
pub(crate) struct NewVids(i64);

impl NewVids {
    pub(crate) fn of_writer(number: usize) -> Self {
        Self(100_000_000_000 * (number as i64 + 1))
    }

    pub(crate) fn next(&mut self) -> Vid {
        self.0 += 1;
        Vid::try_from(self.0).expect("positive")
    }
}

/// One writer, each write durable when it returns, beside a bare upsert into a table of two columns.
pub(crate) fn one_writer(run: &Run, path: &Path) -> Result<()> {
    let cache = open(path)?;
    let raw_path = run.folder.join("raw.sqlite");
    let mut raw = Connection::open(&raw_path)?;
    raw.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (key INTEGER PRIMARY KEY, vid INTEGER)",
    )?;
    let tx = raw.transaction()?;
    {
        let mut insert = tx.prepare("INSERT INTO t VALUES (?1, ?1)")?;
        for user in 1..=run.users as i64 {
            insert.execute([user])?;
        }
    }
    tx.commit()?;
    let mut upsert = raw.prepare("INSERT INTO t VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET vid = excluded.vid")?;
    let time = Duration::from_millis(if run.quick { 50 } else { 200 });
    let (mut vids, mut users) = (NewVids::of_writer(0), [1, 2, 3, 4].map(Random));
    let vids = std::cell::RefCell::new(&mut vids);
    let new_vid = || vids.borrow_mut().next();
    let [a, b, c, d] = &mut users;
    let (mut newest, mut told) = (run.users as i64, 0);
    let [bare, linked, first, recorded, known] = interleave(
        run.rounds(15),
        [
            &mut || {
                per_call(time, || {
                    upsert.execute([a.below(run.users) as i64 + 1, new_vid().get()]).expect("a row");
                })
            },
            &mut || {
                per_call(time, || {
                    cache.link(UserKey::from(b.below(run.users) as i64 + 1), new_vid()).expect("a link");
                })
            },
            &mut || {
                per_call(time, || {
                    newest += 1;
                    cache.link(UserKey::from(newest), new_vid()).expect("a link");
                })
            },
            &mut || {
                per_call(time, || {
                    let user = c.below(run.users) as i64 + 1;
                    let answer = answer(new_vid(), &email_text(user), 0);
                    cache.record(UserKey::from(user), answer.as_bytes(), None).expect("recorded");
                })
            },
            &mut || {
                per_call(time, || {
                    told += 1;
                    let user = d.below(run.users) as i64 + 1;
                    let contact = cache.resolve(UserKey::from(user)).expect("an answer").expect("a contact").vid;
                    let answer = answer(contact, &format!("new{told}@shop.test"), told);
                    cache.record(UserKey::from(user), answer.as_bytes(), None).expect("recorded");
                })
            },
        ],
    );
    for (id, ours) in [
        ("write_full", linked),
        ("write_full_first", first),
        ("write_full_record", recorded),
        ("write_full_known", known),
    ] {
        run.fact(Fact::beside(id, &ours, &bare).with("rate", ratio(&bare, &ours)));
    }
    Ok(())
}

/// What HubSpot answers of a contact that it touched so many milliseconds after a time.
pub(crate) fn answer(vid: Vid, email: &str, later: i64) -> String {
    let (minutes, seconds, ms) = (later / 60_000, later / 1_000 % 60, later % 1_000);
    let at = format!("2026-03-01T10:{minutes:02}:{seconds:02}.{ms:03}Z");
    format!(r#"{{"id":"{vid}","properties":{{"email":"{email}"}},"updatedAt":"{at}"}}"#)
}

/// Eight threads of one process that write as fast as they can, beside one that does.
pub(crate) fn eight_threads(run: &Run, path: &Path) -> Result<()> {
    let cache = open(path)?;
    let time = Duration::from_millis(if run.quick { 200 } else { 1_000 });
    let (users, writers) = (run.users, AtomicI64::new(2_000));
    let together = |threads: usize| {
        let start = Instant::now();
        let writer = || {
            let number = writers.fetch_add(1, Ordering::Relaxed) as usize;
            let (mut vids, mut random, mut writes) = (NewVids::of_writer(number), Random(number as u64), 0_u32);
            while start.elapsed() < time {
                cache.link(UserKey::from(random.below(users) as i64 + 1), vids.next()).expect("a link");
                writes += 1;
            }
            writes
        };
        let writes: u32 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(writer)).collect();
            threads.into_iter().map(|thread| thread.join().expect("a thread that wrote")).sum()
        });
        start.elapsed().as_nanos() as f64 / f64::from(writes)
    };
    let [one, eight] = interleave(run.rounds(5), [&mut || together(1), &mut || together(8)]);
    run.fact(Fact::beside("write_8threads", &eight, &one).with("rate", ratio(&one, &eight)));
    Ok(())
}

/// Four processes that write as fast as they can, beside one that does.
pub(crate) fn four_writers(run: &Run, path: &Path) -> Result<()> {
    let seconds = if run.quick { 0.6 } else { 4.0 };
    let (mut longest_ms, mut writer) = (0.0_f64, 1);
    let mut together = |count: usize| -> Result<f64> {
        let mut writers = Vec::new();
        for _ in 0..count {
            writer += 1;
            let arguments = [seconds.to_string(), writer.to_string(), run.users.to_string()];
            writers.push(start("child-write", path, &arguments)?);
        }
        writers.iter_mut().try_for_each(child::Waiting::go)?;
        let mut rate = 0.0;
        for writer in writers {
            let found = writer.result()?;
            rate += found["writes"].as_f64().unwrap_or(0.0) / seconds;
            if count > 1 {
                longest_ms = longest_ms.max(found["longest_ms"].as_f64().unwrap_or(f64::INFINITY));
            }
        }
        Ok(1e9 / rate)
    };
    let (mut one, mut four) = (Vec::new(), Vec::new());
    for _ in 0..run.rounds(5) {
        one.push(together(1)?);
        four.push(together(4)?);
    }
    run.fact(Fact::beside("write_4proc", &four, &one).with("rate", ratio(&one, &four)).with("longest_ms", longest_ms));
    Ok(())
}

pub(crate) fn child_write(path: &Path, arguments: &[String]) -> Result<()> {
    let (seconds, writer, users): (f64, usize, usize) =
        (arguments[0].parse()?, arguments[1].parse()?, arguments[2].parse()?);
    let cache = open(path)?;
    let (mut vids, mut random) = (NewVids::of_writer(writer), Random(writer as u64));
    child::ready()?;
    let start = Instant::now();
    let (mut writes, mut longest) = (0, Duration::ZERO);
    while start.elapsed().as_secs_f64() < seconds {
        let before = Instant::now();
        cache.link(UserKey::from(random.below(users) as i64 + 1), vids.next())?;
        longest = longest.max(before.elapsed());
        writes += 1;
    }
    child::say(&json!({"writes": writes, "longest_ms": longest.as_secs_f64() * 1e3}))
}

/// Numbers that two processes see, outside the cache: whom the writer wrote last, and each hot user's vid.
struct Published(&'static [AtomicI64]);

impl Published {
    fn open(path: &Path) -> Result<Self> {
        use std::os::fd::AsRawFd;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let bytes = (HOT + 1) * size_of::<AtomicI64>();
        file.set_len(bytes as u64)?;
        let flags = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new shared mapping of a file of that length, at an address of the kernel's choice.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, flags, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error().into());
        }
        // SAFETY: mapped for the life of the process, page-aligned, and only ever used as atomics.
        Ok(Self(unsafe { std::slice::from_raw_parts(at.cast(), HOT + 1) }))
    }

    fn last(&self) -> usize {
        self.0[0].load(Ordering::Acquire) as usize
    }

    /// The vid that the hot user at this place has at the least, or 0.
    fn of(&self, place: usize) -> i64 {
        self.0[place + 1].load(Ordering::Acquire)
    }

    /// Called once the commit has returned.
    fn publish(&self, place: usize, vid: Vid) {
        self.0[place + 1].store(vid.get(), Ordering::Release);
        self.0[0].store(place as i64, Ordering::Release);
    }
}

fn published_path(path: &Path) -> PathBuf {
    path.with_extension("published")
}

/// One look-up a millisecond while another process commits a thousand a second. Every answer is held against what the
/// writer had published before it was asked for.
pub(crate) fn resolve_under_writes(run: &Run, path: &Path) -> Result<()> {
    let users = some_of(run.users, HOT);
    let published = Published::open(&published_path(path))?;
    let cache = open(path)?;
    warm(&cache, &users);
    let db = Connection::open(path)?;
    let mut select = db.prepare("SELECT vid FROM user WHERE key = ?1")?;
    let mut writing = start("child-pace", path, &[run.users.to_string()])?;
    writing.go()?;
    let look_ups = if run.quick { 800 } else { 5_000 };
    let mut random = Random(11);
    let (mut stale, mut asked) = (0u64, 0u64);
    let mut check = |place: usize, asking: &mut dyn FnMut(i64) -> i64| {
        let acknowledged = published.of(place);
        let before = Instant::now();
        let answer = asking(users[place]);
        let time = before.elapsed();
        asked += 1;
        stale += u64::from(answer < acknowledged);
        time.as_nanos() as f64
    };
    let mut resolve = |user: i64| {
        let identity = cache.resolve(UserKey::from(user)).expect("an answer");
        identity.map_or(0, |identity| identity.vid.get())
    };
    let mut read = |user: i64| select.query_row([user], |row| row.get(0)).expect("a row");
    let (mut p50, mut p99, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..run.rounds(3) {
        let mut times = Vec::new();
        for _ in 0..look_ups {
            std::thread::sleep(Duration::from_millis(1));
            times.push(check(random.below(HOT), &mut resolve));
            // Whom the writer has just written, not measured: an old answer would most likely be theirs.
            check(published.last(), &mut resolve);
        }
        p50.push(median(&times));
        p99.push(quantile(&times, 0.99));
        let mut times = Vec::new();
        for _ in 0..look_ups / 4 {
            std::thread::sleep(Duration::from_millis(1));
            times.push(check(random.below(HOT), &mut read));
        }
        bare.push(median(&times));
    }
    let rate = writing.result()?["per_s"].as_f64().unwrap_or(0.0);
    run.fact(
        Fact::beside("resolve_under_writes", &p50, &bare)
            .with("p50_us", median(&p50) / 1e3)
            .with("p99_us", median(&p99) / 1e3)
            .with("stale", stale)
            .with("asked", asked)
            .with("per_s", rate),
    );
    Ok(())
}

/// A thousand commits a second, until the parent has heard enough.
pub(crate) fn child_pace(path: &Path, arguments: &[String]) -> Result<()> {
    let users = some_of(arguments[0].parse()?, HOT);
    let published = Published::open(&published_path(path))?;
    // What is measured is the reader, and a slow disk must not change the pace.
    let options = Options { secret: Some(SECRET), synchronous: Synchronous::Normal, ..Options::default() };
    let cache = Vidcache::open(path, PORTAL, &options)?;
    let (mut vids, mut random) = (NewVids::of_writer(900), Random(13));
    child::ready()?;
    let over = std::thread::spawn(|| std::io::stdin().read_line(&mut String::new()));
    const EVERY: Duration = Duration::from_millis(1);
    let start = Instant::now();
    let (mut next, mut commits) = (start, 0);
    while !over.is_finished() {
        let place = random.below(HOT);
        let vid = vids.next();
        cache.link(UserKey::from(users[place]), vid)?;
        published.publish(place, vid);
        commits += 1;
        next += EVERY;
        let now = Instant::now();
        match next.checked_duration_since(now) {
            Some(wait) => std::thread::sleep(wait),
            // A little late is made good, a long stall is not.
            None if now - next > 20 * EVERY => next = now,
            None => {}
        }
    }
    child::say(&json!({"per_s": f64::from(commits) / start.elapsed().as_secs_f64()}))
}
