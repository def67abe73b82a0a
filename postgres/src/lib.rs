//! vidcache's rows in the app's own PostgreSQL ([`vidcache::in_database`]): who sends the statements, over the
//! connection that the app has. That may be one of the crate `postgres`, a client, one that keeps statements prepared,
//! a transaction; or, without the default feature `postgres`, whatever you implement [`Connection`] for.
//!
//! ```no_run
//! use postgres::{Client, NoTls};
//! use std::time::Duration;
//! use vidcache::in_database::{Database, Turn};
//! use vidcache::{Email, Options, UserKey};
//! use vidcache_postgres::{Prepared, Session, set_up};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let tell_hubspot = || Vec::new();
//! let options = Options { secret: Some(b"thirty-two bytes kept out of it."), ..Options::default() };
//! let mut tables = Database::new("public", 62515, &options)?; // tables.create(): the statements of your migration
//! let mut connection = Prepared::from(Client::connect("host=/run/postgresql", NoTls)?);
//! set_up(&mut tables, &mut connection)?; // once, when the process begins
//!
//! let (user, email) = (UserKey::from(42), Email::parse("ann@shop.test")?);
//! // `why` it says less is to be reported.
//! let (page, why) = Session::new(&tables, &mut connection).page(user, Some(&email));
//! let html = page.render(None);
//!
//! let mut transaction = connection.transaction()?;
//! let token = Session::new(&tables, &mut transaction).begin(user)?; // gone with a rollback
//! transaction.execute("UPDATE users SET email = $1 WHERE id = $2", &[&"ann@home.test", &42_i64])?;
//! transaction.commit()?;
//! Session::new(&tables, &mut connection).see(token)?; // its quiet period begins; then enqueue a job with the token
//!
//! let mut session = Session::new(&tables, &mut connection); // the job, which takes the user's lease first
//! if session.turn(user, token, Duration::ZERO)? == Turn::Now {
//!     let errand = tables.record(user, &tell_hubspot(), Some(token), None)?;
//!     session.run(&errand)??; // in a transaction of its own, tried again after a deadlock
//! }
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "postgres")]
mod client;
mod session;

#[cfg(feature = "postgres")]
pub use client::Prepared;
pub use session::{Connection, Session, SqlState, set_up};
