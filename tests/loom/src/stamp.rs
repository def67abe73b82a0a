//! The commit stamp: an answer from memory is never older than a commit that has returned.

use loom::sync::atomic::{AtomicU64, Ordering, fence};
use loom::sync::{Arc, Mutex};
use loom::thread;

use crate::as_it_is::Sequence;
use crate::bucket::Bucket;

/// The only user of the table.
const USER: u64 = 1;

/// What is done in another order than the library's.
#[derive(Clone, Copy, PartialEq)]
enum Weaker {
    No,
    /// The header is read after the log, so a commit in between is missed.
    HeaderAfterLog,
    /// The stamp is published before the user has left the table.
    PublishedBeforeRemoval,
}

/// What the file says: the newest revision, and the one that last changed the user.
#[derive(Clone, Copy, Default)]
struct Row {
    newest: u64,
    changed: u64,
}

/// SQLite (the row of the user with its log, under SQLite's own locks, and the header, written before a commit returns)
/// and the store above it.
struct World {
    header: [AtomicU64; 2],
    row: Mutex<Row>,
    returned: AtomicU64,
    sequence: Sequence,
    current: [AtomicU64; 2],
    bucket: Bucket,
    /// The newest revision that the table has seen; held by the one thread that loads.
    reader: Mutex<u64>,
    value: AtomicU64,
}

impl World {
    fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            header: [zero(), zero()],
            row: Mutex::new(Row::default()),
            returned: zero(),
            sequence: Sequence::new(),
            current: [AtomicU64::new(u64::MAX), AtomicU64::new(u64::MAX)],
            bucket: Bucket::new(),
            reader: Mutex::new(0),
            value: zero(),
        }
    }

    /// A commit about somebody else, or about the user.
    fn commit(&self, about_the_user: bool) {
        let mut row = self.row.lock().unwrap();
        row.newest += 1;
        if about_the_user {
            row.changed = row.newest;
        }
        let Row { newest, changed } = *row;
        drop(row);
        for word in &self.header {
            word.store(newest, Ordering::Relaxed);
        }
        self.returned.store(changed, Ordering::Release);
    }

    fn is_current(&self) -> bool {
        let before = self.sequence.begin();
        let same = (self.header.iter().zip(&self.current))
            .all(|(live, current)| live.load(Ordering::Relaxed) == current.load(Ordering::Relaxed));
        same && self.sequence.is_unchanged(before)
    }

    fn read(&self) -> [u64; 2] {
        let header = [self.header[0].load(Ordering::Relaxed), self.header[1].load(Ordering::Relaxed)];
        fence(Ordering::Acquire);
        header
    }

    fn publish(&self, header: [u64; 2]) {
        self.sequence.write(|| {
            for (slot, word) in self.current.iter().zip(header) {
                slot.store(word, Ordering::Relaxed);
            }
        });
    }

    /// `coherent::load` with `catch_up`. The value that the table has for the user is kept beside the bucket: the
    /// bucket says whether the user is there.
    fn load(&self, weaker: Weaker) -> u64 {
        let mut seen = self.reader.lock().unwrap();
        if !self.is_current() {
            let before = self.read();
            let row = *self.row.lock().unwrap();
            let header = if weaker == Weaker::HeaderAfterLog { self.read() } else { before };
            if weaker == Weaker::PublishedBeforeRemoval {
                self.publish(header);
            }
            if row.changed > *seen {
                self.bucket.remove(USER);
            }
            *seen = row.newest;
            if weaker != Weaker::PublishedBeforeRemoval {
                self.publish(header);
            }
            // What others committed was mostly about others; or another thread has fetched the user meanwhile.
            if self.bucket.find(USER).is_some() {
                return self.value.load(Ordering::Acquire);
            }
        }
        let value = self.row.lock().unwrap().changed;
        self.value.store(value, Ordering::Release);
        self.bucket.write(0, USER);
        value
    }

    fn look_up(&self, weaker: Weaker) -> u64 {
        if self.is_current() && self.bucket.find(USER).is_some() {
            return self.value.load(Ordering::Acquire);
        }
        self.load(weaker)
    }
}

/// Somebody commits, once for each of `commits`, and one or two look the user up meanwhile.
fn coherent(weaker: Weaker, commits: &'static [bool], two_readers: bool) {
    let world = Arc::new(World::new());
    world.load(Weaker::No);
    let committer = Arc::clone(&world);
    let committer = thread::spawn(move || commits.iter().for_each(|about_the_user| committer.commit(*about_the_user)));
    let other = two_readers.then(|| {
        let other = Arc::clone(&world);
        thread::spawn(move || {
            other.look_up(weaker);
        })
    });
    let returned = world.returned.load(Ordering::Acquire);
    let value = world.look_up(weaker);
    assert!(value >= returned, "{value} after {returned} had returned");
    committer.join().unwrap();
    if let Some(other) = other {
        other.join().unwrap();
    }
    assert_eq!(world.look_up(weaker), commits.len() as u64, "stale for good");
}

#[test]
fn no_answer_is_older_than_a_commit_that_returned() {
    crate::explore(3, || coherent(Weaker::No, &[false, true], false));
    crate::explore(2, || coherent(Weaker::No, &[true], true));
}

#[test]
fn a_weaker_order_of_catching_up_is_found() {
    let header_after_log = || coherent(Weaker::HeaderAfterLog, &[false, true], false);
    assert!(crate::fails(3, header_after_log), "the header may be read after the log?");
    let published_first = || coherent(Weaker::PublishedBeforeRemoval, &[true], true);
    assert!(crate::fails(2, published_first), "the stamp may be published before the user leaves?");
}
