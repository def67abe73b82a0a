//! The loop that sends the statements, over the connections of the crate `postgres`: a client, one that keeps
//! statements prepared, and a transaction of the app's.

use std::sync::Barrier;
use std::time::Duration;

use postgres::{Client, Transaction};
use vidcache::in_database::{Database, Turn};
use vidcache::{Email, Error, Options, Reason, UserKey, Vid};
use vidcache_fleet::told::{ANN, answer, hosts, hosts_one_set_up};
use vidcache_fleet::{Host, PORTAL, SECRET, Server};
use vidcache_postgres::{Connection, Prepared, Session, set_up};

fn user(number: i64) -> UserKey<'static> {
    UserKey::from(number)
}

fn vid(number: i64) -> Vid {
    Vid::try_from(number).expect("positive")
}

/// What a page about the user says, and the error beside it.
fn page(vidcache: &Database, connection: impl Connection, number: i64) -> (Option<i64>, Reason, Option<Error>) {
    let email = Email::parse(ANN).expect("an email");
    let (page, why) = Session::new(vidcache, connection).page(user(number), Some(&email));
    let decision = page.decision();
    (decision.id().map(Vid::get), decision.reason(), why)
}

fn prepared_statements(client: &mut Client) -> String {
    Host::text(client, "SELECT count(*) FROM pg_prepared_statements")
}

#[test]
fn a_page_is_one_statement_that_stays_prepared_and_of_a_shared_contact_two() {
    let Some(server) = Server::get() else { return };
    let (name, web, mut worker) = hosts(&server);
    let mut kept = Prepared::from(server.connect(&name));
    for _ in 0..3 {
        assert_eq!(page(&web.vidcache, &mut kept, 1), (Some(901), Reason::Agreed, None));
    }
    assert_eq!(prepared_statements(&mut kept), "1");
    worker.link(2, 901, true).expect("shared");
    for _ in 0..3 {
        assert_eq!(page(&web.vidcache, &mut kept, 2), (Some(901), Reason::Agreed, None));
    }
    assert_eq!(prepared_statements(&mut kept), "2");
    // A client that keeps nothing says the same, and leaves nothing behind.
    assert_eq!(page(&web.vidcache, &mut worker.client, 2), (Some(901), Reason::Agreed, None));
    assert_eq!(prepared_statements(&mut worker.client), "0");
}

#[test]
fn answers_that_are_kept_are_asked_for_once_whichever_connection_it_is() {
    let Some(server) = Server::get() else { return };
    let (name, _, _) = hosts(&server);
    let options = Options { secret: Some(SECRET), ..Options::default() };
    let vidcache = Database::new("public", PORTAL, &options).expect("options");
    let mut vidcache = vidcache.watching(Duration::from_secs(5), 1 << 20).expect("memory");
    let mut kept = Prepared::from(server.connect(&name));
    set_up(&mut vidcache, &mut kept).expect("set up");
    for _ in 0..3 {
        assert_eq!(page(&vidcache, &mut kept, 1), (Some(901), Reason::Agreed, None));
    }
    assert_eq!(vidcache.watch_stats().expect("it keeps answers").hits, 2);
}

#[test]
fn what_fails_on_a_page_leaves_the_app_s_transaction_as_it_was() {
    let Some(server) = Server::get() else { return };
    let (_, mut web, mut worker) = hosts(&server);
    worker.client.batch_execute("CREATE TABLE app (id int); ALTER TABLE vidcache_links RENAME TO gone").expect("done");
    let mut tx = web.client.transaction().expect("a transaction");
    tx.batch_execute("INSERT INTO app VALUES (1)").expect("the app's");
    let (id, reason, why) = page(&web.vidcache, &mut tx, 1);
    assert_eq!((id, reason), (None, Reason::Stale));
    assert!(matches!(why, Some(Error::TablesUnusable(why)) if why.contains("run the app's migrations")));
    tx.commit().expect("committed");
    assert_eq!(worker.client.query_one("SELECT count(*) FROM app", &[]).expect("a count").get::<_, i64>(0), 1);
}

#[test]
fn a_change_begins_with_the_app_s_transaction_and_its_turn_comes_once_it_was_seen() {
    let Some(server) = Server::get() else { return };
    let (_, mut web, mut worker) = hosts(&server);
    let begin =
        |vidcache: &Database, tx: &mut Transaction<'_>| Session::new(vidcache, tx).begin(user(1)).expect("begun");
    let mut tx = web.client.transaction().expect("a transaction");
    let gone = begin(&web.vidcache, &mut tx);
    tx.rollback().expect("rolled back");
    assert_eq!(page(&worker.vidcache, &mut worker.client, 1).1, Reason::Agreed);
    let turn = Session::new(&worker.vidcache, &mut worker.client).turn(user(1), gone, Duration::ZERO);
    assert_eq!(turn, Err(Error::UnknownChange));

    let mut tx = web.client.transaction().expect("a transaction");
    let token = begin(&web.vidcache, &mut tx);
    Session::new(&web.vidcache, &mut tx).see(token).expect("of what is not committed nothing is seen");
    tx.commit().expect("committed");
    let mut session = Session::new(&worker.vidcache, &mut worker.client);
    let held = session.lease(user(1), Duration::from_secs(60), None).expect("asked").expect("free");
    assert_eq!(session.lease(user(1), Duration::from_secs(60), None), Ok(None), "one worker has it");
    assert_eq!(session.turn(user(1), token, Duration::ZERO), Ok(Turn::See));
    assert!(
        matches!(session.turn(user(1), token, Duration::ZERO), Ok(Turn::Wait(left)) if left > Duration::from_secs(14))
    );
    assert_eq!(session.quiet_period(), Ok(Duration::from_secs(15)));
    let told = answer(901, "new@shop.test", 9);
    let errand = worker.vidcache.record(user(1), told.as_bytes(), Some(token), None).expect("an answer");
    assert_eq!(session.run(&errand).expect("written").expect("recorded").vid, vid(901));
    assert_eq!(session.turn(user(1), token, Duration::ZERO), Ok(Turn::Ended));
    assert_eq!((session.release(user(1), held), session.release(user(1), held)), (Ok(true), Ok(false)));
}

