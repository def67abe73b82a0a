//! The rows of a contact and of a conflict as two hosts write them at once, and what a page's statements cost.

use std::time::Duration;

use vidcache::in_database::{Errand, Reply, Turn};
use vidcache::{Email, Error, Imported, Options, Reason, Synchronous, UserKey, Vid, Vidcache};
use vidcache_fleet::told::{ANN, answer, event, hosts, id_alone, named};
use vidcache_fleet::{Host, PORTAL, SECRET, Server};
use vidcache_postgres::Session;

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

/// Until it is committed that somebody comes to a contact, pages of those who have it know nothing of them: a change
/// that was seen before then has to be seen again, though the transaction read its clock before that.
#[test]
fn a_change_that_is_seen_while_somebody_comes_to_the_contact_is_seen_again() {
    let Some(server) = Server::get() else { return };
    let merge = r#""subscriptionType":"contact.merge","primaryObjectId":902,"mergedObjectIds":[901],"newObjectId":903"#;
    for comes_by_link in [false, true] {
        let (name, mut web, mut worker) = hosts(&server);
        let mut other = Host::of(&server, &name, PORTAL, SECRET);
        let user = UserKey::from(2);
        if !comes_by_link {
            worker.record(2, &answer(902, "bob@shop.test", 0), None).expect("recorded");
        }
        let mut tx = other.client.transaction().expect("a transaction");
        let statements = match comes_by_link {
            true => written(&mut tx, &other.vidcache.link(user, Vid::try_from(901).expect("positive"), true)),
            false => {
                let body = format!("[{}]", event(merge, 5));
                written(&mut tx, &other.vidcache.apply_webhook(body.as_bytes()).expect("a webhook"))
            }
        };
        statements.iter().for_each(|sql| tx.batch_execute(sql).expect("written"));
        let (change, begin) = web.vidcache.begin(user).expect("a token");
        web.client.batch_execute(&begin).expect("committed");
        web.client.batch_execute(&web.vidcache.see(change)).expect("seen");
        let first = worker.turn(2, change);
        assert!(matches!(first, Ok(Turn::See)), "{first:?}: others' pages know nothing yet of who comes");
        assert_eq!(web.page(1, ANN), named(ANN, 901), "nobody sees what is not committed");
        tx.commit().expect("committed");
        assert_eq!(
            worker.turn(2, change),
            Ok(Turn::See),
            "such a page may be on its way for a quiet period from now on"
        );
        assert!(matches!(worker.turn(2, change), Ok(Turn::Wait(_))));
    }
}

