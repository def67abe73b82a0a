//! What the server refused, by its SQLSTATE: in this library's words, since the server's may quote a row.

use crate::error::Error;

/// The error of a statement that failed, by the five letters of its SQLSTATE; any other text stands for a server that
/// cannot be reached.
pub(crate) fn error(sqlstate: &str) -> Error {
    let why = match sqlstate {
        // A lock of others, of DDL, say, for longer than the app's timeout; or in a circle.
        "40001" | "40P01" | "55P03" | "57014" => return Error::Busy,
        "42P01" | "42703" | "42P10" | "3F000" => {
            "they are missing, or of another version of vidcache: run the app's migrations (bin/rails db:migrate)"
        }
        "42501" => "the app's role may not use them: GRANT it SELECT, INSERT, UPDATE and DELETE on vidcache_*",
        "25006" => "the transaction, or the server, is read-only: write through the connection that writes",
        "25P02" => "a statement before this one had failed in the same transaction: roll it back",
        state if is_state(state) && matches!(&state[..2], "08" | "57" | "53" | "58" | "XX") => {
            return Error::Storage(format!("the app's database failed, SQLSTATE {state}"));
        }
        state if is_state(state) => return Error::TablesUnusable(format!("a statement was refused, SQLSTATE {state}")),
        _ => return Error::Storage("the app's database cannot be reached".into()),
    };
    Error::TablesUnusable(why.into())
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
        for (state, code) in [
            ("42P01", ErrorCode::TablesUnusable),
            ("42703", ErrorCode::TablesUnusable),
            ("25006", ErrorCode::TablesUnusable),
            ("22003", ErrorCode::TablesUnusable),
            ("40P01", ErrorCode::Busy),
            ("55P03", ErrorCode::Busy),
            ("57014", ErrorCode::Busy),
            ("57P01", ErrorCode::Storage),
            ("08006", ErrorCode::Storage),
            ("", ErrorCode::Storage),
            ("ann@x", ErrorCode::Storage),
        ] {
            assert_eq!(error(state).code(), code, "{state}");
            assert!(!error(state).to_string().contains('@'));
        }
    }
}
