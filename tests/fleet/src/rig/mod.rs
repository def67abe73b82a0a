//! The fleet in time that goes by ten times as fast: processes on folders of their own, which change emails in
//! transactions of any length and render pages all the while, from replicas and old snapshots too; workers; a double of
//! HubSpot that judges every page at every time at which it may come. Now and then a process is stopped or killed, and
//! a connection ended.

mod process;

use std::fmt;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use postgres::{Client, NoTls};
use vidcache::{ChangeToken, Email, Imported, UserKey, Vid};

use self::process::{Place, email_of, library};
use crate::Server;
use crate::double::Double;
pub use crate::double::Tally;
use crate::proxy::Proxy;
use crate::scaled::Scaled;

/// What is taken out of the client's side, so that a page believes what it must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Nothing: the library as it is.
    Design,
    /// A replica's answer does not say that it is one.
    ReplicaBelieved,
    /// An old snapshot's answer does not say that it is one.
    SnapshotBelieved,
    /// The clocks are read when the answer is there.
    LookTakenLate,
    /// The same question gets the same answer again, as of a cache of answers.
    AnswerKept,
    /// The quiet period is counted from when the change was written, instead of when it was seen committed.
    QuietFromWrite,
    /// HubSpot is told at once.
    NoQuiet,
}

impl Variant {
    /// All but the design.
    pub const WEAKER: [Self; 6] = [
        Self::ReplicaBelieved,
        Self::SnapshotBelieved,
        Self::LookTakenLate,
        Self::AnswerKept,
        Self::QuietFromWrite,
        Self::NoQuiet,
    ];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Design => "design",
            Self::ReplicaBelieved => "a replica is believed",
            Self::SnapshotBelieved => "an old snapshot is believed",
            Self::LookTakenLate => "the look is taken late",
            Self::AnswerKept => "an answer is kept",
            Self::QuietFromWrite => "quiet from the write",
            Self::NoQuiet => "no quiet period",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::WEAKER.into_iter().chain([Self::Design]).find(|variant| variant.name() == name)
    }

    /// An answer as it is believed.
    fn believed(self, answer: String) -> String {
        match self {
            Self::ReplicaBelieved => answer
                .replace("\"standby\" : true", "\"standby\" : false")
                .replace("\"read_only\" : true", "\"read_only\" : false"),
            Self::SnapshotBelieved => answer.replace("\"repeatable read\"", "\"read committed\""),
            _ => answer,
        }
    }

    /// After a change was said to be seen.
    fn after_see(self, client: &mut Client, token: ChangeToken) -> Result<(), postgres::Error> {
        if self != Self::QuietFromWrite {
            return Ok(());
        }
        let token = token.get();
        client.batch_execute(&format!("UPDATE vidcache_changes SET seen_at = begun_at + 1 WHERE token = {token}"))
    }
}

/// The quiet period in real milliseconds.
const QUIET: u64 = 1_500;

/// A run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Of everything that is left to chance.
    pub seed: u64,
    /// For how long emails are changed.
    pub length: Duration,
    /// How many users.
    pub users: u32,
    /// How many processes serve, and how many are workers.
    pub web: u64,
    /// See `web`.
    pub workers: u64,
    /// What is taken out.
    pub variant: Variant,
    /// What goes wrong besides.
    pub harm: Harm,
}

/// What goes wrong in a run, besides what pages ask of a replica and of old snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Nothing.
    None,
    /// Processes of the app are killed and stopped, connections ended.
    Hosts,
    /// Processes of PostgreSQL are killed, the postmaster too.
    Server,
    /// What is between hosts and server waits, cuts, closes one half, swallows answers.
    Network,
    /// A standby becomes the primary, without the commits of its last so many real milliseconds.
    Failover {
        /// How many.
        lag: u64,
        /// Whether everything is doubted before anybody asks.
        doubt: bool,
    },
}

impl Run {
    /// Whether it has to show a duplicate: something that must not be missing is, or more was lost than can be borne.
    pub fn is_to_fail(&self) -> bool {
        let beyond = matches!(self.harm, Harm::Failover { lag, doubt: false } if lag > QUIET);
        beyond || self.variant != Variant::Design
    }
}

