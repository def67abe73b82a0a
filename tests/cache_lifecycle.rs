//! What happens to contacts after they were linked: merges, deletions, erasures, sharing, forgetting.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

mod common;

use std::path::Path;

use common::{open, temporary};
use serde_json::{Value, json};
use vidcache::{Email, Error, Imported, Reason, Refusal, UserKey, Vid, Vidcache};

const ANN: i64 = 42;
const BOB: i64 = 43;

fn user(id: i64) -> UserKey<'static> {
    UserKey::from(id)
}

fn vid(id: i64) -> Vid {
    Vid::try_from(id).unwrap()
}

/// A v3 answer: this contact held this email at this second.
fn answer(vid: i64, email: &str, second: u32) -> Vec<u8> {
    json!({"id": vid.to_string(), "properties": {"email": email}, "updatedAt": format!("1970-01-01T00:00:{second:02}Z")})
        .to_string()
        .into()
}

fn says(cache: &Vidcache, id: i64, text: &str) -> (bool, Option<i64>, Reason) {
    let email = Email::parse(text).unwrap();
    let decision = cache.decide(user(id), Some(&email)).unwrap();
    assert!(decision.email().is_none_or(|named| named == text));
    (decision.email().is_some(), decision.id().map(Vid::get), decision.reason())
}

fn notice(kind: &str, object: i64, second: i64, more: Value) -> Value {
    let mut event = json!({"eventId": 1, "portalId": 1, "occurredAt": second * 1000, "subscriptionType": format!("contact.{kind}"),
        "attemptNumber": 0, "objectId": object});
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

fn email_change(object: i64, second: i64, email: &str) -> Value {
    notice("propertyChange", object, second, json!({"propertyName": "email", "propertyValue": email}))
}

fn merge(primary: i64, merged: i64, new: i64, second: i64) -> Value {
    let ids = json!({"primaryObjectId": primary, "mergedObjectIds": [merged], "newObjectId": new});
    notice("merge", primary, second, ids)
}

fn hear(cache: &Vidcache, events: &[Value]) -> (u64, u64, u64) {
    let report = cache.apply_webhook(Value::from(events).to_string().as_bytes()).unwrap();
    assert_eq!(cache.verify().unwrap(), [""; 0]);
    (report.applied, report.repeated, report.ignored)
}

#[test]
fn a_merge_makes_a_third_contact_whose_email_is_named_once_hubspot_has_said_it() {
    let (_dir, path) = temporary();
    let (cache, other) = (open(&path), open(&path));
    cache.record(user(ANN), &answer(5, "a@x.test", 1), None).unwrap();
    assert_eq!(says(&other, ANN, "a@x.test"), (true, Some(5), Reason::Agreed));
    let merged = [merge(6, 5, 9, 10)];
    assert_eq!(hear(&cache, &merged), (1, 0, 0));
    assert_eq!(hear(&cache, &merged), (0, 1, 0), "and again");
    let identity = other.resolve(user(ANN)).unwrap().unwrap();
    assert_eq!((identity.vid, identity.external_id), (vid(9), Some(vid(5))), "the id that pages give stays");
    assert_eq!(says(&other, ANN, "a@x.test"), (false, Some(5), Reason::EmailUnconfirmed), "a merge confirms nothing");
    // The deletions it caused, and what was late.
    hear(
        &cache,
        &[notice("deletion", 5, 10, json!({})), notice("deletion", 6, 11, json!({})), email_change(5, 9, "a@x.test")],
    );
    assert_eq!(says(&other, ANN, "a@x.test").2, Reason::EmailUnconfirmed);
    // What is said of an id that the merge made is newer than the merge, whatever its time.
    cache.observe(&answer(9, "a@x.test", 9)).unwrap();
    assert_eq!(says(&other, ANN, "a@x.test"), (true, Some(5), Reason::Agreed));
    // A worker that still has the old id, or is told the new one, changes nothing of that.
    cache.record(user(ANN), &answer(9, "b@x.test", 20), None).unwrap();
    assert_eq!(says(&other, ANN, "b@x.test"), (true, Some(5), Reason::Agreed));
    hear(&cache, &[merge(9, 7, 12, 30), merge(12, 8, 13, 31), email_change(13, 32, "c@x.test")]);
    assert_eq!(says(&other, ANN, "c@x.test"), (true, Some(5), Reason::Agreed), "through a chain");
}

#[test]
fn an_answer_names_the_contact_that_a_merged_one_became() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    cache.link(user(ANN), vid(5)).unwrap();
    let body = json!({"vid": 5, "canonical-vid": 9, "merged-vids": [5, 9],
        "properties": {"email": {"value": "a@x.test", "versions": [{"value": "a@x.test", "timestamp": 1000}]}}});
    let recorded = cache.record(user(1), body.to_string().as_bytes(), None);
    assert!(matches!(recorded, Err(Error::VidTaken { .. })), "ann's, by its old id");
    assert_eq!(says(&cache, ANN, "a@x.test"), (true, Some(5), Reason::Agreed), "and what it says is believed");
    let recorded = cache.record(user(ANN), body.to_string().as_bytes(), None).unwrap();
    assert_eq!((recorded.vid, recorded.canonical), (vid(9), false));
    assert_eq!(cache.verify().unwrap(), [""; 0]);
}

