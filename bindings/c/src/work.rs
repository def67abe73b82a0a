//! What is to be done by the tables in the app's own PostgreSQL, as C says it.

use std::ffi::c_char;
use std::time::Duration;

use vidcache::in_database::{Form, ImportedRow, Work};
use vidcache::{ChangeToken, Error, LeaseToken, Vid};

use crate::grows::grows;
use crate::input::{self, Given, given};
use crate::record::{self, vidcache_import_row};
use crate::types::vidcache_user;

/// Sets the tables up, unless somebody has, and takes the key that they have: once in each process, before all else.
pub const VIDCACHE_WORK_SET_UP: u32 = 1;
/// What a page may say of `user` (NULL: a visitor whom the app does not know), whose email the app believes to be
/// `bytes`, in the form `form`, with `nonce` in a snippet. It never fails for the database. Gives `decision`, `text`
/// and `why`.
pub const VIDCACHE_WORK_PAGE: u32 = 2;
/// The page after a sign-out, with `form` and `nonce`. Gives `decision` and `text`.
pub const VIDCACHE_WORK_SIGNED_OUT: u32 = 3;
/// Begins a change of `user`, on the connection whose transaction changes the email: it is begun if and only if that is
/// committed. Gives `token`.
pub const VIDCACHE_WORK_BEGIN: u32 = 4;
/// Says that the change `token` is committed, so that its quiet period begins. In a transaction it does nothing.
pub const VIDCACHE_WORK_SEE: u32 = 5;
/// vidcache_abandon_email_change of `user` and `token`.
pub const VIDCACHE_WORK_ABANDON: u32 = 6;
/// vidcache_is_change_outstanding of `user` and `token`. Gives `flag`.
pub const VIDCACHE_WORK_IS_OUTSTANDING: u32 = 7;
/// Whether the worker, who has the lease of `user`, may tell HubSpot of the change `token`: a quiet period, or
/// `milliseconds` if that is longer, after it was seen to be committed. A change that nobody has seen is seen by this.
/// Gives `turn` and `milliseconds`.
pub const VIDCACHE_WORK_TURN: u32 = 8;
/// How long a worker waits after a change was seen. Gives `milliseconds`.
pub const VIDCACHE_WORK_QUIET_PERIOD: u32 = 9;
/// vidcache_lease of `user` for `milliseconds`, with `token` for the one that is held. Gives `token`. Not in a
/// transaction.
pub const VIDCACHE_WORK_LEASE: u32 = 10;
/// vidcache_release of `user` and `token`. Gives `flag`.
pub const VIDCACHE_WORK_RELEASE: u32 = 11;
/// vidcache_link of `user` and `vid`; with `flag`, vidcache_link_shared.
pub const VIDCACHE_WORK_LINK: u32 = 12;
/// vidcache_record of `user` and the answer in `bytes`, with the change `token`; with `asked_at`, vidcache_record_read.
/// Gives `recorded`.
pub const VIDCACHE_WORK_RECORD: u32 = 13;
/// vidcache_observe of the answer in `bytes`; with `asked_at`, vidcache_observe_read. Gives `contacts` and `missing`.
pub const VIDCACHE_WORK_OBSERVE: u32 = 14;
/// vidcache_apply_webhook of the body in `bytes`. Gives `webhook`.
pub const VIDCACHE_WORK_APPLY_WEBHOOK: u32 = 15;
/// vidcache_import of `rows`, some hundred at a time. Gives `imported`.
pub const VIDCACHE_WORK_IMPORT: u32 = 16;
/// vidcache_end_conflict of `user`.
pub const VIDCACHE_WORK_END_CONFLICT: u32 = 17;
/// vidcache_forget of `user`. Gives `flag`.
pub const VIDCACHE_WORK_FORGET: u32 = 18;
/// vidcache_doubt_all, by one row.
pub const VIDCACHE_WORK_DOUBT_ALL: u32 = 19;
/// vidcache_resolve of `user`. Gives `identity`.
pub const VIDCACHE_WORK_RESOLVE: u32 = 20;
/// Whether anything is known of `user` that a page or a worker depends on. Gives `flag`.
pub const VIDCACHE_WORK_KNOWS: u32 = 21;
/// vidcache_refusal of `user`. Gives `refusal`.
pub const VIDCACHE_WORK_REFUSAL: u32 = 22;
/// vidcache_explain of `user`, whose email is `bytes`, but without the last events. Gives `decision` and `text`.
pub const VIDCACHE_WORK_EXPLAIN: u32 = 23;
/// vidcache_export of `user`. Gives `text`.
pub const VIDCACHE_WORK_EXPORT: u32 = 24;
/// vidcache_users_of `vid`. Gives `users`.
pub const VIDCACHE_WORK_USERS_OF: u32 = 25;
/// vidcache_stale_changes older than `milliseconds`, `limit` at most. Gives `stale_changes`.
pub const VIDCACHE_WORK_STALE_CHANGES: u32 = 26;
/// vidcache_users_to_read older than `milliseconds`, of those that `flag` says, about `limit` of them, in the order of
/// the contacts that they were linked to, those after `vid`. Gives `users_to_read`, and in `token` the `vid` of the
/// next part, 0 after the last.
pub const VIDCACHE_WORK_USERS_TO_READ: u32 = 27;
/// vidcache_conflicts after `user`, `limit` at most. Gives `conflicts`.
pub const VIDCACHE_WORK_CONFLICTS: u32 = 28;
/// Whether the tables can be asked, written and believed. Gives `text`: what is wrong, a line each; empty: nothing.
pub const VIDCACHE_WORK_VERIFY: u32 = 29;

