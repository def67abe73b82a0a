//! The operators' page for apps without Rails: what the command's lists and `explain` say, with links, for a browser.
//! It changes nothing. The screens, their addresses and the stylesheet are those of the gem's page, but for what only
//! the app and HubSpot know: whose email differs, who has no contact, jobs, and every button.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use vidcache::{UserKey, UserToRead, Vid, Vidcache};

use super::http::{Answer, Request};
use crate::failure::Failure;
use crate::lists::LONG_AGO;
use crate::whole::Counts;
use crate::words::{claim, moment, plain, size};
use crate::{users, whole};

const STYLE: &str = include_str!("style.css");

/// Rows of a list.
const MANY: u32 = 200;

/// The longest user's key that an address may have.
const MAX_KEY: usize = 255;

/// A piece of a screen.
enum Part {
    Heading(&'static str),
    Text(String),
    /// Names and what is so.
    Facts(Vec<(&'static str, Cell)>),
    Table {
        caption: String,
        columns: &'static [&'static str],
        rows: Vec<Vec<Cell>>,
    },
    List(Vec<String>),
}

enum Cell {
    Text(String),
    User(String),
    Contact(String),
    Link(&'static str, String),
}

struct Screen {
    title: &'static str,
    parts: Vec<Part>,
    /// The same for programs.
    data: Value,
}

/// Why there is no screen.
struct Refused(u16, String);

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        match &failure {
            Failure::Library(error, _) if error.code().number() < 200 => Self(400, failure.to_string()),
            _ => Self(503, failure.to_string()),
        }
    }
}

impl From<vidcache::Error> for Refused {
    fn from(error: vidcache::Error) -> Self {
        Failure::from(error).into()
    }
}

/// Answers a browser that calls the page by the address that it listens on. By another name, which a page of somebody
/// else's could have led here, nothing is answered.
pub(super) fn answer(cache: &Vidcache, path: &Path, at: &str, request: &Request) -> Answer {
    let port = at.rsplit(':').next().unwrap_or_default();
    let host = request.header("host").unwrap_or_default();
    if host != at && host != format!("localhost:{port}") {
        return Answer::of(403);
    }
    let (address, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let as_json = field(query, "format").as_deref() == Some("json")
        || request.header("accept").is_some_and(|accepted| accepted.starts_with("application/json"));
    let shown = match (request.method.as_str(), address) {
        ("GET", "/style.css") => return Answer { kind: "text/css; charset=utf-8", ..Answer::text(STYLE.into()) },
        ("POST", "/search") => match search(std::str::from_utf8(&request.body).unwrap_or_default()) {
            Ok(to) => return Answer { location: Some(to), ..Answer::of(303) },
            Err(refused) => Err(refused),
        },
        ("GET", "/") => overview(cache, path),
        ("GET", "/changes") => changes(cache),
        ("GET", "/conflicts") => conflicts(cache),
        ("GET", "/unconfirmed") => unconfirmed(cache),
        ("GET", "/user") => user(cache, query),
        ("GET", "/contact") => contact(cache, query),
        ("GET", _) => Err(Refused(404, "There is no such page.".into())),
        _ => Err(Refused(405, "That is no button.".into())),
    };
    let (status, screen) = match shown {
        Ok(screen) => (200, screen),
        Err(Refused(status, why)) => {
            let data = json!({"message": why});
            (status, Screen { title: "vidcache", parts: vec![Part::Text(why)], data })
        }
    };
    let (kind, text) = match as_json {
        true => ("application/json", screen.data.to_string()),
        false => ("text/html; charset=utf-8", html(&screen, address)),
    };
    Answer { status, kind, ..Answer::text(text) }
}

fn overview(cache: &Vidcache, path: &Path) -> Result<Screen, Refused> {
    let counts = Counts::of(cache, path)?;
    let data = counts.json();
    let reason = |name: &str, address, meaning: &str| {
        let count = &data[name];
        let broken_off = count.as_u64().is_some_and(|count| count >= u64::from(whole::COUNTED));
        let count = if broken_off { format!("{count} or more") } else { count.to_string() };
        vec![Cell::Text(name.into()), Cell::Link(address, count), Cell::Text(meaning.into())]
    };
    let rows = vec![
        reason("changes_outstanding", "/changes", "a change of their email is on its way"),
        reason("unconfirmed", "/unconfirmed", "HubSpot has not said which email it holds"),
        reason("conflicts", "/conflicts", "two contacts want one email, or two users one contact"),
        vec![
            Cell::Text("confirmed_long_ago".into()),
            Cell::Text(data["confirmed_long_ago"].to_string()),
            Cell::Text("nobody has read the contact for 30 days: pages name the email all the same".into()),
        ],
    ];
    let oldest = data["oldest_outstanding"].as_i64().map_or("none".into(), moment);
    let facts = vec![
        ("Path", Cell::Text(plain(data["file"].as_str().unwrap_or_default()))),
        ("Size", Cell::Text(format!("{}, and its log {}", size(counts.bytes), size(counts.log_bytes)))),
        ("The oldest change", Cell::Text(oldest)),
    ];
    let caption = format!("Portal {}, now", data["portal"]);
    let parts = vec![
        Part::Heading("Users of whom pages say less"),
        Part::Table { caption, columns: &["Reason", "Users", "Meaning"], rows },
        Part::Text("Whose email differs, and who has no contact, the app alone can tell.".into()),
        Part::Heading("The file"),
        Part::Facts(facts),
    ];
    Ok(Screen { title: "Overview", parts, data })
}

/// A list that is a table, or a sentence where it is empty.
fn listed(caption: &str, columns: &'static [&'static str], rows: Vec<Vec<Cell>>) -> Part {
    if rows.is_empty() {
        return Part::Text("Nobody.".into());
    }
    let first = if rows.len() >= MANY as usize { format!(", the first {MANY}") } else { String::new() };
    Part::Table { caption: format!("{caption}{first}"), columns, rows }
}

fn changes(cache: &Vidcache) -> Result<Screen, Refused> {
    let found = cache.stale_changes(Duration::ZERO, MANY)?;
    let rows = found.iter().map(|change| vec![Cell::User(change.user.clone()), Cell::Text(moment(change.begun_at))]);
    let parts = vec![
        Part::Text("Until its change has ended, a user's pages give the id alone.".into()),
        listed("Outstanding changes, the oldest first", &["User", "Begun"], rows.collect()),
    ];
    let data = found.iter().map(|change| json!({"user": change.user, "begun_at": change.begun_at}));
    Ok(Screen { title: "Outstanding changes", parts, data: json!({"changes": data.collect::<Vec<_>>()}) })
}

fn conflicts(cache: &Vidcache) -> Result<Screen, Refused> {
    let found = cache.conflicts(None, MANY)?;
    let contact = |vid: Option<Vid>| match vid {
        Some(vid) => Cell::Contact(vid.to_string()),
        None => Cell::Text("none is known".into()),
    };
    let rows = found.iter().map(|conflict| {
        vec![
            Cell::User(conflict.user.clone()),
            contact(conflict.vid),
            contact(conflict.holder),
            Cell::Text(claim(conflict).into()),
            Cell::Text(moment(conflict.since)),
        ]
    });
    let columns = &["User", "Their contact", "The other contact", "Which", "Since"];
    let parts = vec![
        Part::Text("Where the two are one person, merge the contacts in HubSpot, into the user's own.".into()),
        listed("Conflicts, by user", columns, rows.collect()),
    ];
    let data = found.iter().map(|conflict| {
        json!({
            "user": conflict.user,
            "contact": conflict.vid.map(|vid| vid.to_string()),
            "holder": conflict.holder.map(|vid| vid.to_string()),
            "why": conflict.why.name(),
            "since": conflict.since,
        })
    });
    Ok(Screen { title: "Conflicts", parts, data: json!({"conflicts": data.collect::<Vec<_>>()}) })
}

fn unconfirmed(cache: &Vidcache) -> Result<Screen, Refused> {
    let found = cache.users_to_read(false, Duration::ZERO, None, MANY)?;
    let long_ago = cache.users_to_read(true, LONG_AGO, None, MANY)?;
    let rows = |users: &[UserToRead]| {
        let row = |user: &UserToRead| {
            vec![Cell::User(user.user.clone()), Cell::Contact(user.vid.to_string()), Cell::Text(moment(user.read_at))]
        };
        users.iter().map(row).collect()
    };
    let columns = &["User", "Contact", "Last read"];
    let parts = vec![
        Part::Text("Their pages give the id alone until something reads their contacts from HubSpot.".into()),
        listed("Not confirmed, the longest unread first", columns, rows(&found)),
        Part::Heading("Confirmed long ago"),
        listed("More than 30 days ago", columns, rows(&long_ago)),
    ];
    let data = |users: &[UserToRead]| {
        let each =
            |user: &UserToRead| json!({"user": user.user, "contact": user.vid.to_string(), "read_at": user.read_at});
        users.iter().map(each).collect::<Vec<_>>()
    };
    let data = json!({"unconfirmed": data(&found), "confirmed_long_ago": data(&long_ago)});
    Ok(Screen { title: "Users to be read", parts, data })
}

fn user(cache: &Vidcache, query: &str) -> Result<Screen, Refused> {
    let text = field(query, "key").ok_or_else(|| Refused(400, "Say which user: that is no key.".into()))?;
    if text.len() > MAX_KEY || text.contains('@') {
        return Err(Refused(400, "That is no user's key. Emails are not in the file.".into()));
    }
    let key = UserKey::text(&text)?;
    let said = cache.explain(key, None)?;
    let mut account = users::account(cache, &text)?;
    // A page that is copied into a ticket needs none of these.
    if let Some(contact) = account["contact"].as_object_mut() {
        contact.retain(|name, _| !["email_fingerprint", "secondary"].contains(&name.as_str()));
    }
    let vid = account["vid"].as_str().map_or(Cell::Text("none".into()), |vid| Cell::Contact(vid.into()));
    let decision = &said.decision;
    let id = decision.id().map_or("gives no id".into(), |id| format!("gives the id vid:{id}"));
    let history = account["log"].as_array().into_iter().flatten().rev().map(|entry| {
        let at = entry["at"].as_i64().map_or("at an unknown time".into(), moment);
        let contact = entry["vid"].as_str().map_or(String::new(), |vid| format!(" (contact {vid})"));
        format!("{at}: {}{contact}", entry["what"].as_str().unwrap_or_default())
    });
    let parts = vec![
        Part::Facts(vec![
            ("User", Cell::Text(plain(&text))),
            ("A page without the email", Cell::Text(format!("{id}: {}", decision.reason().name()))),
            ("Contact", vid),
        ]),
        Part::Text("What a page says of their email, `vidcache explain USER --email -` answers.".into()),
        Part::Heading("Why"),
        Part::List(said.sentences.iter().map(|sentence| plain(sentence)).collect()),
        Part::Heading("History"),
        Part::List(history.collect()),
    ];
    let data = json!({"user": text, "id": decision.id().map(|id| id.to_string()), "reason": decision.reason().name(), "explain": said.sentences, "held": account});
    Ok(Screen { title: "User", parts, data })
}

fn contact(cache: &Vidcache, query: &str) -> Result<Screen, Refused> {
    let vid: Vid = field(query, "id").unwrap_or_default().parse()?;
    let users = cache.users_of(vid)?;
    let rows = users.iter().map(|user| vec![Cell::User(user.clone())]);
    let parts = vec![
        Part::Facts(vec![("Contact", Cell::Text(vid.to_string()))]),
        listed("Its users, by any id that was merged into it", &["User"], rows.collect()),
    ];
    Ok(Screen { title: "Contact", parts, data: json!({"contact": vid.to_string(), "users": users}) })
}

/// Where it leads: to a user, or to a contact (`vid:901`).
fn search(form: &str) -> Result<String, Refused> {
    let what = field(form, "what").unwrap_or_default();
    match what.trim() {
        "" => Err(Refused(400, "Say whom: a user's id, or vid: and a contact's id.".into())),
        email if email.contains('@') => {
            Err(Refused(400, "No email is in the file, so nobody is found by one: look the user up in the app.".into()))
        }
        text => Ok(match text.strip_prefix("vid:") {
            Some(vid) => format!("/contact?id={}", encoded(vid)),
            None => format!("/user?key={}", encoded(text)),
        }),
    }
}

fn html(screen: &Screen, address: &str) -> String {
    let title = screen.title;
    let bar = [("/", "Overview"), ("/changes", "Changes"), ("/conflicts", "Conflicts"), ("/unconfirmed", "To be read")]
        .map(|(to, text)| {
            let here = if to == address { " aria-current=\"page\"" } else { "" };
            format!("<a href=\"{to}\"{here}>{text}</a> ")
        });
    let parts: String = screen.parts.iter().map(part).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} · vidcache</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">To the content</a>\n<header>\n<p class=\"name\"><a href=\"/\">vidcache</a></p>\n\
         <nav aria-label=\"Screens\">{}</nav>\n<form class=\"search\" role=\"search\" method=\"post\" action=\"/search\">\n\
         <label for=\"what\">User id, or <span class=\"nowrap\">vid:contact</span></label>\n<span class=\"row\"><input id=\"what\" \
         name=\"what\" required maxlength=\"320\" autocomplete=\"off\" autocapitalize=\"off\" spellcheck=\"false\"><button>Find</button>\
         </span>\n</form>\n</header>\n<main id=\"main\" tabindex=\"-1\">\n<h1>{title}</h1>\n{parts}</main>\n</body>\n</html>\n",
        bar.concat()
    )
}

