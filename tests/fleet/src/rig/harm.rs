//! What goes wrong in a run, from outside of the processes.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::process::{self, Prepared, STEPS, library};
use super::processes::Processes;
use super::{Harm, QUIET, Run, Variant};
use crate::Server;
use crate::double::Double;
use crate::scaled::{SCALE, Scaled};
use fastrand::Rng;
use vidcache::Reason;

/// For how long a host is cut off: thirty seconds of the fleet's time, in real milliseconds.
const CUT: u64 = 3_000;

/// How long before the end of a quiet period a primary is killed at the latest, in real milliseconds.
const MARGIN: u64 = 300;

/// Within which an asynchronous commit may be lost, in real milliseconds: three times `wal_writer_delay`, and more.
const LOST: u64 = 1_500;

/// Within which everything has happened that is judged, however slow the machine is.
const SEEN: Duration = Duration::from_secs(60);

/// What can be harmed.
pub(super) struct There<'a> {
    pub(super) server: &'a Server,
    pub(super) standby: Option<&'a Server>,
    pub(super) name: &'a str,
    pub(super) double: &'a Double,
    pub(super) clock: Scaled,
}

/// Lets the processes run, and harms what it is to harm: how often. Ends early once a weaker variant is caught.
pub(super) fn harm(processes: &mut Processes<'_>, there: &There<'_>, run: &Run) -> io::Result<u64> {
    let (began, mut random, mut harmed) = (Instant::now(), Rng::with_seed(run.seed), 0);
    let caught = || there.double.portal().tally.wrong > 0 && run.variant != Variant::Design;
    let pace = (run.length / 300).max(Duration::from_millis(150));
    let mut upset = Instant::now();
    let (mut end, mut failed_over) = (run.length, false);
    let goes_on = |processes: &Processes<'_>, end| {
        let elapsed = began.elapsed();
        // On a busy machine it takes longer until there is anything to judge.
        elapsed < end || elapsed < SEEN && run.variant == Variant::Design && !run.has_seen(processes, there.double)
    };
    while !caught() && (goes_on(processes, end) || run.harm == Harm::Steps && harmed < STEPS.len() as u64) {
        std::thread::sleep(Duration::from_millis(150));
        if run.shares() && upset.elapsed() > pace {
            upset = Instant::now();
            match random.u8(..20) {
                0 => there.double.portal().erase(&mut random),
                _ => there.double.portal().merge(&mut random),
            }
        }
        harmed += match run.harm {
            Harm::Hosts => u64::from(harm_hosts(processes, there, &mut random)?),
            Harm::Server { asynchronous } => u64::from(harm_server(there, asynchronous, &mut random)),
            Harm::Cut => u64::from(cut_off(processes, &mut random)),
            Harm::Steps => kill_after(processes, there, STEPS[usize::try_from(harmed).unwrap_or(0) % STEPS.len()])?,
            Harm::Failover { lag, doubt } if !failed_over && began.elapsed() > run.length / 2 => {
                failed_over = true;
                fail_over(processes, there, lag, doubt);
                // What comes of it takes time, too.
                end = began.elapsed() + run.length / 2;
                1
            }
            _ => 0,
        };
    }
    Ok(harmed)
}

