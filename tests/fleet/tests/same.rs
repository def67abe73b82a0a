//! The same words to a file and to the tables: then every page says the same.
//!
//! What is said is made up, by dice with a fixed seed: links, answers, webhooks of every kind, changes, forgettings,
//! over users and contacts that are few, so that much meets. It goes to a file, and by turns through two hosts to the
//! tables.

use std::fmt::Write;
use std::time::Duration;

use vidcache::in_database::Database;
use vidcache::{ChangeToken, Email, Options, Synchronous, UserKey, Vid, Vidcache};
use vidcache_fleet::{Host, PORTAL, Page, SECRET, Server, told};
use vidcache_postgres::Session;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as i64
    }
}

const USERS: i64 = 4;

fn email(n: i64) -> String {
    format!("e{n}@shop.test")
}

fn answer(vid: i64, email_of: i64, second: i64) -> String {
    told::answer(vid, &email(email_of), second)
}

/// A batch of a few events.
fn webhook(dice: &mut Dice) -> String {
    let mut events = String::from("[");
    for n in 0..=dice.below(3) {
        let (vid, other) = (901 + dice.below(5), 901 + dice.below(5));
        let fields = match dice.below(8) {
            0 => format!(r#""subscriptionType":"contact.deletion","objectId":{vid}"#),
            1 => format!(r#""subscriptionType":"contact.restore","objectId":{vid}"#),
            2 | 3 if vid != other => {
                format!(r#""subscriptionType":"contact.merge","primaryObjectId":{vid},"mergedObjectIds":[{other}]"#)
            }
            4 if dice.below(6) == 0 => format!(r#""subscriptionType":"contact.privacyDeletion","objectId":{vid}"#),
            _ => format!(
                r#""subscriptionType":"contact.propertyChange","propertyName":"email","objectId":{vid},"propertyValue":"{}""#,
                email(dice.below(2))
            ),
        };
        let at = 1_772_359_200_000 + dice.below(40) * 1000;
        let comma = if n > 0 { "," } else { "" };
        write!(events, r#"{comma}{{"portalId":{PORTAL},"occurredAt":{at},"eventId":1,{fields}}}"#).expect("a String");
    }
    events + "]"
}

/// A change by its token in the file and that in the tables.
type Change = (i64, ChangeToken, ChangeToken);

/// Says one thing to both, and what came of it, in words.
fn say(dice: &mut Dice, file: &Vidcache, host: &mut Host, changes: &mut Vec<Change>) -> (String, String, String) {
    let user = 1 + dice.below(USERS);
    let key = UserKey::from(user);
    let vid = 901 + dice.below(5);
    let code = |done: Result<(), vidcache::Error>| done.map_or_else(|error| error.to_string(), |()| "done".into());
    match dice.below(10) {
        0 => {
            let shared = dice.below(2) == 0;
            let id = Vid::try_from(vid).expect("positive");
            let done = if shared { file.link_shared(key, id) } else { file.link(key, id) };
            (format!("link {user} {vid} {shared}"), code(done), code(host.link(user, vid, shared)))
        }
        1..=3 => {
            let answer = answer(vid, dice.below(2), dice.below(40));
            let asked_at = (dice.below(3) == 0).then(|| milliseconds() + [0, 6_000, -9_000][dice.below(3) as usize]);
            let one = match asked_at {
                Some(at) => file.record_read(key, answer.as_bytes(), None, at).map(drop),
                None => file.record(key, answer.as_bytes(), None).map(drop),
            };
            let what = format!("record {user} {answer}{}", if asked_at.is_some() { ", a read" } else { "" });
            (what, code(one), code(host.record_read(user, &answer, None, asked_at)))
        }
        4 => {
            let (token, begin) = host.vidcache.begin(key).expect("a token");
            host.client.batch_execute(&begin).expect("begun");
            changes.push((user, file.begin_email_change(key).expect("begun"), token));
            (format!("begin {user}"), String::new(), String::new())
        }
        5 if !changes.is_empty() => {
            let at = usize::try_from(dice.below(changes.len() as i64)).expect("small");
            let (user, one, other) = changes[at];
            let answer = answer(vid, dice.below(2), dice.below(40));
            let done = file.record(UserKey::from(user), answer.as_bytes(), Some(one)).map(drop);
            (format!("finish {user} {answer}"), code(done), code(host.record(user, &answer, Some(other))))
        }
        6 if dice.below(4) == 0 => {
            let one = file.forget(key).expect("forgotten");
            let other =
                Session::new(&host.vidcache, &mut host.client).run(&host.vidcache.forget(key)).expect("forgotten");
            (format!("forget {user}"), one.to_string(), other.to_string())
        }
        _ => {
            let body = webhook(dice);
            let one = file.apply_webhook(body.as_bytes()).map(drop);
            (format!("webhook {body}"), code(one), code(host.webhook(&body)))
        }
    }
}

/// The clock of this host.
fn milliseconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("before the year 292 million")
}

/// What standing work finds, of the file and of the tables: two at a time, so that lists go on.
fn lists(dice: &mut Dice, file: &Vidcache, host: &mut Host) -> [Vec<String>; 2] {
    let age = Duration::from_millis(1);
    let mut of_file: Vec<String> = Vec::new();
    let mut of_tables: Vec<String> = Vec::new();
    std::thread::sleep(2 * age);
    for confirmed in [false, true] {
        let words = |user: vidcache::UserToRead| format!("read {confirmed} {} {}", user.user, user.vid);
        of_file.extend(file.users_to_read(confirmed, age, None, 100).expect("a list").into_iter().map(words));
        let ask = |tables: &Database, after: Option<&Vid>| tables.ask_users_to_read(confirmed, age, after.copied(), 2);
        let found = host.list(ask, |tables, answer| tables.users_to_read(confirmed, age, answer));
        of_tables.extend(found.into_iter().map(words));
    }
    let words = |one: vidcache::Conflict| format!("conflict {} {:?} {:?} {:?}", one.user, one.vid, one.holder, one.why);
    of_file.extend(file.conflicts(None, 100).expect("a list").into_iter().map(words));
    let key = |user: &String| UserKey::from(user.parse::<i64>().expect("a number"));
    let found = host.list(|tables, after| tables.ask_conflicts(after.map(key), 2), Database::conflicts);
    of_tables.extend(found.into_iter().map(words));
    let words = |(user, vid): (String, Vid)| format!("linked {user} {vid}");
    of_file.extend(file.linked_users(None, 100).expect("a list").into_iter().map(words));
    let found = host.list(|tables, after| tables.ask_linked_users(after.map(key), 2), Database::linked_users);
    of_tables.extend(found.into_iter().map(words));
    let keys: Vec<UserKey<'_>> = (1..=USERS).map(UserKey::from).collect();
    let Host { client, vidcache } = host;
    of_tables.push(format!("{:?}", Session::new(vidcache, &mut *client).read(&vidcache.resolve_many(&keys))));
    of_file.push(format!("{:?}", file.resolve_many(&keys)));
    {
        let key = keys[usize::try_from(dice.below(USERS)).expect("small")];
        let resolved = Session::new(vidcache, &mut *client).read(&vidcache.resolve(key)).expect("resolved");
        let refused = Session::new(vidcache, &mut *client).read(&vidcache.refusal(key)).expect("asked");
        let known = Session::new(vidcache, &mut *client).read(&vidcache.knows(key)).expect("asked");
        of_tables.push(format!("{resolved:?} {refused:?} {known}"));
        let (resolved, refused) = (file.resolve(key).expect("resolved"), file.refusal(key).expect("asked"));
        let changing = file.stale_changes(Duration::ZERO, 100).expect("a list").iter().any(|c| c.user == key.to_text());
        let known = resolved.is_some() || refused.is_some() || changing;
        of_file.push(format!("{resolved:?} {refused:?} {known}"));
    }
    for all in [&mut of_file, &mut of_tables] {
        all.sort();
        all.dedup();
    }
    [of_file, of_tables]
}

fn page(file: &Vidcache, user: i64, email: &Email) -> Page {
    let decision = file.decide(UserKey::from(user), Some(email)).expect("decided");
    (decision.email().map(str::to_owned), decision.id().map(Vid::get), decision.reason(), None)
}

/// What one host writes, once it has asked, and before it can know what the other one writes.
fn asked(host: &mut Host, body: &str) -> Vec<String> {
    let errand = host.vidcache.apply_webhook(body.as_bytes()).expect("a webhook");
    let answer = Host::text(&mut host.client, &errand.ask());
    errand.finish(&answer).expect("taken in").1
}

#[test]
fn what_two_hosts_are_told_at_once_a_file_says_that_was_told_both() {
    let Some(server) = Server::get() else { return };
    let (name, mut one) = Host::first(&server);
    let mut other = Host::of(&server, &name, PORTAL, SECRET);
    let (mut named, mut said) = (0, 0);
    for seed in 100..105 {
        let dice = &mut Dice(seed);
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options { secret: Some(SECRET), synchronous: Synchronous::Normal, ..Options::default() };
        let file = Vidcache::open(folder.path().join("file"), PORTAL, &options).expect("a file");
        for user in 1..=USERS {
            let vid = Vid::try_from(900 + user).expect("positive");
            file.link(UserKey::from(user), vid).expect("linked");
            one.link(user, vid.get(), false).expect("linked");
        }
        let mut told = Vec::new();
        for _ in 0..12 {
            // Erasures take out more than is told of, so what comes at the same time may stay unseen till it is read.
            let mut body = || std::iter::repeat_with(|| webhook(dice)).find(|body| !body.contains("privacy"));
            let bodies = [body().expect("dice"), body().expect("dice")];
            let statements = [asked(&mut one, &bodies[0]), asked(&mut other, &bodies[1])];
            for (host, statements) in [&mut other, &mut one].into_iter().zip(statements.iter().rev()) {
                let mut tx = host.client.transaction().expect("a transaction");
                statements.iter().for_each(|sql| tx.batch_execute(sql).expect("written"));
                tx.commit().expect("committed");
            }
            for body in &bodies {
                file.apply_webhook(body.as_bytes()).expect("taken in");
            }
            told.extend(bodies);
            for user in 1..=USERS {
                let text = email(dice.below(2));
                let right = page(&file, user, &Email::parse(&text).expect("an email"));
                named += u32::from(right.0.is_some());
                said += 1;
                assert_eq!(one.page(user, &text), right, "seed {seed}, user {user}, after\n{}", told.join("\n"));
            }
        }
        empty(&mut one);
    }
    println!("{said} pages said the same, {named} of them named an email");
    assert!(named > 20, "only {named} of {said} named an email");
}

fn empty(host: &mut Host) {
    host.client
        .batch_execute(
            "TRUNCATE vidcache_links, vidcache_contacts, vidcache_merges, vidcache_secondaries, vidcache_changes,
             vidcache_conflicts, vidcache_erased, vidcache_buried, vidcache_erased_users",
        )
        .expect("emptied");
}

#[test]
fn every_page_says_the_same_of_the_tables_as_of_a_file() {
    let Some(server) = Server::get() else { return };
    let (name, mut one) = Host::first(&server);
    let mut other = Host::of(&server, &name, PORTAL, SECRET);
    let (mut named, mut said) = (0, 0);
    for seed in 0..6 {
        let dice = &mut Dice(seed);
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options { secret: Some(SECRET), synchronous: Synchronous::Normal, ..Options::default() };
        let file = Vidcache::open(folder.path().join("file"), PORTAL, &options).expect("a file");
        let (mut changes, mut told) = (Vec::new(), Vec::new());
        for _ in 0..40 {
            let (writer, reader) = if dice.below(2) == 0 { (&mut one, &mut other) } else { (&mut other, &mut one) };
            let (what, of_file, of_tables) = say(dice, &file, writer, &mut changes);
            told.push(what);
            assert_eq!(of_file, of_tables, "seed {seed}, after {}", told.join("\n"));
            for user in 1..=USERS {
                let text = email(dice.below(2));
                let email = Email::parse(&text).expect("an email");
                let right = page(&file, user, &email);
                named += u32::from(right.0.is_some());
                said += 1;
                assert_eq!(reader.page(user, &text), right, "seed {seed}, user {user}, after\n{}", told.join("\n"));
            }
        }
        assert_eq!(file.verify(), Ok(Vec::new()));
        empty(&mut one);
    }
    println!("{said} pages said the same, {named} of them named an email");
    assert!(named > 50, "only {named} of {said} named an email");
}

#[test]
fn every_list_says_the_same_of_the_tables_as_of_a_file() {
    let Some(server) = Server::get() else { return };
    let (_, mut host) = Host::first(&server);
    let mut kinds = [0; 4];
    for seed in 200..204 {
        let dice = &mut Dice(seed);
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options { secret: Some(SECRET), synchronous: Synchronous::Normal, ..Options::default() };
        let file = Vidcache::open(folder.path().join("file"), PORTAL, &options).expect("a file");
        let (mut changes, mut told) = (Vec::new(), Vec::new());
        for user in 1..=USERS {
            let vid = Vid::try_from(900 + user).expect("positive");
            file.link(UserKey::from(user), vid).expect("linked");
            host.link(user, vid.get(), false).expect("linked");
        }
        // Of a contact that lives no row of the user's says anything.
        let body = format!(
            r#"[{{"portalId":{PORTAL},"occurredAt":1772359205000,"eventId":1,"subscriptionType":"contact.merge","primaryObjectId":911,"mergedObjectIds":[910]}}]"#
        );
        file.record(UserKey::from(9), answer(910, 0, 1).as_bytes(), None).expect("recorded");
        host.record(9, &answer(910, 0, 1), None).expect("recorded");
        file.apply_webhook(body.as_bytes()).expect("merged");
        host.webhook(&body).expect("merged");
        for step in 1..=24 {
            let (what, of_file, of_tables) = say(dice, &file, &mut host, &mut changes);
            told.push(what);
            assert_eq!(of_file, of_tables, "seed {seed}, after {}", told.join("\n"));
            if step % 4 == 0 {
                let [of_file, of_tables] = lists(dice, &file, &mut host);
                assert_eq!(of_file, of_tables, "seed {seed}, after\n{}", told.join("\n"));
                for (kind, begins) in ["read false", "read true", "conflict", "linked"].iter().enumerate() {
                    kinds[kind] += of_file.iter().filter(|line| line.starts_with(begins)).count();
                }
            }
        }
        empty(&mut host);
    }
    println!("{kinds:?} lines of users to read, unconfirmed and confirmed, of conflicts, and of linked users");
    assert!(kinds.iter().all(|lines| *lines > 10), "{kinds:?}");
}

#[test]
fn a_file_that_is_copied_twice_says_the_same_and_without_its_key_no_email() {
    let Some(server) = Server::get() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, secret| {
        let options = Options { secret: Some(secret), synchronous: Synchronous::Normal, ..Options::default() };
        Vidcache::open(folder.path().join(name), PORTAL, &options).expect("a file")
    };
    for (name, secret) in [("same", SECRET), ("other", b"the secret of another file of it" as &[u8])] {
        let file = file(name, secret);
        for user in 1..=USERS {
            let key = UserKey::from(user);
            file.record(key, answer(900 + user, user % 2, 1).as_bytes(), None).expect("recorded");
        }
        file.apply_webhook(
            format!(
                r#"[{{"portalId":{PORTAL},"occurredAt":1772359205000,"eventId":1,"subscriptionType":"contact.merge","primaryObjectId":901,"mergedObjectIds":[902]}}]"#
            )
            .as_bytes(),
        )
        .expect("merged");
        file.begin_email_change(UserKey::from(4)).expect("begun");
        let (_, mut host) = Host::first(&server);
        for _ in 0..2 {
            for sql in host.vidcache.copy(&file).expect("statements") {
                host.client.batch_execute(&sql).expect("copied");
            }
        }
        for user in 1..=USERS {
            let text = email(user % 2);
            let right = page(&file, user, &Email::parse(&text).expect("an email"));
            let found = host.page(user, &text);
            match name {
                "same" => assert_eq!(found, right),
                _ => assert_eq!((found.0, found.1), (None, right.1)),
            }
        }
    }
}
