//! What is done by the tables in the app's own database, for a language that does no more than send statements.

mod exchange;
mod work;

pub use self::exchange::{Exchange, Said, Statement, Step};
pub use self::work::{Decided, Form, ImportedRow, Outcome, Work};
