//! One contact out of an API answer, told apart by shape: v1 `createOrUpdate`, v1 profile, and the
//! v3 (and dated-path) object. HubSpot calls every field optional and adds new ones freely, so unknown
//! fields are ignored and a missing one is only an error where nothing can be done without it.
//!
//! Errors name fields, never values: an answer is full of personal data.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::email::Email;
use crate::error::{Error, Result};
use crate::event::Millis;
use crate::identity::Vid;

/// A contact as an answer describes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contact {
    /// The id that is alive: `canonical-vid` where the answer has one.
    pub(crate) vid: Vid,
    /// Which email it holds, and a time at which it held it. `None` when the answer lacks either.
    pub(crate) email: Option<EmailFact>,
}

/// HubSpot held this email (or none that could be named) at this time of its own clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EmailFact {
    pub(crate) email: Option<Email>,
    pub(crate) at: Millis,
}

/// Reads the contact out of an answer's body.
pub(crate) fn contact(body: &[u8]) -> Result<Contact> {
    let value: Value =
        serde_json::from_slice(body).map_err(|e| Error::InvalidAnswer(format!("not JSON ({})", category(&e))))?;
    let Value::Object(answer) = value else {
        return Err(Error::InvalidAnswer("not a JSON object".into()));
    };
    if answer.get("status").and_then(Value::as_str) == Some("error") {
        return Err(Error::AnswerWithoutId(match answer.get("category").and_then(Value::as_str) {
            Some(c) if is_category(c) => format!("it is an error of category {c}"),
            _ => "it is an error".into(),
        }));
    }
    if answer.contains_key("vid") { v1(&answer) } else { v3(&answer) }
}

/// `{"vid":1,"isNew":false}`, or a profile, where `canonical-vid` is the contact that lives and
/// `vid` may be the merged-away id that was asked for.
fn v1(answer: &Map<String, Value>) -> Result<Contact> {
    let asked = id(answer, "vid")?;
    let vid = if answer.contains_key("canonical-vid") { id(answer, "canonical-vid")? } else { asked };
    let properties = object(answer, "properties")?;
    let email = match properties.and_then(|p| p.get("email")) {
        None => None,
        Some(property) => v1_email(property)?,
    };
    Ok(Contact { vid, email })
}

/// `{"value":"a@x.test","versions":[{"value":"a@x.test","timestamp":1531148079152}]}`. The first
/// version is the current one; its timestamp is when the email was set, so it held it then.
fn v1_email(property: &Value) -> Result<Option<EmailFact>> {
    let wrong = |field: &str| Error::InvalidAnswer(format!("field properties.email.{field} has the wrong type"));
    let Value::Object(property) = property else {
        return Err(Error::InvalidAnswer("field properties.email has the wrong type".into()));
    };
    let value = property.get("value").ok_or_else(|| wrong("value"))?;
    let value = value.as_str().ok_or_else(|| wrong("value"))?;
    let versions = match property.get("versions") {
        None => return Ok(None),
        Some(Value::Array(versions)) => versions,
        Some(_) => return Err(wrong("versions")),
    };
    let mut at = None;
    for version in versions {
        if version.get("value").and_then(Value::as_str) != Some(value) {
            continue;
        }
        let timestamp = version.get("timestamp").ok_or_else(|| wrong("versions.timestamp"))?;
        at = at.max(Some(timestamp.as_i64().ok_or_else(|| wrong("versions.timestamp"))?));
    }
    Ok(at.map(|at| EmailFact { email: Email::parse(value).ok(), at }))
}

