//! What came of a run, and what everybody's page says in the end.

use std::fmt;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use vidcache::Reason;

use super::process::{self, Prepared, library};
use super::{Harm, Run};
use crate::double::Double;
use crate::portal::Tally;
use crate::scaled::Scaled;

/// How long it may take until less is left to be told and heard than was.
const PATIENCE: Duration = Duration::from_secs(120);

/// From which length on a run has to have compared memory with what is so, however slow the machine is.
const LONG: Duration = Duration::from_secs(30);

/// What came of a run.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What the judge has counted.
    pub tally: Tally,
    /// Users whose page names no email in the end, though HubSpot holds the app's, and why.
    pub stale: Vec<(u32, Reason)>,
    /// Changes that were never told, and webhooks that were never taken in.
    pub outstanding: i64,
    /// Users whose contact holds in the end an email of theirs that the app has no more.
    pub unlike: Vec<u32>,
    /// Those whose page names in the end what HubSpot does not hold.
    pub wrong_in_the_end: u64,
    /// How many pages came from memory, in tens.
    pub kept: usize,
    /// How often memory was compared with what is so.
    pub compared: usize,
    /// What no process expected.
    pub unexpected: Vec<String>,
    /// How many connections were given up.
    pub broken: usize,
    /// How often something was killed, stopped, cut or ended.
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
    pub fn is_right(&self, run: &Run) -> bool {
        // What was lost with its change the app has forgotten, and HubSpot has not.
        let lost = matches!(run.harm, Harm::Failover { doubt: true, .. });
        self.wrong() == 0
            && self.tally.has_seen(run)
            && (!run.watches || self.kept > 0)
            && (!run.watches || self.compared > 0 || run.length < LONG)
            && self.stale.is_empty()
            && self.outstanding == 0
            && (lost || self.unlike.is_empty())
            && self.unexpected.is_empty()
    }
}

impl Tally {
    /// Whether each thing has happened that a run of that kind is to judge.
    pub(super) fn has_seen(&self, run: &Run) -> bool {
        self.named > 0 && self.told > 0 && (!run.shares() || self.merged > 0 && self.walked > 0)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tally, stale, outstanding, unlike, kept, compared, unexpected, broken, harmed, swallowed, .. } =
            self;
        let Tally { pages, walked, named, told, merged, erased, excused, first, .. } = tally;
        let kept = if *kept > 0 { format!(", {kept}0 from memory, compared {compared} times") } else { String::new() };
        write!(f, "{pages} pages, {walked} of them by two statements{kept}; {named} named an email, ")?;
        write!(f, "{} wrongly, {excused} before a merge was heard; HubSpot told {told} times, ", self.wrong())?;
        write!(f, "{merged} merges, {erased} erased; {harmed} harmed, {broken} connections given up, ")?;
        write!(f, "{swallowed} commits unanswered; ")?;
        write!(f, "in the end {} stale, {outstanding} untold, {} unlike HubSpot, ", stale.len(), unlike.len())?;
        write!(f, "{} unexpected", unexpected.len())?;
        let stale = stale.first().map(|stale| format!("{stale:?}"));
        if let Some(first) = first.as_ref().or(unexpected.first()).or(stale.as_ref()) {
            write!(f, " ({first})")?;
        }
        Ok(())
    }
}

/// Waits until all changes are told, all webhooks heard and all doubts read again, and looks what everybody's page says
/// then.
pub(super) fn end(address: &str, double: &Double, clock: Scaled, outcome: &mut Outcome) {
    let (mut began, mut least) = (Instant::now(), i64::MAX);
    let mut client = loop {
        match Client::connect(address, NoTls) {
            Ok(client) => break client,
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    loop {
        let unheard = i64::try_from(double.portal().unheard()).unwrap_or(i64::MAX);
        outcome.outstanding = process::outstanding(&mut client).expect("counted") + unheard;
        if outcome.outstanding < least {
            (began, least) = (Instant::now(), outcome.outstanding);
        }
        let is_late = began.elapsed() > PATIENCE;
        if outcome.outstanding == 0 || is_late {
            look(&mut client, double, clock, outcome);
            if outcome.stale.is_empty() || is_late {
                return;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn look(client: &mut Client, double: &Double, clock: Scaled, outcome: &mut Outcome) {
    let vidcache = library();
    let prepared = Prepared::by(client, &vidcache, clock).expect("prepared");
    (outcome.stale, outcome.unlike, outcome.wrong_in_the_end) = (Vec::new(), Vec::new(), 0);
    for row in client.query("SELECT id, email FROM users ORDER BY id", &[]).expect("asked") {
        let own = (row.get::<_, i32>(0).unsigned_abs(), row.get::<_, i32>(1).unsigned_abs());
        let holds = double.portal().holds(own.0);
        match process::reason(client, &vidcache, &prepared, own).expect("asked") {
            Reason::Agreed => outcome.wrong_in_the_end += u64::from(holds != Some(own)),
            why if holds == Some(own) => outcome.stale.push((own.0, why)),
            _ => {}
        }
        if holds.is_some_and(|(user, email)| user == own.0 && email != own.1) {
            outcome.unlike.push(own.0);
        }
    }
}
