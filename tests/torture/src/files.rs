//! Files that are not what they were: truncated, overwritten, empty, foreign. Refused by name and left alone, or opened
//! and found wrong by `verify`; never deleted, never a crash.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use vidcache::{Error, UserKey};

use crate::random::Random;
use crate::world::{Model, open, open_impatient, verify, vid};
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
            let _ = cache.link(UserKey::from(77), vid(77));
            let _ = cache.begin_email_change(UserKey::from(78));
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
        "{} damaged files: {refused} refused and left alone, {found} found out by verify, {harmless} without effect on \
         structure; {companions} with noise for a log, index or journal: nothing lost; 5 places refused",
        refused + found + harmless
    ))
}
