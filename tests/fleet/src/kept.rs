//! What a page costs whose answer is kept, beside a hit of the file's: `vidcache-fleet kept`, which `bin/bench
//! --database` runs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use vidcache::in_database::{Database, Recalled};
use vidcache::{Email, Imported, Options, UserKey, Vidcache};

use crate::told::{answer, hosts};
use crate::{Host, PORTAL, SECRET, Server};

/// Users that pages are of, in turn.
const HOT: i64 = 1_000;

/// Users in memory, where that is what counts.
const MANY: i64 = 100_000;

/// Prints, in lines, nanoseconds a page over those of the file's, and the bytes of many users.
///
/// # Panics
/// If the server refuses, or memory does not have what was put into it.
pub fn measure(server: &Server, quick: bool) {
    let email = Email::parse("ann@shop.test").expect("an email");
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { secret: Some(SECRET), ..Options::default() };
    let file = Vidcache::open(folder.path().join("kept.vidcache"), PORTAL, &options).expect("a file");
    for user in 1..=HOT {
        file.record(UserKey::from(user), answer(900 + user, email.as_str(), 0).as_bytes(), None).expect("recorded");
    }
    let kept = filled(server, HOT, &email);
    let from_memory = |user| match kept.recall(UserKey::from(user), Some(&email), kept.look()) {
        Recalled::Page(page) => page.decision().id().map_or(0, vidcache::Vid::get),
        Recalled::Ask(_) => panic!("user {user} is not in memory"),
    };
    let from_file = |user| {
        let page = file.page(UserKey::from(user), Some(&email)).expect("a page");
        page.decision().id().map_or(0, vidcache::Vid::get)
    };
    let (mut over, mut times) = (Vec::new(), [Vec::new(), Vec::new()]);
    // In turn, so that a busy machine disturbs both alike.
    for _ in 0..if quick { 100 } else { 1_000 } {
        let round = [per_page(from_file), per_page(from_memory)];
        over.push(round[1] - round[0]);
        times.iter_mut().zip(round).for_each(|(all, one)| all.push(one));
    }
    let [file, memory] = times.map(median);
    println!(
        "Rust: a page of the file's table {file:.0} ns, of an answer that is kept {memory:.0} ns: {:.0} ns over (target: 60)",
        median(over)
    );
    let many = filled(server, MANY, &email).watch_stats().expect("it keeps answers");
    let as_of_file = of_file(&email);
    // Of so many one or the other has given way.
    assert!(many.entries > MANY as u64 * 99 / 100, "{} are in memory", many.entries);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "Rust: {MANY} users in memory {:.2} MiB; of a file's {:.2} MiB (target: as much)",
        mib(many.bytes),
        mib(as_of_file)
    );
}

/// Bytes that a file's table takes of so many users.
fn of_file(email: &Email) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { secret: Some(SECRET), ..Options::default() };
    let file = Vidcache::open(folder.path().join("many.vidcache"), PORTAL, &options).expect("a file");
    let user = |user: i64| {
        let vid = vidcache::Vid::try_from(900 + user).expect("an id");
        Ok(Imported { user: UserKey::from(user), vid, email: Some((*email, 1_772_359_200_000)) })
    };
    file.import((1..=MANY).map(user)).expect("imported");
    for user in 1..=MANY {
        file.decide(UserKey::from(user), Some(email)).expect("a decision");
    }
    file.stats().bytes
}

fn per_page(page: impl Fn(i64) -> i64) -> f64 {
    let pass = || (1..=HOT).map(&page).fold(0, i64::wrapping_add);
    black_box(pass());
    let began = Instant::now();
    black_box(pass());
    began.elapsed().as_nanos() as f64 / HOT as f64
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// So many users in memory, each as the server has said it of the first.
fn filled(server: &Server, users: i64, email: &Email) -> Database {
    let (name, _, _) = hosts(server);
    let mut host = Host::of(server, &name, PORTAL, SECRET);
    // For longer than this takes.
    let options = Options { secret: Some(SECRET), page_deadline: Duration::from_secs(3_600), ..Options::default() };
    let database = Database::new("public", PORTAL, &options).expect("options");
    host.vidcache = database.watching(Duration::from_secs(1_800), 32 << 20).expect("memory");
    host.set_up();
    let Host { client, vidcache } = &mut host;
    let first = UserKey::from(1);
    let key = vidcache.parameter(first);
    // What is kept begins with the first answer.
    for users in [1, users] {
        let look = vidcache.look();
        let Recalled::Ask(since) = vidcache.recall(UserKey::from(users), Some(email), look) else {
            panic!("nobody else is in memory")
        };
        let answer = Host::text(client, &vidcache.ask_since(first, &since));
        for user in 1..=users {
            let user = UserKey::from(user);
            vidcache.reply(user, Some(email), &answer.replace(&key, &vidcache.parameter(user)), look);
        }
    }
    host.vidcache
}
