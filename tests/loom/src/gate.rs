//! The fork gate: nobody is inside SQLite while connections are closed, and whatever meets, nobody waits for ever. The
//! locks are loom's, in the order in which `src/file/fork.rs` takes std's. (With the list taken before the gate loom
//! finds that everybody waits, and says so by an abort, so that is no test.)

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Mutex, RwLock};
use loom::thread;

/// What is done in another order than the library's.
#[derive(Clone, Copy, PartialEq)]
enum Weaker {
    No,
    /// Connections are closed by one who is not alone in the gate.
    NotAlone,
    /// The forgotten are closed by one who took them, outside the gate.
    ClosedOutside,
}

struct Process {
    gate: RwLock<()>,
    forgotten: Mutex<Vec<u64>>,
    /// How many are inside SQLite, ...
    inside: AtomicU64,
    /// ... and how often a connection was closed, with nobody inside.
    closed: AtomicU64,
}

impl Process {
    fn new() -> Arc<Self> {
        let (inside, closed) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { gate: RwLock::new(()), forgotten: Mutex::default(), inside, closed })
    }

    /// `enter`, and a look-up that reads the file.
    fn read(&self) {
        let _gate = self.gate.read().unwrap();
        self.inside.fetch_add(1, Ordering::Relaxed);
        self.inside.fetch_sub(1, Ordering::Relaxed);
    }

    fn close(&self) {
        assert_eq!(self.inside.fetch_add(1, Ordering::Relaxed), 0, "somebody is inside SQLite");
        self.closed.fetch_add(1, Ordering::Relaxed);
        self.inside.fetch_sub(1, Ordering::Relaxed);
    }

    /// `prepare` and `after`: what a fork holds is the gate, and then the list.
    fn fork(&self, weaker: Weaker) {
        if weaker == Weaker::NotAlone {
            let _gate = self.gate.read().unwrap();
            return self.close();
        }
        let _gate = self.gate.write().unwrap();
        self.close();
        drop(self.forgotten.lock().unwrap());
    }

    /// `close_later`: a collector that must not wait for the gate.
    fn close_later(&self) {
        self.forgotten.lock().unwrap().push(1);
    }

    fn close_forgotten(&self, weaker: Weaker) {
        match weaker {
            Weaker::ClosedOutside => {
                let list = std::mem::take(&mut *self.forgotten.lock().unwrap());
                list.iter().for_each(|_| self.close());
            }
            _ => {
                let _gate = self.gate.write().unwrap();
                let list = std::mem::take(&mut *self.forgotten.lock().unwrap());
                list.iter().for_each(|_| self.close());
            }
        }
    }
}

/// One reads, one forks, and one leaves a handle and closes what was left.
fn everything_at_once(weaker: Weaker) {
    let process = Process::new();
    let forking = Arc::clone(&process);
    let forking = thread::spawn(move || forking.fork(weaker));
    let leaving = Arc::clone(&process);
    let leaving = thread::spawn(move || {
        leaving.close_later();
        leaving.close_forgotten(weaker);
    });
    process.read();
    forking.join().unwrap();
    leaving.join().unwrap();
    assert_eq!(process.closed.load(Ordering::Relaxed), 2, "the fork closes once, and so does who was left");
}

#[test]
fn nobody_is_inside_while_connections_are_closed_and_nobody_waits_for_ever() {
    crate::explore(2, || everything_at_once(Weaker::No));
}

#[test]
fn a_weaker_gate_is_found() {
    for (what, weaker) in
        [("closed by one who is not alone", Weaker::NotAlone), ("closed outside the gate", Weaker::ClosedOutside)]
    {
        assert!(crate::fails(2, move || everything_at_once(weaker)), "{what}: no run was found in which it matters");
    }
}
