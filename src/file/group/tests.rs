//! Threads that write together, each thing that can happen to one of them, and all of it at random.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

use super::*;

const LONG: Duration = Duration::from_secs(60);

/// A table of numbers that threads add to, and a count of its commits.
struct File {
    turns: Turns,
    db: Mutex<Connection>,
    commits: Arc<AtomicUsize>,
}

impl File {
    fn new() -> Self {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY)").unwrap();
        let commits = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&commits);
        db.commit_hook(Some(move || {
            count.fetch_add(1, Ordering::Relaxed);
            false
        }))
        .unwrap();
        Self { turns: Turns::default(), db: Mutex::new(db), commits }
    }

    /// Writes as the store does; `at_commit` says what becomes of the transaction.
    fn write(
        &self,
        timeout: Duration,
        work: impl FnMut(&Connection) -> Result<()> + Send,
        at_commit: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        self.write_as(true, timeout, work, at_commit)
    }

    /// Writes what may take long, if it does not `lend`.
    fn write_as(
        &self,
        lends: bool,
        timeout: Duration,
        mut work: impl FnMut(&Connection) -> Result<()> + Send,
        mut at_commit: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        self.turns.take(
            timeout,
            || Ok(()),
            &mut work,
            lends,
            |group| {
                let mut db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
                let tx = db.transaction()?;
                group.write(&tx)?;
                at_commit()?;
                tx.commit()?;
                Ok(())
            },
        )
    }

    fn add(&self, n: i64) -> Result<()> {
        self.write(LONG, |tx| insert(tx, n), || Ok(()))
    }

    fn numbers(&self) -> Vec<i64> {
        let db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = db.prepare("SELECT n FROM t ORDER BY n").unwrap();
        all.query_map([], |row| row.get(0)).unwrap().map(rusqlite::Result::unwrap).collect()
    }

    fn commits(&self) -> usize {
        self.commits.load(Ordering::Relaxed)
    }

    /// Until a thread has the turn.
    fn until_taken(&self) {
        while !self.turns.lock().is_taken {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Until so many threads wait.
    fn until_waiting(&self, count: usize) {
        while self.turns.lock().waiting.len() < count {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn insert(tx: &Connection, n: i64) -> Result<()> {
    tx.execute("INSERT INTO t VALUES (?1)", [n])?;
    Ok(())
}

fn failed() -> Error {
    Error::Storage("a test's".into())
}

type Other<'f> = Box<dyn FnOnce() -> Result<()> + Send + 'f>;

/// The first thread adds 0 once all `others` wait, which come one after the other. What became of each.
fn together(
    file: &File,
    at_commit: impl FnMut() -> Result<()> + Send,
    others: Vec<Other<'_>>,
) -> Vec<thread::Result<Result<()>>> {
    together_within(LONG, file, at_commit, others)
}

/// [`together`], where the first thread has so much time.
fn together_within(
    timeout: Duration,
    file: &File,
    mut at_commit: impl FnMut() -> Result<()> + Send,
    others: Vec<Other<'_>>,
) -> Vec<thread::Result<Result<()>>> {
    let count = others.len();
    thread::scope(|scope| {
        let mut threads = vec![scope.spawn(move || {
            let work = |tx: &Connection| {
                file.until_waiting(count);
                insert(tx, 0)
            };
            file.write(timeout, work, &mut at_commit)
        })];
        file.until_taken();
        for (before, other) in others.into_iter().enumerate() {
            // Until the one before waits. With the last one all of them may be over at once.
            file.until_waiting(before);
            threads.push(scope.spawn(other));
        }
        threads.into_iter().map(thread::ScopedJoinHandle::join).collect()
    })
}

fn adding(file: &File, numbers: impl IntoIterator<Item = i64>) -> Vec<Other<'_>> {
    numbers.into_iter().map(|n| Box::new(move || file.add(n)) as Other<'_>).collect()
}

/// Which threads were told that they had written.
fn told(ended: &[thread::Result<Result<()>>]) -> Vec<bool> {
    ended.iter().map(|one| matches!(one, Ok(Ok(())))).collect()
}

#[test]
fn all_who_wait_are_written_in_one_transaction() {
    let file = File::new();
    let ended = together(&file, || Ok(()), adding(&file, 1..8));
    assert_eq!(told(&ended), [true; 8]);
    assert_eq!((file.numbers(), file.commits()), ((0..8).collect(), 1));
    assert!(file.turns.lock().waiting.is_empty());
}

#[test]
fn who_fails_takes_nobody_with_it_and_is_told_by_a_transaction_of_its_own() {
    let file = File::new();
    let tries = AtomicUsize::new(0);
    let mut others = adding(&file, [1]);
    others.push(Box::new(|| {
        let work = |tx: &Connection| {
            tries.fetch_add(1, Ordering::Relaxed);
            insert(tx, 7)?;
            Err(failed())
        };
        file.write(LONG, work, || Ok(()))
    }));
    others.extend(adding(&file, [2]));
    let ended = together(&file, || Ok(()), others);
    assert_eq!(told(&ended), [true, true, false, true]);
    assert!(matches!(&ended[2], Ok(Err(error)) if *error == failed()), "{:?}", ended[2]);
    assert_eq!((file.numbers(), file.commits()), (vec![0, 1, 2], 1));
    assert_eq!(tries.load(Ordering::Relaxed), 2);
}

#[test]
fn who_panics_takes_nobody_with_it_and_panics_in_its_own_thread() {
    let file = File::new();
    let mut others = adding(&file, [1]);
    others.push(Box::new(|| {
        let work = |tx: &Connection| {
            insert(tx, 7)?;
            panic!("a test's")
        };
        file.write(LONG, work, || Ok(()))
    }));
    others.extend(adding(&file, [2]));
    let ended = together(&file, || Ok(()), others);
    assert_eq!(told(&ended), [true, true, false, true]);
    assert!(ended[2].is_err(), "no panic: {:?}", ended[2]);
    assert_eq!(file.numbers(), [0, 1, 2]);
    assert_eq!(file.add(3), Ok(()), "nobody has the turn any more");
}

#[test]
fn a_panic_of_whoever_has_the_turn_leaves_it_to_the_next() {
    let file = File::new();
    let ended = together(&file, || panic!("a test's"), adding(&file, 1..4));
    assert_eq!(told(&ended), [false, true, true, true]);
    assert_eq!(file.numbers(), [1, 2, 3]);
}

#[test]
fn a_commit_that_fails_is_told_to_all_and_nothing_is_written() {
    let file = File::new();
    let ended = together(&file, || Err(failed()), adding(&file, 1..4));
    for one in ended {
        assert!(matches!(&one, Ok(Err(error)) if *error == failed()), "{one:?}");
    }
    assert!(file.numbers().is_empty());
}

#[test]
fn a_transaction_that_is_begun_again_has_everybody_once() {
    let file = File::new();
    let mut tries = 0;
    let at_commit = || {
        tries += 1;
        if tries < 4 { Err(Error::Busy) } else { Ok(()) }
    };
    let ended = together(&file, at_commit, adding(&file, 1..4));
    assert_eq!(told(&ended), [true; 4]);
    assert_eq!((file.numbers(), file.commits()), ((0..4).collect(), 1));
}

/// As SQLite does it by itself where the disk is full.
#[test]
fn a_failure_that_rolls_back_the_transaction_takes_nobody_with_it() {
    let file = File::new();
    let mut others = adding(&file, [1]);
    others.push(Box::new(|| {
        let work = |tx: &Connection| {
            tx.execute_batch("ROLLBACK")?;
            Err(failed())
        };
        file.write(LONG, work, || Ok(()))
    }));
    others.extend(adding(&file, [2]));
    // Nor the time of whoever had the turn.
    let ended = together_within(Duration::ZERO, &file, || Ok(()), others);
    assert_eq!(told(&ended), [true, true, false, true]);
    assert_eq!(file.numbers(), [0, 1, 2]);
}

#[test]
fn an_own_work_that_goes_on_after_its_transaction_was_undone_commits_nobody_else_s() {
    let file = File::new();
    let work = |tx: &Connection| {
        file.until_waiting(1);
        Ok(tx.execute_batch("ROLLBACK")?)
    };
    let ended = thread::scope(|scope| {
        let first = scope.spawn(|| file.write(LONG, work, || Ok(())));
        file.until_taken();
        let second = scope.spawn(|| file.add(1));
        [first.join(), second.join()]
    });
    assert_eq!(told(&ended), [false, true], "{ended:?}");
    assert_eq!(file.commits(), 1, "of the second one's own");
}

/// What the question of `cancellable` must not do, and any program may: it is told what became of its own work.
#[test]
fn a_call_within_a_call_of_one_thread_is_told_its_own() {
    let file = Arc::new(File::new());
    let (within, inner) = (Arc::clone(&file), Arc::new(Mutex::new(None)));
    let told_inner = Arc::clone(&inner);
    let question = move || {
        let mut inner = told_inner.lock().unwrap();
        if inner.is_none() {
            *inner = Some(within.write(Duration::ZERO, |_| panic!("it was done"), || Ok(())));
        }
        false
    };
    let ended = thread::scope(|scope| {
        let db = file.db.lock().unwrap();
        let first = scope.spawn(|| file.add(0));
        file.until_taken();
        let second = scope.spawn(|| cancel::cancellable(question, || file.add(1)));
        while inner.lock().unwrap().is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        drop(db);
        [first.join(), second.join()]
    });
    assert_eq!(told(&ended), [true, true], "{ended:?}");
    assert_eq!((inner.lock().unwrap().clone(), file.numbers()), (Some(Err(Error::Busy)), vec![0, 1]));
    assert!(file.turns.lock().waiting.is_empty());
}

#[test]
fn who_has_much_to_do_does_nobody_else_s_work_in_its_transaction() {
    let file = File::new();
    thread::scope(|scope| {
        let much = |tx: &Connection| {
            scope.spawn(|| file.add(1));
            file.until_waiting(1);
            insert(tx, 0)
        };
        let written = file.write_as(false, LONG, much, || Ok(()));
        assert_eq!(written, Ok(()));
    });
    assert_eq!((file.numbers(), file.commits()), (vec![0, 1], 2));
}

#[test]
fn who_waits_too_long_takes_the_work_back() {
    let file = File::new();
    let late: Other<'_> = Box::new(|| file.write(Duration::ZERO, |_| panic!("it was done"), || Ok(())));
    let ended = thread::scope(|scope| {
        let db = file.db.lock().unwrap();
        let first = scope.spawn(|| file.add(0));
        file.until_taken();
        let late = scope.spawn(late).join();
        drop(db);
        [first.join(), late]
    });
    assert_eq!(told(&ended), [true, false]);
    assert!(matches!(ended[1], Ok(Err(Error::Busy))), "{:?}", ended[1]);
    assert!(file.turns.lock().waiting.is_empty());
}

#[test]
fn whose_work_is_in_hand_hears_what_became_of_it_however_late() {
    let file = File::new();
    let in_hand = AtomicUsize::new(0);
    let soon = Duration::from_millis(1);
    let mut others: Vec<Other<'_>> = vec![Box::new(|| file.write(soon * 1000, |tx| insert(tx, 1), || Ok(())))];
    others.push(Box::new(|| {
        let work = |tx: &Connection| {
            // Longer than the other one has time.
            in_hand.fetch_add(1, Ordering::Relaxed);
            thread::sleep(soon * 1200);
            insert(tx, 2)
        };
        file.write(LONG, work, || Ok(()))
    }));
    let ended = together(&file, || Ok(()), others);
    assert_eq!(told(&ended), [true; 3]);
    assert_eq!((file.numbers(), file.commits()), (vec![0, 1, 2], 1));
}

#[test]
fn what_is_not_lent_is_done_by_its_own_thread() {
    let file = File::new();
    let mut others = adding(&file, [1]);
    others.push(Box::new(|| {
        let this = thread::current().id();
        let work = |tx: &Connection| {
            assert_eq!(thread::current().id(), this);
            insert(tx, 2)
        };
        file.write_as(false, LONG, work, || Ok(()))
    }));
    others.extend(adding(&file, [3]));
    assert_eq!(told(&together(&file, || Ok(()), others)), [true; 4]);
    assert_eq!((file.numbers(), file.commits()), ((0..4).collect(), 2));
}

#[test]
fn who_must_not_wait_leaves_at_once_and_lends_nothing() {
    let file = File::new();
    thread::scope(|scope| {
        let work = |tx: &Connection| {
            let hasty = || cancel::without_waiting(|| file.write(LONG, |_| panic!("it was done"), || Ok(())));
            assert_eq!(scope.spawn(hasty).join().unwrap(), Err(Error::Cancelled));
            insert(tx, 0)
        };
        assert_eq!(file.write(LONG, work, || Ok(())), Ok(()));
    });
    let hasty = cancel::without_waiting(|| Place::new(&file.turns, &mut |_| Ok(()), true).waiting().work.is_none());
    assert!(hasty, "somebody may be at it, and it would have to wait");
}

#[test]
fn who_must_not_wait_does_not_work_for_others() {
    let file = File::new();
    thread::scope(|scope| {
        let work = |tx: &Connection| {
            if file.turns.lock().waiting.is_empty() {
                scope.spawn(|| file.add(1));
                file.until_waiting(1);
            }
            insert(tx, 0)
        };
        assert_eq!(cancel::without_waiting(|| file.write(LONG, work, || Ok(()))), Ok(()));
    });
    assert_eq!((file.numbers(), file.commits()), (vec![0, 1], 2));
}

/// Eight threads, whose works fail, panic and come too late, in transactions that are busy or fail at their end: what
/// was acknowledged is there, and nothing else.
#[test]
fn at_random_what_was_acknowledged_is_there_and_nothing_else() {
    const THREADS: i64 = 8;
    const WRITES: i64 = 300;
    let file = File::new();
    // A number between 0 and 99 that depends on a write alone.
    let chance = |n: i64| ((n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % 100;
    let acknowledged: Vec<i64> = thread::scope(|scope| {
        let write = |n: i64| {
            let (mut tries, lot) = (0, chance(n));
            let work = move |tx: &Connection| {
                insert(tx, n)?;
                match lot {
                    0..8 => Err(failed()),
                    8..12 => std::panic::panic_any(n),
                    _ => Ok(()),
                }
            };
            let at_commit = || {
                tries += 1;
                match lot {
                    90..95 => Err(failed()),
                    70..90 if tries < 3 => Err(Error::Busy),
                    _ => Ok(()),
                }
            };
            let timeout = if (60..70).contains(&lot) { Duration::ZERO } else { LONG };
            let written = catch_unwind(AssertUnwindSafe(|| file.write(timeout, work, at_commit)));
            assert_eq!(written.is_err(), (8..12).contains(&lot), "{n}: {written:?}");
            matches!(written, Ok(Ok(())))
        };
        let thread = |t: i64| move || (t * WRITES..(t + 1) * WRITES).filter(|n| write(*n)).collect::<Vec<_>>();
        let threads: Vec<_> = (0..THREADS).map(|t| scope.spawn(thread(t))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(file.numbers(), acknowledged);
    assert!(acknowledged.len() > 1000, "{}", acknowledged.len());
    assert!(file.turns.lock().waiting.is_empty());
}
