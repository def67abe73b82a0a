//! What must hold of a world.
//!
//! - **S1** no request of a page names an email that HubSpot does not hold.
//! - **S2** no visitor is told to be somebody else.
//! - **S3** the app's job never changes a stranger's contact.
//! - **D** the app's job never makes a second contact of a person.
//! - **L** once all is heard and done, whoever agrees with HubSpot is named, and HubSpot was told of what it can take.

use std::fmt;

use vidcache::Reason;

use crate::world::{User, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    S1,
    S2,
    S3,
    D,
    L,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::S1, Self::S2, Self::S3, Self::D, Self::L];
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}

impl World {
    /// Ends what is under way, and looks.
    pub(crate) fn judge(&mut self) {
        self.settle();
        if !self.jobs.is_empty() {
            self.fault(Kind::L, "a job never ends");
        }
        let wrong = self.cache.verify().expect("a check");
        if !wrong.is_empty() {
            self.fault(Kind::L, format!("the rows contradict one another: {wrong:?}"));
        }
        for user in self.users.clone().iter().filter(|user| user.exists) {
            if let Some(what) = self.unnamed(user) {
                self.fault(Kind::L, what);
            }
        }
    }

    /// What is wrong with how the user ended.
    fn unnamed(&self, user: &User) -> Option<String> {
        let reason = self.reason(user);
        let mine = self.vid(user.key).and_then(|vid| self.hubspot.living(vid));
        let named = self.hubspot.named(user.email);
        if reason == Reason::Agreed {
            return (mine.is_none() || mine != named)
                .then(|| "agreed, and HubSpot holds it elsewhere or nowhere".into());
        }
        // An erased email is never named again, and of a person whose contact was erased HubSpot is not told.
        if self.hubspot.erased.contains(&user.email) || self.hubspot.was_erased(user.bit()) {
            return None;
        }
        let others = |vid: i64| {
            let has = |other: &&User| other.exists && other.key != user.key && self.living_of(other) == Some(vid);
            self.users.iter().any(|other| has(&other))
        };
        match (mine, named) {
            (Some(mine), Some(named)) if mine == named => Some(format!("held, and not named: {}", reason.name())),
            // A conflict: two contacts, for a person to merge.
            (Some(_), Some(_)) => None,
            (None, Some(named)) if others(named) => None,
            (None, Some(_)) => {
                Some(format!("HubSpot has the email, and the user is not linked to it: {}", reason.name()))
            }
            (Some(mine), None) => {
                let free = self.hubspot.holder(user.email).is_none_or(|holder| holder == mine);
                (user.owed && free).then(|| format!("never told, though the email is free: {}", reason.name()))
            }
            (None, None) => {
                let known = self.hubspot.holder(user.email).is_some();
                let theirs = |vid: &i64| self.hubspot.contacts[vid].people & user.bit() != 0;
                let none = !known && !self.hubspot.live().iter().any(theirs);
                let new = user.signed_up > self.file_since && user.owed && !user.untraced;
                (none && new).then(|| format!("somebody new was never made: {}", reason.name()))
            }
        }
    }

    fn living_of(&self, user: &User) -> Option<i64> {
        self.vid(user.key).and_then(|vid| self.hubspot.living(vid))
    }
}
