//! What holds for any bytes at all. A panic, or too much time or memory (`fuzz/run` sets both), is a failure too.

use std::cell::RefCell;

use vidcache::signature::{self, SignedRequest};
use vidcache::{Email, Error, UserKey, Vid, parsers};

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

/// What an app calls a user, and the email that it has for them.
pub fn key(data: &[u8]) {
    match UserKey::bytes(data) {
        Ok(user) => {
            assert_eq!(user.to_text().as_bytes(), data, "a key does not come back as it went in");
            assert!(data.len() <= 255 && !data.contains(&0));
            if let Ok(id) = user.to_text().parse::<i64>() {
                let same = UserKey::from(id) == user;
                assert_eq!(
                    same,
                    id.to_string().as_bytes() == data,
                    "an integer and its text are one key, and no other"
                );
            }
            assert!(format!("{user:?}").len() < 16, "a key prints itself");
        }
        Err(error) => tells_nothing(&error),
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<Vid>() {
        Ok(vid) => assert_eq!(vid.to_string(), text.trim_start_matches('0')),
        Err(error) => tells_nothing(&error),
    }
    match Email::parse(text) {
        Ok(email) => {
            assert_eq!(Email::parse(email.as_str()).as_ref(), Ok(&email), "an email in its normal form has another");
            assert!(email.as_str().len() <= Email::MAX_LEN && !email.as_str().chars().any(char::is_control));
            if let Some(folded) = parsers::folded(&email) {
                assert!(folded != email.as_str() && !folded.is_ascii() | !email.as_str().is_ascii());
            }
        }
        Err(error) => tells_nothing(&error),
    }
}

/// A page: the loader's host, a NUL, the nonce, a NUL, the email; its first byte says whether there is an id, and
/// whether HubSpot holds the folded form.
pub fn page(data: &[u8]) {
    let Some((flags, data)) = data.split_first() else { return };
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let mut text = || std::str::from_utf8(parts.next().unwrap_or_default()).unwrap_or_default();
    let (host, nonce, email) = (text(), text(), text());
    let Ok(email) = Email::parse(email) else { return };
    let id = Vid::try_from(i64::from(flags >> 2)).ok();
    let nonce = (flags & 1 == 0).then_some(nonce);
    let (html, data) = match parsers::page(host, id, &email, flags & 2 == 2, nonce) {
        Ok(page) => page,
        Err(error) => return tells_nothing(&error),
    };
    let held = parsers::folded(&email).filter(|_| flags & 2 == 2).unwrap_or(email.as_str());
    let id = id.map(|id| format!("vid:{id}"));

    // As an HTML parser cuts it: two scripts and no third, whatever the parts hold.
    let small = html.to_ascii_lowercase();
    assert_eq!((small.matches("<script").count(), small.matches("</script").count()), (2, 2), "a script of somebody's");
    assert!(!small.contains("<!--") && !small.contains("]]>"), "the script does not end where it ends");
    let tags = html.split("<script").skip(1).map(|script| &script[..script.find('>').expect("a tag ends")]);
    for (tag, own) in tags.zip([" id=\"v-1700000000000\"", " id=\"hs-script-loader\" async defer"]) {
        let rest = tag.strip_prefix(own).expect("the tag is ours");
        let given = rest.split_once(" nonce=\"").map(|(_, rest)| rest.split_once('"').expect("the nonce ends").0);
        let unescaped =
            |text: &str| text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
        assert_eq!(given.map(unescaped).as_deref(), nonce, "another nonce");
    }
    let at = html.find("(window,document,").expect("the data") + "(window,document,".len();
    let inline = &html[at..at + html[at..].find(");</script>").expect("the data ends")];
    assert!(inline.is_ascii() && data.is_ascii(), "a page of another character set would say something else");
    for json in [inline, &data] {
        let said: serde_json::Value = serde_json::from_str(json).expect("the data is JSON");
        assert_eq!(said["email"].as_str(), Some(held), "another email");
        assert_eq!(said.get("id").and_then(|id| id.as_str()), id.as_deref(), "another id");
    }
}

thread_local! {
    static ROWS: RefCell<parsers::Rows> = RefCell::new(parsers::Rows::new().expect("rows in memory"));
}

/// Rows of an import: a line for each, of user, contact, email and time, with a tab between them.
pub fn import(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let row = |line| {
        let mut fields = str::split(line, '\t');
        let user = UserKey::text(fields.next()?).ok()?;
        let vid: Vid = fields.next()?.parse().ok()?;
        let email = fields.next().and_then(|email| Email::parse(email).ok());
        let at = fields.next().and_then(|at| at.parse().ok()).filter(|at| *at >= 0).unwrap_or(0);
        Some((user, vid, email.map(|email| (email, at))))
    };
    let rows: Vec<_> = text.lines().take(6).filter_map(row).collect();
    if rows.is_empty() {
        return;
    }
    // What is wrong with the rows, and all that is known of a user, is asked of one input in sixteen: that takes longer
    // than all the rest.
    let verified = data.iter().fold(0u8, |sum, byte| sum.rotate_left(1) ^ byte) & 15 == 0;
    let imported = ROWS.with_borrow_mut(|known| known.import(&rows, verified));
    let (taken, said, wrong) = imported.expect("an import of rows that are rows");
    assert!(taken <= rows.len() as u64, "more users than rows");
    assert_eq!(wrong, Vec::<String>::new());
    // In the order given: a contact is the first user's who comes to it, and a user keeps their first.
    let mut links: Vec<(UserKey<'_>, Vid)> = Vec::new();
    for &(user, vid, _) in &rows {
        if !links.iter().any(|link| link.0 == user || link.1 == vid) {
            links.push((user, vid));
        }
    }
    for (row, (identity, confirmed, account)) in rows.iter().zip(said) {
        let link = links.iter().find(|link| link.0 == row.0).map(|link| link.1);
        assert_eq!(identity.map(|identity| identity.vid), link, "another contact");
        if confirmed {
            assert!(identity.is_some(), "an email is confirmed of nobody's contact");
        }
        let Some(account) = account else { continue };
        let account: serde_json::Value = serde_json::from_str(&account).expect("an account is JSON");
        assert!(account.is_object());
        // What stands for an email in the file is no email.
        if let Some((email, _)) = row.2.filter(|(email, _)| email.as_str().len() > 12) {
            let other = rows.iter().any(|row| row.0.to_text().contains(email.as_str()));
            assert!(other || !account.to_string().contains(email.as_str()), "an account has an email in it");
        }
    }
}

/// An error is the library's own words: no email, and nothing else of the input's that could be one.
fn tells_nothing(error: &Error) {
    let text = error.to_string().replace("no @", "").replace("its @", "");
    assert!(text.len() < 200 && text.is_ascii() && !text.contains('@'), "an error repeats its input");
}
