//! What HubSpot says is wrong with a value that it was to take: a conflict over the email, or a refusal that stays one.
//!
//! One problem comes as v1's `validationResults`, as JSON inside v3's `message`, as `errors`, and as words.

use serde::Deserialize;

use super::json::{Field, First, List, Object};
use crate::identity::Vid;
use crate::limits::MAX_RESULTS;
use crate::refusal::Refusal;

/// One thing that is wrong: `{"isValid":false,"message":"…","error":"INVALID_EMAIL","name":"email"}`; or one of a
/// batch's errors: `{"category":"OBJECT_NOT_FOUND","context":{"ids":["51"]}}`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Problem<'a> {
    #[serde(borrow)]
    pub(super) category: Field<'a>,
    #[serde(borrow)]
    pub(super) context: Object<Context<'a>>,
    #[serde(borrow)]
    message: Field<'a>,
    #[serde(borrow)]
    error: Field<'a>,
    #[serde(borrow)]
    code: Field<'a>,
    #[serde(borrow)]
    name: Field<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Context<'a> {
    #[serde(borrow)]
    pub(super) ids: List<Field<'a>, MAX_RESULTS>,
    #[serde(borrow, rename = "propertyName")]
    property_name: First<'a>,
}

/// What comes of an error about a value. Of several the least counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Another contact, where it is named, holds the email.
    Conflict { vid: Option<Vid> },
    /// HubSpot will not take the email, however often it is told.
    Refused(Refusal),
}

impl Problem<'_> {
    pub(super) fn verdict(&self) -> Option<Verdict> {
        let kind = if self.error.word().is_empty() { self.code.word() } else { self.error.word() };
        let context = self.context.get("context").ok().flatten();
        let property = match self.name.word() {
            "" => context.map_or("", |context| context.property_name.0.word()),
            name => name,
        };
        Verdict::of(kind, property, self.message.word())
    }
}

impl Verdict {
    /// Of an error of this kind, about this property (where it says which), in these words.
    pub(super) fn of(kind: &str, property: &str, message: &str) -> Option<Self> {
        // A rule about another property stands in the email's way, too: the call was not carried out.
        let required =
            ["Error creating CONTACT. Some required", "Error updating CONTACT. Some required", "Some required"];
        if kind.contains("REQUIRED_PROPERT")
            || (required.iter().any(|words| starts_with(message, words)) && message.contains("required properties"))
        {
            return Some(Self::Refused(Refusal::RequiredProperty));
        }
        if !matches!(property, "" | "email") {
            return None;
        }
        if let Some(vid) = holder(message) {
            return Some(Self::Conflict { vid });
        }
        let blocked = ["email has been GDPR blacklisted", "email has been GDPR blocklisted"];
        if blocked.iter().any(|words| starts_with(message, words)) {
            return Some(Self::Refused(Refusal::PrivacyDeletion));
        }
        match kind {
            "CONFLICTING_UNIQUE_VALUE" | "UNIQUE_VALUE_CONFLICT" if !is_other_property(message) => {
                Some(Self::Conflict { vid: None })
            }
            "INVALID_EMAIL" => Some(Self::Refused(Refusal::InvalidEmail)),
            _ => None,
        }
    }
}

pub(super) fn starts_with(text: &str, words: &str) -> bool {
    text.get(..words.len()).is_some_and(|start| start.eq_ignore_ascii_case(words))
}

/// The list inside a message: `Property values were not valid: [{…}]`.
pub(super) fn in_message<'b>(message: &'b str) -> List<Object<Problem<'b>>, MAX_RESULTS> {
    match message.find('[') {
        Some(at) if starts_with(message, "Property values were not valid") => {
            serde_json::from_str(&message[at..]).unwrap_or_default()
        }
        _ => List::default(),
    }
}

const COORDINATES: &str = "Cannot set PropertyValueCoordinates{";

/// `Cannot set PropertyValueCoordinates{portalId=…, propertyName=email, value=…} on 901. 902 already has that value.`:
/// 901 is the contact that was written to, 902 the one that holds the value. `None`: the message is another, or is
/// about another property.
fn holder(message: &str) -> Option<Option<Vid>> {
    let said = message.strip_prefix(COORDINATES)?;
    if property(said) != "email" {
        return None;
    }
    // From the end: the value before it may say anything.
    let (before, _) = said.rsplit_once(" already has that value")?;
    let id = before.rsplit(|c: char| !c.is_ascii_digit()).next()?;
    Some(id.parse().ok())
}

fn is_other_property(message: &str) -> bool {
    message.strip_prefix(COORDINATES).is_some_and(|said| property(said) != "email")
}

/// The first `propertyName`: the value, which may say anything, comes after it.
fn property(said: &str) -> &str {
    let name = said.split_once("propertyName=").map_or("", |(_, name)| name);
    name.split([',', '}']).next().unwrap_or_default().trim()
}
