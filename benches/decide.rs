//! What a decision costs, beside the bare SELECT under it. `cargo bench`

use criterion::{Criterion, criterion_group, criterion_main};
use vidcache::{Email, Options, UserKey, Vidcache};

const USERS: i64 = 10_000;

fn decide(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("bench.vidcache");
    let options = Options { synchronous: vidcache::Synchronous::Normal, ..Options::default() };
    let cache = Vidcache::open(&path, 1, &options).expect("opens");
    for user in 1..=USERS {
        let answer = format!(
            r#"{{"id":"{user}","properties":{{"email":"user{user}@shop.test"}},"updatedAt":"2026-01-01T00:00:00Z"}}"#
        );
        cache.record(UserKey::from(user), answer.as_bytes(), None).expect("recorded");
    }
    let mut user = 0;
    let mut next = move || {
        user = user % USERS + 1;
        user
    };
    c.bench_function("resolve", |b| b.iter(|| cache.resolve(UserKey::from(next()))));
    c.bench_function("decide", |b| {
        b.iter(|| {
            let user = next();
            let email = Email::parse("user1@shop.test").expect("an email");
            cache.decide(UserKey::from(user), Some(&email)).map(|d| d.id)
        })
    });
    c.bench_function("snippet", |b| {
        let email = Email::parse("user1@shop.test").expect("an email");
        b.iter(|| cache.snippet(UserKey::from(1), Some(&email), Some("nonce")))
    });
    let db = rusqlite::Connection::open(&path).expect("opens");
    let mut select = db
        .prepare("SELECT u.vid, c.email, u.changes FROM user u LEFT JOIN contact c ON c.vid = u.vid WHERE u.key = ?1")
        .expect("prepared");
    c.bench_function("bare SELECT of the same row", |b| {
        b.iter(|| select.query_row([next()], |row| row.get::<_, i64>(0)))
    });
}

criterion_group!(benches, decide);
criterion_main!(benches);