/// Does what an errand does before its statements.
fn written<T>(tx: &mut postgres::Transaction<'_>, errand: &Errand<'_, T>) -> Vec<String> {
    tx.batch_execute(&errand.lock()).expect("locked");
    let asked: String = tx.query_one(&errand.ask(), &[]).expect("asked").get(0);
    errand.finish(&asked).expect("done").1
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

/// An email of an erased contact reaches the tables by no import either, though an answer about another user has the
/// buried email and not the contact.
#[test]
fn an_import_writes_no_email_down_that_is_buried() {
    let Some(server) = Server::get() else { return };
    let (_, mut web, mut worker) = hosts(&server);
    worker
        .webhook(&format!("[{}]", event(r#""subscriptionType":"contact.privacyDeletion","objectId":901"#, 9)))
        .expect("erased");
    let email = Email::parse(ANN).expect("an email");
    let vid = Vid::try_from(977).expect("positive");
    let row = Imported { user: UserKey::from(5), vid, email: Some((email, 1_772_359_300_000)) };
    let report = Session::new(&web.vidcache, &mut web.client)
        .run(&web.vidcache.import(&[row]).expect("users"))
        .expect("imported");
    assert_eq!(report.imported, 1);
    let emails = "SELECT count(*) FROM vidcache_contacts WHERE email IS NOT NULL";
    assert_eq!(web.client.query_one(emails, &[]).expect("counted").get::<_, i64>(0), 0);
    assert_eq!(web.page(5, ANN), id_alone(977, Reason::EmailUnconfirmed));
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

/// A copy is many transactions. Wherever it ends, a page says no more than after all of it, also when another user
/// came to a contact since.
#[test]
fn wherever_a_copy_is_broken_off_no_page_says_more_than_after_all_of_it() {
    let Some(server) = Server::get() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { secret: Some(SECRET), synchronous: Synchronous::Normal, ..Options::default() };
    let file = Vidcache::open(folder.path().join("file"), PORTAL, &options).expect("a file");
    for (user, vid) in [(1, 901), (2, 902), (3, 903), (4, 904), (6, 906)] {
        let body = answer(vid, &format!("u{user}@shop.test"), 1);
        file.record(UserKey::from(user), body.as_bytes(), None).expect("recorded");
    }
    // The second has another user with a change, the third has one, the fourth was merged, the sixth is erased.
    file.link_shared(UserKey::from(5), Vid::try_from(902).expect("positive")).expect("linked");
    file.begin_email_change(UserKey::from(5)).expect("begun");
    file.begin_email_change(UserKey::from(3)).expect("begun");
    let merged = event(r#""subscriptionType":"contact.merge","primaryObjectId":907,"mergedObjectIds":[904]"#, 5);
    let erased = event(r#""subscriptionType":"contact.privacyDeletion","objectId":906"#, 9);
    file.apply_webhook(format!("[{merged},{erased}]").as_bytes()).expect("applied");
    let (_, mut web) = Host::first(&server);
    let all = web.vidcache.copy(&file).expect("statements");
    let empty = "TRUNCATE vidcache_links, vidcache_contacts, vidcache_merges, vidcache_secondaries, vidcache_changes,
        vidcache_conflicts, vidcache_erased, vidcache_buried, vidcache_erased_users";
    let mut said = Vec::new();
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Others {
        Nowhere,
        AskedAfter,
        AskedBefore,
    }
    let ways = [Others::Nowhere, Others::AskedAfter, Others::AskedBefore];
    for (run, others) in (0..=all.len()).rev().flat_map(|run| ways.map(|others| (run, others))) {
        web.client.batch_execute(empty).expect("emptied");
        let vids: Vec<_> = (901..=904).map(|vid| Vid::try_from(vid).expect("positive")).collect();
        let link = |vid: &Vid| web.vidcache.link(UserKey::from(vid.get() - 880), *vid, true);
        let links: Vec<_> = vids.iter().map(link).collect();
        let early: Vec<_> = links.iter().map(|link| Host::text(&mut web.client, &link.ask())).collect();
        all[..run].iter().for_each(|sql| web.client.batch_execute(sql).expect("copied"));
        for (link, early) in links.iter().zip(&early).filter(|_| others != Others::Nowhere) {
            let late = Host::text(&mut web.client, &link.ask());
            let asked = if others == Others::AskedBefore { early } else { &late };
            link.finish(asked).expect("linked").1.iter().for_each(|sql| web.client.batch_execute(sql).expect("linked"));
        }
        drop(links);
        for user in (1..=6).chain(21..=24) {
            let email = format!("u{user}@shop.test");
            let page = web.page(user, &email);
            let walk = web.vidcache.prepared_walk().replace("$1", &format!("'01{user:016x}'"));
            // Whatever the column says, the page is as by everything.
            let walk = Host::text(&mut web.client, &walk);
            let look = web.vidcache.look();
            let parsed = Email::parse(&email).expect("an email");
            let Reply::Page(by_all, _) = web.vidcache.reply(UserKey::from(user), Some(&parsed), &walk, look) else {
                panic!("there is no more than everything")
            };
            let by_all = by_all.decision();
            let what = format!("user {user} after {run} of {} statements, {others:?}", all.len());
            let by_all = (by_all.email(), by_all.id().map(Vid::get), by_all.reason());
            assert_eq!((page.0.as_deref(), page.1, page.2), by_all, "{what}");
            if run == all.len() && others == Others::Nowhere {
                said.push((user, page.0.clone()));
            }
            let whole = said.iter().find(|(of, _)| *of == user).expect("asked first");
            assert!(page.0.is_none() || page.0 == whole.1, "{what}");
        }
    }
    assert_eq!(said.iter().filter(|(_, email)| email.is_some()).map(|(user, _)| *user).collect::<Vec<_>>(), [1]);
}

/// What the tables have buried, and what they have erased, a file that was not told of it does not bring back.
#[test]
fn a_copy_brings_back_no_email_that_the_tables_have_buried() {
    let Some(server) = Server::get() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { secret: Some(SECRET), synchronous: Synchronous::Normal, ..Options::default() };
    let file = Vidcache::open(folder.path().join("file"), PORTAL, &options).expect("a file");
    for (user, vid, email) in [(1, 901, "bob@shop.test"), (2, 902, ANN), (3, 903, "cat@shop.test")] {
        file.record(UserKey::from(user), answer(vid, email, 1).as_bytes(), None).expect("recorded");
    }
    let (_, mut web, mut worker) = hosts(&server);
    worker
        .webhook(&format!("[{}]", event(r#""subscriptionType":"contact.privacyDeletion","objectId":901"#, 9)))
        .expect("erased");
    let all = web.vidcache.copy(&file).expect("statements");
    // As written, before the last two statements take out what is left.
    for (run, left) in [(all.len() - 2, 2), (all.len(), 1)] {
        all[..run].iter().for_each(|sql| web.client.batch_execute(sql).expect("copied"));
        assert_eq!(web.page(2, ANN).0, None);
        let emails = "SELECT count(*) FROM vidcache_contacts WHERE email IS NOT NULL";
        assert_eq!(web.client.query_one(emails, &[]).expect("counted").get::<_, i64>(0), left);
    }
    assert_eq!(web.page(3, "cat@shop.test").0.as_deref(), Some("cat@shop.test"));
}

/// Whoever buries an email waits for those alone who write that one down.
#[test]
fn an_open_transaction_keeps_no_erasure_of_another_email_waiting() {
    let Some(server) = Server::get() else { return };
    let (_, mut one, mut other) = hosts(&server);
    let body = answer(902, "bob@shop.test", 5);
    let errand = one.vidcache.record(UserKey::from(2), body.as_bytes(), None, None).expect("an answer");
    let mut tx = one.client.transaction().expect("a transaction");
    tx.batch_execute(&errand.lock()).expect("locked");
    other.client.batch_execute("SET lock_timeout = '2s'").expect("set");
    other
        .webhook(&format!("[{}]", event(r#""subscriptionType":"contact.privacyDeletion","objectId":901"#, 9)))
        .expect("erased");
    tx.rollback().expect("rolled back");
}

/// As they are when a file was copied into them, until autovacuum has been there.
#[test]
fn of_many_rows_without_statistics_no_statement_of_a_page_or_a_change_is_compiled() {
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
    let see = web.vidcache.see(7.try_into().expect("positive"));
    for sql in [of(web.vidcache.prepared()), of(web.vidcache.prepared_walk()), see] {
        let plan = plan(&sql);
        assert!(!plan.contains("JIT") && !plan.contains("Seq Scan on vidcache_links"), "{plan}");
    }
    let without =
        of(web.vidcache.prepared_walk()).replace("BETWEEN -9223372036854775808 AND 9223372036854775807", "<> 0");
    assert!(plan(&without).contains("JIT"), "without the range it would be");
}
