//! An embedded identity cache for HubSpot: which contact (*vid*) is this user, and may this page
//! name their email?
//!
//! HubSpot's tracking snippet identifies a visitor by email. An email that HubSpot does not hold
//! makes a **new contact**, and that is what happens whenever a user changes their email and the next page
//! renders before a background worker has told HubSpot. This crate keeps the user → contact mapping in a
//! local SQLite file and answers, in-process, what a page may say:
//!
//! > The page names an email only while the app and HubSpot agree on it: the fingerprint of the app's email
//! > equals the one that HubSpot last confirmed for the user's contact, and no change of that user's email
//! > is outstanding. Otherwise it identifies by the contact's id alone, which never creates one, or by nothing.
//!
//! ```
//! use vidcache::{Email, Options, Reason, UserKey, Vidcache};
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("hubspot.vidcache");
//! let secret = b"thirty-two bytes kept out of it.";
//! let cache = Vidcache::open(path, 62515, &Options { secret: Some(secret), ..Options::default() })?;
//! let user = UserKey::from(42);
//!
//! // The worker created the contact and records what HubSpot answered.
//! let answer = br#"{"id":"901","properties":{"email":"ann@shop.test"},"updatedAt":"2026-03-01T10:00:00.000Z"}"#;
//! cache.record(user, answer, None)?;
//! let ann = Email::parse("Ann@shop.test")?;
//! assert_eq!(cache.decide(user, Some(&ann))?.email(), Some("ann@shop.test"));
//!
//! // The user changes their email: from here on, no page names one.
//! let change = cache.begin_email_change(user)?;
//! let new = Email::parse("ann@home.test")?;
//! let decision = cache.decide(user, Some(&new))?;
//! assert_eq!((decision.email(), decision.reason()), (None, Reason::ChangeOutstanding));
//! assert_eq!(decision.id().map(|vid| vid.get()), Some(901));
//!
//! // The worker has told HubSpot, and says so.
//! let answer = br#"{"id":"901","properties":{"email":"ann@home.test"},"updatedAt":"2026-03-01T10:05:00.000Z"}"#;
//! cache.record(user, answer, Some(change))?;
//! assert_eq!(cache.decide(user, Some(&new))?.email(), Some("ann@home.test"));
//! # Ok::<(), vidcache::Error>(())
//! ```
//!
//! # What a page says
//! | what is known | the page | [`Reason`] |
//! | --- | --- | --- |
//! | no contact, or one that was erased | says nothing | `NotLinked` |
//! | a change is outstanding, of this user or of one who shares the contact | id alone | `ChangeOutstanding` |
//! | the app has no email | id alone | `EmailAbsent` |
//! | HubSpot never said which email it holds; or not since the contact was merged or deleted; or named two at one time | id alone | `EmailUnconfirmed` |
//! | HubSpot holds another email; one of the contact's secondary emails, too | id alone | `EmailDiffers` |
//! | both have the same email | email and id | `Agreed` |
//! | nothing that is as new as a page must be; never with a file | id alone, or nothing | `Stale` |
//!
//! The id is left out where another user, of another contact, gives it.
//!
//! # Which methods are for whom
//! | who | methods |
//! | --- | --- |
//! | a page | [`Vidcache::snippet`], or [`Vidcache::page`], [`Vidcache::anonymous_page`], [`Vidcache::signed_out_page`] to be rendered; [`Vidcache::decide`], [`Vidcache::resolve`] |
//! | the app, around a change of an email | [`Vidcache::begin_email_change`] before its own commit, [`Vidcache::abandon_email_change`] after a rollback |
//! | the worker | [`Vidcache::change_outstanding_since`], [`Vidcache::quiet_period`], then [`Vidcache::record`]; [`Vidcache::stale_changes`] for jobs that were lost |
//! | the webhook | [`signature::verify`], then [`Vidcache::apply_webhook`] |
//! | a first fill | [`Vidcache::import`], [`Vidcache::link`], [`Vidcache::observe`] |
//! | an operator | [`Vidcache::explain`], [`Vidcache::stats`], [`Vidcache::verify`], [`Vidcache::export`], [`Vidcache::linked_users`], [`Vidcache::forget`], [`Vidcache::move_aside`], [`Vidcache::backup`], [`Vidcache::restore`] |
//!
//! What else is public is for bindings to other languages: [`cancellable`], [`without_waiting`],
//! [`Vidcache::recall`], [`Vidcache::close_later`] and [`Page::render_into`].
//!
//! # Threads, forks, async
//! A [`Vidcache`] is `Send` and `Sync`: share one among threads. A handle that was opened before a fork works in parent
//! and child. No method is `async`: look-ups take nanoseconds to microseconds and may be called anywhere; what writes
//! waits for the disk and for other processes, up to [`Options::busy_timeout`], so call it where blocking is allowed.
//!
//! # Crate features
//! `database`: the same rows in the app's own PostgreSQL, for processes that share no disk (module `in_database`); the
//! crate vidcache-postgres sends the statements. Off by default. SQLite is compiled in; there is nothing to install.
//!
//! # What it does not do
//! It never calls HubSpot, keeps no email (only keyed fingerprints), starts no threads, and does not work on a
//! network file system. The file is private to it: no other SQLite may write to it. On Linux other code of the process
//! may open, read and close it; elsewhere that drops SQLite's locks.

mod cache;
mod cancel;
#[cfg(any(test, feature = "database"))]
mod database;
mod decision;
mod email;
mod error;
mod event;
mod file;
mod hot;
mod hubspot;
mod identity;
#[cfg(any(test, feature = "database"))]
pub mod in_database;
mod limits;
#[cfg(feature = "parsers")]
#[doc(hidden)]
pub mod parsers;
mod refusal;
mod rows;
mod sequence;
mod snippet;
mod store;

/// The blocks of the guide, compiled and run by `cargo test --doc`.
#[cfg(doctest)]
#[doc = include_str!("../docs/guides/rust.md")]
struct Guide;

pub use cache::Vidcache;
pub use cache::account::Explanation;
pub use cache::intake::ImportReport;
pub use cache::options::Options;
pub use cache::words::{Imported, Observed, Recorded, WebhookReport};
pub use cancel::{cancellable, without_waiting};
pub use decision::{Decision, Reason};
pub use email::{Email, Fingerprint};
pub use error::{Error, ErrorCode, Result};
pub use event::{ChangeToken, Clash, Millis};
pub use file::Synchronous;
pub use hubspot::signature;
pub use identity::{Identity, UserKey, Vid};
pub use refusal::Refusal;
pub use rows::lease::LeaseToken;
pub use rows::{Conflict, StaleChange, UserToRead};
pub use snippet::Page;
pub use store::Stats;
