//! One user: what is held, why a page says what it says, and forgetting them.

use serde_json::{Value, json};
use vidcache::{UserKey, Vid, Vidcache};

use crate::arguments::{About, File, Gone, Whom};
use crate::failure::{Failure, Result};
use crate::file;
use crate::output::Output;
use crate::words::{email, moment, plain, sure};

/// False: nothing is held.
pub(crate) fn show(file: &File, whom: &Whom, out: &mut Output) -> Result<bool> {
    let (key, vid) = match (&whom.user, &whom.contact) {
        (Some(user), _) => (Some(UserKey::text(user)?), None),
        (None, contact) => (None, contact.as_deref().map(str::parse::<Vid>).transpose()?),
    };
    let cache = file::open(file)?;
    let users = match (key, vid) {
        (Some(key), _) => vec![key.to_text()],
        (None, Some(vid)) => cache.users_of(vid)?,
        (None, None) => Vec::new(),
    };
    if users.is_empty() {
        out.say(|| "No user of that contact is known.".into(), || json!({"users": []}))?;
    }
    let mut held = !users.is_empty();
    for (n, user) in users.iter().enumerate() {
        let account = account(&cache, user)?;
        held &= !is_empty(&account);
        if n > 0 {
            out.words("")?;
        }
        out.say(|| sheet(&account), || account.clone())?;
    }
    Ok(held)
}

pub(crate) fn account(cache: &Vidcache, user: &str) -> Result<Value> {
    let text = cache.export(UserKey::text(user)?)?;
    serde_json::from_str(&text).map_err(|e| Failure::from(vidcache::Error::Internal(format!("export is no JSON: {e}"))))
}

fn is_empty(account: &Value) -> bool {
    let none = |name: &str| account[name].as_array().is_none_or(Vec::is_empty);
    account["vid"].is_null() && account["conflict"].is_null() && ["links", "changes", "log"].into_iter().all(none)
}

/// The account as lines of a name and a fact.
fn sheet(account: &Value) -> String {
    let text = |value: &Value| plain(value.as_str().unwrap_or_default());
    let at = |value: &Value| value.as_i64().map_or("at an unknown time".into(), moment);
    let mut lines = vec![format!("user      {}", text(&account["user"]))];
    if is_empty(account) {
        lines.push("          nothing is held on this user".into());
        return lines.join("\n");
    }
    match account["vid"].as_str() {
        None => lines.push("contact   none".into()),
        Some(vid) => lines.push(format!("contact   {vid}")),
    }
    if account["gives_external_id"] == json!(false) && !account["vid"].is_null() {
        lines.push("          another user gives the id of its first link, so this one gives none".into());
    }
    for link in account["links"].as_array().into_iter().flatten() {
        lines.push(format!("linked    to {}, {}", text(&link["vid"]), at(&link["first_at"])));
    }
    let contact = &account["contact"];
    if contact.is_object() {
        lines.push(match (contact["email_fingerprint"].is_null(), contact["email_at"].is_null()) {
            (false, _) => format!("email     HubSpot said which it holds, {}", at(&contact["email_at"])),
            (true, false) => {
                format!("email     HubSpot said that it holds none to be named, {}", at(&contact["email_at"]))
            }
            (true, true) => "email     HubSpot has not said which it holds now".into(),
        });
        let merged: Vec<_> = contact["merged"].as_array().into_iter().flatten().map(text).collect();
        if !merged.is_empty() {
            lines.push(format!("merged    {}", merged.join(", ")));
        }
        for (name, label) in [("deleted_at", "deleted   "), ("restored_at", "restored  ")] {
            if !contact[name].is_null() {
                lines.push(format!("{label}{}", at(&contact[name])));
            }
        }
        if let Some(others @ 1..) = contact["other_users"].as_u64() {
            lines.push(format!("shared    with {others} more of the app's users"));
        }
    }
    for change in account["changes"].as_array().into_iter().flatten() {
        let end = match (&change["ended_at"], &change["refused"]) {
            (Value::Null, _) => "is outstanding".into(),
            (ended, Value::Null) => format!("ended {}", at(ended)),
            (ended, why) => format!("was refused by HubSpot {}: {}", at(ended), text(why)),
        };
        lines.push(format!("change    {}: begun {}, {end}", change["token"], at(&change["begun_at"])));
    }
    let conflict = &account["conflict"];
    if conflict.is_object() {
        let holder = conflict["holder"].as_str().map_or("another contact".into(), |vid| format!("contact {vid}"));
        lines.push(format!("conflict  {} with {holder}, since {}", text(&conflict["why"]), at(&conflict["since"])));
    }
    if !account["lease_until"].is_null() {
        lines.push(format!("lease     of a job, until {}", at(&account["lease_until"])));
    }
    for entry in account["log"].as_array().into_iter().flatten() {
        let contact = entry["vid"].as_str().map_or(String::new(), |vid| format!(" (contact {vid})"));
        lines.push(format!("history   {}: {}{contact}", at(&entry["at"]), text(&entry["what"])));
    }
    lines.join("\n")
}

pub(crate) fn explain(file: &File, about: &About, out: &mut Output) -> Result<bool> {
    let user = UserKey::text(&about.user)?;
    let email = email(about.email.as_deref())?;
    let cache = file::open(file)?;
    let explanation = cache.explain(user, email.as_ref())?;
    let decision = &explanation.decision;
    let mut lines: Vec<_> = explanation.sentences.iter().map(|sentence| plain(sentence)).collect();
    if let Some(first) = lines.first_mut() {
        *first = out.bold(first);
    }
    out.say(
        || lines.join("\n"),
        || {
            json!({
                "user": user.to_text(),
                "names_email": decision.email().is_some(),
                "id": decision.id().map(|vid| vid.to_string()),
                "reason": decision.reason().name(),
                "sentences": explanation.sentences,
            })
        },
    )?;
    Ok(true)
}

pub(crate) fn forget(file: &File, gone: &Gone, out: &mut Output) -> Result<bool> {
    let user = UserKey::text(&gone.user)?;
    let cache = file::open(file)?;
    sure(gone.sure.yes, &format!("All that is held on user {} is taken out, for ever", plain(&gone.user)))?;
    let held = cache.forget(user)?;
    out.say(
        || if held { "Forgotten.".into() } else { "Nothing was held.".into() },
        || json!({"user": user.to_text(), "forgotten": held}),
    )?;
    Ok(true)
}
