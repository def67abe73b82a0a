//! Who is who: the app's user key, HubSpot's vid, and the pair of them.
//!
//! It imports the error type, and that names ids: the one circle of the ground, left on purpose.

use std::fmt;
use std::num::NonZeroI64;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::limits::MAX_USER_KEY;

/// The app's own id of a user: a 64-bit integer, or text of 1 to 255 bytes. Never an email.
///
/// Two spellings of one id are one key: the text `"42"` is the integer 42, because a
/// job argument or a URL turns an id into text and must still find its user. A UUID in its
/// usual lower-case form is kept as 16 bytes instead of 36. Both mappings lose nothing:
/// text that would not come back the same (`"042"`, an upper-case UUID) stays text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserKey<'a>(Repr<'a>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Repr<'a> {
    Int(i64),
    Uuid([u8; 16]),
    Text(&'a str),
}

impl<'a> UserKey<'a> {
    /// A key from text.
    ///
    /// # Errors
    /// [`Error::InvalidUserKey`] when it is empty, longer than 255 bytes, or holds a NUL byte.
    pub fn text(text: &'a str) -> Result<Self> {
        // First, and alone: the usual text.
        if let Some(uuid) = canonical_uuid(text) {
            return Ok(Self(Repr::Uuid(uuid)));
        }
        match text.len() {
            0 => return Err(Error::InvalidUserKey("it is empty")),
            n if n > MAX_USER_KEY => return Err(Error::InvalidUserKey("it is longer than 255 bytes")),
            _ => {}
        }
        if text.as_bytes().contains(&0) {
            return Err(Error::InvalidUserKey("it holds a NUL byte"));
        }
        Ok(Self(canonical_int(text).map_or(Repr::Text(text), Repr::Int)))
    }

    /// A key from bytes that should be UTF-8 text, as a C caller or a BINARY Ruby string has them.
    ///
    /// # Errors
    /// [`Error::InvalidUserKey`] as [`UserKey::text`], and when the bytes are not UTF-8.
    pub fn bytes(bytes: &'a [u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| Error::InvalidUserKey("it is not UTF-8"))?;
        Self::text(text)
    }

    pub(crate) fn uuid(bytes: [u8; 16]) -> Self {
        Self(Repr::Uuid(bytes))
    }

    /// The key as the app would write it: an integer in decimal, a UUID in its usual form.
    pub fn to_text(&self) -> String {
        match &self.0 {
            Repr::Int(id) => id.to_string(),
            Repr::Uuid(bytes) => uuid_text(bytes),
            Repr::Text(text) => (*text).to_owned(),
        }
    }

    #[inline]
    pub(crate) fn repr(&self) -> &Repr<'a> {
        &self.0
    }

    /// The key as bytes that no other key has, for a table of the app's own database: a tag, then the integer (8 bytes,
    /// big-endian), the UUID or the text.
    #[cfg(any(test, feature = "database"))]
    pub(crate) fn tagged(&self) -> Vec<u8> {
        let (tag, bytes): (u8, &[u8]) = match &self.0 {
            Repr::Int(id) => (1, &id.to_be_bytes()),
            Repr::Uuid(bytes) => (2, bytes),
            Repr::Text(text) => (3, text.as_bytes()),
        };
        [&[tag], bytes].concat()
    }

    /// The key that [`UserKey::tagged`] made these bytes of; `None` for bytes that it never makes.
    #[cfg(any(test, feature = "database"))]
    pub(crate) fn of_tagged(bytes: &'a [u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let key = match tag {
            1 => Self(Repr::Int(i64::from_be_bytes(rest.try_into().ok()?))),
            2 => Self(Repr::Uuid(rest.try_into().ok()?)),
            // Text that is an integer or a UUID is no text: else one user would have two keys.
            3 => Some(Self::bytes(rest).ok()?).filter(|key| matches!(key.0, Repr::Text(_)))?,
            _ => return None,
        };
        Some(key)
    }
}

impl From<i64> for UserKey<'_> {
    #[inline]
    fn from(id: i64) -> Self {
        Self(Repr::Int(id))
    }
}

impl<'a> TryFrom<&'a str> for UserKey<'a> {
    type Error = Error;
    fn try_from(text: &'a str) -> Result<Self> {
        Self::text(text)
    }
}

/// A key says nothing about itself, so that a log line or a panic cannot leak who it is.
impl fmt::Debug for UserKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Repr::Int(_) => "UserKey(int)",
            Repr::Uuid(_) => "UserKey(uuid)",
            Repr::Text(_) => "UserKey(text)",
        })
    }
}

/// The integer that prints as exactly this text.
fn canonical_int(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let canonical = digits.len() <= 19
        && digits.iter().all(u8::is_ascii_digit)
        && match digits {
            [] => false,
            [b'0'] => text.len() == 1,
            [first, ..] => *first != b'0',
        };
    if canonical { text.parse().ok() } else { None }
}

/// Where a UUID's pairs of digits begin.
const PAIRS: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// What a lower-case hex digit stands for; 16 for all else.
const NIBBLES: [u8; 256] = {
    let mut table = [16; 256];
    let mut n = 0;
    while n < 16 {
        table[b"0123456789abcdef"[n] as usize] = n as u8;
        n += 1;
    }
    table
};