/// A page's decision alone.
pub const VIDCACHE_FORM_DECISION: u32 = 0;
/// HTML, as vidcache_snippet.
pub const VIDCACHE_FORM_SNIPPET: u32 = 1;
/// JSON, as vidcache_page_data.
pub const VIDCACHE_FORM_DATA: u32 = 2;

/// One thing to be asked, learnt or done. All but `size` and `kind` may be zero; what a kind does not name is not
/// looked at.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vidcache_work {
    /// sizeof(vidcache_work), set by the caller.
    pub size: usize,
    /// One of VIDCACHE_WORK_….
    pub kind: u32,
    /// 1: a transaction of the app's is open on the connection. What is done is a part of it, and what fails leaves it
    /// as it was; but VIDCACHE_WORK_BEGIN, with which it must be rolled back. 0: there is none.
    pub in_transaction: u32,
    /// The user.
    pub user: *const vidcache_user,
    /// A contact.
    pub vid: i64,
    /// A change's token, or a lease's; 0: none.
    pub token: i64,
    /// A time.
    pub milliseconds: u64,
    /// When a read was begun, in milliseconds since 1970 UTC; 0: not known.
    pub asked_at: i64,
    /// An email, an answer or a body.
    pub bytes: *const c_char,
    /// How many.
    pub bytes_len: usize,
    /// The nonce of the page's Content-Security-Policy, or NULL.
    pub nonce: *const c_char,
    /// The bytes of it.
    pub nonce_len: usize,
    /// Users to be taken in.
    pub rows: *const vidcache_import_row,
    /// How many.
    pub rows_len: usize,
    /// One of VIDCACHE_FORM_….
    pub form: u32,
    /// 1 or 0, as the kind says.
    pub flag: u32,
    /// How many, at most.
    pub limit: u64,
}

grows!(vidcache_work: limit);

impl Default for vidcache_work {
    fn default() -> Self {
        // SAFETY: integers and pointers, of which any bytes make one.
        unsafe { std::mem::zeroed() }
    }
}

