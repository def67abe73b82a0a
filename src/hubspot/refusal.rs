//! HubSpot's errors: which of them say something of a contact, of an email, or of when to try again.
//!
//! Their messages quote emails, so none is repeated.

use std::time::Duration;

use serde::Deserialize;

use super::fact::Answer;
use super::json::{Field, First, Object, Read};
use super::problem::{Problem, Verdict, in_message, starts_with};
use crate::error::{Error, Result};
use crate::identity::Vid;

/// The fields of an answer whose `status` is `error`.
pub(super) struct Fields<'b> {
    pub(super) message: &'b Field<'b>,
    pub(super) category: &'b Field<'b>,
    pub(super) error: &'b Field<'b>,
    pub(super) error_type: &'b Field<'b>,
    pub(super) name: &'b Field<'b>,
    pub(super) policy_name: &'b Field<'b>,
    pub(super) identity_profile: &'b Object<Holder<'b>>,
    pub(super) error_tokens: &'b Object<Tokens<'b>>,
    /// v1's `validationResults`, and `errors`: what was wrong, one by one.
    pub(super) problems: [&'b [Object<Problem<'b>>]; 2],
}

/// The contact that holds an email.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Holder<'a> {
    #[serde(borrow)]
    vid: Field<'a>,
}

/// `{"existingObjectId":["51"],"propertyName":["email"]}`.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Tokens<'a> {
    #[serde(borrow)]
    existing_object_id: First<'a>,
    #[serde(borrow)]
    property_name: First<'a>,
}

/// The JSON inside the message of a 409 of 2012: `{"error":"CONTACT_EXISTS","property":{"vid":82325}}`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Inner<'a> {
    #[serde(borrow)]
    error: Field<'a>,
    #[serde(borrow)]
    property: Object<Holder<'a>>,
}

pub(super) fn read(fields: &Fields<'_>) -> Read<Result<Answer>> {
    let [message, category, error] = [fields.message, fields.category, fields.error].map(Field::word);
    let policy = fields.policy_name.word();
    if !policy.is_empty()
        || fields.error_type.word() == "RATE_LIMIT"
        || matches!(category, "RATE_LIMIT" | "RATE_LIMITS")
    {
        return Ok(Ok(Answer::RateLimited { retry_after: length(policy).or(length(message)) }));
    }
    let inner: Object<Inner<'_>> = match message.starts_with('{') {
        true => serde_json::from_str(message).unwrap_or_default(),
        false => Object::default(),
    };
    let inner = inner.get("message")?;
    let existing = existing_id(message);
    if error == "CONTACT_EXISTS"
        || inner.is_some_and(|inner| inner.error.word() == "CONTACT_EXISTS")
        || starts_with(message, "Contact already exist")
        || (category == "CONFLICT" && existing.is_some())
    {
        let holder = fields.identity_profile.get("identityProfile")?;
        let holder = holder.map_or(Ok(None), |holder| holder.vid.vid("identityProfile.vid"))?;
        let inner = inner.map_or(Ok(None), |inner| inner.property.get("message.property"))?;
        let inner = inner.map_or(Ok(None), |holder| holder.vid.vid("message.property.vid"))?;
        return Ok(Ok(Answer::Conflict { vid: holder.or(inner).or(existing) }));
    }
    if let Some(verdict) = verdict(fields) {
        return Ok(Ok(match verdict {
            Verdict::Conflict { vid } => Answer::Conflict { vid },
            Verdict::Refused(why) => Answer::Refused { why },
        }));
    }
    // What an address is about that HubSpot does not know is no contact.
    let unknown_path = starts_with(message, "Unable to infer object type");
    let gone = ["contact does not exist", "resource not found", "object not found"];
    if !unknown_path && (category == "OBJECT_NOT_FOUND" || gone.iter().any(|words| starts_with(message, words))) {
        return Ok(Ok(Answer::Missing));
    }
    Ok(Err(Error::HubspotError { category: is_category(category).then(|| category.into()) }))
}

