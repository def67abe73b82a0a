//! Whether a request comes from HubSpot: the signature v3 of its webhooks, and v1 and v2 where the caller lists them.
//!
//! ```
//! use vidcache::signature::{self, SignedRequest};
//!
//! let request = SignedRequest {
//!     method: "POST",
//!     uri: "https://www.example.com/webhook_uri",
//!     body: b"{'example_field':'example_value'}",
//!     signature_v3: Some("RnbPH7+UMKVkbV32P8bz450N4M56aPmcru1+D3kSDtw="),
//!     timestamp: Some("1700000300000"),
//!     ..SignedRequest::default()
//! };
//! signature::verify(b"yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy", &request, 1_700_000_300_000)?;
//! # Ok::<(), vidcache::Error>(())
//! ```

use std::borrow::Cow;

use base16ct::lower;
use base64ct::{Base64, Encoding};
use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::webhook;
use crate::error::{Error, Result};
use crate::event::Millis;

/// How far the clocks may be apart, either way, in milliseconds.
const TOLERANCE: u64 = 5 * 60 * 1000;

/// Milliseconds: the age of a delivery that HubSpot sends for the last time. A delivery is tried for 24 hours, and the
/// first time within an hour of what it tells.
const RETRIED: Millis = 25 * 60 * 60 * 1000;

/// What the endpoint received. The headers are given as they came; `None` is one that did not.
#[derive(Clone, Copy, Default)]
pub struct SignedRequest<'a> {
    /// The request's method in capitals, `POST`.
    pub method: &'a str,
    /// The whole address that HubSpot called, `https://…`, with its query: the public one, not what a proxy made of it.
    pub uri: &'a str,
    /// The body's bytes as they came, before anything parsed them.
    pub body: &'a [u8],
    /// `X-HubSpot-Signature-v3`. Where there is one it alone counts.
    pub signature_v3: Option<&'a str>,
    /// `X-HubSpot-Request-Timestamp`.
    pub timestamp: Option<&'a str>,
    /// `X-HubSpot-Signature`, of version 1 or 2.
    pub signature: Option<&'a str>,
    /// `X-HubSpot-Signature-Version`: `v1` or `v2`.
    pub version: Option<&'a str>,
    /// Whether a webhook that has no v3 may be signed by v1, which names no time and no address: whoever has seen a
    /// delivery, with whatever headers, can send it again, to another endpoint too, for a day.
    pub take_v1: bool,
    /// Whether by v2, which names no time.
    pub take_v2: bool,
}

/// Checks that the request was signed with the app's client secret within five minutes of `now`, by this host's clock
/// in milliseconds since 1970. Takes the same time whatever the signature is.
///
/// v1 and v2 name no time, so where they are taken the webhook's body has to: the newest `occurredAt` of its events may
/// be 25 hours old, after which HubSpot does not try a delivery again.
///
/// # Errors
/// [`Error::InvalidSignature`], with the reason and nothing out of the request; [`Error::InvalidOption`] for an empty
/// secret, with which anyone could sign.
pub fn verify(secret: &[u8], request: &SignedRequest<'_>, now: Millis) -> Result<()> {
    if secret.is_empty() {
        return Err(Error::InvalidOption { name: "secret", why: "it must not be empty" });
    }
    match (request.signature_v3, request.signature, request.version) {
        (Some(signature), ..) => v3(secret, request, signature, now),
        (None, None, _) => Err(Error::InvalidSignature("there is none")),
        (None, Some(signature), None | Some("v1")) if request.take_v1 => {
            plain(secret, request.body, &[], signature)?;
            recent(request.body, now)
        }
        (None, Some(signature), Some("v2")) if request.take_v2 => {
            plain(secret, request.body, &[request.method.as_bytes(), request.uri.as_bytes()], signature)?;
            recent(request.body, now)
        }
        (None, Some(_), None | Some("v1" | "v2")) => Err(Error::InvalidSignature(
            "there is no v3, and v1 and v2, which can be sent again by whoever has seen them, are not taken unless listed",
        )),
        (None, Some(_), Some(_)) => Err(Error::InvalidSignature("its version is neither v1 nor v2")),
    }
}

