//! The facade on a real file: what a user of the crate relies on.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use vidcache::{
    ChangeToken, Email, Error, ErrorCode, ImportReport, Imported, Options, Reason, Synchronous, UserKey, Vid, Vidcache,
};

const PORTAL: i64 = 62515;
const SECRET: &[u8] = b"thirty-two bytes kept out of it.";

fn options() -> Options<'static> {
    Options { secret: Some(SECRET), synchronous: Synchronous::Normal, ..Options::default() }
}

fn temporary() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("hubspot.vidcache");
    (dir, path)
}

fn open(path: &Path) -> Vidcache {
    Vidcache::open(path, PORTAL, &options()).expect("the file opens")
}

fn email(text: &str) -> Email {
    Email::parse(text).expect("an email")
}

/// A v3 answer: this contact held this email at this second.
fn answer(vid: i64, email: &str, second: u32) -> Vec<u8> {
    format!(r#"{{"id":"{vid}","properties":{{"email":"{email}"}},"updatedAt":"2026-01-01T00:00:{second:02}.000Z"}}"#)
        .into()
}

fn says(cache: &Vidcache, user: UserKey<'_>, text: &str) -> (Option<String>, Option<i64>, Reason) {
    let email = email(text);
    let decision = cache.decide(user, Some(&email)).expect("a decision");
    (decision.email().map(str::to_owned), decision.id().map(Vid::get), decision.reason())
}

#[test]
fn a_change_of_email_goes_from_agreed_over_careful_to_agreed() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let user = UserKey::from(42);
    assert_eq!(says(&cache, user, "a@x.test"), (None, None, Reason::NotLinked));

    cache.link(user, Vid::try_from(901).unwrap()).unwrap();
    assert_eq!(says(&cache, user, "a@x.test"), (None, Some(901), Reason::EmailUnconfirmed));

    let recorded = cache.record(user, &answer(901, "a@x.test", 1), None).unwrap();
    assert!(recorded.email_observed && recorded.vid.get() == 901);
    assert_eq!(says(&cache, user, "A@x.test"), (Some("a@x.test".into()), Some(901), Reason::Agreed));
    assert_eq!(says(&cache, user, "b@x.test"), (None, Some(901), Reason::EmailDiffers));

    let change = cache.begin_email_change(user).unwrap();
    for text in ["a@x.test", "b@x.test"] {
        assert_eq!(says(&cache, user, text), (None, Some(901), Reason::ChangeOutstanding));
    }
    cache.record(user, &answer(901, "b@x.test", 2), Some(change)).unwrap();
    assert_eq!(says(&cache, user, "b@x.test"), (Some("b@x.test".into()), Some(901), Reason::Agreed));
    assert_eq!(says(&cache, user, "a@x.test"), (None, Some(901), Reason::EmailDiffers));
}

#[test]
fn a_lease_is_one_handle_s_at_a_time_and_is_renewed_by_its_token_alone() {
    let (_dir, path) = temporary();
    let (cache, other) = (open(&path), open(&path));
    let (user, minute) = (UserKey::from(42), Duration::from_secs(60));
    let token = cache.lease(user, minute, None).unwrap().expect("it is free");
    assert_eq!(other.lease(user, minute, None), Ok(None));
    assert_eq!(other.lease(user, minute, Some(token.get().wrapping_add(1).into())), Ok(None));
    assert_eq!(other.lease(user, minute, Some(token)), Ok(Some(token)));
    assert_eq!(other.release(user, token), Ok(true));
    assert_eq!((cache.release(user, token), cache.lease(user, minute, Some(token))), (Ok(false), Ok(None)));

    let short = cache.lease(user, Duration::from_millis(1), None).unwrap().expect("it is free again");
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(cache.lease(user, minute, Some(short)), Ok(None), "its holder was slower than its deadline");
    assert!(other.lease(user, minute, None).unwrap().is_some());
    for wrong in [Duration::ZERO, Duration::from_micros(1), Duration::from_millis(3_600_001), Duration::MAX] {
        assert_eq!(cache.lease(user, wrong, None).unwrap_err().code(), ErrorCode::InvalidOption);
    }
}

