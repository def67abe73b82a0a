//! The processes of a run, each on a folder of its own, behind a proxy of its own.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::process::{self, Place};
use super::{Odd, Run, address};
use crate::clocks;
use crate::proxy::Proxy;

/// A process, and what leads it to the server.
struct One {
    kind: &'static str,
    child: Child,
}

/// All of them, by number: those that serve first.
pub(super) struct Processes<'a> {
    pub(super) program: &'a Path,
    pub(super) place: Place,
    pub(super) run: &'a Run,
    /// The database's name.
    pub(super) name: &'a str,
    running: Vec<One>,
    pub(super) proxies: Vec<Proxy>,
    started: u64,
}

impl<'a> Processes<'a> {
    pub(super) fn new(program: &'a Path, place: Place, run: &'a Run, name: &'a str) -> Self {
        Self { program, place, run, name, running: Vec::new(), proxies: Vec::new(), started: 0 }
    }

    /// Starts all, each of which finds the server in `target` by a proxy that meets `faults`.
    pub(super) fn start_all(&mut self, target: &Path, faults: u16) -> io::Result<()> {
        for number in 0..self.run.web + self.run.workers {
            let folder = process::own(&self.place.folder, &format!("proxy{number}"))?;
            self.proxies.push(Proxy::listen(&folder, target, faults, self.run.seed + number as u64)?);
        }
        (0..self.run.web + self.run.workers).try_for_each(|number| self.start(number))
    }

    fn start(&mut self, number: usize) -> io::Result<()> {
        self.started += 1;
        let run = self.run;
        let kind = if number < run.web { "web" } else { "worker" };
        let folder = process::own(&self.place.folder, &format!("{kind}{number}"))?;
        let mut place = Place {
            folder: folder.clone(),
            primary: address(&self.place.folder.join(format!("proxy{number}")), self.name),
            seed: self.place.seed.wrapping_add(self.started * 1000),
            ..self.place.clone()
        };
        // Of those who serve half keep answers; of weaker ones all do.
        place.watches = run.watches && kind == "web" && (number.is_multiple_of(2) || run.is_to_fail());
        // Of those who serve and of the workers the first is odd.
        let is_first = [0, run.web].contains(&number);
        let mut program: PathBuf = self.program.to_owned();
        let mut clock = None;
        match &run.odd {
            Odd::Secret => place.has_other_secret = number == 0,
            Odd::Clocks(seconds) if is_first => {
                let seconds = if number == 0 { *seconds } else { -seconds };
                (place.ahead, clock) = (seconds * 1000, Some(seconds));
            }
            Odd::Earlier(earlier) if number.is_multiple_of(2) => program.clone_from(earlier),
            _ => {}
        }
        let mut command = Command::new(program);
        command.arg(kind).args(place.to_args()).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
        if let Some(seconds) = clock {
            command.envs(clocks::ahead(seconds).ok_or_else(|| io::Error::other("libfaketime"))?);
        }
        self.running.insert(number, One { kind, child: command.spawn()? });
        Ok(())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// Kills one, and starts another one in its place.
    pub(super) fn kill(&mut self, number: usize) -> io::Result<()> {
        let mut one = self.running.remove(number);
        one.child.kill()?;
        one.child.wait()?;
        self.start(number)
    }

    /// Starts others in the place of those that have ended: how many.
    pub(super) fn replace_ended(&mut self) -> io::Result<usize> {
        let mut ended = 0;
        for number in 0..self.running.len() {
            if self.running[number].child.try_wait()?.is_some() {
                self.running.remove(number);
                self.start(number)?;
                ended += 1;
            }
        }
        Ok(ended)
    }

    pub(super) fn signal(&self, number: usize, signal: i32) {
        if let Ok(pid) = i32::try_from(self.running[number].child.id()) {
            // SAFETY: a child of this process, which has not been waited for.
            unsafe { libc::kill(pid, signal) };
        }
    }

    /// The lines of all files of that name: what was `unexpected`, and which connections were `broken`.
    pub(super) fn noted(&self, name: &str) -> Vec<String> {
        let folders = std::fs::read_dir(&self.place.folder).into_iter().flatten().flatten();
        let files = folders.filter_map(|folder| std::fs::read_to_string(folder.path().join(name)).ok());
        files.flat_map(|file| file.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// Ends those of a kind, or all.
    pub(super) fn stop(&mut self, kind: Option<&str>) {
        self.running.retain_mut(|one| {
            let ends = kind.is_none_or(|kind| kind == one.kind);
            if ends {
                let _ = one.child.kill();
                let _ = one.child.wait();
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