/// Here `identify` would name a secondary email, and nobody knows what that does.
#[test]
fn a_merge_of_unknown_time_does_not_lend_the_other_contact_s_email() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    cache.record(user(ANN), &answer(5, "a@x.test", 9), None).unwrap();
    let profile = |at: i64| {
        let body = json!({"vid": 5, "canonical-vid": 9, "merged-vids": [5, 9],
            "properties": {"email": {"value": "b@x.test", "versions": [{"value": "b@x.test", "timestamp": at}]}}});
        cache.record(user(ANN), body.to_string().as_bytes(), None).unwrap();
        (says(&cache, ANN, "a@x.test").0, says(&cache, ANN, "b@x.test").0)
    };
    assert_eq!(profile(1_000), (false, false));
    cache.observe(&answer(5, "b@x.test", 9)).unwrap();
    assert_eq!(profile(1_000), (false, false), "two at one time");
    assert_eq!(profile(10_000), (false, true));
    cache.observe(&answer(5, "b@x.test", 11)).unwrap();
    assert_eq!(profile(10_000), (false, true), "both say the same");
}

#[test]
fn a_deleted_contact_names_no_email_and_a_merge_that_comes_later_revives_it() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    cache.record(user(ANN), &answer(5, "a@x.test", 1), None).unwrap();
    hear(&cache, &[notice("deletion", 5, 10, json!({}))]);
    assert_eq!(
        says(&cache, ANN, "a@x.test"),
        (false, Some(5), Reason::EmailUnconfirmed),
        "an id alone makes no contact"
    );
    hear(&cache, &[email_change(5, 9, "a@x.test"), notice("restore", 5, 12, json!({}))]);
    assert_eq!(says(&cache, ANN, "a@x.test").2, Reason::EmailUnconfirmed, "a restoration confirms nothing");
    cache.observe(&answer(5, "a@x.test", 13)).unwrap();
    assert_eq!(says(&cache, ANN, "a@x.test").2, Reason::Agreed);

    hear(&cache, &[notice("deletion", 5, 20, json!({}))]);
    hear(&cache, &[merge(5, 6, 9, 20), email_change(9, 21, "a@x.test")]);
    assert_eq!(says(&cache, ANN, "a@x.test"), (true, Some(5), Reason::Agreed));
}

#[test]
fn a_deletion_that_was_answered_counts_though_the_app_s_clock_is_behind_hubspot_s() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let body = json!({"id": "5", "properties": {"email": "a@x.test"}, "updatedAt": "9000-01-01T00:00:00Z"});
    cache.record(user(ANN), body.to_string().as_bytes(), None).unwrap();
    assert_eq!(says(&cache, ANN, "a@x.test").2, Reason::Agreed);
    cache.record(user(ANN), br#"{"vid":5,"deleted":true}"#, None).unwrap();
    assert_eq!(says(&cache, ANN, "a@x.test").2, Reason::EmailUnconfirmed);
}