/// `{"id":"37765128953","properties":{"email":"a@x.test"},"updatedAt":"2024-09-17T15:20:01.120Z"}`.
fn v3(answer: &Map<String, Value>) -> Result<Contact> {
    if !answer.contains_key("id") {
        return Err(Error::AnswerWithoutId("it has neither id nor vid".into()));
    }
    let vid = id(answer, "id")?;
    let Some(at) = time(answer, "updatedAt")? else {
        return Ok(Contact { vid, email: None });
    };
    // An archived contact holds its email no more: a page that named it would make a new contact.
    if answer.get("archived") == Some(&Value::Bool(true)) {
        let at = at.max(time(answer, "archivedAt")?.unwrap_or(at));
        return Ok(Contact { vid, email: Some(EmailFact { email: None, at }) });
    }
    let email = match object(answer, "properties")?.and_then(|p| p.get("email")) {
        None => None,
        Some(Value::Null) => Some(EmailFact { email: None, at }),
        Some(Value::String(text)) => Some(EmailFact { email: Email::parse(text).ok(), at }),
        Some(_) => return Err(Error::InvalidAnswer("field properties.email has the wrong type".into())),
    };
    Ok(Contact { vid, email })
}

/// A contact id: a number in v1, decimal text in v3.
fn id(answer: &Map<String, Value>, field: &str) -> Result<Vid> {
    let invalid = |why: &dyn std::fmt::Display| Error::InvalidAnswer(format!("field {field}: {why}"));
    match answer.get(field) {
        Some(Value::String(text)) => text.parse().map_err(|e: Error| invalid(&e)),
        Some(Value::Number(number)) => match number.as_i64() {
            Some(id) => Vid::try_from(id).map_err(|e| invalid(&e)),
            None => Err(invalid(&Error::InvalidVid("it is not an integer up to 2^63 - 1"))),
        },
        _ => Err(invalid(&"it is neither a number nor text")),
    }
}

fn object<'a>(answer: &'a Map<String, Value>, field: &str) -> Result<Option<&'a Map<String, Value>>> {
    match answer.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(Error::InvalidAnswer(format!("field {field} has the wrong type"))),
    }
}

fn time(answer: &Map<String, Value>, field: &str) -> Result<Option<Millis>> {
    match answer.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => match OffsetDateTime::parse(text, &Rfc3339) {
            Ok(time) => Ok(Some((time.unix_timestamp_nanos() / 1_000_000) as Millis)),
            Err(_) => Err(Error::InvalidAnswer(format!("field {field} is not an RFC 3339 time"))),
        },
        Some(_) => Err(Error::InvalidAnswer(format!("field {field} has the wrong type"))),
    }
}

/// serde_json's message can quote the input; its category cannot.
fn category(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Io => "it could not be read",
        _ => "syntax",
    }
}