fn part(part: &Part) -> String {
    match part {
        Part::Heading(text) => format!("<h2>{text}</h2>\n"),
        Part::Text(text) => format!("<p>{}</p>\n", escaped(text)),
        Part::Facts(facts) => {
            let each = facts.iter().map(|(name, fact)| format!("<dt>{name}</dt><dd>{}</dd>", cell(fact)));
            format!("<dl class=\"facts\">{}</dl>\n", each.collect::<String>())
        }
        Part::List(lines) if lines.is_empty() => "<p class=\"empty\">Nothing.</p>\n".into(),
        Part::List(lines) => {
            let each = lines.iter().map(|line| format!("<li>{}</li>", escaped(line)));
            format!("<ul class=\"why\">{}</ul>\n", each.collect::<String>())
        }
        Part::Table { caption, columns, rows } => {
            let heads: String =
                columns.iter().map(|name| format!("<th scope=\"col\" role=\"columnheader\">{name}</th>")).collect();
            let lines: String = rows
                .iter()
                .map(|row| {
                    let cells = row.iter().zip(*columns).enumerate().map(|(n, (what, name))| match n {
                        0 => format!(
                            "<th scope=\"row\" role=\"rowheader\" data-column=\"{name}\"><span>{}</span></th>",
                            cell(what)
                        ),
                        _ => format!("<td role=\"cell\" data-column=\"{name}\"><span>{}</span></td>", cell(what)),
                    });
                    format!("<tr role=\"row\">{}</tr>\n", cells.collect::<String>())
                })
                .collect();
            format!(
                "<table role=\"table\"><caption>{}</caption><thead role=\"rowgroup\"><tr role=\"row\">{heads}</tr></thead>\
                 <tbody role=\"rowgroup\">{lines}</tbody></table>\n",
                escaped(caption)
            )
        }
    }
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => escaped(text),
        Cell::User(key) => format!("<a href=\"/user?key={}\">{}</a>", encoded(key), escaped(&plain(key))),
        Cell::Contact(vid) => format!("<a href=\"/contact?id={}\">{}</a>", encoded(vid), escaped(vid)),
        Cell::Link(to, text) => format!("<a href=\"{to}\">{}</a>", escaped(text)),
    }
}