#[test]
fn a_change_of_one_user_of_a_shared_contact_is_outstanding_for_all() {
    let (_dir, path) = temporary();
    let (cache, other) = (open(&path), open(&path));
    cache.record(user(1), &answer(5, "a@x.test", 1), None).unwrap();
    assert!(matches!(cache.link(user(2), vid(5)), Err(Error::VidTaken { .. })));
    cache.link_shared(user(2), vid(5)).unwrap();
    cache.link_shared(user(2), vid(5)).unwrap();
    assert_eq!(says(&other, 2, "a@x.test"), (true, Some(5), Reason::Agreed), "they share the id, too");
    let change = cache.begin_email_change(user(1)).unwrap();
    assert_eq!(says(&other, 2, "a@x.test").2, Reason::ChangeOutstanding, "the email is on its way to another");
    assert!(matches!(cache.is_change_outstanding(user(2), change), Err(Error::ForeignChange)));
    cache.record(user(2), &answer(5, "a@x.test", 1), None).unwrap();
    cache.record(user(1), &answer(5, "b@x.test", 2), Some(change)).unwrap();
    assert_eq!(says(&other, 2, "a@x.test").2, Reason::EmailDiffers);
    assert_eq!(says(&other, 2, "b@x.test").2, Reason::Agreed);
}

#[test]
fn users_whose_contacts_are_merged_share_the_new_one() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    cache.record(user(1), &answer(5, "a@x.test", 1), None).unwrap();
    cache.record(user(2), &answer(6, "b@x.test", 1), None).unwrap();
    let change = cache.begin_email_change(user(2)).unwrap();
    hear(&cache, &[merge(5, 6, 9, 10), email_change(9, 11, "a@x.test")]);
    assert_eq!(says(&cache, 1, "a@x.test"), (false, Some(5), Reason::ChangeOutstanding));
    cache.record(user(2), &answer(9, "c@x.test", 12), Some(change)).unwrap();
    assert_eq!(says(&cache, 1, "c@x.test"), (true, Some(5), Reason::Agreed));
    assert_eq!(says(&cache, 2, "c@x.test"), (true, Some(6), Reason::Agreed));
    let taken = cache.link(user(3), vid(6)).unwrap_err();
    assert_eq!(taken, Error::VidTaken { vid: vid(6), linked_to: "1".into(), user: "3".into() }, "by an old id, too");
}

#[test]
fn no_two_contacts_are_given_one_external_id() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    cache.record(user(1), &answer(5, "a@x.test", 1), None).unwrap();
    // A mistake is put right: 5 is another user's.
    cache.record(user(1), &answer(6, "a@x.test", 2), None).unwrap();
    cache.record(user(2), &answer(5, "b@x.test", 3), None).unwrap();
    assert_eq!(says(&cache, 1, "a@x.test"), (true, Some(5), Reason::Agreed), "pages have given it");
    assert_eq!(says(&cache, 2, "b@x.test"), (true, None, Reason::Agreed));
    assert_eq!(says(&cache, 2, "c@x.test"), (false, None, Reason::EmailDiffers), "then a page says nothing");
    assert_eq!(cache.resolve(user(2)).unwrap().unwrap().external_id, None);
    // Once they are one contact, they give one id; and once the first is forgotten, it is free.
    hear(&cache, &[merge(5, 6, 9, 10)]);
    assert_eq!(says(&cache, 2, "b@x.test").1, Some(5));
    cache.link(user(2), vid(7)).unwrap();
    assert_eq!(says(&cache, 2, "b@x.test").1, None);
    assert!(cache.forget(user(1)).unwrap());
    assert_eq!(says(&cache, 2, "b@x.test").1, Some(5));
    assert_eq!(cache.verify().unwrap(), [""; 0]);
}

