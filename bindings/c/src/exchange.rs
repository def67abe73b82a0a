//! One thing that is asked, learnt or done by the tables, statement by statement, and what came of it.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::{Arc, RwLock};

use vidcache::in_database::{Database, Decided, Exchange, Outcome, Said, Statement, Step, Turn, Work};
use vidcache::{ChangeToken, Error, Identity, LeaseToken, StaleChange, UserToRead, Vid};

use crate::changes::{self, vidcache_stale_change};
use crate::conflicts::{self, vidcache_conflict, vidcache_key};
use crate::edge::{self, edge, free};
use crate::error::vidcache_result;
use crate::grows::{self, grows};
use crate::input::{self, given};
use crate::lists::{self, vidcache_user_to_read};
use crate::lookup::{self, vidcache_decision, vidcache_identity};
use crate::observe::vidcache_webhook_report;
use crate::record::{self, vidcache_import_report, vidcache_recorded};

/// One thing that is being asked, learnt or done. Opaque; made by `vidcache_database_begin`, freed by
/// `vidcache_exchange_free`. One thread at a time uses it, in the process that began it; others may have their own.
pub struct vidcache_exchange {
    tables: Arc<RwLock<Database>>,
    core: Exchange,
    sent: Option<Sent>,
    ended: Option<Box<Ended>>,
}

/// What is to be sent, with a NUL behind each text.
struct Sent {
    text: Vec<u8>,
    parameters: Vec<Vec<u8>>,
    asks: bool,
    wait_ms: u32,
}

/// What is next: a statement to be sent, all of one exchange by one connection; or, where that is NULL, the end. What
/// it points to is the library's, and stays until the exchange's next call.
#[repr(C)]
pub struct vidcache_step {
    /// sizeof(vidcache_step), set by the caller.
    pub size: usize,
    /// NUL-terminated; NULL: that was all, and vidcache_exchange_outcome says what came of it.
    pub statement: *const c_char,
    /// The bytes of it, without its NUL.
    pub statement_len: usize,
    /// What stands for $1 and $2, each of PostgreSQL's type text, NUL-terminated: hexadecimal digits and `/:,` alone,
    /// which may be put into the statement between apostrophes. NULL: it has none. A statement that has some is the
    /// same for all users, and worth being kept prepared: to plan it takes ten times as long as to run it.
    pub parameters: [*const c_char; 2],
    /// 1: it is one statement, and gives the text of its first row's first column. 0: it gives nothing, and may be
    /// several statements with `;` between them.
    pub asks: u32,
    /// How many milliseconds to wait before it is sent.
    pub wait_ms: u32,
}

grows!(vidcache_step: wait_ms);

/// There is nothing to tell: the change has ended.
pub const VIDCACHE_TURN_ENDED: i32 = 1;
/// The change was seen now: come again a quiet period later.
pub const VIDCACHE_TURN_SEEN: i32 = 2;
/// Come again in `milliseconds`.
pub const VIDCACHE_TURN_WAIT: i32 = 3;
/// Tell HubSpot.
pub const VIDCACHE_TURN_NOW: i32 = 4;

