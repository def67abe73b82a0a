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

impl From<vidcache::Conflict> for Conflict {
    fn from(conflict: vidcache::Conflict) -> Self {
        Self {
            user: conflict.user,
            vid: conflict.vid.map(text),
            holder: conflict.holder.map(text),
            why: conflict.why.name().into(),
            since_ms: conflict.since,
        }
    }
}

impl From<vidcache::UserToRead> for UserToRead {
    fn from(user: vidcache::UserToRead) -> Self {
        Self { user: user.user, vid: text(user.vid), read_at_ms: user.read_at }
    }
}

#[napi]
impl Native {
    #[napi]
    pub fn conflicts(&self, after: Option<String>, limit: u32) -> AsyncTask<Job<Vec<Conflict>>> {
        self.later(move |cache| {
            let after = after.as_deref().map(UserKey::text).transpose()?;
            Ok(cache.conflicts(after, limit)?.into_iter().map(Conflict::from).collect())
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
            Ok(found.into_iter().map(UserToRead::from).collect())
        })
    }
}
