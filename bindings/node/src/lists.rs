//! What a person or a standing job has to look at: conflicts, refusals, whose a contact is, whom to read.

use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;
use vidcache::{Refusal, UserKey};

use crate::cache::Native;
use crate::changes::milliseconds;
use crate::edge::Job;
use crate::lookup::text;

/// A user whose contact is in question.
#[napi(object)]
pub struct Conflict {
    pub user: String,
    pub vid: Option<String>,
    pub holder: Option<String>,
    pub why: String,
    pub since_ms: i64,
}

/// A linked user whose contact is to be read.
#[napi(object)]
pub struct UserToRead {
    pub user: String,
    pub vid: String,
    pub read_at_ms: i64,
}

#[napi]
impl Native {
    #[napi]
    pub fn conflicts(&self, after: Option<String>, limit: u32) -> AsyncTask<Job<Vec<Conflict>>> {
        self.later(move |cache| {
            let after = after.as_deref().map(UserKey::text).transpose()?;
            let convert = |one: vidcache::Conflict| Conflict {
                user: one.user,
                vid: one.vid.map(text),
                holder: one.holder.map(text),
                why: one.why.name().into(),
                since_ms: one.since,
            };
            Ok(cache.conflicts(after, limit)?.into_iter().map(convert).collect())
        })
    }

    #[napi]
    pub fn end_conflict(&self, user: String) -> AsyncTask<Job<()>> {
        self.later(move |cache| cache.end_conflict(UserKey::text(&user)?))
    }

    #[napi]
    pub fn refusal(&self, user: String) -> AsyncTask<Job<Option<String>>> {
        self.later(move |cache| Ok(cache.refusal(UserKey::text(&user)?)?.map(Refusal::name).map(str::to_owned)))
    }

    #[napi]
    pub fn users_of(&self, vid: String) -> AsyncTask<Job<Vec<String>>> {
        self.later(move |cache| cache.users_of(vid.parse()?))
    }

    #[napi]
    pub fn doubt_all(&self) -> AsyncTask<Job<()>> {
        self.later(|cache| cache.doubt_all())
    }

    #[napi]
    pub fn users_to_read(
        &self,
        confirmed: bool,
        older_than_ms: i64,
        after: Option<UserToRead>,
        limit: u32,
    ) -> AsyncTask<Job<Vec<UserToRead>>> {
        self.later(move |cache| {
            let after = match after {
                Some(last) => {
                    Some(vidcache::UserToRead { user: last.user, vid: last.vid.parse()?, read_at: last.read_at_ms })
                }
                None => None,
            };
            let found = cache.users_to_read(confirmed, milliseconds(older_than_ms), after.as_ref(), limit)?;
            let convert =
                |one: vidcache::UserToRead| UserToRead { user: one.user, vid: text(one.vid), read_at_ms: one.read_at };
            Ok(found.into_iter().map(convert).collect())
        })
    }
}
