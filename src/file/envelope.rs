//! The key of a file's fingerprints, and the envelope in which it lies there: wrapped under a secret of the app's, so
//! that tomorrow's secret can be another one while no fingerprint changes (docs/adr/0002).

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// XChaCha20's: so long that random ones never meet, however often a key is wrapped.
const NONCE: usize = 24;

pub(crate) type Key = Zeroizing<[u8; 32]>;

pub(crate) fn random() -> Result<Key> {
    let mut key = Zeroizing::new([0; 32]);
    fill(&mut key[..])?;
    Ok(key)
}

/// The key of a file that is made under this secret: the same for each, so that a process goes on whose file was
/// replaced by a new one.
pub(crate) fn first(secret: &[u8]) -> Key {
    derive(secret, b"vidcache 1: first fingerprint key")
}

/// The nonce, then the key and its tag. Whoever has another secret, or the envelope of another portal's file, opens
/// nothing.
pub(crate) fn wrap(key: &Key, secret: &[u8], portal: i64) -> Result<Vec<u8>> {
    let mut nonce = [0; NONCE];
    fill(&mut nonce)?;
    let payload = Payload { msg: &key[..], aad: &portal.to_le_bytes() };
    let sealed = cipher(secret).encrypt(&nonce.into(), payload).expect("32 bytes are few enough");
    Ok([&nonce[..], &sealed].concat())
}

/// `None`: it was wrapped under another secret, or is no envelope.
pub(crate) fn unwrap(envelope: &[u8], secret: &[u8], portal: i64) -> Option<Key> {
    let (nonce, sealed) = envelope.split_first_chunk::<NONCE>()?;
    let payload = Payload { msg: sealed, aad: &portal.to_le_bytes() };
    let key = Zeroizing::new(cipher(secret).decrypt(&(*nonce).into(), payload).ok()?);
    Some(Zeroizing::new(key[..].try_into().ok()?))
}

fn cipher(secret: &[u8]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&(*derive(secret, b"vidcache 1: envelope of the fingerprint key")).into())
}

fn derive(secret: &[u8], label: &[u8]) -> Key {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(label);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|e| Error::Storage(format!("no random numbers: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"a secret of the app's";

    #[test]
    fn an_envelope_is_opened_by_its_secret_and_portal_alone() {
        let key = random().unwrap();
        let envelope = wrap(&key, SECRET, 33).unwrap();
        assert_eq!(unwrap(&envelope, SECRET, 33).as_ref(), Some(&key));
        assert_eq!(unwrap(&envelope, b"another of the app's", 33), None);
        assert_eq!(unwrap(&envelope, SECRET, 34), None);
        assert!(!envelope.windows(8).any(|part| key.windows(8).any(|of_key| of_key == part)));
        assert_ne!(envelope, wrap(&key, SECRET, 33).unwrap(), "each has a nonce of its own");
    }

    #[test]
    fn an_envelope_that_was_touched_anywhere_is_none() {
        let envelope = wrap(&random().unwrap(), SECRET, 33).unwrap();
        assert_eq!(envelope.len(), 24 + 32 + 16);
        for at in 0..envelope.len() {
            let mut touched = envelope.clone();
            touched[at] ^= 1;
            assert_eq!(unwrap(&touched, SECRET, 33), None, "byte {at}");
            assert_eq!(unwrap(&envelope[..at], SECRET, 33), None, "cut at {at}");
        }
    }

    /// The file outlives the program: a change here would close every file.
    #[test]
    fn an_envelope_is_opened_by_every_version() {
        // By another implementation, of the secret, portal 33, a nonce of 0, 1, 2 … and a key of sevens.
        let envelope = concat!(
            "000102030405060708090a0b0c0d0e0f10111213141516178a5b4946ea30a4748e4544872f1f20cc",
            "5dd16a3e03bca48a1ec09af11850a054e02b66cbb062dadf6212b560ca83beec"
        );
        let envelope = base16ct::lower::decode_vec(envelope.as_bytes()).unwrap();
        assert_eq!(unwrap(&envelope, SECRET, 33), Some(Zeroizing::new([7; 32])));
    }
}
