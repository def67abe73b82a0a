//! The rows of a contact and of a conflict as two hosts write them at once, and what a page's statements cost.

use std::time::Duration;

use vidcache::{Error, Reason, UserKey, Vid};
use vidcache_fleet::{Host, PORTAL, Page, SECRET, Server};

const ANN: &str = "ann@shop.test";

/// HubSpot's answer: which email a contact holds, as of some second.
fn answer(vid: i64, email: &str, second: u8) -> String {
    format!(r#"{{"id":"{vid}","properties":{{"email":"{email}"}},"updatedAt":"2026-03-01T10:00:{second:02}.000Z"}}"#)
}

/// HubSpot's webhook, as of some second of the same minute.
fn event(fields: &str, second: i64) -> String {
    format!(r#"{{"portalId":{PORTAL},"occurredAt":{},"eventId":1,{fields}}}"#, 1_772_359_200_000 + second * 1000)
}

fn id_alone(id: i64, why: Reason) -> Page {
    (None, Some(id), why, None)
}

/// Two hosts, of which one has recorded that user 1 is contact 901 and HubSpot holds Ann's email for it.
fn hosts(server: &Server) -> (String, Host, Host) {
    let (name, mut worker) = Host::first(server);
    let mut web = Host::of(server, &name, PORTAL, SECRET);
    web.set_up();
    worker.record(1, &answer(901, ANN, 0), None).expect("recorded");
    (name, web, worker)
}

/// Each asks before the other one writes, and neither waits for the other.
#[test]
fn of_two_users_who_are_linked_to_one_contact_at_once_each_one_s_page_knows_of_the_other_one() {
    let Some(server) = Server::get() else { return };
    let (name, mut one, _) = hosts(&server);
    let mut other = Host::of(&server, &name, PORTAL, SECRET);
    let linked = |host: &mut Host, user: i64| {
        let errand = host.vidcache.link(UserKey::from(user), Vid::try_from(905).expect("positive"), true);
        let answer = Host::text(&mut host.client, &errand.ask());
        errand.finish(&answer).expect("linked").1
    };
    let (first, second) = (linked(&mut one, 5), linked(&mut other, 6));
    let mut tx = one.client.transaction().expect("a transaction");
    first.iter().for_each(|sql| tx.batch_execute(sql).expect("written"));
    std::thread::scope(|scope| {
        let written = scope.spawn(|| second.iter().for_each(|sql| other.client.batch_execute(sql).expect("written")));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!written.is_finished(), "the row is the first one's until it commits");
        tx.commit().expect("committed");
    });
    let (_, begin) = other.vidcache.begin(UserKey::from(6)).expect("a token");
    other.client.batch_execute(&begin).expect("begun");
    assert_eq!(one.page(5, ANN), id_alone(905, Reason::ChangeOutstanding));
    assert_eq!(other.page(6, ANN), id_alone(905, Reason::ChangeOutstanding));
}

/// A page asks no more whether an email was buried, so whoever buries one has to find it wherever it is written.
#[test]
fn an_email_that_one_host_buries_while_another_one_writes_it_down_is_in_no_row() {
    let Some(server) = Server::get() else { return };
    let (name, mut one, mut other) = hosts(&server);
    let mut web = Host::of(&server, &name, PORTAL, SECRET);
    let erased = format!("[{}]", event(r#""subscriptionType":"contact.privacyDeletion","objectId":901"#, 9));
    let body = answer(902, ANN, 5);
    let errand = one.vidcache.record(UserKey::from(2), body.as_bytes(), None, None).expect("an answer");
    let mut tx = one.client.transaction().expect("a transaction");
    tx.batch_execute(&errand.lock()).expect("locked");
    let asked: String = tx.query_one(&errand.ask(), &[]).expect("asked").get(0);
    std::thread::scope(|scope| {
        let buried = scope.spawn(|| other.webhook(&erased).expect("applied"));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!buried.is_finished(), "whoever buries waits for those who write emails down");
        errand.finish(&asked).expect("done").1.iter().for_each(|sql| tx.batch_execute(sql).expect("written"));
        tx.commit().expect("committed");
    });
    assert_eq!(web.page(2, ANN), id_alone(902, Reason::EmailUnconfirmed));
    assert_eq!(web.page(1, ANN).0, None);
    let emails = "SELECT count(*) FROM vidcache_contacts WHERE email IS NOT NULL";
    assert_eq!(web.client.query_one(emails, &[]).expect("counted").get::<_, i64>(0), 0);
}

/// Of two conflicts at one time the one with the greater contact counts, and of two of one contact the earlier one, as
/// where one host was told both.
#[test]
fn since_when_there_is_a_conflict_is_joined_by_its_own_join_whoever_writes_last() {
    let Some(server) = Server::get() else { return };
    let (_, mut web, _) = hosts(&server);
    let body = answer(901, ANN, 1);
    let errand = web.vidcache.record(UserKey::from(2), body.as_bytes(), None, None).expect("an answer");
    let (told, written) = errand.finish(&Host::text(&mut web.client, &errand.ask())).expect("done");
    assert!(matches!(told, Err(Error::VidTaken { .. })), "{told:?}");
    let sql = written.iter().find(|sql| sql.contains("vidcache_conflicts")).expect("a conflict is written");
    let (into, rest) = sql.split_once("VALUES").expect("rows");
    let (_, join) = rest.split_once("ON CONFLICT").expect("a join");
    // Holder, since, last; and what is left of the two.
    for (one, other, left) in [
        ((905, 10, 20), (905, 5, 20), (905, 5, 20)),
        ((905, 10, 20), (906, 15, 20), (906, 15, 20)),
        ((905, 1, 20), (905, 25, 30), (905, 25, 30)),
        ((906, 1, 20), (905, 25, 30), (905, 25, 30)),
    ] {
        for order in [[one, other], [other, one]] {
            web.client.batch_execute("TRUNCATE vidcache_conflicts").expect("emptied");
            for (holder, since, last) in order {
                let row = format!("(decode('010000000000000002', 'hex'), {holder}, 1, {since}, {last}, NULL)");
                web.client.batch_execute(&format!("{into}VALUES {row} ON CONFLICT{join}")).expect("written");
            }
            let row = web.client.query_one("SELECT holder, since, last_at FROM vidcache_conflicts", &[]).expect("one");
            assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1), row.get::<_, i64>(2)), left, "{order:?}");
        }
    }
}