#[test]
fn a_webhook_is_taken_in_as_a_whole_or_not_at_all() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    cache.record(user(ANN), &answer(5, "a@x.test", 1), None).unwrap();
    let mut events = vec![email_change(5, 10, "b@x.test"), notice("creation", 7, 1, json!({}))];
    events.push(json!({"subscriptionType": "contact.deletion", "portalId": 1, "objectId": "x", "occurredAt": 5}));
    let body = Value::from(events.clone()).to_string();
    assert_eq!(cache.apply_webhook(body.as_bytes()).unwrap_err().code().name(), "invalid_webhook");
    assert_eq!(says(&cache, ANN, "a@x.test").2, Reason::Agreed, "nothing of it was written");
    events.pop();
    events.push(json!({"subscriptionType": "deal.creation", "portalId": 1, "objectId": 3, "occurredAt": 5}));
    events.push(email_change(5, 10, "b@x.test"));
    assert_eq!(hear(&cache, &events), (1, 1, 2));
    assert_eq!(says(&cache, ANN, "b@x.test").2, Reason::Agreed);
}

#[test]
fn refusals_are_errors_of_their_own_and_write_nothing() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    cache.record(user(ANN), &answer(5, "a@x.test", 1), None).unwrap();
    let change = cache.begin_email_change(user(ANN)).unwrap();
    for (body, error) in [
        (
            json!({"status": "error", "message": "Contact already exists. Existing ID: 51", "category": "CONFLICT"}),
            Error::ContactConflict { vid: Some(vid(51)) },
        ),
        (
            json!({"status": "error", "message": "resource not found", "category": "OBJECT_NOT_FOUND"}),
            Error::ContactMissing,
        ),
    ] {
        assert_eq!(cache.record(user(ANN), body.to_string().as_bytes(), Some(change)), Err(error));
        assert!(cache.is_change_outstanding(user(ANN), change).unwrap());
    }
}

#[test]
fn a_list_is_observed_without_saying_whose_it_is() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    cache.link(user(ANN), vid(5)).unwrap();
    let body = json!({"status": "COMPLETE", "results": [
        {"id": "5", "properties": {"email": "a@x.test"}, "updatedAt": "1970-01-01T00:00:01Z"},
        {"id": "6", "properties": {"email": "b@x.test"}, "updatedAt": "1970-01-01T00:00:01Z"}],
        "errors": [{"status": "error", "category": "OBJECT_NOT_FOUND", "context": {"ids": ["7"]}}]});
    let observed = cache.observe(body.to_string().as_bytes()).unwrap();
    assert_eq!((observed.contacts, observed.missing), (vec![vid(5), vid(6)], vec![vid(7)]));
    cache.link(user(2), vid(6)).unwrap();
    let users = [(user(ANN), Email::parse("a@x.test").ok()), (user(3), None), (user(2), Email::parse("b@x.test").ok())];
    let reasons: Vec<_> = cache.decide_many(&users).unwrap().iter().map(|decision| decision.reason()).collect();
    assert_eq!(reasons, [Reason::Agreed, Reason::NotLinked, Reason::Agreed]);
    let vids: Vec<_> =
        cache.resolve_many(&users.map(|(user, _)| user)).unwrap().iter().map(|i| i.map(|i| i.vid)).collect();
    assert_eq!(vids, [Some(vid(5)), None, Some(vid(6))]);
}

#[test]
fn a_contact_that_hubspot_says_it_has_not_names_no_email() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    cache.record(user(ANN), &answer(5, "a@x.test", 1), None).unwrap();
    let body = json!({"status": "COMPLETE", "results": [], "errors": [
        {"status": "error", "category": "OBJECT_NOT_FOUND", "context": {"ids": ["5", "7"]}}]});
    for _ in 0..2 {
        assert_eq!(cache.observe(body.to_string().as_bytes()).unwrap().missing, [vid(5), vid(7)]);
        cache.observe(&answer(5, "a@x.test", 2)).unwrap();
        assert_eq!(says(&cache, ANN, "a@x.test"), (false, Some(5), Reason::EmailUnconfirmed));
    }
    let newer = json!({"id": "5", "properties": {"email": "a@x.test"}, "updatedAt": "9000-01-01T00:00:00Z"});
    cache.observe(newer.to_string().as_bytes()).unwrap();
    assert_eq!(says(&cache, ANN, "a@x.test").2, Reason::Agreed);
}

