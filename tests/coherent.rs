//! Answers come from memory, and are never older than the last commit of any process.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

mod common;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use common::{beside, child_path, in_fork, link, link_to, linked, open, options, run, start, temporary, until, vid};
use vidcache::{Error, Imported, Options, Synchronous, UserKey, Vid, Vidcache};

#[test]
fn a_user_is_read_once_and_answered_from_memory_then() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    link_to(&cache, 1, 901);
    for _ in 0..100 {
        assert_eq!((vid(&cache, 1), vid(&cache, 2)), (901, 0));
    }
    let stats = cache.stats();
    assert_eq!((stats.misses, stats.hits, stats.entries), (2, 198, 2), "{stats:?}");
    assert_eq!((stats.fallback, stats.last_error), (None, None));
    link_to(&cache, 1, 902);
    assert_eq!((vid(&cache, 1), vid(&cache, 2)), (902, 0));
    assert_eq!(cache.stats().misses, 3, "the other user was not read again");
}

#[test]
fn a_small_import_takes_only_its_own_users_out_of_memory_and_a_large_one_everybody() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    let writer = open(&path);
    let row = |user: i64| Ok(Imported { user: UserKey::from(user), vid: Vid::try_from(user).unwrap(), email: None });
    for user in 1..=1_000 {
        assert_eq!(vid(&cache, user), 0, "not known yet");
    }
    let misses = cache.stats().misses;
    writer.import([row(7)]).unwrap();
    assert_eq!((vid(&cache, 7), vid(&cache, 8)), (7, 0));
    assert_eq!(cache.stats().misses, misses + 1, "the others stayed");
    writer.import((100..200).map(row)).unwrap();
    assert_eq!((vid(&cache, 150), vid(&cache, 8)), (150, 0));
    assert_eq!(cache.stats().misses, misses + 2);
    writer.import((2_000..7_000).map(row)).unwrap();
    assert_eq!((vid(&cache, 2_500), vid(&cache, 8)), (2_500, 0));
    assert_eq!(cache.stats().misses, misses + 4, "of 5,000 nobody reads which they were");
}

#[test]
fn who_missed_more_than_the_log_keeps_forgets_everything() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let options = Options { synchronous: Synchronous::Normal, ..options() };
    let reader = Vidcache::open(&path, 1, &options).unwrap();
    let writer = Vidcache::open(&path, 1, &options).unwrap();
    link_to(&writer, 1, 901);
    assert_eq!(vid(&reader, 1), 901);
    link_to(&writer, 1, 902);
    for user in 2..5_000 {
        link_to(&writer, user, 10_000 + user);
    }
    assert_eq!((vid(&reader, 1), vid(&reader, 4_999)), (902, 14_999));
}

/// A number that two processes see, outside the cache.
fn shared_number(path: &Path) -> &'static AtomicI64 {
    use std::os::fd::AsRawFd;
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap();
    file.set_len(8).unwrap();
    let flags = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new shared mapping of an 8-byte file, kept for the life of the process.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), 8, flags, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    assert_ne!(at, libc::MAP_FAILED);
    // SAFETY: mapped, aligned, and only ever used as an atomic.
    unsafe { &*at.cast::<AtomicI64>() }
}

#[test]
fn child_counts_up() {
    let Some(path) = child_path() else { return };
    let published = shared_number(&beside(&path, ".number"));
    let options = Options { synchronous: Synchronous::Normal, ..options() };
    let cache = Vidcache::open(&path, 1, &options).unwrap();
    loop {
        let next = vid(&cache, 1) + 1;
        link_to(&cache, 1, next);
        published.store(next, Ordering::Release);
    }
}

