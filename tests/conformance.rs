//! `tests/conformance`: the same cases in every language, here through the crate itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use vidcache::{ChangeToken, Email, Error, ErrorCode, Imported, Options, UserKey, Vid, Vidcache};

const PORTAL: i64 = 62515;
const SECRET: &str = "thirty-two bytes kept out of it.";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a readable file");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files() -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder()).expect("tests/conformance").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> =
        all.filter(|path| path.extension().is_some_and(|e| e == "json") && !path.ends_with("codes.json")).collect();
    files.sort();
    files
}

/// The bytes that a text of the cases stands for; None where it is left out or null.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone().into_bytes()),
        _ => Some(match (value["hex"].as_str(), value["text"].as_str(), value["times"].as_u64()) {
            (Some(hex), ..) => unhex(hex),
            (_, Some(text), Some(times)) => text.repeat(times as usize).into_bytes(),
            _ => panic!("no text: {value}"),
        }),
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

fn email(value: &Value) -> Result<Option<Email>, Error> {
    let Some(bytes) = bytes(value) else { return Ok(None) };
    Email::parse(std::str::from_utf8(&bytes).map_err(|_| Error::InvalidEmail("it is not UTF-8"))?).map(Some)
}

/// JSON, or a text that is to be taken for it.
fn body(step: &Value) -> Vec<u8> {
    match step.get("answer") {
        Some(answer) => answer.to_string().into_bytes(),
        None => bytes(&step["body"]).expect("a body"),
    }
}

fn keys(users: &Value) -> Result<Vec<UserKey<'_>>, Error> {
    let users = users.as_array().expect("users").iter();
    users
        .map(|user| user.as_str().map_or_else(|| Ok(UserKey::from(user.as_i64().expect("an id"))), UserKey::text))
        .collect()
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64
}

/// A page's data, as JSON, of this moment.
fn page_data(text: &str) -> Value {
    let data: Value = serde_json::from_str(text).expect("JSON");
    let age = now() - data["at"].as_i64().expect("an integer");
    assert!((0..60_000).contains(&age), "made {age} ms ago");
    assert!(data["ttl"].is_u64(), "{text}");
    data
}

/// One case, as far as it has come.
struct Run {
    folder: tempfile::TempDir,
    cache: Option<Vidcache>,
    changes: HashMap<String, i64>,
}

impl Run {
    fn open(&mut self, step: &Value) -> Result<Value, Error> {
        self.cache = None;
        let secret = match step.get("secret") {
            None => Some(SECRET),
            Some(secret) => secret.as_str(),
        };
        let mut options = Options { secret: secret.map(str::as_bytes), ..Options::default() };
        if let Some(deadline) = step["page_deadline_ms"].as_u64() {
            options.page_deadline = Duration::from_millis(deadline);
        }
        let path = self.folder.path().join(step["file"].as_str().unwrap_or("cache"));
        self.cache = Some(Vidcache::open(path, step["portal"].as_i64().unwrap_or(PORTAL), &options)?);
        Ok(Value::Null)
    }

    fn change(&self, value: &Value) -> Result<Option<ChangeToken>, Error> {
        match value {
            Value::Null => Ok(None),
            Value::String(name) => ChangeToken::try_from(self.changes[name]).map(Some),
            number => ChangeToken::try_from(number.as_i64().expect("a number")).map(Some),
        }
    }

    fn the_change(&self, step: &Value) -> Result<ChangeToken, Error> {
        Ok(self.change(&step["change"])?.expect("a change"))
    }

    fn file(&self, step: &Value) -> PathBuf {
        self.folder.path().join(step["file"].as_str().expect("a file"))
    }

