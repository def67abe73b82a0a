//! Answers that are kept, on a real PostgreSQL: what becomes of them beside transactions of every kind, after a crash
//! that loses commits, when another server takes over. Each has a weaker client beside it, which overlooks one sign
//! that the answer gives of itself, and says what is so no more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use postgres::Client;
use vidcache::in_database::{Distrust, Recalled};
use vidcache::{Email, Reason, UserKey};
use vidcache_fleet::told::{ANN, answer, event, hosts, id_alone, named};
use vidcache_fleet::watcher::{Watcher, as_of_the_same_life, later, with, without_its_process, without_who_is_open};
use vidcache_fleet::{Host, PORTAL, Page, SECRET, Server};
use vidcache_postgres::Session;

const CHANGING: Reason = Reason::ChangeOutstanding;

/// Begins a change of the user's in whatever transaction the client is in.
fn begin(host: &Host, client: &mut Client, user: i64) {
    let (_, begin) = host.vidcache.begin(UserKey::from(user)).expect("a token");
    client.batch_execute(&begin).expect("begun");
}

/// So many users, each with a contact and an email.
fn many(worker: &mut Host, users: i64) {
    for user in 2..=users {
        worker.record(user, &answer(900 + user, &format!("{user}@shop.test"), 0), None).expect("recorded");
    }
}

/// The hourly upkeep, an hour after the last one.
fn prune_an_hour_later(worker: &mut Host) {
    worker.client.batch_execute("UPDATE vidcache_meta SET pruned_at = pruned_at - 3600001").expect("an hour later");
    for sql in worker.vidcache.upkeep() {
        worker.client.batch_execute(&sql).expect("kept up");
    }
}

#[test]
fn a_page_from_memory_asks_nothing_and_a_second_later_one_page_asks_for_all() {
    let Some(server) = Server::get() else { return };
    let (name, _, mut worker) = hosts(&server);
    many(&mut worker, 9);
    let mut web = Watcher::of(&server, &name);
    for _ in 0..20 {
        assert_eq!(web.page(1, ANN), named(ANN, 901));
        assert_eq!(web.page(9, "9@shop.test"), named("9@shop.test", 909));
    }
    assert!(web.asked <= 3, "{} statements", web.asked);
    begin(&worker, &mut server.connect(&name), 1);
    let before = web.asked;
    assert_eq!(web.look(9, "9@shop.test"), named("9@shop.test", 909));
    assert_eq!(web.asked, before + 1, "a look, without anybody's page being rendered there is none");
    assert_eq!(web.page(1, ANN), id_alone(901, CHANGING), "it told of user 1");
    assert_eq!((web.page(9, "9@shop.test"), web.asked), (named("9@shop.test", 909), before + 2), "who is kept");
    let asks_for_names = |since| web.host.vidcache.prepared_for(since).contains("vidcache_touched");
    assert!(asks_for_names("1/2/3:3:") && !asks_for_names("1"), "only where they are to be told");
    // What is asked without memory, and for a check, is an answer, too.
    for sql in [web.host.vidcache.ask(UserKey::from(1)), web.host.vidcache.probe()] {
        let answer = Host::text(&mut web.host.client, &sql);
        assert_eq!(web.host.vidcache.distrust(&answer), None);
    }
    // By the machine's clock: half a second each.
    let mut web = Watcher::by_the_machine(&server, &name);
    let (began, mut pages) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(3) {
        assert_eq!(web.page(9, "9@shop.test").0.as_deref(), Some("9@shop.test"));
        pages += 1;
    }
    assert!(pages > 100 && (3..=8).contains(&web.asked), "{} looks of {pages} pages", web.asked);
    std::thread::sleep(Duration::from_millis(1_200));
    assert!(web.asked <= 8, "nobody's pages: no look");
    assert_eq!(web.forgotten(), 0);
}