#[test]
fn an_errand_in_the_app_s_transaction_is_a_part_of_it() {
    let Some(server) = Server::get() else { return };
    let (_, mut web, mut worker) = hosts(&server);
    let vidcache = &web.vidcache;
    let mut tx = web.client.transaction().expect("a transaction");
    let taken = Session::new(vidcache, &mut tx).run(&vidcache.link(user(2), vid(901), false));
    assert_eq!(taken.expect_err("it is user 1's").vid(), Some(vid(901)));
    Session::new(vidcache, &mut tx).run(&vidcache.link(user(2), vid(902), false)).expect("linked");
    let known = |host: &mut Host| Session::new(&host.vidcache, &mut host.client).read(&host.vidcache.knows(user(2)));
    assert_eq!(known(&mut worker), Ok(false));
    tx.commit().expect("committed");
    assert_eq!(known(&mut worker), Ok(true));
}

#[test]
fn what_a_deadlock_broke_off_is_run_again() {
    let Some(server) = Server::get() else { return };
    let (name, mut web, mut worker) = hosts(&server);
    worker.record(2, &answer(902, "bob@shop.test", 1), None).expect("recorded");
    web.client.batch_execute("CREATE TABLE app (id int PRIMARY KEY); INSERT INTO app VALUES (1)").expect("a table");
    let meet = Barrier::new(2);
    let vidcache = &web.vidcache;
    // A connection that waits for a row of the app's before it writes, which somebody has who waits for its lock. It
    // begins to wait when the other one does: PostgreSQL looks for a circle once, when somebody has waited for so long.
    struct Crossed<'a>(&'a mut Client, &'a Barrier, u32, Client);
    impl Connection for Crossed<'_> {
        fn ask(&mut self, statement: &str, parameters: &[&str]) -> Result<Option<String>, String> {
            if statement.starts_with("WITH") || statement.contains("RECURSIVE") {
                self.2 += 1;
                if self.2 == 1 {
                    self.1.wait();
                    let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                         AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))::text";
                    while Host::text(&mut self.3, waits) != "true" {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    self.0.run("SET LOCAL deadlock_timeout = '50ms'; UPDATE app SET id = 1 WHERE id = 1")?;
                }
            }
            self.0.ask(statement, parameters)
        }
        fn run(&mut self, statements: &str) -> Result<(), String> {
            self.0.run(statements)
        }
        fn is_in_transaction(&self) -> bool {
            false
        }
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut other = worker.client.transaction().expect("a transaction");
            other
                .batch_execute("SET LOCAL deadlock_timeout = '1min'; UPDATE app SET id = 1 WHERE id = 1")
                .expect("locked");
            meet.wait();
            other
                .batch_execute(&vidcache.link(user(1), vid(901), false).lock())
                .expect("after the other one was ended");
            other.commit().expect("committed");
        });
        let mut crossed = Crossed(&mut web.client, &meet, 0, server.connect(&name));
        Session::new(vidcache, &mut crossed).run(&vidcache.link(user(1), vid(901), false)).expect("linked");
        assert_eq!(crossed.2, 2, "it was run twice");
    });
}

#[test]
fn a_process_that_begins_takes_the_key_and_one_of_another_secret_says_so() {
    let Some(server) = Server::get() else { return };
    let (_, mut web, _) = hosts_one_set_up(&server);
    let options = Options { secret: Some(b"another secret of as many bytes."), ..Options::default() };
    let mut other = Database::new("public", PORTAL, &options).expect("options");
    assert_eq!(set_up(&mut other, &mut web.client), Err(Error::WrongSecret));
    let rotated = Options { old_secrets: &[SECRET], ..options };
    let mut rotated = Database::new("public", PORTAL, &rotated).expect("options");
    set_up(&mut rotated, &mut web.client).expect("the old one opens it");
    set_up(&mut other, &mut web.client).expect("it is wrapped anew");
    assert_eq!(page(&other, &mut web.client, 1), (Some(901), Reason::Agreed, None));
    // Nothing is written into another portal's tables, for which its workers would wait.
    let slow = Options { secret: Some(SECRET), page_deadline: Duration::from_secs(3600), ..Options::default() };
    let mut foreign = Database::new("public", 7, &slow).expect("options");
    let refused = Error::WrongPortal { found: PORTAL, expected: 7 };
    assert_eq!(set_up(&mut foreign, &mut web.client), Err(refused));
    let mut worker = Session::new(&other, &mut web.client);
    assert_eq!(worker.quiet_period(), Ok(Duration::from_secs(15)));
    web.client.batch_execute("DROP TABLE vidcache_meta").expect("dropped");
    let missing = set_up(&mut other, &mut web.client).expect_err("no table");
    assert!(missing.to_string().contains("run the app's migrations"), "{missing}");
    let _ = web.client.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())");
    let (_, reason, why) = page(&other, &mut web.client, 1);
    assert_eq!((reason, why), (Reason::Stale, Some(Error::Storage("the app's database cannot be reached".into()))));
}