#[test]
fn every_begun_change_counts_and_not_only_the_newest() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let user = UserKey::from(1);
    cache.record(user, &answer(9, "a@x.test", 1), None).unwrap();
    let first = cache.begin_email_change(user).unwrap();
    let second = cache.begin_email_change(user).unwrap();
    cache.record(user, &answer(9, "a@x.test", 2), Some(second)).unwrap();
    assert_eq!(says(&cache, user, "a@x.test").2, Reason::ChangeOutstanding);
    cache.record(user, &answer(9, "b@x.test", 3), Some(first)).unwrap();
    assert_eq!(says(&cache, user, "a@x.test").2, Reason::EmailDiffers);
}

#[test]
fn an_answer_that_comes_late_does_not_undo_a_newer_one() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let user = UserKey::from(1);
    cache.record(user, &answer(9, "new@x.test", 30), None).unwrap();
    let late = cache.begin_email_change(user).unwrap();
    cache.record(user, &answer(9, "old@x.test", 20), Some(late)).unwrap();
    assert_eq!(says(&cache, user, "old@x.test").2, Reason::EmailDiffers);
    assert_eq!(says(&cache, user, "new@x.test").2, Reason::Agreed);
}

#[test]
fn two_emails_at_one_time_are_neither_believed() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let user = UserKey::from(1);
    cache.record(user, &answer(9, "a@x.test", 5), None).unwrap();
    cache.record(user, &answer(9, "b@x.test", 5), None).unwrap();
    for text in ["a@x.test", "b@x.test"] {
        assert_eq!(says(&cache, user, text).2, Reason::EmailUnconfirmed);
    }
}

/// Its contact was merged into ann's, so bob's job changed what ann's contact holds, and HubSpot said so.
#[test]
fn what_hubspot_said_of_another_users_contact_is_believed() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let (ann, bob) = (UserKey::from(1), UserKey::from(2));
    cache.record(ann, &answer(999, "ann@x.test", 1), None).unwrap();
    cache.record(bob, &answer(902, "bob@x.test", 1), None).unwrap();
    let change = cache.begin_email_change(bob).unwrap();
    assert!(matches!(cache.record(bob, &answer(999, "new@x.test", 20), Some(change)), Err(Error::VidTaken { .. })));
    assert_eq!(says(&cache, ann, "ann@x.test").2, Reason::EmailDiffers);
    assert_eq!(says(&cache, bob, "bob@x.test").2, Reason::ChangeOutstanding);
}

#[test]
fn an_answer_about_a_former_contact_that_comes_late_changes_nothing() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let user = UserKey::from(1);
    let old = answer(901, "a@x.test", 1);
    cache.record(user, &old, None).unwrap();
    cache.record(user, &answer(904, "other@x.test", 30), None).unwrap();
    assert_eq!(says(&cache, user, "a@x.test").2, Reason::EmailDiffers);
    cache.record(user, &old, None).unwrap();
    assert_eq!(cache.resolve(user).unwrap().unwrap().vid.get(), 904);
    assert_eq!(says(&cache, user, "a@x.test").2, Reason::EmailDiffers);

    // With a change outstanding it is the worker that says which contact it is, whatever its age.
    let change = cache.begin_email_change(user).unwrap();
    cache.record(user, &old, Some(change)).unwrap();
    assert_eq!(cache.resolve(user).unwrap().unwrap().vid.get(), 901);
}

