//! What HubSpot answers to a call, and in which words.

use crate::hubspot::{Deed, Mail, text};

/// What HubSpot answers to a call.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) said: Said,
    /// What was done by hand to the contact that the answer is about, before it was given.
    pub(crate) deeds: Vec<Deed>,
}

#[derive(Clone, Debug)]
pub(crate) enum Said {
    Contact { vid: i64, email: Option<Mail>, second: Vec<Mail>, merged: Vec<i64>, updated: i64 },
    Missing,
    Conflict(i64),
    Blocked,
}

impl Answer {
    pub(crate) fn of(said: Said) -> Self {
        Self { said, deeds: Vec::new() }
    }

    pub(crate) fn missing() -> Self {
        Self::of(Said::Missing)
    }

    /// As bytes; `updated` stands in for HubSpot's own time where there is one.
    pub(crate) fn body(&self, updated: Option<i64>) -> Vec<u8> {
        match &self.said {
            Said::Contact { vid, email, second, merged, updated: at } => {
                let email = email.map_or("null".into(), |email| format!("\"{}\"", text(email)));
                let second: Vec<_> = second.iter().map(|email| text(*email)).collect();
                let merged: Vec<_> = merged.iter().map(i64::to_string).collect();
                let (second, merged, at) = (second.join(";"), merged.join(";"), updated.unwrap_or(*at));
                format!(
                    r#"{{"id":"{vid}","properties":{{"email":{email},"hs_additional_emails":"{second}","hs_merged_object_ids":"{merged}"}},"updatedAt":{at}}}"#
                )
            }
            Said::Missing => {
                r#"{"status":"error","message":"resource not found","category":"OBJECT_NOT_FOUND"}"#.into()
            }
            // In 2026 some conflicts are a 400.
            Said::Conflict(vid) if vid % 100 == 1 => format!(
                r#"{{"status":"error","message":"Cannot set PropertyValueCoordinates{{portalId=1, objectTypeId=ObjectTypeId{{legacyObjectType=CONTACT}}, propertyName=email, value=e@x.test}} on 7. {vid} already has that value.","category":"VALIDATION_ERROR"}}"#
            ),
            Said::Conflict(vid) => format!(
                r#"{{"status":"error","message":"Contact already exists. Existing ID: {vid}","category":"CONFLICT"}}"#
            ),
            Said::Blocked => r#"{"status":"error","message":"Property values were not valid: [{\"isValid\":false,\"message\":\"email has been GDPR blacklisted\",\"error\":\"INVALID_EMAIL\",\"name\":\"email\"}]","category":"VALIDATION_ERROR"}"#.into(),
        }
        .into()
    }
}
