//! Where the file may be, under how many names, and what is said where it cannot be.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.
#![cfg(target_os = "linux")]

mod common;

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use common::{in_fork, link, linked, open, options, temporary};
use vidcache::{Error, Vidcache};

/// Why the file cannot be opened.
fn refusal(path: &Path) -> String {
    match Vidcache::open(path, 1, &options()) {
        Ok(_) => "opened".into(),
        Err(error @ Error::CannotOpen { .. }) => error.to_string(),
        Err(error) => format!("another error: {error}"),
    }
}

#[test]
fn a_file_with_a_second_name_is_refused_and_the_error_says_what_to_do() {
    let _alone = common::alone();
    let (dir, path) = temporary();
    link(&open(&path), 1);
    fs::hard_link(&path, dir.path().join("other")).unwrap();
    let why = refusal(&path);
    assert!(why.contains("2 names") && why.contains("remove the others"), "{why}");
    assert!(why.contains(&fs::metadata(&path).unwrap().ino().to_string()), "{why}");
    fs::remove_file(dir.path().join("other")).unwrap();
    assert!(linked(&open(&path), 1));
}

#[test]
fn the_name_under_which_a_file_was_made_goes_when_its_maker_was_killed() {
    let _alone = common::alone();
    let (dir, path) = temporary();
    link(&open(&path), 1);
    let left = dir.path().join(".hubspot.vidcache.0123456789abcdef.new");
    fs::hard_link(&path, &left).unwrap();
    assert!(linked(&open(&path), 1));
    assert!(!left.exists());
}

#[test]
fn what_killed_creations_left_is_gone_after_an_hour_and_nothing_else() {
    let _alone = common::alone();
    let (dir, path) = temporary();
    let names = |prefix: &str| {
        [".0123456789abcdef.new", ".0123456789abcdef.new-journal", ".log.new"]
            .map(|end| dir.path().join(format!("{prefix}{end}")))
    };
    let (left, young) = (names(".hubspot.vidcache"), dir.path().join(".hubspot.vidcache.fedcba9876543210.new"));
    let others = names(".another");
    for file in left.iter().chain(&others).chain([&young]) {
        fs::write(file, "").unwrap();
    }
    for file in left.iter().chain(&others) {
        let before = std::time::SystemTime::now() - std::time::Duration::from_secs(3700);
        fs::File::open(file).unwrap().set_modified(before).unwrap();
    }
    drop(open(&path));
    assert!(!left.iter().any(|file| file.exists()), "{left:?}");
    assert!(others.iter().chain([&young]).all(|file| file.exists()));
}

/// In a container whose only mount is the file, the log and the index stay inside: two containers have a log each, and
/// each acknowledges what the other never sees.
#[test]
fn a_file_that_is_mounted_without_its_folder_is_refused_and_with_it_is_opened() {
    let _alone = common::alone();
    let (dir, path) = temporary();
    link(&open(&path), 1);
    let (file, folder) = (dir.path().join("container-a"), dir.path().join("container-b"));
    fs::create_dir(&file).unwrap();
    fs::create_dir(&folder).unwrap();
    let inside = file.join("hubspot.vidcache");
    fs::write(&inside, "").unwrap();
    let bind = |from: &Path, to: &Path| {
        let (from, to) = (CString::new(from.to_str().unwrap()).unwrap(), CString::new(to.to_str().unwrap()).unwrap());
        // SAFETY: C strings that outlive the call; a bind mount takes no data.
        unsafe { libc::mount(from.as_ptr(), to.as_ptr(), std::ptr::null(), libc::MS_BIND, std::ptr::null()) == 0 }
    };
    // SAFETY: only of this child: what it mounts goes with it.
    let apart = || unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                c"none".as_ptr(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) == 0
    };
    if !in_fork(apart) {
        println!("skipped because a namespace of mounts takes root");
        return;
    }
    assert!(in_fork(|| {
        let mounted = apart() && bind(&path, &inside);
        let why = refusal(&inside);
        if !why.contains("mount its folder instead") {
            eprintln!("mounted: {mounted}; {why}");
        }
        mounted && why.contains("mount its folder instead")
    }));
    assert!(in_fork(|| apart() && bind(dir.path(), &folder) && linked(&open(&folder.join("hubspot.vidcache")), 1)));
}

