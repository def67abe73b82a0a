//! Emails as the app gives them, and the fingerprints that stand for them in the file.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use siphasher::sip128::SipHasher24;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::identity::{Repr, UserKey};
use crate::limits::MAX_EMAIL;

/// An email, normalised for comparison: outer white space and zero-width characters removed,
/// ASCII letters in lower case. Dots and `+tags` are kept: HubSpot keeps them.
///
/// This is the form that is fingerprinted and the form a page names, so what a page says is what
/// was compared. It lives on the stack: making one allocates nothing.
///
/// What HubSpot makes of zero-width characters inside an email, and of upper-case letters that are not ASCII, is not
/// documented. So an email that has such has a second form, without them and in lower case (`folded`): where
/// that is what HubSpot holds, that is what a page names.
#[derive(Clone, Copy)]
pub struct Email {
    /// The normalised text, then the folded one.
    bytes: [u8; MAX_EMAIL],
    len: u8,
    /// 0: there is none, or no room for it.
    folded_len: u8,
}

fn is_zero_width(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200D}' | '\u{FEFF}')
}

impl Email {
    /// Normalises and checks an email.
    ///
    /// # Errors
    /// [`Error::InvalidEmail`] when it has no `@` with something on both sides, is longer than 254
    /// bytes, or holds a control character.
    #[inline]
    pub fn parse(text: &str) -> Result<Self> {
        if !is_normal(text.as_bytes()) {
            return Self::parse_any(text);
        }
        let mut bytes = [0; MAX_EMAIL];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { bytes, len: text.len() as u8, folded_len: 0 })
    }

    /// [`Email::parse`] of whatever it is, at four times the price.
    #[inline(never)]
    fn parse_any(text: &str) -> Result<Self> {
        let text = text.trim_matches(|c: char| c.is_whitespace() || is_zero_width(c));
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
        let folded_len = if text.is_ascii() { 0 } else { fold(&mut bytes, text) };
        Ok(Self { bytes, len: text.len() as u8, folded_len })
    }

    /// The longest email there may be, in bytes.
    pub const MAX_LEN: usize = MAX_EMAIL;

    /// The text without zero-width characters and all in lower case, where that is not the normalised text, which for
    /// ASCII it is. `None` also where there is no room for it, of long emails that are not ASCII.
    #[inline]
    pub(crate) fn folded(&self) -> Option<&str> {
        if self.folded_len == 0 {
            return None;
        }
        let at = usize::from(self.len);
        std::str::from_utf8(&self.bytes[at..at + usize::from(self.folded_len)]).ok()
    }

    /// The normalised text.
    #[inline]
    pub fn as_str(&self) -> &str {
        // SAFETY: these bytes were copied from a whole `str` by `parse`, which nobody changes; lower-casing ASCII keeps
        // UTF-8 valid.
        unsafe { std::str::from_utf8_unchecked(&self.bytes[..usize::from(self.len)]) }
    }
}

/// Whether the text is its own normalised form, and has no other: so nearly every email is. It says no to some that
/// are, such as those with a blank inside.
#[inline]
fn is_normal(text: &[u8]) -> bool {
    const OTHER: u8 = 1;
    const AT: u8 = 2;
    const KINDS: [u8; 256] = {
        let mut kinds = [OTHER; 256];
        let mut byte = b'!';
        while byte <= b'~' {
            if !byte.is_ascii_uppercase() {
                kinds[byte as usize] = 0;
            }
            byte += 1;
        }
        kinds[b'@' as usize] = AT;
        kinds
    };
    let [first, .., last] = *text else { return false };
    if text.len() > MAX_EMAIL || first == b'@' || last == b'@' {
        return false;
    }
    // Without a branch for each byte. What is odd shows at the end.
    text.iter().fold(0, |kinds, &byte| kinds | KINDS[usize::from(byte)]) == AT
}