/// What came of an exchange. What its kind does not give is NULL or 0. What it points to is the library's, and stays
/// until the exchange is freed.
#[repr(C)]
pub struct vidcache_outcome {
    /// sizeof(vidcache_outcome), set by the caller.
    pub size: usize,
    /// What a page may say.
    pub decision: *const vidcache_decision,
    /// What an answer about a user said.
    pub recorded: *const vidcache_recorded,
    /// What was done with a webhook.
    pub webhook: *const vidcache_webhook_report,
    /// What was taken in.
    pub imported: *const vidcache_import_report,
    /// Which contact the user is.
    pub identity: *const vidcache_identity,
    /// `count` of them.
    pub stale_changes: *const vidcache_stale_change,
    /// `count` of them.
    pub users_to_read: *const vidcache_user_to_read,
    /// `count` of them.
    pub conflicts: *const vidcache_conflict,
    /// `count` of them.
    pub users: *const vidcache_key,
    /// `count` of them, as vidcache_observed_contacts.
    pub contacts: *const i64,
    /// `missing_count` of them, as vidcache_observed_missing.
    pub missing: *const i64,
    /// Of the one list that is not NULL.
    pub count: usize,
    /// Of `missing`.
    pub missing_count: usize,
    /// NUL-terminated UTF-8.
    pub text: *const c_char,
    /// The bytes of it, without its NUL.
    pub text_len: usize,
    /// A change, a lease (0: another one has it), or where a list goes on.
    pub token: i64,
    /// A time.
    pub milliseconds: u64,
    /// Of a page: why it says less than it could, whose words vidcache_last_error has then, to be reported;
    /// VIDCACHE_OK: it does not.
    pub why: vidcache_result,
    /// One of VIDCACHE_TURN_….
    pub turn: i32,
    /// One of VIDCACHE_REFUSAL_…, or 0.
    pub refusal: i32,
    /// 1: yes.
    pub flag: i32,
}

grows!(vidcache_outcome: flag);

/// What an outcome points to.
#[derive(Default)]
struct Ended {
    decision: Option<Box<MaybeUninit<vidcache_decision>>>,
    recorded: Option<vidcache_recorded>,
    webhook: Option<vidcache_webhook_report>,
    imported: Option<vidcache_import_report>,
    identity: Option<vidcache_identity>,
    stale_changes: Option<Vec<vidcache_stale_change>>,
    users_to_read: Option<Vec<vidcache_user_to_read>>,
    conflicts: Option<Vec<vidcache_conflict>>,
    users: Option<Vec<vidcache_key>>,
    contacts: Option<Vec<i64>>,
    missing: Vec<i64>,
    text: Option<Vec<u8>>,
    token: i64,
    milliseconds: u64,
    why: Option<Error>,
    turn: i32,
    refusal: i32,
    flag: bool,
}

impl vidcache_exchange {
    pub(crate) fn new(tables: Arc<RwLock<Database>>, work: Work, inside: bool) -> Self {
        Self { tables, core: Exchange::new(work, inside), sent: None, ended: None }
    }

    fn next(&mut self, said: Said<'_>) -> Result<vidcache_step, Error> {
        if self.ended.is_some() {
            return Err(Error::InvalidOption { name: "exchange", why: "it has ended" });
        }
        match self.core.next(&self.tables, said)? {
            Step::Send(statement) => self.sent = Some(Sent::from(statement)),
            Step::Done(outcome) => {
                self.sent = None;
                self.ended = Some(Box::new(ended(outcome)?));
            }
        }
        Ok(self.step())
    }

    fn step(&self) -> vidcache_step {
        let (size, none) = (size_of::<vidcache_step>(), ptr::null());
        let Some(sent) = &self.sent else {
            return vidcache_step {
                size,
                statement: none,
                statement_len: 0,
                parameters: [none; 2],
                asks: 0,
                wait_ms: 0,
            };
        };
        let mut parameters = [none; 2];
        for (place, parameter) in parameters.iter_mut().zip(&sent.parameters) {
            *place = parameter.as_ptr().cast();
        }
        let (statement, statement_len) = (sent.text.as_ptr().cast(), sent.text.len() - 1);
        vidcache_step { size, statement, statement_len, parameters, asks: sent.asks.into(), wait_ms: sent.wait_ms }
    }
}

impl From<Statement> for Sent {
    fn from(statement: Statement) -> Self {
        Self {
            text: terminated(statement.text),
            parameters: statement.parameters.into_iter().map(terminated).collect(),
            asks: statement.asks,
            wait_ms: u32::try_from(statement.wait.as_millis()).unwrap_or(u32::MAX),
        }
    }
}

fn terminated(text: String) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    bytes.push(0);
    bytes
}

