//! A PostgreSQL that the tests start: on a socket in a temporary folder, ended with the last test that uses it.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use postgres::{Client, Config, NoTls};
use tempfile::TempDir;

use crate::clocks;

/// A server, and the folder that holds its data and its socket.
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    settings: Vec<String>,
    /// By how many seconds its clock is ahead.
    ahead: i64,
    postmaster: Mutex<Option<Child>>,
    databases: AtomicU32,
}

static RUNNING: Mutex<Weak<Server>> = Mutex::new(Weak::new());

impl Server {
    /// The server, started if it does not run. `None`: PostgreSQL is not installed, or it cannot be run as this user;
    /// why is printed.
    ///
    /// # Panics
    /// If it is there and does not start.
    pub fn get() -> Option<Arc<Self>> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = running.upgrade() {
            return Some(server);
        }
        let server = Arc::new(Self::own(&["max_connections=50"])?);
        *running = Arc::downgrade(&server);
        Some(server)
    }

    /// A server that nobody else has, with settings of its own. `None` as of [`Server::get`].
    ///
    /// # Panics
    /// If it is there and does not start.
    pub fn own(settings: &[&str]) -> Option<Self> {
        Self::of_clock(settings, 0)
    }

    /// [`Server::own`] whose clock is that many seconds ahead, or behind; where libfaketime is installed.
    ///
    /// # Panics
    /// If it is there and does not start.
    pub fn of_clock(settings: &[&str], ahead: i64) -> Option<Self> {
        let server = Self::new(settings).and_then(|mut server| {
            server.ahead = ahead;
            let made = server
                .command("initdb")
                .args(["--no-sync", "--auth=trust", "--username=fleet", "--encoding=UTF8", "--locale=C", "-D"])
                .arg(server.data())
                .output()
                .map_err(|e| e.to_string())?;
            assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
            Ok(server)
        });
        match server {
            Ok(server) => {
                server.start();
                Some(server)
            }
            Err(why) => {
                println!("skipped because {why}");
                None
            }
        }
    }

    /// A standby of this server, with settings of its own besides.
    ///
    /// # Panics
    /// If it does not start.
    pub fn standby(&self, settings: &[&str]) -> Self {
        let all: Vec<&str> = self.settings.iter().map(String::as_str).chain(settings.iter().copied()).collect();
        let standby = Self::new(&all).expect("as this one");
        let copied = standby
            .command("pg_basebackup")
            .args([
                "--no-sync",
                "--checkpoint=fast",
                "--write-recovery-conf",
                "--username=fleet",
                "--wal-method=stream",
            ])
            .arg("--host")
            .arg(self.folder.path())
            .arg("--pgdata")
            .arg(standby.data())
            .output()
            .expect("a program");
        assert!(copied.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr));
        standby.start();
        standby
    }

    fn new(settings: &[&str]) -> Result<Self, String> {
        let programs = programs().ok_or("PostgreSQL's server is not installed")?;
        let folder = tempfile::Builder::new().prefix("fleet").tempdir_in("/tmp").map_err(|e| e.to_string())?;
        // A server does not run as root.
        let user = match unprivileged() {
            None => None,
            Some(user) => Some(user.ok_or("root has no user postgres or nobody to run PostgreSQL as")?),
        };
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).map_err(|e| e.to_string())?;
        }
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        Ok(Self {
            folder,
            programs,
            user,
            settings,
            ahead: 0,
            postmaster: Mutex::new(None),
            databases: AtomicU32::new(0),
        })
    }

    /// A program of PostgreSQL's, as the user that its server runs as.
    pub fn command(&self, program: &str) -> Command {
        self.command_as_it(&self.programs.join(program))
    }

    /// Any program, as that user.
    pub(crate) fn command_as_it(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// The user and the group that it runs as, where that is not our own.
    pub(crate) fn runs_as(&self) -> Option<(u32, u32)> {
        self.user
    }

    /// By how many seconds its clock is ahead.
    pub(crate) fn ahead(&self) -> i64 {
        self.ahead
    }

    /// The folder of its data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The folder of its socket.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it, after it has ended, and waits until it takes connections.
    ///
    /// # Panics
    /// If it does not start within a minute.
    pub fn start(&self) {
        let began = Instant::now();
        // What a server that was killed has left behind ends a moment later than it.
        while let Err(why) = self.try_start() {
            assert!(began.elapsed() < Duration::from_secs(60), "PostgreSQL ended: {why}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn try_start(&self) -> Result<(), String> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("log"));
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path());
        command.args(["-c", "listen_addresses=", "-c", "fsync=off"]);
        for setting in &self.settings {
            command.arg("-c").arg(setting);
        }
        if self.ahead != 0 {
            command.envs(clocks::ahead(self.ahead).ok_or("libfaketime is not installed")?);
        }
        let log = log.map_err(|e| e.to_string())?;
        let mut postmaster = command.stdout(Stdio::null()).stderr(log).spawn().map_err(|e| e.to_string())?;
        // It says that it is ready by taking a connection.
        while self.try_connect("postgres", "fleet").is_err() {
            if let Ok(Some(status)) = postmaster.try_wait() {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                return Err(format!("{status}: {}", log.lines().rev().take(20).collect::<Vec<_>>().join("\n")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        *self.postmaster.lock().unwrap_or_else(PoisonError::into_inner) = Some(postmaster);
        Ok(())
    }

    /// Ends it by a signal: `SIGKILL`, `SIGQUIT` (at once), `SIGINT` (in order).
    pub fn end(&self, signal: i32) {
        let Some(mut postmaster) = self.postmaster.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        if let Ok(pid) = i32::try_from(postmaster.id()) {
            // SAFETY: the child of this process, which has not been waited for.
            unsafe { libc::kill(pid, signal) };
        }
        let _ = postmaster.wait();
    }

    /// Kills a process of the server's: of the kind that `pg_stat_activity` calls so. All its others start anew then.
    pub fn kill(&self, kind: &str) {
        let ask = format!(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = '{kind}' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1"
        );
        let asked = self.try_connect("postgres", "fleet").and_then(|mut client| client.query_opt(&ask, &[]));
        if let Ok(Some(row)) = asked {
            // SAFETY: a process of a server that this process has started.
            unsafe { libc::kill(row.get(0), libc::SIGKILL) };
        }
    }

    /// Waits until a standby has heard of all that its primary has written.
    ///
    /// # Panics
    /// If one of them refuses.
    pub fn catch_up(&self, primary: &Self) {
        let text = |server: &Self, sql: &str| -> String {
            server.connect("postgres").query_one(sql, &[]).expect("one row").get(0)
        };
        let written = text(primary, "SELECT pg_current_wal_insert_lsn()::text");
        text(primary, "SELECT pg_switch_wal()::text"); // Sent, too.
        let heard = format!("SELECT (pg_last_wal_replay_lsn() >= '{written}'::pg_lsn)::text");
        while text(self, &heard) != "true" {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes a standby the primary, with as much as it has.
    ///
    /// # Panics
    /// If it does not become it.
    pub fn promote(&self) {
        self.connect("postgres").batch_execute("SELECT pg_promote(true)").expect("promoted");
    }

    /// A new database.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn database(&self) -> String {
        let name = format!("app{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.connect("postgres").batch_execute(&format!("CREATE DATABASE {name}")).expect("a database");
        name
    }

    /// How a client finds a database.
    pub fn address(&self, database: &str) -> String {
        format!("host={} user=fleet dbname={database}", self.folder.path().display())
    }

    /// A connection to a database.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn connect(&self, database: &str) -> Client {
        self.connect_as(database, "fleet")
    }

    /// A connection of another role.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn connect_as(&self, database: &str, role: &str) -> Client {
        self.try_connect(database, role).expect("a connection")
    }

    fn try_connect(&self, database: &str, role: &str) -> Result<Client, postgres::Error> {
        Config::new().host_path(self.folder.path()).user(role).dbname(database).connect(NoTls)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end(libc::SIGQUIT);
    }
}

/// The folder of the newest server's programs.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        let version = entry.file_name().to_str().and_then(|name| name.parse().ok());
        found.extend(version.map(|version| (version, entry.path().join("bin"))));
    }
    found.sort();
    let newest = found.into_iter().map(|(_, programs)| programs).rev();
    let path = std::env::var_os("PATH").unwrap_or_default();
    newest.chain(std::env::split_paths(&path)).find(|folder| is_there(folder, "initdb") && is_there(folder, "postgres"))
}

fn is_there(folder: &Path, program: &str) -> bool {
    folder.join(program).is_file()
}

/// Whom to run a server as: `None`, as ourselves; `Some(None)`, we are root and there is nobody else.
#[allow(clippy::option_option)]
fn unprivileged() -> Option<Option<(u32, u32)>> {
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 {
        return None;
    }
    Some(["postgres", "nobody"].into_iter().find_map(|name| {
        let name = CString::new(name).ok()?;
        // SAFETY: the name ends in a NUL; what comes back is read before anybody else asks, in one thread.
        let found = unsafe { libc::getpwnam(name.as_ptr()).as_ref() }?;
        Some((found.pw_uid, found.pw_gid))
    }))
}