/// With no time an answer may have been overtaken, and then E1 → E2 → E1 would name an email that
/// HubSpot holds no more.
#[test]
fn an_answer_without_email_or_time_links_but_finishes_no_change() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let user = UserKey::from(1);
    let v1 = br#"{"vid":9,"isNew":true}"#;
    assert!(!cache.record(user, v1, None).unwrap().email_observed);
    assert_eq!(cache.resolve(user).unwrap().unwrap().vid.get(), 9);

    let change = cache.begin_email_change(user).unwrap();
    assert_eq!(cache.record(user, v1, Some(change)), Err(Error::AnswerWithoutEmail));
    assert_eq!(says(&cache, user, "a@x.test").2, Reason::ChangeOutstanding);
}

#[test]
fn an_abandoned_change_leaves_everything_as_it_was() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let user = UserKey::from(1);
    cache.record(user, &answer(9, "a@x.test", 1), None).unwrap();
    let change = cache.begin_email_change(user).unwrap();
    cache.abandon_email_change(user, change).unwrap();
    cache.abandon_email_change(user, change).unwrap();
    assert_eq!(says(&cache, user, "a@x.test").2, Reason::Agreed);
}

#[test]
fn a_job_that_runs_twice_records_twice_and_nothing_changes() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let user = UserKey::from(1);
    let change = cache.begin_email_change(user).unwrap();
    assert!(cache.is_change_outstanding(user, change).unwrap());
    for _ in 0..2 {
        cache.record(user, &answer(9, "a@x.test", 1), Some(change)).unwrap();
        assert_eq!(says(&cache, user, "a@x.test").2, Reason::Agreed);
        assert!(!cache.is_change_outstanding(user, change).unwrap(), "so a third time would tell HubSpot nothing");
    }
}

#[test]
fn the_external_id_stays_the_first_vid_through_a_merge() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let user = UserKey::text("0188d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d").unwrap();
    cache.record(user, &answer(5, "a@x.test", 1), None).unwrap();
    cache.record(user, &answer(999, "a@x.test", 2), None).unwrap();
    let identity = cache.resolve(user).unwrap().unwrap();
    assert_eq!((identity.vid.get(), identity.external_id.map(Vid::get)), (999, Some(5)));
    assert_eq!(says(&cache, user, "a@x.test"), (Some("a@x.test".into()), Some(5), Reason::Agreed));
}

/// Otherwise bob's page would go on naming the email that ann's worker is about to take away.
#[test]
fn a_contact_belongs_to_one_user() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let (ann, bob) = (UserKey::from(1), UserKey::text("bob").unwrap());
    cache.record(ann, &answer(9, "a@x.test", 1), None).unwrap();
    let vid = Vid::try_from(9).unwrap();
    let taken = Error::VidTaken { vid, linked_to: "1".into(), user: "bob".into() };
    assert_eq!(cache.link(bob, vid), Err(taken.clone()));
    assert_eq!(cache.record(bob, &answer(9, "b@x.test", 2), None), Err(taken));
    assert_eq!(cache.resolve(bob).unwrap(), None, "nothing about bob was written,");
    assert_eq!(says(&cache, ann, "a@x.test").2, Reason::EmailDiffers, "but HubSpot has said what 9 holds");

    // Once ann has another contact, hers is free.
    cache.record(ann, &answer(10, "a@x.test", 3), None).unwrap();
    cache.link(bob, vid).unwrap();
    assert_eq!(says(&cache, bob, "b@x.test").2, Reason::Agreed);
}

#[test]
fn a_token_must_be_known_and_the_user_s_own() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let (ann, bob) = (UserKey::from(1), UserKey::from(2));
    let change = cache.begin_email_change(ann).unwrap();
    let unknown = ChangeToken::try_from(change.get() ^ 1).unwrap();
    for (token, error) in [(unknown, Error::UnknownChange), (change, Error::ForeignChange)] {
        assert_eq!(cache.record(bob, &answer(9, "a@x.test", 1), Some(token)), Err(error.clone()));
        assert_eq!(cache.is_change_outstanding(bob, token), Err(error.clone()));
        assert_eq!(cache.abandon_email_change(bob, token), Err(error));
    }
    assert_eq!(cache.resolve(bob).unwrap(), None, "nothing of a refused record was written");
    assert_eq!(ChangeToken::try_from(0), Err(Error::UnknownChange));
}

