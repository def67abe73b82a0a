//! A PostgreSQL that the tests start: on a socket in a temporary folder, ended with the last test that uses it.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use postgres::{Client, Config, NoTls};
use tempfile::TempDir;

/// A server, and the folder that holds its data and its socket.
pub struct Server {
    folder: TempDir,
    postmaster: Child,
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
        match Self::start() {
            Ok(server) => {
                let server = Arc::new(server);
                *running = Arc::downgrade(&server);
                Some(server)
            }
            Err(why) => {
                println!("skipped because {why}");
                None
            }
        }
    }

    fn start() -> Result<Self, String> {
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
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.current_dir(folder.path()).stdin(Stdio::null());
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command
        };
        let data = folder.path().join("data");
        let made = command("initdb")
            .args(["--no-sync", "--auth=trust", "--username=fleet", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(&data)
            .output()
            .map_err(|e| e.to_string())?;
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let log = fs::File::create(folder.path().join("log")).map_err(|e| e.to_string())?;
        let postmaster = command("postgres")
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=50"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| e.to_string())?;
        let mut server = Self { folder, postmaster, databases: AtomicU32::new(0) };
        // It says that it is ready by taking a connection.
        while server.try_connect("postgres", "fleet").is_err() {
            if let Ok(Some(status)) = server.postmaster.try_wait() {
                let log = fs::read_to_string(server.folder.path().join("log")).unwrap_or_default();
                panic!("PostgreSQL ended, {status}: {log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
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
        if let Ok(pid) = i32::try_from(self.postmaster.id()) {
            // SAFETY: the child of this process, which has not been waited for.
            unsafe { libc::kill(pid, libc::SIGQUIT) };
        }
        let _ = self.postmaster.wait();
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
