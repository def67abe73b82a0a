//! A full disk and a read-only file system: a clear error, what was acknowledged stays, reads go on; and once there is
//! room again, so do writes. Mounted in this process's own namespace, so it needs root.

use std::ffi::CString;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use vidcache::{Error, UserKey, Vidcache};

use crate::io_errors::is_clear;
use crate::random::Random;
use crate::world::{Model, open, open_impatient, verify, vid};
use crate::{Outcome, Run};

/// From here on, mounts are this process's own.
fn own_namespace() -> Result<(), String> {
    let root = c"/";
    // SAFETY: integers, and C strings that outlive the calls.
    let status = unsafe {
        if libc::unshare(libc::CLONE_NEWNS) != 0 {
            return Err(std::io::Error::last_os_error().to_string());
        }
        libc::mount(root.as_ptr(), root.as_ptr(), std::ptr::null(), libc::MS_REC | libc::MS_PRIVATE, std::ptr::null())
    };
    if status == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().to_string()) }
}

fn mount(place: &Path, flags: libc::c_ulong, options: &str) -> Result<(), String> {
    let place = CString::new(place.display().to_string()).map_err(|e| e.to_string())?;
    let options = CString::new(options).map_err(|e| e.to_string())?;
    let kind = c"tmpfs".as_ptr();
    // SAFETY: C strings that outlive the call.
    match unsafe { libc::mount(kind, place.as_ptr(), kind, flags, options.as_ptr().cast()) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error().to_string()),
    }
}

/// Takes all room but `free` pages.
fn fill(folder: &Path, free: u64) -> Result<(), String> {
    let mut filler = fs::File::create(folder.join("filler")).map_err(|e| e.to_string())?;
    let mut size = 0;
    while filler.write_all(&[1; 4096]).is_ok() {
        size += 4096;
    }
    filler.set_len(u64::saturating_sub(size, free * 4096)).map_err(|e| e.to_string())
}

fn make_room(folder: &Path) -> Result<(), String> {
    fs::remove_file(folder.join("filler")).map_err(|e| e.to_string())
}

/// Writes until it fails; answers what was acknowledged, and what it is if the failed one happened too.
fn write_until_it_fails(cache: &Vidcache, model: &mut Model, random: &mut Random) -> Result<Option<Model>, String> {
    for _ in 0..400 {
        let op = model.next(random);
        match op.perform(cache) {
            Ok(token) => *model = model.after(&op, token),
            Err(error) if is_clear(&error) => return Ok(Some(model.after(&op, None))),
            Err(error) => return Err(format!("{op:?} failed as {} ({error})", error.code().name())),
        }
    }
    Ok(None)
}

fn full(folder: &Path, free: u64, random: &mut Random) -> Result<u64, String> {
    let path = folder.join("hubspot.vidcache");
    let mut model = Model::default();
    let cache = open_impatient(&path).map_err(|e| e.to_string())?;
    for _ in 0..random.below(30) {
        let op = model.next(random);
        let token = op.perform(&cache).map_err(|e| e.to_string())?;
        model = model.after(&op, token);
    }
    fill(folder, free)?;
    let mut failed = 0;
    for _ in 0..2 {
        if let Some(other) = write_until_it_fails(&cache, &mut model, random)? {
            failed += 1;
            // Reads go on, and tell whether the last one happened.
            if model.check(&cache).is_err() {
                other.check(&cache).map_err(|wrong| format!("on a full disk: {wrong}"))?;
                model = other;
            }
        }
    }
    // Another process comes: it opens, or is told why not.
    match open_impatient(&path) {
        Ok(other) => model.check(&other).map_err(|wrong| format!("opened on a full disk: {wrong}"))?,
        Err(error) if is_clear(&error) => failed += 1,
        Err(error) => return Err(format!("opening on a full disk failed as {error}")),
    }
    make_room(folder)?;
    cache.link(UserKey::from(77), vid(77)).map_err(|e| format!("with room again: {e}"))?;
    model.check(&cache).map_err(|wrong| format!("with room again: {wrong}"))?;
    verify(&cache)?;
    drop(cache);
    let cache = open(&path).map_err(|e| e.to_string())?;
    model.check(&cache).map_err(|wrong| format!("opened again: {wrong}"))?;
    drop(cache);
    fs::remove_file(&path).map_err(|e| e.to_string())?;
    Ok(failed)
}

/// A new file where there is no room for it.
fn create_on_full(folder: &Path, free: u64) -> Result<u64, String> {
    let path = folder.join("new.vidcache");
    fill(folder, free)?;
    let failed = match open_impatient(&path) {
        Ok(_) => 0,
        Err(error) if is_clear(&error) => 1,
        Err(error) => return Err(format!("creating on a full disk failed as {error}")),
    };
    let left: Vec<_> = fs::read_dir(folder)
        .map_err(|e| e.to_string())?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with('.'))
        .collect();
    if !left.is_empty() {
        return Err(format!("left in the folder: {left:?}"));
    }
    make_room(folder)?;
    let cache = open(&path).map_err(|e| format!("with room again: {e}"))?;
    cache.link(UserKey::from(1), vid(1)).map_err(|e| e.to_string())?;
    drop(cache);
    fs::remove_file(&path).map_err(|e| e.to_string())?;
    Ok(failed)
}

