//! The rows in the app's own PostgreSQL: its statements go out, and what the database said to them comes in.

use std::ffi::c_char;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use vidcache::in_database::{self, Database};

use crate::edge::{edge, free, keep_panics_quiet};
use crate::error::vidcache_result;
use crate::exchange::vidcache_exchange;
use crate::grows;
use crate::handle::{self, vidcache_options};
use crate::input::{self, given, made, out};
use crate::text::vidcache_text;
use crate::work::{self, vidcache_work};

/// The tables of one portal in the app's own PostgreSQL, for an app whose processes share no disk. Opaque; made by
/// `vidcache_database_open`, freed by `vidcache_database_free`. It connects to nothing: the app sends the statements,
/// by the client that it has. Any thread may use it, also several at once, and it stays right on both sides of a fork.
pub struct vidcache_database(Arc<RwLock<Database>>);

/// The tables in `schema` of the database ("public"), for a portal, the HubSpot account's id. Of the options a secret
/// is needed, the same for every process; `busy_timeout_ms` and `synchronous` say nothing, and `memory` only with
/// `max_age_ms`: for how long answers are kept, 0, or from 1000 to half of the page deadline. Nothing is asked yet:
/// begin with VIDCACHE_WORK_SET_UP.
///
/// Fails with VIDCACHE_INVALID_PORTAL, VIDCACHE_INVALID_SECRET, VIDCACHE_INVALID_OPTION, VIDCACHE_STORAGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_database_open(
    schema: *const c_char,
    schema_len: usize,
    portal: i64,
    options: *const vidcache_options,
    max_age_ms: u64,
    database: *mut *mut vidcache_database,
) -> vidcache_result {
    keep_panics_quiet();
    edge(|| {
        // SAFETY: the caller's contract.
        let (schema, out) = unsafe {
            (
                given(schema, schema_len).text(input::MAX_OPTION, "schema")?.unwrap_or("public"),
                out(database, "database")?,
            )
        };
        // SAFETY: as above.
        let opened = unsafe {
            handle::chosen(options, |options| {
                let core = Database::new(schema, portal, options)?;
                match max_age_ms {
                    0 => Ok(core),
                    ms => core.watching(Duration::from_millis(ms), options.memory),
                }
            })?
        };
        out.write(Box::into_raw(Box::new(vidcache_database(Arc::new(RwLock::new(opened))))));
        Ok(())
    })
}

/// Frees the tables and makes `*database` NULL. NULL, and what is NULL, are allowed. Exchanges that were begun go on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_database_free(database: *mut *mut vidcache_database) {
    // SAFETY: the caller's contract.
    unsafe { free(database) }
}

/// The statements of the app's migration, with `;` between them, which make the tables in `schema` (NULL: "public").
/// `*statements` is to be freed by vidcache_text_free.
///
/// Fails with VIDCACHE_INVALID_OPTION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_database_migration(
    schema: *const c_char,
    schema_len: usize,
    statements: *mut *mut vidcache_text,
) -> vidcache_result {
    keep_panics_quiet();
    edge(|| {
        // SAFETY: the caller's contract.
        let (schema, out) = unsafe {
            let schema = given(schema, schema_len).text(input::MAX_OPTION, "schema")?.unwrap_or("public");
            (schema, out(statements, "statements")?)
        };
        out.write(vidcache_text::new(in_database::migration(schema)?.join(";\n")));
        Ok(())
    })
}

/// Begins one thing to be asked, learnt or done. Nothing of what `work` points to is kept. `*exchange` is to be freed
/// by vidcache_exchange_free; its first step is that of vidcache_exchange_answered with NULL.
///
/// Fails with VIDCACHE_INVALID_USER_KEY, VIDCACHE_INVALID_VID, VIDCACHE_INVALID_EMAIL, VIDCACHE_INVALID_ANSWER,
/// VIDCACHE_INVALID_WEBHOOK, VIDCACHE_INVALID_OPTION, VIDCACHE_UNKNOWN_CHANGE for what it is about.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vidcache_database_begin(
    database: *const vidcache_database,
    work: *const vidcache_work,
    exchange: *mut *mut vidcache_exchange,
) -> vidcache_result {
    edge(|| {
        // SAFETY: the caller's contract.
        let (database, theirs, out) = unsafe {
            let theirs = grows::theirs(work)?.ok_or(input::null("work"))?;
            (made(database, "database")?, theirs.read(vidcache_work::default())?, out(exchange, "exchange")?)
        };
        let inside = work::flag(theirs.in_transaction, "in_transaction")?;
        // SAFETY: as above.
        let work = unsafe { work::work(&theirs)? };
        out.write(Box::into_raw(Box::new(vidcache_exchange::new(database.0.clone(), work, inside))));
        Ok(())
    })
}