/// HubSpot's categories are words like `OBJECT_NOT_FOUND`; anything else is not repeated.
fn is_category(text: &str) -> bool {
    text.len() <= 40 && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Contact> {
        contact(json.as_bytes())
    }

    fn fact(json: &str) -> (i64, Option<(Option<String>, Millis)>) {
        let contact = read(json).unwrap();
        (contact.vid.get(), contact.email.map(|f| (f.email.map(|e| e.as_str().to_owned()), f.at)))
    }

    fn held(email: &str, at: Millis) -> Option<(Option<String>, Millis)> {
        Some((Some(email.into()), at))
    }

    #[test]
    fn v1_create_or_update_names_a_contact_and_no_email() {
        assert_eq!(fact(r#"{"vid":1582724,"isNew":false}"#), (1582724, None));
    }

    #[test]
    fn v1_profile_of_a_merged_contact_is_the_contact_that_lives() {
        let json = r#"{"vid":7823474,"canonical-vid":7823424,"merged-vids":[7823474,7823424],"portal-id":62515,
            "properties":{"email":{"value":"A@x.test","versions":[
                {"value":"A@x.test","source-type":"API","timestamp":1531148079152},
                {"value":"old@x.test","source-type":"API","timestamp":1531148079999}]}}}"#;
        assert_eq!(fact(json), (7823424, held("a@x.test", 1531148079152)));
        assert_eq!(fact(r#"{"vid":5,"properties":{"email":{"value":"a@x.test"}}}"#), (5, None), "no time, no fact");
    }

    #[test]
    fn v3_object_names_its_email_and_when_it_held_it() {
        let json = r#"{"id":"37765128953","properties":{"email":"a@x.test","hs_object_id":"37765128953"},
            "createdAt":"2024-09-17T15:19:55.000Z","updatedAt":"2024-09-17T15:20:01.120Z","archived":false}"#;
        assert_eq!(fact(json), (37765128953, held("a@x.test", 1726586401120)));
    }

    #[test]
    fn a_contact_without_an_email_or_in_the_archive_holds_none() {
        let json = r#"{"id":"9","properties":{"email":null},"updatedAt":"1970-01-01T00:00:01Z"}"#;
        assert_eq!(fact(json), (9, Some((None, 1000))));
        let json = r#"{"id":"9","properties":{"email":"a@x.test"},"updatedAt":"1970-01-01T00:00:01Z",
            "archived":true,"archivedAt":"1970-01-01T00:00:02Z"}"#;
        assert_eq!(fact(json), (9, Some((None, 2000))));
    }

    #[test]
    fn an_answer_without_the_email_property_says_nothing_of_it() {
        assert_eq!(fact(r#"{"id":"9","properties":{},"updatedAt":"1970-01-01T00:00:01Z"}"#), (9, None));
        assert_eq!(fact(r#"{"id":"9","properties":{"email":"a@x.test"}}"#), (9, None), "no time, no fact");
    }

    #[test]
    fn what_names_no_contact_is_refused() {
        for json in [
            "{}",
            r#"{"results":[]}"#,
            r#"{"status":"error","message":"Contact already exists. Existing ID: 51","category":"CONFLICT"}"#,
            r#"{"message":"Contact already exists","identityProfile":{"vid":12053574},"status":"error","error":"CONTACT_EXISTS"}"#,
        ] {
            assert!(matches!(read(json), Err(Error::AnswerWithoutId(_))), "{json}");
        }
    }

    #[test]
    fn wrong_types_are_refused_by_the_field_s_name_and_never_its_value() {
        for (json, field) in [
            ("", "JSON"),
            ("SUCCESS", "JSON"),
            ("\u{0}", "JSON"),
            (r#"["ann@shop.test"]"#, "JSON object"),
            (r#"{"id":null}"#, "id"),
            (r#"{"id":"ann@shop.test"}"#, "id"),
            (r#"{"id":0}"#, "id"),
            (r#"{"id":"-5"}"#, "id"),
            (r#"{"id":"9223372036854775808"}"#, "id"),
            (r#"{"vid":9223372036854775808}"#, "vid"),
            (r#"{"vid":1.5}"#, "vid"),
            (r#"{"vid":1,"canonical-vid":{}}"#, "canonical-vid"),
            (r#"{"vid":1,"properties":"ann@shop.test"}"#, "properties"),
            (r#"{"vid":1,"properties":{"email":"ann@shop.test"}}"#, "properties.email"),
            (r#"{"vid":1,"properties":{"email":{"value":1}}}"#, "properties.email.value"),
            (r#"{"vid":1,"properties":{"email":{"value":"a@x.test","versions":1}}}"#, "versions"),
            (
                r#"{"vid":1,"properties":{"email":{"value":"ann@shop.test","versions":[{"value":"ann@shop.test","timestamp":"1"}]}}}"#,
                "timestamp",
            ),
            (r#"{"id":"1","updatedAt":"ann@shop.test"}"#, "updatedAt"),
            (r#"{"id":"1","updatedAt":5}"#, "updatedAt"),
            (
                r#"{"id":"1","updatedAt":"1970-01-01T00:00:01Z","properties":{"email":["ann@shop.test"]}}"#,
                "properties.email",
            ),
        ] {
            let Err(Error::InvalidAnswer(message)) = read(json) else { panic!("accepted {json}") };
            assert!(message.contains(field), "{json}: {message}");
            assert!(!message.contains("ann@"), "{message}");
        }
    }

    #[test]
    fn a_deep_answer_is_an_error_and_not_a_stack_overflow() {
        let deep = "[".repeat(200_000);
        assert!(matches!(read(&deep), Err(Error::InvalidAnswer(_))));
    }
}