/// The writer publishes a number once its commit has returned; a look-up that begins later must not answer a
/// smaller one. The writer is killed and started again all the while.
#[test]
fn no_answer_is_older_than_the_last_acknowledged_commit() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    let published = shared_number(&beside(&path, ".number"));
    let (done, reads) = (AtomicBool::new(false), AtomicI64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let acknowledged = published.load(Ordering::Acquire);
                    let answer = vid(&cache, 1);
                    assert!(answer >= acknowledged, "{answer} after {acknowledged} was acknowledged");
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // On a busy machine a writer commits little before it is killed: then others are. One that has not begun to, as
        // where every process takes a second to start, is waited for.
        let enough = |killed| killed >= 8 && published.load(Ordering::Relaxed) > 50;
        for _ in (0..80).take_while(|killed| !enough(*killed)) {
            let (before, begun) = (published.load(Ordering::Relaxed), Instant::now());
            let mut writer = start("child_counts_up", &path);
            let has_begun = || published.load(Ordering::Relaxed) > before || begun.elapsed() > Duration::from_secs(10);
            while begun.elapsed() < Duration::from_millis(250) || !has_begun() {
                std::thread::sleep(Duration::from_millis(10));
            }
            writer.kill().unwrap();
            writer.wait().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let (commits, reads) = (published.load(Ordering::Relaxed), reads.load(Ordering::Relaxed));
    println!("{commits} commits, {reads} look-ups");
    assert!(commits > 50 && reads > 5_000, "{commits} commits, {reads} look-ups");
}

/// The change counter of the WAL index, the third of its 4-byte words.
fn change_counter(path: &Path) -> u32 {
    let mut word = [0; 4];
    let index = fs::File::open(beside(path, "-shm")).unwrap();
    index.read_exact_at(&mut word, 8).unwrap();
    u32::from_ne_bytes(word)
}

#[test]
fn child_recovers_and_repeats_the_counter() {
    let Some(path) = child_path() else { return };
    let wanted = change_counter(&path);
    // As a crash in the middle of a commit would leave it: the two copies of the header differ. Reading and writing
    // the index here drops no lock of the parent, whose process this is not.
    let index = OpenOptions::new().write(true).open(beside(&path, "-shm")).unwrap();
    index.write_all_at(&[0xFF; 48], 48).unwrap();
    drop(index);
    let cache = open(&path);
    link_to(&cache, 1, 902);
    let after = change_counter(&path);
    assert!(after <= wanted, "recovery started the counter over: {after} <= {wanted}");
    for user in 0..i64::from(wanted - after) {
        link_to(&cache, 100 + user, 1000 + user);
    }
    assert_eq!(change_counter(&path), wanted);
}

/// Comparing the change counter alone would answer 901 here.
#[test]
fn a_crash_recovery_that_repeats_the_change_counter_is_seen() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    link_to(&cache, 1, 901);
    for user in 10..30 {
        link_to(&cache, user, user);
    }
    assert_eq!(vid(&cache, 1), 901);
    run("child_recovers_and_repeats_the_counter", &path);
    assert_eq!(vid(&cache, 1), 902);
}

#[test]
fn what_others_did_while_no_connection_was_open_is_seen() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    for round in 1..20 {
        link_to(&cache, 1, 900 + round);
        assert_eq!(vid(&cache, 1), 900 + round);
        // The fork closes this process's connections; the child is the last one on the file when it ends.
        assert!(in_fork(|| {
            link_to(&cache, 1, 500 + round);
            cache.close();
            true
        }));
        assert_eq!(vid(&cache, 1), 500 + round);
    }
}

#[test]
fn a_file_replaced_by_rename_is_seen_within_seconds() {
    let _alone = common::alone();
    let (dir, path) = temporary();
    let other = dir.path().join("other");
    {
        let replacement = open(&other);
        link_to(&replacement, 1, 777);
    }
    let cache = open(&path);
    link_to(&cache, 1, 901);
    link_to(&cache, 2, 902);
    assert_eq!((vid(&cache, 1), vid(&cache, 2)), (901, 902));
    fs::rename(&other, &path).unwrap();
    until("the replacement's row", || vid(&cache, 1) == 777);
    assert_eq!(vid(&cache, 2), 0, "of whom the replacement's log knows nothing");
    assert!(cache.stats().reopened >= 1);
}

#[test]
fn child_relinks() {
    let Some(path) = child_path() else { return };
    link_to(&open(&path), 1, 902);
}

#[test]
fn an_index_deleted_under_us_is_seen_within_seconds() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    // Closed once, so that all is in the database and nothing in the log that goes.
    link_to(&open(&path), 1, 901);
    let cache = open(&path);
    assert_eq!(vid(&cache, 1), 901);
    for suffix in ["-shm", "-wal"] {
        fs::remove_file(beside(&path, suffix)).unwrap();
    }
    run("child_relinks", &path);
    until("the other process's row", || vid(&cache, 1) == 902);
}

#[test]
fn a_file_that_is_gone_is_an_error_and_not_an_old_answer() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    link_to(&cache, 1, 901);
    assert!(linked(&cache, 1));
    for suffix in ["", "-shm", "-wal"] {
        fs::remove_file(beside(&path, suffix)).unwrap();
    }
    until("an error", || matches!(cache.resolve(UserKey::from(1)), Err(Error::CannotOpen { .. })));
}

#[test]
fn a_process_that_only_writes_notices_too_that_the_file_is_gone() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let cache = open(&path);
    link_to(&cache, 1, 901);
    for suffix in ["", "-shm", "-wal"] {
        fs::remove_file(beside(&path, suffix)).unwrap();
    }
    until("an error", || matches!(cache.begin_email_change(UserKey::from(1)), Err(Error::CannotOpen { .. })));
}

