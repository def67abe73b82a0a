//! Emails as the app gives them, and the fingerprints that stand for them in the file.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use siphasher::sip128::SipHasher24;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::limits::MAX_EMAIL;

/// An email, normalised for comparison: outer white space and zero-width characters removed,
/// ASCII letters in lower case. Dots and `+tags` are kept: HubSpot keeps them.
///
/// This is the form that is fingerprinted and the form a page names, so what a page says is what
/// was compared. It lives on the stack: making one allocates nothing.
#[derive(Clone, Copy)]
pub struct Email {
    bytes: [u8; MAX_EMAIL],
    len: u8,
}

impl Email {
    /// Normalises and checks an email.
    ///
    /// # Errors
    /// [`Error::InvalidEmail`] when it has no `@` with something on both sides, is longer than 254
    /// bytes, or holds a control character.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{200B}'..='\u{200D}' | '\u{FEFF}'));
        let control = match text.is_ascii() {
            true => text.bytes().any(|b| b.is_ascii_control()),
            false => text.chars().any(char::is_control),
        };
        if control {
            return Err(Error::InvalidEmail("it holds a control character"));
        }
        if text.len() > MAX_EMAIL {
            return Err(Error::InvalidEmail("it is longer than 254 bytes"));
        }
        match text.rfind('@') {
            None => return Err(Error::InvalidEmail("it has no @")),
            Some(at) if at == 0 || at + 1 == text.len() => {
                return Err(Error::InvalidEmail("it has nothing before or after its @"));
            }
            Some(_) => {}
        }
        let mut bytes = [0; MAX_EMAIL];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        bytes[..text.len()].make_ascii_lowercase();
        Ok(Self { bytes, len: text.len() as u8 })
    }

    /// The longest email there may be, in bytes.
    pub const MAX_LEN: usize = MAX_EMAIL;

    /// The normalised text.
    #[inline]
    pub fn as_str(&self) -> &str {
        // SAFETY: these bytes were copied from a whole `str` by `parse`, which nobody changes; lower-casing ASCII keeps
        // UTF-8 valid.
        unsafe { std::str::from_utf8_unchecked(&self.bytes[..usize::from(self.len)]) }
    }
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Email {}

/// An email never prints itself.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)")
    }
}

/// A keyed 128-bit hash of a normalised email: SipHash-2-4-128.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub(crate) [u8; 16]);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(..)")
    }
}

/// The key of one file's fingerprints.
///
/// Without it a fingerprint cannot be turned back by trying likely emails, which is why the
/// file is keyed at all: emails are easy to guess (docs/adr/0002).
#[derive(Clone)]
pub(crate) struct FingerprintKey {
    hasher: SipHasher24,
    check: [u8; 8],
}

impl FingerprintKey {
    /// Of the file's 32 random bytes.
    pub(crate) fn of(bytes: &[u8; 32]) -> Self {
        let derive = |label: &[u8]| -> Zeroizing<[u8; 32]> {
            let mut mac = Hmac::<Sha256>::new_from_slice(bytes).expect("HMAC takes a key of any length");
            mac.update(label);
            Zeroizing::new(mac.finalize().into_bytes().into())
        };
        let key = derive(b"vidcache 1: email fingerprint");
        let check = derive(b"vidcache 1: key check");
        Self {
            hasher: SipHasher24::new_with_key(key[..16].try_into().expect("16 bytes of 32")),
            check: check[..8].try_into().expect("8 bytes of 32"),
        }
    }

    pub(crate) fn fingerprint(&self, email: &Email) -> Fingerprint {
        Fingerprint(self.hasher.hash(&email.bytes[..usize::from(email.len)]).as_bytes())
    }

    /// Kept in the file to tell, after a fork, that the file is the one whose key this is.
    pub(crate) fn check(&self) -> [u8; 8] {
        self.check
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> FingerprintKey {
        FingerprintKey::of(&[byte; 32])
    }

    #[test]
    fn spelling_that_hubspot_does_not_keep_is_one_email() {
        let plain = key(1).fingerprint(&Email::parse("ann@shop.test").unwrap());
        for text in ["Ann@Shop.TEST", "  ann@shop.test\n", "\u{FEFF}ann@shop.test\u{200B}"] {
            let email = Email::parse(text).unwrap();
            assert_eq!(email.as_str(), "ann@shop.test");
            assert_eq!(key(1).fingerprint(&email), plain);
        }
        for text in ["a.nn@shop.test", "ann+x@shop.test", "änn@shop.test"] {
            assert_ne!(key(1).fingerprint(&Email::parse(text).unwrap()), plain, "{text}");
        }
    }

    #[test]
    fn another_key_gives_other_fingerprints() {
        let email = Email::parse("ann@shop.test").unwrap();
        assert_ne!(key(1).fingerprint(&email), key(2).fingerprint(&email));
        assert_ne!(key(1).check(), key(2).check());
    }

    /// The file outlives the program: a change here would make every stored fingerprint useless.
    #[test]
    fn a_fingerprint_is_the_same_in_every_version_and_on_every_machine() {
        let email = Email::parse("ann@shop.test").unwrap();
        let secret = b"0123456789abcdef0123456789abcdef";
        let key = FingerprintKey::of(secret);
        let hex: String = key.fingerprint(&email).0.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "5a0eb39251f1206f1341f61c4877263a");
    }

    #[test]
    fn what_cannot_be_an_email_is_refused_without_repeating_it() {
        let long = format!("{}@shop.test", "x".repeat(245));
        for text in
            ["", "ann", "@shop.test", "ann@", "an\u{0}n@shop.test", "an\nn@shop.test", "an\u{85}n@x.test", &long]
        {
            let error = Email::parse(text).unwrap_err();
            assert!(matches!(error, Error::InvalidEmail(_)), "{text:?}");
            assert!(text.is_empty() || !error.to_string().contains(text));
        }
        assert!(Email::parse(&format!("{}@shop.test", "x".repeat(244))).is_ok());
    }

    #[test]
    fn neither_an_email_nor_a_fingerprint_prints_itself() {
        let email = Email::parse("ann@shop.test").unwrap();
        let shown = format!("{email:?} {:?}", key(1).fingerprint(&email));
        assert_eq!(shown, "Email(..) Fingerprint(..)");
    }
}