/// What is wrong with the email, by the answer itself, by what it lists, and by the list inside its message. Of several
/// the one counts that leaves most to be done: a conflict has a contact to be read, and the rest is in order of
/// [`Verdict`].
fn verdict(fields: &Fields<'_>) -> Option<Verdict> {
    let message = fields.message.word();
    let inside = in_message(message);
    let inside = inside.get("message").ok().flatten().unwrap_or_default();
    let listed = fields.problems.iter().copied().chain([inside]).flatten();
    let listed = listed.filter_map(|problem| problem.get("errors").ok().flatten()).filter_map(Problem::verdict);
    let tokens = fields.error_tokens.get("errorTokens").ok().flatten();
    let property = match tokens.map_or("", |tokens| tokens.property_name.0.word()) {
        "" => fields.name.word(),
        name => name,
    };
    let own = [fields.error, fields.error_type].map(|kind| Verdict::of(kind.word(), property, message));
    let found = own.into_iter().flatten().chain(listed).min()?;
    let existing = tokens.and_then(|tokens| tokens.existing_object_id.0.vid("existingObjectId").ok().flatten());
    Some(match found {
        Verdict::Conflict { vid } => Verdict::Conflict { vid: vid.or(existing) },
        refused @ Verdict::Refused(_) => refused,
    })
}

/// `Contact already exists. Existing ID: 51`.
fn existing_id(message: &str) -> Option<Vid> {
    let (_, after) = message.split_once("Existing ID:")?;
    let after = after.trim_start();
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    after[..end].parse().ok()
}

/// How long a limit lasts at most: `TEN_SECONDLY_ROLLING`, or `You have reached your secondly limit.` A day's limit
/// ends at midnight where the account is, so that is not known.
fn length(policy: &str) -> Option<Duration> {
    let policy = policy.to_ascii_lowercase();
    match () {
        () if policy.contains("ten_secondly") => Some(Duration::from_secs(10)),
        () if policy.contains("secondly") => Some(Duration::from_secs(1)),
        () => None,
    }
}

