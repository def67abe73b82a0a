//! PgBouncer in transaction mode, as Debian has it, between the hosts and the server.

use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Server;

/// A PgBouncer that runs, on a socket in a folder of its own.
pub struct Bouncer {
    folder: TempDir,
    child: Child,
}

impl Bouncer {
    /// Starts one before a server, which it asks by fewer connections than clients have. `None`: it is not installed,
    /// which is printed.
    ///
    /// # Errors
    /// If it is there and does not start.
    pub fn before(server: &Server) -> io::Result<Option<Self>> {
        let program = Path::new("/usr/sbin/pgbouncer");
        if !program.is_file() {
            println!("skipped because PgBouncer is not installed (Debian: pgbouncer)");
            return Ok(None);
        }
        let folder = tempfile::Builder::new().prefix("bouncer").tempdir_in("/tmp")?;
        let path = folder.path().display().to_string();
        let settings = format!(
            "[databases]\n* = host={} port=5432 user=fleet\n[pgbouncer]\nlisten_addr =\nlisten_port = 5432\n\
             unix_socket_dir = {path}\nauth_type = any\npool_mode = transaction\nmax_client_conn = 300\n\
             default_pool_size = 20\nlogfile = {path}/log\n",
            server.folder().display()
        );
        fs::write(folder.path().join("ini"), settings)?;
        let mut command = server.command_as_it(program);
        if let Some((uid, gid)) = server.runs_as() {
            chown(folder.path(), Some(uid), Some(gid))?;
        }
        let child = command.args(["-q", &format!("{path}/ini")]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let (began, bouncer) = (Instant::now(), Self { folder, child });
        while !bouncer.folder.path().join(".s.PGSQL.5432").exists() {
            if began.elapsed() > Duration::from_secs(60) {
                let log = fs::read_to_string(bouncer.folder.path().join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("PgBouncer does not start: {log}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(bouncer))
    }

    /// The folder of its socket.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