/// As they are when a file was copied into them, until autovacuum has been there.
#[test]
fn of_many_rows_without_statistics_no_page_s_statement_is_compiled() {
    let Some(server) = Server::get() else { return };
    let (_, mut web, _) = hosts(&server);
    web.client
        .batch_execute(
            r"ALTER TABLE vidcache_links SET (autovacuum_enabled = off);
              ALTER TABLE vidcache_contacts SET (autovacuum_enabled = off);
              INSERT INTO vidcache_links SELECT '\x01'::bytea || int8send(i), 900000000 + i, 1700000000000, 1700000000000
                FROM generate_series(1000, 200999) i;
              INSERT INTO vidcache_contacts (vid, whose)
                SELECT 900000000 + i, '\x01'::bytea || int8send(i) FROM generate_series(1000, 200999) i",
        )
        .expect("filled");
    let of = |prepared: &str| prepared.replace("$1", "'010000000000001388'");
    let mut plan = |sql: &str| -> String {
        let plan = web.client.query(&format!("EXPLAIN {sql}"), &[]).expect("a plan");
        plan.iter().map(|row| row.get::<_, String>(0) + "\n").collect()
    };
    for sql in [web.vidcache.prepared(), web.vidcache.prepared_walk()].map(of) {
        let plan = plan(&sql);
        assert!(!plan.contains("JIT") && !plan.contains("Seq Scan on vidcache_links"), "{plan}");
    }
    let without =
        of(web.vidcache.prepared_walk()).replace("BETWEEN -9223372036854775808 AND 9223372036854775807", "<> 0");
    assert!(plan(&without).contains("JIT"), "without the range it would be");
}
