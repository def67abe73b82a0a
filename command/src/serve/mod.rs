//! HubSpot's webhooks for apps without Rails: an HTTP server behind the app's own proxy, which writes what they tell.

mod group;
mod http;
mod metrics;
mod page;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use vidcache::signature::{self, SignedRequest};
use vidcache::{Error, Vidcache};

use crate::arguments::File;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::{file, interrupt, system};
use group::Writer;
use http::{Answer, Connection, Ended, Request};
use metrics::Metrics;

/// Connections at once.
const CONNECTIONS: u64 = 256;

/// How many more are told to come again; others are closed.
const TOLD: u64 = 64;

/// How long a write waits for others': HubSpot waits five seconds for an answer.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// How long those that are at work when it is to stop are waited for.
const LAST_ANSWERS: Duration = Duration::from_secs(15);

#[derive(clap::Args)]
pub(crate) struct Serve {
    /// The address that HubSpot calls, as it is entered there: https://…, without a query. It is signed.
    #[arg(long)]
    url: String,
    /// A file with the client secret of the HubSpot app, in place of the variable HUBSPOT_CLIENT_SECRET.
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
    /// Where it listens; a proxy with TLS stands before it.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
    /// Where the operators' page is, to look at alone: an address of loopback (127.0.0.1:8788), for a tunnel, or for a
    /// proxy that asks who comes. Without it there is none.
    #[arg(long, value_name = "ADDRESS", value_parser = loopback)]
    page: Option<SocketAddr>,
}

fn loopback(text: &str) -> std::result::Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "it is an address and a port: 127.0.0.1:8788".to_owned())?;
    if address.ip().is_loopback() { Ok(address) } else { Err("the page is for loopback alone: 127.0.0.1:8788".into()) }
}

/// What a connection needs.
struct Service {
    cache: Arc<Vidcache>,
    writer: Writer,
    metrics: Arc<Metrics>,
    url: String,
    client_secret: Vec<u8>,
    /// The file, as the page names it.
    path: PathBuf,
    /// Where the page is.
    page_at: String,
}

/// How requests of one listener are answered.
type Answers = fn(&Service, &mut Request) -> Answer;

pub(crate) fn serve(file: &File, serve: &Serve, out: &mut Output) -> Result<bool> {
    if !serve.url.starts_with("https://") || serve.url.contains(['?', '#']) {
        return Err(Failure::Usage("--url is the whole address that HubSpot calls: https://… without a query".into()));
    }
    let client_secret = file::client_secret(serve.client_secret_file.as_deref())?;
    interrupt::listen();
    let cache = Arc::new(file::open_for(file, LONGEST_WAIT)?);
    let metrics = Arc::new(Metrics::default());
    let (listener, at) = listen(serve.listen)?;
    let page = serve.page.map(listen).transpose()?;
    let page_at = page.as_ref().map(|(_, at)| at.to_string());
    let (writer, writing) = Writer::start(cache.clone(), metrics.clone());
    let service = Arc::new(Service {
        cache,
        writer,
        metrics: metrics.clone(),
        url: serve.url.clone(),
        client_secret,
        path: file::path(file)?.to_path_buf(),
        page_at: page_at.clone().unwrap_or_default(),
    });
    let paging = page.map(|(listener, _)| {
        let service = service.clone();
        std::thread::spawn(move || accept(&service, &listener, Service::page))
    });
    let with_page = page_at.as_ref().map_or(String::new(), |at| format!(" The operators' page is on http://{at}."));
    out.say(
        || format!("Listening on http://{at}; GET /up and /metrics.{with_page}"),
        || json!({"listening": at.to_string(), "page": page_at}),
    )?;
    out.flush()?;
    accept(&service, &listener, Service::answer);
    if let Some(paging) = paging {
        let _ = paging.join();
    }
    // Nobody new; who is at work is answered.
    drop(listener);
    let until = Instant::now() + LAST_ANSWERS;
    while metrics.connections.load(Ordering::Relaxed) > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(service);
    if metrics.connections.load(Ordering::Relaxed) == 0 {
        let _ = writing.join();
    }
    Ok(true)
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    let named = listener.and_then(|listener| listener.local_addr().map(|at| (listener, at)));
    named.map_err(|e| Failure::File(format!("{address}: {e}")))
}

