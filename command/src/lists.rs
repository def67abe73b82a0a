//! Users for a reason, and conflicts.

use std::time::Duration;

use serde_json::json;
use vidcache::Conflict;

use crate::arguments::{File, List, Reason};
use crate::failure::Result;
use crate::file;
use crate::output::Output;
use crate::words::{claim, moment, plain};

/// After this somebody may have changed the email at HubSpot, and its webhook may have been lost.
pub(crate) const LONG_AGO: Duration = Duration::from_secs(30 * 86_400);

pub(crate) fn list(file: &File, list: &List, out: &mut Output) -> Result<bool> {
    let limit = list.some.limit;
    let older_than = list.older_than.unwrap_or(match list.reason {
        Reason::ConfirmedLongAgo => LONG_AGO,
        _ => Duration::ZERO,
    });
    match list.reason {
        Reason::Conflict => return conflicts(file, limit, out),
        Reason::ChangeOutstanding => {
            for change in file::open(file)?.stale_changes(older_than, limit)? {
                out.say(
                    || {
                        let (user, begun) = (plain(&change.user), moment(change.begun_at));
                        format!("user {user}: a change was begun {begun}, token {}", change.token.get())
                    },
                    || json!({"user": change.user, "begun_at": change.begun_at, "token": change.token.get().to_string()}),
                )?;
            }
        }
        Reason::EmailUnconfirmed | Reason::ConfirmedLongAgo => {
            let confirmed = list.reason == Reason::ConfirmedLongAgo;
            for user in file::open(file)?.users_to_read(confirmed, older_than, None, limit)? {
                out.say(
                    || format!("user {}: contact {}, last read {}", plain(&user.user), user.vid, moment(user.read_at)),
                    || json!({"user": user.user, "contact": user.vid.to_string(), "read_at": user.read_at}),
                )?;
            }
        }
    }
    Ok(true)
}

pub(crate) fn conflicts(file: &File, limit: u32, out: &mut Output) -> Result<bool> {
    let cache = file::open(file)?;
    for conflict in cache.conflicts(None, limit)? {
        out.say(
            || {
                let Conflict { user, vid, holder, since, .. } = &conflict;
                let of = vid.map_or("no contact".into(), |vid| format!("contact {vid}"));
                let other = holder.map_or("another contact".into(), |vid| format!("contact {vid}"));
                let what = claim(&conflict);
                format!("user {}, {of}: {other} {what}, since {}", plain(user), moment(*since))
            },
            || {
                json!({
                    "user": conflict.user,
                    "contact": conflict.vid.map(|vid| vid.to_string()),
                    "holder": conflict.holder.map(|vid| vid.to_string()),
                    "why": conflict.why.name(),
                    "since": conflict.since,
                })
            },
        )?;
    }
    Ok(true)
}