#[test]
fn an_imported_time_that_nothing_could_be_later_than_is_refused() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let email = Email::parse("a@x.test").unwrap();
    for at in [-1, 1_700_000_000_000_000, i64::MAX] {
        let imported = cache.import([Ok(Imported { user: user(ANN), vid: vid(5), email: Some((email, at)) })]);
        assert!(matches!(imported, Err(Error::InvalidAnswer(_))), "{at}");
        assert_eq!(cache.resolve(user(ANN)).unwrap(), None);
    }
}

/// The file and what is beside it, as it is on the disk.
fn holds(path: &Path, needle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let bytes = std::fs::read(&name).unwrap_or_default();
        if bytes.windows(needle.len()).any(|window| window == needle) {
            found.push(format!("{suffix:?}"));
        }
    }
    found
}

fn fingerprint(cache: &Vidcache, user: UserKey<'_>) -> Vec<u8> {
    let held: Value = serde_json::from_str(&cache.export(user).unwrap()).unwrap();
    let hex = held["contact"]["email_fingerprint"].as_str().unwrap().to_owned();
    (0..16).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect()
}

/// Many others around, so that pages were split and emptied, and rows moved between them.
fn crowd(cache: &Vidcache, from: i64) {
    for n in from..from + 150 {
        let key = format!("crowd-{}", n.wrapping_mul(0x9E37_79B9_7F4A) % 100_003);
        cache.record(UserKey::text(&key).unwrap(), &answer(1000 + n, &format!("u{n}@x.test"), 1), None).unwrap();
    }
}

#[test]
fn of_an_erased_contact_nothing_is_left_and_its_email_is_not_learnt_again() {
    let (_dir, path) = temporary();
    let (cache, other) = (open(&path), open(&path));
    let ann = UserKey::text("ann-the-erased-one").unwrap();
    crowd(&cache, 0);
    let mut prints = Vec::new();
    // All that can hold a trace: an old email, a change, a merge, a deletion, the log.
    for (contact, email, second) in [(5, "old@x.test", 1), (5, "ann@x.test", 2), (9, "ann@x.test", 4)] {
        let change = cache.begin_email_change(ann).unwrap();
        cache.record(ann, &answer(contact, email, second), Some(change)).unwrap();
        prints.push(fingerprint(&cache, ann));
        crowd(&cache, i64::from(second) * 150);
    }
    hear(&cache, &[merge(5, 6, 9, 3), notice("deletion", 5, 3, json!({}))]);
    other.resolve(ann).unwrap();
    for trace in prints.iter().map(Vec::as_slice).chain([&b"ann-the-erased-one"[..]]) {
        assert!(trace != prints[1] || !holds(&path, trace).is_empty(), "it is there to begin with");
    }
    hear(&cache, &[notice("privacyDeletion", 9, 5, json!({})), notice("deletion", 9, 5, json!({}))]);
    let files = std::fs::read(&path).unwrap();
    assert!(files.windows(5).any(|window| window == b"crowd"), "the others' rows are in the file itself");
    for trace in prints.iter().map(Vec::as_slice).chain([&b"ann-the-erased-one"[..]]) {
        assert_eq!(holds(&path, trace), [""; 0]);
    }
    assert_eq!(other.resolve(ann).unwrap(), None);

    // Whatever comes late, it stays so; for another contact too.
    hear(&cache, &[email_change(9, 60, "ann@x.test"), notice("restore", 9, 61, json!({})), merge(5, 8, 10, 62)]);
    cache.record(ann, &answer(9, "ann@x.test", 50), None).unwrap();
    assert_eq!(other.resolve(ann).unwrap(), None);
    cache.record(ann, &answer(77, "ann@x.test", 51), None).unwrap();
    let email = Email::parse("ann@x.test").unwrap();
    assert_eq!(other.decide(ann, Some(&email)).unwrap().reason(), Reason::EmailUnconfirmed);
    assert_eq!(holds(&path, &prints[1]), [""; 0]);
    cache.record(ann, &answer(77, "new@x.test", 52), None).unwrap();
    let email = Email::parse("new@x.test").unwrap();
    assert_eq!(
        other.decide(ann, Some(&email)).unwrap().reason(),
        Reason::Agreed,
        "another email of theirs may be named"
    );
    assert_eq!(cache.verify().unwrap(), [""; 0]);
}

