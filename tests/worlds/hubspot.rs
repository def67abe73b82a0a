//! HubSpot, in the strict reading: where a fact is open, what is worse for the library holds.
//!
//! An email that a contact lets go of is free at once. An email that a merge made secondary is held by nobody whom a
//! page could name, yet it is refused to every other contact. A restoration and an update that changes nothing may
//! leave `updatedAt` as it was. No webhook tells what a merge moved. Webhooks and answers may have clocks of their
//! own.

use std::collections::{BTreeMap, BTreeSet};

use crate::answer::{Answer, Said};

/// An email is a number in a world.
pub(crate) type Mail = u8;

/// How many emails there are.
pub(crate) const EMAILS: u8 = 5;

pub(crate) fn text(email: Mail) -> String {
    format!("e{email}@x.test")
}

/// Something that a person did inside HubSpot.
pub(crate) type Deed = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Live,
    Deleted,
    Merged(i64),
    Erased,
}

#[derive(Clone, Debug)]
pub(crate) struct Contact {
    pub(crate) email: Option<Mail>,
    pub(crate) second: Vec<Mail>,
    pub(crate) state: State,
    updated: i64,
    /// All emails that it has had.
    had: Vec<Mail>,
    /// Whose contact it is, a bit a person.
    pub(crate) people: u32,
    /// Whether its email was last set by hand.
    pub(crate) edited: bool,
    /// What was done to it by hand.
    pub(crate) deeds: Vec<Deed>,
    /// Which of them took which email from it.
    took: Vec<(Mail, Deed)>,
    /// Of these, the merges.
    merges: Vec<Deed>,
    merged: Vec<i64>,
}

/// What is on its way to the app: a webhook, or a batch of contacts that was read.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) body: Vec<u8>,
    pub(crate) webhook: bool,
    /// Which deeds it tells of.
    pub(crate) deeds: Vec<Deed>,
    /// Whether the app reads the contacts' users after it: merges, deletions, restorations.
    pub(crate) doubt: bool,
}

/// Where the strict reading leaves a choice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nature {
    /// Milliseconds by which the webhooks' clock is behind the answers'.
    pub(crate) skew: i64,
    /// Whether a PATCH of an id that was merged away is refused. A GET follows it.
    pub(crate) merged_is_missing: bool,
    /// Whether a restoration moves `updatedAt`.
    pub(crate) restore_moves: bool,
}

pub(crate) struct Hubspot {
    nature: Nature,
    pub(crate) contacts: BTreeMap<i64, Contact>,
    next: i64,
    /// Which contact each external id is bound to.
    bound: BTreeMap<i64, i64>,
    /// By what an email was last let go of: the deeds that it is due to. Empty: it was the app's worker alone.
    pub(crate) freed: [Option<Vec<Deed>>; EMAILS as usize],
    /// Emails that erased contacts had when they were erased: HubSpot takes them no more.
    blocked: Vec<Mail>,
    /// All emails that erased contacts ever had: the library names them no more.
    pub(crate) erased: Vec<Mail>,
    pub(crate) deeds: usize,
    pub(crate) post: Vec<Letter>,
}

impl Hubspot {
    pub(crate) fn new(nature: Nature) -> Self {
        Self {
            nature,
            contacts: BTreeMap::new(),
            next: 51,
            bound: BTreeMap::new(),
            freed: Default::default(),
            blocked: Vec::new(),
            erased: Vec::new(),
            deeds: 0,
            post: Vec::new(),
        }
    }

    fn deed(&mut self) -> Deed {
        self.deeds += 1;
        self.deeds - 1
    }

    fn hook(&mut self, now: i64, kind: &str, vid: i64, more: &str, deed: Option<Deed>) {
        let at = now - self.nature.skew;
        let body = format!(
            r#"[{{"portalId":1,"occurredAt":{at},"subscriptionType":"contact.{kind}","objectId":{vid}{more}}}]"#
        );
        let doubt = kind != "propertyChange";
        self.post.push(Letter { body: body.into(), webhook: true, deeds: deed.into_iter().collect(), doubt });
    }

