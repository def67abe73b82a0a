//! Counters, in Prometheus' text format.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use vidcache::{Vidcache, WebhookReport};

use crate::lists;

/// The statuses that are answered.
const STATUSES: [u16; 13] = [200, 204, 303, 400, 401, 403, 404, 405, 408, 411, 413, 431, 503];

/// Up to how many of a kind are counted at each look.
const COUNTED: u32 = 10_000;

#[derive(Default)]
pub(super) struct Metrics {
    answers: [AtomicU64; STATUSES.len()],
    applied: AtomicU64,
    repeated: AtomicU64,
    ignored: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) waiting: AtomicU64,
    pub(super) connections: AtomicU64,
}

impl Metrics {
    pub(super) fn answered(&self, status: u16) {
        if let Some(at) = STATUSES.iter().position(|known| *known == status) {
            self.answers[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn events(&self, report: &WebhookReport) {
        self.applied.fetch_add(report.applied, Ordering::Relaxed);
        self.repeated.fetch_add(report.repeated, Ordering::Relaxed);
        self.ignored.fetch_add(report.ignored, Ordering::Relaxed);
    }

    /// All of them, with what the file says now.
    pub(super) fn text(&self, cache: &Vidcache) -> vidcache::Result<String> {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut said = String::new();
        let mut family = |name: &str, kind: &str, help: &str, values: &[(String, u64)]| {
            let _ = write!(said, "# HELP vidcache_{name} {help}\n# TYPE vidcache_{name} {kind}\n");
            for (labels, value) in values {
                let _ = writeln!(said, "vidcache_{name}{labels} {value}");
            }
        };
        let one = |value: u64| [(String::new(), value)];
        let answers: Vec<_> = STATUSES
            .iter()
            .zip(&self.answers)
            .map(|(status, count)| (format!("{{status=\"{status}\"}}"), load(count)))
            .collect();
        family("http_answers_total", "counter", "Requests by the status they were answered with.", &answers);
        let events = [("applied", &self.applied), ("repeated", &self.repeated), ("ignored", &self.ignored)];
        let events = events.map(|(result, count)| (format!("{{result=\"{result}\"}}"), load(count)));
        family("webhook_events_total", "counter", "Events of webhooks: new, overtaken or of no interest.", &events);
        family(
            "webhook_commits_total",
            "counter",
            "Transactions; several webhooks may share one.",
            &one(load(&self.commits)),
        );
        family("webhooks_waiting", "gauge", "Webhooks that wait to be written.", &one(load(&self.waiting)));
        family("connections", "gauge", "Connections that are open.", &one(load(&self.connections)));

        let outstanding = cache.stale_changes(Duration::ZERO, COUNTED)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as i64);
        let oldest = outstanding.first().map_or(0, |change| (now - change.begun_at).max(0) as u64 / 1000);
        let unconfirmed = cache.users_to_read(false, Duration::ZERO, None, COUNTED)?.len() as u64;
        let long_ago = cache.users_to_read(true, lists::LONG_AGO, None, COUNTED)?.len() as u64;
        let conflicts = cache.conflicts(None, COUNTED)?.len() as u64;
        family(
            "changes_outstanding",
            "gauge",
            "Changes of emails on their way, up to 10000.",
            &one(outstanding.len() as u64),
        );
        family("oldest_change_seconds", "gauge", "For how long the oldest of them has been.", &one(oldest));
        family(
            "unconfirmed_users",
            "gauge",
            "Users whose email HubSpot has not confirmed, up to 10000.",
            &one(unconfirmed),
        );
        family(
            "long_ago_users",
            "gauge",
            "Users whose contact nobody has read for 30 days, up to 10000.",
            &one(long_ago),
        );
        family("conflicts", "gauge", "Users in conflict over an email or a contact, up to 10000.", &one(conflicts));
        family("log_bytes", "gauge", "The size of the log beside the file.", &one(cache.stats().log_bytes));
        Ok(said)
    }
}
