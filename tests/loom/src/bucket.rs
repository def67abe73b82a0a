//! A bucket of the table: an entry is read whole, and is the user's own, while it is written, removed and moved.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use loom::thread;

/// Makes the bucket over one variant of the sequence lock.
macro_rules! bucket {
    ($name:ident) => {
        mod $name {
            use super::*;
            use crate::$name::Sequence;

            /// Two ways; the value of a key is the key in one word and eleven times the key in the other.
            pub(crate) struct Bucket {
                sequence: Sequence,
                len: AtomicU8,
                keys: [AtomicU64; 2],
                heads: [AtomicU64; 2],
                tails: [AtomicU64; 2],
            }

            impl Bucket {
                pub(crate) fn new() -> Self {
                    let two = || [AtomicU64::new(0), AtomicU64::new(0)];
                    Self { sequence: Sequence::new(), len: AtomicU8::new(0), keys: two(), heads: two(), tails: two() }
                }

                pub(crate) fn write(&self, way: usize, key: u64) {
                    self.sequence.write(|| {
                        self.keys[way].store(key, Ordering::Relaxed);
                        self.heads[way].store(key, Ordering::Relaxed);
                        self.tails[way].store(11 * key, Ordering::Relaxed);
                        self.len.fetch_max(way as u8 + 1, Ordering::Relaxed);
                    });
                }

                fn way_of(&self, key: u64) -> Option<usize> {
                    let way = usize::from(self.keys[0].load(Ordering::Relaxed) != key);
                    let there = self.keys[way].load(Ordering::Relaxed) == key;
                    (there && way < usize::from(self.len.load(Ordering::Relaxed))).then_some(way)
                }

                /// The last one takes the place.
                pub(crate) fn remove(&self, key: u64) {
                    let Some(way) = self.way_of(key) else { return };
                    let last = usize::from(self.len.load(Ordering::Relaxed)) - 1;
                    if way < last {
                        self.write(way, self.keys[last].load(Ordering::Relaxed));
                    }
                    self.sequence.write(|| self.len.store(last as u8, Ordering::Relaxed));
                }

                #[allow(dead_code)] // Growth is tried with the lock as it is.
                pub(crate) fn wipe(&self) {
                    self.sequence.write(|| self.len.store(0, Ordering::Relaxed));
                }

                #[allow(dead_code)] // The same.
                pub(crate) fn wipe_unlocked(&self) {
                    self.len.store(0, Ordering::Relaxed);
                }

                pub(crate) fn find(&self, key: u64) -> Option<(u64, u64)> {
                    let before = self.sequence.begin();
                    let way = self.way_of(key)?;
                    let value = (self.heads[way].load(Ordering::Relaxed), self.tails[way].load(Ordering::Relaxed));
                    self.sequence.is_unchanged(before).then_some(value)
                }

                fn assert_whole(&self, key: u64) {
                    if let Some(value) = self.find(key) {
                        assert_eq!(value, (key, 11 * key), "torn, or another user's");
                    }
                }
            }

            fn full() -> Arc<Bucket> {
                let bucket = Arc::new(Bucket::new());
                bucket.write(0, 1);
                bucket.write(1, 2);
                bucket
            }

            /// One entry takes another's place.
            pub(super) fn overwritten() {
                let bucket = full();
                let writer = Arc::clone(&bucket);
                let writer = thread::spawn(move || writer.write(0, 3));
                bucket.assert_whole(3);
                bucket.assert_whole(1);
                writer.join().unwrap();
                assert_eq!(bucket.find(3), Some((3, 33)));
            }

            /// A user leaves the table, another moves to their place, and a third comes.
            pub(super) fn removed_and_put() {
                let bucket = full();
                let writer = Arc::clone(&bucket);
                let writer = thread::spawn(move || {
                    writer.remove(1);
                    writer.write(1, 3);
                });
                bucket.assert_whole(2);
                bucket.assert_whole(3);
                writer.join().unwrap();
                assert_eq!((bucket.find(1), bucket.find(2), bucket.find(3)), (None, Some((2, 22)), Some((3, 33))));
            }
        }
    };
}
bucket!(as_it_is);
bucket!(first_load_relaxed);
bucket!(no_fence_of_the_reader);
bucket!(no_second_look);
bucket!(odd_is_read);
bucket!(no_fence_of_the_writer);
bucket!(last_store_relaxed);

pub(crate) use as_it_is::Bucket;

#[test]
fn an_entry_is_whole_while_another_takes_its_place() {
    crate::explore(3, as_it_is::overwritten);
}

#[test]
fn an_entry_is_whole_while_it_is_moved() {
    crate::explore(2, as_it_is::removed_and_put);
}

/// An entry that is overwritten, and one that is moved.
type Walks = [fn(); 2];

/// The variants, each with both of its walks.
const WEAKENED: [(&str, Walks); 6] = [
    ("first_load_relaxed", [first_load_relaxed::overwritten, first_load_relaxed::removed_and_put]),
    ("no_fence_of_the_reader", [no_fence_of_the_reader::overwritten, no_fence_of_the_reader::removed_and_put]),
    ("no_second_look", [no_second_look::overwritten, no_second_look::removed_and_put]),
    ("odd_is_read", [odd_is_read::overwritten, odd_is_read::removed_and_put]),
    ("no_fence_of_the_writer", [no_fence_of_the_writer::overwritten, no_fence_of_the_writer::removed_and_put]),
    ("last_store_relaxed", [last_store_relaxed::overwritten, last_store_relaxed::removed_and_put]),
];

#[test]
fn each_ordering_of_the_sequence_lock_is_needed() {
    for (name, [overwritten, _]) in WEAKENED {
        assert!(crate::fails(3, overwritten), "{name}: no run was found in which it matters");
    }
}

#[test]
fn each_ordering_is_needed_where_an_entry_is_moved() {
    for (name, [_, removed_and_put]) in WEAKENED {
        assert!(crate::fails(2, removed_and_put), "{name}: no run was found in which it matters");
    }
}
