//! The properties of a contact that matter here, in the shapes of v1 and v3.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::fact::EmailFact;
use super::json::{Field, FieldVisitor, List, Object, Read, Wrong};
use crate::email::Email;
use crate::event::Millis;
use crate::identity::Vid;
use crate::limits::{MAX_EMAILS, MAX_IDS};

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Properties<'a> {
    #[serde(borrow)]
    email: Property<'a>,
    #[serde(borrow)]
    lastmodifieddate: Property<'a>,
    #[serde(borrow)]
    hs_additional_emails: Property<'a>,
    #[serde(borrow)]
    hs_merged_object_ids: Property<'a>,
    #[serde(borrow)]
    hs_calculated_merged_vids: Property<'a>,
    #[serde(borrow)]
    hs_all_contact_vids: Property<'a>,
}

impl Properties<'_> {
    /// `{"value":"a@x.test","versions":[{"value":"a@x.test","timestamp":1531148079152}]}`. The version's timestamp is
    /// when the email was set, so HubSpot held it then.
    pub(super) fn v1_email(&self) -> Read<Option<EmailFact>> {
        let property = match &self.email {
            Property::Versioned(property) => property,
            Property::Plain(Field::Absent | Field::Null) => return Ok(None),
            Property::Plain(_) => return Err(Wrong { field: "properties.email", why: "it is not an object" }),
        };
        if property.value.is_absent() {
            return Err(Wrong { field: "properties.email.value", why: "it is missing" });
        }
        let value = property.value.text("properties.email.value")?.unwrap_or_default();
        let mut at = None;
        for version in property.versions.get("properties.email.versions")?.unwrap_or_default() {
            let Some(version) = version.get("properties.email.versions")? else { continue };
            if !matches!(&version.value, Field::Text(text) if text == value) {
                continue;
            }
            let timestamp = version.timestamp.time("properties.email.versions.timestamp")?;
            let missing = Wrong { field: "properties.email.versions.timestamp", why: "it is missing" };
            at = at.max(Some(timestamp.ok_or(missing)?));
        }
        Ok(at.map(|at| EmailFact { email: Email::parse(value).ok(), at }))
    }

    /// Text or null; `None` when the answer does not have the property.
    pub(super) fn v3_email(&self) -> Read<Option<Option<Email>>> {
        match &self.email {
            Property::Plain(Field::Absent) => Ok(None),
            Property::Plain(field) => {
                Ok(Some(field.text("properties.email")?.and_then(|text| Email::parse(text).ok())))
            }
            Property::Versioned(_) => Err(Wrong { field: "properties.email", why: "it is not text" }),
        }
    }

    pub(super) fn modified(&self) -> Read<Option<Millis>> {
        self.lastmodifieddate.value().time("properties.lastmodifieddate")
    }

    /// `"b@x.test;c@x.test"`. `None` when the answer does not have the property.
    pub(super) fn additional_emails(&self) -> Read<Option<Vec<Email>>> {
        let field = "properties.hs_additional_emails";
        let value = self.hs_additional_emails.value();
        if value.is_absent() {
            return Ok(None);
        }
        let mut emails = Vec::new();
        for text in value.text(field)?.unwrap_or_default().split(';') {
            add(&mut emails, text, field)?;
        }
        Ok(Some(emails))
    }

    /// The ids that were merged: `"51;1;1551"`, where one of the three lists has the times too, `"51:1531148079152;…"`,
    /// and another the living contact.
    pub(super) fn merged(&self, mut each: impl FnMut(Vid)) -> Read<()> {
        for (property, field) in [
            (&self.hs_merged_object_ids, "properties.hs_merged_object_ids"),
            (&self.hs_calculated_merged_vids, "properties.hs_calculated_merged_vids"),
            (&self.hs_all_contact_vids, "properties.hs_all_contact_vids"),
        ] {
            let list = property.value().text(field)?.unwrap_or_default();
            for (n, text) in list.split(';').map(str::trim).filter(|text| !text.is_empty()).enumerate() {
                if n == MAX_IDS {
                    return Err(Wrong { field, why: "it has too many elements" });
                }
                let id = text.split_once(':').map_or(text, |(id, _)| id);
                each(id.parse().map_err(|_| Wrong { field, why: "it is not a list of ids" })?);
            }
        }
        Ok(())
    }
}