/// Writes the folded form after the text, and says how long it is; 0 where it is the same or there is no room.
fn fold(bytes: &mut [u8; MAX_EMAIL], text: &str) -> u8 {
    let (normal, rest) = bytes.split_at_mut(text.len());
    let mut len = 0;
    for c in text.chars().filter(|c| !is_zero_width(*c)).flat_map(char::to_lowercase) {
        match rest.get_mut(len..len + c.len_utf8()) {
            Some(place) => len += c.encode_utf8(place).len(),
            None => return 0,
        }
    }
    if rest[..len] == *normal { 0 } else { len as u8 }
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

    pub(crate) fn fingerprint(&self, email: &str) -> Fingerprint {
        Fingerprint(self.hasher.hash(email.as_bytes()).as_bytes())
    }

    /// What stands for a user in a file that may not name them. No email begins with a zero.
    pub(crate) fn mark(&self, user: UserKey<'_>) -> Fingerprint {
        let (kind, key) = match *user.repr() {
            Repr::Int(id) => (1, id.to_be_bytes().to_vec()),
            Repr::Uuid(bytes) => (2, bytes.to_vec()),
            Repr::Text(text) => (3, text.into()),
        };
        Fingerprint(self.hasher.hash(&[&[0, kind], &key[..]].concat()).as_bytes())
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
        let plain = key(1).fingerprint("ann@shop.test");
        for text in ["Ann@Shop.TEST", "  ann@shop.test\n", "\u{FEFF}ann@shop.test\u{200B}"] {
            let email = Email::parse(text).unwrap();
            assert_eq!(email.as_str(), "ann@shop.test");
            assert_eq!(key(1).fingerprint(email.as_str()), plain);
        }
        for text in ["a.nn@shop.test", "ann+x@shop.test", "änn@shop.test"] {
            assert_ne!(key(1).fingerprint(Email::parse(text).unwrap().as_str()), plain, "{text}");
        }
    }

    #[test]
    fn what_hubspot_may_fold_has_a_second_form() {
        for (text, normal, folded) in [
            ("Ann@Shop.TEST", "ann@shop.test", None),
            ("änn@shop.test", "änn@shop.test", None),
            ("ÄNN@Shop.test", "Änn@shop.test", Some("änn@shop.test")),
            ("a\u{200B}nn@shop.test", "a\u{200B}nn@shop.test", Some("ann@shop.test")),
            ("ÄN\u{FEFF}N@\u{200D}shop.test", "Än\u{FEFF}n@\u{200D}shop.test", Some("änn@shop.test")),
        ] {
            let email = Email::parse(text).unwrap();
            assert_eq!((email.as_str(), email.folded()), (normal, folded));
        }
        // Twice the text does not fit; once it does.
        let long = Email::parse(&format!("Ä{}@shop.test", "x".repeat(130))).unwrap();
        assert_eq!((long.as_str().len(), long.folded()), (142, None));
        let short = Email::parse(&format!("Ä{}@shop.test", "x".repeat(115))).unwrap();
        assert_eq!(short.folded().map(str::len), Some(127));
    }

    #[test]
    fn another_key_gives_other_fingerprints() {
        let email = Email::parse("ann@shop.test").unwrap();
        assert_ne!(key(1).fingerprint(email.as_str()), key(2).fingerprint(email.as_str()));
        assert_ne!(key(1).check(), key(2).check());
    }

    /// The file outlives the program: a change here would make every stored fingerprint useless.
    #[test]
    fn a_fingerprint_is_the_same_in_every_version_and_on_every_machine() {
        let email = Email::parse("ann@shop.test").unwrap();
        let secret = b"0123456789abcdef0123456789abcdef";
        let key = FingerprintKey::of(secret);
        let hex: String = key.fingerprint(email.as_str()).0.iter().map(|b| format!("{b:02x}")).collect();
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

    /// Whether the quick way and the other say the same of the text, and say it the quick way.
    fn is_the_same_both_ways(text: &str) -> bool {
        let forms = |email: &Email| (email.bytes, email.len, email.folded_len);
        let [quick, slow] = [Email::parse(text), Email::parse_any(text)];
        assert_eq!(quick.as_ref().map(forms), slow.as_ref().map(forms), "{text:?}");
        is_normal(text.as_bytes())
    }

    #[test]
    fn an_email_that_is_normal_already_is_read_as_any_other_is() {
        let mut normal = 0;
        // Every text of up to five of what the two ways tell apart.
        let alphabet = ['a', 'Z', '@', '.', '~', ' ', '\n', '\u{7F}', '\u{E4}', '\u{C4}', '\u{200B}'];
        let mut texts = vec![String::new()];
        for _ in 0..5 {
            texts = texts.iter().flat_map(|text| alphabet.map(|c| format!("{text}{c}"))).collect();
            normal += texts.iter().filter(|text| is_the_same_both_ways(text)).count();
        }
        // And every single character of the Basic Multilingual Plane, in the middle and at either end.
        for c in (0..=0xFFFF).filter_map(char::from_u32) {
            for text in [format!("a{c}b@x.test"), format!("{c}a@x.test"), format!("a@x.test{c}")] {
                normal += usize::from(is_the_same_both_ways(&text));
            }
        }
        for len in [250, 253, 254, 255, 256, 300] {
            is_the_same_both_ways(&format!("{}@shop.test", "x".repeat(len - 10)));
        }
        assert!(normal > 500, "the quick way was not taken: {normal}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_the_same_both_ways(text in "\\PC{0,40}", email in "[ -~]{0,20}@?[a-zA-Z0-9.@-]{0,250}") {
            is_the_same_both_ways(&text);
            is_the_same_both_ways(&email);
        }
    }

    #[test]
    fn neither_an_email_nor_a_fingerprint_prints_itself() {
        let email = Email::parse("ann@shop.test").unwrap();
        let shown = format!("{email:?} {:?}", key(1).fingerprint(email.as_str()));
        assert_eq!(shown, "Email(..) Fingerprint(..)");
    }
}