#[test]
fn who_is_merged_with_an_erased_contact_is_erased_too_whichever_is_told_first() {
    let erased = || notice("privacyDeletion", 9, 30, json!({}));
    let merged_answer = json!({"id": "9", "properties": {"hs_merged_object_ids": "5"}}).to_string();
    for way in 0..3 {
        let (_dir, path) = temporary();
        let cache = open(&path);
        let ann = UserKey::text("ann-of-the-merged").unwrap();
        cache.record(ann, &answer(5, "ann@x.test", 10), None).unwrap();
        let change = cache.begin_email_change(ann).unwrap();
        cache.abandon_email_change(ann, change).unwrap();
        let print = fingerprint(&cache, ann);
        match way {
            0 => drop((hear(&cache, &[merge(5, 6, 9, 20)]), hear(&cache, &[erased()]))),
            1 => drop((hear(&cache, &[erased()]), hear(&cache, &[merge(5, 6, 9, 20)]))),
            _ => {
                hear(&cache, &[erased()]);
                cache.observe(merged_answer.as_bytes()).unwrap();
            }
        }
        for trace in [&print[..], b"ann-of-the-merged"] {
            assert_eq!(holds(&path, trace), [""; 0], "way {way}");
        }
        let refused = cache.refusal(ann).unwrap();
        assert_eq!(refused, Some(Refusal::PrivacyDeletion), "no job makes them a contact, way {way}");
        assert!(cache.forget(ann).unwrap(), "that they were erased is held, way {way}");
        assert!(!cache.forget(ann).unwrap(), "and nothing else, way {way}");
    }
}

#[test]
fn an_erased_contact_s_email_that_is_told_of_late_is_taken_out_of_another_contact_too() {
    for answered in [false, true] {
        let (_dir, path) = temporary();
        let cache = open(&path);
        cache.record(user(ANN), &answer(6, "ann@x.test", 1), None).unwrap();
        let print = fingerprint(&cache, user(ANN));
        hear(&cache, &[notice("privacyDeletion", 5, 2, json!({}))]);
        cache.observe(&answer(6, "ann@x.test", 3)).unwrap();
        assert!(!holds(&path, &print).is_empty());
        match answered {
            true => drop(cache.observe(&answer(5, "ann@x.test", 1)).unwrap()),
            false => drop(hear(&cache, &[email_change(5, 1, "ann@x.test")])),
        }
        assert_eq!(holds(&path, &print), [""; 0], "answered: {answered}");
        assert_eq!(says(&cache, ANN, "ann@x.test").2, Reason::EmailUnconfirmed);
    }
}

#[test]
fn a_forgotten_user_leaves_nothing_behind() {
    let (_dir, path) = temporary();
    let (cache, other) = (open(&path), open(&path));
    let ann = UserKey::text("ann-the-forgotten").unwrap();
    crowd(&cache, 0);
    let change = cache.begin_email_change(ann).unwrap();
    cache.record(ann, &answer(5, "ann@x.test", 2), Some(change)).unwrap();
    let print = fingerprint(&cache, ann);
    let change = cache.begin_email_change(ann).unwrap();
    assert!(other.resolve(ann).unwrap().is_some());
    crowd(&cache, 150);
    assert!(cache.forget(ann).unwrap());
    assert!(!cache.forget(ann).unwrap());
    assert_eq!(other.resolve(ann).unwrap(), None);
    assert_eq!(cache.is_change_outstanding(ann, change), Err(Error::ForeignChange));
    for trace in [&print[..], b"ann-the-forgotten"] {
        assert_eq!(holds(&path, trace), [""; 0]);
    }
    let held: Value = serde_json::from_str(&cache.export(ann).unwrap()).unwrap();
    assert_eq!((&held["links"], &held["changes"], &held["log"]), (&json!([]), &json!([]), &json!([])));
    // They may come back, and an answer older than what was known is still older.
    cache.record(ann, &answer(5, "ann@x.test", 1), None).unwrap();
    let email = Email::parse("ann@x.test").unwrap();
    assert_eq!(cache.decide(ann, Some(&email)).unwrap().reason(), Reason::EmailUnconfirmed);
    cache.record(ann, &answer(5, "ann@x.test", 3), None).unwrap();
    assert_eq!(cache.decide(ann, Some(&email)).unwrap().reason(), Reason::Agreed);
    assert_eq!(cache.verify().unwrap(), [""; 0]);
}

