//! A folder with a cache's file in it, and the command run on it.

#![allow(dead_code)] // Each test file uses a part.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use vidcache::{Email, Options, UserKey, Vidcache};

pub(crate) const PORTAL: i64 = 62515;
pub(crate) const SECRET: &[u8] = b"thirty-two bytes kept out of it.";
pub(crate) const ANN: &str = "ann@shop.test";

pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    /// A folder without the file.
    pub(crate) fn nowhere() -> Self {
        Self { folder: tempfile::Builder::new().prefix("vidcache-command").tempdir().expect("a folder") }
    }

    /// A file that knows nobody.
    pub(crate) fn empty() -> Self {
        let place = Self::nowhere();
        drop(place.cache());
        place
    }

    /// A file with a user in each state: 1 agreed, 2 in a change, 3 unconfirmed, 4 in conflict and unconfirmed.
    pub(crate) fn filled() -> Self {
        let place = Self::empty();
        let cache = place.cache();
        for (user, vid, email) in [(1, "901", ANN), (2, "902", "ben@shop.test")] {
            let answer = format!(
                r#"{{"id":"{vid}","properties":{{"email":"{email}"}},"updatedAt":"2026-03-01T10:00:00.000Z"}}"#
            );
            cache.record(UserKey::from(user), answer.as_bytes(), None).expect("an answer");
        }
        cache.begin_email_change(UserKey::from(2)).expect("a change");
        for user in [3, 4] {
            cache.link(UserKey::from(user), (900 + user).try_into().expect("a vid")).expect("a link");
        }
        let held = br#"{"status":"error","message":"Contact already exists. Existing ID: 901","correlationId":"1","category":"CONFLICT"}"#;
        cache.record(UserKey::from(4), held, None).expect_err("a conflict");
        place
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("hubspot.vidcache")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn cache(&self) -> Vidcache {
        self.cache_with(SECRET)
    }

    pub(crate) fn cache_with(&self, secret: &[u8]) -> Vidcache {
        Vidcache::open(self.path(), PORTAL, &Options { secret: Some(secret), ..Options::default() }).expect("the cache")
    }

    /// What a page would say: the reason's name.
    pub(crate) fn reason(&self, user: i64, email: &str) -> &'static str {
        let email = Email::parse(email).expect("an email");
        self.cache().decide(UserKey::from(user), Some(&email)).expect("a decision").reason().name()
    }

    /// Another file in the folder, and its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, content).expect("a file");
        path.to_str().expect("a path").to_owned()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).expect("a file of text")
    }

    /// All changes were begun so much earlier. Nobody has the file open.
    pub(crate) fn age_changes(&self, by: Duration) {
        let db = rusqlite::Connection::open(self.path()).expect("the file");
        let by = i64::try_from(by.as_millis()).expect("a time");
        db.execute("UPDATE change SET begun_at = begun_at - ?1", [by]).expect("changes");
    }

    pub(crate) fn open_to_its_group(&self) {
        fs::set_permissions(self.path(), fs::Permissions::from_mode(0o660)).expect("a mode");
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run<'_> {
        self.command(arguments)
    }

    /// Where the portal must be said.
    pub(crate) fn fill(&self, arguments: &[&str]) -> Run<'_> {
        let mut run = self.command(arguments);
        run.command.env("VIDCACHE_PORTAL_ID", PORTAL.to_string());
        run
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Run<'_> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vidcache"));
        for name in ["VIDCACHE_PORTAL_ID", "VIDCACHE_SECRET_FILE"] {
            command.env_remove(name);
        }
        command.env("VIDCACHE_FILE", self.path()).env("VIDCACHE_SECRET", std::str::from_utf8(SECRET).expect("text"));
        command.args(arguments).stdin(Stdio::null());
        Run { place: self, command, input: None }
    }
}

/// A run that is about to be.
pub(crate) struct Run<'p> {
    place: &'p Place,
    pub(crate) command: Command,
    input: Option<Vec<u8>>,
}

impl<'p> Run<'p> {
    pub(crate) fn without_secret(mut self) -> Self {
        self.command.env_remove("VIDCACHE_SECRET");
        self
    }

    pub(crate) fn without_file(mut self) -> Self {
        self.command.env_remove("VIDCACHE_FILE");
        self
    }

    pub(crate) fn input(mut self, text: impl AsRef<[u8]>) -> Self {
        self.input = Some(text.as_ref().to_vec());
        self
    }

    /// Runs it, and it ends with that status.
    #[track_caller]
    pub(crate) fn ends(self, status: i32) -> Told<'p> {
        let (ended, told) = self.output();
        assert_eq!(ended, Some(status), "{}\n{}", told.stdout, told.stderr);
        told
    }

    /// Runs it, and tells how it ended.
    pub(crate) fn output(mut self) -> (Option<i32>, Told<'p>) {
        if self.input.is_some() {
            self.command.stdin(Stdio::piped());
        }
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command runs");
        if let (Some(input), Some(mut pipe)) = (self.input, child.stdin.take()) {
            // It may end before it has read all.
            std::thread::spawn(move || pipe.write_all(&input));
        }
        let ended = child.wait_with_output().expect("the command ends");
        let text = |bytes| String::from_utf8(bytes).expect("what it says is text");
        let told = Told { place: self.place, stdout: text(ended.stdout), stderr: text(ended.stderr) };
        // Nobody's colours go into a pipe.
        assert!(!told.stdout.contains('\x1b') && !told.stderr.contains('\x1b'));
        (ended.status.code(), told)
    }
}

pub(crate) struct Told<'p> {
    place: &'p Place,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Told<'_> {
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).expect("an object")
    }

    /// It said what tests/said/NAME.txt says, but for what differs from run to run.
    #[track_caller]
    pub(crate) fn said(&self, name: &str) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/said").join(format!("{name}.txt"));
        let said = steady(&self.stdout, self.place);
        if std::env::var_os("VIDCACHE_SAID").is_some_and(|said| said == "write") {
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            fs::write(&file, &said).expect("a file");
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(said, expected, "not what {} has; VIDCACHE_SAID=write writes it anew", file.display());
    }
}

/// Without the folder, the times of this year's clock, tokens and sizes.
fn steady(said: &str, place: &Place) -> String {
    let said = said.replace(place.folder().to_str().expect("a path"), "FOLDER");
    let mut lines = Vec::new();
    for line in said.lines() {
        if line.starts_with("size  ") {
            lines.push("size SIZE\n".to_owned());
            continue;
        }
        let mut words: Vec<String> = Vec::new();
        for word in line.split(' ') {
            let bare = word.trim_end_matches([',', ':', '.']);
            let end = &word[bare.len()..];
            let digits = bare.bytes().filter(u8::is_ascii_digit).count();
            let is_new = match bare.len() {
                10 if bare.matches('-').count() == 2 && digits == 8 => "DATE",
                8 if bare.matches(':').count() == 2 && digits == 6 => "TIME",
                8.. if digits == bare.len() => "TOKEN",
                _ => bare,
            };
            // What HubSpot said it said at a time of the test's own.
            let kept = bare == "2026-03-01" || words.last().is_some_and(|last| last == "2026-03-01");
            words.push(format!("{}{end}", if kept { bare } else { is_new }));
        }
        lines.push(words.join(" ") + "\n");
    }
    lines.concat()
}
