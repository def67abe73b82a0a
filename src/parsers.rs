//! The parsers alone, a page without a file, and rows without a disk, for what measures and fuzzes them. No part of the
//! interface: it changes without notice.

use std::borrow::Cow;
use std::time::Duration;

use rusqlite::Connection;

use crate::decision::{UserState, decide};
use crate::email::{Email, Fingerprint};
use crate::error::{Error, Result};
use crate::event::Millis;
use crate::hubspot::fact::{Answer, Contact};
use crate::hubspot::response;
use crate::hubspot::signature;
use crate::hubspot::webhook::{self, Notice};
use crate::identity::{Identity, UserKey, Vid};
use crate::rows::{self, Import, Known};
use crate::snippet::{Page, Template, is_host};

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

/// The page of a user whose email HubSpot holds, in its folded form if so, as HTML and as data alone.
///
/// # Errors
/// [`Error::InvalidOption`] for a host that is none, as `Vidcache::open`.
pub fn page(host: &str, id: Option<Vid>, email: &Email, folded: bool, nonce: Option<&str>) -> Result<(String, String)> {
    if !is_host(host) {
        return Err(Error::InvalidOption { name: "loader_host", why: "it must be a host name" });
    }
    let template = Template::new(33, host, Duration::from_secs(10));
    let held = email.folded().filter(|_| folded).unwrap_or(email.as_str());
    let fingerprint = |text: &str| Fingerprint([u8::from(text == held); 16]);
    let vid = Vid::new(901).expect("positive");
    let state = UserState {
        identity: Some(Identity { vid, external_id: id }),
        confirmed: Some(fingerprint(held)),
        ..UserState::default()
    };
    let page = Page::new(&template, 1_700_000_000_000, decide(&state, Some(email), fingerprint));
    let html = page.render(nonce);
    let mut buffer = vec![1; html.len()];
    assert_eq!(page.render_into(nonce, &mut buffer)?, html.len(), "a buffer of the page's size takes it");
    assert_eq!(buffer, html.as_bytes(), "a buffer gets the same page");
    Ok((html, page.data()))
}

/// The folded form of an email, where it has one.
pub fn folded(email: &Email) -> Option<&str> {
    email.folded()
}

/// Rows without a file, for imports into them, each of which is undone.
pub struct Rows(Connection);

/// A row of an import: a user, their contact, and the email that HubSpot held for it, and when.
pub type Row<'a> = (UserKey<'a>, Vid, Option<(Email, Millis)>);

/// What the rows say of a user afterwards: the contact, whether this email is the one that is confirmed, and the user's
/// account as JSON, if that is asked.
pub type Said = (Option<Identity>, bool, Option<String>);

impl Rows {
    /// Rows with nothing in them.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn new() -> Result<Self> {
        let connection = Connection::open_in_memory()?;
        connection.set_prepared_statement_cache_capacity(256);
        rows::SCHEMAS.iter().try_for_each(|schema| connection.execute_batch(schema))?;
        Ok(Self(connection))
    }

    /// Imports the rows, and again, which has to change nothing; then asks for each row's user, and undoes it all.
    /// Returns how many were taken in, what is said of each, and what is wrong with the rows, if that is asked.
    ///
    /// # Errors
    /// Any of an import's.
    pub fn import(&mut self, rows: &[Row<'_>], verified: bool) -> Result<(u64, Vec<Said>, Vec<String>)> {
        let print = |email: &Email| {
            let mut bytes = [0u8; 16];
            email
                .as_str()
                .bytes()
                .enumerate()
                .for_each(|(i, byte)| bytes[i % 16] = bytes[i % 16].rotate_left(3) ^ byte);
            Fingerprint(bytes)
        };
        let known: Vec<_> = (rows.iter())
            .map(|&(user, vid, email)| Known { user, vid, email: email.map(|(email, at)| (print(&email), at)) })
            .collect();
        let tx = self.0.transaction()?;
        let taken = Import::new(&tx)?.put(&known)?;
        let said = |tx: &Connection| {
            let one = |&(user, _, email): &Row<'_>| {
                let state = rows::user_state(tx, user)?;
                let confirmed = email.is_some_and(|(email, _)| state.confirmed == Some(print(&email)));
                Ok((
                    state.identity,
                    confirmed,
                    verified
                        .then(|| rows::account(tx, user, Fingerprint([0; 16])).map(|account| account.json()))
                        .transpose()?,
                ))
            };
            rows.iter().map(one).collect::<Result<Vec<Said>>>()
        };
        let first = said(&tx)?;
        Import::new(&tx)?.put(&known)?;
        assert!(said(&tx)? == first, "an import that is repeated changes something");
        let wrong = if verified { rows::verify(&tx)? } else { Vec::new() };
        tx.rollback()?;
        Ok((taken, first, wrong))
    }
}
