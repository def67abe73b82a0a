//! HubSpot's errors: which of them say something of a contact, or of when to try again.
//!
//! Their messages quote emails, so none is repeated.

use std::time::Duration;

use serde::Deserialize;

use super::fact::Answer;
use super::json::{Field, Object, Read};
use crate::error::{Error, Result};
use crate::identity::Vid;

/// The fields of an answer whose `status` is `error`.
pub(super) struct Fields<'b> {
    pub(super) message: &'b Field<'b>,
    pub(super) category: &'b Field<'b>,
    pub(super) error: &'b Field<'b>,
    pub(super) error_type: &'b Field<'b>,
    pub(super) policy_name: &'b Field<'b>,
    pub(super) identity_profile: &'b Object<Holder<'b>>,
}

/// The contact that holds an email.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Holder<'a> {
    #[serde(borrow)]
    vid: Field<'a>,
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
    let [message, category, error] = [fields.message, fields.category, fields.error].map(word);
    let policy = word(fields.policy_name);
    if !policy.is_empty() || word(fields.error_type) == "RATE_LIMIT" || matches!(category, "RATE_LIMIT" | "RATE_LIMITS")
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
        || inner.is_some_and(|inner| word(&inner.error) == "CONTACT_EXISTS")
        || starts_with(message, "Contact already exist")
        || (category == "CONFLICT" && existing.is_some())
    {
        let holder = fields.identity_profile.get("identityProfile")?;
        let holder = holder.map_or(Ok(None), |holder| holder.vid.vid("identityProfile.vid"))?;
        let inner = inner.map_or(Ok(None), |inner| inner.property.get("message.property"))?;
        let inner = inner.map_or(Ok(None), |holder| holder.vid.vid("message.property.vid"))?;
        return Ok(Ok(Answer::Conflict { vid: holder.or(inner).or(existing) }));
    }
    let gone = ["contact does not exist", "resource not found", "object not found"];
    if category == "OBJECT_NOT_FOUND" || gone.iter().any(|words| starts_with(message, words)) {
        return Ok(Ok(Answer::Missing));
    }
    Ok(Err(Error::AnswerWithoutId(match is_category(category) {
        true => format!("it is an error of category {category}"),
        false => "it is an error".into(),
    })))
}

/// The text of a field, or none: what an error says beside its words cannot make it another error.
fn word<'b>(field: &'b Field<'_>) -> &'b str {
    match field {
        Field::Text(text) => text,
        _ => "",
    }
}

fn starts_with(text: &str, words: &str) -> bool {
    text.get(..words.len()).is_some_and(|start| start.eq_ignore_ascii_case(words))
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
