//! What a real server does to those who ask it: refuses, waits, dies, answers nonsense. A page says less, a write is an
//! error of a code that says what to do, and nothing wrong is said or written.

use std::time::Duration;

use postgres::error::SqlState;
use vidcache::in_database::{Distrust, Reply};
use vidcache::{Email, Error, ErrorCode, Reason, UserKey, Vid};
use vidcache_fleet::told::{ANN, answer, hosts_one_set_up as hosts};
use vidcache_fleet::{Host, PORTAL, SECRET, Server};

/// What became of a page's statement and of a write's: the library's errors.
fn refused(host: &mut Host) -> (ErrorCode, ErrorCode) {
    let Host { client, vidcache } = host;
    let code = |error: postgres::Error| {
        let state = error.code().map_or("", SqlState::code);
        vidcache.failure(state).code()
    };
    let page = client.simple_query(&vidcache.ask(UserKey::from(1))).map(drop).map_err(code);
    let (_, begin) = vidcache.begin(UserKey::from(1)).expect("a token");
    let begun = client.batch_execute(&begin).map_err(code);
    (page.expect_err("refused"), begun.expect_err("refused"))
}

#[test]
fn tables_that_are_missing_half_migrated_or_locked_are_a_typed_error_that_says_what_to_do() {
    let Some(server) = Server::get() else { return };
    let (name, mut web, mut worker) = hosts(&server);
    let unusable = (ErrorCode::TablesUnusable, ErrorCode::TablesUnusable);
    // Locked by somebody's migration: for as long as the app's own timeout.
    web.client.batch_execute("SET lock_timeout = '50ms'; SET statement_timeout = '1s'").expect("set");
    let mut ddl = worker.client.transaction().expect("a transaction");
    ddl.batch_execute("ALTER TABLE vidcache_links ADD note text; ALTER TABLE vidcache_changes ADD note text")
        .expect("ddl");
    assert_eq!(refused(&mut web), (ErrorCode::Busy, ErrorCode::Busy));
    ddl.rollback().expect("rolled back");
    assert_eq!(web.page(1, ANN).0.as_deref(), Some(ANN), "the next page is right again");
    // Half migrated, and missing.
    worker
        .client
        .batch_execute(
            "ALTER TABLE vidcache_contacts RENAME email TO old_email; ALTER TABLE vidcache_changes DROP begun_at",
        )
        .expect("ddl");
    assert_eq!(refused(&mut web), unusable);
    worker.client.batch_execute("DROP TABLE vidcache_links, vidcache_changes").expect("ddl");
    assert_eq!(refused(&mut web), unusable);
    let Error::TablesUnusable(words) = web.vidcache.failure("42P01") else { panic!("unusable") };
    assert!(words.contains("run the app's migrations"), "{words}");
    // Nobody there at all.
    let page = web.vidcache.stale_page(web.vidcache.look(), Vid::try_from(901).ok());
    assert_eq!((page.decision().email(), page.decision().reason()), (None, Reason::Stale));
    assert!(page.render(None).contains(r#""id":"vid:901"});"#));
    drop(name);
}

#[test]
fn whoever_may_only_read_is_told_so_and_writes_nothing() {
    let Some(server) = Server::get() else { return };
    let (name, _, mut worker) = hosts(&server);
    worker
        .client
        .batch_execute("CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
        .expect("a role");
    let mut web = Host { client: server.connect_as(&name, "reader"), ..Host::of(&server, &name, PORTAL, SECRET) };
    assert_eq!(web.page(1, ANN).0.as_deref(), Some(ANN), "to ask takes no more");
    let (_, begin) = web.vidcache.begin(UserKey::from(1)).expect("a token");
    let error = web.client.batch_execute(&begin).expect_err("refused");
    let error = web.vidcache.failure(error.code().expect("a state").code());
    assert!(error.to_string().contains("GRANT"), "{error}");
    web.client.batch_execute("SET default_transaction_read_only = on").expect("set");
    assert_eq!(web.page(1, ANN).3, Some(Distrust::Replica.error(PORTAL)));
    let standing =
        worker.vidcache.turn(UserKey::from(1), vidcache::ChangeToken::try_from(7).expect("one"), Duration::ZERO);
    let answer = Host::text(&mut web.client, &standing.ask());
    assert_eq!(standing.read(&answer).expect_err("refused").code(), ErrorCode::TablesUnusable);
}

/// What a person, another program or a damaged disk may have put into the columns.
const GARBAGE: &[&str] = &[
    r"UPDATE vidcache_meta SET portal = -1",
    r"UPDATE vidcache_meta SET key_check = ''",
    r"UPDATE vidcache_meta SET key_check = '\x00'",
    r"UPDATE vidcache_meta SET min_reader = 9223372036854775807",
    r"UPDATE vidcache_meta SET doubted_to = -9223372036854775808, doubted_at = -9223372036854775808",
    r"UPDATE vidcache_meta SET doubted_to = 9223372036854775807, doubted_at = 9223372036854775807",
    r"UPDATE vidcache_links SET vid = 0",
    r"UPDATE vidcache_links SET vid = -901",
    r"UPDATE vidcache_links SET vid = -9223372036854775808",
    r"UPDATE vidcache_links SET first_at = -9223372036854775808, last_at = 9223372036854775807",
    r"INSERT INTO vidcache_links VALUES ('\x', 901, 1, 1)",
    r"INSERT INTO vidcache_links VALUES ('\xff00', 901, 1, 1)",
    r"INSERT INTO vidcache_links VALUES ('\x0101', 901, 1, 1)",
    r"INSERT INTO vidcache_links VALUES ('\x0331', 901, 1, 1)",
    r"INSERT INTO vidcache_links VALUES ('\x03ff', 901, 1, 1)",
    r"UPDATE vidcache_contacts SET email = ''",
    r"UPDATE vidcache_contacts SET email = '\x00'",
    r"UPDATE vidcache_contacts SET email = decode(repeat('ab', 20), 'hex')",
    r"UPDATE vidcache_contacts SET email = sha256('x')",
    r"UPDATE vidcache_contacts SET email_at = NULL",
    r"UPDATE vidcache_contacts SET whose = NULL",
    r"UPDATE vidcache_contacts SET whose = '\x00'",
    r"UPDATE vidcache_contacts SET whose = '\x010000000000000002'",
    r"UPDATE vidcache_contacts SET doubted_at = 9223372036854775807",
    r"UPDATE vidcache_contacts SET deleted_at = 9223372036854775807",
    r"INSERT INTO vidcache_merges VALUES (901, -5, 1, true, 1)",
    r"INSERT INTO vidcache_merges VALUES (901, 0, -9223372036854775808, true, 9223372036854775807)",
    r"INSERT INTO vidcache_merges VALUES (901, 902, 9223372036854775807, false, -1), (902, 901, 9223372036854775807, false, -1)",
    r"INSERT INTO vidcache_changes VALUES (-7, '\x010000000000000001', 1, 1, NULL, NULL, 1)",
    r"INSERT INTO vidcache_changes VALUES (0, '\x010000000000000001', 1, 1, NULL, NULL, 1)",
    r"INSERT INTO vidcache_changes VALUES (7, '\x010000000000000001', NULL, NULL, NULL, -5, 1)",
    r"INSERT INTO vidcache_changes VALUES (7, '\x010000000000000001', 9223372036854775807, -1, NULL, 99, 1)",
    r"INSERT INTO vidcache_erased VALUES (901)",
    r"INSERT INTO vidcache_erased VALUES (-901); UPDATE vidcache_links SET vid = -901",
];

/// What decides nothing on a page, but is put into the rows that a worker works on.
const WORKERS_GARBAGE: &[&str] = &[
    r"INSERT INTO vidcache_secondaries VALUES (901, '\x00', 1)",
    r"INSERT INTO vidcache_secondaries VALUES (901, sha256('x'), 1)",
    r"INSERT INTO vidcache_conflicts VALUES ('\x010000000000000001', -1, 99, NULL, NULL, NULL)",
    r"INSERT INTO vidcache_conflicts VALUES ('\x010000000000000001', 0, 1, 1, 9223372036854775807, NULL)",
    r"INSERT INTO vidcache_deadlines VALUES (-1, 9223372036854775807)",
    r"INSERT INTO vidcache_changes VALUES (8, NULL, 1, 1, 2, 3, 1)",
];

#[test]
fn garbage_in_any_column_makes_a_page_say_less_and_never_another_email_or_id() {
    let Some(server) = Server::get() else { return };
    let (_, mut web, mut worker) = hosts(&server);
    let email = Email::parse(ANN).expect("an email");
    let mut stale = 0;
    for sql in GARBAGE.iter().chain(WORKERS_GARBAGE) {
        let mut tx = web.client.transaction().expect("a transaction");
        // Whoever writes such a row says so in the contact's.
        if sql.starts_with("INSERT") {
            tx.batch_execute("UPDATE vidcache_contacts SET whose = ''").expect("raised");
        }
        tx.batch_execute(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        let mut ask = web.vidcache.ask(UserKey::from(1));
        let look = web.vidcache.look();
        let decision = loop {
            let answer: String = tx.query_one(&ask, &[]).unwrap_or_else(|error| panic!("{error}: {sql}")).get(0);
            match web.vidcache.reply(UserKey::from(1), Some(&email), &answer, look) {
                Reply::More(more) => ask = more,
                Reply::Page(page, _) => break page.decision(),
            }
        };
        // What says nothing about the contact's email leaves the page as it was: a doubt of nothing that was said, too.
        let harmless =
            ["first_at", "doubted_to = -", "contacts SET doubted_at", "whose"].iter().any(|part| sql.contains(part))
                || WORKERS_GARBAGE.contains(sql);
        assert!(decision.email().is_none() || harmless, "{sql}: {decision:?}");
        assert!(decision.id().is_none_or(|id| [901, 902].contains(&id.get())), "{sql}: {decision:?}");
        stale += u32::from(decision.reason() == Reason::Stale);
        // A worker's errand is done or refused, and no panic.
        let errand =
            web.vidcache.record(UserKey::from(1), answer(901, ANN, 9).as_bytes(), None, None).expect("an answer");
        let asked: String = tx.query_one(&errand.ask(), &[]).expect("asked").get(0);
        match errand.finish(&asked) {
            Err(error) => assert!(
                [
                    ErrorCode::Corrupt,
                    ErrorCode::TablesUnusable,
                    ErrorCode::WrongPortal,
                    ErrorCode::WrongSecret,
                    ErrorCode::NewerSchema
                ]
                .contains(&error.code()),
                "{sql}: {error:?}"
            ),
            Ok((_, statements)) => statements.iter().for_each(|sql| {
                // The server may still refuse one: then the transaction is rolled back.
                let _ = tx.batch_execute(sql);
            }),
        }
        tx.rollback().expect("rolled back");
    }
    assert!(stale > 10, "{stale} of {}", GARBAGE.len());
    assert_eq!(worker.page(1, ANN).0.as_deref(), Some(ANN), "nothing of it is left");
}
