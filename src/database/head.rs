//! What an answer says of itself, and whether it may be believed.
//!
//! The app's connection may lead to a replica, run in a transaction whose snapshot is minutes old, or belong to a copy
//! of the database that another portal's app uses. All of this an answer says itself, in one snapshot with what it
//! answers, so no setting of the app has to be trusted.

use std::fmt;
use std::time::Duration;

use base16ct::lower;
use serde::Deserialize;

use super::schema::FORMAT;
use crate::error::{Error, Result};
use crate::event::Millis;
use crate::rows::facts::Key;

/// What every answer begins with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    /// The row of `meta`; none where the tables are empty.
    pub(crate) meta: Option<Meta>,
    /// `pg_is_in_recovery()`: a standby, which lags.
    pub(crate) standby: bool,
    /// `transaction_read_only`: some replicas do not say that they are standbys.
    pub(crate) read_only: bool,
    /// `transaction_isolation`.
    pub(crate) isolation: String,
    /// PostgreSQL's clock, in milliseconds since 1970; for a worker alone.
    #[serde(default)]
    pub(crate) clock: Millis,
    /// How long ago the transaction began, in milliseconds, where its snapshot is as old.
    pub(crate) age: Millis,
    /// The longest page deadline of the last 30 days, in milliseconds, if any process wrote one down; for a worker
    /// alone.
    #[serde(default)]
    pub(crate) deadline: Option<u64>,
}

/// The one row of `meta`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meta {
    pub(crate) portal: i64,
    /// In hexadecimal.
    pub(crate) key_check: String,
    pub(crate) min_reader: i64,
    /// When the tables were set up. Where it is another time, they were emptied in between, and what was known of them
    /// is known no more.
    pub(crate) made_at: Millis,
    pub(crate) doubted_to: Option<Millis>,
    pub(crate) doubted_at: Option<Millis>,
}

/// Whose answers are believed, and for how long a page may name an email on the strength of one.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) portal: i64,
    pub(crate) key_check: String,
    pub(crate) deadline: Duration,
}

/// Why an answer is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Distrust {
    /// The tables have no row of this library's yet.
    NotSetUp,
    /// The tables are another portal's.
    OtherPortal {
        /// The portal that they say.
        found: i64,
    },
    /// The fingerprints are of another secret's key.
    OtherSecret,
    /// The tables hold what this version would overlook.
    Newer {
        /// The version that it takes to read them.
        found: i64,
    },
    /// The answer is a replica's, which lags.
    Replica,
    /// The answer is from a snapshot that may be older than a page may be.
    Old {
        /// How old the knowledge may be.
        age: Duration,
    },
    /// The transaction that was to write sees what was committed before it began, and not what others have since.
    Isolation,
    /// More users and contacts hang together than can be right.
    TooLarge,
    /// The answer cannot be read, or is of no shape that a statement of this library gives.
    Unreadable(String),
}

pub(super) fn unreadable(why: &str) -> Distrust {
    Distrust::Unreadable(why.into())
}

/// A user's key as answers have it.
pub(super) fn key(text: &str) -> std::result::Result<Key, Distrust> {
    let bytes = lower::decode_vec(text.as_bytes()).ok();
    bytes.and_then(Key::of).ok_or_else(|| unreadable("a user's key is none"))
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSetUp => f.write_str(
                "their row in vidcache_meta is missing: a process that begins makes one if the other tables are empty; \
                 if they are not, put that row back from a backup, or empty them all, and with them what is known of erasures",
            ),
            Self::OtherPortal { found } => write!(f, "they belong to portal {found}"),
            Self::OtherSecret => f.write_str("their fingerprints are of another secret"),
            Self::Newer { found } => write!(f, "they have format {found}; this version knows up to {FORMAT}"),
            Self::Replica => f.write_str(
                "a replica was asked, which lags, or a transaction that may not write: ask through the connection that writes",
            ),
            Self::Old { age } => {
                write!(f, "the transaction sees the database as it was {} ms ago", age.as_millis())
            }
            Self::Isolation => {
                f.write_str("what writes must be READ COMMITTED: an older snapshot misses others' writes")
            }
            Self::TooLarge => f.write_str("too many users and contacts are linked and merged with one another"),
            Self::Unreadable(what) => write!(f, "the database's answer cannot be read: {what}"),
        }
    }
}

impl Head {
    /// Whether a page may say something on the strength of the answer: for how long it may name an email from now on.
    /// `waited` is the time since *before* the statement was sent.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn for_page(&self, reader: &Reader, waited: Duration) -> std::result::Result<Duration, Distrust> {
        self.belongs_to(reader)?;
        let age = self.snapshot_age().saturating_add(waited);
        match reader.deadline.checked_sub(age) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(Distrust::Old { age }),
        }
    }

    /// Whether the transaction may write on the strength of the answer.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn for_writing(&self, reader: &Reader) -> std::result::Result<(), Distrust> {
        self.belongs_to(reader)?;
        if self.is_read_committed() { Ok(()) } else { Err(Distrust::Isolation) }
    }

    /// Whether the answer may be told to somebody who asks.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn for_reading(&self, reader: &Reader) -> std::result::Result<(), Distrust> {
        self.belongs_to(reader)
    }

    fn belongs_to(&self, reader: &Reader) -> std::result::Result<(), Distrust> {
        // A replica that lags may not have heard yet of what was set up.
        let none = if self.standby { Distrust::Replica } else { Distrust::NotSetUp };
        let meta = self.meta.as_ref().ok_or(none)?;
        // The first of all: what else a newer format says may mean something else.
        if meta.min_reader > FORMAT {
            return Err(Distrust::Newer { found: meta.min_reader });
        }
        if meta.portal != reader.portal {
            return Err(Distrust::OtherPortal { found: meta.portal });
        }
        if meta.key_check != reader.key_check {
            return Err(Distrust::OtherSecret);
        }
        if self.standby || self.read_only { Err(Distrust::Replica) } else { Ok(()) }
    }

    /// Whether each statement of the transaction sees what was committed before it.
    pub(crate) fn is_read_committed(&self) -> bool {
        // PostgreSQL has no dirty reads: the second is the first by another name.
        matches!(self.isolation.as_str(), "read committed" | "read uncommitted")
    }

    /// How old the snapshot may be when the statement runs: in READ COMMITTED each statement takes its own.
    fn snapshot_age(&self) -> Duration {
        match self.is_read_committed() {
            true => Duration::ZERO,
            // A transaction of a clock that was set back since it began is as old as can be.
            false => u64::try_from(self.age).map_or(Duration::MAX, Duration::from_millis),
        }
    }
}

