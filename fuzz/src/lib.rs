//! What holds for any bytes at all. A panic, or too much time or memory (`fuzz/run` sets both), is a failure too.

use vidcache::signature::{self, SignedRequest};
use vidcache::{Error, parsers};

const PORTAL: i64 = 33;

/// An answer of HubSpot's: what is read of it fits into its bytes.
pub fn answer(body: &[u8]) {
    match parsers::answer(body) {
        // `{"id":1}`, `[1,`, `{"type":"EMAIL",…`: nothing is told in fewer bytes.
        Ok(told) => {
            assert!(told.contacts * 8 <= body.len(), "more contacts than the body could name");
            assert!(told.values * 2 <= body.len() + told.contacts, "more ids and emails than the body could name");
        }
        Err(error) => tells_nothing(&error),
    }
}

/// A webhook's batch: each event is accounted for, and none is made up.
pub fn webhook(body: &[u8]) {
    match parsers::webhook(body, PORTAL) {
        Ok(batch) => {
            let events = batch.notices + batch.ignored;
            assert!(
                events <= body.iter().filter(|byte| **byte == b'{').count(),
                "more events than the body could hold"
            );
            assert!(batch.notices * 60 <= body.len(), "a notice out of fewer bytes than its fields' names take");
            assert!(batch.values * 2 <= body.len(), "more ids and emails than the body could name");
        }
        Err(error) => tells_nothing(&error),
    }
}

/// A signed request: the address, a NUL, the signature, a NUL, the body.
pub fn signature(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let mut text = || std::str::from_utf8(parts.next().unwrap_or_default()).unwrap_or_default();
    let (uri, given) = (text(), text());
    let body = parts.next().unwrap_or_default();

    let decoded = parsers::decode_uri(uri);
    let escapes = uri.matches('%').count();
    assert!(decoded.len() <= uri.len() && uri.len() - decoded.len() <= 2 * escapes, "more decoded than was escaped");
    assert_eq!(parsers::decode_uri(&decoded), decoded, "decoding made an escape");
    for kept in ["%20", "%26", "%3D", "%25", "%2B"] {
        assert_eq!(decoded.matches(kept).count(), uri.matches(kept).count(), "{kept} did not stay");
    }

    let request = SignedRequest { method: "POST", uri, body, take_v1: true, take_v2: true, ..SignedRequest::default() };
    for request in [
        SignedRequest { signature_v3: Some(given), timestamp: Some("1700000300000"), ..request },
        SignedRequest { signature_v3: Some(""), timestamp: Some(given), ..request },
        SignedRequest { signature: Some(given), version: Some("v1"), ..request },
        SignedRequest { signature: Some(given), version: Some("v2"), ..request },
        SignedRequest { signature: Some(given), version: Some(given), ..request },
    ] {
        // Whoever does not know the secret signs nothing.
        match signature::verify(b"a secret that no input can hold", &request, 1_700_000_300_000) {
            Ok(()) => panic!("a forged signature was taken"),
            Err(error) => tells_nothing(&error),
        }
    }
}

/// An error is the library's own words: no email, and nothing else of the input's that could be one.
fn tells_nothing(error: &Error) {
    let text = error.to_string();
    assert!(text.len() < 200 && text.is_ascii() && !text.contains('@'), "an error repeats its input");
}