#[test]
fn changes_that_were_never_finished_are_listed_oldest_first() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let uuid = "0188d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d";
    let keys = [UserKey::from(7), UserKey::text(uuid).unwrap(), UserKey::text("ann").unwrap()];
    let tokens: Vec<_> = keys.iter().map(|&key| cache.begin_email_change(key).unwrap()).collect();
    cache.abandon_email_change(keys[2], tokens[2]).unwrap();
    std::thread::sleep(Duration::from_millis(5));
    let stale = cache.stale_changes(Duration::ZERO, 10).unwrap();
    let mut found: Vec<_> = stale.iter().map(|s| (s.user.as_str(), s.token)).collect();
    found.sort_by_key(|(user, _)| user.len());
    assert_eq!(found, [("7", tokens[0]), (uuid, tokens[1])]);
    assert_eq!(cache.stale_changes(Duration::ZERO, 1).unwrap().len(), 1);
    assert_eq!(cache.stale_changes(Duration::from_secs(60), 10).unwrap(), []);
    assert_eq!(cache.stale_changes(Duration::MAX, 10).unwrap(), []);
}

#[test]
fn linked_users_are_listed_in_parts_and_each_once() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let uuid = "0188d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d";
    for (user, vid) in [("10", 910), ("9", 909), ("ann", 900), (uuid, 901), ("-3", 903)] {
        cache.link(UserKey::text(user).unwrap(), Vid::try_from(vid).unwrap()).unwrap();
    }
    // Shared, and linked to nobody.
    cache.link_shared(UserKey::from(11), Vid::try_from(910).unwrap()).unwrap();
    cache.begin_email_change(UserKey::from(12)).unwrap();

    let mut listed: Vec<(String, i64)> = Vec::new();
    loop {
        let after = listed.last().map(|(user, _)| user.clone());
        let after = after.as_deref().map(|user| UserKey::text(user).unwrap());
        let part = cache.linked_users(after, 2).unwrap();
        listed.extend(part.iter().map(|(user, vid)| (user.clone(), vid.get())));
        if part.len() < 2 {
            break;
        }
    }
    let expected = [("-3", 903), ("9", 909), ("10", 910), ("11", 910), ("ann", 900), (uuid, 901)];
    assert_eq!(listed, expected.map(|(user, vid)| (user.to_owned(), vid)));
}

#[test]
fn another_handle_sees_a_write_as_soon_as_it_returned() {
    let (_dir, path) = temporary();
    let (writer, reader) = (open(&path), open(&path));
    for second in 0..50 {
        let text = format!("u{second}@x.test");
        writer.record(UserKey::from(1), &answer(9, &text, second), None).unwrap();
        assert_eq!(says(&reader, UserKey::from(1), &text).2, Reason::Agreed);
    }
}

fn imported(user: i64, vid: i64, text: &str, at: i64) -> Result<Imported<'static>, Error> {
    Ok(Imported { user: UserKey::from(user), vid: Vid::try_from(vid)?, email: Some((Email::parse(text)?, at)) })
}