/// What came of a run.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What the judge has counted.
    pub tally: Tally,
    /// Users whose page names no email in the end.
    pub stale: Vec<u32>,
    /// Changes that were never told.
    pub outstanding: i64,
    /// Contacts that hold another email than the app in the end.
    pub unlike: Vec<u32>,
    /// Of these, those whose page names the app's.
    pub wrong_in_the_end: u64,
    /// What no process expected.
    pub unexpected: Vec<String>,
    /// How often something was killed, stopped or ended.
    pub harmed: u64,
    /// How many answers of a COMMIT were swallowed.
    pub swallowed: u64,
}

impl Outcome {
    /// Pages that named what HubSpot did not hold.
    pub fn wrong(&self) -> u64 {
        self.tally.wrong + self.wrong_in_the_end
    }

    /// Whether everything was as it is to be.
    pub fn is_right(&self) -> bool {
        self.wrong() == 0
            && self.tally.named > 0
            && self.tally.told > 0
            && self.stale.is_empty()
            && self.outstanding == 0
            && self.unlike.is_empty()
            && self.unexpected.is_empty()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tally: Tally { pages, named, told, first, .. }, stale, outstanding, unlike, unexpected, .. } = self;
        write!(
            f,
            "{pages} pages, {named} named an email, {} of them wrongly; HubSpot told {told} times; ",
            self.wrong()
        )?;
        write!(f, "{} harmed, {} commits unanswered; in the end {} stale, ", self.harmed, self.swallowed, stale.len())?;
        write!(f, "{outstanding} untold, {} unlike HubSpot, {} unexpected", unlike.len(), unexpected.len())?;
        if let Some(first) = first.as_ref().or(unexpected.first()) {
            write!(f, " ({first})")?;
        }
        Ok(())
    }
}

fn real_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    i64::try_from(since).unwrap_or(i64::MAX)
}

