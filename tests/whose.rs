//! Whose contact it is, on a real file: contacts that become several users', erasures, who comes back, imports.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use vidcache::{
    ChangeToken, Email, Error, ErrorCode, Imported, Options, Reason, Refusal, Synchronous, UserKey, Vid, Vidcache,
};

const PORTAL: i64 = 62515;
const ANN: i64 = 1;
const BEA: i64 = 2;

fn cache() -> (TempDir, Vidcache) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let options = Options { synchronous: Synchronous::Normal, ..Options::default() };
    let cache = Vidcache::open(dir.path().join("c"), PORTAL, &options).expect("the file opens");
    (dir, cache)
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

fn vid(id: i64) -> Vid {
    Vid::try_from(id).unwrap()
}

/// HubSpot's answer about the user, at this time of its clock.
fn record(cache: &Vidcache, user: i64, id: i64, email: &str, at: i64) {
    let answer = format!(r#"{{"id":"{id}","properties":{{"email":"{email}"}},"updatedAt":{at}}}"#);
    cache.record(user.into(), answer.as_bytes(), None).unwrap();
}

fn webhook(cache: &Vidcache, kind: &str, id: i64, at: i64, more: &str) {
    let body = format!(
        r#"[{{"portalId":{PORTAL},"occurredAt":{at},"subscriptionType":"contact.{kind}","objectId":{id}{more}}}]"#
    );
    cache.apply_webhook(body.as_bytes()).unwrap();
}

fn reason(cache: &Vidcache, user: i64, email: &str) -> Reason {
    cache.decide(user.into(), Some(&Email::parse(email).unwrap())).unwrap().reason()
}

/// The time that the worker's quiet period counts from, in milliseconds after the change began.
fn waits(cache: &Vidcache, user: i64, token: ChangeToken, begun_at: i64) -> i64 {
    cache.change_outstanding_since(user.into(), token).unwrap().unwrap() - begun_at
}

/// Two users with a contact each; Ann's change has been outstanding for a while.
fn changing() -> (TempDir, Vidcache, ChangeToken, i64) {
    let (dir, cache) = cache();
    record(&cache, ANN, 51, "ann@x.test", 1000);
    record(&cache, BEA, 101, "bea@x.test", 1000);
    let token = cache.begin_email_change(UserKey::from(ANN)).unwrap();
    let begun_at = cache.change_outstanding_since(UserKey::from(ANN), token).unwrap().unwrap();
    sleep(Duration::from_millis(30));
    (dir, cache, token, begun_at)
}

const MERGED: &str = r#","mergedObjectIds":[51,101],"newObjectId":151,"numberOfPropertiesMoved":1"#;

#[test]
fn a_merge_that_makes_a_contact_two_users_gives_it_a_quiet_period_of_its_own() {
    let (_dir, cache, token, begun_at) = changing();
    assert_eq!(reason(&cache, BEA, "bea@x.test"), Reason::Agreed, "such a page may still be about");
    assert_eq!(waits(&cache, ANN, token, begun_at), 0);

    webhook(&cache, "merge", 51, 2000, &format!(r#","primaryObjectId":51{MERGED}"#));
    assert_eq!(cache.resolve(BEA.into()).unwrap().unwrap().vid, vid(151));
    let waited = waits(&cache, ANN, token, begun_at);
    assert!(
        waited >= 30,
        "{waited} ms: a page of Bea's from before the merge was heard names an email of Ann's contact"
    );

    sleep(Duration::from_millis(20));
    webhook(&cache, "merge", 51, 2000, &format!(r#","primaryObjectId":51{MERGED}"#));
    assert_eq!(waits(&cache, ANN, token, begun_at), waited, "what was heard already is no news");
    let later = cache.begin_email_change(BEA.into()).unwrap();
    let since = cache.change_outstanding_since(BEA.into(), later).unwrap().unwrap();
    assert!(since >= begun_at + waited + 20, "a change that began after it counts from its own beginning");
}

#[test]
fn a_contact_that_is_shared_by_choice_has_a_quiet_period_of_its_own() {
    let (_dir, cache, token, begun_at) = changing();
    cache.link_shared(ANN.into(), vid(101)).unwrap();
    assert!(
        waits(&cache, ANN, token, begun_at) >= 30,
        "Ann's job will tell HubSpot of the contact that Bea's pages name"
    );
    assert_eq!(reason(&cache, BEA, "bea@x.test"), Reason::ChangeOutstanding);
}

#[test]
fn a_contact_that_was_another_user_s_until_now_has_one_too() {
    let (_dir, cache, token, begun_at) = changing();
    cache.link(BEA.into(), vid(501)).unwrap();
    cache.link(ANN.into(), vid(101)).unwrap();
    assert!(waits(&cache, ANN, token, begun_at) >= 30);
}

#[test]
fn a_contact_that_is_and_was_one_user_s_alone_has_none() {
    let (_dir, cache, token, begun_at) = changing();
    webhook(&cache, "merge", 51, 2000, r#","primaryObjectId":51,"mergedObjectIds":[51,77],"newObjectId":151"#);
    cache.link(ANN.into(), vid(501)).unwrap();
    assert_eq!(waits(&cache, ANN, token, begun_at), 0, "no page but Ann's own ever named what it holds");
}

#[test]
fn an_erasure_brings_no_link_back_that_was_put_right() {
    let (_dir, cache) = cache();
    cache.link(ANN.into(), vid(51)).unwrap(); // A mistake: it is Bea's,
    sleep(Duration::from_millis(2));
    record(&cache, ANN, 101, "ann@x.test", 1000); // and put right.
    record(&cache, BEA, 51, "bea@x.test", 1000);
    webhook(&cache, "privacyDeletion", 101, 2000, "");
    assert_eq!(cache.resolve(ANN.into()), Ok(None));
    assert_eq!(reason(&cache, BEA, "bea@x.test"), Reason::Agreed);
    assert!(!cache.export(ANN.into()).unwrap().contains("51"));
    assert_eq!(cache.verify(), Ok(Vec::new()));
}

#[test]
fn the_erasure_of_a_contact_that_a_user_had_before_leaves_the_one_they_have() {
    let (_dir, cache) = cache();
    cache.link(ANN.into(), vid(51)).unwrap();
    sleep(Duration::from_millis(2));
    record(&cache, ANN, 101, "ann@x.test", 1000);
    webhook(&cache, "privacyDeletion", 51, 2000, "");
    assert_eq!(reason(&cache, ANN, "ann@x.test"), Reason::Agreed);
    assert_eq!(cache.verify(), Ok(Vec::new()));
}

#[test]
fn whose_contact_was_erased_has_a_refusal_until_the_app_links_or_forgets_them() {
    let (dir, cache) = cache();
    let (ann, text) = (UserKey::from(ANN), UserKey::text("ann").unwrap());
    record(&cache, ANN, 51, "ann@x.test", 1000);
    record(&cache, BEA, 101, "bea@x.test", 1000);
    assert_eq!(cache.refusal(ann), Ok(None));
    webhook(&cache, "privacyDeletion", 51, 2000, "");
    let erased = Ok(Some(Refusal::PrivacyDeletion));
    assert_eq!(cache.refusal(ann), erased);
    let change = cache.begin_email_change(ann).unwrap();
    assert_eq!(cache.refusal(ann), erased, "a change of theirs is no word of the app's");
    cache.abandon_email_change(ann, change).unwrap();
    assert!(cache.explain(ann, None).unwrap().to_string().contains("erased for privacy"));
    assert!(cache.export(ann).unwrap().contains(r#""erased_for_privacy":true"#));
    for other in [BEA.into(), text] {
        assert_eq!(cache.refusal(other), Ok(None), "of nobody else");
        assert!(cache.export(other).unwrap().contains(r#""erased_for_privacy":false"#));
    }
    // Another process, and the same notice once more.
    webhook(&cache, "privacyDeletion", 51, 2000, "");
    let options = Options { synchronous: Synchronous::Normal, ..Options::default() };
    let second = Vidcache::open(dir.path().join("c"), PORTAL, &options).unwrap();
    assert_eq!(second.refusal(ann), erased);
    cache.link(ann, vid(151)).unwrap();
    assert_eq!(cache.refusal(ann), Ok(None), "the app has said who they are");
    assert!(cache.forget(ann).unwrap());
    assert_eq!((cache.refusal(ann), second.refusal(ann)), (Ok(None), Ok(None)));
    assert!(!cache.forget(ann).unwrap(), "nothing is left");
    assert_eq!(cache.verify().unwrap(), [""; 0]);
}

#[test]
fn who_comes_back_is_named_by_what_hubspot_has_said_all_along() {
    let (_dir, cache) = cache();
    record(&cache, ANN, 51, "ann@x.test", 2000);
    cache.forget(ANN.into()).unwrap();
    record(&cache, BEA, 51, "old@x.test", 1000);
    assert_ne!(reason(&cache, BEA, "old@x.test"), Reason::Agreed, "an older answer that comes late is not believed");
    record(&cache, BEA, 51, "ann@x.test", 2000);
    assert_eq!(reason(&cache, BEA, "ann@x.test"), Reason::Agreed);
}

#[test]
fn who_comes_back_after_a_merge_is_named_too() {
    let (_dir, cache) = cache();
    record(&cache, ANN, 51, "ann@x.test", 1000);
    webhook(&cache, "merge", 51, 2000, r#","primaryObjectId":51,"mergedObjectIds":[51,77],"newObjectId":151"#);
    record(&cache, ANN, 151, "ann@x.test", 3000);
    cache.forget(ANN.into()).unwrap();
    record(&cache, ANN, 151, "ann@x.test", 3000);
    assert_eq!(reason(&cache, ANN, "ann@x.test"), Reason::Agreed);
    assert_eq!(cache.verify(), Ok(Vec::new()));
}

#[test]
fn an_import_from_the_future_is_refused_and_one_by_a_clock_that_is_a_little_ahead_is_not() {
    let (_dir, cache) = cache();
    let import = |ahead: i64| {
        let email = Some((Email::parse("ann@x.test").unwrap(), now() + ahead));
        cache.import([Ok(Imported { user: ANN.into(), vid: vid(51), email })])
    };
    for ahead in [30 * 60_000, 8 * 3_600_000, i64::MAX / 2] {
        let refused = import(ahead).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidAnswer);
        assert!(refused.to_string().contains("future"), "{refused}");
    }
    assert_eq!(cache.resolve(ANN.into()), Ok(None));
    assert_eq!(import(-1).unwrap().imported, 1);
    assert_eq!(import(60_000).unwrap().imported, 1);
}

#[test]
fn a_change_of_who_was_forgotten_is_nobody_s_and_not_unknown() {
    let (_dir, cache) = cache();
    record(&cache, ANN, 51, "ann@x.test", 1000);
    let ended = cache.begin_email_change(ANN.into()).unwrap();
    cache.abandon_email_change(ANN.into(), ended).unwrap();
    let token = cache.begin_email_change(ANN.into()).unwrap();
    cache.forget(ANN.into()).unwrap();
    // Bea signs up, and has the key that was Ann's.
    for (user, token) in [(ANN, token), (ANN, ended), (BEA, token)] {
        assert_eq!(cache.is_change_outstanding(user.into(), token), Err(Error::ForeignChange), "not Bea's job");
        assert_eq!(cache.abandon_email_change(user.into(), token), Err(Error::ForeignChange));
        let answer = br#"{"id":"51","properties":{"email":"ann@x.test"},"updatedAt":2000}"#;
        assert_eq!(cache.record(user.into(), answer, Some(token)), Err(Error::ForeignChange));
    }
    assert_eq!(cache.resolve(ANN.into()), Ok(None));
    assert_eq!(cache.stale_changes(Duration::ZERO, 9), Ok(Vec::new()));
    assert_eq!(cache.verify(), Ok(Vec::new()));
}