/// Whether HubSpot may still be sending this body, by what it says itself.
fn recent(body: &[u8], now: Millis) -> Result<()> {
    let newest = webhook::newest(body).ok_or(Error::InvalidSignature("neither v1, v2 nor the body names a time"))?;
    if now.saturating_sub(newest) > RETRIED {
        return Err(Error::InvalidSignature("what it tells is older than 25 hours: HubSpot does not send it any more"));
    }
    if newest > now && newest.abs_diff(now) > TOLERANCE {
        return Err(Error::InvalidSignature("what it tells is more than 5 minutes ahead"));
    }
    Ok(())
}

/// The base64 of HMAC-SHA-256(secret, method, address, body, timestamp).
fn v3(secret: &[u8], request: &SignedRequest<'_>, signature: &str, now: Millis) -> Result<()> {
    let timestamp = request.timestamp.ok_or(Error::InvalidSignature("there is no timestamp"))?;
    let digits = !timestamp.is_empty() && timestamp.bytes().all(|b| b.is_ascii_digit());
    match timestamp.parse::<Millis>() {
        Ok(at) if digits && now.abs_diff(at) <= TOLERANCE => {}
        Ok(_) if digits => return Err(Error::InvalidSignature("the timestamp is more than 5 minutes away")),
        _ => return Err(Error::InvalidSignature("the timestamp is not a number of milliseconds")),
    }
    let given = Base64::decode_vec(signature).map_err(|_| Error::InvalidSignature("it is not base64"))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(request.method.as_bytes());
    mac.update(decode_uri(request.uri).as_bytes());
    mac.update(request.body);
    mac.update(timestamp.as_bytes());
    mac.verify_slice(&given).map_err(|_| Error::InvalidSignature("it is another one"))
}

/// The hex of SHA-256(secret, before, body): v1 has nothing before the body, v2 the method and the address as it is.
fn plain(secret: &[u8], body: &[u8], before: &[&[u8]], signature: &str) -> Result<()> {
    let malformed = Error::InvalidSignature("it is not the hex of SHA-256");
    let given = lower::decode_vec(signature.as_bytes()).map_err(|_| malformed.clone())?;
    let given = <[u8; 32]>::try_from(given).map_err(|_| malformed)?;
    let mut hash = Sha256::new_with_prefix(secret);
    before.iter().for_each(|part| hash.update(part));
    hash.update(body);
    // Its comparison takes the same time whatever differs.
    match CtOutput::<Sha256>::new(hash.finalize()) == CtOutput::new(given.into()) {
        true => Ok(()),
        false => Err(Error::InvalidSignature("it is another one")),
    }
}

/// The escapes that v3 signs as what they stand for. All others stay: not `%20`, `%25`, `%26`, `%2B`, `%3D`.
const ESCAPES: [(&str, char); 12] = [
    ("3A", ':'),
    ("2F", '/'),
    ("3F", '?'),
    ("40", '@'),
    ("21", '!'),
    ("24", '$'),
    ("27", '\''),
    ("28", '('),
    ("29", ')'),
    ("2A", '*'),
    ("2C", ','),
    ("3B", ';'),
];