#[test]
fn an_import_fills_in_what_is_not_known_better() {
    let (_dir, path) = temporary();
    let (cache, other) = (open(&path), open(&path));
    cache.record(UserKey::from(1), &answer(901, "new@x.test", 30), None).unwrap();
    cache.link(UserKey::from(2), Vid::try_from(902).unwrap()).unwrap();
    assert_eq!(says(&other, UserKey::from(3), "c@x.test").2, Reason::NotLinked, "and that is remembered");
    let rows = || {
        [
            imported(1, 901, "old@x.test", 1_000),
            imported(2, 802, "b@x.test", 1_000),
            imported(3, 903, "c@x.test", 1_000),
            imported(4, 903, "d@x.test", 1_000),
        ]
    };
    for _ in 0..2 {
        assert_eq!(cache.import(rows()).unwrap(), ImportReport { imported: 3, vid_taken: 1 });
        assert_eq!(says(&other, UserKey::from(1), "new@x.test").2, Reason::Agreed, "the later email stands");
        assert_eq!(other.resolve(UserKey::from(2)).unwrap().unwrap().vid.get(), 902, "the link that was made stands");
        assert_eq!(says(&other, UserKey::from(3), "c@x.test").2, Reason::Agreed);
        assert_eq!(says(&other, UserKey::from(4), "d@x.test").2, Reason::NotLinked);
        assert_eq!(cache.verify().unwrap(), [""; 0]);
    }
    cache.import([imported(1, 900, "a@x.test", 1)]).unwrap();
    let identity = other.resolve(UserKey::from(1)).unwrap().unwrap();
    assert_eq!(identity.external_id.map(Vid::get), Some(901), "which pages have given");
}

#[test]
fn the_last_failure_is_a_code_and_names_no_user() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let vid = Vid::try_from(9).unwrap();
    cache.link(UserKey::text("ann-key").unwrap(), vid).unwrap();
    cache.link(UserKey::from(2), vid).unwrap_err();
    assert_eq!(cache.stats().last_error, Some(ErrorCode::VidTaken));
}

#[test]
fn an_import_stops_at_the_first_bad_row_and_keeps_whole_batches() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let rows = (1..150_000).map(|n| imported(n, n, "a@x.test", 1)).chain([imported(200_000, 0, "a@x.test", 1)]);
    assert!(matches!(cache.import(rows), Err(Error::InvalidVid(_))));
    assert!(cache.resolve(UserKey::from(100_000)).unwrap().is_some());
    assert!(cache.resolve(UserKey::from(100_001)).unwrap().is_none());
}

/// Rows that no event could have made, put in by hand, are named.
#[test]
fn verify_names_what_is_wrong() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    cache.record(UserKey::from(1), &answer(9, "a@x.test", 1), None).unwrap();
    cache.begin_email_change(UserKey::from(1)).unwrap();
    assert_eq!(cache.verify().unwrap(), [""; 0]);
    cache.close();
    for (sql, wrong) in [
        ("UPDATE user SET changes = 0", "1 users whose number of outstanding changes is wrong"),
        ("UPDATE user SET changes = 1, vid = 10", "1 users whose contact does not say so"),
        ("UPDATE user SET vid = 9, linked_at = NULL", "halves of a link"),
        ("UPDATE user SET linked_at = 1; UPDATE contact SET email = x'00'", "1 ids that are not positive"),
        ("UPDATE contact SET email = NULL; DELETE FROM user", "outstanding changes of users who are not known"),
    ] {
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let found = open(&path).verify().unwrap().join("; ");
        assert!(found.contains(wrong), "{sql}: {found}");
    }
}

#[test]
fn a_closed_cache_says_so() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    cache.close();
    cache.close();
    assert_eq!(cache.resolve(UserKey::from(1)), Err(Error::Closed));
    assert_eq!(cache.begin_email_change(UserKey::from(1)), Err(Error::Closed));
}

