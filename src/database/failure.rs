//! What the server refused, by its SQLSTATE: in this library's words, since the server's may quote a row.

use super::schema::Tables;
use crate::error::Error;

/// The error of a statement that failed, by the five letters of its SQLSTATE; any other text stands for a server that
/// cannot be reached, and so do those of one that goes down or comes up: it is one failure, and is reported once.
pub(crate) fn error(tables: &Tables, sqlstate: &str) -> Error {
    let unusable = |why: &str| Error::TablesUnusable(why.into());
    match sqlstate {
        // A lock of others, of DDL, say, for longer than the app's timeout; or in a circle.
        "40001" | "40P01" | "55P03" | "57014" => Error::Busy,
        "42P01" | "42703" | "42P10" | "3F000" => Error::TablesUnusable(format!(
            "{} are missing, or another version's: run the app's migrations (bin/rails db:migrate, manage.py \
             migrate; where none makes them, bin/rails generate vidcache:database first, or Django's INSTALLED_APPS \
             lacks vidcache.django.database; elsewhere one has to run the statements of `migration`)",
            tables.name("*")
        )),
        "42501" => {
            unusable("the app's role may not use them: GRANT it SELECT, INSERT, UPDATE and DELETE on vidcache_*")
        }
        "25006" => unusable("the transaction, or the server, is read-only: write through the connection that writes"),
        "42883" => unusable(
            "PostgreSQL lacks a function, or a column has another type: it has to be PostgreSQL 13 or later, and the \
             tables those of the migration",
        ),
        "25P02" => unusable("a statement before this one had failed in the same transaction: roll it back"),
        state if !is_state(state) || matches!(&state[..2], "08" | "57") || matches!(state, "25P03" | "25P04") => {
            Error::Storage("the app's database cannot be reached".into())
        }
        state if matches!(&state[..2], "53" | "58" | "XX") => {
            Error::Storage(format!("the app's database failed, SQLSTATE {state}"))
        }
        state => Error::TablesUnusable(format!("a statement was refused, SQLSTATE {state}")),
    }
}

/// Letters and digits, so that nothing else gets into a message.
fn is_state(text: &str) -> bool {
    text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn what_a_server_refuses_is_a_typed_error_and_quotes_nothing() {
        let tables = Tables::of("shop").expect("a name");
        for (state, code) in [
            ("42P01", ErrorCode::TablesUnusable),
            ("42703", ErrorCode::TablesUnusable),
            ("25006", ErrorCode::TablesUnusable),
            ("22003", ErrorCode::TablesUnusable),
            ("40P01", ErrorCode::Busy),
            ("55P03", ErrorCode::Busy),
            ("57014", ErrorCode::Busy),
            ("42883", ErrorCode::TablesUnusable),
            ("57P01", ErrorCode::Storage),
            ("08006", ErrorCode::Storage),
            ("", ErrorCode::Storage),
            ("ann@x", ErrorCode::Storage),
        ] {
            let error = error(&tables, state);
            assert_eq!(error.code(), code, "{state}");
            assert!(!error.to_string().contains('@'));
        }
        // Killed, cut off, and not up yet: to whoever is on call it is one thing.
        // A transaction that was idle, or open, for longer than the server waits: it has ended the connection.
        assert!(
            ["57P01", "57P02", "57P03", "08006", "25P03", "25P04"]
                .iter()
                .all(|state| error(&tables, state) == error(&tables, ""))
        );
        assert!(error(&tables, "42P01").to_string().contains(r#""shop"."vidcache_*" are missing"#));
    }
}