/// What is next after what the last statement gave, `answer`: NULL with a length of 0 where it gave no row, or gives
/// nothing, and for the first step.
///
/// Fails, when there is nothing more to send, with what the work fails with: VIDCACHE_STORAGE, VIDCACHE_BUSY or
/// VIDCACHE_TABLES_UNUSABLE for what the database refused, VIDCACHE_WRONG_PORTAL, VIDCACHE_WRONG_SECRET or
/// VIDCACHE_NEWER_SCHEMA for whose tables they are, and as the function that the kind names. Then nothing of it was
/// written, but what that function says. VIDCACHE_INVALID_OPTION: the exchange has ended before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_exchange_answered(
    exchange: *mut vidcache_exchange,
    answer: *const c_char,
    answer_len: usize,
    step: *mut vidcache_step,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (exchange, answer, theirs) = unsafe {
            let theirs = grows::theirs(step)?.ok_or(input::null("step"))?;
            let exchange = exchange.as_mut().ok_or(input::null("exchange"))?;
            (exchange, given(answer, answer_len).text(input::MAX_ANSWER, "answer")?, theirs)
        };
        theirs.write(exchange.next(Said::Answer(answer))?);
        Ok(())
    })
}

/// What is next after the last statement was refused. `sqlstate`: the five letters of the server's code; NULL with a
/// length of 0: no server answered.
///
/// Fails as vidcache_exchange_answered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_exchange_refused(
    exchange: *mut vidcache_exchange,
    sqlstate: *const c_char,
    sqlstate_len: usize,
    step: *mut vidcache_step,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (exchange, state, theirs) = unsafe {
            let theirs = grows::theirs(step)?.ok_or(input::null("step"))?;
            let exchange = exchange.as_mut().ok_or(input::null("exchange"))?;
            (exchange, given(sqlstate, sqlstate_len).text(input::MAX_OPTION, "sqlstate")?, theirs)
        };
        theirs.write(exchange.next(Said::Refused(state.unwrap_or_default()))?);
        Ok(())
    })
}

/// What came of it, once a step has no statement.
///
/// Fails with VIDCACHE_INVALID_OPTION: it has not ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_exchange_outcome(
    exchange: *const vidcache_exchange,
    outcome: *mut vidcache_outcome,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (exchange, theirs) = unsafe {
            let theirs = grows::theirs(outcome)?.ok_or(input::null("outcome"))?;
            (input::made(exchange, "exchange")?, theirs)
        };
        let not_yet = Error::InvalidOption { name: "exchange", why: "it has not ended" };
        theirs.write(exchange.ended.as_ref().ok_or(not_yet)?.told());
        Ok(())
    })
}

/// Frees an exchange and makes `*exchange` NULL. NULL, and what is NULL, are allowed. One that has not ended leaves the
/// connection as it is: roll back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_exchange_free(exchange: *mut *mut vidcache_exchange) {
    // SAFETY: the caller's contract.
    unsafe { free(exchange) }
}