    /// What the call gives.
    fn call(&mut self, step: &Value) -> Result<Value, Error> {
        let call = step["call"].as_str().expect("a call");
        match call {
            "open" => return self.open(step),
            "write" => {
                std::fs::write(self.file(step), step["text"].as_str().expect("a text")).expect("written");
                return Ok(Value::Null);
            }
            "patch" => {
                let mut content = std::fs::read(self.file(step)).expect("a file");
                let (at, patch) =
                    (step["at"].as_u64().expect("a place") as usize, unhex(step["hex"].as_str().expect("hex")));
                content[at..at + patch.len()].copy_from_slice(&patch);
                std::fs::write(self.file(step), content).expect("written");
                return Ok(Value::Null);
            }
            _ => {}
        }
        let cache = self.cache.as_ref().expect("an open cache");
        let text = if step["user"].is_number() { None } else { bytes(&step["user"]) };
        let user = || match (&step["user"], &text) {
            (Value::Number(id), _) => Ok(UserKey::from(id.as_i64().expect("an integer"))),
            (_, text) => UserKey::bytes(text.as_deref().expect("a user")),
        };
        Ok(match call {
            "close" => {
                cache.close();
                Value::Null
            }
            "resolve" => match cache.resolve(user()?)? {
                None => Value::Null,
                Some(found) => json!({"vid": found.vid.get(), "external_id": found.external_id.map(Vid::get)}),
            },
            "decide" => {
                let email = email(&step["email"])?;
                let decision = cache.decide(user()?, email.as_ref())?;
                json!({"email": decision.email(), "id": decision.id().map(Vid::get), "reason": decision.reason().name()})
            }
            "snippet" => {
                let nonce = step["nonce"].as_str();
                let html = match step.get("user") {
                    None => cache.anonymous_page().render(nonce),
                    Some(_) => cache.snippet(user()?, email(&step["email"])?.as_ref(), nonce)?,
                };
                json!(html)
            }
            "signed_out_snippet" => json!(cache.signed_out_page().render(step["nonce"].as_str())),
            "page_data" => match step.get("user") {
                None => page_data(&cache.anonymous_page().data()),
                Some(_) => page_data(&cache.page(user()?, email(&step["email"])?.as_ref())?.data()),
            },
            "signed_out_page_data" => page_data(&cache.signed_out_page().data()),
            "quiet_period" => json!(cache.quiet_period()?.as_millis() as u64),
            "link_shared" => {
                cache.link_shared(user()?, Vid::try_from(step["vid"].as_i64().expect("a vid"))?)?;
                Value::Null
            }
            "observe" => {
                let observed = cache.observe(&body(step))?;
                let numbers = |vids: Vec<Vid>| vids.into_iter().map(Vid::get).collect::<Vec<_>>();
                json!({"contacts": numbers(observed.contacts), "missing": numbers(observed.missing)})
            }
            "apply_webhook" => {
                let report = cache.apply_webhook(&body(step))?;
                json!({"applied": report.applied, "repeated": report.repeated, "ignored": report.ignored})
            }
            "resolve_many" => {
                let found = cache.resolve_many(&keys(&step["users"])?)?;
                json!(found.into_iter().map(|identity| identity.map(|found| found.vid.get())).collect::<Vec<_>>())
            }
            "decide_many" => {
                let emails = step["emails"].as_array().expect("emails").iter().map(email);
                let emails = emails.collect::<Result<Vec<_>, _>>()?;
                let asked: Vec<_> = keys(&step["users"])?.into_iter().zip(emails).collect();
                json!(cache.decide_many(&asked)?.iter().map(|decision| decision.reason().name()).collect::<Vec<_>>())
            }
            "explain" => json!(cache.explain(user()?, email(&step["email"])?.as_ref())?.to_string()),
            "export" => json!(cache.export(user()?)?),
            "forget" => json!(cache.forget(user()?)?),
            "link" => {
                cache.link(user()?, Vid::try_from(step["vid"].as_i64().expect("a vid"))?)?;
                Value::Null
            }
            "record" => {
                let recorded = cache.record(user()?, &body(step), self.change(&step["change"])?)?;
                json!({"vid": recorded.vid.get(), "email_observed": recorded.email_observed})
            }
            "begin_email_change" => {
                let token = cache.begin_email_change(user()?)?;
                self.changes.insert(step["as"].as_str().expect("a name").into(), token.get());
                Value::Null
            }
            "abandon_email_change" => {
                cache.abandon_email_change(user()?, self.the_change(step)?)?;
                Value::Null
            }
            "is_change_outstanding" => json!(cache.is_change_outstanding(user()?, self.the_change(step)?)?),
            "change_outstanding_since" => {
                let since = cache.change_outstanding_since(user()?, self.the_change(step)?)?;
                if let Some(begun) = since {
                    let age = now() - begun;
                    assert!((0..60_000).contains(&age), "begun {age} ms ago");
                }
                json!(since.is_some())
            }
            "stale_changes" => {
                std::thread::sleep(Duration::from_millis(2));
                json!(
                    cache.stale_changes(Duration::ZERO, 100)?.into_iter().map(|change| change.user).collect::<Vec<_>>()
                )
            }
            "import" => {
                let rows = step["rows"].as_array().expect("rows");
                let users: Vec<_> = rows.iter().map(|row| row["user"].as_str()).collect();
                let report = cache.import(rows.iter().zip(&users).map(|(row, text)| {
                    Ok(Imported {
                        user: match text {
                            Some(text) => UserKey::text(text)?,
                            None => UserKey::from(row["user"].as_i64().expect("an integer")),
                        },
                        vid: Vid::try_from(row["vid"].as_i64().expect("a vid"))?,
                        email: email(&row["email"])?.map(|email| (email, row["at"].as_i64().expect("a time"))),
                    })
                }))?;
                json!({"imported": report.imported, "vid_taken": report.vid_taken})
            }
            "verify" => json!(cache.verify()?.len()),
            other => panic!("no such call: {other}"),
        })
    }
}

