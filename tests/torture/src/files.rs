//! Files that are not what they were: truncated, overwritten, mutated where SQLite keeps its own records, empty,
//! foreign. Refused by name and left alone, or opened and found wrong by `verify`, and every call of the facade's
//! answers or fails; never deleted, never a crash, and no email in an error. `bin/torture` runs this under
//! AddressSanitizer, too, with SQLite's C instrumented.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vidcache::{Error, UserKey, Vidcache};

use crate::random::Random;
use crate::world::{Model, answer, email, open, open_impatient, verify, vid};
use crate::{Outcome, Run};

#[derive(Default)]
struct Counts {
    refused: u32,
    found: u32,
    harmless: u32,
}

/// Opens a damaged file and does everything to it. The sound file had `sound` in it.
fn examine(path: &Path, model: &Model, counts: &mut Counts) -> Result<(), String> {
    let before = fs::read(path).map_err(|e| e.to_string())?;
    let name = path.display().to_string();
    match open_impatient(path) {
        Err(error) => {
            let codes =
                ["not_a_cache", "corrupt", "cannot_open", "storage", "newer_schema", "wrong_secret", "wrong_portal"];
            if !codes.contains(&error.code().name()) {
                return Err(format!("refused as {} ({error})", error.code().name()));
            }
            if matches!(error, Error::Corrupt(_) | Error::NotACache { .. } | Error::CannotOpen { .. })
                && !error.to_string().contains(&name)
            {
                return Err(format!("refused without its name: {error}"));
            }
            if fs::read(path).map_err(|e| format!("it is gone: {e}"))? != before {
                return Err(format!("refused ({error}) and written to"));
            }
            counts.refused += 1;
        }
        Ok(cache) => {
            // Whatever this answers, it is an answer or an error.
            let right = model.check(&cache).is_ok();
            let found = cache.verify();
            let sound = found.as_ref().is_ok_and(Vec::is_empty);
            if sound && !right {
                return Err("opened, wrong, and nothing is found".into());
            }
            everything(&cache)?;
            drop(cache);
            if !path.exists() {
                return Err("opened and gone".into());
            }
            *(if sound { &mut counts.harmless } else { &mut counts.found }) += 1;
        }
    }
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(format!("{name}{suffix}"));
    }
    Ok(())
}

/// Every call that reads rows, and one of each kind that writes them.
fn everything(cache: &Vidcache) -> Result<(), String> {
    let silent = |code: Error| match code.to_string().contains("@shop.test") {
        true => Err(format!("an error has an email in it: {}", code.code().name())),
        false => Ok(()),
    };
    let mut failed = Vec::new();
    let mut called = |ended: Result<(), Error>| failed.extend(ended.err());
    for user in [1, 2, 3, 5, 10_000, 10_019, 77] {
        let (key, email) = (UserKey::from(user), email(user));
        called(cache.explain(key, Some(&email)).map(drop));
        called(cache.export(key).map(drop));
        called(cache.snippet(key, Some(&email), None).map(drop));
        called(cache.refusal(key).map(drop));
        called(cache.users_of(vid(user * 100)).map(drop));
    }
    called(cache.resolve_many(&[1, 2, 3, 10_001].map(UserKey::from)).map(drop));
    called(cache.stale_changes(Duration::ZERO, 100).map(drop));
    called(cache.users_to_read(false, Duration::ZERO, None, 100).map(drop));
    called(cache.conflicts(None, 100).map(drop));
    called(cache.quiet_period().map(drop));
    called(cache.link(UserKey::from(77), vid(77)));
    called(cache.record(UserKey::from(4), &answer(400, 7, 90_000_000), None).map(drop));
    called(cache.begin_email_change(UserKey::from(78)).map(drop));
    called(cache.apply_webhook(TOLD.as_bytes()).map(drop));
    called(cache.forget(UserKey::from(6)).map(drop));
    called(cache.doubt_all());
    failed.into_iter().try_for_each(silent)
}

/// A merge, a deletion and an erasure.
const TOLD: &str = r#"[
 {"subscriptionType":"contact.merge","portalId":62515,"occurredAt":1769900000000,"primaryObjectId":100,
  "mergedObjectIds":[200],"newObjectId":20000},
 {"subscriptionType":"contact.deletion","portalId":62515,"occurredAt":1769900000000,"objectId":300},
 {"subscriptionType":"contact.privacyDeletion","portalId":62515,"occurredAt":1769900000000,"objectId":500}]"#;

