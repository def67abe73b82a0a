//! As much of HTTP/1.1 as a webhook needs, bounded in bytes, in time and in headers: a proxy with TLS stands before it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::interrupt;

/// HubSpot sends some hundred events of some hundred bytes at most.
pub(super) const MAX_BODY: usize = 1 << 20;

/// Bytes of the line and the headers of a request.
const MAX_HEAD: usize = 16 << 10;

const MAX_HEADERS: usize = 64;

/// How long a request may take to come, and a connection may be idle.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long what is left of a refused request is read.
const LINGERING: Duration = Duration::from_secs(1);

/// How often whoever waits looks whether the command is to stop.
const TICK: Duration = Duration::from_millis(200);

/// A request, as it came. Names of headers are in lower case.
pub(super) struct Request {
    pub(super) method: String,
    /// The address within the host, with its query.
    pub(super) target: String,
    headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    /// Whether the connection is closed after the answer.
    pub(super) last: bool,
}

impl Request {
    /// A header that is text; one that came twice is none, since the two might be read differently.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(header, _)| header == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => std::str::from_utf8(value).ok(),
            _ => None,
        }
    }
}

/// Why there is no request.
pub(super) enum Ended {
    /// Nothing was begun: the other side has closed, was idle for too long, or the command is to stop.
    Quietly,
    /// What came is no request that is taken, and this is the answer.
    With(u16),
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self::Quietly
    }
}

/// A client's connection, and what was read of it and not used.
pub(super) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// Waits for the next request, and reads all of it.
    pub(super) fn request(&mut self) -> Result<Request, Ended> {
        let until = Instant::now() + PATIENCE;
        let (mut request, head, length) = loop {
            if !self.read.is_empty() {
                if let Some(found) = head(&self.read)? {
                    break found;
                }
                if self.read.len() > MAX_HEAD {
                    return Err(Ended::With(431));
                }
            }
            self.more(until)?;
        };
        if request.header("expect").is_some_and(|said| said.eq_ignore_ascii_case("100-continue")) {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        while self.read.len() < head + length {
            self.more(until)?;
        }
        request.body = self.read[head..head + length].to_vec();
        self.read.drain(..head + length);
        Ok(request)
    }

    /// Some more bytes, before that time.
    fn more(&mut self, until: Instant) -> Result<(), Ended> {
        let mut bytes = [0; 16 << 10];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(Ended::Quietly),
                Ok(read) => {
                    self.read.extend_from_slice(&bytes[..read]);
                    return Ok(());
                }
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                    ) =>
                {
                    let begun = !self.read.is_empty();
                    if !begun && interrupt::is_stopped() {
                        return Err(Ended::Quietly);
                    }
                    if Instant::now() > until {
                        return Err(if begun { Ended::With(408) } else { Ended::Quietly });
                    }
                }
                Err(_) => return Err(Ended::Quietly),
            }
        }
    }

    /// Ends it so that whoever has not sent all of their request yet reads the answer to it all the same.
    pub(super) fn linger(&mut self) {
        let until = Instant::now() + LINGERING;
        let _ = self.stream.shutdown(Shutdown::Write);
        let (mut bytes, mut left) = ([0; 16 << 10], 2 * MAX_BODY);
        while Instant::now() < until {
            match self.stream.read(&mut bytes) {
                Ok(read @ 1..) if read < left => left -= read,
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                _ => return,
            }
        }
    }

    pub(super) fn answer(&mut self, answer: &Answer, last: bool) -> io::Result<()> {
        let Answer { status, kind, text, retry, location } = answer;
        let mut said = format!("HTTP/1.1 {status} {}\r\ncache-control: no-store\r\n", words(*status));
        if *status != 204 {
            said += &format!("content-type: {kind}\r\ncontent-length: {}\r\n", text.len());
        }
        if kind.starts_with("text/html") {
            said += FOR_PAGES;
        }
        if let Some(location) = location {
            said += &format!("location: {location}\r\n");
        }
        if *retry {
            said += "retry-after: 1\r\n";
        }
        if *status == 405 && *kind == TEXT {
            said += "allow: POST\r\n";
        }
        said += if last { "connection: close\r\n\r\n" } else { "\r\n" };
        if *status != 204 {
            said += text;
        }
        self.stream.write_all(said.as_bytes())
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

/// No script, no frame around it, nothing from elsewhere; and the address of a user's page goes to no other site.
const FOR_PAGES: &str = "content-security-policy: default-src 'none'; style-src 'self'; form-action 'self'; \
    frame-ancestors 'none'; base-uri 'none'\r\nx-frame-options: DENY\r\nx-content-type-options: nosniff\r\n\
    referrer-policy: same-origin\r\n";

/// What is answered.
pub(super) struct Answer {
    pub(super) status: u16,
    /// The media type.
    pub(super) kind: &'static str,
    pub(super) text: String,
    /// Where the browser is to go.
    pub(super) location: Option<String>,
    /// Whether the same request is welcome in a second.
    pub(super) retry: bool,
}

impl Answer {
    pub(super) fn of(status: u16) -> Self {
        Self { status, retry: status == 503, ..Self::text(format!("{}\n", words(status))) }
    }

    /// 200, and a text.
    pub(super) fn text(text: String) -> Self {
        Self { status: 200, kind: TEXT, text, location: None, retry: false }
    }
}

/// The request, how long its head is, and how long its body. `None`: there is more to come.
fn head(bytes: &[u8]) -> Result<Option<(Request, usize, usize)>, Ended> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let head = match parsed.parse(bytes) {
        Ok(httparse::Status::Partial) => return Ok(None),
        Ok(httparse::Status::Complete(head)) => head,
        Err(httparse::Error::TooManyHeaders) => return Err(Ended::With(431)),
        Err(_) => return Err(Ended::With(400)),
    };
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        target: parsed.path.unwrap_or_default().to_owned(),
        headers: parsed
            .headers
            .iter()
            .map(|header| (header.name.to_ascii_lowercase(), header.value.to_vec()))
            .collect(),
        body: Vec::new(),
        last: false,
    };
    // What is between two requests must be beyond doubt, where a proxy sends those of several people.
    let lengths: Vec<_> = request.headers.iter().filter(|(name, _)| name == "content-length").collect();
    if request.headers.iter().any(|(name, _)| name == "transfer-encoding") {
        return Err(Ended::With(411));
    }
    let length = match lengths.as_slice() {
        [] if request.method == "POST" => return Err(Ended::With(411)),
        [] => 0,
        [(_, value)] => match std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit())) {
            Some(text) if text.len() > 9 => return Err(Ended::With(413)),
            Some(text) => text.parse().map_err(|_| Ended::With(400))?,
            None => return Err(Ended::With(400)),
        },
        _ => return Err(Ended::With(400)),
    };
    if length > MAX_BODY {
        return Err(Ended::With(413));
    }
    let asked = request.header("connection").map(str::to_ascii_lowercase);
    let last = match parsed.version {
        Some(1) => asked.is_some_and(|asked| asked.contains("close")),
        _ => true,
    };
    Ok(Some((Request { last, ..request }, head, length)))
}

