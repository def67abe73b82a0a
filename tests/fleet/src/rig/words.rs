//! HubSpot's answers, as it writes them.

use super::process::email_of;
use crate::portal::Address;

/// There is no such contact.
pub(super) const MISSING: &str = r#"{"status":"error","message":"resource not found"}"#;

/// The contact holds that email, since then by HubSpot's clock, and has those ids, the living one last.
pub(super) fn contact((user, email): Address, at: i64, ids: &[i64]) -> String {
    let (days, ms) = (at.div_euclid(86_400_000), at.rem_euclid(86_400_000));
    let (year, month, day) = date(days);
    let (hour, minute, second, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
    let (email, (id, merged)) = (email_of(user, email), ids.split_last().unwrap_or((&0, &[])));
    let merged = merged.iter().map(i64::to_string).collect::<Vec<_>>().join(";");
    format!(
        r#"{{"id":"{id}","properties":{{"email":"{email}","hs_merged_object_ids":"{merged}"}},"updatedAt":"{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z"}}"#
    )
}

/// The date that is so many days after 1970-01-01, in our calendar, for times from 1970 on.
fn date(mut days: i64) -> (i64, i64, i64) {
    let leap = |year: i64| i64::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
    let mut year = 1970;
    while days >= 365 + leap(year) {
        days -= 365 + leap(year);
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + leap(year), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}
