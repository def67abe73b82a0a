//! What a row's fields say: a user, their contact and an email, or why they do not. Many of them are a chunk, which
//! becomes one transaction.

use std::ops::Range;
use std::str::{self, FromStr};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use vidcache::{Email, Error, Imported, Millis, UserKey, Vid};

use super::table::Fields;

/// Rows of one transaction: as many as the library's own.
pub(super) const ROWS: usize = 100_000;

/// Bytes of one chunk, of rows that are wide.
pub(super) const BYTES: usize = 32 << 20;

/// How far HubSpot's clock may be ahead of this host's, as the library has it.
const AHEAD: Millis = 5 * 60 * 1000;

/// The first time in milliseconds that cannot be one in seconds: 1973.
const MILLISECONDS: Millis = 100_000_000_000;

/// A row that can be taken in. Its text lies in the chunk's.
pub(super) struct Row {
    pub(super) number: u64,
    user: Range<usize>,
    pub(super) vid: Vid,
    email: Option<(Range<usize>, Millis)>,
}

/// Why a row is left out, in a word for programs and in a sentence's end.
pub(super) type Refusal = (&'static str, String);

#[derive(Default)]
pub(super) struct Chunk {
    pub(super) rows: Vec<Row>,
    text: Vec<u8>,
    /// The rows as they came, if somebody is to mend them.
    pub(super) records: Vec<csv::ByteRecord>,
    pub(super) refused: Vec<(u64, Refusal, csv::ByteRecord)>,
    /// Rows without a user, of whom the app knows nothing.
    pub(super) nobody: u64,
    /// The row that was read last.
    pub(super) upto: u64,
    bytes: usize,
}

impl Chunk {
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= ROWS || self.bytes >= BYTES || self.refused.len() >= ROWS
    }

    /// Takes a row in, or says why not. `None` in place of a time that is not given.
    pub(super) fn put(&mut self, number: u64, fields: &Fields<'_>, now: Millis) -> Result<(), Refusal> {
        let Some(user) = fields.user else {
            self.nobody += 1;
            return Ok(());
        };
        UserKey::bytes(user).map_err(library)?;
        let vid = fields.vid.ok_or_else(|| ("invalid_vid", "there is no contact's id".to_owned()))?;
        let vid =
            str::from_utf8(vid).map_or(Err(Error::InvalidVid("it is not UTF-8")), Vid::from_str).map_err(library)?;
        let email = match (fields.email, fields.email_at) {
            (Some(email), Some(at)) => {
                let text = str::from_utf8(email).map_err(|_| ("invalid_email", "it is not UTF-8".to_owned()))?;
                Email::parse(text).map_err(library)?;
                Some((email, moment(at, now).map_err(|why| ("invalid_email_at", why.to_owned()))?))
            }
            _ => None,
        };
        let user = self.keep(user);
        let email = email.map(|(email, at)| (self.keep(email), at));
        self.rows.push(Row { number, user, vid, email });
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let from = self.text.len();
        self.text.extend_from_slice(bytes);
        self.bytes += bytes.len();
        from..self.text.len()
    }

    /// Keeps the row itself.
    pub(super) fn keep_record(&mut self, record: csv::ByteRecord) {
        self.bytes += record.as_slice().len();
        self.records.push(record);
    }

    pub(super) fn user(&self, row: &Row) -> vidcache::Result<UserKey<'_>> {
        UserKey::bytes(&self.text[row.user.clone()])
    }

    /// The rows as the library takes them.
    pub(super) fn imported(&self) -> impl Iterator<Item = vidcache::Result<Imported<'_>>> {
        self.rows.iter().map(|row| {
            let email = match &row.email {
                Some((email, at)) => {
                    let text = str::from_utf8(&self.text[email.clone()]).unwrap_or_default();
                    Some((Email::parse(text)?, *at))
                }
                None => None,
            };
            Ok(Imported { user: self.user(row)?, vid: row.vid, email })
        })
    }
}

fn library(error: Error) -> Refusal {
    (error.code().name(), error.to_string())
}

/// RFC 3339 with a time zone, or milliseconds since 1970.
fn moment(text: &[u8], now: Millis) -> Result<Millis, &'static str> {
    let text = str::from_utf8(text).map_err(|_| "its time is not UTF-8")?;
    let at = match text.parse::<Millis>() {
        Ok(number) if number < MILLISECONDS => {
            return Err("its time is before 1973: is it in seconds? It must be in milliseconds");
        }
        Ok(number) => number,
        Err(_) => {
            let parsed = OffsetDateTime::parse(text, &Rfc3339).map_err(
                |_| "its time is neither milliseconds nor RFC 3339 with a time zone, as 2026-03-01T10:00:00Z",
            )?;
            i64::try_from(parsed.unix_timestamp_nanos() / 1_000_000).map_err(|_| "its time is out of range")?
        }
    };
    match at {
        at if at > now + AHEAD => Err("its time is in the future: a time zone may be missing"),
        at if at < 0 => Err("its time is before 1970"),
        at => Ok(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_zone_or_is_in_milliseconds() {
        let now = 1_772_359_200_000;
        assert_eq!(moment(b"2026-03-01T10:00:00Z", now), Ok(now));
        assert_eq!(moment(b"2026-03-01T11:00:00.000+01:00", now), Ok(now));
        assert_eq!(moment(b"1772359200000", now), Ok(now));
        for text in [
            "2026-03-01 10:00",
            "2026-03-01T10:00:00",
            "1772359200",
            "soon",
            "",
            "2026-03-01T11:00:00Z",
            "-5",
            "\u{661}",
        ] {
            assert!(moment(text.as_bytes(), now).is_err(), "{text}");
        }
    }
}
