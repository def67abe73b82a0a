//! The table grows, and is cleared: buckets that were in use before a clear come back with what they held then, so they
//! are wiped before the mask leads anybody to them.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::bucket::Bucket;

/// What is done in another order than the library's.
#[derive(Clone, Copy, PartialEq)]
enum Weaker {
    No,
    /// The mask leads to buckets that are not wiped yet.
    MaskBeforeWipe,
    /// Buckets are wiped outside their locks, and the mask is written relaxed.
    NothingOrders,
}

/// Two buckets, of which the second is beyond the mask at first; a key's home is its last bit.
struct Table {
    mask: AtomicUsize,
    buckets: [Bucket; 2],
}

impl Table {
    /// Cleared: the second bucket still has what was put into it before, a value that is none any more.
    fn cleared() -> Arc<Self> {
        let table = Self { mask: AtomicUsize::new(0), buckets: [Bucket::new(), Bucket::new()] };
        table.buckets[1].write(0, 3);
        table.buckets[1].write(1, 5);
        table.buckets[0].write(0, 2);
        Arc::new(table)
    }

    /// `Table::grow`, as far as the second bucket goes; and the next entry is put into it.
    fn grow(&self, weaker: Weaker) {
        match weaker {
            Weaker::No => {
                self.buckets[1].wipe();
                self.mask.store(1, Ordering::Release);
            }
            Weaker::MaskBeforeWipe => {
                self.mask.store(1, Ordering::Release);
                self.buckets[1].wipe();
            }
            Weaker::NothingOrders => {
                self.buckets[1].wipe_unlocked();
                self.mask.store(1, Ordering::Relaxed);
            }
        }
        self.buckets[1].write(0, 7);
    }

    fn find(&self, key: u64) -> Option<(u64, u64)> {
        let mask = self.mask.load(Ordering::Acquire);
        self.buckets[key as usize & mask].find(key)
    }
}

/// Somebody looks up who was cleared, who stayed, and who comes, while the table grows.
fn grown(weaker: Weaker) {
    let table = Table::cleared();
    let writer = Arc::clone(&table);
    let writer = thread::spawn(move || writer.grow(weaker));
    assert_eq!(table.find(5), None, "what was cleared is back");
    if let Some(value) = table.find(7) {
        assert_eq!(value, (7, 77), "torn, or another user's");
    }
    assert_eq!(table.find(2), Some((2, 22)), "nobody writes to the first bucket");
    writer.join().unwrap();
    assert_eq!([3, 5, 7].map(|key| table.find(key)), [None, None, Some((7, 77))]);
}

#[test]
fn what_was_cleared_never_comes_back_while_the_table_grows() {
    crate::explore(2, || grown(Weaker::No));
}

// The fences of the bucket's lock order the mask as well, so it takes both to lose the order.
#[test]
fn a_weaker_growth_is_found() {
    assert!(crate::fails(2, || grown(Weaker::MaskBeforeWipe)), "the mask may be written before the buckets are wiped?");
    assert!(crate::fails(2, || grown(Weaker::NothingOrders)), "nothing has to order the mask and the buckets?");
}
