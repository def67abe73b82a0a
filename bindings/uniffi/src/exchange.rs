//! One thing that is asked, learnt or done by the tables, statement by statement, for a language that does no more than
//! send them.

use std::sync::{Arc, Mutex, PoisonError};

use vidcache::in_database::{self, Said, Step};

use crate::edge::edge;
use crate::errand::{Errand, Outcome};
use crate::error::VidcacheError;
use crate::statements::Statements;
use crate::time::milliseconds;

#[uniffi::export]
impl Statements {
    /// Begins one thing to be asked, learnt or done, whose statements come one by one. `inside`: a transaction of the
    /// app's is open on the connection. Then all of it is a part of that, and what fails leaves that as it was; but the
    /// beginning of a change, with which it must fail.
    ///
    /// # Errors
    /// Those of what it is about.
    pub fn exchange(self: Arc<Self>, errand: Errand, inside: bool) -> Result<Arc<Exchange>, VidcacheError> {
        edge(|| {
            let core = in_database::Exchange::new(errand.work()?, inside);
            Ok(Arc::new(Exchange { statements: self, core: Mutex::new(core) }))
        })
    }
}

/// One thing that is being asked, learnt or done. One thread at a time.
#[derive(uniffi::Object)]
pub struct Exchange {
    statements: Arc<Statements>,
    core: Mutex<in_database::Exchange>,
}

/// What is next in an exchange.
#[derive(uniffi::Enum)]
pub enum ExchangeStep {
    /// Send this, all of one exchange by one connection, and say what was said to it.
    Send {
        /// One statement, or, where it does not ask, several with `;` between them.
        text: String,
        /// What `PageStep.Ask` has, or nothing. A statement that has some is worth being kept prepared.
        parameters: Vec<String>,
        /// Whether it gives a row of one text.
        asks: bool,
        /// How long to wait before.
        wait_ms: u64,
    },
    /// The end.
    Done {
        /// What came of it.
        outcome: Outcome,
    },
}

#[uniffi::export]
impl Exchange {
    /// What is next after what the last statement gave; none: no row, or nothing to give, and of the first.
    ///
    /// # Errors
    /// The errand's, once there is nothing more to send.
    pub fn answered(&self, answer: Option<String>) -> Result<ExchangeStep, VidcacheError> {
        self.next(Said::Answer(answer.as_deref()))
    }

    /// What is next after the last statement was refused, by its SQLSTATE; empty where no server answered.
    ///
    /// # Errors
    /// As `answered`.
    pub fn refused(&self, sqlstate: &str) -> Result<ExchangeStep, VidcacheError> {
        self.next(Said::Refused(sqlstate))
    }
}

impl Exchange {
    fn next(&self, said: Said<'_>) -> Result<ExchangeStep, VidcacheError> {
        edge(|| {
            let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(match core.next(&self.statements.core, said)? {
                Step::Send(statement) => ExchangeStep::Send {
                    text: statement.text,
                    parameters: statement.parameters,
                    asks: statement.asks,
                    wait_ms: milliseconds(statement.wait),
                },
                Step::Done(outcome) => ExchangeStep::Done { outcome: outcome.into() },
            })
        })
    }
}
