//! Time that goes by ten times as fast: PostgreSQL's clock by two functions that stand for its own in what the library
//! sends, and the hosts' by the same sum. So a quiet period takes a second and a half.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How much faster.
pub(crate) const SCALE: i64 = 10;

/// How long a request is on its way from a page to HubSpot, at most, in milliseconds: the 5 s of the quiet period.
pub(crate) const TRANSIT: i64 = 5_000;

/// A clock that stood where the real one did at its beginning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scaled {
    /// Milliseconds since 1970.
    began: i64,
    /// By how much this host's own clock is ahead of the others', in real milliseconds.
    ahead: i64,
}

impl Scaled {
    pub(crate) fn at(began: i64) -> Self {
        Self { began, ahead: 0 }
    }

    /// The same clock, as a host tells it whose own is ahead.
    pub(crate) fn of_a_host_ahead(self, ahead: i64) -> Self {
        Self { ahead, ..self }
    }

    pub(crate) fn began(self) -> i64 {
        self.began
    }

    /// Milliseconds since 1970.
    pub(crate) fn now(self) -> i64 {
        let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        let since = i64::try_from(micros).unwrap_or(i64::MAX) - (self.began + self.ahead) * 1000;
        self.began + since * SCALE / 1000
    }

    /// PostgreSQL's side of it.
    pub(crate) fn functions(self) -> String {
        let began = format!("to_timestamp({} / 1000.0)", self.began);
        ["clock_timestamp", "transaction_timestamp"]
            .map(|of| {
                format!(
                    "CREATE FUNCTION scaled_{of}() RETURNS timestamptz LANGUAGE sql VOLATILE
                     AS $$ SELECT {began} + ({of}() - {began}) * {SCALE} $$;"
                )
            })
            .concat()
    }

    /// A statement of the library's, by this clock.
    pub(crate) fn sql(self, sql: &str) -> String {
        sql.replace("clock_timestamp()", "scaled_clock_timestamp()")
            .replace("transaction_timestamp()", "scaled_transaction_timestamp()")
    }
}

/// Waits for as long as `ms` of scaled time.
pub(crate) fn sleep(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms) / SCALE.unsigned_abs().try_into().unwrap_or(1));
}