/// HubSpot's answer about the user's contact, by its clock.
fn answer(user: u32, email: u32, at: i64) -> String {
    let (days, ms) = (at.div_euclid(86_400_000), at.rem_euclid(86_400_000));
    let (year, month, day) = date(days);
    let (hour, minute, second, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
    let email = email_of(user, email);
    format!(
        r#"{{"id":"{}","properties":{{"email":"{email}"}},"updatedAt":"{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z"}}"#,
        contact(user)
    )
}

fn contact(user: u32) -> i64 {
    900_000 + i64::from(user)
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

/// The processes of a run, by number.
struct Processes<'a> {
    program: &'a Path,
    place: Place,
    running: Vec<(String, Child)>,
    started: u64,
}

impl Processes<'_> {
    fn start(&mut self, kind: &str, number: usize) -> io::Result<()> {
        self.started += 1;
        let folder = process::own(&self.place.folder, &format!("{kind}{number}"))?;
        let place = Place {
            folder: folder.clone(),
            seed: self.place.seed.wrapping_add(self.started * 1000),
            ..self.place.clone()
        };
        let child = Command::new(self.program)
            .arg(kind)
            .args(place.to_args())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        self.running.insert(number, (kind.to_owned(), child));
        Ok(())
    }

    /// Kills one, and starts another one in its place.
    fn kill(&mut self, number: usize) -> io::Result<()> {
        let (kind, mut child) = self.running.remove(number);
        child.kill()?;
        child.wait()?;
        self.start(&kind, number)
    }

    fn signal(&self, number: usize, signal: i32) {
        if let Ok(pid) = i32::try_from(self.running[number].1.id()) {
            // SAFETY: a child of this process, which has not been waited for.
            unsafe { libc::kill(pid, signal) };
        }
    }

    fn unexpected(&self) -> Vec<String> {
        let folders = std::fs::read_dir(&self.place.folder).into_iter().flatten().flatten();
        let files = folders.filter_map(|folder| std::fs::read_to_string(folder.path().join("unexpected")).ok());
        files.flat_map(|file| file.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    fn stop(&mut self, kind: Option<&str>) {
        self.running.retain_mut(|(of, child)| {
            let ends = kind.is_none_or(|kind| kind == of);
            if ends {
                let _ = child.kill();
                let _ = child.wait();
            }
            !ends
        });
    }
}

impl Drop for Processes<'_> {
    fn drop(&mut self) {
        self.stop(None);
    }
}

/// Runs it, with `program` as its processes and, if there are, a replica that lags and a standby.
///
/// # Errors
/// What could not be started.
///
/// # Panics
/// If a statement of the rig's own is refused.
pub fn run(
    program: &Path,
    server: &Server,
    replica: Option<&Server>,
    standby: Option<&Server>,
    run: &Run,
) -> io::Result<Outcome> {
    let name = server.database();
    let folder = tempfile::Builder::new().prefix("rig").tempdir_in("/tmp")?;
    let clock = Scaled::at(real_now());
    prepare(&mut server.connect(&name), clock, run.users);
    let socket = folder.path().join("double");
    let double = Double::listen(&socket, clock, run.users)?;
    let place = Place {
        folder: folder.path().to_owned(),
        double: socket,
        primary: address(&folder.path().join("proxy"), &name),
        replica: replica.map(|replica| replica.address(&name)),
        began: clock.began(),
        users: run.users,
        seed: run.seed,
        variant: run.variant,
    };
    let proxied = process::own(folder.path(), "proxy")?;
    let faults = if run.harm == Harm::Network { 20 } else { 0 };
    let proxy = Proxy::listen(&proxied, server.folder(), faults, run.seed)?;
    let mut processes = Processes { program, place, running: Vec::new(), started: 0 };
    for number in 0..run.web + run.workers {
        let kind = if number < run.web { "web" } else { "worker" };
        processes.start(kind, usize::try_from(number).map_err(io::Error::other)?)?;
    }
    let there = There { server, standby, proxy: &proxy, name: &name, double: &double, clock };
    let mut outcome = Outcome { harmed: harm(&mut processes, &there, run)?, ..Outcome::default() };
    proxy.heal();
    processes.stop(Some("web"));
    // Who lost more than a quiet period has users to read, and nobody here reads them.
    if run.variant == Variant::Design && !matches!(run.harm, Harm::Failover { doubt: true, .. }) {
        end(&processes.place.primary, &double, clock, &mut outcome);
    }
    outcome.swallowed = proxy.swallowed();
    processes.stop(None);
    outcome.unexpected = processes.unexpected();
    outcome.tally = double.tally();
    Ok(outcome)
}

/// The app's table and the library's, and who is whose contact.
fn prepare(client: &mut Client, clock: Scaled, users: u32) {
    let vidcache = library();
    let mut sql = clock.functions();
    sql += &format!(
        "CREATE TABLE users (id integer PRIMARY KEY, email integer NOT NULL);
         INSERT INTO users SELECT n, 0 FROM generate_series(1, {users}) n;"
    );
    client.batch_execute(&sql).expect("the app's table");
    for sql in vidcache.create() {
        client.batch_execute(&sql).expect("a table");
    }
    let [tables, deadline, _] = vidcache.set_up().expect("statements");
    client.batch_execute(&clock.sql(&format!("{tables};{deadline}"))).expect("set up");
    let at = clock.began() - 100_000;
    for some in (1..=users).collect::<Vec<_>>().chunks(500) {
        let known: Vec<_> = some
            .iter()
            .map(|&user| Imported {
                user: UserKey::from(i64::from(user)),
                vid: Vid::try_from(contact(user)).expect("positive"),
                email: Some((Email::parse(&email_of(user, 0)).expect("an email"), at)),
            })
            .collect();
        let errand = vidcache.import(&known).expect("times that can be");
        process::run(client, clock, &errand).expect("imported");
    }
    client.batch_execute("ANALYZE").expect("analysed");
}

/// What can be harmed.
struct There<'a> {
    server: &'a Server,
    standby: Option<&'a Server>,
    proxy: &'a Proxy,
    name: &'a str,
    double: &'a Double,
    clock: Scaled,
}

/// How a client finds a database by the socket in that folder.
fn address(folder: &Path, database: &str) -> String {
    format!("host={} user=fleet dbname={database} connect_timeout=5", folder.display())
}

