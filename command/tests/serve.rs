//! `serve`: webhooks that are signed are durable once they are answered; others change nothing.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64ct::{Base64, Encoding};
use common::{PORTAL, Place};
use hmac::{Hmac, KeyInit, Mac};
use vidcache::UserKey;

const URL: &str = "https://hooks.shop.test/hubspot";
const CLIENT_SECRET: &str = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy";

struct Server {
    child: Child,
    address: String,
    page: Option<String>,
}

impl Server {
    fn start(place: &Place) -> Self {
        Self::start_with(place, &[])
    }

    fn start_with(place: &Place, more: &[&str]) -> Self {
        let mut run = place.run(&[&["serve", "--url", URL, "--listen", "127.0.0.1:0", "--json"], more].concat());
        run.command.env("HUBSPOT_CLIENT_SECRET", CLIENT_SECRET).stdout(Stdio::piped());
        let mut child = run.command.spawn().expect("the command runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let said: serde_json::Value = serde_json::from_str(&line).expect("an object");
        let address = said["listening"].as_str().expect("an address").to_owned();
        Self { child, address, page: said["page"].as_str().map(str::to_owned) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time");
        stream
    }

    fn signal(&self, signal: libc::c_int) {
        // SAFETY: the child is this test's own and was not waited for, so the number is still its.
        assert_eq!(unsafe { libc::kill(self.child.id().cast_signed(), signal) }, 0);
    }

    /// A request on a connection of its own: the status and the text.
    fn ask(&self, request: &str) -> (u16, String) {
        let mut stream = self.connect();
        // It may answer before it has read all.
        let _ = stream.write_all(request.as_bytes());
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        (status(&text), text.split_once("\r\n\r\n").map_or(String::new(), |(_, text)| text.to_owned()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

/// A request of HubSpot's.
fn signed(body: &str, query: &str) -> String {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_millis();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(CLIENT_SECRET.as_bytes()).expect("a key");
    mac.update(format!("POST{URL}{query}{body}{at}").as_bytes());
    let signature = Base64::encode_string(&mac.finalize().into_bytes());
    format!(
        "POST /hubspot{query} HTTP/1.1\r\nHost: hooks.shop.test\r\nContent-Type: application/json\r\n\
         X-HubSpot-Signature-v3: {signature}\r\nX-HubSpot-Request-Timestamp: {at}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn changed(vid: i64, email: &str) -> String {
    format!(
        r#"[{{"eventId":1,"subscriptionType":"contact.propertyChange","portalId":{PORTAL},"objectId":{vid},"propertyName":"email","propertyValue":"{email}","occurredAt":1772359200000,"attemptNumber":0}}]"#
    )
}

fn linked(place: &Place, users: i64) {
    let cache = place.cache();
    let rows = (1..=users).map(|user| {
        Ok(vidcache::Imported { user: UserKey::from(user), vid: (10_000 + user).try_into()?, email: None })
    });
    cache.import(rows).expect("rows");
}

#[test]
fn what_hubspot_signed_is_taken_in_and_nothing_else() {
    let place = Place::empty();
    linked(&place, 3);
    let server = Server::start(&place);
    let close = |request: String| request.replace("Host:", "Connection: close\r\nHost:");
    let good = signed(&changed(10_001, "ann@shop.test"), "");

    // Of another body, and of none that is signed.
    let other = good.replace("10001", "10002");
    let (status, text) = server.ask(&close(other));
    assert!(status == 401 && text.contains(URL), "{text}");
    let (status, _) = server.ask(&close(good.replace("X-HubSpot-Signature-v3", "X-Other")));
    assert_eq!(status, 401);
    assert_eq!(place.reason(1, "ann@shop.test"), "email_unconfirmed");

    assert_eq!(server.ask(&close(good.clone())).0, 204);
    assert_eq!(server.ask(&close(good)).0, 204);
    assert_eq!(server.ask(&close(signed(&changed(10_002, "ben@shop.test"), "?portal=1"))).0, 204);
    assert_eq!((place.reason(1, "ann@shop.test"), place.reason(2, "ben@shop.test")), ("agreed", "agreed"));

    let (status, text) = server.ask(&close(signed("{\"no\":\"list\"}", "")));
    assert!(status == 400 && !text.contains("\"no\""), "{text}");
    let large = format!("[{}]", " ".repeat(1 << 20));
    assert_eq!(server.ask(&signed(&large, "")).0, 413);
    assert_eq!(server.ask("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").0, 411);
    assert_eq!(server.ask("GET /hubspot HTTP/1.1\r\nConnection: close\r\n\r\n").0, 405);
    assert_eq!(server.ask("nonsense\r\n\r\n").0, 400);
    assert_eq!(server.ask(&format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(20_000))).0, 431);
    assert_eq!(server.ask("GET /up HTTP/1.1\r\nConnection: close\r\n\r\n"), (200, "ok\n".into()));

    let (status, text) = server.ask("GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!(status, 200);
    for line in [
        "vidcache_http_answers_total{status=\"204\"} 3",
        "vidcache_http_answers_total{status=\"401\"} 2",
        "vidcache_webhook_events_total{result=\"applied\"} 2",
        "vidcache_webhook_events_total{result=\"repeated\"} 1",
        "vidcache_webhooks_waiting 0",
        "vidcache_unconfirmed_users 1",
    ] {
        assert!(text.lines().any(|said| said == line), "{line}: {text}");
    }
    assert!(!text.contains('@'));
    // Those that the documents name, and no others.
    let operations = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
    let operations = std::fs::read_to_string(operations).expect("the documents");
    let mut documented: Vec<_> = operations
        .lines()
        .filter(|row| row.starts_with("| `vidcache.") && row.split('|').nth(3).is_some_and(|of| of.contains("command")))
        .map(|row| row.split('`').nth(3).expect("a name of Prometheus'"))
        .collect();
    let told = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let mut told: Vec<_> = told.collect();
    told.sort_unstable();
    documented.sort_unstable();
    assert_eq!(told, documented);
}

/// What the page answers: the status, the headers and the text.
fn look(page: &str, request: &str, host: &str, more: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(page).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time");
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let length = if head.starts_with("POST") { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
    let request = format!("{head} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{length}{more}\r\n{body}");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("headers");
    (status(&text), head.to_lowercase(), body.to_owned())
}

#[test]
fn the_page_shows_what_the_lists_say_to_whoever_calls_it_by_its_address_and_changes_nothing() {
    let place = Place::empty();
    linked(&place, 3);
    let hostile = "<script>alert(1)</script>";
    let cache = place.cache();
    cache.begin_email_change(UserKey::text(hostile).unwrap()).unwrap();
    let answer = r#"{"status":"error","category":"CONFLICT","message":"Contact already exists. Existing ID: 977"}"#;
    assert!(cache.record(UserKey::from(2), answer.as_bytes(), None).is_err());
    let server = Server::start_with(&place, &["--page", "127.0.0.1:0"]);
    let page = server.page.clone().expect("an address");
    let get = |address: &str| look(&page, &format!("GET {address}"), &page, "");

    for (address, shows) in [
        ("/", "two contacts want one email"),
        ("/changes", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("/conflicts", "<a href=\"/contact?id=977\">977</a>"),
        ("/unconfirmed", "<a href=\"/user?key=1\">1</a>"),
        ("/user?key=2", "gives the id vid:10002"),
        ("/user?key=%3Cscript%3Ealert(1)%3C%2Fscript%3E", "an email change began"),
        ("/contact?id=10003", "<a href=\"/user?key=3\">3</a>"),
    ] {
        let (status, head, text) = get(address);
        assert!(status == 200 && text.contains(shows), "{address}: {text}");
        assert!(head.contains("default-src 'none'") && head.contains("x-frame-options: deny"), "{head}");
        assert!(!text.contains("<script") && !text.contains("style=") && !text.contains('@'), "{text}");
        let format = if address.contains('?') { "&format=json" } else { "?format=json" };
        let (_, head, text) = get(&format!("{address}{format}"));
        let data: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert!(data.is_object() && head.contains("application/json") && !text.contains("fingerprint"), "{text}");
    }
    assert!(get("/style.css").2.contains("prefers-color-scheme"));
    for (address, expected) in [
        ("/user", 400),
        ("/user?key=%FF", 400),
        ("/user?key=ann%40shop.test", 400),
        ("/contact?id=x", 400),
        ("/x", 404),
    ] {
        let (status, _, text) = get(address);
        assert_eq!(status, expected, "{address}: {text}");
        assert!(!text.contains("shop.test"), "{text}");
    }
    let (status, head, _) = look(&page, "POST /search\n\nwhat=vid%3A10003", &page, "");
    assert!(status == 303 && head.contains("location: /contact?id=10003"), "{head}");
    let (status, head, _) = look(&page, "POST /search\n\nwhat=a%0D%0ASet-Cookie:+b=c", &page, "");
    assert!(status == 400 && !head.contains("set-cookie"), "{head}");
    assert_eq!(look(&page, "POST /user/forget\n\nkey=1", &page, "").0, 405);

    // By a name that somebody else has let lead here; and the webhooks' address has no page.
    for host in ["evil.test", "evil.test:80", "127.0.0.1", ""] {
        assert_eq!(look(&page, "GET /", host, "").0, 403, "{host}");
    }
    assert_eq!(look(&server.address, "GET /", &server.address, "").0, 405);
    for address in ["0.0.0.0:0", "192.0.2.1:80", "nowhere"] {
        place.run(&["serve", "--url", URL, "--page", address]).ends(2);
    }
}

#[test]
fn several_requests_of_one_connection_are_answered_in_their_order() {
    let place = Place::empty();
    linked(&place, 50);
    let server = Server::start(&place);
    let mut stream = server.connect();
    // All at once, as a proxy with connections of its own may.
    let all: String = (1..=50).map(|user| signed(&changed(10_000 + user, "ann@shop.test"), "")).collect();
    stream.write_all(all.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text.matches("HTTP/1.1 204 No Content\r\n").count(), 50, "{text}");
    assert_eq!(place.reason(50, "ann@shop.test"), "agreed");
}

#[test]
fn what_was_answered_is_there_after_a_kill() {
    const USERS: i64 = 400;
    let place = Place::empty();
    linked(&place, USERS);
    let server = Server::start(&place);
    let (answered, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let (mut stream, answered, over) = (server.connect(), answered.clone(), over.clone());
            std::thread::spawn(move || {
                for user in (1..=USERS).filter(|user| user % 4 == client) {
                    let request = signed(&changed(10_000 + user, &format!("u{user}@shop.test")), "");
                    if over.load(Ordering::Relaxed) || stream.write_all(request.as_bytes()).is_err() {
                        return;
                    }
                    let mut answer = [0; 512];
                    match stream.read(&mut answer) {
                        Ok(read) if read > 12 && &answer[9..12] == b"204" => answered.lock().unwrap().push(user),
                        _ => return,
                    }
                }
            })
        })
        .collect();
    while answered.lock().unwrap().len() < 60 && !clients.iter().all(std::thread::JoinHandle::is_finished) {
        std::thread::sleep(Duration::from_millis(1));
    }
    server.signal(libc::SIGKILL);
    over.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    drop(server);
    let answered = answered.lock().unwrap();
    assert!(answered.len() >= 60, "{}", answered.len());
    for user in answered.iter() {
        assert_eq!(place.reason(*user, &format!("u{user}@shop.test")), "agreed", "user {user}");
    }
    assert_eq!(place.cache().verify().unwrap(), Vec::<String>::new());
}

#[test]
fn whoever_is_at_work_when_it_stops_is_answered() {
    let place = Place::empty();
    linked(&place, 1);
    let mut server = Server::start(&place);
    let (mut stream, idle) = (server.connect(), server.connect());
    let request = signed(&changed(10_001, "ann@shop.test"), "");
    let (first, rest) = request.split_at(request.len() - 20);
    stream.write_all(first.as_bytes()).unwrap();
    // Both connections are taken before it stops.
    while !server.ask("GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n").1.contains("vidcache_connections 3") {
        std::thread::sleep(Duration::from_millis(5));
    }
    server.signal(libc::SIGTERM);
    while TcpStream::connect(&server.address).is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
    stream.write_all(rest.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 204") && text.contains("connection: close"), "{text}");
    drop(idle);
    let ended = server.child.wait().unwrap();
    assert_eq!((ended.code(), ended.signal()), (Some(0), None));
    assert_eq!(place.reason(1, "ann@shop.test"), "agreed");
}

#[test]
fn more_connections_than_it_has_are_told_to_come_again() {
    let place = Place::empty();
    let server = Server::start(&place);
    let held: Vec<_> = (0..256).map(|_| server.connect()).collect();
    // The first ones have to be taken first.
    let mut statuses = Vec::new();
    while statuses.last() != Some(&503) && statuses.len() < 1000 {
        statuses.push(server.ask("GET /up HTTP/1.1\r\nConnection: close\r\n\r\n").0);
    }
    assert_eq!(statuses.last(), Some(&503));
    drop(held);
    while server.ask("GET /up HTTP/1.1\r\nConnection: close\r\n\r\n").0 != 200 {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_it_needs_is_asked_for_before_it_listens() {
    let place = Place::empty();
    let told = place.run(&["serve", "--url", URL]).ends(2);
    assert!(told.stderr.contains("HUBSPOT_CLIENT_SECRET"), "{}", told.stderr);
    let secret = place.file("secret", CLIENT_SECRET);
    place.run(&["serve", "--url", "hooks.shop.test", "--client-secret-file", &secret]).ends(2);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let told = place.run(&["serve", "--url", URL, "--client-secret-file", &secret, "--listen", &address]).ends(6);
    assert!(told.stderr.contains(&address), "{}", told.stderr);
    place.command(&["serve", "--url", URL, "--client-secret-file", &secret]).without_secret().ends(4);
}