/// Takes connections until the command is to stop.
fn accept(service: &Arc<Service>, listener: &TcpListener, answers: Answers) {
    while !interrupt::is_stopped() {
        if !system::is_readable(listener, Duration::from_millis(200)) {
            continue;
        }
        if let Ok((stream, _)) = listener.accept() {
            take(service, stream, answers);
        }
    }
}

fn take(service: &Arc<Service>, stream: TcpStream, answers: Answers) {
    let metrics = service.metrics.clone();
    let open = metrics.connections.fetch_add(1, Ordering::Relaxed);
    let service = service.clone();
    let work = move || {
        let metrics = service.metrics.clone();
        if let Ok(mut connection) = stream.set_nonblocking(false).and_then(|()| Connection::new(stream)) {
            if open < CONNECTIONS {
                service.talk(&mut connection, answers);
            } else {
                metrics.answered(503);
                let _ = connection.answer(&Answer::of(503), true);
                connection.linger();
            }
        }
        // The way to the writer first, so that whoever sees no connection can end it.
        drop(service);
        metrics.connections.fetch_sub(1, Ordering::Relaxed);
    };
    // Where no thread can be had the connection is closed, and HubSpot comes again.
    if open >= CONNECTIONS + TOLD || std::thread::Builder::new().stack_size(256 << 10).spawn(work).is_err() {
        metrics.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

fn unavailable(error: &Error) -> Answer {
    Answer { status: 503, retry: true, ..Answer::text(format!("{}\n", error.code().name())) }
}

impl Service {
    fn talk(&self, connection: &mut Connection, answers: Answers) {
        loop {
            let (answer, last) = match connection.request() {
                Ok(mut request) => (answers(self, &mut request), request.last || interrupt::is_stopped()),
                Err(Ended::Quietly) => return,
                Err(Ended::With(status)) => {
                    self.metrics.answered(status);
                    let _ = connection.answer(&Answer::of(status), true);
                    return connection.linger();
                }
            };
            self.metrics.answered(answer.status);
            if connection.answer(&answer, last).is_err() || last {
                return;
            }
        }
    }

    fn page(&self, request: &mut Request) -> Answer {
        page::answer(&self.cache, &self.path, &self.page_at, request)
    }

    fn answer(&self, request: &mut Request) -> Answer {
        match (request.method.as_str(), request.target.as_str()) {
            ("POST", _) => self.webhook(request),
            ("GET", "/up") => match self.cache.resolve(0.into()) {
                Ok(_) => Answer::text("ok\n".into()),
                Err(error) => unavailable(&error),
            },
            ("GET", "/metrics") => match self.metrics.text(&self.cache) {
                Ok(text) => Answer::text(text),
                Err(error) => unavailable(&error),
            },
            _ => Answer::of(405),
        }
    }

    /// 204: durable. 400: not understood. 401: not signed by HubSpot for this address. 503: come again.
    fn webhook(&self, request: &mut Request) -> Answer {
        let query = request.target.split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
        let uri = format!("{}{query}", self.url);
        let signed = SignedRequest {
            method: "POST",
            uri: &uri,
            body: &request.body,
            signature_v3: request.header("x-hubspot-signature-v3"),
            timestamp: request.header("x-hubspot-request-timestamp"),
            ..SignedRequest::default()
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as i64);
        if let Err(error) = signature::verify(&self.client_secret, &signed, now) {
            return Answer {
                status: 401,
                ..Answer::text(format!("{error}. The address that was assumed is {}\n", self.url))
            };
        }
        match self.writer.apply(std::mem::take(&mut request.body)) {
            Some(Ok(_)) => Answer::of(204),
            Some(Err(error @ Error::InvalidWebhook { .. })) => {
                eprintln!("vidcache: a webhook is answered with 400: {error}");
                Answer { status: 400, ..Answer::text(format!("{error}\n")) }
            }
            Some(Err(error)) => {
                eprintln!("vidcache: a webhook is answered with 503: {error}");
                Answer::of(503)
            }
            None => Answer::of(503),
        }
    }
}
