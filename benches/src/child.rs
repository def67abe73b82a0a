//! Other processes: this program again, with another first argument.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::Result;

/// A process that has said that it is ready, and waits.
pub(crate) struct Waiting {
    child: Child,
    says: BufReader<std::process::ChildStdout>,
}

/// Starts `vidcache-bench NAME PATH ARGUMENT…`.
pub(crate) fn start(name: &str, path: &Path, arguments: &[String]) -> Result<Waiting> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(name)
        .arg(path)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let says = BufReader::new(child.stdout.take().ok_or("a child without output")?);
    let mut waiting = Waiting { child, says };
    waiting.hear()?;
    Ok(waiting)
}

impl Waiting {
    /// Lets it go on.
    pub(crate) fn go(&mut self) -> Result<()> {
        let stdin = self.child.stdin.as_mut().ok_or("a child without input")?;
        Ok(stdin.write_all(b"go\n")?)
    }

    /// What it found, once it has ended.
    pub(crate) fn result(mut self) -> Result<Value> {
        // A child that runs until it is told to end sees the end of its input.
        drop(self.child.stdin.take());
        let found = self.hear()?;
        let status = self.child.wait()?;
        if !status.success() {
            return Err(format!("a child process failed: {status}").into());
        }
        Ok(found)
    }

    fn hear(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        serde_json::from_str(&line).map_err(|_| format!("a child process said {line:?}").into())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Only one that was given up: one that has ended cannot be killed again.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In the child: says that it is ready, and waits to be let go.
pub(crate) fn ready() -> Result<()> {
    say(&Value::Null)?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(())
}

/// In the child: what the parent hears.
pub(crate) fn say(value: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}