#[test]
fn a_page_from_memory_names_an_email_for_no_longer_than_one_of_its_look() {
    let Some(server) = Server::get() else { return };
    let (name, _, _) = hosts(&server);
    let mut web = Watcher::of(&server, &name);
    web.page(1, ANN);
    later(400);
    let (vidcache, email) = (&web.host.vidcache, Email::parse(ANN).expect("an email"));
    let Recalled::Page(page) = vidcache.recall(UserKey::from(1), Some(&email), vidcache.look()) else {
        panic!("it is kept")
    };
    let data = page.data();
    let left = data.split("\"ttl\":").nth(1).and_then(|rest| rest.split(',').next()?.parse::<u64>().ok());
    assert!(left.is_some_and(|left| (9_598..=9_600).contains(&left)), "{data}");
}

#[test]
fn an_answer_is_as_old_as_its_statement_however_long_it_took() {
    let Some(server) = Server::get() else { return };
    let (name, _, worker) = hosts(&server);
    for (late, then) in [(false, id_alone(901, CHANGING)), (true, named(ANN, 901))] {
        let mut web = Watcher::of(&server, &name);
        web.host.client.batch_execute("DELETE FROM vidcache_changes").expect("none");
        let (user, email) = (UserKey::from(1), Email::parse(ANN).expect("an email"));
        let vidcache = &web.host.vidcache;
        let mut look = vidcache.look();
        let Recalled::Ask(since) = vidcache.recall(user, Some(&email), look) else { panic!("nothing is kept") };
        let answer = Host::text(&mut web.host.client, &vidcache.ask_since(user, &since));
        begin(&worker, &mut server.connect(&name), 1);
        later(900);
        if late {
            look = vidcache.look();
        }
        vidcache.reply(user, Some(&email), &answer, look);
        later(400);
        assert_eq!(web.page(1, ANN), then);
    }
}

#[test]
fn what_is_committed_late_or_within_a_savepoint_or_prepared_is_found_and_what_is_rolled_back_is_not() {
    let Some(server) = Server::own(&["max_prepared_transactions=5"]) else { return };
    let (name, _, mut worker) = hosts(&server);
    many(&mut worker, 9);
    let mut web = Watcher::of(&server, &name);
    let mut sequence = Watcher::of(&server, &name);
    // As a cursor of a sequence's last number: who was open then is none of its business.
    sequence.believes = |answer| without_who_is_open(&answer);
    let [mut long, mut part, mut prepared, mut back] = [(); 4].map(|()| server.connect(&name));
    long.batch_execute("BEGIN").expect("begun");
    begin(&worker, &mut long, 2);
    part.batch_execute("BEGIN; SAVEPOINT a").expect("begun");
    begin(&worker, &mut part, 3);
    part.batch_execute("ROLLBACK TO a; SAVEPOINT b").expect("back");
    begin(&worker, &mut part, 4);
    part.batch_execute("RELEASE b").expect("released");
    prepared.batch_execute("BEGIN").expect("begun");
    begin(&worker, &mut prepared, 5);
    prepared.batch_execute("PREPARE TRANSACTION 'p'").expect("prepared");
    back.batch_execute("BEGIN").expect("begun");
    begin(&worker, &mut back, 6);
    // Somebody else commits after them, before a look.
    begin(&worker, &mut server.connect(&name), 9);
    let email = |user: i64| if user == 1 { ANN.to_owned() } else { format!("{user}@shop.test") };
    for host in [&mut web, &mut sequence] {
        host.look(1, ANN);
        for user in 2..=8 {
            assert_eq!(host.page(user, &email(user)), named(&email(user), 900 + user));
        }
    }
    long.batch_execute("COMMIT").expect("committed");
    part.batch_execute("COMMIT").expect("committed");
    prepared.batch_execute("COMMIT PREPARED 'p'").expect("committed");
    back.batch_execute("ROLLBACK").expect("back");
    web.look(1, ANN);
    for user in 2..=8 {
        let changing = [2, 4, 5].contains(&user);
        let page = if changing { id_alone(900 + user, CHANGING) } else { named(&email(user), 900 + user) };
        assert_eq!(web.page(user, &email(user)), page, "user {user}");
    }
    assert_eq!(web.forgotten(), 0, "by the names alone");
    sequence.look(1, ANN);
    assert_eq!(sequence.page(2, "2@shop.test"), named("2@shop.test", 902), "a sequence's cursor overlooks it for ever");
}