/// What cannot be an email is none that a page could name.
fn add(emails: &mut Vec<Email>, text: &str, field: &'static str) -> Read<()> {
    if emails.len() == MAX_EMAILS {
        return Err(Wrong { field, why: "it has too many emails" });
    }
    emails.extend(Email::parse(text));
    Ok(())
}

/// v1's `{"value":…,"versions":[…]}`, or v3's text.
enum Property<'a> {
    Plain(Field<'a>),
    Versioned(Versioned<'a>),
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Versioned<'a> {
    #[serde(borrow)]
    value: Field<'a>,
    #[serde(borrow)]
    versions: List<Object<Version<'a>>, MAX_IDS>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Version<'a> {
    #[serde(borrow)]
    value: Field<'a>,
    #[serde(borrow)]
    timestamp: Field<'a>,
}

impl<'a> Property<'a> {
    fn value(&self) -> &Field<'a> {
        match self {
            Self::Plain(value) => value,
            Self::Versioned(property) => &property.value,
        }
    }
}

impl Default for Property<'_> {
    fn default() -> Self {
        Self::Plain(Field::Absent)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Property<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PropertyVisitor)
    }
}

struct PropertyVisitor;

impl<'de> Visitor<'de> for PropertyVisitor {
    type Value = Property<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Property<'de>, A::Error> {
        Versioned::deserialize(MapAccessDeserializer::new(map)).map(Property::Versioned)
    }

    // All else is as it is in any field.
    fn visit_unit<E: serde::de::Error>(self) -> Result<Property<'de>, E> {
        FieldVisitor.visit_unit().map(Property::Plain)
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Property<'de>, E> {
        FieldVisitor.visit_bool(flag).map(Property::Plain)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Property<'de>, E> {
        FieldVisitor.visit_i64(number).map(Property::Plain)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Property<'de>, E> {
        FieldVisitor.visit_u64(number).map(Property::Plain)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Property<'de>, E> {
        FieldVisitor.visit_f64(number).map(Property::Plain)
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Property<'de>, E> {
        FieldVisitor.visit_borrowed_str(text).map(Property::Plain)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Property<'de>, E> {
        FieldVisitor.visit_str(text).map(Property::Plain)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Property<'de>, A::Error> {
        FieldVisitor.visit_seq(seq).map(Property::Plain)
    }
}

/// `{"vid":1,"identities":[{"type":"EMAIL","value":"b@x.test","is-secondary":true}]}`: what a v1 profile knows a
/// contact by.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Identities<'a> {
    #[serde(borrow)]
    identities: List<Object<Identity<'a>>, MAX_IDS>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Identity<'a> {
    #[serde(borrow, rename = "type")]
    kind: Field<'a>,
    #[serde(borrow)]
    value: Field<'a>,
    #[serde(borrow, rename = "is-secondary")]
    is_secondary: Field<'a>,
}

impl Identities<'_> {
    pub(super) fn secondary(&self, emails: &mut Vec<Email>) -> Read<()> {
        for identity in self.identities.get("identity-profiles.identities")?.unwrap_or_default() {
            let Some(identity) = identity.get("identity-profiles.identities")? else { continue };
            let kind = identity.kind.text("identity-profiles.identities.type")?;
            let secondary = identity.is_secondary.flag("identity-profiles.identities.is-secondary")?;
            if kind == Some("EMAIL") && secondary == Some(true) {
                let field = "identity-profiles.identities.value";
                add(emails, identity.value.text(field)?.unwrap_or_default(), field)?;
            }
        }
        Ok(())
    }
}
