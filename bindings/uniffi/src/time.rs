//! Times as UniFFI carries them.

use std::time::Duration;

/// Milliseconds, of more than there are: all of them.
pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