fn escaped(text: &str) -> String {
    let mut said = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => said.push_str("&amp;"),
            '<' => said.push_str("&lt;"),
            '>' => said.push_str("&gt;"),
            '"' => said.push_str("&quot;"),
            '\'' => said.push_str("&#39;"),
            c => said.push(c),
        }
    }
    said
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut said, byte| {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => said.push(char::from(byte)),
            false => said += &format!("%{byte:02X}"),
        }
        said
    })
}

/// A field of a form or of a query: text without control characters.
fn field(form: &str, name: &str) -> Option<String> {
    let (_, value) = form.split('&').filter_map(|pair| pair.split_once('=')).find(|(found, _)| *found == name)?;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control) && !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_what_a_browser_meant_or_nothing() {
        assert_eq!(field("a=1&key=%C3%BC+b&c", "key").as_deref(), Some("ü b"));
        for form in ["", "key", "key=", "key=%", "key=%1", "key=%GG", "key=%FF", "key=%00", "key=+", "other=1"] {
            assert_eq!(field(form, "key"), None, "{form}");
        }
        assert_eq!(encoded("ü/&b"), "%C3%BC%2F%26b");
    }

    #[test]
    fn a_search_leads_to_a_user_or_a_contact_and_an_email_nowhere() {
        let to = |form: &str| search(form).map_err(|refused| refused.0);
        assert_eq!(to("what=42"), Ok("/user?key=42".into()));
        assert_eq!(to("what=+vid%3A901+"), Ok("/contact?id=901".into()));
        assert_eq!(to("what=%0D%0Aa"), Err(400));
        assert_eq!(to("what=ann%40shop.test"), Err(400));
    }
}