    fn tell_email(&mut self, now: i64, vid: i64, deed: Option<Deed>) {
        let value = self.contacts[&vid].email.map(text).unwrap_or_default();
        let more = format!(r#","propertyName":"email","propertyValue":"{value}""#);
        self.hook(now, "propertyChange", vid, &more, deed);
    }

    pub(crate) fn live(&self) -> Vec<i64> {
        self.contacts.iter().filter(|(_, contact)| contact.state == State::Live).map(|(vid, _)| *vid).collect()
    }

    pub(crate) fn deleted(&self) -> Vec<i64> {
        self.contacts.iter().filter(|(_, contact)| contact.state == State::Deleted).map(|(vid, _)| *vid).collect()
    }

    /// The contact that an id stands for, if it lives.
    pub(crate) fn living(&self, mut vid: i64) -> Option<i64> {
        loop {
            match self.contacts.get(&vid)?.state {
                State::Merged(into) => vid = into,
                State::Live => return Some(vid),
                State::Deleted | State::Erased => return None,
            }
        }
    }

    /// By what done by hand the email was taken from the contact that an id stands for.
    pub(crate) fn taken_by(&self, mut vid: i64, email: Mail) -> Vec<Deed> {
        while let Some(Contact { state: State::Merged(into), .. }) = self.contacts.get(&vid) {
            vid = *into;
        }
        let took = self.contacts.get(&vid).map(|contact| &contact.took[..]).unwrap_or_default();
        took.iter().filter(|(taken, _)| *taken == email).map(|(_, deed)| *deed).collect()
    }

    /// Whether a contact of these people was erased.
    pub(crate) fn was_erased(&self, people: u32) -> bool {
        self.contacts.values().any(|contact| contact.state == State::Erased && contact.people & people != 0)
    }

    /// The contact is these people's, too.
    pub(crate) fn belongs(&mut self, mut vid: i64, people: u32) {
        while let Some(Contact { state: State::Merged(into), .. }) = self.contacts.get(&vid) {
            vid = *into;
        }
        if let Some(contact) = self.contacts.get_mut(&vid) {
            contact.people |= people;
        }
    }

    /// The contact that has the email, if only as a secondary one.
    pub(crate) fn holder(&self, email: Mail) -> Option<i64> {
        let holds = |contact: &Contact| contact.email == Some(email) || contact.second.contains(&email);
        self.contacts.iter().find(|(_, contact)| contact.state == State::Live && holds(contact)).map(|(vid, _)| *vid)
    }

    /// The contact that a page which names the email is about.
    pub(crate) fn named(&self, email: Mail) -> Option<i64> {
        self.holder(email).filter(|vid| self.contacts[vid].email == Some(email))
    }

    /// The contact that a page which gives the id is about.
    pub(crate) fn identified(&self, id: i64) -> Option<i64> {
        self.living(*self.bound.get(&id)?)
    }

    /// A page names an email and gives an id: HubSpot binds an id to the first contact that it sees it with.
    pub(crate) fn bind(&mut self, id: i64, vid: i64) {
        self.bound.entry(id).or_insert(vid);
    }

    fn contact(&mut self, vid: i64) -> &mut Contact {
        self.contacts.get_mut(&vid).expect("a contact of this world")
    }

    fn make(&mut self, now: i64, email: Option<Mail>, people: u32, deed: Option<Deed>) -> i64 {
        let vid = self.next;
        self.next += 50;
        self.contacts.insert(
            vid,
            Contact {
                email,
                second: Vec::new(),
                state: State::Live,
                updated: now,
                had: email.into_iter().collect(),
                people,
                edited: false,
                deeds: deed.into_iter().collect(),
                took: Vec::new(),
                merges: Vec::new(),
                merged: Vec::new(),
            },
        );
        if email.is_some() {
            self.tell_email(now, vid, deed);
        }
        vid
    }

    fn touch(&mut self, now: i64, vid: i64) {
        let contact = self.contact(vid);
        contact.updated = now.max(contact.updated + 1);
    }

    /// What was heard of, whoever lets an email go could have heeded.
    fn free(&mut self, vid: i64, emails: &[Mail], deed: Option<Deed>, heard: &BTreeSet<Deed>) {
        let merges = self.contacts[&vid].merges.iter().copied().filter(|merge| !heard.contains(merge));
        let due: Vec<_> = merges.chain(deed).collect();
        for email in emails {
            self.freed[*email as usize] = Some(due.clone());
            self.contact(vid).took.extend(deed.map(|deed| (*email, deed)));
        }
    }

    fn set(&mut self, now: i64, vid: i64, email: Mail, deed: Option<Deed>, heard: &BTreeSet<Deed>) {
        let contact = self.contact(vid);
        if contact.email == Some(email) {
            return;
        }
        let old: Vec<_> = contact.email.into_iter().collect();
        contact.email = Some(email);
        contact.had.push(email);
        contact.second.retain(|second| *second != email);
        contact.deeds.extend(deed);
        contact.edited = deed.is_some();
        self.free(vid, &old, deed, heard);
        self.touch(now, vid);
        self.tell_email(now, vid, deed);
    }

    fn describe(&self, vid: i64) -> Answer {
        let contact = &self.contacts[&vid];
        Answer {
            said: Said::Contact {
                vid,
                email: contact.email,
                second: contact.second.clone(),
                merged: contact.merged.clone(),
                updated: contact.updated,
            },
            deeds: contact.deeds.clone(),
        }
    }

    /// As the answer to a write has it: which ids were merged, and other emails, only a read tells that asks for them.
    fn in_brief(&self, vid: i64) -> Answer {
        let mut answer = self.describe(vid);
        if let Said::Contact { second, merged, .. } = &mut answer.said {
            second.clear();
            merged.clear();
        }
        answer
    }

    fn none(&self, vid: i64) -> Answer {
        let deeds = self.contacts.get(&vid).map(|contact| contact.deeds.clone()).unwrap_or_default();
        Answer { said: Said::Missing, deeds }
    }

    // What the worker asks.

    pub(crate) fn get(&self, vid: i64) -> Answer {
        self.living(vid).map_or_else(|| self.none(vid), |vid| self.describe(vid))
    }

    pub(crate) fn find(&self, email: Mail) -> Answer {
        self.holder(email).map_or_else(Answer::missing, |vid| self.describe(vid))
    }

    /// `heard` is what the worker had heard of when it began.
    pub(crate) fn patch(&mut self, now: i64, vid: i64, email: Mail, heard: &BTreeSet<Deed>) -> Answer {
        let merged = !matches!(self.contacts.get(&vid), Some(Contact { state: State::Live, .. }));
        let Some(living) = self.living(vid).filter(|_| !(merged && self.nature.merged_is_missing)) else {
            return self.none(vid);
        };
        match self.holder(email) {
            Some(holder) if holder != living => return Answer::of(Said::Conflict(holder)),
            _ => {}
        }
        if self.blocked.contains(&email) {
            return Answer::of(Said::Blocked);
        }
        self.set(now, living, email, None, heard);
        self.in_brief(living)
    }

    pub(crate) fn create(&mut self, now: i64, email: Mail, person: u32) -> Answer {
        if let Some(holder) = self.holder(email) {
            return Answer::of(Said::Conflict(holder));
        }
        if self.blocked.contains(&email) {
            return Answer::of(Said::Blocked);
        }
        let vid = self.make(now, Some(email), person, None);
        self.in_brief(vid)
    }

    /// What a batch read of all that lives hands out.
    pub(crate) fn read_all(&mut self) {
        let live = self.live();
        let all: Vec<_> =
            live.iter().map(|vid| String::from_utf8_lossy(&self.describe(*vid).body(None)).into_owned()).collect();
        let deeds = live.iter().flat_map(|vid| self.contacts[vid].deeds.clone()).collect();
        let body = format!(r#"{{"status":"COMPLETE","results":[{}]}}"#, all.join(",")).into();
        self.post.push(Letter { body, webhook: false, deeds, doubt: false });
    }

    // What people do inside HubSpot, and visitors on its forms.

    pub(crate) fn edit(&mut self, now: i64, vid: i64, email: Mail) -> bool {
        if self.holder(email).is_some() || self.blocked.contains(&email) {
            return false;
        }
        let deed = self.deed();
        self.set(now, vid, email, Some(deed), &BTreeSet::new());
        true
    }

    pub(crate) fn fill_form(&mut self, now: i64, email: Mail, people: u32) -> bool {
        let free = self.holder(email).is_none();
        if free {
            let deed = self.deed();
            self.make(now, Some(email), people, Some(deed));
        }
        free
    }

    /// Any other property.
    pub(crate) fn annotate(&mut self, now: i64, vid: i64) {
        self.touch(now, vid);
    }

    pub(crate) fn merge(&mut self, now: i64, primary: i64, other: i64) {
        let deed = self.deed();
        let (a, b) = (self.contacts[&primary].clone(), self.contacts[&other].clone());
        let email = a.email.or(b.email);
        let mut second: Vec<_> = [&a.second[..], b.email.as_slice(), &b.second[..]].concat();
        second.retain(|other| Some(*other) != email);
        let both = |x: &[usize], y: &[usize]| [x, y, &[deed]].concat();
        let vid = self.next;
        self.next += 50;
        self.contacts.insert(
            vid,
            Contact {
                email,
                second: second.clone(),
                state: State::Live,
                updated: now,
                had: [&a.had[..], &b.had[..]].concat(),
                people: a.people | b.people,
                edited: a.edited || b.edited,
                deeds: both(&a.deeds, &b.deeds),
                took: [&a.took[..], &b.took[..]].concat(),
                merges: both(&a.merges, &b.merges),
                merged: [&a.merged[..], &b.merged[..], &[primary, other]].concat(),
            },
        );
        for old in [primary, other] {
            let contact = self.contact(old);
            contact.state = State::Merged(vid);
            contact.deeds.push(deed);
        }
        self.free(vid, &second, Some(deed), &BTreeSet::new());
        let more = format!(r#","primaryObjectId":{primary},"mergedObjectIds":[{other}],"newObjectId":{vid}"#);
        self.hook(now, "merge", primary, &more, Some(deed));
        self.hook(now, "deletion", other, "", None);
        self.hook(now, "deletion", primary, "", None);
    }

    fn end(&mut self, vid: i64, state: State) -> Deed {
        let deed = self.deed();
        let contact = self.contact(vid);
        contact.state = state;
        contact.deeds.push(deed);
        let gone: Vec<_> = contact.email.iter().chain(&contact.second).copied().collect();
        self.free(vid, &gone, Some(deed), &BTreeSet::new());
        if state == State::Erased {
            self.blocked.extend(gone);
            self.erased.extend(&self.contacts[&vid].had);
        }
        deed
    }

    pub(crate) fn delete(&mut self, now: i64, vid: i64) {
        let deed = self.end(vid, State::Deleted);
        self.hook(now, "deletion", vid, "", Some(deed));
    }

    pub(crate) fn erase(&mut self, now: i64, vid: i64) {
        let deed = self.end(vid, State::Erased);
        self.hook(now, "privacyDeletion", vid, "", Some(deed));
        self.hook(now, "deletion", vid, "", None);
    }

    pub(crate) fn restore(&mut self, now: i64, vid: i64) {
        let old = self.contacts[&vid].clone();
        let free = |email: &Mail| self.holder(*email).is_none() && !self.blocked.contains(email);
        let (email, second) = (old.email.filter(free), old.second.iter().copied().filter(free).collect());
        let contact = self.contact(vid);
        (contact.state, contact.email, contact.second) = (State::Live, email, second);
        if self.nature.restore_moves {
            self.touch(now, vid);
        }
        self.hook(now, "restore", vid, "", None);
    }
}
