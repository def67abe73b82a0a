//! The clock jumps. This program has a `clock_gettime` of its own, so the library in it sees whatever time it is told.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use vidcache::{Error, Reason, UserKey, Vid, Vidcache};

use crate::world::{answer, email, open, verify, vid};
use crate::{Outcome, Run};

/// By how many seconds the wall clock is wrong.
static WRONG_BY: AtomicI64 = AtomicI64::new(0);

/// Takes libc's place for everything in this program.
///
/// # Safety
/// As libc's: `time` points to a `timespec`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    // SAFETY: the caller's arguments, for the same system call; `time` was filled in where it succeeded.
    unsafe {
        let status = libc::syscall(libc::SYS_clock_gettime, clock, time) as libc::c_int;
        if status == 0 && (clock == libc::CLOCK_REALTIME || clock == libc::CLOCK_REALTIME_COARSE) {
            (*time).tv_sec += WRONG_BY.load(Ordering::Relaxed);
        }
        status
    }
}

const DAY: i64 = 24 * 3600;
const YEAR: i64 = 365 * DAY;

struct Clock<'a>(&'a Vidcache);

impl Clock<'_> {
    fn link(&self, user: i64, number: i64) -> Result<(), String> {
        self.0.link(UserKey::from(user), vid(number)).map_err(|e| format!("link: {e}"))
    }

    fn says(&self, user: i64, named: i64, reason: Reason) -> Result<(), String> {
        let named = email(named);
        let found = self.0.decide(UserKey::from(user), Some(&named)).map_err(|e| format!("decide: {e}"))?;
        if found.reason() == reason { Ok(()) } else { Err(format!("{:?} instead of {reason:?}", found.reason())) }
    }

    /// Everything once, with the clock jumping in between.
    fn jump(&self, base: i64, by: i64) -> Result<(), String> {
        let (cache, user) = (self.0, UserKey::from(base));
        let set = |by| WRONG_BY.store(by, Ordering::SeqCst);
        set(0);
        // The later link is the one that counts, and the first stays the external id.
        self.link(base, base * 10 + 1)?;
        cache.record(user, &answer(base * 10 + 1, 1, 1_000), None).map_err(|e| e.to_string())?;
        set(by);
        self.link(base, base * 10 + 2)?;
        let found = cache.resolve(user).map_err(|e| e.to_string())?.ok_or("not linked")?;
        if (found.vid.get(), found.external_id.map(Vid::get)) != (base * 10 + 2, Some(base * 10 + 1)) {
            return Err(format!("the later link does not count: {found:?}"));
        }
        // A change begun on one side of the jump and finished on the other; and its job run twice.
        for (before, after) in [(0, by), (by, 0)] {
            set(before);
            let at = 2_000 + before.signum() * 10;
            let change = cache.begin_email_change(user).map_err(|e| format!("begin: {e}"))?;
            set(after);
            self.says(base, 2, Reason::ChangeOutstanding)?;
            if !cache.is_change_outstanding(user, change).map_err(|e| e.to_string())? {
                return Err("the change is not outstanding".into());
            }
            let body = answer(base * 10 + 2, 2, at + 500 * i64::from(before != 0));
            for _ in 0..2 {
                cache.record(user, &body, Some(change)).map_err(|e| format!("finish: {e}"))?;
                self.says(base, 2, Reason::Agreed)?;
            }
            if cache.is_change_outstanding(user, change).map_err(|e| e.to_string())? {
                return Err("the change has not ended".into());
            }
        }
        // An answer of HubSpot's is as old as HubSpot says, whatever this clock says.
        set(by);
        cache.record(user, &answer(base * 10 + 2, 3, 1_500), None).map_err(|e| e.to_string())?;
        self.says(base, 2, Reason::Agreed)?;
        set(0);
        cache.snippet(user, Some(&email(2)), None).map_err(|e| e.to_string()).map(drop)
    }
}

/// What is forgotten after thirty days is an ended change; one that is outstanding never is.
fn thirty_days_on(cache: &Vidcache) -> Result<(), String> {
    let (user, other) = (UserKey::from(900), UserKey::from(901));
    let say = |e: Error| e.to_string();
    let outstanding = cache.begin_email_change(user).map_err(say)?;
    let ended = cache.begin_email_change(user).map_err(say)?;
    cache.abandon_email_change(user, ended).map_err(say)?;
    WRONG_BY.store(31 * DAY, Ordering::SeqCst);
    for _ in 0..20 {
        let change = cache.begin_email_change(other).map_err(say)?;
        cache.abandon_email_change(other, change).map_err(say)?;
    }
    if !cache.is_change_outstanding(user, outstanding).map_err(say)? {
        return Err("an outstanding change was forgotten".into());
    }
    let stale = cache.stale_changes(Duration::from_secs(30 * DAY as u64), 10).map_err(say)?;
    if !stale.iter().any(|change| change.token == outstanding) {
        return Err("an old change is not listed".into());
    }
    match cache.abandon_email_change(user, ended) {
        Err(Error::UnknownChange) => {}
        other => return Err(format!("a change that ended 31 days ago: {other:?}")),
    }
    WRONG_BY.store(0, Ordering::SeqCst);
    if cache.is_change_outstanding(user, outstanding) == Ok(true) { Ok(()) } else { Err("it is forgotten".into()) }
}

pub(crate) fn run(_: Run) -> Outcome {
    let dir = crate::shared::folder()?;
    let cache = open(&dir.path().join("hubspot.vidcache")).map_err(|e| e.to_string())?;
    let jumps = [-1, 1, -3_600, -DAY, -29 * DAY, DAY, -10 * YEAR, 10 * YEAR, -100 * YEAR, 200 * YEAR];
    for (n, by) in jumps.into_iter().enumerate() {
        Clock(&cache).jump(n as i64 + 1, by).map_err(|wrong| format!("by {by} s: {wrong}"))?;
    }
    thirty_days_on(&cache)?;
    verify(&cache)?;
    Ok(format!("{} jumps from 100 years back to 200 years on, 0 wrong decisions", jumps.len()))
}
