//! The exchange that every other language has: which statement is next, on a real PostgreSQL, by a loop that does no
//! more than send.

use std::sync::RwLock;
use std::time::Duration;

use postgres::Client;
use vidcache::in_database::{Database, Decided, Exchange, Form, Outcome, Said, Step, Turn, Work};
use vidcache::{ChangeToken, Email, Error, Options, Reason, Result, Vid};
use vidcache_fleet::told::{ANN, answer, hosts};
use vidcache_fleet::{PORTAL, SECRET, Server};
use vidcache_postgres::{Connection, SqlState};

type Tables = RwLock<Database>;

/// What came of it, and what was sent.
fn sent(tables: &Tables, mut connection: impl Connection, work: Work) -> (Result<Outcome>, Vec<String>) {
    let mut exchange = Exchange::new(work, connection.is_in_transaction());
    let mut said: std::result::Result<Option<String>, SqlState> = Ok(None);
    let mut statements = Vec::new();
    loop {
        let told = match &said {
            Ok(text) => Said::Answer(text.as_deref()),
            Err(state) => Said::Refused(state),
        };
        let statement = match exchange.next(tables, told) {
            Ok(Step::Send(statement)) => statement,
            Ok(Step::Done(outcome)) => return (Ok(outcome), statements),
            Err(error) => return (Err(error), statements),
        };
        std::thread::sleep(statement.wait);
        let parameters: Vec<&str> = statement.parameters.iter().map(String::as_str).collect();
        said = match statement.asks {
            true => connection.ask(&statement.text, &parameters),
            false => connection.run(&statement.text).map(|()| None),
        };
        statements.push(statement.text);
    }
}

fn done(tables: &Tables, connection: impl Connection, work: Work) -> Outcome {
    sent(tables, connection, work).0.expect("it is done")
}

fn page(user: &str) -> Work {
    Work::Page { user: user.into(), email: Some(Email::parse(ANN).expect("an email")), form: Form::Decision }
}

fn reason(tables: &Tables, connection: impl Connection, user: &str) -> (Reason, Option<Error>) {
    match done(tables, connection, page(user)) {
        Outcome::Page { decision: Decided { reason, .. }, why, .. } => (reason, why),
        other => panic!("{other:?}"),
    }
}

fn link(user: &str, vid: i64) -> Work {
    Work::Link { user: user.into(), vid: Vid::try_from(vid).expect("positive"), shared: false }
}

fn begin(tables: &Tables, connection: impl Connection) -> ChangeToken {
    match done(tables, connection, Work::Begin { user: "1".into() }) {
        Outcome::Change(token) => token,
        other => panic!("{other:?}"),
    }
}

/// Of a server on which user 1 is contact 901: a process that has set itself up, and two connections.
fn process(server: &Server) -> (Tables, Client, Client) {
    let (name, ..) = hosts(server);
    let options = Options { secret: Some(SECRET), ..Options::default() };
    let tables = RwLock::new(Database::new("public", PORTAL, &options).expect("options"));
    let mut client = server.connect(&name);
    assert_eq!(done(&tables, &mut client, Work::SetUp), Outcome::Done);
    (tables, client, server.connect(&name))
}

#[test]
fn a_change_belongs_to_the_transaction_and_a_page_asks_once() {
    let Some(server) = Server::get() else { return };
    let (tables, mut web, mut worker) = process(&server);
    let (outcome, statements) = sent(&tables, &mut web, page("1"));
    assert!(matches!(outcome, Ok(Outcome::Page { why: None, .. })) && statements.len() == 1, "{statements:?}");

    let mut gone = web.transaction().expect("a transaction");
    begin(&tables, &mut gone);
    assert_eq!(reason(&tables, &mut gone, "1").0, Reason::ChangeOutstanding);
    assert_eq!(reason(&tables, &mut worker, "1").0, Reason::Agreed);
    gone.rollback().expect("rolled back");
    assert_eq!(reason(&tables, &mut web, "1").0, Reason::Agreed);

    let mut kept = web.transaction().expect("a transaction");
    let change = begin(&tables, &mut kept);
    assert!(sent(&tables, &mut kept, Work::See { change }).1.is_empty(), "nobody knows yet whether it is committed");
    kept.commit().expect("committed");
    assert_eq!(reason(&tables, &mut worker, "1").0, Reason::ChangeOutstanding);
    let turn = || Work::Turn { user: "1".into(), change, at_least: Duration::ZERO };
    assert_eq!(done(&tables, &mut worker, turn()), Outcome::Turn(Turn::See));
    assert!(matches!(done(&tables, &mut worker, turn()), Outcome::Turn(Turn::Wait(left)) if left.as_secs() >= 14));
    let told = answer(901, ANN, 9).into_bytes();
    let record = Work::Record { user: "1".into(), answer: told, change: Some(change), asked_at: None };
    let (outcome, statements) = sent(&tables, &mut worker, record);
    assert!(matches!(outcome, Ok(Outcome::Recorded(recorded)) if recorded.email_observed));
    assert_eq!(statements.len(), 3, "BEGIN and the lock, the question, what is new and COMMIT: {statements:?}");
    assert_eq!(done(&tables, &mut worker, turn()), Outcome::Turn(Turn::Ended));
    assert_eq!(reason(&tables, &mut web, "1").0, Reason::Agreed);
}