/// It reads the whole file, which at millions of users takes minutes.
#[test]
fn nobody_waits_for_verify() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let (cache, other) = (open(&path), open(&path));
    let users = (1..150_000)
        .map(|n| Ok(vidcache::Imported { user: UserKey::from(n), vid: vidcache::Vid::try_from(n)?, email: None }));
    cache.import(users).unwrap();
    let start = Instant::now();
    assert_eq!(cache.verify().unwrap(), [""; 0]);
    let alone = start.elapsed();
    let done = AtomicBool::new(false);
    let waited = std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(cache.verify().unwrap(), [""; 0]);
            done.store(true, Ordering::Relaxed);
        });
        std::thread::sleep(alone / 10);
        let mut waited = Duration::ZERO;
        for round in 0..3 {
            link_to(&other, 1_000_001 + round, 1_000_001 + round);
            let start = Instant::now();
            assert_eq!(vid(&cache, 1), 1, "a look-up after a commit");
            assert!(in_fork(|| true), "a fork");
            waited = waited.max(start.elapsed());
        }
        assert!(!done.load(Ordering::Relaxed), "it was at work all the while");
        waited
    });
    assert!(waited < alone / 2, "{waited:?} waited for a verify of {alone:?}");
}

#[test]
fn closing_under_threads_that_read_is_an_error_for_them_and_no_crash() {
    let _alone = common::alone();
    for _ in 0..20 {
        let (_dir, path) = temporary();
        let cache = open(&path);
        link_to(&cache, 1, 901);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        match cache.resolve(UserKey::from(1)) {
                            Ok(Some(identity)) => assert_eq!(identity.vid.get(), 901),
                            Ok(None) => panic!("forgotten"),
                            Err(error) => break assert_eq!(error, Error::Closed),
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(2));
            cache.close();
        });
    }
}

/// From here on, `mremap` fails for this thread, as it does in a sandbox that does not list it.
#[cfg(target_os = "linux")]
fn refuse_mremap() {
    let instruction = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        // Where `struct seccomp_data` has the number of the system call.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::SYS_mremap as u32, 0, 1),
        instruction(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32, 0, 0),
        instruction(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the kernel copies the program during the call; both settings are this thread's own.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter), 0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn where_no_commit_stamp_can_be_had_every_look_up_reads_the_file() {
    let _alone = common::alone();
    let (_dir, path) = temporary();
    let writer = open(&path);
    link_to(&writer, 1, 901);
    std::thread::scope(|scope| {
        let sandboxed = scope.spawn(|| {
            refuse_mremap();
            let cache = open(&path);
            for new in 902..950 {
                link_to(&writer, 1, new);
                assert_eq!(vid(&cache, 1), new, "as of the last commit");
                assert_eq!(vid(&cache, 1), new, "and again");
            }
            assert_eq!(vid(&cache, 2), 0);
            let stats = cache.stats();
            assert_eq!(stats.fallback, Some("the WAL index cannot be mapped a second time"));
            assert_eq!((stats.hits, stats.entries, stats.last_error), (0, 0, None), "{stats:?}");
        });
        sandboxed.join().unwrap();
    });
    assert_eq!((vid(&writer, 1), writer.stats().fallback), (949, None), "nobody else is slowed");
}

#[test]
fn a_hit_waits_neither_for_a_long_transaction_of_the_process_nor_for_who_waits_for_it() {
    let _alone = common::alone();
    let (dir, path) = temporary();
    let cache = open(&path);
    link(&cache, 7);
    assert!(linked(&cache, 7));
    let big = open(&dir.path().join("big"));
    let done = AtomicBool::new(false);
    let worst = std::thread::scope(|scope| {
        scope.spawn(|| {
            let users: Vec<String> =
                (0..60_000_u64).map(|n| format!("user {}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
            let rows = users.iter().zip(1..).map(|(user, id)| {
                Ok(Imported { user: UserKey::try_from(user.as_str())?, vid: Vid::try_from(id)?, email: None })
            });
            big.import(rows).unwrap();
            done.store(true, Ordering::Relaxed);
        });
        // Who closes a handle waits until nobody is inside SQLite, and keeps everybody out from then on.
        scope.spawn(|| {
            for name in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                open(&dir.path().join(format!("other-{name}"))).close();
            }
        });
        let mut worst = Duration::ZERO;
        while !done.load(Ordering::Relaxed) {
            // Past the second at whose end the files are looked at, in steps that a machine's stall cannot hide in.
            let begun = Instant::now();
            assert!(cache.recall(&UserKey::from(7)).is_some());
            worst = worst.max(begun.elapsed());
            std::thread::sleep(Duration::from_millis(1));
        }
        worst
    });
    // A transaction of 60,000 rows takes a second and more here; a thread that was put aside comes back sooner.
    assert!(worst < Duration::from_millis(200), "{worst:?}");
}