pub(crate) fn decode_uri(uri: &str) -> Cow<'_, str> {
    if !uri.contains('%') {
        return Cow::Borrowed(uri);
    }
    let mut parts = uri.split('%');
    let mut decoded = String::with_capacity(uri.len());
    decoded.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.get(..2).unwrap_or_default();
        match ESCAPES.iter().find(|(escape, _)| escape.eq_ignore_ascii_case(digits)) {
            Some((_, plain)) => {
                decoded.push(*plain);
                decoded.push_str(&part[2..]);
            }
            None => {
                decoded.push('%');
                decoded.push_str(part);
            }
        }
    }
    Cow::Owned(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy";
    const NOW: Millis = 1_700_000_300_000;
    /// What the event of the v1 vector says.
    const THEN: Millis = 1_564_113_600_000;

    fn v1() -> SignedRequest<'static> {
        SignedRequest {
            body: br#"[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]"#,
            signature: Some("232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de"),
            version: Some("v1"),
            take_v1: true,
            ..SignedRequest::default()
        }
    }

    fn v2() -> SignedRequest<'static> {
        SignedRequest {
            method: "POST",
            uri: "https://www.example.com/webhook_uri",
            body: br#"{"example_field":"example_value"}"#,
            signature: Some("9569219f8ba981ffa6f6f16aa0f48637d35d728c7e4d93d0d52efaa512af7900"),
            version: Some("v2"),
            take_v2: true,
            ..SignedRequest::default()
        }
    }

    fn v3() -> SignedRequest<'static> {
        SignedRequest {
            method: "POST",
            uri: "https://www.example.com/webhook_uri",
            body: b"{'example_field':'example_value'}",
            signature_v3: Some("RnbPH7+UMKVkbV32P8bz450N4M56aPmcru1+D3kSDtw="),
            timestamp: Some("1700000300000"),
            ..SignedRequest::default()
        }
    }

    fn why(request: &SignedRequest<'_>) -> &'static str {
        why_at(request, if request.signature_v3.is_some() { NOW } else { THEN })
    }

    fn why_at(request: &SignedRequest<'_>, now: Millis) -> &'static str {
        match verify(SECRET, request, now) {
            Err(Error::InvalidSignature(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    /// Of version 1 over a body of these events, at these times.
    fn of(times: &[Millis]) -> (String, String) {
        let events: Vec<_> = times.iter().map(|at| format!(r#"{{"occurredAt":{at},"portalId":1}}"#)).collect();
        let body = format!("[{}]", events.join(","));
        let hash = Sha256::new_with_prefix(SECRET).chain_update(&body).finalize();
        (body, lower::encode_string(&hash))
    }

    #[test]
    fn hubspot_s_own_vectors_are_valid() {
        assert_eq!(verify(SECRET, &v3(), NOW), Ok(()));
        for request in [v1(), SignedRequest { version: None, ..v1() }] {
            assert_eq!(verify(SECRET, &request, THEN), Ok(()));
        }
        let post = [&b"POST"[..], v2().uri.as_bytes()];
        assert_eq!(plain(SECRET, v2().body, &post, v2().signature.unwrap()), Ok(()));
        let get = "eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e";
        assert_eq!(plain(SECRET, b"", &[b"GET", post[1]], get), Ok(()));
    }

    #[test]
    fn without_v3_nothing_is_taken_unless_its_version_is_listed() {
        let unlisted = "there is no v3, and v1 and v2, which can be sent again by whoever has seen them, are not taken unless listed";
        for request in [
            SignedRequest { take_v1: false, ..v1() },
            SignedRequest { take_v1: false, version: None, ..v1() },
            SignedRequest { take_v1: false, take_v2: true, ..v1() },
            SignedRequest { take_v2: false, ..v2() },
            SignedRequest { take_v2: false, take_v1: true, ..v2() },
        ] {
            assert_eq!(why(&request), unlisted);
        }
    }

    #[test]
    fn a_delivery_of_an_older_version_is_taken_as_long_as_hubspot_may_try_it_again() {
        let hour = 60 * 60 * 1000;
        let at = |times: &[Millis], now| {
            let (body, signature) = of(times);
            let request = SignedRequest { body: body.as_bytes(), signature: Some(&signature), ..v1() };
            verify(SECRET, &request, now)
        };
        assert_eq!(at(&[NOW], NOW), Ok(()));
        assert_eq!(at(&[NOW - 400 * hour, NOW - 25 * hour], NOW), Ok(()), "the newest of its events counts");
        assert_eq!(at(&[NOW + 300_000], NOW), Ok(()));
        for (times, now) in [
            (vec![NOW - 25 * hour - 1], NOW),
            (vec![NOW - 720 * hour], NOW),
            (vec![NOW + 300_001], NOW),
            (vec![], NOW),
            (vec![NOW], Millis::MIN),
            (vec![NOW], Millis::MAX),
        ] {
            assert!(matches!(at(&times, now), Err(Error::InvalidSignature(_))), "{times:?} at {now}");
        }
        assert_eq!(why_at(&v2(), NOW), "neither v1, v2 nor the body names a time");
    }

    #[test]
    fn what_is_appended_to_a_body_of_version_1_is_not_taken() {
        // SHA-256 goes on from any digest, so whoever has (body, signature) can sign body, padding and a suffix. The
        // padding begins with a byte that is in no UTF-8.
        let (body, _) = of(&[NOW]);
        let mut long = body.into_bytes();
        long.extend([0x80, 0, 0, 0]);
        long.extend(b"[{\"occurredAt\":1700000300000}]");
        let signature = lower::encode_string(&Sha256::new_with_prefix(SECRET).chain_update(&long).finalize());
        let request = SignedRequest { body: &long, signature: Some(&signature), ..v1() };
        assert_eq!(why_at(&request, NOW), "neither v1, v2 nor the body names a time");
    }

    #[test]
    fn a_request_that_was_changed_in_any_part_is_refused() {
        for request in [
            SignedRequest { body: b"[]", ..v1() },
            SignedRequest { body: b"", ..v2() },
            SignedRequest { method: "PUT", ..v2() },
            SignedRequest { uri: "https://www.example.com/", ..v2() },
            SignedRequest { version: Some("v2"), method: "POST", take_v2: true, ..v1() },
            SignedRequest { version: Some("v1"), take_v1: true, ..v2() },
            SignedRequest { body: b"{}", ..v3() },
            SignedRequest { method: "GET", ..v3() },
            SignedRequest { uri: "http://www.example.com/webhook_uri", ..v3() },
            SignedRequest { timestamp: Some("1700000300001"), ..v3() },
            SignedRequest { signature_v3: Some("RnbPH7+UMKVkbV32P8bz450N4M56aPmcru1+D3kSDt0="), ..v3() },
            SignedRequest { signature_v3: Some(""), ..v3() },
            SignedRequest { signature_v3: Some("RnbPH7+UMKVkbV32P8bz"), ..v3() },
        ] {
            assert_eq!(why(&request), "it is another one");
        }
        assert!(verify(b"another secret", &v1(), THEN).is_err() && verify(b"another secret", &v3(), NOW).is_err());
    }

    #[test]
    fn what_is_no_signature_is_told_apart() {
        let hex = "it is not the hex of SHA-256";
        for (request, expected) in [
            (SignedRequest::default(), "there is none"),
            (SignedRequest { version: Some("v4"), ..v2() }, "its version is neither v1 nor v2"),
            (SignedRequest { signature: Some(""), ..v1() }, hex),
            (SignedRequest { signature: Some("232d"), ..v1() }, hex),
            (SignedRequest { signature: Some("zz"), ..v1() }, hex),
            (SignedRequest { timestamp: None, ..v3() }, "there is no timestamp"),
            (SignedRequest { signature_v3: Some("*"), ..v3() }, "it is not base64"),
            // The stronger one alone counts.
            (SignedRequest { signature_v3: Some("*"), timestamp: v3().timestamp, ..v1() }, "it is not base64"),
        ] {
            assert_eq!(why(&request), expected);
        }
        assert!(matches!(verify(b"", &v1(), NOW), Err(Error::InvalidOption { name: "secret", .. })));
    }

    #[test]
    fn five_minutes_either_way_and_no_more() {
        let at = |now| verify(SECRET, &v3(), now).is_ok();
        assert!(at(NOW - 300_000) && at(NOW + 300_000));
        assert!(!at(NOW - 300_001) && !at(NOW + 300_001) && !at(Millis::MIN) && !at(Millis::MAX));
        for timestamp in ["", "+1700000300000", "-1", " 1700000300000", "1.7e12", "99999999999999999999"] {
            let request = SignedRequest { timestamp: Some(timestamp), ..v3() };
            assert_eq!(why(&request), "the timestamp is not a number of milliseconds", "{timestamp:?}");
        }
    }

    #[test]
    fn only_the_listed_escapes_are_decoded() {
        let all = "a%3A%2F%3F%40%21%24%27%28%29%2A%2C%3B%3b?b";
        assert_eq!(decode_uri(all), "a:/?@!$'()*,;;?b");
        for uri in ["%20%26%3D%25%2B%41%00", "%253A", "%", "%3", "x%2", "%é%", "%%%"] {
            assert_eq!(decode_uri(uri), uri);
        }
        assert_eq!(decode_uri("%%3A%3"), "%:%3");
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
        mac.update(b"POSThttps://x.test/a:b?c%20d[]1700000300000");
        let signature = Base64::encode_string(&mac.finalize().into_bytes());
        let request = SignedRequest {
            method: "POST",
            uri: "https://x.test/a%3Ab?c%20d",
            body: b"[]",
            signature_v3: Some(&signature),
            timestamp: Some("1700000300000"),
            ..SignedRequest::default()
        };
        assert_eq!(verify(SECRET, &request, NOW), Ok(()));
    }
}
