//! What every table stands on: users' keys as values, and the helpers that read and clean up single rows.

use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;
use crate::identity::{Repr, UserKey};

impl ToSql for UserKey<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.repr() {
            Repr::Int(id) => ToSqlOutput::from(*id),
            Repr::Uuid(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Repr::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

/// A map or a set of these, filled one by one: `collect` sorts them first, by code that is compiled for each type anew,
/// 8 KB each.
pub(crate) fn filled<C: Default + Extend<T>, T>(items: impl IntoIterator<Item = T>) -> C {
    let mut all = C::default();
    all.extend(items);
    all
}

/// A user key as the file has it.
pub(super) fn key(user: UserKey<'_>) -> Value {
    match *user.repr() {
        Repr::Int(id) => Value::Integer(id),
        Repr::Uuid(bytes) => Value::Blob(bytes.into()),
        Repr::Text(text) => Value::Text(text.into()),
    }
}

/// A user key as the app has it, of one as the file has it; `None` for what is no user's key.
pub(super) fn user_key(value: ValueRef<'_>) -> Option<UserKey<'_>> {
    match value {
        ValueRef::Integer(id) => Some(UserKey::from(id)),
        ValueRef::Blob(bytes) => bytes.try_into().ok().map(UserKey::uuid),
        ValueRef::Text(text) => UserKey::bytes(text).ok(),
        ValueRef::Null | ValueRef::Real(_) => None,
    }
}

/// Takes a user's row away that says nothing.
pub(super) fn drop_unknown(tx: &Connection, user: &Value) -> Result<()> {
    tx.prepare_cached("DELETE FROM user WHERE key = ?1 AND vid IS NULL AND changes = 0")?.execute([user])?;
    Ok(())
}

/// The first column of the rows that a statement finds.
pub(super) fn keys(tx: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Vec<Value>> {
    Ok(tx.prepare_cached(sql)?.query_map(params, |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Whether a contact id was erased, and which id lives for it if it has a past.
pub(super) fn fate(tx: &Connection, vid: i64) -> Result<(bool, Option<i64>)> {
    Ok(tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM erased WHERE vid = ?1), (SELECT canonical FROM past WHERE vid = ?1)",
        )?
        .query_row([vid], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .unwrap_or_default())
}
