//! What an answer costs when it comes from memory, and what it costs from embedded peers.

use std::hint::black_box;
use std::path::Path;
use std::sync::Barrier;
use std::time::Instant;

use hashbrown::HashMap;
use heed::byteorder::BigEndian;
use heed::types::{I64, U64};
use redb::{ReadableDatabase, TableDefinition};
use vidcache::{Email, UserKey, Vidcache};

use crate::fact::Fact;
use crate::keys::{email, vid};
use crate::measure::{Rounds, difference, interleave, median, per_key, per_key_in_turn, ratio};
use crate::{Result, Run, open};

type Map = HashMap<i64, i64, foldhash::fast::RandomState>;

pub(crate) fn run(run: &Run, path: &Path, users: &[i64]) -> Result<()> {
    let cache = open(path)?;
    let map: Map = users.iter().map(|&user| (user, vid(user).get())).collect();
    for &user in users {
        assert_eq!(resolve(&cache, user), vid(user).get(), "a wrong answer");
    }
    // Where the processor spends the time of a look-up: perf record bin/bench's program with this set.
    if std::env::var_os("VIDCACHE_BENCH_PROFILE").is_some() {
        per_key(users, 3_000, |user| resolve(&cache, user));
        return Ok(());
    }
    let misses = cache.stats().misses;
    let baseline = resolve_and_decide(run, &cache, &map, users);
    threads(run, &cache, users);
    assert_eq!(cache.stats().misses, misses, "not everything came from memory");
    run.fact(Fact::new("baseline_hashbrown").with("median_ns", median(&baseline)));
    drop(cache);
    peers(run, users, &map)
}

#[inline]
pub(crate) fn resolve(cache: &Vidcache, user: i64) -> i64 {
    match cache.resolve(UserKey::from(user)) {
        Ok(Some(identity)) => identity.vid.get(),
        _ => 0,
    }
}

fn resolve_and_decide(run: &Run, cache: &Vidcache, map: &Map, users: &[i64]) -> Rounds {
    let emails: Vec<Email> = (0..64).map(|n| email(users[n])).collect();
    // Few users, so that this is the price of deciding and not of fetching their emails from far away.
    let few = &users[..64];
    let decide = |n: usize| {
        let decision = cache.decide(UserKey::from(few[n]), Some(&emails[n])).expect("a decision");
        i64::from(black_box(decision).email().is_some())
    };
    assert_eq!((0..64).map(decide).sum::<i64>(), 64, "not agreed");
    let numbers: Vec<i64> = (0..64).collect();
    let [bare, ours, bare_in_turn, ours_in_turn, few_resolved, few_decided] = interleave(
        run.rounds(21),
        [
            &mut || per_key(users, 3, |user| map.get(&user).copied().unwrap_or(0)),
            &mut || per_key(users, 3, |user| resolve(cache, user)),
            &mut || per_key_in_turn(users, 2, |user| map.get(&user).copied().unwrap_or(0)),
            &mut || per_key_in_turn(users, 2, |user| resolve(cache, user)),
            &mut || per_key(&numbers, 1_000, |n| resolve(cache, few[n as usize])),
            &mut || per_key(&numbers, 1_000, |n| decide(n as usize)),
        ],
    );
    run.fact(Fact::beside("rust_resolve_hit", &ours, &bare));
    run.fact(Fact::beside("rust_resolve_in_turn", &ours_in_turn, &bare_in_turn));
    run.fact(
        Fact::beside("rust_decide", &few_decided, &few_resolved)
            .with("more_ns", difference(&few_decided, &few_resolved)),
    );
    bare
}

/// The look-ups of one thread, and of two on one handle, per second.
fn threads(run: &Run, cache: &Vidcache, users: &[i64]) {
    let together = |threads: usize| {
        const PASSES: usize = 4;
        let barrier = Barrier::new(threads);
        let spans: Vec<(Instant, Instant)> = std::thread::scope(|scope| {
            let work = || {
                per_key(users, 1, |user| resolve(cache, user));
                barrier.wait();
                let start = Instant::now();
                per_key(users, PASSES - 1, |user| resolve(cache, user));
                (start, Instant::now())
            };
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            running.into_iter().map(|thread| thread.join().expect("a thread")).collect()
        });
        let first = spans.iter().map(|span| span.0).min().expect("a thread");
        let last = spans.iter().map(|span| span.1).max().expect("a thread");
        (last - first).as_nanos() as f64 / (threads * users.len() * PASSES) as f64
    };
    let [one, two] = interleave(run.rounds(21), [&mut || together(1), &mut || together(2)]);
    let speedup = ratio(&one, &two);
    run.fact(Fact::beside("rust_two_threads", &two, &one).with("together", speedup));
}

/// The same keys from other embedded stores. Each look-up is a transaction of its own, as it must be for an answer
/// that is current.
fn peers(run: &Run, users: &[i64], map: &Map) -> Result<()> {
    const TABLE: TableDefinition<'_, i64, i64> = TableDefinition::new("vid");
    let folder = tempfile::tempdir_in(&run.folder)?;
    let all = 1..=run.users as i64;

    // SAFETY: a new folder of our own, which nobody else opens.
    let lmdb = unsafe { heed::EnvOpenOptions::new().map_size(4 << 30).open(folder.path())? };
    let mut tx = lmdb.write_txn()?;
    let table = lmdb.create_database::<U64<BigEndian>, I64<BigEndian>>(&mut tx, None)?;
    for user in all.clone() {
        table.put_with_flags(&mut tx, heed::PutFlags::APPEND, &(user as u64), &vid(user).get())?;
    }
    tx.commit()?;

    let redb = redb::Database::create(folder.path().join("redb"))?;
    let tx = redb.begin_write()?;
    {
        let mut table = tx.open_table(TABLE)?;
        for user in all {
            table.insert(user, vid(user).get())?;
        }
    }
    tx.commit()?;

    let from_lmdb = |user: i64| {
        let tx = lmdb.read_txn().expect("a transaction");
        table.get(&tx, &(user as u64)).expect("a look-up").unwrap_or(0)
    };
    let from_redb = |user: i64| {
        let table = redb.begin_read().map(|tx| tx.open_table(TABLE)).expect("a transaction").expect("a table");
        table.get(user).expect("a look-up").map_or(0, |found| found.value())
    };
    for &user in &users[..1_000] {
        assert_eq!((from_lmdb(user), from_redb(user)), (vid(user).get(), vid(user).get()), "a wrong answer");
    }
    let few = &users[..10_000];
    let [bare, in_lmdb, in_redb] = interleave(
        run.rounds(15),
        [
            &mut || per_key(users, 3, |user| map.get(&user).copied().unwrap_or(0)),
            &mut || per_key(few, 1, from_lmdb),
            &mut || per_key(few, 1, from_redb),
        ],
    );
    run.fact(Fact::beside("peer_lmdb", &in_lmdb, &bare));
    run.fact(Fact::beside("peer_redb", &in_redb, &bare));
    Ok(())
}