fn words(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        303 => "See Other",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Option<u16> {
        match head(text.as_bytes()) {
            Err(Ended::With(status)) => Some(status),
            _ => None,
        }
    }

    #[test]
    fn where_a_request_ends_is_beyond_doubt() {
        let post = |headers: &str| format!("POST /hook HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
        assert_eq!(refused(&post("")), Some(411));
        assert_eq!(refused(&post("transfer-encoding: chunked\r\n")), Some(411));
        assert_eq!(refused(&post("content-length: 2\r\ntransfer-encoding: chunked\r\n")), Some(411));
        assert_eq!(refused(&post("content-length: 2\r\ncontent-length: 2\r\n")), Some(400));
        assert_eq!(refused(&post("content-length: 2, 2\r\n")), Some(400));
        assert_eq!(refused(&post("content-length: +2\r\n")), Some(400));
        assert_eq!(refused(&post("content-length: 1048577\r\n")), Some(413));
        assert_eq!(refused(&post("content-length: 99999999999999999999\r\n")), Some(413));
        assert_eq!(refused("nonsense\r\n\r\n"), Some(400));
        let (request, head, length) = head(post("Content-Length: 2\r\n").as_bytes()).ok().flatten().expect("a request");
        assert_eq!((request.method.as_str(), request.target.as_str(), length), ("POST", "/hook", 2));
        assert_eq!((head, request.last), (post("Content-Length: 2\r\n").len(), false));
    }

    #[test]
    fn a_header_that_came_twice_is_none() {
        let text = "GET / HTTP/1.1\r\nx-a: 1\r\nx-b: 2\r\nX-A: 3\r\n\r\n";
        let (request, ..) = head(text.as_bytes()).ok().flatten().expect("a request");
        assert_eq!((request.header("x-a"), request.header("x-b")), (None, Some("2")));
    }
}