/// Whether what was found has all that was expected.
fn matches(expected: &Value, found: &Value) -> bool {
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().map(|text| text.as_str().expect("a text").to_owned()).collect()
    };
    match (expected, found) {
        (Value::Object(fields), Value::String(html)) => {
            texts(&fields["has"].clone()).iter().all(|text| html.contains(text))
                && !texts(&fields["lacks"].clone()).iter().any(|text| html.contains(text))
        }
        (Value::Object(fields), Value::Object(_)) => fields.iter().all(|(name, value)| found[name] == *value),
        _ => expected == found,
    }
}

#[test]
fn every_case_goes_as_it_says() {
    let mut cases = 0;
    for file in files() {
        for case in read(&file)["cases"].as_array().expect("cases") {
            let name =
                format!("{}: {}", file.file_name().expect("a name").display(), case["name"].as_str().expect("a name"));
            let mut run = Run { folder: tempfile::tempdir().expect("a folder"), cache: None, changes: HashMap::new() };
            run.open(&json!({})).expect("an empty cache opens");
            for (at, step) in case["steps"].as_array().expect("steps").iter().enumerate() {
                let place = format!("{name}, step {}", at + 1);
                match (step["fails"].as_str(), run.call(step)) {
                    (None, Ok(found)) => {
                        if let Some(expected) = step.get("gives") {
                            assert!(matches(expected, &found), "{place}: {found} and not {expected}");
                        }
                    }
                    (Some(expected), Err(error)) => assert_eq!(error.code().name(), expected, "{place}: {error}"),
                    (None, Err(error)) => panic!("{place}: {error}"),
                    (Some(expected), Ok(found)) => panic!("{place}: {found} and not {expected}"),
                }
            }
            cases += 1;
        }
    }
    assert!(cases > 10, "{cases} cases found");
}

#[test]
fn every_code_is_provoked_by_a_case_or_says_why_not() {
    let codes: BTreeMap<String, Value> = serde_json::from_value(read(&folder().join("codes.json"))).expect("an object");
    let table: BTreeMap<&str, i64> = ErrorCode::ALL.iter().map(|code| (code.name(), code.number().into())).collect();
    let kept: BTreeMap<&str, i64> =
        codes.iter().map(|(name, code)| (name.as_str(), code["number"].as_i64().expect("a number"))).collect();
    assert_eq!(kept, table, "codes.json and src/error.rs differ");

    let mut provoked = BTreeSet::new();
    for file in files() {
        for case in read(&file)["cases"].as_array().expect("cases") {
            let steps = case["steps"].as_array().expect("steps");
            provoked.extend(steps.iter().filter_map(|step| step["fails"].as_str().map(str::to_owned)));
        }
    }
    for (name, code) in &codes {
        let excused = code["because"].as_str();
        assert!(provoked.contains(name) != excused.is_some(), "{name} needs a case or a reason, and not both");
        let Some(reason) = excused else { continue };
        match (code["file"].as_str(), code["test"].as_str()) {
            (Some(file), Some(test)) => {
                let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file))
                    .expect("the file is there");
                assert!(text.contains(test), "{name}: {file} has no {test}");
                println!("{name}: no case, since {reason}; see {test} in {file}");
            }
            _ => println!("{name}: no case, since {reason}"),
        }
    }
}