/// The wrapped key of the tables and when they were set up, from the text of
/// [`statements::key`](super::statements::key).
///
/// # Errors
/// [`Error::WrongPortal`], [`Error::NewerSchema`], [`Error::TablesUnusable`].
pub(crate) fn envelope(text: &str, portal: i64) -> Result<(Vec<u8>, Millis)> {
    if text.is_empty() {
        return Err(Distrust::NotSetUp.into());
    }
    let unreadable = || Distrust::Unreadable("the row of vidcache_meta is none".into());
    let mut words = text.split(' ');
    let mut number = || words.next().and_then(|word| word.parse::<i64>().ok()).ok_or_else(unreadable);
    let (found, min_reader, made_at) = (number()?, number()?, number()?);
    if min_reader > FORMAT {
        return Err(Distrust::Newer { found: min_reader }.into());
    }
    if found != portal {
        return Err(Error::WrongPortal { found, expected: portal });
    }
    let envelope = words.next().and_then(|hex| lower::decode_vec(hex.as_bytes()).ok());
    Ok((envelope.ok_or_else(unreadable)?, made_at))
}

impl Distrust {
    /// The error of whoever had to believe the answer of the tables of `portal`.
    pub fn error(self, portal: i64) -> Error {
        match self {
            Self::OtherPortal { found } => Error::WrongPortal { found, expected: portal },
            why => why.into(),
        }
    }
}

impl From<Distrust> for Error {
    fn from(why: Distrust) -> Self {
        match why {
            Distrust::OtherSecret => Self::WrongSecret,
            Distrust::Newer { found } => Self::NewerSchema { found, known: FORMAT },
            why => Self::TablesUnusable(why.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader() -> Reader {
        Reader { portal: 7, key_check: "ab".into(), deadline: Duration::from_secs(10) }
    }

    fn head() -> Head {
        let key_check = "ab".into();
        let meta = Meta { portal: 7, key_check, min_reader: 1, made_at: 0, doubted_to: None, doubted_at: None };
        Head {
            meta: Some(meta),
            standby: false,
            read_only: false,
            isolation: "read committed".into(),
            clock: 0,
            age: 999_999,
            deadline: None,
        }
    }

    fn left(head: &Head, waited_ms: u64) -> std::result::Result<u64, Distrust> {
        let left = head.for_page(&reader(), Duration::from_millis(waited_ms))?;
        Ok(left.as_millis().try_into().expect("short"))
    }

    #[test]
    fn a_page_s_deadline_counts_from_before_the_statement_was_sent() {
        assert_eq!(left(&head(), 0), Ok(10_000));
        assert_eq!(left(&head(), 9_999), Ok(1));
        assert_eq!(left(&head(), 10_000), Err(Distrust::Old { age: Duration::from_secs(10) }));
    }

    #[test]
    fn an_old_snapshot_counts_from_when_its_transaction_began() {
        for isolation in ["repeatable read", "serializable", "of a server to come"] {
            let head = Head { isolation: isolation.into(), age: 4_000, ..head() };
            assert_eq!(left(&head, 1_000), Ok(5_000), "{isolation}");
            assert!(matches!(left(&head, 6_000), Err(Distrust::Old { .. })), "{isolation}");
            assert_eq!(head.for_writing(&reader()), Err(Distrust::Isolation), "{isolation}");
        }
        let clock_set_back = Head { isolation: "serializable".into(), age: -1, ..head() };
        assert!(matches!(left(&clock_set_back, 0), Err(Distrust::Old { .. })));
        assert_eq!(head().for_writing(&reader()), Ok(()));
    }

    #[test]
    fn what_is_not_ours_or_not_the_newest_is_not_believed() {
        let with = |change: fn(&mut Meta)| {
            let mut head = head();
            head.meta.as_mut().map(change);
            head
        };
        for (head, why) in [
            (Head { meta: None, ..head() }, Distrust::NotSetUp),
            (Head { meta: None, standby: true, ..head() }, Distrust::Replica),
            (with(|meta| meta.portal = 8), Distrust::OtherPortal { found: 8 }),
            (with(|meta| meta.key_check = "cd".into()), Distrust::OtherSecret),
            (with(|meta| meta.min_reader = 2), Distrust::Newer { found: 2 }),
            (Head { standby: true, ..head() }, Distrust::Replica),
            (Head { read_only: true, ..head() }, Distrust::Replica),
        ] {
            assert_eq!(left(&head, 0), Err(why.clone()));
            assert_eq!(head.for_writing(&reader()), Err(why));
        }
    }
}
