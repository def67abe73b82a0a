//! What HubSpot never sends, but someone may: each is an error that says where, in the library's own words, or is
//! passed over.

use serde_json::{Value, json};

use super::{fact, response, webhook};
use crate::error::{Error, Result};
use crate::identity::Vid;
use crate::limits::MAX_BODY;

fn answer(body: &[u8]) -> Result<fact::Answer> {
    told(response::answer(body))
}

/// An event that is refused is an error, as for `Vidcache::apply_webhook`.
fn notices(body: &[u8]) -> Result<webhook::Batch> {
    let read = webhook::notices(body, Vid::try_from(33).unwrap());
    told(read.and_then(|mut batch| batch.refused.take().map_or(Ok(batch), Err)))
}

/// No error repeats an email of the input, and all inputs here have one.
fn told<T>(result: Result<T>) -> Result<T> {
    if let Err(error) = &result {
        assert!(!error.to_string().contains('@'), "{error}");
    }
    result
}

fn answers() -> Vec<Value> {
    vec![
        json!({"vid": 5, "canonical-vid": 9, "merged-vids": [5, 9], "isNew": true, "deleted": false, "properties": {
                "email": {"value": "ann@shop.test", "versions": [{"value": "ann@shop.test", "timestamp": 1}]},
                "lastmodifieddate": {"value": "2"}},
            "identity-profiles": [{"vid": 9, "identities": [{"type": "EMAIL", "value": "b@x.test", "is-secondary": true}]}]}),
        json!({"id": "9", "new": false, "properties": {"email": "ann@shop.test", "hs_additional_emails": "b@x.test",
                "hs_merged_object_ids": "5;6", "hs_calculated_merged_vids": "5:1", "hs_all_contact_vids": "9"},
            "updatedAt": "2024-09-17T15:20:01.120Z", "archived": true, "archivedAt": "2024-09-17T15:20:01.120Z"}),
        json!({"status": "COMPLETE", "results": [{"id": "9", "properties": {"email": "ann@shop.test"},
                "updatedAt": "2024-09-17T15:20:01.120Z"}],
            "errors": [{"category": "OBJECT_NOT_FOUND", "context": {"ids": ["5", "gone@x.test"]}}]}),
        json!({"status": "error", "message": "Contact ann@shop.test exists. Existing ID: 51", "category": "CONFLICT"}),
        json!({"status": "error", "error": "CONTACT_EXISTS", "identityProfile": {"vid": 51, "identity": [{"value": "a@x.test"}]}}),
        json!({"status": "error", "message": "ann@shop.test", "errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING"}),
        json!({"status": "error", "message": "Cannot set PropertyValueCoordinates{portalId=33, propertyName=email, value=ann@shop.test} on \
            901. 902 already has that value.", "category": "VALIDATION_ERROR"}),
        json!({"status": "error", "message": "ann@shop.test", "errorType": "UNIQUE_VALUE_CONFLICT",
            "errorTokens": {"existingObjectId": ["902"], "propertyName": ["email"]}}),
        json!({"status": "error", "message": "Property values were not valid: [{\"message\":\"Email address ann@shop.test is invalid\",\
            \"error\":\"INVALID_EMAIL\",\"name\":\"email\"}]", "category": "VALIDATION_ERROR"}),
        json!({"status": "error", "message": "ann@shop.test", "validationResults": [{"isValid": false, "message": "ann@shop.test",
            "error": "INVALID_EMAIL", "name": "email"}]}),
        json!({"status": "error", "message": "ann@shop.test", "errors": [{"message": "email has been GDPR blacklisted",
            "code": "INVALID_EMAIL", "context": {"propertyName": ["email"]}}]}),
    ]
}