/// The core's.
///
/// # Safety
/// The pointers are what their fields say, for the time of the call.
pub(crate) unsafe fn work(given: &vidcache_work) -> Result<Work, Error> {
    // SAFETY: this function's contract.
    let (bytes, nonce) =
        unsafe { (self::given(given.bytes, given.bytes_len), self::given(given.nonce, given.nonce_len)) };
    // SAFETY: as above.
    let user = || unsafe { input::user(given.user) }.map(|user| user.to_text());
    let change = || ChangeToken::try_from(given.token);
    let vid = || Vid::try_from(given.vid);
    let asked_at = (given.asked_at != 0).then_some(given.asked_at);
    let (time, is_set) = (Duration::from_millis(given.milliseconds), flag(given.flag, "flag")?);
    let limit = u32::try_from(given.limit).unwrap_or(u32::MAX);
    Ok(match given.kind {
        VIDCACHE_WORK_SET_UP => Work::SetUp,
        VIDCACHE_WORK_PAGE if given.user.is_null() => Work::Anonymous { form: form(given.form, nonce)? },
        VIDCACHE_WORK_PAGE => Work::Page { user: user()?, email: bytes.email()?, form: form(given.form, nonce)? },
        VIDCACHE_WORK_SIGNED_OUT => Work::SignedOut { form: form(given.form, nonce)? },
        VIDCACHE_WORK_BEGIN => Work::Begin { user: user()? },
        VIDCACHE_WORK_SEE => Work::See { change: change()? },
        VIDCACHE_WORK_ABANDON => Work::Abandon { user: user()?, change: change()? },
        VIDCACHE_WORK_IS_OUTSTANDING => Work::IsOutstanding { user: user()?, change: change()? },
        VIDCACHE_WORK_TURN => Work::Turn { user: user()?, change: change()?, at_least: time },
        VIDCACHE_WORK_QUIET_PERIOD => Work::QuietPeriod,
        VIDCACHE_WORK_LEASE => {
            let held = (given.token != 0).then(|| LeaseToken::from(given.token));
            Work::Lease { user: user()?, duration: time, held }
        }
        VIDCACHE_WORK_RELEASE => Work::Release { user: user()?, held: LeaseToken::from(given.token) },
        VIDCACHE_WORK_LINK => Work::Link { user: user()?, vid: vid()?, shared: is_set },
        VIDCACHE_WORK_RECORD => {
            let (answer, change) = (bytes.answer()?.to_vec(), input::change(given.token)?);
            Work::Record { user: user()?, answer, change, asked_at }
        }
        VIDCACHE_WORK_OBSERVE => Work::Observe { answer: bytes.answer()?.to_vec(), asked_at },
        VIDCACHE_WORK_APPLY_WEBHOOK => Work::ApplyWebhook { body: bytes.webhook()?.to_vec() },
        VIDCACHE_WORK_IMPORT => {
            // SAFETY: as above.
            let rows = unsafe { input::array(given.rows, given.rows_len, "rows")? };
            let row = |row: &vidcache_import_row| {
                // SAFETY: as above.
                let row = unsafe { record::imported(row)? };
                Ok::<_, Error>(ImportedRow { user: row.user.to_text(), vid: row.vid, email: row.email })
            };
            Work::Import { rows: rows.iter().map(row).collect::<Result<_, _>>()? }
        }
        VIDCACHE_WORK_END_CONFLICT => Work::EndConflict { user: user()? },
        VIDCACHE_WORK_FORGET => Work::Forget { user: user()? },
        VIDCACHE_WORK_DOUBT_ALL => Work::DoubtAll,
        VIDCACHE_WORK_RESOLVE => Work::Resolve { users: vec![user()?] },
        VIDCACHE_WORK_KNOWS => Work::Knows { user: user()? },
        VIDCACHE_WORK_REFUSAL => Work::Refusal { user: user()? },
        VIDCACHE_WORK_EXPLAIN => Work::Explain { user: user()?, email: bytes.email()? },
        VIDCACHE_WORK_EXPORT => Work::Export { user: user()? },
        VIDCACHE_WORK_USERS_OF => Work::UsersOf { vid: vid()? },
        VIDCACHE_WORK_STALE_CHANGES => Work::StaleChanges { older_than: time, limit },
        VIDCACHE_WORK_USERS_TO_READ => {
            let after = if given.vid == 0 { None } else { Some(vid()?) };
            Work::UsersToRead { confirmed: is_set, older_than: time, after, limit }
        }
        VIDCACHE_WORK_CONFLICTS => {
            let after = if given.user.is_null() { None } else { Some(user()?) };
            Work::Conflicts { after, limit }
        }
        VIDCACHE_WORK_VERIFY => Work::Verify,
        _ => return Err(Error::InvalidOption { name: "kind", why: "it must be one of VIDCACHE_WORK_…" }),
    })
}

/// 1 or 0: whatever else there is was never set.
pub(crate) fn flag(given: u32, name: &'static str) -> Result<bool, Error> {
    match given {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::InvalidOption { name, why: "it must be 0 or 1" }),
    }
}

fn form(given: u32, nonce: Given<'_>) -> Result<Form, Error> {
    match given {
        VIDCACHE_FORM_DECISION => Ok(Form::Decision),
        VIDCACHE_FORM_SNIPPET => Ok(Form::Snippet(nonce.nonce()?.map(str::to_owned))),
        VIDCACHE_FORM_DATA => Ok(Form::Data),
        _ => Err(Error::InvalidOption { name: "form", why: "it must be one of VIDCACHE_FORM_…" }),
    }
}
