//! The connections of the crate `postgres`.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};

use postgres::types::{ToSql, Type};
use postgres::{Client, Error, GenericClient, SimpleQueryMessage, Statement, Transaction};

use crate::session::{Answered, Connection, SqlState};

/// A client that keeps a page's statements prepared: PostgreSQL takes ten times as long to plan one as to run it. It is
/// a [`Client`] in all else, so a pool may have these in their place. Behind a pooler that keeps nothing prepared use
/// the [`Client`] itself.
pub struct Prepared {
    client: Client,
    statements: HashMap<String, Statement>,
}

impl From<Client> for Prepared {
    fn from(client: Client) -> Self {
        Self { client, statements: HashMap::new() }
    }
}

impl Deref for Prepared {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Prepared {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Connection for Prepared {
    fn ask(&mut self, statement: &str, parameters: &[&str]) -> Answered<Option<String>> {
        if parameters.is_empty() {
            return ask(&mut self.client, statement, parameters);
        }
        let prepared = match self.statements.get(statement) {
            Some(prepared) => prepared.clone(),
            None => {
                let prepared = self.client.prepare_typed(statement, &vec![Type::TEXT; parameters.len()]);
                self.statements.entry(statement.to_owned()).or_insert(prepared.map_err(state)?).clone()
            }
        };
        let parameters: Vec<_> = parameters.iter().map(|parameter| parameter as &(dyn ToSql + Sync)).collect();
        let row = self.client.query_opt(&prepared, &parameters).inspect_err(|_| {
            // It may be one that the server has no more, after a DISCARD ALL.
            self.statements.remove(statement);
        });
        row.map_err(state)?.map_or(Ok(None), |row| row.try_get(0).map_err(state))
    }

    fn run(&mut self, statements: &str) -> Answered<()> {
        self.client.batch_execute(statements).map_err(state)
    }

    fn is_in_transaction(&self) -> bool {
        false
    }
}

/// For a pooler that hands out another connection each time: nothing is kept prepared. The app has begun no transaction
/// on it by a statement of its own; it has a [`Transaction`] for that.
impl Connection for Client {
    fn ask(&mut self, statement: &str, parameters: &[&str]) -> Answered<Option<String>> {
        ask(self, statement, parameters)
    }

    fn run(&mut self, statements: &str) -> Answered<()> {
        self.batch_execute(statements).map_err(state)
    }

    fn is_in_transaction(&self) -> bool {
        false
    }
}

/// What is asked is planned each time.
impl Connection for Transaction<'_> {
    fn ask(&mut self, statement: &str, parameters: &[&str]) -> Answered<Option<String>> {
        ask(self, statement, parameters)
    }

    fn run(&mut self, statements: &str) -> Answered<()> {
        self.batch_execute(statements).map_err(state)
    }

    fn is_in_transaction(&self) -> bool {
        true
    }
}

fn ask(client: &mut impl GenericClient, statement: &str, parameters: &[&str]) -> Answered<Option<String>> {
    if parameters.is_empty() {
        // By the simple protocol, which gives whatever it is as text.
        let messages = client.simple_query(statement).map_err(state)?;
        return Ok(messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }));
    }
    let parameters: Vec<_> = parameters.iter().map(|one| (one as &(dyn ToSql + Sync), Type::TEXT)).collect();
    let rows = client.query_typed(statement, &parameters).map_err(state)?;
    rows.first().map_or(Ok(None), |row| row.try_get(0).map_err(state))
}

/// No word of the server's, which may quote a row.
fn state(error: Error) -> SqlState {
    error.code().map(|state| state.code().to_owned()).unwrap_or_default()
}
