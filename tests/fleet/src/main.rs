//! `vidcache-fleet FAULT [--seed N] [--minutes N] [--kind WORD]… [--earlier PROGRAM] [--short]`: what `bin/torture`
//! runs where several hosts are meant. `vidcache-fleet kept [--quick]`: what a page from memory costs, for `bin/bench`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use vidcache_fleet::Server;
use vidcache_fleet::clocks::can_be_wrong;
use vidcache_fleet::rig::{self, Harm, Odd, Run, Variant, Way};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(first) = args.first() else { return ExitCode::from(2) };
    match first.as_str() {
        "web" | "worker" => {
            rig::be(first, &args[1..]);
            ExitCode::from(2)
        }
        "fleet" => fleet(&args[1..]),
        "fleet-faults" => faults(&args[1..]),
        "kept" => {
            if let Some(server) = Server::get() {
                vidcache_fleet::kept::measure(&server, args.iter().any(|arg| arg == "--quick"));
            }
            ExitCode::SUCCESS
        }
        _ => ExitCode::from(2),
    }
}

/// What follows a word.
fn word<'a>(args: &'a [String], name: &str) -> Option<&'a String> {
    let at = args.iter().position(|arg| arg == name)?;
    args.get(at + 1)
}

fn number(args: &[String], name: &str) -> Option<u64> {
    word(args, name)?.parse().ok()
}

/// The design for as long as is asked, then each weaker variant until it is caught; in the short form these at once,
/// since each mostly waits.
fn fleet(args: &[String]) -> ExitCode {
    let Some(server) = Server::own(&["max_connections=250"]) else { return ExitCode::SUCCESS };
    let replica = server.standby(&["recovery_min_apply_delay=3s"]);
    let (seed, length) = of(args, 6);
    let design = Run {
        seed,
        length,
        users: 2_000,
        web: 6,
        workers: 2,
        variant: Variant::Design,
        harm: Harm::Hosts,
        odd: Odd::None,
        way: Way::Direct,
        watches: false,
    };
    let weaker = |variant| Run {
        length: Duration::from_secs(120),
        users: 30,
        web: 2,
        workers: 1,
        variant,
        harm: Harm::None,
        ..design.clone()
    };
    let watching = Variant::WATCHING.into_iter().map(|variant| Run { watches: true, ..weaker(variant) });
    let weaker: Vec<Run> = Variant::WEAKER.map(weaker).into_iter().chain(watching).collect();
    let weaker: Vec<Run> = weaker.into_iter().filter(|run| is_wanted(args, run.variant.name())).collect();
    // A replica's answer empties memory, so in those that are to be caught there is none.
    let replica = |run: &Run| (!run.watches || !run.is_to_fail()).then_some(&replica);
    let one = |run: &Run| report("fleet", run.variant.name(), &server, (replica(run), None), run);
    let mut right = !is_wanted(args, design.variant.name()) || one(&design);
    if is_wanted(args, WATCH) {
        let run = Run { watches: true, ..design.clone() };
        right &= report("fleet", WATCH, &server, (replica(&run), None), &run);
    }
    for some in weaker.chunks(if is_short(args) { weaker.len().max(1) } else { 1 }) {
        thread::scope(|scope| {
            let all: Vec<_> = some.iter().map(|run| scope.spawn(|| one(run))).collect();
            right &= all.into_iter().all(|one| one.join().unwrap_or(false));
        });
    }
    ExitCode::from(u8::from(!right))
}

/// The design, of which some hosts keep answers.
const WATCH: &str = "watch";

/// A kind of `fleet-faults`: what goes wrong, what is odd, the way, `synchronous_commit`, and by how many seconds
/// PostgreSQL's clock is ahead.
struct Kind {
    name: &'static str,
    harm: Harm,
    odd: Odd,
    way: Way,
    synchronous: &'static str,
    ahead: i64,
}

impl Kind {
    fn new(name: &'static str, harm: Harm) -> Self {
        Self { name, harm, odd: Odd::None, way: Way::Direct, synchronous: "on", ahead: 0 }
    }

