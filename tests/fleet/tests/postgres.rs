//! The statements on a real PostgreSQL, by several hosts that share nothing else.

use std::sync::Barrier;
use std::time::Duration;

use postgres::IsolationLevel;
use vidcache::in_database::{Database, Distrust, Look, Reply, Turn};
use vidcache::{ChangeToken, Email, Error, Options, Reason, UserKey};
use vidcache_fleet::told::{ANN, answer, event, hosts, id_alone, named};
use vidcache_fleet::watcher::Watcher;
use vidcache_fleet::{Host, PORTAL, Page, SECRET, Server};
use vidcache_postgres::{Session, set_up};

#[test]
fn what_one_host_records_another_one_s_page_says() {
    let Some(server) = Server::get() else { return };
    let (_, mut web, mut worker) = hosts(&server);
    assert_eq!(web.page(1, ANN), named(ANN, 901));
    assert_eq!(web.page(2, ANN), (None, None, Reason::NotLinked, None));
    worker.webhook(&format!("[{}]", event(r#""subscriptionType":"contact.propertyChange","propertyName":"email","objectId":901,"propertyValue":"new@shop.test""#, 5))).expect("applied");
    assert_eq!(web.page(1, ANN), id_alone(901, Reason::EmailDiffers));
    assert_eq!(web.page(1, "new@shop.test"), named("new@shop.test", 901));
}

#[test]
fn a_change_begins_with_the_app_s_transaction_and_is_gone_with_it() {
    let Some(server) = Server::get() else { return };
    let (_, mut web, mut other) = hosts(&server);
    let (_, begin) = web.vidcache.begin(UserKey::from(1)).expect("a token");
    let mut tx = web.client.transaction().expect("a transaction");
    tx.batch_execute(&begin).expect("begun");
    assert_eq!(other.page(1, ANN), named(ANN, 901), "nobody sees what is not committed");
    // The transaction itself does, and keeps nothing of it.
    let own = |tx: &mut postgres::Transaction<'_>| {
        let parameter = web.vidcache.parameter(UserKey::from(1));
        let look = web.vidcache.look();
        let answer: String = tx.query_one(web.vidcache.prepared(), &[&parameter]).expect("asked").get(0);
        let email = Email::parse(ANN).expect("an email");
        match web.vidcache.reply(UserKey::from(1), Some(&email), &answer, look) {
            Reply::Page(page, _) => page.decision().reason(),
            Reply::More(_) => panic!("there is no more"),
        }
    };
    assert_eq!(own(&mut tx), Reason::ChangeOutstanding);
    tx.rollback().expect("rolled back");
    assert_eq!(web.page(1, ANN), named(ANN, 901));

    let (change, begin) = web.vidcache.begin(UserKey::from(1)).expect("a token");
    web.client.batch_execute(&begin).expect("committed");
    assert_eq!(other.page(1, ANN), id_alone(901, Reason::ChangeOutstanding));
    assert_eq!(other.turn(1, change), Ok(Turn::See));
    assert!(matches!(other.turn(1, change), Ok(Turn::Wait(_))));
    other
        .client
        .batch_execute(
            "UPDATE vidcache_changes SET seen_at = seen_at - 20000, begun_at = begun_at - 20000;
             UPDATE vidcache_links SET first_at = first_at - 20000, last_at = last_at - 20000",
        )
        .expect("later");
    assert_eq!(web.turn(1, change), Ok(Turn::Now));
    other.record(1, &answer(901, "new@shop.test", 9), Some(change)).expect("recorded");
    assert_eq!(web.page(1, "new@shop.test"), named("new@shop.test", 901));
    assert_eq!(web.turn(1, change), Ok(Turn::Ended));
    assert_eq!(web.turn(2, change), Err(Error::ForeignChange));
    assert_eq!(web.turn(2, ChangeToken::try_from(7).expect("positive")), Err(Error::UnknownChange));
}

#[test]
fn whoever_comes_to_the_contact_after_the_change_was_seen_begins_its_quiet_period_anew() {
    let Some(server) = Server::get() else { return };
    let (_, mut web, mut worker) = hosts(&server);
    let (change, begin) = web.vidcache.begin(UserKey::from(1)).expect("a token");
    web.client.batch_execute(&begin).expect("committed");
    assert_eq!(worker.turn(1, change), Ok(Turn::See));
    web.client
        .batch_execute(
            "UPDATE vidcache_changes SET seen_at = seen_at - 20000, begun_at = begun_at - 20000;
             UPDATE vidcache_links SET first_at = first_at - 20000, last_at = last_at - 20000",
        )
        .expect("later");
    assert_eq!(worker.turn(1, change), Ok(Turn::Now));
    web.link(2, 901, true).expect("shared");
    assert_eq!(worker.turn(1, change), Ok(Turn::See), "pages of user 2 named the email until now");
    assert!(matches!(worker.turn(1, change), Ok(Turn::Wait(_))));
    assert_eq!(web.page(2, ANN), id_alone(901, Reason::ChangeOutstanding));
}

#[test]
fn an_old_snapshot_a_read_only_transaction_and_a_copy_of_another_portal_name_no_email() {
    let Some(server) = Server::get() else { return };
    let (name, mut web, mut worker) = hosts(&server);
    let email = Email::parse(ANN).expect("an email");
    let mut reply = |sql: &str, waited: i64| -> Page {
        web.client.batch_execute(sql).expect("begun");
        let (at, since_boot) = web.vidcache.look().parts();
        let look = Look::of_parts((at, since_boot - waited));
        let answer: String = web.client.query_one(&web.vidcache.ask(UserKey::from(1)), &[]).expect("asked").get(0);
        web.client.batch_execute("COMMIT").expect("committed");
        match web.vidcache.reply(UserKey::from(1), Some(&email), &answer, look) {
            Reply::Page(page, why) => {
                let decision = page.decision();
                (
                    decision.email().map(str::to_owned),
                    decision.id().map(|vid| vid.get()),
                    decision.reason(),
                    why.map(|why| why.error(PORTAL)),
                )
            }
            Reply::More(_) => panic!("there is no more"),
        }
    };
    assert_eq!(reply("BEGIN", 0), named(ANN, 901));
    assert_eq!(reply("BEGIN READ ONLY", 0), (None, None, Reason::Stale, Some(Distrust::Replica.error(PORTAL))));
    let old = reply("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_sleep(0.05)", 9_960);
    assert_eq!((old.0, old.1, old.2), (None, Some(901), Reason::Stale), "the id is what it was");
    let Some(Error::TablesUnusable(why)) = old.3 else { panic!("{:?}", old.3) };
    let ms: u64 = why.split(' ').find_map(|word| word.parse().ok()).expect("how old it is");
    assert!(ms >= 10_010, "{why}");
    assert_eq!(reply("BEGIN; SELECT pg_sleep(0.05)", 9_000), named(ANN, 901), "each statement has its own snapshot");

    for (portal, secret, error) in [
        (7, SECRET, Error::WrongPortal { found: PORTAL, expected: 7 }),
        (PORTAL, b"another secret of the app's" as &[u8], Error::WrongSecret),
    ] {
        let mut host = Host::of(&server, &name, portal, secret);
        host.set_up();
        assert_eq!(host.page(1, ANN), (None, None, Reason::Stale, Some(error.clone())));
        assert_eq!(host.link(5, 905, false), Err(error));
    }
    let mut tx = worker.client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().expect("tx");
    let errand = worker.vidcache.link(UserKey::from(5), vidcache::Vid::try_from(905).expect("positive"), false);
    let answer: String = tx.query_one(&errand.ask(), &[]).expect("asked").get(0);
    assert_eq!(errand.finish(&answer).map(drop), Err(Error::TablesUnusable(Distrust::Isolation.to_string())));
    drop((tx, errand));
    worker.client.batch_execute("UPDATE vidcache_meta SET min_reader = 2").expect("newer");
    assert_eq!(worker.page(1, ANN).3, Some(Distrust::Newer { found: 2 }.error(PORTAL)));
    worker.client.batch_execute("DELETE FROM vidcache_meta").expect("empty");
    assert_eq!(worker.page(1, ANN).3, Some(Distrust::NotSetUp.error(PORTAL)));
}

#[test]
fn a_row_of_meta_is_made_for_empty_tables_alone_since_the_one_that_is_missing_may_say_that_the_others_are_doubted() {
    let Some(server) = Server::get() else { return };
    let (_, mut web, mut worker) = hosts(&server);
    worker.client.batch_execute(&worker.vidcache.doubt_all()).expect("doubted");
    worker
        .client
        .batch_execute("CREATE TABLE kept AS TABLE vidcache_meta; DELETE FROM vidcache_meta")
        .expect("a part of a dump that is put back");
    for _ in 0..2 {
        let error = set_up(&mut web.vidcache, &mut web.client).expect_err("not over rows that are another one's");
        assert_eq!(error, Distrust::NotSetUp.error(PORTAL));
        assert_eq!(web.page(1, ANN), (None, None, Reason::Stale, Some(error)));
    }
    worker.client.batch_execute("INSERT INTO vidcache_meta TABLE kept").expect("the rest of the dump");
    set_up(&mut web.vidcache, &mut web.client).expect("set up");
    assert_eq!(web.page(1, ANN), id_alone(901, Reason::EmailUnconfirmed), "the doubt is there still");
    worker.empty();
    // Saves go on while nobody has set them up.
    let (_, begin) = worker.vidcache.begin(UserKey::from(1)).expect("a token");
    worker.client.batch_execute(&begin).expect("begun");
    set_up(&mut web.vidcache, &mut web.client).expect("empty, but for what is written of no answer");
    assert_eq!(web.page(1, ANN).2, Reason::NotLinked);
}

#[test]
fn of_a_component_that_was_cut_off_neither_a_page_nor_a_worker_believes_anything() {
    let Some(server) = Server::get() else { return };
    let (_, mut web, mut worker) = hosts(&server);
    let too_large = Some(Distrust::TooLarge.error(PORTAL));
    // With user 1, so many users of one contact: with the contact, one name more than a page may have, and a worker.
    for (users, page, work) in
        [(998, None, None), (999, too_large.clone(), None), (49_999, too_large.clone(), too_large)]
    {
        let link = format!(
            "INSERT INTO vidcache_links SELECT decode('01', 'hex') || int8send(1000 + n), 901, 1, 1
             FROM generate_series(1, {users}) n ON CONFLICT DO NOTHING; UPDATE vidcache_contacts SET whose = NULL"
        );
        worker.client.batch_execute(&link).expect("shared");
        assert_eq!(web.page(1, ANN).3, page, "{users}");
        let contact = vidcache::Vid::try_from(901).expect("positive");
        let told = Session::new(&worker.vidcache, &mut worker.client).read(&worker.vidcache.users_of(contact));
        assert_eq!(told.as_ref().err().cloned(), work, "{users}");
        assert!(told.is_err() || told.is_ok_and(|told| told.len() == users + 1));
    }
}

#[test]
fn of_two_users_who_are_linked_to_one_contact_at_once_one_gets_it() {
    let Some(server) = Server::get() else { return };
    let (name, _, _) = hosts(&server);
    let barrier = Barrier::new(4);
    for vid in 1000..1010 {
        let linked: Vec<_> = std::thread::scope(|scope| {
            let hosts = (0..4).map(|user| {
                let (server, name, barrier) = (&server, &name, &barrier);
                scope.spawn(move || {
                    let mut host = Host::of(server, name, PORTAL, SECRET);
                    barrier.wait();
                    host.link(vid * 10 + user, vid, false)
                })
            });
            hosts.collect::<Vec<_>>().into_iter().map(|host| host.join().expect("no panic")).collect()
        });
        assert_eq!(linked.iter().filter(|linked| linked.is_ok()).count(), 1, "{linked:?}");
        assert!(linked.iter().flat_map(|linked| linked.as_ref().err()).all(|e| matches!(e, Error::VidTaken { .. })));
    }
}

/// Batches about the same contacts, each in another order.
#[test]
fn batches_of_webhooks_at_once_wait_for_one_another_in_no_circle() {
    let Some(server) = Server::get() else { return };
    let (name, mut web, _) = hosts(&server);
    for user in 0..20 {
        web.record(100 + user, &answer(2000 + user, &format!("u{user}@shop.test"), 0), None).expect("recorded");
    }
    std::thread::scope(|scope| {
        for host in 0..4i64 {
            let (server, name) = (&server, &name);
            scope.spawn(move || {
                let mut client = Host::of(server, name, PORTAL, SECRET);
                for round in 0..10 {
                    let events: Vec<_> = (0..20)
                        .map(|n| {
                            let vid = 2000 + (n * 7 + host * 3 + round) % 20;
                            let fields = match n % 5 {
                                0 => format!(r#""subscriptionType":"contact.deletion","objectId":{vid}"#),
                                1 => format!(r#""subscriptionType":"contact.merge","primaryObjectId":{vid},"mergedObjectIds":[{}]"#, 2000 + (vid + 1) % 20),
                                _ => format!(r#""subscriptionType":"contact.propertyChange","propertyName":"email","objectId":{vid},"propertyValue":"h{host}@shop.test""#),
                            };
                            event(&fields, round * 4 + host)
                        })
                        .collect();
                    client.webhook(&format!("[{}]", events.join(","))).expect("applied");
                }
            });
        }
    });
    let deadlocks: i64 = web
        .client
        .query_one("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()", &[])
        .expect("counted")
        .get(0);
    assert_eq!(deadlocks, 0);
}

#[test]
fn a_lease_is_one_host_s_until_its_deadline() {
    let Some(server) = Server::get() else { return };
    let (_, mut web, mut worker) = hosts(&server);
    let user = UserKey::from(1);
    let minute = Duration::from_secs(60);
    let taken = |host: &mut Host, sql: &str| host.client.query_opt(sql, &[]).expect("asked").is_some();
    let (held, sql) = worker.vidcache.lease(user, minute, None).expect("a token");
    assert!(taken(&mut worker, &sql));
    let (_, other) = web.vidcache.lease(user, minute, None).expect("a token");
    assert!(!taken(&mut web, &other));
    let (_, again) = worker.vidcache.lease(user, minute, Some(held)).expect("a token");
    assert!(taken(&mut worker, &again));
    web.client.batch_execute("UPDATE vidcache_leases SET until_at = until_at - 70000").expect("later");
    assert!(!taken(&mut worker, &again), "who was slower than the deadline has it no more");
    assert!(taken(&mut web, &other));
    worker.client.batch_execute(&worker.vidcache.release(user, held)).expect("released");
    assert!(!taken(&mut worker, &sql), "it was another's to release");
}

#[test]
fn a_database_that_was_put_back_is_doubted_by_one_row() {
    let Some(server) = Server::get() else { return };
    let (_, mut web, mut worker) = hosts(&server);
    let sql = worker.vidcache.doubt_all();
    worker.client.batch_execute(&sql).expect("doubted");
    assert_eq!(web.page(1, ANN), id_alone(901, Reason::EmailUnconfirmed));
    worker.record(1, &answer(901, ANN, 0), None).expect("recorded");
    assert_eq!(web.page(1, ANN), id_alone(901, Reason::EmailUnconfirmed), "HubSpot's time stands still");
    // A read that was begun later than the doubt.
    worker
        .client
        .batch_execute(
            "UPDATE vidcache_meta SET doubted_at = doubted_at - 60000;
        UPDATE vidcache_contacts SET doubted_at = doubted_at - 60000",
        )
        .expect("later");
    let asked_at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_millis();
    let asked_at = i64::try_from(asked_at).expect("a time");
    let errand = worker.vidcache.record(UserKey::from(1), answer(901, ANN, 0).as_bytes(), None, Some(asked_at));
    Session::new(&worker.vidcache, &mut worker.client)
        .run(&errand.expect("an answer"))
        .expect("run")
        .expect("recorded");
    assert_eq!(web.page(1, ANN), named(ANN, 901));
}

#[test]
fn a_page_s_statements_use_indexes_and_a_user_takes_few_bytes() {
    let Some(server) = Server::get() else { return };
    let (name, mut web, _) = hosts(&server);
    web.client
        .batch_execute(
            r"INSERT INTO vidcache_links SELECT '\x01'::bytea || int8send(i), 900000000 + i, 1700000000000, 1700000000000
                FROM generate_series(1000, 50999) i;
              INSERT INTO vidcache_contacts (vid, email, whose, email_at)
                SELECT 900000000 + i, substr(sha256(int8send(i)), 1, 16),
                  CASE WHEN i % 10 <= 1 THEN '' ELSE '\x01'::bytea || int8send(i) END, 1700000000000
                FROM generate_series(1000, 50999) i;
              INSERT INTO vidcache_merges SELECT 900000000 + i, 900000001 + i, 1700000000000, false, 0
                FROM generate_series(1000, 50000, 10) i;
              INSERT INTO vidcache_changes SELECT i, '\x01'::bytea || int8send(i), 1, 1, CASE WHEN i % 10 > 0 THEN 2 END, NULL, 1
                FROM generate_series(1000, 20000) i;
              INSERT INTO vidcache_touched SELECT i % 700, NULL, 900000000 + i FROM generate_series(1, 100000) i;
              INSERT INTO vidcache_erased SELECT i FROM generate_series(1, 5000) i;
              INSERT INTO vidcache_buried SELECT sha256(int8send(-i)) FROM generate_series(1, 5000) i",
        )
        .expect("filled");
    web.client.batch_execute("VACUUM ANALYZE").expect("analysed");
    let user = UserKey::from(20_000);
    let flat = web.vidcache.ask(user);
    let answer = Host::text(&mut web.client, &flat);
    let Reply::More(walk) = web.vidcache.reply(user, None, &answer, web.vidcache.look()) else {
        panic!("it was merged")
    };
    let watching = Watcher::of(&server, &name).host.vidcache;
    let since = "0/1/690:699:690,695";
    let look = watching.ask_since(user, since);
    for sql in [&flat, &walk, &look] {
        let plan = web.client.query(&format!("EXPLAIN {sql}"), &[]).expect("a plan");
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        let cost = plan[0].split("..").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
        // From 100,000 on PostgreSQL compiles a statement, each time, for longer than it runs.
        assert!(cost.expect("a cost") < 50_000.0, "{}", plan.join("\n"));
        let scans: Vec<_> = plan.iter().filter(|line| line.contains("Seq Scan on vidcache_")).collect();
        // The tables of a row or two.
        let large: Vec<_> =
            scans.iter().filter(|line| !line.contains("_meta") && !line.contains("_deadlines")).collect();
        assert!(large.is_empty(), "{}", plan.join("\n"));
    }
    // To plan a look takes longer than to run it: kept prepared, it is planned five times, and then no more.
    let prepared = watching.prepared_look().expect("it keeps answers");
    web.client.batch_execute(&format!("PREPARE look (text, text) AS {prepared}")).expect("prepared");
    let execute = format!("EXECUTE look ('{}', '{since}')", watching.parameter(user));
    for _ in 0..8 {
        web.client.batch_execute(&execute).expect("asked");
    }
    let plan = web.client.query(&format!("EXPLAIN {execute}"), &[]).expect("a plan");
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    assert!(plan.iter().any(|line| line.contains("$2")), "{}", plan.join("\n"));
    let bytes: i64 = web
        .client
        .query_one("SELECT pg_total_relation_size('vidcache_links') + pg_total_relation_size('vidcache_contacts')", &[])
        .expect("measured")
        .get(0);
    let each = bytes / 50_000;
    println!("{each} bytes a user in links and contacts");
    assert!(each <= 260, "{each}");
}

/// Two hosts hear the same, the second a moment later, and each writes what it made of it before it knew of the other.
/// Of the columns of `sql` the first is the least of both, and the second the greatest, whoever writes first.
fn assert_joined(
    server: &Server,
    before: &str,
    sql: &str,
    said: impl Fn(&Host) -> Vec<vidcache::in_database::Errand<'_, ()>>,
) {
    for later_first in [false, true] {
        let (name, mut earlier, mut later) = hosts(server);
        earlier.client.batch_execute(before).expect("prepared");
        let (mut one, mut other) = (server.connect(&name), server.connect(&name));
        let mut written: Vec<Vec<String>> = Vec::new();
        for host in [&earlier, &later] {
            let errands = said(host);
            let answers: Vec<_> = errands.iter().map(|errand| Host::text(&mut one, &errand.ask())).collect();
            let finished = errands.iter().zip(&answers).map(|(errand, answer)| errand.finish(answer).expect("done").1);
            written.push(finished.flatten().collect());
            // PostgreSQL's clock has to go on, in milliseconds.
            one.batch_execute("SELECT pg_sleep(0.003)").expect("slept");
        }
        if later_first {
            written.reverse();
        }
        let mut row = |statements: &[String]| -> (i64, i64) {
            statements.iter().for_each(|sql| other.batch_execute(sql).unwrap_or_else(|e| panic!("{e:?}: {sql}")));
            let row = other.query_one(sql, &[]).expect("one row");
            (row.get(0), row.get(1))
        };
        let (first, both) = (row(&written[0]), row(&written[1]));
        match later_first {
            true => assert!(both.0 < first.0 && both.1 == first.1, "{sql}: {first:?}, then {both:?}"),
            false => assert!(both.0 == first.0 && both.1 > first.1, "{sql}: {first:?}, then {both:?}"),
        }
        drop((earlier.page(1, ANN), later.page(1, ANN)));
    }
}

#[test]
fn each_column_is_joined_by_its_own_join_whoever_writes_last() {
    let Some(server) = Server::get() else { return };
    let merge = event(r#""subscriptionType":"contact.merge","primaryObjectId":901,"mergedObjectIds":[902]"#, 5);
    let body = format!("[{merge}]");
    assert_joined(
        &server,
        "",
        "SELECT m.heard_at, c.doubted_at FROM vidcache_merges m JOIN vidcache_contacts c ON c.vid = 901",
        |host| vec![host.vidcache.apply_webhook(body.as_bytes()).expect("a webhook").map(drop)],
    );
    assert_joined(&server, "", "SELECT first_at, last_at FROM vidcache_links WHERE vid = 905", |host| {
        let vid = vidcache::Vid::try_from(905).expect("positive");
        vec![host.vidcache.link(UserKey::from(5), vid, false)]
    });
    let begun = r"INSERT INTO vidcache_changes (token, user_key, begun_at, tx) VALUES (7, decode('010000000000000001', 'hex'), 5, 1)";
    let token = ChangeToken::try_from(7).expect("positive");
    // Of the end nothing is the greatest, so beside it the contact's reads are looked at.
    assert_joined(
        &server,
        begun,
        "SELECT h.ended_at, c.doubted_at FROM vidcache_changes h JOIN vidcache_contacts c ON c.vid = 901",
        |host| {
            let missing = br#"{"status":"error","category":"OBJECT_NOT_FOUND","message":"resource not found"}"#;
            let gone = host.vidcache.record(UserKey::from(1), missing, None, None).expect("an answer").map(drop);
            vec![host.vidcache.abandon(UserKey::from(1), token), gone]
        },
    );
}

#[test]
fn hubspot_s_later_word_counts_whoever_writes_it_last_and_of_two_at_one_time_neither() {
    let Some(server) = Server::get() else { return };
    let words = |email: &str, second: i64| {
        let email = format!(
            r#""subscriptionType":"contact.propertyChange","propertyName":"email","objectId":901,"propertyValue":"{email}""#
        );
        let deletion = r#""subscriptionType":"contact.deletion","objectId":901"#;
        let restore = r#""subscriptionType":"contact.restore","objectId":901"#;
        let all: Vec<_> = [email.as_str(), deletion, restore].iter().map(|fields| event(fields, second)).collect();
        format!("[{}]", all.join(","))
    };
    let at = |second: i64| Some(1_772_359_200_000 + second * 1000);
    for (one, other) in [(("a@shop.test", 5), ("b@shop.test", 9)), (("a@shop.test", 9), ("b@shop.test", 9))] {
        let mut rows = Vec::new();
        for order in [[one, other], [other, one]] {
            let (_, mut web, _) = hosts(&server);
            let written = order.map(|(email, second)| {
                let errand = web.vidcache.apply_webhook(words(email, second).as_bytes()).expect("a webhook");
                let answer = Host::text(&mut web.client, &errand.ask());
                errand.finish(&answer).expect("done").1
            });
            written.iter().flatten().for_each(|sql| web.client.batch_execute(sql).expect("written"));
            let sql = "SELECT email, email_at, deleted_at, restored_at FROM vidcache_contacts WHERE vid = 901";
            let row = web.client.query_one(sql, &[]).expect("one row");
            let times: [Option<i64>; 3] = [row.get(1), row.get(2), row.get(3)];
            assert_eq!(times, [at(9); 3]);
            rows.push(row.get::<_, Option<Vec<u8>>>(0));
        }
        assert_eq!(rows[0], rows[1]);
        assert_eq!(rows[0].is_some(), one.1 != other.1);
    }
}

#[test]
fn a_secret_that_was_rotated_costs_one_row_and_no_fingerprint() {
    let Some(server) = Server::get() else { return };
    let (name, mut web, _) = hosts(&server);
    let new: &[u8] = b"another secret of the app's, new";
    let with = |secrets: &[&[u8]]| {
        let mut host = Host::of(&server, &name, PORTAL, SECRET);
        let options = Options { secret: Some(secrets[0]), old_secrets: &secrets[1..], ..Options::default() };
        host.vidcache = Database::new("public", PORTAL, &options).expect("options");
        let [_, _, key] = host.vidcache.set_up().expect("statements");
        let key = Host::text(&mut host.client, &key);
        host.vidcache.take_key(&key).map(|anew| {
            let rotated = anew.is_some();
            host.client.batch_execute(&anew.unwrap_or_default()).expect("wrapped anew");
            (rotated, host.page(1, ANN))
        })
    };
    assert_eq!(with(&[new]), Err(Error::WrongSecret));
    assert_eq!(with(&[new, SECRET]), Ok((true, named(ANN, 901))));
    assert_eq!(with(&[new]), Ok((false, named(ANN, 901))));
    assert_eq!(with(&[SECRET]), Err(Error::WrongSecret));
    assert_eq!(web.page(1, ANN), named(ANN, 901), "a process of before goes on");
}

#[test]
fn whoever_asks_is_told_why_and_which_changes_are_stale() {
    let Some(server) = Server::get() else { return };
    let (_, mut web, mut worker) = hosts(&server);
    let (change, begin) = web.vidcache.begin(UserKey::from(1)).expect("a token");
    web.client.batch_execute(&begin).expect("committed");
    let email = Email::parse(ANN).expect("an email");
    let explain = worker.vidcache.explain(UserKey::from(1), Some(&email));
    let answer = Host::text(&mut worker.client, &explain.ask());
    let told = explain.read(&answer).expect("told").to_string();
    assert!(told.starts_with("The page gives the id 901 alone: a change of the email is outstanding."), "{told}");
    assert!(told.contains("The user is contact 901, and was first linked") && !told.contains("Log:"), "{told}");
    let export = worker.vidcache.export(UserKey::from(1));
    let answer = Host::text(&mut worker.client, &export.ask());
    assert!(export.read(&answer).expect("told").contains(r#""vid":"901""#));
    let users = worker.vidcache.users_of(vidcache::Vid::try_from(901).expect("positive"));
    let answer = Host::text(&mut worker.client, &users.ask());
    assert_eq!(users.read(&answer), Ok(vec!["1".to_owned()]));
    let stale = |client: &mut postgres::Client, older: u64| {
        let sql = web.vidcache.ask_stale_changes(Duration::from_secs(older), 10);
        let found = web.vidcache.stale_changes(&Host::text(client, &sql)).expect("a list");
        found.into_iter().map(|change| (change.user, change.token)).collect::<Vec<_>>()
    };
    assert_eq!(stale(&mut worker.client, 60), []);
    worker.client.batch_execute("UPDATE vidcache_changes SET begun_at = begun_at - 61000").expect("later");
    assert_eq!(stale(&mut worker.client, 60), [("1".to_owned(), change)]);
    // As after a failover to a server whose clock is an hour behind.
    worker.client.batch_execute("UPDATE vidcache_changes SET begun_at = begun_at + 3661000").expect("in the future");
    assert_eq!(stale(&mut worker.client, 60), [("1".to_owned(), change)], "how old it is nobody knows");
}