#[test]
fn what_fails_leaves_the_app_s_transaction_as_it_was_and_ends_its_own() {
    let Some(server) = Server::get() else { return };
    let (tables, mut web, mut worker) = process(&server);
    done(&tables, &mut worker, link("7", 907));
    worker.batch_execute("CREATE TABLE app (id int)").expect("the app's");
    let taken = |error: Result<Outcome>| matches!(error, Err(Error::VidTaken { .. }));
    let mut app = web.transaction().expect("a transaction");
    app.batch_execute("INSERT INTO app VALUES (1)").expect("the app's");
    assert!(taken(sent(&tables, &mut app, link("8", 907)).0));
    done(&tables, &mut app, link("9", 909));
    app.batch_execute("ALTER TABLE vidcache_links RENAME TO gone").expect("the app's");
    let (said, why) = reason(&tables, &mut app, "1");
    assert!(said == Reason::Stale && matches!(why, Some(Error::TablesUnusable(_))));
    app.batch_execute("ALTER TABLE gone RENAME TO vidcache_links").expect("the app's");
    app.commit().expect("committed");
    assert_eq!(worker.query("SELECT FROM app", &[]).expect("rows").len(), 1);
    // Of its own it leaves none open.
    assert!(taken(sent(&tables, &mut web, link("8", 909)).0));
    assert!(web.batch_execute("SAVEPOINT inside").is_err(), "a transaction is open");
}

#[test]
fn a_deadlock_is_tried_again_and_nobody_there_is_an_error() {
    let Some(server) = Server::get() else { return };
    let (tables, mut web, _) = process(&server);
    let refused = |times: u32, inside: bool| {
        let mut exchange = Exchange::new(link("8", 908), inside);
        let (mut said, mut waited, mut begun) = (Said::Answer(None), Duration::ZERO, 0);
        loop {
            match exchange.next(&tables, said) {
                Ok(Step::Send(statement)) => {
                    waited += statement.wait;
                    begun += u32::from(statement.text.starts_with("BEGIN"));
                    said = if statement.text.starts_with("ROLLBACK") {
                        Said::Answer(None)
                    } else {
                        Said::Refused("40P01")
                    };
                    if begun > times {
                        return Ok((begun, waited));
                    }
                }
                Ok(Step::Done(outcome)) => panic!("{outcome:?}"),
                Err(error) => return Err((error, begun)),
            }
        }
    };
    assert!(matches!(refused(2, false), Ok((3, waited)) if waited >= Duration::from_millis(50)));
    assert!(matches!(refused(9, false), Err((Error::Busy, 5))));
    assert!(matches!(refused(9, true), Err((Error::Busy, 0))), "the app's own work has gone with it");

    let mut exchange = Exchange::new(page("1"), false);
    assert!(matches!(exchange.next(&tables, Said::Answer(None)), Ok(Step::Send(_))));
    let Ok(Step::Done(Outcome::Page { decision, why, .. })) = exchange.next(&tables, Said::Refused("")) else {
        panic!()
    };
    assert!(decision.reason == Reason::Stale && matches!(why, Some(Error::Storage(_))));
    let mut exchange = Exchange::new(Work::QuietPeriod, false);
    assert!(exchange.next(&tables, Said::Answer(None)).is_ok());
    assert!(matches!(exchange.next(&tables, Said::Refused("08006")), Err(Error::Storage(_))));
    assert_eq!(done(&tables, &mut web, Work::QuietPeriod), Outcome::Time(Duration::from_secs(15)));
}

#[test]
fn lists_are_whole_and_tables_are_set_up_once() {
    let Some(server) = Server::get() else { return };
    let (tables, mut web, _) = process(&server);
    let rows = |from: i64| {
        (from..from + 150).map(|n| vidcache::in_database::ImportedRow {
            user: n.to_string(),
            vid: Vid::try_from(10_000 + n).expect("positive"),
            email: None,
        })
    };
    done(&tables, &mut web, Work::Import { rows: rows(100).collect() });
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let work = Work::UsersToRead { confirmed: false, older_than: Duration::ZERO, after, limit: 40 };
        let Outcome::UsersToRead(users, next) = done(&tables, &mut web, work) else { panic!() };
        assert!(users.len() <= 40 && (next.is_none() || !users.is_empty()));
        found.extend(users.into_iter().map(|user| user.user));
        after = next;
        if after.is_none() {
            break;
        }
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 150);
    assert_eq!(done(&tables, &mut web, Work::Verify), Outcome::Texts(Vec::new()));
    let lease = Work::Lease { user: "1".into(), duration: Duration::from_secs(9), held: None };
    assert!(matches!(done(&tables, &mut web, lease.clone()), Outcome::Lease(Some(_))));
    assert_eq!(done(&tables, &mut web, lease), Outcome::Lease(None));

    // What has doubted nothing says so.
    assert_eq!(done(&tables, &mut web, Work::DoubtAll), Outcome::Done);
    web.batch_execute("BEGIN; DELETE FROM vidcache_meta").expect("emptied");
    let doubted = sent(&tables, &mut web, Work::DoubtAll).0;
    assert!(matches!(&doubted, Err(Error::TablesUnusable(why)) if why.contains("vidcache_meta")), "{doubted:?}");
    web.batch_execute("ROLLBACK").expect("back");

    let other = Options { secret: Some(b"another secret of thirty-two b."), ..Options::default() };
    let other = RwLock::new(Database::new("public", PORTAL, &other).expect("options"));
    assert!(matches!(sent(&other, &mut web, Work::SetUp).0, Err(Error::WrongSecret)));
}