#[test]
fn everybody_who_hangs_together_with_what_was_touched_is_told() {
    let Some(server) = Server::get() else { return };
    let (name, _, mut worker) = hosts(&server);
    many(&mut worker, 9);
    worker.link(3, 902, true).expect("shared");
    let mut web = Watcher::of(&server, &name);
    let keep = |web: &mut Watcher| (1..=9).for_each(|user| drop(web.page(user, "2@shop.test")));
    keep(&mut web);
    begin(&worker, &mut server.connect(&name), 2);
    web.look(9, "9@shop.test");
    assert_eq!(web.page(3, "2@shop.test").2, CHANGING, "who shares the contact");
    // A merge: the users of both.
    keep(&mut web);
    worker
        .webhook(&format!(
            "[{}]",
            event(r#""subscriptionType":"contact.merge","primaryObjectId":906,"mergedObjectIds":[907]"#, 5)
        ))
        .expect("merged");
    begin(&worker, &mut server.connect(&name), 7);
    web.look(9, "9@shop.test");
    assert_eq!(web.page(6, "6@shop.test").2, CHANGING, "whose contact was merged with another's");
    // A contact's word, of which nobody says whose it is.
    keep(&mut web);
    let changed = r#""subscriptionType":"contact.propertyChange","objectId":909,"propertyName":"email""#;
    worker
        .webhook(&format!("[{}]", event(&format!(r#"{changed},"propertyValue":"nine@shop.test""#), 5)))
        .expect("another email");
    web.look(1, ANN);
    assert_eq!(web.page(9, "9@shop.test"), id_alone(909, Reason::EmailDiffers));
    assert_eq!(web.page(9, "nine@shop.test"), named("nine@shop.test", 909));
    // Forgotten, and linked to another's contact.
    keep(&mut web);
    Session::new(&worker.vidcache, &mut worker.client)
        .run(&worker.vidcache.forget(UserKey::from(8)))
        .expect("forgotten");
    worker.link(5, 904, true).expect("shared");
    web.look(9, "9@shop.test");
    assert_eq!(web.page(8, "8@shop.test").2, Reason::NotLinked);
    begin(&worker, &mut server.connect(&name), 5);
    web.look(9, "9@shop.test");
    assert_eq!(web.page(4, "4@shop.test").2, CHANGING);
    // An erasure, and a file's copy, are everybody's; so is a doubt.
    keep(&mut web);
    worker
        .webhook(&format!("[{}]", event(r#""subscriptionType":"contact.privacyDeletion","objectId":909"#, 6)))
        .expect("erased");
    let entries = |web: &Watcher| web.host.vidcache.watch_stats().expect("kept").entries;
    assert!(entries(&web) >= 8);
    web.look(1, ANN);
    assert_eq!(entries(&web), 1);
    assert_eq!(web.page(9, "9@shop.test").2, Reason::NotLinked);
    keep(&mut web);
    worker.client.batch_execute(&worker.vidcache.doubt_all()).expect("doubted");
    assert_eq!(web.look(9, ANN).2, Reason::NotLinked);
    assert_eq!(web.page(1, ANN), id_alone(901, Reason::EmailUnconfirmed));
}

#[test]
fn a_standby_an_old_snapshot_and_the_app_s_own_transaction_are_kept_from_memory() {
    let Some(server) = Server::own(&["max_connections=50"]) else { return };
    let (name, _, mut worker) = hosts(&server);
    many(&mut worker, 4);
    let mut web = Watcher::of(&server, &name);
    web.page(1, ANN);
    web.page(2, "2@shop.test");
    // What the transaction has written itself: for its own pages.
    web.host.client.batch_execute("BEGIN").expect("begun");
    let (_, own) = web.host.vidcache.begin(UserKey::from(2)).expect("a token");
    web.host.client.batch_execute(&own).expect("begun");
    assert_eq!(web.look(2, "2@shop.test"), id_alone(902, CHANGING));
    assert_eq!(web.look(3, "3@shop.test"), named("3@shop.test", 903));
    web.host.client.batch_execute("ROLLBACK").expect("back");
    assert_eq!(web.look(2, "2@shop.test"), named("2@shop.test", 902));
    // A weaker one keeps it.
    let mut own_kept = Watcher::of(&server, &name);
    own_kept.believes = |answer| with(&answer, "wrote", "false");
    own_kept.host.client.batch_execute("BEGIN").expect("begun");
    own_kept.host.client.batch_execute(&own).expect("begun");
    own_kept.page(2, "2@shop.test");
    own_kept.host.client.batch_execute("ROLLBACK").expect("back");
    assert_eq!(own_kept.page(2, "2@shop.test"), id_alone(902, CHANGING), "what never was");
    // An old snapshot, in which others' commits are not.
    let old = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1";
    for (weaker, then) in [(false, id_alone(903, CHANGING)), (true, named("3@shop.test", 903))] {
        worker.client.batch_execute("DELETE FROM vidcache_changes").expect("none");
        let mut web = Watcher::of(&server, &name);
        web.host.client.batch_execute(old).expect("begun");
        begin(&worker, &mut server.connect(&name), 3);
        if weaker {
            web.believes = |answer| answer.replace("\"repeatable read\"", "\"read committed\"");
        }
        assert_eq!(web.page(3, "3@shop.test"), named("3@shop.test", 903));
        web.host.client.batch_execute("COMMIT").expect("ended");
        assert_eq!(web.page(3, "3@shop.test"), then);
    }
    // A standby: its snapshot does not say who is open on the primary.
    let standby = server.standby(&[]);
    for (weaker, then) in [(false, id_alone(904, CHANGING)), (true, named("4@shop.test", 904))] {
        worker.client.batch_execute("DELETE FROM vidcache_changes").expect("none");
        let mut open = server.connect(&name);
        open.batch_execute("BEGIN").expect("begun");
        begin(&worker, &mut open, 4);
        worker.record(1, &answer(901, ANN, 1 + i64::from(weaker)), None).expect("a commit after it");
        let mut web = Watcher::of(&server, &name);
        if weaker {
            web.believes = |answer| {
                let answer = answer.replace("\"standby\" : true", "\"standby\" : false");
                let answer = answer.replace("\"read_only\" : true", "\"read_only\" : false");
                as_of_the_same_life(&answer)
            };
        }
        web.page(1, ANN);
        web.page(4, "4@shop.test");
        let primary = std::mem::replace(&mut web.host.client, standby.connect(&name));
        standby.catch_up(&server);
        let page = web.look(1, ANN);
        assert_eq!(page.2 == Reason::Stale && page.3 == Some(Distrust::Replica.error(PORTAL)), !weaker, "{page:?}");
        web.host.client = primary;
        open.batch_execute("COMMIT").expect("committed");
        web.look(1, ANN);
        assert_eq!(web.page(4, "4@shop.test"), then);
    }
}

#[test]
fn tables_without_their_row_of_meta_are_called_that_also_by_whoever_keeps_answers_who_forgets_them() {
    let Some(server) = Server::own(&["max_connections=50"]) else { return };
    let (name, _, mut worker) = hosts(&server);
    let standby = server.standby(&[]);
    let mut web = [(); 4].map(|()| Watcher::of(&server, &name));
    let [in_memory @ .., _, _] = &mut web;
    for host in in_memory {
        assert_eq!(host.page(1, ANN), named(ANN, 901));
    }
    worker.client.batch_execute("DELETE FROM vidcache_meta").expect("emptied");
    standby.catch_up(&server);
    // A standby that lags has none either while the tables are being set up.
    for (number, host) in web.iter_mut().enumerate() {
        let (of, why) = if number % 2 == 0 { (&standby, Distrust::Replica) } else { (&server, Distrust::NotSetUp) };
        host.host.client = of.connect(&name);
        assert_eq!(host.look(1, ANN), (None, None, Reason::Stale, Some(why.clone().error(PORTAL))), "{number}");
        assert_eq!(host.forgotten(), u64::from(number < 2), "{number}");
        let probe = host.host.vidcache.probe();
        assert_eq!(host.host.vidcache.distrust(&Host::text(&mut host.host.client, &probe)), Some(why), "{number}");
    }
}

#[test]
fn tables_that_are_emptied_and_set_up_anew_between_two_looks_are_others() {
    let Some(server) = Server::own(&["max_connections=50"]) else { return };
    let (name, mut asks, mut worker) = hosts(&server);
    many(&mut worker, 3);
    let mut web = Watcher::of(&server, &name);
    for user in 1..=3 {
        web.page(user, "whoever@shop.test");
    }
    let made_at = asks.vidcache.made_at();
    // Nobody has looked since.
    begin(&worker, &mut server.connect(&name), 1);
    worker.empty();
    Host::of(&server, &name, PORTAL, SECRET).set_up();
    assert_eq!(web.look(2, "2@shop.test").2, Reason::NotLinked);
    assert_eq!(web.page(1, ANN).2, Reason::NotLinked);
    assert_eq!(web.forgotten(), 1);
    // A sign-up from before that may be known to HubSpot, though the tables do not say so any more.
    assert_eq!(asks.page(1, ANN).2, Reason::NotLinked);
    for host in [&asks, &web.host] {
        assert!(host.vidcache.made_at() > made_at, "by the answer, since no process has begun anew");
    }
    worker.record(1, &answer(901, ANN, 0), None).expect("the same key");
    assert!(worker.vidcache.made_at() > made_at);
    web.look(2, "2@shop.test");
    assert_eq!(web.page(1, ANN), named(ANN, 901));
}

#[test]
fn names_with_another_server_s_numbers_are_pruned_and_whoever_may_not_have_heard_of_them_forgets() {
    // Whoever is open at a pruning makes others forget more than once.
    let Some(server) = Server::own(&["max_connections=50", "autovacuum=off"]) else { return };
    let (name, _, mut worker) = hosts(&server);
    many(&mut worker, 3);
    let foreign = "SELECT count(*) FROM vidcache_touched WHERE tx > 4000000000";
    // With a dump: its own horizon, and a name of everybody.
    worker
        .client
        .batch_execute(
            "INSERT INTO vidcache_touched (tx) VALUES (5000000000);
        UPDATE vidcache_meta SET horizon = 4900000000, prune_tx = 4950000000, pruned_at = 0",
        )
        .expect("brought");
    let mut web = Watcher::of(&server, &name);
    let mut asleep = Watcher::of(&server, &name);
    for host in [&mut web, &mut asleep] {
        host.page(1, ANN);
        host.look(1, ANN);
        host.page(1, ANN);
        host.page(2, "2@shop.test");
    }
    assert_eq!(web.forgotten(), 1, "at each look, by the dump's horizon");
    prune_an_hour_later(&mut worker);
    assert_eq!(Host::text(&mut worker.client, foreign), "0");
    // A name of the transaction's own, whose number is later than all that its snapshot knows of, stays.
    worker
        .client
        .batch_execute("BEGIN; INSERT INTO vidcache_touched (tx, vid) VALUES (pg_current_xact_id()::text::bigint, 77)")
        .expect("written");
    prune_an_hour_later(&mut worker);
    worker.client.batch_execute("COMMIT").expect("committed");
    assert_eq!(Host::text(&mut worker.client, "SELECT count(*) FROM vidcache_touched WHERE vid = 77"), "1");
    worker.record(3, &answer(903, "other@shop.test", 5), None).expect("recorded");
    let (forgotten, slept) = (web.forgotten(), asleep.forgotten());
    web.look(1, ANN);
    assert_eq!(web.forgotten(), forgotten + 1, "what went may have been new to it");
    prune_an_hour_later(&mut worker);
    for user in 1..=3 {
        web.page(user, "other@shop.test");
    }
    web.look(1, ANN);
    web.look(2, "2@shop.test");
    assert_eq!(web.forgotten(), forgotten + 1, "once");
    let asked = web.asked;
    assert_eq!((web.page(3, "other@shop.test"), web.asked), (named("other@shop.test", 903), asked), "it is kept again");
    asleep.look(1, ANN);
    assert_eq!(asleep.forgotten(), slept + 1);
}

#[test]
fn whoever_waited_for_another_pruning_prunes_nothing_by_an_older_snapshot() {
    let Some(server) = Server::get() else { return };
    let (name, _, mut worker) = hosts(&server);
    let an_hour_later = "UPDATE vidcache_meta SET pruned_at = coalesce(pruned_at, 0) - 3600001";
    let pruned = |client: &mut Client| Host::text(client, "SELECT prune_tx || ' ' || pruned_at FROM vidcache_meta");
    let prune = worker.vidcache.upkeep().into_iter().find(|sql| sql.contains("horizon")).expect("a pruning");
    worker.client.batch_execute(&format!("{prune}; {an_hour_later}")).expect("pruned");
    worker.client.batch_execute(&format!("BEGIN; {prune}; {an_hour_later}")).expect("pruned");
    let expected = pruned(&mut worker.client);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| server.connect(&name).batch_execute(&prune).expect("pruned by nobody"));
        let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'
             AND transactionid = pg_current_xact_id()::xid)::text";
        while Host::text(&mut worker.client, waits) != "true" {
            std::thread::sleep(Duration::from_millis(5));
        }
        worker.client.batch_execute("COMMIT").expect("committed");
        other.join().expect("it has waited");
    });
    assert_eq!(pruned(&mut worker.client), expected);
    worker.client.batch_execute(&prune).expect("pruned");
    assert_ne!(pruned(&mut worker.client), expected, "the next one knows of it");
}

#[test]
fn a_transaction_that_is_open_for_hours_is_found_and_who_has_slept_through_a_pruning_forgets() {
    // Who is open in other databases of the server counts, too.
    let Some(server) = Server::own(&["max_connections=50"]) else { return };
    let (name, _, mut worker) = hosts(&server);
    many(&mut worker, 4);
    let mut web = Watcher::of(&server, &name);
    let mut asleep = Watcher::of(&server, &name);
    let mut weaker = Watcher::of(&server, &name);
    weaker.believes = |answer| with(&answer, "horizon", "null");
    for host in [&mut web, &mut asleep, &mut weaker] {
        for user in 1..=4 {
            host.page(user, "whoever@shop.test");
        }
    }
    let mut long = server.connect(&name);
    long.batch_execute("BEGIN").expect("begun");
    begin(&worker, &mut long, 2);
    // Of the change that ended nothing is left but the name.
    worker.record(3, &answer(903, "other@shop.test", 5), None).expect("recorded");
    web.look(1, ANN);
    assert_eq!(web.page(3, "other@shop.test"), named("other@shop.test", 903));
    let names = |worker: &mut Host| Host::text(&mut worker.client, "SELECT count(*) FROM vidcache_touched");
    assert_ne!(names(&mut worker), "0");
    for _ in 0..3 {
        prune_an_hour_later(&mut worker);
        worker.record(4, &answer(904, "4@shop.test", 5), None).expect("recorded");
    }
    // It was there before what is open, so all that was named since goes by the open one's number, and stays.
    web.look(1, ANN);
    assert_eq!(web.forgotten(), 0, "who looks now and then has heard of everything");
    long.batch_execute("COMMIT").expect("committed");
    web.look(1, ANN);
    assert_eq!(web.page(2, "2@shop.test"), id_alone(902, CHANGING));
    assert_eq!(web.forgotten(), 0);
    for _ in 0..2 {
        prune_an_hour_later(&mut worker);
    }
    let left: i64 = names(&mut worker).parse().expect("a number");
    assert!(left <= 2, "{left} names");
    // Twice within the hour is once.
    let horizon = "SELECT horizon FROM vidcache_meta";
    let before = Host::text(&mut worker.client, horizon);
    for sql in worker.vidcache.upkeep() {
        worker.client.batch_execute(&sql).expect("kept up");
    }
    assert_eq!(Host::text(&mut worker.client, horizon), before);
    asleep.look(1, ANN);
    assert_eq!(asleep.forgotten(), 1);
    assert_eq!(asleep.page(3, "other@shop.test"), named("other@shop.test", 903));
    weaker.look(1, ANN);
    assert_eq!(weaker.page(3, "other@shop.test").2, Reason::EmailDiffers, "it never hears of it");
}

#[test]
fn a_crash_that_loses_commits_ends_what_was_kept() {
    let settings = ["synchronous_commit=off", "wal_writer_delay=10s", "max_connections=50", "autovacuum=off"];
    let Some(server) = Server::own(&settings) else { return };
    let (name, _, mut worker) = hosts(&server);
    many(&mut worker, 4);
    worker.client.batch_execute("CREATE TABLE filler (n bigint); CHECKPOINT").expect("kept");
    let told = (id_alone(902, CHANGING), 1);
    assert_eq!(after_a_crash(&server, &name, &mut worker, |answer| answer), told);
    // As if the server's clock had been set back meanwhile, so that its process seems older than it is.
    assert_eq!(after_a_crash(&server, &name, &mut worker, |answer| without_its_process(&answer)), told);
    // And as of a server that goes on counting.
    assert_eq!(after_a_crash(&server, &name, &mut worker, |answer| with(&answer, "counts", "5")), told);
    // What writes to the disk every ten seconds may have done so just then.
    let mut tries = 0;
    let weaker = |answer: String| as_of_the_same_life(&answer);
    while after_a_crash(&server, &name, &mut worker, weaker) != (named("2@shop.test", 902), 0) {
        tries += 1;
        assert!(tries < 8, "whoever overlooks a crash is not caught");
    }
}

/// What a page says of user 2, whose change was begun after a crash that lost commits, and how often everything was
/// forgotten.
fn after_a_crash(server: &Server, name: &str, worker: &mut Host, believes: fn(String) -> String) -> (Page, u64) {
    let on_the_disk = "SET synchronous_commit = on; DELETE FROM vidcache_changes; DELETE FROM filler; CHECKPOINT";
    let mut other = server.connect(name);
    other.batch_execute(on_the_disk).expect("on the disk");
    other.batch_execute("SET synchronous_commit = off").expect("off");
    let mut web = Watcher::of(server, name);
    web.believes = believes;
    web.page(2, "2@shop.test");
    // Numbers that are handed out again.
    for _ in 0..8 {
        other.batch_execute("INSERT INTO filler VALUES (1)").expect("written");
    }
    assert_eq!(web.look(2, "2@shop.test"), named("2@shop.test", 902));
    server.kill("client backend");
    // One of them is killed, and then the others end, too.
    for client in [&mut web.host.client, &mut other, &mut worker.client] {
        while client.simple_query("SELECT 1").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    while Client::connect(&server.address(name), postgres::NoTls).is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    worker.client = server.connect(name);
    let mut after = server.connect(name);
    begin(worker, &mut after, 2);
    for _ in 0..12 {
        after.batch_execute("INSERT INTO filler VALUES (2)").expect("written");
    }
    web.host.client = server.connect(name);
    web.look(1, ANN);
    (web.page(2, "2@shop.test"), web.forgotten())
}

#[test]
fn a_server_that_takes_over_without_the_last_commits_ends_what_was_kept() {
    let Some(server) = Server::own(&["max_connections=50"]) else { return };
    let (name, _, mut worker) = hosts(&server);
    many(&mut worker, 4);
    let standby = server.standby(&[]);
    standby.catch_up(&server);
    let [mut web, mut weaker] = [(); 2].map(|()| Watcher::of(&server, &name));
    weaker.believes = |answer| as_of_the_same_life(&answer);
    standby.end(libc::SIGINT);
    for second in 0..5 {
        worker.record(1, &answer(901, ANN, second), None).expect("recorded");
    }
    for host in [&mut web, &mut weaker] {
        host.look(1, ANN);
        host.page(2, "2@shop.test");
    }
    server.end(libc::SIGKILL);
    standby.start();
    standby.promote();
    worker.client = standby.connect(&name);
    begin(&worker, &mut standby.connect(&name), 2);
    for second in 10..30 {
        worker.record(1, &answer(901, ANN, second), None).expect("recorded");
    }
    for host in [&mut web, &mut weaker] {
        host.host.client = standby.connect(&name);
        host.look(1, ANN);
    }
    assert_eq!(web.page(2, "2@shop.test"), id_alone(902, CHANGING));
    assert_eq!(web.forgotten(), 1);
    assert_eq!(weaker.page(2, "2@shop.test"), named("2@shop.test", 902), "numbers were handed out again");
}

#[test]
fn a_machine_that_has_slept_asks_and_one_that_cannot_says_the_id_and_after_the_deadline_nothing() {
    let Some(server) = Server::get() else { return };
    let (name, _, worker) = hosts(&server);
    let mut web = Watcher::of(&server, &name);
    assert_eq!(web.page(1, ANN), named(ANN, 901));
    begin(&worker, &mut server.connect(&name), 1);
    assert_eq!((web.page(1, ANN), web.asked), (named(ANN, 901), 1), "for a second it may");
    let unanswered = |web: &Watcher| {
        let email = Email::parse(ANN).expect("an email");
        let page = web.host.vidcache.unanswered(UserKey::from(1), Some(&email));
        (page.decision().email().is_some(), page.decision().id().is_some(), page.decision().reason())
    };
    assert_eq!(unanswered(&web), (true, true, Reason::Agreed));
    later(5_000);
    assert_eq!(unanswered(&web), (false, true, Reason::Stale));
    later(6_000);
    assert_eq!(unanswered(&web), (false, false, Reason::Stale));
    assert_eq!(web.page(1, ANN), id_alone(901, CHANGING));
}

#[test]
fn beside_writers_of_every_kind_nobody_is_overlooked() {
    let Some(server) = Server::get() else { return };
    let (name, _, mut worker) = hosts(&server);
    many(&mut worker, 30);
    let done = AtomicBool::new(false);
    let [mut web, mut asking] = [(); 2].map(|()| Watcher::by_the_machine(&server, &name));
    std::thread::scope(|scope| {
        for seed in 0..5u64 {
            let (server, name, done, host) = (&server, &name, &done, Host::of(&server, &name, PORTAL, SECRET));
            scope.spawn(move || {
                let (mut client, mut random) = (server.connect(name), fastrand::Rng::with_seed(seed));
                while !done.load(Ordering::Relaxed) {
                    client.batch_execute("BEGIN").expect("begun");
                    let user = random.i64(2..=30);
                    if random.u8(..5) == 0 {
                        // As an errand does it.
                        let key = format!("decode('01{user:016x}', 'hex')");
                        let ended = format!(
                            "UPDATE vidcache_changes SET ended_at = 1 WHERE user_key = {key}; INSERT INTO vidcache_touched
                               (tx, user_key) VALUES (pg_current_xact_id()::text::bigint, {key})"
                        );
                        client.batch_execute(&ended).expect("ended");
                    } else {
                        client.batch_execute("SAVEPOINT s").expect("a part");
                        begin(&host, &mut client, user);
                        let part = if random.u8(..3) == 0 { "ROLLBACK TO s" } else { "RELEASE s" };
                        client.batch_execute(part).expect("a part");
                        begin(&host, &mut client, random.i64(2..=30));
                    }
                    let long = if seed == 0 { 900 } else { 30 };
                    std::thread::sleep(Duration::from_millis(random.u64(..long)));
                    let end = if random.u8(..6) == 0 { "ROLLBACK" } else { "COMMIT" };
                    client.batch_execute(end).expect("ended");
                }
            });
        }
        let mut random = fastrand::Rng::with_seed(99);
        let began = Instant::now();
        let hits = |web: &Watcher| web.host.vidcache.watch_stats().expect("kept").hits;
        // However slow the machine is.
        while began.elapsed() < Duration::from_secs(4) || hits(&web) < 50 && began.elapsed() < Duration::from_secs(60) {
            let user = random.i64(2..=30);
            web.page(user, &format!("{user}@shop.test"));
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(web.forgotten(), 0, "by the names alone");
    std::thread::sleep(Duration::from_millis(1_010));
    web.page(1, ANN);
    for user in 2..=30 {
        let email = format!("{user}@shop.test");
        assert_eq!(web.page(user, &email), asking.page(user, &email), "user {user}");
    }
    assert!(web.host.vidcache.watch_stats().expect("kept").hits >= 50);
}