fn events() -> Value {
    let event = |kind: &str, more: Value| {
        let mut event = json!({"eventId": 1, "portalId": 33, "occurredAt": 1, "subscriptionType": kind, "objectId": 5,
            "objectTypeId": "0-1", "sourceId": "ann@shop.test"});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    json!([
        event("contact.creation", json!({})),
        event("object.propertyChange", json!({"propertyName": "email", "propertyValue": "ann@shop.test"})),
        event("contact.merge", json!({"primaryObjectId": 5, "mergedObjectIds": [6], "newObjectId": 7})),
        event("contact.deletion", json!({})),
        event("contact.restore", json!({})),
        event("contact.privacyDeletion", json!({})),
    ])
}

/// One of each type, and the values of each type that no field has.
fn wrong() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(9_223_372_036_854_775_808u64),
        json!(i64::MIN),
        json!(""),
        json!("ann@shop.test"),
        json!("9223372036854775808"),
        json!([]),
        json!(["ann@shop.test", null, [[]], {}]),
        json!({}),
        json!({"ann@shop.test": "ann@shop.test", "vid": "ann@shop.test", "value": "ann@shop.test", "ids": {}}),
    ]
}

/// Every place in a body, as a JSON pointer.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.into());
    match value {
        Value::Array(list) => (0..list.len()).for_each(|i| places(&list[i], &format!("{at}/{i}"), all)),
        Value::Object(map) => map.iter().for_each(|(key, value)| places(value, &format!("{at}/{key}"), all)),
        _ => {}
    }
}

/// The body with every wrong value in every place, and where it is.
fn spoilt(body: &Value) -> impl Iterator<Item = (String, Value)> {
    let mut all = Vec::new();
    places(body, "", &mut all);
    all.into_iter().flat_map(move |place| {
        wrong().into_iter().map(move |value| {
            let mut body = body.clone();
            *body.pointer_mut(&place).unwrap() = value;
            (place.clone(), body)
        })
    })
}

#[test]
fn a_wrong_type_in_any_field_of_an_answer_is_passed_over_or_named() {
    let (mut refused, mut taken) = (0, 0);
    for body in answers() {
        assert!(answer(body.to_string().as_bytes()).is_ok(), "{body}");
        for (place, body) in spoilt(&body) {
            match answer(body.to_string().as_bytes()) {
                Ok(_) => taken += 1,
                Err(Error::InvalidAnswer(message)) => {
                    refused += 1;
                    // A property's `value` is named by the property.
                    let mut keys = place.rsplit('/').filter(|key| key.parse::<usize>().is_err());
                    assert!(keys.by_ref().take(2).any(|key| message.contains(key)), "{place}: {message}");
                }
                Err(Error::AnswerWithoutId(_) | Error::HubspotError { .. }) => refused += 1,
                Err(error) => panic!("{place}: {error}"),
            }
        }
    }
    assert!(refused > 200 && taken > 200, "{refused} refused, {taken} taken");
}

#[test]
fn a_wrong_type_in_any_field_of_an_event_is_passed_over_or_named_with_its_event() {
    let body = events();
    assert_eq!(notices(body.to_string().as_bytes()).unwrap().notices.len(), 5);
    let (mut refused, mut taken) = (0, 0);
    for (place, body) in spoilt(&body) {
        let mut path = place.split('/').skip(1);
        let (at, key) = (path.next().and_then(|n| n.parse::<usize>().ok()), path.next());
        match notices(body.to_string().as_bytes()) {
            Ok(batch) => {
                taken += 1;
                assert!(batch.notices.len() + batch.ignored <= 6);
            }
            Err(Error::InvalidWebhook { event, field, .. }) => {
                refused += 1;
                match key {
                    Some(key) => assert_eq!((event, field), (at, key), "{body}"),
                    // A whole event, or the body, is another value.
                    None => assert!(event == at || at.is_none(), "{place}: {event:?}"),
                }
            }
            Err(error) => panic!("{place}: {error}"),
        }
    }
    assert!(refused > 200 && taken > 200, "{refused} refused, {taken} taken");
}

#[test]
fn a_body_that_is_cut_anywhere_or_has_a_byte_that_is_no_utf8_is_refused() {
    for body in answers() {
        let body = body.to_string();
        for at in 1..body.len() {
            assert!(matches!(answer(&body.as_bytes()[..at]), Err(Error::InvalidAnswer(_))), "{}", &body[..at]);
            let mut bytes = body.clone().into_bytes();
            bytes[at] = 0xff;
            assert!(matches!(answer(&bytes), Err(Error::InvalidAnswer(_))));
        }
    }
    let body = events().to_string();
    for at in 0..body.len() {
        assert!(matches!(notices(&body.as_bytes()[..at]), Err(Error::InvalidWebhook { .. })), "{}", &body[..at]);
        let mut bytes = body.clone().into_bytes();
        bytes[at] = 0xff;
        assert!(matches!(notices(&bytes), Err(Error::InvalidWebhook { .. })));
    }
}