#[test]
fn a_forgotten_user_s_change_is_still_outstanding_for_those_who_share_the_contact() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    cache.record(user(1), &answer(5, "a@x.test", 1), None).unwrap();
    cache.link_shared(user(2), vid(5)).unwrap();
    let change = cache.begin_email_change(user(1)).unwrap();
    cache.forget(user(1)).unwrap();
    assert_eq!(says(&cache, 2, "a@x.test").2, Reason::ChangeOutstanding);
    cache.record(user(2), &answer(5, "a@x.test", 2), Some(change)).unwrap();
    assert_eq!(says(&cache, 2, "a@x.test").2, Reason::Agreed);
    assert_eq!(cache.verify().unwrap(), [""; 0]);
}

#[test]
fn an_explanation_says_why_in_words_and_without_an_email() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let email = Email::parse("ann@x.test").unwrap();
    let why = |cache: &Vidcache| cache.explain(user(ANN), Some(&email)).unwrap().to_string();
    assert!(why(&cache).contains("The page says nothing: the user is linked to no contact."));
    cache.record(user(ANN), &answer(5, "ann@x.test", 1), None).unwrap();
    assert!(why(&cache).contains("The page names the email and the id 5"), "{}", why(&cache));
    let change = cache.begin_email_change(user(ANN)).unwrap();
    assert!(why(&cache).contains("A change of the email began at 20"), "{}", why(&cache));
    cache.abandon_email_change(user(ANN), change).unwrap();
    hear(&cache, &[merge(5, 6, 9, 10)]);
    let text = why(&cache);
    for part in [
        "The page gives the id 5 alone: HubSpot has not said which email it holds for the contact now.",
        "The user is contact 9",
        "HubSpot merged it with 5, 6.",
        "Log: at 1970-01-01 00:00:10 UTC: the contact was merged (contact 9).",
        "an email change was abandoned",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("ann@"));
    let held: Value = serde_json::from_str(&cache.export(user(ANN)).unwrap()).unwrap();
    assert_eq!(
        (&held["user"], &held["vid"], &held["contact"]["merged"]),
        (&json!("42"), &json!("9"), &json!(["5", "6"]))
    );
    assert!(!held.to_string().contains("ann@"));
}

#[test]
fn a_secondary_email_is_known_and_never_named() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let body = json!({"id": "5", "updatedAt": "1970-01-01T00:00:01Z",
        "properties": {"email": "ann@x.test", "hs_additional_emails": "old@x.test;older@x.test"}});
    cache.record(user(ANN), body.to_string().as_bytes(), None).unwrap();
    assert_eq!(says(&cache, ANN, "old@x.test"), (false, Some(5), Reason::EmailDiffers));
    let why = |text: &str| cache.explain(user(ANN), Email::parse(text).ok().as_ref()).unwrap().to_string();
    hear(&cache, &[merge(5, 6, 9, 10)]);
    assert!(why("old@x.test").contains("is one of the contact's secondary emails"));
    assert!(!why("ann@x.test").contains("secondary"));
    let held: Value = serde_json::from_str(&cache.export(user(ANN)).unwrap()).unwrap();
    let all = held["contact"]["secondary"].as_array().unwrap();
    assert_eq!(all.len(), 2);
    let print: Vec<u8> = all[0]["email_fingerprint"].as_str().unwrap().as_bytes().to_vec();
    let bytes: Vec<u8> =
        print.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect();
    assert!(!holds(&path, &bytes).is_empty());
    cache.forget(user(ANN)).unwrap();
    assert_eq!(holds(&path, &bytes), [""; 0]);
}