/// SQLite's page.
const PAGE: usize = 4096;

/// Changes the file as somebody would who knows SQLite's format: bits, the file's header, pages' headers, the pointers
/// to their cells, pages in each other's place, lengths that say far too much. Says where.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) -> String {
    let mut done = Vec::new();
    for _ in 0..=random.below(4) {
        let pages = (bytes.len() / PAGE).max(1) as u64;
        let page = random.below(pages) as usize * PAGE;
        let kind = random.below(8);
        let (at, change) = match kind {
            0 => (random.below(bytes.len() as u64) as usize, vec![0]),
            1 => (random.below(100) as usize, vec![random.next() as u8]),
            2 => (page + random.below(16) as usize, vec![random.next() as u8]),
            3 => (page + 8 + random.below(120) as usize, vec![random.next() as u8]),
            4 => {
                let other = random.below(pages) as usize * PAGE;
                (other, bytes[page..bytes.len().min(page + PAGE)].to_vec())
            }
            5 => (bytes.len().saturating_sub(1 + random.below(9000) as usize).max(PAGE), Vec::new()),
            6 => {
                let value: u64 = *random.pick(&[u64::MAX, 0, u64::MAX >> 1, 0x8080_8080_8080_8080]);
                (random.below(bytes.len() as u64) as usize, value.to_be_bytes().to_vec())
            }
            _ => (random.below(bytes.len() as u64) as usize, vec![random.next() as u8; random.below(64) as usize]),
        };
        done.push((kind, at, change.len()));
        match kind {
            0 => bytes[at] ^= 1 << random.below(8),
            5 => bytes.truncate(at),
            _ => bytes.iter_mut().skip(at).zip(change).for_each(|(byte, new)| *byte = new),
        }
    }
    format!("{done:?}")
}

/// Ends the process if a file keeps it busy for two minutes: no answer is no answer.
fn watch(round: &Arc<AtomicU64>) {
    let round = Arc::clone(round);
    std::thread::spawn(move || {
        let mut before = (u64::MAX, Instant::now());
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let now = round.load(Ordering::Relaxed);
            if now != before.0 {
                before = (now, Instant::now());
            } else if before.1.elapsed() > Duration::from_secs(120) {
                println!("FAIL  files        no end of mutated file {now}");
                std::process::exit(1);
            }
        }
    });
}

/// A closed file with some users in it.
fn sound(path: &Path, random: &mut Random) -> Result<Model, String> {
    let cache = open(path).map_err(|e| e.to_string())?;
    let mut model = Model::default();
    for _ in 0..60 {
        let op = model.next(random);
        let token = op.perform(&cache).map_err(|e| e.to_string())?;
        model = model.after(&op, token);
    }
    Ok(model)
}

/// The log or its index replaced by something else, while nobody has the file open.
fn companions(dir: &Path, bytes: &[u8], model: &Model, random: &mut Random) -> Result<u32, String> {
    let mut done = 0;
    for suffix in ["-wal", "-shm", "-journal"] {
        for size in [0, 1, 32, 512, 4096, 32 * 1024, 100_000] {
            let path = dir.join(format!("companion{suffix}-{size}"));
            fs::write(&path, bytes).map_err(|e| e.to_string())?;
            let noise: Vec<u8> = (0..size).map(|_| random.next() as u8).collect();
            fs::write(format!("{}{suffix}", path.display()), noise).map_err(|e| e.to_string())?;
            let cache = open(&path).map_err(|e| format!("noise in {suffix}: {e}"))?;
            verify(&cache)?;
            model.check(&cache).map_err(|wrong| format!("noise in {suffix}: {wrong}"))?;
            cache.link(UserKey::from(77), vid(77)).map_err(|e| format!("noise in {suffix}: {e}"))?;
            done += 1;
        }
    }
    Ok(done)
}