fn harm_hosts(processes: &mut Processes<'_>, there: &There<'_>, random: &mut Rng) -> io::Result<bool> {
    let number = random.usize(..processes.len());
    match random.u8(..14) {
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

/// Kills a part of the server, and waits until it is there again, and a while. What it accepted last it may have lost,
/// where it does not wait for the disk.
fn harm_server(there: &There<'_>, asynchronous: bool, random: &mut Rng) -> bool {
    let before = there.clock.now();
    match random.u8(..4) {
        0 => {
            there.server.end(libc::SIGKILL);
            there.server.start();
        }
        1 => there.server.kill("checkpointer"),
        _ => there.server.kill("client backend"),
    }
    if asynchronous {
        there.double.portal().send_again(before - milliseconds(LOST));
    }
    std::thread::sleep(Duration::from_millis(random.u64(500..4_000)));
    true
}

/// Cuts a host off from the server, for thirty seconds of the fleet's time; what was on its way comes after them, or
/// its connections end. HubSpot it reaches all the while.
fn cut_off(processes: &Processes<'_>, random: &mut Rng) -> bool {
    let proxy = &processes.proxies[random.usize(..processes.proxies.len())];
    proxy.cut();
    std::thread::sleep(Duration::from_millis(CUT));
    if random.bool() {
        proxy.end_all();
    }
    proxy.heal();
    std::thread::sleep(Duration::from_millis(random.u64(..500)));
    true
}

/// Has whoever does that step next be killed after it, starts another process in its place, and waits until the user
/// whose change it was is named again.
fn kill_after(processes: &mut Processes<'_>, there: &There<'_>, step: &str) -> io::Result<u64> {
    let folder = processes.place.folder.clone();
    let [told, killed] = ["kill", "killed"].map(|name| folder.join(name));
    fs::write(folder.join("to kill"), step)?;
    fs::rename(folder.join("to kill"), &told)?;
    wait_until(step, "nobody was killed", || Ok(killed.exists()))?;
    let user: u32 = fs::read_to_string(&killed)?.parse().map_err(io::Error::other)?;
    fs::remove_file(&killed)?;
    wait_until(step, "nobody ended", || Ok(processes.replace_ended()? > 0))?;
    let (mut client, vidcache) = (there.server.connect(there.name), library());
    let told = |error: Box<dyn std::error::Error>| io::Error::other(error.to_string());
    let prepared = Prepared::by(&mut client, &vidcache, there.clock).map_err(told)?;
    let is_named = || {
        let email = process::app_email(&mut client, user).map_err(told)?;
        let reason = process::reason(&mut client, &vidcache, &prepared, (user, email)).map_err(told)?;
        Ok(reason == Reason::Agreed)
    };
    wait_until(step, "the user is not named again", is_named)?;
    Ok(1)
}

fn wait_until(step: &str, what: &str, mut is: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let began = Instant::now();
    while !is()? {
        if began.elapsed() > Duration::from_secs(90) {
            return Err(io::Error::other(format!("after \"{step}\" {what}")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The standby hears nothing for a while, and then is all that there is.
fn fail_over(processes: &Processes<'_>, there: &There<'_>, lag: u64, doubt: bool) {
    let standby = there.standby.expect("a standby");
    let told = || there.double.portal().tally.told;
    let heard = loop {
        let (heard, began) = (there.clock.now(), Instant::now());
        standby.end(libc::SIGINT);
        let before = told();
        std::thread::sleep(Duration::from_millis(lag));
        // On a busy machine it takes longer until HubSpot has been told of what is to be lost.
        while lag > QUIET && told() < before + 60 && began.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(100));
        }
        if lag > QUIET || began.elapsed() < Duration::from_millis(QUIET - MARGIN) {
            break heard;
        }
        // There a standby may also take longer to end than a quiet period, of which nothing is to be lost here.
        standby.start();
        standby.catch_up(there.server);
    };
    processes.lead_to(None);
    there.server.end(libc::SIGKILL);
    // HubSpot does not know what was lost of what it told.
    there.double.portal().send_again(heard - milliseconds(LOST));
    standby.start();
    standby.promote();
    if doubt {
        let sql = there.clock.sql(&library().doubt_all());
        standby.connect(there.name).batch_execute(&sql).expect("doubted");
    }
    processes.lead_to(Some(standby.folder()));
}

impl Run {
    /// Whether each thing has happened that makes a judgement worth something.
    fn has_seen(&self, processes: &Processes<'_>, double: &Double) -> bool {
        double.portal().tally.has_seen(self) && (!self.watches || !processes.noted("kept").is_empty())
    }
}

/// Real milliseconds as the fleet's.
fn milliseconds(real: u64) -> i64 {
    i64::try_from(real).unwrap_or(i64::MAX).saturating_mul(SCALE)
}

impl Processes<'_> {
    fn lead_to(&self, target: Option<&Path>) {
        for proxy in &self.proxies {
            proxy.lead_to(target);
        }
    }
}
