//! The fleet in time that goes by ten times as fast: processes on folders of their own, which change emails in
//! transactions of any length and render pages all the while, from replicas and old snapshots too; workers; a double of
//! HubSpot that merges and erases contacts, and judges every page at every time at which it may come. Now and then a
//! process is stopped or killed, and a connection ended.

mod harm;
mod outcome;
mod process;
mod processes;
mod variant;
mod words;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postgres::Client;
use vidcache::{Email, Imported, Vid};

use self::harm::There;
pub use self::outcome::Outcome;
use self::process::{Place, email_of, key, library};
use self::processes::Processes;
pub use self::variant::Variant;
use crate::double::Double;
pub use crate::portal::Tally;
use crate::portal::{FORMERLY, Portal, first_id, lives_with};
use crate::scaled::Scaled;
use crate::{Bouncer, Server};

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
    /// How many processes serve.
    pub web: usize,
    /// How many are workers.
    pub workers: usize,
    /// What is taken out.
    pub variant: Variant,
    /// What goes wrong besides.
    pub harm: Harm,
    /// What one of the hosts has that others have not.
    pub odd: Odd,
    /// What they ask by.
    pub way: Way,
    /// Whether some of those who serve keep answers.
    pub watches: bool,
}

/// What goes wrong in a run, besides what pages ask of a replica and of old snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Nothing.
    None,
    /// Processes of the app are killed and stopped, connections ended.
    Hosts,
    /// Processes of PostgreSQL are killed, the postmaster too.
    Server {
        /// Whether it loses its last commits then.
        asynchronous: bool,
    },
    /// What is between hosts and server waits, cuts, closes one half, swallows answers.
    Network,
    /// One host after the other is cut off from the server, for thirty seconds of the fleet's time.
    Cut,
    /// A process is killed between any two steps of a change, one after the other.
    Steps,
    /// A standby becomes the primary, without the commits of its last so many real milliseconds.
    Failover {
        /// How many.
        lag: u64,
        /// Whether everything is doubted before anybody asks.
        doubt: bool,
    },
}

/// What some hosts have that others have not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Odd {
    /// Nothing.
    None,
    /// One that serves has another secret.
    Secret,
    /// The clock of one that serves is so many seconds ahead, and that of a worker as many behind.
    Clocks(i64),
    /// Half of them are of this program, whose library is an earlier one.
    Earlier(PathBuf),
}

/// By which way hosts ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// On a connection of their own.
    Direct,
    /// By PgBouncer in transaction mode, and whether they keep statements prepared there.
    Pooled {
        /// Whether.
        prepared: bool,
    },
}

impl Run {
    /// Whether it has to show a duplicate: something that must not be missing is, or more was lost than can be borne.
    pub fn is_to_fail(&self) -> bool {
        let beyond = matches!(self.harm, Harm::Failover { lag, doubt: false } if lag > QUIET);
        beyond || self.variant != Variant::Design
    }

    /// Whether contacts are merged, shared and erased, and users forgotten. Not where each user whose change was broken
    /// off is to be named again.
    fn shares(&self) -> bool {
        self.variant.shares() && self.harm != Harm::Steps
    }
}

fn real_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    i64::try_from(since).unwrap_or(i64::MAX)
}

/// Runs it, with `program` as its processes and, if there are, a replica that lags and a standby. `None`: what it takes
/// is not installed, which is printed.
///
/// # Errors
/// What could not be started; that nobody was killed where somebody was to be, or that a user was never named again.
///
/// # Panics
/// If a statement of the rig's own is refused.
pub fn run(
    program: &Path,
    server: &Server,
    replica: Option<&Server>,
    standby: Option<&Server>,
    run: &Run,
) -> io::Result<Option<Outcome>> {
    let name = server.database();
    let folder = tempfile::Builder::new().prefix("rig").tempdir_in("/tmp")?;
    let clock = Scaled::at(real_now());
    prepare(&mut server.connect(&name), clock, run);
    let socket = folder.path().join("double");
    let double = Double::listen(&socket, Portal::new(clock, run.users, run.shares()))?;
    let place = Place {
        folder: folder.path().to_owned(),
        double: socket,
        primary: String::new(),
        replica: replica.map(|replica| replica.address(&name)),
        variant: run.variant,
        began: clock.began(),
        users: run.users,
        seed: run.seed,
        shares: run.shares(),
        prepares: run.way != Way::Pooled { prepared: false },
        has_other_secret: false,
        ahead: 0,
        server_ahead: server.ahead() * 1000,
        watches: false,
    };
    let bouncer = match run.way {
        Way::Direct => None,
        Way::Pooled { .. } => match Bouncer::before(server)? {
            None => return Ok(None),
            bouncer => bouncer,
        },
    };
    let mut processes = Processes::new(program, place, run, &name);
    let target = bouncer.as_ref().map_or(server.folder(), Bouncer::folder);
    processes.start_all(target, if run.harm == Harm::Network { 20 } else { 0 })?;
    let there = There { server, standby, name: &name, double: &double, clock };
    let mut outcome = Outcome { harmed: harm::harm(&mut processes, &there, run)?, ..Outcome::default() };
    // Who is killed is replaced.
    let ended = processes.replace_ended()?;
    processes.proxies.iter().for_each(crate::proxy::Proxy::heal);
    processes.stop(Some("web"));
    if !run.is_to_fail() {
        // Where a failover leads, too.
        let address = match run.way {
            Way::Direct => address(&folder.path().join("proxy0"), &name),
            Way::Pooled { .. } => server.address(&name),
        };
        outcome::end(&address, &double, clock, &mut outcome);
    }
    outcome.swallowed = processes.proxies.iter().map(crate::proxy::Proxy::swallowed).sum();
    processes.stop(None);
    (outcome.kept, outcome.compared) = (processes.noted("kept").len(), processes.noted("compared").len());
    (outcome.unexpected, outcome.broken) = (processes.noted("unexpected"), processes.noted("broken").len());
    if ended > 0 {
        outcome.unexpected.push(format!("{ended} processes ended by themselves"));
    }
    outcome.tally = double.portal().tally.clone();
    Ok(Some(outcome))
}

/// The app's table and the library's, and who is whose contact.
fn prepare(client: &mut Client, clock: Scaled, run: &Run) {
    let (vidcache, users) = (library(), run.users);
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
    let at = clock.began() - FORMERLY;
    let own: Vec<u32> = (1..=users).filter(|&user| !run.shares() || lives_with(user, users).is_none()).collect();
    for some in own.chunks(500) {
        let known: Vec<_> = some
            .iter()
            .map(|&user| Imported {
                user: key(user),
                vid: Vid::try_from(first_id(user)).expect("positive"),
                email: Some((Email::parse(&email_of(user, 0)).expect("an email"), at)),
            })
            .collect();
        let errand = vidcache.import(&known).expect("times that can be");
        process::run(client, clock, &errand).expect("imported");
    }
    client.batch_execute("ANALYZE").expect("analysed");
}

/// How a client finds a database by the socket in that folder.
fn address(folder: &Path, database: &str) -> String {
    format!("host={} user=fleet dbname={database} connect_timeout=5", folder.display())
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
