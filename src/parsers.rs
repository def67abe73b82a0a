//! The parsers alone, for what measures and fuzzes them. No part of the interface: it changes without notice.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::hubspot::fact::{Answer, Contact};
use crate::hubspot::response;
use crate::hubspot::signature;
use crate::hubspot::webhook::{self, Notice};
use crate::identity::Vid;

/// How much an answer told.
pub struct Told {
    /// Contacts.
    pub contacts: usize,
    /// The ids and emails said of them, and ids that are missing.
    pub values: usize,
}

/// Reads an answer.
///
/// # Errors
/// As `Vidcache::record` for the answer alone.
pub fn answer(body: &[u8]) -> Result<Told> {
    let values = |contact: &Contact| contact.merged.len() + contact.secondary.as_ref().map_or(0, Vec::len);
    Ok(match response::answer(body)? {
        Answer::Contact(contact) => Told { contacts: 1, values: values(&contact) },
        Answer::Contacts(list) => Told {
            contacts: list.contacts.len(),
            values: list.contacts.iter().map(values).sum::<usize>() + list.missing.len() + list.missing_unnamed,
        },
        Answer::Conflict { .. }
        | Answer::Missing
        | Answer::Refused { .. }
        | Answer::RateLimited { .. }
        | Answer::Done => Told { contacts: 0, values: 0 },
    })
}

/// How much a webhook's batch held.
pub struct Batch {
    /// Events about contacts.
    pub notices: usize,
    /// Events that say nothing here.
    pub ignored: usize,
    /// The ids and emails of the notices.
    pub values: usize,
}

/// Reads a webhook's batch.
///
/// # Errors
/// As `Vidcache::apply_webhook` for the body alone.
pub fn webhook(body: &[u8], portal: i64) -> Result<Batch> {
    let portal = Vid::try_from(portal).map_err(|_| Error::InvalidPortal)?;
    let batch = webhook::notices(body, portal)?;
    if let Some(refused) = batch.refused {
        return Err(refused);
    }
    let values = |notice: &Notice| match notice {
        Notice::EmailChanged { email, .. } => 1 + usize::from(email.is_some()),
        Notice::Merged { from, .. } => 1 + from.len(),
        _ => 1,
    };
    Ok(Batch { values: batch.notices.iter().map(values).sum(), notices: batch.notices.len(), ignored: batch.ignored })
}

/// The address as signature v3 signs it.
pub fn decode_uri(uri: &str) -> Cow<'_, str> {
    signature::decode_uri(uri)
}