#[test]
fn the_snippet_of_an_agreed_user_names_the_email_once() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let user = UserKey::from(1);
    let odd = "\"o'</script>&\u{2028}\"@x.test";
    let body = serde_json::json!({"id": "9", "properties": {"email": odd}, "updatedAt": "2026-01-01T00:00:00Z"});
    cache.record(user, body.to_string().as_bytes(), None).unwrap();
    let html = cache.snippet(user, Some(&email(odd)), Some("n0nce")).unwrap();
    assert!(html.contains(r#""email":"\u0022o\u0027\u003c/script\u003e\u0026\u2028\u0022@x.test""#), "{html}");
    assert!(!cache.snippet(user, Some(&email("b@x.test")), None).unwrap().contains("\"email\":"));
    for html in [cache.anonymous_page().render(None), cache.signed_out_page().render(None)] {
        assert!(!html.contains("\"id\":") && !html.contains("\"email\":"));
    }
    assert!(cache.signed_out_page().render(None).contains(",\"out\":true});</script>"));
    assert!(!cache.anonymous_page().render(None).contains("\"out\""));
}

#[test]
fn a_page_of_the_app_s_own_gets_what_the_snippet_says_as_json() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let user = UserKey::from(1);
    cache.record(user, &answer(9, "ann@shop.test", 1), None).unwrap();
    let json = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let data = json(cache.page(user, Some(&email("ann@shop.test"))).unwrap().data());
    assert_eq!((&data["id"], &data["email"], &data["ttl"]), (&"vid:9".into(), &"ann@shop.test".into(), &10_000.into()));
    assert!(data["at"].as_i64().unwrap() > 1_700_000_000_000);
    cache.begin_email_change(user).unwrap();
    let careful = json(cache.page(user, Some(&email("ann@shop.test"))).unwrap().data());
    assert_eq!((&careful["id"], careful.get("email")), (&"vid:9".into(), None));
    assert_eq!(json(cache.anonymous_page().data()).as_object().unwrap().len(), 2);
    assert_eq!(json(cache.signed_out_page().data())["out"], true);
}

#[test]
fn options_out_of_range_are_refused_before_a_file_is_made() {
    let (_dir, path) = temporary();
    for (options, code) in [
        (Options { secret: Some(b"short"), ..options() }, "invalid_secret"),
        (Options { page_deadline: Duration::ZERO, ..options() }, "invalid_option"),
        (Options { page_deadline: Duration::from_secs(3601), ..options() }, "invalid_option"),
        (Options { loader_host: "x/y", ..options() }, "invalid_option"),
    ] {
        assert_eq!(Vidcache::open(&path, PORTAL, &options).err().unwrap().code().name(), code);
    }
    for portal in [0, -1] {
        assert_eq!(Vidcache::open(&path, portal, &options()).err(), Some(Error::InvalidPortal));
    }
    assert!(!path.exists());
}

/// Within a batch the users go in by their keys; who gets a contact that two of them claim is still who came first.
#[test]
fn an_import_gives_a_contact_to_whoever_is_listed_first() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let report = cache.import([imported(9, 901, "a@x.test", 1), imported(2, 901, "a@x.test", 1)]).unwrap();
    assert_eq!((report.imported, report.vid_taken), (1, 1));
    assert!(cache.resolve(UserKey::from(9)).unwrap().is_some());
    assert!(cache.resolve(UserKey::from(2)).unwrap().is_none());
    let again = cache.import([imported(2, 902, "b@x.test", 1), imported(2, 903, "c@x.test", 1)]).unwrap();
    assert_eq!((again.imported, again.vid_taken), (2, 0));
    assert_eq!(cache.resolve(UserKey::from(2)).unwrap().unwrap().vid.get(), 902, "the first of two for one user, too");
    assert_eq!(cache.verify().unwrap(), [""; 0]);
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_millis() as i64
}

/// HubSpot's time of the contact stands still meanwhile.
#[test]
fn who_became_doubtful_is_listed_and_named_again_by_a_read_that_was_begun_since() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let user = UserKey::from(42);
    let same = answer(901, "ann@x.test", 0);
    let day = Duration::from_secs(86_400);
    cache.record(user, &same, None).unwrap();
    assert_eq!(cache.users_to_read(false, day, None, 10).unwrap(), []);
    let missing = br#"{"status":"error","message":"resource not found","category":"OBJECT_NOT_FOUND"}"#;
    let before = now();
    assert_eq!(cache.record(user, missing, None).unwrap_err(), Error::ContactMissing);
    let listed = cache.users_to_read(false, day, None, 10).unwrap();
    assert_eq!((listed[0].user.as_str(), listed[0].vid.get(), listed.len()), ("42", 901, 1));
    for asked_at in [before - 1, before + 4_000, i64::MAX, -1, 0] {
        cache.observe_read(&same, asked_at).unwrap();
        cache.record_read(user, &same, None, asked_at).unwrap();
        assert_eq!(says(&cache, user, "ann@x.test").2, Reason::EmailUnconfirmed, "{asked_at}");
    }
    std::thread::sleep(Duration::from_millis(20));
    cache.record_read(user, &same, None, now() + 4_999).unwrap();
    assert_eq!(says(&cache, user, "ann@x.test").2, Reason::Agreed);
    assert_eq!(cache.users_to_read(false, day, None, 10).unwrap(), []);
    assert_eq!(cache.users_to_read(true, Duration::ZERO, None, 10).unwrap(), [], "read by a clock that is ahead");
}

