//! HubSpot's words as they are kept: emails become fingerprints here, under the key of the file or of the tables.

use crate::email::{Email, Fingerprint, FingerprintKey};
use crate::error::{Error, Result};
use crate::event::{Event, Millis};
use crate::hubspot::fact::Contact;
use crate::hubspot::webhook::Notice;
use crate::identity::Vid;
use crate::rows::learn::Described;

/// Whose fingerprints, and of which portal the words must be.
pub(super) struct Words<'a> {
    pub(super) key: &'a FingerprintKey,
    pub(super) portal: Vid,
}

impl Words<'_> {
    /// What a notice tells that is heard now.
    pub(super) fn events(&self, notice: &Notice, heard: Millis) -> Vec<Event<'static>> {
        match *notice {
            Notice::EmailChanged { vid, email, at } => {
                let email = email.map(|email| self.fingerprint(&email));
                vec![Event::EmailObserved { vid, email, at, read_at: None }]
            }
            Notice::Merged { ref from, into, at, born } => {
                from.iter().map(|&old| Event::Merged { old, into, at, born, heard }).collect()
            }
            Notice::Deleted { vid, at } => vec![Event::Deleted { vid, at }],
            Notice::Restored { vid, at } => vec![Event::Restored { vid, at }],
            Notice::Erased { vid } => vec![Event::Erased { vid }],
        }
    }

    /// What an answer says of a contact, without its emails: they stay outside.
    pub(super) fn described(&self, contact: &Contact) -> Described {
        Described {
            vid: contact.vid,
            merged: contact.merged.clone(),
            deleted: contact.deleted,
            email: contact.email.map(|fact| (fact.email.map(|email| self.fingerprint(&email)), fact.at)),
            secondary: contact.secondary.iter().flatten().map(|email| self.fingerprint(email)).collect(),
            at: contact.at,
        }
    }

    pub(super) fn fingerprint(&self, email: &Email) -> Fingerprint {
        self.key.fingerprint(email.as_str())
    }

    /// An answer of another portal, asked for with another account's token, is about other contacts of the same ids.
    pub(super) fn check_portal(&self, contact: &Contact) -> Result<()> {
        match contact.portal {
            Some(portal) if portal != self.portal => {
                Err(Error::InvalidAnswer("field portal-id: it is of another portal".into()))
            }
            _ => Ok(()),
        }
    }
}
