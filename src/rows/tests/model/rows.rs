//! The file's rows as a part of a state: what the library's own SQL made of them is remembered, and each content has a
//! number, so that a state stays small.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use rusqlite::Connection;

use super::{CONTACT, MERGED};
use crate::decision::UserState;
use crate::email::Fingerprint;
use crate::event::{ChangeToken, Event};
use crate::identity::{UserKey, Vid};
use crate::refusal::Refusal;
use crate::rows;

/// An event of this world, in a form that can be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Happening {
    Linked(u8),
    Observed(u8, u8, u8),
    Begun(u8),
    Finished(u8),
    Abandoned(u8),
    Refused(u8, u8),
    Merged(u8),
    Deleted(u8, u8),
}

/// The rows of a file, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Rows(u32);

/// The rows themselves, as the SQL that puts them there. The first is an empty file's.
static CONTENTS: LazyLock<Mutex<Contents>> =
    LazyLock::new(|| Mutex::new(Contents { numbers: HashMap::from([(String::new(), 0)]), all: vec![String::new()] }));

struct Contents {
    numbers: HashMap<String, u32>,
    all: Vec<String>,
}

thread_local! {
    static FILE: Connection = {
        let db = Connection::open_in_memory().expect("memory");
        db.execute_batch(include_str!("../../schema/1.sql")).expect("the schema");
        db.set_prepared_statement_cache_capacity(64);
        db
    };
    static AFTER: RefCell<HashMap<(Rows, Happening), Rows>> = RefCell::default();
    static STATES: RefCell<HashMap<Rows, (UserState, Vec<i64>)>> = RefCell::default();
}

impl Rows {
    /// What `apply` makes of them.
    pub(super) fn after(self, happening: Happening) -> Self {
        let known = AFTER.with(|after| after.borrow().get(&(self, happening)).copied());
        known.unwrap_or_else(|| {
            let next = self.load(|db| {
                if let Happening::Refused(number, time) = happening {
                    let token = Some(ChangeToken::try_from(i64::from(number)).expect("positive"));
                    rows::learn::refused(db, user(), token, Refusal::InvalidEmail, 1, time.into()).expect("told");
                }
                for event in happening.events() {
                    rows::apply(db, &event).expect("an event applies");
                }
                Self::intern(dump(db))
            });
            AFTER.with(|after| after.borrow_mut().insert((self, happening), next));
            next
        })
    }

    /// What they are after some work on them.
    pub(super) fn then(self, work: impl FnOnce(&Connection)) -> Self {
        self.load(|db| {
            work(db);
            Self::intern(dump(db))
        })
    }

    /// What a decision depends on.
    pub(super) fn user_state(self) -> UserState {
        self.read(|(state, _)| *state)
    }

    pub(super) fn outstanding(self, number: u8) -> bool {
        self.read(|(_, changes)| changes.contains(&number.into()))
    }

    /// The user's contact.
    pub(super) fn vid(self) -> Option<u8> {
        self.user_state().identity.map(|identity| identity.vid.get() as u8)
    }

    fn read<T>(self, read: impl Fn(&(UserState, Vec<i64>)) -> T) -> T {
        STATES.with(|states| {
            let mut states = states.borrow_mut();
            read(states.entry(self).or_insert_with(|| {
                self.load(|db| {
                    let mut changes = db.prepare("SELECT token FROM change WHERE ended_at IS NULL").expect("a query");
                    let changes = changes.query_map([], |row| row.get(0)).expect("rows");
                    let changes = changes.collect::<rusqlite::Result<_>>().expect("tokens");
                    (rows::user_state(db, user()).expect("a state"), changes)
                })
            }))
        })
    }

    /// Puts the rows into SQLite, so that the library's own SQL works on them.
    pub(super) fn load<T>(self, work: impl FnOnce(&Connection) -> T) -> T {
        let content = CONTENTS.lock().unwrap_or_else(PoisonError::into_inner).all[self.0 as usize].clone();
        FILE.with(|db| {
            let tx = db.unchecked_transaction().expect("a transaction");
            tx.execute_batch(&content).expect("rows");
            work(&tx) // And rolled back.
        })
    }

    fn intern(content: String) -> Self {
        let mut contents = CONTENTS.lock().unwrap_or_else(PoisonError::into_inner);
        let Contents { numbers, all } = &mut *contents;
        Self(*numbers.entry(content).or_insert_with_key(|content| {
            all.push(content.clone());
            (all.len() - 1) as u32
        }))
    }
}

fn dump(db: &Connection) -> String {
    let mut sql = String::new();
    for table in ["user", "link", "contact", "sharer", "past", "merge", "change"] {
        let mut all = db.prepare_cached(&format!("SELECT * FROM {table}")).expect("a table");
        let columns = all.column_count();
        let mut rows = all.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            let values: Vec<String> = (0..columns)
                .map(|column| match row.get_ref(column).expect("a value") {
                    rusqlite::types::ValueRef::Null => "NULL".into(),
                    rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                    rusqlite::types::ValueRef::Blob(bytes) => {
                        format!("x'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
                    }
                    other => panic!("no row of this world holds {other:?}"),
                })
                .collect();
            sql += &format!("INSERT INTO {table} VALUES ({});", values.join(","));
        }
    }
    sql
}

fn user() -> UserKey<'static> {
    UserKey::from(1)
}

pub(super) fn print(email: u8) -> Fingerprint {
    Fingerprint([email; 16])
}

impl Happening {
    fn events(self) -> Vec<Event<'static>> {
        let user = user();
        let vid = |contact: u8| Vid::try_from(i64::from(contact)).expect("positive");
        let token = |number: u8| ChangeToken::try_from(i64::from(number)).expect("positive");
        vec![match self {
            Self::Linked(contact) => Event::Linked { user, vid: vid(contact), at: contact.into() },
            Self::Observed(contact, email, at) => {
                Event::EmailObserved { vid: vid(contact), email: Some(print(email)), at: at.into(), read_at: None }
            }
            Self::Begun(number) => Event::ChangeBegun { user, token: token(number), at: 1 },
            Self::Finished(number) => Event::ChangeFinished { user, token: token(number), at: 1 },
            Self::Abandoned(number) => Event::ChangeAbandoned { user, token: token(number), at: 1 },
            Self::Refused(..) => return Vec::new(), // By way of `learn`: it is more than an event.
            Self::Deleted(contact, at) => Event::Deleted { vid: vid(contact), at: at.into() },
            Self::Merged(at) => {
                let merged = |old| Event::Merged { old, into: vid(MERGED), at: at.into(), born: true, heard: 0 };
                return vec![merged(vid(CONTACT)), merged(vid(99))];
            }
        }]
    }
}