/// What an endpoint has to do within HubSpot's five seconds, many times over. Printed, since machines differ.
#[test]
fn a_hundred_events_are_one_transaction() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    for n in 1..=100 {
        cache.link(user(n), vid(n)).unwrap();
    }
    let revision = |cache: &Vidcache| {
        cache.resolve(user(1)).unwrap();
        cache.stats().syncs
    };
    let before = revision(&cache);
    let events: Vec<_> = (1..=100).map(|n| email_change(n, 10, &format!("u{n}@x.test"))).collect();
    let body = Value::from(events).to_string();
    let start = std::time::Instant::now();
    let report = cache.apply_webhook(body.as_bytes()).unwrap();
    println!("100 email changes: {:?}", start.elapsed());
    assert_eq!((report.applied, revision(&cache)), (100, before + 1));
}

#[test]
fn a_change_of_who_had_the_contact_before_counts_for_who_has_it_now() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    cache.record(user(ANN), &answer(5, "ann@shop.test", 10), None).unwrap();
    cache.link_shared(user(BOB), vid(5)).unwrap();
    let token = cache.begin_email_change(user(BOB)).unwrap();
    cache.link(user(BOB), vid(6)).unwrap();
    let later = cache.begin_email_change(user(BOB)).unwrap();
    cache.abandon_email_change(user(BOB), later).unwrap();
    assert!(!says(&cache, ANN, "ann@shop.test").0, "Bob's job may have asked which contact it is");
    assert_eq!(cache.verify().unwrap(), [""; 0]);
    cache.abandon_email_change(user(BOB), token).unwrap();
    assert!(says(&cache, ANN, "ann@shop.test").0);
    cache.link(user(BOB), vid(7)).unwrap();
    cache.link(user(BOB), vid(8)).unwrap();
    cache.begin_email_change(user(BOB)).unwrap();
    cache.record(user(44), &answer(7, "eve@shop.test", 10), None).unwrap();
    assert!(!says(&cache, 44, "eve@shop.test").0, "nor is it new to who gets the contact after him");
    // A contact that he had becomes part of one that he never had.
    cache.record(user(45), &answer(9, "fay@shop.test", 10), None).unwrap();
    hear(&cache, &[merge(9, 6, 9, 11)]);
    cache.record(user(45), &answer(9, "fay@shop.test", 12), None).unwrap();
    assert_eq!(says(&cache, 45, "fay@shop.test").2, Reason::ChangeOutstanding);
    assert!(cache.forget(user(BOB)).unwrap());
    assert!(says(&cache, 44, "eve@shop.test").0);
    assert!(says(&cache, 45, "fay@shop.test").0);
    assert_eq!(cache.verify().unwrap(), [""; 0]);
}

#[test]
fn a_contact_that_hubspot_does_not_find_for_the_user_names_no_email_any_more() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    cache.record(user(ANN), &answer(5, "ann@shop.test", 10), None).unwrap();
    let gone = br#"{"status":"error","message":"resource not found","category":"OBJECT_NOT_FOUND"}"#;
    assert_eq!(cache.record(user(ANN), gone, None), Err(Error::ContactMissing));
    assert!(!says(&cache, ANN, "ann@shop.test").0);
    cache.record(user(ANN), &answer(5, "ann@shop.test", 10), None).unwrap();
    assert!(!says(&cache, ANN, "ann@shop.test").0, "the same answer as before is from before");
    cache.record(user(ANN), &answer(5, "ann@shop.test", 11), None).unwrap();
    assert!(says(&cache, ANN, "ann@shop.test").0);
    assert_eq!(cache.record(user(BOB), gone, None), Err(Error::ContactMissing), "of a user without a contact, too");
}

#[test]
fn an_answer_of_another_portal_is_refused() {
    let (_dir, path) = temporary();
    let cache = open(&path);
    let of = |portal: i64| {
        let email = json!({"value": "ann@shop.test", "versions": [{"value": "ann@shop.test", "timestamp": 5}]});
        json!({"vid": 5, "portal-id": portal, "properties": {"email": email}}).to_string()
    };
    let other = cache.portal() + 1;
    assert!(matches!(cache.record(user(ANN), of(other).as_bytes(), None), Err(Error::InvalidAnswer(_))));
    assert!(matches!(cache.observe(of(other).as_bytes()), Err(Error::InvalidAnswer(_))));
    cache.record(user(ANN), of(cache.portal()).as_bytes(), None).unwrap();
    assert!(says(&cache, ANN, "ann@shop.test").0);
}