/// Mounted read-only before it is opened.
fn read_only(folder: &Path) -> Result<(), String> {
    let path = folder.join("hubspot.vidcache");
    let cache = open(&path).map_err(|e| e.to_string())?;
    cache.link(UserKey::from(1), vid(1)).map_err(|e| e.to_string())?;
    drop(cache);
    mount(folder, libc::MS_REMOUNT | libc::MS_RDONLY, "")?;
    for path in [path, folder.join("new")] {
        match open_impatient(&path) {
            Err(error @ Error::CannotOpen { .. }) if error.to_string().contains(&*path.display().to_string()) => {}
            Err(error) => return Err(format!("read-only: {error}")),
            Ok(_) => return Err("opened on a read-only file system".into()),
        }
    }
    mount(folder, libc::MS_REMOUNT, "")
}

fn shell(script: &str) -> Result<String, String> {
    let output = Command::new("sh").args(["-euc", script]).output().map_err(|e| e.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The kernel finds an error and makes the file system read-only under an open cache. `None`: done; else why not.
fn read_only_under_us(dir: &Path) -> Result<Option<String>, String> {
    let (image, place) = (dir.join("image"), dir.join("ext4"));
    let (image, place_name) = (image.display(), place.display());
    let device = match shell(&format!(
        "truncate -s 32M {image}; mkfs.ext4 -q {image}; mkdir {place_name}; d=$(losetup -f --show {image});
         mount -t ext4 -o errors=remount-ro $d {place_name} || {{ losetup -d $d; exit 1; }}
         chmod 700 {place_name}; test -w /sys/fs/ext4/${{d#/dev/}}/trigger_fs_error; echo ${{d#/dev/}}"
    )) {
        Ok(device) => device,
        Err(why) => return Ok(Some(why)),
    };
    let outcome = (|| {
        let path = place.join("hubspot.vidcache");
        let cache = open_impatient(&path).map_err(|e| e.to_string())?;
        let mut random = Random::new(1);
        let mut model = Model::default();
        for _ in 0..40 {
            let op = model.next(&mut random);
            let token = op.perform(&cache).map_err(|e| e.to_string())?;
            model = model.after(&op, token);
        }
        // A connection that was never opened, or closed for a fork, cannot be opened then: reads go on where they went.
        model.check(&cache)?;
        shell(&format!("echo torture > /sys/fs/ext4/{device}/trigger_fs_error"))?;
        let other = write_until_it_fails(&cache, &mut model, &mut random)?.ok_or("nothing fails")?;
        if model.check(&cache).is_err() {
            other.check(&cache).map_err(|wrong| format!("read-only: {wrong}"))?;
        }
        match open_impatient(&path) {
            Err(Error::CannotOpen { .. } | Error::Storage(_)) => {}
            Err(error) => return Err(format!("opening: {error}")),
            Ok(second) => model.check(&second).map_err(|wrong| format!("opened read-only: {wrong}"))?,
        }
        drop(cache);
        shell(&format!(
            "umount {place_name}; e2fsck -fy /dev/{device} >{place_name}.log 2>&1 || test $? -lt 4;
             mount -t ext4 /dev/{device} {place_name}"
        ))?;
        let cache = open(&path).map_err(|e| format!("mounted again: {e}"))?;
        verify(&cache)?;
        model.check(&cache).or_else(|_| other.check(&cache)).map_err(|wrong| format!("mounted again: {wrong}"))
    })();
    shell(&format!("umount {place_name}; losetup -d /dev/{device}"))?;
    outcome.map(|()| None)
}

pub(crate) fn run(run: Run) -> Outcome {
    let dir = crate::shared::folder()?;
    let folder = dir.path().join("small");
    fs::create_dir(&folder).map_err(|e| e.to_string())?;
    if let Err(why) = own_namespace().and_then(|()| mount(&folder, 0, "size=8m,mode=700")) {
        return Ok(format!("skipped because mounting is not permitted here ({why})"));
    }
    let mut random = Random::new(run.seed);
    let (rounds, most) = if run.short { (1, 40) } else { (20, 80) };
    let (mut failed, mut disks) = (0, 0);
    for _ in 0..rounds {
        for free in 0..most {
            let wrong = |wrong: String| format!("{free} pages free: {wrong}");
            failed += full(&folder, free, &mut random).map_err(wrong)?;
            failed += create_on_full(&folder, free).map_err(wrong)?;
            disks += 2;
        }
    }
    read_only(&folder)?;
    let under_us = match read_only_under_us(dir.path())? {
        None => "one that became so under us".to_owned(),
        Some(why) => format!("one that becomes so under us skipped because it cannot be mounted ({why})"),
    };
    drop(shell(&format!("umount {}", folder.display())));
    Ok(format!(
        "{disks} full disks, {failed} clear errors, 0 lost, reads went on; read-only before opening; {under_us}"
    ))
}