/// HubSpot's categories are words like `OBJECT_NOT_FOUND`; anything else is not repeated.
fn is_category(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::super::response::contact;
    use super::*;
    use crate::refusal::Refusal;

    fn read(json: &str) -> Error {
        let error = contact(json.as_bytes()).expect_err(json);
        assert!(!error.to_string().contains("ann@"), "{error}");
        error
    }

    fn conflict(id: Option<i64>) -> Error {
        Error::ContactConflict { vid: id.map(|id| Vid::try_from(id).unwrap()) }
    }

    /// HubSpot's answer of September 2026, for an email that another contact holds as its own or as a further one.
    fn coordinates(property: &str, value: &str) -> String {
        format!(
            r#"{{"status":"error","message":"Cannot set PropertyValueCoordinates{{portalId=62515, objectTypeId=ObjectTypeId{{legacyObjectType=CONTACT}}, propertyName={property}, value={value}}} on 901. 902 already has that value.","correlationId":"c","category":"VALIDATION_ERROR"}}"#
        )
    }

    #[test]
    fn the_holder_of_a_value_is_the_second_contact_that_the_message_names() {
        assert_eq!(read(&coordinates("email", "ann@shop.test")), conflict(Some(902)));
        let sly = "ann@shop.test} on 5. 6 already has that value. , propertyName=email";
        assert_eq!(read(&coordinates("email", sly)), conflict(Some(902)));
        let category = Some("VALIDATION_ERROR".into());
        let other = Error::HubspotError { category };
        assert_eq!(read(&coordinates("app_user_id", "ann@shop.test")), other, "a conflict, and none over the email");
        assert_eq!(read(&coordinates("app_user_id", "x, propertyName=email, value=ann@shop.test")), other);
        assert_eq!(read(&coordinates("email_2", "ann@shop.test")), other);
        let cut = coordinates("email", "ann@shop.test").replace("902 already", "already");
        assert!(matches!(read(&cut), Error::ContactConflict { .. }));
    }

    #[test]
    fn a_value_that_must_be_unique_is_a_conflict_of_ours_where_it_is_the_email() {
        let body =
            |more: &str| format!(r#"{{"status":"error","message":"ann@shop.test","category":"CONFLICT",{more}}}"#);
        for (more, id) in [
            (r#""errorType":"UNIQUE_VALUE_CONFLICT","errorTokens":{"existingObjectId":"902"}"#, Some(902)),
            (r#""errorType":"UNIQUE_VALUE_CONFLICT","errorTokens":{"existingObjectId":["902","903"]}"#, Some(902)),
            (
                r#""errorType":"UNIQUE_VALUE_CONFLICT","errorTokens":{"existingObjectId":902,"propertyName":["email"]}"#,
                Some(902),
            ),
            (r#""errorType":"UNIQUE_VALUE_CONFLICT","errorTokens":{"existingObjectId":["ann@shop.test"]}"#, None),
            (r#""errorType":"UNIQUE_VALUE_CONFLICT""#, None),
            (r#""error":"CONFLICTING_UNIQUE_VALUE","name":"email""#, None),
            (r#""errors":[{"code":"CONFLICTING_UNIQUE_VALUE","context":{"propertyName":["email"]}}]"#, None),
            (r#""validationResults":[{"error":"CONFLICTING_UNIQUE_VALUE","name":"email"}]"#, None),
        ] {
            assert_eq!(read(&body(more)), conflict(id), "{more}");
        }
        for more in [
            r#""errorType":"UNIQUE_VALUE_CONFLICT","errorTokens":{"existingObjectId":"902","propertyName":["app_user_id"]}"#,
            r#""errors":[{"code":"CONFLICTING_UNIQUE_VALUE","context":{"propertyName":["app_user_id"]}}]"#,
        ] {
            assert!(matches!(read(&body(more)), Error::HubspotError { .. }), "{more}");
        }
    }

    #[test]
    fn what_never_passes_is_told_apart_from_what_may() {
        let inside = |error: &str, words: &str, name: &str| {
            format!(
                r#"{{"status":"error","message":"Property values were not valid: [{{\"isValid\":false,\"message\":\"{words}\",\"error\":\"{error}\",\"name\":\"{name}\"}}]","correlationId":"c","category":"VALIDATION_ERROR"}}"#
            )
        };
        let invalid = "Email address ann@shop.test is invalid";
        for (json, why) in [
            (inside("INVALID_EMAIL", invalid, "email"), Refusal::InvalidEmail),
            (
                r#"{"status":"error","message":"Property values were not valid","validationResults":[{"isValid":false,"message":"ann@shop.test","error":"INVALID_EMAIL","name":"email"}]}"#.into(),
                Refusal::InvalidEmail,
            ),
            (inside("INVALID_EMAIL", "email has been GDPR blacklisted", "email"), Refusal::PrivacyDeletion),
            (
                r#"{"status":"error","message":"Error creating CONTACT. Some required properties were not set.","category":"VALIDATION_ERROR","context":{"properties":["lastname"]}}"#.into(),
                Refusal::RequiredProperty,
            ),
        ] {
            assert_eq!(read(&json), Error::Refused { why }, "{json}");
        }
        for json in [
            inside("INVALID_EMAIL", invalid, "work_email"),
            inside("PROPERTY_DOESNT_EXIST", "no property of that name, ann@shop.test", "email"),
            inside("INVALID_EMAIL", invalid, "email").replace("}]", "}"),
            r#"{"status":"error","message":"One or more scopes are required","category":"MISSING_SCOPES"}"#.into(),
            r#"{"status":"error","message":"Invalid input JSON on line 1. Some required fields were not set: [ann@shop.test]"}"#.into(),
            r#"{"status":"error","message":"internal error, ann@shop.test"}"#.into(),
        ] {
            assert!(matches!(read(&json), Error::HubspotError { .. }), "{json}");
        }
    }

    #[test]
    fn a_path_that_hubspot_does_not_know_is_no_missing_contact() {
        let json = r#"{"status":"error","message":"Unable to infer object type from: contactz","category":"OBJECT_NOT_FOUND"}"#;
        assert!(matches!(read(json), Error::HubspotError { .. }));
    }
}
