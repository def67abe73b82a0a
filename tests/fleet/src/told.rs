//! What HubSpot tells of in the tests, and what pages then say.

use vidcache::Reason;

use crate::{Host, PORTAL, Page, SECRET, Server};

/// The email of user 1.
pub const ANN: &str = "ann@shop.test";

/// HubSpot's answer: which email a contact holds, as of some second.
pub fn answer(vid: i64, email: &str, second: i64) -> String {
    format!(r#"{{"id":"{vid}","properties":{{"email":"{email}"}},"updatedAt":"2026-03-01T10:00:{second:02}.000Z"}}"#)
}

/// HubSpot's webhook, as of some second of the same minute.
pub fn event(fields: &str, second: i64) -> String {
    format!(r#"{{"portalId":{PORTAL},"occurredAt":{},"eventId":1,{fields}}}"#, 1_772_359_200_000 + second * 1000)
}

/// A page that names the email.
pub fn named(email: &str, id: i64) -> Page {
    (Some(email.into()), Some(id), Reason::Agreed, None)
}

/// A page that gives the id alone.
pub fn id_alone(id: i64, why: Reason) -> Page {
    (None, Some(id), why, None)
}

/// Two hosts, of which one has recorded that user 1 is contact 901 and HubSpot holds Ann's email for it. The first of
/// them, which serves pages, was not set up.
///
/// # Panics
/// If the server refuses, or the library does.
pub fn hosts_one_set_up(server: &Server) -> (String, Host, Host) {
    let (name, mut worker) = Host::first(server);
    let web = Host::of(server, &name, PORTAL, SECRET);
    worker.record(1, &answer(901, ANN, 0), None).expect("recorded");
    (name, web, worker)
}

/// [`hosts_one_set_up`], both set up.
///
/// # Panics
/// As there.
pub fn hosts(server: &Server) -> (String, Host, Host) {
    let (name, mut web, worker) = hosts_one_set_up(server);
    web.set_up();
    (name, web, worker)
}