/// Many bytes that begin so, go on so, and end so.
fn huge(len: usize, start: &str, again: &str, end: &str) -> Vec<u8> {
    let mut body = start.to_owned();
    body.extend(std::iter::repeat_n(again, len / again.len()));
    body.push_str(end);
    body.into_bytes()
}

#[test]
fn megabytes_are_read_or_refused() {
    // Few of ten, which take seconds where nothing is optimised.
    assert!(matches!(answer(&huge(10 << 20, r#"{"vid":"#, "1", "}")), Err(Error::InvalidAnswer(_))), "an endless id");
    let refused = |start, again, end| matches!(answer(&huge(1 << 20, start, again, end)), Err(Error::InvalidAnswer(_)));
    assert!(
        answer(&huge(10 << 20, r#"{"vid":1,"other":""#, "x", r#""}"#)).is_ok(),
        "what is not asked for may be long"
    );
    assert!(refused(r#"{"vid":1,"merged-vids":[1"#, ",2", "]}"));
    assert!(refused(r#"{"results":[{"id":1}"#, ",0", "]}"));
    assert!(refused(r#"{"id":"1","properties":{"hs_merged_object_ids":""#, "1;", r#""}}"#));
    assert!(refused(r#"{"id":"1","properties":{"hs_additional_emails":""#, "a@b;", r#""}}"#));
    assert!(refused("{", r#""vid":1,"#, r#""vid":1}"#), "a field a hundred thousand times");

    let refused = |start, again, end| match notices(&huge(10 << 20, start, again, end)) {
        Err(Error::InvalidWebhook { event, field, .. }) => (event, field),
        other => panic!("{:?}", other.map(|batch| batch.notices.len())),
    };
    assert_eq!(refused("[{}", ",{}", "]"), (Some(1000), "body"), "a huge batch");
    let merge =
        r#"[{},{"portalId":33,"occurredAt":1,"subscriptionType":"contact.merge","newObjectId":9,"mergedObjectIds":[1"#;
    assert_eq!(refused(merge, ",222222222222222222", "]}]"), (Some(1), "mergedObjectIds"));

    let too_long = vec![b' '; MAX_BODY + 1];
    assert!(matches!(answer(&too_long), Err(Error::InvalidAnswer(_))));
    assert!(matches!(notices(&too_long), Err(Error::InvalidWebhook { event: None, .. })));
}

/// On a stack as small as a Ruby fiber's.
#[test]
fn no_depth_overflows_a_small_stack() {
    let bombs = || {
        for (start, end) in [
            ("[", "]"),
            (r#"{"a":"#, "}"),
            (r#"{"results":["#, "]}"),
            (r#"{"properties":{"email":"#, "}}"),
            (r#"{"properties":{"email":{"versions":["#, "]}}}"),
            (r#"{"identity-profiles":[{"identities":["#, "]}]}"),
            (r#"{"errors":[{"context":"#, "}]}"),
            (r#"[{"mergedObjectIds":"#, "}]"),
            (r#"[{"objectId":["#, "]}]"),
        ] {
            for depth in [100, 126, 127, 128, 129, 200, 5_000] {
                for body in [start.repeat(depth) + &end.repeat(depth), start.repeat(depth)] {
                    let _ = (answer(body.as_bytes()), notices(body.as_bytes()));
                    let _ = answer(format!(r#"{{"vid":1,"unknown":{body}}}"#).as_bytes());
                    let _ = notices(format!(r#"[{{"unknown":{body}}}]"#).as_bytes());
                }
            }
        }
    };
    std::thread::Builder::new().stack_size(256 << 10).spawn(bombs).unwrap().join().unwrap();
}