/// Lets the processes run, and harms what it is to harm: how often. Ends early once a weaker variant is caught.
fn harm(processes: &mut Processes<'_>, there: &There<'_>, run: &Run) -> io::Result<u64> {
    let (began, mut random, mut harmed) = (Instant::now(), Rng::with_seed(run.seed), 0);
    let caught = || there.double.tally().wrong > 0 && run.variant != Variant::Design;
    if let Harm::Failover { lag, doubt } = run.harm {
        std::thread::sleep(run.length / 2);
        fail_over(there, lag, doubt);
        harmed += 1;
    }
    while began.elapsed() < run.length && !caught() {
        std::thread::sleep(Duration::from_millis(200));
        harmed += u64::from(match run.harm {
            Harm::Hosts => harm_hosts(processes, there, &mut random)?,
            Harm::Server => harm_server(there.server, &mut random),
            _ => false,
        });
    }
    Ok(harmed)
}

fn harm_hosts(processes: &mut Processes<'_>, there: &There<'_>, random: &mut Rng) -> io::Result<bool> {
    let number = random.usize(..processes.running.len());
    match random.u8(..10) {
        0 => processes.kill(number)?,
        1 | 2 => {
            processes.signal(number, libc::SIGSTOP);
            std::thread::sleep(Duration::from_millis(random.u64(..1_800)));
            processes.signal(number, libc::SIGCONT);
        }
        3 => {
            let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
                AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1";
            there.server.connect(there.name).batch_execute(ended).map_err(io::Error::other)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Kills a part of the server, and waits until it is there again, and a while.
fn harm_server(server: &Server, random: &mut Rng) -> bool {
    match random.u8(..4) {
        0 => {
            server.end(libc::SIGKILL);
            server.start();
        }
        1 => server.kill("checkpointer"),
        _ => server.kill("client backend"),
    }
    std::thread::sleep(Duration::from_millis(random.u64(500..4_000)));
    true
}

/// The standby hears nothing for a while, and then is all that there is.
fn fail_over(there: &There<'_>, lag: u64, doubt: bool) {
    let standby = there.standby.expect("a standby");
    standby.end(libc::SIGINT);
    let (told, began) = (there.double.tally().told, Instant::now());
    std::thread::sleep(Duration::from_millis(lag));
    // On a busy machine it takes longer until HubSpot has been told of what is to be lost.
    while lag > QUIET && there.double.tally().told < told + 60 && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(100));
    }
    there.proxy.lead_to(None);
    there.server.end(libc::SIGKILL);
    standby.start();
    standby.promote();
    if doubt {
        let sql = there.clock.sql(&library().doubt_all());
        standby.connect(there.name).batch_execute(&sql).expect("doubted");
    }
    there.proxy.lead_to(Some(standby.folder()));
}

/// Waits until all changes are told, and looks what everybody's page says then.
fn end(address: &str, double: &Double, clock: Scaled, outcome: &mut Outcome) {
    let began = Instant::now();
    let mut client = loop {
        match Client::connect(address, NoTls) {
            Ok(client) => break client,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(60), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    loop {
        outcome.outstanding = process::outstanding(&mut client).expect("counted");
        if outcome.outstanding == 0 || began.elapsed() > Duration::from_secs(120) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let vidcache = library();
    for row in client.query("SELECT id, email FROM users ORDER BY id", &[]).expect("asked") {
        let (user, email) = (row.get::<_, i32>(0).unsigned_abs(), row.get::<_, i32>(1).unsigned_abs());
        let named = process::is_named(&mut client, &vidcache, clock, (user, email)).expect("asked");
        if !named {
            outcome.stale.push(user);
        }
        if double.holds(user) != Some(email) {
            outcome.unlike.push(user);
            outcome.wrong_in_the_end += u64::from(named);
        }
    }
}

/// What a process of the rig is started as: `kind` and where it finds what it needs. Never returns, unless that is
/// neither.
pub fn be(kind: &str, args: &[String]) {
    let Some(place) = Place::of_args(args) else { return };
    // Not longer than whoever has started it.
    // SAFETY: sets a number of this process's.
    #[cfg(target_os = "linux")]
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
    match kind {
        "web" => process::web(&place),
        "worker" => process::worker(&place),
        _ => {}
    }
}