fn places(dir: &Path, bytes: &[u8]) -> Result<(), String> {
    let target = dir.join("target");
    fs::write(&target, bytes).map_err(|e| e.to_string())?;
    let link = dir.join("link");
    symlink(&target, &link).map_err(|e| e.to_string())?;
    let folder = dir.join("everybody");
    fs::create_dir(&folder).map_err(|e| e.to_string())?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).map_err(|e| e.to_string())?;
    for path in [link, folder.join("file"), dir.join("missing/file"), PathBuf::from("/dev/null"), dir.to_path_buf()] {
        match open_impatient(&path) {
            Err(Error::CannotOpen { .. }) => {}
            Err(error) => return Err(format!("{} was refused as {error}", path.display())),
            Ok(_) => return Err(format!("{} was opened", path.display())),
        }
    }
    if fs::read(&target).map_err(|e| e.to_string())? != bytes {
        return Err("what a symbolic link points to was written to".into());
    }
    Ok(())
}

pub(crate) fn run(run: Run) -> Outcome {
    let mut random = Random::new(run.seed);
    let dir = crate::shared::folder()?;
    let original = dir.path().join("sound");
    let model = sound(&original, &mut random)?;
    let bytes = fs::read(&original).map_err(|e| e.to_string())?;
    let mut counts = Counts::default();
    let path = dir.path().join("damaged");
    let step = if run.short { 4096 } else { 512 };
    let try_it = |damaged: &[u8], what: String, counts: &mut Counts| -> Result<(), String> {
        fs::write(&path, damaged).map_err(|e| e.to_string())?;
        examine(&path, &model, counts).map_err(|wrong| format!("{what}: {wrong}"))
    };
    for size in (0..bytes.len()).step_by(step).chain([1, 15, 16, 99, 100, 101, bytes.len() - 1]) {
        match try_it(&bytes[..size], format!("truncated to {size} of {}", bytes.len()), &mut counts) {
            // The tail of the last page reads as zeros.
            Err(wrong) if wrong.ends_with("nothing is found") && size > bytes.len() - 4096 => counts.harmless += 1,
            other => other?,
        }
    }
    for round in 0..if run.short { 150 } else { 5_000 } {
        let mut damaged = bytes.clone();
        let mut places = Vec::new();
        for _ in 0..=random.below(4) {
            let length = *random.pick(&[1, 4, 16, 512, 4096]);
            // Half of them where SQLite keeps its own records.
            let end = if random.chance(50) { damaged.len() as u64 } else { 4096 };
            let at = random.below(end) as usize;
            places.push((at, length));
            let noise = random.chance(70);
            for byte in damaged.iter_mut().skip(at).take(length) {
                *byte = if noise { random.next() as u8 } else { 0 };
            }
        }
        // Content that no checksum covers can change without a sign: then only crashes and deletions count.
        match try_it(&damaged, format!("overwritten at {places:?}, round {round}"), &mut counts) {
            Err(wrong) if wrong.ends_with("nothing is found") => counts.harmless += 1,
            other => other?,
        }
    }
    let round = Arc::new(AtomicU64::new(0));
    watch(&round);
    let mutated = if run.short { 150 } else { 5_000 };
    for number in 0..mutated {
        round.store(number, Ordering::Relaxed);
        let mut damaged = bytes.clone();
        let done = mutate(&mut damaged, &mut random);
        match try_it(&damaged, format!("mutated at {done}, file {number}"), &mut counts) {
            Err(wrong) if wrong.ends_with("nothing is found") => counts.harmless += 1,
            other => other?,
        }
    }
    for (what, content) in [
        ("text", b"This is a letter, and it is quite long enough to be looked at. ".repeat(20)),
        ("zeros", vec![0; 20_000]),
        ("a header", b"SQLite format 3\0".to_vec()),
        ("noise", (0..50_000).map(|_| random.next() as u8).collect()),
    ] {
        try_it(&content, what.into(), &mut counts)?;
    }
    let companions = companions(dir.path(), &bytes, &model, &mut random)?;
    places(dir.path(), &bytes)?;
    let Counts { refused, found, harmless } = counts;
    Ok(format!(
        "{} damaged files, {mutated} of them by SQLite's own format: {refused} refused and left alone, {found} found out by verify, {harmless} without effect on \
         structure; {companions} with noise for a log, index or journal: nothing lost; 5 places refused",
        refused + found + harmless
    ))
}