/// The UUID that prints as exactly this text: 8-4-4-4-12 lower-case hex digits.
fn canonical_uuid(text: &str) -> Option<[u8; 16]> {
    let bytes: &[u8; 36] = text.as_bytes().try_into().ok()?;
    if [8, 13, 18, 23].iter().any(|&i| bytes[i] != b'-') {
        return None;
    }
    // Without a branch for each digit: a wrong one shows at the end, in a bit that no digit has.
    let mut uuid = [0u8; 16];
    let mut all = 0;
    for (byte, at) in uuid.iter_mut().zip(PAIRS) {
        let (high, low) = (NIBBLES[usize::from(bytes[at])], NIBBLES[usize::from(bytes[at + 1])]);
        all |= high | low;
        *byte = high << 4 | low & 15;
    }
    if all > 15 {
        return None;
    }
    Some(uuid)
}

pub(crate) fn uuid_text(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).expect("a nibble is below 16"));
        }
    }
    text
}

/// A HubSpot contact id: a positive 64-bit integer (`hs_object_id` in the v3 API, which sends it as text).
///
/// HubSpot documents no maximum; ids above 2^39 have been seen, so 32 bits are not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vid(NonZeroI64);

impl Vid {
    /// The id as a number, from 1 to 2^63 - 1.
    #[inline]
    pub const fn get(self) -> i64 {
        self.0.get()
    }

    /// The id that a number is, if it is one.
    #[inline]
    pub(crate) const fn new(id: i64) -> Option<Self> {
        match NonZeroI64::new(id) {
            Some(n) if id > 0 => Some(Self(n)),
            _ => None,
        }
    }
}

impl TryFrom<i64> for Vid {
    type Error = Error;
    fn try_from(id: i64) -> Result<Self> {
        Self::new(id).ok_or(Error::InvalidVid("it must be positive"))
    }
}

impl FromStr for Vid {
    type Err = Error;
    /// Decimal digits only: no sign, no spaces.
    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Error::InvalidVid("it is not a decimal number"));
        }
        let id: i64 = text.parse().map_err(|_| Error::InvalidVid("it is over 2^63 - 1"))?;
        Self::try_from(id)
    }
}

impl fmt::Display for Vid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which contact a user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The contact the user is linked to now, after merges.
    pub vid: Vid,
    /// What a page gives as HubSpot's external id: the vid as it was first linked. HubSpot binds
    /// only the first id it sees to a contact, so this one never follows a merge. `None`: another user, of another
    /// contact, was linked to that vid before and gives it.
    pub external_id: Option<Vid>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repr(text: &str) -> Repr<'_> {
        *UserKey::text(text).expect("valid").repr()
    }

    #[test]
    fn an_id_written_as_text_is_the_same_user() {
        for id in [0, 1, 42, -7, i64::MAX, i64::MIN] {
            assert!(repr(&id.to_string()) == Repr::Int(id), "{id}");
        }
    }

    #[test]
    fn text_that_would_not_print_the_same_stays_text() {
        for text in ["042", "-0", "+1", "-", " 1", "1.0", "00", "9223372036854775808", "99999999999999999999"] {
            assert!(repr(text) == Repr::Text(text), "{text}");
        }
    }

    #[test]
    fn a_lower_case_uuid_is_sixteen_bytes_and_others_stay_text() {
        let uuid = "0188d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d";
        let Repr::Uuid(bytes) = repr(uuid) else { panic!("not a uuid") };
        assert_eq!(bytes[0], 0x01);
        assert_eq!(bytes[15], 0x6d);
        assert_eq!(uuid_text(&bytes), uuid);
        for text in [uuid.to_uppercase(), uuid.replace('-', "x"), uuid.replacen('0', "-", 1)] {
            assert!(repr(&text) == Repr::Text(&text), "{text}");
        }
    }

    #[test]
    fn a_key_as_tagged_bytes_is_read_back_and_nothing_else_is() {
        let uuid = "0188d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d";
        let mut all = std::collections::BTreeSet::new();
        for text in ["0", "42", "-42", "042", "42a", "9223372036854775807", uuid, &uuid.to_uppercase(), "änn"] {
            let key = UserKey::text(text).unwrap();
            let bytes = key.tagged();
            assert!(UserKey::of_tagged(&bytes).is_some_and(|read| read == key), "{text}");
            assert!(all.insert(bytes), "{text} has another's bytes");
        }
        let text = |text: &str| [b"\x03", text.as_bytes()].concat();
        let untagged: [Vec<u8>; 8] =
            [vec![], vec![1], vec![1; 8], vec![1; 10], vec![2; 16], vec![4, 1], text("42"), text(uuid)];
        for bytes in untagged.into_iter().chain([text(""), text("a\0"), vec![3, 0xff]]) {
            assert!(UserKey::of_tagged(&bytes).is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn keys_that_cannot_be_keys_are_refused() {
        let long = "x".repeat(256);
        for text in ["", long.as_str(), "a\0b"] {
            assert!(matches!(UserKey::text(text), Err(Error::InvalidUserKey(_))));
        }
        assert!(UserKey::text(&long[..255]).is_ok());
        assert_eq!(UserKey::bytes(b"\xff").unwrap_err(), Error::InvalidUserKey("it is not UTF-8"));
    }

    #[test]
    fn a_vid_is_a_positive_64_bit_number() {
        assert_eq!("9223372036854775807".parse::<Vid>().unwrap().get(), i64::MAX);
        for text in ["", "0", "-1", "+1", " 1", "1.0", "abc", "9223372036854775808", "１"] {
            assert!(matches!(text.parse::<Vid>(), Err(Error::InvalidVid(_))), "{text:?}");
        }
        assert!(Vid::try_from(0).is_err() && Vid::try_from(-1).is_err());
    }
}
