//! Bodies of several requests in one transaction: what waits while the disk is at work is written with its next turn.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};

use serde_json::value::RawValue;
use vidcache::{Error, Vidcache, WebhookReport};

use super::metrics::Metrics;

/// Bodies that wait at most. Whoever comes then is told to come again.
const WAITING: usize = 128;

/// Events of one transaction: as many as the library takes for one batch.
const EVENTS: usize = 1000;

type Done = Result<WebhookReport, Error>;

struct Job {
    body: Vec<u8>,
    done: Sender<Done>,
}

/// The way to the one thread that writes.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: SyncSender<Job>,
    metrics: Arc<Metrics>,
}

impl Writer {
    /// The thread ends once nobody has the way to it any more, and all that waited is done.
    pub(super) fn start(cache: Arc<Vidcache>, metrics: Arc<Metrics>) -> (Self, std::thread::JoinHandle<()>) {
        let (jobs, waiting) = sync_channel(WAITING);
        let counted = metrics.clone();
        let thread = std::thread::spawn(move || write(&cache, &waiting, &counted));
        (Self { jobs, metrics }, thread)
    }

    /// Writes a body, and returns once that is durable. `None`: too many wait.
    pub(super) fn apply(&self, body: Vec<u8>) -> Option<Done> {
        let (done, told) = channel();
        self.metrics.waiting.fetch_add(1, Ordering::Relaxed);
        let sent = self.jobs.try_send(Job { body, done });
        let said = match sent {
            Ok(()) => Some(told.recv().unwrap_or(Err(Error::Closed))),
            Err(TrySendError::Full(_)) => None,
            Err(TrySendError::Disconnected(_)) => Some(Err(Error::Closed)),
        };
        self.metrics.waiting.fetch_sub(1, Ordering::Relaxed);
        said
    }
}

fn write(cache: &Vidcache, waiting: &Receiver<Job>, metrics: &Metrics) {
    while let Ok(first) = waiting.recv() {
        let mut jobs = vec![first];
        let mut events = count(&jobs[0].body);
        let mut left = None;
        // A body that is no list is tried alone, so that it spoils no other's.
        while let (Some(so_far), Ok(next)) = (events, waiting.try_recv()) {
            match count(&next.body) {
                Some(more) if so_far + more <= EVENTS => {
                    events = Some(so_far + more);
                    jobs.push(next);
                }
                _ => {
                    left = Some(next);
                    break;
                }
            }
        }
        together(cache, jobs, metrics);
        if let Some(job) = left {
            together(cache, vec![job], metrics);
        }
    }
}

/// How many events a body has; `None`: it is no list of them.
fn count(body: &[u8]) -> Option<usize> {
    serde_json::from_slice::<Vec<&RawValue>>(body).ok().map(|events| events.len())
}

fn together(cache: &Vidcache, jobs: Vec<Job>, metrics: &Metrics) {
    let apply = |body: &[u8]| {
        metrics.commits.fetch_add(1, Ordering::Relaxed);
        let done = cache.apply_webhook(body);
        if let Ok(report) = &done {
            metrics.events(report);
        }
        done
    };
    if let [job] = jobs.as_slice() {
        let _ = job.done.send(apply(&job.body));
        return;
    }
    match apply(&joined(&jobs)) {
        // Of each alone nobody asks: the answer to HubSpot has no report in it.
        Ok(_) => jobs.iter().for_each(|job| drop(job.done.send(Ok(WebhookReport::default())))),
        // One of them is not understood; each is applied by itself, and applying twice is applying once.
        Err(Error::InvalidWebhook { .. }) => jobs.iter().for_each(|job| drop(job.done.send(apply(&job.body)))),
        Err(error) => jobs.iter().for_each(|job| drop(job.done.send(Err(error.clone())))),
    }
}

/// One list of all the bodies' events.
fn joined(jobs: &[Job]) -> Vec<u8> {
    let mut all = vec![b'['];
    for job in jobs {
        let body = job.body.trim_ascii();
        // Each is a list, since it was counted.
        let events = body[1..body.len() - 1].trim_ascii();
        if !events.is_empty() {
            if all.len() > 1 {
                all.push(b',');
            }
            all.extend_from_slice(events);
        }
    }
    all.push(b']');
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(body: &str) -> Job {
        Job { body: body.into(), done: channel().0 }
    }

    #[test]
    fn bodies_become_one_list() {
        assert_eq!(
            joined(&[job("[{\"a\":1}]"), job(" [ ] "), job("[{\"b\":\"]\"}, {}]\n")]),
            b"[{\"a\":1},{\"b\":\"]\"}, {}]"
        );
        assert_eq!(joined(&[job("[]"), job("[]")]), b"[]");
    }

    fn cache() -> (tempfile::TempDir, Vidcache) {
        let folder = tempfile::Builder::new().prefix("vidcache-command").tempdir().expect("a folder");
        let cache = Vidcache::open(folder.path().join("f"), 1, &vidcache::Options::default()).expect("the cache");
        (folder, cache)
    }

    #[test]
    fn what_waits_is_one_transaction_and_a_body_that_is_none_spoils_no_others() {
        let (_folder, cache) = cache();
        let deletion = |vid: u32| {
            format!(
                r#"[{{"subscriptionType":"contact.deletion","portalId":1,"objectId":{vid},"occurredAt":1772359200000}}]"#
            )
        };
        // A time that is none: the event matters and cannot be read.
        let bad = deletion(7).replace("1772359200000", "\"soon\"");
        for (bodies, commits) in [
            (vec![deletion(1), deletion(2), deletion(3)], 1),
            (vec![deletion(4), "no list".into(), deletion(5)], 3),
            (vec![deletion(6), bad, deletion(8)], 4),
        ] {
            let (jobs, waiting) = sync_channel(10);
            let told: Vec<_> = bodies
                .iter()
                .map(|body| {
                    let (done, told) = channel();
                    jobs.send(Job { body: body.clone().into(), done }).expect("room");
                    told
                })
                .collect();
            drop(jobs);
            let metrics = Metrics::default();
            write(&cache, &waiting, &metrics);
            assert_eq!(metrics.commits.load(Ordering::Relaxed), commits, "{bodies:?}");
            for (body, told) in bodies.iter().zip(told) {
                let done = told.recv().expect("an answer");
                let is_good = body.starts_with('[') && !body.contains("soon");
                assert_eq!(done.is_ok(), is_good, "{body}: {done:?}");
            }
        }
    }

    #[test]
    fn what_is_no_list_is_counted_as_none() {
        assert_eq!(
            [count(b"[]"), count(b"[{},1]"), count(b"{}"), count(b"[1"), count(b"[1]]"), count(b"\xff")],
            [Some(0), Some(2), None, None, None, None]
        );
    }
}