    /// All that are wanted, and can be had.
    fn all(args: &[String]) -> Vec<Self> {
        let failover = |lag, doubt| Harm::Failover { lag, doubt };
        let mut all = vec![
            Self::new("network", Harm::Network),
            Self::new("cut-off", Harm::Cut),
            Self::new("steps", Harm::Steps),
            Self::new("server", Harm::Server { asynchronous: false }),
            Self { synchronous: "off", ..Self::new("server-asynchronous", Harm::Server { asynchronous: true }) },
            Self::new("failover-within-quiet", failover(500, false)),
            Self::new("failover-doubted", failover(4_000, true)),
            Self::new("failover-beyond-quiet", failover(4_000, false)),
            Self { odd: Odd::Secret, ..Self::new("secret", Harm::Hosts) },
            Self { way: Way::Pooled { prepared: false }, ..Self::new("pgbouncer", Harm::Hosts) },
            Self { way: Way::Pooled { prepared: true }, ..Self::new("pgbouncer-prepared", Harm::None) },
        ];
        // The server's time goes ten times as fast as the rest of the fleet's, and so does what it is ahead by.
        let clocks = [
            Self { odd: Odd::Clocks(3_600), ..Self::new("clocks-of-hosts", Harm::Hosts) },
            Self { ahead: 360, ..Self::new("clocks-of-the-server-ahead", Harm::Hosts) },
            Self { ahead: -360, ..Self::new("clocks-of-the-server-behind", Harm::Hosts) },
        ];
        let earlier =
            word(args, "--earlier").and_then(|path| PathBuf::from(path).canonicalize().ok()).unwrap_or_default();
        all.extend(clocks);
        all.push(Self { odd: Odd::Earlier(earlier), ..Self::new("versions", Harm::Hosts) });
        all.retain(|kind| is_wanted(args, kind.name) && kind.can_be_had());
        all
    }
}

impl Kind {
    /// Whether what it takes is there; if not, that is printed.
    fn can_be_had(&self) -> bool {
        let why = match &self.odd {
            Odd::Earlier(program) if program.as_os_str().is_empty() => "there is no program of an earlier version",
            Odd::Clocks(_) if !can_be_wrong() => "libfaketime is not installed",
            _ if self.ahead != 0 && !can_be_wrong() => "libfaketime is not installed",
            _ => return true,
        };
        println!("fleet-faults {} skipped because {why}", self.name);
        false
    }
}

/// The design while something else breaks.
fn faults(args: &[String]) -> ExitCode {
    let (seed, length) = of(args, 4);
    let mut right = true;
    for Kind { name, harm, odd, way, synchronous, ahead } in Kind::all(args) {
        let synchronous = format!("synchronous_commit={synchronous}");
        let Some(server) = Server::of_clock(&["max_connections=150", &synchronous], ahead) else {
            return ExitCode::SUCCESS;
        };
        let standby = matches!(harm, Harm::Failover { .. }).then(|| server.standby(&[]));
        // A failover happens once.
        let length =
            if standby.is_some() { length.clamp(Duration::from_secs(8), Duration::from_secs(20)) } else { length };
        let users = if harm == Harm::Steps { 400 } else { 100 };
        // One of eight has another secret; half are of an earlier version.
        let web = if odd == Odd::None { 3 } else { 6 };
        let run = Run { seed, length, users, web, workers: 2, variant: Variant::Design, harm, odd, way, watches: true };
        right &= report("fleet-faults", name, &server, (None, standby.as_ref()), &run);
    }
    ExitCode::from(u8::from(!right))
}

/// Whether a kind is wanted: all are, unless some are named, by how their names begin.
fn is_wanted(args: &[String], name: &str) -> bool {
    let mut named =
        args.iter().zip(args.iter().skip(1)).filter(|(arg, _)| *arg == "--kind").map(|(_, kind)| kind).peekable();
    named.peek().is_none() || named.any(|kind| name.starts_with(kind.as_str()))
}

fn is_short(args: &[String]) -> bool {
    args.iter().any(|arg| arg == "--short")
}

fn of(args: &[String], short: u64) -> (u64, Duration) {
    let seed = number(args, "--seed").unwrap_or_else(|| fastrand::u64(..1_000_000));
    let length = match number(args, "--minutes") {
        Some(minutes) => 60 * minutes,
        None if is_short(args) => short,
        None => 3600,
    };
    (seed, Duration::from_secs(length))
}

/// Runs it, and says in a line what came of it: whether that is right.
fn report(
    fault: &str,
    name: &str,
    server: &Server,
    (replica, standby): (Option<&Server>, Option<&Server>),
    run: &Run,
) -> bool {
    let (began, program) = (Instant::now(), std::env::current_exe().expect("this program"));
    let outcome = match rig::run(&program, server, replica, standby, run) {
        Ok(Some(outcome)) => outcome,
        Ok(None) => return true,
        Err(error) => {
            println!("FAILED {fault} {name}, --seed {}: {error}", run.seed);
            return false;
        }
    };
    let right = if run.is_to_fail() { outcome.wrong() > 0 } else { outcome.is_right(run) };
    let (word, seconds) = (if right { "ok    " } else { "FAILED" }, began.elapsed().as_secs());
    println!("{word} {fault} {name}, --seed {}, {seconds} s: {outcome}", run.seed);
    right
}
