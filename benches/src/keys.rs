//! The users of every measurement: the same keys for every variant, and for the other languages, which read them from a
//! file.

use std::fmt::Write as _;
use std::path::Path;

use vidcache::{Email, Vid};

/// How many users are looked up again and again.
pub(crate) const HOT: usize = 100_000;
pub(crate) const PORTAL: i64 = 62515;
pub(crate) const SECRET: &[u8] = b"thirty-two bytes kept out of it.";

/// HubSpot's ids are beyond 32 bits.
pub(crate) fn vid(user: i64) -> Vid {
    Vid::try_from(10_000_000_000 + user).expect("positive")
}

pub(crate) fn email_text(user: i64) -> String {
    format!("user{user}@shop.test")
}

pub(crate) fn email(user: i64) -> Email {
    Email::parse(&email_text(user)).expect("an email")
}

/// A random UUID of version 4, the same for the same number.
pub(crate) fn uuid(user: i64) -> String {
    let mut random = Random(user as u64);
    let (high, low) = (random.next(), random.next());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

/// Splitmix64: the same numbers in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

/// `count` of the users 1 to `of`, in no order.
pub(crate) fn some_of(of: usize, count: usize) -> Vec<i64> {
    let mut users: Vec<i64> = (1..=of as i64).collect();
    Random(7).shuffle(&mut users);
    users.truncate(count);
    users
}

/// Tells the other languages which users to look up, and what must come out.
pub(crate) fn write_for_others(path: &Path, users: &[i64]) -> std::io::Result<()> {
    let mut text = String::new();
    for &user in users {
        writeln!(text, "{user} {} {} {}", uuid(user), vid(user), email_text(user)).expect("a String takes all");
    }
    std::fs::write(path, text)
}
