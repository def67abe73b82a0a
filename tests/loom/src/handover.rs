//! Handles that the collector leaves to others (`close_later`, `close_forgotten`): each is closed, once.

use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

struct Forgotten {
    handles: Mutex<Vec<u64>>,
    any: AtomicBool,
    closed: AtomicU64,
}

impl Forgotten {
    fn close_later(&self, handle: u64, told_first: bool) {
        if told_first {
            self.any.store(true, Ordering::Release);
        }
        self.handles.lock().unwrap().push(handle);
        if !told_first {
            self.any.store(true, Ordering::Release);
        }
    }

    fn close_forgotten(&self) {
        if self.any.load(Ordering::Acquire) && self.any.swap(false, Ordering::AcqRel) {
            let handles = std::mem::take(&mut *self.handles.lock().unwrap());
            for handle in handles {
                self.closed.fetch_add(handle, Ordering::Relaxed);
            }
        }
    }
}

fn everybody_is_closed(told_first: bool) {
    let all = Arc::new(Forgotten { handles: Mutex::default(), any: AtomicBool::new(false), closed: AtomicU64::new(0) });
    let threads = [1, 10].map(|handle| {
        let all = Arc::clone(&all);
        thread::spawn(move || {
            all.close_later(handle, told_first);
            all.close_forgotten();
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
    all.close_forgotten();
    assert_eq!(all.closed.load(Ordering::Relaxed), 11);
}

#[test]
fn a_handle_that_is_left_is_closed_by_the_next_call() {
    crate::explore(3, || everybody_is_closed(false));
}

#[test]
fn told_before_it_is_there_a_handle_may_stay_open() {
    assert!(crate::fails(3, || everybody_is_closed(true)));
}