#[test]
fn an_old_copy_of_the_file_names_nobody_once_all_of_it_was_doubted_and_reads_confirm_anew() {
    let (_dir, path) = temporary();
    let (copy, user) = (path.with_extension("copy"), UserKey::from(42));
    let (old, new) = (answer(901, "old@x.test", 1), answer(901, "new@x.test", 2));
    let cache = open(&path);
    cache.record(user, &old, None).unwrap();
    drop(cache);
    std::fs::copy(&path, &copy).unwrap();
    let cache = open(&path);
    cache.record(user, &new, None).unwrap();
    drop(cache);
    std::fs::rename(&copy, &path).unwrap();
    let (cache, other) = (open(&path), open(&path));
    assert_eq!(says(&cache, user, "old@x.test").2, Reason::Agreed, "the copy knows no better");
    cache.doubt_all().unwrap();
    for cache in [&cache, &other] {
        assert_eq!(says(cache, user, "old@x.test"), (None, Some(901), Reason::EmailUnconfirmed));
    }
    cache.record(user, &old, None).unwrap();
    cache.record_read(user, &old, None, now()).unwrap();
    assert_eq!(says(&cache, user, "old@x.test").2, Reason::EmailUnconfirmed, "nobody knows when that was so");
    let listed = cache.users_to_read(false, Duration::from_secs(86_400), None, 10).unwrap();
    assert_eq!((listed[0].user.as_str(), listed.len()), ("42", 1));
    std::thread::sleep(Duration::from_millis(20));
    cache.observe_read(&new, now() + 4_999).unwrap();
    assert_eq!(says(&cache, user, "new@x.test").2, Reason::Agreed);
    assert_eq!(cache.verify().unwrap(), Vec::<String>::new());
}

#[test]
fn a_contact_names_all_of_its_users_by_any_of_its_ids() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let vid = |id: i64| Vid::try_from(id).unwrap();
    cache.link(UserKey::from(42), vid(901)).unwrap();
    cache.link(UserKey::text("7a").unwrap(), vid(902)).unwrap();
    assert_eq!(cache.users_of(vid(901)).unwrap(), ["42"]);
    let merged = br#"{"id":"902","properties":{"hs_merged_object_ids":"901"}}"#;
    cache.observe(merged).unwrap();
    for id in [901, 902] {
        let mut users = cache.users_of(vid(id)).unwrap();
        users.sort();
        assert_eq!(users, ["42", "7a"], "{id}");
    }
    assert_eq!(cache.users_of(vid(903)).unwrap(), Vec::<String>::new());
}

#[test]
fn many_users_are_resolved_as_one_by_one() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    for user in 0..400 {
        cache.link(UserKey::from(user * 2), (user + 900).try_into().unwrap()).unwrap();
    }
    let users: Vec<UserKey<'_>> = (0..800).map(UserKey::from).collect();
    let one_by_one: Vec<_> = users.iter().map(|user| cache.resolve(*user).unwrap()).collect();
    assert_eq!(cache.resolve_many(&users).unwrap(), one_by_one);
    assert_eq!(one_by_one.iter().flatten().count(), 400);
}
