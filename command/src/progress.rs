//! How it goes on, on a terminal: rows, how many a second, how much is left.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::words::span;

pub(crate) struct Progress {
    shown: bool,
    began: Instant,
    told: Option<Instant>,
}

impl Progress {
    pub(crate) fn new(json: bool) -> Self {
        Self { shown: !json && io::stderr().is_terminal(), began: Instant::now(), told: None }
    }

    pub(crate) fn took(&self) -> Duration {
        self.began.elapsed()
    }

    /// So many rows are through, of which this part of the file.
    pub(crate) fn at(&mut self, rows: u64, part: Option<f64>) {
        if !self.shown || self.told.is_some_and(|told| told.elapsed() < Duration::from_millis(250)) {
            return;
        }
        self.told = Some(Instant::now());
        let seconds = self.took().as_secs_f64().max(0.001);
        let left = match part {
            Some(part) if part > 0.0 => {
                let left = Duration::from_secs_f64((seconds / part - seconds).clamp(0.0, 1e9));
                format!(", {:.0} %, {} left", part.min(1.0) * 100.0, span(left))
            }
            _ => String::new(),
        };
        eprint!("\r{rows} rows, {:.0} a second{left}\x1b[K", rows as f64 / seconds);
        let _ = io::stderr().flush();
    }

    /// Takes the line away again.
    pub(crate) fn end(&self) {
        if self.told.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}