/// A person on call must be able to act on it.
#[test]
fn what_may_not_be_written_is_named_with_its_mode_its_owner_and_the_user_of_the_process() {
    let _alone = common::alone();
    // SAFETY: takes and changes nothing.
    if unsafe { libc::geteuid() } != 0 {
        println!("skipped because only root can be another user");
        return;
    }
    let (dir, path) = temporary();
    drop(open(&path));
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let told = |wanted: &[&str]| {
        in_fork(|| {
            // SAFETY: of this child only.
            let other = unsafe { libc::setgid(65_534) == 0 && libc::setuid(65_534) == 0 };
            let why = refusal(&path);
            let all = other && wanted.iter().all(|wanted| why.contains(wanted));
            if !all {
                eprintln!("{why}");
            }
            all
        })
    };
    let folder = dir.path().display().to_string();
    let of_file = ["(os error 13)", "mode 0600, owner 0 and group 0", "user 65534", "config.vidcache.path", &folder];
    assert!(told(&of_file), "a file of another user");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(told(&["(os error 13)", "mode 0755, owner 0", "user 65534", &folder]), "a folder of another user");
    fs::remove_file(&path).unwrap();
    assert!(told(&["(os error 13)", "mode 0755, owner 0", "user 65534", &folder]), "where the file is to be made");
}

#[test]
fn a_file_that_root_makes_is_of_its_folders_owner_with_its_log_and_its_index() {
    let _alone = common::alone();
    // SAFETY: takes and changes nothing.
    if unsafe { libc::geteuid() } != 0 {
        println!("skipped because only root can give a file away");
        return;
    }
    let (dir, path) = temporary();
    std::os::unix::fs::chown(dir.path(), Some(65_534), Some(65_533)).unwrap();
    let by_root = open(&path);
    link(&by_root, 1);
    let folder = fs::read_dir(dir.path()).unwrap();
    let owners: Vec<_> = folder.map(|file| file.unwrap().metadata().unwrap()).map(|m| (m.uid(), m.gid())).collect();
    assert_eq!(owners, [(65_534, 65_533); 3]);
    assert!(in_fork(|| {
        // SAFETY: of this child only.
        let other = unsafe { libc::setgid(65_533) == 0 && libc::setuid(65_534) == 0 };
        other && linked(&open(&path), 1)
    }));
}

/// Whatever the reason is, the setting that names the path is named.
#[test]
fn every_refusal_of_a_place_names_the_setting() {
    let _alone = common::alone();
    let (dir, path) = temporary();
    for place in [dir.path().to_owned(), dir.path().join("none/x"), Path::new("/proc/x").to_owned()] {
        assert!(refusal(&place).contains("config.vidcache.path in Rails"), "{}", refusal(&place));
    }
    std::os::unix::fs::symlink(&path, dir.path().join("link")).unwrap();
    assert!(refusal(&dir.path().join("link")).contains("config.vidcache.path in Rails"));
}

/// Nobody is refused there, since tests and development live on such.
#[test]
fn a_file_that_will_not_last_where_it_is_says_so() {
    let memory = Path::new("/dev/shm");
    let Ok(dir) = tempfile::tempdir_in(memory) else {
        return println!("skipped because this system has no /dev/shm");
    };
    let cache = open(&dir.path().join("hubspot.vidcache"));
    assert_eq!(cache.stats().passing, Some("memory (tmpfs), which is gone with the next start of the host"));
}

/// What names a backup's path is no setting.
#[test]
fn a_refused_backup_names_no_setting_and_a_refused_file_does() {
    let (dir, path) = temporary();
    let cache = open(&path);
    let nowhere = dir.path().join("no/such/folder/x");
    let refused = |to: &Path| cache.backup(to).unwrap_err().to_string();
    for said in [refused(&path), refused(&nowhere)] {
        assert!(said.starts_with("cannot open") && !said.contains("config.vidcache.path"), "{said}");
    }
    for to in [&nowhere, dir.path()] {
        let said = Vidcache::restore(to, dir.path().join("new")).unwrap_err().to_string();
        assert!(!said.contains("config.vidcache.path"), "{said}");
    }
    let said = refusal(&nowhere);
    assert!(said.contains("its folder does not exist; the path is the one given to open"), "{said}");
}