fn ended(outcome: Outcome) -> Result<Ended, Error> {
    let all = Ended::default();
    let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let vids = |vids: Vec<Vid>| vids.into_iter().map(Vid::get).collect();
    Ok(match outcome {
        Outcome::Page { decision, text, why } => {
            Ended { decision: Some(decided(&decision)), text: text.map(terminated), why, ..all }
        }
        Outcome::Flag(flag) => Ended { flag, ..all },
        Outcome::Change(token) => Ended { token: ChangeToken::get(token), ..all },
        Outcome::Lease(lease) => Ended { token: lease.map_or(0, LeaseToken::get), ..all },
        Outcome::Time(time) => Ended { milliseconds: ms(time), ..all },
        Outcome::Turn(turn) => match turn {
            Turn::Ended => Ended { turn: VIDCACHE_TURN_ENDED, ..all },
            Turn::See => Ended { turn: VIDCACHE_TURN_SEEN, ..all },
            Turn::Wait(left) => Ended { turn: VIDCACHE_TURN_WAIT, milliseconds: ms(left), ..all },
            Turn::Now => Ended { turn: VIDCACHE_TURN_NOW, ..all },
        },
        Outcome::Recorded(done) => Ended { recorded: Some(record::learnt(&done)), ..all },
        Outcome::Observed(found) => Ended { contacts: Some(vids(found.contacts)), missing: vids(found.missing), ..all },
        Outcome::WebhookApplied(done) => Ended { webhook: Some(done.into()), ..all },
        Outcome::Imported(done) => Ended { imported: Some(done.into()), ..all },
        Outcome::Identities(found) => {
            let found: Option<Identity> = found.into_iter().next().flatten();
            Ended { identity: Some(lookup::identity(found)), ..all }
        }
        Outcome::Refusal(why) => Ended { refusal: why.map_or(0, |why| why as i32), ..all },
        Outcome::Text(text) => Ended { text: Some(terminated(text)), ..all },
        Outcome::Texts(lines) => Ended { text: Some(terminated(lines.join("\n"))), ..all },
        Outcome::Users(users) => {
            let users = users.iter().map(|user| conflicts::key(user)).collect::<Result<_, _>>()?;
            Ended { users: Some(users), ..all }
        }
        Outcome::Explained { decision, sentences } => {
            Ended { decision: Some(decided(&decision)), text: Some(terminated(sentences.join("\n"))), ..all }
        }
        Outcome::StaleChanges(found) => {
            let found = found.iter().map(|one: &StaleChange| changes::stale(one)).collect::<Result<_, _>>()?;
            Ended { stale_changes: Some(found), ..all }
        }
        Outcome::UsersToRead(found, next) => {
            let found = found.iter().map(|one: &UserToRead| lists::to_read(one)).collect::<Result<_, _>>()?;
            Ended { users_to_read: Some(found), token: next.map_or(0, Vid::get), ..all }
        }
        Outcome::Conflicts(found) => {
            let found = found.iter().map(conflicts::conflict).collect::<Result<_, _>>()?;
            Ended { conflicts: Some(found), ..all }
        }
        _ => all,
    })
}

fn decided(decision: &Decided) -> Box<MaybeUninit<vidcache_decision>> {
    let mut room = Box::new(MaybeUninit::uninit());
    lookup::write(decision.email.as_deref(), decision.id, decision.reason, &mut room);
    room
}

impl Ended {
    fn told(&self) -> vidcache_outcome {
        fn one<T>(value: &Option<T>) -> *const T {
            value.as_ref().map_or(ptr::null(), ptr::from_ref)
        }
        fn many<T>(list: &Option<Vec<T>>) -> (*const T, usize) {
            list.as_ref().map_or((ptr::null(), 0), |list| (list.as_ptr(), list.len()))
        }
        let (stale_changes, changes) = many(&self.stale_changes);
        let (users_to_read, to_read) = many(&self.users_to_read);
        let (conflicts, in_conflict) = many(&self.conflicts);
        let (users, keys) = many(&self.users);
        let (contacts, observed) = many(&self.contacts);
        let (text, bytes) = many(&self.text);
        vidcache_outcome {
            size: size_of::<vidcache_outcome>(),
            decision: self.decision.as_ref().map_or(ptr::null(), |decision| decision.as_ptr()),
            recorded: one(&self.recorded),
            webhook: one(&self.webhook),
            imported: one(&self.imported),
            identity: one(&self.identity),
            stale_changes,
            users_to_read,
            conflicts,
            users,
            contacts,
            missing: self.contacts.as_ref().map_or(ptr::null(), |_| self.missing.as_ptr()),
            count: changes + to_read + in_conflict + keys + observed,
            missing_count: self.missing.len(),
            text: text.cast(),
            text_len: bytes.saturating_sub(1),
            token: self.token,
            milliseconds: self.milliseconds,
            why: self.why.clone().map_or(0, edge::failed),
            turn: self.turn,
            refusal: self.refusal,
            flag: self.flag.into(),
        }
    }
}
